# SPDX-License-Identifier: Apache-2.0
"""What moved a prediction: contributions of the inputs sum to the margin, for models that can be told so."""

import json
import math

import pytest
import serving
from serving import request, v2

pytestmark = pytest.mark.tsan

MEANS = [90.0, 18.0, 37.0]


@pytest.fixture(scope="module")
def sepsis(server):
    files = {**serving.package(), "background.json": json.dumps({"format": "gyre.background/1", "rows": 9, "means": MEANS})}
    serving.serve(server, files=files)
    version, _ = serving.register(server, "plain", serving.package())
    serving.deploy(server, f"models:/plain/{version}", "plain", {})
    return server


def test_contributions_sum_to_the_margin(sepsis):
    rows = [[104, 15, 37.5], [75, 30, 36.9], [90, 18, 37]]
    for path in ("/v2/models/sepsis/explain", "/v2/models/sepsis/versions/1/explain"):
        status, answer, headers = request(sepsis, "POST", path, {**v2(rows), "id": "why"})
        assert status == 200 and answer["id"] == "why" and answer["model_version"] == "1"
        got = serving.outputs(answer)
        assert list(got) == ["prediction", "HR", "Resp", "Temp", "base_value"]
        asked = serving.outputs(request(sepsis, "POST", "/v2/models/sepsis/infer", v2(rows))[1])
        assert got["prediction"] == asked["prediction"]
        for i, row in enumerate(rows):
            assert math.isclose(got["HR"][i], 0.1 * (row[0] - MEANS[0]), abs_tol=1e-12)
            assert got["Resp"][i] == got["Temp"][i] == 0
            margin = sum(got[name][i] for name in ("HR", "Resp", "Temp", "base_value"))
            assert math.isclose(1 / (1 + math.exp(-margin)), asked["probability"][i], rel_tol=1e-12)
        # it is a prediction like any other: logged, and to be found
        assert headers["Gyre-Prediction-Id"] == answer["parameters"]["prediction_id"]
        trace = serving.must(sepsis, "GET", f"{serving.API}/trace/{answer['parameters']['prediction_id']}")
        assert trace["rows"] == 3


def test_what_can_not_be_told_is_refused(sepsis):
    status, answer, _ = request(sepsis, "POST", "/v2/models/plain/explain", v2([[104, 15, 37]]))
    assert status == 501 and "background.json" in answer["error"]
    status, answer, _ = request(sepsis, "POST", "/v2/models/sepsis/explain", v2([["x", 15, 37]]))
    assert status == 400 and answer["error"]
    status, answer, _ = request(sepsis, "POST", "/v2/models/nobody/explain", v2([[104, 15, 37]]))
    assert status == 404 and "nobody" in answer["error"]
    assert request(sepsis, "GET", "/v2/models/sepsis/explain")[0] == 405
