# SPDX-License-Identifier: Apache-2.0
"""gyre data ingest --from s3://...: the objects below a prefix as records, on a real S3 server."""

import gzip
import json
import random
import subprocess

import pytest
import s3server
import support
from pictures import Canvas

BLOCK = 4 << 20  # GY_SOURCE_S3_BLOCK


def letters(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    try:
        one = s3server.S3Server(tmp_path_factory.mktemp("s3"))
    except s3server.Missing as why:
        pytest.skip(str(why))
    one.start()
    yield one
    one.kill()


@pytest.fixture
def bucket(s3, request):
    return s3.bucket(f"b{abs(hash(request.node.name)) % 10**9}")


@pytest.fixture
def faulty(s3):
    one = s3server.Faulty(s3.port)
    yield one
    one.stop()


def ingest(endpoint, url, cwd, *more, name="t"):
    return support.run_gyre("data", "ingest", "--from", url, "--name", name, *more, cwd=cwd, env=s3server.keys(endpoint))


def test_all_objects_below_a_prefix_in_the_order_of_their_keys(s3, bucket, tmp_path):
    put = lambda key, text: s3.put(bucket, key, text if isinstance(text, bytes) else text.encode())
    put("in/b.csv", "id,x\n3,30\n4,400\n")
    put("in/a.jsonl", '{"id": 1, "x": 10}\n{"id": 2, "x": 20}\n')
    put("in/sub/c d&ä.json", '[{"id": 5, "x": 50}]')
    put("in/z.csv.gz", gzip.compress(b"x,id\n60,6\n"))
    put("in/notes.txt", "no data")
    put("in/_tmp/d.csv", "id,x\n90,9\n")
    put("in/.hidden.csv", "id,x\n91,9\n")
    put("input.csv", "id,x\n7,70\n")
    (tmp_path / "schema.yaml").write_text("columns:\n  - {name: id, type: int, unique: true}\n  - {name: x, type: int, max: 100}\n")
    done = ingest(s3.endpoint, f"s3://{bucket}/in/", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "data.csv").read_text() == "id,x\n1,10\n2,20\n3,30\n5,50\n6,60\n"
    assert [(d["file"], d["row"], d["codes"], d["data"]) for d in letters(tmp_path / "dlq.log")] == [
        (f"s3://{bucket}/in/b.csv", 1, ["RANGE"], "4,400")]
    # Without the slash the prefix is a prefix.
    assert ingest(s3.endpoint, f"s3://{bucket}/in", tmp_path).returncode == 0
    assert (tmp_path / "data" / "data.csv").read_text() == "id,x\n1,10\n2,20\n3,30\n5,50\n6,60\n7,70\n"
    # One object, whatever its name.
    put("raw/export", "id,x\n8,80\n")
    assert ingest(s3.endpoint, f"s3://{bucket}/raw/export", tmp_path).returncode == 0
    assert (tmp_path / "data" / "data.csv").read_text() == "id,x\n8,80\n"


def test_errors_are_clear_and_leave_nothing(s3, bucket, tmp_path):
    s3.put(bucket, "in/readme.txt", b"x")
    for url, message in ((f"s3://{bucket}/in/", "no data file below"), (f"s3://{bucket}/none/", "no data file below"),
                         ("s3://no-such-bucket/x/", "no-such-bucket"), ("s3:///x", "is no s3://"), ("s3://", "is no s3://")):
        done = ingest(s3.endpoint, url, tmp_path)
        assert done.returncode not in (0, 2) and message in done.stderr, (url, done.stderr)
    s3.put(bucket, "in/a.csv", b"id\n1\n")
    env = s3server.keys(s3.endpoint, secret="wrong-secret")
    done = support.run_gyre("data", "ingest", "--from", f"s3://{bucket}/in/", "--name", "t", cwd=tmp_path, env=env)
    assert done.returncode != 0 and "AWS_SECRET_ACCESS_KEY" in done.stderr and "wrong-secret" not in done.stderr
    assert not (tmp_path / "data").exists() and not (tmp_path / "dlq.log").exists()


def rows(n, seed):
    chance = random.Random(seed)
    return "id,s\n" + "".join(f"{i},{chance.getrandbits(256):064x}\n" for i in range(n))


def test_large_objects_come_in_blocks_in_bounded_memory(s3, bucket, faulty, tmp_path):
    text = rows(400_000, 1)  # 28 MB
    s3.put(bucket, "in/a.csv", text.encode())
    faulty.rule = lambda r: None
    done = subprocess.run(["/usr/bin/env", "python3", "-c",
                           "import resource,subprocess,sys; subprocess.run(sys.argv[1:], check=True); "
                           "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)",
                           str(support.BIN), "data", "ingest", "--from", f"s3://{bucket}/in/", "--name", "t", "--threads", "2"],
                          cwd=tmp_path, env=support.clean_env(s3server.keys(faulty.endpoint)), capture_output=True, text=True, check=True, timeout=100)
    assert support.sanitized() or int(done.stderr.splitlines()[-1]) < 45_000, done.stderr
    assert (tmp_path / "data" / "data.csv").read_text() == text
    gets = [r for r in faulty.seen if r.path.endswith("a.csv")]
    size = len(text)
    assert [r.headers["Range"] for r in gets] == [f"bytes={at}-{min(at + BLOCK, size) - 1}" for at in range(0, size, BLOCK)]


def test_failures_that_pass_are_not_seen(s3, bucket, faulty, tmp_path):
    text = rows(120_000, 2)  # 8 MB
    s3.put(bucket, "in/a.csv", text.encode())
    chance = random.Random(3)
    faulty.rule = lambda r: chance.choice(("cut", "drop", s3server.SLOW_DOWN, None)) if r.path.endswith("a.csv") else None
    done = ingest(faulty.endpoint, f"s3://{bucket}/in/", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "data.csv").read_text() == text


@pytest.mark.parametrize("how", ["replaced", "replaced by a longer one", "shorter", "gone"])
def test_an_object_that_changes_meanwhile_is_an_error(s3, bucket, faulty, tmp_path, how):
    s3.put(bucket, "in/0.csv", b"id,s\n-1,first\n")
    assert ingest(s3.endpoint, f"s3://{bucket}/in/", tmp_path).returncode == 0
    before = (tmp_path / "data" / "data.csv").read_bytes()
    text = rows(200_000, 4)
    s3.put(bucket, "in/a.csv", text.encode())
    seen = []

    def rule(r):
        if r.path.endswith("a.csv"):
            seen.append(r)
            if len(seen) == 2:
                if how == "gone":
                    (s3.folder / bucket / "in" / "a.csv").unlink()
                else:
                    n = {"replaced": 200_000, "shorter": 100, "replaced by a longer one": 300_000}[how]
                    s3.put(bucket, "in/a.csv", rows(n, 5).encode())

    faulty.rule = rule
    done = ingest(faulty.endpoint, f"s3://{bucket}/in/", tmp_path)
    wanted = "was listed, and is gone" if how == "gone" else "is another object by now"
    assert done.returncode not in (0, 2) and wanted in done.stderr and "in/a.csv" in done.stderr, done.stderr
    assert (tmp_path / "data" / "data.csv").read_bytes() == before and [p.name for p in (tmp_path / "data").iterdir()] == ["data.csv"]
    faulty.rule = lambda r: None
    done = ingest(faulty.endpoint, f"s3://{bucket}/in/", tmp_path)
    assert done.returncode == 0, done.stderr


def test_images_are_looked_for_where_it_is_said(s3, bucket, tmp_path):
    s3.put(bucket, "in/a.csv", b"id,image\n1,a.png\n2,b.png\n")
    (tmp_path / "schema.yaml").write_text("columns:\n  - {name: id, type: int}\n  - {name: image, type: image}\n")
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics" / "a.png").write_bytes(Canvas(3, 3).png())
    done = ingest(s3.endpoint, f"s3://{bucket}/in/", tmp_path)
    assert done.returncode == 2 and "where are the images of column 'image'?" in done.stderr and "--data-loc" in done.stderr
    done = ingest(s3.endpoint, f"s3://{bucket}/in/", tmp_path, "--data-loc", "pics")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "data.csv").read_text() == "id,image\n1,a.png\n"


def test_parquet_in_a_bucket(s3, bucket, tmp_path):
    if not (support.ROOT / ".deps" / "lib" / "libduckdb.so").exists():
        pytest.skip("no DuckDB: deps/duckdb.sh was not run")
    (tmp_path / "a.csv").write_text("id,x\n1,1.5\n2,\n")
    assert support.run_gyre("data", "query", "SELECT * FROM 'a.csv'", "-o", "a.parquet", cwd=tmp_path).returncode == 0
    s3.put(bucket, "in/a.parquet", (tmp_path / "a.parquet").read_bytes())
    s3.put(bucket, "in/b.csv", b"x,id\n2.5,3\n")
    done = ingest(s3.endpoint, f"s3://{bucket}/in/", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "data.csv").read_text() == "id,x\n1,1.5\n2,\n3,2.5\n"
    s3.put(bucket, "bad/a.parquet", b"PAR1 and then nothing")
    done = ingest(s3.endpoint, f"s3://{bucket}/bad/", tmp_path)
    assert done.returncode > 2 and f"'s3://{bucket}/bad/a.parquet' is no Parquet file" in done.stderr
