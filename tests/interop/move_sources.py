# SPDX-License-Identifier: Apache-2.0
"""MLflow stores with everything in them, made by the real mlflow, and the comparison of two stores entity by entity."""

import json
import math
import os
import pathlib
import shutil

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import mlflow  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import (Dataset, DatasetInput, InputTag, LoggedModelOutput, LoggedModelParameter,  # noqa: E402
                             LoggedModelTag, Metric, Param, RunTag, ViewType)



def _history(client, run_id, key, n, start=1_700_000_000_000):
    for at in range(0, n, 1000):
        client.log_batch(run_id, metrics=[Metric(key, math.sin(i / 100.0), start + i * 10, i)
                                          for i in range(at, min(at + 1000, n))])


def _runs(client, experiment, model_dir, points):
    """A parent with everything, children, a failed, a running and a deleted run."""
    parent = client.create_run(experiment, run_name="parent ü", tags={"mlflow.user": "ada", "note": "línea\nzwei"})
    run = parent.info.run_id
    client.log_batch(run, params=[Param("depth", "6"), Param("a/b/c", "nested"), Param("leer", ""), Param("größe", "π")],
                     tags=[RunTag("kind", "test"), RunTag("emoji", "🦉"), RunTag("long", "x" * 5000)])
    client.log_batch(run, metrics=[Metric("loss", v, 1_700_000_000_000 + i, i) for i, v in enumerate(
        [1.0, 0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.0, float("nan")])])
    client.log_batch(run, metrics=[Metric("inf", float("inf"), 1, 0), Metric("inf", float("-inf"), 2, 1),
                                   Metric("val/auc", 0.5, 3, 3), Metric("val/auc", 0.75, 2, 9),
                                   Metric("back", 2.0, 50, 2), Metric("back", 1.0, 40, 1)])
    _history(client, run, "long", points)
    client.log_inputs(run, datasets=[DatasetInput(
        Dataset("vitals", "abc123", "local", json.dumps({"uri": "/data/vitals.csv"}), '{"cols": 3}', '{"rows": 10}'),
        [InputTag("mlflow.data.context", "train")])])
    client.log_text(run, "hello\n", "notes/readme.txt")
    client.log_text(run, "", "empty.txt")
    client.log_artifacts(run, str(model_dir), "model")
    client.set_terminated(run, "FINISHED", end_time=1_700_000_500_000)
    children = []
    for i, state in enumerate(["FINISHED", "FAILED", "KILLED"]):
        child = client.create_run(experiment, run_name=f"child {i}", start_time=1_700_000_000_000 + i,
                                  tags={"mlflow.parentRunId": run})
        client.log_metric(child.info.run_id, "loss", i / 3.0, timestamp=1_700_000_100_000, step=i)
        client.set_terminated(child.info.run_id, state, end_time=1_700_000_200_000 + i)
        children.append(child.info.run_id)
    running = client.create_run(experiment, run_name="running").info.run_id
    gone = client.create_run(experiment, run_name="gone").info.run_id
    client.log_metric(gone, "loss", 3.0, timestamp=5, step=1)
    client.set_terminated(gone, "FINISHED", end_time=1_700_000_300_000)
    client.delete_run(gone)
    return run, [*children, running, gone]


def _model_dir(folder, flavor="python_function"):
    folder.mkdir(parents=True, exist_ok=True)
    flavors = {"python_function": "    loader_module: mlflow.pyfunc.model\n", "sklearn": "    pickled_model: model.pkl\n",
               "xgboost": "    data: model.ubj\n", "onnx": "    data: model.onnx\n"}
    (folder / "MLmodel").write_text("artifact_path: model\nflavors:\n  " + flavor + ":\n" + flavors[flavor])
    (folder / "model.bin").write_bytes(bytes(range(256)) * 8)
    return folder


def fill(tracking, registry=None, scratch=None, experiments=3, files=None, points=100_000):
    """Fill an empty store with everything a store can hold; gives what is needed to find it again."""
    client = MlflowClient(tracking, registry or tracking)
    scratch = pathlib.Path(scratch)
    location = {"artifact_location": files} if files else {}
    main = client.create_experiment("everything ☃", tags={"owner": "ada", "mlflow.note.content": "# Notes\n\nline"},
                                    **location)
    run, others = _runs(client, main, _model_dir(scratch / "m1", "xgboost"), points)
    default = client.create_run("0", run_name="in default").info.run_id
    client.log_param(default, "p", "1")
    models = []
    for i, flavor in enumerate(["sklearn", "onnx"]):
        m = client.create_logged_model(main, name=f"lm{i}", source_run_id=run, params={"p": str(i)}, tags={"t": "ü"},
                                       model_type="classifier")
        client.log_model_artifacts(m.model_id, str(_model_dir(scratch / f"lm{i}", flavor)))
        client.finalize_logged_model(m.model_id, "READY")
        client.log_metric(run, "acc", 0.9 + i / 100, timestamp=1_700_000_000_000 + i, step=i, model_id=m.model_id,
                          dataset_name="vitals", dataset_digest="abc123")
        models.append(m.model_id)
    client.log_outputs(run, [LoggedModelOutput(models[0], 7)])
    dead = client.create_logged_model(main, name="dead", source_run_id=run)
    client.finalize_logged_model(dead.model_id, "FAILED")
    client.delete_logged_model(dead.model_id)
    for i in range(experiments):
        extra = client.create_experiment(f"extra {i}")
        for k in range(2):
            client.log_metric(client.create_run(extra, run_name=f"r{k}").info.run_id, "m", float(k), timestamp=k + 1)
    trash = client.create_experiment("trashed")
    client.create_run(trash, run_name="in the trash")
    client.delete_experiment(trash)
    _registry(client, run, models)
    return {"experiment": main, "run": run, "others": others, "default": default, "models": models, "trash": trash,
            "deleted_model": dead.model_id}


def _registry(client, run, models):
    client.create_registered_model("iris", tags={"team": "ü"}, description="Blumen\nzwei")
    source = client.get_run(run).info.artifact_uri + "/model"
    for i in range(3):
        client.create_model_version("iris", source, run_id=run, tags={"n": str(i)}, description=f"v{i + 1}")
    client.create_model_version("iris", f"models:/{models[0]}", run_id=run, model_id=models[0])
    client.set_registered_model_alias("iris", "champion", 2)
    client.set_registered_model_alias("iris", "challenger", 4)
    client.set_registered_model_alias("iris", "newest", 4)
    import warnings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client.transition_model_version_stage("iris", 1, "Production")
        client.transition_model_version_stage("iris", 2, "Staging")
    client.create_registered_model("empty one")
    client.create_registered_model("shrunk")
    for _ in range(3):
        client.create_model_version("shrunk", source, run_id=run)
    client.delete_model_version("shrunk", 3)  # the newest: its number is never given again


# ---- reading a whole store ----

def _pairs(items):
    return sorted(items.items()) if isinstance(items, dict) else sorted((t.key, t.value) for t in items)


def _number(v):
    if math.isnan(v):
        return "nan"
    if abs(v) >= 1.7976931348623157e308:
        return "inf" if v > 0 else "-inf"
    return v + 0.0 if v != 0 else 0.0


def all_runs(client, experiments):
    runs, token = [], None
    while True:
        page = client.search_runs(experiments, "", ViewType.ALL, 500, ["attributes.start_time"], token)
        runs += page
        token = page.token
        if not token:
            return runs


def all_points(client, run_id, key):
    points, token = [], None
    while True:
        page = client._tracking_client.store.get_metric_history(run_id, key, max_results=25000, page_token=token)
        points += page
        token = page.token
        if not token:
            return sorted({(p.timestamp, p.step, _number(p.value)) for p in points}, key=repr)


def describe_run(client, run, histories=True):
    i, d = run.info, run.data
    full = client.get_run(i.run_id)
    return {
        "experiment": i.experiment_id, "name": i.run_name, "user": i.user_id, "status": i.status, "start": i.start_time,
        "end": i.end_time, "stage": i.lifecycle_stage, "params": _pairs(d.params), "tags": _pairs(d.tags),
        "latest": sorted((k, _number(v)) for k, v in d.metrics.items()),
        "history": {k: all_points(client, i.run_id, k) for k in sorted(d.metrics)} if histories else None,
        "inputs": sorted((x.dataset.name, x.dataset.digest, x.dataset.source_type, x.dataset.source, x.dataset.schema,
                          x.dataset.profile, tuple(_pairs(x.tags))) for x in full.inputs.dataset_inputs),
        "model_inputs": sorted(m.model_id for m in (full.inputs.model_inputs or [])),
        "outputs": sorted((m.model_id, m.step) for m in ((full.outputs and full.outputs.model_outputs) or [])),
    }


def describe_model(m):
    return {"experiment": m.experiment_id, "name": m.name, "created": m.creation_timestamp,
            "updated": m.last_updated_timestamp, "status": str(m.status), "type": m.model_type, "run": m.source_run_id,
            "params": _pairs(m.params), "tags": _pairs(m.tags),
            "metrics": sorted((x.key, _number(x.value), x.timestamp, x.step, x.run_id, x.dataset_name or "",
                               x.dataset_digest or "") for x in (m.metrics or []))}


def describe_registry(client):
    out = {}
    for rm in client.search_registered_models(max_results=1000):
        m = client.get_registered_model(rm.name)
        versions = {}
        for v in client.search_model_versions(f"name = '{rm.name}'", max_results=1000):
            v = client.get_model_version(rm.name, v.version)
            versions[int(v.version)] = {
                "created": v.creation_timestamp, "updated": v.last_updated_timestamp, "stage": v.current_stage,
                "description": v.description or "", "run": v.run_id, "tags": _pairs(v.tags), "aliases": sorted(v.aliases),
                "model": getattr(v, "model_id", None) or ""}
        out[rm.name] = {"description": m.description or "", "tags": _pairs(m.tags), "created": m.creation_timestamp,
                        "updated": m.last_updated_timestamp, "aliases": sorted((a, int(v)) for a, v in m.aliases.items()),
                        "versions": versions}
    return out


def describe(client, histories=True):
    """All that a client can see of a store, but for where its files are."""
    experiments = list(client.search_experiments(ViewType.ALL, max_results=1000))
    ids = [e.experiment_id for e in experiments]
    runs = all_runs(client, ids)
    return {
        "experiments": {e.experiment_id: {"name": e.name, "stage": e.lifecycle_stage, "created": e.creation_time,
                                          "updated": e.last_update_time, "tags": _pairs(e.tags)} for e in experiments},
        "runs": {r.info.run_id: describe_run(client, r, histories) for r in runs},
        "models": {m.model_id: describe_model(m) for e in experiments
                   for m in client.search_logged_models([e.experiment_id], max_results=50)},
        "registry": describe_registry(client),
    }


def without(tree, *paths):
    """The same without the members that the two stores are known to tell differently: paths like "runs.*.user"."""
    for path in paths:
        _drop(tree, path.split("."))
    return tree


def _drop(node, parts):
    if not isinstance(node, dict):
        return
    for key in list(node) if parts[0] == "*" else [k for k in (parts[0],) if k in node]:
        if len(parts) == 1:
            del node[key]
        else:
            _drop(node[key], parts[1:])


def differences(a, b, where=""):
    if isinstance(a, dict) and isinstance(b, dict):
        out = []
        for key in sorted(set(a) | set(b), key=str):
            if key not in a or key not in b:
                out.append(f"{where}.{key}: only in the {'first' if key in a else 'second'}")
            else:
                out += differences(a[key], b[key], f"{where}.{key}")
        return out
    return [] if a == b else [f"{where}: {str(a)[:300]} != {str(b)[:300]}"]


def tree_of(client, run_id, scratch):
    """Relative path -> bytes of a run's artifacts, through the client."""
    folder = pathlib.Path(scratch)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    client.download_artifacts(run_id, "", str(folder))
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
