#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Profiles of one table: gyre data profile beside DuckDB's SUMMARIZE, pandas' describe and ydata-profiling.

    tests/bench/bench_profile.py --rows 10000000 --venv DIR [--ydata-rows 1000000] [--keep FILE] [--json]

The table has 10 columns: a counter, two normal floats, a skewed one, two small ints, two words (10 and 50,000 kinds), a bool
and a time, with gaps in two of them. DIR is a virtual environment with what peers there are (duckdb, pandas, ydata-profiling); what
is missing is said and left out. DuckDB's SUMMARIZE gives approximate quartiles and counts of different values, no histogram, no top
values and no correlations; a second query adds what SUMMARIZE leaves out (45 correlations, 10 histograms, top values), so that both
did the same work. Times are wall and CPU seconds of a process of its own, the best of --repeat; memory is the largest resident set.
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

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

NUMBERS = ["id", "a", "b", "skew", "small", "grade"]
DUCK = """
import duckdb, sys
c = duckdb.connect(config={{"threads": {threads}}})
src = "read_csv('" + sys.argv[1] + "')"
c.sql("create view t as select * from " + src)
{work}
"""
SUMMARIZE = 'print(len(c.sql("summarize t").fetchall()))'
EQUAL = r'''
n = {numbers!r}
rest = ["flag", "word", "text", "at"]
pairs = [(x, y) for i, x in enumerate(n) for y in n[i + 1:]]
print(len(c.sql("summarize t").fetchall()))
c.sql("select " + ", ".join([f"corr(\"{{x}}\", \"{{y}}\")" for x, y in pairs]
    + [f"histogram({{x}}, range({{lo}}, {{hi}}, {{step}}))" for x, lo, hi, step in
       [("small", 0, 100, 5), ("grade", 0, 10, 1)]]
    + [f"approx_top_k(\"{{x}}\", 1000)" for x in n + rest]
    + [f"approx_quantile(\"{{x}}\", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])" for x in n]) + " from t").fetchall()
'''
PANDAS = """
import pandas, sys
t = pandas.read_csv(sys.argv[1], engine="pyarrow")
print(len(t.describe(include="all")), len(t.corr(numeric_only=True)), len(t.nunique()))
for name in t.columns:
    t[name].value_counts().head(1000)
"""
YDATA = """
import pandas, sys, ydata_profiling
t = pandas.read_csv(sys.argv[1], engine="pyarrow")
ydata_profiling.ProfileReport(t, minimal=True, progress_bar=False).to_file(sys.argv[1] + ".html")
"""


def make(path, rows):
    """With gyre's own generator it would be no fair judge; this one is slow, but anyone's."""
    rng = random.Random(1)
    words = ["red", "green", "blue", "black", "white", "grey", "pink", "teal", "navy", "gold"]
    gauss, rand, below, log = rng.gauss, rng.random, rng.randrange, rng.lognormvariate
    with open(path, "w", buffering=1 << 20) as f:
        f.write("id,a,b,skew,small,grade,flag,word,text,at\n")
        block = []
        for i in range(min(rows, 500_000)):
            a = gauss(0, 1)
            block.append(f"{'' if rand() < .05 else format(a, '.5f')},{a + gauss(0, 1):.4f},{log(0, 1):.6f},{below(100)},"
                         f"{'' if rand() < .2 else below(10)},{'true' if rand() < .3 else 'false'},{words[int(rand() ** 2 * 10)]},"
                         f"w{below(50_000)},2024-{1 + below(12):02}-{1 + below(28):02}T{below(24):02}:{below(60):02}:00Z\n")
        for i in range(rows):  # the values repeat after half a million rows, with noise that keeps floats different
            line = block[i % len(block)]
            f.write(f"{i},{line}" if i < len(block) else f"{i},{line.replace(',', f'{i % 97},', 2)}")


def measure(command, repeat):
    best = None
    for _ in range(repeat):
        start = time.monotonic()
        p = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        error = p.stderr.read()
        _, status, used = os.wait4(p.pid, 0)
        if status:
            raise RuntimeError(error.strip().splitlines()[-1] if error.strip() else f"exit {status}")
        one = {"wall": time.monotonic() - start, "cpu": used.ru_utime + used.ru_stime, "mb": used.ru_maxrss / 1024}
        best = one if best is None or one["wall"] < best["wall"] else best
    return best


def main():
    arg = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arg.add_argument("--rows", type=int, default=1_000_000)
    arg.add_argument("--ydata-rows", type=int, default=100_000, help="ydata-profiling needs some minutes for a million")
    arg.add_argument("--venv", help="with duckdb, pandas, pyarrow, ydata-profiling")
    arg.add_argument("--gyre", default=os.environ.get("GYRE_BIN") or ROOT / "build" / "gyre")
    arg.add_argument("--keep", help="write the table there, or take it when it is there")
    arg.add_argument("--threads", type=int, default=os.cpu_count())
    arg.add_argument("--repeat", type=int, default=3)
    arg.add_argument("--json", action="store_true")
    o = arg.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(o.keep or os.path.join(folder, "t.csv"))
        if not path.exists():
            make(path, o.rows)
        small = pathlib.Path(folder, "small.csv")
        with open(path) as src, open(small, "w") as dst:
            for _ in range(o.ydata_rows + 1):
                dst.write(src.readline())
        python = str(pathlib.Path(o.venv or "", "bin", "python")) if o.venv else sys.executable
        gyre = [str(o.gyre), "data", "profile", "--json", "--threads", str(o.threads)]
        summarize = DUCK.format(threads=o.threads, work=SUMMARIZE)
        equal = DUCK.format(threads=o.threads, work=EQUAL.format(numbers=NUMBERS))
        runs = [("gyre", [*gyre, str(path)]), ("duckdb summarize", [python, "-c", summarize, str(path)]),
                ("duckdb, equal work", [python, "-c", equal, str(path)]), ("pandas", [python, "-c", PANDAS, str(path)]),
                ("gyre, small", [*gyre, str(small)]), ("ydata minimal, small", [python, "-c", YDATA, str(small)])]
        results = {}
        for name, command in runs:
            try:
                results[name] = measure(command, o.repeat if "ydata" not in name else 1)
            except (RuntimeError, OSError) as why:
                print(f"{name}: left out: {why}", file=sys.stderr)
        answer = {"bytes": path.stat().st_size, "rows": o.rows, "small_rows": o.ydata_rows, "threads": o.threads, "runs": results}
        if o.json:
            print(json.dumps(answer, indent=1))
            return
        print(f"{o.rows} rows, {answer['bytes'] / 1e6:.0f} MB, {o.threads} threads; small: {o.ydata_rows} rows")
        print(f"{'':22}{'wall s':>9}{'CPU s':>9}{'MB':>8}{'wall /gyre':>12}{'CPU /gyre':>11}")
        for name, run in results.items():
            base = results["gyre, small" if "small" in name else "gyre"]
            print(f"{name:22}{run['wall']:9.2f}{run['cpu']:9.2f}{run['mb']:8.0f}{run['wall'] / base['wall']:12.2f}{run['cpu'] / base['cpu']:11.2f}")


if __name__ == "__main__":
    main()
