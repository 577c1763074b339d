#include "services/notify/letter.h"

#include <string.h>

#include "common/money.h"
#include "common/rpc_client.h"
#include "common/timeutil.h"
#include "services/notify/mail.h"
#include "services/notify/notify_kind.h"
#include "services/notify/notify_remote.h"

#define VARS_MAX 48
#define LETTER_MAX (1 << 20)

struct draft {
	struct call call;
	struct notify_svc *svc;
	const struct message_row *m;
	const struct notify_kind *kind;
	const char *user_id; /* NULL: a guest */
	const Identity__V1__Contact *contact;
	const Checkout__V1__OrderForMail *order;
	const Identity__V1__Link *link;
	struct template_var var[VARS_MAX];
	size_t n_var;
};

const char *letter_message_id(const struct notify_conf *conf, struct arena *a, const char *dedupe_key)
{
	return arena_printf(a, "%s@%s", dedupe_key, conf->domain);
}

void letter_free(struct letter *l)
{
	buf_free(&l->bytes);
}

/* ---- variables ---- */

static void set(struct draft *d, const char *name, const char *value)
{
	if (d->n_var < VARS_MAX && value && *value)
		d->var[d->n_var++] = (struct template_var){ .name = name, .value = value };
}

static const char *money_text(struct arena *a, const Common__V1__Money *m)
{
	char text[MONEY_TEXT_LEN];
	struct money v;
	struct err e = { 0 };

	if (!m || money_from_pb(m, &v, &e))
		return NULL;
	return arena_strdup(a, money_format(v, text));
}

/* A sum of nothing is left out: no tax, no discount. */
static const char *sum_text(struct arena *a, const Common__V1__Money *m)
{
	struct money v;
	struct err e = { 0 };

	return m && !money_from_pb(m, &v, &e) && money_sign(v) ? money_text(a, m) : NULL;
}

static void line_row(struct arena *a, const Checkout__V1__MailLine *l, struct template_row *row)
{
	struct template_var *v = arena_alloc(a, 5 * sizeof(*v));

	v[0] = (struct template_var){ .name = "title", .value = l->title };
	v[1] = (struct template_var){ .name = "sku", .value = l->sku };
	v[2] = (struct template_var){ .name = "qty", .value = arena_printf(a, "%d", l->qty) };
	v[3] = (struct template_var){ .name = "total", .value = money_text(a, l->total) };
	v[4] = (struct template_var){ .name = "vendor_name", .value = l->vendor_name };
	row->var = v;
	row->n_var = 5;
}

static void order_vars(struct draft *d, struct arena *a)
{
	const Checkout__V1__OrderForMail *o = d->order;
	struct template_row *rows;

	if (!o)
		return;
	rows = arena_alloc(a, (o->n_lines + 1) * sizeof(*rows));
	for (size_t i = 0; i < o->n_lines; i++)
		line_row(a, o->lines[i], &rows[i]);
	if (d->n_var < VARS_MAX && o->n_lines)
		d->var[d->n_var++] = (struct template_var){ .name = "lines", .row = rows, .n_row = o->n_lines };
	set(d, "order_id", o->order_id);
	set(d, "order_number", o->order_number && *o->order_number ? o->order_number : o->order_id);
	set(d, "subtotal", money_text(a, o->subtotal));
	set(d, "shipping", sum_text(a, o->shipping));
	set(d, "tax", sum_text(a, o->tax));
	set(d, "discount", sum_text(a, o->discount));
	set(d, "total", money_text(a, o->total));
	set(d, "ship_to", o->ship_to);
}

static void link_vars(struct draft *d, struct arena *a)
{
	const char *page;
	int64_t hours;

	if (!d->link)
		return;
	page = strcmp(d->kind->name, "password_reset") == 0  ? "reset-password"
	       : strcmp(d->kind->name, "vendor_invite") == 0 ? "join-vendor"
							     : "verify-email";
	hours = (d->link->expires_at - wall_ms() + 3599999) / 3600000;
	set(d, "link", arena_printf(a, "%s/%s?token=%s", d->svc->conf->shop_url, page, d->link->token));
	set(d, "link_hours", arena_printf(a, "%lld", (long long)(hours > 1 ? hours : 1)));
}

/* detail is one of the kind's words (and then a variable of that name), or a vendor's name. */
static void detail_vars(struct draft *d)
{
	const struct message_row *m = d->m;

	if (!m->detail)
		return;
	if (d->kind->detail_words) {
		const char *at = strstr(d->kind->detail_words, m->detail);
		size_t n = strlen(m->detail);

		if (at && (at == d->kind->detail_words || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
			set(d, m->detail, "1");
	} else {
		set(d, "vendor_name", m->detail);
	}
}

static void fill(struct draft *d, struct arena *a)
{
	const struct notify_conf *conf = d->svc->conf;
	const struct message_row *m = d->m;

	set(d, "shop_name", conf->shop_name);
	set(d, "shop_url", conf->shop_url);
	set(d, "name", d->contact ? d->contact->name : d->order ? d->order->name : NULL);
	set(d, "cart_url", arena_printf(a, "%s/cart", conf->shop_url));
	set(d, "account_url", arena_printf(a, "%s/account", conf->shop_url));
	set(d, "vendor_url", arena_printf(a, "%s/vendor", conf->shop_url));
	if (m->order_id)
		set(d, "order_url", arena_printf(a, "%s/orders/%s", conf->shop_url, m->order_id));
	set(d, "vendor_order_id", m->ref_id);
	set(d, "amount", m->amount);
	order_vars(d, a);
	link_vars(d, a);
	detail_vars(d);
}

/* ---- gathering ---- */

/* A peer that says "no such thing" or "gone" will say so again; everything else may pass. */
static bool final(const struct err *e)
{
	return e->code == E_NOT_FOUND || e->code == E_GONE;
}

static enum err_code hopeless(struct letter *out, const char *why)
{
	out->verdict = LETTER_HOPELESS;
	out->why = why;
	return OK;
}

static bool token_ok(const char *s)
{
	size_t n = s ? strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.~") : 0;

	return n && !s[n];
}

/* Each of these leaves out->verdict as it is when all went well. */
static enum err_code ask_order(struct draft *d, struct letter *out)
{
	Checkout__V1__OrderForMail *order = NULL;
	struct call *c = &d->call;

	d->user_id = d->m->user_id;
	if (!(d->kind->needs & NEEDS_ORDER))
		return OK;
	if (!d->m->order_id)
		return hopeless(out, "no_order");
	if (notify_remote_order(c, d->m->order_id, &order))
		return final(&c->err) ? hopeless(out, "no_order") : c->err.code;
	d->order = order;
	if (!d->user_id && order->user_id && *order->user_id)
		d->user_id = order->user_id;
	return OK;
}

static enum err_code ask_person(struct draft *d, struct letter *out)
{
	Identity__V1__Contact *contact = NULL;
	struct call *c = &d->call;

	if (d->user_id) {
		if (notify_remote_contact(c, d->user_id, d->kind->needs & TO_OLD_ADDRESS ? d->m->ref_id : NULL, &contact))
			return final(&c->err) ? hopeless(out, "no_user") : c->err.code;
		d->contact = contact;
	}
	out->to = contact ? contact->email : d->order ? d->order->guest_email : NULL;
	if (d->kind->needs & TO_LINK_ADDRESS)
		return OK;
	return mail_address_ok(out->to) ? OK : hopeless(out, "no_address");
}

/* The last question, because the token may be made only when it is asked for. */
static enum err_code ask_link(struct draft *d, struct letter *out)
{
	Identity__V1__Link *link = NULL;
	struct call *c = &d->call;

	if (!(d->kind->needs & NEEDS_LINK))
		return OK;
	if (notify_remote_link(c, d->m->ref_id, &link))
		return final(&c->err) ? hopeless(out, "link_gone") : c->err.code;
	if (!token_ok(link->token))
		return hopeless(out, "link_gone");
	d->link = link;
	if (link->email && *link->email)
		out->to = link->email;
	return mail_address_ok(out->to) ? OK : hopeless(out, "no_address");
}

static enum err_code wanted(struct draft *d, struct pg *pg, struct arena *a, struct letter *out, struct err *e)
{
	struct preference_row *p = NULL;

	if (d->kind->pref == PREF_ALWAYS || !d->user_id)
		return OK;
	if (notify_db_preference(pg, a, d->user_id, &p, e))
		return e->code;
	if (!(d->kind->pref == PREF_ORDER ? p->order_mail : p->cart_reminder)) {
		out->verdict = LETTER_UNWANTED;
		out->why = "preference";
	}
	return OK;
}

/* ---- rendering ---- */

enum err_code letter_template(struct pg *pg, struct arena *a, const char *kind, const char *lang,
			      const struct template_text **t_r, int64_t *version_r, struct err *e)
{
	struct template_row_db *row = NULL;
	struct template_text *t;
	bool found = false;

	if (notify_db_template(pg, a, kind, lang, &row, &found, e))
		return e->code;
	*version_r = found ? row->version : 0;
	*t_r = template_default(kind, lang);
	if (found) {
		t = arena_alloc(a, sizeof(*t));
		*t = (struct template_text){ .kind = kind, .lang = row->lang, .subject = row->subject, .text = row->text,
					     .html = row->html };
		*t_r = t;
	}
	return OK;
}

static enum err_code choose(struct draft *d, struct pg *pg, struct arena *a, const struct template_text **t_r,
			    struct err *e)
{
	const char *locale = d->contact && d->contact->locale && *d->contact->locale ? d->contact->locale
			     : d->order && d->order->locale && *d->order->locale     ? d->order->locale
										     : d->m->lang;
	char lang[16];
	int64_t version;

	for (size_t i = 0; template_lang(locale, i, lang); i++) {
		if (letter_template(pg, a, d->kind->name, arena_strdup(a, lang), t_r, &version, e))
			return e->code;
		if (*t_r)
			return OK;
	}
	return err_set(e, E_INTERNAL, "common.internal", "no template for %s", d->kind->name);
}

static enum err_code render(struct draft *d, const struct template_text *t, struct arena *a, struct letter *out,
			    struct err *e)
{
	const struct template_row vars = { .var = d->var, .n_var = d->n_var };
	struct buf subject, text, html;
	struct mail mail = {
		.from_name = d->svc->conf->from_name,
		.from = d->svc->conf->from,
		.to_name = d->contact ? d->contact->name : d->order ? d->order->name : NULL,
		.to = out->to,
		.message_id = letter_message_id(d->svc->conf, a, d->m->dedupe_key),
		.lang = t->lang,
		.date_ms = wall_ms(),
	};
	enum err_code code;

	buf_init(&subject, 2000);
	buf_init(&text, LETTER_MAX / 4);
	buf_init(&html, LETTER_MAX / 4);
	code = template_render(t->subject, &vars, INTO_LINE, &subject, e);
	if (!code)
		code = template_render(t->text, &vars, INTO_TEXT, &text, e);
	if (!code)
		code = template_render(t->html, &vars, INTO_HTML, &html, e);
	mail.subject = buf_cstr(&subject);
	mail.text = buf_cstr(&text);
	mail.html = buf_cstr(&html);
	if (!code)
		code = mail_compose(&mail, &out->bytes, e);
	buf_free(&subject);
	buf_free(&text);
	buf_free(&html);
	return code;
}

static enum err_code db_step(struct draft *d, struct arena *a, struct letter *out, const struct template_text **t_r,
			     struct err *e)
{
	struct pg *pg;
	enum err_code code;

	if (pg_borrow(d->svc->pool, mono_ms() + 5000, &pg, e))
		return e->code;
	code = t_r ? choose(d, pg, a, t_r, e) : wanted(d, pg, a, out, e);
	pg_return(pg);
	return code;
}

static enum err_code gather(struct draft *d, struct arena *a, struct letter *out, struct err *e)
{
	if (ask_order(d, out)) {
		err_copy(e, &d->call.err);
		return e->code;
	}
	if (out->verdict == LETTER_READY && db_step(d, a, out, NULL, e))
		return e->code;
	if (out->verdict == LETTER_READY && (ask_person(d, out) || (out->verdict == LETTER_READY && ask_link(d, out)))) {
		err_copy(e, &d->call.err);
		return e->code;
	}
	return OK;
}

enum err_code letter_write(struct notify_svc *svc, struct arena *a, const struct message_row *m, struct letter *out,
			   struct err *e)
{
	struct draft *d = arena_alloc(a, sizeof(*d));
	const struct template_text *t = NULL;

	*out = (struct letter){ .verdict = LETTER_READY };
	buf_init(&out->bytes, LETTER_MAX);
	d->svc = svc;
	d->m = m;
	d->kind = notify_kind_find(m->kind);
	if (!d->kind)
		return hopeless(out, "kind_unknown");
	call_init_service(&d->call, "notify", a, 15000);
	d->call.svc = svc;
	if (gather(d, a, out, e))
		return e->code;
	if (out->verdict != LETTER_READY)
		return OK;
	if (db_step(d, a, out, &t, e))
		return e->code;
	fill(d, a);
	return render(d, t, a, out, e);
}
