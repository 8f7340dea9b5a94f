#include_next <linux/mm.h>
#ifndef VGPU_COMPAT_LINUX_MM_H
#define VGPU_COMPAT_LINUX_MM_H
#include "../../changes/follow-pfn.h"
#include "../../changes/vma-start-write.h"
#endif
