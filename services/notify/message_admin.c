/* Administrators and the mails that went out: list, look at, send again. */
#include <string.h>

#include "common/check.h"
#include "common/page.h"
#include "notify.pb-c.h"
#include "services/notify/letter.h"
#include "services/notify/notify.h"
#include "services/notify/notify_db.h"

RPC_HANDLER(list_messages, Notify__V1__ListMessagesRequest, Notify__V1__ListMessagesReply)
RPC_HANDLER(get_message, Notify__V1__MessageRequest, Notify__V1__Mail)
RPC_HANDLER(resend_message, Notify__V1__MessageRequest, Notify__V1__Mail)

const struct rpc_method notify_message_methods[] = {
	{ "ListMessages", list_messages_, RPC_READ, 0 },
	{ "GetMessage", get_message_, RPC_READ, 0 },
	{ "ResendMessage", resend_message_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

static void fill(struct call *c, const struct message_row *m, Notify__V1__Mail *out)
{
	const struct notify_svc *svc = c->svc;

	out->id = (char *)m->id;
	out->kind = (char *)m->kind;
	out->user_id = (char *)m->user_id;
	out->order_id = (char *)m->order_id;
	out->ref_id = (char *)m->ref_id;
	out->state = (char *)m->state;
	out->has_attempts = out->has_created_at = true;
	out->attempts = m->attempts;
	out->reason = (char *)m->reason;
	out->header_id = (char *)letter_message_id(svc->conf, c->arena, m->dedupe_key);
	out->created_at = m->created_at;
	out->has_next_at = !m->ended_at;
	out->next_at = m->next_at;
	out->has_ended_at = m->ended_at != 0;
	out->ended_at = m->ended_at;
}

static const char *text(const char *s)
{
	return s ? s : "";
}

static void check_filter(struct call *c, const Notify__V1__ListMessagesRequest *in)
{
	if (in->state && *in->state)
		check_oneof(&c->err, "state", in->state, "queued|sending|sent|failed|suppressed");
	if (in->user_id && *in->user_id)
		check_id(&c->err, "user_id", in->user_id, "usr");
	if (in->order_id && *in->order_id)
		check_id(&c->err, "order_id", in->order_id, "ord");
	if (in->kind)
		check_text(&c->err, "kind", in->kind, 0, 60);
}

static enum err_code list_messages(struct call *c, const Notify__V1__ListMessagesRequest *in,
				   Notify__V1__ListMessagesReply *out)
{
	struct message_filter f = { text(in->user_id), text(in->order_id), text(in->state), text(in->kind), "" };
	struct message_row *rows = NULL;
	struct page page;
	const char *bind;
	enum err_code code;
	size_t n = 0;
	struct pg *pg;

	if (call_perm(c, "admin.notify"))
		return c->err.code;
	check_filter(c, in);
	bind = arena_printf(c->arena, "mails|%s|%s|%s|%s", f.user_id, f.order_id, f.state, f.kind);
	if (page_of(c, in, bind, "t", &page) || call_pg(c, &pg))
		return c->err.code;
	f.before = page_text(&page, 0, "");
	code = notify_db_messages(pg, c->arena, &f, page.limit + 1, &rows, &n, &c->err);
	pg_return(pg);
	if (code)
		return code;
	if (page_more(&page, n)) {
		n = page_shown(&page, n);
		out->next_cursor = page_next(c, &page, rows[n - 1].id);
	}
	out->data = arena_alloc(c->arena, (n + 1) * sizeof(*out->data));
	for (size_t i = 0; i < n; i++) {
		out->data[i] = arena_alloc(c->arena, sizeof(**out->data));
		notify__v1__mail__init(out->data[i]);
		fill(c, &rows[i], out->data[i]);
	}
	out->n_data = n;
	return OK;
}

static enum err_code load(struct call *c, struct pg *pg, const char *id, struct message_row **m_r, struct err *e)
{
	bool found = false;

	if (notify_db_message(pg, c->arena, text(id), m_r, &found, e))
		return e->code;
	return found ? OK : err_set(e, E_NOT_FOUND, "notify.message_unknown", "%s", text(id));
}

static void add_deliveries(struct call *c, const struct delivery_row *rows, size_t n, Notify__V1__Mail *out)
{
	out->deliveries = arena_alloc(c->arena, (n + 1) * sizeof(*out->deliveries));
	for (size_t i = 0; i < n; i++) {
		Notify__V1__Delivery *d = arena_alloc(c->arena, sizeof(*d));

		notify__v1__delivery__init(d);
		d->has_attempt = d->has_took_ms = d->has_tried_at = true;
		d->attempt = rows[i].attempt;
		d->outcome = (char *)rows[i].outcome;
		d->has_smtp_code = rows[i].smtp_code != 0;
		d->smtp_code = rows[i].smtp_code;
		d->detail = (char *)rows[i].detail;
		d->took_ms = rows[i].took_ms;
		d->tried_at = rows[i].tried_at;
		out->deliveries[i] = d;
	}
	out->n_deliveries = n;
}

static enum err_code get_message(struct call *c, const Notify__V1__MessageRequest *in, Notify__V1__Mail *out)
{
	struct message_row *m = NULL;
	struct delivery_row *rows = NULL;
	enum err_code code;
	size_t n = 0;
	struct pg *pg;

	if (call_perm(c, "admin.notify") || call_pg(c, &pg))
		return c->err.code;
	code = load(c, pg, in->message_id, &m, &c->err);
	if (!code)
		code = notify_db_deliveries(pg, c->arena, m->id, &rows, &n, &c->err);
	pg_return(pg);
	if (code)
		return code;
	fill(c, m, out);
	add_deliveries(c, rows, n, out);
	return OK;
}

/* ---- again ---- */

struct resend_tx {
	struct call *c;
	const char *id;
	Notify__V1__Mail *out;
};

/* A new mail with a Message-ID of its own: the first one may have arrived, and a reader would drop a second copy. */
static enum err_code resend_tx(struct pg *pg, void *arg, struct err *e)
{
	struct resend_tx *t = arg;
	struct arena *a = t->c->arena;
	struct message_row *m = NULL, *copy = NULL;
	struct message_new again;
	char id[ID_LEN];
	bool fresh = false;
	int64_t before = 0;

	if (load(t->c, pg, t->id, &m, e))
		return e->code;
	if (!m->ended_at)
		return err_set(e, E_CONFLICT, "notify.message_waiting", "%s is %s", m->id, m->state);
	if (!m->user_id && !m->order_id)
		return err_set(e, E_CONFLICT, "notify.message_nobody", "%s names nobody", m->id);
	if (notify_db_message_resent(pg, a, m->dedupe_key, &before, e))
		return e->code;
	again = (struct message_new){ .kind = m->kind, .user_id = m->user_id, .order_id = m->order_id, .ref_id = m->ref_id,
				      .detail = m->detail, .amount = m->amount, .lang = m->lang };
	again.dedupe_key = arena_printf(a, "%s-r%lld", m->dedupe_key, (long long)before + 1);
	if (notify_db_message_put(pg, &again, id, &fresh, e))
		return e->code;
	if (!fresh) /* somebody pressed the button at the same moment */
		return err_set(e, E_RETRY, "common.retry", "resend of %s", m->id);
	if (load(t->c, pg, id, &copy, e))
		return e->code;
	fill(t->c, copy, t->out);
	return OK;
}

static enum err_code resend_message(struct call *c, const Notify__V1__MessageRequest *in, Notify__V1__Mail *out)
{
	struct resend_tx t = { c, in->message_id, out };

	if (call_perm(c, "admin.notify"))
		return c->err.code;
	return call_tx(c, CALL_TX_ONLY, resend_tx, &t);
}
