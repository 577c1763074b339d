/* Time-based one-time passwords (RFC 6238 over RFC 4226) and the base32 of authenticator apps (RFC 4648). Pure. */
#ifndef SOUK_IDENTITY_TOTP_H
#define SOUK_IDENTITY_TOTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOTP_STEP_S 30
#define TOTP_SECRET_LEN 20
#define TOTP_BASE32_LEN 33 /* 20 bytes as base32, and the NUL */

enum totp_hash { TOTP_SHA1, TOTP_SHA256, TOTP_SHA512 };

int64_t totp_step(int64_t unix_s);
/* The code of a step, digits (6 to 8) characters and a NUL into out; false when the library refuses. */
bool totp_code(enum totp_hash hash, const void *secret, size_t len, int64_t step, int digits, char *out);

/*
 * The step at or next to now whose six-digit SHA-1 code this is, later than last_step; 0 when there is none. One step
 * either side allows for clocks and for typing; two is refused.
 */
int64_t totp_match(const void *secret, size_t len, const char *code, int64_t now_s, int64_t last_step);

void totp_base32(const unsigned char *in, size_t len, char *out); /* no padding */

#endif
