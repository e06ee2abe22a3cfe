/* SPDX-License-Identifier: MIT */
/*
 * Blocking regions. Design note.
 *
 * A task that is about to block in the kernel parks, and a spare thread calls the function in its
 * place; the worker keeps its place and goes on with other tasks. The job stands on the task's
 * stack, in one list under one lock.
 *
 *   submit: append. A spare that waits is signalled; else, below the limit, a new one is started;
 *           else the job waits for the next spare that comes free.
 *   spare:  take the first job, call it, done = 1 as the last access to the job, unpark by address.
 *           Without jobs wait for idle_ns, then end.
 *
 * `idle` lists the spares that wait and have not been signalled, the warmest first. Whoever takes a
 * spare off that list, under the lock, decides what becomes of it: a submitter signals it, itself
 * ends after a time-out. So two jobs never rely on the same spare, and no signal meets a dead one.
 *
 * Where no thread can be started and none is there, the job is called in place: the worker stalls,
 * but nothing is lost.
 *
 * Refused: to hand the worker's queues to another thread and let this one block on the task's own
 * stack (Go's way). It saves no wake-up, needs a second identity for workers, and the function would
 * have 60 KiB of stack, which getaddrinfo() is known to exceed.
 */
#include <moirai/core/alloc.h>
#include <moirai/core/park.h>

#include "private.h"

THREAD_LOCAL struct pool *spare_pool;

MOIRAI_NOINLINE struct pool *blocking_pool(void)
{
	return spare_pool;
}

/* Calls the job. It is gone when done is set: only its address is used after that. */
static void call(struct block_job *job)
{
	job->fn(job->arg);
	MOIRAI_NOISE();
	/* release: pairs with the acquire in moirai_blocking(). */
	moirai_store_release(&job->done, 1u);
	moirai_unpark(&job->done, 1);
}

/* Under the lock. */
static struct block_job *take(struct blocking *blocking)
{
	struct block_job *job = blocking->head;
	if (job != NULL)
		blocking->head = job->next;
	return job;
}

/* Under the lock: off the list of those that wait. false: it was not on it. */
static bool unlist(struct blocking *blocking, struct spare *spare)
{
	for (struct spare **link = &blocking->idle; *link != NULL; link = &(*link)->idle_next) {
		if (*link == spare) {
			*link = spare->idle_next;
			return true;
		}
	}
	return false;
}

/* Under the lock: waits for a job or for the end of patience. true: this spare is to end. */
static bool rest(struct blocking *blocking, struct spare *self)
{
	uint64_t deadline_ns = moirai_deadline_after(blocking->idle_ns);
	moirai_store_relaxed(&self->signal, 0u);
	self->idle_next = blocking->idle;
	blocking->idle = self;
	moirai__spin_drop(&blocking->lock);
	int rc = 0;
	/* acquire: pairs with the release in wake(). */
	while (moirai_load_acquire(&self->signal) == 0 && rc != -ETIMEDOUT)
		rc = moirai_park(&self->signal, 0, deadline_ns);
	moirai__spin_take(&blocking->lock);
	return unlist(blocking, self);
}

/* A spare that was taken off the list goes on. */
static void wake(struct spare *spare)
{
	/* release: pairs with the acquire in rest(). The spare may be gone after it. */
	moirai_store_release(&spare->signal, 1u);
	moirai_unpark(&spare->signal, 1);
}

static void spare_main(void *arg)
{
	struct spare *self = arg;
	struct blocking *blocking = &self->pool->blocking;
	spare_pool = self->pool;
	moirai__spin_take(&blocking->lock);
	for (;;) {
		struct block_job *job = take(blocking);
		if (job != NULL) {
			moirai__spin_drop(&blocking->lock);
			call(job);
			moirai__spin_take(&blocking->lock);
			continue;
		}
		if (blocking->stop || rest(blocking, self))
			break;
	}
	blocking->live--;
	self->ended = true;
	moirai__spin_drop(&blocking->lock);
	spare_pool = NULL;
}

/* Joins spares that have ended. `all`: every one. */
static void reap(struct blocking *blocking, bool all)
{
	struct spare *gone = NULL;
	moirai__spin_take(&blocking->lock);
	for (struct spare **link = &blocking->spares; *link != NULL;) {
		struct spare *spare = *link;
		if (spare->created && (all || spare->ended)) {
			*link = spare->next;
			spare->next = gone;
			gone = spare;
		} else {
			link = &spare->next;
		}
	}
	moirai__spin_drop(&blocking->lock);
	for (struct spare *next; gone != NULL; gone = next) {
		next = gone->next;
		(void)moirai_os_thread_join(gone->thread);
		moirai_free(gone);
	}
}

/* Starts one more spare; blocking->live counts it already. */
static int spare_start(struct pool *pool)
{
	struct blocking *blocking = &pool->blocking;
	reap(blocking, false);
	struct spare *spare = moirai_alloc(sizeof(*spare));
	if (spare == NULL)
		return -ENOMEM;
	*spare = (struct spare){.pool = pool};
	moirai_os_thread thread;
	int rc = moirai_os_thread_create(
		&thread, &(moirai_os_thread_attr){.name = "moirai-spare"}, spare_main, spare);
	if (rc < 0) {
		moirai_free(spare);
		return rc;
	}
	moirai__spin_take(&blocking->lock);
	spare->thread = thread;
	spare->created = true;
	spare->next = blocking->spares;
	blocking->spares = spare;
	moirai__spin_drop(&blocking->lock);
	return 0;
}

/* The thread could not be had. If there is no other, the jobs are done here. */
static void start_failed(struct blocking *blocking)
{
	moirai__spin_take(&blocking->lock);
	blocking->live--;
	while (blocking->live == 0) {
		struct block_job *job = take(blocking);
		if (job == NULL)
			break;
		moirai__spin_drop(&blocking->lock);
		call(job);
		moirai__spin_take(&blocking->lock);
	}
	moirai__spin_drop(&blocking->lock);
}

static void submit(struct pool *pool, struct block_job *job)
{
	struct blocking *blocking = &pool->blocking;
	bool start = false;
	moirai__spin_take(&blocking->lock);
	if (blocking->head == NULL)
		blocking->head = job;
	else
		blocking->tail->next = job;
	blocking->tail = job;
	blocking->jobs++;
	struct spare *rested = blocking->idle;
	if (rested != NULL) {
		blocking->idle = rested->idle_next;
	} else if (blocking->live < blocking->max) {
		blocking->live++;
		start = true;
	}
	moirai__spin_drop(&blocking->lock);
	if (rested != NULL)
		wake(rested);
	if (start && spare_start(pool) < 0)
		start_failed(blocking);
}

int moirai_blocking(moirai_task_fn fn, void *arg)
{
	if (fn == NULL)
		return -EINVAL;
	struct worker *worker = worker_self();
	if (worker == NULL) {
		fn(arg);
		return 0;
	}
	struct fiber *fiber = worker->current;
	if (fiber_cancelled(&fiber->park))
		return -ECANCELED;
	struct block_job job = {.fn = fn, .arg = arg};
	fiber->mask++; /* fn uses our frame: it is waited for, come what may */
	submit(worker->pool, &job);
	/* acquire: pairs with the release in call(). */
	while (moirai_load_acquire(&job.done) == 0)
		(void)moirai_park(&job.done, 0, MOIRAI_NEVER);
	fiber->mask--;
	return 0;
}

void blocking_fini(struct blocking *blocking)
{
	moirai__spin_take(&blocking->lock);
	blocking->stop = true;
	struct spare *rested = blocking->idle;
	blocking->idle = NULL;
	moirai__spin_drop(&blocking->lock);
	for (struct spare *next; rested != NULL; rested = next) {
		next = rested->idle_next;
		wake(rested);
	}
	reap(blocking, true);
}
