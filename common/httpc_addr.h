/* Which addresses a request that somebody else named may go to. */
#ifndef SOUK_HTTPC_ADDR_H
#define SOUK_HTTPC_ADDR_H

#include <stdbool.h>
#include <sys/socket.h>

/*
 * False for everything that is not a public unicast address: loopback, private, link-local, shared, documentation,
 * multicast, reserved; also when such an IPv4 address hides in an IPv6 one (mapped, NAT64, 6to4).
 */
bool httpc_addr_public(const struct sockaddr *sa);

#endif
