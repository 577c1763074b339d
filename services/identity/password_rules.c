#include "services/identity/password_rules.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/*
 * Words that people decorate. A password is judged by its core: lower case, leet letters undone, digits and
 * punctuation at both ends taken off. "P4ssw0rd!2024" has the core "password".
 */
static const char *const words[] = {
	"password", "passwort", "passwd", "pass", "passphrase", "passe", "motdepasse", "contrasena", "parola", "senha",
	"secret", "geheim", "secreto", "segreto", "admin", "administrator", "root", "user", "username", "guest", "login",
	"logon", "test", "tester", "testing", "demo", "default", "changeme", "change", "letmein", "welcome", "willkommen",
	"bienvenue", "hello", "hallo", "hola", "ciao", "iloveyou", "loveyou", "love", "lovely", "sunshine", "princess",
	"prinzessin", "princesa", "monkey", "dragon", "master", "shadow", "killer", "superman", "batman", "spiderman",
	"pokemon", "starwars", "football", "fussball", "futbol", "baseball", "basketball", "hockey", "soccer", "tennis",
	"michael", "jennifer", "jessica", "daniel", "thomas", "andrew", "joshua", "charlie", "ashley", "michelle",
	"nicole", "matthew", "robert", "anthony", "william", "jordan", "george", "maria", "anna", "alexander", "martin",
	"summer", "winter", "spring", "autumn", "sommer", "fruehling", "herbst", "monday", "friday", "sunday", "january",
	"february", "march", "april", "june", "july", "august", "september", "october", "november", "december", "computer",
	"internet", "server", "samsung", "google", "facebook", "amazon", "apple", "microsoft", "windows", "android",
	"iphone", "linux", "mustang", "ferrari", "porsche", "mercedes", "corvette", "harley", "yamaha", "cheese", "chocolate",
	"schokolade", "banana", "cookie", "pepper", "ginger", "orange", "purple", "silver", "golden", "flower", "butterfly",
	"angel", "devil", "jesus", "heaven", "freedom", "freiheit", "liberty", "family", "familie", "mother", "father",
	"daddy", "mommy", "baby", "babygirl", "sweetheart", "schatz", "liebe", "amour", "amor", "trustno", "whatever",
	"nothing", "something", "access", "money", "dollar", "bitcoin", "lucky", "happy", "ninja", "pirate", "soldier",
	"hunter", "ranger", "player", "gamer", "game", "gaming", "minecraft", "fortnite", "diamond", "phoenix", "tiger",
	"lion", "eagle", "falcon", "wolf", "bear", "dolphin", "chicken", "hamster", "kitty", "puppy", "doggy", "buster",
	"london", "berlin", "paris", "madrid", "newyork", "america", "germany", "deutschland", "france", "espana", "italia",
	"shop", "shopping", "store", "market", "souk", "vendor", "customer", "kunde", "order", "qwerty", "qwertz", "azerty",
	"abc", "abcd", "abcdef", "asdf", "asdfgh", "zxcvbn", "yxcvbn", "qazwsx", "aaaaaa", "blink", "matrix", "zaq", "xsw",
};

/* Anything that runs along one of these, either way, is a sequence. */
static const char *const rows[] = {
	"abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "qwertyuiop", "qwertzuiop", "azertyuiop",
	"asdfghjkl", "qsdfghjklm", "zxcvbnm", "yxcvbnm", "1qaz2wsx3edc4rfv5tgb6yhn7ujm", "qazwsxedcrfvtgbyhnujm",
	"1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "a1b2c3d4e5f6g7h8i9",
};

/* Code points of valid UTF-8. */
static size_t points(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static char unleet(char c)
{
	static const char from[] = "013457@$!|+89", to[] = "oieastasiltbg";
	const char *at = strchr(from, c);

	return c && at ? to[at - from] : c;
}

static bool is_word(const char *s, size_t len)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i]) == len && memcmp(words[i], s, len) == 0)
			return true;
	return false;
}

/* Every prefix a common word, the rest again: "loveloveyou", "adminadmin". */
static bool all_words(const char *s, size_t len)
{
	bool ok[PASSWORD_BYTES + 1] = { true };

	for (size_t end = 1; end <= len; end++)
		for (size_t n = 3; n <= end && n <= 14 && !ok[end]; n++)
			ok[end] = ok[end - n] && is_word(s + end - n, n);
	return len > 0 && ok[len];
}

/* Digits and punctuation at both ends are decoration; what is left is tried as written and with leet undone. */
static bool common_core(const char *lower, size_t len)
{
	char core[PASSWORD_BYTES + 1];
	size_t from = 0, to = len;

	while (from < to && !isalpha((unsigned char)lower[from]) && (unsigned char)lower[from] < 0x80)
		from++;
	while (to > from && !isalpha((unsigned char)lower[to - 1]) && (unsigned char)lower[to - 1] < 0x80)
		to--;
	/* Short decorations only: twelve random digits around "cat" are somebody's real secret. */
	if (to > from && len - (to - from) <= 8 && all_words(lower + from, to - from))
		return true;
	for (size_t cut = 0; cut <= 8 && cut < len; cut++) {
		for (size_t i = 0; i < len - cut; i++)
			core[i] = unleet(lower[i]);
		if (all_words(core, len - cut))
			return true;
		if (isalpha((unsigned char)lower[len - cut - 1]))
			break;
	}
	return false;
}

static bool repeats(const char *s, size_t len)
{
	for (size_t unit = 1; unit <= 4 && unit * 2 <= len; unit++) {
		size_t i = unit;

		while (i < len && s[i] == s[i - unit])
			i++;
		if (i == len)
			return true;
	}
	return false;
}

static bool within(const char *row, const char *s, size_t len)
{
	size_t n = strlen(row);
	bool back = false;

	for (size_t at = 0; at + len <= n; at++) {
		size_t i = 0;

		while (i < len && s[i] == row[at + len - 1 - i])
			i++;
		back = back || i == len;
		if (memcmp(row + at, s, len) == 0)
			return true;
	}
	return back;
}

/* The whole password is at most three runs of at least three along a row: "qwerty123", "abcd4321". */
static bool sequence(const char *s, size_t len)
{
	size_t at = 0;

	for (int run = 0; run < 3 && at < len; run++) {
		size_t best = 0;

		for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
			for (size_t n = 3; at + n <= len; n++)
				if (n > best && within(rows[r], s + at, n))
					best = n;
		if (best == 0)
			return false;
		at += best;
	}
	return at == len;
}

/* A date is eight digits that a calendar knows, in any of the usual orders. */
static bool date(const char *s, size_t len)
{
	int d[8];

	if (len != 8)
		return false;
	for (size_t i = 0; i < 8; i++) {
		if (!isdigit((unsigned char)s[i]))
			return false;
		d[i] = s[i] - '0';
	}
	int head = d[0] * 1000 + d[1] * 100 + d[2] * 10 + d[3], tail = d[4] * 1000 + d[5] * 100 + d[6] * 10 + d[7];

	return (head >= 1900 && head <= 2099) || (tail >= 1900 && tail <= 2099);
}

/* What remains when the address' words are taken out must still be a password. */
static bool personal(const char *lower, size_t len, const char *email)
{
	char local[128];
	size_t n = 0;

	if (!email)
		return false;
	for (; email[n] && email[n] != '@' && n < sizeof(local) - 1; n++)
		local[n] = (char)tolower((unsigned char)email[n]);
	local[n] = '\0';
	if (n < 4)
		return false;
	const char *found = strstr(lower, local);

	return found && len - n < 6;
}

enum password_verdict password_judge(const char *password, const char *email)
{
	char lower[PASSWORD_BYTES + 1];
	size_t len = strlen(password), n = points(password);

	if (n < PASSWORD_MIN)
		return PASSWORD_SHORT;
	if (n > PASSWORD_MAX || len > PASSWORD_BYTES)
		return PASSWORD_LONG;
	for (size_t i = 0; i <= len; i++)
		lower[i] = (unsigned char)password[i] < 0x80 ? (char)tolower((unsigned char)password[i]) : password[i];
	if (len > 64) /* longer than anything on a list */
		return PASSWORD_GOOD;
	if (personal(lower, len, email))
		return PASSWORD_PERSONAL;
	if (repeats(lower, len) || sequence(lower, len) || date(lower, len) || common_core(lower, len))
		return PASSWORD_COMMON;
	return PASSWORD_GOOD;
}

const char *password_reason(enum password_verdict v)
{
	switch (v) {
	case PASSWORD_GOOD:
		return "";
	case PASSWORD_SHORT:
		return "at least 8 characters";
	case PASSWORD_LONG:
		return "at most 256 characters";
	case PASSWORD_COMMON:
		return "too common: it is among the first that are tried";
	case PASSWORD_PERSONAL:
		return "too close to the e-mail address";
	}
	return "";
}
