/* SPDX-License-Identifier: MIT */
/*
 * Fault injection. moirai__fault_kinds is zero outside tests, and a fault point is then one relaxed
 * load. While it is not zero the points of the armed kinds are numbered in the order in which they
 * are passed; the one whose number was asked for fails. Numbers come from one RMW, so exactly one
 * point fails however many threads pass. Arming itself is for a moment when no other thread runs
 * in the library: the fields below are written before the kinds are published.
 */
#include <moirai/core/internal/fault.h>

#include <moirai/core/atomic.h>

uint32_t moirai__fault_kinds;

static uint64_t chosen; /* number of the point that fails; 0: none, only count */
static uint64_t passed;
static uint32_t fired;

void moirai__fault_arm(unsigned kinds, uint64_t nth)
{
	/* Disarm first: a point that is passed meanwhile sees the old choice or none. */
	moirai_store_relaxed(&moirai__fault_kinds, 0);
	moirai_store_relaxed(&chosen, nth);
	moirai_store_relaxed(&passed, 0);
	moirai_store_relaxed(&fired, 0);
	/* release: pairs with the acquire in moirai__fault_slow(); publishes the fields above. */
	moirai_store_release(&moirai__fault_kinds, kinds);
}

uint64_t moirai__fault_passed(bool *was_fired)
{
	if (was_fired)
		*was_fired = moirai_load_relaxed(&fired) != 0;
	return moirai_load_relaxed(&passed);
}

bool moirai__fault_slow(moirai_fault_kind kind)
{
	/* acquire: pairs with the release in moirai__fault_arm(). */
	if (!(moirai_load_acquire(&moirai__fault_kinds) & (uint32_t)kind))
		return false;
	/* relaxed: the number alone decides. */
	if (moirai_fetch_add_relaxed(&passed, 1) + 1 != moirai_load_relaxed(&chosen))
		return false;
	moirai_store_relaxed(&fired, 1);
	return true;
}
