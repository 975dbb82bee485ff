# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 as it goes over the wire: raw sockets against net_testd (tests/helpers/net_testd.c),
which has nothing but the net room behind it. Waits are bounds on failure; nothing here is timed."""

import contextlib
import json
import os
import pathlib
import pwd
import random
import re
import resource
import select
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest

import support

pytestmark = pytest.mark.tsan

BOUND_S = 60
BIN = support.BIN.parent / "tests" / "unit" / "net" / "net_testd"


class Testd:
    __test__ = False

    def __init__(self, *options):
        assert BIN.exists(), f"{BIN} is not built (meson option tests)"
        self.process = subprocess.Popen([str(BIN), *options], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.process.stdout.readline().decode()
        found = re.match(r"http://127\.0\.0\.1:(\d+)$", line)
        assert found, f"{line!r} {self.process.stderr.read()!r}"
        self.port = int(found.group(1))
        self.code, self.errors = None, b""

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=BOUND_S)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Peer(s)

    def get(self, path, **kwargs):
        with contextlib.closing(self.connect()) as peer:
            return peer.ask("GET", path, **kwargs)

    def stats(self):
        """Answered on a loop, so that it is not itself in flight, nor kept waiting for a worker."""
        with contextlib.closing(self.connect()) as peer:
            return json.loads(peer.ask("POST", "/fast/stats", body=b"").body)

    def until(self, what, value):
        """Wait for a counter: the server tells, nobody sleeps on a guess."""
        end = time.monotonic() + BOUND_S
        while time.monotonic() < end:
            stats = self.stats()
            if stats[what] == value:
                return stats
            time.sleep(0.002)
        raise AssertionError(f"{what} is {stats[what]}, not {value}")

    def open_gate(self):
        self.process.send_signal(signal.SIGUSR1)

    def rss_kb(self, key="VmRSS"):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith(key + ":"))

    def stop(self):
        if self.code is None:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
                self.open_gate()
            self.errors = self.process.communicate(timeout=BOUND_S)[1]
            self.code = self.process.returncode
            assert self.code == 0, self.errors.decode(errors="replace")[-3000:]


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def header(self, name):
        return dict(self.headers).get(name.lower())


class Peer:
    """A client that says exactly what it is told to and reads answers strictly."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def more(self):
        data = self.sock.recv(1 << 16)
        self.buffer += data
        return bool(data)

    def line(self):
        while b"\r\n" not in self.buffer:
            if not self.more():
                raise EOFError(f"in a line: {self.buffer!r}")
        text, self.buffer = self.buffer.split(b"\r\n", 1)
        return text

    def exactly(self, n):
        while len(self.buffer) < n:
            if not self.more():
                raise EOFError(f"{len(self.buffer)} of {n} bytes")
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def at_end(self):
        """The server closes, and nothing is left over."""
        try:
            while not self.buffer and self.more():
                pass
        except ConnectionResetError:
            pass
        return self.buffer == b""

    def answer(self, head_only=False):
        first = self.line()
        found = re.match(rb"HTTP/1\.1 (\d{3}) ", first)
        assert found, first
        status, headers = int(found.group(1)), []
        for line in iter(self.line, b""):
            name, value = line.split(b": ", 1)
            headers.append((name.decode().lower(), value.decode("latin-1")))
        names = [n for n, _ in headers]
        for once in ("content-length", "transfer-encoding", "date", "x-request-id"):
            assert names.count(once) <= 1, headers
        assert not ("content-length" in names and "transfer-encoding" in names)
        a = Answer(status, headers, b"")
        if head_only or status in (100, 204, 304):
            return a
        if a.header("transfer-encoding"):
            while True:
                size = int(self.line(), 16)
                a.body += self.exactly(size)
                assert self.exactly(2) == b"\r\n"
                if size == 0:
                    return a
        elif a.header("content-length") is not None:
            a.body = self.exactly(int(a.header("content-length")))
        else:
            while self.more():
                pass
            a.body, self.buffer = self.buffer, b""
        return a

    def ask(self, method, path, headers=(), body=None, host="localhost"):
        self.send(request(method, path, headers, body, host))
        return self.answer(head_only=method == "HEAD")


def request(method, path, headers=(), body=None, host="localhost"):
    lines = [f"{method} {path} HTTP/1.1", *([f"Host: {host}"] if host else []), *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


@pytest.fixture(scope="module")
def testd():
    one = Testd()
    yield one
    one.stop()


@pytest.fixture
def new_testd():
    started = []

    def start(*options):
        started.append(Testd(*options))
        return started[-1]

    yield start
    for one in started:
        one.stop()


# ---- requests and answers -----------------------------------------------------------------------


def test_keep_alive_carries_many_requests(testd):
    with contextlib.closing(testd.connect()) as peer:
        for i in range(50):
            body = b"x" * i
            assert peer.ask("POST", "/echo", body=body).body == body
        assert peer.ask("POST", "/fast/echo", body=b"abc").body == b"abc"


def test_every_answer_has_the_standing_headers(testd):
    for path in ("/health", "/nowhere"):
        a = testd.get(path)
        assert a.header("x-content-type-options") == "nosniff"
        assert re.match(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$", a.header("date"))
        assert re.match(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-", a.header("x-request-id"))


def test_request_id_is_echoed_or_made(testd):
    assert testd.get("/whoami", headers=["X-Request-Id: mine-1"]).header("x-request-id") == "mine-1"
    assert json.loads(testd.get("/whoami", headers=["X-Request-Id: mine-2"]).body)["request_id"] == "mine-2"
    with contextlib.closing(testd.connect()) as peer:
        a = peer.ask("POST", "/fast/echo", ["X-Request-Id: mine-3"], b"")
        b = peer.ask("POST", "/fast/echo", [], b"")
    assert a.header("x-request-id") == "mine-3"
    assert b.header("x-request-id") != "mine-3" and len(b.header("x-request-id")) == 36
    for unfit in ("a b", "x" * 200, "é"):
        assert len(testd.get("/health", headers=[f"X-Request-Id: {unfit}"]).header("x-request-id")) == 36


def test_pipelined_answers_come_in_order(testd):
    """Slow and fast, short and chunked, in one write and in small pieces."""
    parts = []
    for i in range(40):
        path = ("/echo", "/fast/echo", "/fast/defer", "/fast/pass")[i % 4]
        parts.append(request("POST", path, [f"X-Request-Id: r{i}"], f"body {i} ".encode() * (i + 1)))
    stream = b"".join(parts)
    for step in (len(stream), 1000, 7):
        with contextlib.closing(testd.connect()) as peer:
            sender = threading.Thread(target=lambda p=peer, s=step: [p.send(stream[k:k + s]) for k in range(0, len(stream), s)])
            sender.start()
            for i in range(40):
                a = peer.answer()
                assert (a.status, a.header("x-request-id")) == (200, f"r{i}")
                assert a.body == f"body {i} ".encode() * (i + 1)
            sender.join()


def test_pipeline_larger_than_every_buffer(testd):
    """5000 requests in one go, answers read only afterwards."""
    one = request("POST", "/fast/echo", body=b"y" * 500)
    with contextlib.closing(testd.connect()) as peer:
        sender = threading.Thread(target=peer.send, args=(one * 5000,))
        sender.start()
        for _ in range(5000):
            assert peer.answer().body == b"y" * 500
        sender.join()


def test_chunked_both_ways(testd):
    with contextlib.closing(testd.connect()) as peer:
        for size in (1, 10, 1000, 100000):
            data = os.urandom(size)
            peer.send(request("POST", "/echo", ["Transfer-Encoding: chunked"]))
            for k in range(0, size, 777):
                piece = data[k:k + 777]
                peer.send(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece))
            peer.send(b"0\r\nTrailer: dropped\r\n\r\n")
            a = peer.answer()
            assert a.body == data
            assert a.header("transfer-encoding") == "chunked"
            if a.header("connection") == "close":
                assert peer.at_end()
                peer = testd.connect()
        assert peer.ask("GET", "/health").body == b"ok"
        peer.close()


def test_http10_gets_no_chunks_and_a_close(testd):
    with contextlib.closing(testd.connect()) as peer:
        peer.send(b"GET /download?bytes=5000&chunked=1 HTTP/1.0\r\n\r\n")
        a = peer.answer()
        assert a.header("transfer-encoding") is None and a.header("content-length") is None
        assert len(a.body) == 5000
    with contextlib.closing(testd.connect()) as peer:
        for _ in range(2):
            peer.send(b"GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            a = peer.answer()
            assert (a.body, a.header("connection")) == (b"ok", "keep-alive")
        peer.send(b"GET /health HTTP/1.0\r\n\r\n")
        assert peer.answer().header("connection") == "close"
        assert peer.at_end()


def test_connection_close_is_honoured(testd):
    for path in ("/echo", "/fast/echo"):
        with contextlib.closing(testd.connect()) as peer:
            a = peer.ask("POST", path, ["Connection: close"], b"z")
            assert (a.body, a.header("connection")) == (b"z", "close")
            assert peer.at_end()


def test_client_may_close_its_side_after_asking(testd):
    with contextlib.closing(testd.connect()) as peer:
        peer.send(request("POST", "/echo", body=b"half closed"))
        peer.sock.shutdown(socket.SHUT_WR)
        assert peer.answer().body == b"half closed"


def test_head_has_the_headers_and_no_body(testd):
    with contextlib.closing(testd.connect()) as peer:
        a = peer.ask("HEAD", "/health")
        assert (a.status, a.header("content-length"), a.body) == (200, "2", b"")
        assert peer.ask("HEAD", "/nowhere").status == 404
        assert peer.ask("HEAD", "/download?bytes=100000&chunked=1").status == 200
        assert peer.ask("GET", "/health").body == b"ok"  # nothing strayed in between


def test_404_and_405(testd):
    with contextlib.closing(testd.connect()) as peer:
        a = peer.ask("GET", "/nowhere")
        assert a.status == 404 and json.loads(a.body)["code"] == "NOTFOUND"
        a = peer.ask("DELETE", "/health")
        assert (a.status, a.header("allow")) == (405, "GET, HEAD, OPTIONS")
        a = peer.ask("OPTIONS", "/health")
        assert (a.status, a.header("allow")) == (204, "GET, HEAD, OPTIONS")
        assert peer.ask("POST", "/nowhere", body=b"q" * 1000).status == 404
        assert peer.ask("GET", "/health").body == b"ok"
        a = peer.ask("POST", "/nowhere", body=b"q" * 100000)  # not worth reading
        assert (a.status, a.header("connection")) == (404, "close")


def test_header_values_from_outside_stay_values(testd):
    a = testd.get("/injects?v=a%0d%0aSet-Cookie:%20x%0d%0a%0d%0aevil")
    assert a.header("x-from-outside") == "a  Set-Cookie: x    evil"
    assert a.header("set-cookie") is None
    assert a.body == b"ok"


def test_an_answer_that_breaks_off_does_not_look_whole(testd):
    for path in ("/breaks", "/breaks?short=1"):
        with contextlib.closing(testd.connect()) as peer:
            with pytest.raises((EOFError, ConnectionResetError)):
                peer.ask("GET", path)
    assert testd.get("/health").body == b"ok"


# ---- 100-continue, limits -----------------------------------------------------------------------


def test_expect_100_continue(testd):
    for path in ("/echo", "/fast/echo"):
        with contextlib.closing(testd.connect()) as peer:
            peer.send(request("POST", path, ["Expect: 100-continue", "Content-Length: 4"]))
            assert peer.answer().status == 100
            peer.send(b"body")
            assert peer.answer().body == b"body"
            assert peer.ask("POST", path, body=b"again").body == b"again"


def test_no_invitation_for_a_body_that_is_refused(testd):
    with contextlib.closing(testd.connect()) as peer:
        peer.send(request("POST", "/small", ["Expect: 100-continue", "Content-Length: 1000001"]))
        assert peer.answer().status == 413
        assert peer.at_end()
    with contextlib.closing(testd.connect()) as peer:
        peer.send(request("POST", "/echo", ["Expect: something-else", "Content-Length: 1"]))
        assert peer.answer().status == 417


def test_body_limits_of_routes(testd):
    """By Content-Length before the body is read, by counting when chunked; in the route's style."""
    with contextlib.closing(testd.connect()) as peer:
        assert json.loads(peer.ask("POST", "/small", body=b"a" * 1000000).body)["bytes"] == 1000000
    with contextlib.closing(testd.connect()) as peer:
        a = peer.ask("POST", "/styled", body=b"a" * 1001)
        assert (a.status, a.body) == (413, b'{"error":"in its own style"}')
        assert peer.at_end()
    for size in (1001, 500000, 3000000):
        with contextlib.closing(testd.connect()) as peer:
            path = "/styled" if size < 1000000 else "/small"
            peer.send(request("POST", path, ["Transfer-Encoding: chunked"]))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for k in range(0, size, 50000):
                    n = min(50000, size - k)
                    peer.send(b"%x\r\n%s\r\n" % (n, b"a" * n))
                peer.send(b"0\r\n\r\n")
            assert peer.answer().status == 413
    assert testd.get("/health").body == b"ok"


def test_fast_path_hands_large_chunked_bodies_to_the_route(testd):
    with contextlib.closing(testd.connect()) as peer:
        data = os.urandom(300000)  # over the fast path's 256 KiB, below the route's 1 MiB
        peer.send(request("POST", "/fast/echo", ["Transfer-Encoding: chunked"]))
        for k in range(0, len(data), 10000):
            peer.send(b"2710\r\n%s\r\n" % data[k:k + 10000])
        peer.send(b"0\r\n\r\n")
        a = peer.answer()
        assert a.body == data and a.header("x-path") is None
        assert testd.get("/health").body == b"ok"
    with contextlib.closing(testd.connect()) as peer:
        a = peer.ask("POST", "/fast/echo", body=data)
        assert a.body == data and a.header("x-path") is None
        a = peer.ask("POST", "/fast/echo", body=data[:200000])
        assert a.body == data[:200000] and a.header("x-path") == "/fast/echo"


def send_all(peer, total, piece):
    sent = 0
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while sent < total:
            peer.send(piece[:total - sent])
            sent += len(piece)


def test_a_gigabyte_up_and_down_in_constant_memory(testd):
    size = 1 << 28 if "san" in support.BIN.parent.name else 1 << 30
    before = testd.rss_kb()
    with contextlib.closing(testd.connect()) as peer:
        peer.send(request("PUT", "/upload", [f"Content-Length: {size}"]))
        send_all(peer, size, b"\x01" * (1 << 20))
        assert json.loads(peer.answer().body) == {"bytes": size, "sum": size}
    with contextlib.closing(testd.connect()) as peer:
        peer.send(request("GET", f"/download?bytes={size}"))
        left = size
        while b"\r\n\r\n" not in peer.buffer:
            assert peer.more()
        left -= len(peer.buffer.split(b"\r\n\r\n", 1)[1])
        while left:
            got = len(peer.sock.recv(1 << 20))
            assert got
            left -= got
    if "san" not in support.BIN.parent.name:  # sanitizers keep freed memory for themselves
        assert testd.rss_kb("VmHWM") - before < 8 * 1024


def test_100_mb_of_brackets_are_refused_in_little_memory(testd):
    size = 100 * 1000 * 1000
    before = testd.rss_kb()
    with contextlib.closing(testd.connect()) as peer, contextlib.closing(testd.connect()) as other:
        peer.send(request("POST", "/json", [f"Content-Length: {size}"]))
        sender = threading.Thread(target=send_all, args=(peer, size, b"[" * (1 << 20)))
        sender.start()
        assert peer.answer().status == 413
        assert other.ask("GET", "/health").body == b"ok"
        sender.join()
    with contextlib.closing(testd.connect()) as peer:
        peer.send(request("POST", "/json", ["Transfer-Encoding: chunked"]))
        sender = threading.Thread(target=send_all, args=(peer, size, b"fffa\r\n" + b"[" * 0xfffa + b"\r\n"))
        sender.start()
        assert peer.answer().status == 413
        sender.join()
    if "san" not in support.BIN.parent.name:
        assert testd.rss_kb() - before < 16 * 1024


def test_a_client_that_does_not_read_holds_little(testd):
    """The handler of a large answer waits; it is told when the client goes."""
    before = testd.stats()["broken_off"]
    peers = [testd.connect() for _ in range(4)]
    for peer in peers:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.send(request("GET", f"/download?bytes={1 << 33}"))
    testd.until("in_flight", 4)
    if "san" not in support.BIN.parent.name:
        assert testd.rss_kb() < 64 * 1024
    assert testd.get("/health").body == b"ok"
    for peer in peers:
        peer.close()
    testd.until("broken_off", before + 4)
    testd.until("in_flight", 0)


# ---- what is refused ----------------------------------------------------------------------------

H = "Host: localhost\r\n"
REFUSED = {
    "cl+te": ("POST /echo HTTP/1.1\r\n" + H + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "te+cl": ("POST /echo HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
    "two cl": ("POST /echo HTTP/1.1\r\n" + H + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "two equal cl": ("POST /echo HTTP/1.1\r\n" + H + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    "cl list": ("POST /echo HTTP/1.1\r\n" + H + "Content-Length: 3,3\r\n\r\nabc", 400),
    "cl sign": ("POST /echo HTTP/1.1\r\n" + H + "Content-Length: +3\r\n\r\nabc", 400),
    "cl huge": ("POST /echo HTTP/1.1\r\n" + H + "Content-Length: 99999999999999999999\r\n\r\n", 400),
    "te gzip": ("POST /echo HTTP/1.1\r\n" + H + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "te twice": ("POST /echo HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "te 1.0": ("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "te tab": ("POST /echo HTTP/1.1\r\n" + H + "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", 400),
    "te blank": ("POST /echo HTTP/1.1\r\n" + H + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    "obs-fold": ("GET /health HTTP/1.1\r\n" + H + "A: b\r\n c\r\n\r\n", 400),
    "bad chunk": ("POST /echo HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    "negative chunk": ("POST /echo HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
    "huge chunk": ("POST /echo HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400),
    "chunk overrun": ("POST /echo HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", 400),
    "lf only": ("GET /health HTTP/1.1\nHost: localhost\n\n", 400),
    "lf header": ("GET /health HTTP/1.1\r\nHost: localhost\nA: b\r\n\r\n", 400),
    "bare cr": ("GET /health HTTP/1.1\r\n" + H + "A: b\rc\r\n\r\n", 400),
    "nul": ("GET /health HTTP/1.1\r\n" + H + "A: b\0c\r\n\r\n", 400),
    "no host": ("GET /health HTTP/1.1\r\n\r\n", 400),
    "two hosts": ("GET /health HTTP/1.1\r\n" + H + H + "\r\n", 400),
    "huge header": ("GET /health HTTP/1.1\r\n" + H + "A: " + "a" * 40000, 431),
    "many headers": ("GET /health HTTP/1.1\r\n" + H + "A: b\r\n" * 101 + "\r\n", 431),
    "long target": ("GET /" + "a" * 40000, 414),
    "http 2": ("GET /health HTTP/2.0\r\n" + H + "\r\n", 505),
    "http 0.9": ("GET /health HTTP/0.9\r\n\r\n", 505),
    "method": ("BREW /coffee HTTP/1.1\r\n" + H + "\r\n", 400),
    "connect": ("CONNECT evil:443 HTTP/1.1\r\n" + H + "\r\n", 405),
    "tls hello": ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "garbage": ("\0\0\0\0\r\n\r\n", 400),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_and_closed(testd, name):
    """And what follows on the connection is never taken for a request."""
    text, status = REFUSED[name]
    neighbour = testd.connect()
    with contextlib.closing(testd.connect()) as peer, contextlib.closing(neighbour):
        peer.send(text.encode("latin-1") + request("GET", "/health"))
        a = peer.answer()
        assert (a.status, a.header("connection")) == (status, "close"), a.body
        assert json.loads(a.body)["status"] == status
        assert peer.at_end()
        assert neighbour.ask("GET", "/health").body == b"ok"


def test_hosts_and_origins_on_loopback(testd):
    """DNS rebinding and cross-site posts."""
    for host in ("localhost", f"localhost:{testd.port}", "127.0.0.1", f"127.0.0.1:{testd.port}", "[::1]:80", "LocalHost"):
        assert testd.get("/health", host=host).status == 200, host
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "10.0.0.1", "[::2]", ""):
        assert testd.get("/health", host=host or " ").status == 403, host
    cases = [("http://localhost:3000", 200), ("http://127.0.0.1", 200), ("https://evil.example", 403),
             ("null", 403), ("http://localhost.evil.example", 403)]
    for origin, status in cases:
        for path in ("/echo", "/fast/echo"):
            with contextlib.closing(testd.connect()) as peer:
                assert peer.ask("POST", path, [f"Origin: {origin}"], b"x").status == status, origin
        assert testd.get("/health", headers=[f"Origin: {origin}"]).status == 200  # reading is the browser's to forbid


# ---- timeouts, caps -----------------------------------------------------------------------------


def test_slow_heads_and_idle_connections_are_ended(new_testd):
    one = new_testd("header_ms=700", "idle_ms=700")  # long enough for a busy machine to ask in time
    with contextlib.closing(one.connect()) as peer:
        peer.send(b"GET /health HTTP/1.1\r\nHo")
        assert peer.answer().status == 408
        assert peer.at_end()
    with contextlib.closing(one.connect()) as peer:  # never says a word
        assert peer.at_end()
    with contextlib.closing(one.connect()) as peer:
        assert peer.ask("GET", "/health").body == b"ok"
        assert peer.at_end()
    assert one.stats()["timeouts"] == 1


@pytest.mark.parametrize("size", [1000, 1000000])
def test_slow_bodies_are_ended(new_testd, size):
    """A short one before its handler starts, a long one under it."""
    one = new_testd("body_window_ms=500", "body_rate=1000")
    with contextlib.closing(one.connect()) as peer:
        peer.send(request("PUT", "/upload", [f"Content-Length: {size}"]))
        peer.send(b"a" * (size // 2))
        a = peer.answer()
        assert (a.status, a.header("connection")) == (408, "close")
        assert peer.at_end()
    with contextlib.closing(one.connect()) as peer:
        assert peer.ask("PUT", "/upload", body=b"a" * 100000).status == 200


def test_a_stalled_reader_is_ended(new_testd):
    one = new_testd("idle_ms=200")
    with contextlib.closing(one.connect()) as peer:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.send(request("GET", f"/download?bytes={1 << 30}"))
        one.until("broken_off", 1)
    one.until("open", 1)


def test_a_client_that_sips_at_its_answer_is_ended(new_testd):
    one = new_testd("idle_ms=200", "body_rate=100000000")
    with contextlib.closing(one.connect()) as peer:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.send(request("GET", f"/download?bytes={1 << 30}"))
        end = time.monotonic() + BOUND_S
        while one.stats()["broken_off"] == 0:
            assert time.monotonic() < end
            with contextlib.suppress(OSError):
                peer.sock.recv(100)
    one.until("open", 1)


def acceptor_sleeps(process):
    """How often the accepting thread has gone to sleep."""
    for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
        if (task / "comm").read_text().strip() == "accept":
            return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", (task / "status").read_text(), re.M)[1])
    raise AssertionError("there is no thread that accepts")


def test_the_acceptor_does_not_spin_without_any_descriptor(new_testd):
    one = new_testd("loops=1")
    assert one.get("/health").body == b"ok"  # the thread runs, and has its name
    limits = resource.prlimit(one.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(one.process.pid, resource.RLIMIT_NOFILE, (4, limits[1]))  # as many as it polls
    try:
        with contextlib.closing(one.connect()) as peer:
            before, end = acceptor_sleeps(one.process), time.monotonic() + BOUND_S
            while acceptor_sleeps(one.process) < before + 5:
                assert time.monotonic() < end
                time.sleep(0.002)
            resource.prlimit(one.process.pid, resource.RLIMIT_NOFILE, limits)
            assert peer.ask("GET", "/health").body == b"ok"
    finally:
        resource.prlimit(one.process.pid, resource.RLIMIT_NOFILE, limits)  # else it could not even end


def test_slow_uploads_leave_workers_to_others(new_testd):
    one = new_testd("workers=4", "loops=2")
    slow = [one.connect() for _ in range(8)]
    for peer in slow:
        peer.send(request("PUT", "/upload", ["Content-Length: 200000"]) + b"c" * 199999)
    one.until("in_flight", 3)  # 3 of 4 workers; the other uploads wait unread
    assert one.get("/health").body == b"ok"
    for peer in slow:
        peer.send(b"c")
    for peer in slow:
        assert json.loads(peer.answer().body)["bytes"] == 200000
        peer.close()
    one.until("in_flight", 0)


@pytest.mark.parametrize("kind", ["echo", "defer"])
def test_large_bodies_of_the_fast_path_are_bounded(new_testd, kind):
    one = new_testd("large_fast=1", "loops=2", "idle_ms=300")
    body = b"f" * 200000
    with contextlib.closing(one.connect()) as holds, contextlib.closing(one.connect()) as waits:
        holds.send(request("POST", f"/fast/{kind}", ["Content-Length: 200000"]) + body[1:])
        end = time.monotonic() + BOUND_S
        while one.stats()["bytes_in"] < 199999:
            assert time.monotonic() < end
            time.sleep(0.002)
        waits.send(request("POST", f"/fast/{kind}", ["Content-Length: 200000"]) + body[1:])
        assert waits.answer().status == 503
        holds.send(b"f")
        assert holds.answer().body == body
    assert one.get("/health").body == b"ok"
    with contextlib.closing(one.connect()) as peer:  # the place is free again
        assert peer.ask("POST", f"/fast/{kind}", body=body).body == body


def test_uploads_do_not_wait_for_ever(new_testd):
    one = new_testd("workers=1", "loops=1", "idle_ms=200")
    with contextlib.closing(one.connect()) as holds, contextlib.closing(one.connect()) as waits:
        holds.send(request("PUT", "/upload", ["Content-Length: 200000"]) + b"c" * 199999)
        one.until("in_flight", 1)
        waits.send(request("PUT", "/upload", ["Content-Length: 200000"]) + b"c" * 199999)
        assert waits.answer().status == 503
        holds.send(b"c")
        assert json.loads(holds.answer().body)["bytes"] == 200000


def test_connection_cap(new_testd):
    one = new_testd("connections=3", "loops=1")
    held = [one.connect() for _ in range(3)]
    for peer in held:
        assert peer.ask("GET", "/health").body == b"ok"
    with contextlib.closing(one.connect()) as peer:
        a = peer.answer()  # without having asked
        assert (a.status, a.header("connection"), a.header("retry-after")) == (503, "close", "1")
        assert peer.at_end()
    assert held[0].ask("GET", "/health").body == b"ok"
    held.pop().close()
    end = time.monotonic() + BOUND_S
    while one.get("/health").status != 200:
        assert time.monotonic() < end
    assert json.loads(held[0].ask("GET", "/stats").body)["refused"] >= 1  # a new connection might be one too many
    for peer in held:
        peer.close()


def test_full_queue_is_503(new_testd):
    one = new_testd("workers=1", "queue=1", "loops=1")
    first, second, third = one.connect(), one.connect(), one.connect()
    first.send(request("GET", "/wait"))
    one.until("waiting", 1)
    second.send(request("GET", "/wait"))
    one.until("queued", 1)
    a = third.ask("GET", "/health")
    assert (a.status, a.header("retry-after")) == (503, "1")
    assert third.at_end()
    third.close()
    third = one.connect()
    assert third.ask("POST", "/fast/echo", body=b"loops still answer").body == b"loops still answer"
    one.open_gate()
    assert first.answer().body == b"through"
    assert second.answer().body == b"through"
    for peer in (first, second, third):
        peer.close()


def test_out_of_descriptors_is_survived():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, hard))
    try:
        one = Testd("loops=1")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    peers = [one.connect() for _ in range(60)]
    ended = sum(peer.at_end() for peer in peers[-1:])  # turned away at once, not left hanging
    assert ended == 1
    for peer in peers:
        peer.close()
    end = time.monotonic() + BOUND_S
    while True:
        with contextlib.suppress(EOFError, ConnectionResetError, BrokenPipeError):
            if one.get("/health").status == 200:
                break
        assert time.monotonic() < end
    one.stop()


# ---- clients that go ----------------------------------------------------------------------------


def test_disconnect_in_the_middle_of_an_upload(testd):
    before = testd.stats()["broken_off"]
    for size in (10, 200000, 5000000):  # before the head is done, before and under the handler
        with contextlib.closing(testd.connect()) as peer:
            peer.send(request("PUT", "/upload", ["Content-Length: 10000000"])[:None if size > 10 else 30])
            peer.send(b"b" * size if size > 10 else b"")
    testd.until("broken_off", before + 2)
    testd.until("in_flight", 0)


def test_disconnect_in_the_middle_of_a_download(testd):
    before = testd.stats()["broken_off"]
    for chunked in ("", "&chunked=1"):
        with contextlib.closing(testd.connect()) as peer:
            peer.send(request("GET", f"/download?bytes={1 << 32}{chunked}"))
            assert peer.more()
    testd.until("broken_off", before + 2)


def test_disconnect_while_queued_and_while_working(new_testd):
    one = new_testd("workers=1", "loops=2")
    working = one.connect()
    working.send(request("GET", "/wait"))
    gone = [one.connect() for _ in range(20)]
    for i, peer in enumerate(gone):
        peer.send(request("POST", "/echo" if i % 2 else "/fast/pass", body=b"nobody will read this"))
    with contextlib.closing(one.connect()) as peer:  # comes after all of them
        assert peer.ask("POST", "/fast/echo", body=b"here").body == b"here"
        for other in gone:
            other.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
            other.close()
        working.close()
        one.open_gate()
        assert peer.ask("GET", "/health").body == b"ok"


# ---- unix socket, log, drain --------------------------------------------------------------------


def test_the_unix_socket_knows_its_peer(new_testd, tmp_path):
    path = tmp_path / "sock"
    one = new_testd(f"unix={path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(BOUND_S)
    s.connect(str(path))
    with contextlib.closing(Peer(s)) as peer:
        for _ in range(2):
            said = json.loads(peer.ask("GET", "/whoami", host="anything.example").body)
            assert (said["peer"], said["actor"]) == ("unix", pwd.getpwuid(os.getuid()).pw_name)
    assert json.loads(one.get("/whoami").body)["actor"] == "anonymous"
    one.stop()
    assert not path.exists()


def test_a_stale_socket_file_is_replaced(new_testd, tmp_path):
    path = tmp_path / "sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    new_testd(f"unix={path}")
    s = socket.socket(socket.AF_UNIX)
    s.connect(str(path))
    s.close()


def test_the_access_log_has_one_line_a_request(new_testd):
    one = new_testd("log=1")
    with contextlib.closing(one.connect()) as peer:
        peer.ask("POST", "/echo?q=secret", ["X-Request-Id: log-1"], b"12345")
        peer.ask("GET", "/nowhere")
        peer.ask("POST", "/fast/echo", body=b"1")  # in the prediction log, not here
        peer.send(b"GARBAGE\r\n\r\n")
        assert peer.answer().status == 400
    one.stop()
    lines = [json.loads(line) for line in one.errors.decode().splitlines()]
    assert [(l["path"], l["status"]) for l in lines] == [("/echo", 200), ("/nowhere", 404), (None, 400)]
    assert lines[0]["component"] == "access" and lines[0]["method"] == "POST"
    assert (lines[0]["bytes"], lines[0]["request_id"], lines[0]["actor"]) == (5, "log-1", "anonymous")
    assert lines[0]["us"] >= 0 and "secret" not in one.errors.decode()


def refuses_connections(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=BOUND_S).close()
    except ConnectionRefusedError:
        return True
    return False


def test_drain_finishes_what_was_accepted(new_testd):
    one = new_testd("drain_delay_ms=500", "loops=2")
    working, idle, watcher = one.connect(), one.connect(), one.connect()
    assert idle.ask("GET", "/health").body == b"ok"
    assert watcher.ask("GET", "/ready").status == 200
    working.send(request("GET", "/wait"))
    one.until("waiting", 1)
    uploading = one.connect()
    uploading.send(request("PUT", "/upload", ["Content-Length: 300000"]) + b"c" * 200000)
    one.until("in_flight", 2)
    one.process.send_signal(signal.SIGTERM)
    # Readiness is false first, while new connections are still served.
    end = time.monotonic() + BOUND_S
    while watcher.ask("GET", "/ready").status != 503:
        assert time.monotonic() < end
    assert idle.at_end()  # once the listeners are closed
    while not refuses_connections(one.port):
        assert time.monotonic() < end
    uploading.send(b"c" * 100000)
    assert json.loads(uploading.answer().body)["bytes"] == 300000
    assert uploading.at_end()
    one.open_gate()
    a = working.answer()
    assert a.body == b"through"
    assert working.at_end()
    for peer in (working, idle, uploading, watcher):
        peer.close()
    one.stop()


def test_drain_gives_up_at_its_timeout(new_testd):
    one = new_testd("drain_ms=100")
    with contextlib.closing(one.connect()) as peer:
        peer.send(request("PUT", "/upload", ["Content-Length: 300000"]) + b"c" * 200000)
        one.until("in_flight", 1)
        one.process.send_signal(signal.SIGTERM)
        assert peer.at_end()
    one.stop()


def test_drain_does_not_wait_for_a_stuck_handler(new_testd):
    one = new_testd("drain_ms=100", "grace_ms=100")
    with contextlib.closing(one.connect()) as peer:
        peer.send(request("GET", "/wait"))
        one.until("waiting", 1)
        one.process.send_signal(signal.SIGTERM)
        assert peer.at_end()
    one.code = one.process.wait(timeout=BOUND_S)
    assert one.code == 3
    one.process.communicate()


def rude_session(testd, rng):
    """Well-formed and broken requests, stopped, reset or half closed at any byte."""
    stream = b""
    for _ in range(rng.randrange(1, 6)):
        path = rng.choice(["/echo", "/fast/echo", "/fast/defer", "/fast/pass", "/upload", "/small", "/nowhere"])
        method = "PUT" if path == "/upload" else "POST"
        body = bytes([rng.randrange(256)]) * rng.choice([0, 1, 100, 5000, 150000, 400000])
        if rng.random() < 0.4:
            stream += request(method, path, ["Transfer-Encoding: chunked"])
            for k in range(0, len(body), 50000):
                stream += b"%x\r\n%s\r\n" % (len(body[k:k + 50000]), body[k:k + 50000])
            stream += b"0\r\n\r\n"
        else:
            stream += request(method, path, body=body)
    if rng.random() < 0.3:
        at = rng.randrange(len(stream))
        stream = stream[:at] + bytes([rng.randrange(256)]) + stream[at + 1:]
    if rng.random() < 0.5:
        stream = stream[:rng.randrange(len(stream))]
    with contextlib.closing(testd.connect()) as peer, contextlib.suppress(OSError):
        for k in range(0, len(stream), step := rng.choice([1 << 20, 70000, 5000])):
            peer.send(stream[k:k + step])
            if rng.random() < 0.1 and select.select([peer.sock], [], [], 0)[0]:
                peer.sock.recv(rng.choice([1, 1000, 100000]))
        end = rng.random()
        if end < 0.3:
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        elif end < 0.6:
            peer.sock.shutdown(socket.SHUT_WR)
            while peer.sock.recv(1 << 16):
                pass


def test_rude_clients_harm_nobody(new_testd):
    """400 sessions from fixed seeds; a polite client beside them always gets its answer; at the end nothing is left of them."""
    one = new_testd("loops=2", "workers=3", "queue=16")
    failures = []

    def rude(seed):
        rng = random.Random(seed)
        try:
            for _ in range(50):
                rude_session(one, rng)
        except Exception as e:  # noqa: BLE001: a thread must report whatever it was
            failures.append((seed, repr(e)))

    threads = [threading.Thread(target=rude, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    with contextlib.closing(one.connect()) as peer:
        while any(t.is_alive() for t in threads):
            assert peer.ask("POST", "/fast/echo", body=b"polite").body == b"polite"
    for t in threads:
        t.join()
    assert not failures, failures
    one.until("in_flight", 0)
    one.until("open", 1)


def test_many_clients_at_once(testd):
    """Every answer belongs to its question, with all kinds of route in flight."""
    wrong = []

    def client(seed):
        try:
            with contextlib.closing(testd.connect()) as peer:
                for i in range(100):
                    body = f"{seed}:{i};".encode() * (1 + (seed * i) % 300)
                    path = ("/fast/echo", "/echo", "/fast/defer", "/fast/pass")[(seed + i) % 4]
                    a = peer.ask("POST", path, body=body)
                    if a.body != body:
                        wrong.append((seed, i))
        except Exception as e:  # noqa: BLE001: a thread must report whatever it was
            wrong.append((seed, repr(e)))

    threads = [threading.Thread(target=client, args=(n,)) for n in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong, wrong[:5]
