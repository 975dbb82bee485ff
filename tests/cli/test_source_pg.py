# SPDX-License-Identifier: Apache-2.0
"""gyre data ingest --from postgresql://...: rows of a query as records, on a real PostgreSQL."""

import json
import signal
import subprocess
import time
import urllib.parse

import pytest
import support
from postgres import PASSWORD, USER


def letters(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def db(postgres):
    """(URL over TCP with the password, name) of a fresh database."""
    url = postgres.password_url()
    return url, url.rsplit("/", 1)[1]


def no_password(*texts):
    for text in texts:
        assert PASSWORD not in text and urllib.parse.quote(PASSWORD, safe="") not in text


def ingest(url, query, cwd, *more, name="t", **kwargs):
    return support.run_gyre("data", "ingest", "--from", url, "--query", query, "--name", name, *more, cwd=cwd, **kwargs)


def test_values_are_exact(db, postgres, tmp_path):
    url, name = db
    postgres.sql("""
        CREATE TABLE m (id bigint, n numeric, f double precision, r real, b boolean, s text, d date, t timestamp, z timestamptz,
                        u uuid, j jsonb, js json, a int[], y bytea, e text);
        INSERT INTO m VALUES
          (9007199254740993, 12345678901234567890.123456789, 0.1, 1.5, true, E'two\nlines, "quoted" \\\\ \\u00e9 \\U0001F600', '2024-02-29',
           '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56+05', '00000000-0000-0000-0000-00000000000f', '{"k": [1, 2]}',
           E'{"k":\n 1}', '{1,2}', '\\xdeadbeef', NULL),
          (-9223372036854775808, NULL, 1e-300, NULL, false, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
          (3, 1.10, 5, 3.4028235e38, NULL, NULL, '0001-01-01', '1999-12-31 23:59:59', '1970-01-01 00:00:00+00', NULL, NULL, NULL, NULL,
           NULL, NULL)""", name)
    done = ingest(url, "SELECT * FROM m ORDER BY f -- all\n ;; ", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    assert (got["read"], got["accepted"], got["dead"], got["version"]) == (3, 3, 0, 1)
    assert (tmp_path / "data" / "data.csv").read_text() == (
        "id,n,f,r,b,s,d,t,z,u,y,e\n"
        "-9223372036854775808,,1e-300,,false,,,,,,,\n"
        '9007199254740993,1.2345678901234567e+19,0.1,1.5,true,"two\nlines, ""quoted"" \\ é 😀",2024-02-29,2024-02-29T12:34:56.789012,'
        "2024-02-29T07:34:56Z,00000000-0000-0000-0000-00000000000f,\\xdeadbeef,\n"
        "3,1.1,5,3.4028235e+38,,,0001-01-01,1999-12-31T23:59:59,1970-01-01T00:00:00Z,,,\n")
    # Of a column without a value the type is known all the same; what is nested is left out.
    shown = support.run_json("data", "show", "t", cwd=tmp_path)
    columns = {c["name"]: c["type"] for c in shown["schema"]["columns"]}
    assert columns == {"id": "int", "n": "float", "f": "float", "r": "float", "b": "bool", "s": "string", "d": "time", "t": "time",
                       "z": "time", "u": "string", "y": "string", "e": "string"}
    assert shown["source"] == f"postgresql://127.0.0.1:{postgres.port}/{name}"
    # The digits that a float has not are kept where a text is asked for.
    (tmp_path / "schema.yaml").write_text("columns:\n  - {name: id, type: int}\n  - {name: n, type: string}\n")
    done = ingest(url, "SELECT id, n::text FROM m ORDER BY id DESC", tmp_path)
    assert (tmp_path / "data" / "data.csv").read_text().splitlines()[1:] == [
        "9007199254740993,12345678901234567890.123456789", "3,1.10", "-9223372036854775808,"]
    no_password(done.stderr, done.stdout, json.dumps(shown))


def test_dead_rows_name_the_source_and_no_password(db, postgres, tmp_path):
    url, name = db
    postgres.sql("CREATE TABLE m AS SELECT i AS id, CASE i % 10 WHEN 3 THEN 900 ELSE i % 10 END AS hr FROM generate_series(1, 1000) i", name)
    (tmp_path / "schema.yaml").write_text("columns:\n  - {name: id, type: int, unique: true}\n  - {name: hr, type: int, max: 300}\n")
    done = ingest(url, "SELECT id, hr FROM m ORDER BY id", tmp_path)
    assert done.returncode == 0 and "1000 read, 900 accepted, 100 dead" in done.stdout, done.stderr
    dead = letters(tmp_path / "dlq.log")
    assert len(dead) == 100 and {d["file"] for d in dead} == {f"postgresql://127.0.0.1:{postgres.port}/{name}"}
    assert dead[0]["row"] == 2 and json.loads(dead[0]["data"]) == {"id": 3, "hr": 900}
    no_password(done.stderr, done.stdout, (tmp_path / "dlq.log").read_text())
    # The same rows are the same version.
    again = json.loads(ingest(url, "TABLE m ORDER BY id", tmp_path, "--json").stdout)
    assert again["version"] == 1 and again["new"] is False


def test_errors_are_clear_and_leave_nothing(db, postgres, tmp_path):
    url, name = db
    postgres.sql("CREATE TABLE m (a int, b int); INSERT INTO m VALUES (1, 2), (0, 3)", name)
    wrong_password = url.replace(urllib.parse.quote(PASSWORD, safe=""), "wrong-secret")
    cases = [
        (url, "SELEC 1", 'syntax error at or near "SELEC"'),
        (url, "SELECT nope FROM m", 'column "nope" does not exist'),
        (url, "SELECT 1 AS x; DELETE FROM m", "cannot insert multiple commands"),
        (url, "DELETE FROM m RETURNING a", "syntax error"),
        (url, "DELETE FROM m", "gives 0 columns"),
        (url, "SELECT 1 AS x; -- end", "can only be its last character"),
        (url, "SELECT 1 AS x) AS gyre_row; DELETE FROM m; --", "syntax error"),
        (url, "SELECT a, b AS a FROM m", "two columns 'a'"),
        (url, "SELECT a FROM m WHERE a = $1", "has parameters"),
        (url, "SELECT nextval('s')", 'relation "s" does not exist'),
        (url, "SELECT 10 / a AS x FROM m ORDER BY b", "division by zero"),
        (wrong_password, "SELECT 1 AS x", "authentication failed"),
        (url.rsplit("/", 1)[0] + "/nowhere", "SELECT 1 AS x", "does not exist"),
        (f"postgresql://{USER}:pw-word@127.0.0.1:1/x", "SELECT 1 AS x", "does not take the connection"),
        ("postgresql://u:pw-word@h/x?nope=1", "SELECT 1 AS x", "not the URL"),
        ("postgresql://u:pw-word/y@127.0.0.1:1/x", "SELECT 1 AS x", "not the URL"),
        ("postgresql://u:z@pw-word@127.0.0.1:1/x", "SELECT 1 AS x", "not the URL"),
        ("postgresql://u:z@127.0.0.1/pw-word@h/x", "SELECT 1 AS x", "not the URL"),
    ]
    for at, query, message in cases:
        done = ingest(at, query, tmp_path)
        assert done.returncode not in (0, 2) and message in done.stderr, (query, done.stderr)
        assert not (tmp_path / "data" / "data.csv").exists() and not (tmp_path / "dlq.log").exists()
        no_password(done.stderr, done.stdout)
        assert "wrong-secret" not in done.stderr and "pw-word" not in done.stderr
    assert postgres.sql("SELECT count(*) FROM m", name) == "2"
    # A function that writes is stopped by the transaction.
    postgres.sql("CREATE FUNCTION w() RETURNS int LANGUAGE sql AS 'INSERT INTO m VALUES (5, 5); SELECT 1'", name)
    done = ingest(url, "SELECT w() AS x", tmp_path)
    assert done.returncode != 0 and "read-only transaction" in done.stderr
    for args, message in ((["--from", url, "--name", "t"], "needs a query"), (["--query", "SELECT 1"], "--query is for"),
                          (["--from", url, "--query", "SELECT 1"], "needs a name"), (["--from", "mysql://u:pw-word@h/x", "--name", "t"], "no source"),
                          (["a.csv", "--from", url, "--name", "t"], "given twice")):
        done = support.run_gyre("data", "ingest", *args, cwd=tmp_path)
        assert done.returncode == 2 and message in done.stderr, done.stderr
        assert "pw-word" not in done.stderr
        no_password(done.stderr)


def test_other_encodings(postgres, tmp_path):
    name = postgres.database()
    postgres.sql(f"CREATE DATABASE {name}_l ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0")
    postgres.sql("CREATE TABLE m AS SELECT 'caf' || chr(233) AS s", name + "_l")
    url = f"postgresql://{USER}@/{name}_l?host={postgres.dir}&port={postgres.port}"
    done = ingest(url, "TABLE m", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "data.csv").read_text() == "s\ncafé\n"


def test_a_lost_connection_is_not_the_end(db, postgres, tmp_path):
    """The server ends the session in the middle of the rows: an error, and what was there stays."""
    url, name = db
    postgres.sql("CREATE TABLE m AS SELECT i AS id, repeat('x', 200) AS s FROM generate_series(1, 100000) i", name)
    assert ingest(url, "SELECT * FROM m ORDER BY id LIMIT 5", tmp_path).returncode == 0
    before = (tmp_path / "data" / "data.csv").read_bytes()
    # Slow enough to be caught: about 20 s, if nobody did.
    query = "SELECT id, s, pg_sleep(CASE WHEN id % 1000 = 0 THEN 0.2 ELSE 0 END)::text AS z FROM m ORDER BY id"
    process = subprocess.Popen([support.BIN, "data", "ingest", "--from", url, "--query", query, "--name", "t"], cwd=tmp_path,
                               env=support.clean_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        find = "SELECT pid FROM pg_stat_activity WHERE application_name = 'gyre' AND state = 'active' AND datname = '%s' AND backend_type = 'client backend' " \
               "AND query LIKE '%%row_to_json%%'"
        for _ in range(200):
            pid = postgres.sql(find % name)
            if pid:
                break
            time.sleep(0.05)
        time.sleep(0.5)
        assert postgres.sql(f"SELECT pg_terminate_backend({pid})") == "t"
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode not in (0, -signal.SIGKILL) and "connection to the database was lost" in err, err
    no_password(out, err)
    assert (tmp_path / "data" / "data.csv").read_bytes() == before
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["data.csv"]
    assert support.run_json("data", "show", "t", cwd=tmp_path)["version"] == 1
    done = ingest(url, "SELECT * FROM m ORDER BY id", tmp_path)
    assert done.returncode == 0 and "100000 read, 100000 accepted" in done.stdout


def test_one_moment_in_constant_memory(db, postgres, tmp_path):
    """Rows that come while it reads are not seen; 60 MB of rows do not become 60 MB of memory."""
    url, name = db
    postgres.sql("CREATE TABLE m AS SELECT i AS id, repeat('y', 300) AS s FROM generate_series(1, 200000) i", name)
    process = subprocess.Popen(["/bin/sh", "-c", 'ulimit -v "$0"; exec "$@"', "unlimited" if support.sanitized() else "400000", str(support.BIN), "data", "ingest", "--from", url, "--query",
                                "SELECT *, pg_sleep(CASE WHEN id = 100 THEN 1 ELSE 0 END)::text AS z FROM m", "--name", "t", "--json"],
                               cwd=tmp_path, env=support.clean_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(0.5)
    postgres.sql("INSERT INTO m SELECT i, 'late' FROM generate_series(1, 1000) i", name)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    assert json.loads(out)["accepted"] in (200000, 201000)  # 201000: it began later than that
    peak = subprocess.run(["/usr/bin/env", "python3", "-c",
                           "import resource,subprocess,sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
                           "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)",
                           str(support.BIN), "data", "ingest", "--from", url, "--query", "TABLE m", "--name", "t", "--threads", "2"],
                          cwd=tmp_path, env=support.clean_env(), capture_output=True, text=True, check=True, timeout=100)
    assert support.sanitized() or int(peak.stdout) < 40_000, peak.stdout
