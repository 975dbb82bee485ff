# SPDX-License-Identifier: Apache-2.0
"""KServe's own SDK asks: predictions by V1 and V2, readiness, errors, explanations; and CloudEvents made and read by CNCF's SDK."""

import asyncio

import pytest

kserve = pytest.importorskip("kserve", reason="KServe's SDK is not installed (tests/requirements-serving.txt)")
import httpx  # noqa: E402
from cloudevents.http import CloudEvent, from_http, to_binary, to_structured  # noqa: E402
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig  # noqa: E402

ROWS = [[100.0, 1.0, 2.0], [80.0, 3.0, 4.0]]
FLOWERS = [[5.0, 1.0, 0.0], [0.0, 1.0, 9.0], [0.0, 3.0, 1.0]]


def ask(protocol, do):
    async def run():
        client = InferenceRESTClient(RESTConfig(protocol=protocol, timeout=60))
        try:
            return await do(client)
        finally:
            await client.close()
    return asyncio.run(run())


def v1(served, name, body):
    return ask("v1", lambda c: c.infer(served.url, body, model_name=name))


def test_v1_predict(served):
    assert v1(served, "sepsis", {"instances": ROWS}) == {"predictions": [1, 0]}
    assert v1(served, "flowers", {"instances": FLOWERS}) == {"predictions": ["setosa", "virginica", "versicolor"]}
    assert v1(served, "visits", {"instances": ROWS}) == {"predictions": [205.0, 172.0]}
    named = [dict(zip(["HR", "Resp", "Temp"], row)) for row in ROWS]
    assert v1(served, "visits", {"instances": named}) == {"predictions": [205.0, 172.0]}
    assert v1(served, "visits", {"inputs": ROWS})["predictions"] == [205.0, 172.0]


def test_v1_readiness_and_errors(served):
    assert ask("v1", lambda c: c.is_model_ready(served.url, "sepsis")) is True
    with pytest.raises(httpx.HTTPStatusError, match="Model with name nobody does not exist.*404"):
        ask("v1", lambda c: c.is_model_ready(served.url, "nobody"))
    with pytest.raises(httpx.HTTPStatusError, match="Model with name nobody does not exist.*404"):
        v1(served, "nobody", {"instances": ROWS})
    with pytest.raises(httpx.HTTPStatusError, match='Expected "instances" to be a list.*400'):
        v1(served, "sepsis", {"instances": "x"})


def test_v2_predict(served):
    request = InferRequest(model_name="visits", request_id="ward-7", infer_inputs=[
        InferInput("x", [2, 3], "FP64", [x for row in ROWS for x in row])])
    answer = ask("v2", lambda c: c.infer(served.url, request, model_name="visits"))
    assert answer.id == "ward-7" and answer.model_name == "visits"
    assert list(answer.outputs[0].data) == [205.0, 172.0]
    assert ask("v2", lambda c: c.is_server_ready(served.url)) is True
    assert ask("v2", lambda c: c.is_server_live(served.url)) is True
    assert ask("v2", lambda c: c.is_model_ready(served.url, "visits")) is True
    assert ask("v2", lambda c: c.is_model_ready(served.url, "nobody")) is False


@pytest.mark.parametrize("form", [to_structured, to_binary])
def test_cloudevents(served, form):
    headers, body = form(CloudEvent({"type": "org.ward.measured", "source": "/ward/7", "id": "bed-3"}, {"instances": ROWS}))
    if form is to_binary:
        headers["content-type"] = "application/json"
    answer = httpx.post(f"{served.url}/v1/models/visits:predict", headers=headers, content=body, timeout=60)
    assert answer.status_code == 200, answer.text
    event = from_http(answer.headers, answer.content)
    assert event["type"] == "io.kserve.inference.response" and event["source"] == "io.kserve.inference.visits"
    assert event["specversion"] == "1.0" and event["id"] == answer.headers["Gyre-Prediction-Id"] and event["time"]
    assert event.data == {"predictions": [205.0, 172.0]}
