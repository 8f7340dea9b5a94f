/* Linux 6.17: fb_create of drm_mode_config_funcs and drm_helper_mode_fill_fb_struct() take the drm_format_info of the
 * framebuffer. A driver that doesn't know gets the parameter added where its fb_create is defined: a macro with
 * arguments meets the definition alone, not the name in drm_mode_config_funcs. */
#if defined(KERNEL_HAS_drm_format_info) && !defined(DRIVER_HAS_drm_format_info)
#include <drm/drm_fourcc.h>
#define nv_drm_framebuffer_create(dev, file, command)                                               \
    nv_drm_framebuffer_create(dev, file, const struct drm_format_info *info, command)
#define drm_helper_mode_fill_fb_struct(dev, fb, command)                                            \
    drm_helper_mode_fill_fb_struct(dev, fb,                                                         \
        drm_get_format_info(dev, (command)->pixel_format, (command)->modifier[0]), command)
#endif
