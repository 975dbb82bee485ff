# SPDX-License-Identifier: Apache-2.0
"""How far the sources of a dataset were read: told beside a version, in one transaction with it, and asked for."""

import hashlib
import urllib.parse

import pytest
from serving import API, request


def call(server, method, path, body=None):
    status, answer, _ = request(server, method, API + path, body)
    return status, answer


def version(server, data, taken=None, name="d"):
    status, stored, _ = request(server, "POST", API + "/objects", data)
    assert status == 201
    body = {"name": name, "sha256": stored["sha256"], "md5": hashlib.md5(data).hexdigest(), "size": len(data), "rows": 1, "read": 1,
            "accepted": 1, "dead": 0}
    return call(server, "POST", "/datasets", body if taken is None else {**body, "taken": taken})


def state(server, source, name="d"):
    status, answer = call(server, "GET", f"/datasets/{name}/taken?source={urllib.parse.quote(source)}")
    assert status == 200, answer
    return answer


def test_a_version_and_what_it_holds_are_one(server):
    assert state(server, "S") == {"name": "d", "newest": 0, "continues": True, "sources": [], "version": 0, "watermark": None}
    step = {"source": "S", "newest": 0, "from": {"version": 0, "watermark": None}, "watermark": "5", "objects": [["b", "1"], ["a", "2"]]}
    assert version(server, b"a\n1\n", step)[0] == 201
    # The same once more, as a client sends it that did not see the answer: refused, and nothing is changed by it.
    status, answer = version(server, b"a\n1\n", step)
    assert status == 409 and answer["code"] == "CONFLICT" and "since this began" in answer["detail"]
    assert version(server, b"a\n2\n", {**step, "newest": 1})[0] == 409
    got = state(server, "S")
    assert (got["newest"], got["version"], got["watermark"], got["sources"], got["continues"]) == (1, 1, "5", ["S"], True)
    assert version(server, b"a\n2\n", {**step, "newest": 1, "from": {"version": 1, "watermark": "5"}, "watermark": "7",
                                       "objects": [["c", "3"]]})[0] == 201
    assert call(server, "GET", "/datasets/d/versions/2")[1]["base_version"] == 1
    # An object that was taken already ends it, with its version.
    status, answer = version(server, b"a\n3\n", {**step, "newest": 2, "from": {"version": 2, "watermark": "7"}, "objects": [["d", "4"], ["a", "9"]]})
    assert status == 409 and "an object was taken" in answer["detail"] and state(server, "S")["newest"] == 2

    status, page = call(server, "GET", "/datasets/d/taken/objects?source=S&limit=2")
    assert (status, page) == (200, {"objects": [["a", "2"], ["b", "1"]], "more": True})
    assert call(server, "GET", "/datasets/d/taken/objects?source=S&limit=2&after=b")[1] == {"objects": [["c", "3"]], "more": False}
    # A version of somebody's own does not go on from there.
    assert version(server, b"a\n9\n")[0] == 201
    assert state(server, "S")["continues"] is False and state(server, "other")["version"] == 0


@pytest.mark.parametrize("taken", [
    [], "S", {}, {"source": "S"}, {"source": "S", "newest": 0}, {"source": "S", "newest": 0, "from": 1},
    {"source": "", "newest": 0, "from": {"version": 0}}, {"source": "x" * 3000, "newest": 0, "from": {"version": 0}},
    {"source": "S", "newest": "0", "from": {"version": 0}}, {"source": "S", "newest": 0, "from": {"version": 0}, "objects": "a"},
    {"source": "S", "newest": 0, "from": {"version": 0}, "objects": ["a"]}, {"source": "S", "newest": 0, "from": {"version": 0}, "objects": [["a"]]},
    {"source": "S", "newest": 0, "from": {"version": 0}, "objects": [["a", 1]]}, {"source": "S", "newest": 0, "from": {"version": 0}, "objects": [["", "m"]]},
    {"source": "S", "newest": 0, "from": {"version": 0}, "objects": [["a", "m" * 300]]},
    {"source": "S", "newest": 0, "from": {"version": 0}, "watermark": "w" * 9000}, {"source": "S", "newest": 0, "from": {"version": 0}, "watermark": 5},
])
def test_what_makes_no_sense_is_refused_whole(server, taken):
    status, answer = version(server, b"a\n1\n", taken, name="e")
    assert status == 400 and answer["code"] in ("INVALID", "PARSE"), (status, answer)
    assert call(server, "GET", "/datasets/e")[0] == 404


def test_a_source_is_wanted(server):
    for path in ("/datasets/d/taken", "/datasets/d/taken?source=", "/datasets/d/taken/objects", "/datasets/a%20b/taken?source=S",
                 "/datasets/d/taken/objects?source=S&limit=0", "/datasets/d/taken/objects?source=S&limit=99999"):
        assert call(server, "GET", path)[0] == 400, path
