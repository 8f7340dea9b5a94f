/* Linux 7.2 has no linux/of_gpio.h. Drivers from 580 on include it unasked. Of its functions, which are for boards with
 * a device tree, a PC had no more than what is here. */
#if __has_include_next(<linux/of_gpio.h>)
#include_next <linux/of_gpio.h>
#else
#include <linux/errno.h>
struct device_node;
static inline int of_get_named_gpio(const struct device_node *node, const char *list, int index)
{
    return -ENOSYS;
}
#endif
