/*
 * The secrets we hand out and know again. All are derived or checked with keys made from index.key; PostgreSQL keeps
 * SHA-256 or keyed hashes only.
 *
 *	refresh token	26 characters of the session id, base64url of (secret 32 | tag 16). The tag proves that we made
 *			it, so a token that is neither current nor predecessor is known as reuse, not as noise.
 *	link token	HMAC of the link id, base64url
 *	API key		"<key id>.<secret>"
 *	recovery code	"xxxxx-xxxxx", 50 bits
 */
#ifndef SOUK_IDENTITY_TOKEN_H
#define SOUK_IDENTITY_TOKEN_H

#include "services/identity/identity.h"

#define REFRESH_TEXT_LEN 91
#define LINK_TEXT_LEN	 44
#define RECOVERY_CODES	 10
#define RECOVERY_LEN	 12

struct refresh_token {
	char text[REFRESH_TEXT_LEN];
	char session_id[ID_LEN];
	uint8_t hash[SHA256_LEN];
};

void identity_keys_derive(struct identity_keys *keys); /* from keys->index */

void refresh_token_first(const struct identity_keys *, const char *session_id, struct refresh_token *out);
/* False for anything that we did not make. */
bool refresh_token_read(const struct identity_keys *, const char *text, struct refresh_token *out);
/* The one successor of a token: the same whoever asks. */
void refresh_token_next(const struct identity_keys *, const struct refresh_token *of, struct refresh_token *out);

void link_token(const struct identity_keys *, const char *link_id, char text[LINK_TEXT_LEN]);
void token_hash(const char *text, uint8_t out[SHA256_LEN]); /* SHA-256, what columns hold */

void recovery_code_new(char out[RECOVERY_LEN]);
/* Bound to the user; case, spaces and the hyphen do not matter. False when it cannot be a code. */
bool recovery_code_hash(const struct identity_keys *, const char *user_id, const char *code, uint8_t out[SHA256_LEN]);

/* ---- access tokens ---- */
struct grant; /* audience, roles, permissions: services/identity/grant.h */

MUST_CHECK enum err_code signer_open(const char *keys_dir, struct signer **s_r, struct err *);
void signer_close(struct signer *);
/* Reads the folder again: a key that was added signs or verifies from now on, a removed one is gone. */
MUST_CHECK enum err_code signer_reload(struct signer *, struct err *);
char *signer_jwks(struct signer *, struct arena *);
/* An access token in the arena. */
MUST_CHECK enum err_code signer_issue(struct signer *, const struct identity_conf *, struct arena *, const char *user_id,
				      const char *session_id, int64_t token_version, const struct grant *,
				      const char **token_r, struct err *);

#endif
