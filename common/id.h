/*
 * TypeIDs: "<prefix>_<26 base32 characters of a UUIDv7>", e.g. "ord_01jd3k…". Sortable by creation time; those of one
 * process are strictly increasing. Not secrets: nothing is granted for knowing one.
 */
#ifndef SOUK_ID_H
#define SOUK_ID_H

#include <stdbool.h>
#include <stdint.h>

#define ID_LEN 32 /* longest id and its NUL: a prefix has at most 5 letters */

void id_new(const char *prefix, char out[ID_LEN]);
bool id_valid(const char *prefix /* NULL: any */, const char *s); /* NULL s is not valid */
int64_t id_time_ms(const char *id);				   /* when it was made; -1 when it is no id */

void id_uuid(char out[37]); /* UUIDv7 in the usual form, for uuid columns */

/* Request ids: ^[A-Za-z0-9_-]{8,64}$ */
bool id_request_ok(const char *s);

#endif
