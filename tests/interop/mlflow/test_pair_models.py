# SPDX-License-Identifier: Apache-2.0
"""log_model, load_model, register_model, URIs, aliases, stages, copies, logged models, autolog, evaluation, prompts."""

import concurrent.futures
import json

import mlflow
import numpy
import pandas
import pytest
from mlflow.exceptions import MlflowException
from sklearn.linear_model import LinearRegression, LogisticRegression

X = numpy.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 5.0]])
Y = X @ [2.0, -1.0] + 0.5
MODEL = LinearRegression().fit(X, Y)
# Without them the client starts a Python for each model, to see what it imports.
PINNED = {"pip_requirements": ["mlflow"]}


class Constant(mlflow.pyfunc.PythonModel):
    """A small model of one's own."""

    def predict(self, context, model_input, params=None):
        return [7] * len(model_input)


def test_log_load_register(side):
    experiment = mlflow.set_experiment(side.name("sklearn")).experiment_id
    name = side.name("sk")
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(MODEL, name="lin", registered_model_name=name, input_example=X[:1], params={"p": 1}, **PINNED)
    run_id = run.info.run_id
    side.client.set_registered_model_alias(name, "champion", str(info.registered_model_version))
    for uri in (f"models:/{name}@champion", f"models:/{name}/1", f"models:/{name}/latest", f"runs:/{run_id}/lin", info.model_uri):
        loaded = mlflow.pyfunc.load_model(uri)
        assert numpy.allclose(loaded.predict(X), Y), uri
    assert numpy.allclose(mlflow.sklearn.load_model(info.model_uri).predict(X), Y)
    assert loaded.metadata.signature == info.signature and loaded.metadata.model_id == info.model_id
    version = side.client.get_model_version(name, "1")
    assert version.run_id == run_id and version.source == f"models:/{info.model_id}"
    logged = mlflow.get_logged_model(info.model_id)
    assert str(logged.status) in ("READY", "LoggedModelStatus.READY") and logged.params["p"] == "1"
    assert {(v["name"], str(v["version"])) for v in json.loads(logged.tags["mlflow.modelVersions"])} == {(name, "1")}
    assert [o.model_id for o in side.client.get_run(run_id).outputs.model_outputs] == [info.model_id]
    found = mlflow.search_logged_models([experiment], filter_string="name = 'lin'", output_format="list")
    assert [m.model_id for m in found] == [info.model_id]
    assert str(mlflow.register_model(f"models:/{info.model_id}", name).version) == "2"
    assert str(mlflow.register_model(f"runs:/{run_id}/lin", name, tags={"from": "run"}).version) == "3"
    for number in ("2", "3"):
        assert numpy.allclose(mlflow.pyfunc.load_model(f"models:/{name}/{number}").predict(X), Y)
    info_again = mlflow.models.get_model_info(f"models:/{name}/1")
    assert info_again.signature == info.signature and "python_function" in info_again.flavors


def test_a_model_of_ones_own(side):
    mlflow.set_experiment(side.name("own"))
    with mlflow.start_run() as run:
        info = mlflow.pyfunc.log_model(name="seven", python_model=Constant(), input_example=[1, 2], **PINNED)
    assert list(mlflow.pyfunc.load_model(info.model_uri).predict([1, 2, 3])) == [7, 7, 7]
    assert {f.path.rsplit("/", 1)[-1] for f in mlflow.artifacts.list_artifacts(info.model_uri)} >= {"MLmodel", "python_model.pkl"}
    assert mlflow.pyfunc.get_model_dependencies(info.model_uri)
    assert side.client.get_run(run.info.run_id).outputs.model_outputs


def test_xgboost_model(side):
    xgboost = pytest.importorskip("xgboost")
    mlflow.set_experiment(side.name("xgb"))
    booster = xgboost.train({"max_depth": 2, "seed": 1}, xgboost.DMatrix(X, label=Y), 3)
    with mlflow.start_run():
        info = mlflow.xgboost.log_model(booster, name="trees", registered_model_name=side.name("trees"), **PINNED)
    again = mlflow.xgboost.load_model(f"models:/{side.name('trees')}/1")
    assert numpy.allclose(again.predict(xgboost.DMatrix(X)), booster.predict(xgboost.DMatrix(X)))
    assert info.registered_model_version in (1, "1")


def test_autolog_sklearn(side):
    experiment = mlflow.set_experiment(side.name("autolog")).experiment_id
    mlflow.sklearn.autolog(log_datasets=True)
    try:
        frame = pandas.DataFrame(X, columns=["a", "b"])
        with mlflow.start_run() as run:
            model = LogisticRegression(C=0.5).fit(frame, [0, 0, 1, 1])
            model.score(frame, [0, 0, 1, 1])
    finally:
        mlflow.sklearn.autolog(disable=True)
    got = side.client.get_run(run.info.run_id)
    assert got.data.params["C"] == "0.5" and got.data.metrics["training_accuracy_score"] == 1
    assert got.data.tags["estimator_name"] == "LogisticRegression"
    assert any("score" in k and not k.startswith("training_") for k in got.data.metrics)
    assert [i.dataset.source_type for i in got.inputs.dataset_inputs]
    logged = mlflow.search_logged_models([experiment], output_format="list")
    assert len(logged) == 1 and logged[0].params["C"] == "0.5"
    assert numpy.allclose(mlflow.sklearn.load_model(f"models:/{logged[0].model_id}").predict(frame), model.predict(frame))


def test_autolog_grid_search(side):
    from sklearn.model_selection import GridSearchCV
    experiment = mlflow.set_experiment(side.name("grid")).experiment_id
    mlflow.sklearn.autolog(log_models=False, max_tuning_runs=2)
    try:
        GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2).fit(numpy.vstack([X, X]), numpy.array([0, 1, 0, 1] * 2))
    finally:
        mlflow.sklearn.autolog(disable=True)
    runs = side.client.search_runs([experiment])
    parents = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    assert len(parents) == 1 and len(runs) == 3
    assert "best_C" in parents[0].data.params
    assert any(f.path == "cv_results.csv" for f in side.client.list_artifacts(parents[0].info.run_id))


def test_autolog_xgboost(side):
    xgboost = pytest.importorskip("xgboost")
    experiment = mlflow.set_experiment(side.name("autoxgb")).experiment_id
    mlflow.xgboost.autolog(importance_types=["weight"])
    try:
        train = xgboost.DMatrix(X, label=[0, 0, 1, 1])
        with mlflow.start_run() as run:
            xgboost.train({"max_depth": 2, "objective": "binary:logistic", "eval_metric": "logloss"}, train, 5, evals=[(train, "train")], verbose_eval=False)
    finally:
        mlflow.xgboost.autolog(disable=True)
    got = side.client.get_run(run.info.run_id).data
    assert got.params["max_depth"] == "2" and got.params["num_boost_round"] == "5"
    assert [m.step for m in side.client.get_metric_history(run.info.run_id, "train-logloss")] == list(range(5))
    assert any(f.path.startswith("feature_importance") for f in side.client.list_artifacts(run.info.run_id))
    assert len(mlflow.search_logged_models([experiment], output_format="list")) == 1


def test_evaluate(side):
    mlflow.set_experiment(side.name("evaluate"))
    frame = pandas.DataFrame(X, columns=["a", "b"])
    model = LogisticRegression().fit(frame, [0, 0, 1, 1])
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(model, name="m", input_example=frame[:1], **PINNED)
        result = mlflow.models.evaluate(info.model_uri, frame.assign(y=[0, 0, 1, 1]), targets="y", model_type="classifier",
                                        evaluator_config={"log_model_explainability": False})
    got = side.client.get_run(run.info.run_id)
    assert got.data.metrics["accuracy_score"] == result.metrics["accuracy_score"] == 1
    assert got.inputs.dataset_inputs
    paths = {f.path for f in side.client.list_artifacts(run.info.run_id)}
    assert any("confusion_matrix" in p for p in paths), paths


def test_evaluate_a_table(side):
    mlflow.set_experiment(side.name("evaltable"))
    frame = pandas.DataFrame({"y": [1.0, 2.0, 3.0], "p": [1.0, 2.5, 3.0]})
    with mlflow.start_run() as run:
        result = mlflow.models.evaluate(data=frame, targets="y", predictions="p", model_type="regressor")
    assert side.client.get_run(run.info.run_id).data.metrics["max_error"] == result.metrics["max_error"] == 0.5


def test_logged_models(side):
    experiment = mlflow.set_experiment(side.name("logged")).experiment_id
    frame = mlflow.data.from_pandas(pandas.DataFrame({"a": [1.0]}), name="held-out")
    made = []
    with mlflow.start_run() as run:
        mlflow.log_input(frame)
        for i in range(4):
            logged = mlflow.initialize_logged_model(name=f"m{i}", params={"k": str(i)}, tags={"i": str(i)}, model_type="t")
            mlflow.log_metric("f1", 0.25 * i, model_id=logged.model_id)
            mlflow.log_metric("on", 0.1 * i, step=1, model_id=logged.model_id, dataset=frame)
            mlflow.finalize_logged_model(logged.model_id, "READY" if i else "FAILED")
            made.append(logged.model_id)
    got = mlflow.get_logged_model(made[2])
    assert got.params == {"k": "2"} and got.tags["i"] == "2" and got.model_type == "t" and got.source_run_id == run.info.run_id
    assert sorted((m.key, m.value) for m in got.metrics) == [("f1", 0.5), ("on", 0.2)]
    assert {(m.dataset_name, m.dataset_digest) for m in got.metrics if m.key == "on"} == {("held-out", frame.digest)}
    assert [str(mlflow.get_logged_model(m).status).rsplit(".", 1)[-1] for m in made] == ["FAILED", "READY", "READY", "READY"]

    def found(**more):
        return [m.name for m in mlflow.search_logged_models([experiment], output_format="list", **more)]

    by_f1 = [{"field_name": "metrics.f1", "ascending": False}]
    assert found(filter_string="metrics.f1 > 0.3", order_by=by_f1) == ["m3", "m2"]
    assert found(filter_string="params.k = '1'") == ["m1"] and found(filter_string="tags.i != '1'", order_by=by_f1) == ["m3", "m2", "m0"]
    assert found(filter_string="metrics.on > 0.15", datasets=[{"dataset_name": "held-out", "dataset_digest": frame.digest}], order_by=by_f1) == ["m3", "m2"]
    assert found(order_by=by_f1, max_results=2) == ["m3", "m2"]
    page = side.client.search_logged_models([experiment], order_by=by_f1, max_results=3)
    rest = side.client.search_logged_models([experiment], order_by=by_f1, max_results=3, page_token=page.token)
    assert [m.name for m in list(page) + list(rest)] == ["m3", "m2", "m1", "m0"] and not rest.token
    frame_of = mlflow.search_logged_models([experiment])
    assert set(frame_of["name"]) == {"m0", "m1", "m2", "m3"}
    mlflow.set_logged_model_tags(made[1], {"new": "tag"})
    mlflow.delete_logged_model_tag(made[1], "i")
    assert "i" not in mlflow.get_logged_model(made[1]).tags and mlflow.get_logged_model(made[1]).tags["new"] == "tag"
    side.client.delete_logged_model(made[0])
    assert found(order_by=by_f1) == ["m3", "m2", "m1"]
    with pytest.raises(MlflowException, match="not found"):
        mlflow.get_logged_model(made[0])
    side.client.log_model_artifact(made[1], __file__)
    assert [f.path for f in side.client.list_logged_model_artifacts(made[1])] == ["test_pair_models.py"]


def test_external_model(side):
    mlflow.set_experiment(side.name("external"))
    made = mlflow.create_external_model(name="agent", model_type="agent", params={"t": "0"})
    mlflow.set_active_model(model_id=made.model_id)
    try:
        mlflow.log_metric("score", 1.0)
    finally:
        mlflow.clear_active_model()
    assert [(m.key, m.value) for m in mlflow.get_logged_model(made.model_id).metrics] == [("score", 1.0)]
    mlflow.end_run()


def test_registry(side):
    first, second = side.name("reg"), side.name("reg2")
    side.client.create_registered_model(first, tags={"a": "1"}, description="d")
    with pytest.raises(MlflowException, match="Registered Model .+ already exists"):
        side.client.create_registered_model(first)
    run = side.client.create_run(side.experiment())
    side.client.log_text(run.info.run_id, "flavors: {}", "model/MLmodel")
    for i in range(3):
        made = side.client.create_model_version(first, f"{run.info.artifact_uri}/model", run.info.run_id, tags={"i": str(i)})
        assert str(made.version) == str(i + 1) and made.status == "READY" and made.run_id == run.info.run_id
    side.client.set_registered_model_alias(first, "champion", "2")
    assert str(side.client.get_model_version_by_alias(first, "champion").version) == "2"
    assert side.client.get_model_version(first, "2").aliases == ["champion"]
    assert {k: str(v) for k, v in side.client.get_registered_model(first).aliases.items()} == {"champion": "2"}
    side.client.set_registered_model_alias(first, "champion", "3")
    assert side.client.get_model_version(first, "2").aliases == []
    side.client.delete_registered_model_alias(first, "champion")
    with pytest.raises(MlflowException, match="Registered model alias champion not found"):
        side.client.get_model_version_by_alias(first, "champion")
    with pytest.raises(MlflowException, match="reserved"):
        side.client.set_registered_model_alias(first, "latest", "1")
    assert [m.name for m in side.client.search_registered_models(f"name = '{first}'")] == [first]
    assert [str(v.version) for v in side.client.search_model_versions(f"name = '{first}' and tags.i = '1'")] == ["2"]
    assert len(mlflow.search_model_versions(filter_string=f"name = '{first}'", max_results=2)) >= 2
    side.client.update_registered_model(first, description="other")
    side.client.update_model_version(first, "1", description="first")
    assert side.client.get_model_version(first, "1").description == "first" and side.client.get_registered_model(first).description == "other"
    side.client.set_model_version_tag(first, "1", "t", "v")
    side.client.delete_model_version_tag(first, "1", "i")
    side.client.set_registered_model_tag(first, "b", "2")
    side.client.delete_registered_model_tag(first, "a")
    assert side.client.get_model_version(first, "1").tags == {"t": "v"} and side.client.get_registered_model(first).tags == {"b": "2"}
    side.client.delete_model_version(first, "3")
    again = side.client.create_model_version(first, f"{run.info.artifact_uri}/model", run.info.run_id)
    assert str(again.version) == "4"  # a number is never given twice
    assert side.client.get_model_version_download_uri(first, "4") == f"{run.info.artifact_uri}/model"
    side.client.rename_registered_model(first, second)
    assert str(side.client.get_model_version(second, "4").version) == "4"
    side.client.delete_registered_model(second)
    with pytest.raises(MlflowException, match="not found"):
        side.client.get_registered_model(second)


@pytest.mark.filterwarnings("ignore:.*stages are deprecated.*:FutureWarning")
def test_stages(side):
    name = side.name("staged")
    side.client.create_registered_model(name)
    for _ in range(3):
        side.client.create_model_version(name, "s3://bucket/x")
    side.client.transition_model_version_stage(name, "1", "staging")
    side.client.transition_model_version_stage(name, "2", "Production")
    side.client.transition_model_version_stage(name, "3", "Production", archive_existing_versions=True)
    assert [side.client.get_model_version(name, v).current_stage for v in "123"] == ["Staging", "Archived", "Production"]
    assert [str(v.version) for v in side.client.get_latest_versions(name, ["Production"])] == ["3"]
    assert {str(v.version): v.current_stage for v in side.client.get_latest_versions(name)} == {"1": "Staging", "2": "Archived", "3": "Production"}
    with pytest.raises(MlflowException, match="Invalid Model Version stage"):
        side.client.transition_model_version_stage(name, "1", "Nowhere")


def test_copy_model_version(side):
    mlflow.set_experiment(side.name("copy"))
    source, target = side.name("dev"), side.name("prod")
    with mlflow.start_run():
        mlflow.sklearn.log_model(MODEL, name="lin", registered_model_name=source, **PINNED)
    copied = side.client.copy_model_version(f"models:/{source}/1", target)
    assert copied.name == target and str(copied.version) == "1" and copied.source == f"models:/{source}/1"
    assert numpy.allclose(mlflow.pyfunc.load_model(f"models:/{target}/1").predict(X), Y)
    again = side.client.copy_model_version(f"models:/{target}/1", side.name("third"))
    assert side.client.get_model_version_download_uri(side.name("third"), again.version) == side.client.get_model_version_download_uri(source, "1")


def at_once(side, ask, *args):
    """MLflow looks first and inserts then: two that set the same now and then meet, and one is refused with a database's message."""
    try:
        ask(*args)
    except MlflowException as refused:
        if side.side == "gyre" or "IntegrityError" not in str(refused):
            raise


def test_many_versions_at_once(side):
    name = side.name("race")
    side.client.create_registered_model(name)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda i: int(side.client.create_model_version(name, f"s3://bucket/{i}").version), range(24)))
    assert sorted(made) == list(range(1, 25))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: at_once(side, side.client.set_registered_model_alias, name, "champion", str(i)), made))
        list(pool.map(lambda i: at_once(side, side.client.set_model_version_tag, name, "1", "t", str(i)), made))
    holders = [v for v in range(1, 25) if side.client.get_model_version(name, str(v)).aliases == ["champion"]]
    assert len(holders) == 1
    assert int(side.client.get_model_version_by_alias(name, "champion").version) == holders[0]
    assert int(side.client.get_model_version(name, "1").tags["t"]) in made


def test_prompts(side):
    name = "greet-" + side.node.replace(" ", "-")
    mlflow.genai.register_prompt(name=name, template="Hello {{who}}", tags={"lang": "en"}, commit_message="first")
    made = mlflow.genai.register_prompt(name=name, template="Hi {{who}}")
    assert made.version == 2
    first = mlflow.genai.load_prompt(f"prompts:/{name}/1")
    assert first.format(who="you") == "Hello you" and first.tags["lang"] == "en" and first.commit_message == "first"
    mlflow.genai.set_prompt_alias(name, alias="live", version=1)
    assert mlflow.genai.load_prompt(f"prompts:/{name}@live").version == 1
    assert [p.name for p in mlflow.genai.search_prompts(filter_string=f"name = '{name}'")] == [name]
    assert name not in [m.name for m in side.client.search_registered_models()]
    chat = mlflow.genai.register_prompt(name=name, template=[{"role": "user", "content": "{{who}}?"}])
    assert mlflow.genai.load_prompt(f"prompts:/{name}/3").template == chat.template
    mlflow.genai.delete_prompt_alias(name, alias="live")
    assert mlflow.genai.load_prompt("nobody-wrote-this", allow_missing=True) is None
