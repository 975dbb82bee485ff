# SPDX-License-Identifier: Apache-2.0
"""Workspaces are walls: whoever belongs to one reads and changes nothing of another, over any route, by any id, name or path.

Every route of the OpenAPI document that works in workspaces is asked by somebody of team-b with all that can be known of what
team-a has: its ids, names and paths. What can not be known carries the word SECRET, and must not come back; and afterwards
team-a finds its own as it was. The same requests by team-a itself are the control: there the word does come back."""

import hashlib
import http.client
import json
import re
import urllib.parse

import pytest
import support
from identity import add_user, add_workspace, root
from serving import API

M, L = "/api/2.0/mlflow", "/api/2.0/mlflow-artifacts"
WORD = "SECRET"


class As:
    """Somebody in a workspace, on one connection."""

    def __init__(self, server, headers, workspace):
        self.http = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self.headers = {**headers, "X-MLFLOW-WORKSPACE": workspace}

    def ask(self, method, path, body=None):
        """(status, text)"""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        self.http.request(method, path, body=data, headers={"Content-Type": "application/json", **self.headers})
        try:
            answer = self.http.getresponse()
            text = answer.read()
        except (http.client.RemoteDisconnected, http.client.IncompleteRead):  # an answer that broke off
            self.http.close()
            return 0, ""
        text = text.decode("utf-8", "replace")
        if answer.will_close:
            self.http.close()
        return answer.status, text

    def must(self, method, path, body=None):
        status, text = self.ask(method, path, body)
        assert status in (200, 201), f"{method} {path}: {status} {text}"
        return json.loads(text) if text.startswith(("{", "[")) else text


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    one = support.Server(tmp_path_factory.mktemp("walls") / "home", ["--auth", "on"]).start()
    add_workspace(one, "team-a")
    add_workspace(one, "team-b")
    yield one
    one.stop()
    one.clean()


@pytest.fixture(scope="module")
def ada(server):
    return As(server, add_user(server, f"{WORD}-ada", "admin", "team-a"), "team-a")


@pytest.fixture(scope="module")
def eve(server):
    return As(server, add_user(server, "eve", "admin", "team-b"), "team-b")


@pytest.fixture(scope="module")
def known(ada):
    """What team-a has, and all that somebody else could have learned of it."""
    tags = [{"key": "t", "value": f"{WORD} tag"}]
    experiment = ada.must("POST", f"{M}/experiments/create", {"name": "theirs", "tags": tags})["experiment_id"]
    run = ada.must("POST", f"{M}/runs/create", {"experiment_id": experiment, "run_name": f"{WORD} run", "user_id": f"{WORD} user",
                                                "start_time": 1, "tags": tags})["run"]["info"]
    run_id = run["run_id"]
    ada.must("POST", f"{M}/runs/log-batch", {"run_id": run_id, "metrics": [
        {"key": "m", "value": 0.5 + i, "timestamp": i, "step": i} for i in range(5)], "params": [{"key": "p", "value": f"{WORD} param"}]})
    ada.must("POST", f"{M}/runs/log-inputs", {"run_id": run_id, "datasets": [{"dataset": {
        "name": f"{WORD} data", "digest": "d1", "source_type": "local", "source": f"{WORD} source"}}]})
    root_path = run["artifact_uri"].split(":/", 1)[1].lstrip("/")
    ada.must("PUT", f"{L}/artifacts/{root_path}/model/MLmodel", f"flavors: {{}} # {WORD}".encode())
    ada.must("PUT", f"{L}/artifacts/{root_path}/notes.txt", f"{WORD} bytes".encode())
    logged = ada.must("POST", f"{M}/logged-models", {"experiment_id": experiment, "name": "theirs", "source_run_id": run_id, "tags": tags,
                                                     "params": [{"key": "p", "value": f"{WORD} param"}]})["model"]["info"]
    ada.must("POST", f"{M}/runs/outputs", {"run_id": run_id, "models": [{"model_id": logged["model_id"], "step": 1}]})
    logged_path = logged["artifact_uri"].split(":/", 1)[1].lstrip("/")
    ada.must("PUT", f"{L}/artifacts/{logged_path}/notes.txt", f"{WORD} model bytes".encode())
    ada.must("POST", f"{M}/registered-models/create", {"name": "theirs", "description": f"{WORD} model", "tags": tags})
    ada.must("POST", f"{M}/model-versions/create", {"name": "theirs", "source": run["artifact_uri"] + "/model", "run_id": run_id,
                                                    "description": f"{WORD} version", "tags": tags})
    ada.must("POST", f"{M}/registered-models/alias", {"name": "theirs", "alias": "champion", "version": "1"})
    comment = ada.must("POST", f"{API}/comments", {"subject": f"run:{run_id}", "text": f"{WORD} comment"})
    ada.must("POST", f"{API}/usecases", {"name": "theirs", "owner": "a", "purpose": f"{WORD} purpose", "risk_class": "low",
                                        "success_metric": {"name": "m", "min": 0.8}})
    data = f"a\n{WORD}\n".encode()
    sha = ada.must("POST", f"{API}/objects", data)["sha256"]
    ada.must("POST", f"{API}/datasets", {"name": "theirs", "sha256": sha, "md5": hashlib.md5(data).hexdigest(), "size": len(data), "rows": 1,
                                         "read": 1, "accepted": 1, "dead": 0, "source": f"{WORD} file",
                                         "schema": {"columns": [{"name": WORD, "type": "string"}]}})
    ada.must("PATCH", f"{API}/datasets/theirs", {"description": f"{WORD} description"})
    ada.must("PUT", f"{API}/datasets/theirs/tags/t", {"version": 1, "reason": f"{WORD} reason"})
    schema = {"columns": [{"name": "id", "type": "int", "required": True}, {"name": WORD, "type": "string"}]}
    form = (f'--b\r\nContent-Disposition: form-data; name="schema"\r\n\r\n{json.dumps(schema)}\r\n--b\r\nContent-Disposition: form-data; '
            f'name="file"; filename="{WORD}.csv"\r\n\r\nid,{WORD}\n1,{WORD}\nx,{WORD}\n\r\n--b--\r\n')
    ada.headers["Content-Type"] = "multipart/form-data; boundary=b"
    ada.must("POST", f"{API}/datasets/uploaded/ingest", form.encode())
    del ada.headers["Content-Type"]
    ada.must("GET", f"{API}/datasets/uploaded/versions/1/statistics")  # kept from here on
    letter = ada.must("GET", f"{API}/datasets/uploaded/deadletters")["letters"][0]["id"]
    upload = ada.must("POST", f"{L}/mpu/create/{root_path}/big.bin", {"path": "big.bin", "num_parts": 2})
    return {"experiment": experiment, "run": run_id, "model": logged["model_id"], "name": "theirs", "comment": str(comment.get("id")), "sha": sha, "letter": letter,
            "root": root_path, "logged_root": logged_path, "upload": upload["upload_id"], "source": run["artifact_uri"] + "/model"}


# ---- every route ----------------------------------------------------------------------------------------------------------------


def operations(server):
    document = root(server, "GET", f"{API}/openapi.json")
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            if said["x-gyre-workspaces"] and said["x-gyre-role"] != "public":
                yield method.upper(), path


def paths_of(path, k):
    """The address of what team-a has: more than one where a parameter can mean several things."""
    values = {"sha256": [k["sha"]], "tag": ["t"], "model_id": [k["model"]], "name": [k["name"]], "version": ["1"], "key": ["t"], "model": [k["name"]], "part": ["1"],
              "id": [k["comment"], k["upload"], k["letter"]], "path": [f"{k['root']}/notes.txt", f"{k['logged_root']}/notes.txt", f"{k['root']}/big.bin",
                                                         k["root"], f"workspaces/team-a/{k['root']}/notes.txt"]}
    made = [path]
    if path.startswith(f"{API}/datasets/{{name}}/"):
        made = [path, path.replace("{name}", "uploaded")]
    for parameter in re.findall(r"\{(\w+)\}", path):
        made = [p.replace("{" + parameter + "}", v) for p in made for v in values.get(parameter, ["1"])]
    return made


def arguments(k):
    """All arguments that routes of any kind look for, as different things that they can mean."""
    common = {"experiment_id": k["experiment"], "experiment_ids": [k["experiment"]], "experiment_name": "theirs", "name": k["name"],
              "run_id": k["run"], "run_uuid": k["run"], "run_ids": [k["run"]], "model_id": k["model"], "version": "1", "alias": "champion",
              "metric_key": "m", "key": "t", "value": "eve was here", "max_results": 100, "experiment": k["experiment"], "run": k["run"],
              "model": k["name"], "subject": f"run:{k['run']}", "ref": f"models:/{k['name']}@champion", "upload_id": k["upload"],
              "stage": "Archived", "new_name": "stolen", "description": "eve was here", "status": "FAILED", "text": "eve was here",
              "text2": "x", "sha256": k["sha"], "timestamp": 9, "step": 9, "source": k["source"], "allow_deleted": "true", "start_time": 1, "limit": 100}
    more = {"metrics": [{"key": "m", "value": 9, "timestamp": 9, "step": 9}], "params": [{"key": "q", "value": "eve"}],
            "tags": [{"key": "t", "value": "eve was here"}], "reason": "eve",
            "datasets": [{"dataset": {"name": "e", "digest": "e", "source_type": "e", "source": "e"}}],
            "models": [{"model_id": k["model"], "step": 1}], "parts": [{"part_number": 1, "etag": "x", "url": "x"}], "num_parts": 2}
    for node in (f"run:{k['run']}", f"model:{k['name']}/1", f"modeldigest:{'0' * 64}"):
        for path in ("", "notes.txt", "model", "MLmodel", f"{k['root']}/notes.txt", k["root"]):
            yield {**common, "node": node, "path": path, "artifact_file_path": path, "artifact_directory_path": path, "prefix": path}, more


def requests_of(method, path, k):
    for address in paths_of(path, k):
        seen = set()
        for common, more in arguments(k):
            if method == "GET":
                words = urllib.parse.urlencode(common, doseq=True)
                for address_of in (f"{address}?{words}", address):
                    if address_of not in seen:
                        seen.add(address_of)
                        yield address_of, None
            else:
                for body in ({**common, **more}, common):
                    if json.dumps(body) not in seen:
                        seen.add(json.dumps(body))
                        yield address, body
                if method == "DELETE" and address not in seen:
                    seen.add(address)
                    yield address, None


def picture(ada, k):
    """All of team-a, as it sees itself."""
    found = {}
    for path in (f"{M}/experiments/get?experiment_id={k['experiment']}", f"{M}/runs/get?run_id={k['run']}",
                 f"{M}/metrics/get-history?run_id={k['run']}&metric_key=m", f"{M}/artifacts/list?run_id={k['run']}",
                 f"/get-artifact?run_id={k['run']}&path=notes.txt", f"{L}/artifacts/{k['logged_root']}/notes.txt",
                 f"{M}/logged-models/{k['model']}", f"{M}/registered-models/get?name={k['name']}", f"{M}/model-versions/get?name={k['name']}&version=1",
                 f"{M}/registered-models/alias?name={k['name']}&alias=champion", f"{API}/comments/{k['comment']}", f"{API}/usecases/{k['name']}",
                 f"{API}/models/{k['name']}/aliases", f"{API}/models/{k['name']}/history", f"{API}/export/runs?experiment={k['experiment']}",
                 f"{API}/lineage?node=run:{k['run']}", f"{API}/datasets", f"{API}/datasets/{k['name']}", f"{API}/datasets/{k['name']}/tags",
                 f"{API}/datasets/{k['name']}/versions/1/data", f"{API}/datasets/{k['name']}/versions/t",
                 f"{API}/datasets/uploaded", f"{API}/datasets/uploaded/deadletters", f"{API}/datasets/uploaded/deadletters/{k['letter']}",
                 f"{API}/datasets/uploaded/versions/1/statistics"):
        found[path] = ada.ask("GET", path)
    return found


def test_nothing_comes_through(server, ada, eve, known):
    before = picture(ada, known)
    assert all(status == 200 for status, _ in before.values()), {p: a for p, a in before.items() if a[0] != 200}
    leaks, asked = [], 0
    for method, path in operations(server):
        for address, body in requests_of(method, path, known):
            status, text = eve.ask(method, address, body)
            asked += 1
            if WORD in text:
                leaks.append((method, address[:200], status, text[:300]))
    assert not leaks, leaks[:5]
    assert asked > 500
    after = picture(ada, known)
    assert after == before, [(p, before[p], after[p]) for p in before if before[p] != after[p]][:3]


def test_the_same_requests_by_those_inside(server, ada, known):
    """The control: what is asked above does bring the word to light where one belongs."""
    open_ones = set()
    for method, path in operations(server):
        if method != "GET" and not path.endswith(("/search", "get-latest-versions", "search-datasets")):
            continue
        for address, body in requests_of(method, path, known):
            if WORD in ada.ask(method, address, body)[1]:
                open_ones.add(re.sub(r"^/(ajax-)?api/[23]\.0", "", path))
                break
    wanted = {"/mlflow/experiments/get", "/mlflow/experiments/get-by-name", "/mlflow/experiments/search", "/mlflow/runs/get", "/mlflow/runs/search",
              "/mlflow-artifacts/artifacts/{path}", "/get-artifact", "/model-versions/get-artifact", "/mlflow/registered-models/get",
              "/mlflow/registered-models/search", "/mlflow/registered-models/alias", "/mlflow/registered-models/get-latest-versions",
              "/mlflow/model-versions/get", "/mlflow/model-versions/search", "/mlflow/logged-models/{model_id}", "/mlflow/logged-models/search",
              "/mlflow/logged-models/{model_id}/artifacts/files", "/mlflow/experiments/search-datasets",
              f"{API}/events", f"{API}/lineage", f"{API}/comments", f"{API}/usecases", f"{API}/usecases/{{name}}",
              f"{API}/models/{{name}}/history", f"{API}/export/runs", f"{API}/export/experiments", f"{API}/export/registry",
              f"{API}/datasets", f"{API}/datasets/{{name}}", f"{API}/datasets/{{name}}/tags", f"{API}/datasets/{{name}}/versions/{{version}}",
              f"{API}/datasets/{{name}}/versions/{{version}}/data", f"{API}/datasets/{{name}}/versions/{{version}}/schema",
              f"{API}/datasets/{{name}}/deadletters", f"{API}/datasets/{{name}}/deadletters/{{id}}",
              f"{API}/datasets/{{name}}/versions/{{version}}/statistics", f"{API}/objects/{{sha256}}"}
    assert wanted - open_ones == set(), wanted - open_ones


def test_without_a_role_there_is_no_door(server, eve, known):
    """Somebody of no workspace, and team-b's admin asking in team-a or in the default one: 403 before anything is looked up."""
    other = As(server, {"Authorization": "Bearer " + root(server, "POST", f"{API}/tokens", {"user": "eve"})["token"]}, "team-a")
    for workspace in ("team-a", "default", ""):
        other.headers["X-MLFLOW-WORKSPACE"] = workspace
        for path in (f"{M}/runs/get?run_id={known['run']}", f"/get-artifact?run_id={known['run']}&path=notes.txt", f"{API}/lineage?node=run:x",
                     f"{L}/artifacts/{known['root']}/notes.txt", f"{API}/events", f"{API}/trace/x"):
            status, text = other.ask("GET", path)
            assert status == (403 if workspace != "team-a" or "/trace" not in path else 400) and WORD not in text, (workspace, path, status)


def test_same_names_side_by_side(ada, eve, known):
    """A name belongs to its workspace: both may have it, and each sees its own."""
    assert eve.ask("POST", f"{M}/experiments/create", {"name": "ours too"})[0] == 200
    assert ada.ask("POST", f"{M}/experiments/create", {"name": "ours too"})[0] == 200
    mine = eve.must("POST", f"{M}/runs/create", {"experiment_id": eve.must(
        "GET", f"{M}/experiments/get-by-name?experiment_name=ours%20too")["experiment"]["experiment_id"], "start_time": 1})["run"]["info"]
    assert ada.ask("GET", f"{M}/runs/get?run_id={mine['run_id']}")[0] == 404
    got = eve.must("POST", f"{M}/runs/search", {"experiment_ids": [known["experiment"], mine["experiment_id"]]})
    assert [r["info"]["run_id"] for r in got["runs"]] == [mine["run_id"]]
