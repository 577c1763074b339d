/* Outgoing webhooks, as administrators see them: who is told what, by which secret. */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/page.h"
#include "notify.pb-c.h"
#include "services/notify/event_json.h"
#include "services/notify/notify.h"
#include "services/notify/notify_db.h"
#include "services/notify/webhook.h"

#define EVENTS_MAX 50

RPC_HANDLER(create_webhook, Notify__V1__CreateWebhookRequest, Notify__V1__Webhook)
RPC_HANDLER(list_webhooks, Notify__V1__ListWebhooksRequest, Notify__V1__ListWebhooksReply)
RPC_HANDLER(get_webhook, Notify__V1__WebhookRequest, Notify__V1__Webhook)
RPC_HANDLER(update_webhook, Notify__V1__UpdateWebhookRequest, Notify__V1__Webhook)
RPC_HANDLER(delete_webhook, Notify__V1__WebhookRequest, Common__V1__Empty)
RPC_HANDLER(rotate_webhook_secret, Notify__V1__WebhookRequest, Notify__V1__Webhook)

const struct rpc_method notify_webhook_methods[] = {
	{ "CreateWebhook", create_webhook_, RPC_WRITE, 0 }, /* not keyed: its answer holds the secret, which is never stored */
	{ "ListWebhooks", list_webhooks_, RPC_READ, 0 },
	{ "GetWebhook", get_webhook_, RPC_READ, 0 },
	{ "UpdateWebhook", update_webhook_, RPC_WRITE | RPC_KEYED, 0 },
	{ "DeleteWebhook", delete_webhook_, RPC_WRITE | RPC_KEYED, 0 },
	{ "RotateWebhookSecret", rotate_webhook_secret_, RPC_WRITE, 0 },
	{ 0 },
};

static const char *text(const char *s)
{
	return s ? s : "";
}

static void fill(struct call *c, const struct webhook_row *w, Notify__V1__Webhook *out)
{
	char *copy = arena_strdup(c->arena, w->events);

	out->id = (char *)w->id;
	out->url = (char *)w->url;
	out->description = (char *)w->description;
	out->has_active = out->has_version = out->has_created_at = out->has_updated_at = true;
	out->active = w->active;
	out->disabled_reason = (char *)w->disabled_reason;
	out->created_at = w->created_at;
	out->updated_at = w->updated_at;
	out->version = w->version;
	out->hdr_etag = arena_printf(c->arena, "%s-%lld", w->id, (long long)w->version);
	out->events = arena_alloc(c->arena, (strlen(copy) / 2 + 1) * sizeof(*out->events));
	out->n_events = 0;
	for (char *p = copy; p && *p;) {
		char *blank = strchr(p, ' ');

		out->events[out->n_events++] = p;
		if (blank)
			*blank++ = '\0';
		p = blank;
	}
}

enum err_code webhook_load(struct call *c, struct pg *pg, const char *id, struct webhook_row **w_r, struct err *e)
{
	bool found = false;

	if (notify_db_webhook(pg, c->arena, text(id), w_r, &found, e))
		return e->code;
	return found ? OK : err_set(e, E_NOT_FOUND, "notify.webhook_unknown", "%s", text(id));
}

/* ---- checking ---- */

static void check_events(struct call *c, char *const *events, size_t n)
{
	if (!n || n > EVENTS_MAX)
		err_detail(&c->err, "events", NULL, "must be 1 to %d", EVENTS_MAX);
	for (size_t i = 0; i < n && i < EVENTS_MAX; i++)
		if (!event_word_ok(events[i]))
			err_detail(&c->err, "events", NULL, "no event is called that");
}

static const char *join(struct call *c, char *const *events, size_t n)
{
	const char *all = "";

	for (size_t i = 0; i < n; i++)
		all = arena_printf(c->arena, "%s%s%s", all, i ? " " : "", events[i]);
	return all;
}

static enum err_code check_input(struct call *c, const char *url, const char *description)
{
	const struct notify_svc *svc = c->svc;

	if (url)
		check_url(&c->err, "url", url, !svc->conf->hook_insecure);
	if (url && strlen(url) > 1000)
		err_detail(&c->err, "url", NULL, "is too long");
	if (description)
		check_text(&c->err, "description", description, 0, 200);
	return c->err.n_details ? err_set(&c->err, E_INVALID, "common.invalid_input", "webhook") : OK;
}

static enum err_code new_secret(struct call *c, const char *id, const char **plain_r, struct pg_bytes *sealed_r)
{
	const struct notify_svc *svc = c->svc;
	char token[44];

	random_token(token);
	*plain_r = arena_printf(c->arena, "whsec_%s", token);
	return crypto_seal_text(svc->keyring, WEBHOOK_SECRET_COLUMN, id, *plain_r, c->arena, sealed_r, &c->err);
}

/* ---- handlers ---- */

struct webhook_tx {
	struct call *c;
	struct webhook_row row;
	const Notify__V1__UpdateWebhookRequest *in;
	int64_t expected;
	Notify__V1__Webhook *out;
};

static enum err_code create_tx(struct pg *pg, void *arg, struct err *e)
{
	struct webhook_tx *t = arg;
	struct webhook_row *stored = NULL;

	if (notify_db_webhook_add(pg, &t->row, e) || webhook_load(t->c, pg, t->row.id, &stored, e))
		return e->code;
	fill(t->c, stored, t->out);
	return OK;
}

static enum err_code create_webhook(struct call *c, const Notify__V1__CreateWebhookRequest *in, Notify__V1__Webhook *out)
{
	struct webhook_tx t = { .c = c, .out = out };
	const char *secret;
	char id[ID_LEN];

	if (call_perm(c, "admin.notify"))
		return c->err.code;
	check_events(c, in->events, in->n_events);
	if (check_input(c, text(in->url), in->description))
		return c->err.code;
	id_new("whk", id);
	t.row = (struct webhook_row){ .id = id, .url = in->url, .events = join(c, in->events, in->n_events),
				      .description = in->description };
	if (new_secret(c, id, &secret, &t.row.secret) || call_tx(c, CALL_TX_ONLY, create_tx, &t))
		return c->err.code;
	out->secret = (char *)secret;
	return OK;
}

static enum err_code list_webhooks(struct call *c, const Notify__V1__ListWebhooksRequest *in,
				   Notify__V1__ListWebhooksReply *out)
{
	struct webhook_row *rows = NULL;
	struct page page;
	enum err_code code;
	size_t n = 0;
	struct pg *pg;

	if (call_perm(c, "admin.notify"))
		return c->err.code;
	if (page_of(c, in, "webhooks", "t", &page) || call_pg(c, &pg))
		return c->err.code;
	code = notify_db_webhooks(pg, c->arena, page_text(&page, 0, ""), page.limit + 1, &rows, &n, &c->err);
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
		notify__v1__webhook__init(out->data[i]);
		fill(c, &rows[i], out->data[i]);
	}
	out->n_data = n;
	return OK;
}

static enum err_code get_webhook(struct call *c, const Notify__V1__WebhookRequest *in, Notify__V1__Webhook *out)
{
	struct webhook_row *w = NULL;
	enum err_code code;
	struct pg *pg;

	if (call_perm(c, "admin.notify") || call_pg(c, &pg))
		return c->err.code;
	code = webhook_load(c, pg, in->webhook_id, &w, &c->err);
	pg_return(pg);
	if (!code)
		fill(c, w, out);
	return code;
}

static enum err_code update_tx(struct pg *pg, void *arg, struct err *e)
{
	struct webhook_tx *t = arg;
	const Notify__V1__UpdateWebhookRequest *in = t->in;
	struct webhook_row *w = NULL;
	bool done = false;

	if (webhook_load(t->c, pg, in->webhook_id, &w, e))
		return e->code;
	if (in->url)
		w->url = in->url;
	if (in->n_events)
		w->events = join(t->c, in->events, in->n_events);
	if (in->description)
		w->description = in->description;
	if (in->has_active)
		w->active = in->active;
	if (notify_db_webhook_set(pg, w, t->expected, &done, e))
		return e->code;
	if (!done)
		return err_set(e, E_PRECOND, "notify.webhook_changed", "%s", w->id);
	if (webhook_load(t->c, pg, in->webhook_id, &w, e))
		return e->code;
	fill(t->c, w, t->out);
	return OK;
}

static enum err_code update_webhook(struct call *c, const Notify__V1__UpdateWebhookRequest *in, Notify__V1__Webhook *out)
{
	struct webhook_tx t = { .c = c, .in = in, .expected = -1, .out = out };
	const char *tag = in->hdr_if_match, *dash = tag ? strrchr(tag, '-') : NULL;
	char *end;

	if (call_perm(c, "admin.notify"))
		return c->err.code;
	if (in->n_events)
		check_events(c, in->events, in->n_events);
	if (check_input(c, in->url, in->description))
		return c->err.code;
	if (tag) {
		t.expected = dash ? strtoll(dash + 1, &end, 10) : 0;
		if (!dash || *end || t.expected < 1 || strncmp(tag, text(in->webhook_id), (size_t)(dash - tag)) != 0)
			return err_set(&c->err, E_PRECOND, "notify.webhook_changed", "If-Match");
	}
	return call_tx(c, CALL_TX_ONLY, update_tx, &t);
}

static enum err_code delete_tx(struct pg *pg, void *arg, struct err *e)
{
	const Notify__V1__WebhookRequest *in = arg;
	bool done = false;

	if (notify_db_webhook_delete(pg, text(in->webhook_id), &done, e))
		return e->code;
	return done ? OK : err_set(e, E_NOT_FOUND, "notify.webhook_unknown", "%s", text(in->webhook_id));
}

static enum err_code delete_webhook(struct call *c, const Notify__V1__WebhookRequest *in, Common__V1__Empty *out)
{
	Notify__V1__WebhookRequest copy = *in;

	(void)out;
	if (call_perm(c, "admin.notify"))
		return c->err.code;
	return call_tx(c, CALL_TX_ONLY, delete_tx, &copy);
}

static enum err_code rotate_tx(struct pg *pg, void *arg, struct err *e)
{
	struct webhook_tx *t = arg;
	struct webhook_row *w = NULL;
	bool done = false;

	if (notify_db_webhook_secret(pg, t->row.id, t->row.secret, &done, e) || webhook_load(t->c, pg, t->row.id, &w, e))
		return e->code;
	fill(t->c, w, t->out);
	return OK;
}

static enum err_code rotate_webhook_secret(struct call *c, const Notify__V1__WebhookRequest *in, Notify__V1__Webhook *out)
{
	struct webhook_tx t = { .c = c, .out = out };
	const char *secret;

	if (call_perm(c, "admin.notify"))
		return c->err.code;
	t.row.id = text(in->webhook_id);
	if (new_secret(c, t.row.id, &secret, &t.row.secret) || call_tx(c, CALL_TX_ONLY, rotate_tx, &t))
		return c->err.code;
	out->secret = (char *)secret;
	return OK;
}
