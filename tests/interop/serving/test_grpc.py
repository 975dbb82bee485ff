# SPDX-License-Identifier: Apache-2.0
"""gRPC's own library and NVIDIA's client on it (tritonclient.grpc) against Gyre: predictions in every form, streams, health."""

import concurrent.futures
import functools
import html
import http.client
import json
import queue
import re
import subprocess
import sys
import threading
import time

import pytest

import identity

np = pytest.importorskip("numpy", reason="numpy is not installed")
grpc = pytest.importorskip("grpc", reason="grpcio is not installed")
triton = pytest.importorskip("tritonclient.grpc", reason="tritonclient[grpc] is not installed")

from tritonclient.grpc import service_pb2, service_pb2_grpc  # noqa: E402
from tritonclient.utils import InferenceServerException  # noqa: E402

ROWS = np.array([[100.0, 20.0, 38.0], [80.0, 18.5, 37.0], [95.0, np.nan, 36.6]])
NAMES = ["HR", "Resp", "Temp"]
MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def client(served):
    one = triton.InferenceServerClient(served.address)
    yield one
    one.close()


@pytest.fixture(scope="module")
def channel(served):
    with grpc.insecure_channel(served.address) as one:
        yield one


@pytest.fixture(scope="module")
def stub(channel):
    return service_pb2_grpc.GRPCInferenceServiceStub(channel)


def tensor(name, array, datatype):
    one = triton.InferInput(name, list(array.shape), datatype)
    one.set_data_from_numpy(array)
    return one


def columns(rows):
    return [tensor(name, np.ascontiguousarray(rows[:, i:i + 1]), "FP64") for i, name in enumerate(NAMES)]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def typed(rows, model="sepsis", **fields):
    """A request with its values in contents, as grpcurl and hand-written clients send it."""
    request = service_pb2.ModelInferRequest(model_name=model, **fields)
    for i, name in enumerate(NAMES):
        one = request.inputs.add(name=name, datatype="FP64", shape=[len(rows)])
        one.contents.fp64_contents.extend(rows[:, i])
    return request


def failure(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


# ---- what is asked about ----

def test_health_and_metadata(client):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("sepsis")
    assert client.is_model_ready("sepsis", "1")
    assert not client.is_model_ready("nobody") and not client.is_model_ready("sepsis", "9")
    about = client.get_server_metadata()
    assert about.name == "gyre" and about.version
    model = client.get_model_metadata("sepsis", as_json=True)
    assert model["name"] == "sepsis" and model["versions"] == ["1"] and model["platform"] == "gyre_logistic"
    assert model["inputs"] == [{"name": n, "datatype": "FP64", "shape": ["-1", "1"]} for n in NAMES]
    assert model["outputs"] == [{"name": "prediction", "datatype": "INT64", "shape": ["-1"]},
                                {"name": "probability", "datatype": "FP64", "shape": ["-1"]}]
    assert client.get_model_metadata("flowers").outputs[1].shape == [-1, 3]


def test_configuration_and_statistics(client):
    config = client.get_model_config("sepsis").config
    assert config.name == "sepsis" and config.max_batch_size > 1 and config.backend == "gyre"
    assert [(i.name, list(i.dims)) for i in config.input] == [(n, [1]) for n in NAMES]
    before = client.get_inference_statistics("sepsis", "1").model_stats[0]
    client.infer("sepsis", columns(ROWS))
    with pytest.raises(InferenceServerException):
        client.infer("sepsis", columns(ROWS)[:2])
    after = client.get_inference_statistics("sepsis", "1").model_stats[0]
    assert after.inference_count == before.inference_count + 3 and after.execution_count == before.execution_count + 1
    assert after.inference_stats.success.count == before.inference_stats.success.count + 1
    assert after.inference_stats.success.ns > before.inference_stats.success.ns
    assert after.inference_stats.fail.count == before.inference_stats.fail.count + 1
    assert {m.name for m in client.get_inference_statistics().model_stats} >= {"sepsis", "flowers", "visits"}


def test_grpc_health(channel):
    health = pytest.importorskip("grpc_health.v1.health_pb2", reason="grpcio-health-checking is not installed")
    from grpc_health.v1 import health_pb2_grpc
    stub = health_pb2_grpc.HealthStub(channel)
    for service in ["", "inference.GRPCInferenceService", "sepsis"]:
        assert stub.Check(health.HealthCheckRequest(service=service)).status == health.HealthCheckResponse.SERVING
    assert failure(lambda: stub.Check(health.HealthCheckRequest(service="nobody")))[0] == grpc.StatusCode.NOT_FOUND


def test_a_watch_of_health_is_told_what_changes(served, channel):
    health = pytest.importorskip("grpc_health.v1.health_pb2", reason="grpcio-health-checking is not installed")
    from grpc_health.v1 import health_pb2_grpc
    watch = health_pb2_grpc.HealthStub(channel).Watch(health.HealthCheckRequest(service="later"), timeout=60)
    assert next(watch).status == health.HealthCheckResponse.SERVICE_UNKNOWN
    served.add("later", served.package("regression", [], {"name": "linear", "params": {}, "values": [1.0, 0, 0, 0]}))
    assert next(watch).status == health.HealthCheckResponse.SERVING
    watch.cancel()


def test_the_repository(served, client):
    served.add("moving", served.package("regression", [], {"name": "linear", "params": {}, "values": [1.0, 0, 0, 5.0]}))
    served.add("moving", served.package("regression", [], {"name": "linear", "params": {}, "values": [1.0, 0, 0, 6.0]}))

    def served_now():
        return {(m.name, m.version, m.state) for m in client.get_model_repository_index().models if m.name == "moving"}

    def answer():
        return client.infer("moving", [tensor("x", np.array([[1.0, 0, 0]]), "FP64")]).as_numpy("prediction").tolist()

    assert served_now() == {("moving", "2", "READY")} and answer() == [7.0]
    client.unload_model("moving")
    assert served_now() == set() and not client.is_model_ready("moving")
    client.load_model("moving")
    assert served_now() == {("moving", "2", "READY")} and answer() == [7.0]
    client.load_model("moving", config=json.dumps({"version_policy": {"specific": {"versions": [1]}}}))
    assert served_now() == {("moving", "1", "READY")} and answer() == [6.0]
    with pytest.raises(InferenceServerException, match="NOT_FOUND"):
        client.load_model("nobody")
    with pytest.raises(InferenceServerException, match="UNIMPLEMENTED"):
        client.load_model("moving", config="{}", files={"file:1/model.onnx": b"x"})


def test_the_program_on_an_endpoints_page(served):
    host, port = served.address.split(":")
    asked = http.client.HTTPConnection(host, int(port), timeout=60)
    asked.request("GET", "/docs/endpoints/sepsis")
    page = asked.getresponse().read().decode()
    asked.close()
    text = re.search(r"<h3>Open Inference Protocol \(gRPC, Python\)</h3><div[^>]*><pre[^>]*>(.*?)</pre>", page, re.S).group(1)
    done = subprocess.run([sys.executable, "-c", html.unescape(text)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and 'model_name: "sepsis"' in done.stdout and "prediction_id" in done.stdout, (text, done.stderr)


# ---- predictions ----

def test_raw_inputs_are_answered_raw(client):
    answer = client.infer("sepsis", columns(ROWS), request_id="r-1")
    response = answer.get_response()
    assert response.id == "r-1" and response.model_name == "sepsis" and response.model_version == "1"
    assert len(response.raw_output_contents) == 2 and not response.outputs[0].HasField("contents")
    assert np.array_equal(answer.as_numpy("probability"), sigmoid(ROWS[:, 0] / 10 - 9))
    assert answer.as_numpy("prediction").tolist() == [1, 0, 1] and answer.as_numpy("prediction").dtype == np.int64
    assert len(response.parameters["prediction_id"].string_param) == 36 and response.parameters["revision"].int64_param == 1


def test_contents_are_answered_as_contents(stub):
    response = stub.ModelInfer(typed(ROWS, id="r-2"))
    assert response.id == "r-2" and not response.raw_output_contents
    prediction, probability = response.outputs
    assert (prediction.name, prediction.datatype, list(prediction.shape)) == ("prediction", "INT64", [3])
    assert list(prediction.contents.int64_contents) == [1, 0, 1]
    assert np.array_equal(probability.contents.fp64_contents, sigmoid(ROWS[:, 0] / 10 - 9))


def test_answers_are_those_of_http(served, stub):
    _, answer, _ = served.request("POST", "/v2/models/flowers/infer", {"inputs": [
        {"name": "x", "datatype": "FP64", "shape": [2, 3], "data": [1, 2, 3, 9, 5, 1]}]})
    request = service_pb2.ModelInferRequest(model_name="flowers")
    request.inputs.add(name="x", datatype="FP64", shape=[2, 3]).contents.fp64_contents.extend([1, 2, 3, 9, 5, 1])
    response = stub.ModelInfer(request)
    assert [b.decode() for b in response.outputs[0].contents.bytes_contents] == answer["outputs"][0]["data"] == ["virginica", "setosa"]
    assert list(response.outputs[1].contents.fp64_contents) == answer["outputs"][1]["data"] and list(response.outputs[1].shape) == [2, 3]


@pytest.mark.parametrize("datatype, dtype", [("INT8", np.int8), ("INT16", np.int16), ("INT32", np.int32), ("INT64", np.int64),
                                             ("UINT8", np.uint8), ("UINT16", np.uint16), ("UINT32", np.uint32), ("UINT64", np.uint64),
                                             ("FP16", np.float16), ("FP32", np.float32), ("FP64", np.float64)])
def test_every_datatype(client, stub, datatype, dtype):
    rows = np.array([[100, 20, 38], [80, 18, 37]], dtype=dtype)
    want = sigmoid(np.array([1.0, -1.0]))
    raw = client.infer("sepsis", [tensor("all", rows, datatype)])
    assert np.allclose(raw.as_numpy("probability"), want, rtol=1e-12)
    if datatype == "FP16":
        return  # it has no contents
    request = service_pb2.ModelInferRequest(model_name="sepsis")
    contents = request.inputs.add(name="all", datatype=datatype, shape=[2, 3]).contents
    field = {"FP32": "fp32_contents", "FP64": "fp64_contents", "INT64": "int64_contents", "UINT64": "uint64_contents"}.get(
        datatype, "int_contents" if datatype.startswith("INT") else "uint_contents")
    getattr(contents, field).extend(rows.ravel().tolist())
    assert np.allclose(stub.ModelInfer(request).outputs[1].contents.fp64_contents, want, rtol=1e-12)


def test_outputs_can_be_chosen_and_texts_come_raw(client):
    answer = client.infer("flowers", [tensor("x", np.array([[1.0, 2.0, 3.0]]), "FP64")],
                          outputs=[triton.InferRequestedOutput("prediction")])
    assert answer.as_numpy("prediction").tolist() == [b"virginica"] and answer.as_numpy("probability") is None


def test_texts_are_inputs(served, client, gyre, tmp_path):
    """In both forms, and as over HTTP."""
    (tmp_path / "table.csv").write_text("city,rooms,price\n" + "".join(f"{'Bern' if i % 3 else 'Basel'},{i % 5},{100 * (i % 3 > 0) + i / 7:.3f}\n" for i in range(90)))
    (tmp_path / "params.yaml").write_text("train:\n  learner: linear\n  features: [city, rooms]\n  steps:\n  - onehot: [city]\n")
    done = gyre("train", "table.csv", "--target", "price", "--params", "params.yaml", "--register", "flats", "--server", served.url)
    assert done.returncode == 0, done.stderr
    assert served.request("POST", "/api/gyre/v1/endpoints/flats/deploy", {"model": "models:/flats/1"})[0] == 201
    inputs = [tensor("city", np.array([["Bern"], ["Basel"]], dtype=object), "BYTES"), tensor("rooms", np.array([[1.0], [2.0]]), "FP64")]
    raw = client.infer("flats", inputs).as_numpy("prediction").tolist()
    _, answer, _ = served.request("POST", "/v2/models/flats/infer", {"inputs": [
        {"name": "city", "datatype": "BYTES", "shape": [2, 1], "data": ["Bern", "Basel"]},
        {"name": "rooms", "datatype": "FP64", "shape": [2, 1], "data": [1, 2]}]})
    assert raw == answer["outputs"][0]["data"] and raw[0] > raw[1] + 50


def test_a_version_can_be_asked_for(stub):
    assert stub.ModelInfer(typed(ROWS, model_version="1")).model_version == "1"
    assert failure(lambda: stub.ModelInfer(typed(ROWS, model_version="7"))) == (
        grpc.StatusCode.NOT_FOUND, "Model 'sepsis' with version '7' not found")


def test_many_rows_go_to_the_pool_and_are_the_same(client):
    rows = np.column_stack([np.arange(50000) % 200, np.full(50000, 20.0), np.full(50000, 37.0)])
    answer = client.infer("sepsis", [tensor("x", rows, "FP64")])
    assert np.allclose(answer.as_numpy("probability"), sigmoid(rows[:, 0] / 10 - 9), rtol=1e-12)


# ---- what is wrong ----

@pytest.mark.parametrize("change, code, text", [
    (dict(model_name="nobody"), "NOT_FOUND", "Model 'nobody' not found"),
    (dict(model_name=""), "INVALID_ARGUMENT", "model_name is empty"),
    (dict(inputs=[]), "INVALID_ARGUMENT", "the request has no inputs"),
    (dict(inputs=[dict(name="x", datatype="FP64", shape=[1, 2], fp64=[1, 2])]), "INVALID_ARGUMENT", "takes 3 columns"),
    (dict(inputs=[dict(name="x", datatype="FP64", shape=[1, 3], fp64=[1, 2])]), "INVALID_ARGUMENT", "16 bytes, but [1, 3] values of FP64 are 24"),
    (dict(inputs=[dict(name="x", datatype="FP64", shape=[0, 3], fp64=[])]), "INVALID_ARGUMENT", "shape must be numbers over 0"),
    (dict(inputs=[dict(name="x", datatype="FP64", shape=[-1, 3], fp64=[1, 2, 3])]), "INVALID_ARGUMENT", "shape must be numbers over 0"),
    (dict(inputs=[dict(name="x", datatype="FP64", shape=[], fp64=[1, 2, 3])]), "INVALID_ARGUMENT", "shape must be [rows]"),
    (dict(inputs=[dict(name="x", datatype="FP64", shape=[2**62, 2**62], fp64=[1, 2, 3])]), "INVALID_ARGUMENT", "rows or columns"),
    (dict(inputs=[dict(name="x", datatype="FP32", shape=[1, 3], fp64=[1, 2, 3])]), "INVALID_ARGUMENT", "FP32 is sent in fp32_contents"),
    (dict(inputs=[dict(name="x", datatype="FP16", shape=[1, 3], fp64=[1, 2, 3])]), "INVALID_ARGUMENT", "raw_input_contents alone"),
    (dict(inputs=[dict(name="x", datatype="COMPLEX", shape=[1, 3], fp64=[1, 2, 3])]), "INVALID_ARGUMENT", "datatype 'COMPLEX' is not accepted"),
    (dict(inputs=[dict(name="x", datatype="INT8", shape=[1, 3], int=[1, 2, 300])]), "INVALID_ARGUMENT", "300 is not a value of INT8"),
    (dict(inputs=[dict(name="x", datatype="FP64", shape=[1, 3], fp64=[1, 2, float("inf")])]), "INVALID_ARGUMENT", "is infinite"),
    (dict(outputs=["nothing"]), "INVALID_ARGUMENT", "the model has no output 'nothing'"),
    (dict(id="x" * 1000), "INVALID_ARGUMENT", "'id' must be"),
    (dict(raw=[b"12345678" * 3, b""]), "INVALID_ARGUMENT", "1 inputs, but 2 raw_input_contents"),
    (dict(raw=[b"12345678" * 3]), "INVALID_ARGUMENT", "send all inputs in the same form"),
])
def test_what_is_wrong_is_said(stub, change, code, text):
    request = service_pb2.ModelInferRequest(model_name=change.get("model_name", "sepsis"), id=change.get("id", ""))
    for one in change.get("inputs", [dict(name="x", datatype="FP64", shape=[1, 3], fp64=[1, 2, 3])]):
        contents = request.inputs.add(name=one["name"], datatype=one["datatype"], shape=one["shape"]).contents
        contents.fp64_contents.extend(one.get("fp64", []))
        contents.int_contents.extend(one.get("int", []))
    for name in change.get("outputs", []):
        request.outputs.add(name=name)
    request.raw_input_contents.extend(change.get("raw", []))
    got, details = failure(lambda: stub.ModelInfer(request))
    assert got == getattr(grpc.StatusCode, code) and text in details


def test_bytes_that_are_no_message(channel):
    call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer", lambda b: b, lambda b: b)
    assert failure(lambda: call(b"\xff\xff\xff\xff\xff"))[0] == grpc.StatusCode.INVALID_ARGUMENT
    assert failure(lambda: call(b""))[0] == grpc.StatusCode.INVALID_ARGUMENT
    # a known name, then something that is protobuf and no request
    assert failure(lambda: call(b"\x0a\x06sepsis\x2a\x02\x0a\x7f"))[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_methods_that_are_not_there(channel):
    for method in ["/inference.GRPCInferenceService/Nothing", "/nobody.Service/ModelInfer", "/v2/models/sepsis/infer", "/"]:
        call = channel.unary_unary(method, lambda b: b, lambda b: b)
        assert failure(lambda: call(b""))[0] == grpc.StatusCode.UNIMPLEMENTED


# ---- messages: long, packed, late ----

def test_a_long_message(served):
    """Longer than a window, and than what a loop reads at a time."""
    rows = np.zeros((90000, 3))
    rows[:, 0] = np.arange(90000) % 200
    options = [("grpc.max_receive_message_length", 64 * MEGABYTE), ("grpc.max_send_message_length", 64 * MEGABYTE)]
    with grpc.insecure_channel(served.address, options) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = service_pb2.ModelInferRequest(model_name="sepsis")
        request.inputs.add(name="x", datatype="FP64", shape=[90000, 3])
        request.raw_input_contents.append(rows.tobytes())
        response = stub.ModelInfer(request)
        assert np.allclose(np.frombuffer(response.raw_output_contents[1]), sigmoid(rows[:, 0] / 10 - 9), rtol=1e-12)
        request.raw_input_contents[0] = bytes(65 * MEGABYTE)
        code, details = failure(lambda: stub.ModelInfer(request))
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert stub.ModelInfer(typed(ROWS)).model_name == "sepsis"  # the connection goes on


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_packed_messages(served, client, algorithm):
    answer = client.infer("sepsis", columns(ROWS), compression_algorithm=algorithm)
    assert answer.as_numpy("prediction").tolist() == [1, 0, 1]


def test_a_message_that_unpacks_to_more_than_the_limit(channel):
    call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer", lambda b: b, lambda b: b)
    code, details = failure(lambda: call(bytes(100 * MEGABYTE), compression=grpc.Compression.Gzip))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than" in details


def test_deadlines(stub, channel):
    assert stub.ModelInfer(typed(ROWS), timeout=30).model_name == "sepsis"
    # a stream whose client stays, but whose time is over, is ended
    began = time.monotonic()
    stream = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer", lambda b: b, lambda b: b)
    hold = threading.Event()

    def nothing():
        hold.wait(20)
        yield from ()

    calls = stream(nothing(), timeout=1)
    assert failure(lambda: next(calls))[0] == grpc.StatusCode.DEADLINE_EXCEEDED
    hold.set()
    assert time.monotonic() - began < 10


# ---- streams ----

def test_a_stream_answers_in_order_and_goes_on_after_a_failure(client):
    got = queue.Queue()
    client.start_stream(lambda result, error: got.put((result, error)))
    for i in range(100):
        client.async_stream_infer("sepsis" if i % 10 else "nobody", columns(ROWS), request_id=str(i))
    for i in range(100):
        result, error = got.get(timeout=20)
        if i % 10:
            assert error is None and result.get_response().id == str(i)
            assert result.as_numpy("prediction").tolist() == [1, 0, 1]
        else:
            assert "Model 'nobody' not found" in str(error)
    client.stop_stream()


def test_long_and_short_messages_of_a_stream_keep_their_order(stub):
    def requests():
        for i in range(40):
            rows = np.zeros((1 if i % 2 else 20000, 3))
            request = service_pb2.ModelInferRequest(model_name="sepsis", id=str(i))
            request.inputs.add(name="x", datatype="FP64", shape=list(rows.shape))
            request.raw_input_contents.append(rows.tobytes())
            yield request

    answers = [a.infer_response for a in stub.ModelStreamInfer(requests())]
    assert [a.id for a in answers] == [str(i) for i in range(40)]
    assert [a.outputs[0].shape[0] for a in answers] == [20000, 1] * 20


# ---- many at a time ----

def test_many_calls_on_one_connection(stub):
    request = typed(ROWS)
    calls = [stub.ModelInfer.future(request) for _ in range(2000)]
    ids = {c.result().parameters["prediction_id"].string_param for c in calls}
    assert len(ids) == 2000


def test_many_connections_and_streams(served):
    def work(k):
        with grpc.insecure_channel(served.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            answers = list(stub.ModelStreamInfer(typed(ROWS, id=f"{k}-{i}") for i in range(50)))
            return [a.infer_response.id for a in answers] == [f"{k}-{i}" for i in range(50)]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, range(48)))


def test_predictions_are_logged_and_counted_like_all_others(served, stub):
    prediction_id = stub.ModelInfer(typed(ROWS, id="logged")).parameters["prediction_id"].string_param
    for _ in range(100):
        status, found, _ = served.request("GET", f"/api/gyre/v1/trace/{prediction_id}")
        if status == 200:
            break
        time.sleep(0.1)
    assert status == 200 and prediction_id in str(found)


def test_metadata_of_an_answer(stub):
    _, call = stub.ModelInfer.with_call(typed(ROWS), metadata=[("x-request-id", "mine-7")])
    answered = dict(call.initial_metadata())
    assert answered["x-request-id"] == "mine-7" and len(answered["gyre-prediction-id"]) == 36


# ---- who may ask; TLS; the end of a server ----

@functools.lru_cache
def certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", f"{folder}/key.pem",
                    "-out", f"{folder}/cert.pem"], check=True, capture_output=True)
    return f"{folder}/cert.pem", f"{folder}/key.pem"


def test_over_tls(new_server, tmp_path):
    cert, key = certificate(str(tmp_path))
    server = new_server(args=["--tls-cert", cert, "--tls-key", key])
    with open(cert, "rb") as f:
        credentials = grpc.ssl_channel_credentials(f.read())
    with grpc.secure_channel(f"localhost:{server.port}", credentials) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert stub.ServerLive(service_pb2.ServerLiveRequest()).live
        assert failure(lambda: stub.ModelInfer(typed(ROWS)))[0] == grpc.StatusCode.NOT_FOUND
    # who offers both gets HTTP/1.1, which all routes speak
    done = subprocess.run(["curl", "-s", "--cacert", cert, "-o", "/dev/null", "-w", "%{http_version}", f"https://localhost:{server.port}/v2"],
                          capture_output=True, text=True, check=True)
    assert done.stdout == "1.1"


def test_a_drained_server_ends_its_streams_and_answers_what_was_asked(new_server):
    server = new_server()
    channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    hold = threading.Event()

    def one_then_nothing():
        yield typed(ROWS)
        hold.wait(30)

    answers = stub.ModelStreamInfer(one_then_nothing())
    assert "not found" in next(answers).error_message
    began = time.monotonic()
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    code, details = failure(lambda: next(answers))
    hold.set()
    stopping.join()
    assert (code, details) == (grpc.StatusCode.UNAVAILABLE, "the server is going down")
    assert time.monotonic() - began < 15
    channel.close()


def test_who_may_ask(new_server):
    server = new_server(args=["--auth", "on", "--access-log", "--log", "debug"])
    token = identity.add_user(server, "vera", "viewer")["Authorization"]
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert stub.ServerLive(service_pb2.ServerLiveRequest()).live
        wrong = [("authorization", "Bearer gyre_nothing")]
        mine = [("authorization", token)]
        for metadata in [None, wrong]:
            assert failure(lambda: stub.ModelInfer(typed(ROWS), metadata=metadata))[0] == grpc.StatusCode.UNAUTHENTICATED
            assert failure(lambda: stub.ServerMetadata(service_pb2.ServerMetadataRequest(), metadata=metadata))[0] == grpc.StatusCode.UNAUTHENTICATED
            assert failure(lambda: list(stub.ModelStreamInfer(iter([typed(ROWS)]), metadata=metadata)))[0] == grpc.StatusCode.UNAUTHENTICATED
        for _ in range(3):  # a worker finds out who it is, then the loop knows
            assert failure(lambda: stub.ModelInfer(typed(ROWS), metadata=mine)) == (grpc.StatusCode.NOT_FOUND, "Model 'sepsis' not found")
        assert stub.ServerMetadata(service_pb2.ServerMetadataRequest(), metadata=mine).name == "gyre"
    server.stop()
    lines = [json.loads(line) for line in server.text().splitlines() if '"access"' in line and "ModelInfer" in line]
    assert {(line["status"], line["grpc_status"]) for line in lines} == {(401, 16), (404, 5)}
    assert {line["actor"] for line in lines if line["status"] == 404} == {"vera"}
