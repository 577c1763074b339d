/* The address book of a user; each part is sealed in its own column. */
#include "common/check.h"
#include "common/id.h"
#include "common/page.h"
#include "services/identity/account.h"
#include "services/identity/address.h"
#include "services/identity/person.h"
#include "services/identity/reply.h"

RPC_HANDLER(identity_address_list, Identity__V1__AddressesRequest, Identity__V1__AddressesReply)
RPC_HANDLER(identity_address_create, Identity__V1__CreateAddressRequest, Identity__V1__Address)
RPC_HANDLER(identity_address_update, Identity__V1__UpdateAddressRequest, Identity__V1__Address)
RPC_HANDLER(identity_address_delete, Identity__V1__DeleteAddressRequest, Common__V1__Empty)

const struct rpc_method identity_address_methods[] = {
	{ "ListAddresses", identity_address_list_, RPC_READ, 0 },
	{ "CreateAddress", identity_address_create_, RPC_WRITE | RPC_KEYED, 0 },
	{ "UpdateAddress", identity_address_update_, RPC_WRITE | RPC_KEYED, 0 },
	{ "DeleteAddress", identity_address_delete_, RPC_WRITE | RPC_KEYED, 0 },
	{ 0 },
};

/* The parts in one list, so that sealing, opening, checking and merging cannot forget one. */
static const struct part {
	const char *field, *column;
	size_t row, msg, create, update; /* offsets in row, Address, the two requests */
	size_t min, max;
} parts[] = {
#define PART(f, lo, hi)                                                                            \
	{ #f, "identity.address." #f, offsetof(struct address_row, f), offsetof(Identity__V1__Address, f), \
	  offsetof(Identity__V1__CreateAddressRequest, f), offsetof(Identity__V1__UpdateAddressRequest, f), lo, hi }
	PART(name, 1, 200),	  PART(line1, 1, 200),	     PART(line2, 0, 200), PART(city, 1, 100),
	PART(region, 0, 100), PART(postal_code, 0, 20), PART(phone, 0, 20),
#undef PART
};
#define N_PARTS ARRAY_LEN(parts)

static const char *msg_text(const void *msg, size_t offset)
{
	return *(char *const *)(const void *)((const char *)msg + offset);
}

/* ---- out ---- */
static enum err_code show(struct call *c, struct keyring *ring, const struct address_row *row, Identity__V1__Address *out)
{
	for (size_t i = 0; i < N_PARTS; i++) {
		const struct pg_bytes *sealed = (const void *)((const char *)row + parts[i].row);
		const char *text;

		if (crypto_open_text(ring, parts[i].column, row->id, *sealed, c->arena, &text, &c->err))
			return c->err.code;
		*(char **)(void *)((char *)out + parts[i].msg) = call_str(c, text);
	}
	out->id = call_str(c, row->id);
	out->country = call_str(c, row->country);
	SET(out, is_default, row->is_default);
	SET(out, version, row->version);
	out->hdr_etag = etag_of(c, row->id, row->version);
	return OK;
}

static enum err_code ring_of(struct call *c, struct pg *pg, const char *user_id, struct keyring **ring_r)
{
	struct account_row *account;

	if (account_find(c, pg, user_id, &account))
		return c->err.code;
	if (!account->person_key.data)
		return not_found(c, "erased user");
	return person_key_open(&identity_of(c)->keys, c->arena, user_id, account->person_key, ring_r, &c->err);
}

enum err_code address_show(struct call *c, struct pg *pg, const char *user_id, const struct address_row *rows, size_t n,
			   Identity__V1__Address **out)
{
	struct keyring *ring;

	if (ring_of(c, pg, user_id, &ring))
		return c->err.code;
	for (size_t i = 0; i < n && c->err.code == OK; i++)
		(void)show(c, ring, &rows[i], out[i]);
	keyring_free(ring);
	return c->err.code;
}

Identity__V1__Address **address_slots(struct call *c, size_t n)
{
	Identity__V1__Address **out = arena_array(c->arena, n + 1, sizeof(*out));

	for (size_t i = 0; i < n; i++) {
		out[i] = arena_alloc(c->arena, sizeof(**out));
		identity__v1__address__init(out[i]);
	}
	return out;
}

static enum err_code list(struct call *c, struct pg *pg, const struct page *p,
			  Identity__V1__AddressesReply *out)
{
	struct address_row *rows;
	size_t n, shown;

	if (identity_db_address_page(pg, c->arena, c->who.user_id, page_text(p, 0, ""), p->limit + 1, &rows, &n, &c->err))
		return c->err.code;
	shown = page_shown(p, n);
	out->data = address_slots(c, shown);
	out->n_data = shown;
	if (page_more(p, n))
		out->next_cursor = page_next(c, p, rows[shown - 1].id);
	if (address_show(c, pg, c->who.user_id, rows, shown, out->data))
		return c->err.code;
	for (size_t i = 0; i < shown; i++)
		out->data[i]->hdr_etag = NULL; /* a header is for one */
	return OK;
}

static enum err_code identity_address_list(struct call *c, const Identity__V1__AddressesRequest *in,
					   Identity__V1__AddressesReply *out)
{
	const char *filter;
	struct page p;
	struct pg *pg;

	if (call_user(c))
		return c->err.code;
	filter = arena_printf(c->arena, "addresses|%s", c->who.user_id);
	if (page_of(c, in, filter, "t", &p) || call_pg(c, &pg))
		return c->err.code;
	(void)list(c, pg, &p, out);
	pg_return(pg);
	return c->err.code;
}

/* ---- in ---- */
struct change {
	struct call *c;
	const char *address_id;
	const char *text[N_PARTS]; /* NULL: as it was; "" : none */
	const char *country;
	bool has_default, is_default;
	const char *if_match;
	Identity__V1__Address *out;
};

static void check_parts(struct call *c, const struct change *ch, bool all)
{
	for (size_t i = 0; i < N_PARTS; i++)
		if ((all && parts[i].min > 0) || ch->text[i])
			check_text(&c->err, parts[i].field, ch->text[i], parts[i].min, parts[i].max);
	if (all || ch->country)
		check_country(&c->err, "country", ch->country);
	if (ch->text[N_PARTS - 1] && *ch->text[N_PARTS - 1])
		check_phone(&c->err, "phone", ch->text[N_PARTS - 1]);
}

static enum err_code seal_parts(const struct change *ch, struct keyring *ring, struct address_row *row, struct err *e)
{
	for (size_t i = 0; i < N_PARTS; i++) {
		struct pg_bytes *sealed = (void *)((char *)row + parts[i].row);
		const char *text = ch->text[i];

		if (text && crypto_seal_text(ring, parts[i].column, row->id, *text ? text : NULL, ch->c->arena, sealed, e))
			return e->code;
	}
	return OK;
}

/* The account's row is locked: its addresses change one at a time, so there is one default and a true count. */
static enum err_code begin(const struct change *ch, struct pg *pg, struct keyring **ring_r, struct err *e)
{
	struct account_row *account;
	struct call *c = ch->c;
	bool found = false;

	if (identity_db_account_lock(pg, c->arena, c->who.user_id, &account, &found, e))
		return e->code;
	if (!found || !account->person_key.data)
		return err_set(e, E_NOT_FOUND, "common.not_found", "user");
	return person_key_open(&identity_of(c)->keys, c->arena, account->id, account->person_key, ring_r, e);
}

static enum err_code store_new(const struct change *ch, struct pg *pg, struct keyring *ring, struct err *e)
{
	struct call *c = ch->c;
	struct address_row row = { .id = ch->address_id, .country = ch->country, .is_default = ch->is_default, .version = 1 };
	bool done = false;

	if (seal_parts(ch, ring, &row, e) ||
	    (row.is_default && identity_db_address_undefault(pg, c->who.user_id, row.id, e)) ||
	    identity_db_address_add(pg, c->who.user_id, &row, &done, IDENTITY_ADDRESSES_MAX, e))
		return e->code;
	if (!done)
		return err_set(e, E_RULE, "identity.too_many", "addresses");
	return show(c, ring, &row, ch->out);
}

static enum err_code store_changed(const struct change *ch, struct pg *pg, struct keyring *ring, struct err *e)
{
	struct call *c = ch->c;
	struct address_row *row;
	bool found = false;

	if (identity_db_address_lock(pg, c->arena, c->who.user_id, ch->address_id, &row, &found, e))
		return e->code;
	if (!found)
		return err_set(e, E_NOT_FOUND, "common.not_found", "address");
	if (etag_check(c, ch->if_match, etag_of(c, row->id, row->version)) || seal_parts(ch, ring, row, e))
		return e->code;
	if (ch->country)
		row->country = ch->country;
	if (ch->has_default)
		row->is_default = ch->is_default;
	if ((row->is_default && identity_db_address_undefault(pg, c->who.user_id, row->id, e)) ||
	    identity_db_address_update(pg, c->who.user_id, row, e))
		return e->code;
	row->version++;
	return show(c, ring, row, ch->out);
}

static enum err_code add_address(struct pg *pg, void *arg, struct err *e)
{
	struct change *ch = arg;
	struct keyring *ring;

	if (begin(ch, pg, &ring, e))
		return e->code;
	(void)store_new(ch, pg, ring, e);
	keyring_free(ring);
	return e->code;
}

static enum err_code change_address(struct pg *pg, void *arg, struct err *e)
{
	struct change *ch = arg;
	struct keyring *ring;

	if (begin(ch, pg, &ring, e))
		return e->code;
	(void)store_changed(ch, pg, ring, e);
	keyring_free(ring);
	return e->code;
}

static enum err_code identity_address_create(struct call *c, const Identity__V1__CreateAddressRequest *in,
					     Identity__V1__Address *out)
{
	struct change ch = { .c = c, .country = in->country, .is_default = in->is_default, .out = out };
	char id[ID_LEN];

	if (call_user(c))
		return c->err.code;
	for (size_t i = 0; i < N_PARTS; i++)
		ch.text[i] = msg_text(in, parts[i].create);
	check_parts(c, &ch, true);
	if (input_ok(c))
		return c->err.code;
	id_new("adr", id);
	ch.address_id = id;
	return call_tx(c, CALL_TX_ONLY, add_address, &ch);
}

static enum err_code identity_address_update(struct call *c, const Identity__V1__UpdateAddressRequest *in,
					     Identity__V1__Address *out)
{
	struct change ch = { .c = c,
			     .address_id = in->address_id,
			     .country = in->country,
			     .has_default = in->has_is_default,
			     .is_default = in->is_default,
			     .if_match = in->hdr_if_match,
			     .out = out };

	if (call_user(c))
		return c->err.code;
	if (!id_valid("adr", in->address_id))
		return not_found(c, "address");
	for (size_t i = 0; i < N_PARTS; i++)
		ch.text[i] = msg_text(in, parts[i].update);
	check_parts(c, &ch, false);
	if (input_ok(c))
		return c->err.code;
	return call_tx(c, CALL_TX_ONLY, change_address, &ch);
}

static enum err_code delete_address(struct pg *pg, void *arg, struct err *e)
{
	struct change *ch = arg;
	bool done = false;

	if (identity_db_address_delete(pg, ch->c->who.user_id, ch->address_id, &done, e))
		return e->code;
	return done ? OK : err_set(e, E_NOT_FOUND, "common.not_found", "address");
}

static enum err_code identity_address_delete(struct call *c, const Identity__V1__DeleteAddressRequest *in,
					     Common__V1__Empty *out)
{
	struct change ch = { .c = c, .address_id = in->address_id };

	(void)out;
	if (call_user(c))
		return c->err.code;
	if (!id_valid("adr", in->address_id))
		return not_found(c, "address");
	return call_tx(c, CALL_TX_ONLY, delete_address, &ch);
}
