/* The method tables serve every rpc of the proto exactly once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "services/identity/identity.h"

static void test_bind(void **state)
{
	struct rpc_bound *bound = NULL;
	struct err e = { 0 };

	(void)state;
	if (rpc_bind(identity_services, &bound, &e))
		fail_msg("%s", e.msg);
	rpc_bound_free(bound);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_bind) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
