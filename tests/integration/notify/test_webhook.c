/* Outgoing webhooks against a real receiver. */
#include <pthread.h>

#include "rig.h"

#include "common/cursor.h"
#include "common/keyring.h"
#include "services/notify/event_json.h"
#include "services/notify/webhook.h"

/* ---- the receiver: one connection after the other, answers what the test says ---- */

static struct {
	int fd, port;
	pthread_t thread;
	pthread_mutex_t lock;
	int answer[32], n_answer; /* statuses to give first; then 200 */
	char got[64][8192];	  /* whole requests */
	int n_got;
} rcv = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void receive(int fd)
{
	char text[8192], reply[100];
	size_t n = 0, want = 0;
	ssize_t k;
	int status;

	while (n < sizeof(text) - 1 && (k = read(fd, text + n, sizeof(text) - 1 - n)) > 0) {
		char *body, *length;

		n += (size_t)k;
		text[n] = '\0';
		body = strstr(text, "\r\n\r\n");
		length = strstr(text, "Content-Length: ");
		if (body && length)
			want = (size_t)(body + 4 - text) + strtoul(length + 16, NULL, 10);
		if (want && n >= want)
			break;
	}
	pthread_mutex_lock(&rcv.lock);
	status = rcv.n_answer ? rcv.answer[0] : 200;
	if (rcv.n_answer)
		memmove(rcv.answer, rcv.answer + 1, (size_t)--rcv.n_answer * sizeof(int));
	memcpy(rcv.got[rcv.n_got++ % 64], text, n + 1);
	pthread_mutex_unlock(&rcv.lock);
	snprintf(reply, sizeof(reply), "HTTP/1.1 %d X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status);
	k = write(fd, reply, strlen(reply));
	(void)k;
	close(fd);
}

static void *receiver(void *arg)
{
	int fd;

	(void)arg;
	while ((fd = accept(rcv.fd, NULL, NULL)) >= 0)
		receive(fd);
	return NULL;
}

static int received(void)
{
	int n;

	pthread_mutex_lock(&rcv.lock);
	n = rcv.n_got;
	pthread_mutex_unlock(&rcv.lock);
	return n;
}

static const char *header_of(int i, const char *name)
{
	static char value[400];
	char *at = strstr(rcv.got[i], name);

	assert_non_null(at);
	snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "\r"), at);
	return value;
}

static const char *body_of(int i)
{
	return strstr(rcv.got[i], "\r\n\r\n") + 4;
}

/* ---- helpers ---- */

static struct senders *hook_senders;

static void hooks_on(void)
{
	struct sender_job job;
	struct err e = { 0 };

	sender_hook_job(&conf, &job);
	if (senders_start(&job, &svc, &hook_senders, &e))
		fail_msg("%s", e.msg);
}

static Notify__V1__Webhook *make(const char *url, char *event)
{
	Notify__V1__CreateWebhookRequest in = NOTIFY__V1__CREATE_WEBHOOK_REQUEST__INIT;
	char *events[] = { event };

	in.url = (char *)url;
	in.events = events;
	in.n_events = event ? 1 : 0;
	return ASK("CreateWebhook", &in, webhook);
}

static const char *url(void)
{
	return arena_printf(arena, "http://127.0.0.1:%d/hook", rcv.port);
}

static int64_t hooks(const char *where)
{
	return pg_fixture_i64(fx, "SELECT count(*) FROM notify.webhook_delivery WHERE %s", where);
}

static int clean(void **state)
{
	senders_stop(hook_senders);
	hook_senders = NULL;
	rcv.n_got = rcv.n_answer = 0;
	conf.hook_insecure = true;
	return rig_clean(state);
}

/* ---- tests ---- */

static void an_event_is_told_signed_and_once(void **state)
{
	Notify__V1__Webhook *w = make(url(), (char *)"order.*");
	const char *sig, *body;
	long long t;

	(void)state;
	assert_non_null(w);
	assert_memory_equal(w->secret, "whsec_", 6);
	make(url(), (char *)"vendor.*"); /* hears nothing of it */
	place_order(ORDER, USER);
	place_order(ORDER, USER);
	assert_int_equal(hooks("true"), 1);
	hooks_on();
	WAIT_FOR(hooks("state = 'sent' AND http_status = 200 AND attempts = 1") == 1, 5000);
	assert_int_equal(received(), 1);
	body = body_of(0);
	sig = header_of(0, "Souk-Signature: ");
	assert_int_equal(sscanf(sig, "Souk-Signature: t=%lld,", &t), 1);
	assert_string_equal(sig, webhook_signature(arena, w->secret, t, body));
	assert_true(llabs(t - wall_ms() / 1000) < 10);
	assert_string_equal(header_of(0, "Souk-Event: "), "Souk-Event: order.placed");
	assert_non_null(strstr(body, "\"order_id\":\"" ORDER "\""));
	assert_null(strstr(body, "@"));
}

static void the_secret_is_shown_once_and_sealed(void **state)
{
	Notify__V1__Webhook *w = make(url(), (char *)"*"), *again;
	Notify__V1__WebhookRequest in = NOTIFY__V1__WEBHOOK_REQUEST__INIT;

	(void)state;
	in.webhook_id = w->id;
	again = ASK("GetWebhook", &in, webhook);
	assert_null(again->secret);
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM notify.webhook WHERE secret LIKE ('%%' || '%s' || '%%')::bytea",
					w->secret), 0);
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM notify.audit_log WHERE after ->> 'secret' <> '***'"), 0);
	again = ASK("RotateWebhookSecret", &in, webhook);
	assert_string_not_equal(again->secret, w->secret);
	place_order(ORDER, USER);
	hooks_on();
	WAIT_FOR(received() == 1, 5000);
	{
		const char *sig = header_of(0, "Souk-Signature: ");
		long long t = strtoll(strchr(sig, '=') + 1, NULL, 10);

		assert_string_equal(sig, webhook_signature(arena, again->secret, t, body_of(0)));
	}
	in.webhook_id = (char *)"whk_none";
	assert_null(ASK("RotateWebhookSecret", &in, webhook));
	assert_int_equal(last.code, E_NOT_FOUND);
}

static void refused_is_tried_again_with_the_same_body(void **state)
{
	(void)state;
	make(url(), (char *)"*");
	rcv.answer[0] = 500;
	rcv.answer[1] = 302; /* a redirect is not followed */
	rcv.n_answer = 2;
	place_order(ORDER, USER);
	hooks_on();
	WAIT_FOR(hooks("state = 'sent' AND attempts = 3") == 1, 8000);
	assert_string_equal(body_of(0), body_of(1));
	assert_string_equal(body_of(0), body_of(2));
}

static void gone_ends_it(void **state)
{
	Notify__V1__Webhook *w = make(url(), (char *)"*");
	Notify__V1__ListWebhookDeliveriesRequest list = NOTIFY__V1__LIST_WEBHOOK_DELIVERIES_REQUEST__INIT;
	Notify__V1__WebhookDeliveryRequest one = NOTIFY__V1__WEBHOOK_DELIVERY_REQUEST__INIT;
	Notify__V1__ListWebhookDeliveriesReply *r;

	(void)state;
	rcv.answer[0] = 410;
	rcv.n_answer = 1;
	place_order(ORDER, USER);
	hooks_on();
	WAIT_FOR(hooks("state = 'failed' AND http_status = 410 AND attempts = 1") == 1, 5000);
	list.webhook_id = w->id;
	list.state = (char *)"failed";
	r = ASK("ListWebhookDeliveries", &list, list_webhook_deliveries_reply);
	assert_int_equal(r->n_data, 1);
	assert_non_null(strstr(r->data[0]->payload->text, ORDER));
	one.webhook_id = w->id;
	one.delivery_id = r->data[0]->id;
	assert_non_null(ASK("RedeliverWebhook", &one, webhook_delivery));
	WAIT_FOR(hooks("state = 'sent' AND attempts = 2") == 1, 5000);
	one.webhook_id = (char *)"whk_other"; /* another webhook's delivery is not found */
	assert_null(ASK("RedeliverWebhook", &one, webhook_delivery));
	assert_int_equal(last.code, E_NOT_FOUND);
}

static void too_many_failures_switch_it_off(void **state)
{
	Notify__V1__Webhook *w = make(url(), (char *)"*");
	Notify__V1__UpdateWebhookRequest on = NOTIFY__V1__UPDATE_WEBHOOK_REQUEST__INIT;
	char id[32];

	(void)state;
	for (int i = 0; i < 21; i++) {
		snprintf(id, sizeof(id), "ord_f%d", i);
		place_order(id, USER);
	}
	for (int i = 0; i < 20; i++)
		rcv.answer[rcv.n_answer++] = 410;
	conf.hook_senders = 1;
	hooks_on();
	WAIT_FOR(hooks("state IN ('failed', 'sent')") == 21, 10000);
	conf.hook_senders = 2;
	assert_int_equal(hooks("state = 'failed' AND detail = 'notify.webhook_off'"), 1);
	assert_string_equal(pg_fixture_text(fx, "SELECT active || ' ' || disabled_reason FROM notify.webhook"),
			    "false too many failures");
	place_order("ord_after", USER); /* nobody listens now */
	assert_int_equal(hooks("true"), 21);
	on.webhook_id = w->id;
	on.has_active = on.active = true;
	w = ASK("UpdateWebhook", &on, webhook);
	assert_true(w->active && !w->disabled_reason);
	place_order("ord_again", USER);
	WAIT_FOR(hooks("state = 'sent'") == 1, 5000);
}

static void a_test_reaches_even_a_silent_one(void **state)
{
	Notify__V1__Webhook *w = make(url(), (char *)"*");
	Notify__V1__UpdateWebhookRequest off = NOTIFY__V1__UPDATE_WEBHOOK_REQUEST__INIT;
	Notify__V1__WebhookRequest in = NOTIFY__V1__WEBHOOK_REQUEST__INIT;
	Notify__V1__WebhookDelivery *d;

	(void)state;
	off.webhook_id = in.webhook_id = w->id;
	off.has_active = true;
	assert_non_null(ASK("UpdateWebhook", &off, webhook));
	d = ASK("TestWebhook", &in, webhook_delivery);
	assert_string_equal(d->type, "webhook.test");
	hooks_on();
	WAIT_FOR(hooks("state = 'sent'") == 1, 5000);
	assert_string_equal(header_of(0, "Souk-Event: "), "Souk-Event: webhook.test");
}

static void changes_and_versions(void **state)
{
	Notify__V1__Webhook *w = make(url(), (char *)"*");
	Notify__V1__UpdateWebhookRequest in = NOTIFY__V1__UPDATE_WEBHOOK_REQUEST__INIT;
	Notify__V1__ListWebhooksRequest list = NOTIFY__V1__LIST_WEBHOOKS_REQUEST__INIT;
	Notify__V1__WebhookRequest one = NOTIFY__V1__WEBHOOK_REQUEST__INIT;
	Notify__V1__ListWebhooksReply *r;
	char *events[] = { (char *)"order.placed", (char *)"vendor.*" };

	(void)state;
	in.webhook_id = one.webhook_id = w->id;
	in.hdr_if_match = w->hdr_etag;
	in.events = events;
	in.n_events = 2;
	in.description = (char *)"books";
	w = ASK("UpdateWebhook", &in, webhook);
	assert_int_equal(w->n_events, 2);
	assert_string_equal(w->events[1], "vendor.*");
	assert_string_equal(w->url, url());
	assert_null(ASK("UpdateWebhook", &in, webhook)); /* the tag is stale now */
	assert_int_equal(last.code, E_PRECOND);
	make(url(), (char *)"*");
	list.has_limit = true;
	list.limit = 1;
	r = ASK("ListWebhooks", &list, list_webhooks_reply);
	assert_int_equal(r->n_data, 1);
	list.cursor = r->next_cursor;
	r = ASK("ListWebhooks", &list, list_webhooks_reply);
	assert_string_equal(r->data[0]->id, w->id);
	assert_null(r->next_cursor);
	assert_non_null(ask_as("usr_01jd3k0000000000000000admn", true, "DeleteWebhook", &one.base, &common__v1__empty__descriptor));
	assert_null(ASK("GetWebhook", &one, webhook));
	assert_int_equal(last.code, E_NOT_FOUND);
}

static void addresses_are_checked(void **state)
{
	(void)state;
	assert_null(make("ftp://example.com/x", (char *)"*"));
	assert_null(make("", (char *)"*"));
	assert_null(make(url(), NULL));
	assert_null(make(url(), (char *)"user.erased"));
	assert_string_equal(last.details[0].field, "events");
	conf.hook_insecure = false;
	assert_null(make("http://example.com/x", (char *)"*"));
	assert_string_equal(last.details[0].field, "url");
	assert_non_null(make("https://example.com/x", (char *)"*"));
}

/* What an administrator entered when it was allowed is not reached once it is not: the sender looks for itself. */
static void inner_addresses_are_not_reached(void **state)
{
	const struct httpc_conf strict = { .max_handles = 2, .queue = 2, .breaker_failures = 1000000, .breaker_open_ms = 1,
					   .https_only = true, .public_only = true };
	struct httpc *lax = svc.http;
	struct err e = { 0 };

	(void)state;
	assert_non_null(make(url(), (char *)"*"));
	assert_non_null(make(arena_printf(arena, "https://localhost:%d/", rcv.port), (char *)"*"));
	assert_null(make("https://[::1]/", (char *)"*")); /* not even taken */
	assert_non_null(make("https://example.com/", (char *)"*"));
	pg_fixture_sql(fx, "UPDATE notify.webhook SET url = 'https://[::1]/' WHERE url = 'https://example.com/'");
	assert_non_null(make("https://169.254.169.254/latest/meta-data", (char *)"*"));
	assert_int_equal(httpc_open(&strict, &svc.http, &e), OK);
	place_order(ORDER, USER);
	hooks_on();
	WAIT_FOR(hooks("attempts >= 1 AND state <> 'sending'") == 4, 10000);
	assert_int_equal(hooks("state = 'sent'"), 0);
	assert_int_equal(received(), 0);
	senders_stop(hook_senders);
	hook_senders = NULL;
	httpc_close(svc.http);
	svc.http = lax;
}

static int setup(void **state)
{
	static const struct key32 key = { { 7 } };
	static const char ring[] = "1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
	const struct httpc_conf http = { .max_handles = 4, .queue = 4, .breaker_failures = 1000000, .breaker_open_ms = 1 };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	struct err e = { 0 };

	cursor_use_key(&key);
	if (rig_setup(state) || keyring_parse(ring, sizeof(ring) - 1, &svc.keyring, &e) || httpc_open(&http, &svc.http, &e))
		fail_msg("%s", e.msg);
	rcv.fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(rcv.fd, (struct sockaddr *)&a, n), 0);
	listen(rcv.fd, 64);
	getsockname(rcv.fd, (struct sockaddr *)&a, &n);
	rcv.port = ntohs(a.sin_port);
	return pthread_create(&rcv.thread, NULL, receiver, NULL);
}

static int teardown(void **state)
{
	shutdown(rcv.fd, SHUT_RDWR);
	pthread_join(rcv.thread, NULL);
	close(rcv.fd);
	httpc_close(svc.http);
	keyring_free(svc.keyring);
	return rig_teardown(state);
}

#define T(f) cmocka_unit_test_setup_teardown(f, clean, clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_event_is_told_signed_and_once),
		T(the_secret_is_shown_once_and_sealed),
		T(refused_is_tried_again_with_the_same_body),
		T(gone_ends_it),
		T(too_many_failures_switch_it_off),
		T(a_test_reaches_even_a_silent_one),
		T(changes_and_versions),
		T(addresses_are_checked),
		T(inner_addresses_are_not_reached),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
