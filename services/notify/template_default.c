/* The texts that come with Souk, in English and German. An administrator's version in notify.template wins over them. */
#include "services/notify/template.h"

#include <string.h>

#define HEAD                                                                                                      \
	"<!doctype html><html><body style=\"margin:0;background:#f4f2ee;padding:24px;"                            \
	"font-family:Helvetica,Arial,sans-serif;font-size:16px;line-height:1.5;color:#1f2430\">"                  \
	"<div style=\"max-width:560px;margin:0 auto;background:#ffffff;border-radius:10px;padding:28px\">"        \
	"<p style=\"margin:0 0 16px;color:#6b7280\">{{shop_name}}</p>"
#define TAIL                                                                                                      \
	"</div><p style=\"text-align:center;color:#6b7280;font-size:13px\"><a style=\"color:#6b7280\" "            \
	"href=\"{{shop_url}}\">{{shop_name}}</a></p></body></html>"
#define BUTTON(url, label)                                                                                        \
	"<p style=\"margin:24px 0\"><a href=\"{{" url "}}\" style=\"background:#1b6b4c;color:#ffffff;"            \
	"text-decoration:none;border-radius:8px;padding:12px 20px;display:inline-block\">" label "</a></p>"
#define CELL "<td style=\"padding:6px 0;border-bottom:1px solid #e3dfd8\">"
#define CELL_R "<td style=\"padding:6px 0;border-bottom:1px solid #e3dfd8;text-align:right\">"
#define LINES_HTML                                                                                                \
	"<table style=\"width:100%;border-collapse:collapse\">{{#lines}}<tr>" CELL                                \
	"{{qty}} × {{title}}{{#vendor_name}}<br><span style=\"color:#6b7280;font-size:13px\">{{vendor_name}}</span>" \
	"{{/vendor_name}}</td>" CELL_R "{{total}}</td></tr>{{/lines}}</table>"
#define LINES_TEXT "{{#lines}}{{qty}} x {{title}}   {{total}}\n{{/lines}}"
#define ROW(var, label)                                                                                           \
	"{{#" var "}}<tr><td style=\"padding:3px 0\">" label "</td><td style=\"padding:3px 0;text-align:right\">{{" \
	var "}}</td></tr>{{/" var "}}"
#define SUMS_HTML(sub, off, ship, tax, sum)                                                                       \
	"<table style=\"width:100%;border-collapse:collapse;margin-top:12px\">" ROW("subtotal", sub)               \
	ROW("discount", off) ROW("shipping", ship) ROW("tax", tax)                                                 \
	"<tr><td style=\"padding:6px 0;font-weight:bold\">" sum                                                    \
	"</td><td style=\"padding:6px 0;text-align:right;font-weight:bold\">{{total}}</td></tr></table>"
#define SUMS_TEXT(sub, off, ship, tax, sum)                                                                       \
	"{{#subtotal}}" sub ": {{subtotal}}\n{{/subtotal}}{{#discount}}" off ": {{discount}}\n{{/discount}}"       \
	"{{#shipping}}" ship ": {{shipping}}\n{{/shipping}}{{#tax}}" tax ": {{tax}}\n{{/tax}}" sum ": {{total}}\n"
#define HI_EN "Hello{{#name}} {{name}}{{/name}},"
#define HI_DE "Guten Tag{{#name}} {{name}}{{/name}},"
#define P(s) "<p>" s "</p>"

static const struct template_text texts[] = {
	/* ---- orders ---- */
	{ "order_placed", "en", "Your order {{order_number}}",
	  HI_EN "\n\nThank you for your order {{order_number}}.\n\n" LINES_TEXT "\n" SUMS_TEXT(
		  "Subtotal", "Discount", "Shipping", "Tax",
		  "Total") "{{#ship_to}}\nIt goes to:\n{{ship_to}}\n{{/ship_to}}\n{{order_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_EN) P("Thank you for your order <b>{{order_number}}</b>.") LINES_HTML SUMS_HTML(
		  "Subtotal", "Discount", "Shipping", "Tax",
		  "Total") "{{#ship_to}}<p>It goes to:<br><span style=\"white-space:pre-line\">{{ship_to}}</span></p>"
			   "{{/ship_to}}" BUTTON("order_url", "Your order") TAIL },
	{ "order_placed", "de", "Ihre Bestellung {{order_number}}",
	  HI_DE "\n\nvielen Dank für Ihre Bestellung {{order_number}}.\n\n" LINES_TEXT "\n" SUMS_TEXT(
		  "Zwischensumme", "Rabatt", "Versand", "Steuer",
		  "Summe") "{{#ship_to}}\nWir liefern an:\n{{ship_to}}\n{{/ship_to}}\n{{order_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_DE) P("vielen Dank für Ihre Bestellung <b>{{order_number}}</b>.") LINES_HTML SUMS_HTML(
		  "Zwischensumme", "Rabatt", "Versand", "Steuer",
		  "Summe") "{{#ship_to}}<p>Wir liefern an:<br><span style=\"white-space:pre-line\">{{ship_to}}</span></p>"
			   "{{/ship_to}}" BUTTON("order_url", "Ihre Bestellung") TAIL },
	{ "order_cancelled", "en", "Order {{order_number}} was cancelled",
	  HI_EN "\n\nyour order {{order_number}} was cancelled.{{#amount}} {{amount}} goes back to you.{{/amount}}\n\n"
		"{{order_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_EN) P("your order <b>{{order_number}}</b> was cancelled.{{#amount}} {{amount}} goes back to "
			  "you.{{/amount}}") BUTTON("order_url", "Your order") TAIL },
	{ "order_cancelled", "de", "Bestellung {{order_number}} wurde storniert",
	  HI_DE "\n\nIhre Bestellung {{order_number}} wurde storniert.{{#amount}} Wir erstatten {{amount}}.{{/amount}}\n\n"
		"{{order_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_DE) P("Ihre Bestellung <b>{{order_number}}</b> wurde storniert.{{#amount}} Wir erstatten "
			  "{{amount}}.{{/amount}}") BUTTON("order_url", "Ihre Bestellung") TAIL },
	{ "order_refunded", "en", "Refund for order {{order_number}}",
	  HI_EN "\n\nwe have refunded {{#amount}}{{amount}} of {{/amount}}your order {{order_number}}. "
		"Your bank may need a few days to show it.\n\n{{order_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_EN) P("we have refunded {{#amount}}<b>{{amount}}</b> of {{/amount}}your order {{order_number}}. Your "
			  "bank may need a few days to show it.") BUTTON("order_url", "Your order") TAIL },
	{ "order_refunded", "de", "Erstattung zu Bestellung {{order_number}}",
	  HI_DE "\n\nwir haben {{#amount}}{{amount}} {{/amount}}zu Ihrer Bestellung {{order_number}} erstattet. "
		"Bis Ihre Bank es zeigt, können einige Tage vergehen.\n\n{{order_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_DE) P("wir haben {{#amount}}<b>{{amount}}</b> {{/amount}}zu Ihrer Bestellung {{order_number}} "
			  "erstattet. Bis Ihre Bank es zeigt, können einige Tage vergehen.")
		  BUTTON("order_url", "Ihre Bestellung") TAIL },
	{ "order_shipped", "en", "Order {{order_number}} is on its way",
	  HI_EN "\n\na parcel of your order {{order_number}} is on its way.\n\n{{order_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_EN) P("a parcel of your order <b>{{order_number}}</b> is on its way.")
		  BUTTON("order_url", "Your order") TAIL },
	{ "order_shipped", "de", "Bestellung {{order_number}} ist unterwegs",
	  HI_DE "\n\nein Paket Ihrer Bestellung {{order_number}} ist unterwegs.\n\n{{order_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_DE) P("ein Paket Ihrer Bestellung <b>{{order_number}}</b> ist unterwegs.")
		  BUTTON("order_url", "Ihre Bestellung") TAIL },
	{ "order_delivered", "en", "Order {{order_number}} has arrived",
	  HI_EN "\n\nyour order {{order_number}} has arrived. Enjoy it!\n\n{{order_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_EN) P("your order <b>{{order_number}}</b> has arrived. Enjoy it!")
		  BUTTON("order_url", "Your order") TAIL },
	{ "order_delivered", "de", "Bestellung {{order_number}} ist angekommen",
	  HI_DE "\n\nIhre Bestellung {{order_number}} ist angekommen. Viel Freude damit!\n\n{{order_url}}\n\n"
		"{{shop_name}}\n",
	  HEAD P(HI_DE) P("Ihre Bestellung <b>{{order_number}}</b> ist angekommen. Viel Freude damit!")
		  BUTTON("order_url", "Ihre Bestellung") TAIL },
	/* ---- carts and payments ---- */
	{ "payment_failed", "en", "Your payment did not go through",
	  HI_EN "\n\nyour payment did not go through and nothing was charged. Your cart is still there:\n\n{{cart_url}}\n\n"
		"{{shop_name}}\n",
	  HEAD P(HI_EN) P("your payment did not go through and nothing was charged. Your cart is still there.")
		  BUTTON("cart_url", "To the cart") TAIL },
	{ "payment_failed", "de", "Ihre Zahlung ist fehlgeschlagen",
	  HI_DE "\n\nIhre Zahlung ist fehlgeschlagen; es wurde nichts abgebucht. Ihr Warenkorb ist noch da:\n\n"
		"{{cart_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_DE) P("Ihre Zahlung ist fehlgeschlagen; es wurde nichts abgebucht. Ihr Warenkorb ist noch da.")
		  BUTTON("cart_url", "Zum Warenkorb") TAIL },
	{ "checkout_refunded", "en", "Your payment was returned",
	  HI_EN "\n\nyour payment arrived when the goods were already gone. We have returned it in full. We are sorry!\n\n"
		"{{cart_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_EN) P("your payment arrived when the goods were already gone. We have returned it in full. We are "
			  "sorry!") BUTTON("cart_url", "To the cart") TAIL },
	{ "checkout_refunded", "de", "Ihre Zahlung wurde erstattet",
	  HI_DE "\n\nals Ihre Zahlung eintraf, war die Ware bereits vergriffen. Wir haben den vollen Betrag erstattet. "
		"Das tut uns leid!\n\n{{cart_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_DE) P("als Ihre Zahlung eintraf, war die Ware bereits vergriffen. Wir haben den vollen Betrag "
			  "erstattet. Das tut uns leid!") BUTTON("cart_url", "Zum Warenkorb") TAIL },
	{ "cart_reminder", "en", "Something waits in your cart",
	  HI_EN "\n\nyou left something in your cart:\n\n{{cart_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_EN) P("you left something in your cart.") BUTTON("cart_url", "To the cart") TAIL },
	{ "cart_reminder", "de", "In Ihrem Warenkorb wartet etwas",
	  HI_DE "\n\nin Ihrem Warenkorb liegt noch etwas:\n\n{{cart_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_DE) P("in Ihrem Warenkorb liegt noch etwas.") BUTTON("cart_url", "Zum Warenkorb") TAIL },
	/* ---- accounts ---- */
	{ "verify_email", "en", "Please confirm your e-mail address",
	  HI_EN "\n\nplease confirm your e-mail address within {{link_hours}} hours:\n\n{{link}}\n\n"
		"If you did not register with us, just ignore this mail.\n\n{{shop_name}}\n",
	  HEAD P(HI_EN) P("please confirm your e-mail address within {{link_hours}} hours.") BUTTON("link", "Confirm")
		  P("If you did not register with us, just ignore this mail.") TAIL },
	{ "verify_email", "de", "Bitte bestätigen Sie Ihre E-Mail-Adresse",
	  HI_DE "\n\nbitte bestätigen Sie Ihre E-Mail-Adresse innerhalb von {{link_hours}} Stunden:\n\n{{link}}\n\n"
		"Wenn Sie sich nicht angemeldet haben, ignorieren Sie diese Mail einfach.\n\n{{shop_name}}\n",
	  HEAD P(HI_DE) P("bitte bestätigen Sie Ihre E-Mail-Adresse innerhalb von {{link_hours}} Stunden.")
		  BUTTON("link", "Bestätigen")
			  P("Wenn Sie sich nicht angemeldet haben, ignorieren Sie diese Mail einfach.") TAIL },
	{ "password_reset", "en", "A new password",
	  HI_EN "\n\nwith this link you can set a new password within {{link_hours}} hours:\n\n{{link}}\n\n"
		"If you did not ask for it, ignore this mail; your password stays as it is.\n\n{{shop_name}}\n",
	  HEAD P(HI_EN) P("with this link you can set a new password within {{link_hours}} hours.")
		  BUTTON("link", "New password")
			  P("If you did not ask for it, ignore this mail; your password stays as it is.") TAIL },
	{ "password_reset", "de", "Ein neues Passwort",
	  HI_DE "\n\nmit diesem Link können Sie innerhalb von {{link_hours}} Stunden ein neues Passwort setzen:\n\n{{link}}\n\n"
		"Wenn Sie das nicht wollten, ignorieren Sie diese Mail; Ihr Passwort bleibt, wie es ist.\n\n{{shop_name}}\n",
	  HEAD P(HI_DE) P("mit diesem Link können Sie innerhalb von {{link_hours}} Stunden ein neues Passwort setzen.")
		  BUTTON("link", "Neues Passwort")
			  P("Wenn Sie das nicht wollten, ignorieren Sie diese Mail; Ihr Passwort bleibt, wie es ist.")
				  TAIL },
	{ "change_email", "en", "Please confirm your new e-mail address",
	  HI_EN "\n\nthis is to be the new address of your account. Please confirm it within {{link_hours}} hours:\n\n{{link}}\n\n"
		"If you did not ask for it, just ignore this mail.\n\n{{shop_name}}\n",
	  HEAD P(HI_EN) P("this is to be the new address of your account. Please confirm it within {{link_hours}} hours.")
		  BUTTON("link", "Confirm") P("If you did not ask for it, just ignore this mail.") TAIL },
	{ "change_email", "de", "Bitte bestätigen Sie Ihre neue E-Mail-Adresse",
	  HI_DE "\n\ndies soll die neue Adresse Ihres Kontos werden. Bitte bestätigen Sie sie innerhalb von {{link_hours}} "
		"Stunden:\n\n{{link}}\n\nWenn Sie das nicht wollten, ignorieren Sie diese Mail einfach.\n\n{{shop_name}}\n",
	  HEAD P(HI_DE) P("dies soll die neue Adresse Ihres Kontos werden. Bitte bestätigen Sie sie innerhalb von "
			  "{{link_hours}} Stunden.") BUTTON("link", "Bestätigen")
			  P("Wenn Sie das nicht wollten, ignorieren Sie diese Mail einfach.") TAIL },
	{ "email_changed", "en", "Your account has another e-mail address",
	  HI_EN "\n\nyour account at {{shop_name}} has another e-mail address now; this one is no longer used.\n\n"
		"If this was not you, please write to us at once: {{shop_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_EN) P("your account at {{shop_name}} has another e-mail address now; this one is no longer used.")
		  P("If this was not you, please write to us at once.") BUTTON("shop_url", "To the shop") TAIL },
	{ "email_changed", "de", "Ihr Konto hat eine andere E-Mail-Adresse",
	  HI_DE "\n\nIhr Konto bei {{shop_name}} hat jetzt eine andere E-Mail-Adresse; diese wird nicht mehr verwendet.\n\n"
		"Wenn Sie das nicht waren, schreiben Sie uns bitte sofort: {{shop_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_DE) P("Ihr Konto bei {{shop_name}} hat jetzt eine andere E-Mail-Adresse; diese wird nicht mehr "
			  "verwendet.") P("Wenn Sie das nicht waren, schreiben Sie uns bitte sofort.")
		  BUTTON("shop_url", "Zum Shop") TAIL },
	{ "vendor_invite", "en", "Join {{#vendor_name}}{{vendor_name}}{{/vendor_name}} at {{shop_name}}",
	  HI_EN "\n\nyou are invited into the team{{#vendor_name}} of {{vendor_name}}{{/vendor_name}}. With an account of this "
		"e-mail address you can join within {{link_hours}} hours:\n\n{{link}}\n\n{{shop_name}}\n",
	  HEAD P(HI_EN) P("you are invited into the team{{#vendor_name}} of <b>{{vendor_name}}</b>{{/vendor_name}}. With an "
			  "account of this e-mail address you can join within {{link_hours}} hours.")
		  BUTTON("link", "Join the team") TAIL },
	{ "vendor_invite", "de", "Einladung ins Team{{#vendor_name}} von {{vendor_name}}{{/vendor_name}}",
	  HI_DE "\n\nSie sind ins Team{{#vendor_name}} von {{vendor_name}}{{/vendor_name}} eingeladen. Mit einem Konto dieser "
		"E-Mail-Adresse können Sie innerhalb von {{link_hours}} Stunden beitreten:\n\n{{link}}\n\n{{shop_name}}\n",
	  HEAD P(HI_DE) P("Sie sind ins Team{{#vendor_name}} von <b>{{vendor_name}}</b>{{/vendor_name}} eingeladen. Mit einem "
			  "Konto dieser E-Mail-Adresse können Sie innerhalb von {{link_hours}} Stunden beitreten.")
		  BUTTON("link", "Beitreten") TAIL },
	{ "security_changed", "en", "Your account's security",
	  HI_EN "\n\n{{#password_changed}}your password was changed.{{/password_changed}}"
		"{{#mfa_enabled}}a second factor was switched on.{{/mfa_enabled}}"
		"{{#mfa_disabled}}the second factor was switched off.{{/mfa_disabled}}"
		"{{#register_attempt}}somebody tried to register with your address; you already have an account, so nothing "
		"was changed.{{/register_attempt}}"
		"{{#sessions_revoked}}all your sessions were ended; please sign in again.{{/sessions_revoked}}\n\n"
		"If this was not you, set a new password now: {{account_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_EN) "<p>{{#password_changed}}your password was changed.{{/password_changed}}"
			"{{#mfa_enabled}}a second factor was switched on.{{/mfa_enabled}}"
			"{{#mfa_disabled}}the second factor was switched off.{{/mfa_disabled}}"
			"{{#register_attempt}}somebody tried to register with your address; you already have an account, "
			"so nothing was changed.{{/register_attempt}}"
			"{{#sessions_revoked}}all your sessions were ended; please sign in again.{{/sessions_revoked}}</p>"
		  P("If this was not you, set a new password now.") BUTTON("account_url", "Your account") TAIL },
	{ "security_changed", "de", "Die Sicherheit Ihres Kontos",
	  HI_DE "\n\n{{#password_changed}}Ihr Passwort wurde geändert.{{/password_changed}}"
		"{{#mfa_enabled}}Ein zweiter Faktor wurde eingeschaltet.{{/mfa_enabled}}"
		"{{#mfa_disabled}}Der zweite Faktor wurde ausgeschaltet.{{/mfa_disabled}}"
		"{{#register_attempt}}Jemand wollte sich mit Ihrer Adresse anmelden; Sie haben bereits ein Konto, daher wurde "
		"nichts geändert.{{/register_attempt}}"
		"{{#sessions_revoked}}Alle Ihre Sitzungen wurden beendet; bitte melden Sie sich neu an.{{/sessions_revoked}}\n\n"
		"Wenn Sie das nicht waren, setzen Sie jetzt ein neues Passwort: {{account_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_DE) "<p>{{#password_changed}}Ihr Passwort wurde geändert.{{/password_changed}}"
			"{{#mfa_enabled}}Ein zweiter Faktor wurde eingeschaltet.{{/mfa_enabled}}"
			"{{#mfa_disabled}}Der zweite Faktor wurde ausgeschaltet.{{/mfa_disabled}}"
			"{{#register_attempt}}Jemand wollte sich mit Ihrer Adresse anmelden; Sie haben bereits ein Konto, "
			"daher wurde nichts geändert.{{/register_attempt}}"
			"{{#sessions_revoked}}Alle Ihre Sitzungen wurden beendet; bitte melden Sie sich neu an."
			"{{/sessions_revoked}}</p>"
		  P("Wenn Sie das nicht waren, setzen Sie jetzt ein neues Passwort.")
			  BUTTON("account_url", "Ihr Konto") TAIL },
	/* ---- vendors ---- */
	{ "vendor_approved", "en", "{{vendor_name}} may sell now",
	  HI_EN "\n\n{{vendor_name}} was approved and may sell from now on:\n\n{{vendor_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_EN) P("<b>{{vendor_name}}</b> was approved and may sell from now on.")
		  BUTTON("vendor_url", "To your shop") TAIL },
	{ "vendor_approved", "de", "{{vendor_name}} darf jetzt verkaufen",
	  HI_DE "\n\n{{vendor_name}} wurde zugelassen und darf ab jetzt verkaufen:\n\n{{vendor_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_DE) P("<b>{{vendor_name}}</b> wurde zugelassen und darf ab jetzt verkaufen.")
		  BUTTON("vendor_url", "Zu Ihrem Shop") TAIL },
	{ "vendor_rejected", "en", "Your application for {{vendor_name}}",
	  HI_EN "\n\nwe could not approve {{vendor_name}}. You find the reasons here:\n\n{{vendor_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_EN) P("we could not approve <b>{{vendor_name}}</b>.") BUTTON("vendor_url", "See the reasons") TAIL },
	{ "vendor_rejected", "de", "Ihre Bewerbung für {{vendor_name}}",
	  HI_DE "\n\nwir konnten {{vendor_name}} nicht zulassen. Die Gründe finden Sie hier:\n\n{{vendor_url}}\n\n"
		"{{shop_name}}\n",
	  HEAD P(HI_DE) P("wir konnten <b>{{vendor_name}}</b> nicht zulassen.") BUTTON("vendor_url", "Zu den Gründen")
		  TAIL },
	{ "vendor_suspended", "en", "{{vendor_name}} was suspended",
	  HI_EN "\n\n{{vendor_name}} was suspended and cannot sell at the moment:\n\n{{vendor_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_EN) P("<b>{{vendor_name}}</b> was suspended and cannot sell at the moment.")
		  BUTTON("vendor_url", "To your shop") TAIL },
	{ "vendor_suspended", "de", "{{vendor_name}} wurde gesperrt",
	  HI_DE "\n\n{{vendor_name}} wurde gesperrt und kann im Moment nicht verkaufen:\n\n{{vendor_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_DE) P("<b>{{vendor_name}}</b> wurde gesperrt und kann im Moment nicht verkaufen.")
		  BUTTON("vendor_url", "Zu Ihrem Shop") TAIL },
	{ "vendor_order", "en", "A new order for {{vendor_name}}",
	  HI_EN "\n\n{{vendor_name}} has a new order, {{vendor_order_id}}:\n\n{{vendor_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_EN) P("<b>{{vendor_name}}</b> has a new order, {{vendor_order_id}}.")
		  BUTTON("vendor_url", "To the order") TAIL },
	{ "vendor_order", "de", "Eine neue Bestellung für {{vendor_name}}",
	  HI_DE "\n\n{{vendor_name}} hat eine neue Bestellung, {{vendor_order_id}}:\n\n{{vendor_url}}\n\n{{shop_name}}\n",
	  HEAD P(HI_DE) P("<b>{{vendor_name}}</b> hat eine neue Bestellung, {{vendor_order_id}}.")
		  BUTTON("vendor_url", "Zur Bestellung") TAIL },
};

const struct template_text *template_default_at(size_t i)
{
	return i < sizeof(texts) / sizeof(*texts) ? &texts[i] : NULL;
}

const struct template_text *template_default(const char *kind, const char *lang)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (strcmp(texts[i].kind, kind) == 0 && strcmp(texts[i].lang, lang) == 0)
			return &texts[i];
	return NULL;
}
