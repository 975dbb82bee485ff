# SPDX-License-Identifier: Apache-2.0
"""The dataset registry on the command line: versions, tags, exact bytes of any older version, lineage, deletion, workspaces."""

import hashlib
import json

import pytest

import support

SCHEMA = """\
columns:
  - {name: id, type: int, required: true, unique: true, role: id}
  - {name: HR, type: int, min: 20, max: 300, required: true}
  - {name: note, type: string}
"""


def table(n, start=1, extra=""):
    return "id,HR,note\n" + "".join(f'{i},{60 + i % 90},"a, ""{i}""{extra}"\n' for i in range(start, start + n))


@pytest.fixture
def home(tmp_path):
    """A folder with a schema; run(...) and told(...) work in it, told gives the --json answer."""
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    return tmp_path


def told(home, *args, **kwargs):
    return support.run_json(*args, cwd=home, **kwargs)


def fails(home, code, *args, **kwargs):
    done = support.run_gyre(*args, cwd=home, **kwargs)
    assert done.returncode == code, (args, done.returncode, done.stdout, done.stderr)
    return done.stderr


def ingest(home, text, name="vitals", **kwargs):
    (home / f"{name}.csv").write_text(text)
    return told(home, "data", "ingest", f"{name}.csv", "-o", "out", **kwargs)


def versions(home, name="vitals"):
    return {v["version"]: v for v in told(home, "data", "list", name)["versions"]}


def test_any_older_version_is_given_back_byte_for_byte(home):
    kept = {}
    for n, text in enumerate([table(10), table(11), table(500, extra="\u00e4\u2028"), table(3)], 1):
        answer = ingest(home, text)
        assert (answer["version"], answer["new"]) == (n, True)
        kept[n] = (home / "out" / "data.csv").read_bytes()
    told(home, "data", "tag", "vitals@2", "v1.0")
    told(home, "data", "tag", "vitals@3", "gold")
    for ref, n in [("vitals@1", 1), ("vitals@v1.0", 2), ("vitals@v2", 2), ("vitals@gold", 3), ("vitals", 4), ("vitals@latest", 4)]:
        answer = told(home, "data", "checkout", ref, "-o", "back/there.csv")
        assert answer["version"] == n
        assert (home / "back" / "there.csv").read_bytes() == kept[n], ref
        assert answer["sha256"] == hashlib.sha256(kept[n]).hexdigest() and answer["md5"] == hashlib.md5(kept[n]).hexdigest()
    assert {v: found["tags"] for v, found in versions(home).items()} == {1: [], 2: ["v1.0"], 3: ["gold"], 4: []}


def test_the_same_bytes_are_the_same_version(home):
    assert ingest(home, table(5))["version"] == 1
    again = ingest(home, table(5))
    assert (again["version"], again["new"]) == (1, False)
    assert ingest(home, table(6))["version"] == 2
    back = ingest(home, table(5))
    assert (back["version"], back["new"]) == (1, False)
    assert list(versions(home)) == [1, 2]


def test_a_tag_names_one_version_and_moves_only_by_force(home):
    for n in (3, 4, 5):
        ingest(home, table(n))
    assert told(home, "data", "tag", "vitals@1", "v1.0") == {"name": "vitals", "tag": "v1.0", "version": 1, "from": None}
    assert told(home, "data", "tag", "vitals@v1.0", "v1.0")["version"] == 1  # where it is: nothing happens
    said = fails(home, 6, "data", "tag", "vitals@2", "v1.0")
    assert "names version 1" in said and "--force" in said
    assert versions(home)[1]["tags"] == ["v1.0"]
    moved = told(home, "data", "tag", "vitals@2", "v1.0", "--force", "--reason", "1 was wrong")
    assert (moved["version"], moved["from"]) == (2, 1)
    told(home, "data", "tag", "vitals", "newest")
    assert versions(home)[3]["tags"] == ["newest"]
    told(home, "data", "untag", "vitals@newest")
    assert "no tag" in fails(home, 4, "data", "untag", "vitals@newest")
    assert "no version or tag 'newest'" in fails(home, 4, "data", "show", "vitals@newest")
    text = support.run_gyre("data", "show", "vitals@v1.0", cwd=home)
    assert text.returncode == 0 and "v1.0" in text.stdout


@pytest.mark.parametrize("tag", ["3", "v3", "latest", "", "a b", "a/b", "-x", ".x", "x" * 129, "\u00e4", "a@b", "a:b"])
def test_what_can_not_be_a_tag(home, tag):
    ingest(home, table(3))
    assert ("can not be a tag" if tag else "PUT") in fails(home, 3 if tag else 25, "data", "tag", "--", "vitals@1", tag)
    assert versions(home)[1]["tags"] == []


def test_a_tag_needs_a_version_that_is_there(home):
    assert "no dataset 'vitals'" in fails(home, 4, "data", "tag", "vitals", "v1.0")
    ingest(home, table(3))
    assert "no version or tag '2'" in fails(home, 4, "data", "tag", "vitals@2", "v1.0")


def test_what_is_said_of_a_dataset(home):
    ingest(home, table(3))
    assert "nothing is said" in support.run_gyre("data", "describe", "vitals", cwd=home).stdout
    told(home, "data", "describe", "vitals", "vital signs \u00e4")
    assert told(home, "data", "describe", "vitals")["description"] == "vital signs \u00e4"
    assert fails(home, 4, "data", "describe", "nothing", "x")


def test_deleting_tells_first_is_a_mark_and_gc_ends_it(home):
    for n in (3, 4):
        ingest(home, table(n))
    first = (home / ".gyre" / "objects")
    sha = versions(home)[1]["sha256"]
    plan = told(home, "data", "delete", "vitals@1")
    assert not plan["deleted"] and plan["used_by"] == [] and plan["rows"] == 3
    assert list(versions(home)) == [1, 2]
    assert told(home, "data", "delete", "vitals@1", "--yes")["deleted"]
    assert list(versions(home)) == [2]
    assert [v["version"] for v in told(home, "data", "list", "--deleted")["datasets"]] == [1]
    assert "no version or tag '1'" in fails(home, 4, "data", "checkout", "vitals@1", "-o", "x.csv")
    told(home, "data", "delete", "vitals@1", "--undo")
    assert list(versions(home)) == [1, 2]
    told(home, "data", "delete", "vitals@1", "--yes")
    told(home, "data", "delete", "vitals@2", "--yes")
    assert "no dataset" in fails(home, 4, "data", "show", "vitals")
    plan = told(home, "gc", "--older-than", "0s")
    assert plan["dataset_versions"] == 2 and plan["dataset_bytes"] > 0
    told(home, "gc", "--older-than", "0s", "--yes")
    assert told(home, "gc", "--older-than", "0s")["dataset_versions"] == 0
    assert (first / sha[:2] / sha[2:]).exists()  # young objects stay for the grace
    assert "gone" in fails(home, 6, "data", "delete", "vitals@1", "--undo")
    # A number never comes to mean other bytes; the same bytes are their version again.
    assert ingest(home, table(9))["version"] == 3
    assert (ingest(home, table(3))["version"], list(versions(home))) == (1, [1, 3])


def test_what_is_deleted_is_named_by_its_number(home):
    ingest(home, table(3))
    told(home, "data", "tag", "vitals", "gold")
    for ref in ("vitals", "vitals@gold", "vitals@latest"):
        assert "by its number" in fails(home, 2, "data", "delete", ref, "--yes")
    said = fails(home, 6, "data", "delete", "vitals@1", "--yes")
    assert "tag:gold" in said
    assert told(home, "data", "delete", "vitals@1", "--yes", "--force")["deleted"]
    assert told(home, "data", "list")["datasets"] == []


def test_what_a_model_was_trained_on_is_not_deleted(home):
    (home / "schema.yaml").write_text(SCHEMA + "  - {name: sick, type: int, values: [0, 1], required: true, role: label}\n")
    rows = "".join(f"{i},{60 + i % 90},,{int(i % 90 > 45)}\n" for i in range(1, 301))
    answer = ingest(home, "id,HR,note,sick\n" + rows)
    run = told(home, "train", "vitals@1", "--target", "sick", "--register", "sepsis", "--learner", "logistic", timeout=300)
    found = told(home, "data", "lineage", "vitals@1")
    run_node = f"run:{run['run_id']}"
    assert run_node in found["used_by"] and any(u.startswith("model:sepsis/") for u in found["used_by"])
    up = {(e["from"], e["to"]) for e in found["upstream"]}
    assert (f"file:{answer['source_sha256']}", f"data:{answer['sha256']}") in up
    assert (f"data:{answer['sha256']}", "dataset:vitals/1") in up
    assert any(e["from"] == f"data:{answer['sha256']}" and e["to"] == run_node for e in found["downstream"])
    text = support.run_gyre("data", "lineage", "vitals@1", cwd=home).stdout
    assert run_node in text and "comes from" in text
    assert run_node in json.dumps(told(home, "data", "delete", "vitals@1"))
    assert "is used by" in fails(home, 6, "data", "delete", "vitals@1", "--yes")
    assert list(versions(home)) == [1]


def test_workspaces_keep_their_datasets_apart(home):
    server = support.Server(home / "srv").start()
    try:
        env = {"GYRE_HOME": str(home / "srv")}
        told(home, "workspace", "create", "team-a", env=env)
        here = ingest(home, table(3), env=env)
        there = ingest(home, table(4), env={**env, "GYRE_WORKSPACE": "team-a"})
        assert (here["version"], there["version"]) == (1, 1) and here["sha256"] != there["sha256"]
        for workspace, want in (("default", here), ("team-a", there)):
            found = told(home, "data", "list", "--workspace", workspace, env=env)["datasets"]
            assert [v["sha256"] for v in found] == [want["sha256"]]
            told(home, "data", "checkout", "vitals@1", "-o", "got.csv", "--workspace", workspace, env=env)
            assert hashlib.sha256((home / "got.csv").read_bytes()).hexdigest() == want["sha256"]
        told(home, "data", "tag", "vitals@1", "v1.0", "--workspace", "team-a", env=env)
        assert told(home, "data", "list", env=env)["datasets"][0]["tags"] == []
    finally:
        server.stop()
        server.clean()


# ---- differences ---------------------------------------------------------------------------------------------------------------


def test_what_two_versions_differ_in(home):
    ingest(home, "id,HR,note\n1,60,a\n2,61,\"b\nc\"\n3,62,c\n4,63,d\n")
    (home / "schema.yaml").write_text(SCHEMA.replace("max: 300", "max: 400") + "  - {name: unit, type: string}\n")
    ingest(home, "note,id,HR,unit\nd,4,63,x\n\"b\nc\",2,99,y\nE,3,70,\nf,6,80,\n")
    found = told(home, "data", "diff", "vitals@1", "vitals@2")
    assert found["key"] == ["id"] and found["rows"] == {"added": 1, "removed": 1, "changed": 2, "same": 1}
    assert found["changed_by_column"] == {"HR": 2, "note": 1} and found["columns"] == {"added": ["unit"], "removed": []}
    assert found["added"] == [{"id": "6", "HR": "80", "note": "f", "unit": ""}] and [r["id"] for r in found["removed"]] == ["1"]
    assert [(c["before"]["HR"], c["after"]["HR"]) for c in found["changed"]] == [("61", "99"), ("62", "70")]
    assert {(c["column"], c["what"]) for c in found["schema"]} >= {("HR", "max"), ("unit", "column")}
    text = support.run_gyre("data", "diff", "vitals@1", "vitals@2", cwd=home).stdout
    assert "1 added, 1 removed, 2 changed, 1 the same" in text and "HR changed in 2 rows" in text
    assert told(home, "data", "diff", "vitals@1", "vitals@1")["rows"] == {"added": 0, "removed": 0, "changed": 0, "same": 4}
    told(home, "data", "tag", "vitals@1", "v1.0")
    assert told(home, "data", "diff", "vitals@v1.0", "vitals@latest", "--key", "note")["rows"]["same"] == 1
    fails(home, 4, "data", "diff", "vitals@1", "vitals@9")
    fails(home, 4, "data", "diff", "vitals@1", "vitals@2", "--key", "nothing")
    fails(home, 2, "data", "diff", "vitals@1", "vitals@2", "-n", "100000")


@pytest.mark.parametrize("key", [["k"], ["k", "l"], []], ids=["key", "two", "none"])
def test_differences_as_python_finds_them(home, key):
    """Random tables, keys that come several times, columns in another order, against a plain comparison."""
    import collections
    import random
    rng = random.Random(5)
    (home / "schema.yaml").write_text("columns:\n" + "".join(f"  - {{name: {c}, type: string}}\n" for c in ("k", "l", "a", "b")))

    def row():
        return (str(rng.randrange(40)), rng.choice("xy"), rng.choice(["", "1", "a,b", 'q"', "n\nl"]), rng.choice(["", "u", "v"]))

    def write(rows, order):
        quote = lambda v: '"' + v.replace('"', '""') + '"'  # noqa: E731
        return ",".join(order) + "\n" + "".join(",".join(quote(r["klab".index(c)]) for c in order) + "\n" for r in rows)

    before = [row() for _ in range(300)]
    after = [r if rng.random() < .7 else row() for r in before[20:]] + [row() for _ in range(30)]
    rng.shuffle(after)
    ingest(home, write(before, "klab"), "t")
    ingest(home, write(after, "bakl"), "t")
    args = ["--key", ",".join(key)] if key else []
    found = told(home, "data", "diff", "t@1", "t@2", "-n", "1000", *args)
    want = collections.Counter()
    groups = collections.defaultdict(lambda: (collections.Counter(), collections.Counter()))
    for side, rows in enumerate((before, after)):
        for r in rows:
            groups[tuple(r["kl".index(k)] for k in key) if key else r][side][r] += 1
    for a, b in groups.values():
        same, left, right = sum((a & b).values()), sum((a - b).values()), sum((b - a).values())
        want.update(same=same, changed=min(left, right), removed=left - min(left, right), added=right - min(left, right))
    assert found["rows"] == {k: want[k] for k in ("added", "removed", "changed", "same")}
    assert len(found["added"]) == want["added"] and len(found["changed"]) == want["changed"]
    assert all(c["before"] != c["after"] and all(c["before"][k] == c["after"][k] for k in key) for c in found["changed"])
    assert collections.Counter(tuple(r[c] for c in "klab") for r in found["removed"]) <= collections.Counter(before)
