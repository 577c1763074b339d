/* What a cart allows, as pure functions. */
#ifndef SOUK_CART_RULES_H
#define SOUK_CART_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"

/* The tag of a cart at a version: "crt_…-7"; "none" for the cart that does not exist yet. */
const char *cart_etag(struct arena *a, const char *cart_id, int64_t version);
/* The version that a tag names of this cart: -1 when the tag is another cart's or malformed. cart_id NULL: "none" is 0. */
int64_t cart_etag_version(const char *tag, const char *cart_id);

enum merge_policy { MERGE_SUM, MERGE_KEEP_USER, MERGE_KEEP_GUEST };
bool cart_merge_policy(const char *word, enum merge_policy *r); /* NULL: MERGE_SUM */
/* Quantity of an article that both carts hold, never past the limit. */
int32_t cart_merge_qty(enum merge_policy p, int32_t user, int32_t guest);

/* Upper-cases into out; false when it is not 3 to 32 of A-Z 0-9 _ -. */
bool cart_coupon_normal(const char *code, char out[33]);

#endif
