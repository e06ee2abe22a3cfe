/* SPDX-License-Identifier: MIT */
/* Waiting for a condition that atomics express: an event count on top of park. */
#ifndef TREEHASH_GATE_H
#define TREEHASH_GATE_H

#include <stdint.h>

/* Zero is open: no waiter. */
typedef struct gate {
	uint32_t word_;
} gate;

/* Announces a waiter. Check the condition after it, then gate_wait() if it does not hold. */
uint32_t gate_enter(gate *g);

/* Waits for the next gate_open() since gate_enter(), or deadline_ns. May return for no reason. */
void gate_wait(gate *g, uint32_t ticket, uint64_t deadline_ns);

/* After a change of the condition: lets the waiters look again. A fence and a load if there are
 * none. Any thread or task. */
void gate_open(gate *g);

#endif
