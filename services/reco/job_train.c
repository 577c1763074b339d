#include "services/reco/job_train.h"

#include <cblas.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/id.h"
#include "common/log.h"
#include "common/timeutil.h"
#include "services/reco/deploy.h"
#include "services/reco/gate.h"
#include "services/reco/params.h"
#include "services/reco/shelf.h"
#include "services/reco/train.h"

#define DAY_MS 86400000LL
#define HOLD_OUT_DAYS 14
#define BEAT_MS 2000
#define TX_MS 15000
#define END_MS 5000 /* for a training to stop when the daemon does */

extern char **environ;

static const struct pg_actor nobody = { "system", "" };

struct work {
	struct reco_svc *svc;
	struct arena *a;
	struct training_row *t;
	struct stages *stages;
	struct train_params params;
	struct past past;
	struct deployment_row *main; /* NULL: nothing is deployed */
	struct artefact *deployed;
	struct gate_result gate;
	struct model_row model;
	pthread_t beat;
	pthread_mutex_t lock; /* of step and percent */
	const char *step;
	int percent;
	atomic_bool *stop; /* set from outside, or by its cancellation */
	atomic_bool cancelled, ended;
};

/* The deployed one's parameters, whatever their order in its row. */
static bool routine(const struct work *w)
{
	struct train_params deployed;

	if (!w->main)
		return false;
	params_read(w->main->params, &deployed, NULL);
	return strcmp(params_text(w->a, &deployed), params_text(w->a, &w->params)) == 0;
}

/* ---- the job is alive, and may be told to end ---- */

struct beat_tx {
	struct work *w;
	struct arena *a;
	const char *step;
	int percent;
	bool cancel;
};

static enum err_code beat_tx(struct pg *pg, void *arg, struct err *e)
{
	struct beat_tx *t = arg;

	return reco_db_training_beat(pg, t->a, t->w->t, t->step, t->percent, &t->cancel, e);
}

/* A database that is away is no reason to stop. */
static void beat_once(struct work *w)
{
	struct beat_tx t = { .w = w, .a = arena_new("reco beat", 1 << 20) };
	struct err e = { 0 };

	pthread_mutex_lock(&w->lock);
	t.step = w->step;
	t.percent = w->percent;
	pthread_mutex_unlock(&w->lock);
	if (pg_tx(w->svc->pool, mono_ms() + TX_MS, &nobody, beat_tx, &t, &e) == OK && t.cancel) {
		atomic_store(&w->cancelled, true);
		atomic_store(w->stop, true);
	}
	arena_free(t.a);
}

static void *beat(void *arg)
{
	struct work *w = arg;

	while (!atomic_load(&w->ended)) {
		for (int i = 0; i < BEAT_MS / 100 && !atomic_load(&w->ended); i++)
			sleep_ms(100);
		beat_once(w);
	}
	return NULL;
}

static void progress(void *arg, const char *step, int percent)
{
	struct work *w = arg;

	pthread_mutex_lock(&w->lock);
	w->step = step;
	w->percent = percent;
	pthread_mutex_unlock(&w->lock);
	log_msg(LVL_INFO, "training", LF_S("training", w->t->id), LF_S("step", step), LF_I("percent", percent));
}

/* The twin that is judged takes the first half, the model itself the second. */
static void progress_twin(void *arg, const char *step, int percent)
{
	progress(arg, step, 10 + percent * 38 / 100);
}

static void progress_whole(void *arg, const char *step, int percent)
{
	progress(arg, step, 55 + percent * 4 / 10);
}

/* ---- steps ---- */

const char *train_folder(const struct reco_svc *svc, struct arena *a, const char *id)
{
	return arena_printf(a, "%s/%s" STAGES_SUFFIX, svc->conf->model_dir, id);
}

/* Everything that decides what comes out. Its number of threads does not. */
static struct stages *open_stages(struct work *w)
{
	const char *depends[] = { w->t->id, arena_printf(w->a, "%lld", (long long)w->t->as_of), params_text(w->a, &w->params),
				  arena_printf(w->a, "%llu", (unsigned long long)w->params.seed),
				  arena_printf(w->a, "%d", w->svc->conf->train_events), openblas_get_corename() };

	(void)mkdir(w->svc->conf->model_dir, 0755); /* a volume comes empty */
	return stages_open(w->a, train_folder(w->svc, w->a, w->t->id), depends, sizeof(depends) / sizeof(depends[0]));
}

struct adding {
	struct past_builder *b;
	const atomic_bool *stop;
};

static enum err_code add(void *arg, const struct reco_event *ev, struct err *e)
{
	struct adding *ad = arg;

	if (atomic_load(ad->stop))
		return err_set(e, E_CONFLICT, "reco.training_cancelled", "cancelled");
	past_add(ad->b, ev);
	return OK;
}

static enum err_code read_past(struct work *w, struct err *e)
{
	struct reco_range range = { 0, w->t->as_of,
					  RECO_KINDS(RECO_VIEW) | RECO_KINDS(RECO_CLICK) | RECO_KINDS(RECO_CART) |
						  RECO_KINDS(RECO_PURCHASE) | RECO_KINDS(RECO_RATING) | RECO_KINDS(RECO_RETURN),
					  false };
	struct adding ad = { past_begin(), w->stop };

	progress(w, "reading", 1);
	if (past_take(w->stages, w->a, &w->past)) {
		past_drop(ad.b);
		return OK;
	}
	if (reco_features_latest(w->svc->pool, &range, w->svc->conf->train_events, &range.from, e) ||
	    reco_features_stream(w->svc->pool, &range, 0, NULL, add, &ad, e)) {
		past_drop(ad.b);
		return e->code;
	}
	past_end(ad.b, w->a, &w->past);
	if (w->past.n == 0)
		return err_set(e, E_RULE, "reco.nothing_to_learn", "there are no events yet");
	past_keep(w->stages, &w->past);
	return OK;
}

static enum err_code read_deployed(struct work *w, struct err *e)
{
	struct deployed now = { 0 };
	struct err ignored = { 0 };
	struct pg *pg;
	enum err_code code;

	if (pg_borrow(w->svc->pool, mono_ms() + TX_MS, &pg, e))
		return e->code;
	code = deploy_now(pg, w->a, false, &now, e);
	pg_return(pg);
	if (code)
		return code;
	w->main = now.main;
	if (w->main && shelf_fetch(w->svc->shelf, w->a, w->main->path, w->main->sha256, &ignored))
		err_clear(&ignored);
	/* A file that is gone or damaged is not compared with; serving tells of it. */
	if (w->main && artefact_open(arena_printf(w->a, "%s/%s", w->svc->conf->model_dir, w->main->path), &w->deployed, &ignored))
		w->deployed = NULL;
	return OK;
}

static enum err_code cancelled(struct err *e)
{
	return err_set(e, E_CONFLICT, "reco.training_cancelled", "cancelled");
}

/* What a verdict depends on beside the training's own: which model it was compared with. */
static const char *compared_with(const struct work *w)
{
	return w->main ? arena_printf(w->a, "%s %s %d", w->main->model_id, w->main->params, w->deployed != NULL) : "nobody";
}

static enum err_code compare(struct work *w, const struct stages *twins, const struct stages *olds, struct err *e)
{
	int64_t first = w->past.act[0].ts, range = w->t->as_of - first,
		cut = w->t->as_of - (range / 5 < HOLD_OUT_DAYS * DAY_MS ? range / 5 : HOLD_OUT_DAYS * DAY_MS);
	const struct bundle *beside = w->deployed ? &w->deployed->b : NULL;
	struct arena *scratch = arena_new("reco twin", SIZE_MAX);
	struct train_params params;
	struct bundle twin, old;
	bool whole = train_bundle(scratch, &w->past, cut, &w->params, twins, w->stop, progress_twin, w, &twin);

	if (whole && w->main && !routine(w)) {
		progress(w, "deployed", 48);
		params_read(w->main->params, &params, NULL);
		params.seed = w->params.seed;
		whole = train_bundle(scratch, &w->past, cut, &params, olds, w->stop, NULL, NULL, &old);
		beside = &old;
	}
	if (whole) {
		progress(w, "evaluating", 52);
		gate_judge(scratch, &w->past, cut, &twin, beside, w->params.seed, w->stop, &w->gate);
		gate_volume(&w->past, w->t->as_of, &w->gate);
	}
	arena_free(scratch);
	return !whole || atomic_load(w->stop) ? cancelled(e) : OK;
}

/*
 * The same parameters on what came before the cut, judged on what came after it, beside the deployed model: other parameters
 * beside its parameters on the same data, since its file has seen what is asked. The verdict is what is kept in the end.
 */
static enum err_code judge(struct work *w, struct err *e)
{
	const struct stages *twins = stages_of(w->a, w->stages, "twin", ""),
			    *olds = stages_of(w->a, w->stages, "deployed", w->main ? w->main->params : ""),
			    *verdict = stages_of(w->a, w->stages, "verdict", compared_with(w));

	if (gate_take(verdict, w->a, &w->gate))
		return OK;
	if (compare(w, twins, olds, e))
		return e->code;
	gate_keep(verdict, &w->gate);
	stages_drop(twins);
	stages_drop(olds);
	return OK;
}

/*
 * The model is named after its training: whatever stopped it in between, the file has the same bits. Each attempt has a
 * file of its own, so that one that was given up for lost never writes over what another one has made.
 */
static enum err_code make(struct work *w, struct err *e)
{
	struct model_row *m = &w->model;
	struct artefact *check = NULL;
	struct bundle b;
	const char *name = w->t->id + strlen("trn_"), *id = arena_printf(w->a, "mdl_%s", name);
	char *sha = arena_alloc(w->a, SHA256_HEX_LEN);
	size_t size = 0;

	if (!train_bundle(w->a, &w->past, w->t->as_of, &w->params, stages_of(w->a, w->stages, "whole", ""), w->stop,
			  progress_whole, w, &b))
		return cancelled(e);
	progress(w, "writing", 97);
	snprintf(b.version, sizeof(b.version), "b%s", name);
	*m = (struct model_row){ .id = id, .version = arena_strdup(w->a, b.version), .params = params_text(w->a, &w->params),
				 .data_from = b.data_from, .data_to = b.data_to, .data_rows = b.rows,
				 .seed = (int64_t)w->params.seed, .path = arena_printf(w->a, "%s-%d.model", b.version, w->t->attempt),
				 .routine = routine(w) };
	if (artefact_write(w->svc->conf->model_dir, m->path, &b, sha, &size, e))
		return e->code;
	m->sha256 = sha;
	m->bytes = (int64_t)size;
	/* What was written is what others will read. */
	if (artefact_open(arena_printf(w->a, "%s/%s", w->svc->conf->model_dir, m->path), &check, e))
		return e->code;
	artefact_close(check);
	return shelf_put(w->svc->shelf, w->a, m->path, e);
}

/* ---- the verdict ---- */

static const char *metrics_text(struct arena *a, const struct gate_result *g)
{
	return arena_printf(a,
			    "{\"people\": %zu, \"recall_at_20\": %.5f, \"ndcg_at_20\": %.5f, \"popular_recall_at_20\": %.5f,"
			    " \"popular_ndcg_at_20\": %.5f, \"over_popular\": {\"mean\": %.5f, \"low\": %.5f, \"high\": %.5f}%s}",
			    g->people, g->recall, g->ndcg, g->popular_recall, g->popular_ndcg, g->over_popular.mean,
			    g->over_popular.lo, g->over_popular.hi,
			    g->deployed_ndcg < 0 ? ""
						 : arena_printf(a,
								", \"deployed_ndcg_at_20\": %.5f, \"over_deployed\": {\"mean\": "
								"%.5f, \"low\": %.5f, \"high\": %.5f}",
								g->deployed_ndcg, g->over_deployed.mean, g->over_deployed.lo,
								g->over_deployed.hi));
}

static const char *gate_text(struct arena *a, const struct gate_result *g)
{
	const char *s = "";

	for (size_t i = 0; i < g->n_checks; i++)
		s = arena_printf(a, "%s%s{\"check\": \"%s\", \"passed\": %s, \"value\": %.6g}", s, i ? ", " : "", g->check[i].name,
				 g->check[i].passed ? "true" : "false", g->check[i].value);
	return arena_printf(a, "{\"passed\": %s, \"checks\": [%s]}", g->passed ? "true" : "false", s);
}

/* A routine retrain that has passed: some get it first. It waits for a person while another canary is tried. */
static enum err_code show(struct pg *pg, struct work *w, const struct deployed *now, struct err *e)
{
	const struct reco_conf *conf = w->svc->conf;
	bool moved;

	if (reco_db_model_move(pg, w->model.id, "evaluated", "approved", "gate", "a routine retrain", &moved, e))
		return e->code;
	w->model.state = "approved";
	if (now->canary)
		return OK;
	return conf->canary_percent > 0
		       ? deploy_canary(pg, now, &w->model, conf->canary_percent, conf->canary_h, "gate", NULL, e)
		       : deploy_main(pg, now, &w->model, "gate", NULL, e);
}

/* As far as it may go without a person: a routine retrain that passes is shown, what fails is rejected. */
static enum err_code verdict_tx(struct pg *pg, void *arg, struct err *e)
{
	struct work *w = arg;
	const char *id = w->model.id, *why = w->gate.why;
	struct deployed now;
	bool moved;

	if (deploy_now(pg, w->a, true, &now, e) || reco_db_model_add(pg, &w->model, "training", e) ||
	    reco_db_model_evaluated(pg, id, metrics_text(w->a, &w->gate), gate_text(w->a, &w->gate), e) ||
	    reco_db_model_move(pg, id, "trained", "evaluated", "gate", NULL, &moved, e))
		return e->code;
	if (!w->gate.passed && w->gate.enough) {
		if (reco_db_model_move(pg, id, "evaluated", "rejected", "gate", why, &moved, e))
			return e->code;
	} else if (w->gate.passed && w->model.routine && now.main && strcmp(now.main->model_id, w->main->model_id) == 0) {
		if (show(pg, w, &now, e))
			return e->code;
	}
	return reco_db_training_end(pg, w->t, "done", id, w->gate.passed ? NULL : why, e);
}

struct end_tx {
	struct work *w;
	const char *state, *message; /* state NULL: it waits again */
};

static enum err_code end_tx(struct pg *pg, void *arg, struct err *e)
{
	struct end_tx *t = arg;

	return t->state ? reco_db_training_end(pg, t->w->t, t->state, NULL, t->message, e) : reco_db_training_back(pg, t->w->t, e);
}

static enum err_code run(struct work *w, struct err *e)
{
	if (read_past(w, e) || read_deployed(w, e) || judge(w, e) || make(w, e))
		return e->code;
	return pg_tx(w->svc->pool, mono_ms() + TX_MS, &nobody, verdict_tx, w, e);
}

/* A file that no model has, as the database has said, and what was finished on the way to it. */
static void clean_up(struct work *w, bool file)
{
	if (file && w->model.path) {
		(void)unlink(arena_printf(w->a, "%s/%s", w->svc->conf->model_dir, w->model.path));
		shelf_drop(w->svc->shelf, w->a, w->model.path);
	}
	stages_remove(train_folder(w->svc, w->a, w->t->id));
}

/*
 * Why it ended without a model is written down; what another attempt has taken over is no more ours to write. One that is
 * put back leaves its stages to the next attempt; when the database is away nobody knows, and the timer removes them.
 */
static enum err_code give_in(struct work *w, const struct err *failed, struct err *e)
{
	bool stopped = atomic_load(w->stop), back = stopped && !atomic_load(&w->cancelled);
	struct end_tx t = { w, back ? NULL : stopped ? "cancelled" : "failed", failed->msg };

	log_msg(stopped || failed->code == E_RULE ? LVL_INFO : LVL_ERROR, back ? "a training is put back" : "a training ended without a model",
		LF_S("training", w->t->id), LF_S("why", failed->msg));
	if (pg_tx(w->svc->pool, mono_ms() + TX_MS, &nobody, end_tx, &t, e) == OK) {
		if (!back)
			clean_up(w, true);
	} else if (e->code == E_CONFLICT) {
		err_clear(e);
	}
	return e->code;
}

/* ---- the job ---- */

struct claim_tx {
	struct arena *a;
	struct training_row *row;
	bool found;
};

static enum err_code claim_tx(struct pg *pg, void *arg, struct err *e)
{
	struct claim_tx *t = arg;

	return reco_db_training_claim(pg, t->a, &t->row, &t->found, e);
}

/* Of a process of its own: where memory ends it ends, and not the daemon beside it. */
static void go_first(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "1000", 4) != 4)
		log_msg(LVL_INFO, "the training may outlive its daemon where memory ends", LF_S("why", strerror(errno)));
	if (fd >= 0)
		close(fd);
}

enum err_code train_run(struct reco_svc *svc, atomic_bool *stop, bool *done_r, struct err *e)
{
	atomic_bool never = false;
	struct arena *a = arena_new("reco training", SIZE_MAX);
	struct claim_tx c = { .a = a };
	struct work w = { .svc = svc, .a = a, .stop = stop ? stop : &never, .step = "", .model = { 0 } };
	enum err_code code = pg_tx(svc->pool, mono_ms() + TX_MS, &nobody, claim_tx, &c, e);

	if (!code && c.found) {
		struct err failed = { 0 };

		w.t = c.row;
		pthread_mutex_init(&w.lock, NULL);
		params_read(w.t->params, &w.params, NULL);
		w.params.seed = w.t->seed > 0 ? (uint64_t)w.t->seed : 1;
		w.stages = open_stages(&w);
		if (stop)
			go_first();
		beat_once(&w); /* it may have been cancelled while it waited */
		if (pthread_create(&w.beat, NULL, beat, &w) != 0)
			abort();
		if (run(&w, &failed)) {
			code = give_in(&w, &failed, e);
		} else {
			clean_up(&w, false);
			log_msg(LVL_INFO, "a model was trained", LF_S("model", w.model.id), LF_S("version", w.model.version),
				LF_S("gate", w.gate.passed ? "passed" : w.gate.why));
		}
		atomic_store(&w.ended, true);
		pthread_join(w.beat, NULL);
		pthread_mutex_destroy(&w.lock);
		artefact_close(w.deployed);
	}
	*done_r = c.found;
	arena_free(a);
	return code;
}

/* ---- the timer ---- */

struct due_tx {
	struct reco_svc *svc;
	struct arena *a;
	bool waiting;
};

static enum err_code due_tx(struct pg *pg, void *arg, struct err *e)
{
	struct due_tx *t = arg;
	struct due_row *row = NULL;
	struct deployed now;
	char id[ID_LEN];
	bool added;

	if (reco_db_training_give_up(pg, e) || reco_db_training_due(pg, t->a, t->svc->conf->retrain_h, &row, e))
		return e->code;
	t->waiting = row->waiting;
	if (!row->due)
		return OK;
	if (deploy_now(pg, t->a, false, &now, e))
		return e->code;
	id_new("trn", id);
	if (reco_db_training_add(pg, id, now.main ? now.main->params : "{}", 1, "timer", &added, e))
		return e->code;
	t->waiting = t->waiting || added;
	return OK;
}

/* The own program again with --train added: its memory goes when it ends, and a crash is its own. */
static pid_t start_child(void)
{
	char line[8192], *argv[64];
	posix_spawnattr_t attr;
	sigset_t none;
	size_t n = 0, argc = 0;
	pid_t pid = 0;
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

	if (fd >= 0)
		close(fd);
	if (got <= 0)
		return 0;
	line[got] = '\0';
	while (n < (size_t)got && argc < 62) {
		argv[argc++] = line + n;
		n += strlen(line + n) + 1;
	}
	argv[argc++] = (char *)(uintptr_t)"--train";
	argv[argc] = NULL;
	posix_spawnattr_init(&attr);
	sigemptyset(&none);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	errno = posix_spawn(&pid, "/proc/self/exe", NULL, &attr, argv, environ);
	if (errno != 0) {
		log_msg(LVL_ERROR, "a training cannot be started", LF_S("why", strerror(errno)));
		pid = 0;
	} else {
		log_msg(LVL_INFO, "a training is started", LF_I("pid", pid));
	}
	posix_spawnattr_destroy(&attr);
	return pid;
}

static bool runs(struct reco_svc *svc)
{
	if (svc->trainer > 0 && waitpid(svc->trainer, NULL, WNOHANG) != 0)
		svc->trainer = 0;
	return svc->trainer > 0;
}

void train_stop(struct reco_svc *svc)
{
	int64_t until = mono_ms() + END_MS;

	if (runs(svc))
		(void)kill(svc->trainer, SIGTERM);
	while (runs(svc) && mono_ms() < until)
		sleep_ms(20);
}

enum err_code job_train(void *arg, struct arena *a, struct err *e)
{
	struct due_tx t = { .svc = arg, .a = a };

	if (runs(t.svc))
		return OK;
	if (pg_tx(t.svc->pool, mono_ms() + TX_MS, &nobody, due_tx, &t, e))
		return e->code;
	if (t.waiting && !t.svc->conf->train_outside)
		t.svc->trainer = start_child();
	return OK;
}
