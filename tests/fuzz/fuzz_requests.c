/*
 * Every request message of every daemon, through the dispatcher into the real handlers, whose database and peers are
 * away: whatever passes the checks must end as "not now", whatever does not as a refusal that says why, and nothing as an
 * error of ours. Bytes 0 and 1 choose the method (0xffff: each of them once with the same bytes), byte 2 who asks; the
 * rest fills the message (fill.h), or is the packed message itself when byte 3 is 0xff.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkout.pb-c.h"

#include "common/cache.h"
#include "common/crypto.h"
#include "common/cursor.h"
#include "common/httpc.h"
#include "common/log.h"
#include "common/pb_guard.h"
#include "common/rpc_client.h"
#include "common/rpc_codec.h"
#include "services/cart/cart.h"
#include "services/catalog/catalog.h"
#include "services/checkout/checkout.h"
#include "services/checkout/pay.h"
#include "services/identity/identity.h"
#include "services/inventory/inventory.h"
#include "services/inventory/reserve_queue.h"
#include "services/notify/notify.h"
#include "services/search/dict.h"
#include "services/search/known.h"
#include "services/search/search.h"
#include "services/search/suggest.h"

#include "fill.h"

#define NOWHERE "tcp://127.0.0.1:1"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct rpc_service checkout_services[] = { { &checkout__v1__checkout__descriptor, checkout_tables }, { 0 } };
static struct daemon_ {
	const char *name;
	const struct rpc_service *services;
	const struct pg_stmt *const *const *stmts;
	struct rpc_bound *bound;
	struct pg_pool *pool;
	void *svc;
} daemons[] = {
	{ .name = "cart", .services = cart_services },		 { .name = "catalog", .services = catalog_services },
	{ .name = "checkout", .services = checkout_services },	 { .name = "identity", .services = identity_services },
	{ .name = "inventory", .services = inventory_services }, { .name = "notify", .services = notify_services },
	{ .name = "search", .services = search_services },
};
enum { CART, CATALOG, CHECKOUT, IDENTITY, INVENTORY, NOTIFY, SEARCH, DAEMONS };

static const char *const callers[] = { "gateway", "checkout", "cart", "catalog", "inventory", "identity", "notify" };
#define CALLERS (sizeof(callers) / sizeof(*callers))

static struct rpc_keys *keys;
static struct arena *arena;
static char dir[] = "/tmp/souk-fuzz-XXXXXX";

static void need(bool ok)
{
	if (!ok)
		abort();
}

/* ---- the daemons ---- */

static struct rpc_client *peer(const char *self, const char *callee)
{
	struct rpc_client *c = NULL;
	struct err e = { 0 };

	need(rpc_client_open(self, callee, NOWHERE, 60000, keys, &c, &e) == OK);
	return c;
}

static struct keyring *ring(const char *name)
{
	struct keyring *r = NULL;
	struct err e = { 0 };

	need(keyring_load(dir, name, &r, &e) == OK);
	return r;
}

static void open_shop(void)
{
	static const struct cart_conf cart = { .currency = "USD", .guest_days = 7, .user_days = 90, .idle_min = 240 };
	static const struct catalog_conf catalog = { .currency = "USD", .media_base = "/media/" };
	static const struct inventory_conf inventory = { .owner_unit_cap = 1000, .expiry_grace_s = 300, .combine_max = 32 };
	static struct cart_svc cart_svc = { .conf = &cart };
	static struct catalog_svc catalog_svc = { .conf = &catalog };
	static struct inventory_svc inventory_svc = { .conf = &inventory };
	struct err e = { 0 };

	cart_svc.pool = daemons[CART].pool;
	cart_svc.catalog = peer("cart", "catalog");
	cart_svc.inventory = peer("cart", "inventory");
	daemons[CART].svc = &cart_svc;
	catalog_svc.pool = daemons[CATALOG].pool;
	need(cache_open("", 1, 20, &catalog_svc.cache, &e) == OK);
	daemons[CATALOG].svc = &catalog_svc;
	inventory_svc.pool = daemons[INVENTORY].pool;
	inventory_svc.queue = reserve_queue_new(inventory.combine_max);
	daemons[INVENTORY].svc = &inventory_svc;
}

static void open_people(void)
{
	static struct identity_conf identity = { .issuer = "souk", .access_ttl_s = 900, .argon2_memory_kib = 64, .argon2_passes = 1,
						 .hash_permits = 2, .hash_queue = 100, .address_free = 100, .fresh_login_s = 900,
						 .d = { .keys_dir = dir, .contexts = 256 } };
	static const struct notify_conf notify = { .from = "no-reply@souk.example", .from_name = "Souk", .domain = "souk.example",
						   .shop_name = "Souk", .shop_url = "http://shop.test", .hook_timeout_ms = 20 };
	static const struct httpc_conf http = { .max_handles = 1, .breaker_failures = 1, .breaker_open_ms = 1000 };
	static struct identity_svc identity_svc;
	static struct notify_svc notify_svc = { .conf = &notify };
	struct err e = { 0 };

	need(identity_svc_open(&identity, daemons[IDENTITY].pool, &identity_svc, &e) == OK);
	daemons[IDENTITY].svc = &identity_svc;
	notify_svc.pool = daemons[NOTIFY].pool;
	notify_svc.keyring = ring("notify");
	need(httpc_open(&http, &notify_svc.http, &e) == OK);
	notify_svc.identity = peer("notify", "identity");
	notify_svc.checkout = peer("notify", "checkout");
	daemons[NOTIFY].svc = &notify_svc;
}

static void open_till(void)
{
	static const struct checkout_conf conf = { .ttl_s = 900, .inline_ms = 200, .pay_publishable_key = "pk_test_1" };
	static const struct pay_conf pay = { .url = "http://127.0.0.1:1", .key = "sk_test_1", .handles = 1, .queue = 1 };
	static struct checkout_svc svc = { .conf = &conf, .secrets = { "whsec_1" } };
	struct err e = { 0 };

	svc.pool = daemons[CHECKOUT].pool;
	svc.cart = peer("checkout", "cart");
	svc.catalog = peer("checkout", "catalog");
	svc.inventory = peer("checkout", "inventory");
	svc.identity = peer("checkout", "identity");
	svc.ring = ring("checkout");
	need(key_load(dir, "index.key", &svc.index_key, &e) == OK && pay_open(&pay, &svc.pay, &e) == OK);
	daemons[CHECKOUT].svc = &svc;
}

static void open_search(void)
{
	static const struct search_conf conf = { .lang = "en", .currency = "USD", .cache_s = 300, .suggest_people = 5 };
	static struct search_svc svc = { .conf = &conf };
	struct err e = { 0 };

	svc.pool = daemons[SEARCH].pool;
	svc.catalog = peer("search", "catalog");
	svc.dict = dict_new();
	svc.known = known_new();
	svc.suggest = suggest_new();
	dict_put(svc.dict, "lamp", "lamp", 3);
	need(cache_open("", 1, 20, &svc.cache, &e) == OK);
	daemons[SEARCH].svc = &svc;
}

static void remove_keys(void)
{
	DIR *d = opendir(dir);
	char path[512];

	for (struct dirent *f; d && (f = readdir(d));)
		if (snprintf(path, sizeof(path), "%s/%s", dir, f->d_name) > 0 && f->d_name[0] != '.')
			(void)unlink(path);
	if (d)
		closedir(d);
	(void)rmdir(dir);
}

static void start(void)
{
	uint8_t key[32] = { 1 };
	struct err e = { 0 };

	log_init("fuzz", LVL_CRITICAL);
	keys = rpc_keys_new("fuzz");
	need(mkdtemp(dir) && keys_init(dir, &e) == OK && cursor_init(dir, &e) == OK);
	daemons[CART].stmts = cart_stmts;
	daemons[CATALOG].stmts = catalog_stmts;
	daemons[CHECKOUT].stmts = checkout_stmts;
	daemons[IDENTITY].stmts = identity_stmts;
	daemons[INVENTORY].stmts = inventory_stmts;
	daemons[NOTIFY].stmts = notify_stmts;
	daemons[SEARCH].stmts = search_stmts;
	for (size_t i = 0; i < DAEMONS; i++) {
		struct daemon_ *d = &daemons[i];
		const struct pg_conf pg = { .dsn = "host=/nonexistent dbname=souk", .pool = 2, .schema = d->name };

		for (size_t k = 0; k < CALLERS; k++)
			rpc_keys_add(keys, callers[k], d->name, key);
		need(rpc_bind(d->services, &d->bound, &e) == OK && pg_pool_open(&pg, d->stmts, &d->pool, &e) == OK);
	}
	open_shop();
	open_people();
	open_till();
	open_search();
	remove_keys();
	arena = arena_new("fuzz", 32 << 20);
}

/* ---- a request ---- */

static void fill_who(Common__V1__Principal *p, uint8_t k, const char **caller)
{
	static char *vendor_perms[] = { "vendor.catalog", "vendor.inventory", "vendor.orders", "vendor.members", "vendor.payouts" };
	static char *admin_perms[] = { "admin.vendors", "admin.users", "admin.catalog", "admin.orders", "admin.refunds",
				       "admin.promotions", "admin.audit", "admin.events", "admin.notify", "admin.keys", "admin.reports" };

	common__v1__principal__init(p);
	p->has_kind = 1;
	*caller = callers[k / 4 % CALLERS];
	if (k % 4 == 0 && k < 128)
		return; /* anonymous */
	if (k % 4 == 0) {
		p->kind = COMMON__V1__PRINCIPAL__KIND__KIND_SERVICE;
		p->service = (char *)*caller;
		return;
	}
	p->kind = COMMON__V1__PRINCIPAL__KIND__KIND_USER;
	p->user_id = "usr_01jd0000000000000000000001";
	p->session_id = "ses_01jd0000000000000000000001";
	p->audience = k % 4 == 1 ? "shop" : k % 4 == 2 ? "vendor" : "admin";
	p->vendor_id = k % 4 == 2 ? "vnd_01jd0000000000000000000001" : NULL;
	p->perms = k % 4 == 2 ? vendor_perms : admin_perms;
	p->n_perms = k % 4 == 2 ? 5 : k % 4 == 3 ? 11 : 0;
}

static void answered(const ProtobufCMethodDescriptor *m, struct pg_bytes out)
{
	ProtobufCMessage *msg = NULL;
	Common__V1__Reply *reply;
	struct err e = { 0 };

	need(out.len && pb_unpack(&common__v1__reply__descriptor, out.data, out.len, arena, &msg, &e) == OK);
	reply = (Common__V1__Reply *)(void *)msg;
	if (reply->code == E_INTERNAL) {
		fprintf(stderr, "%s: %s %s\n", m->name, reply->slug, reply->message);
		abort();
	}
	if (!reply->code)
		need(pb_unpack(m->output, reply->payload.data, reply->payload.len, arena, &msg, &e) == OK);
	else
		need(reply->slug && *reply->slug);
}

static void ask(const struct daemon_ *d, const ProtobufCServiceDescriptor *s, unsigned i, uint8_t who, struct bytes b)
{
	const struct rpc_env env = { .self = d->name, .bound = d->bound, .keys = keys, .pool = d->pool, .svc = d->svc };
	Common__V1__Request req = COMMON__V1__REQUEST__INIT;
	Common__V1__Principal p;
	struct rpc_body body = { 0 };
	static const uint8_t print[SHA256_LEN] = { 1 };
	struct pg_bytes bytes;
	struct err e = { 0 };
	const char *caller;

	fill_who(&p, who, &caller);
	req.method = arena_printf(arena, "%s/%s", s->name, s->methods[i].name);
	req.request_id = "request-0001";
	req.caller = (char *)caller;
	req.callee = (char *)d->name;
	req.principal = &p;
	req.has_deadline_ms = 1;
	req.deadline_ms = 5;
	if (who & 64) {
		req.idempotency_key = "key-0000000000000001";
		req.has_fingerprint = 1;
		req.fingerprint = (ProtobufCBinaryData){ SHA256_LEN, (uint8_t *)(uintptr_t)print };
	}
	if (b.n && *b.p == 0xff)
		body.raw = (struct pg_bytes){ b.p + 1, b.n - 1 };
	else
		body.msg = fill_message(arena, s->methods[i].input, &b, 0);
	if (rpc_request_pack(arena, keys, &req, body, &bytes, &e) == OK)
		answered(&s->methods[i], rpc_dispatch(&env, arena, bytes.data, bytes.len));
	arena_reset(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned want, n = 0, total = 0;

	if (size < 3)
		return 0;
	if (!arena)
		start();
	for (size_t i = 0; i < DAEMONS; i++)
		total += daemons[i].services->desc->n_methods;
	want = (unsigned)(data[0] | data[1] << 8);
	for (size_t i = 0; i < DAEMONS; i++)
		for (unsigned k = 0; k < daemons[i].services->desc->n_methods; k++, n++)
			if (want == 0xffff || n == want % total)
				ask(&daemons[i], daemons[i].services->desc, k, data[2], (struct bytes){ data + 3, size - 3 });
	return 0;
}
