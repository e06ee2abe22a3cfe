/* SPDX-License-Identifier: MIT */
#include <moirai/core/alloc.h>
#include <moirai/core/internal/fault.h>
#include <moirai/scheduler/internal/deque.h>

#include <errno.h>

#include "tap.h"

static void push_then_pop_returns_the_youngest(void)
{
	struct moirai__deque deque = {.bottom_ = 0};
	CHECK(moirai__deque_pop(&deque) == 0);
	for (uintptr_t i = 1; i <= 3; i++)
		CHECK(moirai__deque_push(&deque, i) == 0);
	CHECK(moirai__deque_count(&deque) == 3);
	CHECK(moirai__deque_peek(&deque) == 3);
	for (uintptr_t i = 3; i >= 1; i--)
		CHECK(moirai__deque_pop(&deque) == i);
	CHECK(moirai__deque_pop(&deque) == 0);
	CHECK(moirai__deque_peek(&deque) == 0);
	moirai__deque_fini(&deque);
}

static void the_first_ring_comes_with_the_first_push(void)
{
	moirai_alloc_stats before, after;
	moirai_alloc_stats_get(&before);
	struct moirai__deque deque = {.bottom_ = 0};
	CHECK(moirai__deque_pop(&deque) == 0);
	moirai_alloc_stats_get(&after);
	CHECK(after.allocations == before.allocations);
	CHECK(moirai__deque_push(&deque, 1) == 0);
	moirai_alloc_stats_get(&after);
	CHECK(after.allocations == before.allocations + 1);
	CHECK(moirai__deque_pop(&deque) == 1);
	moirai__deque_fini(&deque);
}

static void growth_keeps_order_at_every_offset(void)
{
	for (uintptr_t offset = 0; offset < 2 * MOIRAI__DEQUE_FIRST; offset += 17) {
		struct moirai__deque deque = {.bottom_ = 0};
		for (uintptr_t i = 0; i < offset; i++) { /* moves claim_ and head_ */
			REQUIRE(moirai__deque_push(&deque, 1 + i) == 0);
			REQUIRE(moirai__deque_take_oldest(&deque) == 1 + i);
		}
		for (uintptr_t i = 1; i <= 1000; i++)
			REQUIRE(moirai__deque_push(&deque, i) == 0);
		for (uintptr_t i = 1; i <= 500; i++)
			REQUIRE(moirai__deque_take_oldest(&deque) == i);
		for (uintptr_t i = 1000; i > 500; i--)
			REQUIRE(moirai__deque_pop(&deque) == i);
		CHECK(moirai__deque_pop(&deque) == 0);
		moirai__deque_fini(&deque);
	}
}

static void indices_may_wrap(void)
{
	struct moirai__deque deque = {.bottom_ = SIZE_MAX - 5, .claim_ = SIZE_MAX - 5,
		.head_ = SIZE_MAX - 5};
	uintptr_t items[MOIRAI__STEAL_MAX];
	CHECK(moirai__deque_pop(&deque) == 0);
	for (uintptr_t i = 1; i <= 100; i++)
		CHECK(moirai__deque_push(&deque, i) == 0);
	CHECK(moirai__deque_count(&deque) == 100);
	CHECK(moirai__deque_steal(&deque, items, 8, MOIRAI_STEAL_HALF) == 8);
	CHECK(items[0] == 1 && items[7] == 8);
	for (uintptr_t i = 100; i > 8; i--)
		CHECK(moirai__deque_pop(&deque) == i);
	CHECK(moirai__deque_pop(&deque) == 0);
	moirai__deque_fini(&deque);
}

static void steal_takes_the_oldest(void)
{
	struct moirai__deque deque = {.bottom_ = 0};
	uintptr_t items[MOIRAI__STEAL_MAX];
	CHECK(moirai__deque_steal(&deque, items, MOIRAI__STEAL_MAX, MOIRAI_STEAL_HALF) == 0);
	for (uintptr_t i = 1; i <= 9; i++)
		CHECK(moirai__deque_push(&deque, i) == 0);
	CHECK(moirai__deque_steal(&deque, items, MOIRAI__STEAL_MAX, MOIRAI_STEAL_HALF) == 5);
	for (uintptr_t i = 0; i < 5; i++)
		CHECK(items[i] == i + 1);
	CHECK(moirai__deque_steal(&deque, items, MOIRAI__STEAL_MAX, MOIRAI_STEAL_ONE) == 1);
	CHECK(items[0] == 6);
	CHECK(moirai__deque_steal(&deque, items, MOIRAI__STEAL_MAX, MOIRAI_STEAL_QUARTER) == 1);
	CHECK(items[0] == 7);
	CHECK(moirai__deque_pop(&deque) == 9);
	CHECK(moirai__deque_steal(&deque, items, MOIRAI__STEAL_MAX, MOIRAI_STEAL_HALF) == 1);
	CHECK(items[0] == 8);
	CHECK(moirai__deque_pop(&deque) == 0);
	moirai__deque_fini(&deque);
}

static void steal_takes_at_most_32_and_at_most_max(void)
{
	struct moirai__deque deque = {.bottom_ = 0};
	uintptr_t items[200];
	for (uintptr_t i = 1; i <= 1000; i++)
		CHECK(moirai__deque_push(&deque, i) == 0);
	CHECK(moirai__deque_steal(&deque, items, 200, MOIRAI_STEAL_HALF) == MOIRAI__STEAL_MAX);
	CHECK(moirai__deque_steal(&deque, items, 5, MOIRAI_STEAL_HALF) == 5);
	CHECK(moirai__deque_steal(&deque, items, 0, MOIRAI_STEAL_HALF) == 0);
	CHECK(moirai__deque_count(&deque) == 1000 - 37);
	moirai__deque_fini(&deque);
}

static void a_full_ring_without_memory_refuses_and_loses_nothing(void)
{
	struct moirai__deque deque = {.bottom_ = 0};
	moirai__fault_arm(MOIRAI_FAULT_ALLOC, 1);
	CHECK(moirai__deque_push(&deque, 7) == -ENOMEM);
	moirai__fault_arm(0, 0);
	CHECK(moirai__deque_count(&deque) == 0);
	for (uintptr_t i = 1; i <= MOIRAI__DEQUE_FIRST; i++)
		CHECK(moirai__deque_push(&deque, i) == 0);
	moirai__fault_arm(MOIRAI_FAULT_ALLOC, 1);
	CHECK(moirai__deque_push(&deque, 99) == -ENOMEM);
	moirai__fault_arm(MOIRAI_FAULT_ALLOC, 1);
	CHECK(moirai__deque_reserve(&deque, 1) == -ENOMEM);
	moirai__fault_arm(0, 0);
	CHECK(moirai__deque_reserve(&deque, SIZE_MAX) == -ENOMEM);
	for (uintptr_t i = MOIRAI__DEQUE_FIRST; i >= 1; i--)
		CHECK(moirai__deque_pop(&deque) == i);
	moirai__deque_fini(&deque);
}

static void reserve_makes_pushes_infallible(void)
{
	struct moirai__deque deque = {.bottom_ = 0};
	CHECK(moirai__deque_reserve(&deque, 300) == 0);
	moirai__fault_arm(MOIRAI_FAULT_ALLOC, 1);
	for (uintptr_t i = 1; i <= 300; i++)
		CHECK(moirai__deque_push(&deque, i) == 0);
	moirai__fault_arm(0, 0);
	moirai__deque_fini(&deque);
}

static void trim_frees_a_large_empty_ring_only(void)
{
	struct moirai__deque deque = {.bottom_ = 0};
	CHECK(moirai__deque_push(&deque, 1) == 0);
	CHECK(moirai__deque_pop(&deque) == 1);
	moirai__deque_trim(&deque);
	CHECK(deque.size_ == MOIRAI__DEQUE_FIRST);
	for (uintptr_t i = 1; i <= MOIRAI__DEQUE_LARGE; i++)
		CHECK(moirai__deque_push(&deque, i) == 0);
	moirai__deque_trim(&deque);
	CHECK(deque.size_ == MOIRAI__DEQUE_LARGE);
	for (uintptr_t i = MOIRAI__DEQUE_LARGE; i >= 1; i--)
		CHECK(moirai__deque_pop(&deque) == i);
	moirai__deque_trim(&deque);
	CHECK(deque.size_ == 0 && !deque.ring_);
	CHECK(moirai__deque_pop(&deque) == 0);
	CHECK(moirai__deque_push(&deque, 5) == 0);
	CHECK(moirai__deque_pop(&deque) == 5);
	moirai__deque_fini(&deque);
}

TAP_MAIN(TEST(push_then_pop_returns_the_youngest), TEST(the_first_ring_comes_with_the_first_push),
	TEST(growth_keeps_order_at_every_offset), TEST(indices_may_wrap),
	TEST(steal_takes_the_oldest), TEST(steal_takes_at_most_32_and_at_most_max),
	TEST(a_full_ring_without_memory_refuses_and_loses_nothing),
	TEST(reserve_makes_pushes_infallible), TEST(trim_frees_a_large_empty_ring_only))
