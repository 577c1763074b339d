/* The catalog on a real PostgreSQL: vendors, products, lists, sales. */
#include "tests/integration/catalog/world.h"

#include "common/timeutil.h"
#include "events.pb-c.h"

static const char *const catalog_perm[] = { "admin.catalog" };

static void test_schema(void **state)
{
	struct err e = { 0 };
	struct pg *pg;

	(void)state;
	assert_string_equal(pg_fixture_unaudited(w.fx, "catalog"), "");
	assert_int_equal(pg_connect(pg_fixture_dsn(w.fx), "test", &pg, &e), OK);
	if (pg_check_stmts(pg, catalog_stmts, &e))
		fail_msg("%s", e.msg);
	pg_disconnect(pg);
}

static void test_vendor_life(void **state)
{
	struct principal admin = who_admin(vendor_perm), owner = who_user("usr_01jd000000000000000000000x");
	Catalog__V1__ApplyVendorRequest again = CATALOG__V1__APPLY_VENDOR_REQUEST__INIT;
	Catalog__V1__DecideVendorRequest d = CATALOG__V1__DECIDE_VENDOR_REQUEST__INIT;
	Catalog__V1__GetVendorRequest get = CATALOG__V1__GET_VENDOR_REQUEST__INIT;
	Catalog__V1__Product *p = NULL;
	Catalog__V1__Vendor *v = NULL;
	struct err e = { 0 };

	(void)state;
	again.name = (char *)"Another";
	again.has_accept_terms = again.accept_terms = true;
	assert_int_equal(ASK("ApplyVendor", &owner, &again, NULL, &e), E_CONFLICT);
	assert_string_equal(e.slug, "catalog.vendor_exists");
	get.vendor_id = (char *)"kase-sohne";
	MUST(ASK("GetVendor", &who_nobody, &get, &v, &why_));
	assert_string_equal(v->id, w.vendor[0]);
	assert_null(v->status); /* not for everybody */
	d.vendor_id = (char *)w.vendor[1];
	assert_int_equal(ASK("ApproveVendor", &admin, &d, NULL, &e), E_CONFLICT);
	assert_int_equal(ASK("SuspendVendor", &admin, &d, NULL, &e), E_INVALID); /* a reason is due */
	assert_int_equal(ASK("SuspendVendor", &owner, &d, NULL, &e), E_DENIED);
	d.reason = (char *)"sold counterfeits";
	MUST(ASK("SuspendVendor", &admin, &d, &v, &why_));
	assert_int_equal(create(w.vendor[1], "Refused", "R-1", 100, true, &p, &e), E_DENIED);
	get.vendor_id = (char *)w.vendor[1];
	assert_int_equal(ASK("GetVendor", &who_nobody, &get, NULL, &e), E_NOT_FOUND);
	MUST(ASK("ApproveVendor", &admin, &d, NULL, &why_));
}

static void test_product_life(void **state)
{
	struct principal one = who_vendor(w.vendor[0], own_perm), two = who_vendor(w.vendor[1], own_perm);
	Catalog__V1__OwnProductRequest own = CATALOG__V1__OWN_PRODUCT_REQUEST__INIT;
	Catalog__V1__GetProductRequest get = CATALOG__V1__GET_PRODUCT_REQUEST__INIT;
	Catalog__V1__PatchProductRequest patch = CATALOG__V1__PATCH_PRODUCT_REQUEST__INIT;
	Catalog__V1__Product *p = NULL, *seen = NULL;
	struct err e = { 0 };
	char *old_tag;

	(void)state;
	MUST(create(w.vendor[0], "Tea Pot, 1.5 l", "POT", 1999, false, &p, &why_));
	assert_string_equal(p->slug, "tea-pot-1-5-l");
	assert_int_equal(p->price->amount, 1999);
	get.product_id = p->slug;
	assert_int_equal(ASK("GetProduct", &who_nobody, &get, NULL, &e), E_NOT_FOUND); /* a draft */
	own.product_id = p->id;
	assert_int_equal(ASK("PublishProduct", &two, &own, NULL, &e), E_NOT_FOUND); /* another's */
	old_tag = p->hdr_etag;
	MUST(ASK("PublishProduct", &one, &own, &p, &why_));
	MUST(ASK("GetProduct", &who_nobody, &get, &seen, &why_));
	assert_int_equal(seen->n_variants, 1);
	assert_null(seen->variants[0]->prices);
	patch.product_id = p->id;
	patch.title = (char *)"Tea pot";
	patch.hdr_if_match = old_tag;
	assert_int_equal(ASK("PatchProduct", &one, &patch, NULL, &e), E_PRECOND);
	assert_string_equal(e.details[0].value, p->hdr_etag);
	patch.hdr_if_match = p->hdr_etag;
	MUST(ASK("PatchProduct", &one, &patch, &p, &why_));
	assert_string_equal(p->title, "Tea pot");
	assert_int_equal(create(w.vendor[0], "Other", "POT", 5, false, NULL, &e), E_CONFLICT);
	assert_string_equal(e.slug, "catalog.sku_taken");
	MUST(create(w.vendor[1], "Tea Pot, 1.5 l", "POT", 2100, true, &seen, &why_)); /* same SKU, same title, other vendor */
	assert_string_not_equal(seen->slug, "tea-pot-1-5-l");
	MUST(ASK("DeleteProduct", &one, &own, NULL, &why_));
	assert_int_equal(ASK("GetProduct", &who_nobody, &get, NULL, &e), E_NOT_FOUND);
	MUST(create(w.vendor[0], "Tea Pot, 1.5 l", "POT", 1999, true, &p, &why_)); /* SKU and slug are free again */
	assert_string_equal(p->slug, "tea-pot-1-5-l");
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM catalog.outbox WHERE type = 'product.changed' AND"
					      " agg_id = '%s'", own.product_id), 4);
}

static void test_input(void **state)
{
	struct err e = { 0 };
	struct principal shopper = who_user("usr_01jd000000000000000000000z");
	Catalog__V1__CreateProductRequest in = CATALOG__V1__CREATE_PRODUCT_REQUEST__INIT;

	(void)state;
	assert_int_equal(create(w.vendor[0], "", "X", 1, false, NULL, &e), E_INVALID);
	assert_string_equal(e.details[0].field, "title");
	assert_int_equal(create(w.vendor[0], "X", "", 1, false, NULL, &e), E_INVALID);
	assert_string_equal(e.details[0].field, "variants[0].sku");
	assert_int_equal(create(w.vendor[0], "X", "X", 200000000000LL, false, NULL, &e), E_INVALID);
	assert_int_equal(ASK("CreateProduct", &shopper, &in, NULL, &e), E_DENIED);
	assert_int_equal(e.n_details, 0);
}

static void test_sale_window(void **state)
{
	struct principal one = who_vendor(w.vendor[0], own_perm);
	Catalog__V1__PutPriceRequest put = CATALOG__V1__PUT_PRICE_REQUEST__INIT;
	Catalog__V1__GetProductRequest get = CATALOG__V1__GET_PRODUCT_REQUEST__INIT;
	Catalog__V1__Product *p = NULL;
	const struct timer_job *job = catalog_jobs;
	struct arena *a = arena_new("job", 1 << 20);
	struct err e = { 0 };

	(void)state;
	MUST(create(w.vendor[0], "Lamp", "LAMP", 5000, true, &p, &why_));
	put.product_id = p->id;
	put.variant_id = p->variants[0]->id;
	put.price = usd(4000);
	put.has_starts_at = put.has_ends_at = true;
	put.starts_at = wall_ms() - 60000;
	put.ends_at = wall_ms() + 60000;
	MUST(ASK("PutPrice", &one, &put, &p, &why_));
	get.product_id = p->id;
	MUST(ASK("GetProduct", &who_nobody, &get, &p, &why_));
	assert_int_equal(p->price->amount, 4000);
	assert_int_equal(p->variants[0]->compare_at_price->amount, 5000);
	assert_in_range(p->hdr_max_age, 50, 60);
	/* The sale ends: the job makes the list price true again and tells the version on. */
	pg_fixture_sql(w.fx, "UPDATE catalog.price SET ends_at = now() - interval '1 s' WHERE starts_at IS NOT NULL");
	pg_fixture_sql(w.fx, "UPDATE catalog.product_price SET next_edge = now() - interval '1 s' WHERE next_edge IS NOT NULL");
	while (strcmp(job->name, "price_edges") != 0)
		job++;
	assert_int_equal(job->fn(&w.svc, a, &e), OK);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT minor FROM catalog.product_price WHERE product_id = '%s'", p->id), 5000);
	/* A sale to come in a currency without a base price: nothing to show yet, and its beginning is noticed. */
	put.price = usd(3000);
	put.price->currency = (char *)"EUR";
	put.starts_at = wall_ms() + 60000;
	put.ends_at = wall_ms() + 120000;
	MUST(ASK("PutPrice", &one, &put, &p, &why_));
	get.currency = (char *)"EUR";
	MUST(ASK("GetProduct", &who_nobody, &get, &p, &why_));
	assert_null(p->price);
	assert_in_range(p->hdr_max_age, 50, 60);
	pg_fixture_sql(w.fx, "UPDATE catalog.price SET starts_at = now() - interval '1 s' WHERE currency = 'EUR'");
	pg_fixture_sql(w.fx, "UPDATE catalog.product_price SET next_edge = now() - interval '1 s' WHERE currency = 'EUR'");
	assert_int_equal(job->fn(&w.svc, a, &e), OK);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT minor FROM catalog.product_price WHERE product_id = '%s' AND currency = 'EUR'",
					p->id), 3000);
	MUST(ASK("GetProduct", &who_nobody, &get, &p, &why_));
	assert_int_equal(p->price->amount, 3000);
	pg_fixture_sql(w.fx, "UPDATE catalog.price SET ends_at = now() - interval '1 ms' WHERE currency = 'EUR'");
	pg_fixture_sql(w.fx, "UPDATE catalog.product_price SET next_edge = now() - interval '1 s' WHERE currency = 'EUR'");
	assert_int_equal(job->fn(&w.svc, a, &e), OK);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM catalog.product_price WHERE currency = 'EUR'"), 0);
	put.ends_at = put.starts_at;
	assert_int_equal(ASK("PutPrice", &one, &put, NULL, &e), E_INVALID);
	arena_free(a);
}

/* A walk through any sort meets every product exactly once. */
static void test_list_walk(void **state)
{
	static const char *const sorts[] = { "newest", "price", "-price", "rating", "best_selling" };
	char title[32], sku[32];

	(void)state;
	for (int i = 0; i < 23; i++) {
		snprintf(title, sizeof(title), "Walk %d", i);
		snprintf(sku, sizeof(sku), "WALK-%d", i);
		MUST(create(w.vendor[0], title, sku, i % 5 ? 100 * (i % 4) : -1, true, NULL, &why_));
	}
	for (size_t s = 0; s < 5; s++) {
		Catalog__V1__ListProductsRequest in = CATALOG__V1__LIST_PRODUCTS_REQUEST__INIT;
		Catalog__V1__ListProductsReply *r = NULL;
		const char *seen[64];
		int64_t last = 0;
		bool unpriced = false;
		size_t n = 0;

		in.sort = (char *)sorts[s];
		in.vendor = (char *)w.vendor[0];
		in.has_limit = true;
		in.limit = 4;
		do {
			MUST(ASK("ListProducts", &who_nobody, &in, &r, &why_));
			for (size_t i = 0; i < r->n_data; i++) {
				for (size_t k = 0; k < n; k++)
					assert_string_not_equal(seen[k], r->data[i]->id);
				assert_true(n < 64);
				if (s == 1 || s == 2) { /* in order, and what has no price comes last */
					assert_true(r->data[i]->price ? !unpriced : true);
					unpriced = !r->data[i]->price;
					if (n && !unpriced)
						assert_true(s == 1 ? r->data[i]->price->amount >= last : r->data[i]->price->amount <= last);
					last = unpriced ? last : r->data[i]->price->amount;
				}
				seen[n++] = r->data[i]->id;
			}
			in.cursor = r->next_cursor;
		} while (in.cursor);
		assert_int_equal(n, pg_fixture_i64(w.fx, "SELECT count(*) FROM catalog.product WHERE status = 'published'"
							 " AND vendor_id = '%s'", w.vendor[0]));
	}
}

static void test_list_filters(void **state)
{
	Catalog__V1__ListProductsRequest in = CATALOG__V1__LIST_PRODUCTS_REQUEST__INIT;
	Catalog__V1__ListProductsReply *r = NULL;
	char *attr[] = { (char *)"colour:red" };
	struct err e = { 0 };
	char *cursor;

	(void)state;
	pg_fixture_sql(w.fx, "UPDATE catalog.product SET attributes = '{\"colour\":\"red\"}' WHERE title IN ('Walk 1', 'Walk 2')");
	in.n_attr = 1;
	in.attr = attr;
	in.has_limit = true;
	in.limit = 1;
	MUST(ASK("ListProducts", &who_nobody, &in, &r, &why_));
	assert_int_equal(r->n_data, 1);
	cursor = r->next_cursor;
	assert_non_null(cursor);
	in.cursor = cursor;
	MUST(ASK("ListProducts", &who_nobody, &in, &r, &why_));
	assert_int_equal(r->n_data, 1);
	assert_null(r->next_cursor);
	in.has_price_min = true;
	in.price_min = 1; /* a changed filter with an old cursor */
	assert_int_equal(ASK("ListProducts", &who_nobody, &in, NULL, &e), E_INVALID);
	assert_string_equal(e.slug, "common.cursor_invalid");
	in.cursor = NULL;
	in.sort = (char *)"price; DROP TABLE";
	assert_int_equal(ASK("ListProducts", &who_nobody, &in, NULL, &e), E_INVALID);
	in.sort = NULL;
	in.category = (char *)"no-such-category";
	assert_int_equal(ASK("ListProducts", &who_nobody, &in, NULL, &e), E_NOT_FOUND);
}

static void test_categories(void **state)
{
	struct principal admin = who_admin(catalog_perm);
	Catalog__V1__CreateCategoryRequest in = CATALOG__V1__CREATE_CATEGORY_REQUEST__INIT;
	Catalog__V1__DeleteCategoryRequest del = CATALOG__V1__DELETE_CATEGORY_REQUEST__INIT;
	Catalog__V1__Category *top = NULL, *c = NULL;
	struct err e = { 0 };
	int depth = 1;

	(void)state;
	in.name = (char *)"Books";
	MUST(ASK("CreateCategory", &admin, &in, &top, &why_));
	assert_string_equal(top->slug, "books");
	in.parent_id = top->id;
	in.name = (char *)"Deeper";
	while (ASK("CreateCategory", &admin, &in, &c, &e) == OK) {
		in.parent_id = c->id;
		assert_int_equal(c->depth, depth);
		assert_int_equal(c->n_path, ++depth);
	}
	assert_string_equal(e.slug, "catalog.category_depth");
	assert_int_equal(depth, 8);
	del.category_id = top->id;
	assert_int_equal(ASK("DeleteCategory", &admin, &del, NULL, &e), E_CONFLICT);
	del.category_id = in.parent_id; /* the deepest that was made */
	MUST(ASK("DeleteCategory", &admin, &del, NULL, &why_));
	in.slug = (char *)"books";
	in.parent_id = NULL;
	assert_int_equal(ASK("CreateCategory", &admin, &in, NULL, &e), E_CONFLICT);
}

static enum err_code deliver_tx(struct pg *pg, void *arg, struct err *e)
{
	const struct inbox_event *ev = arg;

	for (const struct inbox_handler *h = catalog_inbox; h->type; h++)
		if (strcmp(h->type, ev->type) == 0)
			return h->fn(pg, w.a, ev, &w.svc, e);
	return err_set(e, E_INTERNAL, "common.internal", "no handler of %s", ev->type);
}

static void deliver(struct inbox_event ev)
{
	const struct pg_actor who = { "system", "" };
	struct err e = { 0 };

	if (pg_tx(w.svc.pool, INT64_MAX, &who, deliver_tx, &ev, &e))
		fail_msg("%s %s", e.slug, e.msg);
}

static void test_reviews(void **state)
{
	struct principal admin = who_admin(catalog_perm), user = who_user("usr_01jd000000000000000000000z");
	Catalog__V1__CreateReviewRequest in = CATALOG__V1__CREATE_REVIEW_REQUEST__INIT;
	Catalog__V1__ModerateReviewRequest judge = CATALOG__V1__MODERATE_REVIEW_REQUEST__INIT;
	Catalog__V1__ListReviewsRequest list = CATALOG__V1__LIST_REVIEWS_REQUEST__INIT;
	Catalog__V1__ListReviewsReply *page = NULL;
	Catalog__V1__Review *r = NULL;
	Catalog__V1__Product *p = NULL;
	Events__V1__OrderLine line = EVENTS__V1__ORDER_LINE__INIT, *lines[] = { &line };
	Events__V1__OrderPlaced order = EVENTS__V1__ORDER_PLACED__INIT;
	Events__V1__UserErased gone = EVENTS__V1__USER_ERASED__INIT;
	struct err e = { 0 };

	(void)state;
	line.has_qty = true;
	line.qty = 1;
	order.n_lines = 1;
	order.lines = lines;
	MUST(create(w.vendor[0], "Judged", "JUDGED", 100, true, &p, &why_));
	in.product_id = p->id;
	in.has_rating = true;
	in.rating = 4;
	MUST(ASK("CreateReview", &user, &in, &r, &why_));
	assert_int_equal(ASK("CreateReview", &user, &in, NULL, &e), E_CONFLICT);
	list.product_id = p->slug;
	MUST(ASK("ListReviews", &who_nobody, &list, &page, &why_));
	assert_int_equal(page->n_data, 0);
	judge.review_id = r->id;
	judge.status = (char *)"approved";
	MUST(ASK("ModerateReview", &admin, &judge, NULL, &why_));
	MUST(ASK("ModerateReview", &admin, &judge, NULL, &why_)); /* twice counts once */
	MUST(ASK("ListReviews", &who_nobody, &list, &page, &why_));
	assert_int_equal(page->n_data, 1);
	assert_null(page->data[0]->user_id);
	assert_false(page->data[0]->verified_purchase);
	line.product_id = p->id;
	order.user_id = (char *)"usr_01jd000000000000000000000y";
	deliver((struct inbox_event){ .type = "order.placed", .msg = &order.base }); /* somebody else's */
	MUST(ASK("ListReviews", &who_nobody, &list, &page, &why_));
	assert_false(page->data[0]->verified_purchase);
	order.user_id = (char *)user.user_id;
	deliver((struct inbox_event){ .type = "order.placed", .msg = &order.base });
	deliver((struct inbox_event){ .type = "order.placed", .msg = &order.base }); /* once more */
	MUST(ASK("ListReviews", &who_nobody, &list, &page, &why_));
	assert_true(page->data[0]->verified_purchase);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT rating_sum * 10 + rating_count FROM catalog.product WHERE id = '%s'",
					p->id), 41);
	gone.user_id = (char *)user.user_id;
	deliver((struct inbox_event){ .type = "user.erased", .msg = &gone.base });
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM catalog.bought WHERE user_id = '%s'", user.user_id), 0);
	MUST(ASK("ListReviews", &who_nobody, &list, &page, &why_));
	assert_false(page->data[0]->verified_purchase);
}

/* ---- what others tell ---- */

static void stock_told(const char *variant, const char *availability, int64_t seq)
{
	Events__V1__StockChanged m = EVENTS__V1__STOCK_CHANGED__INIT;

	m.variant_id = (char *)variant;
	m.availability = (char *)availability;
	deliver((struct inbox_event){ .type = "stock.changed", .agg_version = seq, .msg = &m.base });
}

static void run_job(const char *name)
{
	struct arena *a = arena_new("job", 1 << 20);
	const struct timer_job *job = catalog_jobs;
	struct err e = { 0 };

	while (job->name && strcmp(job->name, name) != 0)
		job++;
	assert_non_null(job->name);
	if (job->fn(&w.svc, a, &e))
		fail_msg("%s: %s %s", name, e.slug, e.msg);
	arena_free(a);
}

/* Sales are noted one by one and counted together, each once; what is no product of ours counts nowhere. */
static void test_sold(void **state)
{
	Events__V1__OrderPlaced m = EVENTS__V1__ORDER_PLACED__INIT;
	Events__V1__OrderLine one = EVENTS__V1__ORDER_LINE__INIT, two = one, *lines[] = { &one, &two };
	Catalog__V1__Product *p = NULL;

	(void)state;
	MUST(create(w.vendor[0], "Seller", "SELLER", 700, true, &p, &why_));
	one.product_id = p->id;
	two.product_id = (char *)"prd_01jd00000000000000000000zz";
	one.has_qty = two.has_qty = true;
	one.qty = 3;
	two.qty = 1;
	m.n_lines = 2;
	m.lines = lines;
	for (int i = 0; i < 3; i++)
		deliver((struct inbox_event){ .type = "order.placed", .msg = &m.base });
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT sold_30d FROM catalog.product WHERE id = '%s'", p->id), 0);
	run_job("sold_count");
	run_job("sold_count");
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT sold_30d FROM catalog.product WHERE id = '%s'", p->id), 9);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT sum(qty) FROM catalog.sold_day WHERE product_id = '%s'", p->id), 9);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM catalog.sold_new"), 0);
	pg_fixture_sql(w.fx, "UPDATE catalog.sold_day SET day = current_date - 31 WHERE product_id = '%s'", p->id);
	run_job("sold_decay");
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT sold_30d FROM catalog.product WHERE id = '%s'", p->id), 0);
}

static void test_availability(void **state)
{
	struct principal cart = who_service("cart");
	Catalog__V1__VariantsRequest ask = CATALOG__V1__VARIANTS_REQUEST__INIT;
	Catalog__V1__GetProductRequest get = CATALOG__V1__GET_PRODUCT_REQUEST__INIT;
	Catalog__V1__VariantsReply *info = NULL;
	Catalog__V1__Product *p = NULL;
	const char *tag;
	char *ids[2];

	(void)state;
	MUST(create(w.vendor[0], "Stocked", "STOCKED", 700, true, &p, &why_));
	get.product_id = p->id;
	stock_told(p->variants[0]->id, "in", 2);
	stock_told(p->variants[0]->id, "out", 1); /* older, told later */
	/* Cached answers go by an event, so after the commit; a conditional request sees that something is new. */
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM catalog.outbox WHERE type = 'product.looks_new'"
					      " AND agg_id = '%s'", p->id), 1);
	MUST(ASK("GetProduct", &who_nobody, &get, &p, &why_));
	tag = p->hdr_etag;
	stock_told(p->variants[0]->id, "low", 3);
	MUST(ASK("GetProduct", &who_nobody, &get, &p, &why_));
	assert_string_not_equal(p->hdr_etag, tag);
	stock_told(p->variants[0]->id, "in", 4);
	MUST(ASK("GetProduct", &who_nobody, &get, &p, &why_));
	assert_string_equal(p->hdr_etag, tag);
	assert_string_equal(p->availability, "in");
	assert_string_equal(p->variants[0]->availability, "in");
	ids[0] = p->variants[0]->id;
	ids[1] = (char *)"var_01jd00000000000000000000zz";
	ask.n_variant_ids = 2;
	ask.variant_ids = ids;
	MUST(ASK("GetVariants", &cart, &ask, &info, &why_));
	assert_int_equal(info->n_data, 1);
	assert_true(info->data[0]->sellable);
	assert_int_equal(info->data[0]->price->amount, 700);
	assert_int_equal(info->data[0]->commission_bp, 1200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schema),	      cmocka_unit_test(test_vendor_life),
		cmocka_unit_test(test_product_life),  cmocka_unit_test(test_input),
		cmocka_unit_test(test_sale_window),   cmocka_unit_test(test_list_walk),
		cmocka_unit_test(test_list_filters),  cmocka_unit_test(test_categories),
		cmocka_unit_test(test_reviews),	      cmocka_unit_test(test_availability),
		cmocka_unit_test(test_sold),
	};

	return cmocka_run_group_tests_name("catalog", tests, open_world, close_world);
}
