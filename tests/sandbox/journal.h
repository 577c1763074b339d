/*
 * The state file: one JSON object per line, {"k": kind, "o": object}; the last line of an object
 * wins. Lines gather while the sandbox's lock is held and go out in one write, so effect and
 * idempotency key survive together or not at all.
 */
#ifndef SANDBOX_JOURNAL_H
#define SANDBOX_JOURNAL_H

#include "sandbox.h"

/* Reads the file into sb, then rewrites it without history. True also when there is none yet. */
bool journal_open(struct sandbox *sb, const char *path, char *why, size_t why_len);
void journal_close(struct sandbox *sb);
void journal_add(struct sandbox *sb, const char *kind,
	json_t *o);			/* takes o; nothing without a state file */
void journal_flush(struct sandbox *sb); /* by sandbox_unlock */
void journal_truncate(struct sandbox *sb);

#endif
