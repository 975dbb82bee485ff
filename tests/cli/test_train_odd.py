# SPDX-License-Identifier: Apache-2.0
"""Tables from which nothing can be learnt, or too much: each is answered with what is wrong and what to do, by every learner, never with a
crash. See also test_inputs.py (texts, times and images)."""

import csv
import json
import random

import pytest

import pictures
import support

CLASSIFIERS = ["majority", "formula", "logistic", "xgboost", "forest", "mlp", "cnn"]
REGRESSIONS = ["majority", "formula", "linear", "glm", "xgboost", "forest", "mlp", "cnn"]


def write(path, rows):
    with open(path, "w", newline="") as out:
        w = csv.DictWriter(out, rows[0].keys(), lineterminator="\n")
        w.writeheader()
        w.writerows(rows)


@pytest.fixture
def rows(tmp_path):
    """t.csv: two inputs; targets good for something (y, v) and good for nothing (one, word, const, none); odd inputs."""
    rng = random.Random(1)
    made = [{"x": round(rng.random(), 3), "z": round(rng.random(), 3), "y": rng.randrange(2), "v": round(rng.gauss(20, 1), 3), "one": 1, "word": "sick",
             "const": 2.5, "none": "", "empty": "", "colour": rng.choice(["red", "green"])} for _ in range(120)]
    write(tmp_path / "t.csv", made)
    return made


def params(cwd, learner, task=None, **train):
    own = {"formula": {"formula": "min(1, max(0, x))"}, "cnn": {"shape": "2x1", "epochs": 2}, "mlp": {"epochs": 2}}
    train = {"learner": learner, **({"task": task} if task else {}), **({learner: own[learner]} if learner in own else {}), **train}
    (cwd / "params.yaml").write_text(json.dumps({"seed": 3, "train": train}))
    return cwd / "params.yaml"


def train(cwd, table, target, features, learner, *more, **kwargs):
    return support.run_gyre("train", table, "--target", target, "--features", features, "--params", params(cwd, learner, **kwargs), "--json", *more, cwd=cwd)


def refused(done, message, hint):
    assert done.returncode == 3, (done.returncode, done.stderr)
    error = json.loads(done.stdout)["error"]
    assert message in error["message"] and hint in error["hint"], error


def warned(done):
    assert done.returncode == 0, done.stderr + done.stdout
    return "\n".join(json.loads(done.stdout)["warnings"])


@pytest.mark.parametrize("learner", CLASSIFIERS)
def test_one_class_is_refused(rows, tmp_path, learner):
    for target, label in (("one", "1"), ("word", "sick")):
        refused(train(tmp_path, "t.csv", target, "x,z", learner), f"the target '{target}' is '{label}' in every row: there is nothing to tell apart",
                "add rows of another class")


def test_one_class_is_refused_however_it_is_trained(rows, tmp_path):
    for way in (["--folds", "3"], ["--grid", "depth=2,3"], ["--search", "2trials"], ["--evaluate-on", "training"]):
        done = support.run_gyre("train", "t.csv", "--target", "word", "--features", "x,z", *way, cwd=tmp_path)
        assert done.returncode == 3 and "the target 'word' is 'sick' in every row" in done.stderr, (way, done.stderr)


@pytest.mark.parametrize("learner", REGRESSIONS)
def test_a_constant_quantity_is_warned_of(rows, tmp_path, learner):
    done = train(tmp_path, "t.csv", "const", "x,z", learner, "--out", "m", task="regression")
    assert "the target 'const' is 2.5 in every row: there is nothing to learn" in warned(done)
    assert "nothing to learn" in (tmp_path / "m" / "card.json").read_text()
    assert "nothing to learn" not in warned(train(tmp_path, "t.csv", "v", "x,z", learner, task="regression"))


def test_a_target_without_values_is_refused(rows, tmp_path):
    for task in (None, "binary", "regression"):
        refused(train(tmp_path, "t.csv", "none", "x,z", "xgboost", task=task), "the target 'none' has no value in any row", "whose answer is known")


@pytest.mark.parametrize("learner", sorted({*CLASSIFIERS, *REGRESSIONS}))
def test_an_input_without_values_is_warned_of(rows, tmp_path, learner):
    target, task = ("y", None) if learner in CLASSIFIERS else ("v", "regression")
    done = train(tmp_path, "t.csv", target, "x,empty", learner, "--out", "m", task=task)
    assert "'empty' has no value in the training rows: it says nothing" in warned(done)
    # It is as good as not there, and later rows that have it are answered.
    write(tmp_path / "new.csv", [{"x": 0.5, "empty": ""}, {"x": 0.5, "empty": 7}])
    summary = support.run_json("predict", "m", "new.csv", "-o", "out.csv", cwd=tmp_path)
    assert summary["predicted"] == 2
    answers = [r["prediction"] for r in csv.DictReader((tmp_path / "out.csv").open(newline=""))]
    assert all(answers)


@pytest.mark.parametrize("learner", ["linear", "xgboost", "mlp"])
def test_one_row_is_refused(rows, tmp_path, learner):
    write(tmp_path / "one.csv", rows[:1])
    done = train(tmp_path, "one.csv", "v", "x,z", learner, task="regression")
    error = json.loads(done.stdout)["error"]
    assert error["message"] in ("0 rows to train on and 1 held out: not enough", "1 rows to train on and 0 held out: not enough")
    assert "add rows with a value of 'v'" in error["hint"] and done.returncode == 3
    refused(train(tmp_path, "one.csv", "y", "x,z", "logistic"), "in every row", "another class")
    refused(train(tmp_path, "one.csv", "v", "x,z", learner, "--folds", "2", task="regression"), "1 rows do not make 2 folds", "")


def test_one_row_is_predicted_and_measured(rows, tmp_path):
    train(tmp_path, "t.csv", "y", "x,z", "xgboost", "--out", "m")
    write(tmp_path / "one.csv", rows[:1])
    assert support.run_json("predict", "m", "one.csv", "-o", "out.csv", cwd=tmp_path)["predicted"] == 1
    measured = support.run_json("evaluate", "m", "one.csv", "--all-rows", cwd=tmp_path)
    assert measured["rows"] == 1 and measured["metrics"]["accuracy"]["value"] in (0, 1)


@pytest.mark.parametrize("text", ["", "# nothing is said\n", "{}\n"])
def test_parameters_that_say_nothing(rows, tmp_path, text):
    (tmp_path / "empty.yaml").write_text(text)
    done = support.run_json("train", "t.csv", "--target", "y", "--features", "x,z", "--params", "empty.yaml", cwd=tmp_path)
    assert done["metrics"] == support.run_json("train", "t.csv", "--target", "y", "--features", "x,z", cwd=tmp_path)["metrics"]


def test_a_category_that_training_has_not_seen_is_told(rows, tmp_path):
    for step in ("onehot", "ordinal"):
        done = train(tmp_path, "t.csv", "y", "x,colour", "xgboost", "--out", "m", steps=[{step: ["colour"]}])
        assert done.returncode == 0, done.stderr
        write(tmp_path / "new.csv", [{"x": 0.5, "colour": c} for c in ("red", "", "blue", "green", "pink")])
        summary = support.run_json("predict", "m", "new.csv", "-o", "out.csv", cwd=tmp_path)
        assert (summary["rows"], summary["predicted"], summary["unseen"]) == (5, 5, 2)
        said = support.run_gyre("predict", "m", "new.csv", "-o", "out.csv", cwd=tmp_path).stderr
        assert "2 with a text that training has not seen, the first is row 2: colour is 'blue'" in said
        write(tmp_path / "new.csv", [{"x": 0.5, "colour": "red"}])
        assert "has not seen" not in support.run_gyre("predict", "m", "new.csv", "-o", "out.csv", cwd=tmp_path).stderr


def test_a_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / "pic").mkdir()
    table = []
    for i in range(40):
        picture = pictures.Canvas(4, 4)
        for k in range(16):
            picture.dot(k % 4, k // 4, [20 + 200 * (i % 2)] * 3)
        (tmp_path / f"pic/{i}.png").write_bytes(picture.png())
        table.append({"photo": f"pic/{i}.png", "y": i % 2})
    write(tmp_path / "t.csv", table)
    image = {"column": "photo", "width": 4, "height": 4, "grey": True}
    assert train(tmp_path, "t.csv", "y", "photo", "xgboost", "--out", "m", image=image).returncode == 0
    whole = (tmp_path / "pic/3.png").read_bytes()
    for broken in (b"", b"GIF89a no picture at all", whole[: len(whole) // 2], None):
        (tmp_path / "pic/3.png").unlink()
        if broken is not None:
            (tmp_path / "pic/3.png").write_bytes(broken)
        predicted = support.run_gyre("predict", "m", "t.csv", cwd=tmp_path)
        assert predicted.returncode == 0 and "40 rows, 39 predicted" in predicted.stderr
        assert "1 refused, the first is row 3: image 'pic/3.png'" in predicted.stderr
        for done in (train(tmp_path, "t.csv", "y", "photo", "xgboost", image=image),
                     support.run_gyre("evaluate", "m", "t.csv", "--all-rows", cwd=tmp_path)):
            assert done.returncode > 0 and "row 3, image 'pic/3.png'" in done.stderr + done.stdout, (broken, done.returncode, done.stderr)
        (tmp_path / "pic/3.png").write_bytes(whole)


def test_inputs_that_tell_the_target_are_warned_of(rows, tmp_path):
    leaking = [{**r, "twice": 2 * r["v"] + 1, "code": 10 * r["y"] + 1, "verdict": "yes" if r["y"] else "no", "noted": 3 if r["y"] else ""} for r in rows]
    write(tmp_path / "leak.csv", leaking)
    for target, leak, more in (("v", "twice", {"task": "regression"}), ("y", "code", {}), ("y", "noted", {}),
                               ("y", "verdict", {"steps": [{"onehot": ["verdict"]}]})):
        told = warned(train(tmp_path, "leak.csv", target, f"x,{leak}", "xgboost", **more))
        assert f"'{leak}' seems to tell the target itself" in told and "Will it be known when the model is asked?" in told and "'x'" not in told
    assert "seems to tell" not in warned(train(tmp_path, "leak.csv", "y", "x,z", "xgboost"))
