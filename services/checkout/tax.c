/* Tax rates, kept by administrators. A rate in use may change: what was frozen stays as it was. */
#include <ctype.h>
#include <string.h>

#include "common.pb-c.h"
#include "common/check.h"
#include "common/id.h"
#include "common/page.h"
#include "services/checkout/admin_db.h"
#include "services/checkout/freeze.h"
#include "services/checkout/order_view.h"

RPC_HANDLER(list_tax_rates, Checkout__V1__ListTaxRatesRequest, Checkout__V1__ListTaxRatesReply)
RPC_HANDLER(create_tax_rate, Checkout__V1__TaxRate, Checkout__V1__TaxRate)
RPC_HANDLER(update_tax_rate, Checkout__V1__UpdateTaxRateRequest, Checkout__V1__TaxRate)
RPC_HANDLER(delete_tax_rate, Checkout__V1__TaxRateRequest, Common__V1__Empty)

const struct rpc_method checkout_tax_methods[] = {
	{ "ListTaxRates", list_tax_rates_, RPC_READ, 0 },
	{ "CreateTaxRate", create_tax_rate_, RPC_WRITE | RPC_KEYED, 0 },
	{ "UpdateTaxRate", update_tax_rate_, RPC_WRITE | RPC_KEYED, 0 },
	{ "DeleteTaxRate", delete_tax_rate_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

#define PERM "admin.promotions"

static void fill(const struct tax_rate_row *t, Checkout__V1__TaxRate *out)
{
	out->id = (char *)t->id;
	out->country = (char *)t->country;
	out->region = *t->region ? (char *)t->region : NULL;
	out->tax_class = (char *)t->tax_class;
	out->name = (char *)t->name;
	out->has_rate_bp = out->has_included = out->has_version = true;
	out->rate_bp = t->rate_bp;
	out->included = t->included;
	out->version = t->version;
}

struct change {
	struct call *c;
	struct tax_rate_row row;
	const Checkout__V1__UpdateTaxRateRequest *in;
	Checkout__V1__TaxRate *out;
	const char *id;
};

static enum err_code show(struct pg *pg, struct change *x, struct err *e)
{
	struct tax_rate_row *t = NULL;
	bool found = false;

	if (tax_db_get(pg, x->c->arena, x->id, &t, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_NOT_FOUND, "tax.not_found", "%s", x->id);
	checkout__v1__tax_rate__init(x->out);
	fill(t, x->out);
	return OK;
}

static enum err_code create_tx(struct pg *pg, void *arg, struct err *e)
{
	struct change *x = arg;

	if (tax_db_insert(pg, &x->row, e)) {
		if (strcmp(pg_constraint(pg), "tax_rate_once") == 0)
			return err_set(e, E_CONFLICT, "tax.exists", "%s %s", x->row.country, x->row.tax_class);
		return e->code;
	}
	return show(pg, x, e);
}

static enum err_code create_tax_rate(struct call *c, const Checkout__V1__TaxRate *in, Checkout__V1__TaxRate *out)
{
	struct change x = { .c = c, .out = out };
	char id[ID_LEN];

	if (call_perm(c, PERM))
		return c->err.code;
	check_country(&c->err, "country", in->country);
	check_text(&c->err, "region", in->region, 0, 40);
	if (in->tax_class)
		check_slug(&c->err, "tax_class", in->tax_class);
	check_range(&c->err, "rate_bp", in->has_rate_bp ? in->rate_bp : -1, 0, 10000);
	check_text(&c->err, "name", in->name, 1, 80);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "tax rate");
	id_new("tax", id);
	x.id = arena_strdup(c->arena, id);
	x.row = (struct tax_rate_row){ .id = x.id, .country = in->country,
				       .region = freeze_region(c->arena, in->country, in->region),
				       .tax_class = in->tax_class ? in->tax_class : "standard", .name = in->name,
				       .rate_bp = in->rate_bp, .included = in->has_included && in->included };
	return call_tx(c, CALL_TX_ONLY, create_tx, &x);
}

static enum err_code update_tx(struct pg *pg, void *arg, struct err *e)
{
	struct change *x = arg;
	struct tax_rate_row *t = NULL;
	bool found = false, done = false;

	if (tax_db_get(pg, x->c->arena, x->id, &t, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_NOT_FOUND, "tax.not_found", "%s", x->id);
	if (x->in->has_rate_bp)
		t->rate_bp = x->in->rate_bp;
	if (x->in->has_included)
		t->included = x->in->included;
	if (x->in->name)
		t->name = x->in->name;
	if (tax_db_update(pg, t, &done, e))
		return e->code;
	return show(pg, x, e);
}

static enum err_code update_tax_rate(struct call *c, const Checkout__V1__UpdateTaxRateRequest *in,
				     Checkout__V1__TaxRate *out)
{
	struct change x = { .c = c, .in = in, .out = out, .id = in->tax_rate_id };

	if (call_perm(c, PERM))
		return c->err.code;
	if (in->has_rate_bp)
		check_range(&c->err, "rate_bp", in->rate_bp, 0, 10000);
	if (in->name)
		check_text(&c->err, "name", in->name, 1, 80);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "tax rate");
	return call_tx(c, CALL_TX_ONLY, update_tx, &x);
}

static enum err_code delete_tx(struct pg *pg, void *arg, struct err *e)
{
	struct change *x = arg;
	bool done = false;

	if (tax_db_delete(pg, x->id, &done, e))
		return e->code;
	return done ? OK : err_set(e, E_NOT_FOUND, "tax.not_found", "%s", x->id);
}

static enum err_code delete_tax_rate(struct call *c, const Checkout__V1__TaxRateRequest *in, Common__V1__Empty *out)
{
	struct change x = { .c = c, .id = in->tax_rate_id };

	(void)out;
	return call_perm(c, PERM) ? c->err.code : call_tx(c, CALL_TX_ONLY, delete_tx, &x);
}

static enum err_code list_tax_rates(struct call *c, const Checkout__V1__ListTaxRatesRequest *in,
				    Checkout__V1__ListTaxRatesReply *out)
{
	const char *filter = arena_printf(c->arena, "tax|%s", in->country ? in->country : "");
	struct tax_rate_row *rows = NULL;
	struct page page;
	size_t n = 0;
	struct pg *pg;

	if (call_perm(c, PERM) || page_of(c, in, filter, "t", &page) || call_pg(c, &pg))
		return c->err.code;
	if (tax_db_page(pg, c->arena, in->country, page_text(&page, 0, ""), page.limit + 1, &rows, &n, &c->err)) {
		pg_return(pg);
		return c->err.code;
	}
	pg_return(pg);
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < page_shown(&page, n); i++) {
		Checkout__V1__TaxRate *t = arena_alloc(c->arena, sizeof(*t));

		checkout__v1__tax_rate__init(t);
		fill(&rows[i], t);
		out->data[out->n_data++] = t;
	}
	if (page_more(&page, n))
		out->next_cursor = page_next(c, &page, rows[page.limit - 1].id);
	return OK;
}
