#include_next <linux/dma-buf.h>
#ifndef VGPU_COMPAT_LINUX_DMA_BUF_H
#define VGPU_COMPAT_LINUX_DMA_BUF_H
#include "../../changes/dma-buf-dynamic.h"
#endif
