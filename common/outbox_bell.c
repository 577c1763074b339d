#include "common/doorbell.h"
#include "common/outbox.h"

static void ring(void *arg, const char *topic, const char *changed_id)
{
	doorbell_ring(arg, topic, changed_id);
}

void outbox_ring_by(struct pg_pool *pool, struct doorbell *bell)
{
	pg_on_note(pool, ring, bell);
}
