/* SPDX-License-Identifier: MIT */
/*
 * Atomics, with the order in the name.
 *
 * Every atomic access of the library goes through this header, for three reasons: the reader sees
 * the order, the deterministic tester (MOIRAI_MODEL) sees the access, and ThreadSanitizer, which
 * does not understand fences, gets ordered accesses in the place of "fence + relaxed access".
 *
 * The operands are plain integers or pointers (public structs hold no _Atomic: g++ refuses it).
 * `expected` of a compare-and-swap is a pointer to a local that receives the value found.
 *
 * Asymmetric fences: moirai_fence_light() is a compiler barrier where the system offers an
 * expedited membarrier, and moirai_fence_heavy() pays for both sides. Where it does not, both are
 * sequentially consistent fences; the choice is made once, before the first thread is started.
 */
#ifndef MOIRAI_CORE_ATOMIC_H
#define MOIRAI_CORE_ATOMIC_H

#include <moirai/core/base.h>

MOIRAI_BEGIN_DECLS

#ifdef MOIRAI_MODEL

/* The tester's side; see tests/harness/model.h. Sizes 1, 2, 4 and 8 bytes. */
uint64_t moirai_model_load(const void *p, unsigned size, int order);
void moirai_model_store(void *p, uint64_t value, unsigned size, int order);
uint64_t moirai_model_rmw(void *p, int op, uint64_t operand, unsigned size, int order);
bool moirai_model_cas(void *p, void *expected, uint64_t desired, unsigned size, bool weak,
	int success, int failure);
void moirai_model_fence(int order);
void moirai_model_fence_light(void);
void moirai_model_fence_heavy(void);
void moirai_model_relax(void);
/* The tester's number of the calling thread, 0 .. 15. */
unsigned moirai_model_self(void);
/* Marks a plain access, so that the tester finds data races on it. */
void moirai_model_plain(const volatile void *p, unsigned size, bool write);

enum { MOIRAI_MODEL_XCHG, MOIRAI_MODEL_ADD, MOIRAI_MODEL_SUB, MOIRAI_MODEL_OR, MOIRAI_MODEL_AND,
	MOIRAI_MODEL_XOR };

#define MOIRAI__TYPE(p)          __typeof__((void)0, *(p))
/* Statement expressions: a result that nobody uses is no warning, as with the builtins. */
#define moirai__load(p, o)                                                                         \
	__extension__({ (MOIRAI__TYPE(p))moirai_model_load((p), sizeof(*(p)), (o)); })
#define moirai__store(p, v, o)                                                                     \
	moirai_model_store((p), (uint64_t)(MOIRAI__TYPE(p))(v), sizeof(*(p)), (o))
#define moirai__rmw(p, op, v, o)                                                                   \
	__extension__({                                                                                \
		(MOIRAI__TYPE(p))moirai_model_rmw(                                                         \
			(p), (op), (uint64_t)(MOIRAI__TYPE(p))(v), sizeof(*(p)), (o));                         \
	})
#define moirai__xchg(p, v, o)      moirai__rmw(p, MOIRAI_MODEL_XCHG, v, o)
#define moirai__fetch_add(p, v, o) moirai__rmw(p, MOIRAI_MODEL_ADD, v, o)
#define moirai__fetch_sub(p, v, o) moirai__rmw(p, MOIRAI_MODEL_SUB, v, o)
#define moirai__fetch_or(p, v, o)  moirai__rmw(p, MOIRAI_MODEL_OR, v, o)
#define moirai__fetch_and(p, v, o) moirai__rmw(p, MOIRAI_MODEL_AND, v, o)
#define moirai__fetch_xor(p, v, o) moirai__rmw(p, MOIRAI_MODEL_XOR, v, o)
#define moirai__cas(p, e, d, weak, s, f)                                                           \
	moirai_model_cas((p), (e), (uint64_t)(MOIRAI__TYPE(p))(d), sizeof(*(p)), (weak), (s), (f))
#define moirai__fence(o) moirai_model_fence(o)

#define MOIRAI_RD(lvalue) (moirai_model_plain(&(lvalue), sizeof(lvalue), false), (lvalue))
#define MOIRAI_WR(lvalue) (*(moirai_model_plain(&(lvalue), sizeof(lvalue), true), &(lvalue)))

#else

#if MOIRAI_TSAN
/* Fences are invisible to ThreadSanitizer: strengthen what they would have strengthened. */
#define MOIRAI__LOAD(o)  ((o) == __ATOMIC_RELAXED ? __ATOMIC_ACQUIRE : (o))
#define MOIRAI__STORE(o) ((o) == __ATOMIC_RELAXED ? __ATOMIC_RELEASE : (o))
#define MOIRAI__RMW(o)   ((o) == __ATOMIC_SEQ_CST ? __ATOMIC_SEQ_CST : __ATOMIC_ACQ_REL)
#define MOIRAI__FAIL(o)  ((o) == __ATOMIC_SEQ_CST ? __ATOMIC_SEQ_CST : __ATOMIC_ACQUIRE)
#else
#define MOIRAI__LOAD(o)  (o)
#define MOIRAI__STORE(o) (o)
#define MOIRAI__RMW(o)   (o)
#define MOIRAI__FAIL(o)  (o)
#endif

#define moirai__load(p, o)         __atomic_load_n((p), MOIRAI__LOAD(o))
#define moirai__store(p, v, o)     __atomic_store_n((p), (v), MOIRAI__STORE(o))
#define moirai__xchg(p, v, o)      __atomic_exchange_n((p), (v), MOIRAI__RMW(o))
#define moirai__fetch_add(p, v, o) __atomic_fetch_add((p), (v), MOIRAI__RMW(o))
#define moirai__fetch_sub(p, v, o) __atomic_fetch_sub((p), (v), MOIRAI__RMW(o))
#define moirai__fetch_or(p, v, o)  __atomic_fetch_or((p), (v), MOIRAI__RMW(o))
#define moirai__fetch_and(p, v, o) __atomic_fetch_and((p), (v), MOIRAI__RMW(o))
#define moirai__fetch_xor(p, v, o) __atomic_fetch_xor((p), (v), MOIRAI__RMW(o))
#define moirai__cas(p, e, d, weak, s, f)                                                           \
	__atomic_compare_exchange_n((p), (e), (d), (weak), MOIRAI__RMW(s), MOIRAI__FAIL(f))
#if MOIRAI_TSAN
/* The accesses are ordered already; the machine's fence is still needed, unseen by TSan. */
#if defined(__x86_64__) || defined(__i386__)
#define moirai__fence(o) __asm__ volatile("mfence" ::: "memory")
#elif defined(__aarch64__)
#define moirai__fence(o) __asm__ volatile("dmb ish" ::: "memory")
#else
#define moirai__fence(o) __atomic_thread_fence(o)
#endif
#else
#define moirai__fence(o) __atomic_thread_fence(o)
#endif

/* Marks of plain accesses for the tester; nothing here. */
#define MOIRAI_RD(lvalue) (lvalue)
#define MOIRAI_WR(lvalue) (lvalue)

#endif

#define moirai_load_relaxed(p)    moirai__load(p, __ATOMIC_RELAXED)
#define moirai_load_acquire(p)    moirai__load(p, __ATOMIC_ACQUIRE)
#define moirai_load_seq_cst(p)    moirai__load(p, __ATOMIC_SEQ_CST)
#define moirai_store_relaxed(p, v) moirai__store(p, v, __ATOMIC_RELAXED)
#define moirai_store_release(p, v) moirai__store(p, v, __ATOMIC_RELEASE)
#define moirai_store_seq_cst(p, v) moirai__store(p, v, __ATOMIC_SEQ_CST)

#define moirai_exchange_relaxed(p, v) moirai__xchg(p, v, __ATOMIC_RELAXED)
#define moirai_exchange_acquire(p, v) moirai__xchg(p, v, __ATOMIC_ACQUIRE)
#define moirai_exchange_release(p, v) moirai__xchg(p, v, __ATOMIC_RELEASE)
#define moirai_exchange_acq_rel(p, v) moirai__xchg(p, v, __ATOMIC_ACQ_REL)
#define moirai_exchange_seq_cst(p, v) moirai__xchg(p, v, __ATOMIC_SEQ_CST)

/* true: *p was *expected and is `desired` now. false: *expected holds what was found. */
#define moirai_cas_relaxed(p, expected, desired)                                                   \
	moirai__cas(p, expected, desired, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
#define moirai_cas_acquire(p, expected, desired)                                                   \
	moirai__cas(p, expected, desired, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)
#define moirai_cas_release(p, expected, desired)                                                   \
	moirai__cas(p, expected, desired, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)
#define moirai_cas_acq_rel(p, expected, desired)                                                   \
	moirai__cas(p, expected, desired, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#define moirai_cas_seq_cst(p, expected, desired)                                                   \
	moirai__cas(p, expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
/* The weak forms may fail although *p was *expected: for loops. */
#define moirai_cas_weak_relaxed(p, expected, desired)                                              \
	moirai__cas(p, expected, desired, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
#define moirai_cas_weak_acquire(p, expected, desired)                                              \
	moirai__cas(p, expected, desired, true, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)
#define moirai_cas_weak_release(p, expected, desired)                                              \
	moirai__cas(p, expected, desired, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED)
#define moirai_cas_weak_acq_rel(p, expected, desired)                                              \
	moirai__cas(p, expected, desired, true, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)

/* All return the value found before. */
#define moirai_fetch_add_relaxed(p, v) moirai__fetch_add(p, v, __ATOMIC_RELAXED)
#define moirai_fetch_add_acquire(p, v) moirai__fetch_add(p, v, __ATOMIC_ACQUIRE)
#define moirai_fetch_add_release(p, v) moirai__fetch_add(p, v, __ATOMIC_RELEASE)
#define moirai_fetch_add_acq_rel(p, v) moirai__fetch_add(p, v, __ATOMIC_ACQ_REL)
#define moirai_fetch_add_seq_cst(p, v) moirai__fetch_add(p, v, __ATOMIC_SEQ_CST)
#define moirai_fetch_sub_relaxed(p, v) moirai__fetch_sub(p, v, __ATOMIC_RELAXED)
#define moirai_fetch_sub_release(p, v) moirai__fetch_sub(p, v, __ATOMIC_RELEASE)
#define moirai_fetch_sub_acq_rel(p, v) moirai__fetch_sub(p, v, __ATOMIC_ACQ_REL)
#define moirai_fetch_sub_seq_cst(p, v) moirai__fetch_sub(p, v, __ATOMIC_SEQ_CST)
#define moirai_fetch_or_relaxed(p, v)  moirai__fetch_or(p, v, __ATOMIC_RELAXED)
#define moirai_fetch_or_acquire(p, v)  moirai__fetch_or(p, v, __ATOMIC_ACQUIRE)
#define moirai_fetch_or_release(p, v)  moirai__fetch_or(p, v, __ATOMIC_RELEASE)
#define moirai_fetch_or_acq_rel(p, v)  moirai__fetch_or(p, v, __ATOMIC_ACQ_REL)
#define moirai_fetch_or_seq_cst(p, v)  moirai__fetch_or(p, v, __ATOMIC_SEQ_CST)
#define moirai_fetch_and_relaxed(p, v) moirai__fetch_and(p, v, __ATOMIC_RELAXED)
#define moirai_fetch_and_acquire(p, v) moirai__fetch_and(p, v, __ATOMIC_ACQUIRE)
#define moirai_fetch_and_release(p, v) moirai__fetch_and(p, v, __ATOMIC_RELEASE)
#define moirai_fetch_and_acq_rel(p, v) moirai__fetch_and(p, v, __ATOMIC_ACQ_REL)
#define moirai_fetch_xor_relaxed(p, v) moirai__fetch_xor(p, v, __ATOMIC_RELAXED)
#define moirai_fetch_xor_acq_rel(p, v) moirai__fetch_xor(p, v, __ATOMIC_ACQ_REL)

#define moirai_fence_acquire() moirai__fence(__ATOMIC_ACQUIRE)
#define moirai_fence_release() moirai__fence(__ATOMIC_RELEASE)
#define moirai_fence_acq_rel() moirai__fence(__ATOMIC_ACQ_REL)
#define moirai_fence_seq_cst() moirai__fence(__ATOMIC_SEQ_CST)

#ifdef MOIRAI_MODEL

#define moirai_fence_compiler() ((void)0)
#define moirai_fence_light()    moirai_model_fence_light()
#define moirai_fence_heavy()    moirai_model_fence_heavy()
#define moirai_cpu_relax()      moirai_model_relax()

#else

/* Where there is no operating system there is no membarrier: both halves are real fences. */
#ifdef MOIRAI_FREESTANDING
#define moirai__fence_symmetric true
#else
/* Private: true when the light fence must be a real one. Set before the first thread starts. */
MOIRAI_API extern bool moirai__fence_symmetric;
#endif

/** Orders nothing between processors; keeps the compiler from moving memory accesses over it. */
static MOIRAI_ALWAYS_INLINE void moirai_fence_compiler(void)
{
	__asm__ volatile("" ::: "memory");
}

/**
 * The cheap half of an asymmetric fence: with a moirai_fence_heavy() on the other side it orders
 * like a sequentially consistent fence on both. A compiler barrier where membarrier exists.
 */
static MOIRAI_ALWAYS_INLINE void moirai_fence_light(void)
{
	moirai_fence_compiler();
	if (MOIRAI_UNLIKELY(moirai__fence_symmetric))
		moirai_fence_seq_cst();
}

#ifdef MOIRAI_FREESTANDING
static MOIRAI_ALWAYS_INLINE void moirai_fence_heavy(void)
{
	moirai_fence_seq_cst();
}
#else
/**
 * The dear half: 0.14 us alone, up to 10 us while other threads of the process run. Any thread; a
 * system call where membarrier exists, a sequentially consistent fence elsewhere.
 */
MOIRAI_API void moirai_fence_heavy(void);
#endif

/** Tells the processor that this is a spin loop. Bounded spinning only. */
static MOIRAI_ALWAYS_INLINE void moirai_cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#else
	moirai_fence_compiler();
#endif
}

#endif

MOIRAI_END_DECLS

#endif
