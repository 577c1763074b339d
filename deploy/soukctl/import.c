/* soukctl import: a vendor's bulk import through the REST surface, with a bar that follows its status. */
#include "session.h"
#include "soukctl.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/crypto.h"

enum { POLL_MS = 300, UPLOAD_MS = 30 * 60 * 1000 };

struct opts {
	const char *url, *email, *vendor_id, *format, *policy, *currency, *category_attribute, *name, *file;
	bool publish;
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

static int upload(struct ctl_session *s, const struct opts *o, const void *data, size_t len, char *id, size_t id_cap)
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
	ctl_query_add(&path, "format", o->format);
	ctl_query_add(&path, "policy", o->policy);
	ctl_query_add(&path, "publish", o->publish ? "true" : NULL);
	ctl_query_add(&path, "currency", o->currency);
	ctl_query_add(&path, "category_attribute", o->category_attribute);
	ctl_query_add(&path, "name", o->name);
	fprintf(stderr, "uploading %.1f MB …\n", (double)len / 1e6);
	int rc = ctl_request(s, "POST", path.data, headers, (struct pg_bytes){ data, len }, UPLOAD_MS, &text);
	buf_free(&path);
	if (!rc && !jsonval_get(text, "id", id, id_cap))
		rc = ctl_complain("import", "the answer names no import");
	return rc;
}

static int follow(struct ctl_session *s, const char *id)
{
	const char *const headers[] = { s->bearer, NULL };
	char *path = arena_printf(s->arena, "/api/vendor/products/imports/%s", id);
	bool tty = isatty(STDERR_FILENO);
	char state[32] = "", shown[32] = "";
	const char *text;

	path = strdup(path); /* the arena is emptied between polls */
	for (;;) {
		arena_reset(s->arena);
		if (ctl_request(s, "GET", path, headers, (struct pg_bytes){ 0 }, 30000, &text)) {
			free(path);
			return 1;
		}
		(void)jsonval_get(text, "state", state, sizeof(state));
		if (tty)
			ctl_bar(jsonval_i64(text, "percent"), state, jsonval_i64(text, "rows_read"));
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
		return ctl_complain(o->file, strerror(errno));
	void *data = st.st_size ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
	close(fd);
	if (data == MAP_FAILED)
		return ctl_complain(o->file, st.st_size ? strerror(errno) : "empty");
	struct ctl_session s = { .url = o->url, .arena = arena_new("soukctl", 4 * CTL_REPLY_MAX) };
	int rc = httpc_open(&conf, &s.http, &e) ? ctl_complain(o->url, e.msg) : 0;
	if (!rc)
		rc = ctl_sign_in(&s, o->email, "vendor", o->vendor_id);
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
