/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Walking runtime -> interpreters -> thread states from outside. */
#include "threads.h"

#include "memory.h"

#define MAX_INTERPRETERS 64
#define MAX_THREADS 16384

int process_threads(pid_t tgid, const struct py_layout *layout, uint64_t runtime,
		    void (*each)(void *arg, uint64_t thread_id, uint64_t tstate), void *arg)
{
	uint64_t interp, tstate, id;
	int count = 0, interpreters = 0;
	int err = memory_read_u64(tgid, runtime + layout->runtime_interpreters_head, &interp);

	while (!err && interp && interpreters++ < MAX_INTERPRETERS) {
		err = memory_read_u64(tgid, interp + layout->interp_threads_head, &tstate);
		while (!err && tstate && count < MAX_THREADS) {
			err = memory_read_u64(tgid, tstate + layout->ts_thread_id, &id);
			if (err)
				break;
			each(arg, id, tstate);
			count++;
			err = memory_read_u64(tgid, tstate + layout->ts_next, &tstate);
		}
		if (!err)
			err = memory_read_u64(tgid, interp + layout->interp_next, &interp);
	}
	return count ? count : err;
}
