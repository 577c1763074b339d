/*
 * Configuration files of any bytes: read or refused with a printable sentence that never shows a secret. The input is
 * the file; one key is a secret, whose value must not appear in the message.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/check.h"
#include "common/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fconf {
	const char *name, *secret, *mode;
	int count;
	int64_t big;
	bool flag;
};
static const struct conf_key keys[] = {
	CONF(fconf, name, "A_NAME", "x", 1, 20, CONF_REQUIRED, "a name"),
	CONF(fconf, secret, "A_SECRET", NULL, 5, 40, CONF_SECRET, "a secret"),
	CONF_ENUM(fconf, mode, "A_MODE", "one", "one|two", 0, "a mode"),
	CONF(fconf, count, "A_COUNT", "8", 1, 256, 0, "a count"),
	CONF(fconf, big, "A_BIG", NULL, 0, 0, 0, "a number"),
	CONF(fconf, flag, "A_FLAG", "true", 0, 0, 0, "a switch"),
	CONF_END,
};

static void need(bool ok)
{
	if (!ok)
		abort();
}

/* The value of A_SECRET and nowhere else, so that it has no other way into a message. */
static bool only_as_secret(const uint8_t *data, size_t size)
{
	const uint8_t *at = memmem(data, size, "A_SECRET=hunter2secret", 22);
	size_t after = at ? (size_t)(at + 22 - data) : 0;

	return at && (at == data || at[-1] == '\n') && !memmem(data, (size_t)(at - data) + 21, "hunter2secret", 13) &&
	       !memmem(data + after, size - after, "hunter2secret", 13);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fconf c = { 0 };
	struct err e = { 0 };
	char path[40];
	int fd = memfd_create("conf", MFD_CLOEXEC);

	/* A line may name any file by KEY_FILE; the fuzzer must not read around in this machine. */
	if (memmem(data, size, "_FILE", 5) || fd < 0) {
		if (fd >= 0)
			(void)close(fd);
		return 0;
	}
	need(write(fd, data, size) == (ssize_t)size);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	conf_set_file(path);
	if (conf_load(keys, &c, &e) == OK) {
		need(c.name && *c.name && strlen(c.name) <= 20 && c.count >= 1 && c.count <= 256);
		need(strcmp(c.mode, "one") == 0 || strcmp(c.mode, "two") == 0);
	} else {
		need(e.code == E_INVALID && text_clean(e.msg, strlen(e.msg)));
		need(!only_as_secret(data, size) || !strstr(e.msg, "hunter2secret"));
	}
	(void)close(fd);
	conf_release();
	return 0;
}
