/* SPDX-License-Identifier: MIT */
#include <moirai/core/internal/fault.h>
#include <moirai/scheduler/internal/queues.h>

#include <errno.h>
#include <string.h>

#include "tap.h"

/* An item is level * 1000 + number; its link lies in a table. */
static uintptr_t links[5000];

static unsigned level_of(uintptr_t item)
{
	return (unsigned)(item / 1000);
}

static uintptr_t *next_of(uintptr_t item)
{
	return &links[item];
}

static const struct moirai__item_ops ops = {.level = level_of};
static struct moirai__queues queues, other;

static void begin(void)
{
	moirai__queues_init(&queues, &ops);
	moirai__queues_init(&other, &ops);
}

static void end(void)
{
	moirai__queues_fini(&queues);
	moirai__queues_fini(&other);
}

static uintptr_t pick(void)
{
	return moirai__queues_pick(&queues, NULL, NULL);
}

static void the_most_urgent_level_comes_first(void)
{
	begin();
	CHECK(moirai__level(MOIRAI_PRIORITY_CRITICAL) == 0);
	CHECK(moirai__level(MOIRAI_PRIORITY_NORMAL) == MOIRAI__LEVEL_NORMAL);
	CHECK(moirai__level(MOIRAI_PRIORITY_IDLE) == MOIRAI_PRIORITY_LEVELS - 1);
	CHECK(moirai__yield_queue_push(&queues.yielded_, 77) == 0);
	for (unsigned level = 5; level-- > 0;)
		for (uintptr_t i = 1; i <= 2; i++)
			CHECK(moirai__queues_push(&queues, level, level * 1000 + i) == 0);
	CHECK(moirai__queues_count(&queues) == 11);
	for (unsigned level = 0; level < 5; level++) {
		CHECK(pick() == level * 1000 + 2);
		CHECK(pick() == level * 1000 + 1);
	}
	CHECK(pick() == 77);
	CHECK(pick() == 0);
	CHECK(!moirai__queues_any(&queues));
	end();
}

static unsigned elsewhere_calls;

static uintptr_t elsewhere(void *arg)
{
	elsewhere_calls++;
	return *(uintptr_t *)arg;
}

static void every_64th_pick_looks_elsewhere(void)
{
	begin();
	uintptr_t outside = 3001;
	elsewhere_calls = 0;
	for (unsigned i = 1; i <= 640; i++) {
		CHECK(moirai__queues_push(&queues, 2, 2001) == 0);
		uintptr_t item = moirai__queues_pick(&queues, elsewhere, &outside);
		CHECK(item == (i % 64 ? 2001u : 3001u));
	}
	CHECK(elsewhere_calls == 10);
	end();
}

/* An endless chain of urgent tasks: what is least urgent runs after 5 * 128 picks at the latest. */
static void the_least_urgent_item_ages(void)
{
	begin();
	CHECK(moirai__queues_push(&queues, 4, 4001) == 0);
	unsigned picks = 0;
	for (;; picks++) {
		CHECK(moirai__queues_push(&queues, 0, 1) == 0);
		CHECK(moirai__queues_push(&queues, 0, 2) == 0);
		if (pick() == 4001 || picks > 5 * 128)
			break;
	}
	CHECK(picks <= 5 * 128);
	end();
}

static void the_oldest_item_of_a_level_is_not_buried(void)
{
	begin();
	CHECK(moirai__queues_push(&queues, 2, 2001) == 0);
	unsigned picks = 0;
	for (;; picks++) {
		CHECK(moirai__queues_push(&queues, 2, 2002) == 0);
		CHECK(moirai__queues_push(&queues, 2, 2003) == 0);
		if (pick() == 2001 || picks > 128)
			break;
	}
	CHECK(picks <= 128);
	end();
}

static void a_yielder_is_not_starved_by_the_deques(void)
{
	begin();
	CHECK(moirai__yield_queue_push(&queues.yielded_, 77) == 0);
	unsigned picks = 0;
	for (;; picks++) {
		CHECK(moirai__queues_push(&queues, 2, 2002) == 0);
		if (pick() == 77 || picks > 128)
			break;
	}
	CHECK(picks <= 128);
	end();
}

static void the_fast_yield_needs_empty_deques_and_leaves_every_64th_pick_alone(void)
{
	begin();
	CHECK(moirai__yield_queue_push(&queues.yielded_, 1) == 0);
	CHECK(moirai__queues_push(&queues, 2, 2001) == 0);
	CHECK(moirai__queues_yield(&queues, 2, NULL) == 0);
	CHECK(pick() == 2001);
	CHECK(pick() == 1); /* finds the level empty and clears its bit */
	CHECK(moirai__yield_queue_push(&queues.yielded_, 1) == 0);
	uintptr_t self = 2;
	unsigned slow = 0;
	for (unsigned i = 0; i < 256; i++) {
		uintptr_t item = moirai__queues_yield(&queues, self, NULL);
		if (item) {
			moirai__yield_queue_close(&queues.yielded_);
		} else {
			slow++;
			item = pick();
			CHECK(moirai__yield_queue_push(&queues.yielded_, self) == 0);
		}
		CHECK(item == 3 - self); /* two fibers, in turns */
		self = item;
	}
	CHECK(slow == 4);
	end();
}

static void the_signature_moves_with_picks_and_spawns(void)
{
	begin();
	uint64_t before = moirai__queues_signature(&queues);
	(void)pick();
	uint64_t picked = moirai__queues_signature(&queues);
	moirai__queues_spawned(&queues);
	uint64_t spawned = moirai__queues_signature(&queues);
	CHECK(before != picked && picked != spawned);
	moirai__queues_unspawn(&queues);
	CHECK(moirai__queues_signature(&queues) == picked);
	end();
}

static void any_reads_the_queues_and_not_the_bitmap(void)
{
	begin();
	CHECK(moirai__queues_push(&queues, 3, 3001) == 0);
	queues.levels_ = 0; /* a stale hint */
	CHECK(moirai__queues_any(&queues));
	CHECK(pick() == 0);
	CHECK(moirai__queues_pop_any(&queues) == 3001);
	CHECK(moirai__yield_queue_push(&queues.yielded_, 5) == 0);
	CHECK(moirai__queues_any(&queues));
	CHECK(moirai__queues_pop_any(&queues) == 5);
	CHECK(!moirai__queues_any(&queues));
	end();
}

static void loot_keeps_its_level(void)
{
	begin();
	for (uintptr_t i = 1; i <= 6; i++) {
		CHECK(moirai__queues_push(&queues, 1, 1000 + i) == 0);
		CHECK(moirai__queues_push(&queues, 4, 4000 + i) == 0);
		CHECK(moirai__yield_queue_push(&queues.yielded_, i) == 0);
	}
	CHECK(moirai__queues_steal(&queues, &other, MOIRAI_STEAL_HALF) == 1001);
	CHECK(moirai__deque_count(&other.deque_[1]) == 2);
	CHECK(moirai__queues_pick(&other, NULL, NULL) == 1002);
	CHECK(moirai__queues_pick(&other, NULL, NULL) == 1003);
	while (moirai__queues_pop(&queues))
		;
	CHECK(moirai__queues_steal(&queues, &other, MOIRAI_STEAL_HALF) == 1);
	CHECK(moirai__yield_queue_count(&other.yielded_) == 2);
	CHECK(moirai__yield_queue_pop(&other.yielded_) == 2);
	moirai_scheduler_stats stats;
	moirai__queues_stats(&other, &stats);
	CHECK(stats.steals_tried == 2 && stats.steals_won == 2 && stats.steals_items == 6);
	CHECK(stats.picks == 2);
	end();
}

static void a_thief_without_memory_takes_one(void)
{
	begin();
	for (uintptr_t i = 1; i <= 8; i++)
		CHECK(moirai__queues_push(&queues, 2, 2000 + i) == 0);
	moirai__fault_arm(MOIRAI_FAULT_ALLOC, 1);
	CHECK(moirai__queues_steal(&queues, &other, MOIRAI_STEAL_HALF) == 2001);
	moirai__fault_arm(0, 0);
	CHECK(moirai__deque_count(&queues.deque_[2]) == 7);
	CHECK(!moirai__queues_any(&other));
	end();
}

static void what_finds_no_room_goes_back_to_the_door(void)
{
	static struct moirai__injector injector;
	begin();
	moirai__injector_init(&injector, next_of);
	struct moirai__producer *producer;
	REQUIRE(moirai__injector_join(&injector, &producer) == 0);
	for (uintptr_t i = 1; i <= 8; i++)
		CHECK(moirai__producer_push(producer, 2000 + i) == 0);
	moirai__fault_arm(MOIRAI_FAULT_ALLOC, 1);
	CHECK(moirai__queues_drain(&queues, &injector, 1) == 2001);
	moirai__fault_arm(0, 0);
	size_t here = moirai__queues_count(&queues);
	CHECK(here + moirai__injector_count(&injector) == 7);
	unsigned count = 0;
	while (moirai__queues_pop_any(&queues) || moirai__queues_drain(&queues, &injector, 1))
		count++;
	CHECK(count == 7);
	CHECK(moirai__injector_accepted(&injector) == 8);
	moirai__injector_fini(&injector);
	end();
}

static void a_claim_that_reaches_too_far_hides_nothing_for_good(void)
{
	begin();
	CHECK(moirai__queues_push(&queues, 2, 2001) == 0);
	for (unsigned i = 0; i < 2; i++) {
		/* A thief has claimed what the owner has popped meanwhile, and will give it back. */
		size_t claim = moirai_load_relaxed(&queues.deque_[2].claim_);
		moirai_store_relaxed(&queues.deque_[2].claim_, claim + 5);
		CHECK((i ? moirai__queues_pop_any(&queues) : moirai__queues_pop(&queues)) == 0);
		moirai_store_relaxed(&queues.deque_[2].claim_, claim);
		CHECK(moirai__queues_count(&queues) == 1); /* other thieves believe the bitmap */
	}
	CHECK(moirai__queues_pop(&queues) == 2001);
	CHECK(moirai__queues_pop(&queues) == 0);
	CHECK(moirai_load_relaxed(&queues.levels_) == 0); /* or the fast yield is lost */
	end();
}

TAP_MAIN(TEST(the_most_urgent_level_comes_first), TEST(every_64th_pick_looks_elsewhere),
	TEST(the_least_urgent_item_ages), TEST(the_oldest_item_of_a_level_is_not_buried),
	TEST(a_yielder_is_not_starved_by_the_deques),
	TEST(the_fast_yield_needs_empty_deques_and_leaves_every_64th_pick_alone),
	TEST(the_signature_moves_with_picks_and_spawns),
	TEST(any_reads_the_queues_and_not_the_bitmap), TEST(loot_keeps_its_level),
	TEST(a_claim_that_reaches_too_far_hides_nothing_for_good),
	TEST(a_thief_without_memory_takes_one), TEST(what_finds_no_room_goes_back_to_the_door))
