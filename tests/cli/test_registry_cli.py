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


def test_diff(project):
    made = support.run_json("train", "patients.csv", "--target", "isSepsis", "--learner", "majority", "--register", "sepsis",
                            cwd=project)
    newest = f"sepsis/{made['version']}"
    diff = support.run_json("models", "diff", "sepsis/1", newest, cwd=project)
    assert (diff["a"], diff["b"], diff["same"]) == ("sepsis/1", newest, False)
    rows = {s["section"]: {r["key"]: r for r in s["rows"]} for s in diff["sections"]}
    assert list(rows) == ["model", "usecase", "code", "data", "columns", "features", "learner", "params", "metrics",
                          "signature", "files"]
    assert rows["data"] == {} and rows["code"].keys() <= {"revision", "patch_sha256"}
    learner = rows["learner"]["learner"]
    assert (learner["change"], learner["a"], learner["b"]) == ("changed", "logistic", "majority")
    recall = rows["metrics"]["recall"]
    assert recall["a"]["low"] <= recall["a"]["value"] <= recall["a"]["high"]
    assert recall["difference"] == recall["b"]["value"] - recall["a"]["value"] and recall["overlap"] is False
    assert rows["files"]["model.json"]["change"] == "changed"
    text = support.run_gyre("models", "diff", "sepsis/1", newest, cwd=project).stdout
    assert "intervals apart" in text and "majority" in text
    same = support.run_json("models", "diff", "sepsis/1", "sepsis/1", cwd=project)
    assert same["same"] and "no differences" in support.run_gyre("models", "diff", "sepsis/1", "sepsis/1", cwd=project).stdout
    # A run beside the version that came of it: the same package.
    run = support.run_json("models", "show", "sepsis/1", cwd=project)["run_id"]
    beside = support.run_json("models", "diff", f"run:{run}", "sepsis/1", cwd=project)
    changed = {s["section"] for s in beside["sections"] if s["changed"]}
    assert beside["a"] == f"run:{run}" and changed <= {"model", "usecase"}
    refused(project, "models", "diff", "sepsis/1", "sepsis/99", says="not found", code=4)
    refused(project, "models", "diff", "sepsis/1", "run:nobody", says="not found", code=4)


def test_cards(project):
    fresh = support.run_json("models", "card", "sepsis/1", cwd=project)
    assert (fresh["number"], fresh["stated"], fresh["saved"]) == (0, {}, None)
    assert fresh["sections"]["metrics"]["recall"]["rows"] > 0 and len(fresh["profile"]["columns"]) == 8
    assert fresh["package_limits"] and fresh["inputs"][0]["name"] == "HR"
    one = support.run_json("models", "card", "sepsis/1", "--set", "owner=Dr. A. Weber", "--set", "intended_use=ward <b>3</b>",
                           "--set", "limits=no children", "--set", "limits=no ICU", "--reason", "first", cwd=project)
    assert one["number"] == 1 and one["saved_by"] == ME
    assert one["stated"] == {"intended_use": "ward <b>3</b>", "owner": "Dr. A. Weber", "limits": ["no children", "no ICU"]}
    two = support.run_json("models", "card", "sepsis/1", "--set", "owner=", "--set", "risk_class=high", cwd=project)
    assert two["number"] == 2 and "owner" not in two["stated"] and two["stated"]["risk_class"] == "high"
    # What was saved stays what it was.
    assert support.run_json("models", "card", "sepsis/1", "--version", "1", cwd=project) == one
    (project / "card.yaml").write_text("owner: Ben\ncontacts: [a@b]\nnotes: |\n  two\n  lines\n")
    three = support.run_json("models", "card", "sepsis/1", "--file", "card.yaml", cwd=project)
    assert three["stated"] == {"owner": "Ben", "notes": "two\nlines\n", "contacts": ["a@b"]}
    (project / "card.yaml").unlink()
    cards = support.run_json("models", "card", "sepsis/1", "--history", cwd=project)["cards"]
    assert [(c["number"], c["reason"]) for c in cards] == [(3, None), (2, None), (1, "first")]
    diff = support.run_json("models", "card", "sepsis/1", "--diff", "1:3", cwd=project)
    stated = {r["key"]: r["change"] for r in diff["sections"][0]["rows"]}
    assert stated == {"owner": "changed", "notes": "added", "contacts": "added", "intended_use": "removed",
                      "limits": "removed"}
    shown = support.run_gyre("models", "card", "sepsis/1", "--version", "1", "--html", "card.html", cwd=project).stdout
    assert "Dr. A. Weber" in shown and "no ICU" in shown
    page = (project / "card.html").read_text()
    (project / "card.html").unlink()
    assert "ward &lt;b&gt;3&lt;/b&gt;" in page and "<b>3" not in page and "no children" in page and "recall" in page
    assert "http://" not in page.replace("http://www.w3.org", "") and "<script" not in page
    edited = support.run_gyre("models", "card", "sepsis/1", "--edit", "--json", cwd=project,
                              env={"EDITOR": "sed -i s/Ben/Ann/"})
    assert edited.returncode == 0, edited.stderr
    assert json.loads(edited.stdout)["stated"] == {"owner": "Ann", "notes": "two\nlines", "contacts": ["a@b"]}
    failed = support.run_gyre("models", "card", "sepsis/1", "--edit", cwd=project, env={"EDITOR": "false"})
    assert failed.returncode != 0 and "nothing was saved" in failed.stderr
    assert support.run_json("models", "card", "sepsis/1", "--save", cwd=project)["number"] == 5


@pytest.mark.parametrize("args, says", [
    (("--set", "ownr=x"), "did you mean 'owner'"),
    (("--set", "owner"), "want key=value"),
    (("--set", "owner=a", "--set", "owner=b"), "set twice"),
    (("--set", "owner=a", "--history"), "one of"),
    (("--version", "99"), "has no version 99"),
    (("--diff", "x"), "two numbers"),
    (("--diff", "99:98"), "has no version 99"),
])
def test_mistakes_on_cards(project, args, says):
    before = support.run_json("models", "card", "sepsis/2", "--history", cwd=project)
    refused(project, "models", "card", "sepsis/2", *args, says=says)
    assert support.run_json("models", "card", "sepsis/2", "--history", cwd=project) == before


def test_the_report_of_use_cases(project):
    """One that is reached, one that is missed, one whose metric nobody measures, one without a model."""
    support.run_json("train", "patients.csv", "--target", "isSepsis", "--learner", "logistic", "--register", "other", cwd=project)
    for name, model, metric in (("reached", "sepsis", "{name: recall, min: 0.01}"), ("missed", "other", "{name: auc, max: 0.1}"),
                                ("empty", None, "{name: auc, min: 0.1}")):
        text = USECASE.replace("ward-alerts", name).replace("{name: recall, min: 0.8}", metric)
        (project / "u.yaml").write_text(text)
        support.run_json("usecase", "apply", "u.yaml", cwd=project)
        if model:
            support.run_json("usecase", "attach", name, model, cwd=project)
            support.run_json("models", "promote", f"{model}/1", "--alias", "live", cwd=project)
    (project / "u.yaml").unlink()
    report = support.run_json("usecase", "report", "--alias", "live", "--html", "report.html", cwd=project)
    rows = {r["usecase"]: r for r in report["rows"]}
    assert {name: rows[name]["result"] for name in ("reached", "missed", "empty")} == \
        {"reached": "reached", "missed": "missed", "empty": "no model"}
    assert rows["reached"]["version"] == 1 and rows["reached"]["low"] <= rows["reached"]["value"]
    page = (project / "report.html").read_text()
    (project / "report.html").unlink()
    assert "reached" in page and "other/1" in page
    assert support.run_json("usecase", "report", "missed", cwd=project)["rows"][0]["result"] == "no version"
    assert "missed" in support.run_gyre("usecase", "report", "missed", "--alias", "live", cwd=project).stdout
    refused(project, "usecase", "report", "nobody", says="no use case 'nobody'", code=4)
