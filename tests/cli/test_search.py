# SPDX-License-Identifier: Apache-2.0
"""`gyre train --search`: trials as runs, the same at any number of processes, resumed after a kill."""

import json
import random
import re
import shlex
import signal
import subprocess
import time
import urllib.request

import support


def patients(n=240, seed=1):
    r = random.Random(seed)
    lines = ["age,pulse,temp,sick"]
    for _ in range(n):
        age, pulse, temp = r.randint(20, 90), r.randint(50, 130), r.randint(360, 400) / 10
        sick = int((age > 60) + (pulse > 95) + (temp > 38.5) >= 2) ^ (r.random() < 0.05)
        lines.append(f"{age},{pulse},{temp if r.random() > 0.1 else ''},{sick}")
    return lines


def write(folder, lines, name="p.csv"):
    (folder / name).write_text("\n".join(lines) + "\n")
    return name


def train(folder, name, *args, code=0, **kwargs):
    done = support.run_gyre("train", name, *args, "--json", cwd=folder, timeout=300, **kwargs)
    assert done.returncode == code, done.stderr + done.stdout
    return json.loads(done.stdout)


def told(board):
    """What of a leaderboard must not depend on machine, processes or time."""
    return [{k: v for k, v in t.items() if k not in ("seconds", "predict_us", "run_id", "found")} for t in board]


def post(server, path, body):
    request = urllib.request.Request(f"{server.url}/api/2.0/mlflow/{path}", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request))


def tags(run):
    return {t["key"]: t["value"] for t in run["data"]["tags"]}


def test_every_trial_is_a_run_and_the_best_is_trained(tmp_path, new_server):
    (tmp_path / ".gyre").mkdir()
    name = write(tmp_path, patients())
    found = train(tmp_path, name, "--target", "sick", "--search", "9trials", "--jobs", "2", "--register", "sick")
    search, board = found["search"], found["leaderboard"]
    assert (search["metric"], search["trials"], search["found"], search["folds"]) == ("auc", 9, 0, 5)
    assert search["baseline"] == 0.5 and search["ended"] == "all trials are done" and search["deterministic"]
    assert [t["rank"] for t in board] == list(range(1, 10)) and board[0]["trial"] == search["best_trial"]
    scores = [t["auc"] for t in board if t["ok"]]
    assert scores == sorted(scores, reverse=True) and scores[0] > 0.75
    for t in board:
        assert t["interval"][0] <= t["auc"] <= t["interval"][1] and t["seconds"] > 0 and t["model_bytes"] > 0
    assert found["learner"] == board[0]["learner"] and found["version"] == 1 and found["metrics"]["auc"]["value"] > 0.7
    server = new_server(home=tmp_path / ".gyre")
    runs = post(server, "runs/search", {"experiment_ids": [found["experiment_id"]], "max_results": 100})["runs"]
    below = [r for r in runs if tags(r).get("mlflow.parentRunId") == search["run_id"]]
    assert len(runs) == 12 and len(below) == 11  # nine trials, the baseline, the best on all rows; and the parent
    assert {t["run_id"] for t in board} < {r["info"]["run_id"] for r in below}
    assert found["run_id"] in {r["info"]["run_id"] for r in below}
    assert all(r["info"]["status"] == "FINISHED" for r in runs)
    trial = next(r for r in below if r["info"]["run_id"] == board[0]["run_id"])
    assert {"auc", "auc_low", "auc_high", "training_seconds", "predict_us", "model_bytes"} <= {
        m["key"] for m in trial["data"]["metrics"]}
    parent = next(r for r in runs if r["info"]["run_id"] == search["run_id"])
    path = parent["info"]["artifact_uri"].split(":/", 1)[1]
    kept = urllib.request.urlopen(f"{server.url}/api/2.0/mlflow-artifacts/artifacts/{path}/leaderboard.json")
    assert json.load(kept)["leaderboard"] == board


def test_the_same_trials_at_any_number_of_processes(tmp_path):
    name = write(tmp_path, patients(160))
    results = [train(tmp_path, name, "--target", "sick", "--search", "16", "--jobs", jobs, "--seed", "3",
                     "--learner", "xgboost")
               for jobs in ("1", "3")]
    assert told(results[0]["leaderboard"]) == told(results[1]["leaderboard"])
    assert results[0]["digest"] != "" and results[0]["metrics"] == results[1]["metrics"]


def test_a_killed_search_goes_on(tmp_path):
    name = write(tmp_path, patients(160))
    how = ("--target", "sick", "--search", "16trials", "--jobs", "2", "--learner", "xgboost")  # 9 of a portfolio, 7 proposed
    whole = train(tmp_path, name, *how, "--experiment", "whole")
    args = ("train", name, *how, "--experiment", "cut")
    child = subprocess.Popen([str(support.BIN), *args], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             env=support.clean_env())
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and child.poll() is None:
        listed = support.run_gyre("runs", "list", "--experiment", "cut", "--json", cwd=tmp_path)
        if listed.returncode == 0 and listed.stdout.count('"run_id"') >= 10:
            break
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    resumed = train(tmp_path, *args[1:], "--resume")
    assert resumed["search"]["found"] >= 1
    assert told(resumed["leaderboard"]) == told(whole["leaderboard"])
    assert resumed["metrics"] == whole["metrics"] and resumed["search"]["best_trial"] == whole["search"]["best_trial"]
    again = train(tmp_path, *args[1:], "--resume")
    assert again["search"]["found"] == 16 and again["search"]["run_id"] == resumed["search"]["run_id"]
    assert told(again["leaderboard"]) == told(whole["leaderboard"])
    # Other params are another search: nothing is found.
    other = train(tmp_path, *args[1:], "--resume", "--seed", "9")
    assert other["search"]["found"] == 0


def test_a_time_a_metric_one_learner_and_a_simple_model(tmp_path):
    r = random.Random(2)
    lines = ["a,b,c,y"] + [f"{(a := r.gauss(0, 1)):.4f},{(b := r.gauss(0, 1)):.4f},{r.gauss(0, 1):.4f},"
                           f"{3 * a - b + r.gauss(0, 0.5):.4f}" for _ in range(200)]
    name = write(tmp_path, lines)
    timed = train(tmp_path, name, "--target", "y", "--search", "2s", "--metric", "mae", "--jobs", "1")
    assert timed["search"]["metric"] == "mae" and not timed["search"]["deterministic"] and timed["search"]["trials"] >= 1
    one = train(tmp_path, name, "--target", "y", "--search", "9", "--learner", "xgboost", "--jobs", "1")
    assert {t["learner"] for t in one["leaderboard"]} == {"xgboost"}
    simple = train(tmp_path, name, "--target", "y", "--search", "9", "--prefer", "simple", "--jobs", "1")
    assert simple["learner"] == "linear"
    by = {t["trial"]: t for t in simple["leaderboard"]}
    assert by[simple["search"]["best_trial"]]["model_bytes"] <= min(t["model_bytes"] for t in by.values() if t["ok"])


def test_classes_and_people_read_a_leaderboard(tmp_path):
    r = random.Random(3)
    lines = ["a,b,kind"]
    for _ in range(150):
        a, b = r.gauss(0, 1), r.gauss(0, 1)
        lines.append(f"{a:.3f},{b:.3f},{'oak' if a > 0.4 else 'elm' if b > 0.2 else 'fir'}")
    done = support.run_gyre("train", write(tmp_path, lines), "--target", "kind", "--search", "8trials", "--jobs", "2",
                            cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "searched with 8 trials" in done.stdout and "f1_macro" in done.stdout and "baseline" in done.stdout


def test_the_folds_follow_the_split(tmp_path):
    r = random.Random(4)
    lines = ["ward,when,a,y"]
    for i in range(240):
        ward = r.randint(1, 20)
        lines.append(f"w{ward},2024-01-01T{i // 60:02}:{i % 60:02}:00Z,{r.gauss(0, 1):.3f},{ward % 2}")
    name = write(tmp_path, lines)
    for split in ("{by: group, column: ward}", "{by: time, column: when}"):
        (tmp_path / "params.yaml").write_text(f"train: {{features: [a], split: {split}}}\n")
        found = train(tmp_path, name, "--target", "y", "--params", "params.yaml", "--search", "3", "--jobs", "1")
        assert found["search"]["folds"] == (1 if "time" in split else 5)
        assert abs(found["leaderboard"][0]["auc"] - 0.5) < 0.25  # a says nothing, and no ward is on both sides


def test_what_can_not_be_searched_says_so(tmp_path):
    def refused(lines, *args, target="y"):
        done = support.run_gyre("train", write(tmp_path, lines), "--target", target, *args, "--jobs", "2", cwd=tmp_path,
                                timeout=120)
        assert done.returncode != 0 and "Traceback" not in done.stderr
        return done.stderr

    rows = [f"{i},{i % 7}" for i in range(60)]
    assert "class" in refused(["x,y"] + [f"{i},1" for i in range(60)], "--search", "3")
    refused(["x,y", "1,0"], "--search", "3")
    assert "few" in refused(["x,y"] + [f"{i},{i % 2}" for i in range(9)], "--search", "3")
    for budget in ("soon", "-3", "0s", "2.5trials", "5000"):
        assert "--search" in refused(["x,y"] + rows, "--search", budget)
    assert "metric" in refused(["x,y"] + [f"{i},{i % 2}" for i in range(60)], "--search", "3", "--metric", "rmse")
    assert "learners" in refused(["x,y"] + [f"{i},{i % 2}" for i in range(60)], "--search", "3", "--learner", "linear")
    assert "--prefer" in refused(["x,y"] + rows, "--search", "3", "--prefer", "cheap")
    assert "two ways" in refused(["x,y"] + rows, "--search", "3", "--grid", "depth=1,2")


def test_a_column_that_tells_the_target_is_warned_of(tmp_path):
    r = random.Random(5)
    lines = ["a,discharged,y"]
    for _ in range(200):
        y = r.randint(0, 1)
        lines.append(f"{r.gauss(0, 1):.3f},{y * 7},{y}")
    found = train(tmp_path, write(tmp_path, lines), "--target", "y", "--search", "3", "--jobs", "1")
    assert any("discharged" in w for w in found["warnings"])


def test_the_commands_of_the_documentation(tmp_path):
    r = random.Random(6)
    lines = ["acid,sugar,alcohol,quality"] + [
        f"{(a := r.gauss(7, 1)):.2f},{r.expovariate(0.2):.2f},{(b := r.gauss(10, 1)):.2f},{b - 0.5 * a + r.gauss(0, 0.5):.2f}"
        for _ in range(150)]
    write(tmp_path, lines, "wine.csv")
    (tmp_path / "params.yaml").write_text("train: {target: quality, steps: [impute, zscore]}\n")
    doc = (support.ROOT / "docs/search.md").read_text()
    commands = re.findall(r"```sh\n(.*?)```", doc, re.S)[0].strip().split("\n")
    assert len(commands) == 5
    said = []
    for command in commands:
        words = shlex.split(command)[1:]
        done = support.run_gyre(*words, *([] if "--json" in words else ["--json"]), cwd=tmp_path, timeout=300)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        said.append(json.loads(done.stdout)["search"])
    assert said[2]["found"] == 12 and said[2]["trials"] == 16
    options = {w for c in commands for w in shlex.split(c) if w.startswith("--")}
    helped = support.run_gyre("train", "-h", cwd=tmp_path).stdout
    for option in ("--search", "--resume", "--prefer", "--patience", "--jobs", "--metric"):
        assert option in helped and f"`{option}" in doc and (option in options or option == "--patience")
