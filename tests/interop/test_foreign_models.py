# SPDX-License-Identifier: Apache-2.0
"""Models of XGBoost, LightGBM and scikit-learn (by ONNX), logged by MLflow's own clients, answered by Gyre as Python answers:
10,000 rows each, with missing values and values on and next to the splits."""

import json

import pytest

import support

mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
np = pytest.importorskip("numpy", reason="numpy is not installed")
pd = pytest.importorskip("pandas", reason="pandas is not installed")

import foreign  # noqa: E402
from foreign import NUMBERS, TRAIN, WARDS  # noqa: E402


@pytest.fixture(scope="module")
def table():
    return foreign.table()


def answers(folder, x, cwd, key):
    """What Gyre says to the rows of x, in one list."""
    x.to_csv(cwd / "rows.csv", index=False, float_format="%.17g")
    done = support.run_gyre("predict", folder, "rows.csv", "-o", "out.jsonl", cwd=cwd)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (cwd / "out.jsonl").open()]
    assert len(lines) == len(x)
    return lines if key is None else np.array([line[key] for line in lines], dtype=float)


def check_classes(lines, theirs):
    """`gyre predict` tells the class and its probability: which are the largest of theirs."""
    assert [str(line["prediction"]) for line in lines] == [str(c) for c in theirs.argmax(axis=1)]
    return theirs.max(axis=1)


@pytest.mark.parametrize("kind", foreign.XGBOOST)
def test_xgboost_is_answered_with_the_same_bits(table, tmp_path, kind):
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed")
    booster, x = foreign.xgboost_model(kind, table)
    mlflow.xgboost.save_model(booster, str(tmp_path / "model"), pip_requirements=[], model_format="ubj")
    theirs = booster.predict(xgboost.DMatrix(x))
    if kind == "three":
        theirs = check_classes(answers("model", x, tmp_path, None), theirs)
    ours = answers("model", x, tmp_path, "probability" if kind in ("binary", "dart", "three") else "prediction")
    assert np.array_equal(ours.astype("float32"), theirs)


def test_an_early_stop_is_answered_as_the_scikit_class_does(table, tmp_path):
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed")
    x, y = table[NUMBERS], table["two"]
    model = xgboost.XGBClassifier(n_estimators=200, learning_rate=1.0, early_stopping_rounds=3, n_jobs=1)
    model.fit(x[:TRAIN], y[:TRAIN], eval_set=[(x[TRAIN:4000], y[TRAIN:4000])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    mlflow.xgboost.save_model(model, str(tmp_path / "model"), pip_requirements=[])
    ours = answers("model", x, tmp_path, "probability")
    assert np.array_equal(ours.astype("float32"), model.predict_proba(x)[:, 1])


@pytest.mark.parametrize("order", [None, list(reversed(WARDS))])
def test_categories_of_text_go_by_their_names(table, tmp_path, order):
    """XGBoost keeps the categories of a table since 3.1; their order is pandas', not ours."""
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed")
    if tuple(int(v) for v in xgboost.__version__.split(".")[:2]) < (3, 1):
        pytest.skip(f"xgboost {xgboost.__version__} does not keep categories")
    booster, x = foreign.xgboost_of_texts(table, order)
    mlflow.xgboost.save_model(booster, str(tmp_path / "model"), pip_requirements=[])
    ours = answers("model", x, tmp_path, "probability")
    assert np.array_equal(ours.astype("float32"), booster.predict(xgboost.DMatrix(x, enable_categorical=True)))


@pytest.mark.parametrize("kind", foreign.LIGHTGBM)
def test_lightgbm_is_answered_with_the_same_bits(table, tmp_path, kind):
    pytest.importorskip("lightgbm", reason="lightgbm is not installed")
    booster, x = foreign.lightgbm_model(kind, table)
    mlflow.lightgbm.save_model(booster, str(tmp_path / "model"), pip_requirements=[])
    theirs = booster.predict(x)
    probability = kind in ("binary", "forest") or theirs.ndim == 2
    if theirs.ndim == 2:
        theirs = check_classes(answers("model", x, tmp_path, None), theirs)
    ours = answers("model", x, tmp_path, "probability" if probability else "prediction")
    assert np.array_equal(ours, theirs)


def test_lightgbm_categories_of_a_table(table, tmp_path):
    """Texts and numbers as categories; a text that training has not seen is answered as pandas' unknown one."""
    pytest.importorskip("lightgbm", reason="lightgbm is not installed")
    booster, x = foreign.lightgbm_of_texts(table)
    mlflow.lightgbm.save_model(booster, str(tmp_path / "model"), pip_requirements=[])
    assert np.array_equal(answers("model", x, tmp_path, "probability"), foreign.lightgbm_says_of_texts(booster, x))


def test_a_pickled_lightgbm_class_says_how_to_export(table, tmp_path):
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed")
    model = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1, n_jobs=1).fit(table[NUMBERS][:500], table["two"][:500])
    mlflow.lightgbm.save_model(model, str(tmp_path / "model"), pip_requirements=[])
    table[NUMBERS][:5].to_csv(tmp_path / "rows.csv", index=False)
    done = support.run_gyre("predict", "model", "rows.csv", cwd=tmp_path)
    assert done.returncode == 19 and "booster_.save_model" in done.stderr, done.stderr
