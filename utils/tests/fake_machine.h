/* SPDX-License-Identifier: MIT */
/*
 * Machines made of files: the part of /sys and /proc that a topology is read from, in a directory
 * of its own. A test describes the machine by functions from processor to group.
 */
#ifndef FAKE_MACHINE_H
#define FAKE_MACHINE_H

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct fake_machine {
	char root[256];
} fake_machine;

static inline void fake_create(fake_machine *fake)
{
	const char *tmp = getenv("TMPDIR");
	if (!tmp || !*tmp) /* a thousand small files: in memory where there is one */
		tmp = access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(fake->root, sizeof(fake->root), "%s/moirai-fake-XXXXXX", tmp);
	if (!mkdtemp(fake->root)) {
		perror("mkdtemp");
		abort();
	}
}

static inline void fake_remove(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		char child[1024];
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		int n = snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
		if (n > 0 && (size_t)n < sizeof(child) && unlink(child) < 0)
			fake_remove(child);
	}
	if (dir)
		closedir(dir);
	rmdir(path);
}

static inline void fake_destroy(fake_machine *fake)
{
	fake_remove(fake->root);
}

/* Writes a file of the machine, with the folders it needs. `name` is a format. */
__attribute__((format(printf, 3, 4))) static inline void fake_write(
	const fake_machine *fake, const char *text, const char *name, ...)
{
	char path[1024];
	va_list arguments;
	int n = snprintf(path, sizeof(path), "%s/", fake->root);
	va_start(arguments, name);
	vsnprintf(path + n, sizeof(path) - (size_t)n, name, arguments);
	va_end(arguments);
	FILE *file = fopen(path, "w");
	for (char *p = path + n; !file && (p = strchr(p, '/')); *p++ = '/') {
		*p = 0;
		mkdir(path, 0755);
	}
	if (!file && !(file = fopen(path, "w"))) {
		perror(path);
		abort();
	}
	fputs(text, file);
	fclose(file);
}

/* "1,5,9\n": those of the first `cpus` that `group` maps to the same as cpu. */
static inline const char *fake_peers(
	char *text, size_t size, unsigned cpus, unsigned (*group)(unsigned), unsigned value)
{
	size_t used = 0;
	text[0] = 0;
	for (unsigned cpu = 0; cpu < cpus; cpu++)
		if (group(cpu) == value)
			used += (size_t)snprintf(
				text + used, size - used, used ? ",%u" : "%u", cpu);
	snprintf(text + used, size - used, "\n");
	return text;
}

typedef struct fake_shape {
	unsigned cpus, nodes;
	unsigned (*core)(unsigned cpu);
	unsigned (*l2)(unsigned cpu);
	unsigned (*l3)(unsigned cpu);
	unsigned (*package)(unsigned cpu);
	unsigned (*node)(unsigned cpu);
	unsigned (*distance)(unsigned from, unsigned to); /* NULL: 10 and 21 */
} fake_shape;

static inline void fake_write_cache(const fake_machine *fake, unsigned cpu, int index,
	const char *level, const char *type, const char *peers)
{
	fake_write(fake, level, "sys/devices/system/cpu/cpu%u/cache/index%d/level", cpu, index);
	fake_write(fake, type, "sys/devices/system/cpu/cpu%u/cache/index%d/type", cpu, index);
	fake_write(fake, peers, "sys/devices/system/cpu/cpu%u/cache/index%d/shared_cpu_list", cpu,
		index);
}

static inline void fake_write_cpu(const fake_machine *fake, const fake_shape *shape, unsigned cpu)
{
	char text[4096];
	fake_peers(text, sizeof(text), shape->cpus, shape->core, shape->core(cpu));
	fake_write(fake, text, "sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu);
	fake_write_cache(fake, cpu, 0, "1\n", "Data\n", text);
	fake_write_cache(fake, cpu, 1, "1\n", "Instruction\n", text);
	fake_peers(text, sizeof(text), shape->cpus, shape->l2, shape->l2(cpu));
	fake_write_cache(fake, cpu, 2, "2\n", "Unified\n", text);
	fake_peers(text, sizeof(text), shape->cpus, shape->l3, shape->l3(cpu));
	fake_write_cache(fake, cpu, 3, "3\n", "Unified\n", text);
	snprintf(text, sizeof(text), "%u\n", shape->package(cpu));
	fake_write(fake, text, "sys/devices/system/cpu/cpu%u/topology/physical_package_id", cpu);
}

static inline void fake_write_node(const fake_machine *fake, const fake_shape *shape, unsigned node)
{
	char text[4096];
	size_t used = 0;
	fake_peers(text, sizeof(text), shape->cpus, shape->node, node);
	fake_write(fake, text, "sys/devices/system/node/node%u/cpulist", node);
	for (unsigned to = 0; to < shape->nodes; to++) {
		unsigned d = shape->distance ? shape->distance(node, to) : node == to ? 10 : 21;
		used += (size_t)snprintf(text + used, sizeof(text) - used, to ? " %u" : "%u", d);
	}
	snprintf(text + used, sizeof(text) - used, "\n");
	fake_write(fake, text, "sys/devices/system/node/node%u/distance", node);
}

/* The whole machine; the process may run everywhere. */
static inline void fake_build(fake_machine *fake, const fake_shape *shape)
{
	char text[64];
	fake_create(fake);
	snprintf(text, sizeof(text), "0-%u\n", shape->cpus - 1);
	fake_write(fake, text, "sys/devices/system/cpu/online");
	snprintf(text, sizeof(text), "Name:\tfake\nCpus_allowed_list:\t0-%u\nEnd:\t0\n",
		shape->cpus - 1);
	fake_write(fake, text, "proc/self/status");
	snprintf(text, sizeof(text), "0-%u\n", shape->nodes - 1);
	fake_write(fake, text, "sys/devices/system/node/online");
	for (unsigned cpu = 0; cpu < shape->cpus; cpu++)
		fake_write_cpu(fake, shape, cpu);
	for (unsigned node = 0; node < shape->nodes; node++)
		fake_write_node(fake, shape, node);
}

/* --- two sockets, a node each, 8 cores of two siblings each; siblings are 16 numbers apart --- */

static inline unsigned two_core(unsigned cpu)
{
	return cpu % 16;
}
static inline unsigned two_socket(unsigned cpu)
{
	return cpu % 16 / 8;
}
static const fake_shape fake_two_sockets = {
	32, 2, two_core, two_core, two_socket, two_socket, two_socket, NULL};

/* --- 128 processors: 2 sockets, 4 nodes, last-level caches of 4 cores, siblings side by side;
 *     nodes of a socket are nearer (12) than those of the other (32) --- */

static inline unsigned big_core(unsigned cpu)
{
	return cpu / 2;
}
static inline unsigned big_l3(unsigned cpu)
{
	return cpu / 8;
}
static inline unsigned big_socket(unsigned cpu)
{
	return cpu / 64;
}
static inline unsigned big_node(unsigned cpu)
{
	return cpu / 32;
}
static inline unsigned big_distance(unsigned from, unsigned to)
{
	return from == to ? 10 : from / 2 == to / 2 ? 12 : 32;
}
static const fake_shape fake_big = {
	128, 4, big_core, big_core, big_l3, big_socket, big_node, big_distance};

/* --- hybrid: 4 fast cores of two siblings (0-7), then 8 slow ones (8-15) in modules of 4 that
 *     share an L2; one socket, one L3 --- */

static inline unsigned hybrid_core(unsigned cpu)
{
	return cpu < 8 ? cpu / 2 : cpu - 4;
}
static inline unsigned hybrid_l2(unsigned cpu)
{
	return cpu < 8 ? cpu / 2 : 4 + (cpu - 8) / 4;
}
static inline unsigned hybrid_all(unsigned cpu)
{
	return cpu * 0;
}
static const fake_shape fake_hybrid = {
	16, 1, hybrid_core, hybrid_l2, hybrid_all, hybrid_all, hybrid_all, NULL};

#endif
