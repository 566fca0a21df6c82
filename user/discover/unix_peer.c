/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "unix_peer.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct request {
	struct nlmsghdr head;
	struct unix_diag_req body;
};

static bool same_file(int one, int two)
{
	struct stat first, second;

	return !fstat(one, &first) && !fstat(two, &second) && first.st_ino == second.st_ino &&
	       first.st_dev == second.st_dev;
}

/* A socket that asks in that namespace, which is the one it is made in. */
static int socket_there(int there, int here)
{
	bool elsewhere = !same_file(there, here);
	int sock;

	if (elsewhere && setns(there, CLONE_NEWNET))
		return -1;
	sock = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (!elsewhere || !setns(here, CLONE_NEWNET))
		return sock;
	if (sock >= 0)
		close(sock);
	return -1;
}

static int diag_socket(pid_t tgid)
{
	int there, here, sock = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", tgid);
	there = open(path, O_RDONLY | O_CLOEXEC);
	here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (there >= 0 && here >= 0)
		sock = socket_there(there, here);
	if (there >= 0)
		close(there);
	if (here >= 0)
		close(here);
	return sock;
}

/* The answer is there when the request was sent. */
static uint64_t peer_in(struct nlmsghdr *head, size_t size)
{
	struct unix_diag_msg *told = NLMSG_DATA(head);
	const struct rtattr *attribute;
	uint32_t peer = 0;
	size_t left;

	if (!NLMSG_OK(head, size) || head->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    head->nlmsg_len < NLMSG_LENGTH(sizeof(*told)))
		return 0;
	left = head->nlmsg_len - NLMSG_LENGTH(sizeof(*told));
	for (attribute = (struct rtattr *)(told + 1); RTA_OK(attribute, left);
	     attribute = RTA_NEXT(attribute, left))
		if (attribute->rta_type == UNIX_DIAG_PEER && RTA_PAYLOAD(attribute) >= sizeof(peer))
			memcpy(&peer, RTA_DATA(attribute), sizeof(peer));
	return peer;
}

uint64_t unix_peer(pid_t tgid, uint64_t inode)
{
	struct request request = {
		.head =
			{
				.nlmsg_len = sizeof(request),
				.nlmsg_type = SOCK_DIAG_BY_FAMILY,
				.nlmsg_flags = NLM_F_REQUEST,
			},
		.body =
			{
				.sdiag_family = AF_UNIX,
				.udiag_states = -1,
				.udiag_ino = (uint32_t)inode,
				.udiag_show = UDIAG_SHOW_PEER,
				.udiag_cookie = {-1, -1},
			},
	};
	union {
		struct nlmsghdr head;
		char bytes[1024];
	} answer;
	int sock = diag_socket(tgid);
	uint64_t peer = 0;
	ssize_t n;

	if (sock < 0)
		return 0;
	if (send(sock, &request, sizeof(request), 0) == sizeof(request)) {
		n = recv(sock, &answer, sizeof(answer), MSG_DONTWAIT);
		if (n > 0)
			peer = peer_in(&answer.head, n);
	}
	close(sock);
	return peer;
}
