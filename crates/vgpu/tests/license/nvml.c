/*
 * Stands in for a host's libnvidia-ml.so.1, as far as licences of vGPUs go: two GPUs, two vGPUs on the second.
 *
 * Copyright (c) 2026 the vgpu4nixos authors
 */
#include <stdio.h>
#include <string.h>

/* nvmlVgpuLicenseInfo_t of nvml.h */
struct licence {
	unsigned char licensed;
	struct {
		unsigned int year;
		unsigned short month, day, hour, min, sec;
		unsigned char status;
	} expiry;
	unsigned int state;
};

int nvmlInitWithFlags(unsigned int flags) { (void)flags; return 0; }
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 2; return 0; }

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device)
{
	*device = (void *)(1ul + index);
	return 0;
}

int nvmlDeviceGetActiveVgpus(void *device, unsigned int *count, unsigned int *vgpus)
{
	unsigned int room = *count;

	*count = device == (void *)2ul ? 2 : 0;
	if (room < *count)
		return 7; /* too small */
	for (unsigned int at = 0; at < *count; at++)
		vgpus[at] = 100 + at;
	return 0;
}

/* The second is on a virtual function, without a mediated device. */
int nvmlVgpuInstanceGetMdevUUID(unsigned int vgpu, char *text, unsigned int size)
{
	if (vgpu != 100)
		return 3; /* not supported */
	snprintf(text, size, "11111111-0000-0000-0000-000000000000");
	return 0;
}

int nvmlVgpuInstanceGetVmID(unsigned int vgpu, char *text, unsigned int size, unsigned int *type)
{
	snprintf(text, size, "machine-%u", vgpu);
	*type = 0;
	return 0;
}

int nvmlVgpuInstanceGetLicenseInfo_v2(unsigned int vgpu, struct licence *licence)
{
	memset(licence, 0, sizeof(*licence));
	if (vgpu == 100) {
		licence->licensed = 1;
		licence->expiry.year = 2027;
		licence->expiry.month = 1;
		licence->expiry.day = 4;
		licence->expiry.hour = 8;
		licence->expiry.status = 2; /* valid */
		licence->state = 5; /* licensed */
	} else {
		licence->state = 3; /* unlicensed, restricted */
	}
	return 0;
}
