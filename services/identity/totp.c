#include "services/identity/totp.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

int64_t totp_step(int64_t unix_s)
{
	return unix_s / TOTP_STEP_S;
}

bool totp_code(enum totp_hash hash, const void *secret, size_t len, int64_t step, int digits, char *out)
{
	static const uint32_t modulus[] = { 1000000, 10000000, 100000000 };
	const EVP_MD *md = hash == TOTP_SHA1 ? EVP_sha1() : hash == TOTP_SHA256 ? EVP_sha256() : EVP_sha512();
	unsigned char counter[8], mac[EVP_MAX_MD_SIZE];
	unsigned int mac_len = 0;
	uint32_t value;
	int at;

	if (digits < 6 || digits > 8 || len > 1024)
		return false;
	for (int i = 7; i >= 0; i--, step >>= 8)
		counter[i] = (unsigned char)(step & 0xff);
	if (!HMAC(md, secret, (int)len, counter, sizeof(counter), mac, &mac_len))
		return false;
	at = mac[mac_len - 1] & 0x0f;
	value = (uint32_t)(mac[at] & 0x7f) << 24 | (uint32_t)mac[at + 1] << 16 | (uint32_t)mac[at + 2] << 8 |
		mac[at + 3];
	(void)snprintf(out, (size_t)digits + 1, "%0*u", digits, value % modulus[digits - 6]);
	return true;
}

int64_t totp_match(const void *secret, size_t len, const char *code, int64_t now_s, int64_t last_step)
{
	int64_t found = 0;

	if (strlen(code) != 6)
		return 0;
	/* All three are computed, so that the time says nothing about which one fitted. */
	for (int64_t step = totp_step(now_s) - 1; step <= totp_step(now_s) + 1; step++) {
		char want[9];

		if (totp_code(TOTP_SHA1, secret, len, step, 6, want) && CRYPTO_memcmp(want, code, 6) == 0 &&
		    step > last_step)
			found = step;
	}
	return found;
}

void totp_base32(const unsigned char *in, size_t len, char *out)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	uint32_t held = 0;
	int bits = 0;

	for (size_t i = 0; i < len; i++) {
		held = held << 8 | in[i];
		for (bits += 8; bits >= 5; bits -= 5)
			*out++ = alphabet[held >> (bits - 5) & 31];
		held &= (1u << bits) - 1;
	}
	if (bits > 0)
		*out++ = alphabet[held << (5 - bits) & 31];
	*out = '\0';
}
