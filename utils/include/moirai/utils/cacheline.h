/* SPDX-License-Identifier: MIT */
/*
 * Layout by who writes. Data written by different threads lies on different lines; two hot writers
 * lie two lines apart on x86, which fetches lines in pairs.
 *
 *   struct counter { MOIRAI_OWN_LINE uint64_t produced_; MOIRAI_OWN_LINE uint64_t consumed_; };
 *   MOIRAI_PADDED(uint64_t) per_worker[64];     per_worker[i].value
 *
 * And prefetching, which is a hint: no fault, no order, no effect on correctness.
 */
#ifndef MOIRAI_UTILS_CACHELINE_H
#define MOIRAI_UTILS_CACHELINE_H

#include <moirai/core/base.h>

/* In front of the first field of a group: the group starts a line (a pair of lines). */
#define MOIRAI_OWN_LINE      MOIRAI_ALIGNED(MOIRAI_CACHELINE)
#define MOIRAI_OWN_LINE_PAIR MOIRAI_ALIGNED(MOIRAI_CACHELINE_PAIR)

/* An anonymous struct type that holds a `value` of the type alone on its pair of lines. */
#define MOIRAI_PADDED(type)                                       \
	struct {                                                  \
		MOIRAI_ALIGNED(MOIRAI_CACHELINE_PAIR) type value; \
	}

/* How many lines an object of size_bytes that starts a line touches. */
#define MOIRAI_LINES(size_bytes) (((size_bytes) + MOIRAI_CACHELINE - 1) / MOIRAI_CACHELINE)

/* Fetch the line of `address` soon: to read it, to write it, or to read it once (and not keep it
 * in the outer caches). Any address, mapped or not. */
#define moirai_prefetch_read(address)   __builtin_prefetch((address), 0, 3)
#define moirai_prefetch_write(address)  __builtin_prefetch((address), 1, 3)
#define moirai_prefetch_stream(address) __builtin_prefetch((address), 0, 0)
/* As moirai_prefetch_read, into the level-2 cache alone: for data further ahead. */
#define moirai_prefetch_l2(address) __builtin_prefetch((address), 0, 2)

/** Prefetches every line of [address, address + size_bytes) for reading. */
static inline void moirai_prefetch_range(const void *address, size_t size_bytes)
{
	for (size_t offset = 0; offset < size_bytes; offset += MOIRAI_CACHELINE)
		moirai_prefetch_read((const char *)address + offset);
}

#endif
