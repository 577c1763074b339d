/*
 * Personal data: sealed under a key of its person, which is itself sealed under the daemon's ring. Deleting the key (erasure)
 * makes every copy unreadable, audit images included. And the forms in which others may see it.
 */
#ifndef SOUK_IDENTITY_PERSON_H
#define SOUK_IDENTITY_PERSON_H

#include "services/identity/identity.h"

/* Both rings are the caller's to keyring_free. */
MUST_CHECK enum err_code person_key_new(const struct identity_keys *, struct arena *, const char *user_id,
					struct pg_bytes *sealed_r, struct keyring **ring_r, struct err *);
MUST_CHECK enum err_code person_key_open(const struct identity_keys *, struct arena *, const char *user_id,
					 struct pg_bytes sealed, struct keyring **ring_r, struct err *);

/* Index of a normalised e-mail address or a phone number, in the arena. */
struct pg_bytes person_email_index(const struct identity_keys *, struct arena *, const char *email);
struct pg_bytes person_phone_index(const struct identity_keys *, struct arena *, const char *phone);

const char *person_mask_email(struct arena *, const char *email); /* NULL stays NULL, as for all of them */
const char *person_mask_phone(struct arena *, const char *phone);
const char *person_mask_name(struct arena *, const char *name); /* "A***" */
/* An address as its network: /24 of IPv4, /48 of IPv6; "" for what is neither. */
const char *person_short_ip(struct arena *, const char *ip);
/* The unit that failures are counted by: an IPv4 address, an IPv6 /64. */
const char *person_ip_unit(struct arena *, const char *ip);

#endif
