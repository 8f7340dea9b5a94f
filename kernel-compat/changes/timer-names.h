/* Linux 6.15: del_timer_sync() is called timer_delete_sync() alone (commit 8fa7292fee5c), a name it has had since 6.2.
 * Linux 6.16: from_timer() is called timer_container_of() (commit 41cb08555c41). */
#if defined(KERNEL_HAS_timer_delete_sync) && !defined(KERNEL_HAS_del_timer_sync)
#define del_timer_sync timer_delete_sync
#endif
#ifndef KERNEL_HAS_from_timer
#define from_timer timer_container_of
#endif
