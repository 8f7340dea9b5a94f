#include_next <drm/drm_atomic.h>
#ifndef VGPU_COMPAT_DRM_DRM_ATOMIC_H
#define VGPU_COMPAT_DRM_DRM_ATOMIC_H
#include "../../changes/drm-state-iterators.h"
#endif
