/* Linux 6.14: struct page has no pgmap; page_pgmap() has it (commit 82ba975e4c43). apply.sh makes drivers that read
 * page->pgmap call page_pgmap(), which older kernels get from here. Newer drivers bring their own for those. */
#if !defined(KERNEL_HAS_page_pgmap) && !defined(DRIVER_HAS_page_pgmap)
#define page_pgmap(page) ((page)->pgmap)
#endif
