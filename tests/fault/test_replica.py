# SPDX-License-Identifier: Apache-2.0
"""Replicas (gyre serve): they answer a server's endpoints, follow its changes, ship what they answered, and lose no more than the
stated bound when they are killed and their disk is gone."""

import json
import shutil
import threading
import time

import pytest

import serving
import support
from serving import API, must, request

SHIP_MS = 500
ROW = {"hr": 120, "resp": 15, "temp": 37.0}


def wait_until(is_so, what, seconds=30):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


def replica_of(new_server, server, home, *args):
    return new_server(verb=("serve",), home=home,
                      args=["--server", server.url, "--replica", home.name, "--poll", "200", "--ship-every", str(SHIP_MS), *args])


def predict(server, row=None):
    status, answer, headers = request(server, "POST", "/predictions", row or ROW)
    assert status == 200, answer
    return headers["Gyre-Prediction-Id"], answer


def logged(server):
    rows = must(server, "POST", f"{API}/predictions/search", {"limit": 5000})
    assert not rows["more"]
    return [r["prediction_id"] for r in rows["predictions"]]


def test_a_replica_follows_and_ships(new_server, tmp_path):
    server = new_server()
    serving.serve(server, files=serving.package(-1000))
    replica = replica_of(new_server, server, tmp_path / "one")
    first, answer = predict(replica)
    assert (answer["isSepsis"], answer["revision"]) == (0, 1)
    # Nothing but inference, health and metrics is there.
    assert request(replica, "GET", f"{API}/endpoints")[0] == 404
    assert request(replica, "GET", "/v2/models/sepsis")[0] == 200 and b"gyre_inference" in request(replica, "GET", "/metrics")[1]
    # A deploy on the server reaches it.
    serving.register(server, files=serving.package(1000))
    serving.deploy(server, "models:/sepsis/2")
    wait_until(lambda: predict(replica)[1]["revision"] == 2, "the new revision")
    assert predict(replica)[1]["isSepsis"] == 1
    # What it answered is in the server's log: trace, list and the join of feedback know it.
    wait_until(lambda: request(server, "GET", f"{API}/trace/{first}")[0] == 200, "the shipped record")
    trace = must(server, "GET", f"{API}/trace/{first}")
    assert (trace["endpoint"], trace["revision"], trace["inputs"]["HR"]) == ("sepsis", 1, 120)
    own, _ = predict(server)
    must(server, "POST", f"{API}/feedback", {"prediction_id": first, "label": 1}, status=(200, 201, 202))
    wait_until(lambda: must(server, "GET", f"{API}/endpoints/sepsis/performance?since=1h")["labelled"] == 1, "the joined label")
    # The server goes away: the replica goes on, and ships what it answered meanwhile when it is back on its port.
    port = server.port
    server.kill()
    meanwhile = [predict(replica)[0] for _ in range(5)]
    server.args = ["--port", str(port)]
    server.start()
    wait_until(lambda: set(meanwhile) <= set(logged(server)), "what was answered meanwhile")
    ids = logged(server)
    assert len(ids) == len(set(ids)) and own in ids and first in ids


@pytest.mark.skipif(support.sanitized(), reason="the bound is a time")
def test_the_loss_of_a_killed_replica_is_bounded(new_server, tmp_path):
    """SIGKILL while it answers, its disk and rings deleted: gone is at most what was answered in the last --ship-every and one
    round trip; everything older is in the server's log, each once."""
    server = new_server()
    serving.serve(server)
    replica = replica_of(new_server, server, tmp_path / "victim")
    answered, stop = [], threading.Event()

    def ask():
        connection = serving.Connection(replica)
        while not stop.is_set():
            try:
                connection.http.request("POST", "/predictions", body=json.dumps(ROW))
                answer = connection.http.getresponse()
                answer.read()
            except OSError:
                return
            except Exception:  # the connection ends in the middle of an answer
                return
            answered.append((time.monotonic(), answer.headers["Gyre-Prediction-Id"]))
            time.sleep(0.002)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for t in threads:
        t.start()
    time.sleep(6)
    killed = time.monotonic()
    replica.kill()
    stop.set()
    for t in threads:
        t.join()
    replica.clean()  # its rings in /dev/shm
    shutil.rmtree(replica.home)
    kept = logged(server)
    assert len(kept) == len(set(kept))
    lost = [when for when, one in answered if one not in set(kept)]
    assert len(answered) > 500 and len(kept) > len(answered) / 2
    bound = SHIP_MS / 1000 + 2.5  # one interval, and a round trip on a machine that does much else
    assert all(killed - when < bound for when in lost), max(killed - when for when in lost)
    # A new replica on a new disk goes on beside what the old one left.
    second = replica_of(new_server, server, tmp_path / "next")
    one, _ = predict(second)
    wait_until(lambda: one in logged(server), "the next replica's record")
    assert set(kept) <= set(logged(server))


def test_a_replica_that_was_killed_ships_the_rest_when_it_starts_again(new_server, tmp_path):
    server = new_server()
    serving.serve(server)
    replica = replica_of(new_server, server, tmp_path / "one", "--ship-every", "3600000")
    ids = [predict(replica)[0] for _ in range(20)]
    assert logged(server) == []
    replica.kill()
    again = replica_of(new_server, server, tmp_path / "one")
    wait_until(lambda: set(ids) <= set(logged(server)), "the records of the killed process")
    more = predict(again)[0]
    wait_until(lambda: more in logged(server), "a record of the new one")
    got = logged(server)
    assert len(got) == len(set(got)) == 21


def test_records_are_taken_once_and_bad_ones_not_at_all(new_server, tmp_path):
    server = new_server()
    serving.serve(server)
    source = new_server()
    serving.serve(source)
    for _ in range(3):
        predict(source)
    must(source, "POST", f"{API}/log/flush", {})
    (segment,) = [p for p in (source.home / "log").glob("*.seg") if p.stat().st_size > 64][:1]
    boot, ring = segment.name[:36], int(segment.name[37:39])
    frames = segment.read_bytes()[64:]
    path = f"{API}/log/receive?replica=r&boot={boot}&ring={ring}"
    first = must(server, "POST", path, frames)
    assert first["records"] == first["last_seq"] > 0
    assert must(server, "POST", path, frames) == {"last_seq": first["last_seq"], "records": 0}
    assert len(logged(server)) == first["records"]
    server.kill()
    server.start()
    assert must(server, "POST", path, frames)["records"] == 0  # known also after a start
    spoilt = bytearray(frames)
    spoilt[20] ^= 1
    assert request(server, "POST", path.replace(f"ring={ring}", "ring=7"), bytes(spoilt))[0] >= 400
    assert request(server, "POST", f"{API}/log/receive?boot=x&ring=0", frames)[0] == 400
    assert len(logged(server)) == first["records"]


def test_packages_without_a_server(new_server, tmp_path):
    folder = tmp_path / "sepsis-model"
    folder.mkdir()
    for name, text in serving.package().items():
        (folder / name).write_text(text)
    one = new_server(verb=("serve",), args=[str(folder), f"other={folder}"])
    for name in ("sepsis-model", "other"):
        status, answer, _ = request(one, "POST", f"/v2/models/{name}/infer", serving.v2([[120, 15, 37.0]]))
        assert status == 200 and serving.outputs(answer)["prediction"] == [1]
    assert request(one, "GET", "/v2/models/nothing")[0] == 404


@pytest.mark.parametrize("args, words", [([], "what is to be served"), (["/nowhere"], ""), (["--host", "0.0.0.0", "x"], "without logins")])
def test_refusals(tmp_path, args, words):
    done = support.run_gyre("serve", *args, "--home", tmp_path / "home", cwd=tmp_path)
    assert done.returncode != 0 and words in done.stderr
