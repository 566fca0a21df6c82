// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include "services.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SERVICES 8192

struct service {
	uint16_t port;
	bool udp;
	char name[24];
};

static struct {
	bool read;
	struct service *all; /* sorted; of equal ones the first in the file is first */
	size_t count;
} services;

static int compare(const void *left, const void *right)
{
	const struct service *a = left, *b = right;

	return a->port != b->port ? a->port - b->port : a->udp - b->udp;
}

/* "http 80/tcp www  # comment" */
static bool parse(const char *line, struct service *service)
{
	unsigned int port;
	char protocol[8];

	if (sscanf(line, " %23[^# \t\n] %5u/%7[a-z]", service->name, &port, protocol) != 3)
		return false;
	service->port = port;
	service->udp = !strcmp(protocol, "udp");
	return port && port <= UINT16_MAX && (service->udp || !strcmp(protocol, "tcp"));
}

void services_read(FILE *file)
{
	char *line = NULL;
	size_t size = 0;

	free(services.all);
	services.read = true;
	services.count = 0;
	services.all = calloc(MAX_SERVICES, sizeof(*services.all));
	while (services.all && services.count < MAX_SERVICES && getline(&line, &size, file) > 0)
		services.count += parse(line, &services.all[services.count]);
	free(line);
	if (services.count)
		qsort(services.all, services.count, sizeof(*services.all), compare);
}

const char *service_name(unsigned int port, bool udp)
{
	struct service wanted = {.port = port, .udp = udp}, *found;
	FILE *file;

	if (!services.read) {
		services.read = true;
		file = fopen("/etc/services", "re");
		if (file) {
			services_read(file);
			fclose(file);
		}
	}
	if (!services.count)
		return NULL;
	found = bsearch(&wanted, services.all, services.count, sizeof(*services.all), compare);
	return found ? found->name : NULL;
}
