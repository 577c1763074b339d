/* History of before: orders and visits of another system, chunk by chunk; a chunk sent again counts once. */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/timeutil.h"
#include "reco.pb-c.h"
#include "services/reco/collect.h"
#include "services/reco/reco.h"
#include "services/reco/reco_db_admin.h"
#include "services/reco/reco_db_collect.h"
#include "services/reco/reco_db_features.h"

#define ROWS_MAX 5000
#define ERRORS_MAX 10
#define REQUEST_MAX ((1 << 20) - 4096)
#define MONTH_MS (31 * 86400000LL)
#define EARLIEST_MS 631152000000LL /* 1990 */

RPC_HANDLER(reco_import_history, Reco__V1__ImportHistoryRequest, Reco__V1__ImportHistoryReply)

const struct rpc_method reco_import_methods[] = {
	{ "ImportHistory", reco_import_history_, RPC_WRITE, REQUEST_MAX },
	{ 0 },
};

static int32_t kind_of(const char *type)
{
	static const char *const types[] = { [RECO_VIEW] = "view", [RECO_CLICK] = "click", [RECO_CART] = "add_to_cart",
					     [RECO_PURCHASE] = "purchase", [RECO_RATING] = "rating" };

	for (size_t i = 0; type && i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i] && strcmp(type, types[i]) == 0)
			return (int32_t)i;
	return 0;
}

/* NULL, or what is wrong with the row. */
static const char *fault(const struct reco_svc *svc, const Reco__V1__HistoryRow *m, int64_t now)
{
	int64_t keep = svc->conf->keep_months;

	if (!kind_of(m->type))
		return "type: view, click, add_to_cart, purchase or rating";
	if (!collect_word(m->product_id))
		return "product_id: 1 to 64 letters, digits or - _ . :";
	if (!m->user_id && !m->session_id && !m->order_id)
		return "user_id, session_id or order_id is required";
	if ((m->user_id && !collect_word(m->user_id)) || (m->session_id && !collect_word(m->session_id)) ||
	    (m->order_id && !collect_word(m->order_id)) || (m->id && !collect_word(m->id)))
		return "ids have 1 to 64 letters, digits or - _ . :";
	if (!m->has_occurred_at || m->occurred_at < EARLIEST_MS || m->occurred_at > now)
		return "occurred_at: a time of the past";
	if (keep > 0 && m->occurred_at < now - (keep - 1) * MONTH_MS)
		return "occurred_at: older than what is kept (RECO_KEEP_MONTHS)";
	if (kind_of(m->type) == RECO_RATING && (m->rating < 1 || m->rating > 5))
		return "rating: 1 to 5";
	if (m->has_qty && (m->qty < 1 || m->qty > 1000000))
		return "qty: 1 to 1000000";
	return NULL;
}

struct chunk {
	struct call *c;
	const Reco__V1__ImportHistoryRequest *in;
	struct event_in *rows;
	const char **users;
	size_t n, n_users;
	int64_t from, until;
	struct event_put_row *row;
};

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int by_user(const void *key, const void *row)
{
	return strcmp(key, ((const struct person_row *)row)->user_id);
}

static enum err_code chunk_tx(struct pg *pg, void *arg, struct err *e)
{
	struct chunk *k = arg;
	struct reco_svc *svc = k->c->svc;
	struct person_row *hidden = NULL;
	size_t n = 0;

	if (reco_db_withheld_of(pg, k->c->arena, k->users, k->n_users, strcmp(svc->conf->consent, "opt_in") == 0, &hidden,
				&n, e))
		return e->code;
	for (size_t i = 0; n > 0 && i < k->n; i++)
		if (k->rows[i].user_id && bsearch(k->rows[i].user_id, hidden, n, sizeof(*hidden), by_user))
			k->rows[i].user_id = k->rows[i].session_id = k->rows[i].order_id = NULL;
	if (reco_db_partitions(pg, k->c->arena, k->from, k->until, e))
		return e->code;
	return reco_db_event_put(pg, k->c->arena, RECO_FROM_IMPORT, false, k->rows, k->n, &k->row, e);
}

/* Rows without an id of their own are told apart by all that they say. */
static const char *key_of(struct arena *a, const char *source, const Reco__V1__HistoryRow *m)
{
	const char *id = m->id;

	if (!id)
		id = arena_printf(a, "%s|%s|%s|%s|%s|%lld", m->type, m->user_id ? m->user_id : "",
				  m->session_id ? m->session_id : "", m->order_id ? m->order_id : "", m->product_id,
				  (long long)m->occurred_at);
	return collect_key(a, "import", source, id);
}

static void refuse(struct call *c, Reco__V1__ImportHistoryReply *out, size_t i, const char *why)
{
	Common__V1__Detail *d;

	out->refused++;
	if (out->n_errors == ERRORS_MAX)
		return;
	d = arena_alloc(c->arena, sizeof(*d));
	common__v1__detail__init(d);
	d->field = arena_printf(c->arena, "rows.%zu", i);
	d->message = (char *)why;
	out->errors[out->n_errors++] = d;
}

static void read_rows(struct chunk *k, Reco__V1__ImportHistoryReply *out)
{
	const Reco__V1__ImportHistoryRequest *in = k->in;
	int64_t now = wall_ms();

	for (size_t i = 0; i < in->n_rows; i++) {
		const Reco__V1__HistoryRow *m = in->rows[i];
		const char *why = fault(k->c->svc, m, now);

		if (why) {
			refuse(k->c, out, i, why);
			continue;
		}
		k->from = k->n == 0 || m->occurred_at < k->from ? m->occurred_at : k->from;
		k->until = m->occurred_at > k->until ? m->occurred_at : k->until;
		if (m->user_id)
			k->users[k->n_users++] = m->user_id;
		k->rows[k->n++] = (struct event_in){
			.key = key_of(k->c->arena, in->source, m),
			.ts = m->occurred_at,
			.kind = kind_of(m->type),
			.user_id = m->user_id,
			.session_id = m->session_id,
			.product_id = m->product_id,
			.order_id = m->order_id,
			.qty = m->has_qty ? m->qty : 1,
			.rating = kind_of(m->type) == RECO_RATING ? m->rating : 0,
		};
	}
}

/* Sorted, each once. */
static void sort_users(struct chunk *k)
{
	size_t n = 0;

	qsort(k->users, k->n_users, sizeof(*k->users), by_text);
	for (size_t i = 0; i < k->n_users; i++)
		if (n == 0 || strcmp(k->users[n - 1], k->users[i]) != 0)
			k->users[n++] = k->users[i];
	k->n_users = n;
}

static enum err_code reco_import_history(struct call *c, const Reco__V1__ImportHistoryRequest *in,
					 Reco__V1__ImportHistoryReply *out)
{
	struct chunk k = { .c = c, .in = in };

	if (call_perm(c, "admin.catalog"))
		return c->err.code;
	if (!collect_word(in->source))
		err_detail(&c->err, "source", NULL, "1 to 64 letters, digits or - _ . :");
	if (in->n_rows < 1 || in->n_rows > ROWS_MAX)
		err_detail(&c->err, "rows", NULL, "1 to %d", ROWS_MAX);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "history");
	k.rows = arena_array(c->arena, in->n_rows, sizeof(*k.rows));
	k.users = arena_array(c->arena, in->n_rows, sizeof(*k.users));
	out->errors = arena_array(c->arena, ERRORS_MAX, sizeof(*out->errors));
	read_rows(&k, out);
	sort_users(&k);
	if (k.n > 0 && call_tx(c, CALL_TX_PLAIN, chunk_tx, &k))
		return c->err.code;
	out->has_accepted = out->has_duplicates = out->has_refused = true;
	out->accepted = k.row ? (int32_t)k.row->put : 0;
	out->duplicates = (int32_t)k.n - out->accepted;
	return OK;
}
