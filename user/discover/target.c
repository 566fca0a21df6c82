/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "target.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "target_text.h"

#define TCP_LISTEN 10 /* include/net/tcp_states.h */

/*
 * "0100007F:1538" as /proc/net/tcp and tcp6 have it, into the key: the address as 32-bit words of
 * the host's order, then the port.
 */
static bool parse_address(const char *hex, bool six, struct target_key *key)
{
	uint32_t words[4] = {0};
	unsigned int port;
	int n = 0;

	for (int i = 0; i < (six ? 4 : 1); i++, hex += n)
		if (sscanf(hex, "%8" SCNx32 "%n", &words[i], &n) != 1 || n != 8)
			return false;
	if (sscanf(hex, ":%4X", &port) != 1)
		return false;
	memcpy(key->id, words, sizeof(words));
	key->port = htons(port);
	return true;
}

/* One line of /proc/TGID/net/{tcp,udp}[6]: is it this socket, and who is its peer? */
static char *inet_target(const char *line, bool six, bool udp, uint64_t inode)
{
	struct record_target record = {
		.key = {.kind = six ? TARGET_INET6 : TARGET_INET, .flags = udp ? TARGET_UDP : 0},
	};
	struct target_key *key = &record.key;
	char local[80], remote[80];
	unsigned int state;
	uint64_t found;

	if (sscanf(line, " %*d: %79s %79s %x %*s %*s %*s %*s %*s %" SCNu64, local, remote, &state,
		   &found) != 4 ||
	    found != inode || !parse_address(remote, six, key))
		return NULL;
	if (!key->port) {
		key->flags |= !udp && state == TCP_LISTEN ? TARGET_LISTENS : TARGET_LOCAL;
		if (!parse_address(local, six, key))
			return NULL;
	}
	return target_text(&record);
}

/* One line of /proc/TGID/net/unix. */
static char *unix_target(const char *line, uint64_t inode)
{
	uint64_t found;
	char *text;
	int at = 0;

	if (sscanf(line, "%*x: %*x %*x %*x %*x %*x %" SCNu64 " %n", &found, &at) < 1 ||
	    found != inode)
		return NULL;
	if (!at || !line[at] || line[at] == '\n')
		return strdup("unix socket");
	return asprintf(&text, "unix:%.*s", (int)strcspn(line + at, "\n"), line + at) < 0 ? NULL
											  : text;
}

static char *socket_target(pid_t tgid, uint64_t inode)
{
	static const char *const tables[] = {"tcp", "tcp6", "unix", "udp", "udp6"};
	char *line = NULL, *found = NULL;
	size_t size = 0;

	for (size_t i = 0; !found && i < sizeof(tables) / sizeof(*tables); i++) {
		const char *table = tables[i];
		char path[64];
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%d/net/%s", tgid, table);
		file = fopen(path, "re");
		while (file && !found && getline(&line, &size, file) > 0)
			found = table[0] == 'u' && table[1] == 'n'
					? unix_target(line, inode)
					: inet_target(line, strchr(table, '6') != NULL,
						      table[0] == 'u', inode);
		if (file)
			fclose(file);
	}
	free(line);
	return found ?: strdup("socket");
}

char *fd_target(pid_t tgid, int fd)
{
	char path[64], link[4096];
	uint64_t inode;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", tgid, fd);
	n = readlink(path, link, sizeof(link) - 1);
	if (n <= 0)
		return NULL;
	link[n] = '\0';
	if (sscanf(link, "socket:[%" SCNu64 "]", &inode) == 1)
		return socket_target(tgid, inode);
	if (!strncmp(link, "pipe:[", 6))
		return strdup("pipe");
	if (!strncmp(link, "anon_inode:", 11)) {
		link[strcspn(link, "]")] = '\0';
		return strdup(link + 11 + (link[11] == '['));
	}
	return strdup(link);
}

unsigned long epoll_members(pid_t tgid, int fd)
{
	char path[64], *line = NULL;
	unsigned long count = 0;
	size_t size = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", tgid, fd);
	file = fopen(path, "re");
	while (file && getline(&line, &size, file) > 0)
		count += !strncmp(line, "tfd:", 4);
	free(line);
	if (file)
		fclose(file);
	return count;
}
