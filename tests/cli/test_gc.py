# SPDX-License-Identifier: Apache-2.0
"""gyre gc: a plan first; what others stand on stays; what goes is gone with its bytes; nothing that is named is lost."""

import sqlite3
import threading

import pytest

import serving
import support

MLFLOW = serving.MLFLOW
FILES = "/api/2.0/mlflow-artifacts/artifacts/"


@pytest.fixture
def server(tmp_path):
    made = support.Server(tmp_path / "home").start()
    yield made
    made.stop()
    made.clean()


def gc(server, *args):
    return support.run_json("gc", "--home", server.home, *args, cwd=server.home.parent)


def age(server, seconds=2 * 24 * 3600):
    """Make every stored object look older than the grace."""
    import os
    for path in (server.home / "objects").rglob("*"):
        if path.is_file():
            stat = path.stat()
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns - seconds * 10**9))


def objects(server):
    return {p.parent.name + p.name for p in (server.home / "objects").rglob("*") if p.is_file() and len(p.name) == 62}


def make_run(server, experiment="0", content=b"bytes"):
    run = serving.must(server, "POST", MLFLOW + "/runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
    serving.must(server, "POST", MLFLOW + "/runs/log-batch", {
        "run_id": run, "metrics": [{"key": "m", "value": 1.5, "timestamp": 1, "step": 0}],
        "params": [{"key": "p", "value": "1"}], "tags": [{"key": "t", "value": "x"}]})
    serving.must(server, "PUT", f"{FILES}{experiment}/{run}/artifacts/a/file", content)
    return run


def delete(server, run):
    serving.must(server, "POST", MLFLOW + "/runs/delete", {"run_id": run})


def rows_of(server, run):
    """How many rows any table has of a run."""
    with sqlite3.connect(server.home / "gyre.db") as db:
        seqs = [s for s, in db.execute("SELECT seq FROM runs WHERE id = ?", (run,))]
        count = len(seqs)
        for table in ("metrics", "latest_metrics", "run_params", "run_tags", "run_inputs", "run_models"):
            for seq in seqs:
                count += db.execute(f"SELECT COUNT(*) FROM {table} WHERE run = ?", (seq,)).fetchone()[0]
        return count + db.execute("SELECT COUNT(*) FROM artifacts WHERE path LIKE '%' || ? || '%'", (run,)).fetchone()[0]


def test_a_plan_changes_nothing(server):
    run = make_run(server)
    delete(server, run)
    before = rows_of(server, run)
    said = gc(server, "--older-than", "0")
    assert said["applied"] is False and said["runs"] == 1 and said["artifacts"] == 1 and said["artifact_bytes"] == 5
    assert rows_of(server, run) == before > 4
    serving.must(server, "POST", MLFLOW + "/runs/restore", {"run_id": run})
    assert gc(server, "--older-than", "0")["runs"] == 0


def test_what_was_deleted_goes_with_its_bytes_and_nothing_else(server):
    gone, stays = make_run(server, content=b"of the one that goes"), make_run(server, content=b"of the one that stays")
    shared = make_run(server, content=b"of the one that stays")
    delete(server, gone)
    delete(server, shared)
    kept_metrics = rows_of(server, stays)
    assert gc(server, "--older-than", "0", "--yes")["runs"] == 2
    assert rows_of(server, gone) == 0 and rows_of(server, stays) == kept_metrics
    assert serving.request(server, "GET", MLFLOW + f"/runs/get?run_id={gone}")[0] == 404
    assert len(objects(server)) == 2 # within the grace
    age(server)
    said = gc(server, "--yes")
    assert said["objects"] == 1 and said["object_bytes"] == len(b"of the one that goes")
    assert serving.request(server, "GET", f"{FILES}0/{stays}/artifacts/a/file")[1] == b"of the one that stays"
    assert gc(server, "--yes")["objects"] == 0


def test_what_was_deleted_lately_stays(server):
    run = make_run(server)
    delete(server, run)
    assert gc(server, "--older-than", "1h", "--yes")["runs"] == 0
    assert rows_of(server, run) > 0


def test_an_experiment_goes_when_nothing_is_left_in_it(server):
    experiment = serving.must(server, "POST", MLFLOW + "/experiments/create", {"name": "e"})["experiment_id"]
    runs = [make_run(server, experiment) for _ in range(120)] # more than one step
    model = serving.must(server, "POST", MLFLOW + "/logged-models", {"experiment_id": experiment, "name": "m"})
    model_id = model["model"]["info"]["model_id"]
    serving.must(server, "POST", MLFLOW + "/experiments/delete", {"experiment_id": experiment})
    said = gc(server, "--older-than", "0", "--yes")
    assert said["runs"] == len(runs) and said["experiments"] == 0 # the logged model was not deleted
    serving.must(server, "DELETE", MLFLOW + f"/logged-models/{model_id}")
    plan = gc(server, "--older-than", "0")
    assert (plan["logged_models"], plan["experiments"]) == (1, 1)
    said = gc(server, "--older-than", "0", "--yes")
    assert (said["logged_models"], said["experiments"]) == (1, 1)
    assert serving.request(server, "GET", MLFLOW + f"/experiments/get?experiment_id={experiment}")[0] == 404
    # the name is free again
    again = serving.must(server, "POST", MLFLOW + "/experiments/create", {"name": "e"})["experiment_id"]
    assert serving.must(server, "POST", MLFLOW + "/runs/search", {"experiment_ids": [again]}) == {}
    assert int(again) > int(experiment) # the number is not: who still logs to the old one must be told that it is gone


def test_what_a_version_stands_on_is_kept(server):
    _, run = serving.register(server)
    delete(server, run)
    said = gc(server, "--older-than", "0", "--yes")
    assert said["runs"] == 0 and said["kept"] == 1
    age(server)
    gc(server, "--yes")
    serving.deploy(server, "models:/sepsis/1") # the package is whole
    connection = serving.Connection(server)
    assert connection.ask({"hr": 120, "resp": 22, "temp": 38.9})[0] == 200
    connection.close()


def test_nothing_named_is_lost_while_uploads_and_sweeps_race(server):
    """The same bytes are put again and again while they are swept as unnamed: a name always finds its bytes."""
    stop, failed = threading.Event(), []
    content = b"wanted and unwanted"
    path = f"{FILES}0/race/artifacts/file"

    def put_and_delete():
        try:
            while not stop.is_set():
                serving.must(server, "PUT", path, content)
                status, got, _ = serving.request(server, "GET", path)
                if (status, got) != (200, content):
                    failed.append((status, got))
                serving.must(server, "DELETE", path)
        except Exception as why: # else the thread would end and nobody would know
            failed.append(why)

    worker = threading.Thread(target=put_and_delete)
    worker.start()
    try:
        for _ in range(25):
            age(server)
            gc(server, "--grace", "60s", "--yes")
    finally:
        stop.set()
        worker.join()
    assert failed == []


def test_anonymous_callers_and_odd_spans_are_refused(server, tmp_path):
    assert serving.request(server, "POST", "/api/gyre/v1/gc", {"apply": True})[0] == 403
    done = support.run_gyre("gc", "--older-than", "soon", "--home", server.home, cwd=tmp_path)
    assert done.returncode == 3 and "no span of time" in done.stderr and "30d" in done.stderr
    done = support.run_gyre("gc", "--grace", "0", "--home", server.home, cwd=tmp_path)
    assert done.returncode == 3 and "grace_s" in done.stderr
