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

typedef struct moirai_spawner_ops {
	/* Starts fn(arg). *task receives the handle unless it is NULL (then the task is detached). */
	int (*spawn)(moirai_executor *executor, const moirai_task_attr *attr, moirai_task_fn fn, void *arg,
		moirai_task **task);
} moirai_spawner_ops;

typedef struct moirai_manager_ops {
	int (*cancel)(moirai_executor *executor, moirai_task *task);
	int (*status)(moirai_executor *executor, const moirai_task *task, moirai_task_state *state);
	int (*wait)(moirai_executor *executor, moirai_task *task, uint64_t deadline_ns);
} moirai_manager_ops;

typedef enum moirai_shutdown_mode {
	MOIRAI_SHUTDOWN_DRAIN,  /* run everything that was accepted */
	MOIRAI_SHUTDOWN_CANCEL, /* cancel what waits or is queued, let running tasks come to their end */
} moirai_shutdown_mode;

typedef struct moirai_control_ops {
	int (*shutdown)(moirai_executor *executor, moirai_shutdown_mode mode, uint64_t deadline_ns);
	int (*drain)(moirai_executor *executor, uint64_t deadline_ns);
	unsigned (*workers)(const moirai_executor *executor);
	int (*destroy)(moirai_executor *executor);
} moirai_control_ops;

/* The head of every executor. */
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
 *   -ENOMEM     no memory; nothing was started
 *   -ECANCELED  the executor is shutting down; nothing was started
 *
 * Any thread or task. Does not block; about 5 ns from a task of the same executor.
 */
static inline int moirai_spawn(moirai_executor *executor, const moirai_task_attr *attr,
	moirai_task_fn fn, void *arg, moirai_task **task)
{
	return MOIRAI_LIKELY(executor != NULL) ? executor->spawner->spawn(executor, attr, fn, arg, task)
					       : -EINVAL;
}

MOIRAI_END_DECLS

#endif
