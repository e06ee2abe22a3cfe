/* SPDX-License-Identifier: MIT */
/*
 * The walk: one task, depth first, in the order of path bytes.
 *
 * The way down is an array of levels, not a recursion, so depth costs 64 bytes a level and no stack.
 * Nothing depends on PATH_MAX: every name is opened relative to its directory.
 *
 * Descriptors: the DEPTH_OPEN lowest levels stay open. Coming back up to one that was closed, it is
 * opened by ".." (or name by name from above, if the way down went through a link) and must be the
 * same directory still, by device and inode.
 *
 * Names: each level holds those it has not visited yet. Together they may take NAMES_BUDGET; when a
 * directory further down needs the place, the levels at the top lose theirs and read them again,
 * from the name they came back from.
 *
 * Whatever may park (window_push) stands in functions that do not use errno: after a park the task
 * may be on another thread, and compilers keep the address of errno. The system calls are therefore
 * in functions of their own, never inlined.
 */
#include "treehash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <moirai/core/alloc.h>
#include <moirai/core/atomic.h>

#include "names.h"

/* What a directory may use at least, before levels above are asked to give theirs up. */
#define NAMES_LEAST ((size_t)1 << 20)

typedef struct level {
	directory *dir; /* NULL: closed because the way down is long */
	dev_t device;
	ino_t inode;
	size_t path_length; /* of this directory's path in walk.path */
	names *batch;       /* in order; NULL: not read yet, taken away, or over */
	uint32_t next;      /* in batch */
	bool over;          /* no names are left */
	bool link;          /* the way here is a symbolic link */
} level;

typedef struct walk {
	run *r;
	level *levels;
	uint32_t depth, levels_size;
	char *path;
	size_t path_length, path_size;
	names_reader *reader;
	size_t names_bytes; /* in all batches */
	bool resumes;       /* the name below is where the level on top comes back from */
	MOIRAI_ALIGNED(8) char resume[sizeof(name) + 256];
	/* the job that is being filled, in the level on top */
	uint32_t count;
	size_t names_used;
	entry entries[JOB_FILES];
	char names[JOB_NAMES];
} walk;

/* --- system calls, apart --- */

static MOIRAI_NOINLINE int sys_open(int dir, const char *leaf, bool follow)
{
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOCTTY | (follow ? 0 : O_NOFOLLOW);
	int fd = openat(dir, leaf, flags);
	return fd < 0 ? -errno : fd;
}

static MOIRAI_NOINLINE int sys_stat(int fd, struct stat *status)
{
	return fstat(fd, status) < 0 ? -errno : 0;
}

static MOIRAI_NOINLINE int sys_stat_path(const char *path, struct stat *status)
{
	return stat(path, status) < 0 ? -errno : 0;
}

/* --- jobs --- */

/* Parks while the window is full. NULL: no memory. */
static job *walk_job(walk *w, const entry *entries, uint32_t count, const char *leaves,
	size_t leaves_bytes, const char *path, size_t path_length)
{
	size_t head = offsetof(job, entries) + count * sizeof(entry);
	size_t bytes = head + leaves_bytes + path_length + 1;
	job *j = window_place(w->r, bytes);
	if (!j) {
		run_fail(w->r, -ENOMEM); /* nothing is left out silently */
		return NULL;
	}
	char *text = (char *)j + head;
	*j = (job){.path_length = path_length, .bytes = bytes, .names = text, .count = count};
	memcpy(j->entries, entries, count * sizeof(entry));
	memcpy(text, leaves, leaves_bytes);
	if (path) {
		memcpy(text + leaves_bytes, path, path_length);
		text[leaves_bytes + path_length] = 0;
		j->path = text + leaves_bytes;
	}
	return j;
}

/* Hands out what has been collected. */
static void walk_flush(walk *w)
{
	if (w->count == 0)
		return;
	job *j =
		walk_job(w, w->entries, w->count, w->names, w->names_used, w->path, w->path_length);
	w->count = 0;
	w->names_used = 0;
	if (!j)
		return;
	level *top = &w->levels[w->depth - 1];
	j->dir = top->dir ? directory_hold(top->dir) : NULL;
	window_push(w->r, j);
}

/* An entry of the directory on top; `error` belongs to the state. */
static void walk_add(walk *w, const char *text, size_t length, entry_state state, int error)
{
	if (w->count == JOB_FILES || w->names_used + length + 1 > JOB_NAMES)
		walk_flush(w);
	entry *e = &w->entries[w->count++];
	*e = (entry){.name = (uint32_t)w->names_used, .error = error, .state = state};
	memcpy(w->names + w->names_used, text, length);
	w->names[w->names_used + length] = 0;
	w->names_used += length + 1;
}

/* A path of the command line that is no directory. */
static void walk_single(walk *w, const char *path, entry_state state, int error)
{
	const entry e = {.error = error, .state = state};
	directory *here = directory_new(AT_FDCWD);
	job *j = here ? walk_job(w, &e, 1, path, strlen(path) + 1, NULL, 0) : NULL;
	if (!j) {
		directory_release(here);
		run_fail(w->r, -ENOMEM);
		return;
	}
	j->dir = here;
	window_push(w->r, j);
}

/* --- the way down --- */

static int walk_path_append(walk *w, const char *text, size_t length)
{
	size_t needed = w->path_length + 1 + length + 1;
	if (needed > PATH_BYTES)
		return -ENAMETOOLONG;
	if (needed > w->path_size) {
		size_t size = needed * 2 < 4096 ? 4096 : needed * 2;
		char *path = moirai_realloc(w->path, size);
		if (!path)
			return -ENOMEM;
		w->path = path;
		w->path_size = size;
	}
	w->path[w->path_length] = '/';
	memcpy(w->path + w->path_length + 1, text, length);
	w->path_length += length + 1;
	w->path[w->path_length] = 0;
	return 0;
}

static int walk_reserve_level(walk *w)
{
	if (w->depth == DEPTH_MOST)
		return -ENAMETOOLONG;
	if (w->depth < w->levels_size)
		return 0;
	uint32_t size = w->levels_size ? w->levels_size * 2 : 64;
	level *levels = moirai_realloc(w->levels, size * sizeof(*levels));
	if (!levels)
		return -ENOMEM;
	w->levels = levels;
	w->levels_size = size;
	return 0;
}

/* Is it one of those on the way down? Then following the link would never end. */
static bool walk_is_above(const walk *w, const struct stat *status)
{
	for (uint32_t i = w->depth; i-- > 0;)
		if (w->levels[i].inode == status->st_ino && w->levels[i].device == status->st_dev)
			return true;
	return false;
}

/* Opens a directory; without descriptors, once more when no job holds one. */
static int walk_open(walk *w, int dir, const char *leaf, bool follow)
{
	int fd = sys_open(dir, leaf, follow);
	if (fd != -EMFILE && fd != -ENFILE)
		return fd;
	window_settle(w->r);
	return sys_open(dir, leaf, follow);
}

/* The directory fd becomes the level on top; its path is already in w->path. Takes fd. */
static int walk_push(walk *w, int fd, const struct stat *status, size_t path_length, bool link)
{
	int error = walk_reserve_level(w);
	directory *dir = error < 0 ? NULL : directory_new(fd);
	if (!dir) {
		if (error < 0)
			close(fd);
		return error < 0 ? error : -ENOMEM;
	}
	w->levels[w->depth++] = (level){.dir = dir,
		.device = status->st_dev,
		.inode = status->st_ino,
		.path_length = path_length,
		.link = link};
	if (w->depth > DEPTH_OPEN) {
		level *far = &w->levels[w->depth - 1 - DEPTH_OPEN];
		directory_release(far->dir);
		far->dir = NULL;
	}
	return 0;
}

static void walk_descend(walk *w, const name *n)
{
	struct stat status;
	level *top = &w->levels[w->depth - 1];
	size_t length = w->path_length;
	int fd = walk_open(w, top->dir->fd, n->text, n->link);
	int error = fd < 0 ? fd : sys_stat(fd, &status);
	bool loop = error >= 0 && n->link && walk_is_above(w, &status);
	if (error >= 0 && !loop)
		error = walk_path_append(w, n->text, n->length);
	if (error >= 0 && !loop) {
		error = walk_push(w, fd, &status, w->path_length, n->link);
		fd = -1;
	}
	if (error >= 0 && !loop)
		return;
	if (fd >= 0)
		close(fd);
	w->path_length = length;
	walk_add(w, n->text, n->length, loop ? ENTRY_LOOP : ENTRY_FAILED, loop ? 0 : -error);
}

/* Is the open directory still the one of the level? Takes fd; gives it back or an error. */
static int walk_verify(const level *l, int fd)
{
	struct stat status;
	int error = fd < 0 ? fd : sys_stat(fd, &status);
	if (error >= 0 && status.st_ino == l->inode && status.st_dev == l->device)
		return fd;
	if (fd >= 0)
		close(fd);
	return error < 0 ? error : -ESTALE; /* it was moved while we were below */
}

/* Opens level i again, name by name from the lowest open one above it (or from the path of the
 * command line, level 0). The path's text is cut into names and mended again. */
static int walk_open_again(walk *w, uint32_t i)
{
	uint32_t from = i;
	while (from > 0 && !w->levels[from].dir)
		from--;
	int fd = w->levels[from].dir ? dup(w->levels[from].dir->fd) : -ENOENT;
	if (!w->levels[from].dir) {
		char *end = &w->path[w->levels[0].path_length], saved = *end;
		*end = 0;
		fd = sys_open(AT_FDCWD, w->levels[0].path_length ? w->path : "/", true);
		*end = saved;
	}
	for (uint32_t k = from + 1; k <= i && fd >= 0; k++) {
		char *end = &w->path[w->levels[k].path_length], saved = *end;
		*end = 0;
		int next =
			sys_open(fd, &w->path[w->levels[k - 1].path_length + 1], w->levels[k].link);
		*end = saved;
		close(fd);
		fd = next;
	}
	return walk_verify(&w->levels[i], fd);
}

/* Leaves the level on top. The one below comes back from its name. */
static void walk_pop(walk *w)
{
	level *child = &w->levels[w->depth - 1];
	walk_flush(w);
	if (child->batch)
		w->names_bytes -= child->batch->bytes;
	names_free(child->batch);
	if (w->depth == 1) {
		directory_release(child->dir);
		w->depth = 0;
		return;
	}
	level *parent = child - 1;
	if (!parent->dir) {
		int fd = child->link || !child->dir
				 ? -ESTALE
				 : walk_verify(parent, sys_open(child->dir->fd, "..", false));
		if (fd < 0)
			fd = walk_open_again(w, w->depth - 2);
		parent->dir = fd < 0 ? NULL : directory_new(fd);
	}
	size_t length = child->path_length - parent->path_length - 1;
	name *resume = (name *)(void *)w->resume;
	*resume = (name){.length = (uint8_t)length, .type = DT_DIR};
	memcpy(resume->text, w->path + parent->path_length + 1, length);
	resume->text[length] = 0;
	w->resumes = true;
	directory_release(child->dir);
	w->depth--;
	w->path_length = parent->path_length;
	if (!parent->dir && !parent->over) {
		walk_add(w, "", 0, ENTRY_MOVED, 0);
		parent->over = true;
	}
}

/* --- names --- */

/* Takes names away from the top until a directory may use NAMES_LEAST at least. */
static void walk_make_place(walk *w)
{
	for (uint32_t i = 0; i + 1 < w->depth && w->names_bytes + NAMES_LEAST > NAMES_BUDGET; i++) {
		level *l = &w->levels[i];
		if (!l->batch)
			continue;
		l->over = l->next == l->batch->count && !l->batch->more;
		w->names_bytes -= l->batch->bytes;
		names_free(l->batch);
		l->batch = NULL;
	}
}

/* Reads the (next) names of the level on top: those behind the last one, or behind the name that
 * the walk came back from. */
static void walk_read(walk *w, level *top)
{
	const name *last = NULL;
	name *resume = (name *)(void *)w->resume;
	if (top->batch) {
		last = names_at(top->batch, top->batch->count - 1);
		memcpy(resume, last, sizeof(*last) + last->length + 1);
		w->names_bytes -= top->batch->bytes;
		names_free(top->batch);
		top->batch = NULL;
	} else if (w->resumes) {
		last = resume;
	}
	walk_make_place(w);
	size_t place = NAMES_BUDGET - w->names_bytes;
	int error = names_read(w->reader, top->dir->fd, last ? resume : NULL,
		place < NAMES_MOST ? place : NAMES_MOST, w->r->options->follow, &top->batch);
	top->next = 0;
	top->over = error < 0 || top->batch->count == 0;
	if (error < 0)
		walk_add(w, "", 0, ENTRY_FAILED, -error);
	else
		w->names_bytes += top->batch->bytes;
}

static void walk_name(walk *w, const name *n)
{
	switch (n->type) {
	case DT_REG:
		walk_add(w, n->text, n->length, ENTRY_WAITS, 0);
		break;
	case DT_DIR:
		walk_flush(w);
		walk_descend(w, n);
		break;
	case DT_LNK: /* not followed, or leads nowhere */
		if (n->link)
			walk_add(w, n->text, n->length, ENTRY_FAILED, n->error);
		break;
	default:
		walk_add(w, n->text, n->length, ENTRY_SPECIAL, (int)DTTOIF(n->type));
	}
}

/* Leaves everything: the run is being stopped. */
static void walk_abandon(walk *w)
{
	while (w->depth > 0) {
		level *top = &w->levels[--w->depth];
		directory_release(top->dir);
		names_free(top->batch);
	}
	w->names_bytes = w->names_used = 0;
	w->count = 0;
}

static void walk_down(walk *w)
{
	while (w->depth > 0 && !run_stopped(w->r)) {
		level *top = &w->levels[w->depth - 1];
		if (top->batch && top->next < top->batch->count) {
			w->resumes = false;
			walk_name(w, names_at(top->batch, top->next++));
		} else if (top->over || (top->batch && !top->batch->more)) {
			walk_pop(w);
		} else {
			walk_read(w, top);
			w->resumes = false;
		}
	}
	walk_abandon(w);
}

static void walk_root(walk *w, const char *path)
{
	struct stat status;
	size_t length = strlen(path);
	int error = sys_stat_path(path, &status);
	if (error < 0 || !S_ISDIR(status.st_mode)) {
		bool regular = error >= 0 && S_ISREG(status.st_mode);
		walk_single(w, path,
			error < 0 ? ENTRY_FAILED
			: regular ? ENTRY_WAITS
				  : ENTRY_SPECIAL,
			error < 0 ? -error
			: regular ? 0
				  : (int)(status.st_mode & S_IFMT));
		return;
	}
	while (length > 0 && path[length - 1] == '/')
		length--; /* "/" becomes "", and its entries "/name" */
	int fd = walk_open(w, AT_FDCWD, path, true);
	error = fd < 0 ? fd : sys_stat(fd, &status);
	w->path_length = 0;
	w->resumes = false;
	if (error >= 0 && length > 0) {
		error = walk_path_append(w, path, length);
		if (error >= 0) {
			memmove(w->path, w->path + 1, length + 1); /* no slash before the first */
			w->path_length = length;
		}
	}
	if (error >= 0) {
		error = walk_push(w, fd, &status, w->path_length, true);
		fd = -1;
	}
	if (fd >= 0)
		close(fd);
	if (error < 0)
		walk_single(w, path, ENTRY_FAILED, -error);
	else
		walk_down(w);
}

void walk_task(void *argument)
{
	run *r = argument;
	walk *w = moirai_alloc_zeroed(1, sizeof(*w));
	names_reader *reader = names_reader_new(NAMES_MOST);
	char *path = moirai_alloc(4096);
	if (w && reader && path) {
		*path = 0;
		w->r = r;
		w->reader = reader;
		w->path = path;
		w->path_size = 4096;
		for (int i = 0; i < r->options->roots_count && !run_stopped(r); i++)
			walk_root(w, r->options->roots[i]);
		path = w->path;
		moirai_free(w->levels);
	} else {
		run_fail(r, -ENOMEM);
	}
	names_reader_delete(reader);
	moirai_free(path);
	moirai_free(w);
	window_finish(r);
}
