/* SPDX-License-Identifier: MIT */
/*
 * Unstable. A fiber: a stack, the words to go on at, and the books that sanitizers keep.
 *
 * Fiber blocks live in the top page of their own stack and come from a stack pool (stack.h), so
 * their memory is type-stable: a stale pointer reads some fiber of the same pool, never something
 * else. The embedder (executor, coroutines) puts struct moirai__fiber first in a struct of its own
 * and tells the pool that struct's size.
 *
 * Two rules. A fiber never makes itself visible; its successor does, when the switch has saved it.
 * A fiber may go on on another thread: nothing that belongs to a thread (a worker pointer, the
 * address of a thread-local, errno) lives over a switch.
 */
#ifndef MOIRAI_ASYNC_INTERNAL_FIBER_H
#define MOIRAI_ASYNC_INTERNAL_FIBER_H

#include <moirai/async/internal/switch.h>

MOIRAI_BEGIN_DECLS

#if MOIRAI_ASAN
void __sanitizer_start_switch_fiber(void **fake_stack_save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake_stack, const void **bottom_old, size_t *size_old);
#endif
#if MOIRAI_TSAN
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#endif

typedef enum moirai__fiber_flags {
	MOIRAI__FIBER_FP = 1, /* has floating-point control words of its own (rounding, traps) */
	MOIRAI__FIBER_CANARY = 2, /* no guard page below its stack: checked at switch and free */
	MOIRAI__FIBER_NATIVE = 4, /* a thread's own stack; not from a pool */
	MOIRAI__FIBER_TOOLS = 8,  /* the library was built with a sanitizer that wants to know */
} moirai__fiber_flags;

/* Runs on the fiber's stack; leaves by moirai__fiber_exit(), never returns. */
typedef void (*moirai__fiber_entry)(void *arg);

struct moirai__fiber {
	struct moirai__context_words words; /* valid while suspended */
	void *owner;    /* the embedder's: the worker that runs it. Read again after every switch */
	uintptr_t next; /* the embedder's; while the fiber is free, the pool's */
	char *stack_low; /* usable stack: [stack_low, stack_high); constant */
	char *stack_high;
	uint32_t index;      /* which region of its class; constant */
	uint8_t stack_class; /* enum moirai__stack_class; constant */
	uint8_t flags;       /* moirai__fiber_flags; changed while the fiber does not run */
	uint16_t state;      /* the embedder's */
	/* 64 bytes to here (64-bit targets): all that a plain switch touches. What follows depends on
	 * the build's sanitizers, so inline code of public headers stays above. */
	void *fake_stack; /* ASan's, while suspended */
	union {
		void *tsan;            /* TSan's name for the fiber, from prepare to free */
		uintptr_t valgrind_id; /* valgrind's name for the stack */
	} tool;
	uint64_t outer_words; /* MOIRAI__FIBER_FP: the words of whoever switched to it */
	uint64_t own_words;   /* MOIRAI__FIBER_FP: its own, while suspended */
#if MOIRAI_ASAN
	/* The stack it was left on: not its own while it runs a coroutine. Written by the successor. */
	const void *left_low;
	size_t left_size;
	struct moirai__fiber *left_for_us; /* whom we were switched to from */
	uintptr_t pad_;
#endif
	/* The embedder's fields follow. */
};

#if UINTPTR_MAX > 0xffffffffu && !MOIRAI_ASAN
MOIRAI_STATIC_ASSERT(offsetof(struct moirai__fiber, fake_stack) == 64, "the hot part is one line");
MOIRAI_STATIC_ASSERT(sizeof(struct moirai__fiber) == 96, "embedders count on the second half line");
#endif

/**
 * Arms a fiber that does not run: the next switch to it calls entry(arg) on its stack. The stack's
 * top page is touched. Call it anew before each use; the embedder's fields stay as they are.
 */
MOIRAI_API void moirai__fiber_prepare(
	struct moirai__fiber *fiber, moirai__fiber_entry entry, void *arg);

/**
 * Makes *fiber stand for the calling thread on its own stack, as the `from` of its first switch and
 * the `to` of the last. The memory is the caller's. `fini` is called on the same thread and stack.
 */
MOIRAI_API void moirai__fiber_native_init(struct moirai__fiber *fiber);
MOIRAI_API void moirai__fiber_native_fini(struct moirai__fiber *fiber);

/* Slow sides for fibers with flags. Private to the two functions below. */
MOIRAI_API void moirai__fiber_leave_slow(struct moirai__fiber *from);
MOIRAI_API void moirai__fiber_enter_slow(struct moirai__fiber *self);

/* Before the switch: the tools learn that `from` is left for `to`. dying: ASan drops the books. */
static MOIRAI_ALWAYS_INLINE void moirai__fiber_depart(
	struct moirai__fiber *from, struct moirai__fiber *to, bool dying)
{
	(void)from;
	(void)to;
	(void)dying;
#if MOIRAI_ASAN
	to->left_for_us = from;
	__sanitizer_start_switch_fiber(
		dying ? NULL : &from->fake_stack, to->left_low, to->left_size);
#endif
#if MOIRAI_TSAN
	/* Inlined next to the switch: no function of the old fiber ends in between. */
	__tsan_switch_to_fiber(to->tool.tsan, 0);
#endif
}

/* After the switch, on the stack of `self`. */
static MOIRAI_ALWAYS_INLINE void moirai__fiber_arrive(struct moirai__fiber *self)
{
	(void)self;
#if MOIRAI_ASAN
	__sanitizer_finish_switch_fiber(
		self->fake_stack, &self->left_for_us->left_low, &self->left_for_us->left_size);
#endif
}

/**
 * Leaves the running fiber `from` for `to`, which is suspended or freshly prepared. Returns when
 * somebody switches to `from`, perhaps on another thread. 1-2 ns; no system call, no allocation.
 */
static MOIRAI_ALWAYS_INLINE void moirai__fiber_switch(
	struct moirai__fiber *from, struct moirai__fiber *to)
{
	if (MOIRAI_UNLIKELY(from->flags & (MOIRAI__FIBER_FP | MOIRAI__FIBER_CANARY)))
		moirai__fiber_leave_slow(from);
	moirai__fiber_depart(from, to, false);
	moirai__switch(&from->words, &to->words);
	moirai__fiber_arrive(from);
	if (MOIRAI_UNLIKELY(from->flags & MOIRAI__FIBER_FP))
		moirai__fiber_enter_slow(from);
}

/**
 * The last switch of `from`: nobody switches to it again before moirai__fiber_prepare(). Its stack
 * must not be given back, prepared or reused before the successor runs.
 */
static MOIRAI_ALWAYS_INLINE MOIRAI_NORETURN void moirai__fiber_exit(
	struct moirai__fiber *from, struct moirai__fiber *to)
{
	if (MOIRAI_UNLIKELY(from->flags & (MOIRAI__FIBER_FP | MOIRAI__FIBER_CANARY)))
		moirai__fiber_leave_slow(from);
	moirai__fiber_depart(from, to, true);
	moirai__switch(&from->words, &to->words);
	__builtin_unreachable();
}

MOIRAI_END_DECLS

#endif
