// SPDX-License-Identifier: MIT
/*
 * Stands for the host driver's services where they run under systemd: a program that goes to the background.
 *
 *     nvidia-vgpud      tells the kernel the types in the file whose name NVIDIA compiled in, and ends, as the real one
 *     nvidia-vgpu-mgr   stays
 *
 * Copyright (c) 2026 the vgpu4nixos authors
 */
#include <err.h>
#include <string.h>
#include <unistd.h>

/* The installer of the driver changes it. */
static const char config[] = "/usr/share/nvidia/vgpu/vgpuConfig.xml";

int main(int argc, char **argv)
{
	if (daemon(0, 1))
		err(1, "daemon");
	if (strstr(argv[0], "nvidia-vgpud")) {
		execl("/usr/bin/nvidia-vgpud", "nvidia-vgpud", config, NULL);
		err(1, "/usr/bin/nvidia-vgpud");
	}
	for (;;)
		pause();
}
