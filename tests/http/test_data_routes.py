# SPDX-License-Identifier: Apache-2.0
"""The routes of objects and datasets, and the same commands in-process, over the socket and over HTTP."""

import hashlib
import http.client
import json

import support

API = "/api/gyre/v1"


def call(server, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
    connection.request(method, API + path, body=body, headers=headers or {})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    kind = answer.getheader("Content-Type") or ""
    return answer.status, json.loads(data) if "json" in kind else data


def put_object(server, data):
    status, answer = call(server, "POST", "/objects", data)
    assert status == 201
    return answer["sha256"]


def description(server, name, data, **changes):
    sha256 = put_object(server, data)
    out = {"name": name, "sha256": sha256, "md5": hashlib.md5(data).hexdigest(), "size": len(data), "rows": 2, "read": 3,
           "accepted": 2, "dead": 1, "schema": {"columns": [{"name": "a", "type": "int"}]}, "source": "a.csv",
           "source_sha256": hashlib.sha256(b"source").hexdigest()}
    out.update(changes)
    return out


def test_objects_are_named_by_their_bytes(server):
    data = bytes(range(256)) * 1000
    status, answer = call(server, "POST", "/objects", data)
    assert status == 201 and answer == {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    assert call(server, "POST", "/objects", data) == (201, answer)
    assert call(server, "GET", f"/objects/{answer['sha256']}") == (200, data)
    status, empty = call(server, "POST", "/objects", b"")
    assert status == 201 and empty["size"] == 0
    assert call(server, "GET", f"/objects/{empty['sha256']}") == (200, b"")


def test_object_names_that_are_none(server):
    for name, status in [("0" * 64, 404), ("0" * 63, 400), ("0" * 65, 400), ("A" * 64, 400), ("..%2F..%2Fgyre.db", 400),
                         ("g" * 64, 400), ("%00" * 64, 400)]:
        got, answer = call(server, "GET", f"/objects/{name}")
        assert got == status, name
        assert answer["status"] == status and answer["detail"]


def test_versions(server):
    one = description(server, "routes", b"a\n1\n2\n")
    assert call(server, "POST", "/datasets", one) == (
        201, {"name": "routes", "version": 1, "sha256": one["sha256"], "new": True})
    assert call(server, "POST", "/datasets", one)[0] == 200
    two = description(server, "routes", b"a\n1\n3\n")
    assert call(server, "POST", "/datasets", two)[1]["version"] == 2
    status, shown = call(server, "GET", "/datasets/routes/versions/latest")
    assert status == 200 and shown["version"] == 2
    for key in ("sha256", "md5", "size", "rows", "read", "accepted", "dead", "schema", "source", "source_sha256"):
        assert shown[key] == two[key]
    assert shown["actor"] and shown["created"].endswith("Z")
    assert call(server, "GET", "/datasets/routes/versions/1")[1]["sha256"] == one["sha256"]
    assert [v["version"] for v in call(server, "GET", "/datasets/routes")[1]["versions"]] == [1, 2]
    found = call(server, "GET", f"/datasets?sha256={two['sha256']}")[1]["datasets"]
    assert [(v["name"], v["version"]) for v in found] == [("routes", 2)]
    assert call(server, "GET", f"/datasets?sha256={'0' * 64}") == (200, {"datasets": []})
    assert call(server, "GET", "/datasets?sha256=x")[0] == 400
    assert all("schema" not in v for v in call(server, "GET", "/datasets/routes")[1]["versions"])
    assert {"routes"} <= {v["name"] for v in call(server, "GET", "/datasets")[1]["datasets"]}


def test_bad_input_to_status_and_code(server):
    good = description(server, "bad", b"a\n1\n9\n")
    cases = [
        ("{", 400, "PARSE"), ("[" * 100000, 413, "TOOBIG"), (b"\xff\xfe", 400, "PARSE"), ("", 400, "INVALID"), ("[]", 400, "INVALID"),
        (dict(good, name=""), 400, "INVALID"), (dict(good, name="a/b"), 400, "INVALID"), (dict(good, name="a@1"), 400, "INVALID"),
        (dict(good, name="x" * 251), 400, "INVALID"), (dict(good, name=7), 400, "INVALID"), (dict(good, name="a\n"), 400, "INVALID"),
        (dict(good, sha256="0" * 64), 404, "NOTFOUND"), (dict(good, sha256="../../gyre.db"), 400, "INVALID"),
        (dict(good, md5="x"), 400, "INVALID"), (dict(good, size=5), 400, "INVALID"), (dict(good, size="6"), 400, "INVALID"),
        (dict(good, read=4), 400, "INVALID"), (dict(good, dead=-1, accepted=4), 400, "INVALID"), (dict(good, rows=3), 400, "INVALID"),
        (dict(good, accepted=9223372036854775807, read=-9223372036854775808), 400, "INVALID"),
        (dict(good, accepted=1e300), 400, "INVALID"), (dict(good, schema=[1]), 400, "INVALID"),
        (dict(good, source_sha256="1"), 400, "INVALID"), (dict(good, source="s" * 5000), 400, "INVALID"),
        (dict(good, source=7), 400, "INVALID"), (dict(good, schema={"x": "y" * 5000000}), 413, "TOOBIG"),
        ({k: v for k, v in good.items() if k != "md5"}, 400, "INVALID"),
    ]
    for body, status, code in cases:
        got, answer = call(server, "POST", "/datasets", body)
        assert (got, answer["code"]) == (status, code), (body if len(str(body)) < 400 else "long", answer)
    assert call(server, "GET", "/datasets/bad")[0] == 404
    assert call(server, "GET", "/datasets/bad/versions/1")[0] == 404
    assert call(server, "GET", "/datasets/bad/versions/a%20b")[0] == 400
    assert call(server, "GET", "/datasets/bad/versions/0")[0] == 400
    assert call(server, "DELETE", "/datasets")[0] == 405


def test_one_answer_over_every_transport(new_server, tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,x\n2,y\n")
    alone = support.run_json("data", "ingest", "a.csv", "--name", "t", cwd=tmp_path, env={"GYRE_HOME": str(tmp_path / "h")})
    running = new_server(home=tmp_path / "h")
    socket = support.run_json("data", "ingest", "a.csv", "--name", "t", cwd=tmp_path, env={"GYRE_HOME": str(tmp_path / "h")})
    remote = support.run_json("data", "ingest", "a.csv", "--name", "t", "--server", running.url, cwd=tmp_path)
    assert alone["new"] is True and socket["new"] is False and remote["new"] is False
    for answer in (socket, remote):
        assert {k: v for k, v in answer.items() if k not in ("seconds", "new")} == {
            k: v for k, v in alone.items() if k not in ("seconds", "new")}
    # Bytes come back over HTTP too.
    done = support.run_gyre("data", "checkout", "t@1", "-o", "back.csv", "--server", running.url, cwd=tmp_path)
    assert done.returncode == 0 and (tmp_path / "back.csv").read_bytes() == (tmp_path / "data" / "data.csv").read_bytes()
    assert call(running, "GET", "/datasets/t")[1]["versions"][0]["version"] == 1
