// SPDX-License-Identifier: GPL-2.0-only
/*
 * PCI buses of our own, a GPU on each. Only config space is there, and only what the kernel reads: enough for it to find
 * a 3D controller of vendor 0x10de, and, from its SR-IOV capability, to make virtual functions with all their links and
 * files in sysfs by itself.
 *
 * Copyright (c) 2026 the vgpu4nixos authors
 */
#include "testbed.h"

#define EXPRESS 0x40
#define SRIOV 0x100
#define VF_OFFSET 4 /* Virtual functions start at BUS:00.4, as on Ampere. */
#define VF_STRIDE 1

static const struct board_kind kinds[] = {
	{ "p40", "Tesla P40", 0x1b38, 0x11d9, 0, 24 },
	{ "a16", "NVIDIA A16", 0x25b6, 0x14a9, 16, 16 },
	{ "a40", "NVIDIA A40", 0x2235, 0x145a, 32, 48 },
};

struct gpu gpus[MAX_BOARDS];
unsigned int gpu_count;

struct gpu *board_of(const struct pci_dev *pdev)
{
	unsigned int i;

	for (i = 0; i < gpu_count; i++)
		if (pdev->bus->sysdata == &gpus[i].sysdata)
			return &gpus[i];
	return NULL;
}

int function_of(const struct pci_dev *pdev)
{
	return pdev->is_virtfn ? (int)pdev->devfn - VF_OFFSET : ON_GPU;
}

static bool is_function(const struct gpu *gpu, unsigned int devfn)
{
	return (gpu->sriov_control & PCI_SRIOV_CTRL_VFE) && devfn >= VF_OFFSET &&
	       devfn < VF_OFFSET + gpu->sriov_enabled;
}

/* The 32 bits at `where` of the GPU's config space. */
static u32 gpu_register(const struct gpu *gpu, int where)
{
	const struct board_kind *kind = gpu->kind;

	switch (where) {
	case PCI_VENDOR_ID:
		return kind->device << 16 | PCI_VENDOR_ID_NVIDIA;
	case PCI_COMMAND:
		return PCI_STATUS_CAP_LIST << 16;
	case PCI_CLASS_REVISION:
		return PCI_CLASS_DISPLAY_3D << 16 | 0xa1;
	case PCI_SUBSYSTEM_VENDOR_ID:
		return kind->subsystem << 16 | PCI_VENDOR_ID_NVIDIA;
	case PCI_CAPABILITY_LIST:
		return EXPRESS;
	case EXPRESS:
		return (PCI_EXP_TYPE_ENDPOINT << 4 | 2) << 16 | PCI_CAP_ID_EXP;
	}
	if (!kind->functions)
		return 0;
	switch (where - SRIOV) {
	case 0:
		return 1 << 16 | PCI_EXT_CAP_ID_SRIOV;
	case PCI_SRIOV_CTRL:
		return gpu->sriov_control;
	case PCI_SRIOV_INITIAL_VF:
		return kind->functions << 16 | kind->functions;
	case PCI_SRIOV_NUM_VF:
		return gpu->sriov_enabled;
	case PCI_SRIOV_VF_OFFSET:
		return VF_STRIDE << 16 | VF_OFFSET;
	case PCI_SRIOV_VF_DID & ~3:
		return kind->device << 16;
	case PCI_SRIOV_SUP_PGSIZE:
	case PCI_SRIOV_SYS_PGSIZE:
		return 1; /* 4 KiB. */
	}
	return 0;
}

/* A virtual function has no ids of its own; class and capabilities are the GPU's. */
static u32 function_register(const struct gpu *gpu, int where)
{
	switch (where) {
	case PCI_VENDOR_ID:
		return 0xffffffff;
	case PCI_SUBSYSTEM_VENDOR_ID:
		return PCI_VENDOR_ID_NVIDIA;
	}
	return where < SRIOV ? gpu_register(gpu, where) : 0;
}

static int config_read(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 *value)
{
	struct gpu *gpu = container_of(bus->sysdata, struct gpu, sysdata);
	u32 word;

	*value = 0xffffffff;
	if (bus->number != gpu->bus)
		return PCIBIOS_DEVICE_NOT_FOUND;
	if (devfn == 0)
		word = gpu_register(gpu, where & ~3);
	else if (is_function(gpu, devfn))
		word = function_register(gpu, where & ~3);
	else
		return PCIBIOS_DEVICE_NOT_FOUND;
	*value = word >> (where & 3) * 8 & GENMASK(size * 8 - 1, 0);
	return PCIBIOS_SUCCESSFUL;
}

static int config_write(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 value)
{
	struct gpu *gpu = container_of(bus->sysdata, struct gpu, sysdata);

	if (devfn == 0 && gpu->kind->functions) {
		if (where == SRIOV + PCI_SRIOV_CTRL)
			gpu->sriov_control = value;
		if (where == SRIOV + PCI_SRIOV_NUM_VF)
			gpu->sriov_enabled = value;
	}
	return PCIBIOS_SUCCESSFUL; /* All else is read-only; nor is there a BAR. */
}

static struct pci_ops config_ops = { .read = config_read, .write = config_write };

/* `description`: KIND@BUS, the bus in hexadecimal; a40@41 is an A40 at 0000:41:00.0. */
static int board_add(struct gpu *gpu, const char *description)
{
	const char *at = strchr(description, '@');
	LIST_HEAD(resources);
	unsigned int i;

	for (i = 0; at && i < ARRAY_SIZE(kinds); i++)
		if (strlen(kinds[i].key) == at - description &&
		    !strncmp(kinds[i].key, description, at - description))
			gpu->kind = &kinds[i];
	if (!gpu->kind || kstrtou8(at + 1, 16, &gpu->bus)) {
		pr_err("testbed: no such board: %s\n", description);
		return -EINVAL;
	}
	mutex_init(&gpu->lock);
	INIT_LIST_HEAD(&gpu->vgpus);
	gpu->sysdata.node = NUMA_NO_NODE;
	gpu->numbers = (struct resource){ .name = "testbed", .start = gpu->bus, .end = gpu->bus, .flags = IORESOURCE_BUS };
	pci_add_resource(&resources, &gpu->numbers);
	pci_lock_rescan_remove();
	gpu->root = pci_create_root_bus(NULL, gpu->bus, &config_ops, &gpu->sysdata, &resources);
	if (gpu->root) {
		pci_scan_child_bus(gpu->root);
		pci_bus_add_devices(gpu->root);
	}
	pci_unlock_rescan_remove();
	return gpu->root ? 0 : -EEXIST;
}

int boards_add(char **descriptions, unsigned int count)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < count && !ret; i++) {
		gpu_count++;
		ret = board_add(&gpus[i], descriptions[i]);
	}
	return ret;
}

void boards_remove(void)
{
	unsigned int i;

	for (i = 0; i < gpu_count; i++) {
		if (!gpus[i].root)
			continue;
		pci_lock_rescan_remove();
		pci_stop_root_bus(gpus[i].root);
		pci_remove_root_bus(gpus[i].root);
		pci_unlock_rescan_remove();
	}
}
