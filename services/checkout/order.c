/* Reading orders: the buyer's own, an administrator's view, and what a mail needs. */
#include <stdint.h>
#include <string.h>

#include "common/check.h"
#include "common/page.h"
#include "services/checkout/checkout_view.h"
#include "services/checkout/frozen.h"
#include "services/checkout/order_view.h"
#include "services/checkout/order_write.h"

RPC_HANDLER(list_orders, Checkout__V1__ListOrdersRequest, Checkout__V1__ListOrdersReply)
RPC_HANDLER(get_order, Checkout__V1__OrderRequest, Checkout__V1__Order)
RPC_HANDLER(admin_list_orders, Checkout__V1__AdminListOrdersRequest, Checkout__V1__ListOrdersReply)
RPC_HANDLER(admin_get_order, Checkout__V1__OrderRequest, Checkout__V1__Order)
RPC_HANDLER(order_for_mail, Checkout__V1__OrderForMailRequest, Checkout__V1__OrderForMail)

const struct rpc_method checkout_order_methods[] = {
	{ "ListOrders", list_orders_, RPC_READ, 0 },
	{ "GetOrder", get_order_, RPC_READ, 0 },
	{ "AdminListOrders", admin_list_orders_, RPC_READ, 0 },
	{ "AdminGetOrder", admin_get_order_, RPC_READ, 0 },
	{ "GetOrderForMail", order_for_mail_, RPC_READ | RPC_INTERNAL, 0 },
	{ 0 },
};

#define STATUSES "open|completed|cancelled"

static Checkout__V1__OrderSummary *summary(struct arena *a, const struct order_row *o, bool admin)
{
	Checkout__V1__OrderSummary *s = arena_alloc(a, sizeof(*s));

	checkout__v1__order_summary__init(s);
	s->id = (char *)o->id;
	s->number = (char *)o->number;
	s->status = (char *)o->status;
	s->payment_status = (char *)o->payment_status;
	s->fulfilment_status = (char *)o->fulfilment_status;
	s->total = frozen_money(a, o->total, o->currency);
	s->has_item_count = s->has_placed_at = true;
	s->item_count = o->item_count;
	s->placed_at = o->placed_at;
	s->user_id = admin ? (char *)o->user_id : NULL;
	return s;
}

/* One page; p says of what. */
static enum err_code fill_page(struct call *c, struct order_page *p, const struct page *page, bool admin,
			       Checkout__V1__ListOrdersReply *out)
{
	struct order_row *rows = NULL;
	size_t n = 0;
	struct pg *pg;

	p->before_us = page_int(page, 0, INT64_MAX);
	p->before_id = page_text(page, 1, "");
	p->limit = page->limit + 1;
	if (call_pg(c, &pg))
		return c->err.code;
	if (order_db_page(pg, c->arena, p, &rows, &n, &c->err)) {
		pg_return(pg);
		return c->err.code;
	}
	pg_return(pg);
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < page_shown(page, n); i++)
		out->data[out->n_data++] = summary(c->arena, &rows[i], admin);
	if (page_more(page, n))
		out->next_cursor = page_next(c, page, rows[page->limit - 1].placed_us, rows[page->limit - 1].id);
	return OK;
}

static enum err_code list_orders(struct call *c, const Checkout__V1__ListOrdersRequest *in,
				 Checkout__V1__ListOrdersReply *out)
{
	struct order_page p = { .status = in->status, .user_id = c->who.user_id };
	struct page page;

	if (call_user(c))
		return c->err.code;
	if (in->status)
		check_oneof(&c->err, "status", in->status, STATUSES);
	if (page_of(c, in, arena_printf(c->arena, "orders|%s|%s", p.user_id, in->status ? in->status : ""), "it", &page))
		return c->err.code;
	return fill_page(c, &p, &page, false, out);
}

static enum err_code get_order(struct call *c, const Checkout__V1__OrderRequest *in, Checkout__V1__Order *out)
{
	struct order_parts p;

	if (order_load_mine(c, in->order_id, in->hdr_order_token, &p))
		return c->err.code;
	return order_fill(c, &p, out);
}

static enum err_code admin_list_orders(struct call *c, const Checkout__V1__AdminListOrdersRequest *in,
				       Checkout__V1__ListOrdersReply *out)
{
	const struct checkout_svc *svc = c->svc;
	struct order_page p = { .status = in->status, .number = in->number, .user_id = in->user_id };
	uint8_t index[SHA256_LEN];
	char hex[SHA256_HEX_LEN] = "";
	const char *filter;
	struct page page;

	if (call_perm(c, "admin.orders"))
		return c->err.code;
	if (in->status)
		check_oneof(&c->err, "status", in->status, STATUSES);
	check_text(&c->err, "number", in->number, 0, 30);
	if (in->user_id)
		check_id(&c->err, "user_id", in->user_id, "usr");
	if (in->email)
		check_email(&c->err, "email", in->email);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "order filters");
	if (in->email) {
		crypto_blind_index(&svc->index_key, "email", crypto_normal_email(c->arena, in->email), index);
		p.email_index = (struct pg_bytes){ index, SHA256_LEN };
		hex_encode(index, SHA256_LEN, hex);
	}
	filter = arena_printf(c->arena, "admin orders|%s|%s|%s|%s", in->status ? in->status : "",
			      in->number ? in->number : "", in->user_id ? in->user_id : "", hex);
	return page_of(c, in, filter, "it", &page) ? c->err.code : fill_page(c, &p, &page, true, out);
}

static enum err_code admin_get_order(struct call *c, const Checkout__V1__OrderRequest *in, Checkout__V1__Order *out)
{
	struct order_parts p;

	if (call_perm(c, "admin.orders") || order_load(c, in->order_id, &p) || order_fill(c, &p, out))
		return c->err.code;
	out->user_id = (char *)p.order->user_id;
	return OK;
}

/* ---- for mails ---- */

static char *ship_to(struct arena *a, const Checkout__V1__Address *d)
{
	const char *part[] = { d->name, d->line1, d->line2, d->postal_code, d->city, d->region, d->country };
	char *text = arena_strdup(a, "");

	for (size_t i = 0; i < ARRAY_LEN(part); i++)
		if (part[i] && *part[i])
			text = arena_printf(a, "%s%s%s", text, *text ? "\n" : "", part[i]);
	return text;
}

static enum err_code order_for_mail(struct call *c, const Checkout__V1__OrderForMailRequest *in,
				    Checkout__V1__OrderForMail *out)
{
	Checkout__V1__Person *person = NULL;
	struct order_parts p;
	const struct order_row *o;

	if (call_service(c, "notify") || order_load(c, in->order_id, &p) ||
	    order_person(c, p.order->id, p.order->person, &person))
		return c->err.code;
	o = p.order;
	out->order_id = (char *)o->id;
	out->order_number = (char *)o->number;
	out->user_id = (char *)o->user_id;
	out->guest_email = person->email;
	out->subtotal = frozen_money(c->arena, o->subtotal, o->currency);
	out->shipping = frozen_money(c->arena, o->shipping, o->currency);
	out->tax = frozen_money(c->arena, o->tax, o->currency);
	out->discount = frozen_money(c->arena, o->discount, o->currency);
	out->total = frozen_money(c->arena, o->total, o->currency);
	out->has_placed_at = true;
	out->placed_at = o->placed_at;
	out->locale = (char *)o->locale;
	if (person->address) {
		out->name = person->address->name;
		out->ship_to = ship_to(c->arena, person->address);
	}
	if (!o->user_id)
		out->order_token = order_token(c->arena, c->svc, o->id);
	out->lines = arena_array(c->arena, p.n_lines + 1, sizeof(*out->lines));
	for (size_t i = 0; i < p.n_lines; i++) {
		Checkout__V1__MailLine *l = arena_alloc(c->arena, sizeof(*l));

		checkout__v1__mail_line__init(l);
		l->title = (char *)p.lines[i].title;
		l->sku = (char *)p.lines[i].sku;
		l->vendor_name = (char *)p.lines[i].vendor_name;
		l->has_qty = true;
		l->qty = p.lines[i].qty;
		l->total = frozen_money(c->arena, p.lines[i].total, o->currency);
		out->lines[out->n_lines++] = l;
	}
	return OK;
}
