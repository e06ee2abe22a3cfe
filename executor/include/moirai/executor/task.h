/* SPDX-License-Identifier: MIT */
/*
 * Tasks: a plain function, its result, and a handle of one owner.
 *
 * A handle comes from moirai_spawn() and ends with exactly one successful moirai_task_join(), one
 * moirai_task_detach(), or the executor. Only one thread or task may join at a time; cancel, status
 * and id may be called by others as long as the owner keeps the handle.
 */
#ifndef MOIRAI_EXECUTOR_TASK_H
#define MOIRAI_EXECUTOR_TASK_H

#include <moirai/core/executor.h>

MOIRAI_BEGIN_DECLS

/* Data up to this size travels inside the task's cell. */
#define MOIRAI_TASK_PAYLOAD_MAX 24

/**
 * As moirai_spawn(), and fn receives the address of a copy of the size_bytes at data, aligned to 8
 * bytes, alive until fn returns: nothing to allocate for small arguments.
 *
 *   0           accepted
 *   -EINVAL     NULL where none may be, an attribute out of range, size_bytes > payload limit
 *   -EAGAIN     the executor's limit of live tasks is reached
 *   -ENOMEM     no memory
 *   -ECANCELED  the executor is shutting down
 *   -ENOTSUP    the executor is no pool
 */
MOIRAI_API int moirai_spawn_copy(moirai_executor *executor, const moirai_task_attr *attr,
	moirai_task_fn fn, const void *data, size_t size_bytes, moirai_task **task);

/**
 * Waits until the task has finished and gives the handle back. *result (NULL: not wanted) receives
 * what the task passed to moirai_task_return(), else NULL.
 *
 *   0           it ran to its end; the handle is gone
 *   -ECANCELED  it never ran, the task or its executor was cancelled before; the handle is gone
 *   -EINTR      the caller is itself a task and was cancelled while it waited; the handle is valid:
 *               join again with cancellation masked, or detach
 *   -EINVAL     task is NULL
 *   -EDEADLK    a task joins itself; the handle is valid
 *
 * Blocks the task or the thread. A task that has not started and lies at the end of the caller's
 * own queue is called at once on the caller's stack; it shares the caller's cancellation then. The
 * join of a finished task is one load.
 */
MOIRAI_API int moirai_task_join(moirai_task *task, void **result);

/** As moirai_task_join(); also -ETIMEDOUT when deadline_ns passes (the handle stays valid). */
MOIRAI_API int moirai_task_join_until(moirai_task *task, void **result, uint64_t deadline_ns);

/** As moirai_task_join(), never blocks: -EAGAIN when the task has not finished. */
MOIRAI_API int moirai_task_try_join(moirai_task *task, void **result);

/** Waits as moirai_task_join_until() without giving the handle back; 0 when it has finished. */
MOIRAI_API int moirai_task_wait_until(moirai_task *task, uint64_t deadline_ns);

/** Gives the handle back without waiting; the task goes on. -EINVAL for NULL. */
MOIRAI_API int moirai_task_detach(moirai_task *task);

/**
 * Cancels a task, once and for all. One that has not started never will. One that runs gets
 * -ECANCELED from each call that would block, beginning with the one it stands in.
 *
 *   0         it will see it
 *   -EALREADY it has finished
 *   -EINVAL   task is NULL
 *
 * Any thread or task while the handle is valid. Does not wait.
 */
MOIRAI_API int moirai_task_cancel(moirai_task *task);

/** Where the task is; it may be further on when the call returns. MOIRAI_TASK_DONE for NULL. */
MOIRAI_API moirai_task_state moirai_task_status(const moirai_task *task);

/** The task's number: never reused while a handle lives. 0 for NULL. */
MOIRAI_API moirai_task_id moirai_task_id_of(const moirai_task *task);

/**
 * Copies the task's name, or "" when it has none, to buffer with a terminating 0 (at most size_bytes
 * with it; NULL: to none). Returns the length of the name.
 */
MOIRAI_API size_t moirai_task_name(const moirai_task *task, char *buffer, size_t size_bytes);

MOIRAI_END_DECLS

#endif
