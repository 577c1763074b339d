#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/check.h"
#include "common/crypto.h"
#include "services/notify/mail.h"
#include "services/notify/sender.h"
#include "services/notify/webhook.h"

static struct mail good(void)
{
	return (struct mail){ .from_name = "Souk", .from = "no-reply@souk.example", .to_name = "Ada", .to = "ada@example.com",
			      .subject = "Your order 7", .text = "Hello\n.\nbye", .html = "<p>Hello</p>",
			      .message_id = "ord_1.order_placed@souk.example", .lang = "en", .date_ms = 1767225600000 };
}

static char *compose(const struct mail *m, enum err_code *code_r)
{
	struct buf b;
	struct err e = { 0 };
	char *copy = NULL;

	buf_init(&b, 1 << 20);
	*code_r = mail_compose(m, &b, &e);
	if (!*code_r)
		copy = strdup(buf_cstr(&b));
	buf_free(&b);
	return copy;
}

static void a_plain_mail(void **state)
{
	static const char head[] = "Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nFrom: Souk <no-reply@souk.example>\r\n";
	struct mail m = good();
	enum err_code code;
	char *s = compose(&m, &code);

	(void)state;
	assert_int_equal(code, OK);
	assert_memory_equal(s, head, sizeof(head) - 1);
	assert_non_null(strstr(s, "\r\nTo: Ada <ada@example.com>\r\n"));
	assert_non_null(strstr(s, "\r\nSubject: Your order 7\r\nMessage-ID: <ord_1.order_placed@souk.example>\r\n"));
	assert_non_null(strstr(s, "\r\n\r\nSGVsbG8KLgpieWU=\r\n--souk-")); /* base64: no line is a lone dot */
	assert_non_null(strstr(s, "\r\n\r\nPHA+SGVsbG88L3A+\r\n--souk-"));
	assert_string_equal(s + strlen(s) - 4, "--\r\n");
	for (const char *p = s; *p; p++)
		if (*p == '\n')
			assert_true(p > s && p[-1] == '\r');
	free(s);
}

/* Every line short, every byte ASCII, and nothing of a name or subject can begin a header. */
static void headers_cannot_be_broken(void **state)
{
	struct mail m = good();
	enum err_code code;
	char *s;

	(void)state;
	m.to_name = "Ada\r\nBcc: evil@example.com";
	s = compose(&m, &code);
	assert_int_equal(code, OK);
	assert_null(strstr(s, "Bcc"));
	assert_non_null(strstr(s, "\r\nTo: <ada@example.com>\r\n"));
	free(s);

	m = good();
	m.to_name = "\" <evil@example.com>, \"";
	m.subject = "Grüße: a long subject with ümläuts that needs more than one encoded word, 学校, and so on and on";
	s = compose(&m, &code);
	assert_int_equal(code, OK);
	assert_null(strstr(s, "evil@"));
	for (char *line = s, *end; (end = strstr(line, "\r\n")); line = end + 2) {
		assert_true(end - line <= 998);
		if (strncmp(line, " =?", 3) == 0)
			assert_true(end - line <= 76);
	}
	for (const char *p = s; *p; p++)
		assert_true((unsigned char)*p < 0x80);
	free(s);

	m = good();
	m.subject = "a\r\nBcc: evil@example.com";
	s = compose(&m, &code);
	assert_int_equal(code, E_INVALID);
	m = good();
	m.message_id = "a@b>\r\nBcc: x";
	assert_null(compose(&m, &code));
	assert_int_equal(code, E_INVALID);
	m = good();
	m.to = "ada@example.com>\r\nRCPT TO:<evil@example.com";
	assert_null(compose(&m, &code));
	assert_int_equal(code, E_INVALID);
}

/* Base64 in full lines: padding anywhere but at the end would cut the text short for many readers. */
static void long_texts_come_whole(void **state)
{
	struct mail m = good();
	char text[1001], plain[1001];
	size_t n = 0, k;
	enum err_code code;
	char *s, *p;

	(void)state;
	memset(text, 'x', 1000);
	text[1000] = '\0';
	m.text = text;
	s = compose(&m, &code);
	assert_int_equal(code, OK);
	p = strstr(strstr(s, "Content-Transfer-Encoding"), "\r\n\r\n") + 4;
	for (char *end; *p != '-'; p = end + 2) {
		end = strstr(p, "\r\n");
		assert_true(end - p <= 76);
		assert_true(base64_decode(p, (size_t)(end - p), (uint8_t *)plain + n, sizeof(plain) - n, &k));
		assert_true(p[strcspn(p, "=\r")] == '\r' || end[2] == '-');
		n += k;
	}
	assert_int_equal(n, 1000);
	assert_memory_equal(plain, text, 1000);
	free(s);
}

static void addresses(void **state)
{
	static const char *const ok[] = { "a@b", "ada.lovelace+shop@example.co.uk", "o'brien@example.com", "x_y-z@a-b.example" };
	static const char *const bad[] = { "", "a", "@b", "a@", "a@b@c", "a b@c", "a@b c", "a@b\r\nX", "<a@b>", "a@b>", "\"a\"@b",
					   ".a@b", "a.@b", "a@.b", "a@-b", "a@b_c", "ä@b", "a@[127.0.0.1]", "a,b@c", "a\\@b" };
	char longest[300];

	(void)state;
	for (size_t i = 0; i < sizeof(ok) / sizeof(*ok); i++)
		assert_true(mail_address_ok(ok[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (mail_address_ok(bad[i]))
			fail_msg("accepted %s", bad[i]);
	assert_false(mail_address_ok(NULL));
	memset(longest, 'a', sizeof(longest));
	memcpy(longest + 100, "@", 1);
	longest[254] = '\0';
	assert_true(mail_address_ok(longest));
	longest[254] = 'a';
	longest[255] = '\0';
	assert_false(mail_address_ok(longest));
}

/* The encoded words of a subject, joined, give it back; each is whole UTF-8 by itself. */
static void check_subject(const char *subject)
{
	struct mail m = good();
	char plain[400];
	size_t n = 0;
	enum err_code code;
	char *s, *p;

	m.subject = subject;
	s = compose(&m, &code);
	assert_int_equal(code, OK);
	for (p = strstr(s, "Subject: ") + 9; strncmp(p, "=?UTF-8?B?", 10) == 0; p += strspn(p, "\r\n ")) {
		char *end = strstr(p, "?=");
		size_t k = 0;

		assert_non_null(end);
		assert_true(base64_decode(p + 10, (size_t)(end - p - 10), (uint8_t *)plain + n, sizeof(plain) - n, &k));
		assert_true(utf8_valid(plain + n, k)); /* no character is cut in two */
		n += k;
		p = end + 2;
	}
	plain[n] = '\0';
	assert_string_equal(plain, subject);
	free(s);
}

static void encoded_words_give_the_text_back(void **state)
{
	(void)state;
	for (const char *pad = "xxx"; *pad; pad++) { /* the cuts fall elsewhere each time */
		char subject[300];

		snprintf(subject, sizeof(subject), "%sZürich — 東京 — Αθήνα — Москва — مرحبا — 😀 and a tail that makes it long", pad);
		check_subject(subject);
	}
}

static void back_off_doubles_up_to_its_end(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		int64_t a = sender_backoff_ms(1, 100, 10000), b = sender_backoff_ms(3, 100, 10000),
			z = sender_backoff_ms(1000000, 100, 10000);

		assert_in_range(a, 100, 120);
		assert_in_range(b, 400, 480);
		assert_in_range(z, 10000, 12000);
	}
}

static void webhook_signature_is_what_receivers_compute(void **state)
{
	struct arena *a = arena_new("test", 1 << 16);

	(void)state;
	/* printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac whsec_x */
	assert_string_equal(webhook_signature(a, "whsec_x", 1700000000, "{\"a\":1}"),
			    "Souk-Signature: t=1700000000,v1=b3438763ab46d9634b9844c8722818eaf523f803db1327484c6067462a5fd6d1");
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_mail),	     cmocka_unit_test(headers_cannot_be_broken),
		cmocka_unit_test(long_texts_come_whole), cmocka_unit_test(addresses),
		cmocka_unit_test(encoded_words_give_the_text_back),
		cmocka_unit_test(back_off_doubles_up_to_its_end),
		cmocka_unit_test(webhook_signature_is_what_receivers_compute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
