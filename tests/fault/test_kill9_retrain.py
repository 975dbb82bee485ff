# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments of a retrain that a trigger started: by turns the server alone, whose child is then adopted, and the
server with its child or more of the job's processes, which is then resumed. After the restart the job ends well: each stage ran
to success exactly once, one version of it is there and proven, no run counts as running, and dvc.lock tells of what lies there.

6 rounds; 20 with GYRE_LONG=1.
"""

import hashlib
import json
import os
import pathlib
import random
import re
import signal
import sqlite3
import subprocess
import time

import pytest
import requests
import serving
import support

ROUNDS = 20 if os.environ.get("GYRE_LONG") == "1" else 6
ENDED = ("done", "failed", "refused", "cancelled")

SCHEMA = """\
columns:
- {name: id, type: int, role: id, unique: true, required: true}
- {name: a, type: int}
- {name: b, type: int}
- {name: y, type: int, values: [0, 1], role: label}
"""

# `fetch` is what an export of reviewed records is: it runs each time, whatever is there. Each stage writes into a ledger when
# it begins and when it ends; the naps make the moments between more likely ones.
DVC = """\
stages:
  fetch:
    cmd: echo "$GYRE_JOB fetch begin" >> ledger; cp source.csv raw.csv; sleep 0.05; echo "$GYRE_JOB fetch end" >> ledger
    outs: [raw.csv]
    always_changed: true
    meta: {gyre: {manual: true}}
  merged:
    cmd: echo "$GYRE_JOB merged begin" >> ledger; gyre data ingest raw.csv --schema schema.yaml --output-path merged --name small
      --json > ingest.json && sleep 0.05 && echo "$GYRE_JOB merged end" >> ledger
    deps: [raw.csv, schema.yaml]
    outs: [merged/data.csv]
    meta: {gyre: {manual: true}}
  retrain:
    cmd: echo "$GYRE_JOB retrain begin" >> ledger; gyre train merged/data.csv --target y --learner logistic --features a,b
      --out model --experiment small --register small --json > train.json && sleep 0.05 && echo "$GYRE_JOB retrain end" >> ledger
    deps: [merged/data.csv, schema.yaml]
    outs: [model]
    meta: {gyre: {manual: true}}
"""
STAGES = ("fetch", "merged", "retrain")

GYRE = """\
name: small
endpoints:
  small: {model: "models:/small@champion"}
gate:
  metrics: [{name: recall, min: 0.0, on: overall}]
triggers:
  - {name: drift, on: drift.detected, run: [retrain], endpoint: small}
"""


def write_source(folder, number):
    rows = "".join(f"{i},{i % 7},{(i * i + number) % 11},{int(i % 7 > 3)}\n" for i in range(400 + number))
    (folder / "source.csv").write_text("id,a,b,y\n" + rows)


def of_job(job):
    """The live processes that have the job in their environment."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if f"GYRE_JOB={job}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                if (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                    found.append(int(entry.name))
        except OSError:
            pass        # it ended meanwhile, or is none of ours
    return found


def kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


class Retrains:
    """A project with its server."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "schema.yaml").write_text(SCHEMA)
        (folder / "dvc.yaml").write_text(DVC)
        (folder / "gyre.yaml").write_text(GYRE)
        self.server = support.Server(folder / ".gyre")
        self.server.start()
        support.run_json("trigger", "add", cwd=folder)

    def get(self, path, **query):
        answer = requests.get(self.server.url + path, params=query, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def job(self, job):
        return self.get(f"{serving.API}/jobs/{job}")

    def fire(self, reason):
        return support.run_json("trigger", "fire", "drift", "--reason", reason, cwd=self.folder)["job"]

    def wait(self, job):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            now = self.job(job)
            if now["state"] in ENDED:
                return now
            time.sleep(0.02)
        raise AssertionError(f"the job does not end: {now}\n{(self.server.home / 'runs' / job / 'log').read_text()}")

    def log(self, job):
        path = self.server.home / "runs" / job / "log"
        return path.read_text() if path.exists() else ""


def check_stages(retrains, job):
    """Each stage was told to be done exactly once, and nothing of it began after that."""
    runs = retrains.get(f"{serving.API}/flow/runs", job=job)["runs"]
    assert runs and all(r["status"] in ("done", "cancelled", "failed") for r in runs)
    assert [r["status"] for r in runs].count("done") == 1
    assert all(r["name"].startswith("[drift] at 20") for r in runs)
    steps = [s for r in runs for s in retrains.get(f"{serving.API}/flow/runs/{r['id']}")["steps"]]
    for stage in STAGES:
        mine = [s for s in steps if s["stage"] == stage]
        done = [s for s in mine if s["status"] == "done"]
        assert len(done) == 1, [(s["status"], s["why"]) for s in mine]
        for step in mine:
            assert step["status"] in ("done", "cancelled", "failed", "unchanged", "not_run"), step
            if step["status"] in ("cancelled", "failed"):
                assert step["started"] < done[0]["ended"]
    ledger = [line.split() for line in (retrains.folder / "ledger").read_text().splitlines()]
    for stage in STAGES:
        lines = [line[2] for line in ledger if line[0] == job and line[1] == stage]
        assert lines[-1] == "end" and lines.count("begin") <= retrains.job(job)["attempt"], lines


def check_registered(retrains, job, version):
    found = retrains.get(f"{serving.MLFLOW}/model-versions/search", filter=f"tags.`gyre.job` = '{job}'").get("model_versions", [])
    assert [int(v["version"]) for v in found] == [version]
    proven = retrains.get(f"{serving.API}/models/small/versions/{version}")
    assert proven["servable"] == "yes" and proven["digest"]
    package = retrains.folder / "model"
    lines = "".join(f"{hashlib.sha256((package / name).read_bytes()).hexdigest()}  {name}\n"
                    for name in sorted(p.name for p in package.iterdir()))
    assert hashlib.sha256(lines.encode()).hexdigest() == proven["digest"]
    with sqlite3.connect(f"file:{retrains.server.home}/gyre.db?mode=ro", uri=True) as db:
        states = [row[0] for row in db.execute("SELECT r.status FROM runs r JOIN run_tags t ON t.run = r.seq WHERE t.key = 'gyre.job' "
                                               "AND t.value = ?", (job,))]
        assert states.count("FINISHED") == 1 and set(states) <= {"FINISHED", "KILLED", "FAILED"}, states
        assert db.execute("SELECT COUNT(*) FROM flow_runs WHERE status = 'running'").fetchone() == (0,)
        assert db.execute("SELECT COUNT(*) FROM flow_steps WHERE status = 'running'").fetchone() == (0,)
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def check_lock(retrains):
    """What dvc.lock says of the outputs is what lies there."""
    lock = (retrains.folder / "dvc.lock").read_text()
    for name in ("raw.csv", "merged/data.csv"):
        md5 = hashlib.md5((retrains.folder / name).read_bytes()).hexdigest()
        assert set(re.findall(rf"path: {name}\n\s+hash: md5\n\s+md5: '?([0-9a-f]+)", lock)) == {md5}
    why = {s["stage"]: s["why"] for s in support.run_json("flow", "status", cwd=retrains.folder)["stages"]}
    assert why == {"fetch": "always_changed is set", "merged": None, "retrain": None}
    assert (retrains.folder / "raw.csv").read_bytes() == (retrains.folder / "source.csv").read_bytes()


def round_of(retrains, number, chance, seconds):
    """Fire, kill at a random moment, start again; what was killed and how the job ended."""
    write_source(retrains.folder, number)
    job = retrains.fire(f"round {number}")
    time.sleep(chance.uniform(0, seconds))          # the moment of the crash is what is random here
    before = retrains.job(job)
    retrains.server.kill()
    victims = "server"
    if number % 2:
        tree = of_job(job)
        victims = chance.choice(["server, child", "server, some", "server, all"])
        if victims == "server, child":
            tree = [pid for pid in tree if pid == before["pid"]]
        elif victims == "server, some":
            tree = chance.sample(tree, chance.randint(0, len(tree)))
        kill(tree)
    retrains.server.start()
    after = retrains.wait(job)
    log = retrains.log(job)
    assert after["state"] == "done", f"{victims} at {before['step']}: {after}\n{log}\n{retrains.server.text()[-3000:]}"
    if victims == "server" and before["pid"]:
        assert after["attempt"] == before["attempt"], f"it was not adopted\n{log}\n{retrains.server.text()[-3000:]}"
    assert after["attempt"] <= 2
    check_stages(retrains, job)
    check_registered(retrains, job, after["version"])
    check_lock(retrains)
    revisions = retrains.get(f"{serving.API}/endpoints/small")["revisions"]
    assert [r["revision"] for r in revisions if r["version"] == after["version"]] == [after["revision"]]
    end = time.monotonic() + 20         # the process that told the end is about to end
    while (left := of_job(job)) and time.monotonic() < end:
        time.sleep(0.01)
    assert not left, [pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() for pid in left]
    return victims, before["step"] if before["state"] == "running" else before["state"], after["attempt"]


@pytest.mark.timeout(40 + 30 * ROUNDS)
def test_a_retrain_survives_kill_9(tmp_path):
    seed = int.from_bytes(os.urandom(4), "big")
    chance = random.Random(seed)
    retrains = Retrains(tmp_path)
    rounds = []
    try:
        write_source(tmp_path, 1000)
        begun = time.monotonic()
        first = retrains.wait(retrains.fire("undisturbed"))
        seconds = time.monotonic() - begun
        assert first["state"] == "done" and first["attempt"] == 1
        for number in range(ROUNDS):
            rounds.append(round_of(retrains, number, chance, seconds * 1.1))
        jobs = retrains.get(f"{serving.API}/jobs")["jobs"]
        versions = [j["version"] for j in jobs]
        assert len(jobs) == ROUNDS + 1 and sorted(versions) == list(range(1, ROUNDS + 2))
        retrains.server.stop()
    finally:
        retrains.server.kill()
        retrains.server.clean()
        print(f"seed {seed}: {json.dumps(rounds)}")
