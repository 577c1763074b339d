/* The second factor: enrol, activate, challenge at login, disable, recovery codes. */
#include <ctype.h>
#include <string.h>

#include "common/check.h"
#include "common/timeutil.h"
#include "services/identity/account.h"
#include "services/identity/guard.h"
#include "services/identity/identity_db.h"
#include "services/identity/notice.h"
#include "services/identity/password.h"
#include "services/identity/person.h"
#include "services/identity/reply.h"
#include "services/identity/session_open.h"
#include "services/identity/totp.h"

RPC_HANDLER(identity_mfa_enroll, Identity__V1__MfaEnrollRequest, Identity__V1__MfaEnrollReply)
RPC_HANDLER(identity_mfa_activate, Identity__V1__MfaCodeRequest, Identity__V1__RecoveryCodes)
RPC_HANDLER(identity_mfa_challenge, Identity__V1__MfaChallengeRequest, Identity__V1__TokenReply)
RPC_HANDLER(identity_mfa_disable, Identity__V1__MfaDisableRequest, Common__V1__Empty)
RPC_HANDLER(identity_mfa_recovery, Identity__V1__MfaRecoveryRequest, Identity__V1__RecoveryCodes)

const struct rpc_method identity_mfa_methods[] = {
	{ "MfaEnroll", identity_mfa_enroll_, RPC_WRITE, 0 },
	{ "MfaActivate", identity_mfa_activate_, RPC_WRITE, 0 },
	{ "MfaChallenge", identity_mfa_challenge_, RPC_WRITE, 0 },
	{ "MfaDisable", identity_mfa_disable_, RPC_WRITE, 0 },
	{ "MfaRecoveryCodes", identity_mfa_recovery_, RPC_WRITE, 0 },
	{ 0 },
};

#define SECRET_COLUMN "identity.totp.secret"

/* ---- a code, of either kind, used up once ---- */
struct factor {
	struct call *c;
	const char *user_id;
	const char *code, *recovery; /* one of them */
	bool activate;		     /* the pending secret's first code */
	int64_t step;		     /* of code; 0: a recovery code */
	uint8_t recovery_hash[SHA256_LEN];
	struct guard guard;
};

static bool check_code(struct err *e, const char *code)
{
	size_t n = 0;

	while (code && isdigit((unsigned char)code[n]))
		n++;
	if (code && n == 6 && !code[n])
		return true;
	err_detail(e, "code", NULL, "six digits");
	return false;
}

static void check_factor(struct call *c, const char *code, const char *recovery)
{
	if (code && recovery)
		err_detail(&c->err, "recovery_code", NULL, "not together with code");
	else if (recovery)
		check_text(&c->err, "recovery_code", recovery, 8, 40);
	else
		(void)check_code(&c->err, code);
}

static enum err_code open_secret(struct call *c, const struct totp_row *row, const char *user_id, struct pg_bytes *secret_r)
{
	struct keyring *ring;

	if (person_key_open(&identity_of(c)->keys, c->arena, user_id, row->person_key, &ring, &c->err))
		return c->err.code;
	noted(crypto_open(ring, SECRET_COLUMN, user_id, row->secret, c->arena, secret_r, &c->err));
	keyring_free(ring);
	return c->err.code;
}

/* Which step a code belongs to, without using it. A wrong one leaves step 0; nothing is said about why. */
static enum err_code factor_match(struct factor *f, const struct totp_row *row)
{
	struct pg_bytes secret;

	if (f->recovery) {
		f->step = -1;
		if (!recovery_code_hash(&identity_of(f->c)->keys, f->user_id, f->recovery, f->recovery_hash))
			f->step = 0;
		return OK;
	}
	if (open_secret(f->c, row, f->user_id, &secret))
		return f->c->err.code;
	f->step = totp_match(secret.data, secret.len, f->code, row->now_s, row->last_step);
	return OK;
}

static enum err_code factor_load(struct factor *f)
{
	struct call *c = f->c;
	struct totp_row *row;
	struct pg *pg;
	bool found = false;

	guard_factor(c, &f->guard, f->user_id);
	if (call_pg(c, &pg))
		return c->err.code;
	if (guard_check(c, pg, &f->guard) == OK)
		noted(identity_db_totp_get(pg, c->arena, f->user_id, &row, &found, &c->err));
	pg_return(pg);
	if (c->err.code)
		return c->err.code;
	if (!found || (!row->active && !f->activate))
		return err_set(&c->err, E_CONFLICT, "identity.mfa_inactive", "none");
	if (row->active && f->activate)
		return err_set(&c->err, E_CONFLICT, "identity.mfa_active", "already");
	return factor_match(f, row);
}

/* Counts the failure and answers. */
static enum err_code factor_wrong(struct factor *f)
{
	err_clear(&f->c->err);
	if (guard_fail(f->c, &f->guard))
		return f->c->err.code;
	return err_set(&f->c->err, E_UNAUTH, "identity.mfa_code", "wrong or used");
}

/* Inside the transaction that grants what the code is for: of all who bring it, one gets through. */
static enum err_code factor_use(struct factor *f, struct pg *pg, struct err *e)
{
	bool done = false;

	if (f->step < 0 ? identity_db_recovery_use(pg, f->user_id, f->recovery_hash, &done, e) :
			  identity_db_totp_use(pg, f->user_id, f->step, f->activate, &done, e))
		return e->code;
	if (!done)
		return err_set(e, E_UNAUTH, "identity.mfa_code", "used");
	return guard_clear(f->c, pg, &f->guard, e);
}

/* Loads, then runs fn, whose first act is factor_use. */
static enum err_code factor_tx(struct factor *f, pg_tx_fn *fn, void *arg)
{
	if (factor_load(f))
		return f->c->err.code;
	if (f->step == 0)
		return factor_wrong(f);
	if (call_tx(f->c, CALL_TX_PLAIN, fn, arg) && err_is(&f->c->err, "identity.mfa_code"))
		return factor_wrong(f);
	return f->c->err.code;
}

/* ---- enrol ---- */
struct enrolment {
	struct call *c;
	uint8_t secret[TOTP_SECRET_LEN];
	struct account_texts texts;
};

static enum err_code store_secret(struct pg *pg, void *arg, struct err *e)
{
	struct enrolment *n = arg;
	struct call *c = n->c;
	struct account_row *row;
	struct keyring *ring;
	struct pg_bytes sealed;
	bool found = false, done = false;

	if (identity_db_account_lock(pg, c->arena, c->who.user_id, &row, &found, e))
		return e->code;
	if (!found || !row->person_key.data)
		return err_set(e, E_NOT_FOUND, "common.not_found", "user");
	if (account_read(c, row, &n->texts) ||
	    person_key_open(&identity_of(c)->keys, c->arena, row->id, row->person_key, &ring, e))
		return e->code;
	noted(crypto_seal(ring, SECRET_COLUMN, row->id, (struct pg_bytes){ n->secret, sizeof(n->secret) }, c->arena, &sealed,
			  e));
	keyring_free(ring);
	if (e->code || identity_db_totp_put(pg, row->id, sealed, &done, e))
		return e->code;
	return done ? OK : err_set(e, E_CONFLICT, "identity.mfa_active", "already");
}

/* Letters, digits and the few others that a URI carries as they are; the rest as %XX. */
static char *uri_text(struct arena *a, const char *s)
{
	char *out = arena_alloc(a, 3 * strlen(s) + 1), *p = out;

	for (; *s; s++) {
		unsigned char b = (unsigned char)*s;

		if (isalnum(b) || strchr("-._~", b)) {
			*p++ = (char)b;
		} else {
			*p++ = '%';
			*p++ = "0123456789ABCDEF"[b >> 4];
			*p++ = "0123456789ABCDEF"[b & 15];
		}
	}
	return out;
}

static enum err_code identity_mfa_enroll(struct call *c, const Identity__V1__MfaEnrollRequest *in,
					 Identity__V1__MfaEnrollReply *out)
{
	struct enrolment n = { .c = c };
	struct login_row *row = NULL;
	char text[TOTP_BASE32_LEN];

	if (call_user(c))
		return c->err.code;
	check_password_given(&c->err, "password", in->password);
	if (input_ok(c) || password_confirm(c, in->password, &row))
		return c->err.code;
	random_bytes(n.secret, sizeof(n.secret));
	if (call_tx(c, CALL_TX_PLAIN, store_secret, &n))
		return c->err.code;
	totp_base32(n.secret, sizeof(n.secret), text);
	out->secret = call_str(c, text);
	out->uri = arena_printf(c->arena, "otpauth://totp/Souk:%s?secret=%s&issuer=Souk&digits=6&period=30",
				uri_text(c->arena, n.texts.email ? n.texts.email : ""), text);
	return OK;
}

/* ---- recovery codes ---- */
static enum err_code new_codes(struct call *c, struct pg *pg, const char *user_id, char **codes, struct err *e)
{
	if (identity_db_recovery_clear(pg, user_id, e))
		return e->code;
	for (int i = 0; i < RECOVERY_CODES; i++) {
		uint8_t hash[SHA256_LEN];

		if (!recovery_code_hash(&identity_of(c)->keys, user_id, codes[i], hash) ||
		    identity_db_recovery_put(pg, user_id, hash, e))
			return e->code;
	}
	return OK;
}

static char **make_codes(struct call *c)
{
	char **codes = arena_array(c->arena, RECOVERY_CODES, sizeof(*codes));

	for (int i = 0; i < RECOVERY_CODES; i++) {
		codes[i] = arena_alloc(c->arena, RECOVERY_LEN);
		recovery_code_new(codes[i]);
	}
	return codes;
}

struct switching {
	struct factor f;
	char **codes;
};

static enum err_code switch_on(struct pg *pg, void *arg, struct err *e)
{
	struct switching *s = arg;
	struct call *c = s->f.c;
	int64_t n;

	if (factor_use(&s->f, pg, e) || new_codes(c, pg, s->f.user_id, s->codes, e) ||
	    identity_db_session_revoke_all(pg, s->f.user_id, c->who.session_id, "second factor switched on", &n, e))
		return e->code;
	return notice_security(pg, c->arena, s->f.user_id, "mfa_enabled", e);
}

static enum err_code renew_codes(struct pg *pg, void *arg, struct err *e)
{
	struct switching *s = arg;

	if (factor_use(&s->f, pg, e))
		return e->code;
	return new_codes(s->f.c, pg, s->f.user_id, s->codes, e);
}

static enum err_code switch_off(struct pg *pg, void *arg, struct err *e)
{
	struct switching *s = arg;
	struct call *c = s->f.c;
	int64_t n;

	if (factor_use(&s->f, pg, e) || identity_db_totp_remove(pg, s->f.user_id, e) ||
	    identity_db_recovery_clear(pg, s->f.user_id, e) ||
	    identity_db_session_revoke_all(pg, s->f.user_id, c->who.session_id, "second factor switched off", &n, e))
		return e->code;
	return notice_security(pg, c->arena, s->f.user_id, "mfa_disabled", e);
}

static enum err_code identity_mfa_activate(struct call *c, const Identity__V1__MfaCodeRequest *in,
					   Identity__V1__RecoveryCodes *out)
{
	struct switching s = { .f = { .c = c, .code = in->code, .activate = true } };

	if (call_user(c))
		return c->err.code;
	(void)check_code(&c->err, in->code);
	s.f.user_id = c->who.user_id;
	s.codes = make_codes(c);
	if (input_ok(c) || factor_tx(&s.f, switch_on, &s))
		return c->err.code;
	out->codes = s.codes;
	out->n_codes = RECOVERY_CODES;
	return OK;
}

static enum err_code identity_mfa_disable(struct call *c, const Identity__V1__MfaDisableRequest *in, Common__V1__Empty *out)
{
	struct switching s = { .f = { .c = c, .code = in->code, .recovery = in->recovery_code } };
	struct login_row *row = NULL;

	(void)out;
	if (call_user(c))
		return c->err.code;
	check_password_given(&c->err, "password", in->password);
	check_factor(c, in->code, in->recovery_code);
	s.f.user_id = c->who.user_id;
	if (input_ok(c) || password_confirm(c, in->password, &row))
		return c->err.code;
	return factor_tx(&s.f, switch_off, &s);
}

static enum err_code identity_mfa_recovery(struct call *c, const Identity__V1__MfaRecoveryRequest *in,
					   Identity__V1__RecoveryCodes *out)
{
	struct switching s = { .f = { .c = c, .code = in->code } };
	struct login_row *row = NULL;

	if (call_user(c))
		return c->err.code;
	check_password_given(&c->err, "password", in->password);
	(void)check_code(&c->err, in->code);
	s.f.user_id = c->who.user_id;
	s.codes = make_codes(c);
	if (input_ok(c) || password_confirm(c, in->password, &row) || factor_tx(&s.f, renew_codes, &s))
		return c->err.code;
	out->codes = s.codes;
	out->n_codes = RECOVERY_CODES;
	return OK;
}

/* ---- the second step of a login ---- */
struct second_step {
	struct factor f;
	uint8_t token_hash[SHA256_LEN];
	struct session_ask ask;
	struct session_made made;
};

static enum err_code finish_login(struct pg *pg, void *arg, struct err *e)
{
	struct second_step *s = arg;
	bool done = false;

	if (factor_use(&s->f, pg, e) || identity_db_challenge_use(pg, s->token_hash, &done, e))
		return e->code;
	if (!done)
		return err_set(e, E_UNAUTH, "identity.mfa_token", "used or over");
	return session_open(s->f.c, pg, &s->ask, &s->made, e);
}

static enum err_code load_challenge(struct second_step *s)
{
	struct call *c = s->f.c;
	struct challenge_row *row;
	struct pg *pg;
	bool found = false;

	if (call_pg(c, &pg))
		return c->err.code;
	noted(identity_db_challenge_get(pg, c->arena, s->token_hash, &row, &found, &c->err));
	pg_return(pg);
	if (c->err.code)
		return c->err.code;
	if (!found || strcmp(row->status, "active") != 0)
		return err_set(&c->err, E_UNAUTH, "identity.mfa_token", "unknown or over");
	s->f.user_id = s->ask.user_id = row->user_id;
	s->ask.token_version = row->token_version;
	s->ask.audience = row->audience;
	s->ask.vendor_id = row->vendor_id;
	return OK;
}

static enum err_code identity_mfa_challenge(struct call *c, const Identity__V1__MfaChallengeRequest *in,
					    Identity__V1__TokenReply *out)
{
	struct second_step s = { .f = { .c = c, .code = in->code, .recovery = in->recovery_code } };

	check_text(&c->err, "mfa_token", in->mfa_token, 20, 200);
	check_factor(c, in->code, in->recovery_code);
	if (input_ok(c))
		return c->err.code;
	token_hash(in->mfa_token, s.token_hash);
	if (load_challenge(&s))
		return c->err.code;
	s.ask.user_agent = in->hdr_user_agent;
	s.ask.ip = in->hdr_client_ip;
	s.ask.in_body = in->refresh_in_body;
	call_act_as(c, s.ask.user_id);
	if (factor_tx(&s.f, finish_login, &s))
		return c->err.code;
	return session_answer(c, &s.ask, &s.made, out);
}
