/* What soukctl's commands share: a session with the REST surface, the password, a bar. */
#ifndef SOUK_SOUKCTL_SESSION_H
#define SOUK_SOUKCTL_SESSION_H

#include "common/httpc.h"

#define CTL_REPLY_MAX (1 << 20)

struct buf;
struct ctl_session {
	struct httpc *http;
	struct arena *arena;
	const char *url;
	char bearer[4096]; /* the header, after ctl_sign_in */
};

extern const char *const ctl_services[]; /* the daemons that have tables and a Node service; ends with NULL */
bool ctl_is_service(const char *name);
/* One line on stderr; returns 1, the exit code. */
int ctl_complain(const char *what, const char *why);
/* The end of a usage text. */
#define CTL_CREDENTIALS                                                                                                       \
	"An administrator signs in with --email EMAIL and the password in SOUK_PASSWORD, the file SOUK_PASSWORD_FILE, or from\n" \
	"the terminal; without --email, an API key in SOUK_API_KEY or the file SOUK_API_KEY_FILE stands for one.\n"
/* Whether somebody could sign in: an address is given, or an API key. */
bool ctl_known(const char *email);
/* The password comes from SOUK_PASSWORD, the file SOUK_PASSWORD_FILE, or the terminal. vendor_id may be NULL. */
int ctl_sign_in(struct ctl_session *, const char *email, const char *audience, const char *vendor_id);
/*
 * 0 and the reply's text (in the arena) for a 2xx; else 1, the error told on stderr. Where the shop says "too many" or
 * "later" it waits as long as it is told and tries again.
 */
int ctl_request(struct ctl_session *, const char *method, const char *path, const char *const *headers,
		struct pg_bytes body, int64_t timeout_ms, const char **text_r);
/* Appends ?key=value or &key=value, escaped; NULL appends nothing. */
void ctl_query_add(struct buf *, const char *key, const char *value);
/* The same with the session's token and JSON; body NULL: none for a GET, {} for the others. */
int ctl_ask(struct ctl_session *, const char *method, const char *path, const struct buf *body, const char **text_r);
/* Prints what fn makes of the answer to GET path; returns the exit code. text_r (may be NULL): the answer, until the next. */
int ctl_show(struct ctl_session *, const char *path, bool (*fn)(const char *json, struct buf *out), const char **text_r);
/* Prints text; what would steer the terminal becomes '?'. */
void ctl_print(const struct buf *text);
/* Signs in as an administrator (email NULL: by API key), runs fn, forgets the token; returns the exit code. */
int ctl_admin(const char *url, const char *email, int (*fn)(struct ctl_session *, void *arg), void *arg);
/* Draws over the line of stderr; rows below 0 are not named. */
void ctl_bar(int64_t percent, const char *state, int64_t rows);

#endif
