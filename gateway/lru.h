/*
 * A sharded map of reference-counted items by SHA-256, bounded in bytes, least recently used out first. Items are the
 * first member of the user's struct. Each shard has its own short lock; an item got stays valid until released, also
 * when it was dropped meanwhile.
 */
#ifndef SOUK_GATEWAY_LRU_H
#define SOUK_GATEWAY_LRU_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct lru_item {
	uint8_t key[32];
	size_t size; /* bytes it stands for; set before lru_put */
	atomic_int refs;
	struct lru_item *chain, *newer, *older;
};

struct lru;
struct lru *lru_new(size_t max_bytes, void (*release)(struct lru_item *)); /* ends the process without memory */
void lru_free(struct lru *);
struct lru_item *lru_get(struct lru *, const uint8_t key[32]); /* one reference for the caller, or NULL */
/* Stores (replacing what has that key); the caller keeps a reference of its own, which it releases. */
void lru_put(struct lru *, struct lru_item *);
void lru_drop(struct lru *, struct lru_item *); /* out of the map, if it is still the one there */
void lru_release(struct lru *, struct lru_item *); /* NULL is fine */
size_t lru_bytes(const struct lru *);

#endif
