# SPDX-License-Identifier: Apache-2.0
"""examples/*/notebook.ipynb: trained in Python, logged through mlflow, then gated, approved, deployed, asked and watched like native models."""

import csv
import json
import os
import pathlib
import shutil
import sys
import time

import pytest

import serving
import support

mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
np = pytest.importorskip("numpy", reason="numpy is not installed")

BINARIES = f"{support.BIN.parent}{os.pathsep}{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
PROJECT = """name: {name}
endpoints:
  {name}: {{model: 'models:/{name}@champion'}}
gate:
  approval: required
  protect: [champion]
  metrics: {metrics}
watch: {{reference: first_window, window: {{rows: 100}}, drift: {{share: 0.3}}}}
"""


pytestmark = pytest.mark.timeout(300)  # kernels, MLflow and three stages: many imports


class Notebook:
    """An example's notebook, run in a folder with a server of its own."""

    def __init__(self, server, folder, example, name, metrics):
        self.server, self.folder, self.name, self.asked = server, folder, name, 0
        for file in ("notebook.ipynb", "schema.yaml"):
            shutil.copy(support.ROOT / "examples" / example / file, folder)
        (folder / "gyre.yaml").write_text(PROJECT.format(name=name, metrics=metrics))
        nb = nbformat.read(folder / "notebook.ipynb", as_version=4)
        nbformat.validate(nb)
        nbclient.NotebookClient(nb, timeout=110, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
        with open(folder / "data" / "held-out.csv", encoding="utf-8", newline="") as file:
            self.held_out = list(csv.DictReader(file))

    def gyre(self, *args):
        return support.run_json(*args, cwd=self.folder)

    def proven(self, version=1):
        end = time.monotonic() + 110
        while time.monotonic() < end:
            shown = self.gyre("models", "show", f"{self.name}/{version}")
            if shown["servable"] != "unknown":
                assert shown["servable"] == "yes", shown
                return shown
            time.sleep(0.1)
        raise AssertionError(f"still unproven: {shown}")

    def run_metrics(self):
        """What mlflow logged."""
        run = mlflow.MlflowClient(self.server.url).get_model_version(self.name, "1").run_id
        return mlflow.MlflowClient(self.server.url).get_run(run).data.metrics

    def through_the_gate(self):
        """Checked on the held-out rows, approved by a person, promoted, deployed, watched; the verdict."""
        verdict = self.gyre("gate", "check", f"{self.name}/1", "--data", "data/held-out.csv")
        asked = self.gyre("gate", "request", f"{self.name}/1")
        self.gyre("gate", "approve", asked["id"], "--reason", "looks right")
        self.gyre("models", "promote", f"{self.name}/1", "--alias", "champion")
        self.gyre("endpoint", "deploy", self.name)
        self.gyre("watch", "apply")  # before the first answer: a window keeps the size that it was opened with
        return verdict

    def ask(self, rows):
        """{output: values} for rows of numbers."""
        body = {"inputs": [{"name": "x", "shape": [len(rows), len(rows[0])], "datatype": "FP64", "data": [list(r) for r in rows]}]}
        status, answer, _ = serving.request(self.server, "POST", f"/v2/models/{self.name}/infer", body)
        assert status == 200, answer
        self.asked += len(rows)
        return serving.outputs(answer)

    def watched(self, usual, moved):
        """Windows of usual rows and one that has moved: the watcher tells it from the others; the report's text. What came by
        several connections may be judged in another order."""
        for part in (usual, usual[::-1], moved):
            self.ask([part[i % len(part)] for i in range(100)])
        end, path = time.monotonic() + 60, f"{serving.API}/watch/windows?endpoint={self.name}&limit=100"
        while len(found := serving.must(self.server, "GET", path)["windows"]) < self.asked // 100:
            assert time.monotonic() < end, found
            time.sleep(0.1)
        assert sum(w["dataset_drift"] for w in found) == 1, found
        self.gyre("watch", "report", self.name, "-o", "report.html")
        return (self.folder / "report.html").read_text()


@pytest.fixture
def notebook(new_server, tmp_path, monkeypatch):
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    server = new_server(home=tmp_path / ".gyre")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    monkeypatch.setenv("PATH", BINARIES)
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    mlflow.set_tracking_uri(server.url)
    mlflow.set_registry_uri(server.url)
    yield lambda *args: Notebook(server, tmp_path, *args)
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)


def verdict_value(verdict, metric):
    return next(c["value"] for c in verdict["checks"] if c["metric"] == metric and not c.get("slice"))


def test_xgboost_of_a_notebook_goes_all_the_way(notebook, tmp_path):
    pytest.importorskip("xgboost", reason="xgboost is not installed")
    nb = notebook("sepsis", "vitals", "[{name: recall, min: 0.7}, {name: f1, min: 0.8}]")
    nb.proven()
    other = support.run_gyre("gate", "check", "vitals/1", "--data", "data/patients.csv", cwd=tmp_path)
    assert other.returncode == 3 and "held out the file" in other.stderr, other.stderr
    refused = support.run_gyre("models", "promote", "vitals/1", "--alias", "champion", cwd=tmp_path)
    verdict = nb.through_the_gate()
    logged = nb.run_metrics()
    assert verdict["verdict"] == "BLESSED" and refused.returncode in (0, 18)
    assert verdict_value(verdict, "recall") == pytest.approx(logged["recall"], abs=1e-12)
    assert verdict_value(verdict, "f1") == pytest.approx(logged["f1"], abs=1e-12)
    rows = [[float(r[c]) for c in ("HR", "Resp", "Temp")] for r in nb.held_out]
    python = mlflow.xgboost.load_model("models:/vitals/1")
    assert np.array_equal(np.float32(nb.ask(rows[:300])["probability"]), python.predict_proba(np.array(rows[:300]))[:, 1])
    report = nb.watched(rows, [[hr + 30, resp + 8, temp + 1.5] for hr, resp, temp in rows])
    assert "vitals" in report and "Temp" in report

    # The same notebook as a pipeline: the same metrics.
    imported = nb.gyre("flow", "import", "notebook.ipynb", "-o", "pipeline")
    assert imported["own_project"] is True
    assert [s["stage"] for s in imported["stages"]] == ["prepare", "train", "evaluate", "publish"]
    (tmp_path / "pipeline" / "data").mkdir()
    shutil.copy(tmp_path / "data" / "patients.csv", tmp_path / "pipeline" / "data")
    done = support.run_gyre("run", "evaluate", cwd=tmp_path / "pipeline", env={"PATH": BINARIES})
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "pipeline" / "metrics" / "evaluate.json").read_text())
    assert {k: float(v) for k, v in metrics.items()} == logged


def test_scikit_learn_by_way_of_onnx_goes_all_the_way(notebook, tmp_path):
    for name in ("sklearn", "onnx", "skl2onnx", "onnxruntime"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    nb = notebook("iris", "iris", "[{name: accuracy, min: 0.85}, {name: f1_macro, min: 0.85}]")
    nb.proven()
    verdict = nb.through_the_gate()
    logged = nb.run_metrics()
    assert verdict["verdict"] == "BLESSED"
    for metric in ("accuracy", "f1_macro"):
        assert verdict_value(verdict, metric) == pytest.approx(logged[metric], abs=1e-12)
    planned = nb.gyre("flow", "import", "notebook.ipynb", "--dry-run", "--force")
    assert [s["stage"] for s in planned["stages"]] == ["prepare", "train", "evaluate", "publish"] and planned["notices"] == []
    names = [c for c in nb.held_out[0] if c != "species"]
    rows = [[float(r[c]) for c in names] for r in nb.held_out]
    asked = (rows * 2)[:100]  # as many as a window has: the order in which requests are judged then does not matter
    answers = nb.ask(asked)
    session = mlflow.onnx.load_model("models:/iris/1")
    import onnxruntime
    python = onnxruntime.InferenceSession(session.SerializeToString(), providers=["CPUExecutionProvider"])
    _, probabilities = python.run(None, {python.get_inputs()[0].name: np.float32(asked)})
    kinds = np.array(["setosa", "versicolor", "virginica"])
    assert answers["prediction"] == kinds[probabilities.argmax(axis=1)].tolist()
    assert np.allclose(answers["probability"], probabilities.ravel(), atol=1e-6)
    report = nb.watched(rows, [[a + 4, b + 4, c + 4, d + 4] for a, b, c, d in rows])
    assert "iris" in report and names[0] in report


def test_a_notebook_that_does_not_say_its_held_out_rows(notebook, tmp_path, monkeypatch):
    """Without metadata.gyre nothing can be judged: told with what to do, and by `gyre evaluate --all-rows` measured all the same."""
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed")
    x = np.arange(60.0).reshape(30, 2)
    y = (np.arange(30) > 14).astype(int)
    model = xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(x, y)
    (tmp_path / "t.csv").write_text("f0,f1,y\n" + "".join(f"{a},{b},{c}\n" for (a, b), c in zip(x, y)))

    def save(folder, gyre):
        mlflow.xgboost.save_model(model, str(tmp_path / folder), model_format="json", pip_requirements=["xgboost"],
                                  metadata={"gyre": gyre} if gyre else None)
        return folder

    silent = support.run_gyre("evaluate", save("silent", None), "t.csv", cwd=tmp_path)
    assert silent.returncode == 3 and "held_out_sha256" in silent.stderr, silent.stderr
    named = save("named", {"target": "y"})
    assert support.run_json("evaluate", named, "t.csv", "--all-rows", cwd=tmp_path)["metrics"]["accuracy"]["value"] == 1
    for gyre, words in (({"target": ["y"]}, "target is no name"), ({"target": "y", "held_out_sha256": "abc"}, "no SHA-256")):
        wrong = support.run_gyre("evaluate", save(f"wrong{len(words)}", gyre), "t.csv", "--all-rows", cwd=tmp_path)
        assert wrong.returncode == 13 and words in wrong.stderr, wrong.stderr
