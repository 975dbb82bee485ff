# SPDX-License-Identifier: Apache-2.0
"""gyre data gc and gyre data status -c against dvc's own: what is removed, what stays, what is where."""

import json
import shutil

import pytest

import dvcs
from dvcs import clone


def cached(repo):
    root = repo.path / ".dvc/cache"
    return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and "runs" not in p.parts}


@pytest.fixture
def history(pair):
    """Four versions: of a tag, of a branch, of main before, of the workspace; and what no commit has."""
    repo, place = pair
    repo.git("branch", "-M", "main")
    for n, mark in enumerate(["tag", "side", "old", "now"]):
        dvcs.plant(repo.path, {"d/same": b"same", "d/own": b"%d" % n, f"only {mark}": mark.encode()})
        repo.gyre("data", "add", "d", f"only {mark}")
        repo.commit(mark)
        if mark == "tag":
            repo.git("tag", "-a", "v1", "-m", "annotated")
        if mark == "side":
            repo.git("branch", "side")
        repo.gyre("data", "push")
        (repo.path / f"only {mark}.dvc").unlink()
    dvcs.plant(repo.path, {"uncommitted": b"u", "lost": b"lost"})
    repo.gyre("data", "add", "uncommitted", "lost")
    (repo.path / "lost.dvc").unlink()
    repo.gyre("data", "push")
    return repo, place


SCOPES = [["-w"], ["-a"], ["-T"], ["-a", "-T"], ["-A"], ["--rev", "HEAD~1"]]


@pytest.mark.parametrize("place", ["folder"], indirect=True)
@pytest.mark.parametrize("scope", SCOPES, ids=" ".join)
def test_the_cache_keeps_what_dvc_keeps(scope, history, tmp_path):
    repo, place = history
    shutil.copytree(repo.path, tmp_path / "theirs", symlinks=True)
    theirs = dvcs.Repo(tmp_path / "theirs", tmp_path, init=False)
    before, remote = cached(repo), place.objects()
    plan = repo.gyre_json("data", "gc", *scope)
    assert cached(repo) == before and plan["applied"] is False
    theirs.dvc("gc", "-f", *scope)
    done = repo.gyre_json("data", "gc", *scope, "--yes")
    assert done["cache"]["removed"] == plan["cache"]["unused"] == len(before) - len(cached(repo)) > 0
    assert cached(repo) == cached(theirs)
    assert place.objects() == remote
    assert repo.gyre_json("data", "gc", *scope)["cache"]["unused"] == 0


def test_the_remote_keeps_what_dvc_keeps(history, tmp_path):
    repo, place = history
    before = place.objects()
    plan = repo.gyre_json("data", "gc", "-T", "-c")
    assert plan["remote"]["unused"] > 0 and place.objects() == before
    repo.gyre("data", "gc", "-T", "-c", "--yes")
    after = place.objects()
    assert len(after) == len(before) - plan["remote"]["unused"]
    repo.dvc("gc", "-f", "-T", "-c")
    assert place.objects() == after  # there was nothing left for it
    repo.commit("all")
    second = clone(repo, tmp_path, place)
    second.git("checkout", "-q", "v1")
    second.dvc("pull")
    assert (second.path / "d/own").read_bytes() == b"0"


def test_a_list_that_only_the_remote_has(history, tmp_path):
    """Its files are in use; without it nobody knows which they are."""
    repo, place = history
    lists = [p for p in (repo.path / ".dvc/cache").rglob("*.dir")]
    for path in lists:
        path.chmod(0o644)
        path.unlink()
    before, remote = cached(repo), place.objects()
    refused = repo.gyre("data", "gc", "-A", "--yes", code=6)
    assert "not in the cache" in refused.stderr and "fetch" in refused.stderr
    assert cached(repo) == before
    repo.gyre("data", "gc", "-A", "-c", "--yes")
    assert len(place.objects()) == len(remote)  # `lost` was never pushed
    for key in list(place.objects()):
        if key.endswith(".dir"):
            (place.root / key).unlink()
    assert "not on the remote" in repo.gyre("data", "gc", "-A", "-c", "--yes", code=6).stderr


def test_without_a_scope_nothing_happens(history):
    repo, _ = history
    before = cached(repo)
    assert "scope" in repo.gyre("data", "gc", "--yes", code=2).stderr
    assert repo.gyre("data", "gc", "-w", "-r", "store", code=2)
    assert "revision 'nope'" in repo.gyre("data", "gc", "--rev", "nope", "--yes", code=4).stderr
    (repo.path / "broken.dvc").write_text("outs: [")
    assert repo.gyre("data", "gc", "-w", "--yes", code=None).returncode == 16
    assert cached(repo) == before


def test_projects_that_share_a_cache(tmp_path):
    one, two = (dvcs.Repo(tmp_path / name, tmp_path) for name in ("one", "two"))
    for repo in (one, two):
        repo.dvc("config", "cache.dir", str(tmp_path / "shared"))
        dvcs.plant(repo.path, {"f": repo.path.name.encode(), "both": b"both"})
        repo.gyre("data", "add", "f", "both")
    assert one.gyre_json("data", "gc", "-w")["cache"]["unused"] == 1
    assert one.gyre_json("data", "gc", "-w", "-p", two.path, "--yes")["cache"]["removed"] == 0
    assert one.gyre_json("data", "gc", "-w", "--yes")["cache"]["removed"] == 1


def status(repo):
    ours = repo.gyre("data", "status", "-c", "--json", code=None)
    assert ours.returncode == (1 if json.loads(ours.stdout) else 0)
    return json.loads(ours.stdout)


def test_status_against_the_remote(pair):
    repo, place = pair
    dvcs.plant(repo.path, {"d/a b": b"1", "d/c": b"2", "f": b"3", "g": b"4"})
    repo.gyre("data", "add", "d", "f", "g")
    seen = []

    def both():
        theirs = json.loads(repo.dvc("status", "-c", "--json"))
        assert status(repo) == theirs
        seen.append(theirs)

    both()
    assert set(seen[0].values()) == {"new"} and len(seen[0]) == 5
    repo.gyre("data", "push")
    both()
    for name, where in (("c4/ca4238a0b923820dcc509a6f75849b", "remote"), ("ec/cbc87e4b5ce2fe28308fd9f2a7baf3", "cache"),
                        ("a8/7ff679a2f3e71d9181a67b7542122c", "both")):
        for root in ([place.root] if where != "cache" else []) + ([repo.path / ".dvc/cache"] if where != "remote" else []):
            (root / "files/md5" / name).unlink()
    now = status(repo)  # dvc takes the folder's list for proof of its files; we look
    assert now == {"d/a b": "new", "f": "deleted", "g": "missing"}
    shutil.rmtree(repo.path / ".dvc/cache")
    assert status(repo) == {"d/a b": "missing", "d/c": "deleted", "f": "deleted", "g": "missing"}
