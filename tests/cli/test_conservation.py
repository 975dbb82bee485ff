# SPDX-License-Identifier: Apache-2.0
"""Nothing is lost of a spoilt file: 200,000 records (2,000,000 with GYRE_LONG=1; GYRE_RECORDS=N) among unclosed quotes, stray
delimiters, bytes that are no UTF-8, NULs and fields of 50,000 bytes. What must come out is told by an oracle that shares no
code with the program: the grammar as one regular expression."""

import base64
import gzip
import json
import os
import random
import re

import pytest
import support

RECORDS = int(os.environ.get("GYRE_RECORDS") or (2_000_000 if os.environ.get("GYRE_LONG") else 200_000))
RECORD_MAX = 1024 * 1024
SCHEMA = ("columns:\n  - {name: id, type: int, required: true}\n  - {name: a, type: string}\n"
          "  - {name: x, type: float, min: 0, max: 100}\n  - {name: b, type: string}\nmissing: ['']\n")

FIELD = rb'(?>"(?:[^"]++|"")*+"(?=[,\n]|\r\n|\Z)|(?!")[^,\n]*+)'
RECORD = re.compile(rb"(" + FIELD + rb"(?:," + FIELD + rb")*+)(\r?\n|\Z)")
ONE_FIELD = re.compile(rb'"((?:[^"]++|"")*+)"|([^,\n]*+)')
INT = re.compile(rb"[ \t]*-?[0-9]{1,18}(\.0+)?[ \t]*\Z")
FLOAT = re.compile(rb"[ \t]*-?([0-9]+\.?[0-9]*|\.[0-9]+)[ \t]*\Z")


def spoilt(records, seed):
    """The bytes: some nine in ten records are good."""
    r = random.Random(seed)
    parts = [b"id,a,x,b\n"]
    kinds = ["good"] * 90 + ["quoted"] * 12 + ["newline"] * 6 + ["open"] + ["stray"] * 2 + ["bytes"] * 2 + ["nul"] + ["type"] * 2 + \
            ["range", "crlf", "blank", "inner", "after", "twice"]
    for n in range(records):
        kind = r.choice(kinds)
        number = b"%d" % n
        line = number + b",w%d,%d.5,plain" % (n % 997, n % 90)
        if n % 5000 == 4999:
            line = number + b"," + b"L" * 50_000 + b",1," + (b'"' + b'q""' * 16_000 + b'"' if n % 2 else b"z" * 50_000)
        elif kind == "quoted":
            line = number + b',"a, ""%d""",2.25,"c"' % n
        elif kind == "newline":
            line = number + b',"line\r\nbreak\n",0.5,"\n"'
        elif kind == "open" and r.random() < 0.1:
            line = number + b',"never closed,1,b'
        elif kind == "stray":
            line = number + b",a,1,b" + b"," * r.randint(1, 3)
        elif kind == "bytes":
            line = number + b",\xff\xfe" + bytes(r.choice((0x80, 0xC0, 0xE2, 0xF5)) for _ in range(3)) + b",1,b"
        elif kind == "nul":
            line = number + b",\x00a\x00,1,\x00"
        elif kind == "type":
            line = number + b"x,a,1,b" if n % 2 else number + b",a,much,b"
        elif kind == "range":
            line = number + b",a,100.5,b"
        elif kind == "crlf":
            line += b"\r"
        elif kind == "blank":
            line += b"\n\r\n"
        elif kind == "inner":
            line = number + b',5" pipe,1,say "hi"'
        elif kind == "after":
            line = number + b',"closed"then,1,b'
        elif kind == "twice":
            line = number + b',"a","b",' + number + b',"c"' # a field too many
        parts += (line, b"\n")
    return b"".join(parts)


def records_of(data):
    """(offset, content, fault) of every record after the header, blank lines left out."""
    at, first = 0, True
    while at < len(data):
        m = RECORD.match(data, at, min(len(data), at + RECORD_MAX + 1))
        fine = m is not None and (m.group(2) or m.end() == len(data))
        if fine:
            content, end = m.group(1), m.end()
        else:
            line = data.find(b"\n", at)
            content, end = (data[at:], len(data)) if line < 0 else (data[at:line], line + 1)
        if end <= len(data) and data[end - 1:end] == b"\n" and content.endswith(b"\r"):
            content = content[:-1]
        if content:
            if not first:
                yield at, content, not fine
            first = False
        at = end


def fields_of(content):
    """Unquoted texts of the fields of a record that the grammar allows."""
    found, at = [], 0
    while True:
        m = ONE_FIELD.match(content, at)
        found.append(m.group(1).replace(b'""', b'"') if m.group(1) is not None else m.group(2))
        if m.end() == len(content):
            return found
        at = m.end() + 1


def well_formed(content):
    fields = fields_of(content)
    if len(fields) != 4:
        return None
    try:
        content.decode()
    except UnicodeDecodeError:
        return None
    number, _, x, _ = fields
    if not INT.match(number) or (x.strip(b" \t") and not (FLOAT.match(x) and 0 <= float(x) <= 100)):
        return None
    return fields


def check(folder, data, *args):
    expected_good, expected_dead = [], []
    for row, (offset, content, fault) in enumerate(records_of(data)):
        fields = None if fault else well_formed(content)
        if fields is None:
            expected_dead.append((row, offset, content))
        else:
            expected_good.append((b"%d" % int(fields[0].split(b".")[0]), fields[1], fields[3]))
    answer = support.run_json("data", "ingest", *args, cwd=folder, timeout=600)
    assert answer["read"] == len(expected_good) + len(expected_dead)
    assert answer["accepted"] + answer["dead"] == answer["read"] and answer["source_bytes"] == len(data)
    out = (folder / "data" / "data.csv").read_bytes()
    accepted = [fields_of(content) for _, content, fault in records_of(out) if not fault]
    assert [(f[0], f[1], f[3]) for f in accepted] == expected_good
    dead = []
    for line in (folder / "dlq.log").read_bytes().splitlines():
        letter = json.loads(line)
        raw = letter["data"].encode() if "data" in letter else base64.b64decode(letter["data_b64"])
        assert letter["codes"] and raw == data[letter["offset"]:letter["offset"] + letter["length"]]
        dead.append((letter["row"], letter["offset"], raw))
    assert dead == expected_dead
    return answer


@pytest.mark.timeout(900)
def test_conservation(tmp_path):
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    data = spoilt(RECORDS, 20261127)
    (tmp_path / "big.csv").write_bytes(data)
    many = check(tmp_path, data, "big.csv")
    assert many["read"] > RECORDS * 0.99 and many["dead"] > RECORDS // 40
    assert {"QUOTE", "FIELDS", "UTF8", "TYPE", "RANGE"} <= set(many["codes"])
    log = (tmp_path / "dlq.log").read_text().count("\n")
    for threads in (1, 3):
        again = support.run_json("data", "ingest", "big.csv", "--threads", threads, cwd=tmp_path, timeout=600)
        assert (again["sha256"], again["codes"], again["dead"]) == (many["sha256"], many["codes"], many["dead"])
    lines = (tmp_path / "dlq.log").read_text().splitlines()
    timeless = [re.sub(r'"time":"[^"]*",', "", line) for line in lines]
    assert timeless[:log] == timeless[log:2 * log] == timeless[2 * log:]


@pytest.mark.parametrize("seed", range(4))
def test_small_wild_files(tmp_path, seed):
    """Denser damage, more often at the end of the file; packed too."""
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    r = random.Random(seed)
    data = spoilt(300, seed)
    alphabet = [b'"', b",", b"\n", b"\r\n", b'""', b"x", b"\xff", b"\x00", b"7"]
    for _ in range(200):
        at = r.randrange(10, len(data))
        data = data[:at] + r.choice(alphabet) + data[at + r.randint(0, 2):]
    data += r.choice((b"", b'5,"open', b"5,a,1,b", b'5,"a"\r'))
    (tmp_path / "wild.csv.gz").write_bytes(gzip.compress(data))
    check(tmp_path, data, "wild.csv.gz")
