# SPDX-License-Identifier: Apache-2.0
"""Tracking throughput of `gyre server` beside `mlflow server` on SQLite: the same requests over keep-alive connections.

    python tests/bench/bench_track.py [--seconds 5] [--mlflow PATH/TO/mlflow]

Prints one JSON document: requests a second for one metric a request and for batches of 1000, with 1 and 8 clients,
time and memory to be ready, and the ratios.
"""

import argparse
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import support  # noqa: E402

M = "/api/2.0/mlflow"


class Client:
    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def call(self, method, path, body=None):
        self.connection.request(method, path, json.dumps(body) if body is not None else None,
                                {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {data[:300]}")
        return json.loads(data)

    def run(self):
        return self.call("POST", M + "/runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]["run_id"]


def one_metric(client, run_id, i):
    client.call("POST", M + "/runs/log-metric", {"run_id": run_id, "key": "loss", "value": i * 0.5, "timestamp": i, "step": i})


def batch(client, run_id, i):
    client.call("POST", M + "/runs/log-batch", {"run_id": run_id, "metrics": [
        {"key": f"m{k % 10}", "value": k * 0.5, "timestamp": i * 1000 + k, "step": i * 1000 + k} for k in range(1000)]})


def search(client, run_id, i):
    client.call("POST", M + "/runs/search", {"experiment_ids": ["0"], "filter": "metrics.loss > 1", "max_results": 100})


def rate(port, work, clients, seconds):
    """Requests a second of all clients together, each on its own run and connection."""
    counts = [0] * clients
    end = time.monotonic() + seconds
    failures = []

    def loop(n):
        try:
            client = Client(port)
            run_id = client.run()
            while time.monotonic() < end:
                work(client, run_id, counts[n])
                counts[n] += 1
        except Exception as failed:  # noqa: BLE001
            failures.append(failed)

    threads = [threading.Thread(target=loop, args=(n,)) for n in range(clients)]
    started = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failures:
        raise failures[0]
    return sum(counts) / (time.monotonic() - started)


def measure(port, seconds):
    out = {}
    for clients in (1, 8):
        out[f"log_metric_{clients}"] = round(rate(port, one_metric, clients, seconds), 1)
        out[f"log_batch_1000_{clients}"] = round(rate(port, batch, clients, seconds), 2)
    out["search_runs_1"] = round(rate(port, search, 1, seconds), 1)
    return out


def family(pid):
    """A process and all its descendants."""
    found, todo = [], [pid]
    while todo:
        at = todo.pop()
        found.append(at)
        for task in pathlib.Path(f"/proc/{at}/task").glob("*/children"):
            try:
                todo += [int(c) for c in task.read_text().split()]
            except OSError:
                pass  # it has ended
    return found


def tree_rss_mb(pid):
    total = 0
    for at in family(pid):
        try:
            total += int(next(line.split()[1] for line in open(f"/proc/{at}/status") if line.startswith("VmRSS:")))
        except (OSError, StopIteration):
            pass
    return round(total / 1024, 1)


def end_family(process):
    """mlflow server leaves workers behind when only itself is ended."""
    members = family(process.pid)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for at in members:
            try:
                os.kill(at, number)
            except ProcessLookupError:
                pass
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            pass


def wait_ready(port, process, seconds=120):
    started = time.monotonic()
    while time.monotonic() - started < seconds and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                Client(port).call("GET", M + "/experiments/get?experiment_id=0")
                return
        except (OSError, RuntimeError, http.client.HTTPException):
            time.sleep(0.02)
    raise RuntimeError("mlflow server did not come up")


def warm_up(port, seconds=90):
    """Until 20 requests in a row, each on a connection of its own, are answered quickly: each worker of `mlflow server` loads
    Python at its first one."""
    end = time.monotonic() + seconds
    quick = 0
    while quick < 20 and time.monotonic() < end:
        started = time.monotonic()
        client = Client(port)
        client.call("POST", M + "/runs/search", {"experiment_ids": ["0"], "max_results": 1})
        one_metric(client, client.run(), 1)
        client.connection.close()
        quick = quick + 1 if time.monotonic() - started < 0.5 else 0


def bench_gyre(folder, seconds):
    started = time.monotonic()
    server = support.Server(pathlib.Path(folder) / "home").start()
    ready = time.monotonic() - started
    out = {"ready_s": round(ready, 3), "idle_mb": tree_rss_mb(server.pid)}
    warm_up(server.port)
    out.update(measure(server.port, seconds))
    server.stop()
    return out


def bench_mlflow(folder, seconds, program):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    root = pathlib.Path(folder) / "mlflow"
    root.mkdir()
    started = time.monotonic()
    process = subprocess.Popen([program, "server", "--host", "127.0.0.1", "--port", str(port), "--backend-store-uri",
                                f"sqlite:///{root}/mlflow.db", "--artifacts-destination", str(root / "artifacts")],
                               cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_ready(port, process)
        out = {"ready_s": round(time.monotonic() - started, 3), "idle_mb": tree_rss_mb(process.pid)}
        warm_up(port)
        out.update(measure(port, seconds))
        return out
    finally:
        end_family(process)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--mlflow", default=shutil.which("mlflow"))
    options = parser.parse_args()
    out = {}
    with tempfile.TemporaryDirectory() as folder:
        out["gyre"] = bench_gyre(folder, options.seconds)
        if options.mlflow:
            out["mlflow"] = bench_mlflow(folder, options.seconds, options.mlflow)
            out["ratio"] = {k: round(v / out["mlflow"][k], 2) for k, v in out["gyre"].items() if out["mlflow"].get(k)}
    print(json.dumps(out, indent=2))


if __name__ == "__main__":
    main()
