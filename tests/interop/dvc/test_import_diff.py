# SPDX-License-Identifier: Apache-2.0
"""gyre data import, update and diff beside dvc's: the same .dvc files byte for byte, the same bytes, the same differences."""

import json
import shutil

import pytest

import dvcs


@pytest.fixture
def source(tmp_path):
    repo = dvcs.Repo(tmp_path / "source", tmp_path)
    dvcs.plant(repo.path, {"d/a": b"1", "d/deep/b c": b"22", "d/deep/\u00e9": b"333", "sub/f": b"4444", "plain.txt": b"in git\n"})
    repo.gyre("data", "add", "d", "sub/f")
    repo.commit("one")
    repo.git("tag", "v1")
    return repo


def both(tmp_path, name="r"):
    return [dvcs.Repo(tmp_path / side / name, tmp_path / side) for side in ("dvc", "gyre")]


def same(theirs, ours, *files):
    for file in files:
        assert (ours.path / file).read_text() == (theirs.path / file).read_text(), file
    skip = (".git/", ".dvc/")
    trees = [{k: v for k, v in dvcs.tree(r.path).items() if not k.startswith(skip)} for r in (theirs, ours)]
    assert trees[0] == trees[1]
    assert ours.clean()


CASES = {
    "folder": ["d"], "file": ["sub/f"], "named": ["sub/f", "-o", "other name"], "part": ["d/a"], "part folder": ["d/deep"],
    "rev": ["d", "--rev", "v1"], "git": ["plain.txt"],
}


@pytest.mark.parametrize("case", CASES)
def test_imports_are_written_as_dvc_writes_them(case, source, tmp_path):
    theirs, ours = both(tmp_path)
    theirs.dvc("import", source.path, *CASES[case])
    ours.gyre("data", "import", source.path, *CASES[case])
    file = [p.name for p in theirs.path.glob("*.dvc") if p.is_file()][0]
    same(theirs, ours, file, ".gitignore")


def test_imports_from_outside(tmp_path):
    outside = tmp_path / "outside"
    dvcs.plant(outside, {"one file": b"x\n", "folder/a": b"1", "folder/b/c": b"2"})
    theirs, ours = both(tmp_path)
    for path, args in (("one file", []), ("folder", ["renamed"])):
        theirs.dvc("import-url", outside / path, *args)
        ours.gyre("data", "import", outside / path, *(["-o", *args] if args else []))
    same(theirs, ours, "one file.dvc", "renamed.dvc", ".gitignore")
    assert "already" in ours.gyre("data", "import", outside / "one file", code=5).stderr
    (outside / "one file").write_text("another\n")
    theirs.dvc("update", "one file.dvc")
    said = ours.gyre_json("data", "update", "one file.dvc", "renamed.dvc")
    assert [o["changed"] for o in said["outs"]] == [True, False]
    same(theirs, ours, "one file.dvc", "renamed.dvc")
    (ours.path / "renamed/a").write_text("mine")
    dvcs.plant(outside, {"folder/a": b"theirs"})
    assert "was changed here" in ours.gyre("data", "update", code=6).stderr
    assert (ours.path / "renamed/a").read_text() == "mine"
    for url in ("s3://b/x", "https://h/x"):
        assert "import-url" in ours.gyre("data", "import", url, code=20).stderr


def test_updates(source, tmp_path):
    theirs, ours = both(tmp_path)
    for args in (["d"], ["sub/f", "--rev", "v1"]):
        theirs.dvc("import", source.path, *args)
        ours.gyre("data", "import", source.path, *args)
    (ours.path / "d.dvc").write_text("# keep this\n" + (ours.path / "d.dvc").read_text())
    dvcs.plant(source.path, {"d/new": b"55555", "sub/f": b"other"})
    source.gyre("data", "add", "d", "sub/f")
    source.commit("two")
    source.git("tag", "v2")
    theirs.dvc("update", "d.dvc", "f.dvc")
    said = ours.gyre_json("data", "update")
    assert {o["path"]: o["changed"] for o in said["outs"]} == {"d": True, "f": False}
    assert (ours.path / "d.dvc").read_text().startswith("# keep this\n")
    (ours.path / "d.dvc").write_text((ours.path / "d.dvc").read_text()[len("# keep this\n"):])
    same(theirs, ours, "d.dvc", "f.dvc")
    theirs.dvc("update", "--rev", "v2", "f.dvc")
    ours.gyre("data", "update", "--rev", "v2", "f.dvc")
    same(theirs, ours, "d.dvc", "f.dvc")
    assert ours.gyre_json("data", "update")["outs"][0]["changed"] is False


def test_objects_of_imports_are_the_sources_business(source, tmp_path):
    repo = dvcs.Repo(tmp_path / "r", tmp_path)
    repo.gyre("data", "remote", "add", "-d", "store", tmp_path / "store")
    repo.gyre("data", "import", source.path, "d")
    dvcs.plant(repo.path, {"own": b"own"})
    repo.gyre("data", "add", "own")
    assert repo.gyre_json("data", "push")["pushed"] == 1
    shutil.rmtree(repo.path / ".dvc/cache")
    shutil.rmtree(repo.path / "d")
    (repo.path / "own").unlink()
    repo.gyre("data", "pull")
    assert dvcs.tree(repo.path / "d") == dvcs.tree(source.path / "d") and repo.clean()
    # from the source's remote, when its cache is gone
    source.gyre("data", "remote", "add", "-d", "up", tmp_path / "up")
    source.gyre("data", "push")
    shutil.rmtree(source.path / ".dvc/cache")
    shutil.rmtree(repo.path / ".dvc/cache")
    shutil.rmtree(repo.path / "d")
    repo.gyre("data", "pull")
    assert (repo.path / "d/deep/b c").read_bytes() == b"22"
    for args, code in ((["nope", "x"], 4), ([source.path, "nope"], 4), ([source.path, "d", "--rev", "nope", "-o", "x"], 4),
                       (["https://host/repo.git", "d", "-o", "y"], 20), ([source.path, "d"], 5)):
        assert repo.gyre("data", "import", *args, code=code).stderr.startswith("gyre: ")


def differences(repo, *revs):
    theirs = json.loads(repo.dvc("diff", "--json", "--show-hash", *revs))
    theirs.pop("not in cache", None)
    ours = repo.gyre_json("data", "diff", "--show-hash", *revs)

    def order(d):
        return {kind: sorted(items, key=json.dumps) for kind, items in d.items()} if d else {}

    assert order(ours) == order(theirs)
    return ours


def test_differences(source):
    assert differences(source) == {} and differences(source, "HEAD", "HEAD") == {}
    dvcs.plant(source.path, {"d/a": b"changed", "d/new": b"n", "h": b"twin", "d/twin": b"twin"})
    (source.path / "d/deep/b c").rename(source.path / "d/moved")
    (source.path / "d/deep/\u00e9").unlink()
    source.gyre("data", "add", "h", "d")
    now = differences(source)
    assert [len(now[k]) for k in ("added", "deleted", "modified", "renamed")] == [3, 1, 2, 1]
    source.commit("two")
    assert differences(source, "v1", "HEAD") == differences(source, "v1")
    source.gyre("data", "remove", "--outs", "sub/f.dvc")
    (source.path / "h").write_bytes(b"edited, not added")
    gone = differences(source)
    assert gone["deleted"][0]["path"] == "sub/f" and gone["modified"][0]["path"] == "h"
    source.git("commit", "-qam", "three")
    differences(source, "HEAD", "v1")
    assert "nope" in source.gyre("data", "diff", "nope", code=4).stderr
