/* SPDX-License-Identifier: MIT */
/* The sequential objects that histories are compared with, and the linear-time check. */
#include "lin.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ queue, stack, channel */

struct values {
	uint32_t count;
	uint8_t closed;
	int64_t capacity; /* channel */
	int64_t value[LIN_OPS_MAX];
};

static void values_init(void *state, int64_t parameter)
{
	struct values *s = state;
	memset(s, 0, sizeof(*s));
	s->capacity = parameter;
}

static size_t values_used(const void *state)
{
	const struct values *s = state;
	return offsetof(struct values, value) + s->count * sizeof(s->value[0]);
}

static bool put(struct values *s, const struct lin_op *op)
{
	s->value[s->count++] = op->argument;
	return op->result == LIN_DONE || op->result == LIN_PENDING;
}

static bool take_at(struct values *s, const struct lin_op *op, uint32_t index)
{
	bool pending = op->result == LIN_PENDING;
	if (s->count == 0)
		return pending || op->result == LIN_EMPTY;
	if (!pending && s->value[index] != op->result)
		return false;
	s->count--;
	memmove(&s->value[index], &s->value[index + 1], (s->count - index) * sizeof(s->value[0]));
	return true;
}

static bool queue_step(void *state, const struct lin_op *op)
{
	struct values *s = state;
	if (op->op == LIN_PUT)
		return put(s, op);
	return op->op == LIN_TAKE && take_at(s, op, 0);
}

static bool stack_step(void *state, const struct lin_op *op)
{
	struct values *s = state;
	if (op->op == LIN_PUT)
		return put(s, op);
	return op->op == LIN_TAKE && take_at(s, op, s->count ? s->count - 1 : 0);
}

/* What the channel would answer, and does, if that is what was seen. */
static bool channel_step(void *state, const struct lin_op *op)
{
	struct values *s = state;
	bool pending = op->result == LIN_PENDING;
	switch (op->op) {
	case LIN_PUT:
		if (s->closed)
			return pending || op->result == LIN_CLOSED;
		if (s->count >= s->capacity)
			return pending || op->result == LIN_FULL;
		return put(s, op);
	case LIN_TAKE:
		if (s->count == 0 && s->closed)
			return pending || op->result == LIN_CLOSED;
		return take_at(s, op, 0);
	case LIN_CLOSE:
		if (!pending && op->result != (s->closed ? LIN_CLOSED : LIN_DONE))
			return false;
		s->closed = 1;
		return true;
	default:
		return false;
	}
}

const struct lin_model lin_queue = {
	"queue", sizeof(struct values), values_init, queue_step, values_used, false};
const struct lin_model lin_stack = {
	"stack", sizeof(struct values), values_init, stack_step, values_used, false};
const struct lin_model lin_channel = {
	"channel", sizeof(struct values), values_init, channel_step, values_used, false};

/* ------------------------------------------------------------------ register, map */

static void register_init(void *state, int64_t parameter)
{
	memcpy(state, &parameter, sizeof(parameter));
}

static void map_init(void *state, int64_t parameter)
{
	(void)parameter;
	register_init(state, LIN_EMPTY);
}

static bool register_step(void *state, const struct lin_op *op)
{
	int64_t *value = state;
	bool pending = op->result == LIN_PENDING;
	int64_t answer = LIN_DONE;
	switch (op->op) {
	case LIN_READ:
		answer = *value;
		break;
	case LIN_WRITE:
		*value = op->argument;
		break;
	case LIN_SWAP:
		if (*value == op->argument)
			*value = op->extra;
		else
			answer = LIN_FAILED;
		break;
	case LIN_REMOVE:
		answer = *value == LIN_EMPTY ? LIN_EMPTY : LIN_DONE;
		*value = LIN_EMPTY;
		break;
	default:
		return false;
	}
	return pending || op->result == answer;
}

const struct lin_model lin_register = {
	"register", sizeof(int64_t), register_init, register_step, NULL, false};
const struct lin_model lin_map = {"map", sizeof(int64_t), map_init, register_step, NULL, true};

/* ------------------------------------------------------------------ semaphore */

static bool semaphore_step(void *state, const struct lin_op *op)
{
	int64_t *permits = state;
	bool pending = op->result == LIN_PENDING;
	if (op->op == LIN_PUT) {
		*permits += op->argument;
		return pending || op->result == LIN_DONE;
	}
	if (op->op != LIN_TAKE)
		return false;
	if (*permits < op->argument)
		return pending || op->result == LIN_EMPTY;
	*permits -= op->argument;
	return pending || op->result == LIN_DONE;
}

const struct lin_model lin_semaphore = {
	"semaphore", sizeof(int64_t), register_init, semaphore_step, NULL, false};

/* ------------------------------------------------------------------ millions of operations */

#define NUMBER_MASK (((uint64_t)1 << 40) - 1)

/* `seen` has a byte per item, producer after producer; `last` the next number expected at least. */
static const char *check_log(const struct lin_log *log, const size_t *sent, size_t producers,
	const size_t *start, unsigned char *seen, size_t *last, bool ordered)
{
	memset(last, 0, producers * sizeof(last[0]));
	for (size_t i = 0; i < log->count; i++) {
		uint64_t producer = log->items[i] >> 40, number = log->items[i] & NUMBER_MASK;
		if (producer >= producers || number >= sent[producer])
			return "an item came that nobody sent";
		if (seen[start[producer] + number]++)
			return "an item came twice";
		if (ordered && number < last[producer])
			return "a producer's items came out of order";
		last[producer] = number + 1;
	}
	return NULL;
}

const char *lin_delivery(const size_t *sent, size_t producers, const struct lin_log *logs,
	size_t consumers, bool ordered)
{
	size_t total = 0;
	size_t *start = calloc(producers + 1, sizeof(*start));
	size_t *last = calloc(producers + 1, sizeof(*last));
	for (size_t p = 0; start && p < producers; p++) {
		start[p] = total;
		total += sent[p];
	}
	unsigned char *seen = calloc(total + 1, 1);
	const char *wrong = start && last && seen ? NULL : "no memory for the check";
	for (size_t c = 0; c < consumers && !wrong; c++)
		wrong = check_log(&logs[c], sent, producers, start, seen, last, ordered);
	for (size_t i = 0; i < total && !wrong; i++)
		if (!seen[i])
			wrong = "an item was lost";
	free(seen);
	free(last);
	free(start);
	return wrong;
}
