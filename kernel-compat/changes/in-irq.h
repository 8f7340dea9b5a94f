/* in_irq() has been called in_hardirq() since Linux 5.11; 7.0 dropped the old name. */
#ifndef KERNEL_HAS_in_irq
#define in_irq() in_hardirq()
#endif
