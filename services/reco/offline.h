/*
 * Data sets in files, trained and scored with the models of this daemon: the quality of the code as figures, beside
 * baselines. Formats: pairs and sessions as lines of numbers; orders as a table (invoice, ts, customer, sku, qty, price).
 */
#ifndef SOUK_RECO_OFFLINE_H
#define SOUK_RECO_OFFLINE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/arena.h"
#include "common/err.h"
#include "services/reco/lists.h"

struct offline {
	FILE *out;
	int threads, factors, sweeps;
	uint64_t seed;
	const char *run_file; /* NULL, or where the lists of the last model go: "user item item ..." */
	int failed;	      /* figures below their floor */
};

/* "user item item ..." lines: train, and what is to be found. */
MUST_CHECK enum err_code offline_pairs(struct offline *o, const char *train, const char *test, struct err *e);
/* An order table; the last `days` days are the test, all events are cut at one instant. */
MUST_CHECK enum err_code offline_orders(struct offline *o, const char *orders, int days, struct err *e);
/* "item item ..." lines in time order; the last twentieth is the test, each step predicted from those before it. */
MUST_CHECK enum err_code offline_sessions(struct offline *o, const char *sessions, struct err *e);

/* One line of the table: the metrics with their intervals; counts a failure when one is below its floor. */
void offline_row(struct offline *o, const char *name, const struct lists_score *s, double floor_a, double floor_b,
		 bool of_hits);
/* The rest of the file's line as numbers, into a growing array; *n_r -1 at the end of the file. */
MUST_CHECK enum err_code offline_numbers(FILE *f, const char *file, int32_t **v, size_t *room, ssize_t *n_r, struct err *e);
double offline_seconds(void);

#endif
