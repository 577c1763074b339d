/* The reco daemon's inside: its state and the tables of its handler files. */
#ifndef SOUK_RECO_H
#define SOUK_RECO_H

#include <sys/types.h>

#include "common/cache.h"
#include "common/daemon.h"
#include "common/inbox.h"
#include "common/rpc.h"
#include "common/rpc_client.h"
#include "common/timer.h"

struct visitors;
struct hot;
struct shelf;
struct serve;

struct reco_conf {
	struct daemon_conf d;
	const char *identity_url, *identity_bell_url;	/* consents, erased users */
	const char *catalog_url, *catalog_bell_url;	/* products, reviews */
	const char *inventory_url, *inventory_bell_url; /* what is in stock */
	const char *cart_url, *cart_bell_url;
	const char *checkout_url, *checkout_bell_url;	/* purchases */
	const char *consent;   /* opt_out | opt_in: whether a profile needs a yes first */
	const char *model_dir; /* where models are kept; shared by replicas */
	const char *store_url, *store_region, *store_access_key, *store_secret_key; /* of models; URL empty: none */
	int keep_months;       /* of events; 0: for ever */
	int visitor_events;    /* of one visitor in an hour; more are dropped */
	int cache_s;	       /* life of a cached answer */
	int retrain_h;	       /* hours between routine trainings; 0: only by hand */
	int train_events;      /* the latest so many are learnt from */
	bool train_outside;    /* the daemon starts no training, it only queues them */
	int canary_percent;    /* of the visitors get a routine retrain first; 0: everybody at once */
	int canary_h;	       /* hours until a canary is judged; 0: never, by a person */
};

struct reco_svc {
	const struct reco_conf *conf;
	struct pg_pool *pool;
	struct cache *cache;
	struct rpc_client *catalog, *inventory;
	struct visitors *visitors; /* what each visitor sent within the hour */
	struct hot *hot;	   /* candidates asked for most; NULL: Redis alone */
	struct shelf *shelf;	   /* models beyond this machine; NULL: the folder is shared */
	struct serve *serve;	   /* the models that are loaded; services/reco/serve.h */
	pid_t trainer;		   /* the training started by job_train that runs; 0: none. The timer's own */
};

extern const struct rpc_method reco_collect_methods[]; /* collect.c */
extern const struct rpc_method reco_import_methods[];  /* import.c */
extern const struct rpc_method reco_admin_methods[];   /* admin.c: status, pins */
extern const struct rpc_method reco_model_methods[];   /* model.c */
extern const struct rpc_method reco_training_methods[]; /* training.c */
extern const struct rpc_method reco_recommend_methods[]; /* recommend.c */
extern const struct rpc_method reco_report_methods[];  /* report.c */

extern const struct pg_stmt *const *const reco_stmts[];
extern const struct rpc_service reco_services[];
extern const struct inbox_handler reco_inbox[];
extern const struct timer_job reco_jobs[];

#endif
