/* Who the client is: networks of trusted proxies, X-Forwarded-For, and what counts as one client. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/http_fields.h"

enum { NETWORKS_MAX = 64 };

struct network {
	uint8_t addr[16]; /* IPv4 as ::ffff:a.b.c.d */
	int bits;	  /* of the 128 */
};

struct networks {
	size_t n;
	struct network list[NETWORKS_MAX];
};

static bool parse_addr(const char *s, uint8_t out[16], bool *v4_r)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct in_addr v4;

	if (inet_pton(AF_INET, s, &v4) == 1) {
		memcpy(out, mapped, 12);
		memcpy(out + 12, &v4, 4);
		*v4_r = true;
		return true;
	}
	if (inet_pton(AF_INET6, s, out) != 1)
		return false;
	*v4_r = !memcmp(out, mapped, 12);
	return true;
}

static bool parse_network(const char *s, size_t n, struct network *net)
{
	char text[64], *slash, *end;
	bool v4;
	long bits;

	if (n >= sizeof text)
		return false;
	memcpy(text, s, n);
	text[n] = '\0';
	slash = strchr(text, '/');
	if (slash)
		*slash++ = '\0';
	if (!parse_addr(text, net->addr, &v4))
		return false;
	bits = v4 ? 32 : 128;
	if (slash) {
		long max = bits;

		bits = strtol(slash, &end, 10);
		if (!*slash || *end || bits < 0 || bits > max)
			return false;
	}
	net->bits = (int)bits + (v4 ? 96 : 0);
	return true;
}

enum err_code networks_parse(const char *list, struct networks **n_r, struct err *e)
{
	struct networks *n = calloc(1, sizeof *n);

	if (!n)
		return err_set(e, E_INTERNAL, "common.internal", "out of memory");
	while (list && *(list += strspn(list, ", \t\n"))) {
		size_t len = strcspn(list, ", \t\n");

		if (n->n == NETWORKS_MAX || !parse_network(list, len, &n->list[n->n])) {
			free(n);
			return err_set(e, E_INVALID, "conf.invalid", "no network such as 10.0.0.0/8: %.*s", (int)len,
				       list);
		}
		n->n++;
		list += len;
	}
	*n_r = n;
	return OK;
}

void networks_free(struct networks *n)
{
	free(n);
}

static bool inside(const struct network *net, const uint8_t a[16])
{
	int whole = net->bits / 8, rest = net->bits % 8;

	if (memcmp(net->addr, a, (size_t)whole))
		return false;
	return !rest || !((net->addr[whole] ^ a[whole]) >> (8 - rest));
}

bool networks_has(const struct networks *n, const char *addr)
{
	uint8_t a[16];
	bool v4;

	if (!n->n || !parse_addr(addr, a, &v4))
		return false;
	for (size_t i = 0; i < n->n; i++)
		if (inside(&n->list[i], a))
			return true;
	return false;
}

/* The last entry of a comma list, which becomes shorter; false when it is empty or no address. */
static bool last_entry(const char *list, size_t *len, char out[ADDR_MAX])
{
	size_t from = *len, to = *len;
	uint8_t a[16];
	bool v4;

	while (from && list[from - 1] != ',')
		from--;
	*len = from ? from - 1 : 0;
	while (from < to && list[from] == ' ')
		from++;
	while (to > from && list[to - 1] == ' ')
		to--;
	if (to == from || to - from >= ADDR_MAX)
		return false;
	memcpy(out, list + from, to - from);
	out[to - from] = '\0';
	return parse_addr(out, a, &v4);
}

void client_address(const struct networks *n, const char *peer, const char *forwarded, char out[ADDR_MAX])
{
	size_t len = forwarded ? strlen(forwarded) : 0;
	char entry[ADDR_MAX];

	snprintf(out, ADDR_MAX, "%s", peer);
	if (!n->n)
		return;
	while (len && networks_has(n, out)) {
		if (!last_entry(forwarded, &len, entry))
			return;
		snprintf(out, ADDR_MAX, "%s", entry);
	}
}

void client_bucket(const char *addr, char out[ADDR_MAX])
{
	uint8_t a[16];
	bool v4;

	if (!parse_addr(addr, a, &v4)) {
		snprintf(out, ADDR_MAX, "unknown");
	} else if (v4) {
		inet_ntop(AF_INET, a + 12, out, ADDR_MAX);
	} else {
		memset(a + 8, 0, 8);
		inet_ntop(AF_INET6, a, out, ADDR_MAX);
	}
}
