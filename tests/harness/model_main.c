/* SPDX-License-Identifier: MIT */
/*
 * The program around the scenarios: command line, judgement, TAP, order mutation.
 *
 * Address space randomisation is switched off first, by executing the program again: an algorithm
 * that hashes addresses would otherwise take other ways in a replay.
 */
#define _GNU_SOURCE /* personality */
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <unistd.h>

#include "model_internal.h"

struct options {
	const char *filter;
	unsigned modes;
	unsigned bound, depth, steps_max;
	uint64_t limit, seed;
	bool seed_given, trace, list, mutate;
	const char *replay;
	unsigned survivors_max; /* --mutate fails when more survive */
	int memory;             /* -1: the scenario's */
};

/* ------------------------------------------------------------------ one scenario */

static const struct {
	unsigned bit;
	enum mode mode;
} all_modes[] = {{MODEL_DFS, MODE_DFS}, {MODEL_PCT, MODE_PCT}, {MODEL_RANDOM, MODE_RANDOM}};

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
	bool found = false;
	m->counters = 0;
	for (size_t i = 0; i < MOIRAI_ARRAY_SIZE(all_modes) && !found; i++) {
		if (!(m->scenario.modes & all_modes[i].bit))
			continue;
		struct outcome o = model_search(m, all_modes[i].mode);
		found = o.found;
		print_outcome(m, all_modes[i].mode, &o);
		bool fine = judge(m, &o, all_modes[i].mode);
		if (found)
			print_finding(m, all_modes[i].mode, &o, program);
		if (found && (!fine || options->trace))
			model_replay(m, options->trace);
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

/* ------------------------------------------------------------------ order mutation */

/* Searches with the mutant switched on, in all of the scenario's modes. */
static bool mutant_is_killed(struct model *m, uint64_t *executions)
{
	bool found = false;
	for (size_t i = 0; i < MOIRAI_ARRAY_SIZE(all_modes) && !found; i++) {
		if (!(m->scenario.modes & all_modes[i].bit))
			continue;
		struct outcome o = model_search(m, all_modes[i].mode);
		found = o.found;
		*executions += o.executions;
	}
	return found;
}

static void try_mutants(struct model *m, const struct site *s, unsigned *killed, unsigned *alive)
{
	int weaker[2];
	unsigned n = model_mutants_of(s, weaker);
	for (unsigned i = 0; i < n; i++) {
		uint64_t executions = 0;
		m->mutant = *s;
		m->mutant_order = weaker[i];
		bool dead = mutant_is_killed(m, &executions);
		*killed += dead;
		*alive += !dead;
		printf("#   %s: %s %s -> %s at ", dead ? "killed  " : "SURVIVED",
			model_site_kind(s), model_order_name(s->order),
			model_order_name(weaker[i]));
		model_print_site(s);
		printf(", %llu executions\n", (unsigned long long)executions);
	}
}

/* true: the scenario is clean as it is, so that its verdict on the mutants means something. */
static bool mutate_scenario(struct model *m, const struct options *options)
{
	unsigned killed = 0, alive = 0;
	uint64_t executions = 0;
	if (m->scenario.finds || m->scenario.bug)
		return true;
	m->sites = 0;
	m->mutating = m->collecting = true;
	bool clean = !mutant_is_killed(m, &executions);
	m->collecting = false;
	for (unsigned i = 0; i < m->sites && clean; i++)
		try_mutants(m, &m->site[i], &killed, &alive);
	m->mutating = false;
	printf("#   %u sites, %u mutants killed, %u survived\n", m->sites, killed, alive);
	return clean && alive <= options->survivors_max;
}

static bool replay_scenario(struct model *m, const struct options *options)
{
	m->tape_at = 0;
	if (!model_read_choices(m, options->replay)) {
		printf("# not a string of choices: %s\n", options->replay);
		return false;
	}
	m->step = 0;
	model_replay(m, true);
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
		"          [--replay CHOICES] [--mutate [--survivors N]]\n"
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
	else if (!strcmp(option, "--survivors"))
		o->survivors_max = (unsigned)number;
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
		else if (!strcmp(argv[i], "--mutate"))
			o->mutate = true;
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

int model_main(const struct model_scenario *scenarios, size_t count, int argc, char **argv)
{
	struct options options = {.memory = -1, .survivors_max = UINT32_MAX};
	if (!parse(&options, argc, argv))
		return usage(argv[0]);
	fix_addresses(argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	size_t planned = 0, number = 0, failed = 0;
	char name[128];
	for (size_t i = 0; i < count; i++)
		planned += selected(&scenarios[i], options.filter);
	model_set_up();
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
		bool ok = options.replay   ? replay_scenario(m, &options)
			  : options.mutate ? mutate_scenario(m, &options)
					   : run_scenario(m, &options, argv[0]);
		failed += !ok;
		printf("%s %zu - %s%s%s\n", ok ? "ok" : "not ok", ++number, name,
			scenarios[i].finds ? " finds " : " is clean",
			scenarios[i].finds ? scenarios[i].finds : "");
	}
	return failed || planned == 0 ? 1 : 0;
}
