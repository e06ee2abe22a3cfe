/* SPDX-License-Identifier: MIT */
/*
 * Calls that block in the kernel. A worker that sits in read() or getaddrinfo() runs nothing else;
 * moirai_blocking() lets a spare thread sit there instead.
 */
#ifndef MOIRAI_EXECUTOR_BLOCKING_H
#define MOIRAI_EXECUTOR_BLOCKING_H

#include <moirai/core/task.h>

MOIRAI_BEGIN_DECLS

/**
 * Calls fn(arg) on a spare thread of the executor, which has a full thread's stack, and waits for
 * its end; the worker goes on with other tasks meanwhile. On a plain thread fn is called in place.
 * Inside fn the caller is a plain thread: every call works there, and blocks that thread.
 *
 *   0           fn has returned
 *   -ECANCELED  the calling task was cancelled before fn was started; fn is not called
 *   -EINVAL     fn is NULL
 *
 * Once started, fn is waited for even if the task is cancelled: arg may lie on the caller's stack.
 * Spare threads are started on demand up to the attribute blocking_max and end when idle; above the
 * limit calls queue up, so fn must not wait for a task whose own call may stand in that queue. Where
 * the system refuses the very first thread fn runs in place. Costs two thread wake-ups, 10 us or so:
 * worth it for what may take longer.
 */
MOIRAI_API int moirai_blocking(moirai_task_fn fn, void *arg);

MOIRAI_END_DECLS

#endif
