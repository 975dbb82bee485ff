# SPDX-License-Identifier: Apache-2.0
"""`gyre demo sepsis`, on synthetic and on real vitals: every step ticks and every line of the table holds."""

import json

import pytest

import support


def play(tmp_path, *args):
    done = support.run_gyre("demo", "sepsis", "--exit", "--json", *args, cwd=tmp_path, timeout=600)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


def check(result, read, bad):
    assert all(step["ok"] for step in result["steps"])
    assert all(step["command"] and step["value"] and step["seconds"] >= 0 for step in result["steps"])
    table = result["table"]
    assert table["accepted"] + table["dead"] == table["read"] == read
    assert table["dead"] == bad
    assert table["refused_version"] == 1 and table["champion_version"] == 2
    recall = table["recall"]
    assert 0.0 < recall["rules"] <= recall["combined"] <= 1.0
    assert recall["combined"] >= 0.75 and recall["model"] >= 0.75
    assert table["requests"] == 2000 and table["non_2xx"] == 0
    trace = table["trace"]
    assert len(trace["prediction_id"]) == 36 and len(trace["run_id"]) == 32 and len(trace["data_sha256"]) == 64
    assert trace["revision"] == 1 and trace["model_version"] == "2" and trace["approver"]
    assert trace["code_revision"]


def test_demo_on_synthetic_patients(tmp_path):
    check(play(tmp_path), 12040, 40)
    again = support.run_gyre("demo", "sepsis", "--exit", "--quiet", cwd=tmp_path, timeout=600)
    assert again.returncode == 0, again.stderr  # a folder that a demo made is made anew


def test_demo_on_real_vitals(tmp_path, data_dir):
    check(play(tmp_path, "--data", data_dir / "sepsis_vitals.csv"), 34342, 40)


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
