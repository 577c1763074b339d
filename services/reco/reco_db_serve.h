/* What was answered, and what came of it. */
#ifndef SOUK_RECO_DB_SERVE_H
#define SOUK_RECO_DB_SERVE_H

#include "common/pg.h"

struct answered;
MUST_CHECK enum err_code reco_db_answers_put(struct pg *, struct arena *, const struct answered *, size_t n, struct err *);

MUST_CHECK enum err_code reco_db_has_pins(struct pg *, struct arena *, bool *pins_r, struct err *);

struct report_row {
	const char *placement, *variant, *version;
	int64_t requests, fallbacks, impressions, clicks, carts, orders;
};
struct report_day_row {
	const char *day, *variant;
	int64_t impressions, clicks, carts, orders;
};
/* Of the last days, filtered by what is not NULL. Orders: the product was bought within a week after its click. */
MUST_CHECK enum err_code reco_db_report(struct pg *, struct arena *, int32_t days, const char *placement, const char *variant,
					const char *version, struct report_row **rows_r, size_t *n_r,
					struct report_day_row **days_r, size_t *n_days_r, struct err *);

/*
 * Of the visitors who are told apart and saw since an instant something that a model of the two chose: how many, and how
 * many of them clicked it. Of a part of the visitors when there are more than about so many answers; what is read is bounded
 * by that, and by a hundredth of all.
 */
struct canary_counts {
	int64_t shown, clicked, main_shown, main_clicked;
};
MUST_CHECK enum err_code reco_db_canary_counts(struct pg *, struct arena *, int64_t since, const char *main_version,
					       const char *canary_version, int32_t answers, struct canary_counts *counts_r,
					       struct err *);

extern const struct pg_stmt *const reco_db_serve_stmts[];

#endif
