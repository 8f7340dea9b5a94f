/* Linux 7.0: the flags of a vm_area_struct are a bitmap named `flags`, no more a number named `__vm_flags` beside the
 * constant `vm_flags`. conftest.sh looks for __vm_flags to learn that vm_flags can't be written, and closed drivers write
 * it. Its first word is that number. */
#if defined(KERNEL_HAS_vma_flags_t) && !defined(KERNEL_HAS___vm_flags)
#define __vm_flags flags.__vma_flags[0]
#endif
