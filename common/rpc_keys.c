#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/rpc_codec.h"

enum { NAME_MAX_LEN = 32, KEYS_MAX = 256 };

struct pair {
	char caller[NAME_MAX_LEN], callee[NAME_MAX_LEN];
	struct key32 key;
};
struct rpc_keys {
	atomic_int refs; /* clients keep theirs until their last probe */
	char self[NAME_MAX_LEN];
	size_t n;
	struct pair pairs[KEYS_MAX];
};

static bool name_ok(const char *s, size_t len)
{
	size_t i;

	if (!len || len >= NAME_MAX_LEN)
		return false;
	for (i = 0; i < len; i++)
		if (!islower((unsigned char)s[i]) && !isdigit((unsigned char)s[i]) && s[i] != '_')
			return false;
	return true;
}

/* "pair-<caller>-<callee>.key" */
static bool parse_file_name(const char *file, struct pair *p)
{
	const char *caller, *dash, *dot;

	if (strncmp(file, "pair-", 5) != 0)
		return false;
	caller = file + 5;
	dash = strchr(caller, '-');
	dot = strrchr(caller, '.');
	if (!dash || !dot || dot < dash || strcmp(dot, ".key") != 0)
		return false;
	if (!name_ok(caller, (size_t)(dash - caller)) || !name_ok(dash + 1, (size_t)(dot - dash - 1)))
		return false;
	memset(p, 0, sizeof(*p));
	memcpy(p->caller, caller, (size_t)(dash - caller));
	memcpy(p->callee, dash + 1, (size_t)(dot - dash - 1));
	return true;
}

struct rpc_keys *rpc_keys_new(const char *self)
{
	struct rpc_keys *k = calloc(1, sizeof(*k));

	if (!k || !name_ok(self, strlen(self)))
		abort();
	memcpy(k->self, self, strlen(self));
	atomic_store(&k->refs, 1);
	return k;
}

void rpc_keys_add(struct rpc_keys *k, const char *caller, const char *callee, const uint8_t key[32])
{
	struct pair *p;

	if (k->n == KEYS_MAX || !name_ok(caller, strlen(caller)) || !name_ok(callee, strlen(callee)))
		abort();
	p = &k->pairs[k->n++];
	memcpy(p->caller, caller, strlen(caller));
	memcpy(p->callee, callee, strlen(callee));
	memcpy(p->key.b, key, KEY_LEN);
}

static enum err_code load_dir(struct rpc_keys *k, const char *path, DIR *dir, struct err *e)
{
	struct dirent *ent;
	struct pair p;

	while ((ent = readdir(dir))) {
		if (!parse_file_name(ent->d_name, &p))
			continue;
		if (strcmp(p.caller, k->self) != 0 && strcmp(p.callee, k->self) != 0)
			continue;
		if (k->n == KEYS_MAX)
			return err_set(e, E_INTERNAL, "keys.invalid", "more than %d pair keys", KEYS_MAX);
		if (key_load(path, ent->d_name, &p.key, e))
			return e->code;
		k->pairs[k->n++] = p;
		key_wipe(&p.key);
	}
	return OK;
}

enum err_code rpc_keys_load(const char *dir, const char *self, struct rpc_keys **k_r, struct err *e)
{
	struct rpc_keys *k;
	enum err_code rc;
	DIR *d;

	if (!dir || !*dir)
		return err_set(e, E_INTERNAL, "keys.missing", "no directory of pair keys is configured (SOUK_KEYS_DIR)");
	d = opendir(dir);
	if (!d)
		return err_set(e, E_INTERNAL, "keys.missing", "keys directory %s: %s", dir, strerror(errno));
	k = rpc_keys_new(self);
	rc = load_dir(k, dir, d, e);
	closedir(d);
	if (!rc && !k->n)
		rc = err_set(e, E_INTERNAL, "keys.missing", "no pair key of %s in %s", self, dir);
	if (rc) {
		rpc_keys_free(k);
		return rc;
	}
	*k_r = k;
	return OK;
}

void rpc_keys_free(struct rpc_keys *k)
{
	if (!k || atomic_fetch_sub(&k->refs, 1) > 1)
		return;
	explicit_bzero(k, sizeof(*k));
	free(k);
}

const struct rpc_keys *rpc_keys_ref(const struct rpc_keys *k)
{
	atomic_fetch_add(&((struct rpc_keys *)(uintptr_t)k)->refs, 1);
	return k;
}

const uint8_t *rpc_keys_find(const struct rpc_keys *k, const char *caller, const char *callee)
{
	size_t i;

	for (i = 0; i < k->n; i++)
		if (!strcmp(k->pairs[i].caller, caller) && !strcmp(k->pairs[i].callee, callee))
			return k->pairs[i].key.b;
	return NULL;
}
