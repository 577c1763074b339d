/*
 * Configuration: one table per process. A value comes from the environment, else from NAME_FILE (a file, for secrets), else
 * from --config FILE (KEY=VALUE lines), else from the table.
 */
#ifndef SOUK_CONF_H
#define SOUK_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

enum conf_type { CONF_TEXT, CONF_INT, CONF_I64, CONF_BOOL };
enum conf_flags { CONF_REQUIRED = 1, CONF_SECRET = 2 };

struct conf_key {
	const char *env, *def;	/* def NULL: empty text, 0, false */
	enum conf_type type;
	size_t offset;
	int64_t min, max;	/* numbers: bounds when not both 0; texts: max length when not 0 */
	unsigned flags;
	const char *help;
};

#define CONF_TYPE_OF(x)                                                                            \
	_Generic((x), char *: CONF_TEXT, const char *: CONF_TEXT, int: CONF_INT,                  \
		 int64_t: CONF_I64, bool: CONF_BOOL)
#define CONF(s, member, env, def, min, max, flags, help)                                           \
	{ env, def, CONF_TYPE_OF(((struct s *)0)->member), offsetof(struct s, member), min, max, flags, help }
#define CONF_END { NULL, NULL, CONF_TEXT, 0, 0, 0, 0, NULL }

/* Fills the struct; texts live as long as the process. An error names the variable, the value (not of a secret), the bounds. */
MUST_CHECK enum err_code conf_load(const struct conf_key *keys, void *conf, struct err *e);
void conf_set_file(const char *path); /* --config, set by daemon_init before conf_load */
void conf_print(const struct conf_key *keys, const void *conf); /* NAME=value, secrets masked; or Markdown when asked by the flag */
void conf_print_markdown(const struct conf_key *keys, const char *service);

#endif
