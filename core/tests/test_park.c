/* SPDX-License-Identifier: MIT */
/* Park from plain threads: every result, wakers, requeue, park_any, growth, signals. */
#include "tap.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#ifndef _WIN32
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include <moirai/core/atomic.h>
#include <moirai/core/internal/park.h>
#include <moirai/core/os.h>
#include <moirai/core/park.h>

#define THREADS_MAX 64

/* --- a thread that parks once and says what came of it --- */

struct waiter {
	moirai_os_thread thread;
	const uint32_t *word;
	uint32_t expected;
	uint64_t deadline_ns;
	moirai_park_case cases[MOIRAI_PARK_CASES_MAX];
	unsigned n; /* of cases; 0: moirai_park() on word */
	int result;
	uint32_t done; /* atomic */
};

static void waiter_run(void *arg)
{
	struct waiter *w = arg;
	w->result = w->n ? moirai_park_any(w->cases, w->n, w->deadline_ns)
			 : moirai_park(w->word, w->expected, w->deadline_ns);
	moirai_store_release(&w->done, 1); /* Pairs with the acquire of the checks. */
}

static void waiter_start(struct waiter *w, const uint32_t *word, uint64_t deadline_ns)
{
	*w = (struct waiter){.word = word, .expected = *word, .deadline_ns = deadline_ns};
	CHECK(moirai_os_thread_create(&w->thread, NULL, waiter_run, w) == 0);
}

static void waiter_start_any(struct waiter *w, const uint32_t *const *words, unsigned n)
{
	*w = (struct waiter){.n = n, .deadline_ns = MOIRAI_NEVER};
	for (unsigned i = 0; i < n; i++)
		w->cases[i] = (moirai_park_case){words[i], *words[i]};
	CHECK(moirai_os_thread_create(&w->thread, NULL, waiter_run, w) == 0);
}

static int waiter_join(struct waiter *w)
{
	CHECK(moirai_os_thread_join(w->thread) == 0);
	return w->result;
}

struct count {
	const uint32_t *address; /* NULL: any */
	unsigned n;
};

static void count_one(const moirai__park_waiter *waiter, void *arg)
{
	struct count *count = arg;
	count->n += !count->address || waiter->address == count->address;
}

static unsigned waiters_of(const uint32_t *address)
{
	struct count count = {.address = address};
	moirai__park_visit(count_one, &count);
	return count.n;
}

/* Until so many stand in the queue of the address; the tests' time limit bounds it. */
static void wait_for_waiters(const uint32_t *address, unsigned n)
{
	while (waiters_of(address) != n)
		moirai_os_sleep(50 * MOIRAI_US);
}

static void check_nobody_waits(void)
{
	CHECK(waiters_of(NULL) == 0);
}

/* --- one word --- */

static void park_refuses_a_word_that_differs(void)
{
	uint32_t word = 7;
	CHECK(moirai_park(&word, 8, MOIRAI_NEVER) == -EAGAIN);
	CHECK(moirai_park(&word, 8, 0) == -EAGAIN);
	CHECK(moirai_park(NULL, 0, MOIRAI_NEVER) == -EINVAL);
	check_nobody_waits();
}

static void park_times_out(void)
{
	uint32_t word = 0;
	uint64_t start = moirai_now();
	CHECK(moirai_park(&word, 0, moirai_deadline_after(5 * MOIRAI_MS)) == -ETIMEDOUT);
	CHECK(moirai_now() - start >= 5 * MOIRAI_MS);
	check_nobody_waits();
}

static void a_deadline_in_the_past_is_a_try(void)
{
	uint32_t word = 0;
	CHECK(moirai_park(&word, 0, 0) == -ETIMEDOUT);
	CHECK(moirai_park(&word, 0, 1) == -ETIMEDOUT);
	moirai_park_case one = {&word, 0};
	CHECK(moirai_park_any(&one, 1, 0) == -ETIMEDOUT);
	CHECK(moirai_unpark(&word, UINT_MAX) == 0);
	check_nobody_waits();
}

static void unpark_wakes_one(void)
{
	uint32_t word = 0;
	struct waiter w;
	waiter_start(&w, &word, MOIRAI_NEVER);
	wait_for_waiters(&word, 1);
	CHECK(moirai_unpark(&word, 1) == 1);
	CHECK(waiter_join(&w) == 0);
	check_nobody_waits();
}

static void unpark_of_nobody_is_zero(void)
{
	uint32_t word = 0;
	CHECK(moirai_unpark(&word, 1) == 0);
	CHECK(moirai_unpark(&word, 0) == 0);
	CHECK(moirai_unpark(NULL, UINT_MAX) == 0);
}

static void unpark_wakes_the_longest_waiter_first(void)
{
	uint32_t word = 0;
	struct waiter w[3];
	for (unsigned i = 0; i < 3; i++) {
		waiter_start(&w[i], &word, MOIRAI_NEVER);
		wait_for_waiters(&word, i + 1);
	}
	for (unsigned i = 0; i < 3; i++) {
		CHECK(moirai_unpark(&word, 1) == 1);
		CHECK(waiter_join(&w[i]) == 0); /* This one and no other: else we hang here. */
		for (unsigned k = i + 1; k < 3; k++)
			CHECK(moirai_load_acquire(&w[k].done) == 0);
	}
	check_nobody_waits();
}

static void unpark_counts_and_leaves_the_rest(void)
{
	uint32_t word = 0;
	struct waiter w[5];
	for (unsigned i = 0; i < 5; i++)
		waiter_start(&w[i], &word, MOIRAI_NEVER);
	wait_for_waiters(&word, 5);
	CHECK(moirai_unpark(&word, 2) == 2);
	CHECK(waiters_of(&word) == 3);
	CHECK(moirai_unpark(&word, 100) == 3);
	for (unsigned i = 0; i < 5; i++)
		CHECK(waiter_join(&w[i]) == 0);
	check_nobody_waits();
}

static void many_waiters_need_many_batches(void)
{
	uint32_t word = 0;
	static struct waiter w[THREADS_MAX];
	for (unsigned i = 0; i < THREADS_MAX; i++)
		waiter_start(&w[i], &word, MOIRAI_NEVER);
	wait_for_waiters(&word, THREADS_MAX);
	CHECK(moirai_unpark(&word, UINT_MAX) == THREADS_MAX);
	for (unsigned i = 0; i < THREADS_MAX; i++)
		CHECK(waiter_join(&w[i]) == 0);
	check_nobody_waits();
}

static void words_do_not_disturb_each_other(void)
{
	static uint32_t words[16];
	struct waiter w[16];
	for (unsigned i = 0; i < 16; i++)
		waiter_start(&w[i], &words[i], MOIRAI_NEVER);
	for (unsigned i = 0; i < 16; i++)
		wait_for_waiters(&words[i], 1);
	for (unsigned i = 16; i-- > 0;) {
		CHECK(moirai_unpark(&words[i], UINT_MAX) == 1);
		CHECK(waiter_join(&w[i]) == 0);
	}
	check_nobody_waits();
}

static void a_waiter_leaves_from_the_middle_at_its_deadline(void)
{
	uint32_t word = 0;
	struct waiter w[4];
	for (unsigned i = 0; i < 4; i++) {
		/* The first, a middle one, then the last: each place in the list is left once. */
		waiter_start(&w[i], &word,
			i == 1 ? moirai_deadline_after(300 * MOIRAI_MS) : MOIRAI_NEVER);
		/* On a machine so slow that the deadline passes here, the last two stand as third. */
		while (waiters_of(&word) != i + 1 && !(i > 0 && moirai_load_acquire(&w[1].done)))
			moirai_os_sleep(50 * MOIRAI_US);
	}
	CHECK(waiter_join(&w[1]) == -ETIMEDOUT);
	wait_for_waiters(&word, 3);
	CHECK(moirai_unpark(&word, 3) == 3);
	CHECK(waiter_join(&w[0]) == 0 && waiter_join(&w[2]) == 0 && waiter_join(&w[3]) == 0);
	check_nobody_waits();
}

static void unpark_takes_the_address_of_freed_memory(void)
{
	void *memory;
	REQUIRE(moirai_os_map(&memory, moirai_os_page_size(), moirai_os_page_size(), 0) == 0);
	REQUIRE(moirai_os_unmap(memory, moirai_os_page_size()) == 0);
	CHECK(moirai_unpark(memory, UINT_MAX) == 0);
}

/* --- requeue --- */

static void requeue_wakes_some_and_moves_some(void)
{
	static uint32_t from, to;
	struct waiter w[6];
	for (unsigned i = 0; i < 6; i++) {
		waiter_start(&w[i], &from, MOIRAI_NEVER);
		wait_for_waiters(&from, i + 1);
	}
	CHECK(moirai_unpark_requeue(&from, 1, 1, &to, 1) == -EAGAIN);
	CHECK(moirai_unpark_requeue(NULL, 0, 1, &to, 1) == -EINVAL);
	CHECK(moirai_unpark_requeue(&from, 0, 1, NULL, 1) == -EINVAL);
	CHECK(waiters_of(&from) == 6);
	CHECK(moirai_unpark_requeue(&from, 0, 1, &to, 3) == 1);
	CHECK(waiter_join(&w[0]) == 0);
	CHECK(waiters_of(&from) == 2 && waiters_of(&to) == 3);
	CHECK(moirai_unpark(&to, 1) == 1); /* The order is kept: w[1] was the oldest that moved. */
	CHECK(waiter_join(&w[1]) == 0);
	CHECK(moirai_unpark(&to, UINT_MAX) == 2);
	CHECK(moirai_unpark(&from, UINT_MAX) == 2);
	for (unsigned i = 2; i < 6; i++)
		CHECK(waiter_join(&w[i]) == 0);
	check_nobody_waits();
}

static void requeue_wakes_more_than_one_batch(void)
{
	static uint32_t from, to;
	static struct waiter w[40];
	for (unsigned i = 0; i < 40; i++)
		waiter_start(&w[i], &from, MOIRAI_NEVER);
	wait_for_waiters(&from, 40);
	CHECK(moirai_unpark_requeue(&from, 0, 35, &to, UINT_MAX) == 35);
	CHECK(waiters_of(&from) == 0 && waiters_of(&to) == 5);
	CHECK(moirai_unpark(&to, UINT_MAX) == 5);
	for (unsigned i = 0; i < 40; i++)
		CHECK(waiter_join(&w[i]) == 0);
	check_nobody_waits();
}

static void requeue_onto_itself_only_wakes(void)
{
	static uint32_t word;
	struct waiter w[2];
	for (unsigned i = 0; i < 2; i++)
		waiter_start(&w[i], &word, MOIRAI_NEVER);
	wait_for_waiters(&word, 2);
	CHECK(moirai_unpark_requeue(&word, 0, 1, &word, 5) == 1);
	CHECK(waiters_of(&word) == 1);
	CHECK(moirai_unpark(&word, 1) == 1);
	CHECK(waiter_join(&w[0]) == 0 && waiter_join(&w[1]) == 0);
}

static void a_requeued_waiter_times_out_where_it_stands(void)
{
	static uint32_t from, to;
	struct waiter w;
	waiter_start(&w, &from, moirai_deadline_after(200 * MOIRAI_MS));
	while (moirai_unpark_requeue(&from, 0, 0, &to, 1) == 0 && !waiters_of(&to) &&
		!moirai_load_acquire(&w.done))
		moirai_os_sleep(50 * MOIRAI_US);
	CHECK(waiter_join(&w) == -ETIMEDOUT);
	check_nobody_waits();
}

/* --- several words --- */

static void park_any_says_which_word(void)
{
	static uint32_t words[MOIRAI_PARK_CASES_MAX];
	const uint32_t *list[MOIRAI_PARK_CASES_MAX];
	for (unsigned i = 0; i < MOIRAI_PARK_CASES_MAX; i++)
		list[i] = &words[i];
	for (unsigned n = 1; n <= MOIRAI_PARK_CASES_MAX; n = n < 4 ? n + 1 : n * 2) {
		struct waiter w;
		waiter_start_any(&w, list, n);
		wait_for_waiters(&words[n - 1], 1);
		CHECK(moirai_unpark(&words[n - 1], UINT_MAX) == 1);
		CHECK(waiter_join(&w) == (int)n - 1);
		check_nobody_waits();
	}
}

static void park_any_rejects_bad_input(void)
{
	uint32_t word = 0;
	moirai_park_case cases[2] = {{&word, 0}, {NULL, 0}};
	CHECK(moirai_park_any(NULL, 1, 0) == -EINVAL);
	CHECK(moirai_park_any(cases, 0, 0) == -EINVAL);
	CHECK(moirai_park_any(cases, MOIRAI_PARK_CASES_MAX + 1, 0) == -EINVAL);
	CHECK(moirai_park_any(cases, 2, 0) == -EINVAL);
	check_nobody_waits();
}

static void park_any_refuses_when_any_word_differs(void)
{
	uint32_t a = 0, b = 1;
	moirai_park_case cases[2] = {{&a, 0}, {&b, 0}};
	CHECK(moirai_park_any(cases, 2, MOIRAI_NEVER) == -EAGAIN);
	check_nobody_waits();
}

static void park_any_times_out(void)
{
	uint32_t a = 0, b = 1;
	moirai_park_case cases[2] = {{&a, 0}, {&b, 1}};
	CHECK(moirai_park_any(cases, 2, moirai_deadline_after(2 * MOIRAI_MS)) == -ETIMEDOUT);
	check_nobody_waits();
}

static void park_any_consumes_one_wake_up(void)
{
	static uint32_t a, b;
	const uint32_t *list[3] = {&a, &b, &a}; /* The same word twice is legal. */
	struct waiter any, plain;
	waiter_start_any(&any, list, 3);
	wait_for_waiters(&a, 2);
	waiter_start(&plain, &a, MOIRAI_NEVER);
	wait_for_waiters(&a, 3);
	/* Both cases on `a` stand in front of the plain waiter, but they are one waiter. */
	CHECK(moirai_unpark(&a, 2) == 2);
	CHECK(waiter_join(&any) == 0);
	CHECK(waiter_join(&plain) == 0);
	CHECK(moirai_unpark(&b, UINT_MAX) == 0);
	check_nobody_waits();
}

/* --- wakers --- */

static uint32_t calls; /* atomic */

static void call(void *arg)
{
	moirai_fetch_add_acq_rel((uint32_t *)arg, 1);
}

static void a_waker_is_called_once(void)
{
	uint32_t word = 3;
	moirai_waker waker = {0};
	calls = 0;
	CHECK(moirai_waker_unregister(&waker) == 0); /* Never registered. */
	CHECK(moirai_waker_unregister(NULL) == 0);
	CHECK(moirai_waker_register(&waker, &word, 4, call, &calls) == -EAGAIN);
	CHECK(moirai_waker_register(NULL, &word, 3, call, &calls) == -EINVAL);
	CHECK(moirai_waker_register(&waker, NULL, 3, call, &calls) == -EINVAL);
	CHECK(moirai_waker_register(&waker, &word, 3, NULL, &calls) == -EINVAL);
	CHECK(moirai_waker_register(&waker, &word, 3, call, &calls) == 0);
	CHECK(waiters_of(&word) == 1);
	CHECK(moirai_unpark(&word, UINT_MAX) == 1 && calls == 1);
	CHECK(moirai_unpark(&word, UINT_MAX) == 0 && calls == 1);
	CHECK(moirai_waker_unregister(&waker) == 0);
	check_nobody_waits();
}

static void an_unregistered_waker_is_not_called(void)
{
	uint32_t word = 0;
	moirai_waker wakers[3] = {0};
	calls = 0;
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 3; i++)
			CHECK(moirai_waker_register(&wakers[i], &word, 0, call, &calls) == 0);
		CHECK(moirai_waker_unregister(&wakers[round]) == 1);
		CHECK(moirai_waker_unregister(&wakers[round]) == 0);
		CHECK(moirai_unpark(&word, UINT_MAX) == 2);
	}
	CHECK(calls == 6);
	check_nobody_waits();
}

struct again {
	moirai_waker waker;
	uint32_t word, left;
};

static void register_again(void *arg)
{
	struct again *again = arg;
	CHECK(moirai_waker_unregister(&again->waker) == 0);
	if (again->left-- > 1)
		CHECK(moirai_waker_register(
			      &again->waker, &again->word, 0, register_again, again) == 0);
}

static void a_waker_may_register_itself_again(void)
{
	struct again again = {.left = 5};
	CHECK(moirai_waker_register(&again.waker, &again.word, 0, register_again, &again) == 0);
	for (unsigned i = 0; i < 5; i++)
		CHECK(moirai_unpark(&again.word, 1) == 1);
	CHECK(again.left == 0);
	check_nobody_waits();
}

static void wakers_come_in_batches_too(void)
{
	static moirai_waker wakers[100];
	uint32_t word = 0;
	calls = 0;
	for (unsigned i = 0; i < 100; i++)
		CHECK(moirai_waker_register(&wakers[i], &word, 0, call, &calls) == 0);
	CHECK(moirai_unpark(&word, 60) == 60 && calls == 60);
	CHECK(moirai_unpark(&word, UINT_MAX) == 40 && calls == 100);
	check_nobody_waits();
}

/* --- the table --- */

static void the_table_grows_under_its_waiters(void)
{
	static uint32_t words[THREADS_MAX];
	static struct waiter w[THREADS_MAX];
	static moirai_waker wakers[512];
	static uint32_t names[512];
	size_t before = moirai__park_buckets();
	calls = 0;
	for (unsigned i = 0; i < THREADS_MAX; i++)
		waiter_start(&w[i], &words[i],
			i % 2 ? MOIRAI_NEVER : moirai_deadline_after(10 * MOIRAI_S));
	for (unsigned i = 0; i < 512; i++)
		CHECK(moirai_waker_register(&wakers[i], &names[i / 2], 0, call, &calls) == 0);
	for (unsigned i = 0; i < THREADS_MAX; i++)
		wait_for_waiters(&words[i], 1);
	CHECK(moirai_park_reserve(0) == 0);
	CHECK(moirai_park_reserve(before * 8) == 0);
	CHECK(moirai__park_buckets() == before);
	CHECK(moirai_park_reserve(before * 8 + 1) == 0);
	CHECK(moirai__park_buckets() == before * 2);
	CHECK(moirai_park_reserve(before * 40) == 0);
	CHECK(moirai__park_buckets() == before * 8);
	CHECK(waiters_of(NULL) == THREADS_MAX + 512);
	for (unsigned i = 0; i < THREADS_MAX; i++) {
		CHECK(moirai_unpark(&words[i], UINT_MAX) == 1);
		CHECK(waiter_join(&w[i]) == 0);
	}
	for (unsigned i = 0; i < 256; i++)
		CHECK(moirai_unpark(&names[i], UINT_MAX) == 2);
	CHECK(calls == 512);
	check_nobody_waits();
}

/* --- signals and fork --- */

#ifdef _WIN32
static void signals_do_not_end_a_park(void)
{
	SKIP("no signals here");
}

static void the_child_of_a_fork_finds_an_empty_lot(void)
{
	SKIP("no fork() here");
}
#else
static void on_alarm(int signal)
{
	(void)signal;
}

static void signals_do_not_end_a_park(void)
{
	uint32_t word = 0;
	struct sigaction action = {.sa_handler = on_alarm};
	struct itimerval storm = {{0, 500}, {0, 500}}, off = {{0, 0}, {0, 0}};
	REQUIRE(sigaction(SIGALRM, &action, NULL) == 0);
	REQUIRE(setitimer(ITIMER_REAL, &storm, NULL) == 0);
	uint64_t start = moirai_now();
	CHECK(moirai_park(&word, 0, moirai_deadline_after(100 * MOIRAI_MS)) == -ETIMEDOUT);
	CHECK(moirai_now() - start >= 100 * MOIRAI_MS);
	/* The handler stays: emulators deliver the last alarm late. */
	setitimer(ITIMER_REAL, &off, NULL);
	check_nobody_waits();
}

static void lock_and_hold(void *arg)
{
	moirai__bucket *bucket = moirai__bucket_lock(arg);
	moirai_store_release((uint32_t *)arg, 1);
	while (moirai_load_acquire((uint32_t *)arg) == 1)
		moirai_os_sleep(100 * MOIRAI_US);
	moirai__bucket_unlock(bucket);
}

static void the_child_of_a_fork_finds_an_empty_lot(void)
{
	static uint32_t held, word;
	struct waiter w;
	moirai_os_thread holder;
	waiter_start(&w, &word, MOIRAI_NEVER);
	wait_for_waiters(&word, 1);
	REQUIRE(moirai_os_thread_create(&holder, NULL, lock_and_hold, &held) == 0);
	while (!moirai_load_acquire(&held))
		moirai_os_sleep(50 * MOIRAI_US);
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		/* The holder's bucket is free, and the waiter is not here. */
		bool ok = moirai_unpark(&held, 1) == 0 && moirai_unpark(&word, 1) == 0 &&
			  moirai_park(&word, 0, moirai_deadline_after(MOIRAI_MS)) == -ETIMEDOUT;
		_exit(ok ? 0 : 1);
	}
	int status = -1;
	CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
	moirai_store_release(&held, 2);
	CHECK(moirai_os_thread_join(holder) == 0);
	CHECK(moirai_unpark(&word, 1) == 1);
	CHECK(waiter_join(&w) == 0);
	check_nobody_waits();
}

#endif

/* --- the bucket lock --- */

static uint64_t guarded; /* plain, under the bucket's lock */

static void hammer(void *arg)
{
	for (unsigned i = 0; i < 20000; i++) {
		moirai__bucket *bucket = moirai__bucket_lock(arg);
		guarded++;
		if (i % 512 == 0)
			moirai_os_yield(); /* A holder that is preempted sends the others to sleep. */
		moirai__bucket_unlock(bucket);
	}
}

static void the_bucket_lock_excludes(void)
{
	static uint32_t name;
	moirai_os_thread threads[8];
	guarded = 0;
	for (unsigned i = 0; i < 8; i++)
		REQUIRE(moirai_os_thread_create(&threads[i], NULL, hammer, &name) == 0);
	for (unsigned i = 0; i < 8; i++)
		CHECK(moirai_os_thread_join(threads[i]) == 0);
	CHECK(guarded == 8 * 20000);
}

static void a_pair_may_be_one_bucket(void)
{
	static uint32_t a, b;
	moirai__bucket *first, *second;
	moirai__bucket_lock_pair(&a, &a, &first, &second);
	CHECK(first == second);
	moirai__bucket_unlock_pair(first, second);
	moirai__bucket_lock_pair(&a, &b, &first, &second);
	moirai__bucket_unlock_pair(first, second);
	moirai__bucket_lock_pair(&b, &a, &first, &second);
	moirai__bucket_unlock_pair(first, second);
	CHECK(moirai_unpark(&a, 1) == 0 && moirai_unpark(&b, 1) == 0);
}

/* --- hooks of primitives --- */

struct hooked {
	uint32_t word;
	int verdict;
	unsigned validated, gave_up;
};

static int hooked_validate(const uint32_t *word, void *arg)
{
	struct hooked *h = arg;
	CHECK(word == &h->word);
	h->validated++;
	return h->verdict;
}

static void hooked_gave_up(moirai__bucket *bucket, const uint32_t *address, void *arg)
{
	struct hooked *h = arg;
	CHECK(address == &h->word && !moirai__bucket_first(bucket, address));
	h->gave_up++;
}

static const moirai__park_hooks hooks = {hooked_validate, hooked_gave_up};

static void hooked_run(void *arg)
{
	struct hooked *h = arg;
	CHECK(moirai__park_queued(&h->word, &hooks, h, 0, MOIRAI_NEVER) == 77);
}

static void hooks_decide_and_hear_of_a_timeout(void)
{
	struct hooked h = {.verdict = -EBUSY};
	moirai_os_thread thread;
	CHECK(moirai__park_queued(&h.word, &hooks, &h, 0, MOIRAI_NEVER) == -EBUSY);
	CHECK(h.validated == 1 && h.gave_up == 0);
	h.verdict = 0;
	CHECK(moirai__park_queued(&h.word, &hooks, &h, MOIRAI__PARK_FRONT, 0) == -ETIMEDOUT);
	CHECK(h.validated == 2 && h.gave_up == 1);
	REQUIRE(moirai_os_thread_create(&thread, NULL, hooked_run, &h) == 0);
	wait_for_waiters(&h.word, 1);
	moirai__wakes wakes;
	moirai__wakes_init(&wakes);
	moirai__bucket *bucket = moirai__bucket_lock(&h.word);
	moirai__wait_node *node = moirai__bucket_first(bucket, &h.word);
	CHECK(node && node->arg == &h);
	CHECK(moirai__node_take(bucket, node, 77, &wakes));
	moirai__bucket_unlock_fire(bucket, &wakes);
	CHECK(moirai_os_thread_join(thread) == 0);
	CHECK(h.validated == 3 && h.gave_up == 1);
	check_nobody_waits();
}

TAP_MAIN(TEST(park_refuses_a_word_that_differs), TEST(park_times_out),
	TEST(a_deadline_in_the_past_is_a_try), TEST(unpark_wakes_one),
	TEST(unpark_of_nobody_is_zero), TEST(unpark_wakes_the_longest_waiter_first),
	TEST(unpark_counts_and_leaves_the_rest), TEST(many_waiters_need_many_batches),
	TEST(words_do_not_disturb_each_other),
	TEST(a_waiter_leaves_from_the_middle_at_its_deadline),
	TEST(unpark_takes_the_address_of_freed_memory), TEST(requeue_wakes_some_and_moves_some),
	TEST(requeue_wakes_more_than_one_batch), TEST(requeue_onto_itself_only_wakes),
	TEST(a_requeued_waiter_times_out_where_it_stands), TEST(park_any_says_which_word),
	TEST(park_any_rejects_bad_input), TEST(park_any_refuses_when_any_word_differs),
	TEST(park_any_times_out), TEST(park_any_consumes_one_wake_up), TEST(a_waker_is_called_once),
	TEST(an_unregistered_waker_is_not_called), TEST(a_waker_may_register_itself_again),
	TEST(wakers_come_in_batches_too), TEST(the_table_grows_under_its_waiters),
	TEST(signals_do_not_end_a_park), TEST(the_child_of_a_fork_finds_an_empty_lot),
	TEST(the_bucket_lock_excludes), TEST(a_pair_may_be_one_bucket),
	TEST(hooks_decide_and_hear_of_a_timeout))
