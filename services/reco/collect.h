/* Keys of events: the same thing told twice is one event. */
#ifndef SOUK_RECO_COLLECT_H
#define SOUK_RECO_COLLECT_H

#include "common/arena.h"

/* 32 hexadecimal digits made of a source's name, whose event it is, and its own id. */
const char *collect_key(struct arena *, const char *source, const char *whose, const char *id) RETURNS_NONNULL;

/* 1 to 64 letters, digits, - and _ and . and : and nothing else. */
bool collect_word(const char *s);

#endif
