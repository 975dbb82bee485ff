# SPDX-License-Identifier: Apache-2.0
"""docs/registry.md: each of its commands, word for word and in its order, in the sepsis example."""

import os
import re
import subprocess

import support

DOCUMENT = (support.ROOT / "docs" / "registry.md").read_text()
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SAYS = {  # what a line must print
    "gyre usecase approve": "is approved",
    "gyre usecase show": "Dr. A. Weber",
    "gyre models diff": "intervals apart",
    "gyre models card sepsis/2 --html": "a nurse decides",
    "gyre models card sepsis/2 --history": "first review",
    "gyre models card sepsis/2 --diff": "risk_class",
    "gyre models comment": "fewer alarms",
    "gyre models rollback": "-> version 1 (was 2)",
    "gyre models history": "only to show it",
    "gyre usecase report": "reached",
    "gyre runs list": "FINISHED",
}


def commands():
    return [line.strip() for line in re.findall(r"^    (gyre .*|git .*)$", DOCUMENT, re.M)]


def test_every_command_of_the_document(tmp_path):
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    (bin_dir / "gyre").symlink_to(support.BIN)
    env = support.clean_env({"PATH": f"{bin_dir}:{os.environ['PATH']}"})
    project = tmp_path / "p"

    def follow(line):
        done = subprocess.run(line, shell=True, cwd=project, env=env, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    project.mkdir()
    for line in ("gyre init --template sepsis .", "mkdir -p data/raw",
                 "gyre data synth patients --rows 6000 --seed 1 -o data/raw/patients.csv"):
        follow(line)
    git = "git -c user.name=t -c user.email=t@example.org"
    if subprocess.run(["git", "--version"], capture_output=True, check=False).returncode == 0:
        follow(f"git init -q . && {git} add -A && {git} commit -q -m one && echo '# later' >> gyre.yaml")
    follow("gyre run")
    (project / "usecase.yaml").write_text(re.search(r"```yaml\n(.*?)```", DOCUMENT, re.S).group(1))
    told = set()
    lines = commands()
    assert len(lines) >= 20 and all(any(line.startswith(start) for line in lines) for start in SAYS)
    asked = ""
    for line in lines:
        if line.startswith("git checkout"):
            continue  # below
        out = follow(re.sub(r"\bID\b", asked, line))
        asked = UUID.search(out).group() if line.startswith("gyre gate request") else asked
        for start, text in SAYS.items():
            if line.startswith(start):
                assert text in out, f"{line}\n{out}"
                told.add(start)
    assert told == SAYS.keys()
    assert "Dr. A. Weber" in (project / "card.html").read_text()
    if not (project / ".git").is_dir():
        return
    run = support.run_json("models", "show", "sepsis/2", cwd=project)["run_id"]
    shown = support.run_gyre("runs", "show", run, cwd=project).stdout
    commit = re.search(r"code ([0-9a-f]{40})\+dirty", shown).group(1)
    follow(f"git clone -q . again && cd again && git checkout -q {commit} && gyre runs patch {run} --home ../.gyre | git apply")
    assert (project / "again" / "gyre.yaml").read_text() == (project / "gyre.yaml").read_text()
