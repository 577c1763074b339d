/* soukctl search reindex|status: a rebuild of the search index through the REST surface, with a bar that follows it. */
#include "session.h"
#include "soukctl.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { POLL_MS = 300, TIME_MAX = 40 };

static const char path[] = "/api/admin/search/reindex";

static int usage(void)
{
	fprintf(stderr,
		"usage: soukctl search reindex --url URL [--email EMAIL] rebuilds the index, follows until it is searched\n"
		"       soukctl search status --url URL [--email EMAIL]  follows a rebuild that runs\n"
		"What is searched stays whole meanwhile; a command that is stopped stops nothing.\n" CTL_CREDENTIALS);
	return 2;
}

static int ask(struct ctl_session *s, const char *method, const char **text_r)
{
	arena_reset(s->arena);
	return ctl_ask(s, method, path, NULL, text_r);
}

static void show(const char *text, const char *state, bool tty, int64_t *shown)
{
	int64_t percent = jsonval_i64(text, "percent");

	if (tty)
		ctl_bar(percent, state, jsonval_i64(text, "done"));
	else if (percent / 10 > *shown)
		fprintf(stderr, "%s %lld %%\n", state, (long long)percent);
	*shown = percent / 10 > *shown ? percent / 10 : *shown;
}

/* started: a rebuild that ended at another time than before is waited for; else one that runs, if any. */
static int follow(struct ctl_session *s, const char *before, bool started)
{
	bool tty = isatty(STDERR_FILENO);
	char state[32] = "", ended[TIME_MAX] = "";
	int64_t shown = -1;
	const char *text;

	for (;;) {
		if (ask(s, "GET", &text)) {
			fprintf(stderr, "soukctl: the rebuild goes on; `soukctl search status` follows it\n");
			return 1;
		}
		(void)jsonval_get(text, "state", state, sizeof(state));
		(void)jsonval_get(text, "finished_at", ended, sizeof(ended));
		show(text, state, tty, &shown);
		if (strcmp(state, "idle") == 0 && (!started || strcmp(ended, before) != 0))
			break;
		nanosleep(&(struct timespec){ .tv_nsec = POLL_MS * 1000000L }, NULL);
	}
	if (tty)
		fputc('\n', stderr);
	printf("%lld products are searched; rebuilt at %s\n", (long long)jsonval_i64(text, "documents"), *ended ? ended : "no time");
	return 0;
}

static int run(struct ctl_session *s, void *arg)
{
	bool start = *(const bool *)arg;
	char before[TIME_MAX] = "";
	const char *text;

	if (start) {
		if (ask(s, "GET", &text))
			return 1;
		(void)jsonval_get(text, "finished_at", before, sizeof(before));
		if (ask(s, "POST", &text))
			return 1;
	}
	return follow(s, before, start);
}

int ctl_search(int argc, char **argv)
{
	static const struct option options[] = { { "url", required_argument, NULL, 'u' },
						 { "email", required_argument, NULL, 'e' },
						 { 0 } };
	const char *url = getenv("SOUK_URL"), *email = NULL;
	bool start = argc > 1 && strcmp(argv[1], "reindex") == 0;

	if (argc < 2 || (!start && strcmp(argv[1], "status") != 0))
		return usage();
	optind = 2;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (c) {
		case 'u': url = optarg; break;
		case 'e': email = optarg; break;
		default: return usage();
		}
	}
	if (optind != argc || !url || !ctl_known(email))
		return usage();
	return ctl_admin(url, email, run, &start);
}
