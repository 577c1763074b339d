/* What soukctl's commands share: a session with the REST surface, the password, a bar. */
#include "session.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>

#include "common/buf.h"
#include "common/conf.h"
#include "common/timeutil.h"
#include "soukctl.h"

const char *const ctl_services[] = { "identity", "catalog", "inventory", "cart", "checkout", "search", "reco", "notify", NULL };

bool ctl_is_service(const char *name)
{
	for (size_t i = 0; ctl_services[i]; i++)
		if (strcmp(name, ctl_services[i]) == 0)
			return true;
	return false;
}

int ctl_complain(const char *what, const char *why)
{
	fprintf(stderr, "soukctl: %s: %s\n", what, why);
	return 1;
}

/* ---- the password never appears on a command line ---- */

static bool ask_password(char *out, size_t cap)
{
	struct termios was, quiet;
	FILE *tty = fopen("/dev/tty", "r+");

	if (!tty)
		return false;
	fputs("password: ", tty);
	fflush(tty);
	bool hidden = tcgetattr(fileno(tty), &was) == 0;
	if (hidden) {
		quiet = was;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		(void)tcsetattr(fileno(tty), TCSAFLUSH, &quiet);
	}
	bool got = fgets(out, (int)cap, tty) != NULL;
	if (hidden)
		(void)tcsetattr(fileno(tty), TCSAFLUSH, &was);
	fputs("\n", tty);
	fclose(tty);
	if (got)
		out[strcspn(out, "\r\n")] = '\0';
	return got && *out;
}

/* From the variable, or the file that the other variable names. */
static bool find_secret(const char *var, const char *file_var, char *out, size_t cap)
{
	const char *text = getenv(var), *path = getenv(file_var);

	if (text && *text && strlen(text) < cap) {
		memcpy(out, text, strlen(text) + 1);
		return true;
	}
	if (path && *path) {
		struct err e = { 0 };
		char *read = NULL;
		size_t n = 0;
		bool ok = !conf_read_file(path, &read, &n, &e) && n > 0 && n < cap;
		if (ok)
			memcpy(out, read, n + 1);
		free(read);
		return ok;
	}
	return false;
}

static bool find_password(char *out, size_t cap)
{
	const char *path = getenv("SOUK_PASSWORD_FILE");

	return find_secret("SOUK_PASSWORD", "SOUK_PASSWORD_FILE", out, cap) || (!(path && *path) && ask_password(out, cap));
}

static bool given(const char *var)
{
	const char *text = getenv(var);

	return text && *text;
}

bool ctl_known(const char *email)
{
	return email || given("SOUK_API_KEY") || given("SOUK_API_KEY_FILE");
}

/* ---- requests ---- */

static void json_add(struct buf *b, const char *key, const char *value)
{
	buf_fmt(b, "%s\"%s\":\"", b->len > 1 ? "," : "", key);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			buf_fmt(b, "\\%c", *value);
		else if ((unsigned char)*value < 0x20)
			buf_fmt(b, "\\u%04x", (unsigned char)*value);
		else
			buf_add(b, value, 1);
	}
	buf_str(b, "\"");
}

void ctl_query_add(struct buf *b, const char *key, const char *value)
{
	if (!value)
		return;
	buf_fmt(b, "%s%s=", strchr(b->data, '?') ? "&" : "?", key);
	for (; *value; value++) {
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~", *value))
			buf_add(b, value, 1);
		else
			buf_fmt(b, "%%%02X", (unsigned char)*value);
	}
}

enum { TRIES = 60, CALL_MS = 30000 };

/* What is wrong with which field, a line each. */
static void details(const char *text)
{
	json_t *root = json_loads(text, 0, NULL), *d;
	size_t i;

	json_array_foreach(json_object_get(json_object_get(root, "error"), "details"), i, d)
	{
		const char *field = json_string_value(json_object_get(d, "field")),
			   *message = json_string_value(json_object_get(d, "message"));

		if (field && message)
			fprintf(stderr, "  %s: %s\n", field, message);
	}
	json_decref(root);
}

/* 0 and the reply's text for a 2xx; -1: to be tried again; else the one line of the error body. */
static int once(struct ctl_session *s, const struct httpc_request *rq, bool last, const char *path, const char **text_r)
{
	struct err e = { 0 };
	struct httpc_reply reply = { 0 };

	if (httpc_do(s->http, rq, s->arena, &reply, &e))
		return ctl_complain(rq->url, e.msg);
	*text_r = reply.body.data ? reply.body.data : "";
	if (reply.status >= 200 && reply.status < 300)
		return 0;
	if ((reply.status == 429 || reply.status == 503) && !last) {
		int64_t wait = reply.retry_after ? strtoll(reply.retry_after, NULL, 10) : 1;

		sleep_ms((wait < 1 ? 1 : wait > 30 ? 30 : wait) * 1000);
		return -1;
	}
	char why[512] = "", code[64] = "";
	(void)jsonval_get(*text_r, "error.message", why, sizeof(why));
	(void)jsonval_get(*text_r, "error.code", code, sizeof(code));
	fprintf(stderr, "soukctl: %s %s: %d %s %s\n", rq->method, path, reply.status, code, why);
	details(*text_r);
	return 1;
}

int ctl_request(struct ctl_session *s, const char *method, const char *path, const char *const *headers,
		struct pg_bytes body, int64_t timeout_ms, const char **text_r)
{
	const struct httpc_request rq = { .method = method, .url = arena_printf(s->arena, "%s%s", s->url, path),
					  .headers = headers, .body = body, .timeout_ms = timeout_ms,
					  .max_reply = CTL_REPLY_MAX };
	int rc = -1;

	for (int i = 1; rc < 0 && i <= TRIES; i++)
		rc = once(s, &rq, i == TRIES, path, text_r);
	return rc;
}

int ctl_ask(struct ctl_session *s, const char *method, const char *path, const struct buf *body, const char **text_r)
{
	const char *const headers[] = { s->bearer, "Content-Type: application/json", NULL };
	struct pg_bytes sent = { 0 };

	if (body)
		sent = (struct pg_bytes){ body->data, body->len };
	else if (strcmp(method, "GET") != 0)
		sent = (struct pg_bytes){ "{}", 2 };
	return ctl_request(s, method, path, headers, sent, CALL_MS, text_r);
}

void ctl_print(const struct buf *text)
{
	for (size_t i = 0; i < text->len; i++) {
		unsigned char c = (unsigned char)text->data[i];

		putchar((c < 0x20 && c != '\n') || c == 0x7f ? '?' : c);
	}
}

int ctl_show(struct ctl_session *s, const char *path, bool (*fn)(const char *, struct buf *), const char **text_r)
{
	const char *text;
	struct buf out;
	int rc;

	arena_reset(s->arena);
	buf_init(&out, CTL_REPLY_MAX);
	rc = ctl_ask(s, "GET", path, NULL, &text);
	if (!rc && !fn(text, &out))
		rc = ctl_complain("answer", "is not what was asked for");
	if (!rc)
		ctl_print(&out);
	if (!rc && text_r)
		*text_r = text;
	buf_free(&out);
	return rc;
}

int ctl_sign_in(struct ctl_session *s, const char *email, const char *audience, const char *vendor_id)
{
	static const char *const headers[] = { "Content-Type: application/json", NULL };
	char password[512] = "", token[4000];
	const char *text;
	struct buf b;

	if (!find_password(password, sizeof(password)))
		return ctl_complain(email, "no password");
	buf_init(&b, 8192);
	buf_str(&b, "{");
	json_add(&b, "email", email);
	json_add(&b, "password", password);
	json_add(&b, "audience", audience);
	if (vendor_id)
		json_add(&b, "vendor_id", vendor_id);
	buf_str(&b, "}");
	explicit_bzero(password, sizeof(password));
	int rc = ctl_request(s, "POST", "/api/auth/login", headers, (struct pg_bytes){ b.data, b.len }, 30000, &text);
	explicit_bzero(b.data, b.len);
	buf_free(&b);
	if (rc)
		return rc;
	if (!jsonval_get(text, "access_token", token, sizeof(token)))
		return ctl_complain(email, "the account needs a second factor; soukctl cannot give it");
	snprintf(s->bearer, sizeof(s->bearer), "Authorization: Bearer %s", token);
	return 0;
}

static int sign_in_by_key(struct ctl_session *s)
{
	char key[256];

	if (!find_secret("SOUK_API_KEY", "SOUK_API_KEY_FILE", key, sizeof(key)))
		return ctl_complain("SOUK_API_KEY_FILE", "is no file with a key");
	key[strcspn(key, "\r\n")] = '\0';
	snprintf(s->bearer, sizeof(s->bearer), "Authorization: Bearer %s", key);
	explicit_bzero(key, sizeof(key));
	return 0;
}

int ctl_admin(const char *url, const char *email, int (*fn)(struct ctl_session *, void *arg), void *arg)
{
	const struct httpc_conf conf = { .max_handles = 1, .queue = 1, .breaker_failures = 1000, .breaker_open_ms = 1 };
	struct ctl_session s = { .url = url, .arena = arena_new("soukctl", 4 * CTL_REPLY_MAX) };
	struct err e = { 0 };
	int rc = httpc_open(&conf, &s.http, &e) ? ctl_complain(url, e.msg) : 0;

	if (!rc)
		rc = email ? ctl_sign_in(&s, email, "admin", NULL) : sign_in_by_key(&s);
	if (!rc)
		rc = fn(&s, arg);
	explicit_bzero(s.bearer, sizeof(s.bearer));
	httpc_close(s.http);
	arena_free(s.arena);
	return rc;
}

void ctl_bar(int64_t percent, const char *state, int64_t rows)
{
	enum { WIDTH = 40 };
	char cells[WIDTH + 1];

	percent = percent < 0 ? 0 : percent > 100 ? 100 : percent;
	for (int i = 0; i < WIDTH; i++)
		cells[i] = i < percent * WIDTH / 100 ? '#' : '.';
	cells[WIDTH] = '\0';
	fprintf(stderr, "\r[%s] %3lld %% %-10s ", cells, (long long)percent, state);
	if (rows >= 0)
		fprintf(stderr, "%lld rows ", (long long)rows);
	fflush(stderr);
}
