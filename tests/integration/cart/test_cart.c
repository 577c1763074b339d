/* Carts on a real PostgreSQL; catalog and inventory are played by this file, so that they can change or be away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <pthread.h>

#include "cart.pb-c.h"
#include "common/id.h"
#include "common/timeutil.h"
#include "events.pb-c.h"
#include "services/cart/cart.h"
#include "services/cart/cart_db.h"
#include "services/cart/cart_remote.h"
#include "tests/support/handlers.h"
#include "tests/support/pg_fixture.h"

extern const struct migration cart_migrations[];

#define A "var_01jd000000000000000000000a"
#define B "var_01jd000000000000000000000b"
#define C "var_01jd000000000000000000000c"

/* ---- catalog and inventory, as cart_remote.h promises them ---- */

static struct article {
	const char *id;
	int64_t minor; /* -1: no price */
	bool sellable, backorder;
	int64_t left;
} shelf[3];
static bool catalog_away, inventory_away;

enum err_code cart_remote_variants(struct call *c, const char *const *ids, size_t n, const char *currency,
				   Catalog__V1__VariantsReply **out_r)
{
	Catalog__V1__VariantsReply *r = arena_alloc(c->arena, sizeof(*r));

	/* No transaction may be open while another daemon is asked (decisions 10). */
	assert_false(pg_in_tx());
	if (catalog_away)
		return err_set(&c->err, E_UNAVAILABLE, "rpc.unavailable", "catalog is away");
	catalog__v1__variants_reply__init(r);
	r->data = arena_alloc(c->arena, (n + 1) * sizeof(*r->data));
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < ARRAY_LEN(shelf); k++) {
			Catalog__V1__VariantInfo *v;

			if (strcmp(shelf[k].id, ids[i]) != 0)
				continue;
			v = r->data[r->n_data++] = arena_alloc(c->arena, sizeof(*v));
			catalog__v1__variant_info__init(v);
			v->variant_id = (char *)shelf[k].id;
			v->product_title = (char *)"Thing";
			v->has_sellable = true;
			v->sellable = shelf[k].sellable;
			if (shelf[k].minor >= 0 && strcmp(currency, "USD") == 0) {
				v->price = arena_alloc(c->arena, sizeof(*v->price));
				common__v1__money__init(v->price);
				v->price->has_amount = true;
				v->price->amount = shelf[k].minor;
				v->price->currency = (char *)"USD";
			}
		}
	*out_r = r;
	return OK;
}

enum err_code cart_remote_available(struct call *c, const char *const *ids, size_t n,
				    Inventory__V1__AvailabilityReply **out_r)
{
	Inventory__V1__AvailabilityReply *r = arena_alloc(c->arena, sizeof(*r));

	assert_false(pg_in_tx());
	if (inventory_away)
		return err_set(&c->err, E_UNAVAILABLE, "rpc.unavailable", "inventory is away");
	inventory__v1__availability_reply__init(r);
	r->data = arena_alloc(c->arena, (n + 1) * sizeof(*r->data));
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < ARRAY_LEN(shelf); k++) {
			Inventory__V1__Availability *v;

			if (strcmp(shelf[k].id, ids[i]) != 0)
				continue;
			v = r->data[r->n_data++] = arena_alloc(c->arena, sizeof(*v));
			inventory__v1__availability__init(v);
			v->variant_id = (char *)shelf[k].id;
			v->has_available = v->has_backorder = true;
			v->available = shelf[k].left;
			v->backorder = shelf[k].backorder;
			v->state = (char *)(shelf[k].left > 0 ? "in" : "out");
		}
	*out_r = r;
	return OK;
}

const Catalog__V1__VariantInfo *cart_remote_variant(const Catalog__V1__VariantsReply *r, const char *id)
{
	for (size_t i = 0; r && i < r->n_data; i++)
		if (strcmp(r->data[i]->variant_id, id) == 0)
			return r->data[i];
	return NULL;
}

const Inventory__V1__Availability *cart_remote_left(const Inventory__V1__AvailabilityReply *r, const char *id)
{
	for (size_t i = 0; r && i < r->n_data; i++)
		if (strcmp(r->data[i]->variant_id, id) == 0)
			return r->data[i];
	return NULL;
}

/* ---- the world ---- */

static struct {
	struct pg_fixture *fx;
	struct cart_conf conf;
	struct cart_svc svc;
	struct handlers h;
	struct arena *a;
} w;

static int open_world(void **state)
{
	(void)state;
	w.fx = pg_fixture_open("cart", cart_migrations);
	w.conf = (struct cart_conf){ .currency = "USD", .guest_days = 30, .user_days = 90, .idle_min = 60 };
	w.svc = (struct cart_svc){ .conf = &w.conf, .pool = pg_fixture_pool(w.fx, cart_stmts, 4) };
	w.h = (struct handlers){ cart_services, w.svc.pool, &w.svc };
	w.a = arena_new("test", 64 << 20);
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	pg_pool_close(w.svc.pool);
	pg_fixture_close(w.fx);
	arena_free(w.a);
	return 0;
}

static int full_shelf(void **state)
{
	(void)state;
	shelf[0] = (struct article){ A, 1000, true, false, 10 };
	shelf[1] = (struct article){ B, 250, true, false, 10 };
	shelf[2] = (struct article){ C, 5, true, true, 0 };
	catalog_away = inventory_away = false;
	return 0;
}

/* ---- asking ---- */

static struct principal new_user(void)
{
	char id[ID_LEN];

	id_new("usr", id);
	return who_user(arena_strdup(w.a, id));
}

static enum err_code add_in(struct arena *a, const struct principal *who, const char *token, const char *variant, int qty,
			    Cart__V1__CartView **out, struct err *e)
{
	Cart__V1__AddItemRequest in = CART__V1__ADD_ITEM_REQUEST__INIT;

	in.variant_id = (char *)variant;
	in.has_qty = true;
	in.qty = qty;
	in.hdr_cart_token = (char *)token;
	return handlers_ask(&w.h, a, "AddItem", who, &in, out, e);
}

static Cart__V1__CartView *add(const struct principal *who, const char *token, const char *variant, int qty)
{
	Cart__V1__CartView *out = NULL;
	struct err e = { 0 };

	if (add_in(w.a, who, token, variant, qty, &out, &e))
		fail_msg("add: %s %s", e.slug, e.msg);
	return out;
}

static void add_refused(const struct principal *who, const char *token, const char *variant, int qty, const char *slug)
{
	Cart__V1__CartView *out = NULL;
	struct err e = { 0 };

	assert_int_not_equal(add_in(w.a, who, token, variant, qty, &out, &e), OK);
	assert_string_equal(e.slug, slug);
}

static Cart__V1__CartView *see(const struct principal *who, const char *token)
{
	Cart__V1__GetCartRequest in = CART__V1__GET_CART_REQUEST__INIT;
	Cart__V1__CartView *out = NULL;
	struct err e = { 0 };

	in.hdr_cart_token = (char *)token;
	if (handlers_ask(&w.h, w.a, "GetCart", who, &in, &out, &e))
		fail_msg("see: %s %s", e.slug, e.msg);
	return out;
}

static enum err_code set_in(struct arena *a, const struct principal *who, const char *line, int qty, const char *tag,
			    Cart__V1__CartView **out, struct err *e)
{
	Cart__V1__SetItemRequest in = CART__V1__SET_ITEM_REQUEST__INIT;

	in.line_id = (char *)line;
	in.has_qty = true;
	in.qty = qty;
	in.hdr_if_match = (char *)tag;
	return handlers_ask(&w.h, a, "SetItem", who, &in, out, e);
}

static enum err_code merge_in(struct arena *a, const struct principal *who, const char *token, const char *tag,
			      const char *policy, Cart__V1__CartView **out, struct err *e)
{
	Cart__V1__MergeRequest in = CART__V1__MERGE_REQUEST__INIT;

	in.policy = (char *)policy;
	in.hdr_cart_token = (char *)token;
	in.hdr_if_match = (char *)tag;
	return handlers_ask(&w.h, a, "Merge", who, &in, out, e);
}

static int64_t events_of(const char *type, const char *cart_id)
{
	return pg_fixture_i64(w.fx, "SELECT count(*) FROM cart.outbox WHERE type = '%s' AND agg_id = '%s'", type, cart_id);
}

/* ---- tests ---- */

static void test_first_add_makes_a_guest_cart(void **state)
{
	Cart__V1__CartView *made = add(&who_nobody, NULL, A, 2), *again;

	(void)state;
	assert_non_null(made->cart_token);
	assert_true(strlen(made->cart_token) >= 22);
	assert_int_equal(made->subtotal->amount, 2000);
	assert_int_equal(made->version, 1); /* made with its line */
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM cart.cart WHERE token_hash = sha256('%s'::bytea)",
					made->cart_token), 1);
	again = add(&who_nobody, made->cart_token, A, 1);
	assert_null(again->cart_token);
	assert_string_equal(again->id, made->id);
	assert_int_equal(again->n_lines, 1);
	assert_int_equal(again->lines[0]->qty, 3);
	assert_int_equal(events_of("cart.changed", made->id), 2);
}

/* The token itself is nowhere in the database. */
static void test_tokens_are_not_stored(void **state)
{
	Cart__V1__CartView *made = add(&who_nobody, NULL, A, 1);
	static const char *const tables_[] = { "cart.cart", "cart.line", "cart.outbox", "cart.audit_log" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(tables_); i++)
		if (pg_fixture_i64(w.fx, "SELECT (to_regclass('%s') IS NOT NULL)::int", tables_[i]))
			assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM %s t WHERE t::text LIKE '%%%s%%'", tables_[i],
							made->cart_token), 0);
}

static void test_refusals_leave_nothing(void **state)
{
	struct principal user = new_user();
	int64_t before = pg_fixture_i64(w.fx, "SELECT count(*) FROM cart.cart");

	(void)state;
	add_refused(&user, NULL, "var_01jd000000000000000000000z", 1, "cart.variant_unknown");
	add_refused(&user, NULL, A, 11, "cart.out_of_stock");
	add_refused(&user, NULL, A, 0, "common.invalid_input");
	add_refused(&user, NULL, A, CART_QTY_MAX + 1, "common.invalid_input");
	add_refused(&user, NULL, "x", 1, "common.invalid_input");
	shelf[0].sellable = false;
	add_refused(&user, NULL, A, 1, "cart.not_sellable");
	shelf[0].minor = -1;
	add_refused(&user, NULL, A, 1, "cart.no_price");
	catalog_away = true;
	add_refused(&user, NULL, B, 1, "rpc.unavailable");
	add_refused(&who_nobody, "nonsense", B, 1, "cart.not_found");
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM cart.cart"), before);
}

static void test_stock_counts_the_whole_line(void **state)
{
	struct principal user = new_user();

	(void)state;
	add(&user, NULL, A, 6);
	add_refused(&user, NULL, A, 5, "cart.out_of_stock");
	assert_int_equal(add(&user, NULL, A, 4)->lines[0]->qty, 10);
	assert_int_equal(add(&user, NULL, C, 500)->n_lines, 2); /* backorder */
	add_refused(&user, NULL, C, 500, "cart.qty_range");
}

static void test_view_tells_what_changed(void **state)
{
	struct principal user = new_user();
	Cart__V1__CartView *v;

	(void)state;
	add(&user, NULL, A, 4);
	shelf[0].minor = 1100;
	shelf[0].left = 3;
	v = see(&user, NULL);
	assert_int_equal(v->subtotal->amount, 4400);
	assert_int_equal(v->n_problems, 2);
	assert_string_equal(v->problems[0]->code, "PRICE_CHANGED");
	assert_int_equal(v->problems[0]->previous_price->amount, 1000);
	assert_string_equal(v->problems[1]->code, "OUT_OF_STOCK");
	assert_int_equal(v->problems[1]->available, 3);
	/* Nobody to ask: the cart is still shown, at the prices last seen. */
	catalog_away = inventory_away = true;
	v = see(&user, NULL);
	assert_int_equal(v->subtotal->amount, 4000);
	assert_int_equal(v->n_problems, 1);
	assert_string_equal(v->problems[0]->code, "UNVERIFIED");
}

static void test_tags(void **state)
{
	struct principal user = new_user(), stranger = new_user();
	Cart__V1__CartView *v = add(&user, NULL, A, 1), *out = NULL;
	const char *tag = arena_strdup(w.a, v->hdr_etag), *line = v->lines[0]->id;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(set_in(w.a, &user, line, 2, NULL, &out, &e), E_PRECOND_REQ);
	assert_int_equal(set_in(w.a, &user, line, 2, "none", &out, &e), E_PRECOND);
	assert_string_equal(e.details[0].value, tag);
	assert_int_equal(set_in(w.a, &stranger, line, 2, tag, &out, &e), E_NOT_FOUND);
	assert_int_equal(set_in(w.a, &user, line, 2, tag, &out, &e), OK);
	assert_int_equal(out->lines[0]->qty, 2);
	assert_int_equal(set_in(w.a, &user, line, 3, tag, &out, &e), E_PRECOND);
	assert_string_not_equal(e.details[0].value, tag);
	assert_int_equal(see(&user, NULL)->lines[0]->qty, 2);
}

struct race {
	struct principal user;
	const char *line, *tag;
	int qty, won;
};

static void *race_set(void *arg)
{
	struct race *r = arg;
	struct arena *a = arena_new("race", 8 << 20);
	Cart__V1__CartView *out = NULL;
	struct err e = { 0 };
	enum err_code code = set_in(a, &r->user, r->line, r->qty, r->tag, &out, &e);

	r->won = code == OK ? 1 : code == E_PRECOND ? 0 : -1;
	arena_free(a);
	return NULL;
}

static void test_one_tag_one_change(void **state)
{
	struct principal user = new_user();
	Cart__V1__CartView *v = add(&user, NULL, A, 1);
	struct race r[8];
	pthread_t t[8];
	int wins = 0, qty = 0;

	(void)state;
	for (int i = 0; i < 8; i++) {
		r[i] = (struct race){ user, v->lines[0]->id, v->hdr_etag, i + 2, 0 };
		pthread_create(&t[i], NULL, race_set, &r[i]);
	}
	for (int i = 0; i < 8; i++) {
		pthread_join(t[i], NULL);
		assert_int_not_equal(r[i].won, -1);
		wins += r[i].won;
		qty = r[i].won ? r[i].qty : qty;
	}
	assert_int_equal(wins, 1);
	assert_int_equal(see(&user, NULL)->lines[0]->qty, qty);
	assert_int_equal(see(&user, NULL)->version, v->version + 1);
}

static void test_merge(void **state)
{
	static const struct {
		const char *policy;
		int qty;
	} t[] = { { NULL, 5 }, { "sum", 5 }, { "keep_user", 2 }, { "keep_guest", 3 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct principal user = new_user();
		Cart__V1__CartView *guest = add(&who_nobody, NULL, A, 3), *mine = add(&user, NULL, A, 2), *out = NULL;
		Cart__V1__GetCartRequest get = CART__V1__GET_CART_REQUEST__INIT;
		struct err e = { 0 };

		add(&who_nobody, guest->cart_token, B, 1);
		assert_int_equal(merge_in(w.a, &user, guest->cart_token, mine->hdr_etag, t[i].policy, &out, &e), OK);
		assert_int_equal(out->n_lines, 2);
		assert_int_equal(out->lines[0]->qty, t[i].qty);
		get.hdr_cart_token = guest->cart_token;
		assert_int_equal(handlers_ask(&w.h, w.a, "GetCart", &who_nobody, &get, NULL, &e), E_NOT_FOUND);
		/* Repeated, nothing is counted twice; by another, there is nothing. */
		assert_int_equal(merge_in(w.a, &user, guest->cart_token, out->hdr_etag, t[i].policy, &out, &e), OK);
		assert_int_equal(out->lines[0]->qty, t[i].qty);
		user = new_user();
		assert_int_equal(merge_in(w.a, &user, guest->cart_token, "none", NULL, &out, &e), E_NOT_FOUND);
		assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM cart.cart WHERE user_id = '%s'", user.user_id), 0);
	}
}

static void test_checkout_reads_only_as_checkout(void **state)
{
	struct principal checkout = who_service("checkout"), catalog = who_service("catalog");
	Cart__V1__CartView *guest = add(&who_nobody, NULL, A, 3);
	Cart__V1__CartForCheckoutRequest in = CART__V1__CART_FOR_CHECKOUT_REQUEST__INIT;
	Cart__V1__CartForCheckoutReply *out = NULL;
	struct err e = { 0 };

	(void)state;
	in.hdr_cart_token = guest->cart_token;
	in.has_version = true;
	in.version = guest->version;
	assert_int_equal(handlers_ask(&w.h, w.a, "CartForCheckout", &checkout, &in, &out, &e), OK);
	assert_string_equal(out->cart_id, guest->id);
	assert_int_equal(out->n_lines, 1);
	assert_int_equal(out->lines[0]->qty, 3);
	in.version--;
	assert_int_equal(handlers_ask(&w.h, w.a, "CartForCheckout", &checkout, &in, &out, &e), E_PRECOND);
	assert_int_equal(handlers_ask(&w.h, w.a, "CartForCheckout", &catalog, &in, &out, &e), E_DENIED);
	assert_int_equal(handlers_ask(&w.h, w.a, "CartForCheckout", &who_nobody, &in, &out, &e), E_DENIED);
	in.hdr_cart_token = NULL;
	in.has_version = false;
	assert_int_equal(handlers_ask(&w.h, w.a, "CartForCheckout", &checkout, &in, &out, &e), E_RULE);
}

/* ---- what others tell ---- */

static enum err_code deliver_tx(struct pg *pg, void *arg, struct err *e)
{
	const struct inbox_event *ev = arg;

	for (const struct inbox_handler *h = cart_inbox; h->type; h++)
		if (strcmp(h->type, ev->type) == 0)
			return h->fn(pg, w.a, ev, &w.svc, e);
	return err_set(e, E_INTERNAL, "common.internal", "no handler of %s", ev->type);
}

static void deliver(const char *source, const char *type, const void *msg)
{
	struct inbox_event ev = { .source = source, .event_id = "evt-1", .type = type, .agg_version = 1, .msg = msg };
	const struct pg_actor who = { "system", "" };
	struct err e = { 0 };

	if (pg_tx(w.svc.pool, INT64_MAX, &who, deliver_tx, &ev, &e))
		fail_msg("%s: %s %s", type, e.slug, e.msg);
}

static void test_bought_lines_leave(void **state)
{
	struct principal user = new_user();
	Events__V1__OrderPlaced m = EVENTS__V1__ORDER_PLACED__INIT;
	Events__V1__OrderLine one = EVENTS__V1__ORDER_LINE__INIT, two = EVENTS__V1__ORDER_LINE__INIT, *lines[] = { &one, &two };
	Cart__V1__CartView *v;

	(void)state;
	add(&user, NULL, A, 5);
	v = add(&user, NULL, B, 1);
	m.cart_id = v->id;
	m.lines = lines;
	m.n_lines = 2;
	one.variant_id = (char *)A;
	two.variant_id = (char *)B;
	one.has_qty = two.has_qty = true;
	one.qty = 3;
	two.qty = 1;
	deliver("checkout", "order.placed", &m.base);
	v = see(&user, NULL);
	assert_int_equal(v->n_lines, 1); /* what was added after the freeze stays */
	assert_int_equal(v->lines[0]->qty, 2);
	one.qty = 99;
	deliver("checkout", "order.placed", &m.base);
	v = see(&user, NULL);
	assert_int_equal(v->n_lines, 0);
	assert_null(v->currency);
	m.cart_id = (char *)"crt_01jd000000000000000000000z"; /* gone meanwhile */
	deliver("checkout", "order.placed", &m.base);
}

/* The guest signs in after paying and before the order is told: what he bought leaves the user's cart, no more. */
static void test_bought_lines_of_a_merged_cart_leave(void **state)
{
	static const struct {
		const char *policy;
		int left; /* units of A in the user's cart afterwards; 2 were his own, 3 the guest's */
	} t[] = { { "sum", 2 }, { "keep_user", 2 }, { "keep_guest", 0 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct principal user = new_user();
		Cart__V1__CartView *guest = add(&who_nobody, NULL, A, 3), *mine = add(&user, NULL, A, 2), *v = NULL;
		Events__V1__OrderPlaced m = EVENTS__V1__ORDER_PLACED__INIT;
		Events__V1__OrderLine one = EVENTS__V1__ORDER_LINE__INIT, two = EVENTS__V1__ORDER_LINE__INIT, *lines[] = { &one, &two };
		struct err e = { 0 };

		add(&who_nobody, guest->cart_token, B, 1);
		assert_int_equal(merge_in(w.a, &user, guest->cart_token, mine->hdr_etag, t[i].policy, &v, &e), OK);
		m.cart_id = guest->id;
		m.lines = lines;
		m.n_lines = 2;
		one.variant_id = (char *)A;
		two.variant_id = (char *)B;
		one.has_qty = two.has_qty = true;
		one.qty = 3;
		two.qty = 1;
		deliver("checkout", "order.placed", &m.base);
		v = see(&user, NULL);
		assert_int_equal(v->n_lines, t[i].left ? 1 : 0);
		if (t[i].left)
			assert_int_equal(v->lines[0]->qty, t[i].left);
		deliver("checkout", "order.placed", &m.base); /* what has left does not leave again */
		assert_int_equal(see(&user, NULL)->n_lines, t[i].left ? 1 : 0);
	}
}

static void *race_first(void *arg)
{
	Cart__V1__AddItemRequest in = CART__V1__ADD_ITEM_REQUEST__INIT;
	struct arena *a = arena_new("race", 8 << 20);
	struct race *r = arg;
	struct err e = { 0 };
	enum err_code code;

	in.variant_id = (char *)A;
	in.has_qty = true;
	in.qty = 1;
	in.hdr_if_match = (char *)"none";
	code = handlers_ask(&w.h, a, "AddItem", &r->user, &in, NULL, &e);
	r->won = code == OK ? 1 : code == E_PRECOND ? 0 : -1;
	arena_free(a);
	return NULL;
}

/* "There is no cart" is true for one of many. */
static void test_one_first_cart(void **state)
{
	struct race r[8];
	pthread_t t[8];

	(void)state;
	for (int round = 0; round < 5; round++) {
		struct principal user = new_user();
		int wins = 0;

		for (int i = 0; i < 8; i++) {
			r[i] = (struct race){ .user = user };
			pthread_create(&t[i], NULL, race_first, &r[i]);
		}
		for (int i = 0; i < 8; i++) {
			pthread_join(t[i], NULL);
			assert_int_not_equal(r[i].won, -1);
			wins += r[i].won;
		}
		assert_int_equal(wins, 1);
		assert_int_equal(see(&user, NULL)->lines[0]->qty, 1);
	}
}

static void test_erased_user(void **state)
{
	struct principal user = new_user();
	Events__V1__UserErased m = EVENTS__V1__USER_ERASED__INIT;

	(void)state;
	add(&user, NULL, A, 1);
	m.user_id = (char *)user.user_id;
	deliver("identity", "user.erased", &m.base);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM cart.cart WHERE user_id = '%s'", user.user_id), 0);
	assert_null(see(&user, NULL)->id);
}

static void run_job(const char *name)
{
	struct err e = { 0 };

	for (const struct timer_job *j = cart_jobs; j->name; j++)
		if (strcmp(j->name, name) == 0) {
			if (j->fn(&w.svc, w.a, &e))
				fail_msg("%s: %s %s", name, e.slug, e.msg);
			return;
		}
	fail_msg("no job %s", name);
}

static void test_idle_carts(void **state)
{
	struct principal user = new_user();
	Cart__V1__CartView *old = add(&who_nobody, NULL, A, 1), *fresh = add(&who_nobody, NULL, A, 1), *mine = add(&user, NULL, A, 1);

	(void)state;
	pg_fixture_sql(w.fx, "UPDATE cart.cart SET updated_at = now() - interval '31 days' WHERE id IN ('%s', '%s')", old->id, mine->id);
	run_job("remind_carts");
	run_job("remind_carts");
	assert_int_equal(events_of("cart.abandoned", mine->id), 1); /* once, and only users have an address */
	assert_int_equal(events_of("cart.abandoned", old->id), 0);
	run_job("expire_carts");
	assert_string_equal(pg_fixture_text(w.fx, "SELECT coalesce((SELECT state FROM cart.cart WHERE id = '%s'), 'gone')", old->id),
			    "expired");
	assert_string_equal(pg_fixture_text(w.fx, "SELECT state FROM cart.cart WHERE id = '%s'", fresh->id), "open");
	assert_string_equal(pg_fixture_text(w.fx, "SELECT state FROM cart.cart WHERE id = '%s'", mine->id), "open");
	add_refused(&who_nobody, old->cart_token, A, 1, "cart.not_found");
}

static void test_everything_is_audited(void **state)
{
	(void)state;
	assert_string_equal(pg_fixture_unaudited(w.fx, "cart"), "");
}

#define T(f) cmocka_unit_test_setup(f, full_shelf)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_first_add_makes_a_guest_cart), T(test_tokens_are_not_stored), T(test_refusals_leave_nothing),
		T(test_stock_counts_the_whole_line),  T(test_view_tells_what_changed), T(test_tags),
		T(test_one_tag_one_change),	      T(test_merge),		       T(test_checkout_reads_only_as_checkout),
		T(test_bought_lines_leave),	      T(test_erased_user),	       T(test_idle_carts),
		T(test_everything_is_audited),	      T(test_bought_lines_of_a_merged_cart_leave), T(test_one_first_cart),
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
