"""One request for every row of the OpenAPI document, made so that it works where that can be had cheaply: values by the names
of fields and parameters, and recipes for what needs a state of its own. A row that nobody thought of is asked with what its
names give, and so is never left out."""

import re
import time
import uuid

from rest import Rest

PASSWORD = "a-Test-password-1357"
ADDRESS = {"name": "Tora Torture", "line1": "1 Market Street", "city": "Springfield", "region": "IL", "postal_code": "62701",
           "country": "US"}
HOME = "country=US&region=IL&postal_code=62701"

# What a field or parameter of this name holds unless the world knows better.
PLAIN = {
    "qty": 1, "limit": 5, "q": "thing", "type": "trending", "placement": "home", "format": "csv", "currency": "USD", "reason": "torture",
    "title": "A title", "text": "Words", "html": "<p>Words</p>", "subject": "Words", "description": "Made by a test.", "country": "US",
    "accept_terms": True, "commission_bp": 900, "rating": 4, "status": "approved", "rate_bp": 700, "zone": "us", "countries": ["US"],
    "prices": [{"amount": 500, "currency": "USD"}], "kind": "percent", "percent_bp": 1000, "lang": "en", "purpose": "marketing",
    "granted": True, "version": "1", "delta": 1, "on_hand": 100000, "content_type": "image/png", "bytes": 100,
    "role": "staff", "events": ["order.placed"], "url": "https://hooks.example/souk", "perms": ["admin.orders"], "query": "thing",
    "action": "pin", "position": 1, "words": ["lamp", "light"], "service": "catalog", "code": "000000", "token": "none", "mfa_token": "none",
    "key": "none", "folder": "none", "reference": "torture", "source": "torture", "carrier": "Post", "tracking": "1",
    "amount": {"amount": 100, "currency": "USD"}, "price": {"amount": 1999, "currency": "USD"}, "name": "Tora", "line1": "1 Market Street",
    "city": "Springfield", "region": "IL", "postal_code": "62701", "line2": "", "is_default": False, "why": "torture",
    "shipping_method": "standard", "marketing_mail": False, "current_password": PASSWORD, "new_password": PASSWORD, "password": PASSWORD,
}


class Request:
    def __init__(self, method, path, who, body=None, data=None, headers=None):
        self.method, self.path, self.who, self.body, self.data, self.headers = method, path, who, body, data, headers or {}


def unique(prefix="t"):
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def fill(template, values):
    return re.sub(r"\{(\w+)\}", lambda m: str(values(m.group(1))), template)


class World:
    """People, goods and orders to ask about."""

    def __init__(self, shop, demo):
        self.shop, self.demo = shop, demo
        self.values, self.tokens = {}, {}
        self.paid_once = False  # since the cart was seen empty
        self.emails = {who: f"{unique()}@torture.souk.example" for who in ("buyer", "owner", "leaver")}
        for email in self.emails.values():
            shop.register(email, PASSWORD, "Tora Torture")
        admin = next(u for u in demo["users"] if u["role"] == "admin")
        self.emails["admin"] = admin["email"]
        owner = shop.login(self.emails["owner"], PASSWORD)
        slug = unique("vendor")
        vendor = owner.post("/api/vendors", {"name": slug, "slug": slug, "country": "US", "accept_terms": True}, key=True, expect=201)
        self.values["vendor_id"] = vendor["id"]
        self.caller("admin").post(f"/api/admin/vendors/{vendor['id']}/approve", {"commission_bp": 1000}, expect=200)
        shop.vendor_login(self.emails["owner"], PASSWORD, vendor["id"])
        product = self.product()
        variant = product["variants"][0]
        self.values.update(product_id=product["id"], variant_id=variant["id"], sku=variant["sku"])
        self.wait_stock(variant["sku"])
        me = self.caller("buyer").get("/api/users/me", expect=200)
        self.values["user_id"] = me["id"]
        order = self.order()
        self.values.update(order_id=order["id"], checkout_id=self.checkout()["id"])
        parts = self.caller("vendor").get("/api/vendor/orders?limit=1", expect=200)["data"]
        self.values["vendor_order_id"] = parts[0]["id"]
        self.collect()

    def collect(self):
        """An id of each kind that exists."""
        for name, who, path in (("category_id", None, "/api/categories"), ("promotion_id", "admin", "/api/admin/promotions"),
                                ("shipping_method_id", "admin", "/api/admin/shipping-methods"), ("tax_rate_id", "admin", "/api/admin/tax-rates"),
                                ("message_id", "admin", "/api/admin/notify/messages"), ("location_id", "vendor", "/api/vendor/locations"),
                                ("model_id", "admin", "/api/admin/reco/models"), ("review_id", "admin", "/api/admin/reviews"),
                                ("refund_id", "admin", "/api/admin/refunds")):
            reply = (self.caller(who) if who else self.shop.guest()).get(path + "?limit=1")
            if reply.status == 200 and reply.get("data"):
                self.values[name] = reply["data"][0]["id"]
        templates = self.caller("admin").get("/api/admin/notify/templates").get("data")
        self.values["kind"] = templates[0]["kind"] if templates else "order_placed"

    # ---- people ----

    def token(self, who):
        made, token = self.tokens.get(who, (0, None))
        if time.monotonic() > made + 240:
            if who == "admin":
                token = self.shop.login(self.emails["admin"], self.demo["password"], "admin").token
            elif who == "vendor":
                token = self.shop.vendor_login(self.emails["owner"], PASSWORD, self.values["vendor_id"]).token
            else:
                token = self.shop.login(self.emails[who], PASSWORD).token
            self.tokens[who] = time.monotonic(), token
        return token

    def caller(self, who):
        return Rest(self.shop.url, self.token(who), patience=30)

    # ---- goods and orders ----

    def product(self):
        tag = unique("sku")
        return self.caller("vendor").post("/api/vendor/products", {
            "title": unique("Thing"), "description": "Made by a test.", "publish": True,
            "variants": [{"sku": tag, "title": "One", "options": {"kind": "1"}, "weight_g": 500, "on_hand": 100000,
                          "price": {"amount": 1999, "currency": "USD"}}]}, expect=201).json

    def wait_stock(self, sku):
        deadline = time.monotonic() + 60
        vendor = self.caller("vendor")
        while vendor.get(f"/api/vendor/inventory/{sku}").get("on_hand") != 100000:
            if time.monotonic() > deadline:
                raise TimeoutError("inventory never hears of the goods")
            time.sleep(0.1)

    def line(self):
        buyer = self.caller("buyer")
        cart = buyer.post("/api/cart/items", {"variant_id": self.values["variant_id"], "qty": 1}, expect=201)
        return cart["lines"][0]["id"] if cart.get("lines") else cart["items"][0]["id"]

    def settle_cart(self, seconds=5):
        """What was bought leaves the cart by an event; not while somebody checks out. The rest of it goes by hand."""
        buyer, deadline = self.caller("buyer"), time.monotonic() + seconds
        while self.paid_once:
            cart = buyer.get("/api/cart", expect=200)
            if not cart.get("item_count", 0):
                self.paid_once = False
            elif time.monotonic() > deadline:
                buyer.delete("/api/cart", if_match=cart.etag)
            time.sleep(0.05)

    def begin(self):
        """(headers, body) of a checkout that can begin."""
        self.settle_cart()
        self.line()
        estimate = self.caller("buyer").get("/api/cart/estimate?" + HOME, expect=200)
        return ({"If-Match": f'"{estimate["cart_id"]}-{estimate["cart_version"]}"', "Idempotency-Key": unique("key")},
                {"shipping_method": estimate["shipping_method"], "expected_total": estimate["totals"]["total"], "address": ADDRESS})

    def checkout(self):
        headers, body = self.begin()
        buyer = self.caller("buyer")
        made = buyer.post("/api/checkout", body, headers=headers, expect=(200, 201, 202))
        deadline = time.monotonic() + 30
        while made.get("state") != "payment_pending":
            if time.monotonic() > deadline:
                raise TimeoutError(f"no checkout: {made.text[:300]}")
            time.sleep(0.05)
            made = buyer.get(f"/api/checkout/{made['id']}", expect=200)
        return made

    def paid(self):
        checkout = self.checkout()
        self.shop.pay(checkout["payment"]["client_secret"])
        self.paid_once = True
        return checkout

    def order(self):
        checkout = self.paid()
        buyer, deadline = self.caller("buyer"), time.monotonic() + 30
        while True:
            reply = buyer.post("/api/orders/confirm", {"checkout_id": checkout["id"]}, key=True, expect=(200, 202))
            if reply.status == 200:
                return reply
            if time.monotonic() > deadline:
                raise TimeoutError("no order")

    def part(self, *steps):
        """A fresh order's part, brought so far: ship, deliver."""
        self.order()
        vendor = self.caller("vendor")
        part = vendor.get("/api/vendor/orders?limit=1", expect=200)["data"][0]["id"]
        for step in steps:
            vendor.post(f"/api/vendor/orders/{part}/{step}", {}, expect=200)
        return part

    def returned(self, *steps):
        order = self.order()
        vendor = self.caller("vendor")
        part = vendor.get("/api/vendor/orders?limit=1", expect=200)["data"][0]["id"]
        for step in ("ship", "deliver"):
            vendor.post(f"/api/vendor/orders/{part}/{step}", {}, expect=200)
        made = self.caller("buyer").post(f"/api/orders/{order['id']}/returns", self.return_of(order), key=True, expect=201)
        for step in steps:
            vendor.post(f"/api/vendor/returns/{made['id']}/{step}", {}, expect=200, key=True)
        return made["id"]

    @staticmethod
    def return_of(order):
        line = (order.get("lines") or order["vendor_orders"][0]["lines"])[0]
        return {"lines": [{"line_id": line["id"], "qty": 1}], "reason": "torture"}

    # ---- a row of the document ----

    def value(self, name, schema=None):
        if name in ("slug", "sku") and schema is not None:
            return unique(name)
        if name in ("email",):
            return f"{unique()}@torture.souk.example"
        if name == "code" and schema is not None:
            return unique("C")[:12]
        if name in self.values:
            return self.values[name]
        if name in PLAIN:
            return PLAIN[name]
        return {"integer": 1, "boolean": True, "array": [], "object": {}}.get((schema or {}).get("type"), "none")


def default(world, doc, method, template, op):
    """A request with all that the row requires."""
    params = [resolve(doc, p) for p in op.get("parameters", [])]
    path = fill(template, world.value)
    query = "&".join(f"{p['name']}={world.value(p['name'])}" for p in params if p["in"] == "query" and p.get("required"))
    body = data = None
    headers = {}
    for kind, content in op.get("requestBody", {}).get("content", {}).items():
        schema = resolve(doc, content.get("schema", {}))
        if "json" in kind:
            body = {name: world.value(name, resolve(doc, s)) for name, s in schema.get("properties", {}).items()
                    if name in schema.get("required", [])}
        else:
            data, headers["Content-Type"] = b"x", kind
        break
    if any(p["name"] == "Idempotency-Key" and p.get("required") for p in params):
        headers["Idempotency-Key"] = unique("key")
    who = ("admin" if template.startswith("/api/admin") else "vendor" if template.startswith("/api/vendor/") else
           "buyer" if op.get("security") else None)
    if any(p["name"] == "If-Match" and p.get("required") for p in params):
        at = "/api/cart" if template.startswith("/api/cart") else path
        headers["If-Match"] = world.caller(who).get(at).etag or '"none"'
    return Request(method, path + ("?" + query if query else ""), who, body, data, headers)


def resolve(doc, schema):
    while "$ref" in schema:
        at = doc
        for word in schema["$ref"].split("/")[1:]:
            at = at[word]
        schema = at
    return schema


# ---- what needs a state of its own: function(world, the default request), called anew for every try ----

def at(make):
    """The path ends in (or holds) a thing made for this try."""
    def recipe(world, r, template):
        thing = make(world)
        r.path = fill(template, lambda name: thing if name not in world.values or name in make.names else world.value(name))
    return recipe


def thing(who, path, body, *names):
    def make(world):
        given = body(world) if callable(body) else body
        return world.caller(who).post(path, given, expect=(200, 201), key=True)["id"]
    make.names = names
    return make


def named(function, *names):
    def make(world):
        return function(world)
    make.names = names
    return make


def start_checkout(world, r, _):
    r.headers, r.body = world.begin()


def confirm(world, r, _):
    r.body = {"checkout_id": world.paid()["id"]}


def patch_checkout(world, r, _):
    made = world.checkout()
    r.path = f"/api/checkout/{made['id']}"
    seen = world.caller("buyer").get(r.path, expect=200)
    r.headers["If-Match"] = seen.etag or '"none"'
    r.body = {"address": ADDRESS, "expected_total": seen["totals"]["total"] if seen.get("totals") else PLAIN["amount"]}


def cart_line(world, r, _):
    r.path = f"/api/cart/items/{world.line()}"
    r.headers["If-Match"] = world.caller("buyer").get("/api/cart").etag


def cart_tag(world, r, _):
    world.line()
    r.headers["If-Match"] = world.caller("buyer").get("/api/cart").etag


def new_return(world, r, _):
    order = world.order()
    vendor = world.caller("vendor")
    part = vendor.get("/api/vendor/orders?limit=1", expect=200)["data"][0]["id"]
    for step in ("ship", "deliver"):
        vendor.post(f"/api/vendor/orders/{part}/{step}", {}, expect=200)
    r.path, r.body = f"/api/orders/{order['id']}/returns", world.return_of(order)


def login(world, r, _):
    r.who, r.body = None, {"email": world.emails["buyer"], "password": PASSWORD}


def session(world, r, _):
    reply = world.shop.guest().post("/api/auth/login", {"email": world.emails["owner"], "password": PASSWORD, "refresh_in_body": True},
                                    expect=200)
    r.who, r.body = None, {"refresh_token": reply["refresh_token"]}
    r.headers["X-Requested-With"] = "XMLHttpRequest"


def csv(world, r, _):
    r.path = "/api/vendor/products/import?format=csv"
    r.data = f"product_ref,title,description,sku,variant_title,price,currency,on_hand\np1,{unique()},Words,{unique('s')},One,1999,USD,5\n".encode()


def events(world, r, _):
    r.body = {"events": [{"type": "view", "product_id": world.values["product_id"], "event_id": unique("e")}], "session_id": unique("s")}


def new_product(world, r, _):
    r.body = {"title": unique("Thing"), "publish": False, "variants": [{"sku": unique("sku"), "title": "One", "weight_g": 1,
              "price": {"amount": 5, "currency": "USD"}, "on_hand": 1}]}


def new_variant(world, r, _):
    r.body = {"variant": {"sku": unique("sku"), "title": unique("Two"), "options": {"kind": unique()}, "weight_g": 1,
                          "price": {"amount": 5, "currency": "USD"}, "on_hand": 1}}


def nobody(world, r, _):
    r.who = None


def leaver(world, r, _):
    world.tokens.pop("leaver", None)
    r.who = "leaver"


CATEGORY = thing("admin", "/api/admin/categories", lambda w: {"name": unique("Cat")}, "category_id")
ADDRESS_ID = thing("buyer", "/api/users/me/addresses", ADDRESS, "address_id")
LOCATION = lambda w: {"code": unique("L")[:12].upper(), "name": "Shelf"}  # noqa: E731
WEBHOOK = thing("admin", "/api/admin/webhooks", {"url": "https://hooks.example/souk", "events": ["order.placed"]}, "webhook_id")
PRODUCT = named(lambda w: w.product()["id"], "product_id")
ORDER = named(lambda w: w.order()["id"], "order_id")
TAX = thing("admin", "/api/admin/tax-rates", lambda w: {"country": "NZ", "region": unique("R")[:8].upper(), "rate_bp": 700, "name": "GST"},
            "tax_rate_id")
PROMOTION = thing("admin", "/api/admin/promotions", lambda w: {"title": unique("P"), "kind": "percent", "percent_bp": 100}, "promotion_id")
RULE = thing("admin", "/api/admin/search/rules", lambda w: {"query": unique("q"), "action": "pin", "position": 1,
                                                            "product_id": w.values["product_id"]}, "rule_id")
SYNONYM = thing("admin", "/api/admin/search/synonyms", lambda w: {"words": [unique("a"), unique("b")]}, "synonym_id")
PIN = thing("admin", "/api/admin/reco/pins", lambda w: {"placement": "home", "product_id": w.values["product_id"], "position": 1}, "pin_id")
API_KEY = thing("admin", "/api/admin/api-keys", lambda w: {"name": unique("k"), "perms": ["admin.orders"]}, "key_id")


def plain(change):
    """A recipe that changes the body alone."""
    def recipe(world, r, _):
        r.body = change(world) if callable(change) else change
    return recipe


RECIPES = {
    "POST /api/checkout": start_checkout, "POST /api/orders/confirm": confirm, "PATCH /api/checkout/{checkout_id}": patch_checkout,
    "DELETE /api/checkout/{checkout_id}": at(named(lambda w: w.checkout()["id"], "checkout_id")),
    "POST /api/orders/{order_id}/cancel": at(ORDER), "POST /api/admin/orders/{order_id}/cancel": at(ORDER),
    "POST /api/admin/orders/{order_id}/refunds": at(ORDER), "POST /api/orders/{order_id}/returns": new_return,
    "POST /api/vendor/orders/{vendor_order_id}/ship": at(named(lambda w: w.part(), "vendor_order_id")),
    "POST /api/vendor/orders/{vendor_order_id}/deliver": at(named(lambda w: w.part("ship"), "vendor_order_id")),
    "POST /api/vendor/returns/{return_id}/approve": at(named(lambda w: w.returned(), "return_id")),
    "POST /api/vendor/returns/{return_id}/reject": at(named(lambda w: w.returned(), "return_id")),
    "POST /api/vendor/returns/{return_id}/receive": at(named(lambda w: w.returned("approve"), "return_id")),
    "PATCH /api/cart/items/{line_id}": cart_line, "DELETE /api/cart/items/{line_id}": cart_line, "DELETE /api/cart": cart_tag,
    "POST /api/cart/coupons/{code}": cart_tag, "DELETE /api/cart/coupons/{code}": cart_tag, "POST /api/cart/merge": cart_tag,
    "POST /api/auth/login": login, "POST /api/auth/refresh": session, "POST /api/auth/logout": session,
    "POST /api/auth/logout-all": leaver, "DELETE /api/users/me": nobody,
    "POST /api/vendor/products": new_product, "POST /api/vendor/products/{product_id}/variants": new_variant,
    "POST /api/vendor/products/import": csv, "POST /api/events": events,
    "DELETE /api/vendor/products/{product_id}": at(PRODUCT), "POST /api/vendor/products/{product_id}/unpublish": at(PRODUCT),
    "PATCH /api/vendor/products/{product_id}": plain({"description": "Other words"}),
    "PATCH /api/vendor/products/{product_id}/variants/{variant_id}": plain({"title": "Kind 1"}),
    "DELETE /api/admin/categories/{category_id}": at(CATEGORY), "PATCH /api/admin/categories/{category_id}": plain({"position": 3}),
    "POST /api/admin/categories": plain(lambda w: {"name": unique("Cat")}),
    "DELETE /api/users/me/addresses/{address_id}": at(ADDRESS_ID), "PATCH /api/users/me/addresses/{address_id}": at(ADDRESS_ID),
    "POST /api/users/me/addresses": plain(ADDRESS), "PATCH /api/users/me": plain({"name": "Tora"}),
    "PATCH /api/vendor/profile": plain({"description": "Words"}), "POST /api/vendor/locations": plain(LOCATION),
    "DELETE /api/admin/webhooks/{webhook_id}": at(WEBHOOK), "PATCH /api/admin/webhooks/{webhook_id}": at(WEBHOOK),
    "GET /api/admin/webhooks/{webhook_id}": at(WEBHOOK), "GET /api/admin/webhooks/{webhook_id}/deliveries": at(WEBHOOK),
    "POST /api/admin/webhooks/{webhook_id}/secret": at(WEBHOOK), "POST /api/admin/webhooks/{webhook_id}/test": at(WEBHOOK),
    "DELETE /api/admin/tax-rates/{tax_rate_id}": at(TAX), "PATCH /api/admin/tax-rates/{tax_rate_id}": plain({"name": "Tax"}),
    "POST /api/admin/tax-rates": plain(lambda w: {"country": "NZ", "region": unique("R")[:8].upper(), "rate_bp": 700, "name": "GST"}),
    "POST /api/admin/promotions": plain(lambda w: {"title": unique("P"), "kind": "percent", "percent_bp": 100}),
    "GET /api/admin/promotions/{promotion_id}": at(PROMOTION), "PATCH /api/admin/promotions/{promotion_id}": at(PROMOTION),
    "PATCH /api/admin/shipping-methods/{shipping_method_id}": plain({"priority": 3}),
    "DELETE /api/admin/shipping-methods/{shipping_method_id}": plain(None),
    "POST /api/admin/search/rules": plain(lambda w: {"query": unique("q"), "action": "pin", "position": 1, "product_id": w.values["product_id"]}),
    "DELETE /api/admin/search/rules/{rule_id}": at(RULE), "DELETE /api/admin/search/synonyms/{synonym_id}": at(SYNONYM),
    "POST /api/admin/search/synonyms": plain(lambda w: {"words": [unique("a"), unique("b")]}),
    "DELETE /api/admin/reco/pins/{pin_id}": at(PIN), "DELETE /api/admin/api-keys/{key_id}": at(API_KEY),
    "POST /api/admin/api-keys": plain(lambda w: {"name": unique("k"), "perms": ["admin.orders"]}),
    "PUT /api/vendor/inventory/{sku}": plain({"on_hand": 100000}),
}

# What would shut somebody out whom later requests need is asked of somebody else, who need not exist.
ABSENT = "usr_01jd000000000000000000000a"
FOR_ABSENT = {"POST /api/admin/users/{user_id}/disable", "DELETE /api/admin/users/{user_id}/sessions", "POST /api/admin/users/{user_id}/roles",
              "DELETE /api/admin/users/{user_id}/roles/{role}", "DELETE /api/vendor/members/{user_id}", "PATCH /api/vendor/members/{user_id}",
              "DELETE /api/admin/shipping-methods/{shipping_method_id}", "POST /api/admin/vendors/{vendor_id}/suspend",
              "POST /api/admin/vendors/{vendor_id}/reject"}


class Row:
    """A row of the document: what to ask, as often as wanted."""

    def __init__(self, doc, method, template, op):
        self.doc, self.method, self.template, self.op = doc, method, template, op
        self.name = f"{method} {template}"
        self.fresh = self.name in RECIPES
        self.tag = (op.get("tags") or ["-"])[0]

    def make(self, world):
        r = default(world, self.doc, self.method, self.template, self.op)
        if self.name in FOR_ABSENT:
            r.path = fill(self.template, lambda name: ABSENT.replace("usr", name[:3]))
        elif self.name in RECIPES:
            RECIPES[self.name](world, r, self.template)
        return r


def rows(doc):
    return [Row(doc, method.upper(), template, op) for template, ops in doc["paths"].items()
            for method, op in ops.items() if method != "parameters"]
