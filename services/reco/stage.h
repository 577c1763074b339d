/*
 * What a training has finished so far, kept as files in its own folder, so that one that was stopped or killed goes on
 * from there and ends with the same bits. A file counts only whole, unchanged and made for the same: its key is a digest
 * of everything its content depends on, the program among it. Anything else is removed and made again. A stage that
 * cannot be kept costs time after a stop, nothing more.
 */
#ifndef SOUK_RECO_STAGE_H
#define SOUK_RECO_STAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/arena.h"

#define STAGES_SUFFIX ".stages"
enum { STAGE_PARTS = 16 };

struct stages;

/* The folder is made when it is missing; depends: texts that all stages depend on. Lives in the arena. */
struct stages *stages_open(struct arena *, const char *dir, const char *const *depends, size_t n);
/* Those of one piece of the work, in the same folder: names begin with its name, and they depend on one text more. */
const struct stages *stages_of(struct arena *, const struct stages *, const char *name, const char *depends);

struct stage_part {
	const void *p;
	size_t n; /* bytes */
};
/*
 * True: the n parts of a finished stage, aligned to 16, in the arena. A part that must have a certain size is checked by
 * the caller. stages NULL: nothing is ever kept.
 */
bool stage_take(const struct stages *, struct arena *, const char *name, struct stage_part *part, size_t n);
void stage_keep(const struct stages *, const char *name, const struct stage_part *part, size_t n);
/* Removes the files of stages_of's piece, or all. */
void stages_drop(const struct stages *);

/* Removes a folder of stages with what is in it; one that is missing is fine. */
void stages_remove(const char *dir);

#endif
