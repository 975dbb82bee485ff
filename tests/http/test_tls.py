# SPDX-License-Identifier: Apache-2.0
"""The server's port over TLS: clients of many kinds, large bodies, what is no TLS, and renewed certificates."""

import hashlib
import json
import os
import socket
import ssl
import subprocess
import threading
import time
import warnings

import pytest
import requests

from support import Server, run_gyre

pytestmark = pytest.mark.tsan

MIB = 1 << 20


def make_certificate(folder, name="server"):
    """A self-signed certificate for loopback; (certificate, key)."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    try:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-keyout", key, "-out", cert, "-days", "2", "-subj", f"/CN={name}",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("the program 'openssl' is not installed")
    return cert, key


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    cert, key = make_certificate(folder)
    server = Server(folder / "home", ["--tls-cert", cert, "--tls-key", key]).start()
    server.cert = cert
    server.url = server.url.replace("http://", "https://")
    yield server
    server.stop()


def context(server):
    made = ssl.create_default_context(cafile=str(server.cert))
    made.set_alpn_protocols(["h2", "http/1.1"])
    return made


def connect(server):
    raw = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    return context(server).wrap_socket(raw, server_hostname="localhost")


def read_answer(sock):
    """Status line and body of one answer with a Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        got = sock.recv(65536)
        assert got, data
        data += got
    head, body = data.split(b"\r\n\r\n", 1)
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    while len(body) < length:
        got = sock.recv(65536)
        assert got
        body += got
    return int(head.split(b" ")[1]), body[:length]


def test_the_announced_address_says_https(tls):
    assert "https://127.0.0.1:" in tls.text()


def test_a_session_of_requests_is_one_connection(tls):
    with requests.Session() as session:
        trusted = {"verify": str(tls.cert), "timeout": 60} # of the session it would give way to the environment
        for _ in range(20):
            assert session.get(tls.url + "/health", **trusted).text == "OK"
        made = session.post(tls.url + "/api/2.0/mlflow/experiments/create", json={"name": "over tls"}, **trusted)
        assert made.status_code == 200 and made.json()["experiment_id"]


def test_http_1_1_is_what_is_agreed_on(tls):
    with connect(tls) as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"
        assert sock.version() in ("TLSv1.2", "TLSv1.3")


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_both_versions_carry_large_bodies_both_ways(tls, version):
    made = context(tls)
    made.minimum_version = made.maximum_version = ssl.TLSVersion[version]
    body = os.urandom(5 * MIB + 12345)
    path = f"/api/2.0/mlflow-artifacts/artifacts/0/{version}/artifacts/big.bin"
    with made.wrap_socket(socket.create_connection(("127.0.0.1", tls.port), timeout=60),
                          server_hostname="localhost") as sock:
        assert sock.version() == version.replace("_", ".")
        sock.sendall(f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        assert read_answer(sock) == (200, b"{}")
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        status, got = read_answer(sock)
    assert status == 200 and hashlib.sha256(got).digest() == hashlib.sha256(body).digest()


def test_pipelined_requests_are_answered_in_order(tls):
    with connect(tls) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /version HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
        rest = b""
        answers = []
        while len(answers) < 100:
            while b"\r\n\r\n" not in rest:
                got = sock.recv(65536)
                assert got
                rest += got
            head, rest = rest.split(b"\r\n\r\n", 1)
            length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-l"))
            while len(rest) < length:
                rest += sock.recv(65536)
            answers.append(rest[:length])
            rest = rest[length:]
    assert answers[0::2] == [b"OK"] * 50 and len(set(answers[1::2])) == 1


def test_an_invited_body_is_awaited(tls):
    with connect(tls) as sock:
        sock.sendall(b"PUT /api/2.0/mlflow-artifacts/artifacts/0/i/artifacts/x HTTP/1.1\r\nHost: localhost\r\n"
                     b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 100 ")
        sock.sendall(b"abc")
        assert read_answer(sock) == (200, b"{}")


def test_a_byte_at_a_time_is_a_request_too(tls):
    """Records of one byte, and a handshake whose flights arrive in pieces."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    made = context(tls).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", tls.port), timeout=60) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def flush():
            data = outgoing.read()
            for i in range(len(data)):
                raw.sendall(data[i:i + 1])

        while True:
            try:
                made.do_handshake()
                break
            except ssl.SSLWantReadError:
                flush()
                incoming.write(raw.recv(7))
        for byte in b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n":
            made.write(bytes([byte]))
            flush()
        text = b""
        while True:
            try:
                got = made.read(4096)
            except ssl.SSLWantReadError:
                incoming.write(raw.recv(3))
                continue
            except ssl.SSLZeroReturnError: # the server said that this was all
                break
            if not got:
                break
            text += got
    assert text.startswith(b"HTTP/1.1 200") and text.endswith(b"OK")


def test_plain_http_is_told_what_to_do(tls):
    got = requests.get(tls.url.replace("https://", "http://") + "/health", timeout=60)
    assert got.status_code == 400 and "use https://" in got.text


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x00\x05hello", b"\x16" * 70000, b"\x16\x03\x01\xff\xff" + b"x" * 70000])
def test_garbage_ends_its_connection_alone(tls, sent):
    with socket.create_connection(("127.0.0.1", tls.port), timeout=60) as raw:
        try:
            raw.sendall(sent)
            while raw.recv(4096):
                pass
        except ConnectionError:
            pass
    assert requests.get(tls.url + "/health", verify=str(tls.cert), timeout=60).text == "OK"


def test_old_versions_are_refused(tls):
    made = context(tls)
    made.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    made.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore") # that it is deprecated is the point
        made.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        made.wrap_socket(socket.create_connection(("127.0.0.1", tls.port), timeout=60), server_hostname="localhost")


def test_many_clients_at_once(tls):
    failed = []

    def work(i):
        try:
            for k in range(5):
                body = os.urandom(200_000)
                path = f"{tls.url}/api/2.0/mlflow-artifacts/artifacts/0/m{i}/artifacts/{k}"
                assert requests.put(path, data=body, verify=str(tls.cert), timeout=100).status_code == 200
                assert requests.get(path, verify=str(tls.cert), timeout=100).content == body
        except Exception as why: # whatever it is fails the test below
            failed.append(why)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failed == []


def test_commands_trust_the_named_authority_only(tls, tmp_path):
    known = run_gyre("exp", "list", "--json", "--server", tls.url, cwd=tmp_path, env={"GYRE_CA_FILE": str(tls.cert)})
    assert known.returncode == 0, known.stderr
    assert json.loads(known.stdout)
    unknown = run_gyre("exp", "list", "--server", tls.url, cwd=tmp_path)
    assert unknown.returncode != 0 and "not trusted" in unknown.stderr and "GYRE_CA_FILE" in unknown.stderr


def test_the_socket_stays_plain(tls, tmp_path):
    assert run_gyre("exp", "list", "--home", tls.home, cwd=tmp_path).returncode == 0


def fingerprint(port):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as raw:
        made = ssl.create_default_context()
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
        with made.wrap_socket(raw) as sock:
            return hashlib.sha256(sock.getpeercert(binary_form=True)).hexdigest()


def test_a_renewed_certificate_is_used_without_a_restart(tmp_path):
    cert, key = make_certificate(tmp_path)
    server = Server(tmp_path / "home", ["--tls-cert", cert, "--tls-key", key]).start()
    try:
        before = fingerprint(server.port)
        (tmp_path / "new").mkdir()
        new_cert, new_key = make_certificate(tmp_path / "new")
        os.replace(new_cert, cert)
        os.replace(new_key, key)
        end = time.monotonic() + 60
        while fingerprint(server.port) == before:
            assert time.monotonic() < end, "the new certificate was not taken up"
            time.sleep(0.5)
    finally:
        server.stop()


@pytest.mark.parametrize("break_it, message", [
    (lambda cert, key: key.write_text("nonsense"), "the key"),
    (lambda cert, key: cert.write_text(""), "the certificate"),
    (lambda cert, key: key.unlink(), "--tls-cert and --tls-key name PEM files"),
])
def test_files_that_can_not_be_used_are_named_at_start(tmp_path, break_it, message):
    cert, key = make_certificate(tmp_path)
    break_it(cert, key)
    done = run_gyre("server", "--port", "0", "--home", tmp_path / "home", "--tls-cert", cert, "--tls-key", key, cwd=tmp_path)
    assert done.returncode != 0 and message in done.stderr, done.stderr


def test_a_key_without_its_certificate_is_a_usage_error(tmp_path):
    done = run_gyre("server", "--port", "0", "--home", tmp_path / "home", "--tls-key", "x", cwd=tmp_path)
    assert done.returncode == 2 and "belong together" in done.stderr
