/* SPDX-License-Identifier: MIT */
/* The switch itself: what it must keep, where it starts, what it leaves behind. */
#include <moirai/async/internal/stack.h>

#include <stdlib.h>

#include "tap.h"

struct pair {
	struct moirai__fiber outside;
	struct moirai__fiber *inside;
	struct moirai__stack_pool pool;
	struct moirai__stack_cache cache;
	unsigned rounds;
	unsigned wrong;
	uintptr_t lowest_sp;
};

static void pair_open(struct pair *pair, moirai__fiber_entry entry, moirai__stack_class size_class)
{
	memset(pair, 0, sizeof(*pair));
	if (moirai__stack_pool_init(&pair->pool, NULL) < 0)
		abort();
	moirai__fiber_native_init(&pair->outside);
	pair->inside = moirai__stack_get(&pair->pool, &pair->cache, size_class);
	if (!pair->inside)
		abort();
	moirai__fiber_prepare(pair->inside, entry, pair);
}

static void pair_close(struct pair *pair)
{
	moirai__stack_put(&pair->pool, &pair->cache, pair->inside);
	moirai__stack_cache_drain(&pair->pool, &pair->cache);
	moirai__fiber_native_fini(&pair->outside);
	moirai__stack_pool_fini(&pair->pool);
}

static void ping(void *arg)
{
	struct pair *pair = arg;
	for (;;) {
		pair->rounds++;
		moirai__fiber_switch(pair->inside, &pair->outside);
	}
}

static void control_goes_back_and_forth(void)
{
	struct pair pair;
	pair_open(&pair, ping, MOIRAI__STACK_64K);
	for (unsigned i = 1; i <= 1000; i++) {
		moirai__fiber_switch(&pair.outside, pair.inside);
		CHECK(pair.rounds == i);
	}
	pair_close(&pair);
}

/* Fills every register that a caller may rely on, calls switch_call and looks. Returns mismatches. */
static void switch_call(struct pair *pair)
{
	moirai__fiber_switch(&pair->outside, pair->inside);
}

static void (*volatile switch_call_pointer)(struct pair *) = switch_call;

#if defined(__x86_64__) && !defined(_WIN32)

static unsigned registers_survive(struct pair *pair, uint64_t salt)
{
	uint64_t before[6], after[6];
	for (unsigned i = 0; i < 6; i++)
		before[i] = salt * (i + 1);
	void (*function)(struct pair *) = switch_call_pointer;
	uint64_t *from = before, *to = after;
	__asm__ volatile("subq $128, %%rsp\n\t" /* the red zone is the caller's */
			 "pushq %%rbp\n\t"
			 "pushq %[after]\n\t"
			 "movq 0(%[before]), %%rbx\n\t"
			 "movq 16(%[before]), %%r12\n\t"
			 "movq 24(%[before]), %%r13\n\t"
			 "movq 32(%[before]), %%r14\n\t"
			 "movq 40(%[before]), %%r15\n\t"
			 "movq 8(%[before]), %%rbp\n\t"
			 "movq %%rsp, %%rcx\n\t"
			 "andq $-16, %%rsp\n\t"
			 "pushq %%rcx\n\t"
			 "pushq %%rcx\n\t"
			 "call *%%rax\n\t"
			 "popq %%rcx\n\t"
			 "popq %%rsp\n\t"
			 "popq %%rax\n\t"
			 "movq %%rbx, 0(%%rax)\n\t"
			 "movq %%rbp, 8(%%rax)\n\t"
			 "movq %%r12, 16(%%rax)\n\t"
			 "movq %%r13, 24(%%rax)\n\t"
			 "movq %%r14, 32(%%rax)\n\t"
			 "movq %%r15, 40(%%rax)\n\t"
			 "popq %%rbp\n\t"
			 "addq $128, %%rsp"
			 : "+D"(pair), "+a"(function), [before] "+S"(from), [after] "+d"(to)
			 :
			 : "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
			 "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
			 "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
			 "xmm15");
	unsigned wrong = 0;
	for (unsigned i = 0; i < 6; i++)
		wrong += before[i] != after[i];
	return wrong;
}

#elif defined(__aarch64__)

static unsigned registers_survive(struct pair *pair, uint64_t salt)
{
	uint64_t before[19], after[19]; /* x19-x29, d8-d15 */
	for (unsigned i = 0; i < 19; i++)
		before[i] = salt * (i + 1);
	register struct pair *x0 __asm__("x0") = pair;
	register uint64_t *x1 __asm__("x1") = before;
	register uint64_t *x2 __asm__("x2") = after;
	register void (*x3)(struct pair *) __asm__("x3") = switch_call_pointer;
	__asm__ volatile("sub sp, sp, #32\n\t"
			 "stp x29, x2, [sp]\n\t"
			 "ldp x19, x20, [x1]\n\t"
			 "ldp x21, x22, [x1, #16]\n\t"
			 "ldp x23, x24, [x1, #32]\n\t"
			 "ldp x25, x26, [x1, #48]\n\t"
			 "ldp x27, x28, [x1, #64]\n\t"
			 "ldr x29, [x1, #80]\n\t"
			 "ldp d8, d9, [x1, #88]\n\t"
			 "ldp d10, d11, [x1, #104]\n\t"
			 "ldp d12, d13, [x1, #120]\n\t"
			 "ldp d14, d15, [x1, #136]\n\t"
			 "blr x3\n\t"
			 "ldr x2, [sp, #8]\n\t"
			 "stp x19, x20, [x2]\n\t"
			 "stp x21, x22, [x2, #16]\n\t"
			 "stp x23, x24, [x2, #32]\n\t"
			 "stp x25, x26, [x2, #48]\n\t"
			 "stp x27, x28, [x2, #64]\n\t"
			 "str x29, [x2, #80]\n\t"
			 "stp d8, d9, [x2, #88]\n\t"
			 "stp d10, d11, [x2, #104]\n\t"
			 "stp d12, d13, [x2, #120]\n\t"
			 "stp d14, d15, [x2, #136]\n\t"
			 "ldr x29, [sp]\n\t"
			 "add sp, sp, #32"
			 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
			 :
			 : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
			 "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24",
			 "x25", "x26", "x27", "x28", "x30", "v0", "v1", "v2", "v3", "v4", "v5",
			 "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16",
			 "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26",
			 "v27", "v28", "v29", "v30", "v31", "memory", "cc");
	unsigned wrong = 0;
	for (unsigned i = 0; i < 19; i++)
		wrong += before[i] != after[i];
	return wrong;
}

#elif defined(_WIN32)

static unsigned registers_survive(struct pair *pair, uint64_t salt)
{
	/* rbx, rsi, rdi, r12-r15, then xmm6-xmm15 */
	uint64_t before[7], after[7];
	MOIRAI_ALIGNED(16) uint64_t wide_before[20], wide_after[20];
	for (unsigned i = 0; i < 7; i++)
		before[i] = salt * (i + 1);
	for (unsigned i = 0; i < 20; i++)
		wide_before[i] = salt * (i + 100);
	uint64_t *blocks[4] = {before, wide_before, after, wide_after};
	uint64_t **rdx = blocks;
	register void (*r8)(struct pair *) __asm__("r8") = switch_call_pointer;
	__asm__ volatile("movq 0(%%rdx), %%rax\n\t"
			 "movq 8(%%rdx), %%r10\n\t"
			 "pushq %%rbp\n\t"
			 "movq %%rsp, %%rbp\n\t"
			 "andq $-16, %%rsp\n\t"
			 "subq $48, %%rsp\n\t"
			 "movq %%rdx, 40(%%rsp)\n\t"
			 "movq 0(%%rax), %%rbx\n\t"
			 "movq 8(%%rax), %%rsi\n\t"
			 "movq 16(%%rax), %%rdi\n\t"
			 "movq 24(%%rax), %%r12\n\t"
			 "movq 32(%%rax), %%r13\n\t"
			 "movq 40(%%rax), %%r14\n\t"
			 "movq 48(%%rax), %%r15\n\t"
			 "movaps 0(%%r10), %%xmm6\n\t"
			 "movaps 16(%%r10), %%xmm7\n\t"
			 "movaps 32(%%r10), %%xmm8\n\t"
			 "movaps 48(%%r10), %%xmm9\n\t"
			 "movaps 64(%%r10), %%xmm10\n\t"
			 "movaps 80(%%r10), %%xmm11\n\t"
			 "movaps 96(%%r10), %%xmm12\n\t"
			 "movaps 112(%%r10), %%xmm13\n\t"
			 "movaps 128(%%r10), %%xmm14\n\t"
			 "movaps 144(%%r10), %%xmm15\n\t"
			 "call *%%r8\n\t"
			 "movq 40(%%rsp), %%rdx\n\t"
			 "movq 16(%%rdx), %%rax\n\t"
			 "movq 24(%%rdx), %%r10\n\t"
			 "movq %%rbx, 0(%%rax)\n\t"
			 "movq %%rsi, 8(%%rax)\n\t"
			 "movq %%rdi, 16(%%rax)\n\t"
			 "movq %%r12, 24(%%rax)\n\t"
			 "movq %%r13, 32(%%rax)\n\t"
			 "movq %%r14, 40(%%rax)\n\t"
			 "movq %%r15, 48(%%rax)\n\t"
			 "movaps %%xmm6, 0(%%r10)\n\t"
			 "movaps %%xmm7, 16(%%r10)\n\t"
			 "movaps %%xmm8, 32(%%r10)\n\t"
			 "movaps %%xmm9, 48(%%r10)\n\t"
			 "movaps %%xmm10, 64(%%r10)\n\t"
			 "movaps %%xmm11, 80(%%r10)\n\t"
			 "movaps %%xmm12, 96(%%r10)\n\t"
			 "movaps %%xmm13, 112(%%r10)\n\t"
			 "movaps %%xmm14, 128(%%r10)\n\t"
			 "movaps %%xmm15, 144(%%r10)\n\t"
			 "movq %%rbp, %%rsp\n\t"
			 "popq %%rbp"
			 : "+c"(pair), "+d"(rdx), "+r"(r8)
			 :
			 : "rax", "rbx", "rsi", "rdi", "r9", "r10", "r11", "r12", "r13", "r14",
			 "r15", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
			 "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
			 "xmm14", "xmm15");
	unsigned wrong = 0;
	for (unsigned i = 0; i < 7; i++)
		wrong += before[i] != after[i];
	for (unsigned i = 0; i < 20; i++)
		wrong += wide_before[i] != wide_after[i];
	return wrong;
}

#else

/* No assembly for this processor: locals that the optimiser keeps in registers must do. */
static unsigned registers_survive(struct pair *pair, uint64_t salt)
{
	unsigned a = (unsigned)salt, b = a * 3, c = a * 5, d = a * 7;
	double x = (double)a, y = x * 3;
	__asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c));
	switch_call_pointer(pair);
	return (unsigned)((b != a * 3) + (c != a * 5) + (d != a * 7) + (y != x * 3));
}

#endif

/* The other side leaves garbage in every register it may. */
static void trash(void *arg)
{
	struct pair *pair = arg;
	for (;;) {
		pair->rounds++;
#if defined(__x86_64__)
		__asm__ volatile("movq $-1, %%rbx\n\tmovq %%rbx, %%r12\n\tmovq %%rbx, %%r13\n\t"
				 "movq %%rbx, %%r14\n\tmovq %%rbx, %%r15\n\t"
				 "pcmpeqb %%xmm6, %%xmm6\n\tmovaps %%xmm6, %%xmm7\n\t"
				 "movaps %%xmm6, %%xmm8\n\tmovaps %%xmm6, %%xmm15" ::
					 : "rbx", "r12", "r13", "r14", "r15", "xmm6", "xmm7",
				 "xmm8", "xmm15");
#elif defined(__aarch64__)
		__asm__ volatile(
			"mov x19, #-1\n\tmov x20, x19\n\tmov x21, x19\n\tmov x22, x19\n\t"
			"mov x23, x19\n\tmov x24, x19\n\tmov x25, x19\n\tmov x26, x19\n\t"
			"mov x27, x19\n\tmov x28, x19\n\tfmov d8, x19\n\tfmov d9, x19\n\t"
			"fmov d10, x19\n\tfmov d11, x19\n\tfmov d12, x19\n\tfmov d15, x19" ::
				: "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27",
			"x28", "v8", "v9", "v10", "v11", "v12", "v15");
#endif
		moirai__fiber_switch(pair->inside, &pair->outside);
	}
}

static void callee_saved_registers_survive(void)
{
	struct pair pair;
	pair_open(&pair, trash, MOIRAI__STACK_64K);
	for (uint64_t i = 1; i <= 100; i++)
		CHECK(registers_survive(&pair, i * 0x0123456789abcdefull) == 0);
	CHECK(pair.rounds == 100);
	pair_close(&pair);
}

static void looks_at_its_stack(void *arg)
{
	struct pair *pair = arg;
	MOIRAI_ALIGNED(32) volatile char aligned[32];
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	aligned[0] = 1;
	pair->wrong += here <= (uintptr_t)pair->inside->stack_low;
	pair->wrong += here > (uintptr_t)pair->inside->stack_high;
	pair->wrong += (uintptr_t)aligned % 32 != 0;
	pair->lowest_sp = here;
	moirai__fiber_exit(pair->inside, &pair->outside);
}

static void the_entry_runs_aligned_on_the_fibers_stack_each_time_it_is_armed(void)
{
	struct pair pair;
	pair_open(&pair, looks_at_its_stack, MOIRAI__STACK_16K);
	for (unsigned i = 0; i < 200; i++) {
		moirai__fiber_switch(&pair.outside, pair.inside);
		moirai__stack_put(&pair.pool, &pair.cache, pair.inside);
		pair.inside = moirai__stack_get(&pair.pool, &pair.cache, MOIRAI__STACK_16K);
		REQUIRE(pair.inside);
		moirai__fiber_prepare(pair.inside, looks_at_its_stack, &pair);
	}
	CHECK(pair.wrong == 0);
	pair_close(&pair);
}

/* Fiber to fiber, each on another thread afterwards. */
struct ring {
	struct moirai__fiber *fibers[8];
	struct moirai__fiber native;
	struct moirai__stack_pool pool;
	struct moirai__stack_cache cache;
	unsigned next;
	unsigned hops;
};

static void ring_fiber(void *arg)
{
	struct ring *ring = arg;
	unsigned me = ring->next;
	for (unsigned i = 0;; i++) {
		ring->hops++;
		ring->next = (me + 1) % 8;
		struct moirai__fiber *to = i % 16 == 15 ? &ring->native : ring->fibers[ring->next];
		moirai__fiber_switch(ring->fibers[me], to);
	}
}

static void ring_thread(void *arg)
{
	struct ring *ring = arg;
	moirai__fiber_native_init(&ring->native);
	for (unsigned i = 0; i < 50; i++)
		moirai__fiber_switch(&ring->native, ring->fibers[ring->next]);
	moirai__fiber_native_fini(&ring->native);
}

static void fibers_switch_among_themselves_and_between_threads(void)
{
	struct ring ring;
	memset(&ring, 0, sizeof(ring));
	REQUIRE(moirai__stack_pool_init(&ring.pool, NULL) == 0);
	for (unsigned i = 0; i < 8; i++) {
		ring.fibers[i] = moirai__stack_get(&ring.pool, &ring.cache, MOIRAI__STACK_64K);
		REQUIRE(ring.fibers[i]);
		moirai__fiber_prepare(ring.fibers[i], ring_fiber, &ring);
	}
	for (unsigned i = 0; i < 4; i++) {
		moirai_os_thread thread;
		REQUIRE(moirai_os_thread_create(&thread, NULL, ring_thread, &ring) == 0);
		CHECK(moirai_os_thread_join(thread) == 0);
	}
	CHECK(ring.hops >= 4 * 50);
	for (unsigned i = 0; i < 8; i++)
		moirai__stack_put(&ring.pool, &ring.cache, ring.fibers[i]);
	moirai__stack_pool_fini(&ring.pool);
}

TAP_MAIN(TEST(control_goes_back_and_forth), TEST(callee_saved_registers_survive),
	TEST(the_entry_runs_aligned_on_the_fibers_stack_each_time_it_is_armed),
	TEST(fibers_switch_among_themselves_and_between_threads))
