// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/driver/nvidia as far as programs look at it, /dev/nvidiaN for them to hold a GPU by, and
 * /proc/driver/nvidia/testbed, which steers the module. It takes one command a write:
 *
 *     type DEVICE ID SIZE_MIB MAX_INSTANCE HEADS FRL WIDTH HEIGHT NAME    a type of the boards with this device id (hex)
 *     ready                        that was the last type: offer vGPUs
 *     mixed BUS 0|1                mixed-size mode of the GPU on this bus (hex); EBUSY while it has vGPUs, EOPNOTSUPP
 *                                  without SR-IOV
 *     refuse STATUS COUNT          refuse the next COUNT requests with this status (hex) of the resource manager
 *
 * It reads as a line "BUS made N mixed 0|1" for each GPU: how many vGPUs were ever made on it, and its mode.
 *
 * Copyright (c) 2026 the vgpu4nixos authors
 */
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#include "testbed.h"

static struct proc_dir_entry *root, *gpus_dir;

static int version_show(struct seq_file *file, void *unused)
{
	seq_puts(file, "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.02  Fri Mar 28 05:42:54 UTC 2025\n");
	seq_puts(file, "GCC version:  none, this is a test\n");
	return 0;
}

static int information_show(struct seq_file *file, void *unused)
{
	struct gpu *gpu = file->private;

	seq_printf(file, "Model: \t\t %s\n", gpu->kind->name);
	seq_printf(file, "IRQ:   \t\t 0\n");
	seq_printf(file, "GPU UUID: \t GPU-00000000-0000-0000-0000-0000000000%02x\n", gpu->bus);
	seq_printf(file, "Bus Type: \t PCIe\n");
	seq_printf(file, "Bus Location: \t 0000:%02x:00.0\n", gpu->bus);
	seq_printf(file, "Device Minor: \t %td\n", gpu - gpus);
	seq_printf(file, "GPU Excluded:\t No\n");
	return 0;
}

/* A GPU may be unbound while nobody uses it: the lock is had if it reads 1 after 1 was written. */
static int unbind_lock_show(struct seq_file *file, void *unused)
{
	struct gpu *gpu = file->private;

	seq_printf(file, "%d\n", gpu->unbind_locked);
	return 0;
}

static int unbind_lock_open(struct inode *inode, struct file *file)
{
	return single_open(file, unbind_lock_show, pde_data(inode));
}

static bool in_use(const struct gpu *gpu)
{
	const struct vgpu *vgpu;

	list_for_each_entry(vgpu, &gpu->vgpus, list)
		if (vgpu->open)
			return true;
	return gpu->clients != 0;
}

static ssize_t unbind_lock_write(struct file *file, const char __user *buf, size_t count, loff_t *at)
{
	struct gpu *gpu = pde_data(file_inode(file));
	bool wanted;
	int ret = kstrtobool_from_user(buf, count, &wanted);

	if (ret)
		return ret;
	mutex_lock(&gpu->lock);
	gpu->unbind_locked = wanted && !in_use(gpu);
	mutex_unlock(&gpu->lock);
	return count;
}

static const struct proc_ops unbind_lock_ops = {
	.proc_open = unbind_lock_open,
	.proc_read = seq_read,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
	.proc_write = unbind_lock_write,
};

static struct gpu *gpu_of_node(struct file *file)
{
	return container_of(file->private_data, struct gpu, node);
}

static int node_open(struct inode *inode, struct file *file)
{
	struct gpu *gpu = gpu_of_node(file);
	int ret = 0;

	mutex_lock(&gpu->lock);
	if (gpu->unbind_locked)
		ret = -EBUSY;
	else
		gpu->clients++;
	mutex_unlock(&gpu->lock);
	return ret;
}

static int node_release(struct inode *inode, struct file *file)
{
	struct gpu *gpu = gpu_of_node(file);

	mutex_lock(&gpu->lock);
	gpu->clients--;
	mutex_unlock(&gpu->lock);
	return 0;
}

static const struct file_operations node_ops = {
	.owner = THIS_MODULE,
	.open = node_open,
	.release = node_release,
};

/* The files of a GPU: they come and go as the driver is bound and unbound. */
int proc_gpu_add(struct gpu *gpu, unsigned int minor)
{
	char address[16];
	int ret;

	gpu->unbind_locked = false;
	snprintf(gpu->node_name, sizeof(gpu->node_name), "nvidia%u", minor);
	gpu->node = (struct miscdevice){ .minor = MISC_DYNAMIC_MINOR, .name = gpu->node_name, .fops = &node_ops };
	ret = misc_register(&gpu->node);
	if (ret)
		return ret;
	snprintf(address, sizeof(address), "0000:%02x:00.0", gpu->bus);
	gpu->proc = proc_mkdir(address, gpus_dir);
	if (!gpu->proc || !proc_create_single_data("information", 0444, gpu->proc, information_show, gpu) ||
	    !proc_create_data("unbindLock", 0644, gpu->proc, &unbind_lock_ops, gpu)) {
		proc_gpu_remove(gpu);
		return -ENOMEM;
	}
	return 0;
}

void proc_gpu_remove(struct gpu *gpu)
{
	proc_remove(gpu->proc);
	misc_deregister(&gpu->node);
}

static int add_type(const char *line)
{
	struct vgpu_type type = {};
	int name = 0;

	sscanf(line, "%hx %u %u %u %u %u %u %u %n", &type.device, &type.id, &type.size_mib, &type.max_instance,
	       &type.heads, &type.frl, &type.width, &type.height, &name);
	if (!name || !type.size_mib)
		return -EINVAL;
	strscpy(type.name, line + name, sizeof(type.name));
	return rm_add_type(&type);
}

static int set_mixed(const char *line)
{
	unsigned int i, bus, on;
	int ret = -ENODEV;

	if (sscanf(line, "%x %u", &bus, &on) != 2)
		return -EINVAL;
	for (i = 0; i < gpu_count; i++) {
		if (gpus[i].bus != bus || !gpus[i].bound)
			continue;
		if (!gpus[i].kind->functions)
			return -EOPNOTSUPP;
		mutex_lock(&gpus[i].lock);
		ret = list_empty(&gpus[i].vgpus) ? 0 : -EBUSY;
		if (!ret)
			gpus[i].mixed_sizes = on;
		mutex_unlock(&gpus[i].lock);
	}
	return ret;
}

static int command(char *line)
{
	unsigned int status, count;

	if (!strncmp(line, "type ", 5))
		return add_type(line + 5);
	if (!strncmp(line, "mixed ", 6))
		return set_mixed(line + 6);
	if (sscanf(line, "refuse %x %u", &status, &count) == 2) {
		rm_refuse(status, count);
		return 0;
	}
	if (strcmp(line, "ready"))
		return -EINVAL;
	rm_add_type(NULL);
	functions_register();
	return 0;
}

static ssize_t testbed_write(struct file *file, const char __user *buf, size_t count, loff_t *at)
{
	char *line = memdup_user_nul(buf, min(count, PAGE_SIZE));
	int ret;

	if (IS_ERR(line))
		return PTR_ERR(line);
	ret = command(strim(line));
	kfree(line);
	return ret ? ret : count;
}

static int testbed_show(struct seq_file *file, void *unused)
{
	unsigned int i;

	for (i = 0; i < gpu_count; i++)
		seq_printf(file, "%x made %u mixed %d\n", gpus[i].bus, gpus[i].made, gpus[i].mixed_sizes);
	return 0;
}

static int testbed_open(struct inode *inode, struct file *file)
{
	return single_open(file, testbed_show, NULL);
}

static const struct proc_ops testbed_ops = {
	.proc_open = testbed_open,
	.proc_read = seq_read,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
	.proc_write = testbed_write,
};

int proc_add(void)
{
	root = proc_mkdir("driver/nvidia", NULL);
	gpus_dir = proc_mkdir("gpus", root);
	if (!root || !gpus_dir || !proc_create_single("version", 0444, root, version_show) ||
	    !proc_create("testbed", 0600, root, &testbed_ops)) {
		proc_remove_all();
		return -ENOMEM;
	}
	return 0;
}

void proc_remove_all(void)
{
	proc_remove(root);
}
