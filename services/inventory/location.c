/* Where a vendor's units lie. Every vendor has a "main" location from its first variant on. */
#include "common/check.h"
#include "common/id.h"
#include "common/page.h"
#include "inventory.pb-c.h"
#include "services/inventory/inventory.h"
#include "services/inventory/inventory_db.h"

RPC_HANDLER(inventory_list_locations, Inventory__V1__ListLocationsRequest, Inventory__V1__ListLocationsReply)
RPC_HANDLER(inventory_create_location, Inventory__V1__CreateLocationRequest, Inventory__V1__Location)

const struct rpc_method inventory_location_methods[] = {
	{ "ListLocations", inventory_list_locations_, RPC_READ, 0 },
	{ "CreateLocation", inventory_create_location_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

static void location_fill(const struct location_row *r, Inventory__V1__Location *out)
{
	out->id = (char *)r->id;
	out->code = (char *)r->code;
	out->name = (char *)r->name;
	out->country = (char *)r->country;
	out->has_priority = out->has_version = out->has_created_at = true;
	out->priority = r->priority;
	out->version = r->version;
	out->created_at = r->created_at;
}

static enum err_code inventory_list_locations(struct call *c, const Inventory__V1__ListLocationsRequest *in,
					      Inventory__V1__ListLocationsReply *out)
{
	struct page page;
	struct location_row *rows = NULL;
	size_t n = 0;
	struct pg *pg;
	enum err_code code;
	const char *filter;

	if (call_vendor(c, "vendor.inventory"))
		return c->err.code;
	filter = arena_printf(c->arena, "locations|%s", c->who.vendor_id);
	if (page_of(c, in, filter, "t", &page) || call_pg(c, &pg))
		return c->err.code;
	code = inventory_db_locations(pg, c->arena, c->who.vendor_id, page_text(&page, 0, ""), page.limit + 1, &rows,
				      &n, &c->err);
	pg_return(pg);
	if (code)
		return code;
	out->data = arena_alloc(c->arena, (n + 1) * sizeof(*out->data));
	for (size_t i = 0; i < page_shown(&page, n); i++) {
		Inventory__V1__Location *l = arena_alloc(c->arena, sizeof(*l));

		inventory__v1__location__init(l);
		location_fill(&rows[i], l);
		out->data[out->n_data++] = l;
	}
	if (page_more(&page, n))
		out->next_cursor = page_next(c, &page, rows[page.limit - 1].id);
	return OK;
}

struct create_tx {
	struct call *c;
	const Inventory__V1__CreateLocationRequest *in;
	const char *id;
	Inventory__V1__Location *out;
};

static enum err_code create_tx(struct pg *pg, void *arg, struct err *e)
{
	struct create_tx *t = arg;
	struct location_row *row = NULL;
	bool found = false;

	if (inventory_db_location_add(pg, t->c->arena, t->id, t->c->who.vendor_id, t->in->code, t->in->name,
				      t->in->country, t->in->has_priority ? t->in->priority : 100, &row, &found, e))
		return e->code;
	if (!found) {
		err_detail(e, "code", t->in->code, "is taken");
		return err_set(e, E_CONFLICT, "inventory.location_exists", "code %s", t->in->code);
	}
	location_fill(row, t->out);
	return OK;
}

static enum err_code inventory_create_location(struct call *c, const Inventory__V1__CreateLocationRequest *in,
					       Inventory__V1__Location *out)
{
	char id[ID_LEN];
	struct create_tx t = { .c = c, .in = in, .id = id, .out = out };

	if (call_vendor(c, "vendor.inventory"))
		return c->err.code;
	check_slug(&c->err, "code", in->code);
	check_text(&c->err, "name", in->name, 1, 120);
	if (in->country)
		check_country(&c->err, "country", in->country);
	if (in->has_priority)
		check_range(&c->err, "priority", in->priority, 0, 10000);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "location");
	id_new("loc", id);
	return call_tx(c, CALL_TX_ONLY, create_tx, &t);
}
