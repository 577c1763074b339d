/* The message that a checkout keeps of its totals, and what is read out of it. */
#ifndef SOUK_CHECKOUT_FROZEN_H
#define SOUK_CHECKOUT_FROZEN_H

#include "catalog.pb-c.h"
#include "checkout.pb-c.h"
#include "common/arena.h"
#include "common/err.h"
#include "common/pg.h"
#include "services/checkout/totals.h"

void frozen_add_discount(struct arena *a, Checkout__V1__Frozen *f, const struct totals_promo *p);
/* info[i] belongs to t->lines[i]. */
void frozen_fill(struct arena *a, Checkout__V1__Frozen *f, const struct totals *t,
		 const Catalog__V1__VariantInfo *const *info);

struct pg_bytes frozen_pack(struct arena *a, const ProtobufCMessage *m);
/* E_INTERNAL when a stored row cannot be read. */
MUST_CHECK enum err_code frozen_unpack(struct arena *a, struct pg_bytes b, Checkout__V1__Frozen **f_r, struct err *e);

/* Minor units of a money field that we stored ourselves; 0 when it is missing. */
int64_t frozen_minor(const Common__V1__Money *m);
Common__V1__Money *frozen_money(struct arena *a, int64_t minor, const char *currency);

#endif
