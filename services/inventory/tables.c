/* The tables that main and the tests share. */
#include "inventory.pb-c.h"
#include "services/inventory/inventory.h"
#include "services/inventory/inventory_db.h"

const struct pg_stmt *const *const inventory_stmts[] = {
	inventory_db_reservation_stmts,
	inventory_db_stock_stmts,
	NULL,
};

static const struct rpc_method *const tables[] = {
	inventory_reserve_methods,
	inventory_reservation_methods,
	inventory_stock_methods,
	inventory_location_methods,
	NULL,
};
const struct rpc_service inventory_services[] = { { &inventory__v1__inventory__descriptor, tables }, { 0 } };
