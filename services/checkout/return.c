/* Returns: the buyer asks, the vendor approves or rejects, and what has come in is refunded. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/id.h"
#include "common/page.h"
#include "services/checkout/admin_db.h"
#include "services/checkout/order_view.h"
#include "services/checkout/refund_make.h"
#include "services/checkout/sweeper.h"

RPC_HANDLER(create_return, Checkout__V1__CreateReturnRequest, Checkout__V1__CreateReturnReply)
RPC_HANDLER(list_order_returns, Checkout__V1__OrderRequest, Checkout__V1__ListReturnsReply)
RPC_HANDLER(list_vendor_returns, Checkout__V1__ListReturnsRequest, Checkout__V1__ListReturnsReply)
RPC_HANDLER(approve_return, Checkout__V1__DecideReturnRequest, Checkout__V1__Return)
RPC_HANDLER(reject_return, Checkout__V1__DecideReturnRequest, Checkout__V1__Return)
RPC_HANDLER(receive_return, Checkout__V1__DecideReturnRequest, Checkout__V1__Return)

const struct rpc_method checkout_return_methods[] = {
	{ "CreateReturn", create_return_, RPC_WRITE | RPC_KEYED, 0 },
	{ "ListOrderReturns", list_order_returns_, RPC_READ, 0 },
	{ "ListVendorReturns", list_vendor_returns_, RPC_READ, 0 },
	{ "ApproveReturn", approve_return_, RPC_WRITE | RPC_KEYED, 0 },
	{ "RejectReturn", reject_return_, RPC_WRITE | RPC_KEYED, 0 },
	{ "ReceiveReturn", receive_return_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

#define LINES_MAX 100

/* "a,b" and "1,2" -> parallel arrays. */
static size_t split(struct arena *a, const struct return_row *r, const char ***variants_r, int32_t **qtys_r)
{
	char *v = arena_strdup(a, r->variants ? r->variants : ""), *q = arena_strdup(a, r->qtys ? r->qtys : "");
	const char **variants = arena_array(a, LINES_MAX + 1, sizeof(*variants));
	int32_t *qtys = arena_array(a, LINES_MAX + 1, sizeof(*qtys));
	char *x, *y;
	size_t n = 0;

	while (n < LINES_MAX && v && *v && (x = strsep(&v, ",")) && (y = strsep(&q, ","))) {
		variants[n] = x;
		qtys[n++] = (int32_t)strtol(y, NULL, 10);
	}
	*variants_r = variants;
	*qtys_r = qtys;
	return n;
}

static void fill(struct arena *a, const struct return_row *r, Checkout__V1__Return *out)
{
	const char **variants;
	int32_t *qtys;
	size_t n = split(a, r, &variants, &qtys);

	out->id = (char *)r->id;
	out->order_id = (char *)r->order_id;
	out->vendor_order_id = (char *)r->vendor_order_id;
	out->status = (char *)r->status;
	out->reason = (char *)r->reason;
	out->note = *r->note ? (char *)r->note : NULL;
	out->refund_id = (char *)r->refund_id;
	out->has_created_at = out->has_updated_at = out->has_version = true;
	out->created_at = r->created_at;
	out->updated_at = r->updated_at;
	out->version = r->version;
	out->lines = arena_array(a, n + 1, sizeof(*out->lines));
	for (size_t i = 0; i < n; i++) {
		Checkout__V1__ReturnLine *l = arena_alloc(a, sizeof(*l));

		checkout__v1__return_line__init(l);
		l->variant_id = (char *)variants[i];
		l->has_qty = true;
		l->qty = qtys[i];
		out->lines[out->n_lines++] = l;
	}
}

/* ---- the buyer asks ---- */

struct ask {
	struct call *c;
	const Checkout__V1__CreateReturnRequest *in;
	Checkout__V1__CreateReturnReply *out;
	struct order_parts p;
};

static const struct oline_row *line_of(const struct order_parts *p, const char *variant_id)
{
	for (size_t i = 0; i < p->n_lines; i++)
		if (strcmp(p->lines[i].variant_id, variant_id) == 0)
			return &p->lines[i];
	return NULL;
}

/* One return per vendor order; its lines are those asked for that belong to it. */
static enum err_code ask_vendor(struct pg *pg, struct ask *x, const struct vorder_row *v, struct err *e)
{
	struct arena *a = x->c->arena;
	struct return_row *row = NULL;
	bool found = false, begun = false;
	Checkout__V1__Return *r;
	char id[ID_LEN];

	id_new("ret", id);
	for (size_t i = 0; i < x->in->n_lines; i++) {
		const struct oline_row *l = line_of(&x->p, x->in->lines[i]->variant_id);

		if (strcmp(l->vendor_order_id, v->id) != 0)
			continue;
		if (strcmp(v->status, "delivered") != 0)
			return err_set(e, E_CONFLICT, "order.not_delivered", "%s is %s", v->id, v->status);
		if (!begun && return_db_insert(pg, id, v->order_id, v->id, v->vendor_id, x->in->reason, e))
			return e->code;
		begun = true;
		if (return_db_line(pg, id, v->order_id, l->variant_id, x->in->lines[i]->qty, e)) {
			if (strcmp(pg_constraint(pg), "order_line_returned") == 0)
				return err_set(e, E_CONFLICT, "order.too_many_returned", "%s", l->variant_id);
			return e->code;
		}
	}
	if (!begun)
		return OK;
	if (return_db_get(pg, a, v->vendor_id, id, false, &row, &found, e))
		return e->code;
	r = arena_alloc(a, sizeof(*r));
	checkout__v1__return__init(r);
	fill(a, row, r);
	x->out->data[x->out->n_data++] = r;
	return OK;
}

static enum err_code ask_tx(struct pg *pg, void *arg, struct err *e)
{
	struct ask *x = arg;
	struct arena *a = x->c->arena;
	bool found = false;

	x->out->n_data = 0;
	if (order_db_lock(pg, a, x->in->order_id, &x->p.order, &found, e))
		return e->code;
	if (!found || !order_is_mine(x->c, x->p.order, x->in->hdr_order_token))
		return err_set(e, E_NOT_FOUND, "order.not_found", "%s", x->in->order_id);
	if (vorder_db_of_order(pg, a, x->p.order->id, &x->p.vendors, &x->p.n_vendors, e) ||
	    oline_db_of(pg, a, x->p.order->id, NULL, &x->p.lines, &x->p.n_lines, e))
		return e->code;
	for (size_t i = 0; i < x->in->n_lines; i++) {
		if (line_of(&x->p, x->in->lines[i]->variant_id))
			continue;
		err_detail(e, "lines.variant_id", x->in->lines[i]->variant_id, "The order has no such line.");
		return err_set(e, E_INVALID, "order.line_unknown", "%s", x->in->lines[i]->variant_id);
	}
	x->out->data = arena_array(a, x->p.n_vendors + 1, sizeof(*x->out->data));
	for (size_t i = 0; i < x->p.n_vendors; i++)
		if (ask_vendor(pg, x, &x->p.vendors[i], e))
			return e->code;
	return OK;
}

static enum err_code create_return(struct call *c, const Checkout__V1__CreateReturnRequest *in,
				   Checkout__V1__CreateReturnReply *out)
{
	struct ask x = { .c = c, .in = in, .out = out };

	check_text(&c->err, "reason", in->reason, 1, 500);
	if (in->n_lines == 0 || in->n_lines > LINES_MAX)
		err_detail(&c->err, "lines", NULL, "must be 1 to %d", LINES_MAX);
	for (size_t i = 0; i < in->n_lines && i < LINES_MAX; i++) {
		check_id(&c->err, "lines.variant_id", in->lines[i]->variant_id, "var");
		check_range(&c->err, "lines.qty", in->lines[i]->qty, 1, 1000000);
		for (size_t k = 0; k < i && in->lines[i]->variant_id && in->lines[k]->variant_id; k++)
			if (strcmp(in->lines[k]->variant_id, in->lines[i]->variant_id) == 0)
				err_detail(&c->err, "lines.variant_id", in->lines[i]->variant_id, "is named twice");
	}
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "return");
	if (!in->order_id || strlen(in->order_id) > 40)
		return err_set(&c->err, E_NOT_FOUND, "order.not_found", "no id");
	return call_tx(c, CALL_TX_ONLY, ask_tx, &x);
}

/* ---- the vendor decides ---- */

struct decide {
	struct call *c;
	const Checkout__V1__DecideReturnRequest *in;
	const char *from, *to;
	Checkout__V1__Return *out;
};

/* The goods are back: their price goes to the buyer, and the units on the shelf unless they are spoilt. */
static enum err_code refund(struct pg *pg, struct decide *x, const struct return_row *r, const char **id_r, struct err *e)
{
	struct arena *a = x->c->arena;
	struct refund_ask ask = { .reason = "returned", .restock = !x->in->has_restock || x->in->restock };
	struct order_row *o = NULL;
	const char **variants;
	int64_t amount = 0;
	bool found = false;
	int32_t *qtys;
	char id[ID_LEN];

	if (order_db_lock(pg, a, r->order_id, &o, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_INTERNAL, "common.internal", "return %s without its order", r->id);
	ask.n = split(a, r, &variants, &qtys);
	ask.variants = variants;
	ask.qtys = qtys;
	id_new("rfd", id);
	ask.id = arena_strdup(a, id);
	if (refund_make(pg, a, o, &ask, &amount, e))
		return e->code;
	*id_r = ask.id;
	return OK;
}

static enum err_code decide_tx(struct pg *pg, void *arg, struct err *e)
{
	struct decide *x = arg;
	struct call *c = x->c;
	const char *refund_id = NULL;
	struct return_row *r = NULL;
	bool found = false, done = false;

	if (return_db_get(pg, c->arena, c->who.vendor_id, x->in->return_id, true, &r, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_NOT_FOUND, "order.return_not_found", "%s", x->in->return_id);
	if (strcmp(r->status, x->from) != 0)
		return err_set(e, E_CONFLICT, "order.state", "%s is %s", r->id, r->status);
	if (strcmp(x->to, "rejected") == 0 && return_db_uncount(pg, r->id, e))
		return e->code;
	if (strcmp(x->to, "received") == 0 && refund(pg, x, r, &refund_id, e))
		return e->code;
	if (return_db_move(pg, r->id, x->from, x->to, x->in->note, refund_id, &done, e) ||
	    return_db_get(pg, c->arena, c->who.vendor_id, r->id, false, &r, &found, e))
		return e->code;
	checkout__v1__return__init(x->out);
	fill(c->arena, r, x->out);
	return OK;
}

static enum err_code decide(struct call *c, const Checkout__V1__DecideReturnRequest *in, const char *from, const char *to,
			    Checkout__V1__Return *out)
{
	const struct checkout_svc *svc = c->svc;
	struct decide x = { c, in, from, to, out };

	if (call_vendor(c, "vendor.orders"))
		return c->err.code;
	check_text(&c->err, "note", in->note, 0, 500);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "return");
	if (!in->return_id || strlen(in->return_id) > 40)
		return err_set(&c->err, E_NOT_FOUND, "order.return_not_found", "no id");
	if (call_tx(c, CALL_TX_ONLY, decide_tx, &x))
		return c->err.code;
	sweeper_kick(svc->sweeper);
	return OK;
}

static enum err_code approve_return(struct call *c, const Checkout__V1__DecideReturnRequest *in, Checkout__V1__Return *out)
{
	return decide(c, in, "requested", "approved", out);
}

static enum err_code reject_return(struct call *c, const Checkout__V1__DecideReturnRequest *in, Checkout__V1__Return *out)
{
	return decide(c, in, "requested", "rejected", out);
}

static enum err_code receive_return(struct call *c, const Checkout__V1__DecideReturnRequest *in, Checkout__V1__Return *out)
{
	return decide(c, in, "approved", "received", out);
}

static void fill_all(struct arena *a, const struct return_row *rows, size_t n, Checkout__V1__ListReturnsReply *out)
{
	out->data = arena_array(a, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < n; i++) {
		Checkout__V1__Return *r = arena_alloc(a, sizeof(*r));

		checkout__v1__return__init(r);
		fill(a, &rows[i], r);
		out->data[out->n_data++] = r;
	}
}

static enum err_code list_vendor_returns(struct call *c, const Checkout__V1__ListReturnsRequest *in,
					 Checkout__V1__ListReturnsReply *out)
{
	struct return_row *rows = NULL;
	const char *filter;
	struct page page;
	size_t n = 0;
	struct pg *pg;

	if (call_vendor(c, "vendor.orders"))
		return c->err.code;
	if (in->status)
		check_oneof(&c->err, "status", in->status, "requested|approved|rejected|received");
	filter = arena_printf(c->arena, "returns|%s|%s", c->who.vendor_id, in->status ? in->status : "");
	if (page_of(c, in, filter, "it", &page) || call_pg(c, &pg))
		return c->err.code;
	if (return_db_page(pg, c->arena, c->who.vendor_id, in->status, page_int(&page, 0, INT64_MAX),
			   page_text(&page, 1, ""), page.limit + 1, &rows, &n, &c->err)) {
		pg_return(pg);
		return c->err.code;
	}
	pg_return(pg);
	fill_all(c->arena, rows, page_shown(&page, n), out);
	if (page_more(&page, n))
		out->next_cursor = page_next(c, &page, rows[page.limit - 1].created_us, rows[page.limit - 1].id);
	return OK;
}

static enum err_code list_order_returns(struct call *c, const Checkout__V1__OrderRequest *in,
					Checkout__V1__ListReturnsReply *out)
{
	struct return_row *rows = NULL;
	struct order_parts p;
	size_t n = 0;
	struct pg *pg;
	enum err_code code;

	if (order_load_mine(c, in->order_id, in->hdr_order_token, &p) || call_pg(c, &pg))
		return c->err.code;
	code = return_db_of_order(pg, c->arena, p.order->id, &rows, &n, &c->err);
	pg_return(pg);
	if (code == OK)
		fill_all(c->arena, rows, n, out);
	return code;
}
