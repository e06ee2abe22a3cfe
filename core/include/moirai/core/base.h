/* SPDX-License-Identifier: MIT */
/* What every header needs: visibility, hints, layout constants and assertions. */
#ifndef MOIRAI_CORE_BASE_H
#define MOIRAI_CORE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define MOIRAI_BEGIN_DECLS extern "C" {
#define MOIRAI_END_DECLS   }
#define MOIRAI_STATIC_ASSERT(condition, text) static_assert(condition, text)
#else
#define MOIRAI_BEGIN_DECLS
#define MOIRAI_END_DECLS
#define MOIRAI_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#endif

/* Exported from its component's library; everything else is hidden (Windows exports all). */
#ifdef _WIN32
#define MOIRAI_API
#else
#define MOIRAI_API __attribute__((visibility("default")))
#endif

#define MOIRAI_LIKELY(x)      __builtin_expect(!!(x), 1)
#define MOIRAI_UNLIKELY(x)    __builtin_expect(!!(x), 0)
#define MOIRAI_NOINLINE       __attribute__((noinline))
#define MOIRAI_ALWAYS_INLINE  inline __attribute__((always_inline))
/*
 * A slow path: out of line. Not the compiler's `cold`: gcc 12 moves the code around a call of a cold
 * function that returns out of the hot section with it (a spawn jumped there and back each time).
 */
#define MOIRAI_COLD           __attribute__((noinline))
#define MOIRAI_NORETURN       __attribute__((noreturn))
#define MOIRAI_MUST_CHECK     __attribute__((warn_unused_result))
#define MOIRAI_MAYBE_UNUSED   __attribute__((unused))
#if defined(__MINGW32__) && !defined(__clang__)
#define MOIRAI_PRINTF(f, a) __attribute__((format(gnu_printf, f, a)))
#else
#define MOIRAI_PRINTF(f, a) __attribute__((format(printf, f, a)))
#endif
#define MOIRAI_ALIGNED(bytes) __attribute__((aligned(bytes)))
#define MOIRAI_ARRAY_SIZE(a)  (sizeof(a) / sizeof((a)[0]))
#define MOIRAI_CONTAINER_OF(pointer, type, member)                                                 \
	((type *)(void *)((char *)(pointer) - offsetof(type, member)))

/* The unit of coherence. Data written by different threads stands this far apart, at least. */
#define MOIRAI_CACHELINE 64
/* x86 prefetches lines in pairs: two hot writers stand this far apart. */
#define MOIRAI_CACHELINE_PAIR 128

#if defined(__SANITIZE_THREAD__)
#define MOIRAI_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MOIRAI_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define MOIRAI_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MOIRAI_ASAN 1
#endif
#endif
#ifndef MOIRAI_TSAN
#define MOIRAI_TSAN 0
#endif
#ifndef MOIRAI_ASAN
#define MOIRAI_ASAN 0
#endif

MOIRAI_BEGIN_DECLS

/**
 * Reports a broken invariant on stderr and aborts. Never returns; safe in any context. A freestanding
 * program (MOIRAI_FREESTANDING) has none: a broken assertion is a trap there.
 */
MOIRAI_API MOIRAI_NORETURN MOIRAI_COLD void moirai_panic(
	const char *file, int line, const char *what);

MOIRAI_END_DECLS

/* Kept in release builds: cheap checks whose failure means that going on would corrupt. */
#ifdef MOIRAI_FREESTANDING
#define MOIRAI_ASSERT(condition) (MOIRAI_LIKELY(condition) ? (void)0 : __builtin_trap())
#else
#define MOIRAI_ASSERT(condition)                                                                   \
	(MOIRAI_LIKELY(condition) ? (void)0 : moirai_panic(__FILE__, __LINE__, #condition))
#endif

/* Expensive invariants: compiled in when MOIRAI_DEBUG is defined (debug builds). */
#ifdef MOIRAI_DEBUG
#define MOIRAI_DEBUG_ASSERT(condition) MOIRAI_ASSERT(condition)
#else
#define MOIRAI_DEBUG_ASSERT(condition) ((void)sizeof(condition))
#endif

#endif
