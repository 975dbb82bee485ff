# SPDX-License-Identifier: Apache-2.0
"""`gyre import mlflow` beside a loop over MlflowClient that copies the same store (which can not keep ids).

    .venv/bin/python tests/bench/bench_move.py [--runs 200] [--points 2000]

The source is a folder mlruns with RUNS runs of 10 params, 10 tags and 5 metrics of POINTS points each. The loop reads it
with MlflowClient and writes to a `gyre server` with log_batch of 1000. One JSON document: seconds, points and runs a second.
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile
import time
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import support  # noqa: E402

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
KEYS = 5


def make(root, runs, points):
    """Written directly: what is timed is the reading."""
    for number, name in ((0, "Default"), (7, "bench")):
        folder = root / str(number)
        folder.mkdir(parents=True)
        (folder / "meta.yaml").write_text(
            f"artifact_location: file://{folder}\ncreation_time: 1\nexperiment_id: '{number}'\nlast_update_time: 1\n"
            f"lifecycle_stage: active\nname: {name}\n")
    history = "".join(f"{1700000000000 + i} {i / 7.0!r} {i}\n" for i in range(points))
    for r in range(runs):
        run_id = f"a{r:031x}"
        folder = root / "7" / run_id
        for sub in ("params", "tags", "metrics", "artifacts"):
            (folder / sub).mkdir(parents=True)
        (folder / "meta.yaml").write_text(
            f"artifact_uri: file://{folder}/artifacts\nend_time: 2\nexperiment_id: '7'\nlifecycle_stage: active\n"
            f"run_id: {run_id}\nrun_name: r\nrun_uuid: {run_id}\nstart_time: 1\nstatus: 3\nuser_id: u\nsource_type: 4\n"
            f"entry_point_name: ''\nsource_name: ''\nsource_version: ''\ntags: []\n")
        for k in range(10):
            (folder / "params" / f"p{k}").write_text(str(k))
            (folder / "tags" / f"t{k}").write_text(str(k))
        for k in range(KEYS):
            (folder / "metrics" / f"m{k}").write_text(history)


def loop(source, target):
    from mlflow import MlflowClient
    from mlflow.entities import Param, RunTag
    there, here = MlflowClient(source), MlflowClient(target)
    for e in there.search_experiments():
        mine = here.get_experiment_by_name(e.name)
        number = mine.experiment_id if mine else here.create_experiment(e.name)
        token = None
        while True:
            page = there.search_runs([e.experiment_id], max_results=100, page_token=token)
            for run in page:
                new = here.create_run(number, start_time=run.info.start_time, run_name=run.info.run_name).info.run_id
                here.log_batch(new, params=[Param(k, v) for k, v in run.data.params.items()],
                               tags=[RunTag(k, v) for k, v in run.data.tags.items()])
                for key in run.data.metrics:
                    points = there.get_metric_history(run.info.run_id, key)
                    for at in range(0, len(points), 1000):
                        here.log_batch(new, metrics=points[at:at + 1000])
                here.set_terminated(new, run.info.status, run.info.end_time)
            token = page.token
            if not token:
                break


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--points", type=int, default=2000)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    total = args.runs * KEYS * args.points
    with tempfile.TemporaryDirectory() as tmp:
        tmp = pathlib.Path(tmp)
        make(tmp / "mlruns", args.runs, args.points)
        out = {"runs": args.runs, "points": total}
        server = support.Server(tmp / "home").start()
        try:
            for name in ("import", "again", "loop"):
                start = time.monotonic()
                if name == "loop":
                    loop(str(tmp / "mlruns"), server.url)
                else:
                    report = support.run_json("import", "mlflow", tmp / "mlruns", "--home", server.home, cwd=tmp, timeout=3600)
                    assert report["ok"] and report["points"] == total
                seconds = time.monotonic() - start
                out[name] = {"seconds": round(seconds, 2), "points/s": round(total / seconds),
                             "runs/s": round(args.runs / seconds, 1)}
        finally:
            server.stop()
        start = time.monotonic()
        report = support.run_json("export", "mlflow", tmp / "out", "--home", tmp / "home", cwd=tmp, timeout=3600)
        out["export"] = {"seconds": round(time.monotonic() - start, 2)}
        out["ratio"] = round(out["loop"]["seconds"] / out["import"]["seconds"], 1)
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
