/* The test cards: what each payment method or card number does when it is charged. */
#ifndef SANDBOX_CARDS_H
#define SANDBOX_CARDS_H

#include <stdbool.h>
#include <stddef.h>

enum card_charge {
	CARD_OK,
	CARD_DECLINE,	 /* 402, back to requires_payment_method */
	CARD_ASYNC_OK,	 /* processing, then as CARD_OK */
	CARD_ASYNC_FAIL, /* processing, then payment_failed */
};
enum card_refund {
	REFUND_OK,
	REFUND_PENDING,	    /* pending, succeeded after SANDBOX_ASYNC_MS */
	REFUND_FAILS_LATER, /* succeeded, failed after SANDBOX_ASYNC_MS */
};

struct card {
	const char *method; /* pm_card_… */
	const char *number; /* NULL: only by method */
	const char *brand, *last4;
	const char *label; /* on the pay page */
	enum card_charge charge;
	const char *code, *decline_code; /* of a decline */
	bool secure;			 /* asks for 3-D Secure first */
	bool capture_fails;		 /* authorised, then every capture is refused */
	bool disputed;			 /* a dispute follows the payment */
	enum card_refund refund;
	bool on_page;
};

const struct card *card_by_method(const char *method); /* pm_…; NULL: unknown */
const struct card *card_by_number(const char *number); /* blanks allowed; NULL: unknown */
const struct card *card_at(size_t i);		       /* NULL past the end */
const char *card_message(const struct card *c);	       /* what the buyer reads after a decline */

#endif
