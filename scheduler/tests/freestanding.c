/* SPDX-License-Identifier: MIT */
/*
 * The queues without a libc and without an operating system: they are pure algorithms. Whoever embeds
 * them brings memory, a way to let others run and a panic; this program does, and runs a deque, a
 * yield queue and the arithmetic of utils over them. Linked with -nostdlib, no symbol may stay open.
 */
#include "../src/deque.c"
#include "../src/yield_queue.c"
#include <moirai/core/os.h>
#include <moirai/utils/bits.h>

/* What an embedder brings. */
static unsigned char arena[1 << 16];
static size_t used;

void *moirai_alloc(size_t size_bytes)
{
	size_t at = (used + 15) & ~(size_t)15;
	if (size_bytes > sizeof(arena) - at)
		return NULL;
	used = at + size_bytes;
	return arena + at;
}

void *moirai_alloc_aligned(size_t size_bytes, size_t alignment)
{
	used = (used + alignment - 1) & ~(alignment - 1);
	return moirai_alloc(size_bytes);
}

void *moirai_alloc_zeroed(size_t count, size_t size_bytes)
{
	return moirai_alloc(count * size_bytes); /* the arena is zeroed and never reused */
}

void moirai_free(void *pointer)
{
	(void)pointer;
}

void moirai_os_yield(void)
{
	moirai_cpu_relax();
}

void moirai_panic(const char *file, int line, const char *what)
{
	(void)file, (void)line, (void)what;
	__builtin_trap();
}

/* Compilers may call these for structures even without a libc. */
void *memset(void *to, int value, size_t n)
{
	for (volatile unsigned char *p = to; n--;)
		*p++ = (unsigned char)value;
	return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	const unsigned char *q = from;
	for (volatile unsigned char *p = to; n--;)
		*p++ = *q++;
	return to;
}

void _start(void)
{
	static struct moirai__deque deque;
	static struct moirai__yield_queue yielders;
	MOIRAI_ASSERT(moirai__deque_push(&deque, 2) == 0);
	MOIRAI_ASSERT(moirai__deque_push(&deque, 4) == 0);
	MOIRAI_ASSERT(moirai__deque_pop(&deque) == 4);
	MOIRAI_ASSERT(moirai__yield_queue_push(&yielders, 3) == 0);
	MOIRAI_ASSERT(moirai__yield_queue_pop(&yielders) == 3);
	MOIRAI_ASSERT(moirai_pow2_ceil(5) == 8);
	for (;;)
		moirai_cpu_relax();
}
