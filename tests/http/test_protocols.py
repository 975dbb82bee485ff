# SPDX-License-Identifier: Apache-2.0
"""KServe V1, Seldon's and MLflow's protocols over HTTP: what is asked, answered and refused."""

import base64
import http.client
import json

import pytest
import serving
from serving import API, request

pytestmark = pytest.mark.tsan

ROWS = [[104, 22, 38.9], [100, 15, 37], [80, 15, 37]]
NAMES = ["HR", "Resp", "Temp"]
OBJECTS = [dict(zip(NAMES, row)) for row in ROWS]
COLUMNS = {name: [row[i] for row in ROWS] for i, name in enumerate(NAMES)}
WANT = [1, 1, 0]
PREDICT = "/v1/models/sepsis:predict"


@pytest.fixture(scope="module")
def sepsis(server):
    serving.serve(server)
    return server


# ---- KServe V1 ----


@pytest.mark.parametrize("body, want", [
    ({"instances": ROWS}, {"predictions": WANT}),
    ({"instances": OBJECTS}, {"predictions": WANT}),
    ({"instances": [{k: [v] for k, v in row.items()} for row in OBJECTS]}, {"predictions": WANT}),
    ({"signature_name": "serving_default", "instances": [dict(reversed(row.items()), more="x") for row in OBJECTS]}, {"predictions": WANT}),
    ({"inputs": COLUMNS}, {"outputs": WANT}),
    ({"inputs": {k: [[x] for x in v] for k, v in COLUMNS.items()}}, {"outputs": WANT}),
    ({"inputs": ROWS}, {"predictions": WANT, "outputs": WANT}),
    ({"instances": [{"HR": 100, "Temp": 37, "Resp": None}]}, {"predictions": [1]}),
    ({"instances": [{"HR": 80, "Temp": 37}, {"HR": 80, "Temp": 37, "Resp": 22}]}, {"predictions": [0, 0]}),
    ({"instances": [{"HR": 80, "Temp": 39, "Resp": 15, "WBC": 13}]}, {"predictions": [1]}),  # a column that only a rule reads
])
def test_v1_predict(sepsis, body, want):
    status, answer, headers = request(sepsis, "POST", PREDICT, body)
    assert (status, answer) == (200, want)
    assert headers["Gyre-Revision"].startswith("sepsis/") and headers["Content-Type"] == "application/json"
    trace = serving.must(sepsis, "GET", f"{API}/trace/{headers['Gyre-Prediction-Id']}")
    assert trace.get("rows", 1) == len(next(iter(want.values())))


@pytest.mark.parametrize("body, says", [
    ("", "the body is empty"),
    ("{", "not valid JSON"),
    ("[1]", "must be a JSON object"),
    ({}, "neither 'instances' (rows) nor 'inputs'"),
    ({"instances": ROWS, "inputs": COLUMNS}, "both 'instances' and 'inputs'"),
    ({"instances": 5}, 'Expected "instances" to be a list'),
    ({"instances": []}, "'instances' is empty"),
    ({"inputs": {}}, "missing 'HR', 'Resp', 'Temp'"),
    ({"instances": [[1, 2]]}, "row 0 has 2 values, not 3"),
    ({"instances": [[1, 2, 3], [1, 2, 3, 4]]}, "row 1 has 4 values, not 3"),
    ({"instances": [[1, 2, 3], 4]}, "row 1 must be a list of 3 values"),
    ({"instances": [5, 6]}, "row 0 must be a list of 3 values"),
    ({"instances": [[[1, 2], 2, 3]]}, "field 'HR' must be a number, not a array"),
    ({"instances": [["104", 2, 3]]}, "field 'HR' must be a number, not a string"),
    ({"instances": [[104, 2, {"b64": "AAAA"}]]}, "field 'Temp' must be a number, not an object"),
    ({"instances": [[None, 2, 3]]}, "field 'HR' must not be null"),
    ({"instances": [[1, 2, 3], [4, 5, None]]}, "row 1: field 'Temp' must not be null"),
    ({"instances": [{"HR": 1, "Temp": 3}]}, "missing 'Resp'"),
    ({"instances": [{"hr": 1, "Resp": 2, "Temp": 3}]}, "missing 'HR'"),
    ({"instances": [{"HR": 1, "Resp": 2, "Temp": 3}, {"Resp": 2, "Temp": 3}]}, "row 1 has no 'HR'"),
    ({"instances": [{"Resp": 2, "Temp": 3}, {"HR": 1, "Resp": 2, "Temp": 3}]}, "row 0 has no 'HR'"),
    ({"instances": [{"HR": 1, "Resp": 2, "Temp": 3}, [1, 2, 3]]}, "row 1 is no object"),
    ('{"instances":[{"HR":1,"HR":2,"Resp":2,"Temp":3}]}', "row 0 has 'HR' twice"),
    ({"inputs": {"HR": [1, 2], "Resp": [2], "Temp": [3, 4]}}, "column 'Resp' has 1 values, another 2"),
    ({"signature_name": "other", "instances": ROWS}, 'Serving signature key "other" not found.'),
    ({"instances": [[1] * 3] * 100001}, "a request may have at most 100000"),
    ('{"instances":' + "[" * 200 + "]" * 200 + "}", "nested deeper"),
])
def test_v1_refuses(sepsis, body, says):
    status, answer, _ = request(sepsis, "POST", PREDICT, body)
    assert status == 400 and set(answer) == {"error"} and says in answer["error"], answer


def test_v1_models(sepsis):
    assert request(sepsis, "GET", "/v1/models")[1] == {"models": ["sepsis"]}
    ready = {"name": "sepsis", "ready": True,
             "model_version_status": [{"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}]}
    for path in ["", "/versions/1", "/labels/stable"]:
        assert request(sepsis, "GET", "/v1/models/sepsis" + path)[:2] == (200, ready)
        status, answer, _ = request(sepsis, "GET", f"/v1/models/sepsis{path}/metadata")
        assert status == 200 and answer["model_spec"] == {"name": "sepsis", "signature_name": "", "version": "1"}
        signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
        assert list(signature["inputs"]) == NAMES and signature["inputs"]["HR"]["dtype"] == "DT_DOUBLE"
        assert signature["outputs"]["predictions"]["dtype"] == "DT_INT64"
        assert request(sepsis, "POST", f"/v1/models/sepsis{path}:predict", {"instances": ROWS})[:2] == (200, {"predictions": WANT})
    missing = {"error": "Model with name other does not exist."}
    assert request(sepsis, "POST", "/v1/models/other:predict", {"instances": ROWS})[:2] == (404, missing)
    assert request(sepsis, "GET", "/v1/models/other")[:2] == (404, missing)
    for path, which in (("versions/9", "9"), ("labels/canary", "canary")):
        missing = {"error": f"Servable not found for request: Specific(sepsis, {which})"}
        assert request(sepsis, "GET", f"/v1/models/sepsis/{path}")[:2] == (404, missing)
        assert request(sepsis, "POST", f"/v1/models/sepsis/{path}:predict", {"instances": ROWS})[:2] == (404, missing)
    assert request(sepsis, "GET", PREDICT)[0] in (404, 405)
    assert request(sepsis, "POST", "/v1/models/sepsis:dance", {})[0] in (404, 405)


def test_v1_classify_and_regress(sepsis):
    status, answer, _ = request(sepsis, "POST", "/v1/models/sepsis:classify", {"examples": OBJECTS[1:]})
    assert status == 200 and [[c[0] for c in row] for row in answer["results"]] == [["0", "1"]] * 2
    assert [row[0][1] + row[1][1] for row in answer["results"]] == [1, 1] and answer["results"][0][1][1] > 0.7
    status, answer, _ = request(sepsis, "POST", "/v1/models/sepsis:regress", {"examples": OBJECTS})
    assert (status, answer) == (400, {"error": "the model is a classification: ask :predict or :classify"})
    assert request(sepsis, "POST", "/v1/models/sepsis:classify", {"instances": ROWS})[1] == {"error": "missing 'examples'"}


EVENT = {"specversion": "1.0", "id": "ward-7/3", "source": "/ward/7", "type": "bed.measured", "time": "2026-11-28T05:00:00Z"}


def check_event(attributes, headers):
    assert attributes["specversion"] == "1.0" and attributes["type"] == "io.kserve.inference.response"
    assert attributes["source"] == "io.kserve.inference.sepsis" and attributes["time"].endswith("Z")
    assert attributes["id"] == headers["Gyre-Prediction-Id"]


def test_v1_structured_event(sepsis):
    kind = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
    data = {"instances": ROWS}
    for more in ({"data": data}, {"data": json.dumps(data)}, {"data_base64": base64.b64encode(json.dumps(data).encode()).decode()}):
        status, answer, headers = request(sepsis, "POST", PREDICT, json.dumps({**EVENT, **more}), kind)
        assert status == 200 and headers["Content-Type"] == "application/cloudevents+json"
        assert answer["data"] == {"predictions": WANT}
        check_event(answer, headers)
        assert serving.must(sepsis, "GET", f"{API}/trace/{answer['id']}")["request_id"] == "ward-7/3"
    # KServe opens an envelope that does not call itself one, and answers plainly
    assert request(sepsis, "POST", PREDICT, {**EVENT, "data": data})[1] == {"predictions": WANT}
    for bad, says in (({**EVENT}, "no 'data'"), ({k: v for k, v in EVENT.items() if k != "source"} | {"data": data}, "no 'source'"),
                      ({**EVENT, "data": 7}, "must be a JSON object"), ({**EVENT, "data": "{"}, "not valid JSON"),
                      ({**EVENT, "data_base64": "???"}, "not base64"), ({**EVENT, "id": "x" * 200, "data": data}, "at most 128 bytes")):
        status, answer, _ = request(sepsis, "POST", PREDICT, json.dumps(bad), kind)
        assert status == 400 and says in answer["error"], answer
    assert request(sepsis, "POST", PREDICT, "[]", {"Content-Type": "application/cloudevents-batch+json"})[0] == 400
    assert request(sepsis, "POST", PREDICT, "{}", {"Content-Type": "application/cloudevents-batch+json"})[0] == 415


def test_v1_binary_event(sepsis):
    headers = {"ce-" + k: v for k, v in EVENT.items()}
    status, answer, headers = request(sepsis, "POST", PREDICT, {"instances": ROWS}, headers)
    assert (status, answer, headers["Content-Type"]) == (200, {"predictions": WANT}, "application/json")
    check_event({k.lower()[3:]: v for k, v in headers.items() if k.lower().startswith("ce-")}, headers)
    assert serving.must(sepsis, "GET", f"{API}/trace/{headers['Gyre-Prediction-Id']}")["request_id"] == "ward-7/3"


def test_v1_large_bodies_are_answered_off_the_loop(sepsis):
    rows = [[60 + i % 190, 15, 37] for i in range(30000)]
    want = [int(hr >= 90) for hr, _, _ in rows]
    kind = {"Content-Type": "application/cloudevents+json"}
    assert request(sepsis, "POST", PREDICT, {"instances": rows})[1] == {"predictions": want}
    answer, headers = request(sepsis, "POST", PREDICT, json.dumps({**EVENT, "data": {"instances": rows}}), kind)[1:]
    assert answer["data"] == {"predictions": want}
    check_event(answer, headers)


def test_v1_explain(new_server):
    server = new_server()
    means = json.dumps({"format": "gyre.background/1", "rows": 9, "means": [90.0, 18.0, 37.0]})
    serving.serve(server, files={**serving.package(), "background.json": means})
    status, answer, _ = request(server, "POST", "/v1/models/sepsis:explain", {"instances": [[100, 15, 37]]})
    assert status == 200, answer
    one = answer["explanations"][0]
    margin = one["margins"][0]
    assert one["prediction"] == 1 and list(margin["contributions"]) == NAMES
    assert margin["base_value"] + sum(margin["contributions"].values()) == pytest.approx(1.0)  # HR / 10 - 9


# ---- Seldon ----

SELDON = "/api/v1.0/predictions"


def check_meta(answer, headers, puid=None):
    meta = answer["meta"]
    assert meta["tags"]["prediction_id"] == headers["Gyre-Prediction-Id"]
    assert meta["puid"] == headers["Seldon-Puid"] == (puid or headers["Gyre-Prediction-Id"])
    assert meta["tags"]["model_version"] == "1" and meta["tags"]["variant"] == "stable"
    assert meta["routing"] == {"sepsis": 0} and meta["requestPath"] == {"sepsis": "models:/sepsis/1"}
    assert headers["x-seldon-route"] == ":1:" and answer["status"] == {"code": 200, "status": "SUCCESS"}


@pytest.mark.parametrize("path", [SELDON, "/api/v0.1/predictions", "/seldon/wards/sepsis/api/v1.0/predictions"])
def test_seldon_kinds(sepsis, path):
    status, answer, headers = request(sepsis, "POST", path, {"data": {"ndarray": ROWS}})
    assert status == 200, answer
    check_meta(answer, headers)
    assert answer["meta"]["tags"]["predictions"] == WANT and answer["meta"]["tags"]["rules"] == ["sirs", "", ""]
    assert answer["data"]["names"] == ["0", "1"] and answer["data"]["ndarray"][0] == [0, 1]  # a rule decided
    assert [sum(row) for row in answer["data"]["ndarray"]] == [1, 1, 1] and answer["data"]["ndarray"][2][0] > 0.7
    want = answer["data"]
    named = {"names": ["Temp", "x", "HR", "Resp"], "ndarray": [[t, "-", hr, resp] for hr, resp, t in ROWS]}
    assert request(sepsis, "POST", path, {"data": named})[1]["data"] == want
    tensor = {"shape": [3, 3], "values": [x for row in ROWS for x in row]}
    status, answer, _ = request(sepsis, "POST", path, {"data": {"tensor": tensor}})
    assert answer["data"] == {"names": want["names"], "tensor": {"shape": [3, 2], "values": [x for row in want["ndarray"] for x in row]}}
    for json_data in (OBJECTS, COLUMNS, ROWS):
        status, answer, _ = request(sepsis, "POST", path, {"jsonData": json_data})
        assert answer["jsonData"] == {"names": want["names"], "predictions": WANT, "probabilities": want["ndarray"]}
    assert request(sepsis, "POST", path, {"jsonData": OBJECTS[2]})[1]["jsonData"]["predictions"] == [0]


def test_seldon_ids(sepsis):
    body = {"data": {"ndarray": ROWS[:1]}}
    _, answer, headers = request(sepsis, "POST", SELDON, body, {"Seldon-Puid": "from-header"})
    check_meta(answer, headers, "from-header")
    _, answer, headers = request(sepsis, "POST", SELDON, {**body, "meta": {"puid": "from-body"}}, {"Seldon-Puid": "from-header"})
    check_meta(answer, headers, "from-body")
    assert serving.must(sepsis, "GET", f"{API}/trace/{headers['Gyre-Prediction-Id']}")["request_id"] == "from-body"
    # what no header may hold stays in the body
    _, answer, headers = request(sepsis, "POST", SELDON, {**body, "meta": {"puid": "a\r\nX-Evil: 1"}})
    assert answer["meta"]["puid"] == "a\r\nX-Evil: 1" and "Seldon-Puid" not in headers and "X-Evil" not in headers
    # a sticky route that is no more is a wish
    for route in (":1:", ":99:", "nonsense"):
        status, answer, _ = request(sepsis, "POST", SELDON, body, {"x-seldon-route": route})
        assert status == 200 and answer["meta"]["tags"]["model_version"] == "1"


@pytest.mark.parametrize("body, status, says", [
    ("", 400, "the body is empty"),
    ("{", 400, "not valid JSON"),
    ({}, 400, "none of 'data', 'jsonData', 'strData' and 'binData'"),
    ({"data": {}}, 400, "'data' needs one of 'ndarray' and 'tensor'"),
    ({"data": {"ndarray": ROWS, "tensor": {}}}, 400, "'data' needs one of 'ndarray' and 'tensor'"),
    ({"data": {"tftensor": {}}}, 501, "data.tftensor is not taken"),
    ({"data": {"tensor": {"shape": [2, 3], "values": [1]}}}, 400, "does not have 2 x 3 values"),
    ({"data": {"tensor": {"shape": [1, 4], "values": [1, 2, 3, 4]}}}, 400, "has 4 values, not 3"),
    ({"data": {"tensor": {"shape": [4294967296, 4294967296], "values": []}}}, 400, "whole numbers over 0"),
    ({"data": {"tensor": {"shape": "x", "values": []}}}, 400, "tensor.shape must be [rows, columns]"),
    ({"data": {"names": ["HR", "HR", "Temp"], "ndarray": ROWS}}, 400, "column 'HR' is there twice"),
    ({"data": {"names": ["HR"], "ndarray": [[1]]}}, 400, "missing 'Resp', 'Temp'"),
    ({"data": {"ndarray": [["x", 1, 2]]}}, 400, "field 'HR' must be a number"),
    ({"strData": "x"}, 400, "strData is for models of one text"),
    ({"binData": "AAAA"}, 400, "binData is for models of one image"),
    ({"meta": {"puid": "x" * 200}, "data": {"ndarray": ROWS}}, 400, "meta.puid may have at most 128 bytes"),
])
def test_seldon_refuses(sepsis, body, status, says):
    got, answer, _ = request(sepsis, "POST", SELDON, body)
    assert got == status and answer["status"]["status"] == "FAILURE" and says in answer["status"]["info"], answer


def test_seldon_model_header(sepsis):
    body = {"data": {"ndarray": ROWS}}
    for name in ("sepsis", "sepsis.pipeline", "sepsis.experiment"):
        assert request(sepsis, "POST", SELDON, body, {"Seldon-Model": name})[0] == 200
    status, answer, _ = request(sepsis, "POST", SELDON, body, {"Seldon-Model": "other"})
    assert status == 404 and answer["status"]["info"] == "Model 'other' not found"
    status, answer, headers = request(sepsis, "GET", SELDON)
    assert status == 405


def test_seldon_feedback_joins_by_puid(sepsis):
    _, answer, _ = request(sepsis, "POST", SELDON, {"meta": {"puid": "stay-1"}, "data": {"ndarray": ROWS}})
    truth = {"response": answer, "reward": 1.0, "truth": {"data": {"ndarray": [[1], [0], [0]]}}}
    for path in ("/api/v1.0/feedback", "/api/v0.1/feedback", "/seldon/wards/sepsis/api/v1.0/feedback"):
        status, got, _ = request(sepsis, "POST", path, truth)
        assert status == 200 and got["meta"]["puid"] == answer["meta"]["tags"]["prediction_id"], got
    for by in ({"response": {"meta": {"puid": "stay-1"}}}, {"response": {"meta": {"tags": answer["meta"]["tags"]}}}):
        for label in ({"jsonData": [1, 0, 0]}, {"strData": "1"}):
            assert request(sepsis, "POST", "/api/v1.0/feedback", {**by, "truth": label})[0] == 200
    status, got, _ = request(sepsis, "POST", "/api/v0.1/feedback", {"truth": {"data": {"ndarray": [[1]]}}})
    assert status == 400 and got["status"]["status"] == "FAILURE" and "no prediction is named" in got["status"]["info"]


def test_seldon_about(sepsis):
    for path in ("live", "ready", "status"):
        assert request(sepsis, "GET", "/api/v1.0/health/" + path)[1]["status"]["status"] == "SUCCESS"
    graph = serving.must(sepsis, "GET", "/api/v1.0/metadata")
    assert graph["name"] == "sepsis" and graph["models"]["sepsis"] == serving.must(sepsis, "GET", "/api/v1.0/metadata/sepsis")
    assert graph["graphinputs"] == graph["models"]["sepsis"]["inputs"] == [{"messagetype": "tensor", "schema": {"names": NAMES, "shape": [3]}}]
    assert graph["graphoutputs"][0]["schema"] == {"names": ["0", "1"], "shape": [2]}
    status, answer, _ = request(sepsis, "GET", "/api/v1.0/metadata/other")
    assert status == 404 and answer["status"]["status"] == "FAILURE"
    document = serving.must(sepsis, "GET", "/seldon.json")
    assert document["openapi"].startswith("3.") and "/api/v1.0/predictions" in document["paths"]


# ---- missing and infinite values ----

CSV = {"Content-Type": "text/csv"}
ANYWHERE = [
    ("v2 rows", "/v2/models/sepsis/infer", '{"inputs":[{"name":"x","shape":[2,3],"datatype":"FP64","data":[[100,15,37],[80,?,37]]}]}', None),
    ("v2 columns", "/v2/models/sepsis/infer", '{"inputs":[{"name":"HR","shape":[2],"datatype":"FP32","data":[100,80]},{"name":"Resp",'
     '"shape":[2],"datatype":"FP32","data":[15,?]},{"name":"Temp","shape":[2],"datatype":"FP32","data":[37,37]}]}', None),
    ("flat", "/predictions", '[{"hr":100,"resp":15,"temp":37},{"hr":80,"resp":?,"temp":37}]', None),
    ("V1 rows", PREDICT, '{"instances":[[100,15,37],[80,?,37]]}', None),
    ("V1 columns", PREDICT, '{"inputs":{"HR":[100,80],"Resp":[15,?],"Temp":[37,37]}}', None),
    ("V1 event", PREDICT, '{"specversion":"1.0","id":"1","source":"/","type":"t","data":{"instances":[[100,15,37],[80,?,37]]}}',
     {"Content-Type": "application/cloudevents+json"}),
    ("Seldon ndarray", SELDON, '{"data":{"ndarray":[[100,15,37],[80,?,37]]}}', None),
    ("Seldon tensor", SELDON, '{"data":{"tensor":{"shape":[2,3],"values":[100,15,37,80,?,37]}}}', None),
    ("MLflow split", "/invocations", '{"dataframe_split":{"columns":["HR","Resp","Temp"],"data":[[100,15,37],[80,?,37]]}}',
     {"Content-Type": "application/json"}),
    ("MLflow CSV", "/invocations", "HR,Resp,Temp\n100,15,37\n80,?,37\n", CSV),
]


def labels(answer):
    """The predictions of an answer in whatever protocol."""
    answer = answer.get("data", answer) if "specversion" in answer else answer
    if "outputs" in answer and isinstance(answer["outputs"][0], dict):
        return serving.outputs(answer)["prediction"]
    if "meta" in answer:
        return answer["meta"]["tags"]["predictions"]
    return answer.get("predictions") or answer.get("outputs")


@pytest.mark.parametrize("path, body, headers", [pytest.param(*row[1:], id=row[0]) for row in ANYWHERE])
def test_what_is_missing_is_the_same_in_all(sepsis, path, body, headers):
    words = ["NaN", ""] if headers == CSV else ["null", "NaN"]
    for word in words:
        status, answer, _ = request(sepsis, "POST", path, body.replace("?", word), headers)
        assert status == 200, answer
        got = [row["isSepsis"] for row in answer] if isinstance(answer, list) else labels(answer)
        assert got == [1, 0]


@pytest.mark.parametrize("path, body, headers", [pytest.param(*row[1:], id=row[0]) for row in ANYWHERE])
def test_what_is_infinite_is_refused_in_all(sepsis, path, body, headers):
    for word in ("inf", "-inf") if headers == CSV else ("Infinity", "-Infinity", "1e999"):
        status, answer, _ = request(sepsis, "POST", path, body.replace("?", word), headers)
        said = json.dumps(answer)
        assert status == 400 and ("must be a number, not" if headers == CSV else "finite") in said and ("row 1" in said or "'Resp'" in said), answer
    for word in ("Infinit", "NaNN", "NaN0", "++1"):
        assert request(sepsis, "POST", path, body.replace("?", word), headers)[0] == 400


# ---- MLflow ----

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("path", ["/invocations", "/endpoints/sepsis/invocations", "/serving-endpoints/sepsis/invocations"])
def test_mlflow_forms(sepsis, path):
    split = {"columns": ["Temp", "HR", "Resp", "ward"], "data": [[t, hr, resp, "x"] for hr, resp, t in ROWS]}
    for body in ({"dataframe_split": split}, {"dataframe_split": {**split, "index": [7, 8, 9]}}, {"dataframe_records": OBJECTS},
                 {"instances": OBJECTS}, {"instances": ROWS}, {"inputs": COLUMNS}, {"inputs": ROWS, "params": {"a": 1}}):
        status, answer, headers = request(sepsis, "POST", path, body)
        assert (status, answer) == (200, {"predictions": WANT})
        assert headers["Gyre-Model-Version"] == "1"
    text = "HR,Resp,Temp\n" + "".join(",".join(map(str, row)) + "\n" for row in ROWS)
    assert request(sepsis, "POST", path, text, {"Content-Type": "text/csv; charset=utf-8"})[:2] == (200, {"predictions": WANT})


def test_mlflow_errors(sepsis):
    status, answer, headers = request(sepsis, "POST", "/invocations", "{}", {"Content-Type": "text/html"})
    assert status == 415 and headers["Content-Type"].startswith("text/plain") and b"Got 'text/html'" in answer
    assert request(sepsis, "POST", "/invocations", "{}")[0] == 415
    status, answer, _ = request(sepsis, "POST", "/invocations", "{", JSON)
    assert status == 400 and answer["error_code"] == "BAD_REQUEST" and set(answer) == {"error_code", "message"}
    status, answer, _ = request(sepsis, "POST", "/invocations", {"dataframe_records": [{"HR": 1, "Temp": 2}]})
    assert status == 400 and answer["error_code"] == "INVALID_PARAMETER_VALUE" and "Model is missing inputs ['Resp']." in answer["message"]
    status, answer, _ = request(sepsis, "POST", "/endpoints/other/invocations", {"inputs": ROWS})
    assert status == 404 and answer == {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Model 'other' not found"}
    status, answer, _ = request(sepsis, "GET", "/invocations")
    assert status == 405 and answer["error_code"] == "BAD_REQUEST"


def ping(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", "/ping")
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_mlflow_ping(sepsis):
    assert ping(sepsis) == (200, b"\n")


def test_nameless_requests_need_a_default(new_server):
    server = new_server()
    for name in ("a", "b"):
        version, _ = serving.register(server, name, serving.package())
        serving.deploy(server, f"models:/{name}/{version}", name, {})
    assert ping(server) == (404, b"\n")
    for path in ("/invocations", SELDON):
        status, answer, _ = request(server, "POST", path, {"inputs": ROWS})
        assert status == 404 and "name one: a, b" in json.dumps(answer)
    status, answer, _ = request(server, "POST", SELDON, {"data": {"ndarray": ROWS}}, {"Seldon-Model": "b"})
    assert status == 200 and answer["meta"]["routing"] == {"b": 0}
    version, _ = serving.register(server, "b", serving.package())
    serving.deploy(server, f"models:/b/{version}", "b", {"default": True})
    status, answer, headers = request(server, "POST", "/invocations", {"inputs": ROWS})
    assert status == 200 and headers["Gyre-Revision"].startswith("b/")
