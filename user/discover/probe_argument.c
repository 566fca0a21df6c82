/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* See probe_argument.h.  The operands are those of the assembler (AT&T): $1, %eax, -8(%rbp). */
#include "probe_argument.h"

#include <errno.h>
#include <asm/ptrace.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define WIDTHS 4

/* A register by its names of 8, 4, 2 and 1 bytes. */
static const struct {
	const char *names[WIDTHS];
	uint16_t at;
} registers[] = {
#define LEGACY(x)                                                                                  \
	{                                                                                          \
		{"r" #x, "e" #x, #x, NULL}, offsetof(struct pt_regs, r##x)                         \
	}
#define BYTED(x, low)                                                                              \
	{                                                                                          \
		{"r" #x, "e" #x, #x, low}, offsetof(struct pt_regs, r##x)                          \
	}
#define NUMBERED(x)                                                                                \
	{                                                                                          \
		{#x, #x "d", #x "w", #x "b"}, offsetof(struct pt_regs, x)                          \
	}
	BYTED(ax, "al"),  BYTED(bx, "bl"),  BYTED(cx, "cl"), BYTED(dx, "dl"),
	BYTED(si, "sil"), BYTED(di, "dil"), LEGACY(bp),      LEGACY(sp),
	NUMBERED(r8),     NUMBERED(r9),     NUMBERED(r10),   NUMBERED(r11),
	NUMBERED(r12),    NUMBERED(r13),    NUMBERED(r14),   NUMBERED(r15),
#undef LEGACY
#undef BYTED
#undef NUMBERED
};

/* The register named at *text (after its '%'), and *text behind it. */
static bool parse_register(const char **text, bool whole, uint16_t *at)
{
	size_t length = strspn(*text, "abcdefghijklmnopqrstuvwxyz0123456789");

	for (size_t i = 0; i < sizeof(registers) / sizeof(*registers); i++) {
		for (int width = 0; width < (whole ? 1 : WIDTHS); width++) {
			const char *name = registers[i].names[width];

			if (!name || strlen(name) != length || memcmp(name, *text, length) != 0)
				continue;
			*at = registers[i].at;
			*text += length;
			return true;
		}
	}
	return false;
}

static bool parse_number(const char **text, int64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoll(*text, &end, 0);
	if (end == *text || errno)
		return false;
	*text = end;
	return true;
}

/* Where an operand is; false if it is none we read.  It must end with the argument. */
static bool parse_operand(const char *text, struct probe_argument *out)
{
	if (*text == '$') {
		text++;
		out->place = ARGUMENT_CONSTANT;
		if (!parse_number(&text, (int64_t *)&out->value))
			return false;
	} else if (*text == '%') {
		text++;
		out->place = ARGUMENT_REGISTER;
		if (!parse_register(&text, false, &out->at))
			return false;
	} else {
		out->place = ARGUMENT_MEMORY;
		if (*text != '(' && !parse_number(&text, (int64_t *)&out->value))
			return false;
		if (strncmp(text, "(%", 2) != 0)
			return false;
		text += 2;
		if (!parse_register(&text, true, &out->at) || *text++ != ')')
			return false;
	}
	return *text == '\0' || *text == ' ';
}

struct probe_argument probe_argument_first(const char *arguments)
{
	struct probe_argument argument = {.place = ARGUMENT_UNKNOWN};
	const struct probe_argument unknown = argument;
	int64_t bytes;

	arguments += strspn(arguments, " ");
	if (!parse_number(&arguments, &bytes) || *arguments++ != '@')
		return unknown;
	if (bytes < -8 || bytes > 8)
		return unknown;
	argument.is_signed = bytes < 0;
	bytes = bytes < 0 ? -bytes : bytes;
	if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8)
		return unknown;
	argument.bytes = bytes;
	return parse_operand(arguments, &argument) ? argument : unknown;
}
