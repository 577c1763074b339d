/*
 * Random histories of stock, done twice: by the model of stock_model.h and by the daemon's own statements. Each answer must be
 * the same, and after each step everything that is stored.
 *
 * Keys, operations and owners repeat, carts hold what does not exist, reservations run out, one step in ten is undone
 * by a transaction that dies. MODEL_RUNS sets the number of histories, MODEL_SEED replays one and prints its steps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/timeutil.h"
#include "services/inventory/inventory.h"
#include "services/inventory/inventory_db.h"
#include "stock_model.h"
#include "tests/support/pg_fixture.h"
#include "tests/support/seeded.h"

#define STEPS 40
#define TTL_S 900
#define CAP   6

extern const struct migration inventory_migrations[];

static struct {
	struct pg_fixture *fx;
	struct pg_pool *pool;
	struct arena *a;
	uint64_t rng;
	unsigned long long run; /* part of every id */
	bool verbose;
	int ids, late; /* given so far */
} w;

static unsigned rnd(unsigned n)
{
	return seeded(&w.rng, n);
}

/* ---- names ---- */

static const char *variant_id(int i)
{
	return arena_printf(w.a, "var_%llu_%d", w.run, i);
}

static const char *key_id(int i)
{
	return arena_printf(w.a, "key_%llu.%03d", w.run, i);
}

static const char *place_id(int i)
{
	return arena_printf(w.a, "loc_%d", i);
}

static const char *op_id(int i)
{
	return i < 0 ? NULL : arena_printf(w.a, "op_%llu_%d", w.run, i);
}

static const char *owner_id(int i)
{
	static const char *const names[OWNERS] = { "", "ann", "bob" };

	return names[i];
}

static int variant_of(const char *id)
{
	return id[strlen(id) - 1] - '0';
}

/* ---- one step ---- */

enum what { RESERVE_BATCH, RESERVE_CART, SELL, RELEASE, EXTEND, TIME_PASSES, SWEEP, ADJUST, CONFIGURE, RESTOCK, WHATS };

struct step {
	enum what what;
	bool dies; /* its transaction */
	int variant, key, owner, place, op, n, cap;
	bool set, flag;
	int64_t value;
	struct model_ask ask[6];
	int wanted[VARIANTS + 1];
	struct model_words words; /* PostgreSQL's */
};

static int some_key(void)
{
	return (int)rnd(KEYS);
}

/* As a rule one that the step can do something with. */
static int fitting_key(const struct model *m, enum what what)
{
	enum key_state want = what == RESTOCK ? KEY_SOLD : KEY_ACTIVE;
	int from = some_key();

	for (int i = rnd(6) ? 0 : KEYS; i < KEYS; i++)
		if (m->k[(from + i) % KEYS].state == want)
			return (from + i) % KEYS;
	return from;
}

static struct step draw(const struct model *m)
{
	static const enum what often[] = { RESERVE_BATCH, RESERVE_BATCH, RESERVE_BATCH, RESERVE_CART, RESERVE_CART, SELL,
					   SELL,	  RELEASE,	 EXTEND,	TIME_PASSES,  SWEEP,	    ADJUST,
					   ADJUST,	  CONFIGURE,	 CONFIGURE,	RESTOCK,      RESTOCK };
	struct step s = { .what = often[rnd(17)], .dies = rnd(10) == 0, .variant = (int)rnd(VARIANTS), .key = some_key(),
			  .owner = (int)rnd(OWNERS), .place = (int)rnd(PLACES), .op = (int)rnd(OPS), .n = 1 + (int)rnd(6),
			  .cap = rnd(3) ? CAP : 0, .set = rnd(3) == 0, .flag = rnd(4) == 0,
			  .value = (int64_t)rnd(20) - 6 };

	if (s.what != RESERVE_BATCH && s.what != RESERVE_CART)
		s.key = fitting_key(m, s.what);
	if (s.what == CONFIGURE)
		s.flag = rnd(2);
	if ((s.what == RESERVE_BATCH || s.what == ADJUST) && rnd(20) == 0)
		s.variant = NOWHERE;
	if (s.what == ADJUST && rnd(3))
		s.op = -1;
	if (s.set && s.value < 0)
		s.value = 0;
	for (int i = 0; i < 6; i++) {
		s.ask[i] = (struct model_ask){ some_key(), 1 + (int)rnd(4), (int)rnd(OWNERS) };
		if (i > 0 && rnd(4) == 0) /* the same request again */
			s.ask[i] = s.ask[rnd((unsigned)i)];
	}
	do {
		for (int i = 0; i <= VARIANTS; i++)
			s.wanted[i] = rnd(i == NOWHERE ? 20 : 2) == 0 ? 1 + (int)rnd(3) : 0;
	} while (!s.wanted[0] && !s.wanted[1] && !s.wanted[2]);
	return s;
}

static void told(struct model_words *o, const char *state, int64_t seq, bool moved)
{
	say(o, "%s/%lld/%d", state ? state : "-", (long long)seq, moved);
}

static enum err_code do_batch(struct pg *pg, struct step *s, struct err *e)
{
	struct reserve_answer *rows = NULL;
	struct reserve_ask ask[6];
	size_t n = 0;

	for (int i = 0; i < s->n; i++)
		ask[i] = (struct reserve_ask){ .key = key_id(s->ask[i].key), .qty = s->ask[i].qty, .ttl_s = TTL_S,
					       .owner = owner_id(s->ask[i].owner),
					       .id = arena_printf(w.a, "rsv_%llu_%d", w.run, w.ids++) };
	if (inventory_db_reserve_batch(pg, w.a, variant_id(s->variant), ask, (size_t)s->n, s->cap, &rows, &n, e))
		return e->code;
	for (size_t i = 0; i < n; i++)
		say(&s->words, "%s:%lld ", rows[i].outcome, (long long)rows[i].available);
	told(&s->words, rows[0].state_after, rows[0].seq_after, rows[0].moved);
	return OK;
}

static enum err_code do_cart(struct pg *pg, struct step *s, struct err *e)
{
	struct reserve_ask ask = { .key = key_id(s->key), .owner = owner_id(s->owner), .ttl_s = TTL_S,
				   .id = arena_printf(w.a, "rsv_%llu_%d", w.run, w.ids++) };
	struct reserve_line_answer *rows = NULL;
	const char *variants[VARIANTS + 1];
	int64_t qtys[VARIANTS + 1];
	size_t n = 0, got = 0;

	for (int i = 0; i <= VARIANTS; i++)
		if (s->wanted[i]) {
			variants[n] = variant_id(i);
			qtys[n++] = s->wanted[i];
		}
	if (inventory_db_reserve_cart(pg, w.a, &ask, variants, qtys, n, s->cap, &rows, &got, e))
		return e->code;
	for (size_t i = 0; i < got; i++) {
		say(&s->words, "%d:%s:%lld:", variant_of(rows[i].variant_id), rows[i].outcome, (long long)rows[i].available);
		told(&s->words, rows[i].state_after, rows[i].seq_after, rows[i].moved);
		say(&s->words, " ");
	}
	return OK;
}

static enum err_code end_key(struct pg *pg, struct step *s, const char *key, bool sold, struct err *e)
{
	struct finish_row *rows = NULL;
	size_t n = 0;

	if (inventory_db_finish(pg, w.a, key, sold ? "sold" : "released", sold ? "ord_1" : NULL, "why", "system", "", &rows, &n, e))
		return e->code;
	for (size_t i = 0; i < n; i++) {
		say(&s->words, "%s", rows[i].outcome);
		if (strcmp(rows[i].outcome, "done") != 0)
			continue;
		say(&s->words, ":%d:", variant_of(rows[i].variant_id));
		told(&s->words, rows[i].state_after, rows[i].seq_after, rows[i].moved);
		say(&s->words, " ");
	}
	return OK;
}

/* As the daemon's job does it: the list, then each after another look. */
static enum err_code do_sweep(struct pg *pg, struct step *s, struct err *e)
{
	struct key_row *keys = NULL;
	bool yes = false;
	size_t n = 0;

	if (inventory_db_expired(pg, w.a, 60, 2, &keys, &n, e))
		return e->code;
	for (size_t i = 0; i < n; i++) {
		if (inventory_db_still_expired(pg, w.a, keys[i].key, 60, &yes, e))
			return e->code;
		say(&s->words, "%s ", strrchr(keys[i].key, '.') + 1);
		if (yes && end_key(pg, s, keys[i].key, false, e))
			return e->code;
	}
	return OK;
}

static const char *const kinds[] = { "receipt", "adjustment", "sale", "restock" };

static enum err_code adjust(struct pg *pg, struct step *s, enum move kind, int64_t value, int place, int op, struct err *e)
{
	struct adjust_ask ask = { .variant_id = variant_id(s->variant), .location_id = place_id(place), .kind = kinds[kind],
				  .set = kind != MOVE_RESTOCK && s->set, .value = value, .operation_id = op_id(op) };
	struct adjust_row *r = NULL;

	if (inventory_db_adjust(pg, w.a, &ask, &r, e))
		return e->code;
	say(&s->words, "%s:%lld:", r->outcome, (long long)r->on_hand);
	told(&s->words, r->state_after, r->seq_after, r->moved);
	if (strcmp(r->outcome, "reserved") == 0 || strcmp(r->outcome, "range") == 0)
		return err_set(e, E_CONFLICT, "test.refused", "as the handler does");
	return OK;
}

static enum move kind_of(const struct step *s)
{
	return s->value > 0 && !s->set ? MOVE_RECEIPT : MOVE_ADJUSTMENT;
}

static enum err_code do_configure(struct pg *pg, struct step *s, struct err *e)
{
	struct configure_row *r = NULL;

	if (inventory_db_configure(pg, w.a, variant_id(s->variant), s->n, &s->flag, &r, e))
		return e->code;
	say(&s->words, "%s:", r->outcome);
	told(&s->words, r->state_after, r->seq_after, r->moved);
	return OK;
}

static enum err_code do_restock(struct pg *pg, struct step *s, struct err *e)
{
	bool fresh = false, found = false;

	if (inventory_db_operation(pg, op_id(s->op), &fresh, e))
		return e->code;
	if (!fresh) {
		say(&s->words, "before");
		return OK;
	}
	if (inventory_db_line_restock(pg, key_id(s->key), variant_id(s->variant), 1 + s->place, &found, e))
		return e->code;
	if (!found) {
		say(&s->words, "too many");
		return err_set(e, E_RULE, "test.refused", "as the handler does");
	}
	return adjust(pg, s, MOVE_RESTOCK, 1 + s->place, 0, -1, e);
}

static enum err_code do_it(struct pg *pg, void *arg, struct err *e)
{
	struct step *s = arg;
	bool found = false;
	enum err_code code = OK;

	s->words.n = 0;
	s->words.text[0] = '\0';
	switch (s->what) {
	case RESERVE_BATCH:
		code = do_batch(pg, s, e);
		break;
	case RESERVE_CART:
		code = do_cart(pg, s, e);
		break;
	case SELL:
	case RELEASE:
		code = end_key(pg, s, key_id(s->key), s->what == SELL, e);
		break;
	case EXTEND:
		code = inventory_db_extend(pg, w.a, key_id(s->key), TTL_S, s->flag, &found, e);
		say(&s->words, "%d", found);
		break;
	case SWEEP:
		code = do_sweep(pg, s, e);
		break;
	case ADJUST:
		code = adjust(pg, s, kind_of(s), s->value, s->place, s->op, e);
		break;
	case CONFIGURE:
		code = do_configure(pg, s, e);
		break;
	case RESTOCK:
		code = do_restock(pg, s, e);
		break;
	case TIME_PASSES:
	case WHATS:
		break;
	}
	if (!code && s->dies)
		return err_set(e, E_RULE, "test.dies", "before its commit");
	return code;
}

/* false: refused. */
static bool model_does(struct model *m, const struct step *s, struct model_words *o)
{
	int late;

	switch (s->what) {
	case RESERVE_BATCH:
		model_reserve_batch(m, s->variant, s->ask, s->n, s->cap, o);
		break;
	case RESERVE_CART:
		model_reserve_cart(m, s->key, s->owner, s->wanted, s->cap, o);
		break;
	case SELL:
	case RELEASE:
		model_finish(m, s->key, s->what == SELL, o);
		break;
	case EXTEND:
		model_extend(m, s->key, s->flag, o);
		break;
	case SWEEP:
		for (int i = 0; i < 2 && (late = model_overdue(m)) >= 0; i++) {
			say(o, "%03d ", late);
			model_finish(m, late, false, o);
		}
		break;
	case ADJUST:
		return model_adjust(m, s->variant, s->place, s->set, s->value, kind_of(s), s->op, o);
	case CONFIGURE:
		model_configure(m, s->variant, s->n, s->flag, o);
		break;
	case RESTOCK:
		return model_restock(m, s->key, s->variant, 1 + s->place, s->op, o);
	case TIME_PASSES:
	case WHATS:
		break;
	}
	return true;
}

/* ---- a history ---- */

#define DIGEST                                                                                                         \
	"SELECT (SELECT string_agg(format(E'[%%s %%s-%%s %%s%%s v%%s b%%s l%%s |%%s |%%s]\\n', right(s.variant_id, 1), s.on_hand,"      \
	" s.reserved, s.state, s.event_seq, s.version, s.backorder::int, s.low_threshold,"                             \
	" (SELECT string_agg(format(' %%s:%%s', right(l.location_id, 1), l.on_hand), '' ORDER BY l.location_id)"         \
	" FROM inventory.level l WHERE l.variant_id = s.variant_id AND l.on_hand <> 0),"                               \
	" (SELECT string_agg(format(' %%s@%%s:%%s=%%s', v.kind, right(v.location_id, 1), v.delta, v.on_hand_after), ''"    \
	" ORDER BY v.seq) FROM inventory.movement v WHERE v.variant_id = s.variant_id)), '' ORDER BY s.variant_id)"    \
	" FROM inventory.stock s WHERE s.variant_id IN ('var_%llu_0', 'var_%llu_1', 'var_%llu_2'))"                    \
	" || coalesce((SELECT string_agg(format(E'%%s %%s%%s%%s%%s\\n', right(r.key, 3), r.state,"                         \
	" CASE WHEN r.hold THEN ' held' END, CASE WHEN r.state = 'active' AND r.expires_at < now() THEN ' late' END,"  \
	" (SELECT string_agg(format(' %%s*%%s-%%s', right(l.variant_id, 1), l.qty, l.restocked), '' ORDER BY l.variant_id)" \
	" FROM inventory.reservation_line l WHERE l.reservation_id = r.id)), '' ORDER BY r.key)"                       \
	" FROM inventory.reservation r WHERE r.key LIKE 'key\\_%llu.%%'), '')"

static bool same_as_stored(const struct model *m)
{
	struct model_words want = { 0 };
	const char *got = pg_fixture_text(w.fx, DIGEST, w.run, w.run, w.run, w.run);

	model_digest(m, &want);
	if (strcmp(want.text, got) == 0)
		return true;
	printf("the model has\n%s\nPostgreSQL has\n%s\n", want.text, got);
	return false;
}

/* A reservation's time runs out, each later than those before it. */
static void time_passes(struct model *m, int key)
{
	if (m->k[key].state != KEY_ACTIVE)
		return;
	m->k[key].overdue = ++w.late;
	pg_fixture_sql(w.fx, "UPDATE inventory.reservation SET expires_at = now() - interval '1 hour' - interval '%d s' WHERE key = '%s'",
		       w.late, key_id(key));
}

static bool one_step(struct model *m, struct step *s)
{
	static const char *const names[WHATS] = { "reserve", "reserve cart", "sell", "release", "extend",
						  "time passes", "sweep", "adjust", "configure", "restock" };
	const struct pg_actor who = { "system", "" };
	struct model_words want = { 0 };
	struct model before = *m;
	struct err e = { 0 };
	enum err_code code;

	if (s->what == TIME_PASSES) {
		time_passes(m, s->key);
		return true;
	}
	if (!model_does(m, s, &want) || s->dies)
		*m = before;
	code = pg_tx(w.pool, mono_ms() + 60000, &who, do_it, s, &e);
	if (w.verbose)
		printf("%-12s %s%s\n", names[s->what], want.text, s->dies ? " (undone)" : "");
	if (code && strncmp(e.slug, "test.", 5) != 0) {
		printf("%s: %s %s\n", names[s->what], e.slug, e.msg);
		return false;
	}
	if (strcmp(want.text, s->words.text) != 0) {
		printf("%s: the model says \"%s\", PostgreSQL \"%s\"\n", names[s->what], want.text, s->words.text);
		return false;
	}
	if (model_wrong(m)) {
		printf("%s: not so any more: %s\n", names[s->what], model_wrong(m));
		return false;
	}
	return same_as_stored(m);
}

static struct model begin(uint64_t seed)
{
	struct model m = { 0 };

	w.run = seed;
	w.rng = seed * 0x9E3779B97F4A7C15u + 88172645463325252u;
	w.ids = w.late = 0;
	for (int i = 0; i < 8; i++)
		(void)rnd(2);
	for (int i = 0; i < VARIANTS; i++) {
		m.v[i] = (struct model_variant){ .low = 5, .version = 1, .state = "out" };
		pg_fixture_sql(w.fx, "INSERT INTO inventory.stock (variant_id, vendor_id, sku) VALUES ('%s', 'vnd', '%llu.%d')",
			       variant_id(i), w.run, i);
		/* A catalogue entry comes with a level at the first place; the others are made when they are used. */
		pg_fixture_sql(w.fx, "INSERT INTO inventory.level (variant_id, location_id) VALUES ('%s', 'loc_0')", variant_id(i));
	}
	return m;
}

/* Every reservation ends: then nothing is held. */
static bool end(struct model *m)
{
	bool good = true;

	for (int i = 0; good && i < KEYS; i++) {
		struct step s = { .what = RELEASE, .key = i };

		good = m->k[i].state != KEY_ACTIVE || one_step(m, &s);
	}
	for (int i = 0; good && i < VARIANTS; i++)
		good = m->v[i].reserved == 0;
	return good;
}

static bool history(uint64_t seed, unsigned seen[WHATS])
{
	struct model m = begin(seed);
	bool good = true;

	for (int i = 0; good && i < STEPS; i++) {
		struct step s = i < VARIANTS ? (struct step){ .what = ADJUST, .variant = i, .value = 1 + rnd(12), .op = -1 } : draw(&m);

		good = one_step(&m, &s);
		seen[s.what]++;
		arena_reset(w.a);
	}
	good = good && end(&m);
	if (!good)
		printf("MODEL_SEED=%llu: the model and PostgreSQL differ\n", (unsigned long long)seed);
	arena_reset(w.a);
	return good;
}

static void histories(void **state)
{
	const uint64_t one = env_number("MODEL_SEED", 0), runs = one ? 1 : env_number("MODEL_RUNS", 25);
	unsigned seen[WHATS] = { 0 };
	int64_t start = mono_ms();
	uint64_t bad = 0;

	(void)state;
	w.verbose = one != 0;
	for (uint64_t i = 0; i < runs && bad < 3; i++)
		bad += !history(one ? one : i + 1, seen);
	printf("%llu histories of stock in %.1f s\n", (unsigned long long)runs, (double)(mono_ms() - start) / 1000);
	assert_int_equal(bad, 0);
	for (int i = 0; !one && runs >= 25 && i < WHATS; i++)
		assert_true(seen[i] > 0);
}

static int open_world(void **state)
{
	(void)state;
	w.fx = pg_fixture_open("inventory", inventory_migrations);
	w.pool = pg_fixture_pool(w.fx, inventory_stmts, 1);
	w.a = arena_new("test", 64 << 20);
	for (int i = 0; i < PLACES; i++)
		pg_fixture_sql(w.fx, "INSERT INTO inventory.location (id, vendor_id, code, name, priority)"
				     " VALUES ('loc_%d', 'vnd', 'p%d', 'Place', %d)", i, i, i * 10);
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	pg_pool_close(w.pool);
	pg_fixture_close(w.fx);
	arena_free(w.a);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(histories) };

	return cmocka_run_group_tests(tests, open_world, close_world);
}
