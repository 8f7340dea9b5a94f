// SPDX-License-Identifier: GPL-2.0-only
/*
 * The PCI driver "nvidia": binds to the GPUs and virtual functions of board.c and offers their vGPUs, once
 * nvidia-vgpud (here: its stand-in) has told the types.
 *
 * Copyright (c) 2026 the vgpu4nixos authors
 */
#include <linux/module.h>
#include <linux/slab.h>
#include "testbed.h"

static char *boards[MAX_BOARDS];
static unsigned int board_count;
module_param_array(boards, charp, &board_count, 0444);
MODULE_PARM_DESC(boards, "KIND@BUS,...: p40, a16 or a40 at a bus in hexadecimal");

static char *interface = "vfio";
module_param(interface, charp, 0444);
MODULE_PARM_DESC(interface, "what virtual functions offer: mdev or vfio (NVIDIA's own files)");
bool interface_vendor;

unsigned int plugin_exit_ms;
module_param(plugin_exit_ms, uint, 0644);
MODULE_PARM_DESC(plugin_exit_ms, "how long a vGPU's process lives on after its virtual machine");

static LIST_HEAD(functions);
static DEFINE_MUTEX(functions_lock);

/* Offer vGPUs on one function, if there are types and it is one that has them. */
static void function_register(struct function *function)
{
	if (!rm_types_known() || function->is_parent)
		return;
	if (function->number == ON_GPU ? function->gpu->kind->functions != 0 : interface_vendor)
		return; /* A GPU with SR-IOV offers none itself; interface 3 has its files already. */
	if (mdev_parent_add(function))
		dev_err(&function->pdev->dev, "testbed: no mdev parent\n");
}

void functions_register(void)
{
	struct function *function;

	mutex_lock(&functions_lock);
	list_for_each_entry(function, &functions, list)
		function_register(function);
	mutex_unlock(&functions_lock);
}

static int nvidia_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct gpu *gpu = board_of(pdev);
	struct function *function;
	int ret = 0;

	/* A virtual function is of no use to the driver before the GPU itself. */
	if (!gpu || (pdev->is_virtfn && !gpu->bound))
		return -ENODEV;
	function = kzalloc(sizeof(*function), GFP_KERNEL);
	if (!function)
		return -ENOMEM;
	function->pdev = pdev;
	function->gpu = gpu;
	function->number = function_of(pdev);
	pci_set_drvdata(pdev, function);
	if (function->number == ON_GPU)
		ret = proc_gpu_add(gpu, gpu - gpus);
	else if (interface_vendor)
		ret = vendor_add(function);
	if (ret) {
		kfree(function);
		return ret;
	}
	if (function->number == ON_GPU)
		gpu->bound = pdev;
	mutex_lock(&functions_lock);
	list_add_tail(&function->list, &functions);
	function_register(function);
	mutex_unlock(&functions_lock);
	return 0;
}

/* Unbinding the GPU loses what the driver kept of it: the mode, and every vGPU, also those on virtual functions. */
static void nvidia_remove(struct pci_dev *pdev)
{
	struct function *function = pci_get_drvdata(pdev);

	mutex_lock(&functions_lock);
	list_del(&function->list);
	mutex_unlock(&functions_lock);
	mdev_parent_remove(function);
	vendor_remove(function);
	if (function->number == ON_GPU) {
		proc_gpu_remove(function->gpu);
		rm_lose_all(function->gpu);
		function->gpu->bound = NULL;
	}
	kfree(function);
}

static const struct pci_device_id ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_NVIDIA, PCI_ANY_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, ids);

/* Without sriov_configure, as NVIDIA's: the kernel refuses writes to sriov_numvfs while this driver has the GPU. */
static struct pci_driver nvidia_driver = {
	.name = "nvidia",
	.id_table = ids,
	.probe = nvidia_probe,
	.remove = nvidia_remove,
};

static int __init testbed_init(void)
{
	int ret;

	interface_vendor = !strcmp(interface, "vfio");
	if (!interface_vendor && strcmp(interface, "mdev"))
		return -EINVAL;
	ret = proc_add();
	if (ret)
		return ret;
	ret = mdev_register_driver(&nv_mdev_driver);
	if (ret)
		goto no_mdev;
	ret = pci_register_driver(&nvidia_driver);
	if (ret)
		goto no_pci;
	ret = boards_add(boards, board_count);
	if (ret)
		goto no_boards;
	return 0;

no_boards:
	boards_remove();
	pci_unregister_driver(&nvidia_driver);
no_pci:
	mdev_unregister_driver(&nv_mdev_driver);
no_mdev:
	proc_remove_all();
	return ret;
}

static void __exit testbed_exit(void)
{
	boards_remove();
	pci_unregister_driver(&nvidia_driver);
	mdev_unregister_driver(&nv_mdev_driver);
	rm_forget_types();
	proc_remove_all();
}

module_init(testbed_init);
module_exit(testbed_exit);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("the vgpu4nixos authors");
MODULE_DESCRIPTION("Test bed: NVIDIA's vGPU interfaces without a GPU");
