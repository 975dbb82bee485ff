# SPDX-License-Identifier: Apache-2.0
"""gyre stream: messages in, decisions out, at least once (docs/stream.md)."""

import base64
import http.client
import http.server
import json
import os
import pathlib
import signal
import subprocess
import threading
import time
import urllib.request

import kafka
import pytest
import serving
import support

SEPTIC, WELL = {"HR": 104, "Resp": 22, "Temp": 38.9}, {"HR": 80, "Resp": 15, "Temp": 37}
FAST = {"HR": 100, "Resp": 15, "Temp": 37}
needs_kafka = pytest.mark.skipif(kafka.lib is None, reason="librdkafka1 is not installed")
QUICK = ["--kafka", "session.timeout.ms=6000", "--kafka", "heartbeat.interval.ms=500"]


@pytest.fixture(scope="module")
def sepsis(server):
    serving.serve(server)
    return server


@pytest.fixture
def cluster():
    one = kafka.Cluster()
    yield one
    one.close()


def stream(server, cwd, *args, stdin="", endpoint="sepsis", timeout=120):
    return support.run_gyre("stream", endpoint, *args, "--home", server.home, cwd=cwd, stdin=stdin, timeout=timeout)


RUNNING = []


@pytest.fixture(autouse=True)
def none_is_left():
    yield
    while RUNNING:
        process = RUNNING.pop()
        if process.poll() is None:  # the test failed
            process.kill()
            process.communicate()


def start(server, cwd, *args, endpoint="sepsis"):
    """A stream that runs on."""
    command = [str(support.BIN), "stream", endpoint, *map(str, args), "--home", str(server.home)]
    RUNNING.append(subprocess.Popen(command, cwd=cwd, env=support.clean_env(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True))
    return RUNNING[-1]


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def until(what, timeout_s=60):
    end = time.monotonic() + timeout_s
    while not (got := what()):
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.05)
    return got


def trace(server, prediction_id):
    return serving.must(server, "GET", f"{serving.API}/trace/{prediction_id}")


def test_stdin_to_stdout(sepsis, tmp_path):
    messages = [json.dumps(SEPTIC), "", "not JSON", json.dumps(WELL), json.dumps({"other": 1}), json.dumps(serving.v2([[80, 15, 37]]))]
    done = stream(sepsis, tmp_path, stdin="\n".join(messages))
    assert done.returncode == 0, done.stderr
    septic, well, v2 = lines(done.stdout)
    assert (septic["source"], septic["prediction"], septic["rules"]["name"]) == ("stdin/1", 1, "sirs")
    assert (well["source"], well["prediction"], well["key"]) == ("stdin/4", 0, None) and 0 < well["probability"] < 0.5
    assert v2["source"] == "stdin/6" and serving.outputs(v2)["prediction"] == [0]
    # each is a prediction of its own, in the log under its source
    assert trace(sepsis, well["prediction_id"])["request_id"] == "stdin/4"
    dead = lines((tmp_path / "stream-dead.jsonl").read_text())
    assert [(d["source"], d["code"]) for d in dead] == [("stdin/3", "PARSE"), ("stdin/5", "INVALID")]
    assert dead[0]["data"] == "not JSON" and "'HR' is missing" in dead[1]["error"]
    assert "5 read, 3 decided, 2 dead" in done.stderr


def test_the_input_beside_a_decision_is_json(sepsis, tmp_path):
    """A missing value in Python's words is read; the next reader may be one who knows JSON alone."""
    message = '{"HR": 104, "Resp": NaN, "Temp": 38.9, "note": "NaN \\\\", "at": "\\"-Infinity", "more": [-Infinity, Infinity, -1e-5, true, null]}'
    done = stream(sepsis, tmp_path, "--with-input", stdin=message)
    assert done.returncode == 0, done.stderr

    def no_json(word):
        raise AssertionError(f"{word} in {done.stdout}")

    assert json.loads(done.stdout, parse_constant=no_json)["input"] == {
        "HR": 104, "Resp": None, "Temp": 38.9, "note": "NaN \\", "at": '"-Infinity', "more": [None, None, -1e-5, True, None]}


def test_bytes_that_are_no_text_are_kept(sepsis, tmp_path):
    done = subprocess.run([str(support.BIN), "stream", "sepsis", "--home", str(sepsis.home), "--dead-letter", "dead.jsonl"], cwd=tmp_path,
                          env=support.clean_env(), input=b"\xff\xfe{\n" + json.dumps(WELL).encode(), capture_output=True, check=True)
    assert len(lines(done.stdout.decode())) == 1
    assert base64.b64decode(lines((tmp_path / "dead.jsonl").read_text())[0]["data_b64"]) == b"\xff\xfe{"


def test_notices_and_inputs(sepsis, tmp_path):
    args = ["--to", "file:out/all.jsonl", "--notify", "file:alerts.jsonl", "--when", "probability > 0.5 or rule = 'sirs'", "--with-input"]
    answer = json.loads(stream(sepsis, tmp_path, *args, "--json", stdin="\n".join(json.dumps(m) for m in [SEPTIC, WELL, FAST])).stdout)
    assert (answer["read"], answer["decided"], answer["dead"], answer["notified"]) == (3, 3, 0, 2)
    assert [a["input"] for a in lines((tmp_path / "out/all.jsonl").read_text())] == [SEPTIC, WELL, FAST]
    assert [a["input"] for a in lines((tmp_path / "alerts.jsonl").read_text())] == [SEPTIC, FAST]


@pytest.mark.parametrize("args, code, said", [
    (["--from", "mqtt://x"], 2, "--from"),
    (["--to", "kafka://x"], 2, "kafka://BROKERS/TOPIC"),
    (["--when", "prediction == 1"], 2, "--notify"),
    (["--notify", "n.jsonl", "--when", "HR > 3"], 1, "HR"),
    (["--json"], 2, "--to"),
    (["--from", "dir:nowhere"], None, "no such folder"),
    (["--from", "http:70000"], 2, "a port"),
    (["--kafka", "x"], 2, "NAME=VALUE"),
])
def test_what_is_wrong_is_said(sepsis, tmp_path, args, code, said):
    done = stream(sepsis, tmp_path, *args)
    assert done.returncode != 0 and said in done.stderr
    if code == 2:
        assert done.returncode == 2


@needs_kafka
@pytest.mark.parametrize("setting, said", [
    ("acks=0", "'acks' can not be changed: a decision has arrived when all brokers"),
    ("enable.auto.commit=true", "'enable.auto.commit' can not be changed: offsets are committed"),
    ("enable.idempotence=false", "'enable.idempotence' can not be changed"),
    ("transactional.id=x", "'transactional.id' can not be given"),
    ("bootstrap.servers=127.0.0.1:2", "names its brokers"),
])
def test_settings_that_would_lose_messages_are_refused(sepsis, tmp_path, setting, said):
    (tmp_path / "kafka.conf").write_text(f"# of us all\n{setting}\n")
    for args in (["--from", "kafka://127.0.0.1:1/t", "--kafka", setting], ["--to", "kafka://127.0.0.1:1/t", "--kafka-config", "kafka.conf"]):
        done = stream(sepsis, tmp_path, *args, stdin=json.dumps(WELL))
        assert done.returncode == 3 and said in done.stderr and "leave it out" in done.stderr


def test_an_unknown_endpoint_is_an_error(sepsis, tmp_path):
    done = stream(sepsis, tmp_path, endpoint="other", stdin=json.dumps(WELL))
    assert done.returncode != 0 and "nothing is served as 'other'" in done.stderr


def test_without_a_server_the_process_serves_itself(new_server, tmp_path):
    server = new_server()
    serving.serve(server)
    server.stop()
    done = stream(server, tmp_path, stdin=json.dumps(SEPTIC))
    assert done.returncode == 0, done.stderr
    (answer,) = lines(done.stdout)
    server.start()
    assert trace(server, answer["prediction_id"])["request_id"] == "stdin/1"


# ---- folders ----

def test_a_folder(sepsis, tmp_path):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "a.csv").write_text("HR,Resp,Temp,ward\n104,22,38.9,7\n80,15,37,\n80,15\n80,15,hot,x\n")
    (inbox / "b.jsonl").write_text(json.dumps(WELL) + "\n{\n")
    (inbox / "c.jsonl.tmp").write_text(json.dumps(WELL))
    (inbox / "d.csv.gz").write_bytes(b"\x1f\x8bbroken")
    args = ["--from", f"dir:{inbox}", "--to", "file:out.jsonl", "--dead-letter", "dead.jsonl", "--until-idle", "1", "--json"]
    answer = json.loads(stream(sepsis, tmp_path, *args).stdout)
    assert (answer["read"], answer["decided"], answer["dead"]) == (6, 3, 3)
    assert [(a["source"], a["prediction"]) for a in lines((tmp_path / "out.jsonl").read_text())] == \
        [("a.csv/0", 1), ("a.csv/1", 0), ("b.jsonl/0", 0)]
    assert {d["source"] for d in lines((tmp_path / "dead.jsonl").read_text())} == {"a.csv/2", "a.csv/3", "b.jsonl/1"}
    assert sorted(p.name for p in inbox.iterdir()) == ["a.csv", "a.csv.done", "b.jsonl", "b.jsonl.done", "c.jsonl.tmp", "d.csv.gz",
                                                       "d.csv.gz.failed"]
    # what is renamed into it later is read once; what was read is not read again
    (inbox / "c.jsonl.tmp").rename(inbox / "c.jsonl")
    assert json.loads(stream(sepsis, tmp_path, *args).stdout)["read"] == 1
    assert json.loads(stream(sepsis, tmp_path, *args).stdout)["read"] == 0


def test_a_killed_reader_of_a_folder_goes_on(sepsis, tmp_path):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    rows = 40000
    (inbox / "big.csv").write_text("HR,Resp,Temp\n" + "".join(f"{60 + i % 190},15,37\n" for i in range(rows)))
    args = ["--from", f"dir:{inbox}", "--to", "file:out.jsonl"]
    out = tmp_path / "out.jsonl"
    kills = 0
    while not (inbox / "big.csv.done").exists():
        process = start(sepsis, tmp_path, *args, "--until-idle", "0.5")
        size = out.stat().st_size if out.exists() else 0
        until(lambda: process.poll() is not None or (inbox / "big.csv.done").exists() or
              (kills < 5 and out.exists() and out.stat().st_size > size + 200_000))
        kills += process.poll() is None
        process.kill()
        process.communicate()
    seen = {}
    for line in out.read_text().splitlines():
        if line.endswith("}"):  # the line that was being written when it was killed
            answer = json.loads(line)
            seen.setdefault(int(answer["source"].split("/")[1]), set()).add(answer["prediction"])
    assert kills >= 3 and set(seen) == set(range(rows))
    assert all(seen[i] == {int(60 + i % 190 >= 90)} for i in range(rows))


# ---- HTTP ----

def post(port, body, kind="application/json", key=None):
    headers = {"Content-Type": kind, **({"Gyre-Key": key} if key else {})}
    with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/", body.encode(), headers), timeout=60) as answer:
        return json.loads(answer.read())


def test_http_in_and_out(sepsis, tmp_path):
    got, fail = [], [2]

    class Sink(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            fail[0] -= 1
            if fail[0] < 0:
                got.extend(lines(body))
            self.send_response(503 if fail[0] >= 0 else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    sink = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    process = start(sepsis, tmp_path, "--from", "http:0", "--to", f"http://127.0.0.1:{sink.server_address[1]}/in", "--metrics-port", "0")
    said = [process.stderr.readline(), process.stderr.readline()]
    metrics = next(int(s.split(":")[-1].split("/")[0]) for s in said if "metrics" in s)
    port = next(int(s.split(":")[-1].split("/")[0]) for s in said if "messages" in s)
    assert post(port, json.dumps(SEPTIC), key="p1") == {"decided": 1, "dead": 0}
    assert post(port, json.dumps(WELL) + "\nno\n" + json.dumps(FAST) + "\n", "application/x-ndjson") == {"decided": 2, "dead": 1}
    assert [(a["key"], a["prediction"]) for a in got] == [("p1", 1), (None, 0), (None, 1)]  # tried again until it was taken
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    assert 'gyre_stream_messages_decided_total{endpoint="sepsis"} 3' in text and 'dead_total{endpoint="sepsis"} 1' in text
    process.terminate()
    assert process.wait(30) == 0
    with pytest.raises(OSError):
        post(port, json.dumps(WELL))
    sink.shutdown()


# ---- Kafka ----

def rows(n, at=0):
    """Messages with their keys; every tenth is poison."""
    return [(b"k%d" % (i % 31), b"poison %d" % i if i % 10 == 3 else json.dumps({"HR": 60 + i % 190, "Resp": 15, "Temp": 37, "i": i}).encode())
            for i in range(at, at + n)]


@needs_kafka
def test_reference_system_001(sepsis, cluster, tmp_path):
    """A topic, rules and model, a topic of decisions and one of notices (facts of the fraud workshop)."""
    cluster.topic("in", 3)
    cluster.topic("out", 2)
    messages = rows(50) + [(None, None, 0), (b"x", json.dumps(SEPTIC).encode())]
    kafka.put(cluster.brokers, "in", messages)
    args = ["--from", cluster.url("in"), "--to", cluster.url("out"), "--notify", "alerts", "--when", "prediction == 1", "--with-input"]
    done = stream(sepsis, tmp_path, *args, *QUICK, "--until-idle", "6", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["read"], answer["decided"], answer["dead"], answer["lag"]) == (52, 46, 6, 0)
    decisions = kafka.get(cluster.brokers, "out", 2, want=46)
    bodies = [json.loads(d["value"]) for d in decisions]
    assert len(decisions) == 46 and all(b["prediction"] == int(b["input"]["HR"] >= 90 or b["input"]["HR"] == 104) for b in bodies)
    one = next(d for d in decisions if d["key"] == b"x")
    head, body = one["headers"], json.loads(one["value"])
    assert head["gyre-prediction-id"] == body["prediction_id"] and head["gyre-model-version"] == body["model_version"] == "1"
    assert head["gyre-revision"] == str(body["revision"]) and head["gyre-endpoint"] == "sepsis"
    assert trace(sepsis, body["prediction_id"])["request_id"] == head["gyre-source"]
    # the order of a key stays
    for key in {d["key"] for d in decisions}:
        order = [json.loads(d["value"])["input"].get("i", 99) for d in decisions if d["key"] == key]
        assert order == sorted(order)
    alerts = kafka.get(cluster.brokers, "alerts", 4)
    assert sorted(a["headers"]["gyre-source"] for a in alerts) == \
        sorted(d["headers"]["gyre-source"] for d in decisions if json.loads(d["value"])["prediction"] == 1)
    dead = kafka.get(cluster.brokers, "in.dead", 4)
    assert {d["value"] for d in dead} == {b"poison %d" % i for i in range(3, 50, 10)} | {None}
    assert all(d["headers"]["gyre-error"] and d["headers"]["gyre-error-code"] in {"PARSE", "INVALID"} for d in dead)
    assert sum(kafka.committed(cluster.brokers, "in", "gyre-sepsis", 3)) == 52
    # a second run goes on behind that
    kafka.put(cluster.brokers, "in", rows(5, 100))
    assert json.loads(stream(sepsis, tmp_path, *args, *QUICK, "--max-messages", "5", "--json").stdout)["read"] == 5


@needs_kafka
@pytest.mark.timeout(400)
def test_killed_again_and_again_nothing_is_lost(sepsis, cluster, tmp_path):
    """kill -9 at any time: each message has a decision or a dead letter, and those that come twice have the same source."""
    cluster.topic("many", 4)
    cluster.topic("decided", 4)
    n = 12000  # the mock keeps 5 MB of a partition
    kafka.put(cluster.brokers, "many", rows(n))
    args = ["--from", cluster.url("many"), "--to", cluster.url("decided"), *QUICK, "--group", "killed"]
    kills, last = 0, -1
    while True:
        process = start(sepsis, tmp_path, *args)
        # let it join, then kill it in the middle of something
        def moved():
            now = sum(o for o in kafka.committed(cluster.brokers, "many", "killed", 4) if o > 0)
            return now > last or now == n
        until(moved, 90)
        time.sleep(0.003 * kills)
        last = sum(o for o in kafka.committed(cluster.brokers, "many", "killed", 4) if o > 0)
        if kills == 4 or last == n:  # enough: to the end
            until(lambda: sum(o for o in kafka.committed(cluster.brokers, "many", "killed", 4) if o > 0) == n, 90)
            process.terminate()
            process.communicate(timeout=30)
            break
        process.kill()
        process.communicate()
        kills += 1
        last = sum(o for o in kafka.committed(cluster.brokers, "many", "killed", 4) if o > 0)
    found = kafka.get(cluster.brokers, "decided", 4, want=n * 9 // 10) + kafka.get(cluster.brokers, "many.dead", 4, want=n // 10)
    sources = {m["headers"]["gyre-source"] for m in found}
    want = {f"many/{m['partition']}/{m['offset']}" for m in kafka.get(cluster.brokers, "many", 4, want=n)}
    assert kills >= 1 and len(want) == n and sources == want
    # each decision is in the log
    decided = [m for m in found if "gyre-prediction-id" in m["headers"]]
    for m in decided[::997]:
        assert trace(sepsis, m["headers"]["gyre-prediction-id"])["request_id"] == m["headers"]["gyre-source"]


@needs_kafka
def test_two_members_share_and_take_over(sepsis, cluster, tmp_path):
    cluster.topic("shared", 4)
    cluster.topic("done", 1)
    args = ["--from", cluster.url("shared"), "--to", cluster.url("done"), *QUICK, "--metrics-port", "0"]
    first, second = (start(sepsis, tmp_path, *args) for _ in range(2))

    def partitions(process):
        if not hasattr(process, "port"):
            process.port = int(process.stderr.readline().split(":")[-1].split("/")[0])
        with urllib.request.urlopen(f"http://127.0.0.1:{process.port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        return int(text.split('gyre_stream_partitions{endpoint="sepsis"} ')[1].split("\n")[0])

    until(lambda: (partitions(first), partitions(second)) == (2, 2), 90)
    kafka.put(cluster.brokers, "shared", rows(200))
    until(lambda: len(kafka.get(cluster.brokers, "done", 1)) >= 180)
    first.terminate()  # a clean end hands its partitions over at once
    assert first.wait(30) == 0
    until(lambda: partitions(second) == 4, 60)
    kafka.put(cluster.brokers, "shared", rows(200, 200))
    until(lambda: len(kafka.get(cluster.brokers, "done", 1)) >= 360)
    second.terminate()
    assert second.wait(30) == 0
    found = kafka.get(cluster.brokers, "done", 1)
    assert len({m["headers"]["gyre-source"] for m in found}) == 360 and len(found) == 360
    first.communicate()
    second.communicate()


@needs_kafka
def test_a_rebalance_while_a_batch_waits(sepsis, cluster, tmp_path):
    """What a member keeps of a group that moved while it waited must not stay paused: nothing came of it any more."""
    got = []

    class Sink(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.extend(lines(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    sink = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink, bind_and_activate=False)
    sink.server_bind()  # refuses connections until it listens
    cluster.topic("moved", 2)
    kafka.put(cluster.brokers, "moved", [(b"a", json.dumps(WELL).encode(), i % 2) for i in range(4)])
    first = start(sepsis, tmp_path, "--from", cluster.url("moved"), "--to", f"http://127.0.0.1:{sink.server_port}/", *QUICK)
    while "a batch waits" not in (line := first.stderr.readline()):
        assert line, "it does not wait"
    second = start(sepsis, tmp_path, "--from", cluster.url("moved"), "--to", "file:second.jsonl", *QUICK)
    until(lambda: (tmp_path / "second.jsonl").exists() and (tmp_path / "second.jsonl").stat().st_size, 90)  # it has a partition
    sink.server_activate()
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    kafka.put(cluster.brokers, "moved", [(b"a", json.dumps(WELL).encode(), i % 2) for i in range(40)])
    until(lambda: sum(kafka.committed(cluster.brokers, "moved", "gyre-sepsis", 2)) == 44, 60)
    for process in (first, second):
        process.terminate()
        process.communicate(timeout=30)
        assert process.returncode == 0
    sink.shutdown()
    assert len({a["source"] for a in got + lines((tmp_path / "second.jsonl").read_text())}) == 44


@needs_kafka
def test_it_waits_for_a_server_that_is_away(new_server, cluster, tmp_path):
    server = new_server()
    serving.serve(server)
    cluster.topic("wait", 1)
    process = start(server, tmp_path, "--from", cluster.url("wait"), "--to", cluster.url("went"), *QUICK)
    kafka.put(cluster.brokers, "wait", [(b"a", json.dumps(WELL).encode())])
    until(lambda: kafka.committed(cluster.brokers, "wait", "gyre-sepsis", 1) == [1], 60)
    server.stop()
    kafka.put(cluster.brokers, "wait", rows(100))
    time.sleep(1)
    assert process.poll() is None and kafka.committed(cluster.brokers, "wait", "gyre-sepsis", 1) == [1]
    server.start()
    until(lambda: kafka.committed(cluster.brokers, "wait", "gyre-sepsis", 1) == [101], 60)
    process.terminate()
    assert process.wait(30) == 0
    process.communicate()
    found = kafka.get(cluster.brokers, "went", 4, want=91) + kafka.get(cluster.brokers, "wait.dead", 4, want=10)
    assert {m["headers"]["gyre-source"] for m in found} == {f"wait/0/{i}" for i in range(101)}
