# SPDX-License-Identifier: Apache-2.0
"""`gyre demo fuel`: the golden values of reference system 004 to all digits, and the honest number beside them."""

import json

import pytest

import support

pytestmark = pytest.mark.timeout(600)  # of its commands, on a loaded machine


def play(tmp_path, *args):
    done = support.run_gyre("demo", "fuel", "--exit", "--json", *args, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


def check(result):
    assert all(step["ok"] and step["command"] and step["value"] and step["seconds"] >= 0 for step in result["steps"])
    table = result["table"]
    rows = table["rows"]
    assert len(rows) >= 3 and rows == sorted(rows, reverse=True)
    low, high = table["cv_r2_interval"]
    assert 0.6 < low < table["cv_r2"] < high < 1
    assert table["r2_measured_on"] == "training" and table["r2"] > 0.7
    assert 5 < table["l_per_100km"] < 15 and "year is 23, outside of the 70 to 82" in table["warning"]
    assert abs(100 / table["miles_per_gallon"] * (3.785411784 / 1609.344 * 1000) - table["l_per_100km"]) < 1e-12
    return table


def test_golden_values(tmp_path, data_dir):
    result = play(tmp_path, "--data", data_dir / "auto_mpg.csv")
    table = check(result)
    assert table["rows"] == [397, 392, 386, 376, 375, 368]
    assert abs(table["r2"] - 0.8719501738) < 5e-11
    assert abs(table["l_per_100km"] - 10.0422772106) < 5e-11
    assert abs(table["miles_per_gallon"] - 23.42243481) < 5e-9
    assert abs(table["extrapolated_l_per_100km"] - 1.8032310948) < 5e-11
    # Cars that were left out of training are measured on: the honest number is the lower one.
    assert table["cv_r2"] < table["r2"] and table["data"] == "file"
    folder = tmp_path / "gyre-demo-fuel"
    flattering = json.loads((folder / "models/flattering/card.json").read_text())
    assert "the rows trained on" in json.dumps(flattering)
    runs = support.run_json("runs", "list", "--experiment", "fuel", cwd=folder)["runs"]
    tags = sorted(tag["value"] for run in runs for tag in run["data"]["tags"] if tag["key"] == "gyre.measured_on")
    assert tags == ["cross_validation", "training"]


def test_the_table_of_the_package(tmp_path):
    why = support.vega_datasets_missing()
    if why:
        pytest.skip(why)
    table = check(play(tmp_path))
    assert table["data"] == "vega-datasets" and table["rows"][0] == 398 and table["rows"][1] == 392


def test_made_cars(tmp_path):
    made = tmp_path / "made.csv"
    answer = support.run_json("data", "synth", "cars", "-o", made, cwd=tmp_path)
    assert answer["rows"] == 397
    first = made.read_bytes()
    lines = first.decode().splitlines()
    assert lines[0] == "mpg,cyl,dpl,hp,wght,acc,year,org,name" and sum(",?," in line for line in lines) == 5
    support.run_json("data", "synth", "cars", "-o", made, cwd=tmp_path)
    assert made.read_bytes() == first
    check(play(tmp_path, "--data", made))
    done = support.run_gyre("data", "synth", "cars", "--drift", "mpg=+1", "-o", made, cwd=tmp_path)
    assert done.returncode == 2 and "takes --rows, --seed and -o" in done.stderr
