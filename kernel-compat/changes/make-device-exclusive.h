/* Linux 6.15: make_device_exclusive_range() is gone (commit 599b684a7854); make_device_exclusive() takes one page.
 * Both leave each page locked, with a reference on it, and want the mmap lock held. */
#ifdef KERNEL_HAS_make_device_exclusive
static inline int make_device_exclusive_range(struct mm_struct *mm, unsigned long start, unsigned long end,
                                              struct page **pages, void *owner)
{
    int count = 0;

    for (; start < end; start += PAGE_SIZE) {
        struct folio *folio;
        struct page *page = make_device_exclusive(mm, start, owner, &folio);

        if (IS_ERR(page))
            return count ? count : PTR_ERR(page);
        pages[count++] = page;
    }
    return count;
}
#endif
