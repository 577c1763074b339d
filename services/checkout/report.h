/* The job that keeps the reports' sums true. */
#ifndef SOUK_CHECKOUT_REPORT_H
#define SOUK_CHECKOUT_REPORT_H

#include "common/arena.h"
#include "common/err.h"

MUST_CHECK enum err_code checkout_reports(void *svc, struct arena *, struct err *);

#endif
