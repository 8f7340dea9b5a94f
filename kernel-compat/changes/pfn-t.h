/* Linux 6.17: pfn_t is gone; functions take the number itself. */
#ifndef KERNEL_HAS_pfn_to_pfn_t
#define pfn_to_pfn_t(pfn) (pfn)
#endif
