/* SPDX-License-Identifier: MIT */
/*
 * The yield queue under every schedule: an owner and one or two thieves. stack[i] stands for the
 * stack of the fiber that item i is: written until its successor has closed the section, read by
 * whoever takes the fiber. A fiber that is seen too early is a race on it.
 */
#include "model.h"

#define MOIRAI__YIELD_QUEUE_FIRST    2
#define MOIRAI__YIELD_QUEUE_PATIENCE 3
#include "planted_yield_queue.h"

enum { ITEMS = 6 };

static struct moirai__yield_queue queue;
static int stack[ITEMS + 1];
static int taken[ITEMS + 1];
static uintptr_t youngest; /* FIFO: the owner sees rising numbers */

static void put(uintptr_t item)
{
	MOIRAI_WR(stack[item]) = (int)item;
	MODEL_CHECK(moirai__yield_queue_push(&queue, item) == 0);
}

static void got(uintptr_t item)
{
	MODEL_CHECK(item >= 1 && item <= ITEMS);
	MODEL_CHECK(MOIRAI_RD(stack[item]) == (int)item);
	MODEL_CHECK(moirai_fetch_add_relaxed(&taken[item], 1) == 0);
}

static bool pop(void)
{
	uintptr_t item = moirai__yield_queue_pop(&queue);
	if (!item)
		return false;
	MODEL_CHECK(item > youngest);
	youngest = item;
	got(item);
	return true;
}

/* Fiber `self` yields to the oldest one, whose first act is to close the section. */
static bool yield(uintptr_t self)
{
	uintptr_t item = moirai__yield_queue_swap(&queue, self, NULL);
	if (!item)
		return false;
	MOIRAI_WR(stack[self]) = (int)self; /* the switch saves it */
	moirai__yield_queue_close(&queue);
	MODEL_CHECK(item > youngest);
	youngest = item;
	got(item);
	model_count("fast yields");
	return true;
}

static void thief(void *arg)
{
	uintptr_t items[4];
	unsigned n = moirai__yield_queue_steal(
		&queue, items, (unsigned)(uintptr_t)arg, MOIRAI_STEAL_HALF);
	for (unsigned i = 0; i < n; i++) {
		MODEL_CHECK(i == 0 || items[i] > items[i - 1]);
		got(items[i]);
	}
	if (n)
		model_count("steals");
}

static void audit(uintptr_t count)
{
	model_join_all();
	while (pop())
		;
	for (uintptr_t item = 1; item <= count; item++)
		MODEL_CHECK(moirai_load_relaxed(&taken[item]) == 1);
	moirai__yield_queue_fini(&queue);
}

static void a_pop_meets_a_thief(void)
{
	put(1);
	model_thread(thief, (void *)1);
	pop();
	audit(1);
}

static void a_push_meets_a_thief(void)
{
	model_thread(thief, (void *)2);
	put(1);
	put(2);
	pop();
	audit(2);
}

static void a_yielder_is_not_seen_before_its_stack_is_saved(void)
{
	put(1);
	model_thread(thief, (void *)2);
	if (!yield(2)) { /* the slow way */
		pop();
		put(2);
	}
	audit(2);
}

static void two_yields_in_a_row_meet_a_thief(void)
{
	put(1);
	put(2);
	model_thread(thief, (void *)2);
	if (!yield(3))
		put(3);
	if (!yield(4))
		put(4);
	audit(4);
}

static void growth_meets_a_thief(void)
{
	put(1);
	put(2);
	model_thread(thief, (void *)2);
	put(3);
	audit(3);
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

static void looker(void *arg)
{
	(void)arg;
	/* The rescan before a sleep. Nobody is notified of a fast yield: one fiber lies there always. */
	MODEL_CHECK(moirai__yield_queue_count(&queue) != 0);
}

static void a_fast_yield_never_seems_to_empty_the_queue(void)
{
	put(1);
	model_thread(looker, NULL);
	MODEL_CHECK(yield(2));
	MODEL_CHECK(yield(3));
	audit(3);
}

#define EXHAUSTED(function, preemptions) \
	MODEL_CLEAN(function, .exhaust = true, .bound = (preemptions), .limit = 3000000)

MODEL_MAIN(EXHAUSTED(a_pop_meets_a_thief, 6), EXHAUSTED(a_push_meets_a_thief, 5),
	EXHAUSTED(a_yielder_is_not_seen_before_its_stack_is_saved, 5),
	EXHAUSTED(two_yields_in_a_row_meet_a_thief, 4), EXHAUSTED(growth_meets_a_thief, 5),
	EXHAUSTED(two_thieves_share, 3), EXHAUSTED(a_fast_yield_never_seems_to_empty_the_queue, 5),
	MODEL_CLEAN(a_pop_meets_a_thief, .exhaust = true, .symmetric_fences = true),
	MODEL_FINDS(a_pop_meets_a_thief, 1, "check failed"),
	MODEL_FINDS(a_pop_meets_a_thief, 2, "check failed", .symmetric_fences = true),
	MODEL_FINDS(a_pop_meets_a_thief, 3, "check failed"),
	MODEL_FINDS(a_yielder_is_not_seen_before_its_stack_is_saved, 4, "data race"),
	MODEL_FINDS(a_push_meets_a_thief, 5, "data race"),
	MODEL_FINDS(two_yields_in_a_row_meet_a_thief, 6, "data race"),
	MODEL_FINDS(two_yields_in_a_row_meet_a_thief, 7, "data race"),
	MODEL_FINDS(growth_meets_a_thief, 8, "data race"),
	MODEL_FINDS(a_pop_meets_a_thief, 9, "check failed"),
	MODEL_FINDS(a_yielder_is_not_seen_before_its_stack_is_saved, 10, "data race"),
	MODEL_FINDS(a_fast_yield_never_seems_to_empty_the_queue, 11, "check failed"))
