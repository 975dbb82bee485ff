# SPDX-License-Identifier: Apache-2.0
"""Real clients of serving protocols against a real server.

    served        one server for the test file with three endpoints, made without training: `sepsis` (two classes, "0" and "1"),
                  `flowers` (three classes with names), `visits` (a number). served.add(name, files, project) serves another.

The clients live in a virtual environment of their own (tests/requirements-serving.txt); where one is not installed its tests
are skipped, and counted.
"""

import json

import pytest

import serving

INPUTS = ["HR", "Resp", "Temp"]


def package(task, classes=(), learner=None, inputs=INPUTS):
    """A package whose answers a test can compute: weights for each column, then an intercept."""
    columns = [{"name": name, "type": "float", "min": -1e9, "max": 1e9, "required": False} for name in inputs]
    model = {"format": "gyre.model/1", "task": task, "target": "answer", "inputs": columns,
             "features": [{"impute": "constant", "fill": 0} for _ in inputs], "learner": learner, "classes": list(classes)}
    if task == "binary":
        model["threshold"] = 0.5
    return {"model.json": json.dumps(model),
            "MLmodel": "flavors:\n  gyre:\n    data: model.json\nmodel_uuid: 0123456789abcdef0123456789abcdef\n",
            "input_example.json": json.dumps({"columns": list(inputs), "data": [[1.0] * len(inputs)]})}


SEPSIS = package("binary", ["0", "1"], {"name": "logistic", "params": {}, "values": [0.1, 0, 0, -9.0]})
FLOWERS = package("multiclass", ["setosa", "versicolor", "virginica"],
                  {"name": "logistic", "params": {}, "values": [1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0, 0]})
VISITS = package("regression", [], {"name": "linear", "params": {}, "values": [2.0, 3.0, 0.5, 1.0]})


class Served:
    """A running server; `url` and `address` ("127.0.0.1:port") are for clients."""

    package = staticmethod(package)

    def __init__(self, server):
        self.server, self.url, self.port = server, server.url, server.port
        self.address = f"127.0.0.1:{server.port}"

    def add(self, name, files, project=None):
        """Register the package and serve it as an endpoint of that name; its revision."""
        version, _ = serving.register(self.server, name, files)
        return serving.deploy(self.server, f"models:/{name}/{version}", name, project or {}, columns=())

    def request(self, method, path, body=None, headers=None):
        """(status, answer as JSON or bytes, headers)"""
        return serving.request(self.server, method, path, body, headers)


@pytest.fixture(scope="module")
def served(server):
    one = Served(server)
    one.add("sepsis", SEPSIS)
    one.add("flowers", FLOWERS)
    one.add("visits", VISITS)
    return one
