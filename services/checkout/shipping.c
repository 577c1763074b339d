/* Shipping methods and their prices, kept by administrators. */
#include <string.h>

#include "common.pb-c.h"
#include "common/check.h"
#include "common/id.h"
#include "common/page.h"
#include "services/checkout/admin_db.h"
#include "services/checkout/order_view.h"

RPC_HANDLER(list_methods, Checkout__V1__ListShippingMethodsRequest, Checkout__V1__ListShippingMethodsReply)
RPC_HANDLER(create_method, Checkout__V1__ShippingMethod, Checkout__V1__ShippingMethod)
RPC_HANDLER(update_method, Checkout__V1__UpdateShippingMethodRequest, Checkout__V1__ShippingMethod)
RPC_HANDLER(delete_method, Checkout__V1__ShippingMethodRequest, Common__V1__Empty)

const struct rpc_method checkout_shipping_methods[] = {
	{ "ListShippingMethods", list_methods_, RPC_READ, 0 },
	{ "CreateShippingMethod", create_method_, RPC_WRITE | RPC_KEYED, 0 },
	{ "UpdateShippingMethod", update_method_, RPC_WRITE | RPC_KEYED, 0 },
	{ "DeleteShippingMethod", delete_method_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

#define PERM "admin.promotions"
#define COUNTRIES_MAX 300
#define PRICES_MAX 200

static char **split(struct arena *a, const char *list, size_t *n_r)
{
	char *text = arena_strdup(a, list ? list : "");
	char **v = arena_array(a, strlen(text) + 2, sizeof(*v));
	char *item;

	*n_r = 0;
	while (text && *text && (item = strsep(&text, ",")))
		v[(*n_r)++] = item;
	return v;
}

static void fill(struct arena *a, const struct method_row *m, const struct method_price_row *prices, size_t n,
		 Checkout__V1__ShippingMethod *out)
{
	out->id = (char *)m->id;
	out->zone = (char *)m->zone;
	out->name = (char *)m->name;
	out->countries = split(a, m->countries, &out->n_countries);
	out->has_max_weight_g = m->max_weight_g > 0;
	out->max_weight_g = m->max_weight_g;
	out->has_min_days = out->has_max_days = out->has_active = out->has_priority = out->has_version = true;
	out->min_days = m->min_days;
	out->max_days = m->max_days;
	out->active = m->active;
	out->priority = m->priority;
	out->version = m->version;
	out->prices = arena_array(a, n + 1, sizeof(*out->prices));
	for (size_t i = 0; i < n; i++) {
		Checkout__V1__ShippingPrice *p;

		if (strcmp(prices[i].method_id, m->id) != 0)
			continue;
		p = arena_alloc(a, sizeof(*p));
		checkout__v1__shipping_price__init(p);
		p->currency = (char *)prices[i].currency;
		p->has_flat = p->has_per_kg = true;
		p->flat = prices[i].price;
		p->per_kg = prices[i].per_kg;
		p->has_free_from = prices[i].free_from >= 0;
		p->free_from = prices[i].free_from;
		out->prices[out->n_prices++] = p;
	}
}

/* ---- checks ---- */

static void check_countries(struct err *e, char **countries, size_t n)
{
	if (n > COUNTRIES_MAX)
		err_detail(e, "countries", NULL, "at most %d", COUNTRIES_MAX);
	for (size_t i = 0; i < n && i < COUNTRIES_MAX; i++)
		if (strcmp(countries[i], "*") != 0)
			check_country(e, "countries", countries[i]);
}

static void check_prices(struct err *e, Checkout__V1__ShippingPrice **prices, size_t n)
{
	if (n > PRICES_MAX)
		err_detail(e, "prices", NULL, "at most %d", PRICES_MAX);
	for (size_t i = 0; i < n && i < PRICES_MAX; i++) {
		check_currency(e, "prices.currency", prices[i]->currency);
		check_range(e, "prices.flat", prices[i]->has_flat ? prices[i]->flat : -1, 0, 1000000000000);
		check_range(e, "prices.per_kg", prices[i]->per_kg, 0, 1000000000000);
		for (size_t k = 0; k < i && prices[i]->currency && prices[k]->currency; k++)
			if (strcmp(prices[k]->currency, prices[i]->currency) == 0)
				err_detail(e, "prices.currency", prices[i]->currency, "is named twice");
	}
}

struct put {
	struct call *c;
	struct method_row row;
	const char *id;
	char **countries;
	size_t n_countries;
	Checkout__V1__ShippingPrice **prices;
	size_t n_prices;
	const Checkout__V1__UpdateShippingMethodRequest *change;
	Checkout__V1__ShippingMethod *out;
};

static enum err_code show(struct pg *pg, struct put *x, struct err *e)
{
	struct method_price_row *prices = NULL;
	struct method_row *m = NULL;
	bool found = false;
	size_t n = 0;

	if (method_db_get(pg, x->c->arena, x->id, &m, &found, e) ||
	    method_db_prices(pg, x->c->arena, &x->id, 1, &prices, &n, e))
		return e->code;
	checkout__v1__shipping_method__init(x->out);
	fill(x->c->arena, m, prices, n, x->out);
	return OK;
}

static enum err_code store(struct pg *pg, struct put *x, struct err *e)
{
	bool done = false;

	if (method_db_put(pg, x->c->arena, &x->row, (const char *const *)x->countries, x->n_countries, &done, e))
		return e->code;
	if (!done)
		return err_set(e, E_RETRY, "common.retry", "%s was changed meanwhile", x->id);
	if (x->n_prices && method_db_prices_clear(pg, x->id, e))
		return e->code;
	for (size_t i = 0; i < x->n_prices; i++) {
		const Checkout__V1__ShippingPrice *p = x->prices[i];
		const struct method_price_row r = { x->id, p->currency, p->flat, p->per_kg,
						    p->has_free_from ? p->free_from : -1 };

		if (method_db_price_put(pg, &r, e))
			return e->code;
	}
	return show(pg, x, e);
}

static enum err_code create_tx(struct pg *pg, void *arg, struct err *e)
{
	return store(pg, arg, e);
}

static enum err_code create_method(struct call *c, const Checkout__V1__ShippingMethod *in,
				   Checkout__V1__ShippingMethod *out)
{
	struct put x = { .c = c, .out = out, .countries = in->countries, .n_countries = in->n_countries,
			 .prices = in->prices, .n_prices = in->n_prices };
	char id[ID_LEN];

	if (call_perm(c, PERM))
		return c->err.code;
	check_text(&c->err, "zone", in->zone, 1, 80);
	check_text(&c->err, "name", in->name, 1, 80);
	check_countries(&c->err, in->countries, in->n_countries);
	check_prices(&c->err, in->prices, in->n_prices);
	check_range(&c->err, "max_weight_g", in->max_weight_g, 0, INT32_MAX);
	check_range(&c->err, "min_days", in->min_days, 0, 365);
	check_range(&c->err, "max_days", in->max_days, in->min_days, 365);
	if (in->n_countries == 0)
		err_detail(&c->err, "countries", NULL, "is required");
	if (in->n_prices == 0)
		err_detail(&c->err, "prices", NULL, "is required");
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "shipping method");
	id_new("shm", id);
	x.id = arena_strdup(c->arena, id);
	x.row = (struct method_row){ .id = x.id, .zone = in->zone, .name = in->name, .max_weight_g = in->max_weight_g,
				     .min_days = in->min_days, .max_days = in->max_days,
				     .priority = in->has_priority ? in->priority : 100,
				     .active = !in->has_active || in->active };
	return call_tx(c, CALL_TX_ONLY, create_tx, &x);
}

static void apply(const Checkout__V1__UpdateShippingMethodRequest *in, struct method_row *m)
{
	if (in->name)
		m->name = in->name;
	if (in->has_max_weight_g)
		m->max_weight_g = in->max_weight_g;
	if (in->has_min_days)
		m->min_days = in->min_days;
	if (in->has_max_days)
		m->max_days = in->max_days;
	if (in->has_active)
		m->active = in->active;
	if (in->has_priority)
		m->priority = in->priority;
}

static enum err_code update_tx(struct pg *pg, void *arg, struct err *e)
{
	struct put *x = arg;
	struct method_row *m = NULL;
	bool found = false;

	if (method_db_get(pg, x->c->arena, x->id, &m, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_NOT_FOUND, "shipping.not_found", "%s", x->id);
	apply(x->change, m);
	if (m->max_days < m->min_days) {
		err_detail(e, "max_days", NULL, "must not be less than min_days");
		return err_set(e, E_INVALID, "common.invalid_input", "shipping days");
	}
	x->row = *m;
	x->countries = x->change->countries;
	x->n_countries = x->change->n_countries;
	if (x->n_countries == 0)
		x->countries = split(x->c->arena, m->countries, &x->n_countries);
	return store(pg, x, e);
}

static enum err_code update_method(struct call *c, const Checkout__V1__UpdateShippingMethodRequest *in,
				   Checkout__V1__ShippingMethod *out)
{
	struct put x = { .c = c, .out = out, .id = in->shipping_method_id, .prices = in->prices,
			 .n_prices = in->n_prices, .change = in };

	if (call_perm(c, PERM))
		return c->err.code;
	if (in->name)
		check_text(&c->err, "name", in->name, 1, 80);
	check_countries(&c->err, in->countries, in->n_countries);
	check_prices(&c->err, in->prices, in->n_prices);
	check_range(&c->err, "max_weight_g", in->max_weight_g, 0, INT32_MAX);
	check_range(&c->err, "min_days", in->min_days, 0, 365);
	check_range(&c->err, "max_days", in->max_days, 0, 365);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "shipping method");
	return call_tx(c, CALL_TX_ONLY, update_tx, &x);
}

static enum err_code delete_tx(struct pg *pg, void *arg, struct err *e)
{
	const struct put *x = arg;
	bool done = false;

	if (method_db_delete(pg, x->id, &done, e))
		return e->code;
	return done ? OK : err_set(e, E_NOT_FOUND, "shipping.not_found", "%s", x->id);
}

static enum err_code delete_method(struct call *c, const Checkout__V1__ShippingMethodRequest *in, Common__V1__Empty *out)
{
	struct put x = { .c = c, .id = in->shipping_method_id };

	(void)out;
	return call_perm(c, PERM) ? c->err.code : call_tx(c, CALL_TX_ONLY, delete_tx, &x);
}

static enum err_code list_methods(struct call *c, const Checkout__V1__ListShippingMethodsRequest *in,
				  Checkout__V1__ListShippingMethodsReply *out)
{
	struct method_price_row *prices = NULL;
	struct method_row *rows = NULL;
	size_t n = 0, n_prices = 0;
	struct page page;
	const char **ids;
	struct pg *pg;

	if (call_perm(c, PERM) || page_of(c, in, "shipping", "t", &page) || call_pg(c, &pg))
		return c->err.code;
	if (method_db_page(pg, c->arena, page_text(&page, 0, ""), page.limit + 1, &rows, &n, &c->err) == OK) {
		ids = arena_array(c->arena, n + 1, sizeof(*ids));
		for (size_t i = 0; i < n; i++)
			ids[i] = rows[i].id;
		if (method_db_prices(pg, c->arena, ids, n, &prices, &n_prices, &c->err))
			n = 0;
	}
	pg_return(pg);
	if (c->err.code)
		return c->err.code;
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < page_shown(&page, n); i++) {
		Checkout__V1__ShippingMethod *m = arena_alloc(c->arena, sizeof(*m));

		checkout__v1__shipping_method__init(m);
		fill(c->arena, &rows[i], prices, n_prices, m);
		out->data[out->n_data++] = m;
	}
	if (page_more(&page, n))
		out->next_cursor = page_next(c, &page, rows[page.limit - 1].id);
	return OK;
}
