#include "services/catalog/catalog_db_review.h"

#include <string.h>

#define REVIEW_COLUMNS                                                                             \
	"r.id, r.product_id, r.user_id, r.title, r.body, r.status, r.rating,"                      \
	" (extract(epoch FROM r.created_at) * 1000)::bigint AS created_at,"                        \
	" EXISTS (SELECT 1 FROM catalog.bought b WHERE b.user_id = r.user_id AND b.product_id = r.product_id) AS bought"
static const struct pg_col review_cols[] = {
	PG_COL(review_row, id),	    PG_COL(review_row, product_id), PG_COL(review_row, user_id),
	PG_COL(review_row, title),  PG_COL(review_row, body),	    PG_COL(review_row, status),
	PG_COL(review_row, rating), PG_COL(review_row, created_at), PG_COL(review_row, bought),
};
#define REVIEW_ROW .col = review_cols, .ncol = 9, .row_size = sizeof(struct review_row)

static const struct pg_stmt reviews = {
	.name = "reviews",
	.sql = "SELECT " REVIEW_COLUMNS " FROM catalog.review r WHERE r.product_id = $1 AND r.status = 'approved'"
	       " AND ($2::text IS NULL OR r.id < $2) ORDER BY r.id DESC LIMIT $3::integer",
	REVIEW_ROW,
};
static const struct pg_stmt moderation = {
	.name = "review_moderation",
	.sql = "SELECT " REVIEW_COLUMNS " FROM catalog.review r WHERE r.status = $1 AND r.id > $2 ORDER BY r.id LIMIT $3::integer",
	REVIEW_ROW,
};
static const struct pg_stmt review = {
	.name = "review",
	.sql = "SELECT " REVIEW_COLUMNS " FROM catalog.review r WHERE r.id = $1 FOR UPDATE",
	REVIEW_ROW,
};
static const struct pg_stmt review_add = {
	.name = "review_add",
	.sql = "INSERT INTO catalog.review (id, product_id, user_id, rating, title, body) VALUES ($1, $2, $3, $4::integer, $5,"
	       " $6) ON CONFLICT (product_id, user_id) DO NOTHING",
};
static const struct pg_stmt review_status = {
	.name = "review_status",
	.sql = "UPDATE catalog.review SET status = $2 WHERE id = $1",
};
static const struct pg_stmt rating_count = {
	.name = "rating_count",
	.sql = "UPDATE catalog.product SET rating_count = rating_count + $2::integer, rating_sum = rating_sum + $3::integer"
	       " WHERE id = $1",
};
static const struct pg_col key_cols[] = {
	PG_COL(product_key_row, id),
	PG_COL(product_key_row, slug),
	PG_COL(product_key_row, version),
};
static const struct pg_stmt erase = {
	.name = "reviews_erase",
	.sql = "WITH gone AS (DELETE FROM catalog.bought WHERE user_id = $1)"
	       " UPDATE catalog.review r SET title = NULL, body = NULL, user_id = 'erased:' || r.id FROM catalog.product p"
	       " WHERE r.user_id = $1 AND p.id = r.product_id RETURNING p.id, p.slug, p.version",
	.col = key_cols,
	.ncol = 3,
	.row_size = sizeof(struct product_key_row),
};

enum err_code catalog_db_reviews(struct pg *pg, struct arena *a, const char *product_id, const char *before,
				 int32_t limit, struct review_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &reviews, PG_ARGS(P(product_id), P(before), P(limit)), a, rows_r, n_r, e);
}

enum err_code catalog_db_moderation(struct pg *pg, struct arena *a, const char *status, const char *after, int32_t limit,
				    struct review_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &moderation, PG_ARGS(P(status), P(after), P(limit)), a, rows_r, n_r, e);
}

enum err_code catalog_db_review_add(struct pg *pg, const struct review_row *r, bool *found_r, struct err *e)
{
	int64_t n = 0;

	if (pg_exec(pg, &review_add,
		    PG_ARGS(P(r->id), P(r->product_id), P(r->user_id), P(r->rating), P(r->title), P(r->body)), &n, e))
		return e->code;
	*found_r = n == 1;
	return OK;
}

enum err_code catalog_db_review(struct pg *pg, struct arena *a, const char *id, struct review_row **row_r, bool *found_r,
				struct err *e)
{
	return pg_row(pg, &review, PG_ARGS(P(id)), a, row_r, found_r, e);
}

enum err_code catalog_db_review_status(struct pg *pg, const struct review_row *before, const char *status, struct err *e)
{
	int32_t was = strcmp(before->status, "approved") == 0, is = strcmp(status, "approved") == 0;

	if (pg_exec(pg, &review_status, PG_ARGS(P(before->id), P(status)), NULL, e))
		return e->code;
	if (was == is)
		return OK;
	return pg_exec(pg, &rating_count, PG_ARGS(P(before->product_id), P(is - was), P((is - was) * before->rating)),
		       NULL, e);
}

enum err_code catalog_db_reviews_erase(struct pg *pg, struct arena *a, const char *user_id,
				       struct product_key_row **rows_r, size_t *n_r, struct err *e)
{
	return pg_rows(pg, &erase, PG_ARGS(P(user_id)), a, rows_r, n_r, e);
}

const struct pg_stmt *const catalog_db_review_stmts[] = {
	&reviews, &moderation, &review, &review_add, &review_status, &rating_count, &erase, NULL,
};
