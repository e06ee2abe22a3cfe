/* SPDX-License-Identifier: MIT */
/*
 * The tree, one line per package, node, last-level cache and core. Each level prints the processors
 * that share everything above it, so that caches which span nodes are shown under each.
 */
#include "topology.h"

#include <stdarg.h>
#include <stdio.h>

#include <moirai/utils/affinity.h>

typedef struct print_text {
	char *buffer;
	size_t size, length;
} print_text;

typedef struct print_level {
	const char *name;
	size_t offset;
} print_level;

static const print_level print_levels[] = {
	{"package", offsetof(moirai_topology_cpu, package)},
	{"node", offsetof(moirai_topology_cpu, node)},
	{"L3", offsetof(moirai_topology_cpu, l3)},
	{"L2", offsetof(moirai_topology_cpu, l2)},
	{"core", offsetof(moirai_topology_cpu, core)},
};
#define PRINT_DEPTH MOIRAI_ARRAY_SIZE(print_levels)

MOIRAI_PRINTF(2, 3) static void print_add(print_text *text, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	bool room = text->length < text->size;
	int n = vsnprintf(room ? text->buffer + text->length : NULL,
		room ? text->size - text->length : 0, format, arguments);
	va_end(arguments);
	text->length += n > 0 ? (size_t)n : 0;
}

static uint32_t print_field(const moirai_topology_cpu *c, size_t level)
{
	return *(const uint32_t *)(const void *)((const char *)c + print_levels[level].offset);
}

static bool print_shares(const moirai_topology_cpu *a, const moirai_topology_cpu *b, size_t depth)
{
	for (size_t level = 0; level <= depth; level++)
		if (print_field(a, level) != print_field(b, level))
			return false;
	return true;
}

/* Is it the first processor of its group at this depth? Then the group's line is printed. */
static bool print_leads(const moirai_topology *t, unsigned index, size_t depth)
{
	for (unsigned i = 0; i < index; i++)
		if (print_shares(&t->cpus_[i], &t->cpus_[index], depth))
			return false;
	return true;
}

static void print_group(const moirai_topology *t, print_text *text, unsigned leader, size_t depth)
{
	char list[1024];
	moirai_cpuset set = {{0}};
	unsigned off = 0;
	for (unsigned i = leader; i < t->info_.cpus; i++) {
		if (!print_shares(&t->cpus_[i], &t->cpus_[leader], depth))
			continue;
		moirai_cpuset_add(&set, t->cpus_[i].cpu);
		off += !t->cpus_[i].usable;
	}
	moirai_cpulist_format(&set, list, sizeof(list));
	print_add(text, "%*s%s %u: cpu %s", (int)(2 * depth + 2), "", print_levels[depth].name,
		print_field(&t->cpus_[leader], depth), list);
	if (off)
		print_add(text, " (%u not usable)", off);
	if (t->cpus_[leader].capacity != 1024 && depth == PRINT_DEPTH - 1)
		print_add(text, " capacity %u", t->cpus_[leader].capacity);
	print_add(text, "\n");
	if (depth + 1 == PRINT_DEPTH)
		return;
	for (unsigned i = leader; i < t->info_.cpus; i++)
		if (print_shares(&t->cpus_[i], &t->cpus_[leader], depth) &&
			print_leads(t, i, depth + 1))
			print_group(t, text, i, depth + 1);
}

size_t moirai_topology_print(const moirai_topology *topology, char *buffer, size_t size_bytes)
{
	const moirai_topology_info *info = &topology->info_;
	print_text text = {buffer, size_bytes, 0};
	print_add(&text, "machine: %u cpus (%u usable), %u cores, %u packages, %u nodes%s\n",
		info->cpus, info->usable, info->cores, info->packages, info->nodes,
		info->complete ? "" : ", in part assumed");
	if (info->quota_millicpus)
		print_add(&text, "  quota: %u.%03u cpus\n", info->quota_millicpus / 1000,
			info->quota_millicpus % 1000);
	for (unsigned i = 0; i < info->cpus; i++)
		if (print_leads(topology, i, 0))
			print_group(topology, &text, i, 0);
	return text.length;
}
