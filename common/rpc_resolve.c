#include "common/rpc_resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static bool is_literal(const char *host)
{
	unsigned char bin[16];

	return inet_pton(AF_INET, host, bin) == 1 || inet_pton(AF_INET6, host, bin) == 1;
}

static bool copy_part(char *out, size_t size, const char *s, size_t len)
{
	if (!len || len >= size)
		return false;
	memcpy(out, s, len);
	out[len] = '\0';
	return true;
}

/* "host:port" or "[v6]:port" */
static bool parse_host_port(const char *s, size_t len, struct rpc_target *t)
{
	const char *end = s + len, *host = s, *host_end, *colon;

	if (len && *s == '[') {
		host++;
		host_end = memchr(host, ']', (size_t)(end - host));
		if (!host_end || host_end + 1 >= end || host_end[1] != ':')
			return false;
		colon = host_end + 1;
	} else {
		colon = host_end = memrchr(s, ':', len);
		if (!colon)
			return false;
	}
	if (!copy_part(t->host, sizeof(t->host), host, (size_t)(host_end - host)) ||
	    !copy_part(t->port, sizeof(t->port), colon + 1, (size_t)(end - colon - 1)))
		return false;
	t->literal = is_literal(t->host);
	return strspn(t->port, "0123456789") == strlen(t->port);
}

static bool parse_one(const char *s, size_t len, struct rpc_target *t)
{
	const char *sep = memmem(s, len, "://", 3);
	size_t rest;

	memset(t, 0, sizeof(*t));
	if (!sep || !copy_part(t->scheme, sizeof(t->scheme), s, (size_t)(sep - s)))
		return false;
	rest = len - (size_t)(sep + 3 - s);
	if (!strncmp(t->scheme, "tcp", 3) || !strncmp(t->scheme, "tls+tcp", 7))
		return parse_host_port(sep + 3, rest, t);
	if (strcmp(t->scheme, "ipc") != 0 && strcmp(t->scheme, "inproc") != 0)
		return false;
	t->literal = true;
	return copy_part(t->host, sizeof(t->host), sep + 3, rest);
}

enum err_code rpc_targets_parse(const char *urls, struct rpc_target out[RPC_URLS_MAX], size_t *n_r, struct err *e)
{
	const char *p = urls ? urls : "";
	size_t n = 0, len;

	for (; *p; p += len + (p[len] == ',')) {
		p += strspn(p, " ");
		len = strcspn(p, ",");
		if (n == RPC_URLS_MAX)
			return err_set(e, E_INVALID, "conf.invalid", "more than %d addresses", RPC_URLS_MAX);
		if (!parse_one(p, len, &out[n]))
			return err_set(e, E_INVALID, "conf.invalid", "not an address: %.*s", (int)len, p);
		n++;
	}
	if (!n)
		return err_set(e, E_INVALID, "conf.invalid", "no address is configured");
	*n_r = n;
	return OK;
}

int rpc_lookup_dns(const char *host, const char *port, struct rpc_addr *out, size_t max, void *arg)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC };
	struct addrinfo *list = NULL, *ai;
	char ip[INET6_ADDRSTRLEN];
	size_t n = 0;

	(void)arg;
	if (getaddrinfo(host, port, &hints, &list))
		return -1;
	for (ai = list; ai && n < max; ai = ai->ai_next) {
		if (ai->ai_family != AF_INET && ai->ai_family != AF_INET6)
			continue;
		if (getnameinfo(ai->ai_addr, ai->ai_addrlen, ip, sizeof(ip), NULL, 0, NI_NUMERICHOST))
			continue;
		snprintf(out[n++].url, RPC_URL_MAX, ai->ai_family == AF_INET6 ? "tcp://[%s]:%s" : "tcp://%s:%s", ip,
			 port);
	}
	freeaddrinfo(list);
	return n ? (int)n : -1;
}

int rpc_target_addrs(const struct rpc_target *t, rpc_lookup_fn *lookup, void *arg, struct rpc_addr *out, size_t max)
{
	if (!max)
		return 0;
	if (!t->literal)
		return lookup(t->host, t->port, out, max, arg);
	if (!*t->port)
		snprintf(out->url, RPC_URL_MAX, "%s://%s", t->scheme, t->host);
	else
		snprintf(out->url, RPC_URL_MAX, strchr(t->host, ':') ? "%s://[%s]:%s" : "%s://%s:%s", t->scheme, t->host,
			 t->port);
	return 1;
}
