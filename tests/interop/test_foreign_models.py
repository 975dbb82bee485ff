# SPDX-License-Identifier: Apache-2.0
"""Models of XGBoost, LightGBM and scikit-learn (by ONNX), logged by MLflow's own clients, answered by Gyre as Python answers:
10,000 rows each, with missing values and values on and next to the splits."""

import json

import pytest

import support

mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
np = pytest.importorskip("numpy", reason="numpy is not installed")
pd = pytest.importorskip("pandas", reason="pandas is not installed")

ROWS, TRAIN = 10_000, 2_000
WARDS = ["surgery", "icu", "Emergency", "ward 7", "maternity"]


@pytest.fixture(scope="module")
def table():
    """x0..x3 numbers, `code` the code of a category, `ward` a text; targets beside them."""
    rng = np.random.default_rng(7)
    t = pd.DataFrame(rng.normal(size=(ROWS, 4)), columns=["x0", "x1", "x2", "x3"])
    t["x1"] = t["x1"].round(1)
    t["x3"] *= 1e6
    t["code"] = rng.integers(0, 12, ROWS).astype(float)
    t["ward"] = rng.choice(WARDS, ROWS)
    score = t["x0"] - t["x1"] + t["code"].isin([2, 5, 7]) + (t["ward"] == "icu") + 0.3 * rng.normal(size=ROWS)
    for name in ("x0", "x1", "x2", "x3"):
        t.loc[rng.random(ROWS) < 0.1, name] = np.nan
    t["number"], t["two"], t["three"] = score, (score > 0.5).astype(int), np.digitize(score, [0, 1.5])
    return t


NUMBERS = ["x0", "x1", "x2", "x3"]


def on_splits(x, splits):
    """Every third value becomes a split of its column, or a neighbour of one. splits: {column: [values]}; x: float32 or float64."""
    x = x.copy()
    for name, values in splits.items():
        column = x[name].to_numpy().copy()
        values = np.asarray(sorted(set(values)), dtype=column.dtype)
        if len(values):
            picks = values[np.arange(len(column)) % len(values)]
            up, down = np.nextafter(picks, np.inf), np.nextafter(picks, -np.inf)
            chosen = np.where(np.arange(len(column)) % 9 == 0, picks, np.where(np.arange(len(column)) % 9 == 3, up, down))
            column = np.where((np.arange(len(column)) % 3 == 0) & ~np.isnan(column), chosen, column)
        x[name] = column
    return x


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


def booster_splits(booster):
    found = {}
    frame = booster.trees_to_dataframe()
    frame = frame[(frame["Feature"] != "Leaf") & frame["Split"].notna()]
    for name, split in zip(frame["Feature"], frame["Split"]):
        found.setdefault(name, []).append(np.float32(split))
    return found


@pytest.mark.parametrize("kind", ["binary", "number", "three", "dart", "forest", "gblinear", "rank", "poisson"])
def test_xgboost_is_answered_with_the_same_bits(table, tmp_path, kind):
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed")
    params = {"binary": {"objective": "binary:logistic"}, "number": {"objective": "reg:squarederror"},
              "three": {"objective": "multi:softprob", "num_class": 3},
              "dart": {"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.4},
              "forest": {"objective": "reg:squarederror", "num_parallel_tree": 4, "subsample": 0.6},
              "gblinear": {"objective": "reg:squarederror", "booster": "gblinear", "updater": "coord_descent"},
              "rank": {"objective": "rank:ndcg"}, "poisson": {"objective": "count:poisson"}}[kind]
    target = {"binary": "two", "three": "three", "dart": "two", "rank": "two", "poisson": "two"}.get(kind, "number")
    x = table[NUMBERS].astype("float32")
    matrix = xgboost.DMatrix(x[:TRAIN], table[target][:TRAIN], **({"group": [100] * (TRAIN // 100)} if kind == "rank" else {}))
    booster = xgboost.train({"nthread": 1, "max_depth": 5, "seed": 3, **params}, matrix, 12)
    if kind != "gblinear":
        x = on_splits(x, booster_splits(booster))
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
    x = table[["x0", "x1", "ward"]].astype({"ward": pd.CategoricalDtype(order)} if order else {"ward": "category"})
    booster = xgboost.train({"nthread": 1, "objective": "binary:logistic"}, xgboost.DMatrix(x[:TRAIN], table["two"][:TRAIN], enable_categorical=True), 10)
    mlflow.xgboost.save_model(booster, str(tmp_path / "model"), pip_requirements=[])
    ours = answers("model", x, tmp_path, "probability")
    assert np.array_equal(ours.astype("float32"), booster.predict(xgboost.DMatrix(x, enable_categorical=True)))


LIGHTGBM = {
    "binary": {"objective": "binary"}, "number": {"objective": "regression"}, "three": {"objective": "multiclass", "num_class": 3},
    "one against all": {"objective": "multiclassova", "num_class": 3}, "forest": {"objective": "binary", "boosting": "rf", "bagging_freq": 1,
                                                                               "bagging_fraction": 0.6},
    "zero": {"objective": "regression", "zero_as_missing": True}, "tweedie": {"objective": "tweedie"}, "rank": {"objective": "lambdarank"},
}


@pytest.mark.parametrize("kind", LIGHTGBM)
def test_lightgbm_is_answered_with_the_same_bits(table, tmp_path, kind):
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed")
    target = {"binary": "two", "forest": "two", "three": "three", "one against all": "three", "tweedie": "two", "rank": "two"}.get(kind, "number")
    x = table[[*NUMBERS, "code"]]
    data = lightgbm.Dataset(x[:TRAIN], table[target][:TRAIN], categorical_feature=["code"],
                            **({"group": [100] * (TRAIN // 100)} if kind == "rank" else {}))
    booster = lightgbm.train({"verbose": -1, "num_threads": 1, "seed": 3, "min_data_per_group": 10, **LIGHTGBM[kind]}, data, 12)
    trees = booster.trees_to_dataframe()
    trees = trees[(trees["decision_type"] == "<=") & trees["threshold"].notna()]
    x = on_splits(x, trees.astype({"threshold": float}).groupby("split_feature")["threshold"].apply(list).drop("code", errors="ignore").to_dict())
    mlflow.lightgbm.save_model(booster, str(tmp_path / "model"), pip_requirements=[])
    theirs = booster.predict(x)
    probability = kind in ("binary", "forest") or theirs.ndim == 2
    if theirs.ndim == 2:
        theirs = check_classes(answers("model", x, tmp_path, None), theirs)
    ours = answers("model", x, tmp_path, "probability" if probability else "prediction")
    assert np.array_equal(ours, theirs)


def test_lightgbm_categories_of_a_table(table, tmp_path):
    """Texts and numbers as categories; a text that training has not seen is answered as pandas' unknown one."""
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed")
    x = table[["x0", "ward", "code"]].copy()
    seen = x[:TRAIN].astype({"ward": pd.CategoricalDtype(list(reversed(WARDS))), "code": "category"})
    seen["code"] = (seen["code"].astype(float) * 10).astype("category")
    booster = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1, "min_data_per_group": 10},
                             lightgbm.Dataset(seen, table["two"][:TRAIN]), 10)
    x["code"] *= 10
    x.loc[::50, "ward"] = "a new wing"
    x.loc[::70, "code"] = 123
    mlflow.lightgbm.save_model(booster, str(tmp_path / "model"), pip_requirements=[])
    theirs = booster.predict(x.astype({"ward": pd.CategoricalDtype([*reversed(WARDS), "a new wing"]), "code": "category"}))
    assert np.array_equal(answers("model", x, tmp_path, "probability"), theirs)


def test_a_pickled_lightgbm_class_says_how_to_export(table, tmp_path):
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed")
    model = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1, n_jobs=1).fit(table[NUMBERS][:500], table["two"][:500])
    mlflow.lightgbm.save_model(model, str(tmp_path / "model"), pip_requirements=[])
    table[NUMBERS][:5].to_csv(tmp_path / "rows.csv", index=False)
    done = support.run_gyre("predict", "model", "rows.csv", cwd=tmp_path)
    assert done.returncode == 19 and "booster_.save_model" in done.stderr, done.stderr
