/* The books agree: what must hold after every test, whatever happened in it. Part of world.h. */
#ifndef SOUK_TEST_CHECKOUT_BOOKS_H
#define SOUK_TEST_CHECKOUT_BOOKS_H

/* I1, I2, I6: a unit is on the shelf, held by a live checkout, or sold with exactly one order. A checkout under way may
 * have sold before its order is written. */
static void stock_agrees(bool at_rest)
{
	const char *live_states = at_rest ? "state = 'payment_pending'" : "next_at IS NOT NULL";

	assert_true(w.stock_a >= 0 && w.stock_b >= 0);
	for (size_t i = 0; i < w.n_res; i++) {
		const struct reservation *r = &w.res[i];
		int64_t orders = pg_fixture_i64(w.fx, "SELECT count(*) FROM checkout.orders WHERE reservation_key = '%s'", r->key);
		int64_t live = pg_fixture_i64(w.fx, "SELECT count(*) FROM checkout.checkout WHERE %s"
						    " AND '%s' LIKE id || '.%%'", live_states, r->key);

		if (r->state == ST_ACTIVE)
			assert_int_equal(live, 1);
		if (r->state == ST_SOLD && r->a + r->b > 0)
			assert_int_equal(at_rest ? orders : orders + live, 1);
		if (r->state == ST_RELEASED && !w.by_hand)
			assert_int_equal(orders, 0);
		if (orders && !w.by_hand)
			assert_true(r->a + r->b <= pg_fixture_i64(w.fx, "SELECT item_count FROM checkout.orders"
								       " WHERE reservation_key = '%s'", r->key));
	}
}

/* I4: what the provider took, gave back and still holds of this payment is what the books say of it. */
static void payment_agrees(json_t *theirs)
{
	const char *pi = json_string_value(json_object_get(theirs, "id"));
	int64_t took = 0, back = 0;
	size_t i;
	json_t *x;

	json_array_foreach(json_object_get(theirs, "charges"), i, x) {
		took += json_integer_value(json_object_get(x, "amount_captured"));
		back += json_integer_value(json_object_get(x, "amount_refunded"));
	}
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT coalesce(sum(captured_minor), 0) FROM checkout.payment WHERE pi_id = '%s'", pi),
			 took);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT coalesce(sum(r.amount_minor), 0) FROM checkout.refund r JOIN checkout.payment p"
					      " ON p.id = r.payment_id WHERE r.state = 'succeeded' AND p.pi_id = '%s'", pi), back);
	assert_true(back <= took);
	if (json_integer_value(json_object_get(theirs, "amount_capturable")) > 0)
		fail_msg("%s: money of a buyer is still held, its checkout is %s", pi,
			 pg_fixture_text(w.fx, "SELECT coalesce(max(state || ' ' || why || ' ' || pi_n || ' ' || id), 'nowhere')"
					       " FROM checkout.checkout WHERE pi_id = '%s'", pi));
}

static void provider_agrees(const char *since)
{
	const char *text = "", *after = since;
	json_t *page, *x;
	size_t i;

	do {
		assert_int_equal(ask_sandbox("GET", arena_printf(w.a, "/_sandbox/ledger?limit=1000&after=%s", after), "json", NULL,
					     &text), 200);
		page = json_loads(text, 0, NULL);
		json_array_foreach(json_object_get(page, "data"), i, x)
			payment_agrees(x);
		x = json_object_get(page, "next");
		after = json_is_string(x) ? arena_strdup(w.a, json_string_value(x)) : NULL;
		json_decref(page);
	} while (after && *after);
}

static void schema_agrees(bool at_rest)
{
	const char *broken = invariants_broken(w.fx, "checkout", at_rest);

	if (*broken)
		fail_msg("%s", broken);
}

/* The newest intent, "" when there is none: where the next test's begin. */
static const char *newest_intent(void)
{
	static char id[64];
	const char *text = "";
	json_t *list, *first;

	assert_int_equal(ask_sandbox("GET", "/v1/payment_intents?limit=1", "sk", NULL, &text), 200);
	list = json_loads(text, 0, NULL);
	first = json_array_get(json_object_get(list, "data"), 0);
	snprintf(id, sizeof(id), "%s", first ? json_string_value(json_object_get(first, "id")) : "");
	json_decref(list);
	return id;
}

/* As they are now, whatever is still under way. */
UNUSED static void books_hold(void)
{
	schema_agrees(false);
	stock_agrees(false);
}

/* At the end of every test: everything comes to rest, then the books, then what still waits for its payment ends too. */
static int world_check(void **state)
{
	(void)state;
	no_faults();
	sweep();
	schema_agrees(true);
	stock_agrees(true);
	pg_fixture_sql(w.fx, "UPDATE checkout.checkout SET expires_at = now() - interval '1 s',"
			     " next_at = now() - interval '1 s' WHERE state = 'payment_pending'");
	sweep();
	schema_agrees(true);
	stock_agrees(true);
	if (!w.by_hand)
		provider_agrees(w.seen_intents);
	return 0;
}

#endif
