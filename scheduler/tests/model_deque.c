/* SPDX-License-Identifier: MIT */
/*
 * The deque under every schedule: an owner and one or two thieves. Each item's task is a plain field
 * written before the push and read by whoever takes the item, so the tester sees a missing
 * publication as a race, and each is counted, so a loss or a double take is a failed check.
 */
#include "model.h"

/* Tiny rings, so that a scenario of four items wraps and grows. */
#define MOIRAI__DEQUE_FIRST 2
#define MOIRAI__DEQUE_LARGE 4
#include "planted_deque.h"

enum { ITEMS = 6 };

static struct moirai__deque deque;
static int task[ITEMS + 1];
static int taken[ITEMS + 1];

static void put(uintptr_t item)
{
	MOIRAI_WR(task[item]) = (int)item;
	MODEL_CHECK(moirai__deque_push(&deque, item) == 0);
}

static void got(uintptr_t item)
{
	MODEL_CHECK(item >= 1 && item <= ITEMS);
	MODEL_CHECK(MOIRAI_RD(task[item]) == (int)item);
	MODEL_CHECK(moirai_fetch_add_relaxed(&taken[item], 1) == 0);
}

static bool pop(void)
{
	uintptr_t item = moirai__deque_pop(&deque);
	if (item)
		got(item);
	return item != 0;
}

static void thief(void *arg)
{
	uintptr_t items[MOIRAI__STEAL_MAX];
	unsigned n = moirai__deque_steal(
		&deque, items, (unsigned)(uintptr_t)arg, MOIRAI_STEAL_HALF);
	for (unsigned i = 0; i < n; i++)
		got(items[i]);
	if (n)
		model_count("steals");
}

/* Everybody has returned: what is left comes out of the deque, and all was taken once. */
static void audit(uintptr_t count)
{
	model_join_all();
	while (pop())
		;
	for (uintptr_t item = 1; item <= count; item++)
		MODEL_CHECK(moirai_load_relaxed(&taken[item]) == 1);
	moirai__deque_fini(&deque);
}

static void the_last_item_is_taken_once(void)
{
	put(1);
	model_thread(thief, (void *)1);
	pop();
	audit(1);
}

/* The thief claims the slot of item 1, and finds item 2 or 3 in it. */
static void a_claimed_slot_is_filled_anew(void)
{
	put(1);
	model_thread(thief, (void *)1);
	pop();
	put(2);
	audit(2);
}

static void a_claimed_slot_lies_below_a_pop(void)
{
	put(1);
	model_thread(thief, (void *)1);
	pop();
	put(2);
	put(3);
	pop();
	audit(3);
}

static void a_batch_meets_pops(void)
{
	put(1);
	put(2);
	model_thread(thief, (void *)2);
	put(3);
	pop();
	pop();
	audit(3);
}

static void a_slot_is_reused_after_the_copy(void)
{
	MODEL_CHECK(moirai__deque_reserve(&deque, 2) == 0);
	put(1);
	put(2);
	model_thread(thief, (void *)2);
	pop();
	put(3);
	put(4);
	pop();
	audit(4);
}

static void two_thieves_share(void)
{
	put(1);
	put(2);
	model_thread(thief, (void *)2);
	model_thread(thief, (void *)2);
	pop();
	audit(2);
}

static void growth_meets_a_thief(void)
{
	put(1);
	put(2);
	model_thread(thief, (void *)2);
	put(3);
	put(4);
	pop();
	audit(4);
}

static void the_oldest_is_taken_once(void)
{
	put(1);
	put(2);
	model_thread(thief, (void *)2);
	uintptr_t item = moirai__deque_take_oldest(&deque);
	if (item)
		got(item);
	pop();
	audit(2);
}

static void trim_meets_a_thief(void)
{
	for (uintptr_t item = 1; item <= 3; item++)
		put(item);
	model_thread(thief, (void *)2);
	pop();
	pop();
	pop();
	moirai__deque_trim(&deque);
	put(4);
	audit(4);
}

static void a_push_without_memory_loses_nothing(void)
{
	uintptr_t in = 0;
	model_thread(thief, (void *)2);
	for (uintptr_t item = 1; item <= 3; item++) {
		MOIRAI_WR(task[item]) = (int)item;
		if (moirai__deque_push(&deque, item) < 0)
			got(item); /* run inline */
		in = item;
	}
	audit(in);
}

#define EXHAUSTED(function, preemptions) \
	MODEL_CLEAN(function, .exhaust = true, .bound = (preemptions), .limit = 3000000)

MODEL_MAIN(EXHAUSTED(the_last_item_is_taken_once, MODEL_BOUND_NONE),
	EXHAUSTED(a_claimed_slot_is_filled_anew, MODEL_BOUND_NONE),
	EXHAUSTED(a_claimed_slot_lies_below_a_pop, 4), EXHAUSTED(a_batch_meets_pops, 4),
	EXHAUSTED(a_slot_is_reused_after_the_copy, 4), EXHAUSTED(two_thieves_share, 3),
	EXHAUSTED(growth_meets_a_thief, 4), EXHAUSTED(the_oldest_is_taken_once, 4),
	EXHAUSTED(trim_meets_a_thief, 3),
	MODEL_CLEAN(a_push_without_memory_loses_nothing, .exhaust = true, .alloc_fails = 2),
	MODEL_CLEAN(the_last_item_is_taken_once, .exhaust = true, .symmetric_fences = true),
	MODEL_CLEAN(a_batch_meets_pops, .exhaust = true, .symmetric_fences = true),
	MODEL_FINDS(the_last_item_is_taken_once, 1, "check failed"),
	MODEL_FINDS(the_last_item_is_taken_once, 2, "check failed", .symmetric_fences = true),
	MODEL_FINDS(a_slot_is_reused_after_the_copy, 3, "data race"),
	MODEL_FINDS(a_claimed_slot_is_filled_anew, 4, "data race"),
	MODEL_FINDS(a_batch_meets_pops, 5, "check failed"),
	MODEL_FINDS(a_claimed_slot_is_filled_anew, 6, "check failed"),
	MODEL_FINDS(a_slot_is_reused_after_the_copy, 7, "data race"),
	MODEL_FINDS(growth_meets_a_thief, 8, "data race"),
	MODEL_FINDS(a_claimed_slot_lies_below_a_pop, 9, "data race", .bound = 4),
	MODEL_FINDS(a_claimed_slot_is_filled_anew, 10, "data race"), )
