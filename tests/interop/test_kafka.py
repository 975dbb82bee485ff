# SPDX-License-Identifier: Apache-2.0
"""gyre stream on Apache Kafka itself (tests/http/test_stream.py has the rest, on librdkafka's mock cluster)."""

import json
import subprocess
import time

import kafka
import kafkabroker
import pytest
import serving
import support

pytestmark = [pytest.mark.skipif(kafka.lib is None, reason="librdkafka1 is not installed"),
              pytest.mark.skipif(support.sanitized(), reason="the mock cluster is enough with a sanitizer"), pytest.mark.timeout(300)]
QUICK = ["--kafka", "session.timeout.ms=3000", "--kafka", "heartbeat.interval.ms=300", "--kafka", "reconnect.backoff.max.ms=300"]
SEPTIC = {"HR": 104, "Resp": 22, "Temp": 38.9}
N = kafkabroker.PARTITIONS


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    try:
        one = kafkabroker.Broker(tmp_path_factory.mktemp("kafka"))
    except kafkabroker.Missing as why:
        pytest.skip(str(why))
    yield one
    one.kill()


def rows(n):
    """Messages with their keys; every tenth is poison."""
    return [(b"k%d" % (i % 31), b"poison %d" % i if i % 10 == 3 else json.dumps({"HR": 60 + i % 190, "Resp": 15, "Temp": 37, "i": i}).encode())
            for i in range(n)]


def until(what, process=None, timeout_s=120):
    end = time.monotonic() + timeout_s
    while not (got := what()):
        assert process is None or process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.02)
    return got


@pytest.fixture
def start():
    """Start a stream that runs on; none outlives the test."""
    running = []
    yield lambda home, *args: running.append(begin(home, *args)) or running[-1]
    for process in running:
        if process.poll() is None:
            process.kill()
            print(process.communicate()[1][-4000:])  # shown when the test failed


def begin(home, *args):
    command = [str(support.BIN), "stream", "sepsis", *map(str, args), *QUICK, "--home", str(home)]
    return subprocess.Popen(command, cwd=home.parent, env=support.clean_env(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True)


def committed(broker, topic, group):
    return sum(o for o in kafka.committed(broker.brokers, topic, group, N) if o > 0)


def sources(messages):
    return [m["headers"]["gyre-source"] for m in messages]


def test_a_topic_becomes_decisions_and_notices(broker, server, tmp_path):
    serving.serve(server)
    kafka.put(broker.brokers, "in", [*rows(50), (None, None), (b"x", json.dumps(SEPTIC).encode())], timeout_s=90)
    done = support.run_gyre("stream", "sepsis", "--from", broker.url("in"), "--to", broker.url("out"), "--notify", "alerts",
                            "--when", "rule = 'sirs' or probability > 0.8", "--with-input", *QUICK, "--max-messages", "52", "--json",
                            "--home", server.home, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["read"], answer["decided"], answer["dead"], answer["lag"]) == (52, 46, 6, 0)
    decisions = kafka.get(broker.brokers, "out", N, want=46, quiet_s=0.5)
    bodies = {d["headers"]["gyre-source"]: json.loads(d["value"]) for d in decisions}
    assert len(bodies) == len(decisions) == 46
    assert all(b["prediction"] == int(b["input"]["HR"] >= 90) for b in bodies.values())  # by the model; SEPTIC by the rule as well
    one = next(d for d in decisions if d["key"] == b"x")
    body = json.loads(one["value"])
    assert body["rules"]["name"] == "sirs" and one["headers"]["gyre-prediction-id"] == body["prediction_id"]
    found = serving.must(server, "GET", f"{serving.API}/trace/{body['prediction_id']}")
    assert found["request_id"] == one["headers"]["gyre-source"]
    for key in {d["key"] for d in decisions}:  # the order of a key stays
        order = [json.loads(d["value"])["input"].get("i", 99) for d in decisions if d["key"] == key]
        assert order == sorted(order)
    wanted = sorted(s for s, b in bodies.items() if b["rules"].get("name") == "sirs" or b["probability"] > 0.8)
    assert len(wanted) > 1 and sorted(sources(kafka.get(broker.brokers, "alerts", N, want=len(wanted), quiet_s=0.5))) == wanted
    dead = kafka.get(broker.brokers, "in.dead", N, want=6, quiet_s=0.5)
    assert {d["value"] for d in dead} == {b"poison %d" % i for i in range(3, 50, 10)} | {None}
    assert all(d["headers"]["gyre-error"] and d["headers"]["gyre-error-code"] in {"PARSE", "INVALID"} for d in dead)
    assert committed(broker, "in", "gyre-sepsis") == 52


def test_kill_9_of_the_stream_and_of_the_broker(broker, new_server, start, tmp_path):
    """Nothing is lost: each message has a decision or a dead letter, and each decision is in the log, which was written by the
    processes that were killed (no server runs, so the stream serves itself)."""
    server, n = new_server(), 21000
    serving.serve(server)
    server.stop()
    thirds = [rows(n)[i * n // 3:(i + 1) * n // 3] for i in range(3)]
    args = ["--from", broker.url("many"), "--to", broker.url("decided")]
    kills = [0]
    for kill in range(2):  # however quick a process is with its third, something comes for the next one
        kafka.put(broker.brokers, "many", thirds[kill], timeout_s=90)
        process = start(server.home, *args)
        until(lambda: committed(broker, "many", "gyre-sepsis") > kills[-1], process)
        time.sleep(0.003 * kill)  # somewhere else in a batch
        process.kill()
        process.communicate()
        kills.append(committed(broker, "many", "gyre-sepsis"))
    kafka.put(broker.brokers, "many", thirds[2], timeout_s=90)
    process = start(server.home, *args)
    until(lambda: committed(broker, "many", "gyre-sepsis") > kills[-1], process)
    broker.kill()
    kills.append("broker")
    assert process.poll() is None
    broker.start()
    until(lambda: committed(broker, "many", "gyre-sepsis") == n, process)
    process.terminate()
    assert process.wait(60) == 0, process.communicate()[1]
    process.communicate()
    assert 0 < kills[1] < kills[2] < n

    want = {f"many/{m['partition']}/{m['offset']}": m["value"] for m in kafka.get(broker.brokers, "many", N, want=n, quiet_s=0)}
    # Nobody writes any more, so all of them are asked for: among the first n * 9 // 10 may be some that came twice.
    decisions = kafka.get(broker.brokers, "decided", N, want=kafka.written(broker.brokers, "decided", N), quiet_s=0)
    dead = kafka.get(broker.brokers, "many.dead", N, want=kafka.written(broker.brokers, "many.dead", N), quiet_s=0)
    assert set(sources(decisions)) == {s for s, value in want.items() if not value.startswith(b"poison")}
    assert set(sources(dead)) == {s for s, value in want.items() if value.startswith(b"poison")}
    for m in decisions:
        assert json.loads(m["value"])["prediction"] == int(json.loads(want[m["headers"]["gyre-source"]])["HR"] >= 90)
    out = tmp_path / "log.jsonl"
    done = support.run_gyre("log", "export", "--endpoint", "sepsis", "-o", out, "--home", server.home, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    logged = [json.loads(line) for line in out.read_text().splitlines()]
    assert {row["request_id"] for row in logged} == set(sources(decisions))
    assert {d["headers"]["gyre-prediction-id"] for d in decisions} <= {row["prediction_id"] for row in logged}
    print(f"{n} messages, {len(decisions) - n * 9 // 10} decisions twice; killed at {kills}")
