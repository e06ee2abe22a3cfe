/* SPDX-License-Identifier: MIT */
/*
 * Unstable. Who sleeps, who searches, who is woken: one word per executor that every publisher of
 * work tests with one load and one compare. src/idle.c has the design note.
 */
#ifndef MOIRAI_SCHEDULER_INTERNAL_IDLE_H
#define MOIRAI_SCHEDULER_INTERNAL_IDLE_H

#include <moirai/core/clock.h>
#include <moirai/scheduler/internal/spin.h>
#include <moirai/scheduler/types.h>

MOIRAI_BEGIN_DECLS

/*
 * word = waiters + mode * 2^40 - searching * 2^20. Positive means: look closer, that is, somebody
 * sleeps and nobody searches, or publishers must fence (mode 1 and 2).
 */
#define MOIRAI__IDLE_WAITER ((int64_t)1)
#define MOIRAI__IDLE_SEARCH ((int64_t)1 << 20)
#define MOIRAI__IDLE_MODE   ((int64_t)1 << 40)

/* Sleeps in a row, each soon after the one before, that switch the event count to real fences. */
#define MOIRAI__IDLE_STREAK 8

/* A worker's bed. Embedded in the worker; zeroed is awake. */
struct moirai__sleeper {
	MOIRAI_ALIGNED(MOIRAI_CACHELINE) uint32_t word_; /* the futex: enum below */
	bool listed_;                                    /* under the idle lock: the truth */
	struct moirai__sleeper *next_;
};
enum { MOIRAI__AWAKE = 0, MOIRAI__ASLEEP = 1, MOIRAI__ASLEEP_HARD = 2 };

struct moirai__idle {
	/* FIRST: code that knows only the address (fork) reads it there. */
	MOIRAI_ALIGNED(MOIRAI_CACHELINE_PAIR) int64_t word_;
	/* Written rarely: the places of the keeper and of the watcher. */
	MOIRAI_ALIGNED(MOIRAI_CACHELINE) struct moirai__sleeper *keeper_;
	struct moirai__sleeper *watcher_;
	MOIRAI_ALIGNED(8) uint64_t keeper_deadline_; /* what the keeper sleeps until */
	/* Under lock_. */
	MOIRAI_ALIGNED(MOIRAI_CACHELINE) struct moirai__spin lock_;
	struct moirai__sleeper *sleepers_; /* LIFO: the warmest first */
	uint32_t streak_;                  /* sleeps in a row that came soon after the last */
	uint64_t last_sleep_ns_;
	/* Anybody, relaxed: fenced notifications that found nobody. */
	uint32_t fenced_idle_;
	/* Constants, from the tuning. */
	uint32_t fence_return_;
	uint64_t often_ns_;
};

/* What a sleeper asks before it sleeps; the executor answers. Any worker's thread. */
struct moirai__idle_ops {
	bool (*any)(void *arg);          /* rescan: does work lie anywhere? Every queue, no hints. */
	bool (*quit)(void *arg);         /* must sleepers get up for good? */
	uint64_t (*earliest)(void *arg); /* the first deadline of all timers, MOIRAI_NEVER: none */
};

/** Prepares caller's memory. */
MOIRAI_API void moirai__idle_init(
	struct moirai__idle *idle, const moirai_scheduler_tuning *tuning);

/* The cold half of notify: true when somebody was woken. */
MOIRAI_API MOIRAI_COLD bool moirai__idle_notify_slow(struct moirai__idle *idle);

/** After publishing work, any thread: wakes a sleeper if somebody sleeps and nobody searches. */
static MOIRAI_ALWAYS_INLINE void moirai__idle_notify(struct moirai__idle *idle)
{
	/*
	 * Pairs with the heavy fence in sleep(). If our publication comes first, the sleeper's rescan
	 * sees the work; if its fence comes first, we see it counted. In modes 1 and 2 the word is
	 * positive and the slow half fences for real.
	 */
	moirai_fence_light();
	if (MOIRAI_UNLIKELY(moirai_load_relaxed(&idle->word_) > 0))
		(void)moirai__idle_notify_slow(idle);
}

/** Worker: begins to search; while it does no notifier wakes anybody. */
MOIRAI_API void moirai__idle_search_begin(struct moirai__idle *idle);

/**
 * Worker: ends its search with work in hand (or to leave). The last searcher wakes the next
 * sleeper, so that throughput ramps up. True when it did.
 */
MOIRAI_API bool moirai__idle_search_end(struct moirai__idle *idle);

enum moirai__slept {
	MOIRAI__SLEPT_NOT,   /* the rescan found something, or quit */
	MOIRAI__SLEPT,       /* and got up by a deadline or a shake */
	MOIRAI__SLEPT_WOKEN, /* until a waker took it off the list */
};

/**
 * Worker that searches: sleeps until it is woken, a deadline passes that it keeps, or there is
 * something to do after all. Blocks the thread. Returns searching again.
 */
MOIRAI_API enum moirai__slept moirai__idle_sleep(struct moirai__idle *idle,
	struct moirai__sleeper *self, const struct moirai__idle_ops *ops, void *arg);

/** Any thread: wakes one sleeper whoever searches; true when there was one. */
MOIRAI_API bool moirai__idle_wake_one(struct moirai__idle *idle);

/** Any thread, after quit has become true: everybody gets up. */
MOIRAI_API void moirai__idle_wake_all(struct moirai__idle *idle);

/**
 * Any thread, after a timer has become the first of all (its deadline is published): tells who
 * sleeps until a later one.
 */
MOIRAI_API void moirai__idle_deadline(struct moirai__idle *idle, uint64_t deadline_ns);

/** Worker that searches: becomes the watcher if there is none. */
MOIRAI_API bool moirai__idle_watch_begin(struct moirai__idle *idle, struct moirai__sleeper *self);

/** The watcher gives its place up. */
MOIRAI_API void moirai__idle_watch_end(struct moirai__idle *idle);

enum moirai__nap {
	MOIRAI__NAP,      /* a poke cuts it short */
	MOIRAI__NAP_HARD, /* foreign pushes do not; deadlines and quit do */
};

/** The watcher naps until the deadline. Blocks the thread. True when it was poked. */
MOIRAI_API bool moirai__idle_nap(struct moirai__idle *idle, struct moirai__sleeper *self,
	uint64_t deadline_ns, enum moirai__nap kind);

/* The cold half of poke: true when a nap was cut short. */
MOIRAI_API MOIRAI_COLD bool moirai__idle_poke_slow(struct moirai__idle *idle);

/**
 * Foreign threads, after publishing work: cuts the watcher's nap short. Without a fence: a lost race
 * costs one nap. True when it did.
 */
static inline bool moirai__idle_poke(struct moirai__idle *idle)
{
	if (MOIRAI_LIKELY(!moirai_load_relaxed(&idle->watcher_)))
		return false;
	return moirai__idle_poke_slow(idle);
}

/** Workers that sleep and that search right now; for statistics and tests. */
static inline unsigned moirai__idle_waiters(const struct moirai__idle *idle)
{
	return (unsigned)(moirai_load_relaxed(&idle->word_) & (MOIRAI__IDLE_SEARCH - 1));
}

MOIRAI_END_DECLS

#endif
