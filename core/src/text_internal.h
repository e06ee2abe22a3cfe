/* SPDX-License-Identifier: MIT */
/* UTF-8, for those who write text for others to read. */
#ifndef MOIRAI_CORE_SRC_TEXT_INTERNAL_H
#define MOIRAI_CORE_SRC_TEXT_INTERNAL_H

#include <stddef.h>

/* Bytes of the UTF-8 character at text, 0 when it is none (overlong, surrogate, cut, too large). */
static inline size_t text_utf8(const unsigned char *text, size_t size)
{
	unsigned char lead = text[0];
	if (lead < 0x80)
		return 1;
	size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
	if (lead < 0xc2 || lead > 0xf4 || length > size)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	if ((lead == 0xe0 && text[1] < 0xa0) || (lead == 0xed && text[1] > 0x9f) ||
		(lead == 0xf0 && text[1] < 0x90) || (lead == 0xf4 && text[1] > 0x8f))
		return 0;
	return length;
}

#endif
