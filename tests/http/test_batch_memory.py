# SPDX-License-Identifier: Apache-2.0
"""What a request may ask for is bounded by how long it is: batches in every protocol, and bodies that say much and hold little.

docs/serving.md: besides its answer a request takes at most 20 times its length, whatever it says about rows. Peaks are the
kernel's (VmHWM, which writing 5 to clear_refs begins anew)."""

import array
import concurrent.futures
import functools
import json
import pathlib

import pytest

import serving
import support

MIB = 1024
ROWS, COLUMNS, WIDE, CLIENTS = 10_000, 20, 3_000, 3
JSON = {"Content-Type": "application/json"}
PER_BYTE = 20
SLACK = 24 * MIB  # what else a server does meanwhile, and what its allocator keeps


def package(n):
    names = [f"x{i}" for i in range(n)]
    model = {"format": "gyre.model/1", "task": "regression", "target": "y", "classes": [],
             "inputs": [{"name": x, "type": "float", "min": -1e9, "max": 1e9, "required": False} for x in names],
             "features": [{"impute": "constant", "fill": 0}] * n, "learner": {"name": "linear", "params": {}, "values": [1.0] * n + [0.0]}}
    return {"model.json": json.dumps(model), "MLmodel": "flavors:\n  gyre:\n    data: model.json\nmodel_uuid: 0123456789abcdef0123456789abcdef\n",
            "input_example.json": json.dumps({"columns": names, "data": [[1.0] * n]})}


@pytest.fixture(scope="module")
def served(server):
    for name, n in (("batch", COLUMNS), ("wide", WIDE)):
        version, _ = serving.register(server, name, package(n))
        serving.deploy(server, f"models:/{name}/{version}", name, {"default": name == "batch"}, columns=())
    return server


def kib(server, key):
    for line in pathlib.Path(f"/proc/{server.pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise AssertionError(key)


def peak(server, ask):
    """(what ask() gives, KiB that the server's memory grew over where it was)"""
    pathlib.Path(f"/proc/{server.pid}/clear_refs").write_text("5")
    before = kib(server, "VmRSS")
    answer = ask()
    return answer, kib(server, "VmHWM") - before


def tensor(data, rows=ROWS, columns=COLUMNS, name="x"):
    return {"name": name, "shape": [rows, columns], "datatype": "FP64", "data": data}


@functools.cache
def bodies():
    """The densest form of each protocol: two bytes a value, the longest for its length in a parser's tree."""
    rows = [[i % 10] * COLUMNS for i in range(ROWS)]
    flat = [x for row in rows for x in row]
    names = [f"x{i}" for i in range(COLUMNS)]

    def dense(what):
        return json.dumps(what, separators=(",", ":")).encode()

    raw = array.array("f", flat).tobytes()
    head = dense({"inputs": [{"name": "x", "shape": [ROWS, COLUMNS], "datatype": "FP32", "parameters": {"binary_data_size": len(raw)}}]})
    v2 = "/v2/models/batch/infer"
    return {"v2": (v2, dense({"inputs": [tensor(flat)]}), JSON),
            "v2 nested, with parameters": (v2, dense({"parameters": {"a": 1}, "inputs": [tensor(rows)]}), JSON),
            "v2 binary": (v2, head + raw, {"Inference-Header-Content-Length": str(len(head))}),
            "V1": ("/v1/models/batch:predict", dense({"instances": rows}), JSON),
            "Seldon": ("/api/v1.0/predictions", dense({"data": {"ndarray": rows}}), JSON),
            "MLflow": ("/invocations", dense({"dataframe_split": {"columns": names, "data": rows}}), JSON),
            "MLflow CSV": ("/invocations", "\n".join(",".join(map(str, row)) for row in [names, *rows]).encode(), {"Content-Type": "text/csv"})}


def predictions(answer):
    if "outputs" in answer:
        return serving.outputs(answer)["prediction"]
    return answer["predictions"] if "predictions" in answer else answer["meta"]["tags"]["predictions"]


@pytest.mark.parametrize("form", bodies())
def test_a_batch_takes_memory_by_its_length(served, form):
    path, body, headers = bodies()[form]

    def ask():
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            return list(pool.map(lambda _: serving.request(served, "POST", path, body, headers), range(CLIENTS)))

    answers, grown = peak(served, ask)
    for status, answer, _ in answers:
        assert status == 200, answer
        assert predictions(answer) == [i % 10 * COLUMNS for i in range(ROWS)]
    if not support.sanitized():
        assert grown < CLIENTS * PER_BYTE * len(body) / 1024 + SLACK


@functools.cache
def lies():
    """Small bodies that name rows without their values: with room for all columns they would take gigabytes."""
    ones = [1] * 100_000
    raw = b"\1" * 100_000
    head = json.dumps({"inputs": [{"name": "x0", "shape": [100_000], "datatype": "BOOL", "parameters": {"binary_data_size": len(raw)}}]}).encode()
    columns = {"name": "x0", "shape": [len(ones)], "datatype": "FP64", "data": ones}
    v2 = "/v2/models/wide/infer"
    return {"v2, a column": (v2, json.dumps({"inputs": [columns]}), JSON),
            "v2, a column of a small body": (v2, json.dumps({"inputs": [{**columns, "shape": [9_000], "data": [1] * 9_000}]}), JSON),
            "v2, general": (v2, json.dumps({"parameters": {"a": 1}, "inputs": [columns]}), JSON),
            "v2 binary": (v2, head + raw, {"Inference-Header-Content-Length": str(len(head))}),
            "V1, empty rows": ("/v1/models/wide:predict", json.dumps({"instances": [{}] * 100_000}), JSON),
            "V1, empty rows of a small body": ("/v1/models/wide:predict", json.dumps({"instances": [{}] * 5_000}), JSON),
            "V1, a column": ("/v1/models/wide:predict", json.dumps({"inputs": {"x0": ones}}), JSON),
            "MLflow CSV, a column": ("/endpoints/wide/invocations", "x0\n" + "1\n" * 100_000, {"Content-Type": "text/csv"})}


@pytest.mark.parametrize("form", lies())
def test_rows_without_values_take_no_memory(served, form):
    path, body, headers = lies()[form]
    (status, answer, _), grown = peak(served, lambda: serving.request(served, "POST", path, body, headers))
    assert status in (400, 413), answer
    if not support.sanitized():
        assert grown < PER_BYTE * len(body) / 1024 + SLACK
