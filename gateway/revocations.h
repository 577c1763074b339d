/* Sessions that ended and users whose token version was raised, for as long as their access tokens may still live. */
#ifndef SOUK_GATEWAY_REVOCATIONS_H
#define SOUK_GATEWAY_REVOCATIONS_H

#include <stdbool.h>
#include <stdint.h>

struct revocations;
struct revocations *revocations_new(void); /* ends the process without memory */
void revocations_free(struct revocations *);
/* session_id "" or NULL: all tokens of the user below min_version (0: those issued before at_ms). */
void revocations_add(struct revocations *, const char *session_id, const char *user_id, int64_t min_version,
		     int64_t at_ms);
bool revocations_hit(struct revocations *, const char *session_id, const char *user_id, int64_t version, int64_t iat_s);
int64_t revocations_state(const struct revocations *); /* changes with every addition */

#endif
