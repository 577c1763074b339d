/*
 * One JSON object per line on stderr: timestamp, level, service, log (app, access, audit), request_id, user_id, trace_id,
 * message, context. Whatever the values hold, a call is exactly one parseable line under 16 KB.
 */
#ifndef SOUK_LOG_H
#define SOUK_LOG_H

#include <stdint.h>

#include "common/err.h"

enum log_level { LVL_DEBUG, LVL_INFO, LVL_WARNING, LVL_ERROR, LVL_CRITICAL };

enum log_kind { LOG_END_ = 0, LOG_STR_, LOG_INT_ };
struct log_field {
	const char *key;
	enum log_kind kind;
	const char *s;
	int64_t i;
};
#define LF_S(k, v) ((struct log_field){ (k), LOG_STR_, (v), 0 })	      /* NULL is left out */
#define LF_I(k, v) ((struct log_field){ (k), LOG_INT_, NULL, (int64_t)(v) })
#define LF_END ((struct log_field){ NULL, LOG_END_, NULL, 0 })

void log_init(const char *service);
void log_set_level(enum log_level level);
bool log_parse_level(const char *word, enum log_level *r);
bool log_enabled(enum log_level level);

/* log_msg(LVL_INFO, "request", LF_S("method", m), LF_I("ms", 5), LF_END) */
#define log_msg(level, message, ...)                                                               \
	do {                                                                                       \
		if (log_enabled(level))                                                            \
			log_fields_("app", level, message, (const struct log_field[]){ __VA_ARGS__ }); \
	} while (0)
#define log_access(message, ...)                                                                   \
	log_fields_("access", LVL_INFO, message, (const struct log_field[]){ __VA_ARGS__ })
#define log_audit(message, ...)                                                                    \
	log_fields_("audit", LVL_INFO, message, (const struct log_field[]){ __VA_ARGS__ })
/* An error with its slug, code and message, and what was being done. */
void log_err(enum log_level level, const char *doing, const struct err *e);
void log_fields_(const char *stream, enum log_level level, const char *message, const struct log_field *f);

/* This thread's request; texts are copied (cut at 64). NULL or "" clears. */
void log_ctx_set(const char *request_id, const char *user_id, const char *traceparent);
void log_ctx_clear(void);
const char *log_ctx_traceparent(void); /* "" when none */
const char *log_ctx_request_id(void);

void log_mask_email(const char *email, char out[64]); /* a***@d*** */

#endif
