/* SPDX-License-Identifier: MIT */
/*
 * Slabs under every schedule: the owner takes cells while others free them. Each cell is in one
 * pair of hands at a time; what one holder wrote the next one sees; none is lost.
 */
#include "model.h"

#define CHUNK_BYTES ((size_t)512)
#include "planted_cell.h"

struct item {
	struct cell cell;
	int data;
	char rest[64 - sizeof(struct cell) - sizeof(int)];
};

static struct cell_class class = {.size_bytes = 64, .cells_max = 100};
static struct slab slab = {.class = &class};
static uint32_t held[8];

static struct item *get(void)
{
	int rc = 0;
	struct cell *cell = cell_get(&slab, &rc);
	MODEL_CHECK(cell != NULL && rc == 0);
	struct item *item = MOIRAI_CONTAINER_OF(cell, struct item, cell);
	uint64_t number = cell_number(cell);
	MODEL_CHECK(number < 8);
	MODEL_CHECK(moirai_fetch_add_relaxed(&held[number], 1u) == 0); /* nobody else has it */
	MOIRAI_WR(item->data) = 1;
	return item;
}

/* By whoever holds it; `mine` as in cell_put(). */
static void put(struct slab *mine, struct item *item)
{
	MODEL_CHECK(MOIRAI_RD(item->data) == 1);
	MOIRAI_WR(item->data) = 0;
	moirai_fetch_sub_relaxed(&held[cell_number(&item->cell)], 1u);
	cell_put(mine, &item->cell);
}

static void free_elsewhere(void *item)
{
	put(NULL, item);
}

static void owner_meets_two_others(void)
{
	struct item *a = get(), *b = get();
	model_thread(free_elsewhere, a);
	model_thread(free_elsewhere, b);
	struct item *c = get(), *d = get();
	put(&slab, c);
	model_join_all();
	/* Nothing is lost: four cells at most have ever been needed. */
	struct item *all[4];
	for (int i = 0; i < 4; i++)
		all[i] = get();
	MODEL_CHECK(slab.bump <= (char *)slab.chunks + 64 + 5 * 64);
	for (int i = 0; i < 4; i++)
		put(&slab, all[i]);
	put(&slab, d);
	slab_fini(&slab);
}

static struct slab other = {.class = &class};

static void cross_free(void *item)
{
	int rc = 0;
	put(NULL, item);
	struct cell *cell = cell_get(&other, &rc); /* its own slab meanwhile */
	MODEL_CHECK(cell != NULL);
	cell_put(&other, cell);
}

static void two_owners_free_each_others(void)
{
	struct item *a = get();
	model_thread(cross_free, a);
	struct item *b = get();
	put(&slab, b);
	b = get();
	model_join_all();
	put(&slab, b);
	b = get();
	struct item *c = get();
	put(&slab, b);
	put(&slab, c);
	slab_fini(&slab);
	slab_fini(&other);
}

static void no_memory_is_an_error(void)
{
	int rc = 0;
	struct cell *cell = cell_get(&slab, &rc);
	MODEL_CHECK(cell != NULL ? rc == 0 : rc == -ENOMEM);
	MODEL_CHECK(class.cells == (cell != NULL ? 7 : 0));
	slab_fini(&slab);
}

MODEL_MAIN(MODEL_CLEAN(owner_meets_two_others, .bound = 3),
	MODEL_CLEAN(two_owners_free_each_others, .exhaust = true),
	MODEL_CLEAN(no_memory_is_an_error, .exhaust = true, .alloc_fails = 1),
	MODEL_FINDS(owner_meets_two_others, 1, "race"),
	MODEL_FINDS(owner_meets_two_others, 2, "race"))
