/* SPDX-License-Identifier: MIT */
/*
 * treehash: hashes the files of a tree in parallel and prints the lines in a stable order.
 *
 *   walk (a task)          reads directories in the order of path bytes, cuts the files into jobs
 *     | jobs, numbered
 *   hash (a task per job)  opens, reads and hashes the files, in any order, on all workers
 *     | the window: jobs that are not printed yet
 *   print (main's thread)  writes the lines in the order of the numbers
 *
 * Memory is bounded by the window (walk parks while it is full), by the buffers (one per worker)
 * and by the budget of names (a directory that does not fit is read again, part by part).
 */
#ifndef TREEHASH_H
#define TREEHASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <moirai/executor.h>
#include <moirai/utils/cacheline.h>

#include "gate.h"

#define TREEHASH_VERSION "0.1.0"

/* --- limits --- */

/* Jobs that are not printed yet: how far hashing may run ahead of a slow file. Each has a place of
 * its own, 6 MiB in all; those whose path is too long for it lie outside and count by the byte. */
#ifndef WINDOW_JOBS
#define WINDOW_JOBS 1536
#endif
#define WINDOW_PLACE ((size_t)4096)
#define WINDOW_BYTES ((size_t)4 << 20)
/* Files of a job, and the bytes of their names: 32 small files are about 100 us of work. */
#define JOB_FILES 32
#define JOB_NAMES 2048
/* From this size on a file does not hold up the others of its job: another task takes them. */
#define BIG_FILE ((size_t)1 << 20)
/* A worker's buffer: larger makes no difference (measured), and it stays in the level-2 cache. All
 * of them together take 8 MiB at most, so 256 workers have 32 KiB each. */
#define BUFFER_BYTES  ((size_t)128 << 10)
#define BUFFERS_BYTES ((size_t)8 << 20)
/* Names kept for the directories on the way down, all together, and for one of them. */
#define NAMES_BUDGET ((size_t)18 << 20)
#define NAMES_MOST   ((size_t)16 << 20)
/* A path longer than this, or a deeper tree, is reported and left out. */
#define PATH_BYTES ((size_t)1 << 20)
#define DEPTH_MOST 65536
/* Directories on the way down that stay open; those above are opened again by "..". */
#define DEPTH_OPEN 24
/* How long a finished line may wait for company, and how soon Ctrl-C is noticed. */
#define PRINT_LAG (10 * MOIRAI_MS)

/* --- options --- */

typedef struct options {
	unsigned jobs; /* 0: as many as the process may use */
	bool follow, quiet, json;
	char **roots;
	int roots_count;
} options;

/* Fills *o from the command line. 0: go on; else the exit code plus 1 (help is 0 + 1). */
int options_parse(options *o, int argc, char **argv);

/* --- jobs --- */

/* An open directory; closed when the last who uses it lets go. */
typedef struct directory {
	uint32_t users_;
	int fd;
} directory;

/* Takes the descriptor (AT_FDCWD is fine). NULL: no memory, and the descriptor is closed. */
directory *directory_new(int fd);
directory *directory_hold(directory *d);
void directory_release(directory *d); /* NULL is fine */

typedef enum entry_state {
	ENTRY_WAITS, /* to be hashed */
	ENTRY_HASHED,
	ENTRY_FAILED,  /* error: an errno value */
	ENTRY_CHANGED, /* somebody wrote to it while it was read */
	ENTRY_SPECIAL, /* error: the file type (S_IFMT) that is not hashed */
	ENTRY_LOOP,    /* a symbolic link to a directory above */
	ENTRY_MOVED,   /* a directory that went elsewhere while those below it were read */
	ENTRY_DROPPED, /* the run is being stopped */
} entry_state;

typedef struct entry {
	uint64_t hash, size;
	uint32_t
		name; /* where it starts in the job's names; ends with 0; "" is the directory itself */
	int32_t error;
	entry_state state;
} entry;

/* A run of files of one directory, in order. One block of memory, most often a place of the window:
 * jobs are printed in the order in which they are made, so place i serves the jobs i, i + n, ... */
typedef struct job {
	uint64_t number;
	directory *dir;   /* NULL once nothing waits in it */
	const char *path; /* the directory's, without a final slash; NULL: the names are paths */
	size_t path_length;
	size_t bytes; /* of this block */
	char *names;
	uint32_t count;
	uint32_t next_;  /* the first entry nobody has taken */
	uint32_t tasks_; /* that work on it; the last one finishes the job */
	uint32_t done_;  /* 1: may be printed */
	entry entries[];
} job;

/* --- the run --- */

typedef struct run {
	const options *options;
	moirai_executor *executor;
	unsigned workers;
	uint32_t jobs_max; /* jobs being hashed at once; each holds a directory open */
	struct buffers *buffers;

	/* walk */
	MOIRAI_OWN_LINE_PAIR uint64_t tail_; /* number of the next job */
	uint32_t finished_;                  /* 1: no more jobs will come */
	uint32_t pressed_;                   /* 1: walk waits for printing, or has finished */

	/* print */
	MOIRAI_OWN_LINE_PAIR uint64_t head_; /* number of the next job to print */
	uint32_t stop_;                      /* 1: come to an end, soon */
	int32_t failure_;                    /* why: a negative errno, or 0 */

	/* all */
	MOIRAI_OWN_LINE_PAIR uint32_t hashing_; /* jobs handed out and not hashed */
	uint64_t window_bytes_;
	gate room;  /* walk waits: for fewer jobs being hashed, or in the window */
	gate ready; /* print waits: for the job at the head */

	MOIRAI_OWN_LINE_PAIR uint64_t bytes_read_; /* for the progress line */
	job *window_[WINDOW_JOBS];
	char *places; /* WINDOW_JOBS of WINDOW_PLACE bytes */
} run;

/* window.c */
bool run_stopped(const run *r);
void run_stop(run *r);             /* any thread or task */
void run_fail(run *r, int status); /* stops because of an error that is not a file's */
int run_failure(const run *r);     /* 0 or the first one's status */
/* walk: where the next job is to be made; parks while there is no room; NULL: no memory */
job *window_place(run *r, size_t bytes);
void window_push(run *r, job *j); /* walk: hands out what was made there */
void window_settle(run *r);       /* walk: parks until no job is being hashed */
void window_finish(run *r);       /* walk: that was the last one */
job *window_peek(run *r);         /* print: the job at the head if it is done, else NULL */
void window_pop(run *r);          /* print: frees it */
bool window_ended(run *r);        /* print: nothing more will come */
void window_wait(run *r, uint64_t deadline_ns);
void window_done(run *r, job *j); /* hash: every entry of the job is decided */

/* hash.c */
struct buffers *buffers_new(unsigned count);
void buffers_delete(struct buffers *b);
void hash_start(run *r, job *j);

/* walk.c */
void walk_task(void *run);

/* print.c: the lines */
typedef struct printer printer;
printer *printer_new(run *r, uint64_t started_ns);
void printer_job(printer *p, const job *j);
int printer_flush(printer *p);     /* 0, or the negative errno of standard output */
void printer_progress(printer *p); /* at most a few times a second, on a terminal */
int printer_close(printer *p);     /* the summary; 1: some files were not hashed, 0, or as above */
void printer_delete(printer *p);

#endif
