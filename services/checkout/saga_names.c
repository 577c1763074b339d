/* Beginnings, names and classes of saga.h: what rows, events and logs call things. */
#include <string.h>

#include "common/compiler.h"
#include "services/checkout/saga.h"

static const char *const states[] = {
	[SAGA_OPEN] = "open",
	[SAGA_RESERVING] = "reserving",
	[SAGA_RESERVED] = "reserved",
	[SAGA_PI_CREATING] = "pi_creating",
	[SAGA_PAYMENT_PENDING] = "payment_pending",
	[SAGA_AUTHORIZED] = "authorized",
	[SAGA_SELLING] = "selling",
	[SAGA_CAPTURING] = "capturing",
	[SAGA_ORDERED] = "ordered",
	[SAGA_CAPTURE_FAILED] = "capture_failed",
	[SAGA_RESTOCKING] = "restocking",
	[SAGA_CANCELLED] = "cancelled",
	[SAGA_EXPIRING] = "expiring",
	[SAGA_CANCELLING_PI] = "cancelling_pi",
	[SAGA_EXPIRED] = "expired",
	[SAGA_REFUND_DUE] = "refund_due",
	[SAGA_REFUNDING] = "refunding",
	[SAGA_REFUNDED] = "refunded",
};
static const char *const whys[] = {
	[WHY_NONE] = "",
	[WHY_OUT_OF_STOCK] = "out_of_stock",
	[WHY_TIMEOUT] = "timeout",
	[WHY_ABANDONED] = "abandoned",
	[WHY_REPLACED] = "replaced",
	[WHY_PROVIDER_DOWN] = "provider_down",
	[WHY_PAYMENT_REFUSED] = "payment_refused",
	[WHY_PAYMENT_CANCELED] = "payment_canceled",
	[WHY_MISMATCH] = "mismatch",
	[WHY_STOCK_GONE] = "stock_gone",
	[WHY_CAPTURE_FAILED] = "capture_failed",
};
static const char *const cmds[] = {
	[CMD_RESERVE] = "reserve",
	[CMD_EXTEND] = "extend",
	[CMD_CREATE_PI] = "create_pi",
	[CMD_FIND_PI] = "find_pi",
	[CMD_RETRIEVE_PI] = "retrieve_pi",
	[CMD_SELL] = "sell",
	[CMD_CAPTURE] = "capture",
	[CMD_CANCEL_PI] = "cancel_pi",
	[CMD_RELEASE] = "release",
	[CMD_RESTOCK] = "restock",
	[CMD_REFUND] = "refund",
	[CMD_FIND_REFUND] = "find_refund",
	[CMD_WRITE_ORDER] = "write_order",
	[CMD_TELL_ENDED] = "tell_ended",
	[CMD_TELL_REFUNDED] = "tell_refunded",
};
static const char *const evs[] = {
	[SAGA_WAKE] = "wake",
	[SAGA_SETTLE] = "settle",
	[SAGA_END] = "end",
	[EV_RESERVE_OK] = "reserve_ok",
	[EV_RESERVE_REFUSED] = "reserve_refused",
	[EV_RESERVE_UNKNOWN] = "reserve_unknown",
	[EV_PI_CREATED] = "pi_created",
	[EV_PI_NOT_SENT] = "pi_not_sent",
	[EV_PI_REFUSED] = "pi_refused",
	[EV_PI_UNKNOWN] = "pi_unknown",
	[EV_PI_NONE] = "pi_none",
	[EV_PI_SEEN] = "pi_seen",
	[EV_LOOK_UNKNOWN] = "look_unknown",
	[EV_SELL_OK] = "sell_ok",
	[EV_SELL_GONE] = "sell_gone",
	[EV_SELL_UNKNOWN] = "sell_unknown",
	[EV_CAPTURE_OK] = "capture_ok",
	[EV_CAPTURE_REFUSED] = "capture_refused",
	[EV_CAPTURE_UNKNOWN] = "capture_unknown",
	[EV_CANCEL_OK] = "cancel_ok",
	[EV_CANCEL_SUCCEEDED] = "cancel_succeeded",
	[EV_CANCEL_BUSY] = "cancel_busy",
	[EV_CANCEL_UNKNOWN] = "cancel_unknown",
	[EV_RELEASE_OK] = "release_ok",
	[EV_RELEASE_SOLD] = "release_sold",
	[EV_RELEASE_UNKNOWN] = "release_unknown",
	[EV_RESTOCK_OK] = "restock_ok",
	[EV_RESTOCK_UNKNOWN] = "restock_unknown",
	[EV_REFUND_OK] = "refund_ok",
	[EV_REFUND_NONE] = "refund_none",
	[EV_REFUND_REFUSED] = "refund_refused",
	[EV_REFUND_UNKNOWN] = "refund_unknown",
};

void saga_begin(struct saga_state *s, int64_t now_ms, int64_t ttl_ms, bool total_is_zero)
{
	*s = (struct saga_state){ .st = SAGA_OPEN, .attempt = 1, .key_n = 1, .begun_at = now_ms,
				  .expires_at = now_ms + ttl_ms, .next_at = now_ms, .free = total_is_zero };
}

bool saga_reopen(const struct saga_state *s, int64_t now_ms, int64_t ttl_ms, bool total_is_zero,
		 struct saga_state *next)
{
	if (s->st != SAGA_EXPIRED || s->captured)
		return false;
	saga_begin(next, now_ms, ttl_ms, total_is_zero);
	next->attempt = s->attempt + 1;
	next->pi_n = s->pi_n;
	return true;
}

bool saga_terminal(enum saga_st st)
{
	return st == SAGA_ORDERED || st == SAGA_CANCELLED || st == SAGA_EXPIRED || st == SAGA_REFUNDED;
}

bool saga_live(enum saga_st st)
{
	return !saga_terminal(st) && st != SAGA_REFUND_DUE && st != SAGA_REFUNDING;
}

bool saga_cmd_in_tx(enum saga_cmd cmd)
{
	return cmd == CMD_WRITE_ORDER || cmd == CMD_TELL_ENDED || cmd == CMD_TELL_REFUNDED;
}

bool saga_cmd_acts(enum saga_cmd cmd)
{
	switch (cmd) {
	case CMD_RESERVE:
	case CMD_CREATE_PI:
	case CMD_SELL:
	case CMD_CAPTURE:
	case CMD_CANCEL_PI:
	case CMD_RELEASE:
	case CMD_RESTOCK:
	case CMD_REFUND:
		return true;
	default:
		return false;
	}
}

const char *saga_state_name(enum saga_st st)
{
	return (unsigned)st < ARRAY_LEN(states) ? states[st] : "";
}

bool saga_state_parse(const char *name, enum saga_st *st_r)
{
	for (unsigned i = 0; name && i < ARRAY_LEN(states); i++) {
		if (strcmp(states[i], name) == 0) {
			*st_r = (enum saga_st)i;
			return true;
		}
	}
	return false;
}

const char *saga_why_name(enum saga_why why)
{
	return (unsigned)why < ARRAY_LEN(whys) ? whys[why] : "";
}

bool saga_why_parse(const char *name, enum saga_why *why_r)
{
	for (unsigned i = 0; name && i < ARRAY_LEN(whys); i++) {
		if (strcmp(whys[i], name) == 0) {
			*why_r = (enum saga_why)i;
			return true;
		}
	}
	return false;
}

const char *saga_cmd_name(enum saga_cmd cmd)
{
	return (unsigned)cmd < ARRAY_LEN(cmds) ? cmds[cmd] : "";
}

const char *saga_ev_name(enum saga_ev ev)
{
	return (unsigned)ev < ARRAY_LEN(evs) ? evs[ev] : "";
}
