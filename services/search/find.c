/* GET /api/search: the request is read, answered from the cache or the index, cut into a page. */
#include "services/search/find.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/crypto.h"
#include "common/cursor.h"
#include "services/search/beside.h"
#include "services/search/highlight.h"
#include "services/search/known.h"
#include "services/search/search_db_query.h"

#define BARE_S 20 /* life of a cached answer whose recommendations are missing */
#define PINNED "!" /* before an id of that list */
#define LIST_LIFE_MS (15LL * 60 * 1000) /* of a list that pages are cut from */

RPC_HANDLER(search_find, Search__V1__SearchRequest, Search__V1__SearchReply)

const struct rpc_method search_find_methods[] = {
	{ "Search", search_find_, RPC_READ, 0 },
	{ 0 },
};

/* ---- cache: the answer of a first page, and the list behind it ---- */

static const char *digest(struct arena *a, const char *kind, const char *text)
{
	uint8_t d[32];
	char hex[65];

	sha256(text, strlen(text), d);
	for (size_t i = 0; i < 32; i++) {
		hex[2 * i] = "0123456789abcdef"[d[i] >> 4];
		hex[2 * i + 1] = "0123456789abcdef"[d[i] & 15];
	}
	hex[64] = '\0';
	return arena_printf(a, "search:%s:%s", kind, hex);
}

static const char *answer_key(struct search *s)
{
	char *text = arena_printf(s->c->arena, "%lld|%d|%s", (long long)known_version(s->svc->known), s->limit, s->key);

	for (size_t i = 0; i < s->in->n_facet; i++)
		text = arena_printf(s->c->arena, "%s|f%s", text, s->in->facet[i]);
	return digest(s->c->arena, "answer", text);
}

static bool cached_answer(struct search *s, const char *key, Search__V1__SearchReply *out)
{
	ProtobufCAllocator alloc = arena_pb(s->c->arena);
	struct pg_bytes val = { 0 };
	Search__V1__SearchReply *m;
	struct err e = { 0 };
	bool found = false;

	if (s->svc->conf->cache_s == 0 || cache_get(s->svc->cache, key, s->c->arena, &val, &found, &e) || !found)
		return false;
	m = search__v1__search_reply__unpack(&alloc, val.len, val.data);
	if (!m)
		return false;
	*out = *m;
	return true;
}

static void keep_answer(struct search *s, const char *key, int life_s, const Search__V1__SearchReply *out)
{
	size_t n = search__v1__search_reply__get_packed_size(out);
	struct err e = { 0 };
	uint8_t *packed;

	if (life_s == 0 || out->degraded)
		return;
	packed = arena_alloc(s->c->arena, n + 1);
	(void)search__v1__search_reply__pack(out, packed);
	if (cache_set(s->svc->cache, key, (struct pg_bytes){ packed, n }, life_s * 1000LL, &e))
		return; /* a cache that is away keeps nothing */
}

static int life_of(const struct search *s, bool whole)
{
	int life = s->svc->conf->cache_s;

	return whole || life < BARE_S ? life : BARE_S;
}

static void keep_list(struct search *s, const char *list, const struct ranking *r)
{
	struct err e = { 0 };
	struct buf b;

	buf_init(&b, (size_t)CANDIDATES_MAX * 4 * 64);
	buf_fmt(&b, "%d%d\n", r->capped, r->relaxed);
	for (size_t i = 0; i < r->n; i++)
		buf_fmt(&b, "%s%s\n", r->pinned[i] ? PINNED : "", r->ids[i]);
	if (!buf_over(&b) && cache_set(s->svc->cache, list, (struct pg_bytes){ b.data, b.len }, LIST_LIFE_MS, &e))
		err_clear(&e); /* the next page searches again */
	buf_free(&b);
}

static bool kept_list(struct search *s, const char *list, struct ranking *r_r)
{
	struct pg_bytes val = { 0 };
	struct err e = { 0 };
	bool found = false;
	char *text, *save = NULL, *line;
	size_t lines = 0;

	if (cache_get(s->svc->cache, list, s->c->arena, &val, &found, &e) || !found || val.len < 3)
		return false;
	text = arena_strndup(s->c->arena, val.data, val.len);
	for (size_t i = 0; i < val.len; i++)
		lines += text[i] == '\n';
	*r_r = (struct ranking){ .capped = text[0] == '1', .relaxed = text[1] == '1' };
	r_r->ids = arena_array(s->c->arena, lines + 1, sizeof(*r_r->ids));
	r_r->pinned = arena_array(s->c->arena, lines + 1, sizeof(*r_r->pinned));
	(void)strtok_r(text, "\n", &save);
	while ((line = strtok_r(NULL, "\n", &save))) {
		r_r->pinned[r_r->n] = *line == *PINNED;
		r_r->ids[r_r->n++] = line + (*line == *PINNED);
	}
	return true;
}

/* ---- a page ---- */

static Common__V1__Money *money(struct arena *a, int64_t minor, const char *currency)
{
	Common__V1__Money *m;

	if (minor < 0)
		return NULL;
	m = arena_alloc(a, sizeof(*m));
	common__v1__money__init(m);
	m->has_amount = true;
	m->amount = minor;
	m->currency = (char *)currency;
	return m;
}

static Search__V1__Hit *hit_msg(struct search *s, const struct hit_row *r, bool pinned)
{
	struct arena *a = s->c->arena;
	Search__V1__Hit *h = arena_alloc(a, sizeof(*h));
	Search__V1__Highlight *mark = arena_alloc(a, sizeof(*mark));

	search__v1__hit__init(h);
	search__v1__highlight__init(mark);
	h->id = (char *)r->product_id;
	h->slug = (char *)r->slug;
	h->title = (char *)r->title;
	h->brand = (char *)r->brand;
	h->vendor_id = (char *)r->vendor_id;
	h->vendor_name = (char *)r->vendor_name;
	h->price = money(a, r->price, s->f.currency);
	h->compare_at_price = money(a, r->compare_at, s->f.currency);
	h->availability = (char *)r->availability;
	h->has_rating_count = h->has_published_at = h->has_pinned = true;
	h->pinned = pinned;
	h->has_rating_x100 = r->rating_count > 0;
	h->rating_x100 = r->rating_x100;
	h->rating_count = r->rating_count;
	h->published_at = r->published_at;
	h->image_key = (char *)r->image_key;
	mark->title = highlight(a, &s->q, r->title, 300);
	mark->description = highlight(a, &s->q, r->description, 200);
	if (mark->title || mark->description)
		h->highlight = mark;
	return h;
}

static enum err_code page(struct search *s, struct pg *pg, const struct ranking *r, size_t from,
			  Search__V1__SearchReply *out, size_t *next_r, struct err *e)
{
	size_t n = r->n - from < (size_t)s->limit ? r->n - from : (size_t)s->limit, n_rows = 0;
	struct hit_row *rows = NULL;

	out->data = arena_array(s->c->arena, n + 1, sizeof(*out->data));
	if (n && search_db_hits(pg, s->c->arena, s->lang, s->f.currency, &r->ids[from], n, &rows, &n_rows, e))
		return e->code;
	for (size_t i = from; i < from + n; i++)
		for (size_t k = 0; k < n_rows; k++)
			if (strcmp(rows[k].product_id, r->ids[i]) == 0)
				out->data[out->n_data++] = hit_msg(s, &rows[k], r->pinned[i]);
	*next_r = from + n;
	return OK;
}

static enum err_code resolve(struct search *s, struct pg *pg, struct err *e)
{
	const char **ids = arena_array(s->c->arena, s->in->n_vendor + 1, sizeof(*ids));

	if (s->in->category) {
		if (search_db_category_id(pg, s->c->arena, s->in->category, &s->f.category_id, e))
			return e->code;
		if (!s->f.category_id)
			s->f.category_id = s->in->category; /* nothing is in it */
	}
	for (size_t i = 0; i < s->in->n_vendor; i++) {
		if (search_db_vendor_id(pg, s->c->arena, s->in->vendor[i], &ids[i], e))
			return e->code;
		if (!ids[i])
			ids[i] = s->in->vendor[i];
	}
	s->f.vendor_ids = ids;
	s->f.n_vendors = s->in->n_vendor;
	return OK;
}

/* Where the page starts: by the last product of the page before, should the list have been made anew. */
static size_t start_of(const struct ranking *r, bool same, const struct cursor *cur)
{
	size_t at = (size_t)cur->field[1].i;

	for (size_t i = 0; !same && i < r->n; i++)
		if (strcmp(r->ids[i], cur->field[2].text) == 0)
			return i + 1;
	return at < r->n ? at : r->n;
}

static enum err_code answer(struct search *s, struct pg *pg, const struct cursor *cur, const struct facets_wanted *w,
			    Search__V1__SearchReply *out)
{
	struct err *e = &s->c->err;
	struct ranking r = { 0 };
	const char *list = cur->n ? cur->field[0].text : NULL;
	bool same;
	size_t next = 0;

	if (resolve(s, pg, e))
		return e->code;
	same = list && kept_list(s, list, &r);
	s->f.facets = !cur->n && !w->none;
	s->f.attr_facets = s->f.facets && w->n_attrs;
	s->f.near = s->f.facets && s->f.sort == SORT_RELEVANCE && find_filtered(&s->f);
	if (!same && find_rank(s, pg, &r, e))
		return e->code;
	if (page(s, pg, &r, cur->n ? start_of(&r, same, cur) : 0, out, &next, e))
		return e->code;
	out->has_total = out->has_total_capped = out->has_relaxed = true;
	out->total = (int32_t)r.n;
	out->total_capped = r.capped;
	out->relaxed = r.relaxed;
	out->corrected_query = (char *)s->q.corrected;
	if (s->f.facets && find_facets(s, pg, w, out, e))
		return e->code;
	out->has_degraded = out->degraded = s->degraded;
	if (next < r.n) {
		if (!list)
			list = digest(s->c->arena, "list", arena_printf(s->c->arena, "%lld|%s",
									(long long)known_version(s->svc->known), s->key));
		if (!same && !s->degraded)
			keep_list(s, list, &r);
		out->next_cursor = cursor_write(s->c->arena, s->key, "tit", list, (int64_t)next, r.ids[next - 1]);
	}
	return OK;
}

static enum err_code search_find(struct call *c, const Search__V1__SearchRequest *in, Search__V1__SearchReply *out)
{
	struct search s = { .c = c, .svc = c->svc, .in = in };
	struct facets_wanted w;
	struct cursor cur = { 0 };
	struct pg *pg = NULL;
	const char *key;
	enum err_code code;

	find_read(&s);
	find_facets_wanted(&s, &w);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "search");
	if (cursor_read(c->arena, in->cursor, s.key, "tit", &cur, &c->err))
		return c->err.code;
	key = answer_key(&s);
	if (cur.n || !cached_answer(&s, key, out)) {
		known_query(s.svc->known, c->arena, s.svc->dict, s.lang, in->q, &s.q);
		if (call_pg(c, &pg))
			return c->err.code;
		code = answer(&s, pg, &cur, &w, out);
		pg_return(pg);
		if (code)
			return code;
		if (!cur.n)
			keep_answer(&s, key, life_of(&s, beside_fill(&s, out)), out);
	}
	out->search_id = known_search_id(c->arena, s.lang, s.normal);
	if (!cur.n)
		known_asked(s.svc->known, s.lang, s.normal, c->who.kind == WHO_USER ? c->who.user_id : in->hdr_client_ip,
			    out->n_data == 0);
	return OK;
}
