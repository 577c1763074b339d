/*
 * What each visitor sent within the hour, in memory of a fixed size: a robot fills the log and the models with nothing
 * but itself. Many visitors at once push the quietest out of memory. And which programs say themselves that they are robots.
 */
#ifndef SOUK_RECO_VISITORS_H
#define SOUK_RECO_VISITORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct visitors;
struct visitors *visitors_new(void);
void visitors_free(struct visitors *); /* NULL is fine */

/* Asks for cost units of the limit an hour; true and taken, or false and nothing taken. Any thread. */
bool visitors_take(struct visitors *, const char *who, int64_t now_ms, uint32_t cost, uint32_t limit);

/* NULL: not a robot, as far as it says. */
bool visitors_is_robot(const char *user_agent);

#endif
