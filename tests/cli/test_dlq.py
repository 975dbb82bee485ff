# SPDX-License-Identifier: Apache-2.0
"""Dead letters get another chance, each at most once, whatever ends the command: gyre dlq replay."""

import base64
import csv
import fcntl
import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import time

import pytest

import support

SCHEMA = """\
columns:
  - {name: id, type: int, required: true, unique: true, role: id}
  - {name: HR, type: int, min: 20, max: %d, required: true}
  - {name: note, type: string}
"""
ROWS = "id,HR,note\n1,70,a\n2,310,high\n3,x,typo\n4,80,\"b, \"\"c\"\"\"\n1,75,again\n5,320,\"x\ny\"\n6,90\n7,\"open,80,z\n8,85,end\n"
KILL_AT = support.BIN.parent / "tests" / "support" / "libkill_at.so"


@pytest.fixture
def home(tmp_path):
    (tmp_path / "schema.yaml").write_text(SCHEMA % 300)
    (tmp_path / "vitals.csv").write_text(ROWS)
    return tmp_path


def told(home, *args, **kwargs):
    return support.run_json(*args, cwd=home, **kwargs)


def fails(home, code, *args):
    done = support.run_gyre(*args, cwd=home)
    assert done.returncode == code, (args, done.returncode, done.stdout, done.stderr)
    return done.stderr


def ingest(home, *files):
    return told(home, "data", "ingest", *(files or ["vitals.csv"]), "-o", "out")


def replay(home, *args):
    return told(home, "dlq", "replay", "-o", "out", *args)


def rows(home):
    return list(csv.DictReader(io.StringIO((home / "out" / "data.csv").read_text())))


def ids(home):
    return [r["id"] for r in rows(home)]


def letters(home, *args):
    return told(home, "dlq", "list", *args)["letters"]


def relax(home, limit=400):
    (home / "schema.yaml").write_text(SCHEMA % limit)


def newest(home):
    return told(home, "data", "show", "vitals")


# ---- what is replayed ----------------------------------------------------------------------------------------------------------


def test_a_corrected_schema_brings_letters_in_once(home):
    first = ingest(home)
    assert (first["accepted"], first["dead"], ids(home)) == (3, 6, ["1", "4", "8"])
    assert (replay(home)["accepted"], ids(home)) == (0, ["1", "4", "8"])
    relax(home)
    answer = replay(home)
    assert (answer["tried"], answer["accepted"], answer["refused"], answer["version"], answer["new"]) == (6, 2, 4, 2, True)
    assert ids(home) == ["1", "4", "8", "2", "5"]
    assert rows(home)[-1] == {"id": "5", "HR": "320", "note": "x\ny"}
    data = (home / "out" / "data.csv").read_bytes()
    assert answer["sha256"] == hashlib.sha256(data).hexdigest() and answer["md5"] == hashlib.md5(data).hexdigest()
    version = newest(home)
    assert (version["version"], version["base_version"], version["sha256"]) == (2, 1, answer["sha256"])
    assert (version["read"], version["accepted"], version["dead"]) == (9, 5, 4)
    again = replay(home)
    assert (again["accepted"], again["refused"], again["replayed_before"], again["version"]) == (0, 4, 2, None)
    assert (home / "out" / "data.csv").read_bytes() == data
    assert [letter["state"] for letter in letters(home)] == ["replayed", "refused", "refused", "replayed", "refused", "refused"]
    told(home, "data", "checkout", "vitals@1", "-o", "one.csv")
    assert [r["id"] for r in csv.DictReader((home / "one.csv").open())] == ["1", "4", "8"]
    up = {(e["from"], e["to"]) for e in told(home, "data", "lineage", "vitals@2")["upstream"]}
    assert (f"data:{first['sha256']}", f"data:{answer['sha256']}") in up


def test_unique_columns_know_what_is_in_already(home):
    ingest(home)
    (home / "schema.yaml").write_text((SCHEMA % 400))
    answer = replay(home, "--code", "UNIQUE")
    assert (answer["tried"], answer["accepted"]) == (1, 0)
    assert answer["letters"][0]["codes"] == ["UNIQUE"] and ids(home) == ["1", "4", "8"]


def test_letters_are_chosen_by_number_id_code_and_file(home):
    ingest(home)
    relax(home)
    found = letters(home)
    assert replay(home, "--file", "nothing")["tried"] == 0
    assert replay(home, "0")["accepted"] == 1 and ids(home) == ["1", "4", "8", "2"]
    assert replay(home, found[3]["id"])["accepted"] == 1 and ids(home)[-1] == "5"
    assert told(home, "dlq", "show", found[3]["id"])["state"] == "replayed"
    assert [x["number"] for x in letters(home, "--state", "replayed")] == [0, 3]
    assert replay(home, "--code", "TYPE")["tried"] == 1


def test_edited_letters(home):
    ingest(home)
    found = letters(home)
    fixes = {"3,x,typo": "3,77,typo", "1,75,again": "9,75,again\n", "6,90": "6,90,", "7,\"open,80,z": "7,80,\"ope\"\"n\"",
             "2,310,high": "2,31,high"}
    for letter in found:
        letter["data"] = fixes.get(letter["data"], letter["data"])
    (home / "fix.json").write_text(json.dumps({"letters": found}))
    answer = replay(home, "--edited", "fix.json")
    assert (answer["tried"], answer["accepted"], answer["refused"]) == (6, 5, 1)
    assert ids(home) == ["1", "4", "8", "2", "3", "9", "6", "7"]
    assert rows(home)[-1]["note"] == 'ope"n'
    assert replay(home, "--edited", "fix.json")["accepted"] == 0
    # The log itself is as it was.
    assert [json.loads(line)["data"] for line in (home / "dlq.log").read_text().splitlines()][0] == "2,310,high"


@pytest.mark.parametrize("shape", ["lines", "array", "one"])
def test_edited_letters_come_in_any_shape(home, shape):
    ingest(home)
    one = json.loads((home / "dlq.log").read_text().splitlines()[0])
    one["data"] = "2,30,high"
    (home / "fix").write_text({"lines": json.dumps(one) + "\n", "array": json.dumps([one]), "one": json.dumps(one, indent=1)}[shape])
    answer = replay(home, "--edited", "fix")
    assert (answer["tried"], answer["accepted"]) == (1, 1) and ids(home)[-1] == "2"


@pytest.mark.parametrize("data", ["2,30,a\n3,31,b", "", "2,30,\"a\"\n3,31,\"b\"", "2,30", "2,30,a,b", "2,30,\"a", "x" * 2_000_000],
                         ids=["two", "none", "two quoted", "few", "many", "open", "long"])
def test_an_edited_letter_is_one_record(home, data):
    ingest(home)
    one = json.loads((home / "dlq.log").read_text().splitlines()[0])
    (home / "fix").write_text(json.dumps({**one, "data": data}))
    answer = replay(home, "--edited", "fix")
    assert (answer["accepted"], answer["refused"], ids(home)) == (0, 1, ["1", "4", "8"])


def test_edited_letters_that_are_not_there(home):
    ingest(home)
    one = json.loads((home / "dlq.log").read_text().splitlines()[0])
    for bad, code in [({**one, "row": 99}, 4), ({**one, "id": "nothing-1"}, 4), ({**one, "id": "../x"}, 3), ({"id": "a"}, 3), ([7], 3)]:
        (home / "fix").write_text(json.dumps(bad))
        fails(home, code, "dlq", "replay", "-o", "out", "--edited", "fix")
    (home / "fix").write_text(json.dumps(one) + "\n" + json.dumps(one) + "\n")
    assert "twice" in fails(home, 3, "dlq", "replay", "-o", "out", "--edited", "fix")
    (home / "fix").write_text("{")
    fails(home, 16, "dlq", "replay", "-o", "out", "--edited", "fix")
    assert ids(home) == ["1", "4", "8"]


def test_letters_of_several_files_and_formats(home):
    (home / "b.csv").write_text("note;HR;id\nq;500;20\n\"r;s\";350;21\n")
    (home / "c.jsonl").write_text('{"id": 30, "HR": 399, "note": "j"}\n{"id": 31, "HR": "many"}\n{"id": 32,\n{"id": 33, "HR": 301}\n')
    ingest(home, "vitals.csv", "b.csv", "c.jsonl")
    (home / "b.csv").unlink()
    (home / "c.jsonl").unlink()
    relax(home)
    answer = replay(home)
    assert ids(home) == ["1", "4", "8", "2", "5", "21", "30", "33"]
    assert rows(home)[5]["note"] == "r;s"
    assert answer["refused"] == 7


def test_bytes_that_are_not_utf8_and_records_that_were_too_long(home):
    (home / "vitals.csv").write_bytes(b"id,HR,note\n1,70,a\n2,71,\xff\xfe\n3,72," + b"y" * 1_500_000 + b"\n")
    assert ingest(home)["dead"] == 2
    assert replay(home)["refused"] == 2
    found = letters(home)
    assert base64.b64decode(found[0]["data_b64"]) == b"2,71,\xff\xfe"
    del found[0]["data_b64"]
    (home / "fix").write_text(json.dumps([{**found[0], "data": "2,71,ok"}]))
    assert replay(home, "--edited", "fix")["accepted"] == 1 and ids(home) == ["1", "2"]


@pytest.mark.parametrize("n", [12 << 20, 14 << 20, 30 << 20])
def test_a_letter_too_long_to_be_read_back_hides_no_other(home, n):
    (home / "long.csv").write_text("id,HR,note\n1,x,a\n2,70," + "n" * n + "\n3,y,b\n")
    assert ingest(home, "long.csv")["dead"] == 3
    listed = told(home, "dlq", "list")
    assert listed["matching"] == 3 and listed["damaged"] == 0
    assert [(x["number"], x["row"], x["codes"]) for x in listed["letters"]] == [
        (0, 0, ["TYPE"]), (1, 1, ["TOOLONG"]), (2, 2, ["TYPE"])]
    fix = [x for x in listed["letters"] if x["row"] != 1]
    for x in fix:
        x["data"] = x["data"].replace("x", "70").replace("y", "80")
    (home / "fix.json").write_text(json.dumps(fix))
    assert replay(home, "--edited", "fix.json")["accepted"] == 2 and ids(home) == ["1", "3"]


def test_letters_of_older_programs(home):
    """Without source and header: the file tells its header while it is there, else --header does."""
    ingest(home)
    old = []
    for line in (home / "dlq.log").read_text().splitlines():
        letter = json.loads(line)
        for key in ("source", "header", "delimiter"):
            del letter[key]
        old.append(json.dumps(letter) + "\n")
    (home / "dlq.log").write_text("".join(old) + "not a letter\n")
    relax(home)
    (home / "vitals.csv").rename(home / "away")
    answer = replay(home)
    assert (answer["accepted"], answer["damaged"]) == (0, 1) and "header" in answer["letters"][0]["error"]
    assert replay(home, "0", "--header", "id,HR,note")["accepted"] == 1
    (home / "away").rename(home / "vitals.csv")
    assert replay(home)["accepted"] == 1
    assert ids(home) == ["1", "4", "8", "2", "5"]
    assert replay(home)["replayed_before"] == 2
    assert all(letter["id"].startswith("old-") for letter in letters(home))


def test_the_versions_own_schema_serves_where_there_is_no_other(home):
    ingest(home)
    (home / "schema.yaml").unlink()
    assert replay(home)["refused"] == 6
    (home / "mine.yaml").write_text(SCHEMA % 400)
    assert replay(home, "--schema", "mine.yaml")["accepted"] == 2


def test_a_dry_run_changes_nothing(home):
    ingest(home)
    relax(home)
    before = {p.name: p.read_bytes() for p in (home / "out").iterdir()}
    answer = replay(home, "--dry-run")
    assert (answer["accepted"], answer["version"]) == (2, None)
    assert {p.name: p.read_bytes() for p in (home / "out").iterdir()} == before
    assert all(letter["state"] == "dead" for letter in letters(home))
    assert replay(home)["accepted"] == 2


def test_what_is_wrong_is_told(home):
    assert "no log" in fails(home, 4, "dlq", "replay", "-o", "out")
    ingest(home)
    assert "no table" in fails(home, 4, "dlq", "replay", "-o", "elsewhere")
    (home / "schema.yaml").write_text((SCHEMA % 300).replace("min: 20", "min: 75"))
    assert "row 0" in fails(home, 17, "dlq", "replay", "-o", "out")
    relax(home)
    (home / "out" / "data.csv").write_text("id,HR,note\n100,70,by hand\n")
    assert "no registered version" in fails(home, 4, "dlq", "replay", "-o", "out")
    assert replay(home, "--name", "vitals")["version"] == 2
    assert ids(home)[0] == "100"


# ---- again and again -----------------------------------------------------------------------------------------------------------


def test_ingest_and_replay_again_and_again(home):
    """An ingest makes the table anew from its files, so the letters are not in it any more; their rows come back, once."""
    ingest(home)
    relax(home)
    assert replay(home)["accepted"] == 2
    data = (home / "out" / "data.csv").read_bytes()
    (home / "schema.yaml").write_text(SCHEMA % 300)
    again = ingest(home)
    assert (again["version"], again["new"]) == (1, False)
    relax(home)
    answer = replay(home)
    assert (answer["accepted"], answer["version"], answer["new"]) == (2, 2, False)
    assert (home / "out" / "data.csv").read_bytes() == data
    assert replay(home)["accepted"] == 0
    assert len(told(home, "data", "list", "vitals")["versions"]) == 2


def test_a_letter_goes_into_one_table_only(home):
    ingest(home)
    shutil.copytree(home / "out", home / "copy")
    relax(home)
    assert replay(home)["accepted"] == 2
    other = told(home, "dlq", "replay", "-o", "copy")
    assert (other["accepted"], other["replayed_before"]) == (0, 2)


def test_ingest_with_the_flags_of_the_reference_never_doubles(home):
    """compounds.json read again and again: no row, no version twice, and letters that are the same letters."""
    raw = home / "raw-data"
    raw.mkdir()
    (home / "schema.yaml").write_text("columns:\n  - {name: compound_id, type: int, required: true, unique: true}\n"
                                      "  - {name: name, type: string, required: true}\n  - {name: weight, type: float, min: 0}\n")
    records = [{"compound_id": i, "name": f"c{i}", "weight": i / 4} for i in range(102)]
    del records[50]["name"]
    records[60]["weight"] = -1
    (raw / "compounds.json").write_text("\ufeff" + json.dumps(records))
    seen = set()
    for turn in range(3):
        answer = told(home, "data", "ingest", "--data_loc", "raw-data", "--file_name", "compounds.json", "--output_path", "out", "--dlq", "dlq.log",
                      "--log_level", "INFO")
        assert (answer["read"], answer["accepted"], answer["dead"], answer["version"], answer["new"]) == (102, 100, 2, 1, turn == 0)
        seen.add((home / "out" / "data.csv").read_bytes())
    assert len(seen) == 1 and len(told(home, "data", "list")["datasets"]) == 1
    found = letters(home)
    assert len(found) == 6 and len({letter["id"] for letter in found}) == 2
    for letter in found:
        letter["data"] = json.dumps({**json.loads(letter["data"]), "name": "found", "weight": 1})
    (home / "fix.json").write_text(json.dumps(list({letter["id"]: letter for letter in found}.values())))
    assert replay(home, "--edited", "fix.json")["accepted"] == 2
    assert len(rows(home)) == 102


def test_two_replays_at_once(home):
    text = "id,HR,note\n" + "".join(f"{i},{310 if i % 2 else 80},n\n" for i in range(4000))
    (home / "vitals.csv").write_text(text)
    ingest(home)
    relax(home)
    command = [str(support.BIN), "dlq", "replay", "-o", "out", "--json"]
    env = support.clean_env(support.store_env(home / ".gyre"))
    runs = [subprocess.Popen(command, cwd=home, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    accepted = 0
    for run in runs:
        out, said = run.communicate(timeout=100)
        assert run.returncode in (0, 14), said
        accepted += json.loads(out)["accepted"] if run.returncode == 0 else 0
    accepted += replay(home)["accepted"]
    assert accepted == 2000 and len(ids(home)) == len(set(ids(home))) == 4000


def test_an_ingest_waits_for_a_replay_of_its_table(home):
    """A replay that has read the table would undo what an ingest puts there meanwhile."""
    ingest(home)
    (home / "vitals.csv").write_text("id,HR,note\n1,70,new\n2,x,bad\n")
    before = (home / "out" / "data.csv").read_bytes()
    log = (home / "dlq.log").read_bytes()
    held = os.open(home / "out", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)  # as a replay does
    env = support.clean_env(support.store_env(home / ".gyre"))
    with subprocess.Popen([str(support.BIN), "data", "ingest", "vitals.csv", "-o", "out"], cwd=home, env=env, stdout=subprocess.DEVNULL) as run:
        time.sleep(0.5)
        waits = run.poll() is None and (home / "out" / "data.csv").read_bytes() == before and (home / "dlq.log").read_bytes() == log
        os.close(held)
        assert run.wait(timeout=100) == 0 and waits
    assert ids(home) == ["1"] and "works on" not in support.run_gyre("dlq", "replay", "-o", "out", cwd=home).stderr


# ---- kill -9 -------------------------------------------------------------------------------------------------------------------


def kill_at(home, step, when):
    """A replay that is killed at its step; whether it was."""
    env = support.clean_env({**support.store_env(home / ".gyre"), "LD_PRELOAD": str(KILL_AT), "GYRE_KILL_AT": str(step), "GYRE_KILL_WHEN": when,
                             "ASAN_OPTIONS": "verify_asan_link_order=0"})
    done = subprocess.run([str(support.BIN), "dlq", "replay", "-o", "out", "--json"], cwd=home, env=env, capture_output=True, text=True, timeout=100,
                          check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


@pytest.mark.sqlite  # homes are copied with their database
@pytest.mark.skipif(not KILL_AT.exists(), reason="libkill_at.so was not built")
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_each_step_and_run_again(home, when):
    """No unique column: only the memory of replays keeps rows from coming twice."""
    rng = random.Random(7)
    schema = "columns:\n  - {name: id, type: int, required: true}\n  - {name: HR, type: int, max: %d}\n"
    text = "id,HR\n" + "".join(f"{i},{rng.choice([80, 310, 500])}\n" for i in range(300))
    want = sorted(line.split(",")[0] for line in text.splitlines()[1:] if not line.endswith("500"))
    first = home / "first"
    first.mkdir()
    (first / "vitals.csv").write_text(text)
    (first / "schema.yaml").write_text(schema % 300)
    ingest(first)
    (first / "schema.yaml").write_text(schema % 400)
    killed = step = 0
    while True:
        step += 1
        assert step < 200, "it never ends"
        here = home / "here"
        shutil.rmtree(here, ignore_errors=True)
        shutil.copytree(first, here)
        was_killed = kill_at(here, step, when)
        killed += was_killed
        table = (here / "out" / "data.csv").read_text()
        assert table.startswith("id,HR\n") and table.endswith("\n")
        answer = replay(here)
        assert sorted(ids(here)) == want, (step, when)
        assert answer["refused"] == answer["tried"] - answer["accepted"]
        versions = told(here, "data", "list", "vitals")["versions"]
        sha = hashlib.sha256((here / "out" / "data.csv").read_bytes()).hexdigest()
        assert [v["sha256"] for v in versions if v["version"] == max(w["version"] for w in versions)] == [sha], (step, when)
        assert not (here / "out" / ".replay.json").exists()
        assert replay(here)["accepted"] == 0 and sorted(ids(here)) == want
        assert {letter["state"] for letter in letters(here, "-n", "1000")} == {"replayed", "refused"}
        if not was_killed:
            break
    assert killed >= 8


@pytest.mark.skipif(not KILL_AT.exists(), reason="libkill_at.so was not built")
def test_cut_off_and_the_table_made_anew_by_an_ingest(home):
    """Killed once the new table is in place; then an ingest of the same file comes first."""
    ingest(home)
    relax(home)
    log = home / "steps"
    env = support.clean_env({**support.store_env(home / ".gyre"), "LD_PRELOAD": str(KILL_AT), "GYRE_KILL_LOG": str(log), "GYRE_KILL_AT": "0",
                             "ASAN_OPTIONS": "verify_asan_link_order=0"})
    shutil.copytree(home, home.parent / "dry", symlinks=True)
    subprocess.run([str(support.BIN), "dlq", "replay", "-o", "out"], cwd=home.parent / "dry", env=env, check=True, capture_output=True)
    renames = [i for i, line in enumerate(log.read_text().splitlines(), 1) if line == "rename"]
    assert kill_at(home, renames[1], "after")  # the journal, then the table
    assert len(ids(home)) == 5 and (home / "out" / ".replay.json").exists()
    (home / "schema.yaml").write_text(SCHEMA % 300)
    ingest(home)
    assert len(ids(home)) == 3
    relax(home)
    assert replay(home)["accepted"] == 2 and ids(home) == ["1", "4", "8", "2", "5"]
    assert replay(home)["accepted"] == 0
