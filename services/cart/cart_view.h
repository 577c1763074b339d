/* Finding the caller's cart, and showing it with what catalog and inventory say now. */
#ifndef SOUK_CART_VIEW_H
#define SOUK_CART_VIEW_H

#include "cart.pb-c.h"
#include "catalog.pb-c.h"
#include "common/call.h"
#include "inventory.pb-c.h"
#include "services/cart/cart_db.h"

/*
 * The open cart of the signed-in user, or of the token; *row_r NULL when the user has none yet or the caller brings neither.
 * A token that is unknown, expired or merged: cart.not_found (404). For internal calls from checkout the forwarded
 * principal counts the same.
 */
MUST_CHECK enum err_code cart_find(struct call *c, struct pg *pg, const char *token, struct cart_row **row_r,
				   struct err *e);

/* A cart as it is stored. */
struct cart_content {
	struct cart_row *cart;
	struct line_row *lines;
	size_t n;
	struct coupon_row *coupons;
	size_t n_coupons;
};

/* Answers about variants; NULL: not asked, or no answer. */
struct cart_asked {
	const Catalog__V1__VariantsReply *variants;
	const Inventory__V1__AvailabilityReply *available;
};

/* Fills the view of what is already known; asks about the variants where `asked` is NULL or does not know all of them. */
MUST_CHECK enum err_code cart_view_of(struct call *c, const struct cart_content *is, const struct cart_asked *asked,
				      Cart__V1__CartView *out);

/* Reads the cart again and fills the view; cart_id NULL gives the empty view. */
MUST_CHECK enum err_code cart_view(struct call *c, const char *cart_id, Cart__V1__CartView *out);

/* The SHA-256 of a token, in the arena. */
struct pg_bytes cart_token_hash(struct arena *a, const char *token);

/* 412 with the current tag in the detail "If-Match". */
enum err_code cart_stale(struct arena *a, const struct cart_row *row, struct err *e);

#endif
