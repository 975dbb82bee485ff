# SPDX-License-Identifier: Apache-2.0
"""The learners mlp and cnn: as good as scikit-learn's network on the same split, the same bytes at any number of threads, and their file read
in Python as docs/formats.md describes it gives the same answers."""

import csv
import hashlib
import json
import struct

import pytest

import pictures
import support

np = pytest.importorskip("numpy", reason="numpy is not installed")
datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
MLPClassifier = pytest.importorskip("sklearn.neural_network").MLPClassifier
StandardScaler = pytest.importorskip("sklearn.preprocessing").StandardScaler

pytestmark = pytest.mark.filterwarnings("ignore")
HOLDOUT, ROWS = 0.25, 1100


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A folder with digits.csv (8 x 8 cells of 0 to 16, and an id), cells, labels."""
    folder = tmp_path_factory.mktemp("digits")
    d = datasets.load_digits()
    x, y = d.data[:ROWS], d.target[:ROWS]
    with open(folder / "digits.csv", "w", newline="") as out:
        w = csv.writer(out, lineterminator="\n")
        w.writerow(["id", *(f"p{i}" for i in range(64)), "digit"])
        w.writerows([i, *map(int, row), int(label)] for i, (row, label) in enumerate(zip(x, y, strict=True)))
    (folder / "schema.yaml").write_text("columns:\n- {name: id, type: int, role: id}\n")
    return folder, x, y


def held_out(seed, n):
    return np.array([int.from_bytes(hashlib.sha256(f"{seed}\n{i}".encode()).digest()[:8], "big") / 2**64 < HOLDOUT for i in range(n)])


def train(folder, learner, settings, seed, out=None, threads=1, target="digit", table="digits.csv"):
    name = f"{learner}-{seed}-{threads}"
    params = {"seed": seed, "holdout": HOLDOUT, "train": {"target": target, "learner": learner, learner: settings}}
    (folder / f"{name}.yaml").write_text(json.dumps(params))
    return support.run_json("train", table, "--params", f"{name}.yaml", "--out", out or name, "--threads", str(threads), cwd=folder)


def reference(x, y, held, seed):
    scale = StandardScaler().fit(x[~held])
    net = MLPClassifier(hidden_layer_sizes=(64, 32), max_iter=200, random_state=seed).fit(scale.transform(x[~held]), y[~held])
    return net.score(scale.transform(x[held]), y[held])


def test_mlp_is_as_good_as_sklearn(digits):
    folder, x, y = digits
    ours, theirs = [], []
    for seed in range(3):
        held = held_out(seed, len(y))
        done = train(folder, "mlp", {}, seed)
        assert done["rows"]["held_out"] == held.sum()
        ours.append(done["metrics"]["accuracy"]["value"])
        theirs.append(reference(x, y, held, seed))
        assert ours[-1] >= theirs[-1] - 0.02, (ours, theirs)
    assert np.mean(ours) >= np.mean(theirs) - 0.015, (ours, theirs)


def test_cnn_is_as_good_as_sklearn(digits):
    folder, x, y = digits
    held = held_out(1, len(y))
    done = train(folder, "cnn", {"shape": "8x8", "epochs": 15, "rate": 0.003, "augment": ["shift"]}, 1)
    ours, theirs = done["metrics"]["accuracy"]["value"], reference(x, y, held, 1)
    # One seed each, and BLAS adds in another order on another kind of processor: 2.5 standard errors of the difference.
    noise = 2.5 * ((ours * (1 - ours) + theirs * (1 - theirs)) / held.sum()) ** 0.5
    assert ours >= theirs - noise, (ours, theirs, noise)


def test_threads_do_not_change_a_byte(digits):
    folder = digits[0]
    for learner, settings in (("mlp", {"layers": [512, 256], "batch": 256, "epochs": 2}), ("cnn", {"shape": "8x8", "conv": [48, "48x5"], "epochs": 1})):
        first = train(folder, learner, settings, 4, out=f"{learner}-a")
        second = train(folder, learner, settings, 4, out=f"{learner}-b", threads=3)
        for name in ("weights.bin", "model.json"):
            assert (folder / f"{learner}-a" / name).read_bytes() == (folder / f"{learner}-b" / name).read_bytes(), (learner, name)
        assert first["metrics"]["accuracy"] == second["metrics"]["accuracy"]


# ---- the file, by docs/formats.md ----

def read_weights(path):
    data = path.read_bytes()
    magic, version, n_layers, width, height, channels, head, n_params, shift, scale, zero = struct.unpack_from("<8s6IQddQ", data)
    assert (magic, version, zero) == (b"GYRENET\0", 1, 0)
    layers = [struct.unpack_from("<3If", data, 64 + 16 * i) for i in range(n_layers)]
    at = 64 + 16 * n_layers
    channel = np.frombuffer(data, "<f4", 2 * channels, at).reshape(channels, 2)
    params = np.frombuffer(data, "<f4", n_params, at + 8 * channels)
    assert len(data) == at + 8 * channels + 4 * n_params + 4
    return (height, width, channels), head, layers, channel.astype(float), params.astype(float), (shift, scale)


def answer(weights, x):
    """Rows through the network in float64: n x outputs."""
    (height, width, channels), head, layers, channel, params, (shift, scale) = weights
    v = (x.reshape(len(x), height, width, channels) - channel[:, 0]) * channel[:, 1]
    at = 0
    for kind, units, size, _ in layers:
        n, h, w, c = v.shape
        if kind in (1, 2):
            k = h * w * c if kind == 1 else size * size * c
            matrix, at = params[at:at + k * units].reshape(k, units), at + k * units
            bias, at = params[at:at + units], at + units
        if kind == 1:
            v = (v.reshape(n, k) @ matrix + bias).reshape(n, 1, 1, units)
        elif kind == 2:
            half = size // 2
            wide = np.pad(v, ((0, 0), (half, half), (half, half), (0, 0)))
            patches = np.stack([wide[:, dy:dy + h, dx:dx + w] for dy in range(size) for dx in range(size)], axis=3)
            v = patches.reshape(n, h, w, k) @ matrix + bias
        elif kind == 3:
            v = v[:, :h // size * size, :w // size * size].reshape(n, h // size, size, w // size, size, c).max(axis=(2, 4))
        elif kind == 4:
            v = np.maximum(v, 0)
    assert at == len(params)
    z = v.reshape(len(v), -1)
    if head == 1:
        return z * scale + shift
    if head == 2:
        return 1 / (1 + np.exp(-z))
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def predict(folder, model, table="digits.csv"):
    done = support.run_gyre("predict", model, table, "-o", f"{model}.jsonl", cwd=folder)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in (folder / f"{model}.jsonl").read_text().splitlines()]


def test_a_cnn_file_read_in_python_answers_the_same(digits):
    folder, x, _ = digits
    train(folder, "cnn", {"shape": "8x8", "conv": [5, "9x5"], "layers": [12], "pool": 3, "epochs": 2}, 5, out="cnn-read")
    want = answer(read_weights(folder / "cnn-read" / "weights.bin"), x)
    got = predict(folder, "cnn-read")
    classes = json.loads((folder / "cnn-read" / "model.json").read_text())["classes"]
    assert np.abs(np.array([a["probability"] for a in got]) - want.max(axis=1)).max() < 1e-5
    assert [a["prediction"] for a in got] == [classes[i] for i in want.argmax(axis=1)]


def test_a_regression_file_read_in_python_answers_the_same(digits):
    folder, x, _ = digits
    with open(folder / "numbers.csv", "w", newline="") as out:
        w = csv.writer(out, lineterminator="\n")
        w.writerow(["a", "b", "y"])
        w.writerows([float(a), float(b), float(1000 + 30 * a * b)] for a, b in x[:400, 10:12])
    done = train(folder, "mlp", {"layers": [20, 9], "dropout": 0, "epochs": 60}, 6, out="value", target="y", table="numbers.csv")
    assert done["metrics"]["r2"]["value"] > 0.9
    model = json.loads((folder / "value" / "model.json").read_text())
    table = np.loadtxt(folder / "numbers.csv", delimiter=",", skiprows=1)[:, :2]
    scaled = np.column_stack([(table[:, i] - f["mean"]) / f["sd"] for i, f in enumerate(simple_steps(model))])
    want = answer(read_weights(folder / "value" / "weights.bin"), scaled)[:, 0]
    got = np.array([a["prediction"] for a in predict(folder, "value", "numbers.csv")])
    assert np.abs(got / want - 1).max() < 1e-5


def simple_steps(model):
    """mean and sd of each input, in either format of model.json."""
    steps = model["features"]
    if "sd" in steps[0]:
        return steps
    z = next(s for s in steps if "sd" in json.dumps(s) and "zscore" in json.dumps(s))
    return [{"mean": m, "sd": s} for m, s in zip(z["mean"], z["sd"], strict=True)]


# ---- what a run keeps, what is refused ----

def test_a_run_keeps_what_was_asked_for(digits):
    folder = digits[0]
    done = train(folder, "mlp", {"layers": [8, 6], "epochs": 4, "rate": 0.01}, 7)
    data = support.run_json("runs", "show", done["run_id"], cwd=folder)["run"]["data"]
    params = {p["key"]: p["value"] for p in data["params"]}
    assert params["layers"] == "8,6" and params["rate"] == "0.01" and params["epochs_run"] == "4"
    assert params["parameters"] == str(64 * 8 + 8 + 8 * 6 + 6 + 6 * 10 + 10)


@pytest.mark.parametrize(("learner", "settings", "says"), [
    ("cnn", {}, "needs pictures"),
    ("cnn", {"shape": "8x9"}, "shape '8x9'"),
    ("cnn", {"shape": "8"}, "shape '8'"),
    ("cnn", {"shape": "8x8x1x1"}, "8x8x1x1"),
    ("cnn", {"shape": "8x8", "conv": ["32x4"]}, "odd kernel"),
    ("cnn", {"shape": "8x8", "conv": ["x"]}, "no convolution"),
    ("cnn", {"shape": "8x8", "augment": ["mirror"]}, "flip, rotate, shift"),
    ("mlp", {"layers": [0]}, "from 1 to"),
    ("mlp", {"schedule": "linear"}, "constant, cosine"),
    ("mlp", {"rate": 1, "epochs": 50, "decay": 9}, "diverged"),
])
def test_refused(digits, learner, settings, says):
    folder = digits[0]
    params = {"train": {"target": "digit", "learner": learner, learner: settings}}
    (folder / "bad.yaml").write_text(json.dumps(params))
    done = support.run_gyre("train", "digits.csv", "--params", "bad.yaml", cwd=folder)
    assert done.returncode != 0 and says in done.stderr, done.stderr


# ---- pictures from files ----

def polygon(rng, sides):
    """40 x 40 in colours on white: a regular polygon somewhere, turned anyhow."""
    c = pictures.Canvas(40, 40)
    radius, turn = rng.uniform(9, 14), rng.uniform(0, 2 * np.pi)
    x, y = rng.uniform(15, 25, 2)
    corners = [(x + radius * np.cos(turn + 2 * np.pi * k / sides), y + radius * np.sin(turn + 2 * np.pi * k / sides)) for k in range(sides)]
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        for dx, dy in ((0, 0), (1, 0), (0, 1)):
            c.line(x0 + dx, y0 + dy, x1 + dx, y1 + dy, (20, 30, int(rng.integers(0, 90))))
    return c.png()


def test_cnn_tells_drawn_shapes_apart(tmp_path):
    rng = np.random.default_rng(8)
    (tmp_path / "img").mkdir()
    rows = [(f"img/{i}.png", ("triangle", "none", "hexagon")[i % 3]) for i in range(450)]
    for i, (name, _) in enumerate(rows):
        (tmp_path / name).write_bytes(polygon(rng, (3, 4, 6)[i % 3]) if i % 3 != 1 else pictures.Canvas(40, 40).png())
    (tmp_path / "shapes.csv").write_text("photo,shape\n" + "".join(f"{a},{b}\n" for a, b in rows))
    params = {"seed": 2, "train": {"target": "shape", "learner": "cnn", "features": ["photo"],
                                   "image": {"width": 20, "height": 20, "grey": True, "column": "photo"},
                                   "cnn": {"augment": ["flip", "rotate", "shift"], "epochs": 25, "rate": 0.003, "batch": 16}}}
    (tmp_path / "params.yaml").write_text(json.dumps(params))
    done = support.run_json("train", "shapes.csv", "--params", "params.yaml", "--out", "model", cwd=tmp_path)
    assert done["metrics"]["accuracy"]["value"] > 0.9
    assert done["baseline"]["metrics"]["accuracy"]["value"] < 0.5
    answers = predict(tmp_path, "model", "shapes.csv")
    assert np.mean([a["prediction"] == b for a, (_, b) in zip(answers, rows, strict=True)]) > 0.9
    data = support.run_json("runs", "show", done["run_id"], cwd=tmp_path)["run"]["data"]
    last = {m["key"]: m for m in data["metrics"]}
    assert last["accuracy"]["step"] == 0 and last["accuracy"]["value"] == done["metrics"]["accuracy"]["value"]  # of held-out rows
    params = {p["key"]: p["value"] for p in data["params"]}
    for name in ("loss", "val_loss", "train_accuracy", "val_accuracy", "learning_rate"):
        assert last[name]["step"] == int(params["epochs_run"]), name
    assert params["augment"] == "flip,rotate,shift"
