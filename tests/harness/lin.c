/* SPDX-License-Identifier: MIT */
/*
 * The linearizability checker: Wing and Gong's search with Lowe's memory (JSSC 2017), as in
 * Porcupine.
 *
 * Design. The calls and returns of a history form a list in the order of time. The search takes any
 * call that no return precedes, applies its operation to the model's state, and if the model agrees
 * unlinks both ends and starts again at the front; when a return is met first, its operation should
 * have been taken already: undo the last one and try the next call behind it. A configuration (which
 * operations are linearized, and the state) that was reached once need not be reached again; it is
 * kept whole, not as a hash, so that the answer is exact. When the memory of configurations is full
 * the verdict is LIN_UNKNOWN.
 *
 * Pending operations have a call and no return. All others linearized is enough for a pass.
 */
#include "lin.h"

#include <stdlib.h>
#include <string.h>

#define WORDS (LIN_OPS_MAX / 64)
/* The memory starts small, for the short histories of the tester, and grows up to this. */
#define MEMORY_BYTES ((size_t)64 << 20)
#define BYTES_FIRST  ((size_t)16 << 10)
#define SLOTS_FIRST  ((size_t)256)

static uint64_t states_seen;

/* ------------------------------------------------------------------ recording */

struct lin_op *lin_begin_key(
	struct lin_history *h, int op, int64_t key, int64_t argument, int64_t extra)
{
	/* relaxed: the entry is the caller's alone until the threads are joined. */
	size_t index = __atomic_fetch_add(&h->count, 1, __ATOMIC_RELAXED);
	if (index >= h->capacity)
		return NULL;
	struct lin_op *entry = &h->ops[index];
	*entry = (struct lin_op){.op = op, .key = key, .argument = argument, .extra = extra};
	entry->result = LIN_PENDING;
	entry->end = UINT64_MAX;
	/* seq_cst, here and in lin_end(): the order of the stamps is real time. */
	entry->begin = __atomic_fetch_add(&h->clock, 1, __ATOMIC_SEQ_CST);
	return entry;
}

struct lin_op *lin_begin(struct lin_history *h, int op, int64_t argument)
{
	return lin_begin_key(h, op, 0, argument, 0);
}

void lin_end(struct lin_history *h, struct lin_op *op, int64_t result)
{
	if (!op)
		return;
	op->result = result;
	op->end = __atomic_fetch_add(&h->clock, 1, __ATOMIC_SEQ_CST);
}

void lin_reset(struct lin_history *h)
{
	h->count = 0;
	h->clock = 0;
}

/* ------------------------------------------------------------------ memory of configurations */

struct memory {
	uint32_t *slot; /* offset of an entry / 8 + 1; 0: free */
	unsigned char *bytes;
	size_t slots, used, size, entries;
	bool full; /* or there is no memory: the verdict is unknown */
};

struct configuration {
	uint64_t hash;
	uint32_t size;
	uint64_t taken[WORDS];
	unsigned char state[];
};

static bool memory_init(struct memory *m)
{
	memset(m, 0, sizeof(*m));
	m->slots = SLOTS_FIRST;
	m->size = BYTES_FIRST;
	m->slot = calloc(m->slots, sizeof(m->slot[0]));
	m->bytes = malloc(m->size);
	return m->slot && m->bytes;
}

static void memory_fini(struct memory *m)
{
	free(m->slot);
	free(m->bytes);
}

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t size)
{
	const unsigned char *byte = data;
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ byte[i]) * 0x100000001b3ull;
	return hash ^ (hash >> 29);
}

static struct configuration *configuration_at(const struct memory *m, uint32_t slot)
{
	return (void *)(m->bytes + ((size_t)slot - 1) * 8);
}

static void more_slots(struct memory *m)
{
	size_t slots = m->slots * 4;
	uint32_t *fresh = calloc(slots, sizeof(*fresh));
	if (!fresh) {
		m->full = true;
		return;
	}
	for (size_t i = 0; i < m->slots; i++) {
		if (!m->slot[i])
			continue;
		size_t j = configuration_at(m, m->slot[i])->hash & (slots - 1);
		while (fresh[j])
			j = (j + 1) & (slots - 1);
		fresh[j] = m->slot[i];
	}
	free(m->slot);
	m->slot = fresh;
	m->slots = slots;
}

static bool more_bytes(struct memory *m, size_t need)
{
	size_t size = m->size;
	while (m->used + need > size)
		size *= 2;
	unsigned char *fresh = size <= MEMORY_BYTES ? realloc(m->bytes, size) : NULL;
	if (!fresh)
		return false;
	m->bytes = fresh;
	m->size = size;
	return true;
}

/* true: it is new, and remembered now. */
static bool remember(struct memory *m, const uint64_t taken[WORDS], const void *state, size_t size)
{
	uint64_t hash = hash_bytes(0xcbf29ce484222325ull, taken, WORDS * sizeof(taken[0]));
	hash = hash_bytes(hash, state, size);
	size_t i = hash & (m->slots - 1);
	for (; m->slot[i]; i = (i + 1) & (m->slots - 1)) {
		const struct configuration *c = configuration_at(m, m->slot[i]);
		if (c->hash == hash && c->size == size &&
			!memcmp(c->taken, taken, sizeof(c->taken)) &&
			!memcmp(c->state, state, size))
			return false;
	}
	size_t need = (sizeof(struct configuration) + size + 7) & ~(size_t)7;
	if (m->used + need > m->size && !more_bytes(m, need)) {
		m->full = true;
		return false;
	}
	struct configuration *c = (void *)(m->bytes + m->used);
	c->hash = hash;
	c->size = (uint32_t)size;
	memcpy(c->taken, taken, sizeof(c->taken));
	memcpy(c->state, state, size);
	m->slot[i] = (uint32_t)(m->used / 8 + 1);
	m->used += need;
	if (++m->entries > m->slots / 2)
		more_slots(m);
	return true;
}

/* ------------------------------------------------------------------ the search */

/* One end of an operation in the list; a pending operation has no return. */
struct event {
	struct event *previous, *next, *match;
	uint64_t time;
	uint32_t op;
	bool is_return;
};

struct search {
	const struct lin_op *const *ops;
	size_t count, finished; /* operations; those that returned */
	const struct lin_model *model;
	struct memory memory;
	struct event events[2 * LIN_OPS_MAX + 1]; /* the last is the head */
	struct event *undo[LIN_OPS_MAX];
	unsigned char *states; /* undo[i] was applied to states[i] */
	uint64_t taken[WORDS];
};

static int by_time(const void *a, const void *b)
{
	const struct event *x = *(struct event *const *)a, *y = *(struct event *const *)b;
	return x->time < y->time ? -1 : x->time > y->time;
}

static struct event *link_events(struct search *s)
{
	struct event *order[2 * LIN_OPS_MAX];
	size_t n = 0;
	for (size_t i = 0; i < s->count; i++) {
		struct event *call = &s->events[2 * i], *back = &s->events[2 * i + 1];
		*call = (struct event){.op = (uint32_t)i, .time = s->ops[i]->begin};
		order[n++] = call;
		if (s->ops[i]->result == LIN_PENDING)
			continue;
		*back = (struct event){
			.op = (uint32_t)i, .time = s->ops[i]->end, .is_return = true};
		call->match = back;
		order[n++] = back;
		s->finished++;
	}
	qsort(order, n, sizeof(order[0]), by_time);
	struct event *head = &s->events[2 * LIN_OPS_MAX], *last = head;
	*head = (struct event){0};
	for (size_t i = 0; i < n; i++) {
		last->next = order[i];
		order[i]->previous = last;
		last = order[i];
	}
	last->next = NULL;
	return head;
}

static void unlink_event(struct event *e)
{
	if (!e)
		return;
	e->previous->next = e->next;
	if (e->next)
		e->next->previous = e->previous;
}

static void relink_event(struct event *e)
{
	if (!e)
		return;
	e->previous->next = e;
	if (e->next)
		e->next->previous = e;
}

static size_t significant(const struct lin_model *model, const void *state)
{
	return model->used ? model->used(state) : model->state_size;
}

/* Tries to linearize the call next, from states[depth] to states[depth + 1]. */
static bool advance(struct search *s, const struct event *call, size_t depth)
{
	size_t size = s->model->state_size;
	unsigned char *before = s->states + depth * size, *after = before + size;
	memcpy(after, before, size);
	states_seen++;
	if (!s->model->step(after, s->ops[call->op]))
		return false;
	s->taken[call->op / 64] |= 1ull << (call->op % 64);
	if (remember(&s->memory, s->taken, after, significant(s->model, after)))
		return true;
	s->taken[call->op / 64] &= ~(1ull << (call->op % 64));
	return false;
}

static enum lin_verdict run(struct search *s)
{
	struct event *head = link_events(s);
	size_t depth = 0, returned = 0;
	struct event *e = head->next;
	while (returned < s->finished) {
		if (s->memory.full)
			return LIN_UNKNOWN;
		if (e && !e->is_return) {
			if (!advance(s, e, depth)) {
				e = e->next;
				continue;
			}
			s->undo[depth++] = e;
			returned += e->match != NULL;
			unlink_event(e->match);
			unlink_event(e);
			e = head->next;
			continue;
		}
		/* A return whose operation was not taken (or nothing left to try): back. */
		if (depth == 0)
			return LIN_VIOLATION;
		e = s->undo[--depth];
		returned -= e->match != NULL;
		s->taken[e->op / 64] &= ~(1ull << (e->op % 64));
		relink_event(e);
		relink_event(e->match);
		e = e->next;
	}
	return LIN_PASSED;
}

static enum lin_verdict check_ops(const struct lin_op *const *ops, size_t count,
	const struct lin_model *model, int64_t parameter)
{
	struct search *s = calloc(1, sizeof(*s));
	if (!s)
		return LIN_UNKNOWN;
	s->ops = ops;
	s->count = count;
	s->model = model;
	s->states = calloc(count + 1, model->state_size);
	enum lin_verdict verdict = LIN_UNKNOWN;
	if (s->states && memory_init(&s->memory)) {
		model->init(s->states, parameter);
		verdict = run(s);
	}
	memory_fini(&s->memory);
	free(s->states);
	free(s);
	return verdict;
}

/* The worst of the keys: a violation of one is a violation, an unknown one leaves all unknown. */
static enum lin_verdict check_by_key(const struct lin_op *const *ops, size_t count,
	const struct lin_model *model, int64_t parameter)
{
	bool done[LIN_OPS_MAX] = {false};
	enum lin_verdict worst = LIN_PASSED;
	for (size_t i = 0; i < count; i++) {
		const struct lin_op *same[LIN_OPS_MAX];
		size_t n = 0;
		for (size_t j = i; j < count && !done[i]; j++)
			if (ops[j]->key == ops[i]->key)
				same[n++] = ops[j];
		if (n == 0)
			continue;
		for (size_t j = i + 1; j < count; j++)
			done[j] = done[j] || ops[j]->key == ops[i]->key;
		enum lin_verdict verdict = check_ops(same, n, model, parameter);
		if (verdict == LIN_VIOLATION)
			return LIN_VIOLATION;
		if (verdict == LIN_UNKNOWN)
			worst = LIN_UNKNOWN;
	}
	return worst;
}

enum lin_verdict lin_check(
	const struct lin_history *h, const struct lin_model *model, int64_t parameter)
{
	const struct lin_op *ops[LIN_OPS_MAX];
	states_seen = 0;
	if (h->count > h->capacity || h->count > LIN_OPS_MAX)
		return LIN_UNKNOWN;
	for (size_t i = 0; i < h->count; i++)
		ops[i] = &h->ops[i];
	return model->by_key ? check_by_key(ops, h->count, model, parameter)
			     : check_ops(ops, h->count, model, parameter);
}

uint64_t lin_states(void)
{
	return states_seen;
}

/* ------------------------------------------------------------------ for failing tests */

void lin_print(const struct lin_history *h, FILE *to)
{
	static const char *const verbs[] = {
		"put", "take", "close", "read", "write", "swap", "remove"};
	size_t count = h->count < h->capacity ? h->count : h->capacity;
	for (size_t i = 0; i < count; i++) {
		const struct lin_op *o = &h->ops[i];
		if (o->op >= 0 && (size_t)o->op < sizeof(verbs) / sizeof(verbs[0]))
			fprintf(to, "# %-6s", verbs[o->op]);
		else
			fprintf(to, "# op %-3d", o->op);
		fprintf(to, " key %lld (%lld, %lld) ", (long long)o->key, (long long)o->argument,
			(long long)o->extra);
		if (o->result == LIN_PENDING)
			fprintf(to, "pending     [%llu ..\n", (unsigned long long)o->begin);
		else
			fprintf(to, "-> %-8lld [%llu .. %llu]\n", (long long)o->result,
				(unsigned long long)o->begin, (unsigned long long)o->end);
	}
}
