// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interface 3: the files below nvidia/ of a virtual function. The function itself is the VFIO device, and it can have
 * one vGPU.
 *
 * Copyright (c) 2026 the vgpu4nixos authors
 */
#include "testbed.h"

static struct nv_vfio *vfio_of(struct device *dev)
{
	struct function *function = dev_get_drvdata(dev);

	return function->vfio;
}

/* Before nvidia-vgpud has told the types, and once the function has a vGPU: the header alone. */
static ssize_t creatable_vgpu_types_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct nv_vfio *vfio = vfio_of(dev);
	const struct vgpu_type *type = NULL;
	int used = sysfs_emit(buf, "ID    : vGPU Name\n");

	mutex_lock(&vfio->gpu->lock);
	while ((type = rm_next_type(vfio->gpu, type)))
		if (rm_available(vfio->gpu, vfio->function, type))
			used += sysfs_emit_at(buf, used, "%-5d : %s\n", type->id, type->name);
	mutex_unlock(&vfio->gpu->lock);
	return used;
}
static DEVICE_ATTR_RO(creatable_vgpu_types);

static ssize_t current_vgpu_type_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct nv_vfio *vfio = vfio_of(dev);
	unsigned int id;

	mutex_lock(&vfio->gpu->lock);
	id = vfio->vgpu ? vfio->vgpu->type->id : 0;
	mutex_unlock(&vfio->gpu->lock);
	return sysfs_emit(buf, "%u\n", id);
}

static int create(struct nv_vfio *vfio, const char *who, unsigned int id)
{
	int ret = -EPERM;

	mutex_lock(&vfio->gpu->lock);
	if (vfio->vgpu)
		pr_err("[nvidia-vgpu-vfio] %s: vGPU device already created with type ID: %u\n", who,
		       vfio->vgpu->type->id);
	else
		ret = rm_create(vfio->gpu, vfio->function, id, who, &vfio->vgpu);
	mutex_unlock(&vfio->gpu->lock);
	return ret;
}

static int destroy(struct nv_vfio *vfio, const char *who)
{
	int ret;

	if (!READ_ONCE(vfio->vgpu)) {
		pr_err("[nvidia-vgpu-vfio] %s: Failed to remove vGPU. No vGPU exists on current device\n", who);
		return -EPERM;
	}
	ret = nv_vfio_destroy_vgpu(vfio);
	if (ret == -EPERM)
		pr_err("[nvidia-vgpu-vfio] %s: vGPU destroy failed: 0x%x\n", who, NV_INVALID_OPERATION);
	return ret;
}

static ssize_t current_vgpu_type_store(struct device *dev, struct device_attribute *attr, const char *buf,
				       size_t count)
{
	long id;
	int ret = kstrtol(buf, 10, &id);

	if (ret)
		return ret;
	ret = id ? create(vfio_of(dev), dev_name(dev), id) : destroy(vfio_of(dev), dev_name(dev));
	return ret ? ret : count;
}
static DEVICE_ATTR_RW(current_vgpu_type);

static ssize_t vgpu_params_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return nv_vfio_show_params(vfio_of(dev), buf);
}

static ssize_t vgpu_params_store(struct device *dev, struct device_attribute *attr, const char *buf, size_t count)
{
	return nv_vfio_store_params(vfio_of(dev), buf, count);
}
static DEVICE_ATTR_RW(vgpu_params);

static ssize_t placement_id_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct nv_vfio *vfio = vfio_of(dev);
	ssize_t ret = -ENXIO;

	mutex_lock(&vfio->gpu->lock);
	if (vfio->vgpu)
		ret = sysfs_emit(buf, "%u\n", vfio->vgpu->placement);
	mutex_unlock(&vfio->gpu->lock);
	return ret;
}
static DEVICE_ATTR_RO(placement_id);

static struct attribute *nvidia_attrs[] = {
	&dev_attr_creatable_vgpu_types.attr, &dev_attr_current_vgpu_type.attr,
	&dev_attr_vgpu_params.attr, &dev_attr_placement_id.attr, NULL,
};
static const struct attribute_group nvidia_group = { .name = "nvidia", .attrs = nvidia_attrs };

int vendor_add(struct function *function)
{
	struct device *dev = &function->pdev->dev;
	int ret;

	function->vfio = nv_vfio_add(dev, function->gpu, function->number, 0);
	if (IS_ERR(function->vfio))
		return PTR_ERR(function->vfio);
	ret = device_add_group(dev, &nvidia_group);
	if (ret)
		nv_vfio_remove(function->vfio);
	return ret;
}

void vendor_remove(struct function *function)
{
	if (!function->vfio)
		return;
	device_remove_group(&function->pdev->dev, &nvidia_group);
	nv_vfio_remove(function->vfio);
}
