/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A kernel module for tests alone: boards that do not exist, with the interfaces that NVIDIA's host driver offers for
 * vGPUs. It drives nothing; it keeps the books that the real driver keeps and answers with the same errors.
 *
 *   board.c    PCI buses of our own with a GPU on each: the kernel itself makes virtual functions from its config space
 *   main.c     the PCI driver "nvidia" that binds to GPUs and virtual functions
 *   rm.c       the rules of the resource manager: which vGPU may be made when, and its answer when not
 *   vfio.c     what a virtual machine opens
 *   mdev.c     interfaces 1 and 2: mdevs on the GPU, or on its virtual functions
 *   vendor.c   interface 3: the files below nvidia/ of a virtual function
 *   proc.c     /proc/driver/nvidia, and in it the file that steers the test bed
 *
 * Copyright (c) 2026 the vgpu4nixos authors
 */
#ifndef TESTBED_H
#define TESTBED_H

#include <linux/list.h>
#include <linux/mdev.h>
#include <linux/mutex.h>
#include <linux/miscdevice.h>
#include <linux/pci.h>
#include <linux/vfio.h>

#define MAX_BOARDS 4
#define MAX_TYPES 64 /* VFIO_MAX_VGPU_TYPES_PER_PGPU of R525. */
#define MAX_PARAMS 1024
#define VM_NAME_SIZE 128
#define ON_GPU -1 /* In place of the number of a virtual function. */

/* Answers of NVIDIA's resource manager; nvstatuscodes.h of NVIDIA/open-gpu-kernel-modules. */
enum nv_status {
	NV_OK = 0,
	NV_INSUFFICIENT_RESOURCES = 0x1a,
	NV_INVALID_OPERATION = 0x38,
	NV_NO_MEMORY = 0x51,
	NV_NOT_SUPPORTED = 0x56,
	NV_OBJECT_NOT_FOUND = 0x57,
};

/* A model of GPU. */
struct board_kind {
	const char *key;
	const char *name;
	u16 device;
	u16 subsystem;
	u16 functions; /* Virtual functions it can have; 0: no SR-IOV. */
	unsigned int memory_gib;
};

/* What nvidia-vgpud tells the kernel about one type. */
struct vgpu_type {
	struct list_head list;
	u16 device;
	unsigned int id;
	unsigned int size_mib;
	unsigned int max_instance;
	unsigned int heads, frl, width, height;
	char name[64];
};

/* One vGPU that exists. */
struct vgpu {
	struct list_head list;
	struct vgpu **slot; /* Where its owner keeps it. */
	const struct vgpu_type *type;
	int function;
	unsigned int placement; /* First GiB of its memory. */
	bool open;
	unsigned long plugin_gone; /* In jiffies: until then its process is still ending. */
	char params[MAX_PARAMS + 1];
	char vm_name[VM_NAME_SIZE];
};

struct gpu {
	const struct board_kind *kind;
	struct pci_sysdata sysdata;
	struct pci_bus *root;
	struct resource numbers; /* Of its buses: one. */
	u8 bus;
	u16 sriov_control, sriov_enabled; /* Registers of its config space. */

	/* Protects what follows. */
	struct mutex lock;
	struct pci_dev *bound; /* The GPU, while our driver has it. */
	struct list_head vgpus;
	unsigned int made; /* How many vGPUs were ever made on it. */
	bool mixed_sizes;
	bool unbind_locked;
	unsigned int clients; /* Who has /dev/nvidiaN open. */
	struct miscdevice node;
	char node_name[16];
	struct proc_dir_entry *proc;
};

/* A vGPU type as the mdev core knows it, on one parent. */
struct parent_type {
	struct mdev_type core;
	const struct vgpu_type *type;
	struct function *function;
	char sysfs_name[12];
};

/* What can be opened through VFIO: an mdev, or a virtual function of interface 3. */
struct nv_vfio {
	struct vfio_device vdev;
	struct gpu *gpu;
	int function;
	struct vgpu *vgpu;
};

/* A PCI function that our driver is bound to. */
struct function {
	struct list_head list;
	struct pci_dev *pdev;
	struct gpu *gpu;
	int number;
	struct mdev_parent parent;
	struct parent_type *types;
	struct mdev_type **type_pointers;
	bool is_parent;
	struct nv_vfio *vfio;
};

extern struct gpu gpus[MAX_BOARDS];
extern unsigned int gpu_count;
extern bool interface_vendor; /* Interface 3 where there is SR-IOV; else interface 2. */
extern unsigned int plugin_exit_ms;

int boards_add(char **descriptions, unsigned int count);
void boards_remove(void);
struct gpu *board_of(const struct pci_dev *pdev);
int function_of(const struct pci_dev *pdev);

bool rm_types_known(void);
int rm_add_type(const struct vgpu_type *type);
void rm_forget_types(void);
const struct vgpu_type *rm_next_type(const struct gpu *gpu, const struct vgpu_type *after);
void rm_refuse(enum nv_status status, unsigned int count);
unsigned int rm_available(struct gpu *gpu, int function, const struct vgpu_type *type);
int rm_create(struct gpu *gpu, int function, unsigned int id, const char *who, struct vgpu **slot);
void rm_destroy(struct vgpu *vgpu);
void rm_lose_all(struct gpu *gpu);

struct nv_vfio *nv_vfio_add(struct device *dev, struct gpu *gpu, int function, unsigned int type);
void nv_vfio_remove(struct nv_vfio *vfio);
int nv_vfio_destroy_vgpu(struct nv_vfio *vfio);
ssize_t nv_vfio_show_params(struct nv_vfio *vfio, char *buf);
ssize_t nv_vfio_store_params(struct nv_vfio *vfio, const char *buf, size_t count);

extern struct mdev_driver nv_mdev_driver;
int mdev_parent_add(struct function *function);
void mdev_parent_remove(struct function *function);

int vendor_add(struct function *function);
void vendor_remove(struct function *function);

void functions_register(void);

int proc_add(void);
void proc_remove_all(void);
int proc_gpu_add(struct gpu *gpu, unsigned int minor);
void proc_gpu_remove(struct gpu *gpu);

#endif
