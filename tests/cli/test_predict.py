# SPDX-License-Identifier: Apache-2.0
"""gyre predict, row by row: every row answered or a dead letter, in any format, at any number of threads, after any kill."""

import base64
import csv
import gzip
import json
import pathlib
import resource
import subprocess
import time

import pytest
import serving
import support

PACKAGE = serving.package()


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "m"
    folder.mkdir()
    for name, text in PACKAGE.items():
        (folder / name).write_text(text)
    return folder


def predict(tmp_path, *args, **kwargs):
    return support.run_json("predict", *args, cwd=tmp_path, **kwargs)


def table(path, rows, delimiter=","):
    with open(path, "w", newline="") as f:
        out = csv.writer(f, delimiter=delimiter, lineterminator="\n")
        out.writerow(["id", "HR", "Resp", "Temp", "note"])
        out.writerows([i, 60 + i % 190, "" if i % 3 else 15, 37, f'a "quoted", {i}' if i % 5 == 0 else "x"] for i in range(rows))
    return path


def long_table(path, blocks):
    block = "".join(f"{60 + i % 190},15,37,{'x' * 60}\n" for i in range(20000))
    with open(path, "w") as f:
        f.write("HR,Resp,Temp,note\n")
        for _ in range(blocks):
            f.write(block)
    return blocks * 20000


def letters(tmp_path, summary):
    return [json.loads(line) for line in open(tmp_path / summary["dead_letters"])] if summary["dead_letters"] else []


def test_all_rows_or_dead_letters(model, tmp_path):
    good, lines = table(tmp_path / "t.csv", 20), []
    lines = good.read_bytes().splitlines()
    bad = [b"1,100,15", b'2,100,15,37,"broken"x', b"3,fast,15,37,x", b"4,,15,37,x", b"5,100,15,37,\xff", b'6,100,15,37,"open']
    (tmp_path / "t.csv").write_bytes(b"\n".join(lines + [b""] + bad) + b"\n")
    got = predict(tmp_path, model, "t.csv", "-o", "out.csv")
    assert (got["rows"], got["predicted"], got["refused"]) == (26, 20, 6)
    dead = letters(tmp_path, got)
    assert [(d["row"], d["codes"][0]) for d in dead] == \
        [(20, "FIELDS"), (21, "QUOTE"), (22, "TYPE"), (23, "REQUIRED"), (24, "UTF8"), (25, "QUOTE")]
    assert [base64.b64decode(d["data_b64"]) if "data_b64" in d else d["data"].encode() for d in dead] == bad
    assert all((tmp_path / "t.csv").read_bytes()[d["offset"]:d["offset"] + d["length"]] == b for d, b in zip(dead, bad))
    answers = list(csv.DictReader(open(tmp_path / "out.csv", newline="")))
    assert [a["id"] for a in answers] == [str(i) for i in range(20)] and answers[5]["note"] == 'a "quoted", 5'
    # gyre dlq reads them
    assert support.run_gyre("dlq", "list", "--dlq", got["dead_letters"], cwd=tmp_path).returncode == 0
    # a run without any leaves none of an earlier one
    table(tmp_path / "t.csv", 20)
    assert predict(tmp_path, model, "t.csv", "-o", "out.csv")["dead_letters"] is None
    assert not pathlib.Path(tmp_path / "out.csv.dead.jsonl").exists()


def test_a_bound_on_dead_letters(model, tmp_path):
    (tmp_path / "t.csv").write_text("HR,Resp,Temp\n80,15,37\n,15,37\n80,15,37\n")
    args = ["predict", model, "t.csv", "-o", "out.csv", "--max-dead"]
    assert support.run_gyre(*args, "1", cwd=tmp_path).returncode == 0
    done = support.run_gyre(*args, "0", cwd=tmp_path)
    assert done.returncode != 0 and "1 of 3 rows are dead" in done.stderr
    assert support.run_gyre(*args, "40%", cwd=tmp_path).returncode == 0
    assert support.run_gyre(*args, "30%", cwd=tmp_path).returncode != 0


def test_formats_in_and_out_say_the_same(model, tmp_path):
    rows = list(csv.DictReader(open(table(tmp_path / "t.csv", 500), newline="")))
    table(tmp_path / "s.csv", 500, ";")
    typed = [{k: v if k == "note" else None if v == "" else int(v) for k, v in r.items()} for r in rows]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(r) + "\n" for r in typed))
    (tmp_path / "t.json").write_text(json.dumps(typed))
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress((tmp_path / "t.csv").read_bytes()))
    want = None
    for name in ("t.csv", "s.csv", "t.jsonl", "t.json", "t.csv.gz"):
        got = predict(tmp_path, model, name, "-o", "out.csv")
        assert (got["rows"], got["predicted"]) == (500, 500), name
        answers = list(csv.DictReader(open(tmp_path / "out.csv", newline="")))
        want = want or answers
        assert answers == want, name
        predict(tmp_path, model, name, "-o", "out", "--format", "jsonl")
        lines = [json.loads(line) for line in open(tmp_path / "out")]
        assert [(x["prediction"], x["probability"]) for x in lines] == [(w["prediction"], float(w["probability"])) for w in want], name
    assert [w["prediction"] for w in want] == [str(int(60 + i % 190 >= 90)) for i in range(500)]
    piped = subprocess.run([support.BIN, "predict", model, "-"], cwd=tmp_path, stdin=open(tmp_path / "t.csv"), capture_output=True,
                           env=support.clean_env(), check=True)
    predict(tmp_path, model, "t.csv", "-o", "out.csv")
    assert piped.stdout == (tmp_path / "out.csv").read_bytes()


def test_parquet_in_and_out(model, tmp_path):
    table(tmp_path / "t.csv", 300)
    done = support.run_gyre("predict", model, "t.csv", "-o", "out.parquet", "--json", cwd=tmp_path)
    if "libduckdb" in done.stdout + done.stderr:
        pytest.skip("libduckdb is not there: deps/duckdb.sh fetches it")
    assert done.returncode == 0, done.stderr + done.stdout
    assert (tmp_path / "out.parquet").read_bytes()[:4] == b"PAR1" and not (tmp_path / "out.parquet.part").exists()
    again = predict(tmp_path, model, "out.parquet", "-o", "again.csv")
    assert (again["rows"], again["predicted"]) == (300, 300)
    answers = list(csv.reader(open(tmp_path / "again.csv", newline="")))
    assert answers[0] == ["id", "HR", "Resp", "Temp", "note", "prediction", "probability", "prediction", "probability"]
    assert all(a[5] == a[7] and float(a[6]) == float(a[8]) for a in answers[1:])


def test_the_same_bytes_at_any_number_of_threads(model, tmp_path):
    path = table(tmp_path / "t.csv", 60000)
    with open(path, "a") as f:
        f.write("bad\n" * 1000 + "7,100,15,37,x\n")
    seen = set()
    for threads in (1, 2, 3, 8):
        predict(tmp_path, model, "t.csv", "-o", "out.csv", "--threads", threads)
        dead = [json.loads(line) for line in open(tmp_path / "out.csv.dead.jsonl")]
        seen.add(((tmp_path / "out.csv").read_bytes(), json.dumps([{**d, "time": ""} for d in dead])))
    assert len(seen) == 1


def test_a_killed_run_goes_on_and_gives_the_same_bytes(model, tmp_path):
    rows = long_table(tmp_path / "t.csv", 200)
    with open(tmp_path / "t.csv", "a") as f:
        f.write("bad\n")
    predict(tmp_path, model, "t.csv", "-o", "whole.csv")
    state, kills = tmp_path / "out.csv.part.state", 0
    command = [support.BIN, "predict", model, "t.csv", "-o", "out.csv", "--threads", "1", "--resume", "--json"]
    while True:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=support.clean_env(), text=True)
        before = state.stat().st_mtime_ns if state.exists() else 0
        while process.poll() is None and (kills == 3 or not state.exists() or state.stat().st_mtime_ns == before):
            time.sleep(0.01)
        if process.poll() is not None:
            break
        time.sleep(0.1 * kills)  # and something behind it
        process.kill()
        process.communicate()
        kills += 1
    summary = json.loads(process.communicate()[0])
    assert kills >= 1 and summary["resumed"] > 0, (kills, summary)
    assert (summary["rows"], summary["predicted"], summary["refused"]) == (rows + 1, rows, 1)
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not (tmp_path / "out.csv.part").exists() and not state.exists()


def test_another_input_is_not_gone_on_with(model, tmp_path):
    long_table(tmp_path / "t.csv", 200)
    process = subprocess.Popen([support.BIN, "predict", model, "t.csv", "-o", "out.csv", "--threads", "1"], cwd=tmp_path,
                               stderr=subprocess.DEVNULL, env=support.clean_env())
    end = time.monotonic() + 30
    while not (tmp_path / "out.csv.part.state").exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert (tmp_path / "out.csv.part.state").exists() and not (tmp_path / "out.csv").exists()
    table(tmp_path / "t.csv", 10)
    done = support.run_gyre("predict", model, "t.csv", "-o", "out.csv", "--resume", cwd=tmp_path)
    assert done.returncode != 0 and "another input" in done.stderr
    assert predict(tmp_path, model, "t.csv", "-o", "out.csv")["rows"] == 10


@pytest.mark.skipif(support.sanitized(), reason="a sanitizer's memory is not the program's")
def test_memory_does_not_grow_with_the_table(model, tmp_path):
    """A table of 160 MB with 100 MB of address space for data."""
    long_table(tmp_path / "t.csv", 100)
    done = subprocess.run([support.BIN, "predict", model, "t.csv", "-o", "out.csv", "--threads", "2"], cwd=tmp_path, env=support.clean_env(),
                          capture_output=True, text=True, timeout=110,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (100 << 20, 100 << 20)))
    assert done.returncode == 0 and "2000000 rows, 2000000 predicted" in done.stderr, done.stderr


@pytest.mark.parametrize("args, said", [
    (["m"], "which model, and which table"),
    (["m", "t.csv", "--resume"], "-o"),
    (["m", "t.csv", "--format", "xls"], "csv, jsonl or parquet"),
    (["m", "t.csv", "--format", "parquet"], "-o"),
    (["m", "t.csv", "--logged"], "--endpoint"),
    (["--endpoint", "e", "m", "t.csv"], "only the table"),
    (["m", "t.csv", "--explain", "--resume"], "whole table"),
])
def test_usage(model, tmp_path, args, said):
    table(tmp_path / "t.csv", 3)
    done = support.run_gyre("predict", *args, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr


def test_a_table_without_an_input_is_the_wrong_one(model, tmp_path):
    (tmp_path / "t.csv").write_text("HR,Temp\n80,37\n")
    done = support.run_gyre("predict", model, "t.csv", cwd=tmp_path)
    assert done.returncode != 0 and "no column 'Resp'" in done.stderr
    (tmp_path / "e.csv").write_text("HR,Resp,Temp\n")
    assert support.run_gyre("predict", model, "e.csv", cwd=tmp_path).stdout == "HR,Resp,Temp,prediction,probability\n"


# ---- an endpoint ----

def test_an_endpoint_answers_with_its_rules(server, tmp_path):
    serving.serve(server)
    (tmp_path / "t.csv").write_text("HR,Resp,Temp,WBC\n104,22,38.9,\n80,15,37,\n80,15,39,13\nfast,15,37,\n80,15\n")
    (tmp_path / "t.jsonl").write_text('{"HR":104,"Resp":22,"Temp":38.9}\n{"HR":80,"Resp":15,"Temp":37}\n{"HR":80,"Resp":15,"Temp":39,"WBC":13}\n'
                                      '{"HR":"fast","Resp":15,"Temp":37}\nno\n')
    said = []
    for name in ("t.csv", "t.jsonl"):
        got = predict(tmp_path, "--endpoint", "sepsis", name, "-o", "out.csv", "--home", server.home)
        assert (got["rows"], got["predicted"], got["refused"], got["endpoint"]) == (5, 3, 2, "sepsis")
        answers = list(csv.DictReader(open(tmp_path / "out.csv", newline="")))
        assert [(a["prediction"], a["rule"], a["model_version"], a["prediction_id"]) for a in answers] == \
            [("1", "sirs", "1", ""), ("0", "", "1", ""), ("1", "sirs", "1", "")]
        assert [d["row"] for d in letters(tmp_path, got)] == [3, 4]
        said.append([(a["prediction"], a["probability"]) for a in answers])
    assert said[0] == said[1]
    before = serving.request(server, "GET", "/metrics")[1].decode()
    predict(tmp_path, "--endpoint", "sepsis", "t.csv", "-o", "out.csv", "--home", server.home)
    assert [x for x in before.splitlines() if x.startswith("gyre_inference_rows_total")] == \
        [x for x in serving.request(server, "GET", "/metrics")[1].decode().splitlines() if x.startswith("gyre_inference_rows_total")]
    # asked to, they are in the log as any others
    predict(tmp_path, "--endpoint", "sepsis", "t.csv", "-o", "out.jsonl", "--logged", "--home", server.home)
    answers = [json.loads(line) for line in open(tmp_path / "out.jsonl")]
    assert [a["row"] for a in answers] == [0, 1, 2] and answers[0]["rules"] == "sirs"
    trace = serving.must(server, "GET", f"{serving.API}/trace/{answers[1]['prediction_id']}")
    assert trace["request_id"] == "t.csv/1"
    done = support.run_gyre("predict", "--endpoint", "other", "t.csv", "--home", server.home, cwd=tmp_path)
    assert done.returncode != 0 and "other" in done.stderr


def test_many_rows_of_an_endpoint_at_any_number_of_threads(server, tmp_path):
    table(tmp_path / "t.csv", 30000)
    seen = set()
    for threads in (1, 4):
        got = predict(tmp_path, "--endpoint", "sepsis", "t.csv", "-o", "out.csv", "--threads", threads, "--home", server.home)
        assert got["predicted"] == 30000
        seen.add((tmp_path / "out.csv").read_bytes())
    assert len(seen) == 1
