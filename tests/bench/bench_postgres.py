# SPDX-License-Identifier: Apache-2.0
"""Writes of `gyre server` with PostgreSQL beside SQLite, and by two servers on one PostgreSQL, in one run.

    python tests/bench/bench_postgres.py [--seconds 4]

The database is a real one on this machine, with fsync on and the defaults of its package, over its socket. Prints one JSON document
and a table of ratios.
"""

import argparse
import json
import multiprocessing
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import bench_track  # noqa: E402
import postgres  # noqa: E402
import support  # noqa: E402


def bench_one(home, seconds, url=None):
    server = support.Server(home, env={"GYRE_STORE_URL": url} if url else None).start()
    try:
        return bench_track.writes(server.port, seconds)
    finally:
        server.stop()


def share(port, seconds, out):
    out.put(bench_track.rate(port, bench_track.one_metric, 16, seconds))


def bench_two(folder, seconds, url):
    """16 clients at each of two servers on one database, a metric a request."""
    servers = [support.Server(pathlib.Path(folder) / f"two{i}", env={"GYRE_STORE_URL": url}).start() for i in range(2)]
    try:
        out = multiprocessing.Queue()
        halves = [multiprocessing.Process(target=share, args=(s.port, seconds, out)) for s in servers]
        for half in halves:
            half.start()
        total = sum(out.get() for _ in halves)
        for half in halves:
            half.join()
        return round(total, 1)
    finally:
        for server in servers:
            server.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=4)
    options = parser.parse_args()
    database = postgres.start(durable=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            out = {"fdatasync_per_s": bench_track.fdatasync_rate(folder),
                   "sqlite": bench_one(pathlib.Path(folder) / "sqlite", options.seconds),
                   "postgresql": bench_one(pathlib.Path(folder) / "postgresql", options.seconds, database.url()),
                   "log_metric_two_servers": bench_two(folder, options.seconds, database.url())}
    finally:
        database.stop()
    print("| requests/s | SQLite | PostgreSQL | ratio |\n|---|---:|---:|---:|")
    for key, value in out["sqlite"].items():
        print(f"| {key} | {value} | {out['postgresql'][key]} | {round(out['postgresql'][key] / value, 2)} |")
    print(json.dumps(out, indent=2))


if __name__ == "__main__":
    main()
