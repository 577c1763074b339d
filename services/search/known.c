#include "services/search/known.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"
#include "common/timeutil.h"
#include "services/search/people.h"
#include "services/search/search_db_admin.h"
#include "services/search/search_db_index.h"
#include "services/search/search_db_query.h"

#define ASKED_MAX 512
#define ASKED_TEXT 120
#define PAGE 5000

struct asked {
	char lang[8], text[ASKED_TEXT + 1];
	int64_t searches, empty, people;
};
struct known {
	pthread_rwlock_t lock; /* of synonyms and version */
	struct arena *arena;   /* of the synonyms */
	struct synonyms synonyms;
	int64_t synonyms_sum; /* of what the table held */
	int64_t version;
	int32_t slot; /* the dictionary's; -1: none yet */
	int64_t seq;
	pthread_mutex_t asked_lock;
	struct people *people;
	struct asked asked[ASKED_MAX];
	size_t n_asked;
};

struct known *known_new(void)
{
	struct known *k = calloc(1, sizeof(*k));

	if (!k || pthread_rwlock_init(&k->lock, NULL) || pthread_mutex_init(&k->asked_lock, NULL))
		abort();
	k->arena = arena_new("synonyms", 16 << 20);
	k->slot = -1;
	k->people = people_new();
	return k;
}

void known_free(struct known *k)
{
	if (!k)
		return;
	arena_free(k->arena);
	people_free(k->people);
	(void)pthread_rwlock_destroy(&k->lock);
	(void)pthread_mutex_destroy(&k->asked_lock);
	free(k);
}

void known_query(struct known *k, struct arena *a, struct dict *d, const char *lang, const char *text,
		 struct query *q_r)
{
	(void)pthread_rwlock_rdlock(&k->lock);
	query_make(a, d, &k->synonyms, lang, text, q_r);
	(void)pthread_rwlock_unlock(&k->lock);
}

int64_t known_version(struct known *k)
{
	int64_t v;

	(void)pthread_rwlock_rdlock(&k->lock);
	v = k->version;
	(void)pthread_rwlock_unlock(&k->lock);
	return v;
}

/* ---- what was asked ---- */

static bool may_be_kept(const char *text)
{
	size_t digits = 0;

	for (const char *p = text; *p; p++) {
		digits = *p >= '0' && *p <= '9' ? digits + 1 : *p == ' ' ? digits : 0;
		if (digits >= 7)
			return false;
	}
	return *text && strlen(text) <= ASKED_TEXT;
}

char *known_search_id(struct arena *a, const char *lang, const char *normal)
{
	const char *text = arena_printf(a, "%s\n%s", lang, normal);
	char hex[SHA256_HEX_LEN];

	sha256_hex(text, strlen(text), hex);
	return arena_printf(a, "srq_%.24s", hex);
}

void known_asked(struct known *k, const char *lang, const char *normal, const char *who, bool empty)
{
	struct asked *x = NULL;

	if (!may_be_kept(normal) || strlen(lang) >= sizeof(x->lang))
		return;
	(void)pthread_mutex_lock(&k->asked_lock);
	for (size_t i = 0; i < k->n_asked && !x; i++)
		if (strcmp(k->asked[i].text, normal) == 0 && strcmp(k->asked[i].lang, lang) == 0)
			x = &k->asked[i];
	if (!x && k->n_asked < ASKED_MAX) {
		x = &k->asked[k->n_asked++];
		*x = (struct asked){ 0 };
		memcpy(x->text, normal, strlen(normal) + 1);
		memcpy(x->lang, lang, strlen(lang) + 1);
	}
	if (x) {
		x->searches++;
		x->empty += empty;
		x->people += people_first(k->people, wall_ms(), who, normal);
	}
	(void)pthread_mutex_unlock(&k->asked_lock);
}

struct flush_tx {
	struct arena *arena;
	const struct asked *v;
	size_t n;
};

static int by_text(const void *a, const void *b)
{
	const struct asked *x = a, *y = b;
	int d = strcmp(x->lang, y->lang);

	return d ? d : strcmp(x->text, y->text);
}

static enum err_code flush_tx(struct pg *pg, void *arg, struct err *e)
{
	const struct flush_tx *t = arg;

	for (size_t i = 0; i < t->n; i++)
		if (search_db_log(pg, known_search_id(t->arena, t->v[i].lang, t->v[i].text), t->v[i].lang, t->v[i].text,
				  t->v[i].searches, t->v[i].empty, t->v[i].people, e))
			return e->code;
	return OK;
}

enum err_code known_flush(void *arg, struct arena *a, struct err *e)
{
	struct search_svc *svc = arg;
	struct known *k = svc->known;
	const struct pg_actor who = { "system", "" };
	struct flush_tx t = { .arena = a };
	struct asked *copy;

	(void)pthread_mutex_lock(&k->asked_lock);
	copy = arena_dup(a, k->asked, k->n_asked * sizeof(*copy));
	t.n = k->n_asked;
	k->n_asked = 0;
	(void)pthread_mutex_unlock(&k->asked_lock);
	if (!t.n)
		return OK;
	qsort(copy, t.n, sizeof(*copy), by_text); /* replicas take the rows in one order */
	t.v = copy;
	return pg_tx(svc->pool, mono_ms() + 5000, &who, flush_tx, &t, e);
}

static enum err_code clicks_tx(struct pg *pg, void *arg, struct err *e)
{
	(void)arg;
	return search_db_clicks_count(pg, e);
}

enum err_code known_clicks(void *arg, struct arena *a, struct err *e)
{
	struct search_svc *svc = arg;
	const struct pg_actor who = { "system", "" };

	(void)a;
	return pg_tx(svc->pool, mono_ms() + 5000, &who, clicks_tx, NULL, e);
}

/* ---- refresh ---- */

static enum err_code refresh_words(struct pg *pg, struct search_svc *svc, const struct state_row *s, struct err *e)
{
	struct known *k = svc->known;
	struct arena *page = arena_new("words", 64 << 20);
	struct total_row *total = NULL;
	const char *after = "\xef\xbf\xbf"; /* beyond every word of seq itself, which is known */
	char *last = NULL;
	size_t n = 0;
	bool found = false;

	if (k->slot != s->slot) {
		dict_clear(svc->dict);
		k->slot = s->slot;
		k->seq = -1;
	}
	do {
		struct word_row *rows = NULL;

		arena_reset(page);
		n = 0;
		if (search_db_words(pg, page, s->slot, svc->conf->lang, k->seq, last ? last : after, PAGE, &rows, &n, e))
			break;
		for (size_t i = 0; i < n; i++)
			dict_put(svc->dict, rows[i].word, rows[i].lexeme, rows[i].df);
		free(last);
		last = n ? strdup(rows[n - 1].word) : NULL;
		k->seq = n ? rows[n - 1].seq : k->seq;
	} while (n == PAGE && last);
	free(last);
	if (!e->code)
		k->seq = s->seq;
	arena_reset(page);
	if (!e->code && search_db_totals(pg, page, s->slot, svc->conf->lang, &total, &found, e) == OK && found) {
		double docs = total->docs > 0 ? (double)total->docs : 1;
		const struct dict_totals t = { total->docs,
					       { (double)total->len_a / docs, (double)total->len_b / docs,
						 (double)total->len_c / docs, (double)total->len_d / docs } };

		dict_set_totals(svc->dict, &t);
	}
	arena_free(page);
	return e->code;
}

static const char **cut(struct arena *a, const char *joined, size_t *n_r)
{
	char *text = arena_strdup(a, joined), *save = NULL;
	const char **v = arena_array(a, 64, sizeof(*v));
	size_t n = 0;

	for (char *p = strtok_r(text, "\x1f", &save); p && n < 64; p = strtok_r(NULL, "\x1f", &save))
		v[n++] = p;
	*n_r = n;
	return v;
}

static int64_t sum_of(const struct synonym_row *rows, size_t n)
{
	uint64_t h = 14695981039346656037ull;

	for (size_t i = 0; i < n; i++)
		for (const char *p = rows[i].id; *p; p++)
			h = (h ^ (uint8_t)*p) * 1099511628211ull;
	return (int64_t)h;
}

static void take_synonyms(struct known *k, const struct synonym_row *rows, size_t n)
{
	struct synonym *v;

	arena_reset(k->arena);
	v = arena_array(k->arena, n + 1, sizeof(*v));
	for (size_t i = 0; i < n; i++) {
		v[i].lang = arena_strdup(k->arena, rows[i].lang);
		v[i].one_way = rows[i].one_way;
		v[i].words = cut(k->arena, rows[i].words, &v[i].n);
	}
	k->synonyms = (struct synonyms){ v, n };
}

static enum err_code refresh(struct pg *pg, struct search_svc *svc, struct arena *a, struct err *e)
{
	struct known *k = svc->known;
	struct state_row *s = NULL;
	struct synonym_row *rows = NULL;
	size_t n = 0;
	int64_t sum, version, rules;

	if (search_db_state(pg, a, &s, e) || search_db_synonyms(pg, a, "", 2000, &rows, &n, e) ||
	    search_db_rules_mark(pg, a, &rules, e))
		return e->code;
	if ((k->slot != s->slot || k->seq != s->seq) && refresh_words(pg, svc, s, e))
		return e->code;
	sum = sum_of(rows, n);
	version = (int64_t)((uint64_t)s->seq * 2 + (uint64_t)s->slot + (uint64_t)sum + (uint64_t)rules);
	(void)pthread_rwlock_wrlock(&k->lock);
	if (sum != k->synonyms_sum || !k->synonyms.v)
		take_synonyms(k, rows, n);
	k->synonyms_sum = sum;
	k->version = version;
	(void)pthread_rwlock_unlock(&k->lock);
	return OK;
}

enum err_code known_refresh(void *arg, struct arena *a, struct err *e)
{
	struct search_svc *svc = arg;
	struct pg *pg = NULL;
	enum err_code code;

	if (pg_borrow(svc->pool, 0, &pg, e))
		return e->code;
	code = refresh(pg, svc, a, e);
	pg_return(pg);
	return code;
}
