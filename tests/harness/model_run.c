/* SPDX-License-Identifier: MIT */
/*
 * The loop over executions, and the program around it.
 *
 * Design. Before each execution the program's own .data and .bss are copied back from a snapshot,
 * so that a scenario may use static variables and the algorithms' tables as they are. Only the main
 * program's segment is copied: the C library's state, and the tester's (one mapping), live on.
 *
 * A crash (SIGSEGV and its like) in a scenario is a finding: the handler jumps back here.
 *
 * Address space randomisation is switched off first, by executing the program again: an algorithm
 * that hashes addresses would otherwise take other ways in a replay.
 */
#define _GNU_SOURCE /* dl_iterate_phdr */
#include <link.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <time.h>
#include <unistd.h>

#include "model_internal.h"

#define GUARD  4096
#define STACKS ((size_t)MODEL_THREADS_MAX * MODEL_STACK)

struct options {
	const char *filter;
	unsigned modes;
	unsigned bound, depth, steps_max;
	uint64_t limit, seed;
	bool seed_given, trace, list;
	const char *replay;
	int memory; /* -1: the scenario's */
};

struct outcome {
	bool found, exhausted;
	uint64_t executions, seed;
	double seconds;
};

/* ------------------------------------------------------------------ snapshot */

/* Outside .data: set before the snapshot is taken and never changed. */
static struct {
	char *start, *copy;
	size_t size;
} image;

extern char __data_start[] __attribute__((weak));
extern char _end[] __attribute__((weak));

/* The writable segment of the main program, behind what the linker made read-only. */
static int find_segment(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	uintptr_t *range = arg;
	uintptr_t relro_end = 0;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_GNU_RELRO)
			relro_end = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		if (p->p_type != PT_LOAD || !(p->p_flags & PF_W))
			continue;
		range[0] = info->dlpi_addr + p->p_vaddr;
		range[1] = range[0] + p->p_memsz;
		if (relro_end > range[0] && relro_end <= range[1])
			range[0] = (relro_end + 4095) & ~(uintptr_t)4095;
	}
	return 1; /* the first object is the program */
}

static void take_snapshot(void)
{
	uintptr_t range[2] = {0, 0};
	dl_iterate_phdr(find_segment, range);
	/* The linker's own names leave out the procedure table, which is cheaper to keep resolved. */
	uintptr_t first = (uintptr_t)__data_start, last = (uintptr_t)_end;
	if (first >= range[0] && last <= range[1] && first < last) {
		range[0] = first;
		range[1] = last;
	}
	image.start = (char *)range[0];
	image.size = range[1] - range[0];
	image.copy = mmap(NULL, image.size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (image.copy == MAP_FAILED) {
		perror("model: mmap");
		exit(2);
	}
	memcpy(image.copy, image.start, image.size);
}

/* ------------------------------------------------------------------ one execution */

static void on_crash(int number, siginfo_t *info, void *context)
{
	(void)context;
	struct model *m = model_state;
	if (!m->running) {
		signal(number, SIG_DFL);
		raise(number);
		return;
	}
	model_tls_leave(m);
	m->running = false;
	m->verdict = VERDICT_FOUND;
	size_t in_stacks = (size_t)((char *)info->si_addr - m->stacks);
	bool overflow = in_stacks < STACKS && in_stacks % MODEL_STACK < GUARD;
	snprintf(m->why, sizeof(m->why), "crash: signal %d (%s) in thread %d at address %p%s", number,
		strsignal(number), m->self, info->si_addr, overflow ? ": stack overflow" : "");
	siglongjmp(m->crash, 1);
}

static void catch_crashes(void)
{
	static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
	stack_t stack = {.ss_size = 65536};
	stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sigaltstack(&stack, NULL);
	struct sigaction action = {
		.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	for (size_t i = 0; i < MOIRAI_ARRAY_SIZE(numbers); i++)
		sigaction(numbers[i], &action, NULL);
}

static void body(void *arg)
{
	(void)arg;
	model_state->scenario.run();
}

static void spread_priorities(struct model *m)
{
	for (unsigned i = 0; i < MOIRAI_ARRAY_SIZE(m->pct_change); i++)
		m->pct_change[i] = 1 + (unsigned)(model_random(m) % m->pct_span);
}

static void execute(struct model *m, uint64_t seed)
{
	memcpy(image.start, image.copy, image.size);
	model_reset_threads(m);
	model_reset_memory(m);
	model_reset_alloc(m);
	m->names = 0;
	m->verdict = VERDICT_CLEAN;
	m->random = (seed + 0x9E3779B97F4A7C15ull) * 0xD1342543DE82EF95ull | 1;
	for (int i = 0; i < 3; i++)
		model_random(m);
	if (m->mode == MODE_PCT)
		spread_priorities(m);
	m->running = true;
	if (sigsetjmp(m->crash, 0) == 0)
		model_start(m, body, NULL);
	m->running = false;
	m->executions++;
	m->steps_total += m->step;
	m->pruned += m->verdict == VERDICT_PRUNED;
}

/* Raises the last choice that has an alternative. false: there is none, all is seen. */
static bool next_branch(struct model *m)
{
	m->tape_length = m->tape_at;
	while (m->tape_length > 0) {
		struct choice *last = &m->tape[m->tape_length - 1];
		if (last->taken + 1u < last->count) {
			last->taken++;
			return true;
		}
		m->tape_length--;
	}
	return false;
}

static double seconds_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* How long an execution is, roughly: PCT spreads its priority changes over that. */
static unsigned measure_span(struct model *m)
{
	m->mode = MODE_REPLAY;
	m->tape_length = 0;
	execute(m, 0);
	return m->step + m->step / 2 + 4;
}

static struct outcome search(struct model *m, enum mode mode)
{
	struct outcome o = {.seed = m->scenario.seed};
	double start = seconds_now();
	if (mode == MODE_PCT)
		m->pct_span = measure_span(m);
	m->mode = mode;
	m->executions = m->pruned = m->points = m->switches = m->steps_total = 0;
	m->tape_length = 0;
	while (o.executions < m->scenario.limit) {
		if (mode != MODE_DFS)
			m->tape_length = 0;
		execute(m, o.seed);
		o.executions++;
		o.found = m->verdict == VERDICT_FOUND;
		if (o.found)
			break;
		if (mode == MODE_DFS && !next_branch(m)) {
			o.exhausted = true;
			break;
		}
		o.seed++;
	}
	o.seconds = seconds_now() - start;
	return o;
}

/* Steps of a long execution that are printed without --trace. */
#define TRACE_STEPS 300

/* Runs the tape of the last execution again, printing what happens. */
static void replay(struct model *m, bool whole)
{
	m->trace_from = !whole && m->step > TRACE_STEPS ? m->step - TRACE_STEPS : 0;
	if (m->trace_from)
		printf("# the first %u steps are left out; --trace shows them\n", m->trace_from);
	m->mode = MODE_REPLAY;
	m->tape_length = m->tape_at > m->tape_length ? m->tape_at : m->tape_length;
	m->tracing = true;
	execute(m, 0);
	m->tracing = false;
	if (m->verdict == VERDICT_FOUND)
		printf("# => %s\n", m->why);
	else
		printf("# => nothing found\n");
}

/* ------------------------------------------------------------------ one scenario */

static const char *const mode_names[] = {"dfs", "pct", "random", "replay"};

static void fill_in(struct model_scenario *s, const struct options *o)
{
	if (o->modes)
		s->modes = o->modes;
	if (o->bound)
		s->bound = o->bound;
	if (o->depth)
		s->depth = o->depth;
	if (o->limit)
		s->limit = o->limit;
	if (o->steps_max)
		s->steps_max = o->steps_max;
	if (o->seed_given)
		s->seed = o->seed;
	if (o->memory >= 0)
		s->memory = (model_memory)o->memory;
	if (!s->modes)
		s->modes = MODEL_DFS;
	if (!s->bound)
		s->bound = 2;
	if (s->bound >= MODEL_BOUND_NONE)
		s->bound = UINT32_MAX;
	if (!s->depth)
		s->depth = 3;
	if (!s->limit)
		s->limit = 200000;
	if (!s->seed)
		s->seed = 1;
	if (!s->steps_max)
		s->steps_max = 5000;
	if (s->steps_max > 10000)
		s->steps_max = 10000; /* clocks and positions are 16-bit */
}

static void print_outcome(const struct model *m, enum mode mode, const struct outcome *o)
{
	double per_second = (double)o->executions / (o->seconds > 1e-6 ? o->seconds : 1e-6);
	printf("#   %s", mode_names[mode]);
	if (mode == MODE_DFS && m->scenario.bound != UINT32_MAX)
		printf(" bound %u", m->scenario.bound);
	if (mode == MODE_PCT)
		printf(" depth %u", m->scenario.depth);
	printf(": %llu executions", (unsigned long long)o->executions);
	if (o->found)
		printf(", found");
	else if (mode == MODE_DFS)
		printf(o->exhausted ? ", exhausted" : ", NOT exhausted");
	printf("; %.2f s, %.2f M/s, %.1f steps each", o->seconds, per_second * 1e-6,
		(double)m->steps_total / (double)(m->executions ? m->executions : 1));
	if (m->pruned)
		printf(", %llu pruned", (unsigned long long)m->pruned);
	printf("\n");
}

static void print_finding(
	struct model *m, enum mode mode, const struct outcome *o, const char *program)
{
	printf("#   %s\n", m->why);
	printf("#   replay: %s '=%s", program, m->scenario.name);
	if (m->scenario.bug)
		printf("#%d", m->scenario.bug);
	printf("' --replay ");
	model_write_choices(m, stdout);
	printf("\n");
	if (mode != MODE_DFS)
		printf("#   or: --mode %s --seed %llu --limit 1 --trace\n", mode_names[mode],
			(unsigned long long)o->seed);
}

static bool judge(struct model *m, const struct outcome *o, enum mode mode)
{
	if (o->found)
		return m->scenario.finds && strstr(m->why, m->scenario.finds);
	if (mode == MODE_DFS && m->scenario.exhaust && !o->exhausted) {
		printf("#   should have been exhausted within %llu executions\n",
			(unsigned long long)m->scenario.limit);
		return false;
	}
	return true;
}

/* true: as expected. */
static bool run_scenario(struct model *m, const struct options *options, const char *program)
{
	static const struct {
		unsigned bit;
		enum mode mode;
	} modes[] = {{MODEL_DFS, MODE_DFS}, {MODEL_PCT, MODE_PCT}, {MODEL_RANDOM, MODE_RANDOM}};
	bool found = false;
	m->counters = 0;
	for (size_t i = 0; i < MOIRAI_ARRAY_SIZE(modes) && !found; i++) {
		if (!(m->scenario.modes & modes[i].bit))
			continue;
		struct outcome o = search(m, modes[i].mode);
		found = o.found;
		print_outcome(m, modes[i].mode, &o);
		bool fine = judge(m, &o, modes[i].mode);
		if (found)
			print_finding(m, modes[i].mode, &o, program);
		if (found && (!fine || options->trace))
			replay(m, options->trace);
		if (!fine)
			return false;
	}
	for (unsigned i = 0; i < m->counters; i++)
		printf("#   %s: %llu times\n", m->counter[i].what,
			(unsigned long long)m->counter[i].count);
	if (m->scenario.finds && !found)
		printf("#   expected to find: %s\n", m->scenario.finds);
	return !m->scenario.finds || found;
}

static bool replay_scenario(struct model *m, const struct options *options)
{
	m->tape_at = 0;
	if (!model_read_choices(m, options->replay)) {
		printf("# not a string of choices: %s\n", options->replay);
		return false;
	}
	m->step = 0;
	replay(m, true);
	return (m->verdict == VERDICT_FOUND) == (m->scenario.finds != NULL);
}

/* ------------------------------------------------------------------ the program */

static void full_name(const struct model_scenario *s, char *text, size_t size)
{
	if (s->bug)
		snprintf(text, size, "%s#%d", s->name, s->bug);
	else
		snprintf(text, size, "%s", s->name);
}

/* "=name" is the whole name, "name" a part of it. */
static bool selected(const struct model_scenario *s, const char *filter)
{
	char name[128];
	full_name(s, name, sizeof(name));
	if (!filter)
		return true;
	return filter[0] == '=' ? !strcmp(name, filter + 1) : strstr(name, filter) != NULL;
}

static int usage(const char *program)
{
	fprintf(stderr,
		"usage: %s [NAME] [--list] [--mode dfs|pct|random|all] [--bound N] [--depth D]\n"
		"          [--limit N] [--seed S] [--steps N] [--memory weak|sc] [--trace]\n"
		"          [--replay CHOICES]\n"
		"NAME selects the scenarios that contain it; '=NAME' the one that is called so.\n",
		program);
	return 2;
}

static unsigned parse_modes(const char *text)
{
	if (!strcmp(text, "dfs"))
		return MODEL_DFS;
	if (!strcmp(text, "pct"))
		return MODEL_PCT;
	if (!strcmp(text, "random"))
		return MODEL_RANDOM;
	return !strcmp(text, "all") ? MODEL_DFS | MODEL_PCT | MODEL_RANDOM : 0;
}

static bool parse_value(struct options *o, const char *option, const char *value)
{
	if (!strcmp(option, "--mode"))
		return (o->modes = parse_modes(value)) != 0;
	if (!strcmp(option, "--memory"))
		return (o->memory = !strcmp(value, "sc")) || !strcmp(value, "weak");
	if (!strcmp(option, "--replay"))
		return (o->replay = value) != NULL;
	char *end;
	uint64_t number = strtoull(value, &end, 0);
	if (*end || end == value)
		return false;
	if (!strcmp(option, "--bound"))
		o->bound = (unsigned)number ? (unsigned)number : MODEL_BOUND_NONE;
	else if (!strcmp(option, "--depth"))
		o->depth = (unsigned)number;
	else if (!strcmp(option, "--limit"))
		o->limit = number;
	else if (!strcmp(option, "--steps"))
		o->steps_max = (unsigned)number;
	else if (!strcmp(option, "--seed"))
		o->seed_given = true, o->seed = number;
	else
		return false;
	return true;
}

static bool parse(struct options *o, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--trace"))
			o->trace = true;
		else if (!strcmp(argv[i], "--list"))
			o->list = true;
		else if (argv[i][0] != '-')
			o->filter = argv[i];
		else if (i + 1 >= argc || !parse_value(o, argv[i], argv[i + 1]))
			return false;
		else
			i++;
	}
	return true;
}

static void fix_addresses(char **argv)
{
	int now = personality(0xffffffff);
	if (now == -1 || (now & ADDR_NO_RANDOMIZE) || getenv("MODEL_ADDRESSES_FIXED"))
		return;
	if (personality((unsigned long)now | ADDR_NO_RANDOMIZE) == -1)
		return;
	setenv("MODEL_ADDRESSES_FIXED", "1", 1);
	execv("/proc/self/exe", argv);
}

static void set_up(void)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	struct model *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, flags, -1, 0);
	char *stacks = mmap(NULL, STACKS, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (m == MAP_FAILED || stacks == MAP_FAILED) {
		perror("model: mmap");
		exit(2);
	}
	m->stacks = stacks;
	for (size_t i = 0; i < STACKS; i += MODEL_STACK)
		mprotect(stacks + i, GUARD, PROT_NONE);
	model_alloc_init(m);
	model_state = m;
	model_tls_init(m);
	catch_crashes();
	take_snapshot();
	/* The copy must know itself: it is written over `image` before each execution. */
	memcpy(image.copy, image.start, image.size);
}

int model_main(const struct model_scenario *scenarios, size_t count, int argc, char **argv)
{
	struct options options = {.memory = -1};
	if (!parse(&options, argc, argv))
		return usage(argv[0]);
	fix_addresses(argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	size_t planned = 0, number = 0, failed = 0;
	char name[128];
	for (size_t i = 0; i < count; i++)
		planned += selected(&scenarios[i], options.filter);
	set_up();
	if (!options.list)
		printf("TAP version 13\n1..%zu\n", planned);
	for (size_t i = 0; i < count; i++) {
		if (!selected(&scenarios[i], options.filter))
			continue;
		full_name(&scenarios[i], name, sizeof(name));
		if (options.list) {
			printf("%s\n", name);
			continue;
		}
		struct model *m = model_state;
		m->scenario = scenarios[i];
		fill_in(&m->scenario, &options);
		bool ok = options.replay ? replay_scenario(m, &options)
		                         : run_scenario(m, &options, argv[0]);
		failed += !ok;
		printf("%s %zu - %s%s%s\n", ok ? "ok" : "not ok", ++number, name,
			scenarios[i].finds ? " finds " : " is clean",
			scenarios[i].finds ? scenarios[i].finds : "");
	}
	return failed || planned == 0 ? 1 : 0;
}
