/* What must be true of the books (invariants.sql), asked of a fixture's database. */
#ifndef SOUK_TEST_INVARIANTS_H
#define SOUK_TEST_INVARIANTS_H

#include <stdbool.h>

#include "tests/support/pg_fixture.h"

/*
 * Those that need no other schema than this one; at_rest: also those that hold only when nothing is under way. The first
 * that is broken, in words with rows that break it, or "" when all hold. Valid until the next call.
 */
const char *invariants_broken(struct pg_fixture *, const char *schema, bool at_rest);
/* How many of them there are, so that a test can tell that it asked something. */
int invariants_asked(const char *schema, bool at_rest);

#endif
