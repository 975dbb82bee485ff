#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The learners mlp and cnn beside scikit-learn's MLPClassifier on its digits: accuracy on held-out rows, CPU seconds.

    GYRE_BIN=build/gyre .venv/bin/python tests/bench/bench_networks.py [SEEDS]

Equal splits (two thirds to train on, by SHA-256 of the row's number), hidden layers of 64 and 32, one thread each."""

import hashlib
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import warnings

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
import numpy as np  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402
from sklearn.neural_network import MLPClassifier  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

GYRE = str(pathlib.Path(os.environ.get("GYRE_BIN", "build/gyre")).resolve())


def cpu(who):
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def held_out(seed, n):
    return np.array([int.from_bytes(hashlib.sha256(f"{seed}\n{i}".encode()).digest()[:8], "big") / 2**64 < 1 / 3 for i in range(n)])


def gyre(folder, learner, settings, seed):
    params = {"seed": seed, "holdout": 1 / 3, "train": {"target": "digit", "learner": learner, "replicates": 0, learner: settings}}
    (folder / "params.yaml").write_text(json.dumps(params))
    before = cpu(resource.RUSAGE_CHILDREN)
    done = subprocess.run([GYRE, "train", "digits.csv", "--params", "params.yaml", "--threads", "1", "--json"], cwd=folder,
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["metrics"]["accuracy"]["value"], cpu(resource.RUSAGE_CHILDREN) - before


def sklearn(x, y, held, seed):
    before = cpu(resource.RUSAGE_SELF)
    scale = StandardScaler().fit(x[~held])
    net = MLPClassifier(hidden_layer_sizes=(64, 32), max_iter=400, random_state=seed).fit(scale.transform(x[~held]), y[~held])
    used = cpu(resource.RUSAGE_SELF) - before
    return net.score(scale.transform(x[held]), y[held]), used


def main():
    warnings.simplefilter("ignore")
    seeds = range(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
    d = load_digits()
    rows = {"mlp": [], "MLPClassifier": [], "cnn": []}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        lines = [",".join(map(str, [i, *map(int, row), label])) for i, (row, label) in enumerate(zip(d.data, d.target, strict=True))]
        (folder / "digits.csv").write_text("\n".join(["id," + ",".join(f"p{i}" for i in range(64)) + ",digit", *lines, ""]))
        (folder / "schema.yaml").write_text("columns:\n- {name: id, type: int, role: id}\n")
        for seed in seeds:
            rows["mlp"].append(gyre(folder, "mlp", {}, seed))
            rows["MLPClassifier"].append(sklearn(d.data, d.target, held_out(seed, len(d.target)), seed))
            rows["cnn"].append(gyre(folder, "cnn", {"shape": "8x8"}, seed))
    for name, values in rows.items():
        a = np.array(values)
        print(f"{name:14} accuracy {a[:, 0].mean():.4f} ({a[:, 0].min():.4f} to {a[:, 0].max():.4f})  CPU {np.median(a[:, 1]):.2f} s")


main()
