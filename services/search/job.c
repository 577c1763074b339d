/* Periodic work: changed products are fetched, a rebuild goes on, what is kept in memory is renewed. */
#include "services/search/feed.h"
#include "services/search/index.h"
#include "services/search/known.h"

const struct timer_job search_jobs[] = {
	{ "changes", 200, true, index_changes },
	{ "rebuild", 300, true, index_rebuild },
	{ "tiers", 600000, true, index_tiers },
	{ "feed", 200, true, feed_run },
	{ "known", 300, false, known_refresh },
	{ "asked", 2000, false, known_flush },
	{ "clicks", 2000, true, known_clicks },
	{ 0 },
};
