# SPDX-License-Identifier: Apache-2.0
"""Where dvc and gyre push to: a folder, and a bucket of a real S3 server."""

import pytest

import dvcs
import s3server


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    try:
        server = s3server.S3Server(tmp_path_factory.mktemp("s3"))
    except s3server.Missing as missing:
        pytest.skip(str(missing))
    yield server
    server.kill()


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


@pytest.fixture(params=["folder", "s3"])
def place(request, tmp_path):
    return Place(request.param, tmp_path, request.getfixturevalue("s3") if request.param == "s3" else None)


@pytest.fixture
def pair(tmp_path, place):
    """Two clones of one project, each with its own cache, on one remote."""
    first = place.setup(dvcs.Repo(tmp_path / "first", tmp_path))
    first.commit()
    return first, place


def clone(repo, tmp_path, place, name="second"):
    """Another checkout of the same commit: no cache, keys set anew."""
    path = tmp_path / name
    repo.git("clone", "-q", str(repo.path), str(path))
    second = dvcs.Repo(path, tmp_path, init=False)
    local = repo.path / ".dvc" / "config.local"
    if local.exists():
        (path / ".dvc" / "config.local").write_bytes(local.read_bytes())
    return second
