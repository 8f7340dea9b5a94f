#include_next <drm/drm_modeset_helper.h>
#ifndef VGPU_COMPAT_DRM_DRM_MODESET_HELPER_H
#define VGPU_COMPAT_DRM_DRM_MODESET_HELPER_H
#include "../../changes/drm-format-info.h"
#endif
