/* An order table read from a file: invoice, ts, customer, sku, qty, price, tab-separated with a heading line. */
#ifndef SOUK_RECO_ORDERS_H
#define SOUK_RECO_ORDERS_H

#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/err.h"

struct order_line {
	int32_t basket, customer, item; /* customer -1: nobody known */
	float day;			/* since 1970, with its fraction */
};

struct orders {
	struct order_line *lines; /* in the file's order */
	size_t n;
	int32_t baskets, customers, items;
	float last_day;
};

/* Without cancellations (invoices with C), lines that take back, and codes that are no product (postage, fees). */
MUST_CHECK enum err_code orders_read(struct arena *a, const char *file, struct orders *o_r, struct err *e);

#endif
