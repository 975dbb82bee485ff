# SPDX-License-Identifier: Apache-2.0
"""The gate on the sepsis example: a useless baseline is refused, a good model blessed, approved and promoted, a worse one
refused beside it; and nobody gets around it, through MLflow's API either."""

import json

import pytest
import requests
import support
from serving import by_socket

GYRE = "/api/gyre/v1"
MLFLOW = "/api/2.0/mlflow"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gate") / "p"
    folder.mkdir()
    support.run_json("init", "--template", "sepsis", ".", cwd=folder)
    (folder / "data" / "raw").mkdir(parents=True)
    done = support.run_gyre("data", "synth", "patients", "--rows", "6000", "--seed", "1", "-o", "data/raw/patients.csv",
                            cwd=folder)
    assert done.returncode == 0, done.stderr
    assert support.run_json("run", cwd=folder)["done"] == 3
    server = support.Server(folder / ".gyre")
    server.start()
    yield folder, server
    server.stop()


def check(folder, version, code):
    done = support.run_gyre("gate", "check", f"sepsis/{version}", "--json", cwd=folder)
    assert done.returncode == code, done.stderr + done.stdout
    return json.loads(done.stdout)


def set_alias(server, version):
    """As nobody in particular."""
    return requests.post(f"{server.url}{MLFLOW}/registered-models/alias",
                         json={"name": "sepsis", "alias": "champion", "version": str(version)}, timeout=30)


def promote(server, version):
    """The same as somebody with a name."""
    return by_socket(server, "POST", MLFLOW + "/registered-models/alias",
                     {"name": "sepsis", "alias": "champion", "version": str(version)})


def failed(answer):
    return {(c["metric"], c["slice"], c["kind"]) for c in answer["checks"] if c["passed"] is False}


def test_from_baseline_to_champion_and_after(project):
    folder, server = project
    baseline = check(folder, 1, 18)
    assert baseline["verdict"] == "NOT_BLESSED"
    assert ("recall", None, "min") in failed(baseline)
    recall = next(c for c in baseline["checks"] if c["metric"] == "recall" and c["slice"] is None)
    assert recall["value"] == 0 and recall["bound"] == ">= 0.75"

    refused = set_alias(server, 1)
    assert refused.status_code == 403
    assert refused.json()["error_code"] == "PERMISSION_DENIED"
    assert "recall" in refused.json()["message"]

    good = check(folder, 2, 0)
    assert good["verdict"] == "BLESSED" and not failed(good)
    assert good["champion_version"] is None
    assert good["rows"] > 1500
    overall = next(c for c in good["checks"] if c["metric"] == "recall" and c["slice"] is None)
    assert overall["low"] <= overall["value"] <= overall["high"]
    assert any("no champion" in c["reason"] for c in good["checks"] if c["passed"] is None)

    # The numbers are not enough: gyre.yaml asks for a person.
    assert set_alias(server, 2).status_code == 403
    wordy = support.run_gyre("gate", "request", "sepsis/2", "--reason", "x" * 20000, cwd=folder)
    assert wordy.returncode == 3 and "'reason' has at most" in wordy.stderr
    assert support.run_json("gate", "list", cwd=folder)["approvals"] == []  # refused means not kept
    asked = support.run_json("gate", "request", "sepsis/2", "--reason", "ward 3", cwd=folder)
    assert set_alias(server, 2).status_code == 403
    decided = support.run_json("gate", "approve", asked["id"], "--reason", "looks right", cwd=folder)
    assert decided["state"] == "approved" and decided["decided_by"] != "anonymous"
    again = support.run_gyre("gate", "reject", asked["id"], cwd=folder)
    assert again.returncode == 6
    nobody = set_alias(server, 2)
    assert nobody.status_code == 401 and nobody.json()["error_code"] == "UNAUTHENTICATED"
    assert promote(server, 2) == (200, {})

    # Beside a champion the same model is no worse than itself; a weaker one is.
    same = check(folder, 2, 0)
    assert same["champion_version"] == 2
    f1 = next(c for c in same["checks"] if c["kind"] == "champion_change_min" and c["slice"] is None)
    assert f1["champion"] == f1["value"] and f1["passed"] is True
    done = support.run_gyre("train", "data/patients/data.csv", "--target", "isSepsis", "--learner", "logistic", "--params",
                            "params.yaml", "--out", "models/weak", "--register", "sepsis", cwd=folder)
    assert done.returncode == 0, done.stderr
    weak = check(folder, 3, 18)
    assert ("f1", None, "champion_change_min") in failed(weak)
    assert set_alias(server, 3).status_code == 403

    listed = support.run_json("gate", "list", cwd=folder)
    assert [v["verdict"] for v in listed["verdicts"]] == ["NOT_BLESSED", "BLESSED", "BLESSED", "NOT_BLESSED"]
    assert listed["approvals"][0]["decided_by"] == decided["decided_by"]
    digest = requests.get(f"{server.url}{GYRE}/verdicts", params={"digest": good["digest"]}, timeout=30).json()["verdicts"]
    assert {v["model_digest"] for v in digest} == {good["digest"]} and len(digest) == 2


def test_the_champion_s_numbers_come_from_the_same_rows(project):
    folder, _ = project
    answer = check(folder, 2, 0)
    shown = support.run_json("evaluate", "models:/sepsis/2", "sepsis@1", cwd=folder)
    mine = next(c for c in answer["checks"] if c["metric"] == "f1" and c["slice"] is None and c["kind"] == "min")
    assert shown["metrics"]["f1"]["value"] == mine["value"]
    assert shown["rows"] == answer["rows"]


def test_anonymous_decides_nothing(project):
    _, server = project
    base = server.url + GYRE
    verdict = {"model_digest": "d", "gate": "sepsis", "blessed": True, "checks": []}
    assert requests.post(base + "/verdicts", json=verdict, timeout=30).status_code == 401
    assert requests.post(base + "/approvals", json={"model_digest": "d", "gate": "g"}, timeout=30).status_code == 401
    assert requests.post(base + "/approvals/x/approve", json={}, timeout=30).status_code == 401
    protect = {"model": "sepsis", "alias": "champion", "gate": "other", "approval": "none"}
    assert requests.post(base + "/gate/protect", json=protect, timeout=30).status_code == 401
    assert requests.get(base + "/approvals", timeout=30).status_code == 200


@pytest.mark.parametrize("args, code, words", [
    (("check", "sepsis/99"), 4, "99"),
    (("check", "nobody/1"), 4, "nobody"),
    (("approve", "01a1fbcc-3977-7408-9a4a-d48b4a3e925c"), 4, "no approval"),
    (("check", "sepsis/1", "--data", "nowhere.csv"), 4, "nowhere.csv"),
    (("check",), 2, ""),
])
def test_mistakes(project, args, code, words):
    folder, _ = project
    done = support.run_gyre("gate", *args, cwd=folder)
    assert done.returncode == code, done.stderr
    assert words in done.stderr


def test_a_gate_without_metrics_blesses_nothing(project):
    folder, _ = project
    text = (folder / "gyre.yaml").read_text()
    try:
        (folder / "gyre.yaml").write_text("name: sepsis\n")
        done = support.run_gyre("gate", "check", "sepsis/2", cwd=folder)
        assert done.returncode == 3 and "no metrics" in done.stderr
        (folder / "gyre.yaml").write_text("name: sepsis\ngate: {metrics: [{name: recal, min: 0.1}]}\n")
        answer = check(folder, 2, 18)
        assert [c["reason"] for c in answer["checks"] if c["passed"] is False] == ["this metric was not computed"]
        (folder / "gyre.yaml").write_text("name: sepsis\ngate: {metrics: [{name: recall, min: 0.1}], slices: [\"HR > 9000\"]}\n")
        empty = next(c for c in check(folder, 2, 0)["checks"] if c["slice"])
        assert empty["passed"] is None and empty["reason"] == "no row is in this slice"
    finally:
        (folder / "gyre.yaml").write_text(text)
