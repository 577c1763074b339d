/* The tables that main and the tests share. */
#include "reco.pb-c.h"
#include "services/reco/canary.h"
#include "services/reco/catalogue.h"
#include "services/reco/files.h"
#include "services/reco/job.h"
#include "services/reco/job_train.h"
#include "services/reco/reco.h"
#include "services/reco/reco_db_admin.h"
#include "services/reco/reco_db_catalogue.h"
#include "services/reco/reco_db_collect.h"
#include "services/reco/reco_db_features.h"
#include "services/reco/reco_db_model.h"
#include "services/reco/reco_db_serve.h"
#include "services/reco/serve.h"

const struct pg_stmt *const *const reco_stmts[] = { reco_db_collect_stmts, reco_db_features_stmts,
						    reco_db_catalogue_stmts, reco_db_admin_stmts,
						    reco_db_model_stmts, reco_db_serve_stmts, NULL };

static const struct rpc_method *const tables[] = { reco_collect_methods, reco_import_methods, reco_admin_methods,
						   reco_model_methods,	 reco_training_methods, reco_recommend_methods, reco_report_methods,
						   NULL };
const struct rpc_service reco_services[] = { { &reco__v1__reco__descriptor, tables }, { 0 } };

const struct timer_job reco_jobs[] = {
	{ "count", 1000, true, job_count },
	{ "changes", 200, true, catalogue_changes },
	{ "fill", 2000, true, catalogue_fill },
	{ "months", 3600000, true, job_months },
	{ "sweep", 60000, true, job_sweep },
	{ "train", 5000, true, job_train },
	{ "canary", 60000, true, job_canary },
	{ "files", 3600000, true, job_files },
	{ "models", 1000, false, job_models },
	{ "answers", 100, false, job_answers },
	{ 0 },
};
