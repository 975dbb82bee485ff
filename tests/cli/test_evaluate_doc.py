# SPDX-License-Identifier: Apache-2.0
"""docs/evaluate.md: each of its commands, word for word and in its order."""

import os
import re
import subprocess

import support

DOCUMENT = (support.ROOT / "docs" / "evaluate.md").read_text()
SAYS = {"--against": "models/trees less models/line", "--group": "fairness by HR", "--importance --explain": "mean |contribution|",
        "--predicted": '"average_precision"', "cost=1:20": '"rule":"cost=1:20"',
        "--threshold recall": "other rows"}


def test_every_command_of_the_document(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gyre").symlink_to(support.BIN)
    env = support.clean_env({"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"})
    commands = re.findall(r"^    (gyre .*)$", DOCUMENT, re.M)
    assert len(commands) > 10
    for line in commands:
        done = subprocess.run(line, shell=True, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        for part, says in SAYS.items():
            if part in line:
                assert says in done.stdout.replace('": ', '":'), f"{line}\n{done.stdout}"
    assert {p.name for p in (tmp_path / "plots").iterdir()} >= {"roc.svg", "importance.svg"}
