#include_next <linux/pci.h>
#ifndef VGPU_COMPAT_LINUX_PCI_H
#define VGPU_COMPAT_LINUX_PCI_H
#include "../../changes/pci-resize-resource.h"
#endif
