# SPDX-License-Identifier: Apache-2.0
"""The lines that a new user types: each of README's and of the example's, word for word, in an empty folder."""

import os
import re
import shlex
import subprocess

import pytest

import support

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def lines_of(document):
    """The indented block from making the data to the trace, comments off."""
    block = re.search(r"(?:^    .*\n)*^    gyre trace .*\n", (support.ROOT / document).read_text(), re.M).group()
    return [re.sub(r"\s+#.*", "", line).strip() for line in block.splitlines()]


def loop_of(document):
    """The block behind it, around the loop; the example has none."""
    section = re.search(r"^## And on.*\n\n((?:^    .*\n)+)", (support.ROOT / document).read_text(), re.M)
    return [re.sub(r"\s+#.*", "", line).strip() for line in section.group(1).splitlines()] if section else []


def follow(line, cwd, env):
    return subprocess.run(line, shell=True, cwd=cwd, env=env, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize("document", ["README.md", "examples/sepsis/README.md"])
def test_from_a_csv_to_a_traced_prediction(document, tmp_path, new_server):
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    (bin_dir / "gyre").symlink_to(support.BIN)
    env = support.clean_env({"PATH": f"{bin_dir}:{os.environ['PATH']}"})
    project = tmp_path / "my-project"
    lines = lines_of(document)
    if not any(line.startswith("gyre init") for line in lines):  # the example is what init writes
        lines.insert(0, "gyre init --template sepsis my-project")
    assert len(lines) >= 8
    around = loop_of(document)
    cwd, server, asked, predicted = tmp_path, None, "", ""
    for line in lines + around:
        if line == "gyre server &":
            server = new_server(home=project / ".gyre")
            continue
        if server:
            line = line.replace("http://127.0.0.1:5000", server.url)
        if "PREDICTION_ID" in line:
            predicted = predicted or asked
            line = line.replace("PREDICTION_ID", predicted)
        elif " ID" in line and "&&" in line:  # "request && approve ID": two lines for a person
            request, line = line.split("&&")
            asked = UUID.search(follow(request, cwd, env).stdout).group()
        line = re.sub(r"\bID\b", asked, line)
        done = follow(line, cwd, env)
        assert done.returncode == (18 if "NOT_BLESSED" in done.stdout else 0), f"{line}\n{done.stdout}\n{done.stderr}"
        found = UUID.search(done.stdout)
        asked = found.group() if found else asked
        if "cd my-project" in line or shlex.split(line)[:2] == ["gyre", "init"]:
            cwd = project
        if line.startswith("gyre trace"):
            assert f"prediction {predicted}" in done.stdout and "approved by" in done.stdout
    assert predicted
    if around:
        assert "<svg" in (project / "sepsis.html").read_text()


def block_of(heading, tmp_path):
    """The lines of README's block under a heading, an empty folder, and an environment in which `gyre` is found."""
    bin_dir, work = tmp_path / "bin", tmp_path / "work"
    bin_dir.mkdir()
    work.mkdir()
    (bin_dir / "gyre").symlink_to(support.BIN)
    env = support.clean_env({"PATH": f"{bin_dir}:{os.environ['PATH']}"})
    section = re.search(rf"^## {heading}:.*\n\n((?:^    .*\n)+)", (support.ROOT / "README.md").read_text(), re.M)
    lines = [re.sub(r"\s{2,}#.*", "", line).strip() for line in section.group(1).splitlines()]
    assert all(line.startswith("gyre ") for line in lines)
    return lines, work, env


def test_learning_from_a_table_to_onnx(tmp_path):
    """The block about learning, word for word, in an empty folder."""
    lines, work, env = block_of("Learning", tmp_path)
    assert len(lines) > 6
    for line in lines:
        done = follow(line, work, env)
        assert done.returncode == 0, line + "\n" + done.stdout + done.stderr
    assert list((work / "plots").glob("*.svg")) and (work / "model.onnx").stat().st_size > 200
    assert "prediction" in (work / "why.csv").read_text().splitlines()[0]


def test_data_from_a_file_to_a_pushed_version(tmp_path):
    """The block about data, word for word, in an empty folder."""
    lines, work, env = block_of("Data", tmp_path)
    assert len(lines) > 10
    left_out = 0
    for line in lines:
        done = follow(line, work, env)
        if done.returncode == 27 and "data query" in line:  # SQL wants a library that is fetched when it is first needed
            left_out += 1
            continue
        assert done.returncode == 0, line + "\n" + done.stdout + done.stderr
    assert (work / "v1.csv").read_bytes() == (work / "data" / "data.csv").read_bytes()
    assert (work / "profile.html").read_text().count("<svg") > 1
    assert len(list((tmp_path / "store" / "files" / "md5").rglob("*.dir"))) == 1
    if left_out:
        pytest.skip("all but the query was followed: libduckdb is not here")
