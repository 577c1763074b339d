#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>
#include <pthread.h>

#include "common/metrics.h"

static char *render(void)
{
	static char text[4 << 20];
	struct buf b;

	buf_init(&b, sizeof(text) - 1);
	metrics_render(&b);
	assert_false(buf_over(&b));
	memcpy(text, buf_cstr(&b), b.len + 1);
	buf_free(&b);
	return text;
}

static void has(const char *line)
{
	const char *text = render();

	if (!strstr(text, line))
		fail_msg("no '%s' in\n%s", line, text);
}

static void counters(void **state)
{
	struct metric *m = metric_counter("souk_a_total", "What a counts", "method=\"Get\"");

	(void)state;
	assert_ptr_equal(m, metric_counter("souk_a_total", "What a counts", "method=\"Get\""));
	assert_ptr_not_equal(m, metric_counter("souk_a_total", "What a counts", "method=\"Put\""));
	assert_ptr_not_equal(m, metric_counter("souk_a_total", "What a counts", NULL));
	metric_add(m, 3);
	metric_add(m, 4);
	assert_int_equal(metric_value(m), 7);
	has("# HELP souk_a_total What a counts\n# TYPE souk_a_total counter\nsouk_a_total 0\n"
	    "souk_a_total{method=\"Get\"} 7\nsouk_a_total{method=\"Put\"} 0\n");
	metric_add(NULL, 1);
}

static double forty_two(void *arg)
{
	return *(double *)arg;
}

static void gauges(void **state)
{
	struct metric *m = metric_gauge("souk_depth", "Queue", NULL);
	static double v = 42.5;

	(void)state;
	metric_set(m, 5);
	metric_add(m, -2);
	has("\nsouk_depth 3\n");
	metric_set(m, 0.25);
	has("\nsouk_depth 0.25\n");
	metric_set(m, -0.0);
	has("\nsouk_depth 0\n");
	metric_set(m, INFINITY);
	has("\nsouk_depth +Inf\n");
	metric_set(m, 1e300);
	has("\nsouk_depth 1e+300\n");
	metric_set(m, 1);
	has("\nsouk_depth 1\n");
	metric_set(NULL, 1);
	metric_gauge_fn("souk_asked", "Asked", NULL, forty_two, &v);
	has("\nsouk_asked 42.5\n");
	metric_gauge_fn_drop(forty_two, &v);
	v = 1;
	has("\nsouk_asked 0\n");
}

static void histograms(void **state)
{
	struct metric *m = metric_histogram("souk_t_seconds", "Time", "method=\"Get\"");

	(void)state;
	metric_observe(m, 0.001); /* a bound belongs to its bucket */
	metric_observe(m, 0.0011);
	metric_observe(m, 99);
	metric_observe(m, -1);
	metric_observe(m, NAN);
	metric_observe(NULL, 1);
	metric_observe(metric_counter("souk_a_total", "", NULL), 1);
	assert_int_equal(metric_value(m), 3);
	has("# TYPE souk_t_seconds histogram\nsouk_t_seconds_bucket{method=\"Get\",le=\"0.001\"} 1\n"
	    "souk_t_seconds_bucket{method=\"Get\",le=\"0.0025\"} 2\n");
	has("souk_t_seconds_bucket{method=\"Get\",le=\"10\"} 2\nsouk_t_seconds_bucket{method=\"Get\",le=\"+Inf\"} 3\n"
	    "souk_t_seconds_sum{method=\"Get\"} 99.0021\nsouk_t_seconds_count{method=\"Get\"} 3\n");
	metric_observe(metric_histogram("souk_u_seconds", "Time", NULL), 1e300);
	has("souk_u_seconds_bucket{le=\"+Inf\"} 1\n");
}

static void labels(void **state)
{
	char out[64], small[12];

	(void)state;
	assert_string_equal(metric_labels(out, sizeof(out), "method", "Get", "code", "OK", NULL), "method=\"Get\",code=\"OK\"");
	assert_string_equal(metric_labels(out, sizeof(out), "m", "a\"b\\c\nd", NULL), "m=\"a\\\"b\\\\c\\nd\"");
	assert_string_equal(metric_labels(out, sizeof(out), NULL), "");
	assert_string_equal(metric_labels(small, sizeof(small), "m", "0123456789", "n", "x", NULL), "m=\"012345\"");
	assert_true(strlen(metric_labels(small, sizeof(small), "method", "\"\"\"\"\"", NULL)) < sizeof(small));
	small[0] = 'q';
	(void)metric_labels(small, 0, "a", "b", NULL);
	assert_int_equal(small[0], 'q');
}

/* Every line is a comment or `name{labels} number`, each name has its TYPE before it and only once. */
static void format(void **state)
{
	char *text = render(), *line, *save = NULL;

	(void)state;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *space = strrchr(line, ' ');
		char *end;

		if (strncmp(line, "# HELP ", 7) == 0 || strncmp(line, "# TYPE ", 7) == 0)
			continue;
		assert_non_null(space);
		assert_true(line[0] >= 'a' && line[0] <= 'z');
		(void)strtod(space + 1, &end);
		assert_int_equal(*end, '\0');
	}
	has("\nprocess_resident_memory_bytes ");
	has("\nsouk_process_pss_bytes ");
	has("\nsouk_process_threads ");
	has("\nprocess_open_fds ");
	has("\nprocess_cpu_seconds_total ");
}

static void *hammer(void *arg)
{
	char name[20];

	for (int i = 0; i < 20000; i++) {
		metric_add(arg, 1);
		if (i % 100 == 0) {
			(void)snprintf(name, sizeof(name), "i=\"%d\"", i / 1000);
			metric_add(metric_counter("souk_race_total", "Race", name), 1);
		}
	}
	return NULL;
}

static void threads_lose_nothing(void **state)
{
	struct metric *m = metric_counter("souk_hammer_total", "Hammered", NULL);
	pthread_t t[4];
	int64_t sum = 0;
	char name[20];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, hammer, m), 0);
	(void)render();
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	assert_int_equal(metric_value(m), 80000);
	for (int i = 0; i < 20; i++) {
		(void)snprintf(name, sizeof(name), "i=\"%d\"", i);
		sum += metric_value(metric_counter("souk_race_total", "Race", name));
	}
	assert_int_equal(sum, 800);
}

/* Last: it fills the table. */
static void series_are_bounded(void **state)
{
	char label[40];
	struct metric *m;

	(void)state;
	for (int i = 0; i < METRICS_MAX + 500; i++) {
		(void)snprintf(label, sizeof(label), "i=\"%d\"", i);
		m = metric_histogram("souk_flood_seconds", "Flood", label);
		metric_observe(m, 1);
	}
	m = metric_counter("souk_late_total", "Too late", NULL);
	metric_add(m, 1); /* goes nowhere, harms nothing */
	assert_null(strstr(render(), "souk_late_total"));
	assert_null(strstr(render(), "souk_metrics_dropped_total 0\n"));
	assert_ptr_equal(metric_gauge("souk_a_total", "another kind", NULL), metric_gauge("souk_zzz", "", NULL));
	metric_gauge_fn("souk_late_fn", "", NULL, forty_two, NULL); /* never called: arg would crash */
	(void)render();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counters),	   cmocka_unit_test(gauges),
		cmocka_unit_test(histograms),	   cmocka_unit_test(labels),
		cmocka_unit_test(format),	   cmocka_unit_test(threads_lose_nothing),
		cmocka_unit_test(series_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
