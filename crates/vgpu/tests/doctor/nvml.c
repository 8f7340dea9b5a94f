/*
 * Stands in for a host's libnvidia-ml.so.1: how GPUs are set up. It says of every GPU what the file `nvml` beside it says,
 * lines of a word and numbers; a word that is not there is something that the driver does not tell.
 *
 *     host 1           the GPU makes vGPUs
 *     ecc 1            ECC is on
 *     mig 2            MIG mode is on, with two GPU instances; -1: it is off
 *     supported 0 8    placements that a type can have
 *     creatable 8      those that are free
 *
 * Copyright (c) 2026 the vgpu4nixos authors
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, DRIVER_NOT_LOADED = 9, VERSION_MISMATCH = 25 };
/* nvmlGpuVirtualizationMode_t */
enum { NONE = 0, HOST_VGPU = 3 };

/* nvmlVgpuPlacementList_v1_t */
struct placements {
	unsigned int version, size, count, *ids;
};

/* The numbers behind a word: how many there are, at most `most`; -1 without the word. */
static int told(const char *word, int *numbers, int most)
{
	Dl_info here;
	char path[4096], line[256], *at;
	int count = -1;
	FILE *file;

	dladdr((void *)told, &here);
	snprintf(path, sizeof(path), "%.*s/nvml", (int)(strrchr(here.dli_fname, '/') - here.dli_fname), here.dli_fname);
	file = fopen(path, "r");
	while (file && count < 0 && fgets(line, sizeof(line), file)) {
		if (strncmp(line, word, strlen(word)) != 0 || line[strlen(word)] != ' ')
			continue;
		count = 0;
		at = line + strlen(word);
		for (int read; count < most && sscanf(at, "%d%n", &numbers[count], &read) == 1; at += read)
			count++;
	}
	if (file)
		fclose(file);
	return count;
}

int nvmlInit_v2(void)
{
	int broken;

	return told("broken", &broken, 1) == 1 ? DRIVER_NOT_LOADED : SUCCESS;
}

int nvmlShutdown(void)
{
	return SUCCESS;
}

const char *nvmlErrorString(int error)
{
	return error == DRIVER_NOT_LOADED ? "Driver Not Loaded" : "Unknown Error";
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *address, void **device)
{
	(void)address;
	*device = (void *)1;
	return SUCCESS;
}

int nvmlDeviceGetVirtualizationMode(void *device, unsigned int *mode)
{
	int host;

	(void)device;
	if (told("host", &host, 1) != 1)
		return NOT_SUPPORTED;
	*mode = host ? HOST_VGPU : NONE;
	return SUCCESS;
}

int nvmlDeviceGetEccMode(void *device, unsigned int *current, unsigned int *pending)
{
	int on;

	(void)device;
	if (told("ecc", &on, 1) != 1)
		return NOT_SUPPORTED;
	*current = *pending = on;
	return SUCCESS;
}

int nvmlDeviceGetMigMode(void *device, unsigned int *current, unsigned int *pending)
{
	int instances;

	(void)device;
	if (told("mig", &instances, 1) != 1)
		return NOT_SUPPORTED;
	*current = *pending = instances >= 0;
	return SUCCESS;
}

/* Two profiles, with the numbers 19 and 14. */
int nvmlDeviceGetGpuInstanceProfileInfo(void *device, unsigned int profile, unsigned int *info)
{
	(void)device;
	if (profile > 1)
		return NOT_SUPPORTED;
	info[0] = profile ? 14 : 19;
	return SUCCESS;
}

/* All instances are of the second profile. */
int nvmlDeviceGetGpuInstances(void *device, unsigned int id, void **instances, unsigned int *count)
{
	int there = 0;

	(void)device;
	told("mig", &there, 1);
	*count = id == 14 && there > 0 ? (unsigned int)there : 0;
	for (unsigned int at = 0; at < *count; at++)
		instances[at] = (void *)(1ul + at);
	return id == 14 || id == 19 ? SUCCESS : INVALID_ARGUMENT;
}

static int list(const char *word, struct placements *list)
{
	int numbers[16];
	int count = told(word, numbers, 16);

	if (list->version != (sizeof(*list) | 1 << 24))
		return VERSION_MISMATCH;
	if (count < 0 || list->count < 16)
		return NOT_SUPPORTED;
	list->count = count;
	for (int at = 0; at < count; at++)
		list->ids[at] = numbers[at];
	return SUCCESS;
}

int nvmlDeviceGetVgpuTypeSupportedPlacements(void *device, unsigned int type, struct placements *found)
{
	(void)device;
	(void)type;
	return list("supported", found);
}

int nvmlDeviceGetVgpuTypeCreatablePlacements(void *device, unsigned int type, struct placements *found)
{
	(void)device;
	(void)type;
	return list("creatable", found);
}
