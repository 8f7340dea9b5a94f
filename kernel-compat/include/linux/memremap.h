#include_next <linux/memremap.h>
#ifndef VGPU_COMPAT_LINUX_MEMREMAP_H
#define VGPU_COMPAT_LINUX_MEMREMAP_H
#include "../../changes/page-pgmap.h"
#include "../../changes/folio-free.h"
#include "../../changes/zone-device-page-init.h"
#endif
