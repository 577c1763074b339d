/*
 * soukctl, the operator's command. One function per command; each gets the words after its own name and returns the
 * exit code: 0 done, 1 refused or failed (one line on stderr says why), 2 wrong use.
 */
#ifndef SOUK_SOUKCTL_H
#define SOUK_SOUKCTL_H

int ctl_keys(int argc, char **argv); /* keys init [--dir DIR] */

#endif
