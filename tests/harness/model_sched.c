/* SPDX-License-Identifier: MIT */
/*
 * Threads as fibers, and the scheduler that decides who runs.
 *
 * Design. One thread of the system; each model thread is a stack. Before every shared access the
 * running thread comes to model_point(), where the tester may switch. Every decision of the tester
 * (who runs, which value a load returns, whom a futex wakes) goes through model_decide(), which
 * reads the tape of choices or, behind its end, makes the choice of the mode and records it:
 *
 *   depth-first  0, the quietest choice: stay, newest value. After the execution the last choice
 *                that has an alternative is raised and what follows it cut off (model_run.c).
 *   PCT          the thread of the highest priority; at depth - 1 random steps the running thread
 *                falls below all others (Burckhardt et al., ASPLOS 2010).
 *   random       anybody.
 *
 * So an execution is its tape, in whatever mode it was found, and is replayed from it.
 *
 * Depth-first search counts preemptions: a switch away from a thread that could have gone on. When
 * `bound` of them are spent the thread stays until it blocks (Musuvathi and Qadeer, PLDI 2007).
 * Switches at blocking points are free.
 *
 * Fairness. A thread that yields (every spin loop must) is taken out until another thread has
 * written something, or nobody else can run. Without that, depth-first search would unroll spin
 * loops for ever. Its view of memory is brought up to date: C11 promises that stores become
 * visible in finite time, and a yield is how a scenario says "time passes".
 *
 * Time. The clock is virtual. A waiter with a deadline is a candidate like a ready thread: choosing
 * it means that its time-out fires now, and moves the clock. With nothing else to run, time passes
 * by itself. Deadlock is: somebody waits, nobody can be chosen.
 *
 * Refused: real threads under ptrace or a token (100 times slower), ucontext (a system call per
 * switch), sleep sets (they do not combine with weak reads in an obvious way; later).
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "model_internal.h"

#if defined(__x86_64__)
/* The six callee-saved registers and the return address; no floating point state is kept. */
__asm__(".text\n"
	".p2align 4\n"
	".type moirai_model_switch, @function\n"
	"moirai_model_switch:\n"
	"	pushq %rbp\n	pushq %rbx\n	pushq %r12\n	pushq %r13\n	pushq %r14\n	pushq %r15\n"
	"	movq %rsp, (%rdi)\n"
	"	movq %rsi, %rsp\n"
	"	popq %r15\n	popq %r14\n	popq %r13\n	popq %r12\n	popq %rbx\n	popq %rbp\n"
	"	ret\n"
	".size moirai_model_switch, .-moirai_model_switch\n");
#define SWITCH_FRAME 6 /* words below the return address */
#elif defined(__aarch64__)
__asm__(".text\n"
	".p2align 4\n"
	".type moirai_model_switch, %function\n"
	"moirai_model_switch:\n"
	"	stp x29, x30, [sp, #-160]!\n"
	"	stp x19, x20, [sp, #16]\n	stp x21, x22, [sp, #32]\n	stp x23, x24, [sp, #48]\n"
	"	stp x25, x26, [sp, #64]\n	stp x27, x28, [sp, #80]\n"
	"	stp d8, d9, [sp, #96]\n	stp d10, d11, [sp, #112]\n"
	"	stp d12, d13, [sp, #128]\n	stp d14, d15, [sp, #144]\n"
	"	mov x9, sp\n	str x9, [x0]\n	mov sp, x1\n"
	"	ldp x19, x20, [sp, #16]\n	ldp x21, x22, [sp, #32]\n	ldp x23, x24, [sp, #48]\n"
	"	ldp x25, x26, [sp, #64]\n	ldp x27, x28, [sp, #80]\n"
	"	ldp d8, d9, [sp, #96]\n	ldp d10, d11, [sp, #112]\n"
	"	ldp d12, d13, [sp, #128]\n	ldp d14, d15, [sp, #144]\n"
	"	ldp x29, x30, [sp], #160\n"
	"	ret\n"
	".size moirai_model_switch, .-moirai_model_switch\n");
#else
#error "the tester runs on x86-64 and aarch64"
#endif
void moirai_model_switch(void **save, void *to);

struct model *model_state;

/* How a candidate would go on. */
enum how { HOW_RUN, HOW_TIMEOUT, HOW_SPURIOUS };

struct candidates {
	unsigned count;
	uint8_t thread[3 * MODEL_THREADS_MAX];
	uint8_t how[3 * MODEL_THREADS_MAX];
};

static void add(struct candidates *c, int thread, enum how how)
{
	c->thread[c->count] = (uint8_t)thread;
	c->how[c->count++] = (uint8_t)how;
}

/* ------------------------------------------------------------------ choices */

unsigned model_decide(struct model *m, unsigned n, unsigned suggestion)
{
	if (n <= 1)
		return 0;
	m->points++;
	if (m->tape_at < m->tape_length) {
		struct choice *c = &m->tape[m->tape_at++];
		c->count = (uint8_t)n;
		if (c->taken >= n)
			model_fail("the replay does not fit: choice %u of %u", c->taken, n);
		return c->taken;
	}
	if (m->tape_length >= MODEL_CHOICES_MAX)
		model_fail("too many choices in one execution (limit %d)", MODEL_CHOICES_MAX);
	m->tape[m->tape_length++] = (struct choice){(uint8_t)suggestion, (uint8_t)n};
	m->tape_at = m->tape_length;
	return suggestion;
}

unsigned model_choose(unsigned n)
{
	struct model *m = model_state;
	if (!m || !m->running || n <= 1)
		return 0;
	if (n > MODEL_CHOOSE_MAX)
		model_fail("model_choose(%u): at most %d", n, MODEL_CHOOSE_MAX);
	unsigned suggestion = model_recorded(m) ? 0 : (unsigned)(model_random(m) % n);
	unsigned taken = model_decide(m, n, suggestion);
	if (m->tracing)
		model_trace(m, "choose %u of %u", taken, n);
	return taken;
}

/* ------------------------------------------------------------------ who runs */

static void switch_to(struct model *m, int next)
{
	if (next == m->self)
		return;
	int previous = m->self;
	m->self = next;
	m->switches++;
	model_tls_enter(m, next);
	moirai_model_switch(&m->thread[previous].stack_pointer, m->thread[next].stack_pointer);
}

void model_leave(struct model *m)
{
	void *nowhere;
	model_tls_leave(m);
	moirai_model_switch(&nowhere, m->main_stack);
	__builtin_unreachable();
}

/* PCT: at its change points the running thread falls below everybody else. */
static unsigned highest_priority(struct model *m, const struct candidates *c)
{
	for (unsigned i = 0; i + 1 < m->scenario.depth && i < MOIRAI_ARRAY_SIZE(m->pct_change); i++)
		if (m->pct_change[i] == m->step)
			m->thread[m->self].priority = -(int)i - 1;
	unsigned best = 0;
	for (unsigned i = 1; i < c->count; i++) {
		/* A time-out is rarely the next event: it competes one time in eight. */
		if (c->how[i] != HOW_RUN && (model_random(m) & 7))
			continue;
		bool worse = c->how[best] != HOW_RUN && c->how[i] == HOW_RUN;
		if (worse || m->thread[c->thread[i]].priority > m->thread[c->thread[best]].priority)
			best = i;
	}
	return best;
}

static unsigned pick(struct model *m, const struct candidates *c)
{
	unsigned suggestion = 0;
	if (!model_recorded(m))
		suggestion = m->mode == MODE_PCT ? highest_priority(m, c)
						 : (unsigned)(model_random(m) % c->count);
	return model_decide(m, c->count, suggestion);
}

static void resume(struct model *m, int thread, enum how how)
{
	struct thread *t = &m->thread[thread];
	if (how == HOW_TIMEOUT) {
		t->result = t->state == THREAD_WAIT ? -ETIMEDOUT : 0;
		if (m->clock_ns < t->deadline)
			m->clock_ns = t->deadline;
	} else if (how == HOW_SPURIOUS) {
		t->result = 0;
		m->spurious++;
	} else if (t->state == THREAD_SPIN) {
		m->spinning--;
	}
	if (m->tracing && how != HOW_RUN)
		model_trace(m, "thread %d %s", thread,
			how == HOW_TIMEOUT ? "reaches its deadline" : "wakes for no reason");
	t->state = THREAD_READY;
	switch_to(m, thread);
}

/* Ready threads other than the caller, then those who could be woken by time or by chance. */
static void collect(struct model *m, struct candidates *c)
{
	bool spurious = m->spurious < m->scenario.spurious;
	for (int i = 0; i < m->threads; i++)
		if (i != m->self && m->thread[i].state == THREAD_READY)
			add(c, i, HOW_RUN);
	for (int i = 0; i < m->threads; i++) {
		const struct thread *t = &m->thread[i];
		if (t->state != THREAD_WAIT && t->state != THREAD_SLEEP)
			continue;
		if (t->deadline != MOIRAI_NEVER)
			add(c, i, HOW_TIMEOUT);
		if (spurious && t->state == THREAD_WAIT && c->count > 0)
			add(c, i, HOW_SPURIOUS);
	}
}

static void count_step(struct model *m)
{
	if (++m->step > m->scenario.steps_max)
		model_fail("step limit (%u): a livelock, or a spin loop without moirai_cpu_relax()",
			m->scenario.steps_max);
}

/* The running thread is about to access something; it could go on. */
void model_point(struct model *m)
{
	count_step(m);
	m->thread[m->self].touched = true;
	if (m->threads == 1)
		return;
	if (m->mode == MODE_DFS && m->preemptions >= m->scenario.bound)
		return;
	struct candidates c = {.count = 0};
	add(&c, m->self, HOW_RUN);
	collect(m, &c);
	unsigned taken = pick(m, &c);
	if (taken == 0)
		return;
	m->preemptions++;
	resume(m, c.thread[taken], c.how[taken]);
}

/* Rounds in which everybody spins and nobody writes: so many in any order, and so many in turn,
 * enough for bounded spinning to give up; then time has to pass. */
enum { FREE_ROUNDS = 3, PATIENCE = 64 };

/* Nobody is ready. Threads that yielded, the longest waiting first, then deadlines. */
static void collect_spinning(struct model *m, struct candidates *c)
{
	if (c->count && m->fruitless > PATIENCE) {
		m->fruitless = 0;
		return;
	}
	unsigned timed = c->count;
	int first = -1;
	for (int i = 0; i < m->threads; i++) {
		if (m->thread[i].state != THREAD_SPIN)
			continue;
		add(c, i, HOW_RUN);
		if (first < 0 || m->thread[i].yielded_at < m->thread[first].yielded_at)
			first = i;
	}
	for (unsigned i = timed; i < c->count; i++) {
		if (c->thread[i] != first)
			continue;
		uint8_t thread = c->thread[0], how = c->how[0];
		c->thread[0] = c->thread[i];
		c->how[0] = c->how[i];
		c->thread[i] = thread;
		c->how[i] = how;
	}
	m->fruitless++;
	m->clock_ns += MOIRAI_US;
}

static void nobody_can_run(struct model *m)
{
	char text[300];
	size_t used = 0;
	for (int i = 0; i < m->threads && used + 64 < sizeof(text); i++) {
		const struct thread *t = &m->thread[i];
		if (t->state == THREAD_WAIT)
			used += (size_t)snprintf(text + used, sizeof(text) - used,
				"; thread %d waits on %.40s", i, model_where(m, t->word));
		else if (t->state == THREAD_JOIN)
			used += (size_t)snprintf(text + used, sizeof(text) - used,
				"; thread %d joins %d", i, t->joins);
	}
	text[used] = 0;
	model_fail("deadlock or lost wake-up%s", text);
}

static bool all_done(const struct model *m)
{
	for (int i = 0; i < m->threads; i++)
		if (m->thread[i].state != THREAD_DONE)
			return false;
	return true;
}

/* The running thread cannot go on (its state says why). Returns when it was chosen again. */
void model_block(struct model *m)
{
	count_step(m);
	struct candidates c = {.count = 0};
	collect(m, &c);
	bool ready = c.count > 0 && c.how[0] == HOW_RUN;
	if (!ready && m->spinning)
		collect_spinning(m, &c);
	if (c.count == 0) {
		if (!all_done(m))
			nobody_can_run(m);
		model_check_leaks(m);
		model_leave(m);
	}
	unsigned taken = 0;
	/*
	 * Whom of the spinning to run: a choice for a few rounds (it costs a preemption), then in turn.
	 * Otherwise one of them could spin for ever, unfairly, and the search with him.
	 */
	bool in_turn = !ready && m->spinning && c.how[0] == HOW_RUN;
	bool spent = m->mode == MODE_DFS && m->preemptions >= m->scenario.bound;
	if (!in_turn || (!spent && m->fruitless <= FREE_ROUNDS))
		taken = pick(m, &c);
	if (in_turn && taken)
		m->preemptions++;
	/* May be the caller itself, when it only yielded or its deadline comes first. */
	resume(m, c.thread[taken], c.how[taken]);
}

/* Memory changed: whoever spins may find what he waits for. */
void model_wrote(struct model *m)
{
	m->fruitless = 0;
	if (!m->spinning)
		return;
	for (int i = 0; i < m->threads; i++)
		if (m->thread[i].state == THREAD_SPIN)
			m->thread[i].state = THREAD_READY;
	m->spinning = 0;
}

void model_spin(struct model *m)
{
	struct thread *t = &m->thread[m->self];
	if (!t->touched) {
		/* A run of pauses is one pause. */
		m->clock_ns += MOIRAI_NS;
		return;
	}
	t->touched = false;
	t->state = THREAD_SPIN;
	t->yielded_at = m->step;
	m->spinning++;
	model_block(m);
}

/* ------------------------------------------------------------------ threads */

static void thread_main(void)
{
	struct model *m = model_state;
	struct thread *t = &m->thread[m->self];
	t->fn(t->arg);
	while (t->hooks > 0) {
		t->hooks--;
		t->hook[t->hooks].fn(t->hook[t->hooks].slot);
	}
	if (m->tracing)
		model_trace(m, "returns");
	t->state = THREAD_DONE;
	for (int i = 0; i < m->threads; i++)
		if (m->thread[i].state == THREAD_JOIN && m->thread[i].joins == m->self)
			m->thread[i].state = THREAD_READY;
	model_wrote(m);
	model_block(m);
	__builtin_trap();
}

/* A stack that looks as if thread_main() had called the switch. */
static void *prepare_stack(struct model *m, int number)
{
	char *top = m->stacks + (size_t)(number + 1) * MODEL_STACK;
	uintptr_t *sp = (uintptr_t *)(void *)top;
#if defined(__x86_64__)
	*--sp = 0; /* thread_main() returns nowhere; keeps the alignment of a call */
	*--sp = (uintptr_t)thread_main;
	sp -= SWITCH_FRAME;
	memset(sp, 0, SWITCH_FRAME * sizeof(*sp));
#else
	sp -= 20;
	memset(sp, 0, 20 * sizeof(*sp));
	sp[1] = (uintptr_t)thread_main; /* x30 */
#endif
	return sp;
}

static int spawn(struct model *m, void (*fn)(void *), void *arg)
{
	if (m->threads >= MODEL_THREADS_MAX)
		model_fail("more than %d threads", MODEL_THREADS_MAX);
	int number = m->threads++;
	struct thread *t = &m->thread[number];
	t->state = THREAD_READY;
	t->fn = fn;
	t->arg = arg;
	t->joined = false;
	t->hooks = 0;
	t->touched = true;
	t->deadline = MOIRAI_NEVER;
	t->priority = m->mode == MODE_PCT ? (int)(model_random(m) & 0xffff) + 1 : 0;
	model_fork_views(m, t, number);
	model_tls_fresh(m, number);
	t->stack_pointer = prepare_stack(m, number);
	return number;
}

void model_reset_threads(struct model *m)
{
	m->threads = 0;
	m->self = 0;
	m->spinning = 0;
	m->step = 0;
	m->preemptions = m->spurious = m->weak_cas_fails = m->alloc_fails = 0;
	m->fruitless = 0;
	m->clock_ns = MOIRAI_S;
	m->tape_at = 0;
}

/* Runs one execution: thread 0 and whatever it starts. Returns when all is over. */
void model_start(struct model *m, void (*fn)(void *), void *arg)
{
	spawn(m, fn, arg);
	m->self = 0;
	model_tls_enter(m, 0);
	moirai_model_switch(&m->main_stack, m->thread[0].stack_pointer);
}

int model_thread(void (*fn)(void *arg), void *arg)
{
	struct model *m = model_state;
	int number = spawn(m, fn, arg);
	if (m->tracing)
		model_trace(m, "starts thread %d", number);
	model_point(m);
	return number;
}

void model_join(int thread)
{
	struct model *m = model_state;
	if (thread <= 0 || thread >= m->threads)
		model_fail("join of thread %d, which does not exist", thread);
	struct thread *child = &m->thread[thread];
	if (child->joined)
		model_fail("thread %d is joined twice", thread);
	child->joined = true;
	model_point(m);
	while (child->state != THREAD_DONE) {
		struct thread *t = &m->thread[m->self];
		t->joins = thread;
		t->state = THREAD_JOIN;
		model_block(m);
	}
	model_join_views(m, child);
	if (m->tracing)
		model_trace(m, "joined thread %d", thread);
}

void model_join_all(void)
{
	struct model *m = model_state;
	for (int i = 1; i < m->threads; i++)
		if (!m->thread[i].joined && i != m->self)
			model_join(i);
}

int model_self(void)
{
	return model_state && model_state->running ? model_state->self : 0;
}

unsigned moirai_model_self(void)
{
	return (unsigned)model_self();
}

/* ------------------------------------------------------------------ findings */

void model_fail(const char *format, ...)
{
	struct model *m = model_state;
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(m->why, sizeof(m->why), format, arguments);
	va_end(arguments);
	m->verdict = VERDICT_FOUND;
	if (m->tracing)
		model_trace(m, "*** %s", m->why);
	model_leave(m);
}

void model_prune(void)
{
	model_state->verdict = VERDICT_PRUNED;
	model_leave(model_state);
}

bool model_bug(int number)
{
	return model_state->scenario.bug == number;
}

uint64_t model_step(void)
{
	return model_state->step;
}
