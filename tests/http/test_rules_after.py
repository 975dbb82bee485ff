# SPDX-License-Identifier: Apache-2.0
"""Rules after the model: what they read, what they override, how answer, log, replay and performance tell it."""

import json

import pytest

import serving
import support
from serving import API, must, request, v2

TOO_SURE = {"name": "too_sure", "after": True, "when": "probability > 0.98 and Age < 2", "then": {"prediction": 0, "reason": "no infant is that sure"}}
WEAK = {"name": "weak", "after": True, "at_least": 2, "of": ["probability < 0.6", "prediction == 1", "Resp > 100"], "then": {"prediction": 0, "reason": "too weak"}}
BODY = {"hr": 140, "resp": 15, "temp": 37}  # p = 0.993


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    s = support.Server(tmp_path_factory.mktemp("after") / "home").start()
    version, _ = serving.register(s)
    serving.register(s, files=serving.package(-8.0))
    serving.deploy(s, f"models:/sepsis/{version}", project={"rules": [serving.SIRS, TOO_SURE, WEAK], "aliases": [serving.ALIAS]}, columns=("WBC", "Age"))
    yield s
    s.stop()


def ask(home, **more):
    status, answer, headers = request(home, "POST", "/predictions", {**BODY, **more})
    assert status == 200, answer
    return answer, headers["Gyre-Prediction-Id"]


def test_an_override_with_its_reason(home):
    answer, prediction = ask(home, Age=1)
    assert answer["isSepsis"] == 0
    assert answer["rules"] == {"name": "too_sure", "reason": "no infant is that sure", "true": 1, "evaluated": 1, "of": 1}
    traced = must(home, "GET", f"{API}/trace/{prediction}")
    assert traced["rules"]["name"] == "too_sure"
    assert traced["model_outputs"][0] == pytest.approx(0.9933, abs=1e-4)
    assert ask(home, Age=30)[0]["isSepsis"] == 1
    assert ask(home)[0]["isSepsis"] == 1  # Kleene: no age, no hit


def test_k_of_n_and_what_was_decided_before(home):
    answer, _ = ask(home, hr=93)  # p = 0.574, class 1: two of three
    assert answer["isSepsis"] == 0 and answer["rules"]["name"] == "weak" and answer["rules"]["true"] == 2 and answer["rules"]["of"] == 3
    answer, _ = ask(home, temp=39, Age=1)  # SIRS decides before the model, and is not asked about again
    assert answer["isSepsis"] == 1 and answer["rules"]["name"] == "sirs"


def test_rows_of_a_request_are_told_apart(home):
    body = {"inputs": [{"name": n, "shape": [3], "datatype": "FP64", "data": d}
                       for n, d in (("HR", [140, 93, 80]), ("Resp", [15, 15, 15]), ("Temp", [37, 37, 37]), ("Age", [1, 50, 1]))]}
    got = serving.outputs(request(home, "POST", "/v2/models/sepsis/infer", body)[1])
    assert got["prediction"] == [0, 0, 0] and got["rule"] == ["too_sure", "weak", ""] and got["probability"][0] > 0.99


def test_replay_asks_them_anew(home):
    """Version 2 is surer: 0.731 at HR 90, so the weak rule does not hit any more."""
    _, weak = ask(home, hr=93)
    _, infant = ask(home, Age=1)
    assert request(home, "POST", f"{API}/log/flush", {})[0] == 200
    for prediction, now in ((weak, 1), (infant, 0)):
        done = support.run_gyre("replay", prediction, "--model", "2", "--json", "--home", str(home.home), cwd=home.home)
        assert done.returncode == 0, done.stderr
        row = json.loads(done.stdout)["rows"][0]
        assert row["then"]["prediction"] in (0, "0") and row["now"]["prediction"] in (now, str(now)), row


def test_performance_tells_rule_model_and_combined_apart(home):
    _, prediction = ask(home, hr=141, Age=1)
    must(home, "POST", f"{API}/feedback", {"feedback": [{"prediction_id": prediction, "label": "0"}]})
    by = json.dumps(must(home, "GET", f"{API}/endpoints/sepsis/performance"))
    assert '"model"' in by and '"combined"' in by and '"rule"' in by


@pytest.mark.parametrize("rule,says", [
    ({"name": "r", "when": "probability > 0.5"}, "unknown name 'probability'"),
    ({"name": "r", "after": True, "when": "odds > 1"}, "unknown name 'odds'"),
    ({"name": "r", "after": True, "when": "HR > 1", "then": {"prediction": 1, "skip_model": True}}, "too late"),
    ({"name": "r", "after": True, "when": "HR > 1", "then": {"prediction": 7}}, "not a class"),
])
def test_refused_at_load(home, rule, says):
    body = {"model": "models:/sepsis/1", "columns": [], "project": {"rules": [rule]}}
    status, answer = serving.ask_anyhow(home, "POST", f"{API}/endpoints/other/deploy", body)
    assert status == 400 and says in json.dumps(answer), answer


def test_a_shadow_is_judged_by_its_own_answer(home):
    must(home, "POST", f"{API}/endpoints/sepsis/shadow", {"model": "models:/sepsis/2"})
    answer, prediction = ask(home, hr=93)
    assert answer["isSepsis"] == 0
    seen = must(home, "GET", f"{API}/trace/{prediction}")
    assert seen["shadow"]["outputs"][0] == 1  # 0.786: not weak
    must(home, "POST", f"{API}/endpoints/sepsis/shadow", {"off": True})
