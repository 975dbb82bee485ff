# SPDX-License-Identifier: Apache-2.0
"""gyre evaluate against scikit-learn, to 1e-12: random rows, and rows with ties, constant scores, one class, weights and gaps."""

import csv
import json
import math
import subprocess

import pytest

import support

np = pytest.importorskip("numpy")
sk = pytest.importorskip("sklearn.metrics")
calibration_curve = pytest.importorskip("sklearn.calibration").calibration_curve

pytestmark = pytest.mark.filterwarnings("ignore")


def evaluate(cwd, columns, *args):
    with open(cwd / "t.csv", "w", newline="") as out:
        w = csv.writer(out)
        w.writerow(columns)
        w.writerows(zip(*[[repr(float(v)) if isinstance(v, float) else v for v in c] for c in columns.values()], strict=True))
    done = subprocess.run([support.BIN, "evaluate", "t.csv", "--target", "y", "--replicates", "0", "--json", *args], cwd=cwd,
                          env=support.clean_env(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def listed(a):
    return [v.item() for v in np.asarray(a)]


def check(got, want):
    for name, value in want.items():
        ours = got["metrics"][name]["value"]
        if value is None:  # what can not be told is null
            assert ours is None, (name, ours)
        else:
            assert ours is not None and math.isclose(ours, value, rel_tol=1e-12, abs_tol=1e-12), (name, ours, value)


# ---- binary ----

def binary_case(kind, n, rng):
    p = rng.random(n)
    y = (rng.random(n) < p).astype(int)
    w = None
    if kind == "ties":
        p = np.round(p, 1)
    elif kind == "constant":
        p = np.full(n, 0.5)
    elif kind == "zeros":
        y[:] = 0
    elif kind == "ones":
        y[:] = 1
    elif kind == "weights":
        p, w = np.round(p, 2), rng.integers(0, 4, n) * rng.random(n)
        w[0] += 1
    elif kind == "certain":
        p = np.where(rng.random(n) < .5, 0.0, 1.0)
    elif kind == "rare":
        y = (rng.random(n) < .02).astype(int)
        y[0], p = 1, np.clip(y * .3 + rng.random(n) * .7, 0, 1)
    elif kind == "perfect":
        p = y * .5 + .25
    elif kind == "nobody":
        p = p * .4
    elif kind == "tiny":
        p = p * 1e-300
    return y, p, w


KINDS = ["plain", "ties", "constant", "zeros", "ones", "weights", "certain", "rare", "perfect", "nobody", "tiny"]


def recall_at(y, p, w, floor):
    precision, recall, _ = sk.precision_recall_curve(y, p, sample_weight=w)
    return max(r for q, r in zip(precision, recall, strict=True) if q >= floor)


@pytest.mark.parametrize("n", [1, 2, 37, 1000])
@pytest.mark.parametrize("kind", KINDS)
def test_binary(tmp_path, kind, n):
    y, p, w = binary_case(kind, n, np.random.default_rng(n * 31 + len(kind)))
    columns = {"y": listed(y), "p": listed(p)}
    args = ["--predicted", "p", "--task", "binary"]
    if w is not None:
        columns["w"] = listed(w)
        args += ["--weight", "w"]
    got = evaluate(tmp_path, columns, *args)
    said, both = (p >= .5).astype(int), len(set(y[(w if w is not None else np.ones(n)) > 0])) == 2
    some = bool(y.any())
    want = {
        "accuracy": sk.accuracy_score(y, said, sample_weight=w),
        "precision": sk.precision_score(y, said, sample_weight=w, zero_division=0) if some or said.any() else None,
        "recall": sk.recall_score(y, said, sample_weight=w) if some else None,
        "f1": sk.f1_score(y, said, sample_weight=w) if some or said.any() else None,
        "auc": sk.roc_auc_score(y, p, sample_weight=w) if both else None,
        "log_loss": sk.log_loss(y, p, sample_weight=w, labels=[0, 1]),
        "brier": sk.brier_score_loss(y, p, sample_weight=w, labels=[0, 1], pos_label=1),
        "average_precision": sk.average_precision_score(y, p, sample_weight=w) if some else None,
        "balanced_accuracy": sk.balanced_accuracy_score(y, said, sample_weight=w),
        "mcc": sk.matthews_corrcoef(y, said, sample_weight=w) if both else None,
        "recall_at_precision_90": recall_at(y, p, w, .9) if some else None,
    }
    check(got, want)
    assert set(got["metrics"]) == set(want)
    if w is None:
        tn, fp, fn, tp = sk.confusion_matrix(y, said, labels=[0, 1]).ravel()
        assert got["confusion"] == {"tn": tn, "fp": fp, "fn": fn, "tp": tp}
        assert got["confusion_matrix"] == {"labels": ["0", "1"], "counts": [[tn, fp], [fn, tp]]}
        bins = [b for b in got["calibration"]["bins"] if b["rows"]]
        if both:
            observed, predicted = calibration_curve(y, p, n_bins=10)
            assert [b["observed"]["value"] for b in bins] == pytest.approx(observed, rel=1e-12, abs=1e-12)
            assert [b["predicted"] for b in bins] == pytest.approx(predicted, rel=1e-12, abs=1e-12)
        ece = sum(b["rows"] * abs(b["observed"]["value"] - b["predicted"]) for b in bins) / n
        assert got["calibration"]["ece"]["value"] == pytest.approx(ece, rel=1e-12, abs=1e-12)


# ---- several classes ----

@pytest.mark.parametrize("kind", ["plain", "ties", "missing class", "never said", "weights", "one class", "many"])
@pytest.mark.parametrize("n", [5, 400])
def test_multiclass(tmp_path, kind, n):
    rng = np.random.default_rng(n + len(kind))
    k = 12 if kind == "many" else 4
    p = rng.dirichlet(np.ones(k) * .6, n)
    y = np.array([rng.choice(k, p=row) for row in p])
    w = None
    if kind == "ties":
        p = rng.integers(1, 4, (n, k)).astype(float)
        p /= p.sum(axis=1, keepdims=True)
    elif kind == "missing class":
        y[y == 2] = 1
    elif kind == "never said":
        p[:, 3] = 0
        p /= p.sum(axis=1, keepdims=True)
    elif kind == "weights":
        w = rng.random(n) * 5
    elif kind == "one class":
        y[:] = 1
    names = [f"p{i}" for i in range(k)]
    columns = {"y": listed(y)} | {name: listed(p[:, i]) for i, name in enumerate(names)}
    args = ["--predicted", ",".join(names)]
    if w is not None:
        columns["w"] = listed(w)
        args += ["--weight", "w"]
    got = evaluate(tmp_path, columns, *args)
    said, labels = p.argmax(axis=1), np.arange(k)
    aucs = [sk.roc_auc_score(y == c, p[:, c], sample_weight=w) for c in labels if 0 < (y == c).sum() < n]
    hot = (y[:, None] == labels).astype(float)
    many = dict(sample_weight=w, zero_division=0)
    check(got, {
        "accuracy": sk.accuracy_score(y, said, sample_weight=w),
        "f1_macro": sk.f1_score(y, said, average="macro", **many),
        "log_loss": np.average(-np.log(np.clip(p[np.arange(n), y], np.finfo(float).eps, 1 - np.finfo(float).eps)), weights=w),
        "balanced_accuracy": sk.balanced_accuracy_score(y, said, sample_weight=w),
        "precision_macro": sk.precision_score(y, said, average="macro", **many),
        "recall_macro": sk.recall_score(y, said, average="macro", **many),
        "f1_weighted": sk.f1_score(y, said, average="weighted", **many),
        "auc_ovr": float(np.mean(aucs)) if aucs else None,
        "mcc": sk.matthews_corrcoef(y, said, sample_weight=w) if len(set(y)) > 1 else None,
        "brier": np.average(((p - hot) ** 2).sum(axis=1), weights=w),
    })
    if kind == "plain" and n == 400:
        assert got["metrics"]["auc_ovr"]["value"] == pytest.approx(sk.roc_auc_score(y, p, multi_class="ovr"), rel=1e-12)
        assert got["metrics"]["log_loss"]["value"] == pytest.approx(sk.log_loss(y, p, labels=labels), rel=1e-12)
    assert got["confusion_matrix"]["counts"] == sk.confusion_matrix(y, said, labels=labels).tolist()
    q, r, f, s = sk.precision_recall_fscore_support(y, said, labels=labels, zero_division=0, sample_weight=w)
    for i, c in enumerate(got["classes"]):
        assert c["support"] == (y == i).sum() and c["predicted"] == (said == i).sum()
        if (y == i).any():
            for name, value in (("precision", q[i]), ("recall", r[i]), ("f1", f[i])):
                assert c[name]["value"] == pytest.approx(value, rel=1e-12, abs=1e-12)
        else:
            assert c["recall"]["value"] is None


# ---- values ----

def gini(y, p, w):
    """By hand: the area under the concentration curve, rows of equal prediction together."""
    area = total_w = total_y = 0.0
    for v in np.unique(p):
        at = p == v
        dw, dy = w[at].sum(), (w[at] * y[at]).sum()
        area, total_w, total_y = area + dw * (total_y + dy / 2), total_w + dw, total_y + dy
    return 1 - 2 * area / (total_w * total_y)


@pytest.mark.parametrize("kind", ["plain", "offset", "constant truth", "constant", "weights", "zeros", "negative"])
@pytest.mark.parametrize("n", [2, 500])
def test_regression(tmp_path, kind, n):
    rng = np.random.default_rng(n + len(kind))
    y = rng.gamma(2, 3, n)
    p = y * rng.lognormal(0, .3, n)
    w = None
    if kind == "offset":
        y, p = y + 1e7, p + 1e7
    elif kind == "constant truth":
        y[:] = 2.5
    elif kind == "constant":
        p[:] = 3.0
    elif kind == "weights":
        w, p = rng.random(n) * 3, np.round(p, 0) + .5
    elif kind == "zeros":
        y = np.round(rng.random(n)) * y
        y[0] = 1.0
    elif kind == "negative":
        y, p = y - 5, p - 5
    columns = {"y": listed(y), "p": listed(p)}
    args = ["--predicted", "p", "--task", "regression"]
    if w is not None:
        columns["w"] = listed(w)
        args += ["--weight", "w"]
    got = evaluate(tmp_path, columns, *args)
    ones = np.ones(n) if w is None else w
    same = len(set(y)) == 1
    check(got, {
        "rmse": sk.root_mean_squared_error(y, p, sample_weight=w),
        "mae": sk.mean_absolute_error(y, p, sample_weight=w),
        "mape": sk.mean_absolute_percentage_error(y, p, sample_weight=w),
        "me": np.average(p - y, weights=w),
        "deviance": sk.mean_squared_error(y, p, sample_weight=w),
        "r2": None if same else sk.r2_score(y, p, sample_weight=w),
        "gini": None if same or kind == "negative" else gini(y, p, ones) / gini(y, y, ones),
    } if kind != "offset" else {"rmse": sk.root_mean_squared_error(y, p), "mae": sk.mean_absolute_error(y, p)})
    for power in ["1", "1.5", "2", "3"]:
        positive = (p > 0).all() and (y > 0 if float(power) >= 2 else y >= 0).all()
        got = evaluate(tmp_path, columns, *args, "--power", power)
        check(got, {"deviance": sk.mean_tweedie_deviance(y, p, power=float(power), sample_weight=w) if positive and kind != "offset" else None}
              if kind != "offset" else {})


def test_gini_is_the_one_of_scikit_learns_insurance_example(tmp_path):
    """Its lorenz curve, where no predictions tie: areas by the trapezoidal rule from (0, 0)."""
    rng = np.random.default_rng(8)
    n = 700
    exposure, premium = rng.random(n) + .1, rng.gamma(.2, 500, n)
    risk = premium * rng.lognormal(0, 1, n) + rng.random(n)
    def area(by):
        order = np.argsort(by)
        x, y = np.cumsum(exposure[order]), np.cumsum((premium * exposure)[order])
        return 1 - 2 * sk.auc(np.r_[0, x / x[-1]], np.r_[0, y / y[-1]])
    got = evaluate(tmp_path, {"y": listed(premium), "p": listed(risk), "w": listed(exposure)}, "--predicted", "p", "--weight", "w")
    check(got, {"gini": area(risk) / area(premium)})


# ---- groups ----

def test_fairness_by_group(tmp_path):
    rng = np.random.default_rng(5)
    n = 900
    group = rng.choice(["a", "b", "c"], n, p=[.6, .37, .03])
    p = np.clip(rng.random(n) + (group == "a") * .15, 0, 1)
    y = (rng.random(n) < p).astype(int)
    age = rng.integers(18, 80, n)
    got = evaluate(tmp_path, {"y": listed(y), "p": listed(p), "g": listed(group), "age": listed(age)}, "--predicted", "p", "--group", "g",
                   "--group", "age=30,50", "--group", "age=30,50")
    by_group, by_age = got["fairness"]
    said = (p >= .5).astype(int)
    for told, names, of in ((by_group, ["a", "b", "c"], group), (by_age, ["< 30", "30 to 50", ">= 50"], np.digitize(age, [30, 50]))):
        assert [g["group"] for g in told["groups"]] == names
        rates = []
        for i, g in enumerate(told["groups"]):
            at = of == (i if of.dtype.kind == "i" else names[i])
            tn, fp, fn, tp = sk.confusion_matrix(y[at], said[at], labels=[0, 1]).ravel()
            want = [said[at].mean(), tp / (tp + fn), fp / (fp + tn), tp / (tp + fp)]
            assert [g[k]["value"] for k in ("selection_rate", "tpr", "fpr", "precision")] == pytest.approx(want, rel=1e-12)
            assert g["rows"] == at.sum() and g["counted"] == (at.sum() >= 20)
            rates.append(want)
        rates = np.array(rates)
        assert told["disparate_impact"]["value"] == pytest.approx(rates[:, 0].min() / rates[:, 0].max(), rel=1e-12)
        assert told["four_fifths"] == (rates[:, 0].min() / rates[:, 0].max() >= .8)
        for k, name in enumerate(["equal_opportunity_difference", "predictive_equality_difference", "predictive_parity_difference"], 1):
            assert told[name]["value"] == pytest.approx(np.ptp(rates[:, k]), rel=1e-12)
