# SPDX-License-Identifier: Apache-2.0
"""Objects in a real S3 server: the whole way through, and what is left when it fails, lies or dies at each point."""

import calendar
import hashlib
import http.client
import os
import random
import re
import threading
import time

import pytest
import s3server
import serving
import support

A = "/api/2.0/mlflow-artifacts/artifacts"
OBJECTS = "/api/gyre/v1/objects"
MIB = 1 << 20


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    try:
        one = s3server.S3Server(tmp_path_factory.mktemp("s3"))
    except s3server.Missing as why:
        pytest.skip(str(why))
    yield one
    one.kill()


@pytest.fixture
def bucket(s3, request):
    return s3.bucket(re.sub("[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:60])


@pytest.fixture
def faulty(s3):
    one = s3server.Faulty(s3.port)
    yield one
    one.stop()


def args(bucket, prefix="objects"):
    return ["--objects", f"s3://{bucket}/{prefix}"]


def ask(server, method, path, body=None, timeout=120):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    connection.request(method, path, body=body)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, data


def key_of(data):
    sha = hashlib.sha256(data).hexdigest()
    return f"objects/{sha[:2]}/{sha[2:]}"


def metric(server, name):
    _, text = ask(server, "GET", "/metrics")
    return float(re.search(rf"^{name} (\S+)$", text.decode(), re.M).group(1))


def test_the_whole_way(s3, bucket, new_server, tmp_path):
    """Artifacts, datasets, a registered, proven and deployed model; and a second server on the same bucket with no local copies."""
    server = new_server(args(bucket), env=s3.env)
    data = random.Random(1).randbytes(3 * MIB)
    assert ask(server, "PUT", A + "/some/file.bin", data)[0] == 200
    status, sha = ask(server, "POST", OBJECTS, b"a,b\n1,2\n")
    assert status == 201
    assert s3.objects(bucket)[key_of(data)] == len(data)
    assert key_of(b"a,b\n1,2\n") in s3.objects(bucket)
    assert ask(server, "GET", A + "/some/file.bin") == (200, data)
    serving.serve(server)
    status, answer, _ = serving.request(server, "POST", "/predictions", {"hr": 104, "resp": 22, "temp": 38.9})
    assert (status, answer["isSepsis"]) == (200, 1)
    assert not (server.home / "objects").exists() or not any((server.home / "objects").rglob("*.*"))
    sent = metric(server, "gyre_objects_sent_bytes_total")
    assert sent >= len(data)
    assert ask(server, "PUT", A + "/again.bin", data)[0] == 200  # the same bytes are not sent twice
    assert metric(server, "gyre_objects_sent_bytes_total") - sent < 10000
    assert metric(server, "gyre_objects_up") == 1
    server.stop()
    for path in sorted((server.home / "cache").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    server.start()  # the model is read from the bucket again
    status, answer, _ = serving.request(server, "POST", "/predictions", {"hr": 104, "resp": 22, "temp": 38.9})
    assert (status, answer["isSepsis"]) == (200, 1)
    assert ask(server, "GET", A + "/again.bin") == (200, data)
    assert ask(server, "GET", A + "/again.bin") == (200, data)
    assert metric(server, "gyre_objects_cache_hits_total") >= 1


def test_a_command_on_its_own_uses_the_bucket(s3, bucket, gyre, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("a,y\n" + "".join(f"{i},{i % 2}\n" for i in range(50)))
    done = gyre("data", "ingest", "--data-loc", tmp_path, "--file-name", "t.csv", "--output-path", tmp_path / "out", *args(bucket),
                env=s3.env)
    assert done.returncode == 0, done.stderr
    assert key_of((tmp_path / "out" / "data.csv").read_bytes()) in s3.objects(bucket)


def test_300_mb_in_constant_memory(s3, bucket, new_server):
    server = new_server(args(bucket), env=s3.env)
    assert ask(server, "PUT", A + "/warm", b"x")[0] == 200
    before = server.rss_kb()
    block, blocks = random.Random(2).randbytes(MIB), 300
    digest = hashlib.sha256()

    def body():
        for _ in range(blocks):
            digest.update(block)
            yield block

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
    connection.request("PUT", A + "/big.bin", body=body(), headers={"Content-Length": str(blocks * MIB)})
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"{}")
    sha = digest.hexdigest()
    assert s3.objects(bucket)[f"objects/{sha[:2]}/{sha[2:]}"] == blocks * MIB
    assert s3.uploads(bucket) == []
    for path in (server.home / "cache" / "objects").rglob("*"):  # so that it has to be fetched
        if path.is_file() and path.stat().st_size > MIB:
            path.unlink()
    connection.request("GET", A + "/big.bin")
    answer = connection.getresponse()
    got, back = 0, hashlib.sha256()
    while piece := answer.read(MIB):
        got += len(piece)
        back.update(piece)
    assert (answer.status, got, back.hexdigest()) == (200, blocks * MIB, sha)
    peak = max(server.rss_kb(), before)
    # A few MiB; sanitizers keep what was freed for a while.
    assert peak - before < 100 * 1024, f"{before} -> {peak} kB"


@pytest.mark.parametrize("change, code, words", [
    ({"AWS_SECRET_ACCESS_KEY": "another"}, 7, ["SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"]),
    ({"AWS_ACCESS_KEY_ID": "nobody"}, 7, ["AWS_ACCESS_KEY_ID"]),
    ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, 7, ["no keys for S3", "AWS_ACCESS_KEY_ID"]),
    ({"GYRE_S3_ENDPOINT": "http://127.0.0.1:9"}, 21, ["127.0.0.1:9", "--s3-endpoint"]),
    ({"GYRE_S3_ENDPOINT": "127.0.0.1:9"}, 3, ["http://127.0.0.1:9000"]),
    ({"GYRE_OBJECTS_URL": "s3://no-such-bucket/x"}, 4, ["no-such-bucket", "--objects"]),
    ({"GYRE_OBJECTS_URL": "s3://-/x"}, 3, ["bucket"]),
], ids=["secret", "access", "none", "down", "endpoint", "bucket", "name"])
def test_a_start_that_can_not_work_says_why(s3, tmp_path, change, code, words):
    bucket = s3.folder / "refused"
    bucket.mkdir(exist_ok=True)
    env = {**s3.env, "GYRE_OBJECTS_URL": "s3://refused/x", **change}
    done = support.run_gyre("server", "--port", "0", "--home", tmp_path / "home", cwd=tmp_path, env=env)
    assert done.returncode == code, done.stderr
    for word in words:
        assert word in done.stderr
    assert s3server.SECRET not in done.stderr + done.stdout


def test_failures_that_pass_are_not_seen(s3, bucket, faulty, new_server):
    """Every request fails once or twice, each time in another way; clients see none of it."""
    ways = [s3server.SLOW_DOWN, s3server.INTERNAL, "drop", "lose", (502, "<html>oops"), (429, "")]
    server = new_server(args(bucket), env=s3server.keys(faulty.endpoint))
    faulty.rule = lambda r: ways[r.n // 2 % len(ways)] if r.n % 2 else None
    for i in range(12):
        data = b"object %d" % i
        assert ask(server, "PUT", f"{A}/f{i}", data)[0] == 200
        assert s3.objects(bucket)[key_of(data)] == len(data)
    assert metric(server, "gyre_objects_retries_total") >= 12
    assert metric(server, "gyre_objects_errors_total") == 0


def test_an_outage_loses_nothing_that_was_acknowledged(s3, bucket, faulty, new_server):
    """Half of the requests fail for good while clients write: each write is there whole, or was refused and is not to be seen."""
    server = new_server(args(bucket), env=s3server.keys(faulty.endpoint))
    rng = random.Random(3)
    faulty.rule = lambda r: s3server.SLOW_DOWN if rng.random() < 0.75 else None
    results = {}

    def write(worker):
        for i in range(4):
            data = b"%d of %d" % (i, worker)
            results[worker, i] = data, ask(server, "PUT", f"{A}/w{worker}/f{i}", data)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    faulty.rule = lambda r: None
    assert len(results) == 6 * 4 # no writer ended early
    statuses = {status for _, (status, _) in results.values()}
    assert statuses <= {200, 503}
    for (worker, i), (data, (status, text)) in results.items():
        got = ask(server, "GET", f"{A}/w{worker}/f{i}")
        if status == 200:
            assert got == (200, data)
        else:
            assert got[0] == 404 and (b"SlowDown" in text or b"503" in text)
    for key, size in s3.objects(bucket, "objects/").items():
        assert hashlib.sha256((s3.folder / bucket / key).read_bytes()).hexdigest() == key[8:].replace("/", "")
        assert size > 0


def test_reads_survive_cut_and_damaged_answers(s3, bucket, faulty, new_server):
    server = new_server(args(bucket), env=s3.env)
    data = random.Random(4).randbytes(MIB)
    for name in ("cut", "damaged"):
        assert ask(server, "PUT", f"{A}/{name}", name.encode() + data)[0] == 200
    server.stop()
    fresh = new_server(args(bucket), env=s3server.keys(faulty.endpoint))
    status, _ = ask(fresh, "GET", f"{A}/cut")
    assert status == 404  # another home: its own names
    fresh.stop()
    for path in (server.home / "cache" / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    server.env = s3server.keys(faulty.endpoint)
    cuts = []

    def cut_thrice(r):
        if r.method == "GET" and not r.query and len(cuts) < 3:
            cuts.append(r)
            return "cut"
        return None

    faulty.rule = cut_thrice
    server.start()
    assert ask(server, "GET", f"{A}/cut") == (200, b"cut" + data)
    assert len(cuts) == 3 and [r.headers.get("Range") is not None for r in cuts] == [False, True, True]
    damages = []

    def damage_once(r):
        if r.method == "GET" and not r.query and not damages:
            damages.append(r)
            return "damage"
        return None

    faulty.rule = damage_once
    assert ask(server, "GET", f"{A}/damaged") == (200, b"damaged" + data)
    assert len(damages) == 1
    # What is damaged in the bucket itself is never given out.
    (s3.folder / bucket / key_of(b"cut" + data)).write_bytes(b"cut" + data[::-1])
    for path in (server.home / "cache" / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    status, text = ask(server, "GET", f"{A}/cut")
    assert status == 500 and b"damaged" in text


def test_a_stalled_server_is_given_up(s3, bucket, faulty, new_server):
    """A request that hangs holds up nobody else."""
    server = new_server(args(bucket), env=s3server.keys(faulty.endpoint))
    hung = threading.Event()

    def hang_one(r):
        if r.method == "PUT" and not hung.is_set():
            hung.set()
            return "hang"
        return None

    faulty.rule = hang_one
    slow = threading.Thread(target=ask, args=(server, "PUT", f"{A}/slow", b"slow"))
    slow.start()
    assert hung.wait(30)
    assert ask(server, "PUT", f"{A}/other", b"other")[0] == 200
    assert ask(server, "GET", f"{A}/other") == (200, b"other")
    slow.join()  # after GY_S3_STALL_S it was tried again
    assert ask(server, "GET", f"{A}/slow") == (200, b"slow")


def test_a_wrong_clock_is_corrected(bucket, faulty, new_server):
    """The peer's clock is two hours ahead, and it refuses what is signed with another, as S3 does. (It signs off nothing else.)"""
    stamps = []

    def by_its_clock(r):
        signed = calendar.timegm(time.strptime(r.headers["x-amz-date"], "%Y%m%dT%H%M%SZ"))
        stamps.append(signed)
        faulty.date = time.time() + 7200
        if abs(signed - faulty.date) > 900:
            return (403, s3server.error("RequestTimeTooSkewed"))
        if "list-type" in r.query:
            return (200, "<ListBucketResult><Name>b</Name></ListBucketResult>")
        return (404, "") if r.method == "HEAD" else (200, "")

    faulty.rule = by_its_clock
    server = new_server(args(bucket), env=s3server.keys(faulty.endpoint))
    assert stamps[1] - stamps[0] > 7000  # at the first request already, and kept
    assert ask(server, "PUT", f"{A}/f", b"hello")[0] == 200
    assert min(stamps[1:]) - stamps[0] > 7000
    assert metric(server, "gyre_objects_errors_total") == 0


def test_kill_9_in_an_upload_leaves_nothing_visible(s3, bucket, faulty, new_server):
    """A large artifact is sent in parts; the server dies between them. Nothing is to be seen, and a start a day later aborts
    what was begun."""
    server = new_server(args(bucket), env=s3server.keys(faulty.endpoint))
    parts = threading.Semaphore(0)

    def hang_at_a_part(r):
        if "partNumber=3" in r.query:
            parts.release()
            return "hang"
        return None

    faulty.rule = hang_at_a_part
    data = random.Random(5).randbytes(MIB) * 70

    def upload():
        try:
            ask(server, "PUT", f"{A}/big", data)
        except OSError:
            pass

    client = threading.Thread(target=upload)
    client.start()
    assert parts.acquire(timeout=60)
    server.kill()
    client.join()
    assert s3.objects(bucket, "objects/") == {}
    assert len(s3.uploads(bucket)) == 1
    faulty.rule = lambda r: None
    server.start()
    assert ask(server, "GET", f"{A}/big")[0] == 404
    assert len(s3.uploads(bucket)) == 1  # young: another server's may be under way
    server.stop()
    old = time.time() - 2 * 24 * 3600
    for folder in s3.uploads(bucket):
        os.utime(folder, (old, old))
    spool = list((server.home / "cache" / "objects" / "tmp").iterdir())
    for path in spool:
        os.utime(path, (old, old))
    server.start()
    assert s3.uploads(bucket) == []
    assert list((server.home / "cache" / "objects" / "tmp").iterdir()) == []
    assert ask(server, "PUT", f"{A}/big", data)[0] == 200
    assert ask(server, "GET", f"{A}/big") == (200, data)


def test_a_failing_part_takes_the_upload_back(s3, bucket, faulty, new_server):
    server = new_server(args(bucket), env=s3server.keys(faulty.endpoint))
    data = random.Random(6).randbytes(MIB) * 40
    faulty.rule = lambda r: (403, s3server.error("AccessDenied")) if "partNumber=2" in r.query else None
    status, text = ask(server, "PUT", f"{A}/big", data)
    assert status == 403 and b"AccessDenied" in text
    assert s3.objects(bucket, "objects/") == {} and s3.uploads(bucket) == []
    faulty.rule = lambda r: "lose" if r.method == "POST" and "uploadId" in r.query else None
    status, text = ask(server, "PUT", f"{A}/big", data)  # completed, and the answer lost each time
    assert status == 200
    assert s3.objects(bucket, "objects/") == {key_of(data): len(data)}


def test_the_server_serves_on_without_its_bucket(s3, bucket, faulty, new_server):
    """Predictions come from memory: they go on, and so does readiness; the metric and the answers to others tell the outage."""
    server = new_server(args(bucket), env=s3server.keys(faulty.endpoint))
    serving.serve(server)
    faulty.rule = lambda r: "drop"
    status, text = ask(server, "PUT", f"{A}/f", b"hello")
    assert status in (502, 503), text
    assert b"s3://" in text
    assert metric(server, "gyre_objects_up") == 0
    assert metric(server, "gyre_objects_errors_total") >= 1
    assert ask(server, "GET", "/api/gyre/v1/health/ready")[0] == 200
    status, answer, _ = serving.request(server, "POST", "/predictions", {"hr": 104, "resp": 22, "temp": 38.9})
    assert (status, answer["isSepsis"]) == (200, 1)
    faulty.rule = lambda r: None
    assert ask(server, "PUT", f"{A}/f", b"hello")[0] == 200
    assert metric(server, "gyre_objects_up") == 1


def test_two_servers_share_a_bucket(s3, bucket, new_server):
    first, second = (new_server(args(bucket), env=s3.env) for _ in range(2))
    data = b"the same of both"
    for server in (first, second):
        assert ask(server, "PUT", f"{A}/f", data)[0] == 200
        assert ask(server, "GET", f"{A}/f") == (200, data)
    assert s3.objects(bucket, "objects/") == {key_of(data): len(data)}


def test_a_home_is_restored_into_a_bucket(s3, bucket, new_server, gyre, tmp_path):
    """And remembers it: a server that is not told the bucket would serve a home without bytes."""
    server = new_server()
    data = random.Random(2).randbytes(MIB)
    assert ask(server, "PUT", A + "/some/file.bin", data)[0] == 200
    archive, home = tmp_path / "archive", tmp_path / "again"
    done = gyre("backup", archive, "--home", server.home)
    assert done.returncode == 0, done.stderr
    done = gyre("restore", archive, "--home", home, *args(bucket), env=s3.env)
    assert done.returncode == 0, done.stderr
    assert s3.objects(bucket)[key_of(data)] == len(data)
    assert not any((home / "objects").rglob("*"))
    done = gyre("runs", "list", "--home", home, env=s3.env)
    assert done.returncode == 6 and f"s3://{bucket}/objects" in done.stderr
