/* Every statement of the daemon: row structs and one function each. Times are epoch milliseconds. */
#ifndef SOUK_IDENTITY_DB_H
#define SOUK_IDENTITY_DB_H

#include "common/crypto.h"
#include "common/outbox.h"
#include "services/identity/backoff_rules.h"

#define DB_MS(col) "(extract(epoch FROM " col ") * 1000)::bigint"
#define DB_HASH(h) pg_p_bytes((struct pg_bytes){ (h), SHA256_LEN })

extern const struct pg_stmt *const identity_db_account_stmts[];
extern const struct pg_stmt *const identity_db_session_stmts[];
extern const struct pg_stmt *const identity_db_mfa_stmts[];
extern const struct pg_stmt *const identity_db_link_stmts[];
extern const struct pg_stmt *const identity_db_address_stmts[];
extern const struct pg_stmt *const identity_db_role_stmts[];
extern const struct pg_stmt *const identity_db_member_stmts[];
extern const struct pg_stmt *const identity_db_api_key_stmts[];
extern const struct pg_stmt *const identity_db_event_stmts[];
extern const struct pg_stmt *const identity_db_invitation_stmts[];
extern const struct pg_stmt *const identity_db_consent_stmts[];

/* ---- accounts ---- */
struct account_row {
	const char *id, *locale, *status;
	struct pg_bytes email, name, phone, person_key;
	bool email_verified, mfa;
	int64_t token_version, version, created_at, updated_at;
};
struct account_new {
	const char *id, *locale;
	struct pg_bytes email, email_index, name, phone, phone_index, person_key;
	const char *phc; /* NULL: no password yet */
};
struct login_row {
	const char *id, *status, *phc; /* phc NULL: none set */
	bool email_verified, mfa;
	int64_t token_version;
};
struct account_filter {
	struct pg_bytes email_index, phone_index; /* data NULL: any */
	const char *status, *role;		   /* NULL: any */
	const char *after;
	int32_t limit;
};
struct link_email;
struct account_change {
	struct pg_bytes name, phone, phone_index;
	const char *locale;
	int64_t version; /* the one it was read with */
};

/* *added_r is false when the address is taken; then nothing was written. */
MUST_CHECK enum err_code identity_db_account_add(struct pg *, const struct account_new *, bool *added_r,
						 struct err *);
MUST_CHECK enum err_code identity_db_account_get(struct pg *, struct arena *, const char *id, struct account_row **row_r,
						 bool *found_r, struct err *);
MUST_CHECK enum err_code identity_db_account_lock(struct pg *, struct arena *, const char *id, struct account_row **row_r,
						  bool *found_r, struct err *);
MUST_CHECK enum err_code identity_db_account_id(struct pg *, struct arena *, struct pg_bytes email_index,
						const char **id_r /* NULL: none */, bool *verified_r, struct err *);
MUST_CHECK enum err_code identity_db_account_page(struct pg *, struct arena *, const struct account_filter *,
						  struct account_row **rows_r, size_t *n_r, struct err *);
MUST_CHECK enum err_code identity_db_account_update(struct pg *, const char *id, const struct account_change *,
						    bool *done_r, struct err *);
MUST_CHECK enum err_code identity_db_account_verified(struct pg *, const char *id, struct err *);
/* A confirmed address takes the place of another; identity.email_taken when somebody else has it. */
MUST_CHECK enum err_code identity_db_account_email(struct pg *, const char *id, const struct link_email *, struct err *);
MUST_CHECK enum err_code identity_db_account_status(struct pg *, const char *id, const char *status, const char *reason,
						    struct err *);
/* Every access token of the user made so far is refused from now on. */
MUST_CHECK enum err_code identity_db_account_bump(struct pg *, const char *id, struct err *);
/* Empties everything but the id. */
MUST_CHECK enum err_code identity_db_account_erase(struct pg *, const char *id, struct err *);

MUST_CHECK enum err_code identity_db_login(struct pg *, struct arena *, struct pg_bytes email_index,
					   struct login_row **row_r, bool *found_r, struct err *);
MUST_CHECK enum err_code identity_db_login_by_id(struct pg *, struct arena *, const char *id, struct login_row **row_r,
						 bool *found_r, struct err *);
MUST_CHECK enum err_code identity_db_password_put(struct pg *, const char *user_id, const char *phc, struct err *);
/* Only if it is still the old one. */
MUST_CHECK enum err_code identity_db_password_rehash(struct pg *, const char *user_id, const char *old_phc,
						     const char *phc, struct err *);

/* ---- events ---- */
MUST_CHECK enum err_code identity_db_event(struct pg *, struct arena *, const char *user_id, const char *type,
					   const ProtobufCMessage *, struct err *);

/* ---- back-off ---- */
MUST_CHECK enum err_code identity_db_backoff_wait(struct pg *, struct arena *, const char *const *keys, size_t n,
						  int64_t *wait_ms_r, struct err *);
MUST_CHECK enum err_code identity_db_backoff_fail(struct pg *, const char *key, const struct backoff_rule *, struct err *);
MUST_CHECK enum err_code identity_db_backoff_clear(struct pg *, struct arena *, const char *const *keys, size_t n,
						   struct err *);

/* ---- sessions ---- */
struct session_new {
	const char *id, *user_id, *audience, *vendor_id; /* vendor_id NULL unless vendor */
	const uint8_t *token_hash;
	struct pg_bytes user_agent, ip;
};
struct session_row { /* with its account */
	const char *id, *user_id, *audience, *vendor_id, *status;
	struct pg_bytes token_hash, prev_hash;
	bool revoked;
	int64_t generation, rotated_at, created_at, expires_at, absolute_at, now, token_version;
};
struct session_list_row {
	const char *id, *audience, *vendor_id;
	struct pg_bytes user_agent, ip;
	int64_t created_at, last_used_at, expires_at;
};
MUST_CHECK enum err_code identity_db_session_add(struct pg *, const struct session_new *, struct err *);
/* Ends those of the user that were used longest ago, but for keep. */
MUST_CHECK enum err_code identity_db_session_trim(struct pg *, const char *user_id, int32_t keep, struct err *);
MUST_CHECK enum err_code identity_db_session_get(struct pg *, struct arena *, const char *id, struct session_row **row_r,
						 bool *found_r, struct err *);
/* The one conditional UPDATE: *done_r false when token_hash is not the current one or the session is over. */
MUST_CHECK enum err_code identity_db_session_rotate(struct pg *, const char *id, const uint8_t *token_hash,
						    const uint8_t *successor_hash, const char *audience,
						    const char *vendor_id, bool *done_r, struct err *);
/* Both write revocations for the gateways. user_id NULL: whoever's it is. */
MUST_CHECK enum err_code identity_db_session_revoke(struct pg *, const char *id, const char *user_id, const char *why,
						    bool *done_r, struct err *);
MUST_CHECK enum err_code identity_db_session_revoke_all(struct pg *, const char *user_id, const char *except_id,
							const char *why, int64_t *n_r, struct err *);
MUST_CHECK enum err_code identity_db_session_page(struct pg *, struct arena *, const char *user_id, const char *after,
						  int32_t limit, struct session_list_row **rows_r, size_t *n_r,
						  struct err *);
/* Ended sessions of a user forget agent and address (erasure). */
MUST_CHECK enum err_code identity_db_session_forget(struct pg *, const char *user_id, struct err *);

struct revocation_row {
	const char *session_id, *user_id;
	int64_t min_token_version, revoked_at, xid, horizon;
};
/* Rows of transactions after the cursor, those not yet certain to be complete included; horizon is on every row. */
MUST_CHECK enum err_code identity_db_revocations(struct pg *, struct arena *, int64_t after, int32_t limit,
						 struct revocation_row **rows_r, size_t *n_r, int64_t *horizon_r,
						 struct err *);
MUST_CHECK enum err_code identity_db_revocation_add(struct pg *, const char *session_id, const char *user_id,
						    struct err *);
/* Old sessions, revocations, links, challenges and back-off rows; at most a thousand of each. */
MUST_CHECK enum err_code identity_db_sweep(struct pg *, int64_t *removed_r, struct err *);

/* ---- second factor ---- */
struct totp_row {
	struct pg_bytes secret, person_key;
	bool active;
	int64_t last_step, now_s;
};
struct challenge_row {
	const char *user_id, *audience, *vendor_id, *status;
	int64_t token_version; /* of the account now */
};
MUST_CHECK enum err_code identity_db_totp_get(struct pg *, struct arena *, const char *user_id, struct totp_row **row_r,
					      bool *found_r, struct err *);
/* A new secret that waits for activation; *done_r false when one is active. */
MUST_CHECK enum err_code identity_db_totp_put(struct pg *, const char *user_id, struct pg_bytes secret, bool *done_r,
					      struct err *);
/* Compare-and-set of the last accepted step: of all callers with one code, one gets *done_r. */
MUST_CHECK enum err_code identity_db_totp_use(struct pg *, const char *user_id, int64_t step, bool activate,
					      bool *done_r, struct err *);
MUST_CHECK enum err_code identity_db_totp_remove(struct pg *, const char *user_id, struct err *);
MUST_CHECK enum err_code identity_db_recovery_put(struct pg *, const char *user_id, const uint8_t *hash, struct err *);
MUST_CHECK enum err_code identity_db_recovery_clear(struct pg *, const char *user_id, struct err *);
MUST_CHECK enum err_code identity_db_recovery_use(struct pg *, const char *user_id, const uint8_t *hash, bool *done_r,
						  struct err *);
MUST_CHECK enum err_code identity_db_challenge_add(struct pg *, const uint8_t *token_hash, const char *user_id,
						   const char *audience, const char *vendor_id, int64_t token_version,
						   struct err *);
MUST_CHECK enum err_code identity_db_challenge_get(struct pg *, struct arena *, const uint8_t *token_hash,
						   struct challenge_row **row_r, bool *found_r, struct err *);
MUST_CHECK enum err_code identity_db_challenge_use(struct pg *, const uint8_t *token_hash, bool *done_r, struct err *);

/* ---- links ---- */
struct link_row {
	const char *id, *user_id, *kind;
	struct pg_bytes email, email_index; /* change_email: the new address */
	struct pg_bytes old_email;	    /* once it is confirmed: the one before */
	int64_t expires_at;
	bool open; /* neither used nor over */
};
struct link_email {
	struct pg_bytes email, email_index;
};
MUST_CHECK enum err_code identity_db_link_add(struct pg *, const char *id, const char *user_id, const char *kind,
					      int64_t life_s, const uint8_t *token_hash /* NULL: not yet made */,
					      struct err *);
/* A link of kind change_email; its token is not yet made. */
MUST_CHECK enum err_code identity_db_link_add_email(struct pg *, const char *id, const char *user_id, int64_t life_s,
						    const struct link_email *, struct err *);
MUST_CHECK enum err_code identity_db_link_keep_old(struct pg *, const char *id, struct pg_bytes old_email, struct err *);
MUST_CHECK enum err_code identity_db_link_get(struct pg *, struct arena *, const char *id, struct link_row **row_r,
					      bool *found_r, struct err *);
MUST_CHECK enum err_code identity_db_link_made(struct pg *, const char *id, const uint8_t *token_hash, struct err *);
MUST_CHECK enum err_code identity_db_link_find(struct pg *, struct arena *, const uint8_t *token_hash,
					       struct link_row **row_r, bool *found_r, struct err *);
MUST_CHECK enum err_code identity_db_link_use(struct pg *, const char *id, bool *done_r, struct err *);
/* Every other open link of that kind ends. */
MUST_CHECK enum err_code identity_db_link_end(struct pg *, const char *user_id, const char *kind, struct err *);

/* ---- addresses ---- */
struct address_row {
	const char *id, *country;
	struct pg_bytes name, line1, line2, city, region, postal_code, phone;
	bool is_default;
	int64_t version;
};
MUST_CHECK enum err_code identity_db_address_add(struct pg *, const char *user_id, const struct address_row *,
						 bool *done_r /* false: too many */, int32_t max, struct err *);
MUST_CHECK enum err_code identity_db_address_get(struct pg *, struct arena *, const char *user_id, const char *id,
						 struct address_row **row_r, bool *found_r, struct err *);
MUST_CHECK enum err_code identity_db_address_lock(struct pg *, struct arena *, const char *user_id, const char *id,
						  struct address_row **row_r, bool *found_r, struct err *);
MUST_CHECK enum err_code identity_db_address_update(struct pg *, const char *user_id, const struct address_row *,
						    struct err *);
MUST_CHECK enum err_code identity_db_address_delete(struct pg *, const char *user_id, const char *id, bool *done_r,
						    struct err *);
/* Before another becomes the default. */
MUST_CHECK enum err_code identity_db_address_undefault(struct pg *, const char *user_id, const char *but_id, struct err *);
MUST_CHECK enum err_code identity_db_address_page(struct pg *, struct arena *, const char *user_id, const char *after,
						  int32_t limit, struct address_row **rows_r, size_t *n_r, struct err *);

/* ---- roles ---- */
struct word_row {
	const char *word;
};
struct role_row {
	const char *name, *side, *description, *perms; /* perms: separated by spaces */
};
struct user_role_row {
	const char *role, *granted_by;
	int64_t granted_at;
};
MUST_CHECK enum err_code identity_db_admin_roles(struct pg *, struct arena *, const char *user_id,
						 struct word_row **rows_r, size_t *n_r, struct err *);
MUST_CHECK enum err_code identity_db_admin_perms(struct pg *, struct arena *, const char *user_id,
						 struct word_row **rows_r, size_t *n_r, struct err *);
MUST_CHECK enum err_code identity_db_role_perms(struct pg *, struct arena *, const char *role, struct word_row **rows_r,
						size_t *n_r, struct err *);
MUST_CHECK enum err_code identity_db_roles(struct pg *, struct arena *, struct role_row **rows_r, size_t *n_r,
					   struct err *);
/* *side_r NULL: no such role. */
MUST_CHECK enum err_code identity_db_role_side(struct pg *, struct arena *, const char *role, const char **side_r,
					       struct err *);
MUST_CHECK enum err_code identity_db_user_roles(struct pg *, struct arena *, const char *user_id,
						struct user_role_row **rows_r, size_t *n_r, struct err *);
MUST_CHECK enum err_code identity_db_user_role_add(struct pg *, const char *user_id, const char *role,
						   const char *granted_by, bool *done_r, struct err *);
MUST_CHECK enum err_code identity_db_user_role_remove(struct pg *, const char *user_id, const char *role /* NULL: all */,
						      bool *done_r, struct err *);
/* Serialises whatever could take the last administrator away, then counts the active ones but this one. */
MUST_CHECK enum err_code identity_db_other_administrators(struct pg *, struct arena *, const char *user_id,
							  int64_t *n_r, struct err *);

/* ---- vendors and their teams ---- */
struct member_row {
	const char *vendor_id, *user_id, *role, *vendor_status;
	struct pg_bytes email, name, person_key;
	int64_t joined_at, version;
};
/* *done_r false when a newer event was applied before. */
MUST_CHECK enum err_code identity_db_vendor_put(struct pg *, const char *vendor_id, const char *owner_user_id,
						const char *status, int64_t agg_version, bool *done_r, struct err *);
/* Adds or keeps the owner, if that account still exists. */
MUST_CHECK enum err_code identity_db_vendor_own(struct pg *, const char *vendor_id, const char *owner_user_id,
						struct err *);
/* Token versions of all members grow. */
MUST_CHECK enum err_code identity_db_vendor_bump(struct pg *, const char *vendor_id, struct err *);
MUST_CHECK enum err_code identity_db_vendors_owned(struct pg *, struct arena *, const char *user_id, int64_t *n_r,
						   struct err *);
MUST_CHECK enum err_code identity_db_memberships(struct pg *, struct arena *, const char *user_id,
						 const char *vendor_id /* NULL: all */, struct member_row **rows_r,
						 size_t *n_r, struct err *);
MUST_CHECK enum err_code identity_db_member_page(struct pg *, struct arena *, const char *vendor_id, const char *after,
						 int32_t limit, struct member_row **rows_r, size_t *n_r, struct err *);
MUST_CHECK enum err_code identity_db_member_get(struct pg *, struct arena *, const char *vendor_id, const char *user_id,
						struct member_row **row_r, bool *found_r, struct err *);
MUST_CHECK enum err_code identity_db_member_add(struct pg *, const char *vendor_id, const char *user_id,
						const char *role, int32_t max, bool *done_r, struct err *);
/* Locks the vendor's row, so that members change one at a time and one owner always stays. */
MUST_CHECK enum err_code identity_db_member_lock(struct pg *, struct arena *, const char *vendor_id, int64_t *owners_r,
						 struct err *);
MUST_CHECK enum err_code identity_db_member_role(struct pg *, const char *vendor_id, const char *user_id,
						 const char *role, struct err *);
MUST_CHECK enum err_code identity_db_member_remove(struct pg *, const char *vendor_id /* NULL: all */,
						   const char *user_id, struct err *);

/* ---- invitations into a team ---- */
struct invitation_row {
	const char *id, *vendor_id, *role, *invited_by, *status; /* status also "expired" */
	struct pg_bytes email, email_index;			 /* empty unless open or expired */
	int64_t created_at, expires_at;
};
struct invitation_new {
	const char *id, *vendor_id, *role, *invited_by;
	struct pg_bytes email, email_index;
	int64_t life_s;
	int32_t max; /* open ones of a vendor */
};
/* An open one for the same address ends. *done_r false: too many. The vendor's row is locked by the caller. */
MUST_CHECK enum err_code identity_db_invitation_add(struct pg *, const struct invitation_new *, bool *done_r, struct err *);
MUST_CHECK enum err_code identity_db_invitation_get(struct pg *, struct arena *, const char *id,
						    struct invitation_row **row_r, bool *found_r, struct err *);
MUST_CHECK enum err_code identity_db_invitation_find(struct pg *, struct arena *, const uint8_t *token_hash,
						     struct invitation_row **row_r, bool *found_r, struct err *);
MUST_CHECK enum err_code identity_db_invitation_made(struct pg *, const char *id, const uint8_t *token_hash, struct err *);
MUST_CHECK enum err_code identity_db_invitation_page(struct pg *, struct arena *, const char *vendor_id, const char *after,
						     int32_t limit, struct invitation_row **rows_r, size_t *n_r, struct err *);
/* Accepted or revoked: *done_r only if it was open. */
MUST_CHECK enum err_code identity_db_invitation_end(struct pg *, const char *id, const char *vendor_id, const char *status,
						    bool *done_r, struct err *);

/* ---- consents ---- */
struct consent_row {
	const char *purpose, *version;
	bool granted;
	int64_t decided_at;
};
MUST_CHECK enum err_code identity_db_consent_add(struct pg *, const char *id, const char *user_id, const char *purpose,
						 bool granted, const char *version, struct err *);
/* What counts now, or (all) every decision, newest first. */
MUST_CHECK enum err_code identity_db_consents(struct pg *, struct arena *, const char *user_id, bool all,
					      struct consent_row **rows_r, size_t *n_r, struct err *);

/* ---- API keys ---- */
struct api_key_row {
	const char *id, *user_id, *name, *perms, *status; /* perms: separated by spaces; status of the owner */
	struct pg_bytes secret_hash;
	int64_t created_at, expires_at, revoked_at, last_used_at, token_version;
	bool usable; /* neither revoked nor over */
};
MUST_CHECK enum err_code identity_db_api_key_add(struct pg *, struct arena *, const char *id, const char *user_id,
						 const char *name, const uint8_t *secret_hash, const char *const *perms,
						 size_t n_perms, int64_t expires_at /* 0: never */, int32_t max,
						 bool *done_r, struct err *);
MUST_CHECK enum err_code identity_db_api_key_get(struct pg *, struct arena *, const char *id, struct api_key_row **row_r,
						 bool *found_r, struct err *);
MUST_CHECK enum err_code identity_db_api_key_page(struct pg *, struct arena *, const char *after, int32_t limit,
						  struct api_key_row **rows_r, size_t *n_r, struct err *);
MUST_CHECK enum err_code identity_db_api_key_revoke(struct pg *, const char *id, bool *done_r, struct err *);
MUST_CHECK enum err_code identity_db_api_key_revoke_all(struct pg *, const char *user_id, struct err *);
MUST_CHECK enum err_code identity_db_api_key_used(struct pg *, const char *id, struct err *);

#endif
