/* SPDX-License-Identifier: MIT */
/* The tester's own machinery: clock, deadlines, choices, thread-locals, hooks, crashes, histories. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lin.h"
#include "model.h"
#include <moirai/core/alloc.h>
#include <moirai/core/atomic.h>
#include <moirai/core/clock.h>
#include <moirai/core/os.h>

static uint32_t word, other_word;
static int order[4], count;

/* --- time passes when everybody sleeps, and sleepers wake in some order that deadlines allow --- */

static void sleeper(void *arg)
{
	uint64_t start = moirai_now();
	uint64_t duration = (uint64_t)(uintptr_t)arg;
	moirai_os_sleep(duration);
	MODEL_CHECK(moirai_now() >= start + duration);
	order[count++] = (int)duration;
}

static void sleeping_moves_the_clock(void)
{
	model_thread(sleeper, (void *)1000);
	model_thread(sleeper, (void *)2000);
	model_join_all();
	MODEL_CHECK(count == 2);
	/* 1: the later one may nevertheless be the first to run. */
	MODEL_CHECK(!model_bug(1) || order[0] == 1000);
}

static void a_wait_ends_at_its_deadline(void)
{
	uint64_t deadline = moirai_deadline_after(5 * MOIRAI_MS);
	MODEL_CHECK(moirai_os_futex_wait(&word, 0, deadline) == -ETIMEDOUT);
	MODEL_CHECK(moirai_now() >= deadline);
	MODEL_CHECK(moirai_os_futex_wait(&word, 0, deadline) == -ETIMEDOUT);
	MODEL_CHECK(moirai_os_futex_wait(&word, 1, MOIRAI_NEVER) == -EAGAIN);
	/* A loop that looks at the clock ends, too. */
	deadline = moirai_deadline_after(100);
	while (moirai_now() < deadline)
		moirai_cpu_relax();
	model_clock_advance(MOIRAI_S);
	MODEL_CHECK(moirai_now() > deadline + MOIRAI_S);
	MODEL_CHECK(moirai_deadline_after(MOIRAI_NEVER) == MOIRAI_NEVER);
}

/* --- a time-out may come before or after the wake: 1 and 2 deny one of the two --- */

static void waker(void *arg)
{
	moirai_store_release(&word, 1);
	moirai_os_futex_wake(&word, 1);
}

static void a_deadline_races_with_a_wake(void)
{
	model_thread(waker, NULL);
	int result = moirai_os_futex_wait(&word, 0, moirai_deadline_after(1000));
	MODEL_CHECK(result == 0 || result == -ETIMEDOUT || result == -EAGAIN);
	MODEL_CHECK(!model_bug(1) || result != -ETIMEDOUT);
	MODEL_CHECK(!model_bug(2) || result != 0);
	MODEL_CHECK(!model_bug(3) || result != -EAGAIN);
	/* Whoever was woken sees at least what was true at the wake. */
	if (result == 0)
		MODEL_CHECK(moirai_load_relaxed(&word) == 1);
	model_join_all();
}

/* --- a wake reaches the word's waiters only; who of them is a choice --- */

static void numbered_waiter(void *arg)
{
	if (moirai_os_futex_wait(&word, 0, MOIRAI_NEVER) == 0)
		order[count++] = (int)(intptr_t)arg;
}

static void whom_a_wake_reaches_is_a_choice(void)
{
	model_thread(numbered_waiter, (void *)1);
	model_thread(numbered_waiter, (void *)2);
	MODEL_CHECK(moirai_os_futex_wake(&other_word, 1) == 0);
	if (moirai_os_futex_wake(&word, 1) == 1) {
		while (count == 0)
			moirai_os_yield();
		MODEL_CHECK(!model_bug(1) || order[0] == 1);
		MODEL_CHECK(!model_bug(2) || order[0] == 2);
	}
	moirai_store_relaxed(&word, 1);
	moirai_os_futex_wake(&word, UINT32_MAX);
	model_join_all();
}

/* --- every combination of choices is tried, and none twice --- */

static void choices_are_exhausted(void)
{
	unsigned a = model_choose(3), b = model_choose(5);
	model_count("combinations");
	MODEL_CHECK(a < 3 && b < 5);
	MODEL_CHECK(!model_bug(1) || !(a == 2 && b == 4));
	if (a == 1)
		model_prune();
}

/* --- thread-locals, statics, exit hooks --- */

static __thread int local = 5;
static __thread int local_zero;
static int initialised = 3;
static int *addresses[3];
static int hooks_run;

static void hook(void *slot)
{
	MODEL_CHECK(local == 5 + *(int *)slot);
	hooks_run++;
}

static void local_user(void *arg)
{
	static int numbers[3] = {0, 1, 2};
	int me = (int)(intptr_t)arg;
	MODEL_CHECK(local == 5 && local_zero == 0);
	local += me;
	local_zero = 1;
	addresses[me] = &local;
	MODEL_CHECK(moirai_os_thread_exit_hook(hook, &numbers[me]) == 0);
	moirai_fetch_add_relaxed(&word, 1);
	MODEL_CHECK(local == 5 + me && addresses[me] == &local);
	MODEL_CHECK(moirai_os_thread_id() == (uint64_t)me + 1);
}

static void each_thread_has_its_own_variables(void)
{
	MODEL_CHECK(local == 5 && initialised == 3 && word == 0 && hooks_run == 0);
	initialised = 4;
	local = 9;
	model_thread(local_user, (void *)1);
	model_thread(local_user, (void *)2);
	model_join_all();
	MODEL_CHECK(local == 9 && addresses[1] != addresses[2] && addresses[1] != &local);
	MODEL_CHECK(hooks_run == 2);
}

/* --- findings that are no checks --- */

static void recurse(int depth)
{
	volatile char room[1024];
	room[0] = (char)depth;
	if (depth < 1000000)
		recurse(depth + 1);
	room[1] = room[0];
}

static void bad_things(void)
{
	if (model_bug(1))
		*(volatile int *)(uintptr_t)4096 = 1;
	if (model_bug(2))
		recurse(0);
	if (model_bug(3))
		MOIRAI_ASSERT(initialised == 4);
	if (model_bug(4))
		model_join(7);
	if (model_bug(5))
		moirai_os_futex_wait(&word, 0, MOIRAI_NEVER);
	if (model_bug(6))
		__builtin_trap();
}

/* --- faults by choice: an allocation, a thread, a mapping --- */

static void nothing(void *arg)
{
}

static void everything_may_fail(void)
{
	moirai_os_thread thread;
	void *pages;
	void *block = moirai_alloc(10);
	int started = moirai_os_thread_create(&thread, NULL, nothing, NULL);
	int mapped = moirai_os_map(&pages, 8192, 4096, 0);
	MODEL_CHECK(started == 0 || started == -EAGAIN);
	MODEL_CHECK(mapped == 0 || mapped == -ENOMEM);
	MODEL_CHECK(!model_bug(1) || block || mapped == 0 || started == 0);
	if (mapped == 0) {
		MODEL_CHECK(((char *)pages)[8191] == 0);
		((char *)pages)[8191] = 1; /* zero again in the next execution */
		moirai_os_unmap(pages, 8192);
	}
	if (started == 0)
		moirai_os_thread_join(thread);
	moirai_free(block);
}

/* --- memory that is used again --- */

static void touch_frame(void *arg)
{
	uint32_t *p = arg;
	moirai_fetch_add_relaxed(p, 1);
}

static void frames_may_be_reused(void)
{
	for (int round = 0; round < 2; round++) {
		uint32_t frame = 0;
		model_forget(&frame, sizeof(frame));
		model_thread(touch_frame, &frame);
		model_join_all();
		MODEL_CHECK(moirai_load_relaxed(&frame) == 1);
	}
}

/* --- sizes, signs, and what the operations return --- */

static void operations_compute(void)
{
	static int8_t small = -1;
	static uint16_t half = 0xffff;
	static int64_t wide = INT64_MIN;
	static char text[2];
	static char *pointer;
	MODEL_CHECK(moirai_load_relaxed(&small) == -1);
	MODEL_CHECK(moirai_fetch_add_relaxed(&half, 1) == 0xffff && half == 0);
	MODEL_CHECK(moirai_fetch_sub_relaxed(&half, 1) == 0 && half == 0xffff);
	MODEL_CHECK(moirai_fetch_and_relaxed(&half, 0x0ff0) == 0xffff && half == 0x0ff0);
	MODEL_CHECK(moirai_fetch_or_relaxed(&half, 0xf000) == 0x0ff0 && half == 0xfff0);
	MODEL_CHECK(moirai_fetch_xor_relaxed(&half, 0xffff) == 0xfff0 && half == 0xf);
	MODEL_CHECK(moirai_exchange_acq_rel(&small, 7) == -1 && small == 7);
	int64_t expected = 0;
	MODEL_CHECK(!moirai_cas_acq_rel(&wide, &expected, 1) && expected == INT64_MIN);
	MODEL_CHECK(moirai_cas_acq_rel(&wide, &expected, -5) && wide == -5);
	moirai_store_release(&pointer, text + 1);
	MODEL_CHECK(moirai_load_acquire(&pointer) == text + 1);
	/* A plain write between atomic ones is noticed. */
	half = 99;
	MODEL_CHECK(moirai_load_relaxed(&half) == 99);
}

/*
 * --- a lock-free buffer for one who puts, by its histories; 1: an item is taken by load and store,
 * 2: two put at once, and "empty" is told while the second item is surely inside ---
 */

static struct lin_op ops[16];
static struct lin_history history = LIN_HISTORY(ops);
static uint32_t put_at, take_at;
static int32_t cells[4];

static struct lin_op *begin(int op, int value)
{
	if (!model_bug(3))
		model_real_time();
	return lin_begin(&history, op, value);
}

static void end(struct lin_op *op, int64_t result)
{
	lin_end(&history, op, result);
	model_real_time();
}

static void put(int value)
{
	struct lin_op *op = begin(LIN_PUT, value);
	uint32_t at = moirai_fetch_add_relaxed(&put_at, 1);
	moirai_store_release(&cells[at], value);
	end(op, LIN_DONE);
}

static void take(void)
{
	struct lin_op *op = begin(LIN_TAKE, 0);
	uint32_t at = moirai_load_acquire(&take_at);
	for (;;) {
		int32_t value = at < 4 ? moirai_load_acquire(&cells[at]) : 0;
		if (value == 0) {
			end(op, LIN_EMPTY);
			return;
		}
		if (model_bug(1))
			moirai_store_release(&take_at, at + 1);
		else if (!moirai_cas_acq_rel(&take_at, &at, at + 1))
			continue;
		end(op, value);
		return;
	}
}

static void buffer_user(void *arg)
{
	if (model_bug(2))
		put(9);
	take();
	take();
}

static void a_buffer_and_its_histories(void)
{
	model_thread(buffer_user, NULL);
	put(1);
	put(2);
	take();
	model_join_all();
	if (lin_check(&history, &lin_queue, 0) != LIN_PASSED)
		model_fail("the history is not linearizable");
}

#define ALL .exhaust = true, .bound = MODEL_BOUND_NONE

MODEL_MAIN(MODEL_CLEAN(sleeping_moves_the_clock, ALL),
	MODEL_FINDS(sleeping_moves_the_clock, 1, "order[0] == 1000"),
	MODEL_CLEAN(a_wait_ends_at_its_deadline, ALL),
	MODEL_CLEAN(a_deadline_races_with_a_wake, ALL),
	MODEL_FINDS(a_deadline_races_with_a_wake, 1, "ETIMEDOUT"),
	MODEL_FINDS(a_deadline_races_with_a_wake, 2, "result != 0"),
	MODEL_FINDS(a_deadline_races_with_a_wake, 3, "EAGAIN"),
	MODEL_CLEAN(whom_a_wake_reaches_is_a_choice, .exhaust = true, .bound = 3),
	MODEL_FINDS(whom_a_wake_reaches_is_a_choice, 1, "order[0] == 1"),
	MODEL_FINDS(whom_a_wake_reaches_is_a_choice, 2, "order[0] == 2"),
	MODEL_CLEAN(choices_are_exhausted, .exhaust = true, .limit = 15),
	MODEL_FINDS(choices_are_exhausted, 1, "a == 2 && b == 4"),
	MODEL_FINDS(choices_are_exhausted, 1, "a == 2 && b == 4", .modes = MODEL_RANDOM),
	MODEL_CLEAN(each_thread_has_its_own_variables, ALL),
	MODEL_CLEAN(each_thread_has_its_own_variables, .modes = MODEL_PCT | MODEL_RANDOM,
		.limit = 20000),
	MODEL_FINDS(bad_things, 1, "crash: signal 11"),
	MODEL_FINDS(bad_things, 2, "stack overflow"),
	MODEL_FINDS(bad_things, 3, "initialised == 4"),
	MODEL_FINDS(bad_things, 4, "does not exist"),
	MODEL_FINDS(bad_things, 5, "deadlock or lost wake-up; thread 0 waits"),
	MODEL_FINDS(bad_things, 6, "crash"),
	MODEL_CLEAN(everything_may_fail, ALL, .alloc_fails = 3),
	MODEL_FINDS(everything_may_fail, 1, "started == 0", .alloc_fails = 3),
	MODEL_CLEAN(frames_may_be_reused, ALL), MODEL_CLEAN(operations_compute, ALL),
	MODEL_CLEAN(a_buffer_and_its_histories, .exhaust = true, .bound = 3, .limit = 1000000),
	MODEL_FINDS(a_buffer_and_its_histories, 1, "not linearizable"),
	MODEL_FINDS(a_buffer_and_its_histories, 2, "not linearizable"),
	/* Without happens-before from the end of one call to the beginning of a later one, a thread may
	 * honestly find nothing where another has put something: weak memory, no bug of the buffer. */
	MODEL_FINDS(a_buffer_and_its_histories, 3, "not linearizable"),
	MODEL_CLEAN(a_buffer_and_its_histories, .bug = 3, .memory = MODEL_MEMORY_SEQ_CST, ALL), )
