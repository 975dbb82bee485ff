# SPDX-License-Identifier: Apache-2.0
"""gyre review: from the queue to a table for training, on a server of one's own."""

import csv
import hashlib
import json

import pytest
import serving
import support

SCHEMA = """columns:
  - {name: patient_id, type: int, min: 0, required: true, unique: true, role: id}
  - {name: HR, type: int, min: 20, max: 300, required: true}
  - {name: O2Sat, type: float}
  - {name: Resp, type: int, min: 3, max: 80, required: true}
  - {name: Temp, type: float, min: 25, max: 45, required: true}
  - {name: isSepsis, type: int, values: [0, 1], required: true, role: label, not_in: [SERVING]}
"""


@pytest.fixture
def project(new_server, tmp_path):
    """A server with a deployed model whose home is the project's own, and `run`, which wants success and JSON."""
    server = new_server(home=tmp_path / ".gyre")
    serving.serve(server)
    (tmp_path / "schema.yaml").write_text(SCHEMA)

    def run(*args):
        return support.run_json(*args, cwd=tmp_path)

    return server, run, tmp_path


def predict(server, *rows, request=None):
    """The prediction id of one request."""
    body = serving.v2([list(r) for r in rows])
    if request is not None:
        body["id"] = str(request)
    status, _, headers = serving.request(server, "POST", "/v2/models/sepsis/infer", body)
    assert status == 200
    return headers["Gyre-Prediction-Id"]


def test_from_the_queue_to_a_dataset(project):
    server, run, folder = project
    first = predict(server, (104, 22, 38.9), request=12)
    second = predict(server, (70, 15, 37), request=7)
    many = predict(server, (80, 15, 37), (95, 16, 36.5), request=3)
    again = predict(server, (104, 22, 38.9), request=12)
    assert run("review", "add", first, second, many, again)["picked"] == 5
    assert run("review", "add", first) == {"picked": 1}
    rows = run("review", "list", "sepsis", "--state", "open")["reviews"]
    assert sorted(r["prediction_id"] for r in rows) == sorted([first, second, many, many, again])
    assert run("review", "assign", first, "--to", "ann")["assignee"] == "ann"
    assert run("review", "show", first)["state"] == "assigned"

    done = run("review", "verdict", first, "0", "--reason", "fever only")
    assert done["verdict"] == "0" and done["agrees"] is False and done["reason"] == "fever only"
    lines = [{"prediction_id": many, "row": 0, "verdict": 0}, {"prediction_id": many, "row": 1, "verdict": 1}]
    (folder / "verdicts.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    assert run("review", "verdict", "--file", "verdicts.jsonl", "--tag", "simulated")["decided"] == 2
    assert run("review", "verdict", second, "agree")["verdict"] == "0"
    assert run("review", "verdict", again, "1")["agrees"] is True

    summary = run("review", "summary")["endpoints"]
    assert [(q["endpoint"], q["open"], q["assigned"], q["done"], q["agreed"], q["simulated"]) for q in summary] == [
        ("sepsis", 0, 0, 5, 4, 2)]

    out = run("review", "export", "sepsis", "-o", "out/reviewed.csv")
    assert (out["reviews"], out["rows"], out["duplicates"], out["simulated"], out["simulated_left_out"], out["dead"]) == (5, 2, 1, 0, 2, 0)
    text = (folder / "out/reviewed.csv").read_bytes()
    # Sorted by id; the newest verdict about request 12 counts; what the model does not read is empty.
    assert text == b"patient_id,HR,O2Sat,Resp,Temp,isSepsis\n7,70,,15,37,0\n12,104,,22,38.9,1\n"
    assert out["sha256"] == hashlib.sha256(text).hexdigest() and out["dataset"] is None
    assert not (folder / "out/reviewed.csv.dlq").exists()
    assert sorted(p.name for p in (folder / "out").iterdir()) == ["reviewed.csv"]

    both = run("review", "export", "sepsis", "-o", "out/all.csv", "--with-simulated", "--name", "reviewed")
    assert (both["rows"], both["simulated"], both["dataset"], both["version"], both["new"]) == (4, 2, "reviewed", 1, True)
    table = list(csv.DictReader((folder / "out/all.csv").open()))
    ids = [int(r["patient_id"]) for r in table]
    assert ids == sorted(ids) and ids[:2] == [7, 12] and all(2**32 < i < 2**53 for i in ids[2:])
    assert {(r["HR"], r["isSepsis"]) for r in table} == {("70", "0"), ("104", "1"), ("80", "0"), ("95", "1")}
    # The same reviews: the same bytes, the same version.
    same = run("review", "export", "sepsis", "-o", "out/all2.csv", "--with-simulated", "--name", "reviewed")
    assert same["sha256"] == both["sha256"] and (same["version"], same["new"]) == (1, False)
    shown = run("data", "show", "reviewed")
    assert shown["source"] == "reviews of sepsis: 2 by people, 2 simulated" and shown["rows"] == 4
    edges = serving.must(server, "GET", f"{serving.API}/lineage?node=data:{both['sha256']}&direction=up")["edges"]
    assert ("reviews:sepsis", "reviewed") in {(e["from"], e["rel"]) for e in edges}
    assert ("revision:sepsis/1", "answered") in {(e["from"], e["rel"]) for e in edges}


def test_an_export_without_reviews_is_a_header(project):
    _, run, folder = project
    done = support.run_gyre("review", "export", "sepsis", "-o", "none.csv", "--name", "none", cwd=folder)
    assert done.returncode == 0 and "no reviewed record" in done.stderr
    assert (folder / "none.csv").read_text() == "patient_id,HR,O2Sat,Resp,Temp,isSepsis\n"
    assert run("data", "list")["datasets"] == []
    assert run("review", "export", "nowhere", "-o", "none.csv")["rows"] == 0


def test_what_breaks_the_schema_is_a_dead_letter(project):
    server, run, folder = project
    bad = predict(server, (301, 15, 37), request=1)
    good = predict(server, (70, 15, 37), request=2)
    run("review", "add", bad, good)
    for one in (bad, good):
        run("review", "verdict", one, "0")
    out = run("review", "export", "sepsis", "-o", "reviewed.csv")
    assert out["rows"] == 1 and out["dead"] == 1
    letter = json.loads((folder / "reviewed.csv.dlq").read_text())
    assert letter["codes"] == ["RANGE"] and letter["column"] == "HR"
    run("review", "export", "sepsis", "-o", "reviewed.csv")      # a retraining exports again and again: one letter it stays
    assert len((folder / "reviewed.csv.dlq").read_text().splitlines()) == 1


def test_since(project):
    server, run, folder = project
    one = predict(server, (70, 15, 37))
    run("review", "add", one)
    run("review", "verdict", one, "0")
    for since, rows in (("1d", 1), ("90m", 1), ("2020-01-01T00:00:00Z", 1), ("2100-01-01T00:00:00Z", 0)):
        assert run("review", "export", "sepsis", "-o", "r.csv", "--since", since)["rows"] == rows
    for bad in ("yesterday", "2020-01-01", "d", "-1d"):
        assert support.run_gyre("review", "export", "sepsis", "-o", "r.csv", "--since", bad, cwd=folder).returncode == 2


def test_a_link_names_its_reviewer(project):
    server, run, folder = project
    one = predict(server, (70, 15, 37))
    run("review", "add", one)
    link = run("review", "link", "--as", "Dr. Ann", "--days", "1")
    assert link["url"] == f"{server.url}/review#token={link['token']}" and link["as"] == "Dr. Ann"
    status, answer, _ = serving.request(server, "POST", f"{serving.API}/reviews/{one}/0/verdict", {"verdict": 1},
                                        {"Gyre-Review-Token": link["token"]})
    assert status == 200 and answer["reviewer"] == "Dr. Ann"
    assert link["token"] not in server.text()
    # Whoever is anonymous gets none.
    done = support.run_gyre("review", "link", "--server", server.url, cwd=folder)
    assert done.returncode != 0 and "socket" in done.stderr
    # Without the key all are void.
    (server.home / "review.key").unlink()
    status, _, _ = serving.request(server, "POST", f"{serving.API}/reviews/{one}/0/verdict", {"verdict": 1},
                                   {"Gyre-Review-Token": link["token"]})
    assert status == 401


def test_without_a_server(gyre, tmp_path):
    assert gyre("review", "assign", "x", "--to", "a", "--back").returncode == 2
    done = gyre("review", "link")
    assert done.returncode != 0 and "no server runs" in done.stderr and "gyre server" in done.stderr
    assert gyre("review", "list").returncode == 0
    assert "0 undecided" in gyre("review", "list").stdout
    assert gyre("review", "show", "x/y").returncode == 2
    assert gyre("review", "verdict", "x").returncode == 2
    assert gyre("review", "export", "sepsis").returncode == 2
    done = gyre("review", "export", "sepsis", "-o", "x.csv")
    assert done.returncode != 0 and "schema" in done.stderr
    (tmp_path / "schema.yaml").write_text("columns:\n  - {name: a, type: int}\n")
    done = gyre("review", "export", "sepsis", "-o", "x.csv")
    assert done.returncode != 0 and "label" in done.stderr


def test_tables_for_people(project):
    server, run, folder = project
    one = predict(server, (104, 22, 38.9))
    run("review", "add", one)
    listed = support.run_gyre("review", "list", "sepsis", cwd=folder).stdout
    assert f"{one}/0" in listed and "HR=104 Resp=22 Temp=38.9" in listed and "sirs" in listed and "1 undecided" in listed
    shown = support.run_gyre("review", "verdict", one, "1", "-r", "clear", cwd=folder).stdout
    assert "verdict       1" in shown and "clear" in shown
    assert "100.0 %" in support.run_gyre("review", "summary", cwd=folder).stdout
