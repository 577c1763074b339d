/* What vendors are owed, and what was paid out. */
#include <stdint.h>
#include <string.h>

#include "common/check.h"
#include "common/page.h"
#include "services/checkout/admin_db.h"
#include "services/checkout/frozen.h"
#include "services/checkout/order_view.h"

RPC_HANDLER(get_balance, Checkout__V1__BalanceRequest, Checkout__V1__BalanceReply)
RPC_HANDLER(list_ledger, Checkout__V1__LedgerRequest, Checkout__V1__LedgerReply)
RPC_HANDLER(get_vendor_balance, Checkout__V1__VendorBalanceRequest, Checkout__V1__BalanceReply)
RPC_HANDLER(list_vendor_ledger, Checkout__V1__VendorLedgerRequest, Checkout__V1__LedgerReply)
RPC_HANDLER(create_payout, Checkout__V1__CreatePayoutRequest, Checkout__V1__LedgerEntry)

const struct rpc_method checkout_ledger_methods[] = {
	{ "GetBalance", get_balance_, RPC_READ, 0 },
	{ "ListLedger", list_ledger_, RPC_READ, 0 },
	{ "GetVendorBalance", get_vendor_balance_, RPC_READ, 0 },
	{ "ListVendorLedger", list_vendor_ledger_, RPC_READ, 0 },
	{ "CreatePayout", create_payout_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

static void fill(struct arena *a, const struct ledger_row *r, Checkout__V1__LedgerEntry *out)
{
	out->has_id = out->has_booked_at = true;
	out->id = r->id;
	out->kind = (char *)r->kind;
	out->amount = frozen_money(a, r->amount, r->currency);
	out->vendor_order_id = (char *)r->vendor_order_id;
	out->reference = (char *)r->reference;
	out->booked_at = r->booked_at;
}

static enum err_code balance(struct call *c, const char *vendor_id, Checkout__V1__BalanceReply *out)
{
	struct balance_row *rows = NULL;
	size_t n = 0;
	struct pg *pg;

	if (call_pg(c, &pg))
		return c->err.code;
	if (ledger_db_balance(pg, c->arena, vendor_id, &rows, &n, &c->err)) {
		pg_return(pg);
		return c->err.code;
	}
	pg_return(pg);
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < n; i++) {
		Checkout__V1__Balance *b = arena_alloc(c->arena, sizeof(*b));

		checkout__v1__balance__init(b);
		b->owed = frozen_money(c->arena, rows[i].owed, rows[i].currency);
		out->data[out->n_data++] = b;
	}
	return OK;
}

static const char *binding(struct call *c, const char *vendor_id)
{
	return arena_printf(c->arena, "ledger|%s", vendor_id);
}

static enum err_code entries(struct call *c, const char *vendor_id, const struct page *page, Checkout__V1__LedgerReply *out)
{
	struct ledger_row *rows = NULL;
	size_t n = 0;
	struct pg *pg;

	if (call_pg(c, &pg))
		return c->err.code;
	if (ledger_db_page(pg, c->arena, vendor_id, page_int(page, 0, INT64_MAX), page->limit + 1, &rows, &n, &c->err)) {
		pg_return(pg);
		return c->err.code;
	}
	pg_return(pg);
	out->data = arena_array(c->arena, n + 1, sizeof(*out->data));
	for (size_t i = 0; i < page_shown(page, n); i++) {
		Checkout__V1__LedgerEntry *x = arena_alloc(c->arena, sizeof(*x));

		checkout__v1__ledger_entry__init(x);
		fill(c->arena, &rows[i], x);
		out->data[out->n_data++] = x;
	}
	if (page_more(page, n))
		out->next_cursor = page_next(c, page, rows[page->limit - 1].id);
	return OK;
}

static enum err_code get_balance(struct call *c, const Checkout__V1__BalanceRequest *in, Checkout__V1__BalanceReply *out)
{
	(void)in;
	return call_vendor(c, "vendor.payouts") ? c->err.code : balance(c, c->who.vendor_id, out);
}

static enum err_code list_ledger(struct call *c, const Checkout__V1__LedgerRequest *in, Checkout__V1__LedgerReply *out)
{
	struct page page;

	if (call_vendor(c, "vendor.payouts") || page_of(c, in, binding(c, c->who.vendor_id), "i", &page))
		return c->err.code;
	return entries(c, c->who.vendor_id, &page, out);
}

static enum err_code check_vendor(struct call *c, const char *vendor_id)
{
	if (!check_id(&c->err, "vendor_id", vendor_id, "vnd"))
		return err_set(&c->err, E_INVALID, "common.invalid_input", "vendor");
	return OK;
}

static enum err_code get_vendor_balance(struct call *c, const Checkout__V1__VendorBalanceRequest *in,
					Checkout__V1__BalanceReply *out)
{
	if (call_perm(c, "admin.orders") || check_vendor(c, in->vendor_id))
		return c->err.code;
	return balance(c, in->vendor_id, out);
}

static enum err_code list_vendor_ledger(struct call *c, const Checkout__V1__VendorLedgerRequest *in,
					Checkout__V1__LedgerReply *out)
{
	struct page page;

	if (call_perm(c, "admin.orders") || check_vendor(c, in->vendor_id) ||
	    page_of(c, in, binding(c, in->vendor_id), "i", &page))
		return c->err.code;
	return entries(c, in->vendor_id, &page, out);
}

struct payout {
	struct call *c;
	const char *vendor_id, *reference;
	struct money amount;
	Checkout__V1__LedgerEntry *out;
};

static enum err_code payout_tx(struct pg *pg, void *arg, struct err *e)
{
	struct payout *x = arg;
	struct ledger_row *row = NULL;
	bool done = false;

	if (ledger_db_payout(pg, x->c->arena, x->vendor_id, money_cur(&x->amount), money_minor(x->amount), x->reference,
			     &row, &done, e)) {
		if (strcmp(pg_constraint(pg), "ledger_vendor_id_kind_reference_key") == 0)
			return err_set(e, E_CONFLICT, "payout.exists", "%s", x->reference);
		return e->code;
	}
	if (!done)
		return err_set(e, E_RULE, "payout.too_much", "vendor %s", x->vendor_id);
	checkout__v1__ledger_entry__init(x->out);
	fill(x->c->arena, row, x->out);
	return OK;
}

static enum err_code create_payout(struct call *c, const Checkout__V1__CreatePayoutRequest *in,
				   Checkout__V1__LedgerEntry *out)
{
	struct payout x = { .c = c, .vendor_id = in->vendor_id, .reference = in->reference, .out = out };

	if (call_perm(c, "admin.refunds"))
		return c->err.code;
	check_id(&c->err, "vendor_id", in->vendor_id, "vnd");
	check_text(&c->err, "reference", in->reference, 1, 100);
	check_money(&c->err, "amount", in->amount, 1, INT64_MAX);
	if (c->err.n_details)
		return err_set(&c->err, E_INVALID, "common.invalid_input", "payout");
	if (money_from_pb(in->amount, &x.amount, &c->err))
		return c->err.code;
	return call_tx(c, CALL_TX_ONLY, payout_tx, &x);
}
