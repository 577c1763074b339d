/* A database with the schema "shop" for tests of the mechanisms: a pool of its runtime role, an arena, a connection. */
#ifndef SOUK_TEST_SHOP_DB_H
#define SOUK_TEST_SHOP_DB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/compiler.h"
#include "common/timeutil.h"
#include "support/pg_fixture.h"

static struct pg_fixture *fx;
static struct pg_pool *pool;
static struct arena *a;

/* own and tables may be NULL: the mechanisms alone. */
static int shop_open(const struct migration *own, const struct pg_stmt *const *const *tables, int connections)
{
	fx = pg_fixture_open("shop", own);
	pool = pg_fixture_pool(fx, tables, connections);
	a = arena_new("test", 64 << 20);
	return 0;
}

static int shop_close(void **state)
{
	(void)state;
	pg_pool_close(pool);
	pg_fixture_close(fx);
	arena_free(a);
	return 0;
}

UNUSED static struct pg *borrow(void)
{
	struct err e = { 0 };
	struct pg *pg = NULL;

	assert_int_equal(pg_borrow(pool, mono_ms() + 5000, &pg, &e), OK);
	return pg;
}

#endif
