/* SPDX-License-Identifier: MIT */
/*
 * The observer under the deterministic tester. The subscriber's memory is freed as soon as detach has
 * returned: any callback that still runs, or comes later, is a use after free.
 *
 * Bugs: 1 the change has no heavy fence; 2 the emitter has no light fence; 3 the releases of sequence
 * and slot (the 32-bit ones) are relaxed.
 */
#define MOIRAI_OBSERVER 1 /* the tester does without it elsewhere */
#include <moirai/core/atomic.h>
#include <moirai/core/observer.h>

#include "model.h"

/* The planted bugs: switches in front of what the source says. */
static void planted_heavy(void)
{
	if (!model_bug(1))
		moirai_model_fence_heavy();
}

static void planted_light(void)
{
	if (!model_bug(2))
		moirai_model_fence_light();
}

#undef moirai_fence_heavy
#define moirai_fence_heavy() planted_heavy()
#undef moirai_fence_light
#define moirai_fence_light() planted_light()
/* The release that ends a callback becomes relaxed with bug 3. */
#undef moirai_store_release
#define moirai_store_release(p, v) \
	moirai__store(p, v, model_bug(3) && sizeof(*(p)) == 4 ? __ATOMIC_RELAXED : __ATOMIC_RELEASE)
#include "../src/observer.c"

#include <moirai/core/alloc.h>

struct subscriber {
	moirai_observer observer;
	unsigned heard;
};

static void hear(void *self, moirai_event kind, const void *object, int worker)
{
	struct subscriber *subscriber = self;
	(void)kind;
	(void)object;
	(void)worker;
	moirai_fetch_add_relaxed(&subscriber->heard, 1);
	model_count("heard");
}

static void emit(void *arg)
{
	(void)arg;
	MOIRAI_OBSERVE(MOIRAI_EVENT_USER, NULL);
}

static struct subscriber *subscriber_attach(void)
{
	struct subscriber *subscriber = moirai_alloc_zeroed(1, sizeof(*subscriber));
	if (!subscriber)
		model_prune();
	subscriber->observer = (moirai_observer){MOIRAI_EVENT_ALL, hear, subscriber};
	MODEL_CHECK(moirai_observer_attach(&subscriber->observer) == 0);
	return subscriber;
}

static void subscriber_detach(struct subscriber *subscriber)
{
	MODEL_CHECK(moirai_observer_detach(&subscriber->observer) == 0);
	moirai_free(subscriber);
}

static void detach_never_frees_under_a_callback(void)
{
	struct subscriber *subscriber = subscriber_attach();
	model_thread(emit, NULL);
	subscriber_detach(subscriber);
	model_join_all();
}

/* The other chain is filled again while an emitter may still be reading it. */
static void a_chain_is_not_filled_while_it_is_read(void)
{
	struct subscriber *first = subscriber_attach();
	model_thread(emit, NULL);
	subscriber_detach(first);
	struct subscriber *second = subscriber_attach();
	subscriber_detach(second);
	model_join_all();
}

static void change(void *arg)
{
	(void)arg;
	subscriber_detach(subscriber_attach());
}

static void changes_exclude_each_other(void)
{
	model_thread(change, NULL);
	model_thread(emit, NULL);
	change(NULL);
	model_join_all();
	MODEL_CHECK(moirai_load_relaxed(&moirai__observer_current) == NULL);
}

static void emit_twice(void *arg)
{
	emit(arg);
	emit(arg);
}

static void threads_share_one_slot_in_turn(void)
{
	struct subscriber *subscriber = subscriber_attach();
	model_thread(emit_twice, NULL);
	model_thread(emit, NULL);
	subscriber_detach(subscriber);
	model_join_all();
	moirai_observer_stats stats;
	moirai_observer_stats_get(&stats);
	MODEL_CHECK(stats.threads == 0);
}

MODEL_MAIN(MODEL_CLEAN(detach_never_frees_under_a_callback, .exhaust = true),
	MODEL_CLEAN(detach_never_frees_under_a_callback, .symmetric_fences = true, .exhaust = true),
	MODEL_CLEAN(a_chain_is_not_filled_while_it_is_read, .modes = MODEL_DFS | MODEL_PCT),
	MODEL_CLEAN(changes_exclude_each_other, .modes = MODEL_DFS | MODEL_PCT, .limit = 100000),
	MODEL_CLEAN(
		threads_share_one_slot_in_turn, .modes = MODEL_DFS | MODEL_PCT, .limit = 100000),
	MODEL_FINDS(detach_never_frees_under_a_callback, 1, "free"),
	MODEL_FINDS(detach_never_frees_under_a_callback, 2, "free", .symmetric_fences = true),
	MODEL_FINDS(detach_never_frees_under_a_callback, 3, "free"))
