# SPDX-License-Identifier: Apache-2.0
"""Attacks through a browser: a name that was rebound to this machine, forms and scripts of other pages; and binding to the
network, which asks for logins."""

import os
import re
import signal
import socket
import subprocess
import time

import identity
import pytest
import support
from serving import API

CREATE = "/api/2.0/mlflow/experiments/create"


def ask(server, method, path, headers, body=None):
    return identity.ask(server, method, path, body, headers)[0]


# ---- loopback -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "evil.example:5000", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0",
                                  "192.0.2.7", "[::2]", "localhost@evil.example", "127.0.0.2"])
@pytest.mark.parametrize("method, path", [("GET", "/api/2.0/mlflow/experiments/search?max_results=1"), ("POST", CREATE),
                                          ("GET", "/"), ("GET", f"{API}/users"), ("POST", "/v2/models/x/infer"), ("GET", "/metrics")])
def test_rebound_names(server, host, method, path):
    """A page of evil.example whose name now means 127.0.0.1 reads nothing and writes nothing."""
    assert ask(server, method, path, {"Host": host}, {"name": "rebound"} if method == "POST" else None) == 403
    found = identity.ask(server, "GET", "/api/2.0/mlflow/experiments/get-by-name?experiment_name=rebound")[0]
    assert found == 404


@pytest.mark.parametrize("host", ["localhost", "LocalHost:1", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:5000"])
def test_local_names(server, host):
    assert ask(server, "GET", "/health", {"Host": host}) == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "https://evil.example:5000", "null", "http://localhost.evil.example",
                                    "http://127.0.0.1@evil.example", "http://evil.example/#http://localhost", "file://", "", "x"])
@pytest.mark.parametrize("method, path", [("POST", CREATE), ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/x"),
                                          ("PUT", "/api/2.0/mlflow-artifacts/artifacts/x"), ("PATCH", "/api/2.0/mlflow/registered-models/update"),
                                          ("POST", "/v2/models/x/infer"), ("POST", f"{API}/endpoints/x/deploy")])
def test_other_pages_write_nothing(server, origin, method, path):
    assert ask(server, method, path, {"Origin": origin}, {"name": "posted"}) == 403


def test_forms_write_nothing(server):
    """A form needs no permission to be posted across origins; its Origin and its content type give it away."""
    headers = {"Origin": "http://evil.example", "Content-Type": "text/plain"}
    assert identity.ask(server, "POST", CREATE, b'{"name": "form"}', headers)[0] == 403
    assert identity.ask(server, "POST", CREATE, b'{"name": "form"}', {"Content-Type": "text/plain"})[0] == 400


def test_our_own_page_writes(server):
    for origin in (f"http://127.0.0.1:{server.port}", f"http://localhost:{server.port}"):
        assert ask(server, "POST", CREATE, {"Origin": origin}, {"name": f"own {origin}"}) == 200


def test_nothing_is_shared_with_other_origins(server):
    """No answer tells a browser that another page may read it."""
    for method, path in (("GET", "/"), ("OPTIONS", CREATE), ("GET", "/version")):
        got = identity.ask(server, method, path, headers={"Origin": "http://evil.example"})[2]
        assert not [h for h in got if h.lower().startswith("access-control")]


@pytest.mark.parametrize("path", ["/", "/review"])
def test_pages_can_not_be_framed(server, path):
    status, _, got = identity.ask(server, "GET", path, headers={"Accept": "text/html"})
    assert status == 200 and got["Content-Type"].startswith("text/html")
    assert got["X-Frame-Options"] == "DENY" and got["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in got["Content-Security-Policy"] and "default-src 'none'" in got["Content-Security-Policy"]


def test_artifacts_are_no_pages(server):
    """An uploaded page opens nowhere: it is a download, and is not sniffed."""
    path = "/api/2.0/mlflow-artifacts/artifacts/0/x.html"
    assert identity.ask(server, "PUT", path, b"<script>alert(1)</script>", {"Content-Type": "text/html"})[0] == 200
    got = identity.ask(server, "GET", path)[2]
    assert got["X-Content-Type-Options"] == "nosniff" and "attachment" in (got["Content-Disposition"] or "")


# ---- the network ----------------------------------------------------------------------------------------------------------------


def own_address():
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))  # nothing is sent
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address = s.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    return address


class Network:
    """A server on a given address; what it prints is kept."""

    def __init__(self, folder, host, *args):
        self.home, self.log = folder / "home", folder / "log"
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen([str(support.BIN), "server", "--port", "0", "--home", str(self.home), "--host", host,
                                             *map(str, args)], stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=folder,
                                            env=support.clean_env())
        end = time.monotonic() + support.READY_S
        while True:
            found = re.search(r"http://\S+:(\d+)", self.log.read_text(errors="replace"))
            if found:
                self.port = int(found.group(1))
                return
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise AssertionError(self.log.read_text(errors="replace"))
            time.sleep(0.01)

    def stop(self):
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGTERM)
        self.process.wait(support.STOP_S)


def test_the_network_asks_for_logins(gyre):
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        for args in ((), ("--auth", "off")):
            done = gyre("server", "--host", host, "--port", "0", *args)
            assert done.returncode == 7 and "without logins" in done.stderr and "--auth on" in done.stderr


def test_every_address(tmp_path):
    """Bound to all addresses, any name may ask; a page writes only to where it came from; logins unencrypted are warned of."""
    server = Network(tmp_path, "0.0.0.0", "--auth", "on")
    try:
        assert "unencrypted" in server.log.read_text()
        headers = identity.add_user(server, "olga", "operator")
        who = {**headers, "Host": f"gyre.example:{server.port}"}
        assert ask(server, "GET", f"{API}/whoami", who) == 200
        assert ask(server, "POST", CREATE, {**who, "Origin": f"http://gyre.example:{server.port}"}, {"name": "a"}) == 200
        for origin in ("http://evil.example", "http://localhost:3000", "http://gyre.example:1", "null"):
            assert ask(server, "POST", CREATE, {**who, "Origin": origin}, {"name": "b"}) == 403
        assert ask(server, "GET", f"{API}/whoami", {"Host": "gyre.example"}) == 401
    finally:
        server.stop()


def test_one_address_and_names(tmp_path):
    address = own_address()
    server = Network(tmp_path, address, "--auth", "on", "--insecure", "--allowed-hosts", "gyre.example, Other.Example")
    try:
        assert "unencrypted" not in server.log.read_text()
        headers = identity.add_user(server, "olga", "operator")

        def say(host, **more):
            return identity.ask(server, "POST" if more else "GET", CREATE if more else f"{API}/whoami", {"name": host} if more else None,
                                {**headers, "Host": host, **more}, host=address)[0]

        for host in ("gyre.example", "GYRE.example:5000", "other.example", address, f"{address}:{server.port}", "localhost"):
            assert say(host) == 200, host
        for host in ("evil.example", "gyre.example.evil.example", "xgyre.example", "192.0.2.9", "*"):
            assert say(host) == 403, host
        assert say("gyre.example", Origin="https://other.example") == 200
        assert say("gyre.example", Origin="http://localhost:3000") == 403
        assert say("gyre.example", Origin="https://evil.example") == 403
    finally:
        server.stop()


def test_any_host_when_told_so(tmp_path):
    server = Network(tmp_path, "127.0.0.1", "--auth", "on", "--allowed-hosts", "*")
    try:
        assert ask(server, "GET", "/health", {"Host": "anything.example"}) == 200
        assert ask(server, "POST", CREATE, {"Host": "anything.example", "Origin": "http://evil.example"}, {}) == 403
    finally:
        server.stop()
