# SPDX-License-Identifier: Apache-2.0
"""gyre data split: parts hold each record once, byte for byte, where the rule says."""

import csv
import gzip
import hashlib
import json
import random

import pytest

import support


def split(cwd, *args):
    return support.run_json("data", "split", *args, cwd=cwd)


def lines(path):
    return path.read_bytes().replace(b"\r\n", b"\n").removesuffix(b"\n").split(b"\n")[1:]


def parts_of(folder, names):
    return {n: lines(folder / f"{n}.csv") for n in names}


def column(rows, i):
    return [next(csv.reader([r.decode()]))[i] for r in rows]


def visits(path, n=4000, people=300, seed=1, schema=None):
    rng = random.Random(seed)
    out = ["visit,person,at,x,sick"]
    sick = {p: rng.random() < .2 for p in range(people)}
    for i in range(n):
        p = rng.randrange(people)
        out.append(f'{i},p{p},2024-01-{1 + i * 28 // n:02},"{rng.gauss(0, 1):.4f}",{int(sick[p])}')
    rng.shuffle(out[1:])
    path.write_text("\n".join(out) + "\n")
    if schema:
        roles = dict(visit="id", person="subject", at="event_time", sick="label")
        schema.write_text("columns:\n" + "".join(
            f"  - {{name: {c}, type: {t}" + (f", role: {roles[c]}" if c in roles else "") + "}\n"
            for c, t in [("visit", "int"), ("person", "string"), ("at", "time"), ("x", "float"), ("sick", "int")]))
    return path


def check_parts(answer, folder, source):
    """Every record is in one part exactly, the report says what is there."""
    all_lines = []
    for part in answer["parts"]:
        path = folder / part["file"]
        found = lines(path)
        assert part["rows"] == len(found) and part["bytes"] == path.stat().st_size
        assert part["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.read_bytes().startswith(source.read_bytes().split(b"\n")[0] + b"\n")
        all_lines += found
    assert sorted(all_lines) == sorted(lines(source))
    assert answer["rows"] == len(all_lines)
    assert json.loads((folder / "split.json").read_text()) == answer


def test_hash_is_what_everyone_can_repeat_and_stays_when_rows_are_added(tmp_path):
    source = visits(tmp_path / "v.csv")
    answer = split(tmp_path, "v.csv", "--key", "visit", "--parts", "train=.7,valid=.1,test=.2", "--seed", "7", "-o", "out")
    check_parts(answer, tmp_path / "out", source)
    before = parts_of(tmp_path / "out", ["train", "valid", "test"])
    for name, rows in before.items():
        for key in column(rows, 0):
            u = int.from_bytes(hashlib.sha256(f"7\n{key}".encode()).digest()[:8], "big") / 2**64
            assert name == ("test" if u < .2 else "valid" if u < .3 else "train")
    source.write_text(source.read_text() + "".join(f"{i},p1,2024-02-01,1,0\n" for i in range(9000, 9500)))
    split(tmp_path, "v.csv", "--key", "visit", "--parts", "train=.7,valid=.1,test=.2", "--seed", "7", "-o", "out")
    after = parts_of(tmp_path / "out", ["train", "valid", "test"])
    assert all(set(before[n]) <= set(after[n]) for n in before)
    assert [p["rows"] for p in split(tmp_path, "v.csv", "--key", "visit", "--seed", "8", "-o", "o2")["parts"]] != [len(v) for v in after.values()]


def test_the_last_part_is_what_a_training_holds_out(tmp_path):
    visits(tmp_path / "v.csv", schema=tmp_path / "schema.yaml")
    (tmp_path / "params.yaml").write_text("seed: 3\nholdout: 0.25\n")
    split(tmp_path, "v.csv", "--parts", "train=.75,test=.25", "--seed", "3", "--allow-shared", "-o", "out")
    trained = support.run_json("train", "v.csv", "--target", "sick", "--learner", "majority", "--params", "params.yaml", "-o", "m", cwd=tmp_path)
    train, held_out = (len(lines(tmp_path / "out" / part)) for part in ("train.csv", "test.csv"))
    assert trained["rows"] == {"train": train, "held_out": held_out, "read": train}


def test_stratified_is_exact_by_class(tmp_path, data_dir):
    source = data_dir / "sepsis_vitals.csv"
    answer = split(tmp_path, source, "--by", "stratified", "--label", "isSepsis", "--parts", "train=.7,valid=.15,test=.15", "-o", "out")
    check_parts(answer, tmp_path / "out", source)
    sick = sum(r["isSepsis"] == "1" for r in csv.DictReader(open(source, newline="")))
    for part, share in zip(answer["parts"], (.7, .15, .15), strict=True):
        assert abs(part["classes"]["1"] - sick * share) < 1 and abs(part["rows"] - 36302 * share) < 1
    again = split(tmp_path, source, "--by", "stratified", "--label", "isSepsis", "--parts", "train=.7,valid=.15,test=.15", "-o", "o2")
    assert [p["sha256"] for p in again["parts"]] == [p["sha256"] for p in answer["parts"]]


def test_time_puts_nothing_of_the_future_into_the_past(tmp_path):
    source = visits(tmp_path / "v.csv", schema=tmp_path / "schema.yaml")
    refused = support.run_gyre("data", "split", "v.csv", "--by", "time", "-o", "out", cwd=tmp_path)
    assert refused.returncode != 0 and "values of 'person' would be in more than one part" in refused.stderr
    assert not (tmp_path / "out").exists()
    answer = split(tmp_path, "v.csv", "--by", "time", "--parts", "a=.5,b=.3,c=.2", "--allow-shared", "-o", "out")
    check_parts(answer, tmp_path / "out", source)
    days = [column(rows, 2) for rows in parts_of(tmp_path / "out", "abc").values()]
    assert max(days[0]) < min(days[1]) and max(days[1]) < min(days[2])
    assert answer["parts"][0]["to"] < answer["parts"][1]["from"] and answer["shared"] > 0


def test_groups_are_in_one_part(tmp_path):
    source = visits(tmp_path / "v.csv", schema=tmp_path / "schema.yaml")
    for args in ((), ("--stratify",)):
        answer = split(tmp_path, "v.csv", "--by", "group", *args, "-o", "out")
        check_parts(answer, tmp_path / "out", source)
        train, test = (set(column(rows, 1)) for rows in parts_of(tmp_path / "out", ["train", "test"]).values())
        assert not train & test and len(train) > len(test) > 20
        assert answer["key"] == "person" and answer["shared"] == 0
    shares = [p["classes"]["1"] / p["rows"] for p in answer["parts"]]
    assert abs(shares[0] - shares[1]) < .01 and abs(answer["parts"][1]["share"] - .2) < .005


@pytest.mark.parametrize("args", [(), ("--stratify",), ("--grouped",), ("--grouped", "--stratify")])
def test_folds(tmp_path, args):
    source = visits(tmp_path / "v.csv", schema=tmp_path / "schema.yaml")
    share = () if "--grouped" in args else ("--allow-shared",)
    answer = split(tmp_path, "v.csv", "--by", "kfold", "--folds", "4", *args, *share, "-o", "out")
    check_parts(answer, tmp_path / "out", source)
    rows = [p["rows"] for p in answer["parts"]]
    assert max(rows) - min(rows) <= (20 if "--grouped" in args else 1)
    if "--stratify" in args:
        sick = [p["classes"]["1"] for p in answer["parts"]]
        assert max(sick) - min(sick) <= (15 if "--grouped" in args else 1)
    pairs = split(tmp_path, "v.csv", "--by", "kfold", "--folds", "4", *args, *share, "--pairs", "-o", "pairs")
    assert len(pairs["parts"]) == 8
    for i in range(1, 5):
        train, test = (lines(tmp_path / "pairs" / f"fold-{i}" / f"{n}.csv") for n in ("train", "test"))
        assert test == lines(tmp_path / "out" / f"fold-{i}.csv")
        assert sorted(train + test) == sorted(lines(source))
        if "--grouped" in args:
            assert not set(column(train, 1)) & set(column(test, 1))


def test_odd_records_packed_files_and_datasets(tmp_path):
    records = ['1,"two\nlines",0', '2,"a ""q"" b",1', "3,,0", '4,"x,y",1', "5,\u00e9,0"] + [f"{i},w,{i % 2}" for i in range(6, 60)]
    text = "\ufeffid,s,y\r\n" + "\r\n".join(records) + "\r\n\r\n"
    (tmp_path / "t.csv").write_bytes(text.encode())
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text.encode()))
    a, b = (split(tmp_path, n, "--by", "stratified", "--label", "y", "-o", o) for n, o in (("t.csv", "a"), ("t.csv.gz", "b")))
    assert [p["sha256"] for p in a["parts"]] == [p["sha256"] for p in b["parts"]]
    found = "".join((tmp_path / "a" / p["file"]).read_text().removeprefix("id,s,y\n") for p in a["parts"])
    assert sorted(found.rstrip("\n").split("\n")) == sorted("\n".join(records).split("\n"))
    support.run_json("data", "ingest", "t.csv", "--name", "t", cwd=tmp_path)
    assert split(tmp_path, "t", "-o", "c")["rows"] == 59


@pytest.mark.parametrize("args,words", [
    (("--by", "group"), "which column is the group"), (("--by", "time"), "which column is the time"),
    (("--by", "stratified"), "which column is the label"), (("--by", "hash", "--key", "no"), "no column 'no'"),
    (("--by", "odd"), "no way to split"), (("--parts", "a=.5,b=.6"), "do not add up"), (("--folds", "3"), "of --by kfold"),
    (("--by", "time", "--time", "x"), "has no time"), (("--by", "stratified", "--label", "y", "--key", "k"), "'k' would be in more"),
    (("--parts", "train=.999999,test=.000001"), "has no row")])
def test_refusals(tmp_path, args, words):
    (tmp_path / "t.csv").write_text("k,x,y\n" + "".join(f"{i % 7},{'a' if i == 50 else i},{i % 2}\n" for i in range(100)))
    done = support.run_gyre("data", "split", "t.csv", *args, "-o", "out", cwd=tmp_path)
    assert done.returncode != 0 and words in done.stderr, done.stderr
    assert not list(tmp_path.glob("out/*.csv"))


def test_a_damaged_record_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3\n4,5\n")
    done = support.run_gyre("data", "split", "t.csv", "-o", "out", cwd=tmp_path)
    assert "record 1 is damaged" in done.stderr and "gyre data ingest" in done.stderr
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n')
    assert "is not CSV" in support.run_gyre("data", "split", "t.jsonl", "-o", "out", cwd=tmp_path).stderr
