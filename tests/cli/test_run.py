# SPDX-License-Identifier: Apache-2.0
"""gyre run and gyre flow: stages of dvc.yaml, what is skipped, what is recorded, how it ends."""

import json
import os
import pathlib
import signal
import subprocess

import pytest
import requests
import support

PIPELINE = """\
stages:
  clean:
    cmd: grep -v bad raw.csv > clean.csv
    deps: [raw.csv]
    outs: [clean.csv]
  count:
    cmd: wc -l < clean.csv > n.txt; cat params.yaml >> n.txt
    deps: [clean.csv]
    params: [seed]
    outs: [n.txt]
"""


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "gyre.yaml").write_text("name: counting\n")
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "raw.csv").write_text("a\nbad\nb\n")
    (folder / "params.yaml").write_text("seed: 1\n")
    return folder


def statuses(answer):
    return {s["stage"]: s["status"] for s in answer["stages"]}


def test_run_skip_change(project):
    first = support.run_json("run", cwd=project)
    assert statuses(first) == {"clean": "done", "count": "done"}
    assert (project / "n.txt").read_text() == "2\nseed: 1\n"
    again = support.run_json("run", cwd=project)
    assert statuses(again) == {"clean": "unchanged", "count": "unchanged"}
    (project / "params.yaml").write_text("seed: 1\nother: 5\n")  # not a parameter of any stage
    assert support.run_json("run", cwd=project)["done"] == 0
    (project / "params.yaml").write_text("seed: 2\n")
    assert statuses(support.run_json("run", cwd=project)) == {"clean": "unchanged", "count": "done"}
    (project / "raw.csv").write_text("a\nbad\nworse bad\nb\n")
    changed = support.run_json("run", cwd=project)
    # clean.csv comes out the same, so what reads it has nothing to do.
    assert statuses(changed) == {"clean": "done", "count": "unchanged"}
    assert statuses(support.run_json("run", "--force", "clean", cwd=project)) == {"clean": "done"}


def test_found_from_a_folder_below(project):
    below = project / "a" / "b"
    below.mkdir(parents=True)
    done = support.run_json("run", cwd=below)
    assert done["done"] == 2
    assert (project / ".gyre" / "gyre.db").exists()
    assert not (below / ".gyre").exists()
    assert (project / "dvc.lock").exists()


def test_failure_stops(project):
    (project / "dvc.yaml").write_text(PIPELINE.replace("wc -l", "echo loud >&2; exit 7; wc -l"))
    done = support.run_gyre("run", "--json", cwd=project)
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["status"] == "failed"
    assert statuses(answer) == {"clean": "done", "count": "failed"}
    count = answer["stages"][1]
    assert count["exit_code"] == 7
    assert pathlib.Path(count["log"]).read_text().endswith("loud\n")
    assert "loud" in done.stderr
    assert "exit code 7" in done.stderr and "count.log" in done.stderr
    assert "count:" not in (project / "dvc.lock").read_text()
    assert support.run_json("flow", "status", cwd=project)["changed"] == 1


@pytest.mark.parametrize("text, code, words", [
    ("stages:\n  a: {cmd: x, matrix: {m: [1]}}\n", 20, "dvc.yaml:2:23: 'matrix'"),
    ("stages:\n  a: {cmd: x, depz: [y]}\n", 3, "unknown key 'depz'"),
    ("stages:\n  a: {cmd: x, deps: [b], outs: [a]}\n  b: {cmd: x, deps: [a], outs: [b]}\n", 3, "wait for each other"),
    ("stages:\n  a: {cmd: x, deps: [nowhere]}\n", 4, "needs 'nowhere'"),
    ("stages: [\n", 16, "dvc.yaml:"),
])
def test_refused(project, text, code, words):
    (project / "dvc.yaml").write_text(text)
    done = support.run_gyre("run", cwd=project)
    assert done.returncode == code, done.stderr
    assert words in done.stderr


def test_unknown_stage_and_no_project(project, tmp_path):
    done = support.run_gyre("run", "nope", cwd=project)
    assert done.returncode == 4 and "no stage 'nope'" in done.stderr
    empty = tmp_path / "empty"
    empty.mkdir()
    done = support.run_gyre("run", cwd=empty)
    assert done.returncode == 4 and "gyre init" in done.stderr


def test_dag_and_status(project):
    dag = support.run_json("flow", "dag", cwd=project)
    assert dag["stages"] == [{"stage": "clean", "after": []}, {"stage": "count", "after": ["clean"]}]
    status = support.run_json("flow", "status", cwd=project)
    assert status["changed"] == 2
    assert status["stages"][0]["why"] == "it never ran"
    support.run_json("run", cwd=project)
    assert support.run_json("flow", "status", cwd=project)["changed"] == 0
    (project / "clean.csv").write_text("touched\n")
    status = support.run_json("flow", "status", cwd=project)
    assert [s["why"] for s in status["stages"]] == ["output clean.csv changed", "dependency clean.csv changed"]


def test_records_and_lineage_over_a_server(project, new_server):
    server = new_server()
    done = support.run_json("run", "--server", server.url, cwd=project)
    base = server.url + "/api/gyre/v1"
    runs = requests.get(base + "/flow/runs", params={"project": "counting"}, timeout=30).json()["runs"]
    assert [r["id"] for r in runs] == [done["run"]]
    run = requests.get(f"{base}/flow/runs/{done['run']}", timeout=30).json()
    assert run["status"] == "done" and run["ended"] and run["code_revision"] == "unversioned"
    assert [(s["stage"], s["status"], s["exit_code"]) for s in run["steps"]] == [("clean", "done", 0), ("count", "done", 0)]
    assert run["steps"][1]["params"] == {"params.yaml": {"seed": 1}}
    clean = run["steps"][0]["outs"][0]
    assert run["steps"][1]["deps"][0]["sha256"] == clean["sha256"]
    assert clean["size"] == 4
    again = requests.post(f"{base}/flow/runs/{done['run']}/end", json={"status": "done"}, timeout=30)
    assert again.status_code == 409
    assert requests.get(f"{base}/flow/runs/nope", timeout=30).status_code == 404
    bad = requests.put(f"{base}/flow/runs/{done['run']}/steps/x", json={"status": "done"}, timeout=30)
    assert bad.status_code == 409
    assert requests.post(f"{base}/flow/runs", json={"folder": "x"}, timeout=30).status_code == 400


def test_ctrl_c_ends_the_stage_and_is_recorded(project):
    pipe = project / "started"
    os.mkfifo(pipe)
    (project / "dvc.yaml").write_text("stages:\n  long: {cmd: 'echo go > started; sleep 600 | sleep 600', outs: [x]}\n")
    child = subprocess.Popen([str(support.BIN), "run", "--json"], cwd=project, env=support.clean_env(),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        with open(pipe, encoding="ascii") as started:
            assert started.read() == "go\n"
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 22, err
    assert json.loads(out)["status"] == "cancelled"
    runs = support.run_json("flow", "history", cwd=project)["runs"]
    assert runs[0]["status"] == "cancelled"
    assert not (project / "dvc.lock").exists()


def test_stages_call_this_gyre(project):
    (project / "dvc.yaml").write_text("stages:\n  v: {cmd: gyre version --json > v.json, outs: [v.json]}\n")
    support.run_json("run", cwd=project)
    assert json.loads((project / "v.json").read_text()) == json.loads(support.run_gyre("version", "--json", cwd=project).stdout)


def test_a_run_has_a_name(project):
    done = support.run_json("run", "--name", "after the move", cwd=project)
    assert support.run_json("flow", "history", cwd=project)["runs"][0]["name"] == "after the move"
    last = support.run_json("flow", "status", cwd=project)["last_run"]
    assert (last["id"], last["name"], last["status"]) == (done["run"], "after the move", "done")
    shown = support.run_gyre("flow", "status", cwd=project)
    assert f"last run: after the move  {done['run']}, done" in shown.stdout


def test_an_output_of_a_stage_that_has_not_run_is_not_called_made_by_none(project):
    text = support.run_gyre("flow", "status", cwd=project).stdout
    assert "'clean.csv', which is not there and which no stage has made yet" in text
    support.run_json("run", cwd=project)
    assert all(line == line.rstrip() for line in support.run_gyre("flow", "status", cwd=project).stdout.splitlines())


def test_manual_stages_run_only_when_named(project):
    with open(project / "dvc.yaml", "a", encoding="utf-8") as more:
        more.write("  again:\n    cmd: cp n.txt again.txt\n    deps: [n.txt]\n    outs: [again.txt]\n    meta: {gyre: {manual: true}}\n")
    assert statuses(support.run_json("run", cwd=project)) == {"clean": "done", "count": "done"}
    status = support.run_json("flow", "status", cwd=project)
    assert status["changed"] == 0 and status["stages"][2]["status"] == "manual"
    named = support.run_json("run", "again", cwd=project)
    assert statuses(named) == {"clean": "unchanged", "count": "unchanged", "again": "done"}


def test_killed_run_is_cancelled_by_the_next(project):
    """The stage that the killed run left at work is ended too: it would write the files of the next run."""
    pipe = project / "started"
    os.mkfifo(pipe)
    (project / "dvc.yaml").write_text("stages:\n  long: {cmd: 'echo $$ > started; exec sleep 600', outs: [x]}\n")
    child = subprocess.Popen([str(support.BIN), "run"], cwd=project, env=support.clean_env(), stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    with open(pipe, encoding="ascii") as started:
        sleeper = int(started.read())
    child.kill()
    child.wait()
    assert [r["status"] for r in support.run_json("flow", "history", cwd=project)["runs"]] == ["running"]
    (project / "dvc.yaml").write_text(PIPELINE)
    done = support.run_json("run", cwd=project)
    newest, killed = support.run_json("flow", "history", cwd=project)["runs"]
    assert (newest["id"], newest["status"]) == (done["run"], "done")
    assert killed["status"] == "cancelled" and f"killed; found by the run {done['run']}" in killed["error"]
    stat = pathlib.Path(f"/proc/{sleeper}/stat")
    assert not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"
