/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Numbers as people read them.  Each fills a buffer of UNIT_BYTES and returns it. */
#ifndef PYTRACE_UNITS_H
#define PYTRACE_UNITS_H

#include <stdint.h>

#define UNIT_BYTES 24

/* Nanoseconds to three digits: "812 ns", "5.07 ms", "12.3 s", "16.7 min"; NaN: "-". */
const char *format_duration(char *buffer, double ns);
/* To three digits: "812", "12.3 k", "4.56 M". */
const char *format_about(char *buffer, double count);
/* "512 B", "33.9 MB" (powers of 1000, as in the JSON's neighbours). */
const char *format_bytes(char *buffer, double bytes);
/* A share (0 to 1) as per cent: "0 %", "<0.1 %", "4.3 %", "97 %". */
const char *format_share(char *buffer, double share);

#endif
