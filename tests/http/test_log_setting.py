# SPDX-License-Identifier: Apache-2.0
"""The setting `log` of an endpoint: sampling, hashed columns, columns that are left out, bodies; and what knows of it."""

import json

import serving
import support
from serving import API, must, request


def project(**log):
    return {**serving.PROJECT, "log": log}


def served(new_server, **log):
    server = new_server()
    version, _ = serving.register(server)
    serving.deploy(server, f"models:/sepsis/{version}", project=project(**log))
    return server


def predict(server, n, **headers):
    ids = []
    for i in range(n):
        status, _, got = request(server, "POST", "/predictions", {"hr": 60 + i % 60, "resp": 15, "temp": 37.0}, headers=headers)
        assert status == 200
        ids.append(got["Gyre-Prediction-Id"])
    must(server, "POST", f"{API}/log/flush", {})
    return ids


def trace(server, prediction):
    return request(server, "GET", f"{API}/trace/{prediction}")[:2]


def test_settings_that_are_refused(new_server):
    server = new_server()
    serving.register(server)
    table = [({"sample": 0}, "share above 0"), ({"sample": 1.5}, "share above 0"), ({"sample": "all"}, "share above 0"),
             ({"hash": "HR"}, "must be a list"), ({"hash": ["Lactate"]}, "neither an input"), ({"retention": "90d"}, "unknown key 'retention'"),
             ({"body": "yes"}, "true or false"), ({"smaple": 0.1}, "unknown key 'smaple'"),
             ({"hash": ["HR"], "leave_out": ["HR"]}, "to be hashed and to be left out"),
             ({"hash": ["HR"], "body": True}, "keeps what")]
    for log, words in table:
        status, answer, _ = request(server, "POST", f"{API}/endpoints/sepsis/deploy",
                                    {"model": "models:/sepsis/1", "project": project(**log), "columns": ["WBC"]})
        assert status == 400 and words in answer["detail"], (log, answer)
    status, answer, _ = request(server, "POST", f"{API}/endpoints/sepsis/deploy",
                                {"model": "models:/sepsis/1", "project": {"log": [1]}})
    assert status == 400 and "must be an object" in answer["detail"]


def test_a_sample_is_logged_and_counted(new_server):
    server = served(new_server, sample=0.25)
    ids = predict(server, 400)
    found = [one for one in ids if trace(server, one)[0] == 200]
    assert 60 < len(found) < 140
    assert trace(server, found[0])[1]["sample_rate"] == 0.25
    text = request(server, "GET", "/metrics")[1].decode()
    assert f'\ngyre_log_sampled_out_total{{endpoint="sepsis",version="1"}} {400 - len(found)}\n' in text
    missed = next(one for one in ids if one not in found)
    status, answer = trace(server, missed)
    assert status == 404 and "sample" in answer["hint"]


def test_metrics_are_weighted_by_the_rate(new_server):
    """Half of the log is of a revision that keeps everything, half of one that keeps a quarter: each row of it stands for four."""
    server = served(new_server, sample=1.0)
    everything = predict(server, 100)
    serving.deploy(server, "models:/sepsis/1", project=project(sample=0.25))
    sampled = [one for one in predict(server, 400) if trace(server, one)[0] == 200]
    rows = [(one, 0) for one in everything] + [(one, 1) for one in sampled]
    for one, truth in rows:  # of the first revision all are 0, of the second all are 1
        answer = must(server, "POST", f"{API}/feedback", {"prediction_id": one, "label": truth})
        assert answer
    report = must(server, "GET", f"{API}/endpoints/sepsis/performance")
    combined = report["by"]["combined"]
    said_1 = sum(1 for i in range(100) if 60 + i % 60 > 90)
    all_rows = 100 + 4 * len(sampled)
    assert report["labelled"] == len(rows)
    assert abs(combined["tp"] + combined["fp"] + combined["tn"] + combined["fn"] - all_rows) < 1e-6
    assert abs(combined["tp"] + combined["fn"] - 4 * len(sampled)) < 1e-6
    assert combined["effective"] < len(rows)
    assert said_1 > 0 and abs(combined["tn"] + combined["fp"] - 100) < 1e-6


def test_hashed_and_left_out_columns(new_server):
    server = served(new_server, hash=["HR"], leave_out=["Resp"])
    first, second = predict(server, 2)
    again = predict(server, 1)[0]
    one, other, same = (trace(server, p)[1] for p in (first, second, again))
    assert one["inputs"]["HR"].startswith("hash:") and one["inputs"]["HR"] != other["inputs"]["HR"]
    assert one["inputs"]["HR"] == same["inputs"]["HR"]
    assert "Resp" not in one["inputs"] and one["left_out"] == ["Resp"] and one["inputs"]["Temp"] == 37
    serving.register(server, files=serving.package(intercept=-11.0))
    for verb in (["replay", first], ["backtest", "--since", "1d"]):
        done = support.run_gyre(*verb, "--model", "2", "--home", server.home, "--json", cwd=server.home.parent)
        if verb[0] == "replay":
            assert done.returncode != 0 and "hashed in the log" in done.stderr, done.stderr
        else:
            assert "hashed in the log" in done.stdout + done.stderr
    # The key is the home's: after a restart equal values are equal still.
    server.stop()
    server.start()
    assert trace(server, predict(server, 1)[0])[1]["inputs"]["HR"] == one["inputs"]["HR"]


def test_the_body_is_kept(new_server):
    server = served(new_server, body=True)
    status, _, got = request(server, "POST", "/predictions", '{"hr": 70, "resp": 15, "temp": 37, "note": "é"}'.encode(),
                             headers={"Content-Type": "application/json"})
    assert status == 200
    answer = trace(server, got["Gyre-Prediction-Id"])[1]
    assert answer["body"] == '{"hr": 70, "resp": 15, "temp": 37, "note": "é"}' and answer["body_type"] == "application/json"
    many = serving.v2([[60 + i % 60, 15, 37] for i in range(20000)])
    status, _, got = request(server, "POST", "/v2/models/sepsis/infer", many)
    assert status == 200
    answer = trace(server, got["Gyre-Prediction-Id"])[1]
    assert answer["body"] is None and answer["body_bytes"] > 65536 and answer["rows"] == 20000


def test_a_person_is_erased_from_hashed_columns_and_bodies(new_server):
    server = served(new_server, hash=["HR"])
    serving.register(server, name="plain")
    serving.deploy(server, "models:/plain/1", name="plain", project={"log": {"body": True}})
    (mine,) = [request(server, "POST", "/predictions", {"hr": 71, "resp": 15, "temp": 37})[2]["Gyre-Prediction-Id"]]
    (other,) = [request(server, "POST", "/predictions", {"hr": 72, "resp": 15, "temp": 37})[2]["Gyre-Prediction-Id"]]
    two = serving.v2([[71, 15, 37], [72, 15, 37]])
    both = request(server, "POST", "/v2/models/plain/infer", two)[2]["Gyre-Prediction-Id"]
    folder = server.home.parent
    (folder / "raw").mkdir()
    (folder / "schema.yaml").write_text("columns:\n  - {name: HR, type: int, required: true, role: subject}\n")
    (folder / "raw" / "a.csv").write_text("HR\n71\n72\n")
    for words in (["data", "ingest", "--data-loc", "raw", "--file-name", "a.csv", "--output-path", "data", "--dlq", "dlq.log", "--name", "a"],
                  ["subject", "find", "71", "--home-only", "--json"],
                  ["subject", "erase", "71", "--reason", "request", "--yes", "--path", "raw", "--path", "data"]):
        done = support.run_gyre(*words, "--home", server.home, cwd=folder)
        assert done.returncode == 0, done.stderr
        if "find" in words:  # the hashed one, and a row of two
            assert [f["n"] for f in json.loads(done.stdout)["findings"] if f["kind"] == "predictions"] == [2]
    assert "erased" in trace(server, mine)[1] and "erased" not in trace(server, other)[1]
    answer = trace(server, both)[1]
    assert answer["predictions"][0] == {"erased": True} and answer["predictions"][1]["inputs"]["HR"] == 72
    assert "body" not in answer
