/* Included before everything else, in drivers and in the tests of conftest.sh: names that the kernel gave up.
 * Nothing in here may include a header of the kernel. */
#include "changes/drm-atomic-commit.h"
#include "changes/dma-map-phys.h"
#include "changes/in-irq.h"
#include "changes/no-llseek.h"
#include "changes/pfn-t.h"
#include "changes/timer-names.h"
#include "changes/vma-flags.h"
