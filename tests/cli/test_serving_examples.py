# SPDX-License-Identifier: Apache-2.0
"""The examples that `-h` of the serving commands shows: every command has some, and they run as they are written."""

import json
import re
import shlex

import pytest

import serving
import support

NOUNS = ["endpoint", "models", "log"]
ALONE = ["predict", "stream", "serve"]
# What an example needs beyond this test's server: another machine, a broker, a Python environment, a file of another program.
ELSEWHERE = re.compile(r"kafka://|10\.0\.0|example|^tail |http:8090|/opt/ml|models import|mlflow-artifacts|run:5f0c|models env|--follow|"
                       r"models:/fraud|gyre serve|--watch$")


def helped(*words):
    done = support.run_gyre(*words, "-h", cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout


def verbs(noun):
    return re.findall(rf"^  {noun} (\w+) ", helped(noun), re.M)


def examples(*words):
    text = helped(*words)
    assert "\nexamples:\n" in text, f"{' '.join(words)} -h shows no example"
    return [line.strip() for line in text.split("\nexamples:\n", 1)[1].splitlines() if line.strip()]


def test_every_command_shows_examples_with_options_that_it_has():
    for words in [(noun, verb) for noun in NOUNS for verb in verbs(noun)] + [(noun,) for noun in ALONE]:
        known = set(re.findall(r"--[a-z][a-z0-9-]*", helped(*words).split("\nexamples:\n")[0]))
        for line in examples(*words):
            assert f"gyre {' '.join(words)}" in line, line
            assert set(re.findall(r" (--[a-z][a-z0-9-]*)", line)) <= known, line


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A project beside a server with four versions of `sepsis`, the alias champion, and predictions in its log."""
    folder = tmp_path_factory.mktemp("examples")
    server = support.Server(folder / ".gyre").start()
    for intercept in (-9.0, -9.1, -9.2, -9.3):
        serving.register(server, files=serving.package(intercept))
    (folder / "gyre.yaml").write_text("name: demo\nendpoints:\n  sepsis: {model: 'models:/sepsis@champion'}\n")
    (folder / "patients.csv").write_text("HR,Resp,Temp\n104,22,38.9\n80,15,37\n")
    for package in ("models/challenger", "package"):
        (folder / package).mkdir(parents=True)
        for name, text in serving.package().items():
            (folder / package / name).write_text(text)
    (folder / "inbox").mkdir()
    (folder / "inbox" / "a.jsonl").write_text('{"HR": 104, "Resp": 22, "Temp": 38.9}\n')
    (folder / "data").mkdir()
    (folder / "data" / "new.csv").write_text("HR,Resp,Temp\n104,22,38.9\n80,15,37\n")
    for args in (["models", "promote", "sepsis/1", "--reason", "first"], ["models", "promote", "sepsis/2", "--reason", "better"],
                 ["endpoint", "deploy"], ["endpoint", "test", "sepsis", "--count", "3"]):
        done = support.run_gyre(*args, cwd=folder)
        assert done.returncode == 0, (args, done.stderr)
    yield folder
    server.stop()


# What must be so before an example is, in the words of others.
ADD = "gyre endpoint deploy sepsis --model models:/sepsis/4 --canary 10% --add"
BEFORE = {"gyre endpoint traffic sepsis --canary 50%": ["gyre endpoint traffic sepsis v4=off"],
          "gyre endpoint traffic sepsis v3=0.2 v4=0.3": [ADD],
          "gyre models card sepsis/3 --diff 1:2": ["gyre models card sepsis/3 --set owner='Dr. B. Weber'"],
          "gyre endpoint promote sepsis v4": ["gyre endpoint deploy sepsis --model models:/sepsis/1", ADD]}
# In the order in which one state leads to the next.
STEPS = ["endpoint list", "endpoint deploy", "endpoint traffic", "endpoint shadow", "endpoint promote", "endpoint rollback", "endpoint show",
         "endpoint history", "endpoint test", "predict", "log list", "log export", "models list", "models show", "models prove",
         "models promote", "models rollback", "models history", "models comment", "models diff", "models card", "models export",
         "stream", "endpoint undeploy"]


@pytest.mark.timeout(400)
def test_they_run_as_they_are_written(world):
    failed, ran = [], 0
    for line in (line for words in STEPS for line in examples(*words.split()) if not ELSEWHERE.search(line)):
        for one in [*BEFORE.get(line, []), line]:
            done = support.run_gyre(*shlex.split(one)[1:], cwd=world)
            if done.returncode != 0:
                failed.append((one, done.returncode, done.stderr))
        if "--json" in line and " -o " not in line:
            json.loads(done.stdout)
        ran += 1
    assert not failed
    assert ran >= 40
