/* What administrators tell the search, and what it tells them. */
#include <string.h>

#include "common/check.h"
#include "common/id.h"
#include "common/page.h"
#include "common/timeutil.h"
#include "search.pb-c.h"
#include "services/search/query.h"
#include "services/search/search.h"
#include "services/search/search_db_admin.h"
#include "services/search/search_db_index.h"

#define WORDS_MAX 20
#define PERM "admin.catalog"

RPC_HANDLER(search_create_synonym, Search__V1__CreateSynonymRequest, Search__V1__Synonym)
RPC_HANDLER(search_list_synonyms, Search__V1__ListSynonymsRequest, Search__V1__ListSynonymsReply)
RPC_HANDLER(search_delete_synonym, Search__V1__DeleteSynonymRequest, Common__V1__Empty)
RPC_HANDLER(search_create_rule, Search__V1__CreateRuleRequest, Search__V1__Rule)
RPC_HANDLER(search_list_rules, Search__V1__ListRulesRequest, Search__V1__ListRulesReply)
RPC_HANDLER(search_delete_rule, Search__V1__DeleteRuleRequest, Common__V1__Empty)
RPC_HANDLER(search_start_reindex, Search__V1__ReindexRequest, Search__V1__Reindex)
RPC_HANDLER(search_get_reindex, Search__V1__ReindexRequest, Search__V1__Reindex)
RPC_HANDLER(search_get_report, Search__V1__ReportRequest, Search__V1__ReportReply)

const struct rpc_method search_admin_methods[] = {
	{ "CreateSynonym", search_create_synonym_, RPC_WRITE | RPC_KEYED, 0 },
	{ "ListSynonyms", search_list_synonyms_, RPC_READ, 0 },
	{ "DeleteSynonym", search_delete_synonym_, RPC_WRITE | RPC_KEYED, 0 },
	{ "CreateRule", search_create_rule_, RPC_WRITE | RPC_KEYED, 0 },
	{ "ListRules", search_list_rules_, RPC_READ, 0 },
	{ "DeleteRule", search_delete_rule_, RPC_WRITE | RPC_KEYED, 0 },
	{ "StartReindex", search_start_reindex_, RPC_WRITE | RPC_KEYED, 0 },
	{ "GetReindex", search_get_reindex_, RPC_READ, 0 },
	{ "GetReport", search_get_report_, RPC_READ, 0 },
	{ 0 },
};

/* ---- synonyms ---- */

struct synonym_tx {
	struct call *c;
	const char *lang;
	bool one_way;
	const char **words;
	size_t n;
	Search__V1__Synonym *out;
};

static enum err_code synonym_tx(struct pg *pg, void *arg, struct err *e)
{
	struct synonym_tx *t = arg;
	char *id = arena_alloc(t->c->arena, ID_LEN);

	id_new("syn", id);
	t->out->id = id;
	return search_db_synonym_add(pg, t->c->arena, id, t->lang, t->one_way, t->words, t->n, e);
}

static enum err_code search_create_synonym(struct call *c, const Search__V1__CreateSynonymRequest *in,
					   Search__V1__Synonym *out)
{
	struct search_svc *svc = c->svc;
	struct synonym_tx t = { .c = c, .lang = in->lang ? in->lang : svc->conf->lang, .one_way = in->from, .out = out };

	if (call_perm(c, PERM))
		return c->err.code;
	check_language(&c->err, "lang", t.lang);
	if (in->n_words < (in->from ? 1u : 2u) || in->n_words > WORDS_MAX)
		err_detail(&c->err, "words", NULL, "two to twenty, or with from at least one");
	if (in->from)
		check_text(&c->err, "from", in->from, 1, 100);
	for (size_t i = 0; i < in->n_words && i < WORDS_MAX; i++)
		check_text(&c->err, "words", in->words[i], 1, 100);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "synonym");
	t.words = arena_array(c->arena, WORDS_MAX + 1, sizeof(*t.words));
	if (in->from)
		t.words[t.n++] = query_normal(c->arena, in->from);
	for (size_t i = 0; i < in->n_words; i++)
		t.words[t.n++] = query_normal(c->arena, in->words[i]);
	for (size_t i = 0; i < t.n; i++)
		if (!t.words[i][0])
			err_detail(&c->err, "words", NULL, "each needs a letter or a digit");
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "synonym");
	out->lang = (char *)t.lang;
	out->from = in->from ? (char *)t.words[0] : NULL;
	out->words = (char **)(in->from ? t.words + 1 : t.words);
	out->n_words = in->from ? t.n - 1 : t.n;
	out->has_created_at = true;
	out->created_at = wall_ms();
	return call_tx(c, CALL_TX_ONLY, synonym_tx, &t);
}

static Search__V1__Synonym *synonym_msg(struct arena *a, const struct synonym_row *r)
{
	Search__V1__Synonym *m = arena_alloc(a, sizeof(*m));
	char *text = arena_strdup(a, r->words), *save = NULL;

	search__v1__synonym__init(m);
	m->id = (char *)r->id;
	m->lang = (char *)r->lang;
	m->words = arena_array(a, WORDS_MAX + 2, sizeof(*m->words));
	for (char *p = strtok_r(text, "\x1f", &save); p && m->n_words <= WORDS_MAX; p = strtok_r(NULL, "\x1f", &save)) {
		if (r->one_way && !m->from)
			m->from = p;
		else
			m->words[m->n_words++] = p;
	}
	m->has_created_at = true;
	m->created_at = r->created_at;
	return m;
}

static enum err_code search_list_synonyms(struct call *c, const Search__V1__ListSynonymsRequest *in,
					  Search__V1__ListSynonymsReply *out)
{
	struct synonym_row *rows = NULL;
	struct page page;
	struct pg *pg;
	size_t n = 0;
	enum err_code code;

	if (call_perm(c, PERM))
		return c->err.code;
	if (page_of(c, in, "synonyms", "t", &page) || call_pg(c, &pg))
		return c->err.code;
	code = search_db_synonyms(pg, c->arena, page_text(&page, 0, ""), page.limit + 1, &rows, &n, &c->err);
	pg_return(pg);
	if (code)
		return code;
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < page_shown(&page, n); i++)
		out->data[out->n_data++] = synonym_msg(c->arena, &rows[i]);
	if (page_more(&page, n))
		out->next_cursor = page_next(c, &page, rows[page.limit - 1].id);
	return OK;
}

struct drop_tx {
	const char *id, *slug;
	enum err_code (*drop)(struct pg *, const char *, bool *, struct err *);
};

static enum err_code drop_tx(struct pg *pg, void *arg, struct err *e)
{
	struct drop_tx *t = arg;
	bool found = false;

	if (t->drop(pg, t->id, &found, e))
		return e->code;
	return found ? OK : err_set(e, E_NOT_FOUND, "common.not_found", "%s", t->id);
}

static enum err_code drop(struct call *c, const char *field, const char *prefix, const char *id,
			  enum err_code (*fn)(struct pg *, const char *, bool *, struct err *))
{
	struct drop_tx t = { .id = id, .drop = fn };

	if (call_perm(c, PERM))
		return c->err.code;
	check_id(&c->err, field, id, prefix);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "%s", field);
	return call_tx(c, CALL_TX_ONLY, drop_tx, &t);
}

static enum err_code search_delete_synonym(struct call *c, const Search__V1__DeleteSynonymRequest *in,
					   Common__V1__Empty *out)
{
	(void)out;
	return drop(c, "synonym_id", "syn", in->synonym_id, search_db_synonym_drop);
}

/* ---- rules ---- */

static Search__V1__Rule *rule_fill(const struct rule_row *r, Search__V1__Rule *m)
{
	m->id = (char *)r->id;
	m->query = (char *)r->query;
	m->action = (char *)r->action;
	m->product_id = (char *)r->product_id;
	m->has_position = strcmp(r->action, "pin") == 0;
	m->position = r->position;
	m->has_boost_percent = strcmp(r->action, "boost") == 0;
	m->boost_percent = r->boost_percent;
	m->has_starts_at = r->starts_at > 0;
	m->starts_at = r->starts_at;
	m->has_ends_at = r->ends_at > 0;
	m->ends_at = r->ends_at;
	m->has_created_at = true;
	m->created_at = r->created_at;
	return m;
}

struct rule_tx {
	struct call *c;
	struct rule_row row;
	Search__V1__Rule *out;
};

static enum err_code rule_tx(struct pg *pg, void *arg, struct err *e)
{
	struct rule_tx *t = arg;
	char *id = arena_alloc(t->c->arena, ID_LEN);

	id_new("rul", id);
	t->row.id = id;
	(void)rule_fill(&t->row, t->out);
	if (search_db_rule_add(pg, &t->row, e) == E_CONFLICT && strcmp(pg_constraint(pg), "rule_once") == 0)
		return err_set(e, E_CONFLICT, "search.rule_exists", "%s", t->row.product_id);
	return e->code;
}

static enum err_code search_create_rule(struct call *c, const Search__V1__CreateRuleRequest *in, Search__V1__Rule *out)
{
	struct rule_tx t = { c, { .action = in->action, .product_id = in->product_id, .position = in->position,
				  .boost_percent = in->boost_percent, .starts_at = in->starts_at, .ends_at = in->ends_at,
				  .created_at = wall_ms() },
			     out };

	if (call_perm(c, PERM))
		return c->err.code;
	check_text(&c->err, "query", in->query, 1, 200);
	check_oneof(&c->err, "action", in->action, "pin|hide|boost");
	check_id(&c->err, "product_id", in->product_id, "prd");
	if (in->action && strcmp(in->action, "pin") == 0)
		check_range(&c->err, "position", in->position, 1, 100);
	if (in->action && strcmp(in->action, "boost") == 0)
		check_range(&c->err, "boost_percent", in->boost_percent, -90, 900);
	if (in->has_starts_at && in->has_ends_at && in->ends_at <= in->starts_at)
		err_detail(&c->err, "ends_at", NULL, "must be after starts_at");
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "rule");
	t.row.query = query_normal(c->arena, in->query);
	if (!t.row.query[0]) {
		err_detail(&c->err, "query", NULL, "needs a letter or a digit");
		return err_set(&c->err, E_INVALID, "common.invalid_input", "rule");
	}
	return call_tx(c, CALL_TX_ONLY, rule_tx, &t);
}

static enum err_code search_list_rules(struct call *c, const Search__V1__ListRulesRequest *in,
				       Search__V1__ListRulesReply *out)
{
	const char *query = in->query ? query_normal(c->arena, in->query) : NULL, *filter;
	struct rule_row *rows = NULL;
	struct page page;
	struct pg *pg;
	size_t n = 0;
	enum err_code code;

	if (call_perm(c, PERM))
		return c->err.code;
	filter = arena_printf(c->arena, "rules|%s", query ? query : "");
	if (page_of(c, in, filter, "t", &page) || call_pg(c, &pg))
		return c->err.code;
	code = search_db_rules(pg, c->arena, query, page_text(&page, 0, ""), page.limit + 1, &rows, &n, &c->err);
	pg_return(pg);
	if (code)
		return code;
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < page_shown(&page, n); i++) {
		Search__V1__Rule *m = arena_alloc(c->arena, sizeof(*m));

		search__v1__rule__init(m);
		out->data[out->n_data++] = rule_fill(&rows[i], m);
	}
	if (page_more(&page, n))
		out->next_cursor = page_next(c, &page, rows[page.limit - 1].id);
	return OK;
}

static enum err_code search_delete_rule(struct call *c, const Search__V1__DeleteRuleRequest *in, Common__V1__Empty *out)
{
	(void)out;
	return drop(c, "rule_id", "rul", in->rule_id, search_db_rule_drop);
}

/* ---- rebuild ---- */

static enum err_code reindex_fill(struct call *c, struct pg *pg, Search__V1__Reindex *out, struct err *e)
{
	struct state_row *s = NULL;

	if (search_db_state(pg, c->arena, &s, e) || search_db_documents(pg, c->arena, &out->documents, e))
		return e->code;
	out->state = strcmp(s->build, "idle") == 0 ? "idle" : "running";
	out->has_done = out->has_total = out->has_percent = out->has_documents = true;
	out->done = s->build_done;
	out->total = s->build_total;
	out->percent = s->build_total > 0 ? (int32_t)(s->build_done * 100 / s->build_total) : 0;
	if (strcmp(s->build, "idle") == 0)
		out->percent = 100;
	out->has_started_at = s->started_at > 0;
	out->started_at = s->started_at;
	out->has_finished_at = s->finished_at > 0;
	out->finished_at = s->finished_at;
	return OK;
}

struct reindex_tx {
	struct call *c;
	Search__V1__Reindex *out;
};

static enum err_code reindex_tx(struct pg *pg, void *arg, struct err *e)
{
	struct reindex_tx *t = arg;

	if (search_db_build_want(pg, e))
		return e->code;
	return reindex_fill(t->c, pg, t->out, e);
}

static enum err_code search_start_reindex(struct call *c, const Search__V1__ReindexRequest *in,
					  Search__V1__Reindex *out)
{
	struct reindex_tx t = { c, out };

	(void)in;
	return call_perm(c, PERM) ? c->err.code : call_tx(c, CALL_TX_ONLY, reindex_tx, &t);
}

static enum err_code search_get_reindex(struct call *c, const Search__V1__ReindexRequest *in, Search__V1__Reindex *out)
{
	struct pg *pg;
	enum err_code code;

	(void)in;
	if (call_perm(c, PERM) || call_pg(c, &pg))
		return c->err.code;
	code = reindex_fill(c, pg, out, &c->err);
	pg_return(pg);
	return code;
}

/* ---- report ---- */

static enum report_kind report_kind(const char *word)
{
	return strcmp(word, "empty") == 0 ? REPORT_EMPTY : strcmp(word, "unclicked") == 0 ? REPORT_UNCLICKED : REPORT_TOP;
}

static enum err_code search_get_report(struct call *c, const Search__V1__ReportRequest *in, Search__V1__ReportReply *out)
{
	int32_t days = in->has_days ? in->days : 7, limit = in->has_limit ? in->limit : 50;
	const char *kind = in->kind ? in->kind : "top";
	struct report_row *rows = NULL;
	struct pg *pg;
	size_t n = 0;
	enum err_code code;

	if (call_perm(c, PERM))
		return c->err.code;
	check_range(&c->err, "days", days, 1, 90);
	check_range(&c->err, "limit", limit, 1, 500);
	check_oneof(&c->err, "kind", kind, "top|empty|unclicked");
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "report");
	if (call_pg(c, &pg))
		return c->err.code;
	code = search_db_report(pg, c->arena, days, report_kind(kind),
				limit, &rows, &n, &c->err);
	pg_return(pg);
	if (code)
		return code;
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < n; i++) {
		Search__V1__ReportRow *m = arena_alloc(c->arena, sizeof(*m));

		search__v1__report_row__init(m);
		m->query = (char *)rows[i].query;
		m->lang = (char *)rows[i].lang;
		m->has_searches = m->has_empty = m->has_clicks = true;
		m->searches = rows[i].searches;
		m->empty = rows[i].empty;
		m->clicks = rows[i].clicks;
		m->has_click_rate = rows[i].searches > rows[i].empty;
		if (m->has_click_rate)
			m->click_rate = (double)rows[i].clicks / (double)(rows[i].searches - rows[i].empty);
		m->has_click_position = rows[i].clicks > 0;
		if (m->has_click_position)
			m->click_position = (double)rows[i].positions / (double)rows[i].clicks;
		out->data[out->n_data++] = m;
	}
	return OK;
}
