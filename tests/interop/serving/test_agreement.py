# SPDX-License-Identifier: Apache-2.0
"""Models that Python trained (XGBoost, LightGBM, scikit-learn by ONNX) answer at Gyre as they do in Python: 10,000 rows each, asked over
JSON, binary tensors and gRPC. agreement_models.py makes models, rows and Python's answers.

Trees of XGBoost and LightGBM are answered with the same bits: of XGBoost all of a float32, of LightGBM all of a double. What skl2onnx writes
computes in float32, where scikit-learn does in double: sums of some dozen terms, each rounded to 2^-24 of its size. The bound is 2e-6 of
the answer (of 1 for what is less than 1), which is 34 of those roundings; the largest difference seen is 5.3e-7 (the support vectors). A
class may differ where two are as probable, within twenty times the bound. Infinities are no values to Gyre (docs/serving.md), as they are
none to scikit-learn and XGBoost."""

import json
import os
import pathlib
import subprocess

import pytest

import agreement_models
import serving
import support

np = pytest.importorskip("numpy", reason="numpy is not installed")
http = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")
grpc = pytest.importorskip("tritonclient.grpc", reason="tritonclient[grpc] is not installed")

pytestmark = pytest.mark.timeout(700)  # the first one trains them all
PYTHON = support.ROOT / ".venv/bin/python"
BOUND = 2e-6
FORMS = ["JSON", "binary", "gRPC"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the models are, once for all."""
    if not PYTHON.exists():
        pytest.skip("no Python environment that trains (.venv); run ./setup.sh test")
    made = tmp_path_factory.mktemp("agreement")
    env = {**os.environ, "PYTHONPATH": str(support.ROOT / "tests/interop"), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([PYTHON, agreement_models.__file__, made], capture_output=True, text=True, check=False, env=env, timeout=600)
    assert done.returncode == 0, done.stderr
    return made


class Case:
    """One model: its rows by column, what Python answers, and how close to that the answer has to be."""

    def __init__(self, folder, name):
        self.about = json.loads((folder / f"{name}.json").read_text())
        with np.load(folder / f"{name}.npz") as arrays:
            self.columns = {c: arrays[c] for c in self.about["columns"]}
            self.want = arrays["want"]
        self.name = name

    def tensors(self):
        """[(name, datatype, array)]: one matrix where all columns are numbers of one kind, else a column each."""
        kinds = {a.dtype for a in self.columns.values()}
        if len(kinds) == 1:
            rows = np.column_stack(list(self.columns.values()))
            return [("x", "FP32" if rows.dtype == np.float32 else "FP64", rows)]
        return [(c, "BYTES" if a.dtype.kind == "U" else "FP32" if a.dtype == np.float32 else "FP64", a.reshape(-1, 1))
                for c, a in self.columns.items()]

    def check(self, prediction, probability):
        answer = probability if self.about["classes"] else prediction
        assert answer.dtype == np.float64 and answer.shape == self.want.shape
        if self.about["exact"]:
            differs = answer != self.want  # both as double: a float32 is one exactly
        else:
            differs = np.abs(answer - self.want) > BOUND * np.maximum(1, np.abs(self.want))
        assert not differs.any(), (f"{differs.sum()} of {differs.size} differ, first in row {np.argwhere(differs)[0][0]}: "
                                   f"{answer[differs][:3]}, not {self.want[differs][:3]}")
        if self.about["classes"]:
            self.check_classes(np.array([int(label) for label in prediction]))

    def check_classes(self, prediction):
        two = self.want.ndim == 1
        p = np.column_stack([1 - self.want, self.want]) if two else self.want
        by_size = np.sort(p, axis=1)
        sure = by_size[:, -1] - by_size[:, -2] > 20 * BOUND
        assert sure.sum() > 9_000 and np.array_equal(prediction[sure], p.argmax(axis=1)[sure])


@pytest.fixture(scope="module")
def deploy(served, folder, tmp_path_factory):
    """deploy(name): the case, registered from its file and served; each once."""
    cwd, cases = tmp_path_factory.mktemp("import"), {}

    def one(name):
        if (folder / f"{name}.skip").exists():
            pytest.skip((folder / f"{name}.skip").read_text())
        if name.startswith("scikit"):
            why = subprocess.run([support.ROOT / "deps/onnxruntime.sh", "--why"], capture_output=True, text=True, check=False)
            if why.returncode == 0 and not os.environ.get("GYRE_LIBDIR"):
                pytest.skip(why.stdout.strip())
        if name not in cases:
            case = Case(folder, name)
            done = support.run_gyre("models", "import", name, folder / case.about["file"], "--server", served.url, cwd=cwd)
            assert done.returncode == 0, done.stderr
            serving.deploy(served.server, f"models:/{name}/1", name, {}, columns=())
            cases[name] = case
        return cases[name]

    return one


def ask_json(served, case, missing="null"):
    """What a client of no library sends: a missing value is null."""
    tensors = [{"name": n, "shape": list(a.shape), "datatype": t, "data": a.ravel().tolist()} for n, t, a in case.tensors()]
    body = json.dumps({"inputs": tensors}).replace("NaN", missing)
    status, answer, _ = served.request("POST", f"/v2/models/{case.name}/infer", body, {"Content-Type": "application/json"})
    assert status == 200, answer
    return {o["name"]: np.array(o["data"]).reshape(o["shape"]) for o in answer["outputs"]}


def ask_client(library, address, case, **how):
    """What tritonclient sends, over HTTP or gRPC."""
    inputs = []
    for name, datatype, array in case.tensors():
        one = library.InferInput(name, list(array.shape), datatype)
        one.set_data_from_numpy(array.astype(object) if datatype == "BYTES" else array, **how)
        inputs.append(one)
    client = library.InferenceServerClient(address)
    answer = client.infer(case.name, inputs)
    client.close()
    return {name: answer.as_numpy(name) for name in ("prediction", "probability")}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", agreement_models.CASES)
def test_python_and_gyre_answer_the_same(served, deploy, name, form):
    case = deploy(name)
    if form == "JSON":
        got = ask_json(served, case)
    else:
        got = ask_client(http if form == "binary" else grpc, served.address, case)
    prediction = got["prediction"] if case.about["classes"] else got["prediction"].astype(float)
    case.check(prediction, got.get("probability"))


@pytest.mark.parametrize("name", ["xgboost-binary", "lightgbm-texts", "scikit-encoder-two"])
def test_a_missing_value_is_what_the_client_writes_into_json(served, deploy, name):
    """tritonclient writes NaN, and so does Python's json module."""
    case = deploy(name)
    for got in (ask_client(http, served.address, case, binary_data=False), ask_json(served, case, "NaN")):
        case.check(got["prediction"], got["probability"])
