#include "services/reco/shelf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/crypto.h"
#include "common/httpc.h"
#include "common/id.h"
#include "common/log.h"
#include "common/s3_presign.h"
#include "common/timeutil.h"

#define PIECE (8 << 20) /* of a file, fetched at once: a model need not fit into memory twice */
#define PUT_MS 300000
#define GET_MS 10000 /* of a piece: the timer that waits has other work, too */
#define VALID_S 600

struct shelf {
	const struct reco_conf *conf;
	struct httpc *http;
};

enum err_code shelf_open(const struct reco_conf *conf, struct shelf **r, struct err *e)
{
	const struct httpc_conf http = { .max_handles = 2, .queue = 4, .breaker_failures = 5, .breaker_open_ms = 5000 };
	struct shelf *s;

	*r = NULL;
	if (!conf->store_url || !*conf->store_url)
		return OK;
	if (!conf->store_access_key || !*conf->store_access_key || !conf->store_secret_key || !*conf->store_secret_key)
		return err_set(e, E_INVALID, "common.invalid_input",
			       "RECO_STORE_URL needs RECO_STORE_ACCESS_KEY and RECO_STORE_SECRET_KEY");
	s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	s->conf = conf;
	if (httpc_open(&http, &s->http, e)) {
		free(s);
		return e->code;
	}
	*r = s;
	return OK;
}

void shelf_close(struct shelf *s)
{
	if (!s)
		return;
	httpc_close(s->http);
	free(s);
}

static const char *file_of(const struct shelf *s, struct arena *a, const char *name)
{
	return arena_printf(a, "%s/%s", s->conf->model_dir, name);
}

static enum err_code ask(struct shelf *s, struct arena *a, const char *method, const char *name, const char *const *headers,
			 struct pg_bytes body, struct httpc_reply *reply, struct err *e)
{
	const struct s3_request r = { .method = method, .base_url = s->conf->store_url, .key = arena_printf(a, "models/%s", name),
				      .region = s->conf->store_region, .access_key = s->conf->store_access_key,
				      .secret_key = s->conf->store_secret_key, .expires_s = VALID_S, .now_ms = wall_ms() };
	struct httpc_request http = { .method = method, .headers = headers, .body = body,
				      .timeout_ms = body.len ? PUT_MS : GET_MS, .max_reply = PIECE + 65536 };

	if (s3_presign(a, &r, &http.url, e))
		return e->code;
	return httpc_do(s->http, &http, a, reply, e);
}

static enum err_code refused(const struct httpc_reply *r, const char *method, const char *name, struct err *e)
{
	return err_set(e, E_UNAVAILABLE, "common.unavailable", "the store answers %d to %s of %s", r->status, method, name);
}

enum err_code shelf_put(struct shelf *s, struct arena *a, const char *name, struct err *e)
{
	static const char *const headers[] = { "Content-Type: application/octet-stream", NULL };
	struct httpc_reply reply = { 0 };
	struct stat st;
	void *map;
	int fd;

	if (!s)
		return OK;
	fd = open(file_of(s, a, name), O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 ||
	    (map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED) {
		(void)err_set(e, E_UNAVAILABLE, "common.unavailable", "%s: %s", name, strerror(errno));
		if (fd >= 0)
			close(fd);
		return e->code;
	}
	close(fd);
	(void)(ask(s, a, "PUT", name, headers, (struct pg_bytes){ map, (size_t)st.st_size }, &reply, e) ||
	       (reply.status != 200 && refused(&reply, "PUT", name, e)));
	munmap(map, (size_t)st.st_size);
	return e->code;
}

/* ---- fetching ---- */

static bool genuine(const char *file, const char *sha256)
{
	char got[SHA256_HEX_LEN] = "";
	struct stat st;
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	void *map = fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0
			    ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)
			    : MAP_FAILED;

	if (fd >= 0)
		close(fd);
	if (map == MAP_FAILED)
		return false;
	sha256_hex(map, (size_t)st.st_size, got);
	munmap(map, (size_t)st.st_size);
	return strcmp(got, sha256) == 0;
}

static bool put(int fd, struct pg_bytes b)
{
	const char *p = (const char *)b.data;

	while (b.len > 0) {
		ssize_t n = write(fd, p, b.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		b.len -= (size_t)n;
	}
	return true;
}

/* Piece by piece until one is shorter than was asked for; a store that knows no pieces has sent all of a small file. */
static enum err_code fetch_into(struct shelf *s, const char *name, int fd, struct err *e)
{
	struct arena *a = arena_new("reco shelf", SIZE_MAX);
	bool more = true;

	for (int64_t at = 0; more && !e->code; at += PIECE) {
		const char *headers[] = { arena_printf(a, "Range: bytes=%lld-%lld", (long long)at, (long long)at + PIECE - 1), NULL };
		struct httpc_reply reply = { 0 };

		if (ask(s, a, "GET", name, headers, (struct pg_bytes){ 0 }, &reply, e))
			break;
		more = reply.status == 206 && reply.body.len == PIECE;
		if (reply.status == 416 && at > 0)
			break; /* its size is a whole number of pieces */
		if (reply.status != 206 && !(reply.status == 200 && at == 0))
			(void)refused(&reply, "GET", name, e);
		else if (!put(fd, reply.body))
			(void)err_set(e, E_UNAVAILABLE, "common.unavailable", "%s cannot be written: %s", name, strerror(errno));
		arena_reset(a);
	}
	arena_free(a);
	return e->code;
}

enum err_code shelf_fetch(struct shelf *s, struct arena *a, const char *name, const char *sha256, struct err *e)
{
	const char *file, *tmp;
	char unique[ID_LEN];
	int fd;

	if (!s || genuine(file_of(s, a, name), sha256))
		return OK;
	file = file_of(s, a, name);
	id_new("tmp", unique);
	tmp = arena_printf(a, "%s/.%s.%s", s->conf->model_dir, name, unique);
	(void)mkdir(s->conf->model_dir, 0755);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_set(e, E_UNAVAILABLE, "common.unavailable", "%s: %s", tmp, strerror(errno));
	if (fetch_into(s, name, fd, e) == OK && !genuine(tmp, sha256))
		(void)err_set(e, E_RULE, "reco.artefact_bad", "%s in the store is not the file that was judged", name);
	close(fd);
	if (!e->code && rename(tmp, file) != 0)
		(void)err_set(e, E_UNAVAILABLE, "common.unavailable", "%s: %s", file, strerror(errno));
	if (e->code)
		unlink(tmp);
	else
		log_msg(LVL_INFO, "a model's file is fetched", LF_S("file", name));
	return e->code;
}

void shelf_drop(struct shelf *s, struct arena *a, const char *name)
{
	struct httpc_reply reply = { 0 };
	struct err e = { 0 };

	if (!s)
		return;
	if (ask(s, a, "DELETE", name, NULL, (struct pg_bytes){ 0 }, &reply, &e))
		log_msg(LVL_WARNING, "a model's file cannot be removed from the store", LF_S("file", name), LF_S("why", e.msg));
	else if (reply.status != 204 && reply.status != 200 && reply.status != 404)
		log_msg(LVL_WARNING, "a model's file cannot be removed from the store", LF_S("file", name), LF_I("status", reply.status));
}
