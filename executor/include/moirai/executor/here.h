/* SPDX-License-Identifier: MIT */
/*
 * What the running task may ask for. All of it works from a plain thread too, as far as it makes
 * sense there.
 */
#ifndef MOIRAI_EXECUTOR_HERE_H
#define MOIRAI_EXECUTOR_HERE_H

#include <moirai/core/clock.h>
#include <moirai/core/executor.h>

MOIRAI_BEGIN_DECLS

/** The calling task, or NULL on a plain thread. Valid until it returns. */
MOIRAI_API moirai_task *moirai_task_current(void);

/**
 * Sets the result that the task's joiner gets; the last call counts. The pointer is handed over as
 * it is, so it must not point into the task's stack. -EPERM on a plain thread.
 */
MOIRAI_API int moirai_task_return(void *result);

/**
 * Lets the other runnable tasks of this worker go first: 8 ns between two tasks. Returns at once
 * when there is none. A plain thread offers its processor to another thread. Not a cancellation
 * point; the task may come back on another worker.
 */
MOIRAI_API void moirai_yield(void);

/**
 * Waits for duration_ns. A task leaves its worker to others meanwhile.
 *
 *   0           the time has passed (never earlier; 0 ns returns at once)
 *   -ECANCELED  the calling task was cancelled before
 */
MOIRAI_API int moirai_sleep_for(uint64_t duration_ns);

/** As moirai_sleep_for(), until the absolute monotonic deadline_ns; MOIRAI_NEVER: until cancelled. */
MOIRAI_API int moirai_sleep_until(uint64_t deadline_ns);

/** True when the calling task has been cancelled, masked or not. false on a plain thread. */
MOIRAI_API bool moirai_cancelled(void);

/**
 * Keeps cancellation away from the calling task until the matching moirai_cancel_unmask(): its calls
 * block as if nothing had happened, so that a clean-up can wait. Nests. Nothing on a plain thread.
 */
MOIRAI_API void moirai_cancel_mask(void);

/** Undoes one moirai_cancel_mask(); a cancellation that came meanwhile counts from the next call. */
MOIRAI_API void moirai_cancel_unmask(void);

MOIRAI_END_DECLS

#endif
