# SPDX-License-Identifier: Apache-2.0
"""The command line as a newcomer meets it: help everywhere, exit codes, errors with a hint, JSON."""

import json
import pathlib
import re
import subprocess
import sys

import pytest

import support

ROOT = pathlib.Path(__file__).resolve().parents[2]


def commands():
    text = support.run_gyre("-h", cwd="/").stdout
    return [line.split("  ")[1].strip().split() for line in text.splitlines() if re.match(r"^  [a-z]", line)]


def test_overview_lists_commands():
    listed = [" ".join(c) for c in commands()]
    for wanted in ("init", "version", "server", "demo", "data ingest", "train", "run", "gate check", "endpoint deploy", "trace"):
        assert wanted in listed


@pytest.mark.parametrize("words", [pytest.param(c, id=" ".join(c)) for c in commands()])
def test_every_command_has_help_with_an_example(words):
    done = support.run_gyre(*words, "-h", cwd="/")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: gyre {' '.join(words)}")
    assert "examples:\n  gyre " in done.stdout or "examples:\n  MLFLOW" in done.stdout


@pytest.mark.parametrize("words, says", [
    (["nonsense"], "no such command: nonsense"),
    (["data"], "needs a verb"),
    (["data", "nonsense"], "no such command: data nonsense"),
    (["version", "--nonsense"], "no such option: --nonsense"),
    (["version", "surplus"], "one argument too many"),
    (["init", "--template", "nonsense", "x"], "no template named 'nonsense'"),
    (["demo", "nonsense"], "no demo named 'nonsense'"),
    (["trace"], "needs"),
    (["--json", "version"], "--json before the command"),
    (["evaluate", "m", "t", "--threads", "99999999999"], "--threads takes 1 to 256"),
    (["evaluate", "m", "t", "--replicates", "1000000000"], "--replicates takes 0 to 100000"),
])
def test_usage_errors_exit_2_with_a_hint(words, says, tmp_path):
    done = support.run_gyre(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr and "hint: " in done.stderr
    assert done.stdout == ""


def test_an_empty_server_variable_is_no_server(tmp_path):
    """Jobs have GYRE_SERVER empty: backtest, replay and review link took that for a server elsewhere."""
    assert support.run_gyre("init", cwd=tmp_path).returncode == 0
    done = support.run_gyre("backtest", "--model", "m/1", cwd=tmp_path, env={"GYRE_SERVER": ""})
    assert done.returncode == 4 and "no endpoint is served" in done.stderr


def test_version_as_text_and_json():
    text = support.run_gyre("version", cwd="/").stdout
    value = json.loads(support.run_gyre("version", "--json", cwd="/").stdout)
    assert text == f"gyre {value['version']}\n"


def test_errors_as_json_too(tmp_path):
    done = support.run_gyre("trace", "00000000-0000-7000-8000-000000000000", "--json", cwd=tmp_path)
    assert done.returncode == 4
    assert json.loads(done.stdout)["error"]["code"] == "NOTFOUND"


@pytest.mark.parametrize("words", [["data", "list", "--nonsense"], ["data", "list", "name", "surplus"], ["data", "show", ""]])
def test_usage_errors_as_json_wherever_it_is_asked_for(words, tmp_path):
    done = support.run_gyre(*words, "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "USAGE"


def test_a_long_message_is_still_json(tmp_path):
    done = support.run_gyre("data", "schema", "infer", "\x01" * 600, "--json", cwd=tmp_path)
    assert "error" in json.loads(done.stdout)


def test_version_as_others_spell_it():
    assert support.run_gyre("--version", cwd="/").stdout == support.run_gyre("version", cwd="/").stdout


def test_init_never_overwrites(tmp_path):
    assert support.run_gyre("init", "--template", "sepsis", cwd=tmp_path).returncode == 0
    before = (tmp_path / "gyre.yaml").read_bytes()
    (tmp_path / "gyre.yaml").write_bytes(before + b"# mine\n")
    (tmp_path / "params.yaml").unlink()
    again = support.run_gyre("init", "--template", "sepsis", cwd=tmp_path)
    assert again.returncode == 5 and "is there already" in again.stderr
    assert (tmp_path / "gyre.yaml").read_bytes() == before + b"# mine\n"
    assert not (tmp_path / "params.yaml").exists()


def test_a_template_is_the_example_of_the_source_tree(tmp_path):
    assert support.run_gyre("init", "--template", "sepsis", cwd=tmp_path).returncode == 0
    for file in (ROOT / "examples/sepsis").iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()


def test_a_closed_stdout_is_an_error_not_a_crash():
    done = subprocess.run(f"'{support.BIN}' -h >/dev/full", shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 11 and "could not be written" in done.stderr


def test_a_reader_that_has_enough_is_no_news():
    """The overview is longer than a buffer: the write that fails is not the last one."""
    done = subprocess.run(f"'{support.BIN}' -h | true", shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_errors_document_is_the_table():
    made = subprocess.run([sys.executable, ROOT / "tools/errors-doc"], capture_output=True, text=True, check=True).stdout
    assert made == (ROOT / "docs/errors.md").read_text()
