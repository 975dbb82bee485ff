# SPDX-License-Identifier: Apache-2.0
"""gyre data ingest --append: what is new in a source becomes the next version, each row once."""

import json
import os
import threading

import pytest
import s3server
import support

SCHEMA = "columns:\n  - {name: id, type: int, required: true}\n  - {name: x, type: int, max: 1000}\n"
KEYED = SCHEMA.replace("required: true}", "required: true, unique: true, role: id}")


def letters(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def rows(cwd, ref="d"):
    out = cwd / "checked.csv"
    done = support.run_gyre("data", "checkout", ref, "-o", out, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return out.read_text().splitlines()[1:]


def run(cwd, *args, env=None):
    return support.run_gyre("data", "ingest", "--append", "--name", "d", *args, cwd=cwd, env=env)


def append(cwd, *args, env=None):
    done = run(cwd, *args, "--json", env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


# ---- files ----

def test_files_that_are_new(tmp_path):
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    put(tmp_path / "in" / "a.csv", "id,x\n1,10\n2,20\n")
    first = append(tmp_path, "in")
    assert (first["version"], first["new"], first["appended"], first["base_version"], first["objects"]) == (1, True, 2, 0, 1)
    # Nothing new: no version, and data.csv is the newest one, whatever became of it.
    (tmp_path / "data" / "data.csv").write_text("spoilt")
    again = append(tmp_path, "in")
    assert (again["version"], again["new"], again["appended"]) == (1, False, 0)
    assert (tmp_path / "data" / "data.csv").read_text() == "id,x\n1,10\n2,20\n"
    done = run(tmp_path, "in")
    assert "nothing new" in done.stdout

    put(tmp_path / "in" / "b.jsonl", '{"x": 30, "id": 3}\n{"x": 9999, "id": 4}\n')
    put(tmp_path / "in" / "0.csv.d" / "c.csv", "x;id\n50;5\n")
    done = run(tmp_path, "in")
    assert done.returncode == 0 and "3 read, 2 accepted, 1 dead" in done.stdout and "appended to the 2 rows of version 1" in done.stdout, done.stdout
    assert rows(tmp_path) == ["1,10", "2,20", "5,50", "3,30"] and rows(tmp_path, "d@1") == ["1,10", "2,20"]
    assert [(os.path.basename(d["file"]), d["row"], d["codes"]) for d in letters(tmp_path / "dlq.log")] == [("b.jsonl", 1, ["RANGE"])]
    shown = support.run_json("data", "show", "d", cwd=tmp_path)
    assert (shown["version"], shown["read"], shown["accepted"], shown["dead"], shown["rows"]) == (2, 5, 4, 1, 4)
    # The same rows in one go are the same bytes.
    whole = support.run_json("data", "ingest", "in/a.csv", "in/0.csv.d/c.csv", "in/b.jsonl", "--name", "whole", "-o", "w", cwd=tmp_path)
    assert whole["sha256"] == shown["sha256"]
    # By another path it is the same file; only touched it is, too.
    os.utime(tmp_path / "in" / "a.csv")
    assert append(tmp_path / "in", tmp_path / "in" / "a.csv", "--home", tmp_path / ".gyre", "-o", "../data", "--schema", "../schema.yaml")["appended"] == 0


def test_a_file_that_is_named_twice_is_taken_once(tmp_path):
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    put(tmp_path / "in" / "a.csv", "id,x\n1,10\n")
    (tmp_path / "link.csv").symlink_to("in/a.csv")
    first = append(tmp_path, "in/a.csv", "./in/a.csv", "in", "link.csv", tmp_path / "in" / "*.csv")
    assert (first["appended"], first["objects"]) == (1, 1) and rows(tmp_path) == ["1,10"]
    put(tmp_path / "in" / "b.csv", "id,x\n2,20\n")
    assert append(tmp_path, "in", "in/b.csv")["appended"] == 1 and rows(tmp_path) == ["1,10", "2,20"]


def test_a_file_that_was_taken_and_changed(tmp_path):
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    put(tmp_path / "a.csv", "id,x\n1,10\n")
    append(tmp_path, "a.csv")
    put(tmp_path / "a.csv", "id,x\n1,10\n2,20\n")
    done = run(tmp_path, "a.csv")
    assert done.returncode not in (0, 2) and "has another content now" in done.stderr and "--restart" in done.stderr
    assert rows(tmp_path) == ["1,10"]
    again = append(tmp_path, "a.csv", "--restart")
    assert (again["version"], again["appended"], again["base_version"]) == (2, 2, 0) and rows(tmp_path) == ["1,10", "2,20"]
    assert append(tmp_path, "a.csv")["appended"] == 0


def test_what_is_not_clear_is_asked_for(tmp_path):
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    put(tmp_path / "a.csv", "id,x\n1,10\n")
    put(tmp_path / "b.csv", "id,x\n2,20\n")
    support.run_json("data", "ingest", "a.csv", "--name", "d", cwd=tmp_path)
    done = run(tmp_path, "b.csv")
    assert done.returncode == 2 and "nothing is known of what was taken" in done.stderr and "--new-source" in done.stderr
    assert append(tmp_path, "b.csv", "--new-source")["version"] == 2 and rows(tmp_path) == ["1,10", "2,20"]
    # A version that somebody made in between does not hold what was taken.
    support.run_json("data", "ingest", "a.csv", "--name", "d", cwd=tmp_path)     # the same bytes: version 1
    put(tmp_path / "c.csv", "id,x\n3,30\n")
    support.run_json("data", "ingest", "c.csv", "--name", "d", cwd=tmp_path)     # version 3
    done = run(tmp_path, "c.csv")
    assert done.returncode not in (0, 2) and "was not made from the one that holds" in done.stderr
    assert append(tmp_path, "c.csv", "--restart")["version"] == 3 and append(tmp_path, "b.csv")["version"] == 4
    assert rows(tmp_path) == ["3,30", "2,20"]
    for args, message in ((["a.csv", "--delimiter", ";"], "does not go with --append"), (["-"], "can not be told"),
                          (["a.csv", "--watermark", "id"], "--watermark is for")):
        done = run(tmp_path, *args)
        assert done.returncode != 0 and message in done.stderr, done.stderr
    done = support.run_gyre("data", "ingest", "a.csv", "--append", cwd=tmp_path)
    assert done.returncode == 2 and "--append needs a name" in done.stderr


def test_another_schema_is_refused(tmp_path):
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    put(tmp_path / "a.csv", "id,x\n1,10\n")
    put(tmp_path / "b.csv", "id,x\n2,20\n")
    append(tmp_path, "a.csv")
    (tmp_path / "schema.yaml").write_text(SCHEMA.replace("1000", "5"))
    done = run(tmp_path, "b.csv")
    assert done.returncode not in (0, 2) and "the schema is not that of version 1" in done.stderr
    assert not (tmp_path / "dlq.log").exists()
    # Without one, that of the version counts.
    (tmp_path / "schema.yaml").unlink()
    assert append(tmp_path, "b.csv")["appended"] == 1
    assert support.run_json("data", "show", "d", cwd=tmp_path)["schema"]["columns"][1]["max"] == 1000


def test_keys_hold_over_versions(tmp_path):
    (tmp_path / "schema.yaml").write_text(KEYED)
    put(tmp_path / "a.csv", "id,x\n1,10\n2,20\n")
    put(tmp_path / "b.csv", "id,x\n2,21\n3,30\n")
    append(tmp_path, "a.csv")
    got = append(tmp_path, "b.csv")
    assert (got["appended"], got["dead"], got["codes"]) == (1, 1, {"UNIQUE": 1}) and rows(tmp_path) == ["1,10", "2,20", "3,30"]
    put(tmp_path / "c.csv", "id,x\n1,11\n4,40\n")
    got = append(tmp_path, "c.csv", "--on-duplicate", "last")
    assert (got["replaced"], got["dead"]) == (1, 0) and rows(tmp_path) == ["2,20", "3,30", "1,11", "4,40"]


def test_limits_of_dead_records_are_of_what_is_new(tmp_path):
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    put(tmp_path / "a.csv", "id,x\n" + "".join(f"{i},1\n" for i in range(100)))
    put(tmp_path / "b.csv", "id,x\n100,1\n101,9999\n")
    append(tmp_path, "a.csv")
    done = run(tmp_path, "b.csv", "--max-dead", "10%")
    assert done.returncode not in (0, 2) and "1 of 2 records are dead" in done.stderr
    assert append(tmp_path, "b.csv", "--max-dead", "50%")["appended"] == 1


def test_it_goes_on_after_an_erasure(tmp_path):
    (tmp_path / "schema.yaml").write_text(SCHEMA.replace("required: true}", "required: true, role: subject}"))
    put(tmp_path / "in" / "a.csv", "id,x\n51001,10\n")
    put(tmp_path / "in" / "b-51002.csv", "id,x\n51002,20\n")
    append(tmp_path, "in")
    put(tmp_path / "in" / "c.csv", "id,x\n51003,30\n")
    append(tmp_path, "in")
    done = support.run_gyre("subject", "erase", "51002", "--home-only", "--reason", "a request", "--yes", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path) == ["51001,10", "51003,30"]
    # The file is still there, and taken; of its name, which tells whom it is about, nothing was kept.
    put(tmp_path / "in" / "d.csv", "id,x\n51004,40\n")
    append(tmp_path, "in")
    assert rows(tmp_path) == ["51001,10", "51003,30", "51004,40"]
    assert not any(b"51002" in path.read_bytes() for path in (tmp_path / ".gyre").rglob("*") if path.is_file())


# ---- queries ----

@pytest.fixture
def db(postgres):
    url = postgres.password_url()
    name = url.rsplit("/", 1)[1]
    postgres.sql("CREATE TABLE m (id int, x int, at timestamptz)", name)
    return url, lambda text: postgres.sql(text, name)


def query(url, text="SELECT id, x, at FROM m"):
    return "--from", url, "--query", text, "--watermark", "at"


def test_a_query_with_a_watermark(db, tmp_path):
    url, sql = db
    put(tmp_path / "schema.yaml", SCHEMA + "  - {name: at, type: time}\n")
    sql("INSERT INTO m SELECT i, i, '2024-01-01T00:00:00Z'::timestamptz + i * interval '1 s' FROM generate_series(1, 5) i")
    first = append(tmp_path, *query(url))
    assert (first["version"], first["appended"], first["watermark"]) == (1, 5, "2024-01-01 00:00:05+00")
    assert append(tmp_path, *query(url))["appended"] == 0
    sql("INSERT INTO m SELECT i, CASE i WHEN 7 THEN 7777 ELSE i END, '2024-01-01T00:00:00.5Z'::timestamptz + i * interval '1 s' "
        "FROM generate_series(6, 8) i")
    second = append(tmp_path, *query(url))
    assert (second["version"], second["appended"], second["dead"], second["watermark"]) == (2, 2, 1, "2024-01-01 00:00:08.5+00")
    assert [r.split(",")[0] for r in rows(tmp_path)] == ["1", "2", "3", "4", "5", "6", "8"]
    # Dead rows are taken, too: they are in the letters, once.
    sql("INSERT INTO m VALUES (9, 9999, '2024-01-01T00:01:00Z')")
    third = append(tmp_path, *query(url))
    assert (third["version"], third["new"], third["appended"], third["dead"]) == (2, False, 0, 1)
    assert append(tmp_path, *query(url))["read"] == 0 and len(letters(tmp_path / "dlq.log")) == 2
    # Another query is another source.
    done = run(tmp_path, *query(url, "SELECT id, x + 1 AS x, at FROM m"))
    assert done.returncode == 2 and "was read from" in done.stderr and "--restart" in done.stderr
    done = run(tmp_path, "--from", url, "--query", "SELECT id FROM m")
    assert done.returncode == 2 and "--watermark COLUMN" in done.stderr
    # What has no value would never be read.
    sql("INSERT INTO m VALUES (10, 10, NULL)")
    done = run(tmp_path, *query(url))
    assert done.returncode != 0 and "would never be read" in done.stderr
    assert "s3cret" not in json.dumps(support.run_json("data", "show", "d", cwd=tmp_path)) + done.stderr


def test_rows_that_come_late_with_the_same_watermark(db, tmp_path):
    url, sql = db
    put(tmp_path / "schema.yaml", KEYED + "  - {name: at, type: time}\n")
    sql("INSERT INTO m SELECT i, i, '2024-01-01' FROM generate_series(1, 3) i")
    append(tmp_path, *query(url), "--on-duplicate", "first")
    sql("INSERT INTO m VALUES (4, 4, '2024-01-01'), (5, 5, '2024-01-02')")
    got = append(tmp_path, *query(url), "--on-duplicate", "first")
    assert (got["appended"], got["dead"], got["replaced"]) == (2, 0, 3)
    assert [r.split(",")[0] for r in rows(tmp_path)] == ["1", "2", "3", "4", "5"] and not (tmp_path / "dlq.log").exists()
    # Rows that changed: the last one counts.
    sql("UPDATE m SET x = 22, at = '2024-01-03' WHERE id = 2")
    got = append(tmp_path, *query(url), "--on-duplicate", "last")
    assert [r.split(",")[:2] for r in rows(tmp_path)] == [["1", "1"], ["3", "3"], ["4", "4"], ["5", "5"], ["2", "22"]]


def test_two_at_once(db, tmp_path, new_server):
    """Several at a time, through a server, while rows come: whoever is overtaken changes nothing, and in the end each is there once."""
    url, sql = db
    server = new_server()
    put(tmp_path / "schema.yaml", SCHEMA + "  - {name: at, type: time}\n")
    sql("INSERT INTO m VALUES (0, 0, '2024-01-01')")
    results, one = [], threading.Lock()

    def work(n):
        for i in range(6):
            with one:  # a row of an earlier time must not be committed later
                sql(f"INSERT INTO m VALUES ({n * 100 + i}, 1, clock_timestamp())")
            results.append(run(tmp_path, "--server", server.url, "-o", f"out{n}", "--dlq", f"{n}.log", *query(url)))

    threads = [threading.Thread(target=work, args=(n,)) for n in (1, 2, 3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    overtaken = [r for r in results if r.returncode != 0]
    assert all("since this began" in r.stderr for r in overtaken), [r.stderr for r in overtaken]
    last = run(tmp_path, "--server", server.url, *query(url))
    assert last.returncode == 0, last.stderr
    done = support.run_gyre("data", "checkout", "d", "-o", "all.csv", "--server", server.url, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    ids = [int(r.split(",")[0]) for r in (tmp_path / "all.csv").read_text().splitlines()[1:]]
    assert sorted(ids) == sorted([0] + [n * 100 + i for n in (1, 2, 3) for i in range(6)])


# ---- buckets ----

def test_objects_that_are_new(tmp_path):
    try:
        s3 = s3server.S3Server(tmp_path / "s3")
    except s3server.Missing as why:
        pytest.skip(str(why))
    s3.start()
    try:
        bucket = s3.bucket("bucket")
        env = s3server.keys(s3.endpoint)
        work = tmp_path / "w"
        put(work / "schema.yaml", SCHEMA)
        s3.put(bucket, "in/a.csv", b"id,x\n1,10\n")
        s3.put(bucket, "in/c.csv", b"id,x\n3,30\n")
        got = append(work, "--from", f"s3://{bucket}/in/", env=env)
        assert (got["version"], got["appended"], got["objects"]) == (1, 2, 2)
        assert append(work, "--from", f"s3://{bucket}/in/", env=env)["appended"] == 0
        s3.put(bucket, "in/b.csv", b"id,x\n2,20\n")
        assert append(work, "--from", f"s3://{bucket}/in/", env=env)["version"] == 2
        assert rows(work) == ["1,10", "3,30", "2,20"]
        # By another prefix of the bucket the same object is not taken twice.
        s3.put(bucket, "in/d.csv", b"id,x\n4,40\n")
        assert append(work, "--from", f"s3://{bucket}/i", env=env)["appended"] == 1
        s3.put(bucket, "in/a.csv", b"id,x\n1,11\n")
        done = run(work, "--from", f"s3://{bucket}/in/", env=env)
        assert done.returncode not in (0, 2) and "'in/a.csv' was taken before, and has another content now" in done.stderr
        # What was removed is there all the same.
        (s3.folder / bucket / "in" / "a.csv").unlink()
        assert append(work, "--from", f"s3://{bucket}/in/", env=env)["appended"] == 0
        # A second source of the same dataset.
        put(work / "e.csv", "id,x\n5,50\n")
        assert run(work, "e.csv").returncode == 2
        assert append(work, "e.csv", "--new-source")["version"] == 4
        s3.put(bucket, "in/f.csv", b"id,x\n6,60\n")
        append(work, "--from", f"s3://{bucket}/in/", env=env)
        assert rows(work) == ["1,10", "3,30", "2,20", "4,40", "5,50", "6,60"]
    finally:
        s3.kill()
