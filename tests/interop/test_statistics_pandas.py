# SPDX-License-Identifier: Apache-2.0
"""gyre data profile against pandas, NumPy and SciPy on tables with gaps, ties, offsets and heavy tails."""

import json
import subprocess

import pytest

import support

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")


def profile(cwd, path, *args):
    done = subprocess.run([support.BIN, "data", "profile", str(path), "--json", *args], cwd=cwd, env=support.clean_env(), capture_output=True,
                          text=True, check=True)
    return json.loads(done.stdout)


def make(rows, seed):
    rng = np.random.default_rng(seed)
    base = rng.normal(size=rows)
    t = pd.DataFrame({
        "normal": base, "offset": 1e9 + base * 3 + rng.normal(size=rows), "heavy": rng.standard_cauchy(size=rows), "log": rng.lognormal(0, 2, rows),
        "small": rng.integers(-5, 6, rows), "tenths": np.round(rng.normal(36.6, .8, rows), 1), "word": rng.choice(list("abcdefg"), rows),
        "flag": rng.random(rows) < .2, "tiny": base * 1e-12})
    for c, share in (("normal", .1), ("heavy", .02), ("tenths", .3), ("word", .05)):
        t.loc[rng.random(rows) < share, c] = None
    return t


@pytest.mark.parametrize("rows,seed", [(37, 1), (5000, 2), (90000, 3)])
def test_exact_numbers_are_those_of_pandas(tmp_path, rows, seed):
    t = make(rows, seed)
    t.to_csv(tmp_path / "t.csv", index=False)
    got = {c["name"]: c for c in profile(tmp_path, "t.csv")["columns"]}
    for name in t.columns:
        c, s = got[name], t[name].dropna()
        assert (c["count"], c["missing"]) == (len(s), rows - len(s))
        assert c["distinct"] == s.nunique() and c["distinct_exact"]
        if name == "word":
            counts = s.value_counts()
            assert dict(c["top"]) == counts.to_dict()
            continue
        s = s.astype(float)
        assert c["mean"] == pytest.approx(s.mean(), rel=1e-11, abs=1e-18)
        assert c["sd"] == pytest.approx(s.std(), rel=1e-9)
        assert c["min"] == s.min() and c["max"] == s.max()
        assert c["quantiles"] == pytest.approx(list(np.quantile(s, np.linspace(0, 1, 11))), rel=1e-12, abs=1e-25)
        bins, _ = np.histogram(s, bins=20, range=(s.min(), s.max()))
        assert sum(abs(a - b) for a, b in zip(c["bins"], bins, strict=True)) <= 4  # values on an edge may fall either way
        if name in ("small", "tenths"):
            top = {float(v): n for v, n in c["top"]}
            assert top == s.value_counts().to_dict()


def test_correlations_are_pairwise_complete(tmp_path):
    t = make(20000, 4)
    t.to_csv(tmp_path / "t.csv", index=False)
    got = profile(tmp_path, "t.csv")
    numbers = t.drop(columns="word").astype(float)
    want = numbers.corr()
    for i, a in enumerate(got["numbers"]):
        for k, b in enumerate(got["numbers"]):
            assert got["correlations"][i][k] == pytest.approx(want.loc[a, b], abs=1e-6), (a, b)  # pandas loses digits to the offset
            both = numbers[[a, b]].dropna() if a != b else numbers[[a, a]].dropna()
            x, y = (both.iloc[:, j].to_numpy().astype(np.longdouble) for j in (0, 1))
            x, y = x - x.mean(), y - y.mean()
            assert got["correlations"][i][k] == pytest.approx(float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum())), abs=1e-13), (a, b)


def test_sketches_are_within_their_bound(tmp_path):
    rows = 400_000
    t = make(rows, 5)[["normal", "log", "heavy"]]
    t.to_csv(tmp_path / "t.csv", index=False)
    for c in profile(tmp_path, "t.csv")["columns"]:
        s = np.sort(t[c["name"]].dropna().to_numpy())
        assert not c["distinct_exact"] and abs(c["distinct"] / len(s) - 1) < .035
        bound = np.log2(rows / 4096) / 4096 + 1 / 4096
        for i, q in enumerate(c["quantiles"]):
            assert abs(np.searchsorted(s, q) / len(s) - i / 10) < bound
        assert sum(c["bins"]) == len(s) and (c["min"], c["max"]) == (s[0], s[-1])
