/* POST /api/webhooks/stripe: signature, durable enqueue, 200. What is true is asked of the provider afterwards. */
#include <string.h>

#include "common/log.h"
#include "common/timeutil.h"
#include "services/checkout/checkout.h"
#include "services/checkout/checkout_db.h"
#include "services/checkout/pay.h"
#include "services/checkout/pay_json.h"
#include "services/checkout/pay_signature.h"
#include "services/checkout/sweeper.h"

#include "checkout.pb-c.h"

RPC_HANDLER(pay_webhook, Checkout__V1__WebhookRequest, Checkout__V1__WebhookReply)

const struct rpc_method checkout_webhook_methods[] = {
	{ "PayWebhook", pay_webhook_, RPC_WRITE, PAY_WEBHOOK_MAX + 4096 },
	{ 0 },
};

/*
 * What an event is worth: how long to wait before looking, or -1 for nothing. The client that has just paid confirms
 * within a moment; the event is for when it does not.
 */
static const struct {
	const char *type;
	int32_t delay_ms;
	bool settles;
} known[] = {
	{ "payment_intent.amount_capturable_updated", 700, true },
	{ "payment_intent.succeeded", 700, true },
	{ "payment_intent.canceled", 700, false },
	{ "payment_intent.payment_failed", 700, false },
	{ "charge.dispute.created", 0, false },
	{ "charge.refund.updated", 0, false },
	{ "refund.updated", 0, false },
	{ "refund.failed", 0, false },
};

/* One statement, committed by itself: the event is kept before the provider hears 200. */
static enum err_code enqueue(struct call *c, const struct event_row *ev, const char *parked, int32_t delay_ms,
			     bool settles, bool *fresh_r)
{
	struct pg *pg;

	if (call_pg(c, &pg))
		return c->err.code;
	if (checkout_db_event_put(pg, ev, parked, delay_ms, settles, fresh_r, &c->err)) {
		pg_return(pg);
		return c->err.code;
	}
	pg_return(pg);
	return OK;
}

static bool short_enough(const struct pay_event *ev)
{
	return strlen(ev->id) <= 100 && strlen(ev->type) <= 100 && strlen(ev->object_id) <= 100 &&
	       strlen(ev->intent_id) <= 100 && strlen(ev->checkout_id) <= 100;
}

static enum err_code pay_webhook(struct call *c, const Checkout__V1__WebhookRequest *in, Checkout__V1__WebhookReply *out)
{
	struct checkout_svc *svc = c->svc;
	const char *parked = NULL;
	bool settles = false, fresh = false;
	int32_t delay_ms = -1;
	struct pay_event ev;
	enum pay_sig sig = pay_signature_check(in->hdr_signature, in->raw_body.data,
					       in->has_raw_body ? in->raw_body.len : 0, svc->secrets, wall_ms() / 1000);

	if (sig)
		return err_set(&c->err, E_INVALID, "checkout.signature", "webhook signature %s", pay_signature_text(sig));
	if (!pay_json_event(c->arena, (const char *)in->raw_body.data, in->raw_body.len, &ev) || !short_enough(&ev))
		return err_set(&c->err, E_INVALID, "common.invalid_json", "a signed webhook is no event");
	const struct event_row row = { .id = ev.id, .type = ev.type, .object_id = ev.object_id,
				       .intent_id = ev.intent_id, .checkout_id = ev.checkout_id };

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strcmp(known[i].type, ev.type) != 0)
			continue;
		delay_ms = known[i].delay_ms;
		settles = known[i].settles;
	}
	if (ev.livemode != pay_live(svc->pay)) {
		log_msg(LVL_ERROR, "a payment event is of the other mode", LF_S("event_id", ev.id),
			LF_B("livemode", ev.livemode));
		parked = "livemode";
		delay_ms = -1;
	}
	/* What says nothing that we act on is not kept. */
	if ((parked || delay_ms >= 0) && enqueue(c, &row, parked, delay_ms, settles, &fresh))
		return c->err.code;
	if (fresh && delay_ms == 0)
		sweeper_kick(svc->sweeper);
	out->has_received = out->received = true;
	return OK;
}
