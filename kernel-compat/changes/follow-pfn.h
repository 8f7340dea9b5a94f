/* Linux 6.10: follow_pfn() is gone; since 6.12 follow_pfnmap_start() and follow_pfnmap_end() do its work, for GPL modules
 * alone. With closed modules, the memory of other devices can't be pinned by its address in a program: an error, not a crash. */
#if defined(KERNEL_HAS_follow_pfnmap_args) && !defined(DRIVER_HAS_follow_pte)
static inline int follow_pfn(struct vm_area_struct *vma, unsigned long address, unsigned long *pfn)
{
#ifdef DRIVER_HAS_GPL
    struct follow_pfnmap_args args = { .vma = vma, .address = address };
    int status = follow_pfnmap_start(&args);

    if (status)
        return status;
    *pfn = args.pfn;
    follow_pfnmap_end(&args);
    return 0;
#else
    return -EINVAL;
#endif
}
#endif
