/* The OpenAPI 3.1 document, from the route table and the descriptors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/gateway.h"
#include "gateway/json_pb.h"

enum { MESSAGES_MAX = 512 };

struct doc {
	struct buf *b;
	const struct router *r;
	const ProtobufCMessageDescriptor *msg[MESSAGES_MAX]; /* that a reference names */
	size_t n_msg;
};

static void str(struct doc *d, const char *s)
{
	buf_str(d->b, s);
}

static void quoted(struct doc *d, const char *s)
{
	buf_json_str(d->b, s);
}

/* A comma unless something was just opened. */
static void sep(struct doc *d)
{
	char last = d->b->len ? d->b->data[d->b->len - 1] : '{';

	if (last != '{' && last != '[')
		buf_char(d->b, ',');
}

static void key(struct doc *d, const char *name)
{
	sep(d);
	quoted(d, name);
	buf_char(d->b, ':');
}

static void refer(struct doc *d, const ProtobufCMessageDescriptor *m)
{
	size_t i = 0;

	while (i < d->n_msg && d->msg[i] != m)
		i++;
	if (i == d->n_msg && d->n_msg < MESSAGES_MAX)
		d->msg[d->n_msg++] = m;
	buf_fmt(d->b, "{\"$ref\":\"#/components/schemas/%s\"}", m->name);
}

/* ---- schemas ---- */

static void enum_schema(struct doc *d, const ProtobufCEnumDescriptor *en)
{
	char word[64];

	str(d, "{\"type\":\"string\",\"enum\":[");
	for (unsigned i = 0; i < en->n_values; i++) {
		jpb_enum_word(en, en->values[i].value, word);
		if (!word[0])
			continue;
		sep(d);
		quoted(d, word);
	}
	str(d, "]}");
}

static void value_schema(struct doc *d, const ProtobufCFieldDescriptor *f)
{
	const ProtobufCMessageDescriptor *m = f->descriptor;

	if (jpb_is_time(f)) {
		str(d, "{\"type\":\"string\",\"format\":\"date-time\"}");
		return;
	}
	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		str(d, "{\"type\":\"string\"}");
		break;
	case PROTOBUF_C_TYPE_BYTES:
		str(d, "{\"type\":\"string\",\"contentEncoding\":\"base64\"}");
		break;
	case PROTOBUF_C_TYPE_BOOL:
		str(d, "{\"type\":\"boolean\"}");
		break;
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_DOUBLE:
		str(d, "{\"type\":\"number\"}");
		break;
	case PROTOBUF_C_TYPE_ENUM:
		enum_schema(d, f->descriptor);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		if (!strcmp(m->name, "common.v1.Json"))
			str(d, "{\"type\":\"object\",\"additionalProperties\":true}");
		else
			refer(d, m);
		break;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		str(d, "{\"type\":\"integer\",\"minimum\":0,\"maximum\":4294967295}");
		break;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		str(d, "{\"type\":\"integer\",\"format\":\"int32\"}");
		break;
	default:
		str(d, "{\"type\":\"integer\",\"format\":\"int64\"}");
		break;
	}
}

static void field_schema(struct doc *d, const ProtobufCFieldDescriptor *f)
{
	if (f->label != PROTOBUF_C_LABEL_REPEATED) {
		value_schema(d, f);
		return;
	}
	str(d, "{\"type\":\"array\",\"items\":");
	value_schema(d, f);
	buf_char(d->b, '}');
}

static bool in_words(const char *words, const char *name)
{
	size_t n = strlen(name);

	while (words && *words) {
		size_t k = strcspn(words, " ");

		if (k == n && !memcmp(words, name, n))
			return true;
		words += k;
		words += strspn(words, " ");
	}
	return false;
}

static bool in_path(const struct compiled_route *c, const char *name)
{
	for (size_t i = 0; c && i < c->n_seg; i++)
		if (c->var[i] && c->seg[i].n == strlen(name) && !memcmp(c->seg[i].s, name, c->seg[i].n))
			return true;
	return false;
}

/* c NULL: the message as such; else the body of a route, without what the path gives. */
static void message_schema(struct doc *d, const ProtobufCMessageDescriptor *m, const struct compiled_route *c)
{
	bool any = false;

	str(d, "{\"type\":\"object\",\"properties\":{");
	for (unsigned i = 0; i < m->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->fields[i];

		if (jpb_hidden(f->name) || in_path(c, f->name))
			continue;
		key(d, f->name);
		field_schema(d, f);
	}
	buf_char(d->b, '}');
	for (unsigned i = 0; c && i < m->n_fields; i++) {
		const char *name = m->fields[i].name;

		if (!in_words(c->row->required, name) || in_path(c, name))
			continue;
		str(d, any ? "," : ",\"required\":[");
		quoted(d, name);
		any = true;
	}
	if (any)
		buf_char(d->b, ']');
	if (c)
		str(d, ",\"additionalProperties\":false");
	if (!strcmp(m->name, "common.v1.Money"))
		str(d, ",\"required\":[\"amount\",\"currency\"],\"description\":\"Minor units and an ISO 4217 code.\","
		       "\"examples\":[{\"amount\":1999,\"currency\":\"USD\"}]");
	buf_char(d->b, '}');
}

/* ---- operations ---- */

static bool has_field(const struct route *r, const char *name)
{
	return protobuf_c_message_descriptor_get_field_by_name(r->in, name) != NULL;
}

static bool takes_body(const struct compiled_route *c)
{
	const ProtobufCMessageDescriptor *m = c->row->in;

	if (c->row->method[0] != 'P')
		return false;
	if (c->row->flags & (ROUTE_RAW | ROUTE_STREAM_IMPORT))
		return true;
	for (unsigned i = 0; i < m->n_fields; i++)
		if (!jpb_hidden(m->fields[i].name) && !in_path(c, m->fields[i].name))
			return true;
	return false;
}

static void shared_parameter(struct doc *d, const char *name)
{
	sep(d);
	buf_fmt(d->b, "{\"$ref\":\"#/components/parameters/%s\"}", name);
}

static void parameter(struct doc *d, const ProtobufCFieldDescriptor *f, const char *where, bool required)
{
	sep(d);
	str(d, "{\"name\":");
	quoted(d, f->name);
	buf_fmt(d->b, ",\"in\":\"%s\",\"required\":%s,\"schema\":", where, required ? "true" : "false");
	field_schema(d, f);
	buf_char(d->b, '}');
}

static void parameters(struct doc *d, const struct compiled_route *c)
{
	const struct route *r = c->row;
	bool query = r->method[0] != 'P' || (r->flags & ROUTE_STREAM_IMPORT);

	key(d, "parameters");
	buf_char(d->b, '[');
	if (r->service[0] == '*')
		str(d, "{\"name\":\"service\",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":\"string\"}}");
	for (unsigned i = 0; i < r->in->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &r->in->fields[i];

		if (in_path(c, f->name))
			parameter(d, f, "path", true);
		else if (query && !jpb_hidden(f->name) && f->type != PROTOBUF_C_TYPE_MESSAGE)
			parameter(d, f, "query", in_words(r->required, f->name));
	}
	if (has_field(r, "hdr_if_match"))
		shared_parameter(d, r->flags & ROUTE_IF_MATCH ? "IfMatchRequired" : "IfMatch");
	if (has_field(r, "hdr_cart_token"))
		shared_parameter(d, "CartToken");
	if (has_field(r, "hdr_order_token"))
		shared_parameter(d, "OrderToken");
	if (has_field(r, "hdr_accept_language"))
		shared_parameter(d, "AcceptLanguage");
	if (strcmp(r->method, "GET") && !(r->flags & ROUTE_NO_IDEM) && strncmp(r->path, "/api/auth/", 10))
		shared_parameter(d, r->flags & ROUTE_IDEM_REQUIRED ? "IdempotencyKeyRequired" : "IdempotencyKey");
	if (!strcmp(r->method, "GET"))
		shared_parameter(d, "IfNoneMatch");
	buf_char(d->b, ']');
}

static void request_body(struct doc *d, const struct compiled_route *c)
{
	const struct route *r = c->row;

	key(d, "requestBody");
	buf_fmt(d->b, "{\"required\":%s,\"content\":{", r->required && *r->required ? "true" : "false");
	if (r->flags & ROUTE_STREAM_IMPORT) {
		str(d, "\"text/csv\":{\"schema\":{\"type\":\"string\"}},"
		       "\"application/x-ndjson\":{\"schema\":{\"type\":\"string\"}}");
	} else if (r->flags & ROUTE_RAW) {
		str(d, "\"application/json\":{\"schema\":{\"type\":\"object\",\"additionalProperties\":true}}");
	} else {
		str(d, "\"application/json\":{\"schema\":");
		message_schema(d, r->in, c);
		buf_char(d->b, '}');
	}
	str(d, "}}");
}

static const int refusals[] = { 400, 401, 403, 404, 409, 410, 412, 413, 422, 428, 429, 500, 503 };

static void refusal(struct doc *d, int status)
{
	char name[8];

	snprintf(name, sizeof name, "%d", status);
	key(d, name);
	buf_fmt(d->b, "{\"$ref\":\"#/components/responses/E%d\"}", status);
}

static void answer(struct doc *d, const struct compiled_route *c, int status)
{
	const struct route *r = c->row;
	char name[8];

	snprintf(name, sizeof name, "%d", status);
	key(d, name);
	buf_fmt(d->b, "{\"description\":\"%s\"", status_text(status));
	str(d, ",\"headers\":{\"X-Request-Id\":{\"schema\":{\"type\":\"string\"}}");
	if (protobuf_c_message_descriptor_get_field_by_name(r->out, "hdr_etag") || !strcmp(r->method, "GET"))
		str(d, ",\"ETag\":{\"schema\":{\"type\":\"string\"}}");
	if (protobuf_c_message_descriptor_get_field_by_name(r->out, "hdr_location"))
		str(d, ",\"Location\":{\"schema\":{\"type\":\"string\"}}");
	buf_char(d->b, '}');
	if (status != 204 && !strcmp(r->rpc, "docs")) {
		str(d, ",\"content\":{\"text/html\":{\"schema\":{\"type\":\"string\"}}}");
	} else if (status != 204 && status != 302) {
		buf_fmt(d->b, ",\"content\":{\"%s\":{\"schema\":", r->produces ? r->produces : "application/json");
		if (r->produces)
			str(d, "{\"type\":\"string\"}");
		else if (!strcmp(r->service, "gateway"))
			str(d, "{\"type\":\"object\",\"additionalProperties\":true}");
		else
			refer(d, r->out);
		str(d, "}}");
	}
	buf_char(d->b, '}');
}

static bool among(const char *statuses, int status)
{
	char word[8];

	snprintf(word, sizeof word, "%d", status);
	return statuses && strstr(statuses, word);
}

static void success(struct doc *d, const struct compiled_route *c)
{
	const struct route *r = c->row;

	answer(d, c, r->status ? r->status : r->flags & ROUTE_STREAM_IMPORT ? 202 : 200);
	for (int status = 200; status < 300; status++)
		if (among(r->also, status))
			answer(d, c, status);
	if (!strcmp(r->method, "GET"))
		str(d, ",\"304\":{\"description\":\"Not Modified\"}");
}

/* Something named by the path, or a cart or order named by its token. */
static bool names_something(const struct route *r)
{
	return strchr(r->path, '{') || has_field(r, "hdr_cart_token") || has_field(r, "hdr_order_token");
}

/* Whether a route to a daemon may answer so. */
static bool refuses(const struct route *r, int status)
{
	bool changes = strcmp(r->method, "GET") != 0;

	switch (status) {
	case 410:
		return false;
	case 401:
		return r->auth != AUTH_NONE || r->rate == RATE_AUTH;
	case 403:
		return r->auth >= AUTH_VENDOR || (r->flags & ROUTE_COOKIE);
	case 404:
		return names_something(r);
	case 409:
	case 413:
	case 422:
		return changes;
	case 412:
		return changes && has_field(r, "hdr_if_match");
	case 428:
		return r->flags & ROUTE_IF_MATCH;
	default:
		return true;
	}
}

static void responses(struct doc *d, const struct compiled_route *c)
{
	const struct route *r = c->row;
	bool own = !strcmp(r->service, "gateway");

	key(d, "responses");
	buf_char(d->b, '{');
	success(d, c);
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
		if (among(r->also, refusals[i]) || (own ? refusals[i] == 503 : refuses(r, refusals[i])))
			refusal(d, refusals[i]);
	buf_char(d->b, '}');
}

static void security(struct doc *d, const struct route *r)
{
	key(d, "security");
	switch (r->auth) {
	case AUTH_NONE:
		str(d, r->flags & ROUTE_COOKIE ? "[{},{\"refreshCookie\":[]}]" : "[]");
		break;
	case AUTH_OPTIONAL:
		str(d, has_field(r, "hdr_cart_token") ? "[{},{\"bearer\":[]},{\"cartToken\":[]}]" :
							"[{},{\"bearer\":[]}]");
		break;
	default:
		str(d, "[{\"bearer\":[]}]");
		break;
	}
	if (r->perm) {
		key(d, "x-permission");
		quoted(d, r->perm);
	}
}

static void operation(struct doc *d, const struct compiled_route *c)
{
	const struct route *r = c->row;
	char method[8];
	size_t i;

	for (i = 0; r->method[i] && i < sizeof method - 1; i++)
		method[i] = (char)(r->method[i] | 0x20);
	method[i] = '\0';
	key(d, method);
	str(d, "{\"operationId\":");
	buf_fmt(d->b, "\"%s.%s", c->svc->name, r->rpc);
	/* One method may serve several places. */
	for (size_t k = 0; k < c->index; k++)
		if (router_at(d->r, k)->svc == c->svc && !strcmp(router_at(d->r, k)->row->rpc, r->rpc)) {
			buf_fmt(d->b, ".%zu", c->index);
			break;
		}
	buf_char(d->b, '"');
	if (r->doc) {
		key(d, "summary");
		quoted(d, r->doc);
	}
	key(d, "tags");
	buf_char(d->b, '[');
	quoted(d, r->tag ? r->tag : c->svc->name);
	buf_char(d->b, ']');
	security(d, r);
	parameters(d, c);
	if (takes_body(c))
		request_body(d, c);
	responses(d, c);
	buf_char(d->b, '}');
}

/* Rows of one path may be apart in the table, and variables be called otherwise: the first spelling counts. */
static bool first_of_path(const struct router *r, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (!strcmp(router_at(r, k)->row->path, router_at(r, i)->row->path))
			return false;
	return true;
}

static void paths(struct doc *d)
{
	key(d, "paths");
	buf_char(d->b, '{');
	for (size_t i = 0; i < router_count(d->r); i++) {
		const char *path = router_at(d->r, i)->row->path;

		if (!first_of_path(d->r, i))
			continue;
		key(d, path);
		buf_char(d->b, '{');
		for (size_t k = i; k < router_count(d->r); k++)
			if (!strcmp(router_at(d->r, k)->row->path, path))
				operation(d, router_at(d->r, k));
		buf_char(d->b, '}');
	}
	buf_char(d->b, '}');
}

/* ---- components ---- */

static void header_parameter(struct doc *d, const char *name, const char *header, bool required, const char *text)
{
	key(d, name);
	buf_fmt(d->b, "{\"name\":\"%s\",\"in\":\"header\",\"required\":%s,\"description\":", header,
		required ? "true" : "false");
	quoted(d, text);
	str(d, ",\"schema\":{\"type\":\"string\"}}");
}

static void shared_parameters(struct doc *d)
{
	key(d, "parameters");
	buf_char(d->b, '{');
	header_parameter(d, "IfMatch", "If-Match", false, "The ETag that was read; another state is 412.");
	header_parameter(d, "IfMatchRequired", "If-Match", true, "The ETag that was read; missing is 428, another state 412.");
	header_parameter(d, "IfNoneMatch", "If-None-Match", false, "The ETag at hand; still the same is 304.");
	header_parameter(d, "CartToken", "X-Cart-Token", false, "The token of a guest's cart.");
	header_parameter(d, "OrderToken", "X-Order-Token", false, "The token of a guest's order.");
	header_parameter(d, "AcceptLanguage", "Accept-Language", false, "The language of texts.");
	header_parameter(d, "IdempotencyKey", "Idempotency-Key", false,
			 "A random text; the same request with the same key has its effect once.");
	header_parameter(d, "IdempotencyKeyRequired", "Idempotency-Key", true,
			 "A random text; the same request with the same key has its effect once.");
	buf_char(d->b, '}');
}

static void error_schema(struct doc *d)
{
	const struct err_info *all;
	size_t n;

	key(d, "Error");
	str(d, "{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{\"error\":{\"type\":\"object\","
	       "\"required\":[\"code\",\"reason\",\"message\",\"details\",\"request_id\",\"timestamp\"],\"properties\":{"
	       "\"code\":{\"type\":\"string\",\"enum\":[");
	all = err_info_all(&n);
	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		while (k < i && strcmp(all[k].word, all[i].word))
			k++;
		if (k < i)
			continue;
		sep(d);
		quoted(d, all[i].word);
	}
	str(d, "]},\"reason\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"},"
	       "\"details\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"field\",\"message\"],"
	       "\"properties\":{\"field\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"},"
	       "\"value\":{\"type\":\"string\"}}}},\"request_id\":{\"type\":\"string\"},"
	       "\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}}}}}");
	key(d, "Problem");
	str(d, "{\"type\":\"object\",\"description\":\"RFC 9457, when Accept asks for it.\",\"properties\":{"
	       "\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},\"status\":{\"type\":\"integer\"},"
	       "\"code\":{\"type\":\"string\"},\"reason\":{\"type\":\"string\"},"
	       "\"details\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}},"
	       "\"request_id\":{\"type\":\"string\"},\"timestamp\":{\"type\":\"string\",\"format\":\"date-time\"}}}");
}

static void shared_responses(struct doc *d)
{
	key(d, "responses");
	buf_char(d->b, '{');
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		char name[8];

		snprintf(name, sizeof name, "E%d", refusals[i]);
		key(d, name);
		buf_fmt(d->b, "{\"description\":\"%s\",\"headers\":{\"X-Request-Id\":{\"schema\":{\"type\":\"string\"}}",
			status_text(refusals[i]));
		if (refusals[i] == 429 || refusals[i] == 503)
			str(d, ",\"Retry-After\":{\"schema\":{\"type\":\"integer\"}}");
		str(d, "},\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/Error\"}},"
		       "\"application/problem+json\":{\"schema\":{\"$ref\":\"#/components/schemas/Problem\"}}}}");
	}
	buf_char(d->b, '}');
}

static void schemas(struct doc *d)
{
	key(d, "schemas");
	buf_char(d->b, '{');
	error_schema(d);
	/* Writing one may name further ones, which come after it. */
	for (size_t i = 0; i < d->n_msg; i++) {
		key(d, d->msg[i]->name);
		message_schema(d, d->msg[i], NULL);
	}
	buf_char(d->b, '}');
}

static void components(struct doc *d)
{
	key(d, "components");
	buf_char(d->b, '{');
	schemas(d);
	shared_responses(d);
	shared_parameters(d);
	key(d, "securitySchemes");
	str(d, "{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\",\"bearerFormat\":\"JWT\"},"
	       "\"cartToken\":{\"type\":\"apiKey\",\"in\":\"header\",\"name\":\"X-Cart-Token\"},"
	       "\"refreshCookie\":{\"type\":\"apiKey\",\"in\":\"cookie\",\"name\":\"__Host-souk_rt\"}}");
	buf_char(d->b, '}');
}

static void reasons(struct doc *d)
{
	const struct err_info *all;
	size_t n;

	key(d, "x-reasons");
	buf_char(d->b, '[');
	all = err_info_all(&n);
	for (size_t i = 0; i < n; i++) {
		struct err e = { .code = all[i].code };

		snprintf(e.slug, sizeof e.slug, "%s", all[i].slug);
		sep(d);
		buf_fmt(d->b, "{\"reason\":\"%s\",\"code\":\"%s\",\"status\":%d,\"message\":", all[i].slug, all[i].word,
			error_status(&e));
		quoted(d, all[i].message);
		buf_char(d->b, '}');
	}
	buf_char(d->b, ']');
}

void openapi_make(struct buf *out, const struct router *r)
{
	struct doc *d = calloc(1, sizeof *d);

	if (!d)
		abort();
	d->b = out;
	d->r = r;
	str(d, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Souk\",\"version\":\"" SOUK_VERSION "\",\"description\":");
	quoted(d, "A shop with many vendors. JSON in and out; money is an integer of minor units with its currency; times are "
		  "UTC with milliseconds; lists are read with limit and cursor until next_cursor is absent.");
	str(d, "},\"servers\":[{\"url\":\"/\"}]");
	paths(d);
	components(d);
	reasons(d);
	buf_char(d->b, '}');
	free(d);
}
