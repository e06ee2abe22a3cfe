/* SPDX-License-Identifier: MIT */
/*
 * The table of buckets: its growth, its view from outside, its fate in a fork.
 *
 * Growth (as in parking_lot): a new table is allocated, every bucket of the old one is locked in
 * the order of the array, the groups are linked over, the new table is published, the old locks
 * are released. Whoever waited for an old lock sees that the table has changed and starts again.
 * Old tables stay: such a locker may come arbitrarily late. Sizes at least double, so all old ones
 * together are no larger than the present one.
 */
#include "park_lot.h"

#include <errno.h>
#include <moirai/core/os.h>

#include "os_internal.h"

/* 64 MiB of buckets, at their ease for 8 million waiters. */
#define TABLE_BITS_MAX     20
#define WAITERS_PER_BUCKET 8

static moirai__bucket initial_buckets[1u << MOIRAI__PARK_INITIAL_BITS];
static struct park_table initial_table = {
	.buckets = initial_buckets,
	.bits = MOIRAI__PARK_INITIAL_BITS,
};
struct park_table *park_table_current = &initial_table;

static moirai__bucket growth; /* its lock: one grower at a time */

struct park_table *park_lock_all(void)
{
	for (;;) {
		/* acquire: pairs with the release in moirai_park_reserve(). */
		struct park_table *table = moirai_load_acquire(&park_table_current);
		for (size_t i = 0; i < park_table_count(table); i++)
			park_bucket_acquire(&table->buckets[i]);
		/* Relaxed: as in park_lock(). */
		if (MOIRAI_LIKELY(moirai_load_relaxed(&park_table_current) == table))
			return table;
		park_unlock_all(table);
	}
}

void park_unlock_all(struct park_table *table)
{
	for (size_t i = 0; i < park_table_count(table); i++)
		park_bucket_release(&table->buckets[i]);
}

/* Header and buckets in one mapping, zeroed by the system and committed as they are touched. */
static struct park_table *table_create(unsigned bits)
{
	void *memory;
	size_t page = moirai_os_page_size();
	size_t size = ((size_t)1 << bits) * sizeof(moirai__bucket) + page;
	size = (size + page - 1) / page * page;
	if (moirai_os_map(&memory, size, page, MOIRAI_OS_MAP_RESERVE) < 0)
		return NULL;
	struct park_table *table = memory;
	table->buckets = (moirai__bucket *)(void *)((char *)memory + page);
	table->bits = bits;
	return table;
}

/* All of `from` is locked, and nobody knows `to` yet. A group has one address, so it moves whole. */
static void table_rehash(struct park_table *from, struct park_table *to)
{
	for (size_t i = 0; i < park_table_count(from); i++) {
		moirai__wait_node *head = MOIRAI_RD(from->buckets[i].head_), *next;
		for (; head; head = next) {
			next = MOIRAI_RD(head->group_next);
			park_group_link(
				park_table_bucket(to, moirai_load_relaxed(&head->address)), head);
		}
		MOIRAI_WR(from->buckets[i].head_) = NULL;
	}
}

static int table_grow(unsigned bits)
{
	/* Relaxed: only growers change it, and we are the one. */
	if (moirai_load_relaxed(&park_table_current)->bits >= bits)
		return 0;
	struct park_table *grown = table_create(bits);
	if (!grown)
		return -ENOMEM;
	struct park_table *table = park_lock_all();
	table_rehash(table, grown);
	grown->previous = table;
	/* release: pairs with the acquires of park_table_current; the new table's contents. */
	moirai_store_release(&park_table_current, grown);
	park_unlock_all(table);
	return 0;
}

int moirai_park_reserve(size_t waiters)
{
	unsigned bits = MOIRAI__PARK_INITIAL_BITS;
	while (bits < TABLE_BITS_MAX && (size_t)WAITERS_PER_BUCKET << bits < waiters)
		bits++;
	park_bucket_acquire(&growth);
	int rc = table_grow(bits);
	park_bucket_release(&growth);
	return rc;
}

size_t moirai__park_buckets(void)
{
	/* acquire: pairs with the release in table_grow(). */
	return park_table_count(moirai_load_acquire(&park_table_current));
}

static void bucket_reset(moirai__bucket *bucket)
{
	/* Untouched pages stay untouched. Relaxed: there is no other thread. */
	if (moirai_load_relaxed(&bucket->lock_))
		moirai_store_relaxed(&bucket->lock_, 0);
	if (moirai_load_relaxed(&bucket->sleepers_))
		moirai_store_relaxed(&bucket->sleepers_, 0);
	if (bucket->head_)
		bucket->head_ = NULL;
}

void moirai__park_reset_after_fork(void)
{
	/* A grower that the fork interrupted holds old buckets; nobody will want those again. */
	struct park_table *table = moirai_load_relaxed(&park_table_current);
	for (size_t i = 0; i < park_table_count(table); i++)
		bucket_reset(&table->buckets[i]);
	bucket_reset(&growth);
}

/* --- looking in --- */

static void visit_bucket(const moirai__bucket *bucket,
	void (*visit)(const moirai__park_waiter *waiter, void *arg), void *arg)
{
	const moirai__wait_node *head, *node;
	for (head = bucket->head_; head; head = head->group_next) {
		for (node = head; node; node = node->next) {
			moirai__park_waiter waiter = {
				.address =
					moirai_load_relaxed(&node->address), /* Under its lock. */
				.kind = (moirai__wait_kind)node->kind,
				.fiber = park_fiber_of(node),
				.any = node->flags & MOIRAI__NODE_ANY,
				.since_ns = node->since_ns,
			};
			visit(&waiter, arg);
		}
	}
}

void moirai__park_visit(void (*visit)(const moirai__park_waiter *waiter, void *arg), void *arg)
{
	/* acquire: pairs with the release in table_grow(). A table that grows meanwhile is seen empty. */
	struct park_table *table = moirai_load_acquire(&park_table_current);
	for (size_t i = 0; i < park_table_count(table); i++) {
		park_bucket_acquire(&table->buckets[i]);
		visit_bucket(&table->buckets[i], visit, arg);
		park_bucket_release(&table->buckets[i]);
	}
}

#ifndef MOIRAI_MODEL
__attribute__((constructor)) static void watch_forks(void)
{
	moirai__os_at_fork_child(moirai__park_reset_after_fork);
}
#endif
