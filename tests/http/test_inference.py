# SPDX-License-Identifier: Apache-2.0
"""Predictions over HTTP: what is asked, what is answered, and what is refused."""

import json
import math
import socket
import threading

import pytest
import serving
import support
from serving import API, request, v2

pytestmark = pytest.mark.tsan

SEPTIC = {"hr": 104, "resp": 22, "temp": 38.9}
FAST_HEART = {"hr": 100, "resp": 15, "temp": 37}
WELL = {"hr": 80, "resp": 15, "temp": 37}


@pytest.fixture(scope="module")
def sepsis(server):
    serving.serve(server)
    return server


def test_alias_route(sepsis):
    status, answer, headers = request(sepsis, "POST", "/predictions", SEPTIC)
    assert status == 200 and answer["isSepsis"] == 1
    assert answer["rules"] == {"name": "sirs", "reason": "SIRS: 2 or more of 4", "true": 3, "evaluated": 3, "of": 4}
    assert headers["Gyre-Prediction-Id"] == answer["prediction_id"] and len(answer["prediction_id"]) == 36
    assert headers["Gyre-Revision"] == f"sepsis/{answer['revision']}"
    assert headers["Gyre-Model-Version"] == answer["model_version"] == "1"
    status, answer, _ = request(sepsis, "POST", "/predictions", FAST_HEART)
    assert (status, answer["isSepsis"], answer["rules"]) == (200, 1, {"true": 1, "evaluated": 3, "of": 4})
    assert request(sepsis, "POST", "/predictions", WELL)[1]["isSepsis"] == 0
    # a column that only the rule reads
    assert request(sepsis, "POST", "/predictions", {**WELL, "temp": 39, "WBC": 13})[1]["rules"]["true"] == 2


def test_request_id_is_echoed(sepsis):
    _, answer, headers = request(sepsis, "POST", "/predictions", WELL, {"X-Request-Id": "ward-7/bed-3"})
    assert headers["X-Request-Id"] == "ward-7/bed-3"
    trace = serving.must(sepsis, "GET", f"{API}/trace/{answer['prediction_id']}")
    assert trace["request_id"] == "ward-7/bed-3"
    status, answer, _ = request(sepsis, "POST", "/v2/models/sepsis/infer", {**v2([[80, 15, 37]]), "id": "my-id ä"})
    assert (status, answer["id"]) == (200, "my-id ä")
    trace = serving.must(sepsis, "GET", f"{API}/trace/{answer['parameters']['prediction_id']}")
    assert trace["request_id"] == "my-id ä"


def test_v2_rows_columns_and_selection(sepsis):
    rows = [[104, 22, 38.9], [100, 15, 37], [80, 15, 37]]
    _, matrix, _ = request(sepsis, "POST", "/v2/models/sepsis/infer", v2(rows))
    assert matrix["model_name"] == "sepsis" and matrix["model_version"] == "1"
    got = serving.outputs(matrix)
    assert got["prediction"] == [1, 1, 0] and got["rule"] == ["sirs", "", ""] and got["probability"][0] is None
    assert math.isclose(got["probability"][1], 1 / (1 + math.exp(-1)), rel_tol=1e-12)
    flat = v2([x for row in rows for x in row], [3, 3])
    assert serving.outputs(request(sepsis, "POST", "/v2/models/sepsis/infer", flat)[1]) == got
    columns = {"inputs": [{"name": name, "shape": [3, 1], "datatype": "FP32", "data": [row[i] for row in rows]}
                          for i, name in [(2, "Temp"), (0, "HR"), (1, "Resp")]]}
    assert serving.outputs(request(sepsis, "POST", "/v2/models/sepsis/infer", columns)[1]) == got
    columns["outputs"] = [{"name": "prediction"}]
    _, answer, _ = request(sepsis, "POST", "/v2/models/sepsis/versions/1/infer", columns)
    assert [o["name"] for o in answer["outputs"]] == ["prediction"]
    assert answer["outputs"][0]["datatype"] == "INT64" and answer["outputs"][0]["shape"] == [3]


def test_many_rows(sepsis):
    rows = [[60 + i % 190, 15, 37] for i in range(50000)]
    status, answer, _ = request(sepsis, "POST", "/v2/models/sepsis/infer", v2(rows))
    assert status == 200
    assert serving.outputs(answer)["prediction"] == [int(hr >= 90) for hr, _, _ in rows]
    trace = serving.must(sepsis, "GET", f"{API}/trace/{answer['parameters']['prediction_id']}")
    assert trace["rows"] == 50000 and trace["predictions"][1]["inputs"]["HR"] == 61


def test_metadata(sepsis):
    assert request(sepsis, "GET", "/v2")[1]["name"] == "gyre"
    assert request(sepsis, "GET", "/v2/")[0] == 200
    assert request(sepsis, "GET", "/v2/models")[1] == {"models": ["sepsis"]}
    for path in ["/v2/models/sepsis", "/v2/models/sepsis/versions/1"]:
        about = serving.must(sepsis, "GET", path)
        assert about["name"] == "sepsis" and about["versions"] == ["1"] and about["platform"] == "gyre_logistic"
        assert about["inputs"][0] == {"name": "HR", "datatype": "FP64", "shape": [-1, 1]}
        assert [o["name"] for o in about["outputs"]] == ["prediction", "probability", "rule"]
    assert request(sepsis, "GET", "/v2/models/sepsis/versions")[1] == {"name": "sepsis", "versions": ["1"]}
    assert request(sepsis, "GET", "/v2/models/sepsis/ready")[1] == {"name": "sepsis", "ready": True}
    assert request(sepsis, "GET", "/v2/health/live")[0] == 200
    assert request(sepsis, "GET", "/v2/health/ready")[1] == {"ready": True}
    for path in ["/v2/models/other", "/v2/models/other/ready", "/v2/models/sepsis/versions/9"]:
        status, answer, _ = request(sepsis, "GET", path)
        assert status == 404 and "not found" in answer["error"]
    status, answer, headers = request(sepsis, "GET", "/predictions")
    assert (status, answer, headers["Allow"]) == (405, {"error": "Method Not Allowed"}, "POST")
    assert request(sepsis, "GET", "/v2/models/sepsis/infer")[0] == 405


def test_out_of_range_is_a_warning(sepsis):
    status, answer, _ = request(sepsis, "POST", "/predictions", {"hr": 300, "resp": 15, "temp": 37})
    assert status == 200 and answer["warning"] == "HR is 300, outside of the 60 to 250 seen in training"


def test_optional_input_may_be_null(sepsis):
    assert request(sepsis, "POST", "/predictions", {"hr": 80, "resp": None, "temp": 37})[0] == 200


# The table of the issue: body -> status -> what the error says.
ALIAS, V2 = "/predictions", "/v2/models/sepsis/infer"


def one(data="[1,2,3]", shape="[1,3]", kind='"FP64"', name='"x"'):
    return '{"inputs":[{"name":%s,"shape":%s,"datatype":%s,"data":%s}]}' % (name, shape, kind, data)


BAD = [
    ("empty body", ALIAS, "", 400, "the body is empty"),
    ("broken JSON", ALIAS, '{"hr":104,', 400, ""),
    ("not JSON", ALIAS, "hr=104&resp=22", 400, ""),
    ("open quotes", ALIAS, '{"hr":104,"resp":22,"temp":38.9,"x":"open', 400, ""),
    ("trailing bytes", ALIAS, '{"hr":104,"resp":22,"temp":38.9}}', 400, ""),
    ("invalid UTF-8", ALIAS, b'{"\xff\xfe":1,"hr":104,"resp":22,"temp":38.9}', 400, ""),
    ("overlong UTF-8", ALIAS, b'{"\xc0\x80":1,"hr":104,"resp":22,"temp":38.9}', 400, ""),
    ("NUL bytes", ALIAS, b"\0" * 64, 400, ""),
    ("an array", ALIAS, "[104,22,38.9]", 400, "must be a JSON object"),
    ("wrong type", ALIAS, '{"hr":"104","resp":22,"temp":38.9}', 400, "field 'hr' must be a number, not a string"),
    ("true", ALIAS, '{"hr":true,"resp":22,"temp":38.9}', 400, "field 'hr' must be a number"),
    ("nested", ALIAS, '{"hr":{"v":1},"resp":22,"temp":38.9}', 400, "field 'hr' must be a number, not a object"),
    ("NaN where required", ALIAS, '{"hr":NaN,"resp":22,"temp":38.9}', 400, "field 'hr' must not be null"),
    ("Infinity", ALIAS, '{"hr":Infinity,"resp":22,"temp":38.9}', 400, "field 'hr' must be a finite number"),
    ("huge number", ALIAS, '{"hr":1e999,"resp":22,"temp":38.9}', 400, "field 'hr' must be a finite number"),
    ("hex", ALIAS, '{"hr":0x68,"resp":22,"temp":38.9}', 400, ""),
    ("missing field", ALIAS, '{"hr":104,"resp":22}', 400, "field 'temp' is missing"),
    ("no field", ALIAS, "{}", 400, "field 'hr' is missing"),
    ("null where required", ALIAS, '{"hr":null,"resp":22,"temp":38.9}', 400, "field 'hr' must not be null"),
    ("twice", ALIAS, '{"hr":104,"hr":60,"resp":22,"temp":38.9}', 400, "field 'hr' is there twice"),
    ("1000 deep", ALIAS, '{"hr":' + "[" * 1000 + "]" * 1000 + "}", 400, ""),
    ("1 MB of brackets", V2, "[" * 1000000, 400, ""),
    ("unknown model", "/v2/models/other/infer", one(), 404, "Model 'other' not found"),
    ("unknown version", "/v2/models/sepsis/versions/99/infer", one(), 404, "Model 'sepsis' with version '99' not found"),
    ("no inputs", V2, "{}", 400, "missing 'inputs'"),
    ("empty inputs", V2, '{"inputs":[]}', 400, "'inputs' is empty"),
    ("inputs no array", V2, '{"inputs":7}', 400, "'inputs' must be an array"),
    ("no datatype", V2, '{"inputs":[{"name":"x","shape":[1,3],"data":[1,2,3]}]}', 400, "an input has no 'datatype'"),
    ("wrong width", V2, one("[1,2]", "[1,2]"), 400, "the model takes 3 columns"),
    ("wrong count", V2, one("[1,2]"), 400, "does not have 1 x 3 values"),
    ("ragged", V2, one("[[1,2,3],[4]]", "[2,3]"), 400, "does not have 2 x 3 values"),
    ("zero rows", V2, one("[]", "[0,3]"), 400, "whole numbers over 0"),
    ("negative rows", V2, one("[]", "[-1,3]"), 400, "whole numbers over 0"),
    ("a lie about rows", V2, one("[1,2,3]", "[99999,3]"), 400, "does not have 99999 x 3 values"),
    ("too many rows", V2, one("[1,2,3]", "[9999999999,3]"), 400, "rows"),
    ("text values", V2, one('["1",2,3]'), 400, "values must be numbers, not a string"),
    ("BYTES", V2, one('["a","b","c"]', kind='"BYTES"'), 400, "datatype 'BYTES' is not accepted"),
    ("FP16 as JSON", V2, one(kind='"FP16"'), 400, "datatype 'FP16' is not accepted"),
    ("unknown datatype", V2, one(kind='"DOUBLE"'), 400, "datatype 'DOUBLE' is not accepted"),
    ("fraction as INT", V2, one("[1.5,2,3]", kind='"INT32"'), 400, "1.5 is not a value of INT32"),
    ("INT8 overflow", V2, one("[300,2,3]", kind='"INT8"'), 400, "300 is not a value of INT8"),
    ("missing input", V2, one("[1]", "[1]", name='"HR"'), 400, "input 'Resp' is missing"),
    ("unknown input", V2, one("[1]", "[1]", name='"Pulse"'), 400, "'Pulse' is not an input of this model"),
    ("unknown output", V2, '{"outputs":[{"name":"x"}],' + one()[1:], 400, "the model has no output 'x'"),
    ("number as id", V2, '{"id":7,' + one()[1:], 400, "'id' must be a string"),
    ("long id", V2, json.dumps({"id": "x" * 200, **v2([[1, 2, 3]])}), 400, "'id' must be a string of at most 128 bytes"),
    ("too long a body", V2, " " * (9 << 20), 413, ""),
]


@pytest.mark.parametrize("path,body,status,says", [pytest.param(*row[1:], id=row[0]) for row in BAD])
def test_bad_input(sepsis, path, body, status, says):
    got, answer, headers = request(sepsis, "POST", path, body)
    assert got == status and says in answer["error"] and answer["error"], answer
    assert headers["Content-Type"].startswith("application/json")
    assert "Gyre-Prediction-Id" not in headers


def test_bad_input_costs_no_memory(sepsis):
    """All of the table, again and again, and 100 MB of brackets: 16 MB at most, and the neighbour is answered."""
    neighbour = serving.Connection(sepsis)
    assert neighbour.ask(SEPTIC)[0] == 200
    before = sepsis.rss_kb()
    for _ in range(5):
        for _, path, body, status, _ in BAD:
            assert request(sepsis, "POST", path, body)[0] == status
            assert neighbour.ask(SEPTIC)[1]["isSepsis"] == 1
    for chunked in (False, True):
        assert send_brackets(sepsis, 100 << 20, chunked, neighbour) == 413
    neighbour.close()
    if not support.sanitized():  # sanitizers keep what is freed, to catch its use
        assert sepsis.rss_kb() - before < 16 * 1024


def send_brackets(server, total, chunked, neighbour):
    """The status of the answer; the server may close before it has read everything."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as s:
        how = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {total}"
        s.sendall(f"POST {V2} HTTP/1.1\r\nHost: 127.0.0.1\r\n{how}\r\n\r\n".encode())
        piece = b"[" * (1 << 20)
        piece = b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece
        try:
            for _ in range(total >> 20):
                s.sendall(piece)
                assert neighbour.ask(SEPTIC)[0] == 200
            s.sendall(b"0\r\n\r\n" if chunked else b"")
        except OSError:
            pass
        try:
            return int(s.recv(4096).split()[1])
        except OSError:
            return 413  # reset by a server that did not read on


def test_concurrent_clients(sepsis):
    wrong = []

    def client(body, want):
        c = serving.Connection(sepsis)
        for _ in range(200):
            status, answer = c.ask(body)
            if (status, answer.get("isSepsis")) != (200, want):
                wrong.append((status, answer))
        c.close()

    threads = [threading.Thread(target=client, args=pair) for pair in [(SEPTIC, 1), (WELL, 0), (FAST_HEART, 1), (WELL, 0)]]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong, wrong[:3]


def test_metrics_count(sepsis):
    def value(line):
        text = request(sepsis, "GET", "/metrics")[1].decode()
        found = [x for x in text.splitlines() if x.startswith(line + " ")]
        return float(found[0].rsplit(" ", 1)[1]) if found else 0.0

    label = '{endpoint="sepsis",version="1"'
    ok, refused = f'gyre_inference_requests_total{label},outcome="ok"}}', f'gyre_inference_requests_total{label},outcome="refused"}}'
    before = value(ok), value(refused), value(f"gyre_rule_hits_total{label}}}"), value(f"gyre_inference_latency_seconds_count{label}}}")
    for body in [SEPTIC, WELL, {}]:
        request(sepsis, "POST", "/predictions", body)
    after = value(ok), value(refused), value(f"gyre_rule_hits_total{label}}}"), value(f"gyre_inference_latency_seconds_count{label}}}")
    assert [b - a for a, b in zip(before, after)] == [2, 1, 1, 2]
    assert value("gyre_ready") == 1 and value("gyre_log_holes") == 0 and value("process_resident_memory_bytes") > 0


def test_metrics_are_well_formed(sepsis):
    seen = set()
    for line in request(sepsis, "GET", "/metrics")[1].decode().splitlines():
        if line.startswith("# TYPE"):
            name = line.split()[2]
            assert name not in seen
            seen.add(name)
        elif not line.startswith("#"):
            name = line.split("{")[0].split()[0]
            base = name.rsplit("_", 1)[0] if name.rsplit("_", 1)[-1] in ("bucket", "sum", "count") else name
            assert name in seen or base in seen, line
            float(line.rsplit(" ", 1)[1])


def test_metrics_are_documented(sepsis):
    said = {tuple(line.split()[2:4]) for line in request(sepsis, "GET", "/metrics")[1].decode().splitlines()
            if line.startswith("# TYPE")}
    rows = [line.split("|") for line in (support.ROOT / "docs" / "metrics.md").read_text().splitlines() if line.startswith("| `")]
    assert {(row[1].strip().strip("`"), row[2].strip()) for row in rows} == said


def test_status_page(sepsis):
    assert request(sepsis, "GET", "/")[1] == {"status": "alive"}
    status, page, headers = request(sepsis, "GET", "/", headers={"Accept": "text/html,application/xhtml+xml"})
    assert status == 200 and headers["Content-Type"].startswith("text/html") and page.startswith(b"<!doctype html>")
    assert b"http://" not in page.replace(b"http://www.w3.org/2000/svg", b"") and b"https://" not in page
    now = serving.must(sepsis, "GET", f"{API}/status")
    assert now["ready"] and now["endpoints"][0]["name"] == "sepsis" and now["endpoints"][0]["ok"] > 0
