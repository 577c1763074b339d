#include "services/checkout/checkout_db.h"

#define MS(col) "(extract(epoch FROM " col ") * 1000)::bigint"
#define AT(n)	"to_timestamp($" n "::bigint / 1000.0)"

/* ---- reading ---- */

#define COLUMNS                                                                                                       \
	"c.id, c.cart_id, c.user_id, c.buyer, c.order_id, c.currency, c.locale, c.state, c.why, c.pi_id, c.pay_status,"  \
	" c.pay_code, c.pay_message, (SELECT o.number FROM checkout.orders o WHERE o.checkout_id = c.id) AS order_number," \
	" c.token_hash, c.request_hash, c.frozen, c.person, c.client_secret, c.cart_version, c.total_minor, "            \
	MS("c.begun_at") " AS begun_at, " MS("c.expires_at") " AS expires_at, "                                         \
	"coalesce(" MS("c.next_at") ", 0) AS next_at, c.version, " MS("c.created_at") " AS created_at, "               \
	MS("clock_timestamp()") " AS now_at, c.attempt, c.pi_n, c.key_n, c.tries, c.free, c.reserved, c.rereserved,"    \
	" c.sold, c.has_pi, c.pi_maybe, c.pi_dead, c.captured, c.refunded, c.ending, c.lease_until > now() AS leased"

#define C(f) PG_COL(checkout_row, f)
static const struct pg_col row_cols[] = {
	C(id),	      C(cart_id),      C(user_id),	C(buyer),      C(order_id),  C(currency),   C(locale),
	C(state),     C(why),	       C(pi_id),	C(pay_status), C(pay_code),  C(pay_message), C(order_number),
	C(token_hash), C(request_hash), C(frozen),	C(person),     C(client_secret), C(cart_version), C(total_minor),
	C(begun_at),  C(expires_at),   C(next_at),	C(version),    C(created_at), C(now_at),     C(attempt),
	C(pi_n),      C(key_n),	       C(tries),	C(free),       C(reserved),  C(rereserved), C(sold),
	C(has_pi),    C(pi_maybe),     C(pi_dead),	C(captured),   C(refunded),  C(ending),	    C(leased),
};
#define ROW .col = row_cols, .ncol = sizeof(row_cols) / sizeof(row_cols[0]), .row_size = sizeof(struct checkout_row)

static const struct pg_stmt get = {
	.name = "checkout_get",
	.sql = "SELECT " COLUMNS " FROM checkout.checkout c WHERE c.id = $1",
	ROW,
};

enum err_code checkout_db_get(struct pg *pg, struct arena *a, const char *id, struct checkout_row **row_r, bool *found_r,
			      struct err *e)
{
	return pg_row(pg, &get, PG_ARGS(P(id)), a, row_r, found_r, e);
}

static const struct pg_stmt live = {
	.name = "checkout_live",
	.sql = "SELECT " COLUMNS " FROM checkout.checkout c WHERE c.cart_id = $1 AND (c.live"
	       " OR (c.state = 'ordered' AND c.cart_version = $2::bigint)) ORDER BY c.state = 'ordered' LIMIT 1",
	ROW,
};

enum err_code checkout_db_live(struct pg *pg, struct arena *a, const char *cart_id, int64_t cart_version,
			       struct checkout_row **row_r, bool *found_r, struct err *e)
{
	return pg_row(pg, &live, PG_ARGS(P(cart_id), P(cart_version)), a, row_r, found_r, e);
}

static const struct pg_col now_cols[] = { PG_COL(checkout_now, now_at) };
static const struct pg_stmt now = {
	.name = "checkout_now",
	.sql = "SELECT " MS("clock_timestamp()") " AS now_at",
	.col = now_cols, .ncol = 1, .row_size = sizeof(struct checkout_now),
};

enum err_code checkout_db_now(struct pg *pg, struct arena *a, int64_t *now_ms_r, struct err *e)
{
	struct checkout_now *r = NULL;

	if (pg_one(pg, &now, PG_NONE, a, &r, e))
		return e->code;
	*now_ms_r = r->now_at;
	return OK;
}

enum err_code checkout_row_state(const struct checkout_row *r, struct saga_state *s_r, struct err *e)
{
	struct saga_state s = {
		.attempt = r->attempt, .pi_n = r->pi_n, .key_n = r->key_n, .tries = r->tries, .begun_at = r->begun_at,
		.expires_at = r->expires_at, .next_at = r->next_at, .free = r->free, .reserved = r->reserved,
		.rereserved = r->rereserved, .sold = r->sold, .has_pi = r->has_pi, .pi_maybe = r->pi_maybe,
		.pi_dead = r->pi_dead, .captured = r->captured, .refunded = r->refunded, .ending = r->ending,
	};

	if (!saga_state_parse(r->state, &s.st) || !saga_why_parse(r->why, &s.why))
		return err_set(e, E_INTERNAL, "common.internal", "checkout %s is %s/%s", r->id, r->state, r->why);
	*s_r = s;
	return OK;
}

/* ---- writing ---- */

static const struct pg_stmt insert = {
	.name = "checkout_insert",
	.sql = "INSERT INTO checkout.checkout (id, cart_id, user_id, buyer, order_id, currency, locale, cart_version,"
	       " total_minor, token_hash, request_hash, frozen, person, state, why, attempt, pi_n, key_n, tries, begun_at,"
	       " expires_at, next_at, free, reserved, rereserved, sold, has_pi, pi_maybe, pi_dead, captured, refunded, ending,"
	       " lease_until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::bigint, $9::bigint, $10::bytea, $11::bytea, $12::bytea,"
	       " $13::bytea, $14, $15, $16::int, $17::int, $18::int, $19::int, " AT("20") ", " AT("21") ","
	       " CASE WHEN $22::bigint > 0 THEN " AT("22") " END, $23::bool, $24::bool, $25::bool, $26::bool, $27::bool,"
	       " $28::bool, $29::bool, $30::bool, $31::bool, $32::bool,"
	       " now() + make_interval(secs => $33::int / 1000.0))",
};

#define SAGA_ARGS(s)                                                                                                  \
	P(saga_state_name((s)->st)), P(saga_why_name((s)->why)), P((s)->attempt), P((s)->pi_n), P((s)->key_n),          \
		P((s)->tries), P((s)->begun_at), P((s)->expires_at), P((s)->next_at), P((s)->free), P((s)->reserved),  \
		P((s)->rereserved), P((s)->sold), P((s)->has_pi), P((s)->pi_maybe), P((s)->pi_dead), P((s)->captured), \
		P((s)->refunded), P((s)->ending)

enum err_code checkout_db_insert(struct pg *pg, const struct checkout_new *n, const struct saga_state *s, struct err *e)
{
	return pg_exec(pg, &insert,
		       PG_ARGS(P(n->id), P(n->cart_id), P(n->user_id), P(n->buyer), P(n->order_id), P(n->currency),
			       P(n->locale), P(n->cart_version), P(n->total_minor), P(n->token_hash), P(n->request_hash),
			       P(n->frozen), P(n->person), SAGA_ARGS(s), P((int32_t)SAGA_ACT_MS)),
		       NULL, e);
}

#define SAGA_SET                                                                                                      \
	"state = $3, why = $4, attempt = $5::int, pi_n = $6::int, key_n = $7::int, tries = $8::int, begun_at = " AT("9")  \
	", expires_at = " AT("10") ", next_at = CASE WHEN $11::bigint > 0 THEN " AT("11") " END, free = $12::bool,"      \
	" reserved = $13::bool, rereserved = $14::bool, sold = $15::bool, has_pi = $16::bool, pi_maybe = $17::bool,"    \
	" pi_dead = $18::bool, captured = $19::bool, refunded = $20::bool, ending = $21::bool, version = version + 1,"  \
	" updated_at = now()"

static const struct pg_stmt save = {
	.name = "checkout_save",
	.sql = "UPDATE checkout.checkout SET " SAGA_SET ", lease_until = CASE WHEN $22::int > 0"
	       " THEN now() + make_interval(secs => $22::int / 1000.0) ELSE '-infinity' END,"
	       " pi_id = coalesce($23, pi_id), client_secret = coalesce($24::bytea, client_secret),"
	       " pay_status = CASE WHEN $25::bool THEN $26 ELSE pay_status END,"
	       " pay_code = CASE WHEN $25::bool THEN $27 ELSE pay_code END,"
	       " pay_message = CASE WHEN $25::bool THEN $28 ELSE pay_message END WHERE id = $1 AND version = $2::bigint",
};

enum err_code checkout_db_save(struct pg *pg, const char *id, int64_t version, const struct saga_state *s,
			       int32_t lease_ms, const struct saga_facts *f, bool *won_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &save,
		    PG_ARGS(P(id), P(version), SAGA_ARGS(s), P(lease_ms), P(f->pi_id), P(f->client_secret), P(f->pay_seen),
			    P(f->pay_status), P(f->pay_code), P(f->pay_message)),
		    &n, e))
		return e->code;
	*won_r = n == 1;
	return OK;
}

static const struct pg_stmt refreeze = {
	.name = "checkout_refreeze",
	.sql = "UPDATE checkout.checkout SET " SAGA_SET ", lease_until = now() + make_interval(secs => $22::int / 1000.0),"
	       " cart_version = $23::bigint, currency = $24, total_minor = $25::bigint, request_hash = $26::bytea,"
	       " frozen = $27::bytea, person = $28::bytea, buyer = $29, pi_id = NULL, client_secret = NULL,"
	       " pay_status = NULL, pay_code = NULL, pay_message = NULL WHERE id = $1 AND version = $2::bigint",
};

enum err_code checkout_db_refreeze(struct pg *pg, const struct checkout_new *n, int64_t version,
				   const struct saga_state *s, bool *won_r, struct err *e)
{
	int64_t rows = 0;

	if (pg_exec(pg, &refreeze,
		    PG_ARGS(P(n->id), P(version), SAGA_ARGS(s), P((int32_t)SAGA_ACT_MS), P(n->cart_version), P(n->currency),
			    P(n->total_minor), P(n->request_hash), P(n->frozen), P(n->person), P(n->buyer)),
		    &rows, e))
		return e->code;
	*won_r = rows == 1;
	return OK;
}

static const struct pg_col id_cols[] = { PG_COL(id_row, id) };
#define ID_ROW .col = id_cols, .ncol = 1, .row_size = sizeof(struct id_row)

static const struct pg_stmt due = {
	.name = "checkout_due",
	.sql = "UPDATE checkout.checkout c SET next_at = now() + make_interval(secs => $2::int / 1000.0) FROM"
	       " (SELECT d.id FROM checkout.checkout d WHERE d.due_minute <= now() AND d.next_at <= now()"
	       " AND d.lease_until <= now() ORDER BY d.due_minute, d.next_at LIMIT $1::int FOR UPDATE SKIP LOCKED) x"
	       " WHERE c.id = x.id RETURNING c.id",
	ID_ROW,
};

enum err_code checkout_db_due(struct pg *pg, struct arena *a, int32_t limit, int32_t claim_ms, struct id_row **rows_r,
			      size_t *n_r, struct err *e)
{
	return pg_rows(pg, &due, PG_ARGS(P(limit), P(claim_ms)), a, rows_r, n_r, e);
}

static const struct pg_col unfinished_cols[] = {
	PG_COL(unfinished_row, state), PG_COL(unfinished_row, n), PG_COL(unfinished_row, oldest_ms),
};
static const struct pg_stmt unfinished = {
	.name = "checkout_unfinished",
	.sql = "SELECT u.state, count(*) AS n,"
	       " (extract(epoch FROM clock_timestamp() - min(u.begun_at)) * 1000)::bigint AS oldest_ms"
	       " FROM (SELECT c.state, c.begun_at FROM checkout.checkout c WHERE c.due_minute IS NOT NULL"
	       "  ORDER BY c.due_minute LIMIT 10000) u GROUP BY u.state LIMIT 64",
	.col = unfinished_cols, .ncol = 3, .row_size = sizeof(struct unfinished_row),
};

enum err_code checkout_db_unfinished(struct pg *pg, struct arena *a, struct unfinished_row **rows_r, size_t *n_r,
				     struct err *e)
{
	return pg_rows(pg, &unfinished, PG_NONE, a, rows_r, n_r, e);
}

/* ---- payment attempts ---- */

static const struct pg_stmt attempt_put = {
	.name = "attempt_put",
	.sql = "INSERT INTO checkout.payment_attempt (checkout_id, n, idem_key, params) VALUES ($1, $2::int, $3, $4)"
	       " ON CONFLICT (checkout_id, n) DO NOTHING",
};

enum err_code checkout_db_attempt_put(struct pg *pg, const char *checkout_id, int32_t n, const char *key,
				      const char *params, bool *fresh_r, struct err *e)
{
	int64_t rows = 0;

	if (pg_exec(pg, &attempt_put, PG_ARGS(P(checkout_id), P(n), P(key), P(params)), &rows, e))
		return e->code;
	*fresh_r = rows == 1;
	return OK;
}

static const struct pg_col attempt_cols[] = {
	PG_COL(attempt_row, idem_key),
	PG_COL(attempt_row, params),
	PG_COL(attempt_row, created_at),
};
static const struct pg_stmt attempt = {
	.name = "attempt_get",
	.sql = "SELECT p.idem_key, p.params, " MS("p.created_at") " AS created_at FROM checkout.payment_attempt p"
	       " WHERE p.checkout_id = $1 AND p.n = $2::int",
	.col = attempt_cols, .ncol = 3, .row_size = sizeof(struct attempt_row),
};

enum err_code checkout_db_attempt(struct pg *pg, struct arena *a, const char *checkout_id, int32_t n,
				  struct attempt_row **row_r, bool *found_r, struct err *e)
{
	return pg_row(pg, &attempt, PG_ARGS(P(checkout_id), P(n)), a, row_r, found_r, e);
}

static const struct pg_stmt attempt_pi = {
	.name = "attempt_pi",
	.sql = "UPDATE checkout.payment_attempt SET pi_id = $3 WHERE checkout_id = $1 AND n = $2::int"
	       " AND pi_id IS DISTINCT FROM $3",
};

enum err_code checkout_db_attempt_pi(struct pg *pg, const char *checkout_id, int32_t n, const char *pi_id, struct err *e)
{
	return pg_later(pg, &attempt_pi, PG_ARGS(P(checkout_id), P(n), P(pi_id)), e);
}

static const struct pg_stmt by_pi = {
	.name = "checkout_by_pi",
	.sql = "SELECT p.checkout_id AS id FROM checkout.payment_attempt p WHERE p.pi_id = $1",
	ID_ROW,
};

enum err_code checkout_db_by_pi(struct pg *pg, struct arena *a, const char *pi_id, struct id_row **row_r, bool *found_r,
				struct err *e)
{
	return pg_row(pg, &by_pi, PG_ARGS(P(pi_id)), a, row_r, found_r, e);
}

/* ---- the provider's events ---- */

/* By two keys, one after the other: as a join it was planned over all orders, the more the slower. */
static const struct pg_stmt event_put = {
	.name = "event_put",
	.sql = "INSERT INTO checkout.provider_event (id, type, object_id, intent_id, checkout_id, parked, next_at)"
	       " VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $7::int >= 0 AND ($8::bool AND (SELECT c.state"
	       " FROM checkout.checkout c WHERE c.id = (SELECT p.checkout_id FROM checkout.payment_attempt p"
	       " WHERE p.pi_id = $4)) = 'ordered') IS NOT TRUE"
	       " THEN now() + make_interval(secs => $7::int / 1000.0) END) ON CONFLICT (id) DO NOTHING",
};

enum err_code checkout_db_event_put(struct pg *pg, const struct event_row *ev, const char *parked,
				    int32_t delay_ms, bool settles, bool *fresh_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &event_put, PG_ARGS(P(ev->id), P(ev->type), P(ev->object_id), P(ev->intent_id),
					    P(ev->checkout_id), P(parked), P(delay_ms), P(settles)), &n, e))
		return e->code;
	*fresh_r = n == 1;
	return OK;
}

static const struct pg_col event_cols[] = {
	PG_COL(event_row, id),	      PG_COL(event_row, type),	      PG_COL(event_row, object_id),
	PG_COL(event_row, intent_id), PG_COL(event_row, checkout_id), PG_COL(event_row, tries),
};
static const struct pg_stmt events_due = {
	.name = "events_due",
	.sql = "UPDATE checkout.provider_event v SET next_at = now() + interval '20 s', tries = v.tries + 1 FROM"
	       " (SELECT d.id FROM checkout.provider_event d WHERE d.next_at <= now() ORDER BY d.next_at LIMIT $1::int"
	       " FOR UPDATE SKIP LOCKED) x WHERE v.id = x.id"
	       " RETURNING v.id, v.type, v.object_id, v.intent_id, v.checkout_id, v.tries",
	.col = event_cols, .ncol = 6, .row_size = sizeof(struct event_row),
};

enum err_code checkout_db_events_due(struct pg *pg, struct arena *a, int32_t limit, struct event_row **rows_r,
				     size_t *n_r, struct err *e)
{
	return pg_rows(pg, &events_due, PG_ARGS(P(limit)), a, rows_r, n_r, e);
}

/* Most events tell what the client's own confirmation has brought about meanwhile: they are done, all at once. */
static const struct pg_stmt events_settled = {
	.name = "events_settled",
	.sql = "UPDATE checkout.provider_event v SET next_at = NULL FROM checkout.payment_attempt p"
	       " JOIN checkout.checkout c ON c.id = p.checkout_id WHERE v.next_at <= now() AND p.pi_id = v.intent_id"
	       " AND c.state = 'ordered' AND v.type IN ('payment_intent.amount_capturable_updated',"
	       " 'payment_intent.succeeded')",
};

enum err_code checkout_db_events_settled(struct pg *pg, struct err *e)
{
	return pg_exec(pg, &events_settled, PG_NONE, NULL, e);
}

static const struct pg_stmt event_done = {
	.name = "event_done",
	.sql = "UPDATE checkout.provider_event SET next_at = NULL, parked = $2 WHERE id = $1",
};

enum err_code checkout_db_event_done(struct pg *pg, const char *id, const char *parked, struct err *e)
{
	return pg_exec(pg, &event_done, PG_ARGS(P(id), P(parked)), NULL, e);
}

static const struct pg_stmt event_later = {
	.name = "event_later",
	.sql = "UPDATE checkout.provider_event SET next_at = now() + make_interval(secs => $2::int / 1000.0) WHERE id = $1",
};

enum err_code checkout_db_event_later(struct pg *pg, const char *id, int32_t ms, struct err *e)
{
	return pg_exec(pg, &event_later, PG_ARGS(P(id), P(ms)), NULL, e);
}

/* Longer than the provider goes on delivering. */
static const struct pg_stmt events_prune = {
	.name = "events_prune",
	.sql = "DELETE FROM checkout.provider_event WHERE id IN (SELECT v.id FROM checkout.provider_event v"
	       " WHERE v.received_at < now() - interval '35 days' AND v.next_at IS NULL LIMIT 5000)",
};

enum err_code checkout_db_events_prune(struct pg *pg, struct err *e)
{
	return pg_exec(pg, &events_prune, PG_NONE, NULL, e);
}

/* ---- an erased user ---- */

static const struct pg_stmt erase_checkouts = {
	.name = "erase_checkouts",
	.sql = "UPDATE checkout.checkout SET person = NULL, updated_at = now() WHERE user_id = $1 AND person IS NOT NULL"
	       " AND next_at IS NULL",
};
static const struct pg_stmt erase_orders = {
	.name = "erase_orders",
	.sql = "UPDATE checkout.orders SET person = NULL, version = version + 1, updated_at = now()"
	       " WHERE user_id = $1 AND person IS NOT NULL",
};

enum err_code checkout_db_erase(struct pg *pg, const char *user_id, struct err *e)
{
	if (pg_exec(pg, &erase_checkouts, PG_ARGS(P(user_id)), NULL, e) ||
	    pg_exec(pg, &erase_orders, PG_ARGS(P(user_id)), NULL, e))
		return e->code;
	return OK;
}

const struct pg_stmt *const checkout_db_stmts[] = {
	&get,	     &live,	   &now,	&insert,     &save,	    &refreeze,	   &due,
	&attempt_put, &attempt,	   &attempt_pi, &by_pi,	     &event_put,    &events_settled, &events_due, &event_done,
	&event_later, &events_prune, &erase_checkouts, &erase_orders,
	&unfinished, NULL,
};
