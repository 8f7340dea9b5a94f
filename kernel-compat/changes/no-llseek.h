/* Linux 6.12: no_llseek is gone. A file without an llseek function can't be sought in, since 6.0. */
#ifndef KERNEL_HAS_no_llseek
#define no_llseek NULL
#endif
