/* SPDX-License-Identifier: MIT */
/* Hashes as bytes and digits, in xxHash's canonical (big endian) form. */
#include <moirai/utils/hash.h>

#include <errno.h>

void moirai_hash64_bytes(uint64_t hash, unsigned char bytes[8])
{
	for (int i = 7; i >= 0; i--, hash >>= 8)
		bytes[i] = (unsigned char)hash;
}

void moirai_hash128_bytes(moirai_hash128 hash, unsigned char bytes[16])
{
	moirai_hash64_bytes(hash.high, bytes);
	moirai_hash64_bytes(hash.low, bytes + 8);
}

void moirai_hash64_hex(uint64_t hash, char text[MOIRAI_HASH64_HEX_BYTES])
{
	for (int i = 15; i >= 0; i--, hash >>= 4)
		text[i] = "0123456789abcdef"[hash & 15];
	text[16] = 0;
}

void moirai_hash128_hex(moirai_hash128 hash, char text[MOIRAI_HASH128_HEX_BYTES])
{
	moirai_hash64_hex(hash.high, text);
	moirai_hash64_hex(hash.low, text + 16);
}

static int hash_digits(const char *text, uint64_t *hash)
{
	uint64_t value = 0;
	for (int i = 0; i < 16; i++) {
		char c = text[i];
		unsigned digit;
		if (c >= '0' && c <= '9')
			digit = (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			digit = (unsigned)(c - 'a') + 10;
		else if (c >= 'A' && c <= 'F')
			digit = (unsigned)(c - 'A') + 10;
		else
			return -EINVAL; /* the final 0 too: nothing is read behind it */
		value = value << 4 | digit;
	}
	*hash = value;
	return 0;
}

int moirai_hash64_parse(const char *text, uint64_t *hash)
{
	uint64_t value;
	if (!text || !hash || hash_digits(text, &value) < 0 || text[16])
		return -EINVAL;
	*hash = value;
	return 0;
}

int moirai_hash128_parse(const char *text, moirai_hash128 *hash)
{
	moirai_hash128 value;
	if (!text || !hash || hash_digits(text, &value.high) < 0 ||
		hash_digits(text + 16, &value.low) < 0 || text[32])
		return -EINVAL;
	*hash = value;
	return 0;
}
