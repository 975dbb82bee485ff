# SPDX-License-Identifier: Apache-2.0
"""The sepsis example retrains itself on reviewed patients from the wild: drift, job, gate, approval, canary."""

import csv
import json
import sqlite3
import time

import serving
import support


def wait(folder, job, states):
    end = time.monotonic() + 90
    while time.monotonic() < end:
        now = support.run_json("jobs", "show", job, cwd=folder)
        if now["state"] in states:
            return now
        time.sleep(0.05)
    raise AssertionError(now)


def drift(server, **data):
    """As the watcher appends it; it is tested elsewhere."""
    body = json.dumps({"endpoint": "sepsis", "features": ["HR"], "cause": "population", "may_retrain": True, **data})
    with sqlite3.connect(server.home / "gyre.db", timeout=60) as db:
        db.execute("INSERT INTO events (kind, subject, actor, data, created_us) VALUES ('drift.detected','revision:sepsis/1','gyre',?,?)",
                   (body, time.time_ns() // 1000))


def test_from_drift_to_canary(tmp_path):
    folder = tmp_path / "p"
    folder.mkdir()

    def run(*args):
        return support.run_json(*args, cwd=folder)

    run("init", "--template", "sepsis", ".")
    support.run_gyre("data", "synth", "patients", "--rows", "6000", "--seed", "1", "-o", "data/raw/patients.csv", cwd=folder)
    assert run("run")["done"] == 3       # the manual stages are left alone
    assert {s["stage"] for s in run("flow", "status")["stages"] if s["status"] == "manual"} == {"reviewed", "merged", "retrain"}
    server = support.Server(folder / ".gyre", env={"REVIEW_OPTIONS": "--with-simulated"}).start()
    try:
        support.run_gyre("gate", "check", "sepsis/2", cwd=folder)
        run("gate", "approve", run("gate", "request", "sepsis/2")["id"])
        run("models", "promote", "sepsis/2")
        run("endpoint", "deploy", "sepsis")
        run("watch", "apply")
        assert [t["name"] for t in run("trigger", "list")["triggers"]] == ["drift", "reviews"]

        support.run_gyre("data", "synth", "patients", "--rows", "300", "--seed", "2", "-o", "live.csv", cwd=folder)
        with open(folder / "live.csv", encoding="utf-8") as table:
            patients = list(csv.DictReader(table))
        verdicts, asked = [], serving.Connection(server)
        for number, p in enumerate(patients):
            asked.http.request("POST", "/v2/models/sepsis/infer", json.dumps(
                {"id": str(900000 + number), **serving.v2([[int(p["HR"]), int(p["Resp"]), float(p["Temp"])]])}))
            answer = asked.http.getresponse()
            answer.read()
            assert answer.status == 200
            verdicts.append({"prediction_id": answer.getheader("Gyre-Prediction-Id"), "row": 0, "verdict": int(p["isSepsis"])})
        asked.close()
        (folder / "verdicts.jsonl").write_text("".join(json.dumps(v) + "\n" for v in verdicts))
        run("review", "add", *[v["prediction_id"] for v in verdicts])
        assert run("review", "verdict", "--file", "verdicts.jsonl", "--tag", "simulated")["decided"] == 300

        drift(server, cause="sensor")
        drift(server)
        end = time.monotonic() + 60
        while len(run("jobs", "list")["jobs"]) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        job, refused = run("jobs", "list")["jobs"]
        assert refused["state"] == "refused" and "HR" in refused["error"]
        waiting = wait(folder, job["id"], ("waiting_approval", "done", "failed", "refused"))
        assert waiting["state"] == "waiting_approval", (waiting, support.run_gyre("jobs", "logs", job["id"], cwd=folder).stdout)
        assert (waiting["model"], waiting["version"]) == ("sepsis", 3)
        run("gate", "approve", waiting["approval"], "--reason", "reviewed with the ward")
        done = wait(folder, job["id"], ("done", "failed", "refused"))
        assert done["state"] == "done", (done, support.run_gyre("jobs", "logs", job["id"], cwd=folder).stdout)

        endpoint = serving.must(server, "GET", f"{serving.API}/endpoints/sepsis")
        current = next(r for r in endpoint["revisions"] if r["revision"] == endpoint["revision"])
        assert done["revision"] == endpoint["revision"] == 2
        weights = {w["role"]: (w["version"], w["weight"]) for w in current["config"]["weights"]}
        assert weights["canary"][0] == 3 and weights["stable"][0] == 2
        assert abs(weights["canary"][1] / (weights["canary"][1] + weights["stable"][1]) - 0.2) < 1e-9
        merged = json.loads((folder / "reports" / "merged.json").read_text())
        assert merged["accepted"] + merged["dead"] + merged.get("replaced", 0) == merged["read"]
        assert "900000," in (folder / "data" / "merged" / "data.csv").read_text()
        assert support.run_json("run", cwd=folder)["done"] == 0
    finally:
        server.stop()
        server.clean()
