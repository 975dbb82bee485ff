# SPDX-License-Identifier: Apache-2.0
"""What tests of serving share: a model package made by hand, registered through MLflow's API and deployed."""

import http.client
import json
import socket

API = "/api/gyre/v1"
MLFLOW = "/api/2.0/mlflow"

SIRS = {"name": "sirs", "at_least": 2, "of": ["Temp > 38.5 or Temp < 35.0", "HR > 90", "Resp > 20", "WBC > 12 or WBC < 4"],
        "then": {"prediction": 1, "skip_model": True, "reason": "SIRS: 2 or more of 4"}}
ALIAS = {"path": "/predictions", "input": {"HR": "hr", "Resp": "resp", "Temp": "temp"}, "output": {"isSepsis": "prediction"}}
PROJECT = {"rules": [SIRS], "aliases": [ALIAS]}


def request(server, method, path, body=None, headers=None, timeout=60):
    """(status, answer as JSON or bytes, headers)"""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    headers = dict(headers or {})
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    connection.request(method, path, body=body, headers=headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    kind = answer.getheader("Content-Type") or ""
    return answer.status, json.loads(data) if "json" in kind else data, dict(answer.getheaders())


class Unix(http.client.HTTPConnection):
    """The server's socket: the user who runs the tests is the actor."""

    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def by_socket(server, method, path, body=None):
    """(status, answer as JSON), asked by somebody with a name; a body that is not bytes goes as JSON."""
    connection = Unix(server.home / "sock")
    connection.request(method, path, body=body if body is None or isinstance(body, bytes) else json.dumps(body),
                       headers={} if body is None else {"Content-Type": "application/json"})
    answer = connection.getresponse()
    data = json.loads(answer.read())
    connection.close()
    return answer.status, data


def ask_anyhow(server, method, path, body=None):
    """(status, answer): as somebody with a name where the route wants one, else over TCP."""
    if path.endswith("/promote"):
        return by_socket(server, method, path, body)
    return request(server, method, path, body)[:2]


def must(server, method, path, body=None, status=(200, 201)):
    got, answer = ask_anyhow(server, method, path, body)
    assert got in status, f"{method} {path}: {got} {answer}"
    return answer


def package(intercept=-9.0, example=True):
    """A logistic model: the probability of sepsis is sigmoid(HR / 10 + intercept)."""
    def column(name, kind, low, high, required):
        return {"name": name, "type": kind, "min": low, "max": high, "required": required}

    step = {"impute": "constant", "fill": 0}
    model = {"format": "gyre.model/1", "task": "binary", "target": "isSepsis",
             "inputs": [column("HR", "int", 60, 250, True), column("Resp", "int", 12, 35, False),
                        column("Temp", "float", 35, 42.3, True)],
             "features": [step, step, step],
             "learner": {"name": "logistic", "params": {}, "values": [0.1, 0, 0, intercept]},
             "classes": ["0", "1"], "threshold": 0.5}
    files = {"model.json": json.dumps(model),
             "MLmodel": "flavors:\n  gyre:\n    data: model.json\nmodel_uuid: 0123456789abcdef0123456789abcdef\n"}
    if example:
        files["input_example.json"] = json.dumps({"columns": ["HR", "Resp", "Temp"], "data": [[104, 22, 38.9]]})
    return files


def register(server, name="sepsis", files=None, servable=True, tags=()):
    """Log the package as an artifact of a new run, register it, record the proof. (version, run_id)"""
    experiment = must(server, "POST", MLFLOW + "/experiments/search", {"max_results": 1})["experiments"][0]
    run = must(server, "POST", MLFLOW + "/runs/create",
               {"experiment_id": experiment["experiment_id"], "tags": [{"key": k, "value": v} for k, v in tags]})["run"]
    run_id, root = run["info"]["run_id"], run["info"]["artifact_uri"]
    folder = f"/api/2.0/mlflow-artifacts/artifacts/{experiment['experiment_id']}/{run_id}/artifacts/model/"
    for path, text in (files or package()).items():
        must(server, "PUT", folder + path, text)
    request(server, "POST", MLFLOW + "/registered-models/create", {"name": name})
    version = must(server, "POST", MLFLOW + "/model-versions/create",
                   {"name": name, "source": root + "/model", "run_id": run_id})["model_version"]["version"]
    must(server, "POST", f"{API}/models/{name}/versions/{version}/proof", {"servable": servable, "reason": "by hand"})
    return int(version), run_id


def deploy(server, ref, name="sepsis", project=None, columns=("WBC",), gate=None):
    body = {"model": ref, "project": PROJECT if project is None else project, "columns": list(columns)}
    if gate is not None:
        body["gate"] = gate
    return must(server, "POST", f"{API}/endpoints/{name}/deploy", body)


def serve(server, **kwargs):
    """One deployed endpoint `sepsis`; its revision."""
    version, _ = register(server, **kwargs)
    return deploy(server, f"models:/sepsis/{version}")


def v2(data, shape=None):
    shape = shape or [len(data), len(data[0])]
    return {"inputs": [{"name": "x", "shape": shape, "datatype": "FP64", "data": data}]}


def outputs(answer):
    return {o["name"]: o["data"] for o in answer["outputs"]}


class Connection:
    """One keep-alive connection that asks again and again."""

    def __init__(self, server):
        self.http = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)

    def ask(self, body, path="/predictions", method="POST"):
        self.http.request(method, path, body=json.dumps(body) if isinstance(body, dict) else body)
        answer = self.http.getresponse()
        return answer.status, json.loads(answer.read())

    def close(self):
        self.http.close()
