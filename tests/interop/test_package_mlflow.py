# SPDX-License-Identifier: Apache-2.0
"""The real MLflow reads our packages, and Python's xgboost answers from them with the same bits."""

import csv
import json
import math
import random

import pytest

import support

mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed")


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """{learner: folder}, the table, and the answers of `gyre predict` on it by learner."""
    cwd = tmp_path_factory.mktemp("packages")
    rng = random.Random(3)
    with open(cwd / "t.csv", "w", newline="") as out:
        w = csv.writer(out, lineterminator="\n")
        w.writerow(["id", "HR", "Temp", "sick"])
        for i in range(900):
            hr, temp = rng.randint(60, 120), round(rng.uniform(35, 41), 2)
            sick = int(hr > 90 and temp > 38)
            w.writerow([i, hr, "" if rng.random() < 0.1 else temp, sick])
    (cwd / "schema.yaml").write_text("columns:\n- {name: id, type: int, role: id}\n- {name: Temp, type: float}\n")
    found = {}
    for learner in ("majority", "logistic", "xgboost"):
        support.run_json("train", "t.csv", "--target", "sick", "--learner", learner, "--features", "HR,Temp", "--out",
                         learner, cwd=cwd)
        support.run_json("predict", learner, "t.csv", "-o", f"{learner}.jsonl", cwd=cwd)
        found[learner] = [json.loads(line)["probability"] for line in (cwd / f"{learner}.jsonl").open()]
    return cwd, found


@pytest.mark.parametrize("learner", ["majority", "logistic", "xgboost"])
def test_mlflow_reads_the_package(packages, learner):
    cwd, _ = packages
    info = mlflow.models.get_model_info(str(cwd / learner))
    assert "gyre" in info.flavors
    assert [c.name for c in info.signature.inputs.inputs] == ["HR", "Temp"]
    assert [str(c.type) for c in info.signature.inputs.inputs] == ["DataType.double"] * 2
    assert len(info.run_id) == 32 and len(info.model_uuid) == 32
    model = mlflow.models.Model.load(str(cwd / learner))
    example = model.load_input_example(str(cwd / learner))
    assert list(example.columns) == ["HR", "Temp"] and len(example) == 1


def test_xgboost_answers_with_the_same_bits(packages):
    xgboost = pytest.importorskip("xgboost", reason="Python's xgboost is not installed")
    pandas = pytest.importorskip("pandas")
    cwd, answers = packages
    table = pandas.read_csv(cwd / "t.csv")[["HR", "Temp"]]
    booster = mlflow.xgboost.load_model(str(cwd / "xgboost"))
    assert booster.feature_names == ["HR", "Temp"]
    theirs = booster.predict(xgboost.DMatrix(table)).astype("float64").tolist()
    assert theirs == answers["xgboost"]
    generic = mlflow.pyfunc.load_model(str(cwd / "xgboost")).predict(table.astype("float64"))
    assert [float(v) for v in generic] == answers["xgboost"]


def test_python_features_and_logistic_agree(packages):
    """The linear path, done anew in Python from model.json alone."""
    cwd, answers = packages
    model = json.loads((cwd / "logistic" / "model.json").read_text())
    *weights, intercept = model["learner"]["values"]
    for row, ours in zip(csv.DictReader((cwd / "t.csv").open()), answers["logistic"]):
        total = intercept
        for spec, step, weight in zip(model["inputs"], model["features"], weights):
            x = float(row[spec["name"]]) if row[spec["name"]] else step["fill"]
            total += weight * (x - step["mean"]) / step["sd"]
        assert abs(ours - 1 / (1 + math.exp(-total))) < 1e-12


@pytest.mark.parametrize("form", ["ubj", "json"])
@pytest.mark.parametrize("kind", ["booster", "classifier", "regressor", "three classes"])
def test_what_python_logged_is_answered_with_the_same_bits(packages, tmp_path, kind, form):
    """Any XGBoost version that is installed: since 3.1 base_score is a list in the file."""
    xgboost = pytest.importorskip("xgboost", reason="Python's xgboost is not installed")
    pandas = pytest.importorskip("pandas")
    cwd, _ = packages
    table = pandas.read_csv(cwd / "t.csv")
    x, sick = table[["HR", "Temp"]].astype("float64"), table["sick"]
    options = {"n_estimators": 25, "max_depth": 4, "n_jobs": 1}
    if kind == "booster":
        model = xgboost.train({"objective": "binary:logistic", "nthread": 1}, xgboost.DMatrix(x, sick), 20)
        theirs = model.predict(xgboost.DMatrix(x)).tolist()
    elif kind == "classifier":
        model = xgboost.XGBClassifier(**options).fit(x, sick)
        theirs = model.predict_proba(x)[:, 1].tolist()
    elif kind == "regressor":
        model = xgboost.XGBRegressor(**options).fit(x, x["HR"] * 1.5 + 100)
        theirs = model.predict(x).tolist()
    else:
        model = xgboost.XGBClassifier(**options).fit(x, sick + (x["HR"] > 110))
        theirs = model.predict_proba(x).max(axis=1).tolist()
    folder = tmp_path / "model"
    signature = mlflow.models.infer_signature(x, model.predict(x) if kind != "booster" else None)
    mlflow.xgboost.save_model(model, str(folder), model_format=form, signature=signature)
    support.run_json("predict", folder, cwd / "t.csv", "-o", "out.jsonl", cwd=tmp_path)
    key = "prediction" if kind == "regressor" else "probability"
    ours = [json.loads(line)[key] for line in (tmp_path / "out.jsonl").open()]
    assert ours == theirs


def test_a_pickle_is_refused_by_name(packages, tmp_path):
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    cwd, _ = packages
    model = linear_model.LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    mlflow.sklearn.save_model(model, str(tmp_path / "model"), serialization_format="cloudpickle")
    done = support.run_gyre("predict", tmp_path / "model", cwd / "t.csv", cwd=tmp_path)
    assert done.returncode == 19 and "sklearn" in done.stderr, done.stderr
