/* SPDX-License-Identifier: MIT */
/*
 * Selectable: what can be waited for together. Channels, timers, joins, futures and I/O readiness
 * implement these three functions; moirai_select() knows nothing else, so that they meet in it
 * without knowing one another.
 *
 * The way of a select over n sources:
 *
 *   1. try_take() each, from a random start: 0 ends the select.
 *   2. register_arm() each: the source counts the waiter and names a word and its present value.
 *      -EAGAIN: it is ready by now, go to 4.
 *   3. try_take() each again, then moirai_park_any() over the words.
 *   4. try_take() the arm that was woken, then the others; unregister_arm() every registered arm,
 *      and say by `flags` which wake-up was spent in vain. Nothing taken: again from 2.
 *
 * Why no wake-up is lost: the source changes the word before it unparks it, and the value was read
 * at registration, before the second try. A change before that reading is seen by the second try;
 * a change after it makes park_any refuse, or unpark it. Why none is wasted: a source that wakes one
 * waiter per item wakes the next one when unregister_arm() reports MOIRAI_ARM_WOKEN without
 * MOIRAI_ARM_TAKEN.
 *
 * All functions: any thread or task, several at once. None of them parks.
 */
#ifndef MOIRAI_CORE_SELECTABLE_H
#define MOIRAI_CORE_SELECTABLE_H

#include <errno.h>
#include <moirai/core/base.h>
#include <moirai/core/park.h>

MOIRAI_BEGIN_DECLS

typedef struct moirai_selectable moirai_selectable;

typedef enum moirai_arm_flags {
	MOIRAI_ARM_REGISTERED = 1, /* set and cleared by the inline functions below */
	MOIRAI_ARM_WOKEN = 2,      /* park_any returned this arm */
	MOIRAI_ARM_TAKEN = 4,      /* ... and try_take() on it succeeded or found it closed */
} moirai_arm_flags;

/* One waiter on one source; in the frame of the select, from register to unregister. */
typedef struct moirai_arm {
	moirai_park_case wait; /* filled by register_arm(): where to park */
	uint32_t flags;
	uint32_t reserved_;
	void *source_[2]; /* the source's own, while registered */
} moirai_arm;

typedef struct moirai_selectable_ops {
	/*
	 * Takes what is there into *item (what that is, the source says; NULL: drop it). 0; -EAGAIN:
	 * nothing yet; -EPIPE: nothing, and there will be nothing: the source is closed (a closed source
	 * is ready, for ever); other errors are the source's and end the select too.
	 */
	int (*try_take)(moirai_selectable *source, void *item);
	/*
	 * Counts a waiter and fills arm->wait: from now on every change that could make try_take()
	 * succeed changes *arm->wait.word and unparks it. 0; -EAGAIN: ready now, nothing was registered;
	 * -EOVERFLOW: too many waiters.
	 */
	int (*register_arm)(moirai_selectable *source, moirai_arm *arm);
	/*
	 * The waiter is gone; arm and word may not be touched afterwards. When arm->flags says woken
	 * but not taken, the wake-up goes to another waiter, if the source wakes one at a time.
	 */
	void (*unregister_arm)(moirai_selectable *source, moirai_arm *arm);
} moirai_selectable_ops;

/* The head of everything selectable. Set once, before anybody else sees the source. */
struct moirai_selectable {
	const moirai_selectable_ops *ops;
};

/** try_take() of the source; -EINVAL for NULL. Never blocks. */
static inline int moirai_selectable_try_take(moirai_selectable *source, void *item)
{
	return source ? source->ops->try_take(source, item) : -EINVAL;
}

/** Registers an arm (its contents are set here); -EINVAL for NULL. Never blocks or allocates. */
static inline int moirai_selectable_register(moirai_selectable *source, moirai_arm *arm)
{
	if (!source || !arm)
		return -EINVAL;
	arm->wait.word = NULL;
	arm->wait.expected = 0;
	arm->flags = 0;
	arm->reserved_ = 0;
	arm->source_[0] = arm->source_[1] = NULL;
	int status = source->ops->register_arm(source, arm);
	if (status == 0)
		arm->flags |= MOIRAI_ARM_REGISTERED;
	return status;
}

/** Ends a registration; -EINVAL for NULL, -ENOENT for an arm that is not registered. */
static inline int moirai_selectable_unregister(moirai_selectable *source, moirai_arm *arm)
{
	if (!source || !arm)
		return -EINVAL;
	if (!(arm->flags & MOIRAI_ARM_REGISTERED))
		return -ENOENT;
	source->ops->unregister_arm(source, arm);
	arm->flags = 0;
	return 0;
}

MOIRAI_END_DECLS

#endif
