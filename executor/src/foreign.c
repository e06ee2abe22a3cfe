/* SPDX-License-Identifier: MIT */
/*
 * Threads that are no workers. Design note.
 *
 * A foreign thread gets a record in each pool that it spawns into: a producer queue and slabs of its
 * own. The record outlives the thread: when it ends (or uses more pools than it remembers) the
 * record is free to be adopted, queue and cells included, by the next thread. Nothing of a pool is
 * freed before the pool.
 *
 * A thread remembers its records by the pool's id, never by its address, which may be reused; ids
 * are not. When the thread ends it asks the registry which of its pools still live, under the lock
 * that destroy takes to leave the registry.
 *
 * fork(): the child has a copy of everything but the threads. Its pools are marked, so that every
 * call that would need a worker refuses; a task that forked is a plain thread there and meets the
 * trap if it returns into its loop instead of calling exec or exit.
 *
 * `busy` is the biased section of spawn.c. foreign_settle() visits all records; one that is added
 * meanwhile is published after the phase was stored and its thread's fence sees that, or it is seen
 * here: both sides go through the foreign lock first.
 */
#include <moirai/core/alloc.h>
#include <moirai/core/internal/fork.h>

#include "private.h"

/* Pools that one thread remembers. More work too, only slower. */
#define KNOWN_MAX 4

struct known {
	uint64_t pool_id; /* 0: empty */
	struct foreign *foreign;
};

THREAD_LOCAL struct known known[KNOWN_MAX]; /* the latest first */
THREAD_LOCAL bool hooked;

static struct moirai__spin registry_lock;
static struct pool *registry;

void registry_add(struct pool *pool)
{
	static uint64_t last_id;
	moirai__spin_take(&registry_lock);
	pool->id = ++last_id;
	pool->next = registry;
	registry = pool;
	moirai__spin_drop(&registry_lock);
}

void registry_remove(struct pool *pool)
{
	moirai__spin_take(&registry_lock);
	struct pool **link = &registry;
	while (*link != pool)
		link = &(*link)->next;
	*link = pool->next;
	moirai__spin_drop(&registry_lock);
}

struct moirai_task foreign_fork_trap;

static void forked(void)
{
	registry_lock = (struct moirai__spin){0}; /* its holder stayed with the parent */
	for (struct pool *pool = registry; pool != NULL; pool = pool->next) {
		moirai_store_relaxed(&pool->phase, (uint32_t)POOL_FORKED);
		pool->foreign_lock = (struct moirai__spin){0};
		pool->blocking.lock = (struct moirai__spin){0};
	}
	struct worker *worker = worker_self();
	if (worker == NULL)
		return;
	worker->handed = (uintptr_t)&foreign_fork_trap;
	worker_self_set(NULL);
	moirai__context_set(NULL);
}

__attribute__((constructor)) static void watch_forks(void)
{
	moirai__os_at_fork_child(forked);
}

/* The record may be adopted, if its pool still lives. */
static void forget(struct known *entry)
{
	if (entry->pool_id == 0)
		return;
	moirai__spin_take(&registry_lock);
	for (struct pool *pool = registry; pool != NULL; pool = pool->next) {
		if (pool->id != entry->pool_id)
			continue;
		moirai__spin_take(&pool->foreign_lock);
		entry->foreign->owned = false;
		moirai__spin_drop(&pool->foreign_lock);
		break;
	}
	moirai__spin_drop(&registry_lock);
	entry->pool_id = 0;
}

static void thread_ends(void *slot)
{
	(void)slot;
	for (unsigned i = 0; i < KNOWN_MAX; i++)
		forget(&known[i]);
	hooked = false;
}

static struct foreign *adopt(struct pool *pool)
{
	moirai__spin_take(&pool->foreign_lock);
	struct foreign *foreign = pool->foreigners;
	while (foreign != NULL && foreign->owned)
		foreign = foreign->next;
	if (foreign != NULL)
		foreign->owned = true;
	moirai__spin_drop(&pool->foreign_lock);
	return foreign;
}

static struct foreign *create(struct pool *pool)
{
	struct foreign *foreign = moirai_alloc_aligned(sizeof(*foreign), _Alignof(struct foreign));
	if (foreign == NULL)
		return NULL;
	*foreign = (struct foreign){.owned = true};
	foreign->cells.class = &pool->cell_class;
	foreign->sides.class = &pool->side_class;
	if (moirai__injector_join(&pool->injector, &foreign->producer) < 0) {
		moirai_free(foreign);
		return NULL;
	}
	moirai__spin_take(&pool->foreign_lock);
	foreign->next = pool->foreigners;
	pool->foreigners = foreign;
	moirai__spin_drop(&pool->foreign_lock);
	return foreign;
}

/* Moves entry i to the front. */
static struct foreign *promote(unsigned i)
{
	struct known entry = known[i];
	for (; i > 0; i--)
		known[i] = known[i - 1];
	known[0] = entry;
	return entry.foreign;
}

static MOIRAI_NOINLINE struct foreign *foreign_slow(struct pool *pool, int *error)
{
	for (unsigned i = 1; i < KNOWN_MAX; i++)
		if (known[i].pool_id == pool->id)
			return promote(i);
	if (!hooked) {
		int rc = moirai_os_thread_exit_hook(thread_ends, &known);
		if (rc < 0) {
			*error = rc == -ENOSPC ? -EAGAIN : rc;
			return NULL;
		}
		hooked = true;
	}
	struct foreign *foreign = adopt(pool);
	if (foreign == NULL)
		foreign = create(pool);
	if (foreign == NULL) {
		*error = -ENOMEM;
		return NULL;
	}
	forget(&known[KNOWN_MAX - 1]);
	known[KNOWN_MAX - 1] = (struct known){.pool_id = pool->id, .foreign = foreign};
	return promote(KNOWN_MAX - 1);
}

MOIRAI_NOINLINE struct foreign *foreign_self(struct pool *pool, int *error)
{
	if (MOIRAI_LIKELY(known[0].pool_id == pool->id))
		return known[0].foreign;
	return foreign_slow(pool, error);
}

MOIRAI_NOINLINE struct foreign *foreign_known(const struct pool *pool)
{
	for (unsigned i = 0; i < KNOWN_MAX; i++)
		if (known[i].pool_id == pool->id)
			return known[i].foreign;
	return NULL;
}

void foreign_settle(struct pool *pool)
{
	/* Pairs with the light fence in spawn_foreign(). */
	moirai_fence_heavy();
	moirai__spin_take(&pool->foreign_lock);
	struct foreign *foreign = pool->foreigners;
	moirai__spin_drop(&pool->foreign_lock);
	for (; foreign != NULL; foreign = foreign->next)
		/* acquire: pairs with the release that ends a spawn. Sections are short. */
		for (unsigned spins = 1; moirai_load_acquire(&foreign->busy); spins++) {
			moirai_cpu_relax();
			if (spins % 64 == 0)
				moirai_os_yield();
		}
}

void foreign_fini(struct pool *pool)
{
	for (struct foreign *foreign = pool->foreigners, *next; foreign != NULL; foreign = next) {
		next = foreign->next;
		slab_fini(&foreign->cells);
		slab_fini(&foreign->sides);
		moirai_free(foreign);
	}
	pool->foreigners = NULL;
}
