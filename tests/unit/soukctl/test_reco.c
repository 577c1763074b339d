/* Lines of CSV and TSV as soukctl reco import reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "deploy/soukctl/soukctl.h"

static const char *fields(const char *line, char sep)
{
	static char all[256];
	const char *p = line, *end = line + strlen(line);
	bool last = false;
	char one[16];

	all[0] = '\0';
	for (size_t n = 0; !last; n++) {
		if (!reco_next_field(&p, end, sep, one, sizeof(one), &last))
			return "broken";
		strncat(all, n ? "|" : "", sizeof(all) - strlen(all) - 1);
		strncat(all, one, sizeof(all) - strlen(all) - 1);
	}
	return all;
}

static void splits(void **state)
{
	(void)state;
	assert_string_equal(fields("a,b,c", ','), "a|b|c");
	assert_string_equal(fields("a,,", ','), "a||");
	assert_string_equal(fields("", ','), "");
	assert_string_equal(fields("\"a,b\",\"say \"\"x\"\"\"", ','), "a,b|say \"x\"");
	assert_string_equal(fields("\"\",b", ','), "|b");
	assert_string_equal(fields("a\t\"b\"\tc,d", '\t'), "a|\"b\"|c,d");
}

static void refuses(void **state)
{
	(void)state;
	assert_string_equal(fields("0123456789012345,b", ','), "broken");
	assert_string_equal(fields("\"a\"b,c", ','), "broken");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(splits), cmocka_unit_test(refuses) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
