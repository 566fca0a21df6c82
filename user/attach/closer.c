/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A thread that closes what it is handed: see closer.h. */
#include "closer.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct closer {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	int *fds;
	size_t count;
	bool over;
};

static void *closer_main(void *arg)
{
	struct closer *closer = arg;

	pthread_mutex_lock(&closer->lock);
	for (;;) {
		int *fds = closer->fds;
		size_t count = closer->count;

		if (count) {
			closer->fds = NULL;
			closer->count = 0;
			pthread_mutex_unlock(&closer->lock);
			for (size_t i = 0; i < count; i++)
				close(fds[i]);
			free(fds);
			pthread_mutex_lock(&closer->lock);
		} else if (closer->over) {
			break;
		} else {
			pthread_cond_wait(&closer->wake, &closer->lock);
		}
	}
	pthread_mutex_unlock(&closer->lock);
	return NULL;
}

struct closer *closer__new(void)
{
	struct closer *closer = calloc(1, sizeof(*closer));
	sigset_t all, before;
	int err;

	if (!closer)
		return NULL;
	pthread_mutex_init(&closer->lock, NULL);
	pthread_cond_init(&closer->wake, NULL);
	/* signals are for the main loop, whose sleep they end */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&closer->thread, NULL, closer_main, closer);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!err)
		return closer;
	free(closer);
	return NULL;
}

void closer__close(struct closer *closer, const int *fds, size_t count)
{
	int *grown;

	if (!count)
		return;
	pthread_mutex_lock(&closer->lock);
	grown = reallocarray(closer->fds, closer->count + count, sizeof(*grown));
	if (grown) {
		closer->fds = grown;
		memcpy(grown + closer->count, fds, count * sizeof(*fds));
		closer->count += count;
		pthread_cond_signal(&closer->wake);
	}
	pthread_mutex_unlock(&closer->lock);
	for (size_t i = 0; !grown && i < count; i++)
		close(fds[i]);
}

void closer__free(struct closer *closer)
{
	if (!closer)
		return;
	pthread_mutex_lock(&closer->lock);
	closer->over = true;
	pthread_cond_signal(&closer->wake);
	pthread_mutex_unlock(&closer->lock);
	pthread_join(closer->thread, NULL);
	pthread_mutex_destroy(&closer->lock);
	pthread_cond_destroy(&closer->wake);
	free(closer);
}
