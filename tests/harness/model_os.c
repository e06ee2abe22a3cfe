/* SPDX-License-Identifier: MIT */
/*
 * <moirai/core/os.h> under the tester: threads, waiting, time, and what else the algorithms link.
 *
 * Design. A futex wait reads the newest value of the word, as the kernel does under its bucket's
 * lock, and refreshes the caller's view of the word when it returns: whoever was asleep sees at
 * least what was true when he woke. Neither wait nor wake gives happens-before: an algorithm that
 * relies on the kernel's internal locks for ordering is wrong by C11, and found here.
 *
 * Who is woken is a choice. Time-outs and spurious wake-ups are choices too (model_sched.c).
 *
 * All definitions are weak: a scenario may bring the real clock.c, say, or a fake of its own.
 */
#include <errno.h>
#include <string.h>

#include "model_internal.h"
#include <moirai/core/internal/fault.h>
#include <moirai/core/os.h>

#define WEAK __attribute__((weak))

/* ------------------------------------------------------------------ waiting */

static void refresh_word(struct model *m, const uint32_t *word)
{
	/* The word may be gone: a time-out or a late wake on recycled memory reads nothing. */
	struct thread *t = &m->thread[m->self];
	for (unsigned i = 0; i < m->locations; i++)
		if (m->location[i].address == (uintptr_t)word) {
			t->current.seen[i] = m->location[i].newest;
			if (t->acquired.seen[i] < m->location[i].newest)
				t->acquired.seen[i] = m->location[i].newest;
		}
}

WEAK int moirai_os_futex_wait(const uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
	struct model *m = model_state;
	model_point(m);
	model_access(m, word, sizeof(*word));
	uint32_t value = (uint32_t)model_newest(m, word, sizeof(*word));
	if (m->tracing)
		model_trace(m, "futex wait on %s while %lld (it is %lld)%s", model_where(m, word),
			(long long)expected, (long long)value,
			deadline_ns == MOIRAI_NEVER ? "" : ", with a deadline");
	if (value != expected)
		return -EAGAIN;
	if (deadline_ns <= m->clock_ns)
		return -ETIMEDOUT;
	struct thread *t = &m->thread[m->self];
	t->state = THREAD_WAIT;
	t->word = word;
	t->deadline = deadline_ns;
	t->result = 0;
	model_block(m);
	refresh_word(m, word);
	if (m->tracing)
		model_trace(m, "futex wait on %s returns %s", model_where(m, word),
			t->result ? "-ETIMEDOUT" : "0");
	return t->result;
}

WEAK int moirai_os_futex_wake(const uint32_t *word, uint32_t count)
{
	struct model *m = model_state;
	model_point(m);
	int woken = 0;
	while ((uint32_t)woken < count) {
		int waiter[MODEL_THREADS_MAX];
		unsigned n = 0;
		for (int i = 0; i < m->threads; i++)
			if (m->thread[i].state == THREAD_WAIT && m->thread[i].word == word)
				waiter[n++] = i;
		if (n == 0)
			break;
		/* When all are woken the order tells nothing. */
		unsigned suggestion = model_recorded(m) ? 0 : (unsigned)(model_random(m) % n);
		unsigned taken = n <= count - (uint32_t)woken ? 0 : model_decide(m, n, suggestion);
		m->thread[waiter[taken]].state = THREAD_READY;
		if (m->tracing)
			model_trace(m, "futex wake of thread %d on %s", waiter[taken],
				model_where(m, word));
		woken++;
	}
	if (m->tracing && woken == 0)
		model_trace(m, "futex wake of nobody on %s", model_where(m, word));
	return woken;
}

WEAK void moirai_os_yield(void)
{
	moirai_model_relax();
}

WEAK void moirai_os_sleep(uint64_t duration_ns)
{
	struct model *m = model_state;
	struct thread *t = &m->thread[m->self];
	t->state = THREAD_SLEEP;
	t->deadline = m->clock_ns + duration_ns;
	if (m->tracing)
		model_trace(m, "sleeps %llu ns", (unsigned long long)duration_ns);
	model_block(m);
}

/* ------------------------------------------------------------------ clocks */

WEAK uint64_t moirai_os_clock(void)
{
	/* Each look at the clock moves it: a loop until a deadline ends. */
	return ++model_state->clock_ns;
}

WEAK uint64_t moirai_now(void)
{
	return moirai_os_clock();
}

WEAK uint64_t moirai_deadline_after(uint64_t timeout_ns)
{
	uint64_t now = moirai_now();
	return timeout_ns >= MOIRAI_NEVER - now ? MOIRAI_NEVER : now + timeout_ns;
}

WEAK uint64_t moirai_os_clock_wall(void)
{
	return moirai_os_clock();
}

WEAK uint64_t moirai_os_ticks(void)
{
	return moirai_os_clock();
}

WEAK uint64_t moirai_os_ticks_per_second(void)
{
	return MOIRAI_S;
}

WEAK uint64_t moirai_os_thread_cpu(void)
{
	return moirai_os_clock();
}

void model_clock_advance(uint64_t duration_ns)
{
	model_state->clock_ns += duration_ns;
}

/* ------------------------------------------------------------------ threads */

WEAK int moirai_os_thread_create(moirai_os_thread *thread, const moirai_os_thread_attr *attr,
	void (*fn)(void *arg), void *arg)
{
	(void)attr;
	if (moirai__fault(MOIRAI_FAULT_THREAD))
		return -EAGAIN;
	thread->handle_ = (uintptr_t)model_thread(fn, arg);
	return 0;
}

WEAK int moirai_os_thread_join(moirai_os_thread thread)
{
	model_join((int)thread.handle_);
	return 0;
}

WEAK uint64_t moirai_os_thread_id(void)
{
	return (uint64_t)model_self() + 1;
}

WEAK int moirai_os_thread_stack(void **low, void **high)
{
	struct model *m = model_state;
	*low = m->stacks + (size_t)m->self * MODEL_STACK;
	*high = m->stacks + (size_t)(m->self + 1) * MODEL_STACK;
	return 0;
}

WEAK int moirai_os_thread_exit_hook(void (*fn)(void *slot), void *slot)
{
	struct thread *t = &model_state->thread[model_self()];
	if (t->hooks >= MOIRAI_OS_EXIT_HOOKS_MAX)
		return -ENOSPC;
	if (moirai__fault(MOIRAI_FAULT_ALLOC))
		return -ENOMEM;
	t->hook[t->hooks].fn = fn;
	t->hook[t->hooks++].slot = slot;
	return 0;
}

WEAK int moirai_os_timer_slack(uint64_t slack_ns)
{
	(void)slack_ns;
	return 0;
}

/* ------------------------------------------------------------------ processors and the rest */

WEAK int moirai_os_affinity_get(moirai_cpuset *set)
{
	memset(set, 0, sizeof(*set));
	moirai_cpuset_add(set, 0);
	moirai_cpuset_add(set, 1);
	return 0;
}

WEAK int moirai_os_affinity_set(const moirai_cpuset *set)
{
	return moirai_cpuset_count(set) ? 0 : -EINVAL;
}

WEAK int moirai_os_cpu_current(void)
{
	return model_self() & 1;
}

WEAK unsigned moirai_os_cpus_usable(void)
{
	return 2;
}

WEAK int moirai_os_random(void *buffer, size_t size_bytes)
{
	struct model *m = model_state;
	unsigned char *byte = buffer;
	for (size_t i = 0; i < size_bytes; i++) {
		m->os_random = m->os_random * 6364136223846793005ull + 1442695040888963407ull;
		byte[i] = (unsigned char)(m->os_random >> 56);
	}
	return 0;
}

WEAK int moirai_os_write(int fd, const void *buffer, size_t size_bytes)
{
	(void)fd;
	model_note("writes: %.*s", (int)size_bytes, (const char *)buffer);
	return 0;
}

WEAK const char *moirai_os_name(void)
{
	return "model";
}

WEAK void moirai_panic(const char *file, int line, const char *what)
{
	model_fail("%s:%d: assertion failed: %s", file, line, what);
}

/* A fault point fails by choice, as an allocation does. */
WEAK bool moirai__fault(moirai_fault_kind kind)
{
	struct model *m = model_state;
	(void)kind;
	if (m->alloc_fails >= m->scenario.alloc_fails)
		return false;
	unsigned suggestion = !model_recorded(m) && (model_random(m) & 7) == 0;
	if (!model_decide(m, 2, suggestion))
		return false;
	m->alloc_fails++;
	return true;
}
