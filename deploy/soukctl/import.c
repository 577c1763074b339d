/* soukctl import: a vendor's bulk import through the REST surface, with a bar that follows its status. */
#include "soukctl.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/conf.h"
#include "common/crypto.h"
#include "common/httpc.h"
#include "common/timeutil.h"

enum { REPLY_MAX = 1 << 20, POLL_MS = 300, UPLOAD_MS = 30 * 60 * 1000 };

struct opts {
	const char *url, *email, *vendor_id, *format, *policy, *currency, *category_attribute, *name, *file;
	bool publish;
};

struct session {
	struct httpc *http;
	struct arena *arena;
	const char *url;
	char bearer[4096];
};

static int usage(void)
{
	fprintf(stderr,
		"usage: soukctl import --url URL --email EMAIL [options] FILE\n"
		"  --vendor-id ID           of an account that belongs to several vendors\n"
		"  --format csv|jsonl       default: by the file's name\n"
		"  --policy reject_all|reject_bad_rows\n"
		"  --publish                imported products are published when complete\n"
		"  --currency CODE          of prices without one\n"
		"  --category-attribute A   derive categories from this attribute\n"
		"  --name TEXT              for the list of imports\n"
		"The password is read from SOUK_PASSWORD, the file SOUK_PASSWORD_FILE, or the terminal.\n");
	return 2;
}

static int complain(const char *what, const char *why)
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

static bool find_password(char *out, size_t cap)
{
	const char *text = getenv("SOUK_PASSWORD"), *path = getenv("SOUK_PASSWORD_FILE");

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
	return ask_password(out, cap);
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

static void query_add(struct buf *b, const char *key, const char *value)
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

/* 0 and the reply's text for a 2xx; else the one line of the error body. */
static int request(struct session *s, const char *method, const char *path, const char *const *headers,
		   struct pg_bytes body, int64_t timeout_ms, const char **text_r)
{
	struct err e = { 0 };
	struct httpc_reply reply = { 0 };
	char *url = arena_printf(s->arena, "%s%s", s->url, path);
	const struct httpc_request rq = { .method = method, .url = url, .headers = headers, .body = body,
					  .timeout_ms = timeout_ms, .max_reply = REPLY_MAX };

	if (httpc_do(s->http, &rq, s->arena, &reply, &e))
		return complain(url, e.msg);
	*text_r = reply.body.data ? reply.body.data : "";
	if (reply.status >= 200 && reply.status < 300)
		return 0;
	char why[512] = "", code[64] = "";
	(void)jsonval_get(*text_r, "error.message", why, sizeof(why));
	(void)jsonval_get(*text_r, "error.code", code, sizeof(code));
	fprintf(stderr, "soukctl: %s %s: %d %s %s\n", method, path, reply.status, code, why);
	return 1;
}

static int sign_in(struct session *s, const struct opts *o)
{
	static const char *const headers[] = { "Content-Type: application/json", NULL };
	char password[512] = "", token[4000];
	const char *text;
	struct buf b;

	if (!find_password(password, sizeof(password)))
		return complain(o->email, "no password");
	buf_init(&b, 8192);
	buf_str(&b, "{");
	json_add(&b, "email", o->email);
	json_add(&b, "password", password);
	json_add(&b, "audience", "vendor");
	if (o->vendor_id)
		json_add(&b, "vendor_id", o->vendor_id);
	buf_str(&b, "}");
	explicit_bzero(password, sizeof(password));
	int rc = request(s, "POST", "/api/auth/login", headers, (struct pg_bytes){ b.data, b.len }, 30000, &text);
	explicit_bzero(b.data, b.len);
	buf_free(&b);
	if (rc)
		return rc;
	if (!jsonval_get(text, "access_token", token, sizeof(token)))
		return complain(o->email, "the account needs a second factor; soukctl cannot give it");
	snprintf(s->bearer, sizeof(s->bearer), "Authorization: Bearer %s", token);
	return 0;
}

/* ---- upload and bar ---- */

/* The key is made of the file and the options, so that a repeated command continues what it began. */
static void make_key(const struct opts *o, const void *data, size_t len, char out[SHA256_HEX_LEN])
{
	char hex[SHA256_HEX_LEN];
	struct buf b;

	sha256_hex(data, len, hex);
	buf_init(&b, 8192);
	buf_fmt(&b, "%s|%s|%s|%d|%s|%s|%s", hex, o->format, o->policy ? o->policy : "", o->publish,
		o->currency ? o->currency : "", o->category_attribute ? o->category_attribute : "",
		o->name ? o->name : "");
	sha256_hex(b.data, b.len, out);
	buf_free(&b);
}

static int upload(struct session *s, const struct opts *o, const void *data, size_t len, char *id, size_t id_cap)
{
	char key[SHA256_HEX_LEN], key_header[128];
	const char *text;
	struct buf path;

	make_key(o, data, len, key);
	snprintf(key_header, sizeof(key_header), "Idempotency-Key: %s", key);
	const char *const headers[] = {
		s->bearer, key_header,
		strcmp(o->format, "csv") == 0 ? "Content-Type: text/csv" : "Content-Type: application/x-ndjson", NULL
	};
	buf_init(&path, 4096);
	buf_str(&path, "/api/vendor/products/import");
	query_add(&path, "format", o->format);
	query_add(&path, "policy", o->policy);
	query_add(&path, "publish", o->publish ? "true" : NULL);
	query_add(&path, "currency", o->currency);
	query_add(&path, "category_attribute", o->category_attribute);
	query_add(&path, "name", o->name);
	fprintf(stderr, "uploading %.1f MB …\n", (double)len / 1e6);
	int rc = request(s, "POST", path.data, headers, (struct pg_bytes){ data, len }, UPLOAD_MS, &text);
	buf_free(&path);
	if (!rc && !jsonval_get(text, "id", id, id_cap))
		rc = complain("import", "the answer names no import");
	return rc;
}

static void bar(int64_t percent, const char *state, int64_t rows)
{
	enum { WIDTH = 40 };
	char cells[WIDTH + 1];

	percent = percent < 0 ? 0 : percent > 100 ? 100 : percent;
	for (int i = 0; i < WIDTH; i++)
		cells[i] = i < percent * WIDTH / 100 ? '#' : '.';
	cells[WIDTH] = '\0';
	fprintf(stderr, "\r[%s] %3lld %% %-10s %lld rows ", cells, (long long)percent, state, (long long)rows);
	fflush(stderr);
}

static int follow(struct session *s, const char *id)
{
	const char *const headers[] = { s->bearer, NULL };
	char *path = arena_printf(s->arena, "/api/vendor/products/imports/%s", id);
	bool tty = isatty(STDERR_FILENO);
	char state[32] = "", shown[32] = "";
	const char *text;

	path = strdup(path); /* the arena is emptied between polls */
	for (;;) {
		arena_reset(s->arena);
		if (request(s, "GET", path, headers, (struct pg_bytes){ 0 }, 30000, &text)) {
			free(path);
			return 1;
		}
		(void)jsonval_get(text, "state", state, sizeof(state));
		if (tty)
			bar(jsonval_i64(text, "percent"), state, jsonval_i64(text, "rows_read"));
		else if (strcmp(state, shown) != 0)
			fprintf(stderr, "%s\n", state);
		memcpy(shown, state, sizeof(shown));
		if (strcmp(state, "receiving") && strcmp(state, "validating") && strcmp(state, "applying"))
			break;
		nanosleep(&(struct timespec){ .tv_nsec = POLL_MS * 1000000L }, NULL);
	}
	free(path);
	if (tty)
		fputc('\n', stderr);
	char message[512] = "";
	(void)jsonval_get(text, "message", message, sizeof(message));
	printf("%s: %s%s%s; %lld rows read, %lld bad, %lld products created, %lld changed, %lld unchanged\n", id, state,
	       *message ? ", " : "", message, (long long)jsonval_i64(text, "rows_read"),
	       (long long)jsonval_i64(text, "rows_bad"), (long long)jsonval_i64(text, "products_created"),
	       (long long)jsonval_i64(text, "products_updated"), (long long)jsonval_i64(text, "products_unchanged"));
	return strcmp(state, "done") != 0;
}

static int run(const struct opts *o)
{
	const struct httpc_conf conf = { .max_handles = 1, .queue = 1, .breaker_failures = 1000, .breaker_open_ms = 1 };
	struct err e = { 0 };
	struct stat st;
	char id[64];
	int fd = open(o->file, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) != 0)
		return complain(o->file, strerror(errno));
	void *data = st.st_size ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
	close(fd);
	if (data == MAP_FAILED)
		return complain(o->file, st.st_size ? strerror(errno) : "empty");
	struct session s = { .url = o->url, .arena = arena_new("soukctl", 4 * REPLY_MAX) };
	int rc = httpc_open(&conf, &s.http, &e) ? complain(o->url, e.msg) : 0;
	if (!rc)
		rc = sign_in(&s, o);
	if (!rc)
		rc = upload(&s, o, data, (size_t)st.st_size, id, sizeof(id));
	if (!rc)
		rc = follow(&s, id);
	explicit_bzero(s.bearer, sizeof(s.bearer));
	httpc_close(s.http);
	arena_free(s.arena);
	munmap(data, (size_t)st.st_size);
	return rc;
}

int ctl_import(int argc, char **argv)
{
	static const struct option options[] = {
		{ "url", required_argument, NULL, 'u' },      { "email", required_argument, NULL, 'e' },
		{ "vendor-id", required_argument, NULL, 'v' }, { "format", required_argument, NULL, 'f' },
		{ "policy", required_argument, NULL, 'p' },   { "publish", no_argument, NULL, 'P' },
		{ "currency", required_argument, NULL, 'c' }, { "category-attribute", required_argument, NULL, 'a' },
		{ "name", required_argument, NULL, 'n' },     { 0 }
	};
	struct opts o = { .url = getenv("SOUK_URL") };

	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (c) {
		case 'u': o.url = optarg; break;
		case 'e': o.email = optarg; break;
		case 'v': o.vendor_id = optarg; break;
		case 'f': o.format = optarg; break;
		case 'p': o.policy = optarg; break;
		case 'P': o.publish = true; break;
		case 'c': o.currency = optarg; break;
		case 'a': o.category_attribute = optarg; break;
		case 'n': o.name = optarg; break;
		default: return usage();
		}
	}
	if (optind + 1 != argc || !o.url || !o.email)
		return usage();
	o.file = argv[optind];
	if (!o.format) {
		size_t n = strlen(o.file);
		o.format = n > 4 && strcmp(o.file + n - 4, ".csv") == 0 ? "csv" : "jsonl";
	}
	return run(&o);
}
