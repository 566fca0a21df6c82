/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Threads that close what they are handed: see closer.h. */
#include "closer.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Those that wait at the same time wait for the same: eighty links go in half a second. */
#define CLOSERS 16

struct closer {
	pthread_t threads[CLOSERS];
	size_t thread_count;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	int *fds;
	size_t count;
	bool over;
};

static void *closer_main(void *arg)
{
	struct closer *closer = arg;
	int fd;

	pthread_mutex_lock(&closer->lock);
	for (;;) {
		if (closer->count) {
			fd = closer->fds[--closer->count];
			pthread_mutex_unlock(&closer->lock);
			close(fd);
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

	if (!closer)
		return NULL;
	pthread_mutex_init(&closer->lock, NULL);
	pthread_cond_init(&closer->wake, NULL);
	/* signals are for the main loop, whose sleep they end */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (closer->thread_count < CLOSERS &&
	       !pthread_create(&closer->threads[closer->thread_count], NULL, closer_main, closer))
		closer->thread_count++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (closer->thread_count)
		return closer;
	closer__free(closer);
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
		if (count > 1)
			pthread_cond_broadcast(&closer->wake);
		else
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
	pthread_cond_broadcast(&closer->wake);
	pthread_mutex_unlock(&closer->lock);
	while (closer->thread_count)
		pthread_join(closer->threads[--closer->thread_count], NULL);
	free(closer->fds);
	pthread_mutex_destroy(&closer->lock);
	pthread_cond_destroy(&closer->wake);
	free(closer);
}
