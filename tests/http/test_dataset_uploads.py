# SPDX-License-Identifier: Apache-2.0
"""Datasets over HTTP: uploads become versions, their dead letters are kept and replayed, versions and statistics are read back;
hostile uploads leave nothing."""

import csv
import gzip
import hashlib
import io
import json
import socket
import threading
import time

import pytest

import support
from identity import ask
from serving import API

pytestmark = pytest.mark.tsan

SCHEMA = {"columns": [{"name": "id", "type": "int", "required": True, "unique": True}, {"name": "HR", "type": "int", "min": 20, "max": 300},
                      {"name": "note", "type": "string"}]}
ROWS = b"id,HR,note\n1,70,a\n2,310,high\n3,x,typo\n4,80,\"b, c\"\n1,75,again\n5,320,\"x\ny\"\n"
DATA = f"{API}/datasets"
names = iter(f"d{i}" for i in range(10000))


def form(schema, records, filename="vitals.csv", boundary="b0undary", **more):
    """(body, headers) of a form as curl -F makes it."""
    parts = []
    if schema is not None:
        text = schema if isinstance(schema, bytes) else json.dumps(schema).encode()
        parts.append((b'name="schema"; filename="schema.yaml"', text))
    parts.append((b'name="file"; filename="' + filename.encode() + b'"', records))
    parts += [(f'name="{k}"'.encode(), v) for k, v in more.items()]
    body = b"".join(b"--" + boundary.encode() + b"\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + text + b"\r\n" for head, text in parts)
    return body + b"--" + boundary.encode() + b"--\r\n", {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def upload(server, name, records, query="", schema=None, headers=None):
    """(status, answer)"""
    kind = {"Content-Type": "application/octet-stream", **(headers or {})}
    if schema is not None:
        records, kind = form(schema, records)
    return ask(server, "POST", f"{DATA}/{name}/ingest{query}", records, kind)[:2]


def get(server, path):
    status, answer, _ = ask(server, "GET", DATA + path)
    assert status == 200, (path, status, answer)
    return answer


def rows(server, name, version="latest"):
    return list(csv.DictReader(io.StringIO(get(server, f"/{name}/versions/{version}/data").decode())))


def leftovers(server):
    """What is left of uploads, a little after their answers."""
    work = server.home / "cache" / "work"
    end = time.monotonic() + 30
    while work.exists() and any(work.iterdir()) and time.monotonic() < end:
        time.sleep(0.02)
    return sorted(p.name for p in work.iterdir()) if work.exists() else []


def letters(server, name, query=""):
    return get(server, f"/{name}/deadletters{query}")["letters"]


def replay(server, name, want=(200, 201), **body):
    status, answer, _ = ask(server, "POST", f"{DATA}/{name}/deadletters/replay", body)
    assert status in want, answer
    return answer


# ---- uploads -------------------------------------------------------------------------------------------------------------------


def test_an_upload_becomes_a_version(server):
    name = next(names)
    status, report = upload(server, name, ROWS, schema=SCHEMA)
    assert status == 201
    assert (report["read"], report["accepted"], report["dead"], report["version"], report["new"], report["dataset"]) == (6, 2, 4, 1, True, name)
    assert report["codes"] == {"TYPE": 1, "RANGE": 2, "UNIQUE": 1} and report["source_sha256"] == hashlib.sha256(ROWS).hexdigest()
    data = get(server, f"/{name}/versions/1/data")
    assert report["sha256"] == hashlib.sha256(data).hexdigest() and report["md5"] == hashlib.md5(data).hexdigest()
    assert [r["id"] for r in rows(server, name)] == ["1", "4"]
    version = get(server, f"/{name}/versions/1")
    assert (version["source"], version["read"], version["dead"]) == ("vitals.csv", 6, 4)
    assert [c["name"] for c in get(server, f"/{name}/versions/1/schema")["columns"]] == ["id", "HR", "note"]
    # The same bytes are the same version, and the same letters.
    status, again = upload(server, name, ROWS, schema=SCHEMA)
    assert (status, again["version"], again["new"]) == (200, 1, False)
    assert len(letters(server, name)) == 4
    # The next upload is read by the newest version's schema.
    status, report = upload(server, name, b"note,HR,id\nx,99,7\n", "?file=more.csv")
    assert (status, report["version"], report["accepted"]) == (201, 2, 1)
    assert get(server, f"/{name}/versions/2/data") == b"id,HR,note\n7,99,x\n"
    assert leftovers(server) == []


@pytest.mark.parametrize("kind,query,body", [
    ("text/csv", "", b"a;b\n1;x\n"), ("text/tab-separated-values", "?delimiter=tab", b"a\tb\n1\tx\n"),
    ("application/json", "", b'[{"a": 1, "b": "x"}]'), ("application/x-ndjson", "", b'{"a": 1, "b": "x"}\n'),
    ("application/json", "?format=jsonl", b'{"a": 1, "b": "x"}\n'), ("application/x-www-form-urlencoded", "?file=t.json", b'[{"a":1,"b":"x"}]'),
    ("text/csv", "", gzip.compress(b"a,b\n1,x\n")), ("application/octet-stream", "", b"\xef\xbb\xbfa,b\r\n1,x\r\n"),
], ids=["csv", "tsv", "json", "ndjson", "format", "name", "gzip", "bom"])
def test_formats(server, kind, query, body):
    name = next(names)
    status, report = upload(server, name, body, query, headers={"Content-Type": kind})
    assert (status, report["accepted"]) == (201, 1), report
    assert get(server, f"/{name}/versions/1/data") == b"a,b\n1,x\n"


def test_which_schema(server):
    name = next(names)
    upload(server, name, b"a\n1\n")
    assert upload(server, name, b"a\nx\n")[1]["dead"] == 1  # the newest version says int
    ask(server, "PUT", f"{DATA}/{name}/tags/ints", {"version": 1})
    status, report = upload(server, name, b"a\nx\n", "?schema=infer")
    assert (status, report["accepted"]) == (201, 1)
    assert upload(server, name, b"a\n5\nx\n", "?schema=ints")[1]["dead"] == 1
    assert upload(server, name, b"a\n5\nx\n", "?schema=nothing")[0] == 404
    assert upload(server, name, b"other\n5\n", "?schema=ints")[0] == 422


def test_more_dead_than_allowed_keeps_nothing(server):
    name = next(names)
    for limit in ("3", "10%"):
        status, answer, headers = ask(server, "POST", f"{DATA}/{name}/ingest?max_dead={limit}", *form(SCHEMA, ROWS))
        assert status == 422 and headers["Content-Type"] == "application/problem+json"
        assert (answer["code"], answer["report"]["read"], answer["report"]["dead"]) == ("SCHEMA", 6, 4)
        assert [letter["codes"] for letter in answer["letters"]] == [["RANGE"], ["TYPE"], ["UNIQUE"], ["RANGE"]]
    assert ask(server, "GET", f"{DATA}/{name}")[0] == 404 and ask(server, "GET", f"{DATA}/{name}/deadletters")[0] == 404
    assert upload(server, name, ROWS, "?max_dead=4", schema=SCHEMA)[0] == 201
    assert leftovers(server) == []


def test_duplicates_and_environments(server):
    name = next(names)
    assert upload(server, name, ROWS, "?on_duplicate=last", schema=SCHEMA)[1]["replaced"] == 1
    assert {r["id"]: r["HR"] for r in rows(server, name)} == {"1": "75", "4": "80"}
    serving = {"columns": [*SCHEMA["columns"], {"name": "label", "type": "int", "required": True, "not_in": ["SERVING"]}]}
    assert upload(server, name, ROWS, schema=serving)[0] == 422
    assert upload(server, name, ROWS, "?environment=SERVING", schema=serving)[0] == 201


@pytest.mark.parametrize("query", ["?format=xml", "?max_dead=many", "?on_duplicate=never", "?delimiter=xx", "?file=" + "x" * 300, "?schema=a%20b"])
def test_questions_that_make_no_sense(server, query):
    name = next(names)
    upload(server, name, b"a\n1\n")
    assert upload(server, name, b"a\n2\n", query)[0] == 400
    assert len(get(server, f"/{name}")["versions"]) == 1


def test_hostile_uploads(server):
    name = next(names)
    for body in (b"", b"\x00" * 1000, b"\xff\xfe" * 500, b"\n\n\n", b"a,a\n1,2\n", b"[" * 100000, b'{"a":' * 50000, b"\x1f\x8b\x08\x00broken",
                 gzip.compress(b"a\n1\n" * 1000)[:-20], b"\x28\xb5\x2f\xfd\x00\x00\x00"):
        status, answer = upload(server, name, body)
        assert 400 <= status < 500, (body[:20], status, answer)
    for bad in (form(b"columns: [{", ROWS), form({"columns": [{"name": "a", "type": "none"}]}, ROWS), form(None, ROWS, other=b"x"),
                form(SCHEMA, ROWS, file=b"twice"), form(SCHEMA, b""), (b"--b--", {"Content-Type": "multipart/form-data; boundary=b"}),
                (form(SCHEMA, ROWS)[0][:-12], form(SCHEMA, ROWS)[1]), (ROWS, {"Content-Type": "multipart/form-data"}),
                (form(b"x" * (5 << 20), ROWS)[0], form(SCHEMA, ROWS)[1])):
        status, answer, _ = ask(server, "POST", f"{DATA}/{name}/ingest", bad[0], bad[1])
        assert 400 <= status < 500, (bad[0][:40], status, answer)
    for odd in ("a%2Fb", "a%40b", "x" * 300, "%00", "a%20b"):
        assert ask(server, "POST", f"{DATA}/{odd}/ingest", b"a\n1\n")[0] in (400, 404)
    assert ask(server, "GET", f"{DATA}/{name}")[0] == 404
    assert leftovers(server) == []


def test_a_client_that_goes_away_leaves_nothing(server):
    name = next(names)
    for half in (b"", b"id,HR,note\n1,70,a\n" * 5000):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as s:
            s.sendall(f"POST {DATA}/{name}/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n".encode() + half)
            time.sleep(0.2)  # so that some of it is being read when it ends
    assert leftovers(server) == []
    assert ask(server, "GET", f"{DATA}/{name}")[0] == 404
    assert upload(server, name, ROWS, schema=SCHEMA)[0] == 201  # and the server goes on


def test_a_large_upload_is_never_in_memory(server):
    name = next(names)
    line = b"%d,80," + b"n" * 100 + b"\n"
    body = b"id,HR,note\n" + b"".join(line % i for i in range(1_000_000))
    upload(server, name, body[:200_000], schema=SCHEMA)
    before = server.rss_kb()
    status, report = upload(server, name, body)
    assert (status, report["accepted"]) == (201, 1_000_000) and report["size"] == len(body)
    assert server.rss_kb() - before < len(body) // 1024, "the upload was held in memory"  # its buffers are some MB, with ASan some more
    assert hashlib.sha256(get(server, f"/{name}/versions/2/data")).hexdigest() == hashlib.sha256(body).hexdigest()


def test_many_uploads_at_once(server):
    name, said = next(names), []

    def one(i):
        for _ in range(200):
            status, answer = upload(server, name, b"a,b\n" + b"".join(b"%d,%d\n" % (i, k) for k in range(2000)))
            if status != 503:
                break
            time.sleep(0.02)
        said.append((status, answer["version"]))

    threads = [threading.Thread(target=one, args=(i,)) for i in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(v for _, v in said) == list(range(1, 13)) and {s for s, _ in said} == {201}
    assert leftovers(server) == []


# ---- versions ------------------------------------------------------------------------------------------------------------------


def test_parts_of_the_bytes(server):
    name = next(names)
    upload(server, name, ROWS, schema=SCHEMA)
    whole = get(server, f"/{name}/versions/1/data")
    url = f"{DATA}/{name}/versions/1/data"
    status, part, headers = ask(server, "GET", url, headers={"Range": "bytes=3-9"})
    assert (status, part, headers["Content-Range"]) == (206, whole[3:10], f"bytes 3-9/{len(whole)}")
    assert ask(server, "GET", url, headers={"Range": "bytes=9999-"})[0] == 416
    assert ask(server, "GET", url, headers={"If-None-Match": headers["ETag"]})[0] == 304
    assert "nosniff" in headers["X-Content-Type-Options"] and "attachment" in headers["Content-Disposition"]


def test_statistics(server):
    name = next(names)
    upload(server, name, b"a,b\n1,x\n2,y\n3,x\n4,\n")
    assert get(server, f"/{name}/versions/1")["statistics_sha256"] is None
    found = get(server, f"/{name}/versions/1/statistics")
    assert found["format"] == "gyre.statistics/1" and found["rows"] == 4
    assert [c["name"] for c in found["columns"]] == ["a", "b"]
    assert (found["columns"][0]["mean"], found["columns"][1]["missing"]) == (2.5, 1)
    kept = get(server, f"/{name}/versions/1")["statistics_sha256"]
    assert json.loads(ask(server, "GET", f"{API}/objects/{kept}")[1]) == found == get(server, f"/{name}/versions/1/statistics")


def test_what_is_deleted_is_not_served(server):
    name = next(names)
    upload(server, name, b"a\n1\n")
    upload(server, name, b"a\n2\n")
    assert ask(server, "DELETE", f"{DATA}/{name}/versions/1?plan=true")[1]["deleted"] is False
    assert ask(server, "DELETE", f"{DATA}/{name}/versions/latest")[0] == 400
    assert ask(server, "DELETE", f"{DATA}/{name}/versions/1")[0] == 200
    for what in ("", "/data", "/schema", "/statistics", "/lineage"):
        assert ask(server, "GET", f"{DATA}/{name}/versions/1{what}")[0] == 404
    assert ask(server, "DELETE", f"{DATA}/{name}/versions/1")[0] == 404
    assert ask(server, "POST", f"{DATA}/{name}/versions/1/restore", {})[0] == 200
    assert get(server, f"/{name}/versions/1/data") == b"a\n1\n"


# ---- dead letters --------------------------------------------------------------------------------------------------------------


def test_letters_page_by_page(server):
    name = next(names)
    upload(server, name, b"id,HR,note\n" + b"".join(b"%d,%d,n\n" % (i, 80 if i % 2 else 999) for i in range(500)), schema=SCHEMA)
    seen, after = [], 0
    while after is not None:
        page = get(server, f"/{name}/deadletters?limit=60&after={after}")
        seen += page["letters"]
        after = page["next"]
    assert [letter["row"] for letter in seen] == list(range(0, 500, 2))
    assert all(letter["codes"] == ["RANGE"] and letter["state"] == "dead" and letter["version"] == 1 for letter in seen)
    one = get(server, f"/{name}/deadletters/{seen[3]['id']}")
    assert (one["letter"]["data"], one["letter"]["header"]) == ("6,999,n", "id,HR,note")
    assert letters(server, name, "?code=TYPE") == [] and len(letters(server, name, "?code=RANGE&limit=1000")) == 250
    assert len(letters(server, name, "?version=1&limit=1000")) == 250 and letters(server, name, "?version=2") == []
    for bad in ("?limit=0", "?limit=1001", "?after=x", "?state=alive", "?code=%25", "?version=0"):
        assert ask(server, "GET", f"{DATA}/{name}/deadletters{bad}")[0] == 400, bad
    assert ask(server, "GET", f"{DATA}/{name}/deadletters/nothing-1")[0] == 404


def test_replay_by_a_corrected_schema(server):
    name = next(names)
    upload(server, name, ROWS, schema=SCHEMA)
    wider = json.loads(json.dumps(SCHEMA).replace("300", "400"))
    assert replay(server, name, schema=wider, dry_run=True)["accepted"] == 2
    assert replay(server, name)["accepted"] == 0
    answer = replay(server, name, (201,), schema=wider)
    assert (answer["tried"], answer["accepted"], answer["refused"], answer["version"], answer["base_version"]) == (4, 2, 2, 2, 1)
    assert [r["id"] for r in rows(server, name)] == ["1", "4", "2", "5"]
    version = get(server, f"/{name}/versions/2")
    assert (version["base_version"], version["read"], version["accepted"], version["dead"]) == (1, 6, 4, 2)
    assert [letter["replayed_version"] for letter in letters(server, name)] == [2, None, None, 2]
    assert [letter["refusals"] for letter in letters(server, name, "?state=dead")] == [2, 2]
    assert replay(server, name)["accepted"] == 0 and len(get(server, f"/{name}")["versions"]) == 2
    lineage = get(server, f"/{name}/versions/2/lineage")
    assert any(e["to"] == f"data:{version['sha256']}" and e["from"] == f"data:{get(server, f'/{name}/versions/1')['sha256']}"
               for e in lineage["upstream"])
    # The newest version's schema is the wider one now.
    assert upload(server, name, b"id,HR,note\n9,399,z\n")[1]["dead"] == 0


def test_replay_of_edited_letters(server):
    name = next(names)
    upload(server, name, ROWS, schema=SCHEMA)
    found = letters(server, name)
    edits = [{"id": found[0]["id"], "data": "2,31,high"}, {"id": found[1]["id"], "data": "3,y,typo"}]
    answer = replay(server, name, edits=edits)
    assert (answer["tried"], answer["accepted"], [x["id"] for x in answer["letters"]]) == (2, 1, [found[1]["id"]])
    assert get(server, f"/{name}/deadletters/{found[0]['id']}")["letter"]["data"] == "2,310,high"  # the letter stays what it was
    assert replay(server, name, ids=[found[2]["id"]])["tried"] == 1
    assert replay(server, name, edits=edits)["accepted"] == 0  # it is in already


def test_letters_of_an_upload_that_the_version_does_not_stand_on(server):
    """A later upload is a table of its own: letters of the one before do not come into it."""
    name = next(names)
    upload(server, name, ROWS, schema=SCHEMA)
    upload(server, name, b"id,HR,note\n50,60,x\n51,999,y\n")
    wider = json.loads(json.dumps(SCHEMA).replace("300", "1000"))
    answer = replay(server, name, schema=wider)
    assert (answer["tried"], answer["accepted"]) == (1, 1) and [r["id"] for r in rows(server, name)] == ["50", "51"]
    old = letters(server, name, "?version=1")[0]["id"]
    assert ask(server, "POST", f"{DATA}/{name}/deadletters/replay", {"ids": [old], "schema": wider})[0] == 409
    answer = replay(server, name, version=1, schema=wider)
    assert (answer["accepted"], answer["version"]) == (2, 4) and [r["id"] for r in rows(server, name)] == ["1", "4", "2", "5"]


@pytest.mark.parametrize("body", [{"ids": []}, {"ids": "x"}, {"ids": ["../x"]}, {"edits": []}, {"edits": [{"id": "a-1"}]}, {"version": 0},
                                  {"edits": [{"id": "a-1", "data": "1"}, {"id": "a-1", "data": "2"}]}, {"schema": {"columns": 7}}, {"code": 7},
                                  {"code": "%"}, {"version": "latest"}])
def test_replays_that_make_no_sense(server, body):
    name = next(names)
    upload(server, name, ROWS, schema=SCHEMA)
    assert ask(server, "POST", f"{DATA}/{name}/deadletters/replay", body)[0] == 400
    assert ask(server, "POST", f"{DATA}/{name}/deadletters/replay", {"ids": ["nothing-1"]})[0] == 404
    assert ask(server, "POST", f"{DATA}/{name}/deadletters/replay", {"version": 9})[0] == 404
    assert ask(server, "POST", f"{DATA}/nothing/deadletters/replay", {})[0] == 404


def test_replays_at_once_bring_each_letter_in_once(server):
    name = next(names)
    schema = {"columns": [{"name": "id", "type": "int"}, {"name": "HR", "type": "int", "max": 300}]}  # nothing is unique
    wider = json.loads(json.dumps(schema).replace("300", "400"))
    upload(server, name, b"id,HR\n0,1\n" + b"".join(b"%d,310\n" % i for i in range(1, 400)), schema=schema)
    said = []

    def one():
        status, answer, _ = ask(server, "POST", f"{DATA}/{name}/deadletters/replay", {"schema": wider})
        said.append((status, answer.get("accepted", 0)))

    threads = [threading.Thread(target=one) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert {s for s, _ in said} <= {200, 201, 409, 503}
    replay(server, name, schema=wider)
    found = [r["id"] for r in rows(server, name)]
    assert len(found) == len(set(found)) == 400


@pytest.mark.parametrize("moment", range(6))
def test_a_killed_server_keeps_letters_and_versions_together(new_server, moment):
    """kill -9 while uploads and replays run: what is there afterwards is whole, and each letter in a table once."""
    one = new_server()
    schema = {"columns": [{"name": "id", "type": "int"}, {"name": "HR", "type": "int", "max": 300}]}
    wider = json.loads(json.dumps(schema).replace("300", "400"))
    records = b"id,HR\n0,1\n" + b"".join(b"%d,%d\n" % (i, 310 if i % 3 else 80) for i in range(1, 3000))
    stop = threading.Event()

    def work():
        while not stop.is_set():
            try:
                upload(one, "d", records, schema=schema)
                replay(one, "d", (200, 201, 409, 503), schema=wider)
            except (OSError, AssertionError, ValueError):
                return
            except Exception:  # noqa: BLE001 - the connection broke off in one of many ways
                return

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.02 + moment * 0.015)
    one.kill()
    stop.set()
    thread.join()
    one.start()
    upload(one, "d", records, schema=schema)
    replay(one, "d", (200, 201), schema=wider)
    newest = [r["id"] for r in rows(one, "d")]
    assert len(newest) == len(set(newest)) == 3000
    found = letters(one, "d", "?limit=1000")
    assert len(found) == 1000 and all(letter["state"] == "replayed" for letter in found)


def test_deadletters_leave_with_their_dataset(new_server):
    one = new_server()
    upload(one, "d", ROWS, schema=SCHEMA)
    assert ask(one, "DELETE", f"{DATA}/d/versions/1")[0] == 200
    assert ask(one, "GET", f"{DATA}/d/deadletters")[0] == 404
    done = support.run_json("gc", "--home", one.home, "--older-than", "0s", "--yes", cwd=one.home.parent)
    assert done["dataset_versions"] == 1
    upload(one, "d", ROWS, schema={**SCHEMA})
    assert len(letters(one, "d")) == 4  # of the new upload
