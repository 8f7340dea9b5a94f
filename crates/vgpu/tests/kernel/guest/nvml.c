// SPDX-License-Identifier: MIT
/*
 * Stands in for libnvidia-ml.so.1, as far as mixed-size mode goes. As NVIDIA's does, it holds every GPU from nvmlInit to
 * nvmlShutdown: sriov-manage cannot have a GPU in between.
 *
 * Copyright (c) 2026 the vgpu4nixos authors
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum status {
	SUCCESS = 0,
	UNINITIALIZED = 1,
	INVALID_ARGUMENT = 2,
	NOT_SUPPORTED = 3,
	NO_PERMISSION = 4,
	NOT_FOUND = 6,
	DRIVER_NOT_LOADED = 9,
	IN_USE = 19,
	ARGUMENT_VERSION_MISMATCH = 25,
	UNKNOWN = 999,
};

/* nvmlVgpuHeterogeneousMode_v1_t */
struct mode {
	unsigned int version;
	unsigned int on;
};
#define MODE_VERSION (sizeof(struct mode) | 1 << 24)

struct device {
	unsigned int bus;
	int node;
};

#define MAX_DEVICES 4
static struct device devices[MAX_DEVICES];
static int count = -1;

enum status nvmlInitWithFlags(unsigned int flags)
{
	DIR *directory = opendir("/proc/driver/nvidia/gpus");
	struct dirent *entry;
	char path[32];
	unsigned int bus;

	(void)flags;
	if (!directory)
		return DRIVER_NOT_LOADED;
	count = 0;
	while ((entry = readdir(directory)) && count < MAX_DEVICES) {
		if (sscanf(entry->d_name, "0000:%x:00.0", &bus) != 1)
			continue;
		snprintf(path, sizeof(path), "/dev/nvidia%d", count);
		devices[count] = (struct device){ bus, open(path, O_RDWR | O_CLOEXEC) };
		count++;
	}
	closedir(directory);
	return SUCCESS;
}

enum status nvmlInit_v2(void)
{
	return nvmlInitWithFlags(0);
}

enum status nvmlShutdown(void)
{
	if (count < 0)
		return UNINITIALIZED;
	while (count > 0)
		close(devices[--count].node);
	count = -1;
	return SUCCESS;
}

const char *nvmlErrorString(enum status status)
{
	switch (status) {
	case SUCCESS:
		return "Success";
	case IN_USE:
		return "In use by another client";
	case NOT_SUPPORTED:
		return "Not Supported";
	case NOT_FOUND:
		return "Not Found";
	default:
		return "Unknown Error";
	}
}

/* `address`: 00000000:41:00.0 or 0000:41:00.0 */
enum status nvmlDeviceGetHandleByPciBusId_v2(const char *address, struct device **device)
{
	unsigned int bus;
	int i;

	if (count < 0)
		return UNINITIALIZED;
	if (sscanf(address, "%*[0]:%x:00.0", &bus) != 1)
		return INVALID_ARGUMENT;
	for (i = 0; i < count; i++) {
		if (devices[i].bus == bus) {
			*device = &devices[i];
			return SUCCESS;
		}
	}
	return NOT_FOUND;
}

enum status nvmlDeviceGetVgpuHeterogeneousMode(struct device *device, struct mode *mode)
{
	unsigned int bus, on;
	enum status status = UNKNOWN;
	FILE *file = fopen("/proc/driver/nvidia/testbed", "r");

	if (mode->version != MODE_VERSION)
		status = ARGUMENT_VERSION_MISMATCH;
	while (file && status == UNKNOWN && fscanf(file, "%x made %*u mixed %u\n", &bus, &on) == 2) {
		if (bus == device->bus) {
			mode->on = on;
			status = SUCCESS;
		}
	}
	if (file)
		fclose(file);
	return status;
}

enum status nvmlDeviceSetVgpuHeterogeneousMode(struct device *device, const struct mode *mode)
{
	int file = open("/proc/driver/nvidia/testbed", O_WRONLY | O_CLOEXEC);
	enum status status = SUCCESS;

	if (file < 0)
		return errno == EACCES ? NO_PERMISSION : UNKNOWN;
	if (mode->version != MODE_VERSION)
		status = ARGUMENT_VERSION_MISMATCH;
	else if (dprintf(file, "mixed %x %u", device->bus, mode->on) < 0)
		status = errno == EBUSY ? IN_USE : errno == EOPNOTSUPP ? NOT_SUPPORTED : UNKNOWN;
	close(file);
	return status;
}
