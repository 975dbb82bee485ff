# SPDX-License-Identifier: Apache-2.0
"""gyre import mlflow: stores made by the real mlflow, brought in, and compared through MlflowClient with everything equal."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

# MLflow 3.17 opens its folders of files, which people have, only when it is told to.
os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
pytest.importorskip("mlflow", reason="the mlflow client is not installed")
import move_sources  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from support import Server, run_gyre, run_json  # noqa: E402

SOURCES = ["files", "sqlite", "http"]
pytestmark = pytest.mark.timeout(600)  # a store is filled by the real client, point by point through a real server


class Mlflow:
    """A real `mlflow server` on a free port over a store of its own; stop() ends it."""

    def __init__(self, folder):
        import socket
        self.folder = folder
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = open(folder / "mlflow.log", "wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
             "--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", str(folder / "served")],
            cwd=folder, stdout=self.log, stderr=self.log, start_new_session=True,
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"})
        end = time.monotonic() + 120
        import urllib.request
        while time.monotonic() < end and self.process.poll() is None:
            try:
                urllib.request.urlopen(self.url + "/health", timeout=5).read()
                return
            except OSError:
                time.sleep(0.2)
        self.stop()
        raise AssertionError("mlflow server did not start:\n" + (folder / "mlflow.log").read_text()[-3000:])

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(60)
        self.log.close()


class Source:
    """A filled MLflow store: what `gyre import mlflow` is given (url), and what a client is given (uri)."""

    def __init__(self, kind, folder):
        self.kind, self.folder = kind, folder
        self.server = None
        self.extra = []
        if kind == "files":
            self.uri = self.url = str(folder / "mlruns")
        elif kind == "sqlite":
            self.uri = self.url = f"sqlite:///{folder}/mlflow.db"
        else:
            self.server = Mlflow(folder)
            self.uri = self.url = self.server.url
        import mlflow
        before = os.getcwd()
        os.chdir(folder)
        try:
            mlflow.set_tracking_uri(self.uri)
            self.ids = move_sources.fill(self.uri, scratch=folder / "scratch",
                                         files=str(folder / "art") if kind == "sqlite" else None,
                                         points=10_000 if kind == "http" else 100_000)
        finally:
            os.chdir(before)

    def client(self):
        import mlflow
        mlflow.set_tracking_uri(self.uri)  # the file store asks the global one for logged models of versions
        return MlflowClient(self.uri, self.uri)

    def describe(self):
        """What a client sees; where MLflow's file store tells its own client something else than it holds, what it holds."""
        seen = move_sources.describe(self.client())
        if self.kind == "files":  # a line with a dataset is read with step 0; a server never tells a version's model_id
            lines = (self.folder / "mlruns" / self.ids["experiment"] / self.ids["run"] / "metrics" / "acc").read_text()
            seen["runs"][self.ids["run"]]["history"]["acc"] = sorted(
                (int(t), int(step), float(v)) for t, v, step, *_ in map(str.split, lines.splitlines()))
            seen["registry"]["iris"]["versions"][4]["model"] = ""
        return seen


@pytest.fixture(autouse=True)
def uris_of_the_process():
    """What other tests left, and what these leave, does not matter to each other."""
    import mlflow
    tracking, registry = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    yield
    mlflow.set_tracking_uri(tracking)
    mlflow.set_registry_uri(registry)


@pytest.fixture(scope="module", params=SOURCES)
def source(request, tmp_path_factory):
    made = Source(request.param, tmp_path_factory.mktemp(f"source-{request.param}"))
    yield made
    if made.server:
        made.server.stop()


@pytest.fixture(scope="module")
def imported(source, tmp_path_factory):
    """A server whose home was imported into in-process, and the report."""
    folder = tmp_path_factory.mktemp(f"into-{source.kind}")
    report = run_json("import", "mlflow", source.url, "--home", folder / "home", cwd=source.folder)
    server = Server(folder / "home").start()
    yield server, report
    server.stop()


def test_everything_is_equal(source, imported):
    server, report = imported
    assert report["ok"] and report["rejected"] == 0 and report["lacking"] == 0, report
    there = source.describe()
    here = move_sources.describe(MlflowClient(server.url, server.url))
    assert len(there["runs"]) == 14 and len(there["experiments"]) == 6
    assert move_sources.differences(there, here) == []


def test_artifacts_are_equal(source, imported, tmp_path):
    server, _ = imported
    client = MlflowClient(server.url, server.url)
    there = move_sources.tree_of(source.client(), source.ids["run"], tmp_path / "there")
    here = move_sources.tree_of(client, source.ids["run"], tmp_path / "here")
    assert there and there == here
    assert "empty.txt" in here and "model/MLmodel" in here
    import mlflow
    for model in source.ids["models"]:
        uri = client.get_logged_model(model).artifact_location
        assert uri.startswith("mlflow-artifacts:/")
        mlflow.set_tracking_uri(server.url)
        got = pathlib.Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path / model)))
        assert (got / "model.bin").read_bytes() == bytes(range(256)) * 8
    assert client.get_model_version_download_uri("iris", "1").startswith("mlflow-artifacts:/")


def test_a_deleted_number_is_never_given_again(source, imported):
    server, _ = imported
    client = MlflowClient(server.url, server.url)
    if source.kind == "http":
        pytest.skip("MLflow's API does not tell of deleted versions")
    made = client.create_model_version("shrunk", client.get_run(source.ids["run"]).info.artifact_uri + "/model",
                                       run_id=source.ids["run"])
    assert int(made.version) == 4


def test_deleted_things_are_deleted(source, imported):
    server, _ = imported
    client = MlflowClient(server.url, server.url)
    assert client.get_run(source.ids["others"][-1]).info.lifecycle_stage == "deleted"
    assert client.get_experiment(source.ids["trash"]).lifecycle_stage == "deleted"


def test_a_repeat_changes_nothing(source, imported):
    server, first = imported
    again = run_json("import", "mlflow", source.url, "--home", server.home, cwd=source.folder)
    assert again["ok"] and again["unchanged_runs"] == 14 and again["points_read"] == 0
    assert again["points"] == first["points"] and again["models"] == first["models"]


def test_models_are_told_apart(source, imported):
    _, report = imported
    models = report["models"]
    assert models["total"] == 3 and models["native"] == 1 and models["after_onnx_export"] == 2
    assert {m["servable"] for m in models["list"]} == {"native", "after_onnx_export"}


# ---- and back ----


def lines_of(url):
    """All that a server holds, as the lines that export and import speak, in an order of their own. MLflow keeps milliseconds:
    what was made here to the microsecond comes back to the millisecond."""
    import re
    import urllib.request

    def get(path):
        with urllib.request.urlopen(f"{url}/api/gyre/v1/export/{path}", timeout=60) as answer:
            return re.sub(r'(_us":\d+)\d{3}', r'\g<1>000', answer.read().decode()).splitlines()

    experiments = get("experiments")
    out = experiments + get("registry")
    for e in experiments:
        number = json.loads(e)["id"]
        for what in ("runs", "logged"):
            after = ""
            while True:
                page = get(f"{what}?experiment={number}&after={after}")
                if not page:
                    break
                out += page
                after = json.loads(page[-1])["id"]
                if what == "runs":
                    for run in page:
                        out += get("points?run=" + json.loads(run)["id"])
    return sorted(out)


@pytest.fixture(scope="module", params=["sqlite", "files"])
def exported(request, imported, tmp_path_factory):
    server, _ = imported
    folder = tmp_path_factory.mktemp("out") / "für mlflow"
    report = run_json("export", "mlflow", folder, "--format", request.param, "--server", server.url, cwd=folder.parent)
    yield server, folder, report


def test_mlflow_opens_an_export(exported, tmp_path):
    server, folder, report = exported
    import mlflow
    mlflow.set_tracking_uri(report["tracking_uri"])
    there = MlflowClient(report["tracking_uri"], report["tracking_uri"])
    seen = [move_sources.without(move_sources.describe(c), "registry.*.versions.*.model")
            for c in (MlflowClient(server.url, server.url), there)]
    assert report["rejected"] == 0 and len(seen[0]["runs"]) == 14
    assert move_sources.differences(*seen) == []
    run = next(r for r in seen[0]["runs"] if seen[0]["runs"][r]["name"] == "parent ü")
    mlflow.set_tracking_uri(server.url)
    here = move_sources.tree_of(MlflowClient(server.url, server.url), run, tmp_path / "here")
    mlflow.set_tracking_uri(report["tracking_uri"])
    mlflow.set_registry_uri(report["tracking_uri"])
    assert here and here == move_sources.tree_of(there, run, tmp_path / "there")
    for alias in ("champion", "challenger"):
        place = pathlib.Path(mlflow.artifacts.download_artifacts(f"models:/iris@{alias}", dst_path=str(tmp_path / alias)))
        assert (place / "MLmodel").is_file()


def test_an_export_imported_is_the_same_again(exported, tmp_path):
    server, folder, report = exported
    source = report["tracking_uri"].replace("file://", "")
    again = run_json("import", "mlflow", source, "--home", tmp_path / "home", cwd=tmp_path)
    assert again["ok"] and again["runs"] == report["runs"] and again["points"] == report["points"]
    with_same = Server(tmp_path / "home").start()
    try:
        assert lines_of(with_same.url) == lines_of(server.url)
    finally:
        with_same.stop()


def test_an_export_makes_a_new_folder_or_none(imported, tmp_path):
    server, _ = imported
    (tmp_path / "there").mkdir()
    done = run_gyre("export", "mlflow", "there", "--server", server.url, cwd=tmp_path)
    assert done.returncode != 0 and "is there already" in done.stderr
    done = run_gyre("export", "mlflow", "new", "--experiments", "no such one", "--server", server.url, cwd=tmp_path)
    assert done.returncode != 0 and not (tmp_path / "new").exists() and not (tmp_path / "new.partial").exists()
    part = run_json("export", "mlflow", "new", "--experiments", "extra 1", "--server", server.url, cwd=tmp_path)
    assert part["runs"] == 2 and part["registered_models"] == 0
