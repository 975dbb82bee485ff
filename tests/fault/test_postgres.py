# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL behind real servers: two of them on one database, one that dies under their hands, secrets, and homes that
remember where their metadata is."""

import collections
import concurrent.futures
import http.client
import http.server
import json
import pathlib
import threading
import time
import urllib.parse

import postgres as postgres_server
import serving
import support

M = "/api/2.0/mlflow"


def call(server, method, path, body=None):
    """(status, answer); (0, why) when the connection broke."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request(method, M + path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")
    except (OSError, http.client.HTTPException) as broken:
        return 0, repr(broken)
    finally:
        connection.close()


def ok(server, method, path, body=None):
    status, answer = call(server, method, path, body)
    assert status == 200, answer
    return answer


def history(server, run_id, key):
    """Every point of a metric, over all pages."""
    points, token = [], ""
    while True:
        page = ok(server, "GET", f"/metrics/get-history?run_id={run_id}&metric_key={key}&max_results=1000&page_token={token}")
        points += page.get("metrics", [])
        token = page.get("next_page_token", "")
        if not token:
            return points


def start_two(new_server, url, tmp_path):
    shared = tmp_path / "objects"
    return [new_server(args=["--store", url, "--objects", shared], home=tmp_path / f"home{i}") for i in range(2)]


def test_two_servers_write_to_one_database(postgres, new_server, tmp_path):
    servers = start_two(new_server, postgres.url(), tmp_path)
    ok(servers[0], "POST", "/registered-models/create", {"name": "m"})
    runs = [ok(servers[i % 2], "POST", "/runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"] for i in range(4)]
    shared_run = runs[0]
    acknowledged, versions, lock = collections.Counter(), [], threading.Lock()

    def work(number):
        server = servers[number % 2]
        for i in range(25):
            key = f"t{number}"
            metrics = [{"key": key, "value": float(i * 10 + j), "timestamp": i, "step": i * 10 + j} for j in range(10)]
            ok(server, "POST", "/runs/log-batch", {"run_id": shared_run, "metrics": metrics,
                                                   "params": [{"key": f"{key}.{i}", "value": "x"}]})
            made = ok(server, "POST", "/model-versions/create", {"name": "m", "source": f"runs:/{runs[number % 4]}/a"})
            with lock:
                acknowledged[key] += 10
                versions.append(int(made["model_version"]["version"]))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert sorted(versions) == list(range(1, 8 * 25 + 1)), "a number twice, or one left out"
    for server in servers:      # both see all of both at once
        for key, n in acknowledged.items():
            assert sorted(p["step"] for p in history(server, shared_run, key)) == list(range(n))
        run = ok(server, "GET", f"/runs/get?run_id={shared_run}")["run"]
        assert len(run["data"]["params"]) == 8 * 25
        assert {m["key"]: m["value"] for m in run["data"]["metrics"]} == {key: n - 1.0 for key, n in acknowledged.items()}
        found = ok(server, "POST", "/runs/search", {"experiment_ids": ["0"], "max_results": 100})["runs"]
        assert {r["info"]["run_id"] for r in found} == set(runs)


def test_two_servers_give_a_name_once(postgres, new_server, tmp_path):
    servers = start_two(new_server, postgres.url(), tmp_path)

    def create(number):
        return call(servers[number % 2], "POST", "/experiments/create", {"name": f"e{number // 4}"})

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(create, range(40)))
    made = [answer["experiment_id"] for status, answer in answers if status == 200]
    assert len(made) == 10 and len(set(made)) == 10
    assert all(status == 200 or answer["error_code"] == "RESOURCE_ALREADY_EXISTS" for status, answer in answers)


def test_the_database_restarts_during_writes(new_server, tmp_path):
    database = postgres_server.start()     # of its own: others must not meet its end
    try:
        restart_during_writes(database, new_server, tmp_path)
    finally:
        database.stop()


def restart_during_writes(database, new_server, tmp_path):
    servers = start_two(new_server, database.url(), tmp_path)
    run = ok(servers[0], "POST", "/runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
    acknowledged, refused, odd, stop = collections.defaultdict(set), [], [], threading.Event()

    def write(number):
        step = 0
        while not stop.is_set():
            status, answer = call(servers[number % 2], "POST", "/runs/log-metric",
                                  {"run_id": run, "key": f"t{number}", "value": 1.0, "timestamp": 1, "step": step})
            if status == 200:
                acknowledged[number].add(step)
            elif status == 503 and answer.get("error_code") == "TEMPORARILY_UNAVAILABLE" and answer.get("message"):
                refused.append(answer["message"])
                time.sleep(0.02)
            else:
                odd.append((status, answer))
            step += 1

    def read(number):
        while not stop.is_set():
            status, answer = call(servers[number % 2], "GET", f"/runs/get?run_id={run}")
            if status not in (200, 503):
                odd.append((status, answer))
            time.sleep(0.01)

    def progress():
        return sum(map(len, acknowledged.values()))

    def wait_for_writes(more):
        wanted, end = progress() + more, time.monotonic() + 60
        while progress() < wanted and time.monotonic() < end:
            time.sleep(0.02)
        assert progress() >= wanted, "no more writes are acknowledged: the servers do not find their database again"

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        threads = [pool.submit(write, i) for i in range(6)] + [pool.submit(read, i) for i in range(2)]
        try:
            for _ in range(2):
                wait_for_writes(50)
                database.crash()
            wait_for_writes(50)
        finally:
            stop.set()
    for thread in threads:
        thread.result()
    assert not odd, odd[:3]
    assert refused, "nobody met the restart"
    for server in servers:
        for number, steps in acknowledged.items():
            found = collections.Counter(p["step"] for p in history(server, run, f"t{number}"))
            assert steps <= set(found), "an acknowledged write is lost"
            assert set(found.values()) <= {1}
        assert call(server, "GET", "/experiments/get?experiment_id=0")[0] == 200


def test_no_password_comes_out(postgres, new_server, gyre, tmp_path):
    url = postgres.password_url()
    raw, quoted = postgres_server.PASSWORD, urllib.parse.quote(postgres_server.PASSWORD, safe="")
    server = new_server(args=["--store", url])
    ok(server, "POST", "/runs/create", {"experiment_id": "0"})
    seen = [pathlib.Path(f"/proc/{server.pid}/cmdline").read_bytes().decode(), (server.home / "store").read_text()]
    for path in ("/metrics", "/", "/health", "/api/gyre/v1/openapi.json", "/api/gyre/v1/status"):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("GET", path, headers={"Accept": "text/html"})
        seen.append(connection.getresponse().read().decode())
        connection.close()
    wrong = url.replace(quoted, quoted + "x")
    for bad in (wrong, url.rsplit("/", 1)[0] + "/nowhere", url + "?no_such=option", url.replace("postgresql:", "mysql:")):
        done = gyre("exp", "list", "--store", bad, "--home", tmp_path / "other", "--json")
        assert done.returncode != 0
        seen.append(done.stdout + done.stderr)
    seen.append(server.text())
    for text in seen:
        assert raw not in text and quoted not in text, text
    assert "--store" in seen[0] and ":***@" in seen[0], "the command line as others see it"


def test_a_home_remembers_its_store(postgres, new_server, gyre, tmp_path):
    url, home = postgres.password_url(), tmp_path / "home"
    server = new_server(args=["--store", url, "--objects", tmp_path / "objects"], home=home)
    ok(server, "POST", "/experiments/create", {"name": "here"})
    assert gyre("exp", "list", "--home", home).returncode == 0, "the server answers"
    server.stop()
    lost = gyre("exp", "list", "--home", home)
    assert lost.returncode != 0 and "postgresql://127.0.0.1" in lost.stderr and "--store" in lost.stderr
    assert not (home / "gyre.db").exists()
    half = gyre("exp", "list", "--home", home, "--store", url)
    assert half.returncode != 0 and "--objects" in half.stderr
    other = gyre("exp", "list", "--home", home, "--store", postgres.url(), "--objects", tmp_path / "objects")
    assert other.returncode != 0 and "postgresql:///" in other.stderr
    found = gyre("exp", "list", "--home", home, env={"GYRE_STORE_URL": url, "GYRE_OBJECTS_URL": str(tmp_path / "objects")})
    assert found.returncode == 0 and "here" in found.stdout
    # Without a database for it, a home of SQLite stays one: a single command may look elsewhere.
    assert gyre("exp", "list", "--home", tmp_path / "own").returncode == 0
    assert "here" in gyre("exp", "list", "--home", tmp_path / "own", "--store", url).stdout
    assert "here" not in gyre("exp", "list", "--home", tmp_path / "own").stdout


def test_a_person_leaves_the_database(postgres, new_server, tmp_path):
    """Rows, texts, letters and the files of the tables: what was changed is written anew."""
    who = "P-7f3k29xq"
    server = new_server(args=["--store", postgres.url(), "--objects", tmp_path / "objects"], home=tmp_path / "home")
    (tmp_path / "schema.yaml").write_text("columns:\n  - {name: patient, type: string, role: subject}\n  - {name: hr, type: int, max: 300}\n")
    (tmp_path / f"{who}.csv").write_text(f"patient,hr\nP-1aaaa,60\n{who},70\n{who},999\n")
    gyre = lambda *args: support.run_json(*args, "--home", tmp_path / "home", cwd=tmp_path)  # noqa: E731
    gyre("data", "ingest", "--data-loc", ".", "--file-name", f"{who}.csv", "--output-path", "out", "--dlq", "dlq.log", "--name", "people")
    ok(server, "POST", "/experiments/create", {"name": "e", "tags": [{"key": "about", "value": f"of {who}"}]})
    ok(server, "POST", "/registered-models/create", {"name": "m", "description": f"asked for by {who}"})
    found = gyre("subject", "find", who, "--home-only")["findings"]
    assert {"people@1", "experiment_tags.value", "registered_models.description"} <= {f["where"] for f in found if f["state"] == "found"}
    gyre("subject", "erase", who, "--home-only", "--reason", "request 17", "--yes")
    assert gyre("subject", "find", who, "--home-only")["findings"] == []
    assert [(v["version"], v["rows"]) for v in gyre("data", "list")["datasets"]] == [(2, 1)]
    assert not [p for p in (tmp_path / "objects").rglob("*") if p.is_file() and who.encode() in p.read_bytes()]


def test_an_older_database_waits_for_its_operator(postgres, gyre, tmp_path):
    url = postgres.url()
    assert gyre("exp", "list", "--store", url).returncode == 0
    name = urllib.parse.urlsplit(url).path[1:]
    # As an older program left it: the last migration's record is not there, nor what it made.
    postgres.sql("DELETE FROM schema_migrations WHERE number = (SELECT MAX(number) FROM schema_migrations)", name)
    done = gyre("exp", "list", "--store", url)
    assert done.returncode != 0 and "pg_dump" in done.stderr and "--migrate" in done.stderr
    postgres.sql("INSERT INTO schema_migrations (number, name, sha256, actor, created_us) VALUES (999, 'x', 'x', 'x', 1)", name)
    newer = gyre("exp", "list", "--store", url, env={"GYRE_STORE_MIGRATE": "1"})
    assert newer.returncode != 0 and "schema 999" in newer.stderr


# ---- background work of two servers on one database ----

def leads(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return "gyre_store_leads 1" in lines


def wait_until(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


def test_one_server_leads_and_another_takes_over(postgres, new_server, tmp_path):
    url = postgres.url()
    first, second = start_two(new_server, url, tmp_path)
    wait_until(lambda: leads(first) or leads(second))
    leader, other = (first, second) if leads(first) else (second, first)
    for _ in range(10):
        assert leads(leader) and not leads(other)
    leader.kill()
    wait_until(lambda: leads(other))
    third = new_server(args=["--store", url, "--objects", tmp_path / "objects"], home=leader.home)
    for _ in range(10):
        assert leads(other) and not leads(third)


def test_a_deploy_is_followed_and_predictions_are_each_server_s_own(postgres, new_server, tmp_path):
    first, second = start_two(new_server, postgres.url(), tmp_path)
    serving.serve(first)
    wait_until(lambda: serving.request(second, "POST", "/predictions", {"hr": 120, "resp": 15, "temp": 37.0})[0] == 200)
    version, _ = serving.register(second, files=serving.package(intercept=-20.0))
    revision = serving.deploy(second, f"models:/sepsis/{version}")["revision"]
    answers = []

    def new_revision_answers():
        answers.append(serving.request(first, "POST", "/predictions", {"hr": 120, "resp": 15, "temp": 37.0})[1])
        return answers[-1]["revision"] == revision if "revision" in answers[-1] else answers[-1]["isSepsis"] in (0, "0")

    wait_until(new_revision_answers)
    # Each has read its own log, and only that, to its end.
    for server in (first, second):
        status, answer = serving.by_socket(server, "GET", serving.API + "/watch?wait=1")
        assert status == 200, answer
    names = postgres.sql("SELECT name FROM watch_cursors WHERE name LIKE 'log%' ORDER BY name",
                         (first.home / "store").read_text().split("/")[3].split("?")[0]).split()
    assert names == sorted(f"log@{(s.home / 'id').read_text().strip()}" for s in (first, second))


def test_webhooks_go_on_when_the_server_that_sends_them_dies(postgres, new_server, tmp_path):
    got, told = [], threading.Condition()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            with told:
                got.append((self.headers["webhook-id"], json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
                told.notify_all()
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{receiver.server_port}/hook"
        env = {"HOOK": "whsec_" + "YSBrZXkgb2YgZXhhY3RseSB0aGlydHktdHdvIGJ5dGU="}
        database, shared = postgres.url(), tmp_path / "objects"
        servers = [new_server(args=["--store", database, "--objects", shared], home=tmp_path / f"home{i}", env=env) for i in range(2)]
        wait_until(lambda: any(map(leads, servers)))
        leader, other = servers if leads(servers[0]) else reversed(servers)
        section = [{"url": url, "secret_env": "HOOK", "events": ["endpoint.*"]}]
        status, answer = serving.by_socket(other, "POST", serving.API + "/watch/apply", {
            "project": "p", "folder": str(tmp_path), "endpoints": [], "notify": section})
        assert status == 200, answer
        wait_until(lambda: serving.by_socket(other, "GET", serving.API + "/webhooks")[1]["webhooks"])
        serving.serve(other)
        with told:
            assert told.wait_for(lambda: got, timeout=60), "the leader told nothing of what the other server did"
        leader.kill()
        version, _ = serving.register(other)
        serving.deploy(other, f"models:/sepsis/{version}")
        with told:      # what was on its way when its sender died may come again, under its old id
            assert told.wait_for(lambda: len({identity for identity, _ in got}) == 2, timeout=60), "nobody took over"
    finally:
        receiver.shutdown()
        receiver.server_close()
