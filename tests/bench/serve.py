#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What one prediction over HTTP costs, beside a floor: `POST /v2/models/m/infer`, one row of 8 features, 100 trees of depth 6.

    tests/bench/serve.py [--rounds 5] [--seconds 2] [--connections 32] [--json] [--max-ratio 2.5]

The floor (epoll_floor.c) is raw epoll with a real HTTP parse, strtod over the body and a reply of the same shape, but no model,
log or metrics. Both serve in the same run, in turns, with two threads each, under the same closed-loop load (load.c). What counts
is the CPU of the server process per request (schedstat of all its threads, nanoseconds): it hardly depends on what else the
machine does, unlike throughput and latency, which the load shares the processors with. Exit 1: a request was not answered 2xx
(503: the disk could not take the prediction log as fast as this load makes it), or the ratio of the medians is above --max-ratio.
"""

import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
import support  # noqa: E402

BENCH = support.BIN.parent / "tests" / "bench"
TREES, DEPTH, FEATURES, ROWS = 100, 6, 8, 20000
PATH = "/v2/models/m/infer"
PARAMS = f"""seed: 1
holdout: 0.1
train:
  learner: xgboost
  features: [{', '.join(f'x{i}' for i in range(FEATURES))}]
  xgboost: {{rounds: {TREES}, depth: {DEPTH}}}
"""


def make_table(path):
    """A label that trees need all their depth for."""
    rng = random.Random(1)
    with open(path, "w", encoding="ascii") as f:
        f.write(",".join(f"x{i}" for i in range(FEATURES)) + ",y\n")
        for _ in range(ROWS):
            x = [rng.gauss(0, 1) for _ in range(FEATURES)]
            score = x[0] * x[1] + max(x[2], x[3]) - abs(x[4]) * x[5] + x[6] * x[7] + rng.gauss(0, 0.3)
            f.write(",".join(f"{v:.7g}" for v in x) + f",{int(score > 0.2)}\n")


def post(url, document):
    request = urllib.request.Request(url, json.dumps(document).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def deploy(server, folder):
    make_table(folder / "table.csv")
    (folder / "params.yaml").write_text(PARAMS)
    done = support.run_json("train", "table.csv", "--target", "y", "--params", "params.yaml", "--register", "m",
                            "--server", server.url, cwd=folder, timeout=600)
    post(f"{server.url}/api/gyre/v1/endpoints/m/deploy", {"model": f"models:/m/{done['version']}"})


def write_body(path):
    rng = random.Random(2)
    path.write_text(json.dumps({"inputs": [{"name": "x", "shape": [1, FEATURES], "datatype": "FP64",
                                            "data": [round(rng.gauss(0, 1), 6) for _ in range(FEATURES)]}]}))


class Process:
    """A server under measurement."""

    def __init__(self, name, pid, port):
        self.name, self.pid, self.port, self.rounds = name, pid, port, []

    def cpu(self):
        """(all CPU in ns, user ticks, system ticks) so far; no thread of either server ends meanwhile."""
        tasks = pathlib.Path(f"/proc/{self.pid}/task").iterdir()
        total = sum(int((t / "schedstat").read_text().split()[0]) for t in tasks)
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return total, int(fields[11]), int(fields[12])

    def load(self, connections, seconds, body):
        before = self.cpu()
        done = subprocess.run([BENCH / "load", str(self.port), str(connections), str(seconds), PATH, body],
                              capture_output=True, text=True, check=False)
        after = self.cpu()
        row = json.loads(done.stdout)
        if not row["requests"] or row["errors"]:
            raise SystemExit(f"{self.name}: {row}")
        tick_us = 1e6 / os.sysconf("SC_CLK_TCK")
        row["cpu_us"] = (after[0] - before[0]) / 1000 / row["requests"]
        row["user_us"] = (after[1] - before[1]) * tick_us / row["requests"]
        row["system_us"] = (after[2] - before[2]) * tick_us / row["requests"]
        return row

    def median(self, key):
        return statistics.median(r[key] for r in self.rounds)


def measure(options, folder):
    write_body(folder / "body.json")
    server = support.Server(folder / "home", ["--loops", "2"]).start()
    floor_process = subprocess.Popen([BENCH / "epoll_floor", "2"], stdout=subprocess.PIPE, text=True)
    try:
        deploy(server, folder)
        floor = Process("epoll floor", floor_process.pid, int(floor_process.stdout.readline().rsplit(":", 1)[1]))
        gyre = Process("gyre", server.pid, server.port)
        for one in (floor, gyre):
            one.load(options.connections, 0.5, folder / "body.json")  # warm
        for _ in range(options.rounds):
            for one in (floor, gyre):
                one.rounds.append(one.load(options.connections, options.seconds, folder / "body.json"))
        return floor, gyre, server.rss_kb() / 1024
    finally:
        floor_process.kill()
        floor_process.wait()
        server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--max-ratio", type=float, default=2.5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        floor, gyre, rss_mb = measure(options, pathlib.Path(folder))
    failed = sum(r["non_2xx"] for p in (floor, gyre) for r in p.rounds)
    asked = sum(r["requests"] for p in (floor, gyre) for r in p.rounds)
    ratio = gyre.median("cpu_us") / floor.median("cpu_us")
    keys = ("cpu_us", "user_us", "system_us", "per_s", "p50_us", "p99_us")
    if options.json:
        print(json.dumps({**{p.name: {k: round(p.median(k), 2) for k in keys} for p in (floor, gyre)}, "ratio": round(ratio, 3),
                          "rss_mb": round(rss_mb, 1), "requests": asked, "non_2xx": failed}))
    else:
        print(f"{options.rounds} rounds of {options.seconds} s in turns, {options.connections} connections; medians\n")
        print("| server | CPU us/request | user | system | requests/s | p50 us | p99 us |\n|---|---|---|---|---|---|---|")
        for p in (floor, gyre):
            cells = [f"{p.median(k):.0f}" if k in keys[3:] else f"{p.median(k):.2f}" for k in keys]
            print(f"| {p.name} | " + " | ".join(cells) + " |")
        print(f"\nratio {ratio:.2f} (gyre / floor); gyre resident {rss_mb:.1f} MB; {failed} of {asked} requests not answered 2xx")
    return 0 if ratio <= options.max_ratio and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
