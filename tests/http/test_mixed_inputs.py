# SPDX-License-Identifier: Apache-2.0
"""Endpoints whose inputs are texts, times, categories and images: what requests look like, what is logged and warned of, what is refused."""

import base64
import csv
import io
import json
import random
import subprocess
import time

import pytest

import pictures
import serving
import support
from serving import must, request


@pytest.fixture
def server(tmp_path):
    s = support.Server(tmp_path / "home").start()
    yield s
    s.stop()


def gyre(cwd, *args):
    done = subprocess.run([support.BIN, *args], cwd=cwd, env=support.clean_env(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def write(path, rows):
    with open(path, "w", newline="") as f:
        w = csv.DictWriter(f, rows[0].keys())
        w.writeheader()
        w.writerows(rows)


def train(server, cwd, name, params, seed=0):
    (cwd / "params.yaml").write_text(f"seed: {seed}\n" + params)
    gyre(cwd, "train", "t.csv", "--params", "params.yaml", "-o", "m", "--server", server.url, "--register", name)
    return int(json.loads(gyre(cwd, "train", "t.csv", "--params", "params.yaml", "-o", "m", "--server", server.url, "--register", name, "--json"))["version"])


PARAMS = """
train:
  target: y
  features: [when, season, code, city, temp]
  categorical: [code]
  steps: [{dates: [hour, month]}, {onehot: {columns: [season, code], unseen: other}}, {hash: {buckets: 8, columns: [city]}}]
"""


def rows_of(n=200):
    rng = random.Random(4)
    rows = []
    for i in range(n):
        season, hour = rng.choice(["winter", "spring", "summer"]), rng.randrange(24)
        y = {"winter": 0, "spring": 30, "summer": 60}[season] - abs(hour - 12) + rng.random()
        rows.append({"when": f"2024-0{1 + i % 9}-11T{hour:02}:00:00Z", "season": season, "code": rng.randrange(1, 4), "city": f"city {rng.randrange(50)}",
                     "temp": round(rng.gauss(10, 5), 2), "y": round(y, 3)})
    return rows


def flat(row):
    return {"when": row["when"], "season": row["season"], "code": row["code"], "city": row["city"], "temp": row["temp"]}


ALIAS = {"aliases": [{"path": "/rentals", "input": {"season": "jahreszeit"}, "output": {"rentals": "prediction"}}]}


def asked(row):
    body = flat(row)
    body["jahreszeit"] = body.pop("season")
    return body


def test_texts_and_times_are_served(tmp_path, server):
    rows = rows_of()
    write(tmp_path / "t.csv", rows)
    version = train(server, tmp_path, "bikes", PARAMS)
    serving.deploy(server, f"models:/bikes/{version}", name="bikes", project=ALIAS, columns=())
    want = list(csv.DictReader(io.StringIO(gyre(tmp_path, "predict", "m", "t.csv"))))
    for i in (0, 7, 111):
        status, answer, headers = request(server, "POST", "/rentals", asked(rows[i]))
        assert status == 200 and answer["rentals"] == float(want[i]["prediction"]) and "warning" not in answer
    # the open inference protocol: a tensor an input, and one of all
    some = rows[:5]
    tensors = [{"name": k, "shape": [5], "datatype": t, "data": [r[k] for r in some]}
               for k, t in (("when", "BYTES"), ("season", "BYTES"), ("code", "INT64"), ("city", "BYTES"), ("temp", "FP64"))]
    status, answer, _ = request(server, "POST", "/v2/models/bikes/infer", {"inputs": tensors})
    assert status == 200 and serving.outputs(answer)["prediction"] == [float(w["prediction"]) for w in want[:5]]
    matrix = {"name": "x", "shape": [5, 5], "datatype": "BYTES", "data": [list(flat(r).values()) for r in some]}
    status, again, _ = request(server, "POST", "/v2/models/bikes/infer", {"inputs": [matrix]})
    assert status == 200 and serving.outputs(again) == serving.outputs(answer)
    described = must(server, "GET", "/v2/models/bikes")
    assert {i["name"]: i["datatype"] for i in described["inputs"]} == {"when": "BYTES", "season": "BYTES", "code": "INT64", "city": "BYTES", "temp": "FP64"}
    # a time as seconds, a text as a number, what is missing
    seconds = {**asked(rows[0]), "when": 1704974400}
    iso = {**asked(rows[0]), "when": "2024-01-11 12:00:00"}
    assert request(server, "POST", "/rentals", seconds)[1]["rentals"] == request(server, "POST", "/rentals", iso)[1]["rentals"]
    assert request(server, "POST", "/rentals", {**asked(rows[0]), "code": "2"})[1]["rentals"] == request(server, "POST", "/rentals", {**asked(rows[0]), "code": 2})[1]["rentals"]
    assert request(server, "POST", "/rentals", {**asked(rows[0]), "city": None})[0] == 200


def test_an_endpoint_is_tried_with_its_example(tmp_path, server):
    rows = rows_of(60)
    write(tmp_path / "t.csv", rows)
    serving.deploy(server, f"models:/bikes/{train(server, tmp_path, 'bikes', PARAMS)}", name="bikes", project=ALIAS, columns=())
    example = json.loads((tmp_path / "m/input_example.json").read_text())
    want = gyre(tmp_path, "endpoint", "test", "bikes", "--server", server.url, "--json")
    assert json.loads(want)["outputs"] and isinstance(example["data"][0][example["columns"].index("season")], str)
    got = gyre(tmp_path, "endpoint", "test", "bikes", "--server", server.url, "--json", "--row", json.dumps(flat(rows[0])))
    status, answer, _ = request(server, "POST", "/rentals", asked(rows[0]))
    assert json.loads(got)["outputs"][0]["data"] == [answer["rentals"]]


def test_what_is_unseen_is_warned_of_and_logged(tmp_path, server):
    rows = rows_of()
    write(tmp_path / "t.csv", rows)
    serving.deploy(server, f"models:/bikes/{train(server, tmp_path, 'bikes', PARAMS)}", name="bikes", project=ALIAS, columns=())
    status, answer, _ = request(server, "POST", "/rentals", {**asked(rows[0]), "jahreszeit": "monsoon \"x\""})
    assert status == 200 and answer["warning"] == "season: 'monsoon \"x\"' was not seen in training"
    status, answer, _ = request(server, "POST", "/rentals", {**asked(rows[0]), "code": 9})
    assert answer["warning"] == "code: '9' was not seen in training"
    status, answer, headers = request(server, "POST", "/rentals", {**asked(rows[0]), "temp": 99})
    assert answer["warning"].startswith("temp is 99, outside of")
    seen = must(server, "GET", f"{serving.API}/trace/{headers['Gyre-Prediction-Id']}")
    text = json.dumps(seen)
    assert f'"season": "{rows[0]["season"]}"' in text and f'"when": "{rows[0]["when"][:19]}' in text and f'"code": {rows[0]["code"]}' in text


def test_drift_and_replay_know_what_a_text_is(tmp_path, server):
    rows = rows_of(600)
    write(tmp_path / "t.csv", rows)
    first = train(server, tmp_path, "bikes", PARAMS)
    serving.deploy(server, f"models:/bikes/{first}", name="bikes", project=ALIAS, columns=())

    def ask(rows):
        tensors = [{"name": k, "shape": [len(rows)], "datatype": "BYTES" if k in ("when", "season", "city") else "FP64", "data": [r[k] for r in rows]}
                   for k in ("when", "season", "code", "city", "temp")]
        return request(server, "POST", "/v2/models/bikes/infer", {"inputs": tensors})

    def drift(total, *args):
        end = time.monotonic() + 60
        while True:
            done = support.run_gyre("watch", "drift", "bikes", "--home", server.home, "--json", *args, cwd=tmp_path)
            if done.returncode == 0 and json.loads(done.stdout)["drift"]["rows"] == total:
                return {f["name"]: f for f in json.loads(done.stdout)["drift"]["features"]}
            assert time.monotonic() < end, done.stdout + done.stderr
            time.sleep(.02)

    status, answer, headers = ask(rows[:250])
    assert status == 200
    found = drift(250)
    assert not found["season"]["drifted"] and not found["code"]["drifted"] and not found["city"]["drifted"]
    assert ask([{**r, "season": "summer" if i % 4 else "monsoon"} for i, r in enumerate(rows[250:500])])[0] == 200
    drift(500)  # all of it has reached the log: the last window is that of the second request
    found = drift(250, "--window", "250")
    assert found["season"]["drifted"] and not found["code"]["drifted"] and not found["temp"]["drifted"]
    # a table against what the model was trained on
    write(tmp_path / "now.csv", [{**r, "season": "summer"} for r in rows])
    told = json.loads(support.run_gyre("watch", "drift", "--current", "now.csv", "--reference", "m", "--json", cwd=tmp_path).stdout)
    found = {f["name"]: f for f in told["drift"]["features"]}
    assert set(found) >= {"season", "city", "when", "code", "temp"} and found["season"]["drifted"] and not found["city"]["drifted"]
    # another version, on the log, with its own vocabulary
    write(tmp_path / "t.csv", rows[100:])
    second = train(server, tmp_path, "bikes", PARAMS)
    want = list(csv.DictReader(io.StringIO(gyre(tmp_path, "predict", "m", "t.csv"))))
    said = json.loads(support.run_gyre("replay", headers["Gyre-Prediction-Id"], "--model", str(second), "--json", "--home", server.home, cwd=tmp_path).stdout)
    row = said["rows"][100]
    assert row["inputs"]["season"] == rows[100]["season"] and row["now"]["prediction"] == float(want[0]["prediction"])


@pytest.mark.parametrize("change,says", [
    ({"when": "tomorrow"}, "'tomorrow' is no time"),
    ({"when": True}, "is no time"),
    ({"jahreszeit": ["winter"]}, "must be a text"),
    ({"temp": "warm"}, "must be a number"),
])
def test_bad_values_are_refused(tmp_path, server, change, says):
    rows = rows_of(60)
    write(tmp_path / "t.csv", rows)
    serving.deploy(server, f"models:/bikes/{train(server, tmp_path, 'bikes', PARAMS)}", name="bikes", project=ALIAS, columns=())
    status, answer, _ = request(server, "POST", "/rentals", {**asked(rows[0]), **change})
    assert status == 400 and says in answer["error"]


def test_versions_with_other_vocabularies_share_requests(tmp_path, server):
    rows = rows_of()
    write(tmp_path / "t.csv", [r for r in rows if r["season"] != "spring"])
    first = train(server, tmp_path, "bikes", PARAMS)
    write(tmp_path / "t.csv", rows)
    second = train(server, tmp_path, "bikes", PARAMS)
    want = [float(w["prediction"]) for w in csv.DictReader(io.StringIO(gyre(tmp_path, "predict", "m", "t.csv")))]
    serving.deploy(server, f"models:/bikes/{first}", name="bikes", project=ALIAS, columns=())
    must(server, "POST", f"{serving.API}/endpoints/bikes/shadow", {"model": f"models:/bikes/{second}"})
    spring = next(i for i, r in enumerate(rows) if r["season"] == "spring")
    status, answer, headers = request(server, "POST", "/rentals", asked(rows[spring]))
    assert status == 200 and answer["warning"] == "season: 'spring' was not seen in training" and answer["rentals"] != want[spring]
    seen = must(server, "GET", f"{serving.API}/trace/{headers['Gyre-Prediction-Id']}")
    assert seen["shadow"]["outputs"] == [want[spring]]  # the second version knows what the first has not seen
    must(server, "POST", f"{serving.API}/endpoints/bikes/deploy", {"model": f"models:/bikes/{second}", "canary": 1.0})
    status, answer, _ = request(server, "POST", "/rentals", asked(rows[spring]))
    assert status == 200 and answer["rentals"] == want[spring] and "warning" not in answer


def test_a_rule_over_a_text(tmp_path, server):
    write(tmp_path / "t.csv", rows_of(60))
    version = train(server, tmp_path, "bikes", PARAMS)
    body = {"model": f"models:/bikes/{version}", "columns": [], "project": {"rules": [{"name": "r", "when": "season == 'winter'", "then": {"prediction": 1}}]}}
    body["project"]["aliases"] = [{"path": "/rentals", "output": {"rentals": "prediction", "rule": "rule"}}]
    must(server, "POST", f"{serving.API}/endpoints/bikes/deploy", body)
    row = flat(rows_of(60)[0])
    for season, hit in (("winter", True), ("summer", False), ("autumn", False)):
        answer = request(server, "POST", "/rentals", {**row, "season": season})[1]
        assert (answer["rule"] == "r") == hit and (answer["rentals"] == 1) == hit, answer
    body["project"]["rules"][0]["when"] = "season > 'winter'"
    status, answer = serving.ask_anyhow(server, "POST", f"{serving.API}/endpoints/bikes/deploy", body)
    assert status == 400 and "a text can only be compared with" in json.dumps(answer)
    body["project"]["rules"][0]["when"] = "code == 2 and temp > 5"
    must(server, "POST", f"{serving.API}/endpoints/bikes/deploy", body)


def picture(dark, i):
    c = pictures.Canvas(6 + i % 3, 5)
    for x in range(c.width):
        for y in range(5):
            c.dot(x, y, [20 + 3 * x + y + i % 7 if dark else 200 + x + i % 7] * 3)
    return c.png()


def test_images_are_served(tmp_path, server):
    rows = []
    for i in range(60):
        (tmp_path / f"{i}.png").write_bytes(picture(i % 2, i))
        rows.append({"photo": f"{i}.png", "y": i % 2})
    write(tmp_path / "t.csv", rows)
    version = train(server, tmp_path, "dark", "train:\n  target: y\n  image: {column: photo, width: 3, height: 2}\n")
    serving.deploy(server, f"models:/dark/{version}", name="dark", project={"aliases": [{"path": "/dark", "output": {"dark": "prediction"}}]}, columns=())
    for i in (0, 1, 5):
        packed = base64.b64encode(picture(i % 2, i)).decode()
        status, answer, headers = request(server, "POST", "/dark", {"photo": packed})
        assert status == 200 and answer["dark"] == i % 2
        assert request(server, "POST", "/dark", {"photo": "data:image/png;base64," + packed})[1]["dark"] == i % 2
    assert "sha256:" in json.dumps(must(server, "GET", f"{serving.API}/trace/{headers['Gyre-Prediction-Id']}"))
    large = base64.b64encode(pictures.Canvas(2000, 2000, 1).png()).decode()
    many = {"name": "photo", "shape": [17], "datatype": "BYTES", "data": [large] * 17}
    status, answer, _ = request(server, "POST", "/v2/models/dark/infer", {"inputs": [many]})
    assert status in (400, 413) and "pixels together" in answer["error"]
    tensor = {"name": "photo", "shape": [2], "datatype": "BYTES", "data": [base64.b64encode(picture(k, 9)).decode() for k in (1, 0)]}
    status, answer, _ = request(server, "POST", "/v2/models/dark/infer", {"inputs": [tensor]})
    assert status == 200 and serving.outputs(answer)["prediction"] == [1, 0]
    for body, says in (({"photo": base64.b64encode(b"not an image").decode()}, "field 'photo'"), ({"photo": "%%%"}, "is not base64"), ({"photo": 7}, "must be an image")):
        status, answer, _ = request(server, "POST", "/dark", body)
        assert status == 400 and says in answer["error"]
