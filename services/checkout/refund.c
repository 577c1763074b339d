/* Refunds by an administrator: in full, in part, or of lines. */
#include <string.h>

#include "common/check.h"
#include "common/id.h"
#include "common/idem.h"
#include "common/page.h"
#include "services/checkout/frozen.h"
#include "services/checkout/order_view.h"
#include "services/checkout/refund_db.h"
#include "services/checkout/refund_drive.h"
#include "services/checkout/refund_make.h"
#include "services/checkout/sweeper.h"

RPC_HANDLER(create_refund, Checkout__V1__CreateRefundRequest, Checkout__V1__Refund)
RPC_HANDLER(list_refunds, Checkout__V1__ListRefundsRequest, Checkout__V1__ListRefundsReply)
RPC_HANDLER(get_refund, Checkout__V1__RefundRequest, Checkout__V1__Refund)

const struct rpc_method checkout_refund_methods[] = {
	{ "CreateRefund", create_refund_, RPC_WRITE | RPC_KEYED, 0 },
	{ "ListRefunds", list_refunds_, RPC_READ, 0 },
	{ "GetRefund", get_refund_, RPC_READ, 0 },
	{ 0 },
};

static void fill(struct arena *a, const struct refund_row *r, Checkout__V1__Refund *out)
{
	out->id = (char *)r->id;
	out->order_id = (char *)r->order_id;
	out->amount = frozen_money(a, r->amount, r->currency);
	out->status = (char *)r->state;
	out->reason = *r->reason ? (char *)r->reason : NULL;
	out->provider_refund_id = (char *)r->provider_id;
	out->has_created_at = out->has_updated_at = true;
	out->created_at = r->created_at;
	out->updated_at = r->updated_at;
}

static enum err_code load(struct call *c, const char *id, struct refund_row **row_r)
{
	bool found = false;
	struct pg *pg;

	if (!id || strlen(id) > 40)
		return err_set(&c->err, E_NOT_FOUND, "refund.not_found", "no id");
	if (call_pg(c, &pg))
		return c->err.code;
	if (refund_db_get(pg, c->arena, id, row_r, &found, &c->err)) {
		pg_return(pg);
		return c->err.code;
	}
	pg_return(pg);
	return found ? OK : err_set(&c->err, E_NOT_FOUND, "refund.not_found", "%s", id);
}

struct create {
	struct call *c;
	const char *order_id;
	const char *currency; /* of the amount that was asked for; NULL: none */
	struct refund_ask ask;
	int64_t amount;
};

static enum err_code create_tx(struct pg *pg, void *arg, struct err *e)
{
	struct create *x = arg;
	struct order_row *o = NULL;
	bool found = false;

	if (order_db_lock(pg, x->c->arena, x->order_id, &o, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_NOT_FOUND, "order.not_found", "%s", x->order_id);
	if (x->currency && strcmp(x->currency, o->currency) != 0)
		return err_set(e, E_RULE, "common.currency_mismatch", "order in %s", o->currency);
	return refund_make(pg, x->c->arena, o, &x->ask, &x->amount, e);
}

static void check(struct call *c, const Checkout__V1__CreateRefundRequest *in)
{
	if (in->amount)
		check_money(&c->err, "amount", in->amount, 1, INT64_MAX);
	check_text(&c->err, "reason", in->reason, 1, 300);
	if (in->n_lines > TOTALS_LINES_MAX)
		err_detail(&c->err, "lines", NULL, "are too many");
	for (size_t i = 0; i < in->n_lines && i < TOTALS_LINES_MAX; i++) {
		check_id(&c->err, "lines.variant_id", in->lines[i]->variant_id, "var");
		check_range(&c->err, "lines.qty", in->lines[i]->qty, 1, 1000000);
		for (size_t k = 0; k < i && in->lines[i]->variant_id && in->lines[k]->variant_id; k++)
			if (strcmp(in->lines[k]->variant_id, in->lines[i]->variant_id) == 0)
				err_detail(&c->err, "lines.variant_id", in->lines[i]->variant_id, "is named twice");
	}
}

static void take_lines(struct call *c, const Checkout__V1__CreateRefundRequest *in, struct refund_ask *ask)
{
	const char **variants = arena_array(c->arena, in->n_lines + 1, sizeof(*variants));
	int32_t *qtys = arena_array(c->arena, in->n_lines + 1, sizeof(*qtys));

	for (size_t i = 0; i < in->n_lines; i++) {
		variants[i] = in->lines[i]->variant_id;
		qtys[i] = in->lines[i]->qty;
	}
	ask->variants = variants;
	ask->qtys = qtys;
	ask->n = in->n_lines;
}

static enum err_code nothing(struct pg *pg, void *arg, struct err *e)
{
	(void)pg;
	(void)arg;
	(void)e;
	return OK;
}

/* Asks the provider while the caller waits; what stays open is finished without it. */
static enum err_code drive(struct call *c, const char *id, Checkout__V1__Refund *out)
{
	const struct checkout_svc *svc = c->svc;
	struct refund_row *r = NULL;
	struct err e = { 0 };

	if (refund_drive(c, id, svc->conf->inline_ms, &e))
		err_clear(&e); /* the sweeper goes on */
	if (load(c, id, &r))
		return c->err.code;
	fill(c->arena, r, out);
	out->hdr_location = arena_printf(c->arena, "/api/admin/refunds/%s", id);
	if (strcmp(r->state, "pending") == 0 && !r->provider_id) {
		c->err.retry_after_ms = 2000;
		return err_set(&c->err, E_PENDING, "checkout.pending", "refund %s", id);
	}
	return c->idem ? call_tx(c, CALL_TX_LAST, nothing, NULL) : OK;
}

static enum err_code create_refund(struct call *c, const Checkout__V1__CreateRefundRequest *in, Checkout__V1__Refund *out)
{
	struct create x = { .c = c, .order_id = in->order_id };
	char id[ID_LEN];
	struct money m;

	if (call_perm(c, "admin.refunds"))
		return c->err.code;
	check(c, in);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "refund");
	if (idem_resume(c))
		return drive(c, idem_resume(c), out);
	id_new("rfd", id);
	x.ask = (struct refund_ask){ .id = arena_strdup(c->arena, id), .reason = in->reason,
				     .restock = in->has_restock && in->restock };
	take_lines(c, in, &x.ask);
	if (in->amount) {
		if (money_from_pb(in->amount, &m, &c->err))
			return c->err.code;
		x.ask.amount = money_minor(m);
		x.currency = in->amount->currency;
	}
	idem_resource(c, x.ask.id);
	if (call_tx(c, CALL_TX_FIRST, create_tx, &x))
		return c->err.code;
	return drive(c, x.ask.id, out);
}

static enum err_code get_refund(struct call *c, const Checkout__V1__RefundRequest *in, Checkout__V1__Refund *out)
{
	struct refund_row *r = NULL;

	if (call_perm(c, "admin.refunds") || load(c, in->refund_id, &r))
		return c->err.code;
	fill(c->arena, r, out);
	return OK;
}

static enum err_code list_refunds(struct call *c, const Checkout__V1__ListRefundsRequest *in,
				  Checkout__V1__ListRefundsReply *out)
{
	const char *filter = arena_printf(c->arena, "refunds|%s", in->order_id ? in->order_id : "");
	struct refund_row *rows = NULL;
	struct page page;
	size_t n = 0;
	struct pg *pg;

	if (call_perm(c, "admin.refunds") || page_of(c, in, filter, "t", &page) || call_pg(c, &pg))
		return c->err.code;
	if (refund_db_page(pg, c->arena, in->order_id, page_text(&page, 0, ""), page.limit + 1, &rows, &n, &c->err)) {
		pg_return(pg);
		return c->err.code;
	}
	pg_return(pg);
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < page_shown(&page, n); i++) {
		Checkout__V1__Refund *x = arena_alloc(c->arena, sizeof(*x));

		checkout__v1__refund__init(x);
		fill(c->arena, &rows[i], x);
		out->data[out->n_data++] = x;
	}
	if (page_more(&page, n))
		out->next_cursor = page_next(c, &page, rows[page.limit - 1].id);
	return OK;
}
