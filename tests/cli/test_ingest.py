# SPDX-License-Identifier: Apache-2.0
"""gyre data ingest on real and spoilt files: what is accepted, what is dead, why, and where its bytes are."""

import base64
import collections
import csv
import hashlib
import io
import json

import pytest

import support

SCHEMA = support.ROOT / "examples" / "sepsis" / "schema.yaml"
KINDS = ["FIELDS", "QUOTE", "UTF8", "TYPE", "RANGE", "REQUIRED", "VALUES", "UNIQUE"]


def ingest(cwd, *args, **kwargs):
    return support.run_json("data", "ingest", *args, cwd=cwd, **kwargs)


def letters(path):
    """Dead letters with the bytes that they carry."""
    found = []
    for line in path.read_bytes().splitlines():
        letter = json.loads(line)
        assert ("data" in letter) != ("data_b64" in letter)
        letter["bytes"] = letter["data"].encode() if "data" in letter else base64.b64decode(letter["data_b64"])
        found.append(letter)
    return found


def ledger(path):
    found = [json.loads(line) for line in path.read_text().splitlines()]
    for bad in found:
        bad["bytes"] = base64.b64decode(bad["bytes"])
    return found


def canonical_rows(path):
    return list(csv.reader(io.StringIO(path.read_text())))


@pytest.fixture
def vitals(data_dir):
    return data_dir / "sepsis_vitals.csv"


def test_real_vitals_are_all_accepted(vitals, tmp_path):
    answer = ingest(tmp_path, vitals, "--schema", SCHEMA, "--name", "sepsis")
    assert (answer["read"], answer["accepted"], answer["dead"]) == (36302, 36302, 0)
    assert answer["dataset"] == "sepsis" and answer["version"] == 1 and answer["codes"] == {}
    out = (tmp_path / "data" / "data.csv").read_bytes()
    assert hashlib.sha256(out).hexdigest() == answer["sha256"]
    assert hashlib.md5(out).hexdigest() == answer["md5"]
    assert hashlib.sha256(vitals.read_bytes()).hexdigest() == answer["source_sha256"]
    assert not (tmp_path / "dlq.log").exists()
    # Value for value what the file says: numbers equal, NaN and empty are missing.
    source, rows = canonical_rows(vitals), canonical_rows(tmp_path / "data" / "data.csv")
    assert rows[0] == source[0] and len(rows) == len(source) == 36303
    for got, want in zip(rows[1:], source[1:]):
        for g, w in zip(got, want):
            assert (g == "") == (w in ("", "NaN"))
            assert g == "" or (float(g) == float(w) and g == repr(float(w)).removesuffix(".0"))


@pytest.mark.parametrize("count, seed", [(8, 1), (800, 2), (83, 3)])
def test_injected_bad_records_are_exactly_the_dead_ones(vitals, tmp_path, count, seed):
    clean = ingest(tmp_path, vitals, "--schema", SCHEMA, "--name", "v")
    made = support.run_json("data", "synth", "corrupt", vitals, "--bad", count, "--seed", seed, "-o", "bad.csv",
                            "--bad-ledger", "bad.jsonl", "--schema", SCHEMA, cwd=tmp_path)
    assert (made["rows"], made["bad"]) == (36302, count)
    answer = ingest(tmp_path, "bad.csv", "--schema", SCHEMA, "--name", "v", "-o", "out")
    assert (answer["read"], answer["accepted"], answer["dead"]) == (36302 + count, 36302, count)
    injected, dead = ledger(tmp_path / "bad.jsonl"), letters(tmp_path / "dlq.log")
    assert len(dead) == count
    source = (tmp_path / "bad.csv").read_bytes()
    for bad, letter in zip(injected, dead):
        assert letter["codes"] == [bad["code"]]
        assert letter["bytes"] == bad["bytes"]
        assert (letter["row"], letter["offset"], letter["length"]) == (bad["row"], bad["offset"], len(bad["bytes"]))
        assert source[letter["offset"]:letter["offset"] + letter["length"]] == bad["bytes"]
        assert letter["trace"] is None and letter["error"] and letter["file"] == "bad.csv"
    assert answer["codes"] == dict(collections.Counter(b["code"] for b in injected))
    assert set(answer["codes"]) == set(KINDS)
    # The good records are untouched by their neighbours: the same bytes, so the same version.
    assert answer["sha256"] == clean["sha256"] and answer["version"] == 1 and answer["new"] is False


def test_new_patients_need_the_serving_environment(data_dir, tmp_path):
    new = data_dir / "sepsis_vitals_new.csv"
    refused = support.run_gyre("data", "ingest", new, "--schema", SCHEMA, cwd=tmp_path)
    assert refused.returncode == 17 and "no column 'isSepsis'" in refused.stderr
    assert "--environment SERVING" in refused.stderr
    answer = ingest(tmp_path, new, "--schema", SCHEMA, "--environment", "SERVING")
    assert (answer["read"], answer["accepted"], answer["dead"]) == (22, 22, 0)
    rows = canonical_rows(tmp_path / "data" / "data.csv")
    assert "isSepsis" not in rows[0] and [r[0] for r in rows[1:]] == [str(i) for i in range(40000, 40022)]


@pytest.mark.parametrize("name, rows", [("auto_mpg.csv", 397), ("bikes_2011_01.csv", 688)])
def test_without_a_schema_types_are_inferred_and_said(data_dir, tmp_path, name, rows):
    done = support.run_gyre("data", "ingest", data_dir / name, "--json", cwd=tmp_path)
    assert done.returncode == 0 and "inferred" in done.stderr
    answer = json.loads(done.stdout)
    assert (answer["read"], answer["accepted"], answer["dead"]) == (rows, rows, 0)
    shown = support.run_json("data", "show", name.split(".")[0], cwd=tmp_path)
    types = {c["name"]: c["type"] for c in shown["schema"]["columns"]}
    if name == "auto_mpg.csv":
        assert (types["mpg"], types["hp"], types["name"]) == ("float", "int", "string")
        assert "?" in shown["schema"]["missing"]
    else:
        assert (types["dteday"], types["hour"], types["temp"]) == ("time", "int", "float")


def test_the_projects_schema_is_found_from_below(tmp_path):
    (tmp_path / "schema.yaml").write_text("columns: [{name: a, type: int, max: 5}]\n")
    sub = tmp_path / "in" / "here"
    sub.mkdir(parents=True)
    (sub / "a.csv").write_text("a\n5\n6\n")
    answer = ingest(sub, "a.csv")
    assert answer["codes"] == {"RANGE": 1}


def test_flags_of_other_ingest_tools(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.csv").write_text("a,b\n1,x\n2\n")
    answer = ingest(tmp_path, "--data_loc", "raw", "--file_name", "a.csv", "--output_path", "here/deep", "--dlq",
                    "letters/of/a.log", "--log_level", "WARNING")
    assert [x["file"] for x in letters(tmp_path / "letters" / "of" / "a.log")] == ["raw/a.csv"]
    assert (tmp_path / "here" / "deep" / "data.csv").read_text() == "a,b\n1,x\n"
    assert answer["dataset"] == "a"


@pytest.mark.parametrize("limit, passes", [("1", False), ("2", True), ("39%", False), ("40%", True), ("0", False)])
def test_max_dead(tmp_path, limit, passes):
    (tmp_path / "schema.yaml").write_text("columns: [{name: a, type: int}]\n")
    (tmp_path / "a.csv").write_text("a\n1\nx\n2\ny\n3\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "data.csv").write_text("old\n")
    done = support.run_gyre("data", "ingest", "a.csv", "--max-dead", limit, cwd=tmp_path)
    assert done.returncode == (0 if passes else 17)
    assert (tmp_path / "data" / "data.csv").read_text() == ("a\n1\n2\n3\n" if passes else "old\n")
    assert len(letters(tmp_path / "dlq.log")) == 2
    if not passes:
        assert "--max-dead" in done.stderr
        assert support.run_json("data", "list", cwd=tmp_path)["datasets"] == []


def test_dead_letters_are_listed_and_shown(tmp_path):
    (tmp_path / "schema.yaml").write_text("columns: [{name: a, type: int, max: 5}, {name: b, type: string}]\n")
    (tmp_path / "a.csv").write_bytes(b"a,b\n6,x\nz,y\n1,ok\n7,\xff\n")
    ingest(tmp_path, "a.csv")
    every = support.run_json("dlq", "list", cwd=tmp_path)
    assert [(x["number"], x["row"], x["codes"], x["column"]) for x in every["letters"]] == [
        (0, 0, ["RANGE"], "a"), (1, 1, ["TYPE"], "a"), (2, 3, ["UTF8", "RANGE"], "a")]
    ranged = support.run_json("dlq", "list", "--code", "range", "--limit", "1", cwd=tmp_path)
    assert ranged["matching"] == 2 and len(ranged["letters"]) == 1
    table = support.run_gyre("dlq", "list", cwd=tmp_path)
    assert table.returncode == 0 and "6 is above the maximum 5" in table.stdout
    one = support.run_json("dlq", "show", "2", cwd=tmp_path)
    assert base64.b64decode(one["data_b64"]) == b"7,\xff"
    assert support.run_gyre("dlq", "show", "3", cwd=tmp_path).returncode == 4
    nowhere = support.run_gyre("dlq", "list", "--dlq", "nowhere.log", cwd=tmp_path)
    assert nowhere.returncode == 4 and "hint: " in nowhere.stderr


def test_a_log_of_dead_letters_edited_by_hand_is_still_listed_as_json(tmp_path):
    (tmp_path / "dlq.log").write_text('{}\n  {"codes": ["TYPE"]}\n[1, {"a": 2}]\n')
    every = support.run_json("dlq", "list", cwd=tmp_path)
    assert every == {"matching": 2, "damaged": 1, "letters": [{"number": 0}, {"number": 1, "codes": ["TYPE"]}]}


def test_folders_of_outputs_are_made(data_dir, tmp_path):
    made = support.run_gyre("data", "synth", "patients", "--rows", "20", "-o", "raw/deep/p.csv", "--bad", "1",
                            "--bad-ledger", "told/bad.jsonl", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "told/bad.jsonl").exists()
    answer = ingest(tmp_path, "raw/deep/p.csv")
    assert support.run_gyre("data", "checkout", answer["dataset"], "-o", "out/p.csv", cwd=tmp_path).returncode == 0
    assert (tmp_path / "out/p.csv").read_bytes() == (tmp_path / "data/data.csv").read_bytes()
    assert support.run_gyre("data", "schema", "infer", "raw/deep/p.csv", "-o", "s/schema.yaml", cwd=tmp_path).returncode == 0
    (tmp_path / "file").write_text("")
    refused = support.run_gyre("data", "synth", "patients", "-o", "file/p.csv", cwd=tmp_path)
    assert refused.returncode != 0 and ".tmp" not in refused.stderr


def test_the_first_id_leaves_room_for_all(tmp_path):
    refused = support.run_gyre("data", "synth", "patients", "--first-id", 2**63 - 1, "-o", "p.csv", cwd=tmp_path)
    assert refused.returncode == 3 and "first patient_id" in refused.stderr


def test_versions_grow_with_the_bytes(tmp_path):
    (tmp_path / "a.csv").write_text("a\n1\n")
    assert ingest(tmp_path, "a.csv", "--name", "t")["version"] == 1
    (tmp_path / "b.csv").write_text("a\r\n01\r\n\r\n")  # another spelling of the same record
    again = ingest(tmp_path, "b.csv", "--name", "t")
    assert again["version"] == 1 and again["new"] is False
    (tmp_path / "a.csv").write_text("a\n1\n2\n")
    assert ingest(tmp_path, "a.csv", "--name", "t")["version"] == 2
    listed = support.run_json("data", "list", cwd=tmp_path)["datasets"]
    assert [(d["name"], d["version"], d["rows"]) for d in listed] == [("t", 1, 1), ("t", 2, 2)]
    assert support.run_json("data", "show", "t", cwd=tmp_path)["version"] == 2
    assert support.run_json("data", "show", "t@v1", cwd=tmp_path)["rows"] == 1
    done = support.run_gyre("data", "checkout", "t@1", "-o", "back.csv", cwd=tmp_path)
    assert done.returncode == 0 and (tmp_path / "back.csv").read_text() == "a\n1\n"
    assert support.run_gyre("data", "show", "t@3", cwd=tmp_path).returncode == 4
    assert support.run_gyre("data", "checkout", "t@x", "-o", "no.csv", cwd=tmp_path).returncode == 4
    assert not (tmp_path / "no.csv").exists()


def test_bad_input_to_status(tmp_path):
    (tmp_path / "ok.csv").write_text("a\n1\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "open.csv").write_text('"a,b\n1,2\n')
    (tmp_path / "bad.yaml").write_text("columns: [{name: a, type: int, requird: true}]\n")
    (tmp_path / "dir").mkdir()
    (tmp_path / "mac.csv").write_bytes(b"a,b\r1,2\r3,4\r")
    (tmp_path / "utf16.csv").write_bytes("a,b\n1,2\n".encode("utf-16"))
    for args, code, says in [
        (["mac.csv"], 16, "not with CR alone"),
        (["utf16.csv"], 16, "not UTF-8"),
        (["nowhere.csv"], 4, "nowhere.csv"),
        (["empty.csv"], 16, "header"),
        (["open.csv"], 16, "header"),
        (["dir"], 4, "no data file in the folder"),
        ([], 2, "no file given"),
        (["ok.csv", "--file-name", "ok.csv"], 2, "twice"),
        (["ok.csv", "--delimiter", "::"], 2, "--delimiter"),
        (["ok.csv", "--max-dead", "many"], 3, "--max-dead"),
        (["ok.csv", "--schema", "bad.yaml"], 3, "did you mean 'required'?"),
        (["ok.csv", "--schema", "nowhere.yaml"], 4, "nowhere.yaml"),
        (["ok.csv", "--log-level", "loud=loud"], 3, "loud"),
            (["ok.csv", "--threads", "65"], 2, "1 to 64"),
        (["ok.csv", "--name", "a/b"], 3, "can not name a dataset"),
    ]:
        done = support.run_gyre("data", "ingest", *args, cwd=tmp_path)
        assert done.returncode == code, (args, done.returncode, done.stderr)
        assert says in done.stderr, (args, done.stderr)


def test_patients_are_made_and_accepted(tmp_path):
    for extra, columns in [([], 12), (["--with-wbc"], 13), (["--unlabelled"], 11)]:
        made = support.run_json("data", "synth", "patients", "--rows", 3000, "--seed", 5, "--bad", 0, "-o", "p.csv",
                                *extra, cwd=tmp_path)
        assert (made["rows"], made["positives"]) == (3000, 219)
        assert len(canonical_rows(tmp_path / "p.csv")[0]) == columns
        if "--with-wbc" not in extra:
            env = ["--environment", "SERVING"] if "--unlabelled" in extra else []
            answer = ingest(tmp_path, "p.csv", "--schema", SCHEMA, *env)
            assert (answer["accepted"], answer["dead"]) == (3000, 0)


def test_made_patients_with_bad_records(tmp_path):
    support.run_json("data", "synth", "patients", "--rows", 2000, "--bad", 160, "--bad-ledger", "l.jsonl", "-o",
                     "p.csv", cwd=tmp_path)
    answer = ingest(tmp_path, "p.csv", "--schema", SCHEMA)
    assert (answer["read"], answer["accepted"], answer["dead"]) == (2160, 2000, 160)
    assert answer["codes"] == {code: 20 for code in KINDS}
    assert [(x["bytes"], x["codes"]) for x in letters(tmp_path / "dlq.log")] == [
        (x["bytes"], [x["code"]]) for x in ledger(tmp_path / "l.jsonl")]


def test_schema_of_the_example_is_that_of_the_made_patients(tmp_path):
    """The example's schema refuses nothing that the generator makes, and knows all its columns but WBC."""
    shown = support.run_json("data", "schema", "show", "--schema", SCHEMA, cwd=tmp_path)
    support.run_json("data", "synth", "patients", "--rows", 1, "--positive", 0, "-o", "p.csv", cwd=tmp_path)
    assert [c["name"] for c in shown["columns"]] == canonical_rows(tmp_path / "p.csv")[0]
    roles = {c["name"]: c["role"] for c in shown["columns"]}
    assert roles["patient_id"] == "id" and roles["isSepsis"] == "label"


def test_schema_infer_writes_a_file_that_ingest_takes(data_dir, tmp_path):
    done = support.run_gyre("data", "schema", "infer", data_dir / "bikes_2011_02.csv", "-o", "schema.yaml", cwd=tmp_path)
    assert done.returncode == 0
    answer = ingest(tmp_path, data_dir / "bikes_2011_03.csv")
    assert answer["dead"] == 0 and answer["accepted"] > 600


MPG = """columns:
  - {name: mpg, type: float, min: 0, required: true, role: label}
  - {name: cyl, type: int, values: [3, 4, 5, 6, 8], required: true}
  - {name: dpl, type: float, required: true}
  - {name: hp, type: float, %s}
  - {name: wght, type: float, required: true}
  - {name: acc, type: float, required: true}
  - {name: year, type: int, min: 70, max: 82, required: true}
  - {name: org, type: int, values: [1, 2, 3], required: true}
  - {name: name, type: string}
missing: %s
"""


@pytest.mark.parametrize("hp, missing, dead, code", [
    ("required: false", "['', '?']", 0, None),          # "?" means missing, and that is allowed: 5 empty values
    ("required: true", "['', '?']", 5, "REQUIRED"),     # the same, but the value must be there
    ("required: false", "['']", 5, "TYPE"),             # "?" is no marker: it is no number either
])
def test_auto_mpg_question_marks_go_where_the_schema_says(data_dir, tmp_path, hp, missing, dead, code):
    (tmp_path / "schema.yaml").write_text(MPG % (hp, missing))
    answer = ingest(tmp_path, data_dir / "auto_mpg.csv")
    assert (answer["read"], answer["accepted"], answer["dead"]) == (397, 397 - dead, dead)
    marked = [n for n, row in enumerate(canonical_rows(data_dir / "auto_mpg.csv")[1:]) if row[3] == "?"]
    assert len(marked) == 5
    empty = [row for row in canonical_rows(tmp_path / "data" / "data.csv")[1:] if row[3] == ""]
    assert len(empty) == 5 - dead
    if dead:
        found = letters(tmp_path / "dlq.log")
        assert [b["row"] for b in found] == marked and {(tuple(b["codes"]), b["column"]) for b in found} == {((code,), "hp")}
