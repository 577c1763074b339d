/* base64url, base64 and hex of common/crypto.h: strict decoders, so that one value has one text. */
#include "common/crypto.h"

static const char url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char std_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static size_t encode(const char *digits, bool pad, const void *data, size_t n, char *out)
{
	const uint8_t *p = data;
	size_t k = 0;

	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i < 3 ? n - i : 3;
		uint32_t v = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
			     (left > 2 ? (uint32_t)p[i + 2] : 0);

		out[k++] = digits[v >> 18];
		out[k++] = digits[v >> 12 & 63];
		if (left > 1)
			out[k++] = digits[v >> 6 & 63];
		else if (pad)
			out[k++] = '=';
		if (left > 2)
			out[k++] = digits[v & 63];
		else if (pad)
			out[k++] = '=';
	}
	out[k] = '\0';
	return k;
}

/* c62 and c63 are the last two digits of the alphabet; -1 for anything else. */
static int digit(char c, char c62, char c63)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == c62 ? 62 : c == c63 ? 63 : -1;
}

/* n digits without padding. */
static bool decode(char c62, char c63, const char *s, size_t n, uint8_t *out, size_t cap, size_t *len_r)
{
	size_t len = n / 4 * 3 + (n % 4 ? n % 4 - 1 : 0), k = 0;
	uint32_t v = 0;
	unsigned bits = 0;

	if (n % 4 == 1 || len > cap)
		return false;
	for (size_t i = 0; i < n; i++) {
		int d = digit(s[i], c62, c63);

		if (d < 0)
			return false;
		v = v << 6 | (uint32_t)d;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			out[k++] = (uint8_t)(v >> bits);
			v &= (1u << bits) - 1;
		}
	}
	if (v) /* bits that no byte holds */
		return false;
	*len_r = len;
	return true;
}

size_t base64url_encode(const void *p, size_t n, char *out)
{
	return encode(url_digits, false, p, n, out);
}

bool base64url_decode(const char *s, size_t n, uint8_t *out, size_t cap, size_t *len_r)
{
	return decode('-', '_', s, n, out, cap, len_r);
}

size_t base64_encode(const void *p, size_t n, char *out)
{
	return encode(std_digits, true, p, n, out);
}

bool base64_decode(const char *s, size_t n, uint8_t *out, size_t cap, size_t *len_r)
{
	if (n % 4)
		return false;
	if (n && s[n - 1] == '=')
		n -= n > 1 && s[n - 2] == '=' ? 2 : 1;
	return decode('+', '/', s, n, out, cap, len_r);
}

void hex_encode(const void *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[b[i] >> 4];
		out[2 * i + 1] = digits[b[i] & 15];
	}
	out[2 * n] = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_decode(const char *s, size_t n, uint8_t *out)
{
	if (n % 2)
		return false;
	for (size_t i = 0; i < n; i += 2) {
		int hi = hex_digit(s[i]), lo = hex_digit(s[i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		out[i / 2] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}
