# SPDX-License-Identifier: Apache-2.0
"""Deploying: revisions, rollback, the gate, restarts, and the trace back from a prediction."""

import http.client
import json
import math
import socket
import sqlite3
import threading

import pytest
import serving
import support
from serving import API, must, request, v2

pytestmark = pytest.mark.tsan

WELL, SICK = {"hr": 70, "resp": 15, "temp": 37}, {"hr": 120, "resp": 15, "temp": 37}
NEVER, ALWAYS = serving.package(-1000), serving.package(1000)
PLAIN = {"aliases": [serving.ALIAS]}


def history(server, name="sepsis"):
    answer = must(server, "GET", f"{API}/endpoints/{name}")
    return answer["revision"], [(r["revision"], r["kind"], r["version"], r["copied_from"]) for r in answer["revisions"]]


def predict(server, body):
    return must(server, "POST", "/predictions", body)


def test_revisions_and_rollback(new_server):
    server = new_server()
    serving.register(server, files=NEVER)
    serving.register(server, files=ALWAYS)
    one = serving.deploy(server, "models:/sepsis/1", project=PLAIN)
    assert (one["revision"], one["version"], one["kind"], one["gated"]) == (1, 1, "deploy", False)
    assert one["config"]["inputs"] == ["HR", "Resp", "Temp"] and one["config"]["threshold"] == 0.5
    assert one["config"]["weights"] == [{"model": "sepsis", "version": 1, "digest": one["digest"], "run_id": one["run_id"], "weight": 1,
                                         "role": "stable", "threshold": 0.5}]
    assert predict(server, SICK)["isSepsis"] == 0
    two = serving.deploy(server, "models:/sepsis/2", project=PLAIN)
    assert two["revision"] == 2 and two["digest"] != one["digest"]
    answer = predict(server, WELL)
    assert (answer["isSepsis"], answer["model_version"], answer["revision"]) == (1, "2", 2)
    back = must(server, "POST", f"{API}/endpoints/sepsis/rollback", {})
    assert (back["revision"], back["version"], back["copied_from"], back["digest"]) == (3, 1, 1, one["digest"])
    assert back["config"] == one["config"]
    answer = predict(server, SICK)
    assert (answer["isSepsis"], answer["model_version"], answer["revision"]) == (0, "1", 3)
    assert must(server, "POST", f"{API}/endpoints/sepsis/rollback", {"revision": 2})["version"] == 2
    assert history(server) == (4, [(4, "rollback", 2, 2), (3, "rollback", 1, 1), (2, "deploy", 2, None), (1, "deploy", 1, None)])
    events = must(server, "GET", f"{API}/events?kind=endpoint")["events"]
    assert [e["kind"] for e in events] == ["endpoint.deployed"] * 2 + ["endpoint.rolled_back"] * 2


def test_undeploy_and_again(new_server):
    server = new_server()
    serving.serve(server)
    assert must(server, "POST", f"{API}/endpoints/sepsis/undeploy", {}) == {"endpoint": "sepsis", "undeployed": True}
    assert request(server, "POST", "/predictions", WELL)[0] == 404
    assert request(server, "POST", "/v2/models/sepsis/infer", v2([[70, 15, 37]]))[0] == 404
    assert must(server, "GET", f"{API}/endpoints") == {"endpoints": []}
    assert request(server, "POST", f"{API}/endpoints/sepsis/undeploy", {})[0] == 404
    assert must(server, "POST", f"{API}/endpoints/sepsis/rollback", {})["copied_from"] == 1
    assert predict(server, WELL)["revision"] == 2


def test_refusals(new_server):
    server = new_server()
    serving.register(server)
    serving.register(server, servable=False)
    rule = {"name": "r", "when": "Lactate > 2", "then": {"prediction": 1}}
    table = [
        ({"model": "models:/nothing/1"}, 404, "NOTFOUND", ""),
        ({"model": "models:/sepsis/9"}, 404, "NOTFOUND", ""),
        ({}, 400, "INVALID", "missing 'model'"),
        ({"model": "models:/sepsis/2"}, 409, "NOTSERVABLE", "by hand"),
        ({"model": "models:/sepsis/1", "project": {"rules": [rule]}}, 400, "INVALID", "Lactate"),
        ({"model": "models:/sepsis/1", "project": {"ruels": []}}, 400, "INVALID", "unknown key 'ruels'"),
        ({"model": "models:/sepsis/1", "projects": {}}, 400, "INVALID", "unknown key 'projects'"),
        ({"model": "models:/sepsis/1", "project": {"aliases": [{"path": "/metrics"}]}}, 400, "INVALID", "Gyre's own"),
        ({"model": "models:/sepsis/1", "gate": {"protect": ["champion"]}}, 403, "NOTBLESSED", "no verdict"),
    ]
    for body, status, code, says in table:
        got, answer, _ = request(server, "POST", f"{API}/endpoints/sepsis/deploy", body)
        assert (got, answer["code"]) == (status, code) and says in answer["detail"], answer
    assert request(server, "POST", f"{API}/endpoints/a%20b/deploy", {"model": "models:/sepsis/1"})[0] == 400
    assert request(server, "POST", f"{API}/endpoints/sepsis/deploy", "[]")[0] == 400
    assert request(server, "GET", f"{API}/endpoints/sepsis")[0] == 404  # nothing of it was recorded
    serving.deploy(server, "models:/sepsis/1", name="one", project=PLAIN)
    got, answer, _ = request(server, "POST", f"{API}/endpoints/two/deploy", {"model": "models:/sepsis/1", "project": PLAIN})
    assert got == 409 and "alias path /predictions belongs to endpoint 'one'" in answer["detail"]
    assert request(server, "POST", f"{API}/endpoints/one/rollback", {})[0] == 409
    assert request(server, "POST", f"{API}/endpoints/one/rollback", {"revision": 7})[0] == 404
    for wrong in ("1", -1, 1.5, None, [1]):  # never taken for "the one before"
        assert request(server, "POST", f"{API}/endpoints/one/rollback", {"revision": wrong})[0] == 400, wrong


def test_the_gate(new_server, tmp_path):
    server = new_server()
    serving.register(server, files=NEVER)
    serving.register(server, files=ALWAYS)
    gate = {"protect": ["champion"], "metrics": []}
    path = f"{API}/endpoints/sepsis/deploy"
    with_gate = {"model": "models:/sepsis/1", "project": PLAIN, "gate": gate}
    assert request(server, "POST", path, with_gate)[1]["code"] == "NOTBLESSED"
    # Over the socket: verdicts refuse anonymous actors.
    api = SocketApi(server)
    verdict = api.judge(1, True)
    api.judge(2, False)
    one = must(server, "POST", path, with_gate)
    assert one["gated"] and one["verdict"] == verdict
    # gated once, gated for ever: leaving the gate out does not help
    status, answer, _ = request(server, "POST", path, {"model": "models:/sepsis/2", "project": PLAIN})
    assert (status, answer["code"]) == (403, "NOTBLESSED") and "NOT_BLESSED" in answer["detail"]
    assert history(server)[0] == 1
    api.judge(2, True)
    assert must(server, "POST", path, {"model": "models:/sepsis/2", "project": PLAIN})["revision"] == 2
    api.judge(1, False)  # a rollback asks the gate too
    assert request(server, "POST", f"{API}/endpoints/sepsis/rollback", {})[1]["code"] == "NOTBLESSED"
    assert predict(server, WELL)["revision"] == 2


@pytest.mark.parametrize("approval", ["required", {"four_eyes": True}])
def test_leaving_the_gate_out_leaves_no_approval_out(new_server, approval):
    server = new_server()
    serving.register(server, files=NEVER)
    serving.register(server, files=ALWAYS)
    api = SocketApi(server)
    path = f"{API}/endpoints/sepsis/deploy"
    gate = {"protect": ["champion"], "metrics": []}
    for version in (1, 2):
        api.judge(version, True)
    must(server, "POST", path, {"model": "models:/sepsis/1", "project": PLAIN, "gate": gate})
    strict = {"model": "models:/sepsis/2", "project": PLAIN, "gate": gate | {"approval": approval}}
    assert request(server, "POST", path, strict)[1]["code"] == "NOTBLESSED"
    must(server, "POST", f"{API}/endpoints/sepsis/undeploy", {})
    api.approve(2)
    must(server, "POST", path, strict)
    plain = {"model": "models:/sepsis/1", "project": PLAIN}
    status, answer, _ = request(server, "POST", path, plain)
    assert (status, answer["code"]) == (403, "NOTBLESSED") and "approved" in answer["detail"]
    # a rollback is asked what is asked now, and does not bring the older gate back
    assert request(server, "POST", f"{API}/endpoints/sepsis/rollback", {"revision": 1})[0] == 403
    api.approve(1)
    must(server, "POST", f"{API}/endpoints/sepsis/rollback", {"revision": 1})
    serving.register(server, files=serving.package(-7))
    api.judge(3, True)
    assert request(server, "POST", path, plain | {"model": "models:/sepsis/3"})[0] == 403
    assert predict(server, WELL)["model_version"] == "1"


def test_a_model_made_anew_is_not_what_was_blessed(new_server):
    """Deleted and created again, version 1 is another package: no rollback to it under the old verdict."""
    server = new_server()
    api = SocketApi(server)
    serving.register(server, files=NEVER)
    api.judge(1, True)
    first = serving.deploy(server, "models:/sepsis/1", project=PLAIN, gate={"metrics": ["auc"]})
    must(server, "POST", f"{API}/endpoints/sepsis/undeploy", {})
    must(server, "DELETE", serving.MLFLOW + "/registered-models/delete", {"name": "sepsis"})
    serving.register(server, files=ALWAYS, tags=[("gyre.data_sha256", "e" * 64)])
    status, answer, _ = request(server, "POST", f"{API}/endpoints/sepsis/rollback", {})
    assert status == 404 and first["digest"][:12] in answer["detail"], answer
    # The same bytes under another name are what was blessed.
    serving.register(server, name="again", files=NEVER)
    back = must(server, "POST", f"{API}/endpoints/sepsis/rollback", {})
    assert (back["digest"], back["model"], back["version"]) == (first["digest"], "again", 1)
    assert predict(server, SICK)["isSepsis"] == 0


def test_trace_of_a_model_made_anew(new_server):
    server = new_server()
    for data in ("d" * 64, "e" * 64):
        _, run_id = serving.register(server, tags=[("gyre.data_sha256", data)])
        if data[0] == "d":
            must(server, "DELETE", serving.MLFLOW + "/registered-models/delete", {"name": "sepsis"})
    serving.deploy(server, "models:/sepsis/1")
    answer = predict(server, {"hr": 104, "resp": 22, "temp": 38.9})
    trace = must(server, "GET", f"{API}/trace/{answer['prediction_id']}")
    assert (trace["run_id"], trace["data_sha256"]) == (run_id, "e" * 64)


def test_trace_of_data_made_of_many_files(new_server):
    """A step that read more files than a trace shows edges: the nearest are shown, nothing fails."""
    server = new_server()
    data = must(server, "POST", f"{API}/objects", "made of many")["sha256"]
    must(server, "POST", f"{API}/datasets", {"name": "images", "sha256": data, "md5": "0" * 32, "size": 12, "rows": 1,
                                             "read": 1, "accepted": 1, "dead": 0, "schema": {"columns": []}, "source": "x"})
    run = must(server, "POST", f"{API}/flow/runs", {"project": "p", "code_revision": "r"})["id"]
    files = [{"path": f"i/{i}", "md5": "m", "size": 1, "sha256": f"{i:064x}"} for i in range(1200)]
    must(server, "PUT", f"{API}/flow/runs/{run}/steps/train",
         {"status": "done", "position": 0, "cmd": "x", "deps": files,
          "outs": [{"path": "o", "md5": "m", "size": 12, "sha256": data}]})
    serving.register(server, tags=[("gyre.data_sha256", data), ("gyre.code_revision", "c")])
    must(server, "POST", f"{API}/endpoints/sepsis/deploy", {"model": "models:/sepsis/1"})
    answer = must(server, "POST", "/v2/models/sepsis/infer", v2([[104, 22, 38.9]]))
    trace = must(server, "GET", f"{API}/trace/{answer['parameters']['prediction_id']}")
    assert trace["data_sha256"] == data and 0 < len(trace["lineage"]) <= 1000


@pytest.mark.parametrize("change", ["rename", "delete"])
def test_restart_serves_what_was_renamed_or_deleted(new_server, tmp_path, change):
    home = tmp_path / "home"
    server = new_server(home=home)
    serving.serve(server)
    if change == "rename":
        must(server, "POST", serving.MLFLOW + "/registered-models/rename", {"name": "sepsis", "new_name": "other"})
    else:
        version = {"name": "sepsis", "version": "1"}
        for path, body in (("model-versions", version), ("registered-models", {"name": "sepsis"})):
            status, answer, _ = request(server, "DELETE", f"{serving.MLFLOW}/{path}/delete", body)
            assert (status, answer["error_code"]) == (409, "RESOURCE_CONFLICT") and "endpoint 'sepsis'" in answer["message"]
    before = predict(server, SICK)
    server.stop()
    if change == "delete":  # as a database may be that older programs wrote to, which let it go
        with sqlite3.connect(home / "gyre.db") as db:
            db.execute("UPDATE model_versions SET deleted = 1")
        db.close()
    after = predict(new_server(home=home), SICK)
    assert [after[k] for k in ("isSepsis", "model_version", "revision")] == [before[k] for k in ("isSepsis", "model_version", "revision")]


class SocketApi:
    """The server's unix socket, where the caller has a name."""

    def __init__(self, server):
        self.path = str(server.home / "sock")

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("localhost", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self.path)
        connection.request(method, path, json.dumps(body or {}), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        data = json.loads(answer.read())
        connection.close()
        assert answer.status in (200, 201), data
        return data

    def judge(self, version, blessed):
        """A verdict on the version's package; its id."""
        digest = self.call("GET", f"{API}/models/sepsis/versions/{version}")["digest"]
        return self.call("POST", f"{API}/verdicts",
                         {"model_digest": digest, "model_name": "sepsis", "model_version": str(version), "gate": "sepsis",
                          "blessed": blessed, "checks": []})["id"]

    def approve(self, version):
        digest = self.call("GET", f"{API}/models/sepsis/versions/{version}")["digest"]
        asked = self.call("POST", f"{API}/approvals", {"model_digest": digest, "gate": "sepsis"})
        self.call("POST", f"{API}/approvals/{asked['id']}/approve", {"reason": "seen"})


def test_trace(new_server):
    server = new_server()
    data, code = "d" * 64, "c0ffee" * 6 + "abcd"
    version, run_id = serving.register(server, tags=[("gyre.data_sha256", data), ("gyre.code_revision", code)])
    revision = serving.deploy(server, f"models:/sepsis/{version}")
    answer = predict(server, {"hr": 104, "resp": 22, "temp": 38.9})
    trace = must(server, "GET", f"{API}/trace/{answer['prediction_id']}")
    assert trace["prediction_id"] == answer["prediction_id"] and trace["status"] == 200
    assert (trace["endpoint"], trace["revision"], trace["model"], trace["model_version"]) == ("sepsis", 1, "sepsis", "1")
    assert (trace["digest"], trace["run_id"]) == (revision["digest"], run_id)
    assert (trace["data_sha256"], trace["code_revision"]) == (data, code)
    assert trace["inputs"] == {"HR": 104, "Resp": 22, "Temp": 38.9, "WBC": None}
    assert trace["outputs"] == {"prediction": 1, "probability": None} and len(trace["model_outputs"]) == 1
    assert trace["rules"] == {"name": "sirs", "reason": "SIRS: 2 or more of 4", "true": 3, "evaluated": 3, "of": 4}
    assert {"from": "model:sepsis/1", "rel": "deployed", "to": "revision:sepsis/1"}.items() <= trace["lineage"][0].items()
    assert trace["latency_us"] > 0
    # an old revision stays traceable after the endpoint has moved on
    serving.deploy(server, f"models:/sepsis/{version}", project=PLAIN)
    assert must(server, "GET", f"{API}/trace/{answer['prediction_id']}")["rules"]["name"] == "sirs"
    status, problem, _ = request(server, "GET", f"{API}/trace/01932f4e-7c1a-7000-8000-0123456789ab")
    assert (status, problem["code"]) == (404, "NOTFOUND") and "prediction_id" in problem["hint"]
    assert request(server, "GET", f"{API}/trace/nonsense")[0] == 400


@pytest.mark.parametrize("share", [0, 1])
def test_the_model_is_judged_where_a_rule_answers(new_server, share):
    """rule_shadow: the log knows what the model said, the answer does not."""
    server = new_server()
    version, _ = serving.register(server)
    revision = serving.deploy(server, f"models:/sepsis/{version}", project=serving.PROJECT | {"rule_shadow": share})
    assert revision["config"]["rule_shadow"] == share
    answer = must(server, "POST", "/v2/models/sepsis/infer", v2([[104, 22, 38.9]]))
    assert serving.outputs(answer) == {"prediction": [1], "probability": [None], "rule": ["sirs"]}
    trace = must(server, "GET", f"{API}/trace/{answer['parameters']['prediction_id']}")
    assert trace["outputs"] == {"prediction": 1, "probability": None}
    assert trace["model_outputs"] == [pytest.approx(1 / (1 + math.exp(9 - 10.4)))] if share else [None]
    text = request(server, "GET", "/metrics")[1].decode()
    assert f'\ngyre_rule_sampled_total{{endpoint="sepsis",version="1"}} {share}\n' in text
    status, problem, _ = request(server, "POST", f"{API}/endpoints/sepsis/deploy",
                                 {"model": "models:/sepsis/1", "project": {"rule_shadow": 2}})
    assert status == 400 and "rule_shadow" in problem["detail"]


def test_restart_serves_the_same(new_server, tmp_path):
    home = tmp_path / "home"
    server = new_server(home=home)
    serving.serve(server)
    before = predict(server, SICK)
    server.stop()
    again = new_server(home=home)
    after = predict(again, SICK)
    assert [after[k] for k in ("isSepsis", "model_version", "revision")] == [before[k] for k in ("isSepsis", "model_version", "revision")]
    assert must(again, "GET", f"{API}/trace/{before['prediction_id']}")["revision"] == 1


def test_killed_server_loses_no_prediction(new_server, tmp_path):
    """kill -9 under load: every answered prediction is in the log after the restart, each once."""
    home = tmp_path / "home"
    acknowledged = []
    for round_number in range(3):
        server = new_server(home=home)
        if round_number == 0:
            serving.serve(server)
        count, stop = threading.Event(), threading.Event()

        def client():
            c = serving.Connection(server)
            try:
                for i in range(100000):
                    status, answer = c.ask(SICK)
                    assert status == 200
                    acknowledged.append(answer["prediction_id"])
                    if i == 300 + 100 * round_number:
                        count.set()
            except OSError:
                pass
            except Exception:
                if not stop.is_set():
                    raise

        threads = [threading.Thread(target=client) for _ in range(3)]
        for t in threads:
            t.start()
        assert count.wait(60)
        stop.set()
        server.kill()
        for t in threads:
            t.join()
        trace = support.run_gyre("trace", acknowledged[-1], "--json", cwd=tmp_path, env={"GYRE_HOME": str(home)})
        assert trace.returncode == 0, trace.stderr  # without a server, out of the ring that was left
    server = new_server(home=home)
    for prediction_id in acknowledged[::7] + acknowledged[-5:]:
        assert must(server, "GET", f"{API}/trace/{prediction_id}")["endpoint"] == "sepsis"
    text = request(server, "GET", "/metrics")[1].decode()
    assert "\ngyre_log_holes 0\n" in text and "\ngyre_log_damaged 0\n" in text
    assert len(set(acknowledged)) == len(acknowledged)


def test_deploys_under_load_drop_nothing(new_server):
    server = new_server()
    serving.register(server, files=NEVER)
    serving.register(server, files=ALWAYS)
    serving.deploy(server, "models:/sepsis/1", project=PLAIN)
    stop, wrong, answers = threading.Event(), [], []

    def client():
        c = serving.Connection(server)
        while not stop.is_set():
            status, answer = c.ask(SICK)
            if status != 200 or answer["isSepsis"] != int(answer["model_version"]) - 1:
                wrong.append((status, answer))
            answers.append(answer.get("revision"))
        c.close()

    threads = [threading.Thread(target=client) for _ in range(4)]
    for t in threads:
        t.start()
    for i in range(20):
        revision = serving.deploy(server, f"models:/sepsis/{1 + (i + 1) % 2}", project=PLAIN)["revision"]
        # when the deploy has answered, nobody is served by the one before
        assert predict(server, SICK)["revision"] == revision
    stop.set()
    for t in threads:
        t.join()
    assert not wrong, wrong[:3]
    assert len(set(answers)) > 5


def test_each_answer_waits_for_the_disk(new_server):
    server = new_server(args=["--log-sync", "0"])
    serving.serve(server)
    for _ in range(5):
        answer = predict(server, SICK)
        assert must(server, "GET", f"{API}/trace/{answer['prediction_id']}")["revision"] == 1
    text = request(server, "GET", "/metrics")[1].decode()
    syncs = [float(x.split()[1]) for x in text.splitlines() if x.startswith("gyre_log_syncs_total ")]
    assert syncs[0] >= 5


def test_a_full_disk_makes_it_unready(new_server):
    server = new_server(env={"GYRE_DISK_MIN_MB": str(1 << 40)})
    for path in ["/v2/health/ready", f"{API}/health/ready"]:
        status, answer, _ = request(server, "GET", path)
        assert (status, answer["ready"]) == (503, False) and answer["reason"] == "the disk is nearly full"
    assert request(server, "GET", f"{API}/health/live")[0] == 200
    assert "\ngyre_ready 0\n" in request(server, "GET", "/metrics")[1].decode()


def test_commands(new_server, tmp_path):
    server = new_server()
    serving.register(server)
    project = tmp_path / "project"
    project.mkdir()
    (project / "gyre.yaml").write_text(
        "name: sepsis\nendpoints:\n  sepsis:\n    model: models:/sepsis/1\n"
        "    aliases: [{path: /predictions, input: {HR: hr, Resp: resp, Temp: temp}, output: {isSepsis: prediction}}]\n"
        "    rules:\n      - {name: sirs, at_least: 2, of: [\"HR > 90\", \"Resp > 20\", \"WBC > 12\"],\n"
        "         then: {prediction: 1, skip_model: true, reason: signs}}\n    review: {policy: all}\n")
    (project / "schema.yaml").write_text("columns:\n" + "".join(
        f"  - {{name: {n}, type: float}}\n" for n in ["HR", "Resp", "Temp", "WBC"]) + "  - {name: isSepsis, type: int, role: label}\n")
    env = {"GYRE_HOME": str(server.home)}

    def run(*args):
        return support.run_json(*args, cwd=project, env=env)

    revision = run("endpoint", "deploy")
    assert (revision["endpoint"], revision["revision"], revision["model"], revision["version"]) == ("sepsis", 1, "sepsis", 1)
    assert revision["config"]["columns"] == ["HR", "Resp", "Temp", "WBC"] and revision["config"]["review"] == {"policy": "all"}
    assert [r["endpoint"] for r in run("endpoint", "list")["endpoints"]] == ["sepsis"]
    assert run("endpoint", "show", "sepsis")["revision"] == 1
    tested = run("endpoint", "test", "sepsis")
    assert serving.outputs(tested)["prediction"] == [1]
    assert serving.outputs(run("endpoint", "test", "sepsis", "--row", '{"HR":70,"Resp":15,"Temp":37}'))["prediction"] == [0]
    assert run("trace", tested["parameters"]["prediction_id"])["inputs"]["HR"] == 104
    assert run("endpoint", "deploy", "sepsis", "--model", "models:/sepsis/1")["revision"] == 2
    assert run("endpoint", "rollback", "sepsis", "--to", "1")["copied_from"] == 1
    plain = [support.run_gyre(*args, cwd=project, env=env) for args in
             [("endpoint", "list"), ("endpoint", "show", "sepsis"), ("trace", tested["parameters"]["prediction_id"], "--lineage"),
              ("endpoint", "undeploy", "sepsis")]]
    assert all(p.returncode == 0 for p in plain), plain
    assert "sepsis" in plain[0].stdout and "* 3" in plain[1].stdout and "revision:sepsis/1" in plain[2].stdout
    assert support.run_gyre("endpoint", "show", "sepsis", cwd=project, env=env).stdout.startswith("sepsis is not served")
    assert support.run_gyre("endpoint", "show", "nothing", cwd=project, env=env).returncode == 4
    assert support.run_gyre("trace", "nothing", cwd=project, env=env).returncode == 3
    # in-process: recorded now, served by the next server
    server.stop()
    assert run("endpoint", "deploy")["revision"] == 4
    refused = support.run_gyre("endpoint", "test", "sepsis", cwd=project, env=env)
    assert refused.returncode != 0 and "gyre server" in refused.stderr
    again = new_server(home=server.home)
    assert predict(again, SICK)["revision"] == 4


def test_grpc_tells_the_same_index(tmp_path):
    """What should be served and could not be loaded was in HTTP's index alone."""
    home = support.Server(tmp_path / "home").start()
    try:
        serving.serve(home)
        files = serving.package()
        version, _ = serving.register(home, "lost", {**files, "MLmodel": files["MLmodel"] + "# of the lost one\n"})
        serving.deploy(home, f"models:/lost/{version}", "lost", {}, columns=())
        home.stop()
        lost = [p for p in home.home.rglob("*") if p.is_file() and p.suffix != ".db" and b"# of the lost one" in p.read_bytes()]
        assert lost
        for path in lost:
            path.unlink()
        home.start()
        index = must(home, "POST", "/v2/repository/index", {})
        assert {(m["name"], m["state"]) for m in index} == {("sepsis", "READY"), ("lost", "UNAVAILABLE")}
        for ready, names in ((b"", {b"sepsis", b"lost"}), (b"\x10\x01", {b"sepsis"})):
            status, answer, _ = request(home, "POST", "/inference.GRPCInferenceService/RepositoryIndex", ready,
                                        headers={"Content-Type": "application/grpc"})
            assert status == 200 and {n for n in (b"sepsis", b"lost") if n in answer} == names
            assert (b"could not be loaded" in answer) == (b"lost" in names)
    finally:
        home.stop()
