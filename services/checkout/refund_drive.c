#include "services/checkout/refund_drive.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/outbox.h"
#include "common/timeutil.h"
#include "events.pb-c.h"
#include "services/checkout/checkout_remote.h"
#include "services/checkout/frozen.h"
#include "services/checkout/order_db_read.h"
#include "services/checkout/pay.h"
#include "services/checkout/refund_db.h"

#define KEY_TRIES 5

struct outcome {
	struct call *c;
	struct refund_row *r;
	enum { GOOD, BAD, LATER } what;
	const char *provider_id;
	int32_t key_n, tries, ms;
};

static enum err_code add_lines(struct pg *pg, const struct refund_row *r, Events__V1__OrderChanged *m, struct arena *a,
			       struct err *e)
{
	struct refund_line_row *rows = NULL;
	size_t n = 0;

	if (refund_db_lines(pg, a, r->id, r->order_id, &rows, &n, e))
		return e->code;
	m->lines = arena_array(a, n + 1, sizeof(*m->lines));
	for (size_t i = 0; i < n; i++) {
		Events__V1__OrderLine *l = arena_alloc(a, sizeof(*l));

		events__v1__order_line__init(l);
		l->variant_id = (char *)rows[i].variant_id;
		l->product_id = (char *)rows[i].product_id;
		l->vendor_id = (char *)rows[i].vendor_id;
		l->has_qty = true;
		l->qty = rows[i].qty;
		m->lines[m->n_lines++] = l;
	}
	return OK;
}

static enum err_code tell(struct pg *pg, const struct refund_row *r, const char *status, struct arena *a, struct err *e)
{
	Events__V1__OrderChanged m = EVENTS__V1__ORDER_CHANGED__INIT;
	struct order_row *o = NULL;
	bool found = false;

	if (order_db_get(pg, a, r->order_id, &o, &found, e) || add_lines(pg, r, &m, a, e))
		return e->code;
	m.order_id = (char *)r->order_id;
	m.user_id = (char *)r->user_id;
	m.status = (char *)status;
	m.refund_id = (char *)r->id;
	m.amount = frozen_money(a, r->amount, r->currency);
	return outbox_put(pg, "order", r->order_id, found ? o->version : 0, "order.refunded", &m.base, e);
}

static enum err_code store_tx(struct pg *pg, void *arg, struct err *e)
{
	struct outcome *o = arg;
	bool done = false;

	switch (o->what) {
	case GOOD:
		if (refund_db_succeed(pg, o->r, o->provider_id, &done, e) || !done || !o->r->order_id)
			return e->code;
		return tell(pg, o->r, "refunded", o->c->arena, e);
	case BAD:
		return refund_db_fail(pg, o->r, &done, e);
	case LATER:
		break;
	}
	return refund_db_later(pg, o->r, o->provider_id, o->key_n, o->tries, o->ms, e);
}

static enum err_code store(struct outcome *o, struct err *e)
{
	const struct pg_actor who = { call_actor(o->c), o->c->request_id };

	return pg_tx(o->c->pool, mono_ms() + 10000, &who, store_tx, o, e);
}

static bool is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static void read_status(struct outcome *o, const struct pay_reply *r)
{
	const char *s = r->refund.status;

	o->provider_id = r->refund.id;
	if (is(s, "succeeded")) {
		o->what = GOOD;
	} else if (is(s, "failed") || is(s, "canceled")) {
		o->what = BAD;
	} else {
		o->what = LATER;
		o->tries = 0;
		o->ms = 60000; /* the provider tells when it knows; else we ask */
	}
}

static void unknown(struct outcome *o)
{
	o->what = LATER;
	o->tries = o->r->tries + 1;
	o->ms = o->tries > 0 && o->tries < 6 ? 500 << o->tries : 30000;
}

static void alert(const struct refund_row *r, const struct pay_reply *p)
{
	log_msg(LVL_CRITICAL, "a refund was refused", LF_S("refund_id", r->id), LF_S("order_id", r->order_id),
		LF_I("status", p->status), LF_S("code", p->code), LF_S("provider_says", p->text));
}

/* The charge has been given back as a whole: by our refund, or by one that somebody made at the provider and that is no
 * other refund of ours already. p is replaced only when it is found. */
static enum pay_result repaid(const struct outcome *o, const struct pay_call *pc, struct pay_reply *p)
{
	struct refund_row *owner = NULL;
	struct pay_reply known = { 0 };
	struct err e = { 0 };
	bool taken = false;
	struct pg *pg;
	enum pay_result res = pay_find_repaid(pc, o->r->pi_id, o->r->id, o->r->amount, &known);

	if (res != PAY_OK)
		return res;
	if (pg_borrow(o->c->pool, mono_ms() + 5000, &pg, &e))
		return PAY_UNKNOWN;
	if (refund_db_by_provider(pg, pc->arena, known.refund.id, &owner, &taken, &e))
		res = PAY_UNKNOWN;
	else if (taken && !is(owner->id, o->r->id))
		res = PAY_REFUSED;
	else
		*p = known;
	pg_return(pg);
	return res;
}

static enum pay_result make(const struct outcome *o, const struct pay_call *pc, struct pay_reply *p)
{
	const struct refund_row *r = o->r;
	enum pay_result res;

	if (r->age_ms > PAY_KEY_MS) {
		res = pay_find_refund(pc, r->pi_id, r->id, p);
		if (res != PAY_REFUSED)
			return res;
	}
	res = pay_refund(pc, arena_printf(pc->arena, "%s.%d", r->id, (int)r->key_n), r->pi_id, r->amount, r->id, p);
	return res == PAY_REFUSED && pay_already_refunded(p) ? repaid(o, pc, p) : res;
}

/*
 * Asks with the stored key; after several open outcomes looks for the refund itself before another key is used, and once
 * the provider may have forgotten the key, before every try.
 */
static void ask(struct outcome *o, const struct pay_call *pc)
{
	const struct refund_row *r = o->r;
	struct pay_reply p = { 0 };
	enum pay_result res;

	o->key_n = r->key_n;
	if (r->provider_id) {
		res = pay_refund_get(pc, r->provider_id, &p);
	} else if (r->tries >= KEY_TRIES && r->tries % 2) {
		res = pay_find_refund(pc, r->pi_id, r->id, &p);
		if (res == PAY_REFUSED) { /* known dead */
			unknown(o);
			o->key_n++;
			o->tries = 0;
			o->ms = 100;
			return;
		}
	} else {
		res = make(o, pc, &p);
	}
	switch (res) {
	case PAY_OK:
		read_status(o, &p);
		break;
	case PAY_REFUSED:
		alert(r, &p);
		if (r->provider_id || p.mismatch_of_key)
			unknown(o);
		else
			o->what = BAD;
		break;
	case PAY_NOT_SENT:
	case PAY_UNKNOWN:
		unknown(o);
		break;
	}
}

enum err_code refund_drive(struct call *c, const char *refund_id, int64_t pay_timeout_ms, struct err *e)
{
	const struct checkout_svc *svc = c->svc;
	const struct pay_call pc = { svc->pay, c->arena, pay_timeout_ms };
	struct outcome o = { .c = c };
	bool found = false;
	struct pg *pg;

	if (pg_borrow(c->pool, mono_ms() + 5000, &pg, e))
		return e->code;
	if (refund_db_get(pg, c->arena, refund_id, &o.r, &found, e)) {
		pg_return(pg);
		return e->code;
	}
	pg_return(pg);
	if (!found)
		return err_set(e, E_NOT_FOUND, "refund.not_found", "%s", refund_id);
	if (strcmp(o.r->state, "pending") != 0)
		return OK;
	ask(&o, &pc);
	return store(&o, e);
}

enum err_code refund_look(struct call *c, const char *provider_id, struct err *e)
{
	const struct checkout_svc *svc = c->svc;
	const struct pay_call pc = { svc->pay, c->arena, 10000 };
	struct outcome o = { .c = c };
	struct pay_reply p = { 0 };
	bool found = false;
	struct pg *pg;

	if (pg_borrow(c->pool, mono_ms() + 5000, &pg, e))
		return e->code;
	if (refund_db_by_provider(pg, c->arena, provider_id, &o.r, &found, e)) {
		pg_return(pg);
		return e->code;
	}
	pg_return(pg);
	if (!found)
		return OK; /* its own driver has not stored the id yet, and will learn the status itself */
	if (pay_refund_get(&pc, provider_id, &p) != PAY_OK)
		return err_set(e, E_UNAVAILABLE, "httpc.outcome_unknown", "refund %s", provider_id);
	read_status(&o, &p);
	if (o.what == LATER || (o.what == GOOD && is(o.r->state, "succeeded")) || (o.what == BAD && is(o.r->state, "failed")))
		return OK;
	if (o.what == BAD)
		alert(o.r, &p);
	return store(&o, e);
}

enum err_code refund_note_dispute(struct checkout_svc *svc, const char *pi_id, struct err *e)
{
	struct pg *pg;

	log_msg(LVL_ERROR, "a payment is disputed", LF_S("payment_intent", pi_id));
	if (pg_borrow(svc->pool, mono_ms() + 5000, &pg, e))
		return e->code;
	if (refund_db_dispute(pg, pi_id, e)) {
		pg_return(pg);
		return e->code;
	}
	pg_return(pg);
	return OK;
}

int refund_sweep(struct call *c, int limit, int64_t pay_timeout_ms)
{
	struct refund_due_row *rows = NULL;
	struct err e = { 0 };
	size_t n = 0;
	struct pg *pg;

	if (pg_borrow(c->pool, mono_ms() + 2000, &pg, &e))
		return 0;
	if (refund_db_due(pg, c->arena, limit, &rows, &n, &e))
		n = 0;
	pg_return(pg);
	for (size_t i = 0; i < n; i++) {
		err_clear(&e);
		if (refund_drive(c, rows[i].id, pay_timeout_ms, &e))
			log_err(LVL_WARNING, "a refund could not be driven", &e);
	}
	return (int)n;
}

/* ---- units to put back ---- */

static struct stock_line *units(struct arena *a, const struct restock_row *r, size_t *n_r)
{
	char *variants = arena_strdup(a, r->variants ? r->variants : ""), *qtys = arena_strdup(a, r->qtys ? r->qtys : "");
	size_t n = 0, max = strlen(variants) / 2 + 1;
	struct stock_line *l = arena_array(a, max, sizeof(*l));
	char *v, *q;

	while (*variants && n < max && (v = strsep(&variants, ",")) && (q = strsep(&qtys, ","))) {
		l[n++] = (struct stock_line){ v, (int32_t)strtol(q, NULL, 10) };
		if (!variants)
			break;
	}
	*n_r = n;
	return l;
}

/* Inventory's own word that nothing can ever be put back under this key; whatever else went wrong may pass. */
static bool refused_for_good(const struct err *e)
{
	return err_is(e, "inventory.not_sold") || err_is(e, "inventory.restock_too_much") ||
	       err_is(e, "inventory.reservation_unknown");
}

/* Done, or given up: told once, for a person to correct the stock by hand. */
static void restock_one(struct call *c, const struct restock_row *r)
{
	struct err e = { 0 };
	struct pg *pg;
	size_t n = 0;
	struct stock_line *lines = units(c->arena, r, &n);

	err_clear(&c->err);
	c->deadline_ms = mono_ms() + 5000;
	if (checkout_remote_restock(c, r->operation_id, r->reservation_key, lines, n, r->reason)) {
		if (!refused_for_good(&c->err)) {
			log_err(r->tries > 10 ? LVL_CRITICAL : LVL_WARNING, "units could not be put back", &c->err);
			return;
		}
		metric_add(metric_counter(RESTOCKS_REFUSED, "Units that inventory would not take back", NULL), 1);
		log_msg(LVL_CRITICAL, "units are not put back: inventory refuses them for good",
			LF_S("operation_id", r->operation_id), LF_S("reservation_key", r->reservation_key),
			LF_S("variants", r->variants), LF_S("qtys", r->qtys), LF_S("error", c->err.slug));
	}
	if (pg_borrow(c->pool, mono_ms() + 5000, &pg, &e))
		return;
	if (restock_db_done(pg, r->operation_id, &e))
		log_err(LVL_WARNING, "a restock could not be marked", &e);
	pg_return(pg);
}

int restock_sweep(struct call *c, int limit)
{
	struct restock_row *rows = NULL;
	struct err e = { 0 };
	size_t n = 0;
	struct pg *pg;

	if (pg_borrow(c->pool, mono_ms() + 2000, &pg, &e))
		return 0;
	if (restock_db_due(pg, c->arena, limit, &rows, &n, &e))
		n = 0;
	pg_return(pg);
	for (size_t i = 0; i < n; i++)
		restock_one(c, &rows[i]);
	return (int)n;
}
