#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What one prediction over gRPC costs, beside the same one over HTTP/1.1 with JSON: ModelInfer with typed contents and with raw
ones, one row of 8 features, 100 trees of depth 6 (the model and the body of serve.py).

    tests/bench/grpc_calls.py [--rounds 5] [--seconds 2] [--connections 32] [--streams 8] [--json]

The load is h2load for all three, so that the client is the same: HTTP/1.1 one request a connection at a time, gRPC with 1 and with
--streams calls a connection at a time. What counts is the CPU of the server process per request. Exit 1: an answer was not 2xx.
Calls that fail in gRPC are 200, too, so one of each kind is looked at before.
"""

import argparse
import json
import os
import pathlib
import random
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile

import serve

sys.path.insert(0, str(serve.ROOT / "tests" / "http"))
import h2frames  # noqa: E402
import support  # noqa: E402

METHOD = "/inference.GRPCInferenceService/ModelInfer"


def field(number, payload):
    """A field of bytes, shorter than 128 or than 16384."""
    n = len(payload)
    return bytes([number << 3 | 2]) + (bytes([n]) if n < 128 else bytes([n & 127 | 128, n >> 7])) + payload


def write_messages(folder):
    rng = random.Random(2)
    row = struct.pack(f"<{serve.FEATURES}d", *(round(rng.gauss(0, 1), 6) for _ in range(serve.FEATURES)))
    tensor = field(1, b"x") + field(2, b"FP64") + field(3, bytes([1, serve.FEATURES]))
    typed = field(1, b"m") + field(5, tensor + field(5, field(7, row)))
    raw = field(1, b"m") + field(5, tensor) + field(7, row)
    for name, message in [("typed", typed), ("raw", raw)]:
        (folder / name).write_bytes(h2frames.message(message))
    return typed, raw


def check(port, message):
    """One call that must be answered by a message."""
    c = h2frames.Connection(port)
    c.call(1, message, path=METHOD)
    c.wait_end(1)
    if not any(kind == h2frames.DATA for kind, *_ in c.frames):
        raise SystemExit(f"the call failed: {c.frames}")
    c.close()


def load(server, options, kind, body, folder):
    """(CPU us a request of the server, requests a second, median us)"""
    gyre = serve.Process("gyre", server.pid, server.port)
    command = ["h2load", "-t1", f"-c{options.connections}", f"-D{options.seconds}", "-d", folder / body]
    if kind == "http":
        command += ["--h1", "-H", "content-type: application/json", f"http://127.0.0.1:{server.port}{serve.PATH}"]
    else:
        command += [f"-m{kind}", "-H", "content-type: application/grpc", "-H", "te: trailers", f"http://127.0.0.1:{server.port}{METHOD}"]
    before = gyre.cpu()[0]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    cpu_us = (gyre.cpu()[0] - before) / 1000
    good = int(re.search(r"status codes: (\d+) 2xx", done.stdout).group(1))
    bad = [int(n) for n in re.search(r"2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", done.stdout).groups()]
    if not good or any(bad):
        raise SystemExit(f"{kind} {body}: {done.stdout}")
    return cpu_us / good, good / options.seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not shutil.which("h2load"):
        raise SystemExit("h2load is not installed (nghttp2-client)")
    kinds = {"HTTP/1.1, JSON": ("http", "body.json"), "gRPC, contents": (1, "typed"), "gRPC, raw": (1, "raw"),
             f"gRPC, raw, {options.streams} calls at a time": (options.streams, "raw")}
    rows = {name: [] for name in kinds}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        serve.write_body(folder / "body.json")
        messages = write_messages(folder)
        server = support.Server(folder / "home", ["--loops", "2"]).start()
        try:
            serve.deploy(server, folder)
            for message in messages:
                check(server.port, message)
            for _ in range(options.rounds):
                for name, (kind, body) in kinds.items():
                    rows[name].append(load(server, options, kind, body, folder))
        finally:
            server.stop()
    medians = {name: {"cpu_us": round(statistics.median(r[0] for r in all_of), 2), "per_s": round(statistics.median(r[1] for r in all_of))}
               for name, all_of in rows.items()}
    if options.json:
        print(json.dumps(medians))
        return
    print(f"load average {os.getloadavg()[0]:.1f}")
    for name, one in medians.items():
        print(f"{name:32} {one['cpu_us']:8.2f} us CPU/request {one['per_s']:10,} requests/s")


if __name__ == "__main__":
    main()
