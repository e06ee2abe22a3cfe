/* SPDX-License-Identifier: MIT */
/*
 * The memory model's litmus tests: what C11 allows must be seen, what it forbids must not. Each
 * scenario asserts that the weak outcome does not happen; it is clean where the orders forbid that,
 * and must be found where a planted bug weakens one of them.
 */
#include "model.h"
#include <moirai/core/atomic.h>

static uint32_t x, y;
static int data;
static uint32_t r[8];

/* --- message passing; 1: the store does not release, 2: the load does not acquire --- */

static void mp_writer(void *arg)
{
	MOIRAI_WR(data) = 42;
	if (model_bug(1))
		moirai_store_relaxed(&x, 1);
	else
		moirai_store_release(&x, 1);
}

static void message_passing(void)
{
	model_name(&x, "ready");
	model_name(&data, "data");
	model_thread(mp_writer, NULL);
	uint32_t ready = model_bug(2) ? moirai_load_relaxed(&x) : moirai_load_acquire(&x);
	if (ready)
		MODEL_CHECK(MOIRAI_RD(data) == 42);
	model_join_all();
}

/* --- the same with fences and relaxed accesses; 1 and 2: a fence is missing --- */

static void mpf_writer(void *arg)
{
	MOIRAI_WR(data) = 42;
	moirai_store_relaxed(&y, 7);
	if (!model_bug(1))
		moirai_fence_release();
	moirai_store_relaxed(&x, 1);
}

static void message_passing_by_fences(void)
{
	model_thread(mpf_writer, NULL);
	uint32_t ready = moirai_load_relaxed(&x);
	if (!model_bug(2))
		moirai_fence_acquire();
	if (ready) {
		MODEL_CHECK(moirai_load_relaxed(&y) == 7);
		/* With a bug the race on data would be found first. */
		MODEL_CHECK(model_bug(1) || model_bug(2) || MOIRAI_RD(data) == 42);
	}
	model_join_all();
}

/* --- store buffering; 1 and 2: a fence is missing on one side, 3: weaker than SC on both --- */

static void sb_fence(int bug)
{
	if (model_bug(3))
		moirai_fence_acq_rel();
	else if (!model_bug(bug))
		moirai_fence_seq_cst();
}

static void sb_right(void *arg)
{
	moirai_store_relaxed(&y, 1);
	sb_fence(2);
	r[1] = moirai_load_relaxed(&x);
}

static void store_buffering(void)
{
	model_thread(sb_right, NULL);
	moirai_store_relaxed(&x, 1);
	sb_fence(1);
	r[0] = moirai_load_relaxed(&y);
	model_join_all();
	MODEL_CHECK(r[0] || r[1]);
}

/* --- store buffering by SC accesses; 1: one load only acquires --- */

static void sba_right(void *arg)
{
	moirai_store_seq_cst(&y, 1);
	r[1] = model_bug(1) ? moirai_load_acquire(&x) : moirai_load_seq_cst(&x);
}

static void store_buffering_by_accesses(void)
{
	model_thread(sba_right, NULL);
	moirai_store_seq_cst(&x, 1);
	r[0] = moirai_load_seq_cst(&y);
	model_join_all();
	MODEL_CHECK(r[0] || r[1]);
}

/* --- asymmetric fences; 1: the heavy one is missing, 2: two light ones --- */

static void asym_right(void *arg)
{
	moirai_store_relaxed(&y, 1);
	if (model_bug(2))
		moirai_fence_light();
	else if (!model_bug(1))
		moirai_fence_heavy();
	r[1] = moirai_load_relaxed(&x);
}

static void asymmetric_fences(void)
{
	model_thread(asym_right, NULL);
	moirai_store_relaxed(&x, 1);
	moirai_fence_light();
	r[0] = moirai_load_relaxed(&y);
	model_join_all();
	MODEL_CHECK(r[0] || r[1]);
}

/* --- two readers of independent writes; 1: acquire loads may disagree --- */

static void write_x(void *arg)
{
	moirai_store_seq_cst(&x, 1);
}

static void write_y(void *arg)
{
	moirai_store_seq_cst(&y, 1);
}

static uint32_t iriw_load(const uint32_t *p)
{
	return model_bug(1) ? moirai_load_acquire(p) : moirai_load_seq_cst(p);
}

static void iriw_reader(void *arg)
{
	r[2] = iriw_load(&y);
	r[3] = iriw_load(&x);
}

static void independent_reads_of_independent_writes(void)
{
	model_thread(write_x, NULL);
	model_thread(write_y, NULL);
	model_thread(iriw_reader, NULL);
	r[0] = iriw_load(&x);
	r[1] = iriw_load(&y);
	model_join_all();
	MODEL_CHECK(!(r[0] == 1 && r[1] == 0 && r[2] == 1 && r[3] == 0));
}

/* --- coherence: one location never goes back, whatever the order --- */

static void two_stores(void *arg)
{
	moirai_store_relaxed(&x, 1);
	moirai_store_relaxed(&x, 2);
}

static void coherence(void)
{
	model_thread(two_stores, NULL);
	uint32_t first = moirai_load_relaxed(&x);
	uint32_t second = moirai_load_relaxed(&x);
	MODEL_CHECK(first <= second);
	/* 1: but nobody promises that the newest is seen. */
	if (model_bug(1)) {
		moirai_store_relaxed(&y, 1);
		MODEL_CHECK(!(first == 0 && second == 1 && moirai_load_relaxed(&x) == 1));
	}
	model_join_all();
	MODEL_CHECK(moirai_load_relaxed(&x) == 2);
}

/* --- write-to-read causality over a third thread; 1: the middle only relaxes --- */

static void wrc_first(void *arg)
{
	moirai_store_relaxed(&x, 1);
}

static void wrc_second(void *arg)
{
	if (!moirai_load_relaxed(&x))
		return;
	if (model_bug(1))
		moirai_store_relaxed(&y, 1);
	else
		moirai_store_release(&y, 1);
}

static void write_read_causality(void)
{
	model_thread(wrc_first, NULL);
	model_thread(wrc_second, NULL);
	if (moirai_load_acquire(&y))
		MODEL_CHECK(moirai_load_relaxed(&x) == 1);
	model_join_all();
}

/* --- a relaxed RMW continues a release sequence; 1: a relaxed store breaks it --- */

static void rs_writer(void *arg)
{
	MOIRAI_WR(data) = 1;
	moirai_store_release(&x, 1);
}

static void rs_middle(void *arg)
{
	uint32_t one = 1;
	if (!model_bug(1))
		moirai_cas_relaxed(&x, &one, 2);
	else if (moirai_load_relaxed(&x) == 1)
		moirai_store_relaxed(&x, 2);
}

static void release_sequence(void)
{
	model_thread(rs_writer, NULL);
	model_thread(rs_middle, NULL);
	if (moirai_load_acquire(&x) == 2)
		MODEL_CHECK(MOIRAI_RD(data) == 1);
	model_join_all();
}

/* --- SC fences order loads, they do not order plain accesses: happens-before is kept apart --- */

static void hb_other(void *arg)
{
	MOIRAI_WR(data) = 1;
	moirai_fence_seq_cst();
	moirai_store_relaxed(&y, 1);
}

static void fences_alone_are_no_synchronisation(void)
{
	model_thread(hb_other, NULL);
	moirai_fence_seq_cst();
	if (model_bug(1))
		(void)MOIRAI_RD(data);
	model_join_all();
	MODEL_CHECK(MOIRAI_RD(data) == 1);
}

/* --- lock-free counters: an RMW never loses; 1: load and store do --- */

static void increment(void *arg)
{
	if (model_bug(1))
		moirai_store_relaxed(&x, moirai_load_relaxed(&x) + 1);
	else
		moirai_fetch_add_relaxed(&x, 1);
}

static void counters(void)
{
	for (int i = 0; i < 3; i++)
		model_thread(increment, NULL);
	model_join_all();
	MODEL_CHECK(moirai_load_relaxed(&x) == 3);
}

#define ALL .exhaust = true, .bound = MODEL_BOUND_NONE, .limit = 3000000

MODEL_MAIN(MODEL_CLEAN(message_passing, ALL), MODEL_FINDS(message_passing, 1, "data race on data"),
	MODEL_FINDS(message_passing, 2, "data race on data"),
	MODEL_CLEAN(message_passing_by_fences, ALL),
	MODEL_FINDS(message_passing_by_fences, 1, "check failed"),
	MODEL_FINDS(message_passing_by_fences, 2, "check failed"),
	MODEL_CLEAN(store_buffering, ALL),
	/* Interleavings alone show none of the weak outcomes. */
	MODEL_CLEAN(store_buffering, .bug = 3, .memory = MODEL_MEMORY_SEQ_CST, ALL),
	MODEL_FINDS(store_buffering, 1, "r[0] || r[1]"),
	MODEL_FINDS(store_buffering, 2, "r[0] || r[1]"),
	MODEL_FINDS(store_buffering, 3, "r[0] || r[1]"),
	MODEL_CLEAN(store_buffering_by_accesses, ALL),
	MODEL_FINDS(store_buffering_by_accesses, 1, "r[0] || r[1]"),
	MODEL_CLEAN(asymmetric_fences, ALL),
	MODEL_CLEAN(asymmetric_fences, .symmetric_fences = true, ALL),
	MODEL_CLEAN(asymmetric_fences, .bug = 2, .symmetric_fences = true, ALL),
	MODEL_FINDS(asymmetric_fences, 1, "r[0] || r[1]"),
	MODEL_FINDS(asymmetric_fences, 2, "r[0] || r[1]"),
	MODEL_CLEAN(independent_reads_of_independent_writes, .exhaust = true, .bound = 3),
	MODEL_FINDS(independent_reads_of_independent_writes, 1, "check failed", .bound = 3),
	MODEL_CLEAN(coherence, ALL), MODEL_FINDS(coherence, 1, "check failed"),
	MODEL_CLEAN(write_read_causality, ALL),
	MODEL_FINDS(write_read_causality, 1, "check failed"), MODEL_CLEAN(release_sequence, ALL),
	MODEL_FINDS(release_sequence, 1, "data race"),
	MODEL_CLEAN(fences_alone_are_no_synchronisation, ALL),
	MODEL_FINDS(fences_alone_are_no_synchronisation, 1, "data race"),
	MODEL_CLEAN(counters, .exhaust = true, .bound = 4),
	MODEL_FINDS(counters, 1, "check failed"), )
