#include_next <linux/io.h>
#ifndef VGPU_COMPAT_LINUX_IO_H
#define VGPU_COMPAT_LINUX_IO_H
#include "../../changes/iowrite64.h"
#endif
