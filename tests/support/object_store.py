#!/usr/bin/python3
"""A small object store that speaks as much S3 as Souk needs: for `up` and for the tests.

	STORE_ACCESS_KEY=… STORE_SECRET_KEY=… object_store.py --listen 127.0.0.1:8027 --dir .run/media

	PUT /<bucket>/<key>?X-Amz-…      stores the body, if the presigned request is genuine, not over, and the headers it
	                                 signed are the ones that came (AWS Signature Version 4 in the query)
	GET, HEAD /<bucket>/<key>        the object, for everybody, with the Content-Type and Cache-Control it was stored with;
	                                 with Range: bytes=FROM-TO that part of it
	DELETE /<bucket>/<key>?X-Amz-…   removes it; one that is not there is 204 as well
	GET /readyz                      200

Objects are files <dir>/<bucket>/<key> with their headers in <file>.meta; written aside and moved, so never half.
"""

import argparse
import datetime
import hashlib
import hmac
import json
import os
import re
import signal
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SIZE_MAX = 100 << 20
KEY = re.compile(r"^/([a-z0-9-]+)/([A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*)$")


def sign(secret, date, region, text):
    key = ("AWS4" + secret).encode()
    for part in (date[:8], region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def refusal(method, target, headers, access, secret, now=None):
    """Why a presigned request is not taken, or None. headers: a mapping that ignores case."""
    path, _, query = target.partition("?")
    given = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    names = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature")
    if any(n not in given for n in names) or given["X-Amz-Algorithm"] != "AWS4-HMAC-SHA256":
        return "AccessDenied"
    credential = given["X-Amz-Credential"].split("/")
    if len(credential) != 5 or credential[0] != access or credential[3:] != ["s3", "aws4_request"]:
        return "InvalidAccessKeyId"
    date, region = given["X-Amz-Date"], credential[2]
    now = now or datetime.datetime.now(datetime.timezone.utc)
    begun = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    if not -900 <= (now - begun).total_seconds() <= int(given["X-Amz-Expires"]):
        return "AccessDenied"
    signed = given["X-Amz-SignedHeaders"].split(";")
    if "host" not in signed or any(headers.get(n) is None for n in signed):
        return "AccessDenied"
    quote = lambda s: urllib.parse.quote(s, safe="-._~")  # noqa: E731
    canonical_query = "&".join(f"{quote(k)}={quote(v)}" for k, v in sorted(given.items()) if k != "X-Amz-Signature")
    lines = "".join(f"{n}:{' '.join(headers.get(n).split())}\n" for n in signed)
    canonical = "\n".join([method, path, canonical_query, lines, ";".join(signed), "UNSIGNED-PAYLOAD"])
    text = "\n".join(["AWS4-HMAC-SHA256", date, "/".join(credential[1:]), hashlib.sha256(canonical.encode()).hexdigest()])
    if not hmac.compare_digest(sign(secret, date, region, text), given["X-Amz-Signature"]):
        return "SignatureDoesNotMatch"
    return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", headers=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status, code):
        self.close_connection = True
        self.answer(status, f"<Error><Code>{code}</Code></Error>".encode(), {"Content-Type": "application/xml",
                                                                             "Connection": "close"})

    def place(self):
        match = KEY.match(self.path.partition("?")[0])
        if not match or ".." in match.group(2) or match.group(2).endswith(".meta"):
            return None
        return os.path.join(self.server.folder, match.group(1), match.group(2))

    def part(self, body, meta):
        match = re.match(r"^bytes=(\d+)-(\d+)$", self.headers.get("Range", ""))
        if not match:
            return self.answer(200, body, meta)
        begin, end = int(match.group(1)), min(int(match.group(2)), len(body) - 1)
        if begin > end:
            return self.refuse(416, "InvalidRange")
        return self.answer(206, body[begin:end + 1], {**meta, "Content-Range": f"bytes {begin}-{end}/{len(body)}"})

    def do_DELETE(self):
        place = self.place()
        try:
            why = refusal("DELETE", self.path, self.headers, self.server.access, self.server.secret) if place else "InvalidURI"
        except ValueError:
            why = "AccessDenied"
        if why:
            return self.refuse(403 if place else 400, why)
        for name in (place, place + ".meta"):
            try:
                os.remove(name)
            except FileNotFoundError:
                pass
        return self.answer(204)

    def do_GET(self):
        if self.path == "/readyz":
            return self.answer(200, b"ready\n")
        place = self.place()
        try:
            with open(place + ".meta", encoding="utf-8") as f:
                meta = json.load(f)
            with open(place, "rb") as f:
                return self.part(f.read(), meta)
        except (OSError, TypeError):
            return self.refuse(404, "NoSuchKey")

    do_HEAD = do_GET

    def do_PUT(self):
        place, length = self.place(), self.headers.get("Content-Length", "")
        if not place:
            return self.refuse(400, "InvalidURI")
        try:
            why = refusal("PUT", self.path, self.headers, self.server.access, self.server.secret)
        except ValueError:
            why = "AccessDenied"
        if why:
            return self.refuse(403, why)
        if not length.isdigit() or int(length) > SIZE_MAX:
            return self.refuse(411 if not length else 400, "EntityTooLarge")
        body = self.rfile.read(int(length))
        if len(body) != int(length):
            return self.refuse(400, "IncompleteBody")
        meta = {n: self.headers[n] for n in ("Content-Type", "Cache-Control") if self.headers.get(n)}
        meta["ETag"] = f'"{hashlib.md5(body).hexdigest()}"'
        os.makedirs(os.path.dirname(place), exist_ok=True)
        aside = f"{place}.{threading.get_ident()}.tmp"
        for name, data in ((place, body), (place + ".meta", json.dumps(meta).encode())):
            with open(aside, "wb") as f:
                f.write(data)
            os.replace(aside, name)
        return self.answer(200, b"", {"ETag": meta["ETag"]})


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--listen", required=True)
    args.add_argument("--dir", required=True)
    args = args.parse_args()
    host, _, port = args.listen.rpartition(":")
    server = ThreadingHTTPServer((host, int(port)), Handler)
    server.daemon_threads = True
    server.folder = args.dir
    server.access, server.secret = os.environ["STORE_ACCESS_KEY"], os.environ["STORE_SECRET_KEY"]
    os.makedirs(args.dir, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(f"listening {server.server_address[1]}", flush=True)
    server.serve_forever(poll_interval=0.2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
