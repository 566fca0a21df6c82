/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The numbers behind a verdict. */
#ifndef PYTRACE_TEXT_EXPLAIN_H
#define PYTRACE_TEXT_EXPLAIN_H

#include "../judge/limit.h"
#include "screen.h"

/* What it means, what to do next, the evidence, and every rule.  0 or -ENOMEM. */
int text_explain(const struct screen *screen, const struct limit *limit);

#endif
