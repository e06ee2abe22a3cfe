/* SPDX-License-Identifier: MIT */
/*
 * Planted bugs in memory: publication, reclamation, recycling. A stack with recycled nodes (ABA), a
 * queue with epochs (Michael and Scott; Fraser), a reference count, and the allocator's own checks.
 */
#include <errno.h>
#include <string.h>

#include "model.h"
#include <moirai/core/alloc.h>
#include <moirai/core/atomic.h>
#include <moirai/core/os.h>

/* --- a Treiber stack over a fixed set of nodes; 1: the head has no version --- */

#define NODES 3

static uint64_t head; /* version << 8 | index, 0: empty */
static uint32_t next[NODES + 1];
static uint32_t holders[NODES + 1];

static void stack_push(uint32_t node)
{
	uint64_t seen = moirai_load_relaxed(&head);
	uint64_t wanted;
	do {
		moirai_store_relaxed(&next[node], (uint32_t)(seen & 0xff));
		wanted = ((seen & ~0xffull) + (model_bug(1) ? 0 : 0x100)) | node;
	} while (!moirai_cas_weak_release(&head, &seen, wanted));
}

static uint32_t stack_pop(void)
{
	uint64_t seen = moirai_load_acquire(&head);
	while (seen & 0xff) {
		uint32_t after = moirai_load_relaxed(&next[seen & 0xff]);
		uint64_t wanted = ((seen & ~0xffull) + (model_bug(1) ? 0 : 0x100)) | after;
		if (moirai_cas_weak_acquire(&head, &seen, wanted))
			return (uint32_t)(seen & 0xff);
		/* The failed one was relaxed: the links behind what it saw may not be readable. 2: so what. */
		if (!model_bug(2))
			seen = moirai_load_acquire(&head);
	}
	return 0;
}

/* A node belongs to whoever popped it, and to nobody else. */
static uint32_t own(uint32_t node)
{
	if (node)
		MODEL_CHECK(moirai_fetch_add_relaxed(&holders[node], 1) == 0);
	return node;
}

static void disown(uint32_t node)
{
	if (!node)
		return;
	moirai_fetch_sub_relaxed(&holders[node], 1);
	stack_push(node);
}

static void recycler(void *arg)
{
	uint32_t first = own(stack_pop());
	(void)own(stack_pop());
	disown(first);
}

static void stack_of_recycled_nodes(void)
{
	model_name(&head, "head");
	model_name_array(next, sizeof(next[0]), NODES + 1, "next");
	for (uint32_t i = 1; i <= NODES; i++)
		stack_push(i);
	model_thread(recycler, NULL);
	(void)own(stack_pop());
	(void)own(stack_pop());
	model_join_all();
}

/* --- a queue with three epochs --- */

enum {
	BUG_PIN_FENCE = 1, /* no fence after the pin is announced */
	BUG_LINK_RELAXED,  /* a node is linked without release */
	BUG_FREE_AT_ONCE,  /* retired nodes are freed at once */
	BUG_ONE_EPOCH,     /* ... or one epoch too early */
	BUG_PIN_RELAXED,   /* the pin is announced without release: breaks what unpin published */
	BUG_UNPIN_RELAXED, /* unpin does not release */
	BUG_NO_ACQUIRE,    /* advance does not acquire what unpin released */
};

#define PARTIES 3

struct node {
	int value;
	struct node *next;
};

static struct node *first, *last;
static uint32_t epoch;
static uint32_t pinned[PARTIES]; /* 0, or epoch * 2 + 1 */
static struct node *bag[PARTIES][4];
static uint32_t bag_epoch[PARTIES][4];
static unsigned bag_count[PARTIES];
static uint32_t delivered[PARTIES + 1];

static void pin(int me)
{
	uint32_t now = moirai_load_relaxed(&epoch);
	/*
	 * release, although nothing new is published: who reads this value instead of the 0 that unpin
	 * stored must still see that the accesses of the last critical section are over.
	 */
	if (model_bug(BUG_PIN_RELAXED))
		moirai_store_relaxed(&pinned[me], now * 2 + 1);
	else
		moirai_store_release(&pinned[me], now * 2 + 1);
	if (!model_bug(BUG_PIN_FENCE))
		moirai_fence_seq_cst(); /* pairs with the one in advance() */
}

static void unpin(int me)
{
	if (model_bug(BUG_UNPIN_RELAXED))
		moirai_store_relaxed(&pinned[me], 0);
	else
		moirai_store_release(&pinned[me], 0);
}

static void advance(void)
{
	uint32_t now = moirai_load_relaxed(&epoch);
	moirai_fence_seq_cst(); /* pairs with the one in pin() */
	for (int i = 0; i < PARTIES; i++) {
		uint32_t p = moirai_load_relaxed(&pinned[i]);
		if ((p & 1) && p / 2 != now)
			return;
	}
	if (!model_bug(BUG_NO_ACQUIRE))
		moirai_fence_acquire();
	moirai_cas_release(&epoch, &now, now + 1);
}

static void retire(int me, struct node *n)
{
	if (model_bug(BUG_FREE_AT_ONCE)) {
		moirai_free(n);
		return;
	}
	unsigned i = bag_count[me]++;
	bag[me][i] = n;
	bag_epoch[me][i] = moirai_load_relaxed(&epoch);
}

static void collect(int me)
{
	uint32_t now = moirai_load_acquire(&epoch);
	for (unsigned i = 0; i < bag_count[me]; i++) {
		if (!bag[me][i] || now - bag_epoch[me][i] < (model_bug(BUG_ONE_EPOCH) ? 1 : 2))
			continue;
		moirai_free(bag[me][i]);
		bag[me][i] = NULL;
	}
}

static struct node *node_create(int value)
{
	struct node *n = moirai_alloc(sizeof(*n));
	MOIRAI_WR(n->value) = value;
	n->next = NULL;
	return n;
}

static void enqueue(int me, int value)
{
	pin(me);
	/* Behind the fence of pin(), which would publish the node by itself. */
	struct node *n = node_create(value);
	for (;;) {
		struct node *tail = moirai_load_acquire(&last);
		struct node *after = moirai_load_acquire(&tail->next);
		if (after) {
			moirai_cas_release(&last, &tail, after);
			continue;
		}
		bool linked = model_bug(BUG_LINK_RELAXED)
				      ? moirai_cas_relaxed(&tail->next, &after, n)
				      : moirai_cas_release(&tail->next, &after, n);
		if (!linked)
			continue;
		if (model_bug(BUG_LINK_RELAXED))
			moirai_cas_relaxed(&last, &tail, n);
		else
			moirai_cas_release(&last, &tail, n);
		break;
	}
	unpin(me);
}

static int dequeue(int me)
{
	int value = 0;
	struct node *old = NULL;
	pin(me);
	for (;;) {
		struct node *dummy = moirai_load_acquire(&first);
		struct node *after = moirai_load_acquire(&dummy->next);
		if (!after)
			break;
		struct node *tail = moirai_load_relaxed(&last);
		if (tail == dummy) {
			moirai_cas_release(&last, &tail, after);
			continue;
		}
		if (moirai_cas_release(&first, &dummy, after)) {
			value = MOIRAI_RD(after->value);
			old = dummy;
			break;
		}
	}
	if (old)
		retire(me, old);
	unpin(me);
	if (old) {
		advance();
		advance();
		collect(me);
	}
	return value;
}

static void deliver(int value)
{
	if (value)
		MODEL_CHECK(moirai_fetch_add_relaxed(&delivered[value], 1) == 0);
}

static void queue_user(void *arg)
{
	int me = (int)(intptr_t)arg;
	enqueue(me, me + 1);
	deliver(dequeue(me));
}

static void queue_with_epochs(void)
{
	model_name(&first, "first");
	model_name(&last, "last");
	model_name(&epoch, "epoch");
	model_name_array(pinned, sizeof(pinned[0]), PARTIES, "pinned");
	first = last = node_create(0);
	model_thread(queue_user, (void *)0);
	model_thread(queue_user, (void *)1);
	model_join_all();
	for (int value; (value = dequeue(2));)
		deliver(value);
	MODEL_CHECK(delivered[1] == 1 && delivered[2] == 1);
}

/* --- the same epochs, with somebody who only looks, again and again --- */

static void watcher(void *arg)
{
	for (int i = 0; i < 3; i++) {
		pin(0);
		struct node *dummy = moirai_load_acquire(&first);
		(void)moirai_load_acquire(&dummy->next);
		unpin(0);
	}
}

static void epochs_and_a_watcher(void)
{
	model_name(&first, "first");
	model_name(&epoch, "epoch");
	model_name_array(pinned, sizeof(pinned[0]), PARTIES, "pinned");
	first = last = node_create(0);
	enqueue(1, 1);
	enqueue(1, 2);
	model_thread(watcher, NULL);
	deliver(dequeue(1));
	deliver(dequeue(1));
	model_join_all();
	MODEL_CHECK(delivered[1] == 1 && delivered[2] == 1);
}

/* --- a reference count; 1: relaxed decrement, 2: one reference too few, 3: one too many --- */

struct counted {
	uint32_t references;
	int value;
};

static void put(struct counted *c)
{
	if (model_bug(1)) {
		if (moirai_fetch_sub_relaxed(&c->references, 1) == 1)
			moirai_free(c);
		return;
	}
	if (moirai_fetch_sub_release(&c->references, 1) != 1)
		return;
	moirai_fence_acquire(); /* pairs with the releases of the other holders */
	moirai_free(c);
}

static void holder(void *arg)
{
	struct counted *c = arg;
	MODEL_CHECK(MOIRAI_RD(c->value) == 7);
	put(c);
}

static void reference_count(void)
{
	struct counted *c = moirai_alloc(sizeof(*c));
	c->references = model_bug(2) ? 2 : model_bug(3) ? 4 : 3;
	MOIRAI_WR(c->value) = 7;
	model_thread(holder, c);
	model_thread(holder, c);
	holder(c);
	model_join_all();
}

/* --- publication of fresh memory; 1: by a relaxed store --- */

static struct counted *published;

static void publisher(void *arg)
{
	struct counted *c = moirai_alloc(sizeof(*c));
	c->references = 1; /* not marked: what finds the bug is the block, not the field */
	if (model_bug(1))
		moirai_store_relaxed(&published, c);
	else
		moirai_store_release(&published, c);
}

static void publication(void)
{
	int other = model_thread(publisher, NULL);
	struct counted *c = moirai_load_acquire(&published);
	if (c)
		MODEL_CHECK(moirai_load_relaxed(&c->references) == 1);
	model_join(other);
	moirai_free(published);
}

/* --- what an allocator can be asked to check --- */

static void use_of_memory(void)
{
	char *p = moirai_alloc(24);
	uint32_t *word = (uint32_t *)(void *)p;
	if (model_bug(1)) {
		moirai_free(p);
		moirai_store_relaxed(word, 1);
	}
	if (model_bug(2)) {
		moirai_free(p);
		moirai_free(p);
	}
	if (model_bug(3))
		moirai_store_relaxed(word + 6, 1);
	if (model_bug(4))
		return;
	if (model_bug(5))
		moirai_free(p + 8);
	if (model_bug(6))
		(void)moirai_load_relaxed((uint32_t *)NULL);
	if (model_bug(7))
		*(volatile int *)(uintptr_t)*word = 0; /* fresh memory is not zero */
	p = moirai_realloc(p, 100);
	char *zero = moirai_alloc_zeroed(10, 10), *aligned = moirai_alloc_aligned(10, 256);
	MODEL_CHECK(zero[99] == 0 && (uintptr_t)aligned % 256 == 0);
	MODEL_CHECK(moirai_alloc_zeroed(SIZE_MAX / 2, 3) == NULL && moirai_alloc(0) == NULL);
	moirai_free(NULL);
	moirai_free(zero);
	moirai_free(aligned);
	moirai_free(p);
}

/* --- an allocation fails by choice; 1: nobody looks --- */

static void failing_allocation(void)
{
	uint32_t *a = moirai_alloc(16);
	uint32_t *b = a ? moirai_alloc(16) : NULL;
	if (!model_bug(1) && !b) {
		moirai_free(a);
		model_count("failures");
		return;
	}
	moirai_store_relaxed(b, 1);
	moirai_free(a);
	moirai_free(b);
}

/* --- a race on a plain field, and one that a lock would prevent --- */

static int field;
static uint32_t baton;

static void racer(void *arg)
{
	if (!model_bug(1))
		while (!moirai_load_acquire(&baton))
			moirai_cpu_relax();
	MOIRAI_WR(field) = 2;
}

static void plain_field(void)
{
	model_name(&field, "field");
	model_thread(racer, NULL);
	MOIRAI_WR(field) = 1;
	moirai_store_release(&baton, 1);
	model_join_all();
	MODEL_CHECK(MOIRAI_RD(field) == 2);
}

#define LONG .limit = 1000000

MODEL_MAIN(MODEL_CLEAN(stack_of_recycled_nodes, .exhaust = true, .bound = 3, LONG),
	MODEL_CLEAN(stack_of_recycled_nodes, .exhaust = true, .weak_cas_fails = 1, LONG),
	MODEL_FINDS(stack_of_recycled_nodes, 1, "holders[node]"),
	MODEL_FINDS(stack_of_recycled_nodes, 2, "holders[node]"),
	MODEL_CLEAN(queue_with_epochs, .exhaust = true, LONG, .leaks_allowed = true),
	MODEL_CLEAN(queue_with_epochs, .modes = MODEL_PCT | MODEL_RANDOM, .limit = 500000,
		.leaks_allowed = true),
	MODEL_FINDS(queue_with_epochs, BUG_PIN_FENCE, "free", .leaks_allowed = true,
		.modes = MODEL_DFS | MODEL_PCT),
	MODEL_FINDS(queue_with_epochs, BUG_LINK_RELAXED, "unpublished", .leaks_allowed = true),
	MODEL_FINDS(queue_with_epochs, BUG_FREE_AT_ONCE, "free", .leaks_allowed = true),
	MODEL_FINDS(queue_with_epochs, BUG_ONE_EPOCH, "free", .leaks_allowed = true,
		.modes = MODEL_DFS | MODEL_PCT),
	MODEL_CLEAN(epochs_and_a_watcher, .exhaust = true, .bound = 3, LONG, .leaks_allowed = true),
	MODEL_FINDS(epochs_and_a_watcher, BUG_PIN_RELAXED, "not ordered", .bound = 3,
		.leaks_allowed = true),
	MODEL_FINDS(epochs_and_a_watcher, BUG_ONE_EPOCH, "", .leaks_allowed = true),
	MODEL_FINDS(queue_with_epochs, BUG_UNPIN_RELAXED, "not ordered", .leaks_allowed = true),
	MODEL_FINDS(queue_with_epochs, BUG_NO_ACQUIRE, "not ordered", .leaks_allowed = true),
	MODEL_CLEAN(reference_count, .exhaust = true, .bound = 4, LONG),
	MODEL_FINDS(reference_count, 1, "not ordered after an access"),
	MODEL_FINDS(reference_count, 2, "use after free of block#1"),
	MODEL_FINDS(reference_count, 3, "leak: 1 blocks"),
	MODEL_CLEAN(publication, .exhaust = true, .bound = MODEL_BOUND_NONE),
	MODEL_FINDS(publication, 1, "unpublished memory"),
	MODEL_CLEAN(use_of_memory, .exhaust = true),
	MODEL_FINDS(use_of_memory, 1, "use after free of block#1"),
	MODEL_FINDS(use_of_memory, 2, "double free of block#1"),
	MODEL_FINDS(use_of_memory, 3, "out of bounds"), MODEL_FINDS(use_of_memory, 4, "leak"),
	MODEL_FINDS(use_of_memory, 5, "not allocated"),
	MODEL_FINDS(use_of_memory, 6, "null pointer"),
	MODEL_FINDS(use_of_memory, 7, "crash: signal 11"),
	MODEL_CLEAN(failing_allocation, .exhaust = true, .alloc_fails = 2),
	MODEL_FINDS(failing_allocation, 1, "null pointer", .alloc_fails = 1),
	MODEL_CLEAN(plain_field, .exhaust = true, .bound = MODEL_BOUND_NONE),
	MODEL_FINDS(plain_field, 1, "data race on field"), )
