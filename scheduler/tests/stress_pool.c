/* SPDX-License-Identifier: MIT */
/*
 * The whole scheduler under load: worker threads that pick, search, steal, nap and sleep, fed by
 * themselves and by foreign threads with gaps in which everybody falls asleep. Every item is run
 * once; a lost wake-up is a hang, which the test's time limit reports.
 */
#include <moirai/core/alloc.h>
#include <moirai/scheduler/internal/search.h>

#include <stdlib.h>

#include "tap.h"

enum { WORKERS_MAX = 8, FOREIGN = 2 };

static size_t foreign_items = 40000; /* of each foreign thread; MOIRAI_STRESS multiplies */

struct pool_worker {
	struct moirai__queues queues;
	struct moirai__sleeper bed;
	struct moirai__search search;
	struct moirai__victim victims[WORKERS_MAX];
	MOIRAI_ALIGNED(64) size_t finished;
	unsigned random;
};

static struct pool_worker worker[WORKERS_MAX];
static unsigned worker_count;
static struct moirai__idle idle;
static struct moirai__injector injector;
static moirai_scheduler_tuning tuning;
static uint32_t stopping;
static size_t ran_twice;

/* An item is the address of one of these; the odd ones stand for fibers that yield once. */
struct job {
	uintptr_t next;
	uint32_t ran;
	unsigned children;
	struct job *child;
};

static unsigned level_of(uintptr_t item)
{
	return (unsigned)(item / sizeof(struct job)) % MOIRAI_PRIORITY_LEVELS;
}

static uintptr_t *next_of(uintptr_t item)
{
	return &((struct job *)item)->next;
}

static const struct moirai__item_ops item_ops = {.level = level_of};

static bool any(void *arg)
{
	(void)arg;
	if (moirai__injector_any(&injector))
		return true;
	for (unsigned i = 0; i < worker_count; i++)
		if (moirai__queues_any(&worker[i].queues))
			return true;
	return false;
}

/* Stopping, and everything accepted has ended: finished is read first. */
static bool quits(void *arg)
{
	(void)arg;
	if (!moirai_load_acquire(&stopping))
		return false;
	size_t finished = 0, begun = 0;
	for (unsigned i = 0; i < worker_count; i++)
		finished += moirai_load_acquire(&worker[i].finished);
	moirai_fence_seq_cst();
	begun = moirai__injector_accepted(&injector);
	for (unsigned i = 0; i < worker_count; i++)
		begun += moirai_load_acquire(&worker[i].queues.spawned_);
	return begun == finished;
}

static uint64_t earliest(void *arg)
{
	(void)arg;
	return MOIRAI_NEVER;
}

static const struct moirai__search_ops ops = {
	.idle = {.any = any, .quit = quits, .earliest = earliest}};

static void run(struct pool_worker *self, struct job *job)
{
	if (moirai_fetch_add_relaxed(&job->ran, 1u))
		(void)moirai_fetch_add_relaxed(&ran_twice, (size_t)1);
	for (unsigned i = 0; i < job->children; i++) {
		uintptr_t child = (uintptr_t)&job->child[i];
		moirai__queues_spawned(&self->queues);
		int rc = i & 1 ? moirai__yield_queue_push(&self->queues.yielded_, child)
			       : moirai__queues_push(&self->queues, level_of(child), child);
		MOIRAI_ASSERT(rc == 0);
		moirai__idle_notify(&idle);
	}
	/* release: pairs with the acquire in quits(). */
	moirai_store_release(&self->finished, moirai_load_relaxed(&self->finished) + 1);
	if (moirai_load_acquire(&stopping) && quits(NULL))
		moirai__idle_wake_all(&idle);
}

static uintptr_t elsewhere(void *arg)
{
	struct pool_worker *self = arg;
	return moirai__queues_drain(&self->queues, &injector, worker_count);
}

static void work(void *arg)
{
	struct pool_worker *self = arg;
	(void)moirai_os_timer_slack(1000);
	for (;;) {
		uintptr_t item = moirai__queues_pick(&self->queues, elsewhere, self);
		if (!item && moirai__search_run(&self->search, &item) == MOIRAI__FOUND_QUIT)
			return;
		run(self, (struct job *)item);
	}
}

static void feed(void *arg)
{
	struct job *jobs = arg;
	struct moirai__producer *producer;
	int rc = moirai__injector_join(&injector, &producer);
	MOIRAI_ASSERT(rc == 0);
	for (size_t i = 0; i < foreign_items; i++) {
		rc = moirai__producer_push(producer, (uintptr_t)&jobs[i * 4]);
		MOIRAI_ASSERT(rc == 0);
		moirai__idle_notify(&idle);
		(void)moirai__idle_poke(&idle);
		if (i % 4096 == 4095)
			moirai_os_sleep(300000); /* everybody falls asleep */
		else if (i % 64 == 63)
			moirai_os_yield();
	}
	moirai__injector_leave(&injector, producer);
}

static void start(unsigned count, moirai_os_thread *threads)
{
	moirai_scheduler_tuning_default(&tuning);
	worker_count = count;
	stopping = 0;
	ran_twice = 0;
	moirai__idle_init(&idle, &tuning);
	moirai__injector_init(&injector, next_of);
	for (unsigned i = 0; i < count; i++) {
		struct pool_worker *self = &worker[i];
		moirai__queues_init(&self->queues, &item_ops);
		self->finished = 0;
		unsigned victims = 0;
		for (unsigned j = 0; j < count; j++)
			if (j != i)
				self->victims[victims++] = (struct moirai__victim){
					.queues_ = &worker[j].queues, .distance_ = (i ^ j) > 1};
		/* Sorted by distance: the neighbour first. */
		for (unsigned j = 1; j < victims; j++)
			if (self->victims[j].distance_ < self->victims[0].distance_) {
				struct moirai__victim v = self->victims[0];
				self->victims[0] = self->victims[j];
				self->victims[j] = v;
			}
		moirai__search_init(&self->search, &self->queues, &self->bed, &idle, &injector, &ops,
			&tuning, self, self->victims, victims, i);
	}
	for (unsigned i = 0; i < count; i++)
		MOIRAI_ASSERT(moirai_os_thread_create(&threads[i], NULL, work, &worker[i]) == 0);
}

static void everything_runs_once(unsigned count)
{
	moirai_os_thread workers[WORKERS_MAX], foreign[FOREIGN];
	size_t total = FOREIGN * foreign_items * 4;
	struct job *jobs = moirai_alloc_zeroed(total, sizeof(*jobs));
	REQUIRE(jobs);
	for (size_t i = 0; i < total; i += 4) { /* each brings three more */
		jobs[i].children = 2;
		jobs[i].child = &jobs[i + 1];
		jobs[i + 1].children = 1;
		jobs[i + 1].child = &jobs[i + 3];
	}
	start(count, workers);
	for (unsigned i = 0; i < FOREIGN; i++)
		REQUIRE(moirai_os_thread_create(&foreign[i], NULL, feed,
				&jobs[i * foreign_items * 4]) == 0);
	for (unsigned i = 0; i < FOREIGN; i++)
		CHECK(moirai_os_thread_join(foreign[i]) == 0);
	moirai_store_seq_cst(&stopping, 1u);
	moirai__idle_wake_all(&idle);
	moirai_scheduler_stats sum = {.picks = 0};
	for (unsigned i = 0; i < count; i++) /* all of them, before any queue goes: thieves look at all */
		CHECK(moirai_os_thread_join(workers[i]) == 0);
	for (unsigned i = 0; i < count; i++) {
		moirai_scheduler_stats stats;
		moirai__queues_stats(&worker[i].queues, &stats);
		sum.steals_items += stats.steals_items;
		sum.sleeps += stats.sleeps;
		sum.naps += stats.naps;
		sum.injected += stats.injected;
		moirai__queues_fini(&worker[i].queues);
	}
	size_t missing = 0;
	for (size_t i = 0; i < total; i++)
		missing += jobs[i].ran != 1;
	CHECK(missing == 0);
	CHECK(ran_twice == 0);
	CHECK(moirai_load_relaxed(&idle.word_) % MOIRAI__IDLE_MODE == 0);
	DIAG("%u workers: %zu jobs, %llu stolen, %llu injected, %llu sleeps, %llu naps", count, total,
		(unsigned long long)sum.steals_items, (unsigned long long)sum.injected,
		(unsigned long long)sum.sleeps, (unsigned long long)sum.naps);
	moirai__injector_fini(&injector);
	moirai_free(jobs);
}

static void one_worker_runs_everything_once(void)
{
	everything_runs_once(1);
}

static void two_workers_run_everything_once(void)
{
	everything_runs_once(2);
}

static void eight_workers_run_everything_once(void)
{
	everything_runs_once(8);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {TEST(one_worker_runs_everything_once),
		TEST(two_workers_run_everything_once), TEST(eight_workers_run_everything_once)};
	const char *factor = getenv("MOIRAI_STRESS");
	if (factor && atoi(factor) > 0)
		foreign_items *= (size_t)atoi(factor);
	return tap_run_(tests, MOIRAI_ARRAY_SIZE(tests), argc, argv);
}
