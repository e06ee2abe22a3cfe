/* SPDX-License-Identifier: MIT */
/*
 * Has everything that was accepted finished? Design note.
 *
 * Each worker counts what it spawned and what it finished, each producer what it handed in; plain
 * stores of one writer. quiescent() reads all `finished` first, then all `spawned`: a task is counted
 * as spawned before it is visible, hence before it finishes and before its own spawns; so equal sums
 * mean that at the end of the first reading everything accepted until then had ended.
 *
 * Waiting: the waiter counts itself (drainers), heavy fence, asks quiescent(), parks. A worker that
 * runs out of work reads drainers and asks too. No signal is lost: whoever finishes the last task
 * runs out of work afterwards. If its count comes before the waiter's fence, the waiter sees the
 * count; if not, it sees the waiter. Two workers that finish at the same time each fence before
 * reading, so that one of them sees both.
 *
 * Cost: one load for a worker that is about to search. Nothing in the path of a task.
 */
#include "private.h"

static bool quiescent(struct pool *pool)
{
	/* Pairs with itself on another worker: of two last finishers one sees the other's count. */
	moirai_fence_seq_cst();
	size_t finished = 0, spawned = 0;
	for (uint32_t i = 0; i < pool->worker_count; i++)
		/* relaxed: the fence below makes it an acquire. */
		finished += (size_t)moirai_load_relaxed(&pool->workers[i].finished);
	/*
	 * Finished is read before spawned, and acquired: pairs with the release in task_finish(); what
	 * the tasks did is our past, their own spawns included.
	 */
	moirai_fence_seq_cst();
	for (uint32_t i = 0; i < pool->worker_count; i++)
		spawned += moirai_load_relaxed(
			&pool->workers[i].queues.spawned_); /* relaxed: see above */
	spawned += moirai__injector_accepted(&pool->injector);
	return spawned == finished;
}

void quiesce_check(struct pool *pool)
{
	/* Pairs with the heavy fence in quiesce_wait(), see above. */
	moirai_fence_light();
	if (MOIRAI_LIKELY(moirai_load_relaxed(&pool->drainers) == 0))
		return;
	if (!quiescent(pool))
		return;
	/* relaxed: only a signal; whoever it wakes asks quiescent() itself, with its fences. */
	moirai_fetch_add_relaxed(&pool->drained, 1u);
	MOIRAI_NOISE();
	moirai_unpark(&pool->drained, UINT32_MAX);
}

int quiesce_wait(struct pool *pool, uint64_t deadline_ns)
{
	moirai_fetch_add_relaxed(
		&pool->drainers, 1u); /* relaxed: the heavy fence below orders it */
	int rc;
	for (;;) {
		uint32_t seen = moirai_load_relaxed(&pool->drained); /* relaxed: before the fence */
		/* Pairs with the light fence in quiesce_check(). */
		moirai_fence_heavy();
		rc = 0;
		if (quiescent(pool))
			break;
		rc = moirai_park(&pool->drained, seen, deadline_ns);
		if (rc == -ETIMEDOUT || rc == -ECANCELED) {
			if (quiescent(pool))
				rc = 0;
			break;
		}
	}
	/* release: the last access; pairs with the acquire in destroy. */
	moirai_fetch_sub_release(&pool->drainers, 1u);
	return rc;
}
