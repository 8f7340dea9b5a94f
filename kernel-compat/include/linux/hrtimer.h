#include_next <linux/hrtimer.h>
#ifndef VGPU_COMPAT_LINUX_HRTIMER_H
#define VGPU_COMPAT_LINUX_HRTIMER_H
#include "../../changes/hrtimer-setup.h"
#endif
