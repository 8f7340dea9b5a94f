/* Linux 6.19: dev_pagemap_ops calls folio_free with a folio, no more page_free with a page.
 *
 * A driver that doesn't know has functions that take a page, and their names in a dev_pagemap_ops. A macro with
 * arguments meets only the definitions: each gets a second function beside it, which takes a folio and hands over its
 * first page, under the name that dev_pagemap_ops is given. */
#if defined(KERNEL_HAS_folio_free) && !defined(DRIVER_HAS_folio_free)
#define vgpu_take_folio(name, parameter)                                                            \
    name##_of_page(parameter);                                                                      \
    static void name(struct folio *folio)                                                           \
    {                                                                                               \
        name##_of_page(&folio->page);                                                               \
    }                                                                                               \
    static void name##_of_page(parameter)
#define page_free folio_free
#define devmem_page_free(parameter) vgpu_take_folio(devmem_page_free, parameter)
#define device_p2p_page_free(parameter) vgpu_take_folio(device_p2p_page_free, parameter)
#endif
