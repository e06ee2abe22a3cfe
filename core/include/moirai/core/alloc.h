/* SPDX-License-Identifier: MIT */
/*
 * Every allocation of the library goes through here: the application may inject its allocator, and
 * tests make the k-th allocation fail.
 */
#ifndef MOIRAI_CORE_ALLOC_H
#define MOIRAI_CORE_ALLOC_H

#include <moirai/core/base.h>

MOIRAI_BEGIN_DECLS

typedef struct moirai_allocator {
	/* Memory of size_bytes aligned to `alignment` (a power of two), or NULL. */
	void *(*alloc)(void *self, size_t size_bytes, size_t alignment);
	/* `size_bytes` and `alignment` are those of the allocation; pointer is never NULL. */
	void (*free)(void *self, void *pointer, size_t size_bytes, size_t alignment);
	void *self;
} moirai_allocator;

/**
 * Replaces the process-wide allocator (the C library's by default). The table is copied. Call it
 * before anything of the library is created: -EBUSY once an allocation is outstanding, -EINVAL
 * when a function is missing. NULL restores the default.
 */
MOIRAI_API int moirai_allocator_set(const moirai_allocator *allocator);

/** Uninitialised memory aligned to 16 bytes, or NULL. size_bytes 0 gives NULL. Any thread. */
MOIRAI_API void *moirai_alloc(size_t size_bytes);

/** Zeroed memory for count elements of size_bytes, or NULL; the product is checked for overflow. */
MOIRAI_API void *moirai_alloc_zeroed(size_t count, size_t size_bytes);

/** Uninitialised memory aligned to `alignment` (a power of two up to 1 MiB), or NULL. */
MOIRAI_API void *moirai_alloc_aligned(size_t size_bytes, size_t alignment);

/** Grows or shrinks; keeps the old block and returns NULL when there is no memory. */
MOIRAI_API void *moirai_realloc(void *pointer, size_t size_bytes);

/** Frees what one of the functions above returned. NULL is fine. Any thread. */
MOIRAI_API void moirai_free(void *pointer);

/* What is allocated and how often: for tests ("0 allocations in steady state") and audits. */
typedef struct moirai_alloc_stats {
	uint64_t allocations; /* calls that returned memory since the start */
	uint64_t frees;
	uint64_t live_bytes; /* asked for and not freed yet */
} moirai_alloc_stats;

/** Fills *stats; approximate while other threads allocate. Never fails. */
MOIRAI_API void moirai_alloc_stats_get(moirai_alloc_stats *stats);

MOIRAI_END_DECLS

#endif
