/* SPDX-License-Identifier: MIT */
/* Park from fibers of a miniature executor: every result, deadlines, cancel, shutdown. */
#include "mini_executor.h"

#include <limits.h>

static uint32_t word, other;

static void park_forever(struct mini_fiber *f)
{
	f->result = moirai_park(&word, 0, MOIRAI_NEVER);
}

static void set_up(void)
{
	moirai_store_relaxed(&word, 0);
	moirai_store_relaxed(&other, 0);
}

static void a_fiber_is_woken(void)
{
	set_up();
	mini_start(1, park_forever, NULL);
	wait_for_waiters(&word, 1);
	CHECK(moirai_unpark(&word, 1) == 1);
	mini_join();
	CHECK(mini_fibers[0].result == 0 && mini_fibers[0].left == 1);
	CHECK(waiters_of(NULL) == 0);
}

static void see_a_difference(struct mini_fiber *f)
{
	f->result = moirai_park(&word, 1, MOIRAI_NEVER);
}

static void a_fiber_refuses_before_it_prepares(void)
{
	set_up();
	mini_start(1, see_a_difference, NULL);
	mini_join();
	CHECK(mini_fibers[0].result == -EAGAIN && mini_fibers[0].prepared == 0);
}

static void park_refused(struct mini_fiber *f)
{
	f->refuses = EAGAIN;
	CHECK(moirai_park(&word, 0, MOIRAI_NEVER) == -EAGAIN);
	f->refuses = ENOMEM;
	CHECK(moirai_park(&word, 0, MOIRAI_NEVER) == -ENOMEM);
	moirai_park_case one = {&word, 0};
	CHECK(moirai_park_any(&one, 1, MOIRAI_NEVER) == -ENOMEM);
	CHECK(f->prepared == 0 && f->abandoned == 0 && f->left == 0);
}

static void the_executor_may_refuse(void)
{
	set_up();
	mini_start(1, park_refused, NULL);
	mini_join();
	CHECK(waiters_of(NULL) == 0);
}

static void park_until_deadlines(struct mini_fiber *f)
{
	moirai_park_case two[2] = {{&word, 0}, {&other, 0}};
	moirai_park_case differs[2] = {{&word, 0}, {&other, 1}};
	uint64_t start = moirai_now();
	CHECK(moirai_park(&word, 0, start + 2 * MOIRAI_MS) == -ETIMEDOUT);
	CHECK(moirai_now() >= start + 2 * MOIRAI_MS);
	CHECK(moirai_park(&word, 0, 0) == -ETIMEDOUT);
	CHECK(moirai_park(&word, 1, 0) == -EAGAIN);
	CHECK(moirai_park_any(two, 2, moirai_deadline_after(MOIRAI_MS)) == -ETIMEDOUT);
	CHECK(moirai_park_any(two, 2, 0) == -ETIMEDOUT);
	CHECK(moirai_park_any(differs, 2, 0) == -EAGAIN);
	CHECK(moirai_park_any(differs, 2, MOIRAI_NEVER) == -EAGAIN);
	CHECK(f->left == 2);
}

static void a_fiber_times_out(void)
{
	set_up();
	mini_start(1, park_until_deadlines, NULL);
	mini_join();
	CHECK(waiters_of(NULL) == 0);
}

static void park_cancelled(struct mini_fiber *f)
{
	moirai_park_case two[2] = {{&word, 0}, {&other, 0}};
	CHECK(moirai_park(&word, 0, MOIRAI_NEVER) == -ECANCELED);
	/* The flag is sticky. */
	unsigned left = f->left;
	CHECK(moirai_park(&word, 0, MOIRAI_NEVER) == -ECANCELED);
	CHECK(moirai_park(&word, 0, 0) == -ECANCELED);
	CHECK(moirai_park(&word, 1, MOIRAI_NEVER) == -EAGAIN);
	CHECK(moirai_park_any(two, 2, MOIRAI_NEVER) == -ECANCELED);
	CHECK(moirai_park_any(two, 2, 0) == -ECANCELED);
	CHECK(f->left == left);
	moirai_store_relaxed(&f->masked, 1);
	CHECK(moirai_park(&other, 0, MOIRAI_NEVER) == 0);
	moirai_store_relaxed(&f->masked, 0);
	moirai_store_relaxed(&f->cancelled, 0);
	CHECK(moirai_park_any(two, 2, MOIRAI_NEVER) == -ECANCELED);
}

static void a_cancel_ends_a_park_unless_masked(void)
{
	set_up();
	mini_start(1, park_cancelled, NULL);
	struct mini_fiber *f = &mini_fibers[0];
	wait_for_waiters(&word, 1);
	CHECK(mini_cancel(f) == 1);
	wait_for_waiters(&other, 1);
	CHECK(mini_cancel(f) == 0); /* Masked. */
	CHECK(waiters_of(&other) == 1);
	CHECK(moirai_unpark(&other, 1) == 1);
	while (waiters_of(&word) + waiters_of(&other) != 2)
		moirai_os_sleep(50 * MOIRAI_US);
	/* 1: found asleep; 0 is impossible once it is queued and has left. */
	mini_cancel(f);
	mini_join();
	CHECK(mini_cancel(f) == 0);
	CHECK(waiters_of(NULL) == 0);
}

static void cancel_of_who_never_parked_is_nothing(void)
{
	moirai__parker fresh = {.ops = &mini_ops};
	CHECK(moirai__park_cancel(&fresh) == 0);
}

static void a_cancel_follows_a_requeue(void)
{
	set_up();
	mini_start(2, park_forever, NULL);
	wait_for_waiters(&word, 2);
	CHECK(moirai_unpark_requeue(&word, 0, 0, &other, UINT_MAX) == 0);
	CHECK(waiters_of(&other) == 2);
	CHECK(mini_cancel(&mini_fibers[1]) == 1);
	CHECK(moirai_unpark(&other, UINT_MAX) == 1);
	mini_join();
	CHECK(mini_fibers[0].result == 0 && mini_fibers[1].result == -ECANCELED);
}

static void wait_for_either(struct mini_fiber *f)
{
	moirai_park_case cases[MOIRAI_PARK_CASES_MAX];
	for (unsigned i = 0; i < MOIRAI_PARK_CASES_MAX; i++)
		cases[i] = (moirai_park_case){i % 2 ? &other : &word, 0};
	f->result = moirai_park_any(cases, *(unsigned *)f->arg, MOIRAI_NEVER);
}

static void a_fiber_waits_for_several_words(void)
{
	for (unsigned n = 2; n <= MOIRAI_PARK_CASES_MAX; n *= 2) {
		set_up();
		mini_start(1, wait_for_either, &n);
		wait_for_waiters(&other, n / 2);
		CHECK(moirai_unpark(&other, UINT_MAX) == 1); /* n / 2 nodes, one waiter */
		mini_join();
		CHECK(mini_fibers[0].result == 1);
		CHECK(waiters_of(NULL) == 0);
	}
}

static void many_fibers_wake_in_one_sweep(void)
{
	set_up();
	mini_start(MINI_FIBERS_MAX, park_forever, NULL);
	wait_for_waiters(&word, MINI_FIBERS_MAX);
	CHECK(moirai_unpark(&word, UINT_MAX) == MINI_FIBERS_MAX);
	mini_join();
	for (unsigned i = 0; i < MINI_FIBERS_MAX; i++)
		CHECK(mini_fibers[i].result == 0);
}

static bool odd(moirai__parker *fiber, void *arg)
{
	(void)arg;
	return (mini_of(fiber) - mini_fibers) % 2 == 1;
}

static void shutdown_takes_out_one_executors_fibers(void)
{
	set_up();
	mini_start(8, park_forever, NULL);
	wait_for_waiters(&word, 8);
	CHECK(moirai_unpark_requeue(&word, 0, 0, &other, 3) == 0);
	for (unsigned i = 1; i < 8; i += 2)
		moirai_store_release(&mini_fibers[i].cancelled, 1);
	CHECK(moirai__park_cancel_all(odd, NULL) == 4);
	CHECK(moirai_unpark(&word, UINT_MAX) + moirai_unpark(&other, UINT_MAX) == 4);
	mini_join();
	for (unsigned i = 0; i < 8; i++)
		CHECK(mini_fibers[i].result == (i % 2 ? -ECANCELED : 0));
	CHECK(waiters_of(NULL) == 0);
}

/* --- primitives --- */

static unsigned validated, gave_up;

static int always(const uint32_t *address, void *arg)
{
	CHECK(address == &word && arg == &validated);
	moirai_fetch_add_relaxed(&validated, 1);
	return 0;
}

static void undo(moirai__bucket *bucket, const uint32_t *address, void *arg)
{
	CHECK(address == &word && arg == &validated && !moirai__bucket_first(bucket, address));
	gave_up++;
}

static const moirai__park_hooks hooks = {always, undo};

static void park_hooked(struct mini_fiber *f)
{
	CHECK(moirai__park_queued(&word, &hooks, &validated, 0, 0) == -ETIMEDOUT);
	CHECK(validated == 1 && gave_up == 1);
	CHECK(moirai__park_queued(&word, &hooks, &validated, 0, moirai_deadline_after(MOIRAI_MS)) ==
		-ETIMEDOUT);
	CHECK(validated == 2 && gave_up == 2);
	moirai_store_relaxed(&f->cancelled, 1);
	CHECK(moirai__park_queued(&word, &hooks, &validated, 0, MOIRAI_NEVER) == -ECANCELED);
	CHECK(validated == 3 && gave_up == 3);
	moirai_store_relaxed(&f->cancelled, 0);
	f->result =
		moirai__park_queued(&word, &hooks, &validated, MOIRAI__PARK_FRONT, MOIRAI_NEVER);
}

static void each_yes_is_used_or_taken_back(void)
{
	set_up();
	validated = gave_up = 0;
	mini_start(1, park_hooked, NULL);
	/* The fourth park is the one without a deadline. */
	while (!(waiters_of(&word) == 1 && moirai_load_relaxed(&validated) == 4))
		moirai_os_sleep(50 * MOIRAI_US);
	moirai__wakes wakes;
	moirai__wakes_init(&wakes);
	moirai__bucket *bucket = moirai__bucket_lock(&word);
	CHECK(moirai__node_take(bucket, moirai__bucket_first(bucket, &word), 5, &wakes));
	moirai__bucket_unlock_fire(bucket, &wakes);
	mini_join();
	CHECK(mini_fibers[0].result == 5 && validated == 4 && gave_up == 3);
}

static void look(const moirai__park_waiter *waiter, void *arg)
{
	CHECK(waiter->address == &word && waiter->kind == MOIRAI__WAIT_FIBER && !waiter->any);
	CHECK(waiter->fiber == &mini_fibers[0].parker);
	*(uint64_t *)arg = waiter->since_ns;
}

static void a_report_tells_who_waits_since_when(void)
{
	uint64_t since = 1, before = moirai_now();
	for (int on = 0; on < 2; on++) {
		set_up();
		moirai__park_timestamps(on);
		mini_start(1, park_forever, NULL);
		wait_for_waiters(&word, 1);
		moirai__park_visit(look, &since);
		CHECK(on ? since >= before && since <= moirai_now() : since == 0);
		CHECK(moirai_unpark(&word, 1) == 1);
		mini_join();
	}
	moirai__park_timestamps(false);
}

TAP_MAIN(TEST(a_fiber_is_woken), TEST(a_fiber_refuses_before_it_prepares),
	TEST(the_executor_may_refuse), TEST(a_fiber_times_out),
	TEST(a_cancel_ends_a_park_unless_masked), TEST(cancel_of_who_never_parked_is_nothing),
	TEST(a_cancel_follows_a_requeue), TEST(a_fiber_waits_for_several_words),
	TEST(many_fibers_wake_in_one_sweep), TEST(shutdown_takes_out_one_executors_fibers),
	TEST(each_yes_is_used_or_taken_back), TEST(a_report_tells_who_waits_since_when))
