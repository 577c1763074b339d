#include "soukctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/crypto.h"

/* Local work on files: needs no running platform, so that it can make the keys the platform starts with. */
int ctl_keys(int argc, char **argv)
{
	const char *dir = getenv("SOUK_KEYS_DIR");

	if (argc == 4 && strcmp(argv[2], "--dir") == 0)
		dir = argv[3];
	else if (argc != 2)
		dir = NULL;
	if (argc < 2 || strcmp(argv[1], "init") != 0 || !dir || !*dir) {
		fprintf(stderr, "usage: soukctl keys init --dir DIR (or SOUK_KEYS_DIR)\n");
		return 2;
	}

	struct err e = { 0 };
	if (keys_init(dir, &e)) {
		fprintf(stderr, "soukctl: %s\n", e.msg);
		return 1;
	}
	return 0;
}
