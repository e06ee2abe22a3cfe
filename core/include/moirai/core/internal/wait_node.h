/* SPDX-License-Identifier: MIT */
/* Unstable. The node of one waiter on one word. core/DESIGN.md, "Park", has the protocol. */
#ifndef MOIRAI_CORE_INTERNAL_WAIT_NODE_H
#define MOIRAI_CORE_INTERNAL_WAIT_NODE_H

#include <moirai/core/base.h>

MOIRAI_BEGIN_DECLS

struct moirai__parker;
struct moirai__claim;
struct moirai__park_hooks;

typedef enum moirai__wait_kind {
	MOIRAI__WAIT_THREAD, /* sleeps on the futex `state` (of a park_any: on its claim word) */
	MOIRAI__WAIT_FIBER,  /* its executor makes it ready */
	MOIRAI__WAIT_WAKER,  /* a function is called */
} moirai__wait_kind;

/* Flags of a node. ANY never changes while the node is queued. */
#define MOIRAI__NODE_ANY 1u /* one of several: whoever wins the claim word by CAS may wake */

/*
 * States of a node, in its low byte; the waker's reason is above it. Changed under the lock of the
 * bucket of `address`, except: the owner's IDLE -> INIT, and a thread's own QUEUED -> SLEEPING (CAS).
 * The claim word of a park_any uses the same names, FORMING and PARKED beside them.
 */
enum {
	MOIRAI__NODE_IDLE = 0,
	MOIRAI__NODE_INIT = 1,      /* the owner prepares; not in a queue; a deadline may fire */
	MOIRAI__NODE_QUEUED = 2,    /* in the queue of `address` */
	MOIRAI__NODE_SLEEPING = 3,  /* the same, and its thread is in the futex */
	MOIRAI__NODE_WOKEN = 4,     /* taken out by a waker */
	MOIRAI__NODE_TIMED_OUT = 5, /* taken out by its deadline */
	MOIRAI__NODE_CANCELLED = 6, /* taken out by a cancel or a shutdown */
	MOIRAI__CLAIM_FORMING = 7,  /* park_any: its nodes are being queued, its stack is in use */
	MOIRAI__CLAIM_PARKED = 8,   /* park_any: asleep; who claims it has to wake it */
	MOIRAI__CLAIM_WITHDRAWN = 9, /* park_any: a word differed, it claimed itself */
};
#define MOIRAI__NODE_STATE(word)   ((word) & 0xffu)
#define MOIRAI__NODE_REASON(word)  ((word) >> 8)
#define MOIRAI__NODE_REASON_MAX    0xffffu

/*
 * On the stack of a waiting thread, in the memory of a waiting fiber (type-stable), or the caller's
 * (wakers). Two levels of lists: the first waiter of each address is the head of its group and has a
 * place in the bucket's list of groups; the others stand behind it in the order of their arrival.
 */
typedef struct moirai__wait_node {
	struct moirai__wait_node *next, *prev;             /* waiters of the same address */
	struct moirai__wait_node *group_next, *group_prev; /* heads only: other addresses */
	struct moirai__wait_node *tail;                    /* heads only: the last of the group */
	const uint32_t *address; /* atomic; a requeue changes it under both buckets' locks */
	uint32_t state;          /* atomic */
	uint8_t kind;            /* moirai__wait_kind */
	uint8_t flags;
	uint16_t index;          /* ANY: which case */
	union {
		struct moirai__parker *fiber;         /* FIBER */
		void (*wake)(void *arg);             /* WAKER */
		struct moirai__claim *claim;         /* ANY, of a thread or a fiber */
	};
	const struct moirai__park_hooks *hooks; /* NULL: a plain park */
	void *arg;                              /* of the hooks, or of `wake` */
	uint64_t since_ns;                      /* when it was queued; 0: not recorded */
} moirai__wait_node;

/* One per park_any: in the fiber, or on the thread's stack (its futex then). */
typedef struct moirai__claim {
	uint32_t word; /* atomic; CLAIM_FORMING, CLAIM_PARKED, or how it ended */
	struct moirai__parker *fiber; /* NULL: a thread */
} moirai__claim;

MOIRAI_END_DECLS

#endif
