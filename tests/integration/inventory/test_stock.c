/* Stock on a real PostgreSQL: nothing oversold, nothing lost, every change in the ledger, races included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>

#include "common/crypto.h"
#include "common/cursor.h"
#include "common/metrics.h"
#include "common/timeutil.h"
#include "events.pb-c.h"
#include "inventory.pb-c.h"
#include "services/inventory/inventory.h"
#include "services/inventory/inventory_db.h"
#include "services/inventory/reserve_queue.h"
#include "tests/support/handlers.h"
#include "tests/support/invariants.h"
#include "tests/support/pg_fixture.h"

extern const struct migration inventory_migrations[];

#define A "var_01jd000000000000000000000a"
#define B "var_01jd000000000000000000000b"
#define C "var_01jd000000000000000000000c"
#define VENDOR1 "vnd_01jd0000000000000000000001"
#define VENDOR2 "vnd_01jd0000000000000000000002"

static const char *const perm[] = { "vendor.inventory" };

static struct {
	struct pg_fixture *fx;
	struct inventory_conf conf;
	struct inventory_svc svc;
	struct handlers h;
	struct arena *a;
} w;

static int open_world(void **state)
{
	struct key32 key;

	(void)state;
	random_bytes(&key, sizeof(key));
	cursor_use_key(&key);
	w.fx = pg_fixture_open("inventory", inventory_migrations);
	w.conf = (struct inventory_conf){ .owner_unit_cap = 1000, .combine_max = 32 };
	w.svc = (struct inventory_svc){ .conf = &w.conf, .pool = pg_fixture_pool(w.fx, inventory_stmts, 4),
					.queue = reserve_queue_new(32) };
	w.h = (struct handlers){ inventory_services, w.svc.pool, &w.svc };
	w.a = arena_new("test", 64 << 20);
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	reserve_queue_free(w.svc.queue);
	pg_pool_close(w.svc.pool);
	pg_fixture_close(w.fx);
	arena_free(w.a);
	return 0;
}

/* ---- helpers ---- */

static enum err_code deliver_tx(struct pg *pg, void *arg, struct err *e)
{
	const struct inbox_event *ev = arg;

	for (const struct inbox_handler *h = inventory_inbox; h->type; h++)
		if (strcmp(h->type, ev->type) == 0)
			return h->fn(pg, w.a, ev, &w.svc, e);
	return err_set(e, E_INTERNAL, "common.internal", "no handler of %s", ev->type);
}

static void deliver(const char *type, int64_t version, const void *msg)
{
	static int n;
	char id[32];
	struct inbox_event ev = { .source = "catalog", .event_id = id, .type = type, .agg_version = version, .msg = msg };
	const struct pg_actor who = { "system", "" };
	struct err e = { 0 };

	snprintf(id, sizeof(id), "evt-%d", ++n);
	if (pg_tx(w.svc.pool, INT64_MAX, &who, deliver_tx, &ev, &e))
		fail_msg("%s: %s %s", type, e.slug, e.msg);
}

static void variant(const char *id, const char *vendor, const char *sku, int64_t version)
{
	Events__V1__ProductChanged m = EVENTS__V1__PRODUCT_CHANGED__INIT;
	Events__V1__VariantRef v = EVENTS__V1__VARIANT_REF__INIT, *list[] = { &v };

	v.variant_id = (char *)id;
	v.sku = (char *)sku;
	v.has_active = v.active = true;
	m.vendor_id = (char *)vendor;
	m.n_variants = 1;
	m.variants = list;
	deliver("product.changed", version, &m.base);
}

static void stock(const char *id, const char *vendor, const char *sku, int64_t units)
{
	Events__V1__VariantInitialStock m = EVENTS__V1__VARIANT_INITIAL_STOCK__INIT;

	m.variant_id = (char *)id;
	m.vendor_id = (char *)vendor;
	m.sku = (char *)sku;
	m.has_on_hand = true;
	m.on_hand = units;
	m.reason = (char *)"test";
	deliver("variant.initial_stock", 1, &m.base);
}

struct line {
	const char *variant;
	int qty;
};

static enum err_code reserve_in(struct arena *a, const char *key, const struct line *lines, size_t n,
				Inventory__V1__Reservation **out, struct err *e)
{
	struct principal who = who_service("checkout");
	Inventory__V1__ReserveRequest in = INVENTORY__V1__RESERVE_REQUEST__INIT;
	Inventory__V1__ReserveLine line[8], *list[8];

	for (size_t i = 0; i < n; i++) {
		inventory__v1__reserve_line__init(&line[i]);
		line[i].variant_id = (char *)lines[i].variant;
		line[i].has_qty = true;
		line[i].qty = lines[i].qty;
		list[i] = &line[i];
	}
	in.reservation_key = (char *)key;
	in.lines = list;
	in.n_lines = n;
	in.has_ttl_s = true;
	in.ttl_s = 900;
	return handlers_ask(&w.h, a, "Reserve", &who, &in, out, e);
}

#define RESERVE(key, e, ...)                                                                       \
	reserve_in(w.a, key, (const struct line[]){ __VA_ARGS__ },                                 \
		   sizeof((const struct line[]){ __VA_ARGS__ }) / sizeof(struct line), NULL, e)

static enum err_code end(const char *method, const char *key, struct err *e)
{
	struct principal who = who_service("checkout");
	Inventory__V1__ReservationRequest in = INVENTORY__V1__RESERVATION_REQUEST__INIT;

	in.reservation_key = (char *)key;
	in.order_id = (char *)"ord_01jd0000000000000000000001";
	in.has_ttl_s = true;
	in.ttl_s = 900;
	return handlers_ask(&w.h, w.a, method, &who, &in, NULL, e);
}

/* I1 and I2 of the invariants, for every variant at once. */
static void books_balance(void)
{
	const char *broken = invariants_broken(w.fx, "inventory", true);

	if (*broken)
		fail_msg("%s", broken);
	assert_int_equal(pg_fixture_i64(w.fx,
		"SELECT count(*) FROM inventory.stock s WHERE s.state <>"
		" inventory.state_of(s.on_hand - s.reserved, s.backorder, s.low_threshold)"), 0);
}

/* ---- tests ---- */

static void test_schema(void **state)
{
	struct err e = { 0 };
	struct pg *pg;

	(void)state;
	assert_string_equal(pg_fixture_unaudited(w.fx, "inventory"), "");
	assert_int_equal(pg_connect(pg_fixture_dsn(w.fx), "test", &pg, &e), OK);
	if (pg_check_stmts(pg, inventory_stmts, &e))
		fail_msg("%s", e.msg);
	pg_disconnect(pg);
}

static void test_reserve_and_end(void **state)
{
	struct err e = { 0 };
	Inventory__V1__Reservation *r = NULL;
	const struct line two[] = { { A, 2 } };

	(void)state;
	variant(A, VENDOR1, "A-1", 1);
	stock(A, VENDOR1, "A-1", 5);
	assert_int_equal(reserve_in(w.a, "key-0001", two, 1, &r, &e), OK);
	assert_string_equal(r->state, "active");
	assert_int_equal(r->lines[0]->qty, 2);
	assert_int_equal(reserve_in(w.a, "key-0001", two, 1, &r, &e), OK); /* the same again, nothing more held */
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT reserved FROM inventory.stock WHERE variant_id = '%s'", A), 2);
	assert_int_equal(RESERVE("key-0002", &e, { A, 4 }), E_CONFLICT);
	assert_string_equal(e.slug, "inventory.out_of_stock");
	assert_string_equal(e.details[0].field, "lines." A);
	assert_string_equal(e.details[0].value, "3");
	assert_int_equal(end("Sell", "key-0001", &e), OK);
	assert_int_equal(end("Sell", "key-0001", &e), OK);
	assert_int_equal(end("Release", "key-0001", &e), E_CONFLICT);
	assert_string_equal(e.slug, "inventory.reservation_sold");
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT on_hand FROM inventory.stock WHERE variant_id = '%s'", A), 3);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM inventory.movement WHERE kind = 'sale'"), 1);
	assert_int_equal(RESERVE("key-0003", &e, { A, 3 }), OK);
	assert_int_equal(end("Release", "key-0003", &e), OK);
	assert_int_equal(end("Release", "key-0003", &e), OK);
	assert_int_equal(end("Sell", "key-0003", &e), E_CONFLICT);
	assert_string_equal(e.slug, "inventory.reservation_gone");
	assert_int_equal(end("Release", "never-made", &e), OK);
	assert_int_equal(end("Sell", "never-made", &e), E_CONFLICT);
	books_balance();
}

static void test_lines_are_summed(void **state)
{
	struct err e = { 0 };

	(void)state;
	variant(B, VENDOR1, "B-1", 1);
	stock(B, VENDOR1, "B-1", 5);
	assert_int_equal(RESERVE("sum-00001", &e, { B, 3 }, { B, 3 }), E_CONFLICT);
	assert_int_equal(RESERVE("sum-00002", &e, { A, 1 }, { B, 6 }), E_CONFLICT); /* all or none */
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT sum(reserved)::bigint FROM inventory.stock"), 0);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM inventory.reservation WHERE key LIKE 'sum-%%'"), 0);
	assert_int_equal(RESERVE("sum-00003", &e, { B, 3 }, { B, 2 }), OK);
	assert_int_equal(end("Release", "sum-00003", &e), OK);
	books_balance();
}

/* The release overtook its reservation: what comes late under that key holds nothing, in a cart of one line or more. */
static void test_release_first(void **state)
{
	const struct line one[] = { { A, 1 } }, two[] = { { A, 1 }, { B, 1 } };
	struct err e = { 0 };
	Inventory__V1__Reservation *r = NULL;

	(void)state;
	for (size_t n = 1; n <= 2; n++) {
		const char *key = n == 1 ? "late-0001" : "late-0002";

		assert_int_equal(end("Release", key, &e), OK);
		assert_int_equal(end("Release", key, &e), OK);
		assert_int_equal(reserve_in(w.a, key, n == 1 ? one : two, n, &r, &e), OK);
		assert_string_equal(r->state, "released");
		assert_int_equal(r->n_lines, 0);
		assert_int_equal(end("Sell", key, &e), E_CONFLICT);
		assert_string_equal(e.slug, "inventory.reservation_gone");
	}
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT sum(reserved)::bigint FROM inventory.stock"), 0);
	books_balance();
}

/* The cap is one owner's; who has none is not counted. */
static void test_cap_needs_owner(void **state)
{
	struct err e = { 0 };

	(void)state;
	w.conf.owner_unit_cap = 1;
	assert_int_equal(RESERVE("nobody-01", &e, { A, 2 }), OK);
	assert_int_equal(end("Release", "nobody-01", &e), OK);
	assert_int_equal(RESERVE("nobody-02", &e, { A, 2 }, { B, 2 }), OK);
	assert_int_equal(end("Release", "nobody-02", &e), OK);
	w.conf.owner_unit_cap = 1000;
	books_balance();
}

static void test_input(void **state)
{
	struct principal stranger = who_service("catalog");
	Inventory__V1__ReserveRequest in = INVENTORY__V1__RESERVE_REQUEST__INIT;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(RESERVE("bad-00001", &e, { A, 0 }), E_INVALID);
	assert_int_equal(RESERVE("bad-00001", &e, { "var_nonsense", 1 }), E_INVALID);
	assert_int_equal(RESERVE("x", &e, { A, 1 }), E_INVALID);
	assert_int_equal(RESERVE("bad-00001", &e, { "var_01jd00000000000000000000zz", 1 }), E_CONFLICT);
	assert_int_equal(handlers_ask(&w.h, w.a, "Reserve", &stranger, &in, NULL, &e), E_DENIED);
	assert_int_equal(handlers_ask(&w.h, w.a, "Reserve", &who_nobody, &in, NULL, &e), E_UNAUTH);
}

/* ---- races ---- */

struct buyer {
	pthread_t thread;
	char key[32];
	struct line lines[2];
	size_t n;
	enum err_code code;
};

static void *buy(void *arg)
{
	struct buyer *b = arg;
	struct arena *a = arena_new("buyer", 4 << 20);
	struct err e = { 0 };

	b->code = reserve_in(a, b->key, b->lines, b->n, NULL, &e);
	if (b->code != OK && b->code != E_CONFLICT)
		fprintf(stderr, "%s: %s\n", e.slug, e.msg);
	arena_free(a);
	return NULL;
}

static int race(struct buyer *b, size_t n)
{
	int ok = 0;

	for (size_t i = 0; i < n; i++)
		assert_int_equal(pthread_create(&b[i].thread, NULL, buy, &b[i]), 0);
	for (size_t i = 0; i < n; i++) {
		pthread_join(b[i].thread, NULL);
		assert_true(b[i].code == OK || b[i].code == E_CONFLICT);
		ok += b[i].code == OK;
	}
	return ok;
}

/* The last units of a hot article: exactly as many buyers as units, and far fewer statements than buyers. */
static void test_hot_article(void **state)
{
	struct buyer b[96];
	int64_t statements = metric_value(metric_counter("souk_reserve_batches_total", "", NULL));

	(void)state;
	variant(C, VENDOR1, "C-1", 1);
	stock(C, VENDOR1, "C-1", 40);
	memset(b, 0, sizeof(b));
	for (size_t i = 0; i < 96; i++) {
		snprintf(b[i].key, sizeof(b[i].key), "hot-%05zu", i);
		b[i].lines[0] = (struct line){ C, 1 };
		b[i].n = 1;
	}
	assert_int_equal(race(b, 96), 40);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT reserved FROM inventory.stock WHERE variant_id = '%s'", C), 40);
	statements = metric_value(metric_counter("souk_reserve_batches_total", "", NULL)) - statements;
	assert_true(statements > 0 && statements < 96);
	books_balance();
	for (size_t i = 0; i < 96; i++)
		if (b[i].code == OK)
			assert_int_equal(end("Release", b[i].key, NULL), OK);
	books_balance();
}

/* One key from many callers at once, as after lost replies: held once. */
static void test_one_key_at_once(void **state)
{
	struct buyer b[24];

	(void)state;
	memset(b, 0, sizeof(b));
	for (size_t i = 0; i < 24; i++) {
		snprintf(b[i].key, sizeof(b[i].key), "same-0000%d", i % 2 ? 1 : 2);
		b[i].lines[0] = (struct line){ C, 2 };
		b[i].lines[1] = (struct line){ A, 1 };
		b[i].n = i % 2 ? 2 : 1;
	}
	assert_int_equal(race(b, 24), 24);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT reserved FROM inventory.stock WHERE variant_id = '%s'", C), 4);
	assert_int_equal(end("Release", "same-00001", NULL), OK);
	assert_int_equal(end("Release", "same-00002", NULL), OK);
	books_balance();
}

/* Carts in opposite order over few units: no deadlock, none oversold. */
static void test_opposite_carts(void **state)
{
	struct buyer b[48];
	int ok;

	(void)state;
	stock(A, VENDOR1, "A-1", 20);
	stock(B, VENDOR1, "B-1", 20);
	memset(b, 0, sizeof(b));
	for (size_t i = 0; i < 48; i++) {
		snprintf(b[i].key, sizeof(b[i].key), "opp-%05zu", i);
		b[i].lines[i % 2] = (struct line){ A, 1 };
		b[i].lines[1 - i % 2] = (struct line){ B, 1 };
		b[i].n = 2;
	}
	ok = race(b, 48);
	assert_int_equal(ok, 20);
	books_balance();
	for (size_t i = 0; i < 48; i++)
		if (b[i].code == OK)
			assert_int_equal(end(i % 3 ? "Sell" : "Release", b[i].key, NULL), OK);
	books_balance();
}

/* The condition of the statement alone: with no constraint behind it, as many are sold as there are. */
static void test_condition_alone(void **state)
{
	struct buyer b[64];

	(void)state;
	stock(A, VENDOR1, "A-1", 25);
	pg_fixture_sql(w.fx, "ALTER TABLE inventory.stock DROP CONSTRAINT stock_not_oversold");
	memset(b, 0, sizeof(b));
	for (size_t i = 0; i < 64; i++) {
		snprintf(b[i].key, sizeof(b[i].key), "cond-%05zu", i);
		b[i].lines[0] = (struct line){ A, 1 };
		b[i].n = 1;
	}
	assert_int_equal(race(b, 64), 25);
	books_balance();
	pg_fixture_sql(w.fx, "ALTER TABLE inventory.stock ADD CONSTRAINT stock_not_oversold CHECK (backorder OR reserved <= on_hand)");
	for (size_t i = 0; i < 64; i++)
		if (b[i].code == OK)
			assert_int_equal(end("Release", b[i].key, NULL), OK);
	books_balance();
}

/* The last line of defence alone: a direct change that would oversell breaks the constraint. */
static void test_constraint_alone(void **state)
{
	struct err e = { 0 };
	struct pg *pg;

	(void)state;
	assert_int_equal(pg_connect(pg_fixture_dsn(w.fx), "test", &pg, &e), OK);
	assert_int_not_equal(pg_script(pg, "UPDATE inventory.stock SET reserved = on_hand + 1", &e), OK);
	assert_string_equal(pg_constraint(pg), "stock_not_oversold");
	err_clear(&e);
	assert_int_not_equal(pg_script(pg, "UPDATE inventory.movement SET delta = 1", &e), OK);
	err_clear(&e);
	assert_int_not_equal(pg_script(pg, "DELETE FROM inventory.movement", &e), OK);
	pg_disconnect(pg);
}

/* ---- ends in time ---- */

static void test_expiry(void **state)
{
	struct arena *a = arena_new("job", 1 << 20);
	struct err e = { 0 };
	const struct timer_job *job = inventory_jobs;

	(void)state;
	assert_int_equal(RESERVE("exp-00001", &e, { C, 1 }), OK);
	assert_int_equal(RESERVE("exp-00002", &e, { C, 1 }), OK);
	pg_fixture_sql(w.fx, "UPDATE inventory.reservation SET expires_at = now() - interval '1 s' WHERE key LIKE 'exp-%%'");
	pg_fixture_sql(w.fx, "UPDATE inventory.reservation SET hold = true WHERE key = 'exp-00002'");
	while (strcmp(job->name, "expire_reservations") != 0)
		job++;
	assert_int_equal(job->fn(&w.svc, a, &e), OK);
	assert_string_equal(pg_fixture_text(w.fx, "SELECT state FROM inventory.reservation WHERE key = 'exp-00001'"),
			    "released");
	assert_string_equal(pg_fixture_text(w.fx, "SELECT state FROM inventory.reservation WHERE key = 'exp-00002'"),
			    "active");
	assert_int_equal(end("Sell", "exp-00002", &e), OK);
	books_balance();
	arena_free(a);
}

static void *sweep(void *arg)
{
	struct arena *a = arena_new("job", 1 << 20);
	struct err e = { 0 };

	(void)arg;
	assert_string_equal(inventory_jobs[0].name, "expire_reservations");
	assert_int_equal(inventory_jobs[0].fn(&w.svc, a, &e), OK);
	arena_free(a);
	return NULL;
}

/* The sweep lists a reservation, then a payment of unknown outcome holds it, then the sweep comes to it: it stays. */
static void test_hold_beats_sweep(void **state)
{
	struct err e = { 0 };
	struct pg *pg;
	pthread_t job;

	(void)state;
	assert_int_equal(RESERVE("hold-00001", &e, { C, 1 }), OK);
	pg_fixture_sql(w.fx, "UPDATE inventory.reservation SET expires_at = now() - interval '1 s' WHERE key = 'hold-00001'");
	assert_int_equal(pg_connect(pg_fixture_dsn(w.fx), "test", &pg, &e), OK);
	assert_int_equal(pg_script(pg, "BEGIN; UPDATE inventory.reservation SET hold = true WHERE key = 'hold-00001'", &e), OK);
	assert_int_equal(pthread_create(&job, NULL, sweep, NULL), 0);
	while (!pg_fixture_i64(w.fx, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
				     " AND wait_event_type = 'Lock'"))
		sleep_ms(10);
	assert_int_equal(pg_script(pg, "COMMIT", &e), OK);
	pthread_join(job, NULL);
	pg_disconnect(pg);
	assert_string_equal(pg_fixture_text(w.fx, "SELECT state FROM inventory.reservation WHERE key = 'hold-00001'"),
			    "active");
	assert_int_equal(end("Release", "hold-00001", &e), OK);
	books_balance();
}

static void test_extend_is_bounded(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(RESERVE("ext-00001", &e, { C, 1 }), OK);
	pg_fixture_sql(w.fx, "UPDATE inventory.reservation SET created_at = now() - interval '29 min',"
			     " expires_at = now() WHERE key = 'ext-00001'");
	assert_int_equal(end("Extend", "ext-00001", &e), OK);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT (expires_at <= created_at + interval '30 min')::int::bigint"
					      " FROM inventory.reservation WHERE key = 'ext-00001'"), 1);
	assert_int_equal(end("Release", "ext-00001", &e), OK);
}

static void test_restock(void **state)
{
	struct principal who = who_service("checkout");
	Inventory__V1__RestockRequest in = INVENTORY__V1__RESTOCK_REQUEST__INIT;
	Inventory__V1__ReserveLine line = INVENTORY__V1__RESERVE_LINE__INIT, *list[] = { &line };
	struct err e = { 0 };
	int64_t before;

	(void)state;
	assert_int_equal(RESERVE("res-00001", &e, { C, 3 }), OK);
	in.operation_id = (char *)"rfd_00000001";
	in.reservation_key = (char *)"res-00001";
	in.reason = (char *)"returned";
	assert_int_equal(handlers_ask(&w.h, w.a, "Restock", &who, &in, NULL, &e), E_CONFLICT);
	assert_int_equal(end("Sell", "res-00001", &e), OK);
	before = pg_fixture_i64(w.fx, "SELECT on_hand FROM inventory.stock WHERE variant_id = '%s'", C);
	line.variant_id = (char *)C;
	line.has_qty = true;
	line.qty = 2;
	in.lines = list;
	in.n_lines = 1;
	for (int i = 0; i < 3; i++) /* the same operation: once */
		assert_int_equal(handlers_ask(&w.h, w.a, "Restock", &who, &in, NULL, &e), OK);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT on_hand FROM inventory.stock WHERE variant_id = '%s'", C), before + 2);
	in.operation_id = (char *)"rfd_00000002";
	assert_int_equal(handlers_ask(&w.h, w.a, "Restock", &who, &in, NULL, &e), E_RULE);
	line.variant_id = (char *)A; /* never part of it: refused, not passed over, and the operation stays free */
	line.qty = 1;
	in.operation_id = (char *)"rfd_00000003";
	assert_int_equal(handlers_ask(&w.h, w.a, "Restock", &who, &in, NULL, &e), E_RULE);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM inventory.operation WHERE id = 'rfd_00000003'"), 0);
	books_balance();
}

/* ---- vendors ---- */

static void test_vendor_stock(void **state)
{
	struct principal one = who_vendor(VENDOR1, perm), two = who_vendor(VENDOR2, perm);
	Inventory__V1__AdjustStockRequest adj = INVENTORY__V1__ADJUST_STOCK_REQUEST__INIT;
	Inventory__V1__PutStockRequest put = INVENTORY__V1__PUT_STOCK_REQUEST__INIT;
	Inventory__V1__GetStockRequest get = INVENTORY__V1__GET_STOCK_REQUEST__INIT;
	Inventory__V1__MovementsRequest mov = INVENTORY__V1__MOVEMENTS_REQUEST__INIT;
	Inventory__V1__MovementsReply *ledger = NULL;
	Inventory__V1__StockLevel *s = NULL;
	const char *tag;
	struct err e = { 0 };

	(void)state;
	/* Two vendors, one SKU, two articles. */
	variant("var_01jd000000000000000000000d", VENDOR1, "SAME", 1);
	variant("var_01jd000000000000000000000e", VENDOR2, "SAME", 1);
	adj.sku = (char *)"SAME";
	adj.has_delta = true;
	adj.delta = 7;
	adj.reason = (char *)"delivery";
	assert_int_equal(handlers_ask(&w.h, w.a, "AdjustStock", &one, &adj, &s, &e), OK);
	assert_int_equal(s->on_hand, 7);
	assert_string_equal(s->availability, "in");
	tag = s->hdr_etag;
	get.sku = (char *)"SAME";
	assert_int_equal(handlers_ask(&w.h, w.a, "GetStock", &two, &get, &s, &e), OK);
	assert_int_equal(s->on_hand, 0);
	get.sku = (char *)"A-1"; /* VENDOR1's: for VENDOR2 it does not exist */
	assert_int_equal(handlers_ask(&w.h, w.a, "GetStock", &two, &get, &s, &e), E_NOT_FOUND);
	adj.delta = -8;
	assert_int_equal(handlers_ask(&w.h, w.a, "AdjustStock", &one, &adj, &s, &e), E_CONFLICT);
	adj.delta = 0;
	assert_int_equal(handlers_ask(&w.h, w.a, "AdjustStock", &one, &adj, &s, &e), E_INVALID);
	adj.delta = 1;
	adj.reason = NULL;
	assert_int_equal(handlers_ask(&w.h, w.a, "AdjustStock", &one, &adj, &s, &e), E_INVALID);
	put.sku = (char *)"SAME";
	put.has_on_hand = true;
	put.on_hand = 3;
	put.has_low_stock_threshold = true;
	put.low_stock_threshold = 4;
	put.hdr_if_match = (char *)tag;
	assert_int_equal(handlers_ask(&w.h, w.a, "PutStock", &one, &put, &s, &e), OK);
	assert_int_equal(s->on_hand, 3);
	assert_string_equal(s->availability, "low");
	assert_int_equal(handlers_ask(&w.h, w.a, "PutStock", &one, &put, &s, &e), E_PRECOND);
	assert_string_equal(e.details[0].field, "If-Match");
	mov.sku = (char *)"SAME";
	mov.has_limit = true;
	mov.limit = 1;
	assert_int_equal(handlers_ask(&w.h, w.a, "ListMovements", &one, &mov, &ledger, &e), OK);
	assert_int_equal(ledger->n_data, 1);
	assert_int_equal(ledger->data[0]->delta, -4);
	assert_non_null(ledger->next_cursor);
	mov.cursor = ledger->next_cursor;
	assert_int_equal(handlers_ask(&w.h, w.a, "ListMovements", &one, &mov, &ledger, &e), OK);
	assert_int_equal(ledger->data[0]->delta, 7);
	assert_null(ledger->next_cursor);
	assert_int_equal(handlers_ask(&w.h, w.a, "ListMovements", &two, &mov, &ledger, &e), E_INVALID); /* foreign cursor */
	books_balance();
}

/* A transaction that began earlier may be told later: its older version changes nothing. */
static void test_late_event(void **state)
{
	(void)state;
	variant("var_01jd000000000000000000000f", VENDOR1, "NEW", 5);
	variant("var_01jd000000000000000000000f", VENDOR1, "OLD", 4);
	assert_string_equal(pg_fixture_text(w.fx, "SELECT sku FROM inventory.stock WHERE variant_id ="
						  " 'var_01jd000000000000000000000f'"), "NEW");
}

/* Each transition is told once, with a rising version. */
static void test_transitions_told(void **state)
{
	struct err e = { 0 };
	int64_t before = pg_fixture_i64(w.fx, "SELECT count(*) FROM inventory.outbox WHERE agg_id = '%s'", C);

	(void)state;
	stock(C, VENDOR1, "C-1", 100);
	assert_int_equal(RESERVE("tra-00001", &e, { C, 97 }), OK); /* low */
	assert_int_equal(RESERVE("tra-00002", &e, { C, 3 }), OK);  /* out */
	assert_int_equal(end("Release", "tra-00001", &e), OK);	   /* in */
	assert_int_equal(end("Release", "tra-00002", &e), OK);
	assert_true(pg_fixture_i64(w.fx, "SELECT count(*) FROM inventory.outbox WHERE agg_id = '%s'", C) >= before + 3);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM (SELECT agg_version FROM inventory.outbox WHERE agg_id ="
					      " '%s' GROUP BY 1 HAVING count(*) > 1) x", C), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schema),	       cmocka_unit_test(test_reserve_and_end),
		cmocka_unit_test(test_lines_are_summed), cmocka_unit_test(test_input),
		cmocka_unit_test(test_hot_article),    cmocka_unit_test(test_one_key_at_once),
		cmocka_unit_test(test_opposite_carts), cmocka_unit_test(test_condition_alone), cmocka_unit_test(test_constraint_alone),
		cmocka_unit_test(test_expiry),	       cmocka_unit_test(test_hold_beats_sweep),
		cmocka_unit_test(test_extend_is_bounded), cmocka_unit_test(test_release_first),
		cmocka_unit_test(test_cap_needs_owner),
		cmocka_unit_test(test_restock),	       cmocka_unit_test(test_vendor_stock),
		cmocka_unit_test(test_late_event),     cmocka_unit_test(test_transitions_told),
	};

	return cmocka_run_group_tests_name("inventory", tests, open_world, close_world);
}
