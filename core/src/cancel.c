/* SPDX-License-Identifier: MIT */
/*
 * Cancellation tokens.
 *
 * A token's state is one word: 0 while it is live, then the reason, for ever. The word is written
 * under the tree's lock and read without it. One lock per tree, in its root, orders everything else:
 * the links between tokens, the lists of callbacks, and the life of each callback:
 *
 *   IDLE       not registered                                register: IDLE -> REGISTERED
 *   REGISTERED in the list of its token, or in the list of a canceller that is about to call it
 *   RUNNING    taken out, being called without the lock       canceller: REGISTERED -> RUNNING
 *   CALLED     the call has returned                          canceller: RUNNING -> CALLED
 *   unregister: REGISTERED -> IDLE (0), CALLED -> IDLE (-EALREADY)
 *
 * Invariants: a child of a cancelled token is cancelled, and a child's deadline is not later than its
 * parent's, so a walk leaves out what lies below a cancelled token. A cancelled token has no callback
 * in its own list.
 *
 * Cancel: 1. Under the lock, walk down from the token: store the state, move the callbacks in one
 * step (the lists are rings) to a ring on the canceller's stack. 2. Take the first callback of that
 * ring, mark it RUNNING with a frame that names the thread, drop the lock, call, take the lock,
 * mark it CALLED unless it has ended itself. Repeat. Because the ring is doubly linked, unregister
 * takes a callback out of either ring without knowing which one it is in.
 *
 * Exactly once: only the one who takes it out of a ring calls it. No late registration is lost:
 * register and create look at the state under the lock under which it is stored.
 *
 * Lifetime: a child holds its parent, a registration its token, and a canceller the token that it
 * cancels, so the root, and with it the lock, outlives whoever is in here. A token whose last
 * reference is gone may still be met by a walk until it is unlinked: it has no callbacks then.
 *
 * Waiting (wait_until) is a callback on the waiter's stack that unparks it: one mechanism, one proof.
 * Waiting for a running callback (unregister) parks on its state; a task that is itself cancelled
 * cannot park, so it sleeps in short steps: the callback is short by contract.
 *
 * Cost: a check is a load. Register and unregister are one lock each; cancel walks the descendants
 * under the lock. Refused: a lock per token (hand-over-hand down the walk, and a lock order between
 * parent and child that destroy has to take the other way round), and a lock-free list of callbacks
 * (unregister would have to wait for every canceller). The callback's contract is that of C++20's
 * std::stop_callback (P0660).
 */
#include <moirai/core/cancel.h>

#include <string.h>

#include <moirai/core/alloc.h>
#include <moirai/core/internal/lock.h>
#include <moirai/core/internal/noise.h>
#include <moirai/core/internal/status.h>
#include <moirai/core/observer.h>
#include <moirai/core/os.h>
#include <moirai/core/park.h>

enum { CALLBACK_IDLE, CALLBACK_REGISTERED, CALLBACK_RUNNING, CALLBACK_CALLED };

struct cancel_token {
	moirai_cancel head;
	uint32_t refs; /* atomic */
	uint64_t deadline_ns;
	struct cancel_token *root, *parent;
	/* Under the root's lock. */
	struct cancel_token *child, *next, *previous;
	moirai_cancel_callback
		ring; /* next_ and previous_ alone; registered callbacks, oldest first */
	/* Of the root. */
	moirai__lock lock;
	uint32_t tokens;
};

/* On the stack of the thread that runs a callback. */
struct cancel_frame {
	uint64_t thread;
	bool ended;  /* the callback has unregistered itself: its memory is gone */
	bool waited; /* somebody parks on its state */
};

/* How long a cancelled task sleeps between two looks at a running callback. */
#define CANCEL_LOOK_NS (20 * MOIRAI_US)

static struct cancel_token *cancel_token_of(const moirai_cancel *token)
{
	return MOIRAI_CONTAINER_OF(token, struct cancel_token, head);
}

static void cancel_ring_init(moirai_cancel_callback *ring)
{
	ring->next_ = ring->previous_ = ring;
}

static void cancel_ring_append(moirai_cancel_callback *ring, moirai_cancel_callback *callback)
{
	callback->next_ = ring;
	callback->previous_ = ring->previous_;
	ring->previous_->next_ = callback;
	ring->previous_ = callback;
}

static void cancel_ring_remove(moirai_cancel_callback *callback)
{
	callback->next_->previous_ = callback->previous_;
	callback->previous_->next_ = callback->next_;
}

/* Moves all of `from` to the end of `to`. */
static void cancel_ring_splice(moirai_cancel_callback *to, moirai_cancel_callback *from)
{
	if (from->next_ == from)
		return;
	from->next_->previous_ = to->previous_;
	to->previous_->next_ = from->next_;
	from->previous_->next_ = to;
	to->previous_ = from->previous_;
	cancel_ring_init(from);
}

/* --- cancelling --- */

static void cancel_mark(struct cancel_token *token, int reason, moirai_cancel_callback *ring)
{
	/* release: pairs with the acquire in moirai_cancel_requested(). */
	moirai_store_release(&token->head.state_, (uint32_t)reason);
	cancel_ring_splice(ring, &token->ring);
}

/* Marks what lies below `top`, parents first, without recursion. With the lock held. */
static void cancel_mark_below(struct cancel_token *top, int reason, moirai_cancel_callback *ring)
{
	struct cancel_token *at = top->child;
	while (at) {
		/* relaxed: written under the lock that is held. */
		bool live = moirai_load_relaxed(&at->head.state_) == 0;
		if (live)
			cancel_mark(at, reason, ring);
		if (live && at->child) {
			at = at->child;
			continue;
		}
		while (at != top && !at->next)
			at = at->parent;
		at = at == top ? NULL : at->next;
	}
}

/* Calls the callback at the head of the ring; the lock is held before and after. */
static void cancel_call_first(moirai__lock *lock, moirai_cancel_callback *ring, int reason)
{
	moirai_cancel_callback *callback = ring->next_;
	struct cancel_frame frame = {.thread = moirai_os_thread_id()};
	cancel_ring_remove(callback);
	callback->frame_ = &frame;
	/* relaxed: others look at it under the lock, or park on it and look again. */
	moirai_store_relaxed(&callback->state_, CALLBACK_RUNNING);
	moirai_cancel_fn fn = callback->fn_;
	void *self = callback->self_;
	moirai__lock_release(lock);

	MOIRAI_NOISE();
	fn(self, reason);
	MOIRAI_NOISE();

	moirai__lock_acquire(lock);
	if (frame.ended)
		return;
	/* release: pairs with the acquire in cancel_wait_out(); the callback's memory is not ours then. */
	const uint32_t *state = &callback->state_;
	moirai_store_release(&callback->state_, CALLBACK_CALLED);
	if (frame.waited)
		moirai_unpark(state, 1);
}

int moirai_cancel_request(moirai_cancel *token, int reason)
{
	if (!token || reason > 0)
		return -EINVAL;
	if (reason == 0)
		reason = -ECANCELED;
	/* acquire: pairs with the release of the one who cancelled it. */
	if (moirai_load_acquire(&token->state_) != 0)
		return -EALREADY;
	struct cancel_token *top = cancel_token_of(token);
	moirai__lock *lock = &top->root->lock;
	moirai_cancel_callback ring;
	cancel_ring_init(&ring);
	moirai_cancel_ref(token);
	moirai__lock_acquire(lock);
	/* relaxed: written under the lock that is held. */
	if (moirai_load_relaxed(&token->state_) != 0) {
		moirai__lock_release(lock);
		moirai_cancel_destroy(token);
		return -EALREADY;
	}
	cancel_mark(top, reason, &ring);
	cancel_mark_below(top, reason, &ring);
	while (ring.next_ != &ring)
		cancel_call_first(lock, &ring, reason);
	moirai__lock_release(lock);
	MOIRAI_OBSERVE(MOIRAI_EVENT_CANCEL, token);
	moirai_cancel_destroy(token);
	return 0;
}

int moirai_cancel_check(moirai_cancel *token)
{
	int reason = moirai_cancel_reason(token);
	if (!token || reason != 0)
		return reason;
	uint64_t deadline_ns = cancel_token_of(token)->deadline_ns;
	if (deadline_ns == MOIRAI_NEVER || moirai_now() < deadline_ns)
		return 0;
	moirai_cancel_request(token, -ETIMEDOUT);
	return moirai_cancel_reason(token);
}

uint64_t moirai_cancel_deadline(const moirai_cancel *token)
{
	return token ? cancel_token_of(token)->deadline_ns : MOIRAI_NEVER;
}

/* --- callbacks --- */

int moirai_cancel_register(
	moirai_cancel *token, moirai_cancel_callback *callback, moirai_cancel_fn fn, void *self)
{
	if (!token || !callback || !fn)
		return -EINVAL;
	/* relaxed: only the owner registers; another thread's call has ended by an unregister. */
	if (moirai_load_relaxed(&callback->state_) != CALLBACK_IDLE)
		return -EBUSY;
	struct cancel_token *full = cancel_token_of(token);
	moirai__lock_acquire(&full->root->lock);
	/* relaxed: written under the lock that is held. */
	int status = moirai_load_relaxed(&token->state_) != 0 ? -ECANCELED : 0;
	if (status == 0) {
		callback->token_ = moirai_cancel_ref(token);
		callback->fn_ = fn;
		callback->self_ = self;
		callback->frame_ = NULL;
		moirai_store_relaxed(&callback->state_, CALLBACK_REGISTERED);
		cancel_ring_append(&full->ring, callback);
	}
	moirai__lock_release(&full->root->lock);
	return status;
}

/*
 * One step of unregister, with the lock held. 0 and -EALREADY end the registration; -EBUSY: it runs
 * on another thread.
 */
static int cancel_unregister_step(moirai_cancel_callback *callback)
{
	struct cancel_frame *frame = callback->frame_;
	/* relaxed: written under the lock that is held. */
	switch (moirai_load_relaxed(&callback->state_)) {
	case CALLBACK_REGISTERED:
		cancel_ring_remove(callback);
		moirai_store_relaxed(&callback->state_, CALLBACK_IDLE);
		return 0;
	case CALLBACK_RUNNING:
		if (frame->thread != moirai_os_thread_id())
			return -EBUSY;
		frame->ended = true;
		break;
	default:
		break;
	}
	moirai_store_relaxed(&callback->state_, CALLBACK_IDLE);
	return -EALREADY;
}

/* The callback runs on another thread: sleeps until it has returned. */
static void cancel_wait_out(moirai_cancel_callback *callback)
{
	/* acquire: pairs with the release in cancel_call_first(). */
	while (moirai_load_acquire(&callback->state_) == CALLBACK_RUNNING) {
		int status = moirai_park(&callback->state_, CALLBACK_RUNNING, MOIRAI_NEVER);
		if (status < 0 && status != -EAGAIN)
			moirai_os_sleep(CANCEL_LOOK_NS);
	}
}

static int cancel_unregister(
	moirai_cancel_callback *callback, void (*wait)(moirai_cancel_callback *))
{
	/* relaxed: IDLE is the owner's own store. */
	if (!callback || moirai_load_relaxed(&callback->state_) == CALLBACK_IDLE)
		return -EINVAL;
	moirai_cancel *token = callback->token_;
	moirai__lock *lock = &cancel_token_of(token)->root->lock;
	moirai__lock_acquire(lock);
	int status = cancel_unregister_step(callback);
	if (status == -EBUSY && wait)
		((struct cancel_frame *)callback->frame_)->waited = true;
	moirai__lock_release(lock);
	if (status == -EBUSY) {
		if (!wait)
			return -EBUSY;
		wait(callback);
		moirai_store_relaxed(&callback->state_, CALLBACK_IDLE);
		status = -EALREADY;
	}
	moirai_cancel_destroy(token);
	return status;
}

int moirai_cancel_unregister(moirai_cancel_callback *callback)
{
	return cancel_unregister(callback, cancel_wait_out);
}

int moirai_cancel_try_unregister(moirai_cancel_callback *callback)
{
	return cancel_unregister(callback, NULL);
}

/* --- waiting --- */

static void cancel_wake(void *word, int reason)
{
	(void)reason;
	/* release: pairs with the acquire in cancel_wait(). */
	moirai_store_release((uint32_t *)word, 1);
	moirai_unpark(word, 1);
}

/* Until *word is 1 or the deadline passes; spurious wake-ups go round. */
static int cancel_wait(const uint32_t *word, uint64_t deadline_ns)
{
	/* acquire: pairs with the release in cancel_wake(). */
	while (moirai_load_acquire(word) == 0) {
		int status = moirai_park(word, 0, deadline_ns);
		if (status < 0 && status != -EAGAIN)
			return status;
	}
	return 0;
}

int moirai_cancel_wait_until(moirai_cancel *token, uint64_t deadline_ns)
{
	uint32_t word = 0;
	if (!token)
		return cancel_wait(&word, deadline_ns);
	moirai_cancel_callback callback;
	memset(&callback, 0, sizeof(callback));
	uint64_t token_deadline_ns = moirai_cancel_deadline(token);
	bool own = token_deadline_ns <= deadline_ns;
	int status = moirai_cancel_register(token, &callback, cancel_wake, &word);
	if (status < 0)
		return status == -ECANCELED ? 0 : status;
	status = cancel_wait(&word, own ? token_deadline_ns : deadline_ns);
	if (status == -ETIMEDOUT && own)
		moirai_cancel_request(token, -ETIMEDOUT);
	/* Cancelled after all, whatever the wait said: that is the news. */
	moirai_cancel_unregister(&callback);
	return moirai_cancel_requested(token) ? 0 : status;
}

/* --- life --- */

/* Links a new token into its parent's tree; born cancelled below a cancelled parent. */
static int cancel_link(struct cancel_token *token, struct cancel_token *parent)
{
	struct cancel_token *root = parent->root;
	moirai__lock_acquire(&root->lock);
	int status = root->tokens < MOIRAI_CANCEL_TREE_MAX ? 0 : -EOVERFLOW;
	if (status == 0) {
		root->tokens++;
		token->next = parent->child;
		if (parent->child)
			parent->child->previous = token;
		parent->child = token;
		/* relaxed: nobody knows the token yet; the parent's state is written under this lock. */
		moirai_store_relaxed(
			&token->head.state_, moirai_load_relaxed(&parent->head.state_));
	}
	moirai__lock_release(&root->lock);
	return status;
}

int moirai_cancel_create_until(moirai_cancel **out, moirai_cancel *parent, uint64_t deadline_ns)
{
	if (!out)
		return -EINVAL;
	struct cancel_token *token = moirai_alloc_zeroed(1, sizeof(*token));
	if (!token)
		return -ENOMEM;
	token->refs = 1;
	token->root = token;
	token->tokens = 1;
	token->deadline_ns = deadline_ns;
	cancel_ring_init(&token->ring);
	if (parent) {
		struct cancel_token *full = cancel_token_of(parent);
		if (full->deadline_ns < deadline_ns)
			token->deadline_ns = full->deadline_ns;
		token->root = full->root;
		token->parent = full;
		int status = cancel_link(token, full);
		if (status < 0) {
			moirai_free(token);
			return moirai__error_detailf(status,
				"a cancellation tree has at most %u tokens",
				MOIRAI_CANCEL_TREE_MAX);
		}
		moirai_cancel_ref(parent);
	}
	*out = &token->head;
	return 0;
}

int moirai_cancel_create(moirai_cancel **token, moirai_cancel *parent)
{
	return moirai_cancel_create_until(token, parent, MOIRAI_NEVER);
}

moirai_cancel *moirai_cancel_ref(moirai_cancel *token)
{
	/* relaxed: whoever takes a reference has one, so the token is not going away. */
	if (token)
		MOIRAI_ASSERT(moirai_fetch_add_relaxed(&cancel_token_of(token)->refs, 1) != 0);
	return token;
}

static void cancel_unlink(struct cancel_token *token)
{
	struct cancel_token *root = token->root;
	moirai__lock_acquire(&root->lock);
	root->tokens--;
	if (token->previous)
		token->previous->next = token->next;
	else
		token->parent->child = token->next;
	if (token->next)
		token->next->previous = token->previous;
	moirai__lock_release(&root->lock);
}

void moirai_cancel_destroy(moirai_cancel *handle)
{
	struct cancel_token *token = handle ? cancel_token_of(handle) : NULL;
	while (token) {
		/* acq_rel: pairs with itself; all that others did with the token is before its end. */
		uint32_t before = moirai_fetch_sub_acq_rel(&token->refs, 1);
		MOIRAI_ASSERT(before != 0);
		if (before != 1)
			return;
		struct cancel_token *parent = token->parent;
		if (parent)
			cancel_unlink(token);
		moirai_free(token);
		token = parent;
	}
}
