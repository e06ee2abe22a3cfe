/* SPDX-License-Identifier: MIT */
/* Cells: fixed blocks that any thread may free, from slabs that one thread owns. See cell.c. */
#ifndef MOIRAI_EXECUTOR_CELL_H
#define MOIRAI_EXECUTOR_CELL_H

#include <moirai/core/alloc.h>
#include <moirai/core/atomic.h>

/* The head of every block. */
struct cell {
	uintptr_t link;    /* free: next free cell; in use: the user's */
	struct slab *slab; /* where it goes back to; constant */
};

struct chunk;

/* Cells of 64 bytes in a chunk; larger ones are fewer. */
#ifndef CHUNK_BYTES
#define CHUNK_BYTES ((size_t)64 * 1024)
#endif
#define CELLS_PER_CHUNK (CHUNK_BYTES / 64 - 1)

/* Shared by the slabs of one kind in one executor. */
struct cell_class {
	uint32_t size_bytes; /* of a cell, a multiple of 64 */
	uint64_t cells_max;
	uint64_t cells;  /* that exist; atomic */
	uint64_t chunks; /* ever made; atomic; names them */
};

/* All-zero but for `class` is an empty slab. */
struct slab {
	/* owner only */
	struct cell *free;
	char *bump; /* cells that were never used: [bump, end) */
	char *end;
	struct chunk *chunks;
	struct cell_class *class;
	char pad_[MOIRAI_CACHELINE - 5 * sizeof(void *)];
	/* whoever frees a cell that is not its own */
	struct cell *remote;
	char pad2_[MOIRAI_CACHELINE - sizeof(void *)];
} MOIRAI_ALIGNED(64);

/* The slow side of cell_get: remote frees, then a new chunk. NULL: see *error. Owner only. */
struct cell *cell_get_slow(struct slab *slab, int *error);
/* Pushes a cell back to a slab that the caller does not own. Any thread. */
void cell_put_remote(struct cell *cell);
/* Frees all chunks; nobody may use a cell of the slab any more. */
void slab_fini(struct slab *slab);
/* Index of a cell within its chunk and the chunk's number, for ids. */
uint64_t cell_number(const struct cell *cell);

/* A cell with undefined contents (but see cell.c about fresh ones), or NULL. Owner only. */
static MOIRAI_ALWAYS_INLINE struct cell *cell_get(struct slab *slab, int *error)
{
	struct cell *cell = slab->free;
	if (MOIRAI_UNLIKELY(cell == NULL))
		return cell_get_slow(slab, error);
	slab->free = (struct cell *)MOIRAI_RD(cell->link);
	return cell;
}

/* Gives a cell back; `mine` is the caller's own slab or NULL. */
static MOIRAI_ALWAYS_INLINE void cell_put(struct slab *mine, struct cell *cell)
{
	if (MOIRAI_UNLIKELY(cell->slab != mine)) {
		cell_put_remote(cell);
		return;
	}
	MOIRAI_WR(cell->link) = (uintptr_t)mine->free;
	mine->free = cell;
}

#endif
