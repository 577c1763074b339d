/* Bulk import: begin, chunks, close, status, errors. The work itself is in import_work.c. */
#include "services/catalog/import.h"

#include <string.h>

#include "catalog.pb-c.h"
#include "common/check.h"
#include "common/crypto.h"
#include "common/id.h"
#include "common/page.h"
#include "services/catalog/catalog.h"
#include "services/catalog/catalog_db_import.h"
#include "services/catalog/vendor.h"

#define CHUNK_MAX (256 * 1024)

RPC_HANDLER(catalog_import_begin, Catalog__V1__ImportBeginRequest, Catalog__V1__Import)
RPC_HANDLER(catalog_import_chunk, Catalog__V1__ImportChunkRequest, Catalog__V1__Import)
RPC_HANDLER(catalog_import_close, Catalog__V1__ImportCloseRequest, Catalog__V1__Import)
RPC_HANDLER(catalog_get_import, Catalog__V1__GetImportRequest, Catalog__V1__Import)
RPC_HANDLER(catalog_list_imports, Catalog__V1__ListImportsRequest, Catalog__V1__ListImportsReply)
RPC_HANDLER(catalog_list_import_errors, Catalog__V1__ImportErrorsRequest, Catalog__V1__ImportErrorsReply)

const struct rpc_method catalog_import_methods[] = {
	{ "ImportBegin", catalog_import_begin_, RPC_WRITE | RPC_KEYED, 0 },
	{ "ImportChunk", catalog_import_chunk_, RPC_WRITE | RPC_INTERNAL, CHUNK_MAX + 4096 },
	{ "ImportClose", catalog_import_close_, RPC_WRITE | RPC_INTERNAL, 0 },
	{ "GetImport", catalog_get_import_, RPC_READ, 0 },
	{ "ListImports", catalog_list_imports_, RPC_READ, 0 },
	{ "ListImportErrors", catalog_list_import_errors_, RPC_READ, 0 },
	{ 0 },
};

/* Parsing counts as the first half of the way, applying as the second. */
static int32_t percent(const struct import_state *s)
{
	int64_t good = s->rows_read - s->rows_bad;

	if (strcmp(s->state, "receiving") == 0)
		return 0;
	if (strcmp(s->state, "validating") == 0)
		return s->bytes ? (int32_t)(s->parsed_bytes * 50 / s->bytes) : 0;
	if (strcmp(s->state, "applying") == 0)
		return good > 0 ? 50 + (int32_t)(s->rows_applied * 50 / good) : 50;
	return 100;
}

static void import_fill(struct call *c, const struct import_state *s, Catalog__V1__Import *out)
{
	out->id = (char *)s->id;
	out->name = (char *)s->name;
	out->state = (char *)s->state;
	out->format = (char *)s->format;
	out->policy = (char *)s->policy;
	out->has_bytes = out->has_rows_read = out->has_rows_bad = out->has_rows_applied = true;
	out->bytes = s->bytes;
	out->rows_read = s->rows_read;
	out->rows_bad = s->rows_bad;
	out->rows_applied = s->rows_applied;
	out->has_products_created = out->has_products_updated = out->has_products_unchanged = true;
	out->products_created = s->created;
	out->products_updated = s->updated;
	out->products_unchanged = s->unchanged;
	out->has_percent = out->has_created_at = true;
	out->percent = percent(s) > 100 ? 100 : percent(s);
	out->message = (char *)s->message;
	out->created_at = s->created_at;
	out->has_finished_at = s->finished_at != 0;
	out->finished_at = s->finished_at;
	out->hdr_location = arena_printf(c->arena, "/api/vendor/products/imports/%s", s->id);
}

static enum err_code import_reply(struct call *c, struct pg *pg, const char *id, Catalog__V1__Import *out,
				  struct err *e)
{
	struct import_state *s = NULL;
	bool found = false;

	if (catalog_db_import(pg, c->arena, id, c->who.vendor_id, false, &s, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_NOT_FOUND, "catalog.import_unknown", "%s", id);
	import_fill(c, s, out);
	return OK;
}

struct begin_tx {
	struct call *c;
	struct import_state row;
	Catalog__V1__Import *out;
};

static enum err_code begin_tx(struct pg *pg, void *arg, struct err *e)
{
	struct begin_tx *t = arg;

	if (vendor_approved(t->c, pg, e) || catalog_db_import_add(pg, &t->row, e))
		return e->code;
	return import_reply(t->c, pg, t->row.id, t->out, e);
}

static enum err_code catalog_import_begin(struct call *c, const Catalog__V1__ImportBeginRequest *in,
					  Catalog__V1__Import *out)
{
	struct catalog_svc *svc = c->svc;
	struct begin_tx t = { .c = c, .out = out };
	char id[ID_LEN];

	if (call_vendor(c, "vendor.catalog"))
		return c->err.code;
	check_oneof(&c->err, "format", in->format, "csv|jsonl");
	if (in->policy)
		check_oneof(&c->err, "policy", in->policy, "reject_all|reject_bad_rows");
	if (in->name)
		check_text(&c->err, "name", in->name, 1, 200);
	if (in->currency)
		check_currency(&c->err, "currency", in->currency);
	if (in->category_attribute)
		check_text(&c->err, "category_attribute", in->category_attribute, 1, 100);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "import");
	id_new("imp", id);
	t.row = (struct import_state){ .id = id, .vendor_id = c->who.vendor_id, .name = in->name, .format = in->format,
				       .policy = in->policy ? in->policy : "reject_all", .publish = in->publish,
				       .currency = in->currency ? in->currency : svc->conf->currency,
				       .category_attribute = in->category_attribute };
	return call_tx(c, CALL_TX_ONLY, begin_tx, &t);
}

struct chunk_tx {
	struct call *c;
	const Catalog__V1__ImportChunkRequest *in;
	Catalog__V1__Import *out;
};

static enum err_code another_file(const struct import_state *s, struct err *e)
{
	return err_set(e, E_RULE, "idem.key_reused", "another file than that of %s", s->id);
}

/* A repeated upload: while pieces are kept each must be what came before; afterwards the whole file is compared. */
static enum err_code same_piece(struct chunk_tx *t, struct pg *pg, const struct import_state *s, struct err *e)
{
	struct chunk_row *had = NULL;
	bool found = false;

	if (catalog_db_import_chunk(pg, t->c->arena, s->id, t->in->seq, &had, &found, e))
		return e->code;
	if (found && (had->data.len != t->in->data.len || memcmp(had->data.data, t->in->data.data, had->data.len) != 0))
		return another_file(s, e);
	return OK;
}

static enum err_code chunk_tx(struct pg *pg, void *arg, struct err *e)
{
	struct chunk_tx *t = arg;
	const struct pg_bytes data = { t->in->data.data, t->in->data.len };
	struct import_state *s = NULL;
	bool found = false, fresh = false;

	if (catalog_db_import(pg, t->c->arena, t->in->import_id, t->c->who.vendor_id, true, &s, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_NOT_FOUND, "catalog.import_unknown", "%s", t->in->import_id);
	if (t->in->seq < s->chunks)
		return same_piece(t, pg, s, e) ? e->code : import_reply(t->c, pg, s->id, t->out, e);
	if (catalog_db_import_chunk_add(pg, s->id, t->in->seq, data, &fresh, e))
		return e->code;
	if (!fresh && s->digest.len)
		return another_file(s, e);
	if (!fresh)
		return err_set(e, E_CONFLICT, "catalog.import_order", "chunk %lld, %lld expected, state %s",
			       (long long)t->in->seq, (long long)s->chunks, s->state);
	return import_reply(t->c, pg, s->id, t->out, e);
}

static enum err_code catalog_import_chunk(struct call *c, const Catalog__V1__ImportChunkRequest *in,
					  Catalog__V1__Import *out)
{
	struct chunk_tx t = { c, in, out };

	if (call_vendor(c, "vendor.catalog"))
		return c->err.code;
	check_id(&c->err, "import_id", in->import_id, "imp");
	check_range(&c->err, "seq", in->seq, 0, 1000000);
	if (in->data.len < 1 || in->data.len > CHUNK_MAX)
		err_detail(&c->err, "data", NULL, "must be 1 byte to 256 KiB");
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "import chunk");
	return call_tx(c, CALL_TX_PLAIN, chunk_tx, &t);
}

struct close_tx {
	struct call *c;
	const Catalog__V1__ImportCloseRequest *in;
	Catalog__V1__Import *out;
};

static enum err_code close_tx(struct pg *pg, void *arg, struct err *e)
{
	struct close_tx *t = arg;
	const struct pg_bytes digest = { t->in->digest.data, t->in->has_digest ? t->in->digest.len : 0 };
	struct import_state *s = NULL;
	bool found = false;

	if (catalog_db_import(pg, t->c->arena, t->in->import_id, t->c->who.vendor_id, true, &s, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_NOT_FOUND, "catalog.import_unknown", "%s", t->in->import_id);
	if (strcmp(s->state, "receiving") == 0) {
		if (t->in->abort ? catalog_db_import_state(pg, s->id, "cancelled", "the upload broke off", e) ||
					   catalog_db_import_clean(pg, s->id, e)
				 : catalog_db_import_complete(pg, s->id, digest, e))
			return e->code;
	} else if (digest.len && s->digest.len &&
		   (digest.len != s->digest.len || memcmp(digest.data, s->digest.data, digest.len) != 0)) {
		return another_file(s, e);
	}
	return import_reply(t->c, pg, s->id, t->out, e);
}

static enum err_code catalog_import_close(struct call *c, const Catalog__V1__ImportCloseRequest *in,
					  Catalog__V1__Import *out)
{
	struct close_tx t = { c, in, out };

	if (call_vendor(c, "vendor.catalog"))
		return c->err.code;
	check_id(&c->err, "import_id", in->import_id, "imp");
	if (in->has_digest && in->digest.len != SHA256_LEN)
		err_detail(&c->err, "digest", NULL, "must be %d bytes", SHA256_LEN);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "import close");
	return call_tx(c, CALL_TX_PLAIN, close_tx, &t);
}

/* ---- reading ---- */

static enum err_code catalog_get_import(struct call *c, const Catalog__V1__GetImportRequest *in,
					Catalog__V1__Import *out)
{
	struct pg *pg;

	if (call_vendor(c, "vendor.catalog"))
		return c->err.code;
	check_id(&c->err, "import_id", in->import_id, "imp");
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "import");
	if (call_pg(c, &pg))
		return c->err.code;
	enum err_code code = import_reply(c, pg, in->import_id, out, &c->err);

	pg_return(pg);
	out->hdr_location = NULL;
	return code;
}

static enum err_code catalog_list_imports(struct call *c, const Catalog__V1__ListImportsRequest *in,
					  Catalog__V1__ListImportsReply *out)
{
	struct page page;
	struct import_state *rows = NULL;
	size_t n = 0;
	struct pg *pg;
	const char *filter;
	enum err_code code;

	if (call_vendor(c, "vendor.catalog"))
		return c->err.code;
	filter = arena_printf(c->arena, "imports|%s", c->who.vendor_id);
	if (page_of(c, in, filter, "t", &page) || call_pg(c, &pg))
		return c->err.code;
	code = catalog_db_imports(pg, c->arena, c->who.vendor_id, page_text(&page, 0, NULL), page.limit + 1, &rows, &n,
				  &c->err);
	pg_return(pg);
	if (code)
		return code;
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < page_shown(&page, n); i++) {
		Catalog__V1__Import *m = arena_alloc(c->arena, sizeof(*m));

		catalog__v1__import__init(m);
		import_fill(c, &rows[i], m);
		m->hdr_location = NULL;
		out->data[out->n_data++] = m;
	}
	if (page_more(&page, n))
		out->next_cursor = page_next(c, &page, rows[page.limit - 1].id);
	return OK;
}

static enum err_code read_errors(struct call *c, struct pg *pg, const char *id, int64_t after, int32_t limit,
				 struct import_error_row **rows_r, size_t *n_r)
{
	struct import_state *s = NULL;
	bool found = false;

	if (catalog_db_import(pg, c->arena, id, c->who.vendor_id, false, &s, &found, &c->err))
		return c->err.code;
	if (!found)
		return err_set(&c->err, E_NOT_FOUND, "catalog.import_unknown", "%s", id);
	return catalog_db_import_errors(pg, c->arena, id, after, limit, rows_r, n_r, &c->err);
}

static enum err_code catalog_list_import_errors(struct call *c, const Catalog__V1__ImportErrorsRequest *in,
						Catalog__V1__ImportErrorsReply *out)
{
	struct page page;
	struct import_error_row *rows = NULL;
	size_t n = 0;
	struct pg *pg;
	const char *filter;
	enum err_code code;

	if (call_vendor(c, "vendor.catalog"))
		return c->err.code;
	check_id(&c->err, "import_id", in->import_id, "imp");
	filter = arena_printf(c->arena, "import_errors|%s", in->import_id);
	if (page_of(c, in, filter, "i", &page) || call_pg(c, &pg))
		return c->err.code;
	code = read_errors(c, pg, in->import_id, page_int(&page, 0, 0), page.limit + 1, &rows, &n);
	pg_return(pg);
	if (code)
		return code;
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < page_shown(&page, n); i++) {
		Catalog__V1__ImportError *m = arena_alloc(c->arena, sizeof(*m));

		catalog__v1__import_error__init(m);
		m->has_row = true;
		m->row = rows[i].row;
		m->field = (char *)rows[i].field;
		m->message = (char *)rows[i].message;
		m->value = (char *)rows[i].value;
		out->data[out->n_data++] = m;
	}
	if (page_more(&page, n))
		out->next_cursor = page_next(c, &page, rows[page.limit - 1].n);
	return OK;
}
