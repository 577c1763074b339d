#include "pages.h"
#include "intents.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_MAX (256 * 1024)

static const char head[] =
	"<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
	"<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>Payment "
	"sandbox</title><style>"
	":root{color-scheme:light "
	"dark;--bg:#f4f2ee;--card:#fff;--ink:#1f2430;--dim:#6b7280;--line:#e3dfd8;--go:#1b6b4c}"
	"@media(prefers-color-scheme:dark){:root{--bg:#16181d;--card:#20232b;--ink:#eceff4;--dim:#"
	"9aa3b2;--line:#343945;"
	"--go:#3aa57a}}"
	"*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;"
	"background:var(--bg);"
	"color:var(--ink);font:16px/1.5 system-ui,sans-serif;padding:1rem}"
	"main{background:var(--card);border:1px solid "
	"var(--line);border-radius:14px;padding:2rem;width:min(30rem,100%);"
	"box-shadow:0 8px 30px "
	"rgba(0,0,0,.06)}h1{font-size:1.05rem;font-weight:600;margin:0;color:var(--dim)}"
	".sum{font-size:2.2rem;font-weight:700;margin:.2rem 0 0}.dim{color:var(--dim);margin:.2rem "
	"0 1.2rem}"
	"label{display:flex;gap:.7rem;align-items:center;border:1px solid "
	"var(--line);border-radius:10px;"
	"padding:.65rem .8rem;margin:.4rem "
	"0;cursor:pointer}label:has(input:checked){border-color:var(--go)}"
	"label span{flex:1}label small{color:var(--dim);font-variant-numeric:tabular-nums}"
	"button,a.b{display:block;width:100%;border:0;border-radius:10px;padding:.8rem;margin-top:."
	"8rem;font:inherit;"
	"font-weight:600;background:var(--go);color:#fff;cursor:pointer;text-align:center;text-"
	"decoration:none}"
	"button.no{background:transparent;color:var(--ink);border:1px solid var(--line)}"
	".note{border-left:3px solid var(--go);padding:.5rem .8rem;margin:1rem "
	"0;background:var(--bg);border-radius:6px}"
	".bad{border-color:#b4372f}table{width:100%;border-collapse:collapse}td{padding:.35rem 0;"
	"border-bottom:1px solid "
	"var(--line)}td:last-child{text-align:right}a{color:var(--go)}</style><main>";
static const char tail[] = "</main></html>";

static void amount_text(struct text *t, int64_t minor, const char *currency)
{
	static const char *const none = "jpy krw", *const three = "kwd bhd tnd jod omr";
	int digits = strstr(none, currency) ? 0 : strstr(three, currency) ? 3 : 2;
	long long unit = digits == 0 ? 1 : digits == 3 ? 1000 : 100;
	size_t i;

	if (digits)
		text_fmt(t, "%lld.%0*lld ", (long long)minor / unit, digits,
			(long long)minor % unit);
	else
		text_fmt(t, "%lld ", (long long)minor);
	for (i = 0; currency[i]; i++)
		text_fmt(t, "%c", toupper((unsigned char)currency[i]));
}

static void finish(struct text *t, int status, struct reply *r)
{
	text_str(t, tail);
	if (t->over || !t->data) {
		text_free(t);
		reply_json(r, 500, NULL);
		return;
	}
	reply_text(r, status, "text/html; charset=utf-8", t->data, t->len);
}

static void title(struct text *t, const struct intent *pi, const char *what)
{
	text_str(t, head);
	text_fmt(t, "<h1>%s</h1><p class=\"sum\">", what);
	amount_text(t, pi->amount, pi->currency);
	text_str(t, "</p><p class=\"dim\">");
	text_html(t, pi->description ? pi->description : pi->id);
	text_str(t, "</p>");
}

/* Only a web address is followed or linked: a return address comes from outside. */
static const char *safe_return(const struct intent *pi)
{
	const char *u = pi->return_url;

	return u && (!strncmp(u, "http://", 7) || !strncmp(u, "https://", 8)) ? u : NULL;
}

/* ---- the form and the outcome ---- */

static void cards_form(struct text *t, const struct intent *pi)
{
	const struct card *c;
	size_t i;

	if (pi->last_error) {
		text_str(t, "<p class=\"note bad\">");
		text_html(t, json_string_value(json_object_get(pi->last_error, "message")));
		text_str(t, "</p>");
	}
	text_fmt(t,
		"<form method=\"post\" action=\"/pay/%s\"><input type=\"hidden\" "
		"name=\"client_secret\" value=\"%s\">",
		pi->id, pi->secret);
	for (i = 0; (c = card_at(i)); i++) {
		if (!c->on_page)
			continue;
		text_fmt(t,
			"<label><input type=\"radio\" name=\"payment_method\" "
			"value=\"%s\"%s><span>",
			c->method, i ? "" : " checked");
		text_html(t, c->label);
		text_fmt(t, "</span><small>•••• %s</small></label>", c->last4);
	}
	text_str(t, "<button>Pay</button></form><p class=\"dim\">A sandbox: no money moves.</p>");
}

static void outcome(struct text *t, const struct intent *pi)
{
	static const char *const said[] = {
		[INTENT_PROCESSING] = "The payment is being processed.",
		[INTENT_REQUIRES_CAPTURE] = "The payment is authorised; the shop will collect it.",
		[INTENT_SUCCEEDED] = "The payment succeeded.",
		[INTENT_CANCELED] = "This payment was cancelled.",
	};

	text_fmt(t, "<p class=\"note\">%s</p>", said[pi->status]);
	if (safe_return(pi)) {
		text_str(t, "<a class=\"b\" href=\"");
		text_html(t, safe_return(pi));
		text_str(t, "\">Back to the shop</a>");
	}
}

static void show_pay(const struct intent *pi, struct reply *r)
{
	struct text t = TEXT_INIT(PAGE_MAX);

	title(&t, pi, "Pay with a test card");
	if (pi->status == INTENT_REQUIRES_ACTION)
		text_fmt(&t,
			"<p class=\"note\">The bank wants to ask you something.</p>"
			"<a class=\"b\" href=\"/3ds/%s?client_secret=%s\">Continue</a>",
			pi->id, pi->secret);
	else if (pi->status == INTENT_REQUIRES_PAYMENT_METHOD ||
		 pi->status == INTENT_REQUIRES_CONFIRMATION)
		cards_form(&t, pi);
	else
		outcome(&t, pi);
	finish(&t, 200, r);
}

static void show_3ds(const struct intent *pi, struct reply *r)
{
	struct text t = TEXT_INIT(PAGE_MAX);

	title(&t, pi, "Your bank: is this you?");
	if (pi->status == INTENT_REQUIRES_ACTION)
		text_fmt(&t,
			"<form method=\"post\" action=\"/3ds/%s\"><input type=\"hidden\" "
			"name=\"client_secret\" "
			"value=\"%s\"><button name=\"outcome\" value=\"succeed\">Yes, pay</button>"
			"<button class=\"no\" name=\"outcome\" value=\"fail\">No, "
			"stop</button></form>",
			pi->id, pi->secret);
	else
		text_fmt(&t,
			"<p class=\"note\">There is nothing to answer.</p><a class=\"b\" "
			"href=\"/pay/%s?client_secret=%s\">Back</a>",
			pi->id, pi->secret);
	finish(&t, 200, r);
}

static void show_index(const struct sandbox *sb, struct reply *r)
{
	struct text t = TEXT_INIT(PAGE_MAX);
	uint64_t seq, shown = 0;

	text_str(&t, head);
	text_str(&t, "<h1>Payment sandbox</h1><p class=\"dim\">The latest payments. No money moves "
		     "here.</p><table>");
	for (seq = table_end(&sb->intents); seq-- > sb->intents.first && shown < 20; shown++) {
		const struct intent *pi = (struct intent *)table_at(&sb->intents, seq);

		text_fmt(&t, "<tr><td><a href=\"/pay/%s?client_secret=%s\">", pi->id, pi->secret);
		amount_text(&t, pi->amount, pi->currency);
		text_fmt(&t, "</a><td>%s", intent_status_name(pi->status));
	}
	text_str(&t, shown ? "</table>" : "<tr><td>None yet.<td></table>");
	finish(&t, 200, r);
}

/* ---- posting ---- */

/* Where the browser goes after an answer: the bank, the shop, or the same page again. */
static void go_on(const struct intent *pi, struct reply *r)
{
	const char *back = safe_return(pi);
	bool retry = pi->status == INTENT_REQUIRES_PAYMENT_METHOD;

	reply_text(r, 303, "text/plain", strdup(""), 0);
	if (pi->status == INTENT_REQUIRES_ACTION)
		snprintf(r->location, sizeof(r->location), "/3ds/%s?client_secret=%s", pi->id,
			pi->secret);
	else if (back && !retry && strlen(back) < 400)
		snprintf(r->location, sizeof(r->location),
			"%s%cpayment_intent=%s&payment_intent_client_secret=%s&redirect_status=%s",
			back, strchr(back, '?') ? '&' : '?', pi->id, pi->secret,
			pi->status == INTENT_CANCELED ? "failed" : "succeeded");
	else
		snprintf(r->location, sizeof(r->location), "/pay/%s?client_secret=%s", pi->id,
			pi->secret);
}

static void page_locked(struct sandbox *sb, struct request *q, bool bank, struct reply *r)
{
	struct intent *pi = intent_of_request(sb, q, r);
	struct reply inner = { .status = 0 };

	if (!pi)
		return;
	if (!strcmp(q->method, "GET")) {
		if (bank)
			show_3ds(pi, r);
		else
			show_pay(pi, r);
		return;
	}
	if (bank)
		intent_authenticate(sb, q, &inner);
	else
		intent_confirm_known(sb, pi, q, &inner);
	reply_free(&inner);
	go_on(pi, r);
}

bool page_run(struct sandbox *sb, struct request *q, struct reply *r)
{
	bool bank = !strncmp(q->path, "/3ds/", 5), pay = !strncmp(q->path, "/pay/", 5),
	     index = !strcmp(q->path, "/");

	if (!bank && !pay && !index)
		return false;
	if (strcmp(q->method, "GET") && (index || strcmp(q->method, "POST")))
		return false;
	q->op = OP_PAGE;
	q->publishable = true;
	if (!index)
		snprintf(q->id, sizeof(q->id), "%s", q->path + 5);
	sandbox_lock(sb);
	sb->stats.requests[OP_PAGE]++;
	if (index)
		show_index(sb, r);
	else
		page_locked(sb, q, bank, r);
	sandbox_unlock(sb);
	return true;
}
