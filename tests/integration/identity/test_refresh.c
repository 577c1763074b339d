/* Rotation of refresh tokens on PostgreSQL: races, grace, reuse, and what gateways are told. */
#include "world.h"

#include <libpq-fe.h>
#include <pthread.h>

#include "services/identity/identity_db.h"
#include "services/identity/refresh_rules.h"

#define CROWD 32

struct racer {
	const char *token;
	char successor[REFRESH_TEXT_LEN];
	enum err_code code;
};

static void *race(void *arg)
{
	struct arena *a = arena_new("thread", 1 << 20);
	struct racer *r = arg;
	Identity__V1__TokenReply *t = NULL;

	r->code = refresh_in(a, r->token, NULL, &t, NULL);
	if (r->code == OK)
		(void)snprintf(r->successor, sizeof(r->successor), "%s", t->refresh_token);
	arena_free(a);
	return NULL;
}

static void run_race(struct racer *r, const char *token)
{
	pthread_t t[CROWD];

	for (int i = 0; i < CROWD; i++) {
		r[i] = (struct racer){ .token = token };
		assert_int_equal(pthread_create(&t[i], NULL, race, &r[i]), 0);
	}
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
}

/* Many tabs at once: one rotation, one successor, nobody logged out. */
static void test_parallel(void **state)
{
	Identity__V1__TokenReply *t = newcomer("parallel@example.com"), *next;
	struct racer r[CROWD];

	(void)state;
	run_race(r, t->refresh_token);
	for (int i = 0; i < CROWD; i++) {
		assert_int_equal(r[i].code, OK);
		assert_string_equal(r[i].successor, r[0].successor);
	}
	assert_string_not_equal(r[0].successor, t->refresh_token);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT generation FROM identity.session WHERE id = '%s'", t->session_id), 1);
	MUST(REFRESH(r[0].successor, &next, e));
}

static void age_rotation(const char *session_id, int seconds)
{
	pg_fixture_sql(w.fx, "UPDATE identity.session SET rotated_at = rotated_at - interval '%d s' WHERE id = '%s'", seconds,
		       session_id);
}

static void test_grace_and_reuse(void **state)
{
	Identity__V1__TokenReply *t = newcomer("reuse@example.com"), *second, *again;

	(void)state;
	MUST(REFRESH(t->refresh_token, &second, e));
	age_rotation(t->session_id, 9);
	MUST(REFRESH(t->refresh_token, &again, e));
	assert_string_equal(second->refresh_token, again->refresh_token);
	age_rotation(t->session_id, 2);
	REFUSED(REFRESH(t->refresh_token, &again, e), "identity.refresh_reused");
	REFUSED(REFRESH(second->refresh_token, &again, e), "identity.refresh_invalid");
	REFUSED(REFRESH(t->refresh_token, &again, e), "identity.refresh_invalid");
	assert_string_equal(pg_fixture_text(w.fx, "SELECT revoked_why FROM identity.session WHERE id = '%s'", t->session_id),
			    "refresh token used again");
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.revocation WHERE session_id = '%s'", t->session_id),
			 1);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.outbox WHERE type = 'session.revoked' AND agg_id = '%s'",
					t->user_id), 1);
}

/* Only the immediate predecessor has grace. */
static void test_grandparent(void **state)
{
	Identity__V1__TokenReply *t = newcomer("grand@example.com"), *second, *third;

	(void)state;
	MUST(REFRESH(t->refresh_token, &second, e));
	MUST(REFRESH(second->refresh_token, &third, e));
	REFUSED(REFRESH(t->refresh_token, &second, e), "identity.refresh_reused");
	REFUSED(REFRESH(third->refresh_token, &second, e), "identity.refresh_invalid");
}

static void test_ends(void **state)
{
	Identity__V1__TokenReply *t = newcomer("ends@example.com"), *next;

	(void)state;
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT round(extract(epoch FROM expires_at - created_at))::bigint"
					      " FROM identity.session WHERE id = '%s'", t->session_id), 7 * 86400);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT round(extract(epoch FROM absolute_at - created_at))::bigint"
					      " FROM identity.session WHERE id = '%s'", t->session_id), 30 * 86400);
	pg_fixture_sql(w.fx, "UPDATE identity.session SET absolute_at = now() + interval '1 day', expires_at = now() + interval '1 hour'"
			     " WHERE id = '%s'", t->session_id);
	MUST(REFRESH(t->refresh_token, &next, e));
	assert_true(pg_fixture_i64(w.fx, "SELECT (expires_at = absolute_at)::int FROM identity.session WHERE id = '%s'", t->session_id));
	pg_fixture_sql(w.fx, "UPDATE identity.session SET expires_at = now() - interval '1 s' WHERE id = '%s'", t->session_id);
	REFUSED(REFRESH(next->refresh_token, &t, e), "identity.refresh_invalid");
	REFUSED(REFRESH("nonsense", &t, e), "identity.refresh_invalid");
	REFUSED(REFRESH(NULL, &t, e), "identity.refresh_invalid");
}

/* The cookie's token answers as a cookie, the body's in the body. */
static void test_cookie_or_body(void **state)
{
	Identity__V1__RefreshRequest in = IDENTITY__V1__REFRESH_REQUEST__INIT;
	Identity__V1__TokenReply *t = newcomer("cookie@example.com"), *out;

	(void)state;
	assert_non_null(t->refresh_token);
	assert_null(t->hdr_refresh_token);
	in.hdr_refresh_token = t->refresh_token;
	MUST(ASK("Refresh", &nobody, &in, &out, e));
	assert_null(out->refresh_token);
	assert_non_null(out->hdr_refresh_token);
}

/* Random histories: what the rules say, the database does. */
static void test_rules_hold(void **state)
{
	Identity__V1__TokenReply *out;
	struct refresh_family model = { 0 };
	struct refresh_token tokens[64];
	size_t n = 0;
	int64_t shift = 0; /* how far the session's past was moved */

	(void)state;
	register_user("model@example.com");
	srand(11);
	for (int i = 0; i < 400; i++) {
		struct refresh_family after;
		struct refresh_token next;
		enum refresh_verdict want;
		struct err why = { 0 };
		size_t pick;

		if (n == 0 || model.revoked || n == ARRAY_LEN(tokens) - 1) {
			assert_true(refresh_token_read(&w.svc.keys, login("model@example.com")->refresh_token, &tokens[0]));
			model = (struct refresh_family){ .expires_at = INT64_MAX, .absolute_at = INT64_MAX };
			memcpy(model.current, tokens[0].hash, SHA256_LEN);
			n = 1;
			shift = 0;
		}
		pick = rand() % 3 ? n - 1 : rand() % 4 ? (n > 1 ? n - 2 : 0) : (size_t)rand() % n;
		if (rand() % 4 == 0) {
			age_rotation(tokens[0].session_id, 11);
			shift += 11000;
		}
		refresh_token_next(&w.svc.keys, &tokens[pick], &next);
		want = refresh_step(&model, tokens[pick].hash, next.hash, wall_ms() + shift, &after);
		model = after;
		if (want == REFRESH_ROTATE)
			shift = 0;
		(void)refresh_in(w.arena, tokens[pick].text, NULL, &out, &why);
		if (want == REFRESH_ROTATE || want == REFRESH_AGAIN) {
			assert_int_equal(why.code, OK);
			assert_string_equal(out->refresh_token, next.text);
		} else {
			assert_string_equal(why.slug, "identity.refresh_reused");
		}
		if (want == REFRESH_ROTATE) {
			model.rotated_at = wall_ms();
			tokens[n++] = next;
		}
		arena_reset(w.arena);
	}
}

static void test_logout(void **state)
{
	Identity__V1__LogoutRequest in = IDENTITY__V1__LOGOUT_REQUEST__INIT;
	Identity__V1__LogoutAllRequest all = IDENTITY__V1__LOGOUT_ALL_REQUEST__INIT;
	Identity__V1__TokenReply *a = newcomer("logout@example.com"), *b = login("logout@example.com"),
				 *c = login("logout@example.com"), *t;
	struct principal who = bearer(b);
	Identity__V1__LogoutReply *out;

	(void)state;
	MUST(ASK("Logout", &nobody, &in, &out, e)); /* nobody: nothing to end */
	in.hdr_refresh_token = a->refresh_token;
	MUST(ASK("Logout", &nobody, &in, &out, e));
	assert_string_equal(out->hdr_refresh_token, "");
	MUST(ASK("Logout", &nobody, &in, &out, e));
	REFUSED(REFRESH(a->refresh_token, &t, e), "identity.refresh_invalid");
	in.hdr_refresh_token = NULL;
	MUST(ASK("Logout", &who, &in, &out, e));
	REFUSED(REFRESH(b->refresh_token, &t, e), "identity.refresh_invalid");
	who = bearer(c);
	MUST(ASK("LogoutAll", &who, &all, &out, e));
	REFUSED(REFRESH(c->refresh_token, &t, e), "identity.refresh_invalid");
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.revocation WHERE user_id = '%s'", a->user_id), 3);
}

static void test_sessions(void **state)
{
	Identity__V1__SessionsRequest in = IDENTITY__V1__SESSIONS_REQUEST__INIT;
	Identity__V1__RevokeSessionRequest revoke = IDENTITY__V1__REVOKE_SESSION_REQUEST__INIT;
	Identity__V1__TokenReply *mine = newcomer("sessions@example.com"), *other = newcomer("other@example.com"), *t;
	struct principal me = bearer(mine);
	Identity__V1__SessionsReply *page;
	size_t seen = 0;

	(void)state;
	for (int i = 0; i < 4; i++)
		t = login("sessions@example.com");
	in.has_limit = 1;
	in.limit = 2;
	do {
		MUST(ASK("ListSessions", &me, &in, &page, e));
		for (size_t i = 0; i < page->n_data; i++) {
			assert_string_equal(page->data[i]->user_agent, "test agent/1.0");
			assert_string_equal(page->data[i]->ip, "203.0.113.0/24");
			assert_int_equal(page->data[i]->current, strcmp(page->data[i]->id, mine->session_id) == 0);
		}
		seen += page->n_data;
		in.cursor = page->next_cursor;
	} while (in.cursor);
	assert_int_equal(seen, 5);
	revoke.session_id = other->session_id;
	REFUSED(ASK("RevokeSession", &me, &revoke, NULL, e), "common.not_found");
	revoke.session_id = (char *)"rubbish";
	REFUSED(ASK("RevokeSession", &me, &revoke, NULL, e), "common.not_found");
	revoke.session_id = t->session_id;
	MUST(ASK("RevokeSession", &me, &revoke, NULL, e));
	REFUSED(ASK("RevokeSession", &me, &revoke, NULL, e), "common.not_found");
	REFUSED(REFRESH(t->refresh_token, &t, e), "identity.refresh_invalid");
	MUST(REFRESH(other->refresh_token, &t, e));
	in.limit = 101;
	REFUSED(ASK("ListSessions", &me, &in, NULL, e), "common.invalid_input");
}

static Identity__V1__RevocationsReply *revocations(int64_t after)
{
	Identity__V1__RevocationsRequest in = IDENTITY__V1__REVOCATIONS_REQUEST__INIT;
	struct principal gateway = service("gateway");
	Identity__V1__RevocationsReply *out = NULL;

	in.has_after = 1;
	in.after = after;
	MUST(ASK("ListRevocations", &gateway, &in, &out, e));
	return out;
}

static bool told(const Identity__V1__RevocationsReply *r, const char *session_id)
{
	for (size_t i = 0; i < r->n_data; i++)
		if (r->data[i]->session_id && strcmp(r->data[i]->session_id, session_id) == 0)
			return true;
	return false;
}

/* A revocation that commits late is heard, and one that came meanwhile does not wait for it. */
static void test_revocations(void **state)
{
	PGconn *slow = PQconnectdb(pg_fixture_admin_dsn(w.fx));
	struct principal cart = service("cart");
	int64_t after = revocations(0)->next;

	(void)state;
	PQclear(PQexec(slow, "BEGIN; INSERT INTO identity.revocation (session_id) VALUES ('ses_late')"));
	pg_fixture_sql(w.fx, "INSERT INTO identity.revocation (session_id) VALUES ('ses_fast')");
	assert_true(told(revocations(after), "ses_fast"));
	assert_false(told(revocations(after), "ses_late"));
	after = revocations(after)->next;
	PQclear(PQexec(slow, "COMMIT"));
	assert_true(told(revocations(after), "ses_late"));
	pg_fixture_settle(w.fx); /* another test's transaction may hold the horizon: then both are told again */
	after = revocations(after)->next;
	assert_false(told(revocations(after), "ses_late"));
	assert_false(told(revocations(after), "ses_fast"));
	assert_true(told(revocations(INT64_MAX), "ses_late")); /* a cursor of another cluster */
	pg_fixture_sql(w.fx, "INSERT INTO identity.revocation (session_id) SELECT 'ses_' || i FROM generate_series(1, 2500) i");
	assert_int_equal(revocations(after)->n_data, 2500); /* one transaction is never cut */
	for (int i = 0; i < 2500; i++)
		pg_fixture_sql(w.fx, "INSERT INTO identity.revocation (session_id) VALUES ('ses_%d')", i);
	pg_fixture_settle(w.fx);
	size_t pages = 0, n = 0, got;

	do {
		Identity__V1__RevocationsReply *r = revocations(after);

		assert_true(r->next >= after);
		got = r->n_data;
		n += got;
		after = r->next;
		pages++;
	} while (got);
	assert_int_equal(n, 5000);
	assert_true(pages >= 3);
	REFUSED(ASK("ListRevocations", &cart, &(Identity__V1__RevocationsRequest)IDENTITY__V1__REVOCATIONS_REQUEST__INIT, NULL, e),
		"common.forbidden");
	PQfinish(slow);
}

static void test_sweep(void **state)
{
	struct err why = { 0 };

	(void)state;
	pg_fixture_sql(w.fx, "UPDATE identity.revocation SET revoked_at = now() - interval '2 hours'");
	pg_fixture_sql(w.fx, "UPDATE identity.session SET absolute_at = now() - interval '8 days', expires_at = now() - interval '9 days'");
	for (int i = 0; i < 10; i++)
		assert_int_equal(identity_jobs[0].fn(&w.svc, w.arena, &why), OK);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.revocation"), 0);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM identity.session"), 0);
	assert_int_equal(identity_jobs[1].fn(&w.svc, w.arena, &why), OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parallel),       cmocka_unit_test(test_grace_and_reuse),
		cmocka_unit_test(test_grandparent),    cmocka_unit_test(test_ends),
		cmocka_unit_test(test_cookie_or_body), cmocka_unit_test(test_rules_hold),
		cmocka_unit_test(test_logout),	       cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_revocations),    cmocka_unit_test(test_sweep),
	};

	return cmocka_run_group_tests(tests, world_open, world_close);
}
