# SPDX-License-Identifier: Apache-2.0
"""MLflow's wire over real HTTP: exact answers, the table of bad input, streams, races, and what a crash leaves."""

import concurrent.futures
import hashlib
import http.client
import json
import os
import re

import pytest

pytestmark = pytest.mark.tsan

M = "/api/2.0/mlflow"
A = "/api/2.0/mlflow-artifacts/artifacts"
JSON = {"Content-Type": "application/json"}


def raw(server, method, path, body=None, headers=None, timeout=60):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def call(server, method, path, body=None):
    data = json.dumps(body).encode() if body is not None else None
    status, text, _ = raw(server, method, path, data, JSON)
    return status, json.loads(text)


def ok(server, method, path, body=None):
    status, answer = call(server, method, path, body)
    assert status == 200, answer
    return answer


def make_run(server, **more):
    return ok(server, "POST", M + "/runs/create", {"experiment_id": "0", "start_time": 1, **more})["run"]["info"]["run_id"]


def test_exact_run(server):
    created = ok(server, "POST", M + "/runs/create", {"experiment_id": "0", "user_id": "u", "run_name": "n", "start_time": 5,
                                                      "tags": [{"key": "t", "value": "v"}]})["run"]
    run_id = created["info"]["run_id"]
    assert re.fullmatch("[0-9a-f]{32}", run_id)
    info = {"run_id": run_id, "run_uuid": run_id, "run_name": "n", "experiment_id": "0", "user_id": "u", "status": "RUNNING",
            "start_time": 5, "artifact_uri": f"mlflow-artifacts:/0/{run_id}/artifacts", "lifecycle_stage": "active"}
    tags = [{"key": "mlflow.runName", "value": "n"}, {"key": "t", "value": "v"}]
    assert created == {"info": info, "data": {"tags": tags}, "inputs": {}}
    assert ok(server, "POST", M + "/runs/log-metric", {"run_id": run_id, "key": "m", "value": 1, "timestamp": 7}) == {}
    assert ok(server, "POST", M + "/runs/log-parameter", {"run_id": run_id, "key": "p", "value": "x"}) == {}
    updated = ok(server, "POST", M + "/runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": 9})
    info.update(status="FINISHED", end_time=9)
    assert updated == {"run_info": info}
    assert ok(server, "GET", f"{M}/runs/get?run_id={run_id}") == {"run": {
        "info": info, "inputs": {}, "outputs": {}, "data": {"metrics": [{"key": "m", "value": 1.0, "timestamp": 7, "step": 0}],
                                             "params": [{"key": "p", "value": "x"}], "tags": tags}}}


def test_four_prefixes(server):
    for prefix in ("/api/2.0", "/api/3.0", "/ajax-api/2.0", "/ajax-api/3.0"):
        assert ok(server, "GET", prefix + "/mlflow/experiments/get?experiment_id=0")["experiment"]["name"] == "Default"
        assert ok(server, "GET", prefix + "/mlflow/server-info") == {"store_type": "SqlStore", "workspaces_enabled": True}
        assert raw(server, "GET", prefix + "/mlflow-artifacts/artifacts?path=none")[1] == b"{}"
    assert raw(server, "GET", "/health")[:2] == (200, b"OK")
    assert re.fullmatch(rb"3\.\d+\.\d+", raw(server, "GET", "/version")[1])


def test_what_is_not_there_is_404(server):
    """5xx and 429 make clients try again for minutes."""
    for method, path, body in [("POST", "/api/3.0/mlflow/traces", {}), ("GET", M + "/no/such", None),
                               ("POST", M + "/webhooks", {}), ("GET", "/api/2.0/mlflow/users/get", None),
                               ("GET", f"{M}/runs/get?run_id={'0' * 32}", None), ("GET", A + "/none", None),
                               ("GET", f"{M}/registered-models/get?name=none", None),
                               ("GET", f"{M}/logged-models/m-none", None)]:
        status, _, _ = raw(server, method, path, json.dumps(body) if body is not None else None, JSON)
        assert status == 404, path


BAD = [
    # path, body, status, code, part of the message
    ("/runs/log-metric", b"{broken", 400, "INVALID_PARAMETER_VALUE", "Missing value for required parameter"),
    ("/runs/log-metric", b"", 400, "INVALID_PARAMETER_VALUE", "Missing value for required parameter"),
    ("/runs/log-metric", b"null", 400, "INVALID_PARAMETER_VALUE", "Missing value for required parameter"),
    ("/runs/log-metric", b"[]", 400, "INVALID_PARAMETER_VALUE", "Missing value for required parameter"),
    ("/runs/log-metric", b"\xff\xfe{}", 400, "INVALID_PARAMETER_VALUE", "Missing value for required parameter"),
    ("/runs/log-metric", b'{"run_id": 31}', 400, "INVALID_PARAMETER_VALUE", "Invalid value 31 for parameter 'run_id'"),
    ("/runs/log-metric", b'{"run_id": {"a": [1]}}', 400, "INVALID_PARAMETER_VALUE", 'Invalid value {"a":[1]} for parameter'),
    ("/runs/log-batch", b'{"run_id": "a/b"}', 400, "INVALID_PARAMETER_VALUE", "Invalid value \"a/b\" for parameter 'run_id'"),
    ("/runs/log-metric", b'{"run_id": "r", "key": "k", "value": 1, "timestamp": 1e30}', 400, "INVALID_PARAMETER_VALUE",
     "for parameter 'timestamp' supplied"),
    ("/runs/log-metric", b'{"run_id": "r", "key": "k", "value": 1, "timestamp": 1.5}', 400, "INVALID_PARAMETER_VALUE",
     "for parameter 'timestamp' supplied"),
    ("/runs/log-metric", b'{"run_id": "r", "key": "k", "value": true, "timestamp": 1}', 400, "INVALID_PARAMETER_VALUE",
     "for parameter 'value' supplied"),
    ("/runs/log-metric", b'{"run_id": "r", "key": "a\\u0000b", "value": 1, "timestamp": 1}', 400, "INVALID_PARAMETER_VALUE",
     "Names may only contain"),
    ("/runs/log-metric", b'{"run_id": "r", "key": "' + b"k" * 251 + b'", "value": 1, "timestamp": 1}', 400,
     "INVALID_PARAMETER_VALUE", "exceeds the maximum length of 250 characters"),
    ("/runs/log-metric", b'{"run_id": "r", "key": "k", "value": 1, "timestamp": 1}', 404, "RESOURCE_DOES_NOT_EXIST",
     "Run with id=r not found"),
    ("/runs/log-batch", b'{"run_id": "r", "metrics": 5}', 400, "INVALID_PARAMETER_VALUE", "Invalid value 5 for parameter 'metrics'"),
    ("/runs/log-batch", b'{"run_id": "r", "metrics": [5]}', 400, "INVALID_PARAMETER_VALUE", "required parameter 'metrics[0].key'"),
    ("/runs/log-batch", b'{"run_id": "r", "tags": [5]}', 400, "INVALID_PARAMETER_VALUE", "Invalid value 5 for parameter 'tags[0]'"),
    ("/runs/search", b'{"experiment_ids": ["x"]}', 400, "INVALID_PARAMETER_VALUE", "Invalid experiment ID 'x'"),
    ("/runs/search", b'{"experiment_ids": ["0"], "filter": "params.x = \'open"}', 400, "INVALID_PARAMETER_VALUE", "Invalid clause"),
    ("/runs/search", b'{"experiment_ids": ["0"], "page_token": "!!"}', 400, "INVALID_PARAMETER_VALUE", "Invalid page token"),
    ("/runs/search", b'{"experiment_ids": ["0"], "max_results": -1}', 400, "INVALID_PARAMETER_VALUE", "'max_results' supplied"),
    ("/registered-models/create", b'{"name": "a:b"}', 400, "INVALID_PARAMETER_VALUE", "cannot contain '/' or ':'"),
]


@pytest.mark.parametrize("path, body, status, code, message", BAD)
def test_bad_input(server, path, body, status, code, message):
    got, text, headers = raw(server, "POST", M + path, body, JSON)
    answer = json.loads(text)
    assert (got, answer["error_code"]) == (status, code)
    assert message in answer["message"]
    assert headers["Content-Type"].startswith("application/json")


def test_deep_and_large_bodies(server):
    before = server.rss_kb()
    for body in (b"[" * (100 << 20), b'{"a":' * (1 << 20), b'{"name": "' + b"x" * (100 << 20)):
        try:
            status, _, _ = raw(server, "POST", M + "/experiments/create", body, JSON)
            assert status in (400, 413)
        except (ConnectionError, http.client.HTTPException):
            pass  # refused in the middle of the sending
        assert raw(server, "GET", "/health")[:2] == (200, b"OK")
    assert server.rss_kb() - before < 64 << 10  # a sanitizer's allocator holds back what was freed


def test_large_artifacts_are_streamed(server):
    block = os.urandom(1 << 20)
    total = 96
    before = server.rss_kb()

    def chunks():
        for _ in range(total):
            yield block

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("PUT", A + "/0/big/blob.bin", body=chunks(), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"{}")
    connection.request("GET", A + "/0/big/blob.bin")
    answer = connection.getresponse()
    assert answer.status == 200 and int(answer.headers["Content-Length"]) == total << 20
    got = hashlib.sha256()
    while data := answer.read(1 << 16):
        got.update(data)
    connection.close()
    assert got.digest() == hashlib.sha256(block * total).digest()
    assert server.rss_kb() - before < 64 << 10  # less than the file


def test_an_upload_that_breaks_off_leaves_nothing(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest("PUT", A + "/0/broken/file")
    connection.putheader("Content-Length", "1000000")
    connection.endheaders()
    connection.send(b"x" * 1000)
    connection.sock.close()
    connection.close()
    assert raw(server, "GET", A + "/0/broken/file")[0] == 404
    assert raw(server, "GET", A + "?path=0/broken")[1] == b"{}"


def test_versions_do_not_collide(server):
    ok(server, "POST", M + "/registered-models/create", {"name": "race"})

    def create(_):
        return int(ok(server, "POST", M + "/model-versions/create",
                      {"name": "race", "source": "s3://bucket/x"})["model_version"]["version"])

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        numbers = sorted(pool.map(create, range(64)))
    assert numbers == list(range(1, 65))


def test_parallel_batches_to_one_run(server):
    run_id = make_run(server)

    def log(worker):
        for step in range(0, 100, 10):
            ok(server, "POST", M + "/runs/log-batch", {"run_id": run_id, "metrics": [
                {"key": f"m{worker % 4}", "value": s + worker / 100, "timestamp": s, "step": s} for s in range(step, step + 10)]})

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(log, range(8)))
    for key in range(4):
        history = ok(server, "GET", f"{M}/metrics/get-history?run_id={run_id}&metric_key=m{key}")["metrics"]
        assert len(history) == 200
        assert history == sorted(history, key=lambda m: (m["timestamp"], m["step"], m["value"]))
    latest = {m["key"]: m["value"] for m in ok(server, "GET", f"{M}/runs/get?run_id={run_id}")["run"]["data"]["metrics"]}
    assert latest == {f"m{k}": 99 + (k + 4) / 100 for k in range(4)}


def test_head_answers_like_get(server):
    raw(server, "PUT", A + "/0/head/a.txt", b"alpha")
    status, body, headers = raw(server, "HEAD", A + "/0/head/a.txt")
    assert (status, body, headers["Content-Length"]) == (200, b"", "5")
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_what_was_acknowledged_survives_a_crash(new_server):
    server = new_server()
    run_id = make_run(server)
    for i in range(50):
        ok(server, "POST", M + "/runs/log-metric", {"run_id": run_id, "key": "m", "value": i, "timestamp": i, "step": i})
    raw(server, "PUT", f"{A}/0/{run_id}/artifacts/a.bin", b"bytes")
    ok(server, "POST", M + "/registered-models/create", {"name": "m"})
    ok(server, "POST", M + "/model-versions/create", {"name": "m", "source": f"mlflow-artifacts:/0/{run_id}/artifacts"})
    ok(server, "POST", M + "/registered-models/alias", {"name": "m", "alias": "champion", "version": "1"})
    server.kill()
    server.start()
    history = ok(server, "GET", f"{M}/metrics/get-history?run_id={run_id}&metric_key=m")["metrics"]
    assert [m["step"] for m in history] == list(range(50))
    assert raw(server, "GET", f"{A}/0/{run_id}/artifacts/a.bin")[1] == b"bytes"
    version = ok(server, "GET", M + "/registered-models/alias?name=m&alias=champion")["model_version"]
    assert version["version"] == "1" and version["aliases"] == ["champion"]
