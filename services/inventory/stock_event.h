/* Tells the others that a variant went in, low or out of stock. */
#ifndef SOUK_STOCK_EVENT_H
#define SOUK_STOCK_EVENT_H

#include "common/outbox.h"

/* Puts stock.changed into this transaction; does nothing unless moved. seq counts the variant's transitions. */
MUST_CHECK enum err_code stock_event_put(struct pg *, bool moved, const char *variant_id, const char *vendor_id,
					 const char *state, int64_t seq, struct err *);

#endif
