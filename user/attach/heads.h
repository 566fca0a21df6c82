/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The stretches of memory that hold the fields the kernel side reads together. */
#ifndef PYTRACE_HEADS_H
#define PYTRACE_HEADS_H

#include <stdint.h>

#include "layout.h"

/* Fill in what is derived from the other fields. */
void layout_derive(struct py_layout *layout);

#endif
