# SPDX-License-Identifier: Apache-2.0
"""`gyre data ingest --append` under kill -9 (at random moments, and at each of its requests) and on a disk that is full, in the
home or beside the data. The same command again ends with each row once, in the order of the source."""

import json
import os
import random
import subprocess
import time

import pytest
import support
from relay import Relay

SCHEMA = "columns:\n  - {name: id, type: int, required: true}\n  - {name: x, type: int, max: 1000}\n"


def command(*args):
    return [str(support.BIN), "data", "ingest", "--append", "--name", "d", *map(str, args)]


def checkout(cwd, *args):
    done = support.run_gyre("data", "checkout", "d", "-o", "checked.csv", *args, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return [int(line.split(",")[0]) for line in (cwd / "checked.csv").read_text().splitlines()[1:]]


def kill_after(cwd, seconds, *args):
    process = subprocess.Popen(command(*args), cwd=cwd, env=support.clean_env(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    process.kill()
    process.wait()


def must(cwd, *args):
    done = subprocess.run(command(*args), cwd=cwd, env=support.clean_env(), capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr


def leftovers(cwd):
    return [p.name for p in (cwd / "data").iterdir() if p.name != "data.csv" and not p.name.startswith("data.csv.")]


def test_at_random_moments_while_files_come(tmp_path):
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    (tmp_path / "in").mkdir()
    chance, rows = random.Random(7), 0
    for i in range(12):
        n = chance.randint(1, 30_000)
        text = "id,x\n" + "".join(f"{k},{2000 if k % 1000 == 0 else 5}\n" for k in range(rows, rows + n))
        rows += n
        (tmp_path / "in" / f"{i:03}.csv").write_text(text)
        kill_after(tmp_path, chance.choice((0.001, 0.004, 0.008, 0.015, 0.03)), "in")
        if chance.random() < 0.5:
            must(tmp_path, "in")
    must(tmp_path, "in")
    assert checkout(tmp_path) == [k for k in range(rows) if k % 1000]
    # Letters are appended before the version is made: a kill in between repeats them, and loses none.
    dead = [json.loads(json.loads(line)["data"].split(",")[0]) for line in (tmp_path / "dlq.log").read_text().splitlines()]
    assert sorted(set(dead)) == list(range(0, rows, 1000))
    assert leftovers(tmp_path) == []
    shown = support.run_json("data", "show", "d", cwd=tmp_path)
    assert shown["rows"] == shown["accepted"] == shown["read"] - shown["dead"]


def test_at_random_moments_while_rows_come(postgres, tmp_path):
    url = postgres.password_url()
    sql = lambda text: postgres.sql(text, url.rsplit("/", 1)[1])
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    sql("CREATE TABLE m (id bigint PRIMARY KEY, x int)")
    args = ("--from", url, "--query", "SELECT id, x FROM m", "--watermark", "id")
    chance, rows = random.Random(8), 0
    for _ in range(10):
        n = chance.randint(1, 8000)
        sql(f"INSERT INTO m SELECT i, 5 FROM generate_series({rows}, {rows + n - 1}) i")
        rows += n
        kill_after(tmp_path, chance.choice((0.005, 0.02, 0.03, 0.05)), *args)
    must(tmp_path, *args)
    assert checkout(tmp_path) == list(range(rows))


@pytest.mark.parametrize("step", range(1, 9))
def test_at_each_request(new_server, tmp_path, step):
    """The relay passes a request on, so that the server does it, and kills the client before its answer."""
    server = new_server()
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("id,x\n1,1\n2,2\n")
    must(tmp_path, "in", "--server", server.url)
    (tmp_path / "in" / "b.csv").write_text("id,x\n3,3\n4,4\n")
    relay = Relay(int(server.url.rsplit(":", 1)[1]))
    try:
        relay.last = step
        relay.victim = subprocess.Popen(command("in", "--server", relay.url), cwd=tmp_path, env=support.clean_env(),
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        out, err = relay.victim.communicate(timeout=60)
        seen = len(relay.seen)
    finally:
        relay.shutdown()
    if relay.victim.returncode == 0:
        assert seen < step, err  # it makes fewer requests than this
    else:
        assert seen == step
        ids = checkout(tmp_path, "--server", server.url)
        assert ids in ([1, 2], [1, 2, 3, 4]), (relay.seen, out, err)
    must(tmp_path, "in", "--server", server.url)
    assert checkout(tmp_path, "--server", server.url) == [1, 2, 3, 4]
    assert relay.seen[0][1].endswith("/datasets/d/taken") and (step < 6 or relay.seen[-1] == ("POST", "/api/gyre/v1/datasets"))


def fill(where, leave_kb):
    path = where / "filler"
    at = os.statvfs(where)
    with open(path, "wb") as out:
        os.posix_fallocate(out.fileno(), 0, max(4096, at.f_bavail * at.f_frsize - leave_kb * 1024))
    return path


@pytest.mark.parametrize("full", ["home", "data"])
def test_on_a_full_disk(tmp_path, small_disk, full):
    """Wherever it fills up: an error, no version, and the dead rows that were told are told again with the next try."""
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    args = ("in", "--home", small_disk / "home" if full == "home" else tmp_path / "home",
            "-o", small_disk / "data" if full == "data" else tmp_path / "data")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("id,x\n1,1\n2,2\n")
    must(tmp_path, *args)
    (tmp_path / "in" / "b.csv").write_text("id,x\n" + "".join(f"{i},{5000 if i == 7 else 5}\n" for i in range(3, 300_000)))
    for leave_kb in (40, 200, 900):
        filler = fill(small_disk, leave_kb)
        done = subprocess.run(command(*args), cwd=tmp_path, env=support.clean_env(), capture_output=True, text=True, timeout=100, check=False)
        filler.unlink()
        assert done.returncode not in (0, 2) and "No space left" in done.stderr, done.stderr
        assert checkout(tmp_path, *args[1:3]) == [1, 2]
    must(tmp_path, *args)
    assert checkout(tmp_path, *args[1:3]) == [1, 2] + [i for i in range(3, 300_000) if i != 7]
    dead = [json.loads(line)["data"] for line in (tmp_path / "dlq.log").read_text().splitlines()]
    assert set(dead) == {"7,5000"}
