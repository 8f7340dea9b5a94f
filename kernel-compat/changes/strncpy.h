/* Linux 7.2: strncpy() is gone. */
#ifndef KERNEL_HAS_strncpy
static inline char *vgpu_strncpy(char *to, const char *from, __kernel_size_t size)
{
    __kernel_size_t i = 0;

    for (; i < size && from[i] != '\0'; i++)
        to[i] = from[i];
    for (; i < size; i++)
        to[i] = '\0';
    return to;
}
#define strncpy vgpu_strncpy
#endif
