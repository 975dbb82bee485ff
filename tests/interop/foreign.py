# SPDX-License-Identifier: Apache-2.0
"""Models of XGBoost, LightGBM and scikit-learn, and rows to ask them: what the tests of foreign models share. Asking is up to them.

    table()               10,000 rows with missing values, and targets of every kind beside them
    xgboost_model(...)    a booster; XGBOOST names the kinds. booster_splits(booster): {column: [its splits]}
    lightgbm_model(...)   the same of LIGHTGBM; lightgbm_splits(booster)
    scikit(kind)          an estimator, not fitted
    on_splits(x, splits)  the rows with values on and next to the splits
    with_edges(x, values) the rows with those values, one in every seventh row, each in every column
"""

import numpy as np
import pandas as pd

ROWS, TRAIN = 10_000, 2_000
WARDS = ["surgery", "icu", "Emergency", "ward 7", "maternity"]
NUMBERS = ["x0", "x1", "x2", "x3"]


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


def with_edges(x, values):
    a = x.to_numpy(copy=True)
    k = np.arange(len(a) // 7)
    a[k * 7, k % a.shape[1]] = np.asarray(values, dtype=a.dtype)[k // a.shape[1] % len(values)]
    assert len(k) >= a.shape[1] * len(values)
    return pd.DataFrame(a, columns=x.columns)


# ---- XGBoost ----

XGBOOST = {"binary": {"objective": "binary:logistic"}, "number": {"objective": "reg:squarederror"},
           "three": {"objective": "multi:softprob", "num_class": 3},
           "dart": {"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.4},
           "forest": {"objective": "reg:squarederror", "num_parallel_tree": 4, "subsample": 0.6},
           "gblinear": {"objective": "reg:squarederror", "booster": "gblinear", "updater": "coord_descent"},
           "rank": {"objective": "rank:ndcg"}, "poisson": {"objective": "count:poisson"}}


def groups(kind):
    return {"group": [100] * (TRAIN // 100)} if kind == "rank" else {}


def xgboost_model(kind, table):
    """The booster, and the rows to ask it (float32)."""
    import xgboost
    target = {"binary": "two", "three": "three", "dart": "two", "rank": "two", "poisson": "two"}.get(kind, "number")
    x = table[NUMBERS].astype("float32")
    matrix = xgboost.DMatrix(x[:TRAIN], table[target][:TRAIN], **groups(kind))
    booster = xgboost.train({"nthread": 1, "max_depth": 5, "seed": 3, **XGBOOST[kind]}, matrix, 12)
    return booster, x if kind == "gblinear" else on_splits(x, booster_splits(booster))


def booster_splits(booster):
    found = {}
    frame = booster.trees_to_dataframe()
    frame = frame[(frame["Feature"] != "Leaf") & frame["Split"].notna()]
    for name, split in zip(frame["Feature"], frame["Split"]):
        found.setdefault(name, []).append(np.float32(split))
    return found


def xgboost_of_codes(table):
    """A booster with a category that is a number in the data, and the rows."""
    import xgboost
    x = table[["x0", "x1", "code"]].astype("float32")
    matrix = xgboost.DMatrix(x[:TRAIN], table["two"][:TRAIN], feature_types=["q", "q", "c"], enable_categorical=True)
    return xgboost.train({"nthread": 1, "objective": "binary:logistic", "max_cat_to_onehot": 3}, matrix, 12), x


def xgboost_of_texts(table, order=None):
    """A booster of categories that are texts, and the rows. order: of the categories; None: pandas'."""
    import xgboost
    x = table[["x0", "x1", "ward"]].astype({"ward": pd.CategoricalDtype(order)} if order else {"ward": "category"})
    matrix = xgboost.DMatrix(x[:TRAIN], table["two"][:TRAIN], enable_categorical=True)
    return xgboost.train({"nthread": 1, "objective": "binary:logistic"}, matrix, 10), x


# ---- LightGBM ----

LIGHTGBM = {
    "binary": {"objective": "binary"}, "number": {"objective": "regression"}, "three": {"objective": "multiclass", "num_class": 3},
    "one against all": {"objective": "multiclassova", "num_class": 3}, "forest": {"objective": "binary", "boosting": "rf", "bagging_freq": 1,
                                                                               "bagging_fraction": 0.6},
    "zero": {"objective": "regression", "zero_as_missing": True}, "tweedie": {"objective": "tweedie"}, "rank": {"objective": "lambdarank"},
}


def lightgbm_model(kind, table):
    """The booster, and the rows to ask it; `code` is a category."""
    import lightgbm
    target = {"binary": "two", "forest": "two", "three": "three", "one against all": "three", "tweedie": "two", "rank": "two"}.get(kind, "number")
    x = table[[*NUMBERS, "code"]]
    data = lightgbm.Dataset(x[:TRAIN], table[target][:TRAIN], categorical_feature=["code"], **groups(kind))
    booster = lightgbm.train({"verbose": -1, "num_threads": 1, "seed": 3, "min_data_per_group": 10, **LIGHTGBM[kind]}, data, 12)
    return booster, on_splits(x, lightgbm_splits(booster))


def lightgbm_splits(booster):
    trees = booster.trees_to_dataframe()
    trees = trees[(trees["decision_type"] == "<=") & trees["threshold"].notna()]
    return trees.astype({"threshold": float}).groupby("split_feature")["threshold"].apply(list).drop("code", errors="ignore").to_dict()


def lightgbm_of_texts(table):
    """A booster whose categories are texts and numbers, and the rows; some of them training has not seen."""
    import lightgbm
    x = table[["x0", "ward", "code"]].copy()
    seen = x[:TRAIN].astype({"ward": pd.CategoricalDtype(list(reversed(WARDS))), "code": "category"})
    seen["code"] = (seen["code"].astype(float) * 10).astype("category")
    booster = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1, "min_data_per_group": 10},
                             lightgbm.Dataset(seen, table["two"][:TRAIN]), 10)
    x["code"] *= 10
    x.loc[::50, "ward"] = "a new wing"
    x.loc[::70, "code"] = 123
    return booster, x


def lightgbm_says_of_texts(booster, x):
    return booster.predict(x.astype({"ward": pd.CategoricalDtype([*reversed(WARDS), "a new wing"]), "code": "category"}))


# ---- scikit-learn ----

def scikit(kind):
    from sklearn import ensemble, linear_model, neural_network, pipeline, preprocessing, svm
    return {"logistic": linear_model.LogisticRegression(), "forest": ensemble.RandomForestClassifier(8, max_depth=5, random_state=0),
            "boosting": ensemble.GradientBoostingClassifier(n_estimators=8, random_state=0),
            "network": pipeline.make_pipeline(preprocessing.StandardScaler(), neural_network.MLPClassifier((8,), max_iter=20, random_state=0)),
            "svm": svm.SVC(probability=True, random_state=0),
            "linear": linear_model.LinearRegression(), "trees": ensemble.RandomForestRegressor(8, max_depth=5, random_state=0)}[kind]


def encoder():
    """Numbers x0 and x1 scaled, the text `ward` one column a category; a text that it does not know is none of them."""
    from sklearn import compose, linear_model, pipeline, preprocessing
    columns = compose.ColumnTransformer([("n", preprocessing.StandardScaler(), ["x0", "x1"]),
                                         ("t", preprocessing.OneHotEncoder(handle_unknown="ignore"), ["ward"])])
    return pipeline.make_pipeline(columns, linear_model.LogisticRegression())
