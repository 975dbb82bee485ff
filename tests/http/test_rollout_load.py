# SPDX-License-Identifier: Apache-2.0
"""Changes of who answers, under load: 32 connections ask all the time, none is refused, and what has gone answers nobody.

The last test makes each kind of change for some seconds at 64 connections; for a minute with GYRE_LONG=1."""

import json
import os
import pathlib
import re
import selectors
import socket
import threading
import time

import pytest
import serving
import support
from serving import API, must, v2

pytestmark = pytest.mark.tsan

CONNECTIONS, AFTER_S = 32, 2.0
BODIES = [json.dumps(v2([[60 + 10 * i, 15, 37.5]])).encode() for i in range(8)]
BASE = f"{API}/endpoints/sepsis"


class Load(threading.Thread):
    """A closed loop on keep-alive connections, one request under way on each.

    answers: (sent, status, version, revision, body number, bytes of the member outputs)"""

    def __init__(self, port, connections=CONNECTIONS):
        super().__init__()
        self.connections = connections
        self.port, self.stopped, self.answers, self.failures = port, threading.Event(), [], []
        self.requests = [b"POST /v2/models/sepsis/infer HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                         b"Content-Length: %d\r\n\r\n%s" % (len(body), body) for body in BODIES]

    def send(self, connection):
        connection["buffer"] = b""
        connection["body"] = connection["turn"] % len(BODIES)
        connection["turn"] += 1
        connection["sent"] = time.monotonic()
        connection["socket"].sendall(self.requests[connection["body"]])

    def take(self, connection):
        """True: the answer was whole."""
        data = connection["socket"].recv(65536)
        if not data:
            raise ConnectionError("closed")
        connection["buffer"] += data
        head, found, body = connection["buffer"].partition(b"\r\n\r\n")
        if not found:
            return False
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(body) < length:
            return False
        status = int(head[9:12])
        answer = json.loads(body)
        self.answers.append((connection["sent"], status, answer.get("model_version"), answer.get("parameters", {}).get("revision"),
                             connection["body"], body[body.find(b'"outputs":'):]))
        return True

    def run(self):
        try:
            with selectors.DefaultSelector() as selector:
                for turn in range(self.connections):
                    one = {"socket": socket.create_connection(("127.0.0.1", self.port), timeout=60), "turn": turn}
                    selector.register(one["socket"], selectors.EVENT_READ, one)
                    self.send(one)
                while not self.stopped.is_set():
                    for key, _ in selector.select(1):
                        if self.take(key.data):
                            self.send(key.data)
                for key in list(selector.get_map().values()):
                    key.data["socket"].close()
        except Exception as e:  # whatever it was, the test shows it
            self.failures.append(repr(e))


def between(load, start, end):
    """Answers to requests that were sent in the meantime."""
    return [a for a in load.answers if start <= a[0] < end]


def test_no_request_is_lost_and_no_version_lingers(new_server):
    server = new_server()
    for intercept in (-9, -8, -7):
        serving.register(server, files=serving.package(intercept))
    serving.deploy(server, "models:/sepsis/1", project={})
    load = Load(server.port)
    load.start()
    time.sleep(0.2)  # some answers of the first revision; not waited for by anything below
    begun, returned = [], []

    def change(verb, **body):
        """Make the change, let the load run on for 2 s."""
        begun.append(time.monotonic())
        revision = must(server, "POST", f"{BASE}/{verb}", body)
        returned.append(time.monotonic())
        time.sleep(AFTER_S)  # the duration under test, not a synchronisation
        return revision["revision"]

    revisions = [change("deploy", model="models:/sepsis/2"),
                 change("deploy", model="models:/sepsis/3", canary=0.1),
                 change("promote"),
                 change("rollback")]
    load.stopped.set()
    load.join()
    begun.append(time.monotonic())
    assert not load.failures, load.failures
    assert all(a[1] == 200 for a in load.answers), [a for a in load.answers if a[1] != 200][:3]
    allowed = [{"2"}, {"2", "3"}, {"3"}, {"2"}]
    spans = [between(load, returned[i], begun[i + 1]) for i in range(4)]
    for i, (answers, versions) in enumerate(zip(spans, allowed)):
        counts = {v: sum(a[2] == v for a in answers) for v in versions}
        wrong = [a for a in answers if a[2] not in versions or a[3] != revisions[i]]
        assert not wrong, (i, wrong[:3])
        assert all(n >= 200 for n in counts.values()), (i, counts)
    canary = sum(a[2] == "3" for a in spans[1])
    share = canary / len(spans[1])
    assert abs(share - 0.1) < 5 * (0.1 * 0.9 / len(spans[1])) ** 0.5, share
    # the same bytes for the same rows, whichever revision a version answers in
    texts = {}
    for _, _, version, _, body, outputs in load.answers:
        texts.setdefault((version, body), set()).add(outputs)
    assert all(len(seen) == 1 for seen in texts.values())
    before, after = ({a[4]: a[5] for a in span if a[2] == "2"} for span in (spans[0], spans[3]))
    assert before == after and len(before) == len(BODIES)
    assert len({texts[("1", 0)].pop(), texts[("2", 0)].pop(), texts[("3", 0)].pop()}) == 3


def test_shadow_and_traffic_under_load(new_server):
    """Forty changes of every kind in a row: each answer is of one revision, as a whole."""
    server = new_server()
    for intercept in (-9, -8, -7):
        serving.register(server, files=serving.package(intercept))
    serving.deploy(server, "models:/sepsis/1", project={})
    load = Load(server.port)
    load.start()
    roles = {1: {"1"}}  # revision -> who may answer

    def change(verb, versions, **body):
        revision = must(server, "POST", f"{BASE}/{verb}", body)["revision"]
        roles[revision] = versions
        sent = time.monotonic()
        answer = must(server, "POST", "/v2/models/sepsis/infer", json.loads(BODIES[0]))
        assert answer["parameters"]["revision"] == revision and answer["model_version"] in versions, sent

    for _ in range(5):
        change("shadow", {"1"}, model="models:/sepsis/2")
        change("deploy", {"1", "3"}, model="models:/sepsis/3", canary=0.5)
        change("traffic", {"1", "3"}, canary=0.9)
        change("shadow", {"1", "3"}, off=True)
        change("promote", {"3"})
        change("rollback", {"1"})
        change("rollback", {"3"}, revision=max(roles) - 1)
        change("deploy", {"1"}, model="models:/sepsis/1")
    load.stopped.set()
    load.join()
    assert not load.failures, load.failures
    assert all(a[1] == 200 for a in load.answers)
    wrong = [a for a in load.answers if a[3] in roles and a[2] not in roles[a[3]]]
    assert not wrong, wrong[:3]
    assert len({a[3] for a in load.answers}) > 20


def own_kb(server):
    """Memory that is the server's own: without the log's ring (shared, of fixed size), and without the join, which keeps every answer."""
    anonymous = next(int(line.split()[1]) for line in pathlib.Path(f"/proc/{server.pid}/status").read_text().splitlines() if "RssAnon" in line)
    metrics = serving.request(server, "GET", "/metrics")[1].decode()
    return anonymous - int(re.search(r"^gyre_join_bytes (\d+)$", metrics, re.M).group(1)) // 1024


LONG = os.environ.get("GYRE_LONG") == "1"
DEPLOYS, SECONDS = (20, 60) if LONG else (5, 8)
ROLES = ("stable", "canary")


@pytest.mark.timeout(900)
def test_deploys_canaries_promotes_and_rollbacks(new_server):
    """Deploys, canary steps, two candidates at once, promotes and rollbacks at 64 connections: no answer that is not 200, none that is of
    a revision which was replaced before the request was sent, or of a version that takes no part; and memory comes back to its level."""
    server = new_server()
    for intercept in (-9, -8, -7):
        serving.register(server, files=serving.package(intercept))
    serving.deploy(server, "models:/sepsis/1", project={})
    for turn in range(200 if LONG else 0):  # fills the caches of the store, which are bounded and grow with the number of revisions
        must(server, "POST", f"{BASE}/shadow", {"model": "models:/sepsis/2"})
        must(server, "POST", f"{BASE}/shadow", {"off": True})
    before = own_kb(server)
    load = Load(server.port, 64)
    begun = time.monotonic()
    load.start()
    changes = []  # (returned, revision, who may answer)

    def change(verb, **body):
        answer = must(server, "POST", f"{BASE}/{verb}", body)
        changes.append((time.monotonic(), answer["revision"],
                        {str(w["version"]) for w in answer["config"]["weights"] if w["role"] in ROLES and w["weight"] > 0}))
        time.sleep(pause)  # the duration under test, not a synchronisation

    pause = SECONDS / (DEPLOYS * 7)
    resident = []
    for turn in range(DEPLOYS):
        stable, one, two = (str(1 + (turn + i) % 3) for i in range(3))
        change("deploy", model=f"models:/sepsis/{stable}")
        change("deploy", model=f"models:/sepsis/{one}", canary=0.1)
        change("traffic", canary=0.4)
        change("traffic", shares={one: 0.3, two: 0.3})
        change("traffic", shares={one: None, two: 0.6})
        change("promote", version=int(two))
        change("rollback")
        resident.append(own_kb(server))
    time.sleep(max(0, SECONDS - (time.monotonic() - begun)))
    load.stopped.set()
    load.join()
    assert not load.failures, load.failures
    assert all(a[1] == 200 for a in load.answers), [a for a in load.answers if a[1] != 200][:3]
    may = {revision: who for _, revision, who in changes}
    wrong = [a for a in load.answers if a[3] in may and a[2] not in may[a[3]]]
    assert not wrong, wrong[:3]
    late, at = [], -1  # sent after the newest change returned, answered by an older revision
    for answer in sorted(load.answers, key=lambda a: a[0]):
        while at + 1 < len(changes) and changes[at + 1][0] <= answer[0]:
            at += 1
        if at >= 0 and answer[3] < changes[at][1]:
            late.append(answer)
    assert not late, late[:3]
    assert len(may) == 7 * DEPLOYS and len(load.answers) > 200 * len(ROLES)
    print(f"{len(load.answers)} answers, {len(changes)} changes in {time.monotonic() - begun:.0f} s, memory {before} .. {resident[-1]} kB")
    # what each change loads goes again; a sanitizer keeps what was freed
    # buffers of threads come with the first load, and malloc keeps the tables that the join's index outgrew: some 16 bytes a prediction,
    # with changes and without
    level = before + 16384 + (len(load.answers) * 16 // 1024 if LONG else 0)
    assert support.sanitized() or min(resident[-3:]) < level * 1.25, (before, resident)
