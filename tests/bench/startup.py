#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How fast and how small: `gyre version`, server start to ready, idle memory, beside /bin/true and (when installed in the test
environment) `mlflow server`. Prints a Markdown table. Usage: tests/bench/startup.py [ROUNDS]"""

import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
import support  # noqa: E402


def whole_process_ms(command, rounds):
    times = []
    for _ in range(rounds + 3):
        start = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times[3:])


def rss_mb(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def children_rss_mb(pid):
    total = rss_mb(pid)
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        total += children_rss_mb(int(child))
    return total


def ready_ms(command, url, env, cwd):
    """From the start of the process to its first 200; (ms, resident MB over the process tree a second later)."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env, cwd=cwd)
    try:
        if url is None:
            line = process.stdout.readline()
            url = line[line.index('http'):].split('"')[0] + "/health"
        while True:
            try:
                with urllib.request.urlopen(url, timeout=1) as answer:
                    if answer.status == 200:
                        break
            except OSError:
                if time.perf_counter() - start > 120 or process.poll() is not None:
                    raise
                time.sleep(0.001)
        ready = (time.perf_counter() - start) * 1000
        time.sleep(1)
        return ready, children_rss_mb(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def gyre_server():
    home = tempfile.mkdtemp()
    try:
        return ready_ms([str(support.BIN), "server", "--port", "0", "--json", "--home", home + "/.gyre"], None,
                        support.clean_env(), home)
    finally:
        shutil.rmtree(home)


def mlflow_server(mlflow):
    home = tempfile.mkdtemp()
    port = 5791
    try:
        return ready_ms([mlflow, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--backend-store-uri",
                         f"sqlite:///{home}/mlflow.db", "--artifacts-destination", home + "/artifacts"],
                        f"http://127.0.0.1:{port}/health", dict(os.environ), home)
    finally:
        shutil.rmtree(home)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    true_ms = whole_process_ms(["/bin/true"], rounds)
    version_ms = whole_process_ms([str(support.BIN), "version"], rounds)
    servers = [gyre_server() for _ in range(max(5, rounds // 10))]
    print("| what | median | beside it |\n|---|---|---|")
    print(f"| `gyre version`, whole process | {version_ms:.1f} ms | `/bin/true` {true_ms:.1f} ms |")
    ready = statistics.median(s[0] for s in servers)
    memory = statistics.median(s[1] for s in servers)
    mlflow = ROOT / ".venv/bin/mlflow"
    beside = ["-", "-"]
    if mlflow.exists():
        peer = mlflow_server(str(mlflow))
        beside = [f"`mlflow server` {peer[0]:.0f} ms", f"`mlflow server` {peer[1]:.0f} MB"]
    print(f"| server start to the first 200 of /health | {ready:.0f} ms | {beside[0]} |")
    print(f"| idle server, resident memory | {memory:.1f} MB | {beside[1]} |")


if __name__ == "__main__":
    main()
