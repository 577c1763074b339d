/* The catalog in a database of its own, with two approved vendors. For the test programs of this folder. */
#ifndef SOUK_TEST_CATALOG_WORLD_H
#define SOUK_TEST_CATALOG_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "catalog.pb-c.h"
#include "common/crypto.h"
#include "common/cursor.h"
#include "services/catalog/catalog.h"
#include "tests/support/handlers.h"
#include "tests/support/pg_fixture.h"

extern const struct migration catalog_migrations[];

static const char *const own_perm[] = { "vendor.catalog" };
static const char *const vendor_perm[] = { "admin.vendors" };

static struct {
	struct pg_fixture *fx;
	struct catalog_conf conf;
	struct catalog_svc svc;
	struct handlers h;
	struct arena *a;
	const char *vendor[2]; /* two approved vendors */
} w;

#define ASK(method, who, in, out, e) handlers_ask(&w.h, w.a, method, who, in, out, e)
#define MUST(expr)                                                                                 \
	do {                                                                                       \
		struct err why_ = { 0 };                                                           \
		if ((expr) != OK)                                                                  \
			fail_msg("%s: %s (%s) %s", #expr, why_.slug, why_.msg, why_.n_details ? why_.details[0].field : ""); \
	} while (0)

static const char *make_vendor(const char *user, const char *name)
{
	Catalog__V1__ApplyVendorRequest in = CATALOG__V1__APPLY_VENDOR_REQUEST__INIT;
	Catalog__V1__DecideVendorRequest yes = CATALOG__V1__DECIDE_VENDOR_REQUEST__INIT;
	struct principal who = who_user(user), admin = who_admin(vendor_perm);
	Catalog__V1__Vendor *v = NULL;

	in.name = (char *)name;
	in.has_accept_terms = in.accept_terms = true;
	MUST(ASK("ApplyVendor", &who, &in, &v, &why_));
	assert_string_equal(v->status, "applied");
	yes.vendor_id = v->id;
	yes.has_commission_bp = true;
	yes.commission_bp = 1200;
	MUST(ASK("ApproveVendor", &admin, &yes, &v, &why_));
	assert_string_equal(v->status, "approved");
	return v->id;
}

static int open_world(void **state)
{
	struct key32 key;
	struct err e = { 0 };

	(void)state;
	random_bytes(&key, sizeof(key));
	cursor_use_key(&key);
	w.fx = pg_fixture_open("catalog", catalog_migrations);
	w.conf = (struct catalog_conf){ .currency = "USD", .media_base = "/media/", .d = { .redis_url = "" } };
	w.svc = (struct catalog_svc){ .conf = &w.conf, .pool = pg_fixture_pool(w.fx, catalog_stmts, 4) };
	assert_int_equal(cache_open("", 1, 100, &w.svc.cache, &e), OK);
	w.h = (struct handlers){ catalog_services, w.svc.pool, &w.svc };
	w.a = arena_new("test", 256 << 20);
	w.vendor[0] = make_vendor("usr_01jd000000000000000000000x", "Käse & Söhne");
	w.vendor[1] = make_vendor("usr_01jd000000000000000000000y", "Second Shop");
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	cache_close(w.svc.cache);
	pg_pool_close(w.svc.pool);
	pg_fixture_close(w.fx);
	arena_free(w.a);
	return 0;
}

static Common__V1__Money *usd(int64_t minor)
{
	Common__V1__Money *m = arena_alloc(w.a, sizeof(*m));

	common__v1__money__init(m);
	m->has_amount = true;
	m->amount = minor;
	m->currency = (char *)"USD";
	return m;
}

static enum err_code create(const char *vendor, const char *title, const char *sku, int64_t minor, bool publish,
			    Catalog__V1__Product **out, struct err *e)
{
	struct principal who = who_vendor(vendor, own_perm);
	Catalog__V1__CreateProductRequest in = CATALOG__V1__CREATE_PRODUCT_REQUEST__INIT;
	Catalog__V1__VariantInput v = CATALOG__V1__VARIANT_INPUT__INIT, *list[] = { &v };

	v.sku = (char *)sku;
	v.price = minor >= 0 ? usd(minor) : NULL;
	v.has_on_hand = true;
	v.on_hand = 3;
	in.title = (char *)title;
	in.n_variants = 1;
	in.variants = list;
	in.has_publish = true;
	in.publish = publish;
	return ASK("CreateProduct", &who, &in, out, e);
}

#endif
