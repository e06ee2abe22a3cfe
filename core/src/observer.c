/* SPDX-License-Identifier: MIT */
/*
 * The observer: attaching and detaching subscribers under load.
 *
 * One pointer leads to the chain in force, NULL for none. A chain is immutable while it is published.
 * There are two of them, static: a change fills the one that is not in force, publishes it, and waits
 * until nobody uses the other one. So a change allocates nothing and cannot fail half-way.
 *
 * Each thread that emits owns a slot with a sequence number: odd while it is inside a callback.
 *
 *   emit                                        change (one at a time, under the lock)
 *   1. sequence = odd                           1. fill the idle chain, publish it (release)
 *   2. light fence                              2. heavy fence
 *   3. read the pointer again (acquire)         3. for each slot that is odd: wait until it moves
 *   4. call the subscribers
 *   5. sequence = even (release)
 *
 * Why nobody is called too late: the fences order 1 before 3 and the change's 1 before its 3. If the
 * emitter's fence comes first, the change sees the odd number and waits for it; if the change's fence
 * comes first, the emitter's second reading finds the new chain. The first reading, in the macro, is a
 * hint and protects nothing. The acquire that sees the even number pairs with the release of 5: what a
 * subscriber did is complete before detach returns.
 *
 * Odd on entry: the event was caused by a subscriber; it is dropped and counted, and so attach and
 * detach from inside find it out (-EDEADLK). Slots are given back by a hook when the thread ends. When
 * all are taken, a thread's events are dropped and counted.
 *
 * Cost: off 3-4 instructions a point (the macro); on about 3 ns an event and 1.5 ns for each further
 * subscriber; a change takes a heavy fence and the longest callback in progress, milliseconds when an
 * emitter has lost its processor. The scheme is the reader side of Desnoyers' URCU with one global
 * update at a time. Refused: a mask in each worker (same cost, more plumbing), epochs (a subscriber may
 * be called from any thread, registered or not).
 */
#include <moirai/core/observer.h>

#include <errno.h>

#include <moirai/core/clock.h>
#include <moirai/core/internal/context.h>
#include <moirai/core/internal/lock.h>
#include <moirai/core/internal/noise.h>
#include <moirai/core/internal/observer.h>
#include <moirai/core/os.h>

MOIRAI_STATIC_ASSERT(MOIRAI_EVENT_USER + 1 == MOIRAI_EVENT_KINDS, "every kind is counted");

static const char *const observer_event_names[] = {
	"spawn",
	"start",
	"finish",
	"cancel",
	"park",
	"unpark",
	"steal",
	"worker_start",
	"worker_stop",
	"sleep",
	"wake",
	"alloc",
	"free",
	"lock_wait",
	"lock_got",
	"io_submit",
	"io_complete",
	"timer",
	"error",
	"user",
};
MOIRAI_STATIC_ASSERT(
	MOIRAI_ARRAY_SIZE(observer_event_names) == MOIRAI_EVENT_KINDS, "every kind has a name");

struct moirai__observer_chain {
	uint32_t count;
	uint32_t mask; /* of all */
	struct {
		const moirai_observer *key;
		moirai_observer copy;
	} of[MOIRAI_OBSERVERS_MAX];
};

struct moirai__observer_chain *moirai__observer_current;

/* A line each: the owner writes it at every event. */
struct MOIRAI_ALIGNED(MOIRAI_CACHELINE) observer_slot {
	uint32_t sequence;   /* odd: inside a callback; owner only */
	uint32_t taken;      /* 1: a thread owns it */
	uint64_t recursions; /* owner only */
};

/* Under the lock. */
static moirai__lock observer_lock;
static struct moirai__observer_chain observer_chains[2];
static uint32_t observer_attached; /* atomic: a subscriber may ask, and it must not take the lock */

static struct observer_slot observer_slots[MOIRAI__OBSERVER_SLOTS];
static uint32_t observer_slots_taken; /* atomic */
static uint64_t observer_unslotted;   /* atomic */

/* The calling thread's slot. Behind noinline functions only: a task may move to another thread. */
static __thread struct observer_slot *observer_slot_mine;
static __thread bool observer_slot_gone; /* the thread is ending, or no hook could be set */

const char *moirai_event_name(moirai_event kind)
{
	return (unsigned)kind < MOIRAI_EVENT_KINDS ? observer_event_names[kind] : "?";
}

/* --- slots --- */

static void observer_slot_give(struct observer_slot *slot)
{
	/* release: pairs with the acquire of the next owner; the sequence goes on from here. */
	moirai_store_release(&slot->taken, 0);
	/* relaxed: a bound for the search, nothing more. */
	moirai_fetch_sub_relaxed(&observer_slots_taken, 1);
}

static void observer_thread_ends(void *slot)
{
	observer_slot_mine = NULL;
	observer_slot_gone = true;
	observer_slot_give((struct observer_slot *)slot);
}

static struct observer_slot *observer_slot_find(void)
{
	for (size_t i = 0; i < MOIRAI__OBSERVER_SLOTS; i++) {
		uint32_t none = 0;
		/* acquire: pairs with the release in observer_slot_give(). */
		if (moirai_load_relaxed(&observer_slots[i].taken) == 0 &&
			moirai_cas_acquire(&observer_slots[i].taken, &none, 1))
			return &observer_slots[i];
	}
	return NULL;
}

/* A slot for the calling thread, or NULL when there is none left. */
static MOIRAI_COLD struct observer_slot *observer_slot_take(void)
{
	/* relaxed: when the table is full nobody searches it. Reserving first makes the search succeed. */
	if (observer_slot_gone)
		return NULL;
	if (moirai_fetch_add_relaxed(&observer_slots_taken, 1) >= MOIRAI__OBSERVER_SLOTS) {
		moirai_fetch_sub_relaxed(&observer_slots_taken, 1);
		return NULL;
	}
	struct observer_slot *slot = observer_slot_find();
	if (!slot) {
		moirai_fetch_sub_relaxed(&observer_slots_taken, 1);
		return NULL;
	}
	/*
	 * Setting the hook may allocate, and that is an event: mark the slot as inside a callback, so
	 * that the event is dropped instead of coming back here.
	 */
	uint32_t sequence = moirai_load_relaxed(&slot->sequence);
	moirai_store_relaxed(&slot->sequence, sequence + 1);
	observer_slot_mine = slot;
	int status = moirai_os_thread_exit_hook(observer_thread_ends, slot);
	/* release: pairs with the acquire in observer_wait(). */
	moirai_store_release(&slot->sequence, sequence + 2);
	if (status < 0) {
		observer_thread_ends(slot);
		return NULL;
	}
	return slot;
}

/* --- emitting --- */

static int observer_worker(void)
{
	moirai__context *context = moirai__context_current();
	return context ? (int)context->worker : -1;
}

static void observer_call(
	const struct moirai__observer_chain *chain, moirai_event kind, const void *object)
{
	uint32_t bit = MOIRAI_EVENT_BIT(kind);
	if (!(MOIRAI_RD(chain->mask) & bit))
		return;
	int worker = observer_worker();
	for (uint32_t i = 0; i < MOIRAI_RD(chain->count); i++) {
		const moirai_observer *observer = &chain->of[i].copy;
		if (MOIRAI_RD(observer->mask) & bit)
			observer->event(observer->self, kind, object, worker);
	}
}

MOIRAI_COLD void moirai__observe(moirai_event kind, const void *object)
{
	struct observer_slot *slot = observer_slot_mine;
	if (MOIRAI_UNLIKELY(!slot) && !(slot = observer_slot_take())) {
		moirai_fetch_add_relaxed(&observer_unslotted, 1);
		return;
	}
	/* relaxed: this thread alone writes the sequence. */
	uint32_t sequence = moirai_load_relaxed(&slot->sequence);
	if (sequence & 1) {
		moirai_store_relaxed(&slot->recursions, moirai_load_relaxed(&slot->recursions) + 1);
		return;
	}
	/* relaxed: the light fence orders it before the second reading of the pointer. */
	moirai_store_relaxed(&slot->sequence, sequence + 1);
	/*
	 * Pairs with the heavy fence in observer_publish(). If ours comes first, the change sees the odd
	 * number; if its fence comes first, we read the new pointer.
	 */
	moirai_fence_light();
	MOIRAI_NOISE();
	/* acquire: pairs with the release in observer_publish(); the chain is whole. */
	const struct moirai__observer_chain *chain = moirai_load_acquire(&moirai__observer_current);
	if (chain && (unsigned)kind < MOIRAI_EVENT_KINDS)
		observer_call(chain, kind, object);
	MOIRAI_NOISE();
	/* release: pairs with the acquire in observer_wait(); the callbacks are complete. */
	moirai_store_release(&slot->sequence, sequence + 2);
}

/* --- changing --- */

/* The first looks come without a pause; a callback is short. Then its thread has lost its processor. */
#define OBSERVER_LOOKS    100
#define OBSERVER_PAUSE_NS (50 * MOIRAI_US)

static void observer_wait(struct observer_slot *slot)
{
	/* acquire: pairs with the release at the end of moirai__observe(). */
	uint32_t seen = moirai_load_acquire(&slot->sequence);
	if (!(seen & 1))
		return;
	for (unsigned looks = 0; moirai_load_acquire(&slot->sequence) == seen; looks++) {
		if (looks < OBSERVER_LOOKS)
			moirai_cpu_relax();
		else
			moirai_os_sleep(OBSERVER_PAUSE_NS);
	}
}

/* Puts a chain in force and waits until nobody uses the one before. */
static void observer_publish(struct moirai__observer_chain *chain)
{
	moirai_store_relaxed(&observer_attached, MOIRAI_RD(chain->count));
	/* release: pairs with the acquire in moirai__observe(). */
	moirai_store_release(&moirai__observer_current, MOIRAI_RD(chain->count) ? chain : NULL);
	MOIRAI_NOISE();
	/* Pairs with the light fence in moirai__observe(); both outcomes stand there. */
	moirai_fence_heavy();
	for (size_t i = 0; i < MOIRAI__OBSERVER_SLOTS; i++)
		observer_wait(&observer_slots[i]);
}

/* The chain in force, for the holder of the lock; and the other one. */
static struct moirai__observer_chain *observer_in_force(struct moirai__observer_chain **idle)
{
	/* relaxed: stored under the lock that is held. */
	struct moirai__observer_chain *now = moirai_load_relaxed(&moirai__observer_current);
	*idle = now == &observer_chains[0] ? &observer_chains[1] : &observer_chains[0];
	return now;
}

static void observer_append(struct moirai__observer_chain *chain, const moirai_observer *key,
	const moirai_observer *copy)
{
	uint32_t i = MOIRAI_RD(chain->count);
	chain->of[i].key = key;
	MOIRAI_WR(chain->of[i].copy.mask) = copy->mask & MOIRAI_EVENT_ALL;
	chain->of[i].copy.event = copy->event;
	chain->of[i].copy.self = copy->self;
	MOIRAI_WR(chain->mask) |= copy->mask & MOIRAI_EVENT_ALL;
	MOIRAI_WR(chain->count) = i + 1;
}

/* Copies a chain without one subscriber. true: it was there. */
static bool observer_copy_without(struct moirai__observer_chain *to,
	const struct moirai__observer_chain *from, const moirai_observer *key)
{
	bool found = false;
	MOIRAI_WR(to->count) = 0;
	MOIRAI_WR(to->mask) = 0;
	for (uint32_t i = 0; from && i < from->count; i++) {
		if (from->of[i].key == key)
			found = true;
		else
			observer_append(to, from->of[i].key, &from->of[i].copy);
	}
	return found;
}

/* Is the calling thread inside a subscriber? */
static MOIRAI_NOINLINE bool observer_inside(void)
{
	struct observer_slot *slot = observer_slot_mine;
	return slot && (moirai_load_relaxed(&slot->sequence) & 1);
}

int moirai_observer_attach(const moirai_observer *observer)
{
	struct moirai__observer_chain *idle;
	if (!MOIRAI_OBSERVER)
		return -ENOTSUP;
	if (!observer || !observer->event || !(observer->mask & MOIRAI_EVENT_ALL))
		return -EINVAL;
	if (observer_inside())
		return -EDEADLK;
	moirai__lock_acquire(&observer_lock);
	struct moirai__observer_chain *now = observer_in_force(&idle);
	int status = 0;
	if (observer_copy_without(idle, now, observer))
		status = -EEXIST;
	else if (idle->count == MOIRAI_OBSERVERS_MAX)
		status = -ENOSPC;
	if (status == 0) {
		observer_append(idle, observer, observer);
		observer_publish(idle);
	}
	moirai__lock_release(&observer_lock);
	return status;
}

int moirai_observer_detach(const moirai_observer *observer)
{
	struct moirai__observer_chain *idle;
	if (!MOIRAI_OBSERVER)
		return -ENOTSUP;
	if (!observer)
		return -EINVAL;
	if (observer_inside())
		return -EDEADLK;
	moirai__lock_acquire(&observer_lock);
	struct moirai__observer_chain *now = observer_in_force(&idle);
	bool found = observer_copy_without(idle, now, observer);
	if (found)
		observer_publish(idle);
	moirai__lock_release(&observer_lock);
	return found ? 0 : -ENOENT;
}

void moirai_observer_stats_get(moirai_observer_stats *stats)
{
	if (!stats)
		return;
	uint64_t recursions = 0;
	for (size_t i = 0; i < MOIRAI__OBSERVER_SLOTS; i++)
		recursions += moirai_load_relaxed(&observer_slots[i].recursions);
	stats->attached = moirai_load_relaxed(&observer_attached);
	stats->recursions = recursions;
	stats->unslotted = moirai_load_relaxed(&observer_unslotted);
	stats->threads = moirai_load_relaxed(&observer_slots_taken);
	stats->threads_max = MOIRAI__OBSERVER_SLOTS;
}
