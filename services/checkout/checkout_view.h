/* Finding the caller's checkout and showing it. */
#ifndef SOUK_CHECKOUT_VIEW_H
#define SOUK_CHECKOUT_VIEW_H

#include "checkout.pb-c.h"
#include "services/checkout/checkout.h"
#include "services/checkout/checkout_db.h"

/* The caller's own, by login or cart token; anything else is E_NOT_FOUND checkout.not_found. */
MUST_CHECK enum err_code checkout_find(struct call *c, const char *id, const char *cart_token,
				       struct checkout_row **row_r);
bool checkout_is_mine(const struct call *c, const struct checkout_row *row, const char *cart_token);
MUST_CHECK enum err_code checkout_fill_view(struct call *c, const struct checkout_row *row, Checkout__V1__CheckoutView *out);

/* Why a checkout ended without an order, as an error; refused (may be NULL) brings its details. */
enum err_code checkout_end_error(struct call *c, const struct checkout_row *row, const struct err *refused);
/* E_PENDING checkout.pending with the address to ask at. */
enum err_code checkout_pending(struct call *c, const struct checkout_row *row, char **location_r, int32_t *retry_after_r);

/* "<id>-<version>": -1 when the tag is another one's or malformed. */
int64_t checkout_tag_version(const char *tag, const char *id);
char *checkout_tag(struct arena *a, const char *id, int64_t version);

/* Sealed message Person; NULL fields when it was erased. */
MUST_CHECK enum err_code checkout_open_person(struct call *c, const char *column, const char *row_id,
					      struct pg_bytes sealed, Checkout__V1__Person **p_r);

#endif
