#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "services/notify/notify_kind.h"
#include "services/notify/template.h"

static const struct template_var line1[] = { { .name = "title", .value = "A & B" }, { .name = "qty", .value = "2" } };
static const struct template_var line2[] = { { .name = "title", .value = "<i>" }, { .name = "qty", .value = "1" },
					     { .name = "note", .value = "last" } };
static const struct template_row rows[] = { { line1, 2 }, { line2, 3 } };
static const struct template_var vars_[] = {
	{ .name = "name", .value = "Ada <x>\r\nBcc: evil@example.com" },
	{ .name = "empty", .value = "" },
	{ .name = "lines", .row = rows, .n_row = 2 },
	{ .name = "none", .row = rows, .n_row = 0 },
	{ .name = "address", .value = "1 Road\n2 Town\x07" },
	{ .name = "bad", .value = "a\xff\xfe" "b" },
	{ .name = "braces", .value = "{{name}}" },
};
static const struct template_row vars = { vars_, sizeof(vars_) / sizeof(*vars_) };

static const char *show(const char *src, enum template_into into)
{
	static char text[2000];
	struct buf b;
	struct err e = { 0 };

	buf_init(&b, sizeof(text) - 1);
	if (template_render(src, &vars, into, &b, &e))
		snprintf(text, sizeof(text), "error %s", e.msg);
	else
		snprintf(text, sizeof(text), "%s", buf_cstr(&b));
	buf_free(&b);
	return text;
}

static void values_are_escaped_for_where_they_land(void **state)
{
	(void)state;
	assert_string_equal(show("Hi {{name}}!", INTO_HTML), "Hi Ada &lt;x&gt;\nBcc: evil@example.com!");
	assert_string_equal(show("Hi {{ name }}!", INTO_LINE), "Hi Ada <x>  Bcc: evil@example.com!");
	assert_string_equal(show("{{address}}", INTO_TEXT), "1 Road\n2 Town");
	assert_string_equal(show("{{bad}}", INTO_TEXT), "a??b");
	assert_string_equal(show("<b>{{lines}}{{missing}}</b>", INTO_HTML), "<b></b>");
	/* a value is never a template */
	assert_string_equal(show("{{braces}}", INTO_TEXT), "{{name}}");
}

static void sections(void **state)
{
	(void)state;
	assert_string_equal(show("{{#lines}}[{{qty}} {{title}} {{address}}{{#note}} {{note}}{{/note}}]{{/lines}}", INTO_HTML),
			    "[2 A &amp; B 1 Road\n2 Town][1 &lt;i&gt; 1 Road\n2 Town last]");
	assert_string_equal(show("{{#empty}}no{{/empty}}{{^empty}}yes{{/empty}}", INTO_TEXT), "yes");
	assert_string_equal(show("{{#none}}no{{/none}}{{^none}}yes{{/none}}", INTO_TEXT), "yes");
	assert_string_equal(show("{{#empty}}{{#lines}}no{{/lines}}{{/empty}}after", INTO_TEXT), "after");
	assert_string_equal(show("{{#name}}a{{#braces}}b{{/braces}}{{/name}}", INTO_TEXT), "ab");
}

static void broken_templates_do_not_render(void **state)
{
	static const char *const bad[] = { "{{", "{{name", "{{name}", "{{na me}}", "{{#name}}", "{{/name}}", "{{#a}}{{/b}}",
					   "{{}}", "{{#}}", "{{Name}}", "{{{name}}}" };
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_memory_equal(show(bad[i], INTO_TEXT), "error", 5);
		memset(&e, 0, sizeof(e));
		assert_int_equal(template_check(bad[i], "name a b", "text", &e), E_INVALID);
		assert_int_equal(e.n_details, 1);
		assert_string_equal(e.details[0].field, "text");
	}
}

static void checking_knows_the_variables(void **state)
{
	const char *known = "name lines lines.title lines.qty";
	struct err e = { 0 };

	(void)state;
	assert_int_equal(template_check("{{name}}{{#lines}}{{title}}{{name}}{{/lines}}{{^name}}x{{/name}}", known, "t", &e), OK);
	assert_int_equal(template_check("{{title}}", known, "t", &e), E_INVALID); /* only inside the list */
	assert_int_equal(template_check("{{#lines}}{{/lines}}{{qty}}", known, "t", &e), E_INVALID);
	assert_int_equal(template_check("{{nam}}", known, "t", &e), E_INVALID);
	assert_int_equal(template_check("{{#lines}}{{#lines}}{{/lines}}{{/lines}}", known, "t", &e), E_INVALID);
	assert_int_equal(template_check("{{#name}}{{#lines}}{{#name}}{{title}}{{/name}}{{/lines}}{{/name}}", known, "t", &e), OK);
}

static void depth_is_bounded(void **state)
{
	char src[20 * 18 + 1] = "";
	struct err e = { 0 };

	(void)state;
	for (int i = 0; i < 9; i++)
		snprintf(src + strlen(src), sizeof(src) - strlen(src), "{{#name}}");
	for (int i = 0; i < 9; i++)
		snprintf(src + strlen(src), sizeof(src) - strlen(src), "{{/name}}");
	assert_int_equal(template_check(src, "name", "t", &e), E_INVALID);
	assert_memory_equal(show(src, INTO_TEXT), "error", 5);
	src[strlen(src) - 9] = '\0';
	assert_string_equal(show(src + 9, INTO_TEXT), "");
}

static void too_long_is_an_error(void **state)
{
	struct buf b;
	struct err e = { 0 };

	(void)state;
	buf_init(&b, 10);
	assert_int_equal(template_render("{{name}}{{name}}", &vars, INTO_TEXT, &b, &e), E_INTERNAL);
	buf_free(&b);
}

static const char *lang(const char *locale, size_t i)
{
	static char out[16];

	return template_lang(locale, i, out) ? out : NULL;
}

static void languages(void **state)
{
	(void)state;
	assert_string_equal(lang("pt-BR", 0), "pt-BR");
	assert_string_equal(lang("pt-BR", 1), "pt");
	assert_string_equal(lang("pt-BR", 2), "en");
	assert_null(lang("pt-BR", 3));
	assert_string_equal(lang("de", 0), "de");
	assert_string_equal(lang("de", 1), "en");
	assert_string_equal(lang("en", 0), "en");
	assert_null(lang("en", 1));
	assert_string_equal(lang("en-GB", 1), "en");
	assert_string_equal(lang(NULL, 0), "en");
	assert_string_equal(lang("", 0), "en");
	assert_string_equal(lang("a-very-long-locale-name", 0), "en");
}

/* Each kind has English and German words that use only what the kind knows and never come out empty. */
static void the_texts_that_come_with_souk(void **state)
{
	const struct notify_kind *k;
	const struct template_text *t;

	(void)state;
	for (size_t i = 0; (k = notify_kind_at(i)); i++) {
		assert_ptr_equal(notify_kind_find(k->name), k);
		for (const char *const *l = (const char *const[]){ "en", "de", NULL }; *l; l++) {
			struct err e = { 0 };

			t = template_default(k->name, *l);
			if (!t)
				fail_msg("%s has no text in %s", k->name, *l);
			if (template_check(t->subject, k->vars, "subject", &e) || template_check(t->text, k->vars, "text", &e) ||
			    template_check(t->html, k->vars, "html", &e))
				fail_msg("%s %s: %s %s", k->name, *l, e.details[0].field, e.details[0].message);
			assert_true(strlen(t->subject) <= TEMPLATE_SUBJECT_MAX);
			assert_true(strlen(t->html) <= TEMPLATE_BODY_MAX);
		}
	}
	for (size_t i = 0; (t = template_default_at(i)); i++)
		assert_non_null(notify_kind_find(t->kind));
	assert_null(notify_kind_find("nothing"));
	assert_null(notify_kind_find(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_escaped_for_where_they_land), cmocka_unit_test(sections),
		cmocka_unit_test(broken_templates_do_not_render),	  cmocka_unit_test(checking_knows_the_variables),
		cmocka_unit_test(depth_is_bounded),			  cmocka_unit_test(too_long_is_an_error),
		cmocka_unit_test(languages),				  cmocka_unit_test(the_texts_that_come_with_souk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
