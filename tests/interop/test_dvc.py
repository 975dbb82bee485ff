# SPDX-License-Identifier: Apache-2.0
"""The real DVC on the same project: what gyre run did is clean to `dvc status`, skipped by `dvc repro` and held in the cache,
and the other way round. Skipped, and counted, where there is no dvc (GYRE_DVC names one)."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest
import support

PIPELINE = """\
stages:
  prepare:
    cmd: 'mkdir -p out && sort in.csv > out/sorted.csv && echo "rows 3" > "out/q\\" \u00e9.json"'
    deps: [in.csv, src]
    params: [seed, deep.a, other.json: [k]]
    outs: [out]
  train:
    wdir: sub
    cmd:
      - cat ../out/sorted.csv > model.bin && chmod +x model.bin
      - 'echo "{\\"f1\\": 0.5, \\"stage\\": \\"$DVC_STAGE\\"}" > m.json'
    deps: [../out]
    outs: [model.bin]
    metrics:
      - m.json: {cache: false}
  lines:
    cmd: |
      echo one two three four five > l1
      echo 2 > l2
    outs: [l1, l2]
"""


@pytest.fixture(scope="module")
def dvc():
    found = os.environ.get("GYRE_DVC") or shutil.which("dvc", path=str(pathlib.Path(sys.executable).parent)) or shutil.which("dvc")
    if not found:
        pytest.skip("dvc is not installed (GYRE_DVC)")

    def call(*args, cwd):
        env = {**os.environ, "DVC_NO_ANALYTICS": "1"}
        done = subprocess.run([found, *args], cwd=cwd, env=env, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return call


@pytest.fixture
def project(tmp_path, dvc):
    folder = tmp_path / "p"
    (folder / "src").mkdir(parents=True)
    (folder / "sub").mkdir()
    (folder / "src" / "a.py").write_text("print(1)\n")
    (folder / "src" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "src" / "run.sh").chmod(0o755)
    (folder / "in.csv").write_text("c\na\nb\n")
    (folder / "params.yaml").write_text("seed: 7\ndeep: {a: [1, x, {k: 1e-5}], b: null}\n")
    (folder / "other.json").write_text('{"k": {"t": true, "s": "it\'s: yes", "n": null, "e": [], "f": 0.1}}')
    (folder / "dvc.yaml").write_text(PIPELINE)
    subprocess.run(["git", "init", "-q", "."], cwd=folder, check=True, timeout=60)
    dvc("init", "-q", cwd=folder)
    return folder


def test_dvc_accepts_what_gyre_ran(project, dvc):
    assert support.run_json("run", cwd=project)["done"] == 3
    assert "up to date" in dvc("status", cwd=project)
    repro = dvc("repro", cwd=project)
    assert repro.count("didn't change, skipping") == 3
    ours = (project / "dvc.lock").read_text()
    dvc("repro", "--force", cwd=project)
    assert (project / "dvc.lock").read_text() == ours  # byte for byte what DVC writes itself
    assert support.run_json("run", cwd=project)["done"] == 0


def test_gyre_accepts_what_dvc_ran(project, dvc):
    dvc("repro", cwd=project)
    assert support.run_json("flow", "status", cwd=project)["changed"] == 0
    assert support.run_json("run", cwd=project)["done"] == 0
    (project / "params.yaml").write_text("seed: 8\ndeep: {a: [1, x, {k: 1e-5}], b: null}\n")
    changed = support.run_json("run", cwd=project)
    assert changed["done"] == 1 and changed["unchanged"] == 2
    assert "up to date" in dvc("status", cwd=project)


def test_the_cache_restores_what_was_lost(project, dvc):
    support.run_json("run", cwd=project)
    before = sorted((p.name, p.read_bytes()) for p in (project / "out").iterdir())
    shutil.rmtree(project / "out")
    (project / "sub" / "model.bin").unlink()
    dvc("checkout", cwd=project)
    assert sorted((p.name, p.read_bytes()) for p in (project / "out").iterdir()) == before
    assert os.access(project / "sub" / "model.bin", os.X_OK)
    assert "0.5" in dvc("metrics", "show", "--json", cwd=project)
    assert support.run_json("run", cwd=project)["done"] == 0
