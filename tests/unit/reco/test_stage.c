/* Stages of a training: taken over whole and for the same work only, whatever lies in the folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "services/reco/gate.h"
#include "services/reco/past.h"

static char dir[] = "/tmp/test_reco_stage.XXXXXX";
static struct arena *a;
static const char *const one[] = { "trn_1", "{}" }, *const other[] = { "trn_1", "{\"ridge\": 2}" };
static const char words[] = "a few words", numbers[40] = { 1, 2, 3 };

static int open_folder(void **state)
{
	(void)state;
	log_init("test", LVL_ERROR);
	a = arena_new("test", 1 << 26);
	return mkdtemp(dir) ? 0 : -1;
}

static int close_folder(void **state)
{
	struct stat st;

	(void)state;
	stages_remove(dir);
	arena_free(a);
	return stat(dir, &st) == 0 ? -1 : 0;
}

static const char *file_of(const char *name)
{
	return arena_printf(a, "%s/%s", dir, name);
}

static bool there(const char *name)
{
	return access(file_of(name), F_OK) == 0;
}

static void keep(const struct stages *s, const char *name)
{
	stage_keep(s, name, (const struct stage_part[]){ { words, sizeof(words) }, { NULL, 0 }, { numbers, sizeof(numbers) } }, 3);
}

static bool take(const struct stages *s, const char *name)
{
	struct stage_part part[3];

	if (!stage_take(s, a, name, part, 3))
		return false;
	assert_int_equal(part[0].n, sizeof(words));
	assert_memory_equal(part[0].p, words, sizeof(words));
	assert_int_equal(part[1].n, 0);
	assert_int_equal(part[2].n, sizeof(numbers));
	assert_memory_equal(part[2].p, numbers, sizeof(numbers));
	assert_int_equal((uintptr_t)part[2].p % 16, 0);
	return true;
}

static void test_taken_over(void **state)
{
	const struct stages *s = stages_open(a, dir, one, 2), *again = stages_open(a, dir, one, 2);

	(void)state;
	assert_false(take(s, "first"));
	keep(s, "first");
	assert_true(take(again, "first"));
	assert_true(take(again, "first"));
	keep(NULL, "none");
	assert_false(take(NULL, "first"));
}

/* Other parameters, another name, another piece of the work, another number of parts: not the same stage. */
static void test_foreign(void **state)
{
	const struct stages *s = stages_open(a, dir, one, 2), *t = stages_open(a, dir, other, 2);
	struct stage_part part[2];

	(void)state;
	keep(s, "first");
	assert_false(take(t, "first"));
	assert_false(there("first")); /* it goes, and is made anew */
	keep(s, "first");
	assert_int_equal(rename(file_of("first"), file_of("second")), 0);
	assert_false(take(s, "second"));
	keep(stages_of(a, s, "twin", "x"), "first");
	assert_true(take(stages_of(a, s, "twin", "x"), "first"));
	assert_false(take(stages_of(a, s, "twin", "y"), "first"));
	keep(s, "first");
	assert_false(stage_take(s, a, "first", part, 2));
}

/* Every byte and every length counts. */
static void test_damaged(void **state)
{
	const struct stages *s = stages_open(a, dir, one, 2);
	struct stat st;
	int n = 0;

	(void)state;
	keep(s, "first");
	assert_int_equal(stat(file_of("first"), &st), 0);
	for (off_t at = 0; at < st.st_size; at++, n++) {
		uint8_t byte;
		int fd;

		keep(s, "first");
		fd = open(file_of("first"), O_RDWR);
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 0x41;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		close(fd);
		/* The filling between the parts says nothing. */
		if (take(s, "first"))
			n--;
	}
	assert_int_equal(n, st.st_size - 4 - 8);
	for (off_t size = 0; size < st.st_size; size += 13) {
		keep(s, "first");
		assert_int_equal(truncate(file_of("first"), size), 0);
		assert_false(take(s, "first"));
	}
	keep(s, "first");
	assert_int_equal(truncate(file_of("first"), st.st_size + 16), 0);
	assert_false(take(s, "first"));
	assert_int_equal(symlink("/etc/hostname", file_of("first")), 0);
	assert_false(take(s, "first"));
}

static void test_dropped(void **state)
{
	const struct stages *s = stages_open(a, dir, one, 2), *twin = stages_of(a, s, "twin", "x");

	(void)state;
	keep(s, "past");
	keep(twin, "past");
	keep(twin, "taste");
	stages_drop(twin);
	assert_true(take(s, "past"));
	assert_false(there("twin-past") || there("twin-taste"));
	stages_remove(dir);
	assert_int_not_equal(access(dir, F_OK), 0);
	keep(s, "past"); /* told in the log, no more */
	assert_false(take(s, "past"));
	stages_remove(dir);
	(void)stages_open(a, dir, one, 2);
	assert_int_equal(access(dir, F_OK), 0);
}

/* What goes through a file is what was there before. */
static void test_past_and_verdict(void **state)
{
	const struct stages *s = stages_open(a, dir, one, 2);
	static const char *const names[] = { "prd_a", "prd_b" };
	struct act acts[] = { { 5, 0, 0, -1, 1, RECO_VIEW, 0 }, { 6, 1, -1, 0, 0, RECO_PURCHASE, 0 } };
	const struct past p = { acts, 2, 2, 1, 1, 2, (const char **)(uintptr_t)names };
	struct gate_result r = { .passed = false, .enough = true, .people = 77, .ndcg = 0.25, .deployed_ndcg = -1,
				 .check = { { "dated", true, 1 }, { "better than popular", false, -0.5 }, { "last", false, 0 } },
				 .n_checks = 3 },
			   back;
	struct past q;

	(void)state;
	r.why = r.check[1].name;
	assert_false(past_take(s, a, &q) || gate_take(s, a, &back));
	past_keep(s, &p);
	past_keep(NULL, &p);
	gate_keep(s, &r);
	assert_true(past_take(s, a, &q));
	assert_int_equal(q.n, 2);
	assert_memory_equal(q.act, acts, sizeof(acts));
	assert_string_equal(q.item[1], "prd_b");
	assert_true(q.people == 2 && q.sessions == 1 && q.baskets == 1 && q.items == 2);
	assert_true(gate_take(s, a, &back));
	assert_string_equal(back.why, "better than popular");
	assert_string_equal(back.check[0].name, "dated");
	assert_true(back.check[0].passed && !back.check[1].passed && back.check[1].value == -0.5);
	assert_true(back.people == 77 && back.ndcg == 0.25 && back.deployed_ndcg == -1 && back.enough && !back.passed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken_over), cmocka_unit_test(test_foreign),  cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_dropped),	   cmocka_unit_test(test_past_and_verdict),
	};

	return cmocka_run_group_tests(tests, open_folder, close_folder);
}
