/*
 * The worker of imports. Every step is one transaction that moves the import's own counters, so a killed worker's successor
 * goes on where it stopped: no row is read or applied twice.
 */
#include <jansson.h>
#include <string.h>

#include "common/log.h"
#include "common/timeutil.h"
#include "services/catalog/catalog.h"
#include "services/catalog/catalog_db_import.h"
#include "services/catalog/import.h"
#include "services/catalog/import_apply.h"
#include "services/catalog/import_parse.h"
#include "services/catalog/import_row.h"

#define ROWS_PER_TX 100
#define ERRORS_KEPT 10000 /* rows beyond are counted, not described */
#define WORK_MS 2000	  /* one run of the job; then others get their turn */

struct step {
	struct catalog_svc *svc;
	struct arena *arena;
	struct import_state *import; /* as it was when it was chosen; each transaction reads it anew */
	bool idle;
	int32_t rows;		     /* how many to apply at once */
	int64_t first;		     /* the first row of the last attempt */
};

static enum err_code run(struct step *s, pg_tx_fn *fn, struct err *e)
{
	const struct pg_actor who = { arena_printf(s->arena, "import:%s", s->import ? s->import->id : ""), "" };

	return pg_tx(s->svc->pool, mono_ms() + 30000, &who, fn, s, e);
}

/*
 * The import's row, locked and read anew, or NULL when it is no longer in that state: another worker whose lease this one
 * thinks it holds may have moved it, or its vendor aborted it.
 */
static enum err_code take(struct step *s, struct pg *pg, const char *state, struct import_state **im_r, struct err *e)
{
	struct import_state *im = NULL;
	bool found = false;

	if (catalog_db_import(pg, s->arena, s->import->id, NULL, true, &im, &found, e))
		return e->code;
	*im_r = found && strcmp(im->state, state) == 0 ? im : NULL;
	return OK;
}

/* ---- reading rows ---- */

static enum err_code note(struct pg *pg, struct import_state *im, int64_t row, const struct err *why, struct err *e)
{
	for (size_t i = 0; i < why->n_details && im->rows_bad <= ERRORS_KEPT; i++)
		if (catalog_db_import_error_add(pg, im->id, row, why->details[i].field, why->details[i].message,
						why->details[i].value[0] ? why->details[i].value : NULL, e))
			return e->code;
	return OK;
}

static json_t *read_csv(struct arena *a, struct import_state *im, const char *p, size_t n,
			const struct import_rules *rules, struct err *why)
{
	int n_names = 0, n_values = 0;
	char **names = import_csv_fields(a, im->header, strlen(im->header), &n_names);
	char **values = import_csv_fields(a, p, n, &n_values);

	if (n_values != n_names) {
		err_detail(why, "row", NULL, n_values < 0 ? "has an unbalanced quote" : "has %d fields, the header has %d",
			   n_values, n_names);
		return NULL;
	}
	return import_row_from_csv(names, values, n_values, rules, why);
}

static json_t *read_json(const char *p, size_t n, const struct import_rules *rules, struct err *why)
{
	json_error_t je;
	json_t *row = json_loadb(p, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je), *doc;

	if (!row) {
		err_detail(why, "row", NULL, "is not valid JSON: %s", je.text);
		return NULL;
	}
	doc = import_row_from_json(row, rules, why);
	json_decref(row);
	return doc;
}

static bool blank(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != ' ' && p[i] != '\t')
			return false;
	return true;
}

static enum err_code stage(struct pg *pg, struct import_state *im, const json_t *doc, struct err *e)
{
	char *text = json_dumps(doc, JSON_COMPACT | JSON_SORT_KEYS);
	enum err_code code;

	if (!text)
		return err_set(e, E_UNAVAILABLE, "common.unavailable", "no memory for a row");
	code = catalog_db_import_row_add(pg, im->id, im->rows_read, json_string_value(json_object_get(doc, "key")), text,
					 e);
	free(text);
	return code;
}

static enum err_code read_record(struct step *s, struct pg *pg, struct import_state *im, const char *p, size_t n,
				 struct err *e)
{
	const struct import_rules rules = { im->currency, im->category_attribute };
	struct err why = { 0 };
	json_t *doc = NULL;
	bool csv = strcmp(im->format, "csv") == 0;

	if (blank(p, n))
		return OK;
	if (csv && !im->header) {
		im->header = arena_strndup(s->arena, p, n);
		return OK;
	}
	im->rows_read++;
	if (memchr(p, 0, n))
		err_detail(&why, "row", NULL, "holds a NUL character");
	else
		doc = csv ? read_csv(s->arena, im, p, n, &rules, &why) : read_json(p, n, &rules, &why);
	if (!doc) {
		im->rows_bad++;
		return note(pg, im, im->rows_read, &why, e);
	}
	enum err_code code = stage(pg, im, doc, e);

	json_decref(doc);
	return code;
}

static enum err_code end_as(struct pg *pg, const char *id, const char *state, const char *message, struct err *e)
{
	if (catalog_db_import_state(pg, id, state, message, e))
		return e->code;
	return catalog_db_import_clean(pg, id, e);
}

/* The carried rest of the last chunk and the next one. */
static char *join(struct arena *a, const struct import_state *im, const struct chunk_row *chunk, size_t *n_r)
{
	size_t more = chunk ? chunk->data.len : 0;
	char *p = arena_alloc(a, im->carry.len + more + 1);

	if (im->carry.len)
		memcpy(p, im->carry.data, im->carry.len);
	if (more)
		memcpy(p + im->carry.len, chunk->data.data, more);
	*n_r = im->carry.len + more;
	return p;
}

/* One chunk: the carried rest before it, whole records out of both, the new rest carried on. */
static enum err_code parse_tx(struct pg *pg, void *arg, struct err *e)
{
	struct step *s = arg;
	struct import_state *im = NULL;
	struct chunk_row *chunk = NULL;
	bool found = false, csv, last;
	size_t n, len, skip, at = 0;
	char *p;

	if (take(s, pg, "validating", &im, e))
		return e->code;
	if (!im || (im->chunks && im->parsed_chunks >= im->chunks))
		return OK;
	if (catalog_db_import_chunk(pg, s->arena, im->id, im->parsed_chunks, &chunk, &found, e))
		return e->code;
	csv = strcmp(im->format, "csv") == 0;
	last = im->parsed_chunks + (found ? 1 : 0) >= im->chunks;
	p = join(s->arena, im, found ? chunk : NULL, &n);
	if (im->parsed_chunks == 0 && n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		at = 3; /* byte order mark */
	while (import_record(p + at, n - at, csv, last, &len, &skip)) {
		if (read_record(s, pg, im, p + at, len, e))
			return e->code;
		at += skip;
	}
	im->carry = (struct pg_bytes){ p + at, n - at };
	if (n - at > IMPORT_RECORD_MAX)
		return end_as(pg, im->id, "failed", "a row is longer than 1 MiB, or a quote is never closed", e);
	if (found) {
		im->parsed_chunks++;
		im->parsed_bytes += (int64_t)chunk->data.len;
	}
	if (catalog_db_import_parsed(pg, im, e))
		return e->code;
	return last ? catalog_db_import_cross_check(pg, im->id, e) : OK;
}

static enum err_code verdict_tx(struct pg *pg, void *arg, struct err *e)
{
	struct step *s = arg;
	struct import_state *im = NULL;

	if (take(s, pg, "validating", &im, e))
		return e->code;
	if (!im || im->parsed_chunks < im->chunks)
		return OK;
	if (im->rows_read == 0)
		return end_as(pg, im->id, "rejected", "the file holds no rows", e);
	if (im->rows_bad && strcmp(im->policy, "reject_all") == 0)
		return end_as(pg, im->id, "rejected", "some rows are wrong; nothing was changed", e);
	return catalog_db_import_state(pg, im->id, "applying", NULL, e);
}

/* ---- applying rows ---- */

static enum err_code apply_tx(struct pg *pg, void *arg, struct err *e)
{
	struct step *s = arg;
	struct import_state *im = NULL;
	struct staged_row *rows = NULL;
	int64_t effects[3] = { 0 };
	enum import_effect effect;
	size_t n = 0;

	s->idle = false;
	if (take(s, pg, "applying", &im, e) ||
	    (im && catalog_db_import_rows(pg, s->arena, im->id, s->rows, &rows, &n, e)))
		return e->code;
	s->idle = n == 0;
	if (n == 0)
		return OK;
	s->first = rows[0].row;
	for (size_t i = 0; i < n; i++) {
		if (import_apply(pg, s->arena, im, &rows[i], &effect, e) ||
		    catalog_db_import_row_done(pg, im->id, rows[i].row, false, e))
			return e->code;
		effects[effect]++;
	}
	return catalog_db_import_count(pg, im->id, (int64_t)n, effects[IMPORT_CREATED], effects[IMPORT_UPDATED],
				       effects[IMPORT_UNCHANGED], 0, e);
}

struct refuse {
	struct step *s;
	const struct err *why;
};

/* The first row alone could not be applied: it is bad, with its reason. */
static enum err_code refuse_tx(struct pg *pg, void *arg, struct err *e)
{
	struct refuse *r = arg;
	struct import_state *im = NULL;
	struct staged_row *rows = NULL;
	size_t n = 0;

	if (take(r->s, pg, "applying", &im, e) ||
	    (im && catalog_db_import_rows(pg, r->s->arena, im->id, 1, &rows, &n, e)))
		return e->code;
	if (n == 0 || rows[0].row != r->s->first)
		return OK;
	if (note(pg, im, rows[0].row, r->why, e) || catalog_db_import_row_done(pg, im->id, rows[0].row, true, e))
		return e->code;
	return catalog_db_import_count(pg, im->id, 0, 0, 0, 0, 1, e);
}

/* Also what nobody thought of, when it is one row's: others must not wait behind it for ever. */
static bool is_refusal(enum err_code code)
{
	return code == E_INVALID || code == E_CONFLICT || code == E_RULE || code == E_NOT_FOUND || code == E_INTERNAL;
}

/* A batch; when one row in it is refused, the rows one by one. */
static enum err_code apply(struct step *s, struct err *e)
{
	struct err why = { 0 };

	s->rows = ROWS_PER_TX;
	if (run(s, apply_tx, &why) == OK)
		return OK;
	for (int i = 0; i < ROWS_PER_TX && is_refusal(why.code); i++) {
		struct refuse r = { s, &why };
		const struct pg_actor who = { arena_printf(s->arena, "import:%s", s->import->id), "" };

		s->rows = 1;
		err_clear(&why);
		if (run(s, apply_tx, &why) == OK) {
			if (s->idle)
				return OK;
			why.code = E_RULE; /* go on with the next one */
			continue;
		}
		if (!is_refusal(why.code))
			break;
		if (why.code == E_INTERNAL)
			log_msg(LVL_ERROR, "a row of an import cannot be applied", LF_S("import", s->import->id),
				LF_I("row", s->first), LF_S("why", why.msg));
		if (!why.n_details)
			err_detail(&why, "row", NULL, "%s", err_info(why.slug)->message);
		if (pg_tx(s->svc->pool, mono_ms() + 30000, &who, refuse_tx, &r, e))
			return e->code;
	}
	if (why.code && !is_refusal(why.code)) {
		err_copy(e, &why);
		return e->code;
	}
	return OK;
}

static enum err_code finish_tx(struct pg *pg, void *arg, struct err *e)
{
	struct step *s = arg;
	struct import_state *im = NULL;

	if (take(s, pg, "applying", &im, e))
		return e->code;
	return im ? end_as(pg, im->id, "done", NULL, e) : OK;
}

/* ---- the job ---- */

static enum err_code next_tx(struct pg *pg, void *arg, struct err *e)
{
	struct step *s = arg;
	bool found = false;

	if (catalog_db_import_forgotten(pg, 60, e) || catalog_db_import_next(pg, s->arena, &s->import, &found, e))
		return e->code;
	if (!found)
		s->import = NULL;
	return OK;
}

static enum err_code one_step(struct step *s, struct err *e)
{
	struct import_state *im = s->import;

	s->idle = false;
	if (strcmp(im->state, "validating") == 0) {
		if (im->parsed_chunks < im->chunks || im->carry.len || im->chunks == 0) {
			if (run(s, parse_tx, e))
				return e->code;
			if (im->parsed_chunks + 1 < im->chunks)
				return OK;
		}
		return run(s, verdict_tx, e);
	}
	if (apply(s, e))
		return e->code;
	return s->idle ? run(s, finish_tx, e) : OK;
}

static enum err_code give_up_tx(struct pg *pg, void *arg, struct err *e)
{
	struct step *s = arg;

	return end_as(pg, s->import->id, "failed", "it could not be read for a reason of ours; the log says which", e);
}

enum err_code import_work(void *svc, struct arena *a, struct err *e)
{
	int64_t until = mono_ms() + WORK_MS;

	do {
		struct step s = { .svc = svc, .arena = a };

		arena_reset(a);
		if (run(&s, next_tx, e))
			return e->code;
		if (!s.import)
			return OK;
		if (one_step(&s, e) != E_INTERNAL && e->code)
			return e->code;
		if (e->code) { /* not by waiting: the next import gets its turn */
			log_msg(LVL_ERROR, "an import fails", LF_S("import", s.import->id), LF_S("why", e->msg));
			err_clear(e);
			if (run(&s, give_up_tx, e))
				return e->code;
		}
	} while (mono_ms() < until);
	return OK;
}
