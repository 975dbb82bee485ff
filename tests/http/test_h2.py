# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 as clients that mean harm, or are broken, speak it: each is ended, and all others are answered meanwhile."""

import random
import socket
import struct
import subprocess
import time

import pytest
import support

from h2frames import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, PRIORITY, RST_STREAM, SETTINGS,
                      Connection, block, frame, head, message)

pytestmark = pytest.mark.tsan

MEGABYTE = 1024 * 1024
INFER = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture
def connect(server):
    made = []

    def one(**kwargs):
        made.append(Connection(server.port, **kwargs))
        return made[-1]

    yield one
    for connection in made:
        connection.close()
    good = Connection(server.port)  # whatever happened, the server answers
    good.call(1)
    assert good.wait_end(1) is not None
    good.close()


def test_a_call(connect):
    c = connect()
    c.call(1)
    assert c.wait_end(1)
    data = c.wait(lambda kind, flags, stream, payload: kind == DATA and payload)
    assert data[3] == message(b"\x08\x01")  # live: true
    c.call(3)
    assert c.wait_end(3)


def test_a_preface_in_single_bytes(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as slow:
        slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in PREFACE + frame(SETTINGS):
            slow.sendall(bytes([byte]))
            time.sleep(0.002)
        assert slow.recv(9)[3] == SETTINGS


def test_one_byte_then_http_1(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as s:
        s.sendall(b"P")
        time.sleep(0.1)
        s.sendall(b"OST /v2/models/x/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        assert s.recv(65536).startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize("garbage", [b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", PREFACE + b"GET / HTTP/1.1\r\n\r\n", PREFACE + random.Random(1).randbytes(2000),
                                     PREFACE + frame(SETTINGS, 0, 0, b"123"), PREFACE + frame(SETTINGS) + frame(DATA, 0, 1, b"x"),
                                     PREFACE + frame(SETTINGS) + frame(HEADERS, END_HEADERS, 2, b"\xff\xff\xff\xff\xff\xff")], ids=lambda g: f"{len(g)} bytes")
def test_what_is_no_http_2_ends_the_connection(server, connect, garbage):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as s:
        s.sendall(garbage)
        while True:
            try:
                if not s.recv(65536):
                    break
            except ConnectionResetError:
                break


def test_rapid_reset(connect):
    """Thousands of calls, each taken back at once (CVE-2023-44487)."""
    c = connect()
    body = b"".join(frame(HEADERS, END_HEADERS, 2 * i + 1, head()) + frame(RST_STREAM, 0, 2 * i + 1, struct.pack(">I", 8)) for i in range(20000))
    c.send(body)
    assert c.wait_closed() and any(kind == GOAWAY for kind, *_ in c.frames)


def test_calls_that_work_and_are_taken_back(connect, server):
    c = connect()
    for i in range(3000):
        if not c.send(frame(HEADERS, END_HEADERS, 2 * i + 1, head("/inference.GRPCInferenceService/ServerMetadata")) +
                      frame(DATA, END_STREAM, 2 * i + 1, message()) + frame(RST_STREAM, 0, 2 * i + 1, struct.pack(">I", 8))):
            break
    assert c.wait_closed()


@pytest.mark.parametrize("what", ["settings", "ping", "priority", "empty data"])
def test_floods_of_frames_that_ask_nothing(connect, what):
    c = connect()
    one = {"settings": frame(SETTINGS, 0, 0, struct.pack(">HI", 3, 100)), "ping": frame(PING, 0, 0, b"12345678"),
           "priority": frame(PRIORITY, 0, 1, struct.pack(">IB", 0, 16)), "empty data": frame(DATA, 0, 1)}[what]
    c.send(frame(HEADERS, END_HEADERS, 1, head(INFER)))
    for _ in range(100):
        if not c.send(one * 1000):
            break
    assert c.wait_closed()


def test_a_client_that_pings_and_never_reads(connect, server):
    c = connect()
    before = server.rss_kb()
    for _ in range(200):
        if not c.send(frame(PING, 0, 0, b"12345678") * 500):
            break
    c.wait_closed(5)
    assert server.rss_kb() - before < 64 * 1024


def test_a_head_without_end(connect):
    c = connect()
    c.send(frame(HEADERS, 0, 1, head()))
    for _ in range(1000):
        if not c.send(frame(CONTINUATION, 0, 1, block([("x", "y" * 1000)]))):
            break
    assert c.wait_closed()


@pytest.mark.parametrize("more", [[("x-long", "y" * 40000)], [(f"x-{i}", "y") for i in range(200)]])
def test_a_head_that_is_too_long_is_refused_and_the_connection_goes_on(connect, more):
    c = connect()
    whole = head(more=more)
    parts = [whole[i:i + 16000] for i in range(0, len(whole), 16000)]
    c.send(frame(HEADERS, END_HEADERS if len(parts) == 1 else 0, 1, parts[0]))
    for i, part in enumerate(parts[1:]):
        c.send(frame(CONTINUATION, END_HEADERS if i == len(parts) - 2 else 0, 1, part))
    c.send(frame(DATA, END_STREAM, 1, message()))
    ended = c.wait(lambda kind, flags, stream, payload: stream == 1 and kind == HEADERS)
    assert ended and ended[1] & END_STREAM  # a failure without messages
    c.call(3)
    assert c.wait(lambda kind, flags, stream, payload: kind == DATA and stream == 3)


def test_more_streams_than_are_allowed(connect):
    c = connect()
    for i in range(150):
        c.send(frame(HEADERS, END_HEADERS, 2 * i + 1, head(INFER)))
    refused = c.wait(lambda kind, flags, stream, payload: kind in (RST_STREAM, GOAWAY))
    assert refused is not None


def test_a_message_longer_than_its_limit(connect):
    c = connect()
    c.send(frame(HEADERS, END_HEADERS, 1, head(INFER)) + frame(DATA, 0, 1, b"\0\xff\xff\xff\xff" + b"x" * 1000))
    assert c.wait_end(1)
    c.call(3)
    assert c.wait(lambda kind, flags, stream, payload: kind == DATA and stream == 3)


def test_more_than_the_window_allows(connect):
    c = connect()
    c.send(frame(HEADERS, END_HEADERS, 1, head(INFER)) + frame(DATA, 0, 1, b"\0" + struct.pack(">I", 4 * MEGABYTE)))
    for _ in range(300):
        if not c.send(frame(DATA, 0, 1, b"x" * 16000)):
            break
    # Windows are given as it is read, so that this is either taken or a broken rule; both end.
    c.send(frame(DATA, END_STREAM, 1))
    assert c.wait(lambda kind, flags, stream, payload: kind in (RST_STREAM, GOAWAY) or (stream == 1 and flags & END_STREAM)) or c.closed


@pytest.mark.parametrize("first", [b"\2", b"\7hello"])
def test_what_is_no_message(connect, first):
    c = connect()
    c.send(frame(HEADERS, END_HEADERS, 1, head()) + frame(DATA, END_STREAM, 1, first))
    assert c.wait_end(1)


def test_other_methods_and_types_are_told_to_use_http_1(connect):
    c = connect()
    c.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, block([(":method", "GET"), (":scheme", "http"), (":path", "/v2"), (":authority", "localhost")])))
    assert c.wait_end(1)
    data = c.wait(lambda kind, flags, stream, payload: kind == DATA)
    assert b"use HTTP/1.1" in data[3]


def test_a_host_that_was_rebound_is_refused(connect):
    c = connect()
    c.call(1, authority="evil.example")
    ended = c.wait_end(1)
    assert ended[0] == HEADERS and not any(kind == DATA for kind, *_ in c.frames)


def test_slow_and_silent_clients_are_ended(new_server):
    server = new_server()
    quiet = Connection(server.port)
    half = Connection(server.port)
    half.send(frame(HEADERS, 0, 1, head()))  # a head that never ends
    began = time.monotonic()
    assert half.wait_closed(30) and time.monotonic() - began < 25
    quiet.call(1)
    assert quiet.wait_end(1)
    for one in (quiet, half):
        one.close()


def test_others_are_answered_during_a_flood(server):
    flood = [Connection(server.port) for _ in range(8)]
    good = Connection(server.port)
    times = []
    for i in range(200):
        for one in flood:
            if not one.closed:
                one.send(frame(PING, 0, 0, b"12345678") * 20)
        began = time.monotonic()
        good.call(2 * i + 1)
        assert good.wait_end(2 * i + 1)
        times.append(time.monotonic() - began)
    assert sorted(times)[190] < 1
    for one in [*flood, good]:
        one.close()


@pytest.mark.skipif(support.sanitized(), reason="a sanitizer keeps what was freed")
def test_nothing_stays_behind(server):
    """After thousands of calls on many connections memory is where it was."""
    def round_of_calls():
        for _ in range(20):
            c = Connection(server.port)
            for i in range(50):
                c.call(2 * i + 1)
            assert c.wait_end(99)
            c.close()

    round_of_calls()
    before = server.rss_kb()
    for _ in range(5):
        round_of_calls()
    assert server.rss_kb() - before < 8 * 1024


def test_curl_with_prior_knowledge(server):
    done = subprocess.run(["curl", "-s", "--http2-prior-knowledge", "-o", "/dev/null", "-w", "%{http_code} %{http_version}",
                           f"http://127.0.0.1:{server.port}/v2"], capture_output=True, text=True, check=False)
    if "unsupported" in done.stderr or done.returncode == 1:
        pytest.skip("this curl has no HTTP/2")
    assert done.stdout == "415 2"
