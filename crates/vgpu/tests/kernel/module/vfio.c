// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a virtual machine opens: a VFIO device in a group of its own, so that /dev/vfio/N and the file descriptors on it
 * are real. There is no GPU behind it: it can be opened and closed, not used.
 *
 * Copyright (c) 2026 the vgpu4nixos authors
 */
#include <linux/delay.h>
#include <linux/sched/mm.h>
#include <linux/uaccess.h>
#include "testbed.h"

#define PLUGIN_WAIT_MS 5000 /* NVIDIA's driver waits this long for a vGPU's process to end. */

/* The word after -name on the command line of this process: what nvidia-vgpu-mgr takes for the VM's name. */
static void read_vm_name(char *name)
{
	char *line = kzalloc(PAGE_SIZE, GFP_KERNEL);
	unsigned long size = current->mm->arg_end - current->mm->arg_start;
	char *word, *end;

	if (!line)
		return;
	size = min(size, PAGE_SIZE - 1);
	if (copy_from_user(line, (void __user *)current->mm->arg_start, size))
		size = 0;
	end = line + size;
	for (word = line; word < end; word += strlen(word) + 1)
		if (!strcmp(word, "-name") && word + 6 < end)
			strscpy(name, word + 6, VM_NAME_SIZE);
	kfree(line);
}

static int nv_open(struct vfio_device *vdev)
{
	struct nv_vfio *vfio = container_of(vdev, struct nv_vfio, vdev);
	int ret = 0;

	mutex_lock(&vfio->gpu->lock);
	if (vfio->vgpu) {
		vfio->vgpu->open = true;
		read_vm_name(vfio->vgpu->vm_name);
	} else {
		pr_err("[nvidia-vgpu-vfio] %s: current_vgpu_type of VF not configured\n", dev_name(vdev->dev));
		ret = -ENODEV;
	}
	mutex_unlock(&vfio->gpu->lock);
	return ret;
}

static void nv_close(struct vfio_device *vdev)
{
	struct nv_vfio *vfio = container_of(vdev, struct nv_vfio, vdev);

	mutex_lock(&vfio->gpu->lock);
	if (vfio->vgpu) {
		vfio->vgpu->open = false;
		vfio->vgpu->vm_name[0] = '\0';
		vfio->vgpu->plugin_gone = jiffies + msecs_to_jiffies(plugin_exit_ms);
	}
	mutex_unlock(&vfio->gpu->lock);
}

static const struct vfio_device_ops nv_vfio_ops = {
	.name = "nvidia-vgpu-vfio",
	.release = vfio_free_device,
	.open_device = nv_open,
	.close_device = nv_close,
};

/* Make `dev` a VFIO device with a vGPU of this type; 0: with none yet. */
struct nv_vfio *nv_vfio_add(struct device *dev, struct gpu *gpu, int function, unsigned int type)
{
	struct nv_vfio *vfio = vfio_alloc_device(nv_vfio, vdev, dev, &nv_vfio_ops);
	int ret = 0;

	if (IS_ERR(vfio))
		return vfio;
	vfio->gpu = gpu;
	vfio->function = function;
	if (type) {
		mutex_lock(&gpu->lock);
		ret = rm_create(gpu, function, type, dev_name(dev), &vfio->vgpu);
		mutex_unlock(&gpu->lock);
	}
	if (!ret)
		ret = vfio_register_emulated_iommu_dev(&vfio->vdev);
	if (ret) {
		nv_vfio_destroy_vgpu(vfio);
		vfio_put_device(&vfio->vdev);
		return ERR_PTR(ret);
	}
	return vfio;
}

/* Waits until whoever has it open has closed it: so does the kernel's VFIO core. A process that lingers is killed. */
void nv_vfio_remove(struct nv_vfio *vfio)
{
	vfio_unregister_group_dev(&vfio->vdev);
	if (nv_vfio_destroy_vgpu(vfio) == -EBUSY) {
		mutex_lock(&vfio->gpu->lock);
		if (vfio->vgpu)
			rm_destroy(vfio->vgpu);
		mutex_unlock(&vfio->gpu->lock);
	}
	vfio_put_device(&vfio->vdev);
}

static long plugin_time_left(struct nv_vfio *vfio)
{
	long left = 0;

	mutex_lock(&vfio->gpu->lock);
	if (vfio->vgpu)
		left = jiffies_to_msecs(max(0L, (long)(vfio->vgpu->plugin_gone - jiffies)));
	mutex_unlock(&vfio->gpu->lock);
	return left;
}

/* Take the vGPU away, if there is one; -EPERM: it is open; -EBUSY: its process does not end. */
int nv_vfio_destroy_vgpu(struct nv_vfio *vfio)
{
	int ret = 0;

	msleep(min(plugin_time_left(vfio), (long)PLUGIN_WAIT_MS));
	if (plugin_time_left(vfio))
		return -EBUSY;
	mutex_lock(&vfio->gpu->lock);
	if (vfio->vgpu && vfio->vgpu->open)
		ret = -EPERM;
	else if (vfio->vgpu)
		rm_destroy(vfio->vgpu);
	mutex_unlock(&vfio->gpu->lock);
	return ret;
}

ssize_t nv_vfio_show_params(struct nv_vfio *vfio, char *buf)
{
	ssize_t ret = -ENXIO;

	mutex_lock(&vfio->gpu->lock);
	if (vfio->vgpu)
		ret = sysfs_emit(buf, "%s\n", vfio->vgpu->params);
	mutex_unlock(&vfio->gpu->lock);
	return ret;
}

/* Stored as written, with the line's end if there is one, as R525 does. */
ssize_t nv_vfio_store_params(struct nv_vfio *vfio, const char *buf, size_t count)
{
	ssize_t ret = count;

	if (count > MAX_PARAMS)
		return -E2BIG;
	mutex_lock(&vfio->gpu->lock);
	if (!vfio->vgpu) {
		ret = -ENXIO;
	} else if (vfio->vgpu->open) {
		ret = -EPERM;
	} else {
		memcpy(vfio->vgpu->params, buf, count);
		vfio->vgpu->params[count] = '\0';
	}
	mutex_unlock(&vfio->gpu->lock);
	return ret;
}
