"""The set of processes of a local platform, in one table.

A row says what runs, how one sees that it is ready and what it is told. Daemons get their keys as environment and,
for a person who wants to start one by hand, as <run>/env/<name>.env (`set -a; . <run>/env/cart.env; souk-cart`).
"""

import os

PYTHON = "/usr/bin/python3"  # Debian's, which has the packages of deploy/packages.txt

# name, its number among the default ports 7001.. (bell +100, admin +200)
DAEMONS = [
    ("identity", 1),
    ("catalog", 2),
    ("inventory", 3),
    ("cart", 4),
    ("checkout", 5),
    ("search", 6),
    ("reco", 7),
    ("notify", 8),
]
DAEMON_NAMES = [name for name, _ in DAEMONS]

# Who listens where by default; SOUK_PORT_BASE moves all of them, the variable moves one.
PORTS = {
    "http": (8080, "SOUK_HTTP_PORT", "the gateway"),
    "gateway_admin": (7200, "SOUK_GATEWAY_ADMIN_PORT", "the gateway's admin port"),
    "sandbox": (8090, "SOUK_SANDBOX_PORT", "the payment sandbox"),
    "smtp": (8025, "SOUK_SMTP_PORT", "the mail catcher (SMTP)"),
    "mail": (8026, "SOUK_MAIL_PORT", "the mail catcher (web)"),
    "store": (8027, "SOUK_STORE_PORT", "the object store"),
    "traces": (8028, "SOUK_TRACES_PORT", "the trace receiver of tests"),
}
for _name, _i in DAEMONS:
    _up = _name.upper()
    PORTS[_name] = (7000 + _i, f"SOUK_{_up}_PORT", f"souk-{_name}")
    PORTS[_name + "_bell"] = (7100 + _i, f"SOUK_{_up}_BELL_PORT", f"souk-{_name}'s doorbell")
    PORTS[_name + "_admin"] = (7200 + _i, f"SOUK_{_up}_ADMIN_PORT", f"souk-{_name}'s admin port")


class Process:
    """One supervised process. ready: a URL that answers 200, a callable, or None (started = ready)."""

    def __init__(self, name, argv, env=None, ready=None, user=None, stop_signal=15, stop_after=15.0, rank=5,
                 cwd=None, own_env=False, before=None, forks=False):
        self.name = name
        self.argv = argv
        self.env = env or {}
        self.ready = ready
        self.user = user
        self.stop_signal = stop_signal
        self.stop_after = stop_after
        self.rank = rank  # started in ascending order, stopped in descending order
        self.cwd = cwd
        self.own_env = own_env  # write <run>/env/<name>.env
        self.before = before  # called before each start
        self.forks = forks  # has processes of its own, which must be gone before it starts again


def shared_env(s):
    """What every daemon is told alike."""
    return {
        "REDIS_URL": s.redis_url,
        "SOUK_KEYS_DIR": s.keys_dir,
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "INFO"),
        "DRAIN_MS": os.environ.get("DRAIN_MS", "1000"),
        "RESOLVE_MS": os.environ.get("RESOLVE_MS", "1000"),
        "OTLP_URL": os.environ.get("OTLP_URL", f"http://127.0.0.1:{s.ports['traces']}" if s.testing else ""),
    }


def daemon_env(s, name):
    up = name.upper()
    env = shared_env(s)
    env[f"{up}_LISTEN"] = f"tcp://127.0.0.1:{s.ports[name]}"
    env[f"{up}_BELL_LISTEN"] = f"tcp://127.0.0.1:{s.ports[name + '_bell']}"
    env[f"{up}_ADMIN_LISTEN"] = f"127.0.0.1:{s.ports[name + '_admin']}"
    env[f"{up}_PG_DSN"] = s.dsn(f"souk_{name}")
    env[f"{up}_PG_MIGRATE_DSN"] = s.dsn("souk_migrate")
    env.update(peers_env(s))
    env.update(EXTRA.get(name, lambda _: {})(s))
    return overridden(env, up + "_")


def overridden(env, *prefixes):
    """What the person who starts it says wins: CART_MAX_LINES=5 make -f Makefile.ci up."""
    env.update({k: v for k, v in os.environ.items() if k.startswith(prefixes)})
    return env


def peers_env(s):
    env = {}
    for peer in DAEMON_NAMES:
        env[f"{peer.upper()}_URL"] = f"tcp://127.0.0.1:{s.ports[peer]}"
        env[f"{peer.upper()}_BELL_URL"] = f"tcp://127.0.0.1:{s.ports[peer + '_bell']}"
    return env


def store_url(s):
    return f"http://127.0.0.1:{s.ports['store']}/souk-media"


def store_env(s):
    return {"STORE_ACCESS_KEY": s.secret("store_access_key", "AK"), "STORE_SECRET_KEY": s.secret("store_secret_key", "")}


def catalog_env(s):
    keys = store_env(s)
    return {
        "CATALOG_STORE_URL": store_url(s),
        "CATALOG_STORE_ACCESS_KEY": keys["STORE_ACCESS_KEY"],
        "CATALOG_STORE_SECRET_KEY": keys["STORE_SECRET_KEY"],
    }


def gateway_env(s):
    env = shared_env(s)
    env.update(peers_env(s))
    env["GATEWAY_LISTEN"] = f"{s.http_host}:{s.ports['http']}"
    env["GATEWAY_MEDIA_URL"] = store_url(s)
    env["GATEWAY_ADMIN_LISTEN"] = f"127.0.0.1:{s.ports['gateway_admin']}"
    # One machine is one address: the production limits (100 a minute) would stop a developer, the demo loader, a test.
    many = "1000000" if s.testing else "3000"
    env.update({"LIMIT_USER": many, "LIMIT_ANONYMOUS": many, "LIMIT_AUTH": many, "LIMIT_EVENTS": many, "LIMIT_GUARD": "1000000"})
    if s.testing:
        env["CORS_ORIGINS"] = "https://pages.e2e.example"
    return overridden(env, "GATEWAY_", "LIMIT_", "CORS_", "TRUSTED_PROXIES", "COOKIE_SECURE")


def checkout_env(s):
    return {
        "CHECKOUT_PAY_URL": s.sandbox_url,
        "CHECKOUT_PAY_KEY": s.secret("pay_secret_key", "sk_test_"),
        "CHECKOUT_PAY_PUBLISHABLE_KEY": s.secret("pay_publishable_key", "pk_test_"),
        "CHECKOUT_PAY_WEBHOOK_SECRETS": s.secret("pay_webhook_secret", "whsec_"),
    }


def notify_env(s):
    return {
        "NOTIFY_SMTP_URL": f"smtp://127.0.0.1:{s.ports['smtp']}",
        "NOTIFY_FROM": "shop@souk.example",
        "NOTIFY_SHOP_URL": s.url,
    }


def identity_env(s):
    # Sanitized builds hash slowly, and a test registers hundreds of people.
    return {"IDENTITY_ARGON2_MEMORY_KIB": "8192", "IDENTITY_ARGON2_PASSES": "1"} if s.testing else {}


def reco_env(s):
    return {"RECO_MODEL_DIR": os.path.join(s.run_dir, "models")}


def search_env(s):
    # Sanitized builds answer late.
    return overridden({"SEARCH_RECO_MS": "1000"} if s.testing else {}, "OPENSEARCH_")


EXTRA = {"catalog": catalog_env, "checkout": checkout_env, "notify": notify_env, "identity": identity_env, "reco": reco_env,
         "search": search_env}


# What checkout has a use for, as docs/operations.md tells who sets up an endpoint at the real provider.
PAY_EVENTS = ("payment_intent.amount_capturable_updated,payment_intent.succeeded,payment_intent.canceled,"
              "payment_intent.payment_failed,charge.dispute.created,charge.refund.updated,refund.updated,refund.failed")


def sandbox_env(s):
    return {
        "SANDBOX_LISTEN": f"127.0.0.1:{s.ports['sandbox']}",
        "SANDBOX_PUBLIC_URL": s.sandbox_url,
        "SANDBOX_SECRET_KEY": s.secret("pay_secret_key", "sk_test_"),
        "SANDBOX_PUBLISHABLE_KEY": s.secret("pay_publishable_key", "pk_test_"),
        "SANDBOX_WEBHOOK_URL": f"http://127.0.0.1:{s.ports['http']}/api/webhooks/stripe",
        "SANDBOX_WEBHOOK_EVENTS": PAY_EVENTS,
        "SANDBOX_WEBHOOK_SECRET": s.secret("pay_webhook_secret", "whsec_"),
        "SANDBOX_STATE_FILE": os.path.join(s.run_dir, "sandbox.journal"),
    }


def stores(s, pg_ready, redis_ready, pg_clear):
    """PostgreSQL and Redis: first up, last down."""
    redis = ["redis-server", "--unixsocket", s.redis_socket, "--unixsocketperm", "700", "--dir", s.redis_dir,
             "--save", "", "--appendonly", "no", "--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru",
             "--bind", "127.0.0.1", "--port", str(s.redis_port)]
    postgres = [os.path.join(s.pg_bin, "postgres"), "-D", s.pg_data, "-k", s.socket_dir, "-p", str(s.pg_port),
                "-c", "listen_addresses=", "-c", "unix_socket_permissions=0700"]
    if s.fast_pg:
        postgres += ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
    return [
        # SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for every client.
        Process("postgres", postgres, ready=pg_ready, user=s.pg_user, stop_signal=2, stop_after=60.0, rank=0,
                cwd="/", before=pg_clear, forks=True),
        Process("redis", redis, ready=redis_ready, rank=0, cwd=s.redis_dir),
    ]


def platform(s):
    """Everything else. A program that is not built is left out; the caller says so."""
    here = os.path.dirname(os.path.abspath(__file__))
    mail = os.path.join(here, "..", "..", "tests", "support", "mail_catcher.py")
    rows = [
        Process("mail", [PYTHON, os.path.normpath(mail), "--smtp", f"127.0.0.1:{s.ports['smtp']}",
                         "--web", f"127.0.0.1:{s.ports['mail']}", "--dir", os.path.join(s.run_dir, "mail")],
                ready=f"http://127.0.0.1:{s.ports['mail']}/readyz", rank=2),
        Process("store", [PYTHON, os.path.join(os.path.dirname(mail), "object_store.py"),
                          "--listen", f"127.0.0.1:{s.ports['store']}", "--dir", os.path.join(s.run_dir, "media")],
                env=store_env(s), ready=f"http://127.0.0.1:{s.ports['store']}/readyz", rank=2),
        Process("sandbox", [s.program("souk-sandbox")], env=sandbox_env(s),
                ready=("tcp", s.ports["sandbox"]), rank=2, own_env=True),
    ]
    if s.testing:
        rows.append(Process("traces", [PYTHON, os.path.join(os.path.dirname(mail), "otlp_receiver.py"),
                                       "--listen", f"127.0.0.1:{s.ports['traces']}"],
                            ready=f"http://127.0.0.1:{s.ports['traces']}/readyz", rank=2))
    for name in DAEMON_NAMES:
        rows.append(Process(name, [s.program(f"souk-{name}")], env=daemon_env(s, name),
                            ready=f"http://127.0.0.1:{s.ports[name + '_admin']}/readyz", rank=3, own_env=True))
    rows.append(Process("gateway", [s.program("souk-gateway")], env=gateway_env(s),
                        ready=f"http://127.0.0.1:{s.ports['http']}/readyz", rank=4, own_env=True))
    return rows
