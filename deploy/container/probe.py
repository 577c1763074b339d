#!/usr/bin/python3
"""probe.py host:port [/path]: exit 0 when it accepts a connection, or answers 200 to the path."""

import http.client
import socket
import sys

host, port = sys.argv[1].rsplit(":", 1)
try:
    if len(sys.argv) > 2:
        conn = http.client.HTTPConnection(host, int(port), timeout=3)
        conn.request("GET", sys.argv[2])
        sys.exit(0 if conn.getresponse().status == 200 else 1)
    socket.create_connection((host, int(port)), timeout=3).close()
except OSError as e:
    print(e)
    sys.exit(1)
