# SPDX-License-Identifier: Apache-2.0
"""The watcher of a real server: windows of what it answered against the model's training profile, a sensor told from a
population, alerts that fire once and clear, and each row in one window whatever ends the server."""

import json
import re
import time

import serving
import watching
from watching import API


def test_sensor_population_and_back(new_server, tmp_path):
    server = new_server()
    watching.train_and_deploy(server, tmp_path)
    assert watching.apply(server, window={"rows": 1000})["projects"][0]["actor"] == "anonymous"
    watching.traffic(server, watching.patients(tmp_path, 3000, 20))
    got = watching.state(server)
    assert got["watcher"]["state"] == "watching"
    assert [v["last_window"]["number"] for v in got["versions"]] == [3]
    assert got["versions"][0]["role"] == "stable" and got["versions"][0]["rows_waiting"] == 0
    assert got["alerts"] == []
    assert [w["dataset_drift"] for w in watching.windows(server)] == [False] * 3

    # One degree more for everyone: only that feature, a sensor, and no retraining.
    watching.traffic(server, watching.patients(tmp_path, 2000, 21, "--drift", "Temp=+1.0"))
    got = watching.state(server)
    for window in watching.windows(server)[3:]:
        assert window["cause"] == "sensor" and window["features_drifted"] == ["Temp"], window
    assert [(a["kind"], a["subject"]) for a in got["alerts"]] == [("sensor", "Temp")]
    assert "+1" in got["alerts"][0]["text"] and "Retraining would not cure" in got["alerts"][0]["text"]
    assert got["alerts"][0]["data"]["may_retrain"] is False

    # As before: the alert is cleared by one window.
    watching.traffic(server, watching.patients(tmp_path, 1000, 22))
    assert watching.state(server)["alerts"] == []
    cleared = watching.alerts(server, "?all=1")
    assert [(a["kind"], a["state"], a["cleared_by"]) for a in cleared] == [("sensor", "cleared", "gyre")]

    # Other people, and labels of them: retraining is the cure.
    watching.label(server, watching.traffic(server, watching.patients(tmp_path, 999, 23, "--population", "elderly")))
    watching.traffic(server, watching.patients(tmp_path, 1, 24, "--population", "elderly"))
    got = watching.state(server)
    last = watching.windows(server, "&full=1")[-1]
    assert last["dataset_drift"] and last["cause"] == "population", last["reason"]
    assert last["rule_hit_rate"]["current"]["value"] < last["rule_hit_rate"]["reference"]["value"]
    assert last["result"]["diagnosis"]["may_retrain"] is True
    assert [(a["kind"], a["subject"]) for a in got["alerts"]] == [("drift", "1")]
    temp = next(f for f in last["result"]["features"] if f["name"] == "Temp")
    assert abs(sum(temp["histogram"]["reference"]) - 1) < 1e-9 and abs(sum(temp["histogram"]["current"]) - 1) < 1e-9


def test_kill_and_restart_keep_windows_exact(new_server, tmp_path):
    server = new_server()
    watching.train_and_deploy(server, tmp_path)
    watching.apply(server, window={"rows": 50})
    rows = watching.patients(tmp_path, 200, 30)
    answered = sent = 0
    for turn in range(6):
        load = [watching.Load(server, rows) for _ in range(3)]
        end = time.monotonic() + 30
        while min(x.answered for x in load) < 60 + 30 * turn and time.monotonic() < end:
            time.sleep(0.002)
        if turn % 2:
            server.kill()
            for x in load:
                x.stop()
        else:
            for x in load:
                x.stop()
            server.stop()
        answered += sum(x.answered for x in load)
        sent += sum(x.sent for x in load)
        server.start()
        got = watching.state(server)
        found = watching.windows(server)
        assert [w["number"] for w in found] == list(range(1, len(found) + 1))
        assert {w["rows"] for w in found} == {50}
        waiting = sum(v["rows_waiting"] for v in got["versions"])
        # What was answered is in; what was being answered when it was killed may be.
        assert answered <= len(found) * 50 + waiting <= sent, (answered, len(found), waiting, sent)
    assert len(found) > 15


def test_first_window_is_the_reference_where_there_is_no_profile(new_server, tmp_path):
    server = new_server()
    serving.serve(server)                      # a package made by hand: no profile
    watching.apply(server, window={"rows": 200})
    watching.traffic(server, watching.patients(tmp_path, 200, 40))
    server.stop()
    server.start()
    watching.traffic(server, watching.patients(tmp_path, 200, 41))
    watching.traffic(server, watching.patients(tmp_path, 200, 42, "--drift", "Temp=+2.0"))
    watching.state(server)
    first, second, third = watching.windows(server, "&full=1")
    assert first["reference"] == "first_window" and "no training profile" in first["result"]["note"]
    assert not first["dataset_drift"] and not second["dataset_drift"]
    assert second["reference"] == "first_window" and second["result"]["features"]
    assert "Temp" in third["features_drifted"]


def test_bounds_become_alerts(new_server, tmp_path):
    server = new_server()
    watching.train_and_deploy(server, tmp_path, project={"review": {"policy": "all"}})
    watching.apply(server, recall_min=0.99, rule_precision_min=0.9999, labels_min=0.9, review_max=100,
                   performance={"rows": 500})
    watching.label(server, watching.traffic(server, watching.patients(tmp_path, 500, 50)))
    watching.traffic(server, watching.patients(tmp_path, 500, 51))
    got = {(a["kind"], a["subject"]): a for a in watching.state(server)["alerts"]}
    assert ("recall", "1") in got and ("labels", "1") in got and ("review_queue", "") in got, got
    recall = got[("recall", "1")]
    assert recall["data"]["low"] < recall["data"]["value"] < recall["data"]["high"] < 0.99
    assert recall["data"]["labelled"] == 500 and "95 %" in recall["text"]
    ids = {a["id"] for a in got.values()}
    assert {a["id"] for a in watching.state(server)["alerts"]} == ids   # the same ones go on firing
    watching.apply(server, recall_min=0.01, labels_min=0.1, review_max=100000, performance={"rows": 500})
    assert [a["kind"] for a in watching.state(server)["alerts"] if a["kind"] != "rule_precision"] == []


def test_acknowledge_wants_a_name(new_server, tmp_path):
    server = new_server()
    watching.train_and_deploy(server, tmp_path, project={"review": {"policy": "all"}})
    watching.apply(server, review_max=1)
    watching.traffic(server, watching.patients(tmp_path, 10, 60))
    alert, = watching.state(server)["alerts"]
    status, answer, _ = serving.request(server, "POST", f"{API}/alerts/{alert['id']}/acknowledge", {"reason": "seen"})
    assert status == 401 and "anonymous" in answer["detail"]
    assert serving.request(server, "POST", f"{API}/alerts/4711/acknowledge", {"reason": "seen"})[0] in (401, 404)


def test_apply_refuses_what_it_does_not_know(server):
    def refused(body):
        status, answer, _ = serving.request(server, "POST", f"{API}/watch/apply", body)
        assert status == 400, answer
        return answer
    assert refused({"watch": {}})["detail"] == "missing 'project'"
    assert "'alarms'" in refused({"project": "x", "alarms": []})["detail"]
    answer = refused({"project": "x", "watch": {"windows": {}}})
    assert answer["detail"] == "watch: there is no 'windows'" and "window" in answer["hint"]
    assert "watch.window.rows" in refused({"project": "x", "watch": {"window": {"rows": 3}}})["detail"]
    assert "recall_min" in refused({"project": "x", "watch": {"recall_min": 2}})["detail"]
    assert "no drift test" in refused({"project": "x", "watch": {"drift": {"features": {"a": {"test": "b"}}}}})["detail"]
    assert "endpoints" in refused({"project": "x", "endpoints": "all"})["detail"]
    assert "'to'" in refused({"project": "x", "notify": [{"to": "me"}]})["detail"]
    named = {"project": "x", "notify": [{"url": "https://hooks.example/x", "secret_env": "HOOK", "events": ["alert.*"]}]}
    status, answer, _ = serving.request(server, "POST", f"{API}/watch/apply", named)
    assert status == 401 and "anonymous" in answer["detail"]
    assert serving.must(server, "GET", f"{API}/watch")["projects"] == []
    assert json.dumps(serving.must(server, "GET", f"{API}/openapi.json")).count("/watch/windows") == 1
    assert re.match(r"watching|starting", serving.must(server, "GET", f"{API}/watch")["watcher"]["state"])


def test_an_anonymous_apply_does_not_take_away_what_somebody_applied(server):
    serving.serve(server)
    body = {"project": "sepsis", "notify": [{"url": "http://127.0.0.1:9/hook", "events": ["alert.*"], "secret_env": "HOOK"}]}
    status, answer = serving.by_socket(server, "POST", f"{API}/watch/apply", body)
    assert status == 200, answer
    for other in ({"project": "sepsis"}, {"project": "mine", "endpoints": ["other", "sepsis"]}):
        status, answer, _ = serving.request(server, "POST", f"{API}/watch/apply", other)
        assert status == 401 and "anonymous" in answer["detail"]
    serving.must(server, "POST", f"{API}/watch/apply", {"project": "mine", "endpoints": ["other"]})
    kept, = (p for p in serving.must(server, "GET", f"{API}/watch")["projects"] if p["project"] == "sepsis")
    assert kept["sections"]["notify"] == body["notify"] and kept["actor"] != "anonymous"
    status, answer = serving.by_socket(server, "POST", f"{API}/watch/apply", {"project": "sepsis"})
    assert status == 200 and answer["projects"][0]["sections"] == {}
