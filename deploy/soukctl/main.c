#include "soukctl.h"

#include <stdio.h>
#include <string.h>

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{ "keys", ctl_keys, "keys init --dir DIR               makes the missing key files; existing ones stay" },
	{ "import", ctl_import, "import --url URL --email E FILE   a vendor's bulk import, with a progress bar" },
	{ "reco", ctl_reco, "reco import --url URL --email E FILE   orders and visits from before, with a progress bar\n"
			  "  reco report --url URL --email E        what recommendations brought, with a plot\n"
			  "  reco status|models|train|cancel|approve|reject|deploy|rollback --url URL --email E\n"
			  "                                      the models of recommendations" },
	{ "search", ctl_search, "search reindex --url URL --email E     rebuilds the search index, with a progress bar" },
	{ "events", ctl_events, "events lag|dead-letters|replay --url URL --email E\n"
				"                                      how far daemons are with events, what failed, once more" },
	{ "audit", ctl_audit, "audit --service NAME --url URL --email E   who changed what" },
};

static int usage(FILE *out)
{
	fprintf(out, "usage: soukctl COMMAND …\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %s\n", commands[i].help);
	return out == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return usage(stderr);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
		return usage(stdout);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	return usage(stderr);
}
