# SPDX-License-Identifier: Apache-2.0
"""The review queue over HTTP: logged predictions become items, people with a name judge them, blind ones tell nothing before."""

import json
import time
import uuid

import pytest
import requests
import serving

BASE = serving.API + "/reviews"
SECRETS = ("predicted", "score", "margin", "rule", "rule_reason", "picked_by", "probability")


def link(server, **body):
    status, answer = serving.by_socket(server, "POST", BASE + "/link", body)
    assert status == 201, answer
    return answer


def as_reviewer(server, method, path, body=None, token=None):
    return serving.request(server, method, path, body, {"Gyre-Review-Token": token})


@pytest.fixture(scope="module")
def deployed(server):
    version, _ = serving.register(server)
    serving.deploy(server, f"models:/sepsis/{version}")
    blind = serving.PROJECT | {"aliases": [], "review": {"policy": "none", "blind": True}}
    serving.deploy(server, f"models:/sepsis/{version}", name="blind", project=blind)
    return server


@pytest.fixture(scope="module")
def token(deployed):
    return link(deployed, **{"as": "Dr. Ann", "days": 1})["token"]


def export(server, query):
    answer = requests.get(f"{server.url}{BASE}/export?{query}", timeout=60)
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def ask(server, endpoint="sepsis", rows=((100, 15, 37.0),)):
    """Predict, then put the prediction into the queue; (prediction_id, the rows' items)."""
    status, _, headers = serving.request(server, "POST", f"/v2/models/{endpoint}/infer", serving.v2([list(r) for r in rows]))
    assert status == 200
    prediction = headers["Gyre-Prediction-Id"]
    status, answer = serving.by_socket(server, "POST", BASE, {"prediction_ids": [prediction]})
    assert status == 200 and answer == {"picked": len(rows)}
    return prediction, [serving.must(server, "GET", f"{BASE}/{prediction}/{i}") for i in range(len(rows))]


def test_a_logged_prediction_becomes_an_item(deployed):
    prediction, items = ask(deployed, rows=[(100, 15, 37.0), (120, 30, 39.5)])
    assert [i["row"] for i in items] == [0, 1] and items[0]["rows"] == 2
    assert items[0]["inputs"] == {"HR": 100, "Resp": 15, "Temp": 37, "WBC": None}
    assert items[0]["predicted"] == "1" and 0.73 < items[0]["score"] < 0.74 and items[0]["rule"] is None
    assert items[1]["rule"] == "sirs" and items[1]["rule_reason"] == serving.SIRS["then"]["reason"]
    assert items[0]["picked_by"] == "person" and items[0]["probability"] is None
    assert items[0]["state"] == "open" and items[0]["endpoint"] == "sepsis" and not items[0]["hidden"]
    # Again: it is there already.
    status, _ = serving.by_socket(deployed, "POST", BASE, {"prediction_ids": [prediction]})
    assert status == 200
    assert len(serving.must(deployed, "GET", f"{BASE}?endpoint=sepsis&state=open")["reviews"]) >= 2


def test_verdicts_need_a_name(deployed, token):
    prediction, _ = ask(deployed)
    path = f"{BASE}/{prediction}/0/verdict"
    status, answer, _ = serving.request(deployed, "POST", path, {"verdict": "1"})
    assert status == 401 and "name" in answer["detail"] and "gyre review link" in answer["hint"]
    for bad in ("", "x", token[:-1], token[:-1] + ("0" if token[-1] != "0" else "1"), "gyr1.9999999999.616e6e." + "0" * 64):
        status, answer, _ = as_reviewer(deployed, "POST", path, {"verdict": "1"}, bad)
        assert status == 401, bad
    status, answer, _ = as_reviewer(deployed, "POST", path, {"verdict": "1", "reason": "clear"}, token)
    assert status == 200
    assert answer["reviewer"] == "Dr. Ann" and answer["verdict"] == "1" and answer["agrees"] and answer["state"] == "done"
    assert answer["reason"] == "clear" and answer["decided"]
    # In the address too, as a link from elsewhere has it.
    status, answer, _ = serving.request(deployed, "POST", f"{path}?token={token}", {"verdict": 0})
    assert status == 200 and answer["verdict"] == "0" and not answer["agrees"]


def test_a_token_makes_no_other_token(deployed, token):
    for headers in ({}, {"Gyre-Review-Token": token}):
        status, _, _ = serving.request(deployed, "POST", BASE + "/link", {"as": "Mallory"}, headers)
        assert status == 401
    assert serving.must(deployed, "GET", f"{BASE}/whoami?token={token}") == {"reviewer": "Dr. Ann"}
    assert serving.must(deployed, "GET", f"{BASE}/whoami") == {"reviewer": None}
    made = link(deployed)
    assert made["path"] == "/review#token=" + made["token"] and made["as"] not in ("", "anonymous")
    for body in ({"days": 0}, {"days": 31}, {"as": "anonymous"}, {"as": ""}, {"as": "a\nb"}, {"as": "x" * 101}):
        status, _ = serving.by_socket(deployed, "POST", BASE + "/link", body)
        assert status == 400, body
    events = serving.must(deployed, "GET", serving.API + "/events?kind=review.link")["events"]
    assert {e["data"]["as"] for e in events} >= {"Dr. Ann"} and token not in json.dumps(events)
    assert (deployed.home / "review.key").stat().st_mode & 0o777 == 0o600


def test_blind_items_tell_nothing_until_the_verdict(deployed, token):
    prediction, items = ask(deployed, "blind", [(100, 15, 37.0), (120, 30, 39.5)])
    listed = serving.must(deployed, "GET", f"{BASE}?endpoint=blind")["reviews"]
    exported = export(deployed, "endpoint=blind")
    status, claimed, _ = as_reviewer(deployed, "POST", f"{BASE}/{prediction}/0/assign", {}, token)
    assert status == 200 and claimed["assignee"] == "Dr. Ann"
    for item in [*items, *listed, *exported, claimed]:
        assert item["hidden"] and item["blind"] and item["inputs"]["HR"] in (100, 120)
        assert all(item[s] is None for s in SECRETS)
    status, answer, _ = as_reviewer(deployed, "POST", f"{BASE}/{prediction}/1/verdict", {"verdict": "agree"}, token)
    assert status == 400 and "blind" in answer["detail"]
    status, answer, _ = as_reviewer(deployed, "POST", f"{BASE}/{prediction}/1/verdict", {"verdict": "0"}, token)
    assert status == 200 and not answer["hidden"] and answer["predicted"] == "1" and answer["rule"] == "sirs"
    status, answer, _ = as_reviewer(deployed, "POST", f"{BASE}/{prediction}/1/verdict", {"verdict": "1"}, token)
    assert status == 409


def test_who_has_an_item(deployed, token):
    bob = link(deployed, **{"as": "Bob"})["token"]
    prediction, _ = ask(deployed)
    path = f"{BASE}/{prediction}/0/assign"
    assert as_reviewer(deployed, "POST", path, {}, token)[1]["assignee"] == "Dr. Ann"
    assert as_reviewer(deployed, "POST", path, {}, bob)[0] == 409
    assert as_reviewer(deployed, "POST", path, {"take": True}, bob)[1]["assignee"] == "Bob"
    mine = serving.must(deployed, "GET", f"{BASE}?state=assigned&assignee=Bob")["reviews"]
    assert [r["prediction_id"] for r in mine] == [prediction]
    back = as_reviewer(deployed, "POST", path, {"assignee": None}, bob)[1]
    assert back["state"] == "open" and back["assignee"] is None
    assert serving.request(deployed, "POST", path, {})[0] == 401


def test_many_verdicts_in_one_call(deployed, token):
    prediction, items = ask(deployed, rows=[(60 + i, 15, 37.0) for i in range(40)])
    verdicts = [{"prediction_id": prediction, "row": i, "verdict": 0} for i in range(40)]
    before = serving.must(deployed, "GET", BASE + "/summary?endpoint=sepsis")["endpoints"][0]
    # One that is not there: nothing of the call counts.
    bad = verdicts + [{"prediction_id": str(uuid.uuid4()), "verdict": 0}]
    assert as_reviewer(deployed, "POST", BASE + "/verdicts", {"verdicts": bad}, token)[0] == 404
    assert serving.must(deployed, "GET", BASE + "/summary?endpoint=sepsis")["endpoints"][0] == before
    body = {"verdicts": verdicts, "tags": ["simulated"]}
    status, answer, _ = as_reviewer(deployed, "POST", BASE + "/verdicts", body, token)
    assert status == 200 and answer == {"decided": 40, "corrected": 0, "unchanged": 0, "reviewer": "Dr. Ann"}
    status, answer, _ = as_reviewer(deployed, "POST", BASE + "/verdicts", body, token)
    assert status == 200 and answer["unchanged"] == 40
    after = serving.must(deployed, "GET", BASE + "/summary?endpoint=sepsis")["endpoints"][0]
    assert after["done"] == before["done"] + 40 and after["simulated"] == before["simulated"] + 40
    assert after["agreed"] == before["agreed"] + sum(i["predicted"] == "0" for i in items)
    assert after["agreement"] == pytest.approx(after["agreed"] / after["done"]) and after["median_hours"] >= 0
    events = serving.must(deployed, "GET", serving.API + "/events?kind=review.verdict")["events"]
    assert events[-1]["data"] == {"endpoint": "sepsis", "count": 40, "corrected": 0, "simulated": 40, "total": after["done"]}
    assert events[-1]["subject"] == "reviews:sepsis" and events[-1]["actor"] == "Dr. Ann"


@pytest.mark.parametrize("body, status", [
    ({}, 400), ({"verdict": ""}, 400), ({"verdict": None}, 400), ({"verdict": "2"}, 400), ({"verdict": [1]}, 400),
    ({"verdict": "1", "tags": "simulated"}, 400), ({"verdict": "1", "tags": [""]}, 400), ({"verdict": "1", "tags": [1]}, 400),
    ({"verdict": "1", "tags": ["x"] * 17}, 400), ({"verdict": "1", "reason": "x" * 5000}, 400), ({"verdict": "1", "reason": 1}, 400),
])
def test_bad_verdicts(deployed, token, body, status):
    items = serving.must(deployed, "GET", f"{BASE}?endpoint=sepsis&limit=1")["reviews"]
    got, answer, _ = as_reviewer(deployed, "POST", f"{BASE}/{items[0]['prediction_id']}/{items[0]['row']}/verdict", body, token)
    assert got == status, answer


@pytest.mark.parametrize("query", ["state=new", "order=best", "limit=0", "limit=1001", "limit=x", "after=x", "after=x/y", "since=today"])
def test_bad_questions(deployed, query):
    assert serving.request(deployed, "GET", f"{BASE}?{query}")[0] == 400


def test_unknown_items(deployed, token):
    nobody = uuid.uuid4()
    assert serving.request(deployed, "GET", f"{BASE}/{nobody}/0")[0] == 404
    assert serving.request(deployed, "GET", f"{BASE}/{nobody}/-1")[0] == 400
    assert as_reviewer(deployed, "POST", f"{BASE}/{nobody}/0/verdict", {"verdict": "1"}, token)[0] == 404
    assert serving.by_socket(deployed, "POST", BASE, {"prediction_ids": [str(nobody)]})[0] == 404
    assert serving.by_socket(deployed, "POST", BASE, {"prediction_ids": ["x"]})[0] == 400
    assert serving.request(deployed, "POST", BASE, {"prediction_ids": []})[0] == 401


def test_pages_and_the_export_agree(deployed):
    ask(deployed, rows=[(60 + i, 15, 37.0) for i in range(30)])
    seen, after = [], ""
    while True:
        page = serving.must(deployed, "GET", f"{BASE}?endpoint=sepsis&limit=7{after}")
        seen += [(r["prediction_id"], r["row"]) for r in page["reviews"]]
        if page["next"] is None:
            break
        after = "&after=" + page["next"]
    assert [(r["prediction_id"], r["row"]) for r in export(deployed, "endpoint=sepsis")] == seen
    part = export(deployed, f"endpoint=sepsis&limit=9&after={seen[3][0]}/{seen[3][1]}")
    assert [(r["prediction_id"], r["row"]) for r in part] == seen[4:13]
    assert len(set(seen)) == len(seen) >= 30
    assert page["undecided"] + page["done"] == len(seen) and page["skipped"] == 0
    near = serving.must(deployed, "GET", f"{BASE}?endpoint=sepsis&order=uncertain&limit=5")["reviews"]
    assert [r["margin"] for r in near] == sorted(r["margin"] for r in near) and near[0]["margin"] < 0.1


def test_the_policy_of_the_revision_fills_the_queue(new_server):
    """predict -> item -> verdict -> counted, with nobody's hand in between but the reviewer's."""
    server = new_server()
    version, _ = serving.register(server)
    review = {"policy": "mixed", "margin": 0.2, "rule_hits": True, "max_open": 3}
    serving.deploy(server, f"models:/sepsis/{version}", project=serving.PROJECT | {"review": review})
    # Near the threshold; sure; decided by the rule; two more near ones, of which one finds the queue full.
    connection = serving.Connection(server)  # one event loop: the log has them in this order
    for hr, resp, temp in ((91, 15, 37), (150, 15, 37), (120, 30, 39), (88, 15, 37), (89, 15, 37)):
        assert connection.ask({"hr": hr, "resp": resp, "temp": temp})[0] == 200
    connection.close()
    end = time.monotonic() + 60
    while (found := serving.must(server, "GET", BASE))["skipped"] == 0:
        assert time.monotonic() < end, found
        time.sleep(0.02)
    assert found["undecided"] == 3 and found["skipped"] == 1
    assert sorted((r["inputs"]["HR"], r["picked_by"], r["probability"]) for r in found["reviews"])[-1] == (120, "rule", 1.0)
    assert {r["picked_by"] for r in found["reviews"]} == {"rule", "uncertain"}
    assert found["reviews"][0]["policy"] == review
    token = link(server, **{"as": "Dr. Ann"})["token"]
    for item in found["reviews"]:
        path = f"{BASE}/{item['prediction_id']}/{item['row']}/verdict"
        assert as_reviewer(server, "POST", path, {"verdict": "agree" if item["rule"] else "disagree"}, token)[0] == 200
    performance = serving.must(server, "GET", serving.API + "/endpoints/sepsis/performance")
    assert performance["labelled"] == 3 and performance["predictions"] == 5
    assert serving.must(server, "GET", BASE + "/summary")["endpoints"][0]["agreement"] == pytest.approx(1 / 3)
    metrics = serving.request(server, "GET", "/metrics")[1].decode()
    assert 'gyre_review_rows{endpoint="sepsis",state="done"} 3\n' in metrics
    assert 'gyre_review_rows{endpoint="sepsis",state="skipped"} 1\n' in metrics


@pytest.mark.parametrize("review, why", [
    ({"policy": "some"}, "no policy 'some'"), ({"policy": "all", "sahre": 0.1}, "unknown key 'sahre'"),
    ({"policy": "sample"}, "needs 'share'"), ({}, "policy"), ("all", "section"),
])
def test_a_bad_policy_is_not_deployed(deployed, review, why):
    body = {"model": "models:/sepsis/1", "project": serving.PROJECT | {"aliases": [], "review": review}, "columns": ["WBC"]}
    status, answer, _ = serving.request(deployed, "POST", f"{serving.API}/endpoints/other/deploy", body)
    assert status == 400 and why in answer["detail"]


def test_verdicts_count_as_feedback(deployed, token):
    before = serving.must(deployed, "GET", f"{serving.API}/endpoints/sepsis/performance")["labelled"]
    prediction, items = ask(deployed, rows=[(60, 15, 37.0), (150, 15, 37.0)])
    for item in items:
        path = f"{BASE}/{prediction}/{item['row']}/verdict"
        assert as_reviewer(deployed, "POST", path, {"verdict": item["predicted"]}, token)[0] == 200
    path = f"{serving.API}/endpoints/sepsis/performance"
    end = time.monotonic() + 60
    while serving.must(deployed, "GET", path)["labelled"] < before + 2:
        assert time.monotonic() < end, "the verdicts are not counted"
        time.sleep(0.02)
    assert serving.must(deployed, "GET", path)["labelled"] == before + 2


def test_the_form_and_the_page(deployed):
    form = serving.must(deployed, "GET", f"{BASE}/form?endpoint=sepsis")
    assert form["task"] == "binary" and form["classes"] == ["0", "1"] and form["columns"] is None and not form["blind"]
    assert serving.must(deployed, "GET", f"{BASE}/form?endpoint=blind")["blind"]
    assert serving.request(deployed, "GET", f"{BASE}/form?endpoint=none")[0] == 404
    assert serving.request(deployed, "GET", f"{BASE}/form")[0] == 400
    status, page, headers = serving.request(deployed, "GET", "/review")
    assert status == 200 and headers["Content-Type"].startswith("text/html")
    assert b"http://" not in page and b"https://" not in page and b"src=" not in page
    assert "default-src 'none'" in headers["Content-Security-Policy"]
