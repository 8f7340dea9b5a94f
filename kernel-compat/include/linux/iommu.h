#include_next <linux/iommu.h>
#ifndef VGPU_COMPAT_LINUX_IOMMU_H
#define VGPU_COMPAT_LINUX_IOMMU_H
#include "../../changes/iommu-features.h"
#endif
