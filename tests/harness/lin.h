/* SPDX-License-Identifier: MIT */
/*
 * Is a history of concurrent operations linearizable? Record what each thread called and got, then
 * ask whether some order of the operations, one after the other, explains it: an order that a model
 * (queue, stack, ...) accepts and in which nobody overtakes an operation that was over before he
 * began.
 *
 *   static struct lin_op ops[32];
 *   static struct lin_history history = LIN_HISTORY(ops);
 *
 *   struct lin_op *op = lin_begin(&history, LIN_PUT, 7);     in any thread, around each call
 *   lin_end(&history, op, moirai_queue_push(&q, 7));
 *   ...
 *   CHECK(lin_check(&history, &lin_queue, 0) == LIN_PASSED);
 *
 * Keep histories small: at most LIN_OPS_MAX operations, two to four threads, unique values. Larger
 * ones explode; for millions of operations use lin_delivery(), which is linear and checks less.
 *
 * Works with real threads and in the tester alike (it uses none of its hooks, so that recording adds
 * no schedules). Compile lin.c with the test.
 */
#ifndef MOIRAI_TESTING_LIN_H
#define MOIRAI_TESTING_LIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define LIN_OPS_MAX 128

/* What an operation returns, where it is not a value (values are >= 0). */
enum {
	LIN_DONE = 0,
	LIN_EMPTY = -1,
	LIN_FULL = -2,
	LIN_CLOSED = -3,
	LIN_FAILED = -4,
	LIN_PENDING = -100, /* it never returned: it may have taken effect, or not */
};

enum {
	LIN_PUT,   /* queue, stack, channel: argument is the value; semaphore: how many permits */
	LIN_TAKE,  /* returns the value or LIN_EMPTY; semaphore: argument is how many, LIN_DONE */
	LIN_CLOSE, /* channel: LIN_DONE, or LIN_CLOSED when it was closed before */
	LIN_READ,  /* register, map: returns the value or LIN_EMPTY */
	LIN_WRITE, /* register, map: argument is the value */
	LIN_SWAP,  /* register, map: argument is expected, extra is desired: LIN_DONE or LIN_FAILED */
	LIN_REMOVE, /* map: LIN_DONE or LIN_EMPTY */
	LIN_USER = 100, /* a model of your own starts here */
};

struct lin_op {
	int op;
	int64_t key; /* map: which entry */
	int64_t argument, extra;
	int64_t result;
	uint64_t begin, end;
};

struct lin_history {
	struct lin_op *ops;
	size_t capacity;
	size_t count;
	uint64_t clock;
};

#define LIN_HISTORY(array) {.ops = (array), .capacity = sizeof(array) / sizeof((array)[0])}

/** An operation begins now. Any thread. Returns NULL when the history is full: check() then says so. */
struct lin_op *lin_begin(struct lin_history *history, int op, int64_t argument);
struct lin_op *lin_begin_key(
	struct lin_history *history, int op, int64_t key, int64_t argument, int64_t extra);

/** It is over, with this result. */
void lin_end(struct lin_history *history, struct lin_op *op, int64_t result);

/** Forgets everything; call it between rounds, while no operation runs. */
void lin_reset(struct lin_history *history);

enum lin_verdict {
	LIN_PASSED,
	LIN_VIOLATION,
	LIN_UNKNOWN, /* too many operations, or too many states: never take it for a pass */
};

/*
 * A sequential object. A state is `state_size` bytes, of which used() (NULL: all) are significant:
 * two states are the same when those bytes are. step() applies op to the state and says whether its
 * result is what the object would have returned; for a pending op any result is right.
 */
struct lin_model {
	const char *name;
	size_t state_size;
	void (*init)(void *state, int64_t parameter);
	bool (*step)(void *state, const struct lin_op *op);
	size_t (*used)(const void *state);
	bool by_key; /* operations on different keys are independent: checked one key at a time */
};

extern const struct lin_model lin_queue;     /* FIFO; parameter unused */
extern const struct lin_model lin_stack;     /* LIFO */
extern const struct lin_model lin_channel;   /* bounded FIFO with close; parameter: capacity */
extern const struct lin_model lin_register;  /* parameter: initial value, or LIN_EMPTY */
extern const struct lin_model lin_map;       /* registers by key, empty at first */
extern const struct lin_model lin_semaphore; /* parameter: permits at first */

/** Checks the whole history. Allocates by malloc; single-threaded; about a millisecond. */
enum lin_verdict lin_check(
	const struct lin_history *history, const struct lin_model *model, int64_t parameter);

/** States looked at by the last check: its cost. */
uint64_t lin_states(void);

/** Prints a history, one line per operation in the order of beginning, for a failing test. */
void lin_print(const struct lin_history *history, FILE *to);

/*
 * The linear-time check. Each of `producers` sent the numbers 0 .. sent[p] - 1 as LIN_ITEM(p, i);
 * each consumer logged what it got. Nothing may be lost or come twice, and (with `ordered`) each
 * consumer must see each producer's items in the order of sending.
 */
#define LIN_ITEM(producer, number) ((uint64_t)(producer) << 40 | (uint64_t)(number))

struct lin_log {
	const uint64_t *items;
	size_t count;
};

/** NULL when all is well, else what is wrong (static text). Allocates by malloc. */
const char *lin_delivery(const size_t *sent, size_t producers, const struct lin_log *logs,
	size_t consumers, bool ordered);

#endif
