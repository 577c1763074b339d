/* The event log of a daemon: written with the change, read below the oldest running transaction. */
#include "common/outbox.h"

#include <string.h>

#include "common/id.h"
#include "common/log.h"
#include "common/pg_internal.h"
#include "common/pg_mechanisms.h"

#define SCAN 200 /* rows looked at in one fetch */
#define STR(x) STR_(x)
#define STR_(x) #x

static const struct pg_stmt put_stmt = {
	.name = "outbox_put",
	.sql = "INSERT INTO ${schema}.outbox (epoch, event_id, agg_type, agg_id, agg_version, type, payload, traceparent)"
	       " SELECT c.epoch, $1, $2, $3, $4::bigint, $5, $6::bytea, nullif($7::text, '') FROM ${schema}.cluster c",
};

static const struct pg_col event_cols[] = {
	PG_COL(outbox_event, epoch), PG_COL(outbox_event, xid), PG_COL(outbox_event, pos),
	PG_COL(outbox_event, event_id), PG_COL(outbox_event, agg_type), PG_COL(outbox_event, agg_id),
	PG_COL(outbox_event, agg_version), PG_COL(outbox_event, type), PG_COL(outbox_event, payload),
	PG_COL(outbox_event, traceparent), PG_COL(outbox_event, occurred_at), PG_COL(outbox_event, hit),
};
/* Every row after the cursor, those of other types without what they carry. The horizon is the statement's own snapshot's. */
static const struct pg_stmt fetch_stmt = {
	.name = "outbox_fetch",
	.sql = "SELECT o.epoch, o.xid::text::bigint AS xid, o.pos, o.event_id, o.agg_type, o.agg_id, o.agg_version, o.type,"
	       " CASE WHEN $4::text[] IS NULL OR o.type = ANY ($4::text[]) THEN o.payload END AS payload, o.traceparent,"
	       " (extract(epoch FROM o.occurred_at) * 1000)::bigint AS occurred_at,"
	       " $4::text[] IS NULL OR o.type = ANY ($4::text[]) AS hit FROM ${schema}.outbox o"
	       " WHERE (o.epoch, o.xid, o.pos) > ($1::bigint, $2::text::xid8, $3::bigint)"
	       " AND (o.epoch < (SELECT c.epoch FROM ${schema}.cluster c)"
	       "  OR o.xid < pg_snapshot_xmin(pg_current_snapshot()))"
	       " ORDER BY o.epoch, o.xid, o.pos LIMIT " STR(SCAN),
	.col = event_cols, .ncol = 12, .row_size = sizeof(struct outbox_event),
};
static const struct pg_stmt consumer_stmt = {
	.name = "outbox_consumer",
	.sql = "INSERT INTO ${schema}.outbox_consumer (consumer, epoch, xid, pos)"
	       " SELECT $1::text, $2::bigint, $3::text::xid8, $4::bigint WHERE NOT EXISTS ("
	       "  SELECT 1 FROM ${schema}.outbox_consumer k WHERE k.consumer = $1 AND k.epoch = $2::bigint"
	       "  AND k.xid = $3::text::xid8 AND k.pos = $4::bigint AND k.seen_at > now() - interval '10 seconds')"
	       " ON CONFLICT (consumer) DO UPDATE SET epoch = excluded.epoch, xid = excluded.xid, pos = excluded.pos,"
	       " seen_at = now()",
};
static const struct pg_stmt prune_stmt = {
	.name = "outbox_prune",
	.sql = "DELETE FROM ${schema}.outbox WHERE (epoch, xid, pos) IN (SELECT o.epoch, o.xid, o.pos"
	       " FROM (SELECT epoch, xid, pos, occurred_at FROM ${schema}.outbox ORDER BY epoch, xid, pos LIMIT 1000) o"
	       " WHERE o.occurred_at < now() - interval '7 days'"
	       " AND NOT EXISTS (SELECT 1 FROM ${schema}.outbox_consumer k WHERE k.seen_at > now() - interval '30 days'"
	       "  AND (k.epoch, k.xid, k.pos) < (o.epoch, o.xid, o.pos)))",
};
static const struct pg_col behind_cols[] = { PG_COL(outbox_behind, rows), PG_COL(outbox_behind, oldest_ms) };
static const struct pg_stmt behind_stmt = {
	.name = "outbox_behind",
	.sql = "SELECT coalesce(max(w.n), 0)::bigint AS rows,"
	       " coalesce(max(extract(epoch FROM clock_timestamp() - w.first) * 1000), 0)::bigint AS oldest_ms"
	       " FROM ${schema}.outbox_consumer k CROSS JOIN LATERAL (SELECT count(*) AS n, min(p.occurred_at) AS first"
	       "  FROM (SELECT o.occurred_at FROM ${schema}.outbox o WHERE (o.epoch, o.xid, o.pos) > (k.epoch, k.xid, k.pos)"
	       "   ORDER BY o.epoch, o.xid, o.pos LIMIT 10000) p) w"
	       " WHERE k.seen_at > now() - interval '30 days'",
	.col = behind_cols, .ncol = 2, .row_size = sizeof(struct outbox_behind),
};
static const struct pg_stmt epoch_stmt = {
	.name = "outbox_epoch", .sql = "SELECT ${schema}.outbox_check_epoch()",
};
const struct pg_stmt *const outbox_stmts[] = { &put_stmt,   &fetch_stmt, &consumer_stmt,
					       &prune_stmt, &behind_stmt, &epoch_stmt, NULL };

enum err_code outbox_put(struct pg *pg, const char *agg_type, const char *agg_id, int64_t agg_version,
			 const char *type, const ProtobufCMessage *payload, struct err *e)
{
	struct arena *a;
	struct pg_bytes bytes;
	char id[ID_LEN], changed[96];
	enum err_code code;
	uint8_t *p;

	if (!pg->in_tx)
		return err_set(e, E_INTERNAL, "outbox.no_tx", "%s outside a transaction", type);
	id_new("evt", id);
	a = arena_new("outbox", 1 << 20);
	bytes.len = protobuf_c_message_get_packed_size(payload);
	p = arena_alloc(a, bytes.len + 1);
	(void)protobuf_c_message_pack(payload, p);
	bytes.data = p;
	code = pg_later(pg, &put_stmt,
			PG_ARGS(P((const char *)id), P(agg_type), P(agg_id), P(agg_version), P(type), P(bytes),
				P(log_ctx_traceparent())),
			e);
	arena_free(a);
	if (code)
		return code;
	(void)snprintf(changed, sizeof(changed), "%s:%s", agg_type, agg_id);
	pg_note(pg, type, changed);
	return OK;
}

static const char *xid_text(struct arena *a, int64_t xid)
{
	return arena_printf(a, "%lld", (long long)(xid < 0 ? 0 : xid));
}

enum err_code outbox_fetch(struct pg *pg, struct outbox_cursor after, const char *const *types, size_t n_types,
			   int32_t limit, struct arena *a, struct outbox_event **rows_r, size_t *n_r,
			   struct outbox_cursor *seen_r, bool *more_r, struct err *e)
{
	struct pg_param list = types ? pg_p_text_array(a, types, n_types) : PG_NULL;
	struct outbox_event *rows = NULL;
	size_t n = 0, hits = 0, i;

	if (limit < 1 || limit > SCAN)
		limit = SCAN;
	if (pg_rows(pg, &fetch_stmt, PG_ARGS(P(after.epoch), P(xid_text(a, after.xid)), P(after.pos), list), a, &rows, &n, e))
		return e->code;
	*seen_r = after;
	for (i = 0; i < n && hits < (size_t)limit; i++) {
		*seen_r = (struct outbox_cursor){ rows[i].epoch, rows[i].xid, rows[i].pos };
		if (rows[i].hit)
			rows[hits++] = rows[i];
	}
	*more_r = n == SCAN || hits == (size_t)limit;
	*rows_r = hits > 0 ? rows : NULL;
	*n_r = hits;
	return OK;
}

enum err_code outbox_consumer(struct pg *pg, const char *consumer, struct outbox_cursor at, struct err *e)
{
	char xid[24];

	(void)snprintf(xid, sizeof(xid), "%lld", (long long)(at.xid < 0 ? 0 : at.xid));
	return pg_exec(pg, &consumer_stmt, PG_ARGS(P(consumer), P(at.epoch), P((const char *)xid), P(at.pos)), NULL, e);
}

enum err_code outbox_prune(struct pg *pg, int64_t *removed_r, struct err *e)
{
	return pg_exec(pg, &prune_stmt, PG_NONE, removed_r, e);
}

enum err_code outbox_behind(struct pg *pg, struct arena *a, struct outbox_behind *behind_r, struct err *e)
{
	struct outbox_behind *row = NULL;

	if (pg_one(pg, &behind_stmt, PG_NONE, a, &row, e))
		return e->code;
	*behind_r = *row;
	return OK;
}

enum err_code outbox_check_epoch(struct pg *pg, struct err *e)
{
	return pg_exec(pg, &epoch_stmt, PG_NONE, NULL, e);
}
