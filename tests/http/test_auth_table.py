# SPDX-License-Identifier: Apache-2.0
"""Who may use which route: every actor on every operation of the OpenAPI document, held against routes.txt. A route that has
no line there fails, and so does a line that has no route."""

import http.client
import pathlib
import re
import time

import identity
import pytest
import support
from identity import add_token, add_user, add_workspace, bearer, root
from serving import API

RANKS = ["public", "login", "viewer", "reviewer", "operator", "admin"]
MLFLOW = re.compile(r"^/(ajax-)?api/[23]\.0/mlflow")
TABLE = {}
for line in (pathlib.Path(__file__).parent / "routes.txt").read_text().splitlines():
    if line and not line.startswith("#"):
        role, flags, method, path = line.split()
        TABLE[method, path] = (role, flags)

# What a login is enough for, but only for one's own: others get the same 403 from the handler.
OWN = {("GET", f"{API}/users/{{name}}"), ("PUT", f"{API}/users/{{name}}/password"), ("DELETE", f"{API}/tokens/{{id}}"),
       ("POST", f"{API}/tokens"), ("GET", f"{API}/tokens")}


# Public, but the address itself is the login: it is signed, and a made-up one is refused to everybody.
SIGNED = {("PUT", "MLFLOW-artifacts/mpu/part/{id}/{part}")}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    one = support.Server(tmp_path_factory.mktemp("table") / "home", ["--auth", "on"]).start()
    yield one
    one.stop()
    one.clean()


@pytest.fixture(scope="module")
def actors(server):
    """Name -> (headers, the rank held in "default"; None: no login)."""
    add_workspace(server, "team-b")
    found = {role: (add_user(server, f"the-{role}", role), RANKS.index(role)) for role in RANKS[2:]}
    found["nobody"] = (add_user(server, "the-nobody"), RANKS.index("login"))
    found["admin of team-b"] = (add_user(server, "the-stranger", "admin", "team-b"), RANKS.index("login"))
    found["anonymous"] = ({}, None)
    found["bad token"] = (bearer("gyre_" + "x" * 43), None)
    revoked = add_token(server, "the-admin")
    root(server, "DELETE", f"{API}/tokens/{revoked['id']}")
    found["revoked token"] = (bearer(revoked["token"]), None)
    expired = add_token(server, "the-admin", expires_s=1)["token"]
    end = time.monotonic() + 30
    while identity.ask(server, "GET", f"{API}/whoami", headers=bearer(expired))[0] != 401:
        assert time.monotonic() < end, "it does not expire"
        time.sleep(0.05)
    found["expired token"] = (bearer(expired), None)
    gone = add_user(server, "the-gone", "admin", "*")
    root(server, "POST", f"{API}/users/the-gone/disable", {})
    found["disabled admin"] = (gone, None)
    return found


def operations(server):
    """(method, path of the document, its line in the table's terms)"""
    document = root(server, "GET", f"{API}/openapi.json")
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            yield method.upper(), path, MLFLOW.sub("MLFLOW", path), said


class Connection:
    def __init__(self, server):
        self.http = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)

    def ask(self, method, path, headers):
        body = None if method == "GET" else b"{}"
        self.http.request(method, path, body=body, headers={"Content-Type": "application/json", **headers})
        answer = self.http.getresponse()
        text = answer.read()
        if answer.will_close:
            self.http.close()
        return answer.status, text.decode("utf-8", "replace")


def real_path(path):
    """No such thing anywhere: an allowed request is told so, or that its body says too little."""
    return re.sub(r"\{(row|version|revision|part|v)\}", "1", re.sub(r"\{(?!row|version|revision|part|v\})\w+\}", "no-such", path))


def test_every_route_has_a_line(server):
    routes = {(method, line) for method, _, line, _ in operations(server)}
    assert routes - set(TABLE) == set(), "routes without an expectation in tests/http/routes.txt"
    assert set(TABLE) - routes == set(), "lines of routes that are not there"
    assert len(routes) > 150


def test_the_document_says_what_the_table_says(server):
    for method, path, line, said in operations(server):
        role, flags = TABLE[method, line]
        assert (said["x-gyre-role"], said["x-gyre-workspaces"], said["x-gyre-named"]) == (role, "W" in flags, "N" in flags), (method, path)
        assert bool(said["security"]) == (role != "public"), path


def expected(rank, needed):
    """401, 403, or None: let in, whatever the handler then finds."""
    if needed == "public":
        return None
    if rank is None:
        return 401
    return None if rank >= RANKS.index(needed) else 403


ACTORS = ["anonymous", "bad token", "expired token", "revoked token", "disabled admin", "nobody", "viewer", "reviewer", "operator",
          "admin", "admin of team-b"]


@pytest.mark.parametrize("name", ACTORS)
def test_actor_on_every_route(server, actors, name):
    headers, rank = actors[name]
    connection, wrong, refusals = Connection(server), [], 0
    for method, path, line, _ in operations(server):
        needed, _flags = TABLE[method, line]
        want = 403 if (method, line) in SIGNED else expected(rank, needed)
        got, text = connection.ask(method, real_path(path), headers)
        if want is not None:
            refusals += 1
            if got != want:
                wrong.append((method, path, got, want))
        elif got == 401 or (got == 403 and not ((method, line) in OWN and rank < RANKS.index("admin"))):
            wrong.append((method, path, got, text[:100]))
    assert not wrong, wrong[:10]
    assert refusals > len(SIGNED) or name == "admin"


def test_workspaces_of_routes(server, actors):
    """In another workspace: a route that works there asks for the role there, every other says that it does not."""
    connection, wrong = Connection(server), []
    for method, path, line, _ in operations(server):
        needed, flags = TABLE[method, line]
        if needed == "public":
            continue
        for name, rank in (("admin of team-b", RANKS.index("admin")), ("admin", RANKS.index("login"))):
            got, text = connection.ask(method, real_path(path), {**actors[name][0], "X-MLFLOW-WORKSPACE": "team-b"})
            if "W" not in flags:
                fits = got == 400 and "'default' alone" in text
            else:
                want = expected(rank, needed)
                fits = got == want if want else got not in (401, 403)
            if not fits:
                wrong.append((name, method, path, got, text[:100]))
    assert not wrong, wrong[:10]


def test_nobody_in_particular_where_no_login_is_asked_for(tmp_path):
    """On loopback without logins: all but what needs an admin, and what somebody must answer for."""
    server = support.Server(tmp_path / "open").start()
    try:
        connection, wrong = Connection(server), []
        for method, path, line, _ in operations(server):
            needed, flags = TABLE[method, line]
            got, text = connection.ask(method, real_path(path), {})
            if needed == "admin":
                fits = got == 403 and "this needs admin" in text
            elif (method, line) in SIGNED:
                fits = got == 403
            elif "N" in flags:
                fits = got == 401
            else:
                fits = got != 403 and (got != 401 or "needs a name" in text)  # some handlers ask for one themselves
            if not fits:
                wrong.append((method, path, got, text[:120]))
        assert not wrong, wrong[:10]
    finally:
        server.stop()
        server.clean()
