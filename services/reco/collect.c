/* POST /api/events: what pages tell of what people look at. */
#include "services/reco/collect.h"

#include <string.h>

#include "common/check.h"
#include "common/crypto.h"
#include "common/metrics.h"
#include "common/outbox.h"
#include "common/timeutil.h"
#include "events.pb-c.h"
#include "reco.pb-c.h"
#include "services/reco/reco.h"
#include "services/reco/reco_db_collect.h"
#include "services/reco/reco_db_features.h"
#include "services/reco/visitors.h"

#define EVENTS_MAX 500
#define OLD_MS (7 * 86400000LL)	/* older ones are dropped */
#define AHEAD_MS (5 * 60000LL)	/* clocks differ; further ahead counts as now */
#define SEEN_COST 1		/* of an impression; a page shows dozens */
#define DONE_COST 10		/* of anything else */

RPC_HANDLER(reco_collect, Reco__V1__CollectRequest, Reco__V1__CollectReply)

const struct rpc_method reco_collect_methods[] = {
	{ "Collect", reco_collect_, RPC_WRITE, 0 },
	{ 0 },
};

const char *collect_key(struct arena *a, const char *source, const char *whose, const char *id)
{
	const char *text = arena_printf(a, "%s\n%s\n%s", source, whose ? whose : "", id);
	char hex[SHA256_HEX_LEN];

	sha256_hex(text, strlen(text), hex);
	hex[32] = '\0';
	return arena_strdup(a, hex);
}

bool collect_word(const char *s)
{
	size_t n = s ? strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:") : 0;

	return n >= 1 && n <= 64 && s[n] == '\0';
}

/* ---- checks ---- */

static int32_t kind_of(const char *type)
{
	static const struct {
		const char *type;
		int32_t kind;
	} kinds[] = { { "view", RECO_VIEW }, { "click", RECO_CLICK }, { "impression", RECO_IMPRESSION },
		      { "add_to_cart", RECO_CART } };

	for (size_t i = 0; type && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(type, kinds[i].type) == 0)
			return kinds[i].kind;
	return 0;
}

static void check_event(struct call *c, size_t i, const Reco__V1__BehaviourEvent *m)
{
#define FIELD(name) arena_printf(c->arena, "events.%zu." name, i)
	if (!collect_word(m->id))
		err_detail(&c->err, FIELD("id"), NULL, "1 to 64 letters, digits or - _ . :");
	if (!kind_of(m->type))
		err_detail(&c->err, FIELD("type"), NULL, "view, click, impression or add_to_cart");
	if (!collect_word(m->product_id))
		err_detail(&c->err, FIELD("product_id"), NULL, "is required");
	if (m->request_id && !collect_word(m->request_id))
		err_detail(&c->err, FIELD("request_id"), NULL, "is not one");
	if (m->placement && !collect_word(m->placement))
		err_detail(&c->err, FIELD("placement"), NULL, "1 to 64 letters, digits or - _ . :");
	if (m->has_position && (m->position < 1 || m->position > 1000))
		err_detail(&c->err, FIELD("position"), NULL, "1 to 1000");
#undef FIELD
}

static enum err_code check_batch(struct call *c, const Reco__V1__CollectRequest *in)
{
	bool known = c->who.kind == WHO_USER, profile = !in->has_consent || in->consent;

	if (in->n_events < 1 || in->n_events > EVENTS_MAX)
		err_detail(&c->err, "events", NULL, "1 to %d", EVENTS_MAX);
	if (in->session_id ? !collect_word(in->session_id) : !known && profile)
		err_detail(&c->err, "session_id", NULL, "1 to 64 letters, digits or - _ . :");
	for (size_t i = 0; i < in->n_events && i < EVENTS_MAX && c->err.n_details < 20; i++)
		check_event(c, i, in->events[i]);
	return c->err.n_details ? err_set(&c->err, E_INVALID, "common.invalid_input", "events") : OK;
}

/* ---- clicks of searches ---- */

static bool of_search(const Reco__V1__BehaviourEvent *m)
{
	return m->placement && strcmp(m->placement, "search") == 0;
}

/* What was clicked after which query is for search to count, and who clicked is not told; here the query is not kept. */
static enum err_code tell_search(struct pg *pg, struct call *c, const Reco__V1__CollectRequest *in, struct err *e)
{
	Events__V1__SearchClicked msg = EVENTS__V1__SEARCH_CLICKED__INIT;

	msg.clicks = arena_array(c->arena, in->n_events + 1, sizeof(*msg.clicks));
	for (size_t i = 0; i < in->n_events; i++) {
		const Reco__V1__BehaviourEvent *m = in->events[i];
		Events__V1__SearchClick *click;

		if (!of_search(m) || !m->request_id || !m->has_position || kind_of(m->type) != RECO_CLICK)
			continue;
		click = msg.clicks[msg.n_clicks++] = arena_alloc(c->arena, sizeof(*click));
		events__v1__search_click__init(click);
		click->search_id = m->request_id;
		click->product_id = m->product_id;
		click->has_position = true;
		click->position = m->position;
	}
	return msg.n_clicks ? outbox_put(pg, "search", msg.clicks[0]->search_id, 0, "search.clicked", &msg.base, e) : OK;
}

/* ---- taking ---- */

struct batch {
	struct call *c;
	const char *user_id, *session_id; /* NULL both: belongs to nobody */
	const Reco__V1__CollectRequest *request;
	struct event_in *in;
	size_t n;
	struct event_put_row *row;
};

static enum err_code put_tx(struct pg *pg, void *arg, struct err *e)
{
	struct batch *b = arg;
	struct reco_svc *svc = b->c->svc;
	bool withheld = false;

	if (b->user_id && reco_features_withheld(pg, b->c->arena, b->user_id, strcmp(svc->conf->consent, "opt_in") == 0,
						 &withheld, e))
		return e->code;
	for (size_t i = 0; i < b->n; i++) {
		b->in[i].user_id = withheld ? NULL : b->user_id;
		b->in[i].session_id = withheld ? NULL : b->session_id;
	}
	if (reco_db_event_put(pg, b->c->arena, RECO_FROM_PAGE, true, b->in, b->n, &b->row, e))
		return e->code;
	/* A batch of which something was here before, or was dropped, tells nothing: no click may count twice. */
	return b->row->put == (int64_t)b->request->n_events ? tell_search(pg, b->c, b->request, e) : OK;
}

/* Whatever is wrong with a single event that a page cannot help (its age, its visitor's zeal) drops it silently. */
static void fill(struct batch *b, const Reco__V1__CollectRequest *in, const char *whose)
{
	struct reco_svc *svc = b->c->svc;
	int64_t now = wall_ms();
	uint32_t limit = (uint32_t)svc->conf->visitor_events * DONE_COST;

	for (size_t i = 0; i < in->n_events; i++) {
		const Reco__V1__BehaviourEvent *m = in->events[i];
		int32_t kind = kind_of(m->type);
		int64_t ts = m->has_occurred_at && m->occurred_at < now + AHEAD_MS ? m->occurred_at : now;

		if (ts < now - OLD_MS ||
		    !visitors_take(svc->visitors, whose, now, kind == RECO_IMPRESSION ? SEEN_COST : DONE_COST, limit))
			continue;
		b->in[b->n++] = (struct event_in){ .key = collect_key(b->c->arena, "page", whose, m->id), .ts = ts,
						   .kind = kind, .product_id = m->product_id,
						   .request_id = of_search(m) ? NULL : m->request_id, .placement = m->placement,
						   .position = m->position, .qty = 1 };
	}
}

static void count(const char *what, int64_t n)
{
	char labels[64];

	metric_add(metric_counter("souk_reco_events_total", "Behaviour events of pages by outcome",
				  metric_labels(labels, sizeof(labels), "outcome", what, NULL)), n);
}

static enum err_code reco_collect(struct call *c, const Reco__V1__CollectRequest *in, Reco__V1__CollectReply *out)
{
	struct batch b = { .c = c, .request = in };
	bool profile = !in->has_consent || in->consent;
	const char *whose;

	if (check_batch(c, in))
		return c->err.code;
	if (profile && c->who.kind == WHO_USER)
		b.user_id = c->who.user_id;
	if (profile)
		b.session_id = in->session_id;
	/* Who wants no profile is told apart by address alone, which is not kept. */
	whose = b.user_id ? b.user_id : b.session_id ? b.session_id : in->hdr_client_ip ? in->hdr_client_ip : "";
	b.in = arena_array(c->arena, in->n_events, sizeof(*b.in));
	if (!visitors_is_robot(in->hdr_user_agent))
		fill(&b, in, whose);
	if (b.n > 0 && call_tx(c, CALL_TX_PLAIN, put_tx, &b))
		return c->err.code;
	out->has_accepted = out->has_duplicates = out->has_dropped = true;
	out->accepted = b.row ? (int32_t)b.row->put : 0;
	out->duplicates = b.row ? (int32_t)(b.row->known - b.row->put) : 0;
	out->dropped = (int32_t)in->n_events - out->accepted - out->duplicates;
	count("accepted", out->accepted);
	count("duplicate", out->duplicates);
	count("dropped", out->dropped);
	return OK;
}
