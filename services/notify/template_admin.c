/* Administrators and the words of mails: list, read, write, take back, look at. */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "notify.pb-c.h"
#include "services/notify/letter.h"
#include "services/notify/notify.h"
#include "services/notify/notify_kind.h"
#include "services/notify/template.h"

RPC_HANDLER(list_templates, Notify__V1__ListTemplatesRequest, Notify__V1__ListTemplatesReply)
RPC_HANDLER(get_template, Notify__V1__TemplateRequest, Notify__V1__Template)
RPC_HANDLER(put_template, Notify__V1__PutTemplateRequest, Notify__V1__Template)
RPC_HANDLER(reset_template, Notify__V1__TemplateRequest, Notify__V1__Template)
RPC_HANDLER(preview_template, Notify__V1__PreviewTemplateRequest, Notify__V1__PreviewTemplateReply)

const struct rpc_method notify_template_methods[] = {
	{ "ListTemplates", list_templates_, RPC_READ, 0 },
	{ "GetTemplate", get_template_, RPC_READ, 0 },
	{ "PutTemplate", put_template_, RPC_WRITE | RPC_KEYED, 0 },
	{ "ResetTemplate", reset_template_, RPC_WRITE | RPC_KEYED, 0 },
	{ "PreviewTemplate", preview_template_, RPC_READ, 0 },
	{ 0 },
};

/* ---- filling replies ---- */

static void words(struct arena *a, const char *list, char ***out, size_t *n_out)
{
	char *copy = arena_strdup(a, list), **v;
	size_t n = 0, max = 1;

	for (const char *p = list; *p; p++)
		max += *p == ' ';
	v = arena_alloc(a, max * sizeof(*v));
	for (char *w = copy; w && *w;) {
		char *blank = strchr(w, ' ');

		v[n++] = w;
		if (blank)
			*blank++ = '\0';
		w = blank;
	}
	*out = v;
	*n_out = n;
}

/* row NULL: what came with the program. */
static void fill(struct call *c, const char *kind, const char *lang, const struct template_row_db *row, bool whole,
		 Notify__V1__Template *out)
{
	const struct template_text *d = template_default(kind, lang);
	const struct notify_kind *k = notify_kind_find(kind);

	out->kind = (char *)kind;
	out->lang = (char *)lang;
	out->subject = (char *)(row ? row->subject : d->subject);
	if (whole) {
		out->text = (char *)(row ? row->text : d->text);
		out->html = (char *)(row ? row->html : d->html);
		out->hdr_etag = arena_printf(c->arena, "%s.%s-%lld", kind, lang, row ? (long long)row->version : 0LL);
	}
	if (k) {
		words(c->arena, k->vars, &out->variables, &out->n_variables);
		out->about = (char *)k->about;
	}
	out->has_custom = out->has_version = true;
	out->custom = row != NULL;
	out->version = row ? row->version : 0;
	if (row) {
		out->updated_by = (char *)row->updated_by;
		out->has_updated_at = true;
		out->updated_at = row->updated_at;
	}
}

static bool shown(const Notify__V1__ListTemplatesRequest *in, const char *kind, const char *lang)
{
	return (!in->kind || !*in->kind || strcmp(in->kind, kind) == 0) &&
	       (!in->lang || !*in->lang || strcmp(in->lang, lang) == 0);
}

static void add(struct call *c, const char *kind, const char *lang, const struct template_row_db *row,
		Notify__V1__ListTemplatesReply *out)
{
	Notify__V1__Template *t = arena_alloc(c->arena, sizeof(*t));

	notify__v1__template__init(t);
	fill(c, kind, lang, row, false, t);
	out->data[out->n_data++] = t;
}

static enum err_code list_templates(struct call *c, const Notify__V1__ListTemplatesRequest *in,
				    Notify__V1__ListTemplatesReply *out)
{
	struct template_row_db *rows = NULL;
	const struct template_text *d;
	size_t n = 0, defaults = 0;
	enum err_code code;
	struct pg *pg;

	if (call_perm(c, "admin.notify") || call_pg(c, &pg))
		return c->err.code;
	code = notify_db_templates(pg, c->arena, &rows, &n, &c->err);
	pg_return(pg);
	if (code)
		return code;
	while (template_default_at(defaults))
		defaults++;
	out->data = arena_alloc(c->arena, (n + defaults) * sizeof(*out->data));
	for (size_t i = 0; i < n; i++)
		if (shown(in, rows[i].kind, rows[i].lang))
			add(c, rows[i].kind, rows[i].lang, &rows[i], out);
	for (size_t i = 0; (d = template_default_at(i)); i++) {
		bool replaced = false;

		for (size_t j = 0; j < n; j++)
			replaced = replaced || (strcmp(rows[j].kind, d->kind) == 0 && strcmp(rows[j].lang, d->lang) == 0);
		if (!replaced && shown(in, d->kind, d->lang))
			add(c, d->kind, d->lang, NULL, out);
	}
	return OK;
}

static enum err_code check_name(struct call *c, const char *kind, const char *lang)
{
	check_language(&c->err, "lang", lang);
	if (lang && strlen(lang) > 15)
		err_detail(&c->err, "lang", NULL, "is too long");
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "lang");
	return notify_kind_find(kind) ? OK : err_set(&c->err, E_NOT_FOUND, "notify.template_unknown", "%s", kind ? kind : "");
}

static enum err_code read_one(struct call *c, struct pg *pg, const char *kind, const char *lang,
			      struct template_row_db **row_r, struct err *e)
{
	bool found = false;

	*row_r = NULL;
	if (notify_db_template(pg, c->arena, kind, lang, row_r, &found, e))
		return e->code;
	if (!found)
		*row_r = NULL;
	if (!found && !template_default(kind, lang))
		return err_set(e, E_NOT_FOUND, "notify.template_unknown", "%s %s", kind, lang);
	return OK;
}

static enum err_code get_template(struct call *c, const Notify__V1__TemplateRequest *in, Notify__V1__Template *out)
{
	struct template_row_db *row = NULL;
	enum err_code code;
	struct pg *pg;

	if (call_perm(c, "admin.notify") || check_name(c, in->kind, in->lang) || call_pg(c, &pg))
		return c->err.code;
	code = read_one(c, pg, in->kind, in->lang, &row, &c->err);
	pg_return(pg);
	if (!code)
		fill(c, in->kind, in->lang, row, true, out);
	return code;
}

/* ---- writing ---- */

static enum err_code check_texts(struct call *c, const char *kind, const char *subject, const char *text,
				 const char *html)
{
	const char *known = notify_kind_find(kind)->vars;
	struct err ignored = { 0 };

	check_text(&c->err, "subject", subject, 1, TEMPLATE_SUBJECT_MAX);
	check_longtext(&c->err, "text", text, 1, TEMPLATE_BODY_MAX);
	check_longtext(&c->err, "html", html, 1, TEMPLATE_BODY_MAX);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "template");
	/* All three are looked at, so that an administrator sees every mistake at once. */
	if (template_check(subject, known, "subject", &c->err))
		ignored.code = E_INVALID;
	if (template_check(text, known, "text", &c->err))
		ignored.code = E_INVALID;
	if (template_check(html, known, "html", &c->err))
		ignored.code = E_INVALID;
	return ignored.code;
}

/* "<kind>.<lang>-<version>"; -1: none given; E_PRECOND when it is another template's. */
static enum err_code expected(struct call *c, const Notify__V1__PutTemplateRequest *in, int64_t *v_r)
{
	const char *head = arena_printf(c->arena, "%s.%s-", in->kind, in->lang), *tag = in->hdr_if_match;
	char *end;

	*v_r = -1;
	if (!tag)
		return OK;
	if (strncmp(tag, head, strlen(head)) == 0) {
		*v_r = strtoll(tag + strlen(head), &end, 10);
		if (*v_r >= 0 && !*end)
			return OK;
	}
	return err_set(&c->err, E_PRECOND, "notify.template_changed", "If-Match %s", tag);
}

struct put_tx {
	struct call *c;
	const struct template_row_db *row;
	int64_t expected;
	Notify__V1__Template *out;
};

static enum err_code put_tx(struct pg *pg, void *arg, struct err *e)
{
	struct put_tx *t = arg;
	struct template_row_db *stored = NULL;
	bool done = false;

	if (notify_db_template_put(pg, t->c->arena, t->row, t->expected, &stored, &done, e))
		return e->code;
	if (!done)
		return err_set(e, E_PRECOND, "notify.template_changed", "%s %s", t->row->kind, t->row->lang);
	fill(t->c, t->row->kind, t->row->lang, stored, true, t->out);
	return OK;
}

static enum err_code put_template(struct call *c, const Notify__V1__PutTemplateRequest *in, Notify__V1__Template *out)
{
	struct template_row_db row = { .kind = in->kind, .lang = in->lang, .subject = in->subject, .text = in->text,
				       .html = in->html };
	struct put_tx t = { .c = c, .row = &row, .out = out };

	if (call_perm(c, "admin.notify") || check_name(c, in->kind, in->lang) ||
	    check_texts(c, in->kind, in->subject, in->text, in->html) || expected(c, in, &t.expected))
		return c->err.code;
	row.updated_by = call_actor(c);
	return call_tx(c, CALL_TX_ONLY, put_tx, &t);
}

struct reset_tx {
	struct call *c;
	const Notify__V1__TemplateRequest *in;
	Notify__V1__Template *out;
};

static enum err_code reset_tx(struct pg *pg, void *arg, struct err *e)
{
	struct reset_tx *t = arg;
	struct template_row_db *row = NULL;

	if (read_one(t->c, pg, t->in->kind, t->in->lang, &row, e) ||
	    notify_db_template_delete(pg, t->in->kind, t->in->lang, e))
		return e->code;
	if (template_default(t->in->kind, t->in->lang))
		fill(t->c, t->in->kind, t->in->lang, NULL, true, t->out);
	else
		fill(t->c, t->in->kind, t->in->lang, row, true, t->out); /* it was the only one: shown once more */
	return OK;
}

static enum err_code reset_template(struct call *c, const Notify__V1__TemplateRequest *in, Notify__V1__Template *out)
{
	struct reset_tx t = { c, in, out };

	if (call_perm(c, "admin.notify") || check_name(c, in->kind, in->lang))
		return c->err.code;
	return call_tx(c, CALL_TX_ONLY, reset_tx, &t);
}

/* ---- preview ---- */

/* Made-up values for every variable, and two lines for a list. */
static void example(struct template_row *vars)
{
	static const struct template_var line[] = {
		{ .name = "title", .value = "Teapot, 1 l" }, { .name = "sku", .value = "TEA-1" },
		{ .name = "qty", .value = "2" }, { .name = "total", .value = "59.80 EUR" },
		{ .name = "vendor_name", .value = "Clay & Co" },
	};
	static const struct template_row rows[] = { { line, 5 }, { line, 5 } };
	static const struct template_var values[] = {
		{ .name = "shop_name", .value = "Souk" }, { .name = "shop_url", .value = "https://shop.example" },
		{ .name = "name", .value = "Ada <Example>" }, { .name = "order_id", .value = "ord_example" },
		{ .name = "order_number", .value = "1001" }, { .name = "order_url", .value = "https://shop.example/orders/1" },
		{ .name = "subtotal", .value = "119.60 EUR" }, { .name = "shipping", .value = "4.90 EUR" },
		{ .name = "tax", .value = "19.88 EUR" }, { .name = "total", .value = "124.50 EUR" },
		{ .name = "amount", .value = "59.80 EUR" }, { .name = "ship_to", .value = "Ada Example\n1 Example Street" },
		{ .name = "cart_url", .value = "https://shop.example/cart" },
		{ .name = "account_url", .value = "https://shop.example/account" },
		{ .name = "vendor_url", .value = "https://shop.example/vendor" },
		{ .name = "link", .value = "https://shop.example/verify-email?token=example" },
		{ .name = "link_hours", .value = "24" }, { .name = "vendor_name", .value = "Clay & Co" },
		{ .name = "vendor_order_id", .value = "vor_example" }, { .name = "password_changed", .value = "1" },
		{ .name = "lines", .row = rows, .n_row = 2 },
	};

	vars->var = values;
	vars->n_var = sizeof(values) / sizeof(*values);
}

static enum err_code render(struct call *c, const char *src, const struct template_row *vars, enum template_into into,
			    char **out)
{
	struct buf b;

	buf_init(&b, 4 * TEMPLATE_BODY_MAX);
	if (!template_render(src, vars, into, &b, &c->err))
		*out = arena_strdup(c->arena, buf_cstr(&b));
	buf_free(&b);
	return c->err.code;
}

static enum err_code preview_template(struct call *c, const Notify__V1__PreviewTemplateRequest *in,
				      Notify__V1__PreviewTemplateReply *out)
{
	const struct template_text *t = NULL;
	struct template_row vars = { 0 };
	const char *subject, *text, *html;
	enum err_code code;
	int64_t version;
	struct pg *pg;

	if (call_perm(c, "admin.notify") || check_name(c, in->kind, in->lang) || call_pg(c, &pg))
		return c->err.code;
	code = letter_template(pg, c->arena, in->kind, in->lang, &t, &version, &c->err);
	pg_return(pg);
	if (code)
		return code;
	subject = in->subject ? in->subject : t ? t->subject : NULL;
	text = in->text ? in->text : t ? t->text : NULL;
	html = in->html ? in->html : t ? t->html : NULL;
	if (check_texts(c, in->kind, subject, text, html))
		return c->err.code;
	example(&vars);
	if (render(c, subject, &vars, INTO_LINE, &out->subject) || render(c, text, &vars, INTO_TEXT, &out->text) ||
	    render(c, html, &vars, INTO_HTML, &out->html))
		return c->err.code;
	return OK;
}
