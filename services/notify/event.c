/*
 * What notify hears. Each handler queues rows in the transaction that remembers the event, so a mail is queued once
 * however often the event comes; the mail's own key catches two events that tell the same.
 */
#include <string.h>

#include "common/money.h"
#include "events.pb-c.h"
#include "services/notify/event_json.h"
#include "services/notify/notify.h"
#include "services/notify/notify_db.h"
#include "services/notify/notify_kind.h"

#define PAYLOAD_MAX (256 * 1024)

static bool given(const char *s)
{
	return s && *s;
}

static const char *or_null(const char *s)
{
	return given(s) ? s : NULL;
}

/* m->kind and m->ref_id are set; the key is made here. */
static enum err_code queue(struct pg *pg, struct arena *a, struct message_new *m, struct err *e)
{
	char id[ID_LEN];
	bool fresh;

	m->dedupe_key = arena_printf(a, "%s.%s", m->ref_id, m->kind);
	return notify_db_message_put(pg, m, id, &fresh, e);
}

/* One delivery for each active webhook that listens to this type. */
static enum err_code tell(struct pg *pg, struct arena *a, const struct inbox_event *ev, struct err *e)
{
	struct webhook_row *hooks = NULL;
	const char *payload = NULL;
	struct buf json;
	size_t n = 0;

	if (notify_db_webhooks_active(pg, a, &hooks, &n, e))
		return e->code;
	buf_init(&json, PAYLOAD_MAX);
	for (size_t i = 0; i < n; i++) {
		if (!event_words_match(hooks[i].events, ev->type))
			continue;
		if (!payload) {
			event_json(ev, &json);
			payload = buf_cstr(&json);
		}
		if (buf_over(&json))
			break; /* cannot be told whole; better not at all */
		if (notify_db_hook_put(pg, hooks[i].id, ev->event_id, ev->type, payload, e))
			break;
	}
	buf_free(&json);
	return e->code;
}

static enum err_code on_any(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc, struct err *e)
{
	(void)svc;
	return tell(pg, a, ev, e);
}

/* ---- orders ---- */

static const char *amount_text(struct arena *a, const Common__V1__Money *m)
{
	char text[MONEY_TEXT_LEN];
	struct money v;
	struct err e = { 0 };

	return m && !money_from_pb(m, &v, &e) && money_sign(v) ? arena_strdup(a, money_format(v, text)) : NULL;
}

static enum err_code on_order_placed(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
				     struct err *e)
{
	const Events__V1__OrderPlaced *ord = (const void *)ev->msg;
	struct message_new m = { .kind = "order_placed", .user_id = or_null(ord->user_id), .order_id = ord->order_id,
				 .ref_id = ord->order_id, .lang = ord->locale };

	(void)svc;
	if (given(ord->order_id) && queue(pg, a, &m, e))
		return e->code;
	return tell(pg, a, ev, e);
}

static enum err_code on_order_changed(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
				      struct err *e)
{
	const Events__V1__OrderChanged *ord = (const void *)ev->msg;
	struct message_new m = { .user_id = or_null(ord->user_id), .order_id = ord->order_id, .ref_id = ord->order_id };

	(void)svc;
	if (strcmp(ev->type, "order.refunded") == 0) {
		m.kind = "order_refunded";
		m.amount = amount_text(a, ord->amount);
		if (given(ord->refund_id)) /* an order may be refunded in parts */
			m.ref_id = ord->refund_id;
	} else if (strcmp(ev->type, "order.cancelled") == 0) {
		m.kind = "order_cancelled";
		m.amount = amount_text(a, ord->amount);
	} else {
		m.kind = "order_delivered";
	}
	if (given(ord->order_id) && queue(pg, a, &m, e))
		return e->code;
	return tell(pg, a, ev, e);
}

/* The vendor's owner hears of a new order; the buyer of a parcel on its way. */
static enum err_code on_vendor_order(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
				     struct err *e)
{
	const Events__V1__VendorOrderChanged *vo = (const void *)ev->msg;
	struct message_new m = { .ref_id = vo->vendor_order_id };
	struct vendor_row *vendor = NULL;
	bool found = false;

	(void)svc;
	if (!given(vo->vendor_order_id))
		return OK;
	if (strcmp(ev->type, "vendor_order.shipped") == 0) {
		m.kind = "order_shipped";
		m.order_id = or_null(vo->order_id); /* whose it is, the order tells */
	} else if (strcmp(ev->type, "vendor_order.placed") == 0 && given(vo->vendor_id)) {
		if (notify_db_vendor(pg, a, vo->vendor_id, &vendor, &found, e))
			return e->code;
		if (found && vendor->owner_user_id) {
			m.kind = "vendor_order";
			m.user_id = vendor->owner_user_id;
			m.detail = vendor->name;
		}
	}
	if (m.kind && queue(pg, a, &m, e))
		return e->code;
	return tell(pg, a, ev, e);
}

static enum err_code on_checkout_ended(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
				       struct err *e)
{
	const Events__V1__CheckoutEnded *co = (const void *)ev->msg;
	struct message_new m = { .user_id = or_null(co->user_id), .ref_id = co->checkout_id };

	(void)svc;
	if (strcmp(ev->type, "checkout.payment_failed") == 0)
		m.kind = "payment_failed";
	else if (strcmp(ev->type, "checkout.refunded") == 0)
		m.kind = "checkout_refunded";
	if (m.kind && m.user_id && given(m.ref_id) && queue(pg, a, &m, e)) /* a guest is still on the page */
		return e->code;
	return tell(pg, a, ev, e);
}

/* ---- people ---- */

static enum err_code on_link(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc, struct err *e)
{
	const Events__V1__UserLinkRequested *l = (const void *)ev->msg;
	struct message_new m = { .user_id = l->user_id, .ref_id = l->link_id };

	(void)svc;
	m.kind = strcmp(ev->type, "user.password_reset_requested") == 0 ? "password_reset" : "verify_email";
	return given(l->user_id) && given(l->link_id) ? queue(pg, a, &m, e) : OK;
}

static enum err_code on_email_change(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc,
				     struct err *e)
{
	const Events__V1__UserEmailChange *u = (const void *)ev->msg;
	struct message_new m = { .user_id = u->user_id, .ref_id = u->link_id };

	(void)svc;
	m.kind = strcmp(ev->type, "user.email_changed") == 0 ? "email_changed" : "change_email";
	return given(u->user_id) && given(u->link_id) ? queue(pg, a, &m, e) : OK;
}

static enum err_code on_invited(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc, struct err *e)
{
	const Events__V1__VendorMemberInvited *in = (const void *)ev->msg;
	struct message_new m = { .kind = "vendor_invite", .ref_id = in->invitation_id };
	struct vendor_row *vendor = NULL;
	bool found = false;

	(void)svc;
	if (!given(in->vendor_id) || !given(in->invitation_id))
		return OK;
	if (notify_db_vendor(pg, a, in->vendor_id, &vendor, &found, e))
		return e->code;
	m.detail = found ? vendor->name : NULL;
	return queue(pg, a, &m, e);
}

static enum err_code on_security(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc, struct err *e)
{
	const Events__V1__UserSecurityChanged *s = (const void *)ev->msg;
	struct message_new m = { .kind = "security_changed", .user_id = s->user_id, .ref_id = ev->event_id,
				 .detail = s->what };

	(void)svc;
	return given(s->user_id) ? queue(pg, a, &m, e) : OK;
}

static enum err_code on_erased(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc, struct err *e)
{
	const Events__V1__UserErased *u = (const void *)ev->msg;

	(void)a;
	(void)svc;
	return given(u->user_id) ? notify_db_erase_user(pg, u->user_id, e) : OK;
}

static enum err_code on_abandoned(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc, struct err *e)
{
	const Events__V1__CartAbandoned *cart = (const void *)ev->msg;
	struct message_new m = { .kind = "cart_reminder", .user_id = cart->user_id, .ref_id = ev->event_id };

	(void)svc;
	return given(cart->user_id) ? queue(pg, a, &m, e) : OK;
}

/* ---- vendors ---- */

static enum err_code on_vendor(struct pg *pg, struct arena *a, const struct inbox_event *ev, void *svc, struct err *e)
{
	const Events__V1__VendorChanged *v = (const void *)ev->msg;
	struct message_new m = { .user_id = or_null(v->owner_user_id), .ref_id = ev->event_id, .detail = or_null(v->name) };
	const char *kind = strchr(ev->type, '.') + 1;

	(void)svc;
	if (!given(v->vendor_id))
		return OK;
	if (notify_db_vendor_put(pg, v->vendor_id, or_null(v->owner_user_id), or_null(v->name), or_null(v->status), e))
		return e->code;
	kind = arena_printf(a, "vendor_%s", kind);
	if (notify_kind_find(kind)) {
		m.kind = kind;
		if (m.user_id && queue(pg, a, &m, e))
			return e->code;
	}
	return tell(pg, a, ev, e);
}

#define FROM_CHECKOUT(type, msg, fn) { "checkout", type, &events__v1__##msg##__descriptor, fn, NULL }
#define FROM_IDENTITY(type, msg, fn) { "identity", type, &events__v1__##msg##__descriptor, fn, NULL }
#define FROM_CATALOG(type, msg, fn) { "catalog", type, &events__v1__##msg##__descriptor, fn, NULL }

const struct inbox_handler notify_inbox[] = {
	FROM_CHECKOUT("order.placed", order_placed, on_order_placed),
	FROM_CHECKOUT("order.cancelled", order_changed, on_order_changed),
	FROM_CHECKOUT("order.refunded", order_changed, on_order_changed),
	FROM_CHECKOUT("order.delivered", order_changed, on_order_changed),
	FROM_CHECKOUT("vendor_order.placed", vendor_order_changed, on_vendor_order),
	FROM_CHECKOUT("vendor_order.shipped", vendor_order_changed, on_vendor_order),
	FROM_CHECKOUT("vendor_order.delivered", vendor_order_changed, on_vendor_order),
	FROM_CHECKOUT("checkout.expired", checkout_ended, on_checkout_ended),
	FROM_CHECKOUT("checkout.payment_failed", checkout_ended, on_checkout_ended),
	FROM_CHECKOUT("checkout.refunded", checkout_ended, on_checkout_ended),
	FROM_IDENTITY("user.verification_requested", user_link_requested, on_link),
	FROM_IDENTITY("user.password_reset_requested", user_link_requested, on_link),
	FROM_IDENTITY("user.email_change_requested", user_email_change, on_email_change),
	FROM_IDENTITY("user.email_changed", user_email_change, on_email_change),
	FROM_IDENTITY("vendor_member.invited", vendor_member_invited, on_invited),
	FROM_IDENTITY("user.security_changed", user_security_changed, on_security),
	FROM_IDENTITY("user.erased", user_erased, on_erased),
	FROM_CATALOG("vendor.applied", vendor_changed, on_vendor),
	FROM_CATALOG("vendor.approved", vendor_changed, on_vendor),
	FROM_CATALOG("vendor.rejected", vendor_changed, on_vendor),
	FROM_CATALOG("vendor.suspended", vendor_changed, on_vendor),
	FROM_CATALOG("vendor.changed", vendor_changed, on_vendor),
	FROM_CATALOG("product.changed", product_changed, on_any),
	FROM_CATALOG("review.created", review_changed, on_any),
	FROM_CATALOG("review.moderated", review_changed, on_any),
	{ "inventory", "stock.changed", &events__v1__stock_changed__descriptor, on_any, NULL },
	{ "cart", "cart.abandoned", &events__v1__cart_abandoned__descriptor, on_abandoned, NULL },
	{ 0 },
};
