/*
 * A model's file from a stranger: whatever its bytes, it is refused or it answers within bounds. The input is tried as it
 * is, and with the digest put right, so that what lies behind the digest is reached.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/arena.h"
#include "services/reco/artefact.h"
#include "services/reco/person.h"

#define DIGEST_AT 448 /* its place, the end of the head */
#define TOP 20

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
	if (!ok)
		abort();
}

static void listed(const struct bundle *b, const struct ranked *top, size_t n)
{
	need(n <= TOP);
	for (size_t i = 0; i < n; i++)
		need(top[i].item >= 0 && top[i].item < b->n_items && bundle_item(b, bundle_id(b, top[i].item)) == top[i].item);
}

/* As serving asks it: the first, the middle and the last product as a history, as a session, as a cart. */
static void ask(const struct bundle *b)
{
	const int32_t items[] = { 0, b->n_items / 2, b->n_items - 1 };
	const struct liking h[] = { { items[0], 1 }, { items[1], 0.5F }, { items[2], 0.25F } };
	struct arena *a = arena_new("fuzz", 256 << 20);
	struct ranked top[TOP];

	need(strlen(b->version) < ARTEFACT_VERSION_LEN);
	need(bundle_item(b, "") < b->n_items && bundle_item(b, "\xff") < b->n_items);
	if (b->n_items > 0) {
		listed(b, top, person_next(a, b, h, 3, top, TOP));
		listed(b, top, person_session(a, b, items, 3, top, TOP));
		listed(b, top, person_popular(a, b, top, TOP));
		for (int kind = NEAR_LIKED; kind <= NEAR_VIEWED; kind++)
			listed(b, top, person_near(a, b, (enum near_kind)kind, h, 3, top, TOP));
	}
	arena_free(a);
}

static void try(const uint8_t *data, size_t size)
{
	struct artefact *f = NULL;
	struct err e = { 0 };
	char path[40];
	int fd = memfd_create("model", MFD_CLOEXEC);

	need(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (artefact_open(path, &f, &e) == OK) {
		need(f->size == size);
		ask(&f->b);
		artefact_close(f);
	}
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sha256_ctx *sum;
	uint8_t *right;

	if (size > 1 << 20)
		return 0;
	try(data, size);
	if (size < DIGEST_AT + SHA256_LEN)
		return 0;
	right = malloc(size);
	need(right != NULL);
	memcpy(right, data, size);
	sum = sha256_start();
	sha256_add(sum, right, DIGEST_AT);
	sha256_add(sum, right + DIGEST_AT + SHA256_LEN, size - DIGEST_AT - SHA256_LEN);
	sha256_end(sum, right + DIGEST_AT);
	try(right, size);
	free(right);
	return 0;
}
