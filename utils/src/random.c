/* SPDX-License-Identifier: MIT */
#include <moirai/utils/random.h>

#include <string.h>

#include <moirai/core/os.h>

void moirai_random_init(moirai_random *random, uint64_t seed)
{
	/* splitmix64 gives each word once, so the four are never all zero (the one bad state). */
	for (int i = 0; i < 4; i++)
		random->s_[i] = moirai_splitmix64(&seed);
}

void moirai_random_init_system(moirai_random *random)
{
	uint64_t seed = 0;
	if (moirai_os_random(random->s_, sizeof(random->s_)) == 0 &&
		(random->s_[0] | random->s_[1] | random->s_[2] | random->s_[3]))
		return;
	seed = moirai_mix64(moirai_os_clock()) ^ moirai_mix64(moirai_os_thread_id()) ^
	       moirai_mix64((uintptr_t)random) ^ moirai_os_ticks();
	moirai_random_init(random, seed);
}

void moirai_random_jump(moirai_random *random)
{
	/* The polynomial x^(2^128) modulo the generator's, from the authors' reference code. */
	static const uint64_t jump[4] = {0x180EC6D33CFD0ABAull, 0xD5A61266F0C9392Cull,
		0xA9582618E03FC9AAull, 0x39ABDC4529B1661Cull};
	uint64_t sum[4] = {0};
	for (int word = 0; word < 4; word++) {
		for (int bit = 0; bit < 64; bit++) {
			if (jump[word] >> bit & 1)
				for (int i = 0; i < 4; i++)
					sum[i] ^= random->s_[i];
			moirai_random_next(random);
		}
	}
	memcpy(random->s_, sum, sizeof(sum));
}

uint64_t moirai__random_below_slow(
	moirai_random *random, uint64_t bound, uint64_t product_low, uint64_t product_high)
{
	if (bound == 0)
		return 0;
	/* Of the 2^64 products, the lowest (2^64 mod bound) of each residue are one too many. */
	uint64_t excess = -bound % bound;
	while (product_low < excess) {
		uint64_t x = moirai_random_next(random);
		product_low = x * bound;
		product_high = moirai_mulhi64(x, bound);
	}
	return product_high;
}

void moirai_random_fill(moirai_random *random, void *buffer, size_t size_bytes)
{
	unsigned char *p = buffer;
	for (size_t i = 0; i < size_bytes; i += 8) {
		uint64_t x = moirai_random_next(random);
		for (size_t j = i; j < size_bytes && j < i + 8; j++, x >>= 8)
			p[j] = (unsigned char)x; /* little endian, on every target */
	}
}

static void random_swap(unsigned char *a, unsigned char *b, size_t size_bytes)
{
	unsigned char piece[64];
	while (size_bytes > 0) {
		size_t n = size_bytes < sizeof(piece) ? size_bytes : sizeof(piece);
		memcpy(piece, a, n);
		memcpy(a, b, n);
		memcpy(b, piece, n);
		a += n;
		b += n;
		size_bytes -= n;
	}
}

void moirai_random_shuffle(moirai_random *random, void *elements, size_t count, size_t size_bytes)
{
	unsigned char *base = elements;
	for (size_t i = count; i > 1; i--) {
		size_t j = (size_t)moirai_random_below(random, i);
		if (j != i - 1)
			random_swap(base + j * size_bytes, base + (i - 1) * size_bytes, size_bytes);
	}
}
