/* REST rows of souk-notify. */
#include "gateway/routes.h"

#include "notify.pb-c.h"

const struct route notify_routes[] = {
	{ "GET", "/api/users/me/preferences", "notify", "GetPreferences",
	  &notify__v1__preferences_request__descriptor, &notify__v1__preferences__descriptor,
	  .auth = AUTH_USER, .rate = RATE_READ, .flags = ROUTE_READ, .tag = "users",
	  .doc = "Which mails the user wants." },
	{ "PUT", "/api/users/me/preferences", "notify", "PutPreferences",
	  &notify__v1__preferences__descriptor, &notify__v1__preferences__descriptor,
	  .auth = AUTH_USER, .rate = RATE_WRITE, .tag = "users", .doc = "Changes which mails the user wants." },
	{ 0 }
};
