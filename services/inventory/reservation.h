/* What is shared by the handlers of reservations. */
#ifndef SOUK_RESERVATION_H
#define SOUK_RESERVATION_H

#include "common/call.h"
#include "inventory.pb-c.h"

/* Fills the reply with the reservation of that key; inventory.reservation_unknown (404) when there is none. */
MUST_CHECK enum err_code reservation_fill(struct call *c, const char *key, Inventory__V1__Reservation *out);

#endif
