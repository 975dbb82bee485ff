# SPDX-License-Identifier: Apache-2.0
"""Inputs that are no plain numbers: texts, categories of whole numbers, times and images; and what odd columns are answered with."""

import csv
import datetime
import io
import json
import random
import subprocess

import pytest

import pictures
import support

G = ["--home", "home"]


def gyre(cwd, *args, ok=True):
    done = subprocess.run([support.BIN, *args, *G], cwd=cwd, env=support.clean_env(), capture_output=True, text=True)
    assert (done.returncode == 0) == ok, done.stderr
    return done.stdout if ok else done.stderr


def train(cwd, table, steps="[]", extra="", learner="xgboost", ok=True, **options):
    rows = "".join(f"  {k}: {v}\n" for k, v in options.items())
    (cwd / "params.yaml").write_text(f"seed: 3\ntrain:\n  learner: {learner}\n  target: y\n  steps: {steps}\n{rows}{extra}")
    out = gyre(cwd, "train", table, "--params", "params.yaml", "-o", "m", "--json", ok=ok)
    return json.loads(out) if ok else out


def features(cwd, table):
    return list(csv.DictReader(io.StringIO(gyre(cwd, "predict", "m", table, "--features"))))


def write(path, rows):
    with open(path, "w", newline="") as f:
        w = csv.DictWriter(f, rows[0].keys())
        w.writeheader()
        w.writerows(rows)


@pytest.fixture
def table(tmp_path):
    rng = random.Random(1)
    rows = []
    for _ in range(300):
        when = datetime.datetime(2024, 1, 1) + datetime.timedelta(hours=rng.randrange(8000))
        season = ["winter", "spring", "summer", "autumn"][when.month % 12 // 3]
        temp = round(rng.gauss(10, 8), 2)
        y = -(when.hour - 12) ** 2 + {"winter": 0, "spring": 30, "summer": 60, "autumn": 20}[season] + temp + rng.gauss(0, 3)
        rows.append({"when": when.isoformat(), "season": season, "code": rng.randrange(1, 4), "city": f"city{rng.randrange(200)}", "temp": temp, "y": round(y, 2)})
    write(tmp_path / "t.csv", rows)
    return rows


STEPS = "[dates: {parts: [hour, month]}, onehot: [season, code], hash: {buckets: 8, columns: [city]}]"


def test_texts_times_and_categories_are_learnt_from(tmp_path, table):
    got = train(tmp_path, "t.csv", STEPS, features="[when, season, code, city, temp]", categorical="[code]")
    assert got["metrics"]["r2"]["value"] > .9 and got["warnings"] == []
    model = json.loads((tmp_path / "m/model.json").read_text())
    assert model["format"] == "gyre.model/2"
    kinds = {i["name"]: (i["type"], i.get("values")) for i in model["inputs"]}
    assert kinds == {"when": ("time", None), "season": ("text", ["autumn", "spring", "summer", "winter"]), "code": ("text", ["1", "2", "3"]),
                     "city": ("text", []), "temp": ("float", None)}
    first = features(tmp_path, "t.csv")[0]
    assert first["season=" + table[0]["season"]] == "1" and first[f"code={table[0]['code']}"] == "1"
    assert int(first["when.hour"]) == datetime.datetime.fromisoformat(table[0]["when"]).hour
    assert sorted(abs(int(v)) for k, v in first.items() if k.startswith("city#")) == [0] * 7 + [1]
    signature = (tmp_path / "m/MLmodel").read_text()
    for column in ('"type":"datetime","name":"when"', '"type":"string","name":"season"', '"type":"double","name":"code"', '"type":"string","name":"city"'):
        assert column in signature
    # the same model whoever asks, and whatever comes beside
    assert train(tmp_path, "t.csv", STEPS, features="[when, season, code, city, temp]", categorical="[code]")["metrics"] == got["metrics"]
    said = json.loads(gyre(tmp_path, "evaluate", "m", "t.csv", "--json"))
    assert said["metrics"]["r2"] == got["metrics"]["r2"]


def test_texts_are_inputs_where_a_step_names_them(tmp_path, table):
    train(tmp_path, "t.csv", "[onehot: [season], dates]")
    names = set(features(tmp_path, "t.csv")[0])
    assert {"season=winter", "when.hour", "code", "temp"} <= names and not any(n.startswith("city") for n in names)
    train(tmp_path, "t.csv")
    assert set(features(tmp_path, "t.csv")[0]) == {"code", "temp"}


def test_what_training_has_not_seen_is_answered(tmp_path, table):
    train(tmp_path, "t.csv", "[onehot: [season], ordinal: [city], dates]")
    write(tmp_path / "new.csv", [{**table[0], "season": "monsoon", "city": "", "when": "2031-02-03"}])
    got = features(tmp_path, "new.csv")[0]
    assert [got[f"season={s}"] for s in ("autumn", "spring", "summer", "winter")] == ["0"] * 4
    assert got["city"] == "" and (got["when.year"], got["when.hour"]) == ("2031", "0")
    write(tmp_path / "new.csv", [{**table[0], "when": "tomorrow"}])
    assert "input 'when': 'tomorrow' is no time" in gyre(tmp_path, "predict", "m", "new.csv", ok=False)


def test_a_vocabulary_is_of_the_training_rows_alone(tmp_path):
    rows = [{"name": f"n{i}", "x": i % 7, "y": i % 2} for i in range(200)]
    write(tmp_path / "t.csv", rows)
    got = train(tmp_path, "t.csv", "[ordinal: [name]]")
    values = next(i for i in json.loads((tmp_path / "m/model.json").read_text())["inputs"] if i["name"] == "name")["values"]
    assert len(values) == got["rows"]["train"] < 200


@pytest.mark.parametrize("options,steps,says,hint", [
    ({"features": "[season, temp]"}, "[]", "input 'season' is text, and the learner 'xgboost' takes numbers", "onehot: [season]"),
    ({"features": "[season, temp]"}, "[zscore: [season]]", "can not work on column 'season', which holds categories", None),
    ({"features": "[temp, nothing]"}, "[]", "feature 'nothing' is not in the table", None),
    ({"categorical": "[temp]"}, "[onehot: [temp]]", "'temp' has values that are not whole", None),
    ({"categorical": "[colour]"}, "[]", "the table has no column 'colour'", None),
    ({"image": "{column: city, width: 4}"}, "[]", "image needs width, height", None),
    ({"image": "{column: city, width: 4, height: 4}"}, "[]", "image 'city", None),
    ({}, "[onehot]", "there is no text among the columns", "onehot: [season]"),
])
def test_what_can_not_be_learnt_from_says_what_to_do(tmp_path, table, options, steps, says, hint):
    got = train(tmp_path, "t.csv", steps, ok=False, **options)
    assert says in got and (hint is None or hint in got)


def test_odd_columns_are_warned_of(tmp_path):
    rng = random.Random(2)
    rows = [{"x": rng.random(), "same": 7, "empty": "", "word": "always", "when": f"2024-01-{rng.randrange(1, 29):02}", "y": i % 2, "leak": (i % 2) * 10 + 1} for i in range(400)]
    write(tmp_path / "t.csv", rows)
    got = train(tmp_path, "t.csv", "[onehot: [word]]", features="[x, same, empty, word, when, leak]")
    told = "\n".join(got["warnings"])
    assert "'leak' seems to tell the target itself" in told and "'same' has the same value" in told
    assert "'empty' has no value" in told and "'word' has the same value" in told and "'when' is learnt from as seconds" in told
    assert len(got["warnings"]) == 5
    assert json.loads((tmp_path / "m/card.json").read_text())["warnings"] == got["warnings"]
    assert "warning: 'leak' seems to tell" in gyre(tmp_path, "train", "t.csv", "--target", "y", "--features", "x,leak")


def test_too_little_to_learn_from(tmp_path):
    write(tmp_path / "one.csv", [{"x": 1, "y": 1}])
    assert "the target 'y' is '1' in every row" in gyre(tmp_path, "train", "one.csv", "--target", "y", ok=False)
    write(tmp_path / "one.csv", [{"x": 1, "y": 1.5}])
    assert "not enough" in gyre(tmp_path, "train", "one.csv", "--target", "y", "--params", str(regression(tmp_path)), ok=False)
    write(tmp_path / "same.csv", [{"x": i, "y": 1} for i in range(50)])
    assert "the target 'y' is '1' in every row" in gyre(tmp_path, "train", "same.csv", "--target", "y", ok=False)


def regression(cwd):
    (cwd / "r.yaml").write_text("train: {task: regression}\n")
    return cwd / "r.yaml"


def test_images_are_inputs(tmp_path):
    (tmp_path / "pic").mkdir()
    rows = []
    for i in range(60):
        dark = i % 2
        picture = pictures.Canvas(6 + i % 3, 5)
        for x in range(picture.width):
            for y in range(5):
                picture.dot(x, y, [20 + 3 * x + y if dark else 200 + x] * 3)
        (tmp_path / f"pic/{i}.png").write_bytes(picture.png())
        rows.append({"photo": f"pic/{i}.png", "y": dark})
    write(tmp_path / "t.csv", rows)
    image = "{column: photo, width: 3, height: 2, grey: true}"
    got = train(tmp_path, "t.csv", image=image)
    assert got["metrics"]["accuracy"]["value"] == 1
    seen = features(tmp_path, "t.csv")
    assert list(seen[0]) == [f"photo[{k}]" for k in range(6)]
    assert float(seen[0]["photo[0]"]) > 190 and float(seen[1]["photo[0]"]) < 60
    assert '"type":"binary","name":"photo"' in (tmp_path / "m/MLmodel").read_text()
    gyre(tmp_path, "evaluate", "m", "t.csv")
    (tmp_path / "pic/7.png").write_bytes(b"this is no image")
    assert "row 7, image 'pic/7.png'" in train(tmp_path, "t.csv", image=image, ok=False)
    rows[7]["photo"] = "../outside.png"
    write(tmp_path / "t.csv", rows)
    assert "row 7, image '../outside.png'" in train(tmp_path, "t.csv", image=image, ok=False)
