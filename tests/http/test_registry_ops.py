# SPDX-License-Identifier: Apache-2.0
"""The registry for operations over HTTP: moves with reasons by MLflow's clients and by ours, and what is refused."""

import http.client
import json
import socket

import pytest
import requests

GYRE = "/api/gyre/v1"
MLFLOW = "/api/2.0/mlflow"


class Socket(http.client.HTTPConnection):
    """The home's socket: who asks is the user."""

    def __init__(self, home):
        super().__init__("localhost")
        self.path = str(home / "sock")

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


@pytest.fixture
def me(server):
    """me(method, path, body) -> (status, answer), by a person."""
    def ask(method, path, body=None, headers=None):
        c = Socket(server.home)
        c.request(method, path, None if body is None else json.dumps(body),
                  {"Content-Type": "application/json", **(headers or {})})
        answer = c.getresponse()
        text = answer.read()
        c.close()
        return answer.status, json.loads(text) if text else None
    return ask


@pytest.fixture
def model(server, request):
    """A model of the test's own with three versions; gives its name."""
    name = request.node.name.split("[")[0]
    post(server, "registered-models/create", name=name)
    for _ in range(3):
        post(server, "model-versions/create", name=name, source="s3://bucket/model")
    return name


def post(server, path, headers=None, **body):
    answer = requests.post(f"{server.url}{MLFLOW}/{path}", json=body, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def history(server, name, **params):
    answer = requests.get(f"{server.url}{GYRE}/models/{name}/history", params=params, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()["history"]


def test_moves_of_mlflow_clients_say_why(server, model):
    post(server, "registered-models/alias", {"X-Gyre-Reason": "r%C3%A9call 0.91"}, name=model, alias="champion", version="1")
    # A client that can only tag says it so; the tag explains one move.
    post(server, "model-versions/set-tag", name=model, version="2", key="gyre.reason", value="nightly")
    post(server, "registered-models/alias", name=model, alias="champion", version="2")
    post(server, "registered-models/alias", name=model, alias="other", version="2")
    post(server, "model-versions/transition-stage", {"X-Gyre-Reason": "to try"}, name=model, version="1", stage="Staging")
    gone = requests.delete(f"{server.url}{MLFLOW}/registered-models/alias", json={"name": model, "alias": "other"},
                           headers={"X-Gyre-Reason": "unused"}, timeout=30)
    assert gone.status_code == 200
    got = [(e["kind"], e["what"], e["action"], e["from"], e["to"], e["reason"]) for e in history(server, model)]
    assert got[:5] == [
        ("alias", "other", "removed", "2", None, "unused"),
        ("stage", "1", None, "None", "Staging", "to try"),
        ("alias", "other", "moved", None, "2", None),
        ("alias", "champion", "moved", "1", "2", "nightly"),
        ("alias", "champion", "moved", None, "1", "r\u00e9call 0.91"),
    ]
    assert [e["action"] for e in history(server, model)[5:]] == ["registered"] * 3
    tags = requests.get(f"{server.url}{MLFLOW}/model-versions/get", params={"name": model, "version": "2"},
                        timeout=30).json()["model_version"].get("tags", [])
    assert tags == []
    assert len(history(server, model, alias="champion", max=1)) == 1


def test_a_person_promotes_and_rolls_back(server, me, model):
    base = f"{GYRE}/models/{model}"
    assert requests.post(f"{server.url}{base}/promote", json={"version": 1}, timeout=30).status_code == 401
    assert requests.post(f"{server.url}{base}/rollback", json={}, timeout=30).status_code == 401
    for version in (1, 2, 3):
        status, moved = me("POST", f"{base}/promote", {"version": version, "reason": f"no {version}"})
        assert status == 200 and moved["version"] == version and moved["reason"] == f"no {version}"
    assert me("POST", f"{base}/rollback", {}, {"X-Gyre-Reason": "in the header"})[1]["version"] == 2
    assert me("POST", f"{base}/rollback", {"reason": "again"})[1]["version"] == 1
    status, problem = me("POST", f"{base}/rollback", {})
    assert status == 404 and "pointed to no other version" in problem["detail"]
    assert [e["reason"] for e in history(server, model, alias="champion")] == \
        ["again", "in the header", "no 3", "no 2", "no 1"]


@pytest.mark.parametrize("verb, body, status, says", [
    ("promote", {}, 400, "missing 'version'"),
    ("promote", {"version": "2"}, 400, "whole number"),
    ("promote", {"version": 0}, 400, "at least 1"),
    ("promote", {"version": 9}, 404, "not found"),
    ("promote", {"version": 1, "alias": "latest"}, 400, "reserved"),
    ("promote", {"version": 1, "reason": "x" * 5000}, 400, "maximum length"),
    ("promote", {"version": 1, "reason": 5}, 400, "reason"),
    ("rollback", {"to": -1}, 400, "at least 1"),
    ("rollback", {"to": 9}, 404, "not found"),
    ("rollback", [], 400, ""),
])
def test_mistakes_move_nothing(server, me, verb, body, status, says):
    name = "mistakes"
    if requests.post(f"{server.url}{MLFLOW}/registered-models/create", json={"name": name}, timeout=30).status_code == 200:
        post(server, "model-versions/create", name=name, source="s3://bucket/model")
    got, problem = me("POST", f"{GYRE}/models/{name}/{verb}", body)
    assert got == status and says in problem["detail"], problem
    assert [e["kind"] for e in history(server, name)] == ["version"]


def test_nobody_has_no_history(server):
    assert requests.get(f"{server.url}{GYRE}/models/nobody/history", timeout=30).status_code == 404
    assert requests.get(f"{server.url}{GYRE}/models/nobody/history?max=0", timeout=30).status_code == 400
