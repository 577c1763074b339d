#!/usr/bin/python3
"""Takes traces as a collector does (OTLP over HTTP, JSON) and keeps the spans for reading: for the tests.

	otlp_receiver.py --listen 127.0.0.1:8028

	POST /v1/traces              200 when the body is what OTLP says, else 400
	GET /api/spans?trace=<id>    {"data": [{service, trace, span, parent, name, kind, code}]}, all without trace=
	GET /readyz                  200
"""

import argparse
import json
import re
import signal
import sys
import threading
import urllib.parse
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEEP = 200000


def attributes(node):
    return {a["key"]: a["value"]["stringValue"] for a in node["attributes"]}


def spans_of(document):
    """Flattened and checked; KeyError or ValueError when it is not OTLP."""
    for resource in document["resourceSpans"]:
        service = attributes(resource["resource"])["service.name"]
        for scope in resource["scopeSpans"]:
            for s in scope["spans"]:
                if not re.fullmatch("[0-9a-f]{32}", s["traceId"]) or not re.fullmatch("[0-9a-f]{16}", s["spanId"]):
                    raise ValueError("ids")
                if int(s["endTimeUnixNano"]) < int(s["startTimeUnixNano"]):
                    raise ValueError("ends before it begins")
                yield {"service": service, "trace": s["traceId"], "span": s["spanId"], "parent": s.get("parentSpanId"),
                       "name": s["name"], "kind": s["kind"], "code": attributes(s)["souk.code"]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            found = list(spans_of(json.loads(body)))
        except (ValueError, KeyError, TypeError):
            return self.answer(400, {})
        self.server.spans.extend(found)
        return self.answer(200, {})

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path == "/readyz":
            return self.answer(200, {})
        wanted = dict(urllib.parse.parse_qsl(query)).get("trace")
        return self.answer(200, {"data": [s for s in list(self.server.spans) if wanted in (None, s["trace"])]})


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--listen", required=True)
    args = args.parse_args()
    host, _, port = args.listen.rpartition(":")
    server = ThreadingHTTPServer((host, int(port)), Handler)
    server.daemon_threads = True
    server.spans = deque(maxlen=KEEP)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(f"listening {server.server_address[1]}", flush=True)
    server.serve_forever(poll_interval=0.2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
