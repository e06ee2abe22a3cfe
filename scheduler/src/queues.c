/* SPDX-License-Identifier: MIT */
/*
 * Design note: what a worker runs next.
 *
 * Order of a pick: the youngest item of the most urgent level, then the oldest yielder. Every 64th
 * pick first looks elsewhere (timers, the injector), then serves, in turns, the old end of one level
 * (round robin from the least urgent) or the yield queue. So nothing starves: under an endless chain
 * of urgent tasks an item waits for at most 5 * 128 picks, and LIFO never buries the oldest.
 *
 * The bitmap levels_ is the owner's alone: set by a push that finds the bit clear, cleared by a pick
 * that finds the level empty. Thieves read it as a hint; a sleeper's rescan reads the deques and the
 * yield queue themselves, for a hint may be stale. A claim that reaches too far (see deque.c) may make
 * a pick find nothing in a level that holds something; so a bit is cleared only when the deque is bare,
 * that is, holds nothing and has no thief: other thieves believe the bit, and their victim may be long
 * at work. moirai__queues_pop_any(), which a searcher uses, rebuilds the bitmap from the deques.
 *
 * Loot keeps its level: what a thief takes from level l goes to its own level l, yielders to its own
 * yield queue. Room is made before the victim's lock is taken; without memory a thief takes one item,
 * which needs no room. What comes from outside and finds no room goes to the injector's intrusive
 * list, which needs none either: nothing is ever lost for want of memory.
 */
#include <moirai/scheduler/internal/queues.h>

#include <string.h>

#include <moirai/core/observer.h>

void moirai__queues_init(struct moirai__queues *queues, const struct moirai__item_ops *ops)
{
	memset(queues, 0, sizeof(*queues));
	queues->ops_ = ops;
}

void moirai__queues_fini(struct moirai__queues *queues)
{
	for (unsigned level = 0; level < MOIRAI_PRIORITY_LEVELS; level++)
		moirai__deque_fini(&queues->deque_[level]);
	moirai__yield_queue_fini(&queues->yielded_);
}

void moirai__queues_trim(struct moirai__queues *queues)
{
	for (unsigned level = 0; level < MOIRAI_PRIORITY_LEVELS; level++)
		moirai__deque_trim(&queues->deque_[level]);
	moirai__yield_queue_trim(&queues->yielded_);
}

uintptr_t moirai__queues_take_oldest(struct moirai__queues *queues)
{
	for (unsigned i = 0; i < MOIRAI_PRIORITY_LEVELS; i++) {
		unsigned level = MOIRAI_PRIORITY_LEVELS - 1 - queues->age_++ % MOIRAI_PRIORITY_LEVELS;
		uintptr_t item = moirai__deque_take_oldest(&queues->deque_[level]);
		if (item)
			return item;
	}
	return 0;
}

uintptr_t moirai__queues_pick_slow(
	struct moirai__queues *queues, moirai__elsewhere_fn *elsewhere, void *arg)
{
	uintptr_t item = elsewhere ? elsewhere(arg) : 0;
	if (item)
		return item;
	if (moirai_load_relaxed(&queues->pick_) & MOIRAI__PICK_PERIOD)
		item = moirai__queues_take_oldest(queues);
	else
		item = moirai__yield_queue_pop(&queues->yielded_);
	if (item)
		return item;
	item = moirai__queues_pop(queues);
	return item ? item : moirai__yield_queue_pop(&queues->yielded_);
}

uintptr_t moirai__queues_pop_any(struct moirai__queues *queues)
{
	uint32_t levels = 0;
	for (unsigned level = 0; level < MOIRAI_PRIORITY_LEVELS; level++)
		levels |= (uint32_t)!moirai__deque_is_bare(&queues->deque_[level]) << level;
	moirai_store_relaxed(&queues->levels_, levels);
	uintptr_t item = moirai__queues_pop(queues);
	return item ? item : moirai__yield_queue_pop(&queues->yielded_);
}

size_t moirai__queues_count(const struct moirai__queues *queues)
{
	size_t count = moirai__yield_queue_count(&queues->yielded_);
	for (uint32_t levels = moirai_load_relaxed(&queues->levels_); levels; levels &= levels - 1)
		count += moirai__deque_count(&queues->deque_[__builtin_ctz(levels)]);
	return count;
}

bool moirai__queues_any(const struct moirai__queues *queues)
{
	for (unsigned level = 0; level < MOIRAI_PRIORITY_LEVELS; level++)
		if (moirai__deque_count(&queues->deque_[level]))
			return true;
	return moirai__yield_queue_count(&queues->yielded_) != 0;
}

/* Queues items[1 ... count) at the level, youngest first, so that a pop returns the oldest next. */
static void keep_rest(struct moirai__queues *own, unsigned level, uintptr_t *items, unsigned count)
{
	for (unsigned i = count; i-- > 1;) {
		int rc = moirai__queues_push(own, level, items[i]);
		MOIRAI_ASSERT(rc == 0); /* the room was reserved */
		(void)rc;
	}
}

static uintptr_t steal_level(struct moirai__queues *victim, struct moirai__queues *own,
	unsigned level, moirai_steal_amount amount)
{
	uintptr_t items[MOIRAI__STEAL_MAX];
	unsigned max = moirai__queues_reserve(own, level, MOIRAI__STEAL_MAX) == 0 ? MOIRAI__STEAL_MAX
										   : 1;
	unsigned count = moirai__deque_steal(&victim->deque_[level], items, max, amount);
	if (!count)
		return 0;
	keep_rest(own, level, items, count);
	moirai__count(&own->stats_.steals_items, count);
	return items[0];
}

static uintptr_t steal_yielded(
	struct moirai__queues *victim, struct moirai__queues *own, moirai_steal_amount amount)
{
	uintptr_t items[MOIRAI__STEAL_MAX];
	int room = moirai__yield_queue_reserve(&own->yielded_, MOIRAI__STEAL_MAX);
	unsigned max = room == 0 ? MOIRAI__STEAL_MAX : 1;
	unsigned count = moirai__yield_queue_steal(&victim->yielded_, items, max, amount);
	if (!count)
		return 0;
	for (unsigned i = 1; i < count; i++) {
		int rc = moirai__yield_queue_push(&own->yielded_, items[i]);
		MOIRAI_ASSERT(rc == 0); /* the room was reserved */
		(void)rc;
	}
	moirai__count(&own->stats_.steals_items, count);
	return items[0];
}

uintptr_t moirai__queues_steal(
	struct moirai__queues *victim, struct moirai__queues *own, moirai_steal_amount amount)
{
	uintptr_t item = 0;
	moirai__count(&own->stats_.steals_tried, 1);
	uint32_t levels = moirai_load_relaxed(&victim->levels_);
	for (; levels && !item; levels &= levels - 1) {
		unsigned level = (unsigned)__builtin_ctz(levels);
		if (moirai__deque_count(&victim->deque_[level]))
			item = steal_level(victim, own, level, amount);
	}
	if (!item && moirai__yield_queue_count(&victim->yielded_))
		item = steal_yielded(victim, own, amount);
	if (item) {
		moirai__count(&own->stats_.steals_won, 1);
		MOIRAI_OBSERVE(MOIRAI_EVENT_STEAL, (const void *)(item & ~(uintptr_t)1));
	}
	return item;
}

uintptr_t moirai__queues_drain(
	struct moirai__queues *queues, struct moirai__injector *injector, unsigned sharers)
{
	uintptr_t items[MOIRAI__TAKE_MAX];
	unsigned count = moirai__injector_take(injector, items, MOIRAI__TAKE_MAX, sharers);
	if (!count)
		return 0;
	for (unsigned i = count; i-- > 1;) {
		unsigned level = queues->ops_->level(items[i]);
		if (moirai__queues_push(queues, level, items[i]) < 0)
			moirai__injector_ready(injector, items[i]);
	}
	moirai__count(&queues->stats_.injected, count);
	return items[0];
}

void moirai__queues_stats(const struct moirai__queues *queues, moirai_scheduler_stats *stats)
{
	const moirai_scheduler_stats *own = &queues->stats_;
	*stats = (moirai_scheduler_stats){
		.picks = moirai_load_relaxed(&queues->pick_),
		.spawned = moirai_load_relaxed(&queues->spawned_),
		.steals_tried = moirai_load_relaxed(&own->steals_tried),
		.steals_won = moirai_load_relaxed(&own->steals_won),
		.steals_items = moirai_load_relaxed(&own->steals_items),
		.injected = moirai_load_relaxed(&own->injected),
		.sleeps = moirai_load_relaxed(&own->sleeps),
		.wakes = moirai_load_relaxed(&own->wakes),
		.naps = moirai_load_relaxed(&own->naps),
		.pokes = moirai_load_relaxed(&own->pokes),
	};
}
