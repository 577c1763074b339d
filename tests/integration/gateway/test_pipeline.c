/* Tokens, input, headers and answers of ordinary requests. */
#include "world.h"

static int open_world(void **state)
{
	struct gw_conf c = world_conf();

	(void)state;
	c.redis_url = "";
	if (getenv("TEST_PG_ADMIN")) {
		w.pg = pg_fixture_open("cart", NULL);
		w.pool = pg_fixture_pool(w.pg, NULL, 4);
	}
	return world_open_with(&c);
}

#define ITEM "{\"variant_id\":\"var_1\",\"qty\":2}"

static json_t *body(const struct answer *a)
{
	json_error_t je;
	json_t *j = json_loads(a->body, 0, &je);

	if (!j)
		fail_msg("no JSON: %s", a->text);
	return j;
}

/* What the daemon was told: 0 who, 1 key, 2 fingerprint, 3 cart token, 4 request id. */
static void told(const struct answer *a, int i, const char *want)
{
	json_t *j = body(a);

	assert_string_equal(json_string_value(json_array_get(json_object_get(j, "coupon_codes"), (size_t)i)), want);
	json_decref(j);
}

static void fingerprint_of(const struct answer *a, char out[SHA256_HEX_LEN])
{
	json_t *j = body(a);

	snprintf(out, SHA256_HEX_LEN, "%s", json_string_value(json_array_get(json_object_get(j, "coupon_codes"), 2)));
	json_decref(j);
}

static void anonymous_and_signed_in(void **state)
{
	struct answer *a = ask("POST", "/api/fake/items", "X-Cart-Token: tok\r\n", ITEM);

	(void)state;
	assert_int_equal(a->status, 201);
	told(a, 0, "0:::");
	told(a, 3, "tok");
	assert_string_equal(header_of(a, "ETag"), "\"crt_1-1\"");
	assert_null(strstr(a->body, "hdr_"));
	a = ask("POST", "/api/fake/items", token_of("usr_1", "ses_1", "shop", NULL, 900), ITEM);
	told(a, 0, "1:usr_1:shop:");
}

/* Left out, an overlong token would make a stranger of the guest, with a new cart. */
static void tokens_that_cannot_be(void **state)
{
	char head[1100] = "X-Cart-Token: ";

	(void)state;
	memset(head + 14, 'x', 1000);
	memcpy(head + 14 + 129, "\r\n", 3);
	check_error(ask("POST", "/api/fake/items", head, ITEM), 400, "VALIDATION_ERROR");
	check_error(ask("POST", "/api/fake/items", "X-Cart-Token: a b\r\n", ITEM), 400, "VALIDATION_ERROR");
	memcpy(head + 14 + 128, "\r\n", 3);
	assert_int_equal(ask("POST", "/api/fake/items", head, ITEM)->status, 201);
}

static void tokens(void **state)
{
	char text[2000], *good = token_of("usr_1", "ses_2", "shop", NULL, 900);

	(void)state;
	check_error(get("/api/fake/own/p", ""), 401, "UNAUTHENTICATED");
	assert_string_equal(header_of(get("/api/fake/own/p", ""), "WWW-Authenticate"), "Bearer realm=\"souk\"");
	assert_int_equal(get("/api/fake/own/p", good)->status, 200);
	assert_int_equal(get("/api/fake/own/p", good)->status, 200);
	check_error(get("/api/fake/own/p", "Authorization: Bearer \r\n"), 401, "UNAUTHENTICATED");
	check_error(get("/api/fake/own/p", "Authorization: Basic dTpw\r\n"), 401, "UNAUTHENTICATED");
	check_error(get("/api/fake/own/p", "Authorization: Bearer a.b.c\r\n"), 401, "UNAUTHENTICATED");
	check_error(get("/api/fake/own/p", token_of("usr_1", "ses_2", "shop", NULL, -100)), 401, "UNAUTHENTICATED");
	/* A public route does not forgive a bad token either. */
	check_error(get("/api/fake/products/p1", "Authorization: Bearer a.b.c\r\n"), 401, "UNAUTHENTICATED");
	snprintf(text, sizeof text, "%s", good);
	text[strlen(text) - 12] ^= 1; /* in the signature */
	check_error(get("/api/fake/own/p", text), 401, "UNAUTHENTICATED");
}

static void audiences_and_permissions(void **state)
{
	(void)state;
	check_error(ask("POST", "/api/vendor/fake", "", ITEM), 401, "UNAUTHENTICATED");
	check_error(ask("POST", "/api/vendor/fake", token_of("u", "s", "shop", "vendor.catalog", 900), ITEM), 403, "FORBIDDEN");
	check_error(ask("POST", "/api/vendor/fake", token_of("u", "s", "admin", "vendor.catalog", 900), ITEM), 403, "FORBIDDEN");
	check_error(ask("POST", "/api/vendor/fake", token_of("u", "s", "vendor", "vendor.orders", 900), ITEM), 403, "FORBIDDEN");
	told(ask("POST", "/api/vendor/fake", token_of("u", "s", "vendor", "vendor.catalog", 900), ITEM), 0, "1:u:vendor:vnd_1");
	check_error(ask("POST", "/api/admin/fake", token_of("u", "s", "shop", NULL, 900), ITEM), 403, "FORBIDDEN");
	assert_int_equal(ask("POST", "/api/admin/fake", token_of("u", "s", "admin", NULL, 900), ITEM)->status, 200);
}

static void revocations(void **state)
{
	char *one = strdup(token_of("usr_r", "ses_r1", "shop", NULL, 900));
	char *two = strdup(token_of("usr_r", "ses_r2", "shop", NULL, 900));

	(void)state;
	assert_int_equal(get("/api/fake/own/p", one)->status, 200);
	assert_int_equal(get("/api/fake/own/p", two)->status, 200);
	auth_revoke(w.gw.auth, "ses_r1", "usr_r", 0, wall_ms());
	check_error(get("/api/fake/own/p", one), 401, "UNAUTHENTICATED");
	assert_int_equal(get("/api/fake/own/p", two)->status, 200);
	auth_revoke(w.gw.auth, "", "usr_r", 2, wall_ms());
	check_error(get("/api/fake/own/p", two), 401, "UNAUTHENTICATED");
	free(one);
	free(two);
}

static struct answer *keyed(const char *target, const char *user, const char *key, const char *text)
{
	char headers[2000];

	snprintf(headers, sizeof headers, "%sIdempotency-Key: %s\r\n", user, key);
	return ask("POST", target, headers, text);
}

static void idempotency(void **state)
{
	char *user = strdup(token_of("usr_1", "ses_i", "shop", NULL, 900)), first[SHA256_HEX_LEN], second[SHA256_HEX_LEN];
	struct answer *a;
	int calls;

	(void)state;
	if (!w.pool)
		skip();
	a = keyed("/api/fake/items", user, "\"k-1\"", ITEM);
	assert_int_equal(a->status, 201);
	assert_null(header_of(a, "Idempotent-Replayed"));
	told(a, 1, "k-1");
	fingerprint_of(a, first);
	calls = atomic_load(&fake.calls);
	/* The same meaning in other bytes, the key written bare. */
	a = keyed("/api/fake/items", user, "k-1", " { \"qty\" : 2 , \"variant_id\":\"var_1\" } ");
	assert_int_equal(a->status, 201);
	assert_string_equal(header_of(a, "Idempotent-Replayed"), "true");
	fingerprint_of(a, second);
	assert_string_equal(first, second);
	assert_int_equal(atomic_load(&fake.calls), calls);
	check_error(keyed("/api/fake/items", user, "k-1", "{\"variant_id\":\"var_1\",\"qty\":3}"), 422, "IDEMPOTENCY_KEY_REUSED");
	fingerprint_of(keyed("/api/fake/keyed", user, "k-2", ITEM), second);
	assert_string_not_equal(first, second); /* another path */
	check_error(ask("POST", "/api/fake/keyed", user, ITEM), 400, "VALIDATION_ERROR");
	check_error(keyed("/api/fake/items", user, "\"\"", ITEM), 400, "VALIDATION_ERROR");
	check_error(ask("POST", "/api/fake/items", "Idempotency-Key: k\r\n", ITEM), 400, "VALIDATION_ERROR");
	told(ask("POST", "/api/fake/items", "Idempotency-Key: k\r\nX-Cart-Token: t\r\n", ITEM), 1, "k");
	assert_int_equal(ask("POST", "/api/auth/logout", "Idempotency-Key: k\r\n", NULL)->status, 204);
	free(user);
}

static void if_match(void **state)
{
	struct answer *a = ask("PATCH", "/api/fake/items/lin_1", "", "{\"qty\":1}");

	(void)state;
	check_error(a, 428, "PRECONDITION_REQUIRED");
	a = ask("PATCH", "/api/fake/items/lin_1", "If-Match: \"crt_1-4\"\r\n", "{\"qty\":1}");
	check_error(a, 412, "PRECONDITION_FAILED");
	assert_string_equal(header_of(a, "ETag"), "\"crt_1-5\"");
	a = ask("PATCH", "/api/fake/items/lin_1", "If-Match: W/\"crt_1-5\"\r\n", "{\"qty\":1}");
	check_error(a, 412, "PRECONDITION_FAILED");
	a = ask("PATCH", "/api/fake/items/lin_1", "If-Match: \"crt_1-5\"\r\n", "{\"qty\":1}");
	assert_int_equal(a->status, 200);
	assert_string_equal(header_of(a, "ETag"), "\"crt_1-6\"");
	assert_non_null(strstr(a->body, "\"id\":\"lin_1\""));
	assert_int_equal(ask("PUT", "/api/fake/items/lin_1", "", "{\"qty\":1}")->status, 200);
	check_error(ask("PUT", "/api/fake/items/lin_1", "If-Match: \"a\", \"b\"\r\n", "{}"), 400, "VALIDATION_ERROR");
	check_error(ask("PATCH", "/api/fake/items/lin_1", "If-Match: \"x\"\r\n", "{\"line_id\":\"lin_2\",\"qty\":1}"), 400,
		    "VALIDATION_ERROR");
}

static void tags_and_304(void **state)
{
	char headers[200], etag[100];
	struct answer *a = get("/api/fake/products/tagged", "");

	(void)state;
	assert_string_equal(header_of(a, "ETag"), "\"tagged-1\"");
	a = get("/api/fake/products/tagged", "If-None-Match: \"tagged-1\"\r\n");
	assert_int_equal(a->status, 304);
	assert_null(header_of(a, "Content-Length"));
	assert_int_equal(a->len, a->head_len);
	assert_int_equal(get("/api/fake/products/tagged", "If-None-Match: \"tagged-2\"\r\n")->status, 200);
	snprintf(etag, sizeof etag, "%s", header_of(get("/api/fake/products/untagged", ""), "ETag"));
	assert_true(!strncmp(etag, "W/\"", 3));
	snprintf(headers, sizeof headers, "If-None-Match: %s\r\n", etag);
	assert_int_equal(get("/api/fake/products/untagged", headers)->status, 304);
}

static void head_and_options(void **state)
{
	struct answer *a = ask("HEAD", "/api/fake/products/p1", "", NULL);
	size_t n;

	(void)state;
	assert_int_equal(a->status, 200);
	n = (size_t)atol(header_of(a, "Content-Length"));
	assert_true(n > 10);
	assert_int_equal(a->len, a->head_len);
	assert_int_equal(get("/api/fake/products/p1", "")->len - my_answer()->head_len, n);
	a = ask("OPTIONS", "/api/fake/items/lin_1", "", NULL);
	assert_int_equal(a->status, 204);
	assert_string_equal(header_of(a, "Allow"), "PUT, PATCH, OPTIONS");
	a = ask("DELETE", "/api/fake/items/lin_1", "", NULL);
	check_error(a, 405, "METHOD_NOT_ALLOWED");
	assert_string_equal(header_of(a, "Allow"), "PUT, PATCH, OPTIONS");
	check_error(ask("OPTIONS", "/api/nothing", "", NULL), 404, "NOT_FOUND");
	check_error(get("/api/fake/products/", ""), 404, "NOT_FOUND");
	check_error(get("/API/fake/products", ""), 404, "NOT_FOUND");
}

static void cors(void **state)
{
	static const char *const evil[] = { "https://evil.example", "null", "https://shop.example.evil.com", "http://shop.example" };
	struct answer *a = get("/api/fake/products/p1", "Origin: https://shop.example\r\n");
	char headers[200];

	(void)state;
	assert_string_equal(header_of(a, "Access-Control-Allow-Origin"), "https://shop.example");
	assert_string_equal(header_of(a, "Access-Control-Allow-Credentials"), "true");
	assert_non_null(strstr(header_of(a, "Vary"), "Origin"));
	a = ask("OPTIONS", "/api/fake/items",
		"Origin: https://shop.example\r\nAccess-Control-Request-Method: POST\r\n", NULL);
	assert_int_equal(a->status, 204);
	assert_non_null(strstr(header_of(a, "Access-Control-Allow-Methods"), "POST"));
	assert_non_null(strstr(header_of(a, "Access-Control-Allow-Headers"), "Idempotency-Key"));
	for (size_t i = 0; i < ARRAY_LEN(evil); i++) {
		snprintf(headers, sizeof headers, "Origin: %s\r\nAccess-Control-Request-Method: POST\r\n", evil[i]);
		assert_null(header_of(ask("OPTIONS", "/api/fake/items", headers, NULL), "Access-Control-Allow-Origin"));
		assert_null(header_of(get("/api/fake/products/p1", headers), "Access-Control-Allow-Origin"));
		assert_non_null(strstr(header_of(my_answer(), "Vary"), "Origin"));
	}
}

static void security_headers(void **state)
{
	static const char *const targets[] = { "/healthz", "/api/fake/products/p1", "/api/nothing", "/api/fake/own/p" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		struct answer *a = get(targets[i], "");

		assert_string_equal(header_of(a, "X-Content-Type-Options"), "nosniff");
		assert_string_equal(header_of(a, "Referrer-Policy"), "no-referrer");
		assert_non_null(strstr(header_of(a, "Strict-Transport-Security"), "max-age=31536000"));
		assert_non_null(strstr(header_of(a, "Content-Security-Policy"), "default-src 'none'"));
		assert_non_null(strstr(header_of(a, "Content-Security-Policy"), "frame-ancestors 'none'"));
		assert_null(header_of(a, "Server"));
		assert_non_null(header_of(a, "Date"));
	}
}

#define COOKIE "Cookie: __Host-souk_rt=old\r\n"

static void refresh_cookie(void **state)
{
	struct answer *a = ask("POST", "/api/auth/refresh", COOKIE "X-Requested-With: souk\r\n", "{}");

	(void)state;
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->body, "\"access_token\":\"old\""));
	assert_string_equal(header_of(a, "Set-Cookie"),
			    "__Host-souk_rt=successor; Path=/; HttpOnly; SameSite=Strict; Max-Age=604800; Secure");
	assert_string_equal(header_of(a, "Cache-Control"), "private, no-store");
	assert_int_equal(ask("POST", "/api/auth/refresh", COOKIE "Origin: https://shop.example\r\n", "{}")->status, 200);
	assert_int_equal(ask("POST", "/api/auth/refresh", COOKIE "Origin: http://localhost\r\n", "{}")->status, 200);
	check_error(ask("POST", "/api/auth/refresh", COOKIE, "{}"), 403, "FORBIDDEN");
	check_error(ask("POST", "/api/auth/refresh", COOKIE "Origin: https://evil.example\r\nX-Requested-With: a\r\n", "{}"), 403,
		    "FORBIDDEN");
	check_error(ask("POST", "/api/auth/refresh", COOKIE "Origin: null\r\n", "{}"), 403, "FORBIDDEN");
	/* A form of another site cannot send JSON. */
	check_error(ask("POST", "/api/auth/refresh",
			COOKIE "X-Requested-With: a\r\nContent-Type: application/x-www-form-urlencoded\r\n", "a=b"), 415, NULL);
	/* Native clients have no cookie and no origin. */
	a = ask("POST", "/api/auth/refresh", "", "{\"refresh_token\":\"native\"}");
	assert_non_null(strstr(a->body, "\"access_token\":\"native\""));
	check_error(ask("POST", "/api/auth/refresh", "", "{\"hdr_refresh_token\":\"x\"}"), 400, "VALIDATION_ERROR");
	a = ask("POST", "/api/auth/logout", COOKIE "X-Requested-With: a\r\n", NULL);
	assert_int_equal(a->status, 204);
	assert_string_equal(header_of(a, "Set-Cookie"),
			    "__Host-souk_rt=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0; Secure");
}

static void raw_bodies(void **state)
{
	struct answer *a = ask("POST", "/api/webhooks/fake", "Stripe-Signature: t=1,v1=abc\r\n", "{ \"a\" : 1 }");

	(void)state;
	assert_int_equal(a->status, 200);
	assert_string_equal(a->body, "{\"received\":true}");
	check_error(ask("POST", "/api/webhooks/fake", "", "{ \"a\" : 1 }"), 400, "VALIDATION_ERROR");
	check_error(ask("POST", "/api/webhooks/fake", "Stripe-Signature: x\r\n", "{\"a\":1}"), 400, "VALIDATION_ERROR");
}

static void request_ids(void **state)
{
	static const char *const bad[] = { "short", "has space here", "semi;colon;id", "" };
	struct answer *a = ask("POST", "/api/fake/items", "X-Request-Id: my-request_17\r\n", ITEM);
	char headers[200];

	(void)state;
	assert_string_equal(header_of(a, "X-Request-Id"), "my-request_17");
	told(a, 4, "my-request_17");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(headers, sizeof headers, "X-Request-Id: %s\r\n", bad[i]);
		assert_true(!strncmp(header_of(get("/healthz", headers), "X-Request-Id"), "req_", 4));
	}
}

static void problem_json(void **state)
{
	struct answer *a = get("/api/nothing", "Accept: application/problem+json\r\n");

	(void)state;
	assert_string_equal(header_of(a, "Content-Type"), "application/problem+json");
	assert_non_null(strstr(a->body, "\"status\":404"));
	assert_non_null(strstr(a->body, "\"title\":"));
}

static void refusals_of_the_daemon(void **state)
{
	struct answer *a = get("/api/fake/own/broken", token_of("u", "s", "shop", NULL, 900));

	(void)state;
	check_error(a, 500, "INTERNAL");
	assert_null(strstr(a->text, "secret detail"));
	check_error(get("/api/fake/own/missing", token_of("u", "s", "shop", NULL, 900)), 404, "NOT_FOUND");
	a = get("/api/away", "");
	check_error(a, 503, "DEPENDENCY_UNAVAILABLE");
	assert_non_null(header_of(a, "Retry-After"));
	/* What a page can do without. */
	a = get("/api/away/list", "");
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->text, "\r\n\r\n{\"data\":[]}"));
}

static void platform(void **state)
{
	struct answer *a = get("/healthz", "");
	json_t *j;

	(void)state;
	assert_int_equal(a->status, 200);
	assert_int_equal(get("/readyz", "")->status, 200);
	a = get("/.well-known/jwks.json", "");
	assert_non_null(strstr(a->body, "\"kid\":\"test-1\""));
	a = get("/api/docs", "");
	assert_string_equal(header_of(a, "Content-Type"), "text/html; charset=utf-8");
	assert_non_null(strstr(a->body, "</html>"));
	a = get("/api/openapi.json", "");
	assert_int_equal(a->status, 200);
	j = body(a);
	assert_string_equal(json_string_value(json_object_get(j, "openapi")), "3.1.0");
	assert_non_null(json_object_get(json_object_get(json_object_get(j, "paths"), "/api/fake/items/{line_id}"), "patch"));
	json_decref(j);
}

static void imports(void **state)
{
	size_t n = 600 * 1024;
	char *rows = malloc(n + 1), *user = strdup(token_of("usr_1", "ses_imp", "shop", NULL, 900)), headers[2000];
	struct answer *a;

	(void)state;
	for (size_t i = 0; i < n; i++)
		rows[i] = (char)('a' + i % 23);
	rows[n] = '\0';
	snprintf(headers, sizeof headers, "%sContent-Type: text/csv\r\n", user);
	a = ask("POST", "/api/fake/import?name=x", headers, rows);
	assert_int_equal(a->status, 202);
	assert_string_equal(header_of(a, "Location"), "/api/fake/imports/imp_1");
	assert_int_equal(fake.import_chunks, 3);
	assert_int_equal(fake.import_len, n);
	assert_memory_equal(fake.import, rows, n);
	assert_true(fake.import_closed);
	check_error(ask("POST", "/api/fake/import", headers, ""), 400, "VALIDATION_ERROR");
	check_error(ask("POST", "/api/fake/import?zzz=1", headers, "a,b"), 400, "VALIDATION_ERROR");
	check_error(ask("POST", "/api/fake/import", "Content-Type: text/csv\r\n", "a,b"), 401, NULL);
	rows = realloc(rows, (1 << 20) + 2);
	memset(rows, 'x', (1 << 20) + 1);
	rows[(1 << 20) + 1] = '\0';
	check_error(ask("POST", "/api/fake/import", headers, rows), 413, "PAYLOAD_TOO_LARGE");
	free(rows);
	free(user);
}

/* An upload that breaks off is never closed as if it were whole. */
static void broken_import(void **state)
{
	char *user = strdup(token_of("usr_1", "ses_imp2", "shop", NULL, 900)), text[3000];
	static struct answer a;
	int fd = dial(), n;

	(void)state;
	n = snprintf(text, sizeof text, "POST /api/fake/import HTTP/1.1\r\nHost: localhost\r\n%sContent-Type: text/csv\r\n"
		     "Content-Length: 100000\r\n\r\nhalf", user);
	put(fd, text, (size_t)n);
	shutdown(fd, SHUT_WR);
	receive(fd, &a, false);
	assert_true(a.status == 400 || a.status == 408);
	assert_false(fake.import_closed);
	close(fd);
	free(user);
}

static void proxies(void **state)
{
	struct gw_conf c = world_conf();

	(void)state;
	gateway_down();
	c.redis_url = "";
	c.trusted_proxies = "127.0.0.0/8";
	c.limit_anonymous = 2;
	gateway_up(&c);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(get("/api/fake/products/p1", "X-Forwarded-For: 1.1.1.1\r\n")->status, 200);
		assert_int_equal(get("/api/fake/products/p1", "X-Forwarded-For: 1.1.1.1, 2.2.2.2\r\n")->status, 200);
	}
	check_error(get("/api/fake/products/p1", "X-Forwarded-For: 1.1.1.1\r\n"), 429, "RATE_LIMITED");
	check_error(get("/api/fake/products/p1", "X-Forwarded-For: 9.9.9.9, 2.2.2.2\r\n"), 429, "RATE_LIMITED");
	gateway_down();
	c = world_conf();
	c.redis_url = "";
	gateway_up(&c);
}

static void closed_without_revocations(void **state)
{
	struct gw_conf c = world_conf();

	(void)state;
	gateway_down();
	c.redis_url = "";
	w.stale = true;
	gateway_up(&c);
	w.stale = false;
	check_error(ask("POST", "/api/admin/fake", token_of("u", "s", "admin", NULL, 900), ITEM), 503, "DEPENDENCY_UNAVAILABLE");
	assert_int_equal(ask("POST", "/api/fake/items", token_of("u", "s", "shop", NULL, 900), ITEM)->status, 201);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(anonymous_and_signed_in),
		cmocka_unit_test(tokens_that_cannot_be),
		cmocka_unit_test(tokens),
		cmocka_unit_test(audiences_and_permissions),
		cmocka_unit_test(revocations),
		cmocka_unit_test(idempotency),
		cmocka_unit_test(if_match),
		cmocka_unit_test(tags_and_304),
		cmocka_unit_test(head_and_options),
		cmocka_unit_test(cors),
		cmocka_unit_test(security_headers),
		cmocka_unit_test(refresh_cookie),
		cmocka_unit_test(raw_bodies),
		cmocka_unit_test(request_ids),
		cmocka_unit_test(problem_json),
		cmocka_unit_test(refusals_of_the_daemon),
		cmocka_unit_test(platform),
		cmocka_unit_test(imports),
		cmocka_unit_test(broken_import),
		cmocka_unit_test(proxies),
		cmocka_unit_test(closed_without_revocations),
	};

	return cmocka_run_group_tests_name("gateway pipeline", tests, open_world, world_close);
}
