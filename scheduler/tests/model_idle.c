/* SPDX-License-Identifier: MIT */
/*
 * Sleeping and waking under every schedule. Work is a word per worker-sized job, published by a
 * plain store as the deques do, so a sleeper may read it stale; whoever loses a wake-up sleeps for
 * ever, which the tester reports as a deadlock.
 */
#include "model.h"

static bool early_any; /* of planted bug 13 */

#include "planted_idle.h"

enum { JOBS = 2, BEDS = 2 };
#define FAR_NS (10 * MOIRAI_S)

static struct moirai__idle idle;
static struct moirai__sleeper bed[BEDS];
static uint32_t job[JOBS];  /* 1: to be done */
static uint32_t quit;
static uint64_t first_ns = MOIRAI_NEVER; /* the earliest deadline of all */
static uint64_t armed_ns;                /* when the armer had finished; the tester's time */

static bool any(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < JOBS; i++)
		if (moirai_load_acquire(&job[i]))
			return true;
	return false;
}

static bool quits(void *arg)
{
	(void)arg;
	return moirai_load_acquire(&quit) != 0;
}

static uint64_t earliest(void *arg)
{
	(void)arg;
	return moirai_load_relaxed(&first_ns);
}

static const struct moirai__idle_ops ops = {.any = any, .quit = quits, .earliest = earliest};

static void begin(int mode)
{
	moirai_scheduler_tuning tuning = {.fence_return = 1, .often_ns = 1};
	moirai__idle_init(&idle, &tuning);
	moirai_store_relaxed(&idle.word_, mode * MOIRAI__IDLE_MODE);
	model_name(&idle.word_, "word");
	model_name_array(job, sizeof(job[0]), JOBS, "job");
}

/* Everybody is back: the counts are those of an executor at work. */
static void end(void)
{
	model_join_all();
	int64_t word = moirai_load_relaxed(&idle.word_);
	MODEL_CHECK(waiters_of(word) == 0);
	MODEL_CHECK(!searching_of(word));
	MODEL_CHECK(!idle.sleepers_ && !moirai_load_relaxed(&idle.keeper_));
}

/* A look may be stale, as those into deques are; the taking is not. */
static bool take_job(void)
{
	for (unsigned i = 0; i < JOBS; i++) {
		uint32_t there = moirai_load_relaxed(&job[i]);
		if (there && moirai_cas_acquire(&job[i], &there, 0u))
			return true;
	}
	return false;
}

static void publish(unsigned i)
{
	moirai_store_release(&job[i], 1u);
	moirai__idle_notify(&idle);
}

/* Does one job, or leaves when told so. */
static void worker(void *arg)
{
	struct moirai__sleeper *self = &bed[(uintptr_t)arg];
	moirai__idle_search_begin(&idle);
	while (!take_job() && !quits(NULL))
		if (moirai__idle_sleep(&idle, self, &ops, NULL) != MOIRAI__SLEPT_NOT)
			model_count("sleeps");
	moirai__idle_search_end(&idle);
}

static void start(unsigned workers)
{
	for (uintptr_t i = 0; i < workers; i++)
		model_thread(worker, (void *)i);
}

static void one_publication(int mode)
{
	begin(mode);
	start(1);
	publish(0);
	end();
}

static void a_sleeper_is_woken_in_mode_0(void)
{
	one_publication(0);
}

static void a_sleeper_is_woken_in_mode_1(void)
{
	one_publication(1);
}

static void a_sleeper_is_woken_in_mode_2(void)
{
	one_publication(2);
}

static void two_jobs_wake_two_sleepers(void)
{
	begin(0);
	start(2);
	publish(0);
	publish(1);
	end();
}

static void two_jobs_wake_two_sleepers_in_mode_2(void)
{
	begin(2);
	start(2);
	publish(0);
	publish(1);
	end();
}

/* Both published, one notification: the one who is woken wakes the other. */
static void the_awakened_wakes_the_next(void)
{
	begin(0);
	start(2);
	moirai_store_release(&job[0], 1u);
	publish(1);
	end();
}

static void publisher(void *arg)
{
	publish((unsigned)(uintptr_t)arg);
}

static void two_publishers_wake_two_sleepers(void)
{
	begin(0);
	start(2);
	model_thread(publisher, (void *)0);
	publish(1);
	end();
}

/* The first to sleep switches to mode 1 and then 2, while somebody publishes. */
static void the_mode_rises_under_a_publisher(void)
{
	begin(0);
	idle.often_ns_ = MOIRAI_NEVER;
	idle.streak_ = MOIRAI__IDLE_STREAK;
	start(2);
	publish(0);
	publish(1);
	end();
}

/* The first notification finds nobody and returns to mode 0, while somebody goes to sleep. */
static void the_mode_falls_under_a_sleeper(void)
{
	begin(2);
	start(1);
	moirai__idle_notify(&idle);
	publish(0);
	end();
}

static void quit_gets_everybody_up(void)
{
	begin(0);
	start(2);
	moirai_store_seq_cst(&quit, 1u);
	moirai__idle_wake_all(&idle);
	end();
}

/* Waits for the deadline, as a worker does whose only business is a timer. */
static void timekeeper(void *arg)
{
	struct moirai__sleeper *self = &bed[(uintptr_t)arg];
	moirai__idle_search_begin(&idle);
	while (moirai_now() < moirai_load_relaxed(&first_ns)) {
		(void)moirai__idle_sleep(&idle, self, &ops, NULL);
		/* Armed in time, and yet slept until the far deadline? */
		if (armed_ns && armed_ns < 2 * MOIRAI_S)
			MODEL_CHECK(moirai_now() < FAR_NS);
	}
	moirai__idle_search_end(&idle);
}

static void arm(uint64_t deadline_ns)
{
	moirai_store_release(&first_ns, deadline_ns);
	moirai__idle_deadline(&idle, deadline_ns);
	armed_ns = moirai_now();
}

static void a_sleeper_learns_of_the_first_deadline(void)
{
	begin(0);
	model_thread(timekeeper, (void *)0);
	arm(2 * MOIRAI_S);
	end();
}

static void a_keeper_learns_of_an_earlier_deadline(void)
{
	begin(0);
	moirai_store_relaxed(&first_ns, FAR_NS);
	model_thread(timekeeper, (void *)0);
	arm(2 * MOIRAI_S);
	end();
}

static void two_sleepers_and_one_keeper(void)
{
	begin(0);
	model_thread(timekeeper, (void *)0);
	model_thread(timekeeper, (void *)1);
	arm(2 * MOIRAI_S);
	end();
}

static void a_sleeper_learns_of_the_first_deadline_in_mode_2(void)
{
	begin(2);
	model_thread(timekeeper, (void *)0);
	arm(2 * MOIRAI_S);
	end();
}

/* Preemptions by the size of the scenario: the whole program is to take 10 s; --bound N goes deeper. */
#define EXHAUSTED(function, preemptions) \
	MODEL_CLEAN(function, .exhaust = true, .bound = (preemptions), .limit = 5000000)
/* Four threads: all schedules of one preemption, and a sample of those of any number. */
#define SAMPLED(function)                                                                          \
	MODEL_CLEAN(function, .exhaust = true, .bound = 1),                                        \
		MODEL_CLEAN(function, .modes = MODEL_PCT | MODEL_RANDOM, .limit = 150000)

MODEL_MAIN(EXHAUSTED(a_sleeper_is_woken_in_mode_0, 6), EXHAUSTED(a_sleeper_is_woken_in_mode_1, 4),
	EXHAUSTED(a_sleeper_is_woken_in_mode_2, 4), EXHAUSTED(two_jobs_wake_two_sleepers, 2),
	SAMPLED(two_jobs_wake_two_sleepers_in_mode_2), EXHAUSTED(the_awakened_wakes_the_next, 3),
	SAMPLED(two_publishers_wake_two_sleepers),
	EXHAUSTED(the_mode_rises_under_a_publisher, 2),
	EXHAUSTED(the_mode_falls_under_a_sleeper, 3), EXHAUSTED(quit_gets_everybody_up, 2),
	EXHAUSTED(a_sleeper_learns_of_the_first_deadline, 4),
	EXHAUSTED(a_sleeper_learns_of_the_first_deadline_in_mode_2, 4),
	EXHAUSTED(a_keeper_learns_of_an_earlier_deadline, 4),
	EXHAUSTED(two_sleepers_and_one_keeper, 2),
	MODEL_CLEAN(a_sleeper_is_woken_in_mode_0, .exhaust = true, .spurious = 1),
	MODEL_CLEAN(a_sleeper_is_woken_in_mode_0, .exhaust = true, .symmetric_fences = true),
	MODEL_FINDS(a_sleeper_is_woken_in_mode_0, 1, "deadlock"),
	MODEL_FINDS(a_sleeper_is_woken_in_mode_0, 2, "deadlock"),
	MODEL_FINDS(a_sleeper_is_woken_in_mode_2, 3, "deadlock"),
	MODEL_FINDS(a_sleeper_is_woken_in_mode_0, 4, "deadlock", .symmetric_fences = true),
	MODEL_FINDS(a_sleeper_is_woken_in_mode_2, 5, "deadlock"),
	MODEL_FINDS(the_mode_rises_under_a_publisher, 6, "deadlock"),
	MODEL_FINDS(the_awakened_wakes_the_next, 7, "deadlock"),
	MODEL_FINDS(a_sleeper_is_woken_in_mode_0, 8, "check failed"),
	MODEL_FINDS(quit_gets_everybody_up, 9, "deadlock"),
	MODEL_FINDS(a_keeper_learns_of_an_earlier_deadline, 10, "check failed"),
	MODEL_FINDS(a_keeper_learns_of_an_earlier_deadline, 11, "check failed"),
	MODEL_FINDS(a_keeper_learns_of_an_earlier_deadline, 12, "check failed"),
	MODEL_FINDS(a_sleeper_is_woken_in_mode_0, 13, "deadlock"),
	MODEL_FINDS(a_sleeper_learns_of_the_first_deadline, 14, "deadlock"),
	MODEL_FINDS(a_sleeper_is_woken_in_mode_0, 15, "check failed"),
	MODEL_FINDS(a_keeper_learns_of_an_earlier_deadline, 16, "check failed"),
	MODEL_FINDS(a_sleeper_learns_of_the_first_deadline_in_mode_2, 11, "deadlock"), )
