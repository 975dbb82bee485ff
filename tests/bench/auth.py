#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a login costs: predictions a second with and without `--auth`, side by side, and the first request of a login.

    tests/bench/auth.py [--rounds N] [--seconds S]      needs wrk; prints medians and the ratio
"""

import argparse
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import identity  # noqa: E402
import serving  # noqa: E402
import support  # noqa: E402

M = "/api/2.0/mlflow"
BODY = {"hr": 104, "resp": 22, "temp": 38.9}


def deploy(server, headers):
    experiment = identity.must(server, "POST", f"{M}/experiments/search", {"max_results": 1}, headers)["experiments"][0]["experiment_id"]
    run = identity.must(server, "POST", f"{M}/runs/create", {"experiment_id": experiment}, headers)["run"]["info"]
    for name, text in serving.package().items():
        path = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run['run_id']}/artifacts/model/{name}"
        identity.must(server, "PUT", path, text.encode(), headers)
    identity.must(server, "POST", f"{M}/registered-models/create", {"name": "sepsis"}, headers)
    identity.must(server, "POST", f"{M}/model-versions/create",
                  {"name": "sepsis", "source": run["artifact_uri"] + "/model", "run_id": run["run_id"]}, headers)
    identity.must(server, "POST", f"{serving.API}/models/sepsis/versions/1/proof", {"servable": True, "reason": "by hand"}, headers)
    identity.must(server, "POST", f"{serving.API}/endpoints/sepsis/deploy",
                  {"model": "models:/sepsis/1", "project": serving.PROJECT, "columns": ["WBC"]}, headers)


def rate(server, headers, seconds, folder):
    lines = ['wrk.method = "POST"', 'wrk.body = \'{"hr":104,"resp":22,"temp":38.9}\'', 'wrk.headers["Content-Type"] = "application/json"']
    lines += [f'wrk.headers["{k}"] = "{v}"' for k, v in headers.items()]
    script = folder / "ask.lua"
    script.write_text("\n".join(lines))
    out = subprocess.run(["wrk", "-t1", "-c8", f"-d{seconds}s", "-s", str(script), server.url + "/predictions"], capture_output=True,
                         text=True, check=True).stdout
    assert "Non-2xx" not in out, out
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))


def first(server, headers):
    """Milliseconds of a request whose login nobody remembers."""
    begun = time.perf_counter()
    identity.must(server, "GET", f"{serving.API}/whoami", headers=headers)
    return (time.perf_counter() - begun) * 1e3


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=4)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        servers = {"without": support.Server(folder / "off", ["--log-drop"]).start(),
                   "with": support.Server(folder / "on", ["--auth", "on", "--log-drop"]).start()}
        try:
            headers = {"without": {}, "with": identity.add_user(servers["with"], "ada", "admin", password=identity.PASSWORD)}
            rates = {side: [] for side in servers}
            for side, server in servers.items():
                deploy(server, headers[side])
            for _ in range(asked.rounds):
                for side, server in servers.items():
                    rates[side].append(rate(server, headers[side], asked.seconds, folder))
            tokens, passwords = [], []
            for i in range(asked.rounds):
                tokens.append(first(servers["with"], identity.add_user(servers["with"], f"u{i}", "viewer")))
                passwords.append(first(servers["with"], identity.basic("ada", identity.PASSWORD)))
        finally:
            for server in servers.values():
                server.stop()
                server.clean()
    pairs = [b / a for a, b in zip(rates["without"], rates["with"])]
    print(f"predictions/s without {statistics.median(rates['without']):.0f}, with {statistics.median(rates['with']):.0f}, "
          f"ratio {statistics.median(pairs):.3f} ({min(pairs):.3f} to {max(pairs):.3f})")
    print(f"first request of a token {statistics.median(tokens):.1f} ms, of a password {statistics.median(passwords):.1f} ms")


if __name__ == "__main__":
    main()
