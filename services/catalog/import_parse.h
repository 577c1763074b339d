/* Cutting a stream of bytes into records, and a CSV record into fields. Pure: no I/O. */
#ifndef SOUK_CATALOG_IMPORT_PARSE_H
#define SOUK_CATALOG_IMPORT_PARSE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/arena.h"

#define IMPORT_RECORD_MAX (1024 * 1024)

/*
 * The next record of [p, p + n): its length without the line end in *len_r, the bytes to skip in *skip_r. false: no
 * complete record (at_end: what is left, when not empty, is the last one). csv: line ends inside quotes belong to the record.
 */
bool import_record(const char *p, size_t n, bool csv, bool at_end, size_t *len_r, size_t *skip_r);

/* RFC 4180 fields, in the arena; quotes doubled inside quotes. n_r -1: malformed (text after a closing quote, open quote). */
char **import_csv_fields(struct arena *a, const char *p, size_t n, int *n_r);

#endif
