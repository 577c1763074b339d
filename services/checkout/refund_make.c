#include "services/checkout/refund_make.h"

#include <string.h>

#include "common/outbox.h"
#include "services/checkout/frozen.h"
#include "services/checkout/refund_db.h"

struct making {
	struct pg *pg;
	struct arena *a;
	const struct order_row *o;
	const struct refund_ask *ask;
	struct oline_row *lines;
	struct share_row *shares;
	size_t n_lines, n_shares;
	int64_t *of_vendor; /* per share: what the lines come to */
	struct err *e;
};

static enum err_code ratio(const struct making *m, int64_t of, int64_t num, int64_t den, int64_t *r)
{
	struct money x, y;

	if (money_make(of, m->o->currency, &x, m->e) || money_ratio(x, num, den, &y, m->e))
		return m->e->code;
	*r = money_minor(y);
	return OK;
}

static const struct oline_row *line_of(const struct making *m, const char *variant_id)
{
	for (size_t i = 0; i < m->n_lines; i++)
		if (strcmp(m->lines[i].variant_id, variant_id) == 0)
			return &m->lines[i];
	return NULL;
}

/* What n more units of a line are worth, so that all its units together are its total to the cent. */
static enum err_code units_worth(const struct making *m, const struct oline_row *l, int32_t n, int64_t *r)
{
	int64_t before = 0, after = 0;

	if (ratio(m, l->total, l->refunded_qty, l->qty, &before) ||
	    ratio(m, l->total, (int64_t)l->refunded_qty + n, l->qty, &after))
		return m->e->code;
	*r = after - before;
	return OK;
}

static enum err_code value_lines(struct making *m, int64_t *sum_r)
{
	*sum_r = 0;
	for (size_t i = 0; i < m->ask->n; i++) {
		const struct oline_row *l = line_of(m, m->ask->variants[i]);
		int64_t worth = 0;

		if (!l || m->ask->qtys[i] < 1) {
			err_detail(m->e, "lines.variant_id", m->ask->variants[i], "The order has no such line.");
			return err_set(m->e, E_INVALID, "order.line_unknown", "%s", m->ask->variants[i]);
		}
		if (m->ask->qtys[i] > l->qty - l->refunded_qty)
			return err_set(m->e, E_RULE, "refund.too_much", "%d of %s", (int)m->ask->qtys[i], l->variant_id);
		if (units_worth(m, l, m->ask->qtys[i], &worth))
			return m->e->code;
		for (size_t k = 0; k < m->n_shares; k++)
			if (strcmp(m->shares[k].vendor_order_id, l->vendor_order_id) == 0)
				m->of_vendor[k] += worth;
		*sum_r += worth;
	}
	return OK;
}

/* Over the vendors: by what the lines come to, else by what each still has of the order. */
static enum err_code divide(struct making *m, int64_t amount)
{
	struct money total, *parts = arena_array(m->a, m->n_shares + 1, sizeof(*parts));
	int64_t *weights = arena_array(m->a, m->n_shares + 1, sizeof(*weights));
	int64_t after = 0;

	for (size_t i = 0; i < m->n_shares; i++) {
		int64_t left = m->shares[i].total - m->shares[i].gone;

		weights[i] = m->ask->n ? m->of_vendor[i] : left > 0 ? left : 0;
	}
	if (money_make(amount, m->o->currency, &total, m->e) ||
	    money_split(total, weights, m->n_shares, parts, m->e))
		return m->e->code;
	for (size_t i = 0; i < m->n_shares; i++) {
		const struct share_row *s = &m->shares[i];
		int64_t part = money_minor(parts[i]), gone = s->gone + part;

		if (part == 0)
			continue;
		if (gone > s->total)
			gone = s->total;
		if (s->total > 0 && ratio(m, s->commission, gone, s->total, &after))
			return m->e->code;
		if (refund_db_share(m->pg, m->ask->id, s->vendor_order_id, part,
				    after > s->commission_gone ? after - s->commission_gone : 0, m->e))
			return m->e->code;
	}
	return OK;
}

static enum err_code put_back(struct making *m)
{
	int64_t *qtys = arena_array(m->a, m->ask->n + 1, sizeof(*qtys));

	for (size_t i = 0; i < m->ask->n; i++)
		qtys[i] = m->ask->qtys[i];
	return restock_db_put(m->pg, m->a, m->ask->id, m->o->reservation_key, m->o->id, m->ask->variants, qtys, m->ask->n,
			      "refunded", m->e);
}

enum err_code refund_make(struct pg *pg, struct arena *a, const struct order_row *o, const struct refund_ask *ask,
			  int64_t *amount_r, struct err *e)
{
	struct making m = { .pg = pg, .a = a, .o = o, .ask = ask, .e = e };
	int64_t amount = ask->amount, sum = 0, left;

	if (oline_db_of(pg, a, o->id, NULL, &m.lines, &m.n_lines, e) ||
	    refund_db_shares(pg, a, o->id, &m.shares, &m.n_shares, e))
		return e->code;
	left = m.n_shares ? m.shares[0].left : 0;
	m.of_vendor = arena_array(a, m.n_shares + 1, sizeof(*m.of_vendor));
	if (ask->n && value_lines(&m, &sum))
		return e->code;
	if (amount == 0)
		amount = ask->n ? (sum < left ? sum : left) : left;
	if (amount > left)
		return err_set(e, E_RULE, "refund.too_much", "%lld of %lld", (long long)amount, (long long)left);
	if (amount == 0)
		return err_set(e, E_RULE, "refund.nothing", "order %s", o->id);
	if (refund_db_insert(pg, ask->id, o->id, amount, ask->reason, e)) {
		if (strcmp(pg_constraint(pg), "payment_refund_limit") == 0)
			return err_set(e, E_RULE, "refund.too_much", "order %s", o->id);
		return e->code;
	}
	for (size_t i = 0; i < ask->n; i++)
		if (refund_db_line(pg, ask->id, o->id, ask->variants[i], ask->qtys[i], e))
			return e->code;
	if (divide(&m, amount) || (ask->restock && ask->n && put_back(&m)))
		return e->code;
	*amount_r = amount;
	return OK;
}
