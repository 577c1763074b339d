#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/daemon.h"

struct tconf {
	const char *name, *secret, *mode, *need;
	int count;
	int64_t big;
	bool flag;
};

static const struct conf_key keys[] = {
	CONF(tconf, name, "T_NAME", "souk", 0, 20, 0, "a name"),
	CONF(tconf, secret, "T_SECRET", NULL, 0, 40, CONF_SECRET, "a secret"),
	CONF_ENUM(tconf, mode, "T_MODE", "none", "none|transaction", 0, "a | mode"),
	CONF(tconf, need, "T_NEED", NULL, 0, 0, CONF_REQUIRED, "something needed"),
	CONF(tconf, count, "T_COUNT", "8", 1, 256, 0, "a count"),
	CONF(tconf, big, "T_BIG", "5000000000", 0, 0, 0, "a big number"),
	CONF(tconf, flag, "T_FLAG", "true", 0, 0, 0, "a switch"),
	CONF_END,
};
static const char *const names[] = { "T_NAME", "T_SECRET", "T_MODE", "T_NEED", "T_COUNT", "T_BIG", "T_FLAG" };

static char dir[] = "/tmp/souk-conf-XXXXXX";
static struct tconf conf;
static struct err e;

static int setup_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

static int fresh(void **state)
{
	char file[40];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(file, sizeof(file), "%s_FILE", names[i]);
		(void)unsetenv(names[i]);
		(void)unsetenv(file);
	}
	(void)setenv("T_NEED", "here", 1);
	conf_set_file(NULL);
	conf_set_print(false, false);
	memset(&conf, 0x55, sizeof(conf));
	err_clear(&e);
	return 0;
}

static int done(void **state)
{
	(void)state;
	conf_release();
	return 0;
}

static const char *file(const char *name, const void *content, size_t n)
{
	static char path[200];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(content, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	return path;
}

static void refused(const char *says)
{
	assert_int_equal(conf_load(keys, &conf, &e), E_INVALID);
	assert_string_equal(e.slug, "conf.invalid");
	if (!strstr(e.msg, says))
		fail_msg("'%s' does not say '%s'", e.msg, says);
}

static void defaults(void **state)
{
	(void)state;
	assert_int_equal(conf_load(keys, &conf, &e), OK);
	assert_string_equal(conf.name, "souk");
	assert_null(conf.secret);
	assert_string_equal(conf.mode, "none");
	assert_string_equal(conf.need, "here");
	assert_int_equal(conf.count, 8);
	assert_true(conf.big == 5000000000LL);
	assert_true(conf.flag);
}

static void environment(void **state)
{
	(void)state;
	(void)setenv("T_NAME", "", 1); /* empty is a value for text … */
	(void)setenv("T_COUNT", "", 1); /* … and none for numbers */
	(void)setenv("T_BIG", "-9223372036854775808", 1);
	(void)setenv("T_FLAG", "Off", 1);
	(void)setenv("T_MODE", "transaction", 1);
	(void)setenv("T_SECRET", "x=y z", 1);
	assert_int_equal(conf_load(keys, &conf, &e), OK);
	assert_string_equal(conf.name, "");
	assert_int_equal(conf.count, 8);
	assert_true(conf.big == INT64_MIN);
	assert_false(conf.flag);
	assert_string_equal(conf.mode, "transaction");
	assert_string_equal(conf.secret, "x=y z");
}

static void bad_values_are_named(void **state)
{
	static const struct {
		const char *env, *value, *says;
	} bad[] = {
		{ "T_COUNT", "0", "T_COUNT=0 is not allowed: it must be a whole number from 1 to 256" },
		{ "T_COUNT", "257", "T_COUNT=257" },
		{ "T_COUNT", "9999999999", "from 1 to 256" },
		{ "T_COUNT", "99999999999999999999999", "from 1 to 256" },
		{ "T_COUNT", "8x", "T_COUNT=8x" },
		{ "T_COUNT", " 8", "T_COUNT= 8" },
		{ "T_COUNT", "+8", "T_COUNT" },
		{ "T_COUNT", "0x8", "T_COUNT" },
		{ "T_COUNT", "-", "T_COUNT" },
		{ "T_COUNT", "1e3", "T_COUNT" },
		{ "T_BIG", "9223372036854775808", "T_BIG" },
		{ "T_FLAG", "maybe", "T_FLAG=maybe is not allowed: it must be true or false" },
		{ "T_MODE", "session", "one of none|transaction" },
		{ "T_MODE", "", "T_MODE" },
		{ "T_NAME", "123456789012345678901", "0 to 20 bytes" },
		{ "T_NAME", "a\nb", "control characters" },
		{ "T_NAME", "\xff", "T_NAME" },
		{ "T_NEED", "", "T_NEED is required (something needed)" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		(void)fresh(NULL);
		(void)setenv(bad[i].env, bad[i].value, 1);
		refused(bad[i].says);
	}
	(void)fresh(NULL);
	(void)unsetenv("T_NEED");
	refused("T_NEED is required");
}

static void secrets_come_from_files(void **state)
{
	const char *path = file("s", "top secret\r\n", 12);

	(void)state;
	(void)setenv("T_SECRET_FILE", path, 1);
	assert_int_equal(conf_load(keys, &conf, &e), OK);
	assert_string_equal(conf.secret, "top secret");
	(void)setenv("T_SECRET", "both", 1);
	refused("T_SECRET and T_SECRET_FILE are both given");
	(void)unsetenv("T_SECRET");
	(void)file("s", "a\n\n", 3); /* one line end goes, not two: then it is no single line */
	refused("T_SECRET");
	assert_null(strstr(e.msg, "a\n"));
	(void)file("s", "sec\0ret", 7);
	refused("NUL");
	(void)file("s", "", 0);
	assert_int_equal(conf_load(keys, &conf, &e), OK);
	assert_string_equal(conf.secret, "");
	(void)unlink(path);
	refused("T_SECRET_FILE: ");
	(void)setenv("T_SECRET_FILE", dir, 1); /* a folder */
	refused("T_SECRET_FILE: ");
	{
		char *big = calloc(1, 70000);

		memset(big, 'x', 70000);
		path = file("s", big, 70000);
		free(big);
	}
	(void)setenv("T_SECRET_FILE", path, 1);
	refused("larger than 65536");
	(void)setenv("T_COUNT_FILE", file("s", "17\n", 3), 1);
	(void)unsetenv("T_SECRET_FILE");
	assert_int_equal(conf_load(keys, &conf, &e), OK);
	assert_int_equal(conf.count, 17);
	(void)unlink(path);
}

static void config_file(void **state)
{
	static const char text[] = "# comment\n\n T_NAME = from file \nT_COUNT=9\r\nT_SECRET=a=b\nT_NEED=file\nT_FLAG=no";
	const char *path = file("c", text, sizeof(text) - 1);

	(void)state;
	conf_set_file(path);
	(void)setenv("T_COUNT", "10", 1); /* the environment is stronger */
	assert_int_equal(conf_load(keys, &conf, &e), OK);
	assert_string_equal(conf.name, "from file");
	assert_int_equal(conf.count, 10);
	assert_string_equal(conf.secret, "a=b");
	assert_string_equal(conf.need, "here");
	assert_false(conf.flag);
	(void)unlink(path);
}

static void bad_config_files(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "T_NMAE=x\n", "line 1: unknown key T_NMAE" },
		{ "T_NAME=a\nT_NAME=b\n", "line 2: T_NAME is given twice" },
		{ "T_NAME=a\n\nhunter2\n", "line 3 is not KEY=VALUE" },
		{ "=x\n", "unknown key" },
		{ "T_NAME_FILES=x\n", "unknown key T_NAME_FILES" },
		{ "\xff\x01=x\n", "(not printable)" },
		{ "T_COUNT=many", "T_COUNT=many" },
	};
	const char *path = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		path = file("c", bad[i].text, strlen(bad[i].text));
		conf_set_file(path);
		refused(bad[i].says);
		assert_null(strstr(e.msg, "hunter2"));
	}
	(void)unlink(path);
	refused("No such file");
}

static void secrets_are_never_in_errors(void **state)
{
	(void)state;
	(void)setenv("T_SECRET", "hunter2\x01", 1);
	refused("T_SECRET");
	assert_null(strstr(e.msg, "hunter2"));
	(void)setenv("T_SECRET", "hunter2 and then more than forty characters of it", 1);
	refused("T_SECRET: the value given is not allowed: it must be 0 to 40 bytes long");
	assert_null(strstr(e.msg, "hunter2"));
}

/* What a function prints on stdout. */
static char *printed(void (*fn)(void))
{
	static char text[8192];
	int out = dup(1);
	FILE *t = tmpfile();
	size_t n;

	assert_non_null(t);
	(void)fflush(stdout);
	assert_true(dup2(fileno(t), 1) == 1);
	fn();
	(void)fflush(stdout);
	assert_true(dup2(out, 1) == 1);
	(void)close(out);
	rewind(t);
	n = fread(text, 1, sizeof(text) - 1, t);
	text[n] = '\0';
	(void)fclose(t);
	return text;
}

static void print(void)
{
	conf_print(keys, &conf);
}

static void printing(void **state)
{
	const char *text;

	(void)state;
	(void)setenv("T_SECRET", "hunter2", 1);
	assert_int_equal(conf_load(keys, &conf, &e), OK);
	text = printed(print);
	assert_non_null(strstr(text, "T_NAME=souk\n"));
	assert_non_null(strstr(text, "T_SECRET=***\n"));
	assert_non_null(strstr(text, "T_BIG=5000000000\n"));
	assert_non_null(strstr(text, "T_FLAG=true\n"));
	assert_null(strstr(text, "hunter2"));
}

static void printing_markdown_needs_no_values(void **state)
{
	const char *text;

	(void)state;
	(void)unsetenv("T_NEED");
	conf_set_print(true, true);
	assert_int_equal(conf_load(keys, &conf, &e), OK);
	text = printed(print);
	assert_non_null(strstr(text, "| `T_NEED` | *required* | text | something needed |\n"));
	assert_non_null(strstr(text, "| `T_COUNT` | `8` | 1 to 256 | a count |\n"));
	assert_non_null(strstr(text, "| `T_SECRET` | (empty) | 0 to 40 bytes | a secret (secret) |\n"));
	assert_non_null(strstr(text, "none\\|transaction"));
	assert_non_null(strstr(text, "a \\| mode"));
}

struct dconf {
	struct daemon_conf d;
	int own;
};

static void daemon_keys_fit(void **state)
{
	static const struct conf_key dk[] = {
		DAEMON_KEYS(dconf, "TST", "7004", "7104", "7204"),
		CONF(dconf, own, "TST_OWN", "3", 0, 9, 0, "own"),
		CONF_END,
	};
	struct dconf d;

	(void)state;
	(void)setenv("TST_PG_DSN", "host=x", 1);
	(void)setenv("SOUK_KEYS_DIR", "/keys", 1);
	assert_int_equal(conf_load(dk, &d, &e), OK);
	assert_string_equal(d.d.listen, "tcp://127.0.0.1:7004");
	assert_string_equal(d.d.bell_listen, "tcp://127.0.0.1:7104");
	assert_string_equal(d.d.admin_listen, "127.0.0.1:7204");
	assert_string_equal(daemon_migrate_dsn(&d.d), "host=x");
	assert_int_equal(d.d.contexts, 64);
	assert_int_equal(d.own, 3);
	(void)setenv("TST_PG_MIGRATE_DSN", "host=y", 1);
	assert_int_equal(conf_load(dk, &d, &e), OK);
	assert_string_equal(daemon_migrate_dsn(&d.d), "host=y");
	(void)unsetenv("TST_PG_MIGRATE_DSN");
	(void)unsetenv("SOUK_KEYS_DIR");
}

#define T(f) cmocka_unit_test_setup_teardown(f, fresh, done)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(defaults),
		T(environment),
		T(bad_values_are_named),
		T(secrets_come_from_files),
		T(config_file),
		T(bad_config_files),
		T(secrets_are_never_in_errors),
		T(printing),
		T(printing_markdown_needs_no_values),
		T(daemon_keys_fit),
	};

	return cmocka_run_group_tests(tests, setup_dir, remove_dir);
}
