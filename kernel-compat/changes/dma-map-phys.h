/* Linux 6.19: dma_map_ops has map_phys, which maps memory and the ranges of other devices alike, and lost
 * map_resource. Drivers look whether there is one. */
#ifdef KERNEL_HAS_map_phys
#define map_resource map_phys
#endif
