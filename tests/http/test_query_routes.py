# SPDX-License-Identifier: Apache-2.0
"""POST /query: SQL over the datasets of a workspace, in a process of its own that may read nothing else."""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import subprocess
import time

import pytest
import support
from identity import add_user, add_workspace, ask, must
from serving import API

SCHEMA = {"columns": [{"name": "id", "type": "int"}, {"name": "x", "type": "float"}, {"name": "s", "type": "string"}]}
WAS_HERE = pathlib.Path("/tmp/gyre-sql-was-here")
FOREVER = "SELECT count(*) FROM range(10000000000) a, range(1000000) b"


@pytest.fixture(scope="module", autouse=True)
def sql():
    if not (support.ROOT / ".deps" / "lib" / "libduckdb.so").exists():
        why = subprocess.run([support.ROOT / "deps" / "duckdb.sh", "--why"], capture_output=True, text=True, check=False)
        pytest.skip(f"no DuckDB: {why.stdout.strip()}")


@pytest.fixture(scope="module", autouse=True)
def reports_go_to_stderr():
    """The process of a query may write no file, so a sanitizer's log would end it, even where it only notes that its symbolizer
    can not be started. Without a log what it finds still ends it with an exit code of its own, which the tests see."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                patch.setenv(name, ":".join(o for o in os.environ[name].split(":") if not o.startswith("log_path=")))
        yield


@pytest.fixture(scope="module")
def server(tmp_path_factory, reports_go_to_stderr):
    one = support.Server(tmp_path_factory.mktemp("query") / "home", ["--auth", "on"]).start()
    add_workspace(one, "team-a")
    yield one
    one.stop()
    one.clean()


@pytest.fixture(scope="module")
def people(server):
    found = {role: add_user(server, f"the-{role}", role) for role in ("viewer", "operator")}
    found["insider"] = {**add_user(server, "insider", "operator", "team-a"), "X-MLFLOW-WORKSPACE": "team-a"}
    found["nobody"] = add_user(server, "nobody")
    for name, headers, text in (("ours", found["operator"], "id,x,s\n1,0.5,one\n2,,two\n3,1.5,\n"),
                                ("secret", found["insider"], "id,x,s\n7,7,seven\n")):
        put_dataset(server, headers, name, text.encode())
    return found


def put_dataset(server, headers, name, data):
    sha256 = must(server, "POST", f"{API}/objects", data, headers)["sha256"]
    rows = data.count(b"\n") - 1
    return must(server, "POST", f"{API}/datasets", {
        "name": name, "sha256": sha256, "md5": hashlib.md5(data).hexdigest(), "size": len(data), "rows": rows, "read": rows,
        "accepted": rows, "dead": 0, "schema": SCHEMA, "source": "a.csv", "source_sha256": sha256}, headers)


def query(server, headers, sql, **more):
    status, answer, _ = ask(server, "POST", f"{API}/query", {"sql": sql, **more}, headers)
    return status, answer


def children(server):
    """Processes of queries that this server has started."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"__query" in entry.read_bytes() and f"\nPPid:\t{server.pid}\n" in (entry.parent / "status").read_text():
                found.append(entry.parent.name)
        except OSError:
            pass
    return found


def test_rows_of_a_dataset(server, people):
    status, answer = query(server, people["viewer"], "SELECT * FROM ours ORDER BY id")
    assert status == 200, answer
    assert answer == {"columns": [{"name": "id", "type": "BIGINT"}, {"name": "x", "type": "DOUBLE"}, {"name": "s", "type": "VARCHAR"}],
                      "rows": [[1, 0.5, "one"], [2, None, "two"], [3, 1.5, None]], "row_count": 3, "truncated": False, "changed": 0,
                      "notes": []}
    for sql in ("SELECT sum(id) FROM \"ours@1\"", "SELECT sum(id) FROM 'ours'", "SELECT sum(id) FROM dataset('ours@1')",
                "WITH t AS (FROM ours) SELECT sum(id) FROM t", "CREATE TABLE t AS FROM ours; SELECT sum(id) FROM t"):
        assert query(server, people["viewer"], sql)[1]["rows"] == [[6]], sql
    status, answer = query(server, people["viewer"], "SELECT s FROM ours WHERE id = $id AND s = $s", params={"id": 2, "s": "two"})
    assert (status, answer["rows"]) == (200, [["two"]])
    got = query(server, people["viewer"], "SELECT $a, $b, $c, $d", params={"a": 1.5, "b": True, "c": None, "d": "x"})[1]["rows"]
    assert got == [[1.5, True, None, "x"]]


def test_an_answer_is_bounded(server, people):
    status, answer = query(server, people["viewer"], "FROM range(5000)")
    assert (status, answer["row_count"], answer["truncated"]) == (200, 1000, True)
    status, answer = query(server, people["viewer"], "FROM range(5000)", limit=4999)
    assert (answer["row_count"], answer["truncated"]) == (4999, True)
    assert query(server, people["viewer"], "FROM range(5000)", limit=0)[1]["rows"] == []
    status, answer = query(server, people["viewer"], "SELECT repeat('x', 1000000) FROM range(100)", limit=100)
    assert status == 200 and answer["truncated"] and 16 <= answer["row_count"] <= 18
    for bad in ({"limit": -1}, {"limit": 100001}, {"timeout_s": 0}, {"timeout_s": 61}, {"params": []}, {"params": {"a": [1]}}):
        assert query(server, people["viewer"], "SELECT 1", **bad)[0] == 400, bad
    assert query(server, people["viewer"], "")[0] == 400
    assert query(server, people["viewer"], "SELECT '" + "x" * 70000 + "'")[0] in (400, 413)


def test_what_is_wrong_is_said(server, people):
    status, answer = query(server, people["viewer"], "SELECT * FORM ours")
    assert status == 400 and "syntax error" in answer["detail"] and answer["code"] == "INVALID"
    status, answer = query(server, people["viewer"], "SELECT * FROM nothing")
    assert status == 404 and "nothing" in answer["detail"]
    status, answer = query(server, people["viewer"], "SELECT * FROM dataset('no' || 'thing')")
    assert status == 404 and "as it is" in answer["hint"]
    assert query(server, people["viewer"], "SELECT 'a'::INT")[0] == 400


def test_who_may_ask_and_what(server, people):
    assert query(server, {}, "SELECT 1")[0] == 401
    assert query(server, people["nobody"], "SELECT 1")[0] == 403
    assert query(server, people["insider"], "SELECT sum(id) FROM secret")[1]["rows"] == [[7]]
    for sql in ("FROM secret", "FROM \"secret@1\"", "FROM dataset('secret@1')"):
        assert query(server, people["viewer"], sql)[0] == 404, sql  # of another workspace
        assert query(server, people["operator"], sql)[0] == 404, sql
    assert query(server, people["insider"], "FROM ours")[0] == 404


HOSTILE = [
    "COPY (SELECT 1) TO '/tmp/gyre-sql-was-here'",
    "COPY (SELECT 1) TO '/tmp/gyre-sql-was-here' (FORMAT parquet)",
    "EXPORT DATABASE '/tmp/gyre-sql-was-here'",
    "ATTACH '/tmp/gyre-sql-was-here' AS x",
    "ATTACH 'HOME/gyre.db' AS x",
    "SELECT * FROM read_csv('/etc/passwd', header = false)",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/proc/self/environ')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM 'HOME/gyre.db'",
    "SELECT * FROM read_text('HOME/objects/OBJECT')",
    "SELECT * FROM read_csv('HOME/objects/OBJECT')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM glob('HOME/objects/*/*')",
    "SELECT * FROM gyre_read('/etc/passwd')",
    "SELECT * FROM gyre_read('HOME/objects/OBJECT')",
    "SELECT * FROM parquet_scan('HOME/cache/parquet/*')",
    "SELECT * FROM parquet_metadata('/etc/passwd')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM read_json('/etc/passwd')",
    "SELECT * FROM 'http://127.0.0.1:1/x.csv'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '/tmp/x.so'",
    "IMPORT DATABASE '/etc'",
    "CREATE PERSISTENT SECRET s (TYPE http)",
    "SET enable_external_access = true; SELECT * FROM read_text('/etc/passwd')",
    "SET GLOBAL allowed_directories = ['/']; SELECT * FROM read_text('/etc/passwd')",
    "SET memory_limit = '100GB'",
    "SET threads = 64",
    "RESET lock_configuration",
    "PRAGMA enable_profiling; PRAGMA profile_output = '/tmp/gyre-sql-was-here'; SELECT 1",
    "PRAGMA log_query_path = '/tmp/gyre-sql-was-here'; SELECT 1",
    "SET temp_directory = '/tmp/gyre-sql-was-here'",
    "SELECT getenv('HOME')",
]


@pytest.mark.parametrize("sql", HOSTILE, ids=lambda s: s[:40])
def test_hostile_sql_reads_and_writes_nothing(server, people, sql):
    data = b"id,x,s\n7,7,seven\n"
    sha256 = hashlib.sha256(data).hexdigest()
    sql = sql.replace("HOME", str(server.home)).replace("OBJECT", f"{sha256[:2]}/{sha256[2:]}")
    status, answer = query(server, people["viewer"], sql)
    assert status in (400, 403, 404, 500, 501), answer
    text = json.dumps(answer)
    assert "root:" not in text and "seven" not in text
    assert not WAS_HERE.exists()


def test_a_dataset_that_reads_a_file_is_only_a_name(server, people):
    """What a path is to DuckDB is a name to us: a dataset of that name would be read, a file never."""
    for name in ("/etc/passwd", "../../../etc/passwd", "x' OR 1=1 --", "a\"b", "\\\\", "%00"):
        status, answer = query(server, people["viewer"], 'SELECT * FROM "' + name.replace('"', '""') + '"')
        assert status in (400, 403, 404), (name, answer)


def test_a_query_that_takes_too_long_is_ended(server, people):
    status, answer = query(server, people["viewer"], FOREVER, timeout_s=1)
    assert status == 504 and ("took too long" in answer["detail"] or "of CPU" in answer["detail"])
    assert children(server) == []


def test_a_query_that_wants_too_much_memory_is_ended(server, people):
    for sql in ("SELECT max(l) FROM (SELECT list(range) AS l FROM range(500000000))",
                "CREATE TABLE t AS SELECT repeat('x', 1000) || range FROM range(5000000)",
                "SELECT length(repeat('x', 3000000000))"):
        status, answer = query(server, people["viewer"], sql)
        slow = support.sanitized() and status == 504  # its time may end before its memory does
        assert slow or (status == 503 and "Out of Memory" in answer["detail"]), answer
    assert query(server, people["viewer"], "SELECT 1")[0] == 200
    assert children(server) == []


def test_more_than_two_at_once_are_busy(server, people):
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        got = list(pool.map(lambda _: query(server, people["viewer"], FOREVER, timeout_s=2), range(6)))
    assert sorted({status for status, _ in got}) == [503, 504]
    assert sum(status == 504 for status, _ in got) <= 2
    assert query(server, people["viewer"], "SELECT 1")[0] == 200


def test_a_stopping_server_ends_its_queries(tmp_path, new_server):
    one = new_server()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(query, one, {}, FOREVER, timeout_s=60)
        for _ in range(100):
            if children(one):
                break
            time.sleep(0.1)
        (child,) = children(one)
        one.stop()
        assert not os.path.exists(f"/proc/{child}")
        assert asked.result()[0] == 503  # 504 if it had been waited for


def test_the_wider_table_goes_through_parquet_when_it_is_there(tmp_path, new_server):
    """A cache that `gyre data query` made is used by the server's queries too, and only for its dataset."""
    one = new_server()
    data = b"id,x,s\n" + b"".join(b"%d,%d.5,text of row %d\n" % (i, i, i) for i in range(200000))
    put_dataset(one, {}, "wide", data)
    sql = "SELECT count(*), sum(id), max(s) FROM wide"
    status, before = query(one, {}, sql)
    assert status == 200, before
    made = support.run_gyre("data", "query", sql, "--home", one.home, cwd=tmp_path)
    assert made.returncode == 0 and "Parquet" in made.stderr
    assert list((pathlib.Path(one.home) / "cache" / "parquet").glob("*.parquet"))
    assert query(one, {}, sql)[1]["rows"] == before["rows"] == [[200000, 19999900000, "text of row 99999"]]
    (path,) = (pathlib.Path(one.home) / "cache" / "parquet").glob("*.parquet")
    assert query(one, {}, f"SELECT * FROM parquet_scan('{path}')")[0] == 403  # not named: not readable
    kept = path.read_bytes()
    for form in ("parquet", "csv"):  # named: readable, never writable
        status, answer = query(one, {}, f"SELECT count(*) FROM wide; COPY (SELECT 1) TO '{path}' (FORMAT {form}, USE_TMP_FILE false)")
        assert status in (403, 500), answer
        assert path.read_bytes() == kept
