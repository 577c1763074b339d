/* The key files under SOUK_KEYS_DIR: making, reading, rings. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/jws.h"
#include "common/keyring.h"

#define FILE_MAX 16384
#define PATH_LEN 1024

const char *const keys_daemons[] = { "identity", "catalog", "inventory", "cart", "checkout",
				     "search", "reco", "notify", NULL };

struct keyring {
	size_t n;
	struct keyring_key key[KEYRING_MAX]; /* by falling id */
};

static enum err_code path_join(char path[PATH_LEN], const char *dir, const char *name, struct err *e)
{
	int n = snprintf(path, PATH_LEN, "%s/%s", dir ? dir : "", name);

	if (!dir || !*dir)
		return err_set(e, E_INVALID, "keys.missing", "SOUK_KEYS_DIR is empty");
	if (n < 0 || n >= PATH_LEN)
		return err_set(e, E_INVALID, "keys.missing", "path of key file %.60s is too long", name);
	return OK;
}

/* The whole file into buf (FILE_MAX bytes), which the caller wipes. */
static enum err_code slurp(const char *path, char *buf, size_t *n_r, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t n = 0;
	ssize_t got = 0;

	if (fd < 0)
		return err_set(e, E_INTERNAL, "keys.missing", "%.180s: %s; `soukctl keys init` makes it", path,
			strerror(errno));
	while (n < FILE_MAX && (got = read(fd, buf + n, FILE_MAX - n)) > 0)
		n += (size_t)got;
	(void)close(fd);
	if (got < 0 || n == FILE_MAX)
		return err_set(e, E_INTERNAL, "keys.invalid", "%.180s: %s", path,
			got < 0 ? strerror(errno) : "too large for a key file");
	*n_r = n;
	return OK;
}

void key_wipe(struct key32 *key)
{
	explicit_bzero(key, sizeof(*key));
}

static bool all_zero(const uint8_t b[KEY_LEN])
{
	uint8_t any = 0;

	for (size_t i = 0; i < KEY_LEN; i++)
		any |= b[i];
	return any == 0;
}

enum err_code key_load(const char *dir, const char *name, struct key32 *key_r, struct err *e)
{
	char path[PATH_LEN], text[FILE_MAX];
	struct key32 key = { { 0 } };
	size_t n = 0;
	bool ok;

	if (path_join(path, dir, name, e) || slurp(path, text, &n, e)) {
		explicit_bzero(text, sizeof(text));
		return e ? e->code : E_INTERNAL;
	}
	while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		n--;
	ok = n == 2 * KEY_LEN && hex_decode(text, n, key.b) && !all_zero(key.b);
	explicit_bzero(text, sizeof(text));
	if (ok)
		*key_r = key;
	key_wipe(&key);
	return ok ? OK : err_set(e, E_INTERNAL, "keys.invalid", "%.180s: not 64 hex digits", path);
}

/* One line "<id> <hex>", blank, or a comment. False when it is none of them. */
static bool ring_line(struct keyring *k, const char *s, size_t n)
{
	uint64_t id = 0;
	size_t i = 0, at;
	struct keyring_key key;

	while (n && (s[n - 1] == '\r' || s[n - 1] == ' '))
		n--;
	if (n == 0 || s[0] == '#')
		return true;
	for (; i < n && i < 11 && s[i] >= '0' && s[i] <= '9'; i++)
		id = id * 10 + (uint64_t)(s[i] - '0');
	if (i == 0 || id == 0 || id > UINT32_MAX || i >= n || s[i] != ' ' || n - i - 1 != 2 * KEY_LEN ||
		k->n == KEYRING_MAX)
		return false;
	key.id = (uint32_t)id;
	if (!hex_decode(s + i + 1, 2 * KEY_LEN, key.b) || all_zero(key.b) || keyring_find(k, key.id))
		return false;
	for (at = k->n++; at > 0 && k->key[at - 1].id < key.id; at--)
		k->key[at] = k->key[at - 1];
	k->key[at] = key;
	explicit_bzero(&key, sizeof(key));
	return true;
}

enum err_code keyring_parse(const char *text, size_t n, struct keyring **k_r, struct err *e)
{
	struct keyring *k = calloc(1, sizeof(*k));
	size_t line = 1;

	if (!k)
		return err_set(e, E_UNAVAILABLE, "common.unavailable", "no memory for a key ring");
	for (size_t i = 0; i < n; line++) {
		const char *end = memchr(text + i, '\n', n - i);
		size_t len = end ? (size_t)(end - text) - i : n - i;

		if (!ring_line(k, text + i, len)) {
			keyring_free(k);
			return err_set(e, E_INTERNAL, "keys.invalid",
				"line %zu is not \"<id> <64 hex digits>\" with an id of its own", line);
		}
		i += len + 1;
	}
	if (k->n == 0) {
		keyring_free(k);
		return err_set(e, E_INTERNAL, "keys.invalid", "a key ring without a key");
	}
	*k_r = k;
	return OK;
}

enum err_code keyring_load(const char *dir, const char *daemon, struct keyring **k_r, struct err *e)
{
	char name[80], path[PATH_LEN], text[FILE_MAX];
	struct err inner = { 0 };
	enum err_code code;
	size_t n = 0;

	(void)snprintf(name, sizeof(name), "data-%.60s.key", daemon);
	if (path_join(path, dir, name, e) || slurp(path, text, &n, e)) {
		explicit_bzero(text, sizeof(text));
		return e ? e->code : E_INTERNAL;
	}
	code = keyring_parse(text, n, k_r, &inner);
	explicit_bzero(text, sizeof(text));
	return code ? err_set(e, code, inner.slug, "%.120s: %.100s", path, inner.msg) : OK;
}

void keyring_free(struct keyring *k)
{
	if (!k)
		return;
	explicit_bzero(k, sizeof(*k));
	free(k);
}

const struct keyring_key *keyring_current(const struct keyring *k)
{
	return &k->key[0];
}

const struct keyring_key *keyring_find(const struct keyring *k, uint32_t id)
{
	for (size_t i = 0; i < k->n; i++)
		if (k->key[i].id == id)
			return &k->key[i];
	return NULL;
}

/* ---- making ---- */

/*
 * Writes a private temporary file and links it to its name: the name appears whole or not at all, and whoever comes
 * second keeps the first one's file.
 */
static enum err_code file_create(const char *dir, const char *name, const char *text, size_t n, struct err *e)
{
	char path[PATH_LEN], temp[PATH_LEN + 16];
	bool ok;
	int fd;

	if (path_join(path, dir, name, e))
		return E_INVALID;
	if (access(path, F_OK) == 0)
		return OK;
	(void)snprintf(temp, sizeof(temp), "%s.XXXXXX", path);
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0)
		return err_set(e, E_INTERNAL, "keys.missing", "%.180s cannot be made: %s", path, strerror(errno));
	ok = fchmod(fd, 0600) == 0 && write(fd, text, n) == (ssize_t)n && fsync(fd) == 0;
	ok = close(fd) == 0 && ok && (link(temp, path) == 0 || errno == EEXIST);
	if (!ok)
		(void)err_set(e, E_INTERNAL, "keys.missing", "%.180s cannot be written: %s", path, strerror(errno));
	(void)unlink(temp);
	return ok ? OK : E_INTERNAL;
}

static enum err_code key_create(const char *dir, const char *name, const char *prefix, struct err *e)
{
	uint8_t key[KEY_LEN];
	char text[16 + 2 * KEY_LEN + 2];
	enum err_code code;
	int n;

	random_bytes(key, sizeof(key));
	n = snprintf(text, sizeof(text), "%s", prefix);
	hex_encode(key, sizeof(key), text + n);
	n += 2 * KEY_LEN;
	text[n++] = '\n';
	code = file_create(dir, name, text, (size_t)n, e);
	explicit_bzero(key, sizeof(key));
	explicit_bzero(text, sizeof(text));
	return code;
}

static enum err_code pairs_create(const char *dir, const char *caller, struct err *e)
{
	char name[80];

	for (const char *const *callee = keys_daemons; *callee; callee++) {
		(void)snprintf(name, sizeof(name), "pair-%s-%s.key", caller, *callee);
		if (key_create(dir, name, "", e))
			return E_INTERNAL;
	}
	return OK;
}

static enum err_code all_create(const char *dir, struct err *e)
{
	char name[80];

	if (key_create(dir, "index.key", "", e) || key_create(dir, "cursor.key", "", e) ||
		pairs_create(dir, "gateway", e))
		return E_INTERNAL;
	for (const char *const *d = keys_daemons; *d; d++) {
		(void)snprintf(name, sizeof(name), "data-%s.key", *d);
		if (key_create(dir, name, "1 ", e) || pairs_create(dir, *d, e))
			return E_INTERNAL;
	}
	return jws_key_ensure(dir, e);
}

enum err_code keys_init(const char *dir, struct err *e)
{
	enum err_code code;
	int fd;

	if (!dir || !*dir)
		return err_set(e, E_INVALID, "keys.missing", "no folder for the keys");
	if (mkdir(dir, 0700) && errno != EEXIST)
		return err_set(e, E_INTERNAL, "keys.missing", "%.180s cannot be made: %s", dir, strerror(errno));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, E_INTERNAL, "keys.missing", "%.180s: %s", dir, strerror(errno));
	/* Files alone need no lock; it keeps two first runs from making two signing keys. */
	(void)flock(fd, LOCK_EX);
	code = all_create(dir, e);
	(void)close(fd);
	return code;
}
