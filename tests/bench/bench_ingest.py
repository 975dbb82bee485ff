#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CSV with a schema check and 1 % bad rows: Gyre beside DuckDB, Polars, and pandas with pandera, in one run.

    tests/bench/bench_ingest.py [--size 1GB] [--runs 3] [--threads N] [--peers DIR] [--keep DIR] [--only NAME,...]

Makes the file (10 columns: ids, categories, numbers, dates, quoted texts; a tenth of the bad rows each of a wrong type, a
value out of range, missing fields, a missing value, an unknown category), then runs each way in turns, as a process of its
own. What each of them does:

    gyre      gyre data ingest: every record checked, dead letters with all reasons and their bytes, canonical data.csv,
              its SHA-256 and MD5 and that of the source, a dataset version
    duckdb    read_csv(store_rejects=true) with the column types into a table, the constraints as SQL, the good rows to CSV,
              the rejects to CSV
    polars    read_csv as text, cast and filter lazily, good and bad rows to CSV
    pandas    read_csv(engine="pyarrow", dtype_backend="pyarrow") as text, to numbers, pandera schema with lazy=True, the
              good and the bad rows to CSV (rows with too few fields are dropped by its on_bad_lines)

The peers live in a virtual environment of its own (--peers, made when absent; needs a network once). Prints wall seconds
(best), CPU seconds (median), memory (largest), and ratios to Gyre.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PACKAGES = ["duckdb", "polars", "pandas", "pyarrow", "pandera"]
WARDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]

SCHEMA = """columns:
  - {name: id, type: int, required: true%s}
  - {name: ward, type: string, required: true, values: [alpha, beta, gamma, delta, epsilon, zeta, eta, theta]}
  - {name: age, type: int, min: 0, max: 120, required: true}
  - {name: temp, type: float, min: 30, max: 45}
  - {name: hr, type: int, min: 20, max: 300, required: true}
  - {name: name, type: string}
  - {name: score, type: float}
  - {name: active, type: bool}
  - {name: day, type: time}
  - {name: note, type: string}
"""

DUCKDB = """
import duckdb, sys
source, out = sys.argv[1:3]
c = duckdb.connect()
c.execute('SET enable_progress_bar=false')
c.execute('''CREATE TEMP TABLE t AS SELECT * FROM read_csv(?, store_rejects=true, header=true, columns={
  'id':'BIGINT','ward':'VARCHAR','age':'BIGINT','temp':'DOUBLE','hr':'BIGINT','name':'VARCHAR','score':'DOUBLE',
  'active':'BOOLEAN','day':'DATE','note':'VARCHAR'})''', [source])
good = '''(ward IN ('alpha','beta','gamma','delta','epsilon','zeta','eta','theta')) AND age BETWEEN 0 AND 120
  AND (temp IS NULL OR temp BETWEEN 30 AND 45) AND hr BETWEEN 20 AND 300 AND id IS NOT NULL'''
c.execute(f"COPY (SELECT * FROM t WHERE {good}) TO '{out}/good.csv' (HEADER)")
c.execute(f"COPY (SELECT * FROM t WHERE ({good}) IS NOT TRUE) TO '{out}/bad.csv' (HEADER)")
c.execute(f"COPY (SELECT * FROM reject_errors) TO '{out}/rejects.csv' (HEADER)")
kept = c.execute(f"SELECT count(*) FROM t WHERE {good}").fetchone()[0]
print(kept)
"""

POLARS = """
import polars as pl, sys
source, out = sys.argv[1:3]
t = pl.scan_csv(source, infer_schema=False, truncate_ragged_lines=True)
t = t.with_columns(id_=pl.col('id').cast(pl.Int64, strict=False), age_=pl.col('age').cast(pl.Int64, strict=False),
  temp_=pl.col('temp').cast(pl.Float64, strict=False), hr_=pl.col('hr').cast(pl.Int64, strict=False),
  score_=pl.col('score').cast(pl.Float64, strict=False), day_=pl.col('day').str.to_date(strict=False),
  active_=pl.col('active').replace_strict({'true': True, 'false': False}, default=None, return_dtype=pl.Boolean))
wards = ['alpha','beta','gamma','delta','epsilon','zeta','eta','theta']
good = (pl.col('id_').is_not_null() & pl.col('ward').is_in(wards) & pl.col('age_').is_between(0, 120)
  & (pl.col('temp').is_null() | pl.col('temp_').is_between(30, 45)) & pl.col('hr_').is_between(20, 300)
  & (pl.col('score').is_null() | pl.col('score_').is_not_null())
  & (pl.col('active').is_null() | pl.col('active_').is_not_null())
  & (pl.col('day').is_null() | pl.col('day_').is_not_null())).fill_null(False)
t = t.with_columns(good=good).collect()
kept = t.filter('good')
kept.select('id_','ward','age_','temp_','hr_','name','score_','active_','day_','note').write_csv(f'{out}/good.csv')
t.filter(~pl.col('good')).select('id','ward','age','temp','hr','name','score','active','day','note').write_csv(f'{out}/bad.csv')
print(kept.height)
"""

PANDAS = """
import sys, pandas as pd, warnings
warnings.filterwarnings('ignore')
try:
    import pandera.pandas as pa
except ImportError:
    import pandera as pa
source, out = sys.argv[1:3]
names = ['id','ward','age','temp','hr','name','score','active','day','note']
t = pd.read_csv(source, engine='pyarrow', dtype_backend='pyarrow', dtype={n: 'string[pyarrow]' for n in names},
  on_bad_lines=lambda row: 'skip')
for n in ('id', 'age', 'temp', 'hr', 'score'):
    t[n] = pd.to_numeric(t[n], errors='coerce')
t['day'] = pd.to_datetime(t['day'], errors='coerce', format='%Y-%m-%d')
t['active'] = t['active'].map({'true': True, 'false': False})
C, K = pa.Column, pa.Check
wards = ['alpha','beta','gamma','delta','epsilon','zeta','eta','theta']
schema = pa.DataFrameSchema({'id': C(nullable=False), 'ward': C(checks=K.isin(wards), nullable=False),
  'age': C(checks=K.in_range(0, 120), nullable=False), 'temp': C(checks=K.in_range(30, 45), nullable=True),
  'hr': C(checks=K.in_range(20, 300), nullable=False), 'name': C(nullable=True), 'score': C(nullable=True),
  'active': C(nullable=True), 'day': C(nullable=True), 'note': C(nullable=True)})
try:
    schema.validate(t, lazy=True)
    bad = t.iloc[:0].index
except pa.errors.SchemaErrors as e:
    bad = e.failure_cases['index'].dropna().unique()
good = t.drop(index=bad)
good.to_csv(f'{out}/good.csv', index=False)
t.loc[bad].to_csv(f'{out}/bad.csv', index=False)
print(len(good))
"""


def make(path, size):
    """The file, deterministic; some 75 bytes a row."""
    r, n, written = random.Random(20261127), 0, 0
    notes = ["Berlin", "Paris", '"Oslo, NO"', "Rome", "Madrid", '"Wien ""neu"""']
    with open(path, "w", newline="", encoding="utf-8") as f:
        f.write("id,ward,age,temp,hr,name,score,active,day,note\n")
        block = []
        while written < size:
            n += 1
            row = [str(n), WARDS[r.randrange(8)], str(r.randint(0, 99)), f"{r.uniform(34, 42):.1f}", str(r.randint(40, 180)),
                   f"Patient {r.randrange(10**6):06d}", repr(r.uniform(-1, 1)) if n % 4 == 0 else f"{r.uniform(-100, 100):.4f}",
                   "true" if n & 1 else "false", f"2026-{r.randint(1, 12):02d}-{r.randint(1, 28):02d}", notes[r.randrange(6)]]
            if r.random() < 0.01:
                kind = r.randrange(5)
                if kind == 0:
                    row[2] = "abc"
                elif kind == 1:
                    row[3] = "99.9"
                elif kind == 2:
                    row = row[:8]
                elif kind == 3:
                    row[4] = ""
                else:
                    row[1] = "unknown"
            block.append(",".join(row))
            written += len(block[-1]) + 1
            if len(block) == 20000:
                f.write("\n".join(block) + "\n")
                block = []
        f.write("\n".join(block) + ("\n" if block else ""))
    return n


def run(command, cwd):
    """(wall s, CPU s, peak MB, stdout) of a process and its children."""
    start = time.monotonic()
    child = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, why = child.communicate()
    wall = time.monotonic() - start
    if child.returncode != 0:
        raise RuntimeError(f"{command[:3]}: exit {child.returncode}\n{why[-2000:]}")
    return wall, out


def measure(command, cwd):
    """The same with CPU and memory, by GNU time's way: a helper process that waits for the one command."""
    code = ("import json,os,resource,subprocess,sys,time\nt=time.monotonic()\n"
            "p=subprocess.run(sys.argv[1:],capture_output=True,text=True)\nw=time.monotonic()-t\n"
            "u=resource.getrusage(resource.RUSAGE_CHILDREN)\n"
            "print(json.dumps([w,u.ru_utime+u.ru_stime,u.ru_maxrss/1024,p.returncode,p.stdout,p.stderr[-2000:]]))")
    _, answer = run([sys.executable, "-c", code, *map(str, command)], cwd)
    wall, cpu, rss, status, out, why = json.loads(answer)
    if status != 0:
        raise RuntimeError(f"{command[:3]}: exit {status}\n{why}")
    return wall, cpu, rss, out


def parse_size(text):
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if text.upper().endswith(unit):
            return int(float(text[:-2]) * factor)
    return int(text)


def peers(folder):
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    missing = subprocess.run([str(python), "-c", "import " + ",".join(PACKAGES)], capture_output=True, check=False).returncode
    if missing:
        subprocess.run([str(python), "-m", "pip", "-q", "install", *PACKAGES], check=True)
    return python


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--size", default="1GB", type=parse_size, help="of the CSV file: 200MB, 1GB")
    p.add_argument("--runs", default=3, type=int)
    p.add_argument("--threads", default=0, type=int, help="of gyre; the others take what they find")
    p.add_argument("--peers", default=str(pathlib.Path.home() / ".cache" / "gyre-bench-peers"), help="their virtual environment")
    p.add_argument("--keep", help="folder for the file and the outputs (kept); default: a temporary one")
    p.add_argument("--only", default="", help="gyre,gyre-unique,duckdb,polars,pandas")
    p.add_argument("--gyre", default=os.environ.get("GYRE_BIN", str(ROOT / "build" / "gyre")))
    o = p.parse_args()
    wanted = [w for w in o.only.split(",") if w] or ["gyre", "gyre-unique", "duckdb", "polars", "pandas"]
    folder = pathlib.Path(o.keep or tempfile.mkdtemp(prefix="gyre-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / f"bench-{o.size}.csv"
    if not source.exists():
        make(folder / "making.csv", o.size)
        (folder / "making.csv").rename(source)
    (folder / "schema.yaml").write_text(SCHEMA % "")
    (folder / "unique.yaml").write_text(SCHEMA % ", unique: true")
    python = peers(pathlib.Path(o.peers)) if set(wanted) - {"gyre", "gyre-unique"} else None
    threads = ["--threads", o.threads] if o.threads else []
    commands = {
        "gyre": [o.gyre, "data", "ingest", source, "--schema", "schema.yaml", "--json", "-o", "gyre", "--name", "bench", *threads],
        "gyre-unique": [o.gyre, "data", "ingest", source, "--schema", "unique.yaml", "--json", "-o", "gyre", "--name", "bench",
                        *threads],
        "duckdb": [python, "-c", DUCKDB, source, "duckdb"],
        "polars": [python, "-c", POLARS, source, "polars"],
        "pandas": [python, "-c", PANDAS, source, "pandas"],
    }
    found, kept = {w: [] for w in wanted}, {}
    source.read_bytes() # into the page cache
    for _ in range(o.runs):
        for w in wanted:
            (folder / w.split("-")[0]).mkdir(exist_ok=True)
            for old in [folder / "dlq.log", folder / "gyre" / "data.csv"]:
                old.unlink(missing_ok=True)
            shutil.rmtree(folder / ".gyre", ignore_errors=True)
            *figures, out = measure(commands[w], folder)
            found[w].append(figures)
            kept[w] = json.loads(out)["accepted"] if w.startswith("gyre") else int(out.split()[-1])
    base = [min(f[0] for f in found[wanted[0]]), statistics.median(f[1] for f in found[wanted[0]])]
    print(f"{source.stat().st_size / 1e6:.0f} MB, {o.runs} runs each, {len(os.sched_getaffinity(0))} CPUs, load {os.getloadavg()[0]:.1f}")
    print(f"{'':12} {'wall s':>8} {'CPU s':>8} {'peak MB':>8} {'kept':>10}   wall and CPU as multiples of {wanted[0]}")
    for w in wanted:
        wall, cpu = min(f[0] for f in found[w]), statistics.median(f[1] for f in found[w])
        print(f"{w:12} {wall:8.2f} {cpu:8.2f} {max(f[2] for f in found[w]):8.0f} {kept[w]:10}   "
              f"{wall / base[0]:5.2f} {cpu / base[1]:5.2f}")
    if not o.keep:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
