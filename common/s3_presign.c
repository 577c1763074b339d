#include "common/s3_presign.h"

#include <string.h>
#include <time.h>

#include "common/crypto.h"

struct parts {
	const char *origin; /* scheme and host */
	const char *host;
	const char *path; /* of the object */
};

static enum err_code split(struct arena *a, const struct s3_request *r, struct parts *p_r, struct err *e)
{
	const char *host = r->base_url ? strstr(r->base_url, "://") : NULL;
	size_t n_host, n_path;

	if (!host || !host[3] || strpbrk(r->base_url, "?#"))
		return err_set(e, E_INVALID, "common.invalid_input", "no base URL of a store");
	host += 3;
	n_host = strcspn(host, "/");
	n_path = strlen(host + n_host);
	while (n_path && host[n_host + n_path - 1] == '/')
		n_path--;
	p_r->origin = arena_strndup(a, r->base_url, (size_t)(host - r->base_url) + n_host);
	p_r->host = arena_strndup(a, host, n_host);
	p_r->path = arena_printf(a, "%.*s/%s", (int)n_path, host + n_host, r->key);
	return OK;
}

/* Everything but unreserved characters, as RFC 3986 and the signature want it. */
static const char *escape(struct arena *a, const char *s)
{
	static const char digits[] = "0123456789ABCDEF";
	char *out = arena_alloc(a, 3 * strlen(s) + 1);
	size_t n = 0;

	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("-._~", c)) {
			out[n++] = (char)c;
			continue;
		}
		out[n++] = '%';
		out[n++] = digits[c >> 4];
		out[n++] = digits[c & 15];
	}
	return out;
}

/* "name:value\n" of all headers with the host at its place; names joined by ";". */
static void headers_text(struct arena *a, const struct s3_request *r, const char *host, const char **text_r,
			 const char **names_r)
{
	const char *text = "", *names = "";
	bool host_in = false;

	for (size_t i = 0; i <= r->n_headers; i++) {
		bool last = i == r->n_headers;

		if (!host_in && (last || strcmp(r->headers[i].name, "host") > 0)) {
			text = arena_printf(a, "%shost:%s\n", text, host);
			names = arena_printf(a, "%s%shost", names, *names ? ";" : "");
			host_in = true;
		}
		if (last)
			break;
		text = arena_printf(a, "%s%s:%s\n", text, r->headers[i].name, r->headers[i].value);
		names = arena_printf(a, "%s%s%s", names, *names ? ";" : "", r->headers[i].name);
	}
	*text_r = text;
	*names_r = names;
}

static void derive(const struct s3_request *r, struct arena *a, const char *day, uint8_t key[SHA256_LEN])
{
	const char *seed = arena_printf(a, "AWS4%s", r->secret_key);

	hmac_sha256(seed, strlen(seed), day, strlen(day), key);
	hmac_sha256(key, SHA256_LEN, r->region, strlen(r->region), key);
	hmac_sha256(key, SHA256_LEN, "s3", 2, key);
	hmac_sha256(key, SHA256_LEN, "aws4_request", 12, key);
}

enum err_code s3_presign(struct arena *a, const struct s3_request *r, const char **url_r, struct err *e)
{
	const char *headers, *names, *scope, *query, *canonical, *to_sign;
	char stamp[17], day[9], hash[SHA256_HEX_LEN], signature[SHA256_HEX_LEN];
	uint8_t key[SHA256_LEN], mac[SHA256_LEN];
	time_t now = (time_t)(r->now_ms / 1000);
	struct parts p = { 0 };
	struct tm tm;

	if (split(a, r, &p, e))
		return e->code;
	gmtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
	strftime(day, sizeof(day), "%Y%m%d", &tm);
	headers_text(a, r, p.host, &headers, &names);
	scope = arena_printf(a, "%s/%s/s3/aws4_request", day, r->region);
	query = arena_printf(a, "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=%s&X-Amz-Date=%s&X-Amz-Expires=%d"
				"&X-Amz-SignedHeaders=%s",
			     escape(a, arena_printf(a, "%s/%s", r->access_key, scope)), stamp, r->expires_s, escape(a, names));
	canonical = arena_printf(a, "%s\n%s\n%s\n%s\n%s\nUNSIGNED-PAYLOAD", r->method, p.path, query, headers, names);
	sha256_hex(canonical, strlen(canonical), hash);
	to_sign = arena_printf(a, "AWS4-HMAC-SHA256\n%s\n%s\n%s", stamp, scope, hash);
	derive(r, a, day, key);
	hmac_sha256(key, sizeof(key), to_sign, strlen(to_sign), mac);
	hex_encode(mac, sizeof(mac), signature);
	*url_r = arena_printf(a, "%s%s?%s&X-Amz-Signature=%s", p.origin, p.path, query, signature);
	return OK;
}
