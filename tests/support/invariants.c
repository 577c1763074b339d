#include "tests/support/invariants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEGIN "-- @ "

static char *whole_file(void)
{
	FILE *f = fopen(SOUK_SOURCE_DIR "/tests/support/invariants.sql", "re");
	char *text = calloc(1, 1 << 20);
	size_t n = f && text ? fread(text, 1, (1 << 20) - 1, f) : 0;

	if (n == 0 || n == (1 << 20) - 1) {
		fprintf(stderr, "invariants.sql cannot be read\n");
		exit(1);
	}
	fclose(f);
	return text;
}

struct one {
	char number[8], schemas[64], when[8];
	const char *text; /* to the end of the line */
	char *query;
};

/* The next of them from *at, which moves on. The file's text is cut up. */
static bool next_one(char **at, struct one *o)
{
	char *head = strstr(*at, BEGIN), *end, *after;

	if (!head)
		return false;
	end = strchr(head, '\n');
	if (sscanf(head, BEGIN "%7s %63s %7s", o->number, o->schemas, o->when) != 3 || !end) {
		fprintf(stderr, "invariants.sql: %.60s\n", head);
		exit(1);
	}
	*end = '\0';
	o->text = strstr(head, o->when) + strlen(o->when) + 1;
	o->query = end + 1;
	after = strstr(o->query, "\n" BEGIN);
	*at = after ? after + 1 : o->query + strlen(o->query);
	if (after)
		*after = '\0';
	return true;
}

static bool concerns(const struct one *o, const char *schema, bool at_rest)
{
	return strcmp(o->schemas, schema) == 0 && (at_rest || strcmp(o->when, "always") == 0);
}

const char *invariants_broken(struct pg_fixture *fx, const char *schema, bool at_rest)
{
	static char said[2000];
	char *text = whole_file(), *at = text;
	struct one o;

	said[0] = '\0';
	while (!said[0] && next_one(&at, &o)) {
		const char *rows;

		if (!concerns(&o, schema, at_rest))
			continue;
		rows = pg_fixture_text(fx, "SELECT coalesce(json_agg(t)::text, '') FROM (SELECT * FROM (%s\n) q LIMIT 5) t",
				       o.query);
		if (*rows)
			snprintf(said, sizeof(said), "%s %s: %s", o.number, o.text, rows);
	}
	free(text);
	return said;
}

int invariants_asked(const char *schema, bool at_rest)
{
	char *text = whole_file(), *at = text;
	struct one o;
	int n = 0;

	while (next_one(&at, &o))
		n += concerns(&o, schema, at_rest);
	free(text);
	return n;
}
