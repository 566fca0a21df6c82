/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a thread waits for: the peer of a socket, the path of a file, a child.  Looked up when the
 * wait begins, as a small key; only the first time is it told to userspace, and then as a number.
 * Kernel memory is read as it is, without its locks: what is gone meanwhile reads as nothing.
 * Addresses are passed as numbers to global functions, which are verified once.
 */
#ifndef PYTRACE_TARGET_BPF_H
#define PYTRACE_TARGET_BPF_H

#include "common.bpf.h"
#include <bpf/bpf_endian.h>

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define TCP_LISTEN 10           /* include/net/tcp_states.h; unix sockets have it too */
#define PIPEFS_MAGIC 0x50495045 /* include/uapi/linux/magic.h */
#define WELL_KNOWN_PORTS 32768  /* a client's own port is above, unless somebody changed it */
#define CHILDREN_MAX 16         /* that are looked through for one */
#define PATH_STEPS 14           /* components and mounts */

/* Where a file hangs: the only thing of it that is told as text. */
static __always_inline struct dentry *file_dentry(struct file *file)
{
	return BPF_CORE_READ(file, f_path.dentry);
}

/* The file behind a descriptor of the task; NULL: none. */
static __always_inline struct file *fd_file(struct task_struct *task, u64 fd)
{
	/*
	 * NULLs on the way read as 0.  (A pointer that is loaded without a helper is dear to
	 * verify: the kernel goes through all of its types to see whether it may be trusted.)
	 */
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd), *file = NULL;

	if (fd < BPF_CORE_READ(table, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), &files[fd]);
	return file;
}

/*
 * Was it accepted?  Its port was bound by bind(), as its listener's was; one that connect() chose
 * is marked so (net/ipv4/inet_hashtables.c, __inet_hash_connect).  A client that binds before it
 * connects to a well-known port is none.
 */
static __always_inline bool socket_accepted(struct sock *sk, u16 peer, u16 own)
{
	struct inet_bind_bucket *bucket;
	signed char reuse = -1;

	if (peer < WELL_KNOWN_PORTS && own >= WELL_KNOWN_PORTS)
		return false;
	bucket = BPF_CORE_READ((struct inet_connection_sock *)sk, icsk_bind_hash);
	return bucket && !bpf_core_read(&reuse, sizeof(reuse), &bucket->fastreuse) && reuse >= 0;
}

/* The beginning of a socket, read at once. */
struct sock_head {
	u64 words[3];
};

/* A field of it; one that a kernel has elsewhere reads as 0. */
#define SOCK_HEAD(head, field)                                                                     \
	({                                                                                         \
		u32 at_ = bpf_core_field_offset(struct sock_common, field);                        \
		typeof(((struct sock_common *)0)->field) value_ = 0;                               \
		if (at_ + sizeof(value_) <= sizeof(*(head)))                                       \
			value_ = *(const typeof(value_) *)((const u8 *)(head) + at_);              \
		value_;                                                                            \
	})

static __always_inline void target_inet(struct target_key *key, struct sock *sk,
					const struct sock_head *head, bool six)
{
	struct sock_common *common = &sk->__sk_common;
	u16 protocol = BPF_CORE_READ(sk, sk_protocol), own = SOCK_HEAD(head, skc_num);
	bool local;

	key->kind = six ? TARGET_INET6 : TARGET_INET;
	key->port = SOCK_HEAD(head, skc_dport);
	if (protocol == IPPROTO_UDP)
		key->flags = TARGET_UDP;
	else if (SOCK_HEAD(head, skc_state) == TCP_LISTEN)
		key->flags = TARGET_LISTENS;
	else if (protocol == IPPROTO_TCP && key->port &&
		 socket_accepted(sk, bpf_ntohs(key->port), own))
		key->flags = TARGET_ACCEPTED;
	if (!key->port && !(key->flags & TARGET_LISTENS))
		key->flags |= TARGET_LOCAL;
	local = key->flags & (TARGET_LISTENS | TARGET_LOCAL);
	if (local)
		key->port = bpf_htons(own);
	if (key->flags & TARGET_ACCEPTED) {
		key->port = 0;
		key->number = own;
	}
	if (six)
		bpf_core_read(key->id, sizeof(struct in6_addr),
			      local ? &common->skc_v6_rcv_saddr : &common->skc_v6_daddr);
	else
		key->id[0] = local ? SOCK_HEAD(head, skc_rcv_saddr) : SOCK_HEAD(head, skc_daddr);
}

/* The name of a unix socket: where, and how many bytes of it there are. */
struct unix_name {
	const char *at;
	u32 bytes;
};

static __always_inline bool unix_name(struct sock *sk, struct unix_name *name)
{
	struct unix_address *address = BPF_CORE_READ((struct unix_sock *)sk, addr);
	u32 head = bpf_core_field_offset(struct sockaddr_un, sun_path);
	int bytes;

	if (!address)
		return false;
	bytes = BPF_CORE_READ(address, len) - head;
	if (bytes <= 0 || bytes > TARGET_NAME_BYTES)
		return false;
	name->at = (const char *)address + bpf_core_field_offset(struct unix_address, name) + head;
	name->bytes = bytes;
	return true;
}

/* The peer's name; of one that was accepted, or listens, its own. */
static __always_inline bool unix_peer_name(struct sock *sk, struct unix_name *name)
{
	struct sock *peer = BPF_CORE_READ((struct unix_sock *)sk, peer);

	return (peer && unix_name(peer, name)) || unix_name(sk, name);
}

static __always_inline void target_unix(struct target_key *key, struct sock *sk,
					const struct sock_head *head)
{
	struct unix_name name = {};
	u64 mixed = 0, word;

	key->kind = TARGET_UNIX;
	if (SOCK_HEAD(head, skc_state) == TCP_LISTEN)
		key->flags = TARGET_LISTENS;
	if (!unix_peer_name(sk, &name))
		return;
	for (u32 i = 0; i < TARGET_NAME_BYTES && i < name.bytes; i += sizeof(word)) {
		u32 left = name.bytes - i;

		if (bpf_probe_read_kernel(&word, sizeof(word), name.at + i))
			return;
		if (left < sizeof(word)) /* what follows is somebody else's */
			word &= (1ull << left * 8) - 1;
		mixed = (mixed ^ word) * 0x9e3779b97f4a7c15ull;
	}
	key->id[0] = mixed ^ mixed >> 32;
	key->id[1] = name.bytes;
}

static __always_inline struct sock *inode_sock(struct inode *inode)
{
	struct socket_alloc *alloc =
		(void *)inode - bpf_core_field_offset(struct socket_alloc, vfs_inode);

	return BPF_CORE_READ(alloc, socket.sk);
}

static __always_inline void target_socket(struct target_key *key, struct inode *inode)
{
	struct sock *sk = inode_sock(inode);
	struct sock_head head = {};
	u16 family;

	if (!sk || bpf_probe_read_kernel(&head, sizeof(head), &sk->__sk_common))
		return;
	family = SOCK_HEAD(&head, skc_family);
	if (family == AF_INET || family == AF_INET6) {
		target_inet(key, sk, &head, family == AF_INET6);
	} else if (family == AF_UNIX && bpf_core_type_exists(struct unix_sock)) {
		target_unix(key, sk, &head);
	} else {
		key->kind = TARGET_SOCKET;
		key->number = family;
	}
}

static __always_inline bool is_tty(u32 device)
{
	u32 major = device >> 20; /* include/linux/kdev_t.h */

	/* consoles and serial lines, /dev/tty and /dev/console, pseudo terminals */
	return major == 4 || major == 5 || (major >= 136 && major < 144);
}

static __always_inline void target_path(struct target_key *key, enum target_kind kind,
					struct file *file, struct inode *inode)
{
	struct dentry *dentry = file_dentry(file);

	key->kind = kind;
	key->id[0] = (u64)dentry;
	key->id[1] = BPF_CORE_READ(inode, i_ino);
	key->id[2] = BPF_CORE_READ(dentry, d_name.hash_len);
}

/* What stands behind a struct file. */
__noinline int target_file(struct target_key *key, u64 address)
{
	struct file *file = (struct file *)address;
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	if (!key)
		return 0;
	switch (BPF_CORE_READ(inode, i_mode) & S_IFMT) {
	case S_IFSOCK:
		target_socket(key, inode);
		break;
	case S_IFIFO:
		if (BPF_CORE_READ(inode, i_sb, s_magic) == PIPEFS_MAGIC)
			key->kind = TARGET_PIPE;
		else
			target_path(key, TARGET_FIFO, file, inode);
		break;
	case S_IFCHR:
		key->number = BPF_CORE_READ(inode, i_rdev);
		if (is_tty(key->number)) {
			key->kind = TARGET_TTY;
			break;
		}
		key->number = 0;
		target_path(key, TARGET_FILE, file, inode);
		break;
	case 0:
		key->kind = TARGET_ANON;
		bpf_probe_read_kernel_str(key->id, 2 * sizeof(u64),
					  BPF_CORE_READ(file_dentry(file), d_name.name));
		break;
	default:
		target_path(key, TARGET_FILE, file, inode);
		break;
	}
	return 0;
}

/* The file an epoll instance has at this node of its tree; NULL if it is no such node. */
static __always_inline struct file *epoll_member(struct eventpoll *ep, struct rb_node *node)
{
	struct epitem *item = (void *)node - bpf_core_field_offset(struct epitem, rbn);

	if (BPF_CORE_READ(item, ep) != ep)
		return NULL;
	return BPF_CORE_READ(item, ffd.file);
}

static __always_inline bool target_is_inet(const struct target_key *key)
{
	return key->kind == TARGET_INET || key->kind == TARGET_INET6;
}

/* Somebody we have connected to, as far as that is known. */
static __always_inline bool target_is_peer(const struct target_key *key)
{
	return (target_is_inet(key) || key->kind == TARGET_UNIX) &&
	       !(key->flags & (TARGET_LISTENS | TARGET_ACCEPTED | TARGET_LOCAL));
}

/*
 * An epoll instance with one member is that member; one with two, of which one is a peer and
 * the other what wakes the loop, is the peer.  How many members others have userspace finds
 * out.  The file that is waited for; 0: the instance.
 */
__noinline u64 target_epoll(struct target_key *key, u64 file, u32 fd, u32 tgid)
{
	struct target_key other = {.generation = target_generation};
	struct eventpoll *ep = BPF_CORE_READ((struct file *)file, private_data);
	struct file *first = NULL, *second = NULL;
	struct rb_node *root, *left, *right;

	if (!key)
		return 0;
	if (bpf_core_type_exists(struct epitem)) {
		root = BPF_CORE_READ(ep, rbr.rb_root.rb_node);
		left = root ? BPF_CORE_READ(root, rb_left) : NULL;
		right = root ? BPF_CORE_READ(root, rb_right) : NULL;
		if (root && !(left && right))
			first = epoll_member(ep, root);
		if (first && (left || right))
			second = epoll_member(ep, left ?: right);
		if (first)
			target_file(key, (u64)first);
		if (first && !left && !right) {
			key->flags |= TARGET_ALONE;
			return (u64)first;
		}
		if (second)
			target_file(&other, (u64)second);
		if (target_is_inet(key) != target_is_inet(&other)) {
			if (target_is_inet(key))
				return (u64)first;
			*key = other;
			return (u64)second;
		}
	}
	*key = (struct target_key){
		.kind = TARGET_EPOLL,
		.number = fd,
		.generation = other.generation,
		.id = {tgid, (u64)ep},
	};
	return 0;
}

/* A child's number as it sees it itself, which is mostly how its parent does. */
static __always_inline s32 task_number(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	u32 level = BPF_CORE_READ(pid, level);
	s32 number = 0;

	bpf_probe_read_kernel(&number, sizeof(number),
			      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
				      level * bpf_core_type_size(struct upid) +
				      bpf_core_field_offset(struct upid, nr));
	return number;
}

static __always_inline void target_command(struct target_key *key, struct task_struct *task)
{
	key->kind = TARGET_CHILD;
	bpf_core_read(key->id, COMM_BYTES, &task->comm);
}

/* The child of this number; if any will do, the only one there is.  `first`: in the list of them.
 */
__noinline int target_child(struct target_key *key, u64 first, s32 number)
{
	struct list_head *at = (struct list_head *)first, *next;
	struct list_head *head = BPF_CORE_READ(at, prev);

	if (!key)
		return 0;
	for (int i = 0; i < CHILDREN_MAX && at && at != head; i++) {
		struct task_struct *child =
			(void *)at - bpf_core_field_offset(struct task_struct, sibling);

		next = BPF_CORE_READ(at, next);
		if (number > 0 ? task_number(child) == number : !i && next == head) {
			target_command(key, child);
			break;
		}
		at = next;
	}
	return 0;
}

struct path_walk {
	struct record_target *record;
	struct dentry *dentry;
	struct vfsmount *mnt;
	u32 parts;
	u32 cut;
};

static long path_step(u32 i, void *arg)
{
	struct path_walk *walk = arg;
	struct record_target *record = walk->record;
	struct dentry *dentry = walk->dentry, *parent = BPF_CORE_READ(dentry, d_parent);
	struct vfsmount *mnt = walk->mnt;
	struct mount *mount, *above;
	u32 parts = walk->parts;

	if (dentry == BPF_CORE_READ(mnt, mnt_root) || dentry == parent) {
		mount = (void *)mnt - bpf_core_field_offset(struct mount, mnt);
		above = BPF_CORE_READ(mount, mnt_parent);
		if (!above || above == mount) {
			walk->cut = 0;
			return 1;
		}
		walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		walk->mnt = (void *)above + bpf_core_field_offset(struct mount, mnt);
		return 0;
	}
	if (!record || parts >= TARGET_PARTS)
		return 1;
	/* (6.1 forgets the bound of what it has put on the stack) */
	barrier_var(parts);
	bpf_probe_read_kernel_str(record->path[parts & (TARGET_PARTS - 1)], TARGET_PART_BYTES,
				  BPF_CORE_READ(dentry, d_name.name));
	walk->parts = parts + 1;
	walk->dentry = parent;
	return 0;
}

/* A file's path, the last component first, across mounts as far as the steps go. */
static __always_inline void path_tell(struct record_target *record, struct file *file)
{
	struct path_walk walk = {
		.record = record,
		.dentry = file_dentry(file),
		.mnt = BPF_CORE_READ(file, f_path.mnt),
		.cut = 1,
	};

	bpf_loop(PATH_STEPS, path_step, &walk, 0);
	record->cut = walk.cut;
	record->parts = walk.parts;
}

static __always_inline void unix_tell(struct record_target *record, struct file *file)
{
	struct sock *sk = inode_sock(BPF_CORE_READ(file, f_inode));
	struct unix_name name = {};

	if (!unix_peer_name(sk, &name))
		return;
	barrier_var(name.bytes);
	if (name.bytes <= TARGET_NAME_BYTES)
		bpf_probe_read_kernel(record->name, name.bytes, name.at);
}

/* Tell what the key is of and give it a number; 0 if the ring is full. */
__noinline u32 target_tell(const struct target_key *key, u64 file)
{
	struct record_target *record;
	u32 id;

	if (!key)
		return 0;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		lose(LOSS_RING_TARGET);
		return 0;
	}
	id = __sync_fetch_and_add(&target_last, 1) + 1;
	__builtin_memset(record, 0, sizeof(*record));
	record->kind = RECORD_TARGET;
	record->id = id;
	record->key = *key;
	if (key->kind == TARGET_FILE || key->kind == TARGET_FIFO)
		path_tell(record, (struct file *)file);
	else if (key->kind == TARGET_UNIX && bpf_core_type_exists(struct unix_sock))
		unix_tell(record, (struct file *)file);
	bpf_ringbuf_submit(record, ring_wake_flag());
	return id;
}

/* Its number.  `file`: where it is one, or hangs in one. */
static __always_inline u32 target_number(const struct target_key *key, u64 file)
{
	u32 *found = bpf_map_lookup_elem(&targets, key), id;

	if (found)
		return *found;
	id = target_tell(key, file);
	if (id)
		bpf_map_update_elem(&targets, key, &id, BPF_ANY);
	return id;
}

#endif
