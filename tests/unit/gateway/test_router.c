/* gateway/router.c: the table of all daemons fits its protos, and paths find their rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common.pb-c.h"
#include "gateway/router.h"

#define AUDIT(method_, path_) \
	{ method_, path_, "x", "AuditPage", &common__v1__audit_page_request__descriptor, &common__v1__audit_page_reply__descriptor, .status = 0 }

static const struct route rows[] = {
	AUDIT("GET", "/a"),
	AUDIT("GET", "/a/{row_id}"),
	AUDIT("PATCH", "/a/{row_id}"),
	AUDIT("POST", "/a/import"),
	AUDIT("GET", "/a/{row_id}/b"),
	AUDIT("GET", "/a/list/b"),
	AUDIT("DELETE", "/a/{row_id}/b/{actor}"),
	{ 0 },
};

static struct router *make(const struct route *r)
{
	const struct route_service services[] = { { "x", &common__v1__node__descriptor, r }, { 0 } };
	struct router *router;
	struct err e = { 0 };

	if (router_new(services, &router, &e))
		fail_msg("%s", e.msg);
	return router;
}

static void real_table(void **state)
{
	struct router *r;
	struct err e = { 0 };

	(void)state;
	if (router_new(gateway_services, &r, &e))
		fail_msg("%s", e.msg);
	assert_true(router_count(r) >= 10);
	router_free(r);
}

static void finds(struct router *r, const char *method, const char *path, const char *want, const char *var)
{
	struct route_match m;
	enum route_found f = router_find(r, method, path, &m);

	if (!want) {
		assert_int_not_equal(f, ROUTE_FOUND);
		return;
	}
	if (f != ROUTE_FOUND)
		fail_msg("%s %s not found", method, path);
	assert_string_equal(m.route->row->path, want);
	if (var) {
		assert_true(m.n_var >= 1);
		assert_int_equal(m.var[m.n_var - 1].n, strlen(var));
		assert_memory_equal(m.var[m.n_var - 1].s, var, strlen(var));
	}
}

static void paths(void **state)
{
	struct router *r = make(rows);

	(void)state;
	finds(r, "GET", "/a", "/a", NULL);
	finds(r, "HEAD", "/a", "/a", NULL);
	finds(r, "GET", "/a/17", "/a/{row_id}", "17");
	finds(r, "GET", "/a/import", "/a/{row_id}", "import"); /* the literal one has no GET */
	finds(r, "POST", "/a/import", "/a/import", NULL);
	finds(r, "GET", "/a/list/b", "/a/list/b", NULL);
	finds(r, "GET", "/a/liste/b", "/a/{row_id}/b", "liste");
	finds(r, "DELETE", "/a/1/b/2", "/a/{row_id}/b/{actor}", "2");
	finds(r, "GET", "/a/", NULL, NULL);
	finds(r, "GET", "/a/1/", NULL, NULL);
	finds(r, "GET", "/", NULL, NULL);
	finds(r, "GET", "", NULL, NULL);
	finds(r, "GET", "a", NULL, NULL);
	finds(r, "GET", "/A", NULL, NULL);
	finds(r, "GET", "/ab", NULL, NULL);
	finds(r, "GET", "/a/1/b/2/c", NULL, NULL);
	finds(r, "GET", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14", NULL, NULL);
	finds(r, "get", "/a", NULL, NULL);
	finds(r, "TRACE", "/a", NULL, NULL);
	router_free(r);
}

static void methods(void **state)
{
	struct router *r = make(rows);
	struct route_match m;
	struct buf b;

	(void)state;
	buf_init(&b, 200);
	assert_int_equal(router_find(r, "POST", "/a/1", &m), ROUTE_NO_METHOD);
	assert_int_equal(router_find(r, "GET", "/zzz", &m), ROUTE_NO_PATH);
	assert_true(router_allow(r, "/a/1", &b));
	assert_string_equal(buf_cstr(&b), "GET, HEAD, PATCH, OPTIONS");
	buf_reset(&b);
	assert_true(router_allow(r, "/a/import", &b));
	assert_string_equal(buf_cstr(&b), "GET, HEAD, POST, PATCH, OPTIONS");
	assert_false(router_allow(r, "/zzz", &b));
	buf_free(&b);
	router_free(r);
}

static void wrong(struct route row, const char *what)
{
	const struct route bad[] = { row, { 0 } };
	const struct route_service services[] = { { "x", &common__v1__node__descriptor, bad }, { 0 } };
	struct router *router;
	struct err e = { 0 };

	assert_int_equal(router_new(services, &router, &e), E_INTERNAL);
	if (!strstr(e.msg, what))
		fail_msg("%s", e.msg);
}

static void bad_rows(void **state)
{
	const struct route good = AUDIT("GET", "/a/{row_id}");
	struct route r = good;
	const struct route twice[] = { AUDIT("GET", "/a/{row_id}"), AUDIT("GET", "/a/{actor}"), { 0 } };
	const struct route_service services[] = { { "x", &common__v1__node__descriptor, twice }, { 0 } };
	struct router *router;
	struct err e = { 0 };

	(void)state;
	r.rpc = "Nope";
	wrong(r, "no such method");
	r = good;
	r.in = &common__v1__lag_request__descriptor;
	wrong(r, "not the message");
	r = good;
	r.path = "/a/{zzz}";
	wrong(r, "path variable");
	r = good;
	r.path = "a";
	wrong(r, "malformed path");
	r = good;
	r.path = "/a/x{row_id}";
	wrong(r, "malformed path");
	r = good;
	r.required = "row_id zzz";
	wrong(r, "required name");
	r = good;
	r.flags = ROUTE_IF_MATCH;
	wrong(r, "hdr_if_match");
	r = good;
	r.flags = ROUTE_RAW;
	wrong(r, "raw_body");
	r = good;
	r.cache = CACHE_DETAIL;
	r.auth = AUTH_USER;
	wrong(r, "only public");
	assert_int_equal(router_new(services, &router, &e), E_INTERNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_table), cmocka_unit_test(paths),	  cmocka_unit_test(methods),
		cmocka_unit_test(bad_rows),
	};

	return cmocka_run_group_tests_name("gateway router", tests, NULL, NULL);
}
