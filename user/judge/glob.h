/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Does a function go by this name?  The one meaning of GLOB on the command line. */
#ifndef PYTRACE_GLOB_H
#define PYTRACE_GLOB_H

#include <stdbool.h>
#include <stdint.h>

/*
 * True if `glob` (fnmatch(3) syntax) matches any of
 *   the qualified name		"Cart.total"
 *   its last component		"total"
 *   module.qualname		"shop.cart.Cart.total", "cart.Cart.total"
 *   file:function		"cart.py:Cart.total", "shop/cart.py:total"
 *   file:line			"cart.py:41", the function's first line
 * Modules and files are told by any suffix of the path, as we do not know where
 * sys.path begins.  An empty name never matches.
 */
bool glob_matches(const char *glob, const char *function, const char *file, uint32_t line);

/* "total" of "Cart.total"; points into `function`. */
const char *last_component(const char *function);
/* "cart.py" of "/srv/shop/cart.py"; points into `file`. */
const char *file_base(const char *file);

#endif
