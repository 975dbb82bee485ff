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


@pytest.fixture(params=["folder", "s3"])
def place(request, tmp_path):
    return dvcs.Place(request.param, tmp_path, request.getfixturevalue("s3") if request.param == "s3" else None)


@pytest.fixture
def pair(tmp_path, place):
    """Two clones of one project, each with its own cache, on one remote."""
    first = place.setup(dvcs.Repo(tmp_path / "first", tmp_path))
    first.commit()
    return first, place
