# SPDX-License-Identifier: Apache-2.0
"""The unmodified mlflow client against `gyre server`: track, search, store artifacts, register, load back."""

import json
import math
import os
import time

import pytest

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

mlflow = pytest.importorskip("mlflow", reason="the mlflow client is not installed")
from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Metric, Param, RunTag, ViewType  # noqa: E402
from mlflow.exceptions import MlflowException, RestException  # noqa: E402


@pytest.fixture(scope="module")
def client(server):
    mlflow.set_tracking_uri(server.url)
    mlflow.set_registry_uri(server.url)
    return MlflowClient(server.url, server.url)


@pytest.fixture
def experiment(client, request):
    return client.create_experiment(request.node.name)


def test_fluent_run(client):
    mlflow.set_experiment("fluent")
    with mlflow.start_run(run_name="first") as run:
        mlflow.log_param("depth", 6)
        mlflow.log_params({"eta": 0.1, "name": "x"})
        mlflow.log_metric("loss", 0.5, step=0)
        mlflow.log_metric("loss", 0.25, step=1)
        mlflow.log_metrics({"auc": 0.9, "nan": math.nan, "inf": math.inf})
        mlflow.set_tag("kind", "test")
        mlflow.set_tags({"a": "1", "b": "2"})
    got = client.get_run(run.info.run_id)
    assert got.info.status == "FINISHED"
    assert got.info.run_name == "first"
    assert got.info.end_time >= got.info.start_time
    assert got.data.params == {"depth": "6", "eta": "0.1", "name": "x"}
    assert got.data.metrics["loss"] == 0.25
    assert math.isnan(got.data.metrics["nan"])
    assert got.data.metrics["inf"] >= 1.7976931348623157e308
    assert got.data.tags["kind"] == "test" and got.data.tags["mlflow.source.type"]
    assert got.info.artifact_uri.startswith("mlflow-artifacts:/")


def test_failed_and_nested_runs(client):
    mlflow.set_experiment("nested")
    with pytest.raises(ZeroDivisionError):
        with mlflow.start_run() as run:
            _ = 1 / 0
    assert client.get_run(run.info.run_id).info.status == "FAILED"
    with mlflow.start_run() as parent:
        with mlflow.start_run(nested=True) as child:
            pass
    assert client.get_run(child.info.run_id).data.tags["mlflow.parentRunId"] == parent.info.run_id


def test_experiments(client):
    made = client.create_experiment("exp-a", tags={"team": "icu"})
    with pytest.raises(RestException, match="RESOURCE_ALREADY_EXISTS"):
        client.create_experiment("exp-a")
    got = client.get_experiment_by_name("exp-a")
    assert got.experiment_id == made and got.tags == {"team": "icu"}
    assert client.get_experiment_by_name("no such") is None
    client.rename_experiment(made, "exp-b")
    client.set_experiment_tag(made, "k", "v")
    assert client.get_experiment(made).tags["k"] == "v"
    assert [e.name for e in client.search_experiments(filter_string="name = 'exp-b'")] == ["exp-b"]
    client.delete_experiment(made)
    assert client.get_experiment(made).lifecycle_stage == "deleted"
    assert made in [e.experiment_id for e in client.search_experiments(ViewType.DELETED_ONLY)]
    client.restore_experiment(made)
    assert client.get_experiment(made).lifecycle_stage == "active"


def test_batch_and_history(client, experiment):
    run = client.create_run(experiment)
    now = int(time.time() * 1000)
    for _ in range(2):  # the same again is the same
        client.log_batch(run.info.run_id,
                         [Metric("m", i * 0.5, now + i, i) for i in range(900)],
                         [Param(f"p{i}", str(i)) for i in range(50)], [RunTag(f"t{i}", "v") for i in range(50)])
    history = client.get_metric_history(run.info.run_id, "m")
    assert [m.value for m in history] == [i * 0.5 for i in range(900)]
    assert [m.step for m in history] == list(range(900))
    got = client.get_run(run.info.run_id)
    assert len(got.data.params) == 50 and got.data.metrics == {"m": 449.5}
    assert client.get_metric_history(run.info.run_id, "none") == []
    with pytest.raises(MlflowException, match="Changing param values is not allowed"):
        client.log_param(run.info.run_id, "p1", "other")
    with pytest.raises(MlflowException, match="RESOURCE_DOES_NOT_EXIST|not found"):
        client.get_run("0" * 32)
    client.set_terminated(run.info.run_id, "KILLED")
    assert client.get_run(run.info.run_id).info.status == "KILLED"
    client.delete_run(run.info.run_id)
    assert client.get_run(run.info.run_id).info.lifecycle_stage == "deleted"
    client.restore_run(run.info.run_id)
    client.delete_tag(run.info.run_id, "t1")
    assert "t1" not in client.get_run(run.info.run_id).data.tags


def test_search_runs(client, experiment):
    ids = []
    for i in range(7):
        run = client.create_run(experiment, run_name=f"run {i}", tags={"parity": "even" if i % 2 == 0 else "odd"})
        client.log_metric(run.info.run_id, "score", i)
        client.log_param(run.info.run_id, "size", f"s{i}")
        ids.append(run.info.run_id)

    def names(filter_string="", order_by=("metrics.score ASC",), **more):
        return [r.info.run_name for r in client.search_runs([experiment], filter_string, order_by=list(order_by), **more)]

    assert names("metrics.score > 3") == ["run 4", "run 5", "run 6"]
    assert names("metrics.score >= 2 and params.size != 's3' and tags.parity = 'odd'") == ["run 5"]
    assert names("params.size LIKE 's%' AND run_name ILIKE 'RUN 2'") == ["run 2"]
    assert names(f"attributes.run_id IN ('{ids[0]}', '{ids[6]}')") == ["run 0", "run 6"]
    assert names("", ("metrics.score DESC",), max_results=2) == ["run 6", "run 5"]
    page = client.search_runs([experiment], order_by=["metrics.score ASC"], max_results=4)
    assert page.token and len(page) == 4
    rest = client.search_runs([experiment], order_by=["metrics.score ASC"], max_results=4, page_token=page.token)
    assert [r.info.run_id for r in list(page) + list(rest)] == ids and not rest.token
    with pytest.raises(MlflowException, match="Invalid clause"):
        names("metrics.score > 3 OR params.size = 's1'")
    frame = mlflow.search_runs([experiment], "metrics.score >= 5")
    assert sorted(frame["metrics.score"]) == [5, 6]


def test_artifacts(client, experiment, tmp_path):
    run_id = client.create_run(experiment).info.run_id
    folder = tmp_path / "folder"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "a.txt").write_text("alpha")
    (folder / "empty").write_bytes(b"")
    blob = os.urandom(3 << 20)
    (folder / "deep" / "er" / "blob ü.bin").write_bytes(blob)
    client.log_text(run_id, "grüße", "notes/hello.txt")
    client.log_dict(run_id, {"k": [1, 2]}, "d.json")
    client.log_artifact(run_id, str(folder / "a.txt"))
    client.log_artifacts(run_id, str(folder), "all")
    listed = {f.path: (f.is_dir, f.file_size) for f in client.list_artifacts(run_id)}
    assert set(listed) == {"a.txt", "all", "d.json", "notes"}
    assert listed["a.txt"] == (False, 5) and listed["all"][0] and listed["notes"][0]
    assert [f.path for f in client.list_artifacts(run_id, "all")] == ["all/a.txt", "all/deep", "all/empty"]
    assert list(client.list_artifacts(run_id, "a.txt")) == []
    down = tmp_path / "down"
    down.mkdir()
    client.download_artifacts(run_id, "", str(down))
    assert (down / "all" / "deep" / "er" / "blob ü.bin").read_bytes() == blob
    assert (down / "all" / "empty").read_bytes() == b""
    assert (down / "notes" / "hello.txt").read_text() == "grüße"
    assert json.loads((down / "d.json").read_text()) == {"k": [1, 2]}
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/notes/hello.txt") == "grüße"
    started = time.monotonic()
    with pytest.raises(MlflowException, match="Failed to download artifacts|No such artifact"):
        client.download_artifacts(run_id, "nope.txt", str(down))
    assert time.monotonic() - started < 60  # a 404: nothing the client would try again for minutes


def test_registry(client, experiment):
    client.create_registered_model("reg", tags={"a": "1"}, description="d")
    with pytest.raises(MlflowException, match="Registered Model .+ already exists"):
        client.create_registered_model("reg")
    run = client.create_run(experiment)
    client.log_text(run.info.run_id, "flavors: {}", "model/MLmodel")
    for i in range(3):
        made = client.create_model_version("reg", f"{run.info.artifact_uri}/model", run.info.run_id,
                                           tags={"i": str(i)})
        assert made.version == str(i + 1) or made.version == i + 1
        assert made.status == "READY" and made.run_id == run.info.run_id
    client.set_registered_model_alias("reg", "champion", "2")
    assert str(client.get_model_version_by_alias("reg", "champion").version) == "2"
    assert client.get_model_version("reg", "2").aliases == ["champion"]
    assert client.get_registered_model("reg").aliases == {"champion": "2"}
    client.set_registered_model_alias("reg", "champion", "3")
    assert str(client.get_model_version_by_alias("reg", "champion").version) == "3"
    client.delete_registered_model_alias("reg", "champion")
    with pytest.raises(MlflowException, match="Registered model alias champion not found"):
        client.get_model_version_by_alias("reg", "champion")
    with pytest.raises(MlflowException, match="reserved"):
        client.set_registered_model_alias("reg", "latest", "1")
    assert [m.name for m in client.search_registered_models("name LIKE 're%'")] == ["reg"]
    assert len(client.search_model_versions("name = 'reg'")) == 3
    assert [str(v.version) for v in client.search_model_versions("name = 'reg' and tags.i = '1'")] == ["2"]
    client.update_model_version("reg", "1", description="first")
    assert client.get_model_version("reg", "1").description == "first"
    client.set_model_version_tag("reg", "1", "t", "v")
    assert client.get_model_version("reg", "1").tags == {"i": "0", "t": "v"}
    client.transition_model_version_stage("reg", "1", "staging")
    assert client.get_model_version("reg", "1").current_stage == "Staging"
    assert [str(v.version) for v in client.get_latest_versions("reg", ["Staging"])] == ["1"]
    client.delete_model_version("reg", "3")
    again = client.create_model_version("reg", f"{run.info.artifact_uri}/model", run.info.run_id)
    assert str(again.version) == "4"  # a number is never given twice
    assert client.get_model_version_download_uri("reg", "4") == f"{run.info.artifact_uri}/model"
    client.rename_registered_model("reg", "reg2")
    assert str(client.get_model_version("reg2", "4").version) == "4"
    client.delete_registered_model("reg2")
    with pytest.raises(MlflowException, match="not found"):
        client.get_registered_model("reg2")


def test_sklearn_round_trip(client):
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    import numpy
    x = numpy.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 5.0]])
    model = linear.LinearRegression().fit(x, x @ [2.0, -1.0] + 0.5)
    mlflow.set_experiment("sklearn")
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(model, name="lin", registered_model_name="sk",
                                        input_example=x[:1])
    client.set_registered_model_alias("sk", "champion", str(info.registered_model_version))
    loaded = mlflow.pyfunc.load_model("models:/sk@champion")
    assert numpy.allclose(loaded.predict(x), model.predict(x))
    assert numpy.allclose(mlflow.sklearn.load_model(info.model_uri).predict(x), model.predict(x))
    assert numpy.allclose(mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/lin").predict(x), model.predict(x))
    version = client.get_model_version("sk", "1")
    assert version.run_id == run.info.run_id
    logged = mlflow.get_logged_model(info.model_id)
    assert str(logged.status) in ("READY", "LoggedModelStatus.READY")
    # The server notes the number as a number, this client once more as text; both mean one version.
    assert {(v["name"], str(v["version"])) for v in json.loads(logged.tags["mlflow.modelVersions"])} == {("sk", "1")}
    outputs = client.get_run(run.info.run_id).outputs.model_outputs
    assert [o.model_id for o in outputs] == [info.model_id]
    found = mlflow.search_logged_models([run.info.experiment_id], filter_string="name = 'lin'", output_format="list")
    assert [m.model_id for m in found] == [info.model_id]
    # Registering the same model from its run again gives the next number.
    again = mlflow.register_model(f"models:/{info.model_id}", "sk")
    assert str(again.version) == "2"
    assert numpy.allclose(mlflow.pyfunc.load_model("models:/sk/2").predict(x), model.predict(x))


def test_model_metrics(client):
    mlflow.set_experiment("model metrics")
    with mlflow.start_run():
        logged = mlflow.initialize_logged_model(name="m", params={"k": "v"})
        mlflow.log_metric("f1", 0.75, model_id=logged.model_id)
        mlflow.finalize_logged_model(logged.model_id, "READY")
    got = mlflow.get_logged_model(logged.model_id)
    assert got.params == {"k": "v"}
    assert [(m.key, m.value) for m in got.metrics] == [("f1", 0.75)]
    found = mlflow.search_logged_models([got.experiment_id], filter_string="metrics.f1 > 0.7",
                                        order_by=[{"field_name": "metrics.f1", "ascending": False}],
                                        output_format="list")
    assert [m.model_id for m in found] == [logged.model_id]


def test_datasets(client):
    pandas = pytest.importorskip("pandas")
    mlflow.set_experiment("datasets")
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    with mlflow.start_run() as run:
        mlflow.log_input(mlflow.data.from_pandas(frame, name="tiny"), context="training")
    inputs = client.get_run(run.info.run_id).inputs.dataset_inputs
    assert inputs[0].dataset.name == "tiny"
    assert inputs[0].tags[0].value == "training"
    assert len(client.search_runs([run.info.experiment_id], "dataset.name = 'tiny'")) == 1
