#include "cards.h"

#include <string.h>

/* Numbers and method names are the provider's public test values, so that the same tests run
 * against its test mode; pm_sandbox_… exist only here. */
static const struct card cards[] = {
	{ .method = "pm_card_visa",
		.number = "4242424242424242",
		.brand = "visa",
		.last4 = "4242",
		.label = "Visa, succeeds",
		.on_page = true },
	{ .method = "pm_card_mastercard",
		.number = "5555555555554444",
		.brand = "mastercard",
		.last4 = "4444",
		.label = "Mastercard, succeeds",
		.on_page = true },
	{ .method = "pm_card_amex",
		.number = "378282246310005",
		.brand = "amex",
		.last4 = "0005",
		.label = "American Express, succeeds" },
	{ .method = "pm_card_authenticationRequired",
		.number = "4000002500003155",
		.brand = "visa",
		.last4 = "3155",
		.label = "Asks for 3-D Secure",
		.secure = true,
		.on_page = true },
	{ .method = "pm_card_threeDSecure2Required",
		.number = "4000000000003220",
		.brand = "visa",
		.last4 = "3220",
		.label = "Asks for 3-D Secure 2",
		.secure = true },
	{ .method = "pm_card_authenticationRequiredOnSetup",
		.number = "4000002760003184",
		.brand = "visa",
		.last4 = "3184",
		.label = "Always asks for 3-D Secure",
		.secure = true },
	{ .method = "pm_card_threeDSecureRequiredChargeDeclined",
		.number = "4000008400001629",
		.brand = "visa",
		.last4 = "1629",
		.label = "3-D Secure, then declined",
		.secure = true,
		.charge = CARD_DECLINE,
		.code = "card_declined",
		.decline_code = "generic_decline",
		.on_page = true },
	{ .method = "pm_card_chargeDeclined",
		.number = "4000000000000002",
		.brand = "visa",
		.last4 = "0002",
		.label = "Declined",
		.charge = CARD_DECLINE,
		.code = "card_declined",
		.decline_code = "generic_decline",
		.on_page = true },
	{ .method = "pm_card_visa_chargeDeclined",
		.brand = "visa",
		.last4 = "0002",
		.label = "Declined",
		.charge = CARD_DECLINE,
		.code = "card_declined",
		.decline_code = "generic_decline" },
	{ .method = "pm_card_chargeDeclinedInsufficientFunds",
		.number = "4000000000009995",
		.brand = "visa",
		.last4 = "9995",
		.label = "Insufficient funds",
		.charge = CARD_DECLINE,
		.code = "card_declined",
		.decline_code = "insufficient_funds",
		.on_page = true },
	{ .method = "pm_card_visa_chargeDeclinedInsufficientFunds",
		.brand = "visa",
		.last4 = "9995",
		.label = "Insufficient funds",
		.charge = CARD_DECLINE,
		.code = "card_declined",
		.decline_code = "insufficient_funds" },
	{ .method = "pm_card_visa_chargeDeclinedLostCard",
		.number = "4000000000009987",
		.brand = "visa",
		.last4 = "9987",
		.label = "Lost card",
		.charge = CARD_DECLINE,
		.code = "card_declined",
		.decline_code = "lost_card" },
	{ .method = "pm_card_visa_chargeDeclinedStolenCard",
		.number = "4000000000009979",
		.brand = "visa",
		.last4 = "9979",
		.label = "Stolen card",
		.charge = CARD_DECLINE,
		.code = "card_declined",
		.decline_code = "stolen_card" },
	{ .method = "pm_card_chargeDeclinedExpiredCard",
		.number = "4000000000000069",
		.brand = "visa",
		.last4 = "0069",
		.label = "Expired card",
		.charge = CARD_DECLINE,
		.code = "expired_card",
		.decline_code = "expired_card" },
	{ .method = "pm_card_chargeDeclinedIncorrectCvc",
		.number = "4000000000000127",
		.brand = "visa",
		.last4 = "0127",
		.label = "Wrong security code",
		.charge = CARD_DECLINE,
		.code = "incorrect_cvc",
		.decline_code = "incorrect_cvc" },
	{ .method = "pm_card_chargeDeclinedProcessingError",
		.number = "4000000000000119",
		.brand = "visa",
		.last4 = "0119",
		.label = "Processing error",
		.charge = CARD_DECLINE,
		.code = "processing_error",
		.decline_code = "processing_error" },
	{ .method = "pm_card_chargeDeclinedFraudulent",
		.number = "4100000000000019",
		.brand = "visa",
		.last4 = "0019",
		.label = "Blocked as fraud",
		.charge = CARD_DECLINE,
		.code = "card_declined",
		.decline_code = "fraudulent" },
	{ .method = "pm_card_createDispute",
		.number = "4000000000000259",
		.brand = "visa",
		.last4 = "0259",
		.label = "Succeeds, disputed afterwards",
		.disputed = true,
		.on_page = true },
	{ .method = "pm_card_pendingRefund",
		.number = "4000000000007726",
		.brand = "visa",
		.last4 = "7726",
		.label = "Succeeds, refunds take a while",
		.refund = REFUND_PENDING },
	{ .method = "pm_card_refundFail",
		.number = "4000000000005126",
		.brand = "visa",
		.last4 = "5126",
		.label = "Succeeds, refunds fail afterwards",
		.refund = REFUND_FAILS_LATER },
	{ .method = "pm_sandbox_async",
		.number = "4000000000000077",
		.brand = "visa",
		.last4 = "0077",
		.label = "Processing, then succeeds",
		.charge = CARD_ASYNC_OK,
		.on_page = true },
	{ .method = "pm_sandbox_async_fail",
		.number = "4000000000000093",
		.brand = "visa",
		.last4 = "0093",
		.label = "Processing, then fails",
		.charge = CARD_ASYNC_FAIL,
		.code = "card_declined",
		.decline_code = "generic_decline",
		.on_page = true },
	{ .method = "pm_sandbox_capture_fails",
		.number = "4000000000000341",
		.brand = "visa",
		.last4 = "0341",
		.label = "Authorised, capture refused",
		.capture_fails = true },
};

const struct card *card_at(size_t i)
{
	return i < sizeof(cards) / sizeof(*cards) ? &cards[i] : NULL;
}

const struct card *card_by_method(const char *method)
{
	size_t i;

	for (i = 0; card_at(i); i++)
		if (!strcmp(cards[i].method, method))
			return &cards[i];
	return NULL;
}

const struct card *card_by_number(const char *number)
{
	char digits[24];
	size_t i, n = 0;

	for (; *number; number++) {
		if (*number == ' ' || *number == '-')
			continue;
		if (n == sizeof(digits) - 1)
			return NULL;
		digits[n++] = *number;
	}
	digits[n] = '\0';
	for (i = 0; card_at(i); i++)
		if (cards[i].number && !strcmp(cards[i].number, digits))
			return &cards[i];
	return NULL;
}

const char *card_message(const struct card *c)
{
	static const struct {
		const char *code, *text;
	} messages[] = {
		{ "insufficient_funds", "The card has insufficient funds." },
		{ "expired_card", "The card has expired." },
		{ "incorrect_cvc", "The card's security code is wrong." },
		{ "processing_error", "The card could not be processed; try again in a moment." },
	};
	size_t i;

	for (i = 0; i < sizeof(messages) / sizeof(*messages); i++)
		if (c->decline_code && !strcmp(messages[i].code, c->decline_code))
			return messages[i].text;
	return "The card was declined.";
}
