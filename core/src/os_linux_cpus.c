/* SPDX-License-Identifier: MIT */
/*
 * Which processors, and how many of them at once.
 *
 * A container that may use "half a processor" of a 64-core machine sees 64 processors in its
 * affinity mask; the limit is in its cgroup, or in any cgroup above it: the smallest one counts.
 * /proc/self/cgroup names our group in each hierarchy, /proc/self/mountinfo where a hierarchy is
 * mounted and which group its mount shows as its root (inside a container the mount often shows
 * only the container's own group). We read the limit at every level from our group up to the mount
 * point: cpu.max ("quota period" or "max period") in v2, cpu.cfs_quota_us (-1: none) and
 * cpu.cfs_period_us in v1. What cannot be read limits nothing.
 */
#include <moirai/core/os.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os_internal.h"

/* --- affinity --- */

/* The kernel refuses a buffer that is smaller than its own mask, whatever is in it. */
#define KERNEL_CPUS_MAX 65536

int moirai_os_affinity_get(moirai_cpuset *set)
{
	unsigned long mask[KERNEL_CPUS_MAX / (8 * sizeof(long))] = {0};
	if (!set)
		return -EINVAL;
	if (syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask) < 0)
		return -errno;
	*set = (moirai_cpuset){{0}};
	for (unsigned cpu = 0; cpu < MOIRAI_CPUS_MAX; cpu++) {
		unsigned bits = 8 * sizeof(long);
		if (mask[cpu / bits] >> (cpu % bits) & 1)
			moirai_cpuset_add(set, cpu);
	}
	return 0;
}

int moirai_os_affinity_set(const moirai_cpuset *set)
{
	unsigned long mask[MOIRAI_CPUS_MAX / (8 * sizeof(long))] = {0};
	if (!set)
		return -EINVAL;
	for (unsigned cpu = 0; cpu < MOIRAI_CPUS_MAX; cpu++) {
		unsigned bits = 8 * sizeof(long);
		if (moirai_cpuset_has(set, cpu))
			mask[cpu / bits] |= 1ul << (cpu % bits);
	}
	return syscall(SYS_sched_setaffinity, 0, sizeof(mask), mask) < 0 ? -errno : 0;
}

int moirai_os_cpu_current(void)
{
	int cpu = sched_getcpu();
	return cpu < 0 ? -ENOTSUP : cpu;
}

/* --- small files --- */

/* Lines of a file, with a fixed buffer; a line that does not fit is skipped whole. */
struct line_reader {
	int file;
	size_t begin, end;
	char buffer[4096 + 1];
};

static bool open_lines(struct line_reader *reader, const char *root, const char *path)
{
	char full[PATH_MAX];
	int n = snprintf(full, sizeof(full), "%s%s", root, path);
	if (n < 0 || (size_t)n >= sizeof(full))
		return false;
	reader->begin = reader->end = 0;
	reader->file = open(full, O_RDONLY | O_CLOEXEC);
	return reader->file >= 0;
}

/* Reads more behind what is there. False at the end of the file. */
static bool fill(struct line_reader *reader)
{
	memmove(reader->buffer, reader->buffer + reader->begin, reader->end - reader->begin);
	reader->end -= reader->begin;
	reader->begin = 0;
	ssize_t n;
	do {
		n = read(reader->file, reader->buffer + reader->end,
			sizeof(reader->buffer) - 1 - reader->end);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return false;
	reader->end += (size_t)n;
	return true;
}

/* The next line without its end, NULL after the last. */
static char *next_line(struct line_reader *reader)
{
	bool skipping = false;
	for (;;) {
		char *line = reader->buffer + reader->begin;
		size_t size = reader->end - reader->begin;
		char *newline = memchr(line, '\n', size);
		if (newline) {
			*newline = '\0';
			reader->begin = (size_t)(newline + 1 - reader->buffer);
			if (!skipping)
				return line;
			skipping = false;
			continue;
		}
		if (size == sizeof(reader->buffer) - 1) {
			skipping = true;
			reader->begin = reader->end;
		}
		if (fill(reader))
			continue;
		/* The last line may lack its newline. */
		line = reader->buffer + reader->begin;
		line[reader->end - reader->begin] = '\0';
		bool any = reader->end > reader->begin && !skipping;
		reader->begin = reader->end;
		return any ? line : NULL;
	}
}

static bool first_line(const char *root, const char *path, char *line, size_t size_bytes)
{
	struct line_reader reader;
	if (!open_lines(&reader, root, path))
		return false;
	const char *found = next_line(&reader);
	int n = found ? snprintf(line, size_bytes, "%s", found) : -1;
	close(reader.file);
	return n >= 0 && (size_t)n < size_bytes;
}

/* --- where the groups are --- */

struct hierarchy {
	bool v2;
	char group[PATH_MAX]; /* ours, from the hierarchy's root; empty: we are in none */
	char shown[PATH_MAX]; /* the group that the mount shows as its root */
	char mount[PATH_MAX]; /* where; empty: not mounted */
};

/* "cpu" in "cpu,cpuacct", but not "cpuset". */
static bool has_word(const char *list, const char *word)
{
	size_t size = strlen(word);
	for (const char *at = list; (at = strstr(at, word)); at += size) {
		bool starts = at == list || at[-1] == ',';
		if (starts && (at[size] == '\0' || at[size] == ','))
			return true;
	}
	return false;
}

static void copy_path(char *to, const char *from)
{
	size_t size = strnlen(from, PATH_MAX - 1);
	memcpy(to, from, size);
	to[size] = '\0';
}

/* "4:cpu,cpuacct:/a/b" in v1, "0::/a/b" in v2. */
static void find_group(struct hierarchy *h, const char *root)
{
	struct line_reader reader;
	if (!open_lines(&reader, root, "/proc/self/cgroup"))
		return;
	char *line;
	while ((line = next_line(&reader))) {
		char *controllers = strchr(line, ':');
		char *path = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!path)
			continue;
		*controllers++ = '\0';
		*path++ = '\0';
		bool ours = h->v2 ? strcmp(line, "0") == 0 && !*controllers
				  : has_word(controllers, "cpu");
		if (ours)
			copy_path(h->group, path);
	}
	close(reader.file);
}

/* Spaces and their like come as \040. */
static void unescape(char *text)
{
	char *to = text;
	for (const char *from = text; *from; to++) {
		bool octal = from[0] == '\\' && from[1] >= '0' && from[1] <= '3' &&
			     from[2] >= '0' && from[2] <= '7' && from[3] >= '0' && from[3] <= '7';
		if (octal) {
			*to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

static size_t prefix_size(const char *shown)
{
	return strcmp(shown, "/") == 0 ? 0 : strlen(shown);
}

static bool shows_our_group(const struct hierarchy *h, const char *shown)
{
	size_t size = prefix_size(shown);
	bool inside = strncmp(h->group, shown, size) == 0 &&
		      (h->group[size] == '/' || h->group[size] == '\0');
	return inside && strncmp(h->group, "/..", 3) != 0;
}

/* "36 35 0:30 /shown /mount rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct" */
static void find_mount(struct hierarchy *h, const char *root)
{
	struct line_reader reader;
	if (!open_lines(&reader, root, "/proc/self/mountinfo"))
		return;
	char *line;
	/* A hierarchy may be mounted twice: the first mount that shows our group, else the first. */
	while ((line = next_line(&reader)) && !(h->mount[0] && shows_our_group(h, h->shown))) {
		char *separator = strstr(line, " - ");
		if (!separator)
			continue;
		*separator = '\0';
		char *rest = NULL, *fields = NULL;
		const char *type = strtok_r(separator + 3, " ", &rest);
		strtok_r(NULL, " ", &rest); /* the source */
		const char *options = strtok_r(NULL, " ", &rest);
		bool ours = type && (h->v2 ? strcmp(type, "cgroup2") == 0
					   : strcmp(type, "cgroup") == 0 && options &&
							    has_word(options, "cpu"));
		if (!ours)
			continue;
		char *field = strtok_r(line, " ", &fields);
		for (int i = 0; field && i < 3; i++)
			field = strtok_r(NULL, " ", &fields);
		char *mount = strtok_r(NULL, " ", &fields);
		if (!field || !mount)
			continue;
		unescape(field);
		unescape(mount);
		if (h->mount[0] && !shows_our_group(h, field))
			continue;
		copy_path(h->shown, field);
		copy_path(h->mount, mount);
	}
	close(reader.file);
}

/* --- the limits --- */

static unsigned processors(uint64_t quota, uint64_t period)
{
	if (quota == 0 || period == 0)
		return UINT_MAX;
	uint64_t n = quota / period + (quota % period != 0);
	return n < UINT_MAX ? (unsigned)n : UINT_MAX;
}

static unsigned limit_v2(const char *root, const char *folder)
{
	char path[PATH_MAX], line[64];
	unsigned long long quota, period;
	int n = snprintf(path, sizeof(path), "%s/cpu.max", folder);
	if (n < 0 || (size_t)n >= sizeof(path) || !first_line(root, path, line, sizeof(line)))
		return UINT_MAX;
	return sscanf(line, "%llu %llu", &quota, &period) == 2 ? processors(quota, period)
							       : UINT_MAX;
}

static long long number_in(const char *root, const char *folder, const char *name)
{
	char path[PATH_MAX], line[64];
	int n = snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (n < 0 || (size_t)n >= sizeof(path) || !first_line(root, path, line, sizeof(line)))
		return -1;
	return strtoll(line, NULL, 10);
}

static unsigned limit_v1(const char *root, const char *folder)
{
	long long quota = number_in(root, folder, "cpu.cfs_quota_us");
	long long period = number_in(root, folder, "cpu.cfs_period_us");
	return quota > 0 && period > 0 ? processors((uint64_t)quota, (uint64_t)period) : UINT_MAX;
}

/* Our group relative to the mount's root: "" when the mount shows our group, or another part. */
static const char *below_mount(const struct hierarchy *h)
{
	const char *rest = h->group + prefix_size(h->shown);
	return shows_our_group(h, h->shown) && strcmp(rest, "/") != 0 ? rest : "";
}

static unsigned smallest_limit(bool v2, const char *root)
{
	struct hierarchy h = {.v2 = v2};
	char folder[PATH_MAX];
	unsigned least = UINT_MAX;
	find_group(&h, root);
	find_mount(&h, root);
	if (!h.group[0] || !h.mount[0])
		return least;
	int n = snprintf(folder, sizeof(folder), "%s%s", h.mount, below_mount(&h));
	if (n < 0 || (size_t)n >= sizeof(folder))
		return least;
	for (size_t top = strlen(h.mount); strlen(folder) >= top;) {
		unsigned limit = v2 ? limit_v2(root, folder) : limit_v1(root, folder);
		least = limit < least ? limit : least;
		char *slash = strrchr(folder, '/');
		if (!slash)
			break;
		*slash = '\0';
	}
	return least;
}

unsigned moirai__os_cgroup_cpus(const char *root)
{
	unsigned v1 = smallest_limit(false, root);
	unsigned v2 = smallest_limit(true, root);
	return v1 < v2 ? v1 : v2;
}

unsigned moirai_os_cpus_usable(void)
{
	moirai_cpuset set;
	unsigned cpus = moirai_os_affinity_get(&set) == 0 ? moirai_cpuset_count(&set) : 1;
	unsigned quota = moirai__os_cgroup_cpus("");
	cpus = quota < cpus ? quota : cpus;
	return cpus > 0 ? cpus : 1;
}
