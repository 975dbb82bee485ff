# SPDX-License-Identifier: Apache-2.0
"""`gyre demo bikes`: reference system 003 from 17 checked columns to April's drift, and `gyre train --grid` that is in it."""

import json
import math

import pytest

import support

pytestmark = pytest.mark.timeout(600)  # of its commands, on a loaded machine


def play(tmp_path, *args):
    done = support.run_gyre("demo", "bikes", "--exit", "--json", *args, cwd=tmp_path, timeout=500)
    assert done.returncode == 0, done.stderr + done.stdout
    result = json.loads(done.stdout)
    assert all(step["ok"] and step["command"] and step["value"] for step in result["steps"])
    table = result["table"]
    assert table["runs"] == 16 and table["version"] == 1 and table["columns"] == 17
    low, high = table["rmse_interval"]
    assert low < table["rmse"] < high and table["r2"] > 0.6
    assert table["april_rmse"] > high  # April is warmer than all that was learnt from
    return table


def test_golden_values(tmp_path, data_dir):
    table = play(tmp_path, "--data", data_dir)
    assert table["read"] == table["accepted"] == 2067
    drift = table["drift"]
    for name, value in {"temp": 1.7849, "atemp": 1.7225, "humidity": .4691, "windspeed": .1985, "hour": .0374,
                        "weekday": .0898}.items():
        assert drift[name]["test"] == "wasserstein" and abs(drift[name]["score"] - value) < 6e-5, name
    base_2 = 1 / math.sqrt(math.log(2))  # the golden values have logarithms of base 2
    for name, value in {"holiday": .026, "workingday": .013, "weathersit": .042}.items():
        assert abs(drift[name]["score"] * base_2 - value) < 6e-4, name
    assert table["columns_drifted"] == 4 and table["columns_compared"] == 9 and not table["dataset_drift"]
    assert abs(table["target_score"] - .8890) < 6e-5 and table["target_drift"]
    assert table["rmse"] < 36  # the reference's own: 31.77
    # 16 runs below one parent, which names the best.
    folder = tmp_path / "gyre-demo-bikes"
    grid = json.loads((folder / "reports/grid.json").read_text())
    runs = {run["info"]["run_id"]: run for run in support.run_json("runs", "list", "--experiment", "bike_sharing", cwd=folder)["runs"]}
    assert len(runs) == 17 and len(grid["runs"]) == 16
    tags = [{tag["key"]: tag["value"] for tag in runs[run["run_id"]]["data"]["tags"]} for run in grid["runs"]]
    assert all(tag["mlflow.parentRunId"] == grid["run_id"] for tag in tags)
    best = min(grid["runs"], key=lambda run: run["score"])
    assert best["run_id"] == grid["best"]["run_id"] == table["best"]["run_id"]
    assert {"trees", "depth"} == set(best["settings"]) and grid["metric"] == "rmse"
    params = {p["key"]: p["value"] for p in runs[grid["run_id"]]["data"]["params"]}
    assert params["trees"] == best["settings"]["trees"] and params["depth"] == best["settings"]["depth"]
    versions = support.run_json("models", "show", "bikes", cwd=folder)
    assert best["run_id"] in json.dumps(versions)


def test_made_months(tmp_path):
    answer = support.run_json("data", "synth", "bikes", "-o", "a", cwd=tmp_path)
    assert answer["rows"] == 8760
    support.run_json("data", "synth", "bikes", "-o", "b", cwd=tmp_path)
    months = sorted((tmp_path / "a").iterdir())
    assert [m.name for m in months] == [f"bikes_2011_{m:02d}.csv" for m in range(1, 13)]
    assert all(m.read_bytes() == (tmp_path / "b" / m.name).read_bytes() for m in months)
    rows = [line.split(",") for line in months[3].read_text().splitlines()]
    assert len(rows[0]) == 17 and len(rows) == 721
    assert all(int(row[14]) + int(row[15]) == int(row[16]) > 0 for row in rows[1:])
    warm = [sum(float(line.split(",")[10]) for line in m.read_text().splitlines()[1:]) for m in (months[0], months[3], months[6])]
    assert warm[0] < warm[1] < warm[2]


def fails(tmp_path, code, says, *words):
    done = support.run_gyre("train", "t.csv", "--target", "y", "--learner", "forest", *words, cwd=tmp_path)
    assert done.returncode == code and says in done.stderr, done.stderr


def test_a_grid_over_two_settings(tmp_path):
    lines = [f"{i},{i % 7},{(i * 37) % 11},{(i % 7) * 3 + (i * 37) % 11}" for i in range(300)]
    (tmp_path / "t.csv").write_text("id,a,b,y\n" + "\n".join(lines) + "\n")
    words = ["train", "t.csv", "--target", "y", "--features", "a,b", "--learner", "forest", "--grid", "trees=3,20",
             "--grid", "depth=1,8", "--register", "m", "--out", "best", "--experiment", "grid"]
    first = support.run_json(*words, cwd=tmp_path)
    assert [run["settings"] for run in first["runs"]] == [{"trees": t, "depth": d} for t in ("3", "20") for d in ("1", "8")]
    assert first["best"]["settings"]["depth"] == "8" and first["version"] == 1 and first["servable"]
    assert {path.name for path in (tmp_path / "best").iterdir()} >= {"MLmodel", "model.json"}
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".grid")]
    # Same data, same settings: the same scores; for people a table, the best one first.
    again = support.run_gyre(*words, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "version 2: servable" in again.stdout and "4 runs below run" in again.stdout
    assert f"{first['best']['score']:.4f}" in again.stdout.splitlines()[1]
    fails(tmp_path, 2, "is no axis of a grid", "--grid", "trees")
    fails(tmp_path, 2, "there twice", "--grid", "trees=1", "--grid", "trees=2")
    fails(tmp_path, 2, "at most 512 runs", *[w for k in ("trees", "depth", "max_bin") for w in
                                            ("--grid", f"{k}=" + ",".join(map(str, range(2, 12))))])
    done = support.run_gyre(*words[:6], "--learner", "forest", "--grid", "leaves=1,2", cwd=tmp_path)
    assert done.returncode != 0 and "leaves" in done.stderr
    done = support.run_gyre(*words[:6], "--learner", "forest", "--grid", "trees=1", "--metric", "auc", cwd=tmp_path)
    assert done.returncode != 0 and "has no 'auc'" in done.stderr
