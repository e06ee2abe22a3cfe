/* SPDX-License-Identifier: MIT */
/*
 * The window: a ring of jobs by number, between one producer (walk) and one consumer (print), with
 * the hash tasks finishing them in any order.
 *
 * Who writes what: tail_, finished_, pressed_ and the slots: walk. head_: print. done_ of a job: the
 * last task that worked on it. hashing_ and window_bytes_: counters that several change.
 *
 * Room. Walk stops when the ring, its bytes or the number of jobs being hashed are at their limit,
 * and goes on when all of them have fallen to half: one wake-up for many jobs. Whoever lowers one
 * of them opens `room` for its own share, without asking for the others': two that lower different
 * ones at the same time would each see the other's old value, and nobody would open (the tester
 * found that). Walk looks at all of them itself. A hash task opens at every decrease below the half;
 * print once when it passes the half and once before it waits, not for every job.
 *
 * Ready. Print is not woken for every job: it looks every PRINT_LAG, and at once when walk is
 * pressed (waits for print, or has finished) and the job at the head is done. Walk publishes
 * pressed_ and then opens `ready`; a hash task publishes done_, fences, and then reads pressed_ and
 * head_: if it reads the old pressed_, walk's opening comes later and print sees done_. If it reads
 * an old head_, print's own check of done_ comes later, for print publishes head_ before it enters
 * the gate.
 */
#include "treehash.h"

#include <moirai/core/alloc.h>
#include <moirai/core/atomic.h>
#include <moirai/core/park.h>

bool run_stopped(const run *r)
{
	return moirai_load_relaxed(&r->stop_); /* relaxed: a wish; nothing is read because of it */
}

void run_stop(run *r)
{
	moirai_store_relaxed(&r->stop_, 1u); /* ordered before the looks of waiters by the gates */
	gate_open(&r->room);
	gate_open(&r->ready);
}

void run_fail(run *r, int status)
{
	int32_t none = 0;
	moirai_cas_relaxed(
		&r->failure_, &none, status); /* relaxed: read after everything has ended */
	run_stop(r);
}

int run_failure(const run *r)
{
	return moirai_load_relaxed(&r->failure_); /* relaxed: as above */
}

/* --- walk's side --- */

static bool window_below(const run *r, unsigned divisor)
{
	/* acquire: pairs with the release of head_ by print; its slot is free again. */
	uint64_t unprinted = moirai_load_relaxed(&r->tail_) - moirai_load_acquire(&r->head_);
	/* relaxed: counters; whoever lowers one opens the gate after it. */
	return unprinted < WINDOW_JOBS / divisor &&
	       moirai_load_relaxed(&r->window_bytes_) < WINDOW_BYTES / divisor &&
	       moirai_load_relaxed(&r->hashing_) < r->jobs_max / divisor;
}

static void window_press(run *r)
{
	moirai_store_release(&r->pressed_, 1u); /* pairs with window_done's load; see above */
	gate_open(&r->ready);
}

static void window_wait_for_room(run *r)
{
	if (window_below(r, 1))
		return;
	window_press(r);
	while (!window_below(r, 2) && !run_stopped(r)) {
		uint32_t ticket = gate_enter(&r->room);
		if (!window_below(r, 2) && !run_stopped(r))
			gate_wait(&r->room, ticket, MOIRAI_NEVER);
	}
	moirai_store_relaxed(&r->pressed_, 0u); /* relaxed: late readers wake print for nothing */
}

static char *window_own_place(const run *r, uint64_t number)
{
	return r->places + number % WINDOW_JOBS * WINDOW_PLACE;
}

job *window_place(run *r, size_t bytes)
{
	window_wait_for_room(r);
	if (bytes > WINDOW_PLACE)
		return moirai_alloc(bytes);
	return (job *)(void *)window_own_place(r, moirai_load_relaxed(&r->tail_)); /* our own */
}

void window_push(run *r, job *j)
{
	j->number = moirai_load_relaxed(&r->tail_); /* relaxed: our own */
	r->window_[j->number % WINDOW_JOBS] = j;
	if (j->bytes > WINDOW_PLACE)
		moirai_fetch_add_relaxed(&r->window_bytes_, j->bytes);
	moirai_fetch_add_relaxed(&r->hashing_, 1u);
	/* release: pairs with print's acquire of tail_; publishes the slot and the job. */
	moirai_store_release(&r->tail_, j->number + 1);
	hash_start(r, j);
}

void window_settle(run *r)
{
	/* relaxed: a counter; every decrease below the half opens the gate. */
	while (moirai_load_relaxed(&r->hashing_) > 0) {
		uint32_t ticket = gate_enter(&r->room);
		if (moirai_load_relaxed(&r->hashing_) > 0)
			gate_wait(&r->room, ticket, MOIRAI_NEVER);
	}
}

void window_finish(run *r)
{
	moirai_store_release(&r->finished_, 1u); /* pairs with window_ended: tail_ is final */
	window_press(r);
}

/* --- hash's side --- */

void window_done(run *r, job *j)
{
	uint64_t number = j->number;
	directory_release(j->dir);
	j->dir = NULL;
	/* release: pairs with window_peek; publishes the entries. From here on j may be gone. */
	moirai_store_release(&j->done_, 1u);
	moirai_fence_seq_cst(); /* done_ before pressed_ and head_: see above */
	if (moirai_load_acquire(&r->pressed_) && moirai_load_relaxed(&r->head_) == number)
		gate_open(&r->ready);
	/* relaxed: the gate orders it. */
	if (moirai_fetch_sub_relaxed(&r->hashing_, 1u) <= r->jobs_max / 2)
		gate_open(&r->room);
}

/* --- print's side --- */

job *window_peek(run *r)
{
	uint64_t head = moirai_load_relaxed(&r->head_); /* relaxed: our own */
	/* acquire: pairs with window_push; the slot is filled. */
	if (head == moirai_load_acquire(&r->tail_))
		return NULL;
	job *j = r->window_[head % WINDOW_JOBS];
	/* acquire: pairs with window_done; the entries are final. */
	return moirai_load_acquire(&j->done_) ? j : NULL;
}

void window_pop(run *r)
{
	uint64_t head = moirai_load_relaxed(&r->head_); /* relaxed: our own */
	job *j = r->window_[head % WINDOW_JOBS];
	if (j->bytes > WINDOW_PLACE) {
		moirai_fetch_sub_relaxed(&r->window_bytes_, j->bytes);
		moirai_free(j);
	}
	/* release: pairs with window_below; the slot may be filled again. */
	moirai_store_release(&r->head_, head + 1);
	/* relaxed: an old tail_ is smaller; what is missed here is made up for in window_wait. */
	if (moirai_load_relaxed(&r->tail_) - (head + 1) == WINDOW_JOBS / 2 - 1)
		gate_open(&r->room);
}

bool window_ended(run *r)
{
	/* acquire: pairs with window_finish; tail_ is final. */
	return moirai_load_acquire(&r->finished_) &&
	       moirai_load_relaxed(&r->head_) == moirai_load_relaxed(&r->tail_);
}

void window_wait(run *r, uint64_t deadline_ns)
{
	gate_open(&r->room);
	uint32_t ticket = gate_enter(&r->ready);
	if (!window_peek(r) && !window_ended(r))
		gate_wait(&r->ready, ticket, deadline_ns);
}
