# SPDX-License-Identifier: Apache-2.0
"""Tracking of `gyre server` beside `mlflow server` on SQLite, in one run: the same requests over keep-alive connections.

    python tests/bench/bench_track.py [--seconds 5] [--runs 30000] [--points 1000000] [--part writes|reads] [--mlflow PATH/TO/mlflow]

First the writes on fresh homes (batches of 1000 metrics, 32 clients with a metric a request, one client alone beside the rate
at which the disk syncs, runs made and finished), time to be ready and idle memory; then, on databases filled by SQL, searches over
30,000 runs x 20 metrics x 20 params x 5 tags and a history of 1,000,000 points. `mlflow server` runs with 1 worker and with its
default. The clients are processes of Python: they, too, take the CPU. Prints one JSON document and a table of ratios.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import bench_search  # noqa: E402
import support  # noqa: E402

M = "/api/2.0/mlflow"
HISTORY = "f" * 32


class Client:
    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)

    def call(self, method, path, body=None):
        return json.loads(self.send(method, path, json.dumps(body) if body is not None else None))

    def send(self, method, path, text):
        self.connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {data[:300]}")
        return data

    def run(self):
        return self.call("POST", M + "/runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]["run_id"]


# ---- writes ----

def one_metric(client, run_id, i):
    client.call("POST", M + "/runs/log-metric", {"run_id": run_id, "key": "loss", "value": i * 0.5, "timestamp": i, "step": i})


def prepare(keys):
    """A batch of 1000 with a place for the number of the request in each time and step: what the client computes is not timed."""
    points = ",".join(f'{{"key":"m{k % keys}","value":{k * 0.5},"timestamp":#{k:03d},"step":#{k:03d}}}' for k in range(1000))
    return f'{{"run_id":"RUN","metrics":[{points}]}}'


BATCH, WIDE_BATCH = prepare(10), prepare(1000)


def batch(client, run_id, i, text=BATCH):
    client.send("POST", M + "/runs/log-batch", text.replace("#", str(i + 1)).replace("RUN", run_id))


def wide_batch(client, run_id, i):
    batch(client, run_id, i, WIDE_BATCH)


def create_and_finish(client, run_id, i):
    made = client.run()
    client.call("POST", M + "/runs/update", {"run_id": made, "status": "FINISHED", "end_time": 2})


def loop(port, work, threads, end, out):
    """Clients of one process, each on its own run and connection."""
    counts, failures = [0] * threads, []

    def one(n):
        try:
            client = Client(port)
            run_id = client.run()
            while time.monotonic() < end:
                work(client, run_id, counts[n])
                counts[n] += 1
        except Exception as failed:  # noqa: BLE001
            failures.append(repr(failed))

    running = [threading.Thread(target=one, args=(n,)) for n in range(threads)]
    for t in running:
        t.start()
    for t in running:
        t.join()
    out.put((sum(counts), failures))


def rate(port, work, clients, seconds):
    """Requests a second of all clients together, eight to a process; failed requests end their client and are counted."""
    out = multiprocessing.Queue()
    started = time.monotonic()
    processes = [multiprocessing.Process(target=loop, args=(port, work, min(8, clients), started + seconds, out)) for _ in range((clients + 7) // 8)]
    for p in processes:
        p.start()
    results = [out.get() for _ in processes]
    for p in processes:
        p.join()
    took = time.monotonic() - started
    failures = [f for _, failed in results for f in failed]
    if failures and sum(n for n, _ in results) == 0:
        raise RuntimeError(failures[0])
    if failures:
        print(f"{len(failures)} of {clients} clients of {work.__name__} ended early: {failures[0][:200]}", file=sys.stderr)
    return sum(n for n, _ in results) / took


def writes(port, seconds):
    return {
        "log_batch_1000_of_10_keys": round(rate(port, batch, 1, seconds), 2),
        "log_batch_1000_of_1000_keys": round(rate(port, wide_batch, 1, seconds), 2),
        "log_batch_1000_8_clients": round(rate(port, batch, 8, seconds), 2),
        "log_metric_32_clients": round(rate(port, one_metric, 32, seconds), 1),
        "log_metric_1_client": round(rate(port, one_metric, 1, seconds), 1),
        "create_and_finish_run": round(rate(port, create_and_finish, 1, seconds), 1),
    }


def fdatasync_rate(folder, seconds=2):
    """Appends of 4 KiB a second, each synced: what a commit can not be faster than."""
    path = pathlib.Path(folder) / "sync"
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    end, n = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        os.write(fd, b"x" * 4096)
        os.fdatasync(fd)
        n += 1
    os.close(fd)
    path.unlink()
    return round(n / seconds, 1)


# ---- reads ----

SEARCHES = {
    "default order": ("", []),
    "metric > (10 %), by a metric": ("metrics.m1 > 0.9", ["metrics.m3 DESC"]),
    "param = (20 %), by a param": ("params.p0 = 'model-3'", ["params.p5 ASC"]),
    "param =, metric >, tag =, by a metric": ("params.p0 = 'model-3' AND metrics.m1 > 0.5 AND tags.team = 'team-1'", ["metrics.m3 DESC"]),
    "start_time >, by end_time": ("attributes.start_time > 1700000500000", ["attributes.end_time DESC"]),
}


def median_ms(call, rounds):
    call()
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1000)
    return round(statistics.median(times), 2)


def history(client):
    """All points, in the pages of the client."""
    n, token = 0, ""
    while True:
        answer = client.call("GET", f"{M}/metrics/get-history?run_id={HISTORY}&metric_key=h&max_results=25000&page_token={token}")
        n += len(answer.get("metrics", []))
        token = answer.get("next_page_token", "").replace("=", "%3D").replace("+", "%2B")
        if not token:
            return n


def reads(port, rounds, points):
    client = Client(port)
    out = {}
    for name, (text, order) in SEARCHES.items():
        body = {"experiment_ids": ["0"], "filter": text, "order_by": order, "max_results": 100}
        out["search: " + name] = median_ms(lambda: client.call("POST", M + "/runs/search", body), rounds)  # noqa: B023
    out["search: page of 1000"] = median_ms(lambda: client.call("POST", M + "/runs/search", {"experiment_ids": ["0"], "max_results": 1000}), 3)
    started = time.perf_counter()
    if history(client) != points:
        raise RuntimeError("points are missing")
    out["history of 1,000,000, in pages"] = round((time.perf_counter() - started) * 1000, 1)
    path = f"/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?run_ids={HISTORY}&metric_key=h&max_results=320"
    out["320 of 1,000,000 points"] = median_ms(lambda: client.call("GET", path), rounds)
    return out


def history_gyre(path, points):
    db = sqlite3.connect(path)
    db.execute("INSERT INTO runs (id, experiment_id, name, user_id, status, start_ms, artifact_uri, actor, created_us) VALUES (?, 0, 'h', 'u', "
               "'FINISHED', 1, '', 'bench', 0)", (HISTORY,))
    run = db.execute("SELECT seq FROM runs WHERE id = ?", (HISTORY,)).fetchone()[0]
    key = db.execute("INSERT INTO metric_keys (name) VALUES ('h')").lastrowid
    db.execute(bench_search.SERIES.format(a=0, b=points - 1) + "INSERT INTO metrics (run, key, ts_ms, step, value, is_nan) SELECT ?, ?, i, i, i * 0.5, 0 "
               "FROM s", (run, key))
    db.execute("INSERT INTO latest_metrics (run, key, step, ts_ms, value, is_nan, first_step, first_ms, n_steps) VALUES (?, ?, ?, ?, 1, 0, 0, 0, ?)",
               (run, key, points - 1, points - 1, points))
    db.commit()
    db.close()


def history_mlflow(path, points):
    db = sqlite3.connect(path)
    db.execute("INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time, source_version, "
               "lifecycle_stage, artifact_uri, experiment_id) VALUES (?, 'h', 'UNKNOWN', '', '', 'u', 'FINISHED', 1, 2, '', 'active', '', 0)", (HISTORY,))
    db.execute(bench_search.SERIES.format(a=0, b=points - 1) + "INSERT INTO metrics (run_uuid, key, value, timestamp, step, is_nan) SELECT ?, 'h', "
               "i * 0.5, i, i, 0 FROM s", (HISTORY,))
    db.execute("INSERT INTO latest_metrics (run_uuid, key, value, timestamp, step, is_nan) VALUES (?, 'h', 1, ?, ?, 0)", (HISTORY, points - 1, points - 1))
    db.commit()
    db.close()


# ---- processes ----

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
            time.sleep(0.002)
    raise RuntimeError("the server did not come up")


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


class Gyre:
    def __init__(self, folder, name):
        self.home = pathlib.Path(folder) / f"gyre-{name}"
        self.database = self.home / "gyre.db"
        self.fill, self.fill_history = bench_search.fill_gyre, history_gyre

    def start(self):
        started = time.monotonic()
        self.server = support.Server(self.home).start()
        wait_ready(self.server.port, self.server.process)
        self.ready, self.port, self.pid = time.monotonic() - started, self.server.port, self.server.pid
        return self

    def stop(self):
        self.server.stop()


class Mlflow:
    def __init__(self, folder, name, program, workers):
        self.root = pathlib.Path(folder) / f"mlflow-{name}"
        self.root.mkdir()
        self.database = self.root / "mlflow.db"
        self.fill, self.fill_history = bench_search.fill_mlflow, history_mlflow
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.command = [program, "server", "--host", "127.0.0.1", "--port", str(self.port), "--backend-store-uri", f"sqlite:///{self.database}",
                        "--artifacts-destination", str(self.root / "artifacts")] + (["--workers", str(workers)] if workers else [])

    def start(self):
        started = time.monotonic()
        self.process = subprocess.Popen(self.command, cwd=self.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        wait_ready(self.port, self.process)
        self.ready, self.pid = time.monotonic() - started, self.process.pid
        return self

    def stop(self):
        end_family(self.process)


def bench_writes(make, seconds):
    server = make("writes").start()
    try:
        out = {"ready_s": round(server.ready, 3), "idle_mb": tree_rss_mb(server.pid)}
        warm_up(server.port)
        out.update(writes(server.port, seconds))
        return out
    finally:
        server.stop()


def bench_reads(make, runs, points, rounds):
    server = make("reads").start()
    server.stop()
    server.fill(server.database, runs)
    server.fill_history(server.database, points)
    server.start()
    try:
        warm_up(server.port)
        return reads(server.port, rounds, points)
    finally:
        server.stop()


def ratio(key, mine, theirs):
    better_when_less = key.startswith(("search", "history", "320", "ready", "idle"))
    return round(theirs / mine if better_when_less else mine / theirs, 1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--runs", type=int, default=30000)
    parser.add_argument("--points", type=int, default=1000000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--part", choices=["writes", "reads", "all"], default="all")
    parser.add_argument("--mlflow", default=shutil.which("mlflow"))
    options = parser.parse_args()
    out = {}
    with tempfile.TemporaryDirectory() as folder:
        makers = {"gyre": lambda name: Gyre(folder, name)}
        if options.mlflow:
            makers["mlflow, 1 worker"] = lambda name: Mlflow(folder, name + "-1", options.mlflow, 1)
            makers["mlflow, default"] = lambda name: Mlflow(folder, name + "-default", options.mlflow, None)
        out["fdatasync_per_s"] = fdatasync_rate(folder)
        for name, make in makers.items():
            out[name] = bench_writes(make, options.seconds) if options.part != "reads" else {}
        for name, make in makers.items():
            out[name].update(bench_reads(make, options.runs, options.points, options.rounds) if options.part != "writes" else {})
        out["fdatasync_per_s_after"] = fdatasync_rate(folder)
    others = [name for name in makers if name != "gyre"]
    print("| what | gyre | " + " | ".join(f"{name} | ratio" for name in others) + " |")
    print("|---|---:|" + "---:|---:|" * len(others))
    for key, value in out["gyre"].items():
        print(f"| {key} | {value} | " + " | ".join(f"{out[o].get(key)} | {ratio(key, value, out[o][key])}" for o in others) + " |")
    print(json.dumps(out, indent=2))


if __name__ == "__main__":
    main()
