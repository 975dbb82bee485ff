# SPDX-License-Identifier: Apache-2.0
"""10,000 connections that ask nothing and 300 that ask for ever (slow-loris), and one client who is answered as if he were alone."""

import http.client
import json
import re
import resource
import socket
import threading
import time

import pytest
import serving
import support

IDLE, SLOW, ROOM = 10000, 300, 700  # ROOM: beside the idle ones, below --max-connections
FILES = IDLE + ROOM + 512           # that each of both processes may open
ASK = b"GET /v2/health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        pytest.skip(f"{FILES} open files are needed, and the system allows {hard} (ulimit -Hn)")
    if soft == resource.RLIM_INFINITY or soft >= FILES:
        yield
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Client(threading.Thread):
    """Asks, over one connection and now and then a new one; keeps what was wrong and how long it took."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.port, self.took, self.wrong, self.over = server.port, [], [], threading.Event()

    def run(self):
        connection = None
        while not self.over.is_set():
            n = len(self.took)
            if connection is None or n % 10 == 0:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            hr, begin = 60 + n % 190, time.monotonic()
            try:
                connection.request("POST", "/predictions", json.dumps({"hr": hr, "resp": 15, "temp": 37}), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                got = (answer.status, json.loads(answer.read()))
                if got[0] != 200 or got[1]["isSepsis"] != int(hr >= 90):
                    self.wrong.append((hr, got))
            except (OSError, http.client.HTTPException, ValueError, KeyError) as why:
                self.wrong.append((hr, repr(why)))
                connection = None
            self.took.append(time.monotonic() - begin)
            time.sleep(0.001)


def metric(server, name):
    text = serving.request(server, "GET", "/metrics")[1].decode()
    return float(re.search(f"^{name} (.*)$", text, re.M).group(1))


def answer_of(s):
    """All bytes until the server ends; what ends with a reset is an end, too."""
    data = b""
    try:
        while got := s.recv(65536):
            data += got
    except ConnectionResetError:
        pass
    return data


def drip(slow, over):
    """A byte of a head's line each second, for ever."""
    while not over.wait(1):
        for s in slow:
            try:
                s.send(b"a")
            except OSError:  # it was closed, which is what is wanted
                pass


def open_idle(server, sockets):
    """Each asked once and then says nothing, so it may stay for 75 s."""
    begin = time.monotonic()
    for at in range(0, IDLE, 100):
        some = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(min(100, IDLE - at))]
        sockets.extend(some)
        for s in some:
            s.sendall(ASK)
        for s in some:
            assert s.recv(4096).startswith(b"HTTP/1.1 200")
    return time.monotonic() - begin


@pytest.mark.timeout(300)
@pytest.mark.skipif(support.sanitized(), reason="memory is measured, which a sanitizer keeps")
def test_10_000_idle_connections_and_slow_loris(new_server, many_files, capsys, record_property):
    server = new_server(["--max-connections", IDLE + ROOM])
    serving.register(server)
    serving.deploy(server, "models:/sepsis/1", project={"aliases": [serving.ALIAS]})
    client, over, idle, slow = Client(server), threading.Event(), [], []
    dripping = threading.Thread(target=drip, args=(slow, over), daemon=True)
    client.start()
    try:
        while len(client.took) < 300:  # what is made at first use is made
            assert client.is_alive() and not client.wrong, client.wrong[:3]
            time.sleep(0.05)
        before = server.rss_kb()
        took = open_idle(server, idle)
        per_connection = (server.rss_kb() - before) * 1024 / IDLE
        if took > 60:
            pytest.skip(f"{IDLE} connections took {took:.0f} s to open here: the first are no longer idle but closed")
        assert metric(server, "gyre_http_connections") >= IDLE
        for _ in range(SLOW):
            s = socket.create_connection(("127.0.0.1", server.port), timeout=60)
            slow.append(s)
            s.sendall(b"POST /predictions HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        dripping.start()
        at = len(client.took)
        for s in slow:  # after 10 s, each of them
            assert b" 408 " in (got := answer_of(s)) or got == b"", got
        beside = sorted(client.took[at:])
        assert len(beside) > 20
        over.set()
        end = time.monotonic() + 60
        while metric(server, "gyre_http_connections") >= IDLE + SLOW:  # it lingers a little with those it refused
            assert time.monotonic() < end
            time.sleep(0.1)
    finally:
        over.set()
        client.over.set()
        client.join(60)
        for s in idle + slow:
            s.close()
    assert not client.wrong, f"{len(client.wrong)} of {len(client.took)}: {client.wrong[:3]}"
    said = (f"{IDLE} idle connections: {per_connection:.0f} bytes each; {len(beside)} answers beside them and {SLOW} slow ones: "
            f"p50 {beside[len(beside) // 2] * 1000:.2f} ms, p99 {beside[len(beside) * 99 // 100] * 1000:.2f} ms")
    record_property("idle connections", said)
    with capsys.disabled():
        print(f"\n{said}")
    assert per_connection < 16384


def test_one_too_many_is_told_so_and_may_come_back(new_server):
    server = new_server(["--max-connections", 5])
    held = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(5)]
    for s in held:  # it is counted when it is answered
        s.sendall(ASK)
        assert s.recv(4096).startswith(b"HTTP/1.1 200")
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as s:
        s.sendall(ASK)
        assert b" 503 " in answer_of(s)
    held.pop().close()
    end = time.monotonic() + 60
    while serving.request(server, "GET", "/v2/health/live")[0] != 200:  # the server sees the end of a connection in its own time
        assert time.monotonic() < end
        time.sleep(0.05)
    for s in held:
        s.close()
