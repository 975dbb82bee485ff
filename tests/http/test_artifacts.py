# SPDX-License-Identifier: Apache-2.0
"""Artifacts on the wire: forms, parts, conditions, packing, uploads in parts, slow and vanishing clients, crashes, full disks."""

import concurrent.futures
import gzip
import hashlib
import http.client
import json
import os
import pathlib
import random
import socket
import threading
import time
import urllib.parse

import pytest

M = "/api/2.0/mlflow"
P = "/api/2.0/mlflow-artifacts"
A = P + "/artifacts"
JSON = {"Content-Type": "application/json"}
MIB = 1 << 20


def ask(port, method, path, body=None, headers=None, timeout=60):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def call(port, method, path, body=None):
    data = json.dumps(body).encode() if body is not None else None
    status, _, text = ask(port, method, path, data, JSON)
    return status, json.loads(text)


def ok(port, method, path, body=None):
    status, answer = call(port, method, path, body)
    assert status == 200, answer
    return answer


def put(port, path, body):
    status, _, text = ask(port, "PUT", f"{A}/{path}", body)
    assert (status, text) == (200, b"{}"), text


def make_run(port):
    return ok(port, "POST", M + "/runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]


def objects_of(server):
    """Files of the object folder, unfinished ones too."""
    return sorted(str(p) for p in (pathlib.Path(server.home) / "objects").rglob("*") if p.is_file() and p.name != "lock")


def unfinished(server):
    return [p for p in objects_of(server) if "/objects/tmp/" in p]


def noise(n, seed=1):
    return random.Random(seed).randbytes(n)


# ---- forms ----

def test_content_types_are_those_of_mlflow(server):
    expected = {"a.txt": "text/plain", "a.json": "text/plain", "a.csv": "text/plain", "a.yaml": "text/plain", "a.py": "text/plain",
                "a.md": "text/plain", "a.xml": "text/plain", "a.js": "text/plain", "MLmodel": "text/plain", "MLproject": "text/plain",
                "a.html": "text/html", "a.png": "image/png", "a.JPG": "image/jpeg", "a.svg": "image/svg+xml", "a.pdf": "application/pdf",
                "a.pkl": "application/octet-stream", "model.ubj": "application/octet-stream", "noext": "application/octet-stream",
                ".txt": "application/octet-stream", "a.b.json": "text/plain", "a.TXT": "text/plain"}
    for name, kind in expected.items():
        put(server.port, f"0/types/{name}", b"x")
        status, headers, body = ask(server.port, "GET", f"{A}/0/types/{name}")
        assert (status, body) == (200, b"x")
        if name != "a.TXT":  # mimetypes lowers the extension, MLflow's own list does not: either reads as text
            assert headers["Content-Type"] == kind, name
        assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name, disposition", [
    ("a.txt", "attachment; filename=a.txt"),
    ("two words.txt", 'attachment; filename="two words.txt"'),
    ("grüße.txt", "attachment; filename=\"gr____e.txt\"; filename*=UTF-8''gr%C3%BC%C3%9Fe.txt"),
    ('quo"te;x=1.txt', "attachment; filename=\"quo_te;x=1.txt\"; filename*=UTF-8''quo%22te%3Bx%3D1.txt"),
    ("100%.txt", "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
])
def test_attachments_keep_their_names(server, name, disposition):
    path = "0/names/" + urllib.parse.quote(name)
    put(server.port, path, b"x")
    status, headers, _ = ask(server.port, "GET", f"{A}/{path}")
    assert (status, headers["Content-Disposition"]) == (200, disposition)


def test_every_way_to_one_file(server):
    port, run = server.port, make_run(server.port)
    root = f"0/{run}/artifacts"
    put(port, f"{root}/model/MLmodel", b"flavors: {}")
    ok(port, "POST", M + "/registered-models/create", {"name": "ways"})
    ok(port, "POST", M + "/model-versions/create", {"name": "ways", "source": f"mlflow-artifacts:/{root}/model", "run_id": run})
    model = ok(port, "POST", M + "/logged-models", {"experiment_id": "0", "name": "lm"})["model"]["info"]
    where = model["artifact_uri"].removeprefix("mlflow-artifacts:/")
    put(port, f"{where}/MLmodel", b"flavors: {}")
    ways = [f"{A}/{root}/model/MLmodel", f"/ajax-api/2.0/mlflow-artifacts/artifacts/{root}/model/MLmodel",
            f"/api/3.0/mlflow-artifacts/artifacts/{root}/model/MLmodel", f"/get-artifact?run_id={run}&path=model/MLmodel",
            f"/get-artifact?run_uuid={run}&path=model%2FMLmodel", "/model-versions/get-artifact?name=ways&version=1&path=MLmodel",
            "//model-versions/get-artifact?name=ways&version=1&path=MLmodel", f"//get-artifact?run_id={run}&path=model/MLmodel",
            f"/ajax-api/2.0/mlflow/logged-models/{model['model_id']}/artifacts/files?artifact_file_path=MLmodel"]
    for way in ways:
        status, headers, body = ask(port, "GET", way)
        assert (status, body) == (200, b"flavors: {}"), way
        assert headers["Content-Disposition"] == "attachment; filename=MLmodel"
        assert headers["ETag"] == f'"{hashlib.sha256(body).hexdigest()}"'
        status, headers, body = ask(port, "HEAD", way)
        assert (status, headers["Content-Length"], body) == (200, "11", b""), way
    missing = [w.replace("MLmodel", "nope") for w in ways]
    for way in missing:
        status, answer = call(port, "GET", way)
        assert (status, answer["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST"), way
        assert answer["message"].startswith("No such artifact: '")
        assert ask(port, "HEAD", way)[0] == 404
    listed = ok(port, "GET", f"/ajax-api/2.0/mlflow/logged-models/{model['model_id']}/artifacts/directories")
    assert listed == {"root_uri": model["artifact_uri"], "files": [{"path": "MLmodel", "is_dir": False, "file_size": 11}]}


def test_lists(server):
    port, run = server.port, make_run(server.port)
    root = f"0/{run}/artifacts"
    for name, body in [("b/deep/x.txt", b"123"), ("b/y", b""), ("a.txt", b"1"), ("b.txt", b"22")]:
        put(port, f"{root}/{name}", body)
    uri = f"mlflow-artifacts:/{root}"
    top = [{"path": "a.txt", "is_dir": False, "file_size": 1}, {"path": "b", "is_dir": True}, {"path": "b.txt", "is_dir": False, "file_size": 2}]
    assert ok(port, "GET", f"{M}/artifacts/list?run_id={run}") == {"root_uri": uri, "files": top}
    assert ok(port, "GET", f"{M}/artifacts/list?run_id={run}&path=b&page_token=x") == {
        "root_uri": uri, "files": [{"path": "b/deep", "is_dir": True}, {"path": "b/y", "is_dir": False}]}
    assert ok(port, "GET", f"{M}/artifacts/list?run_id={run}&path=a.txt") == {"root_uri": uri}
    assert ok(port, "GET", f"{A}?path={root}/b") == {"files": [{"path": "deep", "is_dir": True}, {"path": "y", "is_dir": False}]}
    assert ok(port, "DELETE", f"{A}/{root}/b") == {} == ok(port, "DELETE", f"{A}/{root}/b")
    assert ok(port, "DELETE", f"{A}/{root}/a.txt") == {} == ok(port, "DELETE", f"{A}/{root}/a.txt")
    assert ok(port, "GET", f"{M}/artifacts/list?run_id={run}") == {"root_uri": uri, "files": top[2:]}


def test_a_place_elsewhere_is_the_clients_own(server):
    port = server.port
    for uri in ["s3://bucket/x", "file:///somewhere/else"]:
        experiment = ok(port, "POST", M + "/experiments/create", {"name": uri, "artifact_location": uri})["experiment_id"]
        info = ok(port, "POST", M + "/runs/create", {"experiment_id": experiment})["run"]["info"]
        assert ok(port, "GET", f"{M}/artifacts/list?run_id={info['run_id']}") == {"root_uri": info["artifact_uri"]}
        status, answer = call(port, "GET", f"/get-artifact?run_id={info['run_id']}&path=x")
        assert (status, answer["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


@pytest.mark.parametrize("path", ["..", "a/../../b", "%2e%2e/x", "%252e%252e/x", "%25252e%25252e/x", "%2Fetc/passwd", "a%5Cb", "C:%5Cx", "C:%2Fx",
                                  "a%23b", "file:%2F%2F%2Fetc/passwd", "a%00b", "a%0Ab", "%ff%fe", "x/" + "y" * 3000])
def test_paths_that_lead_elsewhere(server, path):
    port, run = server.port, make_run(server.port)
    upload = {"path": "f", "num_parts": 1, "upload_id": "0" * 32, "parts": [{"part_number": 1, "etag": "x"}]}
    for method, url, body in [("PUT", f"{A}/{path}", b"x"), ("GET", f"{A}/{path}", None), ("DELETE", f"{A}/{path}", None), ("GET", f"{A}?path={path}", None),
                              ("GET", f"/get-artifact?run_id={run}&path={path}", None), ("GET", f"{M}/artifacts/list?run_id={run}&path={path}", None),
                              ("POST", f"{P}/mpu/create/{path}", json.dumps(upload)), ("POST", f"{P}/mpu/complete/{path}", json.dumps(upload)),
                              ("POST", f"{P}/mpu/abort/{path}", json.dumps(upload)),
                              ("POST", f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path={path}", b"x")]:
        if path == "%ff%fe" and ("?path=" in url or "/list?" in url):
            continue  # a parameter there is text, in which such bytes become U+FFFD: a name like any other
        status, _, text = ask(port, method, url, body, JSON)
        assert (status, json.loads(text)) == (400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "Invalid path"}), (method, url)


def test_upload_by_the_page(server):
    port, run = server.port, make_run(server.port)
    url = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=notes/a.png"
    assert ask(port, "POST", url, b"png", JSON)[0] == 200
    assert ask(port, "GET", f"/get-artifact?run_id={run}&path=notes/a.png")[2] == b"png"
    for bad, body, message in [(url, b"", "Request must specify data."), ("/ajax-api/2.0/mlflow/upload-artifact?path=x", b"x", "Request must specify run_uuid."),
                               (f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}", b"x", "Request must specify path."),
                               (url, b"x" * (10 * MIB + 1), "Artifact size is too large. Max size is 10MB.")]:
        status, _, text = ask(port, "POST", bad, body, JSON)
        assert (status, json.loads(text)) == (400, {"error_code": "INVALID_PARAMETER_VALUE", "message": message})
    chunked = {**JSON, "Transfer-Encoding": "chunked"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", url, body=(b"x" * MIB for _ in range(11)), headers=chunked, encode_chunked=True)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["message"]) == (400, "Artifact size is too large. Max size is 10MB.")
    except ConnectionError:
        pass  # refused in the middle of the sending
    finally:
        connection.close()
    status, answer = call(port, "POST", "/ajax-api/2.0/mlflow/upload-artifact?run_uuid=" + "0" * 32 + "&path=x", {"a": 1})
    assert (status, answer["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert ask(port, "GET", f"/get-artifact?run_id={run}&path=notes/a.png")[2] == b"png"


# ---- parts and conditions ----

@pytest.fixture(scope="module")
def big(server):
    body = noise(3 * MIB + 17)
    put(server.port, "0/parts/big.bin", body)
    put(server.port, "0/parts/empty.bin", b"")
    return body


@pytest.mark.parametrize("value, first, last", [
    ("bytes=0-0", 0, 0), ("bytes=0-99", 0, 99), ("bytes=100-", 100, None), ("bytes=-1", -1, None), ("bytes=-100", -100, None),
    ("bytes=-99999999", 0, None), ("bytes=5-99999999999999999999999", 5, None), ("Bytes = 1-2", 1, 2), ("bytes=1048576-2097151", MIB, 2 * MIB - 1)])
def test_parts_of_a_file(server, big, value, first, last):
    status, headers, body = ask(server.port, "GET", f"{A}/0/parts/big.bin", headers={"Range": value})
    first = first if first >= 0 else len(big) + first
    last = len(big) - 1 if last is None else last
    assert (status, body) == (206, big[first:last + 1])
    assert headers["Content-Range"] == f"bytes {first}-{last}/{len(big)}"
    assert headers["Content-Length"] == str(len(body))
    assert headers["ETag"] == f'"{hashlib.sha256(big).hexdigest()}"'


@pytest.mark.parametrize("value", ["bytes=2-1", "bytes=", "bytes=a-b", "bytes=1", "lines=1-2", "bytes=0-1,3-4", "bytes=--1", "bytes=-", "garbage", "bytes=0x1-2"])
def test_ranges_that_say_nothing_give_the_whole(server, big, value):
    status, headers, body = ask(server.port, "GET", f"{A}/0/parts/big.bin", headers={"Range": value})
    assert (status, body) == (200, big) and "Content-Range" not in headers


def test_ranges_beyond_the_end(server, big):
    for path, value, size in [("big.bin", f"bytes={len(big)}-", len(big)), ("big.bin", "bytes=-0", len(big)), ("empty.bin", "bytes=0-", 0)]:
        status, headers, body = ask(server.port, "GET", f"{A}/0/parts/{path}", headers={"Range": value})
        assert (status, headers["Content-Range"], body) == (416, f"bytes */{size}", b"")


def test_conditions(server, big):
    port, url = server.port, f"{A}/0/parts/big.bin"
    tag = f'"{hashlib.sha256(big).hexdigest()}"'
    for value in [tag, "W/" + tag, f'"x", {tag}', "*", f'W/"a" ,  W/{tag}']:
        status, headers, body = ask(port, "GET", url, headers={"If-None-Match": value})
        assert (status, body, headers["ETag"]) == (304, b"", tag), value
        assert "Content-Length" not in headers or headers["Content-Length"] == str(len(big))
    for value in ['"x"', tag[1:-1], '"', ""]:
        assert ask(port, "GET", url, headers={"If-None-Match": value})[::2] == (200, big), value
    assert ask(port, "HEAD", url, headers={"If-None-Match": tag})[0] == 304
    assert ask(port, "GET", url, headers={"If-Match": '"x"'})[0] == 412
    assert ask(port, "GET", url, headers={"If-Match": "W/" + tag})[0] == 412
    assert ask(port, "GET", url, headers={"If-Match": tag})[::2] == (200, big)
    ranged = {"Range": "bytes=0-9"}
    assert ask(port, "GET", url, headers={**ranged, "If-Range": tag})[::2] == (206, big[:10])
    for value in ['"x"', "W/" + tag, "Fri, 27 Nov 2026 10:00:00 GMT"]:
        assert ask(port, "GET", url, headers={**ranged, "If-Range": value})[::2] == (200, big)
    status, headers, _ = ask(port, "HEAD", url, headers=ranged)
    assert (status, headers["Content-Length"]) == (200, str(len(big)))
    put(port, "0/parts/changes", b"one")
    old = ask(port, "GET", f"{A}/0/parts/changes")[1]["ETag"]
    put(port, "0/parts/changes", b"two")
    assert ask(port, "GET", f"{A}/0/parts/changes", headers={"If-None-Match": old})[::2] == (200, b"two")


def test_a_connection_is_kept_over_files_of_all_sizes(server, big):
    put(server.port, "0/parts/small.txt", b"small")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.connect()
    sock = connection.sock
    try:
        for i in range(30):
            method = "HEAD" if i % 5 == 4 else "GET"
            name, body = [("small.txt", b"small"), ("big.bin", big), ("empty.bin", b"")][i % 3]
            connection.request(method, f"{A}/0/parts/{name}")
            answer = connection.getresponse()
            assert answer.headers["Content-Length"] == str(len(body))
            assert (answer.status, answer.read()) == (200, b"" if method == "HEAD" else body)
            assert connection.sock is sock
    finally:
        connection.close()


@pytest.mark.tsan
def test_pipelined_requests_come_in_order(server, big):
    put(server.port, "0/parts/small.txt", b"small")
    get = f"GET {A}/0/parts/%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as s:
        s.sendall((get % "big.bin" + get % "small.txt" + get % "big.bin").encode())
        stream = s.makefile("rb")
        for body in [big, b"small", big]:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += stream.readline()
            assert head.startswith(b"HTTP/1.1 200 ") and f"Content-Length: {len(body)}\r\n".encode() in head
            assert stream.read(len(body)) == body


def test_http_1_0_ends_with_the_connection(server, big):
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as s:
        s.sendall(f"GET {A}/0/parts/big.bin HTTP/1.0\r\n\r\n".encode())
        data = s.makefile("rb").read()
    assert data.endswith(big) and data.split(b"\r\n\r\n", 1)[1] == big


# ---- packing ----

def test_texts_are_packed(server):
    text = ("alpha beta gamma\n" * 20000).encode()
    put(server.port, "0/text/a.csv", text)
    put(server.port, "0/text/a.bin", text)
    put(server.port, "0/text/short.txt", text[:1000])
    url, accept = f"{A}/0/text/a.csv", {"Accept-Encoding": "deflate, gzip;q=0.5"}
    status, plain, body = ask(server.port, "GET", url)
    assert (status, body, plain["Vary"], plain["Content-Encoding"]) == (200, text, "Accept-Encoding", None)
    status, packed, body = ask(server.port, "GET", url, headers=accept)
    assert (status, packed["Content-Encoding"], packed["Vary"]) == (200, "gzip", "Accept-Encoding")
    assert gzip.decompress(body) == text and len(body) < len(text) / 10
    assert packed["ETag"] != plain["ETag"] and packed["Content-Type"] == "text/plain"
    for tag in [packed["ETag"], plain["ETag"]]:
        assert ask(server.port, "GET", url, headers={**accept, "If-None-Match": tag})[0] == 304
    assert ask(server.port, "GET", url, headers={**accept, "Range": "bytes=0-9"})[::2] == (206, text[:10])
    assert ask(server.port, "GET", url, headers={"Accept-Encoding": "*"})[1]["Content-Encoding"] == "gzip"
    for value in ["identity", "gzip;q=0", "gzip; q=0.000, *", "br, deflate", "*;q=0"]:
        assert ask(server.port, "GET", url, headers={"Accept-Encoding": value})[2] == text, value
    for name in ["a.bin", "short.txt"]:
        assert ask(server.port, "GET", f"{A}/0/text/{name}", headers=accept)[1]["Content-Encoding"] is None
    status, headers, body = ask(server.port, "HEAD", url, headers=accept)
    assert (status, headers["Content-Length"], body) == (200, str(len(text)), b"")


# ---- uploads in parts ----

def create(port, path, n, folder="0/mpu", headers=None):
    status, _, text = ask(port, "POST", f"{P}/mpu/create/{folder}", json.dumps({"path": path, "num_parts": n}), {**JSON, **(headers or {})})
    assert status == 200, text
    return json.loads(text)


def put_part(credential, body):
    url = urllib.parse.urlsplit(credential["url"])
    status, headers, text = ask(url.port, "PUT", f"{url.path}?{url.query}", body)
    return status, headers["ETag"], text


def end(port, verb, path, upload, parts=None, folder="0/mpu"):
    body = {"path": path, "upload_id": upload["upload_id"]}
    if parts is not None:
        body["parts"] = parts
    return call(port, "POST", f"{P}/mpu/{verb}/{folder}", body)


@pytest.mark.tsan
def test_parts_in_any_order_twice_and_at_once(server):
    port, before = server.port, objects_of(server)
    chunks = [noise(n, n) for n in (300_000, 1, 0, 300_000, 70_001)]
    upload = create(port, "/home/me/data set.bin", len(chunks))
    assert [c["part_number"] for c in upload["credentials"]] == [1, 2, 3, 4, 5]
    assert all(c["headers"] == {} and c["url"].startswith(f"http://127.0.0.1:{port}/") for c in upload["credentials"])
    jobs = [i for i in range(5)] * 3
    random.Random(3).shuffle(jobs)
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda i: (i, *put_part(upload["credentials"][i], chunks[i])), jobs))
    tags = {}
    for i, status, tag, text in answers:
        assert (status, text) == (200, b"") and tags.setdefault(i, tag) == tag
    assert len(set(tags.values())) == 5  # equal bytes of two parts are two objects
    assert ask(port, "GET", f"{A}/0/mpu/data%20set.bin")[0] == 404
    parts = [{"part_number": i + 1, "etag": tags[i], "url": "x"} for i in (4, 0, 2, 1, 3)]
    assert end(port, "complete", "data set.bin", upload, parts) == (200, {})
    assert end(port, "complete", "data set.bin", upload, parts) == (200, {})  # its answer was lost
    assert end(port, "abort", "data set.bin", upload) == (200, {})  # clients do, when completing took too long
    assert ask(port, "GET", f"{A}/0/mpu/data%20set.bin")[2] == b"".join(chunks)
    assert len(objects_of(server)) == len(before) + 1  # the parts are gone
    status, answer = call(port, "PUT", "/" + upload["credentials"][0]["url"].split("/", 3)[3], {"late": 1})
    assert (status, answer["error_code"]) == (409, "RESOURCE_CONFLICT")
    assert len(objects_of(server)) == len(before) + 1


def test_the_etag_says_which_bytes_count(server):
    port = server.port
    upload = create(port, "twice.bin", 1)
    first = put_part(upload["credentials"][0], b"first")[1]
    second = put_part(upload["credentials"][0], b"second")[1]
    assert first != second
    assert end(port, "complete", "twice.bin", upload, [{"part_number": 1, "etag": first}]) == (200, {})
    assert ask(port, "GET", f"{A}/0/mpu/twice.bin")[2] == b"first"


def test_completions_that_are_refused(server):
    port = server.port
    upload = create(port, "bad.bin", 2)
    tags = [put_part(c, b"xyz")[1] for c in upload["credentials"]]
    both = [{"part_number": i + 1, "etag": tag} for i, tag in enumerate(tags)]
    for parts, message in [(both[:1], "1 parts of the 2 that were announced"), ([both[0], {**both[1], "etag": tags[0]}], "was not uploaded with ETag"),
                           ([both[0], both[0]], "each once"), ([both[0], {**both[1], "part_number": 3}], "each once"), ([], "parameter 'parts'"),
                           (["x", "y"], "parts[0]"), ([both[0], {"part_number": 2}], "parts[1].etag")]:
        status, answer = end(port, "complete", "bad.bin", upload, parts)
        assert status == 400 and message in answer["message"], answer
    assert end(port, "complete", "other.bin", upload, both)[0] == 400
    assert end(port, "complete", "bad.bin", {"upload_id": "f" * 32}, both)[0] == 404
    assert end(port, "abort", "bad.bin", {"upload_id": "f" * 32})[0] == 404
    for n in (0, -1, 10001, "x"):
        assert call(port, "POST", f"{P}/mpu/create/0/mpu", {"path": "f", "num_parts": n})[0] == 400
    assert end(port, "complete", "bad.bin", upload, both) == (200, {})


def test_addresses_are_signed(server):
    port, before = server.port, objects_of(server)
    upload = create(port, "signed.bin", 2)
    one, two = (urllib.parse.urlsplit(c["url"]) for c in upload["credentials"])
    query = dict(urllib.parse.parse_qsl(one.query))
    assert int(query["expires"]) / 1e6 - time.time() == pytest.approx(24 * 3600, abs=60)
    bad = [one.path, f"{one.path}?{two.query}", f"{two.path}?{one.query}", f"{one.path}?{one.query[:-1]}0", f"{one.path}?{one.query[:-1]}1"]
    for key, value in [("workspace", "other"), ("expires", str(int(query["expires"]) + 1)), ("signature", ""), ("signature", "0" * 64), ("expires", "x")]:
        bad.append(one.path + "?" + urllib.parse.urlencode({**query, key: value}))
    bad = [b for b in bad if b != f"{one.path}?{one.query}"]
    for url in bad:
        status, _, text = ask(port, "PUT", url, b"x" * 300_000)
        assert (status, json.loads(text)["error_code"]) == (403, "PERMISSION_DENIED"), url
    assert objects_of(server) == before
    assert end(port, "abort", "signed.bin", upload) == (200, {})


def test_addresses_name_the_server_as_the_client_does(server):
    port = server.port
    for headers, base in [({"Host": f"localhost:{port}"}, f"http://localhost:{port}"), ({"X-Forwarded-Proto": "https", "X-Forwarded-Host": "ml.example"}, "https://ml.example"),
                          ({"X-Forwarded-Proto": "https"}, f"https://127.0.0.1:{port}")]:
        upload = create(port, "host.bin", 1, headers=headers)
        assert upload["credentials"][0]["url"].startswith(base + "/api/2.0/mlflow-artifacts/mpu/part/")
        assert end(port, "abort", "host.bin", upload) == (200, {})
    status, _, text = ask(port, "POST", f"{P}/mpu/create/0/mpu", b'{"path":"x","num_parts":1}', {**JSON, "X-Forwarded-Host": "a b/c"})
    assert status == 501 and json.loads(text)["message"].startswith("Multipart upload is not supported for the current artifact repository")


def test_aborted_uploads_leave_nothing(server):
    port, before = server.port, objects_of(server)
    upload = create(port, "gone.bin", 2)
    tags = [put_part(c, noise(100_000, i))[1] for i, c in enumerate(upload["credentials"])]
    assert len(objects_of(server)) == len(before) + 2
    assert end(port, "abort", "gone.bin", upload) == (200, {}) == end(port, "abort", "gone.bin", upload)
    assert objects_of(server) == before
    assert put_part(upload["credentials"][0], b"late")[0] == 409
    status, answer = end(port, "complete", "gone.bin", upload, [{"part_number": i + 1, "etag": t} for i, t in enumerate(tags)])
    assert (status, answer["error_code"]) == (409, "RESOURCE_CONFLICT")
    assert ask(port, "GET", f"{A}/0/mpu/gone.bin")[0] == 404
    assert objects_of(server) == before


@pytest.mark.sqlite
def test_uploads_expire(new_server):
    import sqlite3
    server = new_server()
    upload = create(server.port, "old.bin", 1)
    tag = put_part(upload["credentials"][0], b"old")[1]
    kept = create(server.port, "young.bin", 1)
    young = put_part(kept["credentials"][0], b"young")[1]
    assert len(objects_of(server)) == 2
    database = sqlite3.connect(pathlib.Path(server.home) / "gyre.db", timeout=30)
    with database:
        database.execute("UPDATE uploads SET expires_us = 1 WHERE id = ?", (upload["upload_id"],))
    assert end(server.port, "complete", "old.bin", upload, [{"part_number": 1, "etag": tag}])[0] == 409
    server.stop()
    server.start()  # cleans
    deadline = time.time() + 30
    rows = "SELECT COUNT(*) FROM upload_parts"
    while database.execute(rows).fetchone() != (1,) and time.time() < deadline:
        time.sleep(0.05)
    assert database.execute(rows).fetchone() == (1,)
    assert len(objects_of(server)) == 1
    database.close()
    kept["credentials"][0]["url"] = kept["credentials"][0]["url"].replace(kept["credentials"][0]["url"].split("/")[2], f"127.0.0.1:{server.port}")
    assert put_part(kept["credentials"][0], b"young")[1] == young  # the key outlives the process
    assert end(server.port, "complete", "young.bin", kept, [{"part_number": 1, "etag": young}]) == (200, {})
    assert ask(server.port, "GET", f"{A}/0/mpu/young.bin")[2] == b"young"


def test_downloads_in_parts_fall_back(server):
    status, answer = call(server.port, "GET", f"{P}/presigned/0/x")
    assert (status, answer["error_code"]) == (501, "NOT_IMPLEMENTED")


# ---- size, slowness, ends ----

SIZE = 160 * MIB


@pytest.fixture(scope="module")
def huge(server):
    """A file larger than all buffers between us, and its digest."""
    block, digest = noise(MIB), hashlib.sha256()

    def chunks():
        for i in range(SIZE // MIB):
            piece = i.to_bytes(4, "big") + block[4:]
            digest.update(piece)
            yield piece

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    connection.request("PUT", f"{A}/0/huge.bin", body=chunks(), headers={"Content-Length": str(SIZE)})
    assert connection.getresponse().read() == b"{}"
    connection.close()
    return digest.hexdigest()


def test_a_large_file_in_constant_memory(server, huge):
    before = server.rss_kb()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    connection.request("GET", f"{A}/0/huge.bin")
    answer, digest = connection.getresponse(), hashlib.sha256()
    while data := answer.read(MIB):
        digest.update(data)
    connection.close()
    assert digest.hexdigest() == huge and answer.headers["ETag"] == f'"{huge}"'
    assert server.rss_kb() - before < 48 << 10


def open_download(port, name="huge.bin"):
    s = socket.create_connection(("127.0.0.1", port), timeout=60)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    s.sendall(f"GET {A}/0/{name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert s.recv(1000).startswith(b"HTTP/1.1 200 ")
    return s


@pytest.mark.tsan
def test_slow_readers_hold_no_worker(server, huge):
    slow = [open_download(server.port) for _ in range(40)]  # five times the workers
    try:
        for _ in range(20):
            assert ask(server.port, "GET", f"{M}/experiments/get?experiment_id=0", timeout=30)[0] == 200
        put(server.port, "0/meanwhile", b"x" * 300_000)
        assert ask(server.port, "GET", f"{A}/0/meanwhile", timeout=30)[2] == b"x" * 300_000
        digest, one, n = hashlib.sha256(), slow[0], 0
    finally:
        for s in slow[1:]:
            s.close()
    rest = one.makefile("rb")
    one.settimeout(60)
    while n < SIZE - MIB and (data := rest.read(MIB)):
        n += len(data)
        digest.update(data)
    one.close()
    assert n >= SIZE - MIB


@pytest.mark.tsan
def test_clients_that_vanish(server, huge):
    fds = lambda: len(os.listdir(f"/proc/{server.pid}/fd"))  # noqa: E731
    ask(server.port, "GET", "/health")
    before = fds()
    for how in range(60):
        s = open_download(server.port)
        if how % 3 == 0:
            s.recv(MIB)
        if how % 2:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # a reset
        s.close()
    deadline = time.time() + 60
    while fds() > before + 2 and time.time() < deadline:
        time.sleep(0.05)
    assert fds() <= before + 2
    assert ask(server.port, "GET", f"{A}/0/huge.bin", headers={"Range": "bytes=0-3"})[2] == b"\0\0\0\0"


@pytest.mark.tsan
def test_many_downloads_at_once(server, huge):
    def one(i):
        first = (i * 7919) % (SIZE - 5 * MIB)
        status, headers, body = ask(server.port, "GET", f"{A}/0/huge.bin", headers={"Range": f"bytes={first}-{first + 5 * MIB - 1}"}, timeout=120)
        return status, headers["Content-Range"] == f"bytes {first}-{first + 5 * MIB - 1}/{SIZE}", len(body)

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert set(pool.map(one, range(64))) == {(206, True, 5 * MIB)}


def test_a_drained_server_ends_its_downloads(new_server):
    server, body = new_server(), noise(24 * MIB)
    put(server.port, "0/drain.bin", body)
    s = open_download(server.port, "drain.bin")
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    time.sleep(0.3)
    rest = s.makefile("rb").read()
    stopping.join()
    s.close()
    assert body.endswith(rest[-MIB:]) and len(rest) > len(body) - 2000


def test_a_file_cut_short_breaks_the_answer_off(new_server):
    server, body = new_server(), noise(8 * MIB)
    put(server.port, "0/cut.bin", body)
    digest = hashlib.sha256(body).hexdigest()
    path = pathlib.Path(server.home) / "objects" / digest[:2] / digest[2:]
    path.chmod(0o600)
    s = open_download(server.port, "cut.bin")
    os.truncate(path, 6 * MIB)
    got = s.makefile("rb").read()
    s.close()
    assert len(got) < 8 * MIB  # fewer than announced, then the end: no client takes that for the file
    assert ask(server.port, "GET", "/health")[0] == 200
    os.remove(path)
    status, answer = call(server.port, "GET", f"{A}/0/cut.bin")
    assert (status, answer["error_code"]) == (500, "DATA_LOSS")


def test_replaced_while_it_is_read(server):
    one, two = noise(40 * MIB, 1), noise(40 * MIB, 2)
    put(server.port, "0/swap.bin", one)
    s = open_download(server.port, "swap.bin")
    put(server.port, "0/swap.bin", two)
    assert ask(server.port, "DELETE", f"{A}/0/swap.bin")[0] == 200
    got = s.makefile("rb").read(len(one) - 2000)
    s.close()
    assert one.endswith(got[-MIB:]) or got[-MIB:] in one


# ---- crashes and full disks ----

def test_killed_in_the_middle_of_an_upload(new_server):
    server = new_server()
    home = server.home
    put(server.port, "0/kept.bin", b"kept")
    upload = create(server.port, "mpu.bin", 2)
    tag = put_part(upload["credentials"][0], noise(200_000))[1]
    s = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    s.sendall(f"PUT {A}/0/half.bin HTTP/1.1\r\nHost: localhost\r\nContent-Length: {64 * MIB}\r\n\r\n".encode())
    s.sendall(noise(20 * MIB))
    deadline = time.time() + 30
    while not unfinished(server) and time.time() < deadline:
        time.sleep(0.01)
    assert unfinished(server)
    server.kill()
    s.close()
    again = new_server(home=home)
    assert ask(again.port, "GET", f"{A}/0/half.bin")[0] == 404
    assert ask(again.port, "GET", f"{A}/0/mpu/mpu.bin")[0] == 404
    assert ok(again.port, "GET", f"{A}?path=0") == {"files": [{"path": "kept.bin", "is_dir": False, "file_size": 4}]}
    assert ask(again.port, "GET", f"{A}/0/kept.bin")[2] == b"kept"
    url = urllib.parse.urlsplit(upload["credentials"][1]["url"])
    status, headers, _ = ask(again.port, "PUT", f"{url.path}?{url.query}", b"rest")  # the upload goes on
    assert status == 200
    parts = [{"part_number": 1, "etag": tag}, {"part_number": 2, "etag": headers["ETag"]}]
    assert end(again.port, "complete", "mpu.bin", upload, parts) == (200, {})
    assert ask(again.port, "GET", f"{A}/0/mpu/mpu.bin")[2] == noise(200_000) + b"rest"


def free_kb(where):
    at = os.statvfs(where)
    return at.f_bavail * at.f_frsize >> 10


def test_a_full_disk(new_server, small_disk):
    server = new_server(home=small_disk / "home")
    put(server.port, "0/before.bin", noise(100_000))
    before = free_kb(small_disk)
    answers = []

    def other_requests(stop):
        while not stop.is_set():
            answers.append(ask(server.port, "GET", f"{A}/0/before.bin", headers={"Range": "bytes=0-9"})[0])
            answers.append(ask(server.port, "GET", f"{M}/experiments/get?experiment_id=0")[0])

    stop = threading.Event()
    other = threading.Thread(target=other_requests, args=(stop,))
    other.start()
    try:
        status, answer = None, {}
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        try:
            connection.request("PUT", f"{A}/0/large.bin", body=(noise(MIB) for _ in range(64)), headers={"Content-Length": str(64 * MIB)})
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused in the middle of the sending; the answer is still to be read
        reply = connection.getresponse()
        status, answer = reply.status, json.loads(reply.read())
        connection.close()
        assert (status, answer["error_code"]) == (507, "RESOURCE_EXHAUSTED") and "No space left" in answer["message"], answer
        upload = create(server.port, "large.bin", 6)
        sent = [put_part(c, noise(10 * MIB, i)) for i, c in enumerate(upload["credentials"])]
        assert {s[0] for s in sent} == {200, 507}
        assert end(server.port, "abort", "large.bin", upload) == (200, {})
    finally:
        stop.set()
        other.join()
    assert set(answers) <= {200, 206}
    assert not unfinished(server)
    assert free_kb(small_disk) > before - 2048  # the space is back
    assert ok(server.port, "GET", f"{A}?path=0") == {"files": [{"path": "before.bin", "is_dir": False, "file_size": 100_000}]}
    put(server.port, "0/after.bin", noise(10 * MIB))


# ---- workspaces ----

@pytest.mark.sqlite
def test_a_fixture_home_of_0010_keeps_its_artifacts(new_server):
    """The table is made anew by migration 0014: nothing of it may be lost."""
    server = new_server()
    put(server.port, "0/a/b.txt", b"1")
    put(server.port, "custom/c.txt", b"22")
    server.stop()
    import sqlite3
    database = sqlite3.connect(pathlib.Path(server.home) / "gyre.db", timeout=30)
    with database:  # back to what 0003 made
        database.executescript("""
            CREATE TABLE old (path TEXT NOT NULL PRIMARY KEY, workspace_id TEXT NOT NULL DEFAULT 'default' REFERENCES workspaces (id),
                sha256 TEXT NOT NULL, size_bytes INTEGER NOT NULL, actor TEXT NOT NULL, created_us INTEGER NOT NULL) WITHOUT ROWID;
            INSERT INTO old SELECT path, workspace_id, sha256, size_bytes, actor, created_us FROM artifacts;
            DROP TABLE artifacts; ALTER TABLE old RENAME TO artifacts;
            DROP TABLE upload_keys; DROP TABLE upload_parts; DROP TABLE uploads;
            DELETE FROM schema_migrations WHERE number = 14;""")
    database.close()
    server.start()
    assert ask(server.port, "GET", f"{A}/0/a/b.txt")[2] == b"1"
    assert ask(server.port, "GET", f"{A}/custom/c.txt")[2] == b"22"


def test_on_postgresql(new_server, postgres):
    server = new_server(args=["--store", postgres.url()])
    port, body = server.port, noise(2 * MIB)
    put(port, "0/a/b.bin", body)
    put(port, "0/a/b.bin", body[::-1])
    assert ask(port, "GET", f"{A}/0/a/b.bin", headers={"Range": "bytes=0-9"})[2] == body[::-1][:10]
    upload = create(port, "c.bin", 2, "0/a")
    tags = [put_part(c, body[i * MIB:(i + 1) * MIB])[1] for i, c in enumerate(upload["credentials"])]
    parts = [{"part_number": i + 1, "etag": tag} for i, tag in enumerate(tags)]
    assert end(port, "complete", "c.bin", upload, parts, "0/a") == (200, {}) == end(port, "complete", "c.bin", upload, parts, "0/a")
    assert ask(port, "GET", f"{A}/0/a/c.bin")[2] == body
    given_up = create(port, "d.bin", 1, "0/a")
    assert put_part(given_up["credentials"][0], b"x")[0] == 200
    assert end(port, "abort", "d.bin", given_up, folder="0/a") == (200, {})
    assert len(objects_of(server)) == 2  # what b.bin was, which is what c.bin is, and what b.bin is
    assert ok(port, "GET", f"{A}?path=0/a") == {"files": [{"path": n, "is_dir": False, "file_size": 2 * MIB} for n in ("b.bin", "c.bin")]}
    assert ok(port, "DELETE", f"{A}/0/a") == {} and ok(port, "GET", f"{A}?path=0") == {}
