/* A vendor's orders: seen, shipped, delivered. Only the own ones exist. */
#include <stdint.h>
#include <string.h>

#include "common/check.h"
#include "common/outbox.h"
#include "common/page.h"
#include "events.pb-c.h"
#include "services/checkout/checkout_view.h"
#include "services/checkout/frozen.h"
#include "services/checkout/order_view.h"
#include "services/checkout/refund_db.h"

RPC_HANDLER(list_vendor_orders, Checkout__V1__ListVendorOrdersRequest, Checkout__V1__ListVendorOrdersReply)
RPC_HANDLER(get_vendor_order, Checkout__V1__VendorOrderRequest, Checkout__V1__VendorOrder)
RPC_HANDLER(ship_vendor_order, Checkout__V1__ShipVendorOrderRequest, Checkout__V1__VendorOrder)
RPC_HANDLER(deliver_vendor_order, Checkout__V1__ShipVendorOrderRequest, Checkout__V1__VendorOrder)

const struct rpc_method checkout_vendor_methods[] = {
	{ "ListVendorOrders", list_vendor_orders_, RPC_READ, 0 },
	{ "GetVendorOrder", get_vendor_order_, RPC_READ, 0 },
	{ "ShipVendorOrder", ship_vendor_order_, RPC_WRITE | RPC_KEYED, 0 },
	{ "DeliverVendorOrder", deliver_vendor_order_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

#define PERM "vendor.orders"

static void fill(struct arena *a, const struct vorder_row *v, Checkout__V1__VendorOrder *out)
{
	out->id = (char *)v->id;
	out->order_id = (char *)v->order_id;
	out->order_number = (char *)v->order_number;
	out->status = (char *)v->status;
	out->currency = (char *)v->currency;
	out->subtotal = frozen_money(a, v->subtotal, v->currency);
	out->discount = frozen_money(a, v->discount, v->currency);
	out->shipping = frozen_money(a, v->shipping, v->currency);
	out->tax = frozen_money(a, v->tax, v->currency);
	out->total = frozen_money(a, v->total, v->currency);
	out->commission = frozen_money(a, v->commission, v->currency);
	out->payable = frozen_money(a, v->total - v->commission, v->currency);
	out->shipping_name = (char *)v->shipping_name;
	out->carrier = (char *)v->carrier;
	out->tracking = (char *)v->tracking;
	out->has_placed_at = out->has_version = true;
	out->placed_at = v->placed_at;
	out->has_shipped_at = v->shipped_at > 0;
	out->shipped_at = v->shipped_at;
	out->has_delivered_at = v->delivered_at > 0;
	out->delivered_at = v->delivered_at;
	out->version = v->version;
}

/* With lines and address: what the vendor packs and where it goes. */
static enum err_code fill_whole(struct call *c, struct pg *pg, const struct vorder_row *v, Checkout__V1__VendorOrder *out)
{
	Checkout__V1__Person *person = NULL;
	struct oline_row *lines = NULL;
	size_t n = 0;

	if (oline_db_of(pg, c->arena, v->order_id, v->id, &lines, &n, &c->err) ||
	    order_person(c, v->order_id, v->person, &person))
		return c->err.code;
	fill(c->arena, v, out);
	out->address = person->address;
	out->lines = arena_array(c->arena, n + 1, sizeof(*out->lines));
	for (size_t i = 0; i < n; i++)
		out->lines[out->n_lines++] = order_line_of(c->arena, &lines[i], v->currency);
	out->hdr_etag = checkout_tag(c->arena, v->id, v->version);
	return OK;
}

static enum err_code find(struct call *c, struct pg *pg, const char *id, struct vorder_row **row_r)
{
	bool found = false;

	if (!id || strlen(id) > 40)
		return err_set(&c->err, E_NOT_FOUND, "order.not_found", "no id");
	if (vorder_db_get(pg, c->arena, c->who.vendor_id, id, row_r, &found, &c->err))
		return c->err.code;
	return found ? OK : err_set(&c->err, E_NOT_FOUND, "order.not_found", "%s of %s", id, c->who.vendor_id);
}

static enum err_code get_vendor_order(struct call *c, const Checkout__V1__VendorOrderRequest *in,
				      Checkout__V1__VendorOrder *out)
{
	struct vorder_row *v = NULL;
	struct pg *pg;
	enum err_code code;

	if (call_vendor(c, PERM) || call_pg(c, &pg))
		return c->err.code;
	code = find(c, pg, in->vendor_order_id, &v);
	if (!code)
		code = fill_whole(c, pg, v, out);
	pg_return(pg);
	return code;
}

static enum err_code list_vendor_orders(struct call *c, const Checkout__V1__ListVendorOrdersRequest *in,
					Checkout__V1__ListVendorOrdersReply *out)
{
	struct vorder_row *rows = NULL;
	const char *filter;
	struct page page;
	size_t n = 0;
	struct pg *pg;

	if (call_vendor(c, PERM))
		return c->err.code;
	if (in->status)
		check_oneof(&c->err, "status", in->status, "placed|shipped|delivered|cancelled");
	filter = arena_printf(c->arena, "vendor orders|%s|%s", c->who.vendor_id, in->status ? in->status : "");
	if (page_of(c, in, filter, "it", &page) || call_pg(c, &pg))
		return c->err.code;
	if (vorder_db_page(pg, c->arena, c->who.vendor_id, in->status, page_int(&page, 0, INT64_MAX),
			   page_text(&page, 1, ""), page.limit + 1, &rows, &n, &c->err)) {
		pg_return(pg);
		return c->err.code;
	}
	pg_return(pg);
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < page_shown(&page, n); i++) {
		Checkout__V1__VendorOrder *x = arena_alloc(c->arena, sizeof(*x));

		checkout__v1__vendor_order__init(x);
		fill(c->arena, &rows[i], x);
		out->data[out->n_data++] = x;
	}
	if (page_more(&page, n))
		out->next_cursor = page_next(c, &page, rows[page.limit - 1].placed_us, rows[page.limit - 1].id);
	return OK;
}

/* ---- shipping and delivering ---- */

struct move {
	struct call *c;
	const Checkout__V1__ShipVendorOrderRequest *in;
	bool deliver;
	Checkout__V1__VendorOrder *out;
};

static enum err_code tell(struct pg *pg, const struct vorder_row *v, bool deliver, struct err *e)
{
	Events__V1__VendorOrderChanged m = EVENTS__V1__VENDOR_ORDER_CHANGED__INIT;

	m.vendor_order_id = (char *)v->id;
	m.order_id = (char *)v->order_id;
	m.vendor_id = (char *)v->vendor_id;
	m.status = (char *)v->status;
	return outbox_put(pg, "vendor_order", v->id, v->version,
			  deliver ? "vendor_order.delivered" : "vendor_order.shipped", &m.base, e);
}

/* The last delivery completes the order. */
static enum err_code tell_order(struct pg *pg, struct arena *a, const char *order_id, struct err *e)
{
	Events__V1__OrderChanged m = EVENTS__V1__ORDER_CHANGED__INIT;
	struct order_row *o = NULL;
	bool found = false;

	if (order_db_get(pg, a, order_id, &o, &found, e))
		return e->code;
	if (!found || strcmp(o->fulfilment_status, "delivered") != 0)
		return OK;
	m.order_id = (char *)o->id;
	m.user_id = (char *)o->user_id;
	m.status = (char *)"delivered";
	return outbox_put(pg, "order", o->id, o->version, "order.delivered", &m.base, e);
}

static enum err_code move_tx(struct pg *pg, void *arg, struct err *e)
{
	struct move *x = arg;
	struct call *c = x->c;
	const char *id = x->in->vendor_order_id;
	struct order_row *o = NULL;
	struct vorder_row *v = NULL;
	bool found = false, done = false;

	if (vorder_db_get(pg, c->arena, c->who.vendor_id, id, &v, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_NOT_FOUND, "order.not_found", "%s of %s", id, c->who.vendor_id);
	if (order_db_lock(pg, c->arena, v->order_id, &o, &found, e) || /* cancelling holds it too */
	    vorder_db_get(pg, c->arena, c->who.vendor_id, id, &v, &found, e))
		return e->code;
	if (x->in->hdr_if_match && checkout_tag_version(x->in->hdr_if_match, id) != v->version) {
		err_detail(e, "If-Match", checkout_tag(c->arena, id, v->version), "It was changed meanwhile.");
		return err_set(e, E_PRECOND, "common.precondition_failed", "tag %.60s", x->in->hdr_if_match);
	}
	if (x->deliver ? vorder_db_deliver(pg, id, &done, e)
		       : vorder_db_ship(pg, id, x->in->carrier, x->in->tracking, &done, e))
		return e->code;
	if (!done)
		return err_set(e, E_CONFLICT, "order.state", "%s is %s", id, v->status);
	if (order_db_follow(pg, v->order_id, e) || vorder_db_get(pg, c->arena, c->who.vendor_id, id, &v, &found, e) ||
	    tell(pg, v, x->deliver, e) || (x->deliver && tell_order(pg, c->arena, v->order_id, e)))
		return e->code;
	checkout__v1__vendor_order__init(x->out);
	if (fill_whole(c, pg, v, x->out)) {
		err_copy(e, &c->err);
		return e->code;
	}
	return OK;
}

static enum err_code move(struct call *c, const Checkout__V1__ShipVendorOrderRequest *in, bool deliver,
			  Checkout__V1__VendorOrder *out)
{
	struct move x = { c, in, deliver, out };

	if (call_vendor(c, PERM))
		return c->err.code;
	check_text(&c->err, "carrier", in->carrier, 0, 80);
	check_text(&c->err, "tracking", in->tracking, 0, 120);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "vendor order");
	if (!in->vendor_order_id || strlen(in->vendor_order_id) > 40)
		return err_set(&c->err, E_NOT_FOUND, "order.not_found", "no id");
	return call_tx(c, CALL_TX_ONLY, move_tx, &x);
}

static enum err_code ship_vendor_order(struct call *c, const Checkout__V1__ShipVendorOrderRequest *in,
				       Checkout__V1__VendorOrder *out)
{
	return move(c, in, false, out);
}

static enum err_code deliver_vendor_order(struct call *c, const Checkout__V1__ShipVendorOrderRequest *in,
					  Checkout__V1__VendorOrder *out)
{
	return move(c, in, true, out);
}
