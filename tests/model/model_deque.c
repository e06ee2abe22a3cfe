/* SPDX-License-Identifier: MIT */
/*
 * Planted bugs in a work-stealing deque (Chase and Lev, with the fences of Le et al., PPoPP 2013),
 * with SC fences and with asymmetric ones. Nothing may be lost, nothing taken twice, and what an
 * item points to must be readable by its taker.
 */
#include "model.h"
#include <moirai/core/atomic.h>

enum {
	BUG_POP_FENCE = 1,   /* no fence between the store of bottom and the load of top */
	BUG_STEAL_FENCE,     /* no fence between the load of top and the load of bottom */
	BUG_RELAXED_PUBLISH, /* push does not release */
	BUG_PUBLISH_STORE,  /* push releases by its store, which pop() overwrites by relaxed ones */
	BUG_STEAL_ACQUIRE,  /* steal does not acquire */
	BUG_POP_CAS,        /* the last item is taken without a compare-and-swap */
	BUG_HEAVY_IS_LIGHT, /* the thief's heavy fence is a light one */
};

#define ITEMS  3
#define SLOTS  4
#define STEALS 2

static int64_t top, bottom;
static int *slot[SLOTS];
static int item[ITEMS + 1];
static uint32_t taken[ITEMS + 1];
static bool asymmetric;

static void push(int *value)
{
	int64_t b = moirai_load_relaxed(&bottom);
	moirai_store_relaxed(&slot[b % SLOTS], value);
	/*
	 * release: publishes the slot and the item to the acquire in steal(). A fence, because a thief
	 * may read the relaxed stores of pop() instead of this one: they break a release sequence.
	 */
	if (!model_bug(BUG_PUBLISH_STORE) && !model_bug(BUG_RELAXED_PUBLISH))
		moirai_fence_release();
	if (model_bug(BUG_PUBLISH_STORE))
		moirai_store_release(&bottom, b + 1);
	else
		moirai_store_relaxed(&bottom, b + 1);
}

static void pop_fence(void)
{
	if (asymmetric)
		moirai_fence_light();
	else if (!model_bug(BUG_POP_FENCE))
		moirai_fence_seq_cst();
}

static void steal_fence(void)
{
	if (asymmetric && !model_bug(BUG_HEAVY_IS_LIGHT))
		moirai_fence_heavy();
	else if (asymmetric)
		moirai_fence_light();
	else if (!model_bug(BUG_STEAL_FENCE))
		moirai_fence_seq_cst();
}

static int *pop(void)
{
	int64_t b = moirai_load_relaxed(&bottom) - 1;
	moirai_store_relaxed(&bottom, b);
	pop_fence();
	int64_t t = moirai_load_relaxed(&top);
	if (t > b) {
		moirai_store_relaxed(&bottom, b + 1);
		return NULL;
	}
	int *value = moirai_load_relaxed(&slot[b % SLOTS]);
	if (t == b) {
		if (!model_bug(BUG_POP_CAS) && !moirai_cas_seq_cst(&top, &t, t + 1))
			value = NULL;
		moirai_store_relaxed(&bottom, b + 1);
	}
	return value;
}

static int *steal(void)
{
	int64_t t = moirai_load_acquire(&top);
	steal_fence();
	int64_t b = model_bug(BUG_STEAL_ACQUIRE) ? moirai_load_relaxed(&bottom)
						 : moirai_load_acquire(&bottom);
	if (t >= b)
		return NULL;
	int *value = moirai_load_relaxed(&slot[t % SLOTS]);
	return moirai_cas_seq_cst(&top, &t, t + 1) ? value : NULL;
}

static void take(int *value)
{
	if (!value)
		return;
	int number = MOIRAI_RD(*value);
	MODEL_CHECK(number >= 1 && number <= ITEMS);
	MODEL_CHECK(moirai_fetch_add_relaxed(&taken[number], 1) == 0);
}

static void thief(void *arg)
{
	for (int i = 0; i < STEALS; i++)
		take(steal());
}

static void run(int items)
{
	model_name(&top, "top");
	model_name(&bottom, "bottom");
	model_name_array(slot, sizeof(slot[0]), SLOTS, "slot");
	model_name_array(item, sizeof(item[0]), ITEMS + 1, "item");
	model_name_array(taken, sizeof(taken[0]), ITEMS + 1, "taken");
	model_thread(thief, NULL);
	for (int i = 1; i <= items; i++) {
		MOIRAI_WR(item[i]) = i;
		push(&item[i]);
	}
	for (int i = 0; i < items; i++)
		take(pop());
	model_join_all();
	for (int i = 0; i < items; i++)
		take(pop());
	for (int i = 1; i <= items; i++)
		MODEL_CHECK(moirai_load_relaxed(&taken[i]) == 1);
}

static void deque(void)
{
	run(2);
}

static void deque_of_three(void)
{
	run(3);
}

static void asymmetric_deque(void)
{
	asymmetric = true;
	run(2);
}

MODEL_MAIN(MODEL_CLEAN(deque, .exhaust = true, .limit = 1000000),
	MODEL_CLEAN(deque_of_three, .modes = MODEL_PCT | MODEL_RANDOM, .limit = 500000),
	MODEL_CLEAN(asymmetric_deque, .exhaust = true, .limit = 1000000),
	MODEL_CLEAN(asymmetric_deque, .exhaust = true, .limit = 1000000, .symmetric_fences = true),
	/* Without weak memory the missing fences cannot be seen: that is why it is there. */
	MODEL_CLEAN(deque, .bug = BUG_POP_FENCE, .exhaust = true, .memory = MODEL_MEMORY_SEQ_CST),
	MODEL_FINDS(deque, BUG_POP_FENCE, "== 0"), MODEL_FINDS(deque, BUG_STEAL_FENCE, "== 0"),
	MODEL_FINDS(deque, BUG_RELAXED_PUBLISH, "data race on item"),
	MODEL_FINDS(deque, BUG_PUBLISH_STORE, "data race on item"),
	MODEL_FINDS(deque, BUG_STEAL_ACQUIRE, "data race on item"),
	MODEL_FINDS(deque, BUG_POP_CAS, "== 0"),
	MODEL_FINDS(asymmetric_deque, BUG_HEAVY_IS_LIGHT, "== 0"),
	MODEL_FINDS(deque_of_three, BUG_POP_FENCE, "== 0", .modes = MODEL_PCT),
	MODEL_FINDS(deque_of_three, BUG_STEAL_FENCE, "== 0", .modes = MODEL_PCT, .depth = 5),
	MODEL_FINDS(deque_of_three, BUG_POP_FENCE, "== 0", .modes = MODEL_RANDOM), )
