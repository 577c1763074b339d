#include "common/httpc_addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/compiler.h"

static bool v4_public(uint32_t ip)
{
	static const struct {
		uint32_t net;
		unsigned bits;
	} closed[] = {
		{ 0x00000000, 8 },  /* this network */
		{ 0x0a000000, 8 },  /* private */
		{ 0x64400000, 10 }, /* shared by carriers */
		{ 0x7f000000, 8 },  /* loopback */
		{ 0xa9fe0000, 16 }, /* link-local, cloud metadata */
		{ 0xac100000, 12 }, /* private */
		{ 0xc0000000, 24 }, /* protocol assignments */
		{ 0xc0000200, 24 }, /* documentation */
		{ 0xc0586300, 24 }, /* 6to4 relays */
		{ 0xc0a80000, 16 }, /* private */
		{ 0xc6120000, 15 }, /* benchmarks */
		{ 0xc6336400, 24 }, /* documentation */
		{ 0xcb007100, 24 }, /* documentation */
		{ 0xe0000000, 3 },  /* multicast, reserved, broadcast */
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(closed); i++)
		if (!((ip ^ closed[i].net) >> (32 - closed[i].bits)))
			return false;
	return true;
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool v6_public(const uint8_t *ip)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b };

	if (!memcmp(ip, mapped, 12) || !memcmp(ip, nat64, 12))
		return v4_public(be32(ip + 12));
	if ((ip[0] & 0xe0) != 0x20) /* global unicast is 2000::/3 */
		return false;
	if (ip[0] == 0x20 && ip[1] == 0x02) /* 6to4 */
		return v4_public(be32(ip + 2));
	/* 2001::/23 is for protocols (Teredo among them), 2001:db8::/32 and 3fff::/20 for documentation */
	if (ip[0] == 0x20 && ip[1] == 0x01 && (ip[2] < 2 || (ip[2] == 0x0d && ip[3] == 0xb8)))
		return false;
	return !(ip[0] == 0x3f && ip[1] == 0xff && ip[2] < 0x10);
}

bool httpc_addr_public(const struct sockaddr *sa)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (sa->sa_family == AF_INET) {
		memcpy(&v4, sa, sizeof(v4));
		return v4_public(ntohl(v4.sin_addr.s_addr));
	}
	if (sa->sa_family == AF_INET6) {
		memcpy(&v6, sa, sizeof(v6));
		return v6_public(v6.sin6_addr.s6_addr);
	}
	return false;
}
