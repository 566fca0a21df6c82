/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Two threads of C that ask each other over a socket: in a Python process, but without Python. */
#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

struct asker {
	int fd;
	long times;
};

static void *ask(void *arg)
{
	struct asker *asker = arg;
	char byte = 'x';

	while (asker->times > 0 && write(asker->fd, &byte, 1) == 1 &&
	       read(asker->fd, &byte, 1) == 1)
		asker->times--;
	close(asker->fd);
	return NULL;
}

static void *answer(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char byte;

	while (read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1)
		;
	close(fd);
	return NULL;
}

/* So many times.  0, or -1 if it did not come to that. */
int native_pair(long times)
{
	struct asker asker = {.times = times};
	pthread_t threads[2];
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends))
		return -1;
	asker.fd = ends[0];
	if (pthread_create(&threads[0], NULL, answer, (void *)(intptr_t)ends[1]))
		return -1;
	if (pthread_create(&threads[1], NULL, ask, &asker))
		close(asker.fd);
	else
		pthread_join(threads[1], NULL);
	pthread_join(threads[0], NULL);
	return asker.times ? -1 : 0;
}
