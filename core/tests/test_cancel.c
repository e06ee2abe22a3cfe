/* SPDX-License-Identifier: MIT */
#include <moirai/core/cancel.h>

#include <moirai/core/alloc.h>
#include <moirai/core/internal/fault.h>
#include <moirai/core/os.h>
#include <moirai/core/park.h>

#include "tap.h"

static moirai_cancel *make(moirai_cancel *parent)
{
	moirai_cancel *token = NULL;
	CHECK(moirai_cancel_create(&token, parent) == 0);
	return token;
}

struct seen {
	moirai_cancel_callback callback;
	int calls, reason, order;
	int *counter;
};

static void note(void *self, int reason)
{
	struct seen *seen = self;
	seen->calls++;
	seen->reason = reason;
	seen->order = seen->counter ? ++*seen->counter : 0;
}

static void a_token_is_live_until_it_is_cancelled(void)
{
	moirai_cancel *token = make(NULL);
	CHECK(!moirai_cancel_requested(token) && moirai_cancel_reason(token) == 0);
	CHECK(moirai_cancel_check(token) == 0);
	CHECK(moirai_cancel_deadline(token) == MOIRAI_NEVER);
	CHECK(moirai_cancel_request(token, 0) == 0);
	CHECK(moirai_cancel_requested(token) && moirai_cancel_reason(token) == -ECANCELED);
	CHECK(moirai_cancel_check(token) == -ECANCELED);
	moirai_cancel_destroy(token);
}

static void the_first_reason_stays(void)
{
	moirai_cancel *token = make(NULL);
	CHECK(moirai_cancel_request(token, -EPIPE) == 0);
	CHECK(moirai_cancel_request(token, -EIO) == -EALREADY);
	CHECK(moirai_cancel_reason(token) == -EPIPE);
	moirai_cancel_destroy(token);
}

static void no_token_is_never_cancelled(void)
{
	CHECK(!moirai_cancel_requested(NULL) && moirai_cancel_reason(NULL) == 0);
	CHECK(moirai_cancel_check(NULL) == 0 && moirai_cancel_deadline(NULL) == MOIRAI_NEVER);
	CHECK(moirai_cancel_ref(NULL) == NULL);
	moirai_cancel_destroy(NULL);
	CHECK(moirai_cancel_wait_until(NULL, moirai_now() + MOIRAI_MS) == -ETIMEDOUT);
	CHECK(moirai_cancel_wait_until(NULL, 0) == -ETIMEDOUT);
}

static void bad_arguments_are_refused(void)
{
	struct seen seen = {0};
	moirai_cancel *token = make(NULL);
	CHECK(moirai_cancel_create(NULL, NULL) == -EINVAL);
	CHECK(moirai_cancel_request(NULL, 0) == -EINVAL);
	CHECK(moirai_cancel_request(token, 5) == -EINVAL);
	CHECK(moirai_cancel_register(NULL, &seen.callback, note, &seen) == -EINVAL);
	CHECK(moirai_cancel_register(token, NULL, note, &seen) == -EINVAL);
	CHECK(moirai_cancel_register(token, &seen.callback, NULL, &seen) == -EINVAL);
	CHECK(moirai_cancel_unregister(NULL) == -EINVAL);
	CHECK(moirai_cancel_unregister(&seen.callback) == -EINVAL);
	CHECK(moirai_cancel_try_unregister(NULL) == -EINVAL);
	CHECK(moirai_cancel_register(token, &seen.callback, note, &seen) == 0);
	CHECK(moirai_cancel_register(token, &seen.callback, note, &seen) == -EBUSY);
	CHECK(moirai_cancel_unregister(&seen.callback) == 0);
	CHECK(!moirai_cancel_requested(token));
	moirai_cancel_destroy(token);
}

static void cancelling_goes_down_and_not_up(void)
{
	moirai_cancel *top = make(NULL), *left = make(top), *right = make(top), *leaf = make(left);
	CHECK(moirai_cancel_request(left, -EIO) == 0);
	CHECK(moirai_cancel_reason(leaf) == -EIO);
	CHECK(!moirai_cancel_requested(top) && !moirai_cancel_requested(right));
	CHECK(moirai_cancel_request(top, -EPIPE) == 0);
	CHECK(moirai_cancel_reason(right) == -EPIPE && moirai_cancel_reason(left) == -EIO);
	CHECK(moirai_cancel_reason(leaf) == -EIO);
	moirai_cancel_destroy(leaf);
	moirai_cancel_destroy(left);
	moirai_cancel_destroy(right);
	moirai_cancel_destroy(top);
}

static void a_walk_reaches_every_descendant(void)
{
	enum { COUNT = 200 };
	moirai_cancel *all[COUNT];
	all[0] = make(NULL);
	/* Chains, bushes and everything in between, by a fixed generator. */
	for (unsigned i = 1, random = 1; i < COUNT; i++) {
		random = random * 1103515245u + 12345u;
		all[i] = make(all[(random >> 8) % i]);
	}
	CHECK(moirai_cancel_request(all[0], 0) == 0);
	for (int i = 0; i < COUNT; i++)
		CHECK(moirai_cancel_requested(all[i]));
	for (int i = 0; i < COUNT; i++)
		moirai_cancel_destroy(all[i]);
}

static void a_child_of_a_cancelled_token_is_born_cancelled(void)
{
	moirai_cancel *top = make(NULL);
	moirai_cancel_request(top, -EIO);
	moirai_cancel *child = make(top);
	struct seen seen = {0};
	CHECK(moirai_cancel_reason(child) == -EIO);
	CHECK(moirai_cancel_register(child, &seen.callback, note, &seen) == -ECANCELED);
	CHECK(seen.calls == 0);
	moirai_cancel_destroy(child);
	moirai_cancel_destroy(top);
}

static void a_child_keeps_its_parents(void)
{
	moirai_alloc_stats before, after;
	moirai_alloc_stats_get(&before);
	moirai_cancel *top = make(NULL), *middle = make(top), *leaf = make(middle);
	moirai_cancel_destroy(top);
	moirai_cancel_destroy(middle);
	CHECK(moirai_cancel_ref(leaf) == leaf);
	moirai_cancel_destroy(leaf);
	CHECK(moirai_cancel_request(leaf, 0) == 0);
	moirai_cancel_destroy(leaf);
	moirai_alloc_stats_get(&after);
	CHECK(after.live_bytes == before.live_bytes);
}

static void callbacks_run_once_and_in_order(void)
{
	int counter = 0;
	struct seen s[5] = {{.counter = &counter}, {.counter = &counter}, {.counter = &counter},
		{.counter = &counter}, {.counter = &counter}};
	moirai_cancel *top = make(NULL), *child = make(top);
	moirai_cancel_register(child, &s[3].callback, note, &s[3]);
	moirai_cancel_register(top, &s[0].callback, note, &s[0]);
	moirai_cancel_register(top, &s[1].callback, note, &s[1]);
	moirai_cancel_register(top, &s[2].callback, note, &s[2]);
	moirai_cancel_register(child, &s[4].callback, note, &s[4]);
	CHECK(moirai_cancel_unregister(&s[1].callback) == 0);
	CHECK(moirai_cancel_request(top, -EIO) == 0);
	CHECK(s[0].order == 1 && s[2].order == 2 && s[3].order == 3 && s[4].order == 4);
	CHECK(s[1].calls == 0 && s[0].reason == -EIO);
	moirai_cancel_request(child, 0);
	for (int i = 0; i < 5; i++)
		CHECK(s[i].calls == (i != 1));
	CHECK(moirai_cancel_unregister(&s[0].callback) == -EALREADY);
	CHECK(moirai_cancel_try_unregister(&s[2].callback) == -EALREADY);
	CHECK(moirai_cancel_unregister(&s[3].callback) == -EALREADY);
	CHECK(moirai_cancel_unregister(&s[4].callback) == -EALREADY);
	CHECK(moirai_cancel_unregister(&s[4].callback) == -EINVAL);
	moirai_cancel_destroy(child);
	moirai_cancel_destroy(top);
}

static void a_registration_keeps_the_token(void)
{
	struct seen seen = {0};
	moirai_cancel *top = make(NULL), *child = make(top);
	moirai_cancel_register(child, &seen.callback, note, &seen);
	moirai_cancel_destroy(child);
	moirai_cancel_request(top, 0);
	CHECK(seen.calls == 1);
	moirai_cancel_destroy(top);
	CHECK(moirai_cancel_unregister(&seen.callback) == -EALREADY);
}

struct self_ending {
	moirai_cancel_callback callback;
	int status;
	int *calls;
};

static void end_myself(void *self, int reason)
{
	struct self_ending *me = self;
	me->status = moirai_cancel_unregister(&me->callback);
	CHECK(me->status == -EALREADY && reason == -ECANCELED);
	++*me->calls;
	moirai_free(me);
}

static void a_callback_may_end_itself_and_its_memory(void)
{
	int calls = 0;
	moirai_cancel *top = make(NULL), *child = make(top);
	for (int i = 0; i < 3; i++) {
		struct self_ending *me = moirai_alloc_zeroed(1, sizeof(*me));
		REQUIRE(me != NULL);
		me->calls = &calls;
		CHECK(moirai_cancel_register(child, &me->callback, end_myself, me) == 0);
	}
	/* The last reference to the child goes with the last callback. */
	moirai_cancel_destroy(child);
	CHECK(moirai_cancel_request(top, 0) == 0);
	CHECK(calls == 3);
	moirai_cancel_destroy(top);
}

struct killer {
	moirai_cancel_callback callback;
	struct seen *victim;
	int status;
};

static void kill_other(void *self, int reason)
{
	struct killer *killer = self;
	killer->status = moirai_cancel_unregister(&killer->victim->callback);
	(void)reason;
}

static void a_callback_may_end_one_that_is_due(void)
{
	moirai_cancel *top = make(NULL);
	struct seen victim = {0};
	struct killer killer = {.victim = &victim, .status = 1};
	moirai_cancel_register(top, &killer.callback, kill_other, &killer);
	moirai_cancel_register(top, &victim.callback, note, &victim);
	moirai_cancel_request(top, 0);
	CHECK(killer.status == 0 && victim.calls == 0);
	CHECK(moirai_cancel_unregister(&killer.callback) == -EALREADY);
	moirai_cancel_destroy(top);
}

static void a_deadline_is_inherited_and_never_put_off(void)
{
	moirai_cancel *top, *early, *late;
	REQUIRE(moirai_cancel_create_until(&top, NULL, 1000) == 0);
	REQUIRE(moirai_cancel_create_until(&early, top, 500) == 0);
	REQUIRE(moirai_cancel_create_until(&late, top, 2000) == 0);
	CHECK(moirai_cancel_deadline(top) == 1000 && moirai_cancel_deadline(early) == 500);
	CHECK(moirai_cancel_deadline(late) == 1000);
	/* 1000 ns after the start of the clock is long ago. */
	CHECK(!moirai_cancel_requested(early));
	CHECK(moirai_cancel_check(early) == -ETIMEDOUT && moirai_cancel_requested(early));
	CHECK(!moirai_cancel_requested(top));
	CHECK(moirai_cancel_check(top) == -ETIMEDOUT && moirai_cancel_reason(late) == -ETIMEDOUT);
	moirai_cancel_destroy(late);
	moirai_cancel_destroy(early);
	moirai_cancel_destroy(top);
}

static void cancel_soon(void *arg)
{
	moirai_os_sleep(5 * MOIRAI_MS);
	moirai_cancel_request(arg, 0);
}

static void waiting_ends_with_the_token(void)
{
	moirai_cancel *top = make(NULL), *child = make(top);
	moirai_os_thread thread;
	REQUIRE(moirai_os_thread_create(&thread, NULL, cancel_soon, top) == 0);
	CHECK(moirai_cancel_wait_until(child, MOIRAI_NEVER) == 0);
	CHECK(moirai_cancel_requested(child));
	CHECK(moirai_cancel_wait_until(child, 0) == 0);
	moirai_os_thread_join(thread);
	moirai_cancel_destroy(child);
	moirai_cancel_destroy(top);
}

static void waiting_ends_with_its_own_deadline(void)
{
	moirai_cancel *token = make(NULL);
	CHECK(moirai_cancel_wait_until(token, 0) == -ETIMEDOUT);
	CHECK(moirai_cancel_wait_until(token, moirai_deadline_after(2 * MOIRAI_MS)) == -ETIMEDOUT);
	CHECK(!moirai_cancel_requested(token));
	moirai_cancel_destroy(token);
}

static void waiting_cancels_at_the_deadline_of_the_token(void)
{
	moirai_cancel *token;
	REQUIRE(moirai_cancel_create_until(&token, NULL, moirai_deadline_after(3 * MOIRAI_MS)) ==
		0);
	CHECK(moirai_cancel_wait_until(token, MOIRAI_NEVER) == 0);
	CHECK(moirai_cancel_reason(token) == -ETIMEDOUT);
	moirai_cancel_destroy(token);
}

struct slow {
	moirai_cancel_callback callback;
	moirai_cancel *token;
	uint32_t inside, leave, done;
};

static void slow_call(void *self, int reason)
{
	struct slow *slow = self;
	moirai_store_release(&slow->inside, 1);
	while (!moirai_load_acquire(&slow->leave))
		moirai_os_sleep(100 * MOIRAI_US);
	moirai_os_sleep(2 * MOIRAI_MS);
	moirai_store_release(&slow->done, 1);
	(void)reason;
}

static void slow_cancel(void *arg)
{
	struct slow *slow = arg;
	CHECK(moirai_cancel_request(slow->token, 0) == 0);
}

static void unregister_waits_for_a_call_in_progress(void)
{
	struct slow slow = {.token = make(NULL)};
	moirai_os_thread thread;
	moirai_cancel_register(slow.token, &slow.callback, slow_call, &slow);
	REQUIRE(moirai_os_thread_create(&thread, NULL, slow_cancel, &slow) == 0);
	while (!moirai_load_acquire(&slow.inside))
		moirai_os_sleep(100 * MOIRAI_US);
	CHECK(moirai_cancel_try_unregister(&slow.callback) == -EBUSY);
	CHECK(moirai_cancel_request(slow.token, 0) == -EALREADY);
	moirai_store_release(&slow.leave, 1);
	CHECK(moirai_cancel_unregister(&slow.callback) == -EALREADY);
	CHECK(moirai_load_acquire(&slow.done) == 1);
	moirai_os_thread_join(thread);
	moirai_cancel_destroy(slow.token);
}

static void failed_allocations_leave_nothing(void)
{
	moirai_cancel *top = make(NULL), *child = NULL;
	moirai_alloc_stats before, after;
	moirai_alloc_stats_get(&before);
	for (uint64_t nth = 1;; nth++) {
		bool fired;
		moirai__fault_arm(MOIRAI_FAULT_ALLOC, nth);
		int status = moirai_cancel_create(&child, top);
		moirai__fault_passed(&fired);
		moirai__fault_arm(0, 0);
		CHECK(status == (fired ? -ENOMEM : 0));
		if (!fired)
			break;
		CHECK(child == NULL);
		moirai_alloc_stats_get(&after);
		CHECK(after.live_bytes == before.live_bytes);
	}
	moirai_cancel_destroy(child);
	CHECK(moirai_cancel_request(top, 0) == 0);
	moirai_cancel_destroy(top);
}

static void checking_and_waiting_allocate_nothing(void)
{
	struct seen seen = {0};
	moirai_cancel *token = make(NULL);
	moirai_cancel_wait_until(token, 0); /* the thread's own first park */
	moirai_alloc_stats before, after;
	moirai_alloc_stats_get(&before);
	for (int i = 0; i < 100; i++) {
		moirai_cancel_register(token, &seen.callback, note, &seen);
		moirai_cancel_check(token);
		moirai_cancel_unregister(&seen.callback);
		moirai_cancel_wait_until(token, 0);
	}
	moirai_cancel_request(token, 0);
	moirai_alloc_stats_get(&after);
	CHECK(after.allocations == before.allocations);
	moirai_cancel_destroy(token);
}

/* --- many threads --- */

enum { STORM_THREADS = 3, STORM_ROUNDS = 400 };

struct storm {
	moirai_cancel *top;
	uint32_t round, arrived, stop;
};

struct storm_thread {
	struct storm *storm;
	unsigned calls, refused, ended, due;
};

static void storm_note(void *self, int reason)
{
	(*(unsigned *)self)++;
	(void)reason;
}

static void storm_work(void *arg)
{
	struct storm_thread *me = arg;
	for (int i = 0; i < STORM_ROUNDS; i++) {
		moirai_cancel *child;
		moirai_cancel_callback callback;
		memset(&callback, 0, sizeof(callback));
		unsigned calls = 0;
		if (moirai_cancel_create(&child, me->storm->top) < 0) {
			CHECK(me == NULL); /* it has to work */
			return;
		}
		int status = moirai_cancel_register(child, &callback, storm_note, &calls);
		if (i % 3 == 0)
			moirai_cancel_request(child, 0);
		if (i % 7 == 0)
			moirai_os_yield();
		if (status == 0) {
			status = moirai_cancel_unregister(&callback);
			/* 0 and -EALREADY tell exactly whether it was called. */
			CHECK(calls == (status == -EALREADY));
			me->calls += calls;
		} else {
			CHECK(status == -ECANCELED && calls == 0);
			me->refused++;
		}
		moirai_cancel_destroy(child);
	}
}

static void a_storm_calls_each_callback_at_most_once(void)
{
	struct storm storm = {.top = make(NULL)};
	struct storm_thread mine[STORM_THREADS] = {{0}};
	moirai_os_thread threads[STORM_THREADS];
	for (int i = 0; i < STORM_THREADS; i++) {
		mine[i].storm = &storm;
		REQUIRE(moirai_os_thread_create(&threads[i], NULL, storm_work, &mine[i]) == 0);
	}
	moirai_os_sleep(2 * MOIRAI_MS);
	CHECK(moirai_cancel_request(storm.top, 0) == 0);
	for (int i = 0; i < STORM_THREADS; i++)
		moirai_os_thread_join(threads[i]);
	moirai_cancel_destroy(storm.top);
}

TAP_MAIN(TEST(a_token_is_live_until_it_is_cancelled), TEST(the_first_reason_stays),
	TEST(no_token_is_never_cancelled), TEST(bad_arguments_are_refused),
	TEST(cancelling_goes_down_and_not_up), TEST(a_walk_reaches_every_descendant),
	TEST(a_child_of_a_cancelled_token_is_born_cancelled), TEST(a_child_keeps_its_parents),
	TEST(callbacks_run_once_and_in_order), TEST(a_registration_keeps_the_token),
	TEST(a_callback_may_end_itself_and_its_memory), TEST(a_callback_may_end_one_that_is_due),
	TEST(a_deadline_is_inherited_and_never_put_off), TEST(waiting_ends_with_the_token),
	TEST(waiting_ends_with_its_own_deadline),
	TEST(waiting_cancels_at_the_deadline_of_the_token),
	TEST(unregister_waits_for_a_call_in_progress), TEST(failed_allocations_leave_nothing),
	TEST(checking_and_waiting_allocate_nothing), TEST(a_storm_calls_each_callback_at_most_once))
