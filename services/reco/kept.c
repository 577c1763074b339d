#include "services/reco/kept.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/crypto.h"
#include "services/reco/hot.h"

#define KEPT_MAX HOT_ITEMS
#define KEPT_BYTES 65536

static void add_text(struct sha256_ctx *h, const char *s)
{
	sha256_add(h, s ? s : "", s ? strlen(s) + 1 : 1);
}

static void add_number(struct sha256_ctx *h, int64_t n)
{
	sha256_add(h, &n, sizeof(n));
}

/* A weight falls with every second; counts and times say when a person did something. */
static void add_past(struct sha256_ctx *h, const struct reco_history_row *r)
{
	add_text(h, r->product_id);
	add_number(h, r->n_view);
	add_number(h, r->n_cart);
	add_number(h, r->n_buy);
	add_number(h, r->rating);
	add_number(h, r->last_at);
}

void kept_key(const struct kept_on *on, char key_r[KEPT_KEY_LEN])
{
	struct sha256_ctx *h = sha256_start();
	uint8_t sum[SHA256_LEN];
	int at;

	add_text(h, on->product_id);
	add_text(h, on->category);
	add_number(h, (int64_t)on->n_cart);
	for (size_t i = 0; i < on->n_cart; i++)
		add_text(h, on->cart[i]);
	add_number(h, (int64_t)on->n_past);
	for (size_t i = 0; i < on->n_past; i++)
		add_past(h, &on->past[i]);
	sha256_end(h, sum);
	at = snprintf(key_r, KEPT_KEY_LEN, "reco:%.80s:%.40s:", on->version, on->type);
	for (size_t i = 0; i < 20; i++)
		at += snprintf(key_r + at, KEPT_KEY_LEN - (size_t)at, "%02x", sum[i]);
}

/* ---- as text ---- */

void kept_write(struct buf *b, const struct candidates *c)
{
	size_t n = c->n < KEPT_MAX ? c->n : KEPT_MAX;

	buf_fmt(b, "1 %zu %zu\n", n, c->own < n ? c->own : n);
	for (size_t i = 0; i < n; i++)
		buf_fmt(b, "%s\t%s\t%s\t%.9g\n", c->list[i].id, c->list[i].reason,
			c->list[i].because ? c->list[i].because : "", c->list[i].score);
}

/* The text up to the next `end`, which becomes NUL; NULL when there is none before `stop`. */
static char *part(char **at, char *stop, char end)
{
	char *from = *at, *to = memchr(from, end, (size_t)(stop - from));

	if (!to)
		return NULL;
	*to = '\0';
	*at = to + 1;
	return from;
}

static bool number(const char *s, double *r)
{
	char *end;

	*r = strtod(s, &end);
	return *s && !*end && isfinite(*r);
}

static bool read_one(char **at, char *stop, struct candidate *c)
{
	char *id = part(at, stop, '\t'), *reason = id ? part(at, stop, '\t') : NULL,
	     *because = reason ? part(at, stop, '\t') : NULL, *score = because ? part(at, stop, '\n') : NULL;

	if (!score || !*id || !*reason || !number(score, &c->score))
		return false;
	c->id = id;
	c->reason = reason;
	c->because = *because ? because : NULL;
	return true;
}

bool kept_read(struct arena *a, const char *text, size_t len, struct candidates *c)
{
	char *copy = arena_dup(a, text, len), *at = copy, *stop = copy + len;
	char *kind = part(&at, stop, ' '), *n_text = kind ? part(&at, stop, ' ') : NULL,
	     *own_text = n_text ? part(&at, stop, '\n') : NULL;
	double n, own;

	if (!own_text || strcmp(kind, "1") != 0 || !number(n_text, &n) || !number(own_text, &own) || n < 0 || own < 0 ||
	    own > n || n > KEPT_MAX || n > (double)c->room)
		return false;
	for (size_t i = 0; i < (size_t)n; i++)
		if (!read_one(&at, stop, &c->list[i]))
			return false;
	if (at != stop)
		return false;
	c->n = (size_t)n;
	c->own = (size_t)own;
	return true;
}

/* ---- in Redis ---- */

bool kept_get(const struct reco_svc *svc, struct arena *a, const char *key, struct candidates *c)
{
	struct pg_bytes val = { 0 };
	struct err e = { 0 };
	bool found = false;

	if (svc->conf->cache_s <= 0)
		return false;
	if (hot_get(svc->hot, a, key, c))
		return true;
	if (!svc->cache || cache_get(svc->cache, key, a, &val, &found, &e) || !found || !kept_read(a, val.data, val.len, c))
		return false;
	hot_put(svc->hot, key, c, HOT_MS);
	return true;
}

void kept_put(const struct reco_svc *svc, const char *key, const struct candidates *c, int life_s)
{
	int64_t life_ms = (int64_t)life_s * 1000;
	uint16_t chance;
	struct err e = { 0 };
	struct buf b;

	if (svc->conf->cache_s <= 0 || c->n == 0)
		return;
	hot_put(svc->hot, key, c, life_ms);
	if (!svc->cache)
		return;
	random_bytes(&chance, sizeof(chance)); /* what was kept together does not end together */
	life_ms -= life_ms / 10 * chance / UINT16_MAX;
	buf_init(&b, KEPT_BYTES);
	kept_write(&b, c);
	if (!buf_over(&b) && cache_set(svc->cache, key, (struct pg_bytes){ b.data, b.len }, life_ms, &e))
		err_clear(&e); /* a cache that is away keeps nothing */
	buf_free(&b);
}
