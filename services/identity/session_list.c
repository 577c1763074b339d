#include "common/page.h"
#include "services/identity/session_list.h"

#include <string.h>

#include "services/identity/identity_db.h"
#include "services/identity/person.h"
#include "services/identity/reply.h"

static enum err_code show(struct call *c, const struct session_list_ask *ask, struct keyring *ring,
			  const struct session_list_row *row, Identity__V1__Session *s)
{
	const char *agent = NULL, *ip = NULL;

	if (ring && (crypto_open_text(ring, "identity.session.user_agent", row->id, row->user_agent, c->arena, &agent,
				      &c->err) ||
		     crypto_open_text(ring, "identity.session.ip", row->id, row->ip, c->arena, &ip, &c->err)))
		return c->err.code;
	s->id = call_str(c, row->id);
	s->audience = call_str(c, row->audience);
	s->vendor_id = call_str(c, row->vendor_id);
	if (agent && !ask->masked)
		s->user_agent = call_str(c, agent);
	if (ip)
		s->ip = call_str(c, person_short_ip(c->arena, ip));
	SET(s, current, strcmp(row->id, c->who.session_id ? c->who.session_id : "") == 0);
	SET(s, created_at, row->created_at);
	SET(s, last_used_at, row->last_used_at);
	SET(s, expires_at, row->expires_at);
	return OK;
}

static enum err_code show_all(struct call *c, struct pg *pg, const struct session_list_ask *ask, const struct page *p,
			      Identity__V1__SessionsReply *out)
{
	struct session_list_row *rows;
	struct account_row *account;
	struct keyring *ring = NULL;
	bool found = false;
	size_t n;

	if (identity_db_account_get(pg, c->arena, ask->user_id, &account, &found, &c->err))
		return c->err.code;
	if (!found)
		return not_found(c, "user");
	if (identity_db_session_page(pg, c->arena, ask->user_id, page_text(p, 0, ""), p->limit + 1, &rows, &n, &c->err) ||
	    (account->person_key.data && person_key_open(&identity_of(c)->keys, c->arena, account->id,
							 account->person_key, &ring, &c->err)))
		return c->err.code;
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < page_shown(p, n) && c->err.code == OK; i++) {
		out->data[out->n_data] = arena_alloc(c->arena, sizeof(**out->data));
		identity__v1__session__init(out->data[out->n_data]);
		(void)show(c, ask, ring, &rows[i], out->data[out->n_data++]);
	}
	keyring_free(ring);
	if (page_more(p, n))
		out->next_cursor = page_next(c, p, rows[p->limit - 1].id);
	return c->err.code;
}

enum err_code session_list(struct call *c, const struct session_list_ask *ask, Identity__V1__SessionsReply *out)
{
	const char *filter = arena_printf(c->arena, "sessions|%s", ask->user_id);
	struct page p;
	struct pg *pg;

	if (page_of(c, ask, filter, "t", &p) || call_pg(c, &pg))
		return c->err.code;
	(void)show_all(c, pg, ask, &p, out);
	pg_return(pg);
	return c->err.code;
}
