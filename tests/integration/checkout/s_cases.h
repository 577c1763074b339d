/* What the failure cases S1 to S35 (docs/proof.md) share. Each is a test of that number; the books are checked after each. */
#ifndef SOUK_TEST_S_CASES_H
#define SOUK_TEST_S_CASES_H

#include "common/log.h"
#include "tests/integration/checkout/world.h"

static struct principal user;

/* ---- the provider's side ---- */

UNUSED static json_t *intents_list(void)
{
	const char *text = "";

	assert_int_equal(ask_sandbox("GET", "/v1/payment_intents?limit=100", "sk", NULL, &text), 200);
	return json_loads(text, 0, NULL);
}

/* How many intents the provider has of a checkout; the newest one's id. */
UNUSED static int64_t intents_of(const char *checkout_id, const char **id_r)
{
	json_t *list = intents_list(), *x;
	int64_t n = 0;
	size_t i;

	json_array_foreach(json_object_get(list, "data"), i, x) {
		const char *of = json_string_value(json_object_get(json_object_get(x, "metadata"), "checkout_id"));

		if (!of || strcmp(of, checkout_id) != 0)
			continue;
		if (n++ == 0 && id_r)
			*id_r = arena_strdup(w.a, json_string_value(json_object_get(x, "id")));
	}
	json_decref(list);
	return n;
}

/* Behind everybody's back: at the provider's own console. */
UNUSED static void at_provider(const char *pi, const char *what, const char *json)
{
	assert_int_equal(ask_sandbox("POST", arena_printf(w.a, "/_sandbox/intents/%s/%s", pi, what), "json", json, NULL), 200);
}

UNUSED static void captured_elsewhere(const char *pi)
{
	assert_int_equal(ask_sandbox("POST", arena_printf(w.a, "/v1/payment_intents/%s/capture", pi), "sk", "", NULL), 200);
}

/* ---- webhooks ---- */

UNUSED static const char *sign(const char *secret, int64_t t, const char *body)
{
	char *text = arena_printf(w.a, "%lld.%s", (long long)t, body), *hex = arena_alloc(w.a, SHA256_HEX_LEN);
	uint8_t mac[SHA256_LEN];

	hmac_sha256(secret, strlen(secret), text, strlen(text), mac);
	hex_encode(mac, SHA256_LEN, hex);
	return hex;
}

UNUSED static enum err_code deliver(const char *body, const char *signature)
{
	Checkout__V1__WebhookRequest in = CHECKOUT__V1__WEBHOOK_REQUEST__INIT;
	const struct principal nobody = who_nobody;

	in.has_raw_body = true;
	in.raw_body.data = (uint8_t *)body;
	in.raw_body.len = strlen(body);
	in.hdr_signature = (char *)signature;
	return ask("PayWebhook", &nobody, &in, NULL);
}

UNUSED static const char *event_of(const char *id, const char *type, bool live, const char *object)
{
	return arena_printf(w.a, "{\"id\":\"%s\",\"object\":\"event\",\"type\":\"%s\",\"livemode\":%s,\"data\":{\"object\":%s}}", id,
			    type, live ? "true" : "false", object);
}

/* One that is signed as it should be. */
UNUSED static enum err_code told(const char *body)
{
	int64_t t = wall_ms() / 1000;

	return deliver(body, arena_printf(w.a, "t=%lld,v1=%s", (long long)t, sign(SECRET, t, body)));
}

/* ---- time and crashes ---- */

/* What a killed process leaves: its row as it was stored, and a lease that runs out. */
UNUSED static void lease_runs_out(const char *checkout_id)
{
	pg_fixture_sql(w.fx, "UPDATE checkout.checkout SET lease_until = now() - interval '1 ms', next_at = now() WHERE id = '%s'",
		       checkout_id);
}

UNUSED static void round_of_sweeper(void)
{
	struct arena *a = arena_new("round", 16u << 20);

	sweeper_round(&w.svc, a);
	arena_free(a);
}

UNUSED static void time_is_over(const char *checkout_id)
{
	pg_fixture_sql(w.fx, "UPDATE checkout.checkout SET expires_at = now() - interval '1 s', next_at = now() WHERE id = '%s'",
		       checkout_id);
}

/* ---- what the log says, for alerts are made of it ---- */

static FILE *heard;

UNUSED static void listen_to_log(void)
{
	heard = tmpfile();
	assert_non_null(heard);
	log_to_fd(fileno(heard));
}

/* Whether a line with both was written since, such as its level and its words; ends the listening. */
UNUSED static bool log_said(const char *mark, const char *words)
{
	char line[8192];
	bool found = false;

	log_to_fd(2);
	rewind(heard);
	while (fgets(line, sizeof(line), heard))
		found = found || (strstr(line, words) && strstr(line, mark));
	fclose(heard);
	return found;
}

#endif
