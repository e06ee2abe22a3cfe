/* SPDX-License-Identifier: MIT */
/* The vocabulary of tasks: what an executor runs, with which attributes, in which states. */
#ifndef MOIRAI_CORE_TASK_H
#define MOIRAI_CORE_TASK_H

#include <moirai/core/base.h>
#include <moirai/core/clock.h>

MOIRAI_BEGIN_DECLS

typedef struct moirai_executor moirai_executor;
typedef struct moirai_task moirai_task;     /* a handle; 64 bytes behind it */
typedef struct moirai_cancel moirai_cancel; /* <moirai/core/cancel.h> */

/* A task is a plain function. It may call anything, block in any call of the library included. */
typedef void (*moirai_task_fn)(void *arg);

/* Zero is normal, so that a zeroed attribute says nothing. */
typedef enum moirai_priority {
	MOIRAI_PRIORITY_IDLE = -2,
	MOIRAI_PRIORITY_LOW = -1,
	MOIRAI_PRIORITY_NORMAL = 0,
	MOIRAI_PRIORITY_HIGH = 1,
	MOIRAI_PRIORITY_CRITICAL = 2,
} moirai_priority;
#define MOIRAI_PRIORITY_LEVELS 5

typedef enum moirai_task_flags {
	MOIRAI_TASK_DETACHED = 1, /* no handle: the cell is freed when the task ends */
	MOIRAI_TASK_PINNED = 2,   /* always resumes on the worker that started it */
} moirai_task_flags;

/* How to run a task. All-zero is the default; set `size` to sizeof(moirai_task_attr). */
typedef struct moirai_task_attr {
	uint32_t size;    /* sizeof this struct, for binary compatibility; 0 means this version */
	int32_t priority; /* moirai_priority */
	uint32_t flags;   /* moirai_task_flags */
	uint32_t reserved_;
	const char *name;      /* copied, at most MOIRAI_TASK_NAME_MAX bytes; NULL: none */
	uint64_t cost_ns;      /* an estimate of its run time, 0: unknown */
	uint64_t deadline_ns;  /* absolute; the task is cancelled when it passes; 0: none */
	moirai_cancel *cancel; /* the token that cancels it; NULL: none */
	void *user;            /* the caller's pointer, handed back by moirai_ctx */
	uint64_t trace_id;     /* carried along, for tracing; 0: none */
} moirai_task_attr;
#define MOIRAI_TASK_NAME_MAX 31

/* Where a task is in its life. Exactly-once transitions; executor/DESIGN.md has the automaton. */
typedef enum moirai_task_state {
	MOIRAI_TASK_CREATED,
	MOIRAI_TASK_QUEUED,
	MOIRAI_TASK_RUNNING,
	MOIRAI_TASK_PARKED,
	MOIRAI_TASK_DONE,
	MOIRAI_TASK_FAILED,
	MOIRAI_TASK_CANCELLED,
} moirai_task_state;

/** "queued", "running", ...; "?" for what is no state. */
MOIRAI_API const char *moirai_task_state_name(moirai_task_state state);

/** "idle" ... "critical"; "?" for what is no priority. */
MOIRAI_API const char *moirai_priority_name(moirai_priority priority);

/* 64 bits: worker, generation, slot. 0 is no task. Never reused while a handle lives. */
typedef uint64_t moirai_task_id;

/**
 * What every executor does first with the attributes it gets: copies *attr to *out, as this version
 * of the library knows them, and checks the range of each. attr NULL: the defaults. A struct of
 * another version is fine as long as what this one does not know is zero. The name is not copied,
 * only cut in its meaning: moirai_task_name_copy().
 *
 * 0; -EINVAL: out is NULL, or an attribute is out of range (the detail says which); -E2BIG: the
 * caller's struct is newer and asks for something that this version cannot do.
 */
MOIRAI_API int moirai_task_attr_read(moirai_task_attr *out, const moirai_task_attr *attr);

/**
 * Copies at most MOIRAI_TASK_NAME_MAX bytes of a name, never half a UTF-8 character, and terminates
 * it. name NULL: "". Returns the bytes copied. `buffer` holds MOIRAI_TASK_NAME_MAX + 1.
 */
MOIRAI_API size_t moirai_task_name_copy(char *buffer, const char *name);

/* The task that is running: a copy, the caller's to keep. */
typedef struct moirai_ctx {
	moirai_task_id id;
	moirai_task_id parent; /* who spawned it; 0: a plain thread */
	moirai_executor *executor;
	moirai_cancel *cancel; /* the token it was spawned with, borrowed; NULL: none */
	void *user;            /* moirai_task_attr.user */
	uint64_t cost_ns;      /* the estimate it was spawned with; 0: unknown */
	uint64_t deadline_ns;  /* absolute; MOIRAI_NEVER: none */
	uint64_t trace_id;     /* 0: none */
	int32_t priority;      /* moirai_priority */
	int32_t worker;        /* which one runs it now; stale after a park */
	char name[MOIRAI_TASK_NAME_MAX + 1]; /* "" when it has none */
} moirai_ctx;

/**
 * Describes the task that calls. 0; -ENOENT: a plain thread, or a worker between two tasks;
 * -ENOTSUP: its executor keeps no such record; -EINVAL: ctx is NULL. Copies about 100 bytes.
 */
MOIRAI_API int moirai_ctx_current(moirai_ctx *ctx);

MOIRAI_END_DECLS

#endif
