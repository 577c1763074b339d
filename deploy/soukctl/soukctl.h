/*
 * soukctl, the operator's command. One function per command; each gets the words after its own name and returns the
 * exit code: 0 done, 1 refused or failed (one line on stderr says why), 2 wrong use.
 */
#ifndef SOUK_SOUKCTL_H
#define SOUK_SOUKCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int ctl_keys(int argc, char **argv);   /* keys init [--dir DIR] */
int ctl_import(int argc, char **argv); /* import [options] FILE */
int ctl_reco(int argc, char **argv);   /* reco import [options] FILE; reco report; reco status and what else models need */
int ctl_reco_report(int argc, char **argv);
int ctl_reco_models(int argc, char **argv);
int ctl_search(int argc, char **argv); /* search reindex|status [options] */
int ctl_events(int argc, char **argv); /* events lag|dead-letters|replay [options] */
int ctl_audit(int argc, char **argv);  /* audit [options] */

/*
 * The next field of a line of CSV (sep ',': quotes double themselves) or TSV, unescaped into out; *at moves behind it.
 * False when it does not fit or a quote is out of place.
 */
bool reco_next_field(const char **at, const char *end, char sep, char *out, size_t cap, bool *last_r);

/* The answer of GET /api/admin/reco/report as a table and a plot; false when it is not one. */
struct buf;
bool reco_report_text(const char *json, struct buf *out);
/* The same for the answers of GET /api/admin/reco/models, …/models/{id} and …/status. */
bool reco_models_text(const char *json, struct buf *out);
bool reco_model_text(const char *json, struct buf *out);
bool reco_status_text(const char *json, struct buf *out);
/* The same for the answers of GET /api/admin/services/{service}/lag, …/dead-letters and …/audit. */
bool events_lag_text(const char *json, struct buf *out);
bool events_dead_text(const char *json, struct buf *out);
bool audit_text(const char *json, struct buf *out);

/*
 * The value of a key at the top level of a JSON object (or, with a dot, one level below: "error.message"). Strings are
 * unescaped into out; numbers, true and false are copied as they are. False when it is not there or does not fit.
 */
bool jsonval_get(const char *text, const char *key, char *out, size_t cap);
int64_t jsonval_i64(const char *text, const char *key); /* 0 when it is not there */

#endif
