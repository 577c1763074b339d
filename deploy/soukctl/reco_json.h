/* Fields of the answers about recommendations, for printing. */
#ifndef SOUK_SOUKCTL_RECO_JSON_H
#define SOUK_SOUKCTL_RECO_JSON_H

#include <jansson.h>

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

#endif
