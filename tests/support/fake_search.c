#include "tests/support/fake_search.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MAX (20 << 20)
#define HELD_MAX 64

struct fake_search {
	int fd, held[HELD_MAX], n_held; /* held: connections that get no answer */
	char url[64], auth[200], broken[64];
	int broken_status;
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows and all above but fd and url */
	enum fake_mode mode;
	json_t *indexes; /* by name: {"aliases": {}, "docs": {id: {"v": n, "src": {}}}, "gone": {id: n}} */
	int requests, faults;
};
struct request {
	char method[16], path[600];
	char *text, *body;
};

static void fault(struct fake_search *f, const char *why)
{
	f->faults++;
	fprintf(stderr, "fake search: %s\n", why);
}

/* The index of that name or alias. */
static json_t *index_of(struct fake_search *f, const char *name, const char **real_r)
{
	const char *key;
	json_t *v;

	json_object_foreach(f->indexes, key, v) {
		if (strcmp(key, name) == 0 || json_object_get(json_object_get(v, "aliases"), name)) {
			if (real_r)
				*real_r = key;
			return v;
		}
	}
	return NULL;
}

/* ---- bulk ---- */

static int write_one(struct fake_search *f, json_t *index, json_t *meta, json_t *doc)
{
	const char *id = json_string_value(json_object_get(meta, "_id"));
	const char *type = json_string_value(json_object_get(meta, "version_type"));
	json_int_t v = json_integer_value(json_object_get(meta, "version"));
	json_t *docs = json_object_get(index, "docs"), *gone = json_object_get(index, "gone");
	json_int_t have;

	if (!id || !type || strcmp(type, "external_gte") != 0 || v <= 0) {
		fault(f, "a bulk item without id and version");
		return 400;
	}
	if (*f->broken && strcmp(f->broken, id) == 0)
		return f->broken_status;
	have = json_integer_value(json_object_get(json_object_get(docs, id), "v"));
	if (json_integer_value(json_object_get(gone, id)) > have)
		have = json_integer_value(json_object_get(gone, id));
	if (v < have)
		return 409;
	if (doc) {
		json_object_set_new(docs, id, json_pack("{s:I, s:O}", "v", v, "src", doc));
		return 200;
	}
	json_object_set_new(gone, id, json_integer(v));
	return json_object_del(docs, id) ? 404 : 200;
}

static json_t *bulk(struct fake_search *f, struct request *q)
{
	json_t *items = json_array();
	char *save = NULL;

	if (!strstr(q->path, "require_alias=true"))
		fault(f, "a bulk write that could make an index");
	for (char *line = strtok_r(q->body, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		json_t *o = json_loads(line, 0, NULL), *gone = json_object_get(o, "delete");
		json_t *meta = gone ? gone : json_object_get(o, "index"), *doc = NULL, *index;
		const char *name = json_string_value(json_object_get(meta, "_index"));
		int status = 404;

		if (!gone && (line = strtok_r(NULL, "\n", &save)))
			doc = json_loads(line, 0, NULL);
		if (!name || (!gone && !doc))
			fault(f, "a broken line in a bulk write");
		index = name ? index_of(f, name, NULL) : NULL;
		if (index)
			status = write_one(f, index, meta, doc);
		json_array_append_new(items, json_pack("{s:{s:O?, s:i}}", gone ? "delete" : "index", "_id",
						       json_object_get(meta, "_id"), "status", status));
		if (!index)
			json_object_set_new(json_object_get(json_array_get(items, json_array_size(items) - 1),
							    gone ? "delete" : "index"),
					    "error", json_pack("{s:s}", "type", "index_not_found_exception"));
		json_decref(o);
		json_decref(doc);
	}
	return json_pack("{s:b, s:o}", "errors", 0, "items", items);
}

/* ---- searching ---- */

static bool has_word(const json_t *src, const char *word)
{
	const char *words = json_string_value(json_object_get(src, "words"));
	size_t n = strlen(word);

	for (const char *p = words; p && (p = strstr(p, word)); p++)
		if ((p == words || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
			return true;
	return false;
}

static bool matches(const json_t *q, const json_t *src)
{
	const json_t *b = json_object_get(q, "bool"), *m = json_object_get(q, "multi_match"), *v, *must, *should;
	json_int_t least = json_integer_value(json_object_get(b, "minimum_should_match"));
	size_t i;

	if (m)
		return has_word(src, json_string_value(json_object_get(m, "query")));
	must = json_object_get(b, "must");
	should = json_object_get(b, "should");
	if (json_is_object(must) && !matches(must, src))
		return false;
	if (json_is_array(must))
		json_array_foreach(must, i, v)
			if (!matches(v, src))
				return false;
	json_array_foreach(should, i, v)
		least -= matches(v, src);
	return least <= 0;
}

static json_t *search(struct fake_search *f, struct request *q, int *status)
{
	json_t *in = json_loads(q->body, 0, NULL), *hits = json_array(), *aggs = json_object(), *v, *index;
	json_t *sort = json_object_get(in, "sort"), *after = json_object_get(in, "search_after");
	json_int_t size = json_integer_value(json_object_get(in, "size"));
	const char *id, *name, *last = json_string_value(json_array_get(after, json_array_size(after) - 1));
	char alias[200] = "";

	(void)sscanf(q->path, "/%199[^/]", alias);
	index = index_of(f, alias, NULL);
	*status = index ? 200 : 404;
	if (!in || size > 500 || (size && !json_object_get(json_array_get(sort, json_array_size(sort) - 1), "product_id")))
		fault(f, "a search that is none, too large, or without a tie-breaker");
	json_object_foreach(json_object_get(index, "docs"), id, v) {
		json_t *src = json_object_get(v, "src");

		if ((json_int_t)json_array_size(hits) < size && matches(json_object_get(in, "query"), src) &&
		    (!last || strcmp(id, last) > 0))
			json_array_append_new(hits, json_pack("{s:s, s:O, s:[i, s]}", "_id", id, "_source", src, "sort", 1, id));
	}
	json_object_foreach(json_object_get(in, "aggs"), name, v)
		json_object_set_new(aggs, name, json_pack("{s:{s:[]}}", "values", "buckets"));
	json_decref(in);
	return json_pack("{s:b, s:{s:i}, s:{s:o}, s:o}", "timed_out", f->mode == FAKE_PARTIAL, "_shards", "failed", 0, "hits",
			 "hits", hits, "aggregations", aggs);
}

/* ---- indexes ---- */

static json_t *aliases(struct fake_search *f, struct request *q)
{
	json_t *in = json_loads(q->body, 0, NULL), *v;
	size_t i;

	json_array_foreach(json_object_get(in, "actions"), i, v) {
		json_t *add = json_object_get(v, "add"), *gone = json_object_get(v, "remove_index");
		json_t *index = index_of(f, json_string_value(json_object_get(add, "index")) ?: "", NULL);

		if (gone)
			json_object_del(f->indexes, json_string_value(json_object_get(gone, "index")));
		else if (index)
			json_object_set_new(json_object_get(index, "aliases"),
					    json_string_value(json_object_get(add, "alias")), json_object());
		else
			fault(f, "an alias of nothing");
	}
	json_decref(in);
	return json_pack("{s:b}", "acknowledged", 1);
}

static json_t *route(struct fake_search *f, struct request *q, int *status)
{
	const char *real = NULL, *name = q->path + 1;
	json_t *body, *o;

	*status = 200;
	if (strncmp(q->path, "/_bulk", 6) == 0)
		return bulk(f, q);
	if (strcmp(q->path, "/_aliases") == 0)
		return aliases(f, q);
	if (strncmp(q->path, "/_alias/", 8) == 0) {
		if (index_of(f, q->path + 8, &real))
			return json_pack("{s:{}}", real);
	} else if (strstr(q->path, "/_search")) {
		return search(f, q, status);
	} else if (strstr(q->path, "/_refresh")) {
		return json_object();
	} else if (strcmp(q->method, "PUT") == 0) {
		body = json_loads(q->body, 0, NULL);
		o = json_object_get(body, "aliases");
		if (!json_is_false(json_object_get(json_object_get(body, "mappings"), "dynamic")) || !json_is_object(o))
			fault(f, "an index without mapping");
		json_object_set_new(f->indexes, name, json_pack("{s:O, s:{}, s:{}}", "aliases", o, "docs", "gone"));
		json_decref(body);
		return json_object();
	} else if (strcmp(q->method, "DELETE") == 0 && json_object_del(f->indexes, name) == 0) {
		return json_object();
	}
	*status = 404;
	return json_object();
}

/* ---- HTTP ---- */

static bool read_request(int fd, struct request *q)
{
	size_t n = 0, want = 0;
	ssize_t got;
	char *end = NULL, *length;

	q->text = calloc(1, REQUEST_MAX + 1);
	if (!q->text)
		abort();
	while (n < REQUEST_MAX && (got = recv(fd, q->text + n, REQUEST_MAX - n, 0)) > 0) {
		n += (size_t)got;
		q->text[n] = '\0';
		if (!end && (end = strstr(q->text, "\r\n\r\n"))) {
			length = strcasestr(q->text, "content-length:");
			want = (size_t)(end + 4 - q->text) + (length && length < end ? strtoul(length + 15, NULL, 10) : 0);
			if (strcasestr(q->text, "expect: 100-continue"))
				(void)!write(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
		}
		if (end && n >= want)
			break;
	}
	if (!end || n < want || sscanf(q->text, "%15s %599s", q->method, q->path) != 2)
		return false;
	q->body = end + 4;
	return true;
}

static void reply(int fd, int status, const char *body, size_t n)
{
	char head[160];
	int len = snprintf(head, sizeof(head),
			   "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
			   status, n);

	if (send(fd, head, (size_t)len, MSG_NOSIGNAL) == len)
		while (n > 0) {
			ssize_t k = send(fd, body, n, MSG_NOSIGNAL);

			if (k <= 0)
				break;
			body += k;
			n -= (size_t)k;
		}
	(void)shutdown(fd, SHUT_WR);
	close(fd);
}

static void serve(struct fake_search *f, int fd, struct request *q)
{
	static const int status_of[] = { [FAKE_BUSY] = 503, [FAKE_TOO_MANY] = 429, [FAKE_DENIED] = 401 };
	int status = 200;
	json_t *o;
	char *text;

	f->requests++;
	if (f->mode == FAKE_SILENT && f->n_held < HELD_MAX) {
		f->held[f->n_held++] = fd;
		return;
	}
	if (f->mode == FAKE_BUSY || f->mode == FAKE_TOO_MANY || f->mode == FAKE_DENIED) {
		reply(fd, status_of[f->mode], "{}", 2);
		return;
	}
	if (*f->auth && !strstr(q->text, f->auth))
		fault(f, "a request by nobody");
	o = route(f, q, &status);
	text = json_dumps(o, JSON_COMPACT);
	reply(fd, status, text, f->mode == FAKE_TRUNCATED ? strlen(text) / 2 : strlen(text));
	free(text);
	json_decref(o);
}

static void *run(void *arg)
{
	struct fake_search *f = arg;
	int fd;

	while ((fd = accept(f->fd, NULL, NULL)) >= 0) {
		struct request q = { 0 };

		pthread_mutex_lock(&f->lock);
		if (read_request(fd, &q))
			serve(f, fd, &q);
		else
			close(fd);
		pthread_mutex_unlock(&f->lock);
		free(q.text);
	}
	return NULL;
}

struct fake_search *fake_search_start(const char *authorization)
{
	struct fake_search *f = calloc(1, sizeof(*f));
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);

	if (!f || (f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0 ||
	    bind(f->fd, (struct sockaddr *)&at, sizeof(at)) || listen(f->fd, 64) ||
	    getsockname(f->fd, (struct sockaddr *)&at, &n))
		abort();
	(void)snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%d", ntohs(at.sin_port));
	if (authorization)
		(void)snprintf(f->auth, sizeof(f->auth), "Authorization: %s\r\n", authorization);
	f->indexes = json_object();
	pthread_mutex_init(&f->lock, NULL);
	if (pthread_create(&f->thread, NULL, run, f))
		abort();
	return f;
}

static void let_go(struct fake_search *f)
{
	while (f->n_held > 0)
		close(f->held[--f->n_held]);
}

void fake_search_stop(struct fake_search *f)
{
	(void)shutdown(f->fd, SHUT_RDWR);
	(void)pthread_join(f->thread, NULL);
	close(f->fd);
	let_go(f);
	json_decref(f->indexes);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

const char *fake_search_url(const struct fake_search *f)
{
	return f->url;
}

void fake_search_mode(struct fake_search *f, enum fake_mode mode)
{
	pthread_mutex_lock(&f->lock);
	f->mode = mode;
	let_go(f);
	pthread_mutex_unlock(&f->lock);
}

void fake_search_break(struct fake_search *f, const char *id, int status)
{
	pthread_mutex_lock(&f->lock);
	(void)snprintf(f->broken, sizeof(f->broken), "%s", id);
	f->broken_status = status;
	pthread_mutex_unlock(&f->lock);
}

void fake_search_wipe(struct fake_search *f)
{
	pthread_mutex_lock(&f->lock);
	json_object_clear(f->indexes);
	pthread_mutex_unlock(&f->lock);
}

int64_t fake_search_version(struct fake_search *f, const char *alias, const char *id)
{
	json_t *doc;
	int64_t v;

	pthread_mutex_lock(&f->lock);
	doc = json_object_get(json_object_get(index_of(f, alias, NULL), "docs"), id);
	v = doc ? json_integer_value(json_object_get(doc, "v")) : -1;
	pthread_mutex_unlock(&f->lock);
	return v;
}

static int counted(struct fake_search *f, const int *n)
{
	int v;

	pthread_mutex_lock(&f->lock);
	v = *n;
	pthread_mutex_unlock(&f->lock);
	return v;
}

int fake_search_indexes(struct fake_search *f)
{
	int n;

	pthread_mutex_lock(&f->lock);
	n = (int)json_object_size(f->indexes);
	pthread_mutex_unlock(&f->lock);
	return n;
}

int fake_search_requests(struct fake_search *f)
{
	return counted(f, &f->requests);
}

int fake_search_faults(struct fake_search *f)
{
	return counted(f, &f->faults);
}
