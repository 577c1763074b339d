/*
 * What the tests of notify share: a database, stand-ins for identity and checkout (in place of notify_remote.c), a real
 * SMTP server, and a way to hand events to the handlers. One per test program; everything static.
 */
#ifndef SOUK_TEST_NOTIFY_RIG_H
#define SOUK_TEST_NOTIFY_RIG_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "common/log.h"
#include "common/money.h"
#include "common/rpc_client.h"
#include "common/timeutil.h"
#include "events.pb-c.h"
#include "notify.pb-c.h"
#include "services/notify/notify.h"
#include "services/notify/notify_db.h"
#include "services/notify/notify_remote.h"
#include "services/notify/sender.h"
#include "support/pg_fixture.h"

extern char **environ;
extern const struct migration notify_migrations[];

#define USER "usr_01jd3k0000000000000000000a"
#define ORDER "ord_01jd3k0000000000000000000a"

static struct pg_fixture *fx;
static struct notify_conf conf;
static struct notify_svc svc = { .conf = &conf };
static struct arena *arena;

#define WAIT_FOR(cond, ms)                                                                         \
	do {                                                                                       \
		int64_t until_ = mono_ms() + (ms);                                                 \
		while (!(cond) && mono_ms() < until_)                                              \
			sleep_ms(10);                                                              \
		if (!(cond))                                                                       \
			fail_msg("not within %d ms: %s", (int)(ms), #cond);                        \
	} while (0)

/* ---- identity and checkout ---- */

static struct {
	const char *email, *name, *locale;	 /* of every user */
	const char *guest_email, *order_user;	 /* of every order */
	const char *link_email;			 /* whom a link goes to; NULL: the user */
	const char *title;			 /* of its first line */
	enum err_code contact, order, link;	 /* what the peer answers instead */
	int asked;
} world;

static void world_reset(void)
{
	memset(&world, 0, sizeof(world));
	world.email = "ada@example.com";
	world.name = "Ada Lovelace";
	world.locale = "en";
	world.order_user = USER;
	world.title = "Teapot";
}

static enum err_code refuse(struct call *c, enum err_code code)
{
	return err_set(&c->err, code,
		       code == E_NOT_FOUND ? "common.not_found" : code == E_GONE ? "common.gone" : "rpc.unavailable", "test");
}

enum err_code notify_remote_contact(struct call *c, const char *user_id, const char *before_link,
				    Identity__V1__Contact **out_r)
{
	Identity__V1__Contact *o = arena_alloc(c->arena, sizeof(*o));

	world.asked++;
	if (world.contact)
		return refuse(c, world.contact);
	identity__v1__contact__init(o);
	o->user_id = (char *)user_id;
	o->email = (char *)(before_link ? "before@example.com" : world.email);
	o->name = (char *)world.name;
	o->locale = (char *)world.locale;
	*out_r = o;
	return OK;
}

enum err_code notify_remote_link(struct call *c, const char *link_id, Identity__V1__Link **out_r)
{
	Identity__V1__Link *o = arena_alloc(c->arena, sizeof(*o));

	if (world.link)
		return refuse(c, world.link);
	identity__v1__link__init(o);
	o->token = arena_printf(c->arena, "tok-%s", link_id);
	o->email = (char *)world.link_email;
	o->has_expires_at = true;
	o->expires_at = wall_ms() + 24 * 3600000 - 1000;
	*out_r = o;
	return OK;
}

static Common__V1__Money *euros(struct arena *a, int64_t minor)
{
	struct money m;
	struct err e = { 0 };

	assert_int_equal(money_make(minor, "EUR", &m, &e), OK);
	return money_to_pb(a, m);
}

enum err_code notify_remote_order(struct call *c, const char *order_id, Checkout__V1__OrderForMail **out_r)
{
	Checkout__V1__OrderForMail *o = arena_alloc(c->arena, sizeof(*o));
	Checkout__V1__MailLine *l = arena_alloc(c->arena, sizeof(*l));

	if (world.order)
		return refuse(c, world.order);
	checkout__v1__order_for_mail__init(o);
	checkout__v1__mail_line__init(l);
	o->order_id = (char *)order_id;
	o->order_number = (char *)"1001";
	o->user_id = (char *)world.order_user;
	o->guest_email = (char *)world.guest_email;
	o->name = (char *)"Guest Person";
	o->subtotal = euros(c->arena, 5980);
	o->tax = euros(c->arena, 0);
	o->total = euros(c->arena, 6470);
	o->ship_to = (char *)"Ada Lovelace\n1 Road";
	l->title = (char *)world.title;
	l->has_qty = true;
	l->qty = 2;
	l->total = euros(c->arena, 5980);
	o->lines = arena_alloc(c->arena, sizeof(*o->lines));
	o->lines[0] = l;
	o->n_lines = 1;
	*out_r = o;
	return OK;
}

/* ---- events ---- */

struct handing {
	const struct inbox_handler *h;
	struct inbox_event ev;
};

static enum err_code hand_tx(struct pg *pg, void *arg, struct err *e)
{
	struct handing *x = arg;

	return x->h->fn(pg, arena, &x->ev, &svc, e);
}

static void hand(const char *type, const char *event_id, const ProtobufCMessage *msg)
{
	const struct pg_actor who = { "service:test", "req_test0001" };
	struct handing x = { .h = notify_inbox };
	struct err e = { 0 };

	while (x.h->type && strcmp(x.h->type, type) != 0)
		x.h++;
	assert_non_null(x.h->type);
	x.ev = (struct inbox_event){ .source = x.h->source, .event_id = event_id, .agg_type = "order", .agg_id = "1",
				     .type = type, .agg_version = 1, .occurred_at = wall_ms(), .msg = msg };
	if (pg_tx(svc.pool, mono_ms() + 5000, &who, hand_tx, &x, &e))
		fail_msg("%s: %s %s", type, e.slug, e.msg);
}

static inline void place_order(const char *order_id, const char *user_id)
{
	Events__V1__OrderPlaced m = EVENTS__V1__ORDER_PLACED__INIT;

	m.order_id = (char *)order_id;
	m.user_id = (char *)user_id;
	hand("order.placed", order_id, &m.base);
}

/* ---- SMTP ---- */

static pid_t catcher;
static int smtp_port, web_port;
static char catcher_dir[64], smtp_url[64];

static int free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
	getsockname(fd, (struct sockaddr *)&a, &n);
	close(fd);
	return ntohs(a.sin_port);
}

static int dial(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* One request to the mail catcher's web side; the body as JSON, NULL when there is none. */
static json_t *web(const char *method, const char *path, const char *body)
{
	static char reply[4 << 20];
	char head[600];
	int fd = dial(web_port);
	size_t n = 0;
	ssize_t got;
	char *at;

	if (fd < 0)
		return NULL;
	snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n", method, path,
		 strlen(body));
	assert_true(write(fd, head, strlen(head)) > 0);
	if (*body)
		assert_true(write(fd, body, strlen(body)) > 0);
	while (n < sizeof(reply) - 1 && (got = read(fd, reply + n, sizeof(reply) - 1 - n)) > 0)
		n += (size_t)got;
	close(fd);
	reply[n] = '\0';
	at = strstr(reply, "\r\n\r\n");
	return at ? json_loads(at + 4, 0, NULL) : NULL;
}

static void catcher_start(void)
{
	char smtp[40], page[40];
	char *argv[] = { (char *)"/usr/bin/python3", (char *)SOUK_SOURCE_DIR "/tests/support/mail_catcher.py", (char *)"--smtp", smtp,
			 (char *)"--web", page, (char *)"--dir", catcher_dir, NULL };
	json_t *ready;
	int64_t until = mono_ms() + 20000;

	snprintf(catcher_dir, sizeof(catcher_dir), "/tmp/souk-mail.XXXXXX");
	assert_non_null(mkdtemp(catcher_dir));
	smtp_port = free_port();
	web_port = free_port();
	snprintf(smtp, sizeof(smtp), "127.0.0.1:%d", smtp_port);
	snprintf(page, sizeof(page), "127.0.0.1:%d", web_port);
	assert_int_equal(posix_spawn(&catcher, "/usr/bin/python3", NULL, NULL, argv, environ), 0);
	while (!(ready = web("GET", "/readyz", "")) && mono_ms() < until)
		sleep_ms(20);
	assert_non_null(ready);
	json_decref(ready);
	snprintf(smtp_url, sizeof(smtp_url), "smtp://127.0.0.1:%d", smtp_port);
}

static void catcher_stop(void)
{
	char cmd_dir[80];

	kill(catcher, SIGTERM);
	waitpid(catcher, NULL, 0);
	for (const char *const *d = (const char *const[]){ "new", "tmp", NULL }; *d; d++) {
		snprintf(cmd_dir, sizeof(cmd_dir), "%s/%s", catcher_dir, *d);
		rmdir(cmd_dir);
	}
	rmdir(catcher_dir);
}

/* Mails to that address, at least n within ms; a new reference. */
static inline json_t *mails(const char *to, int n, int ms)
{
	char path[200];
	json_t *o, *data;

	snprintf(path, sizeof(path), "/api/messages?to=%s&count=%d&wait=%d&limit=1000", to, n, ms);
	o = web("GET", path, "");
	assert_non_null(o);
	data = json_incref(json_object_get(o, "data"));
	json_decref(o);
	return data;
}

static inline const char *part(json_t *list, size_t i, const char *name)
{
	const char *s = json_string_value(json_object_get(json_array_get(list, i), name));

	return s ? s : "";
}

static inline const char *header(json_t *list, size_t i, const char *name)
{
	const char *s = json_string_value(json_object_get(json_object_get(json_array_get(list, i), "headers"), name));

	return s ? s : "";
}

static inline void faults(const char *json)
{
	json_t *o = web("PUT", "/api/faults", json);

	assert_non_null(o);
	json_decref(o);
}

/* ---- the program ---- */

static struct senders *mail_senders;

static inline void senders_on(int threads)
{
	struct sender_job job;
	struct err e = { 0 };

	conf.senders = threads;
	sender_mail_job(&conf, &job);
	if (senders_start(&job, &svc, &mail_senders, &e))
		fail_msg("%s", e.msg);
}

static void senders_off(void)
{
	senders_stop(mail_senders);
	mail_senders = NULL;
}

static int rig_setup(void **state)
{
	(void)state;
	fx = pg_fixture_open("notify", notify_migrations);
	svc.pool = pg_fixture_pool(fx, notify_stmts, 6);
	arena = arena_new("test", 64 << 20);
	log_set_level(LVL_CRITICAL);
	catcher_start();
	conf = (struct notify_conf){ .from = "no-reply@souk.example", .from_name = "Souk", .domain = "souk.example",
				     .shop_name = "Souk", .shop_url = "http://shop.test", .poll_ms = 20, .smtp_timeout_ms = 5000,
				     .retry_base_ms = 50, .retry_max_s = 1, .unknown_retry_s = 1, .give_up_h = 1, .keep_days = 1,
				     .hook_senders = 2, .hook_timeout_ms = 2000, .hook_retry_base_ms = 50,
				     .hook_retry_max_s = 1, .hook_give_up_h = 1, .hook_insecure = true };
	svc.smtp = (struct smtp_conf){ .url = smtp_url, .user = "", .password = "", .tls = "none", .ca_file = "",
				       .helo = "souk.example", .timeout_ms = 5000 };
	return 0;
}

static int rig_teardown(void **state)
{
	json_t *o = web("DELETE", "/api/messages", "");

	(void)state;
	json_decref(o);
	catcher_stop();
	pg_pool_close(svc.pool);
	pg_fixture_close(fx);
	arena_free(arena);
	return 0;
}

static int rig_clean(void **state)
{
	json_t *o = web("DELETE", "/api/messages", "");

	(void)state;
	json_decref(o);
	faults("{}");
	senders_off();
	svc.smtp.url = smtp_url;
	pg_fixture_sql(fx, "DELETE FROM notify.message; DELETE FROM notify.preference; DELETE FROM notify.template;"
			   " DELETE FROM notify.vendor; DELETE FROM notify.webhook");
	world_reset();
	return 0;
}

/* ---- calls of the daemon's own methods ---- */

static const char *const admin_perms[] = { "admin.notify" };
static struct err last; /* of the last ask */

static const struct rpc_method *method(const char *name)
{
	const struct rpc_method *const *tables = notify_services[0].tables;

	for (; *tables; tables++)
		for (const struct rpc_method *m = *tables; m->name; m++)
			if (strcmp(m->name, name) == 0)
				return m;
	fail_msg("no method %s", name);
	return NULL;
}

/* As user_id (NULL: nobody), with admin.notify or not. The reply lives in the arena. */
static inline void *ask_as(const char *user_id, bool admin, const char *name, const ProtobufCMessage *in,
			   const ProtobufCMessageDescriptor *out_desc)
{
	ProtobufCMessage *out = arena_alloc(arena, out_desc->sizeof_message);
	struct call c = { 0 };

	out_desc->message_init(out);
	call_init_service(&c, "notify", arena, 10000);
	c.method = name;
	c.who = (struct principal){ .kind = user_id ? WHO_USER : WHO_ANONYMOUS, .user_id = user_id ? user_id : "",
				    .session_id = "ses_1", .audience = admin ? "admin" : "shop", .vendor_id = "",
				    .service = "", .perms = admin_perms, .n_perms = admin };
	c.pool = svc.pool;
	c.svc = &svc;
	c.out = out;
	err_clear(&last);
	if (method(name)->fn(&c, in, out))
		err_copy(&last, &c.err);
	return last.code ? NULL : out;
}
#define ASK(name, in, out) ask_as("usr_01jd3k0000000000000000admn", true, name, &(in)->base, &notify__v1__##out##__descriptor)

static inline int64_t count(const char *where)
{
	return pg_fixture_i64(fx, "SELECT count(*) FROM notify.message WHERE %s", where);
}

#endif
