# SPDX-License-Identifier: Apache-2.0
"""Where records come from: packed files, standard input, folders, patterns; and files that are cut off."""

import gzip
import json
import subprocess

import pytest

import support
import test_ingest

SCHEMA = "columns:\n  - {name: id, type: int, required: true, unique: true}\n  - {name: x, type: float, max: 1000000}\n"


def rows(first, last):
    return "id,x\n" + "".join(f"{n},{n / 4}\n" for n in range(first, last))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    return tmp_path


def zstd(data):
    """As the zstd program packs it."""
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize("name, pack", [("a.csv.gz", gzip.compress), ("a.csv.zst", zstd),
                                        ("a.bin", lambda b: gzip.compress(b[:999]) + gzip.compress(b[999:]))])
def test_packed_files_give_the_bytes_of_plain_ones(folder, name, pack):
    text = (rows(1, 5000) + "x,1\n5001,1\n").encode()
    (folder / "plain.csv").write_bytes(text)
    (folder / name).write_bytes(pack(text))
    plain = test_ingest.ingest(folder, "plain.csv")
    packed = test_ingest.ingest(folder, name, "--dlq", "packed.log")
    for key in ("read", "accepted", "dead", "sha256", "md5", "source_sha256", "source_bytes"):
        assert plain[key] == packed[key], key
    one, other = test_ingest.letters(folder / "dlq.log"), test_ingest.letters(folder / "packed.log")
    assert [(b["row"], b["offset"], b["length"], b["bytes"]) for b in one] == \
           [(b["row"], b["offset"], b["length"], b["bytes"]) for b in other]
    assert other[0]["file"] == name and text[one[0]["offset"]:][:one[0]["length"]] == b"x,1"


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_a_packed_file_that_is_cut_off_leaves_the_old_output(folder, pack):
    (folder / "good.csv").write_text(rows(1, 10))
    before = test_ingest.ingest(folder, "good.csv")
    packed = pack(rows(1, 200000).encode())
    for size in (len(packed) // 2, len(packed) - 1):
        (folder / "cut.csv").write_bytes(packed[:size])
        done = support.run_gyre("data", "ingest", "cut.csv", cwd=folder)
        assert done.returncode == 16 and "'cut.csv'" in done.stderr and "ends early" in done.stderr
        assert "cut off" in done.stderr # the hint
    again = test_ingest.ingest(folder, "good.csv")
    assert not again["new"] and again["sha256"] == before["sha256"]


def test_a_record_too_long_to_keep_is_faithful_from_a_packed_file(folder):
    long = b"7," + b"y" * 3_000_000
    text = b"id,x\n1,1\n" + long + b"\r\n2,2\n"
    (folder / "long.csv.gz").write_bytes(gzip.compress(text))
    answer = test_ingest.ingest(folder, "long.csv.gz")
    assert (answer["read"], answer["accepted"], answer["dead"]) == (3, 2, 1)
    letter, = test_ingest.letters(folder / "dlq.log")
    assert letter["codes"] == ["TOOLONG"] and letter["bytes"] == long
    assert text[letter["offset"]:letter["offset"] + letter["length"]] == long
    assert sorted(p.name for p in (folder / "data").iterdir()) == ["data.csv"] # nothing put aside is left


def test_standard_input(folder):
    answer = test_ingest.ingest(folder, "-", "--name", "piped", stdin=rows(1, 100) + "x,1\n")
    assert (answer["read"], answer["accepted"], answer["dataset"]) == (100, 99, "piped")
    letter, = test_ingest.letters(folder / "dlq.log")
    assert letter["file"] == "stdin" and letter["row"] == 99
    json_lines = "".join(json.dumps({"id": n, "x": n / 4}) + "\n" for n in range(1, 100))
    same = test_ingest.ingest(folder, "-", "--name", "piped", stdin=json_lines)
    assert same["sha256"] == answer["sha256"]


def test_standard_input_without_a_schema_is_read_once(tmp_path):
    answer = test_ingest.ingest(tmp_path, "-", stdin="a,b\n" + "".join(f"{n},w{n}\n" for n in range(300000)))
    assert answer["accepted"] == 300000 and answer["dataset"] == "stdin"
    assert (tmp_path / "data" / "data.csv").read_text().startswith("a,b\n0,w0\n")


def test_a_folder_means_its_files_in_order(folder):
    raw = folder / "raw"
    (raw / "more").mkdir(parents=True)
    (raw / "b.csv").write_text(rows(200, 300))
    (raw / "a.csv.gz").write_bytes(gzip.compress(rows(100, 200).encode()))
    (raw / "more" / "c.jsonl").write_text('{"id":7,"x":1}\n')
    (raw / "notes.txt").write_text("not a table")
    (raw / ".b.csv.swp").write_text("nor this")
    answer = test_ingest.ingest(folder, "raw", "--output-path", "raw") # its own output is no input
    again = test_ingest.ingest(folder, "raw", "--output-path", "raw")
    assert answer["accepted"] == again["accepted"] == 201 and answer["sha256"] == again["sha256"]
    ids = [line.split(",")[0] for line in (raw / "data.csv").read_text().splitlines()]
    assert ids == ["id", *map(str, range(100, 300)), "7"]
    assert test_ingest.ingest(folder, "raw/[ab].csv*")["accepted"] == 200
    done = support.run_gyre("data", "ingest", "raw/*.tsv", cwd=folder)
    assert done.returncode == 4 and "no file fits" in done.stderr
