/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a probe site is like, learned from its hits: which register holds the
 * interpreter's frame there (reading memory is most of what a hit costs), and whether
 * an exit site stands before or after the frame is taken off the thread state.
 */
#ifndef PYTRACE_SITE_BPF_H
#define PYTRACE_SITE_BPF_H

#include "common.bpf.h"

#define REGISTER_VOTES 64

/* Callee-saved ones first: compilers keep the frame there. */
/* clang-format off */
#define EACH_REGISTER(X)                                                                           \
	X(0, bx) X(1, bp) X(2, r12) X(3, r13) X(4, r14) X(5, r15) X(6, di) X(7, si)                \
	X(8, dx) X(9, cx) X(10, ax) X(11, r8) X(12, r9) X(13, r10) X(14, r11)
/* clang-format on */

static __always_inline struct site_votes *site_of(u64 cookie)
{
	u32 index = SITE_COOKIE_BUILD(cookie) * SITE_MAX + SITE_COOKIE_SITE(cookie);

	return bpf_map_lookup_elem(&site_votes, &index);
}

/* The frame by the register that holds it at this site, 0 if that is not known (yet). */
static __always_inline u64 site_frame(struct pt_regs *ctx, const struct site_votes *site)
{
	u64 frame = 0;

	if (!site)
		return 0;
	/* the asm keeps the loads apart: one at a computed offset is not allowed */
	switch (site->frame_register) {
#define X(index, name)                                                                             \
	case (index) + 1:                                                                          \
		frame = ctx->name;                                                                 \
		asm volatile("/* register %1 */" : "+r"(frame) : "i"(index));                      \
		break;
		EACH_REGISTER(X)
#undef X
	}
	return frame;
}

/* 1 if a == b, without a branch: fifteen of them would be 32768 paths to verify. */
static __always_inline u64 equal_bit(u64 a, u64 b)
{
	u64 difference = a ^ b, borrow = difference - 1;

	barrier_var(borrow);
	borrow &= ~difference;
	barrier_var(borrow);
	return borrow >> 63;
}

/*
 * A hit whose frame is known for sure: which registers hold it?  The first hits may all have been
 * alike, and another register have held it by chance: one that proves wrong is dropped.
 */
static __always_inline void site_learn(struct pt_regs *ctx, struct site_votes *site, u64 frame)
{
	u64 registers = 0, lowest;

	if (!site || (site->matches >= REGISTER_VOTES && !site->frame_register) ||
	    site_frame(ctx, site) == frame)
		return;
#define X(index, name) registers |= equal_bit(ctx->name, frame) << (index);
	EACH_REGISTER(X)
#undef X
	if (site->matches)
		registers &= site->registers;
	site->registers = registers;
	if (site->matches < REGISTER_VOTES && ++site->matches < REGISTER_VOTES)
		return;
	for (lowest = 0; lowest < 15; lowest++)
		if (registers >> lowest & 1)
			break;
	if (!registers && site->frame_register)
		site->matches = 0; /* all anew */
	site->frame_register = registers ? lowest + 1 : 0;
}

/* Votes of an exit site; returns whether it is an early one, without any `otherwise`. */
__noinline int site_is_early(struct site_votes *site, u32 own_current, u32 below_current,
			     u32 otherwise)
{
	if (!own_current && !below_current && !(site && site->early + site->late))
		return otherwise;
	if (!site)
		return own_current;
	if (site->early + site->late < SITE_VOTES) {
		site->early += own_current;
		site->late += below_current;
	}
	/* a shim's exit at a late site looks like an early one, but never outnumbers */
	return site->early > 2 * site->late;
}

#endif
