/* SPDX-License-Identifier: MIT */
/*
 * Unstable. The context switch: the registers and nothing else.
 *
 * A suspended context is three words: stack pointer, frame pointer, address to go on at. The inline
 * forms tell the compiler that every other register is lost, so that it saves what is live (mostly
 * nothing) instead of us saving what might be. Three words in memory instead of two pushes: the
 * stack pointer does not move, hence the red zone stays intact, the unwind tables of the enclosing
 * function stay true at each instruction, and no compiler flag is needed.
 *
 * They leave by an indirect jump, never by `ret`: a switch is no return, and one stale entry on the
 * processor's return stack makes every following `ret` mispredict (10 ns a switch). For the same
 * reason there is no call: call + jump would unbalance it as well. Shadow stacks (CET SS, GCS) are
 * not supported: switch.S carries no marker for them, so the linker does not claim them.
 *
 * Per target: inline on x86-64 and aarch64 (System V); out of line in switch.S on i386 and 64-bit
 * Windows; ucontext elsewhere.
 */
#ifndef MOIRAI_ASYNC_INTERNAL_SWITCH_H
#define MOIRAI_ASYNC_INTERNAL_SWITCH_H

#include <moirai/core/base.h>

MOIRAI_BEGIN_DECLS

/* Where a suspended context goes on. Written and read by the switch alone. */
struct moirai__context_words {
	void *sp;
	void *frame;
	void *pc;
};

/* Where a fresh context starts: goes to moirai__fiber_main(to). Never called by C code. */
void moirai__switch_entry(void);

/* The other end of moirai__switch_entry, in fiber.c; `to` is what was given to the switch. */
struct moirai__fiber;
MOIRAI_NORETURN void moirai__fiber_returned(void);
void moirai__fiber_main(struct moirai__context_words *to);

/* Some address in the caller's frame: which stack is this? */
static MOIRAI_ALWAYS_INLINE uintptr_t moirai__stack_here(void)
{
#if defined(__x86_64__)
	uintptr_t sp;
	__asm__("movq %%rsp, %0" : "=r"(sp));
	return sp;
#elif defined(__aarch64__)
	uintptr_t sp;
	__asm__("mov %0, sp" : "=r"(sp));
	return sp;
#else
	return (uintptr_t)__builtin_frame_address(0);
#endif
}

#if defined(__x86_64__) && !defined(_WIN32)

#define MOIRAI__SWITCH_INLINE 1

#ifdef __AVX512F__
#define MOIRAI__SWITCH_AVX512                                                                    \
	, "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24",       \
		"xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", \
		"k4", "k5", "k6", "k7"
#else
#define MOIRAI__SWITCH_AVX512
#endif

/* Saves the caller in *from and goes on in *to; returns when somebody switches to `from`. */
static MOIRAI_ALWAYS_INLINE void moirai__switch(
	struct moirai__context_words *from, struct moirai__context_words *to)
{
	/* rbp by hand: it may be the frame pointer, which no clobber list may name. */
	__asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
			 "movq %%rsp, (%%rdi)\n\t"
			 "movq %%rbp, 8(%%rdi)\n\t"
			 "movq %%rax, 16(%%rdi)\n\t"
			 "movq 8(%%rsi), %%rbp\n\t"
			 "movq (%%rsi), %%rsp\n\t"
			 "jmpq *16(%%rsi)\n"
			 "1:\tendbr64"
			 : "+D"(from), "+S"(to)
			 :
			 : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13",
			 "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
			 "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
			 "xmm15" MOIRAI__SWITCH_AVX512, "memory", "cc");
}

#elif defined(__aarch64__) && !defined(_WIN32)

#define MOIRAI__SWITCH_INLINE 1

#ifdef __ARM_FEATURE_SVE
#define MOIRAI__SWITCH_SVE                                                                        \
	, "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11", "p12", "p13", \
		"p14", "p15"
#else
#define MOIRAI__SWITCH_SVE
#endif
/* x18 belongs to the platform on Apple systems, Android and Fuchsia. */
#if defined(__APPLE__) || defined(__ANDROID__) || defined(__Fuchsia__)
#define MOIRAI__SWITCH_X18
#else
#define MOIRAI__SWITCH_X18 , "x18"
#endif

static MOIRAI_ALWAYS_INLINE void moirai__switch(
	struct moirai__context_words *from, struct moirai__context_words *to)
{
	register struct moirai__context_words *x0 __asm__("x0") = from;
	register struct moirai__context_words *x1 __asm__("x1") = to;
	/* x29 by hand, for the reason given above; hint #36 is `bti j`. */
	__asm__ volatile("adr x9, 1f\n\t"
			 "mov x10, sp\n\t"
			 "stp x10, x29, [x0]\n\t"
			 "str x9, [x0, #16]\n\t"
			 "ldp x10, x29, [x1]\n\t"
			 "ldr x16, [x1, #16]\n\t"
			 "mov sp, x10\n\t"
			 "br x16\n"
			 "1:\thint #36"
			 : "+r"(x0), "+r"(x1)
			 :
			 : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12",
			 "x13", "x14", "x15", "x16", "x17", "x19", "x20", "x21", "x22", "x23",
			 "x24", "x25", "x26", "x27", "x28", "x30", "v0", "v1", "v2", "v3", "v4",
			 "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15",
			 "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25",
			 "v26", "v27", "v28", "v29", "v30",
			 "v31" MOIRAI__SWITCH_X18 MOIRAI__SWITCH_SVE, "memory", "cc");
}

#else

#define MOIRAI__SWITCH_INLINE 0

/* Out of line: switch.S, or switch_ucontext.c. */
MOIRAI_API void moirai__switch(
	struct moirai__context_words *from, struct moirai__context_words *to);

#endif

MOIRAI_END_DECLS

#endif
