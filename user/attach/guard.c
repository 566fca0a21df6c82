/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "guard.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <bpf/libbpf.h>

struct guard {
	pthread_t thread;
	struct ring_buffer *ring;
	int over; /* eventfd */
	alarm_fn fn;
	void *arg;
};

static int on_alarm(void *arg, void *data, size_t size)
{
	const struct guard *guard = arg;

	if (size >= sizeof(struct record_alarm))
		guard->fn(guard->arg, data);
	return 0;
}

static void *guard_main(void *arg)
{
	struct guard *guard = arg;
	struct sched_param lowest = {.sched_priority = 1};
	struct pollfd fds[] = {
		{.fd = ring_buffer__epoll_fd(guard->ring), .events = POLLIN},
		{.fd = guard->over, .events = POLLIN},
	};

	/* where that is not allowed it has the main loop's priority */
	pthread_setschedparam(pthread_self(), SCHED_RR, &lowest);
	while (poll(fds, 2, -1) >= 0 || errno == EINTR) {
		if (fds[1].revents)
			break;
		ring_buffer__consume(guard->ring);
	}
	return NULL;
}

struct guard *guard__new(int alarms, alarm_fn fn, void *arg)
{
	struct guard *guard = calloc(1, sizeof(*guard));
	sigset_t all, before;
	int err;

	if (!guard)
		return NULL;
	guard->fn = fn;
	guard->arg = arg;
	guard->over = eventfd(0, EFD_CLOEXEC);
	guard->ring = ring_buffer__new(alarms, on_alarm, guard, NULL);
	if (guard->over < 0 || !guard->ring)
		goto no_thread;
	/* signals are for the main loop, whose sleep they end */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&guard->thread, NULL, guard_main, guard);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!err)
		return guard;

no_thread:
	ring_buffer__free(guard->ring);
	if (guard->over >= 0)
		close(guard->over);
	free(guard);
	return NULL;
}

void guard__free(struct guard *guard)
{
	if (!guard)
		return;
	eventfd_write(guard->over, 1);
	pthread_join(guard->thread, NULL);
	ring_buffer__free(guard->ring);
	close(guard->over);
	free(guard);
}
