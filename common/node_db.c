#include "common/node_db.h"

#include <string.h>

#include "common/audit.h"
#include "common/cursor.h"
#include "common/outbox.h"
#include "common/pg_mechanisms.h"

enum { REPLY_BYTES = 512 << 10, PAGE_DEFAULT = 20, LIST_MAX = 100, PAGE_MAX = 200, TYPES_MAX = 64 };

struct dead_row {
	const char *id, *source, *event_id, *type, *agg_type, *agg_id, *error;
	int64_t ord, failed_at;
	int32_t attempts;
};
static const struct pg_col dead_cols[] = {
	PG_COL(dead_row, id),	     PG_COL(dead_row, source),	 PG_COL(dead_row, event_id), PG_COL(dead_row, type),
	PG_COL(dead_row, agg_type),  PG_COL(dead_row, agg_id),	 PG_COL(dead_row, error),    PG_COL(dead_row, ord),
	PG_COL(dead_row, failed_at), PG_COL(dead_row, attempts),
};
static const struct pg_stmt dead_stmt = {
	.name = "node_dead_letters",
	.sql = "SELECT id, source, event_id, type, agg_type, agg_id, state || coalesce(': ' || error, '') AS error, ord,"
	       " (extract(epoch FROM failed_at) * 1000)::bigint AS failed_at, attempts FROM ${schema}.dead_letter"
	       " WHERE ord > $1::bigint ORDER BY ord LIMIT $2::int",
	.col = dead_cols, .ncol = 10, .row_size = sizeof(struct dead_row),
};
/* Behind an earlier one of its aggregate an event stays where it is: order first. */
static const struct pg_stmt replay_stmt = {
	.name = "node_replay",
	.sql = "UPDATE ${schema}.dead_letter d SET state = 'retrying', attempts = 0, next_attempt_at = now()"
	       " WHERE ($1::text IS NULL OR d.id = $1) AND ($2::text IS NULL OR d.agg_id = $2)"
	       " AND d.state IN ('dead', 'retrying') AND NOT EXISTS (SELECT 1 FROM ${schema}.dead_letter f"
	       "  WHERE f.source = d.source AND f.agg_type = d.agg_type AND f.agg_id = d.agg_id AND f.ord < d.ord)",
};
struct lag_row {
	const char *source;
	int64_t behind, dead, parked, applied_at;
};
static const struct pg_col lag_cols[] = { PG_COL(lag_row, source), PG_COL(lag_row, behind), PG_COL(lag_row, dead),
					  PG_COL(lag_row, parked), PG_COL(lag_row, applied_at) };
static const struct pg_stmt lag_stmt = {
	.name = "node_lag",
	.sql = "SELECT c.source, c.behind,"
	       " (SELECT count(*) FROM ${schema}.dead_letter d WHERE d.source = c.source AND d.state = 'dead') AS dead,"
	       " (SELECT count(*) FROM ${schema}.dead_letter d WHERE d.source = c.source AND d.state <> 'dead') AS parked,"
	       " coalesce((extract(epoch FROM c.applied_at) * 1000)::bigint, 0) AS applied_at"
	       " FROM ${schema}.inbox_cursor c ORDER BY c.source LIMIT 100",
	.col = lag_cols, .ncol = 5, .row_size = sizeof(struct lag_row),
};
/* The horizon lags by the age of the oldest event that is committed, seen, and not yet given out. */
struct log_row {
	int64_t rows, lag_ms;
};
static const struct pg_col log_cols[] = { PG_COL(log_row, rows), PG_COL(log_row, lag_ms) };
static const struct pg_stmt log_stmt = {
	.name = "node_outbox",
	.sql = "SELECT (SELECT count(*) FROM (SELECT 1 FROM ${schema}.outbox LIMIT 1000000) x) AS rows,"
	       " coalesce((SELECT (extract(epoch FROM clock_timestamp() - min(h.occurred_at)) * 1000)::bigint"
	       "  FROM (SELECT o.occurred_at FROM ${schema}.outbox o"
	       "   WHERE o.epoch = (SELECT c.epoch FROM ${schema}.cluster c)"
	       "   AND o.xid >= pg_snapshot_xmin(pg_current_snapshot()) LIMIT 10000) h), 0) AS lag_ms",
	.col = log_cols, .ncol = 2, .row_size = sizeof(struct log_row),
};
const struct pg_stmt *const node_stmts[] = { &dead_stmt, &replay_stmt, &lag_stmt, &log_stmt, NULL };

static enum err_code page_limit(bool has, int32_t limit, int32_t *limit_r, struct err *e)
{
	*limit_r = has ? limit : PAGE_DEFAULT;
	if (has && (limit < 1 || limit > LIST_MAX)) {
		err_detail(e, "limit", NULL, "must be between 1 and %d", LIST_MAX);
		return err_set(e, E_INVALID, "common.invalid_input", "limit %d", (int)limit);
	}
	return OK;
}

/* ---- events ---- */
static Common__V1__EventCursor *cursor_of(struct arena *a, struct outbox_cursor at)
{
	Common__V1__EventCursor *c = arena_alloc(a, sizeof(*c));

	common__v1__event_cursor__init(c);
	c->has_epoch = c->has_xid = c->has_pos = 1;
	c->epoch = at.epoch;
	c->xid = at.xid;
	c->pos = at.pos;
	return c;
}

static Common__V1__Event *event_of(struct arena *a, const struct outbox_event *row)
{
	Common__V1__Event *ev = arena_alloc(a, sizeof(*ev));

	common__v1__event__init(ev);
	ev->cursor = cursor_of(a, (struct outbox_cursor){ row->epoch, row->xid, row->pos });
	ev->event_id = (char *)(uintptr_t)row->event_id;
	ev->agg_type = (char *)(uintptr_t)row->agg_type;
	ev->agg_id = (char *)(uintptr_t)row->agg_id;
	ev->type = (char *)(uintptr_t)row->type;
	ev->traceparent = (char *)(uintptr_t)row->traceparent;
	ev->has_agg_version = ev->has_occurred_at = ev->has_payload = 1;
	ev->agg_version = row->agg_version;
	ev->occurred_at = row->occurred_at;
	ev->payload = (ProtobufCBinaryData){ row->payload.len, (uint8_t *)(uintptr_t)row->payload.data };
	return ev;
}

/* As many as fit well into one message; the first always does. */
static void fill_events(struct arena *a, const struct outbox_event *rows, size_t n, struct outbox_cursor seen,
			Common__V1__FetchEventsReply *out)
{
	size_t i, bytes = 0;

	out->events = arena_array(a, n + 1, sizeof(*out->events));
	for (i = 0; i < n; i++) {
		Common__V1__Event *ev = event_of(a, &rows[i]);

		bytes += common__v1__event__get_packed_size(ev) + 8;
		if (i > 0 && bytes > REPLY_BYTES)
			break;
		out->events[i] = ev;
	}
	out->n_events = i;
	if (i < n) {
		out->more = 1;
		seen = (struct outbox_cursor){ rows[i - 1].epoch, rows[i - 1].xid, rows[i - 1].pos };
	}
	out->seen = cursor_of(a, seen);
}

enum err_code node_db_fetch_events(struct pg *pg, struct arena *a, const Common__V1__FetchEventsRequest *in,
				   Common__V1__FetchEventsReply *out, struct err *e)
{
	struct outbox_cursor after = { 0 }, seen;
	struct outbox_event *rows = NULL;
	bool more = false;
	size_t n = 0;

	if (in->n_types > TYPES_MAX)
		return err_set(e, E_INVALID, "common.invalid_input", "%zu event types", in->n_types);
	if (in->after)
		after = (struct outbox_cursor){ in->after->epoch, in->after->xid, in->after->pos };
	if (in->consumer && *in->consumer && outbox_consumer(pg, in->consumer, after, e))
		return e->code;
	if (outbox_fetch(pg, after, in->n_types ? (const char *const *)in->types : NULL, in->n_types,
			 in->has_limit ? in->limit : PAGE_MAX, a, &rows, &n, &seen, &more, e))
		return e->code;
	out->has_more = 1;
	out->more = more;
	fill_events(a, rows, n, seen, out);
	return OK;
}

/* ---- dead letters ---- */
enum err_code node_db_dead_letters(struct pg *pg, struct arena *a, const Common__V1__DeadLettersRequest *in,
				   Common__V1__DeadLettersReply *out, struct err *e)
{
	struct dead_row *rows = NULL;
	struct cursor cur;
	int32_t limit;
	size_t n = 0;

	if (page_limit(in->has_limit, in->limit, &limit, e) || cursor_read(a, in->cursor, "dead_letters", "i", &cur, e) ||
	    pg_rows(pg, &dead_stmt, PG_ARGS(P(cur.n ? cur.field[0].i : (int64_t)0), P(limit + 1)), a, &rows, &n, e))
		return e->code;
	if (n > (size_t)limit) {
		n = (size_t)limit;
		out->next_cursor = cursor_write(a, "dead_letters", "i", rows[n - 1].ord);
	}
	out->data = arena_array(a, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < n; i++) {
		Common__V1__DeadLetter *d = arena_alloc(a, sizeof(*d));

		common__v1__dead_letter__init(d);
		d->id = (char *)(uintptr_t)rows[i].id;
		d->source = (char *)(uintptr_t)rows[i].source;
		d->event_id = (char *)(uintptr_t)rows[i].event_id;
		d->type = (char *)(uintptr_t)rows[i].type;
		d->agg_type = (char *)(uintptr_t)rows[i].agg_type;
		d->agg_id = (char *)(uintptr_t)rows[i].agg_id;
		d->error = (char *)(uintptr_t)rows[i].error;
		d->has_attempts = d->has_failed_at = 1;
		d->attempts = rows[i].attempts;
		d->failed_at = rows[i].failed_at;
		out->data[i] = d;
	}
	out->n_data = n;
	return OK;
}

enum err_code node_db_replay(struct pg *pg, struct arena *a, const Common__V1__ReplayDeadLetterRequest *in,
			     Common__V1__ReplayDeadLetterReply *out, struct err *e)
{
	const char *id = in->id && *in->id ? in->id : NULL, *agg = in->agg_id && *in->agg_id ? in->agg_id : NULL;
	int64_t n = 0;

	(void)a;
	if (!id && !agg)
		return err_set(e, E_INVALID, "common.invalid_input", "neither id nor agg_id");
	if (pg_exec(pg, &replay_stmt, PG_ARGS(P(id), P(agg)), &n, e))
		return e->code;
	if (n == 0)
		return err_set(e, E_NOT_FOUND, "common.not_found", "no dead letter %s%s", id ? id : "", agg ? agg : "");
	out->has_replayed = 1;
	out->replayed = (int32_t)n;
	return OK;
}

/* ---- audit ---- */
static Common__V1__Json *json_of(struct arena *a, const char *text)
{
	Common__V1__Json *j;

	if (!text)
		return NULL;
	j = arena_alloc(a, sizeof(*j));
	common__v1__json__init(j);
	j->text = (char *)(uintptr_t)text;
	return j;
}

static Common__V1__AuditRow *audit_of(struct arena *a, const struct audit_row *row)
{
	Common__V1__AuditRow *r = arena_alloc(a, sizeof(*r));

	common__v1__audit_row__init(r);
	r->has_id = r->has_changed_at = 1;
	r->id = row->id;
	r->changed_at = row->changed_at;
	r->actor = (char *)(uintptr_t)row->actor;
	r->request_id = (char *)(uintptr_t)row->request_id;
	r->action = (char *)(uintptr_t)row->action;
	r->table_name = (char *)(uintptr_t)row->table_name;
	r->row_id = (char *)(uintptr_t)row->row_id;
	r->before = json_of(a, row->before);
	r->after = json_of(a, row->after);
	r->hash = (char *)(uintptr_t)row->hash;
	return r;
}

enum err_code node_db_audit_page(struct pg *pg, struct arena *a, const Common__V1__AuditPageRequest *in,
				 Common__V1__AuditPageReply *out, struct err *e)
{
	const char *filter = arena_printf(a, "audit|%s|%s|%s|%s", in->actor ? in->actor : "",
					  in->table_name ? in->table_name : "", in->row_id ? in->row_id : "",
					  in->request_id ? in->request_id : "");
	struct audit_row *rows = NULL;
	size_t n = 0, i, bytes = 0;
	struct cursor cur;
	int32_t limit;

	if (page_limit(in->has_limit, in->limit, &limit, e) || cursor_read(a, in->cursor, filter, "i", &cur, e))
		return e->code;
	const struct audit_filter f = { .table_name = in->table_name, .row_id = in->row_id,
					.request_id = in->request_id, .actor = in->actor,
					.before_id = cur.n ? cur.field[0].i : 0 };

	if (audit_page(pg, &f, limit + 1, a, &rows, &n, e))
		return e->code;
	out->data = arena_array(a, n + 1, sizeof(*out->data));
	for (i = 0; i < n && i < (size_t)limit; i++) {
		out->data[i] = audit_of(a, &rows[i]);
		bytes += common__v1__audit_row__get_packed_size(out->data[i]) + 8;
		if (i > 0 && bytes > REPLY_BYTES)
			break;
	}
	out->n_data = i;
	if (i > 0 && i < n)
		out->next_cursor = cursor_write(a, filter, "i", rows[i - 1].id);
	return OK;
}

/* ---- lag ---- */
enum err_code node_db_event_lag(struct pg *pg, struct arena *a, Common__V1__LagReply *out, struct err *e)
{
	struct lag_row *rows = NULL;
	struct log_row *log = NULL;
	size_t n = 0;

	if (pg_rows(pg, &lag_stmt, PG_NONE, a, &rows, &n, e) || pg_one(pg, &log_stmt, PG_NONE, a, &log, e))
		return e->code;
	out->data = arena_array(a, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < n; i++) {
		Common__V1__Lag *l = arena_alloc(a, sizeof(*l));

		common__v1__lag__init(l);
		l->source = (char *)(uintptr_t)rows[i].source;
		l->has_behind = l->has_dead_letters = l->has_parked = l->has_last_applied_at = 1;
		l->behind = rows[i].behind;
		l->dead_letters = rows[i].dead;
		l->parked = rows[i].parked;
		l->last_applied_at = rows[i].applied_at;
		out->data[i] = l;
	}
	out->n_data = n;
	out->has_outbox_rows = out->has_horizon_lag_ms = 1;
	out->outbox_rows = log->rows;
	out->horizon_lag_ms = log->lag_ms;
	return OK;
}
