/* What is known of those who ask: the log, clicks, suggestions made of it; recommendations beside the matches. */
#include "integration/search/world.h"

#include <stdatomic.h>

#include "common/rpc_server.h"
#include "events.pb-c.h"
#include "reco.pb-c.h"

static void test_report(void **state)
{
	struct principal admin = who_admin(admin_perm);
	Search__V1__ReportRequest in = SEARCH__V1__REPORT_REQUEST__INIT;
	Search__V1__ReportReply *r = NULL;

	(void)state;
	(void)find("nothing like that xyzzyx");
	(void)find("mail eve@example.com 00491701234567");
	MUST(known_flush(&w.svc, w.a, &why_));
	in.kind = (char *)"empty";
	MUST(handlers_ask(&w.h, w.a, "GetReport", &admin, &in, &r, &why_));
	assert_true(r->n_data > 0);
	for (size_t i = 0; i < r->n_data; i++) {
		assert_true(r->data[i]->empty > 0);
		assert_null(strstr(r->data[i]->query, "00491701234567"));
	}
}

/* ---- events ---- */

static void ask_as(const char *q, const char *address)
{
	Search__V1__SearchRequest in = SEARCH__V1__SEARCH_REQUEST__INIT;

	in.q = (char *)q;
	in.hdr_client_ip = (char *)address;
	(void)ask(&in);
}

struct tell {
	const char *type;
	const ProtobufCMessage *msg;
};

static enum err_code tell_tx(struct pg *pg, void *arg, struct err *e)
{
	const struct tell *t = arg;
	struct inbox_event ev = { .event_id = "evt_1", .agg_type = "", .agg_id = "", .type = t->type, .msg = t->msg };

	for (const struct inbox_handler *h = search_inbox; h->type; h++)
		if (strcmp(h->type, t->type) == 0)
			return h->fn(pg, w.a, &ev, &w.svc, e);
	return err_set(e, E_INTERNAL, "common.internal", "nobody hears %s", t->type);
}

static void tell(const char *type, const ProtobufCMessage *msg)
{
	const struct pg_actor who = { "system", "" };
	struct tell t = { type, msg };

	MUST(pg_tx(w.svc.pool, mono_ms() + 10000, &who, tell_tx, &t, &why_));
}

static const Search__V1__ReportRow *reported(const char *kind, const char *query)
{
	struct principal admin = who_admin(admin_perm);
	Search__V1__ReportRequest in = SEARCH__V1__REPORT_REQUEST__INIT;
	Search__V1__ReportReply *r = NULL;

	in.kind = (char *)kind;
	in.has_limit = true;
	in.limit = 500;
	MUST(handlers_ask(&w.h, w.a, "GetReport", &admin, &in, &r, &why_));
	for (size_t i = 0; i < r->n_data; i++)
		if (strcmp(r->data[i]->query, query) == 0)
			return r->data[i];
	return NULL;
}

static void click(const char *search_id, int32_t position)
{
	Events__V1__SearchClicked m = EVENTS__V1__SEARCH_CLICKED__INIT;
	Events__V1__SearchClick c = EVENTS__V1__SEARCH_CLICK__INIT, *list = &c;

	c.search_id = (char *)search_id;
	c.product_id = (char *)"prd_03";
	c.has_position = true;
	c.position = position;
	m.clicks = &list;
	m.n_clicks = 1;
	tell("search.clicked", &m.base);
}

static void test_clicks(void **state)
{
	const Search__V1__ReportRow *row;
	const char *id;

	(void)state;
	id = find("Laptop SLEEVE 15")->search_id;
	assert_string_equal(find("laptop  sleeve 15")->search_id, id); /* of the query, not of who asks */
	assert_string_not_equal(find("laptop")->search_id, id);
	click(id, 1); /* before the log knows of the query */
	MUST(known_clicks(&w.svc, w.a, &why_));
	MUST(known_flush(&w.svc, w.a, &why_));
	assert_non_null(reported("unclicked", "laptop sleeve 15"));
	click(id, 4);
	click(id, 0);
	click("srq_of_nothing", 1);
	click("' OR 1=1", 1);
	MUST(known_clicks(&w.svc, w.a, &why_));
	MUST(known_clicks(&w.svc, w.a, &why_));
	row = reported("top", "laptop sleeve 15");
	assert_int_equal(row->searches, 2);
	assert_int_equal(row->clicks, 2);
	assert_true(row->click_rate > 0.99 && row->click_rate < 1.01);
	assert_true(row->click_position > 2.49 && row->click_position < 2.51);
	assert_null(reported("unclicked", "laptop sleeve 15"));
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM search.click"), 1);
}

/* Whoever asked stands nowhere; an erased user's queries go with those that nobody else made. */
static void test_an_erased_user_leaves_nothing(void **state)
{
	struct principal eve = who_user("usr_01jd000000000000000000000e");
	Events__V1__UserErased gone = EVENTS__V1__USER_ERASED__INIT;
	Search__V1__SearchRequest in = SEARCH__V1__SEARCH_REQUEST__INIT;

	(void)state;
	in.q = (char *)"present for eve example of elm street";
	MUST(handlers_ask(&w.h, w.a, "Search", &eve, &in, NULL, &why_));
	in.q = (char *)"kitchen scissors sharp";
	MUST(handlers_ask(&w.h, w.a, "Search", &eve, &in, NULL, &why_));
	ask_as("kitchen scissors sharp", "192.0.2.9");
	MUST(known_flush(&w.svc, w.a, &why_));
	assert_non_null(reported("top", "present for eve example of elm street"));
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM search.query_day q WHERE q::text LIKE '%%usr_01jd%%'"), 0);
	gone.user_id = (char *)eve.user_id;
	tell("user.erased", &gone.base);
	assert_null(reported("top", "present for eve example of elm street"));
	assert_non_null(reported("top", "kitchen scissors sharp"));
}

/* ---- recommendations ---- */

static atomic_int reco_delay_ms, reco_asked;

/* Stands for every method of reco. */
static enum err_code fake_reco(struct call *c, const ProtobufCMessage *in, ProtobufCMessage *out)
{
	const Reco__V1__RecommendRequest *q = (const void *)in;
	Reco__V1__RecommendReply *r = (void *)out;
	Reco__V1__Recommendation *one;

	if (in->descriptor != &reco__v1__recommend_request__descriptor || c->who.kind != WHO_SERVICE)
		return err_set(&c->err, E_DENIED, "common.denied", "nobody is recommended to");
	atomic_fetch_add(&reco_asked, 1);
	for (int64_t until = mono_ms() + atomic_load(&reco_delay_ms); mono_ms() < until;)
		sleep_ms(1);
	one = arena_alloc(c->arena, sizeof(*one));
	reco__v1__recommendation__init(one);
	one->product_id = arena_printf(c->arena, "%s-%s-%zu", q->type, q->product_id ? q->product_id : "", q->n_exclude);
	r->data = arena_dup(c->arena, &one, sizeof(one));
	r->n_data = 1;
	return OK;
}

static struct rpc_server *start_reco(struct rpc_keys *keys)
{
	static struct rpc_method methods[64];
	static const struct rpc_method *const tables[] = { methods, NULL };
	static const struct rpc_service services[] = { { &reco__v1__reco__descriptor, tables }, { 0 } };
	const struct daemon_conf conf = { .listen = "tcp://127.0.0.1:0", .contexts = 4 };
	struct rpc_server *server = NULL;

	for (unsigned i = 0; i < reco__v1__reco__descriptor.n_methods; i++)
		methods[i] = (struct rpc_method){ reco__v1__reco__descriptor.methods[i].name, fake_reco, RPC_READ, 0 };
	MUST(rpc_server_start(&conf, "reco", services, keys, NULL, NULL, &server, &why_));
	return server;
}

/* One try of one's memory. */
static bool recommended(const char *q)
{
	Search__V1__SearchRequest in = SEARCH__V1__SEARCH_REQUEST__INIT;
	Search__V1__SearchReply *out = NULL;

	arena_reset(w.turn);
	in.q = (char *)q;
	MUST(handlers_ask(&w.h, w.turn, "Search", &who_nobody, &in, &out, &why_));
	return out->n_recommendations > 0;
}

/* In time they stand beside the matches; late, the answer comes without, and for a while nobody waits again. */
static void test_recommendations(void **state)
{
	struct rpc_keys *keys = rpc_keys_new("reco"), *ours = rpc_keys_new("search");
	struct rpc_server *server;
	uint8_t key[32] = { 1 };
	int asked, bare = 0;

	(void)state;
	rpc_keys_add(keys, "search", "reco", key);
	rpc_keys_add(ours, "search", "reco", key);
	server = start_reco(keys);
	MUST(rpc_client_open("search", "reco", rpc_server_url(server), 60000, ours, &w.svc.reco, &why_));
	w.conf.reco_ms = 1000;
	for (int64_t until = mono_ms() + 30000; !recommended("laptop sleeve") && mono_ms() < until;)
		sleep_ms(20);
	assert_string_equal(find("laptop sleeve")->recommendations[0], "related-prd_03-1");
	assert_string_equal(find("zzzzqqq")->recommendations[0], "trending--0");
	atomic_store(&reco_delay_ms, 300);
	w.conf.reco_ms = 30;
	asked = atomic_load(&reco_asked);
	for (int i = 0; i < 10; i++) {
		Search__V1__SearchReply *r = find("laptop");

		assert_int_equal(r->n_data, 2);
		bare += r->n_recommendations == 0;
	}
	assert_int_equal(bare, 10);
	assert_in_range(atomic_load(&reco_asked) - asked, 1, 3);
	w.conf.reco_ms = 0;
	rpc_client_close(w.svc.reco);
	w.svc.reco = NULL;
	rpc_server_stop(server);
	rpc_keys_free(keys);
	rpc_keys_free(ours);
}

/* ---- suggestions ---- */

static bool suggests(const char *q, const char *kind, const char *text)
{
	Search__V1__SuggestReply *r = suggest(q);

	for (size_t i = 0; i < r->n_data; i++)
		if (strcmp(r->data[i]->kind, kind) == 0 && strcmp(r->data[i]->text, text) == 0)
			return true;
	return false;
}

static void test_suggest(void **state)
{
	Search__V1__SuggestRequest in = SEARCH__V1__SUGGEST_REQUEST__INIT;
	Search__V1__SuggestReply *r;

	(void)state;
	MUST(suggest_load(&w.svc, &why_));
	assert_true(suggests("lap", "product", "ThinkPad X1 laptop"));
	assert_true(suggests("lap", "query", "laptop")); /* a word of the catalogue */
	assert_true(suggests("len", "brand", "Lenovo"));
	assert_true(suggests("kitch", "category", "kitchen"));
	assert_true(suggests("wh1000", "product", "Sony WH-1000XM3 wireless headphones"));
	assert_true(suggests("laptop lenov", "product", "ThinkPad X1 laptop") == false); /* titles alone */
	assert_true(suggests("headphones son", "product", "Sony WH-1000XM3 wireless headphones"));
	r = suggest("headhpo");
	assert_string_equal(r->corrected_query, "headpho");
	assert_true(suggests("headhpo", "product", "Headphone stand"));
	assert_true(suggests("wireles headpohnes", "product", "Sony WH-1000XM3 wireless headphones"));
	assert_int_equal(suggest("zzzz")->n_data, 0);
	assert_int_equal(suggest("")->n_data, 0);
	put(&shop[3], false);
	MUST(suggest_load(&w.svc, &why_));
	assert_int_equal(suggest("thinkp")->n_data, 0);
	assert_false(suggests("comp", "category", "computers")); /* nothing is in it */
	put(&shop[3], true);
	refresh();
	in.q = (char *)"lap";
	in.has_limit = true;
	in.limit = 21;
	assert_int_equal(handlers_ask(&w.h, w.a, "Suggest", &who_nobody, &in, NULL, NULL), E_INVALID);
}

/* A query is shown to others only when several people made it on several days. */
static void test_suggest_keeps_secrets(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++)
		ask_as("kitchen scissors left", "192.0.2.1");
	ask_as("laptop sleeve black", "192.0.2.1");
	ask_as("laptop sleeve black", "192.0.2.2");
	ask_as("laptop sleeve black", "192.0.2.3");
	MUST(known_flush(&w.svc, w.a, &why_));
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT people FROM search.query_day WHERE query = 'kitchen scissors left'"), 1);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT people FROM search.query_day WHERE query = 'laptop sleeve black'"), 3);
	MUST(suggest_load(&w.svc, &why_));
	assert_false(suggests("laptop sl", "query", "laptop sleeve black")); /* one day */
	pg_fixture_sql(w.fx, "INSERT INTO search.query_day (day, lang, query, searches, empty, people) VALUES"
			     " (current_date - 1, 'en', 'laptop sleeve black', 1, 0, 1),"
			     " (current_date - 1, 'en', 'kitchen scissors left', 90, 0, 1),"
			     " (current_date - 1, 'en', 'laptop of eve example', 90, 0, 90),"
			     " (current_date - 2, 'en', 'laptop of eve example', 90, 0, 90),"
			     " (current_date - 1, 'en', 'laptop cheap', 90, 80, 90), (current_date - 2, 'en', 'laptop cheap', 9, 9, 9)");
	MUST(suggest_load(&w.svc, &why_));
	assert_true(suggests("laptop sl", "query", "laptop sleeve black"));
	assert_true(suggests("slee", "query", "laptop sleeve black"));
	assert_false(suggests("kitchen sc", "query", "kitchen scissors left")); /* one person */
	assert_false(suggests("laptop", "query", "laptop of eve example"));    /* words of no product */
	assert_false(suggests("laptop", "query", "laptop cheap"));	       /* mostly nothing found */
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM search.query_day q WHERE q::text LIKE '%%192.0.2%%'"), 0);
}

static void test_audited(void **state)
{
	(void)state;
	assert_string_equal(pg_fixture_unaudited(w.fx, "search"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_suggest),
		cmocka_unit_test(test_suggest_keeps_secrets),
		cmocka_unit_test(test_recommendations),
		cmocka_unit_test(test_clicks),
		cmocka_unit_test(test_an_erased_user_leaves_nothing),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_audited),
	};

	return cmocka_run_group_tests(tests, open_pg, close_world);
}
