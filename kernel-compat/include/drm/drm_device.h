/* Linux 7.2: headers of DRM include drm_print.h no more; drivers take DRM_ERROR() and its like from there. */
#include_next <drm/drm_device.h>
#include <drm/drm_print.h>
