# SPDX-License-Identifier: Apache-2.0
"""Fixtures of all black-box tests (see support.py for what they are made of).

    gyre          run the program: gyre("data", "ingest", ...).returncode, in the test's own folder
    server        one server for the whole test file, started before the first test that asks for it
    new_server    start more: new_server(), new_server(args=[...], home=...); all are stopped at the end of the test
    postgres      a real PostgreSQL; postgres.url() is the URL of a fresh database in it; skipped, and counted, without one
    small_disk    a folder on a file system of 48 MB; skipped, and counted, where none can be mounted
    data_dir      the real data sets; the test is skipped, and counted, where they are not

With --store=postgres every server of the tests keeps its metadata in a database of its own in a real PostgreSQL.
"""

import functools
import os
import subprocess
import sys

import pytest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
import postgres as postgres_server  # noqa: E402
import support  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "tsan: also run with ThreadSanitizer")
    config.addinivalue_line("markers", "sqlite: looks into the database's file; not for --store=postgres")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--store") == "postgres":
        left = [item for item in items if item.get_closest_marker("sqlite")]
        items[:] = [item for item in items if item not in left]
        config.hook.pytest_deselected(items=left)


def pytest_addoption(parser):
    parser.addoption("--store", choices=["sqlite", "postgres"], default="sqlite", help="where servers keep their metadata")


@pytest.fixture(scope="session", autouse=True)
def metadata_store(request):
    """Where servers keep their metadata: "sqlite" or "postgres"."""
    name = request.config.getoption("--store")
    if name == "postgres":
        support.POSTGRES = request.getfixturevalue("postgres")
    return name


@pytest.fixture
def gyre(tmp_path):
    return functools.partial(support.run_gyre, cwd=tmp_path)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    one = support.Server(tmp_path_factory.mktemp("server") / "home")
    one.start()
    yield one
    one.stop()
    one.clean()


@pytest.fixture
def new_server(tmp_path):
    started = []

    def start(args=(), home=None, env=None, verb=("server",)):
        one = support.Server(home or tmp_path / f"home{len(started)}", args, env, verb)
        started.append(one)
        return one.start()

    yield start
    failures = []
    for one in started:
        try:
            one.stop()
        except AssertionError as failure:
            failures.append(str(failure))
        one.clean()
    assert not failures, "\n".join(failures)


@pytest.fixture(scope="session")
def data_dir():
    if not support.DATA.is_dir():
        pytest.skip("the real data sets are not here (GYRE_TEST_DATA)")
    return support.DATA


@pytest.fixture(scope="session")
def postgres():
    try:
        one = postgres_server.start()
    except postgres_server.Missing as why:
        pytest.skip(str(why))
    yield one
    one.stop()


@pytest.fixture
def small_disk(tmp_path):
    where = tmp_path / "disk"
    where.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", where], check=False).returncode:
        pytest.skip("a small file system can not be mounted here")
    yield where
    subprocess.run(["umount", "-l", where], check=True)
