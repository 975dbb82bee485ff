# SPDX-License-Identifier: Apache-2.0
"""gyre exp, runs and models: over HTTP, over the home's socket, and in-process."""

import getpass
import json
import urllib.request

import pytest

import support


def post(server, path, body):
    request = urllib.request.Request(server.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def put(server, path, data):
    request = urllib.request.Request(f"{server.url}/api/2.0/mlflow-artifacts/artifacts/{path}", data, method="PUT")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200


def make_run(server, recall, files=None):
    run = post(server, "/api/2.0/mlflow/runs/create", {"experiment_id": "0", "start_time": 1700000000000})["run"]["info"]
    post(server, "/api/2.0/mlflow/runs/log-batch", {
        "run_id": run["run_id"], "metrics": [{"key": "recall", "value": recall, "timestamp": 1}],
        "params": [{"key": "learner", "value": "xgboost"}]})
    for name, data in (files or {}).items():
        put(server, f"0/{run['run_id']}/artifacts/model/{name}", data)
    return run


@pytest.fixture
def ask(server, tmp_path):
    """Run gyre against the server, want success, give stdout."""
    def run(*args):
        done = support.run_gyre(*args, "--server", server.url, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout
    return run


@pytest.fixture
def mine(server, tmp_path):
    """The same over the home's socket, where the user is the actor."""
    def run(*args):
        done = support.run_gyre(*args, "--home", server.home, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout
    return run


def test_experiments(ask, gyre):
    assert json.loads(ask("exp", "create", "sepsis exp", "--json"))["experiment_id"] == "1"
    assert "sepsis exp" in ask("exp", "list")
    found = json.loads(ask("exp", "list", "--filter", "name LIKE 'sepsis%'", "--json"))
    assert [e["name"] for e in found["experiments"]] == ["sepsis exp"]
    # The same in-process, in a home of its own.
    assert gyre("exp", "create", "a").returncode == 0
    twice = gyre("exp", "create", "a")
    assert twice.returncode != 0 and "already exists" in twice.stderr
    assert {e["name"] for e in json.loads(gyre("exp", "list", "--json").stdout)["experiments"]} == {"Default", "a"}


def test_runs(ask, server):
    low, high = make_run(server, 0.5), make_run(server, 0.9)
    listed = ask("runs", "list", "--filter", "metrics.recall > 0.8")
    assert high["run_id"] in listed and low["run_id"] not in listed and "0.9" in listed
    assert "recall" in listed.splitlines()[0]
    ordered = json.loads(ask("runs", "list", "-e", "Default", "--order-by", "metrics.recall DESC", "--json"))
    assert [r["info"]["run_id"] for r in ordered["runs"]] == [high["run_id"], low["run_id"]]
    shown = ask("runs", "show", high["run_id"])
    assert "recall" in shown and "learner" in shown and "xgboost" in shown
    assert json.loads(ask("runs", "show", high["run_id"], "--json"))["run"]["info"]["run_id"] == high["run_id"]


def test_names_of_others_can_not_steer_the_terminal(ask, server, gyre):
    ask("exp", "create", "a\x1b]0;x\x07\x1b[31mb\nc\u009bd\u00e9")
    assert "a?]0;x??[31mb c?d\u00e9" in ask("exp", "list")
    refused = gyre("models", "show", "no\x1b[2Jsuch", "--server", server.url)
    assert refused.returncode == 4 and "no?[2Jsuch" in refused.stderr and "\x1b" not in refused.stderr


def test_what_is_not_there(server, gyre):
    for words, says in [(["runs", "show", "0" * 32], "not found"), (["models", "show", "none"], "not found"),
                        (["models", "show", "none@champion"], "not found"),
                        (["runs", "list", "-e", "none"], "Could not find experiment"),
                        (["runs", "list", "-f", "x.y = 1"], "Invalid entity type"),
                        (["models", "promote", "none/1"], "not found")]:
        done = gyre(*words, "--server", server.url)
        assert done.returncode != 0 and says in done.stderr, (words, done.stderr)


def test_models(ask, mine, server, gyre):
    for i in (1, 2, 3):
        run = make_run(server, i / 10, {"MLmodel": b"flavors: {}", "model.json": str(i).encode()})
        made = json.loads(ask("models", "register", "m", f"{run['artifact_uri']}/model", "--run", run["run_id"], "--json"))
        assert made["version"] == i and len(made["digest"]) == 64 and made["servable"] == "unknown"
        assert [f["path"] for f in made["files"]] == ["MLmodel", "model.json"]
    moved = json.loads(mine("models", "promote", "m/1", "--json"))
    assert moved.pop("actor") == getpass.getuser()
    assert moved == {"name": "m", "alias": "champion", "version": 1, "from": None, "reason": None}
    assert "-> version 3 (was 1)" in mine("models", "promote", "models:/m/3", "--reason", "best\nso far")
    listed = ask("models", "list")
    assert "champion=3" in listed
    shown = ask("models", "show", "m")
    assert "champion" in shown and len([line for line in shown.splitlines() if line.strip()]) >= 4
    assert json.loads(ask("models", "show", "m@champion", "--json"))["version"] == 3
    assert "MLmodel" in ask("models", "show", "m/2")
    back = json.loads(mine("models", "rollback", "m", "--reason", "alarms", "--json"))
    assert (back["version"], back["from"], back["reason"]) == (1, 3, "alarms")
    assert json.loads(mine("models", "rollback", "m", "--to", "2", "--json"))["version"] == 2
    nowhere = gyre("models", "rollback", "m", "--alias", "shadow", "--home", server.home)
    assert nowhere.returncode != 0 and "--to" in nowhere.stderr
    # Who moves an alias this way has a name; over the loopback port nobody has one.
    for words in (["promote", "m/1"], ["rollback", "m"]):
        nobody = gyre("models", *words, "--server", server.url)
        assert nobody.returncode != 0 and "anonymous" in nobody.stderr
    table = ask("models", "history", "m", "--alias", "champion").splitlines()
    assert len(table) == 5 and "rolled_back" in table[1] and "3 -> 1" in table[2] and "alarms" in table[2]
    assert "best so far" in table[3]
    history = json.loads(ask("models", "history", "m", "--json"))["history"]
    assert [e["action"] for e in history if e["kind"] == "alias"] == ["rolled_back", "rolled_back", "promoted", "promoted"]
    assert {e["actor"] for e in history if e["kind"] == "alias"} == {getpass.getuser()}
    assert sum(e["kind"] == "version" for e in history) == 3
    assert len(json.loads(ask("models", "history", "m", "-n", "2", "--json"))["history"]) == 2


def test_the_socket_of_a_running_server(server, tmp_path):
    done = support.run_gyre("exp", "list", "--json", "--home", server.home, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Default" in [e["name"] for e in json.loads(done.stdout)["experiments"]]
