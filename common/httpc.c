#include "common/httpc.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/httpc_addr.h"
#include "common/metrics.h"
#include "common/timeutil.h"

enum {
	CONNECT_MS = 3000,
	SLOW_BYTES = 16, /* a transfer of fewer bytes a second for SLOW_S is given up */
	SLOW_S = 10,
	IDLE_S = 60,	 /* a kept connection is not used again after that */
	REPLY_DEFAULT = 1 << 20,
	QUEUE_RETRY_MS = 1000,
	HEADERS_MAX = 64,
};

struct httpc {
	struct httpc_conf conf;
	char *ca_file;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t returned;
	CURL **idle; /* a stack: the last used has the freshest connection */
	int n_idle, n_open, waiting;
	int failures; /* calls in a row without an answer */
	int64_t open_until;
	bool trying;
	struct metric *answered, *not_sent, *unknown;
	struct metric *seconds;
};

struct transfer {
	const struct httpc *h;
	const struct httpc_request *req;
	struct arena *arena;
	struct httpc_reply reply;
	struct buf body;
	bool repeatable; /* may be sent again on a fresh connection */
	int sent;	 /* how often a request was about to go out */
	bool refused_address;
	char error[CURL_ERROR_SIZE];
};

/* ---- life ---- */

static void init_curl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

enum err_code httpc_open(const struct httpc_conf *conf, struct httpc **h_r, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_condattr_t attr;
	struct httpc *h;

	if (conf->max_handles < 1 || conf->queue < 0)
		return err_set(e, E_INVALID, "conf.invalid", "http client: %d handles, queue of %d", conf->max_handles,
			       conf->queue);
	if (conf->ca_file && access(conf->ca_file, R_OK))
		return err_set(e, E_INVALID, "conf.invalid", "CA file %s: %s", conf->ca_file, strerror(errno));
	pthread_once(&once, init_curl);
	h = calloc(1, sizeof(*h));
	if (!h || !(h->idle = calloc((size_t)conf->max_handles, sizeof(*h->idle))) ||
	    (conf->ca_file && !(h->ca_file = strdup(conf->ca_file))))
		abort();
	h->conf = *conf;
	pthread_mutex_init(&h->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&h->returned, &attr);
	pthread_condattr_destroy(&attr);
	h->seconds = metric_histogram("souk_httpc_seconds", "Time of outgoing HTTP calls", NULL);
	h->answered = metric_counter("souk_httpc_calls_total", "Outgoing HTTP calls", "outcome=\"answered\"");
	h->not_sent = metric_counter("souk_httpc_calls_total", "Outgoing HTTP calls", "outcome=\"not_sent\"");
	h->unknown = metric_counter("souk_httpc_calls_total", "Outgoing HTTP calls", "outcome=\"unknown\"");
	*h_r = h;
	return OK;
}

void httpc_close(struct httpc *h)
{
	if (!h)
		return;
	while (h->n_idle)
		curl_easy_cleanup(h->idle[--h->n_idle]);
	pthread_cond_destroy(&h->returned);
	pthread_mutex_destroy(&h->lock);
	free(h->ca_file);
	free(h->idle);
	free(h);
}

/* ---- handles and breaker ---- */

static enum err_code not_now(struct httpc *h, struct err *e, int retry_after_ms, const char *why)
{
	metric_add(h->not_sent, 1);
	e->retry_after_ms = retry_after_ms > 0 ? retry_after_ms : 1;
	return err_set(e, E_UNAVAILABLE, "httpc.not_sent", "%s", why);
}

/* Called with the lock held. False while the breaker is open and it is not this caller's turn to try. */
static bool breaker_lets_through(struct httpc *h)
{
	if (h->conf.breaker_failures <= 0 || h->failures < h->conf.breaker_failures)
		return true;
	if (h->trying || mono_ms() < h->open_until)
		return false;
	h->trying = true;
	return true;
}

/* Called with the lock held: waits for a handle until the deadline. */
static bool wait_handle(struct httpc *h, int64_t deadline)
{
	struct timespec ts = { deadline / 1000, deadline % 1000 * 1000000 };
	int rc = 0;

	h->waiting++;
	while (!h->n_idle && h->n_open == h->conf.max_handles && !rc)
		rc = pthread_cond_timedwait(&h->returned, &h->lock, &ts);
	h->waiting--;
	return h->n_idle || h->n_open < h->conf.max_handles;
}

static enum err_code take_handle(struct httpc *h, int64_t deadline, CURL **curl_r, struct err *e)
{
	CURL *curl = NULL;
	bool full, got = false;

	pthread_mutex_lock(&h->lock);
	if (!breaker_lets_through(h)) {
		pthread_mutex_unlock(&h->lock);
		return not_now(h, e, (int)(h->open_until - mono_ms()), "the other side does not answer, not asked again yet");
	}
	full = !h->n_idle && h->n_open == h->conf.max_handles && h->waiting >= h->conf.queue;
	if (!full && (got = wait_handle(h, deadline))) {
		if (h->n_idle)
			curl = h->idle[--h->n_idle];
		else
			h->n_open++;
	} else {
		h->trying = false;
	}
	pthread_mutex_unlock(&h->lock);
	if (!got)
		return not_now(h, e, QUEUE_RETRY_MS, full ? "the queue is full" : "no turn before the time was over");
	if (!curl && !(curl = curl_easy_init()))
		abort();
	*curl_r = curl;
	return OK;
}

enum verdict { ANSWERED, NO_ANSWER, OUR_FAULT };

static void give_handle(struct httpc *h, CURL *curl, enum verdict v)
{
	pthread_mutex_lock(&h->lock);
	h->idle[h->n_idle++] = curl;
	h->trying = false;
	if (v == ANSWERED)
		h->failures = 0;
	else if (v == NO_ANSWER && ++h->failures >= h->conf.breaker_failures)
		h->open_until = mono_ms() + h->conf.breaker_open_ms;
	pthread_cond_signal(&h->returned);
	pthread_mutex_unlock(&h->lock);
}

/* ---- curl's callbacks ---- */

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	buf_add(&t->body, data, size * n);
	return buf_over(&t->body) ? 0 : size * n;
}

static void take_header(struct transfer *t, const char *line, size_t len, const char *name, const char **out)
{
	size_t n = strlen(name);

	if (len <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
		return;
	for (n++; n < len && (line[n] == ' ' || line[n] == '\t');)
		n++;
	while (len > n && (line[len - 1] == '\r' || line[len - 1] == '\n' || line[len - 1] == ' '))
		len--;
	*out = arena_dup(t->arena, line + n, len - n);
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	size *= n;
	if (size > 5 && !memcmp(line, "HTTP/", 5)) { /* an answer begins; a 100 may have come before */
		t->reply.retry_after = t->reply.should_retry = t->reply.request_id = NULL;
		return size;
	}
	take_header(t, line, size, "Retry-After", &t->reply.retry_after);
	take_header(t, line, size, "Stripe-Should-Retry", &t->reply.should_retry);
	take_header(t, line, size, "Request-Id", &t->reply.request_id);
	return size;
}

/* Just before a request goes out. curl repeats by itself what fails on a kept connection; not what must not be. */
static int on_request(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	struct transfer *t = arg;

	(void)ip, (void)local_ip, (void)port, (void)local_port;
	if (t->sent && !t->repeatable)
		return CURL_PREREQFUNC_ABORT;
	t->sent++;
	return CURL_PREREQFUNC_OK;
}

/* Every address is judged when it is connected to, so a name cannot change its mind between check and use. */
static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *addr)
{
	struct transfer *t = arg;

	(void)purpose;
	if (t->h->conf.public_only && !httpc_addr_public(&addr->addr)) {
		t->refused_address = true;
		return CURL_SOCKET_BAD;
	}
	return socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
}

/* ---- a request ---- */

static bool is_token(const char *s)
{
	size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

	return n && n < 16 && !s[n];
}

static enum err_code check_request(const struct httpc_request *req, bool *keyed_r, struct err *e)
{
	size_t i;

	*keyed_r = false;
	if (!req->method || !is_token(req->method) || !req->url)
		return err_set(e, E_INTERNAL, "common.internal", "http request without a method or address");
	for (i = 0; req->headers && req->headers[i]; i++) {
		if (i == HEADERS_MAX || strpbrk(req->headers[i], "\r\n") || !strchr(req->headers[i], ':'))
			return err_set(e, E_INVALID, "common.invalid_input", "header %zu cannot be sent", i);
		*keyed_r = *keyed_r || !strncasecmp(req->headers[i], "Idempotency-Key:", 16);
	}
	return OK;
}

static struct curl_slist *header_list(const struct httpc_request *req)
{
	struct curl_slist *list = curl_slist_append(NULL, "Expect:"); /* no waiting for a 100 */
	size_t i;

	for (i = 0; req->headers && req->headers[i]; i++)
		list = curl_slist_append(list, req->headers[i]);
	return list;
}

static void set_safety(CURL *c, struct transfer *t, int64_t timeout_ms)
{
	const struct httpc *h = t->h;

	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, h->conf.https_only ? "https" : "http,https");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (h->ca_file)
		curl_easy_setopt(c, CURLOPT_CAINFO, h->ca_file);
	curl_easy_setopt(c, CURLOPT_PROXY, ""); /* none from the environment */
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)(timeout_ms < CONNECT_MS ? timeout_ms : CONNECT_MS));
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, (long)SLOW_BYTES);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)SLOW_S);
	curl_easy_setopt(c, CURLOPT_MAXAGE_CONN, (long)IDLE_S);
	curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(c, CURLOPT_PREREQFUNCTION, on_request);
	curl_easy_setopt(c, CURLOPT_PREREQDATA, t);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, t);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, t->error);
}

static void set_request(CURL *c, struct transfer *t, struct curl_slist *headers)
{
	const struct httpc_request *req = t->req;
	const bool head = !strcmp(req->method, "HEAD");

	curl_easy_setopt(c, CURLOPT_URL, req->url);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	if (req->body.len || !strcmp(req->method, "POST") || !strcmp(req->method, "PUT")) {
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body.len);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, req->body.len ? req->body.data : "");
	}
	if (head)
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	else
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, req->method);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
}

static bool our_fault(const struct transfer *t, CURLcode rc)
{
	return t->refused_address || buf_over(&t->body) || rc == CURLE_URL_MALFORMAT ||
	       rc == CURLE_UNSUPPORTED_PROTOCOL || rc == CURLE_OUT_OF_MEMORY;
}

static enum err_code failed(struct httpc *h, const struct transfer *t, CURLcode rc, struct err *e)
{
	const char *why = t->refused_address	? "the address is not public"
			  : buf_over(&t->body) ? "the reply is too large"
			  : *t->error		? t->error
						: curl_easy_strerror(rc);

	metric_add(t->sent ? h->unknown : h->not_sent, 1);
	return err_set(e, E_UNAVAILABLE, t->sent ? "httpc.outcome_unknown" : "httpc.not_sent", "%s (curl %d)", why,
		       (int)rc);
}

static enum err_code finish(struct httpc *h, struct transfer *t, CURL *curl, CURLcode rc, struct httpc_reply *r,
			    struct err *e)
{
	long status = 0;

	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (rc || status < 200) {
		give_handle(h, curl, our_fault(t, rc) ? OUR_FAULT : NO_ANSWER);
		return failed(h, t, rc, e);
	}
	give_handle(h, curl, ANSWERED);
	metric_add(h->answered, 1);
	t->reply.status = (int)status;
	t->reply.body = (struct pg_bytes){ arena_dup(t->arena, buf_cstr(&t->body), t->body.len), t->body.len };
	*r = t->reply;
	return OK;
}

enum err_code httpc_do(struct httpc *h, const struct httpc_request *req, struct arena *a, struct httpc_reply *r,
		       struct err *e)
{
	struct transfer t = { .h = h, .req = req, .arena = a };
	int64_t start = mono_ms(), deadline = start + req->timeout_ms, left;
	struct curl_slist *headers;
	CURL *curl;
	CURLcode rc;
	bool keyed;

	if (pg_in_tx())
		return err_set(e, E_INTERNAL, "common.internal", "http call inside a transaction");
	if (check_request(req, &keyed, e) || take_handle(h, deadline, &curl, e))
		return e->code;
	left = deadline - mono_ms();
	t.repeatable = keyed || !strcmp(req->method, "GET") || !strcmp(req->method, "HEAD");
	buf_init(&t.body, req->max_reply ? req->max_reply : REPLY_DEFAULT);
	headers = header_list(req);
	curl_easy_reset(curl); /* keeps connections, sessions and names */
	set_safety(curl, &t, left > 1 ? left : 1);
	set_request(curl, &t, headers);
	rc = curl_easy_perform(curl);
	curl_slist_free_all(headers);
	metric_observe(h->seconds, (double)(mono_ms() - start) / 1e3);
	if (finish(h, &t, curl, rc, r, e)) {
		buf_free(&t.body);
		return e->code;
	}
	buf_free(&t.body);
	return OK;
}
