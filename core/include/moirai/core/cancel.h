/* SPDX-License-Identifier: MIT */
/*
 * Cancellation tokens: one bit that goes from "live" to "cancelled", once, and takes everything
 * below it along.
 *
 * A token is counted: create gives the caller one reference, moirai_cancel_ref() takes another,
 * moirai_cancel_destroy() gives one back. A child keeps its parent alive. Cancelling a token cancels
 * its descendants; it never touches its parent. It is level-triggered: who looks late sees it.
 *
 *   moirai_cancel *all, *one;
 *   moirai_cancel_create(&all, NULL);
 *   moirai_cancel_create(&one, all);
 *   moirai_cancel_request(all, 0);                  // `one` is cancelled too
 *   if (moirai_cancel_requested(one)) ...           // one load
 *   moirai_cancel_destroy(one); moirai_cancel_destroy(all);
 *
 * A NULL token is a token that is never cancelled, so "no token" needs no branch in the caller.
 * Every function may be called from any thread or task unless it says otherwise.
 */
#ifndef MOIRAI_CORE_CANCEL_H
#define MOIRAI_CORE_CANCEL_H

#include <errno.h>
#include <moirai/core/atomic.h>
#include <moirai/core/base.h>
#include <moirai/core/clock.h>
#include <moirai/core/task.h>

MOIRAI_BEGIN_DECLS

/* The head of a token; the rest of it is private. */
struct moirai_cancel {
	uint32_t state_; /* 0: live; else the reason, a negative status as 32 bits. Parkable. */
};

/* Tokens of one tree, the root included: a bound on the time that the tree's lock is held. */
#define MOIRAI_CANCEL_TREE_MAX (1u << 20)

/**
 * Makes a live token below `parent` (NULL: a root of its own). A child of a cancelled parent is
 * born cancelled, for the parent's reason. The child inherits the parent's deadline.
 *
 * 0; -EINVAL: token is NULL; -ENOMEM; -EOVERFLOW: the tree has MOIRAI_CANCEL_TREE_MAX tokens.
 * Allocates. The caller owns one reference.
 */
MOIRAI_API int moirai_cancel_create(moirai_cancel **token, moirai_cancel *parent);

/**
 * As moirai_cancel_create(), with a deadline (absolute): the token's is the earlier one of this and
 * the parent's, and never changes. core has no timer: a deadline takes effect in
 * moirai_cancel_check(), in moirai_cancel_wait_until(), and where an executor arms a timer for it.
 */
MOIRAI_API int moirai_cancel_create_until(
	moirai_cancel **token, moirai_cancel *parent, uint64_t deadline_ns);

/** Takes one more reference, returns its argument. NULL gives NULL. Does not block. */
MOIRAI_API moirai_cancel *moirai_cancel_ref(moirai_cancel *token);

/**
 * Gives one reference back; the last one frees the token, and perhaps ancestors that it alone kept.
 * It does not cancel anything. NULL is fine. Registered callbacks hold a reference of their own.
 */
MOIRAI_API void moirai_cancel_destroy(moirai_cancel *token);

/**
 * Cancels the token and its descendants, then calls the callbacks registered with them, in the order
 * of registration within a token, ancestors first, on the calling thread. `reason` is a negative
 * status; 0 stands for -ECANCELED.
 *
 * 0: this call cancelled it, and all callbacks that it took have returned; -EALREADY: it was
 * cancelled before (the first reason stays; another thread may still be calling callbacks);
 * -EINVAL: token is NULL or reason is positive. Never allocates; holds the tree's lock for the walk
 * over the descendants. Not from a signal handler.
 */
MOIRAI_API int moirai_cancel_request(moirai_cancel *token, int reason);

/** Is it cancelled? One acquire load, which pairs with the cancelling store. NULL: false. */
static inline bool moirai_cancel_requested(const moirai_cancel *token)
{
	/* acquire: pairs with the release in moirai_cancel_request(); what came before it is seen. */
	return token && MOIRAI_UNLIKELY(moirai_load_acquire(&token->state_) != 0);
}

/** 0 while it is live, else the reason (negative). One load. NULL: 0. */
static inline int moirai_cancel_reason(const moirai_cancel *token)
{
	/* acquire: as in moirai_cancel_requested(). */
	return token ? (int)(int32_t)moirai_load_acquire(&token->state_) : 0;
}

/**
 * As moirai_cancel_reason(), and looks at the deadline too: when it has passed, the token is
 * cancelled by this call with -ETIMEDOUT. Reads the clock if there is a deadline (22 ns).
 */
MOIRAI_API int moirai_cancel_check(moirai_cancel *token);

/** The deadline, absolute in ns; MOIRAI_NEVER without one and for NULL. One load. */
MOIRAI_API uint64_t moirai_cancel_deadline(const moirai_cancel *token);

/* What is called when a token is cancelled. `reason` is negative. May not park and must be short. */
typedef void (*moirai_cancel_fn)(void *self, int reason);

/* A registration; the caller's memory, the library's from register to unregister. Zeroed is fine. */
typedef struct moirai_cancel_callback {
	struct moirai_cancel_callback *next_, *previous_;
	moirai_cancel *token_;
	moirai_cancel_fn fn_;
	void *self_;
	void *frame_;    /* of the running call */
	uint32_t state_; /* the automaton in core/src/cancel.c */
	uint32_t pad_;
} moirai_cancel_callback;

/**
 * Has fn(self, reason) called, at most once, when the token is cancelled, by whoever cancels it.
 * Each registration that succeeds ends with exactly one moirai_cancel_unregister(), called or not;
 * until then it holds a reference to the token, and `callback` stays where it is.
 *
 * 0: registered; -ECANCELED: the token is cancelled already, nothing was registered and nothing will
 * be called; -EBUSY: it is registered already; -EINVAL: an argument is NULL. Never allocates; takes
 * the tree's lock: siblings of one tree contend for it.
 */
MOIRAI_API int moirai_cancel_register(
	moirai_cancel *token, moirai_cancel_callback *callback, moirai_cancel_fn fn, void *self);

/**
 * Ends a registration. When it returns the callback does not run and will not: its memory is the
 * caller's again. A call in progress on another thread is waited for, by a cancelled task too; from
 * inside the callback itself it returns at once, and the memory may be freed there.
 *
 * 0: it was not called and will not be; -EALREADY: it was called (or is, by the caller);
 * -EINVAL: NULL or not registered.
 */
MOIRAI_API int moirai_cancel_unregister(moirai_cancel_callback *callback);

/** The same without waiting: -EBUSY, and still registered, while it runs on another thread. */
MOIRAI_API int moirai_cancel_try_unregister(moirai_cancel_callback *callback);

/**
 * Waits until the token is cancelled; a task parks, a thread sleeps. A deadline of the token that
 * passes cancels it, as moirai_cancel_check() does.
 *
 * 0: the token is cancelled; -ETIMEDOUT: deadline_ns passed first; -ECANCELED: it is not, but the
 * calling task itself is. NULL waits for the deadline alone. Never allocates.
 */
MOIRAI_API int moirai_cancel_wait_until(moirai_cancel *token, uint64_t deadline_ns);

MOIRAI_END_DECLS

#endif
