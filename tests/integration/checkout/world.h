/*
 * A checkout daemon without its transport: the real handlers, saga, sweeper and PostgreSQL, the real payment sandbox as a
 * process of its own, and stand-ins for cart, catalog, inventory and identity linked in place of checkout_remote.c. The
 * stock behind them is kept like inventory's, and each call can be told to lose its request or its answer.
 */
#ifndef SOUK_TEST_CHECKOUT_WORLD_H
#define SOUK_TEST_CHECKOUT_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "checkout.pb-c.h"
#include "common/crypto.h"
#include "common/cursor.h"
#include "common/httpc.h"
#include "common/id.h"
#include "common/idem.h"
#include "common/money.h"
#include "common/timeutil.h"
#include "services/checkout/checkout.h"
#include "services/checkout/checkout_remote.h"
#include "services/checkout/pay.h"
#include "services/checkout/sweeper.h"
#include "tests/support/handlers.h"
#include "tests/support/invariants.h"
#include "tests/support/pg_fixture.h"

extern const struct migration checkout_migrations[];

#define SECRET "whsec_world"
#define USER   "usr_01jd0000000000000000000001"
#define OTHER  "usr_01jd0000000000000000000002"
#define VND1   "vnd_01jd0000000000000000000001"
#define VND2   "vnd_01jd0000000000000000000002"
#define VAR_A  "var_01jd000000000000000000000a" /* VND1, 10.00 */
#define VAR_B  "var_01jd000000000000000000000b" /* VND2, 25.50 */

enum stock_state { ST_NONE, ST_ACTIVE, ST_SOLD, ST_RELEASED };
enum lose { LOSE_NOTHING, LOSE_REQUEST, LOSE_ANSWER };
enum remote_op { OP_RESERVE, OP_SELL, OP_RELEASE, OP_RESTOCK, OP_HOLD, OP_N };

struct reservation {
	char key[80];
	enum stock_state state;
	int32_t a, b; /* units of VAR_A and VAR_B */
	bool held;
};

static struct world {
	struct pg_fixture *fx;
	struct checkout_conf conf;
	struct checkout_svc svc;
	struct handlers h;
	struct arena *a;
	struct err e;
	/* sandbox */
	pid_t pid;
	char url[64];
	struct httpc *http;
	/* stand-ins */
	pthread_mutex_t mu;
	struct reservation res[4096];
	size_t n_res;
	char restocked[256][120]; /* operations done */
	size_t n_restocked;
	int64_t stock_a, stock_b;
	int32_t qty_a, qty_b; /* in every cart */
	int64_t price_a;
	int64_t cart_version;
	int32_t reserved_s; /* of the last reservation asked for */
	const char *coupon;
	enum lose lose[OP_N];
	int lose_count[OP_N];
	int cart_seq;
	char seen_intents[64]; /* the newest when the test began */
	bool by_hand; /* this test moves money or units behind the daemon's back */
} w = { .mu = PTHREAD_MUTEX_INITIALIZER };

/* ---- stand-ins ---- */

/* A cart for each user and each guest token, made of the same lines. */
static const char *cart_of(struct arena *a, const struct call *c, const char *token)
{
	uint8_t hash[SHA256_LEN];
	char hex[SHA256_HEX_LEN];
	const char *who = c->who.kind == WHO_USER ? c->who.user_id : token;

	if (!who || !*who)
		return NULL;
	who = arena_printf(a, "%s/%d", who, w.cart_seq);
	sha256(who, strlen(who), hash);
	hex_encode(hash, SHA256_LEN, hex);
	for (char *p = hex; *p; p++)
		if (*p >= 'a')
			*p = (char)(*p - 'a' + '0'); /* within the alphabet of ids */
	hex[26] = '\0';
	hex[0] = '0';
	return arena_printf(a, "crt_%s", hex);
}

static Cart__V1__CheckoutLine *cart_line(struct arena *a, const char *variant, int32_t qty)
{
	Cart__V1__CheckoutLine *l = arena_alloc(a, sizeof(*l));

	cart__v1__checkout_line__init(l);
	l->variant_id = (char *)variant;
	l->has_qty = true;
	l->qty = qty;
	return l;
}

enum err_code checkout_remote_cart(struct call *c, const char *token, int64_t version,
				   Cart__V1__CartForCheckoutReply **out_r)
{
	Cart__V1__CartForCheckoutReply *r = arena_alloc(c->arena, sizeof(*r));
	const char *id = cart_of(c->arena, c, token);

	if (!id)
		return err_set(&c->err, E_RULE, "cart.empty", "no cart");
	if (version >= 0 && version != w.cart_version)
		return err_set(&c->err, E_PRECOND, "cart.version", "version %lld", (long long)version);
	cart__v1__cart_for_checkout_reply__init(r);
	r->cart_id = (char *)id;
	r->has_version = true;
	r->version = w.cart_version;
	r->currency = (char *)"USD";
	r->user_id = c->who.kind == WHO_USER ? (char *)c->who.user_id : NULL;
	r->lines = arena_alloc(c->arena, 2 * sizeof(*r->lines));
	if (w.qty_a)
		r->lines[r->n_lines++] = cart_line(c->arena, VAR_A, w.qty_a);
	if (w.qty_b)
		r->lines[r->n_lines++] = cart_line(c->arena, VAR_B, w.qty_b);
	if (w.coupon) {
		r->coupon_codes = arena_alloc(c->arena, sizeof(*r->coupon_codes));
		r->coupon_codes[r->n_coupon_codes++] = (char *)w.coupon;
	}
	*out_r = r;
	return OK;
}

static Catalog__V1__VariantInfo *variant(struct arena *a, const char *id, const char *vendor, int64_t price)
{
	Catalog__V1__VariantInfo *v = arena_alloc(a, sizeof(*v));
	struct err e = { 0 };
	struct money m;

	catalog__v1__variant_info__init(v);
	v->variant_id = (char *)id;
	v->product_id = (char *)"prd_01jd0000000000000000000001";
	v->vendor_id = (char *)vendor;
	v->vendor_name = (char *)(strcmp(vendor, VND1) == 0 ? "First" : "Second");
	v->sku = (char *)"SKU-1"; /* two vendors, one SKU */
	v->product_title = (char *)"Thing";
	assert_int_equal(money_make(price, "USD", &m, &e), OK);
	v->price = money_to_pb(a, m);
	v->has_sellable = v->has_commission_bp = v->has_weight_g = true;
	v->sellable = price >= 0;
	v->commission_bp = 1000;
	v->weight_g = 400;
	return v;
}

enum err_code checkout_remote_variants(struct call *c, const char *const *ids, size_t n, const char *currency,
				       Catalog__V1__VariantsReply **out_r)
{
	Catalog__V1__VariantsReply *r = arena_alloc(c->arena, sizeof(*r));

	(void)currency;
	catalog__v1__variants_reply__init(r);
	r->data = arena_alloc(c->arena, (n + 1) * sizeof(*r->data));
	for (size_t i = 0; i < n; i++)
		r->data[r->n_data++] = strcmp(ids[i], VAR_A) == 0 ? variant(c->arena, VAR_A, VND1, w.price_a)
								  : variant(c->arena, VAR_B, VND2, 2550);
	*out_r = r;
	return OK;
}

enum err_code checkout_remote_address(struct call *c, const char *user_id, const char *address_id,
				      Identity__V1__Address **out_r)
{
	(void)user_id;
	(void)out_r;
	return err_set(&c->err, E_NOT_FOUND, "common.not_found", "%s", address_id);
}

enum err_code checkout_remote_contact(struct call *c, const char *user_id, Identity__V1__Contact **out_r)
{
	(void)user_id;
	(void)out_r;
	return err_set(&c->err, E_NOT_FOUND, "common.not_found", "contact");
}

/* Whether this call loses something; consumes one of lose_count. */
static enum lose losing(enum remote_op op)
{
	if (w.lose_count[op] == 0)
		return LOSE_NOTHING;
	w.lose_count[op]--;
	return w.lose[op];
}

static enum err_code lost(struct call *c)
{
	return err_set(&c->err, E_UNAVAILABLE, "rpc.outcome_unknown", "lost");
}

static struct reservation *find_res(const char *key)
{
	for (size_t i = 0; i < w.n_res; i++)
		if (strcmp(w.res[i].key, key) == 0)
			return &w.res[i];
	return NULL;
}

static enum err_code reserve_locked(struct call *c, const char *key, const struct stock_line *lines, size_t n)
{
	struct reservation *r = find_res(key);
	int32_t a = 0, b = 0;

	if (r)
		return OK;
	for (size_t i = 0; i < n; i++)
		*(strcmp(lines[i].variant_id, VAR_A) == 0 ? &a : &b) += lines[i].qty;
	if (a > w.stock_a || b > w.stock_b) {
		err_detail(&c->err, a > w.stock_a ? "lines." VAR_A : "lines." VAR_B, "0", "not enough");
		return err_set(&c->err, E_CONFLICT, "inventory.out_of_stock", "short");
	}
	assert_true(w.n_res < sizeof(w.res) / sizeof(w.res[0]));
	r = &w.res[w.n_res++];
	snprintf(r->key, sizeof(r->key), "%s", key);
	r->state = ST_ACTIVE;
	r->a = a;
	r->b = b;
	w.stock_a -= a;
	w.stock_b -= b;
	return OK;
}

enum err_code checkout_remote_reserve(struct call *c, const char *key, const struct stock_line *lines, size_t n,
				      int32_t ttl_s, const char *owner, const char **state_r)
{
	static const char *const names[] = { "none", "active", "sold", "released" };
	enum err_code code = OK;
	enum lose l;

	assert_true(ttl_s >= 60 && owner && *owner && !pg_in_tx());
	pthread_mutex_lock(&w.mu);
	w.reserved_s = ttl_s;
	l = losing(OP_RESERVE);
	if (l != LOSE_REQUEST)
		code = reserve_locked(c, key, lines, n);
	if (!code && l == LOSE_NOTHING)
		*state_r = names[find_res(key)->state];
	pthread_mutex_unlock(&w.mu);
	return l == LOSE_NOTHING ? code : lost(c);
}

enum err_code checkout_remote_sell(struct call *c, const char *key, const char *order_id)
{
	struct reservation *r;
	enum err_code code = OK;
	enum lose l;

	assert_true(order_id && !pg_in_tx());
	pthread_mutex_lock(&w.mu);
	l = losing(OP_SELL);
	r = find_res(key);
	if (l != LOSE_REQUEST && r && r->state == ST_ACTIVE)
		r->state = ST_SOLD;
	if (!r || r->state != ST_SOLD)
		code = err_set(&c->err, E_CONFLICT, "inventory.reservation_gone", "%s", key);
	pthread_mutex_unlock(&w.mu);
	return l == LOSE_NOTHING ? code : lost(c);
}

static void release_locked(struct reservation *r)
{
	r->state = ST_RELEASED;
	w.stock_a += r->a;
	w.stock_b += r->b;
}

enum err_code checkout_remote_release(struct call *c, const char *key, const char *reason)
{
	struct reservation *r;
	enum err_code code = OK;
	enum lose l;

	(void)reason;
	assert_false(pg_in_tx());
	pthread_mutex_lock(&w.mu);
	l = losing(OP_RELEASE);
	r = find_res(key);
	if (l != LOSE_REQUEST && r && r->state == ST_ACTIVE)
		release_locked(r);
	if (r && r->state == ST_SOLD)
		code = err_set(&c->err, E_CONFLICT, "inventory.reservation_sold", "%s", key);
	pthread_mutex_unlock(&w.mu);
	return l == LOSE_NOTHING ? code : lost(c);
}

enum err_code checkout_remote_hold(struct call *c, const char *key, int32_t ttl_s)
{
	struct reservation *r;

	(void)c;
	(void)ttl_s;
	pthread_mutex_lock(&w.mu);
	r = find_res(key);
	if (r)
		r->held = true;
	pthread_mutex_unlock(&w.mu);
	return OK;
}

static bool done_before(const char *operation)
{
	for (size_t i = 0; i < w.n_restocked; i++)
		if (strcmp(w.restocked[i], operation) == 0)
			return true;
	snprintf(w.restocked[w.n_restocked++], sizeof(w.restocked[0]), "%s", operation);
	return false;
}

enum err_code checkout_remote_restock(struct call *c, const char *operation_id, const char *key,
				      const struct stock_line *lines, size_t n, const char *reason)
{
	struct reservation *r;
	enum err_code code = OK;
	enum lose l;

	(void)reason;
	assert_false(pg_in_tx());
	pthread_mutex_lock(&w.mu);
	l = losing(OP_RESTOCK);
	r = find_res(key);
	if (!r || r->state != ST_SOLD) {
		code = err_set(&c->err, E_CONFLICT, "inventory.not_sold", "%s", key);
	} else if (l != LOSE_REQUEST && !done_before(operation_id)) {
		if (n == 0) {
			w.stock_a += r->a;
			w.stock_b += r->b;
			r->a = r->b = 0;
		}
		for (size_t i = 0; i < n; i++) {
			int32_t *left = strcmp(lines[i].variant_id, VAR_A) == 0 ? &r->a : &r->b;

			assert_true(lines[i].qty <= *left);
			*left -= lines[i].qty;
			*(left == &r->a ? &w.stock_a : &w.stock_b) += lines[i].qty;
		}
	}
	pthread_mutex_unlock(&w.mu);
	return l == LOSE_NOTHING ? code : lost(c);
}

/* ---- the sandbox ---- */

static void start_sandbox(void)
{
	char path[4096], line[200] = "", *dir;
	int out[2];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 20);
	size_t len = 0;

	assert_true(n > 0);
	path[n] = '\0';
	dir = strrchr(path, '/');
	snprintf(dir, 20, "/souk-sandbox");
	assert_int_equal(pipe(out), 0);
	setenv("SANDBOX_LISTEN", "127.0.0.1:0", 1);
	setenv("SANDBOX_THREADS", "64", 1);
	w.pid = fork();
	assert_true(w.pid >= 0);
	if (w.pid == 0) { /* goes with us, however we go */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], 1);
		close(out[0]);
		execl(path, path, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	while (len < sizeof(line) - 1 && read(out[0], line + len, 1) == 1 && line[len] != '\n')
		len++;
	close(out[0]);
	line[len] = '\0';
	assert_memory_equal(line, "listening ", 10);
	snprintf(w.url, sizeof(w.url), "http://%s", line + 10);
}

static int ask_sandbox(const char *method, const char *path, const char *type, const char *body, const char **text_r)
{
	const char *key = strncmp(path, "/_sandbox", 9) == 0 || strcmp(type, "pk") ? "sk_test_souk" : "pk_test_souk";
	const char *headers[] = { arena_printf(w.a, "Authorization: Bearer %s", key),
				  strcmp(type, "json") == 0 ? "Content-Type: application/json"
							    : "Content-Type: application/x-www-form-urlencoded", NULL };
	struct httpc_request q = { .method = method, .url = arena_printf(w.a, "%s%s", w.url, path), .headers = headers,
				   .timeout_ms = 5000, .max_reply = 4 << 20 };
	struct httpc_reply r = { 0 };
	struct err e = { 0 };

	if (body)
		q.body = (struct pg_bytes){ body, strlen(body) };
	assert_int_equal(httpc_do(w.http, &q, w.a, &r, &e), OK);
	if (text_r)
		*text_r = r.body.data;
	return r.status;
}

UNUSED static void fault(const char *json)
{
	assert_true(ask_sandbox("POST", "/_sandbox/faults", "json", json, NULL) < 300);
}

static void no_faults(void)
{
	(void)ask_sandbox("DELETE", "/_sandbox/faults", "json", NULL, NULL);
}

/* As the buyer's browser does. */
UNUSED static int pay_with(const char *secret, const char *card)
{
	size_t n = strstr(secret, "_secret_") ? (size_t)(strstr(secret, "_secret_") - secret) : strlen(secret);

	return ask_sandbox("POST", arena_printf(w.a, "/v1/payment_intents/%.*s/confirm", (int)n, secret), "pk",
			   arena_printf(w.a, "payment_method=%s&client_secret=%s", card, secret), NULL);
}

static json_t *intent(const char *pi_id)
{
	const char *text = "";

	assert_int_equal(ask_sandbox("GET", arena_printf(w.a, "/v1/payment_intents/%s", pi_id), "sk", NULL, &text), 200);
	return json_loads(text, 0, NULL);
}

UNUSED static void intent_is(const char *pi_id, const char *status)
{
	json_t *o = intent(pi_id);

	assert_string_equal(json_string_value(json_object_get(o, "status")), status);
	json_decref(o);
}

/* ---- the world ---- */

static struct err last; /* of the last ask() */

static enum err_code ask(const char *method, const struct principal *who, const void *in, void *out_r)
{
	memset(&last, 0, sizeof(last));
	return handlers_ask(&w.h, w.a, method, who, in, out_r, &last);
}

static void world_open_pay(const char *url)
{
	const struct pay_conf pc = { url, "sk_test_souk", 48, 48 };

	if (w.svc.pay)
		pay_close(w.svc.pay);
	w.svc.pay = NULL;
	assert_int_equal(pay_open(&pc, &w.svc.pay, &w.e), OK);
}

/* The daemon's inside around this pool, with the sandbox of w.url. */
static void world_daemon(struct pg_pool *pool)
{
	static const struct rpc_service service = { &checkout__v1__checkout__descriptor, checkout_tables };
	const struct httpc_conf hc = { .max_handles = 48, .queue = 48, .breaker_failures = 1000, .breaker_open_ms = 10 };
	static char secrets[] = "whsec_old," SECRET;
	const char *ring = "1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";

	w.a = arena_new("world", 256u << 20);
	random_bytes(&w.svc.index_key, sizeof(w.svc.index_key));
	cursor_use_key(&w.svc.index_key);
	assert_int_equal(httpc_open(&hc, &w.http, &w.e), OK);
	w.conf = (struct checkout_conf){ .ttl_s = 900, .inline_ms = 3000, .pay_publishable_key = "pk_test_souk" };
	w.svc.conf = &w.conf;
	w.svc.pool = pool;
	assert_int_equal(keyring_parse(ring, strlen(ring), &w.svc.ring, &w.e), OK);
	idem_seal_with(w.svc.pool, w.svc.ring);
	assert_true(checkout_secrets(&w.svc, secrets));
	world_open_pay(w.url);
	w.h = (struct handlers){ &service, w.svc.pool, &w.svc };
}

static int world_begin(void **state)
{
	(void)state;
	w.fx = pg_fixture_open("checkout", checkout_migrations);
	start_sandbox();
	world_daemon(pg_fixture_pool(w.fx, checkout_stmts, 12));
	return 0;
}

static int world_end(void **state)
{
	(void)state;
	pay_close(w.svc.pay);
	keyring_free(w.svc.ring);
	pg_pool_close(w.svc.pool);
	pg_fixture_close(w.fx);
	httpc_close(w.http);
	kill(w.pid, SIGTERM);
	waitpid(w.pid, NULL, 0);
	arena_free(w.a);
	return 0;
}

static void full_shelves(void)
{
	w.n_res = w.n_restocked = 0;
	w.stock_a = w.stock_b = 1000;
	w.qty_a = 2;
	w.qty_b = 1;
	w.price_a = 1000;
	w.cart_version = 1;
	w.coupon = NULL;
}

static const char *newest_intent(void);

/* Before each test: full shelves, a provider that does as it is told, a fresh cart. */
static int world_reset(void **state)
{
	(void)state;
	no_faults();
	arena_reset(w.a);
	full_shelves();
	w.by_hand = false;
	snprintf(w.seen_intents, sizeof(w.seen_intents), "%s", newest_intent());
	w.cart_seq++;
	w.conf.inline_ms = 3000;
	memset(w.lose_count, 0, sizeof(w.lose_count));
	return 0;
}

UNUSED static int64_t count(const char *sql, const char *id)
{
	return pg_fixture_i64(w.fx, "SELECT count(*) FROM checkout.%s '%s'", sql, id);
}

UNUSED static const char *state_of(const char *checkout_id)
{
	return pg_fixture_text(w.fx, "SELECT state FROM checkout.checkout WHERE id = '%s'", checkout_id);
}

/* Time passes: everything is due now, and nobody acts on it. Then the sweeper runs until nothing is left. */
static void sweep(void)
{
	struct arena *a = arena_new("sweep", 64u << 20);

	for (int i = 0; i < 12; i++) {
		pg_fixture_sql(w.fx, "UPDATE checkout.checkout SET next_at = now() - interval '1 s',"
				     " lease_until = '-infinity' WHERE next_at IS NOT NULL AND state <> 'payment_pending'");
		pg_fixture_sql(w.fx, "UPDATE checkout.provider_event SET next_at = now() - interval '1 s'"
				     " WHERE next_at IS NOT NULL");
		pg_fixture_sql(w.fx, "UPDATE checkout.refund SET next_at = now() - interval '1 s' WHERE next_at IS NOT NULL");
		pg_fixture_sql(w.fx, "UPDATE checkout.restock SET next_at = now() - interval '1 s' WHERE next_at IS NOT NULL");
		if (sweeper_round(&w.svc, a) == 0)
			break;
	}
	arena_free(a);
}

#include "tests/integration/checkout/books.h"

/* ---- shopping ---- */

static Checkout__V1__Address *address(const char *country)
{
	Checkout__V1__Address *d = arena_alloc(w.a, sizeof(*d));

	checkout__v1__address__init(d);
	d->name = (char *)"Ada Canary";
	d->line1 = (char *)"1 Canary Wharf";
	d->city = (char *)"Town";
	d->postal_code = (char *)"12345";
	d->country = (char *)country;
	return d;
}

static Checkout__V1__StartCheckoutRequest *order_of(const struct principal *who, const char *token, int64_t total)
{
	Checkout__V1__StartCheckoutRequest *in = arena_alloc(w.a, sizeof(*in));
	struct call c = { .who = *who };
	struct money m;

	checkout__v1__start_checkout_request__init(in);
	in->address = address("US");
	in->shipping_method = (char *)"shm_standard";
	assert_int_equal(money_make(total, "USD", &m, &w.e), OK);
	in->expected_total = money_to_pb(w.a, m);
	in->hdr_if_match = arena_printf(w.a, "%s-%lld", cart_of(w.a, &c, token), (long long)w.cart_version);
	in->hdr_cart_token = (char *)token;
	if (token)
		in->email = (char *)"canary@example.com";
	return in;
}

/* Two of A, one of B, standard shipping of 1.2 kg. */
#define TOTAL (2000 + 2550 + 499 + 2 * 50)

static Checkout__V1__CheckoutView *start(const struct principal *who, const char *token)
{
	Checkout__V1__CheckoutView *v = NULL;

	assert_int_equal(ask("StartCheckout", who, order_of(who, token, TOTAL), &v), OK);
	assert_string_equal(v->state, "payment_pending");
	assert_non_null(v->payment->client_secret);
	return v;
}

UNUSED static enum err_code confirm(const struct principal *who, const char *token, const char *checkout_id,
			     Checkout__V1__Order **out_r)
{
	Checkout__V1__ConfirmOrderRequest in = CHECKOUT__V1__CONFIRM_ORDER_REQUEST__INIT;

	in.checkout_id = (char *)checkout_id;
	in.hdr_cart_token = (char *)token;
	return ask("ConfirmOrder", who, &in, out_r);
}

UNUSED static Checkout__V1__Order *buy(const struct principal *who, const char *token)
{
	Checkout__V1__CheckoutView *v = start(who, token);
	Checkout__V1__Order *o = NULL;

	assert_int_equal(pay_with(v->payment->client_secret, "pm_card_visa"), 200);
	assert_int_equal(confirm(who, token, v->id, &o), OK);
	return o;
}

/* An event as the provider signs it. */
UNUSED static enum err_code webhook(const char *type, const char *pi_id, const char *event_id)
{
	Checkout__V1__WebhookRequest in = CHECKOUT__V1__WEBHOOK_REQUEST__INIT;
	const struct principal nobody = who_nobody;
	char *body = arena_printf(w.a, "{\"id\":\"%s\",\"object\":\"event\",\"type\":\"%s\",\"livemode\":false,\"data\":{\"object\":"
				       "{\"id\":\"%s\",\"object\":\"payment_intent\",\"metadata\":{}}}}", event_id, type, pi_id);
	int64_t t = wall_ms() / 1000;
	char *text = arena_printf(w.a, "%lld.%s", (long long)t, body), hex[65];
	uint8_t mac[SHA256_LEN];

	hmac_sha256(SECRET, strlen(SECRET), text, strlen(text), mac);
	hex_encode(mac, SHA256_LEN, hex);
	in.has_raw_body = true;
	in.raw_body.data = (uint8_t *)body;
	in.raw_body.len = strlen(body);
	in.hdr_signature = arena_printf(w.a, "t=%lld,v1=%s", (long long)t, hex);
	return ask("PayWebhook", &nobody, &in, NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_reset, world_check)

#endif
