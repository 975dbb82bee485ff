# SPDX-License-Identifier: Apache-2.0
"""Labels for predictions over HTTP: before, after, twice, by either id, in both protocols; counts by rule, model and both;
what was acknowledged survives a stop and a kill."""

import itertools
import json
import re
import time
import uuid

import serving

API = serving.API
ILL = {"HR": 120, "Resp": 30, "Temp": 39.5}       # the rule says septic
MODEL_ILL = {"HR": 120, "Resp": 15, "Temp": 37}   # only the model does
WELL = {"HR": 70, "Resp": 15, "Temp": 37}
WAIT_S = 30


def predict(server, row, request_id=None):
    headers = {"X-Request-Id": request_id} if request_id else {}
    body = {k.lower(): v for k, v in row.items()}
    status, answer, headers = serving.request(server, "POST", "/predictions", body, headers)
    assert status == 200, answer
    return headers["Gyre-Prediction-Id"], answer


def send(server, body, path=f"{API}/feedback", headers=None):
    status, answer, _ = serving.request(server, "POST", path, body, headers)
    return status, answer


def performance(server, query="", name="sepsis"):
    return serving.must(server, "GET", f"{API}/endpoints/{name}/performance{query}")


def until(server, ok, query=""):
    """The performance once it says what is expected: a watcher may be a little behind."""
    end = time.monotonic() + WAIT_S
    while True:
        got = performance(server, query)
        if ok(got) or time.monotonic() > end:
            assert ok(got), json.dumps(got, indent=1)
            return got
        time.sleep(0.05)


def cells(way):
    return [way["tp"], way["fp"], way["tn"], way["fn"]] if way else None


def counts(got):
    """All that must not depend on order, restart or repetition."""
    return {k: got[k] for k in ("predictions", "labelled", "by", "orphans", "conflicts", "duplicates", "repeated", "versions")}


def test_three_ways_and_windows(new_server):
    server = new_server()
    serving.serve(server)
    for row, label, times in ((ILL, 1, 3), (ILL, 0, 1), (MODEL_ILL, 1, 2), (MODEL_ILL, 0, 1), (WELL, 0, 4), (WELL, 1, 1)):
        for _ in range(times):
            prediction, _ = predict(server, row)
            status, answer = send(server, {"prediction_id": prediction, "label": label})
            assert status in (200, 202) and answer["accepted"] == 1 and answer["new"] == 1
    predict(server, WELL)
    got = until(server, lambda g: g["labelled"] == 12 and g["predictions"] == 13)
    assert cells(got["by"]["combined"]) == [5, 2, 4, 1]
    assert cells(got["by"]["rule"]) == [3, 1, 5, 3]
    assert got["by"]["shadow"] is None
    assert got["task"] == "binary" and got["positive"] == "1" and got["has_rules"]
    assert got["coverage"] == 12 / 13
    recall = got["by"]["combined"]["recall"]
    assert recall["value"] == 5 / 6 and 0 < recall["low"] < recall["value"] < recall["high"] < 1
    assert set(got["label_delay_seconds"]) == {"p50", "p90", "p99", "max"}
    assert [v["version"] for v in got["versions"]] == ["1"]
    assert got["versions"][0]["by"] == got["by"]
    assert sum(w["labelled"] for w in got["windows"]["list"]) == 12
    assert performance(server, "?last=3")["labelled"] == 3
    assert performance(server, "?since=2001-01-01T00:00:00Z&until=2002-01-01T00:00:00Z")["predictions"] == 0
    assert performance(server, "?version=9")["predictions"] == 0
    for query, status in (("?since=soon", 400), ("?last=0", 400), ("?revision=x", 400), ("?window=1y", 400)):
        assert serving.request(server, "GET", f"{API}/endpoints/sepsis/performance{query}")[0] == status
    assert serving.request(server, "GET", f"{API}/endpoints/nothing/performance")[0] == 404


def test_metrics(new_server):
    server = new_server()
    serving.serve(server)
    for row, label in ((ILL, 1), (WELL, 0), (WELL, 1)):
        send(server, {"prediction_id": predict(server, row)[0], "label": label})
    until(server, lambda g: g["labelled"] == 3)
    text = serving.request(server, "GET", "/metrics")[1].decode()
    for line in ('gyre_feedback_total{endpoint="sepsis",version="1"} 3',
                 'gyre_labelled_ratio{endpoint="sepsis",version="1"} 1',
                 'gyre_confusion{endpoint="sepsis",version="1",by="combined",kind="fn"} 1',
                 'gyre_recall{endpoint="sepsis",version="1",by="rule"} 0.5',
                 'true_pos_total{endpoint="sepsis",version="1"} 1',
                 'precision{endpoint="sepsis",version="1"} 1',
                 "gyre_feedback_orphans 0"):
        assert line in text.splitlines(), line
    families = re.findall(r"^# TYPE (\S+)", text, re.M)
    assert len(families) == len(set(families))


def test_any_order_gives_the_same(new_server):
    """Before, after, twice, against each other, by either id: one answer."""
    seen = []
    for order in itertools.permutations(range(3)):
        server = new_server()
        serving.serve(server)
        ids = [predict(server, row, f"order-{i}")[0] for i, row in enumerate((ILL, WELL, WELL))]
        pieces = [{"prediction_id": ids[0], "label": "1", "given": "2026-01-01T00:00:00Z"},
                  {"request_id": "order-0", "label": "0", "given": "2026-01-02T00:00:00Z"},
                  {"request_id": "order-1", "label": 0, "given": "2026-01-01T00:00:00Z", "source": "simulated"}]
        for i in order + order[:2]:
            status, answer = send(server, pieces[i])
            assert status in (200, 202), answer
        send(server, {"prediction_id": str(uuid.UUID(int=7 << 76)), "label": 1})
        got = until(server, lambda g: g["labelled"] == 2)
        del got["by"]["model"]  # which rule hits are scored too is drawn by the id
        seen.append({k: got[k] for k in ("predictions", "labelled", "by", "orphans", "conflicts", "duplicates")})
        server.stop()
    assert all(s == seen[0] for s in seen), seen
    assert cells(seen[0]["by"]["combined"]) == [0, 1, 1, 0]
    assert (seen[0]["conflicts"], seen[0]["orphans"]) == (1, 1)


def test_before_the_prediction(new_server):
    server = new_server()
    serving.serve(server)
    status, answer = send(server, {"request_id": "later", "label": 1})
    assert (status, answer["joined"]) == (202, False)
    assert performance(server)["orphans"] == 1
    predict(server, WELL, "later")
    got = until(server, lambda g: g["labelled"] == 1)
    assert cells(got["by"]["combined"]) == [0, 0, 0, 1] and got["orphans"] == 0
    predict(server, ILL, "later")  # the id again: the newer one is meant, and that is told
    got = until(server, lambda g: g["predictions"] == 2)
    assert cells(got["by"]["combined"]) == [1, 0, 0, 0] and got["repeated"] == 1


def test_lists_and_lines(new_server):
    server = new_server()
    serving.serve(server)
    ids = [predict(server, WELL)[0] for _ in range(5)]
    until(server, lambda g: g["predictions"] == 5)
    status, answer = send(server, {"feedback": [{"prediction_id": i, "label": 0} for i in ids] + [{"label": 1}, 7]})
    assert status == 200
    assert {k: answer[k] for k in ("read", "accepted", "rejected", "new", "joined")} == {
        "read": 7, "accepted": 5, "rejected": 2, "new": 5, "joined": 5}
    assert [r["index"] for r in answer["rejects"]] == [5, 6]
    lines = [json.dumps({"prediction_id": i, "label": 0}) for i in ids]
    lines += ["", "{not json", json.dumps({"prediction_id": "x", "label": 1}), json.dumps({"prediction_id": ids[0]}),
              json.dumps({"prediction_id": ids[0], "label": 1, "row": -1}), json.dumps({"request_id": "r", "label": "x" * 100000}),
              json.dumps({"prediction_id": ids[0], "reward": 0.5, "source": "nurse", "reason": "seen", "tags": {"ward": "3"}})]
    status, answer = send(server, "\n".join(lines), headers={"Content-Type": "application/x-ndjson; charset=utf-8"})
    assert status == 200
    assert (answer["read"], answer["accepted"], answer["rejected"], answer["new"]) == (11, 6, 5, 1)
    assert [r["line"] for r in answer["rejects"]] == [7, 8, 9, 10, 11]
    assert "too long" in answer["rejects"][-1]["reason"]
    many = "\n".join(json.dumps({"request_id": f"r{i}", "label": i % 2}) for i in range(5500))
    status, answer = send(server, many, headers={"Content-Type": "application/x-ndjson"})
    assert (answer["read"], answer["accepted"], answer["new"]) == (5500, 5500, 5500)
    for body in ({"label": 1}, {"prediction_id": ids[0]}, {"prediction_id": ids[0], "label": [1]},
                 {"prediction_id": "abc", "label": 1}, {"feedback": 3}, {"prediction_id": ids[0], "label": 1, "given": "now"}):
        status, answer = send(server, body)
        assert status == 400 and answer["detail"], body


def test_seldon(new_server):
    """As the fraud demo's clients send it: truth is the predicted class, the reward says whether it was right."""
    server = new_server()
    serving.serve(server)
    expected = {"tp": 0, "fp": 0, "tn": 0, "fn": 0}
    path = "/api/v1.0/feedback"
    for row, reward, kind in ((ILL, 1, "tp"), (ILL, 0, "fp"), (WELL, 1, "tn"), (WELL, 0, "fn"), (ILL, 1, "tp")):
        prediction, answer = predict(server, row)
        body = {"response": {"meta": {"tags": {"prediction_id": prediction}}}, "reward": reward,
                "truth": {"data": {"ndarray": [int(answer["isSepsis"])]}}}
        status, answer = send(server, body, path)
        assert status == 200 and answer["meta"]["puid"] == prediction, answer
        expected[kind] += 1
    prediction, _ = predict(server, WELL, "mine-1")
    status, answer = send(server, {"response": {"meta": {"puid": "mine-1"}}, "reward": 0,
                                   "truth": {"data": {"tensor": {"shape": [1], "values": [1]}}}}, path)
    expected["fn"] += 1
    assert status == 200
    prediction, _ = predict(server, WELL)
    assert send(server, {"reward": 1}, path, {"Gyre-Prediction-Id": prediction})[0] == 200
    expected["tn"] += 1
    got = until(server, lambda g: g["labelled"] == 7)
    assert {k: got["by"]["combined"][k] for k in expected} == expected
    status, answer = send(server, {"reward": 1}, path)
    assert status == 400 and answer["status"]["status"] == "FAILURE"
    status, answer = send(server, {"response": {"meta": {"puid": "a"}}, "truth": {"data": {"ndarray": [[1, 0]]}}}, path)
    assert status == 400 and "one value a row" in answer["status"]["info"]


def test_rows_of_one_request(new_server):
    server = new_server()
    serving.serve(server)
    status, answer, _ = serving.request(server, "POST", "/v2/models/sepsis/infer",
                                        serving.v2([[120, 30, 39.5], [70, 15, 37], [70, 15, 37]]))
    assert status == 200
    prediction = answer["parameters"]["prediction_id"]
    body = {"response": answer, "truth": {"data": {"ndarray": [[1], [1], [0]]}}}
    assert send(server, body, "/api/v1.0/feedback")[0] == 200
    got = until(server, lambda g: g["labelled"] == 3)
    assert cells(got["by"]["combined"]) == [1, 0, 1, 1]
    assert send(server, {"prediction_id": prediction, "row": 1, "label": 0, "given": "2100-01-01T00:00:00Z"})[0] in (200, 202)
    assert cells(until(server, lambda g: g["conflicts"] == 1)["by"]["combined"]) == [1, 0, 2, 0]


def test_survives_stop_and_kill(new_server, tmp_path):
    server = new_server()
    serving.serve(server)
    ids = [predict(server, row)[0] for row in (ILL, ILL, MODEL_ILL, WELL, WELL, WELL)]
    for i, prediction in enumerate(ids):
        assert send(server, {"prediction_id": prediction, "label": i % 2})[0] in (200, 202)
    before = counts(until(server, lambda g: g["labelled"] == 6))
    server.stop()
    server.start()
    assert counts(until(server, lambda g: g["labelled"] == 6)) == before
    acknowledged = 6
    for _ in range(3):
        for _ in range(5):
            prediction, _ = predict(server, WELL)
            assert send(server, {"prediction_id": prediction, "label": 1})[0] in (200, 202)
            acknowledged += 1
        server.kill()
        server.start()
        got = until(server, lambda g: g["labelled"] == acknowledged)
        assert got["orphans"] == 0 and got["predictions"] == acknowledged
    before = counts(performance(server))
    for prediction in ids:  # all of it again
        send(server, {"prediction_id": prediction, "label": ids.index(prediction) % 2})
    assert counts(performance(server)) == before
