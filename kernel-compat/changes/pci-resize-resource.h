/* pci_resize_resource() takes a fourth argument, the BARs not to move: commit 337b1b566db0 (Linux 6.19), also in the
 * stable kernels 6.1.192, 6.12.97 and 6.18.40. NVIDIA's drivers know since 580.126.09; the older call it with three.
 * The compiler knows the function's type: it takes one of the two calls and drops the other. */
typedef int vgpu_resize_with_excluded(struct pci_dev *, int, int, int);
typedef int vgpu_resize(struct pci_dev *, int, int);

#define vgpu_pci_resize_resource(dev, bar, size, excluded, ...)                                     \
    (__builtin_types_compatible_p(typeof(pci_resize_resource), vgpu_resize_with_excluded) ?         \
         ((vgpu_resize_with_excluded *)(void *)pci_resize_resource)(dev, bar, size, excluded) :     \
         ((vgpu_resize *)(void *)pci_resize_resource)(dev, bar, size))
#define pci_resize_resource(...) vgpu_pci_resize_resource(__VA_ARGS__, 0, 0)
