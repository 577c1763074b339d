#include "common/log.h"

#include <execinfo.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/check.h"
#include "common/log_sink.h"
#include "common/timeutil.h"

#define LINE_MAX_LEN (16 * 1024 - 1)
#define LINE_USUAL   1024
#define STRING_MAX   2048 /* bytes of one value; longer ones are cut */
#define FIELDS_MAX   24
#define FRAMES_MAX   24

static const char *const level_names[] = { "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL" };
static char service_name[32] = "souk";
static _Atomic int threshold = LVL_INFO;

static _Thread_local struct {
	char request_id[65];
	char user_id[65];
	char traceparent[56];
	char trace_id[33];
} ctx;

/* One line under construction on the stack: no heap, so it works when memory does not. Text that does not fit is left
 * out as a whole; room for what closes the line is always kept. */
struct line {
	char *text;
	size_t len, size;
	bool usual; /* of usual length: nothing is kept, and what does not fit is short, which asks for a longest line */
	bool is_short;
};

static bool line_add(struct line *l, const char *s, size_t n, size_t keep)
{
	if (n + (l->usual ? 0 : keep) > l->size - l->len) {
		l->is_short = true;
		return false;
	}
	memcpy(l->text + l->len, s, n);
	l->len += n;
	return true;
}

static bool as_it_is(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* How many bytes at the front are themselves in JSON. In pieces, so that a long text that does not fit is cut, not lost. */
static size_t plain_run(const char *s, size_t n)
{
	size_t i = 0;

	while (i < n && i < 256 && as_it_is((unsigned char)s[i]))
		i++;
	return i;
}

/* Appends s as the inside of a JSON string: one line, valid UTF-8, at most STRING_MAX bytes of input. */
static void line_escaped(struct line *l, const char *s, size_t keep)
{
	size_t n = strnlen(s, STRING_MAX + 1), cut = n;

	if (n > STRING_MAX)
		cut = utf8_cut(s, STRING_MAX);
	for (size_t i = 0; i < cut;) {
		size_t plain = plain_run(s + i, cut - i);

		if (plain) {
			if (!line_add(l, s + i, plain, keep))
				return;
			i += plain;
			continue;
		}
		size_t len = utf8_char(s + i, cut - i);
		char esc[8];
		const char *text = s + i;
		size_t text_len = len;

		if (len == 0) {
			text = "\\ufffd";
			text_len = 6;
		} else if (len == 1 && ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)) {
			(void)snprintf(esc, sizeof(esc), "\\u%04x", (unsigned)(unsigned char)s[i]);
			text = esc;
			text_len = 6;
		} else if (len == 1 && (s[i] == '"' || s[i] == '\\')) {
			esc[0] = '\\';
			esc[1] = s[i];
			text = esc;
			text_len = 2;
		}
		if (!line_add(l, text, text_len, keep))
			return;
		i += len ? len : 1;
	}
	if (cut < n)
		(void)line_add(l, "...", 3, keep);
}

static void line_str(struct line *l, const char *s)
{
	(void)line_add(l, "\"", 1, 2);
	line_escaped(l, s, 4096);
	(void)line_add(l, "\"", 1, 0);
}

static void line_raw(struct line *l, const char *s)
{
	(void)line_add(l, s, strlen(s), 64);
}

static void line_member(struct line *l, const char *key, const char *value)
{
	line_raw(l, ",\"");
	line_raw(l, key);
	line_raw(l, "\":");
	line_str(l, value);
}

/* Several in every line of the access log, so not by snprintf. */
static void line_int(struct line *l, int64_t v)
{
	uint64_t left = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	char text[20], *at = text + sizeof(text);

	do
		*--at = (char)('0' + left % 10);
	while (left /= 10);
	if (v < 0)
		line_raw(l, "-");
	(void)line_add(l, at, (size_t)(text + sizeof(text) - at), 64);
}

static void line_value(struct line *l, const struct log_field *f)
{
	char num[40];

	switch (f->type) {
	case LF_STR_:
		if (f->s)
			line_str(l, f->s);
		else
			line_raw(l, "null");
		return;
	case LF_BOOL_:
		line_raw(l, f->i ? "true" : "false");
		return;
	case LF_F64_:
		if (isfinite(f->f))
			(void)snprintf(num, sizeof(num), "%.9g", f->f);
		else
			(void)snprintf(num, sizeof(num), "null");
		line_raw(l, num);
		return;
	case LF_INT_:
	default:
		line_int(l, f->i);
		return;
	}
}

static void line_context(struct line *l, const struct log_field *fields)
{
	size_t before, n = 0;

	line_raw(l, ",\"context\":{");
	for (; fields->key && n < FIELDS_MAX; fields++, n++) {
		before = l->len;
		if (n)
			line_raw(l, ",");
		line_str(l, fields->key);
		line_raw(l, ":");
		line_value(l, fields);
		if (!l->usual && l->size - l->len < 4096) { /* no room left for sure: this field goes, and the rest */
			l->len = before;
			break;
		}
	}
	line_raw(l, "}");
}

static void line_stack(struct line *l)
{
	void *frames[FRAMES_MAX];
	int n = backtrace(frames, FRAMES_MAX);
	char **names = backtrace_symbols(frames, n);

	line_raw(l, ",\"stack_trace\":[");
	for (int i = 2; names && i < n; i++) { /* without this function and log_write_ */
		const char *base = strrchr(names[i], '/');

		if (l->size - l->len < 512)
			break;
		if (i > 2)
			line_raw(l, ",");
		(void)line_add(l, "\"", 1, 2);
		line_escaped(l, base ? base + 1 : names[i], 64);
		(void)line_add(l, "\"", 1, 0);
	}
	line_raw(l, "]");
	free(names);
}

struct entry {
	const char *stream, *message, *timestamp;
	enum log_level level;
	const struct log_field *fields;
	int64_t lost;
};

/* Writes it, unless the line is too short for it. */
static bool write_line(struct line *l, const struct entry *n)
{
	line_raw(l, "{\"timestamp\":\"");
	line_raw(l, n->timestamp);
	line_raw(l, "\",\"level\":\"");
	line_raw(l, log_level_name(n->level));
	line_raw(l, "\"");
	line_member(l, "service", service_name);
	line_member(l, "log", n->stream);
	line_member(l, "request_id", ctx.request_id);
	line_member(l, "user_id", ctx.user_id);
	line_member(l, "trace_id", ctx.trace_id);
	line_member(l, "message", n->message ? n->message : "");
	line_context(l, n->fields);
	if (n->level >= LVL_ERROR)
		line_stack(l);
	if (n->lost) {
		line_raw(l, ",\"lines_dropped\":");
		line_int(l, n->lost);
	}
	(void)line_add(l, "}\n", 2, 0);
	if (l->usual && l->is_short)
		return false;
	/* What is routine may wait for company; what is not goes at once, with all that waited before it. */
	if (!(n->level <= LVL_INFO ? log_sink_write_lazy(l->text, l->len) : log_sink_write(l->text, l->len)))
		log_sink_give_dropped(n->lost);
	return true;
}

/* The longest line takes four pages of a stack; a hundred threads that only ever write usual ones shall not hold them. */
__attribute__((noinline)) static bool write_usual(const struct entry *n)
{
	char text[LINE_USUAL];

	return write_line(&(struct line){ .text = text, .size = sizeof(text), .usual = true }, n);
}

__attribute__((noinline)) static void write_longest(const struct entry *n)
{
	char text[LINE_MAX_LEN + 1];

	(void)write_line(&(struct line){ .text = text, .size = sizeof(text) }, n);
}

void log_write_(const char *stream, enum log_level level, const char *message, const struct log_field *fields)
{
	char ts[TIME_TEXT_LEN];
	struct entry n = { .stream = stream, .message = message, .level = level, .fields = fields };

	n.timestamp = time_rfc3339(wall_ms(), ts);
	n.lost = log_sink_take_dropped();
	if (level >= LVL_ERROR || !write_usual(&n))
		write_longest(&n);
}

void log_err(enum log_level level, const char *message, const struct err *e)
{
	log_msg(level, message, LF_S("code", err_code_name(e->code)), LF_S("slug", e->slug), LF_S("error", e->msg),
		LF_END);
}

void log_init(const char *service, enum log_level level)
{
	void *frame[1];

	(void)snprintf(service_name, sizeof(service_name), "%s", service);
	log_set_level(level);
	(void)backtrace(frame, 1); /* loads the unwinder now and not in the first crash */
	log_sink_open(STDERR_FILENO);
}

void log_set_level(enum log_level level)
{
	atomic_store(&threshold, (int)level);
}

bool log_enabled(enum log_level level)
{
	return (int)level >= atomic_load_explicit(&threshold, memory_order_relaxed);
}

bool log_level_parse(const char *name, enum log_level *level_r)
{
	for (size_t i = 0; name && i < ARRAY_LEN(level_names); i++)
		if (strcmp(name, level_names[i]) == 0) {
			*level_r = (enum log_level)i;
			return true;
		}
	return false;
}

const char *log_level_name(enum log_level level)
{
	return (size_t)level < ARRAY_LEN(level_names) ? level_names[level] : "ERROR";
}

static bool hex_run(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
			return false;
	return true;
}

/* W3C trace context, version 00 to fe: "00-<32 hex>-<16 hex>-<2 hex>", no part all zero. */
static bool traceparent_ok(const char *s)
{
	if (!s || strnlen(s, 56) != 55 || s[2] != '-' || s[35] != '-' || s[52] != '-')
		return false;
	if (!hex_run(s, 2) || !hex_run(s + 3, 32) || !hex_run(s + 36, 16) || !hex_run(s + 53, 2))
		return false;
	return strncmp(s, "ff", 2) != 0 && strspn(s + 3, "0") < 32 && strspn(s + 36, "0") < 16;
}

static void set(char *out, size_t size, const char *s)
{
	size_t n = s ? strnlen(s, size - 1) : 0;

	memcpy(out, s ? s : "", n);
	out[n] = '\0';
}

void log_ctx_set(const char *request_id, const char *user_id, const char *traceparent)
{
	set(ctx.request_id, sizeof(ctx.request_id), request_id);
	set(ctx.user_id, sizeof(ctx.user_id), user_id);
	if (traceparent_ok(traceparent)) {
		set(ctx.traceparent, sizeof(ctx.traceparent), traceparent);
		memcpy(ctx.trace_id, ctx.traceparent + 3, 32);
		ctx.trace_id[32] = '\0';
	} else {
		ctx.traceparent[0] = ctx.trace_id[0] = '\0';
	}
}

void log_ctx_clear(void)
{
	memset(&ctx, 0, sizeof(ctx));
}

const char *log_ctx_request_id(void)
{
	return ctx.request_id;
}

const char *log_ctx_traceparent(void)
{
	return ctx.traceparent;
}

const char *log_mask_email(const char *email, char out[LOG_MASK_LEN])
{
	const char *at = email ? strrchr(email, '@') : NULL;
	size_t first, host;

	if (!at || at == email) {
		(void)snprintf(out, LOG_MASK_LEN, "***");
		return out;
	}
	first = utf8_char(email, strlen(email));
	host = utf8_char(at + 1, strlen(at + 1));
	(void)snprintf(out, LOG_MASK_LEN, "%.*s***@%.*s***", (int)first, email, (int)host, at + 1);
	return out;
}

const char *log_mask_phone(const char *phone, char out[LOG_MASK_LEN])
{
	size_t n = phone ? strlen(phone) : 0;

	(void)snprintf(out, LOG_MASK_LEN, "***%.2s", n >= 6 ? phone + n - 2 : "");
	return out;
}

int64_t log_dropped(void)
{
	return log_sink_dropped();
}

void log_flush(int64_t timeout_ms)
{
	int64_t until = mono_ms() + timeout_ms;

	while (!log_sink_drain() && mono_ms() < until)
		sleep_ms(5);
}

void log_to_fd(int fd)
{
	log_sink_open(fd);
}
