# SPDX-License-Identifier: Apache-2.0
"""`gyre demo iris`, the shortest whole project, on the real flowers and on made ones."""

import csv
import json
import statistics

import pytest

import support

pytestmark = pytest.mark.timeout(600)  # of its commands, on a loaded machine


def play(tmp_path, *args):
    done = support.run_gyre("demo", "iris", "--exit", "--json", *args, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr + done.stdout
    result = json.loads(done.stdout)
    assert all(step["ok"] and step["command"] and step["value"] for step in result["steps"])
    table = result["table"]
    low, high = table["accuracy_interval"]
    assert table["read"] == table["accepted"] == 150 and table["version"] == 1
    assert 0.8 < low <= table["accuracy"] <= high <= 1 and table["right"] == table["asked"] == 3
    return table


def test_the_real_flowers(tmp_path):
    why = support.vega_datasets_missing()
    if why:
        pytest.skip(why)
    assert play(tmp_path)["data"] == "vega-datasets"


def test_made_flowers_have_the_published_means(tmp_path):
    made = tmp_path / "made.csv"
    support.run_json("data", "synth", "iris", "-o", made, cwd=tmp_path)
    assert play(tmp_path, "--data", made)["data"] == "file"
    done = support.run_gyre("data", "synth", "iris", "--rows", "0", "-o", made, cwd=tmp_path)
    assert done.returncode not in (0, 139) and "--rows must be 1 to" in done.stderr
    support.run_json("data", "synth", "iris", "--rows", "30000", "--seed", "5", "-o", made, cwd=tmp_path)
    rows = list(csv.DictReader(made.open()))
    versicolor = [row for row in rows if row["species"] == "versicolor"]
    assert len(versicolor) == 10000
    lengths = [float(row["petal_length"]) for row in versicolor]
    assert abs(statistics.mean(lengths) - 4.260) < 0.02 and abs(statistics.variance(lengths) - 0.2208) < 0.02
    assert abs(statistics.correlation(lengths, [float(row["sepal_length"]) for row in versicolor]) - 0.754) < 0.02


def test_a_new_template_is_a_whole_project(tmp_path):
    for name in ("iris", "fuel", "bikes", "fraud", "insurance", "rings"):
        answer = support.run_json("init", "--template", name, tmp_path / name, cwd=tmp_path)
        assert {"gyre.yaml", "dvc.yaml", "params.yaml", "schema.yaml", "README.md"} <= set(answer["files"])
    done = support.run_gyre("init", "--template", "roses", tmp_path / "roses", cwd=tmp_path)
    assert done.returncode == 2 and "sepsis, fuel, bikes, iris, fraud, insurance, rings, blank" in done.stderr
