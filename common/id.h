/* TypeIDs: prefix, underscore, 26 base32 characters of a UUIDv7 (sortable by time of making). Source: typeid spec 0.3. */
#ifndef SOUK_ID_H
#define SOUK_ID_H

#include <stdbool.h>

#define ID_LEN 32

void id_new(const char *prefix, char out[ID_LEN]); /* prefix of 1 to 4 letters */
bool id_valid(const char *prefix, const char *s);  /* NULL is not */
void id_uuid(char out[37]);			    /* a plain UUIDv7 text */

#endif
