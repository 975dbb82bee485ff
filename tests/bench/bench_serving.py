#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Predictions over HTTP beside other model servers, in one run: the same 100 trees of depth 6 over 8 features in each, the same network
as ONNX (8 features, 64 and 32 units), and a network of pictures of the same layers (300 x 300 PNG files, uploaded as forms).

    tests/bench/bench_serving.py [--rounds 3] [--seconds 3] [--connections 32] [--peers DIR] [--only NAME,...] [--work NAME,...] [--json FILE]

Servers take turns, workload by workload, each with one processor (--server-cpu) and the client (load.c) with the other (--client-cpu):

    floor            epoll_floor.c: raw epoll, a real HTTP parse, strtod over the body, a reply of the same shape; no model, log or metrics
    gyre             with prediction log and metrics          gyre-auth   and with logins: a token with every request
    fastapi          current FastAPI, uvicorn (uvloop, httptools), orjson, Booster.inplace_predict
    fastapi-onnx     the same with ONNX Runtime on the model that `gyre models export` wrote; pictures with Pillow and ONNX Runtime
    mlserver         MLServer with its XGBoost runtime, as it comes: a worker process       mlserver-0  without one
    mlflow           `mlflow models serve`

Before them, the trees alone: CPU of 10,000 rows in the walker (walker_bench), in libxgboost and in Treelite's compiled library, no server.
Each row is a closed loop, then an open loop at half the rate that the closed one reached (requests due at fixed times, latency from when
they were due). Bodies of more than 100 kB come over 4 connections. CPU is what the server's processes used (schedstat of all threads; of
processes that other peers start too), per request; of Gyre's, what its watcher takes for drift and feedback is told beside it: the load
ends when the last answer is there, not when all is watched. "not 2xx" is the share of answers that were none, of the worst turn: 503, when the
disk could not take the prediction log as fast as a closed loop makes it; above a tenth nothing is measured.
The peers live in virtual environments below --peers (fastapi/, mlserver/, mlflow/: whoever is not there is left out and named).
"""

import argparse
import array
import json
import math
import os
import pathlib
import random
import re
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
import pictures  # noqa: E402
import serve  # noqa: E402
import support  # noqa: E402

BENCH = support.BIN.parent / "tests" / "bench"
FEATURES = serve.FEATURES

FASTAPI = """
import io, os, sys, numpy as np
from fastapi import FastAPI, File, Request, Response, UploadFile
import orjson
app = FastAPI()
kind, folder = sys.argv[2], sys.argv[3]

def session(name):
    import onnxruntime
    o = onnxruntime.SessionOptions(); o.intra_op_num_threads = o.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(os.path.join(folder, name), o)

def by_columns(onnx):
    names = [i.name for i in onnx.get_inputs()]
    kind = np.float64 if "double" in onnx.get_inputs()[0].type else np.float32
    return lambda x: onnx.run(None, {n: x[:, i:i + 1].astype(kind) for i, n in enumerate(names)})[-1]

def route(name, predict):
    @app.post(f"/v2/models/{name}/infer")
    async def infer(request: Request):
        body = orjson.loads(await request.body())
        one = body["inputs"][0]
        x = np.asarray(one["data"], dtype=np.float32).reshape(one["shape"])
        p = np.asarray(predict(x), dtype=np.float64)
        return Response(orjson.dumps({"model_name": name, "outputs": [{"name": "probability", "shape": list(p.shape), "datatype": "FP64",
                        "data": p.ravel()}]}, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")

if kind == "xgboost":
    import xgboost
    booster = xgboost.Booster({"nthread": 1}); booster.load_model(os.path.join(folder, "trees.ubj"))
    route("m", lambda x: booster.inplace_predict(x, validate_features=False))
else:
    from PIL import Image
    route("m", by_columns(session("trees.onnx")))
    mlp = session("mlp.onnx")
    route("mlp", lambda x: mlp.run(None, {"X": x})[-1])
    cnn = session("cnn.onnx")

    @app.post("/predict/")
    async def predict(image: UploadFile = File(...)):
        seen = Image.open(io.BytesIO(await image.read())).convert("L").resize((48, 48), Image.BILINEAR)
        p = cnn.run(None, {"X": np.asarray(seen, dtype=np.float32)[None, None] / 255})[0]
        return {"n_rings_pred": int(p[0].argmax())}

import uvicorn
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
"""

# What Treelite takes for 10,000 rows on one thread, its matrix ready made; microseconds of CPU a row.
TREELITE = """
import sys, time, statistics, numpy as np, treelite, tl2cgen
folder = sys.argv[1]
model = treelite.frontend.load_xgboost_model(f"{folder}/trees.ubj", format_choice="ubjson")
tl2cgen.export_lib(model, toolchain="gcc", libpath=f"{folder}/treelite.so", params={"parallel_comp": 8})
predictor = tl2cgen.Predictor(f"{folder}/treelite.so", nthread=1)
data = tl2cgen.DMatrix(np.fromfile(f"{folder}/rows.f32", dtype=np.float32).reshape(10000, -1))
took = []
for _ in range(15):
    start = time.process_time()
    predictor.predict(data)
    took.append(time.process_time() - start)
print(statistics.median(took) * 100)
"""

# Written with the peers' libraries: a network of scikit-learn as ONNX, and one of pictures with the layers of CNN_PARAMS.
NETWORKS = """
import sys, numpy as np, onnx
from onnx import helper, numpy_helper, TensorProto
from skl2onnx import to_onnx
from sklearn.neural_network import MLPClassifier
folder = sys.argv[1]
r = np.random.default_rng(3)
x = r.normal(size=(4000, 8)).astype(np.float32)
y = (x[:, 0] * x[:, 1] + x[:, 2] > 0).astype(int)
net = MLPClassifier((64, 32), max_iter=30, random_state=1).fit(x, y)
model = to_onnx(net, x[:1], options={"zipmap": False}, target_opset=15)
onnx.save(model, f"{folder}/mlp.onnx")
nodes, weights, last, channels = [], [], "X", 1
def weight(name, *shape):
    weights.append(numpy_helper.from_array((r.normal(size=shape) / 8).astype(np.float32), name))
    return name
for i, c in enumerate((8, 16, 32)):
    nodes += [helper.make_node("Conv", [last, weight(f"w{i}", c, channels, 3, 3), weight(f"b{i}", c)], [f"c{i}"], pads=[1, 1, 1, 1]),
              helper.make_node("Relu", [f"c{i}"], [f"r{i}"]), helper.make_node("MaxPool", [f"r{i}"], [f"p{i}"], kernel_shape=[2, 2], strides=[2, 2])]
    last, channels = f"p{i}", c
nodes += [helper.make_node("Flatten", [last], ["f"]), helper.make_node("Gemm", ["f", weight("w3", 32 * 36, 32), weight("b3", 32)], ["d"]),
          helper.make_node("Relu", ["d"], ["e"]), helper.make_node("Gemm", ["e", weight("w4", 32, 3), weight("b4", 3)], ["o"]),
          helper.make_node("Softmax", ["o"], ["P"])]
graph = helper.make_graph(nodes, "cnn", [helper.make_tensor_value_info("X", TensorProto.FLOAT, [1, 1, 48, 48])],
                          [helper.make_tensor_value_info("P", TensorProto.FLOAT, [1, 3])], weights)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), f"{folder}/cnn.onnx")
"""

CNN_PARAMS = """train:
  target: rings
  task: multiclass
  image: {column: image, width: 48, height: 48, grey: true}
  cnn: {conv: [8, 16, 32], layers: [32], epochs: 2}
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
        """(of all threads, of those that only watch what was answered)"""
        total = watching = 0
        for pid in family(self.pid):
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                try:
                    used = int((task / "schedstat").read_text().split()[0])
                    total += used
                    watching += used if (task / "comm").read_text().strip() == "gyre-watcher" else 0
                except OSError:
                    pass
        return total, watching

    def rss_mb(self):
        total = 0
        for pid in family(self.pid):
            for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS"):
                    total += int(line.split()[1])
        return total / 1024

    def load(self, options, seconds, body, rate, headers=(), path=None):
        connections = min(options.connections, 4) if body.stat().st_size > 100_000 else options.connections
        command = ["taskset", "-c", str(options.client_cpu), str(BENCH / "load"), str(self.port), str(connections), str(seconds),
                   path or self.path, str(body), str(rate), *self.headers, *headers]
        before = self.cpu_ns()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        used, watched = (after - b for after, b in zip(self.cpu_ns(), before))
        row = json.loads(done.stdout) if done.stdout else {"requests": 0, "errors": 1}
        if not row["requests"] or row["errors"] or row["non_2xx"] > 0.1 * row["requests"]:
            raise RuntimeError(f"{self.name}: {row} {done.stderr}")
        row["cpu_us"], row["watch_us"] = used / 1000 / row["requests"], watched / 1000 / row["requests"]
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
        (folder / "rows.f32").write_bytes(array.array("f", [v for r in rows for v in r]).tobytes())
        v2 = folder / f"v2-{n}.json"
        v2.write_text(json.dumps({"inputs": [{"name": "x", "shape": [n, FEATURES], "datatype": "FP32", "data": [v for r in rows for v in r]}]}))
        split = folder / f"split-{n}.json"
        split.write_text(json.dumps({"dataframe_split": {"columns": [f"x{i}" for i in range(FEATURES)], "data": rows}}))
        head = json.dumps({"inputs": [{"name": "x", "shape": [n, FEATURES], "datatype": "FP32",
                                       "parameters": {"binary_data_size": 4 * n * FEATURES}}], "parameters": {"binary_data_output": True}})
        raw = folder / f"binary-{n}.bin"
        raw.write_bytes(head.encode() + array.array("f", [v for r in rows for v in r]).tobytes())
        made[n] = {"v2": v2, "split": split, "binary": raw, "head": len(head)}
    (folder / "picture.png").write_bytes(picture(300, 2))
    edge = "----edge7MA4YWxkTrZu0gW"
    (folder / "form.bin").write_bytes(f'--{edge}\r\nContent-Disposition: form-data; name="image"; filename="p.png"\r\nContent-Type: image/png\r\n\r\n'
                                      .encode() + picture(300, 2) + f"\r\n--{edge}--\r\n".encode())
    made["form"] = {"body": folder / "form.bin", "type": f"Content-Type: multipart/form-data; boundary={edge}"}
    return made


def picture(side, rings):
    """Rings as lines, of the kind that drawing programs of molecules make."""
    canvas = pictures.Canvas(side, side)
    for i in range(rings):
        corners = [(side * (i + 0.5 + 0.4 * math.cos(k * math.pi / 3)) / rings, side * (0.5 + 0.4 / rings * math.sin(k * math.pi / 3))) for k in range(7)]
        for (x0, y0), (x1, y1) in zip(corners, corners[1:]):
            for thick in range(3):
                canvas.line(int(x0) + thick, int(y0), int(x1) + thick, int(y1), (0, 0, 0))
    return canvas.png()


def deploy_networks(server, folder):
    """The network as ONNX where the peers' libraries wrote it, and one of pictures that is trained here."""
    if (folder / "mlp.onnx").exists():
        version = support.run_json("models", "import", "mlp", "mlp.onnx", "--server", server.url, cwd=folder)["version"]
        serve.post(f"{server.url}/api/gyre/v1/endpoints/mlp/deploy", {"model": f"models:/mlp/{version}"})
    with open(folder / "rings.csv", "w", encoding="ascii") as f:
        f.write("image,rings\n")
        for i in range(30):
            (folder / f"r{i}.png").write_bytes(picture(300, 1 + i % 3))
            f.write(f"r{i}.png,{1 + i % 3}\n")
    (folder / "cnn.yaml").write_text(CNN_PARAMS)
    version = support.run_json("train", "rings.csv", "--learner", "cnn", "--params", "cnn.yaml", "--register", "rings", "--server", server.url,
                               cwd=folder, timeout=600)["version"]
    serve.post(f"{server.url}/api/gyre/v1/endpoints/rings/deploy", {"model": f"models:/rings/{version}", "project": {
        "aliases": [{"path": "/predict/", "output": {"n_rings_pred": "prediction"}}]}})


def pin(options, server):
    for task in pathlib.Path(f"/proc/{server.pid}/task").iterdir():
        subprocess.run(["taskset", "-cp", str(options.server_cpu), task.name], stdout=subprocess.DEVNULL, check=True)


def start_all(options, folder, peers):
    """Adds each server to `peers` as it is started; the names of those that are not there."""
    missing = []
    wanted = options.only.split(",")
    base = support.Server(folder / "home", ["--loops", "1"]).start()
    serve.deploy(base, folder)
    package = next((folder / "home" / "cache" / "models").iterdir())
    model = package / "model.ubj"
    shutil.copy(model, folder / "trees.ubj")
    support.run_gyre("models", "export", str(package), "-o", str(folder / "trees.onnx"), cwd=folder)
    (folder / "app.py").write_text(FASTAPI)
    python = options.peers / "fastapi" / "bin" / "python"
    if python.exists():
        subprocess.run([python, "-c", NETWORKS, folder], check=True)
    deploy_networks(base, folder)
    pin(options, base)
    if "gyre" in wanted:
        peers.append(Peer("gyre", base.pid, base.port, serve.PATH, stop=base.stop))
    if "floor" in wanted:
        process = pinned(options, [BENCH / "epoll_floor", "1"])
        peers.append(Peer("floor", process.pid, int(process.stdout.readline().rsplit(":", 1)[1]), serve.PATH, process=process))
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
    for name, kind in (("fastapi", "xgboost"), ("fastapi-onnx", "onnx")):
        if name in wanted and python.exists():
            port = free_port()
            process = pinned(options, [python, folder / "app.py", port, kind, folder], env={**os.environ, "OMP_NUM_THREADS": "1"})
            peers.append(Peer(name, process.pid, port, serve.PATH, process=process))
            wait_ready(f"http://127.0.0.1:{port}{serve.PATH}", (folder / "v2-1.json").read_bytes())
        elif name in wanted:
            missing.append(f"{name} (no {python})")
    binary = options.peers / "mlserver" / "bin" / "mlserver"
    for name, workers in (("mlserver", 1), ("mlserver-0", 0)):
        if name in wanted and binary.exists():
            at = folder / name
            at.mkdir()
            shutil.copy(model, at / "model.ubj")
            port, grpc, metrics = free_port(), free_port(), free_port()
            (at / "settings.json").write_text(json.dumps({"http_port": port, "grpc_port": grpc, "metrics_port": metrics, "parallel_workers": workers,
                                                          "host": "127.0.0.1", "debug": False}))
            (at / "model-settings.json").write_text(json.dumps({"name": "m", "implementation": "mlserver_xgboost.XGBoostModel",
                                                                "parameters": {"uri": "./model.ubj"}}))
            process = pinned(options, [binary, "start", at], env={**os.environ, "OMP_NUM_THREADS": "1", "PATH": f"{binary.parent}:/usr/bin:/bin"})
            peers.append(Peer(name, process.pid, port, serve.PATH, process=process))
            wait_ready(f"http://127.0.0.1:{port}{serve.PATH}", (folder / "v2-1.json").read_bytes())
        elif name in wanted:
            missing.append(f"{name} (no {binary})")
    if "mlflow" in wanted:
        binary = options.peers / "mlflow" / "bin" / "mlflow"
        if binary.exists():
            port = free_port()
            process = pinned(options, [binary, "models", "serve", "-m", package, "--env-manager", "local", "-p", port, "-h", "127.0.0.1", "-w", "1"],
                             env={**os.environ, "OMP_NUM_THREADS": "1", "PATH": f"{binary.parent}:/usr/bin:/bin"})
            peers.append(Peer("mlflow", process.pid, port, "/invocations", process=process))
            wait_ready(f"http://127.0.0.1:{port}/invocations", (folder / "split-1.json").read_bytes())
        else:
            missing.append(f"mlflow (no {binary})")
    if "gyre" not in wanted:
        base.stop()
    return missing


def measure_alone(options, folder):
    """Microseconds of CPU a row of the trees without a server, on the server's processor, of 10,000 rows."""
    on = ["taskset", "-c", str(options.server_cpu)]
    text = subprocess.run([*on, BENCH / "walker_bench", "15", folder / "trees.ubj", folder / "rows.f32"], capture_output=True, text=True, check=True).stdout
    alone = {name: float(re.search(f"{words} +([0-9.]+)", text).group(1)) for name, words in
             (("walker", "64 rows at a time"), ("walker, row by row", "one row at a time"), ("libxgboost", "1 thr"))}
    python = options.peers / "fastapi" / "bin" / "python"
    if python.exists():
        done = subprocess.run([*on, python, "-c", TREELITE, folder], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            alone["Treelite, compiled"] = float(done.stdout.split()[-1])
        else:
            print("Treelite:", done.stderr.strip().splitlines()[-1:], file=sys.stderr)
    return alone


WORK = {"row": (1, "v2"), "batch-100": (100, "v2"), "batch-10k": (10000, "v2"), "binary-10k": (10000, "binary"), "onnx-mlp": (1, "mlp"),
        "png": (1, "form")}
# Who can do what; all do the others.
ABLE = {"binary": ("gyre", "gyre-auth"), "mlp": ("gyre", "fastapi-onnx"), "form": ("gyre", "fastapi-onnx")}
PATHS = {"mlp": "/v2/models/mlp/infer", "form": "/predict/"}


def request_of(peer, n, form, made):
    """(body, headers, path) of one kind of request to one server."""
    if form == "form":
        return made["form"]["body"], [made["form"]["type"]], PATHS["form"]
    if form == "binary":
        return made[n]["binary"], [f"Inference-Header-Content-Length: {made[n]['head']}", "Content-Type: application/octet-stream"], None
    return made[n]["split" if peer.name == "mlflow" else "v2"], [], PATHS.get(form)


def turns(options, peer, body, headers, path):
    """Closed and open loops by turns, after one that warms up."""
    peer.load(options, 1, body, 0, headers, path)
    closed, opened = [], []
    for _ in range(options.rounds):
        closed.append(peer.load(options, options.seconds, body, 0, headers, path))
        opened.append(peer.load(options, options.seconds, body, max(1, closed[-1]["per_s"] / 2), headers, path))
    return closed, opened


def measure(options, peers, made):
    rows = []
    for work in options.work.split(","):
        n, form = WORK[work]
        for peer in peers:
            if peer.name not in ABLE.get(form, (peer.name,)) or (peer.name == "floor" and work != "row"):
                continue  # the floor reads one row
            body, headers, path = request_of(peer, n, form, made)
            try:
                closed, opened = turns(options, peer, body, headers, path)
            except RuntimeError as e:
                print(f"left out: {work} of {e}", file=sys.stderr, flush=True)
                continue
            middle = {k: statistics.median(r[k] for r in closed) for k in ("cpu_us", "watch_us", "per_s", "p50_us", "p99_us")}
            refused = max(r["non_2xx"] / r["requests"] for r in (*closed, *opened))
            half = {k: statistics.median(r[k] for r in opened) for k in ("per_s", "p50_us", "p99_us", "p999_us")}
            rows.append({"work": work, "server": peer.name, "closed": middle, "half": half, "rss_mb": round(peer.rss_mb(), 1), "refused": refused,
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
    p.add_argument("--only", default="floor,gyre,gyre-auth,fastapi,fastapi-onnx,mlserver,mlserver-0,mlflow")
    p.add_argument("--work", default=",".join(WORK))
    p.add_argument("--json", help="write all results here")
    options = p.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        made = bodies(folder)
        peers = []
        try:
            missing = start_all(options, folder, peers)
            alone = measure_alone(options, folder)
            print(json.dumps(alone), file=sys.stderr, flush=True)
            rows = measure(options, peers, made)
        finally:
            for peer in peers:
                peer.stop()
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"alone": alone, "rows": rows, "missing": missing}, indent=1))
    print("CPU us a row alone:", ", ".join(f"{name} {us:.3f}" for name, us in alone.items()), "\n")
    print("| work | server | CPU us/request (of it the watcher) | beside gyre | requests/s | p50, p99 us | at half load: p50, p99, p99.9 us | not 2xx | MB |\n|---|---|---|---|---|---|---|---|---|")
    gyre = {r["work"]: r["closed"]["cpu_us"] for r in rows if r["server"] == "gyre"}
    for r in rows:
        c, h = r["closed"], r["half"]
        watched = f" ({c['watch_us']:.1f})" if c["watch_us"] else ""
        ratio = f"{c['cpu_us'] / gyre[r['work']]:.2f}" if r["work"] in gyre else ""
        print(f"| {r['work']} | {r['server']} | {c['cpu_us']:.1f}{watched} | {ratio} | {c['per_s']:.0f} | {c['p50_us']:.0f}, {c['p99_us']:.0f} | "
              f"{h['p50_us']:.0f}, {h['p99_us']:.0f}, {h['p999_us']:.0f} | {r['refused']:.1%} | {r['rss_mb']:.0f} |")
    if missing:
        print("not there:", "; ".join(missing))


if __name__ == "__main__":
    main()
