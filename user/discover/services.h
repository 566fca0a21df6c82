/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Names of ports. */
#ifndef PYTRACE_SERVICES_H
#define PYTRACE_SERVICES_H

#include <stdbool.h>
#include <stdio.h>

/*
 * The name of a port in /etc/services, which is read once: asking the resolver's way could block.
 * NULL if there is none.  Lives as long as the program.
 */
const char *service_name(unsigned int port, bool udp);

/* The same from a file of that form, in place of what was known before. */
void services_read(FILE *file);

#endif
