# SPDX-License-Identifier: Apache-2.0
"""A disk that fills up under load: clear errors, nothing acknowledged is lost, and work goes on when there is room again."""

import json
import os
import sqlite3
import threading

import serving

MLFLOW = serving.MLFLOW


def fill(where, leave_kb):
    """A file that takes all the room but so much; its path."""
    path = where / "filler"
    at = os.statvfs(where)
    with open(path, "wb") as out:
        os.posix_fallocate(out.fileno(), 0, max(4096, at.f_bavail * at.f_frsize - leave_kb * 1024))
    return path


class Client(threading.Thread):
    """Logs batches to a run of its own, and writes down what was acknowledged."""

    def __init__(self, server, number):
        super().__init__()
        self.server, self.number = server, number
        self.run_id = serving.must(server, "POST", MLFLOW + "/runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
        self.acknowledged, self.refused, self.stop, self.odd = [], [], threading.Event(), []

    def run(self):
        step = 0
        while not self.stop.is_set():
            metrics = [{"key": f"m{k}", "value": step + k, "timestamp": step, "step": step} for k in range(200)]
            body = {"run_id": self.run_id, "metrics": metrics, "tags": [{"key": f"t{step % 50}", "value": "x" * 4000}]}
            status, answer, _ = serving.request(self.server, "POST", MLFLOW + "/runs/log-batch", body)
            if status == 200:
                self.acknowledged.append(step)
            else:
                self.refused.append((status, answer))
            step += 1


def test_a_disk_that_fills_up_loses_nothing_acknowledged(new_server, small_disk):
    server = new_server(home=small_disk / "home")
    serving.serve(server)
    clients = [Client(server, n) for n in range(4)]
    filler = fill(small_disk, 6000)
    for c in clients:
        c.start()
    for c in clients: # until each has been told
        while not c.refused and c.is_alive():
            c.join(0.05)
    status, _, _ = serving.request(server, "GET", MLFLOW + "/experiments/get?experiment_id=0")
    assert status == 200 # reading goes on
    filler.unlink()
    before = [len(c.acknowledged) for c in clients]
    for c, n in zip(clients, before): # and writing, when there is room
        while len(c.acknowledged) <= n + 2 and c.is_alive():
            c.join(0.05)
    for c in clients:
        c.stop.set()
    for c in clients:
        c.join()

    told = [answer for c in clients for answer in c.refused]
    assert {status for status, _ in told} <= {503, 507}
    for _, answer in told:
        assert answer["error_code"] in ("RESOURCE_EXHAUSTED", "TEMPORARILY_UNAVAILABLE")
        assert "full" in json.dumps(answer) or "space" in json.dumps(answer), answer
    server.kill()
    server.start()
    for c in clients:
        got = serving.must(server, "GET", MLFLOW + f"/metrics/get-history?run_id={c.run_id}&metric_key=m199")["metrics"]
        steps = {m["step"] for m in got}
        assert set(c.acknowledged) <= steps, "acknowledged and lost"
        with sqlite3.connect(server.home / "gyre.db") as db: # each batch whole or not at all
            seq = db.execute("SELECT seq FROM runs WHERE id = ?", (c.run_id,)).fetchone()[0]
            counts = {n for n, in db.execute("SELECT COUNT(*) FROM metrics WHERE run = ? GROUP BY step", (seq,))}
            assert counts == {200}
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_nearly_full_disk_is_not_ready_before_writes_fail(new_server, small_disk):
    low, roomy = new_server(home=small_disk / "home"), new_server()
    status, answer, _ = serving.request(low, "GET", "/v2/health/ready")
    assert status == 503 and "disk" in json.dumps(answer if isinstance(answer, dict) else answer.decode()), answer
    serving.must(low, "POST", MLFLOW + "/runs/create", {"experiment_id": "0"}) # it still writes
    assert serving.request(roomy, "GET", "/v2/health/ready")[0] == 200
