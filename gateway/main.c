/* souk-gateway: REST in front of the daemons. */
#include <stdio.h>
#include <stdlib.h>

#include "common/admin.h"
#include "common/daemon.h"
#include "common/log.h"
#include "common/trace_export.h"
#include "gateway/serve_http.h"

/* --check: every row fits its proto, settings parse, keys are there. */
static int check(const struct gw_conf *conf, struct err *e)
{
	struct router *r;
	struct rpc_keys *keys;

	if (router_new(gateway_services, &r, e))
		return daemon_fail(e);
	router_free(r);
	if (rpc_keys_load(conf->keys_dir, "gateway", &keys, e))
		return daemon_fail(e);
	rpc_keys_free(keys);
	return EXIT_SUCCESS;
}

enum { MODE_OPENAPI = DAEMON_EXTRA };

static const struct daemon_mode_arg modes[] = {
	{ "--openapi", MODE_OPENAPI, false, "prints the OpenAPI document and exits" },
	{ NULL, 0, false, NULL },
};

static int print_openapi(struct err *e)
{
	struct router *r;
	struct buf b;

	if (router_new(gateway_services, &r, e))
		return daemon_fail(e);
	buf_init(&b, 8 << 20);
	openapi_make(&b, r);
	puts(buf_cstr(&b));
	buf_free(&b);
	router_free(r);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static struct gateway gw;
	struct gateway_front *front;
	struct rpc_keys *keys;
	struct admin *admin;
	struct gw_conf conf = { 0 };
	struct err e = { 0 };
	int mode = daemon_init_modes("gateway", argc, argv, modes);
	enum log_level level;

	if (mode == MODE_OPENAPI)
		return print_openapi(&e);
	if (conf_load(gateway_keys, &conf, &e))
		return daemon_fail(&e);
	if (mode == DAEMON_PRINT_CONFIG)
		return conf_print(gateway_keys, &conf), EXIT_SUCCESS;
	if (log_level_parse(conf.log_level, &level))
		log_set_level(level);
	if (mode == DAEMON_HEALTH)
		return gateway_health(conf.listen);
	if (mode == DAEMON_MIGRATE)
		return EXIT_SUCCESS; /* nothing to migrate: no schema */
	if (mode == DAEMON_CHECK)
		return check(&conf, &e);
	if (trace_export_start(conf.otlp_url, "gateway", &e) || rpc_keys_load(conf.keys_dir, "gateway", &keys, &e) ||
	    gateway_open(&gw, &conf, gateway_services, keys, &e) ||
	    admin_start(conf.admin_listen, &admin, &e) || gateway_start(&gw, &front, &e))
		return daemon_fail(&e);
	log_msg(LVL_INFO, "listening", LF_S("address", conf.listen), LF_I("port", gateway_port(front)));
	daemon_ready();
	daemon_wait_stop();
	gateway_stop(front, conf.drain_ms);
	trace_export_stop();
	admin_stop(admin);
	gateway_close(&gw);
	rpc_keys_free(keys);
	return daemon_end();
}
