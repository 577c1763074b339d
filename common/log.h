/*
 * One JSON object per line on stderr: timestamp level service log request_id user_id trace_id message context{}
 * and, from ERROR up, stack_trace[]. Each call is exactly one line of less than 16 KB, whatever the strings hold.
 * A reader that stopped reading never blocks a request: lines that do not fit into a small buffer are dropped and
 * counted (log_dropped), and the next line that gets through says how many. Lines up to INFO may come 50 ms late, several in
 * one write; a WARNING goes at once and takes them along.
 *
 * Functions log or return an error, never both. Only declared fields reach a line: never pass passwords, tokens, card
 * data, addresses or whole messages; e-mails go through log_mask_email.
 */
#ifndef SOUK_LOG_H
#define SOUK_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compiler.h"
#include "common/err.h"

enum log_level { LVL_DEBUG, LVL_INFO, LVL_WARNING, LVL_ERROR, LVL_CRITICAL };

struct log_field {
	const char *key; /* NULL ends */
	enum { LF_STR_, LF_INT_, LF_BOOL_, LF_F64_ } type;
	const char *s;
	int64_t i;
	double f;
};
#define LF_S(k, v) ((struct log_field){ .key = (k), .type = LF_STR_, .s = (v) }) /* NULL is written as null */
#define LF_I(k, v) ((struct log_field){ .key = (k), .type = LF_INT_, .i = (int64_t)(v) })
#define LF_B(k, v) ((struct log_field){ .key = (k), .type = LF_BOOL_, .i = (v) ? 1 : 0 })
#define LF_F(k, v) ((struct log_field){ .key = (k), .type = LF_F64_, .f = (v) })
#define LF_END	   ((struct log_field){ .key = NULL })

/* log_msg(LVL_INFO, "cart merged", LF_S("cart_id", id), LF_I("lines", n), LF_END) */
#define log_msg(level, message, ...)                                                                \
	do {                                                                                       \
		if (log_enabled(level))                                                            \
			log_write_("app", (level), (message),                                      \
				   (const struct log_field[]){ __VA_ARGS__, LF_END });             \
	} while (0)
/* The access and audit streams (field "log"); level INFO, not filtered by level. */
#define log_access(message, ...)                                                                    \
	log_write_("access", LVL_INFO, (message), (const struct log_field[]){ __VA_ARGS__, LF_END })
#define log_audit(message, ...)                                                                     \
	log_write_("audit", LVL_INFO, (message), (const struct log_field[]){ __VA_ARGS__, LF_END })

void log_write_(const char *stream, enum log_level, const char *message, const struct log_field *fields);

/* A line with the code, slug and msg of e in context. */
void log_err(enum log_level, const char *message, const struct err *e);

void log_init(const char *service, enum log_level); /* before threads */
void log_set_level(enum log_level);
bool log_enabled(enum log_level);
bool log_level_parse(const char *name /* "DEBUG" … "CRITICAL" */, enum log_level *level_r);
const char *log_level_name(enum log_level);

/*
 * What every line of this thread carries from now on; copied, NULL is "". traceparent (W3C) gives trace_id; a
 * malformed one counts as none.
 */
void log_ctx_set(const char *request_id, const char *user_id, const char *traceparent);
void log_ctx_clear(void);
const char *log_ctx_request_id(void); /* "" when none; valid until the next log_ctx_set of this thread */
const char *log_ctx_traceparent(void);

/* "a***@e***": enough to recognise, too little to write to. Returns out. */
#define LOG_MASK_LEN 16
const char *log_mask_email(const char *email, char out[LOG_MASK_LEN]);
/* "***89": the last two digits. */
const char *log_mask_phone(const char *phone, char out[LOG_MASK_LEN]);

int64_t log_dropped(void);
void log_flush(int64_t timeout_ms); /* at exit: give a slow reader that long */
/* Tests: write to this descriptor instead of stderr (2 restores it). */
void log_to_fd(int fd);

#endif
