# SPDX-License-Identifier: Apache-2.0
"""SQL over a CSV: Gyre's reader as a table of DuckDB, against DuckDB's own read_csv in the same process.

    python tests/bench/bench_query.py [--rows 10000000] [--threads 2] [--rounds 3] [--folder DIR]

The file has ten columns (10,000,000 rows are 1.06 GB). Both sides are `gyre data query`, one process a run, in turns; the table shows the best
of the rounds: wall time, CPU time, peak memory, and Gyre divided by DuckDB. Also printed: the same questions to Parquet, and what each side makes of a
file in which a few quotes are never closed. One JSON document at the end. Not run in CI.
"""

import argparse
import json
import os
import pathlib
import random
import resource
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import support  # noqa: E402

AGGREGATES = ("SELECT count(*), sum(hr), avg(temp), min(resp), max(lactate), approx_count_distinct(patient), count(ward) FROM {}")
QUESTIONS = {
    "count(*)": "SELECT count(*) FROM {}",
    "one column": "SELECT sum(hr) FROM {}",
    "7 aggregates": AGGREGATES,
    "group by": "SELECT ward, count(*), avg(temp) FROM {} GROUP BY ward",
    "texts": "SELECT max(note), count(DISTINCT ward) FROM {}",
    "times": "SELECT min(taken), max(taken) FROM {}",
    "all columns": "SELECT count(COLUMNS(*)) FROM {}",
}


def write_csv(path, rows, seed=7):
    rng = random.Random(seed)
    wards = ["A1", "A2", "B1", "B2", "ICU", "ER"]
    block = []
    for i in range(50000):
        block.append(f",{rng.randrange(500000)},{rng.choice(wards)},{rng.randrange(40, 180)},{35 + rng.random() * 6:.1f},{rng.randrange(8, 40)},"
                     f"{rng.random() * 8:.3f},2024-{1 + i % 12:02d}-{1 + i % 28:02d}T{i % 24:02d}:{i % 60:02d}:{i % 59:02d}Z,"
                     f"{'true' if i % 3 else 'false'},note {rng.randrange(10 ** 9)} of a nurse\n")
    with open(path, "w", encoding="utf-8") as f:
        f.write("id,patient,ward,hr,temp,resp,lactate,taken,flag,note\n")
        for start in range(0, rows, len(block)):
            f.write("".join(f"{start + k}{line}" for k, line in enumerate(block[:rows - start])))


def measure(args, cwd):
    """(wall seconds, CPU seconds, MiB) of one run."""
    begin = time.monotonic()
    child = subprocess.Popen([support.BIN, "data", "query", *args], cwd=cwd, env=support.clean_env(), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    out, err = child.stdout.read(), child.stderr.read()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"{args}: {err.decode()}")
    return time.monotonic() - begin, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, out


def compare(name, ours, theirs, cwd, rounds, results):
    best = {}
    for _ in range(rounds):
        for side, args in (("gyre", ours), ("duckdb", theirs)):
            got = measure(args, cwd)
            if side not in best or got[0] < best[side][0]:
                best[side] = got
    g, d = best["gyre"], best["duckdb"]
    print(f"{name:24s} gyre {g[0]:7.2f} s {g[1]:7.2f} CPU s {g[2]:6.0f} MiB   read_csv {d[0]:7.2f} s {d[1]:7.2f} CPU s {d[2]:6.0f} MiB"
          f"   ratio {g[0] / d[0]:5.2f} wall {g[1] / d[1]:5.2f} CPU", flush=True)
    results[name] = {"gyre": g[:3], "duckdb": d[:3], "wall_ratio": round(g[0] / d[0], 3), "cpu_ratio": round(g[1] / d[1], 3)}


def broken(cwd, rows, results):
    """A quote that is never closed, now and then: how many records each side gives."""
    rng = random.Random(3)
    open_at = {rng.randrange(rows) for _ in range(100)}
    with open(cwd / "broken.csv", "w", encoding="utf-8") as f:
        f.write("id,note,x\n")
        for i in range(rows):
            f.write(f'{i},"note {i}{"" if i in open_at else chr(34)},{i % 10}\n')
    answer = json.loads(measure(["SELECT count(*), count(id) FROM 'broken.csv'", "--json"], cwd)[3])["rows"][0]
    theirs = ("SELECT count(*), count(id) FROM read_csv('broken.csv', header = true, delim = ',', quote = '\"', escape = '\"', "
              "columns = {'id': 'BIGINT', 'note': 'VARCHAR', 'x': 'BIGINT'}, ignore_errors = true)")
    other = json.loads(measure([theirs, "--json"], cwd)[3])["rows"][0]
    print(f"{len(open_at)} open quotes in {rows} records: gyre {answer[0]} rows, {answer[1]} of them read; "
          f"read_csv(ignore_errors) {other[0]} rows")
    results["broken"] = {"records": rows, "open_quotes": len(open_at), "gyre": answer, "duckdb": other}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rows", type=int, default=10000000)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int, default=0, help="0: one a CPU")
    p.add_argument("--folder", type=pathlib.Path, help="where the files are made (and kept); a new one else")
    o = p.parse_args()
    with tempfile.TemporaryDirectory() as made:
        cwd = o.folder or pathlib.Path(made)
        cwd.mkdir(parents=True, exist_ok=True)
        if not (cwd / "x.csv").exists():
            write_csv(cwd / "x.csv", o.rows)
        size = (cwd / "x.csv").stat().st_size
        print(f"{o.rows} rows, {size / 1e9:.2f} GB, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, "
              f"limit of memory {resource.getrlimit(resource.RLIMIT_AS)[0]}")
        results = {"rows": o.rows, "bytes": size}
        more = ["--threads", str(o.threads)]
        for name, sql in QUESTIONS.items():
            compare(name, [sql.format("'x.csv'"), *more], [sql.format("read_csv('x.csv')"), *more], cwd, o.rounds, results)
        for name, flags in (("to Parquet", []), ("to Parquet, unordered", ["--unordered"])):
            compare(name, ["FROM 'x.csv'", "-o", "a.parquet", *flags, *more], ["FROM read_csv('x.csv')", "-o", "b.parquet", *flags, *more],
                    cwd, o.rounds, results)
        same = json.loads(measure(["SELECT (SELECT count(*) FROM (FROM 'a.parquet' EXCEPT ALL FROM 'b.parquet'))", "--json"], cwd)[3])
        results["rows_that_differ"] = same["rows"][0][0]
        broken(cwd, min(o.rows, 300000), results)
        print(json.dumps(results))


if __name__ == "__main__":
    main()
