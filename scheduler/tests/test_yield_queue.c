/* SPDX-License-Identifier: MIT */
#include <moirai/core/internal/fault.h>
#include <moirai/scheduler/internal/yield_queue.h>

#include <errno.h>

#include "tap.h"

static void the_oldest_comes_first(void)
{
	struct moirai__yield_queue queue = {.busy_ = 0};
	CHECK(moirai__yield_queue_pop(&queue) == 0);
	for (uintptr_t i = 1; i <= 500; i++)
		CHECK(moirai__yield_queue_push(&queue, i) == 0);
	CHECK(moirai__yield_queue_count(&queue) == 500);
	for (uintptr_t i = 1; i <= 500; i++)
		CHECK(moirai__yield_queue_pop(&queue) == i);
	CHECK(moirai__yield_queue_pop(&queue) == 0);
	moirai__yield_queue_fini(&queue);
}

static void growth_keeps_order_at_every_offset(void)
{
	for (uintptr_t offset = 0; offset < 2 * MOIRAI__YIELD_QUEUE_FIRST; offset += 13) {
		struct moirai__yield_queue queue = {.head_ = UINT32_MAX - 20, .tail_ = UINT32_MAX - 20};
		for (uintptr_t i = 1; i <= offset; i++) {
			REQUIRE(moirai__yield_queue_push(&queue, i) == 0);
			REQUIRE(moirai__yield_queue_pop(&queue) == i);
		}
		for (uintptr_t i = 1; i <= 300; i++)
			REQUIRE(moirai__yield_queue_push(&queue, i) == 0);
		for (uintptr_t i = 1; i <= 300; i++)
			REQUIRE(moirai__yield_queue_pop(&queue) == i);
		moirai__yield_queue_fini(&queue);
	}
}

static void swap_takes_the_oldest_and_appends_self(void)
{
	struct moirai__yield_queue queue = {.busy_ = 0};
	uintptr_t loot[4];
	CHECK(moirai__yield_queue_swap(&queue, 9, NULL) == 0);
	CHECK(queue.busy_ == 0);
	CHECK(moirai__yield_queue_push(&queue, 1) == 0);
	CHECK(moirai__yield_queue_push(&queue, 2) == 0);
	CHECK(moirai__yield_queue_swap(&queue, 3, NULL) == 1);
	CHECK(queue.busy_ == 1);
	/* The section is open: a thief gives up rather than see what is not saved. */
	CHECK(moirai__yield_queue_steal(&queue, loot, 4, MOIRAI_STEAL_HALF) == 0);
	moirai__yield_queue_close(&queue);
	CHECK(moirai__yield_queue_steal(&queue, loot, 4, MOIRAI_STEAL_HALF) == 1);
	CHECK(loot[0] == 2);
	CHECK(moirai__yield_queue_pop(&queue) == 3);
	moirai__yield_queue_fini(&queue);
}

static uintptr_t near_seen, far_seen;

static void note_prefetch(uintptr_t near_item, uintptr_t far_item)
{
	near_seen = near_item;
	far_seen = far_item;
}

static void swap_prefetches_what_comes_up(void)
{
	struct moirai__yield_queue queue = {.busy_ = 0};
	for (uintptr_t i = 1; i <= 20; i++)
		CHECK(moirai__yield_queue_push(&queue, i) == 0);
	CHECK(moirai__yield_queue_swap(&queue, 21, note_prefetch) == 1);
	moirai__yield_queue_close(&queue);
	CHECK(near_seen == 1 + MOIRAI__YIELD_PREFETCH_NEAR);
	CHECK(far_seen == 1 + MOIRAI__YIELD_PREFETCH_FAR);
	moirai__yield_queue_fini(&queue);
}

static void steal_takes_the_share_it_is_told(void)
{
	struct moirai__yield_queue queue = {.busy_ = 0};
	uintptr_t loot[32];
	CHECK(moirai__yield_queue_steal(&queue, loot, 32, MOIRAI_STEAL_ONE) == 0);
	for (uintptr_t i = 1; i <= 10; i++)
		CHECK(moirai__yield_queue_push(&queue, i) == 0);
	CHECK(moirai__yield_queue_steal(&queue, loot, 32, MOIRAI_STEAL_HALF) == 5);
	CHECK(loot[0] == 1 && loot[4] == 5);
	CHECK(moirai__yield_queue_steal(&queue, loot, 32, MOIRAI_STEAL_QUARTER) == 2);
	CHECK(moirai__yield_queue_steal(&queue, loot, 32, MOIRAI_STEAL_ONE) == 1);
	CHECK(loot[0] == 8);
	CHECK(moirai__yield_queue_steal(&queue, loot, 0, MOIRAI_STEAL_HALF) == 0);
	CHECK(moirai__yield_queue_count(&queue) == 2);
	moirai__yield_queue_fini(&queue);
}

static void without_memory_nothing_changes(void)
{
	struct moirai__yield_queue queue = {.busy_ = 0};
	moirai__fault_arm(MOIRAI_FAULT_ALLOC, 1);
	CHECK(moirai__yield_queue_push(&queue, 1) == -ENOMEM);
	moirai__fault_arm(0, 0);
	CHECK(moirai__yield_queue_reserve(&queue, UINT32_MAX) == -ENOMEM);
	CHECK(moirai__yield_queue_count(&queue) == 0);
	CHECK(moirai__yield_queue_reserve(&queue, 200) == 0);
	moirai__fault_arm(MOIRAI_FAULT_ALLOC, 1);
	for (uintptr_t i = 1; i <= 200; i++)
		CHECK(moirai__yield_queue_push(&queue, i) == 0);
	moirai__fault_arm(0, 0);
	moirai__yield_queue_fini(&queue);
}

static void trim_frees_a_large_empty_ring_only(void)
{
	struct moirai__yield_queue queue = {.busy_ = 0};
	CHECK(moirai__yield_queue_reserve(&queue, MOIRAI__YIELD_QUEUE_LARGE) == 0);
	CHECK(moirai__yield_queue_push(&queue, 1) == 0);
	moirai__yield_queue_trim(&queue);
	CHECK(queue.size_ == MOIRAI__YIELD_QUEUE_LARGE);
	CHECK(moirai__yield_queue_pop(&queue) == 1);
	moirai__yield_queue_trim(&queue);
	CHECK(queue.size_ == 0);
	CHECK(moirai__yield_queue_push(&queue, 2) == 0);
	CHECK(moirai__yield_queue_pop(&queue) == 2);
	moirai__yield_queue_fini(&queue);
}

TAP_MAIN(TEST(the_oldest_comes_first), TEST(growth_keeps_order_at_every_offset),
	TEST(swap_takes_the_oldest_and_appends_self), TEST(swap_prefetches_what_comes_up),
	TEST(steal_takes_the_share_it_is_told), TEST(without_memory_nothing_changes),
	TEST(trim_frees_a_large_empty_ring_only))
