/* SPDX-License-Identifier: MIT */
/* Private: a list of processors, item by item in the order written. */
#ifndef MOIRAI_UTILS_SRC_CPULIST_H
#define MOIRAI_UTILS_SRC_CPULIST_H

#include <moirai/core/base.h>

typedef struct cpulist_range {
	unsigned first, last, step;
} cpulist_range;

/*
 * Reads the item at *at (start with `text`); *at is NULL after the last one. 1: *range is filled;
 * 0: the text is empty; -EINVAL, -ERANGE with a detail. A range ends below MOIRAI_CPUS_MAX.
 */
int moirai_cpulist_next(const char *text, const char **at, cpulist_range *range);

#endif
