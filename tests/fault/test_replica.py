# SPDX-License-Identifier: Apache-2.0
"""Replicas (gyre serve): they answer a server's endpoints, follow its changes, ship what they answered, and lose no more than the
stated bound when they are killed and their disk is gone."""

import json
import shutil
import struct
import threading
import time

import pytest

import relay
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
    ids, page = [], {"cursor": None, "more": True}
    while page["more"]:
        page = must(server, "POST", f"{API}/predictions/search", {"limit": 5000, **({"cursor": page["cursor"]} if page["cursor"] else {})})
        ids += [r["prediction_id"] for r in page["predictions"]]
    return ids


def metric(server, line):
    """The value of one line of /metrics: its name, with its labels."""
    text = request(server, "GET", "/metrics")[1].decode()
    return next(float(one.rsplit(" ", 1)[1]) for one in text.splitlines() if one.rsplit(" ", 1)[0] == line)


@pytest.fixture
def valve():
    made = []

    def make(server):
        made.append(relay.Valve(server.port))
        return made[-1]

    yield make
    for one in made:
        one.close()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def stream_of(server):
    """(boot, ring, frames) of a stream in the server's log that has records."""
    must(server, "POST", f"{API}/log/flush", {})
    segment = next(p for p in sorted((server.home / "log").glob("*.seg")) if p.stat().st_size > 64)
    return segment.name[:36], int(segment.name[37:39]), segment.read_bytes()[64:]


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
    boot, ring, frames = stream_of(source)
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


def test_what_the_server_has_is_removed(new_server, tmp_path):
    """However long it answers, a replica's disk holds what is not shipped yet and little else."""
    server = new_server()
    serving.serve(server)
    replica = replica_of(new_server, server, tmp_path / "one", "--keep", "0")
    log = tmp_path / "one" / "log"
    ids = []
    for round_ in range(2):  # what a ring goes on with comes and goes, too
        ids += [predict(replica)[0] for _ in range(30)]
        wait_until(lambda: metric(replica, "gyre_replica_removed_segments_total") > round_ and not list(log.glob("*.seg")), "an empty log")
    assert sorted(logged(server)) == sorted(ids)
    assert not list(log.glob("*.idx")) and metric(replica, "gyre_replica_log_bytes") == 0 and metric(replica, "gyre_log_segments") == 0
    # Nothing goes that the server has not acknowledged.
    server.kill()
    more = [predict(replica)[0] for _ in range(5)]
    wait_until(lambda: list(log.glob("*.seg")), "a segment")
    replica.kill()
    port = server.port
    server.args = ["--port", str(port)]
    server.start()
    replica.start()
    wait_until(lambda: set(more) <= set(logged(server)), "what was answered meanwhile")
    assert len(logged(server)) == 65
    wait_until(lambda: not list(log.glob("*.seg")), "an empty log")


def test_a_silent_server_holds_nothing_up(new_server, valve, tmp_path):
    """It takes connections and requests and never answers: predictions go on, each call ends, is counted and tried again."""
    server = new_server()
    serving.serve(server)
    between = valve(server)
    replica = new_server(verb=("serve",), home=tmp_path / "one",
                         args=["--server", between.url, "--poll", "200", "--ship-every", "200", "--server-timeout", "1"])
    between.silent = True
    ids = [predict(replica)[0] for _ in range(10)]

    def timeouts(call):
        return metric(replica, f'gyre_replica_failures_total{{call="{call}",why="timeout"}}')

    wait_until(lambda: timeouts("poll") >= 1 and timeouts("ship") >= 1, "calls that are given up", 60)
    ids += [predict(replica)[0] for _ in range(10)]
    assert metric(replica, "gyre_replica_server_up") == 0
    between.silent = False
    wait_until(lambda: set(ids) <= set(logged(server)), "what was answered meanwhile", 60)
    wait_until(lambda: metric(replica, "gyre_replica_server_up") == 1, "the server that is back", 60)
    assert len(logged(server)) == 20
    before, between.silent = between.waiting, True
    wait_until(lambda: between.waiting > before, "a call into the silence", 60)
    replica.stop()  # it ends, and with 0
    done = support.run_gyre("serve", "--server", between.url, "--home", tmp_path / "two", "--server-timeout", "1", cwd=tmp_path)
    assert done.returncode != 0 and "did not answer in time" in done.stderr


def test_what_loops_answered_side_by_side_is_shipped_together(new_server, valve, tmp_path):
    """Records of several rings come mixed: a call of the server each would take longer than answering them."""
    server = new_server()
    serving.serve(server)
    between = valve(server)
    replica = new_server(verb=("serve",), home=tmp_path / "one",
                         args=["--server", between.url, "--ship-every", "100", "--server-timeout", "1", "--loops", "4"])
    between.silent = True
    connections = [serving.Connection(replica) for _ in range(8)]
    for i in range(320):
        assert connections[i % 8].ask(ROW)[0] == 200
    between.silent = False
    wait_until(lambda: len(logged(server)) == 320, "the records", 60)
    assert sum(path.endswith("/log/receive") for _, path in between.passed) < 80
    assert len(set(logged(server))) == 320


def test_what_is_damaged_on_its_way_is_sent_again(new_server, valve, tmp_path):
    server = new_server()
    serving.serve(server)
    between = valve(server)
    replica = new_server(verb=("serve",), home=tmp_path / "one", args=["--server", between.url, "--ship-every", "100", "--keep", "0"])
    between.spoil = 2
    ids = [predict(replica)[0] for _ in range(20)]
    wait_until(lambda: set(ids) <= set(logged(server)), "the records")
    assert between.spoil == 0 and sorted(logged(server)) == sorted(ids)
    assert metric(server, "gyre_log_received_damaged_total") == 2 and metric(server, "gyre_log_received_total") == 20


def test_what_does_not_belong_in_the_log_is_not_kept(new_server):
    server, source = new_server(), new_server()
    serving.serve(server)
    serving.serve(source)
    predict(source)
    serving.deploy(source, "models:/sepsis/1")  # a revision that the other server never had
    predict(source)
    boot, ring, frames = stream_of(source)
    # A checksum that is right over a content that is not: each later reader would stumble over it.
    length = struct.unpack_from("<I", frames)[0]
    payload = bytearray(frames[8:8 + length])
    struct.pack_into("<I", payload, 48, 77)  # rows that are not there
    wrong = struct.pack("<II", length, crc32c(payload)) + payload
    path = f"{API}/log/receive?replica=r&boot={boot}&ring="
    status, answer, _ = request(server, "POST", f"{path}5", wrong)
    assert status == 400 and "wrong length" in answer["detail"] and "send it again" in answer["hint"], answer
    assert crc32c(frames[8:8 + length]) == struct.unpack_from("<I", frames, 4)[0]
    # Of two records one is of a revision that is not the server's.
    got = must(server, "POST", f"{path}{ring}", frames)
    assert got["records"] == 1 and got["refused"] == [2] and "never deployed" in got["why"]
    assert len(logged(server)) == 1 and metric(server, "gyre_log_received_refused_total") == 1
    # Nobody ships to the server what it is said to have answered itself.
    predict(server)
    own, ring, frames = stream_of(server)
    assert request(server, "POST", f"{API}/log/receive?boot={own}&ring={ring}", frames)[0] == 409
    # The log is the default workspace's.
    assert request(server, "POST", f"{path}6", frames, headers={"X-MLFLOW-WORKSPACE": "other"})[0] in (400, 403, 404)
    assert len(logged(server)) == 2


def test_refused_records_are_kept_and_hold_up_nothing(new_server, valve, tmp_path):
    """The server was put back to a state that does not know a revision: its records stay with the replica, all others go on."""
    server, older = new_server(), new_server()
    serving.serve(server)
    serving.deploy(server, "models:/sepsis/1")
    serving.serve(older)
    between = valve(server)
    replica = new_server(verb=("serve",), home=tmp_path / "one", args=["--server", between.url, "--poll", "100", "--ship-every", "100", "--keep", "0"])
    between.silent = True
    lost = [predict(replica) for _ in range(3)]
    assert all(answer["revision"] == 2 for _, answer in lost)
    between.to = older.port
    between.silent = False
    wait_until(lambda: metric(replica, "gyre_replica_refused_total") == 3, "refusals", 60)
    wait_until(lambda: predict(replica)[1]["revision"] == 1, "the older revision", 60)
    known = predict(replica)[0]
    wait_until(lambda: known in logged(older), "a record of it")
    assert not {one for one, _ in lost} & set(logged(older))
    kept = b"".join(p.read_bytes()[64:] for p in (tmp_path / "one" / "refused").glob("*.seg"))
    assert all(bytes.fromhex(one.replace("-", "")) in kept for one, _ in lost)
    assert "never deployed" in replica.text()


def test_a_hashed_column_has_one_hash_everywhere(new_server, tmp_path):
    server = new_server()
    serving.register(server)
    serving.deploy(server, "models:/sepsis/1", project={**serving.PROJECT, "log": {"hash": ["HR"]}})
    ids = [predict(server)[0]]
    for name in ("one", "two"):
        replica = replica_of(new_server, server, tmp_path / name)
        ids.append(predict(replica)[0])
        assert not (tmp_path / name / "erasures").exists()  # the key is not on its disk
    wait_until(lambda: set(ids) <= set(logged(server)), "the records")
    hashes = {must(server, "GET", f"{API}/trace/{one}")["inputs"]["HR"] for one in ids}
    assert len(hashes) == 1 and ROW["hr"] not in hashes


def test_a_log_that_is_no_replicas_is_left_alone(new_server, tmp_path):
    """What is shipped is removed, so a home with a log of its own must not become a replica's by mistake."""
    server, other = new_server(), new_server()
    serving.serve(server)
    serving.serve(other)
    predict(other)
    other.stop()
    before = {p.name for p in (other.home / "log").iterdir()}
    done = support.run_gyre("serve", "--server", server.url, "--home", other.home, "--port", "0", cwd=tmp_path)
    assert done.returncode != 0 and "no replica's" in done.stderr and "--home" in done.stderr
    assert {p.name for p in (other.home / "log").iterdir()} == before and logged(server) == []


def test_a_replicas_home_is_nobody_elses(new_server, tmp_path):
    """What another process logged there would be shipped, and removed, by the replica's next start."""
    server = new_server()
    serving.serve(server)
    folder, home = tmp_path / "sepsis", tmp_path / "one"
    folder.mkdir()
    for name, text in serving.package().items():
        (folder / name).write_text(text)
    # One that never had its server has claimed nothing.
    done = support.run_gyre("serve", "--server", "http://127.0.0.1:1", "--home", home, "--port", "0", cwd=tmp_path)
    assert done.returncode != 0 and not (home / "shipped.json").exists()
    replica = replica_of(new_server, server, home)
    one = predict(replica)[0]
    wait_until(lambda: one in logged(server), "the record")
    replica.stop()
    for args in (["serve", folder], ["server"]):
        done = support.run_gyre(*args, "--home", home, "--port", "0", cwd=tmp_path)
        assert done.returncode != 0 and "the home of a replica" in done.stderr, done.stderr
    again = replica_of(new_server, server, home)
    one = predict(again)[0]
    wait_until(lambda: one in logged(server), "its next record")


def test_its_metrics_are_documented(new_server, tmp_path):
    server = new_server()
    serving.serve(server)
    replica = replica_of(new_server, server, tmp_path / "one")
    said = {line.split()[2] for line in request(replica, "GET", "/metrics")[1].decode().splitlines() if line.startswith("# TYPE gyre_replica_")}
    text = (support.ROOT / "docs" / "prediction-log.md").read_text()
    assert said and said == {line.split("`")[1] for line in text.splitlines() if line.startswith("| `gyre_replica_")}
