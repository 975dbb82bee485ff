# SPDX-License-Identifier: Apache-2.0
"""kill -9 of `gyre server` under write load, over and over on one home.

Clients write runs, metrics and artifacts through the MLflow routes and ask for predictions. After each answer they put
a line into a ledger of their own and sync it before they ask again. Each round kills the server at a random moment, starts it
anew and compares: what was acknowledged is there, and what is there was acknowledged or in flight when the server died.

3 rounds; 20 with GYRE_LONG=1.
"""

import hashlib
import http.client
import json
import os
import random
import re
import sqlite3
import threading
import time
import urllib.parse

import pytest
import serving
import support

ROUNDS = 20 if os.environ.get("GYRE_LONG") == "1" else 3
WANTED = 1000           # acknowledged records a round, at least
BATCH = 100             # metrics a request
MLFLOW = "/api/2.0/mlflow"


class Refused(AssertionError):
    """The server answered, and not with what a write that it took gets: that is a failure whatever the moment."""


class Client:
    """One keep-alive connection. A broken one is a ConnectionError: the server is gone."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def send(self, method, path, body=None, content_type="application/json"):
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        try:
            self.connection.request(method, path, data, {"Content-Type": content_type} if data is not None else {})
            reply = self.connection.getresponse()
            return reply.status, reply.read()
        except (http.client.HTTPException, OSError) as gone:
            raise ConnectionError(str(gone)) from gone

    def json(self, method, path, body=None):
        status, data = self.send(method, path, body)
        if status != 200:
            raise Refused(f"{method} {path}: {status} {data[:300]!r}")
        return json.loads(data or b"{}")

    def query(self, route, **values):
        return self.json("GET", route + "?" + urllib.parse.urlencode(values))

    def close(self):
        self.connection.close()


class Writer:
    """One thread's load of one kind. `acked` is what its ledger says, `maybe` what was in flight when a server died, `stayed`
    what of that was found later: it must not go away again."""

    name = None
    weight = 1          # records an answer acknowledges

    def __init__(self, folder, number, setup):
        self.setup = setup
        self.chance = random.Random(f"{self.name}/{number}")
        self.number = number
        self.round = self.count = 0
        self.ledger = open(folder / f"{self.name}-{number}.ledger", "ab", buffering=0)
        self.acked, self.maybe, self.stayed = {}, {}, {}
        self.failure = None
        self.records = 0

    def name_next(self):
        return f"{self.round}.{self.number}-{self.count}"

    def run(self, port):
        client = Client(port)
        try:
            while True:
                self.count += 1
                key, value = self.prepare()
                self.maybe[key] = value
                found = self.write(client, key, value)
                self.ledger.write(json.dumps([key, found]).encode() + b"\n")
                os.fdatasync(self.ledger.fileno())
                del self.maybe[key]
                self.acked[key] = found
                self.records += self.weight
        except ConnectionError:
            pass
        except Exception as failure:     # noqa: BLE001 - told to the test, which runs in another thread
            self.failure = failure
        finally:
            client.close()

    def check_ledger(self):
        """What the ledger on disk says is what this thread remembers."""
        with open(self.ledger.name, encoding="utf-8") as lines:
            assert dict(map(tuple_of, lines)) == self.acked


def tuple_of(line):
    key, value = json.loads(line)
    return key, value


class Runs(Writer):
    """Each write creates a run named by the client; the server gives its id."""

    name = "runs"

    def prepare(self):
        return self.name_next(), None

    def write(self, client, key, value):
        body = {"experiment_id": self.setup["experiment"], "run_name": key, "start_time": 1, "tags": [{"key": "round", "value": str(self.round)}],
                "user_id": "ledger"}
        return client.json("POST", f"{MLFLOW}/runs/create", body)["run"]["info"]["run_id"]

    @staticmethod
    def found(client, setup, number):
        """{name: id} of every run of this round on the server."""
        found, token = {}, None
        while True:
            body = {"experiment_ids": [setup["experiment"]], "max_results": 10000, "filter": f"tags.round = '{number}'"}
            page = client.json("POST", f"{MLFLOW}/runs/search", dict(body, **({"page_token": token} if token else {})))
            for run in page.get("runs", []):
                tags = {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}
                assert tags["mlflow.runName"] == run["info"]["run_name"], "a run is there by half"
                assert run["info"]["run_name"] not in found, "a run is there twice"
                found[run["info"]["run_name"]] = run["info"]["run_id"]
            token = page.get("next_page_token")
            if not token:
                return found


class Metrics(Writer):
    """Each write is a batch of points of one metric of the thread's own run."""

    name = "metrics"
    weight = BATCH

    def prepare(self):
        return self.name_next(), None

    def write(self, client, key, value):
        first = self.count * BATCH
        points = [{"key": f"m{self.round}", "value": float(i), "timestamp": 1 + i, "step": i} for i in range(first, first + BATCH)]
        client.json("POST", f"{MLFLOW}/runs/log-batch", {"run_id": self.setup["metric_runs"][self.number], "metrics": points})

    @staticmethod
    def found(client, setup, number):
        found = {}
        for thread, run in enumerate(setup["metric_runs"]):
            steps, token = [], None
            while True:
                page = client.query(f"{MLFLOW}/metrics/get-history", run_id=run, metric_key=f"m{number}", max_results=25000,
                                    **({"page_token": token} if token else {}))
                for point in page.get("metrics", []):
                    assert float(point["value"]) == int(point["step"]) == int(point["timestamp"]) - 1
                    steps.append(int(point["step"]))
                token = page.get("next_page_token")
                if not token:
                    break
            assert len(steps) == len(set(steps)), "a point is there twice"
            batches = {}
            for step in steps:
                batches.setdefault(step // BATCH, []).append(step)
            for count, members in batches.items():
                assert len(members) == BATCH, f"a batch is there by half: {len(members)} of {BATCH}"
                found[f"{number}.{thread}-{count}"] = None
        return found


class Artifacts(Writer):
    """Each write uploads a file of the thread's own run."""

    name = "artifacts"

    def prepare(self):
        data = self.chance.randbytes(self.chance.choice([0, 10, 1000, 70000]))
        self.data = data
        return self.name_next() + ".bin", hashlib.sha256(data).hexdigest()

    def write(self, client, key, value):
        path = f"/api/2.0/mlflow-artifacts/artifacts/{self.setup['artifact_folder']}/{self.round}/{key}"
        status, reply = client.send("PUT", path, self.data, "application/octet-stream")
        if status != 200:
            raise Refused(f"PUT {path}: {status} {reply[:300]!r}")
        return value

    @staticmethod
    def found(client, setup, number):
        base, found = "/api/2.0/mlflow-artifacts/artifacts", {}
        folder = f"{setup['artifact_folder']}/{number}"
        listed = client.query(base, path=folder)
        for file in listed.get("files", []):
            status, data = client.send("GET", f"{base}/{folder}/{file['path']}")
            assert status == 200 and len(data) == int(file.get("file_size", 0))
            found[file["path"]] = hashlib.sha256(data).hexdigest()
        return found


class Predictions(Writer):
    """Each write asks for a prediction; its id comes with the answer."""

    name = "predictions"

    def prepare(self):
        return self.name_next(), None

    def write(self, client, key, value):
        temperature = 35 + self.count % 700 / 100
        body = {"id": f"<{key}>", "inputs": [{"name": name, "shape": [1, 1], "datatype": "FP64", "data": [x]}
                                      for name, x in (("HR", 80 + self.number), ("Resp", 20), ("Temp", temperature))]}
        answer = client.json("POST", "/v2/models/sepsis/infer", body)
        assert answer["id"] == f"<{key}>"
        return [answer["parameters"]["prediction_id"], temperature]

    @staticmethod
    def found(client, setup, number):
        """Traces of what was acknowledged. What else the log holds is asked of its files, at the end."""
        found = {}
        for writer in setup["predictors"]:
            for key, (prediction, _) in writer.acked.items():
                if round_of(key) == number:
                    trace = client.json("GET", f"/api/gyre/v1/trace/{prediction}")
                    assert trace["prediction_id"] == prediction
                    found[key] = [prediction, trace["inputs"]["Temp"]]
        return found


def check_prediction_files(home, writers):
    """Every prediction that was answered is in the log's files exactly once, and nothing else is but what was in flight."""
    times = {}
    for path in sorted((home / "log").iterdir()):
        for key in re.findall(rb"<\d+\.\d+-\d+>", path.read_bytes()):
            times[key[1:-1].decode()] = times.get(key[1:-1].decode(), 0) + 1
    acked = {key for w in writers for key in w.acked}
    maybe = {key for w in writers for key in w.maybe}
    assert acked <= times.keys() <= acked | maybe
    assert all(n == 1 for n in times.values())


KINDS = [(Runs, 3), (Metrics, 3), (Artifacts, 2), (Predictions, 3)]


def prepare_server(server, client):
    """What the load stands on: an endpoint to ask, an experiment, runs to write to."""
    serving.serve(server)
    experiment = client.json("POST", f"{MLFLOW}/experiments/create", {"name": "kill9"})["experiment_id"]

    def run(name):
        made = client.json("POST", f"{MLFLOW}/runs/create", {"experiment_id": experiment, "run_name": name, "start_time": 1})
        return made["run"]["info"]

    artifact_run = run("artifacts")
    assert artifact_run["artifact_uri"].startswith("mlflow-artifacts:/")
    return {"experiment": experiment, "metric_runs": [run(f"metrics {i}")["run_id"] for i in range(3)],
            "artifact_folder": artifact_run["artifact_uri"].split(":", 1)[1].strip("/") + "/load"}


def load_until_killed(server, writers, chance):
    """Start the load, kill the server at a random moment after the first wanted answers, give the number of answers."""
    before = sum(w.records for w in writers)
    threads = [threading.Thread(target=w.run, args=(server.port,)) for w in writers]
    for thread in threads:
        thread.start()
    begun = time.monotonic()
    moment = chance.uniform(0.05, 2.0)          # the moment of the crash is what is random here
    while time.monotonic() - begun < 60 and all(w.failure is None for w in writers):
        enough = sum(w.records for w in writers) - before >= WANTED
        if enough and time.monotonic() - begun >= moment:
            break
        time.sleep(0.002)
    server.kill()
    for thread in threads:
        thread.join(90)
        assert not thread.is_alive()
    for writer in writers:
        if writer.failure is not None:
            raise writer.failure
    return sum(w.records for w in writers) - before, time.monotonic() - begun


def round_of(key):
    return int(key.split(".")[0])


def compare(client, setup, writers, number):
    """Ledgers and server, of one round: equal, but for what was in flight."""
    for kind, _ in KINDS:
        mine = [w for w in writers if isinstance(w, kind)]
        found = kind.found(client, setup, number)
        for writer in mine:
            for key, value in (writer.acked | writer.stayed).items():
                if round_of(key) == number:
                    there = found.get(key, "gone")
                    assert there == value, f"{kind.name} {key} was acknowledged as {value} and is {there}"
            writer.stayed.update({key: found[key] for key in writer.maybe if key in found})
        known = {key for w in mine for key in (*w.acked, *w.maybe)}
        assert found.keys() <= known, f"{kind.name}: nobody wrote {sorted(found.keys() - known)[:5]}"


def check_database(home):
    with sqlite3.connect(f"file:{home}/gyre.db?mode=ro", uri=True) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.timeout(60 * ROUNDS)
def test_what_was_acknowledged_survives_kill_9(tmp_path, record_property):
    server = support.Server(tmp_path / "home")
    seed = int.from_bytes(os.urandom(4), "big")
    chance = random.Random(seed)
    writers, rounds = [], []
    try:
        server.start()
        client = Client(server.port)
        setup = prepare_server(server, client)
        client.close()
        writers = [kind(tmp_path, number, setup) for kind, threads in KINDS for number in range(threads)]
        setup["predictors"] = [w for w in writers if isinstance(w, Predictions)]
        for number in range(ROUNDS):
            for writer in writers:
                writer.round = number
            rounds.append(load_until_killed(server, writers, chance))
            server.start()
            client = Client(server.port)
            compare(client, setup, writers, number)
            client.close()
            check_database(server.home)
            assert rounds[-1][0] >= WANTED, f"only {rounds[-1][0]} records in a round"
        client = Client(server.port)
        for number in range(ROUNDS):        # what survived one crash survived those after it
            compare(client, setup, writers, number)
        client.close()
        server.stop()
        check_database(server.home)
        check_prediction_files(server.home, setup["predictors"])
        for writer in writers:
            writer.check_ledger()
    finally:
        server.kill()
        for writer in writers:
            writer.ledger.close()
    totals = {kind.name: sum(w.records for w in writers if isinstance(w, kind)) for kind, _ in KINDS}
    record_property("acknowledged", json.dumps(totals))
    print(f"seed {seed}: {len(rounds)} rounds at {[f'{s:.2f}' for _, s in rounds]} s, acknowledged {totals}")
