/* REST rows of souk-search. */
#include "gateway/routes.h"

#include "search.pb-c.h"

#define IN(x) &search__v1__##x##__descriptor
#define ADMIN_READ .auth = AUTH_ADMIN, .perm = "admin.catalog", .rate = RATE_READ, .flags = ROUTE_READ, .tag = "search"
#define ADMIN_WRITE .auth = AUTH_ADMIN, .perm = "admin.catalog", .rate = RATE_WRITE, .tag = "search"

const struct route search_routes[] = {
	{ "GET", "/api/search", "search", "Search", IN(search_request), IN(search_reply), .auth = AUTH_OPTIONAL,
	  .rate = RATE_READ, .flags = ROUTE_READ, .required = "q", .tag = "search",
	  .doc = "Products for a query: ranked, corrected where nothing matches as typed, with facets." },
	{ "GET", "/api/search/suggest", "search", "Suggest", IN(suggest_request), IN(suggest_reply), .auth = AUTH_OPTIONAL,
	  .rate = RATE_SUGGEST, .cache = CACHE_DETAIL, .flags = ROUTE_READ, .required = "q", .tag = "search",
	  .doc = "What a text that is being typed may become: queries, categories, brands, products." },
	{ "GET", "/api/admin/search/synonyms", "search", "ListSynonyms", IN(list_synonyms_request),
	  IN(list_synonyms_reply), ADMIN_READ, .doc = "Words that stand for each other." },
	{ "POST", "/api/admin/search/synonyms", "search", "CreateSynonym", IN(create_synonym_request), IN(synonym),
	  ADMIN_WRITE, .status = 201, .required = "words", .doc = "Adds synonyms, both ways or from one word." },
	{ "DELETE", "/api/admin/search/synonyms/{synonym_id}", "search", "DeleteSynonym", IN(delete_synonym_request),
	  &common__v1__empty__descriptor, ADMIN_WRITE, .status = 204, .doc = "Removes synonyms." },
	{ "GET", "/api/admin/search/rules", "search", "ListRules", IN(list_rules_request), IN(list_rules_reply), ADMIN_READ,
	  .doc = "Products pinned, hidden or boosted for a query." },
	{ "POST", "/api/admin/search/rules", "search", "CreateRule", IN(create_rule_request), IN(rule), ADMIN_WRITE,
	  .status = 201, .required = "query action product_id", .doc = "Pins, hides or boosts a product for a query." },
	{ "DELETE", "/api/admin/search/rules/{rule_id}", "search", "DeleteRule", IN(delete_rule_request),
	  &common__v1__empty__descriptor, ADMIN_WRITE, .status = 204, .doc = "Removes a rule." },
	{ "POST", "/api/admin/search/reindex", "search", "StartReindex", IN(reindex_request), IN(reindex), ADMIN_WRITE,
	  .status = 202, .doc = "Rebuilds the index from the catalogue; the old one is searched until the new one is whole." },
	{ "GET", "/api/admin/search/reindex", "search", "GetReindex", IN(reindex_request), IN(reindex), ADMIN_READ,
	  .doc = "How far a rebuild is." },
	{ "GET", "/api/admin/search/report", "search", "GetReport", IN(report_request), IN(report_reply), ADMIN_READ,
	  .doc = "What people search for, and what finds nothing." },
	{ 0 },
};
