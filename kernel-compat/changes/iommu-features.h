/* Linux 6.17: iommu_dev_enable_feature() and its features are gone; iommu_sva_bind_device() does what it did. */
#ifndef KERNEL_HAS_iommu_dev_enable_feature
#define IOMMU_DEV_FEAT_SVA 0
static inline int iommu_dev_enable_feature(struct device *dev, int feature)
{
    return 0;
}
static inline int iommu_dev_disable_feature(struct device *dev, int feature)
{
    return 0;
}
#endif
