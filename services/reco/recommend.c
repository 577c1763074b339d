/*
 * GET /api/recommendations. A list comes from the model, is filled from what sells when the model has too little to say,
 * and is checked against what may be shown at this moment as the last step, behind every cache.
 */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/id.h"
#include "common/metrics.h"
#include "common/timeutil.h"
#include "reco.pb-c.h"
#include "services/reco/collect.h"
#include "services/reco/kept.h"
#include "services/reco/person.h"
#include "services/reco/reco.h"
#include "services/reco/reco_db_features.h"
#include "services/reco/reco_db_serve.h"
#include "services/reco/serve.h"

#define LIMIT_MAX 50
#define LISTED_MAX 100	/* cart and exclude */
#define ROOM 300	/* candidates looked at */
#define HISTORY 100
#define POPULAR_DAYS 30
#define POPULAR_HALF_LIFE 7
#define POPULAR_S 60	/* what sells is counted anew after so long */
#define NO_MODEL_S 30	/* without a model an answer is kept no longer: nothing tells that it is old */
#define VENDOR_SHARE 3	/* a vendor has at most a third of a list while others have something to show */

RPC_HANDLER(reco_recommend, Reco__V1__RecommendRequest, Reco__V1__RecommendReply)

const struct rpc_method reco_recommend_methods[] = {
	{ "Recommend", reco_recommend_, RPC_READ, 0 },
	{ 0 },
};

enum type { RELATED, TOGETHER, ALSO_VIEWED, TRENDING, PERSONAL, BUY_AGAIN, RECENT, TYPES };
static const char *const type_names[TYPES] = { "related", "bought_together", "also_viewed", "trending",
					       "personal", "buy_again", "recent" };

struct asking {
	struct call *c;
	struct reco_svc *svc;
	const Reco__V1__RecommendRequest *in;
	enum type type;
	int32_t limit;
	const char *user_id, *session_id; /* NULL: no profile may be used, or there is none */
	struct loaded *model;
	const char *variant;
	struct reco_history_row *past;
	size_t n_past;
	struct candidate *list;
	size_t n;
	size_t own; /* candidates that are what was asked for; the rest is a fallback */
	bool real;  /* the product that was asked about is in the catalogue */
	bool kept;  /* they come from the cache */
	bool anew;  /* nothing may come from there */
};

/* ---- what is asked ---- */

static enum err_code check_ids(struct call *c, const char *field, char *const *ids, size_t n)
{
	if (n > LISTED_MAX)
		err_detail(&c->err, field, NULL, "at most %d", LISTED_MAX);
	for (size_t i = 0; i < n && i < LISTED_MAX && c->err.n_details < 5; i++)
		if (!collect_word(ids[i]))
			err_detail(&c->err, field, NULL, "is not a product");
	return c->err.code;
}

static enum err_code check(struct asking *q)
{
	const Reco__V1__RecommendRequest *in = q->in;
	struct call *c = q->c;

	q->type = TYPES;
	for (int t = 0; in->type && t < TYPES; t++)
		if (strcmp(in->type, type_names[t]) == 0)
			q->type = (enum type)t;
	if (q->type == TYPES)
		err_detail(&c->err, "type", NULL, "related, bought_together, also_viewed, trending, personal, buy_again or recent");
	q->limit = in->has_limit ? in->limit : 12;
	check_range(&c->err, "limit", q->limit, 1, LIMIT_MAX);
	if (in->product_id ? !collect_word(in->product_id)
			   : q->type == RELATED || q->type == ALSO_VIEWED || (q->type == TOGETHER && in->n_cart == 0))
		err_detail(&c->err, "product_id", NULL, "names a product");
	if (in->session_id && !collect_word(in->session_id))
		err_detail(&c->err, "session_id", NULL, "1 to 64 letters, digits or - _ . :");
	if (in->placement && !collect_word(in->placement))
		err_detail(&c->err, "placement", NULL, "1 to 64 letters, digits or - _ . :");
	if (in->category_id && !collect_word(in->category_id))
		err_detail(&c->err, "category_id", NULL, "is not a category");
	(void)check_ids(c, "cart", in->cart, in->n_cart);
	(void)check_ids(c, "exclude", in->exclude, in->n_exclude);
	return c->err.n_details ? err_set(&c->err, E_INVALID, "common.invalid_input", "recommendations") : OK;
}

static enum err_code read_person(struct asking *q, struct pg *pg)
{
	const struct reco_who who = { q->c->who.kind == WHO_USER ? q->c->who.user_id : NULL, q->in->session_id,
				      strcmp(q->svc->conf->consent, "opt_in") == 0 };
	bool past = q->type == PERSONAL || q->type == BUY_AGAIN || q->type == RECENT, withheld = false;

	if (!who.user_id && !who.session_id)
		return OK;
	if (reco_features_person(pg, q->c->arena, &who, past ? HISTORY : 0, &withheld, &q->past, &q->n_past, &q->c->err))
		return q->c->err.code;
	if (withheld) {
		q->n_past = 0;
		return OK;
	}
	q->user_id = who.user_id;
	q->session_id = who.session_id;
	return OK;
}

/* ---- candidates ---- */

static void add(struct asking *q, const char *id, const char *reason, const char *because, double score)
{
	if (q->n < ROOM)
		q->list[q->n++] = (struct candidate){ id, reason, because, score };
}

static void add_ranked(struct asking *q, const struct ranked *top, size_t n, const char *reason, const char *because)
{
	for (size_t i = 0; i < n; i++)
		add(q, bundle_id(&q->model->file->b, top[i].item), reason, because, (double)top[i].score);
}

static size_t items_of(struct asking *q, struct liking *h)
{
	const struct bundle *b = &q->model->file->b;
	int32_t item = q->in->product_id ? bundle_item(b, q->in->product_id) : -1;
	size_t n = 0;

	if (item >= 0)
		h[n++] = (struct liking){ item, 1 };
	for (size_t i = 0; i < q->in->n_cart; i++) {
		item = bundle_item(b, q->in->cart[i]);
		for (size_t k = 0; k < n && item >= 0; k++)
			item = h[k].item == item ? -1 : item;
		if (item >= 0)
			h[n++] = (struct liking){ item, 1 };
	}
	return n;
}

static void near_products(struct asking *q)
{
	static const enum near_kind first[] = { NEAR_LIKED, NEAR_TOGETHER, NEAR_VIEWED }, /* by type */
		second[] = { NEAR_VIEWED, NEAR_LIKED, NEAR_LIKED };
	static const char *const reason[] = { "similar", "bought_together", "also_viewed" }; /* by near_kind */
	struct ranked *top = arena_array(q->c->arena, ROOM, sizeof(*top));
	struct liking h[LISTED_MAX + 1];
	const struct bundle *b = &q->model->file->b;
	size_t n = items_of(q, h);

	add_ranked(q, top, person_near(q->c->arena, b, first[q->type], h, n, top, ROOM / 3), reason[first[q->type]],
		   q->in->product_id);
	q->own = q->n;
	add_ranked(q, top, person_near(q->c->arena, b, second[q->type], h, n, top, ROOM / 3), reason[second[q->type]],
		   q->in->product_id);
}

/* The last product of the history that speaks for a candidate is named as its cause. */
static const char *cause(const struct bundle *b, const struct liking *h, size_t n, int32_t item)
{
	for (size_t i = 0; i < n; i++)
		for (int64_t k = b->liked.ptr ? b->liked.ptr[h[i].item] : 0; b->liked.ptr && k < b->liked.ptr[h[i].item + 1]; k++)
			if (b->liked.idx[k] == item && b->liked.val[k] > 0)
				return bundle_id(b, h[i].item);
	return NULL;
}

static enum err_code personal(struct asking *q, struct pg *pg)
{
	const struct bundle *b = &q->model->file->b;
	struct ranked *top = arena_array(q->c->arena, ROOM, sizeof(*top));
	struct liking *h = arena_array(q->c->arena, HISTORY, sizeof(*h));
	struct reco_recent_row *recent = NULL;
	int32_t *seen;
	size_t n = 0, n_recent = 0, k = 0;

	for (size_t i = 0; i < q->n_past; i++) {
		int32_t item = bundle_item(b, q->past[i].product_id);

		if (item >= 0 && q->past[i].w > 0)
			h[n++] = (struct liking){ item, (float)q->past[i].w };
	}
	k = person_next(q->c->arena, b, h, n, top, ROOM / 3);
	for (size_t i = 0; i < k; i++)
		add(q, bundle_id(b, top[i].item), "for_you", cause(b, h, n, top[i].item), (double)top[i].score);
	if (q->n < (size_t)q->limit && n > 0) { /* a visitor of whom little is known: what such sessions went on to see */
		if (reco_features_recent(pg, q->c->arena, q->user_id, q->session_id, 20, &recent, &n_recent, &q->c->err))
			return q->c->err.code;
		seen = arena_array(q->c->arena, n_recent + 1, sizeof(*seen));
		k = 0;
		for (size_t i = n_recent; i-- > 0;)
			if (bundle_item(b, recent[i].product_id) >= 0)
				seen[k++] = bundle_item(b, recent[i].product_id);
		add_ranked(q, top, person_session(q->c->arena, b, seen, k, top, ROOM / 3), "also_viewed", NULL);
	}
	q->own = q->n;
	return OK;
}

static int by_last_buy(const void *x, const void *y)
{
	const struct reco_history_row *a = x, *b = y;

	return a->last_buy_at < b->last_buy_at ? -1 : a->last_buy_at > b->last_buy_at;
}

static int by_last_view(const void *x, const void *y)
{
	const struct reco_history_row *a = x, *b = y;

	return a->last_view_at > b->last_view_at ? -1 : a->last_view_at < b->last_view_at;
}

/* What was bought longest ago comes first: it may be used up. What was seen last comes first. */
static void from_history(struct asking *q)
{
	bool again = q->type == BUY_AGAIN;

	if (q->n_past > 1)
		qsort(q->past, q->n_past, sizeof(*q->past), again ? by_last_buy : by_last_view);
	for (size_t i = 0; i < q->n_past; i++)
		if (again ? q->past[i].n_buy > 0 : q->past[i].last_view_at > 0)
			add(q, q->past[i].product_id, again ? "buy_again" : "recently_viewed", NULL, 1);
	q->own = q->n;
}

static enum err_code count_popular(struct asking *q, struct pg *pg, const char *category, struct candidates *c)
{
	struct reco_popular_row *rows = NULL;
	size_t n = 0;

	if (reco_features_popular(pg, q->c->arena, category, POPULAR_DAYS, POPULAR_HALF_LIFE, (int32_t)c->room, &rows, &n,
				  &q->c->err))
		return q->c->err.code;
	for (size_t i = 0; i < n; i++)
		c->list[i] = (struct candidate){ rows[i].product_id, "trending", NULL, rows[i].score };
	c->n = c->own = n;
	return OK;
}

static enum err_code popular(struct asking *q, struct pg *pg, const char *category)
{
	struct candidates c = { .list = arena_array(q->c->arena, ROOM / 3, sizeof(*c.list)), .room = ROOM / 3 };
	char key[KEPT_KEY_LEN];

	kept_key(&(struct kept_on){ .version = "all", .type = "popular", .category = category }, key);
	if (q->anew || !kept_get(q->svc, q->c->arena, key, &c)) {
		if (count_popular(q, pg, category, &c))
			return q->c->err.code;
		kept_put(q->svc, key, &c, q->svc->conf->cache_s < POPULAR_S ? q->svc->conf->cache_s : POPULAR_S);
	}
	for (size_t i = 0; i < c.n; i++)
		add(q, c.list[i].id, c.list[i].reason, NULL, c.list[i].score);
	return OK;
}

/* First category of the product that is looked at, most special first as the catalogue tells them; NULL: none. */
static enum err_code category_of(struct asking *q, struct pg *pg, const char **category_r)
{
	const char *ids[] = { q->in->product_id };
	struct reco_product_row *rows = NULL;
	size_t n = 0;

	*category_r = NULL;
	if (!q->in->product_id)
		return OK;
	if (reco_features_products(pg, q->c->arena, ids, 1, "", &rows, &n, &q->c->err))
		return q->c->err.code;
	q->real = n > 0;
	if (n > 0 && rows[0].categories && *rows[0].categories)
		*category_r = arena_strndup(q->c->arena, rows[0].categories, strcspn(rows[0].categories, "\x1f"));
	return OK;
}

static enum err_code make_candidates(struct asking *q, struct pg *pg)
{
	const char *category = q->in->category_id;

	q->n = q->own = 0;
	if (q->model && q->type <= ALSO_VIEWED)
		near_products(q);
	if (q->model && q->type == PERSONAL && personal(q, pg))
		return q->c->err.code;
	if (q->type <= ALSO_VIEWED && !category && category_of(q, pg, &category))
		return q->c->err.code;
	if (category && popular(q, pg, category))
		return q->c->err.code;
	if (q->type == TRENDING && category)
		q->own = q->n;
	if (popular(q, pg, NULL))
		return q->c->err.code;
	if (q->type == TRENDING && !category)
		q->own = q->n;
	return OK;
}

/* For how long candidates are kept; 0: what only sells is kept already, and made-up questions fill no cache. */
static int life_of(const struct asking *q)
{
	int life = q->own > 0 || q->real ? q->svc->conf->cache_s : 0, most = q->own > 0 ? life : POPULAR_S;

	if (!q->model && most > NO_MODEL_S)
		most = NO_MODEL_S;
	return life < most ? life : most;
}

/* From the cache, or made and kept for the next. */
static enum err_code collect_candidates(struct asking *q, struct pg *pg)
{
	struct candidates c = { .list = q->list, .room = ROOM };
	char key[KEPT_KEY_LEN];

	if (q->type == BUY_AGAIN || q->type == RECENT)
		return from_history(q), OK;
	kept_key(&(struct kept_on){ .version = q->model ? q->model->version : "none", .type = type_names[q->type],
				    .product_id = q->in->product_id, .category = q->in->category_id, .cart = q->in->cart,
				    .n_cart = q->in->n_cart, .past = q->past, .n_past = q->n_past },
		 key);
	q->kept = !q->anew && kept_get(q->svc, q->c->arena, key, &c);
	if (!q->kept) {
		if (make_candidates(q, pg))
			return q->c->err.code;
		c.n = q->n, c.own = q->own;
		if (life_of(q) > 0)
			kept_put(q->svc, key, &c, life_of(q));
	}
	q->n = c.n, q->own = c.own;
	return OK;
}

/* ---- the last look ---- */

struct looked {
	const char *vendor_id;
	struct candidate what;
	bool own, taken;
};

static bool listed(char *const *ids, size_t n, const char *id)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(ids[i], id) == 0)
			return true;
	return false;
}

static bool in_cart(const struct reco_look *l, const char *id)
{
	for (size_t i = 0; i < l->n_cart; i++)
		if (strcmp(l->cart[i].id, id) == 0)
			return true;
	return false;
}

/* A person's own list is of what is new to him. */
static bool known_to(const struct asking *q, const char *id)
{
	for (size_t i = 0; q->type == PERSONAL && i < q->n_past; i++)
		if (strcmp(q->past[i].product_id, id) == 0)
			return true;
	return false;
}

/* May stand in this list as far as the visitor is concerned. */
static bool welcome(const struct asking *q, const struct reco_look *l, const char *id)
{
	return !listed(q->in->cart, q->in->n_cart, id) && !listed(q->in->exclude, q->in->n_exclude, id) && !in_cart(l, id) &&
	       !known_to(q, id) && !(q->in->product_id && strcmp(id, q->in->product_id) == 0);
}

static bool there(const struct looked *out, size_t n, const char *id)
{
	for (size_t k = 0; k < n; k++)
		if (strcmp(out[k].what.id, id) == 0)
			return true;
	return false;
}

/* Those of the first m candidates and of the pins that may be shown now, in their order, each once. */
static enum err_code look(struct asking *q, struct pg *pg, size_t m, struct reco_look *l, struct looked **out_r, size_t *n_r)
{
	struct call *c = q->c;
	const char **ids = arena_array(c->arena, m + 1, sizeof(*ids));
	const char *place = q->in->placement ? q->in->placement : type_names[q->type];
	struct looked *out;
	size_t n = 0;

	for (size_t i = 0; i < m; i++)
		ids[i] = q->list[i].id;
	/* The cart also of who wants no profile: what he has is not offered to him. */
	*l = (struct reco_look){ .ids = ids, .n_ids = m, .placement = serve_pins(q->svc->serve) ? place : NULL,
				 .product_id = q->in->product_id,
				 .user_id = c->who.kind == WHO_USER ? c->who.user_id : NULL };
	if (reco_features_look(pg, c->arena, l, &c->err))
		return c->err.code;
	out = arena_array(c->arena, m + l->n_pins + 1, sizeof(*out));
	for (size_t i = 0; i < m; i++) {
		const struct reco_shown_row *row = NULL;

		for (size_t k = 0; k < l->n_shown && !row; k++)
			row = strcmp(l->shown[k].product_id, ids[i]) == 0 ? &l->shown[k] : NULL;
		if (row && !there(out, n, ids[i]) && welcome(q, l, ids[i]))
			out[n++] = (struct looked){ row->vendor_id, q->list[i], i < q->own, false };
	}
	for (size_t i = 0; i < l->n_pins; i++)
		if (!there(out, n, l->pins[i].product_id) && welcome(q, l, l->pins[i].product_id))
			out[n++] = (struct looked){ l->pins[i].vendor_id, { l->pins[i].product_id, "pinned", NULL, 0 }, false, false };
	*out_r = out;
	*n_r = n;
	return OK;
}

static bool pinned(const struct reco_pin_row *pins, size_t n, const char *id)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(pins[i].product_id, id) == 0)
			return true;
	return false;
}

/* No vendor fills a list while others have something to show; then whatever there is. What is pinned has its own place. */
static size_t choose(struct asking *q, struct looked *all, size_t n, const struct reco_pin_row *pins, size_t n_pins,
		     struct looked **chosen)
{
	size_t cap = (size_t)(q->limit + VENDOR_SHARE - 1) / VENDOR_SHARE, have = 0;
	bool spread = q->type != BUY_AGAIN && q->type != RECENT;

	for (int pass = spread ? 0 : 1; pass < 2; pass++)
		for (size_t i = 0; i < n && have < (size_t)q->limit; i++) {
			size_t same = 0;

			if (all[i].taken || pinned(pins, n_pins, all[i].what.id))
				continue;
			for (size_t k = 0; k < have; k++)
				same += chosen[k]->vendor_id && all[i].vendor_id &&
					strcmp(chosen[k]->vendor_id, all[i].vendor_id) == 0;
			if (pass == 0 && same >= cap)
				continue;
			all[i].taken = true;
			chosen[have++] = &all[i];
		}
	return have;
}

/* At their places; what stood there moves on. */
static size_t pin(struct asking *q, struct looked *all, size_t n, const struct reco_pin_row *pins, size_t n_pins,
		  struct looked **chosen, size_t have)
{
	for (size_t p = 0; p < n_pins; p++)
		for (size_t i = 0; i < n; i++) {
			size_t at = (size_t)pins[p].position - 1;

			if (all[i].taken || strcmp(all[i].what.id, pins[p].product_id) != 0)
				continue;
			at = at < have ? at : have;
			if (at >= (size_t)q->limit)
				continue;
			have = have < (size_t)q->limit ? have + 1 : have;
			memmove(chosen + at + 1, chosen + at, (have - at - 1) * sizeof(*chosen));
			all[i].what.reason = "pinned";
			all[i].taken = true;
			chosen[at] = &all[i];
		}
	return have;
}

/* ---- the answer ---- */

static void fill(struct asking *q, struct looked **chosen, size_t n, Reco__V1__RecommendReply *out)
{
	struct call *c = q->c;
	const char **ids = arena_array(c->arena, n + 1, sizeof(*ids));
	char *id = arena_alloc(c->arena, ID_LEN);
	bool fallback = n > 0;

	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < n; i++) {
		Reco__V1__Recommendation *m = arena_alloc(c->arena, sizeof(*m));

		reco__v1__recommendation__init(m);
		m->product_id = (char *)(uintptr_t)chosen[i]->what.id;
		m->has_score = true;
		m->score = chosen[i]->what.score;
		m->reason = (char *)(uintptr_t)chosen[i]->what.reason;
		m->because = (char *)(uintptr_t)chosen[i]->what.because;
		out->data[out->n_data++] = m;
		ids[i] = m->product_id;
		fallback = fallback && !chosen[i]->own;
	}
	id_new("rec", id);
	out->request_id = id;
	out->model_version = arena_strdup(c->arena, q->model ? q->model->version : "none");
	out->variant = (char *)(uintptr_t)q->variant;
	out->has_fallback = true;
	out->fallback = fallback;
	serve_note(q->svc->serve, &(struct answered){ .request_id = id, .type = type_names[q->type],
						      .placement = q->in->placement ? q->in->placement : type_names[q->type],
						      .variant = q->variant, .version = out->model_version,
						      .subject = q->user_id ? q->user_id : q->session_id, .fallback = fallback,
						      .items = ids, .n = n });
}

/* The answer from the first m candidates. */
static enum err_code settle(struct asking *q, struct pg *pg, size_t m, struct looked **chosen, size_t *have_r)
{
	struct looked *all = NULL;
	struct reco_look l;
	size_t n = 0;

	if (look(q, pg, m, &l, &all, &n))
		return q->c->err.code;
	*have_r = pin(q, all, n, l.pins, l.n_pins, chosen, choose(q, all, n, l.pins, l.n_pins, chosen));
	return OK;
}

/* Few are looked at, as a rule they fill the list; then all; then, when what was kept has run dry, others. */
static enum err_code settle_well(struct asking *q, struct pg *pg, struct looked **chosen, size_t *have_r)
{
	size_t want = (size_t)q->limit, few = 2 * want + 12;

	if (settle(q, pg, few < q->n ? few : q->n, chosen, have_r) ||
	    (*have_r < want && few < q->n && settle(q, pg, q->n, chosen, have_r)))
		return q->c->err.code;
	if (*have_r == want || !q->kept)
		return OK;
	q->anew = true;
	return collect_candidates(q, pg) ? q->c->err.code : settle(q, pg, q->n, chosen, have_r);
}

static enum err_code recommend(struct asking *q, struct pg *pg, Reco__V1__RecommendReply *out)
{
	struct looked **chosen = arena_array(q->c->arena, LIMIT_MAX + 1, sizeof(struct looked *));
	size_t have = 0;

	if (read_person(q, pg))
		return q->c->err.code;
	q->model = serve_take(q->svc->serve, q->user_id ? q->user_id : q->session_id, &q->variant);
	q->list = arena_array(q->c->arena, ROOM, sizeof(*q->list));
	if (collect_candidates(q, pg) || settle_well(q, pg, chosen, &have))
		return q->c->err.code;
	fill(q, chosen, have, out);
	/* Ids may be the model's own text: they outlive it in the arena. */
	for (size_t i = 0; i < out->n_data; i++) {
		out->data[i]->product_id = arena_strdup(q->c->arena, out->data[i]->product_id);
		out->data[i]->because = arena_strdup(q->c->arena, out->data[i]->because);
	}
	return OK;
}

static enum err_code reco_recommend(struct call *c, const Reco__V1__RecommendRequest *in, Reco__V1__RecommendReply *out)
{
	struct asking q = { .c = c, .svc = c->svc, .in = in };
	struct pg *pg;
	enum err_code code;

	if (check(&q) || call_pg(c, &pg))
		return c->err.code;
	code = recommend(&q, pg, out);
	pg_return(pg);
	serve_give_back(q.model);
	return code;
}
