#include "common/cursor.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

#include "common/check.h"
#include "common/log.h"

/*
 * Bytes before base64url: version 1 | filter hash 8 | fields | MAC 16. A field is 'i' + 8 bytes or 't' + length 2 +
 * bytes, big endian. The MAC covers all before it.
 */
#define VERSION	   1
#define FILTER_LEN 8
#define MAC_LEN	   16
#define RAW_MAX	   (1 + FILTER_LEN + CURSOR_FIELDS * (3 + CURSOR_TEXT_MAX) + MAC_LEN)

_Static_assert(BASE64URL_LEN(RAW_MAX) <= CURSOR_MAX, "every cursor we write can be read");

static struct key32 key;
static _Atomic bool key_set;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

enum err_code cursor_init(const char *keys_dir, struct err *e)
{
	struct key32 k;
	enum err_code code = key_load(keys_dir, "cursor.key", &k, e);

	if (code)
		return code;
	cursor_use_key(&k);
	key_wipe(&k);
	return OK;
}

void cursor_use_key(const struct key32 *k)
{
	key = *k;
	atomic_store(&key_set, true);
}

static void key_ephemeral(void)
{
	if (atomic_load(&key_set))
		return;
	log_msg(LVL_WARNING, "cursors are signed with a key of this process alone: cursor_init was not called", LF_END);
	random_bytes(key.b, sizeof(key.b));
	atomic_store(&key_set, true);
}

static void key_need(void)
{
	if (!atomic_load(&key_set))
		(void)pthread_once(&key_once, key_ephemeral);
}

static void mac(const uint8_t *p, size_t n, uint8_t out[MAC_LEN])
{
	uint8_t full[SHA256_LEN];

	hmac_sha256(key.b, sizeof(key.b), p, n, full);
	memcpy(out, full, MAC_LEN);
}

static void filter_hash(const char *filter, uint8_t out[FILTER_LEN])
{
	uint8_t full[SHA256_LEN];

	sha256(filter, strlen(filter), full);
	memcpy(out, full, FILTER_LEN);
}

static size_t put_int(uint8_t *p, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
	return (size_t)bytes;
}

char *cursor_write(struct arena *a, const char *filter, const char *types, ...)
{
	uint8_t raw[RAW_MAX];
	size_t n = 0, len;
	char *out;
	va_list ap;

	key_need();
	raw[n++] = VERSION;
	filter_hash(filter, raw + n);
	n += FILTER_LEN;
	va_start(ap, types);
	for (size_t i = 0; types[i] && i < CURSOR_FIELDS; i++) {
		raw[n++] = (uint8_t)types[i];
		if (types[i] == 'i') {
			n += put_int(raw + n, (uint64_t)va_arg(ap, int64_t), 8);
		} else {
			const char *s = va_arg(ap, const char *);

			len = s ? strnlen(s, CURSOR_TEXT_MAX + 1) : 0;
			if (len > CURSOR_TEXT_MAX)
				len = utf8_cut(s, CURSOR_TEXT_MAX);
			n += put_int(raw + n, len, 2);
			if (len)
				memcpy(raw + n, s, len);
			n += len;
		}
	}
	va_end(ap);
	mac(raw, n, raw + n);
	n += MAC_LEN;
	out = arena_alloc(a, BASE64URL_LEN(n));
	(void)base64url_encode(raw, n, out);
	return out;
}

/* One field at p of n bytes; how many bytes it took, 0 when it is malformed. */
static size_t field_read(struct arena *a, const uint8_t *p, size_t n, char type, struct cursor *c)
{
	uint64_t v = 0;
	size_t len;

	if (n < 3 || p[0] != (uint8_t)type)
		return 0;
	if (type == 'i') {
		if (n < 9)
			return 0;
		for (int i = 1; i <= 8; i++)
			v = v << 8 | p[i];
		c->field[c->n].i = (int64_t)v;
		c->field[c->n++].text = "";
		return 9;
	}
	len = (size_t)p[1] << 8 | p[2];
	if (len > CURSOR_TEXT_MAX || len > n - 3 || memchr(p + 3, 0, len))
		return 0;
	c->field[c->n].i = 0;
	c->field[c->n++].text = arena_dup(a, p + 3, len);
	return 3 + len;
}

static bool authentic(const char *text, const char *filter, uint8_t *raw, size_t *n_r)
{
	uint8_t want[MAC_LEN], hash[FILTER_LEN];
	size_t len = strnlen(text, CURSOR_MAX + 1), n = 0;

	if (len > CURSOR_MAX || !base64url_decode(text, len, raw, RAW_MAX, &n))
		return false;
	if (n < 1 + FILTER_LEN + MAC_LEN)
		return false;
	n -= MAC_LEN;
	mac(raw, n, want);
	if (!ct_equal(want, raw + n, MAC_LEN) || raw[0] != VERSION)
		return false;
	filter_hash(filter, hash);
	if (!ct_equal(hash, raw + 1, FILTER_LEN))
		return false;
	*n_r = n;
	return true;
}

enum err_code cursor_read(struct arena *a, const char *text, const char *filter, const char *types,
			  struct cursor *cur_r, struct err *e)
{
	struct cursor c = { .n = 0 };
	uint8_t raw[RAW_MAX];
	size_t n = 0, at = 1 + FILTER_LEN, took = 1;

	if (!text || !*text) {
		*cur_r = c;
		return OK;
	}
	key_need();
	if (!authentic(text, filter, raw, &n))
		goto invalid;
	for (size_t i = 0; types[i] && i < CURSOR_FIELDS && took; i++, at += took)
		took = field_read(a, raw + at, n - at, types[i], &c);
	if (!took || at != n)
		goto invalid;
	*cur_r = c;
	return OK;
invalid:
	err_detail(e, "cursor", NULL, "does not belong to this list");
	return err_set(e, E_INVALID, "common.cursor_invalid", "cursor refused");
}
