# SPDX-License-Identifier: Apache-2.0
"""Experiments, runs and what is logged to them, through the unmodified client."""

import concurrent.futures
import json
import math
import multiprocessing
import time

import mlflow
import numpy
import pandas
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException, RestException


def test_fluent_run(side):
    experiment = mlflow.set_experiment(side.name("fluent"))
    with mlflow.start_run(run_name="first", description="a note", tags={"kind": "test"}, log_system_metrics=False) as run:
        assert mlflow.active_run().info.run_id == run.info.run_id
        mlflow.log_param("depth", 6)
        mlflow.log_params({"eta": 0.1, "name": "x"})
        mlflow.log_metric("loss", 0.5, step=0)
        mlflow.log_metric("loss", 0.25, step=1)
        mlflow.log_metrics({"auc": 0.9, "nan": math.nan, "inf": math.inf, "ninf": -math.inf})
        mlflow.set_tags({"a": "1", "b": "2"})
        mlflow.delete_tag("b")
    got = mlflow.get_run(run.info.run_id)
    assert got.info.status == "FINISHED" and got.info.run_name == "first" and got.info.end_time >= got.info.start_time
    assert got.info.experiment_id == experiment.experiment_id
    assert got.data.params == {"depth": "6", "eta": "0.1", "name": "x"}
    assert got.data.metrics["loss"] == 0.25 and math.isnan(got.data.metrics["nan"])
    assert got.data.metrics["inf"] >= 1.7976931348623157e308 and got.data.metrics["ninf"] <= -1.7976931348623157e308
    assert got.data.tags["a"] == "1" and "b" not in got.data.tags and got.data.tags["mlflow.note.content"] == "a note"
    assert got.data.tags["mlflow.source.type"] and got.info.artifact_uri.startswith("mlflow-artifacts:/")
    assert mlflow.last_active_run().info.run_id == run.info.run_id
    with mlflow.start_run(run_id=run.info.run_id):
        mlflow.log_metric("late", 1)
    assert mlflow.get_run(run.info.run_id).data.metrics["late"] == 1


def test_the_default_experiment(side):
    with mlflow.start_run() as run:
        pass
    assert run.info.experiment_id == "0" and side.client.get_experiment("0").name == "Default"
    assert side.client.get_experiment_by_name("Default").experiment_id == "0"


def test_failed_and_nested_runs(side):
    mlflow.set_experiment(side.name("nested"))
    with pytest.raises(ZeroDivisionError), mlflow.start_run() as run:
        _ = 1 / 0
    assert side.client.get_run(run.info.run_id).info.status == "FAILED"
    with mlflow.start_run() as parent:
        with mlflow.start_run(nested=True) as child, mlflow.start_run(nested=True) as grandchild:
            pass
    assert side.client.get_run(child.info.run_id).data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert side.client.get_parent_run(grandchild.info.run_id).info.run_id == child.info.run_id
    assert side.client.get_parent_run(parent.info.run_id) is None
    children = side.client.search_runs([parent.info.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    assert [r.info.run_id for r in children] == [child.info.run_id]


def test_groups_tags_and_notes(side):
    experiment = side.experiment(tags={"team": "icu", "mlflow.note.content": "# what"})
    runs = [side.client.create_run(experiment, tags={"group": "ab"[i % 2], "mlflow.runColor": "#ff0000"}) for i in range(4)]
    frame = mlflow.search_runs([experiment], "tags.group = 'a'")
    assert sorted(frame["run_id"]) == sorted(r.info.run_id for r in runs[::2])
    side.client.set_tag(runs[0].info.run_id, "mlflow.note.content", "changed")
    assert side.client.get_run(runs[0].info.run_id).data.tags["mlflow.note.content"] == "changed"
    assert side.client.get_experiment(experiment).tags["mlflow.note.content"] == "# what"


def test_experiments(side):
    first, second = side.name("a"), side.name("b")
    made = side.client.create_experiment(first, tags={"team": "icu"})
    with pytest.raises(RestException, match="RESOURCE_ALREADY_EXISTS"):
        side.client.create_experiment(first)
    assert side.client.get_experiment_by_name(first).tags == {"team": "icu"}
    assert side.client.get_experiment_by_name("no such") is None
    side.client.rename_experiment(made, second)
    side.client.set_experiment_tag(made, "k", "v")
    side.client.delete_experiment_tag(made, "team")
    assert side.client.get_experiment(made).tags == {"k": "v"}
    assert [e.name for e in side.client.search_experiments(filter_string=f"name = '{second}'")] == [second]
    with pytest.raises(MlflowException, match="No Experiment with id"):
        side.client.get_experiment("987654")


def test_delete_and_restore(side):
    name = side.name("gone")
    made = side.client.create_experiment(name)
    kept = side.client.create_run(made).info.run_id
    alone = side.client.create_run(made).info.run_id
    side.client.delete_run(alone)
    assert side.client.get_run(alone).info.lifecycle_stage == "deleted"
    with pytest.raises(MlflowException, match="must be in the 'active' state"):
        side.client.log_metric(alone, "m", 1)
    assert [r.info.run_id for r in side.client.search_runs([made])] == [kept]
    assert [r.info.run_id for r in side.client.search_runs([made], run_view_type=ViewType.DELETED_ONLY)] == [alone]
    side.client.restore_run(alone)
    side.client.delete_experiment(made)
    assert side.client.get_experiment(made).lifecycle_stage == "deleted"
    assert side.client.get_run(kept).info.lifecycle_stage == "deleted"
    assert made in [e.experiment_id for e in side.client.search_experiments(ViewType.DELETED_ONLY)]
    assert made not in [e.experiment_id for e in side.client.search_experiments()]
    assert side.client.get_experiment_by_name(name).lifecycle_stage == "deleted"
    with pytest.raises(MlflowException, match="Cannot set a deleted experiment"):
        mlflow.set_experiment(name)
    with pytest.raises(MlflowException, match="RESOURCE_ALREADY_EXISTS"):
        side.client.create_experiment(name)
    side.client.restore_experiment(made)
    assert side.client.get_run(kept).info.lifecycle_stage == side.client.get_run(alone).info.lifecycle_stage == "active"
    assert mlflow.set_experiment(name).experiment_id == made
    side.client.set_terminated(kept, "KILLED")
    assert side.client.get_run(kept).info.status == "KILLED"


def test_batch_is_repeatable(side):
    run = side.client.create_run(side.experiment())
    now = int(time.time() * 1000)
    for _ in range(2):
        side.client.log_batch(run.info.run_id, [Metric("m", i * 0.5, now + i, i) for i in range(900)],
                              [Param(f"p{i}", str(i)) for i in range(50)], [RunTag(f"t{i}", "v") for i in range(50)])
    history = side.client.get_metric_history(run.info.run_id, "m")
    assert [(m.step, m.value) for m in history] == [(i, i * 0.5) for i in range(900)]
    got = side.client.get_run(run.info.run_id)
    assert len(got.data.params) == 50 and got.data.metrics == {"m": 449.5}
    assert side.client.get_metric_history(run.info.run_id, "none") == []
    with pytest.raises(MlflowException, match="Changing param values is not allowed"):
        side.client.log_param(run.info.run_id, "p1", "other")
    with pytest.raises(MlflowException, match="not found"):
        side.client.get_run("0" * 32)


def test_history_in_pages(side, monkeypatch):
    monkeypatch.setattr("mlflow.store.tracking.rest_store.GET_METRIC_HISTORY_MAX_RESULTS", 700, raising=False)
    run = side.client.create_run(side.experiment()).info.run_id
    for start in range(0, 3000, 1000):
        side.client.log_batch(run, [Metric("m", i, 1700000000000 + i // 10, i) for i in range(start, start + 1000)])
    assert [m.value for m in side.client.get_metric_history(run, "m")] == list(range(3000))
    store, seen, token = side.client._tracking_client.store, [], None
    while True:
        page = store.get_metric_history(run, "m", max_results=700, page_token=token)
        seen += [m.value for m in page]
        token = page.token
        if not token:
            break
    assert seen == list(range(3000))


def test_long_values(side):
    run = side.client.create_run(side.experiment()).info.run_id
    side.client.log_param(run, "long", "x" * 7000)
    side.client.set_tag(run, "long", "y" * 9000)
    got = side.client.get_run(run).data
    assert got.params["long"] == "x" * 6000 and got.tags["long"] == "y" * 8000
    with pytest.raises(MlflowException, match="exceeds the maximum length"):
        side.client.log_param(run, "k" * 300, "v")


def in_a_thread(args):
    client, experiment, i = args
    run = client.create_run(experiment, run_name=f"t{i}")
    for step in range(5):
        client.log_metric(run.info.run_id, "m", i + step, step=step)
    client.set_terminated(run.info.run_id)
    return run.info.run_id


def test_parallel_runs_in_threads(side):
    experiment = side.experiment()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = list(pool.map(in_a_thread, [(side.client, experiment, i) for i in range(16)]))
    found = {r.info.run_id: r for r in side.client.search_runs([experiment], "status = 'FINISHED'")}
    assert sorted(found) == sorted(made)
    assert sorted(r.data.metrics["m"] for r in found.values()) == [i + 4 for i in range(16)]


def test_fluent_runs_in_threads(side):
    experiment = mlflow.set_experiment(side.name("threads")).experiment_id

    def one(i):
        with mlflow.start_run(run_name=f"f{i}") as run:
            mlflow.log_param("i", i)
            time.sleep(0.01)
            mlflow.log_metric("m", i)
        return run.info.run_id

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        made = list(pool.map(one, range(8)))
    found = {r.info.run_id: r for r in side.client.search_runs([experiment])}
    assert [found[run].data.params["i"] for run in made] == [str(i) for i in range(8)]
    assert [found[run].data.metrics["m"] for run in made] == list(range(8))


def in_a_process(url, experiment, parent, i):
    mlflow.set_tracking_uri(url)
    with mlflow.start_run(experiment_id=experiment, run_name=f"p{i}", parent_run_id=parent) as run:
        mlflow.log_metric("m", i)
        MlflowClient(url).log_metric(parent, "shared", i, step=i)
    return run.info.run_id


def test_parallel_runs_in_processes(side):
    experiment = side.experiment()
    parent = side.client.create_run(experiment).info.run_id
    # Forked, as data loaders are: a spawned child would spend seconds on imports.
    with concurrent.futures.ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("fork")) as pool:
        made = [f.result(60) for f in [pool.submit(in_a_process, side.url, experiment, parent, i) for i in range(6)]]
    children = side.client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent}'")
    assert sorted(r.info.run_id for r in children) == sorted(made)
    assert sorted(m.step for m in side.client.get_metric_history(parent, "shared")) == list(range(6))


def test_async_logging(side):
    mlflow.set_experiment(side.name("async"))
    with mlflow.start_run() as run:
        for i in range(60):
            mlflow.log_metric("m", i, step=i, synchronous=False)
        operations = [mlflow.log_param("p", "v", synchronous=False), mlflow.log_params({"q": 1}, synchronous=False),
                      mlflow.set_tag("t", "u", synchronous=False), mlflow.log_metrics({"n": 1.5}, step=3, synchronous=False)]
        for operation in operations:
            operation.wait()
        mlflow.flush_async_logging()
    got = side.client.get_run(run.info.run_id).data
    assert got.params == {"p": "v", "q": "1"} and got.tags["t"] == "u" and got.metrics == {"m": 59, "n": 1.5}
    assert [m.value for m in side.client.get_metric_history(run.info.run_id, "m")] == list(range(60))


def test_system_metrics(side):
    pytest.importorskip("psutil")
    mlflow.set_experiment(side.name("system"))
    mlflow.set_system_metrics_sampling_interval(0.1)
    mlflow.set_system_metrics_samples_before_logging(1)
    try:
        with mlflow.start_run(log_system_metrics=True) as run:
            end = time.monotonic() + 20
            while time.monotonic() < end and not any(k.startswith("system/") for k in side.client.get_run(run.info.run_id).data.metrics):
                time.sleep(0.1)
    finally:
        mlflow.set_system_metrics_sampling_interval(None)
        mlflow.set_system_metrics_samples_before_logging(None)
    got = side.client.get_run(run.info.run_id).data.metrics
    assert got["system/cpu_utilization_percentage"] >= 0 and got["system/system_memory_usage_megabytes"] > 0


def test_datasets(side):
    experiment = mlflow.set_experiment(side.name("datasets")).experiment_id
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    table = mlflow.data.from_pandas(frame, name="tiny", targets="b", source="s3://bucket/tiny.csv")
    array = mlflow.data.from_numpy(numpy.arange(6.0), name="array")
    with mlflow.start_run() as run:
        mlflow.log_input(table, context="training", tags={"more": "1"})
        mlflow.log_input(table, context="training")
        mlflow.log_input(array, context="test")
    inputs = {i.dataset.name: i for i in side.client.get_run(run.info.run_id).inputs.dataset_inputs}
    assert sorted(inputs) == ["array", "tiny"]
    assert {t.key: t.value for t in inputs["tiny"].tags} == {"mlflow.data.context": "training", "more": "1"}
    assert inputs["tiny"].dataset.digest == table.digest and json.loads(inputs["tiny"].dataset.profile)["num_rows"] == 2
    assert json.loads(inputs["tiny"].dataset.source)["uri"] == "s3://bucket/tiny.csv"
    assert len(side.client.search_runs([experiment], "dataset.name = 'tiny' AND dataset.context = 'training'")) == 1
    assert mlflow.data.get_source(inputs["tiny"].dataset) is not None


def test_search_pages_and_frames(side):
    experiment = side.experiment()
    ids = []
    for i in range(7):
        run = side.client.create_run(experiment, run_name=f"run {i}", tags={"parity": "even" if i % 2 == 0 else "odd"})
        side.client.log_batch(run.info.run_id, [Metric("score", i, 1, 0)], [Param("size", f"s{i}")])
        ids.append(run.info.run_id)

    def names(filter_string="", order_by=("metrics.score ASC",), **more):
        return [r.info.run_name for r in side.client.search_runs([experiment], filter_string, order_by=list(order_by), **more)]

    assert names("metrics.score >= 2 and params.size != 's3' and tags.parity = 'odd'") == ["run 5"]
    assert names(f"attributes.run_id IN ('{ids[0]}', '{ids[6]}')") == ["run 0", "run 6"]
    assert names("", ("metrics.score DESC",), max_results=2) == ["run 6", "run 5"]
    seen, token = [], None
    while True:
        page = side.client.search_runs([experiment], order_by=["metrics.score ASC"], max_results=3, page_token=token)
        seen += [r.info.run_id for r in page]
        token = page.token
        if not token:
            break
    assert seen == ids
    with pytest.raises(MlflowException, match="Invalid clause"):
        names("metrics.score > 3 OR params.size = 's1'")
    frame = mlflow.search_runs([experiment], "metrics.score >= 5")
    assert sorted(frame["metrics.score"]) == [5, 6] and set(frame["tags.parity"]) == {"odd", "even"}
    by_name = mlflow.search_runs(experiment_names=[side.client.get_experiment(experiment).name], output_format="list")
    assert len(by_name) == 7


def test_search_experiments_pages(side):
    mark = f"{time.time_ns()}"
    made = [side.experiment(tags={"mark": mark, "i": str(i)}) for i in range(5)]
    found = mlflow.search_experiments(filter_string=f"tags.mark = '{mark}'", order_by=["experiment_id ASC"], max_results=3)
    assert [e.experiment_id for e in found][:3] == made[:3]
    page = side.client.search_experiments(filter_string=f"tags.mark = '{mark}'", order_by=["creation_time ASC", "experiment_id ASC"], max_results=2)
    rest = side.client.search_experiments(filter_string=f"tags.mark = '{mark}'", order_by=["creation_time ASC", "experiment_id ASC"],
                                          max_results=50, page_token=page.token)
    assert len(page) == 2 and len(rest) == 3 and not rest.token
