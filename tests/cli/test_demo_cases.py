# SPDX-License-Identifier: Apache-2.0
"""`gyre demo fraud` and `gyre demo insurance`: whole cases, with intervals."""

import csv
import json

import pytest

import support

pytestmark = pytest.mark.timeout(600)  # of its commands, on a loaded machine


def play(tmp_path, name, *args):
    done = support.run_gyre("demo", name, "--exit", "--json", *args, cwd=tmp_path, timeout=500)
    assert done.returncode == 0, done.stderr + done.stdout
    result = json.loads(done.stdout)
    assert all(step["ok"] and step["command"] and step["value"] for step in result["steps"])
    return result["table"]


def inside(three):
    assert three["low"] <= three["value"] <= three["high"]
    return three["value"]


def test_insurance_accidents_are_worth_something_out_of_time(tmp_path):
    why = support.duckdb_missing()
    if why:
        pytest.skip(why)
    table = play(tmp_path, "insurance")
    assert table["read"] == table["accepted"] == 40000 and 10000 < table["later"] < 13000
    assert 0 < inside(table["formula"]["gini"]) < inside(table["without_accidents"]["gini"])
    assert inside(table["with_accidents"]["gini"]) > table["without_accidents"]["gini"]["value"]
    assert table["gini_gain"]["low"] > 0  # pair by pair: zero lies outside the interval
    assert table["deviance_change"]["high"] < 0
    assert inside(table["with_accidents"]["deviance"]) < table["formula"]["deviance"]["value"]
    assert table["formula_says"] == pytest.approx(0.128) and table["challenger_says"] > table["formula_says"]
    joined = list(csv.DictReader((tmp_path / "gyre-demo-insurance" / "data" / "joined.csv").open()))
    accidents = list(csv.DictReader((tmp_path / "gyre-demo-insurance" / "data" / "raw" / "accidents.csv").open()))
    for policy in joined[::9000]:  # counted by hand: known at the start, not older than a year
        start = policy["start"][:10]
        year_before = f"{int(start[:4]) - 1}{start[4:]}"
        assert not start.endswith("02-29")
        seen = [a for a in accidents if a["area"] == policy["area"] and year_before <= a["happened"][:10] < start]
        assert abs(len(seen) - (2.718281828459045 ** float(policy["log_accidents"]) - 1)) < 2.5  # a leap day apart


def test_insurance_takes_accidents_of_yours(tmp_path):
    why = support.duckdb_missing()
    if why:
        pytest.skip(why)
    with (tmp_path / "mine.csv").open("w") as out:
        out.write("id,area,happened,street\n")
        for i in range(3000):
            out.write(f"{i},A{i % 60:02d},202{2 + i % 4}-0{1 + i % 9}-1{i % 10}T08:30:00Z,\"Main Street, {i}\"\n")
    table = play(tmp_path, "insurance", "--data", "mine.csv")
    assert table["data"] == "your accidents" and table["accepted"] == 40000


def test_fraud_is_measured_by_what_counts(tmp_path):
    table = play(tmp_path, "fraud")
    assert table["read"] == table["accepted"] + table["dead"] == 100000
    for model in ("logistic", "boosted"):
        assert 0.4 < inside(table[model]["average_precision"]) < 0.95
        assert 0.2 < inside(table[model]["recall_at_precision_90"]) < 0.95
    assert table["honest"] < 0.05 and table["stolen"] > 0.5
