/* SPDX-License-Identifier: MIT */
/*
 * Waiting on several words at once.
 *
 * One node per case, and one claim word for all of them, since several buckets are involved and no
 * single lock can decide. States of the claim word:
 *
 *   FORMING    the nodes are being queued; the waiter runs
 *   PARKED     the waiter is asleep (a fiber: its stack is saved)
 *   an outcome WOKEN | case << 8, TIMED_OUT, CANCELLED, WITHDRAWN
 *
 * Whoever turns FORMING or PARKED into an outcome by CAS has decided; from PARKED, he also wakes.
 * A waker that loses drops the node and goes on to the next waiter: a wake-up is never spent on
 * somebody who is awake already.
 *
 *   1. claim = FORMING.  (A fiber: ops->prepare(), as in park.c.)
 *   2. For each case: lock its bucket; the word differs: withdraw; else QUEUED, link, unlock.
 *      To withdraw is to claim ourselves. If that fails somebody was first, and his outcome
 *      counts.
 *   3. Thread: CAS FORMING -> PARKED, sleep on the claim word.
 *      Fiber: leave; the successor does the CAS when the stack is saved, and makes the fiber ready
 *      if it fails. No bucket stays locked: the nodes can be found, but nobody wakes from FORMING.
 *   4. Unlink the nodes, each under its bucket's lock. After that no waker can still hold one:
 *      they touch a node, and its claim word, under that lock only.
 *
 * A deadline and a cancel are CASes too. The canceller comes through parked_at (park.c), which is
 * the word of the first case from step 2 to step 4: so it finds this park and no later one.
 *
 * Cost: a lock per case and side, and two CASes; about 40 ns and 25 ns a case. Refused: nodes that
 * share the single-word protocol (needs all buckets locked together, up to 64 of them).
 */
#include "park_lot.h"

#include <errno.h>
#include <moirai/core/internal/noise.h>
#include <moirai/core/observer.h>
#include <moirai/core/os.h>

/* Most selects have few cases; a frame of 6 KiB would be rude to small stacks. */
#define FEW_CASES 8

struct any {
	const moirai_park_case *cases;
	moirai__wait_node *nodes; /* of the cases; a fiber's first case uses the fiber's own node */
	moirai__claim *claim;
	moirai__parker *fiber; /* NULL: a thread */
	unsigned n;
	unsigned queued; /* so many nodes have been queued */
};

static moirai__wait_node *any_node(const struct any *any, unsigned i)
{
	return i == 0 && any->fiber ? &any->fiber->node_ : &any->nodes[i];
}

static void any_node_init(const struct any *any, unsigned i)
{
	moirai__wait_node *node = any_node(any, i);
	/* Relaxed: others look at it under a bucket's lock, and act on QUEUED only. */
	moirai_store_relaxed(&node->state, MOIRAI__NODE_INIT);
	node->kind = any->fiber ? MOIRAI__WAIT_FIBER : MOIRAI__WAIT_THREAD;
	node->flags = MOIRAI__NODE_ANY;
	node->index = (uint16_t)i;
	node->claim = any->claim;
	node->hooks = NULL;
	node->arg = NULL;
	node->since_ns = park_since();
	moirai_store_relaxed(&node->address, any->cases[i].word);
}

static void any_init(struct any *any)
{
	any->claim->fiber = any->fiber;
	/* Relaxed: published by the buckets' locks. */
	moirai_store_relaxed(&any->claim->word, MOIRAI__CLAIM_FORMING);
	for (unsigned i = 0; i < any->n; i++)
		any_node_init(any, i);
}

/* The word is as expected: may the fiber wait for it? Its first case is where cancellers find it. */
static bool any_cancelled(
	moirai__parker *fiber, const moirai__wait_node *node, const uint32_t *word)
{
	bool first = node == &fiber->node_;
	if (first)
		park_announce(fiber, word);
	bool cancelled = fiber->ops->cancelled(fiber);
	if (first && cancelled)
		park_set_parked_at(fiber, NULL);
	return cancelled;
}

static int any_queue_one(struct any *any, unsigned i)
{
	moirai__wait_node *node = any_node(any, i);
	const uint32_t *word = any->cases[i].word;
	moirai__bucket *bucket = park_lock(word);
	int rc = 0;
	/* acquire: pairs with the caller's release that changed the word. */
	if (moirai_load_acquire(word) != any->cases[i].expected)
		rc = -EAGAIN;
	else if (any->fiber && any_cancelled(any->fiber, node, word))
		rc = -ECANCELED;
	if (rc == 0) {
		moirai_store_relaxed(
			&node->state, MOIRAI__NODE_QUEUED); /* Published by the lock. */
		park_push(bucket, node);
		any->queued++;
	}
	park_bucket_release(bucket);
	return rc;
}

/* Queues all cases, unless a word differs or somebody claims us meanwhile. */
static int any_queue(struct any *any)
{
	int rc = 0;
	/* Relaxed: a hint; step 3 decides. */
	for (unsigned i = 0; i < any->n && rc == 0 &&
			     moirai_load_relaxed(&any->claim->word) == MOIRAI__CLAIM_FORMING;
		i++)
		rc = any_queue_one(any, i);
	return rc;
}

static void any_unlink(struct any *any)
{
	for (unsigned i = 0; i < any->queued; i++) {
		moirai__wait_node *node = any_node(any, i);
		moirai__bucket *bucket = park_lock_node(node);
		/* Relaxed: under the lock. */
		if (moirai_load_relaxed(&node->state) == MOIRAI__NODE_QUEUED) {
			park_remove(bucket, node);
			moirai_store_relaxed(&node->state, MOIRAI__NODE_IDLE);
		}
		if (i == 0 && any->fiber)
			park_set_parked_at(any->fiber, NULL);
		park_bucket_release(bucket);
	}
}

static int any_result(const struct any *any, int withdrawn_rc)
{
	/* acquire: pairs with the release in park_claim(); we see what the waker did. */
	uint32_t outcome = moirai_load_acquire(&any->claim->word);
	switch (MOIRAI__NODE_STATE(outcome)) {
	case MOIRAI__NODE_WOKEN:
		return (int)MOIRAI__NODE_REASON(outcome);
	case MOIRAI__NODE_TIMED_OUT:
		return -ETIMEDOUT;
	case MOIRAI__NODE_CANCELLED:
		return -ECANCELED;
	default:
		return withdrawn_rc;
	}
}

static void any_thread_wait(moirai__claim *claim, uint64_t deadline_ns)
{
	uint32_t state = MOIRAI__CLAIM_FORMING;
	/* Relaxed: any_result() reads the outcome with acquire. */
	if (!moirai_cas_relaxed(&claim->word, &state, MOIRAI__CLAIM_PARKED))
		return;
	do {
		int rc = moirai_os_futex_wait(&claim->word, MOIRAI__CLAIM_PARKED, deadline_ns);
		if (rc == -ETIMEDOUT)
			(void)park_claim(claim, MOIRAI__NODE_TIMED_OUT);
	} while (moirai_load_relaxed(&claim->word) == MOIRAI__CLAIM_PARKED);
}

static int any_thread(struct any *any, uint64_t deadline_ns)
{
	any_init(any);
	int rc = any_queue(any);
	MOIRAI_NOISE();
	if (rc == 0)
		any_thread_wait(any->claim, deadline_ns);
	else
		(void)park_claim(any->claim, MOIRAI__CLAIM_WITHDRAWN);
	any_unlink(any);
	return any_result(any, rc);
}

/* The deadline has passed before it began: a look at the words and no more. */
static int any_fiber_late(const struct any *any)
{
	for (unsigned i = 0; i < any->n; i++)
		/* acquire: pairs with the caller's release that changed the word. */
		if (moirai_load_acquire(any->cases[i].word) != any->cases[i].expected)
			return -EAGAIN;
	return any->fiber->ops->cancelled(any->fiber) ? -ECANCELED : -ETIMEDOUT;
}

static int any_fiber(struct any *any, moirai__context *context, uint64_t deadline_ns)
{
	const moirai__context_ops *ops = context->ops;
	if (deadline_ns != MOIRAI_NEVER && deadline_ns <= moirai_now())
		return any_fiber_late(any);
	any_init(any);
	int rc = ops->prepare(context, &any->fiber->node_, deadline_ns);
	if (rc < 0)
		return rc;
	rc = any_queue(any);
	MOIRAI_NOISE();
	if (rc < 0)
		(void)park_claim(any->claim, MOIRAI__CLAIM_WITHDRAWN);
	/* Relaxed: if it is FORMING by an old look, the successor's CAS will tell. */
	if (moirai_load_relaxed(&any->claim->word) == MOIRAI__CLAIM_FORMING) {
		ops->leave(context, &any->fiber->node_,
			(moirai__park_ticket)any->fiber | PARK_TICKET_ANY);
		if (deadline_ns != MOIRAI_NEVER)
			ops->resumed(&any->fiber->node_);
	} else {
		ops->abandon(context, &any->fiber->node_);
	}
	any_unlink(any);
	return any_result(any, rc);
}

void park_any_left(moirai__parker *fiber)
{
	uint32_t state = MOIRAI__CLAIM_FORMING;
	/*
	 * Success, release: pairs with the acquire in park_claim(); the claimer finds a saved stack.
	 * Failure: claimed meanwhile, by somebody who knew that it was awake and left the rest to us.
	 */
	if (!moirai_cas_release(&fiber->claim_.word, &state, MOIRAI__CLAIM_PARKED))
		fiber->ops->ready(fiber);
}

static int any_wait(struct any *any, uint64_t deadline_ns)
{
	moirai__claim claim;
	moirai__context *context = moirai__context_current();
	any->queued = 0;
	MOIRAI_OBSERVE(MOIRAI_EVENT_PARK, any->cases[0].word);
	any->fiber = context ? context->fiber : NULL;
	any->claim = any->fiber ? &any->fiber->claim_ : &claim;
	return any->fiber ? any_fiber(any, context, deadline_ns) : any_thread(any, deadline_ns);
}

static MOIRAI_NOINLINE int any_few(const moirai_park_case *cases, unsigned n, uint64_t deadline_ns)
{
	moirai__wait_node nodes[FEW_CASES];
	struct any any = {.cases = cases, .nodes = nodes, .n = n};
	return any_wait(&any, deadline_ns);
}

static MOIRAI_NOINLINE int any_many(const moirai_park_case *cases, unsigned n, uint64_t deadline_ns)
{
	moirai__wait_node nodes[MOIRAI_PARK_CASES_MAX];
	struct any any = {.cases = cases, .nodes = nodes, .n = n};
	return any_wait(&any, deadline_ns);
}

int moirai_park_any(const moirai_park_case *cases, unsigned n, uint64_t deadline_ns)
{
	if (!cases || n == 0 || n > MOIRAI_PARK_CASES_MAX)
		return -EINVAL;
	for (unsigned i = 0; i < n; i++)
		if (!cases[i].word)
			return -EINVAL;
	return n <= FEW_CASES ? any_few(cases, n, deadline_ns) : any_many(cases, n, deadline_ns);
}
