/* Trainings: asked for, followed, cancelled. What carries them out is job_train.c. */
#include "services/reco/training.h"

#include <string.h>

#include "common/check.h"
#include "common/id.h"
#include "services/reco/deploy.h"
#include "services/reco/job_train.h"
#include "services/reco/params.h"

#define PERM "admin.catalog"

RPC_HANDLER(reco_start_training, Reco__V1__StartTrainingRequest, Reco__V1__Training)
RPC_HANDLER(reco_get_training, Reco__V1__TrainingRequest, Reco__V1__Training)
RPC_HANDLER(reco_cancel_training, Reco__V1__TrainingRequest, Reco__V1__Training)

const struct rpc_method reco_training_methods[] = {
	{ "StartTraining", reco_start_training_, RPC_WRITE | RPC_KEYED, 0 },
	{ "GetTraining", reco_get_training_, RPC_READ, 0 },
	{ "CancelTraining", reco_cancel_training_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

void training_fill(const struct training_row *r, Reco__V1__Training *m)
{
	m->id = (char *)r->id;
	m->state = (char *)r->state;
	m->step = (char *)r->step;
	m->has_percent = m->has_queued_at = true;
	m->percent = r->percent;
	m->model_id = (char *)r->model_id;
	m->message = (char *)r->message;
	m->queued_at = r->queued_at;
	m->has_started_at = r->started_at > 0;
	m->started_at = r->started_at;
	m->has_finished_at = r->finished_at > 0;
	m->finished_at = r->finished_at;
}

static enum err_code training_answer(struct pg *pg, struct call *c, const char *id, Reco__V1__Training *out, struct err *e)
{
	struct training_row *row = NULL;
	bool found = false;

	if (reco_db_training(pg, c->arena, id, &row, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_NOT_FOUND, "reco.training_unknown", "%s", id);
	training_fill(row, out);
	return OK;
}

struct training_tx {
	struct call *c;
	const char *id, *params;
	int64_t seed;
	Reco__V1__Training *out;
};

static enum err_code start_tx(struct pg *pg, void *arg, struct err *e)
{
	struct training_tx *t = arg;
	const char *params = t->params;
	bool added = false;

	if (!params) { /* those of the deployed model */
		struct deployed now;

		if (deploy_now(pg, t->c->arena, false, &now, e))
			return e->code;
		params = now.main ? now.main->params : "{}";
	}
	if (reco_db_training_add(pg, t->id, params, t->seed, call_actor(t->c), &added, e))
		return e->code;
	if (!added)
		return err_set(e, E_CONFLICT, "reco.training_runs", "one is queued or running");
	return training_answer(pg, t->c, t->id, t->out, e);
}

static enum err_code reco_start_training(struct call *c, const Reco__V1__StartTrainingRequest *in, Reco__V1__Training *out)
{
	char *id = arena_alloc(c->arena, ID_LEN);
	struct training_tx t = { c, id, NULL, in->has_seed ? in->seed : 1, out };
	struct train_params params;

	if (call_perm(c, PERM))
		return c->err.code;
	check_range(&c->err, "seed", t.seed, 1, INT32_MAX);
	if (in->params) {
		params_read(in->params->text, &params, &c->err);
		t.params = params_text(c->arena, &params);
	}
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "training");
	id_new("trn", id);
	return call_tx(c, CALL_TX_ONLY, start_tx, &t);
}

static enum err_code reco_get_training(struct call *c, const Reco__V1__TrainingRequest *in, Reco__V1__Training *out)
{
	struct pg *pg;
	enum err_code code;

	if (call_perm(c, PERM) || call_pg(c, &pg))
		return c->err.code;
	code = training_answer(pg, c, in->training_id, out, &c->err);
	pg_return(pg);
	return code;
}

static enum err_code cancel_tx(struct pg *pg, void *arg, struct err *e)
{
	struct training_tx *t = arg;
	bool found = false;

	if (reco_db_training_cancel(pg, t->id, &found, e) || training_answer(pg, t->c, t->id, t->out, e))
		return e->code;
	return found ? OK : err_set(e, E_CONFLICT, "reco.training_over", "it is %s", t->out->state);
}

static enum err_code reco_cancel_training(struct call *c, const Reco__V1__TrainingRequest *in, Reco__V1__Training *out)
{
	struct training_tx t = { .c = c, .id = in->training_id, .out = out };

	if (call_perm(c, PERM))
		return c->err.code;
	check_id(&c->err, "training_id", in->training_id, "trn");
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "training_id");
	if (call_tx(c, CALL_TX_ONLY, cancel_tx, &t))
		return c->err.code;
	/* One that runs removes its own when it ends. */
	if (strcmp(out->state, "cancelled") == 0)
		stages_remove(train_folder(c->svc, c->arena, in->training_id));
	return OK;
}
