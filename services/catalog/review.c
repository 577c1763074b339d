/* Reviews: one per user and product, shown once an administrator approved them. */
#include <string.h>

#include "catalog.pb-c.h"
#include "common/check.h"
#include "common/id.h"
#include "common/outbox.h"
#include "common/page.h"
#include "events.pb-c.h"
#include "services/catalog/catalog.h"
#include "services/catalog/catalog_db_product.h"
#include "services/catalog/catalog_db_review.h"

RPC_HANDLER(catalog_list_reviews, Catalog__V1__ListReviewsRequest, Catalog__V1__ListReviewsReply)
RPC_HANDLER(catalog_create_review, Catalog__V1__CreateReviewRequest, Catalog__V1__Review)
RPC_HANDLER(catalog_list_moderation, Catalog__V1__ModerationListRequest, Catalog__V1__ListReviewsReply)
RPC_HANDLER(catalog_moderate_review, Catalog__V1__ModerateReviewRequest, Catalog__V1__Review)

const struct rpc_method catalog_review_methods[] = {
	{ "ListReviews", catalog_list_reviews_, RPC_READ, 0 },
	{ "CreateReview", catalog_create_review_, RPC_WRITE | RPC_KEYED, 0 },
	{ "ListModeration", catalog_list_moderation_, RPC_READ, 0 },
	{ "ModerateReview", catalog_moderate_review_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

static void review_fill(const struct review_row *r, bool inside, Catalog__V1__Review *out)
{
	out->id = (char *)r->id;
	out->product_id = (char *)r->product_id;
	out->has_rating = out->has_created_at = true;
	out->rating = r->rating;
	out->title = (char *)r->title;
	out->body = (char *)r->body;
	out->created_at = r->created_at;
	out->has_verified_purchase = true;
	out->verified_purchase = r->bought;
	if (inside) {
		out->status = (char *)r->status;
		out->user_id = (char *)r->user_id;
	}
}

static void reviews_fill(struct call *c, const struct review_row *rows, size_t n, const struct page *page, bool inside,
			 Catalog__V1__ListReviewsReply *out)
{
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < page_shown(page, n); i++) {
		Catalog__V1__Review *r = arena_alloc(c->arena, sizeof(*r));

		catalog__v1__review__init(r);
		review_fill(&rows[i], inside, r);
		out->data[out->n_data++] = r;
	}
	if (page_more(page, n))
		out->next_cursor = page_next(c, page, rows[page->limit - 1].id);
}

/* The published product of that id or slug. */
static enum err_code product_of(struct call *c, struct pg *pg, const char *id_or_slug, const char **id_r, struct err *e)
{
	struct product_row *p = NULL;
	bool found = false;

	if (catalog_db_product(pg, c->arena, id_or_slug, NULL, "USD", &p, &found, e))
		return e->code;
	if (!found || strcmp(p->status, "published") != 0 || strcmp(p->vendor_status, "approved") != 0)
		return err_set(e, E_NOT_FOUND, "catalog.product_unknown", "%s", id_or_slug);
	*id_r = p->id;
	return OK;
}

static enum err_code catalog_list_reviews(struct call *c, const Catalog__V1__ListReviewsRequest *in,
					  Catalog__V1__ListReviewsReply *out)
{
	struct page page;
	struct review_row *rows = NULL;
	size_t n = 0;
	struct pg *pg;
	const char *filter, *id = NULL;
	enum err_code code;

	check_text(&c->err, "product_id", in->product_id, 1, 150);
	filter = arena_printf(c->arena, "reviews|%s", in->product_id);
	if (page_of(c, in, filter, "t", &page) || call_pg(c, &pg))
		return c->err.code;
	code = product_of(c, pg, in->product_id, &id, &c->err);
	if (!code)
		code = catalog_db_reviews(pg, c->arena, id, page_text(&page, 0, NULL), page.limit + 1, &rows, &n,
					  &c->err);
	pg_return(pg);
	if (!code)
		reviews_fill(c, rows, n, &page, false, out);
	return code;
}

struct create_tx {
	struct call *c;
	const char *product;
	struct review_row row;
	Catalog__V1__Review *out;
};

static enum err_code create_tx(struct pg *pg, void *arg, struct err *e)
{
	struct create_tx *t = arg;
	bool found = false;

	if (product_of(t->c, pg, t->product, &t->row.product_id, e) || catalog_db_review_add(pg, &t->row, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_CONFLICT, "catalog.review_exists", "%s of %s", t->row.user_id, t->row.product_id);
	review_fill(&t->row, true, t->out);
	t->out->has_created_at = t->out->has_verified_purchase = false;
	return OK;
}

static enum err_code catalog_create_review(struct call *c, const Catalog__V1__CreateReviewRequest *in,
					   Catalog__V1__Review *out)
{
	char id[ID_LEN];
	struct create_tx t = { .c = c, .product = in->product_id, .out = out };

	if (call_user(c))
		return c->err.code;
	check_text(&c->err, "product_id", in->product_id, 1, 150);
	check_range(&c->err, "rating", in->rating, 1, 5);
	if (in->title)
		check_text(&c->err, "title", in->title, 1, 200);
	if (in->body)
		check_longtext(&c->err, "body", in->body, 1, 5000);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "review");
	id_new("rev", id);
	t.row = (struct review_row){ .id = arena_strdup(c->arena, id), .user_id = c->who.user_id, .rating = in->rating,
				     .title = in->title, .body = in->body, .status = "pending" };
	return call_tx(c, CALL_TX_ONLY, create_tx, &t);
}

static enum err_code catalog_list_moderation(struct call *c, const Catalog__V1__ModerationListRequest *in,
					     Catalog__V1__ListReviewsReply *out)
{
	struct page page;
	struct review_row *rows = NULL;
	size_t n = 0;
	struct pg *pg;
	const char *status = in->status ? in->status : "pending", *filter;
	enum err_code code;

	if (call_perm(c, "admin.catalog"))
		return c->err.code;
	check_oneof(&c->err, "status", status, "pending|approved|rejected");
	filter = arena_printf(c->arena, "moderation|%s", status);
	if (page_of(c, in, filter, "t", &page) || call_pg(c, &pg))
		return c->err.code;
	code = catalog_db_moderation(pg, c->arena, status, page_text(&page, 0, ""), page.limit + 1, &rows, &n, &c->err);
	pg_return(pg);
	if (!code)
		reviews_fill(c, rows, n, &page, true, out);
	return code;
}

struct moderate_tx {
	struct call *c;
	const Catalog__V1__ModerateReviewRequest *in;
	Catalog__V1__Review *out;
};

static enum err_code moderate_tx(struct pg *pg, void *arg, struct err *e)
{
	struct moderate_tx *t = arg;
	Events__V1__ReviewChanged m = EVENTS__V1__REVIEW_CHANGED__INIT;
	struct review_row *r = NULL;
	bool found = false;

	if (catalog_db_review(pg, t->c->arena, t->in->review_id, &r, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_NOT_FOUND, "catalog.review_unknown", "%s", t->in->review_id);
	if (catalog_db_review_status(pg, r, t->in->status, e))
		return e->code;
	r->status = t->in->status;
	m.review_id = (char *)r->id;
	m.product_id = (char *)r->product_id;
	m.user_id = (char *)r->user_id;
	m.has_rating = true;
	m.rating = r->rating;
	m.status = (char *)r->status;
	review_fill(r, true, t->out);
	return outbox_put(pg, "review", r->id, 1, "review.moderated", &m.base, e);
}

static enum err_code catalog_moderate_review(struct call *c, const Catalog__V1__ModerateReviewRequest *in,
					     Catalog__V1__Review *out)
{
	struct moderate_tx t = { c, in, out };

	if (call_perm(c, "admin.catalog"))
		return c->err.code;
	check_id(&c->err, "review_id", in->review_id, "rev");
	check_oneof(&c->err, "status", in->status, "approved|rejected");
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "moderation");
	return call_tx(c, CALL_TX_ONLY, moderate_tx, &t);
}
