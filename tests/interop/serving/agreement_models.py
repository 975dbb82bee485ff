# SPDX-License-Identifier: Apache-2.0
"""Makes the models of test_agreement.py, the rows they are asked, and what Python's own libraries answer to them.

    python agreement_models.py FOLDER     in the Python environment of tests/requirements.txt (.venv)

That environment has the libraries that train, the one of test_agreement.py has the clients that ask: no single one can be made of both.
FOLDER then has for each case of CASES the model's file, NAME.npz (the columns by name in their order; `want`: what Python answers) and
NAME.json (about it), or NAME.skip with the reason. Every case has 10,000 rows with missing values, zeros of both signs, denormal
numbers, the largest numbers of its format, and values on and next to the splits of its trees.
"""

import json
import pathlib
import sys

FLOAT32 = ["0", "-0.0", "1e-45", "-1e-45", "1e-39", "1.17549435e-38", "1e-35", "-1e-35", "3.4028235e38", "-3.4028235e38", "16777216", "-1"]
FLOAT64 = [*FLOAT32, "5e-324", "-2.2e-308", "1.7976931348623157e308", "-1.7976931348623157e308", "1e39", "9007199254740993",
           "1.0000000180025095e-35", "-1.0000000180025095e-35", "1.0000000180025097e-35"]
# Of models that compute with the values: those whose product with a weight is still a number.
SMOOTH = ["0", "-0.0", "1e-45", "-1e-45", "1e-39", "1.17549435e-38", "1e9", "-1e9", "1e30", "-1e30"]
CODES = [-1, 0.5, -0.5, 11.5, 12, 100, 1e6, float("nan")]

XGBOOST = ["binary", "three", "number", "rank", "dart", "forest"]
LIGHTGBM = ["binary", "three", "number", "forest", "zero"]
SCIKIT = {"logistic": ["two", "three"], "forest": ["two", "three"], "boosting": ["two", "three"], "network": ["two", "three"], "svm": ["two"],
          "linear": ["number"], "trees": ["number"]}
CASES = [*(f"xgboost-{kind}" for kind in [*XGBOOST, "codes", "texts"]), *(f"lightgbm-{kind}" for kind in [*LIGHTGBM, "texts"]),
         *(f"scikit-{kind}-{target}" for kind, targets in SCIKIT.items() for target in targets), "scikit-encoder-two"]


def floats(texts):
    return [float(text) for text in texts]


def of_xgboost(kind, table, out):
    import foreign
    import xgboost
    options = {}
    if kind == "texts":
        booster, x = foreign.xgboost_of_texts(table)
        options = {"enable_categorical": True}
    elif kind == "codes":
        booster, x = foreign.xgboost_of_codes(table)
        x["code"] = foreign.with_edges(x[["code"]], CODES)["code"]
        x[["x0", "x1"]] = foreign.with_edges(foreign.on_splits(x[["x0", "x1"]], without(foreign.booster_splits(booster), "code")), floats(FLOAT32))
        options = {"feature_types": ["q", "q", "c"], "enable_categorical": True}
    else:
        booster, x = foreign.xgboost_model(kind, table)
        x = foreign.with_edges(x, floats(FLOAT32))
    booster.save_model(out.with_suffix(".ubj"))
    matrix = xgboost.DMatrix(x, **options)
    return ".ubj", x, booster.predict(matrix), {"exact": True, "classes": kind in ("binary", "dart", "three", "codes", "texts")}


def without(splits, name):
    return {k: v for k, v in splits.items() if k != name}


def of_lightgbm(kind, table, out):
    import foreign
    if kind == "texts":
        booster, x = foreign.lightgbm_of_texts(table)
        x["x0"] = foreign.with_edges(x[["x0"]], floats(FLOAT64))["x0"]
        want = foreign.lightgbm_says_of_texts(booster, x)
    else:
        booster, x = foreign.lightgbm_model(kind, table)
        x[foreign.NUMBERS] = foreign.with_edges(x[foreign.NUMBERS], floats(FLOAT64))
        x["code"] = foreign.with_edges(x[["code"]], CODES)["code"]
        want = booster.predict(x)
    booster.save_model(out.with_suffix(".txt"))
    return ".txt", x, want, {"exact": True, "classes": kind in ("binary", "forest", "three", "texts")}


def tree_splits(estimator, names):
    import numpy as np
    found = {}
    for one in np.ravel(estimator.estimators_):
        for feature, threshold in zip(one.tree_.feature, one.tree_.threshold):
            if feature >= 0:
                found.setdefault(names[feature], []).append(threshold)
    return found


def of_scikit(kind, target, table, out):
    """What scikit-learn refuses, a missing value, an imputer of the same pipeline takes away."""
    import foreign
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn import impute, pipeline, preprocessing
    options = None if target == "number" else {"zipmap": False}
    if kind == "encoder":
        x = table[["x0", "x1", "ward"]].copy()
        x[["x0", "x1"]] = foreign.with_edges(x[["x0", "x1"]].astype("float32"), floats(SMOOTH))
        model = foreign.encoder()
        model[0].transformers[0] = ("n", pipeline.make_pipeline(impute.SimpleImputer(), model[0].transformers[0][1]), ["x0", "x1"])
        model.fit(table[["x0", "x1", "ward"]][:800], table[target][:800])
        x.loc[::40, "ward"] = "a new wing"
        types = [(name, StringTensorType([None, 1]) if name == "ward" else FloatTensorType([None, 1])) for name in x]
        graph, asked = skl2onnx.to_onnx(model, initial_types=types, options=options), x
    else:
        x = table[foreign.NUMBERS].astype("float32")
        trees = kind in ("forest", "boosting", "trees")
        scaler = [] if trees else [preprocessing.StandardScaler()]
        model = pipeline.make_pipeline(impute.SimpleImputer(), *scaler, foreign.scikit(kind))
        model.fit(x[:800].to_numpy(), table[target][:800])
        x = foreign.on_splits(x, tree_splits(model[-1], foreign.NUMBERS)) if trees else x
        x = foreign.with_edges(x, floats(FLOAT32 if trees else SMOOTH))
        graph, asked = skl2onnx.to_onnx(model, x[:1].to_numpy(), options=options), x.to_numpy()
    out.with_suffix(".onnx").write_bytes(graph.SerializeToString())
    want = model.predict(asked) if target == "number" else model.predict_proba(asked)
    want = want[:, 1] if target == "two" else want
    return ".onnx", x, want, {"exact": False, "classes": target != "number"}


def make(name, table, folder):
    import numpy as np
    library, *kind = name.split("-")
    out = folder / name
    suffix, x, want, about = {"xgboost": of_xgboost, "lightgbm": of_lightgbm, "scikit": of_scikit}[library](*kind, table, out)
    columns = {c: np.asarray(x[c].astype(object).tolist() if c == "ward" else x[c], dtype="U" if c == "ward" else None) for c in x}
    assert len(x) == 10_000
    np.savez(out.with_suffix(".npz"), want=want, **columns)
    out.with_suffix(".json").write_text(json.dumps({**about, "file": name + suffix, "columns": list(x)}))


def main(folder):
    import warnings
    import foreign
    warnings.simplefilter("ignore")
    table = foreign.table()
    for name in CASES:
        try:
            make(name, table, folder)
        except ImportError as why:
            (folder / f"{name}.skip").write_text(str(why))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
