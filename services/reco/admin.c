/* State of the store, and products pinned to places. */
#include <string.h>

#include "common/check.h"
#include "common/id.h"
#include "common/metrics.h"
#include "common/page.h"
#include "common/timeutil.h"
#include "reco.pb-c.h"
#include "services/reco/collect.h"
#include "services/reco/deploy.h"
#include "services/reco/reco.h"
#include "services/reco/reco_db_admin.h"
#include "services/reco/serve.h"
#include "services/reco/training.h"

#define PERM "admin.catalog"

RPC_HANDLER(reco_get_status, Reco__V1__StatusRequest, Reco__V1__Status)
RPC_HANDLER(reco_create_pin, Reco__V1__CreatePinRequest, Reco__V1__Pin)
RPC_HANDLER(reco_list_pins, Reco__V1__ListPinsRequest, Reco__V1__ListPinsReply)
RPC_HANDLER(reco_delete_pin, Reco__V1__DeletePinRequest, Common__V1__Empty)

const struct rpc_method reco_admin_methods[] = {
	{ "GetStatus", reco_get_status_, RPC_READ, 0 },
	{ "CreatePin", reco_create_pin_, RPC_WRITE | RPC_KEYED, 0 },
	{ "ListPins", reco_list_pins_, RPC_READ, 0 },
	{ "DeletePin", reco_delete_pin_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

static Reco__V1__Deployment *deployment_of(struct arena *a, const struct deployment_row *d)
{
	Reco__V1__Deployment *m = arena_alloc(a, sizeof(*m));

	reco__v1__deployment__init(m);
	m->variant = (char *)d->variant;
	m->model_id = (char *)d->model_id;
	m->version = (char *)d->version;
	m->previous_id = (char *)d->previous_id;
	m->by = (char *)d->who;
	m->has_share_percent = m->has_deployed_at = true;
	m->share_percent = d->share_percent;
	m->deployed_at = d->since;
	m->has_judged_at = d->until > 0;
	m->judged_at = d->until;
	m->has_looked_at = m->has_shown = m->has_clicked = m->has_main_shown = m->has_main_clicked = d->looked_at > 0;
	m->looked_at = d->looked_at;
	m->shown = d->shown;
	m->clicked = d->clicked;
	m->main_shown = d->main_shown;
	m->main_clicked = d->main_clicked;
	return m;
}

static enum err_code reco_get_status(struct call *c, const Reco__V1__StatusRequest *in, Reco__V1__Status *out)
{
	struct training_row *last = NULL;
	struct status_row *row = NULL;
	struct deployed now = { 0 };
	bool trained = false;
	struct pg *pg;
	enum err_code code;

	(void)in;
	if (call_perm(c, PERM) || call_pg(c, &pg))
		return c->err.code;
	code = reco_db_status(pg, c->arena, &row, &c->err);
	if (!code)
		code = deploy_now(pg, c->arena, false, &now, &c->err);
	if (!code)
		code = reco_db_training_last(pg, c->arena, &last, &trained, &c->err);
	pg_return(pg);
	if (code)
		return code;
	out->has_events = out->has_products = out->has_feature_lag_ms = out->has_catalogue_filled = true;
	out->events = row->events;
	out->products = row->products;
	out->feature_lag_ms = row->lag_ms;
	out->has_last_event_at = row->last_event_at > 0;
	out->last_event_at = row->last_event_at;
	out->model_version = (char *)row->model_version;
	out->catalogue_filled = row->filled;
	out->deployments = arena_array(c->arena, 2, sizeof(*out->deployments));
	if (now.main)
		out->deployments[out->n_deployments++] = deployment_of(c->arena, now.main);
	if (now.canary)
		out->deployments[out->n_deployments++] = deployment_of(c->arena, now.canary);
	if (trained) {
		out->training = arena_alloc(c->arena, sizeof(*out->training));
		reco__v1__training__init(out->training);
		training_fill(last, out->training);
	}
	return OK;
}

/* ---- pins ---- */

static Reco__V1__Pin *pin_fill(const struct pin_row *r, Reco__V1__Pin *m)
{
	m->id = (char *)r->id;
	m->placement = (char *)r->placement;
	m->product_id = (char *)r->product_id;
	m->for_product_id = (char *)r->for_product_id;
	m->has_position = m->has_created_at = true;
	m->position = r->position;
	m->has_starts_at = r->starts_at > 0;
	m->starts_at = r->starts_at;
	m->has_ends_at = r->ends_at > 0;
	m->ends_at = r->ends_at;
	m->created_at = r->created_at;
	return m;
}

struct pin_tx {
	struct call *c;
	struct pin_row row;
	Reco__V1__Pin *out;
};

static enum err_code pin_tx(struct pg *pg, void *arg, struct err *e)
{
	struct pin_tx *t = arg;
	char *id = arena_alloc(t->c->arena, ID_LEN);

	id_new("pin", id);
	t->row.id = id;
	(void)pin_fill(&t->row, t->out);
	if (reco_db_pin_add(pg, &t->row, e) == E_CONFLICT && strcmp(pg_constraint(pg), "pin_once") == 0)
		return err_set(e, E_CONFLICT, "reco.pin_exists", "%s", t->row.product_id);
	return e->code;
}

static enum err_code reco_create_pin(struct call *c, const Reco__V1__CreatePinRequest *in, Reco__V1__Pin *out)
{
	struct pin_tx t = { c, { .placement = in->placement, .product_id = in->product_id,
				 .for_product_id = in->for_product_id, .position = in->position,
				 .starts_at = in->starts_at, .ends_at = in->ends_at, .created_at = wall_ms() },
			    out };

	if (call_perm(c, PERM))
		return c->err.code;
	if (!collect_word(in->placement))
		err_detail(&c->err, "placement", NULL, "1 to 64 letters, digits or - _ . :");
	check_id(&c->err, "product_id", in->product_id, "prd");
	if (in->for_product_id)
		check_id(&c->err, "for_product_id", in->for_product_id, "prd");
	check_range(&c->err, "position", in->position, 1, 50);
	if (in->has_starts_at && in->has_ends_at && in->ends_at <= in->starts_at)
		err_detail(&c->err, "ends_at", NULL, "must be after starts_at");
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "pin");
	if (call_tx(c, CALL_TX_ONLY, pin_tx, &t))
		return c->err.code;
	serve_pins_set(((struct reco_svc *)c->svc)->serve, true);
	return OK;
}

static enum err_code reco_list_pins(struct call *c, const Reco__V1__ListPinsRequest *in, Reco__V1__ListPinsReply *out)
{
	const char *filter = arena_printf(c->arena, "pins|%s", in->placement ? in->placement : "");
	struct pin_row *rows = NULL;
	struct page page;
	struct pg *pg;
	size_t n = 0;
	enum err_code code;

	if (call_perm(c, PERM))
		return c->err.code;
	if (page_of(c, in, filter, "t", &page) || call_pg(c, &pg))
		return c->err.code;
	code = reco_db_pins(pg, c->arena, in->placement, page_text(&page, 0, ""), page.limit + 1, &rows, &n, &c->err);
	pg_return(pg);
	if (code)
		return code;
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < page_shown(&page, n); i++) {
		Reco__V1__Pin *m = arena_alloc(c->arena, sizeof(*m));

		reco__v1__pin__init(m);
		out->data[out->n_data++] = pin_fill(&rows[i], m);
	}
	if (page_more(&page, n))
		out->next_cursor = page_next(c, &page, rows[page.limit - 1].id);
	return OK;
}

struct drop_tx {
	const char *id;
};

static enum err_code drop_tx(struct pg *pg, void *arg, struct err *e)
{
	struct drop_tx *t = arg;
	bool found = false;

	if (reco_db_pin_drop(pg, t->id, &found, e))
		return e->code;
	return found ? OK : err_set(e, E_NOT_FOUND, "common.not_found", "%s", t->id);
}

static enum err_code reco_delete_pin(struct call *c, const Reco__V1__DeletePinRequest *in, Common__V1__Empty *out)
{
	struct drop_tx t = { in->pin_id };

	(void)out;
	if (call_perm(c, PERM))
		return c->err.code;
	check_id(&c->err, "pin_id", in->pin_id, "pin");
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "pin_id");
	return call_tx(c, CALL_TX_ONLY, drop_tx, &t);
}
