/* SPDX-License-Identifier: MIT */
/*
 * Cells. Design note.
 *
 * What: blocks of one size from slabs. A slab belongs to one thread (a worker, or the record of a
 * foreign thread); its owner takes and returns cells without an atomic operation. Anybody else
 * returns a cell by pushing it on the slab's remote list.
 *
 * States of a cell: never used (between bump and end) -> in use -> on `free` (owner) or on `remote`
 * (anybody) -> in use ... Who frees a cell must own it exclusively; the task protocol sees to that.
 *
 * Protocol
 *   1. get: pop `free`; empty: take the whole of `remote` by one exchange; empty: bump; none: a new
 *      chunk. Taking the list whole leaves no ABA: nobody ever pops a single cell from `remote`.
 *   2. put by another: link = head, CAS head -> cell (release). The owner's exchange (acquire) sees
 *      the link and everything the freeing thread did to the cell before.
 *
 * Memory is given back only by slab_fini: a task's word may be unparked by address after the cell
 * was freed, and ids are read from cells through handles; both need addresses that stay mapped.
 * A cell that was never used is zeroed; a reused one keeps its last contents (task.c counts
 * generations in it).
 *
 * Cost: get and put 1 ns each by the owner, one RMW for a foreign put. A chunk is 64 KiB, touched
 * cell by cell: an idle slab costs nothing.
 *
 * Refused: a shared pool with a lock (every spawn would touch a contended line); batches of cells
 * between threads (measured in the design phase: no gain over handing back one by one).
 */
#include "cell.h"

#include <errno.h>
#include <moirai/core/internal/noise.h>

struct chunk {
	struct chunk *next;
	uint64_t number; /* within the class */
} MOIRAI_ALIGNED(MOIRAI_CACHELINE);

static struct cell *bump(struct slab *slab)
{
	struct cell *cell = (struct cell *)(void *)slab->bump;
	slab->bump += slab->class->size_bytes;
	for (size_t i = 0; i < slab->class->size_bytes / sizeof(uint64_t); i++)
		((uint64_t *)(void *)cell)[i] = 0;
	cell->slab = slab;
	return cell;
}

static int chunk_add(struct slab *slab)
{
	struct cell_class *class = slab->class;
	size_t usable = (CHUNK_BYTES - sizeof(struct chunk)) / class->size_bytes;
	/* relaxed: a count; nothing is published by it. */
	uint64_t before = moirai_fetch_add_relaxed(&class->cells, usable);
	/* Each slab gets its first chunk, or one thread would hold all there is for the others. */
	if (slab->chunks != NULL && before + usable > class->cells_max) {
		moirai_fetch_sub_relaxed(&class->cells, usable);
		return -EAGAIN;
	}
	struct chunk *chunk = moirai_alloc_aligned(CHUNK_BYTES, CHUNK_BYTES);
	if (chunk == NULL) {
		moirai_fetch_sub_relaxed(&class->cells, usable);
		return -ENOMEM;
	}
	chunk->number = moirai_fetch_add_relaxed(&class->chunks, 1u); /* relaxed: a name */
	chunk->next = slab->chunks;
	slab->chunks = chunk;
	slab->bump = (char *)chunk + sizeof(*chunk);
	slab->end = slab->bump + usable * class->size_bytes;
	return 0;
}

MOIRAI_NOINLINE struct cell *cell_get_slow(struct slab *slab, int *error)
{
	/* acquire: pairs with the release in cell_put_remote(); what was done to the cells is over. */
	struct cell *list = moirai_load_relaxed(&slab->remote) == NULL
				    ? NULL
				    : moirai_exchange_acquire(&slab->remote, NULL);
	if (list != NULL) {
		slab->free = (struct cell *)MOIRAI_RD(list->link);
		return list;
	}
	if (slab->bump == slab->end) {
		int rc = chunk_add(slab);
		if (rc < 0) {
			*error = rc;
			return NULL;
		}
	}
	return bump(slab);
}

MOIRAI_NOINLINE void cell_put_remote(struct cell *cell)
{
	struct slab *slab = cell->slab;
	struct cell *head = moirai_load_relaxed(&slab->remote);
	do {
		MOIRAI_WR(cell->link) = (uintptr_t)head;
		MOIRAI_NOISE();
		/* release: pairs with the acquire exchange in cell_get_slow(); publishes the link. */
	} while (!moirai_cas_weak_release(&slab->remote, &head, cell));
}

uint64_t cell_number(const struct cell *cell)
{
	uintptr_t base = (uintptr_t)cell & ~(CHUNK_BYTES - 1);
	const struct chunk *chunk = (const struct chunk *)base;
	size_t size = cell->slab->class->size_bytes;
	return chunk->number * 1024 + ((uintptr_t)cell - base - sizeof(*chunk)) / size;
}

void slab_fini(struct slab *slab)
{
	for (struct chunk *chunk = slab->chunks, *next; chunk != NULL; chunk = next) {
		next = chunk->next;
		moirai_free(chunk);
	}
	slab->chunks = NULL;
	slab->free = NULL;
	slab->remote = NULL;
	slab->bump = NULL;
	slab->end = NULL;
}
