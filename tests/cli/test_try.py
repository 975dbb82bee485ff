# SPDX-License-Identifier: Apache-2.0
"""`gyre try`: from a person's own file to a served model and a project that repeats it."""

import json
import random
import subprocess
import time
import urllib.request

import pytest

import support


def attempt(tmp_path, *args, **kwargs):
    return support.run_gyre("try", *args, cwd=tmp_path, timeout=300, **kwargs)


def play(tmp_path, *args, code=0):
    done = attempt(tmp_path, *args, "--exit", "--json")
    assert done.returncode == code, done.stderr + done.stdout
    return json.loads(done.stdout)


def patients(n=400, seed=1):
    """Sick is whoever has two of three; `note` is text, `discharged` is filled in for the sick only."""
    r = random.Random(seed)
    lines = ["id,age,pulse,temp,note,discharged,sick"]
    for i in range(n):
        age, pulse, temp = r.randint(20, 90), r.randint(50, 130), r.randint(360, 400) / 10
        sick = int((age > 60) + (pulse > 95) + (temp > 38.5) >= 2) ^ (r.random() < 0.03)
        lines.append(f"{i + 1},{age},{pulse},{temp if r.random() > 0.1 else ''},n{i},{7 if sick else ''},{sick}")
    return lines


def write(tmp_path, name, lines):
    (tmp_path / name).write_text("\n".join(lines) + "\n")
    return name


def columns(result, use):
    return [c["name"] for c in result["profile"]["columns"] if c["use"] == use]


def check(result, steps=8):
    assert len(result["steps"]) == steps and all(s["ok"] and s["value"] for s in result["steps"])
    assert result["accepted"] + result["dead"] == result["read"]
    assert result["verdict"] == "BLESSED" and all(c["passed"] in (True, None) for c in result["checks"])
    assert result["best"]["version"] == 1 and len(result["best"]["run_id"]) == 32
    scores = [t["metrics"][result["metric"]]["value"] for t in result["leaderboard"] if t["ok"]]
    assert scores == sorted(scores, reverse=result["metric"] != "rmse")
    assert result["leaderboard"][0]["text"] == result["best"]["text"]
    for trial in result["leaderboard"]:
        m = trial["metrics"][result["metric"]]
        assert m["low"] <= m["value"] <= m["high"]


def test_a_file_becomes_a_served_model_and_a_project(tmp_path):
    name = write(tmp_path, "my patients.csv", patients())
    result = play(tmp_path, name, "--target", "sick", "--trials", "3")
    check(result)
    assert result["metric"] == "auc" and result["profile"]["task"] == "binary"
    assert columns(result, "input") == ["age", "pulse", "temp"]
    assert columns(result, "leak") == ["discharged"] and columns(result, "text") == ["note"]
    assert result["best"]["metrics"]["auc"]["value"] > 0.8 > 0.5 == result["baseline"]["metrics"]["auc"]["value"]
    assert result["endpoint"] == "my_patients" and result["url"].endswith("/predict") and "-d '{" in result["curl"]
    project = tmp_path / "gyre-try-my_patients"
    assert str(project) == result["project"]
    for file in ("gyre.yaml", "dvc.yaml", "params.yaml", "schema.yaml", "dvc.lock", "reports/profile.json"):
        assert (project / file).is_file(), file
    # Nothing is to be done again; and made from nothing, the model is the same to the byte.
    model = (project / "models/my_patients/model.json").read_bytes()
    again = support.run_json("run", cwd=project)
    assert (again["unchanged"], again["done"]) == (2, 0)
    subprocess.run(["rm", "-rf", project / "models", project / "data/my_patients"], check=True)
    assert support.run_gyre("run", "--force", cwd=project).returncode == 0
    assert (project / "models/my_patients/model.json").read_bytes() == model


def test_every_trial_is_a_run(tmp_path, new_server):
    name = write(tmp_path, "p.csv", patients(200))
    play(tmp_path, name, "--target", "sick", "--trials", "2", "--no-serve")
    server = new_server(home=tmp_path / "gyre-try-p/.gyre")

    def post(path, body):
        request = urllib.request.Request(f"{server.url}/api/2.0/mlflow/{path}", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        return json.load(urllib.request.urlopen(request))

    experiments = post("experiments/search", {"max_results": 10, "filter": "name = 'p'"})["experiments"]
    runs = post("runs/search", {"experiment_ids": [experiments[0]["experiment_id"]]})["runs"]
    names = {r["info"]["run_name"]: r for r in runs}
    assert len(runs) == 5 and {"search", "best", "majority"} <= set(names)
    parent = names["search"]["info"]["run_id"]
    tags = [{t["key"]: t["value"] for t in r["data"]["tags"]} for r in runs]
    assert sum(t.get("mlflow.parentRunId") == parent for t in tags) == 3
    assert all(r["info"]["status"] == "FINISHED" for r in runs)
    logistic = next(r for n, r in names.items() if "logistic" in n)
    assert {"auc", "auc_low", "auc_high"} <= {m["key"] for m in logistic["data"]["metrics"]}


def test_a_number_of_trials_gives_the_same_every_time(tmp_path):
    name = write(tmp_path, "p.csv", patients(200))
    runs = [play(tmp_path, name, "--target", "sick", "--trials", "3", "--no-serve", "--dir", d, "--threads", n)
            for d, n in (("a", "1"), ("b", "2"))]
    for r in runs:
        assert r["search"]["deterministic"] and r["endpoint"] is None and len(r["steps"]) == 7
        for trial in r["leaderboard"]:
            del trial["seconds"]
    assert runs[0]["leaderboard"] == runs[1]["leaderboard"]
    assert runs[0]["best"]["metrics"] == runs[1]["best"]["metrics"]
    models = [(tmp_path / d / "models/p/model.json").read_bytes() for d in "ab"]
    assert models[0] == models[1]


def test_semicolons_classes_and_damaged_records(tmp_path):
    r = random.Random(2)
    lines = [";length;width;kind"]
    for i in range(400):
        a, b = r.gauss(0, 1), r.gauss(0, 1)
        lines.append(f"{i};{a:.3f};{b:.3f};{'oak' if a > 0.4 else 'elm' if b > 0.2 else 'fir'}")
    lines[100] = "99;1.0"
    lines[200] = '199;"0.5;0.2;oak'
    lines[300] = "299;long;0.2;fir"
    result = play(tmp_path, write(tmp_path, "trees.csv", lines), "--target", "kind", "--trials", "1")
    check(result)
    assert (result["read"], result["dead"]) == (400, 3)
    assert result["metric"] == "f1_macro" and [c["name"] for c in result["profile"]["classes"]] == ["elm", "fir", "oak"]
    assert columns(result, "counter") == ["unnamed_1"]
    assert result["steps"][-1]["value"].startswith("kind is \"")


def test_a_quantity_and_its_parts(tmp_path):
    r = random.Random(3)
    lines = ["day,temp,casual,registered,count"]
    for i in range(300):
        temp, a = r.randint(0, 35), r.randint(0, 20)
        b = 3 * temp + r.randint(0, 20)
        lines.append(f"2024-01-{i % 28 + 1:02},{temp},{a},{b},{a + b}")
    result = play(tmp_path, write(tmp_path, "bikes.csv", lines), "--target", "count", "--trials", "1")
    check(result)
    assert columns(result, "input") == ["temp"] and columns(result, "leak") == ["casual", "registered"]
    assert result["best"]["metrics"]["r2"]["value"] > 0.8


def test_what_is_no_better_than_guessing_is_not_served(tmp_path):
    r = random.Random(4)
    lines = ["a,b,y"] + [f"{r.random():.3f},{r.random():.3f},{r.randint(0, 1)}" for _ in range(30)]
    name = write(tmp_path, "tiny.csv", lines)
    result = play(tmp_path, name, "--target", "y", "--trials", "2", code=18)
    assert result["verdict"] == "NOT_BLESSED" and result["endpoint"] is None and result["curl"] is None
    assert any("few" in w for w in result["profile"]["warnings"])


@pytest.mark.parametrize("content,target,message,hint", [
    ("a,b\n1,2\n", "bb", "no column 'bb'", "'b' meant"),
    ("a,y\n" + "1,0\n" * 40, "y", "is '0' wherever", "one class"),
    ("a,y\n" + "1,\n" * 40, "y", "no value in any row", "answer is known"),
    ("a,y\n1,0\n2,1\n3,0\n", "y", "3 rows", "nothing can be learnt"),
    ("PK\x03\x04zip", "y", "spreadsheet", "save it as CSV"),
    ("{\"a\": 1}\n", "a", "is JSON", "CSV"),
    ("a\x00b", "y", "binary", "text"),
    ("", "y", "is empty", "column names"),
    ("1,2,3\n4,5,6\n", "y", "numbers, not names", "column names on top"),
    ("just one\n1\n2\n", "y", "one column", "separated by"),
    ("a,b,a\n1,2,3\n", "b", "two columns 'a'", "rename"),
])
def test_errors_say_what_to_do(tmp_path, content, target, message, hint):
    (tmp_path / "f.csv").write_text(content)
    done = attempt(tmp_path, "f.csv", "--target", target, "--exit", "--trials", "1")
    assert done.returncode not in (0, 2)
    assert message in done.stderr and hint in done.stderr, done.stderr
    assert not (tmp_path / "gyre-try-f").exists()


@pytest.mark.parametrize("words,message", [
    (["missing.csv", "--target", "y"], "missing.csv"),
    ([".", "--target", "y"], "is a folder"),
    (["p.csv"], "--target COLUMN"),
    (["p.csv", "--target", "sick", "--budget", "soon"], "20s or 2m"),
    (["p.csv", "--target", "sick", "--trials", "-3"], "--trials is 1 to"),
    (["p.csv", "--target", "sick", "--server", "http://127.0.0.1:1"], "server of its own"),
    (["p.csv", "--target", "sick", "--task", "poetry"], "--task"),
])
def test_wrong_calls(tmp_path, words, message):
    write(tmp_path, "p.csv", patients(50))
    done = attempt(tmp_path, *words)
    assert done.returncode not in (0,) and message in done.stderr, done.stderr


def test_a_folder_that_was_there_stays(tmp_path):
    write(tmp_path, "p.csv", patients(50))
    (tmp_path / "mine").mkdir()
    assert attempt(tmp_path, "p.csv", "--target", "nope", "--dir", "mine").returncode not in (0, 2)
    assert (tmp_path / "mine").is_dir()


def test_a_folder_of_yours_is_never_emptied(tmp_path):
    name = write(tmp_path, "p.csv", patients(100))
    mine = tmp_path / "gyre-try-p"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    words = [name, "--target", "sick", "--trials", "1", "--exit", "--no-serve", "--json"]
    done = attempt(tmp_path, *words)
    assert done.returncode == 6 and "was not made by gyre try" in done.stderr
    assert (mine / "thesis.txt").read_text() == "years of work"
    (mine / "thesis.txt").unlink()
    assert attempt(tmp_path, *words).returncode in (0, 18)
    assert attempt(tmp_path, *words).returncode in (0, 18)  # unchanged: made anew
    with open(mine / "params.yaml", "a") as out:
        out.write("# mine\n")
    done = attempt(tmp_path, *words)
    assert done.returncode == 6 and "changed since" in done.stderr and "--force" in done.stderr
    assert attempt(tmp_path, *words, "--force").returncode in (0, 18)
    for foreign in ("notes.txt", "data/raw/more.csv"):                                  # not try's own: it was lost
        (mine / foreign).write_text("a week of work")
        done = attempt(tmp_path, *words)
        assert done.returncode == 6 and "changed since" in done.stderr
        assert (mine / foreign).read_text() == "a week of work"
        (mine / foreign).unlink()
    assert attempt(tmp_path, *words).returncode in (0, 18)


def test_the_server_stays_up_until_it_is_ended(tmp_path):
    name = write(tmp_path, "p.csv", patients(300))
    command = [str(support.BIN), "try", name, "--target", "sick", "--trials", "2"]
    out = tmp_path / "out.txt"
    with open(out, "wb") as log:
        child = subprocess.Popen(command, cwd=tmp_path, env=support.clean_env(), stdout=log, stderr=log)
    try:
        end = time.monotonic() + support.READY_S
        while "stays up" not in out.read_text() and time.monotonic() < end and child.poll() is None:
            time.sleep(0.05)
        text = out.read_text()
        assert "stays up" in text and "MLFLOW_TRACKING_URI=http" in text, text
        curl = next(line.strip() for line in text.splitlines() if line.startswith("  curl "))
        answer = subprocess.run(["sh", "-c", curl.replace("curl ", "curl -s ", 1)], capture_output=True, text=True,
                                check=True)
        assert json.loads(answer.stdout)["sick"] in (0, 1)
        second = attempt(tmp_path, name, "--target", "sick", "--trials", "1", "--exit")
        assert second.returncode == 6 and "its server runs" in second.stderr
    finally:
        child.terminate()
        assert child.wait(support.STOP_S) == 0


def test_real_vitals_and_cars(tmp_path, data_dir):
    result = play(tmp_path, data_dir / "auto_mpg.csv", "--target", "mpg", "--trials", "2")
    check(result)
    assert columns(result, "text") == ["name"] and result["best"]["metrics"]["r2"]["value"] > 0.7
    result = play(tmp_path, data_dir / "sepsis_vitals.csv", "--target", "isSepsis", "--trials", "2", "--threads", "1")
    check(result)
    assert result["read"] == 36302 and columns(result, "id") == ["patient_id"]
    assert any("rare" in w for w in result["profile"]["warnings"])
    assert result["best"]["metrics"]["auc"]["low"] > 0.7
