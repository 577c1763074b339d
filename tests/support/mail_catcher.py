#!/usr/bin/python3
"""A real SMTP server that keeps every mail for reading: for `up` and for the tests.

	mail_catcher.py --smtp 127.0.0.1:8025 --web 127.0.0.1:8026 --dir .run/mail

Mails are files in <dir>/new (maildir-like: one file each, written under tmp/ and moved). The web side:
	GET /                            the mails, newest first, for a person
	GET /m/<id>                      one mail
	GET /readyz                      200
	GET /api/messages?to=&subject=&since=&wait=&count=&limit=
	                                 {"data":[{id, received_at, from, to, subject, headers, text, html, links}]}, newest
	                                 first; wait= milliseconds holds the answer until `count` (1) mails match
	GET /api/messages/<id>[/raw]     one mail, or its bytes
	DELETE /api/messages             forget all
	PUT /api/faults {"refuse": {"code": 451, "times": 3, "to": "x@y"}}   answer RCPT with that code; {} clears

A recipient whose local part is `refuse-550` or `refuse-451` is refused with that code for ever.
"""

import argparse
import asyncio
import email
import email.policy
import html
import json
import os
import re
import signal
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.smtp import SMTP

SIZE_MAX = 8 << 20
KEEP = 20000


class Store:
    """The mails on disk and what is known of them in memory: a mail is taken apart when somebody reads it."""

    def __init__(self, folder):
        self.new = os.path.join(folder, "new")
        self.tmp = os.path.join(folder, "tmp")
        os.makedirs(self.new, exist_ok=True)
        os.makedirs(self.tmp, exist_ok=True)
        self.cond = threading.Condition()
        self.number = 0
        self.mails = []
        self.fault = None
        for name in sorted(os.listdir(self.new)):
            self.mails.append(self.envelope(name))

    def add(self, raw, sender, rcpts):
        with self.cond:
            self.number += 1
            name = f"{time.time_ns() // 1000000:013d}.{os.getpid()}.{self.number:06d}"
        head = f"X-Envelope-From: {sender}\r\nX-Envelope-To: {', '.join(rcpts)}\r\n".encode()
        raw = head + raw
        with open(os.path.join(self.tmp, name), "wb") as f:
            f.write(raw)
        os.rename(os.path.join(self.tmp, name), os.path.join(self.new, name))
        with self.cond:
            self.mails.append({"id": name, "from": sender, "to": list(rcpts)})
            while len(self.mails) > KEEP:
                os.unlink(os.path.join(self.new, self.mails.pop(0)["id"]))
            self.cond.notify_all()

    def refuse(self, rcpt):
        """The code an injected fault or the address itself asks for."""
        match = re.match(r"refuse-([45]\d\d)[^@]*@", rcpt)
        if match:
            return int(match.group(1))
        with self.cond:
            fault = self.fault
            if not fault or (fault.get("to") and fault["to"].lower() != rcpt.lower()) or fault.get("times", 1) <= 0:
                return None
            fault["times"] = fault.get("times", 1) - 1
            return int(fault.get("code", 451))

    def find(self, to=None, subject=None, since=None, limit=KEEP):
        """Newest first."""
        found = []
        for m in reversed(self.mails):
            if len(found) == limit or (since and m["id"] <= since):
                break
            if (not to or to.lower() in (x.lower() for x in m["to"])) and \
                    (not subject or subject.lower() in self.whole(m)["subject"].lower()):
                found.append(self.whole(m))
        return found

    def whole(self, mail):
        if "subject" not in mail:
            mail.update(describe(mail["id"], self.bytes_of(mail["id"]), mail["from"], mail["to"]))
        return mail

    def wait(self, count, ms, **query):
        deadline = time.monotonic() + ms / 1000
        with self.cond:
            while True:
                found = self.find(**query)
                left = deadline - time.monotonic()
                if len(found) >= count or left <= 0:
                    return found
                self.cond.wait(left)

    def raw(self, name):
        with self.cond:
            if not any(m["id"] == name for m in self.mails):
                return None
        return self.bytes_of(name)

    def envelope(self, name):
        """Of a mail kept before: the two lines that add() put in front. Thousands are read at a start."""
        with open(os.path.join(self.new, name), "rb") as f:
            sender, to = (f.readline().decode("utf-8", "replace").partition(": ")[2].strip() for _ in range(2))
        return {"id": name, "from": sender, "to": [x.strip() for x in to.split(",") if x.strip()]}

    def bytes_of(self, name):
        with open(os.path.join(self.new, name), "rb") as f:
            return f.read()

    def clear(self):
        with self.cond:
            for mail in self.mails:
                os.unlink(os.path.join(self.new, mail["id"]))
            self.mails.clear()


def describe(name, raw, sender, rcpts):
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    text, page = "", ""
    for part in mail.walk():
        try:
            if part.get_content_type() == "text/plain" and not text:
                text = part.get_content()
            elif part.get_content_type() == "text/html" and not page:
                page = part.get_content()
        except (LookupError, ValueError):  # a broken charset is the sender's defect, and still to be seen
            text = text or repr(part.get_payload(decode=True))
    to = rcpts or [x.strip() for x in str(mail.get("X-Envelope-To", "")).split(",") if x.strip()]
    links = re.findall(r"https?://[^\s\"'<>]+", text) or re.findall(r"https?://[^\s\"'<>]+", html.unescape(page))
    return {"id": name, "received_at": int(name.split(".")[0]), "from": sender or str(mail.get("X-Envelope-From", "")),
            "to": list(to), "subject": str(mail.get("Subject", "")),
            "headers": {k: str(v) for k, v in mail.items() if not k.startswith("X-Envelope-")},
            "text": text, "html": page, "links": links}


class Handler:
    """aiosmtpd's hooks."""

    def __init__(self, store):
        self.store = store

    async def handle_RCPT(self, server, session, envelope, address, options):
        code = self.store.refuse(address)
        if code:
            return f"{code} refused on purpose"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.store.add(envelope.content, envelope.mail_from, envelope.rcpt_tos)
        return "250 kept"


class Web(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store = None

    def log_message(self, *_):
        pass

    def answer(self, status, body, kind="application/json"):
        data = body if isinstance(body, bytes) else body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind + ("; charset=utf-8" if kind.startswith("text/html") else ""))
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:")
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = {k: v[0] for k, v in urllib.parse.parse_qs(url.query).items()}
        part = [urllib.parse.unquote(x) for x in url.path.split("/") if x]
        if url.path == "/readyz":
            return self.answer(200, "{}")
        if url.path == "/":
            return self.answer(200, self.page(), "text/html")
        if url.path == "/api/messages":
            count, limit = int(query.get("count", 1)), int(query.get("limit", 100))
            found = self.store.wait(count, min(int(query.get("wait", 0)), 60000), to=query.get("to"),
                                    subject=query.get("subject"), since=query.get("since"), limit=max(count, limit))
            return self.answer(200, json.dumps({"data": found[:limit]}))
        if len(part) in (3, 4) and part[:2] == ["api", "messages"] or len(part) == 2 and part[0] == "m":
            name = part[1] if part[0] == "m" else part[2]
            raw = self.store.raw(name)
            if raw is None:
                return self.answer(404, '{"error":"no such mail"}')
            if part[-1] == "raw":
                return self.answer(200, raw, "text/plain")
            mail = describe(name, raw, None, None)
            return self.answer(200, self.one(mail), "text/html") if part[0] == "m" else \
                self.answer(200, json.dumps(mail))
        return self.answer(404, '{"error":"no such page"}')

    def do_DELETE(self):
        if self.path != "/api/messages":
            return self.answer(404, '{"error":"no such page"}')
        self.store.clear()
        return self.answer(200, "{}")

    def do_PUT(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path != "/api/faults":
            return self.answer(404, '{"error":"no such page"}')
        try:
            fault = json.loads(body or b"{}").get("refuse")
        except (ValueError, AttributeError):
            return self.answer(400, '{"error":"not a JSON object"}')
        with self.store.cond:
            self.store.fault = fault
        return self.answer(200, "{}")

    def page(self):
        with self.store.cond:
            found = self.store.find(limit=200)
        rows = "".join(
            f"<tr><td>{time.strftime('%H:%M:%S', time.gmtime(m['received_at'] / 1000))}<td>{html.escape(', '.join(m['to']))}"
            f"<td><a href='/m/{m['id']}'>{html.escape(m['subject'] or '(no subject)')}</a>" for m in found)
        return STYLE + f"<h1>Mail</h1><p>{len(self.store.mails)} kept, newest first (UTC)</p><table>{rows}</table>"

    @staticmethod
    def one(mail):
        links = "".join(f"<li><a href='{html.escape(x, quote=True)}'>{html.escape(x)}</a>" for x in mail["links"])
        return STYLE + (f"<p><a href='/'>all</a></p><h1>{html.escape(mail['subject'])}</h1>"
                        f"<p>from {html.escape(mail['from'])} to {html.escape(', '.join(mail['to']))}"
                        f" · <a href='/api/messages/{mail['id']}/raw'>source</a></p>"
                        f"<pre>{html.escape(mail['text'] or mail['html'])}</pre><ul>{links}</ul>")


STYLE = ("<!doctype html><meta charset=utf-8><title>Souk mail</title><style>body{font:15px system-ui;max-width:60em;"
         "margin:2em auto;padding:0 1em}td{padding:.2em 1em .2em 0}pre{white-space:pre-wrap;background:#8881;"
         "padding:1em}</style>")


def address(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


async def serve(args, store):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Handler(store), hostname="mail.souk.example", data_size_limit=SIZE_MAX, enable_SMTPUTF8=True,
                     loop=loop), *address(args.smtp))
    Web.store = store
    ThreadingHTTPServer.daemon_threads = True
    web = ThreadingHTTPServer(address(args.web), Web)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    stop = asyncio.Event()
    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, stop.set)
    await stop.wait()
    server.close()
    web.shutdown()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smtp", default="127.0.0.1:8025")
    parser.add_argument("--web", default="127.0.0.1:8026")
    parser.add_argument("--dir", required=True)
    args = parser.parse_args()
    try:
        asyncio.run(serve(args, Store(args.dir)))
    except OSError as e:
        sys.exit(f"mail catcher: {e}")


if __name__ == "__main__":
    main()
