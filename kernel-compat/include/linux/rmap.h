#include_next <linux/rmap.h>
#ifndef VGPU_COMPAT_LINUX_RMAP_H
#define VGPU_COMPAT_LINUX_RMAP_H
#include "../../changes/make-device-exclusive.h"
#endif
