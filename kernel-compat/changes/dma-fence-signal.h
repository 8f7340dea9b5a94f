/* Linux 7.0: dma_fence_signal() and dma_fence_signal_locked() return nothing. They used to return -EINVAL for a fence
 * that had been signalled before; dma_fence_check_and_signal() tells that now. */
#ifdef KERNEL_HAS_dma_fence_check_and_signal
#define dma_fence_signal(fence) (dma_fence_check_and_signal(fence) ? -EINVAL : 0)
#define dma_fence_signal_locked(fence) (dma_fence_check_and_signal_locked(fence) ? -EINVAL : 0)
#endif
