/* SPDX-License-Identifier: MIT */
/* Private: small text files below a root that a test may replace. */
#ifndef MOIRAI_UTILS_SRC_SYSFS_H
#define MOIRAI_UTILS_SRC_SYSFS_H

#include <moirai/core/base.h>
#include <moirai/core/os.h>

/* Longest root and longest path: a root of 512 bytes leaves room for any name that sysfs has. */
#define SYSFS_ROOT_MAX 512
#define SYSFS_PATH_MAX 1536

/* The text of ROOT/path without its final newline, cut at size_bytes - 1. 0 or a negative errno. */
int moirai_sysfs_text(const char *root, char *buffer, size_t size_bytes, const char *format, ...)
	MOIRAI_PRINTF(4, 5);

/* The file's whole content is one decimal number, perhaps negative. -EINVAL when it is not. */
int moirai_sysfs_number(const char *root, long *number, const char *format, ...)
	MOIRAI_PRINTF(3, 4);

/* The file holds a list of processors ("0-3,8"). -EINVAL when it does not. */
int moirai_sysfs_cpus(const char *root, moirai_cpuset *set, const char *format, ...)
	MOIRAI_PRINTF(3, 4);

/* The CPU quota of the process's cgroups (v1 and v2, every level) in thousandths; 0: none. */
unsigned moirai_cgroup_millicpus(const char *root);

#endif
