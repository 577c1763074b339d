/* Money on the wire: common.v1.Money. */
#include <stdio.h>

#include "common.pb-c.h"
#include "common/check.h"
#include "common/money.h"

enum err_code money_from_pb(const struct Common__V1__Money *m, struct money *r, struct err *e)
{
	if (!m || !m->has_amount || !m->currency)
		return err_set(e, E_INVALID, "common.invalid_input", "money without amount or currency");
	return money_make(m->amount, m->currency, r, e);
}

struct Common__V1__Money *money_to_pb(struct arena *a, struct money m)
{
	Common__V1__Money *pb = arena_alloc(a, sizeof(*pb));

	common__v1__money__init(pb);
	pb->has_amount = true;
	pb->amount = m.minor;
	pb->currency = arena_strdup(a, m.cur);
	return pb;
}

bool check_money(struct err *e, const char *field, const struct Common__V1__Money *m, int64_t min, int64_t max)
{
	char name[64];

	if (!m || !m->has_amount || !m->currency) {
		err_detail(e, field, NULL, "needs amount and currency");
		return false;
	}
	(void)snprintf(name, sizeof(name), "%.50s.currency", field);
	if (!check_currency(e, name, m->currency))
		return false;
	(void)snprintf(name, sizeof(name), "%.50s.amount", field);
	return check_range(e, name, m->amount, min, max);
}
