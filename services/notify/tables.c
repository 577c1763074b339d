/* The tables that main and the tests share. */
#include "notify.pb-c.h"
#include "services/notify/notify.h"
#include "services/notify/notify_db.h"

const struct pg_stmt *const *const notify_stmts[] = {
	notify_db_person_stmts,	 notify_db_template_stmts, notify_db_message_stmts,	  notify_db_queue_stmts,
	notify_db_webhook_stmts, notify_db_webhook_queue_stmts, NULL,
};

static const struct rpc_method *const tables[] = {
	notify_preference_methods, notify_template_methods,	    notify_message_methods,
	notify_webhook_methods,	   notify_webhook_delivery_methods, NULL,
};
const struct rpc_service notify_services[] = { { &notify__v1__notify__descriptor, tables }, { 0 } };
