/*
 * Cursors from strangers: refused unless they are one of ours; and what we write of any fields reads back the same.
 * Byte 0: bit 0 picks. Text fields are cut out of the input.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
	if (!ok)
		abort();
}

static void stranger(struct arena *a, const char *text)
{
	struct cursor c;
	struct err e = { 0 };

	if (cursor_read(a, text, "f", "iti", &c, &e) == OK)
		need(!*text && c.n == 0);
	else
		need(err_is(&e, "common.cursor_invalid"));
}

static void our_own(struct arena *a, const char *text)
{
	struct cursor c;
	int64_t n = 0;
	const char *written;

	memcpy(&n, text, strnlen(text, sizeof(n)));
	written = cursor_write(a, text, "tit", text, n, "");
	need(cursor_read(a, written, text, "tit", &c, NULL) == OK && c.n == 3 && c.field[1].i == n);
	need(strncmp(c.field[0].text, text, strlen(c.field[0].text)) == 0);
	need(strlen(text) > CURSOR_TEXT_MAX || strcmp(c.field[0].text, text) == 0);
	need(cursor_read(a, written, arena_printf(a, "%s!", text), "tit", &c, NULL) == E_INVALID);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct key32 key = { { 1 } };
	struct arena *a;

	if (size == 0)
		return 0;
	cursor_use_key(&key);
	a = arena_new("fuzz", 1 << 20);
	if (data[0] & 1)
		stranger(a, arena_strndup(a, (const char *)data + 1, size - 1));
	else
		our_own(a, arena_strndup(a, (const char *)data + 1, size - 1));
	arena_free(a);
	return 0;
}
