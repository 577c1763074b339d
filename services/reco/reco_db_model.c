#include "services/reco/reco_db_model.h"

#include "services/reco/reco_db_serve.h"

#define MS(column) "coalesce((extract(epoch FROM " column ") * 1000)::bigint, 0)"
#define MODEL_COLUMNS                                                                                              \
	"m.id, m.kind, m.version, m.state, m.params::text AS params, m.metrics::text AS metrics, m.gate::text AS gate,"  \
	" m.sha256, m.path, m.why, m.approved_by, m.routine,"                                       \
	" m.pruned_at IS NOT NULL AS pruned, " MS("m.data_from") " AS data_from, " MS("m.data_to") " AS data_to,"        \
	" m.data_rows, m.seed, m.bytes, " MS("m.trained_at") " AS trained_at, " MS("m.evaluated_at")          \
	" AS evaluated_at, " MS("m.approved_at") " AS approved_at, " MS("m.deployed_at") " AS deployed_at,"              \
	" coalesce((SELECT max(d.share_percent) FROM reco.deployment d WHERE d.model_id = m.id), 0) AS share_percent"
static const struct pg_col model_cols[] = {
	PG_COL(model_row, id),		PG_COL(model_row, kind),	 PG_COL(model_row, version),
	PG_COL(model_row, state),	PG_COL(model_row, params),	 PG_COL(model_row, metrics),
	PG_COL(model_row, gate),	PG_COL(model_row, sha256),	 PG_COL(model_row, path),
	PG_COL(model_row, why),		PG_COL(model_row, approved_by),	 PG_COL(model_row, routine),
	PG_COL(model_row, pruned),
	PG_COL(model_row, data_from),	PG_COL(model_row, data_to),	 PG_COL(model_row, data_rows),
	PG_COL(model_row, seed),	PG_COL(model_row, bytes),	 PG_COL(model_row, trained_at),
	PG_COL(model_row, evaluated_at), PG_COL(model_row, approved_at), PG_COL(model_row, deployed_at),
	PG_COL(model_row, share_percent),
};
#define MODEL_ROW .col = model_cols, .ncol = 23, .row_size = sizeof(struct model_row)
static const struct pg_stmt models = {
	.name = "models",
	.sql = "SELECT " MODEL_COLUMNS " FROM reco.model m WHERE ($1::text IS NULL OR m.state = $1)"
	       " AND ($2::text = '' OR m.id < $2) ORDER BY m.id DESC LIMIT $3::integer",
	MODEL_ROW,
};
static const struct pg_stmt model = {
	.name = "model",
	.sql = "SELECT " MODEL_COLUMNS " FROM reco.model m WHERE m.id = $1",
	MODEL_ROW,
};
static const struct pg_stmt model_lock = {
	.name = "model_lock",
	.sql = "SELECT " MODEL_COLUMNS " FROM reco.model m WHERE m.id = $1 FOR UPDATE",
	MODEL_ROW,
};
static const struct pg_col change_cols[] = {
	PG_COL(change_row, from_state), PG_COL(change_row, to_state), PG_COL(change_row, who),
	PG_COL(change_row, why),	PG_COL(change_row, at),
};
static const struct pg_stmt changes = {
	.name = "model_changes",
	.sql = "SELECT from_state, to_state, who, why, " MS("at") " AS at FROM reco.model_history WHERE model_id = $1"
	       " ORDER BY id LIMIT 200",
	.col = change_cols,
	.ncol = 5,
	.row_size = sizeof(struct change_row),
};
static const struct pg_stmt model_add = {
	.name = "model_add",
	.sql = "WITH m AS (INSERT INTO reco.model (id, kind, version, state, params, routine, data_from, data_to, data_rows, seed,"
	       " sha256, bytes, path) VALUES ($1, 'bundle', $2, 'trained', $3::jsonb, $4::boolean,"
	       " to_timestamp(nullif($5::bigint, 0) / 1000.0), to_timestamp(nullif($6::bigint, 0) / 1000.0), $7::bigint,"
	       " $8::bigint, $9, $10::bigint, $11) RETURNING id)"
	       " INSERT INTO reco.model_history (model_id, from_state, to_state, who) SELECT id, '', 'trained', $12 FROM m",
};
static const struct pg_stmt model_evaluated = {
	.name = "model_evaluated",
	.sql = "UPDATE reco.model SET metrics = $2::jsonb, gate = $3::jsonb WHERE id = $1",
};
static const struct pg_stmt model_move = {
	.name = "model_move",
	.sql = "WITH m AS (UPDATE reco.model SET state = $3, why = coalesce($5, why),"
	       " evaluated_at = CASE WHEN $3 = 'evaluated' THEN now() ELSE evaluated_at END,"
	       " approved_at = CASE WHEN $3 = 'approved' THEN now() ELSE approved_at END,"
	       " approved_by = CASE WHEN $3 = 'approved' THEN $4 ELSE approved_by END,"
	       " deployed_at = CASE WHEN $3 = 'deployed' THEN now() ELSE deployed_at END,"
	       " retired_at = CASE WHEN $3 IN ('retired', 'rejected') THEN now() ELSE retired_at END"
	       " WHERE id = $1 AND state = $2 RETURNING id)"
	       " INSERT INTO reco.model_history (model_id, from_state, to_state, who, why) SELECT id, $2, $3, $4, $5 FROM m",
};

enum err_code reco_db_models(struct pg *pg, struct arena *a, const char *state, const char *before, int32_t limit,
			     struct model_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &models, PG_ARGS(P(state), P(before), P(limit)), a, rows_r, n_r, e);
}

enum err_code reco_db_model(struct pg *pg, struct arena *a, const char *id, bool lock, struct model_row **row_r, bool *found_r,
			    struct err *e)
{
	return pg_row(pg, lock ? &model_lock : &model, PG_ARGS(P(id)), a, row_r, found_r, e);
}

enum err_code reco_db_model_changes(struct pg *pg, struct arena *a, const char *id, struct change_row **rows_r, size_t *n_r,
				    struct err *e)
{
	return pg_rows(pg, &changes, PG_ARGS(P(id)), a, rows_r, n_r, e);
}

enum err_code reco_db_model_add(struct pg *pg, const struct model_row *m, const char *who, struct err *e)
{
	return pg_exec(pg, &model_add,
		       PG_ARGS(P(m->id), P(m->version), P(m->params), P(m->routine), P(m->data_from), P(m->data_to),
			       P(m->data_rows), P(m->seed), P(m->sha256), P(m->bytes), P(m->path), P(who)),
		       NULL, e);
}

enum err_code reco_db_model_evaluated(struct pg *pg, const char *id, const char *metrics, const char *gate, struct err *e)
{
	return pg_exec(pg, &model_evaluated, PG_ARGS(P(id), P(metrics), P(gate)), NULL, e);
}

enum err_code reco_db_model_move(struct pg *pg, const char *id, const char *from, const char *to, const char *who,
				 const char *why, bool *moved_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &model_move, PG_ARGS(P(id), P(from), P(to), P(who), P(why)), &n, e))
		return e->code;
	*moved_r = n > 0;
	return OK;
}

/* ---- who gets which ---- */

static const struct pg_col deployment_cols[] = {
	PG_COL(deployment_row, variant), PG_COL(deployment_row, model_id), PG_COL(deployment_row, previous_id),
	PG_COL(deployment_row, version), PG_COL(deployment_row, path),	   PG_COL(deployment_row, sha256),
	PG_COL(deployment_row, params),	 PG_COL(deployment_row, who),	    PG_COL(deployment_row, share_percent),
	PG_COL(deployment_row, seq),	 PG_COL(deployment_row, since),	    PG_COL(deployment_row, until),
	PG_COL(deployment_row, looked_at), PG_COL(deployment_row, shown),   PG_COL(deployment_row, clicked),
	PG_COL(deployment_row, main_shown), PG_COL(deployment_row, main_clicked),
};
#define DEPLOYMENT_ROW .col = deployment_cols, .ncol = 17, .row_size = sizeof(struct deployment_row)
#define DEPLOYMENTS                                                                                                \
	"SELECT d.variant, d.model_id, d.previous_id, m.version, m.path, m.sha256, m.params::text AS params,"           \
	" d.who, d.share_percent, d.seq, " MS("d.since") " AS since, " MS("d.until") " AS until, " MS("l.looked_at")      \
	" AS looked_at, coalesce(l.shown, 0) AS shown, coalesce(l.clicked, 0) AS clicked,"                               \
	" coalesce(l.main_shown, 0) AS main_shown, coalesce(l.main_clicked, 0) AS main_clicked"                          \
	" FROM reco.deployment d JOIN reco.model m ON m.id = d.model_id LEFT JOIN reco.canary_look l"                     \
	" ON l.model_id = d.model_id AND d.variant = 'canary' AND l.looked_at >= d.since ORDER BY d.variant DESC LIMIT 2"
static const struct pg_stmt deployments = { .name = "deployments", .sql = DEPLOYMENTS, DEPLOYMENT_ROW };
/* A lock of its own: before the first deployment there is no row to hold. */
static const struct pg_stmt deployments_lock = {
	.name = "deployments_lock",
	.sql = "SELECT pg_advisory_xact_lock(hashtextextended('reco.deployment', 0))",
};
static const struct pg_stmt deploy = {
	.name = "deploy",
	.sql = "INSERT INTO reco.deployment AS d (variant, model_id, previous_id, share_percent, until, who)"
	       " VALUES ($1, $2, $3, $4::integer, now() + make_interval(hours => nullif($5::integer, 0)), $6)"
	       " ON CONFLICT (variant) DO UPDATE SET model_id = excluded.model_id, previous_id = excluded.previous_id,"
	       " share_percent = excluded.share_percent, until = excluded.until, who = excluded.who, since = now(),"
	       " seq = d.seq + 1",
};
static const struct pg_stmt undeploy = {
	.name = "undeploy",
	.sql = "DELETE FROM reco.deployment WHERE variant = $1",
};

static const struct pg_stmt canary_look = {
	.name = "canary_look",
	.sql = "INSERT INTO reco.canary_look AS l (model_id, shown, clicked, main_shown, main_clicked)"
	       " VALUES ($1, $2::bigint, $3::bigint, $4::bigint, $5::bigint) ON CONFLICT (model_id) DO UPDATE SET"
	       " looked_at = now(), shown = excluded.shown, clicked = excluded.clicked, main_shown = excluded.main_shown,"
	       " main_clicked = excluded.main_clicked",
};
static const struct pg_col pruned_cols[] = { PG_COL(pruned_row, id), PG_COL(pruned_row, path) };
#define PRUNED_ROW .col = pruned_cols, .ncol = 2, .row_size = sizeof(struct pruned_row)
static const struct pg_stmt models_prune = {
	.name = "models_prune",
	.sql = "UPDATE reco.model m SET pruned_at = now() WHERE m.id IN (SELECT o.id FROM reco.model o"
	       " WHERE o.pruned_at IS NULL AND o.state IN ('retired', 'rejected', 'evaluated', 'approved')"
	       " AND NOT EXISTS (SELECT 1 FROM reco.deployment d WHERE o.id IN (d.model_id, d.previous_id))"
	       " AND o.id NOT IN (SELECT n.id FROM reco.model n WHERE n.pruned_at IS NULL AND n.state <> 'rejected'"
	       " ORDER BY n.id DESC LIMIT $1::integer) ORDER BY o.id LIMIT 100 FOR UPDATE SKIP LOCKED)"
	       " RETURNING m.id, m.path",
	PRUNED_ROW,
};
static const struct pg_stmt files_unknown = {
	.name = "files_unknown",
	.sql = "SELECT i.path AS id, i.path FROM unnest($1::text[]) AS i(path)"
	       " WHERE NOT EXISTS (SELECT 1 FROM reco.model m WHERE m.path = i.path AND m.pruned_at IS NULL) LIMIT 1000",
	PRUNED_ROW,
};

enum err_code reco_db_deployments(struct pg *pg, struct arena *a, bool lock, struct deployment_row **rows_r, size_t *n_r,
				  struct err *e)
{
	if (lock && pg_exec(pg, &deployments_lock, PG_NONE, NULL, e))
		return e->code;
	return pg_rows(pg, &deployments, PG_NONE, a, rows_r, n_r, e);
}

enum err_code reco_db_deploy(struct pg *pg, const char *variant, const char *model_id, const char *previous_id,
			     int32_t share_percent, int32_t hours, const char *who, struct err *e)
{
	return pg_exec(pg, &deploy, PG_ARGS(P(variant), P(model_id), P(previous_id), P(share_percent), P(hours), P(who)), NULL, e);
}

enum err_code reco_db_undeploy(struct pg *pg, const char *variant, struct err *e)
{
	return pg_exec(pg, &undeploy, PG_ARGS(P(variant)), NULL, e);
}

enum err_code reco_db_canary_look(struct pg *pg, const char *model_id, const struct canary_counts *c, struct err *e)
{
	return pg_exec(pg, &canary_look, PG_ARGS(P(model_id), P(c->shown), P(c->clicked), P(c->main_shown), P(c->main_clicked)),
		       NULL, e);
}

enum err_code reco_db_models_prune(struct pg *pg, struct arena *a, int32_t keep, struct pruned_row **rows_r, size_t *n_r,
				   struct err *e)
{
	return pg_rows(pg, &models_prune, PG_ARGS(P(keep)), a, rows_r, n_r, e);
}

enum err_code reco_db_files_unknown(struct pg *pg, struct arena *a, const char *const *names, size_t n,
				    struct pruned_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &files_unknown, PG_ARGS(pg_p_text_array(a, names, n)), a, rows_r, n_r, e);
}

/* ---- trainings ---- */

#define TRAINING_COLUMNS                                                                                           \
	"id, state, step, params::text AS params, model_id, message, who, percent, attempt, seed, " MS("as_of") " AS as_of, "      \
	MS("queued_at") " AS queued_at, " MS("started_at") " AS started_at, " MS("finished_at") " AS finished_at"
static const struct pg_col training_cols[] = {
	PG_COL(training_row, id),	PG_COL(training_row, state),	 PG_COL(training_row, step),
	PG_COL(training_row, params),	PG_COL(training_row, model_id),	 PG_COL(training_row, message),
	PG_COL(training_row, who),	PG_COL(training_row, percent),	 PG_COL(training_row, attempt),
	PG_COL(training_row, seed),
	PG_COL(training_row, as_of),	PG_COL(training_row, queued_at), PG_COL(training_row, started_at),
	PG_COL(training_row, finished_at),
};
#define TRAINING_ROW .col = training_cols, .ncol = 14, .row_size = sizeof(struct training_row)
static const struct pg_stmt training = {
	.name = "training",
	.sql = "SELECT " TRAINING_COLUMNS " FROM reco.training WHERE id = $1",
	TRAINING_ROW,
};
static const struct pg_stmt training_last = {
	.name = "training_last",
	.sql = "SELECT " TRAINING_COLUMNS " FROM reco.training ORDER BY queued_at DESC, id DESC LIMIT 1",
	TRAINING_ROW,
};
static const struct pg_stmt training_add = {
	.name = "training_add",
	.sql = "INSERT INTO reco.training (id, state, params, seed, who) SELECT $1, 'queued', $2::jsonb, $3::bigint, $4"
	       " WHERE NOT EXISTS (SELECT 1 FROM reco.training t WHERE t.state IN ('queued', 'running'))",
};
#define LOST "(state = 'running' AND beat_at < now() - interval '2 minutes')"
static const struct pg_stmt training_claim = {
	.name = "training_claim",
	.sql = "UPDATE reco.training SET state = 'running', started_at = coalesce(started_at, now()), beat_at = now(),"
	       " attempt = attempt + 1, lost = lost + CASE state WHEN 'running' THEN 1 ELSE 0 END,"
	       " as_of = coalesce(as_of, now() - interval '5 seconds') WHERE id = (SELECT id FROM reco.training"
	       " WHERE state = 'queued' OR " LOST " ORDER BY queued_at LIMIT 1 FOR UPDATE SKIP LOCKED)"
	       " RETURNING " TRAINING_COLUMNS,
	TRAINING_ROW,
};
struct cancel_row {
	bool cancel;
};
static const struct pg_col cancel_cols[] = { PG_COL(cancel_row, cancel) };
static const struct pg_stmt training_beat = {
	.name = "training_beat",
	.sql = "UPDATE reco.training SET beat_at = now(), step = $2, percent = $3::integer"
	       " WHERE id = $1 AND attempt = $4::integer AND state = 'running' RETURNING cancel",
	.col = cancel_cols,
	.ncol = 1,
	.row_size = sizeof(struct cancel_row),
};
static const struct pg_stmt training_end = {
	.name = "training_end",
	.sql = "UPDATE reco.training SET state = $2, model_id = $3, message = $4, finished_at = now(),"
	       " percent = CASE WHEN $2 = 'done' THEN 100 ELSE percent END"
	       " WHERE id = $1 AND attempt = $5::integer AND state = 'running'",
};
static const struct pg_stmt training_back = {
	.name = "training_back",
	.sql = "UPDATE reco.training SET state = CASE WHEN cancel THEN 'cancelled' ELSE 'queued' END, step = '', percent = 0,"
	       " finished_at = CASE WHEN cancel THEN now() END"
	       " WHERE id = $1 AND attempt = $2::integer AND state = 'running'",
};
static const struct pg_stmt training_give_up = {
	.name = "training_give_up",
	.sql = "UPDATE reco.training SET state = CASE WHEN cancel THEN 'cancelled' ELSE 'failed' END, finished_at = now(),"
	       " message = CASE WHEN cancel THEN message ELSE 'its job ended three times without a word' END"
	       " WHERE " LOST " AND (cancel OR lost >= 2)",
};
static const struct pg_stmt training_cancel = {
	.name = "training_cancel",
	.sql = "UPDATE reco.training SET cancel = true, state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,"
	       " finished_at = CASE WHEN state = 'queued' THEN now() ELSE finished_at END"
	       " WHERE id = $1 AND state IN ('queued', 'running')",
};
static const struct pg_stmt trainings_over = {
	.name = "trainings_over",
	.sql = "SELECT i.id, i.id AS path FROM unnest($1::text[]) AS i(id) WHERE NOT EXISTS (SELECT 1 FROM reco.training t"
	       " WHERE t.id = i.id AND t.state IN ('queued', 'running')) LIMIT 1000",
	PRUNED_ROW,
};
static const struct pg_col due_cols[] = { PG_COL(due_row, waiting), PG_COL(due_row, due) };
static const struct pg_stmt training_due = {
	.name = "training_due",
	.sql = "SELECT EXISTS (SELECT 1 FROM reco.training WHERE state = 'queued' OR " LOST ") AS waiting,"
	       " $1::integer > 0 AND NOT EXISTS (SELECT 1 FROM reco.training WHERE state IN ('queued', 'running')"
	       " OR queued_at > now() - make_interval(hours => $1::integer))"
	       " AND NOT EXISTS (SELECT 1 FROM reco.deployment d WHERE d.variant = 'canary')"
	       " AND EXISTS (SELECT 1 FROM reco.event WHERE kind = 5 LIMIT 1) AS due",
	.col = due_cols,
	.ncol = 2,
	.row_size = sizeof(struct due_row),
};

enum err_code reco_db_training(struct pg *pg, struct arena *a, const char *id, struct training_row **row_r, bool *found_r,
			       struct err *e)
{
	return pg_row(pg, &training, PG_ARGS(P(id)), a, row_r, found_r, e);
}

enum err_code reco_db_training_last(struct pg *pg, struct arena *a, struct training_row **row_r, bool *found_r, struct err *e)
{
	return pg_row(pg, &training_last, PG_NONE, a, row_r, found_r, e);
}

enum err_code reco_db_training_add(struct pg *pg, const char *id, const char *params, int64_t seed, const char *who,
				   bool *added_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &training_add, PG_ARGS(P(id), P(params), P(seed), P(who)), &n, e))
		return e->code;
	*added_r = n > 0;
	return OK;
}

enum err_code reco_db_training_claim(struct pg *pg, struct arena *a, struct training_row **row_r, bool *found_r, struct err *e)
{
	return pg_row(pg, &training_claim, PG_NONE, a, row_r, found_r, e);
}

enum err_code reco_db_training_beat(struct pg *pg, struct arena *a, const struct training_row *t, const char *step,
				    int32_t percent, bool *cancel_r, struct err *e)
{
	struct cancel_row *row = NULL;
	bool found = false;

	if (pg_row(pg, &training_beat, PG_ARGS(P(t->id), P(step), P(percent), P(t->attempt)), a, &row, &found, e))
		return e->code;
	*cancel_r = !found || row->cancel;
	return OK;
}

enum err_code reco_db_training_end(struct pg *pg, const struct training_row *t, const char *state, const char *model_id,
				   const char *message, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &training_end, PG_ARGS(P(t->id), P(state), P(model_id), P(message), P(t->attempt)), &n, e))
		return e->code;
	return n > 0 ? OK : err_set(e, E_CONFLICT, "reco.training_over", "another attempt has taken its place");
}

enum err_code reco_db_training_back(struct pg *pg, const struct training_row *t, struct err *e)
{
	return pg_exec(pg, &training_back, PG_ARGS(P(t->id), P(t->attempt)), NULL, e);
}

enum err_code reco_db_training_give_up(struct pg *pg, struct err *e)
{
	return pg_exec(pg, &training_give_up, PG_NONE, NULL, e);
}

enum err_code reco_db_training_cancel(struct pg *pg, const char *id, bool *found_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &training_cancel, PG_ARGS(P(id)), &n, e))
		return e->code;
	*found_r = n > 0;
	return OK;
}

enum err_code reco_db_trainings_over(struct pg *pg, struct arena *a, const char *const *ids, size_t n, struct pruned_row **rows_r,
				     size_t *n_r, struct err *e)
{
	return pg_rows(pg, &trainings_over, PG_ARGS(pg_p_text_array(a, ids, n)), a, rows_r, n_r, e);
}

enum err_code reco_db_training_due(struct pg *pg, struct arena *a, int32_t hours, struct due_row **row_r, struct err *e)
{
	return pg_one(pg, &training_due, PG_ARGS(P(hours)), a, row_r, e);
}

const struct pg_stmt *const reco_db_model_stmts[] = {
	&models,     &model,	  &model_lock,	   &changes,	    &model_add,	     &model_evaluated, &model_move,
	&deployments, &deployments_lock, &deploy,  &undeploy,	    &canary_look,    &models_prune,    &files_unknown,
	&training,   &training_last, &training_add, &training_claim, &training_beat, &training_end,    &training_back,
	&training_give_up, &training_cancel, &trainings_over, &training_due, NULL,
};
