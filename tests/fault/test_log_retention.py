# SPDX-License-Identifier: Apache-2.0
"""Retention of the prediction log: what goes is old (or too much), read by everybody who reads on, and known afterwards; a prune that was
killed leaves the old or the new."""

import fcntl
import http.server
import json
import os
import re
import shutil
import threading
import time

import pytest

import serving
import support
from serving import API, must, request


def gyre(server, *args):
    return support.run_gyre(*args, "--home", server.home, cwd=server.home.parent)


def prune(server, *args):
    done = gyre(server, "log", "prune", *args, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def predict(server, n=3, hr=100):
    ids = []
    for _ in range(n):
        status, answer, headers = request(server, "POST", "/predictions", {"hr": hr, "resp": 15, "temp": 37.0})
        assert status == 200, answer
        ids.append(headers["Gyre-Prediction-Id"])
    return sorted(ids)


def restart(server):
    """Its segments are sealed, and what it answers next is of another start."""
    server.stop()
    server.start()


def segments(server):
    return sorted(p.name for p in (server.home / "log").glob("*.seg"))


def logged(server):
    rows = must(server, "POST", f"{API}/predictions/search", {"limit": 5000})
    assert not rows["more"]
    return sorted(r["prediction_id"] for r in rows["predictions"])


def settle(server):
    """The watcher has read what was answered, has written down how far, and its hooks have run."""
    must(server, "GET", f"{API}/watch?wait=1")


def wait_until(is_so, what, seconds=60):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.1)


def until_old(server, n):
    """A plan by age that takes n records: they have become older than a second."""
    plan = {}
    wait_until(lambda: plan.update(prune(server, "--keep", "1s")) or plan["records"] >= n, "records that are a second old")
    return plan


def serve(new_server, *args):
    server = new_server(args=args)
    serving.serve(server)
    return server


def is_sound(server):
    """Nothing that went counts as lost or damaged."""
    text = request(server, "GET", "/metrics")[1].decode()
    for name in ("gyre_log_holes", "gyre_log_damaged"):
        for line in text.splitlines():
            assert not line.startswith(name) or line.split()[-1] == "0", line
    assert must(server, "GET", f"{API}/watch")["watcher"]["state"] == "watching"


def test_a_plan_first_then_it_goes_and_is_known(new_server):
    server = serve(new_server)
    old = predict(server, 5)
    restart(server)
    young = predict(server, 2)
    settle(server)
    before = segments(server)
    plan = until_old(server, 5)
    assert not plan["applied"] and plan["records"] == 5 and plan["from"] <= plan["to"] and plan["list"][0]["why"] == "age"
    assert 0 < plan["bytes"] < plan["log_bytes"] and {"open"} <= {s["why"] for s in plan["stays"]}
    assert segments(server) == before and logged(server) == sorted(old + young)
    said = gyre(server, "log", "prune", "--keep", "1s")
    assert "would remove" in said.stdout and "5 records" in said.stdout and "--yes" in said.stdout

    cursor = must(server, "POST", f"{API}/predictions/search", {"limit": 2})["cursor"]
    done = prune(server, "--keep", "1s", "--yes")
    assert done["applied"] and done["records"] == 5
    assert {e["segment"] for e in done["list"]}.isdisjoint(segments(server))
    assert logged(server) == young
    # Somebody who had read two of the five goes on behind what went.
    rest = must(server, "POST", f"{API}/predictions/search", {"cursor": cursor})["predictions"]
    assert sorted(r["prediction_id"] for r in rest) == young

    said = gyre(server, "trace", old[2])
    assert said.returncode != 0 and "pruned by retention on 2" in said.stderr, said.stderr
    assert gyre(server, "trace", young[0]).returncode == 0
    nobodys = "0193" + young[0][4:]  # older than everything that was logged
    assert "pruned" not in gyre(server, "trace", nobodys).stderr
    rows = must(server, "GET", f"{API}/log/pruned")["pruned"]
    assert sum(r["records"] for r in rows) == 5 and {r["why"] for r in rows} == {"age"} and all(r["actor"] for r in rows)
    assert gyre(server, "log", "pruned").stdout.count("\n") == 1 + len(rows)
    audit = json.loads(gyre(server, "audit", "list", "--json").stdout)
    row = next(r for r in audit["rows" if "rows" in audit else "audit"] if r["action"].endswith("/log/prune"))
    assert "records=5" in row["subject"]
    # A label that comes for one that went is kept, and nothing calls it damage, also after a restart.
    must(server, "POST", f"{API}/feedback", {"prediction_id": old[0], "label": 1}, status=(200, 201, 202))
    is_sound(server)
    restart(server)
    assert logged(server) == young
    settle(server)
    is_sound(server)


def test_by_size_without_a_server(new_server):
    server = serve(new_server)
    first = predict(server, 4)
    restart(server)
    second = predict(server, 4)
    settle(server)
    server.stop()
    size = sum(p.stat().st_size for p in (server.home / "log").iterdir())
    assert prune(server, "--max", size)["segments"] == 0
    plan = prune(server, "--max", size - 1)
    assert 0 < plan["records"] <= 4 and {e["why"] for e in plan["list"]} == {"size"}
    done = prune(server, "--max", "1", "--yes")
    assert done["records"] == 8 and segments(server) == []
    server.start()
    third = predict(server, 2)
    assert logged(server) == third
    for gone in (first[0], second[3]):
        assert "pruned by retention" in gyre(server, "trace", gone).stderr
    settle(server)
    is_sound(server)
    backup = gyre(server, "backup", server.home.parent / "archive")
    assert backup.returncode == 0, backup.stderr


@pytest.mark.parametrize("args, code, words", [((), 1, "no retention"), (("--keep", "soon"), 2, "90d"), (("--keep", "0d"), 2, "span"),
                                               (("--max", "5X"), 2, "50G"), (("--max", "-1"), 2, "size")])
def test_what_is_refused(server, args, code, words):
    done = gyre(server, "log", "prune", *args)
    assert (done.returncode == code or code == 1 and done.returncode) and words in done.stderr, done.stderr


def test_settings_that_are_refused(tmp_path):
    for verb in (("server",), ("serve", "model")):
        done = support.run_gyre(*verb, "--log-keep", "soon", "--home", tmp_path / "home", cwd=tmp_path)
        assert done.returncode == 2 and "--log-keep" in done.stderr, done.stderr


def test_what_a_sink_has_not_taken_stays(new_server):
    class Sink(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    sink = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    ship = ("log", "ship", "--to", f"http://127.0.0.1:{sink.server_port}/in")
    try:
        server = serve(new_server)
        taken = predict(server)
        assert gyre(server, *ship).returncode == 0
        restart(server)
        predict(server)
        restart(server)
        settle(server)
        done = prune(server, "--max", "1", "--yes")
        stays = {s["why"]: s for s in done["stays"]}
        assert done["records"] == 3 and "gyre log ship" in stays["unread"]["reader"] and str(sink.server_port) in stays["unread"]["reader"]
        assert len(logged(server)) == 3 and taken[0] not in logged(server)
        assert gyre(server, *ship).returncode == 0
        assert prune(server, "--max", "1", "--yes")["records"] == 3 and logged(server) == []
    finally:
        sink.shutdown()
        sink.server_close()


def test_what_a_replica_has_not_shipped_stays(new_server, tmp_path):
    server = serve(new_server)
    replica = new_server(verb=("serve",), home=tmp_path / "replica",
                         args=["--server", server.url, "--poll", "200", "--ship-every", "200"])
    first = predict(replica)
    wait_until(lambda: set(first) <= set(logged(server)), "the shipped records")
    settle(server)
    replica.stop()
    shipped = (replica.home / "shipped.json").read_text()
    (replica.home / "shipped.json").write_text("{}")
    plan = prune(replica, "--max", "1")
    assert plan["records"] == 0 and "ships" in {s["why"]: s for s in plan["stays"]}["unread"]["reader"]
    (replica.home / "shipped.json").write_text(shipped)
    assert prune(replica, "--max", "1", "--yes")["records"] == len(first) and segments(replica) == []


def test_a_stream_of_a_replica_goes_on_behind_what_went(new_server, tmp_path):
    """All segments of a stream are gone when its next record comes: after a restart too it gets a number that no file had."""
    server = serve(new_server)
    replica = new_server(verb=("serve",), home=tmp_path / "replica",
                         args=["--server", server.url, "--poll", "200", "--ship-every", "200"])
    first = predict(replica)
    wait_until(lambda: set(first) <= set(logged(server)), "the shipped records")
    port = server.port
    settle(server)
    server.stop()  # seals what it received
    assert prune(server, "--max", "1", "--yes")["records"] == len(first) and segments(server) == []
    server.args = ["--port", str(port)]
    server.start()
    second = predict(replica)
    wait_until(lambda: set(second) <= set(logged(server)), "the next records")
    assert logged(server) == second
    must(server, "POST", f"{API}/feedback", {"prediction_id": second[0], "label": 1}, status=(200, 201, 202))
    wait_until(lambda: must(server, "GET", f"{API}/endpoints/sepsis/performance?since=1h")["labelled"] == 1, "the joined label")
    is_sound(server)


def test_serving_alone(new_server, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    for name, text in serving.package().items():
        (model / name).write_text(text)
    ask = lambda one: request(one, "POST", "/v2/models/model/infer", serving.v2([[100, 15, 37]]))[0]
    alone = new_server(verb=("serve", str(model)), home=tmp_path / "alone", args=["--log-max", "1"])
    assert ask(alone) == 200
    alone.stop()
    before = segments(alone)
    assert before
    alone.start()
    wait_until(lambda: not set(before) & set(segments(alone)), "its own prune")
    assert ask(alone) == 200


def identify(server, column, kind, *ids):
    """A dataset says that the column identifies people."""
    folder = server.home.parent
    (folder / "raw").mkdir()
    (folder / "schema.yaml").write_text(f"columns:\n  - {{name: {column}, type: {kind}, required: true, role: subject}}\n")
    (folder / "raw" / "a.csv").write_text("".join(f"{line}\n" for line in (column, *ids)))
    done = gyre(server, "data", "ingest", "--data-loc", "raw", "--file-name", "a.csv", "--output-path", "data", "--dlq", "dlq.log", "--name", "a")
    assert done.returncode == 0, done.stderr


def hold(server, verb, who):
    done = gyre(server, "subject", verb, who, "--reason", "a court")
    assert done.returncode == 0, done.stderr


def test_a_legal_hold_keeps_records(new_server):
    server = serve(new_server)
    identify(server, "HR", "int", 71, 72)
    theirs = predict(server, 1, hr=72)
    restart(server)
    held = predict(server, 1, hr=71)
    restart(server)
    settle(server)
    hold(server, "hold", "71")
    done = prune(server, "--max", "1", "--yes")
    assert done["records"] == 1 and {s["why"]: s for s in done["stays"]}["legal"]["records"] == 1
    assert logged(server) == held and "pruned" in gyre(server, "trace", theirs[0]).stderr
    hold(server, "release", "71")
    assert prune(server, "--max", "1", "--yes")["records"] == 1 and logged(server) == []


def test_a_legal_hold_keeps_what_a_process_alone_answered(new_server, tmp_path):
    """No revision says which of its values is what: it may be of the person who is held."""
    server = serve(new_server)
    identify(server, "HR", "int", 71, 72)
    server.stop()
    model = tmp_path / "model"
    model.mkdir()
    for name, text in serving.package().items():
        (model / name).write_text(text)
    alone = new_server(verb=("serve", str(model)), home=server.home)
    assert request(alone, "POST", "/v2/models/model/infer", serving.v2([[71, 15, 37]]))[0] == 200
    alone.stop()
    server.start()
    settle(server)
    hold(server, "hold", "71")
    done = prune(server, "--max", "1", "--yes")
    assert done["records"] == 0 and {s["why"]: s for s in done["stays"]}["legal"]["records"] == 1
    hold(server, "release", "71")
    assert prune(server, "--max", "1", "--yes")["records"] == 1


PATIENTS = """seed: 0
train:
  target: y
  features: [patient, temp]
  steps: [{hash: {buckets: 8, columns: [patient]}}]
"""


def test_a_person_known_by_a_text_is_held_and_erased(new_server):
    """A text is logged as a hash of its own: the keyed hash of a legal hold can not be held against it, an id can."""
    server = new_server()
    folder = server.home.parent
    (folder / "t.csv").write_text("patient,temp,y\n" + "".join(f"P-{i % 9}a{i % 9}b,{36 + i % 5}.5,{i % 7}.5\n" for i in range(60)))
    (folder / "params.yaml").write_text(PATIENTS)
    done = gyre(server, "train", "t.csv", "--params", "params.yaml", "-o", "m", "--register", "fever")
    assert done.returncode == 0, done.stderr
    serving.deploy(server, "models:/fever/1", name="fever", project={}, columns=())
    ids = []
    for who in ("P-8f3k2", "P-other1"):
        inputs = [{"name": "patient", "shape": [1], "datatype": "BYTES", "data": [who]}, {"name": "temp", "shape": [1], "datatype": "FP64", "data": [37.5]}]
        status, answer, headers = request(server, "POST", "/v2/models/fever/infer", {"inputs": inputs})
        assert status == 200, answer
        ids.append(headers["Gyre-Prediction-Id"])
    restart(server)
    settle(server)
    identify(server, "patient", "string", "P-8f3k2", "P-other1")
    hold(server, "hold", "P-8f3k2")
    done = prune(server, "--max", "1", "--yes")
    assert done["records"] == 0 and "legal" in {s["why"] for s in done["stays"]} and logged(server) == sorted(ids)
    hold(server, "release", "P-8f3k2")
    done = gyre(server, "subject", "erase", "P-8f3k2", "--reason", "a request", "--yes", "--path", "raw", "--path", "data")
    assert done.returncode == 0, done.stderr
    assert logged(server) == [ids[1]]
    assert prune(server, "--max", "1", "--yes")["records"] == 2 and logged(server) == []


def test_the_server_prunes_by_itself(new_server):
    server = serve(new_server)
    old = predict(server)
    server.stop()
    server.args = ["--log-keep", "1s"]
    server.start()
    young = predict(server)

    def gone():
        settle(server)
        return not set(old) & set(logged(server))  # each loop's segment by itself

    wait_until(gone, "the server's own prune")
    assert logged(server) == young  # the open segment stays, however old
    rows = must(server, "GET", f"{API}/log/pruned")["pruned"]
    assert {r["actor"] for r in rows} == {"gyre"}
    audit = json.loads(gyre(server, "audit", "list", "--json").stdout)
    rows = [r for r in audit["rows" if "rows" in audit else "audit"] if r["action"] == "log.prune"]
    counted = sum(int(re.search(r"records=(\d+)", r["subject"])[1]) for r in rows)
    assert {r["actor"] for r in rows} == {"gyre"} and counted == 3
    assert prune(server)["keep_s"] == 1  # without an option: as the server was told
    is_sound(server)


@pytest.mark.parametrize("left", [("idx", "seg"), ("seg",)])
def test_a_killed_prune_is_finished_by_the_next(new_server, left):
    """What was written down before the first file went is the row; so files that are there again are as after a kill."""
    server = serve(new_server)
    old = predict(server)
    restart(server)
    young = predict(server)
    settle(server)
    until_old(server, 3)
    kept = server.home.parent / "kept"
    shutil.copytree(server.home / "log", kept)
    gone = [e["segment"] for e in prune(server, "--keep", "1s", "--yes")["list"]]
    assert gone
    server.kill()
    for name in gone:
        for suffix in left:
            shutil.copy(kept / f"{name[:-4]}.{suffix}", server.home / "log")
    server.start()
    assert logged(server) == sorted(old + young)  # the old: whole
    assert gyre(server, "trace", old[0]).returncode == 0
    settle(server)
    done = prune(server, "--keep", "1000d", "--yes")
    assert {e["why"] for e in done["list"]} == {"left"} and done["records"] == 0
    assert logged(server) == young and "pruned by retention" in gyre(server, "trace", old[0]).stderr
    assert sum(r["records"] for r in must(server, "GET", f"{API}/log/pruned")["pruned"]) == 3  # not counted twice
    is_sound(server)


def test_a_backup_is_not_pruned_under(new_server):
    server = serve(new_server)
    predict(server)
    restart(server)
    settle(server)
    folder = os.open(server.home / "log", os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_SH)  # as a backup has it while it copies
        done = gyre(server, "log", "prune", "--max", "1", "--yes")
        assert done.returncode != 0 and "under way" in done.stderr
        assert prune(server, "--max", "1")["records"] == 3  # a plan may be made
    finally:
        os.close(folder)
    assert prune(server, "--max", "1", "--yes")["records"] == 3
