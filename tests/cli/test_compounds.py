# SPDX-License-Identifier: Apache-2.0
"""A set of drawn molecules in the shape of the compound demo's, through the flags of its own ingest tool; all that can
be wrong with an image. The molecules are made here, by chance, from a seed."""

import json
import math
import os
import random
import shutil
import subprocess

import pytest
import support
from pictures import Canvas

SCHEMA = """columns:
  - {name: compound_id, type: int, required: true, unique: true, role: id}
  - {name: smiles, type: string, required: true}
  - {name: num_rings, type: int, min: 1, max: 5, required: true, role: label}
  - {name: image, type: image, width: 300, height: 300, channels: 3, required: true}
"""
ARGS = ("data", "ingest", "--data_loc", "raw-data", "--file_name", "compounds.json", "--output_path", "out", "--dlq", "dlq.log",
        "--log_level", "INFO")


def letters(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def draw(rings, chance):
    """Rings of five or six sides on a line, each joined to the next by a bond."""
    canvas = Canvas(300, 300)
    for i in range(rings):
        sides, radius = chance.choice((5, 6)), 20
        x, y, turn = 30 + i * 60, 150 + chance.randint(-20, 20), chance.random()
        corners = [(x + radius * math.cos(turn + 2 * math.pi * k / sides), y + radius * math.sin(turn + 2 * math.pi * k / sides))
                   for k in range(sides)]
        for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1]):
            canvas.line(x0, y0, x1, y1, (0, 0, 0))
        if i + 1 < rings:
            canvas.line(x + radius, y, x + 60 - radius, 150, (0, 0, 160))
    return canvas


def make(folder, n=102):
    """compounds.json, an array behind a byte order mark, and images/: one image lacks, one record has another key than
    compound_id. Gives the records."""
    chance = random.Random(2)
    (folder / "images").mkdir(parents=True)
    records = []
    for i in range(n):
        rings = chance.choice((1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 5, 5))
        number = 100000 + 37 * i
        record = {"compound_id": number, "smiles": "".join(f"C{k + 1}CCCC{k + 1}" for k in range(rings)), "ALogP": round(chance.uniform(0, 6), 2),
                  "molecular_weight": round(chance.uniform(80, 600), 2), "molecular_formula": f"C{5 * rings}H{9 * rings}",
                  "num_rings": float(rings), "image": f"images/{number}.png",
                  "assay_results": [{"result_id": 10 * i + k, "target": "T", "result": chance.choice(("IC50", "Ki", "Kd")),
                                     "operator": chance.choice("=<>~*"), "value": round(chance.uniform(1, 9999), 1), "unit": "nM"}
                                    for k in range(chance.randint(0, 3))]}
        (folder / record["image"]).write_bytes(draw(rings, chance).png())
        records.append(record)
    records[1]["image"] = "images/missing_image.png"
    records[2] = {"missing_key" if k == "compound_id" else k: v for k, v in records[2].items()}
    (folder / "compounds.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(records, indent=2).encode())
    return records


@pytest.fixture(scope="module")
def compounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compounds")
    records = make(folder / "raw-data")
    (folder / "schema.yaml").write_text(SCHEMA)
    return folder, records


def test_a_hundred_good_and_two_dead(compounds, tmp_path):
    folder, records = compounds
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    done = support.run_gyre(*ARGS, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "102 read, 100 accepted, 2 dead" in done.stdout
    assert "left out: ALogP (102), molecular_weight (102), molecular_formula (102), assay_results (102), missing_key (1)" in done.stderr
    good = [r for i, r in enumerate(records) if i not in (1, 2)]
    rows = (tmp_path / "out" / "data.csv").read_text().splitlines()
    assert rows == ["compound_id,smiles,num_rings,image"] + [
        f"{r['compound_id']},{r['smiles']},{r['num_rings']:.0f},{r['image']}" for r in good]

    dead = letters(tmp_path / "dlq.log")
    assert [(d["row"], d["codes"], d["column"]) for d in dead] == [(1, ["FILE"], "image"), (2, ["REQUIRED"], "compound_id")]
    assert dead[0]["error"] == "image: 'images/missing_image.png' is no file beside the data"
    assert dead[1]["error"] == "compound_id: the value is missing"
    source = (tmp_path / "raw-data" / "compounds.json").read_bytes()
    for letter in dead:
        assert source[letter["offset"]:letter["offset"] + letter["length"]].decode() == letter["data"]
        assert json.loads(letter["data"]) == records[letter["row"]]

    # A second run gives the same rows and the same version; what is dead is told again.
    before = (tmp_path / "out" / "data.csv").read_bytes()
    again = support.run_json(*ARGS, cwd=tmp_path)
    assert again["new"] is False and (again["read"], again["accepted"], again["dead"]) == (102, 100, 2)
    assert (tmp_path / "out" / "data.csv").read_bytes() == before and len(letters(tmp_path / "dlq.log")) == 4

    # With the image there and the key mended the two are accepted as well.
    shutil.copy(tmp_path / "raw-data" / records[0]["image"], tmp_path / "raw-data" / "images" / "missing_image.png")
    records = json.loads(source.decode("utf-8-sig"))
    records[2]["compound_id"] = records[2].pop("missing_key")
    (tmp_path / "raw-data" / "compounds.json").write_text(json.dumps(records))
    mended = support.run_json(*ARGS, cwd=tmp_path)
    assert mended["new"] is True and (mended["accepted"], mended["dead"]) == (102, 0)


def test_all_that_can_be_wrong_with_an_image(tmp_path):
    good = Canvas(300, 300).png()
    images = {
        "good.png": good, "cut.png": good[:-20], "small.png": Canvas(30, 300).png(), "grey.png": Canvas(300, 300, 1).png(),
        "alpha.png": Canvas(20, 20, 4).png(), "empty.png": b"", "text.png": b"no picture",
        "flipped.png": good[:60] + bytes([good[60] ^ 1]) + good[61:],
        "bomb.png": good[:16] + b"\0\0\xff\xff" * 2 + good[24:],
    }
    (tmp_path / "in" / "images").mkdir(parents=True)
    for name, data in images.items():
        (tmp_path / "in" / "images" / name).write_bytes(data)
    (tmp_path / "secret.png").write_bytes(good)
    os.symlink("../../secret.png", tmp_path / "in" / "images" / "link.png")  # its owner's own doing
    names = [f"images/{name}" for name in [*images, "link.png"]] + ["../secret.png", str(tmp_path / "secret.png"), "images", ""]
    (tmp_path / "in" / "a.csv").write_text("id,image\n" + "".join(f"{i},{name}\n" for i, name in enumerate(names)))
    (tmp_path / "schema.yaml").write_text("columns:\n  - {name: id, type: int}\n"
                                          "  - {name: image, type: image, width: 300, height: 300, channels: 3, required: true}\n")
    got = support.run_json("data", "ingest", "in/a.csv", cwd=tmp_path)
    assert (tmp_path / "data" / "data.csv").read_text() == "id,image\n0,images/good.png\n9,images/link.png\n"
    assert got["codes"] == {"FILE": 3, "IMAGE": 5, "SIZE": 3, "REQUIRED": 1}
    why = {d["row"]: (d["codes"], d["error"]) for d in letters(tmp_path / "dlq.log")}
    assert why[1] == (["IMAGE"], "image: 'images/cut.png' is a PNG that does not decode: the file is cut off")
    assert why[2] == (["SIZE"], "image: 'images/small.png' has width 30, not 300")
    assert why[3] == (["SIZE"], "image: 'images/grey.png' has channels 1, not 3")
    assert why[4] == (["SIZE"], "image: 'images/alpha.png' has width 20, not 300, height 20, not 300, channels 4, not 3")
    assert why[5] == (["IMAGE"], "image: 'images/empty.png' is an empty file")
    assert why[6] == (["IMAGE"], "image: 'images/text.png' is neither a PNG nor a JPEG")
    assert why[7][0] == ["IMAGE"] and why[8][0] == ["IMAGE"]
    assert all(why[row] == (["FILE"], f"image: '{names[row]}' is no file beside the data") for row in (10, 12))
    assert why[11][0] == ["FILE"] and why[13][0] == ["REQUIRED"]


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="runs as root, whom no file mode stops")
def test_an_image_that_may_not_be_read(tmp_path):
    (tmp_path / "a.png").write_bytes(Canvas(2, 2).png())
    (tmp_path / "a.csv").write_text("id,image\n1,a.png\n")
    (tmp_path / "schema.yaml").write_text("columns:\n  - {name: id, type: int}\n  - {name: image, type: image}\n")
    os.chmod(tmp_path / "a.png", 0)
    command = [str(support.BIN), "data", "ingest", "a.csv", "--json"]
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *command]
    done = subprocess.run(command, cwd=tmp_path, env=support.clean_env(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["codes"] == {"FILE": 1}
    assert letters(tmp_path / "dlq.log")[0]["error"] == "image: 'a.png' is a file that may not be read"
