/* SPDX-License-Identifier: MIT */
/*
 * An event count: bit 0 says that somebody waits or is about to, the rest counts openings.
 *
 *   waiter  1. sets bit 0                        opener  A. changes the condition
 *           2. checks the condition                      B. fence
 *           3. parks while the word is the same          C. looks at bit 0; if set, counts and
 *                                                           clears it, and unparks everybody
 *
 * No wake-up is lost: 1 and the fence in B are both in the total order of sequentially consistent
 * operations. If 1 comes before B, then C sees the bit, and either 3 finds another word or the
 * waiter is parked and woken. If B comes first, then 2 sees the change of A. Cost without waiters:
 * one fence and one load. A waiter that decides not to wait leaves the bit: the next opening pays
 * for an unpark of nobody.
 */
#include "gate.h"

#include <moirai/core/atomic.h>
#include <moirai/core/park.h>

#define GATE_WAITED 1u
#define GATE_ONE    2u

uint32_t gate_enter(gate *g)
{
	/* seq_cst: pairs with the fence in gate_open; see above. */
	uint32_t ticket = moirai_fetch_or_seq_cst(&g->word_, GATE_WAITED) | GATE_WAITED;
	/* The condition is read by plain acquire loads: none of them may move above the announcement. */
	moirai_fence_seq_cst(); /* if the opener's fence comes first, we see its change; else it sees us */
	return ticket;
}

void gate_wait(gate *g, uint32_t ticket, uint64_t deadline_ns)
{
	(void)moirai_park(&g->word_, ticket, deadline_ns);
}

void gate_open(gate *g)
{
	moirai_fence_seq_cst();                         /* pairs with gate_enter: see above */
	uint32_t word = moirai_load_relaxed(&g->word_); /* relaxed: ordered by the fence */
	while (word & GATE_WAITED) {
		/* acq_rel: the waiter that reads the new word sees what the opener did before. */
		if (moirai_cas_weak_acq_rel(&g->word_, &word, (word + GATE_ONE) & ~GATE_WAITED)) {
			moirai_unpark(&g->word_, UINT32_MAX);
			return;
		}
	}
}
