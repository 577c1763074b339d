/* What the catalog allows, as pure functions. */
#ifndef SOUK_CATALOG_RULES_H
#define SOUK_CATALOG_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/err.h"

/* "Tea Pot, 1.5 l" -> "tea-pot-1-5-l": ASCII letters and digits, Latin accents dropped, at most 80; "item" when nothing is left. */
char *catalog_slug(struct arena *a, const char *title);
/* The slug with the last six characters of an id, for when the plain one is taken. */
char *catalog_slug_unique(struct arena *a, const char *slug, const char *id);
/* The version in a tag "<id>-<version>" of this id; -1 when it names another. NULL or "" tag: -1 with *any_r true. */
int64_t catalog_tag_version(const char *tag, const char *id, bool *any_r);
/* "name:value" cut in two; false without a colon or an empty name. */
bool catalog_attr_parse(struct arena *a, const char *s, const char **name_r, const char **value_r);
/* A flat JSON object: values are texts (at most CATALOG_VALUE_MAX bytes), numbers, booleans, or lists of texts. Adds a detail otherwise. */
bool catalog_attributes_ok(struct err *e, const char *field, const char *json);

/* A picture's name in the object store: 1 to 300 bytes, a relative path without "..". */
void catalog_check_media(struct err *e, const char *field, const char *key);

#endif
