# SPDX-License-Identifier: Apache-2.0
"""A problem with a prediction: reported by whoever may predict, put into the review queue, told with its trace, limited by caller."""

import base64
import contextlib
import json
import sqlite3
import time

import pytest

import serving
import support
from serving import API, must, request

SEPTIC = {"hr": 104, "resp": 22, "temp": 38.9}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    s = support.Server(tmp_path_factory.mktemp("problem") / "home").start()
    serving.serve(s)
    yield s
    s.stop()


@pytest.fixture
def prediction(home):
    return request(home, "POST", "/predictions", SEPTIC)[1]["prediction_id"]


def report(home, prediction_id, body):
    """By the socket, where the caller has a name and a count of their own."""
    return serving.by_socket(home, "POST", f"{API}/predictions/{prediction_id}/problems", body)


def test_report_review_trace(home, prediction):
    status, said = request(home, "POST", f"{API}/predictions/{prediction}/problems", {"reason": "not septic", "text": "a marathon runner"})[:2]
    assert status == 201 and said["prediction_id"] == prediction and said["endpoint"] == "sepsis" and said["row"] == 0
    assert said["reason"] == "not septic" and said["actor"] == "anonymous"
    item = must(home, "GET", f"{API}/reviews/{prediction}/0")
    assert item["state"] == "open" and item["problems"] == 1 and item["problem"] == "not septic" and item["inputs"]["HR"] == 104
    assert item["picked_by"] == "person"
    request(home, "POST", f"{API}/predictions/{prediction}/problems", {"reason": "again"})
    item = must(home, "GET", f"{API}/reviews/{prediction}/0")
    assert item["problems"] == 2 and item["problem"] == "again"
    traced = must(home, "GET", f"{API}/trace/{prediction}")["problems"]
    assert [p["reason"] for p in traced] == ["not septic", "again"] and traced[0]["text"] == "a marathon runner"
    assert must(home, "GET", f"{API}/predictions/{prediction}/problems")["problems"] == traced
    told = [e for e in must(home, "GET", f"{API}/events?kind=problem.")["events"] if e["kind"] == "problem.reported"]
    assert told and told[-1]["data"]["reason"] == "again"
    shown = support.run_gyre("review", "list", "--server", home.url, cwd=home.home)
    assert shown.returncode == 0 and "again (2)" in shown.stdout
    shown = support.run_gyre("trace", prediction, "--server", home.url, cwd=home.home)
    assert "not septic. a marathon runner" in shown.stdout


def test_one_row_of_many(home):
    answer = request(home, "POST", "/predictions", [SEPTIC] * 3)[1]
    prediction = answer[0]["prediction_id"]
    status, said = report(home, prediction, {"reason": "this one", "row": 2})
    assert status == 201 and said["row"] == 2
    assert must(home, "GET", f"{API}/reviews/{prediction}/2")["problem"] == "this one"
    assert request(home, "GET", f"{API}/reviews/{prediction}/0")[0] == 404
    assert report(home, prediction, {"reason": "no such row", "row": 3})[0] == 400


@pytest.mark.parametrize("body,status", [({}, 400), ({"reason": ""}, 400), ({"reason": " "}, 400), ({"reason": 7}, 400), ({"reason": "x" * 201}, 400),
                                         ({"reason": "x", "text": "y" * 5000}, 400)])
def test_what_is_refused(home, prediction, body, status):
    # a server of its own count for each would be slow: each is refused or limited, never kept
    got, answer = report(home, prediction, body)
    assert got in (status, 429), answer
    assert must(home, "GET", f"{API}/predictions/{prediction}/problems")["problems"] == []


def test_unknown_predictions_and_the_limit(tmp_path):
    home = support.Server(tmp_path / "home").start()
    try:
        serving.serve(home)
        prediction = request(home, "POST", "/predictions", SEPTIC)[1]["prediction_id"]
        path = f"{API}/predictions/01932f4e-7c1a-7000-8000-0123456789ab/problems"
        assert request(home, "POST", path, {"reason": "x"})[0] == 404
        assert request(home, "POST", path.replace("01932f4e-7c1a-7000-8000-0123456789ab", "nonsense"), {"reason": "x"})[0] == 400
        path = f"{API}/predictions/{prediction}/problems"
        codes = [request(home, "POST", path, {"reason": f"r{i}"})[0] for i in range(12)]
        assert codes[:8] == [201] * 8 and codes[8:] == [429] * 4
        status, answer = request(home, "POST", path, {"reason": "x"})[:2]
        assert status == 429 and "a minute" in json.dumps(answer)
        assert report(home, prediction, {"reason": "another caller"})[0] == 201
    finally:
        home.stop()


def test_an_erased_problem_leaves_no_words_in_its_event(home, prediction, tmp_path):
    """The event lost the id alone: what was said about the person around it stayed."""
    other = request(home, "POST", "/predictions", SEPTIC)[1]["prediction_id"]
    kept = report(home, other, {"reason": "not about anybody"})[1]["id"]
    gone = report(home, prediction, {"reason": "P-7f3k29xq ran a marathon"})[1]["id"]
    done = support.run_gyre("subject", "erase", "P-7f3k29xq", "--reason", "request 17", "--yes", "--home", home.home, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = {e["data"]["problem"]: e["data"] for e in must(home, "GET", f"{API}/events?kind=problem.")["events"]}
    assert told[kept]["reason"] == "not about anybody"
    assert told[gone] == {"endpoint": "sepsis", "prediction_id": prediction, "row": 0, "problem": gone, "erased": True}
    assert must(home, "GET", f"{API}/predictions/{prediction}/problems")["problems"] == []


def until(is_so, what):
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


@pytest.mark.sqlite
def test_what_was_erased_is_not_told_to_a_receiver_who_was_away(new_server, tmp_path):
    """A message that had not arrived kept the words that its event had lost."""
    server = new_server(env={"HOOK_SECRET": "whsec_" + base64.b64encode(b"k" * 32).decode()})
    serving.serve(server)
    nobody = {"url": "http://127.0.0.1:1/nobody", "secret_env": "HOOK_SECRET", "events": ["problem.*"]}
    body = {"project": "p", "folder": str(server.home.parent), "endpoints": [], "notify": [nobody]}
    assert serving.by_socket(server, "POST", f"{API}/watch/apply", body)[0] == 200
    until(lambda: serving.by_socket(server, "GET", f"{API}/webhooks")[1]["webhooks"], "the webhook")
    for reason in ("P-7f3k29xq ran a marathon", "not about anybody"):
        one = request(server, "POST", "/predictions", SEPTIC)[1]["prediction_id"]
        assert report(server, one, {"reason": reason})[0] == 201

    def waiting():
        with contextlib.closing(sqlite3.connect(server.home / "gyre.db", timeout=30)) as db:
            return [row[0] for row in db.execute("SELECT body FROM webhook_outbox")]

    until(lambda: len(waiting()) == 2, "both messages")
    done = support.run_gyre("subject", "erase", "P-7f3k29xq", "--reason", "request 17", "--yes", "--home", server.home, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (left,) = waiting()
    assert "not about anybody" in left and "marathon" not in left
