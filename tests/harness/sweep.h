/* SPDX-License-Identifier: MIT */
/*
 * The failure sweep: a scenario is run again and again, with its first, second, third ... fault point
 * failing (an allocation, a mapping, a thread), until it passes without reaching the armed one. Each
 * time it must report a clean error or do without, and must give back all that it took.
 *
 *   static int create_and_destroy(void *arg)
 *   {
 *           moirai_queue *q;
 *           int error = moirai_queue_create(&q, NULL);
 *           if (!error)
 *                   moirai_queue_destroy(q);
 *           return error;
 *   }
 *
 *   static void create_survives_every_failure(void)
 *   {
 *           CHECK_SWEEP(MOIRAI_FAULT_ANY, create_and_destroy, NULL);
 *   }
 *
 * The scenario runs alone: no other thread is inside the library, and it leaves none behind.
 * Include after "tap.h"; the program links core.
 */
#ifndef MOIRAI_TESTING_SWEEP_H
#define MOIRAI_TESTING_SWEEP_H

#include <moirai/core/alloc.h>
#include <moirai/core/internal/fault.h>

/* More fault points than any scenario should pass: a scenario that loops until it succeeds. */
#define SWEEP_POINTS_MAX 100000u

struct sweep_result {
	uint64_t points;   /* fault points that were made to fail, one per run */
	uint64_t absorbed; /* of these, runs that succeeded nevertheless */
	const char *wrong; /* NULL: all was well */
	uint64_t at;       /* the run in which it was not */
};

static inline uint64_t sweep_live_(void)
{
	moirai_alloc_stats stats;
	moirai_alloc_stats_get(&stats);
	return stats.live_bytes;
}

/*
 * scenario(arg) returns 0 or a negative errno value. It runs once without faults first, so that what
 * is allocated once per process is no leak.
 */
static inline struct sweep_result sweep(unsigned kinds, int (*scenario)(void *arg), void *arg)
{
	struct sweep_result r = {0, 0, NULL, 0};
	if (scenario(arg) != 0) {
		r.wrong = "the scenario fails without any fault";
		return r;
	}
	uint64_t live = sweep_live_();
	for (r.at = 1; r.at <= SWEEP_POINTS_MAX; r.at++) {
		bool fired = false;
		moirai__fault_arm(kinds, r.at);
		int error = scenario(arg);
		moirai__fault_passed(&fired);
		moirai__fault_arm(0, 0);
		if (sweep_live_() != live)
			r.wrong = "memory is leaked (or freed twice)";
		else if (error > 0)
			r.wrong = "the result is neither 0 nor a negative errno value";
		else if (!fired && error)
			r.wrong = "it fails although nothing failed: a fault left a mark behind";
		if (r.wrong || !fired)
			return r;
		r.points++;
		r.absorbed += error == 0;
	}
	r.wrong = "it never passes without a fault";
	return r;
}

#define CHECK_SWEEP(kinds, scenario, arg)                                                          \
	do {                                                                                           \
		struct sweep_result sweep_result_ = sweep((kinds), (scenario), (arg));                     \
		if (sweep_result_.wrong)                                                                   \
			DIAG("%s with fault %llu: %s", #scenario, (unsigned long long)sweep_result_.at,        \
				sweep_result_.wrong);                                                              \
		CHECK(!sweep_result_.wrong);                                                               \
		DIAG("%s: %llu fault points, %llu absorbed", #scenario,                                    \
			(unsigned long long)sweep_result_.points,                                              \
			(unsigned long long)sweep_result_.absorbed);                                           \
	} while (0)

#endif
