# SPDX-License-Identifier: Apache-2.0
"""`gyre demo sepsis`, on synthetic and on real vitals: every step ticks and every line of the final table holds."""

import json
import pathlib
import re

import pytest

import support


def play(tmp_path, *args):
    done = support.run_gyre("demo", "sepsis", "--exit", "--json", *args, cwd=tmp_path, timeout=600)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


def check(result, read, bad):
    """Every line of the final table."""
    assert all(step["ok"] for step in result["steps"])
    assert all(step["command"] and step["value"] and step["seconds"] >= 0 for step in result["steps"])
    table = result["table"]
    assert table["accepted"] + table["dead"] == table["read"] == read
    assert table["dead"] == bad
    assert table["refused_version"] == 1 and table["champion_version"] == 3
    assert table["poisoned_refused"] and table["poisoned_version"] == 4
    recall = table["recall"]
    for way in ("rules", "model", "combined"):
        low, high = recall[way + "_interval"]
        assert 0.0 < low <= recall[way] <= high <= 1.0
    # Nothing that sees vital signs alone finds what the blood count alone shows.
    assert recall["rules"] <= recall["combined"] <= recall["ceiling"] + 0.05
    assert recall["combined"] >= 0.75 and recall["model"] >= 0.75 and 0.75 < recall["ceiling"] < 0.92
    offset = table["offset"]
    assert offset["detected"] and offset["retrain"] == "refused" and offset["cleared"]
    assert offset["cause"] == "sensor" and offset["feature"] == "Temp" and 0.8 < offset["offset"] < 1.2
    assert offset["rule_precision"] < 0.75 < 0.95 < offset["rule_precision_before"]
    shift = table["shift"]
    assert shift["detected"] and shift["retrain"] == "promoted" and shift["cause"] == "population" and shift["version"] == 3
    assert shift["recall_before_interval"][1] < shift["recall_after_interval"][0]
    assert shift["recall_before"] < 0.6 < 0.75 < shift["recall_after"]
    assert 0 < table["reviewer_erred"] < 0.06 * table["verdicts"]
    assert table["canary_rolled_back"] and table["rollback_reason"] and table["rollback_identical"]
    assert table["requests"] >= 8000 and table["non_2xx"] == 0
    trace = table["trace"]
    assert len(trace["prediction_id"]) == 36 and len(trace["run_id"]) == 32 and len(trace["data_sha256"]) == 64
    assert trace["revision"] > 1 and trace["model_version"] == "3" and trace["approver"]
    assert trace["code_revision"]
    report = pathlib.Path(table["report"]).read_text(encoding="utf-8")
    assert "What held" in report and "<svg" in report and "srcdoc=" in report
    # What a faulty sensor gave is in no training table, and late diagnoses overrule the reviewer.
    reviewed = json.loads((pathlib.Path(table["report"]).parent / "reports/reviewed.json").read_text(encoding="utf-8"))
    assert reviewed["faulty_left_out"] == 2000 and reviewed["overruled"] > 0
    assert reviewed["reviews"] == reviewed["rows"] + reviewed["faulty_left_out"] + reviewed["duplicates"]
    assert not re.search(r"(src|href)=\"(https?:)?//", report)  # it needs nothing else


@pytest.mark.timeout(600)
def test_demo_on_synthetic_patients(tmp_path):
    check(play(tmp_path), 12040, 40)
    if support.sanitized():
        return  # once is minutes there
    again = support.run_gyre("demo", "sepsis", "--exit", "--quiet", cwd=tmp_path, timeout=600)
    assert again.returncode == 0, again.stderr  # a folder that a demo made is made anew


@pytest.mark.timeout(600)
def test_demo_on_real_vitals(tmp_path, data_dir):
    check(play(tmp_path, "--data", data_dir / "sepsis_vitals.csv"), 31342, 40)


def test_demo_never_empties_a_folder_of_yours(tmp_path):
    mine = tmp_path / "gyre-demo-sepsis"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    done = support.run_gyre("demo", "sepsis", "--exit", cwd=tmp_path)
    assert done.returncode == 6 and "was not made by a demo" in done.stderr
    assert (mine / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("words", [["--data", "no-such-file.csv"]])
def test_a_failing_step_ends_the_demo(tmp_path, words):
    done = support.run_gyre("demo", "sepsis", "--exit", *words, cwd=tmp_path, timeout=600)
    assert done.returncode not in (0, 2) and "no-such-file.csv" in done.stderr
