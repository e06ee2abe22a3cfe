/* SPDX-License-Identifier: MIT */
#include <moirai/core/alloc.h>
#include <moirai/core/internal/fault.h>
#include <moirai/scheduler/internal/injector.h>

#include <errno.h>

#include "tap.h"

static uintptr_t links[5000];

static uintptr_t *next_of(uintptr_t item)
{
	return &links[item];
}

static struct moirai__injector injector;

static void items_come_out_in_the_order_of_their_producer(void)
{
	struct moirai__producer *producer;
	uintptr_t items[MOIRAI__TAKE_MAX];
	moirai__injector_init(&injector, next_of);
	CHECK(!moirai__injector_any(&injector));
	CHECK(moirai__injector_take(&injector, items, MOIRAI__TAKE_MAX, 2) == 0);
	REQUIRE(moirai__injector_join(&injector, &producer) == 0);
	for (uintptr_t i = 1; i <= 2000; i++) /* several segments */
		CHECK(moirai__producer_push(producer, i) == 0);
	CHECK(moirai__injector_any(&injector) && moirai__injector_count(&injector) == 2000);
	uintptr_t expected = 1;
	unsigned n;
	while ((n = moirai__injector_take(&injector, items, MOIRAI__TAKE_MAX, 2)) > 0)
		for (unsigned i = 0; i < n; i++)
			CHECK(items[i] == expected++);
	CHECK(expected == 2001);
	CHECK(moirai__injector_accepted(&injector) == 2000);
	moirai__injector_fini(&injector);
}

static void a_steady_stream_allocates_nothing(void)
{
	struct moirai__producer *producer;
	uintptr_t items[MOIRAI__TAKE_MAX];
	moirai__injector_init(&injector, next_of);
	REQUIRE(moirai__injector_join(&injector, &producer) == 0);
	moirai_alloc_stats warm, after;
	for (uintptr_t i = 1; i <= 20 * MOIRAI__SEGMENT_WORDS; i++) {
		if (i == 4 * MOIRAI__SEGMENT_WORDS)
			moirai_alloc_stats_get(&warm);
		CHECK(moirai__producer_push(producer, i) == 0);
		CHECK(moirai__injector_take(&injector, items, 1, 1) == 1 && items[0] == i);
	}
	moirai_alloc_stats_get(&after);
	CHECK(after.allocations == warm.allocations);
	moirai__injector_fini(&injector);
}

static void a_left_queue_goes_to_the_next_thread_with_its_items(void)
{
	struct moirai__producer *first, *second, *third;
	uintptr_t items[MOIRAI__TAKE_MAX];
	moirai__injector_init(&injector, next_of);
	REQUIRE(moirai__injector_join(&injector, &first) == 0);
	CHECK(moirai__producer_push(first, 1) == 0);
	moirai__injector_leave(&injector, first);
	REQUIRE(moirai__injector_join(&injector, &second) == 0);
	CHECK(second == first);
	REQUIRE(moirai__injector_join(&injector, &third) == 0);
	CHECK(third != first);
	CHECK(moirai__producer_push(second, 2) == 0);
	CHECK(moirai__injector_take(&injector, items, MOIRAI__TAKE_MAX, 1) == 2);
	CHECK(items[0] == 1 && items[1] == 2);
	CHECK(moirai__injector_accepted(&injector) == 2);
	moirai__injector_fini(&injector);
}

static void thread_churn_does_not_leak(void)
{
	moirai__injector_init(&injector, next_of);
	moirai_alloc_stats before, after;
	for (unsigned i = 0; i < 1000; i++) {
		struct moirai__producer *producer;
		if (i == 1)
			moirai_alloc_stats_get(&before);
		REQUIRE(moirai__injector_join(&injector, &producer) == 0);
		moirai__injector_leave(&injector, producer);
	}
	moirai_alloc_stats_get(&after);
	CHECK(after.allocations == before.allocations);
	CHECK(injector.count_ == 1);
	moirai__injector_fini(&injector);
}

static void the_65th_thread_shares(void)
{
	struct moirai__producer *producer[MOIRAI__PRODUCERS_OWN + 2];
	uintptr_t items[MOIRAI__TAKE_MAX];
	moirai__injector_init(&injector, next_of);
	for (unsigned i = 0; i < MOIRAI_ARRAY_SIZE(producer); i++) {
		REQUIRE(moirai__injector_join(&injector, &producer[i]) == 0);
		CHECK(moirai__producer_push(producer[i], i + 1) == 0);
		CHECK(producer[i]->shared_ == (i >= MOIRAI__PRODUCERS_OWN));
	}
	CHECK(producer[MOIRAI__PRODUCERS_OWN] == producer[MOIRAI__PRODUCERS_OWN + 1]);
	size_t taken = 0;
	unsigned n;
	while ((n = moirai__injector_take(&injector, items, MOIRAI__TAKE_MAX, 4)) > 0)
		taken += n;
	CHECK(taken == MOIRAI_ARRAY_SIZE(producer));
	/* The shared one stays shared; an own one is free again. */
	moirai__injector_leave(&injector, producer[MOIRAI__PRODUCERS_OWN]);
	moirai__injector_leave(&injector, producer[3]);
	struct moirai__producer *next;
	REQUIRE(moirai__injector_join(&injector, &next) == 0);
	CHECK(next == producer[3]);
	moirai__injector_fini(&injector);
}

static void no_producer_is_starved_by_a_busier_one(void)
{
	struct moirai__producer *busy, *quiet;
	uintptr_t items[MOIRAI__TAKE_MAX];
	moirai__injector_init(&injector, next_of);
	REQUIRE(moirai__injector_join(&injector, &busy) == 0);
	REQUIRE(moirai__injector_join(&injector, &quiet) == 0);
	CHECK(moirai__producer_push(quiet, 1) == 0);
	moirai__injector_ready(&injector, 2);
	bool quiet_seen = false, ready_seen = false;
	for (unsigned take = 0; take < 4; take++) {
		for (unsigned i = 0; i < 100; i++)
			CHECK(moirai__producer_push(busy, 100) == 0);
		unsigned n = moirai__injector_take(&injector, items, MOIRAI__TAKE_MAX, 1);
		for (unsigned i = 0; i < n; i++) {
			quiet_seen = quiet_seen || items[i] == 1;
			ready_seen = ready_seen || items[i] == 2;
		}
	}
	CHECK(quiet_seen && ready_seen);
	moirai__injector_fini(&injector);
}

static void the_awakened_need_no_memory_and_do_not_count_as_accepted(void)
{
	uintptr_t items[MOIRAI__TAKE_MAX];
	moirai__injector_init(&injector, next_of);
	moirai__fault_arm(MOIRAI_FAULT_ALLOC, 1);
	for (uintptr_t i = 1; i <= 100; i++)
		moirai__injector_ready(&injector, i);
	bool fired;
	CHECK(moirai__fault_passed(&fired) == 0);
	moirai__fault_arm(0, 0);
	CHECK(moirai__injector_any(&injector) && moirai__injector_count(&injector) == 100);
	CHECK(moirai__injector_accepted(&injector) == 0);
	CHECK(moirai__injector_take(&injector, items, MOIRAI__TAKE_MAX, 10) == 11); /* a fair part */
	uintptr_t expected = 12;
	unsigned n;
	while ((n = moirai__injector_take(&injector, items, MOIRAI__TAKE_MAX, 1)) > 0)
		for (unsigned i = 0; i < n; i++)
			CHECK(items[i] == expected++);
	CHECK(expected == 101);
	moirai__injector_ready(&injector, 7);
	CHECK(moirai__injector_take(&injector, items, 1, 1) == 1 && items[0] == 7);
	moirai__injector_fini(&injector);
}

static void without_memory_nothing_is_accepted(void)
{
	struct moirai__producer *producer;
	moirai__injector_init(&injector, next_of);
	for (uint64_t nth = 1; nth <= 2; nth++) {
		moirai__fault_arm(MOIRAI_FAULT_ALLOC, nth);
		CHECK(moirai__injector_join(&injector, &producer) == -ENOMEM);
	}
	moirai__fault_arm(0, 0);
	CHECK(injector.count_ == 0);
	REQUIRE(moirai__injector_join(&injector, &producer) == 0);
	for (uintptr_t i = 1; i <= MOIRAI__SEGMENT_WORDS; i++)
		CHECK(moirai__producer_push(producer, i) == 0);
	moirai__fault_arm(MOIRAI_FAULT_ALLOC, 1);
	CHECK(moirai__producer_push(producer, 600) == -ENOMEM);
	moirai__fault_arm(0, 0);
	CHECK(moirai__injector_accepted(&injector) == MOIRAI__SEGMENT_WORDS);
	CHECK(moirai__producer_push(producer, 600) == 0);
	CHECK(moirai__injector_count(&injector) == MOIRAI__SEGMENT_WORDS + 1);
	moirai__injector_fini(&injector);
	moirai__injector_fini(&injector); /* zeroed is fine */
}

TAP_MAIN(TEST(items_come_out_in_the_order_of_their_producer),
	TEST(a_steady_stream_allocates_nothing),
	TEST(a_left_queue_goes_to_the_next_thread_with_its_items), TEST(thread_churn_does_not_leak),
	TEST(the_65th_thread_shares), TEST(no_producer_is_starved_by_a_busier_one),
	TEST(the_awakened_need_no_memory_and_do_not_count_as_accepted),
	TEST(without_memory_nothing_is_accepted))
