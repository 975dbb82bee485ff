# SPDX-License-Identifier: Apache-2.0
"""Models that another server answers for: registered, deployed, logged and compared like any other; what a broken upstream
does to who asks, and to the others."""

import http.server
import json
import math
import re
import threading
import time

import pytest
import serving
import support
from serving import API, request, v2

pytestmark = pytest.mark.tsan

COLUMNS = ["HR", "Resp", "Temp"]


def start(tmp_path_factory, name, **kwargs):
    return support.Server(tmp_path_factory.mktemp(name) / "home", **kwargs).start()


@pytest.fixture(scope="module")
def upstream(tmp_path_factory):
    server = start(tmp_path_factory, "upstream")
    serving.serve(server)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def near(tmp_path_factory):
    server = start(tmp_path_factory, "near", env={"GYRE_TOKEN_UP": "s3cret-token"})
    yield server
    server.stop()


def register(server, name, url, *args, model="sepsis", code=0):
    done = support.run_gyre("models", "register", name, "--remote", url, "--model", model, "--home", server.home, "--json",
                            *args, cwd=server.home.parent, env={"GYRE_TOKEN_UP": "s3cret-token"})
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if code == 0 else done.stderr


def probability(hr):
    return 1 / (1 + math.exp(9 - 0.1 * hr))


def infer(server, name, rows, timeout=60):
    return request(server, "POST", f"/v2/models/{name}/infer", v2(rows), timeout=timeout)


class Upstream(http.server.ThreadingHTTPServer):
    """An upstream of the Open Inference Protocol that does what `mode` says: y = a + 10 b."""

    daemon_threads = True
    extensions = []
    mode = "good"
    delay = 0.0

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls, self.rows, self.tokens, self.timeouts = 0, [], set(), []
        self.go = threading.Event()  # what mode "waits" waits for
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        if self.path == "/v2":
            return self.answer(200, {"name": "up", "version": "1", "extensions": self.server.extensions})
        tensors = [{"name": n, "datatype": "FP64", "shape": [-1]} for n in ("a", "b")]
        return self.answer(200, {"name": "m", "inputs": tensors,
                                 "outputs": [{"name": "y", "datatype": "FP64", "shape": [-1]}]})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        up = self.server
        up.calls += 1
        up.tokens.add(self.headers.get("Authorization"))
        a, b = ({t["name"]: t["data"] for t in asked["inputs"]}[n] for n in ("a", "b"))
        up.rows.append(len(a))
        up.timeouts.append(self.headers.get("Gyre-Timeout"))
        if up.mode == "waits":
            up.go.wait(60)
        if up.delay:
            time.sleep(up.delay)
        if up.mode == "close":
            self.close_connection = True
            return None
        if up.mode == "fails":
            return self.answer(500, {"error": "out of cheese"})
        if up.mode == "no json":
            return self.answer(200, b"<html>")
        if up.mode == "redirect":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if up.mode == "refuses large" and any(x >= 1000 for x in a):
            return self.answer(400, {"error": "a is too large"})
        y = [p + 10 * q for p, q in zip(a, b)]
        if up.mode == "too few":
            y = y[1:]
        return self.answer(200, {"model_name": "m", "outputs": [
            {"name": "y", "datatype": "FP64", "shape": [len(a) if up.mode != "wrong shape" else 3], "data": y}]})


@pytest.fixture()
def broken():
    up = Upstream()
    yield up
    up.go.set()
    up.shutdown()
    up.server_close()


def deploy_broken(near, up, name, project=None, args=()):
    register(near, name, up.url, *args, model="m")
    return serving.deploy(near, f"models:/{name}/1", name, project or {}, columns=())


def stats(server, name, key):
    status, text, _ = request(server, "GET", "/metrics")
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.decode().splitlines()
               if line.startswith(key) and f'endpoint="{name}"' in line)


def test_a_gyre_server_as_upstream(near, upstream):
    made = register(near, "far", upstream.url, "--timeout", "5s")
    assert made["servable"] and made["task"] == "binary" and made["inputs"] == 3 and made["output"] == "probability"
    serving.deploy(near, "models:/far/1", "far")  # with rules and an alias of its own
    rows = [[104, 15, 37.5], [80, 15, 37], [60, 22, None]]
    status, answer, headers = infer(near, "far", rows[:2])
    assert status == 200 and answer["model_name"] == "far" and headers["Gyre-Model-Version"] == "1"
    got = serving.outputs(answer)
    assert got["prediction"] == [1, 0]
    assert all(math.isclose(p, probability(r[0]), rel_tol=1e-12) for p, r in zip(got["probability"], rows))
    # the rule decides here, without asking there
    before = upstream_predictions(upstream)
    status, answer, _ = request(near, "POST", "/predictions", {"hr": 104, "resp": 22, "temp": 38.9})
    assert (status, answer["isSepsis"], answer["rules"]["name"]) == (200, 1, "sirs")
    assert upstream_predictions(upstream) <= before + 1  # a tenth of such rows is scored all the same, for the log
    # logged here like any other
    trace = serving.must(near, "GET", f"{API}/trace/{headers['Gyre-Prediction-Id']}")
    assert trace["rows"] == 2 and trace["predictions"][0]["inputs"]["HR"] == 104
    # many rows are one call
    many = [[60 + i % 190, 15, 37] for i in range(5000)]
    status, answer, _ = infer(near, "far", many)
    assert status == 200
    assert all(math.isclose(p, probability(r[0]), rel_tol=1e-12)
               for p, r in zip(serving.outputs(answer)["probability"], many))
    # what it refuses is refused here, in its words
    status, answer, _ = request(near, "POST", "/v2/models/far/explain", v2(rows[:1]))
    assert status == 501 and "remote" in answer["error"]


def upstream_predictions(server):
    return stats(server, "sepsis", "gyre_prediction_rows_total") or stats(server, "sepsis", "gyre_predictions_total")


def test_canary_of_a_remote_version(near, upstream):
    register(near, "mixed", upstream.url)
    version, _ = serving.register(near, "mixed")
    serving.deploy(near, f"models:/mixed/{version}", "mixed", {})
    serving.must(near, "POST", f"{API}/endpoints/mixed/deploy", {"model": "models:/mixed/1", "canary": 0.5})
    seen = set()
    for _ in range(60):
        status, answer, headers = infer(near, "mixed", [[95, 15, 37]])
        assert status == 200 and math.isclose(serving.outputs(answer)["probability"][0], probability(95), rel_tol=1e-12)
        seen.add(headers["Gyre-Model-Version"])
    assert seen == {"1", str(version)}


def test_failures_reach_the_client(near, broken):
    deploy_broken(near, broken, "broken", args=("--timeout", "400ms", "--token-env", "GYRE_TOKEN_UP"))
    status, answer, _ = infer(near, "broken", [[1, 2], [3, 4]])
    assert (status, serving.outputs(answer)["prediction"]) == (200, [21, 43])
    assert broken.tokens == {"Bearer s3cret-token"}
    for mode, want, text in [("fails", 502, "out of cheese"), ("close", 502, "broke off"), ("no json", 502, "no JSON"),
                             ("wrong shape", 502, "shape")]:
        broken.mode = mode
        status, answer, _ = infer(near, "broken", [[1, 2]])
        assert status == want and text in answer["error"], (mode, status, answer)
        broken.mode = "good"
        assert infer(near, "broken", [[1, 2]])[0] == 200
    broken.mode = "too few"
    assert infer(near, "broken", [[1, 2], [3, 4]])[0] == 502
    broken.mode = "redirect"
    status, answer, _ = infer(near, "broken", [[1, 2]])
    assert status == 502 and "302" in answer["error"]
    broken.mode = "refuses large"
    status, answer, _ = infer(near, "broken", [[2000, 2]])
    assert status == 400 and "a is too large" in answer["error"]
    broken.mode, broken.delay = "good", 2
    begin = time.monotonic()
    status, answer, _ = infer(near, "broken", [[1, 2]])
    assert status == 504 and time.monotonic() - begin < 1.5 and "400 ms" in answer["error"]
    assert "s3cret" not in near.text()


def test_circuit_opens_and_closes(near, broken):
    deploy_broken(near, broken, "circuit", args=("--timeout", "2s"))
    broken.mode = "fails"
    for _ in range(5):
        assert infer(near, "circuit", [[1, 2]])[0] == 502
    calls = broken.calls
    status, answer, _ = infer(near, "circuit", [[1, 2]])
    assert status == 503 and "5 times" in answer["error"] and broken.calls == calls
    assert request(near, "GET", "/v2/models/circuit/ready")[0] == 503  # no healthy probe before a dead upstream
    broken.mode = "good"
    time.sleep(1.1)
    status, answer, _ = infer(near, "circuit", [[1, 2]])
    assert (status, serving.outputs(answer)["prediction"]) == (200, [21])
    assert request(near, "GET", "/v2/models/circuit/ready")[0] == 200


def hurried(server, name, row, timeout):
    return request(server, "POST", f"/v2/models/{name}/infer", v2([row]), {"Gyre-Timeout": timeout})


def await_calls(upstream, n):
    """It was asked so often; a thread of it may count a call after its client has given up."""
    end = time.monotonic() + 60
    while upstream.calls < n and time.monotonic() < end:
        time.sleep(0.01)
    assert upstream.calls == n


def test_a_clients_deadline_reaches_the_upstream(near, broken):
    deploy_broken(near, broken, "hurried", {"runtime": {"timeout_ms": 20000, "max_concurrent": 1, "max_waiting": 4}},
                  args=("--timeout", "20s"))
    assert hurried(near, "hurried", [1, 2], "15s")[0] == 200
    assert 1000 < int(broken.timeouts[-1].removesuffix("ms")) <= 15000
    assert infer(near, "hurried", [[1, 2]])[0] == 200
    assert 15000 < int(broken.timeouts[-1].removesuffix("ms")) <= 20000
    broken.mode, calls = "waits", broken.calls
    for n in range(1, 7):  # more than open a circuit
        status, answer, _ = hurried(near, "hurried", [1, 2], "600ms")
        assert status == 504, answer
        await_calls(broken, calls + n)
    # nor is it the model's failure, which a guard would roll back a canary for
    metrics = request(near, "GET", "/metrics")[1].decode()
    counted = dict(re.findall(r'^gyre_inference_requests_total{endpoint="hurried",[^}]*outcome="(\w+)"} (\d+)', metrics, re.M))
    assert (counted["refused"], counted["failed"]) == ("6", "0"), counted
    # behind one that is answered: what nobody waits for any more is not asked
    first = []
    thread = threading.Thread(target=lambda: first.append(infer(near, "hurried", [[1, 2]])[0]))
    thread.start()
    await_calls(broken, calls + 7)
    status, answer, _ = hurried(near, "hurried", [3, 4], "150ms")
    assert (status, answer["error"]) == (504, "the deadline of the request passed before the model answered")
    broken.mode = "good"
    broken.go.set()
    thread.join()
    assert first == [200] and broken.calls == calls + 7
    assert infer(near, "hurried", [[3, 4]])[0] == 200  # the impatience of some closes it to nobody
    assert broken.calls == calls + 8


def test_a_slow_upstream_takes_no_other_endpoint_along(near, broken, upstream):
    version, _ = serving.register(near, "quick")
    serving.deploy(near, f"models:/quick/{version}", "quick", {})
    deploy_broken(near, broken, "slow", {"runtime": {"timeout_ms": 1500, "max_concurrent": 2, "max_waiting": 6}},
                  args=("--timeout", "10s"))
    broken.delay = 1
    results = []

    def ask():
        results.append(infer(near, "slow", [[1, 2]])[0])

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    slowest = 0
    for _ in range(50):
        begin = time.monotonic()
        assert infer(near, "quick", [[100, 15, 37]])[0] == 200
        slowest = max(slowest, time.monotonic() - begin)
    # also what is answered by the pool that computes
    assert infer(near, "quick", [[100, 15, 37]] * 20000)[0] == 200
    for thread in threads:
        thread.join()
    assert slowest < 0.5
    assert set(results) == {200, 503, 504} and results.count(503) >= 30  # bound, and deadline


def test_joined_requests(near, broken):
    deploy_broken(near, broken, "joined", {"batching": {"max_rows": 64, "max_delay_us": 20000},
                                           "runtime": {"max_concurrent": 2}})
    broken.mode = "refuses large"
    broken.calls, broken.rows = 0, []
    wrong, statuses = [], []

    def ask(number):
        for i in range(12):
            n = 1 + (number + i) % 5
            large = number == 3 and i % 4 == 0
            rows = [[number + (5000 if large else 0), 1000 * i + k] for k in range(n)]
            body = {**v2(rows), "id": f"{number}-{i}", "outputs": [{"name": "prediction"}]}
            status, answer, _ = request(near, "POST", "/v2/models/joined/infer", body)
            statuses.append(status)
            if large:
                if status != 400 or "too large" not in answer["error"]:
                    wrong.append((rows, status, answer))
            elif status != 200 or serving.outputs(answer) != {"prediction": [a + 10 * b for a, b in rows]} or \
                    answer["id"] != f"{number}-{i}":
                wrong.append((rows, status, answer))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]
    assert statuses.count(400) == 3 and statuses.count(200) == 24 * 12 - 3
    assert broken.calls < 24 * 12 / 2 and max(broken.rows) > 5 and max(broken.rows) <= 64


def test_what_is_refused_at_registration(near, broken, upstream):
    for url, text, code in [("ftp://x", "not the URL", 3), ("http://user:pw@127.0.0.1:1", "--token-env", 3),
                            ("http://127.0.0.1:1/?x=1", "not the URL", 3), ("http://169.254.169.254", "nobody answers", 21)]:
        assert text in register(near, "bad", url, code=code)
    assert "GYRE_TOKEN_" in register(near, "bad", upstream.url, "--token-env", "HOME", code=3)
    assert "Model 'nobody' not found" in register(near, "bad", upstream.url, model="nobody", code=23)
    assert "no output 'z'" in register(near, "bad", broken.url, "--answer", "z", model="m", code=3)
    assert "--timeout" in register(near, "bad", broken.url, "--timeout", "soon", model="m", code=2)


def test_a_server_starts_while_the_upstream_is_down(tmp_path_factory, broken):
    server = start(tmp_path_factory, "alone")
    try:
        deploy_broken(server, broken, "later", args=("--timeout", "1s"))
        broken.shutdown()
        broken.server_close()
        server.stop()
        server.start()
        status, answer, _ = infer(server, "later", [[1, 2]])
        assert status == 503 and "nobody answers" in answer["error"]
    finally:
        server.stop()
