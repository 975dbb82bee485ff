# SPDX-License-Identifier: Apache-2.0
"""The registry for operations on the command line, on a small project under git: use cases, comments, the patch of a dirty
tree, and a gate that asks where a version comes from."""

import getpass
import json
import shutil
import subprocess

import pytest
import support

ME = getpass.getuser()
GATE = "name: sepsis\ngate:\n  metrics: [{name: accuracy, min: 0.1, on: overall}]\n"
USECASE = """\
name: ward-alerts
owner: Dr. A. Weber
purpose: Point nurses at patients who may be septic.
success_metric: {name: recall, min: 0.8}   # on what is asked of the ward
risk_class: high
contacts: [sepsis@clinic.example]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A table, and the package of a logistic regression of it: sepsis/1, from a clean commit."""
    if not shutil.which("git"):
        pytest.skip("git is not here")
    folder = tmp_path_factory.mktemp("registry") / "p"
    folder.mkdir()
    done = support.run_gyre("data", "synth", "patients", "--rows", "1500", "--seed", "3", "-o", "patients.csv", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "schema.yaml").write_text((support.ROOT / "examples" / "sepsis" / "schema.yaml").read_text())
    (folder / "gyre.yaml").write_text(GATE)
    (folder / ".gitignore").write_text(".gyre/\npatients.csv\nclean/\n")
    (folder / "notes.txt").write_text("one\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "one")
    train(folder)
    return folder


def git(folder, *args):
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *args]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def train(folder):
    return support.run_json("train", "patients.csv", "--target", "isSepsis", "--learner", "logistic", "--register", "sepsis",
                            cwd=folder)


def check(folder, version, gate, code):
    (folder / "gyre.yaml").write_text(GATE + gate)
    try:
        done = support.run_gyre("gate", "check", f"sepsis/{version}", "--data", "patients.csv", "--replicates", "0",
                                "--json", cwd=folder)
    finally:
        (folder / "gyre.yaml").write_text(GATE)
    assert done.returncode == code, done.stderr + done.stdout
    return {c["kind"]: c for c in json.loads(done.stdout)["checks"]}


def refused(folder, *args, says, code=None):
    done = support.run_gyre(*args, cwd=folder)
    assert done.returncode != 0 and says in done.stderr, done.stderr + done.stdout
    assert code is None or done.returncode == code
    return done


def test_a_run_from_a_dirty_tree_can_be_made_again(project):
    head = git(project, "rev-parse", "HEAD")
    (project / "notes.txt").write_text("two\n")
    (project / "feature.py").write_text("x = 1\n")
    (project / "picture.bin").write_bytes(b"\0\1")
    dirty = train(project)
    shown = support.run_gyre("runs", "show", dirty["run_id"], cwd=project).stdout
    assert f"code {head}+dirty" in shown and "gyre runs patch" in shown
    patch = support.run_json("runs", "patch", dirty["run_id"], cwd=project)
    assert patch["code_revision"] == f"{head}+dirty" and "# binary: picture.bin sha256 " in patch["patch"]
    stored = support.run_gyre("runs", "patch", dirty["run_id"], "-o", "got.patch", cwd=project)
    assert stored.returncode == 0 and stored.stdout == ""
    text = (project / "got.patch").read_text()
    (project / "got.patch").unlink()
    assert text == patch["patch"]
    clean = project / "clean"
    git(project, "clone", "-q", str(project), str(clean))
    git(clean, "checkout", "-q", head)
    (clean / ".git" / "p").write_text(text)
    git(clean, "apply", ".git/p")
    assert (clean / "notes.txt").read_text() == "two\n" and (clean / "feature.py").read_text() == "x = 1\n"
    # The gate tells it from one that can be made again without.
    clean_check = check(project, 1, "  refuse: [dirty, unpinned]\n", 0)
    assert clean_check["clean"]["passed"] and clean_check["pinned"]["passed"]
    dirty_check = check(project, dirty["version"], "  refuse: [dirty, unpinned]\n", 18)
    assert dirty_check["clean"]["passed"] is False and "dirty" in dirty_check["clean"]["reason"]
    assert dirty_check["pinned"]["passed"]
    check(project, dirty["version"], "", 0)
    refused(project, "runs", "patch", support.run_json("models", "show", "sepsis/1", cwd=project)["run_id"],
            says="its tree was clean")
    for name in ("feature.py", "picture.bin"):
        (project / name).unlink()
    (project / "notes.txt").write_text("one\n")


def test_a_pipeline_keeps_the_tree_it_began_with(project):
    """The stage changes a tracked file before it trains: what is kept is what was there when the run began."""
    (project / "dvc.yaml").write_text(
        "stages:\n  fit:\n    cmd: >-\n      echo three > notes.txt &&\n      gyre train patients.csv --target isSepsis --learner "
        "logistic --out model --register sepsis\n    deps: [patients.csv]\n    outs: [model]\n")
    git(project, "add", "dvc.yaml")
    git(project, "commit", "-q", "-m", "pipeline")
    (project / "notes.txt").write_text("two\n")
    run = support.run_json("run", cwd=project)
    version = support.run_json("models", "show", "sepsis", cwd=project)["registered_model"]["latest_versions"][0]["version"]
    run_id = support.run_json("models", "show", f"sepsis/{version}", cwd=project)["run_id"]
    patch = support.run_json("runs", "patch", run_id, cwd=project)["patch"]
    assert "+two" in patch and "three" not in patch
    assert (project / ".gyre" / "runs" / run["run"] / "dirty.patch").read_text() == patch
    git(project, "checkout", "-q", "notes.txt")


def test_an_unversioned_run_is_unpinned(project, tmp_path):
    for name in ("patients.csv", "schema.yaml", "gyre.yaml"):
        shutil.copy(project / name, tmp_path / name)
    made = train(tmp_path)
    answer = check(tmp_path, made["version"], "  refuse: [unpinned, dirty]\n", 18)
    assert "no code revision" in answer["pinned"]["reason"]
    assert answer["clean"]["passed"] is None


def test_use_cases(project):
    (project / "usecase.yaml").write_text(USECASE)
    answer = check(project, 1, "  usecase: required\n", 18)
    assert "attached to no use case" in answer["usecase"]["reason"]
    applied = support.run_json("usecase", "apply", "usecase.yaml", cwd=project)
    assert (applied["state"], applied["number"], applied["actor"]) == ("draft", 1, ME)
    assert applied["spec"]["success_metric"] == {"name": "recall", "min": 0.8}
    assert support.run_json("usecase", "attach", "ward-alerts", "sepsis", cwd=project)["models"] == ["sepsis"]
    assert "is draft" in check(project, 1, "  usecase: required\n", 18)["usecase"]["reason"]
    refused(project, "usecase", "approve", "ward-alerts", says="can not become approved", code=6)
    assert support.run_json("usecase", "request", "ward-alerts", "--reason", "round in May", cwd=project)["state"] == "requested"
    assert support.run_json("usecase", "approve", "ward-alerts", cwd=project)["decided_by"] == ME
    assert check(project, 1, "  usecase: required\n", 0)["usecase"]["passed"]
    # The same file changes nothing; another text has to be approved anew, by another person where it says so.
    again = support.run_gyre("usecase", "apply", "usecase.yaml", cwd=project)
    assert "is approved" in again.stdout
    (project / "usecase.yaml").write_text(USECASE + "four_eyes: true\n")
    assert support.run_json("usecase", "apply", "usecase.yaml", cwd=project)["number"] == 2
    support.run_json("usecase", "request", "ward-alerts", cwd=project)
    refused(project, "usecase", "approve", "ward-alerts", says="four eyes")
    assert "rejected" in support.run_gyre("usecase", "reject", "ward-alerts", "--reason", "no", cwd=project).stdout
    shown = support.run_gyre("usecase", "show", "ward-alerts", cwd=project).stdout
    for word in ("Dr. A. Weber", "recall >= 0.8", "sepsis@clinic.example", "four eyes", "round in May", "attached"):
        assert word in shown
    actions = [c["action"] for c in support.run_json("usecase", "show", "ward-alerts", cwd=project)["changes"]]
    assert actions == ["rejected", "requested", "applied", "approved", "requested", "attached", "applied"]
    assert "ward-alerts" in support.run_gyre("usecase", "list", cwd=project).stdout
    assert support.run_json("usecase", "list", cwd=project)["usecases"][0]["models"] == ["sepsis"]
    assert support.run_json("usecase", "detach", "ward-alerts", "sepsis", cwd=project)["models"] == []
    refused(project, "usecase", "detach", "ward-alerts", "sepsis", says="not attached")
    assert support.run_json("usecase", "retire", "ward-alerts", cwd=project)["state"] == "retired"
    (project / "usecase.yaml").unlink()


@pytest.mark.parametrize("text, says", [
    ("name: x\n", "missing 'owner'"),
    (USECASE.replace("owner:", "ownr:"), "did you mean 'owner'"),
    ("- a\n", "a use case is a map"),
    ("name: [\n", "u.yaml:"),
    (USECASE.replace("min: 0.8", "minimum: 0.8"), "success_metric"),
    (USECASE.replace("ward-alerts", "ward alerts"), "no name of a use case"),
])
def test_a_bad_use_case_says_where(project, text, says):
    (project / "u.yaml").write_text(text)
    done = refused(project, "usecase", "apply", "u.yaml", says=says)
    assert "u.yaml" in done.stderr
    (project / "u.yaml").unlink()


def test_comments(project):
    run_id = support.run_json("models", "show", "sepsis/1", cwd=project)["run_id"]
    assert "no comments" in support.run_gyre("models", "comment", "sepsis/1", cwd=project).stdout
    made = support.run_json("models", "comment", "sepsis/1", "fewer alarms\nat night", cwd=project)
    assert (made["subject"], made["actor"], made["edited"]) == ("model:sepsis/1", ME, None)
    support.run_json("models", "comment", "models:/sepsis/1", "--edit", made["id"], "many alarms", cwd=project)
    assert "many alarms" in support.run_gyre("models", "show", "sepsis/1", cwd=project).stdout
    listed = support.run_gyre("models", "comment", "sepsis/1", "--history", cwd=project).stdout
    assert "(edited)" in listed and "fewer alarms" in listed and "1. " in listed
    support.run_json("runs", "comment", run_id, "a run", cwd=project)
    assert "a run" in support.run_gyre("runs", "show", run_id, cwd=project).stdout
    assert [c["text"] for c in support.run_json("runs", "comment", run_id, cwd=project)["comments"]] == ["a run"]
    gone = support.run_json("models", "comment", "sepsis/1", "--delete", made["id"], cwd=project)
    assert gone["text"] is None and gone["deleted_by"] == ME
    assert support.run_json("models", "comment", "sepsis/1", cwd=project)["comments"] == []
    assert "deleted by" in support.run_gyre("models", "comment", "sepsis/1", "--deleted", cwd=project).stdout
    refused(project, "models", "comment", "sepsis/99", "x", says="not found")
    refused(project, "models", "comment", "sepsis/1", "x", "--delete", made["id"], says="takes none", code=2)
    refused(project, "runs", "comment", "nobody", "x", says="not found")


def test_four_eyes_of_the_gate(project):
    check(project, 1, "  protect: [champion]\n  approval: {four_eyes: true}\n", 0)
    refused(project, "models", "promote", "sepsis/1", says="asks for an approval")
    asked = support.run_json("gate", "request", "sepsis/1", cwd=project)
    refused(project, "gate", "approve", asked["id"], says="wants another person", code=None)
    assert support.run_json("gate", "list", cwd=project)["approvals"][0]["state"] == "requested"
    check(project, 1, "  protect: [champion]\n  approval: required\n", 0)
    assert support.run_json("gate", "approve", asked["id"], cwd=project)["state"] == "approved"
    assert support.run_json("models", "promote", "sepsis/1", "--reason", "seen", cwd=project)["reason"] == "seen"
