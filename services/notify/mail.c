#include "services/notify/mail.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/check.h"
#include "common/crypto.h"

bool mail_address_ok(const char *s)
{
	static const char allowed[] = "!#$%&'*+-/=?^_`{|}~.";
	const char *at = s ? strchr(s, '@') : NULL;

	if (!at || at == s || !at[1] || strlen(s) > 254 || strchr(at + 1, '@'))
		return false;
	for (const char *p = s; *p; p++) {
		bool alnum = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');

		if (!alnum && p != at && !strchr(p < at ? allowed : "-.", *p))
			return false;
	}
	return *s != '.' && at[-1] != '.' && at[1] != '.' && at[1] != '-';
}

static bool id_ok(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-@");

	return n && !s[n] && n < 250 && strchr(s, '@');
}

static bool plain(const char *s)
{
	for (; *s; s++)
		if (*s < 0x20 || *s > 0x7e || strchr("=?\"\\<>()[],;:@", *s))
			return false;
	return true;
}

/* Text of a header: as it is when it is short and harmless, else encoded words of at most 75 characters. */
static void header_text(struct buf *out, const char *s)
{
	char word[64];
	size_t left = strlen(s);

	if (left <= 60 && plain(s)) {
		buf_add(out, s, left);
		return;
	}
	for (bool first = true; left; first = false) {
		size_t n = utf8_cut(s, left < 42 ? left : 42);

		if (!n)
			n = 1;
		base64_encode(s, n, word);
		buf_fmt(out, "%s=?UTF-8?B?%s?=", first ? "" : "\r\n ", word);
		s += n;
		left -= n;
	}
}

static void address(struct buf *out, const char *header, const char *name, const char *addr)
{
	buf_fmt(out, "%s: ", header);
	if (name && *name) {
		header_text(out, name);
		buf_char(out, ' ');
	}
	buf_fmt(out, "<%s>\r\n", addr);
}

static void date(struct buf *out, int64_t ms)
{
	static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t t = (time_t)(ms / 1000);
	struct tm tm;

	gmtime_r(&t, &tm);
	buf_fmt(out, "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d +0000\r\n", days + 3 * tm.tm_wday, tm.tm_mday,
		months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* Base64 in lines of 76: no dot, no long line and no bare line end can come about. */
static void part(struct buf *out, const char *boundary, const char *type, const char *s)
{
	char line[80];

	buf_fmt(out, "--%s\r\nContent-Type: %s; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n", boundary, type);
	for (size_t left = strlen(s); left;) {
		size_t n = left < 57 ? left : 57;

		base64_encode(s, n, line);
		buf_fmt(out, "%s\r\n", line);
		s += n;
		left -= n;
	}
}

enum err_code mail_compose(const struct mail *m, struct buf *out, struct err *e)
{
	char hash[SHA256_HEX_LEN], boundary[40];

	if (!mail_address_ok(m->from) || !mail_address_ok(m->to))
		return err_set(e, E_INVALID, "common.invalid_input", "an address cannot be written to");
	if (!id_ok(m->message_id) || !text_clean(m->subject, strlen(m->subject)) || !plain(m->lang))
		return err_set(e, E_INVALID, "common.invalid_input", "a header of %s is not clean", m->message_id);
	sha256_hex(m->message_id, strlen(m->message_id), hash);
	snprintf(boundary, sizeof(boundary), "souk-%.24s", hash);
	date(out, m->date_ms);
	address(out, "From", m->from_name, m->from);
	address(out, "To", m->to_name && text_clean(m->to_name, strlen(m->to_name)) ? m->to_name : NULL, m->to);
	buf_str(out, "Subject: ");
	header_text(out, m->subject);
	buf_fmt(out, "\r\nMessage-ID: <%s>\r\nAuto-Submitted: auto-generated\r\nContent-Language: %s\r\n", m->message_id,
		m->lang);
	buf_fmt(out, "MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"%s\"\r\n\r\n", boundary);
	part(out, boundary, "text/plain", m->text);
	part(out, boundary, "text/html", m->html);
	buf_fmt(out, "--%s--\r\n", boundary);
	return buf_over(out) ? err_set(e, E_INTERNAL, "common.internal", "a mail is too long") : OK;
}
