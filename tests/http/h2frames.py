# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by hand, for tests of what no client library sends: frames as bytes, heads without compression."""

import socket
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS = 1, 4
CALM = 11  # ENHANCE_YOUR_CALM
METHOD = "/inference.GRPCInferenceService/ServerLive"


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def text(value):
    value = value.encode() if isinstance(value, str) else value
    n, out = len(value), bytearray()
    if n < 127:
        return bytes([n]) + value
    out.append(127)
    n -= 127
    while n >= 128:
        out.append(n % 128 + 128)
        n //= 128
    out.append(n)
    return bytes(out) + value


def block(fields):
    """A header block: literals, never indexed, no Huffman."""
    return b"".join(b"\x10" + text(name) + text(value) for name, value in fields)


def head(path=METHOD, more=(), content_type="application/grpc", method="POST", authority="localhost"):
    return block([(":method", method), (":scheme", "http"), (":path", path), (":authority", authority), ("content-type", content_type),
                  ("te", "trailers"), *more])


def message(payload=b"", packed=0):
    return bytes([packed]) + struct.pack(">I", len(payload)) + payload


class Connection:
    """A client's side of one connection; `frames` is what came, as (kind, flags, stream, payload)."""

    def __init__(self, port, settings=True, timeout=20):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.frames, self.rest, self.closed = [], b"", False
        self.send(PREFACE + (frame(SETTINGS) if settings else b""))

    def send(self, data):
        try:
            self.sock.sendall(data)
            return True
        except OSError:
            self.closed = True
            return False

    def call(self, stream, payload=b"", **kwargs):
        """A whole call: head and one message."""
        return self.send(frame(HEADERS, END_HEADERS, stream, head(**kwargs)) + frame(DATA, END_STREAM, stream, message(payload)))

    def take(self, seconds):
        """Read for at most that long, or until something came; False: nothing more comes."""
        self.sock.settimeout(max(seconds, 0.001))
        try:
            data = self.sock.recv(65536)
        except TimeoutError:
            return True
        except OSError:
            data = b""
        if not data:
            self.closed = True
            return False
        self.rest += data
        while len(self.rest) >= 9:
            n = int.from_bytes(self.rest[:3], "big")
            if len(self.rest) < 9 + n:
                break
            kind, flags, stream = self.rest[3], self.rest[4], int.from_bytes(self.rest[5:9], "big") & 0x7fffffff
            self.frames.append((kind, flags, stream, self.rest[9:9 + n]))
            self.rest = self.rest[9 + n:]
        return True

    def wait(self, wanted, seconds=20):
        """The first frame for which wanted(kind, flags, stream, payload); None: it did not come."""
        end, seen = time.monotonic() + seconds, 0
        while True:
            for one in self.frames[seen:]:
                if wanted(*one):
                    return one
            seen = len(self.frames)
            left = end - time.monotonic()
            if self.closed or left <= 0 or not self.take(left):
                return next((one for one in self.frames[seen:] if wanted(*one)), None)

    def wait_end(self, stream, seconds=20):
        return self.wait(lambda kind, flags, at, _: at == stream and kind in (DATA, HEADERS) and flags & END_STREAM, seconds)

    def wait_goaway(self, seconds=20):
        """Its error code; None: none came."""
        one = self.wait(lambda kind, *_: kind == GOAWAY, seconds)
        return None if one is None else int.from_bytes(one[3][4:8], "big")

    def wait_closed(self, seconds=20):
        end = time.monotonic() + seconds
        while not self.closed and time.monotonic() < end:
            self.take(end - time.monotonic())
        return self.closed

    def close(self):
        self.sock.close()
