#include "services/identity/guard.h"

#include <string.h>

#include "services/identity/identity_db.h"
#include "services/identity/person.h"

void guard_add(struct call *c, struct guard *g, enum backoff_kind kind, const void *a, size_t a_len, const char *b)
{
	uint8_t mac[SHA256_LEN];
	char text[BASE64URL_LEN(SHA256_LEN)];
	size_t b_len = strlen(b), n = 2 + a_len + b_len;
	char *in;

	if (g->n == GUARD_KEYS || (a_len == 0 && b_len == 0))
		return;
	in = arena_alloc(c->arena, n);
	in[0] = backoff_rule(kind)->prefix;
	if (a_len)
		memcpy(in + 1, a, a_len);
	memcpy(in + 2 + a_len, b, b_len);
	hmac_sha256(identity_of(c)->keys.backoff.b, KEY_LEN, in, n, mac);
	(void)base64url_encode(mac, sizeof(mac), text);
	g->kind[g->n] = kind;
	g->key[g->n++] = arena_printf(c->arena, "%c:%s", backoff_rule(kind)->prefix, text);
}

void guard_login(struct call *c, struct guard *g, struct pg_bytes email_index, const char *ip, bool known_device)
{
	const char *unit = person_ip_unit(c->arena, ip);

	if (!known_device)
		guard_add(c, g, BACKOFF_ACCOUNT, email_index.data, email_index.len, "");
	guard_add(c, g, BACKOFF_PAIR, email_index.data, email_index.len, known_device ? "known device" : unit);
	if (*unit && !known_device)
		guard_add(c, g, BACKOFF_ADDRESS, "", 0, unit);
}

void guard_factor(struct call *c, struct guard *g, const char *user_id)
{
	guard_add(c, g, BACKOFF_FACTOR, user_id, strlen(user_id), "");
}

enum err_code guard_check(struct call *c, struct pg *pg, const struct guard *g)
{
	int64_t wait_ms = 0;

	if (g->n == 0)
		return OK;
	if (identity_db_backoff_wait(pg, c->arena, g->key, g->n, &wait_ms, &c->err))
		return c->err.code;
	if (wait_ms <= 0)
		return OK;
	c->err.retry_after_ms = (int)wait_ms;
	return err_set(&c->err, E_EXHAUSTED, "identity.slowed", "%lld ms to wait", (long long)wait_ms);
}

struct failure {
	const struct identity_conf *conf;
	const struct guard *guard;
};

static enum err_code count_failure(struct pg *pg, void *arg, struct err *e)
{
	const struct failure *f = arg;
	const struct guard *g = f->guard;

	for (size_t i = 0; i < g->n; i++) {
		struct backoff_rule rule = *backoff_rule(g->kind[i]);

		if (g->kind[i] == BACKOFF_ADDRESS) /* an office or a test run may need more */
			rule.free = f->conf->address_free;
		if (identity_db_backoff_fail(pg, g->key[i], &rule, e))
			return e->code;
	}
	return OK;
}

enum err_code guard_fail(struct call *c, const struct guard *g)
{
	struct failure f = { identity_of(c)->conf, g };

	return call_tx(c, CALL_TX_PLAIN, count_failure, &f);
}

enum err_code guard_clear(struct call *c, struct pg *pg, const struct guard *g, struct err *e)
{
	const char *keys[GUARD_KEYS];
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++)
		if (g->kind[i] != BACKOFF_ADDRESS)
			keys[n++] = g->key[i];
	return n ? identity_db_backoff_clear(pg, c->arena, keys, n, e) : OK;
}
