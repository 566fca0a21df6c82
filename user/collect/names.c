/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* CPython's compact strings (1, 2 or 4 bytes a character) to UTF-8. */
#include "names.h"

#include <string.h>

static size_t utf8_encode(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = 0xc0 | c >> 6;
		out[1] = 0x80 | (c & 0x3f);
		return 2;
	}
	if (c < 0x10000) {
		out[0] = 0xe0 | c >> 12;
		out[1] = 0x80 | (c >> 6 & 0x3f);
		out[2] = 0x80 | (c & 0x3f);
		return 3;
	}
	out[0] = 0xf0 | c >> 18;
	out[1] = 0x80 | (c >> 12 & 0x3f);
	out[2] = 0x80 | (c >> 6 & 0x3f);
	out[3] = 0x80 | (c & 0x3f);
	return 4;
}

static uint32_t code_point(const uint8_t *at, int kind)
{
	uint32_t c = 0;

	memcpy(&c, at, kind); /* little-endian, as the target is */
	if (!c || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0xfffd;
	return c;
}

void name_decode(const uint8_t *data, size_t data_size, size_t chars, int kind, char *out,
		 size_t out_size)
{
	size_t used = 0;

	if (kind != 1 && kind != 2 && kind != 4)
		chars = 0;
	for (size_t i = 0; i < chars && (i + 1) * kind <= data_size; i++) {
		char bytes[4];
		size_t n = utf8_encode(code_point(data + i * kind, kind), bytes);

		if (used + n >= out_size)
			break;
		memcpy(out + used, bytes, n);
		used += n;
	}
	out[used] = '\0';
}
