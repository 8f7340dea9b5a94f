#include_next <linux/dma-fence.h>
#ifndef VGPU_COMPAT_LINUX_DMA_FENCE_H
#define VGPU_COMPAT_LINUX_DMA_FENCE_H
#include "../../changes/dma-fence-signal.h"
#endif
