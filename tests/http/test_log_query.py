# SPDX-License-Identifier: Apache-2.0
"""Logged predictions by time and condition (gyre log list), as files (gyre log export), and at a sink (gyre log ship)."""

import csv
import http.server
import json
import signal
import subprocess
import threading
import time
import urllib.parse

import pytest

import serving
import support
from serving import API, must, request

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def filled(server):
    """60 single predictions with HR 60..119 of `sepsis`, then one request of 3 rows."""
    serving.serve(server)
    server.ids = []
    for i in range(60):
        status, _, headers = request(server, "POST", "/predictions", {"hr": 60 + i, "resp": 15, "temp": 37.0},
                                     headers={"X-Request-Id": f"visit-{i}"})
        assert status == 200
        server.ids.append(headers["Gyre-Prediction-Id"])
        time.sleep(0.002)  # what two loops answer in one millisecond has no order
    status, _, headers = request(server, "POST", "/v2/models/sepsis/infer", serving.v2([[70, 15, 37], [80, 15, 37], [200, 15, None]]))
    assert status in (200, 400), status
    if status == 400:
        status, _, headers = request(server, "POST", "/v2/models/sepsis/infer", serving.v2([[70, 15, 37], [80, None, 37], [200, 15, 37]]))
        assert status == 200
    server.three = headers["Gyre-Prediction-Id"]
    return server


def wait_until(is_so, what, seconds=20):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


def find(server, **query):
    return must(server, "GET", f"{API}/predictions?" + urllib.parse.urlencode(query))


def gyre(server, *args):
    return support.run_gyre(*args, "--home", server.home, cwd=server.home.parent)


def test_the_newest_come_first(filled):
    answer = find(filled, limit=5)
    rows = answer["predictions"]
    assert answer["truncated"] and [r["row"] for r in rows] == [2, 1, 0, 0, 0]
    assert [r["prediction_id"] for r in rows] == [filled.three] * 3 + [filled.ids[59], filled.ids[58]]
    assert rows[1]["inputs"]["Resp"] is None and rows[3]["inputs"] == {"HR": 119, "Resp": 15, "Temp": 37, "WBC": None}
    assert rows[3]["request_id"] == "visit-59" and rows[3]["endpoint"] == "sepsis" and rows[3]["revision"] == 1
    assert rows[3]["prediction"] == 1 and 0.9 < rows[3]["probability"] < 1 and rows[3]["rule"] is None


def test_conditions(filled):
    rows = find(filled, where="HR > 90 and HR <= 100", limit=100)["predictions"]
    assert sorted(r["inputs"]["HR"] for r in rows) == list(range(91, 101))
    assert {r["inputs"]["HR"] for r in find(filled, where="HR > 150")["predictions"]} == {200}  # one row of three
    ones = find(filled, where="prediction = 1", limit=1000)["predictions"]
    assert {r["prediction"] for r in ones} == {1} and len(ones) == sum(60 + i >= 90 for i in range(60)) + 1
    assert find(filled, where="probability < 0.001", limit=1000)["predictions"] == []
    (row,) = find(filled, request_id="visit-7")["predictions"]
    assert row["prediction_id"] == filled.ids[7]
    assert find(filled, endpoint="nothing")["predictions"] == []
    assert find(filled, version="2")["predictions"] == []
    first = find(filled, order="asc", limit=3)["predictions"]
    assert [r["prediction_id"] for r in first] == filled.ids[:3]
    middle = first[2]["time"]
    assert len(find(filled, since=middle, limit=1000)["predictions"]) == 61
    assert len(find(filled, until=middle, limit=1000)["predictions"]) == 2


@pytest.mark.parametrize("query, words", [({"where": "Lactate > 2"}, "Lactate"), ({"where": "HR >"}, "where"), ({"limit": "0"}, "limit"),
                                          ({"limit": "9999"}, "limit"), ({"order": "up"}, "order"), ({"since": "soon"}, "soon")])
def test_bad_questions(filled, query, words):
    status, answer, _ = request(filled, "GET", f"{API}/predictions?" + urllib.parse.urlencode(query))
    assert status == 400 and words in answer["detail"]


def test_reading_on_gives_each_once(filled):
    got, cursor, pages = [], None, 0
    while True:
        answer = must(filled, "POST", f"{API}/predictions/search", {"limit": 7, "cursor": cursor})
        got += [(r["prediction_id"], r["row"]) for r in answer["predictions"]]
        cursor, pages = answer["cursor"], pages + 1
        if not answer["more"]:
            break
    assert got == [(one, 0) for one in filled.ids] + [(filled.three, i) for i in range(3)] and pages == 9
    assert must(filled, "POST", f"{API}/predictions/search", {"cursor": cursor})["predictions"] == []
    for bad in ([1], {"x": 1}, "no"):
        assert request(filled, "POST", f"{API}/predictions/search", {"cursor": bad})[0] == 400


def read_on(server, **question):
    """Every page of a search."""
    pages, cursor = [], None
    while True:
        answer = must(server, "POST", f"{API}/predictions/search", {**question, "cursor": cursor})
        pages.append([(r["prediction_id"], r["row"]) for r in answer["predictions"]])
        cursor = answer["cursor"]
        if not answer["more"]:
            return pages


def test_a_page_is_bound_by_its_bytes_and_by_what_it_looks_at(filled):
    everything = [(one, 0) for one in filled.ids] + [(filled.three, i) for i in range(3)]
    pages = read_on(filled, limit=5000, max_bytes=1000)
    assert sum(pages, []) == everything and 10 < len(pages) and max(map(len, pages)) < 10
    pages = read_on(filled, limit=5000, max_scan_bytes=1000, where="HR = 119")
    assert sum(pages, []) == [(filled.ids[59], 0)] and len(pages) > 5  # most are empty, and the next one goes on behind them
    assert sum(read_on(filled, limit=5000, until_us=2**63 - 1), []) == everything  # the last time that there is
    for bad in ({"max_bytes": 0}, {"max_scan_bytes": -1}, {"max_bytes": 1 << 40}):
        assert request(filled, "POST", f"{API}/predictions/search", bad)[0] == 400


def test_a_condition_meets_pages_of_an_endpoint_without_its_inputs(new_server):
    server = new_server()
    serving.serve(server)
    other = {name: text.replace('"HR"', '"Speed"') for name, text in serving.package().items()}
    serving.register(server, name="fuel", files=other)
    serving.deploy(server, "models:/fuel/1", name="fuel", project={}, columns=())
    ids = [request(server, "POST", "/v2/models/sepsis/infer", serving.v2([[hr, 15, 37]]))[2]["Gyre-Prediction-Id"] for hr in (70, 80)]
    for i in range(5):
        assert request(server, "POST", "/v2/models/fuel/infer", serving.v2([[70 + i, 15, 37]]))[0] == 200
    must(server, "POST", f"{API}/log/flush", {})
    assert sum(read_on(server, limit=2, where="HR > 60"), []) == [(one, 0) for one in ids]
    first = must(server, "POST", f"{API}/predictions/search", {"limit": 2, "where": "HR > 60"})
    second = must(server, "POST", f"{API}/predictions/search", {"limit": 2, "where": "HR > 60", "cursor": first["cursor"]})
    assert first["where_right"] and not second["where_right"] and "HR" in second["where_problem"]
    sink = Sink()
    try:
        done = gyre(server, "log", "ship", "--to", sink.url, "--format", "jsonl", "--batch", "2", "--where", "HR > 60")
        assert done.returncode == 0, done.stderr
        assert [json.loads(line)["prediction_id"] for batch in sink.batches for line in batch.splitlines()] == ids
    finally:
        sink.close()
    done = gyre(server, "log", "export", "--where", "Lactate > 2")
    assert done.returncode != 0 and "Lactate" in done.stderr


def test_the_command(filled):
    done = gyre(filled, "log", "list", "--where", "HR > 115", "--since", "1h")
    assert done.returncode == 0 and done.stdout.count("\n") == 1 + 5 and filled.ids[59] in done.stdout
    rows = json.loads(gyre(filled, "log", "list", "--limit", "2", "--oldest-first", "--json").stdout)["predictions"]
    assert [r["prediction_id"] for r in rows] == filled.ids[:2]
    assert gyre(filled, "log", "list", "--where", "Lactate > 2").returncode != 0


def test_export(filled, tmp_path):
    done = gyre(filled, "log", "export", "--endpoint", "sepsis", "-o", tmp_path / "all.jsonl")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert [(r["prediction_id"], r["row"]) for r in rows] == [(one, 0) for one in filled.ids] + [(filled.three, i) for i in range(3)]
    assert gyre(filled, "log", "export", "--where", "HR = 60").stdout.count("\n") == 1
    done = gyre(filled, "log", "export", "--format", "csv", "-o", tmp_path / "all.csv")
    assert done.returncode == 0, done.stderr
    table = list(csv.DictReader((tmp_path / "all.csv").open()))
    assert len(table) == 63 and [float(r["inputs.HR"]) for r in table[:60]] == list(range(60, 120))
    done = gyre(filled, "log", "export", "--format", "parquet", "-o", tmp_path / "all.parquet")
    assert done.returncode == 0, done.stderr
    counted = support.run_json("data", "query", f"SELECT count(*) AS n, sum(\"inputs.HR\") AS hr FROM '{tmp_path}/all.parquet'", cwd=tmp_path)
    assert counted["rows"][0] in ([63, sum(range(60, 120)) + 350], {"n": 63, "hr": sum(range(60, 120)) + 350})
    assert sorted(p.name for p in tmp_path.glob("all.*")) == ["all.csv", "all.jsonl", "all.parquet"]
    assert gyre(filled, "log", "export", "--format", "csv").returncode == 2
    assert gyre(filled, "log", "export", "--format", "xml").returncode == 2
    assert gyre(filled, "log", "export", "--format", "csv", "--where", "HR > 999", "-o", tmp_path / "no.csv").returncode != 0


@pytest.mark.parametrize("style, prefix", [("kserve", "org.kubeflow.serving"), ("seldon", "io.seldon.serving")])
def test_cloudevents(filled, style, prefix):
    done = gyre(filled, "log", "export", "--format", "cloudevents", "--style", style, "--namespace", "icu", "--where", "HR >= 119")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [e["type"] for e in events] == [f"{prefix}.inference.request", f"{prefix}.inference.response"] * 2
    for e in events:
        assert e["specversion"] == "1.0" and e["source"] == "/gyre/endpoints/sepsis" and e["namespace"] == "icu"
        assert all(name.isalnum() and name == name.lower() for name in e if name not in ("data", "data_base64"))
    asked, answered = events[:2]
    assert asked["id"] == answered["id"] == filled.ids[59] and asked["requestid"] == "visit-59"
    tensors = {t["name"]: t for t in asked["data"]["inputs"]}
    assert tensors["HR"] == {"name": "HR", "shape": [1, 1], "datatype": "FP64", "data": [119]}
    outputs = {t["name"]: t["data"] for t in answered["data"]["outputs"]}
    assert outputs["prediction"] == [1] and answered["data"]["model_name"] == "sepsis"


class Sink:
    """An HTTP sink that refuses the first `broken` requests with 503."""

    def __init__(self, broken=0, status=503):
        sink = self
        self.broken, self.batches, self.heads = broken, [], []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if sink.broken:
                    sink.broken -= 1
                    self.send_response(status)
                else:
                    sink.batches.append(body)
                    sink.heads.append((self.path, dict(self.headers)))
                    self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/in?x=1"

    def events(self):
        return [e for batch in self.batches for e in json.loads(batch)]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def test_shipping_goes_on_where_it_stopped(new_server):
    server = new_server()
    serving.serve(server)
    ask = lambda n: [request(server, "POST", "/predictions", {"hr": 60 + i, "resp": 15, "temp": 37.0})[2]["Gyre-Prediction-Id"] for i in range(n)]
    sink = Sink(broken=2)
    try:
        ids = ask(25)
        ship = ("log", "ship", "--to", sink.url, "--batch", "10", "--header", "Authorization: Bearer x")
        done = gyre(server, *ship)
        assert done.returncode == 0, done.stderr
        assert sorted(e["id"] for e in sink.events()) == sorted(ids * 2) and len(sink.batches) == 3
        path, head = sink.heads[0]
        assert path == "/in?x=1" and head["Content-Type"].startswith("application/cloudevents-batch+json") and head["Authorization"] == "Bearer x"
        assert gyre(server, *ship).returncode == 0 and len(sink.batches) == 3  # nothing is sent twice
        server.kill()
        server.start()
        more = ask(5)
        assert gyre(server, *ship).returncode == 0
        assert sorted(e["id"] for e in sink.events()) == sorted((ids + more) * 2)
        # Another condition is another reader, with a place of its own.
        assert gyre(server, "log", "ship", "--to", sink.url, "--format", "jsonl", "--where", "HR = 60").returncode == 0
        assert [json.loads(line)["inputs"]["HR"] for line in sink.batches[-1].splitlines()] == [60, 60]
    finally:
        sink.close()


def test_a_sink_that_refuses_ends_it_and_following(new_server):
    server = new_server()
    serving.serve(server)
    sink = Sink(broken=1, status=403)
    try:
        request(server, "POST", "/predictions", {"hr": 60, "resp": 15, "temp": 37.0})
        done = gyre(server, "log", "ship", "--to", sink.url)
        assert done.returncode != 0 and sink.batches == []
        command = [str(support.BIN), "log", "ship", "--to", sink.url, "--follow", "--every", "1", "--home", str(server.home)]
        process = subprocess.Popen(command, cwd=server.home.parent, env=support.clean_env({}), stderr=subprocess.PIPE, text=True)
        wait_until(lambda: len(sink.batches) == 1, "the first batch")
        request(server, "POST", "/predictions", {"hr": 61, "resp": 15, "temp": 37.0})
        wait_until(lambda: len(sink.batches) == 2, "the second batch")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, process.stderr.read()
    finally:
        sink.close()
