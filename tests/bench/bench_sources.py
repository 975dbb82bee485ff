#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
r"""What it costs to get records out of images, PostgreSQL, Parquet and S3: gyre beside what people use for it, one after the
other in one run, each from the source to a checked (gyre) or written (others) CSV file.

    tests/bench/bench_sources.py [-h] [--rows 1000000] [--images 3000] [--python .venv/bin/python] [images|postgres|parquet|s3 ...]

The peers run in the environment of --python and are left out, by name, where they are not installed: Pillow (decodes each image),
pyarrow and pandas (read_parquet, to_csv), s3fs and pandas (read_csv, to_csv). The peer of PostgreSQL is psql's \copy, which checks
nothing and has the server write CSV.
Prints wall seconds, CPU seconds and peak memory of the process and its children (not of the database or bucket), and the peer's
CPU divided by gyre's. Both best of three.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))

import postgres  # noqa: E402
import s3server  # noqa: E402
import support  # noqa: E402

TIMES = 3

PEERS = {
    "images": """
import json, sys
from PIL import Image
n = 0
for r in json.loads(open("raw/compounds.json", encoding="utf-8-sig").read()):
    try:
        with Image.open("raw/" + r["image"]) as im:
            im.load()
            n += im.size == (300, 300)
    except FileNotFoundError:
        pass
assert n >= 1
""",
    "parquet": """
import pandas as pd
pd.read_parquet("m.parquet").to_csv("peer.csv", index=False)
""",
    "s3": """
import os, pandas as pd
pd.read_csv("s3://bucket/in/m.csv", storage_options={"endpoint_url": os.environ["GYRE_S3_ENDPOINT"]}).to_csv("peer.csv", index=False)
""",
}
NEEDS = {"images": "PIL", "parquet": "pyarrow, pandas", "s3": "s3fs, pandas"}


def measure(command, cwd, env):
    """(wall s, CPU s, peak MB) of the best of some runs; by a process of its own, whose children are this one alone."""
    probe = ("import json, resource, subprocess, sys, time\nt = time.monotonic()\n"
             "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)\nw = time.monotonic() - t\n"
             "u = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
             "print(json.dumps([w, u.ru_utime + u.ru_stime, u.ru_maxrss / 1024, done.returncode, done.stderr.decode()[-400:]]))")
    best = None
    for _ in range(TIMES):
        out = subprocess.run([sys.executable, "-c", probe, *map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, check=True)
        wall, cpu, peak, code, err = json.loads(out.stdout)
        if code != 0:
            raise SystemExit(f"{command}: exit {code}\n{err}")
        best = min(best or (wall, cpu, peak), (wall, cpu, peak))
    return best


def compare(what, folder, gyre_args, python, env, peer=None):
    clean = support.clean_env(env)
    ours = measure([support.BIN, "data", "ingest", *gyre_args], folder, clean)
    print(f"{what:9} gyre   {ours[0]:7.2f} s {ours[1]:7.2f} s CPU {ours[2]:7.0f} MB")
    have = peer or subprocess.run([python, "-c", f"import {NEEDS[what]}"], capture_output=True, check=False).returncode == 0
    if not have:
        print(f"{what:9} no peer: {python} has not {NEEDS[what]}")
        return
    theirs = measure(peer or [python, "-c", PEERS[what]], folder, clean)
    print(f"{what:9} peer   {theirs[0]:7.2f} s {theirs[1]:7.2f} s CPU {theirs[2]:7.0f} MB   CPU x{theirs[1] / ours[1]:.1f}, "
          f"wall x{theirs[0] / ours[0]:.1f}, memory x{theirs[2] / ours[2]:.1f}")


def images(folder, o):
    import test_compounds
    test_compounds.make(folder / "raw", o.images)
    (folder / "schema.yaml").write_text(test_compounds.SCHEMA)
    compare("images", folder, ("--data-loc", "raw", "--file-name", "compounds.json"), o.python, {})


def table(server, database, rows):
    server.sql(f"CREATE TABLE m AS SELECT i AS id, random() AS x, (random() * 1000)::int AS y, 'name ' || (i % 977) AS s, "
               f"now() + i * interval '1 s' AS t FROM generate_series(1, {rows}) i", database)


def from_postgres(folder, o):
    try:
        server = postgres.start()
    except postgres.Missing as why:
        print(f"postgres  skipped: {why}")
        return
    try:
        url = server.password_url()
        table(server, url.rsplit("/", 1)[1], o.rows)
        compare("postgres", folder, ("--from", url, "--query", "SELECT * FROM m ORDER BY id", "--name", "m"), o.python, {},
                ["psql", "-X", "-q", "-d", url, "-c", "\\copy (SELECT * FROM m ORDER BY id) TO 'peer.csv' CSV HEADER"])
    finally:
        server.stop()


def plain_rows(path, rows):
    with open(path, "w", encoding="utf-8") as out:
        out.write("id,x,y,s\n")
        for i in range(rows):
            out.write(f"{i},{(i * 2654435761 % 1000003) / 1000003},{i * 7919 % 1000},name {i % 977}\n")


def parquet(folder, o):
    plain_rows(folder / "m.csv", o.rows)
    done = subprocess.run([support.BIN, "data", "query", "SELECT * FROM 'm.csv'", "-o", "m.parquet"], cwd=folder, env=support.clean_env(),
                          capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"parquet   skipped: {done.stderr.strip()}")
        return
    compare("parquet", folder, ("m.parquet",), o.python, {})


def s3(folder, o):
    try:
        server = s3server.S3Server(folder / "server")
    except s3server.Missing as why:
        print(f"s3        skipped: {why}")
        return
    server.start()
    try:
        bucket = server.bucket("bucket")
        plain_rows(folder / "m.csv", o.rows)
        server.put(bucket, "in/m.csv", (folder / "m.csv").read_bytes())
        compare("s3", folder, ("--from", f"s3://{bucket}/in/", "--name", "m"), o.python,
                {k: v for k, v in s3server.keys(server.endpoint).items() if v})  # botocore does not take an empty profile
    finally:
        server.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help="images, postgres, parquet, s3; default: all")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--python", default=str(support.ROOT / ".venv/bin/python"))
    o = parser.parse_args()
    o.python = os.path.abspath(o.python)
    all_of_them = {"images": images, "postgres": from_postgres, "parquet": parquet, "s3": s3}
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, {o.rows} rows, {o.images} images, best of {TIMES}")
    for what in o.what or all_of_them:
        with tempfile.TemporaryDirectory(prefix="gyre-bench-") as folder:
            all_of_them[what](pathlib.Path(folder), o)
    return 0


if __name__ == "__main__":
    sys.exit(main())
