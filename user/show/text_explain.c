/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "text_explain.h"

#include <errno.h>
#include <stdio.h>

#include "../judge/rules.h"
#include "table.h"
#include "text_line.h"
#include "units.h"

static const struct table_spec rule_table = {
	.columns = {{.title = "rule", .left = true},
		    {.title = "measured"},
		    {.title = "takes"},
		    {.title = "holds", .left = true}},
	.name_title = "share of",
};

static const char *amount(char *buffer, const struct limit_rule *rule, double value)
{
	if (rule->of)
		return format_share(buffer, value);
	return format_bytes(buffer, value);
}

static const char *state_text(const struct limit *limit, const struct limit_check *check)
{
	if (check == limit->decided)
		return "yes: the verdict";
	switch (check->state) {
	case LIMIT_UNKNOWN:
		return "not known";
	case LIMIT_HOLDS:
		return "yes, after that";
	case LIMIT_HELD_BACK:
		return "held back";
	case LIMIT_NEAR:
		return "nearly";
	default:
		return "no";
	}
}

static int add_rule(struct table *table, const struct screen *screen, const struct limit *limit,
		    const struct limit_check *check)
{
	const struct limit_rule *rule = check->rule;
	char measured[UNIT_BYTES], least[UNIT_BYTES], place[128] = "", of[64];
	struct table_row row = {
		.cells = {rule->name,
			  check->state == LIMIT_UNKNOWN ? "-"
							: amount(measured, rule, check->value),
			  amount(least, rule, rule->least), state_text(limit, check)},
		.name = of,
		.place = place,
		.short_place = place,
		.dim = check->state != LIMIT_HOLDS,
	};

	/* "of the time": the title has the first word */
	snprintf(of, sizeof(of), "%s", rule->of ? rule->of + sizeof("of ") - 1 : "(a second)");
	if (rule->takes_text)
		snprintf(place, sizeof(place), "and %s", rule->takes_text);
	return text_add_named(table, screen, &row);
}

int text_explain(const struct screen *screen, const struct limit *limit)
{
	struct text_rows rows = {.top = LIMIT_RULES};
	struct table *table = table__new(&rule_table);
	int err;

	if (!table)
		return -ENOMEM;
	err = text_put_line(screen, STYLE_PLAIN, TEXT_INDENT, "Meaning: %s.", limit->cause);
	if (!err)
		err = text_put_line(screen, STYLE_PLAIN, TEXT_INDENT, "Next: %s.",
				    limit->next_step);
	for (int i = 0; i < LIMIT_EVIDENCE && *limit->evidence[i] && !err; i++)
		err = text_put_line(screen, STYLE_PLAIN, TEXT_INDENT, "Evidence: %s",
				    limit->evidence[i]);
	for (int i = 0; i < LIMIT_RULES && !err; i++)
		if (text_rows_take(&rows))
			err = add_rule(table, screen, limit, &limit->checks[i]);
	if (!err)
		err = text_put_table(table, screen, &rows, "rule");
	table__free(table);
	return err;
}
