/* REST rows of souk-notify. */
#include "gateway/routes.h"

#include "notify.pb-c.h"

#define MSG(name) &notify__v1__##name##__descriptor
#define ADMIN .auth = AUTH_ADMIN, .perm = "admin.notify", .tag = "admin: messages"
#define HOOKS .auth = AUTH_ADMIN, .perm = "admin.notify", .tag = "admin: webhooks"
#define READ .rate = RATE_READ, .flags = ROUTE_READ
#define TEMPLATE "/api/admin/notify/templates/{kind}/{lang}"
#define WEBHOOK "/api/admin/webhooks/{webhook_id}"

const struct route notify_routes[] = {
	{ "GET", "/api/users/me/preferences", "notify", "GetPreferences", MSG(preferences_request), MSG(preferences),
	  .auth = AUTH_USER, READ, .tag = "users", .doc = "Which mails the user wants." },
	{ "PUT", "/api/users/me/preferences", "notify", "PutPreferences", MSG(preferences), MSG(preferences),
	  .auth = AUTH_USER, .rate = RATE_WRITE, .tag = "users", .doc = "Changes which mails the user wants." },

	{ "GET", "/api/admin/notify/templates", "notify", "ListTemplates", MSG(list_templates_request),
	  MSG(list_templates_reply), ADMIN, READ, .doc = "Every mail template and who wrote it." },
	{ "GET", TEMPLATE, "notify", "GetTemplate", MSG(template_request), MSG(template), ADMIN, READ,
	  .doc = "One template with its texts and the variables it may use." },
	{ "PUT", TEMPLATE, "notify", "PutTemplate", MSG(put_template_request), MSG(template), ADMIN, .rate = RATE_WRITE,
	  .required = "subject text html", .max_body = 256 * 1024,
	  .doc = "Replaces a template; an unknown variable or an open section is refused." },
	{ "DELETE", TEMPLATE, "notify", "ResetTemplate", MSG(template_request), MSG(template), ADMIN,
	  .rate = RATE_WRITE, .doc = "Goes back to the text that came with Souk." },
	{ "POST", TEMPLATE "/preview", "notify", "PreviewTemplate", MSG(preview_template_request),
	  MSG(preview_template_reply), ADMIN, .rate = RATE_WRITE, .max_body = 256 * 1024,
	  .doc = "Renders a template with made-up values." },

	{ "GET", "/api/admin/notify/messages", "notify", "ListMessages", MSG(list_messages_request),
	  MSG(list_messages_reply), ADMIN, READ, .doc = "Mails by user, order, state or kind, newest first." },
	{ "GET", "/api/admin/notify/messages/{message_id}", "notify", "GetMessage", MSG(message_request), MSG(mail),
	  ADMIN, READ, .doc = "One mail and every attempt to deliver it." },
	{ "POST", "/api/admin/notify/messages/{message_id}/resend", "notify", "ResendMessage", MSG(message_request),
	  MSG(mail), ADMIN, .rate = RATE_WRITE, .status = 202, .doc = "Sends a mail again, as a new one." },

	{ "POST", "/api/admin/webhooks", "notify", "CreateWebhook", MSG(create_webhook_request), MSG(webhook), HOOKS,
	  .rate = RATE_WRITE, .status = 201, .required = "url events",
	  .doc = "Registers an address that is told of events; the answer alone shows the signing secret." },
	{ "GET", "/api/admin/webhooks", "notify", "ListWebhooks", MSG(list_webhooks_request), MSG(list_webhooks_reply),
	  HOOKS, READ, .doc = "The registered webhooks." },
	{ "GET", WEBHOOK, "notify", "GetWebhook", MSG(webhook_request), MSG(webhook), HOOKS, READ, .doc = "One webhook." },
	{ "PATCH", WEBHOOK, "notify", "UpdateWebhook", MSG(update_webhook_request), MSG(webhook), HOOKS,
	  .rate = RATE_WRITE, .doc = "Changes address, events, description, or switches it on or off." },
	{ "DELETE", WEBHOOK, "notify", "DeleteWebhook", MSG(webhook_request), &common__v1__empty__descriptor, HOOKS,
	  .rate = RATE_WRITE, .status = 204, .doc = "Removes a webhook and its deliveries." },
	{ "POST", WEBHOOK "/secret", "notify", "RotateWebhookSecret", MSG(webhook_request), MSG(webhook), HOOKS,
	  .rate = RATE_WRITE, .doc = "Makes a new signing secret; the old one ends at once." },
	{ "POST", WEBHOOK "/test", "notify", "TestWebhook", MSG(webhook_request), MSG(webhook_delivery), HOOKS,
	  .rate = RATE_WRITE, .status = 202, .doc = "Queues a delivery of type webhook.test." },
	{ "GET", WEBHOOK "/deliveries", "notify", "ListWebhookDeliveries", MSG(list_webhook_deliveries_request),
	  MSG(list_webhook_deliveries_reply), HOOKS, READ, .doc = "What was sent to a webhook, newest first." },
	{ "POST", WEBHOOK "/deliveries/{delivery_id}/redeliver", "notify", "RedeliverWebhook",
	  MSG(webhook_delivery_request), MSG(webhook_delivery), HOOKS, .rate = RATE_WRITE, .status = 202,
	  .doc = "Sends a delivery again." },
	{ 0 }
};
