# SPDX-License-Identifier: Apache-2.0
"""Feature steps against scikit-learn on tables with gaps, ties and offsets: `gyre predict --features` prints what the learner sees."""

import hashlib
import subprocess

import pytest

import support

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pytest.importorskip("sklearn")

from sklearn import impute, preprocessing  # noqa: E402

HOLDOUT = .3


def gyre(cwd, *args):
    done = subprocess.run([support.BIN, *args, "--home", str(cwd / "home")], cwd=cwd, env=support.clean_env(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def make(rows, seed):
    rng = np.random.default_rng(seed)
    t = pd.DataFrame({
        "normal": rng.normal(size=rows), "offset": 1e6 + rng.normal(size=rows) * 3, "positive": rng.lognormal(0, 2, rows), "small": rng.integers(-3, 4, rows),
        "tenths": np.round(rng.normal(36.6, .8, rows), 1), "constant": np.full(rows, .1), "grade": rng.integers(0, 12, rows)})
    t["y"] = t.normal * 2 + rng.normal(size=rows)
    return t


class Steps:
    """Fits a list of steps on the training rows of a table and applies it to every row."""

    def __init__(self, cwd):
        self.cwd = cwd

    def __call__(self, table, steps, features):
        table.to_csv(self.cwd / "t.csv", index=False)  # repr: reads back as the same bits
        (self.cwd / "params.yaml").write_text(f"holdout: {HOLDOUT}\ntrain:\n  learner: majority\n  target: y\n  task: regression\n"
                                              f"  features: [{', '.join(features)}]\n  steps: {steps}\n")
        gyre(self.cwd, "train", "t.csv", "--params", "params.yaml", "--out", "m", "-q")
        gyre(self.cwd, "predict", "m", "t.csv", "--features", "-o", "f.csv")
        return pd.read_csv(self.cwd / "f.csv", float_precision="round_trip")

    def fitted_on(self):
        """The rows of training, by the split that docs/formats.md describes: the hash of seed and record."""
        hashes = [hashlib.sha256(b"0\n" + line).hexdigest()[:16] for line in (self.cwd / "t.csv").read_bytes().splitlines()[1:]]
        return np.array([int(h, 16) >= HOLDOUT * 2 ** 64 for h in hashes])


@pytest.fixture
def steps(tmp_path):
    return Steps(tmp_path)


def same(ours, theirs):
    np.testing.assert_allclose(np.asarray(ours, float), np.asarray(theirs, float), rtol=1e-12, atol=1e-12)


NUMBERS = ["normal", "offset", "positive", "small", "tenths", "constant"]


def test_minmax_and_zscore(steps):
    t = make(400, 1)
    t.loc[::7, "tenths"] = None
    for ours, theirs in (("[minmax]", preprocessing.MinMaxScaler()),
                         ("[minmax: {low: -2, high: 5, clip: true}]", preprocessing.MinMaxScaler((-2, 5), clip=True)),
                         ("[zscore]", preprocessing.StandardScaler())):
        got = steps(t, ours, NUMBERS)
        want = theirs.fit(t.loc[steps.fitted_on(), NUMBERS]).transform(t[NUMBERS])
        assert list(got.columns) == NUMBERS and 0 < steps.fitted_on().sum() < len(t)
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-9)  # offset: 1e6 with a deviation of 3 has 1e-10 left
        same(got[["normal", "positive", "small", "tenths"]], want[:, [0, 2, 3, 4]])


@pytest.mark.parametrize("by", ["mean", "median", "mode"])
def test_impute(steps, by):
    t = make(300, 2)
    for i, c in enumerate(NUMBERS):
        t.loc[i::9, c] = None
    got = steps(t, f"[impute: {{by: {by}, indicator: true}}]", NUMBERS)
    theirs = impute.SimpleImputer(strategy={"mode": "most_frequent"}.get(by, by), add_indicator=True)
    same(got, theirs.fit(t.loc[steps.fitted_on(), NUMBERS]).transform(t[NUMBERS]))


@pytest.mark.parametrize("settings,options", [("2", {"degree": 2}), ("3", {"degree": 3}), ("5", {"degree": 5}),
                                              ("{degree: 4, interaction_only: true}", {"degree": 4, "interaction_only": True})])
def test_polynomial_terms_and_their_order(steps, settings, options):
    t = make(60, 3)
    got = steps(t, f"[polynomial: {settings}]", ["normal", "tenths", "small", "positive"])
    theirs = preprocessing.PolynomialFeatures(include_bias=False, **options).fit(t[["normal", "tenths", "small", "positive"]])
    assert list(got.columns) == [n.replace(" ", "*") for n in theirs.get_feature_names_out()]
    want = theirs.transform(t[["normal", "tenths", "small", "positive"]])
    assert (np.asarray(got) == want).all()  # the same products in the same order: the same bits
    if settings == "2":
        with_bias = steps(t, "[polynomial: {bias: true}]", ["normal", "tenths"])
        assert (np.asarray(with_bias) == preprocessing.PolynomialFeatures(2).fit_transform(t[["normal", "tenths"]])).all()


@pytest.mark.parametrize("settings,options", [
    ("", {}), (", drop: first", {"drop": "first"}), (", drop: if_binary", {"drop": "if_binary"}), (", top: 5", {"max_categories": 6})])
def test_onehot(steps, settings, options):
    t = make(300, 4)
    t["flag"] = t.small > 0
    t["flag"] = t.flag.astype(int)
    columns = ["grade", "small", "flag"] if "top" not in settings else ["grade"]
    got = steps(t, f"[onehot: {{columns: [{', '.join(columns)}]{settings}}}]", columns)
    theirs = preprocessing.OneHotEncoder(sparse_output=False, handle_unknown="ignore", **options).fit(t.loc[steps.fitted_on(), columns])
    want = theirs.transform(t[columns])
    names = [n[::-1].replace("_", "=", 1)[::-1].replace("infrequent=sklearn", "*").replace("_*", "=*") for n in theirs.get_feature_names_out()]
    assert list(got.columns) == names
    same(got, want)


def test_ordinal(steps):
    t = make(300, 5)
    got = steps(t, "[ordinal: [grade, small]]", ["grade", "small"])
    theirs = preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1).fit(t.loc[steps.fitted_on(), ["grade", "small"]])
    same(got, theirs.transform(t[["grade", "small"]]))


@pytest.mark.parametrize("by,strategy", [("quantile", "quantile"), ("width", "uniform")])
def test_bins(steps, by, strategy):
    t = make(500, 6)
    columns = ["normal", "positive", "tenths", "small"]
    got = steps(t, f"[bins: {{bins: 4, by: {by}}}]", columns)
    options = {"quantile_method": "linear"} if strategy == "quantile" else {}
    theirs = preprocessing.KBinsDiscretizer(4, encode="ordinal", strategy=strategy, subsample=None, **options)
    same(got, theirs.fit(t.loc[steps.fitted_on(), columns]).transform(t[columns]))


def test_log_clip_and_select_as_numpy_and_pandas(steps):
    t = make(300, 7)
    same(steps(t, "[log: [positive]]", ["positive"]).positive, np.log1p(t.positive))
    same(steps(t, "[log: {offset: 0, base: 10}]", ["positive"]).positive, np.log10(t.positive))
    got = steps(t, "[clip: {quantiles: [0.05, 0.9]}]", ["positive"])
    same(got.positive, t.positive.clip(*np.quantile(t.positive[steps.fitted_on()], [.05, .9])))
    got = steps(t, "[polynomial, select: 0.3]", ["normal", "positive", "tenths"])
    terms = steps(t, "[polynomial]", ["normal", "positive", "tenths"])
    r = terms[steps.fitted_on()].corrwith(t.y[steps.fitted_on()]).abs()
    assert list(got.columns) == [c for c in terms.columns if r[c] >= .3] and 0 < len(got.columns) < len(terms.columns)
