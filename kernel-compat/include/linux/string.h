#include_next <linux/string.h>
#ifndef VGPU_COMPAT_LINUX_STRING_H
#define VGPU_COMPAT_LINUX_STRING_H
#include "../../changes/strncpy.h"
#endif
