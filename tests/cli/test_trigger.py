# SPDX-License-Identifier: Apache-2.0
"""gyre trigger, gyre jobs: what starts by itself, what is refused and why, and what a job does until it is deployed."""

import json
import os
import sqlite3
import time

import pytest
import requests
import support

API = "/api/gyre/v1"
ENDED = ("done", "failed", "refused", "cancelled")

DVC = """\
stages:
  retrain:
    cmd: gyre train t.csv --target y --learner logistic --features a,b --out model --experiment small --register small --json > train.json
    deps: [t.csv]
    outs: [model]
    always_changed: true
    meta: {gyre: {manual: true}}
  broken:
    cmd: echo no luck; exit 7
    meta: {gyre: {manual: true}}
  long:
    cmd: echo started > pipe; exec sleep 600
    meta: {gyre: {manual: true}}
  nothing:
    cmd: echo nothing
    always_changed: true
    meta: {gyre: {manual: true}}
"""

GYRE = """\
name: small
endpoints:
  small: {model: "models:/small@champion"}
gate:
  metrics: [{name: recall, min: 0.1, on: overall}]
triggers:
  - {name: drift, on: drift.detected, run: [retrain], cooldown: 1h, endpoint: small}
  - {name: reviews, on: {reviews: 10}, run: [nothing]}
"""


class Project:
    def __init__(self, folder):
        self.folder = folder
        rows = "".join(f"{i},{i % 7},{i * i % 11},{int(i % 7 > 3)}\n" for i in range(400))
        (folder / "t.csv").write_text("id,a,b,y\n" + rows)
        (folder / "schema.yaml").write_text(
            "columns:\n- {name: id, type: int, role: id}\n- {name: a, type: int}\n- {name: b, type: int}\n"
            "- {name: y, type: int, values: [0, 1], role: label}\n")
        (folder / "dvc.yaml").write_text(DVC)
        (folder / "gyre.yaml").write_text(GYRE)
        os.mkfifo(folder / "pipe")
        self.server = support.Server(folder / ".gyre")
        self.server.start()
        support.run_json("data", "ingest", "t.csv", "--schema", "schema.yaml", "--output-path", "data", "--name", "small", cwd=folder)

    def gyre(self, *args):
        return support.run_gyre(*args, cwd=self.folder)

    def json(self, *args):
        return support.run_json(*args, cwd=self.folder)

    def event(self, kind, data):
        """Append an event as the watching side of the server does, in the same database."""
        with sqlite3.connect(self.server.home / "gyre.db", timeout=60) as db:
            db.execute("INSERT INTO events (kind, subject, actor, data, created_us) VALUES (?,'endpoint:small/1','gyre',?,?)",
                       (kind, json.dumps(data), time.time_ns() // 1000))

    def events(self, prefix):
        return requests.get(f"{self.server.url}{API}/events", params={"kind": prefix}, timeout=30).json()["events"]

    def until(self, what, ask):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            found = ask()
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"{what}: {self.server.text()[-2000:]}")

    def wait(self, job, states=ENDED):
        return self.until(f"job {job}", lambda: (j := self.json("jobs", "show", job))["state"] in states and j)

    def jobs(self, trigger):
        return [j for j in self.json("jobs", "list")["jobs"] if j["trigger"] == trigger]


@pytest.fixture
def project(tmp_path):
    one = Project(tmp_path)
    yield one
    one.server.stop()
    one.server.clean()


DRIFT = {"endpoint": "small", "features": ["Temp"], "reason": "rule hits went from 0.3 to 0.8"}


def test_a_sensor_is_refused_a_population_is_retrained(project):
    assert [t["name"] for t in project.json("trigger", "add")["triggers"]] == ["drift", "reviews"]
    project.event("drift.detected", {**DRIFT, "cause": "sensor"})
    refused = project.until("a refused job", lambda: project.jobs("drift"))[0]
    assert refused["state"] == "refused" and refused["attempt"] == 0
    assert "sensor" in refused["error"] and "(Temp)" in refused["error"] and "0.3 to 0.8" in refused["error"]
    told = project.events("trigger.refused")[-1]
    assert told["data"]["features"] == ["Temp"] and told["data"]["job"] == refused["id"]
    few = {"cause": "population", "may_retrain": False, "retrain_reason": "3 fresh labels of 100"}
    for cause in ({"cause": "unknown"}, {}, few):
        n = len(project.jobs("drift"))
        project.event("drift.detected", {**DRIFT, **cause})
        project.until("another refusal", lambda n=n: len(project.jobs("drift")) == n + 1)
    assert {j["state"] for j in project.jobs("drift")} == {"refused"}
    assert "3 fresh labels of 100" in project.jobs("drift")[0]["error"]

    project.event("drift.detected", {**DRIFT, "cause": "population", "endpoint": "other"})      # not of this trigger
    project.event("drift.detected", {**DRIFT, "cause": "population"})
    done = project.wait(project.until("a job", lambda: [j for j in project.jobs("drift") if j["state"] != "refused"])[0]["id"])
    assert done["state"] == "done", (done, project.gyre("jobs", "logs", done["id"]).stdout)
    assert (done["model"], done["version"], done["revision"], done["attempt"]) == ("small", 1, 1, 1)
    assert done["name"] == f"[drift] at {done['created'][:19]}Z"
    run = project.json("flow", "history")["runs"][0]
    assert (run["id"], run["name"], run["job"], run["status"]) == (done["flow_run"], done["name"], done["id"], "done")
    assert project.json("endpoint", "list")["endpoints"][0]["version"] == 1
    assert done["name"] in project.gyre("endpoint", "history", "small").stdout                    # why it was deployed
    assert "started" in {e["rel"] for e in
                         requests.get(f"{project.server.url}{API}/lineage", params={"node": f"job:{done['id']}", "direction": "down"},
                                      timeout=30).json()["edges"]}
    # The next one comes too early: told, and not lost silently.
    project.event("drift.detected", {**DRIFT, "cause": "population"})
    cool = project.until("a refusal", lambda: [e for e in project.events("trigger.refused") if "cools down" in e["data"]["reason"]])
    assert len(cool) == 1 and len([j for j in project.jobs("drift") if j["state"] != "refused"]) == 1
    shown = project.gyre("trigger", "list").stdout
    assert "cools down until" in shown and "drift.detected" in shown
    # A person may: the cooldown and the cause are hers to judge.
    assert project.gyre("trigger", "fire", "drift").returncode == 2
    assert project.gyre("trigger", "fire", "nope", "--reason", "x").returncode == 4
    again = project.wait(project.json("trigger", "fire", "drift", "--reason", "new sensors")["job"])
    assert (again["state"], again["version"], again["reason"]) == ("done", 2, "new sensors")
    assert again["actor"] not in ("", "anonymous", "gyre")


def test_reviews_are_counted(project):
    project.json("watch", "apply")      # takes the triggers over, too
    for count in (4, 5):
        project.event("review.verdict", {"endpoint": "small", "count": count})
    assert project.until("the count", lambda: [t for t in project.json("trigger", "list")["triggers"] if t["pending"] == 9])
    assert project.jobs("reviews") == []
    project.event("review.verdict", {"endpoint": "small", "count": 3})
    done = project.wait(project.until("a job", lambda: project.jobs("reviews"))[0]["id"])
    assert (done["state"], done["step"], done["version"], done["reason"]) == ("done", "end", None, "12 reviewed records")
    left = {t["name"]: t["pending"] for t in project.json("trigger", "list")["triggers"]}
    assert left["reviews"] == 0 and len(project.jobs("reviews")) == 1
    project.json("trigger", "disable", "reviews")
    project.event("review.verdict", {"endpoint": "small", "count": 30})
    project.json("trigger", "fire", "drift", "--reason", "something that is seen to be later")
    project.wait(project.jobs("drift")[0]["id"])
    assert len(project.jobs("reviews")) == 1


def test_the_gate_refuses(project):
    (project.folder / "gyre.yaml").write_text(GYRE.replace("min: 0.1", "min: 1.01"))
    project.json("trigger", "add")
    job = project.wait(project.json("trigger", "fire", "drift", "--reason", "x")["job"])
    assert job["state"] == "refused" and job["step"] == "gate" and job["verdict"] and job["revision"] is None
    assert job["error"].startswith("NOT_BLESSED; recall: ")
    assert project.json("endpoint", "list")["endpoints"] == []


@pytest.mark.parametrize("decision, state", [("approve", "done"), ("reject", "refused")])
def test_a_person_decides(project, decision, state):
    (project.folder / "gyre.yaml").write_text(GYRE.replace("gate:\n", "gate:\n  approval: required\n  protect: [champion]\n"))
    project.json("trigger", "add")
    job = project.json("trigger", "fire", "drift", "--reason", "x")["job"]
    waiting = project.wait(job, ("waiting_approval", *ENDED))
    assert waiting["state"] == "waiting_approval", waiting
    assert project.gyre("trigger", "fire", "drift", "--reason", "again").returncode == 6    # one open job a trigger
    approvals = project.json("gate", "list")["approvals"]
    assert [(a["id"], a["state"]) for a in approvals] == [(waiting["approval"], "requested")]
    project.json("gate", decision, waiting["approval"], "--reason", "looked at it")
    ended = project.wait(job)
    assert ended["state"] == state, ended
    assert ended["revision"] == (1 if state == "done" else None)
    if state == "refused":
        assert "rejected by" in ended["error"] and "looked at it" in ended["error"]
    assert len(project.json("gate", "list")["approvals"]) == 1


def test_failures_and_cancelling(project):
    for name in ("broken", "long"):
        project.json("trigger", "add", name, "--every", "30d", "--run", name)
    failed = project.wait(project.json("trigger", "fire", "broken", "--reason", "x")["job"])
    assert failed["state"] == "failed" and "exit code 7" in failed["error"] and failed["attempt"] == 1
    assert "no luck" in project.gyre("jobs", "logs", failed["id"]).stdout
    run = failed["runs"][0]["id"]
    logs = project.json("flow", "logs", run, "broken")
    assert logs["stages"][0]["log"].endswith("no luck\n")
    assert project.gyre("flow", "logs", run).stdout.startswith("== broken ==\n")
    assert project.gyre("flow", "logs", run, "other").returncode == 4
    outside = requests.get(f"{project.server.url}{API}/flow/runs/{run}/log", params={"stage": "../../gyre.db"}, timeout=30)
    assert outside.status_code == 400
    job = project.json("trigger", "fire", "long", "--reason", "x")["job"]
    with open(project.folder / "pipe", encoding="ascii") as pipe:
        assert pipe.read() == "started\n"
    project.json("jobs", "cancel", job, "--reason", "not today")
    ended = project.wait(job)
    assert ended["state"] == "cancelled" and "not today" in ended["error"]
    assert ended["runs"][0]["status"] == "cancelled"
    assert project.gyre("jobs", "cancel", job).returncode == 6
    assert {j["state"] for j in project.json("jobs", "list", "--state", "open")["jobs"]} == set()


def test_nobody_without_a_name(project):
    project.json("trigger", "add")
    base = project.server.url + API
    assert requests.post(f"{base}/triggers/drift/fire", json={"reason": "x"}, timeout=30).status_code == 401
    body = {"project": "small", "folder": "/tmp", "triggers": []}
    assert requests.put(f"{base}/triggers", json=body, timeout=30).status_code == 401
    assert requests.post(f"{base}/jobs/{'0' * 8}-0000-7000-8000-000000000000/cancel", json={}, timeout=30).status_code == 401
    assert requests.delete(f"{base}/triggers/drift", timeout=30).status_code == 401
    assert len(requests.get(f"{base}/triggers", timeout=30).json()["triggers"]) == 2


@pytest.mark.parametrize("entry, words", [
    ("{name: a, on: drift.detcted, run: [x]}", "did you mean 'drift.detected'?"),
    ("{name: a, on: drift.detected, run: [x], coldown: 1h}", "did you mean 'cooldown'?"),
    ("{name: a, on: {reviews: 0}, run: [x]}", "at least 1"),
    ("{name: a, on: {every: soon}, run: [x]}", "is no duration like 45s"),
    ("{name: a, on: drift.detected, run: []}", "run takes a list of stages"),
    ("{name: a, on: drift.detected, run: [--force]}", "run takes a list of stages"),
    ("{name: a, on: drift.detected, run: [x], canary: 10%}", "canary needs an endpoint"),
    ("{name: a, on: drift.detected, run: [x], endpoint: e, canary: 100%}", "canary is a share"),
    ("{name: a b, on: drift.detected, run: [x]}", "name without blanks"),
    ("{name: drift, on: drift.detected, run: [x]}, {name: drift, on: drift.detected, run: [x]}", "two triggers are called 'drift'"),
])
def test_mistakes(tmp_path, entry, words):
    (tmp_path / "gyre.yaml").write_text(f"name: small\ntriggers: [{entry}]\n")
    done = support.run_gyre("trigger", "add", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert words in done.stderr


def test_a_job_waits_for_a_server(tmp_path, new_server):
    (tmp_path / "gyre.yaml").write_text("name: p\ntriggers: [{name: a, on: drift.detected, run: [x]}]\n")
    (tmp_path / "dvc.yaml").write_text("stages:\n  x: {cmd: gyre exp list --home other --json > x.json, meta: {gyre: {manual: true}}}\n")
    support.run_json("trigger", "add", cwd=tmp_path)
    fired = support.run_gyre("trigger", "fire", "a", "--reason", "x", cwd=tmp_path)
    assert fired.returncode == 0 and "waits for one" in fired.stderr
    job = fired.stdout.split()[1]
    assert support.run_json("jobs", "show", job, cwd=tmp_path)["state"] == "queued"
    new_server(home=tmp_path / ".gyre")
    end = time.monotonic() + 60
    while (now := support.run_json("jobs", "show", job, cwd=tmp_path))["state"] not in ENDED and time.monotonic() < end:
        time.sleep(0.02)
    assert now["state"] == "done", support.run_gyre("jobs", "logs", job, cwd=tmp_path).stdout
    assert "experiments" in (tmp_path / "x.json").read_text()    # a home of its own needs no server


def test_gyre_yaml_is_the_list(tmp_path):
    """Applying it again removes what it does not name any more, but not what was added by hand."""
    (tmp_path / "gyre.yaml").write_text("name: p\ntriggers:\n- {name: a, on: drift.detected, run: [x]}\n- {name: b, on: {every: 1d}, run: [x]}\n")
    support.run_json("trigger", "add", cwd=tmp_path)
    support.run_json("trigger", "add", "c", "--reviews", "5", "--run", "x", "--run", "y", "--cooldown", "90m", "--endpoint", "e",
                     "--canary", "12.5%", cwd=tmp_path)
    (tmp_path / "gyre.yaml").write_text("name: p\ntriggers:\n- {name: b, on: {every: 2d}, run: [x]}\n")
    listed = support.run_json("trigger", "add", cwd=tmp_path)["triggers"]
    assert [(t["name"], t["from_file"]) for t in listed] == [("b", True), ("c", False)]
    assert listed[0]["spec"]["on"] == {"every": "2d"}
    assert listed[1]["spec"] == {"name": "c", "on": {"reviews": 5}, "run": ["x", "y"], "cooldown": "90m", "model": None, "endpoint": "e",
                                 "canary": "12.5%"}
    support.run_json("trigger", "remove", "c", cwd=tmp_path)
    assert [t["name"] for t in support.run_json("trigger", "list", "--project", "p", cwd=tmp_path)["triggers"]] == ["b"]
    assert "__exec" not in support.run_gyre("-h", cwd=tmp_path).stdout
    assert support.run_gyre("__exec", "01a1fbcc-3977-7408-9a4a-d48b4a3e925c", cwd=tmp_path).returncode == 2


def test_words_that_are_not_known_are_told_with_those_that_are(tmp_path):
    """A state that no job has listed nothing; an event that is near to none had no hint."""
    support.run_json("init", "--template", "sepsis", cwd=tmp_path)
    done = support.run_gyre("jobs", "list", "--state", "finished", cwd=tmp_path)
    assert done.returncode == 3 and "waiting_approval" in done.stderr
    done = support.run_gyre("jobs", "show", "nope", cwd=tmp_path)
    assert done.returncode == 4 and "hint: gyre jobs list" in done.stderr
    done = support.run_gyre("trigger", "add", "x", "--on", "monday", "--run", "retrain", cwd=tmp_path)
    assert done.returncode == 3 and "hint: one of: drift.detected, alert.raised" in done.stderr
    assert support.run_gyre("trigger", "add", cwd=tmp_path).returncode == 0
    support.run_json("trigger", "add", "x", "--every", "36h", "--run", "retrain", cwd=tmp_path)
    text = support.run_gyre("trigger", "list", cwd=tmp_path).stdout
    assert "every 36h" in text and "50000 reviews" in text
