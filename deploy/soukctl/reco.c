/* soukctl reco, and its import: a file of orders and visits from before, sent in pieces; sent again, it counts once. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "session.h"
#include "soukctl.h"

enum { ROWS_MAX = 5000, BYTES_MAX = 900000, COLUMNS_MAX = 40, FIELD_MAX = 256, CALL_MS = 60000 };

struct opts {
	const char *url, *email, *source, *format, *type, *file;
};
struct column {
	const char *field; /* of the row; NULL: not taken */
	bool number;
};
struct sender {
	struct ctl_session *s;
	const struct opts *o;
	struct column column[COLUMNS_MAX];
	size_t n_columns;
	struct buf body;
	size_t rows; /* in body */
	int64_t line, sent, accepted, duplicates, refused;
	size_t done, len; /* bytes of the file */
	bool tty;
};

static int usage(void)
{
	fprintf(stderr,
		"usage: soukctl reco import --url URL [--email EMAIL] [options] FILE\n"
		"       soukctl reco report|status|models|train|cancel|approve|reject|deploy|rollback …\n"
		"  --source NAME            where the history is from; default: the file's name\n"
		"  --format csv|tsv|jsonl   default: by the file's name\n"
		"  --type TYPE              of rows that name none: purchase (default), view, click, add_to_cart, rating\n"
		"Columns, by the first line: id type user_id session_id product_id occurred_at order_id qty rating; or customer,\n"
		"sku, ts, invoice for user_id, product_id, occurred_at, order_id. Others are left. Times without a zone are UTC.\n" CTL_CREDENTIALS);
	return 2;
}

/* ---- rows ---- */

static struct column column_of(const char *name)
{
	static const struct {
		const char *name;
		struct column column;
	} known[] = {
		{ "id", { "id", false } },		 { "type", { "type", false } },
		{ "user_id", { "user_id", false } },	 { "customer", { "user_id", false } },
		{ "session_id", { "session_id", false } }, { "product_id", { "product_id", false } },
		{ "sku", { "product_id", false } },	 { "occurred_at", { "occurred_at", false } },
		{ "ts", { "occurred_at", false } },	 { "order_id", { "order_id", false } },
		{ "invoice", { "order_id", false } },	 { "qty", { "qty", true } },
		{ "rating", { "rating", true } },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(name, known[i].name) == 0)
			return known[i].column;
	return (struct column){ NULL, false };
}

static void json_text(struct buf *b, const char *s)
{
	buf_str(b, "\"");
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			buf_fmt(b, "\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			buf_fmt(b, "\\u%04x", (unsigned char)*s);
		else
			buf_add(b, s, 1);
	}
	buf_str(b, "\"");
}

/* "2011-12-09 12:50:00" is a time of UTC; anything else is sent as it is, and the shop says what is wrong. */
static void json_time(struct buf *b, const char *s)
{
	char out[FIELD_MAX + 2];
	size_t n = strlen(s);

	if (n != strlen("2011-12-09 12:50:00") || s[10] != ' ') {
		json_text(b, s);
		return;
	}
	memcpy(out, s, n);
	out[10] = 'T';
	memcpy(out + n, "Z", 2);
	json_text(b, out);
}

bool reco_next_field(const char **at, const char *end, char sep, char *out, size_t cap, bool *last_r)
{
	const char *p = *at;
	bool quoted = sep == ',' && p < end && *p == '"';
	size_t n = 0;

	p += quoted;
	for (; p < end; p++) {
		if (quoted && *p == '"') {
			if (p + 1 == end || p[1] != '"') {
				p++;
				break;
			}
			p++;
		} else if (!quoted && *p == sep) {
			break;
		}
		if (n + 1 >= cap)
			return false;
		out[n++] = *p;
	}
	out[n] = '\0';
	*last_r = p >= end;
	*at = p < end ? p + 1 : p;
	return *last_r || *p == sep;
}

static bool digits(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n > 0 && n < 10 && !s[n];
}

static void add_field(struct sender *x, const struct column *c, const char *value, bool *typed)
{
	if (!c->field || !*value)
		return;
	buf_fmt(&x->body, "%s\"%s\":", x->body.data[x->body.len - 1] == '{' ? "" : ",", c->field);
	if (strcmp(c->field, "occurred_at") == 0)
		json_time(&x->body, value);
	else if (c->number && digits(value))
		buf_str(&x->body, value);
	else
		json_text(&x->body, value);
	*typed = *typed || strcmp(c->field, "type") == 0;
}

/* One line as an object at the end of the body; false: it is no row. */
static bool add_row(struct sender *x, const char *p, const char *end)
{
	char sep = strcmp(x->o->format, "tsv") == 0 ? '\t' : ',', value[FIELD_MAX];
	size_t before = x->body.len;
	bool last = false, typed = false;

	if (x->rows)
		buf_str(&x->body, ",");
	if (strcmp(x->o->format, "jsonl") == 0) {
		buf_add(&x->body, p, (size_t)(end - p));
		return *p == '{' && end[-1] == '}';
	}
	buf_str(&x->body, "{");
	for (size_t i = 0; !last; i++) {
		if (i == x->n_columns || !reco_next_field(&p, end, sep, value, sizeof(value), &last)) {
			x->body.len = before;
			return false;
		}
		add_field(x, &x->column[i], value, &typed);
	}
	if (!typed)
		buf_fmt(&x->body, "%s\"type\":\"%s\"", x->body.data[x->body.len - 1] == '{' ? "" : ",", x->o->type);
	buf_str(&x->body, "}");
	return true;
}

static bool read_header(struct sender *x, const char *p, const char *end)
{
	char sep = strcmp(x->o->format, "tsv") == 0 ? '\t' : ',', name[FIELD_MAX];
	bool last = false, product = false;

	while (!last) {
		if (x->n_columns == COLUMNS_MAX || !reco_next_field(&p, end, sep, name, sizeof(name), &last))
			return false;
		x->column[x->n_columns] = column_of(name);
		product = product || (x->column[x->n_columns].field && strcmp(x->column[x->n_columns].field, "product_id") == 0);
		x->n_columns++;
	}
	return product;
}

/* ---- sending ---- */

static void begin(struct sender *x)
{
	x->body.len = 0;
	x->rows = 0;
	buf_str(&x->body, "{\"source\":");
	json_text(&x->body, x->o->source);
	buf_str(&x->body, ",\"rows\":[");
}

static int flush(struct sender *x)
{
	const char *const headers[] = { x->s->bearer, "Content-Type: application/json", NULL };
	const char *text = "";
	char why[256] = "";
	int rc;

	if (!x->rows)
		return 0;
	buf_str(&x->body, "]}");
	arena_reset(x->s->arena);
	rc = ctl_request(x->s, "POST", "/api/admin/reco/history", headers, (struct pg_bytes){ x->body.data, x->body.len },
			 CALL_MS, &text);
	if (rc) {
		fprintf(stderr, "soukctl: up to line %lld\n", (long long)x->line);
		return rc;
	}
	if (jsonval_i64(text, "refused") > 0 && x->refused == 0 && strstr(text, "\"message\":"))
		snprintf(why, sizeof(why), "%.200s", strstr(text, "\"message\":") + strlen("\"message\":"));
	x->sent += (int64_t)x->rows;
	x->accepted += jsonval_i64(text, "accepted");
	x->duplicates += jsonval_i64(text, "duplicates");
	x->refused += jsonval_i64(text, "refused");
	if (*why)
		fprintf(stderr, "%ssoukctl: the first row refused: %.*s\n", x->tty ? "\r\033[K" : "",
			(int)strcspn(why, "}"), why);
	if (x->tty)
		ctl_bar((int64_t)(x->done * 100 / x->len), "sending", x->sent);
	begin(x);
	return 0;
}

static int send_file(struct sender *x, const char *data)
{
	const char *p = data, *stop = data + x->len;
	bool header = strcmp(x->o->format, "jsonl") != 0;

	begin(x);
	for (const char *end; p < stop; p = end + 1) {
		const char *cut;

		end = memchr(p, '\n', (size_t)(stop - p));
		end = end ? end : stop;
		cut = end > p && end[-1] == '\r' ? end - 1 : end;
		x->line++;
		x->done = (size_t)((end < stop ? end + 1 : stop) - data);
		if (cut == p)
			continue;
		if (header) {
			header = false;
			if (!read_header(x, p, cut))
				return ctl_complain(x->o->file, "the first line names no product_id or sku");
			continue;
		}
		if (cut - p > 4 * FIELD_MAX * (long)sizeof(char) || !add_row(x, p, cut)) {
			fprintf(stderr, "soukctl: %s: line %lld is no row\n", x->o->file, (long long)x->line);
			return 1;
		}
		x->rows++;
		if ((x->rows == ROWS_MAX || x->body.len > BYTES_MAX) && flush(x))
			return 1;
	}
	return flush(x);
}

static int run(struct ctl_session *s, void *arg)
{
	const struct opts *o = arg;
	struct sender x = { .s = s, .o = o, .tty = isatty(STDERR_FILENO) };
	struct stat st;
	int fd = open(o->file, O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0 || fstat(fd, &st) != 0)
		return ctl_complain(o->file, strerror(errno));
	x.len = (size_t)st.st_size;
	void *data = x.len ? mmap(NULL, x.len, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
	close(fd);
	if (data == MAP_FAILED)
		return ctl_complain(o->file, x.len ? strerror(errno) : "empty");
	buf_init(&x.body, 2 * BYTES_MAX);
	rc = send_file(&x, data);
	if (x.tty && x.sent)
		fputc('\n', stderr);
	printf("%lld rows sent: %lld taken, %lld known already, %lld refused\n", (long long)x.sent, (long long)x.accepted,
	       (long long)x.duplicates, (long long)x.refused);
	buf_free(&x.body);
	munmap(data, x.len);
	return rc || x.refused ? 1 : 0;
}

static const char *format_of(const char *file)
{
	const char *dot = strrchr(file, '.');

	return dot && (strcmp(dot, ".csv") == 0 || strcmp(dot, ".tsv") == 0) ? dot + 1 : "jsonl";
}

/* The file's name, what is no letter, digit, - _ . as -, cut to 64. */
static const char *source_of(const char *file, char out[65])
{
	const char *base = strrchr(file, '/');

	snprintf(out, 65, "%.64s", base ? base + 1 : file);
	for (char *p = out; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-_.", *p))
			*p = '-';
	return out;
}

int ctl_reco(int argc, char **argv)
{
	static const struct option options[] = {
		{ "url", required_argument, NULL, 'u' },    { "email", required_argument, NULL, 'e' },
		{ "source", required_argument, NULL, 's' }, { "format", required_argument, NULL, 'f' },
		{ "type", required_argument, NULL, 't' },   { 0 }
	};
	struct opts o = { .url = getenv("SOUK_URL"), .type = "purchase" };
	char name[65];

	if (argc > 1 && strcmp(argv[1], "report") == 0)
		return ctl_reco_report(argc, argv);
	if (argc > 1 && strcmp(argv[1], "import") != 0)
		return ctl_reco_models(argc, argv);
	if (argc < 2)
		return usage();
	optind = 2;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (c) {
		case 'u': o.url = optarg; break;
		case 'e': o.email = optarg; break;
		case 's': o.source = optarg; break;
		case 'f': o.format = optarg; break;
		case 't': o.type = optarg; break;
		default: return usage();
		}
	}
	if (optind + 1 != argc || !o.url || !ctl_known(o.email))
		return usage();
	o.file = argv[optind];
	if (!o.format)
		o.format = format_of(o.file);
	if (strcmp(o.format, "csv") != 0 && strcmp(o.format, "tsv") != 0 && strcmp(o.format, "jsonl") != 0)
		return usage();
	if (!o.source)
		o.source = source_of(o.file, name);
	return ctl_admin(o.url, o.email, run, &o);
}
