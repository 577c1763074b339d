/*
 * A simulator around the refresh rotation's own object file: one session and all who ask for its next token, with virtual
 * time.
 *
 *   row       the family as committed; one transaction at a time holds its lock
 *   jobs      the daemon's handler in its steps, as login.c does them: the conditional UPDATE, the look at why it missed,
 *             the revocation, the commit, the answer; a job may die before each, all may die at once
 *   messages  late, lost on the way there or back, doubled, overtaken by others
 *   client    tabs that share one cookie, ask now and then, and ask again when no answer came
 *             a calm one's messages arrive within a second and it loses at most two answers in a row: nothing but its
 *             session's end may log it out. Others may be logged out by their own message that comes too late
 *   thief     copies the cookie at some moment and uses the copy, and what he gets for it, when he likes
 *
 * Beside the row an account in plain words is kept: how many tokens there are, when each was replaced, whether the family has
 * ended. Every verdict must be the account's.
 *
 * SIM_RUNS sets the number of histories, SIM_SEED replays one and prints what happened.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "services/identity/refresh_rules.h"
#include "tests/support/seeded.h"

#define T0	   1700000000000
#define SECOND	   1000
#define DAY	   INT64_C(86400000)
#define TABS	   2
#define THIEF	   TABS
#define ASKERS	   (TABS + 1)
#define JOBS	   12
#define FLYING	   64
#define TOKENS	   160
#define WAIT_MS	   2000 /* a client that has heard nothing asks again */
#define NEAR_MS	   700	/* what a message takes at most where nothing is wrong */
#define LOST_CALM  2	/* answers in a row that a calm history may lose */

enum what { AT_ASK, AT_ARRIVE, AT_STEP, AT_ANSWER, AT_TIMEOUT, AT_STEAL, AT_CRASH };
enum job_step { JOB_UPDATE, JOB_LOOK, JOB_REVOKE, JOB_COMMIT };

struct msg {
	int64_t at;
	enum what what;
	int who, token, job;
	unsigned seq;
	bool refused;
};

struct job {
	bool busy, locks;
	enum job_step step;
	enum refresh_verdict verdict;
	int who, token, tries;
	unsigned seq, ask; /* ask: which question of the asker it answers */
	int64_t began;	   /* what now() says in its transaction */
	struct refresh_family next;
};

struct asker {
	bool asking;
	unsigned seq;
};

struct world {
	uint64_t rng;
	int64_t now, heal, end;
	unsigned heavy; /* of 1000 */
	bool calm, theft, stolen, logged_out;
	struct msg msg[FLYING];
	int n_msg, lost;
	struct refresh_family row;
	struct job job[JOBS];
	struct asker asker[ASKERS];
	int cookie, loot;
	int64_t renewed_at;
	/* the account in plain words */
	int newest;
	int64_t replaced_at[TOKENS], ends_at, last_at;
	bool ended;
	unsigned again, crashes, stale;
	char broken[200];
};

static bool verbose;

#define MUST(w, cond)                                                                                                 \
	do {                                                                                                          \
		if (!(cond) && !*(w)->broken)                                                                         \
			snprintf((w)->broken, sizeof((w)->broken), "%s:%d: %s", __FILE__, __LINE__, #cond);           \
	} while (0)
#define SAY(w, ...)                                                                                                   \
	do {                                                                                                          \
		if (verbose) {                                                                                        \
			printf("%12.3f ", (double)((w)->now - T0) / 1000);                                            \
			printf(__VA_ARGS__);                                                                          \
			putchar('\n');                                                                                \
		}                                                                                                     \
	} while (0)

static const char *const verdicts[] = { "a new one", "the same again", "REUSE", "over" };

static unsigned rnd(struct world *w, unsigned n)
{
	return seeded(&w->rng, n);
}

static bool fault(struct world *w, unsigned weight)
{
	return w->now < w->heal && rnd(w, 1000) < weight * w->heavy / 10;
}

static void send(struct world *w, int64_t after, struct msg m)
{
	m.at = w->now + after;
	MUST(w, w->n_msg < FLYING);
	if (w->n_msg < FLYING)
		w->msg[w->n_msg++] = m;
}

static void hash_of(int token, unsigned char out[REFRESH_HASH_LEN])
{
	memset(out, 0x5a, REFRESH_HASH_LEN);
	memcpy(out, &token, sizeof(token));
}

static enum refresh_verdict rules(const struct refresh_family *f, int token, int64_t now, struct refresh_family *after)
{
	unsigned char presented[REFRESH_HASH_LEN], successor[REFRESH_HASH_LEN];

	hash_of(token, presented);
	hash_of(token + 1, successor);
	return refresh_step(f, presented, successor, now, after);
}

/* ---- the account ---- */

static enum refresh_verdict account(const struct world *w, int token, int64_t now)
{
	if (w->ended || now >= w->ends_at || now >= w->last_at)
		return REFRESH_OVER;
	if (token == w->newest)
		return REFRESH_ROTATE;
	if (token == w->newest - 1 && now - w->replaced_at[token] <= REFRESH_GRACE_MS)
		return REFRESH_AGAIN;
	return REFRESH_REUSE;
}

/* Of all the tokens there ever were, one rotates; at most its predecessor is good for that same one; nothing else is. */
static void look_at_all(struct world *w)
{
	struct refresh_family after;
	int rotating = 0, again = 0;

	for (int t = w->newest > 6 ? w->newest - 6 : 0; t <= w->newest + 1 && t < TOKENS; t++) {
		switch (rules(&w->row, t, w->now, &after)) {
		case REFRESH_ROTATE:
			rotating++;
			MUST(w, t == w->newest && after.generation == w->row.generation + 1);
			MUST(w, after.expires_at <= after.absolute_at);
			break;
		case REFRESH_AGAIN:
			again++;
			MUST(w, t == w->newest - 1 && memcmp(&after, &w->row, sizeof(after)) == 0);
			break;
		case REFRESH_REUSE:
			MUST(w, after.revoked);
			break;
		case REFRESH_OVER:
			break;
		}
	}
	MUST(w, rotating <= 1 && again <= 1);
	MUST(w, !w->ended || rotating + again == 0);
}

/* ---- the daemon ---- */

/* What keeps an answer from its asker: a message lost, a job that dies. */
static bool lost(struct world *w, unsigned weight)
{
	if (!fault(w, weight) || (w->calm && w->lost >= LOST_CALM))
		return false;
	w->lost++;
	return true;
}

static int64_t flight(struct world *w)
{
	if (w->calm || !fault(w, 40))
		return 1 + rnd(w, NEAR_MS);
	return 1 + rnd(w, 30 * SECOND);
}

static void next_step(struct world *w, int ji, enum job_step step, int64_t after)
{
	struct job *j = &w->job[ji];

	j->step = step;
	send(w, after, (struct msg){ .what = AT_STEP, .job = ji, .seq = ++j->seq });
}

static void die(struct job *j)
{
	j->busy = j->locks = false;
	j->seq++;
}

static void answer(struct world *w, int ji)
{
	struct job *j = &w->job[ji];
	bool refused = j->verdict == REFRESH_OVER || j->verdict == REFRESH_REUSE;

	SAY(w, "  token %d of %s: %s", j->token, j->who == THIEF ? "the thief" : "the client", verdicts[j->verdict]);
	w->again += j->verdict == REFRESH_AGAIN;
	if (!lost(w, 60))
		send(w, flight(w), (struct msg){ .what = AT_ANSWER, .who = j->who, .seq = j->ask, .token = j->token + 1,
						 .refused = refused });
	die(j);
}

static void begin(struct world *w, const struct msg *m)
{
	for (int i = 0; i < JOBS; i++) {
		struct job *j = &w->job[i];

		if (j->busy)
			continue;
		*j = (struct job){ .busy = true, .who = m->who, .token = m->token, .ask = m->seq, .seq = j->seq,
				   .began = w->now };
		next_step(w, i, JOB_UPDATE, rnd(w, 20));
		return;
	}
	w->lost++; /* too busy: refused, as good as lost */
}

static bool locked(const struct world *w)
{
	for (int i = 0; i < JOBS; i++)
		if (w->job[i].busy && w->job[i].locks)
			return true;
	return false;
}

static void update(struct world *w, int ji)
{
	struct job *j = &w->job[ji];

	if (locked(w)) { /* waits for the row, and sees it as it is then */
		next_step(w, ji, JOB_UPDATE, 20);
		return;
	}
	j->verdict = rules(&w->row, j->token, j->began, &j->next);
	j->locks = j->verdict == REFRESH_ROTATE;
	next_step(w, ji, j->locks ? JOB_COMMIT : JOB_LOOK, rnd(w, 30));
}

static void look(struct world *w, int ji)
{
	struct job *j = &w->job[ji];
	struct refresh_family after;

	j->verdict = rules(&w->row, j->token, j->began, &after);
	MUST(w, j->verdict == account(w, j->token, j->began));
	if (j->verdict == REFRESH_ROTATE) { /* it moved between the two: once more, in a new transaction */
		MUST(w, j->tries++ < 3);
		j->began = w->now;
		next_step(w, ji, JOB_UPDATE, 1);
	} else if (j->verdict == REFRESH_REUSE) {
		w->stale += j->who != THIEF;
		next_step(w, ji, JOB_REVOKE, rnd(w, 10));
	} else {
		answer(w, ji);
	}
}

static void commit(struct world *w, int ji)
{
	struct job *j = &w->job[ji];

	if (j->verdict == REFRESH_ROTATE) {
		MUST(w, account(w, j->token, j->began) == REFRESH_ROTATE);
		MUST(w, w->newest + 2 < TOKENS);
		w->replaced_at[w->newest++] = j->began;
		w->ends_at = j->began + 7 * DAY < w->last_at ? j->began + 7 * DAY : w->last_at;
	} else {
		w->ended = true;
	}
	w->row = j->next;
	MUST(w, w->row.revoked == w->ended && w->row.expires_at == w->ends_at);
	look_at_all(w);
	if (lost(w, 15)) {
		SAY(w, "  a job dies with its answer");
		die(j);
		return;
	}
	answer(w, ji);
}

static void step(struct world *w, const struct msg *m)
{
	struct job *j = &w->job[m->job];

	if (!j->busy || j->seq != m->seq)
		return;
	if (lost(w, 15)) {
		SAY(w, "  a job dies before step %d", (int)j->step);
		die(j);
		return;
	}
	switch (j->step) {
	case JOB_UPDATE:
		update(w, m->job);
		break;
	case JOB_LOOK:
		look(w, m->job);
		break;
	case JOB_REVOKE:
		if (locked(w)) {
			next_step(w, m->job, JOB_REVOKE, 20);
			break;
		}
		j->locks = true;
		j->next = w->row;
		j->next.revoked = true;
		next_step(w, m->job, JOB_COMMIT, rnd(w, 10));
		break;
	case JOB_COMMIT:
		commit(w, m->job);
		break;
	}
}

/* ---- the askers ---- */

static void ask(struct world *w, int who)
{
	struct asker *a = &w->asker[who];
	struct msg m = { .what = AT_ARRIVE, .who = who, .token = who == THIEF ? w->loot : w->cookie, .seq = ++a->seq };

	a->asking = true;
	SAY(w, "%s asks with token %d", who == THIEF ? "the thief" : "the client", m.token);
	if (!lost(w, 60))
		send(w, flight(w), m);
	if (fault(w, 30))
		send(w, flight(w), m);
	send(w, WAIT_MS, (struct msg){ .what = AT_TIMEOUT, .who = who, .seq = a->seq });
}

/* Until the next question: minutes as a rule; in a wild history at once, or after a holiday. */
static int64_t a_while(struct world *w, int who)
{
	if (w->calm && who != THIEF)
		return 60 * SECOND + rnd(w, 900 * SECOND);
	switch (rnd(w, 8)) {
	case 0:
		return rnd(w, 3 * SECOND);
	case 1:
		return rnd(w, 2 * REFRESH_GRACE_MS);
	case 2:
		return rnd(w, 6) ? (int64_t)rnd(w, 6 * 86400) * SECOND : 8 * DAY;
	default:
		return rnd(w, 900 * SECOND);
	}
}

static void again_later(struct world *w, int who)
{
	int64_t after = a_while(w, who);

	if (w->now + after < w->end && w->newest < TOKENS / 2)
		send(w, after, (struct msg){ .what = AT_ASK, .who = who });
}

/* A calm client's tabs share what they get: none asks while what another got is fresh. */
static void wake(struct world *w, int who)
{
	if (w->asker[who].asking || (who != THIEF && w->logged_out))
		return;
	if (w->calm && who != THIEF && w->renewed_at && w->now < w->renewed_at + 60 * SECOND)
		again_later(w, who);
	else
		ask(w, who);
}

static void hear(struct world *w, const struct msg *m)
{
	struct asker *a = &w->asker[m->who];

	if (!a->asking || a->seq != m->seq) /* nobody listens any more */
		return;
	a->asking = false;
	if (m->refused) {
		MUST(w, w->ended || w->now >= w->ends_at);
		if (m->who != THIEF) {
			SAY(w, "the client is logged out");
			MUST(w, !w->calm || w->stolen || w->now >= w->ends_at); /* an honest client that asks again */
			w->logged_out = true;
		}
		return;
	}
	MUST(w, m->token <= w->newest);
	w->lost = 0;
	if (m->who == THIEF) {
		w->loot = m->token;
	} else {
		w->cookie = m->token;
		w->renewed_at = w->now;
	}
	again_later(w, m->who);
}

static void crash(struct world *w)
{
	SAY(w, "every job dies");
	for (int i = 0; i < JOBS; i++)
		die(&w->job[i]);
	w->lost++;
	w->crashes++;
}

static void happen(struct world *w, const struct msg *m)
{
	switch (m->what) {
	case AT_ASK:
		wake(w, m->who);
		break;
	case AT_ARRIVE:
		begin(w, m);
		break;
	case AT_STEP:
		step(w, m);
		break;
	case AT_ANSWER:
		hear(w, m);
		break;
	case AT_TIMEOUT:
		if (w->asker[m->who].asking && w->asker[m->who].seq == m->seq) {
			w->asker[m->who].asking = false;
			wake(w, m->who);
		}
		break;
	case AT_STEAL:
		SAY(w, "token %d is stolen", w->cookie);
		w->stolen = true;
		w->loot = w->cookie;
		again_later(w, THIEF);
		break;
	case AT_CRASH:
		if (!w->calm || w->lost < LOST_CALM)
			crash(w);
		break;
	}
}

static void run(struct world *w)
{
	for (int i = 0; w->n_msg && !*w->broken; i++) {
		struct msg m;
		int first = 0;

		MUST(w, i < 20000);
		for (int k = 1; k < w->n_msg; k++)
			if (w->msg[k].at < w->msg[first].at)
				first = k;
		m = w->msg[first];
		w->msg[first] = w->msg[--w->n_msg];
		w->now = m.at;
		happen(w, &m);
	}
}

/* ---- a history ---- */

static void set_up(struct world *w, uint64_t seed)
{
	static const unsigned heavy[] = { 0, 5, 10, 10, 20, 40 };

	*w = (struct world){ .rng = seed * 0x9E3779B97F4A7C15u + 88172645463325252u, .now = T0 };
	for (int i = 0; i < 8; i++)
		(void)rnd(w, 2);
	w->heavy = heavy[rnd(w, 6)];
	w->calm = rnd(w, 2);
	w->theft = rnd(w, 3) == 0;
	w->end = T0 + (w->calm || rnd(w, 3) ? (int64_t)rnd(w, 3 * 3600) * SECOND : (int64_t)rnd(w, 40 * 86400) * SECOND);
	w->heal = w->end;
	w->ends_at = T0 + 7 * DAY;
	w->last_at = T0 + 30 * DAY;
	if (!w->calm && rnd(w, 4) == 0) { /* a session that is old already */
		w->last_at = T0 + (int64_t)rnd(w, 2 * 3600) * SECOND;
		w->ends_at = w->last_at;
	}
	w->row = (struct refresh_family){ .expires_at = w->ends_at, .absolute_at = w->last_at };
	hash_of(0, w->row.current);
	for (int i = 0; i < TABS; i++)
		send(w, rnd(w, 2) ? rnd(w, 3 * SECOND) : rnd(w, 900 * SECOND), (struct msg){ .what = AT_ASK, .who = i });
	if (w->theft)
		send(w, rnd(w, 3600 * SECOND), (struct msg){ .what = AT_STEAL });
	for (int i = w->heavy ? (int)rnd(w, 4) : 0; i > 0; i--)
		send(w, rnd(w, 3600 * SECOND), (struct msg){ .what = AT_CRASH });
}

static void ask_now(struct world *w, int who)
{
	w->now += REFRESH_GRACE_MS + SECOND;
	w->renewed_at = 0;
	if (who != THIEF && w->logged_out)
		return;
	send(w, 0, (struct msg){ .what = AT_ASK, .who = who });
	run(w);
}

/*
 * Nothing is lost any more. A client alone goes on, or has been told; two who hold one session do not both go on, whatever
 * has happened, once each of them has asked.
 */
static void judge(struct world *w)
{
	bool alive = account(w, w->newest, w->now + 3 * REFRESH_GRACE_MS) != REFRESH_OVER;

	w->heal = w->now;
	for (int i = 0; i < JOBS; i++)
		MUST(w, !w->job[i].busy);
	ask_now(w, 0);
	if (w->stolen)
		ask_now(w, THIEF);
	MUST(w, !w->stolen || w->ended || w->now >= w->ends_at);
	if (alive && w->calm && !w->stolen)
		MUST(w, !w->logged_out && !w->ended && w->cookie == w->newest);
	MUST(w, w->row.generation == w->newest);
	look_at_all(w);
}

static bool history(struct world *w, uint64_t seed)
{
	set_up(w, seed);
	run(w);
	if (!*w->broken)
		judge(w);
	if (*w->broken)
		printf("SIM_SEED=%llu breaks %s\n", (unsigned long long)seed, w->broken);
	return !*w->broken;
}

enum count { N_ALIVE, N_CAUGHT, N_MISTAKEN, N_OVER, N_AGAIN, N_CRASHED, N_COUNTS };

static void histories(void **state)
{
	static const char *const names[] = { "alive", "thefts ended", "ended by a late message", "run out",
					     "with a token given twice", "with a crash of all" };
	const uint64_t one = env_number("SIM_SEED", 0), runs = one ? 1 : env_number("SIM_RUNS", 20000);
	uint64_t n[N_COUNTS] = { 0 }, bad = 0, tokens = 0;
	struct world *w = calloc(1, sizeof(*w));
	struct timespec a, b;
	double s;

	(void)state;
	assert_non_null(w);
	verbose = one != 0;
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (uint64_t i = 0; i < runs && bad < 5; i++) {
		bad += !history(w, one ? one : i + 1);
		tokens += (uint64_t)w->newest;
		n[N_ALIVE] += !w->ended && w->now < w->ends_at;
		n[N_CAUGHT] += w->stolen && w->ended;
		n[N_MISTAKEN] += !w->stolen && w->ended;
		n[N_OVER] += !w->ended && w->now >= w->ends_at;
		n[N_AGAIN] += w->again > 0;
		n[N_CRASHED] += w->crashes > 0;
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
	printf("%llu refresh histories (%llu rotations) in %.2f s, %.0f a minute:", (unsigned long long)runs,
	       (unsigned long long)tokens, s, (double)runs / s * 60);
	for (int k = 0; k < N_COUNTS; k++)
		printf(" %llu %s%s", (unsigned long long)n[k], names[k], k + 1 < N_COUNTS ? "," : "\n");
	free(w);
	assert_int_equal(bad, 0);
	if (!one && runs >= 2000)
		for (int k = 0; k < N_COUNTS; k++)
			assert_true(n[k] > 0); /* every end is reached, or this proves little */
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(histories) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
