/*
 * How many people asked the same, without keeping who: within a day each counts once for a query. Who it was stands
 * nowhere but as bits set under a key that is made at random and forgotten with the day. Not for several threads at once.
 */
#ifndef SOUK_SEARCH_PEOPLE_H
#define SOUK_SEARCH_PEOPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/compiler.h"

struct people;
struct people *people_new(void) RETURNS_NONNULL;
void people_free(struct people *p); /* NULL is fine */

/* True the first time that who (a user's id or an address; NULL never counts) asks this on the day of now_ms. */
bool people_first(struct people *p, int64_t now_ms, const char *who, const char *query);

#endif
