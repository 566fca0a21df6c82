/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Base-2 exponential histogram buckets, eight an octave (OpenTelemetry scale 3,
 * Prometheus native schema 3).  Bucket i of our arrays is OTel's bucket
 * BUCKET_FIRST + i: it holds durations in (2^(k/8), 2^((k+1)/8)] seconds with
 * k = BUCKET_FIRST + i.  The two ends are open: the first bucket also takes
 * everything shorter, the last everything longer.
 *
 * bucket_upper_ns[] is those upper bounds in nanoseconds, rounded down, so that
 * "ns <= bound" on integers means the same as on reals.
 */
#ifndef PYTRACE_BUCKETS_H
#define PYTRACE_BUCKETS_H

#include <linux/types.h>

#define BUCKET_SCALE 3
#define BUCKET_FIRST (-184) /* 2^-23 s = 119 ns */
#define BUCKET_COUNT 288    /* up to 2^13 s = 2.3 hours */

#define BUCKET_TABLE 512 /* the table is padded: an index needs only a mask */

#include "buckets_table.h"

/*
 * 1 if a > b, else 0, for values below 2^63: without a branch, because each
 * branch doubles the paths the BPF verifier has to walk.
 */
static inline __u64 bucket_above(__u64 a, __u64 b)
{
	return (b - a) >> 63;
}

/* The bucket of a duration in nanoseconds, 0 to BUCKET_COUNT - 1. */
static inline __u32 bucket_of(__u64 ns)
{
	__u64 value = ns >> 63 ? ~0ull >> 1 : ns, rest = value, bit = 0, bucket, step;

	for (int half = 32; half; half >>= 1) { /* index of the highest set bit */
		step = bucket_above(rest, (1ull << half) - 1) * half;
		rest >>= step;
		bit += step;
	}
	/*
	 * The empty asm hides the ranges from the compiler, which else drops the masks
	 * as needless; the verifier needs them.
	 */
	__asm__ volatile("" : "+r"(bit));
	/* a power of two of nanoseconds spans at most nine buckets: skip those too short */
	bucket = bucket_first_of_msb[bit & 63];
	for (int i = 0; i < 9; i++) {
		__asm__ volatile("" : "+r"(bucket));
		bucket += bucket_above(value, bucket_upper_ns[bucket % BUCKET_TABLE]);
	}
	return bucket < BUCKET_COUNT ? bucket : BUCKET_COUNT - 1;
}

#endif
