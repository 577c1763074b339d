/* A vendor's own stock: list, read, set, adjust with a reason, and the movements that led to it. */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/page.h"
#include "inventory.pb-c.h"
#include "services/inventory/inventory.h"
#include "services/inventory/inventory_db.h"
#include "services/inventory/stock_event.h"

#define UNITS_MAX 1000000000LL

RPC_HANDLER(inventory_list_stock, Inventory__V1__ListStockRequest, Inventory__V1__ListStockReply)
RPC_HANDLER(inventory_get_stock, Inventory__V1__GetStockRequest, Inventory__V1__StockLevel)
RPC_HANDLER(inventory_put_stock, Inventory__V1__PutStockRequest, Inventory__V1__StockLevel)
RPC_HANDLER(inventory_adjust_stock, Inventory__V1__AdjustStockRequest, Inventory__V1__StockLevel)
RPC_HANDLER(inventory_list_movements, Inventory__V1__MovementsRequest, Inventory__V1__MovementsReply)

const struct rpc_method inventory_stock_methods[] = {
	{ "ListStock", inventory_list_stock_, RPC_READ, 0 },
	{ "GetStock", inventory_get_stock_, RPC_READ, 0 },
	{ "PutStock", inventory_put_stock_, RPC_WRITE | RPC_KEYED, 0 },
	{ "AdjustStock", inventory_adjust_stock_, RPC_WRITE | RPC_KEYED | RPC_KEY_NEEDED, 0 },
	{ "ListMovements", inventory_list_movements_, RPC_READ, 0 },
	{ 0 },
};

static void stock_fill(const struct stock_row *r, Inventory__V1__StockLevel *out)
{
	out->sku = (char *)r->sku;
	out->variant_id = (char *)r->variant_id;
	out->has_on_hand = out->has_reserved = out->has_available = out->has_backorder = true;
	out->on_hand = r->on_hand;
	out->reserved = r->reserved;
	out->available = r->on_hand - r->reserved;
	out->backorder = r->backorder;
	out->has_low_stock_threshold = out->has_version = out->has_updated_at = true;
	out->low_stock_threshold = r->low_threshold;
	out->availability = (char *)r->state;
	out->version = r->version;
	out->updated_at = r->updated_at;
}

/* The stock of the token's vendor under that SKU; 404 for another vendor's as for none. */
static enum err_code own_stock(struct call *c, struct pg *pg, const char *sku, struct stock_row **row_r, struct err *e)
{
	bool found = false;

	if (inventory_db_stock_by_sku(pg, c->arena, c->who.vendor_id, sku, row_r, &found, e))
		return e->code;
	return found ? OK : err_set(e, E_NOT_FOUND, "inventory.sku_unknown", "sku %s", sku);
}

static enum err_code stock_reply(struct call *c, struct pg *pg, const char *sku, Inventory__V1__StockLevel *out,
				 struct err *e)
{
	struct stock_row *r = NULL;
	struct level_row *levels = NULL;
	size_t n = 0;

	if (own_stock(c, pg, sku, &r, e) || inventory_db_levels(pg, c->arena, r->variant_id, &levels, &n, e))
		return e->code;
	stock_fill(r, out);
	out->n_levels = 0; /* a retried transaction fills it again */
	out->levels = arena_alloc(c->arena, (n + 1) * sizeof(*out->levels));
	for (size_t i = 0; i < n; i++) {
		Inventory__V1__Level *l = arena_alloc(c->arena, sizeof(*l));

		inventory__v1__level__init(l);
		l->location_id = (char *)levels[i].location_id;
		l->location_code = (char *)levels[i].location_code;
		l->has_on_hand = true;
		l->on_hand = levels[i].on_hand;
		out->levels[out->n_levels++] = l;
	}
	out->hdr_etag = arena_printf(c->arena, "%s-%lld", r->variant_id, (long long)r->version);
	return OK;
}

static enum err_code inventory_get_stock(struct call *c, const Inventory__V1__GetStockRequest *in,
					 Inventory__V1__StockLevel *out)
{
	struct pg *pg;

	if (call_vendor(c, "vendor.inventory"))
		return c->err.code;
	check_text(&c->err, "sku", in->sku, 1, 100);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "stock");
	if (call_pg(c, &pg))
		return c->err.code;
	enum err_code code = stock_reply(c, pg, in->sku, out, &c->err);

	pg_return(pg);
	return code;
}

static enum err_code inventory_list_stock(struct call *c, const Inventory__V1__ListStockRequest *in,
					  Inventory__V1__ListStockReply *out)
{
	struct page page;
	struct stock_row *rows = NULL;
	size_t n = 0;
	struct pg *pg;
	enum err_code code;
	const char *filter;

	if (call_vendor(c, "vendor.inventory"))
		return c->err.code;
	if (in->location_id)
		check_id(&c->err, "location_id", in->location_id, "loc");
	filter = arena_printf(c->arena, "stock|%s|%d|%s", c->who.vendor_id, in->low_stock,
			      in->location_id ? in->location_id : "");
	if (page_of(c, in, filter, "t", &page) || call_pg(c, &pg))
		return c->err.code;
	code = inventory_db_stock_page(pg, c->arena, c->who.vendor_id, page_text(&page, 0, ""), in->low_stock,
				       in->location_id ? in->location_id : "", page.limit + 1, &rows, &n, &c->err);
	pg_return(pg);
	if (code)
		return code;
	out->data = arena_alloc(c->arena, (n + 1) * sizeof(*out->data));
	for (size_t i = 0; i < page_shown(&page, n); i++) {
		Inventory__V1__StockLevel *s = arena_alloc(c->arena, sizeof(*s));

		inventory__v1__stock_level__init(s);
		stock_fill(&rows[i], s);
		out->data[out->n_data++] = s;
	}
	if (page_more(&page, n))
		out->next_cursor = page_next(c, &page, rows[page.limit - 1].variant_id);
	return OK;
}

/* ---- changes ---- */

struct change_tx {
	struct call *c;
	const char *sku, *location_id, *reason, *if_match;
	bool has_units, set;
	int64_t units;
	int64_t low; /* -1: keep */
	const bool *backorder;
	Inventory__V1__StockLevel *out;
};

/* If-Match carries "<variant_id>-<version>". */
static enum err_code match_version(struct call *c, struct pg *pg, const struct stock_row *r, const char *tag,
				   struct err *e)
{
	size_t n = strlen(r->variant_id);
	bool found = false;
	char *end;
	long long version;

	if (!tag || !*tag)
		return OK;
	version = strncmp(tag, r->variant_id, n) == 0 && tag[n] == '-' ? strtoll(tag + n + 1, &end, 10) : -1;
	if (version >= 0 && *end == '\0' &&
	    inventory_db_stock_lock(pg, c->arena, r->variant_id, version, &found, e))
		return e->code;
	if (found)
		return OK;
	err_detail(e, "If-Match", arena_printf(c->arena, "%s-%lld", r->variant_id, (long long)r->version),
		   "the stock was changed meanwhile");
	return err_set(e, E_PRECOND, "common.precondition_failed", "tag %s", tag);
}

static enum err_code change_units(struct change_tx *t, struct pg *pg, const struct stock_row *r, struct err *e)
{
	struct call *c = t->c;
	struct location_row *loc = NULL;
	struct adjust_row *done = NULL;
	bool found = false;

	if (inventory_db_location_pick(pg, c->arena, r->vendor_id, t->location_id, &loc, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_NOT_FOUND, "inventory.location_unknown", "%s",
			       t->location_id ? t->location_id : "(default)");
	struct adjust_ask ask = {
		.variant_id = r->variant_id, .location_id = loc->id, .set = t->set, .value = t->units,
		.kind = t->units > 0 && !t->set ? "receipt" : "adjustment", .reason = t->reason,
		.actor = call_actor(c), .request_id = c->request_id,
	};

	if (inventory_db_adjust(pg, c->arena, &ask, &done, e))
		return e->code;
	if (strcmp(done->outcome, "reserved") == 0 && !t->set && done->on_hand + t->units < 0) {
		err_detail(e, "delta", arena_printf(c->arena, "%lld", (long long)done->on_hand), "more than there are");
		return err_set(e, E_CONFLICT, "inventory.too_few", "sku %s", r->sku);
	}
	if (strcmp(done->outcome, "reserved") == 0) {
		err_detail(e, t->set ? "on_hand" : "delta", arena_printf(c->arena, "%lld", (long long)done->on_hand),
			   "fewer than the units already reserved by buyers");
		return err_set(e, E_CONFLICT, "inventory.below_reserved", "sku %s", r->sku);
	}
	if (strcmp(done->outcome, "range") == 0)
		return err_set(e, E_RULE, "inventory.out_of_range", "sku %s", r->sku);
	return stock_event_put(pg, done->moved, r->variant_id, done->vendor_id, done->state_after, done->seq_after, e);
}

static enum err_code change_tx(struct pg *pg, void *arg, struct err *e)
{
	struct change_tx *t = arg;
	struct stock_row *r = NULL;
	struct configure_row *set = NULL;

	if (own_stock(t->c, pg, t->sku, &r, e) || match_version(t->c, pg, r, t->if_match, e))
		return e->code;
	if (t->low >= 0 || t->backorder) {
		if (inventory_db_configure(pg, t->c->arena, r->variant_id, t->low, t->backorder, &set, e))
			return e->code;
		if (strcmp(set->outcome, "owed") == 0)
			return err_set(e, E_CONFLICT, "inventory.backorder_owed", "sku %s", r->sku);
		if (stock_event_put(pg, set->moved, r->variant_id, set->vendor_id, set->state_after, set->seq_after, e))
			return e->code;
	}
	if (t->has_units && change_units(t, pg, r, e))
		return e->code;
	return stock_reply(t->c, pg, t->sku, t->out, e);
}

static enum err_code inventory_put_stock(struct call *c, const Inventory__V1__PutStockRequest *in,
					 Inventory__V1__StockLevel *out)
{
	bool backorder = in->backorder;
	struct change_tx t = {
		.c = c, .sku = in->sku, .location_id = in->location_id, .if_match = in->hdr_if_match, .out = out,
		.reason = in->reason ? in->reason : "set by the vendor", .has_units = in->has_on_hand, .set = true,
		.units = in->on_hand, .low = in->has_low_stock_threshold ? in->low_stock_threshold : -1,
		.backorder = in->has_backorder ? &backorder : NULL,
	};

	if (call_vendor(c, "vendor.inventory"))
		return c->err.code;
	check_text(&c->err, "sku", in->sku, 1, 100);
	if (in->has_on_hand)
		check_range(&c->err, "on_hand", in->on_hand, 0, UNITS_MAX);
	if (in->has_low_stock_threshold)
		check_range(&c->err, "low_stock_threshold", in->low_stock_threshold, 0, UNITS_MAX);
	if (in->location_id)
		check_id(&c->err, "location_id", in->location_id, "loc");
	if (in->reason)
		check_text(&c->err, "reason", in->reason, 1, 200);
	if (!in->has_on_hand && !in->has_low_stock_threshold && !in->has_backorder)
		err_detail(&c->err, "on_hand", NULL, "on_hand, low_stock_threshold or backorder must be given");
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "put stock");
	return call_tx(c, CALL_TX_ONLY, change_tx, &t);
}

static enum err_code inventory_adjust_stock(struct call *c, const Inventory__V1__AdjustStockRequest *in,
					    Inventory__V1__StockLevel *out)
{
	struct change_tx t = {
		.c = c, .sku = in->sku, .location_id = in->location_id, .if_match = in->hdr_if_match, .out = out,
		.reason = in->reason, .has_units = true, .units = in->delta, .low = -1,
	};

	if (call_vendor(c, "vendor.inventory"))
		return c->err.code;
	check_text(&c->err, "sku", in->sku, 1, 100);
	check_range(&c->err, "delta", in->delta, -UNITS_MAX, UNITS_MAX);
	if (in->delta == 0)
		err_detail(&c->err, "delta", NULL, "must not be 0");
	check_text(&c->err, "reason", in->reason, 3, 200);
	if (in->location_id)
		check_id(&c->err, "location_id", in->location_id, "loc");
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "adjust stock");
	return call_tx(c, CALL_TX_ONLY, change_tx, &t);
}

/* ---- movements ---- */

static enum err_code inventory_list_movements(struct call *c, const Inventory__V1__MovementsRequest *in,
					      Inventory__V1__MovementsReply *out)
{
	struct page page;
	struct stock_row *r = NULL;
	struct movement_row *rows = NULL;
	size_t n = 0;
	struct pg *pg;
	const char *filter;
	enum err_code code;

	if (call_vendor(c, "vendor.inventory"))
		return c->err.code;
	check_text(&c->err, "sku", in->sku, 1, 100);
	filter = arena_printf(c->arena, "movements|%s|%s", c->who.vendor_id, in->sku);
	if (page_of(c, in, filter, "i", &page) || call_pg(c, &pg))
		return c->err.code;
	code = own_stock(c, pg, in->sku, &r, &c->err);
	if (!code)
		code = inventory_db_movements(pg, c->arena, r->variant_id, page_int(&page, 0, INT64_MAX), page.limit + 1,
					      &rows, &n, &c->err);
	pg_return(pg);
	if (code)
		return code;
	out->data = arena_alloc(c->arena, (n + 1) * sizeof(*out->data));
	for (size_t i = 0; i < page_shown(&page, n); i++) {
		Inventory__V1__Movement *m = arena_alloc(c->arena, sizeof(*m));

		inventory__v1__movement__init(m);
		m->kind = (char *)rows[i].kind;
		m->has_delta = m->has_on_hand_after = m->has_moved_at = true;
		m->delta = rows[i].delta;
		m->on_hand_after = rows[i].on_hand_after;
		m->moved_at = rows[i].moved_at;
		m->location_id = (char *)rows[i].location_id;
		m->reason = (char *)rows[i].reason;
		m->order_id = (char *)rows[i].order_id;
		m->actor = (char *)rows[i].actor;
		out->data[out->n_data++] = m;
	}
	if (page_more(&page, n))
		out->next_cursor = page_next(c, &page, rows[page.limit - 1].seq);
	return OK;
}
