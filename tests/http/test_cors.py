# SPDX-License-Identifier: Apache-2.0
"""Pages of other origins, and the port that serves inference alone."""

import http.client
import json
import re
import time

import pytest

import serving
import support
from serving import request

APP, OTHER = "https://app.example", "https://evil.example"
WELL = {"hr": 80, "resp": 15, "temp": 37}
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type, authorization"}


def start(tmp_path_factory, *args):
    home = support.Server(tmp_path_factory.mktemp("cors") / "home", list(args)).start()
    version, _ = serving.register(home)
    shared = [{"path": "/", "answer": {"message:": "Welcome!"}}, {"path": "/health", "answer": {"status": "OK"}},
              {"path": "/version", "answer": "version"}]
    serving.deploy(home, f"models:/sepsis/{version}", project={**serving.PROJECT, "aliases": [serving.ALIAS, *shared]})
    return home


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    home = start(tmp_path_factory, "--cors", f"{APP}, http://localhost:8080", "--inference-port", "0")
    yield home
    home.stop()


@pytest.fixture(scope="module")
def anyone(tmp_path_factory):
    home = start(tmp_path_factory, "--cors", "*")
    yield home
    home.stop()


@pytest.mark.parametrize("path", ["/predictions", "/v2/models/sepsis/infer", "/predict"])
def test_preflight(listed, path):
    status, body, headers = request(listed, "OPTIONS", path, headers={"Origin": APP, **PREFLIGHT})
    assert status == 204 and not body
    assert headers["Access-Control-Allow-Origin"] == APP and headers["Vary"] == "Origin"
    assert "POST" in headers["Access-Control-Allow-Methods"]
    assert headers["Access-Control-Allow-Headers"] == "content-type, authorization"
    assert int(headers["Access-Control-Max-Age"]) > 0 and "Access-Control-Allow-Credentials" not in headers


def test_answers_and_errors_can_be_read(listed):
    for body, status in ((WELL, 200), ({"hr": "x"}, 400)):
        got, answer, headers = request(listed, "POST", "/predictions", body, {"Origin": APP})
        assert got == status and headers["Access-Control-Allow-Origin"] == APP
        assert "Gyre-Prediction-Id" in headers["Access-Control-Expose-Headers"]
    got, _, headers = request(listed, "POST", "/v2/models/nobody/infer", {"inputs": []}, {"Origin": APP})
    assert got == 404 and headers["Access-Control-Allow-Origin"] == APP
    got, _, headers = request(listed, "GET", "/v2/models/sepsis", headers={"Origin": APP})  # a worker answers
    assert got == 200 and headers["Access-Control-Allow-Origin"] == APP
    many = serving.v2([[80, 15, 37]] * 20000)  # off the loop
    got, _, headers = request(listed, "POST", "/v2/models/sepsis/infer", many, {"Origin": APP})
    assert got == 200 and headers["Access-Control-Allow-Origin"] == APP


def test_others_may_not(listed):
    status, _, headers = request(listed, "POST", "/predictions", WELL, {"Origin": OTHER})
    assert status == 403 and "Access-Control-Allow-Origin" not in headers
    status, _, headers = request(listed, "OPTIONS", "/predictions", headers={"Origin": OTHER, **PREFLIGHT})
    assert "Access-Control-Allow-Origin" not in headers and "Access-Control-Allow-Methods" not in headers
    # Inference alone: the rest of the API stays for its own pages.
    status, _, headers = request(listed, "POST", f"{serving.API}/endpoints/sepsis/undeploy", {}, {"Origin": APP})
    assert status == 403 and "Access-Control-Allow-Origin" not in headers
    status, _, headers = request(listed, "GET", f"{serving.API}/endpoints", headers={"Origin": APP})
    assert status == 200 and "Access-Control-Allow-Origin" not in headers
    assert "Access-Control-Allow-Origin" not in request(listed, "POST", "/predictions", WELL)[2]


def test_one_connection_does_not_mix_them_up(listed):
    connection = http.client.HTTPConnection("127.0.0.1", listed.port, timeout=60)
    for origin, allowed in ((APP, APP), (None, None), ("http://localhost:8080", "http://localhost:8080")):
        headers = {"Content-Type": "application/json", **({"Origin": origin} if origin else {})}
        connection.request("POST", "/predictions", json.dumps(WELL), headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200 and answer.getheader("Access-Control-Allow-Origin") == allowed
    connection.close()


def test_a_header_can_not_be_smuggled(listed):
    status, _, headers = request(listed, "OPTIONS", "/predictions", headers={"Origin": APP, **PREFLIGHT, "Access-Control-Request-Headers": "x" * 2000})
    assert status == 204 and "Access-Control-Allow-Headers" not in headers


def test_anyone(anyone):
    status, _, headers = request(anyone, "POST", "/predictions", WELL, {"Origin": OTHER})
    assert status == 200 and headers["Access-Control-Allow-Origin"] == "*" and "Vary" not in headers
    assert request(anyone, "POST", f"{serving.API}/endpoints/sepsis/undeploy", {}, {"Origin": OTHER})[0] == 403


@pytest.mark.parametrize("origins", ["app.example", "https://app.example/page", "", "https://"])
def test_origins_that_are_none(tmp_path, origins):
    done = support.run_gyre("server", "--port", "0", "--cors", origins, cwd=tmp_path, timeout=60)
    assert done.returncode == 2 and "origin" in done.stderr


class Inference:
    """The same server by its other port."""

    def __init__(self, server):
        found = None
        for _ in range(100):
            found = re.search(r"inference alone: http://127\.0\.0\.1:(\d+)", server.text())
            if found:
                break
            time.sleep(0.05)
        self.port = int(found.group(1))


def test_the_inference_port(listed):
    port = Inference(listed)
    assert port.port != listed.port
    assert request(port, "POST", "/predictions", WELL)[0] == 200
    assert request(port, "POST", "/v2/models/sepsis/infer", serving.v2([[80, 15, 37]]))[0] == 200
    assert request(port, "GET", "/v2/models/sepsis")[0] == 200
    # Here an endpoint's aliases win; on the main port these are MLflow's.
    assert request(port, "GET", "/")[1] == {"message:": "Welcome!"} and request(port, "GET", "/health")[1] == {"status": "OK"}
    assert request(port, "GET", "/version")[1] == {"version": "v1"}
    assert request(listed, "GET", "/health")[1] == b"OK" and request(listed, "GET", "/")[1] == {"status": "alive"}
    for method, path in (("GET", f"{serving.API}/endpoints"), ("POST", f"{serving.API}/endpoints/sepsis/undeploy"),
                         ("GET", "/api/2.0/mlflow/experiments/search"), ("GET", "/metrics"), ("GET", "/docs/endpoints/sepsis")):
        status, answer, _ = request(port, method, path, {} if method == "POST" else None)
        assert status == 404 and answer["detail"] == "this port serves inference alone", path
    assert request(port, "OPTIONS", "/predictions", headers={"Origin": APP, **PREFLIGHT})[0] == 204


def raw(server, path):
    """(status, content type, bytes)"""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, answer.getheader("Content-Type"), data


def test_probes_without_an_alias(tmp_path):
    home = support.Server(tmp_path / "home", ["--inference-port", "0"]).start()
    try:
        port = Inference(home)
        # as KServe's server and MLflow's scoring server answer: the latter says 404 without a model
        assert request(port, "GET", "/", headers={"Accept": "text/html"})[:2] == (200, {"status": "alive"})
        assert [raw(port, path)[0] for path in ("/ping", "/health")] == [404, 404]
        version, _ = serving.register(home)
        serving.deploy(home, f"models:/sepsis/{version}", "sepsis", {})
        for path in ("/ping", "/health"):
            assert raw(port, path) == (200, "application/json", b"\n")
        status, kind, text = raw(port, "/version")
        assert (status, kind) == (200, "application/json") and re.fullmatch(rb"[0-9]+\.[0-9]+\.[0-9]+", text)
        assert raw(home, "/version")[1].startswith("text/plain") and raw(home, "/health")[2] == b"OK"
    finally:
        home.stop()
