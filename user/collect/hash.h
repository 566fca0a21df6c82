/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What is done with every hash of totals: uthash's `hh` is their handle. */
#ifndef PYTRACE_COLLECT_HASH_H
#define PYTRACE_COLLECT_HASH_H

#include <stdlib.h>

#include <uthash.h>

/* Takes every entry out of a hash, doing `free_entry` with each. */
#define EMPTY(head, free_entry)                                                                    \
	do {                                                                                       \
		__typeof__(head) _entry, _next;                                                    \
		HASH_ITER(hh, head, _entry, _next)                                                 \
		{                                                                                  \
			HASH_DEL(head, _entry);                                                    \
			free_entry(_entry);                                                        \
		}                                                                                  \
	} while (0)

/* The entry of a hash with that key, made if it is new; NULL without memory. */
#define FIND_OR_MAKE(head, field, wanted)                                                          \
	({                                                                                         \
		__typeof__(head) _entry = NULL;                                                    \
		HASH_FIND(hh, head, wanted, sizeof(*(wanted)), _entry);                            \
		if (!_entry) {                                                                     \
			_entry = calloc(1, sizeof(*_entry));                                       \
			if (_entry) {                                                              \
				_entry->field = *(wanted);                                         \
				HASH_ADD(hh, head, field, sizeof(_entry->field), _entry);          \
			}                                                                          \
		}                                                                                  \
		_entry;                                                                            \
	})

#endif
