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


MLMODEL = """\
flavors:
  sklearn: {sklearn_version: 1.4.0}
  python_function: {loader_module: mlflow.sklearn}
signature:
  inputs: '[{"name": "age", "type": "long", "required": true}]'
  outputs: '[{"type": "double"}]'
"""
FOREIGN_CARD = {"owner": "Ann", "limits": ["adults only"], "intended_use": 5, "anything": {"else": 1}}


def foreign(server, name, penalty, card=None):
    """A version as an MLflow client logs it: a run with params, metrics and a dataset, and a package that is not ours."""
    run = post(server, "runs/create", experiment_id="0", tags=[{"key": "mlflow.source.git.commit", "value": "c" * 40}])
    run_id, uri = run["run"]["info"]["run_id"], run["run"]["info"]["artifact_uri"]
    post(server, "runs/log-batch", run_id=run_id, params=[{"key": "C", "value": penalty}],
         metrics=[{"key": "f1", "value": float(penalty) / 2, "timestamp": 1}])
    post(server, "runs/log-inputs", run_id=run_id, datasets=[
        {"dataset": {"name": "wards", "digest": f"d{penalty}", "source_type": "local", "source": "{}"},
         "tags": [{"key": "mlflow.data.context", "value": "training"}]}])
    files = {"MLmodel": MLMODEL, "model.pkl": f"pickle of {penalty}"}
    if card is not None:
        files["card.json"] = card
    for path, text in files.items():
        put = requests.put(f"{server.url}/api/2.0/mlflow-artifacts/artifacts/{uri.split(':/', 1)[1].lstrip('/')}/model/{path}",
                           data=text.encode(), timeout=30)
        assert put.status_code == 200, put.text
    return post(server, "model-versions/create", name=name, source=f"{uri}/model", run_id=run_id)["model_version"]


def test_foreign_models_are_compared_by_what_is_known(server, me):
    post(server, "registered-models/create", name="foreign")
    foreign(server, "foreign", "1.0", json.dumps(FOREIGN_CARD))
    foreign(server, "foreign", "2.0", "no json at all")
    diff = requests.get(f"{server.url}{GYRE}/models/diff", params={"a": "foreign/1", "b": "models:/foreign/2"}, timeout=30).json()
    rows = {s["section"]: {r["key"]: r for r in s["rows"]} for s in diff["sections"]}
    assert rows["params"] == {"C": {"key": "C", "change": "changed", "a": "1.0", "b": "2.0"}}
    assert rows["metrics"]["f1"]["difference"] == 0.5 and rows["metrics"]["f1"]["overlap"] is None
    assert rows["data"] == {"training wards": {"key": "training wards", "change": "changed", "a": "d1.0", "b": "d2.0"}}
    assert rows["signature"] == {} and rows["learner"] == {} and rows["code"] == {}
    assert set(rows["files"]) == {"card.json", "model.pkl"}
    one = requests.get(f"{server.url}{GYRE}/models/foreign/versions/1/card", timeout=30).json()
    assert one["sections"]["learner"] == {"flavor.sklearn": True, "flavor.python_function": True}
    assert one["sections"]["signature"]["input age"]["type"] == "long" and "output 0" in one["sections"]["signature"]
    # Its own card is where people start; what is of the wrong kind is not taken.
    assert one["stated"] == {"owner": "Ann", "limits": ["adults only"]} and one["number"] == 0
    two = requests.get(f"{server.url}{GYRE}/models/foreign/versions/2/card", timeout=30).json()
    assert two["stated"] == {} and two["profile"] is None
    status, saved = me("POST", f"{GYRE}/models/foreign/versions/1/card", {"set": {"owner": None, "risk_class": "low"}})
    assert status == 201 and saved["stated"] == {"risk_class": "low", "limits": ["adults only"]}
    page = requests.get(f"{server.url}{GYRE}/models/foreign/versions/1/card.html", timeout=30)
    assert page.headers["Content-Type"].startswith("text/html") and "adults only" in page.text


def test_cards_over_http(server, me, model):
    base = f"{GYRE}/models/{model}/versions/1"
    assert requests.post(f"{server.url}{base}/card", json={"set": {"owner": "x"}}, timeout=30).status_code == 401
    status, saved = me("POST", f"{base}/card", {"set": {"owner": "Ann"}, "expect": 0})
    assert status == 201 and saved["number"] == 1
    status, problem = me("POST", f"{base}/card", {"set": {"owner": "Ben"}, "expect": 0})
    assert status == 409 and "newest version is 1" in problem["detail"]
    for body, says in (({"set": {"owner": ["a"]}}, "'owner' must be a text"), ({"set": {"limits": "a"}}, "must be a list"),
                       ({"set": []}, "must be a map"), ({"set": {"nobody": "x"}}, "unknown key"),
                       ({"set": {"limits": ["x"] * 101}}, "at most 100"), ({"set": {"notes": "x" * 20000}}, "16384")):
        status, problem = me("POST", f"{base}/card", body)
        assert status == 400 and says in problem["detail"]
    assert len(requests.get(f"{server.url}{base}/cards", timeout=30).json()["cards"]) == 1
    for path, status in ((f"{base}/card?number=2", 404), (f"{base}/card?number=0", 400), (f"{GYRE}/models/none/versions/1/card", 404),
                         (f"{base}/card/diff", 400), (f"{GYRE}/models/diff?a=x", 400), (f"{base}/card/diff?a=1", 200)):
        assert requests.get(server.url + path, timeout=30).status_code == status, path


def test_use_cases_and_comments_want_a_name(server, me, model):
    for method, path, body in (("POST", "/usecases", {}), ("POST", "/usecases/x/request", {}), ("POST", "/usecases/x/approve", {}),
                               ("POST", "/usecases/x/reject", {}), ("POST", "/usecases/x/retire", {}),
                               ("POST", "/usecases/x/models", {"model": model}), ("DELETE", "/usecases/x/models/m", None),
                               ("POST", "/comments", {"subject": f"model:{model}/1", "text": "x"}), ("POST", "/comments/x", {"text": "x"}),
                               ("DELETE", "/comments/x", None)):
        assert requests.request(method, f"{server.url}{GYRE}{path}", json=body, timeout=30).status_code == 401, path
    status, made = me("POST", f"{GYRE}/comments", {"subject": f"model:{model}/1", "text": "good"})
    assert status == 201
    listed = requests.get(f"{server.url}{GYRE}/comments", params={"subject": f"model:{model}/1"}, timeout=30).json()["comments"]
    assert [c["id"] for c in listed] == [made["id"]]
    assert me("POST", f"{GYRE}/comments/{made['id']}", {"text": "better"})[1]["text"] == "better"
    texts = requests.get(f"{server.url}{GYRE}/comments/{made['id']}", timeout=30).json()["texts"]
    assert [t["text"] for t in texts] == ["good", "better"]
    assert me("DELETE", f"{GYRE}/comments/{made['id']}")[1]["text"] is None
    assert requests.get(f"{server.url}{GYRE}/comments", timeout=30).status_code == 400
    assert requests.get(f"{server.url}{GYRE}/usecases/none", timeout=30).status_code == 404
    assert requests.get(f"{server.url}{GYRE}/models/{model}/usecase", timeout=30).json() == {"usecase": None}


def test_records_follow_a_rename_and_end_with_the_model(server, me, model):
    new = f"{model}_renam\u00e9"
    assert me("POST", f"{GYRE}/comments", {"subject": f"model:{model}/3", "text": "three"})[0] == 201
    assert me("POST", f"{GYRE}/models/{model}/versions/3/card", {"set": {"owner": "Ann"}})[0] == 201
    usecase = {"name": "renaming", "owner": "a", "purpose": "p", "success_metric": {"name": "f1", "max": 1}, "risk_class": "low"}
    assert me("POST", f"{GYRE}/usecases", usecase)[0] == 201
    assert me("POST", f"{GYRE}/usecases", usecase)[0] == 200
    assert me("POST", f"{GYRE}/usecases/renaming/models", {"model": model})[1]["models"] == [model]
    assert me("POST", f"{GYRE}/models/{model}/promote", {"version": 2, "reason": "before"})[0] == 200
    post(server, "registered-models/rename", name=model, new_name=new)
    get = lambda path, **q: requests.get(f"{server.url}{GYRE}{path}", params=q, timeout=30).json()  # noqa: E731
    assert [c["text"] for c in get("/comments", subject=f"model:{new}/3")["comments"]] == ["three"]
    assert get(f"/models/{new}/versions/3/card")["stated"] == {"owner": "Ann"}
    assert get(f"/models/{new}/usecase")["usecase"]["name"] == "renaming"
    past = history(server, new)
    assert (past[0]["kind"], past[0]["from"], past[0]["to"]) == ("renamed", model, new)
    assert "before" in {e["reason"] for e in past}
    gone = requests.delete(f"{server.url}{MLFLOW}/registered-models/delete", json={"name": new}, timeout=30)
    assert gone.status_code == 200, gone.text
    assert history(server, new)[0]["kind"] == "deleted"
    post(server, "registered-models/create", name=new)
    for _ in range(3):
        post(server, "model-versions/create", name=new, source="s3://bucket/model")
    assert get("/comments", subject=f"model:{new}/3")["comments"] == []
    assert get(f"/models/{new}/versions/3/card")["stated"] == {} and get(f"/models/{new}/usecase") == {"usecase": None}
