/* SPDX-License-Identifier: MIT */
/*
 * The observer: one global pointer, one predictable branch.
 *
 * The hot code reports what happens by MOIRAI_OBSERVE(kind, object). With nobody attached that is a
 * relaxed load and a branch not taken (3-4 instructions, no measurable time); everything else, the
 * mask included, is looked up behind the branch. Metrics, tracing and plugins attach subscribers;
 * the hot code knows none of them. Fork and join carry no point at all.
 *
 * A subscriber is called on the thread where the event happens. It may not park, allocate or call
 * the runtime; it sees `object` only for the time of the call. Events that a subscriber causes are
 * dropped and counted.
 */
#ifndef MOIRAI_CORE_OBSERVER_H
#define MOIRAI_CORE_OBSERVER_H

#include <moirai/core/atomic.h>
#include <moirai/core/base.h>

/* 0 compiles every point out; set by the build option `observer`. The tester links no observer. */
#ifndef MOIRAI_OBSERVER
#ifdef MOIRAI_MODEL
#define MOIRAI_OBSERVER 0
#else
#define MOIRAI_OBSERVER 1
#endif
#endif

MOIRAI_BEGIN_DECLS

/*
 * What is reported, and which object comes along. Below 32, so that a set of kinds is a word. Locks
 * and I/O are reported by the components that bring them; so far these kinds, and USER, are free.
 */
typedef enum moirai_event {
	MOIRAI_EVENT_SPAWN,        /* a task was accepted: the task */
	MOIRAI_EVENT_START,        /* a task starts to run: the task */
	MOIRAI_EVENT_FINISH,       /* a task has ended: the task */
	MOIRAI_EVENT_CANCEL,       /* a task or token was cancelled: the object */
	MOIRAI_EVENT_PARK,         /* the caller is about to wait: the word's address */
	MOIRAI_EVENT_UNPARK,       /* somebody was woken: the word's address */
	MOIRAI_EVENT_STEAL,        /* a worker took work from another: the oldest item of the loot */
	MOIRAI_EVENT_WORKER_START, /* a worker thread begins its loop: the worker */
	MOIRAI_EVENT_WORKER_STOP,  /* ... and leaves it: the worker */
	MOIRAI_EVENT_SLEEP,        /* a worker has nothing to do and sleeps: its sleeper */
	MOIRAI_EVENT_WAKE,         /* ... and is awake again: its sleeper */
	MOIRAI_EVENT_ALLOC,        /* memory was allocated: the block */
	MOIRAI_EVENT_FREE,         /* memory is about to be freed: the block */
	MOIRAI_EVENT_LOCK_WAIT,    /* a lock was not free: the lock */
	MOIRAI_EVENT_LOCK_GOT,     /* ... and is held now: the lock */
	MOIRAI_EVENT_IO_SUBMIT,    /* an operation was handed to the system: the operation */
	MOIRAI_EVENT_IO_COMPLETE,  /* ... and is complete: the operation */
	MOIRAI_EVENT_TIMER,        /* a timer fired: the timer */
	MOIRAI_EVENT_ERROR, /* something failed that nobody asked about: what it happened to */
	MOIRAI_EVENT_USER,  /* the application's own: whatever it passes */
} moirai_event;
#define MOIRAI_EVENT_KINDS 20

/* The bit of a kind in a mask; all kinds. */
#define MOIRAI_EVENT_BIT(kind) (1u << (kind))
#define MOIRAI_EVENT_ALL       ((1u << MOIRAI_EVENT_KINDS) - 1)

/** "spawn", "lock_wait", ...; "?" for what is no kind. Static storage. */
MOIRAI_API const char *moirai_event_name(moirai_event kind);

/*
 * A subscriber. The caller's memory; its address is its identity, the fields are copied when it is
 * attached. `worker` is the index of the worker on which the event happens, -1 on any other thread.
 */
typedef struct moirai_observer {
	uint32_t mask; /* of MOIRAI_EVENT_BIT()s: what it wants to hear */
	void (*event)(void *self, moirai_event kind, const void *object, int worker);
	void *self;
} moirai_observer;

/* Subscribers at once: a chain is a handful; each costs an event about 1.5 ns. */
#define MOIRAI_OBSERVERS_MAX 8

/**
 * Attaches a subscriber; events reach it from some moment of the call on. Any thread or task but
 * not from inside a subscriber. Control path: may take milliseconds on a loaded machine.
 *
 * 0; -EINVAL: NULL, no function or a mask without a known kind; -EEXIST: attached already;
 * -ENOSPC: MOIRAI_OBSERVERS_MAX are attached; -EDEADLK: called by a subscriber; -ENOTSUP: built with
 * observer=disabled. Does not allocate.
 */
MOIRAI_API int moirai_observer_attach(const moirai_observer *observer);

/**
 * Detaches a subscriber. When it returns, the subscriber is not running on any thread and will not
 * be called again: what its `self` points to may be freed. Waits for calls in progress.
 *
 * 0; -EINVAL: NULL; -ENOENT: not attached; -EDEADLK: called by a subscriber; -ENOTSUP. Does not
 * allocate: it cannot fail half-way.
 */
MOIRAI_API int moirai_observer_detach(const moirai_observer *observer);

typedef struct moirai_observer_stats {
	uint64_t recursions;  /* events dropped because a subscriber caused them */
	uint64_t unslotted;   /* events dropped because more threads emit than there are slots */
	uint32_t attached;    /* subscribers now */
	uint32_t threads;     /* threads that hold a slot now */
	uint32_t threads_max; /* slots that there are */
} moirai_observer_stats;

/** Fills *stats; approximate while events are emitted. Never fails. */
MOIRAI_API void moirai_observer_stats_get(moirai_observer_stats *stats);

struct moirai__observer_chain;
/** Private: the chain in force, NULL for none. */
MOIRAI_API extern struct moirai__observer_chain *moirai__observer_current;
/** Private: what lies behind the branch. */
MOIRAI_API MOIRAI_COLD void moirai__observe(moirai_event kind, const void *object);

/* Is anybody attached? Lets a caller skip the work of preparing an event. */
#if MOIRAI_OBSERVER
/* relaxed: only a hint; moirai__observe() reads the pointer again under its own protection. */
#define MOIRAI_OBSERVED() MOIRAI_UNLIKELY(moirai_load_relaxed(&moirai__observer_current) != NULL)
#else
#define MOIRAI_OBSERVED() 0
#endif

/* A point: reports an event. The arguments are evaluated only when somebody is attached. */
#define MOIRAI_OBSERVE(kind, object) \
	((void)(MOIRAI_OBSERVED() ? (moirai__observe((kind), (object)), 0) : 0))

MOIRAI_END_DECLS

#endif
