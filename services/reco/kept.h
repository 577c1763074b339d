/*
 * Candidates kept in Redis, so that an answer needs neither scoring nor counting. The key carries the model's version:
 * a deployment drops what the model before had said. Whether a candidate may be shown is never kept.
 */
#ifndef SOUK_RECO_KEPT_H
#define SOUK_RECO_KEPT_H

#include "services/reco/reco.h"
#include "services/reco/reco_db_features.h"

struct candidate {
	const char *id, *reason, *because; /* because NULL: nothing in particular */
	double score;
};
struct candidates {
	struct candidate *list;
	size_t n, room;
	size_t own; /* the first so many are what was asked for; the rest is a fallback */
};

#define KEPT_KEY_LEN 192
/* What the candidates depend on. Texts may be NULL. */
struct kept_on {
	const char *version, *type, *product_id, *category;
	char *const *cart;
	size_t n_cart;
	const struct reco_history_row *past;
	size_t n_past;
};
void kept_key(const struct kept_on *, char key_r[KEPT_KEY_LEN]);

/* From the process itself (hot.h), else from Redis. False: nothing is kept, or Redis is away. Texts live in the arena. */
bool kept_get(const struct reco_svc *, struct arena *, const char *key, struct candidates *);
/* At most the first 150, for life_s seconds and a little; an empty list is not kept. */
void kept_put(const struct reco_svc *, const char *key, const struct candidates *, int life_s);

/* As kept: a line for each. kept_read is false for what kept_write did not write. */
struct buf;
void kept_write(struct buf *, const struct candidates *);
bool kept_read(struct arena *, const char *text, size_t len, struct candidates *);

#endif
