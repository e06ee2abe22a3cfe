/* SPDX-License-Identifier: MIT */
/* Park, for threads, under every schedule: wakes, deadlines, requeue, park_any, growth, locks. */
#include "model_park.h"

static uint32_t *A, *B; /* words in different buckets */
static uint32_t *A2;    /* in A's bucket */
static int message;     /* plain */
static int results[4];  /* plain, read after the joins */

static void set_up(void)
{
	A = word_in(0, 0);
	A2 = word_in(0, 1);
	B = word_in(1, 0);
	model_name(A, "A");
	model_name(A2, "A2");
	model_name(B, "B");
}

static void tear_down(void)
{
	model_join_all();
	check_lot_is_empty();
}

/* --- wake --- */

static void wait_for_a(void *arg)
{
	(void)arg;
	while (moirai_load_acquire(A) == 0) {
		int rc = moirai_park(A, 0, MOIRAI_NEVER);
		scribble();
		MODEL_CHECK(rc == 0 || rc == -EAGAIN);
	}
	MODEL_CHECK(MOIRAI_RD(message) == 1);
}

static void open_a(void *arg)
{
	MOIRAI_WR(message) = 1;
	moirai_store_release(A, 1);
	moirai_unpark(A, (unsigned)(uintptr_t)arg);
}

static void wake(void)
{
	set_up();
	model_thread(wait_for_a, NULL);
	open_a((void *)1);
	tear_down();
}

static void wake_two(void)
{
	set_up();
	model_thread(wait_for_a, NULL);
	model_thread(wait_for_a, NULL);
	open_a((void *)2);
	tear_down();
}

/* Park alone carries what the waker did before: the waiter does not look at the word again. */
static void wait_once(void *arg)
{
	(void)arg;
	int rc = moirai_park(A, 0, MOIRAI_NEVER);
	MODEL_CHECK(rc == 0 || rc == -EAGAIN);
	MODEL_CHECK(MOIRAI_RD(message) == 1);
}

static void the_return_carries_the_message(void)
{
	set_up();
	model_thread(wait_once, NULL);
	open_a((void *)1);
	tear_down();
}

/* --- deadlines --- */

static void wait_for_a_until(void *arg)
{
	results[(uintptr_t)arg] = moirai_park(A, 0, 1000);
	scribble();
}

/* One unpark of one waiter: it is counted if and only if the waiter was woken by it. */
static void wake_or_deadline(void)
{
	set_up();
	model_thread(wait_for_a_until, (void *)0);
	moirai_store_release(A, 1);
	unsigned woken = moirai_unpark(A, 1);
	tear_down();
	MODEL_CHECK(woken == (results[0] == 0));
}

/* Two waiters, one with a deadline, one permit: as long as anybody waits, it is not lost. */
static void a_permit_survives_a_deadline(void)
{
	set_up();
	model_thread(wait_for_a_until, (void *)0);
	model_thread(wait_for_a_until, (void *)1);
	unsigned woken = moirai_unpark(A, 1);
	tear_down();
	MODEL_CHECK(woken == (unsigned)((results[0] == 0) + (results[1] == 0)));
}

/* --- requeue --- */

static void requeue_a_to_b(void *arg)
{
	(void)arg;
	MODEL_CHECK(moirai_unpark_requeue(A, 0, 0, B, 1) == 0);
}

static void requeue_or_deadline(void)
{
	set_up();
	model_thread(wait_for_a_until, (void *)0);
	model_thread(requeue_a_to_b, NULL);
	unsigned woken = moirai_unpark(B, 1);
	tear_down();
	MODEL_CHECK(woken == (results[0] == 0));
	check_lot_is_empty();
}

static void requeue_to_and_fro(void)
{
	set_up();
	model_thread(wait_for_a_until, (void *)0);
	model_thread(requeue_a_to_b, NULL);
	moirai_unpark_requeue(B, 0, 0, A, 1);
	tear_down();
	MODEL_CHECK(results[0] == -ETIMEDOUT);
}

static void park_on_b_until(void *arg)
{
	results[(uintptr_t)arg] = moirai_park(B, 0, 1000);
}

/* The target's queue is in use while waiters arrive there from elsewhere. */
static void requeue_into_company(void)
{
	set_up();
	model_thread(wait_for_a_until, (void *)0);
	model_thread(park_on_b_until, (void *)1);
	moirai_unpark_requeue(A, 0, 0, B, 1);
	unsigned woken = moirai_unpark(B, 2);
	tear_down();
	MODEL_CHECK(woken == (unsigned)((results[0] == 0) + (results[1] == 0)));
}

/* --- several words --- */

static uint64_t any_deadline;

static void wait_for_a_or_b(void *arg)
{
	moirai_park_case cases[2] = {{A, 0}, {B, 0}};
	results[(uintptr_t)arg] = moirai_park_any(cases, 2, any_deadline);
	scribble();
}

static unsigned woken_b;

static void unpark_b(void *arg)
{
	(void)arg;
	woken_b = moirai_unpark(B, 1);
}

/* Two wakers choose one waiter: one wake-up is consumed, the other one is not counted. */
static void any_is_woken_once(void)
{
	set_up();
	any_deadline = 1000;
	model_thread(wait_for_a_or_b, (void *)0);
	model_thread(unpark_b, NULL);
	unsigned woken_a = moirai_unpark(A, 1);
	tear_down();
	MODEL_CHECK(woken_a + woken_b <= 1);
	MODEL_CHECK(woken_a == (results[0] == 0) && woken_b == (results[0] == 1));
	MODEL_CHECK(woken_a + woken_b == 1 || results[0] == -ETIMEDOUT);
}

static void store_and_unpark_b(void *arg)
{
	(void)arg;
	moirai_store_release(B, 1);
	woken_b = moirai_unpark(B, 1);
}

/* A word changes while the nodes are being queued. */
static void any_may_withdraw(void)
{
	set_up();
	any_deadline = MOIRAI_NEVER;
	model_thread(wait_for_a_or_b, (void *)0);
	model_thread(store_and_unpark_b, NULL);
	moirai_store_release(A, 1);
	unsigned woken_a = moirai_unpark(A, 1);
	tear_down();
	MODEL_CHECK(woken_a == (results[0] == 0) && woken_b == (results[0] == 1));
	MODEL_CHECK(woken_a + woken_b == 1 || results[0] == -EAGAIN);
}

static void wait_for_b(void *arg)
{
	results[(uintptr_t)arg] = moirai_park(B, 0, MOIRAI_NEVER);
}

/* A wake-up that meets a park_any which is awake already goes on to the plain waiter behind it. */
static void any_passes_a_wake_up_on(void)
{
	set_up();
	any_deadline = MOIRAI_NEVER;
	model_thread(wait_for_a_or_b, (void *)0);
	model_thread(wait_for_b, (void *)1);
	unsigned woken = 0;
	while (moirai_unpark(A, 1) == 0 && results[0] != 1)
		moirai_os_yield();
	while ((woken = moirai_unpark(B, 1)) == 0)
		moirai_os_yield();
	tear_down();
	MODEL_CHECK(results[0] == 0 && results[1] == 0);
}

/* --- the table --- */

static void grow(void *arg)
{
	(void)arg;
	MODEL_CHECK(moirai_park_reserve(8 * 4) == 0);
	MODEL_CHECK(moirai__park_buckets() == 4);
}

static void the_table_grows_under_a_wake(void)
{
	set_up();
	model_thread(wait_for_a, NULL);
	model_thread(grow, NULL);
	open_a((void *)1);
	tear_down();
}

static void the_table_grows_under_a_deadline(void)
{
	set_up();
	model_thread(wait_for_a_until, (void *)0);
	model_thread(grow, NULL);
	unsigned woken = moirai_unpark(A, 1);
	tear_down();
	MODEL_CHECK(woken == (results[0] == 0));
}

/* --- the bucket lock --- */

static void lock_a(void *arg)
{
	for (unsigned i = 0; i < (uintptr_t)arg; i++) {
		moirai__bucket *bucket = moirai__bucket_lock(A);
		MOIRAI_WR(message) = MOIRAI_RD(message) + 1;
		moirai__bucket_unlock(bucket);
	}
}

static void two_lock_a_bucket(void)
{
	set_up();
	model_thread(lock_a, (void *)2);
	lock_a((void *)2);
	tear_down();
	MODEL_CHECK(message == 4);
}

static void three_lock_a_bucket(void)
{
	set_up();
	model_thread(lock_a, (void *)1);
	model_thread(lock_a, (void *)1);
	lock_a((void *)1);
	tear_down();
	MODEL_CHECK(message == 3);
}

#include "model_limits.h"

MODEL_MAIN(MODEL_CLEAN(wake, EXHAUST), MODEL_FINDS(wake, 1, "lost wake-up"),
	MODEL_FINDS(wake, 15, "race"), MODEL_CLEAN(wake_two, QUICK),
	MODEL_CLEAN(the_return_carries_the_message, EXHAUST),
	MODEL_FINDS(the_return_carries_the_message, 6, "race"),
	MODEL_FINDS(the_return_carries_the_message, 17, "race"), MODEL_FINDS(wake, 12, "race"),
	MODEL_CLEAN(wake_or_deadline, EXHAUST), MODEL_FINDS(wake_or_deadline, 5, "race"),
	MODEL_FINDS(wake_or_deadline, 13, ""), MODEL_CLEAN(a_permit_survives_a_deadline, QUICK),
	MODEL_CLEAN(requeue_or_deadline, QUICK), MODEL_FINDS(requeue_or_deadline, 14, ""),
	MODEL_CLEAN(requeue_to_and_fro, QUICK), MODEL_FINDS(requeue_to_and_fro, 14, ""),
	MODEL_CLEAN(requeue_into_company, QUICK), MODEL_FINDS(requeue_into_company, 7, ""),
	MODEL_CLEAN(any_is_woken_once, QUICK), MODEL_FINDS(any_is_woken_once, 19, "check failed"),
	MODEL_CLEAN(any_may_withdraw, QUICK), MODEL_FINDS(any_may_withdraw, 23, "check failed"),
	MODEL_FINDS(any_is_woken_once, 22, "queued == 0"),
	MODEL_CLEAN(any_passes_a_wake_up_on, QUICK), MODEL_FINDS(any_passes_a_wake_up_on, 19, ""),
	MODEL_CLEAN(the_table_grows_under_a_wake, QUICK),
	MODEL_FINDS(the_table_grows_under_a_wake, 16, ""),
	MODEL_FINDS(the_table_grows_under_a_wake, 25, ""),
	MODEL_CLEAN(the_table_grows_under_a_deadline, QUICK),
	MODEL_CLEAN(two_lock_a_bucket, EXHAUST), MODEL_FINDS(two_lock_a_bucket, 15, "race"),
	MODEL_FINDS(two_lock_a_bucket, 18, "lost wake-up"), MODEL_CLEAN(three_lock_a_bucket, QUICK))
