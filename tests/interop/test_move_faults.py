# SPDX-License-Identifier: Apache-2.0
"""gyre import mlflow where things go wrong: killed in the middle, damaged sources, foreign databases, places that are taken."""

import json
import os
import signal
import sqlite3
import subprocess
import time

import pytest

from serving import by_socket
from support import BIN, Server, clean_env, run_gyre, run_json

RUN = "0123456789abcdef0123456789abcde"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def experiment(root, number, name, **more):
    lines = {"artifact_location": f"file://{root}/{number}", "creation_time": 1000, "experiment_id": f"'{number}'",
             "last_update_time": 2000, "lifecycle_stage": "active", "name": json.dumps(name), **more}
    write(root / str(number) / "meta.yaml", "".join(f"{k}: {v}\n" for k, v in lines.items()))


def run(root, number, run_id, metrics=None, **more):
    lines = {"artifact_uri": f"file://{root}/{number}/{run_id}/artifacts", "end_time": 5000, "experiment_id": f"'{number}'",
             "lifecycle_stage": "active", "run_id": run_id, "run_name": "r", "start_time": 4000, "status": 3, "user_id": "ada",
             **more}
    folder = root / str(number) / run_id
    write(folder / "meta.yaml", "".join(f"{k}: {v}\n" for k, v in lines.items()))
    write(folder / "params" / "p", "1")
    write(folder / "tags" / "mlflow.runName", "r")
    for key, text in (metrics or {}).items():
        write(folder / "metrics" / key, text)
    return folder


@pytest.fixture
def mlruns(tmp_path):
    root = tmp_path / "mlruns"
    experiment(root, 0, "Default")
    experiment(root, 7, "seven")
    for i in range(3):
        run(root, 7, f"{RUN}{i}", {"loss": "".join(f"{1000 + k} {k / 8} {k}\n" for k in range(500))})
    return root


def lines_of(url, what):
    import urllib.request
    with urllib.request.urlopen(f"{url}/api/gyre/v1/export/{what}", timeout=60) as answer:
        return [json.loads(line) for line in answer.read().decode().splitlines()]


@pytest.fixture
def server(tmp_path):
    s = Server(tmp_path / "home").start()
    yield s
    s.stop()


def test_killed_in_the_middle_and_run_again(tmp_path):
    root = tmp_path / "mlruns"
    experiment(root, 7, "seven")
    for i in range(60):
        run(root, 7, f"{RUN[:-1]}{i:02d}", {f"m{k}": "".join(f"{1000 + n} {n / 8} {n}\n" for n in range(4000))
                                            for k in range(2)})
    kills = 0
    for delay in (0.15, 0.3, 0.5, 0.7):
        p = subprocess.Popen([str(BIN), "import", "mlflow", str(root), "--home", str(tmp_path / "home"), "--quiet"],
                             cwd=tmp_path, env=clean_env(), stderr=subprocess.DEVNULL)
        time.sleep(delay)  # where it is killed does not matter: every place must do
        if p.poll() is None:
            os.kill(p.pid, signal.SIGKILL)
            kills += 1
        p.wait()
    report = run_json("import", "mlflow", root, "--home", tmp_path / "home", cwd=tmp_path)
    assert report["ok"] and report["runs"] == 60 and report["points"] == 60 * 2 * 4000
    clean = run_json("import", "mlflow", root, "--home", tmp_path / "clean", cwd=tmp_path)
    assert clean["unchanged_runs"] == 0 and clean["points"] == report["points"]
    both = []
    for home in ("home", "clean"):
        s = Server(tmp_path / home).start()
        runs = lines_of(s.url, "runs?experiment=7")
        both.append((lines_of(s.url, "experiments")[1:], runs, [lines_of(s.url, "points?run=" + r["id"]) for r in runs]))
        s.stop()
    assert both[0] == both[1]
    if not kills:
        pytest.skip("the machine was faster than the first kill")


def test_what_is_damaged_is_named_and_the_rest_comes(mlruns, tmp_path):
    """accepted + rejected = read."""
    (mlruns / "8").mkdir()
    write(mlruns / "8" / "meta.yaml", "artifact_location: file:///x\nexperiment_id: '8'\n")  # cut off
    experiment(mlruns, 9, "nine", creation_time="soon")
    write(mlruns / "7" / f"{RUN}a" / "meta.yaml", "run_id: [\n")
    write(mlruns / "7" / f"{RUN}b" / "meta.yaml", f"run_id: {RUN}0\nexperiment_id: '7'\nstatus: 3\n")
    run(mlruns, 7, f"{RUN}c", {"bad": "1 0.5 0\nnonsense\n2 x 1\n3 0.75 2\n4 1e5\n" + "9" * 9000 + "\n5 1.0 5"}, status=77)
    folder = run(mlruns, 7, f"{RUN}d", {"bad": "1 0.5 0\nnonsense\n2 x 1\n3 0.75 2\n4 1e5\n" + "9" * 9000 + "\n5 1.0 5"})
    (folder / "params" / "binary").write_bytes(b"\xff\xfe")
    os.symlink("/etc/passwd", folder / "link")
    (folder / "artifacts").mkdir()
    os.symlink("/etc/passwd", folder / "artifacts" / "link")
    done = run_gyre("import", "mlflow", mlruns, "--home", tmp_path / "home", "--json", cwd=tmp_path)
    report = json.loads(done.stdout)
    assert done.returncode == 1 and not report["ok"]
    where = {r["where"].replace(str(mlruns) + "/", ""): r["error"] for r in report["rejected_items"]}
    assert set(where) == {
        "8/meta.yaml", "9/meta.yaml", f"7/{RUN}a/meta.yaml", f"7/{RUN}b/meta.yaml", f"7/{RUN}c/meta.yaml",
        f"7/{RUN}d/metrics/bad:2", f"7/{RUN}d/metrics/bad:3", f"7/{RUN}d/metrics/bad:6", f"7/{RUN}d/params/binary",
        f"7/{RUN}d/artifacts/link"}
    assert report["rejected"] == 10 and report["lacking"] == 0 and report["wrong_totals"] == 0
    assert "name" in where["8/meta.yaml"] and "creation_time" in where["9/meta.yaml"] and ":2:" in where["9/meta.yaml"]
    assert "another" in where[f"7/{RUN}b/meta.yaml"] and "77" in where[f"7/{RUN}c/meta.yaml"]
    assert "UTF-8" in where[f"7/{RUN}d/params/binary"]
    assert report["runs"] == 4 and report["points"] == 3 * 500 + 4
    assert run_gyre("import", "mlflow", mlruns, "--home", tmp_path / "home", "--allow-rejected", cwd=tmp_path).returncode == 0


def test_points_that_stand_twice_are_counted_once(mlruns, tmp_path):
    run(mlruns, 7, f"{RUN}e", {"twice": "5 1.0 1\n4 1.0 0\n5 1.0 1\n5 nan 1\n5 nan 1\n5 -0.0 1\n5 0.0 1\n7 inf 2\n7 Infinity 2\n",
                               "a/b": "1 1.0 1\n1 1.0 1\n"})
    report = run_json("import", "mlflow", mlruns, "--home", tmp_path / "home", cwd=tmp_path)
    assert report["points_read"] == 1500 + 11 and report["points"] == 1500 + 6 and report["duplicate_points"] == 5
    assert report["ok"] and report["wrong_totals"] == 0


def test_experiments_whose_place_is_taken(mlruns, server, tmp_path):
    import urllib.request

    def post(path, body):
        r = urllib.request.Request(server.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        return json.loads(urllib.request.urlopen(r, timeout=60).read())

    for i in range(7):  # ids 1 to 7
        post("/api/2.0/mlflow/experiments/create", {"name": f"mine {i}"})
    experiment(mlruns, 3, "mine 1", artifact_location="s3://bucket/3")
    run(mlruns, 3, f"{RUN}f", artifact_uri="s3://bucket/3/x/artifacts")
    report = run_json("import", "mlflow", mlruns, "--home", server.home, cwd=tmp_path)
    places = {e["name"]: (e["source_id"], e["id"]) for e in report["experiments"]}
    assert places == {"Default": (0, 0), "seven": (7, 8), "mine 1": (3, 2)}
    assert any("'seven'" in n and "taken" in n and "8" in n for n in report["notes"])
    assert any("'mine 1'" in n and "2" in n for n in report["notes"])
    assert report["ok"] and report["artifacts_elsewhere"] == 1
    assert [r["artifact_uri"] for r in lines_of(server.url, "runs?experiment=2")] == ["s3://bucket/3/x/artifacts"]
    again = run_json("import", "mlflow", mlruns, "--home", server.home, cwd=tmp_path)
    assert again["unchanged_runs"] == 4 and {e["id"] for e in again["experiments"]} == {0, 2, 8}


def test_a_source_that_grows(mlruns, tmp_path):
    home = tmp_path / "home"
    run_json("import", "mlflow", mlruns, "--home", home, cwd=tmp_path)
    with open(mlruns / "7" / f"{RUN}1" / "metrics" / "loss", "a") as f:
        f.write("9000 0.125 900\n")
    run(mlruns, 7, f"{RUN}9")
    report = run_json("import", "mlflow", mlruns, "--home", home, cwd=tmp_path)
    assert report["ok"] and report["runs"] == 4 and report["unchanged_runs"] == 2 and report["points"] == 1501


def test_what_was_written_here_since_is_no_difference(mlruns, server, tmp_path):
    import urllib.request
    run_json("import", "mlflow", mlruns, "--home", server.home, cwd=tmp_path)
    body = {"run_id": f"{RUN}0", "key": "here", "value": 1.0, "timestamp": 5}
    urllib.request.urlopen(urllib.request.Request(server.url + "/api/2.0/mlflow/runs/log-metric", json.dumps(body).encode(),
                                                  {"Content-Type": "application/json"}), timeout=60).read()
    report = run_json("import", "mlflow", mlruns, "--home", server.home, cwd=tmp_path)
    assert report["ok"] and report["more"] == 1 and report["lacking"] == 0
    assert [d["id"] for d in report["different"]] == [f"{RUN}0"]


def test_a_run_that_was_lost_here_is_missed(mlruns, tmp_path):
    home = tmp_path / "home"
    run_json("import", "mlflow", mlruns, "--home", home, cwd=tmp_path)
    db = sqlite3.connect(home / "gyre.db")
    db.execute("DELETE FROM metrics WHERE run = (SELECT seq FROM runs WHERE id = ?)", (f"{RUN}2",))
    db.commit()
    db.close()
    done = run_gyre("import", "mlflow", mlruns, "--home", home, "--json", cwd=tmp_path)
    report = json.loads(done.stdout)
    assert done.returncode == 1 and report["lacking"] == 1 and report["different"][0]["id"] == f"{RUN}2"
    repaired = run_json("import", "mlflow", mlruns, "--home", home, "--full", cwd=tmp_path)
    assert repaired["ok"] and repaired["lacking"] == 0


def test_a_dry_run_writes_nothing(mlruns, tmp_path):
    report = run_json("import", "mlflow", mlruns, "--home", tmp_path / "home", "--dry-run", cwd=tmp_path)
    assert report["runs"] == 3 and report["points"] == 1500 and report["dry_run"]
    assert not (tmp_path / "home").exists()


def test_foreign_databases(tmp_path):
    db = sqlite3.connect(tmp_path / "other.db")
    db.execute("CREATE TABLE experiments (id INTEGER)")
    db.commit()
    db.close()
    (tmp_path / "no.db").write_bytes(b"this is no database" * 100)
    for name, said in (("other.db", "no database of MLflow"), ("no.db", "not a database"), ("missing.db", "missing.db")):
        before = (tmp_path / name).read_bytes() if (tmp_path / name).exists() else None
        done = run_gyre("import", "mlflow", f"sqlite:///{name}", "--home", tmp_path / "home", cwd=tmp_path)
        assert done.returncode != 0 and said in done.stderr, done.stderr
        assert before is None or (tmp_path / name).read_bytes() == before
    for source in ("ftp://x/y", "gopher:///z", "nowhere"):
        assert run_gyre("import", "mlflow", source, "--home", tmp_path / "home", cwd=tmp_path).returncode != 0


OLD = """
CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name TEXT, artifact_location TEXT, lifecycle_stage TEXT);
CREATE TABLE runs (run_uuid TEXT PRIMARY KEY, name TEXT, source_type TEXT, source_name TEXT, entry_point_name TEXT, user_id TEXT,
  status TEXT, start_time BIGINT, end_time BIGINT, source_version TEXT, lifecycle_stage TEXT, artifact_uri TEXT,
  experiment_id INTEGER);
CREATE TABLE metrics (key TEXT, value FLOAT, timestamp BIGINT, run_uuid TEXT);
CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);
CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
INSERT INTO experiments VALUES (0, 'Default', './mlruns/0', 'active'), (1, 'old', './mlruns/1', 'deleted');
INSERT INTO runs VALUES ('aaaa', '', 'LOCAL', '', '', 'bob', 'FAILED', 5, NULL, '', 'active', './mlruns/1/aaaa/artifacts', 1);
INSERT INTO metrics VALUES ('m', 0.5, 10, 'aaaa'), ('m', 0.25, 20, 'aaaa');
INSERT INTO params VALUES ('p', 'v', 'aaaa');
INSERT INTO tags VALUES ('mlflow.runName', 'ancient', 'aaaa');
"""


def test_a_database_of_an_old_generation(server, tmp_path):
    """Before steps, NaN, registry, datasets, logged models and times of experiments."""
    db = sqlite3.connect(tmp_path / "mlflow.db")
    db.executescript(OLD)
    db.close()
    write(tmp_path / "mlruns" / "1" / "aaaa" / "artifacts" / "a.txt", "hello")
    report = run_json("import", "mlflow", f"sqlite:///{tmp_path}/mlflow.db", "--home", server.home, cwd=tmp_path)
    assert report["ok"] and report["runs"] == 1 and report["points"] == 2 and report["files"] == 1
    got, = lines_of(server.url, "runs?experiment=1")
    assert got["name"] == "ancient" and got["status"] == "FAILED" and got["end_ms"] == 0 and got["params"] == {"p": "v"}
    assert got["artifact_uri"] == "mlflow-artifacts:/1/aaaa/artifacts"
    assert [e["deleted"] for e in lines_of(server.url, "experiments")] == [False, True]


def test_a_protected_alias_stays_protected(tmp_path, server):
    if not (server.home / "gyre.db").exists():
        pytest.skip("the alias is protected by writing to the SQLite file")
    root = tmp_path / "mlruns"
    experiment(root, 0, "Default")
    write(root / "models" / "iris" / "meta.yaml", "creation_timestamp: 1\nlast_updated_timestamp: 2\nname: iris\n")
    write(root / "models" / "iris" / "aliases" / "champion", "1")
    write(root / "models" / "iris" / "version-1" / "meta.yaml",
          "creation_timestamp: 1\ncurrent_stage: None\nlast_updated_timestamp: 2\nname: iris\nversion: 1\nsource: s3://b/x\n")
    db = sqlite3.connect(server.home / "gyre.db", timeout=60)
    db.execute("INSERT INTO protected_aliases (model, alias, gate, needs_approval, actor, created_us) VALUES "
               "('iris', 'champion', 'g', 0, 'test', 1)")
    db.commit()
    db.close()
    done = run_gyre("import", "mlflow", root, "--home", server.home, "--json", cwd=tmp_path)
    report = json.loads(done.stdout)
    assert done.returncode == 1 and report["versions"] == 1
    assert [r["where"] for r in report["rejected_items"]] == ["alias iris champion 1"]
    assert not [x for x in lines_of(server.url, "registry") if x["kind"] == "alias"]


def test_a_batch_leaves_out_what_is_wrong_and_names_it(server):
    lines = [{"kind": "experiment", "id": 40, "name": "forty"}, {"kind": "nonsense"},
             {"kind": "run", "id": "r1", "experiment_id": 40, "artifact_uri": "x", "status": "FINISHED", "params": {"a": "1"}},
             {"kind": "run", "id": "r2", "experiment_id": 999, "artifact_uri": "x", "status": "FINISHED"},
             {"kind": "run", "id": "r3", "experiment_id": 40, "artifact_uri": "x", "status": "DANCING"},
             {"kind": "points", "run": "r1", "key": "m", "points": [1, 0, 0.5, 2, 1, "NaN"]},
             {"kind": "points", "run": "r1", "key": "m", "points": [1, 0]},
             {"kind": "artifact", "path": "40/x", "sha256": "0" * 64, "size": 3},
             {"kind": "version", "name": "nobody", "version": 1}]
    body = "\n".join(map(json.dumps, lines)) + "\nno json\n"
    status, answer = by_socket(server, "POST", "/api/gyre/v1/import/batch?source=test", body.encode())
    assert status == 200
    assert answer["applied"] == 3 and answer["experiments"] == [{"source_id": 40, "id": 40, "place": "kept"}]
    assert sorted(x["line"] for x in answer["rejected"]) == [1, 3, 4, 6, 7, 8, 9]
    assert [p["points"] for p in lines_of(server.url, "points?run=r1")] == [[1, 0, 0.5, 2, 1, "NaN"]]


def literal(value):
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"


def to_postgres(path, postgres):
    """A database like MLflow's on PostgreSQL: the types of its own migrations, the rows of an SQLite file."""
    url = postgres.url()
    db = sqlite3.connect(path)
    script = ["SET standard_conforming_strings = on;"]
    for name, sql in db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall():
        body = [line for line in sql.splitlines()
                if not line.strip().startswith(("CHECK", "FOREIGN KEY", "CONSTRAINT", "UNIQUE"))]
        text = "\n".join(body).rstrip().rstrip(")").rstrip().rstrip(",") + "\n)"
        columns = [c[1] for c in db.execute(f'PRAGMA table_info("{name}")')]
        rows = db.execute(f'SELECT {", ".join(chr(34) + c + chr(34) for c in columns)} FROM "{name}"').fetchall()
        script.append(text.replace("BLOB", "BYTEA").replace("FLOAT", "DOUBLE PRECISION") + ";")
        script += [f'INSERT INTO "{name}" ({", ".join(chr(34) + c + chr(34) for c in columns)}) VALUES '
                   f'({", ".join(map(literal, row))});' for row in rows]
    done = subprocess.run([str(postgres.bin / "psql"), "-v", "ON_ERROR_STOP=1", "-q", "-d", url], input="\n".join(script), text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return url


def test_a_database_in_postgresql(mlruns, tmp_path, postgres):
    run(mlruns, 7, f"{RUN}e", {"nan": "1 nan 0\n2 0.1 1\n", "größe/x": "1 1e300 5\n"}, lifecycle_stage="deleted")
    write(mlruns / "7" / f"{RUN}e" / "artifacts" / "a.txt", "hello")
    write(mlruns / "7" / f"{RUN}e" / "tags" / "quote", "it's \\ \"x\"\n")
    write(mlruns / "models" / "iris" / "meta.yaml", "creation_timestamp: 1\nlast_updated_timestamp: 2\nname: iris\n")
    write(mlruns / "models" / "iris" / "aliases" / "best", "1")
    write(mlruns / "models" / "iris" / "version-1" / "meta.yaml", "creation_timestamp: 1\ncurrent_stage: Production\n"
          f"last_updated_timestamp: 2\nname: iris\nversion: 1\nsource: file://{mlruns}/7/{RUN}e/artifacts\nrun_id: {RUN}e\n")
    run_json("import", "mlflow", mlruns, "--home", tmp_path / "first", cwd=tmp_path)
    out = run_json("export", "mlflow", tmp_path / "out", "--home", tmp_path / "first", cwd=tmp_path)
    assert out["points"] == 1503
    url = to_postgres(tmp_path / "out" / "mlflow.db", postgres)
    report = run_json("import", "mlflow", url, "--home", tmp_path / "second", cwd=tmp_path)
    assert report["ok"] and report["runs"] == 4 and report["points"] == 1503 and report["files"] == 1
    assert report["versions"] == 1 and report["aliases"] == 1
    seen = []
    for home in ("first", "second"):
        s = Server(tmp_path / home).start()
        runs = lines_of(s.url, "runs?experiment=7")
        points = sorted(json.dumps(p) for r in runs for p in lines_of(s.url, "points?run=" + r["id"]))
        seen.append((runs, points, lines_of(s.url, "registry")))
        s.stop()
    assert seen[0] == seen[1]
    assert run_json("import", "mlflow", url, "--home", tmp_path / "second", cwd=tmp_path)["unchanged_runs"] == 4


# ---- what broke ----


def post(server, path, body):
    import urllib.request
    r = urllib.request.Request(server.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    return json.loads(urllib.request.urlopen(r, timeout=60).read())


def test_a_repeat_leaves_a_merged_experiment_as_it_was(mlruns, server, tmp_path):
    """The second import took the experiment it had gone into for its own: it got the source's place and was deleted."""
    post(server, "/api/2.0/mlflow/experiments/create", {"name": "mine", "artifact_location": "s3://mine/1"})
    experiment(mlruns, 3, "mine", artifact_location="s3://theirs/3", lifecycle_stage="deleted")
    before = [e for e in lines_of(server.url, "experiments") if e["name"] == "mine"]
    for _ in range(2):
        assert run_json("import", "mlflow", mlruns, "--home", server.home, cwd=tmp_path)["ok"]
        assert [e for e in lines_of(server.url, "experiments") if e["name"] == "mine"] == before


def test_what_came_deleted_is_kept_as_long_as_what_is_deleted_here(mlruns, tmp_path):
    """It had no time of its end, and the next collection took it whatever it was told to keep."""
    run(mlruns, 7, f"{RUN}a", lifecycle_stage="deleted")
    experiment(mlruns, 9, "gone", lifecycle_stage="deleted")
    home = tmp_path / "home"
    for _ in range(2):
        run_json("import", "mlflow", mlruns, "--home", home, "--full", cwd=tmp_path)
        young = run_json("gc", "--older-than", "1h", "--home", home, cwd=tmp_path)
        assert (young["runs"], young["experiments"]) == (0, 0), young
    time.sleep(1.1)  # ages are whole seconds
    old = run_json("gc", "--older-than", "0s", "--home", home, cwd=tmp_path)
    assert (old["runs"], old["experiments"]) == (1, 1), old


def test_links_and_pipes_in_a_source_are_not_read(mlruns, tmp_path):
    """A tag that was a link brought in any file of this machine; a pipe was waited for; a linked run was lost unsaid."""
    secret = tmp_path / "secret"
    secret.write_text("hush")
    folder = run(mlruns, 7, f"{RUN}a", {"loss": "1 0.5 0\n"})
    os.symlink(secret, folder / "tags" / "stolen")
    os.symlink(secret, folder / "params" / "stolen")
    os.symlink(secret, folder / "metrics" / "stolen")
    os.mkfifo(folder / "metrics" / "pipe")
    elsewhere = run(tmp_path / "other", 7, f"{RUN}b")
    os.symlink(elsewhere, mlruns / "7" / f"{RUN}b")
    experiment(tmp_path / "other", 8, "eight")
    os.symlink(tmp_path / "other" / "8", mlruns / "8")
    done = run_gyre("import", "mlflow", mlruns, "--home", tmp_path / "home", "--json", cwd=tmp_path)
    report = json.loads(done.stdout)
    where = {r["where"].replace(str(mlruns) + "/", "") for r in report["rejected_items"]}
    assert where == {f"7/{RUN}a/{x}" for x in ("tags/stolen", "params/stolen", "metrics/stolen", "metrics/pipe")} | \
        {f"7/{RUN}b", "8"}
    assert done.returncode == 1 and report["rejected"] == 6 and report["runs"] == 4 and report["lacking"] == 0
    server = Server(tmp_path / "home").start()
    try:
        assert "hush" not in json.dumps(lines_of(server.url, "runs?experiment=7"))
    finally:
        server.stop()


def test_an_export_stays_in_its_folder(server, tmp_path):
    """Names that anybody may give led out of it. And a store whose artifacts are elsewhere ended the export with a crash."""
    made = post(server, "/api/2.0/mlflow/runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]["run_id"]
    post(server, "/api/2.0/mlflow/runs/outputs", {"run_id": made, "models": [{"model_id": "../../../../out", "step": 1}]})
    post(server, "/api/2.0/mlflow/experiments/create", {"name": "far", "artifact_location": "s3://far/1"})
    post(server, "/api/2.0/mlflow/runs/create", {"experiment_id": "1", "start_time": 1})
    for name in ("..", "fine"):
        post(server, "/api/2.0/mlflow/registered-models/create", {"name": name})
        post(server, "/api/2.0/mlflow/model-versions/create", {"name": name, "source": "s3://far/model"})
    out = tmp_path / "in" / "export"
    out.parent.mkdir()
    done = run_gyre("export", "mlflow", out, "--format", "files", "--server", server.url, "--json", cwd=tmp_path)
    report = json.loads(done.stdout)
    assert done.returncode == 1 and report["rejected"] == 3, (done.stderr, report)
    assert {r["where"] for r in report["rejected_items"]} == {
        "model '..'", "a version of model '..'", "an output model '../../../../out'"}
    assert not (out / "meta.yaml").exists() and (out / "models" / "fine" / "version-1" / "meta.yaml").is_file()
    assert sorted(p.name for p in out.parent.iterdir()) == ["export"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home", "home.server.log", "in"]


def test_many_rejected_lines_cost_what_they_are(server):
    """Each took the whole batch back to its first line. What lies between them is stored, in order, once."""
    lines = [{"kind": "experiment", "id": 40, "name": "forty"}]
    for i in range(400):
        lines.append({"kind": "nonsense"})
        lines.append({"kind": "run", "id": f"r{i}", "experiment_id": 40, "artifact_uri": "x", "status": "FINISHED"})
    status, answer = by_socket(server, "POST", "/api/gyre/v1/import/batch?source=test", "\n".join(map(json.dumps, lines)).encode())
    assert status == 200
    assert answer["applied"] == 401 and answer["experiments"] == [{"source_id": 40, "id": 40, "place": "kept"}]
    assert [x["line"] for x in answer["rejected"]] == list(range(1, 801, 2))
    assert len(lines_of(server.url, "runs?experiment=40")) == 400


def test_a_store_moves_into_a_workspace_and_out_again(mlruns, server, tmp_path):
    """Bytes were to be had in the default workspace alone: an import into another one ended at its first file."""
    import identity
    identity.add_workspace(server, "lab")
    write(mlruns / "7" / f"{RUN}0" / "artifacts" / "a.txt", "hello")
    lab = ("--workspace", "lab", "--home", server.home)
    report = run_json("import", "mlflow", mlruns, *lab, cwd=tmp_path)
    assert report["ok"] and report["files"] == 1 and report["runs"] == 3
    out = run_json("export", "mlflow", tmp_path / "out", "--format", "files", *lab, cwd=tmp_path)
    assert out["runs"] == 3 and out["files"] == 1 and out["points"] == 1500
    assert [p.read_text() for p in (tmp_path / "out").rglob("a.txt")] == ["hello"]
    assert run_json("export", "mlflow", tmp_path / "none", "--server", server.url, cwd=tmp_path)["runs"] == 0
