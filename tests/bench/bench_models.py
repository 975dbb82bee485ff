#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Many models in one process: what a start with 500 of them costs, what they take, and what a budget of memory does.

    tests/bench/bench_models.py [--models 500] [--trainings 10] [--rounds 3] [--depth 4] [--json FILE]

Each model is 100 trees over 8 features, as `gyre train` makes them (2,000 rows); --trainings of them differ in their trees, the others are
copies with another note in the folder, so that every package has its own digest and is read and parsed by itself. Measured, each in a new process:

    serve     gyre serve FOLDER...            server    gyre server, 500 endpoints deployed before
    budget    gyre serve --model-memory of a tenth, then requests to models at random

Start is from exec to the line that tells the address; CPU is of all threads until then (schedstat); RSS is right after, of which the models
are gyre_model_bytes. Then one request, on a new connection, to a model that nobody has asked yet. Medians of --rounds.
"""

import argparse
import json
import pathlib
import random
import shutil
import statistics
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "tests" / "bench"))
import serve  # noqa: E402
import serving  # noqa: E402
import support  # noqa: E402

ROWS, REQUESTS = 2000, 2000


def train(folder, options):
    """Packages of that many trainings, which differ by their seed."""
    serve.ROWS = ROWS
    serve.make_table(folder / "table.csv")
    (folder / "params.yaml").write_text(serve.PARAMS.replace(f"depth: {serve.DEPTH}", f"depth: {options.depth}"))
    made = []
    for seed in range(options.trainings):
        made.append(folder / f"trained{seed}")
        support.run_json("train", "table.csv", "--target", "y", "--params", "params.yaml", "--seed", seed, "-o", made[-1],
                         "--home", folder / "training", cwd=folder, timeout=600)
    return made


def packages(folder, options):
    made = train(folder, options)
    (folder / "models").mkdir()
    folders = []
    for i in range(options.models):
        folders.append(folder / "models" / f"m{i}")
        shutil.copytree(made[i % len(made)], folders[-1])
        (folders[-1] / "note.txt").write_text(f"model {i}\n")
    return folders


def cpu_s(pid):
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return sum(int((t / "schedstat").read_text().split()[0]) for t in tasks) / 1e9


def gauge(server, name):
    for line in serving.request(server, "GET", "/metrics")[1].decode().splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise SystemExit(f"no metric {name}")


def row(rng):
    return serving.v2([[round(rng.gauss(0, 1), 4) for _ in range(serve.FEATURES)]])


def ask(server, model, rng):
    """Seconds of one request on a new connection."""
    body = row(rng)
    start = time.perf_counter()
    status, answer, _ = serving.request(server, "POST", f"/v2/models/{model}/infer", body)
    if status != 200:
        raise SystemExit(f"{model}: {status} {answer}")
    return time.perf_counter() - start


def measure_start(server, last):
    start = time.perf_counter()
    server.start()
    wall, cpu, rss = time.perf_counter() - start, cpu_s(server.pid), server.rss_kb() / 1024
    first = ask(server, last, random.Random(1))
    models = gauge(server, "gyre_model_bytes") / 2 ** 20
    return {"start_ms": wall * 1000, "cpu_ms": cpu * 1000, "rss_mb": rss, "models_mb": models, "rest_mb": rss - models, "first_ms": first * 1000}


def measure_budget(server, names):
    rng = random.Random(2)
    connection = serving.Connection(server)
    took = []
    before, cpu = gauge(server, "gyre_model_loads_total"), cpu_s(server.pid)
    for _ in range(REQUESTS):
        body, model = row(rng), rng.choice(names)
        start = time.perf_counter()
        status, answer = connection.ask(body, f"/v2/models/{model}/infer")
        took.append(time.perf_counter() - start)
        if status != 200:
            raise SystemExit(f"{model}: {status} {answer}")
    connection.close()
    took.sort()
    return {"loads": gauge(server, "gyre_model_loads_total") - before, "p50_ms": took[len(took) // 2] * 1000,
            "p99_ms": took[len(took) * 99 // 100] * 1000, "cpu_ms_a_request": (cpu_s(server.pid) - cpu) * 1000 / REQUESTS,
            "rss_mb": server.rss_kb() / 1024, "models_mb": gauge(server, "gyre_model_bytes") / 2 ** 20}


def deploy_all(server, folders):
    """As `gyre models register` and `gyre endpoint deploy` would; the proofs are those of the trainings."""
    for folder in folders:
        files = {f.name: f.read_bytes() for f in folder.iterdir()}
        version, _ = serving.register(server, name=folder.name, files=files)
        serving.deploy(server, f"models:/{folder.name}/{version}", name=folder.name, project={}, columns=())


def run(options, folder):
    folders = packages(folder, options)
    names = [f.name for f in folders]
    results = {"package_kb": sum(f.stat().st_size for f in (folders[0] / "model.ubj", folders[0] / "model.json")) / 1024}
    rounds = []
    for i in range(options.rounds):
        server = support.Server(folder / f"alone{i}", folders, verb=("serve",))
        rounds.append(measure_start(server, names[-1]))
        server.stop()
    results["serve"] = {k: statistics.median(r[k] for r in rounds) for k in rounds[0]}
    limit = int(results["serve"]["models_mb"] * 2 ** 20 / 10)
    server = support.Server(folder / "budget", ["--model-memory", limit, *folders], verb=("serve",))
    results["budget"] = measure_start(server, names[0])
    results["budget"].update(measure_budget(server, names))
    server.stop()
    server = support.Server(folder / "home").start()
    deploy_all(server, folders)
    server.stop()
    rounds = []
    for _ in range(options.rounds):
        rounds.append(measure_start(server, names[-1]))
        server.stop()
    results["server"] = {k: statistics.median(r[k] for r in rounds) for k in rounds[0]}
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=500)
    parser.add_argument("--trainings", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--keep", type=pathlib.Path, help="work in this folder and leave it")
    options = parser.parse_args()
    if options.keep:
        options.keep.mkdir(parents=True)
        results = run(options, options.keep)
    else:
        with tempfile.TemporaryDirectory() as folder:
            results = run(options, pathlib.Path(folder))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    print(f"{options.models} models of {results['package_kb']:.0f} KB\n")
    print("| | start ms | CPU ms | RSS MB | models MB | rest MB | first answer ms |\n|---|---|---|---|---|---|---|")
    for name in ("serve", "server", "budget"):
        r = results[name]
        print(f"| {name} | " + " | ".join(f"{r[k]:.{0 if k.startswith(('start', 'cpu')) else 1}f}"
                                          for k in ("start_ms", "cpu_ms", "rss_mb", "models_mb", "rest_mb", "first_ms")) + " |")
    b = results["budget"]
    print(f"\nbudget of a tenth: {REQUESTS} requests, {b['loads']:.0f} loads; p50 {b['p50_ms']:.2f} ms, p99 {b['p99_ms']:.2f} ms, "
          f"{b['cpu_ms_a_request']:.2f} ms CPU a request; RSS {b['rss_mb']:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
