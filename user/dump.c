/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "dump.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "collect/names.h"
#include "discover/target_text.h"
#include "discover/code_names.h"
#include "discover/frames.h"
#include "discover/lock_owner.h"
#include "discover/memory.h"
#include "discover/nogil.h"
#include "discover/process.h"
#include "discover/procfs.h"
#include "discover/syscall.h"
#include "discover/task.h"
#include "discover/threads.h"
#include "message.h"
#include "moment.h"
#include "output.h"
#include "scope.h"
#include "show/moment.h"

#define MAX_FRAMES 1024
#define FUTEX_TIMEOUT 3 /* the argument: NULL if there is none */
#define ATTEMPTS 3      /* at a stack of one moment, of a thread that keeps running */

/*
 * Where struct pthread keeps the thread's id, from pthread_self(), which is all that 3.8 to 3.10
 * know of a thread: glibc x86_64 (nptl/descr.h: a header of 704 bytes, a list node, then
 * tid; the same since 2.4) and musl (src/internal/pthread_impl.h).
 */
static const uint32_t pthread_tid_offsets[] = {720, 48};

/* A thread state and the thread it belongs to. */
struct owner {
	uint64_t tstate;
	uint64_t thread_id; /* what pthread_self() is in it */
	pid_t own_tid;      /* as it sees it itself, in its pid namespace */
	pid_t tid;          /* 0: none of those that there are */
};

struct dumping {
	const struct options *options;
	struct builds *builds;
	struct output output;
	size_t shown, refused;
	/* of the process at hand */
	const struct process *process;
	const struct py_layout *layout;
	struct owner *owners;
	size_t owner_count;
	bool no_memory;
};

static pid_t tid_of_state(const struct dumping *d, uint64_t tstate, uint64_t thread_id)
{
	pid_t tgid = d->process->tgid;
	uint64_t native;
	int32_t tid;

	if (d->layout->ts_native_thread_id != LAYOUT_ABSENT)
		return memory_read(tgid, tstate + d->layout->ts_native_thread_id, &native,
				   sizeof(native))
			       ? 0
			       : (pid_t)native;
	for (size_t i = 0; i < sizeof(pthread_tid_offsets) / sizeof(*pthread_tid_offsets); i++) {
		char name[32];

		if (memory_read(tgid, thread_id + pthread_tid_offsets[i], &tid, sizeof(tid)) ||
		    tid <= 0)
			continue;
		/* anything may stand there in another libc: it must name one of its threads */
		snprintf(name, sizeof(name), "/proc/%d/task/%d", tgid, tid);
		if (!access(name, F_OK))
			return tid;
	}
	return 0;
}

static void add_owner(void *arg, uint64_t thread_id, uint64_t tstate)
{
	struct dumping *d = arg;
	struct owner *grown = reallocarray(d->owners, d->owner_count + 1, sizeof(*grown));

	if (!grown) {
		d->no_memory = true;
		return;
	}
	d->owners = grown;
	grown[d->owner_count++] = (struct owner){
		.tstate = tstate,
		.thread_id = thread_id,
		.own_tid = tid_of_state(d, tstate, thread_id),
	};
}

/* Which threads the thread states belong to. */
static void find_owners(struct dumping *d, const pid_t *tids, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char name[32];
		pid_t own_tid;

		snprintf(name, sizeof(name), "%d", tids[i]);
		own_tid = procfs_own_tid(d->process->tgid, name);
		for (size_t j = 0; j < d->owner_count; j++)
			if (own_tid > 0 && d->owners[j].own_tid == own_tid)
				d->owners[j].tid = tids[i];
	}
}

static pid_t owner_of(const struct dumping *d, uint64_t tstate)
{
	for (size_t i = 0; tstate && i < d->owner_count; i++)
		if (d->owners[i].tstate == tstate)
			return d->owners[i].tid;
	return 0;
}

static void name_frame(const struct dumping *d, const struct walked_frame *frame,
		       struct moment_frame *out)
{
	struct record_code record = {.tgid = d->process->tgid, .code = frame->code};
	char function[NAME_MAX_BYTES * 4 + 1], file[FILE_MAX_BYTES * 4 + 1];

	code_names_complete(&record, d->layout);
	name_decode(record.name, sizeof(record.name), record.name_chars, record.name_kind, function,
		    sizeof(function));
	name_decode(record.file, sizeof(record.file), record.file_chars, record.file_kind, file,
		    sizeof(file));
	out->function = strdup(function[0] ? function : "<unreadable>");
	out->file = strdup(file);
	out->line = record.line;
	out->at_line = frame->line;
}

static void drop_frames(struct moment_thread *thread)
{
	for (size_t i = 0; i < thread->frame_count; i++) {
		free(thread->frames[i].function);
		free(thread->frames[i].file);
	}
	free(thread->frames);
	thread->frames = NULL;
	thread->frame_count = 0;
}

static enum stack_quality read_stack(struct dumping *d, uint64_t tstate,
				     struct moment_thread *thread)
{
	static const enum stack_quality qualities[] = {
		[WALK_COMPLETE] = STACK_COMPLETE,
		[WALK_TRUNCATED] = STACK_TRUNCATED,
		[WALK_UNREADABLE] = STACK_UNREADABLE,
	};
	struct walked_frame frames[MAX_FRAMES];
	size_t count;
	enum walk_end end =
		frames_walk(d->process->tgid, d->layout, tstate, frames, MAX_FRAMES, &count);

	drop_frames(thread);
	if (end == WALK_COMPLETE && !count)
		return STACK_NONE;
	thread->frames = calloc(count ?: 1, sizeof(*thread->frames));
	if (!thread->frames) {
		d->no_memory = true;
		return STACK_UNREADABLE;
	}
	for (size_t i = 0; i < count; i++)
		name_frame(d, &frames[i], &thread->frames[i]);
	thread->frame_count = count;
	return qualities[end];
}

static pid_t thread_of_id(const void *arg, uint64_t id)
{
	const struct dumping *d = arg;

	for (size_t i = 0; id && i < d->owner_count; i++)
		if (d->owners[i].thread_id == id && d->owners[i].tid)
			return d->owners[i].tid;
	return 0;
}

/* The other thread that has the lock for which this one sleeps in a futex; 0: not known. */
static pid_t lock_holder(const struct dumping *d, uint64_t tstate, const struct task *task)
{
	pid_t tid = 0;

	if (task->syscall == SYS_futex)
		tid = lock_owner(d->process->tgid, d->layout, tstate, task->args[0], thread_of_id,
				 d);
	return tid == task->tid ? 0 : tid;
}

/* The futex that it sleeps in may be its interpreter's own. */
static void name_lock(const struct dumping *d, uint64_t tstate, uint64_t gil,
		      const struct task *task, struct moment_thread *thread)
{
	pid_t tgid = d->process->tgid;
	uint64_t futex = task->args[0], runtime = d->process->runtime, holder;
	struct record_target what = {
		.key.kind = nogil_parked(tgid, d->layout, runtime, tstate, futex, task->sp)};

	if (gil_awaited(tgid, d->layout, gil, futex)) {
		thread->wait_class = WAIT_GIL;
		holder = gil_holder(tgid, d->layout, gil);
	} else if (what.key.kind != TARGET_NONE && !thread->target) {
		thread->target = target_text(&what);
		holder = what.key.kind == TARGET_STOP
				 ? nogil_stopper(tgid, d->layout, runtime, tstate)
				 : 0;
	} else {
		if (!thread->held_by && !thread->target)
			thread->held_by = lock_holder(d, tstate, task);
		return;
	}
	if (holder != tstate)
		thread->held_by = owner_of(d, holder);
}

/* Its stack, in whichever of its thread states (one an interpreter) it is. */
static void read_stacks(struct dumping *d, const struct task *task, struct moment_thread *thread)
{
	for (size_t i = 0; i < d->owner_count; i++) {
		uint64_t gil, tstate = d->owners[i].tstate;

		if (d->owners[i].tid != task->tid)
			continue;
		thread->python = true;
		gil = gil_address(d->process->tgid, d->layout, d->process->runtime, tstate);
		if (gil_holder(d->process->tgid, d->layout, gil) == tstate)
			thread->holds_gil = true;
		if (task->syscall_known && thread->wait_class == WAIT_LOCK)
			name_lock(d, tstate, gil, task, thread);
		if (!thread->frame_count)
			thread->quality = read_stack(d, tstate, thread);
	}
}

static void fill_thread(const struct dumping *d, struct task *task, struct moment_thread *thread)
{
	static const enum thread_does does[] = {
		[TASK_RUNS] = THREAD_RUNS,
		[TASK_WAITS] = THREAD_WAITS,
		[TASK_STOPPED] = THREAD_STOPPED,
		[TASK_ENDING] = THREAD_ENDING,
	};

	thread->tid = task->tid;
	memcpy(thread->name, task->name, sizeof(thread->name));
	thread->does = does[task->state];
	free(thread->target);
	thread->target = task_target(d->process->tgid, task);
	thread->wait_class = task->wait_class;
	thread->syscall = syscall_name(task->syscall);
	thread->since = task->since;
	thread->switched = task->switched;
	thread->held_by = 0;
	thread->holds_gil = false;
}

/* Look, read, and look again: a stack of one moment if the thread has not run in between. */
static int look_at_thread(struct dumping *d, pid_t tid, struct moment_thread *thread)
{
	struct task before, after;

	for (int i = 0; i < ATTEMPTS; i++) {
		int err = task_look(d->process->tgid, tid, &before);

		if (err)
			return err;
		fill_thread(d, &before, thread);
		drop_frames(thread);
		read_stacks(d, &before, thread);
		if (task_look(d->process->tgid, tid, &after))
			return 0;
		if (before.state != TASK_RUNS && before.state == after.state &&
		    before.switched == after.switched && before.syscall == after.syscall)
			return 0;
	}
	if (thread->quality == STACK_COMPLETE)
		thread->quality = STACK_MIXED;
	return 0;
}

/* By thread ids: pid_t's, and what begins with one. */
static int by_tid(const void *a, const void *b)
{
	const pid_t *first = a, *second = b;

	return (*first > *second) - (*first < *second);
}

/* Who has the lock that this one waits for; NULL: nobody that is known. */
static struct moment_thread *next_in_line(const struct moment *moment,
					  const struct moment_thread *thread)
{
	if (thread->does != THREAD_WAITS || thread->wait_class != WAIT_LOCK || !thread->held_by)
		return NULL;
	return bsearch(&thread->held_by, moment->threads, moment->thread_count,
		       sizeof(*moment->threads), by_tid);
}

/* Has it waited, with no time-out, ever since it was looked at, and is the owner who it was? */
static bool waits_still(const struct dumping *d, const struct moment_thread *thread)
{
	struct task task;

	if (task_look(d->process->tgid, thread->tid, &task) || task.state != TASK_WAITS ||
	    task.switched != thread->switched || task.syscall != SYS_futex ||
	    task.args[FUTEX_TIMEOUT])
		return false;
	for (size_t i = 0; i < d->owner_count; i++)
		if (d->owners[i].tid == task.tid &&
		    (uint32_t)lock_holder(d, d->owners[i].tstate, &task) == thread->held_by)
			return true;
	return false;
}

/*
 * Threads that wait in a circle, of which this is one.  They were looked at one after another: it
 * is a deadlock if all of them still wait for each other now, for who waits lets nothing go.
 */
static void judge_circle(const struct dumping *d, const struct moment *moment,
			 struct moment_thread *first)
{
	struct moment_thread *thread = first;

	do {
		if (!waits_still(d, thread))
			return;
		thread = next_in_line(moment, thread);
	} while (thread != first);
	do {
		thread->deadlocked = true;
		thread = next_in_line(moment, thread);
	} while (thread != first);
}

static void find_circles(struct dumping *d, const struct moment *moment)
{
	size_t *seen = calloc(moment->thread_count + 1, sizeof(*seen)); /* by whose walk + 1 */

	if (!seen)
		d->no_memory = true;
	for (size_t i = 0; seen && i < moment->thread_count; i++) {
		struct moment_thread *thread = &moment->threads[i];

		while (thread && !seen[thread - moment->threads]) {
			seen[thread - moment->threads] = i + 1;
			thread = next_in_line(moment, thread);
		}
		if (thread && seen[thread - moment->threads] == i + 1)
			judge_circle(d, moment, thread);
	}
	free(seen);
}

static int look_at_process(struct dumping *d, struct moment *moment)
{
	pid_t tgid = d->process->tgid, *tids;
	ssize_t count = task_list(tgid, &tids);
	int err = 0;

	if (count < 0)
		return (int)count;
	if (!moment->reason[0])
		process_threads(tgid, d->layout, d->process->runtime, add_owner, d);
	find_owners(d, tids, count);
	moment->has_gil = d->owner_count && !d->layout->nogil;
	qsort(tids, count, sizeof(*tids), by_tid);
	moment->threads = calloc(count ?: 1, sizeof(*moment->threads));
	for (ssize_t i = 0; moment->threads && i < count; i++) {
		err = look_at_thread(d, tids[i], &moment->threads[moment->thread_count]);
		if (!err)
			moment->thread_count++;
		else if (err != -ESRCH && err != -ENOENT)
			break;
		err = 0;
	}
	free(tids);
	if (moment->threads)
		find_circles(d, moment);
	return !moment->threads || d->no_memory ? -ENOMEM : err;
}

static void free_moment(struct moment *moment)
{
	for (size_t i = 0; i < moment->thread_count; i++) {
		drop_frames(&moment->threads[i]);
		free(moment->threads[i].target);
	}
	free(moment->threads);
}

static int show(struct dumping *d, const struct moment *moment)
{
	return d->options->format == FORMAT_JSON
		       ? moment_json(d->output.file, moment)
		       : moment_text(d->output.file, moment, d->shown > 0);
}

static int dump_process(const struct process *process, void *arg)
{
	struct dumping *d = arg;
	const struct build *build = builds__get(d->builds, process->build);
	char reason[BUILD_REASON_BYTES] = "";
	struct moment moment = {.tgid = process->tgid, .reason = reason};
	int err;

	if (!scope_wants(d->options, process))
		return 0;
	if (process->kind != PYTHON_YES || !build) {
		message("%d is no CPython process%s%s", process->tgid,
			process->reason[0] ? ": " : "", process->reason);
		d->refused++;
		return 0;
	}
	d->process = process;
	d->layout = &build->layout;
	d->owner_count = 0;
	moment.command = process->command[0] ? process->command : process->comm;
	moment.python = build->version;
	moment.build = build->path;
	err = process_verify(d->builds, process, reason);
	if (err && !reason[0])
		snprintf(reason, sizeof(reason), "its memory cannot be read: %s", strerror(-err));
	err = look_at_process(d, &moment);
	if (!err)
		err = show(d, &moment);
	else if (err == -ESRCH)
		message("process %d is gone", process->tgid);
	if (err == -ESRCH)
		d->refused++, err = 0;
	else
		d->shown++;
	free_moment(&moment);
	d->process = NULL;
	return err;
}

static int dump_all(struct dumping *d)
{
	struct process process;
	int err = 0;

	if (d->options->all_python)
		return process_scan(d->builds, dump_process, d);
	for (size_t i = 0; !err && i < d->options->tgid_count; i++) {
		pid_t tgid = d->options->tgids[i];

		err = process_inspect(d->builds, tgid, &process);
		if (!err) {
			err = dump_process(&process, d);
			continue;
		}
		if (err == -EACCES && geteuid())
			message("process %d may not be looked at: use sudo", tgid);
		else if (err == -ESRCH)
			message("there is no process %d", tgid);
		else
			message("process %d cannot be looked at: %s", tgid, strerror(-err));
		d->refused++;
		err = 0;
	}
	return err;
}

int dump_run(const struct options *options)
{
	struct dumping d = {.options = options, .builds = builds__new()};
	int status = EXIT_OK, err;

	if (!d.builds) {
		message("out of memory");
		return EXIT_OWN_FAILURE;
	}
	err = output_open(&d.output, options->output);
	if (err) {
		message("cannot write to %s: %s", options->output, strerror(-err));
		builds__free(d.builds);
		return EXIT_OUTPUT;
	}
	err = dump_all(&d);
	if (err == -ENOMEM) {
		message("out of memory");
		status = EXIT_OWN_FAILURE;
	} else if (!d.shown && !err) {
		if (!d.refused)
			message("no CPython process found; `pytrace-bpf list` shows what there is");
		status = EXIT_USAGE;
	}
	if (output_close(&d.output) || (err && err != -ENOMEM)) {
		message("cannot write the dump");
		status = EXIT_OUTPUT;
	}
	free(d.owners);
	builds__free(d.builds);
	return status;
}
