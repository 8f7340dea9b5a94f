// SPDX-License-Identifier: MIT
/*
 * Stands in for qemu-system-x86_64: opens the VFIO device of its last argument as QEMU does, says so, and keeps it open
 * until it is killed. Exits with 1 and says why if it cannot.
 *
 *     qemu-system-x86_64 -name NAME -uuid UUID -device vfio-pci,sysfsdev=/sys/...
 *
 * Copyright (c) 2026 the vgpu4nixos authors
 */
#include <err.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char option[] = "vfio-pci,sysfsdev=";

int main(int argc, char **argv)
{
	char device[PATH_MAX], path[PATH_MAX + 32], link[64];
	int container, group;
	ssize_t length;

	if (argc < 2 || strncmp(argv[argc - 1], option, strlen(option)))
		errx(2, "no %s at the end", option);
	if (!realpath(argv[argc - 1] + strlen(option), device))
		err(1, "%s", argv[argc - 1] + strlen(option));
	snprintf(path, sizeof(path), "%s/iommu_group", device);
	length = readlink(path, link, sizeof(link) - 1);
	if (length < 0)
		err(1, "%s", path);
	link[length] = '\0';
	snprintf(path, sizeof(path), "/dev/vfio/%s", basename(link));
	container = open("/dev/vfio/vfio", O_RDWR);
	group = open(path, O_RDWR);
	if (container < 0 || group < 0)
		err(1, "%s", path);
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) || ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		err(1, "%s: container", path);
	if (ioctl(group, VFIO_GROUP_GET_DEVICE_FD, basename(device)) < 0)
		err(1, "vfio %s: error getting device from group %s", device, basename(link));
	puts("open");
	fflush(stdout);
	for (;;)
		pause();
}
