# SPDX-License-Identifier: Apache-2.0
"""The unmodified mlflow client against a server that asks for logins: tokens, passwords, refusals, workspaces."""

import os
import urllib.request

import pytest

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

mlflow = pytest.importorskip("mlflow", reason="the mlflow client is not installed")
import identity  # noqa: E402
import support  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    one = support.Server(tmp_path_factory.mktemp("login") / "home", ["--auth", "on"]).start()
    identity.add_workspace(one, "team-a")
    yield one
    one.stop()
    one.clean()


@pytest.fixture(scope="module")
def tokens(server):
    made = {role: identity.add_user(server, f"the-{role}", role, password=identity.PASSWORD) for role in ("viewer", "operator", "admin")}
    made["member"] = identity.add_user(server, "the-member", "operator", "team-a")
    return {name: headers["Authorization"].split()[1] for name, headers in made.items()}


@pytest.fixture(autouse=True)
def nobody(monkeypatch, server):
    for name in ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    mlflow.set_tracking_uri(server.url)


def log_in(monkeypatch, token=None, user=None, password=None):
    for name, value in (("TOKEN", token), ("USERNAME", user), ("PASSWORD", password)):
        if value:
            monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)


def work(server, tmp_path, name):
    """What a notebook does: a run with all that belongs to it, a model version, an alias; and reading it back."""
    client = MlflowClient(server.url, server.url)
    mlflow.set_experiment(f"by {name}")
    with mlflow.start_run() as run:
        mlflow.log_params({"a": 1})
        mlflow.log_metrics({"m": 0.5})
        (tmp_path / "notes.txt").write_text(f"of {name}")
        mlflow.log_artifact(str(tmp_path / "notes.txt"), "folder")
    back = client.get_run(run.info.run_id)
    assert back.data.params == {"a": "1"} and back.data.metrics == {"m": 0.5}
    assert open(client.download_artifacts(run.info.run_id, "folder/notes.txt", str(tmp_path)), encoding="utf-8").read() == f"of {name}"
    client.create_registered_model(f"model-{name}")
    version = client.create_model_version(f"model-{name}", back.info.artifact_uri + "/folder", run.info.run_id)
    client.set_registered_model_alias(f"model-{name}", "best", version.version)
    assert client.get_model_version_by_alias(f"model-{name}", "best").version == version.version
    return run.info.run_id


def test_by_token(server, tokens, monkeypatch, tmp_path):
    log_in(monkeypatch, token=tokens["operator"])
    work(server, tmp_path, "token")


def test_by_password(server, tokens, monkeypatch, tmp_path):
    log_in(monkeypatch, user="the-operator", password=identity.PASSWORD)
    work(server, tmp_path, "password")


def test_by_user_and_token(server, tokens, monkeypatch, tmp_path):
    log_in(monkeypatch, user="the-operator", password=tokens["operator"])
    work(server, tmp_path, "user-and-token")


@pytest.mark.parametrize("login", [{}, {"token": "gyre_" + "x" * 43}, {"user": "the-operator", "password": "wrong password"}],
                         ids=["none", "token", "password"])
def test_refused(server, tokens, monkeypatch, login):
    log_in(monkeypatch, **login)
    with pytest.raises(MlflowException) as refused:
        MlflowClient(server.url, server.url).search_experiments()
    assert "401" in str(refused.value) or "UNAUTHENTICATED" in str(refused.value)


def test_a_viewer_reads(server, tokens, monkeypatch, tmp_path):
    log_in(monkeypatch, token=tokens["operator"])
    run_id = work(server, tmp_path, "somebody")
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN")
    log_in(monkeypatch, token=tokens["viewer"])
    client = MlflowClient(server.url, server.url)
    experiment = client.get_experiment_by_name("by somebody").experiment_id
    assert [r.info.run_id for r in client.search_runs([experiment])] == [run_id]
    assert client.search_registered_models("name = 'model-somebody'")[0].aliases == {"best": "1"}
    for write in (lambda: client.create_run(experiment), lambda: client.log_metric(run_id, "m", 1), lambda: client.set_tag(run_id, "t", "v"),
                  lambda: client.create_registered_model("mine"), lambda: client.delete_run(run_id)):
        with pytest.raises(MlflowException) as refused:
            write()
        assert refused.value.error_code == "PERMISSION_DENIED" and "this needs operator" in str(refused.value)


def test_workspaces(server, tokens, monkeypatch, tmp_path):
    from mlflow.tracking.client import MlflowClient as Client
    log_in(monkeypatch, token=tokens["member"])
    with pytest.raises(MlflowException) as refused:
        Client(server.url, server.url).search_experiments()
    assert refused.value.error_code == "PERMISSION_DENIED"
    monkeypatch.setenv("MLFLOW_WORKSPACE", "team-a")
    run_id = work(server, tmp_path, "member")
    monkeypatch.delenv("MLFLOW_WORKSPACE")
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN")
    log_in(monkeypatch, token=tokens["admin"])
    with pytest.raises(MlflowException) as hidden:
        Client(server.url, server.url).get_run(run_id)
    assert hidden.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    assert all("member" not in m.name for m in Client(server.url, server.url).search_registered_models())


def test_keeping_workspaces(server, tokens, monkeypatch):
    store = pytest.importorskip("mlflow.store.workspace.rest_store", reason="this client knows no workspaces")
    from mlflow.entities import Workspace
    from mlflow.utils.rest_utils import MlflowHostCreds

    rest = store.RestWorkspaceStore(lambda: MlflowHostCreds(server.url, token=tokens["admin"]))
    made = rest.create_workspace(Workspace(name="team-c", description="third"))
    assert (made.name, made.description) == ("team-c", "third")
    with pytest.raises(MlflowException) as again:
        rest.create_workspace(Workspace(name="team-c"))
    assert again.value.error_code == "RESOURCE_ALREADY_EXISTS"
    assert rest.update_workspace(Workspace(name="team-c", description="3rd")).description == "3rd"
    assert {"default", "team-a", "team-c"} <= {w.name for w in rest.list_workspaces()}
    rest.delete_workspace("team-c")
    with pytest.raises(MlflowException) as gone:
        rest.get_workspace("team-c")
    assert gone.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_a_model_is_served_to_its_callers(server, tokens):
    """Scoring asks for a login as everything does."""
    request = urllib.request.Request(server.url + "/v2/models/none/infer", data=b"{}", method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert refused.value.code == 401
    request.add_header("Authorization", f"Bearer {tokens['viewer']}")
    with pytest.raises(urllib.error.HTTPError) as missing:
        urllib.request.urlopen(request, timeout=30)
    assert missing.value.code == 404
