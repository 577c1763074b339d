/* Small steps that many handlers take: ETags, fields of replies. */
#ifndef SOUK_IDENTITY_REPLY_H
#define SOUK_IDENTITY_REPLY_H

#include "common/crypto.h"
#include "services/identity/identity.h"

/* An optional scalar of a message. */
#define SET(out, field, value) ((out)->has_##field = 1, (out)->field = (value))

/* For calls inside a borrowed connection: their outcome is in c->err, read once the connection is back. */
static inline void noted(enum err_code code)
{
	(void)code;
}

char *etag_of(struct call *c, const char *id, int64_t version);
/* NULL if_match is fine; another than etag is 412 with the current one. */
MUST_CHECK enum err_code etag_check(struct call *c, const char *if_match, const char *etag);

/* 400 when a check has added a detail. */
MUST_CHECK enum err_code input_ok(struct call *c);
/* The password as a field: present, not absurdly long. Whether it is good enough is password_good's to say. */
bool check_password_given(struct err *e, const char *field, const char *password);

/* From here on audit rows name this user: he has proved who he is, though the call came without a token. */
void call_act_as(struct call *c, const char *user_id);

/* Words of a space-separated text into a list in the arena. */
size_t words_split(struct call *c, const char *text, char ***list_r);

MUST_CHECK enum err_code not_found(struct call *c, const char *what);

#endif
