# SPDX-License-Identifier: Apache-2.0
"""Searches over many runs: how long a page takes at 30,000 to 1,000,000 runs x 20 metrics x 20 params x 5 tags.

    python tests/bench/bench_search.py [--runs 30000,100000,300000,1000000] [--folder DIR] [--rounds 7] [--svg FILE]

The databases are made by SQL (a server makes the schema, then its file is filled), so the big ones need minutes, not days: about
5 GB and 10 minutes for 1,000,000 runs. Prints a table of medians in milliseconds and one JSON document. Not run in CI.
"""

import argparse
import http.client
import json
import os
import pathlib
import sqlite3
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import support  # noqa: E402

SERIES = "WITH RECURSIVE s(i) AS (SELECT {a} UNION ALL SELECT i + 1 FROM s WHERE i < {b}) "
# A number in [0, 1000003) that looks random: the same for Gyre's and MLflow's tables.
NOISE = "((((s.i * 7919 + {k} * 104729) % 1000003) * ((s.i * 31 + {k} * {k} * 1733 + 12345) % 1000003)) % 1000003)"
KEYS = "(SELECT 0 AS k" + "".join(f" UNION ALL SELECT {k}" for k in range(1, 20)) + ")"
# p0: 5 values, p1: 20, p2: a value of its own for each run, the others 1000 values.
PARAM = ("CASE k.k WHEN 0 THEN 'model-' || (" + NOISE.format(k=1) + " % 5) WHEN 1 THEN '0.' || (" + NOISE.format(k=2) +
         " % 20) WHEN 2 THEN 'seed-' || s.i ELSE 'v' || (" + NOISE.format(k="k.k") + " % 1000) END")
METRIC = NOISE.format(k="k.k") + " / 1000003.0"
TAGS = {"mlflow.runName": "'run-' || s.i", "mlflow.user": "'user' || (s.i % 10)", "mlflow.source.name": "'train.py'",
        "team": "'team-' || (" + NOISE.format(k=31) + " % 8)", "ticket": "'T' || (s.i / 7)"}
BLOCK = 50000


def fill_gyre(path, n):
    """n finished runs in experiment 0; all secondary indexes are made afterwards."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous=OFF")
    db.execute("PRAGMA journal_mode=OFF")
    db.execute("PRAGMA cache_size=-400000")
    tables = ("runs", "run_params", "run_tags", "latest_metrics", "metrics")
    indexes = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN "
                         f"({','.join('?' * len(tables))})", tables).fetchall()
    for name, _ in indexes:
        db.execute(f"DROP INDEX {name}")
    for k in range(20):
        db.execute("INSERT INTO metric_keys (id, name) VALUES (?, ?)", (k + 1, f"m{k}"))
    for a in range(1, n + 1, BLOCK):
        series = SERIES.format(a=a, b=min(a + BLOCK - 1, n))
        db.execute("BEGIN")
        db.execute(series + "INSERT INTO runs (seq, id, experiment_id, name, user_id, status, start_ms, end_ms, artifact_uri, "
                   "actor, created_us) SELECT s.i, printf('%08x%024d', (s.i * 2654435761) % 4294967296, s.i), 0, 'run-' || s.i, "
                   "'user' || (s.i % 10), CASE WHEN s.i % 1000 = 0 THEN 'FAILED' ELSE 'FINISHED' END, 1700000000000 + s.i * 1000, "
                   "1700000000000 + s.i * 1000 + " + NOISE.format(k=7) + ", 'mlflow-artifacts:/0/' || s.i, 'bench', 0 FROM s")
        db.execute(series + f"INSERT INTO run_params (run, key, value) SELECT s.i, 'p' || k.k, {PARAM} FROM s, {KEYS} k")
        for key, value in TAGS.items():
            db.execute(series + f"INSERT INTO run_tags (run, key, value) SELECT s.i, '{key}', {value} FROM s")
        db.execute(series + "INSERT INTO latest_metrics (run, key, step, ts_ms, value, is_nan, first_step, first_ms, n_steps) SELECT s.i, "
                   f"k.k + 1, 0, 1700000000000 + s.i * 1000, {METRIC}, 0, 0, 1700000000000 + s.i * 1000, 1 FROM s, {KEYS} k")
        db.execute(series + "INSERT INTO metrics (run, key, ts_ms, step, value, is_nan) SELECT s.i, k.k + 1, "
                   f"1700000000000 + s.i * 1000, 0, {METRIC}, 0 FROM s, {KEYS} k")
        db.execute("COMMIT")
    for _, sql in indexes:
        db.execute(sql)
    db.close()


def fill_mlflow(path, n):
    """The same runs in MLflow's own tables."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous=OFF")
    db.execute("PRAGMA cache_size=-400000")
    for a in range(1, n + 1, BLOCK):
        series = SERIES.format(a=a, b=min(a + BLOCK - 1, n))
        ident = "printf('%08x%024d', (s.i * 2654435761) % 4294967296, s.i)"
        db.execute("BEGIN")
        db.execute(series + "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, "
                   "start_time, end_time, deleted_time, source_version, lifecycle_stage, artifact_uri, experiment_id) SELECT "
                   f"{ident}, 'run-' || s.i, 'UNKNOWN', '', '', 'user' || (s.i % 10), CASE WHEN s.i % 1000 = 0 THEN 'FAILED' ELSE "
                   "'FINISHED' END, 1700000000000 + s.i * 1000, 1700000000000 + s.i * 1000 + " + NOISE.format(k=7) +
                   ", NULL, '', 'active', 'mlflow-artifacts:/0/' || s.i, 0 FROM s")
        db.execute(series + f"INSERT INTO params (run_uuid, key, value) SELECT {ident}, 'p' || k.k, {PARAM} FROM s, {KEYS} k")
        for key, value in TAGS.items():
            db.execute(series + f"INSERT INTO tags (run_uuid, key, value) SELECT {ident}, '{key}', {value} FROM s")
        db.execute(series + "INSERT INTO latest_metrics (run_uuid, key, value, timestamp, step, is_nan) SELECT "
                   f"{ident}, 'm' || k.k, {METRIC}, 1700000000000 + s.i * 1000, 0, 0 FROM s, {KEYS} k")
        db.execute(series + "INSERT INTO metrics (run_uuid, key, value, timestamp, step, is_nan) SELECT "
                   f"{ident}, 'm' || k.k, {METRIC}, 1700000000000 + s.i * 1000, 0, 0 FROM s, {KEYS} k")
        db.execute("COMMIT")
    db.close()


QUERIES = {
    "default order": ("", []),
    "order by metric": ("", ["metrics.m3 DESC"]),
    "order by param (own values)": ("", ["params.p2 ASC"]),
    "order by param (5 values)": ("", ["params.p0 DESC"]),
    "order by end_time": ("", ["attributes.end_time DESC"]),
    "metric > (10 %), order by metric": ("metrics.m1 > 0.9", ["metrics.m3 ASC"]),
    "metric > (0.1 %), default order": ("metrics.m1 > 0.999", []),
    "2 metrics (1 %), order by metric": ("metrics.m1 > 0.9 AND metrics.m2 < 0.1", ["metrics.m3 DESC"]),
    "param = (20 %), order by metric": ("params.p0 = 'model-3'", ["metrics.m3 DESC"]),
    "param = (one run)": ("params.p2 = 'seed-777'", ["metrics.m3 DESC"]),
    "param = and metric > (2 %), order by param": ("params.p0 = 'model-3' AND metrics.m1 > 0.9", ["params.p5 ASC"]),
    "tag = (12 %), order by metric": ("tags.team = 'team-1'", ["metrics.m3 DESC"]),
    "tag LIKE prefix": ("tags.ticket LIKE 'T77%'", ["metrics.m3 ASC"]),
    "status FAILED (0.1 %)": ("attributes.status = 'FAILED'", ["metrics.m3 DESC"]),
    "start_time >, param =, tag =": ("attributes.start_time > 1700000500000 AND params.p1 = '0.7' AND tags.team = 'team-2'",
                                     ["metrics.m9 DESC"]),
    "run_name ILIKE (own)": ("attributes.run_name ILIKE '%-12345%'", []),
}


class Client:
    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)

    def search(self, text, order, size=100, token=None):
        body = {"experiment_ids": ["0"], "filter": text, "order_by": order, "max_results": size}
        if token:
            body["page_token"] = token
        started = time.perf_counter()
        self.connection.request("POST", "/api/2.0/mlflow/runs/search", json.dumps(body), {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        data = answer.read()
        took = (time.perf_counter() - started) * 1000
        if answer.status != 200:
            raise RuntimeError(data[:300])
        return took, json.loads(data)


def deep(client, order, pages=1000, size=100):
    """Milliseconds of the first pages and of the last ones of a walk over `pages` pages."""
    token, times = None, []
    for _ in range(pages):
        took, answer = client.search("", order, size, token)
        times.append(took)
        token = answer.get("next_page_token")
        if not token:
            break
    return {"pages": len(times), "first": round(statistics.median(times[1:11]), 2), "last": round(statistics.median(times[-10:]), 2)}


def measure(port, rounds):
    client = Client(port)
    out = {}
    for name, (text, order) in QUERIES.items():
        client.search(text, order)
        times = [client.search(text, order) for _ in range(rounds)]
        out[name] = {"ms": round(statistics.median(t for t, _ in times), 2), "rows": len(times[0][1].get("runs", []))}
    return out


def bench(folder, n, rounds):
    home = pathlib.Path(folder) / f"search-{n}"
    database = home / "gyre.db"
    made = None
    if not database.exists():
        support.Server(home).start().stop()
        started = time.monotonic()
        fill_gyre(database, n)
        made = round(time.monotonic() - started, 1)
    server = support.Server(home).start()
    try:
        out = {"runs": n, "made_s": made, "database_mb": os.path.getsize(database) >> 20, "page_of_100_ms": measure(server.port, rounds)}
        client = Client(server.port)
        out["page_1000"] = {"default order": deep(client, []), "metric": deep(client, ["metrics.m3 DESC"]),
                            "param": deep(client, ["params.p2 ASC"])}
        return out
    finally:
        server.stop()


def table(results):
    print("| page of 100, ms (median) | " + " | ".join(f"{r['runs']:,}" for r in results) + " |")
    print("|---|" + "---:|" * len(results))
    for name in QUERIES:
        print(f"| {name} | " + " | ".join(str(r["page_of_100_ms"][name]["ms"]) for r in results) + " |")
    for name in results[0]["page_1000"]:
        print(f"| pages 2-11 / last 10 of 1000, {name} | " + " | ".join(
            f"{r['page_1000'][name]['first']} / {r['page_1000'][name]['last']}" for r in results) + " |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", default="30000,100000")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        results = [bench(options.folder or made, int(n), options.rounds) for n in options.runs.split(",")]
    table(results)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
