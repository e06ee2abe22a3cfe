/* SPDX-License-Identifier: MIT */
/*
 * Cancellation under the deterministic tester: who unregisters, who cancels and who makes a child at
 * the same time; memory is freed as early as the contract allows.
 *
 * Bugs: 1 the return of a callback is not published (relaxed instead of release); 2 unregister does not
 * wait for a running callback.
 */
#include <moirai/core/atomic.h>
#include <moirai/core/cancel.h>

#include "model.h"

/* The release that ends a running callback becomes relaxed with bug 1. */
#undef moirai_store_release
#define moirai_store_release(p, v) \
	moirai__store(p, v, model_bug(1) ? __ATOMIC_RELAXED : __ATOMIC_RELEASE)
/* The acquire with which unregister looks at a running callback finds "called" with bug 2. */
static const void *watched;
#undef moirai_load_acquire
#define moirai_load_acquire(p) \
	(model_bug(2) && (const void *)(p) == watched ? 3 : moirai__load(p, __ATOMIC_ACQUIRE))
#include "../src/cancel.c"
#undef moirai_load_acquire
#define moirai_load_acquire(p) moirai__load(p, __ATOMIC_ACQUIRE)

/* Park, as far as it goes here: the futex of the tester. */
int moirai_park(const uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
	return moirai_os_futex_wait(word, expected, deadline_ns);
}

unsigned moirai_unpark(const uint32_t *word, unsigned count)
{
	return (unsigned)moirai_os_futex_wake(word, count);
}

struct moirai__observer_chain *moirai__observer_current;

void moirai__observe(moirai_event kind, const void *object)
{
	(void)kind;
	(void)object;
}

int moirai__error_detailf(int status, const char *format, ...)
{
	(void)format;
	return status;
}

static moirai_cancel *make(moirai_cancel *parent)
{
	moirai_cancel *token;
	if (moirai_cancel_create(&token, parent) < 0)
		model_prune();
	return token;
}

struct registration {
	moirai_cancel_callback callback;
	unsigned calls;
};

static void called(void *self, int reason)
{
	struct registration *mine = self;
	(void)reason;
	MOIRAI_WR(mine->calls) = MOIRAI_RD(mine->calls) + 1;
	model_count("called");
}

static moirai_cancel *top;

static void cancel_top(void *arg)
{
	(void)arg;
	moirai_cancel_request(top, 0);
}

static void register_and_end(void)
{
	struct registration *mine = moirai_alloc_zeroed(1, sizeof(*mine));
	if (!mine)
		model_prune();
	watched = &mine->callback.state_;
	int status = moirai_cancel_register(top, &mine->callback, called, mine);
	if (status == 0) {
		status = moirai_cancel_unregister(&mine->callback);
		MODEL_CHECK(MOIRAI_RD(mine->calls) == (status == -EALREADY));
	} else {
		MODEL_CHECK(status == -ECANCELED && MOIRAI_RD(mine->calls) == 0);
	}
	moirai_free(mine);
}

static void unregister_tells_whether_it_was_called(void)
{
	top = make(NULL);
	model_thread(cancel_top, NULL);
	register_and_end();
	model_join_all();
	moirai_cancel_destroy(top);
}

static void make_a_child(void *arg)
{
	(void)arg;
	moirai_cancel *child = make(top);
	moirai_cancel_destroy(top);
	moirai_cancel_request(child, -EIO);
	moirai_cancel_destroy(child);
}

static void children_come_and_go_while_the_top_is_cancelled(void)
{
	top = make(NULL);
	moirai_cancel_ref(top);
	model_thread(make_a_child, NULL);
	moirai_cancel *child = make(top);
	moirai_cancel_request(top, 0);
	MODEL_CHECK(moirai_cancel_requested(child));
	moirai_cancel_destroy(child);
	moirai_cancel_destroy(top);
	model_join_all();
}

static void wait_for_top(void *arg)
{
	(void)arg;
	MODEL_CHECK(moirai_cancel_wait_until(top, MOIRAI_NEVER) == 0);
	MODEL_CHECK(moirai_cancel_requested(top));
}

static void a_waiter_is_woken(void)
{
	top = make(NULL);
	model_thread(wait_for_top, NULL);
	cancel_top(NULL);
	model_join_all();
	moirai_cancel_destroy(top);
}

static void two_cancellers_and_a_waiter(void)
{
	top = make(NULL);
	model_thread(wait_for_top, NULL);
	model_thread(cancel_top, NULL);
	cancel_top(NULL);
	model_join_all();
	moirai_cancel_destroy(top);
}

MODEL_MAIN(MODEL_CLEAN(unregister_tells_whether_it_was_called, .bound = 4, .exhaust = true),
	MODEL_CLEAN(children_come_and_go_while_the_top_is_cancelled, .exhaust = true),
	MODEL_CLEAN(a_waiter_is_woken, .exhaust = true, .spurious = 1),
	MODEL_CLEAN(two_cancellers_and_a_waiter, .modes = MODEL_DFS | MODEL_PCT),
	MODEL_FINDS(unregister_tells_whether_it_was_called, 1, "race", .bound = 4),
	MODEL_FINDS(unregister_tells_whether_it_was_called, 2, "race"))
