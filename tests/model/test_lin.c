/* SPDX-License-Identifier: MIT */
/* The linearizability checker against histories whose verdict is known, and against real threads. */
#include "lin.h"
#include "tap.h"

#include <moirai/core/atomic.h>
#include <moirai/core/os.h>

static struct lin_op ops[LIN_OPS_MAX];
static struct lin_history history = LIN_HISTORY(ops);

/* An operation with its interval written down. */
static void did(int op, int64_t argument, int64_t result, uint64_t begin, uint64_t end)
{
	ops[history.count++] = (struct lin_op){
		.op = op, .argument = argument, .result = result, .begin = begin, .end = end};
}

static void did_key(int64_t key, int op, int64_t argument, int64_t result, uint64_t begin)
{
	did(op, argument, result, begin, begin + 1);
	ops[history.count - 1].key = key;
}

static enum lin_verdict verdict_of(const struct lin_model *model, int64_t parameter)
{
	enum lin_verdict verdict = lin_check(&history, model, parameter);
	lin_reset(&history);
	return verdict;
}

static void an_empty_history_passes(void)
{
	CHECK(verdict_of(&lin_queue, 0) == LIN_PASSED);
}

static void a_queue_is_first_in_first_out(void)
{
	did(LIN_PUT, 1, LIN_DONE, 1, 2);
	did(LIN_PUT, 2, LIN_DONE, 3, 4);
	did(LIN_TAKE, 0, 1, 5, 6);
	did(LIN_TAKE, 0, 2, 7, 8);
	did(LIN_TAKE, 0, LIN_EMPTY, 9, 10);
	CHECK(verdict_of(&lin_queue, 0) == LIN_PASSED);

	did(LIN_PUT, 1, LIN_DONE, 1, 2);
	did(LIN_PUT, 2, LIN_DONE, 3, 4);
	did(LIN_TAKE, 0, 2, 5, 6);
	CHECK(verdict_of(&lin_queue, 0) == LIN_VIOLATION);
}

static void overlapping_puts_may_go_either_way(void)
{
	did(LIN_PUT, 1, LIN_DONE, 1, 4);
	did(LIN_PUT, 2, LIN_DONE, 2, 3);
	did(LIN_TAKE, 0, 2, 5, 6);
	did(LIN_TAKE, 0, 1, 7, 8);
	CHECK(verdict_of(&lin_queue, 0) == LIN_PASSED);
}

static void empty_is_wrong_while_something_is_surely_inside(void)
{
	did(LIN_PUT, 1, LIN_DONE, 1, 2);
	did(LIN_TAKE, 0, LIN_EMPTY, 3, 4);
	did(LIN_TAKE, 0, 1, 5, 6);
	CHECK(verdict_of(&lin_queue, 0) == LIN_VIOLATION);
	/* ... and right when the take of somebody else may have come first. */
	did(LIN_PUT, 1, LIN_DONE, 1, 2);
	did(LIN_TAKE, 0, LIN_EMPTY, 3, 6);
	did(LIN_TAKE, 0, 1, 4, 5);
	CHECK(verdict_of(&lin_queue, 0) == LIN_PASSED);
}

static void nothing_comes_twice_or_from_nowhere(void)
{
	did(LIN_PUT, 1, LIN_DONE, 1, 2);
	did(LIN_TAKE, 0, 1, 3, 6);
	did(LIN_TAKE, 0, 1, 4, 5);
	CHECK(verdict_of(&lin_queue, 0) == LIN_VIOLATION);
	did(LIN_TAKE, 0, 9, 1, 2);
	CHECK(verdict_of(&lin_queue, 0) == LIN_VIOLATION);
	/* A take cannot end before its put begins. */
	did(LIN_TAKE, 0, 1, 1, 2);
	did(LIN_PUT, 1, LIN_DONE, 3, 4);
	CHECK(verdict_of(&lin_queue, 0) == LIN_VIOLATION);
}

static void a_stack_is_last_in_first_out(void)
{
	did(LIN_PUT, 1, LIN_DONE, 1, 2);
	did(LIN_PUT, 2, LIN_DONE, 3, 4);
	did(LIN_TAKE, 0, 2, 5, 6);
	did(LIN_TAKE, 0, 1, 7, 8);
	CHECK(verdict_of(&lin_stack, 0) == LIN_PASSED);
	did(LIN_PUT, 1, LIN_DONE, 1, 2);
	did(LIN_PUT, 2, LIN_DONE, 3, 4);
	did(LIN_TAKE, 0, 1, 5, 6);
	CHECK(verdict_of(&lin_stack, 0) == LIN_VIOLATION);
}

static void a_channel_has_a_capacity_and_an_end(void)
{
	did(LIN_PUT, 1, LIN_DONE, 1, 2);
	did(LIN_PUT, 2, LIN_FULL, 3, 4);
	did(LIN_CLOSE, 0, LIN_DONE, 5, 6);
	did(LIN_PUT, 3, LIN_CLOSED, 7, 8);
	did(LIN_TAKE, 0, 1, 9, 10);
	did(LIN_TAKE, 0, LIN_CLOSED, 11, 12);
	did(LIN_CLOSE, 0, LIN_CLOSED, 13, 14);
	CHECK(verdict_of(&lin_channel, 1) == LIN_PASSED);
	/* What was inside when it was closed is lost. */
	did(LIN_PUT, 1, LIN_DONE, 1, 2);
	did(LIN_CLOSE, 0, LIN_DONE, 3, 4);
	did(LIN_TAKE, 0, LIN_CLOSED, 5, 6);
	CHECK(verdict_of(&lin_channel, 1) == LIN_VIOLATION);
	/* One more than fits. */
	did(LIN_PUT, 1, LIN_DONE, 1, 2);
	did(LIN_PUT, 2, LIN_DONE, 3, 4);
	CHECK(verdict_of(&lin_channel, 1) == LIN_VIOLATION);
	/* Full although there is room. */
	did(LIN_PUT, 1, LIN_FULL, 1, 2);
	CHECK(verdict_of(&lin_channel, 1) == LIN_VIOLATION);
}

static void a_register_never_reads_the_past(void)
{
	did(LIN_WRITE, 1, LIN_DONE, 1, 2);
	did(LIN_WRITE, 2, LIN_DONE, 3, 6);
	did(LIN_READ, 0, 2, 4, 5);
	did(LIN_READ, 0, 2, 7, 8);
	CHECK(verdict_of(&lin_register, 0) == LIN_PASSED);
	/* New, then old: both overlap the write, but not each other. */
	did(LIN_WRITE, 1, LIN_DONE, 1, 8);
	did(LIN_READ, 0, 1, 2, 3);
	did(LIN_READ, 0, 0, 4, 5);
	CHECK(verdict_of(&lin_register, 0) == LIN_VIOLATION);
}

static void two_swaps_of_one_value_cannot_both_win(void)
{
	did(LIN_SWAP, 0, LIN_DONE, 1, 4);
	ops[0].extra = 1;
	did(LIN_SWAP, 0, LIN_DONE, 2, 3);
	ops[1].extra = 2;
	CHECK(verdict_of(&lin_register, 0) == LIN_VIOLATION);
	did(LIN_SWAP, 0, LIN_DONE, 1, 4);
	ops[0].extra = 1;
	did(LIN_SWAP, 0, LIN_FAILED, 2, 3);
	CHECK(verdict_of(&lin_register, 0) == LIN_PASSED);
}

static void keys_of_a_map_are_independent(void)
{
	for (int64_t key = 0; key < 20; key++) {
		did_key(key, LIN_READ, 0, LIN_EMPTY, 1);
		did_key(key, LIN_WRITE, key, LIN_DONE, 3);
		did_key(key, LIN_READ, 0, key, 5);
		did_key(key, LIN_REMOVE, 0, LIN_DONE, 7);
		did_key(key, LIN_REMOVE, 0, LIN_EMPTY, 9);
	}
	CHECK(verdict_of(&lin_map, 0) == LIN_PASSED);
	for (int64_t key = 0; key < 20; key++) {
		did_key(key, LIN_WRITE, key, LIN_DONE, 3);
		did_key(key, LIN_READ, 0, key == 13 ? 12 : key, 5);
	}
	CHECK(verdict_of(&lin_map, 0) == LIN_VIOLATION);
}

static void a_semaphore_conserves_its_permits(void)
{
	did(LIN_TAKE, 2, LIN_DONE, 1, 2);
	did(LIN_TAKE, 1, LIN_EMPTY, 3, 4);
	did(LIN_PUT, 1, LIN_DONE, 5, 6);
	did(LIN_TAKE, 1, LIN_DONE, 7, 8);
	CHECK(verdict_of(&lin_semaphore, 2) == LIN_PASSED);
	did(LIN_TAKE, 1, LIN_DONE, 1, 4);
	did(LIN_TAKE, 1, LIN_DONE, 2, 3);
	CHECK(verdict_of(&lin_semaphore, 1) == LIN_VIOLATION);
}

static void a_pending_operation_may_have_happened_or_not(void)
{
	did(LIN_PUT, 1, LIN_PENDING, 1, UINT64_MAX);
	did(LIN_TAKE, 0, 1, 2, 3);
	CHECK(verdict_of(&lin_queue, 0) == LIN_PASSED);
	did(LIN_PUT, 1, LIN_PENDING, 1, UINT64_MAX);
	did(LIN_TAKE, 0, LIN_EMPTY, 2, 3);
	CHECK(verdict_of(&lin_queue, 0) == LIN_PASSED);
	did(LIN_PUT, 1, LIN_PENDING, 1, UINT64_MAX);
	did(LIN_TAKE, 0, 2, 2, 3);
	CHECK(verdict_of(&lin_queue, 0) == LIN_VIOLATION);
}

static void too_much_is_unknown_and_never_passed(void)
{
	/* An operation that found no room in the array. */
	struct lin_op one[1];
	struct lin_history small = LIN_HISTORY(one);
	lin_end(&small, lin_begin(&small, LIN_PUT, 1), LIN_DONE);
	lin_end(&small, lin_begin(&small, LIN_PUT, 2), LIN_DONE);
	CHECK(lin_check(&small, &lin_queue, 0) == LIN_UNKNOWN);
	/* More states than fit: 30 puts at once in every order, and then a take that fits none. */
	for (int i = 0; i < 30; i++)
		did(LIN_PUT, i, LIN_DONE, (uint64_t)i, 100);
	did(LIN_TAKE, 0, 77, 101, 102);
	CHECK(verdict_of(&lin_queue, 0) == LIN_UNKNOWN);
}

/* --- a model of one's own: a counter --- */

static void counter_init(void *state, int64_t parameter)
{
	*(int64_t *)state = parameter;
}

static bool counter_step(void *state, const struct lin_op *op)
{
	int64_t *value = state;
	*value += op->argument;
	return op->result == *value - op->argument || op->result == LIN_PENDING;
}

static void a_model_may_be_the_users_own(void)
{
	static const struct lin_model counter = {
		"counter", sizeof(int64_t), counter_init, counter_step, NULL, false};
	did(LIN_USER, 1, 0, 1, 4);
	did(LIN_USER, 1, 1, 2, 3);
	CHECK(verdict_of(&counter, 0) == LIN_PASSED);
	did(LIN_USER, 1, 0, 1, 4);
	did(LIN_USER, 1, 0, 2, 3);
	CHECK(verdict_of(&counter, 0) == LIN_VIOLATION);
}

/* --- real threads on a queue under a lock; the broken one gives out the newest now and then --- */

enum { THREADS = 3, CALLS = 20, ROUNDS = 150 };

static uint32_t lock;
static int64_t queue[THREADS * CALLS];
static unsigned queue_first, queue_count;
static bool broken;

static void acquire(void)
{
	uint32_t unlocked = 0;
	/* acquire: pairs with the release in release_lock(). */
	while (!moirai_cas_weak_acquire(&lock, &unlocked, 1)) {
		unlocked = 0;
		moirai_os_yield();
	}
}

static void release_lock(void)
{
	moirai_store_release(&lock, 0); /* pairs with acquire() */
}

static int64_t queue_put(int64_t value)
{
	acquire();
	queue[queue_first + queue_count++] = value;
	release_lock();
	return LIN_DONE;
}

static int64_t queue_take(void)
{
	int64_t value = LIN_EMPTY;
	acquire();
	if (queue_count > 0) {
		queue_count--;
		if (broken && queue_count % 3 == 1)
			value = queue[queue_first + queue_count];
		else
			value = queue[queue_first++];
	}
	release_lock();
	return value;
}

static void queue_user(void *arg)
{
	int me = (int)(intptr_t)arg;
	for (int i = 0; i < CALLS; i++) {
		bool put = (i * 7 + me * 3) % 5 < 3;
		int64_t value = me * CALLS + i;
		struct lin_op *op = lin_begin(&history, put ? LIN_PUT : LIN_TAKE, value);
		lin_end(&history, op, put ? queue_put(value) : queue_take());
		if (i % 6 == 0)
			moirai_os_yield();
	}
}

static enum lin_verdict one_round(void)
{
	moirai_os_thread threads[THREADS];
	queue_first = queue_count = 0;
	lin_reset(&history);
	for (intptr_t i = 0; i < THREADS; i++)
		if (moirai_os_thread_create(&threads[i], NULL, queue_user, (void *)i) != 0)
			return LIN_UNKNOWN;
	for (int i = 0; i < THREADS; i++)
		moirai_os_thread_join(threads[i]);
	return lin_check(&history, &lin_queue, 0);
}

static void a_locked_queue_is_linearizable(void)
{
	broken = false;
	for (int i = 0; i < ROUNDS; i++)
		CHECK(one_round() == LIN_PASSED);
	lin_reset(&history);
}

static void a_queue_that_gives_out_the_newest_is_not(void)
{
	int violations = 0;
	broken = true;
	for (int i = 0; i < ROUNDS; i++)
		violations += one_round() == LIN_VIOLATION;
	DIAG("%d violations in %d rounds", violations, ROUNDS);
	CHECK(violations > ROUNDS / 2);
	lin_reset(&history);
}

static void delivery_finds_losses_doubles_and_disorder(void)
{
	static const size_t sent[2] = {3, 2};
	uint64_t a[] = {LIN_ITEM(0, 0), LIN_ITEM(1, 0), LIN_ITEM(0, 2)};
	uint64_t b[] = {LIN_ITEM(0, 1), LIN_ITEM(1, 1)};
	struct lin_log logs[2] = {{a, 3}, {b, 2}};
	CHECK(lin_delivery(sent, 2, logs, 2, true) == NULL);
	logs[1].count = 1;
	CHECK(lin_delivery(sent, 2, logs, 2, true) != NULL); /* lost */
	logs[1].count = 2;
	b[1] = LIN_ITEM(0, 0);
	CHECK(lin_delivery(sent, 2, logs, 2, true) != NULL); /* twice */
	b[1] = LIN_ITEM(1, 9);
	CHECK(lin_delivery(sent, 2, logs, 2, true) != NULL); /* from nowhere */
	b[1] = LIN_ITEM(1, 1);
	a[0] = LIN_ITEM(0, 2);
	a[2] = LIN_ITEM(0, 0);
	CHECK(lin_delivery(sent, 2, logs, 2, true) != NULL);  /* out of order */
	CHECK(lin_delivery(sent, 2, logs, 2, false) == NULL); /* and nobody minds */
}

TAP_MAIN(TEST(an_empty_history_passes), TEST(a_queue_is_first_in_first_out),
	TEST(overlapping_puts_may_go_either_way),
	TEST(empty_is_wrong_while_something_is_surely_inside),
	TEST(nothing_comes_twice_or_from_nowhere), TEST(a_stack_is_last_in_first_out),
	TEST(a_channel_has_a_capacity_and_an_end), TEST(a_register_never_reads_the_past),
	TEST(two_swaps_of_one_value_cannot_both_win), TEST(keys_of_a_map_are_independent),
	TEST(a_semaphore_conserves_its_permits), TEST(a_pending_operation_may_have_happened_or_not),
	TEST(too_much_is_unknown_and_never_passed), TEST(a_model_may_be_the_users_own),
	TEST(a_locked_queue_is_linearizable), TEST(a_queue_that_gives_out_the_newest_is_not),
	TEST(delivery_finds_losses_doubles_and_disorder))
