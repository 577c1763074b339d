/*
 * What a request looks like before anything believes it: lines "method", "path", "query", "version", then headers as
 * "name: value". Whatever the guard lets through has a path that decodes without surprises, exactly one Host in
 * HTTP/1.1, and one way to say how long the body is. The parsers of single header fields run on the values.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/http_fields.h"
#include "gateway/http_req.h"
#include "gateway/router.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *line(char **at)
{
	char *s = *at, *end;

	if (!s)
		return NULL;
	end = strchr(s, '\n');
	if (end)
		*end++ = '\0';
	*at = end;
	return s;
}

static void believed(const struct http_req *r)
{
	char *text = malloc(strlen(r->path) + 1);
	size_t n;

	if (!text || !http_percent_decode(r->path, strlen(r->path), text, &n, false))
		abort();
	if (strlen(text) != n || strstr(text, "//") || strstr(text, "/../") || strstr(text, "/./"))
		abort();
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == '\\')
			abort();
	free(text);
	if (!strcmp(r->version, "1.1") && r->count[H_HOST] != 1)
		abort();
	if (r->count[H_CONTENT_LENGTH] + r->count[H_TRANSFER_ENCODING] > 1 || (r->has_length && r->chunked) || r->length < 0)
		abort();
}

static void fields(const char *value)
{
	static struct networks *nets;
	char key[IDEM_KEY_MAX + 1], etag[ETAG_MAX], addr[ADDR_MAX], lang[16], cookie[128], set[700];
	struct cookie_conf conf = { .name = "souk_rt", .secure = true, .max_age_s = 1 };
	struct origins *o;
	struct err e = { 0 };

	if (!nets && networks_parse("10.0.0.0/8, ::1", &nets, &e))
		abort();
	if (!idem_key_parse(value, key, &e) && !key[0])
		abort();
	if (!if_match_parse(value, etag, &e) && !etag[0])
		abort();
	(void)none_match_hit(value, "W/\"abc\"");
	if (cookie_get(value, "souk_rt", cookie, sizeof cookie))
		cookie_set(&conf, cookie, set, sizeof set);
	cookie_set(&conf, value, set, sizeof set);
	if (strpbrk(set, "\r\n"))
		abort();
	best_language(value, lang);
	client_address(nets, "10.1.1.1", value, addr);
	client_bucket(addr, key);
	if (!origins_parse(value, &o, &e)) {
		(void)origin_allowed(o, value);
		origins_free(o);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct router *router;
	static struct http_req r;
	struct route_match m;
	struct err e = { 0 };
	char *text = malloc(size + 1), *at = text, *s;

	if (!text)
		abort();
	if (!router && router_new(gateway_services, &router, &e))
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	http_req_clear(&r);
	r.method = line(&at);
	r.path = line(&at);
	r.query = line(&at);
	r.version = line(&at);
	while ((s = line(&at))) {
		char *colon = strchr(s, ':');

		if (!colon)
			continue;
		*colon++ = '\0';
		fields(colon + strspn(colon, " "));
		if (!http_req_add(&r, s, colon + strspn(colon, " ")))
			break;
	}
	if (http_guard(&r, &e) == OK) {
		believed(&r);
		(void)router_find(router, r.method, r.path, &m);
	} else if (e.code != E_INVALID) {
		abort();
	}
	free(text);
	return 0;
}
