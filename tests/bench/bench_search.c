/*
 * The search at scale: so many made-up products (titles, texts, attributes, brands, categories; words as rare and as common
 * as in a language) are put into a database of their own, then queries of several classes run through the daemon's
 * handlers, one after the other and sixteen at a time. Every figure stands beside a plain AND query of the same run.
 *
 *	TEST_PG_ADMIN=dsn [TEST_PG_KEEP=database] bench_search PRODUCTS [SECONDS [ORIGINALS [CLASS]]]
 *
 * Beyond ORIGINALS (100000), products are copies of the first ones under other ids. A database that is kept has its
 * products for the next run. With CLASS only classes whose name has it are measured (and the plain AND query).
 * BENCH_REST=file has a hundred queries of each class written there, as "class, tab, path": for another one to ask.
 */
#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/crypto.h"
#include "common/cursor.h"
#include "common/log.h"
#include "common/timeutil.h"
#include "search.pb-c.h"
#include "services/search/dict.h"
#include "services/search/index.h"
#include "services/search/known.h"
#include "services/search/search_db_index.h"
#include "services/search/search_db_query.h"
#include "services/search/suggest.h"
#include "support/handlers.h"
#include "support/pg_fixture.h"

enum { WORDS = 30000, BRANDS = 2000, CATEGORIES = 200, VENDORS = 50, BATCH = 500, THREADS = 16, RUNS = 400, TEXT = 512 };

extern const struct migration search_migrations[];

static struct {
	struct pg_fixture *fx;
	struct search_conf conf;
	struct search_svc svc;
	struct handlers h;
	int64_t products, originals;
	double and_p50;
	struct arena *pids;
} w;

#define MUST(expr)                                                                                 \
	do {                                                                                       \
		struct err why_ = { 0 };                                                           \
		if ((expr) != OK) {                                                                \
			fprintf(stderr, "%s: %s %s\n", #expr, why_.slug, why_.msg);                \
			exit(EXIT_FAILURE);                                                        \
		}                                                                                  \
	} while (0)

/* ---- made-up goods: product i is always the same ---- */

static uint64_t mixed(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static uint64_t draw(uint64_t *s)
{
	return mixed((*s)++);
}

static const char *word_of(struct arena *a, uint64_t rank)
{
	static const char *const heads[] = { "ba", "ko", "ri", "mu", "te", "sla", "dro", "vi", "na", "pel",
					     "gar", "lo", "hen", "ci", "fu", "zor" };
	static const char *const tails[] = { "n", "r", "x", "l", "t", "m", "ck", "sh" };
	uint64_t x = mixed(rank);

	return arena_printf(a, "%s%s%s%s", heads[x & 15], heads[x >> 4 & 15], rank > 300 ? heads[x >> 8 & 15] : "",
			    tails[x >> 12 & 7]);
}

/* Zipf: the word of rank r is about 1/r as frequent as the first. */
static uint64_t rank_of(uint64_t *s)
{
	double u = (double)(draw(s) >> 11) / 9007199254740992.0;

	return (uint64_t)exp(u * log(WORDS));
}

static char *text_of(struct arena *a, uint64_t *s, size_t n)
{
	char *t = arena_strdup(a, "");

	for (size_t i = 0; i < n; i++)
		t = arena_printf(a, "%s%s%s", t, i ? " " : "", word_of(a, rank_of(s)));
	return t;
}

static char *title_of(struct arena *a, int64_t i)
{
	uint64_t s = (uint64_t)i << 20;
	size_t n = 4 + draw(&s) % 5;

	return arena_printf(a, "%s %s", text_of(a, &s, n), i % 3 ? "" : arena_printf(a, "MX-%d", (int)i));
}

static char *brand_of(struct arena *a, int64_t i)
{
	return arena_printf(a, "%s Works", word_of(a, 40000 + mixed((uint64_t)i) % BRANDS));
}

static Common__V1__Money *price_of(struct arena *a, int64_t i)
{
	Common__V1__Money *m = arena_alloc(a, sizeof(*m));

	common__v1__money__init(m);
	m->has_amount = true;
	m->amount = 100 + (int64_t)(mixed((uint64_t)i + 7) % 100000);
	m->currency = (char *)"USD";
	return m;
}

static Catalog__V1__ExportedProduct *product_of(struct arena *a, int64_t i)
{
	Catalog__V1__ExportedProduct *p = arena_alloc(a, sizeof(*p));
	Catalog__V1__ExportedCategory *c = arena_alloc(a, sizeof(*c));
	Catalog__V1__ExportedPrice *price = arena_alloc(a, sizeof(*price));
	uint64_t s = ((uint64_t)i << 20) + 1000, category = draw(&s) % CATEGORIES;
	static const char *const colors[] = { "black", "white", "red", "blue", "green", "grey", "brown", "silver" };

	catalog__v1__exported_product__init(p);
	catalog__v1__exported_category__init(c);
	catalog__v1__exported_price__init(price);
	p->id = arena_printf(a, "prd_%026lld", (long long)i);
	p->slug = arena_printf(a, "product-%lld", (long long)i);
	p->title = title_of(a, i);
	p->description = text_of(a, &s, 30);
	p->brand = brand_of(a, i);
	p->vendor_id = arena_printf(a, "vnd_%d", (int)(draw(&s) % VENDORS));
	p->vendor_name = p->vendor_slug = p->vendor_id;
	p->availability = (char *)(draw(&s) % 10 ? "in" : "out");
	p->attributes = arena_alloc(a, sizeof(*p->attributes));
	common__v1__json__init(p->attributes);
	p->attributes->text = arena_printf(a, "{\"color\":\"%s\",\"size\":%d,\"material\":\"%s\"}", colors[draw(&s) % 8],
					   (int)(draw(&s) % 40), word_of(a, 50000 + draw(&s) % 60));
	c->id = arena_printf(a, "cat_%llu", (unsigned long long)category);
	c->slug = c->id;
	c->name = (char *)word_of(a, 60000 + category);
	p->categories = arena_dup(a, &c, sizeof(c));
	p->n_categories = 1;
	price->price = price_of(a, i);
	p->prices = arena_dup(a, &price, sizeof(price));
	p->n_prices = 1;
	p->has_sold_30d = p->has_rating_x100 = p->has_rating_count = p->has_visible = p->visible = true;
	p->sold_30d = (int32_t)(draw(&s) % 1000 * (draw(&s) % 20 == 0));
	p->rating_x100 = 100 + (int32_t)(draw(&s) % 400);
	p->rating_count = (int32_t)(draw(&s) % 50);
	p->published_at = i;
	return p;
}

static enum err_code put_tx(struct pg *pg, void *arg, struct err *e)
{
	return index_put(pg, arg, e);
}

/* Words stand in as many products more as there are copies. The large indexes are made once, at the end. */
static void copy(void)
{
	static const char *const steps[] = {
		"CREATE TEMP TABLE made_again AS SELECT replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') AS sql,"
		" indexrelid::regclass AS name"
		" FROM pg_index WHERE indrelid = 'search.doc'::regclass AND NOT indisunique",
		"DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM made_again LOOP EXECUTE 'DROP INDEX ' || r.name;"
		" END LOOP; END $$",
		"DO $$ BEGIN EXECUTE (SELECT 'INSERT INTO search.doc (' || string_agg(attname::text, ',') || ') SELECT '"
		" || string_agg(CASE attname::text WHEN 'product_id' THEN 'product_id || ''x'' || k'"
		" WHEN 'tier' THEN 'CASE WHEN hashtext(product_id || k) % 64 = 0 THEN 0"
		" WHEN hashtext(product_id || k) % 8 = 0 THEN 1 ELSE 2 END' ELSE attname::text END, ',')"
		" || ' FROM search.doc, generate_series(2, (SELECT n FROM copies)) AS k' FROM pg_attribute"
		" WHERE attrelid = 'search.doc'::regclass AND attnum > 0 AND NOT attisdropped); END $$",
		"UPDATE search.word SET df = df * (SELECT n FROM copies)",
		"UPDATE search.total SET docs = docs * c.n, len_a = len_a * c.n, len_b = len_b * c.n, len_c = len_c * c.n,"
		" len_d = len_d * c.n FROM copies c",
		"SET maintenance_work_mem = '512MB'",
		"DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM made_again LOOP EXECUTE r.sql; END LOOP; END $$",
	};

	if (w.products < 2 * w.originals)
		return;
	pg_fixture_sql(w.fx, "CREATE TEMP TABLE copies AS SELECT %lld::integer AS n", (long long)(w.products / w.originals));
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		fprintf(stderr, "copies: step %zu\n", i + 1);
		pg_fixture_sql(w.fx, "%s", steps[i]);
	}
}

static enum err_code tiers_tx(struct pg *pg, void *arg, struct err *e)
{
	(void)arg;
	return search_db_tiers(pg, e);
}

static void fill(struct arena *a)
{
	const struct pg_actor who = { "system", "" };
	int64_t begun = mono_ms(), originals = w.products < w.originals ? w.products : w.originals;

	if (pg_fixture_i64(w.fx, "SELECT coalesce(sum(docs), 0) FROM search.total") == w.products)
		return;
	for (int64_t at = 0; at < originals; at += BATCH) {
		Catalog__V1__ExportedProduct *p[BATCH];
		const char *ids[BATCH];
		struct index_batch b = { .svc = &w.svc, .arena = a, .products = p, .ids = ids };

		arena_reset(a);
		for (; b.n_products < BATCH && at + (int64_t)b.n_products < originals; b.n_products++) {
			p[b.n_products] = product_of(a, at + (int64_t)b.n_products);
			ids[b.n_products] = p[b.n_products]->id;
		}
		b.n_ids = b.n_products;
		MUST(pg_tx(w.svc.pool, mono_ms() + 600000, &who, put_tx, &b, &why_));
		if (at % 50000 == 0)
			fprintf(stderr, "%lld of %lld\n", (long long)at, (long long)originals);
	}
	printf("indexed: %lld products, %.0f a second\n", (long long)originals,
	       (double)originals * 1000 / (double)(mono_ms() - begun + 1));
	copy();
	pg_fixture_sql(w.fx, "VACUUM ANALYZE search.doc");
	pg_fixture_sql(w.fx, "ANALYZE search.word, search.query_day");
	MUST(pg_tx(w.svc.pool, mono_ms() + 600000, &who, tiers_tx, NULL, &why_));
}

/* ---- queries ---- */

struct class {
	const char *name;
	char *(*text)(struct arena *a, uint64_t *s);
	bool facets, filters, suggest, plain;
	double goal_p95, goal_p99; /* ms; 0: none */
};

static char *words_of_title(struct arena *a, int64_t product, size_t n)
{
	char *t = title_of(a, product), *out = arena_strdup(a, ""), *save = NULL;

	for (char *p = strtok_r(t, " ", &save); p && n; p = strtok_r(NULL, " ", &save), n--)
		out = arena_printf(a, "%s%s%s", out, *out ? " " : "", p);
	return out;
}

static int64_t any(uint64_t *s)
{
	return (int64_t)(draw(s) % (uint64_t)(w.products < w.originals ? w.products : w.originals));
}

static char *one_word(struct arena *a, uint64_t *s)
{
	return arena_strdup(a, word_of(a, rank_of(s)));
}

static char *two_words(struct arena *a, uint64_t *s)
{
	return words_of_title(a, any(s), 2);
}

static char *three_words(struct arena *a, uint64_t *s)
{
	return words_of_title(a, any(s), 3);
}

static char *strangers(struct arena *a, uint64_t *s)
{
	return arena_printf(a, "%s %s", words_of_title(a, any(s), 2), words_of_title(a, any(s), 2));
}

static char *with_typo(struct arena *a, uint64_t *s)
{
	char *t = words_of_title(a, any(s), 2);
	size_t at = 1 + draw(s) % 3;

	if (strlen(t) > at)
		t[at] = 'q';
	return t;
}

static char *code(struct arena *a, uint64_t *s)
{
	return arena_printf(a, "mx-%lld", (long long)(any(s) / 3 * 3));
}

static char *beginning(struct arena *a, uint64_t *s)
{
	char *t = words_of_title(a, any(s), 1 + draw(s) % 3);
	size_t n = strlen(t), cut = 1 + draw(s) % 6;

	t[n > cut ? n - cut : 1] = '\0';
	return t;
}

static char *beginning_with_typo(struct arena *a, uint64_t *s)
{
	char *t = beginning(a, s);

	if (strlen(t) > 4)
		t[2 + draw(s) % 2] = 'q';
	return t;
}

static const struct class classes[] = {
	{ "plain AND, 24 rows", two_words, .plain = true },
	{ "one word", one_word, .goal_p95 = 15, .goal_p99 = 30 },
	{ "two words", two_words, .goal_p95 = 15, .goal_p99 = 30 },
	{ "three words", three_words, .goal_p95 = 15, .goal_p99 = 30 },
	{ "words of two titles", strangers, .goal_p95 = 15, .goal_p99 = 30 },
	{ "a typo", with_typo, .goal_p95 = 15, .goal_p99 = 30 },
	{ "a model number", code, .goal_p95 = 15, .goal_p99 = 30 },
	{ "two words, filters", two_words, .filters = true, .goal_p95 = 15, .goal_p99 = 30 },
	{ "two words, facets", two_words, .facets = true, .goal_p95 = 25 },
	{ "facets of 3 filters", two_words, .filters = true, .facets = true },
	{ "suggestion", beginning, .suggest = true, .goal_p95 = 2 },
	{ "suggestion, a typo", beginning_with_typo, .suggest = true, .goal_p95 = 2 },
};

static void plain(struct arena *a, const char *text)
{
	struct filters f = { .currency = "USD" };
	struct query q;
	struct candidate *rows = NULL;
	struct pg *pg = NULL;
	size_t n = 0;

	known_query(w.svc.known, a, w.svc.dict, "en", text, &q);
	if (q.n == 0)
		return;
	MUST(pg_borrow(w.svc.pool, 0, &pg, &why_));
	MUST(search_db_candidates(pg, a, "en", query_stage(a, &q, 1), &f, TIER_ALL, 24, &rows, &n, &why_));
	pg_return(pg);
}

/* One request; how many results it had. */
static size_t ask(struct arena *a, const struct class *k, const char *text)
{
	Search__V1__SearchRequest in = SEARCH__V1__SEARCH_REQUEST__INIT;
	Search__V1__SuggestRequest part = SEARCH__V1__SUGGEST_REQUEST__INIT;
	Search__V1__SearchReply *out = NULL;
	Search__V1__SuggestReply *words = NULL;
	char *none[] = { (char *)"none" };

	if (k->plain)
		return plain(a, text), 1;
	if (k->suggest) {
		part.q = (char *)text;
		MUST(handlers_ask(&w.h, a, "Suggest", &who_nobody, &part, &words, &why_));
		return words->n_data;
	}
	in.q = (char *)text;
	in.facet = none;
	in.n_facet = k->facets ? 0 : 1;
	in.has_in_stock = in.has_price_min = in.has_rating_min = k->filters;
	in.in_stock = k->filters;
	in.price_min = 5000;
	in.rating_min = k->filters ? 2 : 0;
	MUST(handlers_ask(&w.h, a, "Search", &who_nobody, &in, &out, &why_));
	return out->n_data;
}

/* Words are letters, digits and hyphens. */
static char *path_of(struct arena *a, const struct class *k, const char *text)
{
	char *words = arena_strdup(a, text);

	for (char *p = words; *p; p++)
		*p = *p == ' ' ? '+' : *p;
	if (k->suggest)
		return arena_printf(a, "/api/search/suggest?q=%s", words);
	return arena_printf(a, "/api/search?q=%s%s%s", words, k->facets ? "" : "&facet=none",
			    k->filters ? "&in_stock=true&price_min=5000&rating_min=2" : "");
}

static void write_paths(struct arena *a, const char *file)
{
	FILE *f = fopen(file, "we");

	if (!f)
		return perror(file), exit(EXIT_FAILURE);
	for (size_t k = 0; k < sizeof(classes) / sizeof(*classes); k++) {
		uint64_t s = 4711;

		for (int i = 0; i < 100 && !classes[k].plain; i++) {
			arena_reset(a);
			fprintf(f, "%s\t%s\n", classes[k].name, path_of(a, &classes[k], classes[k].text(a, &s)));
		}
	}
	(void)fclose(f);
}

/* Spent so far by this process and by what serves it in PostgreSQL, when that runs on this machine; ms. */
static double cpu(void)
{
	char *pids = arena_strdup(w.pids, pg_fixture_text(w.fx, "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity"
								 " WHERE datname = current_database()")),
	     *save = NULL;
	struct timespec t;
	double ms;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	ms = (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1000000;
	for (char *pid = strtok_r(pids, " ", &save); pid; pid = strtok_r(NULL, " ", &save)) {
		FILE *f = fopen(arena_printf(w.pids, "/proc/%s/stat", pid), "re");
		unsigned long user = 0, system = 0;

		if (f && fscanf(f, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2)
			ms += (double)(user + system) * 1000 / (double)sysconf(_SC_CLK_TCK);
		if (f)
			(void)fclose(f);
	}
	arena_reset(w.pids);
	return ms;
}

static int by_time(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static bool measure(const struct class *k, struct arena *a)
{
	static double ms[RUNS];
	uint64_t s = 4711;
	size_t found = 0;
	double spent = cpu();

	for (int i = -RUNS / 8; i < RUNS; i++) { /* the first ones warm what there is to be warm */
		int64_t begun;
		char text[TEXT];

		arena_reset(a);
		snprintf(text, sizeof(text), "%s", k->text(a, &s));
		begun = mono_us();
		found += ask(a, k, text) > 0;
		if (i >= 0)
			ms[i] = (double)(mono_us() - begun) / 1000;
	}
	spent = (cpu() - spent) / (RUNS + RUNS / 8);
	qsort(ms, RUNS, sizeof(*ms), by_time);
	if (k->plain)
		w.and_p50 = ms[RUNS / 2];
	const double p95 = ms[RUNS * 95 / 100], p99 = ms[RUNS * 99 / 100];
	bool good = (k->goal_p95 <= 0 || p95 <= k->goal_p95) && (k->goal_p99 <= 0 || p99 <= k->goal_p99);

	printf("%-22s %8.2f %8.2f %8.2f %8.2f %8.1f %7zu %% %s\n", k->name, ms[RUNS / 2], p95, p99, spent,
	       ms[RUNS / 2] / w.and_p50, found * 100 / (RUNS + RUNS / 8), k->goal_p95 <= 0 ? "" : good ? "ok" : "OVER");
	fflush(stdout);
	return good;
}

/* ---- sixteen at a time ---- */

static atomic_bool stop;
static atomic_long answered;

static void *client(void *arg)
{
	struct arena *a = arena_new("client", 64 << 20);
	uint64_t s = (uint64_t)(uintptr_t)arg * 1000003;

	for (int i = 0; !atomic_load(&stop); i++) {
		arena_reset(a);
		(void)ask(a, &classes[1 + i % 3], classes[1 + i % 3].text(a, &s));
		atomic_fetch_add(&answered, 1);
	}
	arena_free(a);
	return NULL;
}

static double throughput(int seconds)
{
	pthread_t t[THREADS];
	int64_t begun = mono_ms();

	for (size_t i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, client, (void *)(i + 1)) != 0)
			exit(EXIT_FAILURE);
	while (mono_ms() < begun + seconds * 1000LL)
		(void)nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	atomic_store(&stop, true);
	for (size_t i = 0; i < THREADS; i++)
		(void)pthread_join(t[i], NULL);
	return (double)atomic_load(&answered) * 1000 / (double)(mono_ms() - begun);
}

/* Of this process, shared pages by their share; MB. */
static double memory(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "re");
	char line[256];
	double mb = 0;

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "Pss:", 4) == 0)
			mb = strtod(line + 4, NULL) / 1024;
	if (f)
		(void)fclose(f);
	return mb;
}

int main(int argc, char **argv)
{
	struct arena *a = arena_new("bench", 256 << 20);
	struct key32 key;
	struct err e = { 0 };
	double spent, rate;
	int seconds = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 5, over = 0;
	int64_t begun;

	w.products = argc > 1 ? strtoll(argv[1], NULL, 10) : 0;
	w.originals = argc > 3 ? strtoll(argv[3], NULL, 10) : 100000;
	if (w.products < 1 || seconds < 1 || w.originals < 1)
		return fprintf(stderr, "usage: bench_search PRODUCTS [SECONDS [ORIGINALS [CLASS]]]\n"), 2;
	log_init("bench", LVL_ERROR);
	w.pids = arena_new("pids", 1 << 20);
	random_bytes(&key, sizeof(key));
	cursor_use_key(&key);
	w.fx = pg_fixture_open("search", search_migrations);
	w.conf = (struct search_conf){ .lang = "en", .currency = "USD", .suggest_products = 100000, .suggest_people = 5,
				       .suggest_days = 2, .d = { .redis_url = "" } };
	w.svc = (struct search_svc){ .conf = &w.conf, .pool = pg_fixture_pool(w.fx, search_stmts, THREADS), .dict = dict_new(),
				     .known = known_new(), .suggest = suggest_new() };
	if (cache_open("", 1, 100, &w.svc.cache, &e))
		return EXIT_FAILURE;
	w.h = (struct handlers){ search_services, w.svc.pool, &w.svc };
	fill(a);
	if (getenv("BENCH_REST"))
		write_paths(a, getenv("BENCH_REST"));
	MUST(known_refresh(&w.svc, a, &why_));
	begun = mono_ms();
	MUST(suggest_load(&w.svc, &why_));
	printf("suggestions made in %.1f s; dictionary: %zu words\n", (double)(mono_ms() - begun) / 1000, dict_size(w.svc.dict));
	printf("%-22s %8s %8s %8s %8s %8s %9s\n", "ms in the daemon", "p50", "p95", "p99", "mean CPU", "p50/AND", "not empty");
	for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++)
		if (argc < 5 || classes[i].plain || strstr(classes[i].name, argv[4]))
			over += !measure(&classes[i], a);
	spent = cpu();
	rate = throughput(seconds);
	spent = (cpu() - spent) / (double)atomic_load(&answered);
	printf("%d clients, uncached: %.0f queries a second (goal 300); %.2f ms of CPU each: %.0f on two idle cores\n", THREADS,
	       rate, spent, 2000 / spent);
	arena_reset(a);
	(void)malloc_trim(0);
	printf("memory: %.0f MB (goal 150 at a million)\nover their goals on this machine: %d classes\n", memory(), over);
	pg_pool_close(w.svc.pool);
	cache_close(w.svc.cache);
	suggest_free(w.svc.suggest);
	known_free(w.svc.known);
	dict_free(w.svc.dict);
	pg_fixture_close(w.fx);
	arena_free(w.pids);
	arena_free(a);
	return EXIT_SUCCESS;
}
