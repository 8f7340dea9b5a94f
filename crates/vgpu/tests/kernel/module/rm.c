// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rules by which NVIDIA's resource manager makes vGPUs, after kernel_vgpu_mgr.c of NVIDIA/open-gpu-kernel-modules:
 * kvgpumgrCreateRequestVgpu, _kvgpumgrCheckVgpuTypeSupported, kvgpumgrGetAvailableInstances. All vGPUs of a GPU have
 * one framebuffer size, and a type's max_instance bounds how many there may be; in mixed-size mode each needs a free
 * stretch of the GPU's memory instead.
 *
 * Copyright (c) 2026 the vgpu4nixos authors
 */
#include <linux/slab.h>
#include "testbed.h"

static LIST_HEAD(types);
static bool types_known;

static enum nv_status refused_status;
static unsigned int refusals;

bool rm_types_known(void)
{
	return READ_ONCE(types_known);
}

/* Remember a type; NULL: that was the last one. */
int rm_add_type(const struct vgpu_type *type)
{
	struct vgpu_type *copy;

	if (!type) {
		WRITE_ONCE(types_known, true);
		return 0;
	}
	if (types_known)
		return -EBUSY; /* Lists of types are read without a lock from here on. */
	copy = kmemdup(type, sizeof(*type), GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	list_add_tail(&copy->list, &types);
	return 0;
}

void rm_forget_types(void)
{
	struct vgpu_type *type, *next;

	list_for_each_entry_safe(type, next, &types, list) {
		list_del(&type->list);
		kfree(type);
	}
}

/* The type after `after` that this GPU's model has; NULL: start, or no more. */
const struct vgpu_type *rm_next_type(const struct gpu *gpu, const struct vgpu_type *after)
{
	const struct vgpu_type *type = after ? after : list_entry(&types, struct vgpu_type, list);

	if (!types_known)
		return NULL;
	list_for_each_entry_continue(type, &types, list)
		if (type->device == gpu->kind->device)
			return type;
	return NULL;
}

/* Refuse the next `count` requests with `status`, whatever they are. */
void rm_refuse(enum nv_status status, unsigned int count)
{
	refused_status = status;
	WRITE_ONCE(refusals, count);
}

static unsigned int size_gib(const struct vgpu_type *type)
{
	return DIV_ROUND_UP(type->size_mib, 1024);
}

/* The lowest place, a multiple of the type's own size, that no vGPU covers; negative: there is none. */
static int free_place(struct gpu *gpu, const struct vgpu_type *type)
{
	unsigned int size = size_gib(type), place;
	const struct vgpu *vgpu;

	for (place = 0; place + size <= gpu->kind->memory_gib; place += size) {
		bool taken = false;

		list_for_each_entry(vgpu, &gpu->vgpus, list)
			if (place < vgpu->placement + size_gib(vgpu->type) && vgpu->placement < place + size)
				taken = true;
		if (!taken)
			return place;
	}
	return -1;
}

static unsigned int created_on(struct gpu *gpu)
{
	const struct vgpu *vgpu;
	unsigned int created = 0;

	list_for_each_entry(vgpu, &gpu->vgpus, list)
		created++;
	return created;
}

static enum nv_status creatable(struct gpu *gpu, int function, const struct vgpu_type *type)
{
	const struct vgpu *vgpu, *first = list_first_entry_or_null(&gpu->vgpus, struct vgpu, list);

	list_for_each_entry(vgpu, &gpu->vgpus, list)
		if (function != ON_GPU && vgpu->function == function)
			return NV_INVALID_OPERATION;
	if (!gpu->mixed_sizes) {
		if (first && first->type->size_mib != type->size_mib)
			return NV_NOT_SUPPORTED;
		if (created_on(gpu) >= type->max_instance)
			return NV_INSUFFICIENT_RESOURCES;
	}
	return free_place(gpu, type) < 0 ? NV_INSUFFICIENT_RESOURCES : NV_OK;
}

/* How many of the type could still be made; the caller holds the lock. On a virtual function: 0 or 1. */
unsigned int rm_available(struct gpu *gpu, int function, const struct vgpu_type *type)
{
	lockdep_assert_held(&gpu->lock);
	if (creatable(gpu, function, type))
		return 0;
	return function == ON_GPU ? type->max_instance - created_on(gpu) : 1;
}

static enum nv_status create(struct gpu *gpu, int function, unsigned int id, struct vgpu **slot)
{
	const struct vgpu_type *type = NULL;
	enum nv_status status;
	struct vgpu *vgpu;

	if (refusals) {
		refusals--;
		return refused_status;
	}
	while (gpu->bound && (type = rm_next_type(gpu, type)) && type->id != id)
		;
	if (!type)
		return NV_OBJECT_NOT_FOUND;
	status = creatable(gpu, function, type);
	if (status)
		return status;
	vgpu = kzalloc(sizeof(*vgpu), GFP_KERNEL);
	if (!vgpu)
		return NV_NO_MEMORY;
	vgpu->slot = slot;
	vgpu->type = type;
	vgpu->function = function;
	vgpu->placement = free_place(gpu, type);
	vgpu->plugin_gone = jiffies;
	list_add_tail(&vgpu->list, &gpu->vgpus);
	gpu->made++;
	*slot = vgpu;
	return NV_OK;
}

/* Make a vGPU and put it into the slot, or say in the kernel's log why not. The caller holds the lock. */
int rm_create(struct gpu *gpu, int function, unsigned int id, const char *who, struct vgpu **slot)
{
	enum nv_status status;

	lockdep_assert_held(&gpu->lock);
	status = create(gpu, function, id, slot);
	if (!status)
		return 0;
	pr_err("NVRM: Failed to add vgpu create request: 0x%x\n", status);
	pr_err("[nvidia-vgpu-vfio] %s: vGPU creation failed, %d\n", who, -EIO);
	return -EIO;
}

/* Empties the vGPU's slot, too. The caller holds the lock. */
void rm_destroy(struct vgpu *vgpu)
{
	*vgpu->slot = NULL;
	list_del(&vgpu->list);
	kfree(vgpu);
}

void rm_lose_all(struct gpu *gpu)
{
	struct vgpu *vgpu, *next;

	mutex_lock(&gpu->lock);
	gpu->mixed_sizes = false;
	list_for_each_entry_safe(vgpu, next, &gpu->vgpus, list)
		rm_destroy(vgpu);
	mutex_unlock(&gpu->lock);
}
