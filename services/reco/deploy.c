#include "services/reco/deploy.h"

#include <string.h>

#include "services/reco/artefact.h"
#include "services/reco/shelf.h"

enum err_code deploy_now(struct pg *pg, struct arena *a, bool lock, struct deployed *r, struct err *e)
{
	struct deployment_row *rows = NULL;
	size_t n = 0;

	if (reco_db_deployments(pg, a, lock, &rows, &n, e))
		return e->code;
	*r = (struct deployed){ 0 };
	for (size_t i = 0; i < n; i++)
		*(strcmp(rows[i].variant, "main") == 0 ? &r->main : &r->canary) = &rows[i];
	return OK;
}

enum err_code deploy_readable(const struct reco_svc *svc, struct arena *a, const struct model_row *m, struct err *e)
{
	struct artefact *f = NULL;
	bool same;

	if (m->pruned)
		return err_set(e, E_CONFLICT, "reco.model_gone", "%s", m->path);
	/* Within a transaction it is fetched already, or it is not there. */
	if (!pg_in_tx() && shelf_fetch(svc->shelf, a, m->path, m->sha256, e))
		return e->code;
	if (artefact_open(arena_printf(a, "%s/%s", svc->conf->model_dir, m->path), &f, e))
		return e->code;
	same = strcmp(f->sha256, m->sha256) == 0;
	artefact_close(f);
	return same ? OK : err_set(e, E_RULE, "reco.artefact_bad", "%s is not the file that was judged", m->path);
}

static enum err_code move(struct pg *pg, const char *id, const char *from, const char *to, const char *who, const char *why,
			  struct err *e)
{
	bool moved = false;

	if (reco_db_model_move(pg, id, from, to, who, why, &moved, e))
		return e->code;
	return moved ? OK : err_set(e, E_CONFLICT, "reco.model_state", "%s is not %s", id, from);
}

/* A canary that becomes the main model has it in its history as well. */
static enum err_code show(struct pg *pg, const struct model_row *m, const char *who, const char *why, struct err *e)
{
	return move(pg, m->id, m->state, "deployed", who, why, e);
}

static bool is(const struct deployment_row *d, const struct model_row *m)
{
	return d && strcmp(d->model_id, m->id) == 0;
}

enum err_code deploy_main(struct pg *pg, const struct deployed *now, const struct model_row *m, const char *who, const char *why,
			  struct err *e)
{
	if (is(now->canary, m) && reco_db_undeploy(pg, "canary", e))
		return e->code;
	if ((now->main && move(pg, now->main->model_id, "deployed", "retired", who, "replaced", e)) ||
	    show(pg, m, who, why, e))
		return e->code;
	return reco_db_deploy(pg, "main", m->id, now->main ? now->main->model_id : NULL, 100, 0, who, e);
}

enum err_code deploy_canary(struct pg *pg, const struct deployed *now, const struct model_row *m, int32_t share_percent,
			    int32_t hours, const char *who, const char *why, struct err *e)
{
	if ((now->canary && !is(now->canary, m) &&
	     move(pg, now->canary->model_id, "deployed", "retired", who, "replaced", e)) ||
	    show(pg, m, who, why, e))
		return e->code;
	return reco_db_deploy(pg, "canary", m->id, NULL, share_percent, hours, who, e);
}

enum err_code deploy_withdraw(struct pg *pg, const struct deployed *now, const char *who, const char *why, struct err *e)
{
	return reco_db_undeploy(pg, "canary", e) ? e->code
						 : move(pg, now->canary->model_id, "deployed", "retired", who, why, e);
}

enum err_code deploy_back(struct pg *pg, const struct deployed *now, const struct model_row *before, const char *who,
			  const char *why, struct err *e)
{
	if (move(pg, now->main->model_id, "deployed", "retired", who, why ? why : "rolled back", e) ||
	    show(pg, before, who, why, e))
		return e->code;
	return reco_db_deploy(pg, "main", before->id, NULL, 100, 0, who, e);
}
