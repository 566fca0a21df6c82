// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include "target_text.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "services.h"

#define CUT "…"

/* What is printed, or NULL without memory. */
__attribute__((format(printf, 1, 2))) static char *text_of(const char *format, ...)
{
	va_list arguments;
	char *text;
	int length;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	return length < 0 ? NULL : text;
}

/* The address, as it goes before a port; one of IPv4 in IPv6 as what it is. */
static bool address_text(const struct target_key *key, char *out, size_t size)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr six;
	bool mapped;

	memcpy(&six, key->id, sizeof(six));
	mapped = key->kind == TARGET_INET6 && IN6_IS_ADDR_V4MAPPED(&six);
	if (key->kind == TARGET_INET || mapped) {
		if (!inet_ntop(AF_INET, mapped ? (const void *)&six.s6_addr[12] : key->id, text,
			       sizeof(text)))
			return false;
		snprintf(out, size, "%s", text);
		return true;
	}
	if (!inet_ntop(AF_INET6, &six, text, sizeof(text)))
		return false;
	snprintf(out, size, "[%s]", text);
	return true;
}

static char *inet_text(const struct target_key *key)
{
	bool udp = key->flags & TARGET_UDP;
	unsigned int port = ntohs(key->port);
	const char *service = service_name(port, udp);
	const char *way = "", *protocol = udp ? "udp " : "";
	char address[INET6_ADDRSTRLEN + 2];

	if (!address_text(key, address, sizeof(address)))
		return NULL;
	if (key->flags & TARGET_ACCEPTED)
		return text_of("client %s of port %u", address, key->number);
	if (key->flags & TARGET_LISTENS)
		way = "listening on ";
	else if (key->flags & TARGET_LOCAL)
		way = udp ? "on " : "not connected, ";
	if (service)
		return text_of("%s%s%s:%u (%s)", protocol, way, address, port, service);
	return text_of("%s%s%s:%u", protocol, way, address, port);
}

/* Abstract names begin with a NUL and may have more of them. */
static char *unix_text(const struct record_target *record)
{
	const char *way = record->key.flags & TARGET_LISTENS ? "listening on " : "";
	char name[TARGET_NAME_BYTES + 1] = "";
	uint64_t bytes = record->key.id[1];

	if (bytes > TARGET_NAME_BYTES)
		return NULL;
	memcpy(name, record->name, bytes);
	if (bytes && !name[0])
		for (size_t i = 0; i < bytes; i++)
			if (!name[i])
				name[i] = '@';
	return text_of("%sunix%s%s", way, name[0] ? ":" : " socket", name);
}

/* The components come last first, each cut at its end if it is long. */
static char *path_text(const struct record_target *record)
{
	char text[TARGET_PARTS * (TARGET_PART_BYTES + 4) + 16];
	size_t used = 0, parts = record->parts;

	if (parts > TARGET_PARTS)
		return NULL;
	if (record->key.kind == TARGET_FIFO)
		used = snprintf(text, sizeof(text), "fifo ");
	if (record->cut)
		used += snprintf(text + used, sizeof(text) - used, CUT);
	if (!parts)
		snprintf(text + used, sizeof(text) - used, "/");
	while (parts-- > 0) {
		size_t length = strnlen(record->path[parts], TARGET_PART_BYTES - 1);
		bool whole = length < TARGET_PART_BYTES - 1;

		used += snprintf(text + used, sizeof(text) - used, "/%.*s%s", (int)length,
				 record->path[parts], whole ? "" : CUT);
	}
	return strdup(text);
}

static char *tty_text(uint32_t device)
{
	uint32_t major = device >> 20, minor = device & 0xfffff; /* include/linux/kdev_t.h */

	if (major >= 136 && major < 144) /* pseudo terminals */
		return text_of("tty /dev/pts/%u", (major - 136) * 256 + minor);
	if (major == 5)
		return text_of("tty /dev/%s", minor == 0 ? "tty" : minor == 1 ? "console" : "ptmx");
	return minor < 64 ? text_of("tty /dev/tty%u", minor)
			  : text_of("tty /dev/ttyS%u", minor - 64);
}

/* "[eventfd]", "inotify" */
static char *anon_text(const struct target_key *key)
{
	char name[2 * sizeof(key->id[0]) + 1] = "";
	char *start = name;

	memcpy(name, key->id, sizeof(name) - 1);
	if (*start == '[')
		start++;
	start[strcspn(start, "]")] = '\0';
	return strdup(*start ? start : "anonymous file");
}

static char *socket_text(uint32_t family)
{
	switch (family) {
	case AF_NETLINK:
		return strdup("netlink");
	case AF_PACKET:
		return strdup("packet socket");
	case AF_VSOCK:
		return strdup("vsock");
	case AF_ALG:
		return strdup("kernel crypto socket");
	}
	return text_of("socket of family %u", family);
}

char *target_text(const struct record_target *record)
{
	const struct target_key *key = &record->key;
	char comm[COMM_BYTES + 1] = "";

	switch (key->kind) {
	case TARGET_INET:
	case TARGET_INET6:
		return inet_text(key);
	case TARGET_UNIX:
		return unix_text(record);
	case TARGET_SOCKET:
		return socket_text(key->number);
	case TARGET_FILE:
	case TARGET_FIFO:
		return path_text(record);
	case TARGET_PIPE:
		return strdup("pipe");
	case TARGET_TTY:
		return tty_text(key->number);
	case TARGET_ANON:
		return anon_text(key);
	case TARGET_FDS:
		return text_of("%u fds", key->number);
	case TARGET_EPOLL:
		return text_of("epoll %u %llx", key->number, (unsigned long long)key->id[1]);
	case TARGET_CHILD:
		memcpy(comm, key->id, COMM_BYTES);
		return text_of("child %s", comm);
	case TARGET_STOP:
		return strdup("stop-the-world");
	case TARGET_SECTION:
		return strdup("critical section");
	}
	return NULL;
}

char *epoll_text(unsigned long members)
{
	if (!members)
		return strdup("epoll");
	return text_of("epoll of %lu fd%s", members, members == 1 ? "" : "s");
}
