# SPDX-License-Identifier: Apache-2.0
"""The routes of the reference systems as aliases: what their clients send, what they expect back, how it fails."""

import csv
import http.client
import json
import pathlib
import re
import subprocess

import pytest

import pictures
import serving
import support
from serving import must, request

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
SEPTIC = {"hr": 104, "resp": 22, "temp": 38.9}
WELL = {"hr": 80, "resp": 15, "temp": 37}
NONSENSE = {"hr": "fast", "resp": 15, "temp": 37}
INPUT = {"HR": "hr", "Resp": "resp", "Temp": "temp"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    s = support.Server(tmp_path_factory.mktemp("aliases") / "home").start()
    yield s
    s.stop()


@pytest.fixture(scope="module")
def sepsis(home):
    """Version 1 answers, version 2 is registered."""
    version, _ = serving.register(home)
    serving.register(home)
    aliases = [
        {"path": "/predictions", "input": INPUT, "output": {"isSepsis": "prediction"}, "error": {"errorCode": "{status}", "message": "{message}"}},
        {"path": "/predict", "input": {**INPUT, "Temp": "= fahrenheit * 5 / 9 - 160 / 9"},
         "output": {"prediction": "= if(probability >= 0.7, 1, 0)", "sure": "= probability > 0.99 or probability < 0.01"}, "error": "detail"},
        {"path": "/about", "answer": {"model": "{model}", "deployed": ["version {version}"], "all": "{versions}", "revision": "{revision}", "n": 1}},
        {"path": "/health/status", "answer": {"status": "healthy"}},
    ]
    serving.deploy(home, f"models:/sepsis/{version}", project={"aliases": aliases})
    return home


def form(fields, files=()):
    """A body of multipart/form-data as browsers and curl -F write it."""
    edge, parts = "----gyre7MA4YWxk", []
    for name, value in fields.items():
        parts.append(f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    for name, filename, kind, data in files:
        head = f'--{edge}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\nContent-Type: {kind}\r\n\r\n'
        parts.append(head.encode() + data + b"\r\n")
    return b"".join(parts) + f"--{edge}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={edge}"}


def test_patients_of_reference_000(sepsis):
    assert request(sepsis, "POST", "/predictions", SEPTIC)[1]["isSepsis"] == 1
    status, answer, _ = request(sepsis, "POST", "/predictions", NONSENSE)
    assert status == 400 and set(answer) == {"errorCode", "message"}
    assert answer["errorCode"] == 400 and "field 'hr' must be a number" in answer["message"]
    status, answer, headers = request(sepsis, "GET", "/predictions")
    assert status == 405 and answer["errorCode"] == 405 and headers["Allow"] == "POST"
    assert request(sepsis, "GET", "/status")[1] == {"status": "ok"}


def test_units_and_thresholds(sepsis):
    body = {"hr": 100, "resp": 15, "fahrenheit": 98.6}
    status, answer, headers = request(sepsis, "POST", "/predict", body)
    assert status == 200 and answer["prediction"] == 1 and answer["sure"] is False  # p = 0.731
    assert request(sepsis, "POST", "/predict", {**body, "hr": 97})[1]["prediction"] == 0  # p = 0.668: over the model's 0.5
    seen = must(sepsis, "GET", f"{serving.API}/trace/{headers['Gyre-Prediction-Id']}")
    assert seen["inputs"]["Temp"] == pytest.approx(37)
    status, answer, _ = request(sepsis, "POST", "/predict", {"hr": 100, "resp": 15})
    assert status == 400 and answer == {"detail": "field 'fahrenheit' is missing"}


def test_a_list_is_answered_by_a_list(sepsis):
    status, answers, headers = request(sepsis, "POST", "/predictions", [SEPTIC, WELL, SEPTIC])
    assert status == 200 and [a["isSepsis"] for a in answers] == [1, 0, 1] and [a["row"] for a in answers] == [0, 1, 2]
    assert {a["prediction_id"] for a in answers} == {headers["Gyre-Prediction-Id"]}
    mapped = [{"hr": 100, "resp": 15, "fahrenheit": f} for f in (98.6, 104)]
    status, answers, headers = request(sepsis, "POST", "/predict", mapped)
    assert status == 200 and [a["prediction"] for a in answers] == [1, 1]
    seen = must(sepsis, "GET", f"{serving.API}/trace/{headers['Gyre-Prediction-Id']}")
    assert [p["inputs"]["Temp"] for p in seen["predictions"]] == pytest.approx([37, 40])
    assert len(request(sepsis, "POST", "/predictions", [WELL])[1]) == 1
    many = request(sepsis, "POST", "/predictions", [{**WELL, "hr": 60 + i % 100} for i in range(5000)])[1]
    assert [a["isSepsis"] for a in many] == [int(60 + i % 100 >= 90) for i in range(5000)]
    out_of_range = request(sepsis, "POST", "/predictions", [WELL, {**WELL, "hr": 300}])[1]
    assert "warning" not in out_of_range[0] and "HR is 300" in out_of_range[1]["warning"]


@pytest.mark.parametrize("body,says", [([], "the list is empty"), ([WELL, 3], "row 1: must be a JSON object"),
                                       ([WELL, {"hr": 1}], "row 1: field 'resp' is missing"), ([{}] * 50, "row 0: field 'hr' is missing"),
                                       ("[", ""), ([[1, 2, 3]], "row 0: must be a JSON object"), ([WELL, {**WELL, "hr": None}], "row 1: field 'hr' must not be null")])
def test_lists_that_are_refused(sepsis, body, says):
    status, answer, _ = request(sepsis, "POST", "/predictions", body)
    assert status == 400 and says in answer["message"]


def test_forms_of_numbers(sepsis):
    status, answer, _ = request(sepsis, "POST", "/predictions", *form({"hr": 104, "resp": " 22 ", "temp": 38.9, "other": "x"}))
    assert status == 200 and answer["isSepsis"] == 1
    for fields, says in (({"hr": 104, "resp": 22}, "field 'temp' is missing"), ({"hr": "fast", "resp": 2, "temp": 37}, "field 'hr' must be a number, not 'fast'"),
                         ({"hr": "", "resp": 2, "temp": 37}, "field 'hr' must not be empty"), ({"hr": "nan", "resp": 2, "temp": 37}, "must be a number")):
        status, answer, _ = request(sepsis, "POST", "/predictions", *form(fields))
        assert status == 400 and says in answer["message"]
    body, headers = form({"hr": 104, "resp": 22, "temp": 38.9})
    assert request(sepsis, "POST", "/predictions", body[:-20], headers)[0] == 400
    assert request(sepsis, "POST", "/predictions", body, {"Content-Type": "multipart/form-data"})[0] == 400
    twice = body.replace(b'name="resp"', b'name="hr"')
    assert "twice" in request(sepsis, "POST", "/predictions", twice, headers)[1]["message"]


def test_what_a_get_tells(sepsis):
    assert request(sepsis, "GET", "/models/")[1] == {"avaliable_models": ["v1", "v2"]}  # as reference system 002 spells it
    assert request(sepsis, "GET", "/deployed_version/")[1] == {"version": "v1"}
    assert request(sepsis, "GET", "/health/status")[1] == {"status": "healthy"}  # an alias wins over what is told by itself
    about = request(sepsis, "GET", "/about")[1]
    assert about["model"] == "sepsis" and about["deployed"] == ["version 1"] and about["all"] == ["1", "2"]
    assert isinstance(about["revision"], int) and about["n"] == 1
    status, answer, headers = request(sepsis, "POST", "/about", {})
    assert status == 405 and headers["Allow"] == "GET, HEAD"
    connection = http.client.HTTPConnection("127.0.0.1", sepsis.port, timeout=60)
    connection.request("HEAD", "/status")
    head = connection.getresponse()
    assert head.status == 200 and head.getheader("Content-Length") == "15" and not head.read()
    connection.close()


def test_nameless_routes(tmp_path):
    """The endpoint that claims the path, else the default, else the only one, else 404 listing them."""
    home = support.Server(tmp_path / "home").start()
    try:
        assert request(home, "POST", "/predict", WELL)[0] == 404 and request(home, "GET", "/status")[0] == 404
        version, _ = serving.register(home)
        ref, row = f"models:/sepsis/{version}", {"HR": 104, "Resp": 22, "Temp": 38.9}
        serving.deploy(home, ref, name="one", project={}, columns=())
        for path in ("/predict", "/predict/", "/predictions"):
            status, answer, headers = request(home, "POST", path, row)
            assert status == 200 and answer["prediction"] == 1 and answer["probability"] == pytest.approx(0.8021838885585818)
            assert headers["Gyre-Revision"].startswith("one/")
        serving.deploy(home, ref, name="two", project={}, columns=())
        status, answer, _ = request(home, "POST", "/predict", row)
        assert status == 404 and "one, two" in answer["error"]
        assert request(home, "GET", "/deployed_version/")[0] == 404
        serving.deploy(home, ref, name="two", project={"default": True}, columns=())
        assert request(home, "POST", "/predict", row)[2]["Gyre-Revision"].startswith("two/")
        assert request(home, "GET", "/deployed_version/")[1] == {"version": "v1"}
        serving.deploy(home, ref, name="one", project={"aliases": [{"path": "/predict"}]}, columns=())
        assert request(home, "POST", "/predict", row)[2]["Gyre-Revision"].startswith("one/")
        assert request(home, "POST", "/predict/", row)[2]["Gyre-Revision"].startswith("two/")
    finally:
        home.stop()


@pytest.mark.parametrize("alias,says", [
    ({"path": "/v2/models/x"}, "one of Gyre's own"), ({"path": "no-slash"}, "can not be an alias path"), ({"path": "/a//b"}, "can not be an alias path"),
    ({"path": "/p", "ouput": {}}, "an alias has no 'ouput'"), ({"path": "/p", "output": []}, "'output' must be an object"),
    ({"path": "/p", "answer": "colour"}, "must be status, version, models"), ({"path": "/p", "answer": {"v": "{verison}"}}, "'{verison}' is not known"),
    ({"path": "/p", "answer": {"v": "{message}"}}, "'{message}' is not known"), ({"path": "/p", "answer": "status", "output": {"x": "prediction"}}, "make it two paths"),
    ({"path": "/p", "error": 3}, "must be the key of the message"), ({"path": "/p", "error": {"e": "{versions}"}}, "'{versions}' is not known"),
])
def test_aliases_that_are_refused(sepsis, alias, says):
    body = {"model": "models:/sepsis/1", "columns": [], "project": {"aliases": [alias]}}
    status, answer = serving.ask_anyhow(sepsis, "POST", f"{serving.API}/endpoints/other/deploy", body)
    assert status == 400 and says in json.dumps(answer), answer


# ---- reference system 002: an image as a file of a form ----

def gyre(cwd, *args):
    done = subprocess.run([support.BIN, *args], cwd=cwd, env=support.clean_env(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def picture(rings, i):
    c = pictures.Canvas(12, 9)
    for x in range(c.width):
        for y in range(9):
            c.dot(x, y, [40 * rings + x + i % 7] * 3)
    return c.png()


@pytest.fixture(scope="module")
def rings(home, tmp_path_factory):
    """The endpoint of examples/rings, behind a small model of pictures."""
    cwd, rows = tmp_path_factory.mktemp("rings"), []
    for i in range(90):
        (cwd / f"{i}.png").write_bytes(picture(1 + i % 3, i))
        rows.append({"image": f"{i}.png", "num_rings": 1 + i % 3})
    with open(cwd / "t.csv", "w", newline="") as f:
        w = csv.DictWriter(f, rows[0].keys())
        w.writeheader()
        w.writerows(rows)
    (cwd / "params.yaml").write_text("train:\n  target: num_rings\n  task: multiclass\n  image: {column: image, width: 4, height: 3}\n")
    version = json.loads(gyre(cwd, "train", "t.csv", "--params", "params.yaml", "-o", "m", "--server", home.url, "--register", "rings", "--json"))["version"]
    text = (EXAMPLES / "rings" / "gyre.yaml").read_text()
    paths = re.findall(r"path: (/[a-z_/]+)", text)
    serving.deploy(home, f"models:/rings/{version}", name="rings", columns=(), project={"aliases": [
        *({"path": p, "output": {"n_rings_pred": "prediction"}} for p in paths if p not in ("/predict", "/models/", "/deployed_version/")),
        {"path": "/upload", "input": {"image": "file"}, "output": {"n": "= prediction + 100", "p": "= probability"}}]})
    return home


def test_an_uploaded_picture(rings):
    for n in (1, 2, 3):
        file = [("image", f"{n}.png", "image/png", picture(n, 3))]
        status, answer, headers = request(rings, "POST", "/predict/", *form({}, file))
        assert status == 200 and answer["n_rings_pred"] == n, answer
        assert request(rings, "POST", "/predict/", picture(n, 3), {"Content-Type": "image/png"})[1]["n_rings_pred"] == n
        status, answer, _ = request(rings, "POST", "/upload", *form({}, [("file", "x", "application/octet-stream", picture(n, 3))]))
        assert status == 200 and answer["n"] == n + 100 and 0.3 < answer["p"] <= 1
    seen = must(rings, "GET", f"{serving.API}/trace/{headers['Gyre-Prediction-Id']}")
    assert "sha256:" in json.dumps(seen)


def test_curl_uploads_a_picture(rings, tmp_path):
    """The command of the reference system's README."""
    (tmp_path / "2176417.png").write_bytes(picture(2, 1))
    try:
        done = subprocess.run(["curl", "-sS", "-X", "POST", "-F", "image=@2176417.png", f"{rings.url}/predict/"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("no curl on this machine")
    assert json.loads(done.stdout)["n_rings_pred"] == 2, done.stdout + done.stderr


@pytest.mark.parametrize("files,says", [
    ([("picture", "x.png", "image/png", b"x")], "field 'image' is missing"), ([("image", "x.png", "image/png", b"no picture")], "field 'image'"),
    ([("image", "x.png", "image/png", None)] * 2, "twice")])
def test_uploads_that_are_refused(rings, files, says):
    files = [(a, b, c, picture(1, 1) if d is None else d) for a, b, c, d in files]
    status, answer, _ = request(rings, "POST", "/predict/", *form({}, files))
    assert status == 400 and says in answer["error"]


def test_a_picture_for_a_model_of_numbers(sepsis):
    status, answer, _ = request(sepsis, "POST", "/predictions", picture(1, 1), {"Content-Type": "image/png"})
    assert status == 400 and "send JSON or multipart/form-data" in answer["message"]
