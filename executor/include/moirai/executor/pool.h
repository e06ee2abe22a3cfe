/* SPDX-License-Identifier: MIT */
/*
 * The pool: an executor made of worker threads. A worker calls a task as a plain function on the
 * stack of its own loop; only a task that parks keeps that stack, and the worker goes on with
 * another one. The protocol is in executor/DESIGN.md.
 *
 * A pool may be used from any thread and from any task, of this pool or of another. Spawn from a
 * task costs about 7 ns, from a foreign thread 60 to 130; an idle pool makes no system call.
 *
 * fork(): the child has the pool's memory but not its threads. There spawn, join of what has not
 * finished, drain, shutdown and destroy return -ENOTSUP; a task that forks calls exec or exit in the
 * child. A pool that the child creates is its own.
 */
#ifndef MOIRAI_EXECUTOR_POOL_H
#define MOIRAI_EXECUTOR_POOL_H

#include <moirai/core/executor.h>

MOIRAI_BEGIN_DECLS

/* Limits and defaults; each is an attribute, 0 in the attribute means the default. */
#define MOIRAI_EXECUTOR_WORKERS_MAX      1024           /* worker ids are 10 bits of a task's id */
#define MOIRAI_EXECUTOR_TASKS_MAX        (1ull << 26)   /* live tasks: 4 GiB of cells */
#define MOIRAI_EXECUTOR_BLOCKING_MAX     64             /* spare threads for moirai_blocking */
#define MOIRAI_EXECUTOR_BLOCKING_IDLE_NS (5 * MOIRAI_S) /* then an idle spare thread ends */
#define MOIRAI_EXECUTOR_STACK_BYTES      (64 * 1024)    /* of a task, guard included */

/* How to build a pool. All-zero is the default; set `size` to sizeof(moirai_executor_attr). */
typedef struct moirai_executor_attr {
	uint32_t size;        /* sizeof this struct, for binary compatibility; 0: this version */
	uint32_t workers;     /* threads that run tasks; 0: moirai_os_cpus_usable() */
	const char *name;     /* copied; threads are called NAME-0, ...; NULL: "moirai" */
	const uint32_t *cpus; /* worker i is bound to cpus[i % cpus_count]; NULL: unbound */
	uint32_t cpus_count;
	uint32_t stack_size_bytes; /* of a task: rounded up to a class (16K, 64K, 256K, 1M) */
	uint64_t tasks_max;        /* live tasks; beyond it spawn returns -EAGAIN. Counted in blocks of
	                              1023, and each spawning thread may have one of its own */
	uint64_t parked_max;   /* stacks, that is tasks parked at once; 0: what the system allows */
	uint32_t blocking_max; /* spare threads for moirai_blocking() */
	uint32_t spin_rounds;  /* looks of an idle worker before it sleeps */
	uint64_t blocking_idle_ns; /* after so long a spare thread without work ends */
	uint64_t nap_ns;           /* sleep between two looks of the one watching worker */
	uint64_t lone_ns;          /* a worker's only item may be stolen after so long */
	uint64_t pay_ns;           /* stolen work shorter than this counts as useless */
} moirai_executor_attr;

/**
 * Starts a pool; *executor receives it. attr NULL: the defaults.
 *
 *   0        running; give it back with moirai_executor_destroy()
 *   -EINVAL  executor is NULL or an attribute is out of range
 *   -ENOMEM  no memory or no address space
 *   -EAGAIN  the system refused a thread
 *
 * Blocks until all workers stand ready. Any thread or task. On failure nothing is left behind.
 */
MOIRAI_API int moirai_executor_create(moirai_executor **executor, const moirai_executor_attr *attr);

/**
 * Ends an executor: refuses new tasks from outside, waits until everything that was accepted has
 * run (tasks may spawn more until then), joins all threads and frees everything. To cancel what
 * still waits, call moirai_executor_shutdown(executor, MOIRAI_SHUTDOWN_CANCEL, ...) before. Handles
 * that were neither joined nor detached are invalid afterwards. NULL is fine.
 *
 *   0         gone
 *   -EDEADLK  called from a task of this executor; nothing happened
 *
 * Nobody else may use the executor during the call, except its own tasks.
 */
MOIRAI_API int moirai_executor_destroy(moirai_executor *executor);

/**
 * Stops an executor. From the call on it refuses tasks from outside (-ECANCELED).
 *
 * MOIRAI_SHUTDOWN_DRAIN runs everything that was accepted; tasks may go on spawning.
 * MOIRAI_SHUTDOWN_CANCEL completes every task that has not started with -ECANCELED, makes every
 * park of the others return -ECANCELED (unless masked), refuses their spawns and lets them come to
 * their end. A drain may be followed by a cancel, not the reverse.
 *
 *   0           nothing is left
 *   -ETIMEDOUT  deadline_ns passed and tasks still run; the shutdown goes on, call again to wait
 *   -EINVAL     executor is NULL or mode is unknown
 *   -EDEADLK    called from a task of this executor; nothing happened
 *   -ECANCELED  the caller, a task of another executor, was cancelled while it waited
 *
 * Any foreign thread or task, several at once. Threads are joined by destroy.
 */
MOIRAI_API int moirai_executor_shutdown(
	moirai_executor *executor, moirai_shutdown_mode mode, uint64_t deadline_ns);

/**
 * Waits for a moment at which every accepted task has finished. The executor stays open.
 * 0, -ETIMEDOUT, -EINVAL, -EDEADLK and -ECANCELED as above.
 */
MOIRAI_API int moirai_executor_drain(moirai_executor *executor, uint64_t deadline_ns);

/** The number of worker threads; 0 for NULL. */
MOIRAI_API unsigned moirai_executor_workers(const moirai_executor *executor);

/** The executor whose task is calling, or NULL on a plain thread. */
MOIRAI_API moirai_executor *moirai_executor_current(void);

/** The calling worker's number, 0 to workers - 1, or -1 on a plain thread. A hint after any park. */
MOIRAI_API int moirai_executor_worker(void);

/* What a pool has done since its creation. Sums over the workers, approximate while it runs. */
typedef struct moirai_executor_stats {
	uint32_t size; /* in: sizeof this struct, or 0 */
	uint32_t workers;
	uint64_t spawned;   /* tasks accepted */
	uint64_t finished;  /* tasks completed, cancelled ones included */
	uint64_t cancelled; /* of these: never ran */
	uint64_t parks;     /* tasks that left their worker to wait */
	uint64_t yields;    /* tasks that let another one go first */
	uint64_t inlined;   /* joins that called the task on the joiner's stack */
	uint64_t steals;    /* successful steals; one may carry many items */
	uint64_t sleeps;    /* workers that went to sleep */
	uint64_t naps;      /* short sleeps of the watching worker */
	uint64_t timers;    /* deadlines that passed while a task was parked */
	uint64_t cells;     /* task cells that exist, in use or free */
	uint64_t stacks;    /* stacks that exist, in use or free */
	uint64_t blocking;  /* calls of moirai_blocking that ran on a spare thread */
	uint64_t spares;    /* spare threads that exist now */
} moirai_executor_stats;

/** Fills *stats. -EINVAL for NULL or for an executor that is no pool. Any thread; about 1 us. */
MOIRAI_API int moirai_executor_stats_get(
	const moirai_executor *executor, moirai_executor_stats *stats);

MOIRAI_END_DECLS

#endif
