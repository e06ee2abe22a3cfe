/* SPDX-License-Identifier: MIT */
/*
 * What every executor is: three small tables of functions. The pool, the inline executor, the
 * single-thread executor and the remote executor implement them; code that takes a moirai_executor
 * runs on all of them. The pool itself is <moirai/executor.h>.
 */
#ifndef MOIRAI_CORE_EXECUTOR_H
#define MOIRAI_CORE_EXECUTOR_H

#include <errno.h>
#include <moirai/core/base.h>
#include <moirai/core/task.h>

MOIRAI_BEGIN_DECLS

/*
 * All functions of the three tables: any thread or task, several at once, except where it says
 * otherwise; status 0 or a negative errno value. A table that an executor lacks is NULL, and so is
 * a function that it cannot offer: the callers below return -ENOTSUP then. Arguments come checked
 * for NULL.
 */
typedef struct moirai_spawner_ops {
	/*
	 * Starts fn(arg). *task receives the handle unless it is NULL (then the task is detached).
	 * attr may be NULL; moirai_task_attr_read() checks it. Does not wait for the task, except in an
	 * executor that runs tasks inline. On failure *task is not written and fn is never called.
	 */
	int (*spawn)(moirai_executor *executor, const moirai_task_attr *attr, moirai_task_fn fn,
		void *arg, moirai_task **task);
} moirai_spawner_ops;

/* `task` is a handle of this executor that its owner has neither joined nor detached. */
typedef struct moirai_manager_ops {
	/* Cancels, once and for all; does not wait. 0; -EALREADY: it has finished. */
	int (*cancel)(moirai_executor *executor, moirai_task *task);
	/* Where it is now, in *state. 0. */
	int (*status)(moirai_executor *executor, const moirai_task *task, moirai_task_state *state);
	/*
	 * Waits until it has finished; the handle stays valid. 0; -ETIMEDOUT; -ECANCELED: the caller
	 * is a task and was cancelled; -EDEADLK: a task waits for itself.
	 */
	int (*wait)(moirai_executor *executor, moirai_task *task, uint64_t deadline_ns);
} moirai_manager_ops;

typedef enum moirai_shutdown_mode {
	MOIRAI_SHUTDOWN_DRAIN, /* run everything that was accepted */
	MOIRAI_SHUTDOWN_CANCEL, /* cancel what waits or is queued, let running tasks come to their end */
} moirai_shutdown_mode;

typedef struct moirai_control_ops {
	/* Refuses new tasks and ends the accepted ones as `mode` says. 0; -ETIMEDOUT; -EDEADLK. */
	int (*shutdown)(moirai_executor *executor, moirai_shutdown_mode mode, uint64_t deadline_ns);
	/* Waits for a moment without unfinished tasks; stays open. 0; -ETIMEDOUT; -EDEADLK. */
	int (*drain)(moirai_executor *executor, uint64_t deadline_ns);
	/* How many tasks can run at once; at least 1. */
	unsigned (*workers)(const moirai_executor *executor);
	/* Drains, stops, frees. The caller is its last user. 0; -EDEADLK: from one of its tasks. */
	int (*destroy)(moirai_executor *executor);
} moirai_control_ops;

/*
 * The head of every executor: the first member of its struct. Whoever makes the executor sets it
 * before anybody else sees it, and nobody writes it afterwards; the tables have static storage.
 */
struct moirai_executor {
	const moirai_spawner_ops *spawner;
	const moirai_manager_ops *manager;
	const moirai_control_ops *control;
};

/**
 * Starts fn(arg) on the executor. attr NULL: the defaults. task NULL: detached, nobody can join.
 * Else *task is a handle that must be joined or detached.
 *
 *   0           accepted: it will run, or complete with -ECANCELED if the executor is shut down
 *   -EINVAL     executor or fn is NULL, or an attribute is out of range
 *   -ENOTSUP    the executor cannot spawn
 *   -ENOMEM     no memory; nothing was started
 *   -ECANCELED  the executor is shutting down; nothing was started
 *
 * Any thread or task. Does not block; about 7 ns from a task of the same executor.
 */
static inline int moirai_spawn(moirai_executor *executor, const moirai_task_attr *attr,
	moirai_task_fn fn, void *arg, moirai_task **task)
{
	if (MOIRAI_UNLIKELY(!executor || !fn))
		return -EINVAL;
	if (MOIRAI_UNLIKELY(!executor->spawner))
		return -ENOTSUP;
	return executor->spawner->spawn(executor, attr, fn, arg, task);
}

MOIRAI_END_DECLS

#endif
