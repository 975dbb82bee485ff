# SPDX-License-Identifier: Apache-2.0
"""Push and pull beside the real dvc, over a folder and over a real S3 server: what either sends the other restores byte for byte,
and both find it clean."""

import os
import shutil

import pytest

import dvcs
import s3server
from dvcs import Place, clone

N_MANY = int(os.environ.get("GYRE_DVC_FILES", "800"))


def add(tool, repo, *what):
    repo.gyre("data", "add", *what) if tool == "gyre" else repo.dvc("add", "-q", *what)


def push(tool, repo):
    return repo.gyre("data", "push").stdout if tool == "gyre" else repo.dvc("push")


def pull(tool, repo):
    return repo.gyre("data", "pull").stdout if tool == "gyre" else repo.dvc("pull")


@pytest.mark.parametrize("sender, receiver", [("gyre", "dvc"), ("dvc", "gyre"), ("gyre", "gyre")])
def test_what_one_sends_the_other_restores(sender, receiver, pair, tmp_path):
    repo, place = pair
    dvcs.plant(repo.path / "data", dvcs.AWKWARD)
    dvcs.plant(repo.path, {"one file.csv": b"a,b\n" * 1000, "empty": b"", "sp ace/\u00fcber 'q'.txt": b"in a folder"})
    (repo.path / "run.sh").write_bytes(b"#!/bin/sh\n")
    (repo.path / "run.sh").chmod(0o755)
    add(sender, repo, "data", "one file.csv", "empty", "sp ace/\u00fcber 'q'.txt", "run.sh")
    push(sender, repo)
    repo.commit()
    second = clone(repo, tmp_path, place)
    assert not (second.path / "data").exists()
    pull(receiver, second)
    want = {k: v for k, v in dvcs.tree(repo.path).items() if not k.startswith((".git/", ".dvc/"))}
    assert {k: v for k, v in dvcs.tree(second.path).items() if not k.startswith((".git/", ".dvc/"))} == want
    assert os.access(second.path / "run.sh", os.X_OK)
    assert second.clean() and repo.clean()
    assert "in sync" in second.dvc("status", "-c") and "in sync" in repo.dvc("status", "-c")
    assert second.gyre_json("data", "push")["pushed"] == 0
    assert second.gyre_json("data", "fetch")["fetched"] == 0


def test_many_small_files(pair, tmp_path):
    repo, place = pair
    dvcs.plant(repo.path / "many", {f"{i % 7}/f{i}": b"%d" % i for i in range(N_MANY)})
    repo.gyre("data", "add", "many")
    said = repo.gyre_json("data", "push")
    assert said["pushed"] == N_MANY + 1 and said["failed"] == 0
    assert len(place.objects()) == N_MANY + 1
    repo.commit()
    second = clone(repo, tmp_path, place)
    second.dvc("pull")
    assert dvcs.tree(second.path / "many") == dvcs.tree(repo.path / "many")
    assert second.clean()
    (repo.path / "many/0/f7").write_bytes(b"changed")
    repo.gyre("data", "add", "many")
    assert repo.gyre_json("data", "push")["pushed"] == 2


def test_mixed_use_in_one_repository(pair, tmp_path):
    repo, place = pair
    dvcs.plant(repo.path, {"a/x": b"1", "b/y": b"2", "c.bin": os.urandom(3 << 20)})
    repo.gyre("data", "add", "a")
    repo.dvc("add", "-q", "b")
    repo.dvc("push")
    repo.gyre("data", "add", "c.bin")
    repo.gyre("data", "push")
    dvcs.plant(repo.path, {"a/z": b"3", "b/y": b"4"})
    repo.dvc("add", "-q", "a")
    repo.gyre("data", "add", "b")
    assert repo.gyre_json("data", "push")["pushed"] == 4
    assert "up to date" in repo.dvc("push")
    repo.commit()
    second = clone(repo, tmp_path, place)
    second.gyre("data", "pull", "a", "c.bin")
    second.dvc("pull", "b")
    assert dvcs.tree(second.path / "a") == dvcs.tree(repo.path / "a")
    assert second.clean() and (second.path / "c.bin").read_bytes() == (repo.path / "c.bin").read_bytes()


def test_legacy_objects_of_dvc_2(pair, tmp_path):
    """An output without `hash:` lives in the old layout, named by md5 with CRLF made LF."""
    import hashlib
    repo, place = pair
    text = b"a\r\nb\r\n" * 10
    oid = hashlib.md5(text.replace(b"\r\n", b"\n")).hexdigest()
    (repo.path / "old.txt.dvc").write_text(f"outs:\n- md5: {oid}\n  size: {len(text)}\n  path: old.txt\n")
    (repo.path / "old.txt").write_bytes(text)
    (repo.path / ".gitignore").write_text("/old.txt\n")
    cached = repo.path / ".dvc/cache" / oid[:2] / oid[2:]
    cached.parent.mkdir(parents=True)
    cached.write_bytes(text)
    cached.chmod(0o444)
    assert repo.gyre_json("data", "push")["pushed"] == 1
    assert place.objects() == {f"{oid[:2]}/{oid[2:]}": len(text)}
    repo.commit()
    for tool in ("gyre", "dvc"):
        second = clone(repo, tmp_path, place, tool)
        pull(tool, second)
        assert (second.path / "old.txt").read_bytes() == text
        assert second.clean()
    place_copy = place.root / oid[:2] / oid[2:]
    place_copy.chmod(0o644)
    place_copy.write_bytes(b"other")
    assert "hold" in clone(repo, tmp_path, place, "third").gyre("data", "pull", code=13).stderr


def test_each_output_has_its_remote(tmp_path, s3):
    folder, bucket = Place("folder", tmp_path), Place("s3", tmp_path, s3)
    repo = folder.setup(dvcs.Repo(tmp_path / "r", tmp_path))
    repo.gyre("data", "remote", "add", "cloud", bucket.url)
    for key, value in (("endpointurl", s3.endpoint), ("access_key_id", s3server.ACCESS), ("secret_access_key", s3server.SECRET)):
        repo.gyre("data", "remote", "modify", "cloud", key, value)
    dvcs.plant(repo.path, {"a": b"to the default", "b": b"to the cloud", "c": b"nowhere"})
    repo.dvc("add", "-q", "a", "b", "c")
    dvc = repo.path / "b.dvc"
    dvc.write_text(dvc.read_text() + "  remote: cloud\n")
    dvc = repo.path / "c.dvc"
    dvc.write_text(dvc.read_text() + "  push: false\n")
    assert repo.gyre_json("data", "push")["pushed"] == 2
    assert len(folder.objects()) == len(bucket.objects()) == 1
    assert "up to date" in repo.dvc("push")
    assert repo.gyre_json("data", "push", "-r", "cloud")["pushed"] == 1  # a, too; b is there
    shutil.rmtree(repo.path / ".dvc/cache")
    for name in "ab":
        (repo.path / name).unlink()
    repo.gyre("data", "pull", "a.dvc", "b.dvc")
    assert (repo.path / "b").read_bytes() == b"to the cloud"


@pytest.mark.parametrize("how", ["settings over the environment", "environment", "profile", "named file"])
def test_where_keys_come_from(how, tmp_path, s3):
    none = tmp_path / "none"
    none.write_text("")
    env = {"AWS_REGION": "us-east-1", "AWS_SHARED_CREDENTIALS_FILE": str(none), "AWS_CONFIG_FILE": str(none)}
    wrong, right = {"AWS_ACCESS_KEY_ID": "other", "AWS_SECRET_ACCESS_KEY": "other"}, (s3server.ACCESS, s3server.SECRET)
    keys = dict(zip(("access_key_id", "secret_access_key"), right))
    file = tmp_path / "credentials"
    file.write_text("[lab]\naws_access_key_id = %s\naws_secret_access_key = %s\n" % right)
    settings = {"endpointurl": s3.endpoint}
    if how == "environment":
        env.update({"AWS_ACCESS_KEY_ID": right[0], "AWS_SECRET_ACCESS_KEY": right[1]})
    elif how == "profile":
        env.update({**wrong, "AWS_SHARED_CREDENTIALS_FILE": str(file)})
        settings["profile"] = "lab"
    elif how == "named file":
        settings.update({"profile": "lab", "credentialpath": str(file)})
        del env["AWS_SHARED_CREDENTIALS_FILE"]
    else:
        env.update(wrong)
        settings.update(keys)
    repo = dvcs.Repo(tmp_path / "r", tmp_path, env=env)
    repo.gyre("data", "remote", "add", "-d", "s", "s3://" + s3.bucket("keys-" + how.split()[0]))
    for key, value in settings.items():
        repo.gyre("data", "remote", "modify", "s", key, value)
    dvcs.plant(repo.path, {"a": b"a"})
    repo.gyre("data", "add", "a")
    assert repo.gyre_json("data", "push")["pushed"] == 1
    assert repo.gyre_json("data", "push")["present"] == 1
    assert "up to date" in repo.dvc("push")


def test_inherited_settings(tmp_path, s3):
    """remote://: url and keys of the one below."""
    bucket = s3.bucket("inherit")
    repo = dvcs.Repo(tmp_path / "r", tmp_path)
    repo.dvc("remote", "add", "base", f"s3://{bucket}/top")
    for key, value in (("endpointurl", s3.endpoint), ("access_key_id", s3server.ACCESS), ("secret_access_key", s3server.SECRET)):
        repo.dvc("remote", "modify", "base", key, value)
    repo.dvc("remote", "add", "-d", "sub", "remote://base/deeper/one")
    dvcs.plant(repo.path, {"a": b"a"})
    repo.gyre("data", "add", "a")
    repo.gyre("data", "push")
    assert list(s3.objects(bucket)) == ["top/deeper/one/files/md5/0c/c175b9c0f1b6a831c399e269772661"]
    assert "up to date" in repo.dvc("push")
    repo.gyre("data", "remote", "modify", "base", "url", "remote://sub")
    assert "circle" in repo.gyre("data", "push", code=3).stderr


def test_run_cache(pair, tmp_path):
    repo, place = pair
    (repo.path / "dvc.yaml").write_text("stages:\n  s:\n    cmd: cp a b\n    deps: [a]\n    outs: [b]\n")
    dvcs.plant(repo.path, {"a": b"content"})
    repo.dvc("repro")
    said = repo.gyre_json("data", "push", "--run-cache")
    assert said["runs"] == 1 and said["pushed"] == 1
    assert repo.gyre_json("data", "push", "--run-cache")["runs"] == 0
    repo.commit()
    second = clone(repo, tmp_path, place)
    (second.path / "dvc.lock").unlink()
    assert second.gyre_json("data", "fetch", "--run-cache")["runs"] == 1
    assert "is cached" in second.dvc("repro", "--pull")
    third = clone(repo, tmp_path, place, "third")
    third.dvc("pull", "--run-cache")
    assert third.gyre_json("data", "push", "--run-cache")["runs"] == 0


def test_places_and_settings_that_are_not_supported_are_named(tmp_path):
    repo = dvcs.Repo(tmp_path / "r", tmp_path)
    dvcs.plant(repo.path, {"a": b"a"})
    repo.gyre("data", "add", "a")
    said = repo.gyre("data", "push", code=4).stderr
    assert "no remote" in said and "gyre data remote add" in said
    for url in ("gs://b/x", "azure://c/x", "ssh://h/x", "https://h/x"):
        repo.gyre("data", "remote", "add", "-f", "-d", "r", url)
        said = repo.gyre("data", "push", code=20).stderr
        assert url.split(":")[0] + "://" in said and "hint: " in said
    repo.gyre("data", "remote", "add", "-f", "-d", "r", "s3://bucket")
    for key, value in (("sse", "AES256"), ("acl", "public-read"), ("allow_anonymous_login", "true"), ("ssl_verify", "false"),
                       ("version_aware", "true"), ("worktree", "true"), ("grant_read", "x"), ("sse_customer_key", "x")):
        repo.gyre("data", "remote", "modify", "r", key, value)
        assert f"'{key}'" in repo.gyre("data", "push", code=20).stderr
        repo.gyre("data", "remote", "modify", "--unset", "r", key)
    assert "no remote 'nope'" in repo.gyre("data", "push", "-r", "nope", code=4).stderr
    assert repo.gyre("data", "push", "--jobs", "99999", code=2)
