/* SPDX-License-Identifier: MIT */
/* Park, for wakers, under every schedule: called once or never, and the memory is free when told. */
#include "model_park.h"

#include <moirai/core/alloc.h>

static uint32_t *A, *B;   /* words in different buckets */
static int message;       /* plain */
static uint32_t calls[2]; /* atomic */
static moirai_waker waker;
static int result; /* plain, read after the joins */

static void set_up(void)
{
	A = word_in(0, 0);
	B = word_in(1, 0);
	model_name(A, "A");
	model_name(B, "B");
	model_name_array(calls, sizeof(calls[0]), 2, "calls");
}

static void tear_down(void)
{
	model_join_all();
	check_lot_is_empty();
}

static void call(void *arg)
{
	MODEL_CHECK(moirai_fetch_add_relaxed((uint32_t *)arg, 1) == 0);
}

static void call_and_read(void *arg)
{
	MODEL_CHECK(MOIRAI_RD(message) == 1);
	call(arg);
}

static void open_a(void *arg)
{
	(void)arg;
	MOIRAI_WR(message) = 1;
	moirai_store_release(A, 1);
	(void)moirai_unpark(A, 1);
}

/* --- called once --- */

static void register_or_see(void)
{
	set_up();
	model_thread(open_a, NULL);
	/* Refused: the word says it all. Else the call comes. */
	if (moirai_waker_register(&waker, A, 0, call_and_read, &calls[0]) == -EAGAIN) {
		MODEL_CHECK(MOIRAI_RD(message) == 1);
		call(&calls[0]);
	}
	tear_down();
	MODEL_CHECK(calls[0] == 1);
}

static void unpark_a(void *arg)
{
	*(unsigned *)arg = moirai_unpark(A, 1);
}

static unsigned woken[2];

static void two_unparks_call_once(void)
{
	set_up();
	MODEL_CHECK(moirai_waker_register(&waker, A, 0, call, &calls[0]) == 0);
	model_thread(unpark_a, &woken[0]);
	unpark_a(&woken[1]);
	tear_down();
	MODEL_CHECK(woken[0] + woken[1] == 1 && calls[0] == 1);
}

/* --- unregister --- */

static void exactly_one_of_call_and_unregister(void)
{
	set_up();
	MODEL_CHECK(moirai_waker_register(&waker, A, 0, call, &calls[0]) == 0);
	model_thread(unpark_a, &woken[0]);
	int removed = moirai_waker_unregister(&waker);
	tear_down();
	MODEL_CHECK((unsigned)removed + woken[0] == 1);
	MODEL_CHECK(calls[0] == woken[0]);
}

/* Whatever it returned, the node may be freed. */
static void unregister_frees_the_node(void)
{
	set_up();
	moirai_waker *mine = moirai_alloc_zeroed(1, sizeof(*mine));
	MODEL_CHECK(moirai_waker_register(mine, A, 0, call, &calls[0]) == 0);
	model_thread(unpark_a, &woken[0]);
	(void)moirai_waker_unregister(mine);
	moirai_free(mine);
	tear_down();
	MODEL_CHECK(calls[0] == woken[0]);
}

/* The function may free the waker itself: nobody needs it any more. */
static void free_it(void *arg)
{
	moirai_free(arg);
}

static void a_waker_frees_itself(void)
{
	set_up();
	moirai_waker *mine = moirai_alloc_zeroed(1, sizeof(*mine));
	MODEL_CHECK(moirai_waker_register(mine, A, 0, free_it, mine) == 0);
	model_thread(unpark_a, &woken[0]);
	unpark_a(&woken[1]);
	tear_down();
	MODEL_CHECK(woken[0] + woken[1] == 1);
}

/* --- requeue --- */

static void requeue_a_to_b(void *arg)
{
	(void)arg;
	(void)moirai_unpark_requeue(A, 0, 0, B, 1);
}

static void unregister_follows_a_requeue(void)
{
	set_up();
	moirai_waker *mine = moirai_alloc_zeroed(1, sizeof(*mine));
	MODEL_CHECK(moirai_waker_register(mine, A, 0, call, &calls[0]) == 0);
	model_thread(requeue_a_to_b, NULL);
	MODEL_CHECK(moirai_waker_unregister(mine) == 1);
	moirai_free(mine);
	tear_down();
	MODEL_CHECK(moirai_unpark(A, 1) + moirai_unpark(B, 1) == 0 && calls[0] == 0);
}

static void requeue_unpark_unregister(void)
{
	set_up();
	MODEL_CHECK(moirai_waker_register(&waker, A, 0, call, &calls[0]) == 0);
	model_thread(requeue_a_to_b, NULL);
	model_thread(unpark_a, &woken[0]);
	unsigned on_b = moirai_unpark(B, 1);
	unsigned removed = (unsigned)moirai_waker_unregister(&waker);
	tear_down();
	MODEL_CHECK(on_b + woken[0] + removed == 1);
	MODEL_CHECK(calls[0] == on_b + woken[0]);
}

/* --- in company --- */

static void park_until(void *arg)
{
	(void)arg;
	result = moirai_park(A, 0, 1000);
}

/* A permit goes to the waker, to the thread, or stays: never to nobody. */
static void a_waker_beside_a_timed_thread(void)
{
	set_up();
	model_thread(park_until, NULL);
	MODEL_CHECK(moirai_waker_register(&waker, A, 0, call, &calls[0]) == 0);
	unsigned n = moirai_unpark(A, 1);
	MODEL_CHECK(n == 1);
	unsigned removed = (unsigned)moirai_waker_unregister(&waker);
	tear_down();
	MODEL_CHECK(calls[0] + (result == 0) == 1);
	MODEL_CHECK(calls[0] + removed == 1);
}

static uint32_t again_left;

static void again(void *arg)
{
	(void)moirai_fetch_add_relaxed((uint32_t *)arg, 1);
	if (moirai_fetch_sub_relaxed(&again_left, 1) > 1)
		MODEL_CHECK(moirai_waker_register(&waker, A, 0, again, arg) == 0);
}

static void a_waker_comes_back_while_others_unpark(void)
{
	set_up();
	moirai_store_relaxed(&again_left, 2);
	MODEL_CHECK(moirai_waker_register(&waker, A, 0, again, &calls[0]) == 0);
	model_thread(unpark_a, &woken[0]);
	unpark_a(&woken[1]);
	model_join_all();
	unsigned removed = (unsigned)moirai_waker_unregister(&waker);
	check_lot_is_empty();
	MODEL_CHECK(calls[0] == woken[0] + woken[1]);
	MODEL_CHECK(calls[0] + removed == 2);
}

#include "model_limits.h"

MODEL_MAIN(MODEL_CLEAN(register_or_see, EXHAUST), MODEL_FINDS(register_or_see, 15, "race"),
	MODEL_FINDS(register_or_see, 29, "check failed"),
	MODEL_CLEAN(two_unparks_call_once, EXHAUST),
	MODEL_CLEAN(exactly_one_of_call_and_unregister, EXHAUST),
	MODEL_CLEAN(unregister_frees_the_node, EXHAUST),
	MODEL_FINDS(unregister_frees_the_node, 24, "free"),
	MODEL_CLEAN(a_waker_frees_itself, EXHAUST),
	MODEL_CLEAN(unregister_follows_a_requeue, EXHAUST),
	MODEL_FINDS(unregister_follows_a_requeue, 14, ""),
	MODEL_CLEAN(requeue_unpark_unregister, QUICK),
	MODEL_FINDS(requeue_unpark_unregister, 14, ""),
	MODEL_CLEAN(a_waker_beside_a_timed_thread, QUICK),
	MODEL_FINDS(a_waker_beside_a_timed_thread, 5, ""),
	MODEL_CLEAN(a_waker_comes_back_while_others_unpark, QUICK))
