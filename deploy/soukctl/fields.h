/* Fields of answers, for printing. */
#ifndef SOUK_SOUKCTL_FIELDS_H
#define SOUK_SOUKCTL_FIELDS_H

#include <jansson.h>
#include <stdio.h>

/* "-" when it is not there. */
static inline const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "-";
}

/* 0 when it is not there. */
static inline long long count_of(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

/* 2026-01-15T10:30:00.000Z as "2026-01-15 10:30" */
static inline const char *minute(const json_t *o, const char *key, char out[20])
{
	snprintf(out, 20, "%.16s", text_of(o, key));
	if (out[1])
		out[10] = ' ';
	return out;
}

#endif
