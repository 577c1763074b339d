/*
 * A trained bundle of models as one file: written whole and renamed into place, read by mmap, shared by the page cache
 * among replicas. Everything in it is checked when it is opened (sizes, order, indices, SHA-256), so that serving from
 * it needs no checks and a damaged file is an error, never a crash.
 */
#ifndef SOUK_RECO_ARTEFACT_H
#define SOUK_RECO_ARTEFACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/crypto.h"
#include "common/err.h"
#include "services/reco/ials.h"
#include "services/reco/session.h"
#include "services/reco/sparse.h"

enum { ARTEFACT_VERSION_LEN = 40 };

/* What a training makes and serving reads. Models are by item index; an index is an item's place among the sorted ids. */
struct bundle {
	char version[ARTEFACT_VERSION_LEN];
	int64_t data_from, data_to; /* epoch ms; nothing at or past data_to was seen. 0: undated, which the gate refuses */
	int64_t rows;		    /* events it was made of */
	uint64_t seed;
	int32_t n_items;
	const uint32_t *id_at; /* n_items + 1 offsets into ids; each id ends with a NUL */
	const char *ids;
	const float *popular;	/* decayed sales and views of an item, > 0 */
	struct sparse liked;	/* EASE over people: for a person, and related */
	struct sparse together; /* shrunk cosine over baskets */
	struct sparse viewed;	/* shrunk cosine over sessions' views */
	struct ials factors;	/* user NULL; factors 0: none */
	double unobserved, ridge; /* of the factors, for folding a person in */
	struct session_model sessions; /* n_sessions 0: none */
};

struct artefact {
	struct bundle b;
	char sha256[SHA256_HEX_LEN]; /* of the file */
	size_t size;
	void *map;
};

/* Writes dir/name, whole or not at all; sha256_r and size_r are of the file. */
MUST_CHECK enum err_code artefact_write(const char *dir, const char *name, const struct bundle *b,
					char sha256_r[SHA256_HEX_LEN], size_t *size_r, struct err *e);
/* Maps and checks a file. E_RULE "reco.artefact_bad" when it is not what artefact_write wrote; nothing is kept then. */
MUST_CHECK enum err_code artefact_open(const char *file, struct artefact **a_r, struct err *e);
void artefact_close(struct artefact *a); /* NULL is fine */

/* The index of a product, -1 when the models do not know it; and back. */
int32_t bundle_item(const struct bundle *b, const char *product_id);
static inline const char *bundle_id(const struct bundle *b, int32_t item)
{
	return b->ids + b->id_at[item];
}

#endif
