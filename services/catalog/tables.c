/* The tables that main and the tests share. */
#include "catalog.pb-c.h"
#include "services/catalog/catalog.h"
#include "services/catalog/catalog_db_edit.h"
#include "services/catalog/catalog_db_export.h"
#include "services/catalog/catalog_db_import.h"
#include "services/catalog/catalog_db_product.h"
#include "services/catalog/catalog_db_review.h"
#include "services/catalog/catalog_db_vendor.h"

const struct pg_stmt *const *const catalog_stmts[] = {
	catalog_db_vendor_stmts, catalog_db_product_stmts, catalog_db_edit_stmts,
	catalog_db_review_stmts, catalog_db_import_stmts,  catalog_db_export_stmts,
	NULL,
};

static const struct rpc_method *const tables[] = {
	catalog_vendor_methods,	 catalog_category_methods, catalog_product_methods, catalog_own_methods,
	catalog_variant_methods, catalog_review_methods,   catalog_import_methods,  catalog_upload_methods,
	catalog_export_methods, NULL,
};
const struct rpc_service catalog_services[] = { { &catalog__v1__catalog__descriptor, tables }, { 0 } };
