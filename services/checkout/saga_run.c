#include "services/checkout/saga_run.h"

#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/timeutil.h"
#include "services/checkout/order_db.h"
#include "services/checkout/order_write.h"
#include "services/checkout/saga_act.h"

#define SAVE_MS	 10000 /* the money has moved: what is known is stored, whoever has stopped waiting */
#define CALL_MS	 5000  /* a call to another daemon */
#define STEPS_MAX 60
#define FRESH_MS  2000 /* so much of the lease may be gone when the next step acts on it */

struct drive {
	struct saga_run *r;
	struct call sub; /* scratch for calls */
	struct saga_state s, next;
	struct saga_cmds cmds;
	struct saga_facts facts;
	struct err *e;
	int64_t clock; /* PostgreSQL's minus ours */
	int64_t leased_at; /* by our clock: what is stored was stored by us, to act on it */
	bool lost, fresh_attempt;
	int32_t lease_ms;
};

static int64_t now_of(const struct drive *d)
{
	return mono_ms() + d->clock;
}

static bool has(const struct saga_cmds *c, enum saga_cmd cmd)
{
	for (int i = 0; i < c->n; i++)
		if (c->cmd[i] == cmd)
			return true;
	return false;
}

static bool same(const struct saga_state *a, const struct saga_state *b)
{
	return a->st == b->st && a->why == b->why && a->attempt == b->attempt && a->pi_n == b->pi_n &&
	       a->key_n == b->key_n && a->tries == b->tries && a->begun_at == b->begun_at &&
	       a->expires_at == b->expires_at && a->next_at == b->next_at && a->free == b->free &&
	       a->reserved == b->reserved && a->rereserved == b->rereserved && a->sold == b->sold &&
	       a->has_pi == b->has_pi && a->pi_maybe == b->pi_maybe && a->pi_dead == b->pi_dead &&
	       a->captured == b->captured && a->refunded == b->refunded && a->ending == b->ending;
}

static bool differ(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") != 0;
}

/* ---- persisting ---- */

static int64_t captured_of(const struct drive *d)
{
	return d->facts.received > 0 ? d->facts.received : d->r->row->total_minor;
}

/* What belongs into the transaction of the new state. */
static enum err_code effects(struct pg *pg, struct drive *d, struct err *e)
{
	const struct checkout_row *row = d->r->row;
	const struct checkout_svc *svc = d->r->c->svc;
	struct arena *a = d->r->c->arena;
	bool failed = d->next.st == SAGA_CANCELLED || d->next.why == WHY_PAYMENT_CANCELED ||
		      d->next.why == WHY_PAYMENT_REFUSED || d->next.why == WHY_MISMATCH || d->next.why == WHY_STOCK_GONE;

	if (has(&d->cmds, CMD_CREATE_PI) &&
	    checkout_db_attempt_put(pg, row->id, d->next.pi_n, act_create_key(a, row->id, d->next.pi_n),
				    act_create_params(a, row, d->next.pi_n), &d->fresh_attempt, e))
		return e->code;
	if (d->facts.pi_id && checkout_db_attempt_pi(pg, row->id, d->next.pi_n, d->facts.pi_id, e))
		return e->code;
	if (has(&d->cmds, CMD_REFUND) &&
	    order_owe_refund(pg, a, row, captured_of(d), saga_why_name(d->next.why), e))
		return e->code;
	if (d->next.refunded && !d->s.refunded && order_db_owed_done(pg, row->pi_id, d->facts.provider_refund_id, e))
		return e->code;
	if (has(&d->cmds, CMD_WRITE_ORDER))
		return order_write(pg, a, svc, row, captured_of(d), e);
	if (has(&d->cmds, CMD_TELL_ENDED))
		return order_tell_end(pg, row, failed ? "checkout.payment_failed" : "checkout.expired",
				      saga_why_name(d->next.why), row->version, e);
	if (has(&d->cmds, CMD_TELL_REFUNDED))
		return order_tell_end(pg, row, "checkout.refunded", saga_why_name(d->next.why), row->version, e);
	return OK;
}

static enum err_code save_tx(struct pg *pg, void *arg, struct err *e)
{
	struct drive *d = arg;
	const struct checkout_row *row = d->r->row;
	bool won = false;

	d->lost = d->fresh_attempt = false;
	if (checkout_db_save(pg, row->id, row->version, &d->next, d->lease_ms, &d->facts, &won, e))
		return e->code;
	if (!won) {
		d->lost = true;
		return OK;
	}
	return effects(pg, d, e);
}

/* A row as it was just stored. */
static void stored(const struct drive *d, struct checkout_row *row)
{
	row->version++;
	row->leased = d->lease_ms > 0;
	if (d->facts.pi_id)
		row->pi_id = d->facts.pi_id;
	if (d->facts.client_secret.data)
		row->client_secret = d->facts.client_secret;
	if (d->facts.pay_seen) {
		row->pay_status = d->facts.pay_status;
		row->pay_code = d->facts.pay_code;
		row->pay_message = d->facts.pay_message;
	}
}

static void follow(struct drive *d)
{
	stored(d, d->r->row);
	d->s = d->next;
	d->facts = (struct saga_facts){ .received = d->facts.received };
}

static void mirror(struct checkout_row *row, const struct saga_state *s)
{
	row->state = saga_state_name(s->st);
	row->why = saga_why_name(s->why);
	row->attempt = s->attempt;
	row->pi_n = s->pi_n;
	row->key_n = s->key_n;
	row->tries = s->tries;
	row->next_at = s->next_at;
	row->expires_at = s->expires_at;
	row->rereserved = s->rereserved;
	row->captured = s->captured;
	row->has_pi = s->has_pi;
}

/* The step and the answer to the request in one transaction. */
static enum err_code answer_tx(struct pg *pg, void *arg, struct err *e)
{
	struct drive *d = arg;
	struct checkout_row shown = *d->r->row;

	if (save_tx(pg, arg, e))
		return e->code;
	if (d->lost)
		return err_set(e, E_CONFLICT, "checkout.live", "moved on");
	stored(d, &shown);
	return d->r->rest(d->r->c, pg, &shown, e);
}

/* False: it has to be stored without the answer, because the key's row is not ours any more. */
static bool answer(struct drive *d, enum err_code *code_r)
{
	struct call *c = d->r->c;
	int64_t deadline = c->deadline_ms;

	if (c->deadline_ms < mono_ms() + SAVE_MS)
		c->deadline_ms = mono_ms() + SAVE_MS;
	*code_r = call_tx(c, d->r->tx_flags, answer_tx, d);
	c->deadline_ms = deadline;
	if (*code_r == OK) {
		d->r->answered = true;
		return true;
	}
	if (d->lost || strncmp(c->err.slug, "idem.", 5) == 0) {
		err_clear(&c->err);
		*code_r = OK;
		return d->lost;
	}
	if (d->e != &c->err)
		err_copy(d->e, &c->err);
	return true;
}

static enum err_code persist(struct drive *d)
{
	const struct pg_actor who = { call_actor(d->r->c), d->r->c->request_id };
	bool acts = false, in_tx = false, learnt;
	enum err_code code = OK;

	for (int i = 0; i < d->cmds.n; i++) {
		acts |= saga_cmd_acts(d->cmds.cmd[i]);
		in_tx |= saga_cmd_in_tx(d->cmds.cmd[i]);
	}
	learnt = d->facts.pi_id || d->facts.client_secret.data ||
		 (d->facts.pay_seen && (differ(d->facts.pay_status, d->r->row->pay_status) ||
					differ(d->facts.pay_code, d->r->row->pay_code)));
	if (!acts && !in_tx && !learnt && !d->r->row->leased && same(&d->s, &d->next))
		return OK;
	d->lease_ms = acts ? SAGA_ACT_MS : 0;
	mirror(d->r->row, &d->next);
	if (!learnt && d->leased_at && mono_ms() < d->leased_at + FRESH_MS && saga_finds_back(&d->s, &d->next)) {
		d->s = d->next;
		return OK;
	}
	if (!(d->r->rest && d->r->c->idem && !acts && d->r->first.type != SAGA_END &&
	      (d->next.st == SAGA_PAYMENT_PENDING ? d->facts.pi_id != NULL : d->next.st == SAGA_ORDERED) &&
	      answer(d, &code)))
		code = pg_tx(d->r->c->pool, mono_ms() + SAVE_MS, &who, save_tx, d, d->e);
	if (!code && !d->lost) {
		follow(d);
		d->leased_at = acts ? mono_ms() : 0;
	}
	return code;
}

/* ---- stepping ---- */

static void step(struct drive *d, struct saga_event ev)
{
	struct saga_state from = d->s;

	for (int i = 0; i < 8; i++) {
		saga_step(&from, &ev, now_of(d), &d->next, &d->cmds);
		if (!d->cmds.again)
			return;
		from = d->next;
		ev = (struct saga_event){ .type = SAGA_WAKE };
	}
}

static int64_t pay_timeout(const struct saga_run *r)
{
	int64_t left = r->until_ms - mono_ms();

	return r->patient || left > r->pay_timeout_ms ? r->pay_timeout_ms : left > 100 ? left : 100;
}

/* Carries out what was decided; false when there was nothing to hear back from. */
static bool act(struct drive *d, struct saga_event *ev)
{
	struct act x = { .c = &d->sub, .row = d->r->row, .s = &d->s, .pay_timeout_ms = pay_timeout(d->r),
			 .fresh_attempt = d->fresh_attempt, .facts = &d->facts, .refused = &d->r->refused };
	bool heard = false;

	for (int i = 0; i < d->cmds.n; i++) {
		if (saga_cmd_in_tx(d->cmds.cmd[i]))
			continue;
		d->sub.deadline_ms = mono_ms() + CALL_MS;
		*ev = act_perform(&x, d->cmds.cmd[i]);
		heard = d->cmds.cmd[i] != CMD_EXTEND;
	}
	return heard;
}

static bool is_unknown(enum saga_ev ev)
{
	return ev == EV_RESERVE_UNKNOWN || ev == EV_PI_UNKNOWN || ev == EV_LOOK_UNKNOWN || ev == EV_SELL_UNKNOWN ||
	       ev == EV_CAPTURE_UNKNOWN || ev == EV_CANCEL_UNKNOWN || ev == EV_RELEASE_UNKNOWN ||
	       ev == EV_RESTOCK_UNKNOWN || ev == EV_REFUND_UNKNOWN || ev == EV_CANCEL_BUSY;
}

/* At rest with an open question: asked again soon enough to wait for it? */
static bool wait_more(const struct drive *d)
{
	int64_t wait = d->s.next_at - now_of(d);

	if (d->r->patient || d->s.tries == 0 || saga_terminal(d->s.st) || d->s.st == SAGA_PAYMENT_PENDING)
		return false;
	if (wait > 1000 || mono_ms() + wait + 200 > d->r->until_ms)
		return false;
	sleep_ms(wait > 0 ? wait : 0);
	return true;
}

static enum err_code drive(struct drive *d)
{
	struct saga_event ev = d->r->first;

	for (int i = 0; i < STEPS_MAX; i++) {
		if (d->r->given) {
			d->cmds = *d->r->given;
			d->r->given = NULL;
		} else {
			step(d, ev);
			if (persist(d) || d->lost)
				return d->e->code;
		}
		if (!act(d, &ev)) {
			if (!wait_more(d))
				return OK;
			ev = (struct saga_event){ .type = SAGA_WAKE };
		} else {
			d->r->unsure = is_unknown(ev.type);
		}
	}
	return OK;
}

/* ---- loading ---- */

static enum err_code load(struct saga_run *r, struct err *e)
{
	struct checkout_svc *svc = r->c->svc;
	bool found = false;
	struct pg *pg;

	if (pg_borrow(r->c->pool, mono_ms() + SAVE_MS, &pg, e))
		return e->code;
	if (checkout_db_get(pg, r->c->arena, r->id, &r->row, &found, e)) {
		pg_return(pg);
		return e->code;
	}
	pg_return(pg);
	if (!found)
		return err_set(e, E_NOT_FOUND, "checkout.not_found", "%s", r->id);
	svc->clock_ms = r->row->now_at - mono_ms();
	return OK;
}

enum err_code saga_run(struct saga_run *r, struct err *e)
{
	int64_t pause = 15;

	for (bool first = true;; first = false) {
		struct drive d = { .r = r, .sub = *r->c, .e = e };

		if ((!(first && r->row) && load(r, e)) || checkout_row_state(r->row, &d.s, e))
			return e->code;
		d.sub.idem = NULL;
		d.sub.idem_key = NULL;
		d.clock = r->row->now_at - mono_ms();
		if (!r->row->leased || r->given) {
			if (drive(&d) || !d.lost)
				return e->code;
		} else if (r->patient) {
			r->unsure = true;
			return OK;
		}
		if (mono_ms() + pause > r->until_ms) {
			r->unsure = !saga_terminal(d.s.st);
			return load(r, e);
		}
		sleep_ms(d.lost ? 2 : pause);
		pause = pause < 120 ? pause * 2 : pause;
	}
}

void saga_run_inline(struct call *c, const char *id, enum saga_ev first, enum saga_why why, struct saga_run *r_r)
{
	const struct checkout_svc *svc = c->svc;
	int64_t until = mono_ms() + svc->conf->inline_ms;

	if (c->deadline_ms > 0 && until > c->deadline_ms - 300)
		until = c->deadline_ms - 300;
	*r_r = (struct saga_run){ .c = c, .id = id, .first = { .type = first, .why = why }, .until_ms = until,
				  .pay_timeout_ms = svc->conf->inline_ms };
}
