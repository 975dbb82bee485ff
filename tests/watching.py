# SPDX-License-Identifier: Apache-2.0
"""What tests of the watcher share: a trained and deployed sepsis model with its profile, patients as traffic, what was found."""

import csv
import threading

import serving
import support

API = serving.API
INPUTS = ("HR", "Resp", "Temp")
RULE = {"name": "sirs", "at_least": 2, "of": ["Temp > 38.5 or Temp < 35.0", "HR > 90", "Resp > 20"],
        "then": {"prediction": 1, "skip_model": True, "reason": "SIRS"}}


def patients(folder, n, seed, *more):
    """n made-up patients as dicts of texts, `isSepsis` among them."""
    path = folder / f"patients-{seed}.csv"
    done = support.run_gyre("data", "synth", "patients", "--rows", n, "--seed", seed, "--positive", 0.3, *more, "-o", path,
                            cwd=folder)
    assert done.returncode == 0, done.stderr
    with open(path, encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


def train_and_deploy(server, folder, project=None, seed=7):
    """A logistic model of 4000 patients as `sepsis`; the revision."""
    patients(folder, 4000, seed)
    model = support.run_json("train", folder / f"patients-{seed}.csv", "--target", "isSepsis", "--features", ",".join(INPUTS),
                             "--learner", "logistic", "--register", "sepsis", "--home", server.home, cwd=folder)
    return serving.deploy(server, f"models:/sepsis/{model['version']}",
                          project={"rules": [RULE], **(project or {})}, columns=[])


def apply(server, **watch):
    return serving.must(server, "POST", f"{API}/watch/apply", {"project": "sepsis", "folder": "/tmp/sepsis", "watch": watch})


def infer(server, rows):
    """One request with all rows; the prediction id."""
    def value(text):
        return float(text) if text else None
    body = {"inputs": [{"name": n, "shape": [len(rows), 1], "datatype": "FP64", "data": [value(r[n]) for r in rows]}
                       for n in INPUTS]}
    status, answer, headers = serving.request(server, "POST", "/v2/models/sepsis/infer", body)
    assert status == 200, answer
    return headers["Gyre-Prediction-Id"]


def traffic(server, rows, batch=100):
    """All rows in requests of `batch`; [(prediction id, its rows)]."""
    return [(infer(server, rows[i:i + batch]), rows[i:i + batch]) for i in range(0, len(rows), batch)]


def label(server, sent):
    """The true label of each row that was sent."""
    lines = [{"prediction_id": pid, "row": i, "label": int(r["isSepsis"])} for pid, rows in sent for i, r in enumerate(rows)]
    for i in range(0, len(lines), 1000):
        got = serving.must(server, "POST", f"{API}/feedback", {"feedback": lines[i:i + 1000]})
        assert got["rejected"] == 0, got


def state(server, query=""):
    """What is watched, of all that was answered so far."""
    return serving.must(server, "GET", f"{API}/watch?wait=1{query}")


def windows(server, query=""):
    """Oldest first."""
    got = serving.must(server, "GET", f"{API}/watch/windows?endpoint=sepsis&limit=10000{query}")["windows"]
    return got[::-1]


def alerts(server, query=""):
    return serving.must(server, "GET", f"{API}/alerts{query}")["alerts"]


class Load(threading.Thread):
    """Sends patients one after the other until told to stop or the server is gone; counts what was answered."""

    def __init__(self, server, rows):
        super().__init__()
        self.server, self.rows, self.answered, self.sent, self.go = server, rows, 0, 0, True
        self.start()

    def run(self):
        while self.go:
            batch = self.rows[self.sent % 100:self.sent % 100 + 7]
            try:
                self.sent += len(batch)
                infer(self.server, batch)
                self.answered += len(batch)
            except (OSError, serving.http.client.HTTPException):
                return

    def stop(self):
        self.go = False
        self.join()
