# SPDX-License-Identifier: Apache-2.0
"""gyre feedback and gyre watch performance: against a server, and on a home without one."""

import json
import time

import pytest

import serving
import support

ROWS = [({"hr": 120, "resp": 30, "temp": 39.5}, 1), ({"hr": 120, "resp": 30, "temp": 39.5}, 0),
        ({"hr": 70, "resp": 15, "temp": 37}, 0), ({"hr": 70, "resp": 15, "temp": 37}, 1)]
WAIT_S = 30


@pytest.fixture
def home(new_server):
    """A server with four predictions; (server, their ids)."""
    server = new_server()
    serving.serve(server)
    ids = []
    for i, (row, _) in enumerate(ROWS):
        status, _, headers = serving.request(server, "POST", "/predictions", row, {"X-Request-Id": f"order-{i}"})
        assert status == 200
        ids.append(headers["Gyre-Prediction-Id"])
    end = time.monotonic() + WAIT_S
    while serving.must(server, "GET", f"{serving.API}/endpoints/sepsis/performance")["predictions"] < 4:
        assert time.monotonic() < end
        time.sleep(0.05)
    return server, ids


def run(server, *args, code=0):
    done = support.run_gyre(*args, "--home", server.home, cwd=server.home.parent)
    assert done.returncode == code, done.stderr + done.stdout
    return done


def run_json(server, *args, code=0):
    return json.loads(run(server, *args, "--json", code=code).stdout)


def performance(server, labelled):
    end = time.monotonic() + WAIT_S
    while True:
        got = run_json(server, "watch", "performance", "sepsis")
        if got["labelled"] == labelled or time.monotonic() > end:
            assert got["labelled"] == labelled
            return got
        time.sleep(0.05)


def test_send(home):
    server, ids = home
    assert run(server, "feedback", "send", ids[0], "1").stdout == "kept\n"
    assert run(server, "feedback", "send", ids[0], "1").stdout == "kept already\n"
    assert run_json(server, "feedback", "send", "order-3", 1, "--request", "--source", "review", "--reason", "seen") == {
        "accepted": 1, "new": 1, "joined": True}
    assert "waits" in run(server, "feedback", "send", "order-99", "1", "--request").stdout
    got = performance(server, 2)
    assert got["by"]["combined"]["tp"] == 1 and got["by"]["combined"]["fn"] == 1
    assert "UUID" in run(server, "feedback", "send", "x", "1", code=3).stderr.replace("uuid", "UUID")
    assert "needs" in run(server, "feedback", "send", ids[0], code=2).stderr
    server.stop()  # the same without a server
    assert run(server, "feedback", "send", ids[1], "0").stdout == "kept\n"
    assert performance(server, 3)["by"]["combined"]["fp"] == 1


def test_import_csv(home, tmp_path):
    server, ids = home
    file = tmp_path / "labels.csv"
    lines = ["pid,isSepsis,note"] + [f'{i},{label},"a, b"' for i, (_, label) in zip(ids, ROWS)]
    file.write_text("\n".join(lines + [f"{ids[0]},,x", "nonsense,1,x", "1,2", f'{ids[0]},"1'] ) + "\n")
    args = ("feedback", "import", file, "--id-column", "pid", "--label-column", "isSepsis")
    got = run_json(server, *args)
    assert {k: got[k] for k in ("read", "accepted", "rejected", "new", "joined")} == {
        "read": 8, "accepted": 4, "rejected": 4, "new": 4, "joined": 4}
    assert sorted(r["record"] for r in got["rejects"]) == [4, 5, 6, 7]
    again = run(server, *args)
    assert again.stdout == "8 read, 4 accepted (0 new, 4 joined with their prediction), 4 rejected\n"
    assert "record 6: another number of fields" in again.stderr
    counts = performance(server, 4)["by"]["combined"]
    assert [counts[k] for k in ("tp", "fp", "tn", "fn")] == [1, 1, 1, 1]
    assert "no column 'prediction_id'" in run(server, "feedback", "import", file, code=3).stderr
    assert "no column 'label'" in run(server, "feedback", "import", file, "--id-column", "pid", code=3).stderr
    assert run(server, "feedback", "import", tmp_path / "none.csv", code=4).stderr
    file.write_text("prediction_id,label\nx,1\n")
    assert run_json(server, "feedback", "import", file, code=1)["rejected"] == 1


def test_import_json(home, tmp_path):
    server, _ = home
    records = [{"order": f"order-{i}", "label": bool(label), "given": "2026-01-01T00:00:00Z"} for i, (_, label) in enumerate(ROWS)]
    lines = tmp_path / "labels.jsonl"
    lines.write_text("".join(json.dumps(r) + "\n" for r in records) + "{bad\n")
    args = ("--request-column", "order", "--source", "billing")
    got = run_json(server, "feedback", "import", lines, *args)
    assert (got["read"], got["accepted"], got["rejected"], got["new"]) == (5, 4, 1, 4)
    array = tmp_path / "labels.json"
    array.write_text("\ufeff" + json.dumps(records, indent=1))
    assert run_json(server, "feedback", "import", array, *args)["new"] == 0
    counts = performance(server, 4)["by"]["combined"]
    assert [counts[k] for k in ("tp", "fp", "tn", "fn")] == [1, 1, 1, 1]


def test_import_much(home, tmp_path):
    server, _ = home
    file = tmp_path / "many.csv"
    file.write_text("request_id,row,label\n" + "".join(f"r{i},{i % 3},{i % 2}\n" for i in range(12000)))
    got = run_json(server, "feedback", "import", file)
    assert (got["read"], got["accepted"], got["new"], got["joined"]) == (12000, 12000, 12000, 0)


def test_performance_as_text(home):
    server, ids = home
    text = run(server, "watch", "performance", "sepsis").stdout
    assert text == "sepsis: 0 of 4 predictions labelled (0.0 %)\n"
    for i, (_, label) in zip(ids, ROWS):
        run(server, "feedback", "send", i, label)
    run(server, "feedback", "send", ids[0], "0", "--source", "review")
    performance(server, 4)
    text = run(server, "watch", "performance", "sepsis", "--windows").stdout
    lines = text.splitlines()
    assert lines[0].startswith("sepsis: 4 of 4 predictions labelled (100.0 %), half of them within ")
    assert lines[1].split() == ["by", "tp", "fp", "tn", "fn", "accuracy", "precision", "recall", "f1"]
    combined = next(line for line in lines if line.startswith("combined"))
    assert combined.split()[1:6] == ["1", "1", "1", "1", "0.500"] and "[0.150-0.850]" in combined
    assert "1 row has labels that disagree" in text
    assert "what clients got, by time of the prediction" in text
    assert run_json(server, "watch", "performance", "sepsis", "--last", 1)["labelled"] == 1
    assert run_json(server, "watch", "performance", "sepsis", "--since", "1h", "--version", 1)["labelled"] == 4
    assert run(server, "watch", "performance", "nothing", code=4).stderr
    assert run(server, "watch", "performance", "sepsis", "--since", "soon", code=3).stderr
