/* Models: their states, and who gets which. */
#include <stdio.h>
#include <string.h>

#include "common/check.h"
#include "common/id.h"
#include "common/page.h"
#include "reco.pb-c.h"
#include "services/reco/deploy.h"
#include "services/reco/reco.h"
#include "services/reco/reco_db_model.h"
#include "services/reco/shelf.h"

#define PERM "admin.catalog"

RPC_HANDLER(reco_list_models, Reco__V1__ListModelsRequest, Reco__V1__ListModelsReply)
RPC_HANDLER(reco_get_model, Reco__V1__ModelRequest, Reco__V1__Model)
RPC_HANDLER(reco_approve_model, Reco__V1__DecideModelRequest, Reco__V1__Model)
RPC_HANDLER(reco_reject_model, Reco__V1__DecideModelRequest, Reco__V1__Model)
RPC_HANDLER(reco_deploy_model, Reco__V1__DeployModelRequest, Reco__V1__Model)
RPC_HANDLER(reco_rollback_model, Reco__V1__RollbackModelRequest, Reco__V1__Model)

const struct rpc_method reco_model_methods[] = {
	{ "ListModels", reco_list_models_, RPC_READ, 0 },
	{ "GetModel", reco_get_model_, RPC_READ, 0 },
	{ "ApproveModel", reco_approve_model_, RPC_WRITE | RPC_KEYED, 0 },
	{ "RejectModel", reco_reject_model_, RPC_WRITE | RPC_KEYED, 0 },
	{ "DeployModel", reco_deploy_model_, RPC_WRITE | RPC_KEYED, 0 },
	{ "RollbackModel", reco_rollback_model_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

/* ---- answers ---- */

static Common__V1__Json *json_of(struct arena *a, const char *text)
{
	Common__V1__Json *j = arena_alloc(a, sizeof(*j));

	common__v1__json__init(j);
	j->text = (char *)(uintptr_t)(text ? text : "{}");
	return j;
}

static void model_fill(struct arena *a, const struct model_row *r, Reco__V1__Model *m)
{
	m->id = (char *)r->id;
	m->version = (char *)r->version;
	m->kind = (char *)r->kind;
	m->state = (char *)r->state;
	m->metrics = json_of(a, r->metrics);
	m->params = json_of(a, r->params);
	m->gate = json_of(a, r->gate);
	m->has_data_from_at = r->data_from > 0;
	m->data_from_at = r->data_from;
	m->has_data_to_at = r->data_to > 0;
	m->data_to_at = r->data_to;
	m->has_data_rows = m->has_seed = m->has_size_bytes = m->has_routine = m->has_trained_at = m->has_share_percent = true;
	m->data_rows = r->data_rows;
	m->seed = r->seed;
	m->checksum = (char *)r->sha256;
	m->size_bytes = r->bytes;
	m->routine = r->routine;
	m->why = (char *)r->why;
	m->trained_at = r->trained_at;
	m->has_evaluated_at = r->evaluated_at > 0;
	m->evaluated_at = r->evaluated_at;
	m->has_approved_at = r->approved_at > 0;
	m->approved_at = r->approved_at;
	m->approved_by = (char *)r->approved_by;
	m->has_deployed_at = r->deployed_at > 0;
	m->deployed_at = r->deployed_at;
	m->share_percent = r->share_percent;
}

static enum err_code unknown(struct err *e, const char *id)
{
	return err_set(e, E_NOT_FOUND, "reco.model_unknown", "%s", id);
}

/* The model as it is inside this transaction, into the reply. */
static enum err_code answer(struct pg *pg, struct call *c, const char *id, Reco__V1__Model *out, struct err *e)
{
	struct model_row *row = NULL;
	bool found = false;

	if (reco_db_model(pg, c->arena, id, false, &row, &found, e))
		return e->code;
	if (!found)
		return unknown(e, id);
	model_fill(c->arena, row, out);
	return OK;
}

static enum err_code reco_list_models(struct call *c, const Reco__V1__ListModelsRequest *in, Reco__V1__ListModelsReply *out)
{
	const char *filter = arena_printf(c->arena, "models|%s", in->state ? in->state : "");
	struct model_row *rows = NULL;
	struct page page;
	struct pg *pg;
	size_t n = 0;
	enum err_code code;

	if (call_perm(c, PERM))
		return c->err.code;
	if (in->state)
		check_oneof(&c->err, "state", in->state, "trained|evaluated|approved|deployed|retired|rejected");
	if (page_of(c, in, filter, "t", &page) || call_pg(c, &pg))
		return c->err.code;
	code = reco_db_models(pg, c->arena, in->state, page_text(&page, 0, ""), page.limit + 1, &rows, &n, &c->err);
	pg_return(pg);
	if (code)
		return code;
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < page_shown(&page, n); i++) {
		Reco__V1__Model *m = arena_alloc(c->arena, sizeof(*m));

		reco__v1__model__init(m);
		model_fill(c->arena, &rows[i], m);
		out->data[out->n_data++] = m;
	}
	if (page_more(&page, n))
		out->next_cursor = page_next(c, &page, rows[page.limit - 1].id);
	return OK;
}

static enum err_code reco_get_model(struct call *c, const Reco__V1__ModelRequest *in, Reco__V1__Model *out)
{
	struct change_row *rows = NULL;
	size_t n = 0;
	struct pg *pg;
	enum err_code code;

	if (call_perm(c, PERM) || call_pg(c, &pg))
		return c->err.code;
	code = answer(pg, c, in->model_id, out, &c->err);
	if (!code)
		code = reco_db_model_changes(pg, c->arena, in->model_id, &rows, &n, &c->err);
	pg_return(pg);
	if (code)
		return code;
	out->history = arena_array(c->arena, n + 1, sizeof(*out->history));
	for (size_t i = 0; i < n; i++) {
		Reco__V1__ModelChange *m = arena_alloc(c->arena, sizeof(*m));

		reco__v1__model_change__init(m);
		m->from = (char *)rows[i].from_state;
		m->to = (char *)rows[i].to_state;
		m->by = (char *)rows[i].who;
		m->why = (char *)rows[i].why;
		m->has_changed_at = true;
		m->changed_at = rows[i].at;
		out->history[out->n_history++] = m;
	}
	return OK;
}

/* ---- decisions ---- */

struct decision {
	struct call *c;
	const char *id, *why;
	int32_t share;
	Reco__V1__Model *out;
};

static enum err_code wrong_state(struct err *e, const struct model_row *m)
{
	return err_set(e, E_CONFLICT, "reco.model_state", "%s is %s", m->id, m->state);
}

static enum err_code move(struct pg *pg, struct decision *d, const struct model_row *m, const char *to, struct err *e)
{
	bool moved = false;

	if (reco_db_model_move(pg, m->id, m->state, to, call_actor(d->c), d->why, &moved, e))
		return e->code;
	return moved ? OK : wrong_state(e, m);
}

static enum err_code locked(struct pg *pg, struct decision *d, struct model_row **row_r, struct err *e)
{
	bool found = false;

	if (reco_db_model(pg, d->c->arena, d->id, true, row_r, &found, e))
		return e->code;
	return found ? OK : unknown(e, d->id);
}

/* A person may approve what the gate could not judge, never what it rejected. */
static enum err_code approve_tx(struct pg *pg, void *arg, struct err *e)
{
	struct decision *d = arg;
	struct model_row *m = NULL;

	if (locked(pg, d, &m, e))
		return e->code;
	if (strcmp(m->state, "evaluated") != 0)
		return wrong_state(e, m);
	return move(pg, d, m, "approved", e) ? e->code : answer(pg, d->c, m->id, d->out, e);
}

static enum err_code reject_tx(struct pg *pg, void *arg, struct err *e)
{
	struct decision *d = arg;
	struct model_row *m = NULL;

	if (locked(pg, d, &m, e))
		return e->code;
	if (strcmp(m->state, "evaluated") != 0 && strcmp(m->state, "approved") != 0)
		return wrong_state(e, m);
	return move(pg, d, m, "rejected", e) ? e->code : answer(pg, d->c, m->id, d->out, e);
}

static const struct reco_conf *conf(const struct decision *d)
{
	return ((const struct reco_svc *)d->c->svc)->conf;
}

/* The file is looked at before anybody is sent to it. */
static enum err_code deploy_tx(struct pg *pg, void *arg, struct err *e)
{
	struct decision *d = arg;
	struct model_row *m = NULL;
	struct deployed now;
	const char *who = call_actor(d->c);
	bool is_canary;

	if (deploy_now(pg, d->c->arena, true, &now, e) || locked(pg, d, &m, e))
		return e->code;
	is_canary = now.canary && strcmp(now.canary->model_id, m->id) == 0;
	if (strcmp(m->state, "approved") != 0 && strcmp(m->state, "retired") != 0 && !is_canary)
		return wrong_state(e, m);
	if (d->share < 100 && !now.main)
		return err_set(e, E_CONFLICT, "reco.no_main", "a share needs a model beside it");
	if (deploy_readable(d->c->svc, d->c->arena, m, e) ||
	    (d->share < 100 ? deploy_canary(pg, &now, m, d->share, conf(d)->canary_h, who, d->why, e)
			    : deploy_main(pg, &now, m, who, d->why, e)))
		return e->code;
	return answer(pg, d->c, m->id, d->out, e);
}

/* A canary first; else the main one gives way to the one before it. */
static enum err_code rollback_tx(struct pg *pg, void *arg, struct err *e)
{
	struct decision *d = arg;
	struct model_row *m = NULL;
	struct deployed now;
	const char *who = call_actor(d->c);

	if (deploy_now(pg, d->c->arena, true, &now, e))
		return e->code;
	if (now.canary)
		return deploy_withdraw(pg, &now, who, d->why ? d->why : "withdrawn", e)
			       ? e->code
			       : answer(pg, d->c, now.canary->model_id, d->out, e);
	if (!now.main || !now.main->previous_id)
		return err_set(e, E_CONFLICT, "reco.nothing_before", "nothing to go back to");
	d->id = now.main->previous_id;
	if (locked(pg, d, &m, e) || deploy_readable(d->c->svc, d->c->arena, m, e) || deploy_back(pg, &now, m, who, d->why, e))
		return e->code;
	return answer(pg, d->c, m->id, d->out, e);
}

static enum err_code decide(struct call *c, pg_tx_fn *fn, const char *id, const char *why, int32_t share, Reco__V1__Model *out)
{
	struct decision d = { c, id, why && *why ? why : NULL, share, out };

	if (call_perm(c, PERM))
		return c->err.code;
	if (id)
		check_id(&c->err, "model_id", id, "mdl");
	if (d.why)
		check_text(&c->err, "why", d.why, 1, 500);
	check_range(&c->err, "share_percent", share, 1, 100);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "model");
	return call_tx(c, CALL_TX_ONLY, fn, &d);
}

static enum err_code reco_approve_model(struct call *c, const Reco__V1__DecideModelRequest *in, Reco__V1__Model *out)
{
	return decide(c, approve_tx, in->model_id ? in->model_id : "", in->why, 100, out);
}

static enum err_code reco_reject_model(struct call *c, const Reco__V1__DecideModelRequest *in, Reco__V1__Model *out)
{
	return decide(c, reject_tx, in->model_id ? in->model_id : "", in->why, 100, out);
}

/*
 * A file that another replica has made is fetched before the transaction that deploys it. What fails here is met again there,
 * where it is told.
 */
static void at_hand(struct call *c, const char *model_id)
{
	const struct reco_svc *svc = c->svc;
	struct model_row *m = NULL;
	struct deployed now = { 0 };
	struct err e = { 0 };
	bool found = false;
	struct pg *pg;

	if (!svc->shelf || call_perm(c, PERM) || pg_borrow(svc->pool, c->deadline_ms, &pg, &e))
		return;
	if (!model_id && deploy_now(pg, c->arena, false, &now, &e) == OK && now.main)
		model_id = now.main->previous_id;
	if (model_id && !e.code && reco_db_model(pg, c->arena, model_id, false, &m, &found, &e))
		found = false;
	pg_return(pg);
	if (found && !m->pruned && shelf_fetch(svc->shelf, c->arena, m->path, m->sha256, &e))
		err_clear(&e);
}

static enum err_code reco_deploy_model(struct call *c, const Reco__V1__DeployModelRequest *in, Reco__V1__Model *out)
{
	at_hand(c, in->model_id);
	return decide(c, deploy_tx, in->model_id ? in->model_id : "", in->why, in->has_share_percent ? in->share_percent : 100,
		      out);
}

static enum err_code reco_rollback_model(struct call *c, const Reco__V1__RollbackModelRequest *in, Reco__V1__Model *out)
{
	at_hand(c, NULL);
	return decide(c, rollback_tx, NULL, in->why, 100, out);
}
