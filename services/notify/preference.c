/* What a user wants to hear of: GET and PUT /api/users/me/preferences. */
#include "notify.pb-c.h"
#include "services/notify/notify.h"
#include "services/notify/notify_db.h"

RPC_HANDLER(get_preferences, Notify__V1__PreferencesRequest, Notify__V1__Preferences)
RPC_HANDLER(put_preferences, Notify__V1__Preferences, Notify__V1__Preferences)

const struct rpc_method notify_preference_methods[] = {
	{ "GetPreferences", get_preferences_, RPC_READ, 0 },
	{ "PutPreferences", put_preferences_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

static void fill(const struct preference_row *p, Notify__V1__Preferences *out)
{
	out->has_order_mail = out->has_marketing_mail = out->has_cart_reminder = true;
	out->order_mail = p->order_mail;
	out->marketing_mail = p->marketing_mail;
	out->cart_reminder = p->cart_reminder;
}

static enum err_code get_preferences(struct call *c, const Notify__V1__PreferencesRequest *in,
				     Notify__V1__Preferences *out)
{
	struct preference_row *p = NULL;
	enum err_code code;
	struct pg *pg;

	(void)in;
	if (call_user(c) || call_pg(c, &pg))
		return c->err.code;
	code = notify_db_preference(pg, c->arena, c->who.user_id, &p, &c->err);
	pg_return(pg);
	if (!code)
		fill(p, out);
	return code;
}

struct put_tx {
	struct call *c;
	const Notify__V1__Preferences *in;
	Notify__V1__Preferences *out;
};

static enum err_code put_tx(struct pg *pg, void *arg, struct err *e)
{
	struct put_tx *t = arg;
	struct preference_row *p = NULL;

	if (notify_db_preference(pg, t->c->arena, t->c->who.user_id, &p, e))
		return e->code;
	if (t->in->has_order_mail)
		p->order_mail = t->in->order_mail;
	if (t->in->has_marketing_mail)
		p->marketing_mail = t->in->marketing_mail;
	if (t->in->has_cart_reminder)
		p->cart_reminder = t->in->cart_reminder;
	fill(p, t->out);
	return notify_db_preference_put(pg, t->c->who.user_id, p, e);
}

static enum err_code put_preferences(struct call *c, const Notify__V1__Preferences *in, Notify__V1__Preferences *out)
{
	struct put_tx t = { c, in, out };

	if (call_user(c))
		return c->err.code;
	return call_tx(c, CALL_TX_ONLY, put_tx, &t);
}
