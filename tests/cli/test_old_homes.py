# SPDX-License-Identifier: Apache-2.0
"""Homes as earlier programs wrote them (tests/fixtures) are backed up, migrated and serve on; newer ones are refused."""

import contextlib
import json
import pathlib
import re
import sqlite3
import tarfile

import pytest

import serving
import support

FIXTURES = sorted((support.ROOT / "tests" / "fixtures").glob("home-*.tar.gz"))
MLFLOW = serving.MLFLOW
NEWEST = max(int(p.name[:4]) for p in (support.ROOT / "src" / "store" / "migrations").glob("*.sql"))


@pytest.fixture(params=FIXTURES, ids=lambda p: p.name[:7])
def old(request, tmp_path):
    """(home, schema, what must still be there)"""
    with tarfile.open(request.param) as tar:
        tar.extractall(tmp_path) # our own file
    home = tmp_path / "home"
    return home, int(re.search(r"home-(\d+)", request.param.name).group(1)), json.loads((home / "what.json").read_text())


@contextlib.contextmanager
def database(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        yield db


def content(path):
    """Every row of every table that a database had before, by table."""
    with database(path) as db:
        tables = [t for t, in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")]
        return {t: sorted(map(repr, db.execute(f'SELECT * FROM "{t}"'))) for t in tables}


def schema(path):
    with database(path) as db:
        return db.execute("SELECT MAX(number) FROM schema_migrations").fetchone()[0]


def test_there_are_fixtures():
    assert len(FIXTURES) >= 2


def test_an_old_home_is_backed_up_migrated_and_serves_on(old):
    home, number, what = old
    before = content(home / "gyre.db")
    assert schema(home / "gyre.db") == number < NEWEST
    server = support.Server(home).start()
    try:
        backup = home / f"gyre.db.bak-{number}"
        assert content(backup) == before and schema(backup) == number
        assert schema(home / "gyre.db") == NEWEST

        found = serving.must(server, "POST", MLFLOW + "/runs/search", {"experiment_ids": [what["experiment"]]})["runs"]
        assert {r["info"]["run_id"] for r in found} == {*what["runs"][:2], what["model_run"]}
        for number, run in enumerate(what["runs"]):
            got = serving.must(server, "GET", MLFLOW + f"/runs/get?run_id={run}")["run"]
            assert got["info"]["run_name"] == f"run {number}"
            assert got["data"]["params"] == [{"key": "depth", "value": str(number)}]
            assert {"key": "note", "value": "älter"} in got["data"]["tags"]
            assert [m["value"] for m in got["data"]["metrics"]] == [number / 8]
            history = serving.must(server, "GET", MLFLOW + f"/metrics/get-history?run_id={run}&metric_key=loss")["metrics"]
            assert [(m["step"], m["value"]) for m in history] == [(0, 3.5), (1, "NaN"), (2, 1.7976931348623157e308), (3, number / 8)]
        by_metric = serving.must(server, "POST", MLFLOW + "/runs/search", {
            "experiment_ids": [what["experiment"]], "filter": "metrics.loss < 0.2 and params.depth != '9'",
            "order_by": ["metrics.loss DESC"]})["runs"]
        assert [r["info"]["run_id"] for r in by_metric] == [what["runs"][1], what["runs"][0]]
        assert serving.must(server, "GET", MLFLOW + f"/runs/get?run_id={what['runs'][2]}")["run"]["info"]["lifecycle_stage"] == "deleted"
        gone = serving.must(server, "GET", MLFLOW + f"/experiments/get?experiment_id={what['deleted_experiment']}")
        assert gone["experiment"]["lifecycle_stage"] == "deleted"
        assert serving.request(server, "GET", what["artifact"])[1] == b"an artifact of old"
        champion = serving.must(server, "GET", MLFLOW + "/registered-models/alias?name=sepsis&alias=champion")["model_version"]
        assert champion["run_id"] == what["model_run"]

        connection = serving.Connection(server)
        assert connection.ask({"hr": 120, "resp": 22, "temp": 38.9})[0] == 200 # what was deployed is served
        connection.close()
        for prediction in what["predictions"]:
            traced = support.run_json("trace", prediction, "--home", home, cwd=home.parent)
            assert what["model_run"] in json.dumps(traced)
        # and it is a home like any other from here on
        experiment = serving.must(server, "POST", MLFLOW + "/experiments/create", {"name": "a new one"})["experiment_id"]
        assert int(experiment) > int(what["deleted_experiment"])
        serving.deploy(server, "models:/sepsis/1")
    finally:
        server.stop()
        server.clean()


def test_a_migrated_home_is_backed_up_once(old):
    home, number, _ = old
    for _ in range(2):
        done = support.run_gyre("exp", "list", "--home", home, cwd=home.parent)
        assert done.returncode == 0, done.stderr
    assert [p.name for p in sorted(home.glob("gyre.db.bak-*"))] == [f"gyre.db.bak-{number}"]


def test_the_backup_is_what_the_old_program_can_go_back_to(old, tmp_path):
    """Put back, it is the old database; migrated again, it gives the same."""
    home, number, _ = old
    assert support.run_gyre("exp", "list", "--home", home, cwd=tmp_path).returncode == 0
    first = content(home / "gyre.db")
    for path in home.glob("gyre.db*"):
        if not path.name.endswith(f"bak-{number}"):
            path.unlink()
    (home / f"gyre.db.bak-{number}").rename(home / "gyre.db")
    assert support.run_gyre("exp", "list", "--home", home, cwd=tmp_path).returncode == 0
    second = content(home / "gyre.db")
    first.pop("schema_migrations"), second.pop("schema_migrations") # they say when
    assert second == first


def test_a_newer_home_is_refused_and_left_alone(old):
    home, _, _ = old
    with database(home / "gyre.db") as db:
        db.execute("INSERT INTO schema_migrations (number, name, sha256, actor, created_us) VALUES (999, '0999_later.sql', 'x', 'gyre', 1)")
        db.commit()
    before = content(home / "gyre.db")
    done = support.run_gyre("exp", "list", "--home", home, cwd=home.parent)
    assert done.returncode == 24 and "schema 999" in done.stderr and "hint: use the newer Gyre" in done.stderr
    started = support.run_gyre("server", "--port", "0", "--home", home, cwd=home.parent)
    assert started.returncode == 24 and "schema 999" in started.stderr
    assert content(home / "gyre.db") == before and not list(home.glob("gyre.db.bak-*"))


def test_an_old_home_is_restored_from_a_backup_of_its_time(old, tmp_path):
    """What `gyre backup` made is brought to the newest schema when it is restored."""
    home, _, what = old
    support.run_json("backup", tmp_path / "archive", "--home", home, cwd=tmp_path)
    support.run_json("restore", tmp_path / "archive", "--home", tmp_path / "again", cwd=tmp_path)
    shown = support.run_json("runs", "show", what["runs"][0], "--home", tmp_path / "again", cwd=tmp_path)
    assert what["runs"][0] in json.dumps(shown)
    assert pathlib.Path(tmp_path / "again" / "what.json").exists()
