/*
 * What stock is, in plain C: the same operations as the functions of schema inventory, one after the other, with answers
 * written as words. test_stock_model.c holds PostgreSQL against it.
 */
#ifndef SOUK_TEST_STOCK_MODEL_H
#define SOUK_TEST_STOCK_MODEL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define VARIANTS  3
#define PLACES	  2 /* of the one vendor; the first one ships first */
#define KEYS	  48
#define OWNERS	  3 /* the first is nobody: no cap */
#define OPS	  6
#define MOVES_MAX 160
#define NOWHERE	  VARIANTS /* a variant that does not exist */

enum key_state { KEY_NONE, KEY_ACTIVE, KEY_SOLD, KEY_RELEASED };
enum move { MOVE_RECEIPT, MOVE_ADJUSTMENT, MOVE_SALE, MOVE_RESTOCK };

struct model_variant {
	int64_t level[PLACES], on_hand, reserved, low, version, seq;
	bool backorder;
	char state[4];
};
struct model_key {
	enum key_state state;
	int owner, qty[VARIANTS], back[VARIANTS];
	bool hold, sold_here;
	int overdue; /* 0: not; the greater, the longer */
};
struct model_move {
	int variant, place;
	enum move kind;
	int64_t delta, after;
};
struct model {
	struct model_variant v[VARIANTS];
	struct model_key k[KEYS];
	bool op[OPS];
	struct model_move move[MOVES_MAX];
	int n_moves;
};

struct model_words {
	char text[16384];
	size_t n;
};

__attribute__((format(printf, 2, 3))) static void say(struct model_words *o, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(o->text + o->n, sizeof(o->text) - o->n, fmt, ap);
	va_end(ap);
	if (n > 0)
		o->n += (size_t)n < sizeof(o->text) - o->n ? (size_t)n : sizeof(o->text) - o->n - 1;
}

struct model_told { /* what an operation says of the variant's state */
	char state[4];
	int64_t seq;
	bool moved;
};

static const char *model_state(const struct model_variant *v)
{
	int64_t left = v->on_hand - v->reserved;

	return left <= 0 && !v->backorder ? "out" : left <= v->low ? "low" : "in";
}

static struct model_told settle(struct model_variant *v)
{
	struct model_told t = { .moved = strcmp(v->state, model_state(v)) != 0 };

	v->seq += t.moved;
	(void)snprintf(v->state, sizeof(v->state), "%s", model_state(v));
	(void)snprintf(t.state, sizeof(t.state), "%s", v->state);
	t.seq = v->seq;
	return t;
}

static int64_t held_by(const struct model *m, int owner, int variant)
{
	int64_t n = 0;

	for (int i = 0; owner > 0 && i < KEYS; i++)
		n += m->k[i].state == KEY_ACTIVE && m->k[i].owner == owner ? m->k[i].qty[variant] : 0;
	return n;
}

/* ok, short, capped: may that owner have so many more? */
static const char *admits(const struct model *m, int variant, int qty, int owner, int cap)
{
	const struct model_variant *v = &m->v[variant];

	if (!v->backorder && v->on_hand - v->reserved < qty)
		return "short";
	if (owner > 0 && cap > 0 && held_by(m, owner, variant) + qty > cap)
		return "capped";
	return "ok";
}

struct model_ask {
	int key, qty, owner;
};

/* In the order of arrival, each as if it had come alone. */
static void model_reserve_batch(struct model *m, int variant, const struct model_ask *ask, int n, int cap, struct model_words *o)
{
	struct model_told told = { .state = "-" };
	bool any = false;

	for (int i = 0; i < n; i++) {
		struct model_variant *v = &m->v[variant == NOWHERE ? 0 : variant];
		const char *word = "unknown";

		if (variant == NOWHERE) {
			say(o, "unknown:0 ");
			continue;
		}
		word = m->k[ask[i].key].state != KEY_NONE ? "known" : admits(m, variant, ask[i].qty, ask[i].owner, cap);
		say(o, "%s:%lld ", word, (long long)(v->on_hand - v->reserved));
		if (strcmp(word, "ok") != 0)
			continue;
		m->k[ask[i].key] = (struct model_key){ .state = KEY_ACTIVE, .owner = ask[i].owner };
		m->k[ask[i].key].qty[variant] = ask[i].qty;
		v->reserved += ask[i].qty;
		any = true;
	}
	if (any)
		told = settle(&m->v[variant]);
	say(o, "%s/%lld/%d", told.state, (long long)told.seq, told.moved);
}

/* All lines or none; wanted holds 0 for a variant that is not in the cart, NOWHERE's place included. */
static void model_reserve_cart(struct model *m, int key, int owner, const int wanted[VARIANTS + 1], int cap, struct model_words *o)
{
	const char *word[VARIANTS + 1];
	bool all = true;

	for (int i = 0; i <= VARIANTS; i++) {
		word[i] = m->k[key].state != KEY_NONE ? "known" :
			  i == NOWHERE		      ? "unknown" :
							admits(m, i, wanted[i], owner, cap);
		all &= wanted[i] == 0 || strcmp(word[i], "ok") == 0;
	}
	if (all)
		m->k[key] = (struct model_key){ .state = KEY_ACTIVE, .owner = owner };
	for (int i = 0; i <= VARIANTS; i++) {
		bool counts = i < VARIANTS && strcmp(word[i], "known") != 0;
		long long left = counts ? (long long)(m->v[i].on_hand - m->v[i].reserved) : 0;
		struct model_told told = { .state = "-" };

		if (wanted[i] == 0)
			continue;
		if (all) {
			m->k[key].qty[i] = wanted[i];
			m->v[i].reserved += wanted[i];
			told = settle(&m->v[i]);
		}
		say(o, "%d:%s:%lld:%s/%lld/%d ", i, word[i], left, told.state, (long long)told.seq, told.moved);
	}
}

static void model_move(struct model *m, int variant, int place, enum move kind, int64_t delta, int64_t after)
{
	m->v[variant].level[place] += delta;
	if (m->n_moves < MOVES_MAX)
		m->move[m->n_moves++] = (struct model_move){ variant, place, kind, delta, after };
}

/* Units leave the places in their order; what none has is owed by the first. */
static void ship(struct model *m, int variant, int qty)
{
	struct model_variant *v = &m->v[variant];
	int64_t left = qty;

	v->on_hand -= qty;
	for (int p = 0; p < PLACES && left > 0; p++) {
		int64_t take = v->level[p] < left ? v->level[p] : left;

		if (take <= 0)
			continue;
		left -= take;
		model_move(m, variant, p, MOVE_SALE, -take, v->on_hand + left);
	}
	if (left > 0)
		model_move(m, variant, 0, MOVE_SALE, -left, v->on_hand);
}

static void model_finish(struct model *m, int key, bool sold, struct model_words *o)
{
	struct model_key *k = &m->k[key];

	if (k->state == KEY_NONE && !sold)
		k->state = KEY_RELEASED; /* a reservation that comes after its release finds it ended */
	if (k->state != KEY_ACTIVE) {
		say(o, "%s", k->state == KEY_NONE ? "missing" : k->state == KEY_SOLD ? "sold" : "released");
		return;
	}
	for (int i = 0; i < VARIANTS; i++) {
		struct model_told told;

		if (k->qty[i] == 0)
			continue;
		m->v[i].reserved -= k->qty[i];
		m->v[i].version += sold;
		if (sold)
			ship(m, i, k->qty[i]);
		told = settle(&m->v[i]);
		say(o, "done:%d:%s/%lld/%d ", i, told.state, (long long)told.seq, told.moved);
	}
	k->state = sold ? KEY_SOLD : KEY_RELEASED;
	k->hold = false;
}

static void model_extend(struct model *m, int key, bool hold, struct model_words *o)
{
	struct model_key *k = &m->k[key];

	say(o, "%d", k->state == KEY_ACTIVE);
	if (k->state != KEY_ACTIVE)
		return;
	k->hold |= hold;
	k->overdue = 0;
}

/* The one that is longest overdue and may be let go, -1: none. */
static int model_overdue(const struct model *m)
{
	int found = -1;

	for (int i = 0; i < KEYS; i++)
		if (m->k[i].state == KEY_ACTIVE && !m->k[i].hold && m->k[i].overdue &&
		    (found < 0 || m->k[i].overdue > m->k[found].overdue))
			found = i;
	return found;
}

/* false: refused, and nothing of it stays. op < 0: none. */
static bool model_adjust(struct model *m, int variant, int place, bool set, int64_t value, enum move kind, int op,
			 struct model_words *o)
{
	struct model_variant *v = &m->v[variant == NOWHERE ? 0 : variant];
	int64_t delta = set ? value - v->level[place] : value;
	struct model_told told = { .seq = v->seq };
	const char *word = "done";

	if (variant == NOWHERE) {
		say(o, "unknown:0:-/0/0");
		return true;
	}
	(void)snprintf(told.state, sizeof(told.state), "%s", v->state);
	if (op >= 0 && m->op[op])
		word = "known";
	else if (!v->backorder && v->on_hand + delta < v->reserved)
		word = "reserved";
	else if (v->level[place] + delta < (v->level[place] < 0 ? v->level[place] : 0))
		word = "range";
	else if (delta == 0)
		word = "same";
	if (op >= 0)
		m->op[op] = true;
	if (strcmp(word, "done") == 0) {
		v->on_hand += delta;
		v->version++;
		model_move(m, variant, place, kind, delta, v->on_hand);
		told = settle(v);
	}
	say(o, "%s:%lld:%s/%lld/%d", word, (long long)v->on_hand, told.state, (long long)told.seq, told.moved);
	return strcmp(word, "reserved") != 0 && strcmp(word, "range") != 0;
}

static void model_configure(struct model *m, int variant, int64_t low, bool backorder, struct model_words *o)
{
	struct model_variant *v = &m->v[variant];
	struct model_told told;

	if (!backorder && (v->on_hand < 0 || v->reserved > v->on_hand)) {
		say(o, "owed:-/0/0");
		return;
	}
	v->low = low;
	v->backorder = backorder;
	v->version++;
	told = settle(v);
	say(o, "done:%s/%lld/%d", told.state, (long long)told.seq, told.moved);
}

/* Units of a sold line come back, once by their operation. false: more than were sold. */
static bool model_restock(struct model *m, int key, int variant, int qty, int op, struct model_words *o)
{
	struct model_key *k = &m->k[key];

	if (m->op[op]) {
		say(o, "before");
		return true;
	}
	if (k->state != KEY_SOLD || k->back[variant] + qty > k->qty[variant]) {
		say(o, "too many");
		return false;
	}
	m->op[op] = true;
	k->back[variant] += qty;
	return model_adjust(m, variant, 0, false, qty, MOVE_RESTOCK, -1, o);
}

/* Everything there is, in the words of the query in test_stock_model.c. */
static void model_digest(const struct model *m, struct model_words *o)
{
	static const char *const states[] = { "", "active", "sold", "released" };
	static const char *const kinds[] = { "receipt", "adjustment", "sale", "restock" };

	for (int i = 0; i < VARIANTS; i++) {
		const struct model_variant *v = &m->v[i];

		say(o, "[%d %lld-%lld %s%lld v%lld b%d l%lld |", i, (long long)v->on_hand, (long long)v->reserved, v->state,
		    (long long)v->seq, (long long)v->version, v->backorder, (long long)v->low);
		for (int p = 0; p < PLACES; p++)
			if (v->level[p] != 0)
				say(o, " %d:%lld", p, (long long)v->level[p]);
		say(o, " |");
		for (int k = 0; k < m->n_moves; k++)
			if (m->move[k].variant == i)
				say(o, " %s@%d:%lld=%lld", kinds[m->move[k].kind], m->move[k].place,
				    (long long)m->move[k].delta, (long long)m->move[k].after);
		say(o, "]\n");
	}
	for (int i = 0; i < KEYS; i++) {
		const struct model_key *k = &m->k[i];

		if (k->state == KEY_NONE)
			continue;
		say(o, "%03d %s%s%s", i, states[k->state], k->hold ? " held" : "",
		    k->state == KEY_ACTIVE && k->overdue ? " late" : "");
		for (int v = 0; v < VARIANTS; v++)
			if (k->qty[v])
				say(o, " %d*%d-%d", v, k->qty[v], k->back[v]);
		say(o, "\n");
	}
}

/* The books, whatever was done: NULL, or what does not hold. */
static const char *model_wrong(const struct model *m)
{
	for (int i = 0; i < VARIANTS; i++) {
		const struct model_variant *v = &m->v[i];
		int64_t held = 0, there = 0, moved = 0;

		for (int k = 0; k < KEYS; k++)
			held += m->k[k].state == KEY_ACTIVE ? m->k[k].qty[i] : 0;
		for (int p = 0; p < PLACES; p++)
			there += v->level[p];
		for (int k = 0; k < m->n_moves; k++)
			moved += m->move[k].variant == i ? m->move[k].delta : 0;
		if (held != v->reserved)
			return "reserved is what is held";
		if (there != v->on_hand || moved != v->on_hand)
			return "on hand is what lies in all places, and what moved";
		if (!v->backorder && v->reserved > v->on_hand)
			return "not oversold";
	}
	return NULL;
}

#endif
