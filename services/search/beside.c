#include "services/search/beside.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/timeutil.h"
#include "reco.pb-c.h"

#define LIMIT 8
#define PAUSE_MS 2000

struct beside {
	atomic_int_fast64_t pause_until; /* mono_ms */
};

struct beside *beside_new(void)
{
	struct beside *b = calloc(1, sizeof(*b));

	if (!b)
		abort();
	return b;
}

void beside_free(struct beside *b)
{
	free(b);
}

static void fill_request(struct search *s, const Search__V1__SearchReply *out, Reco__V1__RecommendRequest *in)
{
	in->type = (char *)(out->n_data ? "related" : "trending");
	in->product_id = out->n_data ? out->data[0]->id : NULL;
	in->placement = (char *)"beside_search";
	in->has_limit = true;
	in->limit = LIMIT;
	in->exclude = arena_array(s->c->arena, out->n_data + 1, sizeof(*in->exclude));
	for (size_t i = 0; i < out->n_data; i++)
		in->exclude[in->n_exclude++] = out->data[i]->id;
}

bool beside_fill(struct search *s, Search__V1__SearchReply *out)
{
	Reco__V1__RecommendRequest in = RECO__V1__RECOMMEND_REQUEST__INIT;
	Reco__V1__RecommendReply *reply = NULL;
	const struct rpc_opts opts = { .as_service = true, .timeout_ms = s->svc->conf->reco_ms };
	struct beside *b = s->svc->beside;
	struct call c = { 0 };

	if (!s->svc->reco || s->svc->conf->reco_ms == 0)
		return true;
	if (mono_ms() < atomic_load(&b->pause_until))
		return false;
	fill_request(s, out, &in);
	call_init_service(&c, "search", s->c->arena, s->svc->conf->reco_ms);
	c.request_id = s->c->request_id;
	c.traceparent = s->c->traceparent;
	if (rpc_call(s->svc->reco, &c, "Recommend", &in.base, &reco__v1__recommend_reply__descriptor, &reply, &opts)) {
		atomic_store(&b->pause_until, mono_ms() + PAUSE_MS);
		return false;
	}
	out->recommendations = arena_array(s->c->arena, reply->n_data + 1, sizeof(*out->recommendations));
	for (size_t i = 0; i < reply->n_data; i++)
		if (reply->data[i]->product_id)
			out->recommendations[out->n_recommendations++] = reply->data[i]->product_id;
	return true;
}
