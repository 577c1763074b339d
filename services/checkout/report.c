/* Reports for vendors and administrators, from sums by day. */
#include <ctype.h>
#include <string.h>
#include <time.h>

#include "common/check.h"
#include "common/page.h"
#include "common/timeutil.h"
#include "services/checkout/frozen.h"
#include "services/checkout/order_view.h"
#include "services/checkout/report.h"
#include "services/checkout/report_db.h"

RPC_HANDLER(vendor_sales, Checkout__V1__ReportRequest, Checkout__V1__SalesReport)
RPC_HANDLER(vendor_products, Checkout__V1__ReportRequest, Checkout__V1__ProductReport)
RPC_HANDLER(admin_sales, Checkout__V1__ReportRequest, Checkout__V1__SalesReport)
RPC_HANDLER(admin_products, Checkout__V1__ReportRequest, Checkout__V1__ProductReport)
RPC_HANDLER(admin_vendors, Checkout__V1__ReportRequest, Checkout__V1__VendorReport)

const struct rpc_method checkout_report_methods[] = {
	{ "VendorSalesReport", vendor_sales_, RPC_READ, 0 },
	{ "VendorProductReport", vendor_products_, RPC_READ, 0 },
	{ "AdminSalesReport", admin_sales_, RPC_READ, 0 },
	{ "AdminProductReport", admin_products_, RPC_READ, 0 },
	{ "AdminVendorReport", admin_vendors_, RPC_READ, 0 },
	{ 0 },
};

enum { DAYS_DEFAULT = 30, DAYS_MAX = 366, ROWS_MAX = 3000 };
#define DAY_S (24 * 3600)

/* "2026-01-31" as its midnight, or -1. */
static int64_t day_of(const char *s)
{
	struct tm tm = { 0 }, back;
	int64_t at;
	time_t t;

	if (strlen(s) != 10 || s[4] != '-' || s[7] != '-')
		return -1;
	for (size_t i = 0; i < 10; i++)
		if (i != 4 && i != 7 && !isdigit((unsigned char)s[i]))
			return -1;
	tm.tm_year = (s[0] - '0') * 1000 + (s[1] - '0') * 100 + (s[2] - '0') * 10 + (s[3] - '0') - 1900;
	tm.tm_mon = (s[5] - '0') * 10 + (s[6] - '0') - 1;
	tm.tm_mday = (s[8] - '0') * 10 + (s[9] - '0');
	back = tm;
	at = timegm(&back);
	t = (time_t)at;
	/* The thirty-first of a shorter month becomes another day. */
	return at >= 0 && gmtime_r(&t, &back) && back.tm_mday == tm.tm_mday && back.tm_mon == tm.tm_mon ? at : -1;
}

static const char *day_text(struct arena *a, int64_t at)
{
	char text[16];
	time_t t = (time_t)at;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d", &tm);
	return arena_strdup(a, text);
}

static enum err_code span_of(struct call *c, const Checkout__V1__ReportRequest *in, struct report_span *s)
{
	int64_t today = wall_ms() / 1000 / DAY_S * DAY_S;
	int64_t to = in->to ? day_of(in->to) : today;
	int64_t from = in->from ? day_of(in->from) : to - (DAYS_DEFAULT - 1) * DAY_S;

	if (to < 0)
		err_detail(&c->err, "to", NULL, "must be a day like 2026-01-31");
	if (in->from && from < 0)
		err_detail(&c->err, "from", NULL, "must be a day like 2026-01-31");
	if (!c->err.n_details && (from > to || (to - from) / DAY_S >= DAYS_MAX))
		err_detail(&c->err, "from", NULL, "must be at most %d days before to", DAYS_MAX - 1);
	if (in->currency)
		check_currency(&c->err, "currency", in->currency);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "report");
	s->from = day_text(c->arena, from);
	s->to = day_text(c->arena, to);
	s->currency = in->currency;
	return page_limit(c, in->has_limit, in->limit, &s->limit);
}

/* A list by amount is of one currency. */
static enum err_code ranked(struct call *c, const Checkout__V1__ReportRequest *in, struct report_span *s)
{
	if (!in->currency)
		err_detail(&c->err, "currency", NULL, "is required");
	return span_of(c, in, s);
}

static enum err_code sales(struct call *c, const Checkout__V1__ReportRequest *in, struct report_span *s,
			   Checkout__V1__SalesReport *out)
{
	struct arena *a = c->arena;
	struct sales_row *r = NULL;
	size_t n = 0;
	struct pg *pg;
	enum err_code code;

	if (span_of(c, in, s) || call_pg(c, &pg))
		return c->err.code;
	s->limit = ROWS_MAX; /* days, not a page */
	code = report_db_sales(pg, a, s, &r, &n, &c->err);
	pg_return(pg);
	if (code)
		return code;
	out->from = (char *)s->from;
	out->to = (char *)s->to;
	out->data = arena_array(a, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < n; i++) {
		Checkout__V1__SalesDay *d = out->data[out->n_data++] = arena_alloc(a, sizeof(*d));

		checkout__v1__sales_day__init(d);
		d->day = (char *)r[i].day;
		d->has_orders = d->has_units = true;
		d->orders = r[i].orders;
		d->units = r[i].units;
		d->subtotal = frozen_money(a, r[i].subtotal, r[i].currency);
		d->discount = frozen_money(a, r[i].discount, r[i].currency);
		d->shipping = frozen_money(a, r[i].shipping, r[i].currency);
		d->tax = frozen_money(a, r[i].tax, r[i].currency);
		d->total = frozen_money(a, r[i].total, r[i].currency);
		d->commission = frozen_money(a, r[i].commission, r[i].currency);
		d->refunded = frozen_money(a, r[i].refunded, r[i].currency);
	}
	return OK;
}

static enum err_code products(struct call *c, const Checkout__V1__ReportRequest *in, struct report_span *s,
			      Checkout__V1__ProductReport *out)
{
	struct product_sales_row *r = NULL;
	size_t n = 0;
	struct pg *pg;
	enum err_code code;

	if (ranked(c, in, s) || call_pg(c, &pg))
		return c->err.code;
	code = report_db_products(pg, c->arena, s, &r, &n, &c->err);
	pg_return(pg);
	if (code)
		return code;
	out->from = (char *)s->from;
	out->to = (char *)s->to;
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < n; i++) {
		Checkout__V1__ProductSales *p = out->data[out->n_data++] = arena_alloc(c->arena, sizeof(*p));

		checkout__v1__product_sales__init(p);
		p->product_id = (char *)r[i].product_id;
		p->vendor_id = (char *)r[i].vendor_id;
		p->title = (char *)r[i].title;
		p->has_units = true;
		p->units = r[i].units;
		p->sales = frozen_money(c->arena, r[i].sales, s->currency);
	}
	return OK;
}

/* ---- whose ---- */

static enum err_code vendor_sales(struct call *c, const Checkout__V1__ReportRequest *in, Checkout__V1__SalesReport *out)
{
	struct report_span s = { 0 };

	if (call_vendor(c, "vendor.payouts"))
		return c->err.code;
	s.vendor_id = c->who.vendor_id;
	return sales(c, in, &s, out);
}

static enum err_code vendor_products(struct call *c, const Checkout__V1__ReportRequest *in, Checkout__V1__ProductReport *out)
{
	struct report_span s = { 0 };

	if (call_vendor(c, "vendor.payouts"))
		return c->err.code;
	s.vendor_id = c->who.vendor_id;
	return products(c, in, &s, out);
}

static enum err_code admin_sales(struct call *c, const Checkout__V1__ReportRequest *in, Checkout__V1__SalesReport *out)
{
	struct report_span s = { 0 };

	return call_perm(c, "admin.reports") ? c->err.code : sales(c, in, &s, out);
}

static enum err_code admin_products(struct call *c, const Checkout__V1__ReportRequest *in, Checkout__V1__ProductReport *out)
{
	struct report_span s = { 0 };

	return call_perm(c, "admin.reports") ? c->err.code : products(c, in, &s, out);
}

static enum err_code admin_vendors(struct call *c, const Checkout__V1__ReportRequest *in, Checkout__V1__VendorReport *out)
{
	struct vendor_sales_row *r = NULL;
	struct report_span s = { 0 };
	size_t n = 0;
	struct pg *pg;
	enum err_code code;

	if (call_perm(c, "admin.reports") || ranked(c, in, &s) || call_pg(c, &pg))
		return c->err.code;
	code = report_db_vendors(pg, c->arena, &s, &r, &n, &c->err);
	pg_return(pg);
	if (code)
		return code;
	out->from = (char *)s.from;
	out->to = (char *)s.to;
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < n; i++) {
		Checkout__V1__VendorSales *v = out->data[out->n_data++] = arena_alloc(c->arena, sizeof(*v));

		checkout__v1__vendor_sales__init(v);
		v->vendor_id = (char *)r[i].vendor_id;
		v->vendor_name = (char *)r[i].vendor_name;
		v->has_orders = v->has_units = true;
		v->orders = r[i].orders;
		v->units = r[i].units;
		v->total = frozen_money(c->arena, r[i].total, s.currency);
		v->commission = frozen_money(c->arena, r[i].commission, s.currency);
		v->refunded = frozen_money(c->arena, r[i].refunded, s.currency);
	}
	return OK;
}

/* ---- keeping them true ---- */

struct step {
	struct arena *arena;
	bool more;
};

static enum err_code step_tx(struct pg *pg, void *arg, struct err *e)
{
	struct step *s = arg;

	return report_db_refresh(pg, s->arena, &s->more, e);
}

enum err_code checkout_reports(void *arg, struct arena *a, struct err *e)
{
	const struct pg_actor who = { "system", "" };
	struct checkout_svc *svc = arg;
	struct step s = { a, true };

	for (int i = 0; s.more && i < 20; i++)
		if (pg_tx(svc->pool, mono_ms() + 10000, &who, step_tx, &s, e))
			return e->code;
	return OK;
}
