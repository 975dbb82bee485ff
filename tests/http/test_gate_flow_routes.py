# SPDX-License-Identifier: Apache-2.0
"""The routes of pipeline runs and of the gate: what goes in comes out, and what is wrong gets a clear 4xx."""

import uuid

import pytest
import requests

SHA = "ab" * 32


@pytest.fixture(scope="module")
def base(server):
    return server.url + "/api/gyre/v1"


@pytest.fixture
def run(base):
    answer = requests.post(base + "/flow/runs", json={"project": "p", "folder": "/p", "code_revision": "r", "targets": ["a"]},
                           timeout=30)
    assert answer.status_code == 201
    return answer.json()["id"]


def test_a_run_with_its_steps(base, run):
    step = {"status": "running", "position": 0, "cmd": "x", "why": "it never ran", "started_us": 1}
    assert requests.put(f"{base}/flow/runs/{run}/steps/a", json=step, timeout=30).status_code == 200
    step |= {"status": "done", "ended_us": 2, "params": {"params.yaml": {"k": [1, None]}},
             "deps": [{"path": "i", "md5": "m", "size": 1, "sha256": SHA}],
             "outs": [{"path": "o", "md5": "m", "size": 1, "sha256": "cd" * 32}]}
    assert requests.put(f"{base}/flow/runs/{run}/steps/a", json=step, timeout=30).status_code == 200
    ended = requests.post(f"{base}/flow/runs/{run}/end", json={"status": "failed", "error": "later"}, timeout=30)
    assert ended.status_code == 200
    answer = requests.get(f"{base}/flow/runs/{run}", timeout=30).json()
    assert answer["status"] == "failed" and answer["error"] == "later" and answer["targets"] == ["a"]
    assert len(answer["steps"]) == 1
    assert answer["steps"][0]["params"] == {"params.yaml": {"k": [1, None]}}
    assert answer["steps"][0]["outs"][0]["sha256"] == "cd" * 32
    edges = requests.get(base + "/lineage", params={"node": f"file:{'cd' * 32}", "direction": "up"}, timeout=30).json()["edges"]
    assert {e["from"] for e in edges} == {f"step:{run}/a", f"file:{SHA}", "code:r"}


def test_a_run_keeps_the_id_it_was_given(base):
    wanted = str(uuid.uuid4())
    for status in (201, 409):
        answer = requests.post(base + "/flow/runs", json={"id": wanted, "project": "p"}, timeout=30)
        assert answer.status_code == status
    assert requests.get(f"{base}/flow/runs/{wanted}", timeout=30).json()["status"] == "running"


@pytest.mark.parametrize("body, status", [
    (b"", 400),
    (b"{", 400),
    (b"[]", 400),
    (b"null", 400),
    (b'{"project": 3}', 400),
    (b'{"project": ""}', 400),
    (b'{"project": "p", "id": "no uuid"}', 400),
    (b'{"project": "' + b"x" * 300 + b'"}', 400),
    (b"[" * 100000, 413),
    (b'{"project": "\xff"}', 400),
])
def test_bad_runs(base, body, status):
    answer = requests.post(base + "/flow/runs", data=body, headers={"Content-Type": "application/json"}, timeout=30)
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/problem+json")


@pytest.mark.parametrize("step, status", [
    ({}, 400),
    ({"status": "dancing"}, 400),
    ({"status": 3}, 400),
    ({"status": "done", "outs": [{"path": "o"}]}, 400),
    ({"status": "done", "outs": [{"path": "o", "sha256": "short"}]}, 400),
    ({"status": "done", "deps": [{"path": "d", "md5": "x" * 100}]}, 400),
    ({"status": "done", "outs": [3]}, 400),
])
def test_bad_steps_leave_nothing(base, run, step, status):
    answer = requests.put(f"{base}/flow/runs/{run}/steps/a", json=step, timeout=30)
    assert answer.status_code == status, answer.text
    assert requests.get(f"{base}/flow/runs/{run}", timeout=30).json()["steps"] == []


@pytest.mark.parametrize("key, size", [("folder", 5000), ("code_revision", 300), ("targets", 20000), ("folder", None)])
def test_what_would_make_the_list_too_long_is_refused(base, key, size):
    before = requests.get(base + "/flow/runs", timeout=30).json()
    value = 7 if size is None else ["t" * size] if key == "targets" else "x" * size
    answer = requests.post(base + "/flow/runs", json={"project": "p", key: value}, timeout=30)
    assert answer.status_code in (400, 413), answer.text
    assert requests.get(base + "/flow/runs", timeout=30).json() == before


def test_unknown_runs(base):
    assert requests.put(f"{base}/flow/runs/nope/steps/a", json={"status": "running"}, timeout=30).status_code == 404
    assert requests.post(f"{base}/flow/runs/nope/end", json={"status": "done"}, timeout=30).status_code == 404
    assert requests.get(f"{base}/flow/runs/nope", timeout=30).status_code == 404
    assert requests.delete(f"{base}/flow/runs/nope", timeout=30).status_code == 405


@pytest.mark.parametrize("status", ["running", "finished", "", 5, None])
def test_bad_ends(base, run, status):
    assert requests.post(f"{base}/flow/runs/{run}/end", json={"status": status}, timeout=30).status_code == 400


def test_the_gate_asks_for_a_name_before_it_reads_anything(base):
    for path in ("/verdicts", "/approvals", "/approvals/x/approve", "/approvals/x/reject", "/gate/protect"):
        answer = requests.post(base + path, data=b"{", timeout=30)
        assert answer.status_code == 401, path
        assert answer.json()["code"] == "UNAUTHENTICATED"
    assert requests.get(base + "/verdicts", params={"digest": "x", "gate": "y"}, timeout=30).json() == {"verdicts": []}
    assert requests.get(base + "/approvals", timeout=30).json() == {"approvals": []}
