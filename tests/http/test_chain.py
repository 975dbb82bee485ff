# SPDX-License-Identifier: Apache-2.0
"""A chain of models: it answers as its parts do when one's answers are passed on to the next by hand, in every protocol, whatever becomes of the parts."""

import csv
import json
import random
import struct

import pytest
import serving
import support
from serving import API, MLFLOW, must, outputs, request

PARAMS = "seed: 1\ntrain: {learner: xgboost, steps: [onehot], xgboost: {rounds: 10, depth: 3}}\n"
ROWS = [{"HR": 80, "Temp": 36.5, "ward": "er"}, {"HR": 130, "Temp": 40.1, "ward": "icu"}, {"HR": 101, "Temp": 38.4, "ward": "icu"},
        {"HR": 130, "Temp": None, "ward": "er"}, {"HR": None, "Temp": 40.5, "ward": None}, {"HR": 119.5, "Temp": 39.0, "ward": "elsewhere"}]


def table(path):
    rng = random.Random(1)
    with open(path, "w", newline="") as f:
        out = csv.writer(f)
        out.writerow(["HR", "Temp", "ward", "fever", "sick"])
        for _ in range(400):
            hr, temp, ward = rng.randrange(60, 140), round(rng.uniform(35, 41), 1), rng.choice(["er", "icu"])
            out.writerow([hr, temp, ward, "yes" if temp > 38.3 else "no", int(hr > 100 and temp > 38)])


@pytest.fixture(scope="module")
def world(server, tmp_path_factory):
    """`fever` and `sick`, of which the second has what the first predicts as a column, and `triage`, their chain; all are deployed."""
    folder = tmp_path_factory.mktemp("chain")
    table(folder / "t.csv")
    (folder / "params.yaml").write_text(PARAMS)

    def gyre(*args):
        return support.run_json(*args, "--server", server.url, cwd=folder)

    for target, features in (("fever", "Temp,ward"), ("sick", "HR,fever,ward")):
        gyre("train", "t.csv", "--target", target, "--features", features, "--params", "params.yaml", "--register", target, "-o", target)
    made = gyre("models", "chain", "triage", "fever@1", "sick/1")
    assert made["servable"] and (made["parts"], made["task"], made["inputs"], made["fed"]) == (2, "binary", 3, 1)
    gyre("models", "chain", "triage-o", "fever@1", "sick", "-o", "package")
    for name in ("fever", "sick", "triage"):
        serving.deploy(server, f"models:/{name}/1", name=name, project={}, columns=())
    server.folder, server.gyre = folder, gyre
    return server


def v1(server, model, rows):
    status, answer, _ = request(server, "POST", f"/v1/models/{model}:predict", {"instances": rows})
    assert status == 200, answer
    return answer["predictions"]


def tensors(rows, names=("HR", "Temp", "ward")):
    kinds = {"ward": "BYTES", "fever": "BYTES"}
    return {"inputs": [{"name": n, "shape": [len(rows)], "datatype": kinds.get(n, "FP64"), "data": [r[n] for r in rows]} for n in names]}


def v2(server, model, body):
    status, answer, _ = request(server, "POST", f"/v2/models/{model}/infer", body)
    assert status == 200, answer
    return outputs(answer)


def by_hand(server, rows):
    """What `sick` says of the rows with what `fever` says of them."""
    fever = v2(server, "fever", tensors(rows, ("Temp", "ward")))["prediction"]
    assert {"yes", "no"} == set(fever)
    fed = [{**row, "fever": said} for row, said in zip(rows, fever)]
    return fed, v2(server, "sick", tensors(fed, ("HR", "fever", "ward")))


def test_answers_are_those_of_the_parts_in_every_protocol(world):
    fed, want = by_hand(world, ROWS)
    assert len(set(want["probability"])) > 2
    assert v2(world, "triage", tensors(ROWS)) == want
    assert v1(world, "triage", ROWS) == v1(world, "sick", [{k: v for k, v in row.items() if k != "Temp"} for row in fed])
    many = [dict(ROWS[i % len(ROWS)], HR=60 + i % 90) for i in range(300)]  # more than a block at once
    whole = [row for row in many if None not in row.values()]
    _, want = by_hand(world, whole)
    raw = b"".join(struct.pack(f"<{len(whole)}d", *(row[n] for row in whole)) for n in ("HR", "Temp"))
    wards = b"".join(struct.pack("<I", len(row["ward"])) + row["ward"].encode() for row in whole)
    head = {"inputs": [{"name": n, "shape": [len(whole)], "datatype": kind, "parameters": {"binary_data_size": size}}
                       for n, kind, size in (("HR", "FP64", 8 * len(whole)), ("Temp", "FP64", 8 * len(whole)), ("ward", "BYTES", len(wards)))]}
    head = json.dumps(head).encode()
    status, answer, _ = request(world, "POST", "/v2/models/triage/infer", head + raw + wards,
                                {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"})
    assert status == 200 and outputs(answer) == want

    status, answer, _ = request(world, "POST", "/v2/models/triage/explain", tensors(ROWS[:1]))
    assert status == 501 and "not of a chain" in answer["error"]


def test_metadata_log_and_trace(world):
    status, about, _ = request(world, "GET", "/v2/models/triage")
    assert status == 200 and [i["name"] for i in about["inputs"]] == ["Temp", "ward", "HR"] and about["platform"] == "gyre_chain"
    status, answer, headers = request(world, "POST", "/v2/models/triage/infer", tensors(ROWS[1:2]))
    assert status == 200
    told = must(world, "GET", f"{API}/trace/{headers['Gyre-Prediction-Id']}")
    assert told["inputs"] == ROWS[1] and told["model"] == "triage"
    edges = {(e["from"], e["rel"], e["to"]) for e in told["lineage"]}
    assert {(f"model:{name}/1", "part", f"run:{told['run_id']}") for name in ("fever", "sick")} <= edges
    text = support.run_gyre("trace", headers["Gyre-Prediction-Id"], "--server", world.url, cwd=world.folder).stdout
    assert text.count("  part ") == 2 and "fever/1" in text and "sick/1" in text
    text = support.run_gyre("models", "show", "triage/1", "--server", world.url, cwd=world.folder).stdout
    assert "part 1    fever, version 1" in text and "feed      fever of part 2 by prediction of part 1" in text


def test_tables_are_predicted_and_evaluated_as_requests_are(world):
    def predict(model, name, rows):
        with open(world.folder / name, "w", newline="") as f:
            out = csv.DictWriter(f, rows[0].keys())
            out.writeheader()
            out.writerows(rows)
        world.gyre("predict", model, name, "-o", f"{name}.out")
        return [(r["prediction"], r["probability"]) for r in csv.DictReader(open(world.folder / f"{name}.out"))]

    fed, want = by_hand(world, ROWS)
    assert predict("triage/1", "rows.csv", ROWS) == predict("sick/1", "fed.csv", fed)
    assert [float(p) for _, p in predict("package", "rows.csv", ROWS)] == want["probability"]
    # both parts held the same rows out: so did the chain
    told = world.gyre("evaluate", "triage/1", "t.csv")
    assert told["rows"] == world.gyre("evaluate", "sick/1", "t.csv")["rows"] < 400


def test_it_is_unloaded_and_loaded_again(world, tmp_path):
    folders = [world.folder / "package", world.folder / "sick"]
    fed, want = by_hand(world, ROWS)

    def gauge(server, name):
        lines = request(server, "GET", "/metrics")[1].decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"gyre_{name} "))

    alone = support.Server(tmp_path / "alone", folders, verb=("serve",)).start()
    taken = int(gauge(alone, "model_bytes"))
    alone.stop()
    server = support.Server(tmp_path / "tight", ["--model-memory", taken - 1, *folders], verb=("serve",)).start()
    for _ in range(3):
        assert v2(server, "package", tensors(ROWS)) == want
        assert v2(server, "sick", tensors(fed, ("HR", "fever", "ward"))) == want
    assert gauge(server, "model_unloads_total") >= 2
    server.stop()


def test_what_does_not_fit_is_refused(world):
    def refused(says, *args):
        done = support.run_gyre("models", "chain", "n", *args, "--server", world.url, cwd=world.folder)
        assert done.returncode == 3 and says in done.stderr, done
        assert "n" not in {m["name"] for m in world.gyre("models", "list")["registered_models"]}

    refused("'sick' feeds no later part", "sick/1", "fever/1")
    refused("'fever' has no output 'label'", "fever/1", "sick/1", "--feed", "fever=fever.label")
    refused("input 'fever' takes texts", "fever/1", "sick/1", "--feed", "fever=1.probability")
    refused("a chain can not be part of a chain", "triage/1", "sick/1")
    refused("a chain has 2 to 8 parts, not 9", *["fever/1"] * 9)


def test_the_chain_outlives_its_parts(world):
    _, want = by_hand(world, ROWS)
    for name in ("fever", "sick"):
        must(world, "POST", f"{API}/endpoints/{name}/undeploy", {})
        must(world, "DELETE", f"{MLFLOW}/registered-models/delete", {"name": name})
    assert v2(world, "triage", tensors(ROWS)) == want
    world.stop()
    world.start()
    assert v2(world, "triage", tensors(ROWS)) == want
    status, answer, _ = request(world, "POST", "/invocations", {"dataframe_records": ROWS})  # it is the only endpoint now
    assert status == 200 and answer["predictions"] == want["prediction"]
    serving.deploy(world, "models:/triage/1", name="again", project={}, columns=())
    assert v2(world, "again", tensors(ROWS)) == want
