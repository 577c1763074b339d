/* A look over JSON text before it is parsed: how deep it nests, and which field stands at an offset. */
#include <stdio.h>
#include <string.h>

#include "gateway/json_pb.h"

struct frame {
	size_t key, key_len; /* of the member being read; in an array key_len stays 0 */
	size_t index;
	bool array;
};

struct scan {
	const char *text;
	size_t len, at;
	struct frame stack[JSON_DEPTH_MAX + 1];
	int depth;
	bool want_key;
};

/* at stands on the opening quote; afterwards on the byte behind the closing one, or at the end. */
static void skip_string(struct scan *s, size_t stop, size_t *from, size_t *n)
{
	size_t i = s->at + 1;

	*from = i;
	while (i < stop && s->text[i] != '"')
		i += s->text[i] == '\\' ? 2 : 1;
	if (i > stop)
		i = stop;
	*n = i - *from;
	s->at = i < stop ? i + 1 : i;
}

/* Runs to stop. False when a bracket goes deeper than allowed; at stands on it. */
static bool run(struct scan *s, size_t stop)
{
	while (s->at < stop) {
		char c = s->text[s->at];
		struct frame *top = &s->stack[s->depth];
		size_t from, n;

		if (c == '"') {
			skip_string(s, stop, &from, &n);
			if (s->want_key && !top->array) {
				top->key = from;
				top->key_len = n;
				s->want_key = false;
			}
			continue;
		}
		if (c == '{' || c == '[') {
			if (s->depth == JSON_DEPTH_MAX)
				return false;
			s->stack[++s->depth] = (struct frame){ .array = c == '[' };
			s->want_key = c == '{';
		} else if (c == '}' || c == ']') {
			if (s->depth > 0)
				s->depth--;
			s->want_key = false;
		} else if (c == ',') {
			top->index++;
			s->want_key = !top->array;
		}
		s->at++;
	}
	return true;
}

bool json_depth_ok(const char *text, size_t len, size_t *bad_r)
{
	struct scan s = { .text = text, .len = len };

	if (run(&s, len))
		return true;
	*bad_r = s.at;
	return false;
}

void json_path_at(const char *text, size_t len, size_t offset, char *out, size_t cap)
{
	struct scan s = { .text = text, .len = len };
	size_t n = 0;

	(void)run(&s, offset < len ? offset : len);
	out[0] = '\0';
	for (int i = 1; i <= s.depth && n + 1 < cap; i++) {
		const struct frame *f = &s.stack[i];
		int w = 0;

		if (f->array)
			w = snprintf(out + n, cap - n, "[%zu]", f->index);
		else if (f->key_len)
			w = snprintf(out + n, cap - n, "%s%.*s", n ? "." : "",
				     (int)(f->key_len > 64 ? 64 : f->key_len), text + f->key);
		if (w < 0 || n + (size_t)w >= cap) {
			out[n] = '\0'; /* no half index */
			break;
		}
		n += (size_t)w;
	}
	/* Keys come from outside: whatever is not plain would garble the message. */
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)out[i] < 0x20 || (unsigned char)out[i] > 0x7e)
			out[i] = '?';
	if (!n)
		snprintf(out, cap, "body");
}
