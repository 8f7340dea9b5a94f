/* Linux 6.15: hrtimer_init() is gone (commit 9779489a31d7); hrtimer_setup() wants the function too, which drivers set
 * in the next line. */
#ifndef KERNEL_HAS_hrtimer_init
static inline enum hrtimer_restart vgpu_hrtimer_without_function(struct hrtimer *timer)
{
    return HRTIMER_NORESTART;
}
#define hrtimer_init(timer, clock, mode) hrtimer_setup(timer, vgpu_hrtimer_without_function, clock, mode)
#endif
