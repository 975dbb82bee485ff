# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's own client (tritonclient, HTTP) against Gyre: JSON and binary tensors, models that Gyre trained."""

import gzip
import json
import time
import zlib
from http.client import HTTPConnection

import pytest

np = pytest.importorskip("numpy", reason="numpy is not installed")
http = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")

from tritonclient.utils import InferenceServerException  # noqa: E402

ROWS = np.array([[100.0, 20.0, 38.0], [80.0, 18.5, 37.0], [95.0, np.nan, 36.6]])


@pytest.fixture(scope="module")
def client(served):
    one = http.InferenceServerClient(served.address)
    yield one
    one.close()


def tensor(name, array, datatype, binary=True):
    one = http.InferInput(name, list(array.shape), datatype)
    one.set_data_from_numpy(array, binary_data=binary)
    return one


def columns(array, binary=True):
    return [tensor(name, np.ascontiguousarray(array[:, i:i + 1]), "FP64", binary) for i, name in enumerate(["HR", "Resp", "Temp"])]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_health_and_metadata(client):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("sepsis")
    assert client.is_model_ready("sepsis", "1") and not client.is_model_ready("nobody")
    about = client.get_model_metadata("sepsis")
    assert [i["name"] for i in about["inputs"]] == ["HR", "Resp", "Temp"]
    assert about["inputs"][0] == {"name": "HR", "datatype": "FP64", "shape": [-1, 1]}
    assert [o["name"] for o in about["outputs"]] == ["prediction", "probability"]


@pytest.mark.parametrize("ask", ["as binary", "as JSON", "as the client does by itself", "mixed"])
def test_answers_are_those_of_the_model(client, ask):
    outputs = {"as binary": [http.InferRequestedOutput("probability", binary_data=True), http.InferRequestedOutput("prediction", binary_data=True)],
               "as JSON": [http.InferRequestedOutput("probability", binary_data=False), http.InferRequestedOutput("prediction", binary_data=False)],
               "mixed": [http.InferRequestedOutput("probability", binary_data=True), http.InferRequestedOutput("prediction", binary_data=False)],
               "as the client does by itself": None}[ask]
    answer = client.infer("sepsis", columns(ROWS), outputs=outputs, request_id="r-1")
    assert answer.get_response()["id"] == "r-1"
    want = sigmoid(ROWS[:, 0] / 10 - 9)
    assert np.array_equal(answer.as_numpy("probability"), want)
    assert answer.as_numpy("prediction").tolist() == [1, 0, 1] and answer.as_numpy("prediction").dtype == np.int64


def test_inputs_as_json_and_binary_mixed(client):
    inputs = columns(ROWS)
    inputs[1] = tensor("Resp", np.array([[20.0], [18.5], [1.0]]), "FP64", binary=False)
    answer = client.infer("sepsis", inputs)
    assert np.array_equal(answer.as_numpy("probability"), sigmoid(ROWS[:, 0] / 10 - 9))


@pytest.mark.parametrize("datatype,dtype", [("FP16", np.float16), ("FP32", np.float32), ("FP64", np.float64), ("INT8", np.int8), ("INT16", np.int16),
                                            ("INT32", np.int32), ("INT64", np.int64), ("UINT8", np.uint8), ("UINT16", np.uint16),
                                            ("UINT32", np.uint32), ("UINT64", np.uint64), ("BOOL", np.bool_)])
def test_every_datatype(client, datatype, dtype):
    rows = np.array([[100, 20, 38], [1, 0, 127]]).astype(dtype)
    answer = client.infer("visits", [tensor("x", rows, datatype)])
    want = rows.astype(float) @ [2, 3, 0.5] + 1
    assert answer.as_numpy("prediction").tolist() == want.tolist()


def test_bf16(client):
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    rows = np.array([[100, 20, 38], [1.5, -2, 0.25]], dtype=ml_dtypes.bfloat16)
    answer = client.infer("visits", [tensor("x", rows, "BF16")])
    assert answer.as_numpy("prediction").tolist() == (rows.astype(float) @ [2, 3, 0.5] + 1).tolist()


@pytest.mark.parametrize("binary", [True, False])
def test_labels_are_bytes(client, binary):
    answer = client.infer("flowers", [tensor("x", np.eye(3) * 5, "FP64")],
                          outputs=[http.InferRequestedOutput("prediction", binary_data=binary), http.InferRequestedOutput("probability", binary_data=binary)])
    labels = [label.decode() if isinstance(label, bytes) else label for label in answer.as_numpy("prediction")]
    assert labels == ["setosa", "versicolor", "virginica"]
    assert answer.as_numpy("probability").shape == (3, 3)
    assert np.allclose(answer.as_numpy("probability").sum(axis=1), 1)


def test_a_number_alone_has_no_header(client, served):
    served.add("single", served.package("regression", [], {"name": "linear", "params": {}, "values": [2.0, 1.0]}, ["x"]))
    body, headers = np.array([1.0, 2.0, 3.5]).tobytes(), {"Inference-Header-Content-Length": "0", "Content-Type": "application/octet-stream"}
    status, answer, got = served.request("POST", "/v2/models/single/infer", body, headers)
    n = int(got["Inference-Header-Content-Length"])
    assert status == 200 and np.frombuffer(answer[n:]).tolist() == [3.0, 5.0, 8.0]
    status, answer, _ = served.request("POST", "/v2/models/sepsis/infer", body, headers)
    assert status == 400 and "models with one input" in answer["error"]


@pytest.mark.parametrize("call,says", [
    (lambda c: c.infer("nobody", columns(ROWS)), "Model 'nobody' not found"),
    (lambda c: c.infer("sepsis", columns(ROWS), model_version="99"), "version '99' not found"),
    (lambda c: c.infer("sepsis", columns(ROWS)[:2]), "input 'Temp' is missing"),
    (lambda c: c.infer("sepsis", columns(ROWS), outputs=[http.InferRequestedOutput("nothing")]), "no output 'nothing'"),
    (lambda c: c.infer("sepsis", columns(ROWS), outputs=[http.InferRequestedOutput("prediction", class_count=2)]), "classification extension"),
    (lambda c: c.infer("sepsis", [tensor("x", np.array([[b"a", b"b", b"c"]], dtype=object), "BYTES")]), "datatype 'BYTES' is not accepted"),
    (lambda c: c.infer("sepsis", columns(np.array([[np.inf, 1, 2]]))), "infinite"),
])
def test_what_is_wrong_is_said(client, call, says):
    with pytest.raises(InferenceServerException, match=says):
        call(client)


# ---- tensor models ----

def add_onnx(served, name, data, tmp):
    """Register the bare file with the command, prove it, serve it."""
    import serving
    import support
    file = tmp / f"{name}.onnx"
    file.write_bytes(data)
    done = support.run_gyre("models", "import", name, file, "--server", served.url, cwd=tmp)
    assert done.returncode == 0, done.stderr
    return serving.deploy(served.server, f"models:/{name}/1", name, {}, columns=())


@pytest.fixture(scope="module")
def simple(served, client, tmp_path_factory):
    import onnx_models
    import subprocess
    import support
    why = subprocess.run([support.ROOT / "deps/onnxruntime.sh", "--why"], capture_output=True, text=True, check=False)
    if why.returncode == 0:
        pytest.skip(why.stdout.strip())
    add_onnx(served, "simple", onnx_models.simple(), tmp_path_factory.mktemp("onnx"))
    return client


A, B = np.arange(16, dtype=np.int32).reshape(1, 16), np.full((1, 16), 3, dtype=np.int32)


def test_metadata_of_simple(simple):
    about = simple.get_model_metadata("simple")
    assert about["inputs"] == [{"name": n, "datatype": "INT32", "shape": [-1, 16]} for n in ("INPUT0", "INPUT1")]
    assert about["outputs"] == [{"name": n, "datatype": "INT32", "shape": [-1, 16]} for n in ("OUTPUT0", "OUTPUT1")]


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("n", [1, 70])
def test_simple_adds_and_subtracts(simple, binary_in, binary_out, n):
    a, b = np.repeat(A, n, axis=0), np.repeat(B, n, axis=0) * np.arange(n, dtype=np.int32).reshape(n, 1)
    answer = simple.infer("simple", [tensor("INPUT0", a, "INT32", binary_in), tensor("INPUT1", b, "INT32", binary_in)],
                          outputs=[http.InferRequestedOutput("OUTPUT0", binary_data=binary_out),
                                   http.InferRequestedOutput("OUTPUT1", binary_data=binary_out)])
    assert answer.as_numpy("OUTPUT0").dtype == np.int32
    assert np.array_equal(answer.as_numpy("OUTPUT0"), a + b) and np.array_equal(answer.as_numpy("OUTPUT1"), a - b)


def test_one_output_of_simple(simple):
    answer = simple.infer("simple", [tensor("INPUT1", B, "INT32"), tensor("INPUT0", A, "INT32")], outputs=[http.InferRequestedOutput("OUTPUT1")])
    assert [o["name"] for o in answer.get_response()["outputs"]] == ["OUTPUT1"]
    assert np.array_equal(answer.as_numpy("OUTPUT1"), A - B)


@pytest.mark.parametrize("inputs,says", [
    ([tensor("INPUT0", A, "INT32")], "input 'INPUT1' is missing"),
    ([tensor("INPUT0", A[:, :4], "INT32"), tensor("INPUT1", B, "INT32")], r"its shape is \[rows, 16\]"),
    ([tensor("INPUT0", A, "INT32"), tensor("INPUT0", B, "INT32")], "twice"),
    ([tensor("INPUT0", A, "INT32"), tensor("INPUT1", np.repeat(B, 2, axis=0), "INT32")], "has 2 rows"),
])
def test_wrong_tensors_of_simple(simple, inputs, says):
    with pytest.raises(InferenceServerException, match=says):
        simple.infer("simple", inputs)


def test_simple_is_logged_and_traced(simple, served):
    answer = simple.infer("simple", [tensor("INPUT0", A, "INT32"), tensor("INPUT1", B, "INT32")], request_id="logged-1")
    prediction = answer.get_response()["parameters"]["prediction_id"]
    status, trace, _ = served.request("GET", f"/api/gyre/v1/trace/{prediction}")
    assert status == 200, trace


def test_dimensions_and_half_floats(simple, served, tmp_path):
    import onnx_models
    add_onnx(served, "shapes", onnx_models.shapes(), tmp_path)
    about = simple.get_model_metadata("shapes")
    assert about["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 2, 3]}]
    assert [o["datatype"] for o in about["outputs"]] == ["FP16", "INT8", "BOOL"]
    x = np.array([[[1.5, -2, 0], [0.1, -0.0001, 65504]], [[1, 2, 3], [4, 5, 6]]], dtype=np.float32)
    for binary in (True, False):
        answer = simple.infer("shapes", [tensor("x", x, "FP32", binary)])
        assert np.array_equal(answer.as_numpy("half"), x.astype(np.float16))
        assert np.array_equal(answer.as_numpy("sign"), np.sign(x).astype(np.int8))
        assert np.array_equal(answer.as_numpy("over"), x > 0)
    flat = {"inputs": [{"name": "x", "shape": [2, 2, 3], "datatype": "FP32", "data": x.ravel().tolist()}], "outputs": [{"name": "over"}]}
    status, got, _ = served.request("POST", "/v2/models/shapes/infer", flat)
    assert status == 200 and got["outputs"][0]["data"] == (x > 0).ravel().tolist()
    flat.pop("outputs")
    status, got, _ = served.request("POST", "/v2/models/shapes/infer", flat)
    assert status == 400 and "has no JSON form" in got["error"]


# ---- packed bodies ----

@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_packed_both_ways(client, algorithm, binary):
    rows = np.repeat(ROWS[:1], 2000, axis=0)
    answer = client.infer("sepsis", [tensor("x", rows, "FP64", binary)], outputs=[http.InferRequestedOutput("probability", binary_data=binary)],
                          request_compression_algorithm=algorithm, response_compression_algorithm=algorithm)
    assert np.array_equal(answer.as_numpy("probability"), sigmoid(rows[:, 0] / 10 - 9))


def test_packing_is_seen_on_the_wire(served):
    body = json.dumps({"inputs": [{"name": "x", "shape": [1000, 3], "datatype": "FP64", "data": [1.5] * 3000}]})
    connection = HTTPConnection("127.0.0.1", served.port, timeout=60)
    connection.request("POST", "/v2/models/sepsis/infer", body, {"Accept-Encoding": "gzip", "Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200 and answer.getheader("Content-Encoding") == "gzip" and answer.getheader("Vary") == "Accept-Encoding"
    assert len(json.loads(gzip.decompress(answer.read()))["outputs"][0]["data"]) == 1000
    connection.close()
    status, plain, headers = served.request("POST", "/v2/models/sepsis/infer", body, {"Content-Type": "application/json"})
    assert status == 200 and "Content-Encoding" not in headers and len(plain["outputs"][0]["data"]) == 1000


@pytest.mark.parametrize("body,coding,status,says", [
    (gzip.compress(b" " * (9 << 20)), "gzip", 400, "unpacked body"),
    (gzip.compress(b"{}")[:-4], "gzip", 400, "damaged"),
    (zlib.compress(b"{}") + b"x", "deflate", 400, "behind the packed body"),
    (b"{}", "br", 415, "gzip and deflate"),
])
def test_bombs_and_damage(served, body, coding, status, says):
    got, answer, _ = served.request("POST", "/v2/models/sepsis/infer", body, {"Content-Encoding": coding})
    answer = answer if isinstance(answer, dict) else json.loads(answer)
    assert got == status and says in answer["error"]


# ---- statistics, configuration, the repository ----

def test_statistics_count(client):
    def stats():
        return client.get_inference_statistics("sepsis")["model_stats"][0]
    before = stats()
    client.infer("sepsis", columns(ROWS))
    with pytest.raises(InferenceServerException):
        client.infer("sepsis", columns(ROWS)[:1])
    after = stats()
    assert after["inference_count"] == before["inference_count"] + 3 and after["execution_count"] == before["execution_count"] + 1
    assert after["inference_stats"]["success"]["count"] == before["inference_stats"]["success"]["count"] + 1
    assert after["inference_stats"]["fail"]["count"] == before["inference_stats"]["fail"]["count"] + 1
    assert after["inference_stats"]["compute_infer"]["ns"] > before["inference_stats"]["compute_infer"]["ns"]
    assert abs(after["last_inference"] / 1000 - time.time()) < 60
    assert len(client.get_inference_statistics()["model_stats"]) >= 3


def test_configuration(client):
    config = client.get_model_config("sepsis")
    assert config["max_batch_size"] == 100000
    assert config["input"][0] == {"name": "HR", "data_type": "TYPE_FP64", "dims": [1]}
    assert {"statistics", "binary_tensor_data", "model_configuration", "model_repository"} <= set(client.get_server_metadata()["extensions"])


def test_load_and_unload(client, served):
    import serving
    served.add("moving", served.package("regression", [], {"name": "linear", "params": {}, "values": [2.0, 1.0]}, ["x"]))
    second, _ = serving.register(served.server, "moving", served.package("regression", [], {"name": "linear", "params": {}, "values": [3.0, 1.0]}, ["x"]))
    serving.register(served.server, "idle", served.package("regression", [], {"name": "linear", "params": {}, "values": [5.0, 0.0]}, ["x"]))

    def ask(name="moving"):
        return client.infer(name, [tensor("x", np.array([[10.0]]), "FP64")]).as_numpy("prediction").tolist()

    def state(name="moving"):
        return [(m["version"], m["state"]) for m in client.get_model_repository_index() if m["name"] == name]

    assert ask() == [21.0] and state() == [("1", "READY")]
    client.load_model("moving")
    assert ask() == [21.0] and state() == [("1", "READY")]
    client.unload_model("moving")
    with pytest.raises(InferenceServerException, match="not found"):
        ask()
    assert not client.is_model_ready("moving")
    client.unload_model("moving")  # again: nothing to do
    client.load_model("moving")
    assert ask() == [21.0]
    client.load_model("moving", config=json.dumps({"version_policy": {"specific": {"versions": [second]}}}))
    assert ask() == [31.0] and state() == [("2", "READY")]
    client.load_model("idle")
    assert ask("idle") == [50.0]
    with pytest.raises(InferenceServerException, match="nobody not found"):
        client.load_model("nobody")
    with pytest.raises(InferenceServerException, match="nobody not found"):
        client.unload_model("nobody")
    with pytest.raises(InferenceServerException, match="register it"):
        client.load_model("moving", config="{}", files={"file:1/model.onnx": b"x"})
