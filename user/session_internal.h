/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the session's own files share. */
#ifndef PYTRACE_SESSION_INTERNAL_H
#define PYTRACE_SESSION_INTERNAL_H

#include "session.h"

/*
 * Which process a link for `tgid` is of, 0: of all.  Where nobody else runs this build (without
 * call probes nobody has looked), one link for all processes harms nobody and has forked
 * children probed from their first instruction.
 */
pid_t session__linked_tgid(struct session *session, size_t index, pid_t tgid);

/*
 * Have a traced process's calls probed and counted, from now on or (under a budget) in windows, the
 * first of them `soon`, or later.  That it failed is remembered for the report.
 */
void session__probe(struct session *session, size_t index, pid_t tgid, bool soon);

#endif
