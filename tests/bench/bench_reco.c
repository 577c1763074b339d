/* Quality of the recommendation models on data in files: bench_reco pairs TRAIN TEST | orders FILE DAYS | sessions FILE */
#include <stdlib.h>
#include <string.h>

#include "services/reco/offline.h"

static int setting(const char *name, int standard)
{
	const char *v = getenv(name);

	return v && *v ? (int)strtol(v, NULL, 10) : standard;
}

int main(int argc, char **argv)
{
	struct offline o = { .out = stdout, .threads = setting("RECO_THREADS", 2), .factors = setting("RECO_FACTORS", 512),
			     .sweeps = setting("RECO_SWEEPS", 12), .seed = 1, .run_file = getenv("RECO_RUN") };
	struct err e = { 0 };

	if (argc == 4 && strcmp(argv[1], "pairs") == 0) {
		(void)!offline_pairs(&o, argv[2], argv[3], &e);
	} else if (argc == 4 && strcmp(argv[1], "orders") == 0) {
		(void)!offline_orders(&o, argv[2], (int)strtol(argv[3], NULL, 10), &e);
	} else if (argc == 3 && strcmp(argv[1], "sessions") == 0) {
		(void)!offline_sessions(&o, argv[2], &e);
	} else {
		fprintf(stderr, "usage: bench_reco pairs TRAIN TEST | orders FILE DAYS | sessions FILE\n");
		return 2;
	}
	if (e.code)
		fprintf(stderr, "%s\n", e.msg);
	return e.code || o.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
