#include "services/identity/reply.h"

#include <string.h>

#include "common/check.h"
#include "services/identity/password_rules.h"

char *etag_of(struct call *c, const char *id, int64_t version)
{
	return arena_printf(c->arena, "%s-%lld", id, (long long)version);
}

enum err_code etag_check(struct call *c, const char *if_match, const char *etag)
{
	if (!if_match || strcmp(if_match, "*") == 0 || strcmp(if_match, etag) == 0)
		return OK;
	err_detail(&c->err, "If-Match", etag, "the current ETag is %s", etag);
	return err_set(&c->err, E_PRECOND, "common.precondition_failed", "If-Match %.64s", if_match);
}

enum err_code input_ok(struct call *c)
{
	if (c->err.n_details == 0)
		return OK;
	return err_set(&c->err, E_INVALID, "common.invalid_input", "%s", c->err.details[0].field);
}

bool check_password_given(struct err *e, const char *field, const char *password)
{
	if (password && *password && strlen(password) <= PASSWORD_BYTES)
		return true;
	err_detail(e, field, NULL, password && *password ? "is too long" : "is required");
	return false;
}

void call_act_as(struct call *c, const char *user_id)
{
	c->who.kind = WHO_USER;
	c->who.user_id = user_id;
	c->who.audience = "shop";
	c->who.vendor_id = "";
}

enum err_code not_found(struct call *c, const char *what)
{
	return err_set(&c->err, E_NOT_FOUND, "common.not_found", "%s", what);
}

size_t words_split(struct call *c, const char *text, char ***list_r)
{
	size_t n = 0;

	*list_r = arena_array(c->arena, strlen(text) / 2 + 2, sizeof(**list_r));
	while (*text) {
		size_t len = strcspn(text, " ");

		if (len)
			(*list_r)[n++] = arena_strndup(c->arena, text, len);
		text += len + (text[len] == ' ');
	}
	return n;
}
