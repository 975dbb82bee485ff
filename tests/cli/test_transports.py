# SPDX-License-Identifier: Apache-2.0
"""One answer, whichever way it was asked: in-process, over the home's socket, over HTTP (--server and GYRE_SERVER)."""

import json
import os
import stat

import pytest

import support

QUESTIONS = [
    ["exp", "list"], ["runs", "list"], ["models", "list"], ["models", "show", "toy"], ["data", "list"], ["data", "show", "toy"],
    ["gate", "list"], ["endpoint", "list"], ["flow", "history"],
]
TABLE = "id,x,y\n" + "".join(f"{i},{(i * 37) % 101},{int((i * 37) % 101 > 50)}\n" for i in range(1, 400))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A home with a dataset, a run and a model version, made in-process."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "toy.csv").write_text(TABLE)
    support.run_json("init", cwd=folder)
    support.run_json("data", "ingest", "toy.csv", "--name", "toy", "--output-path", "out", cwd=folder)
    support.run_json("train", "out/data.csv", "--target", "y", "--learner", "logistic", "--features", "x", "--register", "toy",
                     "--out", "model", cwd=folder)
    return folder


def ask(folder, words, env=None, more=()):
    done = support.run_gyre(*words, "--json", *more, cwd=folder, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_all_transports_give_the_same_answer(project):
    direct = [ask(project, q) for q in QUESTIONS]
    server = support.Server(project / ".gyre")
    server.start()
    try:
        assert [ask(project, q) for q in QUESTIONS] == direct  # the home is locked: by the socket
        elsewhere = project.parent
        assert [ask(elsewhere, q, more=["--server", server.url]) for q in QUESTIONS] == direct
        assert [ask(elsewhere, q, env={"GYRE_SERVER": server.url}) for q in QUESTIONS] == direct
        assert not (elsewhere / ".gyre").exists()
    finally:
        server.stop()
    assert [ask(project, q) for q in QUESTIONS] == direct


def test_the_socket_belongs_to_its_owner_and_names_the_actor(project):
    server = support.Server(project / ".gyre")
    server.start()
    try:
        assert stat.S_IMODE(os.stat(project / ".gyre/sock").st_mode) == 0o600
        made = ask(project, ["gate", "request", "toy/1"])
        assert made["requested_by"] == "root" or made["requested_by"] == os.environ.get("USER", made["requested_by"])
        refused = support.run_gyre("gate", "approve", made["id"], "--reason", "x", "--server", server.url, cwd=project)
        assert refused.returncode == 8 and "anonymous" in refused.stderr.lower()
        assert ask(project, ["gate", "approve", made["id"], "--reason", "x"])["state"] == "approved"
    finally:
        server.stop()


def test_errors_cross_every_transport(project):
    server = support.Server(project / ".gyre")
    direct = support.run_gyre("models", "show", "nobody", cwd=project)
    server.start()
    try:
        socket = support.run_gyre("models", "show", "nobody", cwd=project)
        http = support.run_gyre("models", "show", "nobody", "--server", server.url, cwd=project)
    finally:
        server.stop()
    assert direct.returncode == socket.returncode == http.returncode == 4
    assert direct.stderr == socket.stderr == http.stderr


def test_no_server_there(tmp_path):
    done = support.run_gyre("exp", "list", "--server", "http://127.0.0.1:1", cwd=tmp_path)
    assert done.returncode == 21 and "nothing answers" in done.stderr and "hint: " in done.stderr
    done = support.run_gyre("exp", "list", "--server", "nonsense", cwd=tmp_path)
    assert done.returncode == 3 and "not the URL of a server" in done.stderr


def test_one_server_a_home(project):
    server = support.Server(project / ".gyre")
    server.start()
    try:
        second = support.run_gyre("server", "--port", "0", cwd=project)
        assert second.returncode == 14 and "runs on" in second.stderr
    finally:
        server.stop()


def test_only_loopback_without_logins(tmp_path):
    done = support.run_gyre("server", "--host", "0.0.0.0", "--port", "0", cwd=tmp_path)
    assert done.returncode == 7 and "without logins" in done.stderr
