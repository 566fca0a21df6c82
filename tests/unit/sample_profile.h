/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Profiles made up for tests.  Each test program includes this once; memory running
 * out ends the test.
 */
#ifndef PYTRACE_SAMPLE_PROFILE_H
#define PYTRACE_SAMPLE_PROFILE_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../user/profile.h"

#define MS 1000000ull
#define SECOND 1000000000ull

/* A control sequence, a bidi override, a line feed, bytes that are no UTF-8, and a wide character.
 */
#define HOSTILE_NAME "ev\033[31mil\342\200\256\n\xff\xc3(\344\270\255\xe2\x82"

static inline char *sample_text(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		abort();
	return copy;
}

static inline uint64_t sample_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Log-normal values around `median_ns`. */
static inline void sample_fill(struct histogram *histogram, uint64_t seed, int count,
			       double median_ns, double sigma)
{
	uint64_t state = seed * 2654435761u + 88172645463325252ull;

	for (int i = 0; i < count; i++) {
		double u = (double)(sample_random(&state) % 1000003 + 1) / 1000005.0;
		double v = (double)(sample_random(&state) % 1000003) / 1000003.0;
		double normal = sqrt(-2 * log(u)) * cos(2 * M_PI * v);

		histogram_add(histogram, (uint64_t)(median_ns * exp(sigma * normal)));
	}
}

static inline struct profile_process *sample_process(struct profile *profile, uint32_t tgid,
						     const char *command, uint32_t threads)
{
	struct profile_process *process = profile__add_process(profile);

	if (!process)
		abort();
	process->tgid = tgid;
	process->comm = sample_text("python3");
	process->command = sample_text(command);
	process->python = sample_text("3.13.5");
	process->build = sample_text("/usr/bin/python3.13");
	process->build_id = sample_text("5d2e9f6a");
	process->service = sample_text("shop.service");
	process->container_id = sample_text("");
	process->reason = sample_text("");
	process->calls_method = "opcode";
	process->threads = threads;
	process->observed_ns = profile->duration_ns;
	process->probed_ns = profile->duration_ns;
	process->rss_bytes = 48 << 20;
	return process;
}

static inline struct profile_thread *sample_thread(struct profile *profile, uint32_t tgid,
						   uint32_t tid, uint64_t oncpu_ns)
{
	struct profile_thread *thread = profile__add_thread(profile);

	if (!thread)
		abort();
	thread->tgid = tgid;
	thread->tid = tid;
	thread->name = sample_text("worker");
	thread->oncpu_ns = oncpu_ns;
	return thread;
}

static inline struct profile_function *sample_function(struct profile *profile, uint32_t tgid,
						       const char *function, const char *file,
						       uint32_t line)
{
	struct profile_function *f = profile__add_function(profile);

	if (!f)
		abort();
	f->tgid = tgid;
	f->function = sample_text(function);
	f->file = sample_text(file);
	f->line = line;
	f->called = true;
	return f;
}

/* `count` calls around `median_ns`, of which `shares` (per cent by class) were waited. */
static inline struct profile_function *sample_calls(struct profile_function *f, int count,
						    double median_ns, double sigma,
						    double self_share,
						    const double shares[WAIT_CLASSES])
{
	sample_fill(&f->wall, f->line + 1, count, median_ns, sigma);
	f->calls = f->wall.count;
	f->segments = f->calls;
	f->self_ns = (uint64_t)((double)f->wall.sum_ns * self_share);
	for (int c = 0; c < WAIT_CLASSES; c++)
		f->wait_ns[c] = (uint64_t)((double)f->wall.sum_ns * shares[c] / 100);
	return f;
}

/* So many of its calls are slow, and waited mostly for the GIL. */
static inline void sample_tail(struct profile_function *f, uint64_t calls, double each_ns)
{
	f->tail.calls = calls;
	f->tail.of_calls = f->wall.count;
	f->tail.above_ns = f->tail.above_most_ns = bucket_upper_ns[bucket_of(each_ns) - 3];
	f->tail.wall_ns = (uint64_t)((double)calls * each_ns);
	f->tail.wait_ns[WAIT_GIL] = f->tail.wall_ns / 100 * 71;
	f->tail.wait_ns[WAIT_NET] = f->tail.wall_ns / 100 * 18;
}

static inline struct profile_wait *sample_wait(struct profile *profile, uint32_t tgid,
					       enum wait_class wait_class, const char *syscall,
					       const char *function, const char *file,
					       uint32_t line)
{
	struct profile_wait *wait = profile__add_wait(profile);

	if (!wait)
		abort();
	wait->tgid = tgid;
	wait->wait_class = wait_class;
	wait->syscall = syscall;
	wait->function = sample_text(function);
	wait->file = sample_text(file);
	wait->line = line;
	return wait;
}

/* `task` may be NULL. */
static inline void sample_callback(struct profile *profile, uint32_t tgid, const char *function,
				   const char *task, uint64_t count, uint64_t max_ns)
{
	struct profile_callback *callback = profile__add_callback(profile);

	if (!callback)
		abort();
	callback->tgid = tgid;
	callback->function = sample_text(function);
	callback->file = sample_text("/srv/shop/loop.py");
	callback->line = 17;
	callback->task = task ? sample_text(task) : NULL;
	callback->count = count;
	callback->sum_ns = count * max_ns / 2;
	callback->max_ns = max_ns;
}

static inline struct profile *sample_empty(void)
{
	struct profile *profile = profile__new();

	if (!profile)
		abort();
	profile->version = sample_text("0.1.0");
	profile->host = sample_text("web-1");
	profile->kernel = sample_text("6.12.9");
	profile->started_realtime_ns = 1750000000ull * SECOND + 250 * MS;
	profile->duration_ns = 10 * SECOND;
	profile->probed_ns = 10 * SECOND;
	profile->empty_probe_ns = 1270;
	profile->entry_ns = 1080;
	profile->exit_ns = 1020;
	profile->switch_ns = 840;
	profile->callback_least_ns = 10 * MS;
	profile->own_cpu_ns = 71 * MS;
	profile->own_window_cpu_ns = 11 * MS;
	profile->own_rss_bytes = 33900000;
	return profile;
}

/* A web application whose threads fight for the GIL, compute and talk to a database. */
static inline void sample_web(struct profile *p)
{
	static const char app[] = "/srv/shop/app.py", cart[] = "/srv/shop/cart.py";
	static const char threading[] = "/usr/lib/python3.13/threading.py";
	const uint32_t tgid = 4711;
	struct profile_process *process;
	struct profile_wait *wait;

	process = sample_process(p, tgid, "python3 /srv/shop/app.py --port 8000", 12);
	process->probe_hits = 1234567;
	process->probe_cost_ns = 430 * MS;
	sample_calls(sample_function(p, tgid, "Handler.do_GET", app, 41), 1843, 21e6, 0.6, 0.08,
		     (double[WAIT_CLASSES]){[WAIT_GIL] = 41, [WAIT_NET] = 38, [WAIT_RUNQ] = 2});
	sample_tail(&p->functions[p->function_count - 1], 88, 71e6);
	sample_calls(sample_function(p, tgid, "Database.query", "/srv/shop/db.py", 88), 3686, 4e6,
		     0.8, 0.98, (double[WAIT_CLASSES]){[WAIT_NET] = 93, [WAIT_GIL] = 5});
	sample_calls(sample_function(p, tgid, "Cart.total", cart, 12), 184300, 31e3, 0.7, 0.7,
		     (double[WAIT_CLASSES]){[WAIT_GIL] = 52})
		->exceptions = 12;
	sample_calls(sample_function(p, tgid, "render.<locals>.<genexpr>", app, 97), 92150, 812,
		     0.4, 1, (double[WAIT_CLASSES]){[WAIT_GIL] = 12})
		->segments = 500000;
	sample_function(p, tgid, "serve_forever", "/usr/lib/python3.13/socketserver.py", 211)
		->wall.censored = 1;
	for (uint32_t i = 0; i < 12; i++) {
		struct profile_thread *thread = sample_thread(p, tgid, tgid + i, 800 * MS);

		thread->wait_ns[WAIT_GIL] = 1500 * MS;
		thread->wait_ns[WAIT_NET] = 1200 * MS;
		thread->wait_ns[WAIT_LOCK] = 6 * SECOND;
		thread->wait_ns[WAIT_RUNQ] = 70 * MS;
		process->oncpu_ns += thread->oncpu_ns;
	}
	sample_fill(
		&sample_wait(p, tgid, WAIT_LOCK, "futex", "Condition.wait", threading, 327)->time,
		1, 1500, 40e6, 0.5);
	sample_fill(&sample_wait(p, tgid, WAIT_GIL, "futex", "Cart.total", cart, 12)->time, 2, 2210,
		    5e6, 0.3);
	sample_fill(&sample_wait(p, tgid, WAIT_GIL, "futex", "Handler.do_GET", app, 41)->time, 3,
		    900, 5e6, 0.3);
	wait = sample_wait(p, tgid, WAIT_NET, "recvfrom", "Database.query", "/srv/shop/db.py", 88);
	sample_fill(&wait->time, 4, 3686, 3.6e6, 0.8);
	wait->target = sample_text("10.0.3.7:5432");
	sample_callback(p, tgid, "Prices.refresh", NULL, 4, 31 * MS);
	sample_callback(p, tgid, "Cart.expire", "janitor", 2, 140 * MS);
	sample_fill(&sample_wait(p, tgid, WAIT_RUNQ, NULL, "", "", 0)->time, 5, 4100, 150e3, 1);
	sample_fill(&sample_wait(p, tgid, WAIT_POLL, "poll", "serve_forever",
				 "/usr/lib/python3.13/socketserver.py", 211)
			     ->time,
		    6, 20, 500e6, 0.01);
}

/* One thread that computes. */
static inline void sample_batch(struct profile *p)
{
	struct profile_process *process = sample_process(p, 900, "python3 -m report.nightly", 1);
	struct profile_function *f;

	process->oncpu_ns = sample_thread(p, 900, 900, 9700 * MS)->oncpu_ns;
	p->threads[p->thread_count - 1].wait_ns[WAIT_RUNQ] = 300 * MS;
	process->probe_cost_ns = 21 * MS;
	process->probe_hits = 10000;
	f = sample_function(p, 900, "burn", "/opt/report/nightly/__init__.py", 7);
	sample_calls(f, 5000, 1.7e6, 0.2, 0.97, (double[WAIT_CLASSES]){[WAIT_RUNQ] = 3});
}

/* A worker that only waits for work, and whose calls cannot be traced. */
static inline void sample_idle(struct profile *p)
{
	struct profile_process *process = sample_process(p, 12345, "celery worker", 9);

	process->calls_method = "none";
	free(process->reason);
	process->reason = sample_text("unknown CPython version 3.16");
	for (uint32_t i = 0; i < 9; i++) {
		struct profile_thread *thread = sample_thread(p, 12345, 12345 + i, 2 * MS);

		thread->wait_ns[WAIT_LOCK] = 9990 * MS;
		process->oncpu_ns += thread->oncpu_ns;
	}
	sample_fill(&sample_wait(p, 12345, WAIT_LOCK, "futex", "_worker",
				 "/usr/lib/python3.13/concurrent/futures/thread.py", 69)
			     ->time,
		    7, 90, 999e6, 0.01);
}

/* All of the above, with a few losses. */
static inline struct profile *sample_profile(void)
{
	struct profile *profile = sample_empty();

	sample_idle(profile);
	sample_web(profile);
	sample_batch(profile);
	profile->losses[LOSS_UNMATCHED_EXIT] = 12;
	profile->losses[LOSS_DEPTH] = 3;
	return profile;
}

/* A process with a function and a wait whose names mean harm. */
static inline struct profile *sample_hostile(void)
{
	struct profile *profile = sample_empty();
	struct profile_process *process = sample_process(profile, 66, HOSTILE_NAME, 1);

	free(process->comm);
	process->comm = sample_text(HOSTILE_NAME);
	free(process->reason);
	process->reason = sample_text(HOSTILE_NAME);
	process->oncpu_ns = sample_thread(profile, 66, 66, 9 * SECOND)->oncpu_ns;
	free(profile->threads[0].name);
	profile->threads[0].name = sample_text(HOSTILE_NAME);
	sample_calls(sample_function(profile, 66, HOSTILE_NAME, "/tmp/" HOSTILE_NAME ".py", 1), 100,
		     5e6, 0.1, 1, (double[WAIT_CLASSES]){0});
	sample_fill(&sample_wait(profile, 66, WAIT_NET, "recvfrom", HOSTILE_NAME, HOSTILE_NAME, 1)
			     ->time,
		    1, 10, 1e6, 0.5);
	profile->waits[0].target = sample_text(HOSTILE_NAME);
	sample_callback(profile, 66, HOSTILE_NAME, HOSTILE_NAME, 1, 20 * MS);
	return profile;
}

#endif
