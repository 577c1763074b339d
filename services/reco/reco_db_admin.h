/* What administrators see and set: state of the store, pins; and the import's question about people. */
#ifndef SOUK_RECO_DB_ADMIN_H
#define SOUK_RECO_DB_ADMIN_H

#include "common/pg.h"

struct status_row {
	int64_t events, products; /* roughly */
	int64_t lag_ms;		  /* since everything was counted */
	int64_t last_event_at;	  /* epoch ms; 0: none */
	const char *model_version; /* NULL: none */
	bool filled;
};
MUST_CHECK enum err_code reco_db_status(struct pg *, struct arena *, struct status_row **row_r, struct err *);

struct pin_row {
	const char *id, *placement, *product_id, *for_product_id;
	int32_t position;
	int64_t starts_at, ends_at, created_at; /* epoch ms; 0: open */
};
/* placement NULL: all. By id, after one. */
MUST_CHECK enum err_code reco_db_pins(struct pg *, struct arena *, const char *placement, const char *after,
				      int32_t limit, struct pin_row **rows_r, size_t *n_r, struct err *);
MUST_CHECK enum err_code reco_db_pin_add(struct pg *, const struct pin_row *, struct err *);
MUST_CHECK enum err_code reco_db_pin_drop(struct pg *, const char *id, bool *found_r, struct err *);

struct person_row {
	const char *user_id;
};
/* Those of the users of whom nothing may be kept. */
MUST_CHECK enum err_code reco_db_withheld_of(struct pg *, struct arena *, const char *const *ids, size_t n, bool opt_in,
					     struct person_row **rows_r, size_t *n_r, struct err *);

extern const struct pg_stmt *const reco_db_admin_stmts[];

#endif
