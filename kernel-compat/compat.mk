# Lets NVIDIA's sources meet kernels that are newer than they are. apply.sh adds a line to a driver's Kbuild file
# that reads this one, at its end; README.md explains how it works and how a change of the kernel is added.

vgpu-compat := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))

# What the headers of this kernel have, and what they have no more. Not its version: stable kernels take changes
# from newer ones. $(1): a header; $(2): a word in it; $(3): a pattern where the word alone would say too little.
# → -DKERNEL_HAS_word, or nothing. DRIVER_HAS_word is what the driver knows of already; KERNEL_KEEPS_word a function
# that the kernel keeps for GPL modules.
kernel-has = $(if $(shell grep -sw '$(or $(3),$(2))' $(NV_KERNEL_SOURCES)/include/$(1)),-DKERNEL_HAS_$(2))
kernel-keeps = $(if $(shell grep -sw '$(1).*EXPORT_SYMBOL_GPL' $(NV_KERNEL_OUTPUT)/Module.symvers),-DKERNEL_KEEPS_$(1))
driver-has = $(if $(shell grep -sw '$(or $(3),$(2))' $(src)/$(1)),-DDRIVER_HAS_$(2))

vgpu-flags := \
  $(call kernel-has,asm-generic/iomap.h,iowrite64) \
  $(call kernel-has,drm/drm_atomic.h,drm_atomic_commit_put) \
  $(call kernel-has,drm/drm_atomic.h,state_to_destroy) \
  $(call kernel-has,drm/drm_modeset_helper.h,drm_format_info) \
  $(call kernel-has,linux/dma-buf.h,dma_buf_attachment_is_dynamic,dma_buf_attachment_is_dynamic.struct) \
  $(call kernel-has,linux/dma-fence.h,dma_fence_check_and_signal) \
  $(call kernel-has,linux/dma-map-ops.h,map_phys) \
  $(call kernel-has,linux/fs.h,no_llseek) \
  $(call kernel-has,linux/hrtimer.h,hrtimer_init) \
  $(call kernel-has,linux/iommu.h,iommu_dev_enable_feature) \
  $(call kernel-has,linux/memremap.h,folio_free) \
  $(call kernel-has,linux/mm.h,follow_pfnmap_args) \
  $(call kernel-has,linux/mm_types.h,__vm_flags) \
  $(call kernel-has,linux/mm_types.h,vma_flags_t) \
  $(call kernel-has,linux/mmzone.h,page_pgmap) \
  $(call kernel-has,linux/pfn_t.h,pfn_to_pfn_t) \
  $(call kernel-has,linux/preempt.h,in_irq) \
  $(call kernel-has,linux/rmap.h,make_device_exclusive) \
  $(call kernel-has,linux/string.h,strncpy,strncpy.char) \
  $(call kernel-has,linux/timer.h,del_timer_sync) \
  $(call kernel-has,linux/timer.h,from_timer) \
  $(call kernel-has,linux/timer.h,timer_delete_sync) \
  $(call kernel-keeps,__vma_start_write) \
  $(call driver-has,nvidia/nv*.c,GPL,MODULE_LICENSE.*GPL) \
  $(call driver-has,nvidia/os-mlock.c,follow_pte) \
  $(call driver-has,nvidia-drm/nvidia-drm-fb.h,drm_format_info) \
  $(call driver-has,nvidia-uvm/uvm_linux.h,page_pgmap) \
  $(call driver-has,nvidia-uvm/uvm_pmm_gpu.c,folio_free)

# include/ comes before the kernel's own headers: a file there includes the kernel's file of that name, then adapts it.
# conftest.sh, which finds out what the kernel has, must see what the compiler will see.
vgpu-flags += -I$(vgpu-compat)/include -include $(vgpu-compat)/compat.h
NOSTDINC_FLAGS += $(vgpu-flags)
NV_CFLAGS_FROM_CONFTEST := $(vgpu-flags) $(NV_CFLAGS_FROM_CONFTEST)

# Linux 6.15 reads EXTRA_CFLAGS no more (commit e966ad0edd00, "kbuild: remove EXTRA_*FLAGS support"). Drivers up to
# 570 name all their include folders there.
ifeq ($(shell grep -s EXTRA_CFLAGS $(NV_KERNEL_SOURCES)/scripts/Makefile.lib),)
  ccflags-y += $(EXTRA_CFLAGS)
endif

# The kernel's headers are written in a dialect: -std=gnu11 where the compiler has moved on to C23, and since Linux 6.19
# -fms-extensions (commit c4781dc3d1cf, "Kbuild: enable -fms-extensions"). conftest.sh compiles without Kbuild; without
# the dialect none of its tests compiles, and it finds a kernel that has nothing.
NV_CONFTEST_CFLAGS += $(filter -std=% -fms-extensions -fms-anonymous-structs,$(KBUILD_CFLAGS))
