/* The kinds of mail that Souk sends: what each is about, who may switch it off, which variables its template knows. */
#ifndef SOUK_NOTIFY_KIND_H
#define SOUK_NOTIFY_KIND_H

#include <stdbool.h>
#include <stddef.h>

enum notify_pref {
	PREF_ALWAYS,   /* owed to the person: orders, money, security */
	PREF_ORDER,    /* order_mail: news of an order under way */
	PREF_REMINDER, /* cart_reminder */
};

enum notify_needs {
	NEEDS_ORDER = 1, /* checkout is asked for the order, which also names a guest's address */
	NEEDS_LINK = 2,  /* identity is asked for the one-time link that ref_id names, and may name another address with it */
	TO_LINK_ADDRESS = 4, /* there may be no account: the link names the address */
	TO_OLD_ADDRESS = 8,  /* to the address that the account had before the change that ref_id names */
};

struct notify_kind {
	const char *name;
	const char *about;    /* for administrators */
	enum notify_pref pref;
	unsigned needs;
	const char *vars;     /* "shop_name lines lines.title …", words a template may use */
	const char *detail_words; /* security_changed: each word of detail is also a variable that is set or not; or NULL */
};

const struct notify_kind *notify_kind_find(const char *name); /* NULL: unknown, also for NULL */
const struct notify_kind *notify_kind_at(size_t i);	      /* NULL past the end */

#endif
