# SPDX-License-Identifier: Apache-2.0
"""gyre data schema and validate: from a real file to a schema, and tables that are or are not as it says."""

import csv
import json

import yaml

import support


def schema(cwd, *args, exit_code=0):
    done = support.run_gyre("data", "schema", *args, "--json", cwd=cwd)
    assert done.returncode == exit_code, done.stderr
    return json.loads(done.stdout)


def kinds(answer):
    return [(a["column"], a["kind"]) for a in answer["anomalies"]]


def test_a_file_fulfils_the_schema_that_was_made_of_it(data_dir, tmp_path):
    for name in ["sepsis_vitals.csv", "auto_mpg.csv", "bikes_2011_01.csv"]:
        done = support.run_gyre("data", "schema", "infer", data_dir / name, "--ranges", "-o", "schema.yaml", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        answer = schema(tmp_path, "check", data_dir / name)
        assert answer["ok"] and answer["anomalies"] == [] and answer["broken"] == 0


def test_long_texts_make_no_domain_that_cuts_them(tmp_path):
    long = ["x" * 5000 + end for end in "ab"]
    (tmp_path / "long.csv").write_text("n,s\n" + "".join(f"{i},{long[i % 2]}\n" for i in range(60)))
    done = support.run_gyre("data", "schema", "infer", "long.csv", "-o", "schema.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answer = schema(tmp_path, "check", "long.csv")
    assert answer["ok"] and answer["anomalies"] == []


def test_what_a_real_file_shows(data_dir, tmp_path):
    columns = {c["name"]: c for c in schema(tmp_path, "infer", data_dir / "sepsis_vitals.csv")["columns"]}
    assert columns["patient_id"]["role"] == "id" and columns["patient_id"]["unique"]
    assert columns["HR"]["required"] and "min" not in columns["HR"]
    assert "required" not in columns["EtCO2"] and columns["EtCO2"]["min_count"] == 1
    ranged = {c["name"]: c for c in schema(tmp_path, "infer", data_dir / "auto_mpg.csv", "--ranges")["columns"]}
    assert (ranged["mpg"]["min"], ranged["mpg"]["max"]) == (9, 46.6)
    assert "required" not in ranged["hp"]  # 5 rows have ?
    bare = schema(tmp_path, "infer", data_dir / "auto_mpg.csv", "--types-only")["columns"]
    assert all("required" not in c and "values" not in c for c in bare)


def test_the_label_may_be_absent_when_serving(data_dir, tmp_path):
    text = schema(tmp_path, "infer", data_dir / "sepsis_vitals.csv")
    for column in text["columns"]:
        if column["name"] == "isSepsis":
            column.update(role="label", not_in=["SERVING"])
        if column["name"] == "EtCO2":
            column.pop("min_count")
    text["environments"] = ["TRAINING", "SERVING"]
    (tmp_path / "schema.yaml").write_text(yaml.safe_dump(text))
    new = data_dir / "sepsis_vitals_new.csv"
    assert kinds(schema(tmp_path, "check", new, exit_code=17)) == [("isSepsis", "SCHEMA_MISSING_COLUMN")]
    assert schema(tmp_path, "check", new, "--environment", "SERVING")["ok"]
    done = support.run_gyre("data", "schema", "check", new, "--environment", "serving", cwd=tmp_path)
    assert done.returncode == 3 and "none of the schema's environments" in done.stderr


def test_drift_between_real_months(data_dir, tmp_path):
    text = schema(tmp_path, "infer", data_dir / "bikes_2011_01.csv", "--types-only")
    for column in text["columns"]:
        if column["name"] == "temp":
            column["drift"] = {"jensen_shannon_divergence": 0.1}
        if column["name"] == "season":
            column.update(categorical=True, drift={"infinity_norm": 0.1})
        if column["name"] == "holiday":
            column.update(categorical=True, skew={"normalized_abs_difference": 0.5})
    (tmp_path / "schema.yaml").write_text(yaml.safe_dump(text))
    january, july = data_dir / "bikes_2011_01.csv", data_dir / "bikes_2011_07.csv"
    answer = schema(tmp_path, "check", january, "--previous", january, "--serving", january)
    assert answer["ok"] and [c["value"] for c in answer["comparisons"]] == [0, 0, 0]
    answer = schema(tmp_path, "check", july, "--previous", january, exit_code=17)
    assert kinds(answer) == [("season", "COMPARATOR_L_INFTY_HIGH"), ("temp", "COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH")]
    season = next(c for c in answer["comparisons"] if c["column"] == "season")
    assert season["value"] == 1  # winter alone, and summer alone

    # the divergence of the categories, computed once more from the files
    def shares(path):
        with open(path, newline="") as f:
            values = [row["season"] for row in csv.DictReader(f)]
        return {v: values.count(v) / len(values) for v in set(values)}
    before, after = shares(january), shares(july)
    assert season["value"] == max(abs(before.get(v, 0) - after.get(v, 0)) for v in {*before, *after})


def test_findings_can_be_warnings(tmp_path):
    (tmp_path / "schema.yaml").write_text(
        "columns: [{name: a, type: int, max: 3, severity: {INT_TYPE_BIG_INT: WARNING}}]\nseverity: {SCHEMA_NEW_COLUMN: IGNORE}\n")
    (tmp_path / "t.csv").write_text("a,b\n9,1\n")
    answer = schema(tmp_path, "check", "t.csv")
    assert answer["ok"] and (answer["errors"], answer["warnings"]) == (0, 1)
    assert answer["anomalies"][0]["examples"] == [{"row": 0, "value": "9"}]
    people = support.run_gyre("data", "validate", "t.csv", cwd=tmp_path)
    assert people.returncode == 0 and "INT_TYPE_BIG_INT" in people.stdout and "row 0: 9" in people.stdout


def test_what_was_known_too_late_is_leakage(tmp_path):
    (tmp_path / "schema.yaml").write_text(
        "columns: [{name: decided, type: time, zone: Europe/Berlin, role: event_time},"
        " {name: known, type: time, zone: UTC, role: available_at}]\n")
    (tmp_path / "t.csv").write_text("decided,known\n2011-07-01 12:00:00,2011-07-01 09:59:59\n2011-07-01 12:00:00,2011-07-01 10:00:01\n")
    answer = schema(tmp_path, "check", "t.csv", exit_code=17)
    assert kinds(answer) == [("known", "LEAKAGE_AVAILABLE_LATER")] and answer["anomalies"][0]["examples"][0]["row"] == 1


def test_times_without_a_zone_are_dead_until_the_schema_names_one(tmp_path):
    (tmp_path / "t.csv").write_text("t\n2011-07-01 12:00:00\n2011-07-01\n2011-07-01T12:00:00+02:00\n")
    (tmp_path / "bare.yaml").write_text("columns: [{name: t, type: time}]\n")
    (tmp_path / "zone.yaml").write_text("columns: [{name: t, type: time, zone: America/New_York}]\n")
    answer = support.run_json("data", "ingest", "t.csv", "--schema", "bare.yaml", cwd=tmp_path)
    assert (answer["accepted"], answer["dead"]) == (2, 1) and "says no zone" in (tmp_path / "dlq.log").read_text()
    answer = support.run_json("data", "ingest", "t.csv", "--schema", "zone.yaml", cwd=tmp_path)
    assert (answer["accepted"], answer["dead"]) == (3, 0)
    assert (tmp_path / "data" / "data.csv").read_text() == "t\n2011-07-01T16:00:00Z\n2011-07-01\n2011-07-01T10:00:00Z\n"


def test_diff_tells_what_breaks(tmp_path):
    (tmp_path / "old.yaml").write_text("columns: [{name: a, type: int, max: 9}, {name: b, type: string}]\n")
    (tmp_path / "wide.yaml").write_text("columns: [{name: a, type: float, max: 10}, {name: b, type: string}, {name: c, type: int}]\n")
    answer = schema(tmp_path, "diff", "old.yaml", "wide.yaml")
    assert answer["compatible"] and not answer["equal"] and len(answer["changes"]) == 3
    answer = schema(tmp_path, "diff", "wide.yaml", "old.yaml", exit_code=17)
    assert [(c["column"], c["what"], c["breaking"]) for c in answer["changes"]] == [
        ("a", "type", True), ("a", "max", True), ("c", "column", True)]
    assert schema(tmp_path, "diff", "old.yaml", "old.yaml") == {"equal": True, "compatible": True, "changes": []}


def test_registered_datasets_bring_their_schema(tmp_path):
    (tmp_path / "one.yaml").write_text("columns: [{name: a, type: int, max: 9}]\n")
    (tmp_path / "two.yaml").write_text("columns: [{name: a, type: int, max: 3, drift: {jensen_shannon_divergence: 0.1}}]\n")
    for n, values in [("one", "1\n2\n9\n"), ("two", "1\n2\n3\n")]:
        (tmp_path / f"{n}.csv").write_text("a\n" + values)
        support.run_json("data", "ingest", f"{n}.csv", "--schema", f"{n}.yaml", "--name", "t", cwd=tmp_path)
    assert schema(tmp_path, "check", "t@1")["ok"]
    answer = schema(tmp_path, "check", "t@1", "--schema", "two.yaml", "--previous", "t@2", exit_code=17)
    assert kinds(answer) == [("a", "INT_TYPE_BIG_INT"), ("a", "COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH")]
    assert [(c["what"], c["after"], c["breaking"]) for c in schema(tmp_path, "diff", "t@1", "t", exit_code=17)["changes"]] == [
        ("max", "3", True), ("drift", "0.1", True)]
    assert not list((tmp_path / ".gyre" / "cache").glob("*.csv"))  # what was fetched is gone
    done = support.run_gyre("data", "schema", "check", "t@7", cwd=tmp_path)
    assert done.returncode == 4 and "no version or tag '7'" in done.stderr


def test_kinds_and_mistakes(tmp_path):
    assert "COMPARATOR_L_INFTY_HIGH" in schema(tmp_path, "kinds")
    (tmp_path / "schema.yaml").write_text("columns: [{name: a, type: float, drift: {infinity_norm: 0.1}}]\n")
    (tmp_path / "t.csv").write_text("a\n1\n")
    done = support.run_gyre("data", "schema", "check", "t.csv", cwd=tmp_path)
    assert done.returncode == 3 and "infinity_norm is of categories" in done.stderr and "jensen_shannon" in done.stderr
    assert support.run_gyre("data", "schema", "check", cwd=tmp_path).returncode == 2
    assert support.run_gyre("data", "schema", "check", "absent.csv", "--schema", "schema.yaml", cwd=tmp_path).returncode in (3, 4)
