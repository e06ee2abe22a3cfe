/* SPDX-License-Identifier: MIT */
/*
 * The deterministic tester: runs a scenario under every schedule, and every result of the memory
 * model, that a budget allows. See README.md for a tour and DESIGN.md for the method.
 *
 *   static uint32_t ready;
 *   static int data;
 *
 *   static void producer(void *arg)
 *   {
 *           MOIRAI_WR(data) = 42;
 *           moirai_store_release(&ready, 1);
 *   }
 *
 *   static void message_passing(void)
 *   {
 *           model_thread(producer, NULL);
 *           if (moirai_load_acquire(&ready))
 *                   MODEL_CHECK(MOIRAI_RD(data) == 42);
 *           model_join_all();
 *   }
 *
 *   MODEL_MAIN(MODEL_CLEAN(message_passing, .exhaust = true))
 *
 * Compile the scenario, the algorithm's .c files and the harness's model_*.c with -DMOIRAI_MODEL
 * (dependency 'moirai-model'). A scenario is run thousands of times: static variables are put back
 * to their initial values before each execution. It calls nothing of the system; memory comes from
 * moirai_alloc(), waiting from moirai_os_futex_wait(), and so on.
 */
#ifndef MOIRAI_TESTING_MODEL_H
#define MOIRAI_TESTING_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef MOIRAI_MODEL
#error "a model program is compiled with -DMOIRAI_MODEL"
#endif

/* The scenario itself is thread 0. */
#define MODEL_THREADS_MAX 16
/* Choices are written as one character each in a replay string. */
#define MODEL_CHOOSE_MAX 36

enum {
	MODEL_DFS = 1,    /* every schedule with at most `bound` preemptions */
	MODEL_PCT = 2,    /* random priorities with `depth` - 1 changes */
	MODEL_RANDOM = 4, /* a random thread at every step */
};

typedef enum model_memory {
	MODEL_MEMORY_WEAK,    /* C11 without promises */
	MODEL_MEMORY_SEQ_CST, /* every load reads the newest value: interleavings only */
} model_memory;

/* One line of a program's list. What is zero takes the default in parentheses. */
struct model_scenario {
	const char *name;
	void (*run)(void);
	const char *finds;       /* NULL: must be clean; else a part of the expected finding */
	int bug;                 /* model_bug(bug) is true (0: none planted) */
	unsigned modes;          /* MODEL_DFS | ... (MODEL_DFS) */
	unsigned bound;          /* preemptions in a depth-first execution (2); MODEL_BOUND_NONE: 0 */
	unsigned depth;          /* PCT's d (3) */
	uint64_t limit;          /* executions per mode (200 000) */
	uint64_t seed;           /* of the first random execution (1) */
	unsigned steps_max;      /* of one execution: more is a livelock (5000) */
	bool exhaust;            /* depth-first must reach the end within `limit` */
	bool leaks_allowed;      /* blocks may be live when all threads have returned */
	bool symmetric_fences;   /* light and heavy fences are both sequentially consistent */
	model_memory memory;
	unsigned spurious;       /* spurious futex wake-ups allowed per execution */
	unsigned weak_cas_fails; /* spurious failures of weak compare-and-swaps per execution */
	unsigned alloc_fails;    /* failing allocations (and thread creations) per execution */
};

#define MODEL_BOUND_NONE 1000u

/* The correct code: no finding in any execution. */
#define MODEL_CLEAN(function, ...) {.name = #function, .run = (function), ##__VA_ARGS__}
/* The code with planted bug `number`: must end in a finding whose text contains `text`. */
#define MODEL_FINDS(function, number, text, ...)                                                   \
	{.name = #function, .run = (function), .bug = (number), .finds = (text), ##__VA_ARGS__}

/** Starts fn(arg) as a new thread; returns its number (1, 2, ...). */
int model_thread(void (*fn)(void *arg), void *arg);

/** Waits until the thread has returned. */
void model_join(int thread);

/** Joins every thread that model_thread() started and nobody has joined. */
void model_join_all(void);

/** The number of the calling thread: 0 is the scenario. */
int model_self(void);

/** A choice of the tester: 0 .. n - 1, n at most MODEL_CHOOSE_MAX. All are tried. */
unsigned model_choose(unsigned n);

/** Is planted bug `number` switched on in this run? */
bool model_bug(int number);

/** A finding: ends the execution. */
__attribute__((noreturn, format(printf, 1, 2))) void model_fail(const char *format, ...);

#define MODEL_CHECK(condition)                                                                     \
	((condition) ? (void)0 : model_fail("%s:%d: check failed: %s", __FILE__, __LINE__, #condition))

/** Abandons this execution without a verdict (a schedule of no interest). */
__attribute__((noreturn)) void model_prune(void);

/** Names a variable in traces; `name` must live on. */
void model_name(const volatile void *address, const char *name);

/** Names `count` elements of size_bytes as name[0], name[1], ... */
void model_name_array(const volatile void *address, size_t size_bytes, size_t count,
	const char *name);

/** A line of the scenario's own in the trace. */
__attribute__((format(printf, 1, 2))) void model_note(const char *format, ...);

/**
 * Forgets the histories of atomics in [address, address + size_bytes): the memory was reused for
 * something else (a stack frame, a recycled node that nobody else can reach). The present contents
 * are the initial values. moirai_free() does it by itself.
 */
void model_forget(const volatile void *address, size_t size_bytes);

/** Steps since the execution began: a clock for histories (lin.h). */
uint64_t model_step(void);

/**
 * Everything that any thread did before its last model_real_time() happens before what the caller
 * does next, as if both had looked at the same clock on the wall. No scheduling point. For histories
 * (lin.h): call it before lin_begin() and after lin_end(), so that an operation that begins after
 * another has ended also sees what that one did. Weak memory promises no such thing by itself.
 */
void model_real_time(void);

/** Adds a per-execution statistic: how often something was reached, over all executions. */
void model_count(const char *what);

/** Moves the virtual clock forward. */
void model_clock_advance(uint64_t duration_ns);

/** Blocks that moirai_alloc() gave and nobody freed, in this execution. */
size_t model_blocks_live(void);

int model_main(const struct model_scenario *scenarios, size_t count, int argc, char **argv);

#define MODEL_MAIN(...)                                                                            \
	int main(int argc, char **argv)                                                                \
	{                                                                                              \
		static const struct model_scenario scenarios[] = {__VA_ARGS__};                            \
		return model_main(scenarios, sizeof(scenarios) / sizeof(scenarios[0]), argc, argv);        \
	}

#endif
