#include "services/reco/artefact.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/id.h"

#define MAGIC "SOUKRECO"
#define FORMAT 1
#define ALIGN 16

enum part {
	ID_AT, IDS, POPULAR,
	LIKED_PTR, LIKED_IDX, LIKED_VAL,
	TOGETHER_PTR, TOGETHER_IDX, TOGETHER_VAL,
	VIEWED_PTR, VIEWED_IDX, VIEWED_VAL,
	FACTORS, GRAM,
	SESSION_PTR, SESSION_ITEMS, BY_ITEM_PTR, BY_ITEM_IDX, BY_ITEM_VAL, IDF,
	PARTS
};
static const uint8_t width[PARTS] = { 4, 1, 4, 8, 4, 4, 8, 4, 4, 8, 4, 4, 4, 4, 8, 4, 8, 4, 4, 4 };

/* The first bytes of a file, in the machine's own order: amd64 and arm64 agree. */
struct head {
	char magic[8];
	uint32_t format, parts;
	uint64_t size;
	char version[ARTEFACT_VERSION_LEN];
	int64_t data_from, data_to, rows;
	uint64_t seed;
	int32_t n_items, n_factors, n_sessions, spare;
	double unobserved, ridge;
	struct {
		uint64_t at, n; /* bytes from the file's begin; elements */
	} part[PARTS];
	uint8_t sha256[SHA256_LEN]; /* of everything before and after this field */
};

static enum err_code bad(struct err *e, const char *what)
{
	return err_set(e, E_RULE, "reco.artefact_bad", "the model's file is damaged: %s", what);
}

static void digest(const struct head *h, const uint8_t *rest, size_t n, uint8_t out[SHA256_LEN])
{
	struct sha256_ctx *ctx = sha256_start();

	sha256_add(ctx, h, offsetof(struct head, sha256));
	sha256_add(ctx, rest, n);
	sha256_end(ctx, out);
}

/* ---- writing ---- */

struct blob {
	const void *p;
	uint64_t n;
};

static void matrix(struct blob *part, const struct sparse *m)
{
	if (!m->ptr)
		return;
	part[0] = (struct blob){ m->ptr, (uint64_t)m->rows + 1 };
	part[1] = (struct blob){ m->idx, (uint64_t)m->ptr[m->rows] };
	part[2] = (struct blob){ m->val, (uint64_t)m->ptr[m->rows] };
}

static void lay_out(const struct bundle *b, struct blob part[PARTS], struct head *h)
{
	uint64_t at = (sizeof(*h) + ALIGN - 1) / ALIGN * ALIGN;

	memset(h, 0, sizeof(*h)); /* the padding too: a bundle is the same to the bit each time */
	memcpy(h->magic, MAGIC, sizeof(h->magic));
	h->format = FORMAT;
	h->parts = PARTS;
	snprintf(h->version, sizeof(h->version), "%s", b->version);
	h->data_from = b->data_from;
	h->data_to = b->data_to;
	h->rows = b->rows;
	h->seed = b->seed;
	h->n_items = b->n_items;
	h->n_factors = b->factors.factors;
	h->n_sessions = b->sessions.n_sessions;
	h->unobserved = b->unobserved;
	h->ridge = b->ridge;
	part[ID_AT] = (struct blob){ b->id_at, (uint64_t)b->n_items + 1 };
	part[IDS] = (struct blob){ b->ids, b->id_at[b->n_items] };
	part[POPULAR] = (struct blob){ b->popular, (uint64_t)b->n_items };
	matrix(&part[LIKED_PTR], &b->liked);
	matrix(&part[TOGETHER_PTR], &b->together);
	matrix(&part[VIEWED_PTR], &b->viewed);
	if (h->n_factors) {
		part[FACTORS] = (struct blob){ b->factors.item, (uint64_t)b->n_items * (uint64_t)h->n_factors };
		part[GRAM] = (struct blob){ b->factors.gram, (uint64_t)h->n_factors * (uint64_t)h->n_factors };
	}
	if (h->n_sessions) {
		part[SESSION_PTR] = (struct blob){ b->sessions.ptr, (uint64_t)h->n_sessions + 1 };
		part[SESSION_ITEMS] = (struct blob){ b->sessions.items, (uint64_t)b->sessions.ptr[h->n_sessions] };
		matrix(&part[BY_ITEM_PTR], &b->sessions.by_item);
		part[IDF] = (struct blob){ b->sessions.idf, (uint64_t)b->n_items };
	}
	for (int i = 0; i < PARTS; i++) {
		h->part[i].at = at;
		h->part[i].n = part[i].n;
		at += (part[i].n * width[i] + ALIGN - 1) / ALIGN * ALIGN;
	}
	h->size = at;
}

static bool put(int fd, const void *p, size_t n, uint64_t at)
{
	while (n > 0) {
		ssize_t done = pwrite(fd, p, n, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		p = (const uint8_t *)p + done;
		n -= (size_t)done;
		at += (uint64_t)done;
	}
	return true;
}

/* The parts, then the head with the digest of what is really in the file. */
static bool fill(int fd, const struct blob part[PARTS], struct head *h, char sha256_r[SHA256_HEX_LEN])
{
	uint8_t *map;
	bool ok;

	if (ftruncate(fd, (off_t)h->size) != 0)
		return false;
	for (int i = 0; i < PARTS; i++)
		if (part[i].n && !put(fd, part[i].p, part[i].n * width[i], h->part[i].at))
			return false;
	map = mmap(NULL, h->size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return false;
	digest(h, map + sizeof(*h), h->size - sizeof(*h), h->sha256);
	ok = put(fd, h, sizeof(*h), 0) && fsync(fd) == 0;
	if (ok)
		sha256_hex(map, h->size, sha256_r);
	munmap(map, h->size);
	return ok;
}

static bool sync_folder(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

enum err_code artefact_write(const char *dir, const char *name, const struct bundle *b, char sha256_r[SHA256_HEX_LEN],
			     size_t *size_r, struct err *e)
{
	struct blob part[PARTS] = { { 0 } };
	char file[600], tmp[700], unique[ID_LEN];
	struct head h;
	bool ok;
	int fd;

	lay_out(b, part, &h);
	id_new("tmp", unique);
	snprintf(file, sizeof(file), "%s/%s", dir, name);
	snprintf(tmp, sizeof(tmp), "%s/.%s.%s", dir, name, unique);
	(void)mkdir(dir, 0755); /* a volume comes empty; what is wrong with it, the next line says */
	fd = open(tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_set(e, E_UNAVAILABLE, "common.unavailable", "%s: %s", tmp, strerror(errno));
	ok = fill(fd, part, &h, sha256_r);
	close(fd);
	if (!ok || rename(tmp, file) != 0 || !sync_folder(dir)) {
		int why = errno;

		unlink(tmp);
		return err_set(e, E_UNAVAILABLE, "common.unavailable", "%s cannot be written: %s", file, strerror(why));
	}
	*size_r = h.size;
	return OK;
}

/* ---- reading ---- */

/* Every part is where the head says, inside the file, and long enough for its type; then the pointers are set. */
static const void *part_of(const struct artefact *a, const struct head *h, enum part p)
{
	return (const uint8_t *)a->map + h->part[p].at;
}

static bool parts_fit(const struct head *h)
{
	for (int i = 0; i < PARTS; i++) {
		uint64_t at = h->part[i].at, n = h->part[i].n;

		if (at % ALIGN || at < sizeof(*h) || at > h->size || n > h->size || n * width[i] > h->size - at)
			return false;
	}
	return true;
}

/* Rows in order, indices inside and ascending where ordered says so, values that are numbers. */
static bool matrix_fits(const struct artefact *a, const struct head *h, enum part first, int32_t rows, int32_t cols,
			bool ordered, struct sparse *m)
{
	uint64_t n = h->part[first + 1].n;

	if (!h->part[first].n)
		return n == 0 && h->part[first + 2].n == 0;
	*m = (struct sparse){ .rows = rows, .cols = cols, .ptr = (int64_t *)(uintptr_t)part_of(a, h, first),
			      .idx = (int32_t *)(uintptr_t)part_of(a, h, first + 1),
			      .val = (float *)(uintptr_t)part_of(a, h, first + 2) };
	if (h->part[first].n != (uint64_t)rows + 1 || h->part[first + 2].n != n || m->ptr[0] != 0 ||
	    (uint64_t)m->ptr[rows] != n)
		return false;
	for (int32_t r = 0; r < rows; r++)
		if (m->ptr[r] > m->ptr[r + 1] || m->ptr[r + 1] > (int64_t)n)
			return false;
	for (int32_t r = 0; r < rows; r++)
		for (int64_t k = m->ptr[r]; k < m->ptr[r + 1]; k++)
			if (m->idx[k] < 0 || m->idx[k] >= cols || !isfinite(m->val[k]) ||
			    (ordered && k > m->ptr[r] && m->idx[k - 1] >= m->idx[k]))
				return false;
	return true;
}

static bool floats_fit(const float *v, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (!isfinite(v[i]))
			return false;
	return true;
}

static bool ids_fit(const struct bundle *b, uint64_t bytes)
{
	if (b->id_at[0] != 0 || b->id_at[b->n_items] != bytes)
		return false;
	for (int32_t i = 0; i < b->n_items; i++)
		if (b->id_at[i] >= b->id_at[i + 1] || b->id_at[i + 1] > bytes || b->ids[b->id_at[i + 1] - 1] != '\0')
			return false;
	for (int32_t i = 1; i < b->n_items; i++)
		if (strcmp(bundle_id(b, i - 1), bundle_id(b, i)) >= 0)
			return false;
	return true;
}

static bool sessions_fit(const struct artefact *a, const struct head *h, struct session_model *s)
{
	int32_t n = h->n_sessions;

	if (n == 0)
		return true;
	s->n_sessions = n;
	s->n_items = h->n_items;
	s->ptr = part_of(a, h, SESSION_PTR);
	s->items = part_of(a, h, SESSION_ITEMS);
	s->idf = (float *)(uintptr_t)part_of(a, h, IDF);
	if (h->part[SESSION_PTR].n != (uint64_t)n + 1 || h->part[IDF].n != (uint64_t)h->n_items || s->ptr[0] != 0 ||
	    (uint64_t)s->ptr[n] != h->part[SESSION_ITEMS].n || !floats_fit(s->idf, (uint64_t)h->n_items))
		return false;
	for (int32_t i = 0; i < n; i++)
		if (s->ptr[i] > s->ptr[i + 1])
			return false;
	for (int64_t k = 0; k < s->ptr[n]; k++)
		if (s->items[k] < 0 || s->items[k] >= h->n_items)
			return false;
	return matrix_fits(a, h, BY_ITEM_PTR, h->n_items, n, true, &s->by_item) && s->by_item.ptr;
}

static const char *check(struct artefact *a)
{
	const struct head *h = a->map;
	struct bundle *b = &a->b;
	uint8_t sum[SHA256_LEN];

	if (memcmp(h->magic, MAGIC, sizeof(h->magic)) != 0)
		return "not a model";
	if (h->format != FORMAT || h->parts != PARTS)
		return "another format";
	if (h->size != a->size || !parts_fit(h))
		return "cut short";
	digest(h, (const uint8_t *)a->map + sizeof(*h), a->size - sizeof(*h), sum);
	if (memcmp(sum, h->sha256, sizeof(sum)) != 0)
		return "its checksum differs";
	if (h->n_items < 0 || h->n_factors < 0 || h->n_factors > 4096 || h->n_sessions < 0 ||
	    h->part[ID_AT].n != (uint64_t)h->n_items + 1 || h->part[POPULAR].n != (uint64_t)h->n_items ||
	    h->part[FACTORS].n != (uint64_t)h->n_items * (uint64_t)h->n_factors ||
	    h->part[GRAM].n != (uint64_t)h->n_factors * (uint64_t)h->n_factors || memchr(h->version, 0, sizeof(h->version)) == NULL)
		return "its parts do not fit together";
	memcpy(b->version, h->version, sizeof(b->version));
	b->data_from = h->data_from;
	b->data_to = h->data_to;
	b->rows = h->rows;
	b->seed = h->seed;
	b->n_items = h->n_items;
	b->unobserved = h->unobserved;
	b->ridge = h->ridge;
	b->id_at = part_of(a, h, ID_AT);
	b->ids = part_of(a, h, IDS);
	b->popular = part_of(a, h, POPULAR);
	b->factors = (struct ials){ .factors = h->n_factors, .items = h->n_items,
				    .item = (float *)(uintptr_t)part_of(a, h, FACTORS),
				    .gram = (float *)(uintptr_t)part_of(a, h, GRAM) };
	if (!ids_fit(b, h->part[IDS].n))
		return "its items are not in order";
	if (!floats_fit(b->popular, (uint64_t)b->n_items) || !floats_fit(b->factors.item, h->part[FACTORS].n) ||
	    !floats_fit(b->factors.gram, h->part[GRAM].n) || !isfinite(b->unobserved) || !isfinite(b->ridge))
		return "a value is no number";
	if (!matrix_fits(a, h, LIKED_PTR, b->n_items, b->n_items, false, &b->liked) ||
	    !matrix_fits(a, h, TOGETHER_PTR, b->n_items, b->n_items, false, &b->together) ||
	    !matrix_fits(a, h, VIEWED_PTR, b->n_items, b->n_items, false, &b->viewed) || !sessions_fit(a, h, &b->sessions))
		return "a part is out of bounds";
	return NULL;
}

enum err_code artefact_open(const char *file, struct artefact **a_r, struct err *e)
{
	struct artefact *a = calloc(1, sizeof(*a));
	const char *why;
	struct stat st;
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (!a)
		abort();
	if (fd < 0 || fstat(fd, &st) != 0) {
		(void)err_set(e, E_UNAVAILABLE, "common.unavailable", "%s: %s", file, strerror(errno));
		goto failed;
	}
	a->size = (size_t)st.st_size;
	if (!S_ISREG(st.st_mode) || a->size < sizeof(struct head)) {
		(void)bad(e, "too short");
		goto failed;
	}
	a->map = mmap(NULL, a->size, PROT_READ, MAP_SHARED, fd, 0);
	if (a->map == MAP_FAILED) {
		a->map = NULL;
		(void)err_set(e, E_UNAVAILABLE, "common.unavailable", "%s: %s", file, strerror(errno));
		goto failed;
	}
	why = check(a);
	if (why) {
		(void)bad(e, why);
		goto failed;
	}
	sha256_hex(a->map, a->size, a->sha256);
	close(fd);
	*a_r = a;
	return OK;
failed:
	if (fd >= 0)
		close(fd);
	artefact_close(a);
	return e->code;
}

void artefact_close(struct artefact *a)
{
	if (!a)
		return;
	if (a->map)
		munmap(a->map, a->size);
	free(a);
}

int32_t bundle_item(const struct bundle *b, const char *product_id)
{
	int32_t lo = 0, hi = b->n_items - 1;

	while (lo <= hi) {
		int32_t mid = lo + (hi - lo) / 2;
		int c = strcmp(bundle_id(b, mid), product_id);

		if (c == 0)
			return mid;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid - 1;
	}
	return -1;
}
