# SPDX-License-Identifier: Apache-2.0
"""gyre data remote writes what dvc remote writes, byte for byte, and either reads the other's; comments stay."""

import pytest

import dvcs

STEPS = {
    "one, as default": [["add", "-d", "store", "s3://bucket/pre fix"]],
    "names in capitals": [["add", "Store", "s3://b/x"], ["default", "STORE"], ["modify", "stoRe", "region", "eu-central-1"]],
    "folders, relative and not": [["add", "rel", "../there"], ["add", "abs", "/tmp/x/../y"], ["add", "home", "~/d"], ["add", "here", "sub/d"],
                                  ["add", "up", "../../.."], ["add", "self", "."]],
    "settings": [["add", "s", "s3://b"], ["modify", "s", "endpointurl", "http://127.0.0.1:9"], ["modify", "s", "use_ssl", "false"],
                 ["modify", "s", "jobs", "7"], ["modify", "s", "jobs", "9"]],
    "quotes": [["add", "q", "s3://b/a,b#c"], ["modify", "q", "profile", " blank"], ["modify", "q", "acl", "it's"], ["modify", "q", "sse", "\"x\""],
               ["modify", "q", "region", "both ' and \" in"], ["modify", "q", "session_token", "a=b=="]],
    "unset": [["add", "-d", "s", "s3://b"], ["modify", "s", "region", "x"], ["modify", "--unset", "s", "region"], ["default", "--unset"]],
    "remove": [["add", "-d", "a", "s3://a"], ["add", "b", "s3://b"], ["remove", "a"]],
    "rename": [["add", "-d", "a", "s3://a"], ["rename", "a", "c"]],
    "force": [["add", "a", "s3://a"], ["modify", "a", "region", "x"], ["add", "-f", "a", "s3://other"]],
    "local": [["add", "a", "s3://a"], ["modify", "--local", "a", "access_key_id", "K"], ["modify", "--local", "a", "secret_access_key", "S/+="],
              ["default", "--local", "a"]],
    "inherited": [["add", "base", "s3://b/p"], ["add", "below", "remote://base/sub"]],
    "global": [["add", "--global", "g", "s3://g"], ["default", "g"]],
    "a default after remotes": [["add", "z", "s3://z"], ["add", "y", "s3://y"], ["default", "y"]],
}


@pytest.mark.parametrize("name", STEPS)
def test_both_write_the_same(name, tmp_path):
    theirs, ours = (dvcs.Repo(tmp_path / side / "r", tmp_path / side) for side in ("dvc", "gyre"))
    for step in STEPS[name]:
        theirs.dvc("remote", *step)
        ours.gyre("data", "remote", *step)
    for file in ("r/.dvc/config", "r/.dvc/config.local", "outer/global/config"):
        dvc, gyre = (tmp_path / side / file for side in ("dvc", "gyre"))
        written = dvc.read_text() if dvc.exists() else ""
        # dvc remote remove leaves an empty config.local behind
        assert (gyre.read_text() if gyre.exists() else "") == (written if written.strip() else ""), file
    listed = theirs.dvc("remote", "list").replace(str(tmp_path / "dvc"), "")
    assert [line.split() for line in ours.gyre("data", "remote", "list").stdout.replace(str(tmp_path / "gyre"), "").splitlines()] == [
        line.split() for line in listed.splitlines()]
    # and dvc reads ours
    assert ours.dvc("remote", "list").split() == ours.gyre("data", "remote", "list").stdout.split()


@pytest.mark.parametrize("step", [["add", "a", "s4://x"], ["modify", "s", "regoin", "x"], ["modify", "s", "use_ssl", "maybe"],
                                  ["modify", "s", "jobs", "0"], ["modify", "nope", "url", "x"], ["add", "s", "s3://twice"],
                                  ["remove", "nope"], ["rename", "nope", "x"], ["rename", "s", "t"], ["default", "nope"]])
def test_both_refuse_the_same(step, tmp_path):
    repo = dvcs.Repo(tmp_path / "r", tmp_path)
    repo.dvc("remote", "add", "s", "s3://b")
    repo.dvc("remote", "add", "t", "s3://b")
    before = (repo.path / ".dvc/config").read_text()
    assert "unexpected" not in repo.dvc("remote", *step, code=None)
    assert (repo.path / ".dvc/config").read_text() == before
    refused = repo.gyre("data", "remote", *step, code=None)
    assert refused.returncode in (3, 4, 5) and refused.stderr.startswith("gyre: ")
    assert (repo.path / ".dvc/config").read_text() == before


def test_comments_and_order_stay(tmp_path):
    repo = dvcs.Repo(tmp_path / "r", tmp_path)
    config = repo.path / ".dvc/config"
    config.write_text("# ours\n[core]\n  # the one\n  remote = s  # default\n  autostage = true\n\n# bucket\n"
                      "['remote \"S\"']\n  url = s3://b   # prefix later\n\n# end\n")
    repo.gyre("data", "remote", "modify", "s", "url", "s3://b/prefix")
    repo.gyre("data", "remote", "modify", "s", "region", "r1")
    repo.gyre("data", "remote", "add", "t", "../t")
    assert config.read_text() == (
        "# ours\n[core]\n  # the one\n  remote = s  # default\n  autostage = true\n\n# bucket\n"
        "['remote \"S\"']\n  url = s3://b/prefix   # prefix later\n  region = r1\n\n# end\n['remote \"t\"']\n  url = ../../t\n")
    assert repo.dvc("remote", "list").split() == ["s", "s3://b/prefix", "(default)", "t", str(tmp_path / "t")]


def test_a_file_that_can_not_be_read_is_named_with_its_line(tmp_path):
    repo = dvcs.Repo(tmp_path / "r", tmp_path)
    for text, line in (("[core]\nnonsense\n", 2), ("[core]\n[core]\n", 2), ("[a\n", 1), ("[core]\na = 1\na = 2\n", 3), ("[core]\nx = 'a\n", 2)):
        (repo.path / ".dvc/config").write_text(text)
        refused = repo.gyre("data", "remote", "list", code=16)
        assert f"config:{line}:" in refused.stderr, (text, refused.stderr)


def test_secrets_are_the_owners_alone(tmp_path):
    repo = dvcs.Repo(tmp_path / "r", tmp_path)
    repo.gyre("data", "remote", "add", "s", "s3://b")
    repo.gyre("data", "remote", "modify", "--local", "s", "secret_access_key", "topsecret")
    assert (repo.path / ".dvc/config.local").stat().st_mode & 0o777 == 0o600
    said = repo.gyre("data", "remote", "list", "--json").stdout
    assert "topsecret" not in said
