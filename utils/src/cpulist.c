/* SPDX-License-Identifier: MIT */
#include "cpulist.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <moirai/utils/affinity.h>

#include "detail.h"

static const char *cpulist_blanks(const char *p)
{
	while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')
		p++;
	return p;
}

/* A decimal number; saturates, so that nothing overflows. NULL when there is no digit. */
static const char *cpulist_number(const char *p, unsigned *number)
{
	if (*p < '0' || *p > '9')
		return NULL;
	unsigned n = 0;
	for (; *p >= '0' && *p <= '9'; p++)
		n = n < 1000000 ? n * 10 + (unsigned)(*p - '0') : n;
	*number = n;
	return p;
}

static int cpulist_error(const char *text, const char *at)
{
	return utils_detail(-EINVAL, "list of processors \"%.64s\": not understood at column %u",
		text, (unsigned)(at - text) + 1);
}

/* One item: "3", "0-7" or "0-31:2". */
static int cpulist_item(const char *text, const char **at, cpulist_range *range)
{
	const char *p = *at, *q;
	range->step = 1;
	if (!(q = cpulist_number(p, &range->first)))
		return cpulist_error(text, p);
	range->last = range->first;
	if (*q == '-') {
		p = q + 1;
		if (!(q = cpulist_number(p, &range->last)) || range->last < range->first)
			return cpulist_error(text, p);
		if (*q == ':') {
			p = q + 1;
			if (!(q = cpulist_number(p, &range->step)) || range->step == 0)
				return cpulist_error(text, p);
		}
	}
	if (range->last >= MOIRAI_CPUS_MAX)
		return utils_detail(-ERANGE, "processor %u: numbers end at %d", range->last,
			MOIRAI_CPUS_MAX - 1);
	*at = q;
	return 0;
}

int moirai_cpulist_next(const char *text, const char **at, cpulist_range *range)
{
	const char *p = cpulist_blanks(*at);
	if (!*p)
		return p == cpulist_blanks(text) ? 0 : cpulist_error(text, p); /* after a comma */
	int status = cpulist_item(text, &p, range);
	if (status < 0)
		return status;
	p = cpulist_blanks(p);
	if (*p && *p != ',')
		return cpulist_error(text, p);
	*at = *p ? p + 1 : NULL;
	return 1;
}

int moirai_cpulist_parse(const char *text, moirai_cpuset *set)
{
	if (!text || !set)
		return -EINVAL;
	moirai_cpuset result = {{0}};
	for (const char *at = text; at;) {
		cpulist_range range;
		int status = moirai_cpulist_next(text, &at, &range);
		if (status < 0)
			return status;
		if (status == 0)
			break;
		for (unsigned cpu = range.first; cpu <= range.last; cpu += range.step)
			moirai_cpuset_add(&result, cpu);
	}
	*set = result;
	return 0;
}

size_t moirai_cpulist_format(const moirai_cpuset *set, char *buffer, size_t size_bytes)
{
	size_t length = 0;
	if (size_bytes)
		buffer[0] = 0;
	for (unsigned first = 0; first < MOIRAI_CPUS_MAX; first++) {
		if (!moirai_cpuset_has(set, first))
			continue;
		unsigned last = first;
		while (moirai_cpuset_has(set, last + 1))
			last++;
		char item[32];
		int n = first == last ? snprintf(item, sizeof(item), ",%u", first)
				      : snprintf(item, sizeof(item), ",%u-%u", first, last);
		const char *from = item + (length == 0);
		size_t size = (size_t)n - (length == 0);
		if (length + size < size_bytes)
			memcpy(buffer + length, from, size + 1);
		else if (length < size_bytes)
			snprintf(buffer + length, size_bytes - length, "%s", from);
		length += size;
		first = last;
	}
	return length;
}
