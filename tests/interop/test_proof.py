# SPDX-License-Identifier: Apache-2.0
"""What MLflow's own client registers is proven by a child of the server: servable with its proof, or not with the reason."""

import json
import time
import urllib.request

import pytest

import identity
import support

mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
np = pytest.importorskip("numpy", reason="numpy is not installed")


def wait_for_proof(folder, ref, env=None):
    """The proof comes seconds after registering; the bound is one on failure."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        shown = support.run_json("models", "show", ref, cwd=folder, env=env)
        if shown["servable"] != "unknown":
            return shown
        time.sleep(0.1)
    raise AssertionError(f"{ref} is still unproven: {shown}")


@pytest.fixture
def tracking(new_server, tmp_path, monkeypatch):
    server = new_server(home=tmp_path / ".gyre")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    mlflow.set_tracking_uri(server.url)
    mlflow.set_registry_uri(server.url)
    mlflow.set_experiment("proofs")
    return server


def test_a_booster_of_a_notebook_is_proven_deployed_and_answers(tracking, tmp_path):
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed")
    rng = np.random.default_rng(1)
    x = rng.normal(size=(500, 3))
    y = (x[:, 0] + x[:, 1] > 0).astype(int)
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 3}, xgboost.DMatrix(x, y, feature_names=["a", "b", "c"]), 10)
    with mlflow.start_run():
        mlflow.xgboost.log_model(booster, name="model", model_format="json", registered_model_name="notebook")
    shown = wait_for_proof(tmp_path, "notebook/1")
    assert shown["servable"] == "yes", shown
    support.run_json("endpoint", "deploy", "notebook", "--model", "models:/notebook/1", cwd=tmp_path)
    body = {"inputs": [{"name": "x", "shape": [2, 3], "datatype": "FP64", "data": x[:2].tolist()}]}
    import requests
    answer = requests.post(f"{tracking.url}/v2/models/notebook/infer", json=body, timeout=10)
    assert answer.status_code == 200, answer.text
    got = {o["name"]: o["data"] for o in answer.json()["outputs"]}["probability"]
    want = booster.predict(xgboost.DMatrix(x[:2], feature_names=["a", "b", "c"]))
    assert np.array_equal(np.float32(got), want)


def test_a_pickle_is_not_servable_and_says_why(tracking, tmp_path):
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    with mlflow.start_run():
        mlflow.sklearn.log_model(linear_model.LogisticRegression().fit([[0.0], [1.0]], [0, 1]), name="model",
                                 registered_model_name="pickled")
    shown = wait_for_proof(tmp_path, "pickled/1")
    assert shown["servable"] == "no" and "sklearn" in shown["servable_reason"], shown
    refused = support.run_gyre("endpoint", "deploy", "pickled", "--model", "models:/pickled/1", "--json", cwd=tmp_path)
    assert refused.returncode == 19
    assert json.loads(refused.stdout)["error"]["code"] == "NOTSERVABLE"


def test_what_waited_while_no_server_ran_is_proven_at_its_start(tmp_path, new_server):
    rows = "id,x,y\n" + "".join(f"{i},{i % 100},{int(i % 100 > 50)}\n" for i in range(1, 400))
    (tmp_path / "t.csv").write_text(rows)
    made = support.run_json("train", "t.csv", "--target", "y", "--features", "x", "--learner", "logistic", cwd=tmp_path,
                            env={"GYRE_HOME": str(tmp_path / ".gyre")})
    source = f"mlflow-artifacts:/{made['experiment_id']}/{made['run_id']}/artifacts/model"
    support.run_json("models", "register", "later", source, cwd=tmp_path)
    assert support.run_json("models", "show", "later/1", cwd=tmp_path)["servable"] == "unknown"
    new_server(home=tmp_path / ".gyre")
    assert wait_for_proof(tmp_path, "later/1")["servable"] == "yes"


def test_what_is_registered_in_another_workspace_is_proven(tmp_path, new_server):
    """The prover looked in the default workspace alone: versions of the others stayed unproven, and so never servable."""
    server = new_server(home=tmp_path / ".gyre")
    identity.add_workspace(server, "lab")
    rows = "id,x,y\n" + "".join(f"{i},{i % 100},{int(i % 100 > 50)}\n" for i in range(1, 400))
    (tmp_path / "t.csv").write_text(rows)
    made = support.run_json("train", "t.csv", "--target", "y", "--features", "x", "--learner", "logistic", cwd=tmp_path)
    model = f"{made['experiment_id']}/{made['run_id']}/artifacts/model"
    base, there = "/api/2.0/mlflow-artifacts/artifacts/", {"X-MLFLOW-WORKSPACE": "lab"}
    number = identity.must(server, "POST", "/api/2.0/mlflow/experiments/create", {"name": "e"}, there)["experiment_id"]
    run = identity.must(server, "POST", "/api/2.0/mlflow/runs/create", {"experiment_id": number}, there)["run"]["info"]
    for f in identity.must(server, "GET", f"/api/gyre/v1/import/files?path={model}")["files"]:
        with urllib.request.urlopen(f"{server.url}{base}{model}/{f['path']}", timeout=60) as answer:
            raw = answer.read()
        identity.must(server, "PUT", f"{base}{number}/{run['run_id']}/artifacts/model/{f['path']}", raw, there)
    lab = {"GYRE_HOME": str(tmp_path / ".gyre"), "GYRE_WORKSPACE": "lab"}
    support.run_json("models", "register", "there", run["artifact_uri"] + "/model", "--run", run["run_id"], cwd=tmp_path, env=lab)
    shown = wait_for_proof(tmp_path, "there/1", env=lab)
    assert shown["servable"] == "yes", shown
    assert support.run_gyre("models", "show", "there/1", cwd=tmp_path).returncode == 4


def test_prove_by_hand(tmp_path):
    rows = "id,x,y\n" + "".join(f"{i},{i % 100},{int(i % 100 > 50)}\n" for i in range(1, 400))
    (tmp_path / "t.csv").write_text(rows)
    support.run_json("train", "t.csv", "--target", "y", "--features", "x", "--learner", "logistic", "--register", "m", cwd=tmp_path)
    proof = support.run_json("models", "prove", "m/1", cwd=tmp_path)
    assert proof["servable"] is True and proof["version"] == 1 and len(proof["digest"]) == 64
    missing = support.run_gyre("models", "prove", "m/9", cwd=tmp_path)
    assert missing.returncode == 4
