# SPDX-License-Identifier: Apache-2.0
"""gyre data ingest on JSON arrays and JSONL, and on several files."""

import json

import support

SCHEMA = """columns:
  - {name: compound_id, type: int, required: true, unique: true, role: id}
  - {name: num_rings, type: int, required: true, role: label}
"""
VITALS = support.ROOT / "examples" / "sepsis" / "schema.yaml"


def letters(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_second_file_that_is_not_there_leaves_no_letters(tmp_path):
    """Letters of the first file were written before the second one failed, and again with the next try."""
    assert support.run_gyre("data", "synth", "patients", "--rows", "50", "--bad", "8", "-o", "p.csv", cwd=tmp_path).returncode == 0
    done = support.run_gyre("data", "ingest", "p.csv", "later.csv", "--schema", VITALS, "--name", "p", cwd=tmp_path)
    assert done.returncode == 4 and "later.csv" in done.stderr
    assert not (tmp_path / "dlq.log").exists() and not (tmp_path / "data").exists()


def test_the_same_records_are_the_same_version_whatever_the_format(tmp_path):
    made = support.run_gyre("data", "synth", "patients", "--rows", "3000", "--bad", "40", "-o", "p.csv", cwd=tmp_path)
    assert made.returncode == 0
    csv = support.run_json("data", "ingest", "p.csv", "--schema", VITALS, "--name", "p", cwd=tmp_path)
    names, *lines = (tmp_path / "data" / "data.csv").read_text().splitlines()
    records = []
    for line in lines:
        values = zip(names.split(","), line.split(","))
        records.append({k: (float(v) if "." in v else int(v)) if v else None for k, v in values})
    (tmp_path / "p.json").write_text(json.dumps(records))
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(r) + "\n" for r in reversed(records[::-1])))
    (tmp_path / "p.data").write_text(json.dumps(records, indent=1))
    for name, args in (("p.json", ()), ("p.jsonl", ()), ("p.data", ()), ("p.data", ("--format", "json"))):
        got = support.run_json("data", "ingest", name, "--schema", VITALS, "--name", "p", "-o", "out", *args, cwd=tmp_path)
        assert (got["read"], got["dead"], got["unknown_keys"]) == (3000, 0, 0)
        assert (got["sha256"], got["version"], got["new"]) == (csv["sha256"], 1, False)


def test_damaged_elements_cost_themselves(tmp_path):
    good = [json.dumps({"compound_id": i, "num_rings": 1, "note": "x" * (i % 50)}) for i in range(500)]
    bad = {50: good[50].replace('"num', "num"), 120: good[120][:-1], 200: good[200].replace(": 1", " 1"), 300: "oops",
           400: good[400].replace("1,", '"1",')}
    text = "[" + ",\n".join(bad.get(i, g) for i, g in enumerate(good)) + "]"
    (tmp_path / "a.json").write_text(text)
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    answer = support.run_json("data", "ingest", "a.json", cwd=tmp_path)
    assert (answer["read"], answer["accepted"], answer["dead"]) == (500, 495, 5)
    assert answer["codes"] == {"JSON": 4, "TYPE": 1}
    assert [(d["row"], d["data"]) for d in letters(tmp_path / "dlq.log")] == sorted(bad.items())


def test_inferred_types_and_a_cut_file_are_said(tmp_path):
    (tmp_path / "a.json").write_text('[{"sample_id": 1, "w": 2, "s": "7"}, {"sample_id": 2, "w": 2.5, "ok": true}, {"sample_id": 3')
    done = support.run_gyre("data", "ingest", "a.json", "--json", cwd=tmp_path)
    answer = json.loads(done.stdout)
    assert (answer["read"], answer["accepted"], answer["dead"], answer["unclosed"]) == (3, 2, 1, 1)
    assert "inferred" in done.stderr and "cut off" in done.stderr
    columns = support.run_json("data", "show", "a", cwd=tmp_path)["schema"]["columns"]
    assert {c["name"]: c["type"] for c in columns} == {"sample_id": "int", "w": "float", "s": "string", "ok": "bool"}
    inferred = support.run_json("data", "schema", "infer", "a.json", cwd=tmp_path)
    assert [c["name"] for c in inferred["columns"]] == ["sample_id", "w", "s", "ok"]


def test_several_files_become_one_version(tmp_path):
    (tmp_path / "schema.yaml").write_text("columns:\n  - {name: id, type: int, required: true, unique: true, role: id}\n"
                                          "  - {name: x, type: float, max: 10}\n")
    (tmp_path / "a.csv").write_text("x,id\n1,1\n2,2\n99,3\n")
    (tmp_path / "b.jsonl").write_text('{"id": 2, "x": 5}\n{"id": 4, "x": 4}\n')
    first = support.run_json("data", "ingest", "a.csv", "b.jsonl", cwd=tmp_path)
    assert (first["read"], first["accepted"], first["dead"], first["replaced"]) == (5, 3, 2, 0)
    assert [(d["file"], d["row"], d["codes"]) for d in letters(tmp_path / "dlq.log")] == [
        ("a.csv", 2, ["RANGE"]), ("b.jsonl", 0, ["UNIQUE"])]
    done = support.run_gyre("data", "ingest", "a.csv", "b.jsonl", "--on-duplicate", "last", cwd=tmp_path)
    assert done.returncode == 0 and "5 read, 3 accepted, 1 dead, 1 replaced" in done.stdout
    assert (tmp_path / "data" / "data.csv").read_text() == "id,x\n1,1\n2,5\n4,4\n"
    shown = support.run_json("data", "show", "a", cwd=tmp_path)
    assert (shown["version"], shown["rows"], shown["dead"]) == (2, 3, 1)
    kept = support.run_json("data", "ingest", "a.csv", "b.jsonl", "--on-duplicate", "first", cwd=tmp_path)
    assert kept["replaced"] == 1 and (tmp_path / "data" / "data.csv").read_text() == "id,x\n1,1\n2,2\n4,4\n"
    (tmp_path / "schema.yaml").write_text("columns: [{name: id, type: int}, {name: x, type: float}]\n")
    refused = support.run_gyre("data", "ingest", "a.csv", "b.jsonl", "--on-duplicate", "last", cwd=tmp_path)
    assert refused.returncode != 0 and "one unique column" in refused.stderr


def test_what_is_no_json_is_refused_by_name(tmp_path):
    (tmp_path / "a.json").write_text("id,x\n1,2\n")
    (tmp_path / "schema.yaml").write_text("columns: [{name: id, type: int}, {name: x, type: int}]\n")
    done = support.run_gyre("data", "ingest", "a.json", cwd=tmp_path)
    assert done.returncode != 0 and "a.json" in done.stderr and "neither '[' nor '{'" in done.stderr
    assert not (tmp_path / "data" / "data.csv").exists()
    answer = support.run_json("data", "ingest", "a.json", "--format", "csv", cwd=tmp_path)
    assert answer["accepted"] == 1


def test_reviewed_rows_join_the_data_they_came_from(tmp_path):
    """What `gyre review export` writes (the schema's columns, what was not logged empty) beside an older data.csv."""
    made = support.run_gyre("data", "synth", "patients", "--rows", "200", "-o", "p.csv", cwd=tmp_path)
    assert made.returncode == 0
    support.run_json("data", "ingest", "p.csv", "--schema", VITALS, "--name", "p", cwd=tmp_path)
    header, *lines = (tmp_path / "data" / "data.csv").read_text().splitlines()
    (tmp_path / "reviewed.csv").write_text(f"{header}\n7,,,88,,37.1,,,,16,,1\n900,,,120,,39,,,,25,,1\n")
    answer = support.run_json("data", "ingest", "data/data.csv", "reviewed.csv", "--schema", VITALS, "--name", "both", "-o", "both",
                              "--on-duplicate", "last", cwd=tmp_path)
    assert (answer["read"], answer["accepted"], answer["dead"], answer["replaced"]) == (202, 201, 0, 1)
    rows = (tmp_path / "both" / "data.csv").read_text().splitlines()
    assert rows == [header] + lines[:6] + lines[7:] + ["7,,,88,,37.1,,,,16,,1", "900,,,120,,39,,,,25,,1"]
