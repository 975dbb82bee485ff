# SPDX-License-Identifier: Apache-2.0
"""`gyre demo rings`: pictures in, a convolutional network that beats saying the same each time, pictures asked about."""

import ctypes
import json
import math

import pytest

import pictures
import support

pytestmark = pytest.mark.timeout(600)  # of its commands, on a loaded machine


def network_or_skip():
    try:
        ctypes.CDLL("libopenblas.so.0")
    except OSError:
        pytest.skip("no libopenblas.so.0 (package libopenblas0-pthread): networks are not trained here")


def play(tmp_path, *args):
    done = support.run_gyre("demo", "rings", "--exit", "--json", *args, cwd=tmp_path, timeout=500)
    assert done.returncode == 0, done.stderr + done.stdout
    result = json.loads(done.stdout)
    assert all(step["ok"] and step["command"] and step["value"] for step in result["steps"])
    table = result["table"]
    assert table["read"] == table["accepted"] + table["dead"]
    for three in (table["accuracy"], table["gain"]):
        assert three["low"] <= three["value"] <= three["high"]
    assert table["gain"]["value"] == pytest.approx(table["accuracy"]["value"] - table["majority"])
    return table


def test_a_network_counts_rings(tmp_path):
    network_or_skip()
    if support.sanitized():
        pytest.skip("600 pictures, 40 times over, take minutes under a sanitizer; the smaller folder below is learnt there too")
    table = play(tmp_path)
    assert (table["read"], table["accepted"], table["dead"], table["molecules"]) == (802, 800, 2, 200)
    assert 120 < table["held_out"] < 360 and table["held_out"] % 4 == 0  # a molecule with all four of its sides
    assert table["majority"] < 0.35 and table["accuracy"]["value"] > 0.6 and table["f1_macro"] > 0.55
    assert table["gain"]["low"] > 0.2 and table["blessed"] and table["version"] == 1
    assert table["asked"] == 24 and table["right"] >= 12
    folder = tmp_path / "gyre-demo-rings"
    letters = [json.loads(line) for line in (folder / "data" / "dlq.log").read_text().splitlines()]
    assert sorted(letter["codes"] for letter in letters) == [["FILE"], ["REQUIRED"]]


def draw(rings, i):
    canvas = pictures.Canvas(300, 300)
    for k in range(rings):
        x, y, turn = 40 + 55 * k, 150 + 10 * math.sin(i + k), 0.1 * i
        corners = [(x + 22 * math.cos(turn + math.pi * c / 3), y + 22 * math.sin(turn + math.pi * c / 3)) for c in range(6)]
        for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1]):
            canvas.line(x0, y0, x1, y1, (0, 0, 0))
    return canvas.png()


def test_pictures_of_yours_without_molecule_ids(tmp_path):
    network_or_skip()
    (tmp_path / "mine" / "images").mkdir(parents=True)
    records = []
    for i in range(60):
        name = f"images/{i + 1}.png"
        (tmp_path / "mine" / name).write_bytes(draw(1 + i % 5, i))
        records.append({"compound_id": i + 1, "smiles": "C1CCCCC1", "num_rings": float(1 + i % 5), "image": name})
    records[3]["image"] = ""
    (tmp_path / "mine" / "compounds.json").write_text(json.dumps(records))
    table = play(tmp_path, "--data", "mine")
    assert (table["read"], table["accepted"], table["dead"], table["molecules"], table["data"]) == (60, 59, 1, 59, "folder")
    assert table["asked"] == (24 if table["blessed"] else 0)


def test_a_folder_that_is_none_is_refused(tmp_path):
    done = support.run_gyre("demo", "rings", "--exit", "--data", "nowhere", cwd=tmp_path)
    assert done.returncode != 0 and "compounds.json and images/" in done.stderr
