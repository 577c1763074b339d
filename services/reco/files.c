#include "services/reco/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/timeutil.h"
#include "services/reco/job_train.h"
#include "services/reco/reco_db_model.h"
#include "services/reco/shelf.h"
#include "services/reco/stage.h"

#define LEFT_MS 86400000LL
#define NAMES_MAX 1000 /* looked at in one go */
#define TX_MS 15000

static const struct pg_actor nobody = { "system", "" };

struct prune_tx {
	struct arena *a;
	struct pruned_row *rows;
	size_t n;
};

static enum err_code prune_tx(struct pg *pg, void *arg, struct err *e)
{
	struct prune_tx *t = arg;

	return reco_db_models_prune(pg, t->a, FILES_KEPT, &t->rows, &t->n, e);
}

/* A file that cannot be removed now is met again among those that no model has. */
static void removed(const struct reco_svc *svc, struct arena *a, const char *name)
{
	if (unlink(arena_printf(a, "%s/%s", svc->conf->model_dir, name)) == 0)
		log_msg(LVL_INFO, "a model's file is removed", LF_S("file", name));
	else if (errno != ENOENT)
		log_msg(LVL_WARNING, "a model's file cannot be removed", LF_S("file", name), LF_S("why", strerror(errno)));
}

static bool ours(const char *name)
{
	size_t n = strlen(name);

	return (name[0] == '.' && strstr(name, ".model.tmp_")) || (n > 6 && strcmp(name + n - 6, ".model") == 0);
}

/* Ids of trainings whose folders of stages are there. */
static size_t folders(const struct reco_svc *svc, struct arena *a, const char **ids)
{
	DIR *dir = opendir(svc->conf->model_dir);
	size_t n = 0;

	for (struct dirent *d; dir && n < NAMES_MAX && (d = readdir(dir));) {
		size_t len = strlen(d->d_name), end = strlen(STAGES_SUFFIX);

		if (len > end && strcmp(d->d_name + len - end, STAGES_SUFFIX) == 0)
			ids[n++] = arena_strndup(a, d->d_name, len - end);
	}
	if (dir)
		closedir(dir);
	return n;
}

/* Found before it is asked which trainings live: one that begins meanwhile is not among them. */
static enum err_code sweep_folders(struct reco_svc *svc, struct arena *a, struct err *e)
{
	const char **ids = arena_array(a, NAMES_MAX, sizeof(*ids));
	size_t n = folders(svc, a, ids), n_over = 0;
	struct pruned_row *over = NULL;
	struct pg *pg;
	enum err_code code;

	if (n == 0)
		return OK;
	if (pg_borrow(svc->pool, mono_ms() + TX_MS, &pg, e))
		return e->code;
	code = reco_db_trainings_over(pg, a, ids, n, &over, &n_over, e);
	pg_return(pg);
	for (size_t i = 0; i < n_over; i++)
		stages_remove(train_folder(svc, a, over[i].id));
	return code;
}

static size_t old_names(const struct reco_svc *svc, struct arena *a, const char **names)
{
	DIR *dir = opendir(svc->conf->model_dir);
	size_t n = 0;

	for (struct dirent *d; dir && n < NAMES_MAX && (d = readdir(dir));) {
		struct stat st;

		if (ours(d->d_name) && fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
		    (int64_t)st.st_mtime * 1000 < wall_ms() - LEFT_MS)
			names[n++] = arena_strdup(a, d->d_name);
	}
	if (dir)
		closedir(dir);
	return n;
}

enum err_code job_files(void *arg, struct arena *a, struct err *e)
{
	struct reco_svc *svc = arg;
	const char **names = arena_array(a, NAMES_MAX, sizeof(*names));
	struct prune_tx t = { .a = a };
	struct pruned_row *left = NULL;
	size_t n_names, n_left = 0;
	struct pg *pg;
	enum err_code code;

	if (sweep_folders(svc, a, e) || pg_tx(svc->pool, mono_ms() + TX_MS, &nobody, prune_tx, &t, e))
		return e->code;
	for (size_t i = 0; i < t.n; i++) {
		removed(svc, a, t.rows[i].path);
		shelf_drop(svc->shelf, a, t.rows[i].path);
	}
	n_names = old_names(svc, a, names);
	if (n_names == 0)
		return OK;
	if (pg_borrow(svc->pool, mono_ms() + TX_MS, &pg, e))
		return e->code;
	code = reco_db_files_unknown(pg, a, names, n_names, &left, &n_left, e);
	pg_return(pg);
	for (size_t i = 0; i < n_left; i++)
		removed(svc, a, left[i].path);
	return code;
}
