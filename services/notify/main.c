#include <stdlib.h>

#include "common/conf.h"
#include "common/migrate.h"
#include "common/rpc_client.h"
#include "common/rpc_server.h"
#include "common/service.h"
#include "services/notify/notify.h"
#include "services/notify/sender.h"

extern const struct migration notify_migrations[];

static const struct conf_key notify_keys[] = {
	DAEMON_KEYS(notify_conf, "NOTIFY", "7008", "7108", "7208"),
	CONF(notify_conf, identity_url, "IDENTITY_URL", "tcp://127.0.0.1:7001", 0, 0, 0, "where identity serves"),
	CONF(notify_conf, identity_bell_url, "IDENTITY_BELL_URL", "tcp://127.0.0.1:7101", 0, 0, 0, "identity's doorbell"),
	CONF(notify_conf, catalog_url, "CATALOG_URL", "tcp://127.0.0.1:7002", 0, 0, 0, "where catalog serves"),
	CONF(notify_conf, catalog_bell_url, "CATALOG_BELL_URL", "tcp://127.0.0.1:7102", 0, 0, 0, "catalog's doorbell"),
	CONF(notify_conf, inventory_url, "INVENTORY_URL", "tcp://127.0.0.1:7003", 0, 0, 0, "where inventory serves"),
	CONF(notify_conf, inventory_bell_url, "INVENTORY_BELL_URL", "tcp://127.0.0.1:7103", 0, 0, 0,
	     "inventory's doorbell"),
	CONF(notify_conf, cart_url, "CART_URL", "tcp://127.0.0.1:7004", 0, 0, 0, "where cart serves"),
	CONF(notify_conf, cart_bell_url, "CART_BELL_URL", "tcp://127.0.0.1:7104", 0, 0, 0, "cart's doorbell"),
	CONF(notify_conf, checkout_url, "CHECKOUT_URL", "tcp://127.0.0.1:7005", 0, 0, 0, "where checkout serves"),
	CONF(notify_conf, checkout_bell_url, "CHECKOUT_BELL_URL", "tcp://127.0.0.1:7105", 0, 0, 0, "checkout's doorbell"),
	CONF(notify_conf, smtp_url, "NOTIFY_SMTP_URL", "smtp://127.0.0.1:8025", 0, 300, CONF_REQUIRED,
	     "smtp://host:port, or smtps:// for TLS from the first byte"),
	CONF(notify_conf, smtp_user, "NOTIFY_SMTP_USER", "", 0, 0, 0, "empty: no sign-in"),
	CONF(notify_conf, smtp_password, "NOTIFY_SMTP_PASSWORD", "", 0, 0, CONF_SECRET, "with NOTIFY_SMTP_USER"),
	CONF_ENUM(notify_conf, smtp_tls, "NOTIFY_SMTP_TLS", "none", "none|try|required", 0, "STARTTLS on smtp://"),
	CONF(notify_conf, smtp_ca_file, "NOTIFY_SMTP_CA_FILE", "", 0, 0, 0, "certificates to trust; empty: the system's"),
	CONF(notify_conf, smtp_timeout_ms, "NOTIFY_SMTP_TIMEOUT_MS", "30000", 100, 600000, 0, "of one whole delivery"),
	CONF(notify_conf, from, "NOTIFY_FROM", "no-reply@souk.example", 3, 254, CONF_REQUIRED, "sender of every mail"),
	CONF(notify_conf, from_name, "NOTIFY_FROM_NAME", "Souk", 0, 100, 0, "name beside NOTIFY_FROM"),
	CONF(notify_conf, domain, "NOTIFY_DOMAIN", "souk.example", 1, 100, CONF_REQUIRED, "of Message-IDs and HELO"),
	CONF(notify_conf, shop_name, "NOTIFY_SHOP_NAME", "Souk", 1, 100, 0, "what the shop is called in mails"),
	CONF(notify_conf, shop_url, "NOTIFY_SHOP_URL", "http://127.0.0.1:8080", 1, 200, 0,
	     "where links lead; no slash at the end"),
	CONF(notify_conf, senders, "NOTIFY_SENDERS", "2", 1, 64, 0, "mails sent at once by this process"),
	CONF(notify_conf, poll_ms, "NOTIFY_POLL_MS", "500", 10, 60000, 0, "how often an idle sender looks"),
	CONF(notify_conf, retry_base_ms, "NOTIFY_RETRY_BASE_MS", "5000", 10, 3600000, 0, "first pause after a failure"),
	CONF(notify_conf, retry_max_s, "NOTIFY_RETRY_MAX_S", "900", 1, 86400, 0, "longest pause"),
	CONF(notify_conf, unknown_retry_s, "NOTIFY_UNKNOWN_RETRY_S", "600", 1, 86400, 0,
	     "pause when the server may have taken a mail without saying so"),
	CONF(notify_conf, give_up_h, "NOTIFY_GIVE_UP_H", "72", 1, 1000, 0, "age at which a mail counts as failed"),
	CONF(notify_conf, keep_days, "NOTIFY_KEEP_DAYS", "180", 1, 3650, 0, "how long ended mails stay listed"),
	CONF(notify_conf, hook_senders, "NOTIFY_HOOK_SENDERS", "2", 1, 64, 0, "webhooks delivered at once"),
	CONF(notify_conf, hook_timeout_ms, "NOTIFY_HOOK_TIMEOUT_MS", "10000", 100, 60000, 0, "of one webhook"),
	CONF(notify_conf, hook_retry_base_ms, "NOTIFY_HOOK_RETRY_BASE_MS", "5000", 10, 3600000, 0,
	     "first pause after a refused webhook"),
	CONF(notify_conf, hook_retry_max_s, "NOTIFY_HOOK_RETRY_MAX_S", "3600", 1, 86400, 0, "longest pause"),
	CONF(notify_conf, hook_give_up_h, "NOTIFY_HOOK_GIVE_UP_H", "72", 1, 1000, 0, "age at which a delivery failed"),
	CONF(notify_conf, hook_insecure, "NOTIFY_HOOK_INSECURE", "false", 0, 0, 0,
	     "webhooks may use http and private addresses: development only"),
	CONF_END,
};

struct peers {
	struct rpc_client *catalog, *inventory, *cart; /* whose events are pulled; nobody calls them */
};

static enum err_code open_peers(struct notify_svc *svc, const struct rpc_keys *keys, struct peers *p, struct err *e)
{
	const struct notify_conf *c = svc->conf;
	int ms = c->d.resolve_ms;

	if (rpc_client_open("notify", "identity", c->identity_url, ms, keys, &svc->identity, e) ||
	    rpc_client_open("notify", "checkout", c->checkout_url, ms, keys, &svc->checkout, e) ||
	    rpc_client_open("notify", "catalog", c->catalog_url, ms, keys, &p->catalog, e) ||
	    rpc_client_open("notify", "inventory", c->inventory_url, ms, keys, &p->inventory, e) ||
	    rpc_client_open("notify", "cart", c->cart_url, ms, keys, &p->cart, e))
		return e->code;
	return OK;
}

static void close_peers(struct notify_svc *svc, struct peers *p)
{
	struct rpc_client *all[] = { svc->identity, svc->checkout, p->catalog, p->inventory, p->cart };

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		rpc_client_close(all[i]);
}

static enum err_code open_outside(struct notify_svc *svc, struct err *e)
{
	const struct notify_conf *c = svc->conf;
	const struct httpc_conf http = { .max_handles = c->hook_senders, .queue = c->hook_senders,
					 .breaker_failures = 1000000, .breaker_open_ms = 1, /* one bad receiver is not all */
					 .https_only = !c->hook_insecure, .public_only = !c->hook_insecure };

	svc->smtp = (struct smtp_conf){ .url = c->smtp_url, .user = c->smtp_user, .password = c->smtp_password,
					.tls = c->smtp_tls, .ca_file = c->smtp_ca_file, .helo = c->domain,
					.timeout_ms = c->smtp_timeout_ms };
	if (keyring_load(c->d.keys_dir, "notify", &svc->keyring, e) || httpc_open(&http, &svc->http, e))
		return e->code;
	return OK;
}

static const struct service_def def = { "notify", notify_keys, notify_migrations, notify_stmts };

int main(int argc, char **argv)
{
	struct notify_conf conf = { 0 };
	struct notify_svc svc = { .conf = &conf };
	struct service base = { 0 };
	struct peers peers = { 0 };
	struct sender_job mail_job, hook_job;
	struct senders *mails = NULL, *hooks = NULL;
	struct rpc_server *server = NULL;
	struct inbox *inbox = NULL;
	struct timers *timers = NULL;
	struct err e = { 0 };
	int status;
	enum daemon_mode mode = daemon_init("notify", argc, argv);

	if (service_begin(&def, mode, &conf, &status))
		return status;
	if (open_outside(&svc, &e) || service_open(&def, &conf.d, &base, &e))
		return daemon_fail(&e);
	svc.pool = base.pool;
	if (open_peers(&svc, base.keys, &peers, &e))
		return daemon_fail(&e);
	struct inbox_source sources[] = { { "checkout", svc.checkout, conf.checkout_bell_url },
					  { "identity", svc.identity, conf.identity_bell_url },
					  { "catalog", peers.catalog, conf.catalog_bell_url },
					  { "inventory", peers.inventory, conf.inventory_bell_url },
					  { "cart", peers.cart, conf.cart_bell_url },
					  { 0 } };
	const struct inbox_conf in = { .consumer = "notify", .pool = svc.pool, .handlers = notify_inbox, .svc = &svc,
				       .sources = sources, .poll_ms = 1000, .lease_s = 10 };

	sender_mail_job(&conf, &mail_job);
	sender_hook_job(&conf, &hook_job);
	if (rpc_server_start(&conf.d, "notify", notify_services, base.keys, svc.pool, &svc, &server, &e) ||
	    inbox_start(&in, &inbox, &e) || timers_start(notify_jobs, svc.pool, &svc, &timers, &e) ||
	    senders_start(&mail_job, &svc, &mails, &e) || senders_start(&hook_job, &svc, &hooks, &e))
		return daemon_fail(&e);
	daemon_ready();
	(void)daemon_wait_stop();
	rpc_server_stop(server);
	inbox_stop(inbox);
	senders_stop(mails);
	senders_stop(hooks);
	timers_stop(timers);
	close_peers(&svc, &peers);
	service_close(&base);
	httpc_close(svc.http);
	keyring_free(svc.keyring);
	return daemon_end();
}
