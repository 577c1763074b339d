/* The notify daemon's inside: its settings, its state, and the tables of its handler files. */
#ifndef SOUK_NOTIFY_H
#define SOUK_NOTIFY_H

#include "common/crypto.h"
#include "common/daemon.h"
#include "common/httpc.h"
#include "common/inbox.h"
#include "common/rpc.h"
#include "common/timer.h"
#include "services/notify/notify_smtp.h"

struct notify_conf {
	struct daemon_conf d;
	const char *identity_url, *identity_bell_url, *checkout_url, *checkout_bell_url;
	const char *catalog_url, *catalog_bell_url, *inventory_url, *inventory_bell_url, *cart_url, *cart_bell_url;
	/* mail */
	const char *smtp_url, *smtp_user, *smtp_password, *smtp_tls, *smtp_ca_file;
	int smtp_timeout_ms;
	const char *from, *from_name, *domain; /* domain: of Message-ID and HELO */
	const char *shop_name, *shop_url;
	int senders, poll_ms;
	int retry_base_ms, retry_max_s, unknown_retry_s, give_up_h, keep_days;
	/* webhooks */
	int hook_senders, hook_timeout_ms, hook_retry_base_ms, hook_retry_max_s, hook_give_up_h;
	bool hook_insecure; /* http and private addresses allowed: development and tests */
};

struct notify_svc {
	const struct notify_conf *conf;
	struct smtp_conf smtp;
	struct pg_pool *pool;
	struct keyring *keyring; /* seals webhook secrets */
	struct httpc *http;	 /* webhooks */
	struct rpc_client *identity, *checkout;
};

extern const struct rpc_method notify_preference_methods[];
extern const struct rpc_method notify_template_methods[];
extern const struct rpc_method notify_message_methods[];
extern const struct rpc_method notify_webhook_methods[];
extern const struct rpc_method notify_webhook_delivery_methods[];

extern const struct pg_stmt *const *const notify_stmts[];
extern const struct rpc_service notify_services[];
extern const struct inbox_handler notify_inbox[];
extern const struct timer_job notify_jobs[];

#endif
