/* SPDX-License-Identifier: MIT */
/*
 * treehash: the command. The main thread prints; everything else runs in tasks.
 *
 * Signals: SIGINT and SIGTERM reach the main thread only (the runtime's threads block them). The
 * handler notes the signal; the printing loop, which looks every PRINT_LAG, stops the run. What has
 * been printed by then are whole lines. A second signal ends the process at once.
 */
#include "treehash.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <moirai/core/alloc.h>
#include <moirai/core/clock.h>
#include <moirai/utils/hash.h>

#define EXIT_SIGNAL 128

static volatile sig_atomic_t signalled;

static void note_signal(int number)
{
	signalled = number;
}

static void catch_signals(void)
{
	/* Without SA_RESTART a write that blocks on a full pipe ends; with SA_RESETHAND the second
	 * signal is the system's. */
	struct sigaction action = {.sa_handler = note_signal, .sa_flags = (int)SA_RESETHAND};
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN); /* write says EPIPE */
}

/* Jobs hashed at once: enough that no worker waits for walk, few enough for the descriptors. */
static uint32_t jobs_at_once(unsigned workers)
{
	struct rlimit limit;
	uint64_t wanted = 16 + 8 * (uint64_t)workers, files = 1024;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		files = limit.rlim_cur;
	uint64_t ours = DEPTH_OPEN + workers + 16;
	uint64_t free_files = files > ours + 4 ? files - ours : 4;
	return (uint32_t)(wanted < free_files ? wanted : free_files);
}

static int run_init(run *r, const options *o)
{
	moirai_executor_attr attr = {.size = sizeof(attr), .workers = o->jobs, .name = "treehash"};
	r->options = o;
	int status = moirai_executor_create(&r->executor, &attr);
	if (status < 0)
		return status;
	r->workers = moirai_executor_workers(r->executor);
	r->jobs_max = jobs_at_once(r->workers);
	/* One more than can run: main may take a job when memory is short. */
	r->buffers = buffers_new(r->workers + 1);
	r->places = moirai_alloc_aligned(WINDOW_JOBS * WINDOW_PLACE, 4096);
	return r->buffers && r->places ? 0 : -ENOMEM;
}

/* Prints until the last job, or until the run is stopped; then throws away what is left. */
static void run_print(run *r, printer *p)
{
	for (;;) {
		job *j;
		while ((j = window_peek(r))) {
			if (!run_stopped(r))
				printer_job(p, j);
			window_pop(r);
			if (signalled)
				run_stop(r);
		}
		if (window_ended(r))
			return;
		int status = run_stopped(r) ? 0 : printer_flush(p);
		if (status < 0)
			run_fail(r, status);
		if (signalled)
			run_stop(r);
		printer_progress(p);
		window_wait(r, moirai_deadline_after(PRINT_LAG));
	}
}

/* The reason why the run ended early; the exit code. */
static int run_verdict(const run *r)
{
	int status = run_failure(r);
	if (signalled)
		return EXIT_SIGNAL + signalled;
	if (status == -EPIPE)
		return EXIT_SIGNAL + SIGPIPE; /* the reader has gone: nobody wants to hear of it */
	fprintf(stderr, "treehash: stopped: %s\n", strerror(-status));
	return 1;
}

static int run_all(run *r, const options *o)
{
	moirai_task *walk = NULL;
	uint64_t started_ns = moirai_now();
	int status = run_init(r, o), code = 1;
	printer *p = status < 0 ? NULL : printer_new(r, started_ns);
	if (p && (status = moirai_spawn(r->executor, NULL, walk_task, r, &walk)) == 0) {
		run_print(r, p);
		moirai_task_join(walk, NULL);
		code = run_stopped(r) ? printer_flush(p) : printer_close(p);
		if (code < 0)
			run_fail(r, code);
		if (run_stopped(r))
			code = run_verdict(r);
	} else {
		fprintf(stderr, "treehash: cannot start: %s\n",
			strerror(status < 0 ? -status : ENOMEM));
	}
	moirai_executor_destroy(r->executor);
	printer_delete(p);
	buffers_delete(r->buffers);
	moirai_free(r->places);
	return code;
}

int main(int argc, char **argv)
{
	options o;
	int status = options_parse(&o, argc, argv);
	if (status)
		return status - 1;
	if (!moirai_xxh3_available()) {
		fputs("treehash: this build has no xxHash: install its header and build again\n",
			stderr);
		return 2;
	}
	catch_signals();
	run *r = moirai_alloc_aligned(sizeof(*r), MOIRAI_CACHELINE_PAIR);
	if (!r) {
		fputs("treehash: out of memory\n", stderr);
		return 1;
	}
	memset(r, 0, sizeof(*r));
	status = run_all(r, &o);
	moirai_free(r);
	return status;
}
