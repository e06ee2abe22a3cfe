/* SPDX-License-Identifier: MIT */
/*
 * Coroutines on fibers. The coroutine is the fiber block of its stack, so creating one allocates
 * nothing beside the stack, and the stacks come from one pool of the process that is opened by the
 * first create and never closed (its address space costs nothing while unused).
 *
 * The resumer is a fiber for the time of the call: a local of resume(), for only its words are
 * needed. That is why coroutines work on threads, on tasks and inside one another without knowing
 * of them. Nothing here is thread-local: a task that parks inside a coroutine takes the coroutine
 * along to another worker.
 *
 *   SUSPENDED --resume--> RUNNING --yield--> SUSPENDED
 *                            +----return--> FINISHED
 *
 * Nothing is atomic: one thread at a time deals with a coroutine, and its callers order that. What
 * yield and resume touch lies in the fiber's first line: `owner` is the resumer, `next` the value in
 * transit (and, at the end, the result), `state` the state with two bits that stick.
 */
#include <moirai/async/coroutine.h>
#include <moirai/async/internal/stack.h>
#include <moirai/core/internal/lock.h>

#include <errno.h>

#include "sanitizer.h"

struct moirai_coroutine {
	struct moirai__fiber fiber;
	moirai_coroutine_fn fn;
	void *arg;
	const char *name;
};

/* The process's stacks for coroutines. */
static struct {
	moirai__lock lock;
	bool open;
	struct moirai__stack_pool pool;
	struct moirai__stack_cache cache;
} home;

static void coroutine_describe(const struct moirai__fiber *fiber, const char **name, uint64_t *id)
{
	const moirai_coroutine *c = MOIRAI_CONTAINER_OF(fiber, const moirai_coroutine, fiber);
	*name = c->name;
	*id = fiber->index;
}

/* Under the lock. */
static int home_open(void)
{
	static const moirai__stack_attr attr = {
		.block_size = sizeof(struct moirai_coroutine),
		.describe = coroutine_describe,
	};
	if (home.open)
		return 0;
	int rc = moirai__stack_pool_init(&home.pool, &attr);
	home.open = rc == 0;
	return rc;
}

static moirai_coroutine_state state_of(const moirai_coroutine *c)
{
	return (moirai_coroutine_state)(c->fiber.state & MOIRAI__COROUTINE_STATE);
}

/* On the coroutine's stack, from beginning to end. */
static void coroutine_run(void *arg)
{
	moirai_coroutine *c = arg;
	c->fiber.next = (uintptr_t)c->fn(c, c->arg);
	c->fiber.state = MOIRAI_COROUTINE_FINISHED;
	moirai__fiber_exit(&c->fiber, c->fiber.owner);
}

int moirai_coroutine_create(moirai_coroutine **coroutine, const moirai_coroutine_attr *attr,
	moirai_coroutine_fn fn, void *arg)
{
	static const moirai_coroutine_attr defaults;
	moirai__stack_class size_class;
	if (!attr)
		attr = &defaults;
	if (!coroutine || !fn || moirai__stack_class_for(attr->stack_bytes, &size_class) < 0)
		return -EINVAL;

	moirai__lock_acquire(&home.lock);
	int rc = home_open();
	struct moirai__fiber *fiber =
		rc == 0 ? moirai__stack_get(&home.pool, &home.cache, size_class) : NULL;
	moirai__lock_release(&home.lock);
	if (!fiber)
		return -ENOMEM;

	moirai_coroutine *c = MOIRAI_CONTAINER_OF(fiber, moirai_coroutine, fiber);
	if (attr->own_fp_modes)
		fiber->flags |= MOIRAI__FIBER_FP;
	fiber->owner = NULL;
	fiber->next = 0;
	fiber->state = MOIRAI_COROUTINE_SUSPENDED;
	c->fn = fn;
	c->arg = arg;
	c->name = attr->name;
	moirai__fiber_prepare(fiber, coroutine_run, c);
	*coroutine = c;
	return 0;
}

void moirai_coroutine_destroy(moirai_coroutine *c)
{
	if (!c)
		return;
	MOIRAI_ASSERT(state_of(c) != MOIRAI_COROUTINE_RUNNING);
	moirai__lock_acquire(&home.lock);
	moirai__stack_put(&home.pool, &home.cache, &c->fiber);
	moirai__lock_release(&home.lock);
}

static MOIRAI_ALWAYS_INLINE void resumer_switch(
	struct moirai__fiber *here, struct moirai__fiber *to)
{
#if MOIRAI_ASAN || MOIRAI_TSAN
	moirai__fiber_native_init(here);
	moirai__fiber_switch(here, to);
#else
	moirai__switch(&here->words, &to->words);
#endif
}

int moirai_coroutine_resume(moirai_coroutine *c, void *in, void **out)
{
	if (MOIRAI_UNLIKELY(!c))
		return -EINVAL;
	struct moirai__fiber *fiber = &c->fiber;
	if (MOIRAI_LIKELY(state_of(c) == MOIRAI_COROUTINE_SUSPENDED)) {
		struct moirai__fiber here; /* its words alone count, but for the tools */
		fiber->owner = &here;
		fiber->next = (uintptr_t)in;
		fiber->state |= MOIRAI_COROUTINE_RUNNING | MOIRAI__COROUTINE_STARTED;
		resumer_switch(&here, fiber);
	} else if (state_of(c) == MOIRAI_COROUTINE_RUNNING) {
		return -EDEADLK;
	}
	if (out)
		*out = (void *)fiber->next;
	return MOIRAI_LIKELY(state_of(c) == MOIRAI_COROUTINE_SUSPENDED) ? 0 : -ENODATA;
}

MOIRAI_NOINLINE int moirai__coroutine_yield_slow(moirai_coroutine *self, void *out, void **in)
{
	struct moirai__fiber *fiber = &self->fiber;
	/* Its own stack? One that it has resumed, or a stranger, would switch from elsewhere. */
	uintptr_t low = (uintptr_t)fiber->stack_low;
	if (moirai__stack_here() - low >= (uintptr_t)fiber->stack_high - low)
		return -EPERM;
	fiber->next = (uintptr_t)out;
	fiber->state &= (uint16_t)~MOIRAI__COROUTINE_STATE;
	moirai__fiber_switch(fiber, fiber->owner);
	if (in)
		*in = (void *)fiber->next;
	return fiber->state & MOIRAI__COROUTINE_CANCEL ? -ECANCELED : 0;
}

int moirai_coroutine_cancel(moirai_coroutine *c, unsigned resumes_max)
{
	if (state_of(c) == MOIRAI_COROUTINE_RUNNING)
		return -EDEADLK;
	c->fiber.state |= MOIRAI__COROUTINE_CANCEL;
	if (!(c->fiber.state & MOIRAI__COROUTINE_STARTED))
		c->fiber.state = MOIRAI_COROUTINE_FINISHED;
	for (unsigned i = 0; state_of(c) != MOIRAI_COROUTINE_FINISHED; i++) {
		if (i == resumes_max)
			return -EAGAIN;
		(void)moirai_coroutine_resume(c, NULL, NULL);
	}
	return 0;
}

void *moirai_coroutine_input(const moirai_coroutine *self)
{
	return (void *)self->fiber.next;
}

moirai_coroutine_state moirai_coroutine_status(const moirai_coroutine *c)
{
	return state_of(c);
}
