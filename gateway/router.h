/* The rows of all daemons as one table that finds a row by method and path. Immutable once built. */
#ifndef SOUK_GATEWAY_ROUTER_H
#define SOUK_GATEWAY_ROUTER_H

#include "common/buf.h"
#include "common/err.h"
#include "gateway/routes.h"

#define ROUTE_SEGMENTS_MAX 12
#define ROUTE_VARS_MAX 4

struct segment {
	const char *s;
	size_t n;
};

struct compiled_route {
	const struct route *row;
	const struct route_service *svc;
	struct segment seg[ROUTE_SEGMENTS_MAX]; /* of a variable: its name */
	bool var[ROUTE_SEGMENTS_MAX];
	size_t n_seg;
	size_t index; /* position in the table, for metrics */
	char method[96]; /* full rpc name, "cart.v1.Cart/AddItem" */
};

struct router;
/* Checks every row against its proto service block; the first wrong one is the error. services ends with {0}. */
MUST_CHECK enum err_code router_new(const struct route_service *services, struct router **r_r, struct err *e);
void router_free(struct router *);
size_t router_count(const struct router *);
const struct compiled_route *router_at(const struct router *, size_t i);

enum route_found { ROUTE_FOUND, ROUTE_NO_PATH, ROUTE_NO_METHOD };
struct route_match {
	const struct compiled_route *route;
	struct segment var[ROUTE_VARS_MAX]; /* raw, in the order of the template */
	const char *name[ROUTE_VARS_MAX];
	size_t name_len[ROUTE_VARS_MAX];
	size_t n_var;
};
/* HEAD finds GET rows. path is raw; the variables point into it. */
enum route_found router_find(const struct router *, const char *method, const char *path, struct route_match *m_r);
/* "GET, HEAD, POST, OPTIONS" of a path; false when the path is unknown. */
bool router_allow(const struct router *, const char *path, struct buf *out);

#endif
