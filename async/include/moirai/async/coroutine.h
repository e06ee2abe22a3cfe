/* SPDX-License-Identifier: MIT */
/*
 * Coroutines: functions on stacks of their own that hand control and a value back and forth. They
 * need no executor, no thread of their own and no initialisation, and cost a few nanoseconds per
 * round trip.
 *
 *     static void *squares(moirai_coroutine *self, void *arg)
 *     {
 *         for (intptr_t i = 0; i < (intptr_t)arg; i++)
 *             if (moirai_coroutine_yield(self, (void *)(i * i), NULL) < 0)
 *                 return NULL;                          // somebody wants it to end: clean up here
 *         return NULL;
 *     }
 *
 *     moirai_coroutine *c;
 *     void *value;
 *     if (moirai_coroutine_create(&c, NULL, squares, (void *)10) == 0) {
 *         while (moirai_coroutine_resume(c, NULL, &value) == 0)
 *             printf("%d\n", (int)(intptr_t)value);
 *         moirai_coroutine_destroy(c);
 *     }
 *
 * A coroutine may be resumed from any thread, task or other coroutine, and by another one each
 * time; one at a time, and the callers order their calls among themselves. So code in a coroutine
 * keeps no thread-local address over a yield. A task inside whose coroutine something blocks parks
 * as a whole. Running out of stack hits a guard page; see moirai_coroutine_attr.
 */
#ifndef MOIRAI_ASYNC_COROUTINE_H
#define MOIRAI_ASYNC_COROUTINE_H

#include <moirai/async/internal/fiber.h>

#include <errno.h>

MOIRAI_BEGIN_DECLS

/* Opaque. Lives on its own stack; a handle is valid until destroy. */
typedef struct moirai_coroutine moirai_coroutine;

/* The body. What it returns is the last value that resume hands out. */
typedef void *(*moirai_coroutine_fn)(moirai_coroutine *self, void *arg);

typedef enum moirai_coroutine_state {
	MOIRAI_COROUTINE_SUSPENDED, /* may be resumed; also before the first time */
	MOIRAI_COROUTINE_RUNNING,   /* or has itself resumed another one */
	MOIRAI_COROUTINE_FINISHED,  /* its function has returned */
} moirai_coroutine_state;

/* All zero: the defaults. */
typedef struct moirai_coroutine_attr {
	/* Wished size of the stack in bytes, rounded up to 16 KiB, 64 KiB, 256 KiB or 1 MiB with the
	 * guard page and the coroutine's own data inside. 0: 64 KiB. */
	size_t stack_bytes;
	const char *name; /* for the overflow report; not copied; may be NULL */
	bool own_fp_modes; /* rounding mode and traps are its own and kept over a yield; about 2 ns a switch */
} moirai_coroutine_attr;

/**
 * Creates a suspended coroutine that will run fn(self, arg). attr may be NULL. Any thread; takes a
 * warm stack from the process's pool if there is one, else maps memory. Does not block for long.
 * -EINVAL: coroutine or fn NULL, or no stack that large; -ENOMEM: no memory, or too many.
 */
MOIRAI_API int moirai_coroutine_create(moirai_coroutine **coroutine,
	const moirai_coroutine_attr *attr, moirai_coroutine_fn fn, void *arg);

/**
 * Gives the stack back; NULL is fine. A coroutine that has not finished is dropped where it stands:
 * its frames are released without running anything, so what they own leaks; cancel it first when
 * that matters. Must not be running (asserted). Any thread.
 */
MOIRAI_API void moirai_coroutine_destroy(moirai_coroutine *coroutine);

/**
 * Runs the coroutine until it yields or returns. `in` is what its yield receives (or, the first
 * time, moirai_coroutine_input); *out (may be NULL) receives what it yielded or returned.
 * 0: it yielded; -ENODATA: it has returned, by this call or before, and *out is what it returned;
 * -EDEADLK: it is running (it resumes itself, or one that it has resumed does); -EINVAL: NULL.
 */
MOIRAI_API int moirai_coroutine_resume(moirai_coroutine *coroutine, void *in, void **out);

/* Bits of the fiber's state; the lowest two hold a moirai_coroutine_state. Private. */
#define MOIRAI__COROUTINE_STATE   3u
#define MOIRAI__COROUTINE_CANCEL  4u
#define MOIRAI__COROUTINE_STARTED 8u

/* The slow side of yield: errors, control words, sanitizers. Private. */
MOIRAI_API int moirai__coroutine_yield_slow(moirai_coroutine *self, void *out, void **in);

/**
 * From inside: hands `out` to the resumer and waits to be resumed; *in (may be NULL) receives the
 * next resume's value. 0; -ECANCELED: moirai_coroutine_cancel() was called, so finish; once it was,
 * yield still hands control back. -EPERM: not called on the running coroutine's own stack.
 *
 * Inline for the processor's return predictor: a yield that is called and returns would take the
 * prediction that the call of resume has left, and both would miss (20 ns a round trip).
 */
static MOIRAI_ALWAYS_INLINE int moirai_coroutine_yield(moirai_coroutine *self, void *out, void **in)
{
	struct moirai__fiber *fiber = (struct moirai__fiber *)(void *)self;
	uintptr_t low = (uintptr_t)fiber->stack_low;
	if (MOIRAI_UNLIKELY(fiber->flags ||
			    moirai__stack_here() - low >= (uintptr_t)fiber->stack_high - low))
		return moirai__coroutine_yield_slow(self, out, in);
	fiber->next = (uintptr_t)out;
	fiber->state &= (uint16_t)~MOIRAI__COROUTINE_STATE; /* suspended */
	moirai__switch(&fiber->words, &((struct moirai__fiber *)fiber->owner)->words);
	if (in)
		*in = (void *)fiber->next;
	return MOIRAI_UNLIKELY(fiber->state & MOIRAI__COROUTINE_CANCEL) ? -ECANCELED : 0;
}

/**
 * Asks it to end: resumes it with yields that return -ECANCELED until its function returns, and
 * discards what it still yields, `resumes_max` times at most. A coroutine that never started does
 * not start. 0: it has finished; -EAGAIN: it goes on yielding; -EDEADLK: it is running.
 */
MOIRAI_API int moirai_coroutine_cancel(moirai_coroutine *coroutine, unsigned resumes_max);

/** The value given to the latest resume. From inside. */
MOIRAI_API void *moirai_coroutine_input(const moirai_coroutine *self);

/** What it is doing; from the thread that may resume it, or from inside. */
MOIRAI_API moirai_coroutine_state moirai_coroutine_status(const moirai_coroutine *coroutine);

/**
 * Lets an overflow of a coroutine's or task's stack on the calling thread be reported on stderr
 * ("stack overflow: 'name' (id 7) has used up its 64 KiB stack") before the process dies of the
 * signal as usual. Executors do it for their workers. 0; -ENOMEM; -ENOTSUP on this system.
 */
MOIRAI_API int moirai_overflow_report_enable(void);

/** Undoes it, on the same thread and before the thread ends: frees the alternate signal stack. */
MOIRAI_API void moirai_overflow_report_disable(void);

MOIRAI_END_DECLS

#endif
