/* SPDX-License-Identifier: MIT */
/* Every wrapper does what its name says, and the asymmetric fence orders. */
#include "tap.h"

#include <stdlib.h>

#include <moirai/core/atomic.h>
#include <moirai/core/clock.h>
#include <moirai/core/os.h>

#define CHECK_LOADS_AND_STORES(type)                    \
	do {                                            \
		type word = 1;                          \
		CHECK(moirai_load_relaxed(&word) == 1); \
		CHECK(moirai_load_acquire(&word) == 1); \
		CHECK(moirai_load_seq_cst(&word) == 1); \
		moirai_store_relaxed(&word, (type)2);   \
		CHECK(word == 2);                       \
		moirai_store_release(&word, (type)3);   \
		CHECK(word == 3);                       \
		moirai_store_seq_cst(&word, (type)-1);  \
		CHECK(word == (type)-1);                \
	} while (0)

static void loads_and_stores_of_every_size(void)
{
	CHECK_LOADS_AND_STORES(uint8_t);
	CHECK_LOADS_AND_STORES(uint16_t);
	CHECK_LOADS_AND_STORES(uint32_t);
	CHECK_LOADS_AND_STORES(uint64_t);
	CHECK_LOADS_AND_STORES(int64_t);
	int here, *pointer = NULL;
	moirai_store_release(&pointer, &here);
	CHECK(moirai_load_acquire(&pointer) == &here);
}

#define CHECK_RMW(call, before, operand, after)            \
	do {                                               \
		uint64_t word = (before);                  \
		CHECK(call(&word, (operand)) == (before)); \
		CHECK(word == (after));                    \
	} while (0)

static void read_modify_writes_return_what_was(void)
{
	const uint64_t big = 1ull << 40;
	CHECK_RMW(moirai_exchange_relaxed, big, 5u, 5u);
	CHECK_RMW(moirai_exchange_acquire, big, 5u, 5u);
	CHECK_RMW(moirai_exchange_release, big, 5u, 5u);
	CHECK_RMW(moirai_exchange_acq_rel, big, 5u, 5u);
	CHECK_RMW(moirai_exchange_seq_cst, big, 5u, 5u);
	CHECK_RMW(moirai_fetch_add_relaxed, big, 5u, big + 5);
	CHECK_RMW(moirai_fetch_add_acquire, big, 5u, big + 5);
	CHECK_RMW(moirai_fetch_add_release, big, 5u, big + 5);
	CHECK_RMW(moirai_fetch_add_acq_rel, big, 5u, big + 5);
	CHECK_RMW(moirai_fetch_add_seq_cst, big, 5u, big + 5);
	CHECK_RMW(moirai_fetch_sub_relaxed, big, 5u, big - 5);
	CHECK_RMW(moirai_fetch_sub_release, big, 5u, big - 5);
	CHECK_RMW(moirai_fetch_sub_acq_rel, big, 5u, big - 5);
	CHECK_RMW(moirai_fetch_sub_seq_cst, big, 5u, big - 5);
	CHECK_RMW(moirai_fetch_or_relaxed, big, 5u, big | 5);
	CHECK_RMW(moirai_fetch_or_acquire, big, 5u, big | 5);
	CHECK_RMW(moirai_fetch_or_release, big, 5u, big | 5);
	CHECK_RMW(moirai_fetch_or_acq_rel, big, 5u, big | 5);
	CHECK_RMW(moirai_fetch_or_seq_cst, big, 5u, big | 5);
	CHECK_RMW(moirai_fetch_and_relaxed, big | 7, 5u, 5u);
	CHECK_RMW(moirai_fetch_and_acquire, big | 7, 5u, 5u);
	CHECK_RMW(moirai_fetch_and_release, big | 7, 5u, 5u);
	CHECK_RMW(moirai_fetch_and_acq_rel, big | 7, 5u, 5u);
	CHECK_RMW(moirai_fetch_xor_relaxed, big | 7, 5u, big | 2);
	CHECK_RMW(moirai_fetch_xor_acq_rel, big | 7, 5u, big | 2);
}

#define CHECK_CAS(call)                                                           \
	do {                                                                      \
		uint64_t word = 1, expected = 2;                                  \
		CHECK(!call(&word, &expected, 9u) && expected == 1 && word == 1); \
		bool done = false; /* a weak one may fail for no reason */        \
		for (int i = 0; i < 1000 && !done; i++)                           \
			done = call(&word, &expected, 9u);                        \
		CHECK(done &&word == 9 && expected == 1);                         \
	} while (0)

static void compare_and_swap_tells_what_it_found(void)
{
	CHECK_CAS(moirai_cas_relaxed);
	CHECK_CAS(moirai_cas_acquire);
	CHECK_CAS(moirai_cas_release);
	CHECK_CAS(moirai_cas_acq_rel);
	CHECK_CAS(moirai_cas_seq_cst);
	CHECK_CAS(moirai_cas_weak_relaxed);
	CHECK_CAS(moirai_cas_weak_acquire);
	CHECK_CAS(moirai_cas_weak_release);
	CHECK_CAS(moirai_cas_weak_acq_rel);
}

static uint64_t counter;

static void add_many(void *arg)
{
	for (int i = 0; i < 20000; i++) {
		moirai_fetch_add_relaxed(&counter, 1u);
		uint64_t seen = moirai_load_relaxed(&counter);
		while (!moirai_cas_weak_relaxed(&counter, &seen, seen + (1ull << 32)))
			moirai_cpu_relax();
	}
}

static void no_addition_is_lost(void)
{
	moirai_os_thread threads[4];
	counter = 0;
	for (int i = 0; i < 4; i++)
		REQUIRE(moirai_os_thread_create(&threads[i], NULL, add_many, NULL) == 0);
	for (int i = 0; i < 4; i++)
		moirai_os_thread_join(threads[i]);
	CHECK(counter == 80000 + (80000ull << 32));
}

/*
 * Dekker: each side writes its flag, fences, reads the other's. Both reading zero is the outcome
 * that the fences forbid. The heavy side sets the round, so that the two overlap.
 */
static struct {
	uint32_t round MOIRAI_ALIGNED(128);
	uint32_t light_flag MOIRAI_ALIGNED(128);
	uint32_t heavy_flag MOIRAI_ALIGNED(128);
	uint32_t light_saw MOIRAI_ALIGNED(128);
	uint32_t done;
	uint32_t rounds;
} dekker;

static void spin_until(const uint32_t *word, uint32_t value)
{
	for (unsigned spins = 1; moirai_load_acquire(word) != value; spins++) {
		if (spins % 4096 == 0)
			moirai_os_yield();
		else
			moirai_cpu_relax();
	}
}

static void light_side(void *arg)
{
	for (uint32_t i = 1; i <= dekker.rounds; i++) {
		spin_until(&dekker.round, i);
		moirai_store_relaxed(&dekker.light_flag, i);
		moirai_fence_light(); /* pairs with the heavy fence below */
		uint32_t saw = moirai_load_relaxed(&dekker.heavy_flag);
		moirai_store_relaxed(&dekker.light_saw, saw);
		moirai_store_release(&dekker.done, i);
	}
}

static void one_side_of_the_fence_sees_the_other(void)
{
	moirai_os_thread other;
	unsigned both_blind = 0;
	memset(&dekker, 0, sizeof(dekker));
	dekker.rounds = 20000;
	REQUIRE(moirai_os_thread_create(&other, NULL, light_side, NULL) == 0);
	for (uint32_t i = 1; i <= dekker.rounds; i++) {
		moirai_store_release(&dekker.round, i);
		for (uint32_t delay = i % 64; delay > 0; delay--)
			moirai_fence_compiler();
		moirai_store_relaxed(&dekker.heavy_flag, i);
		moirai_fence_heavy(); /* pairs with the light fence above */
		uint32_t saw = moirai_load_relaxed(&dekker.light_flag);
		spin_until(&dekker.done, i);
		both_blind += saw != i && moirai_load_relaxed(&dekker.light_saw) != i;
	}
	moirai_os_thread_join(other);
	CHECK(both_blind == 0);
	DIAG("fences are %s", moirai__fence_symmetric ? "symmetric" : "asymmetric");
}

static void environment_can_ask_for_symmetric_fences(void)
{
	const char *wish = getenv("MOIRAI_FENCE");
	if (!wish)
		SKIP("MOIRAI_FENCE is not set in this run");
	CHECK(strcmp(wish, "symmetric") != 0 || moirai__fence_symmetric);
}

static void ordinary_fences_compile_and_run(void)
{
	moirai_fence_acquire();
	moirai_fence_release();
	moirai_fence_acq_rel();
	moirai_fence_seq_cst();
	moirai_fence_compiler();
	moirai_cpu_relax();
	int plain = 1;
	CHECK(MOIRAI_RD(plain) == 1);
	MOIRAI_WR(plain) = 2;
	CHECK(plain == 2);
}

TAP_MAIN(TEST(loads_and_stores_of_every_size), TEST(read_modify_writes_return_what_was),
	TEST(compare_and_swap_tells_what_it_found), TEST(no_addition_is_lost),
	TEST(one_side_of_the_fence_sees_the_other), TEST(environment_can_ask_for_symmetric_fences),
	TEST(ordinary_fences_compile_and_run))
