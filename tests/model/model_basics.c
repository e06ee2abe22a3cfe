/* SPDX-License-Identifier: MIT */
/* The memory model's litmus tests: what C11 allows must be seen, what it forbids must not. */
#include "model.h"
#include <moirai/core/atomic.h>

static uint32_t x, y;
static int data;
static uint32_t r[4];

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

/* --- store buffering; 1: without the fence here, 2: without the fence there --- */

static void sb_right(void *arg)
{
	moirai_store_relaxed(&y, 1);
	if (!model_bug(2))
		moirai_fence_seq_cst();
	r[1] = moirai_load_relaxed(&x);
}

static void store_buffering(void)
{
	int other = model_thread(sb_right, NULL);
	moirai_store_relaxed(&x, 1);
	if (!model_bug(1))
		moirai_fence_seq_cst();
	r[0] = moirai_load_relaxed(&y);
	model_join(other);
	MODEL_CHECK(r[0] || r[1]);
}

MODEL_MAIN(
	MODEL_CLEAN(message_passing, .exhaust = true, .bound = MODEL_BOUND_NONE),
	MODEL_FINDS(message_passing, 1, "data race on data"),
	MODEL_FINDS(message_passing, 2, "data race on data"),
	MODEL_CLEAN(store_buffering, .exhaust = true, .bound = MODEL_BOUND_NONE),
	MODEL_FINDS(store_buffering, 1, "check failed"),
	MODEL_FINDS(store_buffering, 2, "check failed"), )
