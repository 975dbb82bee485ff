# SPDX-License-Identifier: Apache-2.0
"""Searches and histories over HTTP, on SQLite and on a real PostgreSQL: pages put together are the whole in the right order,
tokens of another query are refused, histories come whole, paged, in bulk and sampled."""

import json
import math
import urllib.error
import urllib.parse
import urllib.request

import pytest
import support

M = "/api/2.0/mlflow"
N = 90


def call(url, path, body=None, query=()):
    if query:
        path += "?" + urllib.parse.urlencode(query)
    request = urllib.request.Request(url + path, data=None if body is None else json.dumps(body).encode(),
                                     headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())


def ok(url, path, body=None, query=()):
    status, answer = call(url, path, body, query)
    assert status == 200, answer
    return answer


def fill(url):
    """Runs as (start, id, metric, param, tag), absent ones None."""
    out = []
    for i in range(N):
        run = ok(url, M + "/runs/create", {"experiment_id": "0", "start_time": 1000 + i * 7 % 13, "run_name": f"run {i}"})["run"]["info"]
        metric = None if i % 5 == 0 else math.nan if i % 7 == 0 else (i * 37 % 11) / 4
        param = None if i % 4 == 0 else f"value {'x' * 70 if i % 3 else ''}{i * 5 % 9}"
        tag = None if i % 3 == 0 else ["Blue", "blue", "Ärger", "zoo", ""][i % 5]
        ok(url, M + "/runs/log-batch", {
            "run_id": run["run_id"], "metrics": [] if metric is None else [{"key": "m", "value": "NaN" if math.isnan(metric) else metric, "timestamp": 1}],
            "params": [] if param is None else [{"key": "p", "value": param}], "tags": [] if tag is None else [{"key": "t", "value": tag}]})
        out.append((run["start_time"], run["run_id"], metric, param, tag))
    return out


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(request, tmp_path_factory):
    args = []
    if request.param == "postgresql":
        args = ["--store", request.getfixturevalue("postgres").url()]
    server = support.Server(tmp_path_factory.mktemp(request.param) / "home", args).start()
    yield server.url, fill(server.url)
    server.stop()


def pages(url, size, order, text="", **more):
    found, token = [], ""
    while True:
        answer = ok(url, M + "/runs/search", {"experiment_ids": ["0"], "filter": text, "order_by": order, "max_results": size, "page_token": token, **more})
        found += [r["info"]["run_id"] for r in answer.get("runs", [])]
        token = answer.get("next_page_token")
        if not token:
            return found


def expected(runs, field=None, descending=False):
    """The order that MLflow documents: values, NaN, absent; then the younger first, then by id."""
    runs = sorted(runs, key=lambda r: (-r[0], r[1]))
    if field is None:
        return [r[1] for r in runs]
    value = lambda r: r[field]  # noqa: E731
    nan = [r for r in runs if isinstance(value(r), float) and math.isnan(value(r))]
    absent = [r for r in runs if value(r) is None]
    there = [r for r in runs if r not in nan and r not in absent]
    key = (lambda r: value(r).encode()) if field > 2 else value
    return [r[1] for r in sorted(there, key=key, reverse=descending) + nan + absent] if not descending else \
        [r[1] for r in sorted(there[::-1], key=key)[::-1] + nan + absent]


@pytest.mark.parametrize("size", [7, 1000])
@pytest.mark.parametrize("order,field,descending", [([], None, False), (["metrics.m"], 2, False), (["metrics.m DESC"], 2, True), (["params.p"], 3, False),
                                                    (["params.p DESC"], 3, True), (["tags.t"], 4, False), (["tags.t DESC"], 4, True)])
def test_pages_are_the_whole_in_order(world, order, field, descending, size):
    url, runs = world
    assert pages(url, size, order) == expected(runs, field, descending)


@pytest.mark.parametrize("text,keep", [
    ("metrics.m > 1", lambda r: r[2] is not None and r[2] > 1), ("metrics.m != 1", lambda r: r[2] is not None and r[2] != 1),
    ("tags.t = 'blue'", lambda r: r[4] == "blue"), ("tags.t ILIKE 'bl%'", lambda r: (r[4] or "").lower().startswith("bl")),
    ("tags.t LIKE 'bl%'", lambda r: (r[4] or "").startswith("bl")), ("params.p IS NULL", lambda r: r[3] is None),
    ("params.p LIKE 'value xx%5'", lambda r: (r[3] or "").startswith("value xx") and r[3].endswith("5")),
    ("start_time >= 1006 AND tags.t != 'zoo'", lambda r: r[0] >= 1006 and r[4] not in (None, "zoo")),
    ("attributes.run_name = 'run 5'", None), ("attributes.status = 'FINISHED'", lambda r: False)])
def test_filters(world, text, keep):
    url, runs = world
    want = expected([r for r in runs if keep(r)], 2) if keep else [runs[5][1]]
    assert pages(url, 5, ["metrics.m"], text) == want


def test_tokens_belong_to_their_query(world):
    url, _ = world
    query = {"experiment_ids": ["0"], "order_by": ["metrics.m"], "max_results": 3}
    token = ok(url, M + "/runs/search", query)["next_page_token"]
    assert ok(url, M + "/runs/search", {**query, "max_results": 4, "page_token": token})["runs"]
    for other in ({"order_by": ["metrics.m DESC"]}, {"filter": "metrics.m > 0"}, {"run_view_type": "ALL"}, {"page_token": "garbage"},
                  {"page_token": "eyJvZmZzZXQiOiAzfQ=="}, {"page_token": token[:-8]}):
        status, answer = call(url, M + "/runs/search", {**query, "page_token": token, **other})
        assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), other


def test_experiments_models_and_versions_in_pages(world):
    url, _ = world
    for i in range(9):
        name = f"{'ab'[i % 2]}{i}"
        ok(url, M + "/experiments/create", {"name": name})
        ok(url, M + "/registered-models/create", {"name": name})
        ok(url, M + "/model-versions/create", {"name": "a0", "source": f"s3://x/{i}"})

    def walk(path, key, query, post):
        found, token = [], ""
        while True:
            body = {**query, "max_results": 2, "page_token": token}
            answer = ok(url, M + path, body) if post else ok(url, M + path, query=[(k, v) for k, v in body.items() if v])
            found += [x["name"] + x.get("version", "") for x in answer.get(key, [])]
            token = answer.get("next_page_token")
            if not token:
                return found

    names = sorted([f"{'ab'[i % 2]}{i}" for i in range(9)])
    assert walk("/experiments/search", "experiments", {"order_by": ["name ASC"], "filter": "name != 'Default'"}, True) == names
    assert walk("/experiments/search", "experiments", {}, True)[-1] == "Default"
    assert walk("/registered-models/search", "registered_models", {"order_by": "name DESC"}, False) == names[::-1]
    assert walk("/model-versions/search", "model_versions", {"order_by": "version_number ASC"}, False) == [f"a0{v}" for v in range(1, 10)]
    assert walk("/model-versions/search", "model_versions", {}, False) == [f"a0{v}" for v in range(9, 0, -1)]


# ---- histories ----

@pytest.fixture(scope="module")
def history(world):
    url, runs = world
    ids = [runs[0][1], runs[1][1]]
    for n, run_id in enumerate(ids):
        for at in range(0, 45000, 1000):
            ok(url, M + "/runs/log-batch", {"run_id": run_id, "metrics": [
                {"key": "h", "value": i * 0.5, "timestamp": 10 + i, "step": i * (n + 1)} for i in range(at, at + 1000)]})
    return url, ids


def test_all_of_a_history(history):
    """Without max_results: all points, more than are read at once."""
    url, ids = history
    points = ok(url, M + "/metrics/get-history", query=[("run_id", ids[0]), ("metric_key", "h")])
    assert "next_page_token" not in points
    assert [p["step"] for p in points["metrics"]] == list(range(45000))
    assert points["metrics"][7] == {"key": "h", "value": 3.5, "timestamp": 17, "step": 7}
    assert ok(url, M + "/metrics/get-history", query=[("run_id", ids[0]), ("metric_key", "none")]) == {}


def test_a_history_in_pages(history):
    url, ids = history
    steps, token = [], ""
    while True:
        answer = ok(url, M + "/metrics/get-history", query=[("run_id", ids[0]), ("metric_key", "h"), ("max_results", 20001), ("page_token", token)])
        steps += [p["step"] for p in answer["metrics"]]
        token = answer.get("next_page_token", "")
        if not token:
            break
    assert steps == list(range(45000))
    status, answer = call(url, M + "/metrics/get-history", query=[("run_id", ids[0]), ("metric_key", "h"), ("max_results", 5), ("page_token", "x")])
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_bulk(history):
    url, ids = history
    answer = ok(url, "/ajax-api/2.0/mlflow/metrics/get-history-bulk", query=[("run_id", i) for i in ids] + [("metric_key", "h"), ("max_results", 99999)])
    points = answer["metrics"]
    assert len(points) == 25000 and {p["run_id"] for p in points} == {min(ids)}
    for query, words in (([("metric_key", "h")], "must specify at least one run_id"), ([("run_id", "r")] * 101 + [("metric_key", "h")],
                         "cannot specify more than 100 run_ids"), ([("run_id", ids[0])], "must specify a metric_key")):
        status, refused = call(url, "/ajax-api/2.0/mlflow/metrics/get-history-bulk", query=query)
        assert status == 400 and words in refused["message"]


def test_bulk_writes_bare_nan(history):
    url, ids = history
    ok(url, M + "/runs/log-metric", {"run_id": ids[0], "key": "nan", "value": "NaN", "timestamp": 1})
    with urllib.request.urlopen(f"{url}/ajax-api/2.0/mlflow/metrics/get-history-bulk?run_id={ids[0]}&metric_key=nan") as answer:
        assert b'"value":NaN,' in answer.read()
    assert ok(url, M + "/metrics/get-history", query=[("run_id", ids[0]), ("metric_key", "nan")])["metrics"][0]["value"] == "NaN"


def test_samples(history):
    url, ids = history
    path = "/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval"
    both = [("run_ids", i) for i in ids] + [("metric_key", "h")]
    points = ok(url, path, query=both + [("max_results", 320)])["metrics"]
    union = sorted(set(range(45000)) | set(range(0, 90000, 2)))
    want = sorted({union[int(i * (len(union) / 320))] for i in range(320)} | {union[-1], 0, 44999, 89998})
    assert [p["step"] for p in points if p["run_id"] == ids[0]] == [s for s in want if s < 45000]
    assert [p["step"] for p in points if p["run_id"] == ids[1]] == [s for s in want if s % 2 == 0]
    one = ok(url, path, query=[("run_ids", ids[0]), ("metric_key", "h"), ("start_step", 100), ("end_step", 199), ("max_results", 10)])["metrics"]
    assert [p["step"] for p in one] == [*range(100, 200, 10), 199]
    for query, words in ((both + [("start_step", 5)], "both must be specified"), (both + [("max_results", 2501)], "must be between 1 and 2500"),
                         (both + [("start_step", 9), ("end_step", 3)], "end_step must be greater than start_step"),
                         ([("metric_key", "h")], "run_ids"), ([("run_ids", ids[0])], "metric_key")):
        status, refused = call(url, path, query=query)
        assert status == 400 and words in refused["message"], refused
