/* From an event to a mail in somebody's box, and every way in which that can go wrong. */
#include <pthread.h>

#include "rig.h"

static void an_order_is_confirmed_once(void **state)
{
	json_t *m;

	(void)state;
	place_order(ORDER, USER);
	place_order(ORDER, USER); /* told twice */
	assert_int_equal(count("state = 'queued'"), 1);
	senders_on(2);
	m = mails("ada@example.com", 1, 5000);
	assert_int_equal(json_array_size(m), 1);
	assert_string_equal(part(m, 0, "subject"), "Your order 1001");
	assert_string_equal(part(m, 0, "from"), "no-reply@souk.example");
	assert_string_equal(header(m, 0, "Message-ID"), "<" ORDER ".order_placed@souk.example>");
	assert_string_equal(header(m, 0, "To"), "Ada Lovelace <ada@example.com>");
	assert_non_null(strstr(part(m, 0, "text"), "2 x Teapot   59.80 EUR"));
	assert_non_null(strstr(part(m, 0, "text"), "Total: 64.70 EUR"));
	assert_null(strstr(part(m, 0, "text"), "Tax")); /* nothing to say of a tax of 0 */
	assert_non_null(strstr(part(m, 0, "text"), "http://shop.test/orders/" ORDER));
	assert_non_null(strstr(part(m, 0, "html"), "<b>1001</b>"));
	json_decref(m);
	WAIT_FOR(count("state = 'sent' AND ended_at IS NOT NULL AND attempts = 1") == 1, 3000);
	assert_string_equal(pg_fixture_text(fx, "SELECT outcome || smtp_code FROM notify.delivery"), "sent250");
	sleep_ms(200);
	m = mails("ada@example.com", 1, 0);
	assert_int_equal(json_array_size(m), 1);
	json_decref(m);
}

static void a_guest_is_written_to_as_well(void **state)
{
	json_t *m;

	(void)state;
	world.order_user = "";
	world.guest_email = "guest@example.com";
	place_order(ORDER, "");
	senders_on(1);
	m = mails("guest@example.com", 1, 5000);
	assert_int_equal(json_array_size(m), 1);
	assert_non_null(strstr(part(m, 0, "text"), "Hello Guest Person"));
	json_decref(m);
	assert_int_equal(world.asked, 0);
	/* no address rests anywhere in the schema */
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM notify.message m WHERE m::text LIKE '%%example.com%%'"), 0);
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM notify.delivery d WHERE d::text LIKE '%%example.com%%'"), 0);
}

static void what_people_write_stays_text(void **state)
{
	json_t *m;

	(void)state;
	world.title = "<script>alert(1)</script>\r\n.\r\nMAIL";
	world.name = "Ada\r\nBcc: evil@example.com";
	place_order(ORDER, USER);
	senders_on(1);
	m = mails("ada@example.com", 1, 5000);
	assert_int_equal(json_array_size(m), 1);
	assert_non_null(strstr(part(m, 0, "html"), "&lt;script&gt;alert(1)&lt;/script&gt;"));
	assert_null(strstr(part(m, 0, "html"), "<script>"));
	assert_string_equal(header(m, 0, "Bcc"), "");
	assert_string_equal(header(m, 0, "To"), "ada@example.com"); /* no name rather than a bad one */
	json_decref(m);
}

static void the_language_is_the_persons(void **state)
{
	json_t *m;

	(void)state;
	world.locale = "de-AT";
	place_order(ORDER, USER);
	pg_fixture_sql(fx, "INSERT INTO notify.template (kind, lang, subject, text, html, updated_by) VALUES"
			   " ('order_placed', 'de-AT', 'Servus {{order_number}}', 'x {{name}}', '<p>{{name}}</p>', 'test')");
	senders_on(1);
	m = mails("ada@example.com", 1, 5000);
	assert_string_equal(part(m, 0, "subject"), "Servus 1001");
	assert_string_equal(header(m, 0, "Content-Language"), "de-AT");
	json_decref(m);
	senders_off();
	pg_fixture_sql(fx, "DELETE FROM notify.template");
	place_order("ord_2", USER);
	senders_on(1);
	m = mails("ada@example.com", 2, 5000);
	assert_string_equal(part(m, 0, "subject"), "Ihre Bestellung 1001");
	json_decref(m);
}

static void links_of_accounts(void **state)
{
	Events__V1__UserLinkRequested l = EVENTS__V1__USER_LINK_REQUESTED__INIT;
	Events__V1__UserSecurityChanged s = EVENTS__V1__USER_SECURITY_CHANGED__INIT;
	json_t *m;

	(void)state;
	l.user_id = s.user_id = (char *)USER;
	l.link_id = (char *)"lnk_1";
	hand("user.verification_requested", "e1", &l.base);
	senders_on(1);
	m = mails("ada@example.com", 1, 5000);
	assert_non_null(strstr(part(m, 0, "text"), "http://shop.test/verify-email?token=tok-lnk_1\n"));
	assert_non_null(strstr(part(m, 0, "text"), "within 24 hours"));
	json_decref(m);
	l.link_id = (char *)"lnk_2";
	hand("user.password_reset_requested", "e2", &l.base);
	m = mails("ada@example.com", 2, 5000);
	assert_non_null(strstr(part(m, 0, "text"), "http://shop.test/reset-password?token=tok-lnk_2\n"));
	json_decref(m);
	s.what = (char *)"mfa_disabled";
	hand("user.security_changed", "e3", &s.base);
	m = mails("ada@example.com", 3, 5000);
	assert_non_null(strstr(part(m, 0, "text"), "the second factor was switched off."));
	assert_null(strstr(part(m, 0, "text"), "switched on"));
	json_decref(m);
	/* a used or expired link is not worth a mail */
	world.link = E_GONE;
	l.link_id = (char *)"lnk_3";
	hand("user.password_reset_requested", "e4", &l.base);
	WAIT_FOR(count("state = 'failed' AND reason = 'link_gone'") == 1, 5000);
}

/* The link goes to the new address, the notice to the one before; an invited person may have no account. */
static void other_addresses(void **state)
{
	Events__V1__UserEmailChange u = EVENTS__V1__USER_EMAIL_CHANGE__INIT;
	Events__V1__VendorMemberInvited in = EVENTS__V1__VENDOR_MEMBER_INVITED__INIT;
	json_t *m;

	(void)state;
	u.user_id = (char *)USER;
	u.link_id = (char *)"lnk_9";
	world.link_email = "fresh@example.com";
	hand("user.email_change_requested", "c1", &u.base);
	senders_on(1);
	m = mails("fresh@example.com", 1, 5000);
	assert_non_null(strstr(part(m, 0, "text"), "http://shop.test/verify-email?token=tok-lnk_9\n"));
	json_decref(m);
	hand("user.email_changed", "c2", &u.base);
	m = mails("before@example.com", 1, 5000);
	assert_non_null(strstr(part(m, 0, "text"), "another e-mail address now"));
	json_decref(m);
	pg_fixture_sql(fx, "INSERT INTO notify.vendor (id, name) VALUES ('vnd_1', 'Fine Goods')");
	in.vendor_id = (char *)"vnd_1";
	in.invitation_id = (char *)"inv_1";
	world.link_email = "hand@example.com";
	world.contact = E_NOT_FOUND; /* nobody to ask */
	hand("vendor_member.invited", "c3", &in.base);
	m = mails("hand@example.com", 1, 5000);
	assert_non_null(strstr(part(m, 0, "text"), "into the team of Fine Goods"));
	assert_non_null(strstr(part(m, 0, "text"), "http://shop.test/join-vendor?token=tok-inv_1\n"));
	json_decref(m);
	world.link_email = "not an address";
	in.invitation_id = (char *)"inv_2";
	hand("vendor_member.invited", "c4", &in.base);
	WAIT_FOR(count("state = 'failed' AND reason = 'no_address'") == 1, 5000);
}

static void refunds_and_vendors(void **state)
{
	Events__V1__OrderChanged r = EVENTS__V1__ORDER_CHANGED__INIT;
	Events__V1__VendorChanged v = EVENTS__V1__VENDOR_CHANGED__INIT;
	Events__V1__VendorOrderChanged vo = EVENTS__V1__VENDOR_ORDER_CHANGED__INIT;
	json_t *m;

	(void)state;
	r.order_id = (char *)ORDER;
	r.user_id = (char *)USER;
	r.amount = euros(arena, 1234);
	r.refund_id = (char *)"rfd_1";
	hand("order.refunded", "e1", &r.base);
	r.refund_id = (char *)"rfd_2";
	hand("order.refunded", "e2", &r.base);
	hand("order.refunded", "e3", &r.base); /* the same refund, told by another event */
	assert_int_equal(count("kind = 'order_refunded'"), 2);
	v.vendor_id = vo.vendor_id = (char *)"vnd_1";
	v.owner_user_id = (char *)USER;
	v.name = (char *)"Clay & Co";
	v.status = (char *)"approved";
	hand("vendor.applied", "e4", &v.base); /* no mail for that */
	hand("vendor.approved", "e5", &v.base);
	vo.vendor_order_id = (char *)"vor_1";
	vo.order_id = (char *)ORDER;
	hand("vendor_order.placed", "e6", &vo.base);
	assert_int_equal(count("true"), 4);
	senders_on(1);
	m = mails("ada@example.com", 4, 5000);
	assert_int_equal(json_array_size(m), 4);
	for (size_t i = 0; i < 4; i++) {
		if (strstr(part(m, i, "subject"), "Refund"))
			assert_non_null(strstr(part(m, i, "text"), "12.34 EUR"));
		else if (strstr(part(m, i, "subject"), "new order"))
			assert_non_null(strstr(part(m, i, "html"), "<b>Clay &amp; Co</b> has a new order, vor_1."));
		else
			assert_string_equal(part(m, i, "subject"), "Clay & Co may sell now");
	}
	json_decref(m);
}

static void wishes_are_kept(void **state)
{
	Events__V1__VendorOrderChanged vo = EVENTS__V1__VENDOR_ORDER_CHANGED__INIT;
	Events__V1__CartAbandoned cart = EVENTS__V1__CART_ABANDONED__INIT;
	json_t *m;

	(void)state;
	pg_fixture_sql(fx, "INSERT INTO notify.preference (user_id, order_mail) VALUES ('%s', false)", USER);
	vo.vendor_order_id = (char *)"vor_1";
	vo.order_id = (char *)ORDER;
	hand("vendor_order.shipped", "e1", &vo.base); /* names no user: the order does */
	cart.user_id = (char *)USER;
	cart.cart_id = (char *)"crt_1";
	hand("cart.abandoned", "e2", &cart.base); /* off unless asked for */
	place_order(ORDER, USER);		   /* owed */
	senders_on(1);
	m = mails("ada@example.com", 1, 5000);
	assert_string_equal(part(m, 0, "subject"), "Your order 1001");
	json_decref(m);
	WAIT_FOR(count("state = 'suppressed' AND reason = 'preference'") == 2, 5000);
	pg_fixture_sql(fx, "UPDATE notify.preference SET order_mail = true, cart_reminder = true");
	cart.cart_id = (char *)"crt_2";
	hand("cart.abandoned", "e3", &cart.base);
	vo.vendor_order_id = (char *)"vor_2";
	hand("vendor_order.shipped", "e4", &vo.base);
	m = mails("ada@example.com", 3, 5000);
	assert_int_equal(json_array_size(m), 3);
	json_decref(m);
}

static void refused_for_now_is_tried_again(void **state)
{
	json_t *m;

	(void)state;
	faults("{\"refuse\":{\"code\":451,\"times\":2}}");
	place_order(ORDER, USER);
	senders_on(1);
	m = mails("ada@example.com", 1, 8000);
	assert_int_equal(json_array_size(m), 1);
	json_decref(m);
	WAIT_FOR(count("state = 'sent'") == 1, 3000);
	assert_string_equal(
		pg_fixture_text(fx, "SELECT string_agg(outcome || coalesce(smtp_code, 0), ' ' ORDER BY attempt) FROM notify.delivery"),
		"deferred451 deferred451 sent250");
}

static void refused_for_good_fails(void **state)
{
	(void)state;
	world.email = "refuse-550@example.com";
	place_order(ORDER, USER);
	world.guest_email = NULL;
	senders_on(1);
	WAIT_FOR(count("state = 'failed' AND reason = 'rejected' AND attempts = 1") == 1, 5000);
	assert_string_equal(pg_fixture_text(fx, "SELECT outcome || smtp_code FROM notify.delivery"), "rejected550");
}

static void nobody_to_write_to_fails(void **state)
{
	(void)state;
	world.email = "not an address";
	place_order(ORDER, USER);
	senders_on(1);
	WAIT_FOR(count("state = 'failed' AND reason = 'no_address'") == 1, 5000);
	world.contact = E_NOT_FOUND;
	place_order("ord_2", USER);
	WAIT_FOR(count("state = 'failed' AND reason = 'no_user'") == 1, 5000);
	world.order = E_NOT_FOUND;
	place_order("ord_3", USER);
	WAIT_FOR(count("state = 'failed' AND reason = 'no_order'") == 1, 5000);
}

static void peers_and_server_away_only_delay(void **state)
{
	char nowhere[64];
	json_t *m;

	(void)state;
	snprintf(nowhere, sizeof(nowhere), "smtp://127.0.0.1:%d", free_port());
	svc.smtp.url = nowhere;
	place_order(ORDER, USER);
	senders_on(1);
	WAIT_FOR(pg_fixture_i64(fx, "SELECT count(*) FROM notify.delivery WHERE outcome = 'deferred'") >= 2, 8000);
	senders_off();
	svc.smtp.url = smtp_url;
	world.contact = E_UNAVAILABLE;
	senders_on(1);
	WAIT_FOR(pg_fixture_i64(fx, "SELECT count(*) FROM notify.delivery WHERE outcome = 'not_tried'") >= 2, 8000);
	assert_int_equal(count("state IN ('queued', 'sending')"), 1);
	world.contact = OK;
	m = mails("ada@example.com", 1, 8000);
	assert_int_equal(json_array_size(m), 1);
	json_decref(m);
}

static void too_old_is_given_up(void **state)
{
	(void)state;
	world.contact = E_UNAVAILABLE;
	place_order(ORDER, USER);
	pg_fixture_sql(fx, "UPDATE notify.message SET created_at = now() - interval '2 hours'");
	senders_on(1);
	WAIT_FOR(count("state = 'failed' AND reason = 'gave_up'") == 1, 5000);
}

/* ---- the answer to the data is lost ---- */

static int broken_fd;
static _Atomic int broken_mails;

static void say(int fd, const char *s)
{
	ssize_t n = write(fd, s, strlen(s));

	(void)n;
}

/* Speaks SMTP up to the final dot of the first mail, then hangs up without a word. Later mails are answered. */
static void broken_session(int fd)
{
	char line[4096];
	bool data = false;
	FILE *f = fdopen(fd, "r");

	say(fd, "220 broken.test\r\n");
	while (fgets(line, sizeof(line), f)) {
		if (data && strcmp(line, ".\r\n") == 0) {
			if (++broken_mails == 1)
				break;
			say(fd, "250 kept\r\n");
			data = false;
		} else if (data) {
			continue;
		} else if (strncmp(line, "DATA", 4) == 0) {
			say(fd, "354 go on\r\n");
			data = true;
		} else if (strncmp(line, "QUIT", 4) == 0) {
			say(fd, "221 bye\r\n");
		} else {
			say(fd, "250 OK\r\n");
		}
	}
	fclose(f);
}

static void *broken_server(void *arg)
{
	int fd;

	(void)arg;
	while ((fd = accept(broken_fd, NULL, NULL)) >= 0)
		broken_session(fd);
	return NULL;
}

static void an_unheard_answer_is_asked_again_later(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	char url[64];
	pthread_t t;

	(void)state;
	broken_fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(broken_fd, (struct sockaddr *)&a, n), 0);
	listen(broken_fd, 8);
	getsockname(broken_fd, (struct sockaddr *)&a, &n);
	snprintf(url, sizeof(url), "smtp://127.0.0.1:%d", ntohs(a.sin_port));
	pthread_create(&t, NULL, broken_server, NULL);
	svc.smtp.url = url;
	place_order(ORDER, USER);
	senders_on(1);
	WAIT_FOR(pg_fixture_i64(fx, "SELECT count(*) FROM notify.delivery WHERE outcome = 'unknown'") == 1, 5000);
	assert_int_equal(count("state = 'queued' AND reason = 'unknown' AND next_at > now() + interval '400 ms'"), 1);
	WAIT_FOR(count("state = 'sent' AND attempts = 2") == 1, 5000);
	assert_int_equal(broken_mails, 2);
	senders_off();
	shutdown(broken_fd, SHUT_RDWR);
	pthread_join(t, NULL);
	close(broken_fd);
}

/* ---- several senders, and dead ones ---- */

static void many_senders_send_each_mail_once(void **state)
{
	struct senders *first;
	char id[32];
	json_t *m;

	(void)state;
	for (int i = 0; i < 60; i++) {
		snprintf(id, sizeof(id), "ord_many%d", i);
		place_order(id, USER);
	}
	senders_on(3);
	first = mail_senders;
	senders_on(3); /* as a second process would */
	m = mails("ada@example.com", 60, 15000);
	json_decref(m);
	WAIT_FOR(count("state = 'sent' AND attempts = 1") == 60, 5000);
	senders_stop(first);
	m = mails("ada@example.com", 60, 0);
	assert_int_equal(json_array_size(m), 60);
	for (size_t i = 0; i < 60; i++)
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(header(m, i, "Message-ID"), header(m, j, "Message-ID"));
	json_decref(m);
}

static void a_dead_senders_mail_is_taken_over(void **state)
{
	json_t *m;

	(void)state;
	place_order(ORDER, USER);
	place_order("ord_2", USER);
	pg_fixture_sql(fx, "UPDATE notify.message SET state = 'sending', lease = 'dead:1', attempts = 1,"
			   " next_at = now() + CASE WHEN ref_id = 'ord_2' THEN interval '1 hour' ELSE interval '0' END");
	senders_on(2);
	m = mails("ada@example.com", 1, 5000);
	assert_int_equal(json_array_size(m), 1);
	assert_string_equal(header(m, 0, "Message-ID"), "<" ORDER ".order_placed@souk.example>");
	json_decref(m);
	sleep_ms(200);
	assert_int_equal(count("state = 'sending' AND lease = 'dead:1'"), 1); /* its lease still runs */
}

static void an_erased_user_is_not_written_to(void **state)
{
	Events__V1__UserErased u = EVENTS__V1__USER_ERASED__INIT;

	(void)state;
	place_order(ORDER, USER);
	pg_fixture_sql(fx, "INSERT INTO notify.preference (user_id) VALUES ('%s')", USER);
	u.user_id = (char *)USER;
	hand("user.erased", "e1", &u.base);
	assert_int_equal(count("state = 'suppressed' AND reason = 'erased' AND user_id IS NULL"), 1);
	assert_int_equal(pg_fixture_i64(fx, "SELECT count(*) FROM notify.preference"), 0);
	senders_on(1);
	sleep_ms(200);
	assert_int_equal(count("state = 'suppressed'"), 1);
}

static void old_mails_are_forgotten(void **state)
{
	struct err e = { 0 };
	struct pg *pg;

	(void)state;
	place_order(ORDER, USER);
	place_order("ord_2", USER);
	place_order("ord_3", USER);
	pg_fixture_sql(fx, "UPDATE notify.message SET state = 'sent', ended_at = now() - CASE WHEN ref_id = 'ord_2' THEN"
			   " interval '2 days' ELSE interval '1 hour' END WHERE ref_id <> 'ord_3'");
	assert_int_equal(pg_borrow(svc.pool, 0, &pg, &e), OK);
	assert_int_equal(notify_db_forget(pg, 1, 100, &e), OK);
	pg_return(pg);
	assert_int_equal(count("true"), 2);
	assert_int_equal(count("ref_id = 'ord_2'"), 0);
}

static void the_schema_is_in_order(void **state)
{
	struct err e = { 0 };
	struct pg *pg;

	(void)state;
	assert_string_equal(pg_fixture_unaudited(fx, "notify"), "");
	assert_int_equal(pg_connect(pg_fixture_dsn(fx), "test", &pg, &e), OK);
	if (pg_check_stmts(pg, notify_stmts, &e))
		fail_msg("%s", e.msg);
	pg_disconnect(pg);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_clean, rig_clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_schema_is_in_order),
		T(an_order_is_confirmed_once),
		T(a_guest_is_written_to_as_well),
		T(what_people_write_stays_text),
		T(the_language_is_the_persons),
		T(links_of_accounts),
		T(other_addresses),
		T(refunds_and_vendors),
		T(wishes_are_kept),
		T(refused_for_now_is_tried_again),
		T(refused_for_good_fails),
		T(nobody_to_write_to_fails),
		T(peers_and_server_away_only_delay),
		T(too_old_is_given_up),
		T(an_unheard_answer_is_asked_again_later),
		T(many_senders_send_each_mail_once),
		T(a_dead_senders_mail_is_taken_over),
		T(an_erased_user_is_not_written_to),
		T(old_mails_are_forgotten),
	};

	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
