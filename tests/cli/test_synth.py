# SPDX-License-Identifier: Apache-2.0
"""gyre data synth profile and spec: rows like those of another table, or by a recipe."""

import csv
import json
import math
import statistics

import pytest

import support

SPEC = """
rows: 6000
seed: 7
columns:
  - {name: id, dist: id}
  - {name: person, dist: keys, n: 300, type: string}
  - {name: age, type: int, dist: normal, mean: 60, sd: 15, min: 18, max: 100}
  - {name: wbc, dist: lognormal, median: 7.5, sigma: 0.4, decimals: 1}
  - {name: hr, type: int, dist: normal, mean: 80, sd: 20, min: 30, max: 220}
  - {name: ward, values: {icu: 1, er: 3, "x, y": 1}}
  - {name: dice, type: int, dist: uniform, min: 1, max: 6}
  - {name: at, dist: time, from: 2024-01-01, to: 2024-12-31}
  - {name: flag, type: bool, values: {true: 1, false: 4}}
  - {name: sick, type: int, role: label, formula: "hr > 90 and (wbc > 9 or ward = 'icu')"}
correlations: [[age, hr, 0.5], [hr, wbc, -0.3]]
"""


def synth(cwd, *args, **kwargs):
    return support.run_json("data", "synth", *args, cwd=cwd, **kwargs)


def rows(path):
    with open(path, newline="", errors="replace") as f:
        return list(csv.DictReader(f))


def numbers(table, name):
    return [float(r[name]) for r in table if r[name] != ""]


def profile(cwd, *args):
    return support.run_json("data", "profile", *args, cwd=cwd)


def spec(tmp_path, *args, text=SPEC, out="o.csv"):
    (tmp_path / "spec.yaml").write_text(text)
    answer = synth(tmp_path, "spec", "spec.yaml", "-o", out, *args)
    return answer, rows(tmp_path / out)


def test_a_recipe_gives_what_it_says(tmp_path):
    answer, table = spec(tmp_path)
    assert answer["rows"] == len(table) == 6000
    assert [r["id"] for r in table] == [str(i) for i in range(1, 6001)]
    assert len({r["person"] for r in table}) == 300
    age, wbc = numbers(table, "age"), numbers(table, "wbc")
    assert min(age) >= 18 and max(age) <= 100 and abs(statistics.mean(age) - 60) < 1 and abs(statistics.stdev(age) - 15) < 1
    assert abs(statistics.median(wbc) - 7.5) < .2 and all(round(v, 1) == v for v in wbc)
    assert abs(statistics.stdev(map(math.log, wbc)) - .4) < .02
    share = {w: sum(r["ward"] == w for r in table) / 6000 for w in ("icu", "er", "x, y")}
    assert share["er"] == pytest.approx(.6, abs=.02) and share["x, y"] == pytest.approx(.2, abs=.02)
    dice = numbers(table, "dice")
    assert all(abs(dice.count(k) - 1000) < 120 for k in range(1, 7)) and set(dice) == set(range(1, 7))
    assert {r["at"][:4] for r in table} == {"2024"} and {len(r["at"]) for r in table} == {10} and max(r["at"] for r in table) == "2024-12-31"
    assert sum(r["flag"] == "true" for r in table) / 6000 == pytest.approx(.2, abs=.02)
    for r in table:
        assert int(r["sick"]) == (float(r["hr"]) > 90 and (float(r["wbc"]) > 9 or r["ward"] == "icu"))
    assert statistics.correlation(age, numbers(table, "hr")) == pytest.approx(.5, abs=.04)
    assert statistics.correlation(numbers(table, "hr"), wbc) == pytest.approx(-.3, abs=.05)


def test_seed_gaps_and_drift_touch_only_what_they_name(tmp_path):
    _, one = spec(tmp_path, "--rows", "500")
    first = (tmp_path / "o.csv").read_bytes()
    _, again = spec(tmp_path, "--rows", "500")
    assert (tmp_path / "o.csv").read_bytes() == first
    _, other = spec(tmp_path, "--rows", "500", "--seed", "8")
    assert other != one
    _, spoilt = spec(tmp_path, "--rows", "500", "--missing", "wbc=.3", "--drift", "hr=+20", "--drift", "age=*2")
    gaps = sum(r["wbc"] == "" for r in spoilt)
    assert 110 < gaps < 190
    for a, b in zip(one, spoilt, strict=True):
        assert b["wbc"] in ("", a["wbc"]) and int(b["hr"]) == int(a["hr"]) + 20 and int(b["age"]) == 2 * int(a["age"])
        assert all(a[k] == b[k] for k in ("id", "person", "ward", "dice", "at", "sick", "flag"))  # the label stays what it was


@pytest.mark.parametrize("how", ["option", "spec", "share"])
def test_balance_is_exact(tmp_path, how):
    text = SPEC + ("balance: {0: 3, 1: 1}\n" if how == "spec" else "")
    args = {"option": ["--balance", "0=.75,1=.25"], "share": ["--balance", ".25"], "spec": []}[how]
    answer, table = spec(tmp_path, "--rows", "800", *args, text=text)
    assert sum(r["sick"] == "1" for r in table) == answer["positives"] == 200
    assert all(int(r["sick"]) == (float(r["hr"]) > 90 and (float(r["wbc"]) > 9 or r["ward"] == "icu")) for r in table)


def test_bad_records_become_the_dead_letters_of_the_ledger(tmp_path):
    answer, _ = spec(tmp_path, "--bad", "40", "--bad-ledger", "bad.jsonl", "--schema-out", "schema.yaml")
    assert answer["bad"] == 40
    got = support.run_json("data", "ingest", "o.csv", "--schema", "schema.yaml", cwd=tmp_path)
    assert (got["read"], got["accepted"], got["dead"]) == (6040, 6000, 40)
    codes = [json.loads(line)["code"] for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert {c: codes.count(c) for c in codes} == got["codes"] and len(got["codes"]) >= 7


def test_rows_like_those_of_a_real_table(tmp_path, data_dir):
    source = data_dir / "sepsis_vitals.csv"
    real = profile(tmp_path, source, "--label", "isSepsis")
    (tmp_path / "s.json").write_text(json.dumps(real))
    synth(tmp_path, "profile", "s.json", "--rows", "40000", "-o", "m.csv", "--schema-out", "m.yaml")
    synth(tmp_path, "profile", source, "--label", "isSepsis", "--rows", "40000", "-o", "m2.csv")
    assert (tmp_path / "m.csv").read_bytes() == (tmp_path / "m2.csv").read_bytes()
    made = profile(tmp_path, "m.csv", "--label", "isSepsis", "--against", source)
    for a, b in zip(real["columns"], made["columns"], strict=True):
        assert a["name"] == b["name"] and abs(a["missing"] / 36302 - b["missing"] / 40000) < .01
        if a["name"] in ("HR", "O2Sat", "Temp", "SBP", "MAP", "DBP", "Resp", "isSepsis"):
            assert a["type"] == b["type"] and b["min"] >= a["min"] and b["max"] <= a["max"]
            assert abs(a["mean"] - b["mean"]) < .03 * a["sd"] and abs(b["sd"] / a["sd"] - 1) < .03, a["name"]
            assert made["jensen_shannon"][a["name"]] < .01
    for x in ("HR", "Temp", "Resp", "SBP", "MAP", "DBP", "isSepsis"):
        for y in ("HR", "Temp", "Resp", "SBP", "MAP", "DBP", "isSepsis"):
            def r(p):
                return p["correlations"][p["numbers"].index(x)][p["numbers"].index(y)]
            assert abs(r(real) - r(made)) < .03, (x, y, r(real), r(made))
    seen = set(source.read_text().splitlines())
    assert len(seen & set((tmp_path / "m.csv").read_text().splitlines()[1:])) < 40000 * .001
    ingested = support.run_json("data", "ingest", "m.csv", "--schema", "m.yaml", cwd=tmp_path)
    assert ingested["accepted"] == 40000  # within type, range and domain


def test_a_balanced_label_takes_what_goes_with_it_along(tmp_path, data_dir):
    source = data_dir / "sepsis_vitals.csv"
    answer = synth(tmp_path, "profile", source, "--label", "isSepsis", "--balance", ".5", "--rows", "8000", "-o", "m.csv")
    table = rows(tmp_path / "m.csv")
    assert answer["positives"] == 4000 == sum(r["isSepsis"] == "1" for r in table)
    resp = {y: statistics.mean(float(r["Resp"]) for r in table if r["isSepsis"] == y) for y in "01"}
    real = {y: statistics.mean(float(r["Resp"]) for r in rows(source) if r["isSepsis"] == y) for y in "01"}
    assert resp["1"] - resp["0"] > .7 * (real["1"] - real["0"])


def test_texts_and_keys(tmp_path, data_dir):
    synth(tmp_path, "profile", data_dir / "auto_mpg.csv", "--rows", "500", "-o", "m.csv")
    real, made = rows(data_dir / "auto_mpg.csv"), rows(tmp_path / "m.csv")
    names = [r["name"] for r in real]
    assert {r["name"] for r in made} <= {n for n in names if names.count(n) > 1}  # who is there once is not given back
    assert {r["org"] for r in made} == {"1", "2", "3"} and {r["cyl"] for r in made} <= {r["cyl"] for r in real}
    (tmp_path / "t.csv").write_text("who,x\n" + "".join(f"person-{i * 7919},{i % 9}\n" for i in range(100)))
    synth(tmp_path, "profile", "t.csv", "--rows", "50", "-o", "k.csv")
    assert [r["who"] for r in rows(tmp_path / "k.csv")] == [f"who-{i}" for i in range(1, 51)]


@pytest.mark.parametrize("args,words", [
    (("spec", "spec.yaml", "--balance", "no=.5"), "sick"), (("spec", "spec.yaml", "--balance", "x"), "no balance"),
    (("spec", "spec.yaml", "--missing", "no=.5"), "no column 'no'"), (("spec", "spec.yaml", "--missing", "age"), "COLUMN=SHARE"),
    (("spec", "spec.yaml", "--missing", "age=2"), "0 to 1"), (("spec", "spec.yaml", "--drift", "ward=+1"), "can not drift"),
    (("spec", "inf.yaml"), "a share is a number"), (("profile", "long.json"), "too long"),
    (("spec", "none.yaml",), "none.yaml"), (("profile", "none.csv"), "none.csv"), (("profile", "t.csv", "--balance", ".5"), "balance"),
    (("profile", "t.csv", "--label", "no"), "no column 'no'"), (("patients", "--balance", ".5"), "of profile and spec"),
    (("profile", "broken.json"), "gyre.statistics/1"), (("spec", "bad.yaml"), "bad.yaml:2:")])
def test_refusals(tmp_path, args, words):
    (tmp_path / "spec.yaml").write_text(SPEC)
    (tmp_path / "bad.yaml").write_text("columns:\n  - {name: a, dist: nrmal}\n")
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,4\n")
    (tmp_path / "inf.yaml").write_text("columns:\n  - {name: y, role: label, values: [a, b]}\nbalance: {a: .inf, b: 1}\n")
    (tmp_path / "long.json").write_text(json.dumps(profile(tmp_path, "t.csv")).replace('"a"', '"' + "a" * 300 + '"'))
    (tmp_path / "broken.json").write_text('{"format":"gyre.statistics/1","rows":-1}')
    done = support.run_gyre("data", "synth", *args, "-o", "o.csv", cwd=tmp_path)
    assert done.returncode != 0 and words in done.stderr.replace("'rows' is not a count", "gyre.statistics/1"), done.stderr
    assert not (tmp_path / "o.csv").exists()


def test_a_profile_of_somebody_elses_is_not_trusted(tmp_path):
    (tmp_path / "t.csv").write_text("n,at\n" + "".join(f"{i % 3},2024-01-0{1 + i % 5}\n" for i in range(60)))
    for spoil in (lambda n, at: n.update(top=[[v, 0] for v, _ in n["top"]]), lambda n, at: at.update(top=[["", 5]], top_is_all=False),
                  lambda n, at: n.update(quantiles=[None] * 11, min=None, max=None, top_is_all=False)):
        told = profile(tmp_path, "t.csv")
        spoil(*told["columns"])
        (tmp_path / "p.json").write_text(json.dumps(told))
        assert synth(tmp_path, "profile", "p.json", "--rows", "40", "-o", "o.csv")["rows"] == 40
        assert len(rows(tmp_path / "o.csv")) == 40
