/* SPDX-License-Identifier: MIT */
/*
 * The CPU quota that the process lives under. A group is bounded by its own quota and by those of
 * all groups above it, so every level counts and the smallest wins. Two forms:
 *
 *   v2  /proc/self/cgroup has "0::/a/b";          /sys/fs/cgroup/a/b/cpu.max is "max 100000" or
 *                                                 "50000 100000" (quota and period in us)
 *   v1  /proc/self/cgroup has "7:cpu,cpuacct:/a"; cpu.cfs_quota_us (-1: none) and
 *                                                 cpu.cfs_period_us below the controller's mount
 *
 * In a container the path is often that of the host and does not exist below the mount: then only
 * the levels that exist count, the mount's root among them.
 */
#include <stdlib.h>
#include <string.h>

#include "sysfs.h"

/* Below 1/1000 of a processor nothing runs; above 1024 a quota is none. */
#define QUOTA_MAX       ((double)MOIRAI_CPUS_MAX * 1000)
#define CGROUP_PATH_MAX 768

static unsigned cgroup_smaller(unsigned a, double quota, double period)
{
	if (quota <= 0 || period <= 0)
		return a;
	double milli = quota * 1000 / period;
	if (milli >= QUOTA_MAX)
		return a;
	unsigned b = milli < 1 ? 1 : (unsigned)(milli + 0.5);
	return a == 0 || b < a ? b : a;
}

static unsigned cgroup_level_v2(
	const char *root, const char *mount, const char *path, unsigned best)
{
	char text[64], *end;
	if (moirai_sysfs_text(root, text, sizeof(text), "%s%s/cpu.max", mount, path) < 0)
		return best;
	double quota = strtod(text, &end); /* "max" gives no number: no quota */
	if (end == text)
		return best;
	return cgroup_smaller(best, quota, strtod(end, NULL));
}

static unsigned cgroup_level_v1(
	const char *root, const char *mount, const char *path, unsigned best)
{
	long quota, period;
	if (moirai_sysfs_number(root, &quota, "%s%s/cpu.cfs_quota_us", mount, path) < 0 ||
		moirai_sysfs_number(root, &period, "%s%s/cpu.cfs_period_us", mount, path) < 0)
		return best;
	return cgroup_smaller(best, (double)quota, (double)period);
}

/* Every level from `path` up to the mount; `path` is used up. */
static unsigned cgroup_climb(const char *root, const char *mount, char *path, unsigned best,
	unsigned (*level)(const char *, const char *, const char *, unsigned))
{
	if (strstr(path, "/../"))
		return best; /* a group outside of the namespace's root: nothing below is ours */
	for (;;) {
		char *slash = strrchr(path, '/');
		if (slash && !slash[1])
			*slash = 0; /* "/" and trailing slashes: the mount itself */
		best = level(root, mount, path, best);
		slash = strrchr(path, '/');
		if (!slash)
			return best;
		*slash = 0;
	}
}

/* Whether the comma-separated list names the controller "cpu". */
static bool cgroup_has_cpu(const char *controllers)
{
	for (const char *p = controllers; p; p = strchr(p, ','), p = p ? p + 1 : NULL)
		if (strncmp(p, "cpu", 3) == 0 && (p[3] == 0 || p[3] == ','))
			return true;
	return false;
}

static unsigned cgroup_line(const char *root, char *line, unsigned best)
{
	static const char *const v1_mounts[] = {"cpu", "cpu,cpuacct", "cpuacct,cpu"};
	char *controllers = strchr(line, ':');
	char *path = controllers ? strchr(controllers + 1, ':') : NULL;
	if (!path || strlen(path + 1) >= CGROUP_PATH_MAX)
		return best;
	*controllers++ = 0;
	*path++ = 0;
	char copy[CGROUP_PATH_MAX];
	if (!*controllers) {
		best = cgroup_climb(
			root, "sys/fs/cgroup", strcpy(copy, path), best, cgroup_level_v2);
		return cgroup_climb(
			root, "sys/fs/cgroup/unified", strcpy(copy, path), best, cgroup_level_v2);
	}
	if (!cgroup_has_cpu(controllers))
		return best;
	for (size_t i = 0; i < MOIRAI_ARRAY_SIZE(v1_mounts); i++) {
		char mount[64] = "sys/fs/cgroup/";
		strcat(mount, v1_mounts[i]);
		best = cgroup_climb(root, mount, strcpy(copy, path), best, cgroup_level_v1);
	}
	return best;
}

unsigned moirai_cgroup_millicpus(const char *root)
{
	char text[8192];
	unsigned best = 0;
	if (moirai_sysfs_text(root, text, sizeof(text), "proc/self/cgroup") < 0)
		return 0;
	for (char *line = text, *next; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		best = cgroup_line(root, line, best);
	}
	return best;
}
