#include "services/search/token.h"

#include <libstemmer.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

enum kind { K_SPACE, K_LETTER, K_DIGIT, K_JOIN, K_QUOTE, K_IDEOGRAPH };

/* U+00C0 to U+017F without their accents. */
static const char *const folded[] = {
	"a", "a", "a", "a", "a", "a", "ae", "c", "e", "e", "e", "e", "i", "i", "i", "i",
	"d", "n", "o", "o", "o", "o", "o", "", "o", "u", "u", "u", "u", "y", "th", "ss",
	"a", "a", "a", "a", "a", "a", "ae", "c", "e", "e", "e", "e", "i", "i", "i", "i",
	"d", "n", "o", "o", "o", "o", "o", "", "o", "u", "u", "u", "u", "y", "th", "y",
	"a", "a", "a", "a", "a", "a", "c", "c", "c", "c", "c", "c", "c", "c", "d", "d",
	"d", "d", "e", "e", "e", "e", "e", "e", "e", "e", "e", "e", "g", "g", "g", "g",
	"g", "g", "g", "g", "h", "h", "h", "h", "i", "i", "i", "i", "i", "i", "i", "i",
	"i", "i", "ij", "ij", "j", "j", "k", "k", "k", "l", "l", "l", "l", "l", "l", "l",
	"l", "l", "l", "n", "n", "n", "n", "n", "n", "n", "n", "n", "o", "o", "o", "o",
	"o", "o", "oe", "oe", "r", "r", "r", "r", "r", "r", "s", "s", "s", "s", "s", "s",
	"s", "s", "t", "t", "t", "t", "t", "t", "u", "u", "u", "u", "u", "u", "u", "u",
	"u", "u", "u", "u", "w", "w", "y", "y", "y", "z", "z", "z", "z", "z", "z", "s",
};

static uint32_t decode(const char *s, size_t n)
{
	const uint8_t *p = (const uint8_t *)s;

	switch (n) {
	case 1: return p[0];
	case 2: return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
	case 3: return (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
	default: return (p[0] & 7u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
	}
}

static size_t encode(uint32_t c, char out[5])
{
	size_t n = 0;

	if (c < 0x80) {
		out[n++] = (char)c;
	} else if (c < 0x800) {
		out[n++] = (char)(0xc0 | c >> 6);
		out[n++] = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		out[n++] = (char)(0xe0 | c >> 12);
		out[n++] = (char)(0x80 | (c >> 6 & 0x3f));
		out[n++] = (char)(0x80 | (c & 0x3f));
	} else {
		out[n++] = (char)(0xf0 | c >> 18);
		out[n++] = (char)(0x80 | (c >> 12 & 0x3f));
		out[n++] = (char)(0x80 | (c >> 6 & 0x3f));
		out[n++] = (char)(0x80 | (c & 0x3f));
	}
	out[n] = '\0';
	return n;
}

static bool is_separator(uint32_t c)
{
	return c < 0xc0 || c == 0xd7 || c == 0xf7 || (c >= 0x2000 && c < 0x2c00) || (c >= 0x2e00 && c < 0x2e80) ||
	       (c >= 0x3000 && c < 0x3005) || (c >= 0x3008 && c < 0x3040) || (c >= 0xd800 && c < 0xf900) ||
	       (c >= 0xfe00 && c < 0xfe70) || (c >= 0xff00 && c < 0xff10) || (c >= 0xfff0 && c < 0x10000) ||
	       (c >= 0x1f000 && c < 0x20000) || c >= 0xe0000;
}

/* Without a table of all of Unicode: Greek, Cyrillic and full-width forms are made small too. */
static uint32_t small_letter(uint32_t c)
{
	if ((c >= 0x391 && c <= 0x3a9) || (c >= 0x410 && c <= 0x42f) || (c >= 0xff21 && c <= 0xff3a))
		c += 0x20;
	else if (c >= 0x400 && c <= 0x40f)
		c += 0x50;
	if (c >= 0xff10 && c <= 0xff5a)
		c -= 0xfee0;
	return c;
}

/* The character at s, its bytes in n_r, its folded form in out. */
static enum kind classify(const char *s, size_t *n_r, char out[5])
{
	size_t left = strnlen(s, 4), n = utf8_char(s, left);
	uint32_t c;

	*n_r = n ? n : 1;
	out[0] = '\0';
	if (!n)
		return K_SPACE;
	c = decode(s, n);
	if (c < 0x80) {
		out[0] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
		out[1] = '\0';
		if (c >= '0' && c <= '9')
			return K_DIGIT;
		if (out[0] >= 'a' && out[0] <= 'z')
			return K_LETTER;
		if (c == '\'')
			return K_QUOTE;
		return c == '-' || c == '.' || c == '/' || c == '_' || c == ',' ? K_JOIN : K_SPACE;
	}
	if (c == 0x2019)
		return K_QUOTE;
	if (c == 0x2010 || c == 0x2011)
		return out[0] = '-', out[1] = '\0', K_JOIN;
	if (c >= 0xc0 && c < 0x180) {
		const char *f = folded[c - 0xc0];

		if (!*f)
			return K_SPACE;
		memcpy(out, f, strlen(f) + 1);
		return K_LETTER;
	}
	if (is_separator(c))
		return K_SPACE;
	c = small_letter(c);
	(void)encode(c, out);
	if (c >= '0' && c <= '9')
		return K_DIGIT;
	return (c >= 0x3040 && c < 0xa4d0) || (c >= 0xf900 && c < 0xfb00) || (c >= 0x20000 && c < 0x30000) ? K_IDEOGRAPH :
														   K_LETTER;
}

void tokens_start(struct tokens *t, const char *utf8)
{
	*t = (struct tokens){ .text = utf8, .begin = utf8 };
}

static bool put(struct token *tok, const char *s)
{
	size_t have = strlen(tok->text), n = strlen(s);

	if (have + n > TOKEN_MAX)
		return false;
	memcpy(tok->text + have, s, n + 1);
	return true;
}

static void add_part(struct tokens *t, const struct token *tok)
{
	if (t->run_parts == 0) {
		t->run = *tok;
	} else {
		t->run_over |= !put(&t->run, tok->text);
		t->run.end = tok->end;
		t->run.digits |= tok->digits;
		t->run.letters |= tok->letters;
	}
	t->run_parts++;
}

static bool take_joined(struct tokens *t, struct token *tok_r)
{
	bool good = t->flush && t->run_parts > 1 && t->run_parts <= 4 && !t->run_over && t->run.letters;

	if (good) {
		*tok_r = t->run;
		tok_r->joined = true;
		tok_r->parts = t->run_parts;
	}
	t->flush = false;
	t->run_parts = 0;
	t->run_over = false;
	return good;
}

/* 2.5 and 1,000: a point or comma between digits belongs to the number; a comma is dropped. */
static bool number_goes_on(const struct token *tok, const char *at, const char *sign)
{
	return tok->digits && !tok->letters && (*sign == '.' || *sign == ',') && at[1] >= '0' && at[1] <= '9';
}

bool tokens_next(struct tokens *t, struct token *tok_r)
{
	struct token tok = { 0 };
	char f[5];
	size_t n;

	if (t->flush && take_joined(t, tok_r))
		return true;
	while (*t->text) {
		enum kind k = classify(t->text, &n, f);
		bool empty = tok.text[0] == '\0';

		if (k == K_LETTER || k == K_DIGIT) {
			if (empty)
				tok.start = (size_t)(t->text - t->begin);
			(void)put(&tok, f);
			tok.digits |= k == K_DIGIT;
			tok.letters |= k == K_LETTER;
		} else if (k == K_IDEOGRAPH && empty) {
			tok.start = (size_t)(t->text - t->begin);
			(void)put(&tok, f);
			tok.letters = true;
			t->text += n;
			break;
		} else if (!empty && k == K_JOIN && number_goes_on(&tok, t->text, f)) {
			if (*f == '.')
				(void)put(&tok, f);
		} else if (!empty && k == K_QUOTE) {
			/* men's is mens */
		} else if (!empty) {
			break;
		} else if (t->run_parts && !(k == K_JOIN && t->text[-1] != ' ')) {
			t->flush = true;
			t->text += n;
			if (take_joined(t, tok_r))
				return true;
			continue;
		}
		t->text += n;
		if (tok.text[0])
			tok.end = (size_t)(t->text - t->begin);
	}
	if (!tok.text[0]) {
		t->flush = t->run_parts > 0;
		return t->flush && take_joined(t, tok_r);
	}
	tok.end = tok.end ? tok.end : (size_t)(t->text - t->begin);
	add_part(t, &tok);
	if (!*t->text || classify(t->text, &n, f) != K_JOIN || *f == ',')
		t->flush = true;
	*tok_r = tok;
	return true;
}

struct stemmer {
	struct sb_stemmer *sb;
};

struct stemmer *stemmer_open(const char *lang)
{
	struct stemmer *s = malloc(sizeof(*s));

	if (s)
		s->sb = sb_stemmer_new(lang, "UTF_8");
	return s;
}

void stemmer_close(struct stemmer *s)
{
	if (s && s->sb)
		sb_stemmer_delete(s->sb);
	free(s);
}

void stemmer_stem(struct stemmer *s, const char *word, char out_r[TOKEN_MAX + 1])
{
	size_t n = strlen(word);
	const char *from = word;

	if (s && s->sb && !strpbrk(word, "0123456789")) {
		const sb_symbol *stem = sb_stemmer_stem(s->sb, (const sb_symbol *)word, (int)n);
		int len = stem ? sb_stemmer_length(s->sb) : 0;

		if (len > 0 && len <= TOKEN_MAX) {
			from = (const char *)stem;
			n = (size_t)len;
		}
	}
	memcpy(out_r, from, n);
	out_r[n] = '\0';
}

bool token_is_stop(const char *lang, const char *word)
{
	static const struct {
		const char *lang, *words;
	} lists[] = {
		{ "en", " a an and are as at be by for from in is it of on or that the this to with without " },
		{ "de", " als am an auf aus bei das dem den der des die ein eine einem einen einer fur im in ist mit oder "
			"ohne und von zu zum zur " },
		{ "fr", " a au aux avec dans de des du en et la le les ou par pour sans sur un une " },
		{ "es", " a al con de del el en es la las los o para por sin un una y " },
	};
	char padded[TOKEN_MAX + 3];
	size_t n = strlen(word);

	padded[0] = ' ';
	memcpy(padded + 1, word, n);
	memcpy(padded + 1 + n, " ", 2);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (strcmp(lists[i].lang, lang) == 0)
			return strstr(lists[i].words, padded) != NULL;
	return false;
}
