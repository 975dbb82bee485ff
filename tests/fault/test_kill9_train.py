# SPDX-License-Identifier: Apache-2.0
"""kill -9 of `gyre train --register` after each of its requests in turn: there is no version or a whole one, and the same
command again with the same key ends with exactly one version, proven, and one finished run."""

import subprocess

import pytest
import requests
import serving
import support
from relay import Relay

KEY_TAG = "gyre.idempotency_key"


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "t.csv"
    rows = [f"{i},{i % 7},{i * i % 11},{int(i % 7 > 3)}" for i in range(300)]
    path.write_text("id,a,b,y\n" + "\n".join(rows) + "\n")
    (path.parent / "schema.yaml").write_text(
        "columns:\n- {name: id, type: int, role: id}\n- {name: a, type: int}\n- {name: b, type: int}\n"
        "- {name: y, type: int, values: [0, 1], role: label}\n")
    return path


def command(url, table, model, out, key="work"):
    return [str(support.BIN), "train", str(table), "--target", "y", "--learner", "majority", "--features", "a,b", "--register", model,
            "--experiment", model, "--idempotency-key", key, "--out", str(out), "--server", url, "--json"]


def versions_of(server, model):
    query = {"filter": f"name = '{model}'"}
    answer = requests.get(f"{server.url}{serving.MLFLOW}/model-versions/search", params=query, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json().get("model_versions", [])


def runs_of(server, model):
    found = requests.get(f"{server.url}{serving.MLFLOW}/experiments/get-by-name", params={"experiment_name": model}, timeout=30)
    if found.status_code == 404:
        return []
    body = {"experiment_ids": [found.json()["experiment"]["experiment_id"]]}
    return serving.must(server, "POST", serving.MLFLOW + "/runs/search", body).get("runs", [])


def is_whole(server, version):
    """All files are there and the digest was taken; the proof may come later."""
    mine = serving.must(server, "GET", f"{serving.API}/models/{version['name']}/versions/{version['version']}")
    names = {f["path"] for f in mine["files"]}
    return bool(mine["digest"]) and {"MLmodel", "model.json", "card.json", "metrics.json"} <= names


def test_a_kill_between_any_two_requests(server, table, tmp_path):
    relay = Relay(server.port)
    done = subprocess.run(command(relay.url, table, "whole", tmp_path / "whole"), env=support.clean_env(), capture_output=True,
                          check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    steps = list(relay.seen)
    kinds = [path.rsplit("/", 1)[-1] for _, path in steps]
    assert kinds.count("proof") == 1 and steps[kinds.index("create")][0] == "POST"
    outcomes = set()
    for last in range(1, len(steps) + 1):
        model = f"m{last}"
        relay.seen, relay.last = [], last
        with open(tmp_path / "out", "wb") as out:
            with relay.lock:        # no request is counted before the victim is known
                relay.victim = subprocess.Popen(command(relay.url, table, model, tmp_path / model), env=support.clean_env(),
                                                stdout=out, stderr=out)
            relay.victim.wait(60)
        assert relay.victim.returncode == -9, (tmp_path / "out").read_text()
        left = versions_of(server, model)
        assert len(left) <= 1 and all(is_whole(server, v) for v in left)
        outcomes.add(len(left))
        again = subprocess.run(command(server.url, table, model, tmp_path / model), env=support.clean_env(), capture_output=True,
                               check=False, timeout=60)
        assert again.returncode == 0, again.stderr
        versions = versions_of(server, model)
        assert [v["version"] for v in versions] == ["1"]
        proven = serving.must(server, "GET", f"{serving.API}/models/{model}/versions/1")
        assert proven["servable"] == "yes" and is_whole(server, versions[0])
        assert (f'"found":{"true" if left else "false"}').encode() in again.stdout.replace(b": ", b":")
        assert f'"digest":"{proven["digest"]}"'.encode() in again.stdout
        states = [r["info"]["status"] for r in runs_of(server, model)]
        assert states.count("FINISHED") == 1 and set(states) <= {"FINISHED", "KILLED"}, (steps[last - 1], states)
        finished = next(r for r in runs_of(server, model) if r["info"]["status"] == "FINISHED")
        assert versions[0]["run_id"] == finished["info"]["run_id"]
    assert outcomes == {0, 1}


def test_the_key_names_the_work_not_the_model(server, table, tmp_path):
    """The same work again finds its version; another key, other data or no key makes a new one."""
    def train(out, key="work", seed=0, rows=None):
        args = command(server.url, rows or table, "keyed", tmp_path / out, key) + ["--seed", str(seed)]
        done = subprocess.run(args, env=support.clean_env(), cwd=table.parent, capture_output=True, check=True, timeout=60, text=True)
        return serving.json.loads(done.stdout)

    first, again = train("a"), train("b")
    assert (first["version"], first["found"]) == (1, False)
    assert (again["version"], again["found"], again["run_id"], again["digest"]) == (1, True, first["run_id"], first["digest"])
    assert (tmp_path / "a" / "MLmodel").read_bytes() == (tmp_path / "b" / "MLmodel").read_bytes()
    assert train("c", key="other")["version"] == 2
    more = tmp_path / "more.csv"
    more.write_text(table.read_text() + "1000,1,1,0\n")
    (tmp_path / "schema.yaml").write_text((table.parent / "schema.yaml").read_text())
    assert train("d", rows=more)["version"] == 3
    tags = {t["key"] for v in versions_of(server, "keyed") for t in v["tags"]}
    assert KEY_TAG in tags


def test_a_stage_is_a_key(server, table, tmp_path):
    """Inside `gyre run` nobody needs to name one: the run and the stage do."""
    (tmp_path / "gyre.yaml").write_text("name: keyed\n")
    one = " ".join(command(server.url, table, "staged", "out", "")).replace("--idempotency-key  ", "").replace("--json", "")
    (tmp_path / "dvc.yaml").write_text(f"stages:\n  fit: {{cmd: ['{one}', '{one}'], outs: [out]}}\n")
    done = support.run_json("run", "--server", server.url, cwd=tmp_path)
    versions = versions_of(server, "staged")
    assert len(versions) == 1
    tags = {t["key"]: t["value"] for t in versions[0]["tags"]}
    assert tags["gyre.step"] == f"{done['run']}/fit" and "gyre.job" not in tags
    support.run_json("run", "--force", "--server", server.url, cwd=tmp_path)
    assert len(versions_of(server, "staged")) == 2
