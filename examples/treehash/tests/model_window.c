/* SPDX-License-Identifier: MIT */
/*
 * The window and its gates under every schedule: walk, one or two hash tasks and print, without any
 * time-out to help them. A lost wake-up is a deadlock here, a missing order a race on an entry or on
 * a place that is used again.
 *
 * Planted bugs: 1 no fences; 2 stores that publish nothing; 3 walk tells print nothing when it waits
 * or ends; 4 a gate counts no openings; 5 print frees a place before it has read it.
 */
#include "model.h"

#include <moirai/core/alloc.h>
#include <moirai/core/atomic.h>
#include <moirai/core/os.h>
#include <moirai/core/park.h>

#undef moirai_fence_seq_cst
#define moirai_fence_seq_cst() (model_bug(1) ? (void)0 : moirai_model_fence(__ATOMIC_SEQ_CST))
#undef moirai_store_release
#define moirai_store_release(p, v) \
	moirai__store(p, v, model_bug(2) ? __ATOMIC_RELAXED : __ATOMIC_RELEASE)

#define WINDOW_JOBS 2
#include "../gate.c"
#include "../window.c"

#define JOBS 4

/* What is not under test: parking is a futex, a hash task takes the jobs of its number. */

int moirai_park(const uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
	return moirai_os_futex_wait(word, model_bug(4) ? *word : expected, deadline_ns);
}

unsigned moirai_unpark(const uint32_t *word, unsigned count)
{
	return (unsigned)moirai_os_futex_wake(word, count);
}

void directory_release(directory *d)
{
	(void)d;
}

static run r;
static MOIRAI_ALIGNED(64) char places[WINDOW_JOBS * WINDOW_PLACE];
static job *handed[JOBS];
static uint32_t ready[JOBS]; /* 1: handed[] is filled */
static uint32_t hashers = 1;

void hash_start(run *unused, job *j)
{
	(void)unused;
	/* As a spawn does: publishes the job to whoever runs it. */
	handed[j->number] = j;
	moirai__store(&ready[j->number], 1u, __ATOMIC_RELEASE);
	moirai_os_futex_wake(&ready[j->number], 1);
}

static void hash_thread(void *argument)
{
	for (uintptr_t n = (uintptr_t)argument; n < JOBS; n += hashers) {
		while (!moirai_load_acquire(&ready[n]))
			moirai_os_futex_wait(&ready[n], 0, MOIRAI_NEVER);
		job *j = handed[n];
		MOIRAI_WR(j->entries[0].hash) = 100 + n;
		window_done(&r, j);
	}
}

static void walk_thread(void *argument)
{
	(void)argument;
	for (uint64_t n = 0; n < JOBS; n++) {
		job *j = window_place(&r, sizeof(job) + sizeof(entry));
		MODEL_CHECK(j);
		j->bytes = sizeof(job) + sizeof(entry);
		j->dir = NULL;
		moirai_store_relaxed(&j->done_, 0u);
		MOIRAI_WR(j->entries[0].hash) = n;
		window_push(&r, j);
	}
	if (model_bug(3))
		moirai_store_release(&r.finished_, 1u);
	else
		window_finish(&r);
}

static void print_all(void)
{
	for (uint64_t n = 0; !window_ended(&r);) {
		job *j = window_peek(&r);
		if (!j) {
			window_wait(&r, MOIRAI_NEVER);
			continue;
		}
		MODEL_CHECK(n < JOBS && j->number == n);
		if (model_bug(5))
			window_pop(&r);
		MODEL_CHECK(MOIRAI_RD(j->entries[0].hash) == 100 + n || model_bug(5));
		if (!model_bug(5))
			window_pop(&r);
		n++;
		MODEL_CHECK(!window_ended(&r) || n == JOBS);
	}
}

static void pipeline(uint32_t count)
{
	hashers = count;
	r.jobs_max = 2;
	r.places = places;
	model_thread(walk_thread, NULL);
	for (uintptr_t i = 0; i < hashers; i++)
		model_thread(hash_thread, (void *)i);
	print_all();
	model_join_all();
	MODEL_CHECK(r.hashing_ == 0 && r.head_ == JOBS);
}

static void one_hash_task(void)
{
	pipeline(1);
}

static void two_hash_tasks(void)
{
	pipeline(2);
}

/* A gate alone: whoever waits for a flag comes back. */
static gate door;
static uint32_t flag;

static void door_opener(void *argument)
{
	(void)argument;
	moirai_store_relaxed(&flag, 1u);
	gate_open(&door);
}

static void nobody_waits_at_an_open_gate(void)
{
	model_thread(door_opener, NULL);
	while (!moirai_load_relaxed(&flag)) {
		uint32_t ticket = gate_enter(&door);
		if (!moirai_load_relaxed(&flag))
			gate_wait(&door, ticket, MOIRAI_NEVER);
	}
	model_join_all();
}

MODEL_MAIN(MODEL_CLEAN(nobody_waits_at_an_open_gate, .exhaust = true, .spurious = 1),
	MODEL_FINDS(nobody_waits_at_an_open_gate, 1, "deadlock"),
	MODEL_FINDS(nobody_waits_at_an_open_gate, 4, "deadlock"),
	MODEL_CLEAN(one_hash_task, .modes = MODEL_DFS | MODEL_PCT, .limit = 60000),
	MODEL_FINDS(one_hash_task, 2, "race"), MODEL_FINDS(one_hash_task, 3, "deadlock"),
	MODEL_FINDS(one_hash_task, 5, "race", .modes = MODEL_PCT | MODEL_RANDOM),
	MODEL_CLEAN(two_hash_tasks, .modes = MODEL_DFS | MODEL_PCT | MODEL_RANDOM, .limit = 60000))
