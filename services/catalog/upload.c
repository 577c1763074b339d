/*
 * Pictures go from the vendor's browser straight to the object store, by a request that is signed here: this one object, this
 * type, this size, for a quarter of an hour. No byte of them passes through Souk.
 */
#include <string.h>

#include "common/check.h"
#include "common/id.h"
#include "common/s3_presign.h"
#include "common/timeutil.h"
#include "services/catalog/catalog.h"
#include "services/catalog/product_view.h"

RPC_HANDLER(catalog_create_upload, Catalog__V1__CreateUploadRequest, Catalog__V1__Upload)

const struct rpc_method catalog_upload_methods[] = {
	{ "CreateUpload", catalog_create_upload_, RPC_READ, 0 },
	{ 0 },
};

enum { UPLOAD_LIFE_S = 900 };

/* A key is used once and its bytes never change, so whoever has them may keep them. */
#define FOREVER "public, max-age=31536000, immutable"

static const struct {
	const char *type, *suffix;
} types[] = {
	{ "image/jpeg", "jpg" }, { "image/png", "png" },   { "image/webp", "webp" },
	{ "image/avif", "avif" }, { "image/gif", "gif" },
};

static const char *suffix_of(const char *type)
{
	for (size_t i = 0; type && i < ARRAY_LEN(types); i++)
		if (strcmp(types[i].type, type) == 0)
			return types[i].suffix;
	return NULL;
}

static void tell(struct call *c, const struct s3_header *h, size_t n, Catalog__V1__Upload *out)
{
	out->headers = arena_array(c->arena, n, sizeof(*out->headers));
	for (size_t i = 0; i < n; i++) {
		Catalog__V1__UploadHeader *one = out->headers[out->n_headers++] = arena_alloc(c->arena, sizeof(*one));

		catalog__v1__upload_header__init(one);
		one->name = (char *)h[i].name;
		one->value = (char *)h[i].value;
	}
}

static enum err_code sign(struct call *c, const Catalog__V1__CreateUploadRequest *in, Catalog__V1__Upload *out)
{
	const struct catalog_conf *conf = ((struct catalog_svc *)c->svc)->conf;
	const struct s3_header headers[] = {
		{ "cache-control", FOREVER },
		{ "content-length", arena_printf(c->arena, "%lld", (long long)in->bytes) },
		{ "content-type", in->content_type },
	};
	struct s3_request r = { .method = "PUT", .base_url = conf->store_url, .region = conf->store_region,
				.access_key = conf->store_access_key, .secret_key = conf->store_secret_key,
				.expires_s = UPLOAD_LIFE_S, .now_ms = wall_ms(), .headers = headers,
				.n_headers = ARRAY_LEN(headers) };
	const char *url;
	char id[ID_LEN];

	id_new("med", id);
	r.key = arena_printf(c->arena, "%s/%s.%s", c->who.vendor_id, id, suffix_of(in->content_type));
	if (s3_presign(c->arena, &r, &url, &c->err))
		return c->err.code;
	out->key = (char *)r.key;
	out->method = (char *)"PUT";
	out->upload_url = (char *)url;
	out->url = arena_printf(c->arena, "%s%s", conf->media_base, r.key);
	out->has_expires_at = true;
	out->expires_at = r.now_ms + UPLOAD_LIFE_S * 1000;
	tell(c, headers, ARRAY_LEN(headers), out);
	return OK;
}

static enum err_code catalog_create_upload(struct call *c, const Catalog__V1__CreateUploadRequest *in,
					   Catalog__V1__Upload *out)
{
	const struct catalog_conf *conf = ((struct catalog_svc *)c->svc)->conf;

	if (call_vendor(c, "vendor.catalog"))
		return c->err.code;
	if (!suffix_of(in->content_type))
		err_detail(&c->err, "content_type", NULL, "must be image/jpeg, image/png, image/webp, image/avif or image/gif");
	check_range(&c->err, "bytes", in->bytes, 1, (int64_t)conf->picture_max_kib * 1024);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "upload");
	if (!conf->store_url[0] || !conf->store_access_key[0] || !conf->store_secret_key[0])
		return err_set(&c->err, E_UNAVAILABLE, "catalog.uploads_off", "no object store is configured");
	return sign(c, in, out);
}
