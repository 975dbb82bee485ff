# SPDX-License-Identifier: Apache-2.0
"""The counting of tools/run-tests: nothing that went wrong may be counted as passed, or not at all."""

import importlib.machinery
import importlib.util
import pathlib
import sys

import pytest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools" / "run-tests"


@pytest.fixture
def tool(tmp_path):
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader("run_tests", str(TOOL))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_tests", loader))
    loader.exec_module(module)
    module.LOGS = tmp_path / "logs"
    return module


XML = """<?xml version="1.0" encoding="UTF-8" ?>
<testsuites><testsuite name="tests" time="0.1" tests="3" failures="1" errors="0" skipped="1">
<testcase name="good" time="0.0" ></testcase>
<testcase name="bad" time="0.0" ><failure><![CDATA[0x1 != 0x2]]></failure></testcase>
<testcase name="later" time="0.0" ><skipped/></testcase>
</testsuite></testsuites>"""


def unit(tool, tmp_path, script, name="base/test_x"):
    program = tmp_path / "program"
    program.write_text("#!/bin/bash\n" + script)
    program.chmod(0o755)
    return tool.run_unit({"name": name, "cmd": [str(program)], "env": {}}, tmp_path, {})


def test_each_case_of_a_unit_test_counts(tool, tmp_path):
    name, cases = unit(tool, tmp_path, f"cat >${{CMOCKA_XML_FILE/\\%g/x}} <<'E'\n{XML}\nE\nexit 1\n")
    assert name == "base/test_x"
    assert [(case, state) for case, state, _ in cases] == [("good", "passed"), ("bad", "failed"), ("later", "skipped")]
    assert "0x1 != 0x2" in cases[1][2]


def test_a_leak_at_exit_fails_although_every_case_passed(tool, tmp_path):
    good = XML.replace("<failure><![CDATA[0x1 != 0x2]]></failure>", "")
    _, cases = unit(tool, tmp_path, f"cat >${{CMOCKA_XML_FILE/\\%g/x}} <<'E'\n{good}\nE\necho ERROR: leak; exit 99\n")
    assert ("(whole)", "failed", "exit 99: ERROR: leak") in cases


@pytest.mark.parametrize("script,state", [("exit 0", "passed"), ("exit 3", "failed"), ("echo no network; exit 77", "skipped"),
                                          ("kill -SEGV $$", "failed")])
def test_a_program_without_cases_counts_once(tool, tmp_path, script, state):
    _, cases = unit(tool, tmp_path, script)
    assert [c[1] for c in cases] == [state]


def test_a_broken_report_is_a_failure(tool, tmp_path):
    _, cases = unit(tool, tmp_path, "echo '<testsuites>' >${CMOCKA_XML_FILE/\\%g/x}; exit 0")
    assert [c[1] for c in cases] == ["failed"]


def test_a_program_that_hangs_is_a_failure(tool, tmp_path):
    tool.UNIT_TIMEOUT_S = 0.2
    _, cases = unit(tool, tmp_path, "exec sleep 60")
    assert cases[-1] == ("(whole)", "failed", "ran out of time")


def test_a_sanitizer_report_of_any_process_is_a_failure(tool, tmp_path):
    results = tool.Results()
    env = tool.sanitizer_env(tmp_path)
    assert f"log_path={tmp_path}/sanitizer/report" in env["ASAN_OPTIONS"]
    (tmp_path / "sanitizer/report.16").touch()  # killed before it wrote
    (tmp_path / "sanitizer/report.17").write_text("==17==ERROR\nSUMMARY: AddressSanitizer: heap-use-after-free a.c:3\n")
    tool.sanitizer_reports(results, "asan", tmp_path)
    assert results.counts() == (0, 1, 0)
    assert "heap-use-after-free" in results.failed[0][2]


def test_pytest_cases_count_and_a_crash_of_pytest_too(tool, tmp_path):
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_a.py").write_text("import pytest\ndef test_a(): pass\ndef test_b(): assert 0\n"
                                     "def test_c(): pytest.skip('not here')\n")
    tool.ROOT = tmp_path
    results = tool.Results()
    tool.pytest("/usr/bin/python3", ["tests"], "build", results, "s", tmp_path, "one")
    assert results.counts() == (1, 1, 1)
    assert "not here" in results.skipped[0][2]
    (tests / "test_a.py").write_text("import nothing_of_this_name\n")
    results = tool.Results()
    tool.pytest("/usr/bin/python3", ["tests"], "build", results, "s", tmp_path, "two")
    assert results.counts()[0] == 0 and results.counts()[1] >= 1
    results = tool.Results()
    tool.pytest("/usr/bin/python3", ["tests"], "build", results, "s", tmp_path, "three", extra=["--no-such-option"])
    assert results.counts() == (0, 1, 0)


def test_no_python_environment_means_counted_skips_with_the_reason(tool, tmp_path):
    (tmp_path / "tests/interop").mkdir(parents=True)
    (tmp_path / "tests/interop/test_mlflow.py").write_text("")
    (tmp_path / ".setup").mkdir()
    (tmp_path / ".setup/no-venv").write_text("the index is away\n")
    tool.ROOT = tmp_path
    results = tool.Results()
    tool.interop("build", results, "release", tmp_path)
    assert results.skipped == [("release", "tests/interop/test_mlflow.py", "the index is away")]


def test_each_client_is_a_process_of_its_own_and_all_are_counted(tool, tmp_path):
    """A folder, files, and one that is not wanted."""
    for name in ("mlflow/test_a", "mlflow/test_b", "serving/test_c", "test_d", "test_e"):
        path = tmp_path / f"tests/interop/{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("import os, pathlib\ndef test_it():\n    pathlib.Path(os.environ['SEEN'], str(os.getpid())).touch()\n" +
                        ("    assert False\n" if name == "serving/test_c" else ""))
    for venv in (".venv", ".venv-serving"):
        (tmp_path / venv / "bin").mkdir(parents=True)
        (tmp_path / venv / "bin" / "python").symlink_to(sys.executable)
        (tmp_path / venv / ".stamp").touch()
    (tmp_path / "seen").mkdir()
    tool.ROOT = tmp_path
    results = tool.Results()
    tool.interop("build", results, "release", tmp_path, {"SEEN": str(tmp_path / "seen")}, lambda path: path != "test_e.py")
    assert results.passed == 3 and [name for _, name, _ in results.failed] == ["tests.interop.serving.test_c::test_it"]
    assert len(list((tmp_path / "seen").iterdir())) == 3


@pytest.mark.parametrize("states,code,line", [
    (["passed", "passed"], 0, "2 passed, 0 failed, 0 skipped"), (["passed", "failed", "skipped"], 1, "1 passed, 1 failed, 1 skipped"),
    (["skipped"], 1, "0 passed, 0 failed, 1 skipped"), ([], 1, "0 passed, 0 failed, 0 skipped"),
])
def test_the_last_line_and_the_exit_code(tool, capsys, states, code, line):
    def stage(results, name, folder):
        """made up"""
        assert folder.is_dir()
        for state in states:
            results.add(name, "x", state, "why")
    tool.STAGES, tool.MORE_STAGES = {"one": stage}, {}
    assert tool.main([]) == code
    assert capsys.readouterr().out.splitlines()[-1] == line


def test_all_adds_stages(tool, capsys):
    ran = []

    def stage(results, name, folder):
        """made up"""
        ran.append(name)
        results.add(name, "x", "passed")
    tool.STAGES, tool.MORE_STAGES = {"one": stage}, {"two": stage}
    tool.main([])
    assert ran == ["one"]
    tool.main(["--all"])
    assert ran == ["one", "one", "two"]
    assert tool.main(["three"]) == 2
    assert "two: made up (only with --all)" in (tool.main(["--list"]), capsys.readouterr().out)[1]
