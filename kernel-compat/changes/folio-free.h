/* Linux 6.19: dev_pagemap_ops calls folio_free with a folio, no more page_free with a page.
 *
 * A driver that doesn't know has functions that take a page, and their names in a dev_pagemap_ops. A macro with
 * arguments doesn't meet these names, only definitions and calls. Each definition gets a second function beside it, which
 * takes a folio and hands over its first page, under the name that dev_pagemap_ops is given. A call (590 has one)
 * goes to the function that takes a page; its argument is called `page`, where a definition begins with `struct`. */
#if defined(KERNEL_HAS_folio_free) && !defined(DRIVER_HAS_folio_free)
#define vgpu_take_folio(name, parameter)                                                            \
    name##_of_page(parameter);                                                                      \
    static void name(struct folio *folio)                                                           \
    {                                                                                               \
        name##_of_page(&folio->page);                                                               \
    }                                                                                               \
    static void name##_of_page(parameter)
#define vgpu_call_with_page(name, page) name##_of_page(page)
#define vgpu_begins_with_page , vgpu_call_with_page
#define vgpu_second(first, second, ...) second
#define vgpu_second_of(...) vgpu_second(__VA_ARGS__)
#define vgpu_page_function(name, argument)                                                          \
    vgpu_second_of(vgpu_begins_with_##argument, vgpu_take_folio, )(name, argument)
#define page_free folio_free
#define devmem_page_free(argument) vgpu_page_function(devmem_page_free, argument)
#define device_p2p_page_free(argument) vgpu_page_function(device_p2p_page_free, argument)
#define device_coherent_page_free(argument) vgpu_page_function(device_coherent_page_free, argument)
#endif
