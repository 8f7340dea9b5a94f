/* Linux 6.15: vm_flags_set() and vm_flags_clear() lock the VMA with __vma_start_write(), which is for GPL modules alone.
 * Closed modules set flags in their mmap functions, where nobody else can see the VMA yet: vm_flags_init() is made for that. */
#if defined(KERNEL_KEEPS___vma_start_write) && !defined(DRIVER_HAS_GPL)
#define vm_flags_set(vma, flags) vm_flags_init(vma, (vma)->vm_flags | (flags))
#define vm_flags_clear(vma, flags) vm_flags_init(vma, (vma)->vm_flags & ~(flags))
#endif
