#include "gateway/router.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.pb-c.h"
#include "gateway/json_pb.h"

struct router {
	struct compiled_route *routes; /* in buckets by number of segments, literal before variable */
	size_t n;
	size_t from[ROUTE_SEGMENTS_MAX + 2]; /* first route with that many segments */
};

/* "/a/b/" has an empty last segment, so it never equals "/a/b". False: too many. */
static bool split(const char *path, struct segment *seg, size_t *n_r)
{
	size_t n = 0;

	while (*path == '/') {
		if (n == ROUTE_SEGMENTS_MAX)
			return false;
		seg[n].s = ++path;
		seg[n].n = strcspn(path, "/");
		path += seg[n++].n;
	}
	*n_r = n;
	return true;
}

static enum err_code wrong(const struct route *r, struct err *e, const char *what)
{
	return err_set(e, E_INTERNAL, "common.internal", "route %s %s (%s): %s", r->method, r->path, r->rpc, what);
}

static const ProtobufCMethodDescriptor *method_of(const ProtobufCServiceDescriptor *d, const char *name)
{
	for (unsigned i = 0; i < d->n_methods; i++)
		if (!strcmp(d->methods[i].name, name))
			return &d->methods[i];
	return NULL;
}

static bool is_field(const ProtobufCMessageDescriptor *d, const char *name, size_t n)
{
	char text[64];

	snprintf(text, sizeof text, "%.*s", (int)n, name);
	return protobuf_c_message_descriptor_get_field_by_name(d, text) != NULL;
}

static enum err_code check_names(const struct compiled_route *c, struct err *e)
{
	const struct route *r = c->row;
	size_t vars = 0;

	for (size_t i = 0; i < c->n_seg; i++) {
		bool chooses = !strcmp(r->service, "*") && c->seg[i].n == 7 && !memcmp(c->seg[i].s, "service", 7);

		vars += c->var[i];
		if (c->var[i] && !chooses && !is_field(r->in, c->seg[i].s, c->seg[i].n))
			return wrong(r, e, "a path variable is no field of the request");
	}
	if (vars > ROUTE_VARS_MAX)
		return wrong(r, e, "too many path variables");
	for (const char *w = r->required; w && *w; w += strspn(w, " ")) {
		size_t n = strcspn(w, " ");

		if (!is_field(r->in, w, n))
			return wrong(r, e, "a required name is no field of the request");
		w += n;
	}
	return OK;
}

static enum err_code check_row(const struct compiled_route *c, const ProtobufCServiceDescriptor *d, struct err *e)
{
	const struct route *r = c->row;
	const ProtobufCMethodDescriptor *m = method_of(d, r->rpc);

	if (!strstr("GET POST PUT PATCH DELETE", r->method))
		return wrong(r, e, "unknown method");
	if (!strcmp(r->service, "gateway"))
		return OK; /* answered by platform.c */
	if (!m)
		return wrong(r, e, "no such method in the proto service block");
	if (m->input != r->in || (m->output != r->out && !(r->flags & ROUTE_STREAM_IMPORT)))
		return wrong(r, e, "in or out is not the message of the method");
	if (r->cache != CACHE_NONE && (strcmp(r->method, "GET") || r->auth > AUTH_OPTIONAL))
		return wrong(r, e, "only public GET answers are cached");
	if ((r->flags & ROUTE_RAW) && !is_field(r->in, "raw_body", 8))
		return wrong(r, e, "a raw route needs the field raw_body");
	if ((r->flags & ROUTE_IF_MATCH) && !is_field(r->in, "hdr_if_match", 12))
		return wrong(r, e, "If-Match needs the field hdr_if_match");
	if (!(r->flags & ROUTE_STREAM_IMPORT) && r->max_body > (1u << 20) - 4096)
		return wrong(r, e, "max_body is over 1 MiB - 4 KiB");
	return check_names(c, e);
}

static enum err_code compile(const struct route *row, const struct route_service *svc, struct compiled_route *c,
			     struct err *e)
{
	const ProtobufCServiceDescriptor *d = svc->desc;

	if (!strcmp(row->service, "*"))
		d = &common__v1__node__descriptor;
	memset(c, 0, sizeof *c);
	c->row = row;
	c->svc = svc;
	if (row->path[0] != '/' || !split(row->path, c->seg, &c->n_seg))
		return wrong(row, e, "malformed path");
	for (size_t i = 0; i < c->n_seg; i++) {
		struct segment *s = &c->seg[i];

		c->var[i] = s->n > 2 && s->s[0] == '{' && s->s[s->n - 1] == '}';
		if (c->var[i])
			*s = (struct segment){ s->s + 1, s->n - 2 };
		else if (!s->n || memchr(s->s, '{', s->n))
			return wrong(row, e, "malformed path");
	}
	snprintf(c->method, sizeof c->method, "%s/%s", d->name, row->rpc);
	return check_row(c, d, e);
}

static int by_shape(const void *pa, const void *pb)
{
	const struct compiled_route *a = pa, *b = pb;

	if (a->n_seg != b->n_seg)
		return a->n_seg < b->n_seg ? -1 : 1;
	for (size_t i = 0; i < a->n_seg; i++)
		if (a->var[i] != b->var[i])
			return a->var[i] ? 1 : -1;
	return strcmp(a->row->path, b->row->path);
}

/* Two rows that one request fits alike: the variables' names do not matter. */
static bool same_place(const struct compiled_route *a, const struct compiled_route *b)
{
	if (a->n_seg != b->n_seg || strcmp(a->row->method, b->row->method))
		return false;
	for (size_t i = 0; i < a->n_seg; i++) {
		if (a->var[i] != b->var[i])
			return false;
		if (!a->var[i] && (a->seg[i].n != b->seg[i].n || memcmp(a->seg[i].s, b->seg[i].s, a->seg[i].n)))
			return false;
	}
	return true;
}

static enum err_code finish(struct router *r, struct err *e)
{
	size_t i = 0;

	qsort(r->routes, r->n, sizeof *r->routes, by_shape);
	for (size_t seg = 0; seg <= ROUTE_SEGMENTS_MAX + 1; seg++) {
		while (i < r->n && r->routes[i].n_seg < seg)
			i++;
		r->from[seg] = i;
	}
	for (i = 0; i < r->n; i++) {
		r->routes[i].index = i;
		for (size_t j = i + 1; j < r->n && r->routes[j].n_seg == r->routes[i].n_seg; j++)
			if (same_place(&r->routes[i], &r->routes[j]))
				return wrong(r->routes[j].row, e, "another row has this method and path");
	}
	return OK;
}

enum err_code router_new(const struct route_service *services, struct router **r_r, struct err *e)
{
	struct router *r = calloc(1, sizeof *r);
	size_t n = 0;

	for (const struct route_service *s = services; s->name; s++)
		for (const struct route *row = s->rows; row->method; row++)
			n++;
	if (r)
		r->routes = calloc(n + 1, sizeof *r->routes);
	if (!r || !r->routes) {
		free(r);
		return err_set(e, E_INTERNAL, "common.internal", "out of memory");
	}
	for (const struct route_service *s = services; s->name; s++) {
		for (const struct route *row = s->rows; row->method; row++) {
			if (compile(row, s, &r->routes[r->n], e)) {
				router_free(r);
				return e->code;
			}
			r->n++;
		}
	}
	if (finish(r, e)) {
		router_free(r);
		return e->code;
	}
	*r_r = r;
	return OK;
}

void router_free(struct router *r)
{
	if (!r)
		return;
	free(r->routes);
	free(r);
}

size_t router_count(const struct router *r)
{
	return r->n;
}

const struct compiled_route *router_at(const struct router *r, size_t i)
{
	return &r->routes[i];
}

static bool fits(const struct compiled_route *c, const struct segment *seg)
{
	for (size_t i = 0; i < c->n_seg; i++) {
		if (c->var[i]) {
			if (!seg[i].n)
				return false;
		} else if (c->seg[i].n != seg[i].n || memcmp(c->seg[i].s, seg[i].s, seg[i].n)) {
			return false;
		}
	}
	return true;
}

static void take_vars(const struct compiled_route *c, const struct segment *seg, struct route_match *m)
{
	m->route = c;
	m->n_var = 0;
	for (size_t i = 0; i < c->n_seg; i++) {
		if (!c->var[i])
			continue;
		m->var[m->n_var] = seg[i];
		m->name[m->n_var] = c->seg[i].s;
		m->name_len[m->n_var++] = c->seg[i].n;
	}
}

enum route_found router_find(const struct router *r, const char *method, const char *path, struct route_match *m_r)
{
	enum route_found found = ROUTE_NO_PATH;
	struct segment seg[ROUTE_SEGMENTS_MAX];
	size_t n;

	if (!split(path, seg, &n))
		return found;
	if (!strcmp(method, "HEAD"))
		method = "GET";
	for (size_t i = r->from[n]; i < r->from[n + 1]; i++) {
		if (!fits(&r->routes[i], seg))
			continue;
		found = ROUTE_NO_METHOD;
		if (strcmp(r->routes[i].row->method, method))
			continue;
		take_vars(&r->routes[i], seg, m_r);
		return ROUTE_FOUND;
	}
	return found;
}

bool router_allow(const struct router *r, const char *path, struct buf *out)
{
	static const char *const methods[] = { "GET", "POST", "PUT", "PATCH", "DELETE" };
	struct route_match m;
	bool any = false;

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		if (router_find(r, methods[i], path, &m) != ROUTE_FOUND)
			continue;
		buf_str(out, any ? ", " : "");
		buf_str(out, i ? methods[i] : "GET, HEAD");
		any = true;
	}
	if (any)
		buf_str(out, ", OPTIONS");
	return any;
}
