#!/usr/bin/python3
"""A TCP proxy between daemons that can be told to break: `proxy.py <edges.json> <control socket>`.

edges.json: [{"edge": "cart>catalog", "kind": "rpc"|"bell", "listen": port, "to": port}]. The control socket takes one JSON
object a line and answers `ok`: {"match": "cart>*", "kind": "rpc", "mode": "open"}. Modes:

	open    everything passes
	hole    connections stand, nothing passes: a partition. What was sent arrives when it is healed, as TCP does
	reset   connections are reset, new ones too
	mute    (bell) messages are swallowed whole, the connection lives: every doorbell is dropped
"""

import asyncio
import fnmatch
import json
import socket
import struct
import sys

SP_HEADER = 8  # nng's handshake; then messages of a 64-bit length and so many bytes


def reset(transport):
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class Half(asyncio.Protocol):
    """One direction's receiving end; `other` is where it goes."""

    def __init__(self, edge, from_daemon):
        self.edge, self.from_daemon = edge, from_daemon
        self.transport = None
        self.other = None
        self.held = []
        self.skip = SP_HEADER  # bytes until the next message's length
        self.part = b""

    def connection_made(self, transport):
        self.transport = transport
        self.edge.halves.add(self)

    def data_received(self, data):
        if self.edge.kind == "bell" and self.from_daemon:
            data = self.whole_messages(data)
        if self.other is None or self.other.transport is None or self.edge.mode == "hole":
            self.held.append(data)
            self.transport.pause_reading()
        elif data:
            self.other.transport.write(data)

    def whole_messages(self, data):
        """What may pass of it; whole messages only, so that some can be left out."""
        out, self.part = b"", self.part + data
        while True:
            if self.skip:
                cut, mute = self.skip, False
            elif len(self.part) >= 8:
                cut, mute = 8 + struct.unpack(">Q", self.part[:8])[0], self.edge.mode == "mute"
            else:
                break
            if len(self.part) < cut:
                break
            self.skip = 0
            if not mute:
                out += self.part[:cut]
            self.part = self.part[cut:]
        return out

    def flow(self):
        if self.other is not None and self.other.transport is not None and self.edge.mode != "hole":
            held, self.held = b"".join(self.held), []
            if held:
                self.other.transport.write(held)
            if self.transport and not self.transport.is_closing():
                self.transport.resume_reading()

    def pause_writing(self):
        if self.other and self.other.transport and not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self):
        if self.other and self.other.transport and not self.other.transport.is_closing() and not self.other.held:
            self.other.transport.resume_reading()

    def connection_lost(self, exc):
        self.edge.halves.discard(self)
        if self.other and self.other.transport:
            self.other.transport.abort() if exc else self.other.transport.close()
        self.transport = None


class Edge:
    def __init__(self, row):
        self.name, self.kind, self.listen, self.to = row["edge"], row["kind"], row["listen"], row["to"]
        self.mode = "open"
        self.halves = set()

    async def serve(self):
        loop = asyncio.get_running_loop()
        await loop.create_server(self.accept, "127.0.0.1", self.listen)

    def accept(self):
        near = Half(self, False)
        asyncio.get_running_loop().create_task(self.dial(near))
        return near

    async def dial(self, near):
        await asyncio.sleep(0)
        if self.mode == "reset":
            if near.transport:
                reset(near.transport)
            return
        try:
            _, far = await asyncio.get_running_loop().create_connection(lambda: Half(self, True), "127.0.0.1", self.to)
        except OSError:
            if near.transport:
                near.transport.abort()
            return
        if near.transport is None:
            far.transport.abort()
            return
        near.other, far.other = far, near
        near.flow()
        far.flow()

    def set(self, mode):
        self.mode = mode
        for half in list(self.halves):
            if mode == "reset":
                if half.transport:
                    reset(half.transport)
            else:
                half.flow()


async def main():
    with open(sys.argv[1]) as f:
        edges = [Edge(row) for row in json.load(f)]
    for edge in edges:
        await edge.serve()

    async def control(reader, writer):
        while line := await reader.readline():
            want = json.loads(line)
            for edge in edges:
                if fnmatch.fnmatch(edge.name, want["match"]) and want.get("kind", edge.kind) == edge.kind:
                    edge.set(want["mode"])
            writer.write(b"ok\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(control, sys.argv[2])
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
