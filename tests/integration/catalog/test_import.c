/* Imports on a real PostgreSQL: however the bytes are cut, every row is read once and applied once, or refused with a reason. */
#include "tests/integration/catalog/world.h"

#include <pthread.h>

#include "common/buf.h"
#include "services/catalog/import.h"

#define STAGED "SELECT (SELECT count(*) FROM catalog.import_chunk) + (SELECT count(*) FROM catalog.import_row)"

static void *work(void *arg)
{
	struct arena *a = arena_new("job", 64 << 20);
	struct err e = { 0 };

	(void)arg;
	if (import_work(&w.svc, a, &e))
		fail_msg("import: %s %s", e.slug, e.msg);
	arena_free(a);
	return NULL;
}

static Catalog__V1__Import *import(const char *format, const char *policy, const char *text, size_t piece)
{
	struct principal one = who_vendor(w.vendor[0], own_perm);
	Catalog__V1__ImportBeginRequest begin = CATALOG__V1__IMPORT_BEGIN_REQUEST__INIT;
	Catalog__V1__ImportChunkRequest chunk = CATALOG__V1__IMPORT_CHUNK_REQUEST__INIT;
	Catalog__V1__ImportCloseRequest close = CATALOG__V1__IMPORT_CLOSE_REQUEST__INIT;
	Catalog__V1__GetImportRequest get = CATALOG__V1__GET_IMPORT_REQUEST__INIT;
	Catalog__V1__Import *im = NULL;
	size_t n = strlen(text);
	pthread_t other;
	struct err e = { 0 };

	begin.format = (char *)format;
	begin.policy = (char *)policy;
	begin.has_publish = begin.publish = true;
	begin.category_attribute = (char *)"product_type";
	MUST(ASK("ImportBegin", &one, &begin, &im, &why_));
	chunk.import_id = close.import_id = get.import_id = im->id;
	chunk.has_seq = chunk.has_data = true;
	for (size_t at = 0; at < n; at += piece, chunk.seq++) {
		chunk.data = (ProtobufCBinaryData){ n - at < piece ? n - at : piece, (uint8_t *)text + at };
		MUST(ASK("ImportChunk", &one, &chunk, NULL, &why_));
		MUST(ASK("ImportChunk", &one, &chunk, NULL, &why_)); /* a repeated chunk is stored once */
	}
	chunk.seq += 2;
	if (n)
		assert_int_equal(ASK("ImportChunk", &one, &chunk, NULL, &e), E_CONFLICT);
	MUST(ASK("ImportClose", &one, &close, NULL, &why_));
	/* Two at once, as when a lease ran out under a worker that is slow but not dead. */
	assert_int_equal(pthread_create(&other, NULL, work, NULL), 0);
	work(NULL);
	pthread_join(other, NULL);
	/* One run of the job ends after two seconds, and a busy machine needs several. */
	for (int i = 0; i < 100 && pg_fixture_i64(w.fx, STAGED); i++)
		work(NULL);
	MUST(ASK("GetImport", &one, &get, &im, &why_));
	assert_int_equal(pg_fixture_i64(w.fx, STAGED), 0);
	return im;
}

static Catalog__V1__ImportErrorsReply *errors_of(const char *id)
{
	struct principal one = who_vendor(w.vendor[0], own_perm);
	Catalog__V1__ImportErrorsRequest in = CATALOG__V1__IMPORT_ERRORS_REQUEST__INIT;
	Catalog__V1__ImportErrorsReply *r = NULL;

	in.import_id = (char *)id;
	in.has_limit = true;
	in.limit = 100;
	MUST(ASK("ListImportErrors", &one, &in, &r, &why_));
	return r;
}

static const char jsonl[] =
	"{\"id\":\"J1\",\"title\":\"Toner \\u00e9l\\u00e9gant\",\"supplier\":\"Xerox\",\"price\":4995,\"ean\":[\"0095205603217\"],"
	"\"attr_t_product_type\":\"Laser toner\",\"attr_n_pages\":23000.0,\"attr_b_recycled\":false}\n"
	"\n"
	"{\"id\":\"J2\",\"title\":\"No price at all\"}\r\n"
	"{\"key\":\"J3\",\"title\":\"Shirt\",\"variants\":[{\"sku\":\"J3-S\",\"price\":\"19.90\",\"on_hand\":4},"
	"{\"sku\":\"J3-M\",\"price\":{\"amount\":2000,\"currency\":\"EUR\"}}]}";

/* An import makes no category without end: rows that would need one more are refused, those with a known one are not. */
static void test_import_of_too_many_categories(void **state)
{
	static const char rows[] = "{\"id\":\"MANY1\",\"title\":\"One\",\"product_type\":\"Filler 1\"}\n"
				   "{\"id\":\"MANY2\",\"title\":\"Two\",\"product_type\":\"One too many\"}\n";
	Catalog__V1__ImportErrorsReply *errors;
	Catalog__V1__Import *im;

	(void)state;
	pg_fixture_sql(w.fx, "INSERT INTO catalog.category (id, slug, name, path) SELECT 'cat_f' || i, 'filler-' || i, 'Filler',"
			     " ARRAY['cat_f' || i] FROM generate_series(1, %d) i", CATALOG_DERIVED_MAX);
	im = import("jsonl", "reject_bad_rows", rows, sizeof(rows));
	assert_string_equal(im->state, "done");
	assert_int_equal(im->products_created, 1);
	assert_int_equal(im->rows_bad, 1);
	errors = errors_of(im->id);
	assert_int_equal(errors->n_data, 1);
	assert_int_equal(errors->data[0]->row, 2);
	assert_string_equal(errors->data[0]->field, "categories");
	pg_fixture_sql(w.fx, "DELETE FROM catalog.product_category WHERE category_id LIKE 'cat_f%%'");
	pg_fixture_sql(w.fx, "DELETE FROM catalog.category WHERE id LIKE 'cat_f%%'");
}

/* However the bytes are cut, the same rows come out; a repetition changes nothing; a changed row changes its product alone. */
static void test_import_jsonl(void **state)
{
	static const size_t pieces[] = { 4096, 7, 1 };
	char changed[sizeof(jsonl)];
	Catalog__V1__Import *im;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		im = import("jsonl", "reject_all", jsonl, pieces[i]);
		assert_string_equal(im->state, "done");
		assert_int_equal(im->rows_read, 3);
		assert_int_equal(im->rows_bad, 0);
		assert_int_equal(im->percent, 100);
		assert_int_equal(im->products_created, i ? 0 : 3);
		assert_int_equal(im->products_unchanged, i ? 3 : 0);
	}
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM catalog.category WHERE slug = 'laser-toner'"), 1);
	assert_string_equal(pg_fixture_text(w.fx, "SELECT attributes ->> 'product_type' FROM catalog.product WHERE import_key = 'J1'"),
			    "Laser toner");
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT p.minor FROM catalog.price p JOIN catalog.variant v ON v.id = p.variant_id"
					      " WHERE v.sku = 'J3-S' AND p.currency = 'USD'"), 1990);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM catalog.import_chunk"), 0);
	memcpy(changed, jsonl, sizeof(jsonl));
	memcpy(strstr(changed, "4995"), "4895", 4);
	im = import("jsonl", "reject_all", changed, 100);
	assert_int_equal(im->products_updated, 1);
	assert_int_equal(im->products_unchanged, 2);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT p.minor FROM catalog.price p JOIN catalog.variant v ON v.id = p.variant_id"
					      " WHERE v.sku = 'J1'"), 4895);
}

static void test_import_csv(void **state)
{
	static const char csv[] = "\xef\xbb\xbfkey,sku,title,price,on_hand,attr:colour,option:size,description\r\n"
				  "C1,C1-S,\"Coat, long\",10.5,3,blue,S,\"He said \"\"warm\"\"\r\nand two lines\"\r\n"
				  "C1,C1-M,\"Coat, long\",10.50,4,blue,M,\r\n"
				  "C2,C2,Hat,,0,,,\n";
	Catalog__V1__Import *im;

	(void)state;
	im = import("csv", "reject_all", csv, 5);
	assert_string_equal(im->state, "done");
	assert_int_equal(im->rows_read, 3);
	assert_int_equal(im->products_created, 2);
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM catalog.variant v JOIN catalog.product p ON p.id = v.product_id"
					      " WHERE p.import_key = 'C1'"), 2);
	assert_string_equal(pg_fixture_text(w.fx, "SELECT description FROM catalog.product WHERE import_key = 'C1'"),
			    "He said \"warm\"\r\nand two lines");
}

static void test_import_errors(void **state)
{
	static const char bad[] = "{\"id\":\"E1\",\"title\":\"Good\"}\n"
				  "{\"id\":\"E2\"}\n"
				  "not json\n"
				  "{\"id\":\"E4\",\"title\":\"Twice\",\"sku\":\"SAME-SKU\"}\n"
				  "{\"id\":\"E5\",\"title\":\"Twice\",\"sku\":\"SAME-SKU\"}\n"
				  "{\"id\":\"E6\",\"title\":\"Taken\",\"sku\":\"POT\"}\n"
				  "{\"id\":\"E7\",\"title\":\"Lost\",\"categories\":[\"nowhere\"]}\n"
				  "{\"id\":\"E8\",\"title\":\"Cheap\",\"price\":-5}\n"
				  "{\"id\":\"E9\",\"title\":\"Bad \xff byte\"}\n"
				  "[1,2]\n";
	Catalog__V1__ImportErrorsReply *r;
	Catalog__V1__Product *p = NULL;
	Catalog__V1__Import *im;
	int64_t before;

	(void)state;
	MUST(create(w.vendor[0], "Pot", "POT", 1500, true, &p, &why_));
	before = pg_fixture_i64(w.fx, "SELECT count(*) FROM catalog.product");
	im = import("jsonl", "reject_all", bad, 50);
	assert_string_equal(im->state, "rejected");
	assert_int_equal(pg_fixture_i64(w.fx, "SELECT count(*) FROM catalog.product"), before);
	im = import("jsonl", "reject_bad_rows", bad, 50);
	assert_string_equal(im->state, "done");
	assert_int_equal(im->rows_read, 10);
	assert_int_equal(im->rows_bad, 8);
	assert_int_equal(im->products_created, 2);
	r = errors_of(im->id);
	assert_int_equal(r->n_data, 8);
	assert_int_equal(r->data[0]->row, 2);
	assert_string_equal(r->data[0]->field, "title");
}

static void test_import_hostile(void **state)
{
	char *huge = malloc(1600000);

	(void)state;
	assert_string_equal(import("jsonl", "reject_all", "", 10)->state, "rejected");
	assert_string_equal(import("csv", "reject_all", "only,a,header\n", 10)->state, "rejected");
	memset(huge, 'x', 1599999);
	huge[1599999] = '\0';
	assert_string_equal(import("jsonl", "reject_all", huge, 256 * 1024)->state, "failed");
	free(huge);
	assert_string_equal(import("csv", "reject_bad_rows", "sku,title\n\"open,quote\n", 10)->state, "done");
}

/* Many small rows of several variants each: every row is read once and applied once, however many work. */
static void test_import_exact(void **state)
{
	struct buf text;
	Catalog__V1__Import *im;

	(void)state;
	buf_init(&text, 1 << 20);
	for (int i = 0; i < 300; i++)
		buf_fmt(&text, "{\"id\":\"X%d\",\"title\":\"Exact %d\",\"variants\":[{\"sku\":\"X%d-A\"},{\"sku\":\"X%d-B\"}]}\n",
			i, i, i, i);
	buf_add(&text, "", 1);
	assert_false(buf_over(&text));
	im = import("jsonl", "reject_all", text.data, 700);
	buf_free(&text);
	assert_string_equal(im->state, "done");
	assert_int_equal(im->rows_read, 300);
	assert_int_equal(im->rows_bad, 0);
	assert_int_equal(im->products_created, 300);
	assert_int_equal(im->rows_applied, 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_import_jsonl),
		cmocka_unit_test(test_import_of_too_many_categories),
		cmocka_unit_test(test_import_csv),
		cmocka_unit_test(test_import_errors),
		cmocka_unit_test(test_import_hostile),
		cmocka_unit_test(test_import_exact),
	};

	return cmocka_run_group_tests_name("catalog import", tests, open_world, close_world);
}
