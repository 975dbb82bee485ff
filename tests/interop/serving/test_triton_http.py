# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's own client (tritonclient, HTTP) against Gyre: JSON and binary tensors, models that Gyre trained."""

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
