#include "services/identity/password_hash.h"

#include <argon2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "common/crypto.h"

#define SALT_LEN 16
#define TAG_LEN	 32

struct phc {
	struct argon2_cost cost;
	uint8_t salt[64], tag[64];
	size_t salt_len, tag_len;
};

/* Straight from the kernel and straight back: the allocator would keep 19 MiB for the next time. */
static int matrix_alloc(uint8_t **memory, size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return ARGON2_MEMORY_ALLOCATION_ERROR;
	*memory = p;
	return ARGON2_OK;
}

static void matrix_free(uint8_t *memory, size_t bytes)
{
	(void)munmap(memory, bytes);
}

/* The library's interface is not const-correct; it changes nothing without the CLEAR flags. */
static uint8_t *unconst(const void *p)
{
	union {
		const void *in;
		uint8_t *out;
	} u = { .in = p };

	return u.out;
}

bool password_argon2id(const struct argon2_cost *cost, struct argon2_bytes password, struct argon2_bytes salt,
		       struct argon2_bytes secret, struct argon2_bytes ad, uint8_t *out, size_t out_len)
{
	argon2_context ctx = {
		.out = out,
		.outlen = (uint32_t)out_len,
		.pwd = unconst(password.data),
		.pwdlen = (uint32_t)password.len,
		.salt = unconst(salt.data),
		.saltlen = (uint32_t)salt.len,
		.secret = unconst(secret.data),
		.secretlen = (uint32_t)secret.len,
		.ad = unconst(ad.data),
		.adlen = (uint32_t)ad.len,
		.t_cost = cost->passes,
		.m_cost = cost->memory_kib,
		.lanes = cost->lanes,
		.threads = 1,
		.version = ARGON2_VERSION_13,
		.allocate_cbk = matrix_alloc,
		.free_cbk = matrix_free,
		.flags = ARGON2_DEFAULT_FLAGS,
	};

	return argon2id_ctx(&ctx) == ARGON2_OK;
}

/* PHC strings use the standard alphabet without padding; common/crypto pads. */
static void b64(const uint8_t *p, size_t n, char *out)
{
	size_t len = base64_encode(p, n, out);

	while (len > 0 && out[len - 1] == '=')
		out[--len] = '\0';
}

static bool unb64(const char *s, size_t n, uint8_t *out, size_t cap, size_t *len_r)
{
	char padded[96];

	if (n > sizeof(padded) - 4)
		return false;
	memcpy(padded, s, n);
	while (n % 4)
		padded[n++] = '=';
	return base64_decode(padded, n, out, cap, len_r);
}

static bool phc_parse(const char *s, struct phc *p)
{
	const char *salt, *tag;
	int used = 0;

	if (sscanf(s, "$argon2id$v=19$m=%9u,t=%9u,p=%9u$%n", &p->cost.memory_kib, &p->cost.passes, &p->cost.lanes,
		   &used) != 3 ||
	    used == 0 || p->cost.memory_kib > 4u << 20 || p->cost.passes > 1000 || p->cost.lanes > 64)
		return false;
	salt = s + used;
	tag = strchr(salt, '$');
	return tag && unb64(salt, (size_t)(tag - salt), p->salt, sizeof(p->salt), &p->salt_len) &&
	       unb64(tag + 1, strlen(tag + 1), p->tag, sizeof(p->tag), &p->tag_len) && p->tag_len >= 16;
}

static enum err_code failed(struct err *e)
{
	return err_set(e, E_INTERNAL, "common.internal", "argon2 failed: memory or parameters");
}

enum err_code password_hash(const struct argon2_cost *cost, const char *password, char phc[PHC_LEN], struct err *e)
{
	uint8_t salt[SALT_LEN], tag[TAG_LEN];
	char salt_text[BASE64_LEN(SALT_LEN)], tag_text[BASE64_LEN(TAG_LEN)];

	random_bytes(salt, sizeof(salt));
	if (!password_argon2id(cost, (struct argon2_bytes){ password, strlen(password) },
			       (struct argon2_bytes){ salt, sizeof(salt) }, (struct argon2_bytes){ 0 },
			       (struct argon2_bytes){ 0 }, tag, sizeof(tag)))
		return failed(e);
	b64(salt, sizeof(salt), salt_text);
	b64(tag, sizeof(tag), tag_text);
	(void)snprintf(phc, PHC_LEN, "$argon2id$v=19$m=%u,t=%u,p=%u$%s$%s", cost->memory_kib, cost->passes, cost->lanes,
		       salt_text, tag_text);
	return OK;
}

enum err_code password_verify(const char *phc, const char *password, bool *match_r, struct err *e)
{
	struct phc p;
	uint8_t tag[64];

	if (!phc_parse(phc, &p))
		return err_set(e, E_INTERNAL, "common.internal", "a stored password hash is not readable");
	if (!password_argon2id(&p.cost, (struct argon2_bytes){ password, strlen(password) },
			       (struct argon2_bytes){ p.salt, p.salt_len }, (struct argon2_bytes){ 0 },
			       (struct argon2_bytes){ 0 }, tag, p.tag_len))
		return failed(e);
	*match_r = ct_equal(tag, p.tag, p.tag_len);
	return OK;
}

bool password_weaker(const char *phc, const struct argon2_cost *cost)
{
	struct phc p;

	return !phc_parse(phc, &p) || p.cost.memory_kib < cost->memory_kib || p.cost.passes < cost->passes ||
	       p.cost.lanes < cost->lanes;
}
