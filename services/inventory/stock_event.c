#include "services/inventory/stock_event.h"

#include <string.h>

#include "events.pb-c.h"

enum err_code stock_event_put(struct pg *pg, bool moved, const char *variant_id, const char *vendor_id,
			      const char *state, int64_t seq, struct err *e)
{
	Events__V1__StockChanged m = EVENTS__V1__STOCK_CHANGED__INIT;

	if (!moved)
		return OK;
	m.variant_id = (char *)variant_id;
	m.vendor_id = (char *)vendor_id;
	m.availability = (char *)state;
	m.has_low_stock = true;
	m.low_stock = strcmp(state, "in") != 0;
	return outbox_put(pg, "variant", variant_id, seq, "stock.changed", &m.base, e);
}
