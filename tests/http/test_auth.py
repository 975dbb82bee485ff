# SPDX-License-Identifier: Apache-2.0
"""Logins: tokens and passwords, what changes at once, limits, the audit log, files of users; and loopback without logins."""

import concurrent.futures
import gzip
import hashlib
import http.client
import json
import random
import re
import sqlite3
import subprocess
import time

import identity
import pytest
import serving
import support
from identity import PASSWORD, add_token, add_user, add_workspace, ask, audit, basic, bearer, must, root
from serving import API

pytestmark = pytest.mark.tsan

MLFLOW = "/api/2.0/mlflow"
WHO = f"{API}/whoami"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    one = support.Server(tmp_path_factory.mktemp("auth") / "home", ["--auth", "on", "--access-log", "--log", "debug"]).start()
    add_workspace(one, "team-a")
    yield one
    one.stop()
    one.clean()


@pytest.fixture(scope="module")
def people(server):
    """Headers by name: one of each role in the default workspace, and one who has none."""
    found = {role: add_user(server, f"the-{role}", role) for role in ("viewer", "reviewer", "operator", "admin")}
    found["nobody"] = add_user(server, "the-nobody")
    return found


def who(server, headers):
    status, answer, _ = ask(server, "GET", WHO, headers=headers)
    return (answer["actor"], answer["role"]) if status == 200 else status


# ---- logging in ---------------------------------------------------------------------------------------------------------------


def test_every_way_in(server):
    token = add_user(server, "alice", "operator", password=PASSWORD)["Authorization"].split()[1]
    for headers in (bearer(token), basic("alice", token), basic("alice", PASSWORD)):
        assert who(server, headers) == ("alice", "operator")
        assert who(server, headers) == ("alice", "operator")  # remembered


@pytest.mark.parametrize("headers", [
    {}, {"Authorization": ""}, bearer("gyre_" + "x" * 43), bearer("nonsense"), basic("alice", "wrong password"), basic("", ""),
    basic("no-such-user", PASSWORD), basic("the-viewer", "gyre_" + "x" * 43), {"Authorization": "Digest x"},
    {"Authorization": "Basic ???"}, {"Authorization": "Bearer " + "x" * 5000},
], ids=lambda h: str(h.get("Authorization"))[:24])
def test_no_way_in(server, people, headers):
    status, answer, got = ask(server, "GET", WHO, headers=headers)
    assert (status, answer["code"]) == (401, "UNAUTHENTICATED")
    assert got["WWW-Authenticate"].startswith("Basic realm=") and "Bearer" in got["WWW-Authenticate"]


def test_401_in_the_words_of_each_protocol(server):
    status, answer, got = ask(server, "GET", f"{MLFLOW}/experiments/search?max_results=1")
    assert (status, answer["error_code"]) == (401, "UNAUTHENTICATED") and got["WWW-Authenticate"]
    status, answer, got = ask(server, "POST", "/v2/models/x/infer", {})
    assert (status, set(answer)) == (401, {"error"}) and got["WWW-Authenticate"]


def test_anothers_token_does_not_make_me_another(server, people):
    add_user(server, "mallory", "viewer")
    token = people["admin"]["Authorization"].split()[1]
    assert who(server, basic("mallory", token)) == 401


def test_what_needs_no_login(server):
    for path in ("/health", "/version", "/", "/review", f"{API}/health/live", f"{API}/health/ready", "/v2/health/live",
                 "/v2/health/ready", "/api/3.0/mlflow/server-info"):
        assert ask(server, "GET", path)[0] == 200, path
    assert ask(server, "GET", "/metrics")[0] == 401


def test_public_metrics(new_server):
    open_one = new_server(["--auth", "on", "--metrics-public"])
    status, text, _ = ask(open_one, "GET", "/metrics")
    assert status == 200 and b"gyre_auth_logins_total" in text
    assert ask(open_one, "GET", f"{API}/status")[0] == 401


# ---- what changes, changes at once ----------------------------------------------------------------------------------------------


def test_revoking_counts_at_once(server):
    add_user(server, "rita", "viewer")
    made = add_token(server, "rita", label="ci")
    assert who(server, bearer(made["token"])) == ("rita", "viewer")
    root(server, "DELETE", f"{API}/tokens/{made['id']}")
    assert who(server, bearer(made["token"])) == 401
    listed = {t["id"]: t for t in root(server, "GET", f"{API}/tokens?user=rita")["tokens"]}
    assert listed[made["id"]]["revoked"] and "token" not in listed[made["id"]]
    assert made["token"].startswith(listed[made["id"]]["prefix"])


def test_roles_and_disabling_count_at_once(server):
    headers = add_user(server, "dora", "viewer")
    assert who(server, headers) == ("dora", "viewer")
    root(server, "PUT", f"{API}/users/dora/grants/default", {"role": "operator"})
    assert who(server, headers) == ("dora", "operator")
    root(server, "DELETE", f"{API}/users/dora/grants/default")
    assert who(server, headers) == ("dora", "none")
    assert ask(server, "GET", f"{API}/status", headers=headers)[0] == 403
    root(server, "POST", f"{API}/users/dora/disable", {})
    assert who(server, headers) == 401
    root(server, "POST", f"{API}/users/dora/enable", {})
    assert who(server, headers) == ("dora", "none")


def test_a_new_password_voids_the_old(server):
    add_user(server, "paul", "viewer", password=PASSWORD)
    assert who(server, basic("paul", PASSWORD)) == ("paul", "viewer")
    root(server, "PUT", f"{API}/users/paul/password", {"password": "another one, longer"})
    assert who(server, basic("paul", PASSWORD)) == 401
    assert who(server, basic("paul", "another one, longer")) == ("paul", "viewer")
    root(server, "PUT", f"{API}/users/paul/password", {"password": None})
    assert who(server, basic("paul", "another one, longer")) == 401


def test_expiry(server):
    add_user(server, "eva", "viewer")
    token = bearer(add_token(server, "eva", expires_s=1)["token"])
    end = time.monotonic() + 30
    while who(server, token) != 401:
        assert time.monotonic() < end, "it does not expire"
        time.sleep(0.05)
    assert "expired" in ask(server, "GET", WHO, headers=token)[1]["detail"]


def test_another_server_on_the_database_sees_it(tmp_path, metadata_store):
    """What one server changes, the other knows within seconds: it looks for it."""
    if metadata_store == "postgres":
        store = support.POSTGRES.url()
    else:
        store = f"sqlite://{tmp_path}/shared.db"
    servers = [support.Server(tmp_path / name, ["--auth", "on", "--store", store]) for name in ("one", "two")]
    try:
        for s in servers:
            s.start()
        headers = add_user(servers[0], "bob", "viewer")
        assert who(servers[1], headers) == ("bob", "viewer")
        root(servers[0], "POST", f"{API}/users/bob/disable", {})
        end = time.monotonic() + 60
        while who(servers[1], headers) != 401:
            assert time.monotonic() < end, "the other server never noticed"
            time.sleep(0.05)
        # Both write one audit log, and it is one chain.
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            done = [pool.submit(root, servers[i % 2], "POST", f"{API}/users", {"name": f"u{i}"}) for i in range(20)]
            assert all(d.result()["name"] for d in done)
        verdict = root(servers[1], "GET", f"{API}/audit/verify")
        assert verdict["ok"] and verdict["rows"] == verdict["seq"] >= 22
    finally:
        for s in servers:
            s.stop()
            s.clean()


# ---- predictions ----------------------------------------------------------------------------------------------------------------


def test_predictions(server, people):
    """The loops answer whom they know; everybody else is looked up by a worker. Both refuse alike."""
    admin = people["admin"]
    experiment = must(server, "POST", f"{MLFLOW}/experiments/search", {"max_results": 1}, admin)["experiments"][0]["experiment_id"]
    run = must(server, "POST", f"{MLFLOW}/runs/create", {"experiment_id": experiment}, admin)["run"]["info"]
    for name, text in serving.package().items():
        path = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run['run_id']}/artifacts/model/{name}"
        must(server, "PUT", path, text.encode(), admin)
    must(server, "POST", f"{MLFLOW}/registered-models/create", {"name": "sepsis"}, admin)
    must(server, "POST", f"{MLFLOW}/model-versions/create",
         {"name": "sepsis", "source": run["artifact_uri"] + "/model", "run_id": run["run_id"]}, admin)
    must(server, "POST", f"{API}/models/sepsis/versions/1/proof", {"servable": True, "reason": "by hand"}, admin)
    assert ask(server, "POST", f"{API}/endpoints/sepsis/deploy", {"model": "models:/sepsis/1", "project": serving.PROJECT,
                                                                  "columns": ["WBC"]}, people["viewer"])[0] == 403
    must(server, "POST", f"{API}/endpoints/sepsis/deploy", {"model": "models:/sepsis/1", "project": serving.PROJECT,
                                                            "columns": ["WBC"]}, people["operator"])
    body = {"hr": 104, "resp": 22, "temp": 38.9}
    deep = serving.v2([[104, 22, 38.9]])
    guest = add_user(server, "guest", "viewer")
    for _ in range(3):
        for path, asked in (("/predictions", body), ("/v2/models/sepsis/infer", deep)):
            assert ask(server, "POST", path, asked, guest)[0] == 200
            assert ask(server, "POST", path, asked)[0] == 401
            assert ask(server, "POST", path, asked, bearer("gyre_" + "y" * 43))[0] == 401
            status, answer, _ = ask(server, "POST", path, asked, people["nobody"])
            assert status == 403 and "has no role" in answer["error"]
            status, answer, _ = ask(server, "POST", path, asked, {**guest, "X-MLFLOW-WORKSPACE": "team-a"})
            assert status in (400, 403) and answer["error"]
    root(server, "POST", f"{API}/users/guest/disable", {})
    assert ask(server, "POST", "/predictions", body, guest)[0] == 401
    # a body too long for a loop goes the other way
    wide = serving.v2([[104, 22, 38.9]] * 20000)
    assert ask(server, "POST", "/v2/models/sepsis/infer", wide, people["viewer"])[0] == 200
    assert ask(server, "POST", "/v2/models/sepsis/infer", wide)[0] == 401
    # a canary moves only by somebody with a name
    assert ask(server, "POST", f"{API}/endpoints/sepsis/promote", {}, people["operator"])[0] == 409


def packed_call(server, method, data, headers, service="inference.GRPCInferenceService"):
    """grpc-status and grpc-message of a call whose message says that it is packed."""
    done = subprocess.run(["curl", "-sv", "--http2-prior-knowledge", "-m", "60", "-o", "-", "--data-binary", "@-",
                           "-H", "Content-Type: application/grpc", "-H", "TE: trailers", "-H", "grpc-encoding: gzip",
                           *(part for k, v in headers.items() for part in ("-H", f"{k}: {v}")),
                           f"http://localhost:{server.port}/{service}/{method}"],
                          input=b"\x01" + len(data).to_bytes(4, "big") + data, capture_output=True, timeout=120)
    said = dict(re.findall(r"< (grpc-[a-z]+): (.*?)\r?\n", done.stderr.decode()))
    return int(said["grpc-status"]), said.get("grpc-message", "")


def test_nobodys_message_is_unpacked_before_it_is_known_who_asks(server, people):
    bomb = gzip.compress(b"\0" * (9 << 20))  # more than a message may have
    for method in ("ModelInfer", "ModelStreamInfer", "ModelMetadata", "RepositoryIndex"):
        for data in (b"this is not packed", bomb):
            code, text = packed_call(server, method, data, {})
            assert code == 16 and "not packed" not in text, (method, code, text)
        code, text = packed_call(server, method, b"this is not packed", people["viewer"])
        assert code == 3 and "not packed" in text, (method, code, text)
        assert packed_call(server, method, bomb, people["viewer"])[0] == 8
    assert packed_call(server, "ServerLive", gzip.compress(b""), {})[0] == 0


def test_probes_without_a_login_are_small(server, people):
    health = "grpc.health.v1.Health"
    assert packed_call(server, "Check", gzip.compress(b""), {}, health)[0] == 0
    name = b"\x0a\xac\x02" + b"x" * 300  # service: 300 bytes
    assert packed_call(server, "Check", gzip.compress(name), {}, health)[0] == 5
    for method, service in (("Check", health), ("Watch", health)):
        assert packed_call(server, method, gzip.compress(b"\0" * 5000), {}, service)[0] == 8  # it is unpacked no further
    long = random.Random(0).randbytes(5000)
    for method, service in (("Check", health), ("Watch", health), ("ServerLive", "inference.GRPCInferenceService"),
                            ("ServerReady", "inference.GRPCInferenceService")):
        code, text = packed_call(server, method, long, {}, service)
        assert code == 8 and "4096 are the most" in text, (method, code, text)


# ---- keeping users ----------------------------------------------------------------------------------------------------------------


def test_self_service(server, people):
    """Whoever has a name looks after the own password and tokens, and nobody else's."""
    mine = people["viewer"]
    token = must(server, "POST", f"{API}/tokens", {"label": "mine", "expires_s": 3600}, mine)
    assert token["user"] == "the-viewer" and token["expires"]
    assert who(server, bearer(token["token"])) == ("the-viewer", "viewer")
    assert {t["user"] for t in must(server, "GET", f"{API}/tokens", headers=mine)["tokens"]} == {"the-viewer"}
    assert ask(server, "GET", f"{API}/tokens?user=the-admin", headers=mine)[0] == 403
    assert ask(server, "POST", f"{API}/tokens", {"user": "the-admin"}, mine)[0] == 403
    of_admin = add_token(server, "the-admin")["id"]
    for unknown in (of_admin, "00000000-0000-7000-8000-000000000000"):
        assert ask(server, "DELETE", f"{API}/tokens/{unknown}", headers=mine)[0] == 403  # and tells no more
    assert must(server, "DELETE", f"{API}/tokens/{token['id']}", headers=mine)["revoked_by"] == "the-viewer"
    assert must(server, "GET", f"{API}/users/the-viewer", headers=mine)["grants"] == {"default": "viewer"}
    assert ask(server, "GET", f"{API}/users/the-admin", headers=mine)[0] == 403
    assert ask(server, "PUT", f"{API}/users/the-admin/password", {"password": PASSWORD}, mine)[0] == 403
    must(server, "PUT", f"{API}/users/the-viewer/password", {"password": PASSWORD}, mine)
    assert who(server, basic("the-viewer", PASSWORD)) == ("the-viewer", "viewer")
    for method, path, body in (("PUT", "/users/the-viewer/grants/default", {"role": "admin"}), ("POST", "/users", {"name": "x"}),
                               ("POST", "/users/the-viewer/disable", {}), ("GET", "/users", None), ("GET", "/audit", None)):
        assert ask(server, method, API + path, body, mine)[0] == 403, path


@pytest.mark.parametrize("body, says", [
    ({}, "name"), ({"name": "a b"}, "letters"), ({"name": "anonymous"}, "reserved"), ({"name": "x", "password": "short"}, "bytes"),
    ({"name": "x", "password": 7}, "string"), ({"name": "x", "password": "gyre_not_a_password"}, "tokens do"),
    ({"name": "x", "grants": {"default": "king"}}, "a role is"), ({"name": "x", "grants": {"team-z": "viewer"}}, "not found"),
    ({"name": "x", "grants": []}, "grants"),
])
def test_bad_users(server, people, body, says):
    status, answer, _ = ask(server, "POST", f"{API}/users", body, people["admin"])
    assert status in (400, 404) and says in answer["detail"]
    assert "short" not in json.dumps(answer) and "gyre_not" not in json.dumps(answer)
    assert ask(server, "GET", f"{API}/users/x", headers=people["admin"])[0] == 404  # nothing of it stayed


def test_the_last_admin_stays(new_server):
    server = new_server(["--auth", "on"])
    admin = add_user(server, "ada", "admin")
    for method, path, body in (("POST", "/users/ada/disable", {}), ("DELETE", "/users/ada/grants/default", None),
                               ("PUT", "/users/ada/grants/default", {"role": "viewer"})):
        status, answer, _ = ask(server, method, API + path, body, admin)
        assert (status, answer["code"]) == (409, "CONFLICT"), path
    add_user(server, "bea", "admin", "*")
    assert ask(server, "POST", f"{API}/users/ada/disable", {}, admin)[0] == 200
    assert who(server, admin) == 401


# ---- limits ---------------------------------------------------------------------------------------------------------------------


def test_guessing_is_slowed_down(new_server):
    server = new_server(["--auth", "on"])
    headers = add_user(server, "zoe", "viewer", password=PASSWORD)
    tries = [ask(server, "GET", WHO, headers=basic("zoe", f"guess number {i}"))[0] for i in range(12)]
    assert tries == [401] * 10 + [429] * 2
    status, answer, _ = ask(server, "GET", WHO, headers=basic("zoe", PASSWORD))
    assert (status, answer["code"]) == (429, "LIMITED")  # the right one, too, from this peer
    assert who(server, headers) == ("zoe", "viewer")     # a token can not be guessed
    assert ask(server, "GET", f"{MLFLOW}/experiments/search", headers=basic("zoe", PASSWORD))[1]["error_code"] == "REQUEST_LIMIT_EXCEEDED"
    text = ask(server, "GET", "/metrics", headers=headers)[1].decode()
    assert re.search(r'gyre_auth_logins_total\{result="failed"\} 10\b', text)
    assert re.search(r'gyre_auth_logins_total\{result="limited"\} [1-9]', text)


def test_many_at_once_by_password(server):
    """One password is checked once, however many ask with it."""
    add_user(server, "pool", "viewer", password=PASSWORD)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda _: ask(server, "GET", WHO, headers=basic("pool", PASSWORD))[0], range(40)))
    assert set(got) <= {200, 503} and got.count(200) >= 30
    assert sum(r["action"] == "login" and r["actor"] == "pool" for r in audit(server, actor="pool")) == 1


# ---- the audit log --------------------------------------------------------------------------------------------------------------


def test_what_is_written_down(server, people):
    operator = {**people["operator"], "X-Request-Id": "the-request-1"}
    must(server, "POST", f"{MLFLOW}/registered-models/create", {"name": "audited"}, operator)
    row = audit(server, actor="the-operator", action="registered-models/create")[-1]
    assert (row["outcome"], row["subject"], row["workspace"], row["request_id"], row["peer"]) == (
        "done", "name=audited", "default", "the-request-1", "127.0.0.1")
    assert ask(server, "POST", f"{MLFLOW}/registered-models/create", {"name": "no"}, people["viewer"])[0] == 403
    row = audit(server, actor="the-viewer", action="registered-models/create")[-1]
    assert row["outcome"] == "denied" and "this needs operator" in row["detail"]
    # refused for another reason than the role: nothing was changed, so nothing is told
    assert ask(server, "POST", f"{MLFLOW}/registered-models/create", {"name": "audited"}, operator)[0] == 400
    assert len(audit(server, actor="the-operator", action="registered-models/create")) == 1
    # reading and logging by the thousand are not
    before = len(audit(server, actor="the-operator"))
    experiment = must(server, "POST", f"{MLFLOW}/experiments/search", {"max_results": 1}, operator)["experiments"][0]
    run = must(server, "POST", f"{MLFLOW}/runs/create", {"experiment_id": experiment["experiment_id"]}, operator)["run"]["info"]
    for i in range(3):
        must(server, "POST", f"{MLFLOW}/runs/log-metric", {"run_id": run["run_id"], "key": "m", "value": i, "timestamp": i}, operator)
    after = audit(server, actor="the-operator")
    assert [r["action"] for r in after[before:]] == [f"POST {MLFLOW}/runs/create"]
    assert root(server, "GET", f"{API}/audit/verify")["ok"]


def test_who_wrote_it(server, people):
    """The name of the login is the actor of what is written."""
    operator = people["operator"]
    run = must(server, "POST", f"{MLFLOW}/experiments/create", {"name": "by whom"}, operator)
    must(server, "POST", f"{MLFLOW}/registered-models/create", {"name": "by-whom"}, operator)
    events = must(server, "GET", f"{API}/events?limit=1000", headers=operator)["events"]
    assert run["experiment_id"] and all(e["actor"] != "anonymous" for e in events)


def test_secrets_stay_secret(server, people):
    """Not in the log at its loudest, the audit log, an error or the database."""
    token, secret = "gyre_" + "Z" * 43, "a-very-secret-password"
    add_user(server, "sam", "viewer", password=secret)
    good = add_token(server, "sam")["token"]
    for headers in (bearer(token), basic("sam", token), basic("sam", secret + "!"), basic(token, secret), basic("sam", secret), bearer(good)):
        answer = ask(server, "GET", WHO, headers=headers)
        assert secret not in str(answer) and token not in str(answer) and good not in str(answer)
        ask(server, "POST", f"{API}/users", {"name": "x y", "password": secret}, {**headers})
    seen = server.text() + json.dumps(audit(server)) + "".join(
        p.read_bytes().decode("latin-1") for p in server.home.glob("gyre.db*") if "bak" not in p.name)
    for hidden in (token, secret, good, PASSWORD, *(h["Authorization"].split()[1] for h in people.values())):
        assert hidden not in seen
    assert "the-viewer" in server.text()  # names are told


def test_the_chain(new_server, metadata_store):
    """A row that is changed, taken out or moved is found, and said which."""
    if metadata_store != "sqlite":
        pytest.skip("changes the SQLite file by hand; the unit tests hold for both")
    server = new_server(["--auth", "on"])
    for i in range(8):
        add_user(server, f"u{i}", "viewer")
    whole = root(server, "GET", f"{API}/audit/verify")
    assert whole["ok"] and whole["rows"] == whole["seq"] == 16
    anchor = f"{whole['seq']}:{whole['hash']}"
    assert root(server, "GET", f"{API}/audit/verify?expect={anchor}")["ok"]
    lines = ask(server, "GET", f"{API}/audit/export", headers=add_user(server, "boss", "admin"))[1].decode().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [r["seq"] for r in rows] == list(range(1, len(rows) + 1))
    previous = "0" * 64  # as docs/formats.md says it, by other means
    for r in rows:
        fields = [str(r["seq"]), str(r["time_us"])] + [r[k] for k in ("actor", "workspace", "action", "subject", "outcome",
                                                                    "request_id", "peer", "detail")]
        text = previous + "".join(f"{len(f.encode())}:{f}," for f in fields)
        previous = hashlib.sha256(text.encode()).hexdigest()
        assert previous == r["hash"]
    server.stop()
    with sqlite3.connect(server.home / "gyre.db") as db:
        db.execute("UPDATE audit SET actor='somebody else' WHERE seq=5")
    server.start()
    broken = root(server, "GET", f"{API}/audit/verify")
    assert (broken["ok"], broken["bad_seq"]) == (False, 5) and "changed" in broken["why"]
    done = support.run_gyre("audit", "verify", "--home", server.home, cwd=server.home.parent)
    assert done.returncode == 1 and "row 5" in done.stdout


# ---- a file of users ------------------------------------------------------------------------------------------------------------

TOKEN = "gyre_" + "t" * 43
FILE = f"""
workspaces: [team-a]
users:
  - name: alice
    roles: {{default: admin, team-a: viewer}}
    password_hash: HASH
  - name: ci
    service: true
    roles: {{"*": operator}}
    tokens:
      - {{sha256: {hashlib.sha256(TOKEN.encode()).hexdigest()}, label: pipeline, expires: 2099-01-01T00:00:00Z}}
"""


def test_file(tmp_path, new_server):
    hashed = support.run_gyre("user", "hash", "--password-stdin", cwd=tmp_path, stdin=PASSWORD + "\n")
    assert hashed.returncode == 0 and hashed.stdout.startswith("$argon2id$")
    users = tmp_path / "users.yaml"
    users.write_text(FILE.replace("HASH", hashed.stdout.strip()))
    server = new_server(["--auth", users])
    assert who(server, basic("alice", PASSWORD)) == ("alice", "admin")
    assert who(server, bearer(TOKEN)) == ("ci", "operator")
    assert who(server, {**bearer(TOKEN), "X-MLFLOW-WORKSPACE": "team-a"}) == ("ci", "operator")
    server.stop()
    users.write_text("users: [{name: alice, roles: {default: viewer}}]\n")
    server.start()
    assert who(server, bearer(TOKEN)) == 401  # the file says no more of it
    assert who(server, basic("alice", PASSWORD)) == 401


@pytest.mark.parametrize("text, says", [
    ("users: 7", "'users' is a list"), ("user: []", "unknown key 'user'"), ("users: [{name: a b}]", "letters"),
    ("users: [{name: a, roles: {default: king}}]", "a role is"), ("users: [{name: a, password_hash: hunter22}]", "gyre user hash"),
    ("users: [{name: a, tokens: [{sha256: abc}]}]", "64 digits"), ("users: [{name: a, roles: {nowhere: viewer}}]", "not found"),
    ("users: [{name: a, tokens: [{sha256: %s, expires: soon}]}]" % ("0" * 64), "2027-01-01"), ("[", "users.yaml"),
])
def test_bad_files(tmp_path, text, says):
    users = tmp_path / "users.yaml"
    users.write_text(text)
    done = support.run_gyre("server", "--port", "0", "--auth", users, "--home", tmp_path / "home", cwd=tmp_path)
    assert done.returncode != 0 and says in done.stderr and "hunter22" not in done.stderr


# ---- loopback without logins ------------------------------------------------------------------------------------------------------


def test_without_logins(new_server):
    """Everybody on this machine works, nobody in particular; what somebody must answer for, and users, ask for a name."""
    server = new_server()
    assert who(server, {}) == ("anonymous", "operator")
    assert who(server, bearer("gyre_" + "x" * 43)) == ("anonymous", "operator")  # logins are not looked at
    must(server, "POST", f"{MLFLOW}/registered-models/create", {"name": "m"})
    for method, path in (("GET", "/users"), ("POST", "/users"), ("GET", "/audit"), ("GET", "/audit/export")):
        status, answer, _ = ask(server, method, API + path, {} if method == "POST" else None)
        assert status == 403 and "socket" in answer["hint"], path
    for method, path in (("GET", "/tokens"), ("POST", "/tokens"), ("POST", "/endpoints/x/promote"), ("POST", "/approvals/x/approve"),
                         ("POST", "/approvals/x/reject"), ("POST", "/verdicts"), ("POST", "/gate/protect"), ("POST", "/reviews/link"),
                         ("POST", "/jobs/x/cancel"), ("POST", "/triggers/x/fire"), ("POST", "/alerts/x/acknowledge"),
                         ("POST", "/models/m/promote"), ("POST", "/models/m/rollback"), ("POST", "/comments"),
                         ("POST", "/usecases/x/approve"), ("POST", "/reviews/x/0/verdict"), ("POST", "/reviews/verdicts")):
        status, answer, _ = ask(server, method, API + path, {} if method == "POST" else None)
        assert (status, answer["code"]) == (401, "UNAUTHENTICATED"), path
    me = serving.by_socket(server, "GET", WHO)[1]
    assert me["role"] == "admin" and me["actor"] not in ("anonymous", "")
    rows = audit(server)
    assert any(r["actor"] == "anonymous" and r["action"].endswith("registered-models/create") for r in rows)


def test_anonymous_may_move_only_what_is_not_protected(new_server):
    server = new_server()
    serving.register(server)
    alias = {"name": "sepsis", "alias": "free", "version": "1"}
    must(server, "POST", f"{MLFLOW}/registered-models/alias", alias)
    digest = root(server, "GET", f"{API}/models/sepsis/versions/1")["digest"]
    root(server, "POST", f"{API}/gate/protect", {"model": "sepsis", "alias": "champion", "gate": "g", "needs_approval": False})
    root(server, "POST", f"{API}/verdicts", {"model_digest": digest, "model_name": "sepsis", "model_version": "1", "gate": "g",
                                            "blessed": True, "checks": []})
    alias["alias"] = "champion"
    status, answer, _ = ask(server, "POST", f"{MLFLOW}/registered-models/alias", alias)
    assert (status, answer["error_code"]) == (401, "UNAUTHENTICATED")
    assert serving.by_socket(server, "POST", f"{MLFLOW}/registered-models/alias", alias) == (200, {})
    status, answer, _ = ask(server, "DELETE", f"{MLFLOW}/registered-models/alias", {"name": "sepsis", "alias": "champion"})
    assert status in (401, 403), answer


def test_who_deploys_does_not_do_without_the_approval(server, people):
    """An operator asked for less than the alias's protection did, and moved it without those who were to look."""
    protect, operator = f"{API}/gate/protect", people["operator"]
    alias = {"model": "guarded", "alias": "champion", "gate": "g"}
    strict = {**alias, "approval": "required", "four_eyes": True}
    assert ask(server, "POST", protect, alias, operator)[0] == 200
    assert ask(server, "POST", protect, strict, operator)[0] == 200  # asking for more is everybody's who deploys
    for less in (alias, {**alias, "approval": "required"}, {**alias, "four_eyes": True}, {**alias, "gate": "other"}):
        status, answer, _ = ask(server, "POST", protect, less, operator)
        assert status == 403 and "admin" in answer["detail"], less
    assert ask(server, "POST", protect, strict, operator)[0] == 200
    assert ask(server, "POST", protect, alias, people["admin"])[0] == 200
    assert audit(server, action="gate/protect", outcome="denied")[-1]["actor"] == "the-operator"


def test_who_asks_for_an_approval_does_not_do_without_the_second_person(server, people):
    apply, operator = f"{API}/usecases", people["operator"]
    usecase = {"name": "guarded", "owner": "someone", "purpose": "a test", "success_metric": {"name": "f1", "max": 1},
               "risk_class": "low", "four_eyes": True}
    assert ask(server, "POST", apply, usecase, operator)[0] == 201
    assert ask(server, "POST", apply, {**usecase, "purpose": "another"}, operator)[0] == 201
    less = {**usecase, "four_eyes": False}
    status, answer, _ = ask(server, "POST", apply, less, operator)
    assert status == 403 and "admin" in answer["detail"]
    assert ask(server, "POST", apply, less, people["admin"])[0] == 201


def test_points_of_no_run_are_not_found(server, people):
    """The answer began before the run was looked for, and broke off."""
    got = ask(server, "GET", f"{API}/export/points?run={'0' * 32}", headers=people["viewer"])
    assert (got[0], got[1]["code"]) == (404, "NOTFOUND")


# ---- workspaces -----------------------------------------------------------------------------------------------------------------


def test_workspaces(server, people):
    add_workspace(server, "team-b")
    member = add_user(server, "ben", "operator", "team-b")
    inside = {**member, "X-MLFLOW-WORKSPACE": "team-b"}
    search = f"{MLFLOW}/experiments/search?max_results=100"
    assert ask(server, "GET", search, headers=member)[0] == 403  # default: not his
    assert who(server, inside) == ("ben", "operator")
    made = must(server, "POST", f"{MLFLOW}/experiments/create", {"name": "ours"}, inside)["experiment_id"]
    assert {e["name"] for e in must(server, "GET", search, headers=inside)["experiments"]} >= {"ours"}
    for outsider in (people["admin"], {**people["admin"], "X-MLFLOW-WORKSPACE": " default "}):
        assert ask(server, "GET", f"{MLFLOW}/experiments/get?experiment_id={made}", headers=outsider)[0] == 404
    status, answer, _ = ask(server, "GET", search, headers={**people["admin"], "X-MLFLOW-WORKSPACE": "team-b"})
    assert (status, answer["error_code"]) == (403, "PERMISSION_DENIED")  # admin of default, not of all
    for name in ("no-such", "Not A Name", "../x", "x" * 300):
        status, answer, _ = ask(server, "GET", search, headers={**inside, "X-MLFLOW-WORKSPACE": name})
        assert (status, answer["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST") and "not found" in answer["message"]
    assert must(server, "GET", f"{API}/datasets", headers=inside)["datasets"] == []
    status, answer, _ = ask(server, "GET", f"{API}/endpoints", headers=inside)
    assert status == 400 and "'default' alone" in answer["detail"]
    assert audit(server, actor="ben", action="experiments/create")[-1]["workspace"] == "team-b"


def test_workspaces_as_mlflow_keeps_them(server, people):
    base, admin = "/api/3.0/mlflow/workspaces", people["admin"]
    status, answer, _ = ask(server, "POST", base, {"name": "team-c", "description": "third"}, admin)
    assert (status, answer) == (201, {"workspace": {"name": "team-c", "description": "third"}})
    assert ask(server, "POST", base, {"name": "team-c"}, admin)[1]["error_code"] == "RESOURCE_ALREADY_EXISTS"
    assert "must match" in ask(server, "POST", base, {"name": "Team"}, admin)[1]["message"]
    assert ask(server, "POST", base, {"name": "team-d"}, people["operator"])[0] == 403
    assert must(server, "PATCH", f"{base}/team-c", {"description": "3rd"}, admin)["workspace"]["description"] == "3rd"
    names = {w["name"] for w in must(server, "GET", base, headers=admin)["workspaces"]}
    assert {"default", "team-a", "team-c"} <= names
    assert [w["name"] for w in must(server, "GET", base, headers=people["viewer"])["workspaces"]] == ["default"]
    assert ask(server, "GET", f"{base}/team-c", headers=people["viewer"])[0] == 404
    assert ask(server, "DELETE", f"{base}/default", headers=admin)[0] == 400
    assert ask(server, "DELETE", f"{base}/team-c?mode=CASCADE", headers=admin)[0] == 501
    assert ask(server, "DELETE", f"{base}/team-c", headers=admin)[0] == 204
    assert ask(server, "GET", f"{base}/team-c", headers=admin)[0] == 404
    assert ask(server, "DELETE", f"{base}/team-c", headers=admin)[0] == 404


# ---- reviews over a link ----------------------------------------------------------------------------------------------------------


def test_review_links(server, people):
    """A link is a login for the review queue and for nothing else."""
    assert ask(server, "POST", f"{API}/reviews/link", {}, people["viewer"])[0] == 403
    assert ask(server, "POST", f"{API}/reviews/link", {"as": "dr-house"}, people["reviewer"])[0] == 403
    link = must(server, "POST", f"{API}/reviews/link", {"as": "dr-house"}, people["admin"])
    held = {"Gyre-Review-Token": link["token"]}
    assert must(server, "GET", f"{API}/reviews/whoami", headers=held) == {"reviewer": "dr-house"}
    assert must(server, "GET", f"{API}/reviews", headers=held)["reviews"] == []
    assert ask(server, "POST", f"{API}/reviews", {"prediction_ids": []}, held)[0] == 200
    for bad in ({"Gyre-Review-Token": link["token"][:-1] + ("1" if link["token"][-1] == "0" else "0")}, {"Gyre-Review-Token": "x"}, {}):
        assert ask(server, "GET", f"{API}/reviews", headers=bad)[0] == 401
    for method, path in (("GET", f"{API}/status"), ("GET", f"{API}/endpoints"), ("POST", f"{API}/reviews/link"),
                         ("POST", f"{API}/feedback"), ("GET", f"{MLFLOW}/experiments/search")):
        assert ask(server, method, path, {} if method == "POST" else None, held)[0] == 401, path


def test_an_opaque_origin_is_nobodys_page(new_server):
    """With an empty name among the allowed hosts "Origin: null", which any page can send from a frame, passed for one of them."""
    server = new_server(["--allowed-hosts", "gyre.example,"])
    for origin, status in (("null", 403), ("https://evil.example", 403), ("https://gyre.example", 200)):
        for path in (f"{MLFLOW}/experiments/search", f"{API}/log/flush"):
            got = ask(server, "POST", path, {"max_results": 1}, {"Origin": origin, "Host": "gyre.example"})[0]
            assert got == status, (origin, path)


def test_who_asks_and_where_is_said_once(server, people):
    """Of two such headers the first one counted; a proxy in front may have looked at the last."""
    token = people["viewer"]["Authorization"]
    for twice in ([("Authorization", token), ("authorization", token)],
                  [("Authorization", token), ("X-MLFLOW-WORKSPACE", "default"), ("x-mlflow-workspace", "other")]):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.putrequest("GET", WHO)
        for name, value in twice:
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status == 400, twice
        connection.close()


def test_a_review_link_ends_with_its_user(server):
    """A link outlived the user that it names: disabled, or no reviewer any more, somebody went on deciding for days."""
    mine = add_user(server, "leaving", "reviewer")
    held = {"Gyre-Review-Token": must(server, "POST", f"{API}/reviews/link", {}, mine)["token"]}
    assert ask(server, "POST", f"{API}/reviews", {"prediction_ids": []}, held)[0] == 200
    root(server, "PUT", f"{API}/users/leaving/grants/default", {"role": "viewer"})
    assert ask(server, "GET", f"{API}/reviews", headers=held)[0] == 200
    assert ask(server, "POST", f"{API}/reviews", {"prediction_ids": []}, held)[0] == 403
    root(server, "POST", f"{API}/users/leaving/disable", {})
    for method in ("GET", "POST"):
        assert ask(server, method, f"{API}/reviews", {"prediction_ids": []} if method == "POST" else None, held)[0] == 401
    root(server, "POST", f"{API}/users/leaving/enable", {})
    root(server, "DELETE", f"{API}/users/leaving/grants/default")
    assert ask(server, "GET", f"{API}/reviews", headers=held)[0] == 403


# ---- imports --------------------------------------------------------------------------------------------------------------------


def test_an_import_reads_no_bytes_of_another_workspace(server, people):
    """A line of an import names bytes by their SHA-256: whoever keeps one workspace could read those of all others so."""
    add_workspace(server, "importers")
    keeper = {**add_user(server, "importer", "admin", "importers"), "X-MLFLOW-WORKSPACE": "importers"}
    secret = b"of default alone"
    digest = hashlib.sha256(secret).hexdigest()
    artifacts = "/api/2.0/mlflow-artifacts/artifacts"
    assert ask(server, "PUT", f"{artifacts}/0/secret.txt", secret, people["operator"])[0] == 200
    line = json.dumps({"kind": "artifact", "path": "0/mine.txt", "sha256": digest, "size": len(secret)}).encode()
    batch = f"{API}/import/batch?source=x"
    assert ask(server, "POST", batch, line, people["operator"])[0] == 403  # what is imported is history: admins alone
    answer = must(server, "POST", batch, line, keeper)
    assert answer["applied"] == 0 and "is not here" in answer["rejected"][0]["error"]
    assert ask(server, "GET", f"{artifacts}/0/mine.txt", headers=keeper)[0] == 404
    assert must(server, "POST", batch, line, people["admin"])["applied"] == 1
    assert ask(server, "GET", f"{artifacts}/0/mine.txt", headers=people["admin"])[1] == secret


# ---- commands -------------------------------------------------------------------------------------------------------------------


def test_commands_with_a_token(server, tmp_path, people):
    token = people["operator"]["Authorization"].split()[1]

    def run(*args, env=None, **kwargs):
        return support.run_gyre(*args, "--server", server.url, cwd=tmp_path,
                                env={"HOME": str(tmp_path), "XDG_CONFIG_HOME": "", **(env or {})}, **kwargs)

    refused = run("exp", "list")
    assert refused.returncode == 8 and "GYRE_TOKEN" in refused.stderr
    assert run("user", "whoami", env={"GYRE_TOKEN": token}).stdout == "the-operator: operator in the workspace default\n"
    kept = tmp_path / ".config" / "gyre" / "token"
    kept.parent.mkdir(parents=True)
    kept.write_text(token + "\n")
    kept.chmod(0o644)
    loose = run("user", "whoami")
    assert loose.returncode == 7 and "chmod 600" in loose.stderr and token not in loose.stderr
    kept.chmod(0o600)
    assert run("user", "whoami").stdout.startswith("the-operator")
    denied = run("user", "list")
    assert denied.returncode == 7 and "this needs admin" in denied.stderr
    inside = run("exp", "list", "--workspace", "team-a")
    assert inside.returncode == 7 and "has no role" in inside.stderr
    made = run("token", "create", "--label", "more", "--expires", "2h")
    assert re.fullmatch(r"gyre_[\w-]{43}\n", made.stdout)
    assert run("token", "create", "--expires", "soon").returncode == 2


def test_commands_on_the_home(tmp_path):
    """Without a server the same commands work on the folder; who asks is the system's user."""
    def run(*args, **kwargs):
        done = support.run_gyre(*args, "--home", tmp_path / "h", cwd=tmp_path, **kwargs)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("user", "add", "alice", "--role", "admin", "--password-stdin", stdin=PASSWORD)
    run("user", "add", "ci", "--service", "--role", "operator", "--in", "*")
    run("workspace", "create", "team-a", "--description", "one")
    run("user", "grant", "alice", "viewer", "--in", "team-a")
    assert "default:admin team-a:viewer" in run("user", "list")
    run("user", "revoke", "alice", "--in", "team-a")
    run("user", "passwd", "ci", "--password-stdin", stdin=PASSWORD)
    run("user", "passwd", "ci", "--none")
    token = json.loads(run("token", "create", "ci", "--json"))
    assert token["token"].startswith("gyre_") and token["token"] not in run("token", "list", "--json")
    run("user", "disable", "ci")
    assert "disabled" in run("user", "show", "ci")
    run("user", "enable", "ci")
    run("token", "revoke", token["id"])
    assert token["id"] not in run("token", "list") and token["id"] in run("token", "list", "--all")
    assert "team-a" in run("workspace", "list")
    run("exp", "create", "inside", "--workspace", "team-a")
    assert "inside" in run("exp", "list", "--workspace", "team-a") and "inside" not in run("exp", "list")
    kept = re.search(r"(\d+:[0-9a-f]{64})", run("audit", "verify")).group(1)
    assert "whole" in run("audit", "verify", "--expect", kept)
    listed = run("audit", "list", "--action", "grants")
    assert listed.count("/grants/") == 2 and "local" in listed
    lines = run("audit", "export").splitlines()
    assert len(lines) == int(kept.split(":")[0]) and all(PASSWORD not in line for line in lines)
    run("audit", "export", "-o", tmp_path / "a.jsonl")
    assert (tmp_path / "a.jsonl").read_text().splitlines() == lines
    wrong = support.run_gyre("audit", "verify", "--expect", f"1:{'0' * 64}", "--home", tmp_path / "h", cwd=tmp_path)
    assert wrong.returncode == 1 and "row 1" in wrong.stdout
