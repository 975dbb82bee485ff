#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How good are the models that a search finds in so many seconds? Gyre beside FLAML and AutoGluon.

Each system gets the same rows to learn from, the same seconds, processors and metric (AUC, log loss, RMSE), and is
measured by scikit-learn on the same rows that none of them has seen. They take turns, data set by data set and seed by
seed, so that a machine that others use treats them alike. Needs scikit-learn, pandas and the systems asked for in the
Python that runs this; real data comes from GYRE_TEST_DATA (data sets that are not there are left out and named).

    GYRE_TEST_DATA=data python tests/bench/bench_automl.py --gyre build/gyre --seconds 60 --seeds 5 \\
        --systems gyre,flaml,autogluon --json result.json
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import pandas as pd
from sklearn import datasets, metrics
from sklearn.model_selection import train_test_split

TASKS = {"iris": "multiclass", "wine": "multiclass", "breast_cancer": "binary", "digits": "multiclass",
         "diabetes": "regression", "sepsis": "binary", "mpg": "regression", "bikes": "regression"}
METRIC = {"binary": "auc", "multiclass": "log_loss", "regression": "rmse"}


def table(name):
    """Numbers only, the target last; None when the data is not there."""
    if name in ("iris", "wine", "breast_cancer", "digits", "diabetes"):
        data = getattr(datasets, "load_" + name)()
        frame = pd.DataFrame(data.data, columns=[f"x{i}" for i in range(data.data.shape[1])])
        frame["target"] = data.target
        return frame
    folder = pathlib.Path(os.environ.get("GYRE_TEST_DATA", "-"))
    if name == "mpg" and (folder / "auto_mpg.csv").exists():
        frame = pd.read_csv(folder / "auto_mpg.csv").drop(columns=["name"])
        return frame.apply(pd.to_numeric, errors="coerce").rename(columns={"mpg": "target"})
    if name == "sepsis" and (folder / "sepsis_vitals.csv").exists():
        frame = pd.read_csv(folder / "sepsis_vitals.csv")
        frame = frame.drop(columns=["patient_id", "record_date", "record_time"]).apply(pd.to_numeric, errors="coerce")
        return frame.dropna(axis=1, how="all").rename(columns={"isSepsis": "target"})
    parts = sorted(folder.glob("bikes_*.csv"))
    if name == "bikes" and parts:
        frame = pd.concat([pd.read_csv(p) for p in parts], ignore_index=True)
        return frame.drop(columns=["dteday", "instant", "casual", "registered"]).rename(columns={"count": "target"})
    return None


def score(task, truth, said):
    if task == "binary":
        return -metrics.roc_auc_score(truth, said)
    if task == "multiclass":
        return metrics.log_loss(truth, said, labels=sorted(set(truth)))
    return float(np.sqrt(metrics.mean_squared_error(truth, said)))


def gyre(args, task, train, test, seed, folder):
    train.to_csv(folder / "train.csv", index=False)
    test.to_csv(folder / "test.csv", index=False)
    (folder / "params.yaml").write_text("train: {split: none, evaluate: training}\n")
    budget = max(1, round(0.85 * args.seconds))  # the others count the last fit, too
    command = [args.gyre, "train", "train.csv", "--target", "target", "--params", "params.yaml", "--metric",
               METRIC[task], "--search", f"{budget}s", "--jobs", str(args.cores), "--seed", str(seed), "-o", "model",
               "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found = json.loads(done.stdout)
    asked = subprocess.run([args.gyre, "evaluate", "model", "test.csv", "--all-rows", "--replicates", "0", "--json"],
                           cwd=folder, capture_output=True, text=True)
    if asked.returncode:
        raise RuntimeError(asked.stderr)
    value = json.loads(asked.stdout)["metrics"][METRIC[task]]["value"]
    return (-value if task == "binary" else value), f"{found['learner']}, {found['search']['trials']} trials"


# What FLAML tries where CatBoost is not installed: a trial of CatBoost does not end with the time there is (150 to 270 s
# of 60 on iris), and AutoGluon, which comes with it, bounds its own.
FLAML_TRIES = {"classification": ["lgbm", "rf", "xgboost", "extra_tree", "xgb_limitdepth", "sgd", "lrl1"],
               "regression": ["lgbm", "rf", "xgboost", "extra_tree", "xgb_limitdepth", "sgd"]}


def flaml(args, task, train, test, seed, folder):
    from flaml import AutoML
    automl = AutoML()
    kind = "regression" if task == "regression" else "classification"
    automl.fit(train.drop(columns="target"), train["target"],
               task=kind, estimator_list=FLAML_TRIES[kind],
               metric={"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}[task],
               time_budget=args.seconds, n_jobs=args.cores, seed=seed, verbose=0)
    x = test.drop(columns="target")
    said = automl.predict(x) if task == "regression" else automl.predict_proba(x)
    return score(task, test["target"], said[:, 1] if task == "binary" else said), str(automl.best_estimator)


def autogluon(args, task, train, test, seed, folder):
    from autogluon.tabular import TabularPredictor
    predictor = TabularPredictor(
        label="target", problem_type=task, path=str(folder / "ag"), verbosity=0,
        eval_metric={"binary": "roc_auc", "multiclass": "log_loss", "regression": "root_mean_squared_error"}[task])
    predictor.fit(train, time_limit=args.seconds, num_cpus=args.cores)
    x = test.drop(columns="target")
    said = predictor.predict(x) if task == "regression" else predictor.predict_proba(x)
    said = np.asarray(said[1]) if task == "binary" else np.asarray(said)
    return score(task, test["target"], said), predictor.model_best


SYSTEMS = {"gyre": gyre, "flaml": flaml, "autogluon": autogluon}


def bootstrap(differences, by, replicates=10000):
    """The mean over data sets of the mean over seeds; data sets are drawn, as they are what differs."""
    sets = sorted(set(by))
    means = [statistics.fmean(d for d, b in zip(differences, by) if b == s) for s in sets]
    r = random.Random(1)
    drawn = sorted(statistics.fmean(r.choices(means, k=len(means))) for _ in range(replicates))
    return statistics.fmean(means), drawn[int(0.025 * replicates)], drawn[int(0.975 * replicates)]


def run(args):
    rows = []
    frames = {name: table(name) for name in args.sets.split(",")}
    missing = [name for name, frame in frames.items() if frame is None]
    for seed in range(args.seeds):  # so that a run that was stopped has whole seeds
        for name, frame in frames.items():
            if frame is None:
                continue
            task = TASKS[name]
            train, test = train_test_split(frame, test_size=1 / 3, random_state=seed,
                                           stratify=None if task == "regression" else frame["target"])
            turn = args.systems.split(",")
            if seed % 2:
                turn.reverse()
            for system in turn:
                with tempfile.TemporaryDirectory() as folder:
                    start = time.monotonic()
                    try:
                        value, what = SYSTEMS[system](args, task, train, test, seed, pathlib.Path(folder))
                    except Exception as e:  # a system that fails is a result
                        value, what = None, f"failed: {str(e).strip().splitlines()[-1][:120] if str(e).strip() else e!r}"
                    rows.append({"set": name, "task": task, "metric": METRIC[task], "seed": seed, "system": system,
                                 "loss": value, "what": what, "seconds": round(time.monotonic() - start, 1),
                                 "load": round(os.getloadavg()[0], 1)})
                    print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows, missing


def ranks(rows, systems):
    """Rank of each system in each (data set, seed); ties share; what failed comes last."""
    cells = {}
    for r in rows:
        cells.setdefault((r["set"], r["seed"]), {})[r["system"]] = float("inf") if r["loss"] is None else r["loss"]
    out = []
    for (name, seed), losses in sorted(cells.items()):
        if set(losses) == set(systems):
            out.append((name, {s: 0.5 + sum((v < losses[s]) + 0.5 * (v == losses[s]) for v in losses.values())
                               for s in systems}))
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--gyre", default="build/gyre", type=os.path.abspath)
    p.add_argument("--seconds", type=int, default=60)
    p.add_argument("--seeds", type=int, default=5)
    p.add_argument("--cores", type=int, default=os.cpu_count())
    p.add_argument("--systems", default="gyre,flaml")
    p.add_argument("--sets", default=",".join(TASKS))
    p.add_argument("--json", help="write all results here")
    args = p.parse_args()
    systems = args.systems.split(",")
    rows, missing = run(args)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps({"rows": rows, "missing": missing, "args": vars(args)}, indent=1))
    print(f"{'set':14} {'metric':9} " + " ".join(f"{s:>12}" for s in systems))
    for name in dict.fromkeys(r["set"] for r in rows):
        cells = []
        for s in systems:
            got = [r["loss"] for r in rows if r["set"] == name and r["system"] == s and r["loss"] is not None]
            cells.append(f"{abs(statistics.fmean(got)):12.4f}" if got else f"{'failed':>12}")
        print(f"{name:14} {METRIC[TASKS[name]]:9} " + " ".join(cells))
    ranked = ranks(rows, systems)
    for s in systems:
        wall = statistics.fmean(r["seconds"] for r in rows if r["system"] == s)
        print(f"mean rank of {s}: {statistics.fmean(r[s] for _, r in ranked):.3f} ({len(ranked)} comparisons; "
              f"{wall:.1f} s each)")
    for s in systems[1:]:
        mean, low, high = bootstrap([r[systems[0]] - r[s] for _, r in ranked], [n for n, _ in ranked])
        print(f"rank of {systems[0]} - rank of {s}: {mean:+.3f} [{low:+.3f}, {high:+.3f}] (negative: {systems[0]} is better)")
    if missing:
        print("not there:", ", ".join(missing))


if __name__ == "__main__":
    main()
