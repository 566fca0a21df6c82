/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* `pytrace-bpf doctor`: what this machine allows. */
#ifndef PYTRACE_DOCTOR_H
#define PYTRACE_DOCTOR_H

/* Returns the exit status: EXIT_OK if tracing can work, else EXIT_REFUSED. */
int doctor_run(void);

#endif
