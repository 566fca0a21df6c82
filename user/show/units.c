/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Numbers as people read them. */
#include "units.h"

#include <math.h>
#include <stdio.h>

struct unit {
	double size; /* in the base unit */
	const char *name;
};

/*
 * The largest unit the value is at least one of.  A value that would round up to a
 * thousand of its unit (999.6 us) takes the next one instead.
 */
static const char *format_scaled(char *buffer, double value, const struct unit *units, int count)
{
	double scaled;
	int i = 0;

	while (i + 1 < count && value >= units[i + 1].size * 0.9995)
		i++;
	scaled = value / units[i].size;
	if (units[i].size == 1 && floor(scaled) == scaled)
		snprintf(buffer, UNIT_BYTES, "%.0f%s", scaled, units[i].name);
	else
		snprintf(buffer, UNIT_BYTES, "%.*f%s",
			 scaled < 9.995   ? 2
			 : scaled < 99.95 ? 1
					  : 0,
			 scaled, units[i].name);
	return buffer;
}

const char *format_duration(char *buffer, double ns)
{
	static const struct unit units[] = {{1, " ns"}, {1e3, " us"}, {1e6, " ms"}, {1e9, " s"}};
	static const struct unit minutes = {60e9, " min"}, hours = {3600e9, " h"};

	if (isnan(ns)) {
		snprintf(buffer, UNIT_BYTES, "-");
		return buffer;
	}
	/* Seconds go on a little: "95.0 s" needs no arithmetic, "1.58 min" does. */
	if (ns >= 7200e9)
		return format_scaled(buffer, ns, &hours, 1);
	if (ns >= 600e9)
		return format_scaled(buffer, ns, &minutes, 1);
	return format_scaled(buffer, ns < 999.5 ? round(ns) : ns, units, 4);
}

const char *format_about(char *buffer, double count)
{
	static const struct unit units[] = {{1, ""}, {1e3, " k"}, {1e6, " M"}, {1e9, " G"}};

	return format_scaled(buffer, count, units, 4);
}

const char *format_bytes(char *buffer, double bytes)
{
	static const struct unit units[] = {
		{1, " B"}, {1e3, " kB"}, {1e6, " MB"}, {1e9, " GB"}, {1e12, " TB"},
	};

	return format_scaled(buffer, bytes, units, 5);
}

const char *format_share(char *buffer, double share)
{
	double percent = share * 100;

	if (!(percent > 0))
		snprintf(buffer, UNIT_BYTES, "0 %%");
	else if (percent < 0.1)
		snprintf(buffer, UNIT_BYTES, "<0.1 %%");
	else
		snprintf(buffer, UNIT_BYTES, "%.*f %%", percent < 9.95 ? 1 : 0, percent);
	return buffer;
}
