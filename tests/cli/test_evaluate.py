# SPDX-License-Identifier: Apache-2.0
"""gyre evaluate and gyre predict --explain, as a person uses them: comparisons, thresholds, groups, explanations, pictures."""

import csv
import json
import math
import random
import urllib.request
import xml.dom.minidom

import pytest

import support

TABLE = "people.csv"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Two models of the same people in one folder; sex and age are protected."""
    path = tmp_path_factory.mktemp("evaluate")
    rng = random.Random(4)
    with open(path / TABLE, "w", newline="") as out:
        w = csv.writer(out, lineterminator="\n")
        w.writerow(["id", "HR", "Resp", "Temp", "sex", "age", "w", "sick"])
        for i in range(1800):
            hr, resp, temp = rng.randint(60, 120), rng.randint(12, 30), round(rng.uniform(35.5, 40.5), 1)
            sick = ((hr > 90) + (resp > 20) + (temp > 38.3) >= 2) ^ (rng.random() < .05)
            w.writerow([i, hr, resp, temp, rng.choice("mf"), rng.randint(18, 90), rng.randint(0, 3), int(sick)])
    (path / "schema.yaml").write_text(
        "columns:\n- {name: id, type: int, role: id}\n- {name: HR, type: int}\n- {name: Resp, type: int}\n- {name: Temp, type: float}\n"
        "- {name: sex, type: string, role: protected}\n- {name: age, type: int, role: protected}\n- {name: w, type: int}\n"
        "- {name: sick, type: int, values: [0, 1], role: label}\n")
    for learner in ("xgboost", "logistic"):
        support.run_json("train", TABLE, "--target", "sick", "--features", "HR,Resp,Temp", "--learner", learner, "--out", f"m/{learner}", "--seed", "5",
                         cwd=path)
    return path


def evaluate(home, *args):
    return support.run_json("evaluate", "m/xgboost", TABLE, "--replicates", "200", *args, cwd=home)


def test_against_another_model_on_the_same_rows(home):
    got = evaluate(home, "--against", "m/logistic")
    alone = support.run_json("evaluate", "m/logistic", TABLE, "--replicates", "0", cwd=home)
    pairs = got["against"]["metrics"]
    assert set(pairs) == set(got["metrics"]) and got["against"]["trained_on"] == 0
    for name, d in pairs.items():
        assert d["a"] == got["metrics"][name]["value"] and d["b"] == alone["metrics"][name]["value"]
        assert d["difference"] == d["a"] - d["b"] and d["low"] <= d["high"]
    assert pairs["accuracy"]["low"] > 0 and pairs["accuracy"]["better"] == 1  # two of three is not linear
    assert evaluate(home, "--against", "m/logistic", "--threads", "4") == got
    text = support.run_gyre("evaluate", "m/xgboost", TABLE, "--against", "m/logistic", cwd=home).stdout
    assert "m/xgboost less m/logistic" in text and "better" in text


def test_a_threshold_is_chosen_on_other_rows_than_it_is_measured_on(home):
    whole = evaluate(home, "--slice", "HR > 90")
    got = evaluate(home, "--threshold", "precision=0.9")
    assert got["threshold"]["chosen_on"] + got["rows"] == whole["rows"]
    assert got["threshold"]["precision"] >= .9 and got["threshold"]["rule"] == "precision=0.9"
    fixed = evaluate(home, "--threshold", "0.9")
    assert fixed["rows"] == whole["rows"] and fixed["metrics"]["recall"]["value"] < whole["metrics"]["recall"]["value"]
    dear = evaluate(home, "--threshold", "cost=1:50")
    assert dear["threshold"]["value"] < .5 and dear["metrics"]["recall"]["value"] > whole["metrics"]["recall"]["value"]


def test_groups_that_the_schema_protects_and_those_asked_for(home):
    told = {f["column"]: f for f in evaluate(home)["fairness"]}
    assert [g["group"] for g in told["sex"]["groups"]] == ["f", "m"] and len(told["age"]["groups"]) == 4
    assert .5 < told["sex"]["disparate_impact"]["low"] <= told["sex"]["disparate_impact"]["value"] <= 1
    told = {f["column"]: f for f in evaluate(home, "--group", "age=30,50", "--group", "w")["fairness"]}
    assert list(told) == ["age", "w", "sex"] and [g["group"] for g in told["age"]["groups"]] == ["< 30", "30 to 50", ">= 50"]
    assert [g["group"] for g in told["w"]["groups"]] == ["0", "1", "2", "3"]
    record = json.loads((home / "m/xgboost/metrics.json").read_text())
    card = json.loads((home / "m/xgboost/card.json").read_text())
    assert [f["column"] for f in record["fairness"]] == ["sex", "age"] == [f["column"] for f in card["measured"]["fairness"]]


def test_rows_can_weigh(home):
    plain, weighed = evaluate(home), evaluate(home, "--weight", "w")
    assert weighed["weight"] == "w" and "weight" not in plain
    assert weighed["metrics"]["accuracy"]["value"] != plain["metrics"]["accuracy"]["value"]
    done = support.run_gyre("evaluate", "m/xgboost", TABLE, "--weight", "sex", cwd=home)
    assert done.returncode != 0 and "no column of numbers 'sex'" in done.stderr


def test_importance_and_contributions(home):
    got = evaluate(home, "--importance", "--repeats", "5", "--explain")
    assert {x["name"] for x in got["importance"]["inputs"]} == {"HR", "Resp", "Temp"}
    values = [x["value"] for x in got["importance"]["inputs"]]
    assert values == sorted(values, reverse=True) and values[-1] > .05
    assert {f["name"] for f in got["explanation"]["features"]} == {"HR", "Resp", "Temp"} and got["explanation"]["rows"] == got["rows"]
    text = support.run_gyre("evaluate", "m/logistic", TABLE, "--importance", "--explain", cwd=home).stdout
    assert "importance: how much worse auc" in text and "mean |contribution|" in text


@pytest.mark.parametrize("learner,tolerance", [("xgboost", 2e-6), ("logistic", 1e-12)])
def test_predict_explain_sums_to_the_score(home, learner, tolerance):
    support.run_json("predict", f"m/{learner}", TABLE, "--explain", "--out", "why.jsonl", cwd=home)
    support.run_json("predict", f"m/{learner}", TABLE, "--explain", "--out", "why.csv", cwd=home)
    with open(home / "why.jsonl") as lines, open(home / "why.csv", newline="") as table:
        for line, row in zip(map(json.loads, lines), csv.DictReader(table), strict=True):
            why = line["explanation"]
            margin = why["base"] + sum(why["contributions"].values())
            assert margin == pytest.approx(why["margin"], abs=1e-9)
            assert 1 / (1 + math.exp(-margin)) == pytest.approx(line["probability"], abs=tolerance)
            assert float(row["contribution:HR"]) == why["contributions"]["HR"] and float(row["contribution:base"]) == why["base"]


def test_pictures_are_svg_and_the_same_each_time(home):
    for folder in ("a", "b"):
        evaluate(home, "--importance", "--explain", "--plots", folder)
    names = sorted(p.name for p in (home / "a").iterdir())
    assert names == ["calibration.svg", "confusion.svg", "importance.svg", "precision_recall.svg", "roc.svg", "shap.svg"]
    for name in names:
        data = (home / "a" / name).read_bytes()
        assert data == (home / "b" / name).read_bytes()
        doc = xml.dom.minidom.parseString(data)
        assert doc.documentElement.tagName == "svg" and doc.getElementsByTagName("title")
        assert b"prefers-color-scheme:dark" in data and b"href" not in data and b"<script" not in data
        assert b"nan" not in data and b"inf\"" not in data


def test_a_training_leaves_its_pictures_on_the_run_not_in_the_package(home, new_server):
    answer = support.run_json("train", TABLE, "--target", "sick", "--features", "HR,Resp", "--out", "m/pictures", cwd=home)
    assert not list((home / "m/pictures").glob("*.svg"))
    server = new_server(home=home / ".gyre")
    with urllib.request.urlopen(f"{server.url}/api/2.0/mlflow/artifacts/list?run_id={answer['run_id']}&path=plots", timeout=30) as reply:
        files = [f["path"] for f in json.load(reply)["files"]]
    assert files == [f"plots/{n}.svg" for n in ("calibration", "confusion", "importance", "precision_recall", "roc")]


def test_predictions_of_anybody(home):
    support.run_json("predict", "m/xgboost", TABLE, "--out", "said.csv", cwd=home)
    whole = evaluate(home, "--all-rows", "--replicates", "0")
    got = support.run_json("evaluate", "said.csv", "--predicted", "probability", "--target", "sick", "--replicates", "0", cwd=home)
    assert got["metrics"] == whole["metrics"] and got["on"] == "all" and "digest" not in got
    words = home / "words.csv"
    words.write_text("y,a,b,c\nx,.6,.3,.1\ny,.2,.5,.3\nz,.1,.2,.7\nx,.2,.6,.2\n")
    got = support.run_json("evaluate", words, "--predicted", "a,b,c", "--target", "y", "--classes", "x,y,z", "--replicates", "0", cwd=home)
    assert got["confusion_matrix"] == {"labels": ["x", "y", "z"], "counts": [[1, 1, 0], [0, 1, 0], [0, 0, 1]]}


def test_the_deviance_is_the_one_that_the_model_made_small(home):
    rng = random.Random(9)
    with open(home / "counts.csv", "w") as out:
        out.write("x,z,n\n" + "".join(f"{(x := rng.random()):.6f},{rng.random():.6f},{sum(rng.random() < .1 + .2 * x for _ in range(10))}\n" for _ in range(400)))
    support.run_json("train", "counts.csv", "--target", "n", "--learner", "glm", "--params", write_params(home), "--features", "x,z", "--out", "m/glm", cwd=home)
    own, poisson, normal = (support.run_json("evaluate", "m/glm", "counts.csv", "--replicates", "0", *power, cwd=home)["metrics"]
                            for power in ([], ["--power", "1"], ["--power", "3"]))
    assert own == poisson and own["deviance"] != normal["deviance"]
    # every contribution of a row and the base sum to the logarithm of its answer
    support.run_json("predict", "m/glm", "counts.csv", "--explain", "--out", "counts.jsonl", cwd=home)
    for line in map(json.loads, (home / "counts.jsonl").read_text().splitlines()):
        assert math.exp(line["explanation"]["margin"]) == pytest.approx(line["prediction"], rel=1e-12)


def write_params(home):
    (home / "params.yaml").write_text("train:\n  task: regression\n  glm: {family: poisson}\n")
    return "params.yaml"


def test_training_rows_are_marked(home):
    done = support.run_gyre("evaluate", "m/xgboost", TABLE, "--training-rows", cwd=home)
    assert "the numbers flatter" in done.stderr and "(training)" in done.stdout
    got = evaluate(home, "--training-rows")
    assert got["on"] == "training" and got["trained_on"] == got["rows"]


@pytest.mark.parametrize("args,code,says", [
    (["m/xgboost", TABLE, "--threshold", "best"], None, "is no rule for a threshold"),
    (["m/xgboost", TABLE, "--threshold", "precision=1.5"], None, "not in (0, 1]"),
    (["m/xgboost", TABLE, "--group", "age=50,30"], None, "do not ascend"),
    (["m/xgboost", TABLE, "--group", "age=x"], None, "edges are numbers"),
    (["m/xgboost", TABLE, "--group", "nobody"], None, "no column 'nobody'"),
    (["m/xgboost", TABLE, "--group", "id=1"], None, None),
    (["m/xgboost", TABLE, "--power", "0.5"], 2, "--power takes"),
    (["m/xgboost", TABLE, "--repeats", "0"], 2, "--repeats takes"),
    (["m/xgboost"], 2, "MODEL and TABLE"),
    (["m/xgboost", TABLE, "--predicted", "p"], 2, "the TABLE alone"),
    ([TABLE, "--predicted", "HR"], 2, "--target COLUMN"),
    ([TABLE, "--predicted", "HR", "--target", "sick", "--task", "binary"], None, "no probability"),
    ([TABLE, "--predicted", "w", "--target", "sex", "--classes", "a,b"], None, "none of the classes"),
    ([TABLE, "--predicted", "w", "--target", "sick", "--explain"], 2, "need a model"),
])
def test_refusals(home, args, code, says):
    done = support.run_gyre("evaluate", *args, cwd=home)
    if says is None:
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == code if code else done.returncode != 0
    assert says in done.stderr
