/* Linux 6.13: a PC has no iowrite64() of its own; io-64-nonatomic-lo-hi.h makes one of two writes. Drivers call it for
 * boards with an ARM processor alone, but compile it everywhere. */
#ifndef KERNEL_HAS_iowrite64
#include <linux/io-64-nonatomic-lo-hi.h>
#endif
