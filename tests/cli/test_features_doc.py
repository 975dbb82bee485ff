# SPDX-License-Identifier: Apache-2.0
"""docs/features.md: each example trains, and makes the columns that it says; every step there is has its place."""

import csv
import io
import re
import subprocess

import pytest

import support

DOC = (support.ROOT / "docs/features.md").read_text()
EXAMPLES = re.findall(r"```yaml\n((?:(?!```).)*)```\nmakes: ([^\n]*)\n", DOC, re.S)


def gyre(cwd, *args):
    done = subprocess.run([support.BIN, *args, "--home", "home"], cwd=cwd, env=support.clean_env(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example(tmp_path, number):
    params, makes = EXAMPLES[number]
    (tmp_path / "t.csv").write_text(re.search(r"```csv\n(.*?)```", DOC, re.S).group(1))
    (tmp_path / "params.yaml").write_text("holdout: 0.25\n" + params)
    gyre(tmp_path, "train", "t.csv", "--params", "params.yaml", "-o", "m", "-q")
    rows = list(csv.DictReader(io.StringIO(gyre(tmp_path, "predict", "m", "t.csv", "--features"))))
    assert len(rows) == 16 and list(rows[0]) == re.findall(r"`([^`]+)`", makes)


def test_every_step_is_described(tmp_path):
    listed = re.findall(r"^  (\w+) ", gyre(tmp_path, "train", "-h").split("feature steps")[1].split("\n\n")[0], re.M)
    assert len(EXAMPLES) >= 12 and len(listed) >= 14
    for step in listed:
        assert re.search(rf"^### .*\b{step}\b", DOC, re.M), step
        assert any(re.search(rf"- {step}\b", params) for params, _ in EXAMPLES), step
