# SPDX-License-Identifier: Apache-2.0
"""The real dvc and Gyre in one repository, without a remote: what either adds the other finds clean and restores byte for byte;
both wait for one lock; dvc.lock and the run cache of either serve the other."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import threading
import time

import pytest

import dvcs
import support


@pytest.fixture
def repo(tmp_path):
    dvcs.need()
    return dvcs.Repo(tmp_path / "repo", tmp_path)


def both_clean(repo):
    assert repo.clean(), repo.dvc("status")
    assert repo.gyre_json("data", "status") == {}


def plant(repo):
    """One tracked thing after the other: awkward names as files, and all of them in a folder."""
    dvcs.plant(repo.path / "d", dvcs.AWKWARD)
    (repo.path / "d" / "empty folder").mkdir()
    (repo.path / "d" / "run.sh").write_text("#!/bin/sh\n")
    (repo.path / "d" / "run.sh").chmod(0o755)
    names = {name: content for name, content in dvcs.AWKWARD.items() if "/" not in name}
    dvcs.plant(repo.path, names)
    (repo.path / "tool").write_text("#!/bin/sh\n")
    (repo.path / "tool").chmod(0o755)
    (repo.path / "nothing").mkdir()
    (repo.path / "sub").mkdir()
    (repo.path / "sub" / "inner").write_text("inner")
    return ["d", "tool", "nothing", "sub/inner", *(f"./{name}" for name in names)]


def wipe(repo, tracked):
    for path in tracked:
        full = repo.path / path
        shutil.rmtree(full) if full.is_dir() else full.unlink()


def files_of_dvc(repo):
    found = {}
    for path in sorted(repo.path.rglob("*")):
        if path.is_file() and ".git/" not in str(path) and (path.name.endswith(".dvc") or path.name in (".gitignore", ".dvcignore")):
            found[str(path.relative_to(repo.path))] = path.read_text()
    return found


def objects(repo):
    base = repo.path / ".dvc/cache"
    return {str(p.relative_to(base)): (p.read_bytes(), p.stat().st_mode & 0o7777) for p in base.rglob("*") if p.is_file()}


def test_both_write_the_same(tmp_path, repo):
    """The .dvc files, .gitignore and the cache, byte for byte."""
    other = dvcs.Repo(tmp_path / "other", tmp_path)
    tracked = plant(repo)
    plant(other)
    repo.gyre("data", "add", *tracked)
    other.dvc("add", "-q", *tracked)
    assert files_of_dvc(repo) == files_of_dvc(other)
    assert objects(repo) == objects(other)
    both_clean(repo)
    both_clean(other)


@pytest.mark.parametrize("by, back", [("gyre", "dvc"), ("dvc", "gyre"), ("gyre", "gyre")])
def test_what_one_adds_the_other_restores(repo, by, back):
    tracked = plant(repo)
    before = dvcs.tree(repo.path)
    repo.gyre("data", "add", *tracked) if by == "gyre" else repo.dvc("add", "-q", *tracked)
    both_clean(repo)
    wipe(repo, tracked)
    repo.gyre("data", "checkout") if back == "gyre" else repo.dvc("checkout", "-q")
    after = dvcs.tree(repo.path)
    assert {name: after.get(name) for name in before if ".dvc" not in name and ".git" not in name} == {
        name: digest for name, digest in before.items() if ".dvc" not in name and ".git" not in name}
    assert (repo.path / "tool").stat().st_mode & 0o100
    both_clean(repo)


def test_both_see_the_same_changes(repo):
    for name in "abcde":
        (repo.path / name).write_text(name)
    dvcs.plant(repo.path / "f", {"x": b"x", "y/z": b"z"})
    repo.gyre("data", "add", *"abcdef")
    (repo.path / "a").write_text("other")
    (repo.path / "b").unlink()
    digest = hashlib.md5(b"c", usedforsecurity=False).hexdigest()
    (repo.path / ".dvc/cache/files/md5" / digest[:2] / digest[2:]).unlink()
    (repo.path / "f/y/z").unlink()
    import json
    told = json.loads(repo.dvc("status", "--json"))
    assert repo.gyre_json("data", "status", code=1) == told
    repo.gyre("data", "commit", "a", "f")
    told = json.loads(repo.dvc("status", "--json"))
    assert repo.gyre_json("data", "status", code=1) == told
    assert set(told) == {"b.dvc", "c.dvc"}


def test_ten_thousand_small_files(repo):
    dvcs.plant(repo.path / "many", {f"{i % 37}/{i:05d}": b"%d" % i for i in range(10000)})
    before = dvcs.tree(repo.path / "many")
    repo.gyre("data", "add", "many")
    assert repo.clean()
    shutil.rmtree(repo.path / "many")
    repo.dvc("checkout", "-q")
    assert dvcs.tree(repo.path / "many") == before
    assert repo.gyre_json("data", "status") == {}
    shutil.rmtree(repo.path / "many")
    assert repo.gyre_json("data", "checkout")["added"] == 10000
    assert dvcs.tree(repo.path / "many") == before
    assert repo.clean()


@pytest.mark.parametrize("kind", ["hardlink,copy", "symlink", "copy"])
def test_links_of_either(repo, kind):
    repo.dvc("config", "cache.type", kind)
    dvcs.plant(repo.path / "d", {"x": b"x", "y/z": b"zz", "empty": b""})
    repo.gyre("data", "add", "d")
    both_clean(repo)
    shutil.rmtree(repo.path / "d")
    repo.dvc("checkout", "-q")
    both_clean(repo)
    repo.gyre("data", "checkout", "--relink")
    both_clean(repo)
    repo.gyre("data", "unprotect", "d")
    (repo.path / "d/x").write_bytes(b"changed")
    repo.dvc("add", "-q", "d")
    both_clean(repo)
    for path in (repo.path / ".dvc/cache/files").rglob("*"):
        if path.is_file():
            digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
            assert digest == path.parent.name + path.name.removesuffix(".dir")


def test_ignored_alike(tmp_path, repo):
    other = dvcs.Repo(tmp_path / "other", tmp_path)
    tree = {"keep.txt": b"1", "x.log": b"2", "a/keep.log": b"3", "a/b/c.tmp": b"4", "a/b/only": b"5", "build/x": b"6", "a/build": b"7",
            "q/[x].txt": b"8", "top": b"9", "a/top": b"10", "#odd": b"11", "sp ace": b"12", "z/1/2/3": b"13", "z/3": b"14", ".git-not": b"15"}
    patterns = "# comment\n*.log\n!keep.log\nbuild/\nd/top\n/d/**/only\n**/*.tmp\nq/\\[x\\].txt\n\\#odd\nz/*/2\n"
    for one in (repo, other):
        dvcs.plant(one.path / "d", tree)
        (one.path / ".dvcignore").write_text(patterns)
    repo.gyre("data", "add", "d")
    other.dvc("add", "-q", "d")
    assert files_of_dvc(repo) == files_of_dvc(other)
    assert objects(repo) == objects(other)
    both_clean(repo)


def test_dvc_2_repository(repo):
    """An entry without `hash` is of DVC 2: text with CRLF is hashed as if it had LF, objects lie elsewhere."""
    text, binary = b"a\r\nb\r\n" * 1000, b"\x00\r\n" * 1000
    old = {"text.csv": hashlib.md5(text.replace(b"\r\n", b"\n"), usedforsecurity=False).hexdigest(),
           "binary": hashlib.md5(binary, usedforsecurity=False).hexdigest()}
    for name, content in (("text.csv", text), ("binary", binary)):
        (repo.path / name).write_bytes(content)
        (repo.path / f"{name}.dvc").write_text(f"outs:\n- md5: {old[name]}\n  size: {len(content)}\n  path: {name}\n")
    repo.gyre("data", "commit")
    both_clean(repo)
    wipe(repo, old)
    repo.dvc("checkout", "-q")
    assert (repo.path / "text.csv").read_bytes() == text
    wipe(repo, old)
    repo.gyre("data", "checkout")
    assert (repo.path / "text.csv").read_bytes() == text and (repo.path / "binary").read_bytes() == binary
    both_clean(repo)
    (repo.path / "text.csv").write_bytes(text + b"c\r\n")
    repo.gyre("data", "add", "text.csv")
    assert "hash: md5" in (repo.path / "text.csv.dvc").read_text()
    both_clean(repo)


def test_edits_keep_what_dvc_keeps(tmp_path, repo):
    """An update of a file with comments and extra keys comes out of both the same."""
    other = dvcs.Repo(tmp_path / "other", tmp_path)
    text = ("# head\nouts:\n# the first\n- md5: acbd18db4cc2f85cedef654fccc4a4d8 # old\n  size: 3\n  hash: md5\n  path: f\n"
            "  desc: it is\nmeta:\n  who: me\n")
    for one in (repo, other):
        (one.path / "f").write_text("second")
        (one.path / "f").chmod(0o755)
        (one.path / "f.dvc").write_text(text)
    repo.gyre("data", "add", "f")
    other.dvc("add", "-q", "f")
    assert (repo.path / "f.dvc").read_text() == (other.path / "f.dvc").read_text()
    both_clean(repo)


def test_dvc_and_gyre_wait_for_each_other(repo):
    (repo.path / "f").write_text("x")
    repo.gyre("data", "add", "f")
    lock = open(repo.path / ".dvc/tmp/lock", "r+")
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert "Unable to acquire lock" in subprocess.run(
        [dvcs.need(), "status"], cwd=repo.path, env=repo.env, capture_output=True, text=True, check=False).stderr
    child = subprocess.Popen([str(support.BIN), "data", "status"], cwd=repo.path, env=repo.env, stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    assert child.poll() is None
    lock.close()
    assert child.wait(60) == 0


def test_many_at_once_lose_nothing(repo):
    """Both programs add different files at the same time; what dvc gives up on (it waits 3 s) is tried again."""
    for i in range(6):
        dvcs.plant(repo.path / f"d{i}", {f"{k}": b"%d-%d" % (i, k) for k in range(50)})
    failed = []

    def add(i):
        for _ in range(20):
            command = [dvcs.need(), "add", "-q"] if i % 3 == 0 else [str(support.BIN), "data", "add"]
            done = subprocess.run([*command, f"d{i}"], cwd=repo.path, env=repo.env, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return
            if "Unable to acquire lock" not in done.stderr:
                break
        failed.append((i, done.stderr))

    threads = [threading.Thread(target=add, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert sorted(p.name for p in repo.path.glob("d*.dvc")) == [f"d{i}.dvc" for i in range(6)]
    assert sorted((repo.path / ".gitignore").read_text().split()) == [f"/d{i}" for i in range(6)]
    both_clean(repo)


def test_gyre_waits_while_a_stage_of_dvc_runs(repo):
    """`dvc repro` gives the lock back while a command runs, but says in its rwlock what it writes."""
    (repo.path / "dvc.yaml").write_text("stages:\n  slow:\n    cmd: touch began && sleep 3 && echo made > out\n    outs: [out]\n")
    child = subprocess.Popen([dvcs.need(), "repro", "-q"], cwd=repo.path, env=repo.env)
    while not (repo.path / "began").exists():
        assert child.poll() is None
        time.sleep(0.05)
    (repo.path / "other").write_text("x")
    repo.gyre("data", "add", "other")
    assert child.poll() is None
    repo.gyre("data", "checkout", "--force", "out")
    assert (repo.path / "out").read_text() == "made\n"
    assert child.wait(60) == 0


def test_removed_by_gyre_is_gone_for_dvc(repo):
    (repo.path / "f").write_text("x")
    (repo.path / "g").write_text("y")
    repo.dvc("add", "-q", "f", "g")
    repo.gyre("data", "remove", "f.dvc")
    repo.dvc("remove", "g.dvc")
    assert not (repo.path / ".gitignore").exists()
    repo.gyre("data", "add", "f", "g")
    both_clean(repo)


def test_symlinked_files_are_taken_alike(tmp_path, repo):
    other = dvcs.Repo(tmp_path / "other", tmp_path)
    for one in (repo, other):
        dvcs.plant(one.path, {"d/real": b"q", "elsewhere/o": b"o"})
        os.symlink("real", one.path / "d/filelink")
        os.symlink("../elsewhere", one.path / "d/dirlink")
    repo.gyre("data", "add", "d")
    other.dvc("add", "-q", "d")
    assert files_of_dvc(repo) == files_of_dvc(other)
    assert not (repo.path / "d/filelink").is_symlink() and not (other.path / "d/filelink").is_symlink()
    assert (repo.path / "d/dirlink").is_symlink()
    both_clean(repo)


PIPELINE = """\
stages:
  make:
    cmd: cat in.txt > out.txt && mkdir -p many && cp in.txt many/a && echo '{"n":1}' > m.json && echo ran >> ran.log
    deps: [in.txt]
    params: [lr]
    outs: [out.txt, many]
    metrics:
    - m.json: {cache: false}
"""


@pytest.mark.parametrize("first, then", [("gyre", "dvc"), ("dvc", "gyre"), ("gyre", "gyre")])
def test_the_run_cache_of_either_serves_the_other(repo, first, then):
    """What ran before with the same inputs is brought back, not run: `ran.log` has a line for each real run."""
    (repo.path / "dvc.yaml").write_text(PIPELINE)
    run = {"gyre": lambda: repo.gyre("run"), "dvc": lambda: repo.dvc("repro", "-q")}

    def state(text, lr):
        (repo.path / "in.txt").write_text(text)
        (repo.path / "params.yaml").write_text(f"lr: {lr}\n")

    state("one", 0.00001)
    run[first]()
    lock = (repo.path / "dvc.lock").read_text()
    state("two", 1e16)
    run[first]()
    assert (repo.path / "ran.log").read_text() == "ran\nran\n"
    state("one", 0.00001)
    run[then]()
    assert (repo.path / "ran.log").read_text() == "ran\nran\n"
    assert (repo.path / "out.txt").read_text() == "one" and (repo.path / "many/a").read_text() == "one"
    assert (repo.path / "m.json").read_text() == '{"n":1}\n'
    assert (repo.path / "dvc.lock").read_text() == lock
    both_clean(repo)
    state("two", 1e16)
    run[first]()
    state("three", 3)
    run[then]()
    assert (repo.path / "ran.log").read_text() == "ran\nran\nran\n"
    both_clean(repo)
    entries = [p for p in (repo.path / ".dvc/cache/runs").rglob("*") if p.is_file()]
    assert len(entries) == 3


def test_both_store_the_same_entry_of_the_run_cache(tmp_path, repo):
    other = dvcs.Repo(tmp_path / "other", tmp_path)
    for one in (repo, other):
        (one.path / "dvc.yaml").write_text(PIPELINE)
        (one.path / "in.txt").write_text("one")
        (one.path / "params.yaml").write_text("lr: {a: [1, 2.5, true, \u00e9], b: 1.0e-07, c: null}\n")
    repo.gyre("run")
    other.dvc("repro", "-q")
    assert objects(repo).keys() == objects(other).keys()
    runs = {name: content for name, (content, _) in objects(repo).items() if name.startswith("runs/")}
    assert runs == {name: content for name, (content, _) in objects(other).items() if name.startswith("runs/")}
    assert len(runs) == 1


def test_a_stage_may_use_dvc_itself(repo):
    """gyre run gives DVC's lock back while commands run."""
    (repo.path / "f").write_text("x")
    repo.gyre("data", "add", "f")
    (repo.path / "dvc.yaml").write_text(f"stages:\n  s:\n    cmd: {dvcs.need()} status -q f.dvc && {support.BIN} data status f.dvc && "
                                        "cp .dvc/tmp/rwlock seen\n    deps: [f]\n    outs: [seen]\n")
    repo.gyre("run", env={"DVC_NO_ANALYTICS": "1"})
    assert f'{repo.path.resolve()}/seen' in (repo.path / "seen").read_text()
    assert "gyre" not in (repo.path / ".dvc/tmp/rwlock").read_text()
