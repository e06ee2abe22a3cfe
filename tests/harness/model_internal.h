/* SPDX-License-Identifier: MIT */
/*
 * What the files of the tester share. All of its state is one mapping (`model_state`), outside the
 * .data and .bss that are restored before each execution.
 */
#ifndef MOIRAI_TESTING_MODEL_INTERNAL_H
#define MOIRAI_TESTING_MODEL_INTERNAL_H

#include <setjmp.h>
#include <stdio.h>

#include "model.h"
#include <moirai/core/atomic.h>
#include <moirai/core/clock.h>
#include <moirai/core/os.h>

/* Limits. A scenario that reaches one is told so; small scenarios find more bugs per second. */
#define MODEL_LOCATIONS   256   /* atomic variables per execution: the width of a view */
#define MODEL_PLAINS      1024  /* plain fields under race detection */
#define MODEL_HISTORY     32    /* newest values that a load may still return */
#define MODEL_CHOICES_MAX 32768 /* choices of one execution */
#define MODEL_BLOCKS      2048  /* allocations of one execution */
#define MODEL_NAMES       256
#define MODEL_COUNTERS    16
#define MODEL_HASH        1024  /* slots; a power of two, at least 4 x MODEL_LOCATIONS */
#define MODEL_PLAIN_HASH  4096
#define MODEL_STACK       (128 * 1024)
#define MODEL_ARENA       (8u << 20) /* bytes that moirai_alloc() may give in one execution */
#define MODEL_GRANULE     16
#define MODEL_MAPPINGS    (256u << 20) /* address space behind moirai_os_map() */

/* Eight positions at once; signed, because SSE2 and NEON both have a signed 16-bit maximum. */
typedef int16_t model_lanes __attribute__((vector_size(16)));
#define MODEL_LANES 8

/*
 * What a thread, or a message, knows. `clock` is happens-before (races and reclamation); `seen` is
 * coherence: per location, the oldest message that may still be read.
 */
struct view {
	int16_t clock[MODEL_THREADS_MAX];
	int16_t seen[MODEL_LOCATIONS];
} __attribute__((aligned(16)));

struct message {
	uint64_t value;
	unsigned width; /* locations that existed when it was written: the rest of `view` is junk */
	struct view view;
};

struct location {
	uintptr_t address;
	uint8_t size;
	int16_t newest; /* position of the newest message */
	int16_t floor;  /* no position below may be read any more */
	struct message ring[MODEL_HISTORY]; /* by position modulo MODEL_HISTORY */
};

/* A plain field: stamps of the last accesses, compared with the clocks of the next accessor. */
struct plain {
	uintptr_t address;
	int16_t write_stamp;
	uint8_t writer;
	int16_t read_stamp[MODEL_THREADS_MAX];
};

struct block {
	uintptr_t address;
	size_t size, alignment;
	bool freed;
	uint8_t owner; /* who allocated it, and when */
	int16_t owner_stamp;
	int16_t access_stamp[MODEL_THREADS_MAX];
	uint8_t freer;
	unsigned freed_step;
};

enum thread_state {
	THREAD_READY,
	THREAD_SPIN,  /* yielded: runs again when somebody has written, or nobody else can run */
	THREAD_WAIT,  /* on a futex word, with or without a deadline */
	THREAD_SLEEP, /* until a deadline */
	THREAD_JOIN,
	THREAD_DONE,
};

struct thread {
	enum thread_state state;
	void *stack_pointer;
	void (*fn)(void *arg);
	void *arg;
	const uint32_t *word; /* THREAD_WAIT */
	uint64_t deadline;    /* THREAD_WAIT, THREAD_SLEEP */
	int result;           /* what the wait returns */
	int joins;            /* THREAD_JOIN: whom */
	bool joined;
	bool touched;         /* a shared access since the last yield */
	uint64_t yielded_at;
	int priority;         /* PCT */
	unsigned hooks;
	struct {
		void (*fn)(void *slot);
		void *slot;
	} hook[MOIRAI_OS_EXIT_HOOKS_MAX];
	struct view current;  /* what its accesses may see */
	struct view acquired; /* what they will see after an acquire fence */
	struct view released; /* what its relaxed stores publish since the last release fence */
};

struct choice {
	uint8_t taken, count;
};

struct name {
	uintptr_t address;
	size_t size_bytes, count;
	const char *text;
};

enum mode { MODE_DFS, MODE_PCT, MODE_RANDOM, MODE_REPLAY };

enum verdict { VERDICT_CLEAN, VERDICT_FOUND, VERDICT_PRUNED };

/* Kinds of accesses with an order, for mutation. */
enum site_kind { SITE_LOAD, SITE_STORE, SITE_RMW, SITE_FENCE, SITE_LIGHT, SITE_HEAVY };

struct site {
	uintptr_t address; /* of the call, relative to the program */
	uint8_t kind, order;
};

#define MODEL_SITES 1024

/* Copies of the static thread-local block, one per model thread; see model_tls.c. */
struct model_tls {
	uintptr_t main_pointer; /* the thread pointer of the real thread */
	intptr_t offset;        /* of the program's variables from the thread pointer */
	const void *image;
	size_t image_size, size; /* size 0: the program has none */
	bool fast;               /* the thread pointer is set without a system call */
	unsigned objects;
	uintptr_t pointer[MODEL_THREADS_MAX];
};

struct model {
	/* The run. */
	struct model_scenario scenario; /* with the defaults filled in */
	enum mode mode;
	bool running; /* false: the hooks act as plain accesses */
	bool tracing;
	unsigned trace_from; /* first step to print */
	uint64_t executions, pruned, points, switches, steps_total;
	unsigned pct_span; /* steps over which the priority changes are spread */
	/* The execution. */
	enum verdict verdict;
	char why[512];
	uint64_t random;
	unsigned step;
	unsigned preemptions, spurious, weak_cas_fails, alloc_fails;
	unsigned fruitless; /* yields in a row that nobody's write interrupted */
	uint64_t clock_ns;
	unsigned pct_change[16];
	void *main_stack;
	sigjmp_buf crash;
	/* Threads. */
	int threads, self, spinning;
	struct model_tls tls;
	struct thread thread[MODEL_THREADS_MAX];
	char *stacks;
	/* The tape. */
	unsigned tape_length, tape_at;
	struct choice tape[MODEL_CHOICES_MAX];
	/* Memory. */
	unsigned locations, width; /* width: locations rounded up to whole lanes */
	uint16_t hash[MODEL_HASH];
	int16_t sc[MODEL_LOCATIONS] __attribute__((aligned(16)));
	struct view wall; /* what model_real_time() has collected */
	int16_t now[MODEL_THREADS_MAX]; /* each thread's own clock */
	unsigned plains;
	uint16_t plain_hash[MODEL_PLAIN_HASH];
	struct plain plain[MODEL_PLAINS];
	/* Blocks. */
	unsigned blocks, blocks_live;
	size_t arena_used, mapped;
	char *arena, *mappings;
	uint16_t *granule; /* block number + 1 of each granule of the arena */
	struct block block[MODEL_BLOCKS];
	/* Names. */
	unsigned names;
	struct name name[MODEL_NAMES];
	unsigned counters;
	struct {
		const char *what;
		uint64_t count;
	} counter[MODEL_COUNTERS];
	uint64_t os_random;
	/* Sites of ordered accesses, for mutation. */
	bool mutating;       /* collecting sites, or weakening one */
	bool collecting;
	unsigned sites;
	struct site site[MODEL_SITES];
	struct site mutant;  /* the site to weaken */
	int mutant_order;    /* to this order */
	/* The big part, last: touched as far as it is used. */
	struct location location[MODEL_LOCATIONS];
};

extern struct model *model_state;

/* model_sched.c */
void model_reset_threads(struct model *m);
void model_start(struct model *m, void (*fn)(void *), void *arg);
void model_point(struct model *m);
void model_block(struct model *m);
unsigned model_decide(struct model *m, unsigned n, unsigned suggestion);
void model_wrote(struct model *m);
void model_spin(struct model *m);
__attribute__((noreturn)) void model_leave(struct model *m);
static inline bool model_recorded(const struct model *m)
{
	return m->tape_at < m->tape_length || m->mode == MODE_DFS || m->mode == MODE_REPLAY;
}
static inline uint64_t model_random(struct model *m)
{
	uint64_t x = m->random;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return m->random = x;
}

/* model_tls.c */
void model_tls_init(struct model *m);
void model_tls_fresh(struct model *m, int thread);
void model_tls_enter_slow(struct model *m, int thread);
void model_tls_leave_slow(struct model *m);
static inline void model_tls_enter(struct model *m, int thread)
{
	if (m->tls.size)
		model_tls_enter_slow(m, thread);
}
static inline void model_tls_leave(struct model *m)
{
	if (m->tls.size)
		model_tls_leave_slow(m);
}

/* model_mutate.c: the order that the access at `site` has in this run. */
int model_mutate_slow(struct model *m, enum site_kind kind, int order, const void *site);
unsigned model_mutants_of(const struct site *s, int weaker[2]);
const char *model_site_kind(const struct site *s);
void model_print_site(const struct site *s);
static inline int model_mutate(struct model *m, enum site_kind kind, int order, const void *site)
{
	return MOIRAI_LIKELY(!m->mutating) ? order : model_mutate_slow(m, kind, order, site);
}

/* model_memory.c */
void model_reset_memory(struct model *m);
void model_refresh(struct model *m, const void *p, unsigned size);
uint64_t model_newest(struct model *m, const void *p, unsigned size);
void model_fork_views(struct model *m, struct thread *child, int number);
void model_join_views(struct model *m, const struct thread *child);


/* model_plain.c */
void model_reset_plains(struct model *m);
void model_forget_plains(struct model *m, uintptr_t address, size_t size_bytes);
static inline unsigned model_hash(uintptr_t address, unsigned slots)
{
	return (unsigned)((address * 0x9E3779B97F4A7C15ull) >> 40) & (slots - 1);
}

/* model_alloc.c */
void model_alloc_init(struct model *m);
void model_reset_alloc(struct model *m);
void model_access(struct model *m, const volatile void *p, unsigned size);
void model_check_leaks(struct model *m);

/* model_run.c */
struct outcome {
	bool found, exhausted;
	uint64_t executions, seed;
	double seconds;
};
void model_set_up(void);
struct outcome model_search(struct model *m, enum mode mode);
void model_replay(struct model *m, bool whole);

/* model_report.c */
const char *model_where(struct model *m, const volatile void *p);
const char *model_order_name(int order);
__attribute__((format(printf, 2, 3))) void model_trace(struct model *m, const char *format, ...);
void model_write_choices(const struct model *m, FILE *to);
bool model_read_choices(struct model *m, const char *from);

#endif
