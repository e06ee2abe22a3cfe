/* SPDX-License-Identifier: MIT */
/*
 * Weak memory, by views.
 *
 * Design. Every atomic location keeps its modification order: the messages written to it, each with
 * a value and the view that it publishes. Every thread has three views: `current` (what its loads
 * may see), `acquired` (what they will see after an acquire fence) and `released` (what its relaxed
 * stores publish since the last release fence). A position in a view is the oldest message of a
 * location that the owner may still read.
 *
 *   load     any message from current.seen[l] on; which one is a choice. Its view joins `acquired`,
 *            and `current` too when the load acquires.
 *   store    appends a message. Its view is `current` when it releases, else `released`.
 *   RMW      reads the newest message and appends; the new message keeps the view of the one read
 *            (it continues the release sequence). A compare-and-swap that fails reads the newest.
 *   acquire fence   current joins acquired.       release fence   released = current.
 *   SC fence both, and current and the global view `sc` become their join.
 *   SC load  sees at least what `sc` says of the location; an SC store raises it.
 *
 * This is C11 with the repaired SC fences (Lahav et al., PLDI 2017; Kang et al., POPL 2017), with
 * two limits: no promises (a load never reads from a store that comes later: no load buffering),
 * and stores enter the modification order in the order of execution (no 2+2W). Both make the tester
 * blind to some behaviours, never inventive of wrong ones.
 *
 * Happens-before is kept apart from coherence: `clock` travels with views only along synchronises-
 * with, and never through `sc`. Two SC fences order what loads may read; they do not order plain
 * accesses, nor make it legal to free memory.
 *
 * Asymmetric fences: the light one is nothing; the heavy one is an SC fence of every thread, at the
 * point where it stands (membarrier). With scenario.symmetric_fences both are SC fences.
 *
 * A plain write to an atomic (initialisation of fresh or recycled memory) is noticed at the next
 * access, because memory differs from the newest message: it becomes the newest, and nothing older
 * can be read by anybody.
 */
#include <string.h>

#include "model_internal.h"

/* ------------------------------------------------------------------ views */

static inline void join_lanes(int16_t *into, const int16_t *from, unsigned count)
{
	for (unsigned i = 0; i < count; i += MODEL_LANES) {
		model_lanes a, b;
		memcpy(&a, into + i, sizeof(a));
		memcpy(&b, from + i, sizeof(b));
		model_lanes more = a > b;
		a = (a & more) | (b & ~more);
		memcpy(into + i, &a, sizeof(a));
	}
}

static inline void join(struct view *into, const struct view *from, unsigned width)
{
	join_lanes(into->clock, from->clock, MODEL_THREADS_MAX);
	join_lanes(into->seen, from->seen, width);
}

static inline void copy(struct view *into, const struct view *from, unsigned width)
{
	memcpy(into->clock, from->clock, sizeof(into->clock));
	memcpy(into->seen, from->seen, width * sizeof(into->seen[0]));
}

static inline bool acquires(int order)
{
	return order == __ATOMIC_ACQUIRE || order == __ATOMIC_CONSUME ||
	       order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

static inline bool releases(int order)
{
	return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

/* What the thread does from now on is not covered by what it has just published. */
static inline void tick(struct model *m, int thread)
{
	struct thread *t = &m->thread[thread];
	t->current.clock[thread] = t->acquired.clock[thread] = ++m->now[thread];
}

/* ------------------------------------------------------------------ locations */

static inline uint64_t read_memory(const void *p, unsigned size)
{
	switch (size) {
	case 1:
		return *(const volatile uint8_t *)p;
	case 2:
		return *(const volatile uint16_t *)p;
	case 4:
		return *(const volatile uint32_t *)p;
	default:
		return *(const volatile uint64_t *)p;
	}
}

static inline void write_memory(void *p, uint64_t value, unsigned size)
{
	switch (size) {
	case 1:
		*(volatile uint8_t *)p = (uint8_t)value;
		break;
	case 2:
		*(volatile uint16_t *)p = (uint16_t)value;
		break;
	case 4:
		*(volatile uint32_t *)p = (uint32_t)value;
		break;
	default:
		*(volatile uint64_t *)p = value;
		break;
	}
}

static inline uint64_t truncate(uint64_t value, unsigned size)
{
	return size < 8 ? value & ((1ull << (8 * size)) - 1) : value;
}

static inline struct message *message_at(struct location *l, int position)
{
	return &l->ring[(unsigned)position % MODEL_HISTORY];
}

/* A message without any view: an initial value. */
static void write_initial(struct model *m, struct location *l, uint64_t value)
{
	struct message *fresh = message_at(l, l->newest);
	fresh->value = value;
	fresh->width = m->width;
	memset(fresh->view.clock, 0, sizeof(fresh->view.clock));
	memset(fresh->view.seen, 0, m->width * sizeof(fresh->view.seen[0]));
	fresh->view.seen[l - m->location] = l->newest;
	l->floor = l->newest;
}

static struct location *add_location(
	struct model *m, unsigned slot, uintptr_t address, unsigned size)
{
	if (m->locations >= MODEL_LOCATIONS)
		model_fail("more than %d atomic locations", MODEL_LOCATIONS);
	unsigned index = m->locations++;
	m->width = (m->locations + MODEL_LANES - 1) & ~(MODEL_LANES - 1u);
	m->hash[slot] = (uint16_t)(index + 1);
	struct location *l = &m->location[index];
	l->address = address;
	l->size = (uint8_t)size;
	l->newest = 0;
	write_initial(m, l, read_memory((const void *)address, size));
	return l;
}

static struct location *find(struct model *m, const void *p, unsigned size)
{
	uintptr_t address = (uintptr_t)p;
	unsigned slot = model_hash(address, MODEL_HASH);
	for (; m->hash[slot]; slot = (slot + 1) & (MODEL_HASH - 1)) {
		struct location *l = &m->location[m->hash[slot] - 1];
		if (l->address != address)
			continue;
		uint64_t value = read_memory(p, size);
		if (l->size != size) {
			/* Recycled memory with another layout: start again. */
			l->size = (uint8_t)size;
			l->newest++;
			write_initial(m, l, value);
		} else if (MOIRAI_UNLIKELY(value != message_at(l, l->newest)->value)) {
			l->newest++;
			write_initial(m, l, value);
		}
		return l;
	}
	return add_location(m, slot, address, size);
}

void model_forget(const volatile void *address, size_t size_bytes)
{
	struct model *m = model_state;
	if (!m || !m->running)
		return;
	for (unsigned i = 0; i < m->locations; i++) {
		struct location *l = &m->location[i];
		if (l->address - (uintptr_t)address >= size_bytes)
			continue;
		l->newest++;
		write_initial(m, l, read_memory((const void *)l->address, l->size));
	}
	model_forget_plains(m, (uintptr_t)address, size_bytes);
}

void model_reset_memory(struct model *m)
{
	memset(m->hash, 0, sizeof(m->hash));
	memset(m->sc, 0, sizeof(m->sc));
	memset(m->now, 0, sizeof(m->now));
	memset(&m->wall, 0, sizeof(m->wall));
	m->locations = 0;
	m->width = 0;
	model_reset_plains(m);
}

/* ------------------------------------------------------------------ accesses */

/* What the thread learns by reading the message at `position`. */
static inline void learn(
	struct model *m, struct location *l, int position, const struct message *msg, int order)
{
	struct thread *t = &m->thread[m->self];
	size_t index = (size_t)(l - m->location);
	if (t->current.seen[index] < position)
		t->current.seen[index] = (int16_t)position;
	join(&t->acquired, &msg->view, msg->width);
	if (acquires(order))
		join(&t->current, &msg->view, msg->width);
}

/* Appends a message; `read` is the one that a read-modify-write replaces, or NULL. */
static void append(
	struct model *m, struct location *l, uint64_t value, int order, const struct message *read)
{
	struct thread *t = &m->thread[m->self];
	size_t index = (size_t)(l - m->location);
	if (l->newest == INT16_MAX)
		model_fail("too many stores to %s", model_where(m, (const void *)l->address));
	int16_t position = ++l->newest;
	t->current.seen[index] = t->acquired.seen[index] = position;
	if (order == __ATOMIC_SEQ_CST)
		m->sc[index] = position;
	struct message *msg = message_at(l, position);
	msg->value = value;
	msg->width = m->width;
	copy(&msg->view, releases(order) ? &t->current : &t->released, m->width);
	if (read)
		join(&msg->view, &read->view, read->width);
	msg->view.seen[index] = position;
	if (releases(order))
		tick(m, m->self);
	model_wrote(m);
}

static int oldest_readable(const struct model *m, const struct location *l, size_t index, int order)
{
	if (m->scenario.memory == MODEL_MEMORY_SEQ_CST)
		return l->newest;
	int low = m->thread[m->self].current.seen[index];
	if (low < l->floor)
		low = l->floor;
	if (low <= l->newest - MODEL_HISTORY)
		low = l->newest - MODEL_HISTORY + 1;
	if (order == __ATOMIC_SEQ_CST && low < m->sc[index])
		low = m->sc[index];
	return low;
}

/* Positions below the newest that a load returns: a choice. */
static unsigned choose_age(struct model *m, unsigned n)
{
	unsigned suggestion = 0;
	if (!model_recorded(m) && (model_random(m) & 3) == 0)
		suggestion = (unsigned)(model_random(m) % n);
	return model_decide(m, n, suggestion);
}

static inline struct model *active(void)
{
	struct model *m = model_state;
	return MOIRAI_LIKELY(m && m->running) ? m : NULL;
}

uint64_t moirai_model_load(const void *p, unsigned size, int order)
{
	struct model *m = active();
	if (!m)
		return read_memory(p, size);
	order = model_mutate(m, SITE_LOAD, order, __builtin_return_address(0));
	model_point(m);
	model_access(m, p, size);
	struct location *l = find(m, p, size);
	size_t index = (size_t)(l - m->location);
	int low = oldest_readable(m, l, index, order);
	int position = l->newest;
	if (low < position)
		position -= (int)choose_age(m, (unsigned)(position - low) + 1);
	const struct message *msg = message_at(l, position);
	learn(m, l, position, msg, order);
	if (m->tracing)
		model_trace(m, "load %s -> %lld, %s%s", model_where(m, p), (long long)msg->value,
			model_order_name(order), position < l->newest ? ", STALE" : "");
	return msg->value;
}

void moirai_model_store(void *p, uint64_t value, unsigned size, int order)
{
	value = truncate(value, size);
	struct model *m = active();
	if (!m) {
		write_memory(p, value, size);
		return;
	}
	order = model_mutate(m, SITE_STORE, order, __builtin_return_address(0));
	model_point(m);
	model_access(m, p, size);
	append(m, find(m, p, size), value, order, NULL);
	write_memory(p, value, size);
	if (m->tracing)
		model_trace(m, "store %s = %lld, %s", model_where(m, p), (long long)value,
			model_order_name(order));
}

static uint64_t operate(uint64_t old, int op, uint64_t operand)
{
	switch (op) {
	case MOIRAI_MODEL_XCHG:
		return operand;
	case MOIRAI_MODEL_ADD:
		return old + operand;
	case MOIRAI_MODEL_SUB:
		return old - operand;
	case MOIRAI_MODEL_OR:
		return old | operand;
	case MOIRAI_MODEL_AND:
		return old & operand;
	default:
		return old ^ operand;
	}
}

uint64_t moirai_model_rmw(void *p, int op, uint64_t operand, unsigned size, int order)
{
	static const char *const verb[] = {"exchange", "add", "sub", "or", "and", "xor"};
	struct model *m = active();
	if (!m) {
		uint64_t old = read_memory(p, size);
		write_memory(p, operate(old, op, operand), size);
		return old;
	}
	order = model_mutate(m, SITE_RMW, order, __builtin_return_address(0));
	model_point(m);
	model_access(m, p, size);
	struct location *l = find(m, p, size);
	const struct message *msg = message_at(l, l->newest);
	uint64_t old = msg->value;
	uint64_t value = truncate(operate(old, op, operand), size);
	learn(m, l, l->newest, msg, order);
	append(m, l, value, order, msg);
	write_memory(p, value, size);
	if (m->tracing)
		model_trace(m, "%s %s: %lld -> %lld, %s", verb[op], model_where(m, p),
			(long long)old, (long long)value, model_order_name(order));
	return old;
}

static bool fails_for_no_reason(struct model *m)
{
	if (m->weak_cas_fails >= m->scenario.weak_cas_fails)
		return false;
	unsigned suggestion = !model_recorded(m) && (model_random(m) & 15) == 0;
	if (!model_decide(m, 2, suggestion))
		return false;
	m->weak_cas_fails++;
	return true;
}

bool moirai_model_cas(void *p, void *expected, uint64_t desired, unsigned size, bool weak,
	int success, int failure)
{
	uint64_t wanted = read_memory(expected, size);
	desired = truncate(desired, size);
	struct model *m = active();
	if (!m) {
		uint64_t old = read_memory(p, size);
		write_memory(old == wanted ? p : expected, old == wanted ? desired : old, size);
		return old == wanted;
	}
	success = model_mutate(m, SITE_RMW, success, __builtin_return_address(0));
	failure = model_mutate(m, SITE_LOAD, failure, __builtin_return_address(0));
	model_point(m);
	model_access(m, p, size);
	struct location *l = find(m, p, size);
	const struct message *msg = message_at(l, l->newest);
	uint64_t old = msg->value;
	bool done = old == wanted && !(weak && fails_for_no_reason(m));
	learn(m, l, l->newest, msg, done ? success : failure);
	if (done) {
		append(m, l, desired, success, msg);
		write_memory(p, desired, size);
	} else {
		write_memory(expected, old, size);
	}
	if (m->tracing && done)
		model_trace(m, "cas %s: %lld -> %lld, %s", model_where(m, p), (long long)old,
			(long long)desired, model_order_name(success));
	else if (m->tracing)
		model_trace(m, "cas %s fails: is %lld, expected %lld, %s", model_where(m, p),
			(long long)old, (long long)wanted, model_order_name(failure));
	return done;
}

/* ------------------------------------------------------------------ fences */

static void fence_of(struct model *m, int thread, int order)
{
	struct thread *t = &m->thread[thread];
	if (acquires(order))
		join(&t->current, &t->acquired, m->width);
	if (order == __ATOMIC_SEQ_CST) {
		join_lanes(t->current.seen, m->sc, m->width);
		memcpy(m->sc, t->current.seen, m->width * sizeof(m->sc[0]));
		join(&t->acquired, &t->current, m->width);
	}
	if (releases(order)) {
		copy(&t->released, &t->current, m->width);
		tick(m, thread);
	}
}

static void fence(struct model *m, int order)
{
	/* Only an SC fence interacts with others at the moment when it is executed. */
	if (order == __ATOMIC_SEQ_CST)
		model_point(m);
	fence_of(m, m->self, order);
	if (m->tracing)
		model_trace(m, "fence, %s", model_order_name(order));
}

void moirai_model_fence(int order)
{
	struct model *m = active();
	if (!m)
		return;
	order = model_mutate(m, SITE_FENCE, order, __builtin_return_address(0));
	if (order != __ATOMIC_RELAXED)
		fence(m, order);
}

void moirai_model_fence_light(void)
{
	struct model *m = active();
	/* Asymmetric: it orders nothing by itself, so there is nothing to weaken either. */
	if (!m || !m->scenario.symmetric_fences)
		return;
	int order = model_mutate(m, SITE_LIGHT, __ATOMIC_SEQ_CST, __builtin_return_address(0));
	if (order == __ATOMIC_SEQ_CST)
		fence(m, order);
}

void moirai_model_fence_heavy(void)
{
	struct model *m = active();
	if (!m)
		return;
	if (model_mutate(m, SITE_HEAVY, __ATOMIC_SEQ_CST, __builtin_return_address(0)) ==
		__ATOMIC_RELAXED)
		return;
	if (m->scenario.symmetric_fences) {
		fence(m, __ATOMIC_SEQ_CST);
		return;
	}
	model_point(m);
	/* Twice: in the first round `sc` collects what all know, in the second all learn it. */
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < m->threads; i++)
			fence_of(m, i, __ATOMIC_SEQ_CST);
	if (m->tracing)
		model_trace(m, "heavy fence (of every thread)");
}

void moirai_model_relax(void)
{
	struct model *m = active();
	if (!m)
		return;
	if (m->tracing)
		model_trace(m, "yields");
	model_spin(m);
	struct thread *t = &m->thread[m->self];
	for (unsigned i = 0; i < m->locations; i++)
		t->current.seen[i] = m->location[i].newest;
	join_lanes(t->acquired.seen, t->current.seen, m->width);
}

/* ------------------------------------------------------------------ for the other files */

/* What the system reads: the newest value. The caller's view of the word catches up with it. */
uint64_t model_newest(struct model *m, const void *p, unsigned size)
{
	struct location *l = find(m, p, size);
	const struct message *msg = message_at(l, l->newest);
	learn(m, l, l->newest, msg, __ATOMIC_RELAXED);
	return msg->value;
}

void model_real_time(void)
{
	struct model *m = model_state;
	struct thread *t = &m->thread[m->self];
	join(&t->current, &m->wall, m->width);
	join(&t->acquired, &t->current, m->width);
	copy(&m->wall, &t->current, m->width);
	tick(m, m->self);
}

void model_fork_views(struct model *m, struct thread *child, int number)
{
	memset(&child->released, 0, sizeof(child->released));
	memset(&child->current, 0, sizeof(child->current));
	m->now[number] = 0;
	if (number > 0) {
		copy(&child->current, &m->thread[m->self].current, m->width);
		tick(m, m->self);
	}
	child->acquired = child->current;
	tick(m, number);
}

void model_join_views(struct model *m, const struct thread *child)
{
	struct thread *t = &m->thread[m->self];
	join(&t->current, &child->current, m->width);
	join(&t->acquired, &child->current, m->width);
}
