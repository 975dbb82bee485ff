# SPDX-License-Identifier: Apache-2.0
"""The restore drill: a busy home is backed up, lost, restored, and every prediction is traced to its approver."""

import json
import os
import pathlib
import sqlite3
import threading

import pytest

import serving
import support

ROW = {"hr": 120, "resp": 22, "temp": 38.9}


def backup(server_or_home, archive, cwd):
    home = getattr(server_or_home, "home", server_or_home)
    return support.run_json("backup", archive, "--home", home, cwd=cwd)


def restore(archive, home, cwd, *more):
    return support.run_json("restore", archive, "--home", home, *more, cwd=cwd)


def predict(connection):
    status, answer = connection.ask(ROW)
    assert status == 200, answer
    return answer["prediction_id"]


@pytest.fixture
def server(tmp_path):
    made = support.Server(tmp_path / "home").start()
    yield made
    if made.process is not None:
        made.stop()
    made.clean()


def test_the_drill_ends_in_a_trace(server, tmp_path):
    serving.serve(server)
    connection = serving.Connection(server)
    ids = [predict(connection) for _ in range(50)]
    serving.must(server, "POST", "/api/gyre/v1/feedback", {"prediction_id": ids[0], "label": "1"}, status=(200, 201, 202))
    made = backup(server, tmp_path / "archive", tmp_path)
    assert made["objects"] > 0 and made["segments"] > 0
    assert (tmp_path / "archive").stat().st_mode & 0o777 == 0o700  # the digests of passwords are in it
    later = predict(connection)
    connection.close()
    server.kill()
    server.clean()
    restored = restore(tmp_path / "archive", tmp_path / "again", tmp_path)
    assert restored["id"] == made["id"]
    again = support.Server(tmp_path / "again").start()
    try:
        for prediction in ids:
            traced = support.run_json("trace", prediction, "--home", again.home, cwd=tmp_path)
            assert "sepsis" in json.dumps(traced)
        assert support.run_gyre("trace", later, "--home", again.home, cwd=tmp_path).returncode != 0
        connection = serving.Connection(again)
        assert predict(connection) not in ids # it serves what was served
        connection.close()
    finally:
        again.stop()
        again.clean()


def test_a_point_is_one_point_while_everything_moves(server, tmp_path):
    """Runs, deploys and predictions go on during backups: in each snapshot every prediction has its revision, every
    artifact its bytes, and what was acknowledged before the backup began is there."""
    serving.serve(server)
    stop, failed, known = threading.Event(), [], {"predictions": [], "runs": []}

    def keep(work):
        try:
            while not stop.is_set():
                work()
        except Exception as why: # whatever it is fails the test below
            failed.append(why)

    connection = serving.Connection(server)

    def ask():
        known["predictions"].append(predict(connection))

    def log():
        run = serving.must(server, "POST", serving.MLFLOW + "/runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
        serving.must(server, "POST", serving.MLFLOW + "/runs/log-batch",
                     {"run_id": run, "metrics": [{"key": "m", "value": i, "timestamp": i, "step": i} for i in range(50)]})
        serving.must(server, "PUT", f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/f", os.urandom(50_000))
        known["runs"].append(run)

    def redeploy():
        serving.deploy(server, "models:/sepsis/1")

    threads = [threading.Thread(target=keep, args=(work,)) for work in (ask, log, redeploy)]
    for t in threads:
        t.start()
    before = []
    try:
        for _ in range(4):
            acknowledged = {kind: list(ids) for kind, ids in known.items()}
            before.append((backup(server, tmp_path / "archive", tmp_path)["id"], acknowledged))
    finally:
        stop.set()
        for t in threads:
            t.join()
        connection.close()
    assert failed == []
    server.stop()
    server.clean()
    listed = support.run_json("backup", "list", tmp_path / "archive", cwd=tmp_path)["snapshots"]
    assert [s["id"] for s in listed] == [i for i, _ in before]
    for number, (snapshot, acknowledged) in enumerate(before):
        support.run_json("backup", "verify", tmp_path / "archive", snapshot, cwd=tmp_path)
        home = tmp_path / f"again{number}"
        restore(tmp_path / "archive", home, tmp_path, "--snapshot", snapshot)
        with sqlite3.connect(home / "gyre.db") as db:
            revisions = {n for n, in db.execute("SELECT revision FROM endpoint_revisions WHERE endpoint = 'sepsis'")}
            runs = {i for i, in db.execute("SELECT id FROM runs")}
        assert set(acknowledged["runs"]) <= runs
        again = support.Server(home).start()
        try:
            for prediction in acknowledged["predictions"][-5:]:
                traced = support.run_json("trace", prediction, "--home", home, cwd=tmp_path)
                assert int(str(traced["revision"]).rsplit("/", 1)[-1]) in revisions
        finally:
            again.stop()
            again.clean()


def test_a_second_backup_copies_what_is_new(server, tmp_path):
    serving.serve(server)
    first = backup(server, tmp_path / "archive", tmp_path)
    serving.must(server, "PUT", "/api/2.0/mlflow-artifacts/artifacts/0/x/artifacts/new", b"new bytes")
    second = backup(server, tmp_path / "archive", tmp_path)
    assert first["new_objects"] == first["objects"]
    assert second["new_objects"] == 1 and second["new_bytes"] == len(b"new bytes")
    assert second["objects"] == first["objects"] + 1


def test_without_a_server_what_a_killed_one_left_is_taken_along(server, tmp_path):
    serving.serve(server)
    connection = serving.Connection(server)
    ids = [predict(connection) for _ in range(20)]
    connection.close()
    server.kill() # what was answered last may lie in its rings alone
    backup(server, tmp_path / "archive", tmp_path)
    restore(tmp_path / "archive", tmp_path / "again", tmp_path)
    for prediction in ids:
        assert support.run_gyre("trace", prediction, "--home", tmp_path / "again", cwd=tmp_path).returncode == 0


def objects_of(archive):
    return sorted(p for p in (archive / "objects").rglob("*") if p.is_file() and len(p.name) == 62)


@pytest.mark.parametrize("what", ["object", "missing object", "database", "log", "manifest"])
def test_damage_is_found_and_nothing_is_restored(server, tmp_path, what):
    serving.serve(server)
    connection = serving.Connection(server)
    predict(connection)
    connection.close()
    archive = tmp_path / "archive"
    snapshot = archive / "snapshots" / backup(server, archive, tmp_path)["id"]
    target = {"object": objects_of(archive)[0], "missing object": objects_of(archive)[0], "database": snapshot / "gyre.db",
              "log": next(p for p in (snapshot / "log").iterdir() if p.suffix == ".seg"),
              "manifest": snapshot / "manifest.json"}[what]
    os.chmod(target, 0o600)
    if what == "missing object":
        target.unlink()
    else:
        data = bytearray(target.read_bytes())
        data[len(data) // 2] ^= 0x20
        target.write_bytes(data)
    done = support.run_gyre("backup", "verify", archive, cwd=tmp_path)
    assert done.returncode != 0 and done.stderr.startswith("gyre: "), done.stderr
    assert support.run_gyre("restore", archive, "--home", tmp_path / "again", cwd=tmp_path).returncode != 0
    assert not (tmp_path / "again").exists() and not list(tmp_path.glob("again*"))


def test_an_existing_home_is_never_overwritten(server, tmp_path):
    serving.serve(server)
    backup(server, tmp_path / "archive", tmp_path)
    done = support.run_gyre("restore", tmp_path / "archive", "--home", server.home, cwd=tmp_path)
    assert done.returncode == 6 and "is not empty" in done.stderr
    assert serving.must(server, "GET", "/api/gyre/v1/endpoints")["endpoints"]


def test_an_archive_is_only_made_where_nothing_is(server, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    done = support.run_gyre("backup", tmp_path / "mine", "--home", server.home, cwd=tmp_path)
    assert done.returncode == 6 and "no archive" in done.stderr and "hint:" in done.stderr
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["letter.txt"]
    done = support.run_gyre("backup", "list", tmp_path / "mine", cwd=tmp_path)
    assert done.returncode == 4


def test_pruning_asks_first_and_keeps_what_is_needed(server, tmp_path):
    archive = tmp_path / "archive"
    run = serving.must(server, "POST", serving.MLFLOW + "/runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
    path = f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/"
    for name in ("old", "kept"):
        serving.must(server, "PUT", path + name, name.encode() * 100)
    backup(server, archive, tmp_path)
    serving.must(server, "DELETE", path + "old")
    backup(server, archive, tmp_path)
    would = support.run_json("backup", "prune", archive, "--keep", "1", cwd=tmp_path)
    assert would == {"removed": False, "snapshots": 1, "objects": 1, "bytes": 300}
    assert len(objects_of(archive)) == 2
    assert support.run_json("backup", "prune", archive, "--keep", "1", "--yes", cwd=tmp_path)["removed"]
    assert len(objects_of(archive)) == 1
    support.run_json("backup", "verify", archive, cwd=tmp_path)
    assert len(list((archive / "snapshots").iterdir())) == 1


def test_what_an_interrupted_backup_left_is_pruned(server, tmp_path):
    archive = tmp_path / "archive"
    backup(server, archive, tmp_path)
    part = archive / "snapshots" / ".part-2020-01-01T00-00-00.000000Z"
    part.mkdir()
    (part / "gyre.db").write_bytes(b"half")
    assert len(support.run_json("backup", "list", archive, cwd=tmp_path)["snapshots"]) == 1
    support.run_json("backup", "prune", archive, "--yes", cwd=tmp_path)
    assert not part.exists()


def test_anonymous_callers_make_no_backups(server, tmp_path):
    status, answer, _ = serving.request(server, "POST", "/api/gyre/v1/backup", {"dir": str(tmp_path / "x")})
    assert status == 403 and "needs admin" in answer["detail"], answer
    assert not (tmp_path / "x").exists()
    status, answer = serving.by_socket(server, "POST", "/api/gyre/v1/backup", {"dir": "relative"})
    assert status == 400


def test_a_home_is_restored_into_a_database_of_its_own(server, tmp_path, postgres):
    """The copy of one kind of store fills another kind."""
    url = postgres.url()
    serving.serve(server)
    backup(server, tmp_path / "archive", tmp_path)
    restore(tmp_path / "archive", tmp_path / "again", tmp_path, "--store", url)
    again = support.Server(tmp_path / "again", ["--store", url]).start()
    try:
        assert serving.must(again, "GET", "/api/gyre/v1/endpoints")["endpoints"]
        version, _ = serving.register(again, "another") # the counters go on behind what was restored
        assert version == 1
        made = backup(again, tmp_path / "archive2", tmp_path)
        assert made["rows"] > 0
    finally:
        again.stop()
        again.clean()
    assert not pathlib.Path(tmp_path / "again" / "gyre.db").exists()
    restore(tmp_path / "archive2", tmp_path / "third", tmp_path)
    third = support.Server(tmp_path / "third").start() # no URL: what the archive was made of is not looked for
    try:
        assert serving.must(third, "GET", "/api/gyre/v1/endpoints")["endpoints"]
    finally:
        third.stop()
        third.clean()
