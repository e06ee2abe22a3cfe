/* SPDX-License-Identifier: MIT */
/*
 * What the user sees. Standard output gets whole lines only: they are collected and written together.
 *
 * The form is xxhsum's for XXH3, `XXH3 (path) = hash`, which every xxhsum since 0.8.0 checks, and in
 * which blanks, backslashes, carriage returns and bytes that are no UTF-8 stand as they are. A
 * newline cannot: xxhsum 0.8.1 prints it as it is and cannot check it, and a name could then forge
 * lines. Such a path is printed in the escaped form of xxhsum 0.8.3, `\XXH3_hash  path` with \n, \r
 * and \\; older ones count an improperly formatted line and go on.
 */
#include "treehash.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <moirai/core/alloc.h>
#include <moirai/core/atomic.h>
#include <moirai/core/clock.h>
#include <moirai/core/os.h>
#include <moirai/utils/hash.h>

#include "text.h"

#define OUTPUT_BYTES  ((size_t)64 << 10)
#define PROGRESS_STEP (200 * MOIRAI_MS)

struct printer {
	run *r;
	text out, err, path;
	bool terminal, shown; /* progress may be, is on the screen */
	int broken;           /* negative errno of standard output */
	uint64_t started_ns, progress_ns;
	uint64_t files, bytes, errors, skipped, escaped;
};

printer *printer_new(run *r, uint64_t started_ns)
{
	printer *p = moirai_alloc_zeroed(1, sizeof(*p));
	if (p) {
		p->r = r;
		p->started_ns = p->progress_ns = started_ns;
		p->terminal = !r->options->quiet && isatty(STDERR_FILENO);
	}
	return p;
}

void printer_delete(printer *p)
{
	if (!p)
		return;
	text_free(&p->out);
	text_free(&p->err);
	text_free(&p->path);
	moirai_free(p);
}

/* Standard error: the progress line makes way, the lines follow. Failures have no one to tell. */
static void printer_say(printer *p)
{
	static const char clear[] = "\r\033[K";
	if (p->shown)
		(void)moirai_os_write(STDERR_FILENO, clear, sizeof(clear) - 1);
	p->shown = false;
	(void)moirai_os_write(STDERR_FILENO, p->err.bytes, p->err.used);
	p->err.used = 0;
}

int printer_flush(printer *p)
{
	if (p->err.used)
		printer_say(p);
	if (p->out.failed)
		p->broken = -ENOMEM;
	if (p->out.used && !p->broken)
		p->broken = moirai_os_write(STDOUT_FILENO, p->out.bytes, p->out.used);
	p->out.used = 0;
	return p->broken;
}

/* The whole path of an entry, in p->path. */
static void printer_path(printer *p, const job *j, const entry *e)
{
	const char *leaf = j->names + e->name;
	size_t length = strlen(leaf);
	p->path.used = 0;
	if (j->path) {
		text_add(&p->path, j->path, j->path_length);
		if (length || j->path_length == 0)
			text_add(&p->path, "/", 1);
	} else if (strcmp(leaf, "stdin") == 0) {
		text_add(&p->path, "./", 2); /* xxhsum would read its standard input */
	}
	text_add(&p->path, leaf, length);
	p->out.failed |= p->path.failed;
}

static const char *special_name(int type)
{
	switch (type) {
	case S_IFIFO:
		return "a pipe";
	case S_IFSOCK:
		return "a socket";
	case S_IFCHR:
		return "a character device";
	case S_IFBLK:
		return "a block device";
	case S_IFDIR:
		return "a directory by now";
	default:
		return "no regular file";
	}
}

static const char *entry_reason(const entry *e)
{
	switch (e->state) {
	case ENTRY_CHANGED:
		return "changed while it was read";
	case ENTRY_LOOP:
		return "symbolic link to a directory above: a loop";
	case ENTRY_MOVED:
		return "moved while the directories below it were read";
	case ENTRY_SPECIAL:
		return special_name(e->error);
	default:
		return strerror(e->error);
	}
}

static void printer_json_path(printer *p)
{
	bool utf8 = text_is_utf8(p->path.bytes, p->path.used);
	text_print(&p->out, utf8 ? "{\"path\":\"" : "{\"path_hex\":\"");
	(utf8 ? text_json : text_hex)(&p->out, p->path.bytes, p->path.used);
}

static void printer_trouble(printer *p, const entry *e)
{
	const char *reason = entry_reason(e);
	bool special = e->state == ENTRY_SPECIAL;
	p->skipped += special;
	p->errors += !special;
	if (!special || !p->r->options->quiet) {
		text_print(&p->err, "treehash: ");
		text_visible(&p->err, p->path.bytes, p->path.used);
		text_print(&p->err, ": %s%s\n", special ? "skipped, " : "", reason);
	}
	if (p->r->options->json) {
		printer_json_path(p);
		text_print(&p->out, "\",\"%s\":\"%s\"}\n", special ? "skipped" : "error", reason);
	}
	if (p->err.used > OUTPUT_BYTES)
		printer_say(p);
}

static void printer_hash(printer *p, const entry *e)
{
	char hex[MOIRAI_HASH64_HEX_BYTES];
	moirai_hash64_hex(e->hash, hex);
	p->files++;
	p->bytes += e->size;
	if (p->r->options->json) {
		printer_json_path(p);
		text_print(&p->out, "\",\"size\":%llu,\"xxh3\":\"%s\"}\n",
			(unsigned long long)e->size, hex);
	} else if (memchr(p->path.bytes, '\n', p->path.used)) {
		p->escaped++;
		text_add(&p->out, "\\XXH3_", 6);
		text_add(&p->out, hex, 16);
		text_add(&p->out, "  ", 2);
		text_escaped(&p->out, p->path.bytes, p->path.used);
		text_add(&p->out, "\n", 1);
	} else {
		text_add(&p->out, "XXH3 (", 6);
		text_add(&p->out, p->path.bytes, p->path.used);
		text_add(&p->out, ") = ", 4);
		text_add(&p->out, hex, 16);
		text_add(&p->out, "\n", 1);
	}
}

void printer_job(printer *p, const job *j)
{
	for (uint32_t i = 0; i < j->count; i++) {
		const entry *e = &j->entries[i];
		if (e->state == ENTRY_DROPPED || e->state == ENTRY_WAITS)
			continue;
		printer_path(p, j, e);
		if (e->state == ENTRY_HASHED)
			printer_hash(p, e);
		else
			printer_trouble(p, e);
		if (p->out.used >= OUTPUT_BYTES && printer_flush(p) < 0)
			return;
	}
}

void printer_progress(printer *p)
{
	uint64_t now = moirai_now();
	if (!p->terminal || now - p->progress_ns < PROGRESS_STEP)
		return;
	p->progress_ns = now;
	double seconds = (double)(now - p->started_ns) / 1e9;
	/* relaxed: a statistic, ahead of what is printed. */
	double gigabytes = (double)moirai_load_relaxed(&p->r->bytes_read_) / 1e9;
	text_print(&p->err, "%llu files, %.2f GB, %.2f GB/s", (unsigned long long)p->files,
		gigabytes, gigabytes / seconds);
	printer_say(p);
	p->shown = true;
}

static void printer_summary_json(printer *p, double seconds)
{
	text_print(&p->out,
		"{\"summary\":{\"files\":%llu,\"bytes\":%llu,\"errors\":%llu,\"skipped\":%llu,",
		(unsigned long long)p->files, (unsigned long long)p->bytes,
		(unsigned long long)p->errors, (unsigned long long)p->skipped);
	text_print(&p->out, "\"seconds\":%.6f,\"gigabytes_per_second\":%.3f,\"workers\":%u}}\n",
		seconds, (double)p->bytes / 1e9 / seconds, p->r->workers);
}

static void printer_summary(printer *p, double seconds)
{
	text_print(&p->err, "treehash: %llu files, %llu bytes in %.3f s, %.2f GB/s, %u worker%s",
		(unsigned long long)p->files, (unsigned long long)p->bytes, seconds,
		(double)p->bytes / 1e9 / seconds, p->r->workers, p->r->workers == 1 ? "" : "s");
	if (p->errors)
		text_print(&p->err, ", %llu not read", (unsigned long long)p->errors);
	if (p->skipped)
		text_print(&p->err, ", %llu skipped", (unsigned long long)p->skipped);
	if (p->escaped)
		text_print(&p->err, ", %llu escaped", (unsigned long long)p->escaped);
	text_print(&p->err, "\n");
}

int printer_close(printer *p)
{
	double seconds = (double)(moirai_now() - p->started_ns + 1) / 1e9;
	int status = printer_flush(p);
	if (status < 0)
		return status; /* no summary of what nobody has got */
	if (p->r->options->json)
		printer_summary_json(p, seconds);
	if (!p->r->options->quiet)
		printer_summary(p, seconds);
	status = printer_flush(p);
	return status < 0 ? status : p->errors ? 1 : 0;
}
