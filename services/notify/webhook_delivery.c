/* The deliveries of a webhook: list them, send a test, send one again. */
#include <string.h>

#include "common/check.h"
#include "common/page.h"
#include "common/timeutil.h"
#include "notify.pb-c.h"
#include "services/notify/webhook.h"

RPC_HANDLER(test_webhook, Notify__V1__WebhookRequest, Notify__V1__WebhookDelivery)
RPC_HANDLER(list_webhook_deliveries, Notify__V1__ListWebhookDeliveriesRequest, Notify__V1__ListWebhookDeliveriesReply)
RPC_HANDLER(redeliver_webhook, Notify__V1__WebhookDeliveryRequest, Notify__V1__WebhookDelivery)

const struct rpc_method notify_webhook_delivery_methods[] = {
	{ "TestWebhook", test_webhook_, RPC_WRITE | RPC_KEYED, 0 },
	{ "ListWebhookDeliveries", list_webhook_deliveries_, RPC_READ, 0 },
	{ "RedeliverWebhook", redeliver_webhook_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

static const char *text(const char *s)
{
	return s ? s : "";
}

static void fill(struct call *c, const struct hook_delivery_row *d, Notify__V1__WebhookDelivery *out)
{
	out->id = (char *)d->id;
	out->webhook_id = (char *)d->webhook_id;
	out->event_id = (char *)d->event_id;
	out->type = (char *)d->type;
	out->payload = arena_alloc(c->arena, sizeof(*out->payload));
	common__v1__json__init(out->payload);
	out->payload->text = (char *)d->payload;
	out->state = (char *)d->state;
	out->has_attempts = out->has_created_at = true;
	out->attempts = d->attempts;
	out->has_http_status = d->http_status != 0;
	out->http_status = d->http_status;
	out->detail = (char *)d->detail;
	out->created_at = d->created_at;
	out->has_next_at = !d->ended_at;
	out->next_at = d->next_at;
	out->has_ended_at = d->ended_at != 0;
	out->ended_at = d->ended_at;
}

static enum err_code load(struct call *c, struct pg *pg, const char *webhook_id, const char *id,
			  struct hook_delivery_row **d_r, struct err *e)
{
	bool found = false;

	if (notify_db_hook(pg, c->arena, text(webhook_id), text(id), d_r, &found, e))
		return e->code;
	return found ? OK : err_set(e, E_NOT_FOUND, "notify.webhook_delivery_unknown", "%s", text(id));
}

static enum err_code list_webhook_deliveries(struct call *c, const Notify__V1__ListWebhookDeliveriesRequest *in,
					     Notify__V1__ListWebhookDeliveriesReply *out)
{
	struct hook_delivery_row *rows = NULL;
	struct webhook_row *w = NULL;
	struct page page;
	enum err_code code;
	const char *bind;
	size_t n = 0;
	struct pg *pg;

	if (call_perm(c, "admin.notify"))
		return c->err.code;
	if (in->state && *in->state)
		check_oneof(&c->err, "state", in->state, "queued|sending|sent|failed");
	bind = arena_printf(c->arena, "hooks|%s|%s", text(in->webhook_id), text(in->state));
	if (page_of(c, in, bind, "t", &page) || call_pg(c, &pg))
		return c->err.code;
	code = webhook_load(c, pg, in->webhook_id, &w, &c->err);
	if (!code)
		code = notify_db_hooks(pg, c->arena, w->id, text(in->state), page_text(&page, 0, ""), page.limit + 1,
				       &rows, &n, &c->err);
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
		notify__v1__webhook_delivery__init(out->data[i]);
		fill(c, &rows[i], out->data[i]);
	}
	out->n_data = n;
	return OK;
}

struct delivery_tx {
	struct call *c;
	const char *webhook_id, *delivery_id;
	Notify__V1__WebhookDelivery *out;
};

static enum err_code test_tx(struct pg *pg, void *arg, struct err *e)
{
	struct delivery_tx *t = arg;
	struct webhook_row *w = NULL;
	struct hook_delivery_row *d = NULL;
	char event_id[37], at[TIME_TEXT_LEN];
	const char *payload;
	size_t n = 0;

	if (webhook_load(t->c, pg, t->webhook_id, &w, e))
		return e->code;
	id_uuid(event_id);
	payload = arena_printf(t->c->arena, "{\"id\":\"%s\",\"type\":\"webhook.test\",\"created_at\":\"%s\",\"data\":{}}",
			       event_id, time_rfc3339(wall_ms(), at));
	if (notify_db_hook_put(pg, w->id, event_id, "webhook.test", payload, e) ||
	    notify_db_hooks(pg, t->c->arena, w->id, "queued", "", 1, &d, &n, e))
		return e->code;
	if (!n)
		return err_set(e, E_INTERNAL, "common.internal", "the test delivery is gone");
	fill(t->c, d, t->out);
	return OK;
}

static enum err_code test_webhook(struct call *c, const Notify__V1__WebhookRequest *in, Notify__V1__WebhookDelivery *out)
{
	struct delivery_tx t = { .c = c, .webhook_id = in->webhook_id, .out = out };

	if (call_perm(c, "admin.notify"))
		return c->err.code;
	return call_tx(c, CALL_TX_ONLY, test_tx, &t);
}

static enum err_code again_tx(struct pg *pg, void *arg, struct err *e)
{
	struct delivery_tx *t = arg;
	struct hook_delivery_row *d = NULL;
	bool done = false;

	if (load(t->c, pg, t->webhook_id, t->delivery_id, &d, e) || notify_db_hook_again(pg, d->id, &done, e))
		return e->code;
	if (!done)
		return err_set(e, E_CONFLICT, "notify.webhook_delivery_waiting", "%s is %s", d->id, d->state);
	if (load(t->c, pg, t->webhook_id, t->delivery_id, &d, e))
		return e->code;
	fill(t->c, d, t->out);
	return OK;
}

static enum err_code redeliver_webhook(struct call *c, const Notify__V1__WebhookDeliveryRequest *in,
				       Notify__V1__WebhookDelivery *out)
{
	struct delivery_tx t = { c, in->webhook_id, in->delivery_id, out };

	if (call_perm(c, "admin.notify"))
		return c->err.code;
	return call_tx(c, CALL_TX_ONLY, again_tx, &t);
}
