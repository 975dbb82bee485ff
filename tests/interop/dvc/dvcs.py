# SPDX-License-Identifier: Apache-2.0
"""The real dvc beside Gyre: how it is found and called, repositories to work on, trees of awkward names.

GYRE_DVC names another dvc than the one of the tests' environment. Without one: pytest.skip, counted.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import s3server
import support

AWKWARD = {
    "plain.txt": b"plain\n",
    "with space.txt": b"a\r\nb\r\n",
    "quo'te \"two\".csv": b"x,y\n1,2\n",
    "\u00e9t\u00e9/\u65e5\u672c.bin": bytes(range(256)),
    "deep/er/and/deeper/file": b"",
    "deep/copy of plain": b"plain\n",
    "\U0001f600.dat": b"\x00" * 5000,
    "back\\slash": b"b",
    "ends in dot.": b"dot",
    "-dash": b"dash",
}


def found():
    return (os.environ.get("GYRE_DVC") or shutil.which("dvc", path=str(pathlib.Path(sys.executable).parent)) or shutil.which("dvc"))


def need():
    if not found():
        pytest.skip("dvc is not installed (GYRE_DVC)")
    return found()


def environment(folder, extra=None):
    """Configuration and state of dvc and gyre that no other test sees."""
    home = pathlib.Path(folder) / "outer"
    env = {**os.environ, "DVC_NO_ANALYTICS": "1", "COLUMNS": "4000", "DVC_GLOBAL_CONFIG_DIR": str(home / "global"),
           "DVC_SYSTEM_CONFIG_DIR": str(home / "system"), "DVC_SITE_CACHE_DIR": str(home / "site")}
    env.update(extra or {})
    return env


class Repo:
    """A folder with git and .dvc in it; dvc() and gyre() run there."""

    def __init__(self, path, outer, env=None, init=True):
        self.path = pathlib.Path(path)
        self.env = environment(outer, env)
        self.path.mkdir(parents=True, exist_ok=True)
        if init:
            self.git("init", "-q", ".")
            self.dvc("init", "-q")

    def git(self, *args):
        who = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always"]
        done = subprocess.run(["git", *who, *args], cwd=self.path, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def commit(self, message="c"):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def dvc(self, *args, code=0, cwd=None):
        done = subprocess.run([need(), *map(str, args)], cwd=cwd or self.path, env=self.env, capture_output=True, text=True,
                              timeout=300, check=False)
        assert code is None or done.returncode == code, f"dvc {args}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def gyre(self, *args, code=0, cwd=None, env=None):
        done = subprocess.run([str(support.BIN), *map(str, args)], cwd=cwd or self.path, env={**self.env, "NO_COLOR": "1", **(env or {})},
                              capture_output=True, text=True, timeout=300, check=False)
        assert code is None or done.returncode == code, f"gyre {args}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def gyre_json(self, *args, **kwargs):
        import json
        return json.loads(self.gyre(*args, "--json", **kwargs).stdout)

    def clean(self):
        """What `dvc status` says of it."""
        return "up to date" in self.dvc("status")


def plant(folder, files):
    for name, content in files.items():
        path = pathlib.Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def tree(folder):
    """Relative name -> sha256 of each file under it."""
    folder = pathlib.Path(folder)
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in folder.rglob("*") if p.is_file()}


class Place:
    """A remote: .setup(repo) makes it the default one there; .objects() is what it holds, key -> size."""

    def __init__(self, kind, path, server=None):
        self.kind, self.server = kind, server
        if kind == "s3":
            self.bucket = server.bucket("b" + path.name.replace("_", "-").lower()[-50:])
            self.url = f"s3://{self.bucket}/pre fix"
            self.root = server.folder / self.bucket / "pre fix"
        else:
            self.root = path / "remote store"
            self.url = str(self.root)

    def setup(self, repo):
        repo.gyre("data", "remote", "add", "-d", "store", self.url)
        if self.kind == "s3":
            for key, value in (("endpointurl", self.server.endpoint), ("region", "us-east-1")):
                repo.gyre("data", "remote", "modify", "store", key, value)
            for key, value in (("access_key_id", s3server.ACCESS), ("secret_access_key", s3server.SECRET)):
                repo.gyre("data", "remote", "modify", "--local", "store", key, value)
        return repo

    def objects(self):
        found = {str(p.relative_to(self.root)): p.stat().st_size for p in self.root.rglob("*") if p.is_file()}
        return {key: size for key, size in found.items() if not key.startswith("tmp/")}

    def path(self, oid):
        return self.root / "files" / "md5" / oid[:2] / oid[2:]


def clone(repo, tmp_path, place, name="second"):
    """Another checkout of the same commit: no cache, keys set anew."""
    path = tmp_path / name
    repo.git("clone", "-q", str(repo.path), str(path))
    second = Repo(path, tmp_path, init=False)
    local = repo.path / ".dvc" / "config.local"
    if local.exists():
        (path / ".dvc" / "config.local").write_bytes(local.read_bytes())
    return second
