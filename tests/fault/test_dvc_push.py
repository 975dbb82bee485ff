# SPDX-License-Identifier: Apache-2.0
"""Push and pull when the world ends in between: kill -9, a full remote, objects that vanish, wrong bytes, a server that stutters.
Nothing half is ever taken for whole, the same command goes on, and what failed is named."""

import os
import shutil
import signal
import subprocess
import time

import pytest

import s3server
import support

N = 400


def run(repo, *args, code=0, env=None):
    done = support.run_gyre("data", *args, cwd=repo, env=env)
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return done


def read(repo, *args, code=0):
    import json
    done = run(repo, *args, "--json", code=code)
    return json.loads(done.stdout.splitlines()[0])


@pytest.fixture
def repo(tmp_path):
    path = tmp_path / "repo"
    for i in range(N):
        file = path / "many" / str(i % 5) / f"f{i}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"%d-" % i * (1 + i * 40))
    subprocess.run(["git", "init", "-q", path], check=True, timeout=60)
    run(path, "add", "many")
    return path


@pytest.fixture
def s3(tmp_path):
    try:
        server = s3server.S3Server(tmp_path / "server")
    except s3server.Missing as missing:
        pytest.skip(str(missing))
    server.bucket("data")
    yield server
    server.kill()


def remote(repo, url, **settings):
    run(repo, "remote", "add", "-f", "-d", "store", url)
    for key, value in settings.items():
        run(repo, "remote", "modify", "--local", "store", key, value)


def to_s3(repo, endpoint):
    remote(repo, "s3://data/x", endpointurl=endpoint, access_key_id=s3server.ACCESS, secret_access_key=s3server.SECRET)


def objects(root):
    """What DVC would see: names of objects, not what is being written."""
    return {p.parent.name + p.name for p in (root / "files/md5").glob("??/*") if not p.name.endswith(".tmp")} if root.exists() else set()


def whole(root, lists=True):
    """Each object is what its name says, and (on a remote) a list is there only with all of its files."""
    import hashlib
    import json
    there = objects(root)
    for oid in there:
        content = (root / "files/md5" / oid[:2] / oid[2:]).read_bytes()
        assert hashlib.md5(content).hexdigest() == oid[:32]
        if lists and oid.endswith(".dir"):
            assert {e["md5"] for e in json.loads(content)} <= there
    return there


def kill_while(command, cwd, happens):
    process = subprocess.Popen(command, cwd=cwd, env=support.clean_env(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not happens() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("place", ["folder", "s3"])
def test_a_killed_push_goes_on(place, repo, tmp_path, request):
    if place == "s3":
        server = request.getfixturevalue("s3")
        root = server.folder / "data" / "x"
        to_s3(repo, server.endpoint)
    else:
        root = tmp_path / "remote"
        remote(repo, root)
    counts = []
    for at in (1, N // 4, N // 2):
        kill_while([support.BIN, "data", "push", "-j", "2"], repo, lambda at=at: len(objects(root)) >= at)
        counts.append(len(whole(root)))
    assert counts == sorted(counts) and counts[0] >= 1
    said = read(repo, "push", "--all")
    assert said["present"] + said["pushed"] == N + 1 and said["failed"] == 0
    assert len(whole(root)) == N + 1


def test_a_killed_pull_goes_on(repo, tmp_path):
    root = tmp_path / "remote"
    remote(repo, root)
    run(repo, "push")
    before = {p.name: p.read_bytes() for p in (repo / "many").rglob("*") if p.is_file()}
    shutil.rmtree(repo / ".dvc/cache")
    shutil.rmtree(repo / "many")
    cache = repo / ".dvc/cache"
    for at in (2, N // 2):
        kill_while([support.BIN, "data", "pull", "-j", "2"], repo, lambda at=at: len(objects(cache)) >= at)
    run(repo, "pull")
    whole(cache, lists=False)
    assert {p.name: p.read_bytes() for p in (repo / "many").rglob("*") if p.is_file()} == before
    assert read(repo, "status") == {}


def test_a_full_remote(repo, tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", full], capture_output=True, check=False, timeout=60)
    if mounted.returncode != 0:
        pytest.skip("no right to mount a small file system")
    try:
        remote(repo, full / "r")
        said = run(repo, "push", code=12)
        assert "No space left" in said.stderr and "not tried" in said.stderr
        there = whole(full / "r")
        assert there and not any(oid.endswith(".dir") for oid in there)
        assert not list((full / "r" / "tmp").iterdir())
        subprocess.run(["mount", "-o", "remount,size=64m", full], check=True, timeout=60)
        assert read(repo, "push")["present"] == len(there)
        assert len(whole(full / "r")) == N + 1
    finally:
        subprocess.run(["umount", full], check=True, timeout=60)


def test_objects_that_vanish_and_objects_that_are_damaged(repo, tmp_path):
    root = tmp_path / "remote"
    remote(repo, root)
    cached = sorted(p for p in (repo / ".dvc/cache/files/md5").rglob("*") if p.is_file() and not p.name.endswith(".dir"))
    gone, bad = cached[3], cached[9]
    gone.unlink()
    content = bad.read_bytes()
    bad.chmod(0o644)
    bad.write_bytes(b"rot")
    bad.chmod(0o444)  # DVC would trust it
    said = read(repo, "push", code=None)
    assert said["failed"] == 2 and said["held"] == 1 and said["pushed"] == N - 2
    assert {f["code"] for f in said["failures"]} == {"NOTFOUND", "CORRUPT"}
    assert all(f["path"].startswith("many/") for f in said["failures"])
    assert not any(oid.endswith(".dir") for oid in whole(root))
    bad.chmod(0o644)
    bad.write_bytes(content)
    bad.chmod(0o444)
    run(repo, "add", "many")
    assert read(repo, "push")["pushed"] == 3


def test_wrong_bytes_on_the_remote_stay_outside(repo, tmp_path):
    root = tmp_path / "remote"
    remote(repo, root)
    run(repo, "push")
    victim = sorted(p for p in (root / "files/md5").rglob("*") if p.is_file() and not p.name.endswith(".dir"))[0]
    victim.chmod(0o644)
    victim.write_bytes(b"something else")
    victim.chmod(0o444)
    shutil.rmtree(repo / ".dvc/cache")
    shutil.rmtree(repo / "many")
    said = run(repo, "pull", code=13)
    assert victim.name in said.stderr and "remove it there" in said.stderr
    assert len(whole(repo / ".dvc/cache", lists=False)) == N
    assert not (repo / "many").exists()  # nothing was checked out by half


def test_a_server_that_stutters(repo, s3):
    """Every seventh request fails in another way; nothing of that shows but the time it takes."""
    peer = s3server.Faulty(s3.port)
    kinds = ["drop", s3server.SLOW_DOWN, s3server.INTERNAL, "lose"]
    peer.rule = lambda request: kinds[request.n // 7 % 4] if request.n % 7 == 0 else None
    to_s3(repo, peer.endpoint)
    assert read(repo, "push")["failed"] == 0
    shutil.rmtree(repo / ".dvc/cache")
    peer.rule = lambda request: ["cut", "drop"][request.n // 7 % 2] if request.n % 7 == 0 and request.method == "GET" else None
    assert read(repo, "fetch")["fetched"] == N + 1
    peer.rule = lambda request: "damage" if request.method == "GET" and request.n % 50 == 0 else None
    shutil.rmtree(repo / ".dvc/cache")
    said = read(repo, "fetch", code=13)
    assert said["failed"] > 0 and {f["code"] for f in said["failures"]} == {"CORRUPT"}
    peer.rule = lambda request: None
    run(repo, "fetch")
    assert len(whole(repo / ".dvc/cache", lists=False)) == N + 1
    peer.stop()


def test_a_server_that_is_gone(repo, s3):
    to_s3(repo, s3.endpoint)
    s3.kill()
    said = run(repo, "push", code=21)
    assert "remote 'store'" in said.stderr and s3server.SECRET not in said.stderr
