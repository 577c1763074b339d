/* The tables that main and the tests share. */
#include "search.pb-c.h"
#include "services/search/search.h"
#include "services/search/search_db_admin.h"
#include "services/search/search_db_feed.h"
#include "services/search/search_db_index.h"
#include "services/search/search_db_query.h"
#include "services/search/search_db_suggest.h"

const struct pg_stmt *const *const search_stmts[] = { search_db_index_stmts, search_db_query_stmts, search_db_admin_stmts,
						      search_db_suggest_stmts, search_db_feed_stmts, NULL };

static const struct rpc_method *const tables[] = { search_find_methods, search_suggest_methods, search_admin_methods, NULL };
const struct rpc_service search_services[] = { { &search__v1__search__descriptor, tables }, { 0 } };
