/* Models, who gets which, and trainings. */
#ifndef SOUK_RECO_DB_MODEL_H
#define SOUK_RECO_DB_MODEL_H

#include "common/pg.h"

struct model_row {
	const char *id, *kind, *version, *state, *params, *metrics, *gate, *sha256, *path, *why, *approved_by;
	bool routine, pruned; /* pruned: its file is gone for good */
	int64_t data_from, data_to, data_rows, seed, bytes; /* times are epoch ms; 0: none */
	int64_t trained_at, evaluated_at, approved_at, deployed_at;
	int32_t share_percent; /* of visitors who get it now; 0: nobody */
};
MUST_CHECK enum err_code reco_db_models(struct pg *, struct arena *, const char *state, const char *before, int32_t limit,
					struct model_row **rows_r, size_t *n_r, struct err *);
/* With its row locked for the rest of the transaction when lock is set. */
MUST_CHECK enum err_code reco_db_model(struct pg *, struct arena *, const char *id, bool lock, struct model_row **row_r,
				       bool *found_r, struct err *);
struct change_row {
	const char *from_state, *to_state, *who, *why;
	int64_t at;
};
MUST_CHECK enum err_code reco_db_model_changes(struct pg *, struct arena *, const char *id, struct change_row **rows_r,
					       size_t *n_r, struct err *);
/* A new model, state trained. */
MUST_CHECK enum err_code reco_db_model_add(struct pg *, const struct model_row *, const char *who, struct err *);
MUST_CHECK enum err_code reco_db_model_evaluated(struct pg *, const char *id, const char *metrics, const char *gate,
						 struct err *);
/* From one state to another, with its time and its line of history. moved_r false: it was not in that state. */
MUST_CHECK enum err_code reco_db_model_move(struct pg *, const char *id, const char *from, const char *to, const char *who,
					    const char *why, bool *moved_r, struct err *);

struct deployment_row {
	const char *variant, *model_id, *previous_id, *version, *path, *sha256, *params, *who;
	int32_t share_percent;
	int64_t seq, since, until; /* times are epoch ms; until 0: nobody judges it */
	int64_t looked_at, shown, clicked, main_shown, main_clicked; /* the last look at a canary; 0: none yet */
};
/* Both, main first; lock: nobody else changes them before this transaction ends. */
MUST_CHECK enum err_code reco_db_deployments(struct pg *, struct arena *, bool lock, struct deployment_row **rows_r, size_t *n_r,
					     struct err *);
MUST_CHECK enum err_code reco_db_deploy(struct pg *, const char *variant, const char *model_id, const char *previous_id,
					int32_t share_percent, int32_t hours, const char *who, struct err *);
MUST_CHECK enum err_code reco_db_undeploy(struct pg *, const char *variant, struct err *);
struct canary_counts;
MUST_CHECK enum err_code reco_db_canary_look(struct pg *, const char *model_id, const struct canary_counts *, struct err *);

/* Models whose file is not needed any more, marked: not deployed, nothing to go back to, not among the last `keep` of all. */
struct pruned_row {
	const char *id, *path;
};
MUST_CHECK enum err_code reco_db_models_prune(struct pg *, struct arena *, int32_t keep, struct pruned_row **rows_r, size_t *n_r,
					      struct err *);
/* Of files' names those that no model has. */
MUST_CHECK enum err_code reco_db_files_unknown(struct pg *, struct arena *, const char *const *names, size_t n,
					       struct pruned_row **rows_r, size_t *n_r, struct err *);

struct training_row {
	const char *id, *state, *step, *params, *model_id, *message, *who;
	int32_t percent, attempt;
	int64_t seed, as_of, queued_at, started_at, finished_at;
};
MUST_CHECK enum err_code reco_db_training(struct pg *, struct arena *, const char *id, struct training_row **row_r,
					  bool *found_r, struct err *);
/* added_r false: one is queued or running already. */
/* The latest. */
MUST_CHECK enum err_code reco_db_training_last(struct pg *, struct arena *, struct training_row **row_r, bool *found_r,
					       struct err *);
MUST_CHECK enum err_code reco_db_training_add(struct pg *, const char *id, const char *params, int64_t seed, const char *who,
					      bool *added_r, struct err *);
/* The oldest that waits, or whose job has not been heard of for two minutes: now running, and another attempt. */
MUST_CHECK enum err_code reco_db_training_claim(struct pg *, struct arena *, struct training_row **row_r, bool *found_r,
						struct err *);
/* The attempt lives; cancel_r: it should end, because it was told to or another attempt has taken its place. */
MUST_CHECK enum err_code reco_db_training_beat(struct pg *, struct arena *, const struct training_row *, const char *step,
					       int32_t percent, bool *cancel_r, struct err *);
/* E_CONFLICT when another attempt has taken its place: nothing of this one may be kept. */
MUST_CHECK enum err_code reco_db_training_end(struct pg *, const struct training_row *, const char *state, const char *model_id,
					      const char *message, struct err *);
/* Waits again; cancelled when that was asked for meanwhile. */
MUST_CHECK enum err_code reco_db_training_back(struct pg *, const struct training_row *, struct err *);
/* Those whose job was lost have failed when it is the third time, and are cancelled when that was asked for. */
MUST_CHECK enum err_code reco_db_training_give_up(struct pg *, struct err *);
/* Of ids those of trainings that neither wait nor run. */
MUST_CHECK enum err_code reco_db_trainings_over(struct pg *, struct arena *, const char *const *ids, size_t n,
						struct pruned_row **rows_r, size_t *n_r, struct err *);
/* Cancels what waits, and asks what runs to end. */
MUST_CHECK enum err_code reco_db_training_cancel(struct pg *, const char *id, bool *found_r, struct err *);
/* One is waiting or lost; and, one is due: nothing waits, no canary is tried, the last was more than so many hours ago. */
struct due_row {
	bool waiting, due;
};
MUST_CHECK enum err_code reco_db_training_due(struct pg *, struct arena *, int32_t hours, struct due_row **row_r, struct err *);

extern const struct pg_stmt *const reco_db_model_stmts[];

#endif
