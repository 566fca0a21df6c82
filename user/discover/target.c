/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "target.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "target_text.h"
#include "unix_peer.h"

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

/* Ports that are listened to, a bit each. */
struct ports {
	uint8_t bits[65536 / 8];
};

/*
 * One line of /proc/TGID/net/{tcp,udp}[6]: is it this socket, and who is its peer?  Those that
 * listen come first: what has the port of one was accepted.
 */
static bool inet_line(const char *line, uint64_t inode, struct ports *listening,
		      struct target_key *key)
{
	bool six = key->kind == TARGET_INET6, udp = key->flags & TARGET_UDP;
	char local[80], remote[80];
	struct target_key own = {0};
	unsigned int state, port;
	uint64_t found;

	if (sscanf(line, " %*d: %79s %79s %x %*s %*s %*s %*s %*s %" SCNu64, local, remote, &state,
		   &found) != 4 ||
	    !parse_address(local, six, &own))
		return false;
	port = ntohs(own.port);
	if (!udp && state == TCP_LISTEN)
		listening->bits[port / 8] |= 1u << port % 8;
	if (found != inode || !parse_address(remote, six, key))
		return false;
	if (!key->port) {
		key->flags |= !udp && state == TCP_LISTEN ? TARGET_LISTENS : TARGET_LOCAL;
		memcpy(key->id, own.id, sizeof(own.id));
		key->port = own.port;
	} else if (listening->bits[port / 8] >> port % 8 & 1) {
		key->flags |= TARGET_ACCEPTED;
		key->number = port;
		key->port = 0;
	}
	return true;
}

static char *inet_target(pid_t tgid, const char *table, uint64_t inode, struct target_key *key)
{
	struct record_target record = {
		.key = {.kind = strchr(table, '6') ? TARGET_INET6 : TARGET_INET,
			.flags = table[0] == 'u' ? TARGET_UDP : 0},
	};
	struct ports listening = {{0}};
	char path[64], *line = NULL;
	bool found = false;
	size_t size = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/net/%s", tgid, table);
	file = fopen(path, "re");
	while (file && !found && getline(&line, &size, file) > 0)
		found = inet_line(line, inode, &listening, &record.key);
	free(line);
	if (file)
		fclose(file);
	if (!found)
		return NULL;
	*key = record.key;
	return target_text(&record);
}

#define SO_ACCEPTCON_FLAG 0x10000 /* __SO_ACCEPTCON, include/uapi/linux/net.h */

/* A unix socket as /proc/TGID/net/unix has it. */
struct unix_found {
	char *name; /* "" if it has none; malloc'd */
	bool listens;
};

/* False: it is not among those of the process's network namespace. */
static bool unix_find(pid_t tgid, uint64_t inode, struct unix_found *out)
{
	char path[64], *line = NULL;
	bool found = false;
	size_t size = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/net/unix", tgid);
	file = fopen(path, "re");
	while (file && !found && getline(&line, &size, file) > 0) {
		unsigned int flags;
		uint64_t number;
		int at = 0;

		if (sscanf(line, "%*x: %*x %*x %x %*x %*x %" SCNu64 " %n", &flags, &number, &at) <
			    2 ||
		    number != inode)
			continue;
		found = true;
		out->listens = flags & SO_ACCEPTCON_FLAG;
		out->name = at ? strndup(line + at, strcspn(line + at, "\n")) : strdup("");
	}
	free(line);
	if (file)
		fclose(file);
	return found && out->name;
}

/* The peer's name; of one that was accepted, or listens, its own. */
static char *unix_target(pid_t tgid, uint64_t inode, struct target_key *key)
{
	struct unix_found own, peer = {.name = NULL};
	uint64_t other;
	const char *name;
	char *text;

	if (!unix_find(tgid, inode, &own))
		return NULL;
	key->kind = TARGET_UNIX;
	key->flags = own.listens ? TARGET_LISTENS : 0;
	other = own.listens ? 0 : unix_peer(tgid, inode);
	/* it may be in another network namespace, such as ours */
	if (other && !unix_find(tgid, other, &peer))
		(void)unix_find(getpid(), other, &peer);
	name = peer.name && peer.name[0] ? peer.name : own.name;
	if (asprintf(&text, "%sunix%s%s", own.listens ? "listening on " : "",
		     name[0] ? ":" : " socket", name) < 0)
		text = NULL;
	free(own.name);
	free(peer.name);
	return text;
}

static char *socket_target(pid_t tgid, uint64_t inode, struct target_key *key)
{
	static const char *const tables[] = {"tcp", "tcp6", "unix", "udp", "udp6"};
	char *found = NULL;

	for (size_t i = 0; !found && i < sizeof(tables) / sizeof(*tables); i++)
		found = !strcmp(tables[i], "unix") ? unix_target(tgid, inode, key)
						   : inet_target(tgid, tables[i], inode, key);
	return found ?: strdup("socket");
}

char *fd_target(pid_t tgid, int fd, struct target_key *key)
{
	char path[64], link[4096];
	uint64_t inode;
	ssize_t n;

	*key = (struct target_key){.kind = TARGET_NONE};
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", tgid, fd);
	n = readlink(path, link, sizeof(link) - 1);
	if (n <= 0)
		return NULL;
	link[n] = '\0';
	if (sscanf(link, "socket:[%" SCNu64 "]", &inode) == 1)
		return socket_target(tgid, inode, key);
	if (!strncmp(link, "pipe:[", 6))
		return strdup("pipe");
	if (!strncmp(link, "anon_inode:", 11)) {
		link[strcspn(link, "]")] = '\0';
		return strdup(link + 11 + (link[11] == '['));
	}
	return strdup(link);
}

#define FEW_MEMBERS 2

/* An epoll instance: how many descriptors, and the first of them (member_of()). */
struct epoll_found {
	unsigned long members;
	int first[FEW_MEMBERS];
};

/* The descriptor that a line of fdinfo tells of; -1: none, or it is of another file by now. */
static int member_of(pid_t tgid, const char *line)
{
	uint64_t inode;
	char path[64];
	struct stat st;
	int fd;

	if (sscanf(line, "tfd: %d events: %*x data: %*x pos:%*d ino:%" SCNx64, &fd, &inode) != 2)
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", tgid, fd);
	return !stat(path, &st) && st.st_ino == inode ? fd : -1;
}

static struct epoll_found epoll_find(pid_t tgid, int fd)
{
	struct epoll_found found = {.members = 0};
	char path[64], *line = NULL;
	size_t size = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", tgid, fd);
	file = fopen(path, "re");
	while (file && getline(&line, &size, file) > 0) {
		if (strncmp(line, "tfd:", 4) != 0)
			continue;
		if (found.members < FEW_MEMBERS)
			found.first[found.members] = member_of(tgid, line);
		found.members++;
	}
	free(line);
	if (file)
		fclose(file);
	return found;
}

unsigned long epoll_members(pid_t tgid, int fd)
{
	return epoll_find(tgid, fd).members;
}

static bool is_inet(const struct target_key *key)
{
	return key->kind == TARGET_INET || key->kind == TARGET_INET6;
}

/* Somebody it has connected to, as far as that is known. */
static bool is_peer(const struct target_key *key)
{
	return (is_inet(key) || key->kind == TARGET_UNIX) &&
	       !(key->flags & (TARGET_LISTENS | TARGET_ACCEPTED | TARGET_LOCAL));
}

char *epoll_target(pid_t tgid, int fd, bool *alone)
{
	struct epoll_found found = epoll_find(tgid, fd);
	struct target_key keys[FEW_MEMBERS];
	char *texts[FEW_MEMBERS] = {NULL}, *text = NULL;

	*alone = false;
	if (!found.members || found.members > FEW_MEMBERS)
		return NULL;
	for (unsigned long i = 0; i < found.members; i++)
		texts[i] = fd_target(tgid, found.first[i], &keys[i]);
	if (found.members == 1) {
		*alone = is_peer(&keys[0]);
		return texts[0];
	}
	if (texts[0] && texts[1] && is_inet(&keys[0]) != is_inet(&keys[1])) {
		int which = is_inet(&keys[1]);

		text = texts[which];
		texts[which] = NULL;
	}
	free(texts[0]);
	free(texts[1]);
	return text;
}
