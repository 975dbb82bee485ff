# SPDX-License-Identifier: Apache-2.0
"""Microseconds a row by kind of model file: .venv/bin/python tests/bench/predictors.py (docs/benchmarks.md).

100 trees over 8 features from XGBoost and LightGBM, the XGBoost model by way of ONNX too, and a logistic regression as ONNX."""

import pathlib
import subprocess
import tempfile

import lightgbm
import numpy as np
import skl2onnx
import xgboost
from sklearn.linear_model import LogisticRegression

ROOT = pathlib.Path(__file__).parents[2]
GYRE, BENCH = ROOT / "build/gyre", ROOT / "build/tests/bench/predictor_bench"

rng = np.random.default_rng(1)
x = rng.normal(size=(20_000, 8)).astype("float32")
y = (x @ np.array([1, -1] * 4) + rng.normal(size=len(x)) > 0).astype(int)

with tempfile.TemporaryDirectory() as folder:
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 6, "nthread": 1}, xgboost.DMatrix(x, y), 100)
    booster.save_model(f"{folder}/xgboost.ubj")
    lightgbm.train({"objective": "binary", "num_leaves": 63, "verbose": -1, "num_threads": 1}, lightgbm.Dataset(x, y), 100).save_model(f"{folder}/lightgbm.txt")
    logistic = skl2onnx.to_onnx(LogisticRegression().fit(x, y), x[:1], options={"zipmap": False})
    (pathlib.Path(folder) / "logistic.onnx").write_bytes(logistic.SerializeToString())

    def gyre(*args):
        subprocess.run([GYRE, *args], cwd=folder, check=True, stdout=subprocess.DEVNULL, env={"GYRE_HOME": f"{folder}/.gyre", "PATH": "/usr/bin:/bin"})

    gyre("models", "import", "m", "xgboost.ubj", "-o", "xgboost")
    gyre("models", "export", "xgboost", "-o", "trees.onnx")
    for name, file in (("lightgbm", "lightgbm.txt"), ("onnx-trees", "trees.onnx"), ("onnx-logistic", "logistic.onnx")):
        gyre("models", "import", "m", file, "-o", name)
    subprocess.run([BENCH, "xgboost", "lightgbm", "onnx-trees", "onnx-logistic"], cwd=folder, check=True)
