/* Who calls, and the transaction of a call. */
#include "common/call.h"

#include <string.h>

#include "common/idem.h"
#include "common/timeutil.h"

static bool text(const char *s)
{
	return s && *s;
}

bool call_has_perm(const struct call *c, const char *perm)
{
	for (size_t i = 0; i < c->who.n_perms; i++)
		if (strcmp(c->who.perms[i], perm) == 0)
			return true;
	return false;
}

enum err_code call_user(struct call *c)
{
	if (c->who.kind == WHO_ANONYMOUS)
		return err_set(&c->err, E_UNAUTH, "common.unauthenticated", "%s needs a user", c->method);
	if (c->who.kind != WHO_USER || !text(c->who.user_id))
		return err_set(&c->err, E_DENIED, "common.forbidden", "%s is for users", c->method);
	return OK;
}

enum err_code call_perm(struct call *c, const char *perm)
{
	if (call_user(c))
		return c->err.code;
	if (perm && !call_has_perm(c, perm))
		return err_set(&c->err, E_DENIED, "common.forbidden", "%s needs %s", c->method, perm);
	return OK;
}

enum err_code call_vendor(struct call *c, const char *perm)
{
	if (call_perm(c, perm))
		return c->err.code;
	if (!text(c->who.audience) || strcmp(c->who.audience, "vendor") != 0 || !text(c->who.vendor_id))
		return err_set(&c->err, E_DENIED, "common.forbidden", "%s is for vendors", c->method);
	return OK;
}

/* name is one of the comma list. */
static bool listed(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = list; n > 0 && p; p = strchr(p, ','), p = p ? p + 1 : NULL)
		if (strncmp(p, name, n) == 0 && (p[n] == ',' || !p[n]))
			return true;
	return false;
}

enum err_code call_service(struct call *c, const char *callers)
{
	if (c->who.kind == WHO_ANONYMOUS)
		return err_set(&c->err, E_UNAUTH, "common.unauthenticated", "%s is for services", c->method);
	if (c->who.kind != WHO_SERVICE || !text(c->who.service) || !listed(callers, c->who.service))
		return err_set(&c->err, E_DENIED, "common.forbidden", "%s is for %s", c->method, callers);
	return OK;
}

enum err_code call_caller(struct call *c, const char *callers)
{
	if (!text(c->caller) || !listed(callers, c->caller))
		return err_set(&c->err, E_DENIED, "common.forbidden", "%s is for calls from %s", c->method, callers);
	return OK;
}

const char *call_actor(struct call *c)
{
	switch (c->who.kind) {
	case WHO_USER:
		if (text(c->who.vendor_id))
			return arena_printf(c->arena, "vendor:%s/%s", c->who.vendor_id, c->who.user_id);
		return arena_printf(c->arena, "user:%s", c->who.user_id ? c->who.user_id : "");
	case WHO_SERVICE:
		return arena_printf(c->arena, "service:%s", c->who.service ? c->who.service : "");
	case WHO_ANONYMOUS:
		break;
	}
	return "anonymous";
}

enum err_code call_pg(struct call *c, struct pg **pg_r)
{
	if (!c->pool)
		return err_set(&c->err, E_INTERNAL, "common.internal", "%s without a database", c->method);
	return pg_borrow(c->pool, c->deadline_ms, pg_r, &c->err);
}

char *call_str(struct call *c, const char *s)
{
	return arena_strdup(c->arena, s);
}

struct keyed {
	struct call *c;
	unsigned flags;
	pg_tx_fn *fn;
	void *arg;
};

static enum err_code keyed_tx(struct pg *pg, void *arg, struct err *e)
{
	struct keyed *k = arg;

	if (idem_begin(k->c, pg, k->flags) || k->fn(pg, k->arg, e))
		return e->code;
	if (k->flags & CALL_TX_FIRST)
		return idem_keep_resource(k->c, pg);
	return idem_finish(k->c, pg);
}

enum err_code call_tx(struct call *c, unsigned flags, pg_tx_fn *fn, void *arg)
{
	const struct pg_actor who = { call_actor(c), c->request_id };
	struct keyed k = { c, flags, fn, arg };

	if (!c->pool)
		return err_set(&c->err, E_INTERNAL, "common.internal", "%s without a database", c->method);
	if ((flags & CALL_TX_PLAIN) || !c->idem)
		return pg_tx(c->pool, c->deadline_ms, &who, fn, arg, &c->err);
	if (pg_tx(c->pool, c->deadline_ms, &who, keyed_tx, &k, &c->err))
		return c->err.code;
	idem_committed(c, flags);
	return OK;
}
