/*
 * The end of a listening port, for which HTTP has no word: who has connected and sent a request that nobody reads is cut off,
 * and cannot know whether it was carried out. So nobody new is let in first, and those who wait are served; then it is closed.
 */
#ifndef SOUK_GATEWAY_HTTP_MUTE_H
#define SOUK_GATEWAY_HTTP_MUTE_H

#include <stdbool.h>

/*
 * From now on no connection to this TCP port of ours begins: its first packet is dropped. Whoever tries repeats it a second
 * later and is then refused, or has gone elsewhere; either way nothing was sent. Connections there are stay as they are.
 */
void http_mute(int port);
/* Somebody has connected and is not accepted yet. */
bool http_knocks(int port);

#endif
