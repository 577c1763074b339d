/* souk-sandbox: a stand-in for the payment provider. What it is told and how to use it: README.md
 * beside this file. */
#include "sandbox.h"
#include "server.h"

#include <civetweb.h>
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *why)
{
	fprintf(stderr, "souk-sandbox: %s\n", why);
	return EXIT_FAILURE;
}

int main(void)
{
	static struct sandbox sandbox; /* large, and alive as long as the process */
	struct config conf;
	struct server *server = NULL;
	char why[700] = "";
	sigset_t stop;
	int port = 0, got;

	if (!config_load(&conf, why, sizeof(why)))
		return fail(why);
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	pthread_sigmask(
		SIG_BLOCK, &stop, NULL); /* before any thread exists: only main waits for them */
	signal(SIGPIPE, SIG_IGN);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	mg_init_library(MG_FEATURES_DEFAULT);

	if (!sandbox_start(&sandbox, &conf, why, sizeof(why)) ||
		!server_start(&sandbox, &server, &port, why, sizeof(why))) {
		sandbox_release(&sandbox);
		return fail(why);
	}
	printf("listening %.*s:%d\n", (int)strcspn(conf.listen, ":"), conf.listen, port);
	fflush(stdout);
	sigwait(&stop, &got);

	sandbox_begin_stop(&sandbox);
	server_stop(server);
	sandbox_release(&sandbox);
	mg_exit_library();
	curl_global_cleanup();
	return EXIT_SUCCESS;
}
