/*
 * A service for tests of the messaging, not in proto/: echo.v1.Echo with rpc Get (read), Do (write) and Keyed (write
 * with a key). Each takes and gives a common.v1.Json whose text says what to do:
 *	"id"		the instance's name		"sleep N [text]"	N ms, then text
 *	"who"		the caller as seen		"left"			ms of deadline left
 *	"fail"		E_RULE with two details		"big N"			a reply of N characters
 *	"pending"	E_PENDING with a reply		anything else		itself
 */
#ifndef SOUK_TEST_ECHO_H
#define SOUK_TEST_ECHO_H

#include <stdatomic.h>

#include "common/rpc.h"

struct echo {
	const char *id;
	atomic_int executed;
	atomic_int running;
	int report_fd; /* > 0: one byte per execution, written when it begins */
};

extern const ProtobufCServiceDescriptor echo_descriptor;
extern const struct rpc_method echo_methods[];
extern const struct rpc_service echo_services[]; /* ends with {0} */

/* Pair keys for every name given (NULL-ended) to "echo". */
struct rpc_keys *echo_keys(const char *self, ...) __attribute__((sentinel));

#endif
