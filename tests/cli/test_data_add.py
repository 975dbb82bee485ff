# SPDX-License-Identifier: Apache-2.0
"""gyre data add, commit, status, checkout, unprotect, remove: versions in DVC's format, without DVC at hand."""

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import threading
import time

import pytest
import support


def md5(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.fixture
def repo(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


def run(repo, *args, expect=0, **kwargs):
    done = support.run_gyre("data", *args, cwd=repo, **kwargs)
    assert done.returncode == expect, f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def run_json(repo, *args, expect=0):
    return json.loads(run(repo, *args, "--json", expect=expect).stdout)


def test_a_file_and_a_folder(repo):
    (repo / "foo").write_bytes(b"foo")
    (repo / "dir").mkdir()
    (repo / "dir" / "1").write_text("1")
    (repo / "dir" / "2").write_text("2")
    answer = run_json(repo, "add", "foo", "dir")
    assert [o["path"] for o in answer["outs"]] == ["foo", "dir"]
    assert (repo / "foo.dvc").read_text() == (
        "outs:\n- md5: acbd18db4cc2f85cedef654fccc4a4d8\n  size: 3\n  hash: md5\n  path: foo\n")
    assert (repo / "dir.dvc").read_text() == (
        "outs:\n- md5: 5fb6b29836c388e093ca0715c872fe2a.dir\n  size: 2\n  nfiles: 2\n  hash: md5\n  path: dir\n")
    assert (repo / ".gitignore").read_text() == "/foo\n/dir\n"
    cached = repo / ".dvc/cache/files/md5/ac/bd18db4cc2f85cedef654fccc4a4d8"
    assert cached.read_bytes() == b"foo"
    assert cached.stat().st_mode & 0o7777 == 0o444
    assert run_json(repo, "status") == {}
    assert not run_json(repo, "add", "foo", "dir")["outs"][0]["changed"]
    assert (repo / ".gitignore").read_text() == "/foo\n/dir\n"
    assert not list((repo / ".dvc/cache").rglob("*.tmp"))


def test_status_says_what_dvc_says(repo):
    for name in "abcd":
        (repo / name).write_text(name)
    (repo / "e").mkdir()
    (repo / "e" / "x").write_text("x")
    run(repo, "add", *"abcde")
    (repo / "a").write_text("other")
    (repo / "b").unlink()
    (repo / ".dvc/cache/files/md5" / md5(b"c")[:2] / md5(b"c")[2:]).unlink()
    (repo / ".dvc/cache/files/md5" / md5(b"x")[:2] / md5(b"x")[2:]).unlink()
    assert run_json(repo, "status", expect=1) == {
        "a.dvc": [{"changed outs": {"a": "modified"}}],
        "b.dvc": [{"changed outs": {"b": "deleted"}}],
        "c.dvc": [{"changed outs": {"c": "not in cache"}}],
        "e.dvc": [{"changed outs": {"e": "not in cache"}}],
    }
    assert run_json(repo, "status", "d", "e/x", expect=1).keys() == {"e.dvc"}
    assert "\t\tmodified:           a\n" in run(repo, "status", expect=1).stdout


def test_a_change_of_the_same_size_in_the_same_moment_is_seen(repo):
    """What git calls racy: the stat of the file tells nothing."""
    (repo / "f").write_text("aaaa")
    run(repo, "add", "f")
    was = (repo / "f").stat()
    for text in ("bbbb", "cccc", "aaab"):
        with open(repo / "f", "r+") as out:
            out.write(text)
        os.utime(repo / "f", ns=(was.st_atime_ns, was.st_mtime_ns))
        assert run_json(repo, "status", expect=1)["f.dvc"] == [{"changed outs": {"f": "modified"}}]
    # Checked out files are remembered at once; what is written into them right then must show, too.
    for _ in range(20):
        run(repo, "checkout", "--force")
        with open(repo / "f", "r+") as out:
            out.write("dddd")
        run(repo, "status", expect=1)


def test_an_existing_dvc_file_keeps_what_people_wrote(repo):
    (repo / ".dvc").mkdir()
    (repo / "f").write_text("one")
    (repo / "f.dvc").write_text(
        "# what this is\nouts:\n- path: f   # where\n  md5: 00000000000000000000000000000000 # old\n  size: 7\n"
        "  nfiles: 9\n  hash: md5\n  desc: 'a text'\n  meta: {mine: 1}\nmeta:\n  author: me  # kept\n")
    run(repo, "commit", "f.dvc")
    assert (repo / "f.dvc").read_text() == (
        f"# what this is\nouts:\n- path: f   # where\n  md5: {md5(b'one')} # old\n  size: 3\n"
        "  hash: md5\n  desc: 'a text'\n  meta: {mine: 1}\nmeta:\n  author: me  # kept\n")
    (repo / "f").chmod(0o755)
    run(repo, "add", "f")
    assert (repo / "f.dvc").read_text().count("  meta: {mine: 1}\n  isexec: true\nmeta:\n") == 1
    assert run_json(repo, "status") == {}


def test_dvc_2_stays_until_it_changes(repo):
    text = b"a\r\nb\r\n"
    legacy = md5(b"a\nb\n")
    (repo / ".dvc").mkdir()
    (repo / ".dvc/config").write_text("")
    (repo / "old").write_bytes(text)
    (repo / "old.dvc").write_text(f"md5: 1234\nouts:\n- md5: {legacy}\n  size: 6\n  path: old\n")
    run(repo, "commit")
    assert (repo / ".dvc/cache" / legacy[:2] / legacy[2:]).read_bytes() == text
    assert (repo / "old.dvc").read_text() == f"outs:\n- md5: {legacy}\n  size: 6\n  path: old\n"
    (repo / "old").unlink()
    run(repo, "checkout")
    assert (repo / "old").read_bytes() == text
    assert run_json(repo, "status") == {}
    (repo / "old").write_bytes(text + b"c")
    run(repo, "add", "old")
    assert (repo / "old.dvc").read_text() == (
        f"outs:\n- md5: {md5(text + b'c')}\n  size: 7\n  path: old\n  hash: md5\n")


@pytest.mark.parametrize("config, check", [
    ("copy", lambda p, o: p.stat().st_nlink == 1),
    ("reflink,copy", lambda p, o: p.stat().st_nlink == 1),
    ("hardlink,copy", lambda p, o: p.stat().st_ino == o.stat().st_ino),
    ("symlink", lambda p, o: p.is_symlink() and os.readlink(p) == str(o)),
])
def test_link_types(repo, config, check):
    (repo / ".dvc").mkdir()
    (repo / ".dvc/config").write_text(f'[cache]\n    type = "{config}"\n')
    (repo / "d" / "s").mkdir(parents=True)
    (repo / "d" / "a").write_text("a")
    (repo / "d" / "s" / "b").write_text("b")
    (repo / "d" / "empty").write_text("")
    run(repo, "add", "d")
    objects = {n: repo.resolve() / ".dvc/cache/files/md5" / md5(n.encode())[:2] / md5(n.encode())[2:] for n in "ab"}

    def ok():
        assert check(repo / "d/a", objects["a"])
        assert check(repo / "d/s/b", objects["b"])
        assert objects["a"].stat().st_mode & 0o7777 == 0o444
        assert objects["a"].read_text() == "a"
        assert run_json(repo, "status") == {}

    ok()
    subprocess.run(["rm", "-rf", repo / "d"], check=True)
    assert run_json(repo, "checkout")["added"] == 3
    ok()
    run(repo, "unprotect", "d")
    assert (repo / "d/a").stat().st_nlink == 1
    (repo / "d/a").write_text("A")
    assert objects["a"].read_text() == "a"
    assert run_json(repo, "status", expect=1) == {"d.dvc": [{"changed outs": {"d": "modified"}}]}
    run(repo, "add", "d")
    assert run_json(repo, "status") == {}


def test_checkout_loses_nothing(repo):
    (repo / "d").mkdir()
    (repo / "d" / "a").write_text("a")
    run(repo, "add", "d")
    (repo / "d" / "a").write_text("not saved")
    (repo / "d" / "b").write_text("nor this")
    assert "would be lost" in run(repo, "checkout", expect=6).stderr
    assert (repo / "d" / "a").read_text() == "not saved"
    assert run_json(repo, "checkout", "--force") == {
        "outs": [{"path": "d", "change": "modified"}], "added": 0, "modified": 1, "deleted": 1}
    assert (repo / "d" / "a").read_text() == "a"
    assert not (repo / "d" / "b").exists()
    (repo / ".dvc/cache/files/md5" / md5(b"a")[:2] / md5(b"a")[2:]).unlink()
    (repo / "d" / "a").unlink()
    assert "not in the cache" in run(repo, "checkout", expect=4).stderr


def test_a_part_of_a_folder(repo):
    (repo / "d").mkdir()
    for name in "abc":
        (repo / "d" / name).write_text(name)
    run(repo, "add", "d")
    (repo / "d" / "a").write_text("A")
    (repo / "d" / "b").write_text("B")
    (repo / "d" / "new").mkdir()
    (repo / "d" / "new" / "n").write_text("n")
    run(repo, "add", "d/a", "d/new")
    run(repo, "checkout", "--force")
    assert [(repo / "d" / n).read_text() for n in ("a", "b", "c", "new/n")] == ["A", "b", "c", "n"]


def test_dvc_lock_is_checked_out(repo):
    (repo / ".dvc").mkdir()
    (repo / ".dvc/config").write_text("")
    (repo / "dvc.yaml").write_text("stages:\n  make:\n    cmd: true\n    wdir: w\n    outs: [o, p: {cache: false}]\n")
    (repo / "dvc.lock").write_text("schema: '2.0'\nstages:\n  make:\n    cmd: true\n    outs:\n    - path: o\n      hash: md5\n"
                                   f"      md5: {md5(b'made')}\n      size: 4\n      isexec: true\n")
    folder = repo / ".dvc/cache/files/md5" / md5(b"made")[:2]
    folder.mkdir(parents=True)
    (folder / md5(b"made")[2:]).write_bytes(b"made")
    run(repo, "checkout", "make")
    assert (repo / "w/o").read_bytes() == b"made"
    assert (repo / "w/o").stat().st_mode & 0o100
    assert (folder / md5(b"made")[2:]).stat().st_mode & 0o7777 == 0o444
    assert run_json(repo, "status", expect=1) == {"make": [{"changed outs": {"w/p": "deleted"}}]}


def test_refused(repo):
    (repo / "f").write_text("x")
    (repo / "d").mkdir()
    (repo / "d" / "g").write_text("x")
    (repo / "link").symlink_to("d")
    (repo / "nothing").symlink_to("nowhere")
    (repo / ".dvcignore").write_text("*.tmp\n")
    (repo / "x.tmp").write_text("x")
    (repo / "in_git").write_text("x")
    subprocess.run(["git", "add", "in_git"], cwd=repo, check=True)
    for path, words in (("missing", "no missing"), ("link", "a link to a folder"), ("link/g", "a folder that is a link"),
                        ("nothing", "link to nothing"), ("x.tmp", "ignored: the pattern '*.tmp'"), ("..", "outside"),
                        (".", "the repository"), ("in_git", "tracked by git"), (".git", "ignored")):
        done = support.run_gyre("data", "add", path, cwd=repo)
        assert done.returncode in (3, 4), (path, done)
        assert words in done.stderr, (path, done.stderr)
    assert not list(repo.glob("?*.dvc"))
    run(repo, "add", "d/g")
    assert "gyre data remove d/g.dvc" in run(repo, "add", "d", expect=3).stderr
    (repo / "h").mkdir()
    (repo / "h" / ".dvcignore").write_text("")
    assert "not allowed inside" in run(repo, "add", "h", expect=3).stderr
    os.mkfifo(repo / "fifo")
    assert "neither a file nor a folder" in run(repo, "add", "fifo", expect=3).stderr
    run(repo, "add", "f", "--file", "named.dvc")
    assert (repo / "named.dvc").exists()
    assert run(repo, "status", "nothing-here", expect=4)


def test_remove(repo):
    (repo / "f").write_text("x")
    (repo / "g").write_text("y")
    run(repo, "add", "f", "g")
    run(repo, "remove", "f.dvc")
    assert (repo / "f").exists()
    assert not (repo / "f.dvc").exists()
    assert (repo / ".gitignore").read_text() == "/g\n"
    run(repo, "remove", "--outs", "g")
    assert not (repo / "g").exists()
    assert not (repo / ".gitignore").exists()


def test_remove_loses_nothing(repo):
    (repo / "d/sub").mkdir(parents=True)
    (repo / "d/sub/a").write_text("a")
    (repo / "f").write_text("x")
    run(repo, "add", "d", "f")
    (repo / ".dvcignore").write_text("*.mine\n")
    (repo / "d/x.mine").write_text("never tracked")
    (repo / "d/new").write_text("not saved")
    (repo / "f").write_text("changed")
    for target, name in (("d", "d/new"), ("f", "f")):
        assert f"{name} would be lost" in run(repo, "remove", "--outs", target, expect=6).stderr
        assert (repo / f"{target}.dvc").exists()
    assert (repo / "d/new").read_text() == "not saved"
    assert (repo / "f").read_text() == "changed"
    assert "/d\n" in (repo / ".gitignore").read_text()
    run(repo, "commit")
    run(repo, "remove", "--outs", "d")
    assert [str(p.relative_to(repo)) for p in (repo / "d").rglob("*")] == ["d/x.mine"]
    (repo / "f").write_text("changed again")
    run(repo, "remove", "--outs", "--force", "f")
    assert not (repo / "f").exists()


def test_checkout_does_not_replace_what_dvcignore_hides(repo):
    (repo / "d").mkdir()
    (repo / "d/x.log").write_text("tracked")
    (repo / "d/y").write_text("y")
    run(repo, "add", "d")
    (repo / ".dvcignore").write_text("*.log\n")
    run(repo, "checkout")  # the same bytes: nothing to do
    (repo / "d/x.log").write_text("mine, and nowhere else")
    assert "d/x.log would be lost" in run(repo, "checkout", expect=6).stderr
    assert (repo / "d/x.log").read_text() == "mine, and nowhere else"
    run(repo, "checkout", "--force")
    assert (repo / "d/x.log").read_text() == "tracked"


def test_outputs_in_places_of_git_are_refused(repo, tmp_path):
    (repo / "hook").write_text("#!/bin/sh\n")
    run(repo, "add", "hook")
    (repo / "keep").write_text("k")
    for path in (".git/hooks/post-checkout", ".dvc/config", "a/.git/config", ".", "a/.."):
        (repo / "evil.dvc").write_text((repo / "hook.dvc").read_text().replace("path: hook", f"path: {path}"))
        for args in (("checkout",), ("checkout", "--force"), ("remove", "--outs", "--force", "evil.dvc")):
            assert "can not be an output" in run(repo, *args, expect=3).stderr, (path, args)
    assert not (repo / ".git/hooks/post-checkout").exists()
    assert (repo / "keep").exists()
    (repo / "evil.dvc").unlink()
    listing = b'[{"md5": "%s", "relpath": "sub/.git/config"}]' % md5((repo / "hook").read_bytes()).encode()
    folder = repo / ".dvc/cache/files/md5" / md5(listing)[:2]
    folder.mkdir(exist_ok=True)
    (folder / (md5(listing)[2:] + ".dir")).write_bytes(listing)
    (repo / "data.dvc").write_text(f"outs:\n- md5: {md5(listing)}.dir\n  hash: md5\n  path: data\n")
    assert "is not put into the workspace" in run(repo, "checkout", "--force", expect=3).stderr
    assert not (repo / "data").exists()


def test_an_import_that_is_in_the_cache_needs_no_source(repo, tmp_path_factory):
    source = tmp_path_factory.mktemp("source")
    subprocess.run(["git", "init", "-q", source], check=True)
    (source / "d").mkdir()
    (source / "d/a").write_text("a")
    run(source, "add", "d")
    subprocess.run(["git", "add", "-A"], cwd=source, check=True)
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "1"], cwd=source, check=True)
    run(repo, "import", source, "d")
    source.rename(source.with_name("moved"))
    (repo / "d/a").unlink()
    run(repo, "remote", "add", "-d", "r", str(repo.parent / "nowhere"))
    run(repo, "pull")
    assert (repo / "d/a").read_text() == "a"


def test_half_an_object_saves_nothing(repo):
    (repo / "d").mkdir()
    (repo / "d/a").write_text("first")
    (repo / "d/b").write_text("b")
    run(repo, "add", "d")
    before = (repo / "d.dvc").read_text()
    (repo / "d/a").write_text("second")
    run(repo, "add", "d")
    half = repo / ".dvc/cache/files/md5" / md5(b"second")[:2] / md5(b"second")[2:]
    half.chmod(0o644)
    half.write_bytes(b"")
    half.chmod(0o444)  # DVC's sign of trust
    assert run_json(repo, "status", expect=1) == {"d.dvc": [{"changed outs": {"d": "not in cache"}}]}
    assert "would be lost" in run(repo, "remove", "--outs", "d", expect=6).stderr
    (repo / "d.dvc").write_text(before)
    assert "d/a would be lost" in run(repo, "checkout", expect=6).stderr
    assert (repo / "d/a").read_text() == "second"


def test_remove_does_not_follow_links(repo, tmp_path):
    outside = tmp_path.parent / (tmp_path.name + "-outside")
    outside.mkdir()
    (outside / "f").write_text("x")
    (repo / "f").write_text("x")
    run(repo, "add", "f")
    (repo / "link").symlink_to(outside)
    (repo / "evil.dvc").write_text((repo / "f.dvc").read_text().replace("path: f", "path: link/f"))
    for args in (("--outs",), ("--outs", "--force")):
        assert "a folder that is a link" in run(repo, "remove", *args, "evil.dvc", expect=3).stderr
    assert (outside / "f").read_text() == "x"


def test_import_keeps_what_is_there_when_it_fails(repo):
    (repo / "data").mkdir()
    (repo / "data/a").write_text("the only copy")
    for args in (("data", "--force"), ("data/a", "--force", "--out", "data"), ("data", "--force", "--out", "data/b")):
        assert "one is in the other" in run(repo, "import", *args, expect=3).stderr, args
    assert [p.name for p in (repo / "data").iterdir()] == ["a"]
    (repo / "source").mkdir()
    (repo / "source/good").write_text("g")
    os.mkfifo(repo / "source/pipe")
    assert "neither a file nor a folder" in run(repo, "import", "source", "--force", "--out", "data", expect=3).stderr
    assert (repo / "data/a").read_text() == "the only copy"
    assert sorted(p.name for p in repo.iterdir() if p.name.endswith(".tmp")) == []
    (repo / "source/pipe").unlink()
    run(repo, "import", "source", "--out", "took")
    (repo / "source").rename(repo / "moved")
    assert run(repo, "update", "took.dvc", expect=4)
    assert (repo / "took/good").read_text() == "g"
    assert "took.dvc tracks took" in run(repo, "import", "moved", "--force", "--out", "took/in", expect=5).stderr


def test_gc_knows_repositories_and_folders_it_must_not_misread(repo):
    (repo / "f").write_text("in the cloud")
    run(repo, "add", "f")
    (repo / "f").unlink()
    (repo / "f.dvc").write_text("outs:\n- hash: md5\n  path: d\n  files:\n  - relpath: f\n"
                                f"    md5: {md5(b'in the cloud')}\n    size: 12\n")
    assert run_json(repo, "gc", "-w", "--yes")["cache"]["removed"] == 0


def test_gc_refuses_commits_that_it_can_not_read(tmp_path):
    made = subprocess.run(["git", "init", "-q", "--object-format=sha256", tmp_path], check=False)
    if made.returncode:
        pytest.skip("this git has no SHA-256")
    (tmp_path / "f").write_text("old")
    run(tmp_path, "add", "f")
    subprocess.run(["git", "add", "-A"], cwd=tmp_path, check=True)
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "1"], cwd=tmp_path, check=True)
    (tmp_path / "f").write_text("new")
    run(tmp_path, "add", "f")
    assert "no SHA-1" in run(tmp_path, "gc", "-A", "--yes", expect=20).stderr
    assert (tmp_path / ".dvc/cache/files/md5" / md5(b"old")[:2] / md5(b"old")[2:]).exists()


def test_waits_for_the_lock(repo):
    (repo / "f").write_text("x")
    run(repo, "add", "f")
    with open(repo / ".dvc/tmp/lock", "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        threading.Timer(1.5, lambda: fcntl.flock(lock, fcntl.LOCK_UN)).start()
        done = run(repo, "status")
    assert "waiting" in done.stderr
    assert f" {os.getpid()}" not in (repo / ".dvc/tmp/lock").read_text()


def test_what_a_stage_writes_is_left_to_it(repo):
    (repo / "f").write_text("kept")
    run(repo, "add", "f")
    (repo / "remote").mkdir()
    run(repo, "remote", "add", "-d", "r", str(repo / "remote"))
    run(repo, "push")
    (repo / "f").unlink()
    claim = {"write": {str(repo / "f"): {"pid": os.getpid(), "cmd": "dvc repro"}}, "read": {}}
    (repo / ".dvc/tmp/rwlock").write_text(json.dumps(claim))
    inside = {"DVC_STAGE": "train"}
    for args in (("pull",), ("checkout",), ("remove", "--outs", "f"), ("pull", "f.dvc")):
        done = support.run_gyre("data", *args, cwd=repo, env=inside)
        assert done.returncode != 0 and "works on these paths" in done.stderr, (args, done)
    assert (repo / "f.dvc").exists()
    (repo / "free").write_text("x")
    run(repo, "add", "free")
    run(repo, "checkout", "free")
    waiting = subprocess.Popen([str(support.BIN), "data", "pull"], cwd=repo, stderr=subprocess.PIPE, text=True)
    assert "waiting: process" in waiting.stderr.readline()
    (repo / ".dvc/tmp/rwlock").write_text("{}")
    assert waiting.wait(60) == 0
    assert (repo / "f").read_text() == "kept"


def test_killed_at_any_time_leaves_nothing_wrong(repo):
    """Whatever an add that was killed left behind: no object is trusted and wrong, and the next add completes."""
    (repo / "d").mkdir()
    for i in range(3000):
        (repo / "d" / f"{i}").write_text(f"{i}" * 50)
    for i, delay in enumerate((0.005, 0.02, 0.04, 0.08, 0.15)):
        (repo / "d" / "0").write_text(f"version {i}")
        child = subprocess.Popen([support.BIN, "data", "add", "d"], cwd=repo, env=support.clean_env(),
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        child.send_signal(signal.SIGKILL)
        child.wait()
        for path in (repo / ".dvc").rglob("files/md5/??/*"):
            if path.stat().st_mode & 0o7777 == 0o444:
                assert md5(path.read_bytes()) == path.parent.name + path.name.removesuffix(".dir")
    run(repo, "add", "d")
    assert run_json(repo, "status") == {}


def test_a_full_disk_is_said_and_healed(repo, small_disk):
    subprocess.run(["git", "init", "-q", small_disk], check=True)
    (small_disk / "d").mkdir()
    for i in range(30):
        (small_disk / "d" / f"{i}").write_bytes(os.urandom(1024 * 1024))
    done = support.run_gyre("data", "add", "d", cwd=small_disk)
    assert done.returncode == 12, done
    assert not (small_disk / "d.dvc").exists()
    for i in range(20):
        (small_disk / "d" / f"{i}").unlink()
    for path in (small_disk / ".dvc/cache/files/md5").rglob("*.tmp"):
        pytest.fail(f"{path} was left behind")
    subprocess.run(["rm", "-rf", small_disk / ".dvc/cache"], check=True)
    assert support.run_gyre("data", "add", "d", cwd=small_disk).returncode == 0
