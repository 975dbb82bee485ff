# SPDX-License-Identifier: Apache-2.0
"""Parquet files that pyarrow and pandas wrote, as records: exact values, all types, what is refused."""

import datetime as dt
import decimal
import json
import subprocess

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import support


@pytest.fixture(scope="module", autouse=True)
def duckdb():
    why = subprocess.run([support.ROOT / "deps/duckdb.sh", "--why"], capture_output=True, text=True, check=False)
    if why.returncode == 0:
        pytest.skip(f"no DuckDB: {why.stdout.strip()}")


def ingest(cwd, *args):
    return support.run_gyre("data", "ingest", *args, cwd=cwd)


def accepted(cwd):
    return (cwd / "data" / "data.csv").read_text()


def letters(cwd):
    return [json.loads(line) for line in (cwd / "dlq.log").read_text().splitlines()]


def test_values_are_exact(tmp_path):
    us = 1709210096789012
    table = pa.table({
        "i8": pa.array([1, None, -128], pa.int8()), "i64": pa.array([9007199254740993, -9223372036854775808, 0], pa.int64()),
        "u32": pa.array([4294967295, 0, None], pa.uint32()),
        "f": pa.array([0.1, float("nan"), 1e-300], pa.float64()), "f32": pa.array([0.1, 3.4028235e38, None], pa.float32()),
        "b": pa.array([True, False, None]), "s": pa.array(['a,"b"\n', "é😀", ""]), "big": pa.array(["x", None, "y"], pa.large_string()),
        "date": pa.array([dt.date(2024, 2, 29), dt.date(1, 1, 1), None]),
        "us": pa.array([us, None, -1_000_000], pa.timestamp("us")), "ns": pa.array([us * 1000, us * 1000 + 345, 0], pa.timestamp("ns")),
        "ms": pa.array([us // 1000, None, 0], pa.timestamp("ms")), "tz": pa.array([us, None, 0], pa.timestamp("us", tz="Europe/Berlin")),
        "time": pa.array([dt.time(12, 0, 1), None, None]), "cat": pa.array(["x", "y", "x"]).dictionary_encode(),
    })
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    done = ingest(tmp_path, "a.parquet")
    assert done.returncode == 0 and "3 read, 3 accepted, 0 dead" in done.stdout, done.stderr
    assert accepted(tmp_path) == (
        "i8,i64,u32,f,f32,b,s,big,date,us,ns,ms,tz,time,cat\n"
        '1,9007199254740993,4294967295,0.1,0.1,true,"a,""b""\n",x,2024-02-29,2024-02-29T12:34:56.789012,2024-02-29T12:34:56.789012,'
        "2024-02-29T12:34:56.789,2024-02-29T12:34:56.789012Z,12:00:01,x\n"
        ",-9223372036854775808,0,,3.4028235e+38,false,é😀,,0001-01-01,,2024-02-29T12:34:56.789012345,,,,y\n"
        "-128,0,,1e-300,,,,y,,1969-12-31T23:59:59,1970-01-01T00:00:00,1970-01-01T00:00:00,1970-01-01T00:00:00Z,,x\n")
    types = {c["name"]: c["type"] for c in support.run_json("data", "show", "a", cwd=tmp_path)["schema"]["columns"]}
    assert types == {"i8": "int", "i64": "int", "u32": "int", "f": "float", "f32": "float", "b": "bool", "s": "string", "big": "string",
                     "date": "time", "us": "time", "ns": "time", "ms": "time", "tz": "time", "time": "string", "cat": "string"}


def test_decimals_keep_their_digits_in_letters(tmp_path):
    digits = "12345678901234567890.123456789"
    pq.write_table(pa.table({"id": [1, 2], "d": pa.array([decimal.Decimal(digits), decimal.Decimal("1.100000000")], pa.decimal128(38, 9))}),
                   tmp_path / "a.parquet")
    (tmp_path / "schema.yaml").write_text("columns:\n  - {name: id, type: int}\n  - {name: d, type: float, max: 1000}\n")
    assert ingest(tmp_path, "a.parquet").returncode == 0
    assert accepted(tmp_path) == "id,d\n2,1.1\n"
    (letter,) = letters(tmp_path)
    assert (letter["file"], letter["row"], letter["codes"]) == ("a.parquet", 0, ["RANGE"])
    assert digits in letter["data"]


def test_the_same_rows_whatever_the_format(tmp_path):
    frame = pd.DataFrame({"id": range(5000), "x": [i / 7 for i in range(5000)], "s": [f"n {i % 13}" for i in range(5000)],
                          "ok": [i % 3 == 0 for i in range(5000)]})
    (tmp_path / "schema.yaml").write_text("columns:\n  - {name: id, type: int, unique: true}\n  - {name: x, type: float, max: 700}\n"
                                          "  - {name: s, type: string}\n  - {name: ok, type: bool}\n")
    frame.to_csv(tmp_path / "a.csv", index=False)
    digests = set()
    for compression in ("snappy", "zstd", "gzip", None):
        frame.to_parquet(tmp_path / "a.parquet", compression=compression, row_group_size=777)
        for path in ("a.csv", "a.parquet"):
            got = support.run_json("data", "ingest", path, "--name", "a", "-o", "out", cwd=tmp_path)
            assert got["dead"] == 5000 - 4901
            digests.add(got["sha256"])
    assert len(digests) == 1
    # In folders and beside other files, in order.
    (tmp_path / "in").mkdir()
    frame[:2000].to_parquet(tmp_path / "in" / "1.parquet")
    frame[2000:4000].to_csv(tmp_path / "in" / "2.csv", index=False)
    frame[4000:].to_parquet(tmp_path / "in" / "3.pq")
    assert support.run_json("data", "ingest", "in", "--name", "a", "-o", "out", cwd=tmp_path)["sha256"] in digests


def test_what_is_refused(tmp_path):
    pq.write_table(pa.table({"id": [1], "tags": [[1, 2]], "st": [{"a": 1}]}), tmp_path / "n.parquet")
    done = ingest(tmp_path, "n.parquet")
    assert done.returncode not in (0, 2) and "the column 'tags' of 'n.parquet' is nested (LIST)" in done.stderr
    pq.write_table(pa.table({"id": list(range(10000))}), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[:-50])
    (tmp_path / "text.parquet").write_bytes(b"id\n1\n")
    (tmp_path / "empty.parquet").write_bytes(b"")
    (tmp_path / "holes.parquet").write_bytes(whole[:4] + b"\xff" * 2000 + whole[2004:])
    for name, message in (("cut", "was cut off"), ("text", "is no Parquet file"), ("empty", "is no Parquet file"), ("holes", "'holes.parquet'"),
                          ("none", "opening 'none.parquet'")):
        done = ingest(tmp_path, f"{name}.parquet")
        assert done.returncode > 2 and message in done.stderr, (name, done.returncode, done.stderr)
        assert not (tmp_path / "data" / "data.csv").exists()
    # A name that is a pattern to others is a name; and columns that the schema does not know are counted.
    (tmp_path / "x[1]*.parquet").write_bytes(whole)
    assert ingest(tmp_path, "x[1]*.parquet").returncode == 0
    assert accepted(tmp_path).count("\n") == 10001


def test_a_file_of_any_length_in_bounded_memory(tmp_path):
    n = 400_000
    pq.write_table(pa.table({"id": pa.array(range(n)), "s": pa.array([f"{i:0200}" for i in range(n)])}), tmp_path / "a.parquet",
                   row_group_size=20_000)  # 80 MB of texts
    done = subprocess.run(["python3", "-c", "import resource,subprocess,sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
                           "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)", str(support.BIN), "data", "ingest", "a.parquet", "--threads", "2"],
                          cwd=tmp_path, env=support.clean_env(), capture_output=True, text=True, check=True, timeout=100)
    assert support.sanitized() or int(done.stdout) < 200_000, done.stdout  # DuckDB's threads have a row group each
    assert accepted(tmp_path).count("\n") == n + 1


def test_other_commands_read_it_too(tmp_path):
    pq.write_table(pa.table({"id": list(range(300)), "s": ["x" if i % 3 else "y" for i in range(300)]}), tmp_path / "a.parquet")
    inferred = support.run_json("data", "schema", "infer", "a.parquet", cwd=tmp_path)
    assert [(c["name"], c["type"]) for c in inferred["columns"]] == [("id", "int"), ("s", "string")]
    assert "300 rows, 2 columns" in support.run_gyre("data", "profile", "a.parquet", cwd=tmp_path).stdout
