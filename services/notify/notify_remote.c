#include "services/notify/notify_remote.h"

#include "common/rpc_client.h"
#include "services/notify/notify.h"

enum err_code notify_remote_contact(struct call *c, const char *user_id, const char *before_link,
				    Identity__V1__Contact **out_r)
{
	const struct notify_svc *svc = c->svc;
	const struct rpc_opts opts = { .as_service = true, .retry_read = true, .timeout_ms = 5000 };
	Identity__V1__ContactRequest in = IDENTITY__V1__CONTACT_REQUEST__INIT;

	in.user_id = (char *)user_id;
	in.link_id = (char *)before_link;
	return rpc_call(svc->identity, c, "GetContact", &in.base, &identity__v1__contact__descriptor, out_r, &opts);
}

enum err_code notify_remote_link(struct call *c, const char *link_id, Identity__V1__Link **out_r)
{
	const struct notify_svc *svc = c->svc;
	const struct rpc_opts opts = { .as_service = true, .timeout_ms = 5000 };
	Identity__V1__LinkRequest in = IDENTITY__V1__LINK_REQUEST__INIT;

	in.link_id = (char *)link_id;
	return rpc_call(svc->identity, c, "MakeLink", &in.base, &identity__v1__link__descriptor, out_r, &opts);
}

enum err_code notify_remote_order(struct call *c, const char *order_id, Checkout__V1__OrderForMail **out_r)
{
	const struct notify_svc *svc = c->svc;
	const struct rpc_opts opts = { .as_service = true, .retry_read = true, .timeout_ms = 5000 };
	Checkout__V1__OrderForMailRequest in = CHECKOUT__V1__ORDER_FOR_MAIL_REQUEST__INIT;

	in.order_id = (char *)order_id;
	return rpc_call(svc->checkout, c, "GetOrderForMail", &in.base, &checkout__v1__order_for_mail__descriptor, out_r,
			&opts);
}
