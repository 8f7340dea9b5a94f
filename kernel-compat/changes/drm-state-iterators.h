/* Linux 6.19: the member `state` of what a drm_atomic_state holds of each connector, screen and plane is called
 * state_to_destroy. Like `state`, it is the new state until drm_atomic_helper_swap_state(), and the old one after that.
 * Drivers bring loops over it for kernels that have no such macros. */
#ifdef KERNEL_HAS_state_to_destroy
#define vgpu_for_each_state(objects, count, object, object_state, i)                                \
    for ((i) = 0; (i) < (count); (i)++)                                                             \
        if (((object) = (objects)[i].ptr, (object_state) = (objects)[i].state_to_destroy, (object)))
#define for_each_connector_in_state(all, object, state, i)                                          \
    vgpu_for_each_state((all)->connectors, (all)->num_connector, object, state, i)
#define for_each_crtc_in_state(all, object, state, i)                                               \
    vgpu_for_each_state((all)->crtcs, (all)->dev->mode_config.num_crtc, object, state, i)
#define for_each_plane_in_state(all, object, state, i)                                              \
    vgpu_for_each_state((all)->planes, (all)->dev->mode_config.num_total_plane, object, state, i)
#endif
