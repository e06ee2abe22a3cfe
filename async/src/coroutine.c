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
 * The state is written by the side that leaves, plainly: the callers order their resumes, and a
 * second resume while it runs comes from within. Atomics are only there to make the error check of
 * a concurrent misuse well-defined.
 */
#include <moirai/async/coroutine.h>
#include <moirai/async/internal/stack.h>
#include <moirai/core/atomic.h>
#include <moirai/core/internal/lock.h>

#include <errno.h>

#include "sanitizer.h"

struct moirai_coroutine {
	struct moirai__fiber fiber;
	struct moirai__fiber *resumer; /* while running */
	void *value;                   /* in transit, both ways; after the end: what fn returned */
	moirai_coroutine_fn fn;
	void *arg;
	const char *name;
	uint32_t state;
	bool started;
	bool cancelled;
};
MOIRAI_STATIC_ASSERT(sizeof(struct moirai_coroutine) <= 192, "three lines of the top page");

/* The process's stacks for coroutines. */
static struct {
	moirai__lock lock;
	bool open;
	struct moirai__stack_pool pool;
	struct moirai__stack_cache cache;
} home;

#if MOIRAI_TSAN
void *__tsan_get_current_fiber(void);
#endif

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

/* On the coroutine's stack, from beginning to end. */
static void coroutine_run(void *arg)
{
	moirai_coroutine *c = arg;
	c->value = c->fn(c, c->arg);
	moirai_store_relaxed(&c->state, MOIRAI_COROUTINE_FINISHED); /* relaxed: see the head */
	moirai__fiber_exit(&c->fiber, c->resumer);
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
	c->resumer = NULL;
	c->value = NULL;
	c->fn = fn;
	c->arg = arg;
	c->name = attr->name;
	c->state = MOIRAI_COROUTINE_SUSPENDED;
	c->started = false;
	c->cancelled = false;
	moirai__fiber_prepare(fiber, coroutine_run, c);
	*coroutine = c;
	return 0;
}

void moirai_coroutine_destroy(moirai_coroutine *c)
{
	if (!c)
		return;
	MOIRAI_ASSERT(moirai_load_relaxed(&c->state) != MOIRAI_COROUTINE_RUNNING);
	moirai__lock_acquire(&home.lock);
	moirai__stack_put(&home.pool, &home.cache, &c->fiber);
	moirai__lock_release(&home.lock);
}

int moirai_coroutine_resume(moirai_coroutine *c, void *in, void **out)
{
	if (MOIRAI_UNLIKELY(!c))
		return -EINVAL;
	uint32_t state = moirai_load_relaxed(&c->state); /* relaxed: see the head */
	if (MOIRAI_LIKELY(state == MOIRAI_COROUTINE_SUSPENDED)) {
		struct moirai__fiber here;
		here.flags = MOIRAI__FIBER_NATIVE;
#if MOIRAI_TSAN
		here.tool.tsan = __tsan_get_current_fiber();
#endif
		c->resumer = &here;
		c->value = in;
		c->started = true;
		moirai_store_relaxed(&c->state, MOIRAI_COROUTINE_RUNNING); /* relaxed: see the head */
		moirai__fiber_switch(&here, &c->fiber);
		state = moirai_load_relaxed(&c->state);
	} else if (state == MOIRAI_COROUTINE_RUNNING) {
		return -EDEADLK;
	}
	if (out)
		*out = c->value;
	return MOIRAI_LIKELY(state == MOIRAI_COROUTINE_SUSPENDED) ? 0 : -ENODATA;
}

int moirai_coroutine_yield(moirai_coroutine *self, void *out, void **in)
{
	/* Is this its own stack? One that it has resumed, or a stranger, would switch from elsewhere. */
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	uintptr_t low = (uintptr_t)self->fiber.stack_low;
	if (MOIRAI_UNLIKELY(here - low >= (uintptr_t)self->fiber.stack_high - low))
		return -EPERM;
	self->value = out;
	moirai_store_relaxed(&self->state, MOIRAI_COROUTINE_SUSPENDED); /* relaxed: see the head */
	moirai__fiber_switch(&self->fiber, self->resumer);
	if (in)
		*in = self->value;
	return MOIRAI_UNLIKELY(self->cancelled) ? -ECANCELED : 0;
}

int moirai_coroutine_cancel(moirai_coroutine *c, unsigned resumes_max)
{
	uint32_t state = moirai_load_relaxed(&c->state); /* relaxed: see the head */
	if (state == MOIRAI_COROUTINE_RUNNING)
		return -EDEADLK;
	c->cancelled = true;
	if (state == MOIRAI_COROUTINE_SUSPENDED && !c->started) {
		c->value = NULL;
		moirai_store_relaxed(&c->state, MOIRAI_COROUTINE_FINISHED);
		return 0;
	}
	for (unsigned i = 0; i < resumes_max; i++) {
		if (moirai_coroutine_resume(c, NULL, NULL) == -ENODATA)
			return 0;
	}
	return moirai_load_relaxed(&c->state) == MOIRAI_COROUTINE_FINISHED ? 0 : -EAGAIN;
}

void *moirai_coroutine_input(const moirai_coroutine *self)
{
	return self->value;
}

moirai_coroutine_state moirai_coroutine_status(const moirai_coroutine *c)
{
	return (moirai_coroutine_state)moirai_load_relaxed(&c->state); /* relaxed: see the head */
}
