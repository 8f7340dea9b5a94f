/* Linux 6.19: zone_device_page_init() wants the page's pgmap and order too. Drivers have single pages, whose pgmap is
 * known since memremap_pages(). The compiler knows the function's type: it takes one of the calls and drops the other. */
#ifdef KERNEL_HAS_page_pgmap
typedef void vgpu_init_page(struct page *);
typedef void vgpu_init_page_with_pgmap(struct page *, struct dev_pagemap *, unsigned int);

#define vgpu_zone_device_page_init(page, ...)                                                       \
    (__builtin_types_compatible_p(typeof(zone_device_page_init), vgpu_init_page_with_pgmap) ?       \
         ((vgpu_init_page_with_pgmap *)(void *)zone_device_page_init)(page, page_pgmap(page), 0) :  \
         ((vgpu_init_page *)(void *)zone_device_page_init)(page))
#define zone_device_page_init(...) vgpu_zone_device_page_init(__VA_ARGS__, 0)
#endif
