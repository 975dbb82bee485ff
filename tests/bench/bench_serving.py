#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Predictions over HTTP beside other model servers, in one run: the same 100 trees of depth 6 over 8 features in each.

    tests/bench/bench_serving.py [--rounds 3] [--seconds 3] [--connections 32] [--peers DIR] [--only NAME,...] [--work NAME,...] [--json FILE]

Servers take turns, workload by workload, each with one processor (--server-cpu) and the client (load.c) with the other (--client-cpu):

    floor            epoll_floor.c: raw epoll, a real HTTP parse, strtod over the body, a reply of the same shape; no model, log or metrics
    gyre             with prediction log and metrics          gyre-auth   and with logins: a token with every request
    fastapi          current FastAPI, uvicorn (uvloop, httptools), orjson, Booster.inplace_predict
    fastapi-onnx     the same with ONNX Runtime on the model that `gyre models export` wrote
    mlserver         MLServer with its XGBoost runtime        mlflow      `mlflow models serve`

Each row is a closed loop, then an open loop at half the rate that the closed one reached (requests due at fixed times, latency from when
they were due). CPU is what the server's processes used (schedstat of all threads; of processes that other peers start too), per request.
The peers live in virtual environments below --peers (fastapi/, mlserver/, mlflow/: whoever is not there is left out and named).
"""

import argparse
import array
import json
import os
import pathlib
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "tests" / "bench"))
import serve  # noqa: E402
import support  # noqa: E402

BENCH = support.BIN.parent / "tests" / "bench"
FEATURES = serve.FEATURES

FASTAPI = """
import sys, numpy as np
from fastapi import FastAPI, Request, Response
import orjson
app = FastAPI()
kind, path = sys.argv[2], sys.argv[3]
if kind == "xgboost":
    import xgboost
    booster = xgboost.Booster({"nthread": 1}); booster.load_model(path)
    predict = lambda x: booster.inplace_predict(x, validate_features=False)
else:
    import onnxruntime
    o = onnxruntime.SessionOptions(); o.intra_op_num_threads = o.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, o)
    names = [i.name for i in session.get_inputs()]  # one a column
    kind = np.float64 if "double" in session.get_inputs()[0].type else np.float32
    predict = lambda x: session.run(None, {n: x[:, i:i + 1].astype(kind) for i, n in enumerate(names)})[-1]

@app.post("/v2/models/m/infer")
async def infer(request: Request):
    body = orjson.loads(await request.body())
    one = body["inputs"][0]
    x = np.asarray(one["data"], dtype=np.float32).reshape(one["shape"])
    p = np.asarray(predict(x), dtype=np.float64)
    return Response(orjson.dumps({"model_name": "m", "outputs": [{"name": "probability", "shape": list(p.shape), "datatype": "FP64",
                    "data": p.ravel()}]}, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")

import uvicorn
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def family(pid):
    """The process and all that it started."""
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        try:
            for task in pathlib.Path(f"/proc/{one}/task").iterdir():
                todo += [int(c) for c in (task / "children").read_text().split()]
        except OSError:
            pass
    return found


class Peer:
    def __init__(self, name, pid, port, path, headers=(), process=None, stop=None):
        self.name, self.pid, self.port, self.path, self.headers, self.process, self.stop_it = name, pid, port, path, list(headers), process, stop

    def cpu_ns(self):
        total = 0
        for pid in family(self.pid):
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                try:
                    total += int((task / "schedstat").read_text().split()[0])
                except OSError:
                    pass
        return total

    def rss_mb(self):
        total = 0
        for pid in family(self.pid):
            for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS"):
                    total += int(line.split()[1])
        return total / 1024

    def load(self, options, seconds, body, rate, headers=()):
        command = ["taskset", "-c", str(options.client_cpu), str(BENCH / "load"), str(self.port), str(options.connections), str(seconds),
                   self.path, str(body), str(rate), *self.headers, *headers]
        before = self.cpu_ns()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        used = self.cpu_ns() - before
        row = json.loads(done.stdout) if done.stdout else {"requests": 0, "errors": 1}
        if not row["requests"] or row["errors"] or row["non_2xx"]:
            raise RuntimeError(f"{self.name}: {row} {done.stderr}")
        row["cpu_us"] = used / 1000 / row["requests"]
        return row

    def stop(self):
        if self.stop_it:
            self.stop_it()
        elif self.process:
            for pid in reversed(family(self.process.pid)):
                try:
                    os.kill(pid, 15)
                except OSError:
                    pass
            self.process.wait()


def pinned(options, command, **kwargs):
    return subprocess.Popen(["taskset", "-c", str(options.server_cpu), *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            text=True, **kwargs)


def wait_ready(url, body=None, seconds=120):
    end = time.monotonic() + seconds
    while True:
        try:
            request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
            urllib.request.urlopen(request, timeout=10).read()
            return
        except OSError as e:
            if time.monotonic() > end:
                raise RuntimeError(f"{url} does not answer: {e}") from e
            time.sleep(0.3)


def bodies(folder):
    rng = random.Random(2)
    made = {}
    for n in (1, 100, 10000):
        rows = [[round(rng.gauss(0, 1), 6) for _ in range(FEATURES)] for _ in range(n)]
        v2 = folder / f"v2-{n}.json"
        v2.write_text(json.dumps({"inputs": [{"name": "x", "shape": [n, FEATURES], "datatype": "FP32", "data": [v for r in rows for v in r]}]}))
        split = folder / f"split-{n}.json"
        split.write_text(json.dumps({"dataframe_split": {"columns": [f"x{i}" for i in range(FEATURES)], "data": rows}}))
        head = json.dumps({"inputs": [{"name": "x", "shape": [n, FEATURES], "datatype": "FP32",
                                       "parameters": {"binary_data_size": 4 * n * FEATURES}}], "parameters": {"binary_data_output": True}})
        raw = folder / f"binary-{n}.bin"
        raw.write_bytes(head.encode() + array.array("f", [v for r in rows for v in r]).tobytes())
        made[n] = {"v2": v2, "split": split, "binary": raw, "head": len(head)}
    return made


def pin(options, server):
    for task in pathlib.Path(f"/proc/{server.pid}/task").iterdir():
        subprocess.run(["taskset", "-cp", str(options.server_cpu), task.name], stdout=subprocess.DEVNULL, check=True)


def start_all(options, folder):
    peers, missing = [], []
    wanted = options.only.split(",")
    base = support.Server(folder / "home", ["--loops", "1"]).start()
    serve.deploy(base, folder)
    package = next((folder / "home" / "cache" / "models").iterdir())
    pin(options, base)
    model = package / "model.ubj"
    onnx = folder / "trees.onnx"
    support.run_gyre("models", "export", str(package), "-o", str(onnx), cwd=folder)
    (folder / "app.py").write_text(FASTAPI)
    if "floor" in wanted:
        process = pinned(options, [BENCH / "epoll_floor", "1"])
        peers.append(Peer("floor", process.pid, int(process.stdout.readline().rsplit(":", 1)[1]), serve.PATH, process=process))
    if "gyre" in wanted:
        peers.append(Peer("gyre", base.pid, base.port, serve.PATH, stop=base.stop))
    if "gyre-auth" in wanted:
        again = support.Server(folder / "home2", ["--loops", "1"]).start()
        serve.deploy(again, folder)
        again.stop()
        home = str(folder / "home2")
        support.run_gyre("user", "add", "bench", "--role", "operator", "--home", home, cwd=folder)
        token = support.run_json("token", "create", "bench", "--home", home, cwd=folder)["token"]
        again = support.Server(folder / "home2", ["--loops", "1", "--auth", "on"]).start()
        pin(options, again)
        peers.append(Peer("gyre-auth", again.pid, again.port, serve.PATH, [f"Authorization: Bearer {token}"], stop=again.stop))
    for name, kind, file in (("fastapi", "xgboost", model), ("fastapi-onnx", "onnx", onnx)):
        python = options.peers / "fastapi" / "bin" / "python"
        if name in wanted and python.exists():
            port = free_port()
            process = pinned(options, [python, folder / "app.py", port, kind, file], env={**os.environ, "OMP_NUM_THREADS": "1"})
            wait_ready(f"http://127.0.0.1:{port}{serve.PATH}", (folder / "v2-1.json").read_bytes())
            peers.append(Peer(name, process.pid, port, serve.PATH, process=process))
        elif name in wanted:
            missing.append(f"{name} (no {python})")
    if "mlserver" in wanted:
        binary = options.peers / "mlserver" / "bin" / "mlserver"
        if binary.exists():
            at = folder / "mlserver"
            at.mkdir()
            shutil.copy(model, at / "model.ubj")
            port, grpc, metrics = free_port(), free_port(), free_port()
            (at / "settings.json").write_text(json.dumps({"http_port": port, "grpc_port": grpc, "metrics_port": metrics, "parallel_workers": 1,
                                                          "host": "127.0.0.1", "debug": False}))
            (at / "model-settings.json").write_text(json.dumps({"name": "m", "implementation": "mlserver_xgboost.XGBoostModel",
                                                                "parameters": {"uri": "./model.ubj"}}))
            process = pinned(options, [binary, "start", at], env={**os.environ, "OMP_NUM_THREADS": "1", "PATH": f"{binary.parent}:/usr/bin:/bin"})
            wait_ready(f"http://127.0.0.1:{port}{serve.PATH}", (folder / "v2-1.json").read_bytes())
            peers.append(Peer("mlserver", process.pid, port, serve.PATH, process=process))
        else:
            missing.append(f"mlserver (no {binary})")
    if "mlflow" in wanted:
        binary = options.peers / "mlflow" / "bin" / "mlflow"
        if binary.exists():
            port = free_port()
            process = pinned(options, [binary, "models", "serve", "-m", package, "--env-manager", "local", "-p", port, "-h", "127.0.0.1", "-w", "1"],
                             env={**os.environ, "OMP_NUM_THREADS": "1", "PATH": f"{binary.parent}:/usr/bin:/bin"})
            wait_ready(f"http://127.0.0.1:{port}/invocations", (folder / "split-1.json").read_bytes())
            peers.append(Peer("mlflow", process.pid, port, "/invocations", process=process))
        else:
            missing.append(f"mlflow (no {binary})")
    if "gyre" not in wanted:
        base.stop()
    return peers, missing


WORK = {"row": (1, "v2"), "batch-100": (100, "v2"), "batch-10k": (10000, "v2"), "binary-10k": (10000, "binary")}
HAS_BINARY = ("gyre", "gyre-auth")


def measure(options, peers, made):
    rows = []
    for work in options.work.split(","):
        n, form = WORK[work]
        for peer in peers:
            if form == "binary" and peer.name not in HAS_BINARY:
                continue
            if peer.name == "floor" and n > 1:
                continue  # it reads one row
            body = made[n]["split" if peer.name == "mlflow" else form]
            headers = [f"Inference-Header-Content-Length: {made[n]['head']}", "Content-Type: application/octet-stream"] if form == "binary" else []
            peer.load(options, 1, body, 0, headers)
            closed, opened = [], []
            for _ in range(options.rounds):
                closed.append(peer.load(options, options.seconds, body, 0, headers))
                opened.append(peer.load(options, options.seconds, body, max(1, closed[-1]["per_s"] / 2), headers))
            middle = {k: statistics.median(r[k] for r in closed) for k in ("cpu_us", "per_s", "p50_us", "p99_us")}
            half = {k: statistics.median(r[k] for r in opened) for k in ("per_s", "p50_us", "p99_us", "p999_us")}
            rows.append({"work": work, "server": peer.name, "closed": middle, "half": half, "rss_mb": round(peer.rss_mb(), 1),
                         "load": os.getloadavg()[0]})
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--seconds", type=float, default=3)
    p.add_argument("--connections", type=int, default=32)
    p.add_argument("--server-cpu", type=int, default=0)
    p.add_argument("--client-cpu", type=int, default=1)
    p.add_argument("--peers", type=pathlib.Path, default=pathlib.Path(".peers"))
    p.add_argument("--only", default="floor,gyre,gyre-auth,fastapi,fastapi-onnx,mlserver,mlflow")
    p.add_argument("--work", default=",".join(WORK))
    p.add_argument("--json", help="write all results here")
    options = p.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        made = bodies(folder)
        peers, missing = start_all(options, folder)
        try:
            rows = measure(options, peers, made)
        finally:
            for peer in peers:
                peer.stop()
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"rows": rows, "missing": missing}, indent=1))
    print("| work | server | CPU us/request | beside gyre | requests/s | p50, p99 us | at half load: p50, p99, p99.9 us | MB |\n|---|---|---|---|---|---|---|---|")
    gyre = {r["work"]: r["closed"]["cpu_us"] for r in rows if r["server"] == "gyre"}
    for r in rows:
        c, h = r["closed"], r["half"]
        ratio = f"{c['cpu_us'] / gyre[r['work']]:.2f}" if r["work"] in gyre else ""
        print(f"| {r['work']} | {r['server']} | {c['cpu_us']:.1f} | {ratio} | {c['per_s']:.0f} | {c['p50_us']:.0f}, {c['p99_us']:.0f} | "
              f"{h['p50_us']:.0f}, {h['p99_us']:.0f}, {h['p999_us']:.0f} | {r['rss_mb']:.0f} |")
    if missing:
        print("not there:", "; ".join(missing))


if __name__ == "__main__":
    main()
