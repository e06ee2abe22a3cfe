/* SPDX-License-Identifier: MIT */
/*
 * Hashing the files of a job.
 *
 * A task takes the job's entries one by one from next_. When it meets a big file and others wait
 * behind it, it starts another task on the same job, so that a directory of huge files is hashed on
 * all workers and one of small files costs one task for many. tasks_ counts the tasks that know the
 * job; the last one to leave finishes it.
 *
 * What a hash stands for: a small file is read by one call, a large one is looked at again when it
 * has been read. If its size or its times have moved, what was read may be a mixture of two states
 * and no hash is given. Reading stops at the size that the file had, so a log that grows for ever is
 * reported as changed, not followed. Files whose size is a fiction (/proc, /sys) are read to their
 * end.
 */
#include "treehash.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <moirai/core/alloc.h>
#include <moirai/core/atomic.h>
#include <moirai/utils/hash.h>

/* --- directories --- */

directory *directory_new(int fd)
{
	directory *d = moirai_alloc(sizeof(*d));
	if (!d) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	d->users_ = 1;
	d->fd = fd;
	return d;
}

directory *directory_hold(directory *d)
{
	moirai_fetch_add_relaxed(&d->users_, 1u); /* relaxed: the caller's own use keeps it alive */
	return d;
}

void directory_release(directory *d)
{
	/* acq_rel: pairs with the other users' releases; all their uses come before the close. */
	if (d && moirai_fetch_sub_acq_rel(&d->users_, 1u) == 1) {
		if (d->fd >= 0)
			close(d->fd);
		moirai_free(d);
	}
}

/* --- buffers: one for each task that can run at the same time --- */

struct buffer {
	MOIRAI_OWN_LINE_PAIR uint32_t taken_;
	unsigned char *bytes;
};

struct buffers {
	unsigned count;
	size_t size; /* of each, in bytes */
	unsigned char *memory;
	struct buffer buffers[];
};

struct buffers *buffers_new(unsigned count)
{
	struct buffers *b = moirai_alloc_aligned(
		sizeof(*b) + count * sizeof(b->buffers[0]), MOIRAI_CACHELINE_PAIR);
	size_t size = BUFFERS_BYTES / count & ~(size_t)4095;
	if (size > BUFFER_BYTES)
		size = BUFFER_BYTES;
	unsigned char *memory = moirai_alloc_aligned(count * size, 4096);
	if (!b || !memory) {
		moirai_free(b);
		moirai_free(memory);
		return NULL;
	}
	b->count = count;
	b->size = size;
	b->memory = memory;
	for (unsigned i = 0; i < count; i++)
		b->buffers[i] = (struct buffer){0, memory + i * size};
	return b;
}

void buffers_delete(struct buffers *b)
{
	if (b)
		moirai_free(b->memory);
	moirai_free(b);
}

/* The worker's own buffer; another one in the rare case that it is taken. There are more buffers
 * than tasks that run at once, for a hash task never parks, so one is always free. */
static struct buffer *buffers_take(struct buffers *b)
{
	unsigned hint = (unsigned)moirai_executor_worker();
	for (unsigned i = 0;; i++) {
		struct buffer *buffer = &b->buffers[(hint + i) % b->count];
		/* acquire: pairs with the release in buffers_give; the last reader is done with it. */
		if (!moirai_load_relaxed(&buffer->taken_) &&
			!moirai_exchange_acquire(&buffer->taken_, 1u))
			return buffer;
	}
}

static void buffers_give(struct buffer *buffer)
{
	moirai_store_release(&buffer->taken_, 0u); /* pairs with buffers_take */
}

/* --- one file --- */

static void hash_fail(entry *e, int error)
{
	e->state = ENTRY_FAILED;
	e->error = error;
}

/* read(), again after a signal. Counts for the progress line. */
static ssize_t hash_read(run *r, int fd, unsigned char *bytes)
{
	for (;;) {
		ssize_t n = read(fd, bytes, r->buffers->size);
		if (n > 0)
			moirai_fetch_add_relaxed(&r->bytes_read_, (uint64_t)n); /* a statistic */
		if (n >= 0 || errno != EINTR)
			return n;
	}
}

static bool hash_same_state(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Goes on after the first n bytes, which lie in the buffer. */
static void hash_rest(
	run *r, entry *e, int fd, const struct stat *before, unsigned char *bytes, ssize_t n)
{
	moirai_xxh3 state;
	struct stat after;
	uint64_t size = 0;
	moirai_xxh3_init(&state, 0);
	while (n > 0) {
		moirai_xxh3_update(&state, bytes, (size_t)n);
		size += (uint64_t)n;
		if (before->st_size > 0 && size >= (uint64_t)before->st_size)
			break;
		if (run_stopped(r)) {
			e->state = ENTRY_DROPPED;
			return;
		}
		n = hash_read(r, fd, bytes);
	}
	if (n < 0 || fstat(fd, &after) < 0) {
		hash_fail(e, errno);
		return;
	}
	if (!hash_same_state(before, &after) ||
		(before->st_size > 0 && size > (uint64_t)before->st_size)) {
		e->state = ENTRY_CHANGED;
		return;
	}
	e->size = size;
	moirai_xxh3_digest64(&state, &e->hash);
	e->state = ENTRY_HASHED;
}

static void hash_content(run *r, entry *e, int fd, const struct stat *status, unsigned char *bytes)
{
	ssize_t n = hash_read(r, fd, bytes);
	if (n < 0) {
		hash_fail(e, errno);
	} else if (n == status->st_size && (size_t)n < r->buffers->size) {
		e->size = (uint64_t)n;
		moirai_xxh3_64(bytes, (size_t)n, 0, &e->hash);
		e->state = ENTRY_HASHED;
	} else {
		hash_rest(r, e, fd, status, bytes, n);
	}
}

/* --- a job --- */

static void hash_task(void *argument);

typedef struct hash_argument {
	run *r;
	job *j;
} hash_argument;

/* Another task for the entries behind a big one. Without memory this task takes them later. */
static void hash_help(run *r, job *j)
{
	if (moirai_load_relaxed(&j->next_) >= j->count) /* relaxed: a hint */
		return;
	moirai_fetch_add_relaxed(&j->tasks_, 1u); /* relaxed: our own count keeps the job alive */
	hash_argument a = {r, j};
	if (moirai_spawn_copy(r->executor, NULL, hash_task, &a, sizeof(a), NULL) < 0)
		moirai_fetch_sub_relaxed(&j->tasks_, 1u); /* not the last: we are still here */
}

static void hash_entry(run *r, job *j, entry *e, unsigned char *bytes)
{
	int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	struct stat status;
	if (!r->options->follow && j->path)
		flags |= O_NOFOLLOW; /* it was no link when the directory was read */
	int fd = openat(j->dir->fd, j->names + e->name, flags);
	if (fd < 0) {
		hash_fail(e, errno);
		return;
	}
	if (fstat(fd, &status) < 0) {
		hash_fail(e, errno);
	} else if (!S_ISREG(status.st_mode)) {
		e->state = ENTRY_SPECIAL;
		e->error = (int32_t)(status.st_mode & S_IFMT);
	} else {
		if ((uint64_t)status.st_size >= BIG_FILE)
			hash_help(r, j);
		hash_content(r, e, fd, &status, bytes);
	}
	close(fd);
}

static void hash_task(void *argument)
{
	hash_argument *a = argument;
	run *r = a->r;
	job *j = a->j;
	struct buffer *buffer = buffers_take(r->buffers);
	uint32_t i;
	/* relaxed: each number is handed out once; the entries themselves are published by done_. */
	while ((i = moirai_fetch_add_relaxed(&j->next_, 1u)) < j->count) {
		entry *e = &j->entries[i];
		if (e->state != ENTRY_WAITS)
			continue;
		if (run_stopped(r))
			e->state = ENTRY_DROPPED;
		else
			hash_entry(r, j, e, buffer->bytes);
	}
	buffers_give(buffer);
	/* acq_rel: pairs with the other tasks' decrements; the last one has seen all entries. */
	if (moirai_fetch_sub_acq_rel(&j->tasks_, 1u) == 1)
		window_done(r, j);
}

void hash_start(run *r, job *j)
{
	hash_argument a = {r, j};
	bool waits = false;
	for (uint32_t i = 0; i < j->count && !waits; i++)
		waits = j->entries[i].state == ENTRY_WAITS;
	j->tasks_ = 1;
	if (!waits)
		window_done(r, j); /* reports only */
	else if (moirai_spawn_copy(r->executor, NULL, hash_task, &a, sizeof(a), NULL) < 0)
		hash_task(&a); /* no memory for a task: hash here */
}
