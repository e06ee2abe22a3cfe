/* SPDX-License-Identifier: MIT */
/*
 * The pool from inside: task, fiber, worker, pool. Who may write what stands beside the fields; the
 * protocol across the files is in executor/DESIGN.md.
 *
 * An item is what a queue holds: the address of a fiber with bit 0 set, or of a task.
 */
#ifndef MOIRAI_EXECUTOR_PRIVATE_H
#define MOIRAI_EXECUTOR_PRIVATE_H

#include <errno.h>
#include <moirai/async/internal/stack.h>
#include <moirai/async/internal/timer_wheel.h>
#include <moirai/core/cancel.h>
#include <moirai/core/internal/context.h>
#include <moirai/core/internal/noise.h>
#include <moirai/core/observer.h>
#include <moirai/executor.h>
#include <moirai/scheduler/internal/search.h>

#include "cell.h"

/* --- tasks (task.c) --- */

/* Bits of a task's state word; the cell's generation is above them. */
enum {
	TASK_DONE = 1,       /* finished; set once, as the last access of whoever runs it */
	TASK_WAITER = 2,     /* somebody waits on the word */
	TASK_DETACHED = 4,   /* the handle was given back before the end */
	TASK_CANCEL = 8,     /* cancelled; sticky */
	TASK_NEVER_RAN = 16, /* with DONE: it was cancelled before it started */
};
#define TASK_BITS 8

enum { PHASE_QUEUED, PHASE_RUNNING };

/* Constant flags of a task. */
enum {
	TASK_NO_HANDLE = 1, /* spawned detached: nobody else knows the cell */
	TASK_PIN = 2,
	TASK_SIDE = 4, /* payload[2] holds its side block */
};

/* One static slot: no call to find it. Not kept over anything that may park. */
#ifdef __ELF__
#define THREAD_LOCAL static __thread __attribute__((tls_model("initial-exec")))
#else
#define THREAD_LOCAL static __thread
#endif

struct moirai_task {
	struct cell cell; /* cell.link: queue link while queued, the fiber while it runs */
	moirai_task_fn fn;
	union {
		void *arg;    /* until it starts */
		void *result; /* from then on */
	};
	uint32_t state; /* atomic: bits above, changed by RMW only once the task is visible */
	uint8_t phase;  /* atomic: written by the worker that starts it */
	uint8_t level;  /* of its deque; constant */
	uint8_t flags;  /* constant */
	uint8_t reserved;
	union {
		MOIRAI_ALIGNED(8) uint64_t payload[3];
		struct {
			uint64_t unused[2];
			struct side *side;
		};
	};
} MOIRAI_ALIGNED(MOIRAI_CACHELINE);
MOIRAI_STATIC_ASSERT(sizeof(struct moirai_task) == 64, "one line");

/* A deadline in some worker's wheel. */
struct deadline {
	struct moirai__timer timer;
	struct timers *home; /* NULL: never armed */
	/* Called with the wheel locked. Returns a fiber to be made ready after the unlock, or NULL. */
	struct fiber *(*fire)(struct deadline *deadline);
};

/* What a task has beside its cell when its attributes ask for it. */
struct side {
	struct cell cell;
	struct moirai_task *task;
	uint64_t cost_ns;
	uint64_t deadline_ns;
	moirai_cancel *cancel;
	void *user;
	uint64_t trace_id;
	moirai_task_id parent;
	struct deadline deadline;
	moirai_cancel_callback callback;
	bool registered;
	char name[MOIRAI_TASK_NAME_MAX + 1];
	MOIRAI_ALIGNED(8) uint64_t payload[3];
};
#define SIDE_BYTES ((sizeof(struct side) + 63) & ~(size_t)63)

/* --- fibers (fiber.c) --- */

/* A task that waits in join while its child runs on the same stack. */
struct frame {
	struct moirai_task *task;
	struct frame *outer;
	uint32_t mask;
};

/* Type-stable: lives in its stack's top page, which stays a fiber as long as the pool lives. */
struct fiber {
	struct moirai__fiber base; /* base.owner: the worker; base.next: the link of an item */
	moirai__parker park;
	struct moirai_task *task; /* that runs on it now; NULL between two */
	struct frame *outer;      /* of task */
	struct pool *pool;
	uint32_t mask; /* cancellation masks of task */
	uint8_t level; /* where it is queued when it is ready */
	bool pinned;
	bool parked;              /* atomic, a hint for status */
	struct worker *home;      /* pinned: the worker that started it */
	struct deadline deadline; /* of its park */
};

#define FIBER_ITEM ((uintptr_t)1)

static inline bool item_is_fiber(uintptr_t item)
{
	return item & FIBER_ITEM;
}

static inline struct fiber *item_fiber(uintptr_t item)
{
	return (struct fiber *)(item - FIBER_ITEM);
}

static inline uintptr_t fiber_item(struct fiber *fiber)
{
	return (uintptr_t)fiber + FIBER_ITEM;
}

/* --- workers --- */

/* Deadlines of one worker; any thread may lock them. */
struct timers {
	struct moirai__spin lock;
	struct moirai__timer_wheel wheel;
	uint64_t next; /* atomic: no deadline before this; written under the lock */
};

/* What the next context on this worker does before anything else: see DESIGN.md. */
enum post {
	POST_NONE,
	POST_CLOSE, /* close the yield queue's section */
	POST_LEFT,  /* hand park its ticket back */
	POST_FREE,  /* the stack just left is free */
	POST_YIELD, /* the fiber just left goes to the yield queue */
	POST_HOME,  /* ... to its worker's mailbox */
};

struct worker {
	moirai__context context; /* context.fiber follows current */
	struct pool *pool;       /* constant */
	struct fiber *current;   /* the fiber whose stack this thread is on */
	enum post post;
	uintptr_t post_arg;
	uintptr_t handed;        /* a task that the next fresh stack is to run */
	struct fiber *successor; /* chosen by prepare, used by leave */
	bool successor_fresh;
	uint32_t index;
	uint32_t fire_turn; /* the next foreign wheel to look at */
	/* Counters: the owner writes, anybody reads. */
	uint64_t finished;
	uint64_t cancelled;
	uint64_t parks;
	uint64_t yields;
	uint64_t inlined;
	uint64_t fired;
	struct slab cells;
	struct slab sides;
	struct moirai__stack_cache stacks;
	struct moirai__queues queues;
	struct moirai__sleeper sleeper;
	struct moirai__search search;
	struct moirai__victim *victims;
	struct timers timers;
	struct fiber *mailbox; /* atomic: pinned fibers made ready by others, the youngest first */
	bool mail_turn;        /* the mail has the next look elsewhere, or else the injector */
	struct fiber *mail;    /* what was taken out of it, the oldest first; owner only */
	struct fiber native;   /* the thread's own stack */
	struct moirai__overflow_thread overflow;
	moirai_os_thread thread;
} MOIRAI_ALIGNED(MOIRAI_CACHELINE_PAIR);

/* A thread that is no worker of the pool, as the pool sees it. Adopted by the next thread. */
struct foreign {
	uint32_t busy; /* atomic: its thread is inside a spawn */
	struct moirai__producer *producer;
	struct slab cells;
	struct slab sides;
	struct foreign *next; /* constant once listed */
	bool owned;           /* under the pool's foreign lock */
};

/* --- blocking regions (blocking.c) --- */

struct block_job {
	struct block_job *next;
	moirai_task_fn fn;
	void *arg;
	uint32_t done; /* atomic, parkable; its store is the last access */
};

struct spare {
	struct spare *next;
	struct spare *idle_next;
	struct pool *pool;
	uint32_t signal; /* atomic, parkable */
	moirai_os_thread thread;
	bool created; /* thread is valid; under the lock */
	bool ended;   /* it will touch nothing any more but return; under the lock */
};

struct blocking {
	struct moirai__spin lock;
	struct block_job *head, *tail; /* jobs nobody has begun */
	struct spare *spares;          /* all that are not joined yet */
	uint32_t live;                 /* spares that have not ended */
	struct spare *idle;            /* of these: wait, and nobody has signalled them */
	uint32_t max;
	bool stop;
	uint64_t idle_ns;
	uint64_t jobs;
};

/* --- the pool --- */

enum phase {
	POOL_OPEN,
	POOL_DRAINING,
	POOL_CANCELLING,
	POOL_STOPPED,
	POOL_FORKED, /* this is the child of a fork: the workers stayed with the parent */
};

struct pool {
	moirai_executor base;
	uint64_t id; /* never reused */
	uint32_t worker_count;
	moirai__stack_class stack_class;
	uint32_t phase;            /* atomic; only grows */
	uint32_t waiters_reserved; /* atomic: what the parking lot was last sized for */
	struct worker *workers;
	char name[16];
	struct moirai__stack_pool stacks;
	struct cell_class cell_class;
	struct cell_class side_class;
	struct moirai__item_ops items;
	uint32_t *cpus; /* worker i is bound to cpus[i % cpus_count]; NULL: unbound */
	uint32_t cpus_count;
	moirai_scheduler_tuning tuning;
	struct moirai__idle idle;
	struct moirai__injector injector;
	/* Drains: see quiesce.c. */
	MOIRAI_ALIGNED(MOIRAI_CACHELINE) uint32_t drainers; /* atomic */
	uint32_t drained;                                   /* atomic, parkable */
	uint32_t started; /* atomic, parkable: workers that stand ready */
	/* Foreign threads that are inside ready(): the pool may not go while there are any. */
	MOIRAI_ALIGNED(MOIRAI_CACHELINE) uint32_t visitors;
	struct moirai__spin foreign_lock;
	struct foreign *foreigners; /* atomic head; only grows */
	struct blocking blocking;
	struct pool *next; /* registry */
};

static inline struct pool *pool_of(const moirai_executor *executor)
{
	return MOIRAI_CONTAINER_OF((moirai_executor *)(uintptr_t)executor, struct pool, base);
}

static inline struct pool *task_pool(const struct moirai_task *task)
{
	return MOIRAI_CONTAINER_OF(task->cell.slab->class, struct pool, cell_class);
}

static inline struct worker *worker_of(const struct fiber *fiber)
{
	return fiber->base.owner;
}

/*
 * The calling thread's worker, NULL elsewhere. Never inlined, and never kept over a call that may
 * park: the task may come back on another thread.
 */
struct worker *worker_self(void);
void worker_self_set(struct worker *worker);

/* --- loop.c --- */

/* The entry of every fresh stack. */
void loop_main(void *fiber);
/* What to run next on this worker, 0 for nothing of its own. */
uintptr_t loop_pick(struct worker *worker);
/* Looks outside before the worker's own queues: timers, mailbox, injector. */
uintptr_t loop_elsewhere(void *worker);
/* Queues an item on the worker that calls; cannot fail. */
void loop_queue(struct worker *worker, uintptr_t item);
/* The same for an item that was picked for nothing. */
void loop_put_back(struct worker *worker, uintptr_t item);
extern const struct moirai__search_ops loop_search_ops;

/* --- fiber.c --- */

extern const moirai__context_ops fiber_context_ops;
void fiber_post_slow(struct worker *worker, enum post post, uintptr_t arg);
bool fiber_cancelled(moirai__parker *parker);
void fiber_ready(moirai__parker *parker);
/* A stack that is prepared to run the loop, or NULL. */
struct fiber *fiber_fresh(struct worker *worker);
/* The pinned fiber that has waited longest in the own mailbox, 0 if there is none. */
uintptr_t fiber_mail(struct worker *worker);
/* A pinned fiber that was picked for nothing. By its own worker. */
void fiber_mail_back(struct worker *worker, struct fiber *fiber);

static MOIRAI_ALWAYS_INLINE void fiber_post(struct worker *worker)
{
	enum post post = worker->post;
	uintptr_t arg = worker->post_arg;
	worker->post = POST_NONE;
	if (MOIRAI_LIKELY(post == POST_CLOSE))
		moirai__yield_queue_close(&worker->queues.yielded_);
	else if (post == POST_LEFT)
		moirai__park_left(arg);
	else if (post == POST_FREE)
		moirai__stack_put(
			&worker->pool->stacks, &worker->stacks, &((struct fiber *)arg)->base);
	else if (post != POST_NONE)
		fiber_post_slow(worker, post, arg);
}

/* Leaves `from` for `to`; the successor runs the worker's post-action. The worker may have changed. */
static MOIRAI_ALWAYS_INLINE void fiber_switch(
	struct worker *worker, struct fiber *from, struct fiber *to)
{
	to->base.owner = worker;
	worker->current = to;
	worker->context.fiber = &to->park;
	moirai__fiber_switch(&from->base, &to->base);
	fiber_post(worker_of(from));
}

/* --- task.c --- */

/* The task has ended, or never will begin (bits: TASK_NEVER_RAN). Its cell may be gone after it. */
void task_finish(struct worker *worker, struct moirai_task *task, uint32_t bits);
/* Gives the cell (and the side block) back. `worker` is the caller's own or NULL. */
void task_put_slow(struct worker *worker, struct moirai_task *task);

static MOIRAI_ALWAYS_INLINE void task_put(struct worker *worker, struct moirai_task *task)
{
	if (MOIRAI_LIKELY(worker != NULL && task->cell.slab == &worker->cells &&
			  !(task->flags & TASK_SIDE)))
		cell_put(&worker->cells, &task->cell);
	else
		task_put_slow(worker, task);
}

int task_cancel(struct moirai_task *task);
moirai_task_id task_id(const struct moirai_task *task);

/* --- spawn.c --- */

extern const moirai_spawner_ops spawn_ops;
extern const moirai_manager_ops task_ops;
extern const moirai_control_ops pool_ops; /* pool.c */
bool executor_is_pool(const moirai_executor *executor);

/* --- side.c --- */

/* Gives the task a side block as attr asks. 0, -ENOMEM, -EAGAIN; nothing is armed yet. */
int side_attach(struct slab *sides, struct moirai_task *task, const moirai_task_attr *attr);
/* Arms the deadline and registers with the token: the last step before the task is queued. */
int side_arm(struct moirai_task *task);
/* The task ends: nobody will cancel it from here any more. */
void side_disarm(struct moirai_task *task);

/* --- foreign.c --- */

/* The calling thread's record in the pool, made on first use. NULL: see *error. */
struct foreign *foreign_self(struct pool *pool, int *error);
/* The same if there is one already, else NULL. */
struct foreign *foreign_known(const struct pool *pool);
/* Waits until every foreign thread has left its spawn or will see the pool's new phase. */
void foreign_settle(struct pool *pool);
void foreign_fini(struct pool *pool);
void registry_add(struct pool *pool);
void registry_remove(struct pool *pool);
/* What the loop finds in the child of a fork, if a task returns there. */
extern struct moirai_task foreign_fork_trap;

static inline bool pool_forked(const struct pool *pool)
{
	return MOIRAI_UNLIKELY(moirai_load_relaxed(&pool->phase) == POOL_FORKED); /* one thread */
}

/* --- timer.c --- */

int timers_init(struct timers *timers);
void timers_fini(struct timers *timers);
/* -ENOMEM: not armed. */
int timers_arm(
	struct pool *pool, struct timers *timers, struct deadline *deadline, uint64_t deadline_ns);
/* When it returns, the deadline does not fire and will not. */
void timers_disarm(struct deadline *deadline);
/* Fires what is due in one wheel, unless somebody else does just now. */
void timers_fire(struct worker *worker, struct timers *timers, uint64_t now_ns);

/* --- quiesce.c --- */

/* A worker has run out of work: tells those who wait for the last task. */
void quiesce_check(struct pool *pool);
int quiesce_wait(struct pool *pool, uint64_t deadline_ns);

/* --- blocking.c --- */

void blocking_fini(struct blocking *blocking);
/* The pool whose spare thread is calling, or NULL. */
struct pool *blocking_pool(void);

/* --- worker.c --- */

int worker_init(struct pool *pool, uint32_t index);
void worker_fini(struct worker *worker);
void worker_main(void *worker);

#endif
