# SPDX-License-Identifier: Apache-2.0
"""The same model behind MLflow's scoring server (asked in this process) and behind Gyre's /invocations: the same answers to every form
of a body, and errors with the same status and code."""

import json

import pytest

mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
np = pytest.importorskip("numpy", reason="numpy is not installed")
pd = pytest.importorskip("pandas", reason="pandas is not installed")
xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed")
from mlflow.models import infer_signature  # noqa: E402
from mlflow.pyfunc import scoring_server  # noqa: E402

import serving  # noqa: E402

COLUMNS = ["HR", "Resp", "Temp"]


def table(n=400, seed=5):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"HR": rng.normal(90, 20, n), "Resp": rng.normal(18, 4, n), "Temp": rng.normal(37.5, 1, n)})


def save(folder, model, x):
    mlflow.xgboost.save_model(model, str(folder), signature=infer_signature(x, model.predict(x)), model_format="ubj")
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def models(server, tmp_path_factory):
    """name -> (the same model in Python, its path at Gyre)"""
    x = table()
    score = x.HR / 20 + x.Resp / 8 + (x.Temp - 37)
    made = {"wards": xgboost.XGBClassifier(n_estimators=20, max_depth=3).fit(x, pd.qcut(score, 3, labels=[0, 1, 2]).astype(int)),
            "stay": xgboost.XGBRegressor(n_estimators=20, max_depth=3).fit(x, score)}
    ret = {}
    for name, model in made.items():
        folder = tmp_path_factory.mktemp("models") / name
        version, _ = serving.register(server, name, save(folder, model, x))
        serving.deploy(server, f"models:/{name}/{version}", name, {}, columns=())
        ret[name] = (mlflow.pyfunc.load_model(str(folder)), f"/endpoints/{name}/invocations")
    return ret


def of_mlflow(model, body, kind):
    """(status, answer) of the scoring server."""
    try:
        got = scoring_server.invocations(body, kind, model, model.metadata.get_input_schema())
        return got.status, json.loads(got.response) if "json" in got.mimetype else got.response
    except mlflow.exceptions.MlflowException as e:
        return e.get_http_status_code(), json.loads(e.serialize_as_json())


def of_gyre(server, path, body, kind):
    status, answer, _ = serving.request(server, "POST", path, body, {"Content-Type": kind})
    return status, answer.decode() if isinstance(answer, bytes) else answer


def good_bodies():
    x = table(50, 6)
    holes = x.copy()
    holes.loc[3, "HR"] = holes.loc[7, "Temp"] = np.nan
    extra = holes.assign(ward="north")[["ward", "Temp", "HR", "Resp"]]
    whole = x.round(0).astype(int)
    kind = "application/json"
    yield "split", json.dumps({"dataframe_split": holes.to_dict(orient="split")}), kind
    yield "split with null", '{"dataframe_split":%s}' % holes.to_json(orient="split"), kind
    yield "split, extra columns in another order", json.dumps({"dataframe_split": extra.to_dict(orient="split")}), kind
    yield "split without index", json.dumps({"dataframe_split": {k: v for k, v in x.to_dict(orient="split").items() if k != "index"}}), kind
    yield "records", json.dumps({"dataframe_records": holes.to_dict(orient="records")}), kind
    yield "records of whole numbers", json.dumps({"dataframe_records": whole.to_dict(orient="records")}), kind
    yield "records of texts", json.dumps({"dataframe_records": x.astype(str).to_dict(orient="records")}), kind
    yield "records, one leaves a value out", json.dumps({"dataframe_records": [{"HR": 90.0, "Resp": 18.0}, {"HR": 90.0, "Resp": 18.0, "Temp": 37.0}]}), kind
    yield "instances", json.dumps({"instances": x.to_dict(orient="records")}), kind
    yield "inputs", json.dumps({"inputs": x.to_dict(orient="list")}), kind
    yield "inputs, one row", json.dumps({"inputs": x.iloc[0].to_dict()}), kind
    yield "params are passed over", json.dumps({"inputs": x.to_dict(orient="list"), "params": {"top": 3}}), kind
    yield "charset", json.dumps({"inputs": x.to_dict(orient="list")}), kind + "; charset=UTF-8"
    yield "csv", holes.to_csv(index=False), "text/csv"
    yield "csv with its index", extra.to_csv(), "text/csv; charset=utf-8"
    yield "csv with quotes and CRLF", '"HR","Resp","Temp"\r\n"90","18","37.5"\r\n\r\n80,NA,null\r\n', "text/csv"


@pytest.mark.parametrize("name", ["wards", "stay"])
@pytest.mark.parametrize("what, body, kind", [pytest.param(*b, id=b[0]) for b in good_bodies()])
def test_same_answers(server, models, name, what, body, kind):
    model, path = models[name]
    status, want = of_mlflow(model, body, kind)
    assert status == 200, want
    status, got = of_gyre(server, path, body, kind)
    assert status == 200, got
    assert set(got) == {"predictions"}
    if name == "wards":
        assert got == want
    else:
        assert got["predictions"] == pytest.approx(want["predictions"], rel=1e-6)


ROW = {"HR": 90, "Resp": 18, "Temp": 37}
BAD = [
    ("no JSON", "{", "application/json", "Invalid input. Ensure that input is a valid JSON formatted string. Error"),
    ("a list", "[1]", "application/json", "Invalid input. The input must be a JSON dictionary with exactly one of the input fields"),
    ("a number", "5", "application/json", "Invalid input. The input must be a JSON dictionary with exactly one of the input fields"),
    ("no format", '{"rows": []}', "application/json", "The input must be a JSON dictionary with exactly one of the input fields"),
    ("two formats", '{"inputs": {}, "instances": []}', "application/json", "The input must be a JSON dictionary with exactly one of the input fields"),
    ("split as list", '{"dataframe_split": []}', "application/json", "Dataframe split format must be a dictionary. Got list"),
    ("split as text", '{"dataframe_split": "x"}', "application/json", "Dataframe split format must be a dictionary. Got type <class 'str'>"),
    ("split without data", '{"dataframe_split": {"columns": []}}', "application/json",
     "Dataframe split format must have 'data' field and optionally 'columns' and 'index' fields."),
    ("split with more", '{"dataframe_split": {"data": [], "types": []}}', "application/json", "Dataframe split format must have 'data' field"),
    ("records as dict", '{"dataframe_records": {}}', "application/json", "Dataframe records format must be a list of records. Got dictionary."),
    ("records as number", '{"dataframe_records": 1.5}', "application/json", "Dataframe records format must be a list of records. Got type <class 'float'>"),
    ("a column misses", json.dumps({"dataframe_records": [{"HR": 1.0, "Temp": 2.0}]}), "application/json", "Model is missing inputs ['Resp']."),
    ("a column is misspelt", json.dumps({"dataframe_records": [{"HR": 1.0, "Temp": 2.0, "resp": 3.0}]}), "application/json",
     "Model is missing inputs ['Resp']. Note that there were extra inputs: ['resp']"),
    ("a text for a number", json.dumps({"dataframe_records": [{**ROW, "HR": "fast"}]}), "application/json",
     "Invalid input. Data is not compatible with model signature."),
    ("csv misses a column", "HR,Temp\n1,2\n", "text/csv", "Model is missing inputs ['Resp']"),
    ("csv is ragged", "HR,Resp,Temp\n1,2,3\n1,2,3,4\n", "text/csv", "Failed to parse input as a Pandas DataFrame."),
    ("csv is empty", "", "text/csv", "Failed to parse input as a Pandas DataFrame."),
    ("parameters", "{}", "application/json; version=2", "Unrecognized content type parameters: version."),
    ("charset", "{}", "application/json; charset=latin-1", "The scoring server only supports UTF-8"),
    ("another kind", "{}", "text/html", "This predictor only supports the following content types:"),
]


@pytest.mark.parametrize("what, body, kind, says", [pytest.param(*b, id=b[0]) for b in BAD])
def test_same_errors(server, models, what, body, kind, says):
    model, path = models["stay"]
    wanted_status, want = of_mlflow(model, body, kind)
    status, got = of_gyre(server, path, body, kind)
    assert status == wanted_status, (want, got)
    if isinstance(want, str):
        assert says in want and says in got
        return
    assert says in want["message"], want
    assert says in got["message"], got
    assert got["error_code"] == want["error_code"]
    assert "stack_trace" not in got and "Traceback" not in json.dumps(got)


def test_who_is_asked(server, models):
    status, answer, headers = serving.request(server, "POST", "/invocations", {"inputs": ROW})
    assert status == 404 and answer["error_code"] == "RESOURCE_DOES_NOT_EXIST" and "name one: stay, wards" in answer["message"]
