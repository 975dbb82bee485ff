# SPDX-License-Identifier: Apache-2.0
"""gyre subject on a project without a server: who is found, exported, held and erased, and what stays as it was."""

import hashlib
import json
import random

import pytest

import support

WHO = "P-7f3k29xq"
SCHEMA = """columns:
  - {name: patient, type: %s, required: true, role: %s}
  - {name: hr, type: int, min: 20, max: 300}
"""


def gyre(folder, *args):
    return support.run_json(*args, cwd=folder)


def project(folder, rows, kind="string", role="subject", name="a"):
    (folder / "raw").mkdir(exist_ok=True)
    (folder / "schema.yaml").write_text(SCHEMA % (kind, role))
    (folder / "raw" / f"{name}.csv").write_text("patient,hr\n" + "".join(f"{p},{h}\n" for p, h in rows))
    gyre(folder, "data", "ingest", "--data-loc", "raw", "--file-name", f"{name}.csv", "--output-path", "data", "--dlq", "dlq.log",
         "--name", name)


def erase(folder, who, *args):
    return gyre(folder, "subject", "erase", who, "--reason", "request 17", "--yes", "--path", "raw", "--path", "data", *args)


def places(answer, state):
    return {(f["kind"], f["where"]): f["n"] for f in answer["findings"] if f["state"] == state}


def holders(folder, text):
    return [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and text.encode() in p.read_bytes()]


def test_erased_from_versions_letters_and_files(tmp_path):
    project(tmp_path, [("P-1aaaa", 60), (WHO, 70), (WHO, 999), ("P-2bbbb", 50)])
    found = places(gyre(tmp_path, "subject", "find", WHO, "--path", "raw", "--path", "data"), "found")
    assert found == {("dataset", "a@1"): 1, ("letters", "./dlq.log"): 1, ("file", "raw/a.csv"): 2,
                     ("file", "data/data.csv"): 1}
    before = holders(tmp_path, WHO)
    assert gyre(tmp_path, "subject", "erase", WHO, "--path", "raw", "--path", "data")["erasure"] is None  # only said
    assert holders(tmp_path, WHO) == before

    done = erase(tmp_path, WHO)
    assert places(done, "erased") == found
    assert holders(tmp_path, WHO) == []
    assert (tmp_path / "raw" / "a.csv").read_text() == "patient,hr\nP-1aaaa,60\nP-2bbbb,50\n"
    versions = gyre(tmp_path, "data", "list")["datasets"]
    assert [(v["version"], v["rows"]) for v in versions] == [(2, 2)]
    gone = [v for v in gyre(tmp_path, "data", "list", "--deleted")["datasets"]]
    assert [(v["version"], v["rows"], bool(v["gone"])) for v in gone] == [(1, 3, True)]  # hash and counts stay
    assert gyre(tmp_path, "subject", "find", WHO, "--path", "raw", "--path", "data")["findings"] == []
    # The rows of before do not come back.
    (tmp_path / "raw" / "b.csv").write_text(f"patient,hr\nP-1aaaa,60\n{WHO},70\nP-2bbbb,50\n")
    back = support.run_gyre("data", "ingest", "--data-loc", "raw", "--file-name", "b.csv", "--output-path", "back", "--dlq", "x.log",
                       "--name", "a", cwd=tmp_path)
    assert back.returncode == 6 and "erased" in back.stderr
    assert holders(tmp_path / ".gyre", WHO) == []
    assert gyre(tmp_path, "dlq", "list")["matching"] == 0  # the note is no letter


def test_the_version_that_follows_does_not_name_the_subject(tmp_path):
    project(tmp_path, [("P-1aaaa", 60), (WHO, 70)], name=f"of-{WHO}")
    erase(tmp_path, WHO, "--dataset", f"of-{WHO}")  # of a dataset alone: texts of tables are not looked at
    (version,) = gyre(tmp_path, "data", "list")["datasets"]
    assert version["version"] == 2 and WHO not in (version["source"] or ""), version


def test_versions_of_others_do_not_name_the_subject(tmp_path):
    project(tmp_path, [("P-1aaaa", 60)], name=f"of-{WHO}")  # its source is a file of that name
    project(tmp_path, [(WHO, 70), ("P-1aaaa", 60)])
    erase(tmp_path, WHO)
    listed = gyre(tmp_path, "data", "list")["datasets"] + gyre(tmp_path, "data", "list", "--deleted")["datasets"]
    assert len(listed) == 3 and not [v for v in listed if WHO in (v["source"] or "")]


def test_an_erasure_that_ended_before_dvc_was_told(tmp_path):
    """What kill -9 leaves behind: the table is without the subject, the .dvc file names the one with it."""
    (tmp_path / "data").mkdir()
    table = tmp_path / "data" / "t.csv"
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = True\n")
    (tmp_path / "schema.yaml").write_text(SCHEMA % ("string", "subject"))
    table.write_text(f"patient,hr\nP-1aaaa,60\n{WHO},70\n")
    gyre(tmp_path, "data", "add", "data/t.csv")
    table.unlink()  # it may be a link into the cache
    table.write_text("patient,hr\nP-1aaaa,60\n")
    gyre(tmp_path, "subject", "erase", WHO, "--reason", "request 17", "--yes", "--path", "data")
    assert holders(tmp_path, WHO) == []
    assert hashlib.md5(table.read_bytes()).hexdigest() in (tmp_path / "data" / "t.csv.dvc").read_text()


def test_a_number_is_a_value_not_a_part(tmp_path):
    project(tmp_path, [(42, 60), (420, 42), (142, 61), (42, 62)], kind="int")
    done = erase(tmp_path, "42")
    assert places(done, "erased")[("dataset", "a@1")] == 2
    assert (tmp_path / "raw" / "a.csv").read_text() == "patient,hr\n420,42\n142,61\n"


def test_a_column_of_role_id_is_only_possible(tmp_path):
    project(tmp_path, [(WHO, 60), ("P-1aaaa", 61)], role="id")
    found = gyre(tmp_path, "subject", "find", WHO, "--home-only")
    assert places(found, "possible") == {("dataset", "a@1"): 1} and found["places"] == 0
    assert places(erase(tmp_path, WHO, "--home-only"), "erased") == {}
    assert places(erase(tmp_path, WHO, "--home-only", "--possible"), "erased") == {("dataset", "a@1"): 1}


def test_older_versions_are_tombstones_and_others_stay(tmp_path):
    project(tmp_path, [(WHO, 60), ("P-1aaaa", 61)])
    project(tmp_path, [("P-1aaaa", 61)])
    project(tmp_path, [("P-9zzzz", 1 + 60)], name="other")
    erase(tmp_path, WHO)
    assert [(v["name"], v["version"]) for v in gyre(tmp_path, "data", "list")["datasets"]] == [("a", 2), ("other", 1)]
    gyre(tmp_path, "data", "checkout", "other", "-o", "o.csv")
    assert (tmp_path / "o.csv").read_text() == "patient,hr\nP-9zzzz,61\n"
    refused = support.run_gyre("data", "checkout", "a@1", "-o", "x.csv", cwd=tmp_path)
    assert refused.returncode != 0 and "erased" in refused.stderr


def test_holds_refuse(tmp_path):
    project(tmp_path, [(WHO, 60), ("P-1aaaa", 61)])
    for what in ([WHO], ["--dataset", "a"]):
        gyre(tmp_path, "subject", "hold", *what, "--reason", "case 4711")
        before = holders(tmp_path, WHO)
        refused = support.run_gyre("subject", "erase", WHO, "--reason", "x", "--yes", cwd=tmp_path)
        assert refused.returncode == 6 and "case 4711" in refused.stderr
        assert holders(tmp_path, WHO) == before
        again = support.run_gyre("subject", "hold", *what, "--reason", "again", cwd=tmp_path)
        assert again.returncode == 5
        gyre(tmp_path, "subject", "release", *what, "--reason", "case closed")
    assert {h["kind"] for h in gyre(tmp_path, "subject", "holds")["holds"]} == {"subject", "dataset"}
    assert places(erase(tmp_path, WHO), "erased")
    assert support.run_gyre("subject", "release", WHO, "--reason", "x", cwd=tmp_path).returncode == 4


def test_a_held_dataset_outlives_gc(tmp_path):
    project(tmp_path, [("P-1aaaa", 60)])
    gyre(tmp_path, "data", "delete", "a@1", "--yes")
    gyre(tmp_path, "subject", "hold", "--dataset", "a", "--reason", "audit")
    gc = ("gc", "--yes", "--older-than", "0s", "--grace", "60s")
    assert gyre(tmp_path, *gc)["dataset_versions"] == 0
    gyre(tmp_path, "data", "delete", "a@1", "--undo")
    gyre(tmp_path, "data", "delete", "a@1", "--yes")
    gyre(tmp_path, "subject", "release", "--dataset", "a", "--reason", "over")
    assert gyre(tmp_path, *gc)["dataset_versions"] == 1


def test_the_reason_must_not_name_the_subject(tmp_path):
    project(tmp_path, [(WHO, 60)])
    for reason in (f"asked by {WHO}", " "):
        refused = support.run_gyre("subject", "erase", WHO, "--reason", reason, "--yes", cwd=tmp_path)
        assert refused.returncode == 3
    assert support.run_gyre("subject", "erase", WHO, "--yes", cwd=tmp_path).returncode == 2


def test_export_has_everything(tmp_path):
    project(tmp_path, [("P-1aaaa", 60), (WHO, 70), (WHO, 999)])
    said = gyre(tmp_path, "subject", "export", WHO, "--path", "raw", "-o", "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "data.jsonl").read_text().splitlines()]
    assert said["records"] == len(lines) == 4  # a row of the version, a letter, two rows of the file
    assert {"kind": "dataset", "where": "a@1", "data": {"patient": WHO, "hr": "70"}} in lines
    assert all(WHO in json.dumps(line) for line in lines) and "P-1aaaa" not in json.dumps(lines)
    assert (tmp_path / "out" / "data.jsonl").stat().st_mode & 0o77 == 0


def test_the_audit_log_and_the_ledger_do_not_keep_the_id(tmp_path):
    project(tmp_path, [(WHO, 60), ("P-1aaaa", 61)])
    erase(tmp_path, WHO)
    rows = gyre(tmp_path, "audit", "list")["rows"]
    assert [r for r in rows if r["action"].endswith("/erase") and r["subject"].startswith("subject=")]
    assert WHO not in json.dumps(rows)
    assert gyre(tmp_path, "audit", "verify")["ok"]
    ledger = list((tmp_path / ".gyre" / "erasures").glob("*.json"))
    assert len(ledger) == 1 and json.loads(ledger[0].read_text())["reason"] == "request 17"
    assert holders(tmp_path / ".gyre", WHO) == []


@pytest.mark.parametrize("suffix", [".csv.gz", ".jsonl"])
def test_other_files_of_the_data_folder(tmp_path, suffix):
    import gzip
    project(tmp_path, [("P-1aaaa", 60)])
    text = f"patient,hr\r\nP-1aaaa,1\r\n{WHO},2\r\n" if suffix == ".csv.gz" else \
        f'{{"patient": "{WHO}"}}\n{{"patient": "P-1aaaa"}}\n'
    kept = "patient,hr\r\nP-1aaaa,1\r\n" if suffix == ".csv.gz" else '{"patient": "P-1aaaa"}\n'
    path = tmp_path / "raw" / f"x{suffix}"
    path.write_bytes(gzip.compress(text.encode()) if suffix == ".csv.gz" else text.encode())
    assert places(erase(tmp_path, WHO), "erased") == {("file", f"raw/x{suffix}"): 1}
    got = gzip.decompress(path.read_bytes()) if suffix == ".csv.gz" else path.read_bytes()
    assert got.decode() == kept


def test_models_say_what_they_were_trained_on(tmp_path):
    draw = random.Random(1)
    rates = [draw.randint(40, 180) for _ in range(300)]
    (tmp_path / "raw").mkdir()
    (tmp_path / "schema.yaml").write_text(SCHEMA % ("string", "subject") + "  - {name: sick, type: int, values: [0, 1], role: label}\n")
    (tmp_path / "raw" / "a.csv").write_text("patient,hr,sick\n" + "".join(
        f"{WHO if i == 5 else f'P-{i}'},{h},{int(h + draw.randint(-20, 20) > 100)}\n" for i, h in enumerate(rates)))
    gyre(tmp_path, "data", "ingest", "--data-loc", "raw", "--file-name", "a.csv", "--output-path", "data", "--dlq", "dlq.log")
    trained = support.run_gyre("train", "data/data.csv", "--target", "sick", "--learner", "logistic", "--register", "m", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert gyre(tmp_path, "models", "show", "m/1")["erased_subjects"] is None
    erase(tmp_path, WHO)
    assert gyre(tmp_path, "models", "show", "m/1")["erased_subjects"] == "a@1 (1 rows)"
    card = support.run_gyre("models", "card", "m/1", cwd=tmp_path)
    assert "trained on erased subjects: a@1 (1 rows)" in card.stdout
    assert holders(tmp_path, WHO) == []  # not in the package, nor in what the run logged
