#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long `gyre try` takes: 100,000 rows of 25 columns (22 of numbers, one of text, one of dates, a rare class).

    tests/bench/try.py [--rows 100000] [--budget 20s]

Prints the seconds of each step, the whole, and the peak memory of the process and of its largest child.
"""

import argparse
import json
import math
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


def make(path, rows):
    r = random.Random(1)
    with open(path, "w", encoding="ascii") as out:
        out.write(",".join(f"x{i}" for i in range(20)) + ",age,income,city,joined,churn\n")
        for _ in range(rows):
            x = [r.gauss(0, 1) for _ in range(20)]
            age, income = r.randint(18, 90), r.lognormvariate(10, 0.5)
            z = x[0] + 0.8 * x[1] * x[2] - 0.5 * x[3] ** 2 + 0.8 * (age > 60) - 1e-5 * income - 2.2
            out.write(",".join(f"{v:.4f}" for v in x))
            out.write(f",{age},{income:.2f},c{r.randint(0, 50)},2024-0{r.randint(1, 9)}-1{r.randint(0, 9)},"
                      f"{int(r.random() < 1 / (1 + math.exp(-z)))}\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100000)
    parser.add_argument("--budget", default="20s")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make(os.path.join(folder, "customers.csv"), options.rows)
        start = time.monotonic()
        done = subprocess.run([support.BIN, "try", "customers.csv", "--target", "churn", "--budget", options.budget,
                               "--exit", "--json"], cwd=folder, env=support.clean_env(), capture_output=True, text=True,
                              check=True)
        seconds = time.monotonic() - start
    result = json.loads(done.stdout)
    for step in result["steps"]:
        print(f"{step['name']:24} {step['seconds']:7.2f} s   {step['value']}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{'whole':24} {seconds:7.2f} s   {result['search']['trials']} trials, peak memory {peak:.0f} MiB")


if __name__ == "__main__":
    main()
