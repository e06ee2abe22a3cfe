/* SPDX-License-Identifier: MIT */
#include "sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <moirai/utils/affinity.h>

#ifndef O_CLOEXEC
#define O_CLOEXEC 0
#endif

/* A list of all of MOIRAI_CPUS_MAX processors, every other one, is below 5 KiB. */
#define SYSFS_LIST_MAX 8192

static int sysfs_read_all(const char *path, char *buffer, size_t size_bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	size_t used = 0;
	int status = 0;
	while (used < size_bytes - 1) {
		ssize_t n = read(fd, buffer + used, (unsigned)(size_bytes - 1 - used));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			status = -errno;
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	close(fd);
	buffer[used] = 0;
	return status;
}

static int sysfs_vtext(
	const char *root, char *buffer, size_t size_bytes, const char *format, va_list arguments)
{
	char path[SYSFS_PATH_MAX];
	int root_length = snprintf(path, sizeof(path), "%s/", root);
	if (root_length < 0 || (size_t)root_length > SYSFS_ROOT_MAX + 1)
		return -ENAMETOOLONG;
	size_t room = sizeof(path) - (size_t)root_length;
	int length = vsnprintf(path + root_length, room, format, arguments);
	if (length < 0 || (size_t)length >= room)
		return -ENAMETOOLONG;
	int status = sysfs_read_all(path, buffer, size_bytes);
	if (status < 0)
		return status;
	for (char *p = buffer; *p; p++)
		if (*p == '\n' && !p[1])
			*p = 0;
	return 0;
}

int moirai_sysfs_text(const char *root, char *buffer, size_t size_bytes, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int status = sysfs_vtext(root, buffer, size_bytes, format, arguments);
	va_end(arguments);
	return status;
}

int moirai_sysfs_number(const char *root, long *number, const char *format, ...)
{
	char text[32], *end;
	va_list arguments;
	va_start(arguments, format);
	int status = sysfs_vtext(root, text, sizeof(text), format, arguments);
	va_end(arguments);
	if (status < 0)
		return status;
	long value = strtol(text, &end, 10);
	if (end == text || *end)
		return -EINVAL;
	*number = value;
	return 0;
}

int moirai_sysfs_cpus(const char *root, moirai_cpuset *set, const char *format, ...)
{
	char text[SYSFS_LIST_MAX];
	va_list arguments;
	va_start(arguments, format);
	int status = sysfs_vtext(root, text, sizeof(text), format, arguments);
	va_end(arguments);
	return status < 0 ? status : moirai_cpulist_parse(text, set);
}
