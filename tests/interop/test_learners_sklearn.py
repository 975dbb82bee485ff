# SPDX-License-Identifier: Apache-2.0
"""The learners as packages beside scikit-learn and XGBoost in Python: fitted on the same rows, they give the same answers."""

import csv
import ctypes
import ctypes.util
import hashlib
import json

import pytest

import support

np = pytest.importorskip("numpy", reason="numpy is not installed")
linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")

NEWTON = {"solver": "newton-cholesky", "tol": 1e-12, "max_iter": 10000}
SEED, HOLDOUT, ROWS = 3, 0.3, 1200


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Columns of very different sizes, and a target for every learner."""
    folder = tmp_path_factory.mktemp("learners")
    rng = np.random.default_rng(5)
    n = ROWS
    t = {"a": rng.normal(size=n), "big": rng.uniform(0, 1e4, n), "c": rng.uniform(size=n)}
    t["square"] = t["big"] ** 2
    score = t["a"] + 1e-4 * t["big"] - t["c"]
    t["weeks"] = np.round(rng.uniform(1, 52, n), 3)
    t["value"] = 3 * score + rng.normal(size=n)
    t["claims"] = rng.poisson(np.exp(score / 2 - 4) * t["weeks"])
    t["cost"] = rng.gamma(2, np.exp(score / 3))
    t["total"] = np.array([rng.gamma(2, 1, k).sum() for k in t["claims"]])
    t["sick"] = (score + rng.logistic(size=n) > 0).astype(int)
    t["kind"] = np.array(["x", "y", "z"])[np.argmax(np.outer(score, [1, 0, -1]) + rng.gumbel(size=(n, 3)), axis=1)]
    with open(folder / "t.csv", "w", newline="") as out:
        w = csv.writer(out, lineterminator="\n")
        w.writerow(["id", *t])
        for i in range(n):
            w.writerow([i, *(repr(float(v[i])) if v.dtype.kind == "f" else v[i] for v in t.values())])
    (folder / "schema.yaml").write_text("columns:\n- {name: id, type: int, role: id}\n")
    held = np.array([int.from_bytes(hashlib.sha256(f"{SEED}\n{i}".encode()).digest()[:8], "big") / 2**64 < HOLDOUT for i in range(n)])
    return folder, t, held


def fit(table, name, target, features, learner, settings, **more):
    """The values of the fitted model and what the package answers to every row."""
    folder, t, _ = table
    params = {"seed": SEED, "holdout": HOLDOUT, "train": {"learner": learner, "target": target, "features": features, "replicates": 0,
                                                          learner: settings, **more}}
    if target not in ("sick", "kind"):
        params["train"]["task"] = "regression"
    (folder / f"{name}.yaml").write_text(json.dumps(params))
    support.run_json("train", "t.csv", "--params", f"{name}.yaml", "--out", name, cwd=folder)
    done = support.run_gyre("predict", name, "t.csv", "-o", f"{name}.jsonl", cwd=folder)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
    return json.loads((folder / name / "model.json").read_text())["learner"], answers


def matrix(table, features):
    return np.column_stack([table[1][f] for f in features]).astype(float)


def numbers(answers):
    return np.array([a["prediction"] for a in answers], dtype=float)


FEATURES = ["a", "big", "square", "c"]


@pytest.mark.parametrize("l2", [0, 2.5])
def test_linear_is_linear_regression_and_ridge(table, l2):
    _, t, held = table
    x, y = matrix(table, FEATURES), t["value"]
    theirs = (linear_model.Ridge(alpha=l2, solver="svd") if l2 else linear_model.LinearRegression(tol=1e-15)).fit(x[~held], y[~held])
    _, answers = fit(table, f"linear-{l2}", "value", FEATURES, "linear", {"l2": l2})
    assert numbers(answers) == pytest.approx(theirs.predict(x), rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("family,target,power", [("poisson", "claims", 1), ("gamma", "cost", 2), ("tweedie", "total", 1.4)])
@pytest.mark.parametrize("l2", [0, 0.01])
def test_glm_is_the_regressor_of_its_family(table, family, target, power, l2):
    _, t, held = table
    features = ["a", "c"]
    x, y = matrix(table, features), t[target].astype(float)
    theirs = linear_model.TweedieRegressor(power=power, alpha=l2, link="log", **NEWTON).fit(x[~held], y[~held])
    settings = {"family": family, "l2": l2} | ({"power": power} if family == "tweedie" else {})
    _, answers = fit(table, f"{family}-{l2}", target, features, "glm", settings)
    assert numbers(answers) == pytest.approx(theirs.predict(x), rel=1e-8)


def test_exposure_is_a_rate_weighted_by_it(table):
    _, t, held = table
    x, weeks = matrix(table, ["a", "c"]), t["weeks"]
    theirs = linear_model.PoissonRegressor(alpha=0, **NEWTON).fit(x[~held], (t["claims"] / weeks)[~held], sample_weight=weeks[~held])
    model, answers = fit(table, "exposure", "claims", ["a", "weeks", "c"], "glm", {"exposure": "weeks"})
    assert numbers(answers) == pytest.approx(theirs.predict(x) * weeks, rel=1e-8)


@pytest.mark.parametrize("target", ["sick", "kind"])
def test_logistic_is_logistic_regression(table, target):
    _, t, held = table
    x = matrix(table, ["a", "c"])
    scaled = (x - x[~held].mean(axis=0)) / x[~held].std(axis=0)
    theirs = linear_model.LogisticRegression(C=1 / 0.7, **NEWTON).fit(scaled[~held], t[target][~held])
    _, answers = fit(table, f"logistic-{target}", target, ["a", "c"], "logistic", {"l2": 0.7})
    want = theirs.predict_proba(scaled)
    got = np.array([a["probability"] for a in answers])
    assert got == pytest.approx(want[:, 1] if target == "sick" else want.max(axis=1), abs=1e-8)
    assert [a["prediction"] for a in answers] == [str(c) for c in theirs.classes_[want.argmax(axis=1)]]


def test_a_formula_is_what_it_says(table):
    _, t, held = table
    text = "if(a > 0, 2, 1) * 0.1 * weeks"
    told = np.where(t["a"] > 0, 2, 1) * 0.1 * t["weeks"]
    _, answers = fit(table, "formula", "claims", ["a", "weeks"], "formula", {"formula": text})
    assert numbers(answers) == pytest.approx(told, rel=1e-15)
    _, answers = fit(table, "calibrated", "claims", ["a", "weeks"], "formula", {"formula": text, "calibrate": True})
    factor = t["claims"][~held].sum() / told[~held].sum()
    assert numbers(answers) == pytest.approx(told * factor, rel=1e-12)


def test_a_forest_is_as_good_as_theirs(table):
    ensemble = pytest.importorskip("sklearn.ensemble")
    _, t, held = table
    x, y = matrix(table, FEATURES), t["value"]
    theirs = ensemble.RandomForestRegressor(100, max_depth=12, max_features=1 / 3, random_state=0).fit(x[~held], y[~held])
    _, answers = fit(table, "forest", "value", FEATURES, "forest", {"trees": 100})
    rmse = [np.sqrt(np.mean((p - y)[held] ** 2)) for p in (numbers(answers), theirs.predict(x))]
    assert rmse[0] < rmse[1] * 1.05
    classifier = ensemble.RandomForestClassifier(100, max_depth=12, random_state=0).fit(x[~held], t["sick"][~held])
    _, answers = fit(table, "forest-sick", "sick", FEATURES, "forest", {"trees": 100, "min_child_weight": 1})
    p = np.array([a["probability"] for a in answers])
    assert p.min() >= 0 and p.max() <= 1
    brier = [np.mean((q - t["sick"])[held] ** 2) for q in (p, classifier.predict_proba(x)[:, 1])]
    assert brier[0] < brier[1] * 1.1
    _, answers = fit(table, "forest-kind", "kind", FEATURES, "forest", {"trees": 50})
    p = np.array([a["probability"] for a in answers])
    assert p.min() >= 1 / 3 - 1e-12 and p.max() <= 1
    classifier = ensemble.RandomForestClassifier(50, max_depth=12, random_state=0).fit(x[~held], t["kind"][~held])
    right = [np.mean(np.array(k)[held] == t["kind"][held]) for k in ([a["prediction"] for a in answers], classifier.predict(x))]
    assert right[0] > right[1] - .04


# ---- XGBoost: the same library, called without Gyre ----


def alone(x, y, params, rounds, keep=0):
    """The model that libxgboost gives for these rows when it is called by ctypes alone."""
    try:
        lib = ctypes.CDLL("libxgboost.so.0")
    except OSError:
        pytest.skip("libxgboost.so.0 is not installed")
    x, y = np.ascontiguousarray(x, np.float32), np.ascontiguousarray(y, np.float32)
    handle, booster, part = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
    lib.XGBGetLastError.restype = ctypes.c_char_p

    def call(name, *args):
        assert getattr(lib, name)(*args) == 0, lib.XGBGetLastError()

    call("XGDMatrixCreateFromMat", x.ctypes.data_as(ctypes.c_void_p), ctypes.c_uint64(x.shape[0]), ctypes.c_uint64(x.shape[1]),
         ctypes.c_float(np.nan), ctypes.byref(handle))
    call("XGDMatrixSetFloatInfo", handle, b"label", y.ctypes.data_as(ctypes.c_void_p), ctypes.c_uint64(len(y)))
    call("XGBoosterCreate", ctypes.byref(handle), ctypes.c_uint64(1), ctypes.byref(booster))
    for key, value in {"verbosity": 0, "nthread": 1, **params}.items():
        call("XGBoosterSetParam", booster, key.encode(), str(value).encode())
    for i in range(rounds):
        call("XGBoosterUpdateOneIter", booster, i, handle)
    if keep:
        call("XGBoosterSlice", booster, 0, keep, 1, ctypes.byref(part))
        booster = part
    names = (ctypes.c_char_p * len(FEATURES))(*(f.encode() for f in FEATURES))
    call("XGBoosterSetStrFeatureInfo", booster, b"feature_name", names, ctypes.c_uint64(len(FEATURES)))
    size, data = ctypes.c_uint64(), ctypes.c_char_p()
    call("XGBoosterSaveModelToBuffer", booster, b'{"format": "ubj"}', ctypes.byref(size), ctypes.byref(data))
    return ctypes.string_at(data, size.value)


@pytest.mark.parametrize("name,target,settings,params", [
    ("plain", "sick", {"rounds": 20}, {"objective": "binary:logistic", "base_score": .5}),
    ("classes", "kind", {"rounds": 8, "depth": 4, "eta": .2}, {"objective": "multi:softprob", "base_score": .5, "num_class": 3, "max_depth": 4,
                                                             "eta": .2}),
    ("counts", "claims", {"rounds": 15, "objective": "poisson", "subsample": .7}, {"objective": "count:poisson", "subsample": .7}),
    ("amounts", "cost", {"rounds": 15, "objective": "gamma"}, {"objective": "reg:gamma"}),
    ("totals", "total", {"rounds": 15, "objective": "tweedie", "power": 1.3}, {"objective": "reg:tweedie", "tweedie_variance_power": 1.3}),
    ("median", "value", {"rounds": 15, "objective": "absoluteerror"}, {"objective": "reg:absoluteerror"}),
    ("parallel", "value", {"rounds": 4, "num_parallel_tree": 5, "subsample": .6, "colsample_bynode": .5, "eta": .9},
     {"objective": "reg:squarederror", "num_parallel_tree": 5, "subsample": .6, "colsample_bynode": .5, "eta": .9}),
    ("monotone", "value", {"rounds": 15, "monotone": ["+a", "-c"]}, {"objective": "reg:squarederror", "monotone_constraints": "(1,0,0,-1)"}),
])
def test_xgboost_is_the_library_bit_for_bit(table, name, target, settings, params):
    folder, t, held = table
    x = matrix(table, FEATURES)
    y = np.searchsorted(["x", "y", "z"], t[target]) if target == "kind" else t[target]
    _, answers = fit(table, f"xgb-{name}", target, FEATURES, "xgboost", settings)
    theirs = alone(x[~held], y[~held], {"tree_method": "hist", "seed": SEED, **params}, settings["rounds"])
    assert (folder / f"xgb-{name}" / "model.ubj").read_bytes() == theirs
    assert len(answers) == ROWS


def test_early_stopping_keeps_the_best_rounds(table):
    folder, t, _ = table
    model, _ = fit(table, "early", "value", FEATURES, "xgboost", {"rounds": 400, "eta": .3, "early_stopping": 10, "validation": .2})
    kept = model["params"]["kept_rounds"]
    assert 1 <= kept < 390
    full, _ = fit(table, "full", "value", FEATURES, "xgboost", {"rounds": 400, "eta": .3})
    rmse = [json.loads((folder / d / "metrics.json").read_text())["metrics"]["rmse"]["value"] for d in ("early", "full")]
    assert rmse[0] < rmse[1]


def test_xgboost_in_python_answers_the_same(table):
    """A newer XGBoost reads the model and says the same, to the last bits of its own arithmetic."""
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed")
    folder, _, _ = table
    _, answers = fit(table, "python", "sick", FEATURES, "xgboost", {"rounds": 20})
    booster = xgboost.Booster(model_file=str(folder / "python" / "model.ubj"))
    want = booster.predict(xgboost.DMatrix(matrix(table, FEATURES).astype(np.float32), feature_names=FEATURES))
    assert np.array([a["probability"] for a in answers]) == pytest.approx(want, abs=1e-6)


# ---- what can not be learnt says so ----


@pytest.mark.parametrize("target,learner,settings,message", [
    ("value", "glm", {}, "a Poisson model needs targets of 0 or more"),
    ("claims", "glm", {"family": "gamma"}, "a Gamma model needs targets above 0"),
    ("claims", "glm", {"exposure": "nothing"}, "is not among the features"),
    ("claims", "glm", {"exposure": "a"}, "must be above 0"),
    ("value", "formula", {"formula": "a + nothing"}, "nothing"),
    ("sick", "formula", {"formula": "big"}, "a probability is from 0 to 1"),
    ("value", "xgboost", {"objective": "poisson"}, "needs targets of 0 or more"),
    ("sick", "xgboost", {"objective": "poisson"}, "objective is for regression"),
    ("value", "xgboost", {"monotone": ["a"]}, "monotone"),
])
def test_what_can_not_be_learnt_says_so(table, target, learner, settings, message):
    folder, _, _ = table
    params = {"seed": SEED, "train": {"learner": learner, "target": target, "features": FEATURES, learner: settings}}
    if target in ("value", "claims"):
        params["train"]["task"] = "regression"
    (folder / "bad.yaml").write_text(json.dumps(params))
    done = support.run_gyre("train", "t.csv", "--params", "bad.yaml", "--out", "bad", "--json", cwd=folder)
    assert done.returncode != 0
    assert message in json.loads(done.stdout)["error"]["message"]
