// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interfaces 1 and 2: mediated devices, on a GPU without SR-IOV or on virtual functions. Directories, UUIDs and the
 * errors about them are the kernel's own mdev core's.
 *
 * Copyright (c) 2026 the vgpu4nixos authors
 */
#include <linux/slab.h>
#include "testbed.h"

static struct parent_type *parent_type(struct mdev_type *type)
{
	return container_of(type, struct parent_type, core);
}

static int nv_mdev_probe(struct mdev_device *mdev)
{
	struct parent_type *type = parent_type(mdev->type);
	struct nv_vfio *vfio;

	vfio = nv_vfio_add(&mdev->dev, type->function->gpu, type->function->number, type->type->id);
	if (IS_ERR(vfio))
		return PTR_ERR(vfio);
	dev_set_drvdata(&mdev->dev, vfio);
	return 0;
}

static void nv_mdev_remove(struct mdev_device *mdev)
{
	nv_vfio_remove(dev_get_drvdata(&mdev->dev));
}

static unsigned int nv_mdev_available(struct mdev_type *mtype)
{
	struct parent_type *type = parent_type(mtype);
	struct gpu *gpu = type->function->gpu;
	unsigned int available;

	mutex_lock(&gpu->lock);
	available = rm_available(gpu, type->function->number, type->type);
	mutex_unlock(&gpu->lock);
	return available;
}

static ssize_t nv_mdev_description(struct mdev_type *mtype, char *buf)
{
	const struct vgpu_type *type = parent_type(mtype)->type;

	return sysfs_emit(buf, "num_heads=%u, frl_config=%u, framebuffer=%uM, max_resolution=%ux%u, max_instance=%u\n",
			  type->heads, type->frl, type->size_mib, type->width, type->height, type->max_instance);
}

static ssize_t vgpu_params_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return nv_vfio_show_params(dev_get_drvdata(dev), buf);
}

static ssize_t vgpu_params_store(struct device *dev, struct device_attribute *attr, const char *buf, size_t count)
{
	return nv_vfio_store_params(dev_get_drvdata(dev), buf, count);
}
static DEVICE_ATTR_RW(vgpu_params);

static ssize_t vm_name_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct nv_vfio *vfio = dev_get_drvdata(dev);
	ssize_t ret;

	mutex_lock(&vfio->gpu->lock);
	ret = sysfs_emit(buf, "%s\n", vfio->vgpu ? vfio->vgpu->vm_name : "");
	mutex_unlock(&vfio->gpu->lock);
	return ret;
}
static DEVICE_ATTR_RO(vm_name);

static struct attribute *nvidia_attrs[] = { &dev_attr_vgpu_params.attr, &dev_attr_vm_name.attr, NULL };
static const struct attribute_group nvidia_group = { .name = "nvidia", .attrs = nvidia_attrs };
static const struct attribute_group *nvidia_groups[] = { &nvidia_group, NULL };

struct mdev_driver nv_mdev_driver = {
	.device_api = VFIO_DEVICE_API_PCI_STRING,
	.probe = nv_mdev_probe,
	.remove = nv_mdev_remove,
	.get_available = nv_mdev_available,
	.show_description = nv_mdev_description,
	.driver = {
		.name = "nvidia-vgpu-vfio",
		.owner = THIS_MODULE,
		.mod_name = KBUILD_MODNAME,
		.dev_groups = nvidia_groups,
	},
};

int mdev_parent_add(struct function *function)
{
	const struct vgpu_type *type = NULL;
	unsigned int count = 0;
	int ret;

	function->types = kcalloc(MAX_TYPES, sizeof(*function->types), GFP_KERNEL);
	function->type_pointers = kcalloc(MAX_TYPES, sizeof(*function->type_pointers), GFP_KERNEL);
	if (!function->types || !function->type_pointers) {
		ret = -ENOMEM;
		goto failed;
	}
	while (count < MAX_TYPES && (type = rm_next_type(function->gpu, type))) {
		struct parent_type *of = &function->types[count];

		of->type = type;
		of->function = function;
		snprintf(of->sysfs_name, sizeof(of->sysfs_name), "%u", type->id);
		of->core.sysfs_name = of->sysfs_name;
		of->core.pretty_name = type->name;
		function->type_pointers[count++] = &of->core;
	}
	ret = mdev_register_parent(&function->parent, &function->pdev->dev, &nv_mdev_driver, function->type_pointers,
				   count);
	if (ret)
		goto failed;
	function->is_parent = true;
	return 0;
failed:
	kfree(function->types);
	kfree(function->type_pointers);
	return ret;
}

void mdev_parent_remove(struct function *function)
{
	if (!function->is_parent)
		return;
	mdev_unregister_parent(&function->parent);
	kfree(function->types);
	kfree(function->type_pointers);
	function->is_parent = false;
}
