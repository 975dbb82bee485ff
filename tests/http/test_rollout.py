# SPDX-License-Identifier: Apache-2.0
"""Canary, shadow, promote, rollback: who answers, what is logged, what is refused, what comes back."""

import collections
import hashlib
import http.client
import json
import math
import re
import shutil
import time

import pytest
import serving
import support
from serving import API, ask_anyhow, must, request, v2
from test_endpoints import ALWAYS, NEVER, PLAIN, SICK, WELL, SocketApi

pytestmark = pytest.mark.tsan

BASE = f"{API}/endpoints/sepsis"
INFER = "/v2/models/sepsis/infer"


@pytest.fixture
def server(new_server):
    """Version 1 always says 0, version 2 always 1, version 3 asks HR; 1 is served."""
    server = new_server()
    for files in (NEVER, ALWAYS, serving.package()):
        serving.register(server, files=files)
    serving.deploy(server, "models:/sepsis/1", project=PLAIN)
    return server


def canary(server, ref="models:/sepsis/2", share=0.1, **more):
    return must(server, "POST", f"{BASE}/deploy", {"model": ref, "canary": share} | more)


def change(server, verb, **body):
    return must(server, "POST", f"{BASE}/{verb}", body)


def refused(server, verb, status, code, says="", **body):
    got, answer = ask_anyhow(server, "POST", f"{BASE}/{verb}", body)
    assert (got, answer["code"]) == (status, code) and says in answer["detail"], answer
    return answer


def weights(revision):
    return [(w["version"], w["role"], w["weight"]) for w in revision["config"]["weights"]]


def ask(server, headers=None, path="/predictions", body=None):
    status, answer, got = request(server, "POST", path, body or SICK, headers)
    assert status == 200, answer
    return answer, got


def versions(server, n, **kwargs):
    return collections.Counter(ask(server, **kwargs)[0]["model_version"] for _ in range(n))


def metric(server, name, **labels):
    """The sum of a metric over all its labels that match."""
    total = 0
    for line in request(server, "GET", "/metrics")[1].decode().splitlines():
        if line.startswith(name + "{") and all(f'{k}="{v}"' in line for k, v in labels.items()):
            total += float(line.rsplit(" ", 1)[1])
    return total


def outputs_bytes(server, body=SICK, path=INFER):
    """The bytes of the member `outputs`, as they were sent."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", path, json.dumps(v2([[body["hr"], body["resp"], body["temp"]]])))
    text = connection.getresponse().read()
    connection.close()
    return text[text.index(b'"outputs":'):]


def test_canary_promote_rollback(server):
    before = outputs_bytes(server)
    two = canary(server, share=0.25, reason="try it")
    assert (two["revision"], two["kind"], two["version"], two["reason"]) == (2, "canary", 1, "try it")
    assert weights(two) == [(1, "stable", 0.75), (2, "canary", 0.25)]
    seen = collections.Counter()
    for _ in range(400):
        answer, headers = ask(server)
        assert answer["revision"] == 2 and headers["Gyre-Model-Version"] == answer["model_version"]
        assert answer["isSepsis"] == int(answer["model_version"]) - 1
        seen[answer["model_version"]] += 1
    assert 55 <= seen["2"] <= 145 and seen["1"] + seen["2"] == 400  # 100, five standard deviations
    assert metric(server, "gyre_inference_requests_total", version="2", outcome="ok") == seen["2"]
    assert metric(server, "gyre_endpoint_weight", version="2", role="canary") == 0.25

    three = change(server, "traffic", canary=0.9)
    assert (three["revision"], three["kind"], weights(three)) == (3, "traffic", [(1, "stable", 0.1), (2, "canary", 0.9)])
    assert versions(server, 60)["2"] > 30
    four = change(server, "promote", reason="good")
    assert (four["kind"], four["version"], weights(four)) == ("promote", 2, [(2, "stable", 1)])
    assert versions(server, 20) == {"2": 20}
    five = change(server, "rollback", reason="after all")
    assert (five["kind"], five["copied_from"], weights(five)) == ("rollback", 1, [(1, "stable", 1)])
    assert versions(server, 20) == {"1": 20} and outputs_bytes(server) == before
    kinds = [e["kind"] for e in must(server, "GET", f"{API}/events?kind=endpoint")["events"]]
    assert kinds == ["endpoint.deployed", "endpoint.canary", "endpoint.traffic", "endpoint.promoted", "endpoint.rolled_back"]
    event = must(server, "GET", f"{API}/events?kind=endpoint.promoted")["events"][0]
    assert event["data"]["reason"] == "good" and event["data"]["weights"][0]["version"] == 2
    history = must(server, "GET", BASE)["revisions"]
    assert [r["reason"] for r in history] == ["after all", "good", None, "try it", None]


def test_the_rollback_of_a_canary_is_what_was_before(server):
    before, config = outputs_bytes(server), must(server, "GET", BASE)["revisions"][0]["config"]
    canary(server, share=1)
    assert versions(server, 10) == {"2": 10}
    change(server, "traffic", canary=0.5)
    canary(server, "models:/sepsis/3", share=0.5)  # another canary takes its place
    back = change(server, "rollback")
    assert back["copied_from"] == 1 and back["config"] == config and outputs_bytes(server) == before
    # going back again would be going back to the same
    refused(server, "rollback", 409, "CONFLICT", "no earlier revision")
    # a version served alone in between is what the next rollback finds
    serving.deploy(server, "models:/sepsis/3", project=PLAIN)
    canary(server)
    assert change(server, "rollback")["version"] == 3
    assert change(server, "rollback")["version"] == 1
    assert change(server, "rollback", revision=6)["version"] == 3


def test_versions_can_be_named(server):
    canary(server, share=0)
    assert versions(server, 20) == {"1": 20}
    for version in ("1", "2"):
        answer, headers = ask(server, path=f"/v2/models/sepsis/versions/{version}/infer", body=v2([[70, 15, 37]]))
        assert answer["model_version"] == version == headers["Gyre-Model-Version"]
        assert serving.outputs(answer)["prediction"] == [int(version) - 1]
        about = must(server, "GET", f"/v2/models/sepsis/versions/{version}")
        assert about["versions"] == ["1", "2"] and about["properties"]["revision"] == "2"
        assert must(server, "GET", f"/v2/models/sepsis/versions/{version}/ready")["ready"]
    assert must(server, "GET", "/v2/models/sepsis")["versions"] == ["1", "2"]
    assert request(server, "POST", "/v2/models/sepsis/versions/3/infer", v2([[70, 15, 37]]))[0] == 404
    change(server, "promote")
    assert request(server, "POST", "/v2/models/sepsis/versions/1/infer", v2([[70, 15, 37]]))[0] == 404


def test_a_sticky_key_keeps_its_version(server):
    canary(server, share=0.3)
    keys = [f"patient-{i}" for i in range(60)]

    def who(key):
        got = versions(server, 3, headers={"Gyre-Sticky-Key": key})
        assert len(got) == 1, (key, got)
        return next(iter(got))

    first = {key: who(key) for key in keys}
    assert 5 <= sum(v == "2" for v in first.values()) <= 35
    change(server, "traffic", canary=0.7)  # who was answered by the canary stays with it
    then = {key: who(key) for key in keys}
    assert all(then[key] == "2" for key in keys if first[key] == "2")
    assert sum(v == "2" for v in then.values()) > sum(v == "2" for v in first.values())
    # rows that go to the pool are drawn by the same key
    rows = v2([[70, 15, 37]] * 3000)
    for key in keys[:6]:
        assert ask(server, {"Gyre-Sticky-Key": key}, INFER, rows)[0]["model_version"] == then[key]


def test_shadow(server):
    before = outputs_bytes(server)
    two = change(server, "shadow", model="models:/sepsis/2", reason="look first")
    assert (two["kind"], weights(two)) == ("shadow", [(1, "stable", 1), (2, "shadow", 0)])
    assert outputs_bytes(server) == before
    answer, _ = ask(server)
    assert (answer["model_version"], answer["isSepsis"]) == ("1", 0)
    trace = must(server, "GET", f"{API}/trace/{answer['prediction_id']}")
    assert trace["outputs"]["prediction"] == 0 and trace["shadow"] == {"model_version": "2", "outputs": [1, 1]}
    assert metric(server, "gyre_shadow_rows_total", version="2") == 2 == metric(server, "gyre_shadow_differs_total", version="2")
    assert metric(server, "gyre_inference_requests_total", version="2") == 0
    assert must(server, "GET", "/v2/models/sepsis")["versions"] == ["1"]
    assert request(server, "POST", "/v2/models/sepsis/versions/2/infer", v2([[70, 15, 37]]))[0] == 404
    # beside a canary it shadows both; many rows are scored off the loop
    canary(server, "models:/sepsis/3", share=0.5)
    many, _ = ask(server, path=INFER, body=v2([[70, 15, 37]] * 5000))
    trace = must(server, "GET", f"{API}/trace/{many['parameters']['prediction_id']}")
    assert all(row["shadow"]["outputs"] == [1, 1] for row in trace["predictions"])
    assert metric(server, "gyre_shadow_rows_total", version="2") == 5002
    # promoting the canary keeps the shadow; a shadow that becomes the canary is none any more
    assert weights(change(server, "promote")) == [(3, "stable", 1), (2, "shadow", 0)]
    assert weights(canary(server)) == [(3, "stable", 0.9), (2, "canary", 0.1)]
    refused(server, "shadow", 409, "CONFLICT", "no shadow", off=True)
    change(server, "shadow", model="models:/sepsis/1")
    assert weights(change(server, "shadow", off=True)) == [(3, "stable", 0.9), (2, "canary", 0.1)]


def test_a_shadow_answers_where_a_rule_does(server):
    serving.deploy(server, "models:/sepsis/1", project=serving.PROJECT | {"rule_shadow": 1})
    change(server, "shadow", model="models:/sepsis/3")
    answer, _ = ask(server, body={"hr": 104, "resp": 22, "temp": 38.9})
    trace = must(server, "GET", f"{API}/trace/{answer['prediction_id']}")
    assert trace["rules"]["name"] == "sirs"
    # the rule answers for both; what the models say is logged
    assert trace["model_outputs"] == [0]
    assert trace["shadow"]["outputs"] == [1, pytest.approx(1 / (1 + math.exp(9 - 10.4)))]
    assert metric(server, "gyre_shadow_differs_total", version="3") == 0


def test_trace_names_the_version_that_answered(server):
    canary(server, share=1)
    answer, _ = ask(server)
    trace = must(server, "GET", f"{API}/trace/{answer['prediction_id']}")
    weights_now = must(server, "GET", BASE)["revisions"][0]["config"]["weights"]
    assert (trace["variant"], trace["model_version"]) == ("canary", "2")
    assert (trace["digest"], trace["run_id"]) == (weights_now[1]["digest"], weights_now[1]["run_id"])
    deployed = {e["from"] for e in trace["lineage"] if e["to"] == "revision:sepsis/2"}
    assert {"model:sepsis/1", "model:sepsis/2"} <= deployed


def test_refusals(server):
    deploy = {"model": "models:/sepsis/2", "canary": 0.1}
    for share in (-0.1, 1.1, "10%", [0.1]):
        refused(server, "deploy", 400, "INVALID", "canary", **(deploy | {"canary": share}))
    refused(server, "deploy", 400, "INVALID", "answers already", model="models:/sepsis/1", canary=0.1)
    refused(server, "shadow", 400, "INVALID", "answers already", model="models:/sepsis/1")
    refused(server, "shadow", 404, "NOTFOUND", model="models:/sepsis/9")
    refused(server, "shadow", 400, "INVALID", "model")
    refused(server, "deploy", 400, "INVALID", "'rules' is not what is served", **deploy, project={"rules": [serving.SIRS]})
    refused(server, "deploy", 400, "INVALID", "'threshold' is not what is served", **deploy, project={"threshold": 0.3})
    refused(server, "deploy", 400, "INVALID", "unknown key 'min_label'", **deploy, project={"rollout": {"min_label": 3}})
    refused(server, "deploy", 400, "INVALID", "promote", **deploy, project={"rollout": {"promote": "yes"}})
    refused(server, "deploy", 400, "INVALID", "'reason' must be", **deploy, reason=7)
    for verb in ("traffic", "promote"):
        refused(server, verb, 409, "CONFLICT", "has no canary", canary=0.5)
    canary(server, project=PLAIN | {"rollout": {"min_labels": 7}})
    refused(server, "traffic", 400, "INVALID", canary=2)
    refused(server, "traffic", 400, "INVALID", "canary")
    refused(server, "shadow", 400, "INVALID", "canary and shadow", model="models:/sepsis/2")
    assert must(server, "GET", BASE)["revision"] == 2  # nothing of it was recorded
    must(server, "POST", f"{BASE}/undeploy", {})
    refused(server, "deploy", 404, "NOTFOUND", "undeployed", **deploy)
    refused(server, "promote", 404, "NOTFOUND", "undeployed")
    got, answer, _ = request(server, "POST", f"{API}/endpoints/none/deploy", deploy)
    assert got == 404 and "without one" in answer["hint"]


def other_package(**changes):
    files = serving.package()
    model = json.loads(files["model.json"])
    for key, value in changes.items():
        model[key] = value
    files["model.json"] = json.dumps(model)
    return files


def test_variants_must_agree(server):
    model = json.loads(serving.package()["model.json"])
    serving.deploy(server, "models:/sepsis/1", project={})
    wrong = [
        ("their task", {"task": "regression", "classes": [], "learner": model["learner"] | {"name": "linear"}}),
        ("their classes", {"classes": ["no", "yes"]}),
        ("their inputs", {"inputs": [model["inputs"][1], model["inputs"][0], model["inputs"][2]]}),
        ("their inputs", {"inputs": model["inputs"][:2], "features": model["features"][:2],
                          "learner": model["learner"] | {"values": [0.1, 0, -9]}}),
    ]
    for says, changes in wrong:
        version, _ = serving.register(server, files=other_package(**changes))
        for verb, more in (("deploy", {"canary": 0.1}), ("shadow", {})):
            refused(server, verb, 400, "INVALID", says, model=f"models:/sepsis/{version}", **more)
    # another model of the same number can not be told apart in records
    serving.register(server, name="other", files=ALWAYS)
    refused(server, "deploy", 400, "INVALID", "another number", model="models:/other/1", canary=0.1)


def test_each_variant_has_its_own_threshold(server):
    version, _ = serving.register(server, files=other_package(threshold=0.9))
    serving.deploy(server, "models:/sepsis/3", project=PLAIN)
    two = canary(server, f"models:/sepsis/{version}", share=0.5)
    assert [w["threshold"] for w in two["config"]["weights"]] == [0.5, 0.9]
    row = {"hr": 100, "resp": 15, "temp": 37}  # .73
    for number, want in ((3, 1), (version, 0)):
        answer = must(server, "POST", f"/v2/models/sepsis/versions/{number}/infer", v2([list(row.values())]))
        assert serving.outputs(answer)["prediction"] == [want]
    assert change(server, "promote")["config"]["threshold"] == 0.9
    assert change(server, "rollback")["config"]["threshold"] == 0.5
    # one that gyre.yaml sets is everybody's
    serving.deploy(server, "models:/sepsis/3", project=PLAIN | {"threshold": 0.95})
    two = canary(server, f"models:/sepsis/{version}", share=0.5)
    assert [w["threshold"] for w in two["config"]["weights"]] == [0.95, 0.95]


def test_the_gate(new_server):
    """A canary must be blessed, a shadow need not; promote asks again; a rollback to what is served as stable does not."""
    server = new_server()
    for files in (NEVER, ALWAYS):
        serving.register(server, files=files)
    api = SocketApi(server)
    first = api.judge(1, True)
    serving.deploy(server, "models:/sepsis/1", project=PLAIN, gate={"metrics": ["auc"]})
    refused(server, "deploy", 403, "NOTBLESSED", "no verdict", model="models:/sepsis/2", canary=0.1)
    assert must(server, "GET", BASE)["revision"] == 1
    assert change(server, "shadow", model="models:/sepsis/2")["gated"]
    refused(server, "deploy", 403, "NOTBLESSED", model="models:/sepsis/2", canary=0.1)
    second = api.judge(2, True)
    two = canary(server)
    assert two["gated"] and [w["verdict"] for w in two["config"]["weights"]] == [first, second]
    answer, _ = ask(server, path="/v2/models/sepsis/versions/2/infer", body=v2([[70, 15, 37]]))
    assert must(server, "GET", f"{API}/trace/{answer['parameters']['prediction_id']}")["verdict"] == second
    api.judge(2, False)
    refused(server, "promote", 403, "NOTBLESSED", "NOT_BLESSED")
    refused(server, "traffic", 403, "NOTBLESSED", canary=1)
    api.judge(1, False)  # what is served stays served, so a bad canary can always be taken back
    assert change(server, "rollback")["version"] == 1
    # an approval that was asked for once is asked for a canary, too
    api.judge(1, True), api.judge(2, True)
    api.approve(1)
    serving.deploy(server, "models:/sepsis/1", project=PLAIN, gate={"metrics": ["auc"], "approval": "required"})
    refused(server, "deploy", 403, "NOTBLESSED", "approved", model="models:/sepsis/2", canary=0.1)
    refused(server, "deploy", 403, "NOTBLESSED", "approved", model="models:/sepsis/2")
    api.approve(2)
    canary(server)
    for version in ("1", "2"):
        answer, _ = ask(server, path=f"/v2/models/sepsis/versions/{version}/infer", body=v2([[70, 15, 37]]))
        assert must(server, "GET", f"{API}/trace/{answer['parameters']['prediction_id']}")["approver"]
    assert change(server, "promote")["version"] == 2


def test_promoting_moves_the_alias(new_server):
    """rollout.promote_alias: endpoint and alias move together or not at all, with the same reason."""
    server = new_server()
    for files in (NEVER, ALWAYS):
        serving.register(server, files=files)
    api = SocketApi(server)
    project = dict(PLAIN, rollout={"promote_alias": "champion"})
    serving.deploy(server, "models:/sepsis/1", project=project)
    canary(server)
    # A gate of the alias's own refuses: then the endpoint stays, too.
    api.call("POST", f"{API}/gate/protect", {"model": "sepsis", "alias": "champion", "gate": "other"})
    refused(server, "promote", 403, "NOTBLESSED", "gate 'other'")
    assert must(server, "GET", BASE)["revision"] == 2
    digest = must(server, "GET", f"{API}/models/sepsis/versions/2")["digest"]
    for gate in ("other", "sepsis"):
        api.call("POST", f"{API}/verdicts", {"model_digest": digest, "gate": gate, "blessed": True, "checks": []})
    assert change(server, "promote", reason="better on ward 3")["version"] == 2
    assert must(server, "GET", f"{API}/models/resolve?ref=sepsis@champion")["version"] == 2
    history = must(server, "GET", f"{API}/models/sepsis/history")["history"]
    assert {(e["kind"], e["action"], e["to"]) for e in history if e["reason"] == "better on ward 3"} == \
        {("alias", "promoted", "2"), ("endpoint", "promote", "2")}
    refused(server, "deploy", 400, "INVALID", "reserved", model="models:/sepsis/1",
            project=dict(PLAIN, rollout={"promote_alias": "latest"}))


def test_a_package_is_loaded_once(server):
    """Changes of traffic need the disk for nothing: neither the cache of packages nor the objects are read again."""
    canary(server)
    cache = server.home / "cache" / "models"
    shutil.rmtree(cache)
    objects = server.home / "objects"
    objects.rename(server.home / "objects.away")
    try:
        change(server, "traffic", canary=0.5)
        change(server, "promote")
        assert versions(server, 5) == {"2": 5}
    finally:
        (server.home / "objects.away").rename(objects)
    assert change(server, "rollback")["version"] == 1  # version 1 was let go: it is loaded again


def test_restart_serves_canary_and_shadow(new_server, tmp_path):
    home = tmp_path / "home"
    server = new_server(home=home)
    for files in (NEVER, ALWAYS, serving.package()):
        serving.register(server, files=files)
    serving.deploy(server, "models:/sepsis/1", project=PLAIN)
    canary(server, share=0.5)
    change(server, "shadow", model="models:/sepsis/3")
    server.kill()
    again = new_server(home=home)
    assert must(again, "GET", "/v2/models/sepsis")["versions"] == ["1", "2"]
    assert len(versions(again, 40)) == 2
    answer, _ = ask(again)
    assert must(again, "GET", f"{API}/trace/{answer['prediction_id']}")["shadow"]["model_version"] == "3"
    assert change(again, "promote")["version"] == 2


def test_a_canary_that_is_lost_takes_nobody_with_it(new_server, tmp_path):
    """The package of the canary is damaged on the disk: after a restart the stable version answers alone."""
    home = tmp_path / "home"
    server = new_server(home=home)
    for files in (NEVER, ALWAYS):
        serving.register(server, files=files)
    serving.deploy(server, "models:/sepsis/1", project=PLAIN)
    canary(server, share=0.5)
    server.stop()
    shutil.rmtree(home / "cache" / "models")
    digest = hashlib.sha256(ALWAYS["model.json"].encode()).hexdigest()
    lost = [p for p in (home / "objects").rglob("*") if p.is_file() and digest.endswith(p.name)]
    assert len(lost) == 1, lost
    lost[0].unlink()
    again = new_server(home=home)
    assert versions(again, 20) == {"1": 20}
    assert must(again, "GET", "/v2/models/sepsis")["versions"] == ["1"]
    assert change(again, "rollback")["version"] == 1


def test_undeploy_with_a_canary(server):
    canary(server, share=0.5)
    must(server, "POST", f"{BASE}/undeploy", {})
    assert request(server, "POST", INFER, v2([[70, 15, 37]]))[0] == 404
    assert request(server, "POST", "/v2/models/sepsis/versions/2/infer", v2([[70, 15, 37]]))[0] == 404
    back = change(server, "rollback")  # the last one there was
    assert (back["copied_from"], len(back["config"]["weights"])) == (2, 2)
    assert len(versions(server, 40)) == 2


def test_no_number_counts_as_an_error(server):
    huge = v2([[1e308, 1e308, 1]])
    learner = json.loads(serving.package()["model.json"])["learner"] | {"name": "linear"}
    regression = {"task": "regression", "classes": []}
    for values in ([0.1, 0, 0, 0], [1, 1, 1, 0]):
        serving.register(server, name="sum", files=other_package(**regression, learner=learner | {"values": values}))
    serving.deploy(server, "models:/sum/1", name="sum", project={})
    must(server, "POST", f"{API}/endpoints/sum/deploy", {"model": "models:/sum/2", "canary": 0.5})
    status, answer, _ = request(server, "POST", "/v2/models/sum/versions/2/infer", huge)
    assert status == 400 and "no finite number" in answer["error"]
    assert request(server, "POST", "/v2/models/sum/versions/1/infer", huge)[0] == 200
    assert request(server, "POST", "/v2/models/sum/versions/2/infer", {"inputs": 1})[0] == 400
    counted = [metric(server, "gyre_inference_requests_total", endpoint="sum", version="2", outcome=o) for o in ("no_number", "refused", "failed")]
    assert counted == [1, 1, 0]


def test_commands(server, tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    (project / "gyre.yaml").write_text(
        "name: sepsis\nendpoints:\n  sepsis:\n    model: models:/sepsis/1\n"
        "    aliases: [{path: /predictions, input: {HR: hr, Resp: resp, Temp: temp}, output: {isSepsis: prediction}}]\n"
        "    rollout: {canary: 0.2, min_labels: 20, recall_change_min: -0.05, promote: auto}\n")
    env = {"GYRE_HOME": str(server.home)}

    def run(*args):
        return support.run_json("endpoint", *args, cwd=project, env=env)

    two = run("deploy", "--model", "models:/sepsis/2", "--canary", "10%", "--reason", "next")
    assert weights(two) == [(1, "stable", 0.9), (2, "canary", 0.1)] and two["config"]["rollout"]["min_labels"] == 20
    assert weights(run("traffic", "sepsis", "--canary", "0.5"))[1] == (2, "canary", 0.5)
    assert weights(run("shadow", "sepsis", "models:/sepsis/3"))[2] == (3, "shadow", 0)
    assert len(run("shadow", "sepsis", "--off", "--reason", "seen")["config"]["weights"]) == 2
    assert run("promote", "sepsis")["version"] == 2
    assert run("rollback", "sepsis", "--reason", "no good")["copied_from"] == 1
    shown = support.run_gyre("endpoint", "show", "sepsis", cwd=project, env=env)
    assert shown.returncode == 0 and "serves revision 7" in shown.stdout and re.search(r"stable +sepsis version 1", shown.stdout)
    assert all(text in shown.stdout for text in ("1 + 10% 2", "1 + 50% 2 + shadow 3", "no good", "promote"))
    history = support.run_gyre("endpoint", "history", "sepsis", cwd=project, env=env)
    assert "no good" in history.stdout and "rollback to 1 " in history.stdout and "serves" not in history.stdout
    for wrong in (["traffic", "sepsis"], ["traffic", "sepsis", "--canary", "101%"], ["deploy", "sepsis", "--canary", "much"],
                  ["shadow", "sepsis"], ["shadow", "sepsis", "models:/sepsis/3", "--off"]):
        assert support.run_gyre("endpoint", *wrong, cwd=project, env=env).returncode == 2, wrong


def wait_for(look, done):
    """What look gives, once done says so of it."""
    deadline = time.monotonic() + 20
    while True:
        seen = look()
        if done(seen):
            return seen
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)


def wait_for_kind(server, kind):
    """The newest revision, once it is of that kind."""
    return wait_for(lambda: must(server, "GET", BASE)["revisions"][0], lambda newest: newest["kind"] == kind)


def labelled(server, version, n, truth=1):
    """Ask that version n times, then say what was true."""
    answers = [must(server, "POST", f"/v2/models/sepsis/versions/{version}/infer", v2([[120, 15, 37]])) for _ in range(n)]
    must(server, "POST", f"{API}/feedback", {"feedback": [
        {"prediction_id": a["parameters"]["prediction_id"], "label": truth} for a in answers]}, status=(200, 201, 202))


@pytest.mark.parametrize("bad", [True, False])
def test_the_server_decides_by_labels(server, bad):
    """Version 3 finds the sick, version 1 none, version 2 all."""
    rollout = {"canary": 0.3, "min_requests": 40, "min_labels": 40, "recall_change_min": -0.1, "promote": "auto"}
    serving.deploy(server, "models:/sepsis/3", project=PLAIN)
    before = outputs_bytes(server)
    version = 1 if bad else 2
    two = canary(server, f"models:/sepsis/{version}", share=True, project=PLAIN | {"rollout": rollout})
    assert weights(two)[1] == (version, "canary", 0.3)
    labelled(server, 3, 110)
    labelled(server, version, 110)
    newest = wait_for_kind(server, "rollback" if bad else "promote")
    assert (newest["version"], newest["actor"]) == (3 if bad else 2, "gyre") and "recall" in newest["reason"]
    assert (outputs_bytes(server) == before) == bad or version == 2
    event = wait_for(lambda: must(server, "GET", f"{API}/events?kind=rollout")["events"], len)  # comes after the revision
    assert [e["kind"] for e in event] == ["rollout.rolled_back" if bad else "rollout.promoted"]
    assert event[0]["data"]["canary"] == str(version)


def test_the_server_takes_back_what_fails(server):
    learner = json.loads(serving.package()["model.json"])["learner"] | {"name": "linear"}
    for values in ([0.1, 0, 0, 0], [1.6e306, 0, 0, 0]):
        serving.register(server, name="sum", files=other_package(task="regression", classes=[], learner=learner | {"values": values}))
    serving.deploy(server, "models:/sum/1", project={})
    canary(server, "models:/sum/2", share=0.9, project={"rollout": {}})
    for _ in range(40):
        request(server, "POST", INFER, v2([[120, 15, 37]]))
    newest = wait_for_kind(server, "rollback")
    assert newest["actor"] == "gyre" and "error rate" in newest["reason"]
    assert all(request(server, "POST", INFER, v2([[120, 15, 37]]))[0] == 200 for _ in range(20))


def test_three_on_the_status_page(server):
    canary(server, share=0.25)
    change(server, "shadow", model="models:/sepsis/3")
    ask(server, body=WELL)
    rows = must(server, "GET", f"{API}/status")["endpoints"]
    assert [(r["version"], r["role"], r["weight"]) for r in rows] == [("1", "stable", 0.75), ("2", "canary", 0.25), ("3", "shadow", 0)]


def test_side_by_side(server, tmp_path):
    """Live numbers of three versions: counters, feedback, and estimates that know with which share each answered."""
    serving.deploy(server, "models:/sepsis/3", project=PLAIN | {"rollout": {"accuracy_change_min": 0.5, "min_labels": 1000, "alpha": 0.1}})
    two = change(server, "traffic", shares={"1": 0.25, "2": 0.25})
    assert weights(two) == [(3, "stable", 0.5), (1, "canary", 0.25), (2, "canary", 0.25)]
    assert two["config"]["weights"][2]["lots"] == [[0.25, 0.5]] and "lots" not in two["config"]["weights"][1]
    warm = {w["version"]: w for w in two["warmup"]}
    assert set(warm) == {"1", "2", "3"} and all(w["rows"] > 300 and w["example"] and w["row_us"] > 0 for w in warm.values())
    rewards = collections.defaultdict(list)
    for i in range(160):
        answer, headers = ask(server, body=SICK if i % 2 else WELL)
        reward = (i % 5) / 4 if answer["model_version"] != "2" else 1
        rewards[answer["model_version"]].append(reward)
        must(server, "POST", f"{API}/feedback", {"prediction_id": headers["Gyre-Prediction-Id"], "reward": reward}, (200, 202))
    live = wait_for(lambda: must(server, "GET", f"{BASE}/live"), lambda x: sum(v["labelled"] for v in x["variants"]) >= 160)
    assert (live["metric"], live["strategy"], live["alpha"], live["revision"]) == ("accuracy", "fixed", 0.1, two["revision"])
    of = {v["version"]: v for v in live["variants"]}
    assert [of[v]["role"] for v in "312"] == ["stable", "canary", "canary"]
    every = sum(map(len, rewards.values()))
    for version, share in (("3", 0.5), ("1", 0.25), ("2", 0.25)):
        v, got = of[version], rewards[version]
        assert v["requests"] >= len(got) and v["errors"] == 0 and v["weight"] == share and v["p99_ms"] > 0
        assert v["reward"]["rows"] == len(got) and math.isclose(v["reward"]["mean"], sum(got) / len(got), abs_tol=1e-4)
        assert 0 <= v["reward"]["low"] <= v["reward"]["mean"] <= v["reward"]["high"] <= 1
        assert math.isclose(v["off_policy"]["ips"], sum(got) / share / every, abs_tol=1e-4) and v["off_policy"]["of"] == every
        assert math.isclose(v["off_policy"]["snips"], v["reward"]["mean"], abs_tol=1e-4)
        assert math.isclose(sum(v["classes"].values()), 1)
    assert of["2"]["classes"] == {"0": 0, "1": 1} and of["2"]["change"]["metric"] == "accuracy" and "change" not in of["3"]
    shown = support.run_gyre("endpoint", "show", "sepsis", "--watch", "--times", "1", "--server", server.url, cwd=tmp_path)
    assert shown.returncode == 0 and "stable" in shown.stdout and "reward" in shown.stdout, shown
    status, answer, _ = request(server, "GET", f"{API}/endpoints/none/live")
    assert (status, answer["code"]) == (404, "NOTFOUND")


def test_a_key_stays_while_shares_grow(server):
    """Three steps of an A/B/n test: a key changes its version only by leaving the stable one."""
    keys = [f"patient-{i}" for i in range(60)]

    def who():
        return {k: ask(server, headers={"Gyre-Sticky-Key": k})[0]["model_version"] for k in keys}

    seen = [who()]
    for shares in ({"2": 0.2, "3": 0.2}, {"2": 0.3, "3": 0.3}, {"3": 0.7}):
        change(server, "traffic", shares=shares)
        seen.append(who())
    for before, after in zip(seen, seen[1:]):
        assert all(before[k] in ("1", after[k]) for k in keys)
    assert set(seen[0].values()) == {"1"} and set(seen[2].values()) == {"1", "2", "3"} and set(seen[3].values()) == {"2", "3"}
    refused(server, "traffic", 400, "INVALID", "at most 1", shares={"2": 0.7, "3": 0.7})
    refused(server, "traffic", 404, "NOTFOUND", "9", shares={"9": 0.1})
    refused(server, "promote", 409, "CONFLICT", "name one")
    change(server, "promote", version=3)
    assert set(who().values()) == {"3"}
    change(server, "rollback")
    assert set(who().values()) == {"1"}


def test_a_model_without_numbers_is_not_deployed(server):
    learner = json.loads(serving.package()["model.json"])["learner"] | {"name": "linear", "values": [1e308, 0, 0, 0]}
    files = other_package(task="regression", classes=[], learner=learner)
    serving.register(server, name="sum", files=files | {"input_example.json": serving.package()["input_example.json"]})
    status, answer = ask_anyhow(server, "POST", f"{API}/endpoints/sum/deploy", {"model": "models:/sum/1"})
    assert status >= 400 and answer["code"] == "NOTSERVABLE" and "input example" in answer["detail"], answer
    files.pop("input_example.json", None)
    serving.register(server, name="sum", files=files)
    status, answer = ask_anyhow(server, "POST", f"{API}/endpoints/sum/deploy", {"model": "models:/sum/2"})
    assert answer["code"] == "NOTSERVABLE" and "64 rows" in answer["detail"], answer
    assert request(server, "GET", f"{API}/endpoints/sum")[0] == 404


def test_a_bandit_follows_rewards(server):
    """Version 2 is rewarded, version 1 is not: within a few looks version 2 has nearly everything, and the revision says why."""
    rollout = {"strategy": "bandit", "metric": "reward", "min_share": 0.1, "every_s": 1, "min_labels": 20, "seed": 1}
    serving.deploy(server, "models:/sepsis/1", project=PLAIN | {"rollout": rollout})
    change(server, "traffic", shares={"2": 0.5})
    deadline = time.monotonic() + 40
    while weights(newest := must(server, "GET", BASE)["revisions"][0])[1][2] < 0.9:
        assert time.monotonic() < deadline, newest
        for _ in range(20):
            answer, headers = ask(server)
            must(server, "POST", f"{API}/feedback",
                 {"prediction_id": headers["Gyre-Prediction-Id"], "reward": 0.9 if answer["model_version"] == "2" else 0.2}, (200, 202))
    assert weights(newest) == [(1, "stable", 0.1), (2, "canary", 0.9)]
    assert newest["actor"] == "gyre" and "bandit by reward" in newest["reason"] and newest["kind"] == "traffic"


def test_following_an_alias(new_server):
    """`follow: true`: a blessed version is deployed when the alias moves, another is told once; a rollback stays."""
    server = new_server()
    for intercept in (-9, -8, -7):
        serving.register(server, files=serving.package(intercept))
    api = SocketApi(server)

    def alias(version):
        must(server, "POST", f"{serving.MLFLOW}/registered-models/alias", {"name": "sepsis", "alias": "live", "version": str(version)})

    def served():
        return must(server, "GET", BASE)["revisions"][0]

    alias(1)
    status, answer = ask_anyhow(server, "POST", f"{BASE}/deploy", {"model": "models:/sepsis/1", "project": PLAIN | {"follow": True}})
    assert (status, answer["code"]) == (400, "INVALID") and "alias" in answer["detail"]
    one = serving.deploy(server, "models:/sepsis@live", project=PLAIN | {"follow": True})
    assert (one["config"]["ref"], one["config"]["followed"], one["version"]) == ("models:/sepsis@live", 1, 1)
    alias(2)
    events = wait_for(lambda: must(server, "GET", f"{API}/events?kind=endpoint.not_followed")["events"], len)
    assert "version 2" in events[0]["data"]["reason"] and "no verdict" in events[0]["data"]["reason"] and served()["version"] == 1
    api.judge(2, True)
    wait_for(served, lambda r: r["version"] == 2)
    assert served()["actor"] == "gyre" and "follow" in served()["reason"] and not served()["gated"]
    assert ask(server)[0]["model_version"] == "2"
    change(server, "rollback")
    time.sleep(2.5)  # two looks
    assert served()["version"] == 1 and len(must(server, "GET", f"{API}/events?kind=endpoint.not_followed")["events"]) == 1
    api.judge(3, True)
    alias(3)
    wait_for(served, lambda r: r["version"] == 3)
