#include "services/notify/notify_kind.h"

#include <string.h>

#define COMMON_VARS "shop_name shop_url name"
#define ORDER_VARS                                                                                \
	COMMON_VARS " order_id order_number order_url subtotal shipping tax discount total ship_to lines"  \
		    " lines.title lines.sku lines.qty lines.total lines.vendor_name"

static const struct notify_kind kinds[] = {
	{ "order_placed", "Confirms an order to its buyer.", PREF_ALWAYS, NEEDS_ORDER, ORDER_VARS, NULL },
	{ "order_cancelled", "Tells the buyer that an order was cancelled.", PREF_ALWAYS, NEEDS_ORDER,
	  ORDER_VARS " amount", NULL },
	{ "order_refunded", "Tells the buyer that money is on its way back.", PREF_ALWAYS, NEEDS_ORDER,
	  ORDER_VARS " amount", NULL },
	{ "order_shipped", "A vendor's part of an order is on its way.", PREF_ORDER, NEEDS_ORDER,
	  ORDER_VARS " vendor_order_id", NULL },
	{ "order_delivered", "An order has arrived.", PREF_ORDER, NEEDS_ORDER, ORDER_VARS, NULL },
	{ "payment_failed", "A payment did not go through; the cart is still there.", PREF_ORDER, 0,
	  COMMON_VARS " cart_url", NULL },
	{ "checkout_refunded", "A payment arrived too late for the goods and was given back.", PREF_ALWAYS, 0,
	  COMMON_VARS " cart_url", NULL },
	{ "verify_email", "Asks to confirm an e-mail address.", PREF_ALWAYS, NEEDS_LINK,
	  COMMON_VARS " link link_hours", NULL },
	{ "password_reset", "Carries the link for a new password.", PREF_ALWAYS, NEEDS_LINK,
	  COMMON_VARS " link link_hours", NULL },
	{ "change_email", "Asks to confirm the address that an account is to have.", PREF_ALWAYS, NEEDS_LINK,
	  COMMON_VARS " link link_hours", NULL },
	{ "email_changed", "Tells the address before that the account has another.", PREF_ALWAYS, TO_OLD_ADDRESS,
	  COMMON_VARS, NULL },
	{ "vendor_invite", "Asks somebody into a vendor's team.", PREF_ALWAYS, NEEDS_LINK | TO_LINK_ADDRESS,
	  COMMON_VARS " vendor_name link link_hours", NULL },
	{ "security_changed", "Something about the account's security was changed.", PREF_ALWAYS, 0,
	  COMMON_VARS " account_url password_changed mfa_enabled mfa_disabled register_attempt sessions_revoked",
	  "password_changed mfa_enabled mfa_disabled register_attempt sessions_revoked" },
	{ "vendor_approved", "A vendor may sell from now on.", PREF_ALWAYS, 0, COMMON_VARS " vendor_name vendor_url",
	  NULL },
	{ "vendor_rejected", "A vendor's application was refused.", PREF_ALWAYS, 0,
	  COMMON_VARS " vendor_name vendor_url", NULL },
	{ "vendor_suspended", "A vendor may not sell any more.", PREF_ALWAYS, 0, COMMON_VARS " vendor_name vendor_url",
	  NULL },
	{ "vendor_order", "A vendor has a new order to ship.", PREF_ALWAYS, 0,
	  COMMON_VARS " vendor_name vendor_url vendor_order_id", NULL },
	{ "cart_reminder", "Something waits in the cart.", PREF_REMINDER, 0, COMMON_VARS " cart_url", NULL },
};

const struct notify_kind *notify_kind_at(size_t i)
{
	return i < sizeof(kinds) / sizeof(*kinds) ? &kinds[i] : NULL;
}

const struct notify_kind *notify_kind_find(const char *name)
{
	for (size_t i = 0; name && i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}
