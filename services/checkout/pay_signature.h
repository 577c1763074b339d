/*
 * The signature of the provider's webhooks: "t=<unix>,v1=<hex>[,v1=<hex>…]" over "<t>.<raw body>" by HMAC-SHA-256.
 * Stricter than the official clients: times from the future are refused like old ones.
 */
#ifndef SOUK_CHECKOUT_PAY_SIGNATURE_H
#define SOUK_CHECKOUT_PAY_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAY_SIGNATURES_MAX 8
#define PAY_TOLERANCE_S	   300
#define PAY_WEBHOOK_MAX	   (512 * 1024)

enum pay_sig {
	PAY_SIG_OK = 0,
	PAY_SIG_MISSING,   /* no header, or nothing of scheme v1 in it */
	PAY_SIG_MALFORMED, /* no time, two times, more than 8 signatures, a body that is too large */
	PAY_SIG_TIME,	   /* more than 300 s from now, either way */
	PAY_SIG_WRONG
};

/* secrets is NULL-ended (two while one is being replaced). The body is taken as it came, to the byte. */
enum pay_sig pay_signature_check(const char *header, const void *body, size_t len, const char *const *secrets,
				 int64_t now_s);
const char *pay_signature_text(enum pay_sig s); /* for logs */

#endif
